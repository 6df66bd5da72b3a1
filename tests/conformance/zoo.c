// SPDX-License-Identifier: Apache-2.0
// Runs the assertions of one converted test file (JSON beside its components) through
// component_load and component_call:
//
//   theater-zoo [--cache FOLDER] FILE.json
//
// Prints a line per failure and "N passed, N failed, N skipped". Values in the JSON are
// {"type", "value"}: integers and floats (as bit patterns) are decimal text, records are lists of
// [name, value], variants {"case", "payload"}, results {"Ok"} or {"Err"}, options null or a value.
#include <errno.h>
#include <jansson.h>
#include "driver.h"

struct run {
    struct driver *driver;
    char *folder;
    const char *name;  // of the current component, NULL: none
    struct component *component;
    struct component_linked *linked;
    struct component_instance *instance;
    struct arena arguments;  // of the assertion: arguments and expected values
    struct arena results;
    unsigned passed;
    unsigned failed;
    unsigned skipped;
};

// ---- values from JSON --------------------------------------------------------------------------

static bool parse(struct arena *arena, const struct component_type *type, const json_t *json,
                  struct value *out);

static struct value *values_new(struct arena *arena, uint64_t count) {
    return arena_calloc(arena, count, sizeof(struct value), _Alignof(struct value));
}

static bool parse_number(const json_t *json, uint64_t *out) {
    const char *text = json_string_value(json);
    if (text == NULL || text[0] == '\0') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    *out = text[0] == '-' ? (uint64_t)strtoll(text, &end, 10) : strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool parse_text(const json_t *json, struct value *out) {
    if (!json_is_string(json)) {
        return false;
    }
    out->bytes = (const uint8_t *)json_string_value(json);
    out->count = (uint32_t)json_string_length(json);
    return true;
}

static bool parse_char(const json_t *json, struct value *out) {
    struct value text;
    if (!parse_text(json, &text) || text.count == 0) {
        return false;
    }
    const uint8_t *p = text.bytes;
    uint32_t point = p[0];
    uint32_t more = p[0] < 0x80 ? 0 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : 3;
    static const uint8_t MASKS[] = {0x7f, 0x1f, 0x0f, 0x07};
    if (text.count != more + 1) {
        return false;
    }
    point &= MASKS[more];
    for (uint32_t i = 1; i <= more; i++) {
        point = point << 6 | (p[i] & 0x3fu);
    }
    out->bits = point;
    return true;
}

// The position of a name among those of a type, or UINT32_MAX.
static uint32_t find_name(const struct component_type *type, const json_t *name) {
    for (uint32_t i = 0; json_is_string(name) && i < type->item_count; i++) {
        if (slice_equal(type->names[i],
                        slice_of(json_string_value(name), json_string_length(name)))) {
            return i;
        }
    }
    return UINT32_MAX;
}

static bool parse_list(struct arena *arena, const struct component_type *item, const json_t *json,
                       struct value *out) {
    uint32_t count = (uint32_t)json_array_size(json);
    struct value *items = values_new(arena, count);
    for (uint32_t i = 0; i < count; i++) {
        if (!parse(arena, item, json_array_get(json, i), &items[i])) {
            return false;
        }
    }
    out->items = items;
    out->count = count;
    if (item->is_plain) {
        uint8_t *packed = arena_alloc(arena, (uint64_t)count * item->size, 8);
        for (uint32_t i = 0; i < count; i++) {
            memcpy(packed + (size_t)i * item->size, &items[i].bits, item->size);
        }
        out->bytes = packed;
    }
    return json_is_array(json);
}

static bool parse_fields(struct arena *arena, const struct component_type *type, const json_t *json,
                         struct value *out) {
    if (json_array_size(json) != type->item_count) {
        return false;
    }
    struct value *items = values_new(arena, type->item_count);
    for (uint32_t i = 0; i < type->item_count; i++) {
        const json_t *item = json_array_get(json, i);
        if (type->kind == COMPONENT_RECORD) {
            if (find_name(type, json_array_get(item, 0)) != i) {
                return false;
            }
            item = json_array_get(item, 1);
        }
        if (!parse(arena, type->items[i], item, &items[i])) {
            return false;
        }
    }
    out->items = items;
    out->count = type->item_count;
    return true;
}

static bool parse_case(struct arena *arena, const struct component_type *payload, uint32_t which,
                       const json_t *json, struct value *out) {
    out->which = which;
    out->items = NULL;
    if (payload == NULL) {
        return json == NULL || json_is_null(json);
    }
    struct value *value = values_new(arena, 1);
    out->items = value;
    return parse(arena, payload, json, value);
}

static bool parse_result(struct arena *arena, const struct component_type *type, const json_t *json,
                         struct value *out) {
    const json_t *ok = json_object_get(json, "Ok");
    return parse_case(arena, type->items[ok == NULL ? 1 : 0], ok == NULL ? 1 : 0,
                      ok == NULL ? json_object_get(json, "Err") : ok, out);
}

static bool parse_variant(struct arena *arena, const struct component_type *type,
                          const json_t *json, struct value *out) {
    uint32_t which = find_name(type, json_object_get(json, "case"));
    return which != UINT32_MAX &&
           parse_case(arena, type->items[which], which, json_object_get(json, "payload"), out);
}

static bool parse_flags(const struct component_type *type, const json_t *json, struct value *out) {
    out->bits = 0;
    for (size_t i = 0; i < json_array_size(json); i++) {
        uint32_t flag = find_name(type, json_array_get(json, i));
        if (flag == UINT32_MAX) {
            return false;
        }
        out->bits |= UINT64_C(1) << flag;
    }
    return json_is_array(json);
}

static bool parse(struct arena *arena, const struct component_type *type, const json_t *json,
                  struct value *out) {
    const json_t *value = json_object_get(json, "value");
    out->count = 0;
    switch (type->kind) {
        case COMPONENT_BOOL:
            out->bits = json_is_true(value);
            return json_is_boolean(value);
        case COMPONENT_S8:
        case COMPONENT_U8:
        case COMPONENT_S16:
        case COMPONENT_U16:
        case COMPONENT_S32:
        case COMPONENT_U32:
        case COMPONENT_S64:
        case COMPONENT_U64:
        case COMPONENT_F32:
        case COMPONENT_F64:
            return parse_number(value, &out->bits);
        case COMPONENT_CHAR:
            return parse_char(value, out);
        case COMPONENT_STRING:
            return parse_text(value, out);
        case COMPONENT_LIST:
            return parse_list(arena, type->items[0], value, out);
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            return parse_fields(arena, type, value, out);
        case COMPONENT_VARIANT:
            return parse_variant(arena, type, value, out);
        case COMPONENT_ENUM:
            out->which = find_name(type, value);
            out->items = NULL;
            return out->which != UINT32_MAX;
        case COMPONENT_OPTION:
            return json_is_null(value) ? parse_case(arena, NULL, 0, NULL, out)
                                       : parse_case(arena, type->items[0], 1, value, out);
        case COMPONENT_RESULT:
            return parse_result(arena, type, value, out);
        case COMPONENT_FLAGS:
            return parse_flags(type, value, out);
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            break;
    }
    return false;
}

// ---- comparison --------------------------------------------------------------------------------

static bool same(const struct component_type *type, const struct value *a, const struct value *b);

static bool same_items(const struct component_type *type, const struct value *a,
                       const struct value *b, uint32_t count) {
    bool is_list = type->kind == COMPONENT_LIST;
    for (uint32_t i = 0; i < count; i++) {
        if (!same(type->items[is_list ? 0 : i], &a->items[i], &b->items[i])) {
            return false;
        }
    }
    return true;
}

static bool same_case(const struct component_type *type, const struct value *a,
                      const struct value *b) {
    if (a->which != b->which) {
        return false;
    }
    const struct component_type *payload = type->kind == COMPONENT_OPTION
                                               ? (a->which == 0 ? NULL : type->items[0])
                                           : type->items == NULL ? NULL
                                                                 : type->items[a->which];
    return payload == NULL || same(payload, a->items, b->items);
}

static bool same(const struct component_type *type, const struct value *a, const struct value *b) {
    switch (type->kind) {
        case COMPONENT_STRING:
            return a->count == b->count && memcmp(a->bytes, b->bytes, a->count) == 0;
        case COMPONENT_LIST:
            if (a->count != b->count) {
                return false;
            }
            return type->items[0]->is_plain
                       ? memcmp(a->bytes, b->bytes, (size_t)a->count * type->items[0]->size) == 0
                       : same_items(type, a, b, a->count);
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            return same_items(type, a, b, type->item_count);
        case COMPONENT_VARIANT:
        case COMPONENT_ENUM:
        case COMPONENT_OPTION:
        case COMPONENT_RESULT:
            return same_case(type, a, b);
        case COMPONENT_BOOL:
        case COMPONENT_S8:
        case COMPONENT_U8:
        case COMPONENT_S16:
        case COMPONENT_U16:
        case COMPONENT_S32:
        case COMPONENT_U32:
        case COMPONENT_S64:
        case COMPONENT_U64:
        case COMPONENT_F32:
        case COMPONENT_F64:
        case COMPONENT_CHAR:
        case COMPONENT_FLAGS:
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            break;
    }
    return a->bits == b->bits;
}

// ---- commands ----------------------------------------------------------------------------------

static enum status no_imports(void *resolver, const struct component_import *import,
                              struct component_host_func *out, struct error *error) {
    (void)resolver;
    (void)import;
    (void)out;
    return error_set(error, ERR_NOT_FOUND, "the test host has no functions");
}

static void drop(struct run *run) {
    component_instance_free(run->instance);
    component_linked_unref(run->linked);
    component_unref(run->component);
    run->instance = NULL;
    run->linked = NULL;
    run->component = NULL;
}

// A new instance of the current component, or none, with the reason printed.
static void instantiate(struct run *run) {
    struct error error = {.code = OK};
    if (component_instantiate(run->linked, NULL, &run->driver->budget, &run->instance, &error) !=
        COMPONENT_DONE) {
        run->instance = NULL;
        (void)printf("skipped: %s\n", error.message);
    }
}

// Loads, compiles and links; what is not supported is printed, and its assertions are skipped.
static void run_definition(struct run *run, const json_t *command) {
    drop(run);
    run->name = json_string_value(json_object_get(command, "name"));
    const char *name = json_string_value(json_object_get(command, "filename"));
    char *path = file_join(run->folder, name == NULL ? "" : name);
    struct error error = {.code = OK};
    struct bytes *bytes = NULL;
    enum status status = file_read(path, DRIVER_FILE_BYTES, &bytes, &error);
    if (status == OK) {
        status = component_load(bytes, NULL, &run->component, &error);
    }
    bytes_unref(bytes);
    if (status == OK) {
        status = component_compile(run->component, run->driver->compiler, &error);
    }
    if (status == OK) {
        status = component_link(run->component, no_imports, NULL, &run->linked, &error);
    }
    if (status != OK) {
        (void)printf("skipped: %s: %s: %s\n", name, status_text(status), error.message);
    }
    free(path);
}

static void run_module(struct run *run, const json_t *command) {
    run_definition(run, command);
    if (run->linked != NULL) {
        instantiate(run);
    }
}

// An instance of a component defined earlier: of the last one, which is how the files are written.
static void run_instance(struct run *run, const json_t *command) {
    component_instance_free(run->instance);
    run->instance = NULL;
    const char *name = json_string_value(json_object_get(command, "module"));
    if (run->linked != NULL && name != NULL && run->name != NULL && strcmp(name, run->name) == 0) {
        instantiate(run);
    }
}

static void report(struct run *run, const json_t *command, const char *what) {
    run->failed++;
    (void)printf(
        "line %lld: %s: %s\n", (long long)json_integer_value(json_object_get(command, "line")),
        json_string_value(json_object_get(json_object_get(command, "action"), "field")), what);
}

// assert_return and assert_trap; of a trap's text nothing is asked.
static void run_call(struct run *run, const json_t *command, bool wants_trap) {
    const json_t *action = json_object_get(command, "action");
    const json_t *args = json_object_get(action, "args");
    const json_t *expected = json_object_get(command, "expected");
    int index =
        driver_find(run->component, "", json_string_value(json_object_get(action, "field")));
    if (index < 0) {
        report(run, command, "no such export");
        return;
    }
    const struct component_func_type *type =
        component_export_at(run->component, (uint32_t)index)->type;
    arena_reset(&run->arguments);
    arena_reset(&run->results);
    struct value *values = values_new(&run->arguments, type->param_count + 1u);
    bool parsed = json_array_size(args) == type->param_count &&
                  (wants_trap || json_array_size(expected) == (type->result != NULL));
    for (uint32_t i = 0; parsed && i < type->param_count; i++) {
        parsed = parse(&run->arguments, type->params[i], json_array_get(args, i), &values[i]);
    }
    struct value wanted = {.bits = 0};
    if (parsed && !wants_trap && type->result != NULL) {
        parsed = parse(&run->arguments, type->result, json_array_get(expected, 0), &wanted);
    }
    if (!parsed) {
        report(run, command, "the values do not fit the function's type");
        return;
    }
    struct value result = {.bits = 0};
    struct error error = {.code = OK};
    enum component_outcome outcome =
        component_call(run->instance, (uint32_t)index, values, &result, &run->results, &error);
    if (outcome == COMPONENT_TRAPPED) {
        component_instance_free(run->instance);
        instantiate(run);
    }
    if (wants_trap) {
        if (outcome == COMPONENT_DONE) {
            report(run, command, "returned where a trap is expected");
        } else {
            run->passed++;
        }
    } else if (outcome == COMPONENT_TRAPPED) {
        report(run, command, error.message);
    } else if (type->result != NULL && !same(type->result, &result, &wanted)) {
        report(run, command, "another result than expected");
    } else {
        run->passed++;
    }
}

static int body(struct driver *driver) {
    if (driver->argc != 2) {
        (void)fprintf(stderr, "usage: %s [--cache FOLDER] FILE.json\n", driver->argv[0]);
        return 2;
    }
    json_error_t json_error;
    json_t *root = json_load_file(driver->argv[1], JSON_ALLOW_NUL, &json_error);
    if (root == NULL) {
        (void)fprintf(stderr, "%s:%d: %s\n", driver->argv[1], json_error.line, json_error.text);
        return 1;
    }
    struct run run = {.driver = driver, .folder = file_folder(driver->argv[1])};
    arena_init(&run.arguments, DRIVER_ARENA_BYTES);
    arena_init(&run.results, DRIVER_ARENA_BYTES);
    const json_t *commands = json_object_get(root, "commands");
    for (size_t i = 0; i < json_array_size(commands); i++) {
        const json_t *command = json_array_get(commands, i);
        const char *type = json_string_value(json_object_get(command, "type"));
        bool wants_trap = type != NULL && strcmp(type, "assert_trap") == 0;
        bool is_call = json_object_get(command, "action") != NULL &&
                       json_object_get(json_object_get(command, "action"), "module") == NULL;
        if (type != NULL && strcmp(type, "module") == 0) {
            run_module(&run, command);
        } else if (type != NULL && strcmp(type, "module_definition") == 0) {
            run_definition(&run, command);
        } else if (type != NULL && strcmp(type, "module_instance") == 0) {
            run_instance(&run, command);
        } else if (type != NULL && is_call && run.instance != NULL &&
                   (wants_trap || strcmp(type, "assert_return") == 0)) {
            run_call(&run, command, wants_trap);
        } else {
            run.skipped++;
        }
    }
    (void)printf("%u passed, %u failed, %u skipped\n", run.passed, run.failed, run.skipped);
    drop(&run);
    arena_release(&run.arguments);
    arena_release(&run.results);
    free(run.folder);
    json_decref(root);
    return run.failed == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    return driver_main(argc, argv, body);
}

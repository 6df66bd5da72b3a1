// SPDX-License-Identifier: Apache-2.0
// Core modules: scan and compile, link to "spectest" and to registered instances, call.
#include "core.h"
#include "suite.h"
#include "wasm/internal.h"

struct core_state {
    struct driver *driver;
    struct map published;  // names to instances
    struct map missing;    // names registered without one, to the reason
    struct core_instance *spectest;
};

struct core_instance {
    struct wasm_code *code;
    struct wasm_instance *instance;
};

// ---- definitions -------------------------------------------------------------------------------

static enum status core_define(void *state, struct bytes *bytes, void **out, struct error *error) {
    const struct core_state *core = state;
    struct wasm_module *module;
    enum status status = wasm_module_scan(bytes, NULL, &module, error);
    if (status != OK)
        return status;
    struct wasm_code *code;
    status = wasm_compile(core->driver->compiler, module, core->driver->tier, &code, error);
    wasm_module_unref(module);
    *out = code;
    return status;
}

static void core_definition_free(void *definition) {
    wasm_code_unref(definition);
}

static char *core_unsupported(const struct error *error, const char *features) {
    (void)features;
    // What wasm.h says that the room leaves out of the specification, or that came after 2.0.
    static const char *const names[] = {
        "SIMD",     "threads",       "tail calls", "exceptions",
        "memory64", "64-bit tables", "GC",         "typed function references",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strstr(error->message, names[i]) != NULL)
            return xstrdup(names[i]);
    return NULL;
}

// ---- instances ---------------------------------------------------------------------------------

static int find_export(const struct core_instance *instance, struct slice name) {
    const struct wasm_module *module = wasm_code_module(instance->code);
    for (uint32_t i = 0; i < module->export_count; i++)
        if (slice_equal(module->exports[i].name, name))
            return (int)i;
    return -1;
}

static enum status find_import(const struct core_state *core, const struct wasm_import *import,
                               struct wasm_extern *out, struct error *error) {
    const struct core_instance *from = map_get(&core->published, import->module);
    bool is_host = from != NULL && from == core->spectest;
    const struct wasm_func *func = is_host ? spectest_function(import->name) : NULL;
    int index = from == NULL ? -1 : find_export(from, import->name);
    const char *missing = map_get(&core->missing, import->module);
    if (missing != NULL)
        return error_set(error, ERR_UNSUPPORTED, "\"%.*s\" is missing: %s",
                         (int)import->module.size, (const char *)import->module.data, missing);
    if (func != NULL)
        *out = (struct wasm_extern){.kind = WASM_FUNC, .of.func = *func};
    else if (index >= 0)
        *out = wasm_instance_export(from->instance, (uint32_t)index);
    else
        return error_set(error, ERR_NOT_FOUND, "unknown import \"%.*s\" \"%.*s\"",
                         (int)import->module.size, (const char *)import->module.data,
                         (int)import->name.size, (const char *)import->name.data);
    return OK;
}

static enum status core_instantiate(void *state, void *definition, void **out,
                                    struct error *error) {
    struct core_state *core = state;
    struct wasm_code *code = definition;
    const struct wasm_module *module = wasm_code_module(code);
    struct wasm_extern *imports = xcalloc(module->import_count + 1u, sizeof *imports);
    struct wasm_instance *instance = NULL;
    enum status status = OK;
    for (uint32_t i = 0; status == OK && i < module->import_count; i++)
        status = find_import(core, &module->imports[i], &imports[i], error);
    if (status == OK)
        status = wasm_instantiate(code, imports, &core->driver->budget, &instance, error);
    free(imports);
    if (status != OK)
        return status;
    struct core_instance *given = xcalloc(1, sizeof *given);
    given->code = wasm_code_ref(code);
    given->instance = instance;
    *out = given;
    return OK;
}

static void core_instance_free(void *data) {
    struct core_instance *instance = data;
    wasm_instance_free(instance->instance);
    wasm_code_unref(instance->code);
    free(instance);
}

static void forget(struct core_state *core, const char *name) {
    (void)map_remove(&core->published, slice_text(name));
    free(map_remove(&core->missing, slice_text(name)));
}

static void core_publish(void *state, const char *name, void *instance, const char *missing) {
    struct core_state *core = state;
    forget(core, name);
    if (instance != NULL)
        (void)map_add(&core->published, slice_text(name), instance);
    else
        (void)map_add(&core->missing, slice_text(name), xstrdup(missing));
}

static void core_close(void *state) {
    struct core_state *core = state;
    if (core->spectest != NULL)
        core_instance_free(core->spectest);
    uint32_t cursor = 0;
    for (struct map_entry *entry; (entry = map_next(&core->missing, &cursor)) != NULL;)
        free(entry->value);
    map_release(&core->missing);
    map_release(&core->published);
    free(core);
}

static void *core_open(struct suite *suite, struct error *error) {
    struct core_state *core = xcalloc(1, sizeof *core);
    core->driver = suite->driver;
    struct bytes *bytes = NULL;
    void *code = NULL, *instance = NULL;
    enum status status = file_read(SPECTEST_PATH, DRIVER_FILE_BYTES, &bytes, error);
    if (status == OK)
        status = core_define(core, bytes, &code, error);
    if (status == OK)
        status = core_instantiate(core, code, &instance, error);
    bytes_unref(bytes);
    wasm_code_unref(code);
    if (status != OK) {
        core_close(core);
        return NULL;
    }
    core->spectest = instance;
    core_publish(core, "spectest", instance, NULL);
    return core;
}

// ---- values ------------------------------------------------------------------------------------

// Host references: null is 0, so number N is N + 1.
static bool parse_reference(const char *text, uint64_t *out) {
    char *end = NULL;
    *out = strcmp(text, "null") == 0 ? 0 : strtoull(text, &end, 10) + 1;
    return end == NULL || *end == 0;
}

static bool parse_slot(uint8_t type, const json_t *json, uint64_t *out) {
    const char *name = json_string_value(json_object_get(json, "type"));
    const char *text = json_string_value(json_object_get(json, "value"));
    static const struct {
        uint8_t type;
        const char *name;
    } names[] = {{WASM_I32, "i32"}, {WASM_I64, "i64"}, {WASM_F32, "f32"}, {WASM_F64, "f64"}};
    if (name == NULL || text == NULL)
        return false;
    if (type == WASM_EXTERNREF)
        return strcmp(name, "externref") == 0 && parse_reference(text, out);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (type != names[i].type || strcmp(name, names[i].name) != 0)
            continue;
        char *end = NULL;
        *out = text[0] == '-' ? (uint64_t)strtoll(text, &end, 10) : strtoull(text, &end, 10);
        if (type == WASM_I32 || type == WASM_F32)
            *out &= UINT32_MAX;
        return *end == 0 && end != text;
    }
    return false;
}

// NaNs by their class: canonical has the top bit of the fraction alone, arithmetic at least that.
static bool is_nan_class(uint8_t type, const char *class, uint64_t bits) {
    bool is_f32 = type == WASM_F32;
    uint64_t sign = is_f32 ? UINT64_C(1) << 31 : UINT64_C(1) << 63;
    uint64_t canonical = is_f32 ? 0x7fc00000 : UINT64_C(0x7ff8000000000000);
    if (strcmp(class, "nan:canonical") == 0)
        return (bits & ~sign) == canonical;
    return (bits & canonical) == canonical;
}

static bool slot_matches(uint8_t type, const json_t *expected, uint64_t bits) {
    const char *name = json_string_value(json_object_get(expected, "type"));
    const char *text = json_string_value(json_object_get(expected, "value"));
    if (name == NULL)
        return false;
    if (strcmp(name, "refnull") == 0)
        return type == WASM_EXTERNREF && bits == 0;
    if (text == NULL)  // any reference but null
        return type == WASM_EXTERNREF && strcmp(name, "externref") == 0 && bits != 0;
    bool is_float = (type == WASM_F32 && strcmp(name, "f32") == 0) ||
                    (type == WASM_F64 && strcmp(name, "f64") == 0);
    if (is_float && strncmp(text, "nan:", 4) == 0)
        return is_nan_class(type, text, bits);
    uint64_t wanted;
    return parse_slot(type, expected, &wanted) && wanted == bits;
}

static enum invocation compare(const uint8_t *types, uint32_t count, const uint64_t *slots,
                               const json_t *expected, struct error *error) {
    bool same = expected == NULL || json_array_size(expected) == count;
    for (uint32_t i = 0; same && expected != NULL && i < count; i++)
        same = slot_matches(types[i], json_array_get(expected, i), slots[i]);
    if (same)
        return INVOKE_AS_EXPECTED;
    char *wanted = json_dumps(expected, JSON_COMPACT);
    struct buf got = {0};
    for (uint32_t i = 0; i < count; i++)
        buf_format(&got, " 0x%llx", (unsigned long long)slots[i]);
    (void)error_set(error, ERR_INVALID, "expected %s, got%s", wanted,
                    count == 0 ? " nothing" : buf_text(&got));
    buf_release(&got);
    free(wanted);
    return INVOKE_DIFFERENT;
}

// ---- actions -----------------------------------------------------------------------------------

static enum invocation get_global(const struct wasm_extern *item, const json_t *expected,
                                  struct error *error) {
    const struct wasm_global *global = item->of.global;
    uint8_t type = (uint8_t)global->type;
    if (type == WASM_FUNCREF) {
        (void)error_set(error, ERR_UNSUPPORTED, "function references as values");
        return INVOKE_UNSUPPORTED;
    }
    uint64_t bits = 0;
    memcpy(&bits, global->value, type == WASM_I32 || type == WASM_F32 ? 4 : 8);
    return compare(&type, 1, &bits, expected, error);
}

static bool passes_functions(const struct wasm_func_type *type) {
    return (type->param_count > 0 && memchr(type->params, WASM_FUNCREF, type->param_count)) ||
           (type->result_count > 0 && memchr(type->results, WASM_FUNCREF, type->result_count));
}

static enum invocation call(const struct wasm_func *func, const json_t *args,
                            const json_t *expected, struct error *error) {
    const struct wasm_func_type *type = func->type;
    if (passes_functions(type)) {
        (void)error_set(error, ERR_UNSUPPORTED, "function references as values");
        return INVOKE_UNSUPPORTED;
    }
    uint64_t *slots = xcalloc(type->param_count + type->result_count + 1u, sizeof *slots);
    bool parsed = json_array_size(args) == type->param_count;
    for (uint32_t i = 0; parsed && i < type->param_count; i++)
        parsed = parse_slot(type->params[i], json_array_get(args, i), &slots[i]);
    enum invocation result = INVOKE_DIFFERENT;
    if (!parsed) {
        (void)error_set(error, ERR_INVALID, "the arguments do not fit the function's type");
    } else if (!wasm_call(func, slots)) {
        const struct wasm_context *context = wasm_context_current();
        (void)error_set(
            error, ERR_TRAP, "%s",
            context->trap == WASM_TRAP_HOST ? context->host_trap : wasm_trap_text(context->trap));
        result = INVOKE_TRAPPED;
    } else {
        result = compare(type->results, type->result_count, slots, expected, error);
    }
    free(slots);
    return result;
}

static enum invocation core_invoke(void *state, void *data, const json_t *action,
                                   const json_t *expected, struct error *error) {
    (void)state;
    const struct core_instance *instance = data;
    const json_t *field = json_object_get(action, "field");
    struct slice name = slice_of(json_string_value(field), json_string_length(field));
    bool is_get = strcmp(json_string_value(json_object_get(action, "type")), "get") == 0;
    int index = find_export(instance, name);
    enum wasm_kind wanted = is_get ? WASM_GLOBAL : WASM_FUNC;
    struct wasm_extern item = {.kind = wanted};
    if (index >= 0)
        item = wasm_instance_export(instance->instance, (uint32_t)index);
    if (index < 0 || item.kind != wanted) {
        (void)error_set(error, ERR_NOT_FOUND, "the instance exports no such %s",
                        is_get ? "global" : "function");
        return INVOKE_DIFFERENT;
    }
    return is_get ? get_global(&item, expected, error)
                  : call(&item.of.func, json_object_get(action, "args"), expected, error);
}

// The room has one trap for calls through a table that cannot be made.
static const struct trap_text core_trap_texts[] = {
    {"undefined element", "indirect call"},
    {"uninitialized element", "indirect call"},
    {"indirect call type mismatch", "indirect call"},
    {NULL, NULL},
};

const struct suite_kind core_kind = {
    .name = "module",
    .open = core_open,
    .close = core_close,
    .define = core_define,
    .definition_free = core_definition_free,
    .unsupported = core_unsupported,
    .instantiate = core_instantiate,
    .instance_free = core_instance_free,
    .publish = core_publish,
    .invoke = core_invoke,
    .trap_texts = core_trap_texts,
};

// SPDX-License-Identifier: Apache-2.0
// The commands of one converted test file, in order. What they do to a module or a component is
// the kind's; here is what they expect.
#include "suite.h"

#define CALL_CPU_NS (UINT64_C(20) * 1000000000)

static const char *text_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

// ---- definitions and instances -----------------------------------------------------------------

static void name_it(struct map *map, const char *name, void *value) {
    if (name == NULL)
        return;
    (void)map_remove(map, slice_text(name));
    (void)map_add(map, slice_text(name), value);
}

static struct suite_definition *definition_new(struct suite *suite) {
    struct suite_definition *definition = xcalloc(1, sizeof *definition);
    definition->next = suite->first_definition;
    suite->first_definition = definition;
    return definition;
}

static struct suite_instance *instance_new(struct suite *suite) {
    struct suite_instance *instance = xcalloc(1, sizeof *instance);
    instance->next = suite->first_instance;
    suite->first_instance = instance;
    suite->current = instance;
    return instance;
}

// Newest first: an instance may hold what an older one exports.
static void release_all(struct suite *suite) {
    for (struct suite_instance *next, *instance = suite->first_instance; instance != NULL;
         instance = next) {
        next = instance->next;
        if (instance->handle != NULL)
            suite->kind->instance_free(instance->handle);
        free(instance->missing);
        free(instance);
    }
    for (struct suite_definition *next, *definition = suite->first_definition; definition != NULL;
         definition = next) {
        next = definition->next;
        if (definition->handle != NULL)
            suite->kind->definition_free(definition->handle);
        free(definition->missing);
        free(definition);
    }
    map_release(&suite->definitions);
    map_release(&suite->instances);
}

// The binary of the command, or NULL when it exists as text only.
static const char *binary_of(const json_t *command) {
    const char *binary = text_of(command, "binary_filename");
    const char *type = text_of(command, "module_type");
    if (binary != NULL)
        return binary;
    return type != NULL && strcmp(type, "text") == 0 ? NULL : text_of(command, "filename");
}

// Loads the command's binary. `unsupported` gets the name of a feature that is not aimed at when
// that is why it is refused, else NULL; free it.
static enum status define(struct suite *suite, const char *binary, void **out, char **unsupported,
                          struct error *error) {
    *out = NULL;
    *unsupported = NULL;
    char *path = file_join(suite->folder, binary);
    struct bytes *bytes = NULL;
    if (file_read(path, DRIVER_FILE_BYTES, &bytes, error) != OK) {
        free(path);
        return ERR_IO;
    }
    free(path);
    driver_begin_turn(suite->driver, CALL_CPU_NS);
    enum status status = suite->kind->define(suite->state, bytes, out, error);
    bytes_unref(bytes);
    if (status == ERR_UNSUPPORTED) {
        char *features = suite_features(suite, binary);
        *unsupported = suite->kind->unsupported(error, features);
        free(features);
    }
    return status;
}

static const char needs_failed[] = "needs what failed before";

static struct suite_definition *run_definition(struct suite *suite) {
    struct suite_definition *definition = definition_new(suite);
    name_it(&suite->definitions, text_of(suite->command, "name"), definition);
    // The one that a module_instance without a name means.
    name_it(&suite->definitions, "", definition);
    const char *binary = binary_of(suite->command);
    if (binary == NULL) {
        definition->missing = xstrdup("text format");
        suite_skip(suite, "text format");
        return definition;
    }
    struct error error = {.code = OK};
    char *unsupported;
    enum status status = define(suite, binary, &definition->handle, &unsupported, &error);
    if (unsupported != NULL) {
        suite_skip(suite, "%s", unsupported);
        definition->missing = unsupported;
    } else if (status != OK) {
        suite_fail(suite, "expected to be accepted, got %s: %s", status_text(status),
                   error.message);
        definition->missing = xstrdup(needs_failed);
    }
    return definition;
}

// Gives whether there is an instance now; if not, the command has been reported.
static bool instantiate(struct suite *suite, const struct suite_definition *definition,
                        const char *name) {
    struct suite_instance *instance = instance_new(suite);
    name_it(&suite->instances, name, instance);
    if (definition->handle == NULL) {
        instance->missing = xstrdup(definition->missing);
        return false;
    }
    struct error error = {.code = OK};
    driver_begin_turn(suite->driver, CALL_CPU_NS);
    enum status status =
        suite->kind->instantiate(suite->state, definition->handle, &instance->handle, &error);
    if (status == OK)
        return true;
    instance->missing = status == ERR_UNSUPPORTED ? suite->kind->unsupported(&error, NULL) : NULL;
    if (instance->missing != NULL) {
        suite_skip(suite, "%s", instance->missing);
        return false;
    }
    suite_fail(suite, "expected an instance, got %s: %s", status_text(status), error.message);
    instance->missing = xstrdup(needs_failed);
    return false;
}

static void run_module(struct suite *suite) {
    const struct suite_definition *definition = run_definition(suite);
    if (instantiate(suite, definition, text_of(suite->command, "name")))
        suite_pass(suite);
}

static void run_module_definition(struct suite *suite) {
    if (run_definition(suite)->handle != NULL)
        suite_pass(suite);
}

static void run_module_instance(struct suite *suite) {
    const char *module = text_of(suite->command, "module");
    const struct suite_definition *definition =
        map_get_text(&suite->definitions, module == NULL ? "" : module);
    if (definition == NULL) {
        suite_fail(suite, "no definition '%s'", module == NULL ? "" : module);
        return;
    }
    if (instantiate(suite, definition, text_of(suite->command, "instance")))
        suite_pass(suite);
    else if (definition->handle == NULL)
        suite_skip(suite, "%s", definition->missing);
}

// The instance that the command or its action names, or the last one; NULL when there is none.
static struct suite_instance *instance_of(struct suite *suite, const char *name) {
    return name == NULL ? suite->current : map_get_text(&suite->instances, name);
}

static void run_register(struct suite *suite) {
    const struct suite_instance *instance = instance_of(suite, text_of(suite->command, "name"));
    if (instance == NULL)
        suite_fail(suite, "no instance to register");
    else
        suite->kind->publish(suite->state, text_of(suite->command, "as"), instance->handle,
                             instance->missing);
}

// ---- calls -------------------------------------------------------------------------------------

static bool trap_matches(const struct suite *suite, const char *expected, const char *ours) {
    static const char prefix[] = "wasm trap: ";
    if (strncmp(expected, prefix, strlen(prefix)) == 0)
        expected += strlen(prefix);
    if (strstr(ours, expected) != NULL)
        return true;
    for (const struct trap_text *row = suite->kind->trap_texts; row->expected != NULL; row++)
        if (strncmp(expected, row->expected, strlen(row->expected)) == 0 &&
            strstr(ours, row->ours) != NULL)
            return true;
    return false;
}

// Does the command's action; false when it has been reported already.
static bool invoke(struct suite *suite, const json_t *expected, enum invocation *out,
                   struct error *error) {
    const json_t *action = json_object_get(suite->command, "action");
    const struct suite_instance *instance = instance_of(suite, text_of(action, "module"));
    if (instance == NULL) {
        suite_fail(suite, "no instance to act on");
        return false;
    }
    if (instance->handle == NULL) {
        suite_skip(suite, "%s", instance->missing);
        return false;
    }
    driver_begin_turn(suite->driver, CALL_CPU_NS);
    *out = suite->kind->invoke(suite->state, instance->handle, action, expected, error);
    if (*out == INVOKE_UNSUPPORTED) {
        suite_skip(suite, "%s", error->message);
        return false;
    }
    return true;
}

// assert_return, and action with any result.
static void run_return(struct suite *suite) {
    struct error error = {.code = OK};
    enum invocation result;
    if (!invoke(suite, json_object_get(suite->command, "expected"), &result, &error))
        return;
    if (result == INVOKE_AS_EXPECTED)
        suite_pass(suite);
    else if (result == INVOKE_TRAPPED)
        suite_fail(suite, "expected a return, got the trap: %s", error.message);
    else
        suite_fail(suite, "%s", error.message);
}

// assert_trap and assert_exhaustion.
static void run_trap(struct suite *suite) {
    const char *expected = text_of(suite->command, "text");
    struct error error = {.code = OK};
    enum invocation result;
    if (!invoke(suite, NULL, &result, &error))
        return;
    if (result == INVOKE_DIFFERENT)
        suite_fail(suite, "%s", error.message);
    else if (result != INVOKE_TRAPPED)
        suite_fail(suite, "expected the trap '%s', got a return", expected);
    else if (!trap_matches(suite, expected, error.message))
        suite_fail(suite, "expected the trap '%s', got '%s'", expected, error.message);
    else
        suite_pass(suite);
}

static void run_exception(struct suite *suite) {
    suite_skip(suite, "exceptions");
}

// ---- refusals ----------------------------------------------------------------------------------

// assert_invalid and assert_malformed: refused as invalid, by whichever check.
static void run_refusal(struct suite *suite) {
    const char *binary = binary_of(suite->command);
    if (binary == NULL) {
        suite_skip(suite, "text format");
        return;
    }
    struct error error = {.code = OK};
    void *definition;
    char *unsupported;
    enum status status = define(suite, binary, &definition, &unsupported, &error);
    const char *expected = text_of(suite->command, "text");
    if (unsupported != NULL)
        suite_skip(suite, "%s", unsupported);
    else if (status == ERR_INVALID)
        suite_pass(suite);
    else if (status == OK)
        suite_fail(suite, "expected to be refused ('%s'), got accepted", expected);
    else
        suite_fail(suite, "expected to be invalid ('%s'), got %s: %s", expected,
                   status_text(status), error.message);
    if (definition != NULL)
        suite->kind->definition_free(definition);
    free(unsupported);
}

// assert_unlinkable and assert_uninstantiable. An instance that was made is kept: what it did to
// others lasts.
static void run_no_instance(struct suite *suite, enum status wanted, enum status or_wanted) {
    const char *binary = binary_of(suite->command);
    const char *expected = text_of(suite->command, "text");
    struct suite_instance *current = suite->current;
    struct suite_definition *definition = definition_new(suite);
    struct error error = {.code = OK};
    char *unsupported = NULL;
    enum status status =
        define(suite, binary == NULL ? "" : binary, &definition->handle, &unsupported, &error);
    if (unsupported != NULL) {
        suite_skip(suite, "%s", unsupported);
        free(unsupported);
        return;
    }
    if (status != OK) {
        suite_fail(suite, "expected to be accepted, got %s: %s", status_text(status),
                   error.message);
        return;
    }
    struct suite_instance *instance = instance_new(suite);
    suite->current = current;
    driver_begin_turn(suite->driver, CALL_CPU_NS);
    status = suite->kind->instantiate(suite->state, definition->handle, &instance->handle, &error);
    if (status == ERR_UNSUPPORTED)
        unsupported = suite->kind->unsupported(&error, NULL);
    if (unsupported != NULL)
        suite_skip(suite, "%s", unsupported);
    else if (status != wanted && status != or_wanted)
        suite_fail(suite, "expected no instance ('%s'), got %s: %s", expected,
                   status == OK ? "one" : status_text(status), error.message);
    else if (!trap_matches(suite, expected, error.message))
        suite_fail(suite, "expected '%s', got '%s'", expected, error.message);
    else
        suite_pass(suite);
    free(unsupported);
}

static void run_unlinkable(struct suite *suite) {
    run_no_instance(suite, ERR_INVALID, ERR_NOT_FOUND);
}

static void run_uninstantiable(struct suite *suite) {
    run_no_instance(suite, ERR_TRAP, ERR_TRAP);
}

// ---- the file ----------------------------------------------------------------------------------

static const struct {
    const char *type;
    void (*run)(struct suite *suite);
} commands[] = {
    {"module", run_module},
    {"module_definition", run_module_definition},
    {"module_instance", run_module_instance},
    {"register", run_register},
    {"action", run_return},
    {"assert_return", run_return},
    {"assert_trap", run_trap},
    {"assert_exhaustion", run_trap},
    {"assert_exception", run_exception},
    {"assert_invalid", run_refusal},
    {"assert_malformed", run_refusal},
    {"assert_unlinkable", run_unlinkable},
    {"assert_uninstantiable", run_uninstantiable},
};

static void run_command(struct suite *suite) {
    const char *type = text_of(suite->command, "type");
    for (size_t i = 0; type != NULL && i < COUNT_OF(commands); i++)
        if (strcmp(type, commands[i].type) == 0) {
            commands[i].run(suite);
            return;
        }
    suite_fail(suite, "this runner does not know the command");
}

// Files are of one kind; the commands that have a binary say which.
static const struct suite_kind *kind_of(const json_t *list) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *kind = text_of(json_array_get(list, i), "kind");
        if (kind != NULL)
            return strcmp(kind, component_kind.name) == 0 ? &component_kind : &core_kind;
    }
    return &core_kind;
}

bool suite_run(struct suite *suite, struct error *error) {
    json_error_t json_error;
    json_t *root = json_load_file(suite->path, JSON_ALLOW_NUL, &json_error);
    const json_t *list = json_object_get(root, "commands");
    if (!json_is_array(list)) {
        (void)error_set(error, ERR_INVALID, "%s:%d: %s", suite->path, json_error.line,
                        root == NULL ? json_error.text : "no list of commands");
        json_decref(root);
        return false;
    }
    suite->folder = file_folder(suite->path);
    suite_find_manifest(suite);
    suite->kind = kind_of(list);
    const char *left_out = suite_left_out(suite);
    if (left_out == NULL)
        suite->state = suite->kind->open(suite, error);
    bool is_open = left_out != NULL || suite->state != NULL;
    for (size_t i = 0; is_open && i < json_array_size(list); i++) {
        suite->command = json_array_get(list, i);
        if (left_out != NULL)
            suite_skip(suite, "%s", left_out);
        else
            run_command(suite);
    }
    if (is_open)
        suite_close_report(suite);
    release_all(suite);
    if (suite->state != NULL)
        suite->kind->close(suite->state);
    json_decref(suite->manifest);
    free(suite->manifest_key);
    free(suite->folder);
    json_decref(root);
    return is_open;
}

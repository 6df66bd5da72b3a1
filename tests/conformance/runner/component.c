// SPDX-License-Identifier: Apache-2.0
// Components: load, compile, link to the host's instances, call.
#include "component/component.h"
#include "suite.h"
#include "values.h"

struct component_state {
    struct driver *driver;
    struct arena arguments;  // of a call: arguments and the expected result
    struct arena results;
};

struct component_made {
    struct component_linked *linked;
    struct component_instance *instance;
};

static enum status define(void *state, struct bytes *bytes, void **out, struct error *error) {
    const struct component_state *components = state;
    struct component *component;
    enum status status = component_load(bytes, NULL, &component, error);
    if (status != OK)
        return status;
    status =
        component_compile(component, components->driver->compiler, components->driver->tier, error);
    if (status == OK) {
        *out = component;
    } else {
        component_unref(component);
    }
    return status;
}

static void definition_free(void *definition) {
    component_unref(definition);
}

// The manifest says what a component needs beyond the synchronous 0.2 set; whatever else is not
// supported is a failure.
static char *unsupported(const struct error *error, const char *features) {
    (void)error;
    return features == NULL ? NULL : xstrdup(features);
}

// No component that the suites instantiate imports a function; one that does needs a table here.
static enum status no_imports(void *resolver, const struct component_import *import,
                              struct component_host_func *out, struct error *error) {
    (void)resolver;
    (void)out;
    return error_set(error, ERR_NOT_FOUND,
                     "unknown import: the host has no function \"%.*s\" \"%.*s\"",
                     (int)import->interface.size, (const char *)import->interface.data,
                     (int)import->name.size, (const char *)import->name.data);
}

static enum status instantiate(void *state, void *definition, void **out, struct error *error) {
    const struct component_state *components = state;
    struct component_linked *linked;
    enum status status = component_link(definition, no_imports, NULL, NULL, &linked, error);
    if (status != OK)
        return status;
    struct component_instance *instance;
    if (component_instantiate(linked, NULL, &components->driver->budget, &instance, error) !=
        COMPONENT_DONE) {
        component_linked_unref(linked);
        return error->code;
    }
    struct component_made *made = xcalloc(1, sizeof *made);
    made->linked = linked;
    made->instance = instance;
    *out = made;
    return OK;
}

static void instance_free(void *data) {
    struct component_made *made = data;
    component_instance_free(made->instance);
    component_linked_unref(made->linked);
    free(made);
}

static void publish(void *state, const char *name, void *instance, const char *missing) {
    // No component suite registers an instance.
    (void)state;
    (void)name;
    (void)instance;
    (void)missing;
}

static void *open_state(struct suite *suite, struct error *error) {
    (void)error;
    struct component_state *components = xcalloc(1, sizeof *components);
    components->driver = suite->driver;
    arena_init(&components->arguments, DRIVER_ARENA_BYTES);
    arena_init(&components->results, DRIVER_ARENA_BYTES);
    return components;
}

static void close_state(void *state) {
    struct component_state *components = state;
    arena_release(&components->arguments);
    arena_release(&components->results);
    free(components);
}

// ---- calls -------------------------------------------------------------------------------------

static bool parse_values(struct component_state *components, const struct component_func_type *type,
                         const json_t *args, const json_t *expected, struct value **values,
                         struct value *wanted) {
    struct arena *arena = &components->arguments;
    *values = ARENA_ARRAY(arena, struct value, type->param_count + 1u);
    bool parsed = json_array_size(args) == type->param_count &&
                  (expected == NULL || json_array_size(expected) == (type->result != NULL));
    for (uint32_t i = 0; parsed && i < type->param_count; i++)
        parsed = value_parse(arena, type->params[i], json_array_get(args, i), &(*values)[i]);
    if (parsed && expected != NULL && type->result != NULL)
        parsed = value_parse(arena, type->result, json_array_get(expected, 0), wanted);
    return parsed;
}

static enum invocation differs(const struct component_type *type, const struct value *result,
                               const struct value *wanted, struct error *error) {
    struct buf text = {0};
    buf_append_text(&text, "expected ");
    value_print(type, wanted, &text);
    buf_append_text(&text, ", got ");
    value_print(type, result, &text);
    (void)error_set(error, ERR_INVALID, "%s", buf_text(&text));
    buf_release(&text);
    return INVOKE_DIFFERENT;
}

static enum invocation invoke(void *state, void *data, const json_t *action, const json_t *expected,
                              struct error *error) {
    struct component_state *components = state;
    struct component_made *made = data;
    const char *field = json_string_value(json_object_get(action, "field"));
    const struct component *component = component_linked_component(made->linked);
    int index = driver_find(component, "", field);
    if (index < 0) {
        (void)error_set(error, ERR_NOT_FOUND, "the component exports no function '%s'", field);
        return INVOKE_DIFFERENT;
    }
    const struct component_func_type *type = component_export_at(component, (uint32_t)index)->type;
    arena_reset(&components->arguments);
    arena_reset(&components->results);
    struct value *values, wanted = {.bits = 0}, result = {.bits = 0};
    if (!parse_values(components, type, json_object_get(action, "args"), expected, &values,
                      &wanted)) {
        (void)error_set(error, ERR_INVALID, "the values do not fit the function's type");
        return INVOKE_DIFFERENT;
    }
    if (component_call(made->instance, (uint32_t)index, values, &result, &components->results,
                       error) == COMPONENT_TRAPPED)
        return INVOKE_TRAPPED;
    if (expected != NULL && type->result != NULL && !value_same(type->result, &result, &wanted))
        return differs(type->result, &result, &wanted, error);
    return INVOKE_AS_EXPECTED;
}

// Where the words of the suites and ours differ: what they say of a list's content that lies
// outside of memory, or is not aligned, is said here of the pointer that realloc gave.
static const struct trap_text trap_texts[] = {
    {"unaligned pointer", "not aligned to"},
    {"list content out-of-bounds", "beyond end of memory"},
    {"incomplete utf-8 byte sequence", "invalid utf-8"},
    {"cannot enter component instance", "the instance is dead after an earlier trap"},
    {"wasm `unreachable` instruction executed", "unreachable"},
    {NULL, NULL},
};

const struct suite_kind component_kind = {
    .name = "component",
    .open = open_state,
    .close = close_state,
    .define = define,
    .definition_free = definition_free,
    .unsupported = unsupported,
    .instantiate = instantiate,
    .instance_free = instance_free,
    .publish = publish,
    .invoke = invoke,
    .trap_texts = trap_texts,
};

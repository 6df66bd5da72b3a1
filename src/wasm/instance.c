// SPDX-License-Identifier: Apache-2.0
// Instances: one block of memory each, that holds this file's record, the translator's structure,
// the import table that generated code calls through, and copies of the imports.
#include <assert.h>
#include <stdlib.h>

#include "wasm/internal.h"

uint32_t *wasm_imports_of(const struct wasm_module *module, enum wasm_kind kind) {
    uint32_t *imports = xcalloc(module->body->spaces[kind].imported + 1u, sizeof *imports);
    uint32_t count = 0;
    for (uint32_t i = 0; i < module->import_count; i++)
        if (module->imports[i].type.kind == kind)
            imports[count++] = i;
    return imports;
}

uint32_t *wasm_export_imports(const struct wasm_module *module) {
    uint32_t *map = xcalloc(module->export_count + 1u, sizeof *map);
    uint32_t *imports[4];
    for (int kind = 0; kind < 4; kind++)
        imports[kind] = wasm_imports_of(module, (enum wasm_kind)kind);
    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct wasm_export *export = &module->exports[i];
        map[i] = export->index < module->body->spaces[export->type.kind].imported
                     ? imports[export->type.kind][export->index]
                     : UINT32_MAX;
    }
    for (int kind = 0; kind < 4; kind++)
        free(imports[kind]);
    return map;
}

// ---- checking imports --------------------------------------------------------------------------

static const char *const kind_names[] = {"function", "table", "memory", "global"};

static bool limits_match(const struct wasm_limits *wanted, uint64_t size, uint64_t max) {
    return size >= wanted->min && max <= wanted->max;
}

static const char *mismatch(const struct wasm_extern_type *wanted,
                            const struct wasm_extern *given) {
    if (wanted->kind != given->kind)
        return "another kind was given";
    switch (wanted->kind) {
        case WASM_FUNC:
            return wasm_func_type_equal(wanted->func, given->of.func.type)
                       ? NULL
                       : "the function has another type";
        case WASM_TABLE:
            if (given->of.table->element_type != wanted->table.element)
                return "the table has another element type";
            return limits_match(&wanted->table.limits, given->of.table->size,
                                given->of.table->max_size)
                       ? NULL
                       : "the table has other limits";
        case WASM_MEMORY:
            return limits_match(&wanted->memory, given->of.memory->pages,
                                given->of.memory->max_pages)
                       ? NULL
                       : "the memory has other limits";
        case WASM_GLOBAL:
            return given->of.global->type == wanted->global.type &&
                           given->of.global->is_mutable == wanted->global.is_mutable
                       ? NULL
                       : "the global has another type or mutability";
    }
    return "unknown kind";
}

static enum status import_error(const struct wasm_module *module, uint32_t i, enum status status,
                                const char *why, struct error *error) {
    const struct wasm_import *import = &module->imports[i];
    return error_set(error, status, "incompatible import type: %s %u (\"%.*s\" \"%.*s\"): %s",
                     kind_names[import->type.kind], i,
                     (int)(import->module.size < 100 ? import->module.size : 100),
                     (const char *)import->module.data,
                     (int)(import->name.size < 100 ? import->name.size : 100),
                     (const char *)import->name.data, why);
}

// Fills the import table; the instance has its copies already.
static enum status link_imports(struct wasm_instance *instance, struct error *error) {
    const struct wasm_module *module = instance->code->module;
    for (uint32_t i = 0; i < module->import_count; i++) {
        struct wasm_extern *given = &instance->imports[i];
        struct wasm_rt_import *link = &instance->native_imports[i];
        const char *why = mismatch(&module->imports[i].type, given);
        if (why != NULL)
            return import_error(module, i, ERR_INVALID, why, error);
        switch (given->kind) {
            case WASM_FUNC: {
                const struct wasm_func *func = &given->of.func;
                if (func->host == NULL) {
                    link->of.native =
                        func->instance->code->native->exports[func->export_index].native;
                    link->instance = func->instance->native;
                } else {
                    link->of.native = instance->code->native->host_adapters[i];
                    link->instance = &given->of.func;
                }
                if (link->of.native == NULL)
                    return import_error(module, i, ERR_UNSUPPORTED,
                                        "host functions cannot take function references", error);
                break;
            }
            case WASM_TABLE:
                link->of.pointer = given->of.table;
                break;
            case WASM_MEMORY:
                link->of.pointer = given->of.memory;
                break;
            case WASM_GLOBAL:
                link->of.pointer = given->of.global->value;
                break;
        }
    }
    return OK;
}

// ---- instances ---------------------------------------------------------------------------------

static uint64_t align16(uint64_t size) {
    return (size + 15) & ~UINT64_C(15);
}

static struct wasm_instance *new_instance(struct wasm_code *code, const struct wasm_extern *imports,
                                          struct wasm_budget *budget) {
    const struct wasm_module *module = code->module;
    uint64_t native_at = align16(sizeof(struct wasm_instance));
    // Right behind the native part: wasm-rt.h counts on it (its offsetof).
    uint64_t links_at = native_at + align16(code->native->instance_size);
    uint64_t imports_at = links_at + align16(module->import_count * sizeof(struct wasm_rt_import));
    uint64_t globals_at = imports_at + align16(module->import_count * sizeof(struct wasm_extern));
    uint64_t size = globals_at + align16(module->export_count * sizeof(struct wasm_global));
    // Not calloc: glibc's, before 2.41, goes past the thread's cache of freed blocks.
    uint8_t *block = xmalloc(size);
    memset(block, 0, size);
    struct wasm_instance *instance = (struct wasm_instance *)(void *)block;
    instance->code = wasm_code_ref(code);
    instance->budget = budget;
    instance->native = block + native_at;
    instance->native_imports = (struct wasm_rt_import *)(void *)(block + links_at);
    instance->imports = (struct wasm_extern *)(void *)(block + imports_at);
    instance->globals = (struct wasm_global *)(void *)(block + globals_at);
    if (module->import_count > 0)
        memcpy(instance->imports, imports, module->import_count * sizeof *imports);
    return instance;
}

static bool start(struct wasm_context *context, void *instance) {
    struct wasm_instance *starting = instance;
    const struct wasm_rt_code *native = starting->code->native;
    wasm_guest_enter(context);
    native->instantiate(starting->native, starting->native_imports);
    wasm_guest_leave(context);
    wasm_data_set_globals(starting);
    if (!wasm_data_copy(starting))
        wasm_trap_jump(context, WASM_TRAP_MEMORY_BOUNDS, false);
    if (native->start != NULL) {
        wasm_guest_enter(context);
        native->start(starting->native);
        wasm_guest_leave(context);
    }
    return true;
}

// The instance that a failed one must not die before: its start may have put its functions into
// this one's table or global. NULL when it can have put them nowhere.
static struct wasm_instance *keeper_of(const struct wasm_instance *instance) {
    const struct wasm_module *module = instance->code->module;
    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct wasm_extern *given = &instance->imports[i];
        if (given->kind == WASM_TABLE && given->of.table->owner != NULL)
            return given->of.table->owner;
        if (given->kind == WASM_GLOBAL && given->of.global->type == WASM_FUNCREF)
            return given->of.global->owner;
        if (given->kind == WASM_FUNC && given->of.func.instance != NULL &&
            given->of.func.type->param_count > 0 &&
            memchr(given->of.func.type->params, WASM_FUNCREF, given->of.func.type->param_count))
            return given->of.func.instance;
    }
    return NULL;
}

static enum status start_failed(struct wasm_instance *instance, struct error *error) {
    const struct wasm_context *context = wasm_context_current();
    enum status status;
    if (instance->over_budget)
        status = error_set(error, ERR_LIMIT,
                           "the instance's memories and tables are over the actor's memory limit "
                           "of %llu bytes",
                           (unsigned long long)instance->budget->memory_limit_bytes);
    else if (context->trap == WASM_TRAP_HOST)
        status = error_set(error, ERR_TRAP, "start: %s", context->host_trap);
    else
        status = error_set(error, ERR_TRAP, "start: %s", wasm_trap_text(context->trap));
    struct wasm_instance *keeper = keeper_of(instance);
    if (keeper != NULL && !instance->over_budget) {
        struct wasm_instance *last = instance;
        while (last->failed != NULL)
            last = last->failed;
        last->failed = keeper->failed;
        keeper->failed = instance;
    } else {
        wasm_instance_free(instance);
    }
    return status;
}

enum status wasm_instantiate(struct wasm_code *code, const struct wasm_extern *imports,
                             struct wasm_budget *budget, struct wasm_instance **out,
                             struct error *error) {
    assert(budget != NULL && wasm_context_current() != NULL);
    *out = NULL;
    struct wasm_instance *instance = new_instance(code, imports, budget);
    enum status status = link_imports(instance, error);
    if (status != OK) {
        wasm_instance_free(instance);
        return status;
    }
    wasm_instantiating(instance);
    if (!wasm_run(start, instance))
        return start_failed(instance, error);
    *out = instance;
    return OK;
}

void wasm_instance_free(struct wasm_instance *instance) {
    // A chain: instances kept for this one may keep others.
    while (instance != NULL) {
        struct wasm_instance *next = instance->failed;
        instance->code->native->release(instance->native);
        wasm_code_unref(instance->code);
        free(instance);
        instance = next;
    }
}

struct wasm_extern wasm_instance_export(struct wasm_instance *instance, uint32_t export_index) {
    const struct wasm_module *module = instance->code->module;
    assert(export_index < module->export_count);
    const struct wasm_extern_type *type = &module->exports[export_index].type;
    uint32_t import = instance->code->export_imports[export_index];
    if (import != UINT32_MAX)
        return instance->imports[import];
    struct wasm_extern export = {.kind = type->kind};
    const struct wasm_rt_export *native = &instance->code->native->exports[export_index];
    switch (type->kind) {
        case WASM_FUNC:
            export.of.func = (struct wasm_func){
                .type = type->func, .instance = instance, .export_index = export_index};
            break;
        case WASM_TABLE:
            export.of.table = native->get(instance->native);
            break;
        case WASM_MEMORY:
            export.of.memory = native->get(instance->native);
            break;
        case WASM_GLOBAL:
            instance->globals[export_index] =
                (struct wasm_global){.value = native->get(instance->native),
                                     .type = type->global.type,
                                     .is_mutable = type->global.is_mutable,
                                     .owner = instance};
            export.of.global = &instance->globals[export_index];
            break;
    }
    return export;
}

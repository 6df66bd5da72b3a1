// SPDX-License-Identifier: Apache-2.0
// Core modules and core instances (Binary.md, "Instance Definitions"): each instantiation becomes a
// step of the plan, with every import of the module resolved to where it comes from.
#include <assert.h>

#include "component/load.h"

// Two imports under the same names would have to be one item.
static void check_imports(struct loader *loader, const struct wasm_module *module) {
    struct map keys = {0};
    struct buf key = {0};
    for (uint32_t i = 0; i < module->import_count && loader_count(loader); i++) {
        const struct wasm_import *import = &module->imports[i];
        uint64_t size = import->module.size;
        buf_clear(&key);
        buf_append(&key, &size, sizeof size);
        buf_append_slice(&key, import->module);
        buf_append_slice(&key, import->name);
        if (!map_add(&keys, buf_slice(&key), loader)) {
            fail(loader, ERR_INVALID, "duplicate import name `%.*s:%.*s` of a core module",
                 (int)import->module.size, (const char *)import->module.data,
                 (int)import->name.size, (const char *)import->name.data);
        }
    }
    buf_release(&key);
    map_release(&keys);
}

// The module at the current section, scanned once however often its component is instantiated.
void load_module(struct loader *loader) {
    struct slice key = slice_of(&loader->at, sizeof loader->at);
    struct module_def *def = map_get(&loader->module_indices, key);
    if (def == NULL) {
        size_t size = loader->end - loader->at;
        struct component *component = loader->modules;
        const struct wasm_findings *known = component->module_count < loader->known_count
                                                ? &loader->known[component->module_count]
                                                : NULL;
        struct wasm_module *module = NULL;
        struct error error = {.code = OK};
        enum status status = wasm_module_scan_part(
            component->source, slice_of(loader->data + loader->at, size), known, &module, &error);
        if (status != OK) {
            fail(loader, status, "core module %u: %s", component->module_count, error.message);
            return;
        }
        loader->code_checked_bytes += known == NULL ? module->code_bytes : 0;
        def = LOADER_NEW(loader, struct module_def);
        def->module = module;
        def->imports = module->imports;
        def->import_count = module->import_count;
        def->index = component->module_count;
        *(struct wasm_module **)PLAN_PUSH(component, module) = module;
        check_imports(loader, module);
        def->exports = loader_map(loader);
        for (uint32_t i = 0; i < module->export_count && loader_count(loader); i++) {
            // Duplicate names were refused by the scan; the first would win here.
            (void)map_add(def->exports, module->exports[i].name, (void *)&module->exports[i]);
        }
        (void)map_add(&loader->module_indices, key, def);
    }
    loader->at = loader->end;
    scope_add(loader, SORT_CORE_MODULE, def);
}

static enum sort sort_of_kind(enum wasm_kind kind) {
    switch (kind) {
        case WASM_FUNC:
            return SORT_CORE_FUNC;
        case WASM_TABLE:
            return SORT_CORE_TABLE;
        case WASM_MEMORY:
            return SORT_CORE_MEMORY;
        case WASM_GLOBAL:
            return SORT_CORE_GLOBAL;
    }
    fatal("core kind %d", (int)kind);
}

const struct core_item *core_instance_export(struct loader *loader,
                                             const struct core_instance_def *instance,
                                             struct slice name) {
    if (instance->module == NULL) {
        return map_get(instance->items, name);
    }
    const struct wasm_export *export = map_get(instance->module->exports, name);
    if (export == NULL) {
        return NULL;
    }
    struct core_item *item = LOADER_NEW(loader, struct core_item);
    item->sort = sort_of_kind(export->type.kind);
    item->type = export->type;
    item->ref = (struct core_ref){.source = CORE_EXPORT, .index = instance->slot};
    // Of a module that is known by its type only, nothing is run.
    if (instance->module->module != NULL) {
        item->ref.export_index = (uint32_t)(export - instance->module->module->exports);
    }
    return item;
}

// Resolves one import of a module against the arguments of its instantiation.
static struct core_ref resolve_import(struct loader *loader, const struct wasm_import *import,
                                      const struct map *arguments) {
    struct core_ref none = {.source = CORE_STUB};
    const struct core_instance_def *instance = map_get(arguments, import->module);
    if (instance == NULL) {
        fail(loader, ERR_INVALID, "core instantiation lacks the argument '%.*s'",
             (int)import->module.size, (const char *)import->module.data);
        return none;
    }
    const struct core_item *item = core_instance_export(loader, instance, import->name);
    if (failed(loader)) {
        return none;
    }
    if (item == NULL || item->sort != sort_of_kind(import->type.kind)) {
        fail(loader, ERR_INVALID, "core argument '%.*s' has no %s '%.*s'", (int)import->module.size,
             (const char *)import->module.data, sort_name(sort_of_kind(import->type.kind)),
             (int)import->name.size, (const char *)import->name.data);
        return none;
    }
    if (!core_type_fits(&item->type, &import->type)) {
        fail(loader, ERR_INVALID, "core argument '%.*s' '%.*s' is a %s of another type",
             (int)import->module.size, (const char *)import->module.data, (int)import->name.size,
             (const char *)import->name.data, sort_name(item->sort));
    }
    return item->ref;
}

static void add_step(struct loader *loader, const struct module_def *module,
                     const struct map *arguments) {
    struct component *component = loader->component;
    uint32_t count = module->import_count;
    if (module->module == NULL && !loader->is_checking) {
        fail(loader, ERR_UNSUPPORTED, "instantiating a core module that the host would give");
        return;
    }
    struct core_ref *imports = ARENA_ARRAY(&component->arena, struct core_ref, count);
    for (uint32_t i = 0; i < count && loader_count(loader); i++) {
        imports[i] = resolve_import(loader, &module->imports[i], arguments);
    }
    if (failed(loader)) {
        return;
    }
    struct core_instance_def *def = LOADER_NEW(loader, struct core_instance_def);
    def->module = module;
    def->slot = component->step_count;
    struct plan_step *step = PLAN_PUSH(component, step);
    *step = (struct plan_step){.module = module->index, .imports = imports, .import_count = count};
    if (count > component->most_imports) {
        component->most_imports = count;
    }
    scope_add(loader, SORT_CORE_INSTANCE, def);
}

static void load_instantiation(struct loader *loader) {
    const struct module_def *module = scope_read(loader, SORT_CORE_MODULE);
    uint32_t count = read_count(loader, "arguments");
    struct map *arguments = loader_map(loader);
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        struct slice name = read_name(loader);
        if (read_byte(loader) != 0x12) {
            fail(loader, ERR_INVALID, "an argument of a core instantiation is not an instance");
        }
        const struct core_instance_def *instance = scope_read(loader, SORT_CORE_INSTANCE);
        if (!failed(loader) && !map_add(arguments, name, (void *)instance)) {
            fail(loader, ERR_INVALID, "two arguments named '%.*s'", (int)name.size,
                 (const char *)name.data);
        }
    }
    if (!failed(loader)) {
        add_step(loader, module, arguments);
    }
}

static void load_inline_exports(struct loader *loader) {
    struct core_instance_def *def = LOADER_NEW(loader, struct core_instance_def);
    def->items = loader_map(loader);
    uint32_t count = read_count(loader, "exports");
    for (uint32_t i = 0; i < count && loader_count(loader); i++) {
        struct slice name = read_name(loader);
        enum sort sort = read_core_sort(loader);
        if (failed(loader)) {
            return;
        }
        if (sort > SORT_CORE_TAG) {
            fail(loader, ERR_INVALID, "a core instance cannot export a %s", sort_name(sort));
            return;
        }
        const struct core_item *item = scope_read(loader, sort);
        if (!failed(loader) && !map_add(def->items, name, (void *)item)) {
            fail(loader, ERR_INVALID, "two exports named '%.*s'", (int)name.size,
                 (const char *)name.data);
        }
    }
    scope_add(loader, SORT_CORE_INSTANCE, def);
}

void load_core_instance(struct loader *loader) {
    uint8_t form = read_byte(loader);
    if (form == 0x00) {
        load_instantiation(loader);
    } else if (form == 0x01) {
        load_inline_exports(loader);
    } else {
        fail(loader, ERR_INVALID, "unknown form of core instance 0x%02x", form);
    }
}

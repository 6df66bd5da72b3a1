// SPDX-License-Identifier: Apache-2.0
// Core types at component level (Binary.md, "Type Definitions"): of functions, and of modules,
// which components may import and export.
#include <assert.h>

#include "component/load.h"

// Memory that the plan keeps, since functions' types may end up in it.
#define KEPT(loader) (&(loader)->modules->arena)

static uint8_t read_core_value_type(struct loader *loader) {
    uint8_t type = read_byte(loader);
    if (type == 0x7b) {
        fail(loader, ERR_UNSUPPORTED, "SIMD in a core type");
    } else if (type == 0x63 || type == 0x64 || (type >= 0x68 && type <= 0x6e) || type == 0x71 ||
               type == 0x72 || type == 0x73) {
        fail(loader, ERR_UNSUPPORTED, "garbage-collected references in a core type");
    } else if (type != WASM_I32 && type != WASM_I64 && type != WASM_F32 && type != WASM_F64 &&
               type != WASM_FUNCREF && type != WASM_EXTERNREF) {
        fail(loader, ERR_INVALID, "unknown core value type 0x%02x", type);
    }
    return type;
}

static const uint8_t *read_core_value_types(struct loader *loader, uint32_t *count) {
    *count = read_count(loader, "core value types");
    uint8_t *types = arena_alloc(KEPT(loader), *count, 1);
    for (uint32_t i = 0; i < *count && !failed(loader); i++) {
        types[i] = read_core_value_type(loader);
    }
    return types;
}

static struct wasm_func_type *read_core_func_type(struct loader *loader) {
    struct wasm_func_type *type = ARENA_NEW(KEPT(loader), struct wasm_func_type);
    type->params = read_core_value_types(loader, &type->param_count);
    type->results = read_core_value_types(loader, &type->result_count);
    return type;
}

// A function type marked for subtyping: without types above it, it is one like any other here.
static struct wasm_func_type *read_core_subtype(struct loader *loader, uint8_t code) {
    // 0x50 alone begins a module type, so here it stands behind a zero.
    if (code == 0x00 && read_byte(loader) != 0x50) {
        fail(loader, ERR_INVALID, "unknown core type 0x00");
    }
    if (read_u32(loader) != 0 || read_byte(loader) != 0x60) {
        fail(loader, ERR_UNSUPPORTED, "garbage-collected core types");
    }
    return failed(loader) ? NULL : read_core_func_type(loader);
}

// ---- what modules import and export
// --------------------------------------------------------------

static uint64_t read_limit(struct loader *loader, uint64_t most, const char *what) {
    uint32_t value = read_u32(loader);
    if (value > most) {
        fail(loader, ERR_INVALID, "%s must be at most %llu, found %u", what,
             (unsigned long long)most, value);
    }
    return value;
}

static struct wasm_limits read_limits(struct loader *loader, uint64_t most, const char *what) {
    struct wasm_limits limits = {.max = UINT64_MAX};
    uint8_t flags = read_byte(loader);
    if (flags > 7) {
        fail(loader, ERR_INVALID, "unknown form of limits 0x%02x", flags);
    } else if (flags > 1) {
        fail(loader, ERR_UNSUPPORTED, "shared or 64-bit memories and tables in a core type");
    }
    limits.min = read_limit(loader, most, what);
    if ((flags & 1) != 0) {
        limits.max = read_limit(loader, most, what);
        if (limits.max < limits.min) {
            fail(loader, ERR_INVALID, "size minimum must not be greater than maximum");
        }
    }
    return limits;
}

static struct wasm_extern_type read_core_extern_type(struct loader *loader) {
    enum { PAGES_MAX = 65536 };
    struct wasm_extern_type type = {.kind = WASM_FUNC};
    uint8_t kind = read_byte(loader);
    if (kind == WASM_FUNC) {
        const struct core_type_def *def = scope_read(loader, SORT_CORE_TYPE);
        if (!failed(loader) && def->func == NULL) {
            fail(loader, ERR_INVALID, "core type is not a function type");
        }
        type.func = failed(loader) ? NULL : def->func;
    } else if (kind == WASM_TABLE) {
        type.table.element = read_core_value_type(loader);
        if (type.table.element != WASM_FUNCREF && type.table.element != WASM_EXTERNREF) {
            fail(loader, ERR_INVALID, "a table of 0x%02x", type.table.element);
        }
        type.table.limits = read_limits(loader, UINT32_MAX, "table size");
    } else if (kind == WASM_MEMORY) {
        type.memory = read_limits(loader, PAGES_MAX, "memory size");
    } else if (kind == WASM_GLOBAL) {
        type.global.type = read_core_value_type(loader);
        uint8_t is_mutable = read_byte(loader);
        if (is_mutable > 1) {
            fail(loader, ERR_INVALID, "malformed mutability 0x%02x", is_mutable);
        }
        type.global.is_mutable = is_mutable == 1;
    } else if (kind == 0x04) {
        fail(loader, ERR_UNSUPPORTED, "core tags (exceptions)");
    } else {
        fail(loader, ERR_INVALID, "unknown core kind 0x%02x", kind);
    }
    type.kind = (enum wasm_kind)kind;
    return type;
}

// ---- module types
// --------------------------------------------------------------------------------

// Both names of an import in one key: the size tells where the first one ends.
static void import_key(const struct wasm_import *import, struct buf *out) {
    uint64_t size = import->module.size;
    buf_append(out, &size, sizeof size);
    buf_append_slice(out, import->module);
    buf_append_slice(out, import->name);
}

const struct wasm_import *module_import(struct loader *loader, const struct module_def *module,
                                        const struct wasm_import *import) {
    assert(module != NULL && import != NULL);
    struct buf key = {0};
    import_key(import, &key);
    const struct wasm_import *found = NULL;
    if (module->import_keys != NULL) {
        found = map_get(module->import_keys, buf_slice(&key));
    }
    for (uint32_t i = 0; module->import_keys == NULL && i < module->import_count; i++) {
        if (slice_equal(module->imports[i].module, import->module) &&
            slice_equal(module->imports[i].name, import->name) && loader_work(loader, i)) {
            found = &module->imports[i];
            break;
        }
    }
    buf_release(&key);
    return found;
}

static void read_module_import(struct loader *loader, struct module_def *module,
                               struct buf *imports) {
    struct wasm_import import = {.module = read_name(loader)};
    import.name = read_name(loader);
    import.type = read_core_extern_type(loader);
    if (failed(loader) || !loader_count(loader)) {
        return;
    }
    struct wasm_import *kept = LOADER_NEW(loader, struct wasm_import);
    *kept = import;
    struct buf key = {0};
    import_key(&import, &key);
    if (!map_add(module->import_keys, buf_slice(&key), kept)) {
        fail(loader, ERR_INVALID, "duplicate import name `%.*s:%.*s` in a module type",
             (int)import.module.size, (const char *)import.module.data, (int)import.name.size,
             (const char *)import.name.data);
    }
    buf_release(&key);
    buf_append(imports, &import, sizeof import);
    module->import_count++;
}

static void read_module_export(struct loader *loader, struct module_def *module) {
    struct wasm_export *export = LOADER_NEW(loader, struct wasm_export);
    export->name = read_name(loader);
    export->type = read_core_extern_type(loader);
    if (!failed(loader) && loader_count(loader) &&
        !map_add(module->exports, export->name, export)) {
        fail(loader, ERR_INVALID, "export name `%.*s` already defined in a module type",
             (int)export->name.size, (const char *)export->name.data);
    }
}

static void read_module_alias(struct loader *loader) {
    if (read_byte(loader) != 0x10 || read_byte(loader) != 0x01) {
        fail(loader, ERR_INVALID, "an alias in a module type must be of an outer type");
        return;
    }
    load_outer_alias(loader, SORT_CORE_TYPE);
    const struct space *types = &loader->scope->spaces[SORT_CORE_TYPE];
    if (!failed(loader) &&
        ((const struct core_type_def *)types->items[types->count - 1])->module != NULL) {
        fail(loader, ERR_INVALID, "a module type cannot be used in a module type");
    }
}

static const struct module_def *read_module_type(struct loader *loader) {
    struct scope *outer = loader->scope;
    struct module_def *module = LOADER_NEW(loader, struct module_def);
    module->exports = loader_map(loader);
    module->import_keys = loader_map(loader);
    if (scope_enter(loader, true) == NULL) {
        return NULL;
    }
    struct buf imports = {0};
    uint32_t count = read_count(loader, "declarations");
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        uint8_t form = read_byte(loader);
        if (form == 0x00) {
            read_module_import(loader, module, &imports);
        } else if (form == 0x01 && peek_byte(loader) == 0x50) {
            fail(loader, ERR_INVALID, "a module type in a module type");
        } else if (form == 0x01) {
            load_core_type(loader);
        } else if (form == 0x02) {
            read_module_alias(loader);
        } else if (form == 0x03) {
            read_module_export(loader, module);
        } else {
            fail(loader, ERR_INVALID, "unknown declaration 0x%02x in a module type", form);
        }
    }
    struct wasm_import *kept =
        ARENA_ARRAY(&loader->arena, struct wasm_import, module->import_count);
    if (module->import_count != 0) {
        memcpy(kept, imports.data, module->import_count * sizeof *kept);
    }
    buf_release(&imports);
    module->imports = kept;
    scope_leave(loader, outer);
    return module;
}

void load_core_type(struct loader *loader) {
    uint8_t code = read_byte(loader);
    struct core_type_def *type = LOADER_NEW(loader, struct core_type_def);
    if (code == 0x60) {
        type->func = read_core_func_type(loader);
    } else if (code == 0x50) {
        type->module = read_module_type(loader);
    } else if (code == 0x00 || code == 0x4f) {
        type->func = read_core_subtype(loader, code);
    } else if (code == 0x4e || code == 0x5e || code == 0x5f) {
        fail(loader, ERR_UNSUPPORTED, "garbage-collected core types");
    } else {
        fail(loader, ERR_INVALID, "unknown core type 0x%02x", code);
    }
    if (!failed(loader)) {
        scope_add(loader, SORT_CORE_TYPE, type);
    }
}

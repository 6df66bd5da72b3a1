// SPDX-License-Identifier: Apache-2.0
// The type section (Binary.md, "Type Definitions"), and what imports and exports are declared to
// be.
#include "component/load.h"
#include "component/names.h"

// ---- value types -----------------------------------------------------------------------------

static const struct component_type *primitive_of(struct loader *loader, uint8_t code) {
    if (code >= 0x73 && code <= 0x7f) {
        return type_primitive((enum component_kind)(0x7f - code));
    }
    if (code == 0x64) {
        fail(loader, ERR_UNSUPPORTED, "error-context (asynchronous components)");
    } else {
        fail(loader, ERR_INVALID, "unknown value type 0x%02x", code);
    }
    return NULL;
}

static const struct component_type *read_value_type(struct loader *loader) {
    int64_t code = read_s33(loader);
    if (failed(loader)) {
        return NULL;
    }
    if (code < 0) {
        if (code < -64) {
            fail(loader, ERR_INVALID, "unknown value type %lld", (long long)code);
            return NULL;
        }
        return primitive_of(loader, (uint8_t)(code & 0x7f));
    }
    const struct type_def *def = scope_get(loader, SORT_TYPE, (uint32_t)code);
    if (def != NULL && def->tag != TYPE_VALUE) {
        fail(loader, ERR_INVALID, "type %lld is not a value type", (long long)code);
        return NULL;
    }
    return def == NULL ? NULL : def->value;
}

static const struct component_type *read_optional_value_type(struct loader *loader) {
    uint8_t present = read_byte(loader);
    if (present > 1) {
        fail(loader, ERR_INVALID, "expected 0 or 1 before an optional type, found 0x%02x", present);
    }
    return present == 1 ? read_value_type(loader) : NULL;
}

// The parts of a type being read; temporary.
struct parts {
    uint32_t count;
    const struct component_type **items;
    struct slice *names;
};

static struct parts parts_read_count(struct loader *loader, const char *what) {
    struct parts parts = {.count = read_count(loader, what)};
    if (!failed(loader) && parts.count == 0) {
        fail(loader, ERR_INVALID, "a type needs one or more %s", what);
    }
    if (failed(loader)) {
        parts.count = 0;
        return parts;
    }
    parts.items = ARENA_ARRAY(&loader->arena, const struct component_type *, parts.count);
    parts.names = ARENA_ARRAY(&loader->arena, struct slice, parts.count);
    return parts;
}

// A label that is in none of the labels read with the same `seen` before, whatever its case.
static struct slice read_label(struct loader *loader, struct map *seen) {
    struct slice label = read_name(loader);
    if (failed(loader)) {
        return label;
    }
    if (!name_is_label(label)) {
        fail(loader, ERR_INVALID, "a label is not in kebab case");
        return label;
    }
    struct buf key = {0};
    name_key(label, &key);
    if (!map_add(seen, buf_slice(&key), loader)) {
        fail(loader, ERR_INVALID, "label '%.*s' is used twice", (int)label.size,
             (const char *)label.data);
    }
    buf_release(&key);
    return label;
}

static const struct component_type *intern(struct loader *loader, enum component_kind kind,
                                           const struct parts *parts, bool items, bool names) {
    if (failed(loader)) {
        return NULL;
    }
    const char *why = NULL;
    const struct component_type *type =
        type_intern(&loader->types, kind, parts->count, items ? parts->items : NULL,
                    names ? parts->names : NULL, &why);
    if (type == NULL) {
        fail(loader, ERR_LIMIT, "%s", why);
    }
    return type;
}

static const struct component_type *read_record(struct loader *loader) {
    struct parts parts = parts_read_count(loader, "fields");
    struct map seen = {0};
    for (uint32_t i = 0; i < parts.count && !failed(loader); i++) {
        parts.names[i] = read_label(loader, &seen);
        parts.items[i] = read_value_type(loader);
    }
    map_release(&seen);
    return intern(loader, COMPONENT_RECORD, &parts, true, true);
}

static const struct component_type *read_variant(struct loader *loader) {
    struct parts parts = parts_read_count(loader, "cases");
    struct map seen = {0};
    for (uint32_t i = 0; i < parts.count && !failed(loader); i++) {
        parts.names[i] = read_label(loader, &seen);
        parts.items[i] = read_optional_value_type(loader);
        if (read_byte(loader) != 0) {
            fail(loader, ERR_INVALID, "a variant case must end in 0 (cases do not refine others)");
        }
    }
    map_release(&seen);
    return intern(loader, COMPONENT_VARIANT, &parts, true, true);
}

static const struct component_type *read_tuple(struct loader *loader) {
    struct parts parts = parts_read_count(loader, "items");
    for (uint32_t i = 0; i < parts.count && !failed(loader); i++) {
        parts.items[i] = read_value_type(loader);
    }
    return intern(loader, COMPONENT_TUPLE, &parts, true, false);
}

static const struct component_type *read_labels(struct loader *loader, enum component_kind kind) {
    struct parts parts = parts_read_count(loader, "labels");
    struct map seen = {0};
    if (kind == COMPONENT_FLAGS && parts.count > FLAGS_MAX) {
        fail(loader, ERR_INVALID, "%u flags; a flags type has at most %d", parts.count, FLAGS_MAX);
    }
    for (uint32_t i = 0; i < parts.count && !failed(loader); i++) {
        parts.names[i] = read_label(loader, &seen);
    }
    map_release(&seen);
    return intern(loader, kind, &parts, false, true);
}

// list and option: one item; result: two that may be absent.
static const struct component_type *read_generic(struct loader *loader, enum component_kind kind) {
    const struct component_type *items[2] = {NULL, NULL};
    struct parts parts = {.count = kind == COMPONENT_RESULT ? 2 : 1, .items = items};
    if (kind == COMPONENT_RESULT) {
        items[0] = read_optional_value_type(loader);
        items[1] = read_optional_value_type(loader);
    } else {
        items[0] = read_value_type(loader);
    }
    return intern(loader, kind, &parts, true, false);
}

static const struct component_type *read_handle(struct loader *loader, enum component_kind kind) {
    const struct type_def *def = scope_read(loader, SORT_TYPE);
    if (!failed(loader) && def->tag != TYPE_RESOURCE) {
        fail(loader, ERR_INVALID, "a handle of a type that is not a resource type");
    }
    return failed(loader) ? NULL
                          : type_intern_handle(&loader->types, kind, &def->resource->resource);
}

static const struct component_type *read_defined_value_type(struct loader *loader, uint8_t code) {
    switch (code) {
        case 0x72:
            return read_record(loader);
        case 0x71:
            return read_variant(loader);
        case 0x70:
            return read_generic(loader, COMPONENT_LIST);
        case 0x6f:
            return read_tuple(loader);
        case 0x6e:
            return read_labels(loader, COMPONENT_FLAGS);
        case 0x6d:
            return read_labels(loader, COMPONENT_ENUM);
        case 0x6b:
            return read_generic(loader, COMPONENT_OPTION);
        case 0x6a:
            return read_generic(loader, COMPONENT_RESULT);
        case 0x69:
            return read_handle(loader, COMPONENT_OWN);
        case 0x68:
            return read_handle(loader, COMPONENT_BORROW);
        case 0x67:
            fail(loader, ERR_UNSUPPORTED, "lists of fixed length");
            return NULL;
        case 0x66:
        case 0x65:
            fail(loader, ERR_UNSUPPORTED, "%s (asynchronous components)",
                 code == 0x66 ? "stream" : "future");
            return NULL;
        case 0x63:
            fail(loader, ERR_UNSUPPORTED, "map types");
            return NULL;
        default:
            return primitive_of(loader, code);
    }
}

// ---- function types --------------------------------------------------------------------------

static const struct component_func_type *read_func_type(struct loader *loader) {
    struct arena *arena = &loader->component->arena;
    uint32_t count = read_count(loader, "parameters");
    if (failed(loader)) {
        return NULL;
    }
    struct component_func_type *type = ARENA_NEW(arena, struct component_func_type);
    const struct component_type **params = ARENA_ARRAY(arena, const struct component_type *, count);
    struct slice *names = ARENA_ARRAY(arena, struct slice, count);
    struct map seen = {0};
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        names[i] = read_label(loader, &seen);
        params[i] = read_value_type(loader);
    }
    map_release(&seen);
    uint8_t form = read_byte(loader);
    if (form == 0) {
        type->result = read_value_type(loader);
    } else if (form != 1) {
        fail(loader, ERR_INVALID, "unknown form of results 0x%02x", form);
    } else if (read_byte(loader) != 0) {
        fail(loader, ERR_INVALID, "named results (dropped from the component model in 2024)");
    }
    type->param_count = count;
    type->params = params;
    type->param_names = names;
    if (!failed(loader) && type->result != NULL && type_layout(type->result)->has_borrow) {
        fail(loader, ERR_INVALID, "function result cannot contain a `borrow` type");
    }
    return failed(loader) ? NULL : type;
}

// ---- resource types --------------------------------------------------------------------------

static struct resource_def *read_resource_type(struct loader *loader) {
    struct component *component = loader->component;
    if (loader->scope->is_type) {
        fail(loader, ERR_INVALID, "resources can only be defined within a concrete component");
    }
    if (read_byte(loader) != WASM_I32) {
        fail(loader, ERR_INVALID, "resources can only be represented by `i32`");
    }
    uint32_t dtor = PLAN_NONE;
    uint8_t has_dtor = read_byte(loader);
    if (has_dtor > 1) {
        fail(loader, ERR_INVALID, "expected 0 or 1 before a destructor, found 0x%02x", has_dtor);
    } else if (has_dtor == 1) {
        dtor = read_destructor(loader);
    }
    if (failed(loader)) {
        return NULL;
    }
    struct resource_def *def = ARENA_NEW(&component->arena, struct resource_def);
    def->resource.index = component->resource_count;
    *(struct plan_resource *)PLAN_PUSH(component, resource) = (struct plan_resource){
        .type = &def->resource, .host = PLAN_NONE, .owner = loader->scope->owner, .dtor = dtor};
    return def;
}

// ---- instance and component types ------------------------------------------------------------

static struct extern_decl read_module_decl(struct loader *loader) {
    struct extern_decl decl = {.sort = SORT_CORE_MODULE};
    if (read_byte(loader) != 0x11) {
        fail(loader, ERR_INVALID, "an import or export of a core sort that is not a module");
    }
    const struct core_type_def *type = scope_read(loader, SORT_CORE_TYPE);
    if (!failed(loader) && type->module == NULL) {
        fail(loader, ERR_INVALID, "core type is not a module type");
    }
    decl.module = failed(loader) ? NULL : type->module;
    return decl;
}

struct extern_decl read_extern_decl(struct loader *loader) {
    static const struct {
        enum sort sort;
        enum type_tag tag;
    } FORMS[] = {{SORT_COUNT, TYPE_VALUE},         {SORT_FUNC, TYPE_FUNC},
                 {SORT_COUNT, TYPE_VALUE},         {SORT_TYPE, TYPE_VALUE},
                 {SORT_COMPONENT, TYPE_COMPONENT}, {SORT_INSTANCE, TYPE_INSTANCE}};
    struct extern_decl decl = {.sort = SORT_COUNT};
    uint8_t form = read_byte(loader);
    if (form == 0) {
        return read_module_decl(loader);
    }
    if (form == 2) {
        fail(loader, ERR_UNSUPPORTED, "values at component level");
    } else if (form >= COUNT_OF(FORMS)) {
        fail(loader, ERR_INVALID, "unknown kind of import or export 0x%02x", form);
    }
    if (failed(loader)) {
        return decl;
    }
    if (FORMS[form].sort == SORT_TYPE) {
        uint8_t bound = read_byte(loader);
        if (bound == 1) {
            struct type_def *type = LOADER_NEW(loader, struct type_def);
            type->tag = TYPE_RESOURCE;
            type->resource = abstract_resource(loader, slice_of(NULL, 0));
            return (struct extern_decl){.sort = SORT_TYPE, .is_binder = true, .type = type};
        }
        if (bound != 0) {
            fail(loader, ERR_INVALID, "unknown type bound 0x%02x", bound);
        }
    }
    decl.type = scope_read(loader, SORT_TYPE);
    if (failed(loader)) {
        return decl;
    }
    decl.sort = FORMS[form].sort;
    if (decl.sort != SORT_TYPE && decl.type->tag != FORMS[form].tag) {
        fail(loader, ERR_INVALID, "a %s is declared with a type of another sort",
             sort_name(decl.sort));
    }
    return decl;
}

// Adds the declared import or export to the current type scope.
static void add_declaration(struct loader *loader, bool is_import) {
    struct scope *scope = loader->scope;
    struct map *names = is_import ? scope->imports : scope->exports;
    struct slice name = read_extern_name(loader);
    struct extern_decl decl = read_extern_decl(loader);
    if (failed(loader)) {
        return;
    }
    struct named_item *item = shape_declared(loader, &decl, is_import);
    if (loader->is_checking && !failed(loader)) {
        check_name(loader, name, item, is_import ? scope->import_keys : scope->export_keys, names,
                   is_import ? "import" : "export");
        // Instances of the type are checked, where they are imported or exported.
        if (!scope->is_instance_type) {
            check_visible(loader, item, is_import);
        }
    }
    if (failed(loader)) {
        return;
    }
    if (!map_add(names, name, item)) {
        fail(loader, ERR_INVALID, "two items named '%.*s' in one type", (int)name.size,
             (const char *)name.data);
        return;
    }
    uint32_t depth = item_depth(item);
    if (depth > scope->shape_depth) {
        scope->shape_depth = depth;
    }
    if (depth >= TYPE_DEPTH_MAX) {
        fail(loader, ERR_LIMIT, "instance types nested more than %d deep", TYPE_DEPTH_MAX);
        return;
    }
    scope_add(loader, decl.sort, item->item);
}

// The declarations of an instance or component type, in a scope of their own.
static void load_scope_type(struct loader *loader, struct type_def *type) {
    struct scope *outer = loader->scope;
    struct scope *scope = scope_enter(loader, true);
    if (scope == NULL) {
        return;
    }
    scope->is_instance_type = type->tag == TYPE_INSTANCE;
    uint32_t count = read_count(loader, "declarations");
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        uint8_t form = read_byte(loader);
        if (form == 0x00) {
            load_core_type(loader);
        } else if (form == 0x01) {
            load_type(loader);
        } else if (form == 0x02) {
            load_alias(loader);
        } else if (form == 0x03 && type->tag == TYPE_COMPONENT) {
            add_declaration(loader, true);
        } else if (form == 0x04) {
            add_declaration(loader, false);
        } else {
            fail(loader, ERR_INVALID, "unknown declaration 0x%02x in a type", form);
        }
    }
    if (type->tag == TYPE_INSTANCE) {
        struct instance_def *instance = LOADER_NEW(loader, struct instance_def);
        *instance = (struct instance_def){scope->exports, scope->shape_depth + 1};
        type->instance = instance;
    } else {
        struct component_shape *shape = LOADER_NEW(loader, struct component_shape);
        *shape = (struct component_shape){scope->imports, scope->exports, scope->shape_depth + 1};
        type->component = shape;
    }
    scope_leave(loader, outer);
}

void load_type(struct loader *loader) {
    uint8_t code = read_byte(loader);
    if (failed(loader)) {
        return;
    }
    struct type_def *type = LOADER_NEW(loader, struct type_def);
    if (code == 0x40) {
        type->tag = TYPE_FUNC;
        type->func = read_func_type(loader);
    } else if (code == 0x41 || code == 0x42) {
        type->tag = code == 0x41 ? TYPE_COMPONENT : TYPE_INSTANCE;
        load_scope_type(loader, type);
    } else if (code == 0x43) {
        fail(loader, ERR_UNSUPPORTED, "asynchronous functions");
    } else if (code == 0x3f) {
        type->tag = TYPE_RESOURCE;
        type->resource = read_resource_type(loader);
    } else {
        type->tag = TYPE_VALUE;
        type->value = read_defined_value_type(loader, code);
    }
    if (!failed(loader)) {
        scope_add(loader, SORT_TYPE, type);
    }
}

// SPDX-License-Identifier: Apache-2.0
// The type section (Binary.md, "Type Definitions"), what imports and exports are declared to be,
// and aliases, which are how types travel between scopes.
#include "component/load.h"

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

// Words of letters and digits in one case each, joined by hyphens; the first begins with a letter
// (Explainer.md, "Import and Export Definitions": label).
static bool is_label(struct slice label) {
    bool has_lower = false;
    bool has_upper = false;
    bool is_empty = true;
    for (size_t i = 0; i < label.size; i++) {
        uint8_t byte = label.data[i];
        if (byte == '-') {
            if (is_empty) {
                return false;
            }
            has_lower = has_upper = false;
            is_empty = true;
            continue;
        }
        bool is_lower = byte >= 'a' && byte <= 'z';
        bool is_upper = byte >= 'A' && byte <= 'Z';
        bool is_digit = byte >= '0' && byte <= '9';
        if (!(is_lower || is_upper || (is_digit && i != 0))) {
            return false;
        }
        has_lower |= is_lower;
        has_upper |= is_upper;
        if (has_lower && has_upper) {
            return false;
        }
        is_empty = false;
    }
    return !is_empty;
}

// A label that is in none of the labels read with the same `seen` before, whatever its case.
static struct slice read_label(struct loader *loader, struct map *seen) {
    struct slice label = read_name(loader);
    if (failed(loader)) {
        return label;
    }
    if (!is_label(label)) {
        fail(loader, ERR_INVALID, "a label is not in kebab case");
        return label;
    }
    struct buf key = {0};
    for (size_t i = 0; i < label.size; i++) {
        uint8_t byte = label.data[i];
        buf_append_byte(&key, byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte);
    }
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
        case 0x68:
            fail(loader, ERR_UNSUPPORTED, "resource handles (%s)", code == 0x69 ? "own" : "borrow");
            return NULL;
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
        fail(loader, ERR_UNSUPPORTED, "named results (dropped from the component model in 2024)");
    }
    type->param_count = count;
    type->params = params;
    type->param_names = names;
    return failed(loader) ? NULL : type;
}

// ---- instance and component types ------------------------------------------------------------

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
        fail(loader, ERR_UNSUPPORTED, "imports and exports of core modules by type");
    } else if (form == 2) {
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
            fail(loader, ERR_UNSUPPORTED, "resources (an abstract resource type)");
        } else if (bound != 0) {
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

// Depth is bounded where instance types are made (see load_scope_type).
const void *abstract_item(struct loader *loader, const struct extern_decl *decl) {
    if (decl->sort == SORT_FUNC) {
        struct func_def *func = LOADER_NEW(loader, struct func_def);
        func->source = FUNC_ABSTRACT;
        func->type = decl->type->func;
        return func;
    }
    if (decl->sort == SORT_COMPONENT) {
        struct component_def *component = LOADER_NEW(loader, struct component_def);
        component->is_abstract = true;
        return component;
    }
    if (decl->sort == SORT_TYPE) {
        return decl->type;
    }
    struct instance_def *instance = LOADER_NEW(loader, struct instance_def);
    instance->exports = loader_map(loader);
    uint32_t cursor = 0;
    const struct map_entry *entry;
    while ((entry = map_next(decl->type->exports, &cursor)) != NULL && loader_count(loader)) {
        const struct extern_decl *part = entry->value;
        struct named_item *item = LOADER_NEW(loader, struct named_item);
        item->sort = part->sort;
        item->item = abstract_item(loader, part);
        (void)map_add(instance->exports, entry->key, item);
    }
    return instance;
}

static void load_export_decl(struct loader *loader, struct type_def *type) {
    struct slice name = read_extern_name(loader);
    struct extern_decl decl = read_extern_decl(loader);
    if (failed(loader)) {
        return;
    }
    struct extern_decl *kept = LOADER_NEW(loader, struct extern_decl);
    *kept = decl;
    if (!map_add(type->exports, name, kept)) {
        fail(loader, ERR_INVALID, "two exports named '%.*s' in one type", (int)name.size,
             (const char *)name.data);
        return;
    }
    if (decl.sort == SORT_INSTANCE && decl.type->depth >= type->depth) {
        type->depth = decl.type->depth + 1;
        if (type->depth > TYPE_DEPTH_MAX) {
            fail(loader, ERR_LIMIT, "instance types nested more than %d deep", TYPE_DEPTH_MAX);
            return;
        }
    }
    scope_add(loader, decl.sort, abstract_item(loader, &decl));
}

static void load_import_decl(struct loader *loader) {
    (void)read_extern_name(loader);
    struct extern_decl decl = read_extern_decl(loader);
    if (!failed(loader)) {
        scope_add(loader, decl.sort, abstract_item(loader, &decl));
    }
}

// The declarations of an instance or component type, in a scope of their own.
static const struct type_def *load_scope_type(struct loader *loader, enum type_tag tag) {
    struct scope *outer = loader->scope;
    struct type_def *type = LOADER_NEW(loader, struct type_def);
    type->tag = tag;
    type->depth = 1;
    if (scope_enter(loader, true) == NULL) {
        return NULL;
    }
    type->exports = loader->scope->exports;
    uint32_t count = read_count(loader, "declarations");
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        uint8_t form = read_byte(loader);
        if (form == 0x00) {
            fail(loader, ERR_UNSUPPORTED, "core types at component level");
        } else if (form == 0x01) {
            load_type(loader);
        } else if (form == 0x02) {
            load_alias(loader);
        } else if (form == 0x03 && tag == TYPE_COMPONENT) {
            load_import_decl(loader);
        } else if (form == 0x04) {
            load_export_decl(loader, type);
        } else {
            fail(loader, ERR_INVALID, "unknown declaration 0x%02x in a type", form);
        }
    }
    scope_leave(loader, outer);
    return type;
}

void load_type(struct loader *loader) {
    uint8_t code = read_byte(loader);
    if (failed(loader)) {
        return;
    }
    struct type_def *type = LOADER_NEW(loader, struct type_def);
    const struct type_def *result = type;
    if (code == 0x40) {
        type->tag = TYPE_FUNC;
        type->func = read_func_type(loader);
    } else if (code == 0x41 || code == 0x42) {
        result = load_scope_type(loader, code == 0x41 ? TYPE_COMPONENT : TYPE_INSTANCE);
    } else if (code == 0x43) {
        fail(loader, ERR_UNSUPPORTED, "asynchronous functions");
    } else if (code == 0x3f || code == 0x3e) {
        fail(loader, ERR_UNSUPPORTED, "resources (a resource type)");
    } else {
        type->tag = TYPE_VALUE;
        type->value = read_defined_value_type(loader, code);
    }
    if (!failed(loader)) {
        scope_add(loader, SORT_TYPE, result);
    }
}

// ---- matching --------------------------------------------------------------------------------

static void match_types(struct loader *loader, const struct type_def *actual,
                        const struct type_def *declared, struct slice name) {
    bool same = actual->tag == declared->tag;
    if (same && actual->tag == TYPE_VALUE) {
        same = actual->value == declared->value;
    } else if (same && actual->tag == TYPE_FUNC) {
        same = type_func_equal(actual->func, declared->func);
    }
    if (!same) {
        fail(loader, ERR_INVALID, "type '%.*s' is not the type that is declared", (int)name.size,
             (const char *)name.data);
    }
}

void match_item(struct loader *loader, const struct named_item *item,
                const struct extern_decl *decl, struct slice name) {
    if (!loader_count(loader)) {
        return;
    }
    if (item->sort != decl->sort) {
        fail(loader, ERR_INVALID, "'%.*s' is a %s where a %s is declared", (int)name.size,
             (const char *)name.data, sort_name(item->sort), sort_name(decl->sort));
        return;
    }
    if (item->sort == SORT_TYPE) {
        match_types(loader, item->item, decl->type, name);
        return;
    }
    if (item->sort == SORT_FUNC) {
        const struct func_def *func = item->item;
        if (!type_func_equal(func->type, decl->type->func)) {
            fail(loader, ERR_INVALID, "function '%.*s' has another type than declared",
                 (int)name.size, (const char *)name.data);
        }
        return;
    }
    if (item->sort != SORT_INSTANCE) {
        return;
    }
    const struct instance_def *instance = item->item;
    uint32_t cursor = 0;
    const struct map_entry *entry;
    while (!failed(loader) && (entry = map_next(decl->type->exports, &cursor)) != NULL) {
        const struct named_item *part = map_get(instance->exports, entry->key);
        if (part == NULL) {
            fail(loader, ERR_INVALID, "instance '%.*s' lacks the export '%.*s' that is declared",
                 (int)name.size, (const char *)name.data, (int)entry->key.size,
                 (const char *)entry->key.data);
            return;
        }
        match_item(loader, part, entry->value, entry->key);
    }
}

// ---- aliases ---------------------------------------------------------------------------------

static void load_export_alias(struct loader *loader, enum sort sort) {
    const struct instance_def *instance = scope_read(loader, SORT_INSTANCE);
    struct slice name = read_name(loader);
    if (failed(loader)) {
        return;
    }
    const struct named_item *item = map_get(instance->exports, name);
    if (item == NULL || item->sort != sort) {
        fail(loader, ERR_INVALID, "the instance has no %s '%.*s'", sort_name(sort), (int)name.size,
             (const char *)name.data);
        return;
    }
    scope_add(loader, sort, item->item);
}

static void load_core_export_alias(struct loader *loader, enum sort sort) {
    const struct core_instance_def *instance = scope_read(loader, SORT_CORE_INSTANCE);
    struct slice name = read_name(loader);
    if (failed(loader)) {
        return;
    }
    const struct core_item *item = core_instance_export(loader, instance, name);
    if (!failed(loader) && (item == NULL || item->sort != sort)) {
        fail(loader, ERR_INVALID, "the core instance has no %s '%.*s'", sort_name(sort),
             (int)name.size, (const char *)name.data);
        return;
    }
    if (item != NULL) {
        scope_add(loader, sort, item);
    }
}

static void load_outer_alias(struct loader *loader, enum sort sort) {
    uint32_t levels = read_u32(loader);
    uint32_t index = read_u32(loader);
    if (failed(loader)) {
        return;
    }
    if (sort != SORT_TYPE && sort != SORT_COMPONENT && sort != SORT_CORE_MODULE) {
        fail(loader, ERR_INVALID, "a %s cannot be aliased from an outer scope", sort_name(sort));
        return;
    }
    const struct scope *scope = loader->scope;
    uint32_t count = scope->spaces[sort].count;
    for (uint32_t i = 0; i < levels; i++) {
        if (scope->outer == NULL) {
            fail(loader, ERR_INVALID, "an outer alias goes %u scopes out, there are %u", levels, i);
            return;
        }
        count = scope->outer_counts[sort];
        scope = scope->outer;
    }
    if (index >= count) {
        fail(loader, ERR_INVALID, "outer %s index %u out of bounds (there are %u)", sort_name(sort),
             index, count);
        return;
    }
    scope_add(loader, sort, scope->spaces[sort].items[index]);
}

void load_alias(struct loader *loader) {
    enum sort sort = read_sort(loader);
    uint8_t form = read_byte(loader);
    if (failed(loader)) {
        return;
    }
    if (form == 0x00) {
        load_export_alias(loader, sort);
    } else if (form == 0x01) {
        load_core_export_alias(loader, sort);
    } else if (form == 0x02) {
        load_outer_alias(loader, sort);
    } else {
        fail(loader, ERR_INVALID, "unknown form of alias 0x%02x", form);
    }
}

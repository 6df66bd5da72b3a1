// SPDX-License-Identifier: Apache-2.0
// Subtyping (Explainer.md, "Type Checking"): whether something may be given where something of a
// shape is declared. What is declared is read under what was given for its binders, which is noted
// as their `binding`; each walk binds a binder before it passes its uses.
#include <assert.h>

#include "component/load.h"

struct resource_def *resource_behind(const struct component_resource *resource) {
    struct resource_def *at = resource_def(resource);
    while (at->binding != NULL || at->origin != NULL) {
        at = at->binding != NULL ? at->binding : at->origin;
    }
    return at;
}

static bool same_names(const struct component_type *a, const struct component_type *b) {
    if (a->names == NULL || b->names == NULL) {
        return a->names == b->names;
    }
    for (uint32_t i = 0; i < a->item_count; i++) {
        if (!slice_equal(a->names[i], b->names[i])) {
            return false;
        }
    }
    return true;
}

// Equal under the bindings. Recursion is bounded by TYPE_DEPTH_MAX.
static bool same_value(struct loader *loader, const struct component_type *a,
                       const struct component_type *b) {
    if (a == b) {
        return true;
    }
    if (a == NULL || b == NULL || a->kind != b->kind || a->item_count != b->item_count ||
        (a->items == NULL) != (b->items == NULL) || !loader_work(loader, 1 + a->item_count)) {
        return false;
    }
    if (a->resource != NULL) {
        return resource_behind(a->resource) == resource_behind(b->resource);
    }
    // Without names and handles, equal types are one object.
    const struct type_layout *layout = type_layout(a);
    if (!layout->has_nameable && !layout->has_handle) {
        return false;
    }
    bool same = same_names(a, b);
    for (uint32_t i = 0; a->items != NULL && i < a->item_count && same; i++) {
        same = same_value(loader, a->items[i], b->items[i]);
    }
    return same && a->kind > COMPONENT_STRING;
}

static bool same_func(struct loader *loader, const struct component_func_type *a,
                      const struct component_func_type *b) {
    if (a == b) {
        return true;
    }
    bool same = a->param_count == b->param_count && loader_work(loader, 1 + a->param_count) &&
                same_value(loader, a->result, b->result);
    for (uint32_t i = 0; same && i < a->param_count; i++) {
        same = slice_equal(a->param_names[i], b->param_names[i]) &&
               same_value(loader, a->params[i], b->params[i]);
    }
    return same;
}

// ---- core modules ------------------------------------------------------------------------------

static bool limits_fit(const struct wasm_limits *actual, const struct wasm_limits *declared) {
    return actual->min >= declared->min && actual->max <= declared->max;
}

bool core_type_fits(const struct wasm_extern_type *actual,
                    const struct wasm_extern_type *declared) {
    if (actual->kind != declared->kind) {
        return false;
    }
    switch (actual->kind) {
        case WASM_FUNC:
            return wasm_func_type_equal(actual->func, declared->func);
        case WASM_TABLE:
            return actual->table.element == declared->table.element &&
                   limits_fit(&actual->table.limits, &declared->table.limits);
        case WASM_MEMORY:
            return limits_fit(&actual->memory, &declared->memory);
        case WASM_GLOBAL:
            return actual->global.type == declared->global.type &&
                   actual->global.is_mutable == declared->global.is_mutable;
    }
    fatal("core kind %d", (int)actual->kind);
}

static void match_modules(struct loader *loader, const struct module_def *actual,
                          const struct module_def *declared, struct slice name) {
    uint32_t cursor = 0;
    const struct map_entry *entry;
    while ((entry = map_next(declared->exports, &cursor)) != NULL && loader_work(loader, 1)) {
        const struct wasm_export *wanted = entry->value;
        const struct wasm_export *export = map_get(actual->exports, entry->key);
        if (export == NULL || !core_type_fits(&export->type, &wanted->type)) {
            fail(loader, ERR_INVALID,
                 "core module '%.*s' has no export '%.*s' of the type declared", (int)name.size,
                 (const char *)name.data, (int)entry->key.size, (const char *)entry->key.data);
        }
    }
    for (uint32_t i = 0; i < actual->import_count && loader_work(loader, 1); i++) {
        const struct wasm_import *import = &actual->imports[i];
        const struct wasm_import *given = module_import(loader, declared, import);
        if (given == NULL || !core_type_fits(&given->type, &import->type)) {
            fail(loader, ERR_INVALID,
                 "core module '%.*s' imports '%.*s' '%.*s', which is not declared", (int)name.size,
                 (const char *)name.data, (int)import->module.size,
                 (const char *)import->module.data, (int)import->name.size,
                 (const char *)import->name.data);
        }
    }
}

// ---- instances, components, types --------------------------------------------------------------

static void match_items(struct loader *loader, const struct map *items, const struct map *declared,
                        const char *what, struct slice name) {
    uint32_t cursor = 0;
    const struct map_entry *entry;
    while (!failed(loader) && (entry = map_next(declared, &cursor)) != NULL) {
        const struct named_item *part = map_get(items, entry->key);
        if (part == NULL) {
            fail(loader, ERR_INVALID, "%s '%.*s' lacks the %s '%.*s' that is declared",
                 what[0] == 'e' ? "instance" : "component", (int)name.size, (const char *)name.data,
                 what, (int)entry->key.size, (const char *)entry->key.data);
            return;
        }
        shape_match(loader, part, entry->value, entry->key);
    }
}

// A component may be given for another that promises no more: it imports what is there for the
// other, and exports at least as much.
static void match_components(struct loader *loader, const struct component_shape *actual,
                             const struct component_shape *declared, struct slice name) {
    if (actual != declared) {
        match_items(loader, declared->imports, actual->imports, "import", name);
        match_items(loader, actual->exports, declared->exports, "export", name);
    }
}

static bool leads_to(const struct resource_def *from, const struct resource_def *to) {
    while (from != to && (from->binding != NULL || from->origin != NULL)) {
        from = from->binding != NULL ? from->binding : from->origin;
    }
    return from == to;
}

// From here on, what is declared stands for what the item is. Of two declarations that are
// compared, the one that is given stands for itself.
static void bind_resource(struct loader *loader, const struct named_item *item,
                          struct resource_def *declared) {
    struct resource_def *actual = ((const struct type_def *)item->item)->resource;
    for (struct resource_def *at = declared; at != NULL; at = at->origin) {
        at->binding = NULL;
    }
    for (struct resource_def *at = actual; item->is_binder && at != NULL; at = at->origin) {
        at->binding = NULL;
    }
    for (struct resource_def *at = declared; at != NULL; at = at->origin) {
        if (!leads_to(actual, at)) {
            at->binding = actual;
            shape_note(loader, at);
        }
    }
}

static void match_types(struct loader *loader, const struct named_item *item,
                        const struct named_item *declared, struct slice name) {
    const struct type_def *actual = item->item;
    const struct type_def *wanted = declared->item;
    if (declared->is_binder) {
        if (actual->tag != TYPE_RESOURCE) {
            fail(loader, ERR_INVALID, "type '%.*s' is not a resource type, as is declared",
                 (int)name.size, (const char *)name.data);
            return;
        }
        bind_resource(loader, item, wanted->resource);
        return;
    }
    bool same = actual->tag == wanted->tag;
    if (same && actual->tag == TYPE_VALUE) {
        same = same_value(loader, actual->value, wanted->value);
        if (type_layout(wanted->value)->is_named) {
            shape_rename(loader, wanted->value, actual->value);
        }
    } else if (same && actual->tag == TYPE_FUNC) {
        same = same_func(loader, actual->func, wanted->func);
    } else if (same && actual->tag == TYPE_RESOURCE) {
        same = resource_behind(&actual->resource->resource) ==
               resource_behind(&wanted->resource->resource);
    } else if (same && actual->tag == TYPE_INSTANCE) {
        match_items(loader, actual->instance->exports, wanted->instance->exports, "export", name);
    } else if (same) {
        match_components(loader, actual->component, wanted->component, name);
    }
    if (!same) {
        fail(loader, ERR_INVALID, "type '%.*s' is not the type that is declared", (int)name.size,
             (const char *)name.data);
    }
}

void shape_match(struct loader *loader, const struct named_item *item,
                 const struct named_item *declared, struct slice name) {
    assert(loader->is_checking && item != NULL && declared != NULL);
    if (!loader_work(loader, 1)) {
        return;
    }
    if (item->sort != declared->sort) {
        fail(loader, ERR_INVALID, "'%.*s' is a %s where a %s is declared", (int)name.size,
             (const char *)name.data, sort_name(item->sort), sort_name(declared->sort));
    } else if (item->sort == SORT_TYPE) {
        match_types(loader, item, declared, name);
    } else if (item->sort == SORT_FUNC) {
        const struct func_def *func = item->item;
        const struct func_def *wanted = declared->item;
        if (!same_func(loader, func->type, wanted->type)) {
            fail(loader, ERR_INVALID, "function '%.*s' has another type than declared",
                 (int)name.size, (const char *)name.data);
        }
    } else if (item->sort == SORT_INSTANCE) {
        const struct instance_def *instance = item->item;
        const struct instance_def *wanted = declared->item;
        match_items(loader, instance->exports, wanted->exports, "export", name);
    } else if (item->sort == SORT_COMPONENT) {
        const struct component_def *component = item->item;
        const struct component_def *wanted = declared->item;
        match_components(loader, component->shape, wanted->shape, name);
    } else if (item->sort == SORT_CORE_MODULE) {
        match_modules(loader, item->item, declared->item, name);
    }
}

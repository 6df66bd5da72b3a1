// SPDX-License-Identifier: Apache-2.0
// What the names of imports and exports demand of what they name (Explainer.md, "External
// Visibility of Types", "Name Uniqueness"; Binary.md, "Import and Export Definitions").
#include <assert.h>

#include "component/load.h"
#include "component/names.h"

// ---- visibility
// ----------------------------------------------------------------------------------

static bool is_visible(const struct loader *loader, const void *scope, bool is_import,
                       bool by_import) {
    return scope == loader->scope && (is_import || !by_import);
}

static bool value_visible(struct loader *loader, const struct component_type *type, bool by_import);

static bool parts_visible(struct loader *loader, const struct component_type *type,
                          bool by_import) {
    if (!loader_work(loader, 1 + type->item_count)) {
        return true;
    }
    for (uint32_t i = 0; type->items != NULL && i < type->item_count; i++) {
        if (!value_visible(loader, type->items[i], by_import)) {
            return false;
        }
    }
    return true;
}

static bool value_visible(struct loader *loader, const struct component_type *type,
                          bool by_import) {
    if (type == NULL) {
        return true;
    }
    const struct type_layout *layout = type_layout(type);
    if (!layout->has_handle && !layout->has_nameable) {
        return true;
    }
    if (type->resource != NULL) {
        const struct resource_def *resource = resource_def(type->resource);
        return is_visible(loader, resource->visible_in, resource->by_import, by_import);
    }
    // What a name stands for was checked when it was given.
    if (type_is_nameable(type)) {
        return layout->is_named &&
               is_visible(loader, layout->visible_in, layout->by_import, by_import);
    }
    return parts_visible(loader, type, by_import);
}

static bool func_visible(struct loader *loader, const struct component_func_type *func,
                         bool by_import) {
    bool visible = value_visible(loader, func->result, by_import);
    for (uint32_t i = 0; i < func->param_count && visible; i++) {
        visible = value_visible(loader, func->params[i], by_import);
    }
    return visible;
}

static bool item_visible(struct loader *loader, const struct named_item *item, bool by_import);

static bool instance_visible(struct loader *loader, const struct instance_def *instance,
                             bool by_import) {
    uint32_t cursor = 0;
    const struct map_entry *entry;
    while ((entry = map_next(instance->exports, &cursor)) != NULL && loader_work(loader, 1)) {
        if (!item_visible(loader, entry->value, by_import)) {
            return false;
        }
    }
    return true;
}

static bool type_visible(struct loader *loader, const struct type_def *type, bool by_import) {
    if (type->tag == TYPE_VALUE) {
        return parts_visible(loader, type->value, by_import);
    }
    if (type->tag == TYPE_FUNC) {
        return func_visible(loader, type->func, by_import);
    }
    if (type->tag == TYPE_INSTANCE) {
        // As visible as an instance of it would be.
        struct extern_decl decl = {.sort = SORT_INSTANCE, .type = type};
        const struct named_item *instance = shape_declared(loader, &decl, by_import);
        return failed(loader) || instance_visible(loader, instance->item, by_import);
    }
    return true;
}

// Components are checked in themselves, where they are defined.
static bool item_visible(struct loader *loader, const struct named_item *item, bool by_import) {
    if (item->sort == SORT_TYPE) {
        return type_visible(loader, item->item, by_import);
    }
    if (item->sort == SORT_FUNC) {
        return func_visible(loader, ((const struct func_def *)item->item)->type, by_import);
    }
    return item->sort != SORT_INSTANCE || instance_visible(loader, item->item, by_import);
}

void check_visible(struct loader *loader, const struct named_item *item, bool by_import) {
    assert(loader->is_checking);
    if (!failed(loader) && !item_visible(loader, item, by_import)) {
        fail(loader, ERR_INVALID,
             "%s not valid to be used as %s: it needs a type that has no name outside",
             sort_name(item->sort), by_import ? "import" : "export");
    }
}

// ---- free resources
// ------------------------------------------------------------------------------

static bool items_free(struct loader *loader, const struct map *items, struct map *inner);

static bool value_free(struct loader *loader, const struct component_type *type,
                       const struct map *inner) {
    if (type == NULL || !type_layout(type)->has_handle ||
        !loader_work(loader, 1 + type->item_count)) {
        return false;
    }
    if (type->resource != NULL) {
        const struct resource_def *behind = resource_behind(type->resource);
        return map_get(inner, slice_of(&behind, sizeof(struct resource_def *))) == NULL;
    }
    for (uint32_t i = 0; i < type->item_count; i++) {
        if (value_free(loader, type->items[i], inner)) {
            return true;
        }
    }
    return false;
}

static bool func_free(struct loader *loader, const struct component_func_type *func,
                      const struct map *inner) {
    bool is_free = value_free(loader, func->result, inner);
    for (uint32_t i = 0; i < func->param_count && !is_free; i++) {
        is_free = value_free(loader, func->params[i], inner);
    }
    return is_free;
}

static bool type_free(struct loader *loader, const struct type_def *type, bool is_binder,
                      struct map *inner) {
    switch (type->tag) {
        case TYPE_VALUE:
            return value_free(loader, type->value, inner);
        case TYPE_FUNC:
            return func_free(loader, type->func, inner);
        case TYPE_RESOURCE: {
            struct resource_def *behind = resource_behind(&type->resource->resource);
            struct slice key = slice_of(&behind, sizeof(struct resource_def *));
            if (is_binder) {
                (void)map_add(inner, key, behind);
            }
            return map_get(inner, key) == NULL;
        }
        case TYPE_INSTANCE:
            return items_free(loader, type->instance->exports, inner);
        case TYPE_COMPONENT:
            return items_free(loader, type->component->imports, inner) ||
                   items_free(loader, type->component->exports, inner);
    }
    fatal("type of tag %d", (int)type->tag);
}

static bool items_free(struct loader *loader, const struct map *items, struct map *inner) {
    uint32_t cursor = 0;
    const struct map_entry *entry;
    bool is_free = false;
    while (!is_free && (entry = map_next(items, &cursor)) != NULL && loader_work(loader, 1)) {
        const struct named_item *item = entry->value;
        if (item->sort == SORT_TYPE) {
            is_free = type_free(loader, item->item, item->is_binder, inner);
        } else if (item->sort == SORT_FUNC) {
            is_free = func_free(loader, ((const struct func_def *)item->item)->type, inner);
        } else if (item->sort == SORT_INSTANCE) {
            const struct instance_def *instance = item->item;
            is_free = items_free(loader, instance->exports, inner);
        } else if (item->sort == SORT_COMPONENT) {
            const struct component_shape *shape = ((const struct component_def *)item->item)->shape;
            is_free = items_free(loader, shape->imports, inner) ||
                      items_free(loader, shape->exports, inner);
        }
    }
    return is_free;
}

bool type_has_free_resource(struct loader *loader, const struct type_def *type) {
    assert(loader->is_checking);
    struct map inner = {0};
    bool is_free = type_free(loader, type, false, &inner);
    map_release(&inner);
    return is_free;
}

// ---- names
// ---------------------------------------------------------------------------------------

static bool is_handle_of(const struct component_type *type, enum component_kind kind,
                         const struct resource_def *resource) {
    return type != NULL && type->kind == kind &&
           resource_behind(type->resource) == resource_behind(&resource->resource);
}

// The reason why a function may not have the name, or NULL.
static const char *misfit(const struct extern_name *name, const struct component_func_type *func,
                          const struct resource_def *resource) {
    const struct component_type *result = func->result;
    if (name->kind == NAME_CONSTRUCTOR) {
        if (result != NULL && result->kind == COMPONENT_RESULT) {
            result = result->items[0];
        }
        return is_handle_of(result, COMPONENT_OWN, resource)
                   ? NULL
                   : "should return `(own $T)` or `(result (own $T))` of its resource";
    }
    if (name->kind != NAME_METHOD) {
        return NULL;
    }
    if (func->param_count == 0) {
        return "should have at least one argument";
    }
    if (!slice_equal_text(func->param_names[0], "self")) {
        return "should have a first argument called `self`";
    }
    return is_handle_of(func->params[0], COMPONENT_BORROW, resource)
               ? NULL
               : "should take a first argument of `(borrow $T)` of its resource";
}

static void check_annotation(struct loader *loader, const struct extern_name *parsed,
                             struct slice name, const struct named_item *item,
                             const struct map *siblings) {
    const struct named_item *owner = siblings == NULL ? NULL : map_get(siblings, parsed->resource);
    const char *why = NULL;
    if (item->sort != SORT_FUNC) {
        why = "is not a func";
    } else if (owner == NULL || owner->sort != SORT_TYPE ||
               ((const struct type_def *)owner->item)->tag != TYPE_RESOURCE) {
        why = "is of a resource name that is not known in this context";
    } else {
        why = misfit(parsed, ((const struct func_def *)item->item)->type,
                     ((const struct type_def *)owner->item)->resource);
    }
    if (why != NULL) {
        fail(loader, ERR_INVALID, "'%.*s' %s", (int)name.size, (const char *)name.data, why);
    }
}

void check_name(struct loader *loader, struct slice name, const struct named_item *item,
                struct map *keys, const struct map *siblings, const char *what) {
    if (failed(loader)) {
        return;
    }
    struct extern_name parsed;
    const char *why = NULL;
    if (!name_parse(name, &parsed, &why)) {
        fail(loader, ERR_INVALID, "%s name '%.*s' %s", what, (int)name.size,
             (const char *)name.data, why);
        return;
    }
    struct buf key = {0};
    name_key(name, &key);
    bool is_new = map_add(keys, buf_slice(&key), loader);
    buf_release(&key);
    if (!is_new) {
        fail(loader, ERR_INVALID, "%s name '%.*s' conflicts with a previous name", what,
             (int)name.size, (const char *)name.data);
        return;
    }
    if (parsed.resource.size != 0) {
        check_annotation(loader, &parsed, name, item, siblings);
    }
}

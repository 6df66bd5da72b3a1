// SPDX-License-Identifier: Apache-2.0
// Shapes: what instances and components are declared to export and import (Explainer.md, "Type
// Checking"). Copied when something of a shape comes into being, compared when something is given
// for it.
//
// A name in a shape can stand for any resource type: it is a *binder*. While a shape is walked,
// each binder that is passed is bound to the resource type that takes its place, and everything
// behind it in the shape is read under these bindings. Exports are in their order, and binders
// precede their uses; a walk binds every binder that it passes, so what an earlier walk left does
// not matter.
//
// Shapes written out can be exponentially larger than their definitions, so every step is counted.
#include <assert.h>

#include "component/load.h"

uint32_t item_depth(const struct named_item *item) {
    if (item->sort == SORT_INSTANCE) {
        return ((const struct instance_def *)item->item)->depth;
    }
    if (item->sort == SORT_COMPONENT) {
        const struct component_shape *shape = ((const struct component_def *)item->item)->shape;
        return shape == NULL ? 0 : shape->depth;
    }
    if (item->sort == SORT_TYPE) {
        const struct type_def *type = item->item;
        return type->tag == TYPE_INSTANCE    ? type->instance->depth
               : type->tag == TYPE_COMPONENT ? type->component->depth
                                             : 0;
    }
    return 0;
}

// ---- types under the bindings ------------------------------------------------------------------

static const struct component_type *bound_value(struct loader *loader,
                                                const struct component_type *type) {
    if (type == NULL || !type_layout(type)->has_handle) {
        return type;
    }
    if (type->resource != NULL) {
        return type_intern_handle(&loader->types, type->kind,
                                  &resource_resolve(type->resource)->resource);
    }
    if (!loader_work(loader, 1 + type->item_count)) {
        return type;
    }
    const struct component_type **items =
        ARENA_ARRAY(&loader->arena, const struct component_type *, type->item_count);
    for (uint32_t i = 0; i < type->item_count; i++) {
        items[i] = bound_value(loader, type->items[i]);
    }
    const char *why = NULL;
    const struct component_type *result =
        type_intern(&loader->types, type->kind, type->item_count, items, type->names, &why);
    assert(result != NULL);  // as large as the original
    return result;
}

static const struct component_func_type *bound_func(struct loader *loader,
                                                    const struct component_func_type *func) {
    struct arena *arena = &loader->component->arena;
    bool has_handle = func->result != NULL && type_layout(func->result)->has_handle;
    for (uint32_t i = 0; i < func->param_count; i++) {
        has_handle |= type_layout(func->params[i])->has_handle;
    }
    if (!has_handle || !loader_work(loader, 1 + func->param_count)) {
        return func;
    }
    struct component_func_type *result = ARENA_NEW(arena, struct component_func_type);
    *result = *func;
    const struct component_type **params =
        ARENA_ARRAY(arena, const struct component_type *, func->param_count);
    for (uint32_t i = 0; i < func->param_count; i++) {
        params[i] = bound_value(loader, func->params[i]);
    }
    result->params = params;
    result->result = bound_value(loader, func->result);
    return result;
}

// ---- copying -----------------------------------------------------------------------------------

struct resource_def *import_resource(struct loader *loader, struct slice interface,
                                     struct slice name) {
    struct component *component = loader->component;
    struct resource_def *def = ARENA_NEW(&component->arena, struct resource_def);
    def->resource = (struct component_resource){.interface = interface,
                                                .name = name,
                                                .is_imported = true,
                                                .index = component->resource_count};
    *(struct plan_resource *)PLAN_PUSH(component, resource) =
        (struct plan_resource){.type = &def->resource,
                               .host = component->resource_import_count,
                               .owner = PLAN_NONE,
                               .dtor = PLAN_NONE};
    *(const struct component_resource **)PLAN_PUSH(component, resource_import) = &def->resource;
    return def;
}

const struct func_def *import_func(struct loader *loader, struct slice interface, struct slice name,
                                   const struct component_func_type *type) {
    struct component *component = loader->component;
    struct func_def *func = LOADER_NEW(loader, struct func_def);
    *func =
        (struct func_def){.source = FUNC_IMPORT, .index = component->import_count, .type = type};
    *(struct component_import *)PLAN_PUSH(component, import) =
        (struct component_import){.interface = interface, .name = name, .type = type};
    return func;
}

static struct map *copy_items(struct loader *loader, const struct map *items,
                              const struct slice *interface);

const struct instance_def *shape_copy_instance(struct loader *loader,
                                               const struct instance_def *instance,
                                               const struct slice *interface) {
    struct instance_def *copy = LOADER_NEW(loader, struct instance_def);
    copy->exports = copy_items(loader, instance->exports, interface);
    copy->depth = instance->depth;
    return copy;
}

static const struct component_shape *copy_component(struct loader *loader,
                                                    const struct component_shape *shape) {
    struct component_shape *copy = LOADER_NEW(loader, struct component_shape);
    copy->imports = copy_items(loader, shape->imports, NULL);
    copy->exports = copy_items(loader, shape->exports, NULL);
    copy->depth = shape->depth;
    return copy;
}

static const struct type_def *copy_type(struct loader *loader, const struct type_def *type) {
    struct type_def *copy = LOADER_NEW(loader, struct type_def);
    *copy = *type;
    switch (type->tag) {
        case TYPE_VALUE:
            copy->value = bound_value(loader, type->value);
            break;
        case TYPE_FUNC:
            copy->func = bound_func(loader, type->func);
            break;
        case TYPE_RESOURCE:
            copy->resource = resource_resolve(&type->resource->resource);
            break;
        case TYPE_INSTANCE:
            copy->instance = shape_copy_instance(loader, type->instance, NULL);
            break;
        case TYPE_COMPONENT:
            copy->component = copy_component(loader, type->component);
            break;
    }
    return copy;
}

static const struct type_def *copy_binder(struct loader *loader, const struct type_def *type,
                                          struct slice name, const struct slice *interface) {
    assert(type->tag == TYPE_RESOURCE);
    struct type_def *copy = LOADER_NEW(loader, struct type_def);
    copy->tag = TYPE_RESOURCE;
    copy->resource = interface == NULL ? abstract_resource(loader, name)
                                       : import_resource(loader, *interface, name);
    type->resource->binding = copy->resource;
    return copy;
}

// The interface name of an instance inside an imported one: no host knows it by any other.
static struct slice join_path(struct loader *loader, struct slice outer, struct slice inner) {
    char *text = arena_alloc(&loader->component->arena, outer.size + 1 + inner.size, 1);
    memcpy(text, outer.data, outer.size);
    text[outer.size] = '/';
    memcpy(text + outer.size + 1, inner.data, inner.size);
    return slice_of(text, outer.size + 1 + inner.size);
}

static const void *copy_item(struct loader *loader, const struct named_item *item,
                             struct slice name, const struct slice *interface) {
    if (item->sort == SORT_TYPE) {
        return item->is_binder ? copy_binder(loader, item->item, name, interface)
                               : copy_type(loader, item->item);
    }
    if (item->sort == SORT_FUNC) {
        const struct func_def *func = item->item;
        const struct component_func_type *type = bound_func(loader, func->type);
        if (interface != NULL) {
            return import_func(loader, *interface, name, type);
        }
        struct func_def *copy = LOADER_NEW(loader, struct func_def);
        *copy = (struct func_def){.source = FUNC_ABSTRACT, .type = type};
        return copy;
    }
    if (item->sort == SORT_INSTANCE) {
        struct slice path = slice_of(NULL, 0);
        if (interface != NULL) {
            path = join_path(loader, *interface, name);
        }
        return shape_copy_instance(loader, item->item, interface == NULL ? NULL : &path);
    }
    if (item->sort == SORT_COMPONENT) {
        struct component_def *copy = LOADER_NEW(loader, struct component_def);
        copy->is_abstract = true;
        copy->shape = copy_component(loader, ((const struct component_def *)item->item)->shape);
        return copy;
    }
    return item->item;
}

static struct map *copy_items(struct loader *loader, const struct map *items,
                              const struct slice *interface) {
    struct map *copies = loader_map(loader);
    uint32_t cursor = 0;
    const struct map_entry *entry;
    while ((entry = map_next(items, &cursor)) != NULL && loader_work(loader, 1)) {
        const struct named_item *item = entry->value;
        // Maps end with the load, the component's lists keep the name.
        struct slice name = entry->key;
        if (interface != NULL) {
            name = slice_of(arena_text(&loader->component->arena, name), name.size);
        }
        struct named_item *copy = LOADER_NEW(loader, struct named_item);
        *copy = (struct named_item){.sort = item->sort, .is_binder = item->is_binder};
        copy->item = copy_item(loader, item, name, interface);
        (void)map_add(copies, entry->key, copy);
    }
    return copies;
}

// ---- comparing ---------------------------------------------------------------------------------

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
        !type_layout(a)->has_handle || !type_layout(b)->has_handle ||
        !loader_work(loader, 1 + a->item_count)) {
        return false;
    }
    if (a->resource != NULL) {
        return resource_resolve(a->resource) == resource_resolve(b->resource);
    }
    bool same = same_names(a, b);
    for (uint32_t i = 0; i < a->item_count && same; i++) {
        same = same_value(loader, a->items[i], b->items[i]);
    }
    return same;
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
        if (item->is_binder) {
            actual->resource->binding = NULL;
        }
        struct resource_def *bound = resource_resolve(&actual->resource->resource);
        wanted->resource->binding = bound == wanted->resource ? NULL : bound;
        return;
    }
    bool same = actual->tag == wanted->tag;
    if (same && actual->tag == TYPE_VALUE) {
        same = same_value(loader, actual->value, wanted->value);
    } else if (same && actual->tag == TYPE_FUNC) {
        same = same_func(loader, actual->func, wanted->func);
    } else if (same && actual->tag == TYPE_RESOURCE) {
        same = resource_resolve(&actual->resource->resource) ==
               resource_resolve(&wanted->resource->resource);
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
        if (component->shape != NULL && wanted->shape != NULL) {
            match_components(loader, component->shape, wanted->shape, name);
        }
    }
}

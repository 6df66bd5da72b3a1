// SPDX-License-Identifier: Apache-2.0
// Shapes: what instances and components are declared to export and import (Explainer.md, "Type
// Checking"). They are copied when something of a shape comes into being.
//
// A name in a shape can stand for any resource type: it is a *binder*. Records, variants, enums and
// flags get a new identity, equal to the old one, with each external name. While a shape is
// copied, what is new in the copy is noted as `rename` of the old, and everything behind it in the
// shape is read under these renames. shape_unbind forgets them when the copy is done. What was
// given for an import is noted as `binding` by subtype.c and counts in the same way.
//
// Shapes written out can be exponentially larger than their definitions, so every step is counted.
#include <assert.h>

#include "component/load.h"

// Steps that a part of a new type counts for: unlike comparing, it takes memory.
#define TYPE_WORK UINT64_C(16)

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

// ---- bindings ----------------------------------------------------------------------------------

void shape_note(struct loader *loader, struct resource_def *resource) {
    buf_append(&loader->bound_resources, &resource, sizeof(struct resource_def *));
}

void shape_rename(struct loader *loader, const struct component_type *type,
                  const struct component_type *to) {
    // The loader made it and is its only user.
    struct type_layout *layout = (struct type_layout *)(uintptr_t)type_layout(type);
    layout->rename = to;
    buf_append(&loader->renamed_types, &layout, sizeof(struct type_layout *));
}

void shape_unbind(struct loader *loader) {
    struct resource_def *const *resources = (void *)loader->bound_resources.data;
    for (size_t i = 0; i < loader->bound_resources.size / sizeof *resources; i++) {
        resources[i]->binding = NULL;
        resources[i]->rename = NULL;
    }
    struct type_layout *const *types = (void *)loader->renamed_types.data;
    for (size_t i = 0; i < loader->renamed_types.size / sizeof *types; i++) {
        types[i]->rename = NULL;
    }
    buf_clear(&loader->bound_resources);
    buf_clear(&loader->renamed_types);
}

static void rename_resource(struct loader *loader, struct resource_def *resource,
                            struct resource_def *to) {
    resource->rename = to;
    shape_note(loader, resource);
}

// What stands for the resource type in the copy.
static struct resource_def *bound_resource(struct resource_def *resource) {
    for (struct resource_def *at = resource; at != NULL; at = at->origin) {
        if (at->rename != NULL) {
            return at->rename;
        }
        if (at->binding != NULL) {
            return at->binding;
        }
    }
    return resource;
}

static const struct component_type *bound_value(struct loader *loader,
                                                const struct component_type *type);

static const struct component_type **bound_items(struct loader *loader,
                                                 const struct component_type *type) {
    const struct component_type **items =
        ARENA_ARRAY(&loader->arena, const struct component_type *, type->item_count);
    for (uint32_t i = 0; type->items != NULL && i < type->item_count; i++) {
        items[i] = bound_value(loader, type->items[i]);
    }
    return items;
}

// Recursion is bounded by TYPE_DEPTH_MAX.
static const struct component_type *bound_value(struct loader *loader,
                                                const struct component_type *type) {
    if (type == NULL) {
        return NULL;
    }
    const struct type_layout *layout = type_layout(type);
    if (layout->rename != NULL) {
        return layout->rename;
    }
    // A name that the copy does not pass is from outside of the shape, and so is what it names.
    bool is_affected = layout->has_handle || (loader->is_checking && layout->has_nameable);
    if (!is_affected || layout->is_named ||
        !loader_work(loader, TYPE_WORK * (1 + type->item_count))) {
        return type;
    }
    if (type->resource != NULL) {
        struct resource_def *bound = bound_resource(resource_def(type->resource));
        return type_intern_handle(&loader->types, type->kind, &bound->resource);
    }
    if (type->items == NULL) {
        return type;
    }
    const char *why = NULL;
    const struct component_type *result = type_intern(&loader->types, type->kind, type->item_count,
                                                      bound_items(loader, type), type->names, &why);
    if (result == NULL) {
        fail(loader, ERR_LIMIT, "%s", why);
        return type;
    }
    return result;
}

static const struct component_func_type *bound_func(struct loader *loader,
                                                    const struct component_func_type *func) {
    if (!loader_work(loader, TYPE_WORK * (1 + func->param_count))) {
        return func;
    }
    struct arena *arena = &loader->component->arena;
    const struct component_type **params =
        ARENA_ARRAY(&loader->arena, const struct component_type *, func->param_count);
    const struct component_type *value = bound_value(loader, func->result);
    bool same = value == func->result;
    for (uint32_t i = 0; i < func->param_count; i++) {
        params[i] = bound_value(loader, func->params[i]);
        same &= params[i] == func->params[i];
    }
    if (same) {
        return func;
    }
    struct component_func_type *result = ARENA_NEW(arena, struct component_func_type);
    *result = *func;
    size_t size = func->param_count * sizeof(const struct component_type *);
    result->params = memcpy(arena_alloc(arena, size, _Alignof(void *)), params, size);
    result->result = value;
    return result;
}

// ---- copying -----------------------------------------------------------------------------------

// How a shape is copied.
struct copy {
    const struct slice *interface;  // of an instance that the host implements; else NULL
    struct scope *scope;            // that gives the names; NULL: nobody does
    bool by_import;
    bool is_export;  // of what exists: no resource type is new
};

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

static const struct instance_def *copy_instance(struct loader *loader,
                                                const struct instance_def *instance,
                                                const struct copy *copy);

struct resource_def *abstract_resource(struct loader *loader, struct slice name) {
    // Interned handle types refer to it, so it lives as long as they do.
    struct resource_def *def = ARENA_NEW(&loader->component->arena, struct resource_def);
    def->resource.name = name;
    def->resource.index = PLAN_NONE;
    return def;
}

static struct resource_def *new_name(struct loader *loader, struct resource_def *origin,
                                     const struct copy *copy) {
    if (!loader->is_checking) {
        return origin;
    }
    struct resource_def *def = abstract_resource(loader, slice_of(NULL, 0));
    def->resource.index = origin->resource.index;
    // Names of names would make chains as long as the input.
    def->origin = origin->origin == NULL ? origin : origin->origin;
    def->visible_in = copy->scope;
    def->by_import = copy->by_import;
    return def;
}

// The resource type that takes the place of one that the shape leaves open.
static struct resource_def *copy_binder(struct loader *loader, struct resource_def *resource,
                                        struct slice name, const struct copy *copy) {
    struct resource_def *made;
    if (copy->interface != NULL) {
        made = import_resource(loader, *copy->interface, name);
    } else {
        made = abstract_resource(loader, slice_of(NULL, 0));
        made->visible_in = copy->scope;
        made->by_import = copy->by_import;
        made->import_scope = copy->by_import ? copy->scope : NULL;
    }
    for (struct resource_def *at = resource; at != NULL; at = at->origin) {
        rename_resource(loader, at, made);
    }
    return made;
}

static void copy_resource(struct loader *loader, const struct named_item *item,
                          struct named_item *out, struct slice name, const struct copy *copy) {
    const struct type_def *type = item->item;
    struct resource_def *resource = type->resource;
    struct type_def *made = LOADER_NEW(loader, struct type_def);
    made->tag = TYPE_RESOURCE;
    out->item = made;
    if (copy->is_export) {
        struct resource_def *behind = resource_behind(&resource->resource);
        made->resource = new_name(loader, resource, copy);
        // The first export of a resource type of ours introduces it.
        out->is_binder = loader->is_checking && behind->import_scope != copy->scope &&
                         behind->exported_in != copy->scope;
        behind->exported_in = copy->scope;
        rename_resource(loader, resource, made->resource);
    } else if (item->is_binder) {
        made->resource = copy_binder(loader, resource, name, copy);
        out->is_binder = true;
    } else {
        made->resource = new_name(loader, bound_resource(resource), copy);
        if (made->resource != resource) {
            rename_resource(loader, resource, made->resource);
        }
    }
}

// A type under a name: a new identity, if it is of those that need names.
static const struct component_type *copy_value(struct loader *loader,
                                               const struct component_type *type,
                                               const struct copy *copy) {
    if (!loader->is_checking || !type_is_nameable(type)) {
        return bound_value(loader, type);
    }
    if (!loader_work(loader, TYPE_WORK * (1 + type->item_count))) {
        return type;
    }
    const struct component_type *const *items =
        type->items == NULL ? NULL : bound_items(loader, type);
    struct type_layout *named = type_named(&loader->types, type, items);
    named->visible_in = copy->scope;
    named->by_import = copy->by_import;
    shape_rename(loader, type, &named->type);
    return &named->type;
}

static struct map *copy_items(struct loader *loader, const struct map *items,
                              const struct copy *copy);

static const struct component_shape *copy_component(struct loader *loader,
                                                    const struct component_shape *shape) {
    // Its names are its own: they are visible where they are declared.
    static const struct copy INSIDE = {.scope = NULL};
    struct component_shape *made = LOADER_NEW(loader, struct component_shape);
    made->imports = copy_items(loader, shape->imports, &INSIDE);
    made->exports = copy_items(loader, shape->exports, &INSIDE);
    made->depth = shape->depth;
    return made;
}

static const struct type_def *copy_type(struct loader *loader, const struct type_def *type,
                                        const struct copy *copy) {
    static const struct copy INSIDE = {.scope = NULL};
    struct type_def *made = LOADER_NEW(loader, struct type_def);
    made->tag = type->tag;
    if (type->tag == TYPE_VALUE) {
        made->value = copy_value(loader, type->value, copy);
    } else if (type->tag == TYPE_FUNC) {
        made->func = bound_func(loader, type->func);
    } else if (type->tag == TYPE_INSTANCE) {
        made->instance = copy_instance(loader, type->instance, &INSIDE);
    } else {
        assert(type->tag == TYPE_COMPONENT);
        made->component = copy_component(loader, type->component);
    }
    return made;
}

// The interface name of an instance inside an imported one: no host knows it by any other.
static struct slice join_path(struct loader *loader, struct slice outer, struct slice inner) {
    char *text = arena_alloc(&loader->component->arena, outer.size + 1 + inner.size, 1);
    memcpy(text, outer.data, outer.size);
    text[outer.size] = '/';
    memcpy(text + outer.size + 1, inner.data, inner.size);
    return slice_of(text, outer.size + 1 + inner.size);
}

static const void *copy_func(struct loader *loader, const struct func_def *func, struct slice name,
                             const struct copy *copy) {
    const struct component_func_type *type = bound_func(loader, func->type);
    if (copy->interface != NULL) {
        return import_func(loader, *copy->interface, name, type);
    }
    struct func_def *made = LOADER_NEW(loader, struct func_def);
    *made = *func;
    made->type = type;
    return made;
}

static void copy_item(struct loader *loader, const struct named_item *item, struct named_item *out,
                      struct slice name, const struct copy *copy) {
    *out = (struct named_item){.sort = item->sort, .item = item->item};
    if (item->sort == SORT_TYPE) {
        const struct type_def *type = item->item;
        if (type->tag == TYPE_RESOURCE) {
            copy_resource(loader, item, out, name, copy);
        } else {
            out->item = copy_type(loader, type, copy);
        }
    } else if (item->sort == SORT_FUNC) {
        out->item = copy_func(loader, item->item, name, copy);
    } else if (item->sort == SORT_INSTANCE) {
        struct copy inner = *copy;
        struct slice path = name;
        if (copy->interface != NULL) {
            path = join_path(loader, *copy->interface, name);
            inner.interface = &path;
        }
        out->item = copy_instance(loader, item->item, &inner);
    } else if (item->sort == SORT_COMPONENT && !copy->is_export) {
        const struct component_def *component = item->item;
        struct component_def *made = LOADER_NEW(loader, struct component_def);
        *made = *component;
        if (component->shape != NULL) {
            made->shape = copy_component(loader, component->shape);
        }
        out->item = made;
    }
}

static struct map *copy_items(struct loader *loader, const struct map *items,
                              const struct copy *copy) {
    struct map *copies = loader_map(loader);
    uint32_t cursor = 0;
    const struct map_entry *entry;
    // Counted twice, being larger than most definitions.
    while ((entry = map_next(items, &cursor)) != NULL && loader_count(loader) &&
           loader_count(loader)) {
        // Maps end with the load, the component's lists keep the name.
        struct slice name = entry->key;
        if (copy->interface != NULL) {
            name = slice_of(arena_text(&loader->component->arena, name), name.size);
        }
        struct named_item *made = LOADER_NEW(loader, struct named_item);
        copy_item(loader, entry->value, made, name, copy);
        (void)map_add(copies, entry->key, made);
    }
    return copies;
}

// Depth is bounded where shapes are made.
static const struct instance_def *copy_instance(struct loader *loader,
                                                const struct instance_def *instance,
                                                const struct copy *copy) {
    struct instance_def *made = LOADER_NEW(loader, struct instance_def);
    made->exports = copy_items(loader, instance->exports, copy);
    made->depth = instance->depth;
    return made;
}

// ---- what copies are for -----------------------------------------------------------------------

struct named_item *shape_declared(struct loader *loader, const struct extern_decl *decl,
                                  bool by_import) {
    assert(loader->bound_resources.size == 0 && loader->renamed_types.size == 0);
    struct copy copy = {.scope = loader->scope, .by_import = by_import};
    struct named_item item = {.sort = decl->sort, .is_binder = decl->is_binder};
    struct func_def func = {.source = FUNC_ABSTRACT};
    struct component_def component = {.is_abstract = true};
    if (decl->sort == SORT_FUNC) {
        func.type = decl->type->func;
        item.item = &func;
    } else if (decl->sort == SORT_COMPONENT) {
        component.shape = decl->type->component;
        item.item = &component;
    } else if (decl->sort == SORT_INSTANCE) {
        item.item = decl->type->instance;
    } else if (decl->sort == SORT_CORE_MODULE) {
        item.item = decl->module;
    } else {
        item.item = decl->type;
    }
    struct named_item *made = LOADER_NEW(loader, struct named_item);
    copy_item(loader, &item, made, slice_of(NULL, 0), &copy);
    shape_unbind(loader);
    return made;
}

struct named_item *shape_exported(struct loader *loader, const struct named_item *item) {
    assert(loader->is_checking && loader->bound_resources.size == 0);
    struct copy copy = {.scope = loader->scope, .is_export = true};
    struct named_item *made = LOADER_NEW(loader, struct named_item);
    copy_item(loader, item, made, slice_of(NULL, 0), &copy);
    shape_unbind(loader);
    return made;
}

const struct instance_def *shape_instantiated(struct loader *loader,
                                              const struct component_shape *shape) {
    struct copy copy = {.scope = NULL};
    struct instance_def *made = LOADER_NEW(loader, struct instance_def);
    made->exports = copy_items(loader, shape->exports, &copy);
    made->depth = shape->depth;
    return made;
}

const struct instance_def *shape_imported(struct loader *loader,
                                          const struct instance_def *instance,
                                          struct slice interface) {
    assert(!loader->is_checking && loader->bound_resources.size == 0);
    struct copy copy = {.interface = &interface};
    const struct instance_def *made = copy_instance(loader, instance, &copy);
    shape_unbind(loader);
    return made;
}

const struct instance_def *shape_narrowed(struct loader *loader,
                                          const struct instance_def *instance,
                                          const struct instance_def *declared) {
    struct instance_def *made = LOADER_NEW(loader, struct instance_def);
    made->exports = loader_map(loader);
    made->depth = declared->depth;
    uint32_t cursor = 0;
    const struct map_entry *entry;
    while ((entry = map_next(declared->exports, &cursor)) != NULL && loader_count(loader)) {
        const struct named_item *part = map_get(instance->exports, entry->key);
        const struct named_item *wanted = entry->value;
        if (part == NULL || part->sort != wanted->sort) {
            fail(loader, ERR_INVALID, "missing export `%.*s`", (int)entry->key.size,
                 (const char *)entry->key.data);
            break;
        }
        struct named_item *kept = LOADER_NEW(loader, struct named_item);
        *kept = *part;
        if (part->sort == SORT_INSTANCE) {
            kept->item = shape_narrowed(loader, part->item, wanted->item);
        }
        (void)map_add(made->exports, entry->key, kept);
    }
    return made;
}

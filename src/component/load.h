// SPDX-License-Identifier: Apache-2.0
// The loader's working state: scopes with their index spaces, and the definitions in them. All of
// it is gone when component_load returns. Private to load*.c.
//
// Loading *evaluates* the component: a nested component is remembered as its byte range and the
// scope it was defined in, and decoded anew, with its actual arguments, each time it is
// instantiated. So every definition is concrete when it is reached, types of arguments included,
// and what a component instantiation produces are plain entries of the plan.
//
// Errors stick: after the first one the readers return zeros, and every loop ends.
#ifndef COMPONENT_LOAD_H
#define COMPONENT_LOAD_H

#include "component/plan.h"

enum sort {
    SORT_CORE_FUNC,
    SORT_CORE_TABLE,
    SORT_CORE_MEMORY,
    SORT_CORE_GLOBAL,
    SORT_CORE_MODULE,
    SORT_CORE_INSTANCE,
    SORT_FUNC,
    SORT_TYPE,
    SORT_COMPONENT,
    SORT_INSTANCE,
    SORT_COUNT
};
// "core func" and so on, for messages. Static storage.
const char *sort_name(enum sort sort);

// ---- definitions, one struct per sort --------------------------------------------------------

// An item under a name: what exports, imports, arguments and shapes are made of.
struct named_item {
    enum sort sort;
    bool is_binder;  // of a type: the name stands for whatever resource type is given
    const void *item;
};

// Core functions, tables, memories and globals.
struct core_item {
    enum sort sort;
    struct core_ref ref;
    struct wasm_extern_type type;
};

struct module_def {
    struct wasm_module *module;
    uint32_t index;       // in the component's modules
    struct map *exports;  // name -> struct wasm_export
};

// Either an instantiated module (module set) or a list of core items under names.
struct core_instance_def {
    const struct module_def *module;
    uint32_t slot;
    struct map *items;  // name -> struct core_item
};

enum func_source { FUNC_ABSTRACT, FUNC_IMPORT, FUNC_LIFT };

struct func_def {
    enum func_source source;
    uint32_t index;  // of the import or lift
    const struct component_func_type *type;
};

// A resource type. One that is in the plan has its place as `resource.index`; an abstract one,
// which stands for another in a shape, has PLAN_NONE there.
struct resource_def {
    struct component_resource resource;  // first: pointers to it are cast back
    struct resource_def *binding;        // what it stands for just now (see shape.c); NULL: itself
};

enum type_tag { TYPE_VALUE, TYPE_FUNC, TYPE_RESOURCE, TYPE_INSTANCE, TYPE_COMPONENT };

// The member after `tag` that the tag says is set.
struct type_def {
    enum type_tag tag;
    const struct component_type *value;
    const struct component_func_type *func;
    struct resource_def *resource;
    const struct instance_def *instance;  // its exports are declarations, to be copied
    const struct component_shape *component;
};

// What an import or export is declared to be: the function's, instance's or component's type, or
// the type itself.
struct extern_decl {
    enum sort sort;
    bool is_binder;
    const struct type_def *type;
};

struct instance_def {
    struct map *exports;  // name -> struct named_item
    uint32_t depth;       // levels of instances and components in it, itself included
};

// What a component looks like from outside.
struct component_shape {
    struct map *imports;  // name -> struct named_item
    struct map *exports;  // the same
    uint32_t depth;
};

struct scope;
struct component_def {
    const struct component_shape *shape;
    size_t begin;  // its sections, in the component's bytes
    size_t end;
    struct scope *outer;
    uint32_t outer_counts[SORT_COUNT];  // what of `outer` was defined before it
    bool is_abstract;                   // known by its shape only
};

// ---- scopes ----------------------------------------------------------------------------------

struct space {
    const void **items;
    uint32_t count;
    uint32_t capacity;
};

struct scope {
    struct scope *outer;
    uint32_t outer_counts[SORT_COUNT];
    bool is_type;    // of an instance or component type
    bool is_root;    // the component itself
    uint32_t depth;  // scopes around it
    uint32_t owner;  // number of the component instantiation
    struct space spaces[SORT_COUNT];
    const struct map *arguments;  // of a nested component: name -> struct named_item
    struct map *imports;          // name -> struct named_item, as declared
    struct map *exports;          // name -> struct named_item
    uint32_t shape_depth;         // most of any import or export
};

struct loader_map {
    struct map map;
    struct loader_map *next;
};

struct loader {
    const uint8_t *data;
    size_t at;   // next byte
    size_t end;  // of the section or component being read
    enum status status;
    struct error *error;
    struct component *component;
    struct scope *scope;
    struct arena arena;
    struct type_table types;
    struct map functions;       // core_ref -> index + 1 in the plan's functions
    struct map memories;        // the same for memories
    struct map module_indices;  // offset in the bytes -> struct module_def
    struct loader_map *maps;
    uint32_t nesting_limit;
    uint32_t items_left;
    uint64_t work_left;       // steps of copying and comparing types
    uint64_t expansion_left;  // bytes of nested components that may still be decoded
};

// ---- load_read.c: reading, failing, scopes -----------------------------------------------------

// Sets the error (with the current offset) unless one is set.
void fail(struct loader *loader, enum status code, const char *format, ...) PRINTF_LIKE(3, 4);
static inline bool failed(const struct loader *loader) {
    return loader->status != OK;
}
uint8_t read_byte(struct loader *loader);
uint8_t peek_byte(struct loader *loader);
uint32_t read_u32(struct loader *loader);
int64_t read_s33(struct loader *loader);
// A count of things that take at least one byte each.
uint32_t read_count(struct loader *loader, const char *what);
// A name: size, then well-formed UTF-8.
struct slice read_name(struct loader *loader);
// The name of an import or export, with its leading form byte.
struct slice read_extern_name(struct loader *loader);
// A sort; SORT_COUNT after a failure. `core` ones are those of core:sort.
enum sort read_core_sort(struct loader *loader);
enum sort read_sort(struct loader *loader);
// Memory that lives until the end of load, zeroed.
#define LOADER_NEW(loader, type) ARENA_NEW(&(loader)->arena, type)
struct map *loader_map(struct loader *loader);
// Counts one definition against the limit; false after failing.
bool loader_count(struct loader *loader);
// Counts steps of work that the input's size does not bound; false after failing.
bool loader_work(struct loader *loader, uint64_t steps);
// Adds a definition to the current scope's space.
void scope_add(struct loader *loader, enum sort sort, const void *item);
// The definition with this index in the current scope, or NULL after failing.
const void *scope_get(struct loader *loader, enum sort sort, uint32_t index);
const void *scope_read(struct loader *loader, enum sort sort);
struct scope *scope_enter(struct loader *loader, bool is_type);
void scope_leave(struct loader *loader, struct scope *scope);
// Adds to a growing table of the plan; gives the new element, zeroed. `items` is the address of
// the table's pointer.
void *plan_push(void *items, uint32_t *count, uint32_t *capacity, size_t size);
#define PLAN_PUSH(component, name)                                                              \
    plan_push(&(component)->name##s, &(component)->name##_count, &(component)->name##_capacity, \
              sizeof *(component)->name##s)

// ---- load_types.c ------------------------------------------------------------------------------

// Words of letters and digits in one case each, joined by hyphens; the first begins with a letter
// (Explainer.md, "Import and Export Definitions": label).
bool is_label(struct slice label);
// Reads one type definition into the current scope.
void load_type(struct loader *loader);
// After the name of an import or export declaration.
struct extern_decl read_extern_decl(struct loader *loader);
// Makes an item of a declared kind that no code can use: for type scopes and imports.
struct named_item *abstract_item(struct loader *loader, const struct extern_decl *decl);
// A resource type that is not in the plan.
struct resource_def *abstract_resource(struct loader *loader, struct slice name);

// ---- load_alias.c ------------------------------------------------------------------------------

// Reads one alias into the current scope.
void load_alias(struct loader *loader);

// ---- shape.c: copying and comparing shapes -----------------------------------------------------

static inline struct resource_def *resource_def(const struct component_resource *resource) {
    return (struct resource_def *)(uintptr_t)resource;
}
// What the resource type stands for.
static inline struct resource_def *resource_resolve(const struct component_resource *resource) {
    struct resource_def *def = resource_def(resource);
    return def->binding == NULL ? def : def->binding;
}
uint32_t item_depth(const struct named_item *item);
// The instance's exports with binders of their own. With `interface`, an instance that the host
// implements: resource types and functions become imports of the plan.
const struct instance_def *shape_copy_instance(struct loader *loader,
                                               const struct instance_def *instance,
                                               const struct slice *interface);
// Enters an imported resource type and function into the plan.
struct resource_def *import_resource(struct loader *loader, struct slice interface,
                                     struct slice name);
const struct func_def *import_func(struct loader *loader, struct slice interface, struct slice name,
                                   const struct component_func_type *type);
// Fails unless the item is usable where `declared` is declared. Binds its binders.
void shape_match(struct loader *loader, const struct named_item *item,
                 const struct named_item *declared, struct slice name);

// ---- load_core.c -------------------------------------------------------------------------------

// Read one definition of their section; failures are kept in the loader.
void load_module(struct loader *loader);
void load_core_instance(struct loader *loader);
const struct core_item *core_instance_export(struct loader *loader,
                                             const struct core_instance_def *instance,
                                             struct slice name);

// ---- load_canon.c ------------------------------------------------------------------------------

// Reads one canonical definition: lift, lower, or a built-in function.
void load_canon(struct loader *loader);
// Reads the index of a resource type's destructor; its number in the plan.
uint32_t read_destructor(struct loader *loader);

#endif

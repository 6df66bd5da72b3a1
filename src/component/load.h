// SPDX-License-Identifier: Apache-2.0
// The loader's working state: scopes with their index spaces, and the definitions in them. All of
// it is gone when component_load returns. Private to load*.c.
//
// Loading *evaluates* the component: a nested component is remembered as its byte range and the
// scope it was defined in, and decoded anew, with its actual arguments, each time it is
// instantiated. So every definition is concrete when it is reached, types of arguments included,
// and what a component instantiation produces are plain entries of the plan.
//
// Before that, the component is *checked* by the same readers: every nested component is decoded
// once, where it is defined, with imports of which nothing but the type is known. This gives its
// shape; instantiating it means to compare the arguments with the shape's imports, and to copy its
// exports. What the plan would be is thrown away. Evaluation relies on what was checked.
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
    SORT_CORE_TAG,  // exceptions are not supported, so there is none
    SORT_CORE_TYPE,
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

// A module, or a module type (module not set).
struct module_def {
    struct wasm_module *module;
    uint32_t index;  // in the component's modules
    const struct wasm_import *imports;
    uint32_t import_count;
    struct map *exports;      // name -> struct wasm_export
    struct map *import_keys;  // of a type: both names -> struct wasm_import
};

// A core type: of a function, or of a module.
struct core_type_def {
    const struct wasm_func_type *func;
    const struct module_def *module;
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
// which stands for another in a shape, has PLAN_NONE there. What follows is for checking, see
// shape.c.
struct resource_def {
    struct component_resource resource;  // first: pointers to it are cast back
    struct resource_def *origin;         // the same type under an older name
    struct resource_def *binding;        // what was given for it
    struct resource_def *rename;         // what a copy of a shape puts in its place
    const struct scope *visible_in;      // the scope that has a name for it
    bool by_import;                      // the name is an import's
    const struct scope *import_scope;    // the component that imports it
    const struct scope *exported_in;     // the component that exports it already
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
    const struct module_def *module;  // of a core module
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
    bool is_type;  // of an instance or component type
    bool is_instance_type;
    bool is_root;    // the component itself
    uint32_t depth;  // scopes around it
    uint32_t owner;  // number of the component instantiation
    struct space spaces[SORT_COUNT];
    const struct map *arguments;  // of a nested component: name -> struct named_item
    struct map *imports;          // name -> struct named_item, as declared
    struct map *exports;          // name -> struct named_item
    struct map *import_keys;      // the names taken, see names.h
    struct map *export_keys;
    uint32_t shape_depth;  // most of any import or export
};

struct loader_map {
    struct map map;
    struct loader_map *next;
};

struct loader {
    bool is_checking;
    const uint8_t *data;
    size_t size;
    size_t at;   // next byte
    size_t end;  // of the section or component being read
    enum status status;
    struct error *error;
    struct component *component;  // whose plan is made; while checking, one that is thrown away
    struct component *modules;    // the component that keeps the core modules
    struct scope *scope;
    struct arena arena;
    struct type_table types;
    struct map functions;         // core_ref -> index + 1 in the plan's functions
    struct map memories;          // the same for memories
    struct wasm_findings *known;  // of the modules, in the order of their definition
    uint32_t known_count;
    uint64_t code_checked_bytes;  // sizes of the code sections that were validated
    struct map module_indices;    // offset in the bytes -> struct module_def
    struct loader_map *maps;
    struct buf bound_resources;  // those with a binding or rename
    struct buf renamed_types;    // struct type_layout with a rename
    struct buf owner_parents;    // uint32_t per component instantiation: the one it is in
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

// Reads one type definition into the current scope.
void load_type(struct loader *loader);
// After the name of an import or export declaration.
struct extern_decl read_extern_decl(struct loader *loader);
// A resource type that is not in the plan.
struct resource_def *abstract_resource(struct loader *loader, struct slice name);

// ---- load_alias.c ------------------------------------------------------------------------------

// Reads one alias into the current scope.
void load_alias(struct loader *loader);
// The same after the sort and form of an outer alias.
void load_outer_alias(struct loader *loader, enum sort sort);

// ---- shape.c: copying shapes -------------------------------------------------------------------

static inline struct resource_def *resource_def(const struct component_resource *resource) {
    return (struct resource_def *)(uintptr_t)resource;
}
// Levels of instances and components in the item.
uint32_t item_depth(const struct named_item *item);
// What comes into being under a name of the current scope: an import or export of it (`by_import`),
// with external names and binders of its own. No code can use it.
struct named_item *shape_declared(struct loader *loader, const struct extern_decl *decl,
                                  bool by_import);
// What an item is in the current scope after it was exported: the same under external names.
struct named_item *shape_exported(struct loader *loader, const struct named_item *item);
// The exports of a component whose imports have been matched.
const struct instance_def *shape_instantiated(struct loader *loader,
                                              const struct component_shape *shape);
// An instance that the host implements: its resource types and functions become imports.
const struct instance_def *shape_imported(struct loader *loader,
                                          const struct instance_def *instance,
                                          struct slice interface);
// The part of an instance that is declared.
const struct instance_def *shape_narrowed(struct loader *loader,
                                          const struct instance_def *instance,
                                          const struct instance_def *declared);
// Enters an imported resource type and function into the plan.
struct resource_def *import_resource(struct loader *loader, struct slice interface,
                                     struct slice name);
const struct func_def *import_func(struct loader *loader, struct slice interface, struct slice name,
                                   const struct component_func_type *type);
// Notes that the resource's binding or rename must be cleared.
void shape_note(struct loader *loader, struct resource_def *resource);
void shape_rename(struct loader *loader, const struct component_type *type,
                  const struct component_type *to);
// Ends the validity of all bindings: after each match and what depends on it.
void shape_unbind(struct loader *loader);

// ---- subtype.c: comparing shapes ---------------------------------------------------------------

// The resource type behind names and bindings.
struct resource_def *resource_behind(const struct component_resource *resource);
// Fails unless the item is usable where `declared` is declared. Binds what is declared.
void shape_match(struct loader *loader, const struct named_item *item,
                 const struct named_item *declared, struct slice name);
// Whether a core item of the one type may be given for the other.
bool core_type_fits(const struct wasm_extern_type *actual, const struct wasm_extern_type *declared);

// ---- visible.c: names --------------------------------------------------------------------------

// Fails unless the name, of an import or export of the current scope, follows the grammar, is
// unlike the others in `keys`, and is fit for the item; `siblings` are those before it (NULL: a
// place where names do not speak of resources).
void check_name(struct loader *loader, struct slice name, const struct named_item *item,
                struct map *keys, const struct map *siblings, const char *what);
// Fails unless every type that the item needs has a name outside of the current scope.
void check_visible(struct loader *loader, const struct named_item *item, bool by_import);
// Whether the type refers to resource types that it does not introduce itself.
bool type_has_free_resource(struct loader *loader, const struct type_def *type);

// ---- load_core.c -------------------------------------------------------------------------------

// Read one definition of their section; failures are kept in the loader.
void load_module(struct loader *loader);
void load_core_instance(struct loader *loader);

// ---- load_core_types.c -------------------------------------------------------------------------

// Reads one core type definition into the current scope.
void load_core_type(struct loader *loader);
// The import of a module type under the same two names, or NULL.
const struct wasm_import *module_import(struct loader *loader, const struct module_def *module,
                                        const struct wasm_import *import);
const struct core_item *core_instance_export(struct loader *loader,
                                             const struct core_instance_def *instance,
                                             struct slice name);

// ---- load_canon.c ------------------------------------------------------------------------------

// Reads one canonical definition: lift, lower, or a built-in function.
void load_canon(struct loader *loader);
// Reads the index of a resource type's destructor; its number in the plan.
uint32_t read_destructor(struct loader *loader);

#endif

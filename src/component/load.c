// SPDX-License-Identifier: Apache-2.0
// component_load: sections, component-level instances, imports and exports (Binary.md, "Component
// Definitions", "Instance Definitions", "Import and Export Definitions").
#include "component/load.h"

#include <assert.h>
#include <stdlib.h>

#include "codec/sha256.h"

// Defaults of struct component_limits.
enum {
    DEFAULT_BYTES = 256 << 20,
    // To validate less code than this takes no longer than the file that would save it.
    REMEMBERED_CODE_BYTES = 256 << 10,
    DEFAULT_NESTING = 32,
    DEFAULT_ITEMS = 500000,
    WORK_STEPS = 8000000,  // see loader_work
    OWNERS_MAX = 10000,    // every instance has some bytes for each
};
// Bytes of nested components decoded in sum: one that is instantiated again and again is read each
// time. Generous for any composition, finite for a hostile one.
enum { EXPANSION_FACTOR = 16, EXPANSION_EXTRA = 1 << 20 };

static void load_sections(struct loader *loader, size_t end);

// ---- nested components -------------------------------------------------------------------------

// Numbers a component instantiation.
static uint32_t new_owner(struct loader *loader, uint32_t parent) {
    if (loader->component->owner_count == OWNERS_MAX) {
        fail(loader, ERR_LIMIT, "more than %d component instantiations", OWNERS_MAX);
    }
    buf_append(&loader->owner_parents, &parent, sizeof parent);
    return loader->component->owner_count++;
}

static bool is_component(struct slice bytes) {
    static const uint8_t HEADER[] = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};
    return bytes.size >= sizeof HEADER && memcmp(bytes.data, HEADER, sizeof HEADER) == 0;
}

// Decodes the component with nothing known of its imports but their types.
static const struct component_shape *check_component(struct loader *loader,
                                                     const struct component_def *def) {
    struct scope *outer = loader->scope;
    struct scope *scope = scope_enter(loader, false);
    if (scope == NULL) {
        return NULL;
    }
    // Its number says which definitions are its own.
    scope->owner = new_owner(loader, outer->owner);
    size_t end = loader->end;
    loader->at = def->begin;
    load_sections(loader, def->end);
    loader->end = end;
    struct component_shape *shape = LOADER_NEW(loader, struct component_shape);
    *shape = (struct component_shape){scope->imports, scope->exports, scope->shape_depth + 1};
    scope_leave(loader, outer);
    return shape;
}

static void load_component(struct loader *loader) {
    struct scope *scope = loader->scope;
    struct slice bytes = slice_of(loader->data + loader->at, loader->end - loader->at);
    if (!is_component(bytes)) {
        fail(loader, ERR_INVALID, "a nested component does not start with a component's header");
        return;
    }
    struct component_def *def = LOADER_NEW(loader, struct component_def);
    def->begin = loader->at + 8;
    def->end = loader->end;
    def->outer = scope;
    for (int sort = 0; sort < SORT_COUNT; sort++) {
        def->outer_counts[sort] = scope->spaces[sort].count;
    }
    if (loader->is_checking) {
        def->shape = check_component(loader, def);
    }
    loader->at = loader->end;
    scope_add(loader, SORT_COMPONENT, def);
}

// Matches the arguments with the component's shape; a copy of what it exports is the instance.
static void check_instantiation(struct loader *loader, const struct component_shape *shape,
                                const struct map *arguments) {
    uint32_t cursor = 0;
    const struct map_entry *entry;
    while ((entry = map_next(shape->imports, &cursor)) != NULL && loader_work(loader, 1)) {
        const struct named_item *argument = map_get(arguments, entry->key);
        if (argument == NULL) {
            fail(loader, ERR_INVALID, "missing import named `%.*s` of a nested component",
                 (int)entry->key.size, (const char *)entry->key.data);
        } else {
            shape_match(loader, argument, entry->value, entry->key);
        }
    }
    const struct instance_def *instance = shape_instantiated(loader, shape);
    shape_unbind(loader);
    scope_add(loader, SORT_INSTANCE, instance);
}

// Decodes the component's sections with these arguments; what it exports is the instance.
static void instantiate(struct loader *loader, const struct component_def *def,
                        const struct map *arguments) {
    if (def->is_abstract) {
        fail(loader, ERR_UNSUPPORTED, "instantiating a component that the host would give");
        return;
    }
    uint64_t size = def->end - def->begin;
    if (size > loader->expansion_left) {
        fail(loader, ERR_LIMIT, "nested components are instantiated too often");
        return;
    }
    loader->expansion_left -= size;
    struct scope *caller = loader->scope;
    uint32_t depth = caller->depth;
    size_t at = loader->at;
    size_t end = loader->end;
    struct scope *scope = scope_enter(loader, false);
    if (scope == NULL) {
        return;
    }
    // Where it stands in the text is not where it is instantiated: its names reach outwards from
    // its definition, the nesting limit counts from here.
    scope->outer = def->outer;
    memcpy(scope->outer_counts, def->outer_counts, sizeof scope->outer_counts);
    scope->depth = depth + 1;
    scope->arguments = arguments;
    scope->owner = new_owner(loader, caller->owner);
    loader->at = def->begin;
    load_sections(loader, def->end);
    struct instance_def *instance = LOADER_NEW(loader, struct instance_def);
    instance->exports = scope->exports;
    instance->depth = 1;
    if (failed(loader)) {
        return;
    }
    loader->at = at;
    loader->end = end;
    scope_leave(loader, caller);
    scope_add(loader, SORT_INSTANCE, instance);
}

// Bounds the recursion over shapes.
static void note_depth(struct loader *loader, uint32_t *depth, const struct named_item *item) {
    uint32_t item_is = item_depth(item);
    if (item_is > *depth) {
        *depth = item_is;
    }
    if (item_is >= TYPE_DEPTH_MAX) {
        fail(loader, ERR_LIMIT, "instances nested more than %d deep", TYPE_DEPTH_MAX);
    }
}

static struct named_item *read_item(struct loader *loader) {
    enum sort sort = read_sort(loader);
    if (failed(loader)) {
        return NULL;
    }
    const void *item = scope_read(loader, sort);
    if (failed(loader) || !loader_count(loader)) {
        return NULL;
    }
    struct named_item *named = LOADER_NEW(loader, struct named_item);
    *named = (struct named_item){.sort = sort, .item = item};
    return named;
}

// Sort and index of an item that components, too, can import and export.
static void check_exportable(struct loader *loader, const struct named_item *item) {
    if (!failed(loader) && item->sort < SORT_FUNC && item->sort != SORT_CORE_MODULE) {
        fail(loader, ERR_INVALID, "a component cannot import or export a %s",
             sort_name(item->sort));
    }
}

static void load_instantiation(struct loader *loader) {
    const struct component_def *def = scope_read(loader, SORT_COMPONENT);
    uint32_t count = read_count(loader, "arguments");
    struct map *arguments = loader_map(loader);
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        struct slice name = read_name(loader);
        struct named_item *item = read_item(loader);
        check_exportable(loader, item);
        if (!failed(loader) && !map_add(arguments, name, item)) {
            fail(loader, ERR_INVALID, "instantiation argument `%.*s` conflicts with a previous one",
                 (int)name.size, (const char *)name.data);
        }
    }
    if (failed(loader)) {
        return;
    }
    if (loader->is_checking) {
        check_instantiation(loader, def->shape, arguments);
    } else {
        instantiate(loader, def, arguments);
    }
}

static void load_inline_instance(struct loader *loader) {
    struct instance_def *instance = LOADER_NEW(loader, struct instance_def);
    instance->exports = loader_map(loader);
    struct map *keys = loader_map(loader);
    uint32_t count = read_count(loader, "exports");
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        struct slice name = read_extern_name(loader);
        struct named_item *item = read_item(loader);
        check_exportable(loader, item);
        if (loader->is_checking) {
            // An inline instance introduces no resource types, so it has no functions of them.
            check_name(loader, name, item, keys, NULL, "export");
        }
        if (failed(loader)) {
            return;
        }
        if (!map_add(instance->exports, name, item)) {
            fail(loader, ERR_INVALID, "two exports named '%.*s' in one instance", (int)name.size,
                 (const char *)name.data);
        }
        note_depth(loader, &instance->depth, item);
    }
    instance->depth++;
    scope_add(loader, SORT_INSTANCE, instance);
}

static void load_instance(struct loader *loader) {
    uint8_t form = read_byte(loader);
    if (form == 0x00) {
        load_instantiation(loader);
    } else if (form == 0x01) {
        load_inline_instance(loader);
    } else {
        fail(loader, ERR_INVALID, "unknown form of instance 0x%02x", form);
    }
}

// ---- imports -----------------------------------------------------------------------------------

// What the host gives for an import of the component itself.
static const void *host_item(struct loader *loader, struct slice name,
                             const struct extern_decl *decl) {
    const struct slice none = {.size = 0};
    if (decl->sort == SORT_FUNC) {
        return import_func(loader, none, name, decl->type->func);
    }
    if (decl->sort == SORT_INSTANCE) {
        *(struct slice *)PLAN_PUSH(loader->component, interface) = name;
        return shape_imported(loader, decl->type->instance, name);
    }
    assert(decl->sort == SORT_TYPE);
    if (decl->is_binder) {
        struct type_def *type = LOADER_NEW(loader, struct type_def);
        type->tag = TYPE_RESOURCE;
        type->resource = import_resource(loader, none, name);
        return type;
    }
    return decl->type;
}

// Whether a component or core module would be given with the item, which no host does.
static bool needs_code(const struct named_item *item) {
    if (item->sort != SORT_INSTANCE) {
        return item->sort == SORT_COMPONENT || item->sort == SORT_CORE_MODULE;
    }
    const struct instance_def *instance = item->item;
    uint32_t cursor = 0;
    const struct map_entry *entry;
    while ((entry = map_next(instance->exports, &cursor)) != NULL) {
        if (needs_code(entry->value)) {
            return true;
        }
    }
    return false;
}

// An import of which nothing but the type is known.
static void check_import(struct loader *loader, struct slice name, const struct extern_decl *decl) {
    struct scope *scope = loader->scope;
    const struct named_item *item = shape_declared(loader, decl, true);
    check_name(loader, name, item, scope->import_keys, scope->imports, "import");
    check_visible(loader, item, true);
    if (failed(loader)) {
        return;
    }
    (void)map_add(scope->imports, name, (void *)(uintptr_t)item);
    note_depth(loader, &scope->shape_depth, item);
    scope_add(loader, decl->sort, item->item);
    if (scope->is_root && needs_code(item)) {
        loader->modules->missing = name;
    }
}

static void load_import(struct loader *loader) {
    struct slice name = read_extern_name(loader);
    struct extern_decl decl = read_extern_decl(loader);
    struct scope *scope = loader->scope;
    if (failed(loader)) {
        return;
    }
    if (loader->is_checking) {
        check_import(loader, name, &decl);
    } else if (scope->is_root) {
        scope_add(loader, decl.sort, host_item(loader, name, &decl));
    } else {
        const struct named_item *argument = map_get(scope->arguments, name);
        if (argument == NULL || argument->sort != decl.sort) {
            fail(loader, ERR_INVALID, "missing import named `%.*s` of a nested component",
                 (int)name.size, (const char *)name.data);
            return;
        }
        scope_add(loader, decl.sort, argument->item);
    }
}

// ---- exports -----------------------------------------------------------------------------------

static void export_func(struct loader *loader, struct slice interface, struct slice name,
                        const struct func_def *func) {
    struct component *component = loader->component;
    if (func->source == FUNC_ABSTRACT) {
        fail(loader, ERR_UNSUPPORTED, "exporting a function of an instance inside an imported one");
        return;
    }
    *(struct component_export *)PLAN_PUSH(component, export) =
        (struct component_export){.interface = interface, .name = name, .type = func->type};
    *(struct plan_target *)PLAN_PUSH(component, export_target) =
        (struct plan_target){.is_import = func->source == FUNC_IMPORT, .index = func->index};
}

// Gives a resource type that the component defines its first name.
static void export_type(const struct type_def *type, struct slice interface, struct slice name) {
    if (type->tag == TYPE_RESOURCE && type->resource->resource.name.size == 0) {
        type->resource->resource.interface = interface;
        type->resource->resource.name = name;
    }
}

// What the root exports can be called; other types and components are exported for others to read.
static void export_root(struct loader *loader, struct slice name, enum sort sort,
                        const void *item) {
    if (sort == SORT_FUNC) {
        export_func(loader, slice_of(NULL, 0), name, item);
        return;
    }
    if (sort == SORT_TYPE) {
        export_type(item, slice_of(NULL, 0), name);
    }
    if (sort != SORT_INSTANCE) {
        return;
    }
    const struct instance_def *instance = item;
    uint32_t cursor = 0;
    const struct map_entry *entry;
    while ((entry = map_next(instance->exports, &cursor)) != NULL && loader_count(loader)) {
        const struct named_item *part = entry->value;
        char *text = arena_text(&loader->component->arena, entry->key);
        struct slice kept = slice_of(text, entry->key.size);
        if (part->sort == SORT_FUNC) {
            export_func(loader, name, kept, part->item);
        } else if (part->sort == SORT_TYPE) {
            export_type(part->item, name, kept);
        }
    }
}

// The export as its type was given, which may be less than what it is.
static const struct named_item *read_ascription(struct loader *loader,
                                                const struct named_item *item, struct slice name) {
    uint8_t ascribed = read_byte(loader);
    if (ascribed > 1) {
        fail(loader, ERR_INVALID, "expected 0 or 1 before an export's type, found 0x%02x",
             ascribed);
    }
    if (failed(loader) || ascribed == 0) {
        return item;
    }
    struct extern_decl decl = read_extern_decl(loader);
    if (failed(loader)) {
        return item;
    }
    if (loader->is_checking) {
        shape_match(loader, item, shape_declared(loader, &decl, false), name);
        shape_unbind(loader);
        return failed(loader) ? item : shape_declared(loader, &decl, false);
    }
    if (decl.sort != SORT_INSTANCE) {
        return item;
    }
    struct named_item *narrow = LOADER_NEW(loader, struct named_item);
    narrow->sort = SORT_INSTANCE;
    narrow->item = shape_narrowed(loader, item->item, decl.type->instance);
    return narrow;
}

static void load_export(struct loader *loader) {
    struct scope *scope = loader->scope;
    struct slice name = read_extern_name(loader);
    const struct named_item *item = read_item(loader);
    check_exportable(loader, item);
    if (failed(loader)) {
        return;
    }
    item = read_ascription(loader, item, name);
    if (loader->is_checking && !failed(loader)) {
        item = shape_exported(loader, item);
        check_name(loader, name, item, scope->export_keys, scope->exports, "export");
        check_visible(loader, item, false);
        note_depth(loader, &scope->shape_depth, item);
    }
    if (failed(loader)) {
        return;
    }
    (void)map_add(scope->exports, name, (void *)(uintptr_t)item);
    if (scope->is_root && !loader->is_checking) {
        export_root(loader, name, item->sort, item->item);
    }
    scope_add(loader, item->sort, item->item);
}

// ---- sections ----------------------------------------------------------------------------------

static void load_vector(struct loader *loader, void (*load)(struct loader *)) {
    uint32_t count = read_count(loader, "definitions");
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        load(loader);
    }
}

static void load_section(struct loader *loader, uint8_t id) {
    static void (*const VECTORS[])(struct loader *) = {
        [2] = load_core_instance, [3] = load_core_type, [5] = load_instance, [6] = load_alias,
        [7] = load_type,          [8] = load_canon,     [10] = load_import,  [11] = load_export};
    if (id == 0) {
        (void)read_name(loader);
        loader->at = loader->end;
    } else if (id == 1) {
        load_module(loader);
    } else if (id == 4) {
        load_component(loader);
    } else if (id == 9 || id == 12) {
        fail(loader, ERR_UNSUPPORTED, "values at component level (section %u)", id);
    } else if (id < COUNT_OF(VECTORS) && VECTORS[id] != NULL) {
        load_vector(loader, VECTORS[id]);
    } else {
        fail(loader, ERR_INVALID, "unknown section %u", id);
    }
}

static void load_sections(struct loader *loader, size_t end) {
    loader->end = end;
    while (!failed(loader) && loader->at < end && loader_count(loader)) {
        uint8_t id = read_byte(loader);
        uint32_t size = read_count(loader, "bytes of a section");
        if (failed(loader)) {
            return;
        }
        loader->end = loader->at + size;
        load_section(loader, id);
        if (!failed(loader) && loader->at != loader->end) {
            fail(loader, ERR_INVALID, "%zu bytes too many in section %u", loader->end - loader->at,
                 id);
        }
        loader->end = end;
    }
}

// ---- component_load ----------------------------------------------------------------------------

static enum status check_header(struct slice bytes, uint64_t limit, struct error *error) {
    if (bytes.size > limit) {
        return error_set(error, ERR_LIMIT, "component of %zu bytes, the limit is %llu", bytes.size,
                         (unsigned long long)limit);
    }
    if (is_component(bytes)) {
        return OK;
    }
    static const uint8_t MAGIC[] = {0, 'a', 's', 'm'};
    static const uint8_t CORE[] = {1, 0, 0, 0};
    if (bytes.size < 8 || memcmp(bytes.data, MAGIC, sizeof MAGIC) != 0) {
        return error_set(error, ERR_INVALID, "byte 0: not a WebAssembly component");
    }
    if (memcmp(bytes.data + 4, CORE, sizeof CORE) == 0) {
        return error_set(error, ERR_INVALID,
                         "byte 4: this is a core module, not a component; make a component of it "
                         "with its WIT world (wasm-tools component new)");
    }
    return error_set(error, ERR_INVALID,
                     "byte 4: unknown binary version: format version %u, layer %u; only components "
                     "of version 13 "
                     "are supported",
                     bytes.data[4] | bytes.data[5] << 8, bytes.data[6] | bytes.data[7] << 8);
}

static void loader_release(struct loader *loader) {
    for (struct loader_map *owner = loader->maps; owner != NULL; owner = owner->next) {
        map_release(&owner->map);
    }
    map_release(&loader->functions);
    map_release(&loader->memories);
    map_release(&loader->module_indices);
    buf_release(&loader->bound_resources);
    buf_release(&loader->renamed_types);
    buf_release(&loader->owner_parents);
    arena_release(&loader->arena);
    free(loader->known);
}

// Reads the whole component into the plan of `target`.
static void load_root(struct loader *loader, struct component *target) {
    loader->component = target;
    loader->at = 8;
    loader->scope = NULL;
    map_release(&loader->functions);
    map_release(&loader->memories);
    buf_clear(&loader->owner_parents);
    type_table_init(&loader->types, &target->arena);
    struct scope *root = scope_enter(loader, false);
    if (root != NULL) {
        root->is_root = true;
        root->owner = new_owner(loader, PLAN_NONE);
        load_sections(loader, loader->size);
    }
    type_table_release(&loader->types);
}

// The numbers of the items, by the step after which each is there. Gives an array.
static uint32_t *order_by_step(const struct core_ref *items, uint32_t count, uint32_t steps) {
    uint32_t *order = xmalloc((count + 1u) * sizeof *order);
    // Where the items of each step begin, from the counts of those before.
    uint32_t *begins = xcalloc(steps + 2u, sizeof *begins);
    for (uint32_t i = 0; i < count; i++) {
        assert(core_ref_step(&items[i]) <= steps);
        begins[core_ref_step(&items[i]) + 1]++;
    }
    for (uint32_t i = 0; i < steps; i++) {
        begins[i + 1] += begins[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        order[begins[core_ref_step(&items[i])]++] = i;
    }
    free(begins);
    return order;
}

static struct component *component_new(struct bytes *bytes) {
    struct component *component = xcalloc(1, sizeof *component);
    atomic_init(&component->references, 1);
    component->source = bytes_ref(bytes);
    arena_init(&component->arena, UINT64_MAX);
    atomic_init(&component->tier, NO_TIER);
    for (int tier = 0; tier < WASM_TIER_COUNT; tier++) {
        (void)pthread_mutex_init(&component->compile_locks[tier], NULL);
    }
    return component;
}

// Reads it with what is known of its core modules, if anything is.
static enum status load(struct bytes *bytes, const struct component_limits *given,
                        const struct wasm_compiler *compiler, struct component **out,
                        struct error *error) {
    uint64_t most = given->component_bytes == 0 ? DEFAULT_BYTES : given->component_bytes;
    enum status status = check_header(bytes_slice(bytes), most, error);
    if (status != OK) {
        return status;
    }
    struct component *component = component_new(bytes);
    sha256(bytes_slice(bytes), component->hash);
    struct loader loader = {
        .is_checking = true,
        .data = bytes->data,
        .size = bytes->size,
        .error = error,
        .modules = component,
        .nesting_limit = given->nesting == 0 ? DEFAULT_NESTING : given->nesting,
        .items_left = given->items == 0 ? DEFAULT_ITEMS : given->items,
        .work_left = WORK_STEPS,
        .expansion_left = (uint64_t)bytes->size * EXPANSION_FACTOR + EXPANSION_EXTRA,
    };
    if (compiler != NULL) {
        loader.known = wasm_findings_read(compiler, component->hash, &loader.known_count);
    }
    arena_init(&loader.arena, UINT64_MAX);
    struct component *checked = component_new(bytes);
    load_root(&loader, checked);
    component_unref(checked);
    if (loader.status == OK && component->missing.size == 0) {
        loader.is_checking = false;
        loader.items_left = given->items == 0 ? DEFAULT_ITEMS : given->items;
        load_root(&loader, component);
    }
    status = loader.status;
    if (status == OK && compiler != NULL && loader.code_checked_bytes >= REMEMBERED_CODE_BYTES) {
        wasm_findings_write(compiler, component->hash, component->modules, component->module_count);
    }
    loader_release(&loader);
    if (status != OK) {
        component_unref(component);
        return status;
    }
    for (int tier = 0; tier < WASM_TIER_COUNT; tier++) {
        component->codes[tier] = xcalloc(component->module_count + 1, sizeof(struct wasm_code *));
    }
    component->function_order =
        order_by_step(component->functions, component->function_count, component->step_count);
    component->memory_order =
        order_by_step(component->memories, component->memory_count, component->step_count);
    *out = component;
    return OK;
}

enum status component_load(struct bytes *bytes, const struct component_limits *limits,
                           struct component **out, struct error *error) {
    assert(bytes != NULL && out != NULL);
    static const struct component_limits DEFAULTS = {0};
    return load(bytes, limits == NULL ? &DEFAULTS : limits, NULL, out, error);
}

enum status component_load_cached(struct bytes *bytes, const struct wasm_compiler *compiler,
                                  struct component **out, struct error *error) {
    assert(bytes != NULL && compiler != NULL && out != NULL);
    static const struct component_limits DEFAULTS = {0};
    return load(bytes, &DEFAULTS, compiler, out, error);
}

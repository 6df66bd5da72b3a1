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
    DEFAULT_NESTING = 32,
    DEFAULT_ITEMS = 500000,
    WORK_STEPS = 20000000,
};
// Bytes of nested components decoded in sum: one that is instantiated again and again is read each
// time. Generous for any composition, finite for a hostile one.
enum { EXPANSION_FACTOR = 16, EXPANSION_EXTRA = 1 << 20 };

static void load_sections(struct loader *loader, size_t end);

// ---- nested components -------------------------------------------------------------------------

static bool is_component(struct slice bytes) {
    static const uint8_t HEADER[] = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};
    return bytes.size >= sizeof HEADER && memcmp(bytes.data, HEADER, sizeof HEADER) == 0;
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
    loader->at = loader->end;
    scope_add(loader, SORT_COMPONENT, def);
}

// Decodes the component's sections with these arguments; what it exports is the instance.
static void instantiate(struct loader *loader, const struct component_def *def,
                        const struct map *arguments) {
    if (def->is_abstract) {
        fail(loader, ERR_UNSUPPORTED, "instantiating an imported component");
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
    scope->owner = loader->component->owner_count++;
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

static void load_instance(struct loader *loader) {
    uint8_t form = read_byte(loader);
    const struct component_def *def = NULL;
    if (form == 0x00) {
        def = scope_read(loader, SORT_COMPONENT);
    } else if (form != 0x01) {
        fail(loader, ERR_INVALID, "unknown form of instance 0x%02x", form);
    }
    uint32_t count = read_count(loader, form == 0x00 ? "arguments" : "exports");
    struct map *items = loader_map(loader);
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        struct slice name = form == 0x00 ? read_name(loader) : read_extern_name(loader);
        struct named_item *item = read_item(loader);
        if (!failed(loader) && !map_add(items, name, item)) {
            fail(loader, ERR_INVALID, "two items named '%.*s' in one instance", (int)name.size,
                 (const char *)name.data);
        }
    }
    if (failed(loader)) {
        return;
    }
    if (form == 0x00) {
        instantiate(loader, def, items);
        return;
    }
    struct instance_def *instance = LOADER_NEW(loader, struct instance_def);
    instance->exports = items;
    instance->depth = 1;
    scope_add(loader, SORT_INSTANCE, instance);
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
        return shape_copy_instance(loader, decl->type->instance, &name);
    }
    if (decl->sort == SORT_TYPE && decl->is_binder) {
        struct type_def *type = LOADER_NEW(loader, struct type_def);
        type->tag = TYPE_RESOURCE;
        type->resource = import_resource(loader, none, name);
        return type;
    }
    if (decl->sort == SORT_TYPE) {
        return decl->type;
    }
    fail(loader, ERR_UNSUPPORTED, "importing a %s ('%.*s')", sort_name(decl->sort), (int)name.size,
         (const char *)name.data);
    return NULL;
}

static void load_import(struct loader *loader) {
    struct slice name = read_extern_name(loader);
    struct extern_decl decl = read_extern_decl(loader);
    struct scope *scope = loader->scope;
    if (failed(loader)) {
        return;
    }
    struct named_item *declared = abstract_item(loader, &decl);
    if (!failed(loader) && !map_add(scope->imports, name, declared)) {
        fail(loader, ERR_INVALID, "two imports named '%.*s'", (int)name.size,
             (const char *)name.data);
        return;
    }
    if (scope->is_root) {
        const void *item = host_item(loader, name, &decl);
        if (!failed(loader)) {
            scope_add(loader, decl.sort, item);
        }
        return;
    }
    const struct named_item *argument = map_get(scope->arguments, name);
    if (argument == NULL) {
        fail(loader, ERR_INVALID, "a nested component is instantiated without its import '%.*s'",
             (int)name.size, (const char *)name.data);
        return;
    }
    shape_match(loader, argument, declared, name);
    scope_add(loader, decl.sort, argument->item);
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

static void load_export(struct loader *loader) {
    struct slice name = read_extern_name(loader);
    struct named_item *item = read_item(loader);
    uint8_t ascribed = read_byte(loader);
    if (ascribed == 1) {
        struct extern_decl decl = read_extern_decl(loader);
        if (!failed(loader)) {
            shape_match(loader, item, abstract_item(loader, &decl), name);
        }
    } else if (ascribed != 0) {
        fail(loader, ERR_INVALID, "expected 0 or 1 before an export's type, found 0x%02x",
             ascribed);
    }
    if (failed(loader)) {
        return;
    }
    if (item->sort < SORT_FUNC && item->sort != SORT_CORE_MODULE) {
        fail(loader, ERR_INVALID, "a component cannot export a %s", sort_name(item->sort));
        return;
    }
    if (!map_add(loader->scope->exports, name, item)) {
        fail(loader, ERR_INVALID, "two exports named '%.*s'", (int)name.size,
             (const char *)name.data);
        return;
    }
    if (loader->scope->is_root) {
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
        [2] = load_core_instance, [5] = load_instance, [6] = load_alias,  [7] = load_type,
        [8] = load_canon,         [10] = load_import,  [11] = load_export};
    if (id == 0) {
        (void)read_name(loader);
        loader->at = loader->end;
    } else if (id == 1) {
        load_module(loader);
    } else if (id == 3) {
        fail(loader, ERR_UNSUPPORTED, "core types at component level");
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
    return error_set(error, ERR_UNSUPPORTED,
                     "byte 4: binary format version %u, layer %u; only components of version 13 "
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
    type_table_release(&loader->types);
    arena_release(&loader->arena);
}

enum status component_load(struct bytes *bytes, const struct component_limits *limits,
                           struct component **out, struct error *error) {
    assert(bytes != NULL && out != NULL);
    static const struct component_limits DEFAULTS = {0};
    const struct component_limits *given = limits == NULL ? &DEFAULTS : limits;
    uint64_t most = given->component_bytes == 0 ? DEFAULT_BYTES : given->component_bytes;
    enum status status = check_header(bytes_slice(bytes), most, error);
    if (status != OK) {
        return status;
    }
    struct component *component = xcalloc(1, sizeof *component);
    atomic_init(&component->references, 1);
    component->source = bytes_ref(bytes);
    arena_init(&component->arena, UINT64_MAX);
    (void)pthread_mutex_init(&component->compile_lock, NULL);
    sha256(bytes_slice(bytes), component->hash);

    struct loader loader = {
        .data = bytes->data,
        .at = 8,
        .end = bytes->size,
        .error = error,
        .component = component,
        .nesting_limit = given->nesting == 0 ? DEFAULT_NESTING : given->nesting,
        .items_left = given->items == 0 ? DEFAULT_ITEMS : given->items,
        .work_left = WORK_STEPS,
        .expansion_left = (uint64_t)bytes->size * EXPANSION_FACTOR + EXPANSION_EXTRA,
    };
    arena_init(&loader.arena, UINT64_MAX);
    type_table_init(&loader.types, &component->arena);
    struct scope *root = scope_enter(&loader, false);
    if (root != NULL) {
        root->is_root = true;
        root->owner = component->owner_count++;
        load_sections(&loader, bytes->size);
    }
    status = loader.status;
    loader_release(&loader);
    if (status != OK) {
        component_unref(component);
        return status;
    }
    component->codes = xcalloc(component->module_count + 1, sizeof(struct wasm_code *));
    *out = component;
    return OK;
}

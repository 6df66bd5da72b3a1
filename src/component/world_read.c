// SPDX-License-Identifier: Apache-2.0
// Reads a component's declarations with their names (Binary.md). As in load.c, a nested component
// is read anew each time it is instantiated, and so is the type of an instance each time one is
// imported, so that every name has one owner. Code and core definitions are passed over.
#include "component/world_graph.h"

enum { LINKS_MAX = 1000 };

struct list {
    const void **items;
    uint32_t count;
    uint32_t capacity;
};

struct world_component {
    size_t begin;
    size_t end;
    struct world_scope *outer;
    bool is_abstract;  // imported
};

struct world_scope {
    struct world_scope *outer;
    struct list spaces[SORT_COUNT];
    struct world_instance *self;     // what its exports make
    struct world_instance *imports;  // of the root: what it imports; else NULL
    const struct world_instance *arguments;
    uint32_t depth;
};

struct world_reader {
    struct loader *loader;
    struct world_scope *scope;
    size_t size;  // of the whole component
};

static void read_sections(struct world_reader *reader, size_t end);
static const struct node *read_type_definition(struct world_reader *reader);

// ---- small pieces ------------------------------------------------------------------------------

static void instance_init(struct loader *loader, struct world_instance *instance) {
    *instance = (struct world_instance){.by_name = loader_map(loader)};
    instance->members_end = &instance->members;
}

static struct world_instance *instance_new(struct loader *loader) {
    struct world_instance *instance = LOADER_NEW(loader, struct world_instance);
    instance_init(loader, instance);
    return instance;
}

void world_add_member(struct loader *loader, struct world_instance *instance, struct slice name,
                      enum sort sort, const void *item) {
    struct world_member *member = LOADER_NEW(loader, struct world_member);
    *member = (struct world_member){.name = name, .sort = sort, .item = item};
    if (loader_count(loader) && map_add(instance->by_name, name, member)) {
        *instance->members_end = member;
        instance->members_end = &member->next;
    }
}

static void add(struct world_reader *reader, enum sort sort, const void *item) {
    struct list *list = &reader->scope->spaces[sort];
    if (!loader_count(reader->loader)) {
        return;
    }
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        const void **items = ARENA_ARRAY(&reader->loader->arena, const void *, capacity);
        if (list->count != 0) {
            memcpy(items, list->items, list->count * sizeof *items);
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
}

// The item with this number. A function may be unknown: NULL (see read_canon).
static const void *get_from(struct world_reader *reader, const struct world_scope *scope,
                            enum sort sort, uint32_t index) {
    const struct list *list = &scope->spaces[sort];
    if (index < list->count) {
        return list->items[index];
    }
    if (sort > SORT_FUNC) {
        fail(reader->loader, ERR_INVALID, "%s index %u out of bounds (there are %u)",
             sort_name(sort), index, list->count);
    }
    return NULL;
}

static const void *read_item(struct world_reader *reader, enum sort sort) {
    uint32_t index = read_u32(reader->loader);
    return failed(reader->loader) ? NULL : get_from(reader, reader->scope, sort, index);
}

static struct world_scope *enter(struct world_reader *reader, struct world_scope *outer,
                                 struct world_instance *self) {
    struct loader *loader = reader->loader;
    uint32_t depth = reader->scope == NULL ? 0 : reader->scope->depth + 1;
    if (depth >= loader->nesting_limit) {
        fail(loader, ERR_LIMIT, "components and types nested more than %u deep",
             loader->nesting_limit);
    }
    struct world_scope *scope = LOADER_NEW(loader, struct world_scope);
    *scope = (struct world_scope){.outer = outer, .self = self, .depth = depth};
    reader->scope = scope;
    return scope;
}

// Moves the reader to a range that is read (again); false when that happened too often.
static bool visit(struct world_reader *reader, size_t size) {
    struct loader *loader = reader->loader;
    if (size > loader->expansion_left) {
        fail(loader, ERR_LIMIT, "nested components and types are used too often");
        return false;
    }
    loader->expansion_left -= size;
    return !failed(loader);
}

static struct node *node_new(struct world_reader *reader, enum node_tag tag) {
    struct node *node = LOADER_NEW(reader->loader, struct node);
    node->tag = tag;
    return node;
}

static const struct node *named(struct world_reader *reader, struct slice name,
                                struct world_instance *owner, const struct node *target) {
    struct node *node = node_new(reader, NODE_NAMED);
    node->name = name;
    node->owner = owner;
    node->target = target;
    node->root = node;
    if (target != NULL && target->tag == NODE_NAMED) {
        node->root = target->root;
        node->links = target->links + 1;
        if (node->links > LINKS_MAX) {
            fail(reader->loader, ERR_LIMIT, "more than %d names for names of one type", LINKS_MAX);
        }
    }
    return node;
}

// ---- types -------------------------------------------------------------------------------------

static const struct node *primitive(struct world_reader *reader, uint8_t code) {
    if (!((code >= 0x73 && code <= 0x7f) || code == 0x64)) {
        fail(reader->loader, ERR_INVALID, "unknown value type 0x%02x", code);
        return NULL;
    }
    struct node *node = node_new(reader, NODE_PRIMITIVE);
    node->primitive = code;
    return node;
}

static const struct node *read_value_type(struct world_reader *reader) {
    int64_t code = read_s33(reader->loader);
    if (failed(reader->loader) || !loader_count(reader->loader)) {
        return NULL;
    }
    return code < 0 ? primitive(reader, (uint8_t)(code & 0x7f))
                    : get_from(reader, reader->scope, SORT_TYPE, (uint32_t)code);
}

static const struct node *read_optional_type(struct world_reader *reader) {
    return read_byte(reader->loader) == 1 ? read_value_type(reader) : NULL;
}

static void parts_new(struct world_reader *reader, struct node *node, uint32_t count) {
    node->parts = ARENA_ARRAY(&reader->loader->arena, struct part, count);
    node->part_count = failed(reader->loader) ? 0 : count;
}

// How the parts of the types that have a list of them are written.
struct shape {
    enum node_tag tag;
    bool has_name;
    bool has_type;
    bool may_lack_type;  // and a zero follows
};

static const struct node *read_parts(struct world_reader *reader, struct shape shape) {
    struct loader *loader = reader->loader;
    struct node *node = node_new(reader, shape.tag);
    parts_new(reader, node, read_count(loader, "parts of a type"));
    for (uint32_t i = 0; i < node->part_count && !failed(loader); i++) {
        struct part *part = &node->parts[i];
        if (shape.has_name) {
            part->name = read_name(loader);
        }
        if (shape.may_lack_type) {
            part->type = read_optional_type(reader);
            (void)read_byte(loader);
        } else if (shape.has_type) {
            part->type = read_value_type(reader);
        }
    }
    return node;
}

// Types with one or two parts; `optional` ones may be absent.
static const struct node *read_few(struct world_reader *reader, enum node_tag tag, uint32_t count,
                                   bool optional) {
    struct node *node = node_new(reader, tag);
    parts_new(reader, node, count);
    for (uint32_t i = 0; i < node->part_count; i++) {
        node->parts[i].type = optional ? read_optional_type(reader) : read_value_type(reader);
    }
    return node;
}

static const struct node *read_handle(struct world_reader *reader, enum node_tag tag) {
    struct node *node = node_new(reader, tag);
    parts_new(reader, node, 1);
    if (node->part_count == 1) {
        node->parts[0].type = read_item(reader, SORT_TYPE);
    }
    return node;
}

static const struct node *read_value_definition(struct world_reader *reader, uint8_t code) {
    switch (code) {
        case 0x72:
            return read_parts(reader, (struct shape){NODE_RECORD, true, true, false});
        case 0x71:
            return read_parts(reader, (struct shape){NODE_VARIANT, true, true, true});
        case 0x70:
            return read_few(reader, NODE_LIST, 1, false);
        case 0x67: {
            struct node *node = node_new(reader, NODE_FIXED_LIST);
            parts_new(reader, node, 1);
            if (node->part_count == 1) {
                node->parts[0].type = read_value_type(reader);
            }
            node->length = read_u32(reader->loader);
            return node;
        }
        case 0x6f:
            return read_parts(reader, (struct shape){NODE_TUPLE, false, true, false});
        case 0x6e:
            return read_parts(reader, (struct shape){NODE_FLAGS, true, false, false});
        case 0x6d:
            return read_parts(reader, (struct shape){NODE_ENUM, true, false, false});
        case 0x6b:
            return read_few(reader, NODE_OPTION, 1, false);
        case 0x6a:
            return read_few(reader, NODE_RESULT, 2, true);
        case 0x69:
            return read_handle(reader, NODE_OWN);
        case 0x68:
            return read_handle(reader, NODE_BORROW);
        case 0x66:
            return read_few(reader, NODE_STREAM, 1, true);
        case 0x65:
            return read_few(reader, NODE_FUTURE, 1, true);
        case 0x63:
            return read_few(reader, NODE_MAP, 2, false);
        default:
            return primitive(reader, code);
    }
}

static const struct node *read_func(struct world_reader *reader, bool is_async) {
    struct loader *loader = reader->loader;
    struct node *node = node_new(reader, NODE_FUNC);
    node->is_async = is_async;
    parts_new(reader, node, read_count(loader, "parameters"));
    for (uint32_t i = 0; i < node->part_count && !failed(loader); i++) {
        node->parts[i].name = read_name(loader);
        node->parts[i].type = read_value_type(reader);
    }
    uint8_t form = read_byte(loader);
    if (form == 0) {
        node->result = read_value_type(reader);
    } else if (form != 1 || read_byte(loader) != 0) {
        fail(loader, ERR_INVALID, "unknown form of results 0x%02x", form);
    }
    return node;
}

// The resource itself has no name; 0x3e is an asynchronous destructor's form.
static const struct node *read_resource(struct world_reader *reader, uint8_t code) {
    struct loader *loader = reader->loader;
    (void)read_byte(loader);
    if (code == 0x3e || read_byte(loader) == 1) {
        (void)read_u32(loader);
    }
    if (code == 0x3e && read_byte(loader) == 1) {
        (void)read_u32(loader);
    }
    return node_new(reader, NODE_RESOURCE);
}

// ---- core types: passed over -------------------------------------------------------------------

static void skip_core_value_types(struct loader *loader, uint32_t count) {
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        uint8_t type = read_byte(loader);
        if (type == 0x63 || type == 0x64) {
            fail(loader, ERR_UNSUPPORTED, "garbage-collected references in a core type");
        }
    }
}

static void skip_limits(struct loader *loader) {
    uint8_t flags = read_byte(loader);
    if (flags > 3) {
        fail(loader, ERR_UNSUPPORTED, "64-bit memories and tables in a core type");
    }
    (void)read_u32(loader);
    if ((flags & 1) != 0) {
        (void)read_u32(loader);
    }
}

// What a module imports or exports.
static void skip_core_extern(struct loader *loader) {
    uint8_t kind = read_byte(loader);
    if (kind == 0x00) {
        (void)read_u32(loader);
    } else if (kind == 0x01) {
        skip_core_value_types(loader, 1);
        skip_limits(loader);
    } else if (kind == 0x02) {
        skip_limits(loader);
    } else if (kind == 0x03) {
        skip_core_value_types(loader, 1);
        (void)read_byte(loader);
    } else {
        fail(loader, ERR_UNSUPPORTED, "core kind 0x%02x in a core type", kind);
    }
}

static void skip_core_func(struct loader *loader) {
    skip_core_value_types(loader, read_count(loader, "parameters"));
    skip_core_value_types(loader, read_count(loader, "results"));
}

// A module type may not stand in another one, so this does not recurse further.
static void skip_module_type(struct loader *loader) {
    uint32_t count = read_count(loader, "declarations");
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        uint8_t form = read_byte(loader);
        if (form == 0x00 || form == 0x03) {
            (void)read_name(loader);
            if (form == 0x00) {
                (void)read_name(loader);
            }
            skip_core_extern(loader);
        } else if (form == 0x01 && read_byte(loader) == 0x60) {
            skip_core_func(loader);
        } else if (form == 0x02) {
            // The sort, the form of alias, and the two numbers of an outer one.
            (void)read_byte(loader);
            (void)read_byte(loader);
            (void)read_u32(loader);
            (void)read_u32(loader);
        } else {
            fail(loader, ERR_UNSUPPORTED, "declaration 0x%02x in a module type", form);
        }
    }
}

static void skip_core_type(struct loader *loader) {
    uint8_t code = read_byte(loader);
    if (code == 0x50) {
        skip_module_type(loader);
    } else if (code == 0x60) {
        skip_core_func(loader);
    } else {
        fail(loader, ERR_UNSUPPORTED, "core type 0x%02x", code);
    }
}

// ---- imports, exports and what they are declared to be -----------------------------------------

struct declaration {
    enum sort sort;
    bool is_resource;         // a type of which only this is known
    const struct node *type;  // NULL for sorts that no WIT can name
};

static struct declaration read_declaration(struct world_reader *reader) {
    struct loader *loader = reader->loader;
    struct declaration declaration = {.sort = SORT_COUNT};
    uint8_t form = read_byte(loader);
    if (form == 0x01 || form == 0x04 || form == 0x05) {
        declaration.sort = form == 0x01 ? SORT_FUNC : form == 0x04 ? SORT_COMPONENT : SORT_INSTANCE;
        declaration.type = read_item(reader, SORT_TYPE);
    } else if (form == 0x03) {
        declaration.sort = SORT_TYPE;
        declaration.is_resource = read_byte(loader) == 1;
        if (!declaration.is_resource) {
            declaration.type = read_item(reader, SORT_TYPE);
        }
    } else if (form == 0x00 && read_byte(loader) == 0x11) {
        declaration.sort = SORT_CORE_MODULE;
        (void)read_u32(loader);
    } else {
        fail(loader, ERR_UNSUPPORTED, "import or export of kind 0x%02x", form);
    }
    enum node_tag wanted = declaration.sort == SORT_FUNC ? NODE_FUNC : NODE_SCOPE;
    if (!failed(loader) && declaration.type != NULL && declaration.sort != SORT_TYPE &&
        declaration.type->tag != wanted) {
        fail(loader, ERR_INVALID, "a %s is declared with a type of another sort",
             sort_name(declaration.sort));
    }
    return declaration;
}

static void read_declarations(struct world_reader *reader);

// An instance of this type: its declarations are read into a new one.
static struct world_instance *instance_of(struct world_reader *reader, const struct node *type) {
    struct loader *loader = reader->loader;
    struct world_instance *instance = instance_new(loader);
    struct world_scope *scope = reader->scope;
    size_t at = loader->at;
    size_t end = loader->end;
    if (type == NULL || failed(loader) || !type->is_instance) {
        return instance;
    }
    (void)enter(reader, type->outer, instance);
    loader->at = type->begin;
    loader->end = reader->size;
    read_declarations(reader);
    (void)visit(reader, failed(loader) ? 0 : loader->at - type->begin);
    reader->scope = scope;
    loader->at = at;
    loader->end = end;
    return instance;
}

// What something declared so is, under a name of `owner`.
static const void *declared_item(struct world_reader *reader, struct slice name,
                                 struct declaration declaration, struct world_instance *owner) {
    if (declaration.sort == SORT_TYPE) {
        return named(reader, name, owner,
                     declaration.is_resource ? node_new(reader, NODE_RESOURCE) : declaration.type);
    }
    if (declaration.sort == SORT_INSTANCE) {
        return instance_of(reader, declaration.type);
    }
    if (declaration.sort == SORT_COMPONENT) {
        struct world_component *component = LOADER_NEW(reader->loader, struct world_component);
        component->is_abstract = true;
        return component;
    }
    return declaration.type;
}

static void read_export_declaration(struct world_reader *reader) {
    struct loader *loader = reader->loader;
    struct slice name = read_extern_name(loader);
    struct declaration declaration = read_declaration(reader);
    if (failed(loader)) {
        return;
    }
    const void *item = declared_item(reader, name, declaration, reader->scope->self);
    world_add_member(loader, reader->scope->self, name, declaration.sort, item);
    add(reader, declaration.sort, item);
}

static void read_alias(struct world_reader *reader) {
    struct loader *loader = reader->loader;
    enum sort sort = read_sort(loader);
    uint8_t form = read_byte(loader);
    uint32_t first = read_u32(loader);
    if (failed(loader)) {
        return;
    }
    if (form == 0x02) {
        uint32_t index = read_u32(loader);
        const struct world_scope *scope = reader->scope;
        for (uint32_t i = 0; i < first && scope != NULL; i++) {
            scope = scope->outer;
        }
        if (scope == NULL) {
            fail(loader, ERR_INVALID, "an outer alias goes too far out");
        }
        add(reader, sort, failed(loader) ? NULL : get_from(reader, scope, sort, index));
        return;
    }
    struct slice name = read_name(loader);
    if (failed(loader) || form == 0x01) {
        return;  // of a core instance
    }
    const struct world_instance *instance = get_from(reader, reader->scope, SORT_INSTANCE, first);
    const struct world_member *member = instance == NULL ? NULL : map_get(instance->by_name, name);
    if (!failed(loader) && (member == NULL || member->sort != sort)) {
        fail(loader, ERR_INVALID, "the instance has no %s '%.*s'", sort_name(sort), (int)name.size,
             (const char *)name.data);
    }
    add(reader, sort, failed(loader) ? NULL : member->item);
}

// The declarations of an instance or component type, into the current scope.
static void read_declarations(struct world_reader *reader) {
    struct loader *loader = reader->loader;
    uint32_t count = read_count(loader, "declarations");
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        uint8_t form = read_byte(loader);
        if (form == 0x00) {
            skip_core_type(loader);
        } else if (form == 0x01) {
            const struct node *type = read_type_definition(reader);
            add(reader, SORT_TYPE, type);
        } else if (form == 0x02) {
            read_alias(reader);
        } else if (form == 0x03) {
            struct slice name = read_extern_name(loader);
            struct declaration declaration = read_declaration(reader);
            if (!failed(loader)) {
                add(reader, declaration.sort,
                    declared_item(reader, name, declaration, reader->scope->self));
            }
        } else if (form == 0x04) {
            read_export_declaration(reader);
        } else {
            fail(loader, ERR_UNSUPPORTED, "declaration 0x%02x in a type", form);
        }
    }
}

// Remembers where the declarations are. They are read once here, to find their end.
static const struct node *read_scope_type(struct world_reader *reader, bool is_instance) {
    struct world_scope *scope = reader->scope;
    struct node *node = node_new(reader, NODE_SCOPE);
    node->is_instance = is_instance;
    node->begin = reader->loader->at;
    node->outer = scope;
    (void)enter(reader, scope, instance_new(reader->loader));
    read_declarations(reader);
    reader->scope = scope;
    return node;
}

static const struct node *read_type_definition(struct world_reader *reader) {
    uint8_t code = read_byte(reader->loader);
    switch (code) {
        case 0x40:
        case 0x43:
            return read_func(reader, code == 0x43);
        case 0x41:
        case 0x42:
            return read_scope_type(reader, code == 0x42);
        case 0x3f:
        case 0x3e:
            return read_resource(reader, code);
        default:
            return read_value_definition(reader, code);
    }
}

// ---- the sections of a component ---------------------------------------------------------------

static void read_import(struct world_reader *reader) {
    struct loader *loader = reader->loader;
    struct world_scope *scope = reader->scope;
    struct slice name = read_extern_name(loader);
    struct declaration declaration = read_declaration(reader);
    if (failed(loader)) {
        return;
    }
    if (scope->imports != NULL) {
        const void *item = declared_item(reader, name, declaration, scope->imports);
        world_add_member(loader, scope->imports, name, declaration.sort, item);
        add(reader, declaration.sort, item);
        return;
    }
    const struct world_member *argument =
        scope->arguments == NULL ? NULL : map_get(scope->arguments->by_name, name);
    if (argument == NULL || argument->sort != declaration.sort) {
        fail(loader, ERR_INVALID, "a nested component is instantiated without its import '%.*s'",
             (int)name.size, (const char *)name.data);
        return;
    }
    add(reader, declaration.sort, argument->item);
}

static void read_export(struct world_reader *reader) {
    struct loader *loader = reader->loader;
    struct slice name = read_extern_name(loader);
    enum sort sort = read_sort(loader);
    const void *item = failed(loader) ? NULL : read_item(reader, sort);
    if (read_byte(loader) == 1) {
        struct declaration declaration = read_declaration(reader);
        // The declared type of a function has the names that the exports gave.
        if (declaration.sort == SORT_FUNC && sort == SORT_FUNC) {
            item = declaration.type;
        }
    }
    if (failed(loader)) {
        return;
    }
    if (sort == SORT_TYPE) {
        item = named(reader, name, reader->scope->self, item);
    }
    world_add_member(loader, reader->scope->self, name, sort, item);
    add(reader, sort, item);
}

static void read_component(struct world_reader *reader) {
    struct loader *loader = reader->loader;
    struct world_component *component = LOADER_NEW(loader, struct world_component);
    *component = (struct world_component){
        .begin = loader->at + 8, .end = loader->end, .outer = reader->scope};
    if (loader->end - loader->at < 8) {
        fail(loader, ERR_INVALID, "a nested component is too short");
    }
    loader->at = loader->end;
    add(reader, SORT_COMPONENT, component);
}

static struct world_instance *instantiate(struct world_reader *reader,
                                          const struct world_component *component,
                                          const struct world_instance *arguments) {
    struct loader *loader = reader->loader;
    struct world_instance *instance = instance_new(loader);
    struct world_scope *scope = reader->scope;
    if (component == NULL || component->is_abstract ||
        !visit(reader, component->end - component->begin)) {
        return instance;
    }
    size_t at = loader->at;
    size_t end = loader->end;
    enter(reader, component->outer, instance)->arguments = arguments;
    loader->at = component->begin;
    read_sections(reader, component->end);
    reader->scope = scope;
    loader->at = at;
    loader->end = end;
    return instance;
}

static void read_instance(struct world_reader *reader) {
    struct loader *loader = reader->loader;
    bool is_instantiation = read_byte(loader) == 0x00;
    const struct world_component *component =
        is_instantiation ? read_item(reader, SORT_COMPONENT) : NULL;
    uint32_t count = read_count(loader, "arguments or exports");
    struct world_instance *items = instance_new(loader);
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        struct slice name = is_instantiation ? read_name(loader) : read_extern_name(loader);
        enum sort sort = read_sort(loader);
        if (!failed(loader)) {
            world_add_member(loader, items, name, sort, read_item(reader, sort));
        }
    }
    if (!failed(loader)) {
        add(reader, SORT_INSTANCE,
            is_instantiation ? instantiate(reader, component, items) : items);
    }
}

// Passes over the options of a canonical definition; false when there is one without a known size.
static bool skip_options(struct loader *loader) {
    uint32_t count = read_count(loader, "options");
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        uint8_t option = read_byte(loader);
        if (option > 0x07) {
            return false;
        }
        if (option >= 0x03 && option != 0x06) {
            (void)read_u32(loader);
        }
    }
    return true;
}

// Lifted functions are functions of the component; everything else here is core. Behind a
// definition of unknown form the section is given up: functions that it would define stay unknown,
// and matter only where an export does not declare their type.
static void read_canon(struct world_reader *reader) {
    struct loader *loader = reader->loader;
    uint8_t form = read_byte(loader);
    bool is_known = form <= 0x04;
    if (form <= 0x01) {
        (void)read_byte(loader);
        (void)read_u32(loader);
        is_known = skip_options(loader);
        if (form == 0x00 && is_known) {
            add(reader, SORT_FUNC, read_item(reader, SORT_TYPE));
        }
    } else if (is_known) {
        (void)read_u32(loader);
    }
    if (!is_known && !failed(loader)) {
        loader->at = loader->end;
    }
}

static void read_type(struct world_reader *reader) {
    const struct node *type = read_type_definition(reader);
    add(reader, SORT_TYPE, type);
}

static void read_section(struct world_reader *reader, uint8_t id) {
    static void (*const READERS[])(struct world_reader *) = {
        [5] = read_instance, [6] = read_alias,   [7] = read_type,
        [8] = read_canon,    [10] = read_import, [11] = read_export};
    struct loader *loader = reader->loader;
    if (id == 4) {
        read_component(reader);
    } else if (id < COUNT_OF(READERS) && READERS[id] != NULL) {
        uint32_t count = read_count(loader, "definitions");
        for (uint32_t i = 0; i < count && !failed(loader) && loader->at < loader->end; i++) {
            READERS[id](reader);
        }
    }
}

static void read_sections(struct world_reader *reader, size_t end) {
    struct loader *loader = reader->loader;
    loader->end = end;
    while (!failed(loader) && loader->at < end && loader_count(loader)) {
        uint8_t id = read_byte(loader);
        uint32_t size = read_count(loader, "bytes of a section");
        if (failed(loader)) {
            return;
        }
        size_t section_end = loader->at + size;
        loader->end = section_end;
        read_section(reader, id);
        loader->at = section_end;
        loader->end = end;
    }
}

void world_read(struct loader *loader, struct world *world) {
    instance_init(loader, &world->imports);
    instance_init(loader, &world->exports);
    struct world_reader reader = {.loader = loader, .size = loader->end};
    enter(&reader, NULL, &world->exports)->imports = &world->imports;
    read_sections(&reader, loader->end);
}

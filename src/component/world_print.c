// SPDX-License-Identifier: Apache-2.0
// Writes the declarations that world_read.c found as WIT (component-model repository,
// design/mvp/WIT.md): the world first, then the packages of its interfaces.
#include "component/world.h"

#include "component/names.h"
#include "component/world_graph.h"

enum { DEPTH_MAX = 200, TEXT_MAX_BYTES = 16 << 20, NESTING = 32, DEFINITIONS = 1000000 };
enum { INTERFACES_MAX = 5000, ROUNDS_MAX = 4 };

struct printer {
    struct loader *loader;
    struct world *world;
    struct world_interface *interface;  // whose names are at hand
    struct buf *out;
    size_t begin;  // of our text in `out`
    unsigned depth;
    unsigned indent;
    uint32_t interfaces_left;
    bool lacks_name;  // a type has no name where it is used
    bool has_added;   // an interface was given a name that it lacked
};

static void print_type(struct printer *printer, const struct node *node);

// ---- words -------------------------------------------------------------------------------------

static bool is_keyword(struct slice word) {
    static const char *const KEYWORDS[] = {
        "as",          "async",    "bool",          "borrow",  "char",
        "constructor", "enum",     "error-context", "export",  "f32",
        "f64",         "flags",    "float32",       "float64", "from",
        "func",        "future",   "import",        "include", "interface",
        "list",        "map",      "option",        "own",     "package",
        "record",      "resource", "result",        "s16",     "s32",
        "s64",         "s8",       "static",        "stream",  "string",
        "tuple",       "type",     "u16",           "u32",     "u64",
        "u8",          "union",    "use",           "variant", "with",
        "world"};
    for (size_t i = 0; i < COUNT_OF(KEYWORDS); i++) {
        if (slice_equal_text(word, KEYWORDS[i])) {
            return true;
        }
    }
    return false;
}

static void print_text(struct printer *printer, const char *text) {
    buf_append_text(printer->out, text);
}

// A new line, indented.
static void print_line(struct printer *printer) {
    buf_append_byte(printer->out, '\n');
    for (unsigned i = 0; i < printer->indent; i++) {
        print_text(printer, "  ");
    }
}

static void print_id(struct printer *printer, struct slice id) {
    print_text(printer, is_keyword(id) ? "%" : "");
    buf_append_slice(printer->out, id);
}

// "ns:pkg/iface@1.0.0" apart.
struct path {
    struct slice package;  // "ns:pkg"; empty: a plain name
    struct slice interface;
    struct slice version;  // with its @, or empty
};

static struct path path_of(struct slice name) {
    struct path path = {.interface = name};
    if (name.size == 0) {
        return path;
    }
    const uint8_t *slash = memchr(name.data, '/', name.size);
    const uint8_t *colon = memchr(name.data, ':', name.size);
    if (slash == NULL || colon == NULL || colon > slash) {
        return path;
    }
    path.package = slice_of(name.data, (size_t)(slash - name.data));
    path.interface = slice_of(slash + 1, name.size - path.package.size - 1);
    const uint8_t *version = memchr(path.interface.data, '@', path.interface.size);
    if (version != NULL) {
        size_t size = (size_t)(version - path.interface.data);
        path.version = slice_of(version, path.interface.size - size);
        path.interface.size = size;
    }
    return path;
}

// Whether WIT has words for an import or export of this name.
static bool can_say(struct slice name, enum sort sort) {
    struct path path = path_of(name);
    if (path.package.size == 0 || sort != SORT_INSTANCE) {
        return name_is_label(name);
    }
    const uint8_t *colon = memchr(path.package.data, ':', path.package.size);
    size_t size = (size_t)(colon - path.package.data);
    return name_is_label(slice_of(path.package.data, size)) &&
           name_is_label(slice_of(colon + 1, path.package.size - size - 1)) &&
           name_is_label(path.interface) && path.version.size != 1;
}

static void print_package(struct printer *printer, const struct path *path) {
    const uint8_t *colon = memchr(path->package.data, ':', path->package.size);
    size_t size = (size_t)(colon - path->package.data);
    print_id(printer, slice_of(path->package.data, size));
    buf_append_byte(printer->out, ':');
    print_id(printer, slice_of(colon + 1, path->package.size - size - 1));
}

// The interface, as it is called from the one that is being printed.
static void print_path(struct printer *printer, struct slice name) {
    struct path path = path_of(name);
    struct path from = path_of(printer->interface->name);
    if (slice_equal(path.package, from.package) && slice_equal(path.version, from.version)) {
        print_id(printer, path.interface);
        return;
    }
    print_package(printer, &path);
    buf_append_byte(printer->out, '/');
    print_id(printer, path.interface);
    buf_append_slice(printer->out, path.version);
}

// ---- types -------------------------------------------------------------------------------------

static const char *primitive_name(uint8_t code) {
    static const char *const NAMES[] = {"string", "char", "f64", "f32", "u64", "s64", "u32",
                                        "s32",    "u16",  "s16", "u8",  "s8",  "bool"};
    return code == 0x64 ? "error-context" : NAMES[code - 0x73];
}

static struct slice node_key(const struct node *const *node) {
    return slice_of(node, sizeof *node);
}

// The name that the interface at hand has for the type, or an empty one.
static struct slice local_name(struct printer *printer, const struct node *node) {
    const struct world_member *member = map_get(printer->interface->by_node, node_key(&node));
    if (member == NULL && node->tag == NODE_NAMED) {
        member = map_get(printer->interface->by_root, node_key(&node->root));
    }
    return member == NULL ? slice_of(NULL, 0) : member->name;
}

static void print_items(struct printer *printer, const char *word, const struct node *node) {
    print_text(printer, word);
    bool is_result = node->tag == NODE_RESULT;
    uint32_t count = node->part_count;
    while (count > 0 && node->parts[count - 1].type == NULL) {
        count--;
    }
    if (count == 0 && node->tag != NODE_TUPLE) {
        return;
    }
    buf_append_byte(printer->out, '<');
    for (uint32_t i = 0; i < count; i++) {
        print_text(printer, i == 0 ? "" : ", ");
        if (is_result && node->parts[i].type == NULL) {
            buf_append_byte(printer->out, '_');
        } else {
            print_type(printer, node->parts[i].type);
        }
    }
    if (node->tag == NODE_FIXED_LIST) {
        buf_format(printer->out, ", %u", node->length);
    }
    buf_append_byte(printer->out, '>');
}

static struct world_member *add_to_interface(struct printer *printer,
                                             struct world_interface *interface,
                                             const struct world_member *member);

// A type that WIT can only refer to by a name, and that has none here. When another interface has
// one, it is used from there, in the next round of printing.
static void print_nameless(struct printer *printer, const struct node *node) {
    if (node == NULL || node->tag != NODE_NAMED) {
        printer->lacks_name = true;
        print_text(printer, "nameless");
        return;
    }
    print_id(printer, node->name);
    const struct world_interface *owner = node->owner->interface;
    struct world_member use = {.name = node->name, .sort = SORT_TYPE, .item = node};
    bool can_use = owner != NULL && path_of(owner->name).package.size != 0;
    if (can_use && add_to_interface(printer, printer->interface, &use) != NULL) {
        printer->has_added = true;
    } else {
        printer->lacks_name = true;
    }
}

static void print_structure(struct printer *printer, const struct node *node) {
    static const char *const WORDS[] = {
        [NODE_LIST] = "list",     [NODE_FIXED_LIST] = "list", [NODE_TUPLE] = "tuple",
        [NODE_OPTION] = "option", [NODE_RESULT] = "result",   [NODE_STREAM] = "stream",
        [NODE_FUTURE] = "future", [NODE_MAP] = "map",         [NODE_BORROW] = "borrow"};
    if (node->tag == NODE_PRIMITIVE) {
        print_text(printer, primitive_name(node->primitive));
    } else if (node->tag == NODE_OWN && node->part_count == 1) {
        // A handle that owns is written as the resource itself.
        print_type(printer, node->parts[0].type);
    } else if (node->tag < COUNT_OF(WORDS) && WORDS[node->tag] != NULL) {
        print_items(printer, WORDS[node->tag], node);
    } else {
        print_nameless(printer, node);
    }
}

static void print_type(struct printer *printer, const struct node *node) {
    if (node == NULL || printer->depth >= DEPTH_MAX ||
        printer->out->size - printer->begin > TEXT_MAX_BYTES) {
        if (node != NULL) {
            fail(printer->loader, ERR_LIMIT,
                 "the types are nested too deeply or too large to print");
        }
        return;
    }
    printer->depth++;
    struct slice name = local_name(printer, node);
    const struct node *target = node;
    while (target != NULL && target->tag == NODE_NAMED && name.size == 0) {
        target = target->target;
    }
    bool is_nameless =
        target == NULL || target->tag == NODE_RESOURCE ||
        (node->tag == NODE_NAMED && (target->tag == NODE_RECORD || target->tag == NODE_VARIANT ||
                                     target->tag == NODE_ENUM || target->tag == NODE_FLAGS));
    if (name.size != 0) {
        print_id(printer, name);
    } else if (is_nameless) {
        print_nameless(printer, node);
    } else {
        print_structure(printer, target);
    }
    printer->depth--;
}

// ---- functions ---------------------------------------------------------------------------------

static void print_params(struct printer *printer, const struct node *func, uint32_t first) {
    buf_append_byte(printer->out, '(');
    for (uint32_t i = first; i < func->part_count; i++) {
        print_text(printer, i == first ? "" : ", ");
        print_id(printer, func->parts[i].name);
        print_text(printer, ": ");
        print_type(printer, func->parts[i].type);
    }
    buf_append_byte(printer->out, ')');
}

// `kind` is "func" or "static func"; the parameters before `first` are not written.
static void print_func(struct printer *printer, struct slice name, const char *kind,
                       const struct node *func, uint32_t first) {
    print_id(printer, name);
    print_text(printer, ": ");
    if (func == NULL) {
        print_text(printer, "func() /* of unknown type */");
        return;
    }
    bool is_static = kind[0] == 's';
    print_text(printer, is_static ? "static " : "");
    print_text(printer, func->is_async ? "async func" : "func");
    print_params(printer, func, first);
    if (func->result != NULL) {
        print_text(printer, " -> ");
        print_type(printer, func->result);
    }
}

// "[method]blob.read" apart.
struct method {
    const char *kind;  // "constructor", "method" or "static"; NULL: a plain function
    struct slice resource;
    struct slice name;
};

static struct method method_of(struct slice name) {
    static const char *const KINDS[] = {"constructor", "method", "static"};
    struct method method = {0};
    for (size_t i = 0; i < COUNT_OF(KINDS); i++) {
        size_t size = strlen(KINDS[i]);
        if (name.size > size + 2 && name.data[0] == '[' && name.data[size + 1] == ']' &&
            memcmp(name.data + 1, KINDS[i], size) == 0) {
            method.kind = KINDS[i];
            method.resource = slice_of(name.data + size + 2, name.size - size - 2);
        }
    }
    const uint8_t *dot =
        method.kind == NULL ? NULL : memchr(method.resource.data, '.', method.resource.size);
    if (dot != NULL) {
        size_t size = (size_t)(dot - method.resource.data);
        method.name = slice_of(dot + 1, method.resource.size - size - 1);
        method.resource.size = size;
    }
    return method;
}

// Whether a constructor's result is the resource itself, which WIT leaves out.
static bool makes_itself(const struct node *func) {
    const struct node *result = func == NULL ? NULL : func->result;
    while (result != NULL && result->tag == NODE_NAMED) {
        result = result->target;
    }
    return result == NULL || result->tag == NODE_OWN;
}

static void print_method(struct printer *printer, const struct world_member *member) {
    struct method method = method_of(member->name);
    const struct node *func = member->item;
    if (method.kind[0] == 'c') {
        print_text(printer, "constructor");
        if (func == NULL) {
            print_text(printer, "() /* of unknown type */");
            return;
        }
        print_params(printer, func, 0);
        if (!makes_itself(func)) {
            print_text(printer, " -> ");
            print_type(printer, func->result);
        }
    } else if (method.kind[0] == 's') {
        print_func(printer, method.name, "static func", func, 0);
    } else {
        print_func(printer, method.name, "func", func, 1);
    }
}

// ---- definitions -------------------------------------------------------------------------------

// What WIT has no words for is a comment.
static void print_unsayable(struct printer *printer, const char *direction,
                            const struct world_member *member) {
    buf_format(printer->out, "// %sthe %s ", direction, sort_name(member->sort));
    buf_append_slice(printer->out, member->name);
}

// "{ … }" with a line for each part.
static void print_parts(struct printer *printer, const struct node *node) {
    print_text(printer, " {");
    printer->indent++;
    for (uint32_t i = 0; i < node->part_count; i++) {
        const struct part *part = &node->parts[i];
        print_line(printer);
        print_id(printer, part->name);
        if (part->type != NULL) {
            bool is_field = node->tag == NODE_RECORD;
            print_text(printer, is_field ? ": " : "(");
            print_type(printer, part->type);
            print_text(printer, is_field ? "" : ")");
        }
        buf_append_byte(printer->out, ',');
    }
    printer->indent--;
    print_line(printer);
    buf_append_byte(printer->out, '}');
}

static void print_resource(struct printer *printer, const struct world_member *member) {
    print_text(printer, "resource ");
    print_id(printer, member->name);
    if (member->methods == NULL) {
        buf_append_byte(printer->out, ';');
        return;
    }
    print_text(printer, " {");
    printer->indent++;
    for (const struct world_member *at = member->methods; at != NULL; at = at->next_method) {
        print_line(printer);
        print_method(printer, at);
        buf_append_byte(printer->out, ';');
    }
    printer->indent--;
    print_line(printer);
    buf_append_byte(printer->out, '}');
}

// What the member's name stands for, as written where it is defined.
static const struct node *definition(const struct world_member *member) {
    const struct node *node = member->item;
    return node != NULL && node->tag == NODE_NAMED ? node->target : node;
}

// The named type of another interface that the member is a name for; NULL: it is defined here.
static const struct node *used_from(const struct printer *printer,
                                    const struct world_member *member) {
    const struct node *node = member->item;
    while (node != NULL && node->tag == NODE_NAMED) {
        const struct world_interface *owner = node->owner->interface;
        if (owner != NULL && owner != printer->interface && owner->name.size != 0) {
            return node;
        }
        node = node->target;
    }
    return NULL;
}

static void print_definition(struct printer *printer, const struct world_member *member) {
    const struct node *node = definition(member);
    // A name of something without one outside.
    while (node != NULL && node->tag == NODE_NAMED && node->owner->interface == NULL) {
        node = node->target;
    }
    static const char *const WORDS[] = {[NODE_RECORD] = "record ",
                                        [NODE_VARIANT] = "variant ",
                                        [NODE_FLAGS] = "flags ",
                                        [NODE_ENUM] = "enum "};
    if (node != NULL && node->tag == NODE_RESOURCE) {
        print_resource(printer, member);
    } else if (node != NULL && node->tag < COUNT_OF(WORDS) && WORDS[node->tag] != NULL) {
        print_text(printer, WORDS[node->tag]);
        print_id(printer, member->name);
        print_parts(printer, node);
    } else {
        print_text(printer, "type ");
        print_id(printer, member->name);
        print_text(printer, " = ");
        if (node != NULL && node->tag == NODE_NAMED) {
            print_type(printer, node);
        } else if (node != NULL) {
            print_structure(printer, node);
        }
        buf_append_byte(printer->out, ';');
    }
}

// "use path.{a, b as c};" of the members from `member` on that come from one interface. Gives the
// last of them.
static const struct world_member *print_use(struct printer *printer,
                                            const struct world_member *member) {
    const struct node *used = used_from(printer, member);
    const struct world_interface *owner = used->owner->interface;
    print_text(printer, "use ");
    print_path(printer, owner->name);
    print_text(printer, ".{");
    for (bool is_first = true;; is_first = false) {
        print_text(printer, is_first ? "" : ", ");
        print_id(printer, used->name);
        if (!slice_equal(used->name, member->name)) {
            print_text(printer, " as ");
            print_id(printer, member->name);
        }
        const struct world_member *next = member->next;
        used = next == NULL || next->sort != SORT_TYPE ? NULL : used_from(printer, next);
        if (used == NULL || used->owner->interface != owner) {
            break;
        }
        member = next;
    }
    print_text(printer, "};");
    return member;
}

// ---- interfaces --------------------------------------------------------------------------------

static struct world_member *add_to_interface(struct printer *printer,
                                             struct world_interface *interface,
                                             const struct world_member *member) {
    struct loader *loader = printer->loader;
    struct world_member *copy = LOADER_NEW(loader, struct world_member);
    *copy = (struct world_member){.name = member->name, .sort = member->sort, .item = member->item};
    copy->methods_end = &copy->methods;
    bool is_new = map_add(interface->by_name, member->name, copy);
    if (is_new) {
        *interface->members_end = copy;
        interface->members_end = &copy->next;
    } else {
        copy = map_get(interface->by_name, member->name);
    }
    // A second declaration of the same type is another node of the same name.
    const struct node *node = member->sort == SORT_TYPE ? member->item : NULL;
    if (node != NULL) {
        (void)map_add(interface->by_node, node_key(&node), copy);
        if (node->tag == NODE_NAMED) {
            (void)map_add(interface->by_root, node_key(&node->root), copy);
        }
    }
    return is_new ? copy : NULL;
}

// Functions of resources go to their resource.
static void collect_methods(struct world_interface *interface) {
    for (struct world_member *member = interface->members; member != NULL; member = member->next) {
        struct method method = method_of(member->name);
        struct world_member *resource = member->sort != SORT_FUNC || method.kind == NULL
                                            ? NULL
                                            : map_get(interface->by_name, method.resource);
        if (resource != NULL && resource->sort == SORT_TYPE && resource != member) {
            *resource->methods_end = member;
            resource->methods_end = &member->next_method;
        }
    }
}

static void interface_init(struct printer *printer, struct world_interface *interface,
                           struct slice name) {
    *interface = (struct world_interface){.name = name,
                                          .by_name = loader_map(printer->loader),
                                          .by_node = loader_map(printer->loader),
                                          .by_root = loader_map(printer->loader)};
    interface->members_end = &interface->members;
}

// A type, its `use` with those that follow, or why it cannot be said. Gives the last member of
// them.
static const struct world_member *print_type_member(struct printer *printer,
                                                    const struct world_member *at) {
    print_line(printer);
    if (!can_say(at->name, at->sort)) {
        print_unsayable(printer, "", at);
    } else if (used_from(printer, at) != NULL) {
        at = print_use(printer, at);
    } else {
        print_definition(printer, at);
    }
    return at;
}

// Types, then functions: each with an empty line before it where that reads better.
static void print_members(struct printer *printer, const struct world_interface *interface) {
    bool is_first = true;
    for (const struct world_member *at = interface->members; at != NULL; at = at->next) {
        if (at->sort != SORT_TYPE || failed(printer->loader)) {
            continue;
        }
        print_text(printer, is_first ? "" : "\n");
        is_first = false;
        at = print_type_member(printer, at);
    }
    for (const struct world_member *at = interface->members; at != NULL; at = at->next) {
        if (at->sort == SORT_TYPE || failed(printer->loader) ||
            (at->sort == SORT_FUNC && method_of(at->name).kind != NULL)) {
            continue;
        }
        print_text(printer, is_first ? "" : "\n");
        print_line(printer);
        is_first = false;
        if (at->sort == SORT_FUNC && can_say(at->name, at->sort)) {
            print_func(printer, at->name, "func", at->item, 0);
            buf_append_byte(printer->out, ';');
        } else {
            print_unsayable(printer, "", at);
        }
    }
}

// "interface … { … }" behind what names it.
static void print_body(struct printer *printer, struct world_interface *interface) {
    struct world_interface *outer = printer->interface;
    printer->interface = interface;
    print_text(printer, " {");
    printer->indent++;
    print_members(printer, interface);
    printer->indent--;
    print_line(printer);
    buf_append_byte(printer->out, '}');
    printer->interface = outer;
}

// ---- the world ---------------------------------------------------------------------------------

// Gives the interface of this name. Plain names are of one import or export only.
static struct world_interface *find_interface(struct printer *printer, struct map *by_name,
                                              struct slice name) {
    bool is_plain = path_of(name).package.size == 0;
    struct world_interface *interface = is_plain ? NULL : map_get(by_name, name);
    if (interface == NULL) {
        if (printer->interfaces_left-- == 0) {
            fail(printer->loader, ERR_LIMIT, "more than %d interfaces", INTERFACES_MAX);
        }
        interface = LOADER_NEW(printer->loader, struct world_interface);
        interface_init(printer, interface, name);
        (void)map_add(by_name, name, interface);
        *printer->world->interfaces_end = interface;
        printer->world->interfaces_end = &interface->next;
    }
    return interface;
}

// Gives every imported or exported instance the interface of its name.
static void name_instances(struct printer *printer, struct map *by_name,
                           const struct world_instance *root) {
    for (const struct world_member *at = root->members; at != NULL; at = at->next) {
        if (at->sort != SORT_INSTANCE || !can_say(at->name, at->sort) || failed(printer->loader)) {
            continue;
        }
        struct world_instance *instance = (struct world_instance *)(uintptr_t)at->item;
        struct world_interface *interface = find_interface(printer, by_name, at->name);
        if (instance->interface == NULL) {
            instance->interface = interface;
        }
        for (const struct world_member *part = instance->members; part != NULL; part = part->next) {
            (void)add_to_interface(printer, interface, part);
        }
    }
}

static void print_world_instance(struct printer *printer, const struct world_member *member,
                                 const char *direction) {
    print_line(printer);
    print_text(printer, direction);
    if (path_of(member->name).package.size != 0) {
        print_path(printer, member->name);
        buf_append_byte(printer->out, ';');
        return;
    }
    const struct world_instance *instance = member->item;
    struct world_interface *interface = instance->interface;
    if (!slice_equal(interface->name, member->name)) {
        // Known under another name already.
        print_text(printer, "/* the same as ");
        buf_append_slice(printer->out, interface->name);
        print_text(printer, " */ ");
    }
    print_id(printer, member->name);
    print_text(printer, ": interface");
    print_body(printer, interface);
}

static void print_direction(struct printer *printer, const struct world_instance *root,
                            const char *direction) {
    for (const struct world_member *at = root->members; at != NULL; at = at->next) {
        if (at->sort == SORT_TYPE || method_of(at->name).kind != NULL) {
            continue;  // with the types
        }
        if ((at->sort != SORT_INSTANCE && at->sort != SORT_FUNC) || !can_say(at->name, at->sort)) {
            print_line(printer);
            print_unsayable(printer, direction, at);
        } else if (at->sort == SORT_INSTANCE) {
            print_world_instance(printer, at, direction);
        } else {
            print_line(printer);
            print_text(printer, direction);
            print_func(printer, at->name, "func", at->item, 0);
            buf_append_byte(printer->out, ';');
        }
    }
}

static void print_world_types(struct printer *printer) {
    for (const struct world_member *at = printer->world->self.members; at != NULL; at = at->next) {
        if (at->sort == SORT_TYPE) {
            at = print_type_member(printer, at);
        }
    }
}

static void print_root(struct printer *printer) {
    struct world *world = printer->world;
    printer->interface = &world->self;
    print_text(printer, "package root:component;\n\nworld root {");
    printer->indent = 1;
    size_t begin = printer->out->size;
    print_direction(printer, &world->imports, "import ");
    print_world_types(printer);
    if (printer->out->size > begin && world->exports.members != NULL) {
        print_text(printer, "\n");
    }
    print_direction(printer, &world->exports, "export ");
    printer->indent = 0;
    print_text(printer, "\n}\n");
}

// All interfaces of one package together, in the order in which the world names the first.
static void print_packages(struct printer *printer) {
    for (struct world_interface *at = printer->world->interfaces; at != NULL; at = at->next) {
        struct path path = path_of(at->name);
        if (at->is_printed || path.package.size == 0) {
            continue;
        }
        print_text(printer, "\npackage ");
        print_package(printer, &path);
        buf_append_slice(printer->out, path.version);
        print_text(printer, " {");
        printer->indent = 1;
        bool is_first = true;
        for (struct world_interface *same = at; same != NULL; same = same->next) {
            struct path other = path_of(same->name);
            if (same->is_printed || !slice_equal(other.package, path.package) ||
                !slice_equal(other.version, path.version)) {
                continue;
            }
            same->is_printed = true;
            print_text(printer, is_first ? "" : "\n");
            is_first = false;
            print_line(printer);
            print_text(printer, "interface ");
            print_id(printer, other.interface);
            print_body(printer, same);
        }
        printer->indent = 0;
        print_text(printer, "\n}\n");
    }
}

static void print_everything(struct printer *printer) {
    struct world *world = printer->world;
    interface_init(printer, &world->self, slice_of(NULL, 0));
    world->imports.interface = &world->self;
    world->exports.interface = &world->self;
    world->interfaces_end = &world->interfaces;
    const struct world_instance *roots[] = {&world->imports, &world->exports};
    struct map *by_name = loader_map(printer->loader);
    for (size_t i = 0; i < COUNT_OF(roots); i++) {
        name_instances(printer, by_name, roots[i]);
        for (const struct world_member *at = roots[i]->members; at != NULL; at = at->next) {
            if (at->sort == SORT_TYPE || at->sort == SORT_FUNC) {
                (void)add_to_interface(printer, &world->self, at);
            }
        }
    }
    for (struct world_interface *at = world->interfaces; at != NULL; at = at->next) {
        collect_methods(at);
    }
    collect_methods(&world->self);
    // Each round adds names that only printing shows to be missing; there are few.
    for (int round = 0; round < ROUNDS_MAX && !failed(printer->loader); round++) {
        printer->out->size = printer->begin;
        printer->lacks_name = printer->has_added = false;
        for (struct world_interface *at = world->interfaces; at != NULL; at = at->next) {
            at->is_printed = false;
        }
        print_root(printer);
        print_packages(printer);
        if (!printer->has_added) {
            break;
        }
    }
    if (printer->lacks_name) {
        print_text(printer, "\n// A type has no name where it is used, which WIT cannot say.\n");
    }
}

enum status world_print(struct slice bytes, struct buf *out, struct error *error) {
    struct loader loader = {.data = bytes.data,
                            .at = 8,
                            .end = bytes.size,
                            .error = error,
                            .nesting_limit = NESTING,
                            .items_left = DEFINITIONS,
                            .expansion_left = (uint64_t)bytes.size * 16 + (1 << 20)};
    if (bytes.size < 8) {
        return error_set(error, ERR_INVALID, "byte 0: not a WebAssembly component");
    }
    arena_init(&loader.arena, UINT64_MAX);
    struct world world = {0};
    world_read(&loader, &world);
    if (!failed(&loader)) {
        struct printer printer = {.loader = &loader,
                                  .world = &world,
                                  .out = out,
                                  .begin = out->size,
                                  .interfaces_left = INTERFACES_MAX};
        print_everything(&printer);
    }
    for (struct loader_map *owner = loader.maps; owner != NULL; owner = owner->next) {
        map_release(&owner->map);
    }
    arena_release(&loader.arena);
    return loader.status;
}

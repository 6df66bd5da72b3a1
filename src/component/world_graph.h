// SPDX-License-Identifier: Apache-2.0
// A component's declarations with all their names: what world_read.c builds and world_print.c
// prints. Everything lies in the loader's arena. Private to world_*.c.
//
// A type that is exported under a name, by an instance or by the component, is a *named* node: the
// name, whose it is, and what it stands for. References go to the node, not through it, so that the
// name at hand where the component was written is the name that is printed.
#ifndef COMPONENT_WORLD_GRAPH_H
#define COMPONENT_WORLD_GRAPH_H

#include "component/load.h"

enum node_tag {
    NODE_PRIMITIVE,
    NODE_RECORD,
    NODE_VARIANT,
    NODE_LIST,
    NODE_FIXED_LIST,
    NODE_TUPLE,
    NODE_FLAGS,
    NODE_ENUM,
    NODE_OPTION,
    NODE_RESULT,
    NODE_OWN,
    NODE_BORROW,
    NODE_STREAM,
    NODE_FUTURE,
    NODE_MAP,
    NODE_RESOURCE,
    NODE_FUNC,
    NODE_NAMED,
    NODE_SCOPE,  // an instance or component type
};

struct node;

// A field, case, label, item or parameter.
struct part {
    struct slice name;
    const struct node *type;  // NULL: none
};

struct node {
    enum node_tag tag;
    uint8_t primitive;    // its code in the binary format
    bool is_async;        // of a function
    bool is_instance;     // of a scope: an instance type
    uint32_t length;      // of a list of fixed length
    uint32_t part_count;  // list, option, own, borrow, stream and future: 1; result, map: 2
    struct part *parts;
    const struct node *result;  // of a function; NULL: none
    // Named: `name` of `owner` stands for `target`; `root` is the last named one on this way.
    struct slice name;
    struct world_instance *owner;
    const struct node *target;
    const struct node *root;
    uint32_t links;  // named ones behind it
    // Of a scope: where its declarations are, and what surrounds them.
    size_t begin;
    struct world_scope *outer;
};

struct world_interface;

struct world_member {
    struct slice name;
    enum sort sort;
    const void *item;  // struct node of types and functions (NULL: not known), world_instance,
                       // world_component
    struct world_member *next;
    // For the printer: of a resource, the functions that belong to it.
    struct world_member *methods, **methods_end, *next_method;
};

struct world_instance {
    struct world_member *members, **members_end;
    struct map *by_name;                // name -> struct world_member
    struct world_interface *interface;  // NULL: it has no name outside
};

// What the root's imports and exports of one name show, put together.
struct world_interface {
    struct slice name;
    struct world_interface *next;
    struct world_member *members, **members_end;
    struct map *by_name;  // name -> struct world_member
    struct map *by_node;  // the address of a type's node -> the member that names it
    struct map *by_root;  // the same for its root
    bool is_printed;
};

struct world {
    struct world_instance imports, exports;
    struct world_interface self;  // the types and functions of the world itself
    struct world_interface *interfaces, **interfaces_end;
};

// Reads the component into `world`; everything lies in the loader's arena. The loader's sticking
// status says whether that went well.
void world_read(struct loader *loader, struct world *world);
// Adds the member unless the name is taken.
void world_add_member(struct loader *loader, struct world_instance *instance, struct slice name,
                      enum sort sort, const void *item);

#endif

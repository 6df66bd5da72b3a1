// SPDX-License-Identifier: Apache-2.0
// A doubly linked list of items that hold their own links: first in, first out, and any item can be
// taken out. No threads, no memory of its own; zeroed is an empty list, or a node in no list.
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compat.h"

struct list_node {
    struct list *list;  // NULL: in none
    struct list_node *next, *previous;
};

struct list {
    struct list_node *first, *last;
};

static inline bool list_is_empty(const struct list *list) {
    return list->first == NULL;
}

// The node must be in no list.
static inline void list_append(struct list *list, struct list_node *node) {
    assert(node->list == NULL);
    *node = (struct list_node){.list = list, .previous = list->last};
    *(list->last != NULL ? &list->last->next : &list->first) = node;
    list->last = node;
}

// Nothing happens to a node that is in no list.
static inline void list_remove(struct list_node *node) {
    struct list *list = node->list;
    if (list == NULL) {
        return;
    }
    *(node->previous != NULL ? &node->previous->next : &list->first) = node->next;
    *(node->next != NULL ? &node->next->previous : &list->last) = node->previous;
    node->list = NULL;
}

// The item whose member `member` is the first node of a list that is not empty.
#define LIST_FIRST(list_, type, member) CONTAINER_OF((list_)->first, type, member)

#endif

// SPDX-License-Identifier: Apache-2.0
// A doubly linked list of items that hold their own links: first in, first out, and any item can be
// taken out. No threads, no memory of its own; zeroed is an empty list, or a node in no list.
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compat.h"

// The first one's `previous` is the last, so that a list is one pointer: actors have many lists,
// most of them empty.
struct list_node {
    struct list *list;  // NULL: in none
    struct list_node *next, *previous;
};

struct list {
    struct list_node *first;
};

static inline bool list_is_empty(const struct list *list) {
    return list->first == NULL;
}

// The node must be in no list.
static inline void list_append(struct list *list, struct list_node *node) {
    assert(node->list == NULL);
    struct list_node *first = list->first;
    *node = (struct list_node){.list = list, .previous = node};
    if (first == NULL) {
        list->first = node;
        return;
    }
    node->previous = first->previous;
    first->previous->next = node;
    first->previous = node;
}

// Nothing happens to a node that is in no list.
static inline void list_remove(struct list_node *node) {
    struct list *list = node->list;
    if (list == NULL) {
        return;
    }
    if (list->first == node) {
        list->first = node->next;
    } else {
        node->previous->next = node->next;
    }
    // Whoever comes after it, or the first when it was the last.
    struct list_node *after = node->next != NULL ? node->next : list->first;
    if (after != NULL) {
        after->previous = node->previous;
    }
    node->list = NULL;
}

// The item whose member `member` is the first node of a list that is not empty.
#define LIST_FIRST(list_, type, member) CONTAINER_OF((list_)->first, type, member)

#endif

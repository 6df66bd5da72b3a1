// SPDX-License-Identifier: Apache-2.0
// An instance and its handle tables. Private to the room.
#ifndef COMPONENT_INSTANCE_H
#define COMPONENT_INSTANCE_H

#include "component/guest.h"

// What a lowered function or stub of one instance is called with.
struct lowered {
    struct component_instance *instance;
    const struct plan_lower *plan;
};
struct stub {
    struct component_instance *instance;
    const struct plan_stub *plan;
};

enum handle_state { HANDLE_FREE, HANDLE_OWN, HANDLE_BORROW };

struct handle {
    uint32_t state;     // enum handle_state
    uint32_t resource;  // index in plan resources
    uint32_t rep;       // of a free one: the next free index, or 0
    uint32_t lends;     // calls in progress that borrow from it
};

// Zero-initialised is empty. Free indices are used again, the last one freed first
// (CanonicalABI.md, "Table State").
struct handle_table {
    struct handle *entries;  // of index 1, 2, …
    uint32_t count;          // entries used or free
    uint32_t capacity;
    uint32_t free;     // first free index, or 0
    uint32_t borrows;  // entries that must be dropped before the call in progress returns
};

// A handle lent until a call returns.
struct lend {
    struct lend *next;
    struct handle_table *table;
    uint32_t index;
};

// What context.get and context.set reach: each call of a guest's has its own.
struct task_context {
    uint32_t slots[CONTEXT_SLOTS];
};

// One allocation: the arrays lie behind it. Idle instances are many, so it is kept small.
struct component_instance {
    struct component_linked *linked;
    void *owner;
    struct wasm_budget *budget;
    struct arena *arena;  // of the call in progress, NULL when idle
    bool is_dead;
    enum wasm_tier tier;
    struct task_context context;  // of the innermost call in progress
    uint32_t core_count;          // instantiated so far
    struct wasm_instance **cores;
    struct wasm_memory **memories;
    struct wasm_entry *functions;
    struct lowered *lowered;
    struct stub *stubs;
    // One per component instantiation and, last, the handles that the host holds. NULL: the
    // component has no resource types.
    struct handle_table *tables;
    uint8_t *owner_flags;
};

// ---- handles.c
// -----------------------------------------------------------------------------------

// Ends the loans of a call that returns.
void handles_return(struct guest *guest);
// Calls the destructor of a resource that nobody owns any more, for this caller (an instantiation's
// number, or PLAN_NONE for the host). False: trapped.
bool handles_destroy(struct component_instance *instance, struct wasm_context *context,
                     uint32_t caller, uint32_t resource, uint32_t rep);
// The built-ins resource.new, resource.drop and resource.rep. False: trapped.
bool handles_builtin(struct component_instance *instance, const struct plan_stub *stub,
                     uint64_t *slots);
// Takes the resource out of the host's table. False when there is no such handle.
bool handles_take_host(struct component_instance *instance, uint32_t handle, uint32_t *resource,
                       uint32_t *rep);
// Gives host resources that are still owned back to the host, and frees the tables.
void handles_release(struct component_instance *instance);

#endif

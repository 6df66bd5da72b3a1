// SPDX-License-Identifier: Apache-2.0
// Resources at run time: handle tables, own and borrow, destructors (CanonicalABI.md, "Table
// State", "Resource State", "canon resource.new" and so on).
//
// A guest knows a resource by an index into the table of its instantiation. Between guests, a value
// own<R> or borrow<R> is the resource's representation; towards component_call it is an index into
// a table of the host's, when a guest implements R.
#include <assert.h>
#include <stdlib.h>

#include "component/instance.h"

enum { HANDLES_MAX = (1 << 28) - 1, FIRST_CAPACITY = 8 };

// ---- the table
// -----------------------------------------------------------------------------------

static bool table_grow(struct component_instance *instance, struct handle_table *table) {
    uint64_t capacity = table->capacity == 0 ? FIRST_CAPACITY : (uint64_t)table->capacity * 2;
    uint64_t more = (capacity - table->capacity) * sizeof(struct handle);
    if (capacity > HANDLES_MAX) {
        return guest_trap("resource handle table is full: %u handles", table->count);
    }
    if (!wasm_budget_take(instance->budget, more)) {
        return guest_trap("resource handle table is full: memory is over the limit of %llu bytes",
                          (unsigned long long)instance->budget->memory_limit_bytes);
    }
    table->entries = xrealloc(table->entries, capacity * sizeof *table->entries);
    table->capacity = (uint32_t)capacity;
    return true;
}

static bool table_add(struct component_instance *instance, struct handle_table *table,
                      struct handle handle, uint32_t *index) {
    if (table->free != 0) {
        *index = table->free;
        table->free = table->entries[*index - 1].rep;
    } else {
        if (table->count == table->capacity && !table_grow(instance, table)) {
            return false;
        }
        *index = ++table->count;
    }
    table->entries[*index - 1] = handle;
    return true;
}

static void table_remove(struct handle_table *table, uint32_t index) {
    struct handle *handle = &table->entries[index - 1];
    assert(handle->state != HANDLE_FREE);
    *handle = (struct handle){.state = HANDLE_FREE, .rep = table->free};
    table->free = index;
}

static const char *implementer(const struct component *component, uint32_t resource) {
    return component->resources[resource].type->is_imported ? "host-defined resource"
                                                            : "guest-defined resource";
}

// The handle with this index and resource type, or NULL: trapped.
static struct handle *table_get(struct component_instance *instance, struct handle_table *table,
                                uint32_t index, uint32_t resource) {
    const struct component *component = instance->linked->component;
    if (index == 0 || index > table->count || table->entries[index - 1].state == HANDLE_FREE) {
        (void)guest_trap("unknown handle index %u", index);
        return NULL;
    }
    struct handle *handle = &table->entries[index - 1];
    if (handle->resource != resource) {
        const char *wanted = implementer(component, resource);
        const char *found = implementer(component, handle->resource);
        (void)guest_trap("handle index %u used with the wrong type, expected %s but found %s%s",
                         index, wanted, wanted == found ? "a different " : "a ", found);
        return NULL;
    }
    return handle;
}

static struct handle_table *host_table(struct component_instance *instance) {
    return &instance->tables[instance->linked->component->owner_count];
}

static bool lend(struct guest *guest, struct handle_table *table, uint32_t index) {
    struct lend *lend = arena_try_alloc(guest->arena, sizeof *lend, _Alignof(struct lend));
    if (lend == NULL) {
        return guest_trap("values of one call take more than the limit of %llu bytes",
                          (unsigned long long)guest->arena->limit_bytes);
    }
    *lend = (struct lend){guest->lends, table, index};
    guest->lends = lend;
    table->entries[index - 1].lends++;
    return true;
}

void handles_return(struct guest *guest) {
    for (struct lend *lend = guest->lends; lend != NULL; lend = lend->next) {
        assert(lend->table->entries[lend->index - 1].lends != 0);
        lend->table->entries[lend->index - 1].lends--;
    }
    guest->lends = NULL;
}

// Takes an owned resource, or borrows one, out of a table. Trapped: false.
static bool take(struct guest *guest, struct handle_table *table, const struct component_type *type,
                 uint32_t index, uint32_t *rep) {
    const struct handle *handle = table_get(guest->instance, table, index, type->resource->index);
    if (handle == NULL) {
        return false;
    }
    *rep = handle->rep;
    if (type->kind == COMPONENT_BORROW) {
        return lend(guest, table, index);
    }
    if (handle->state != HANDLE_OWN) {
        return guest_trap("cannot lift own resource from a borrow (handle index %u)", index);
    }
    if (handle->lends != 0) {
        return guest_trap("cannot remove owned resource while borrowed (handle index %u)", index);
    }
    table_remove(table, index);
    return true;
}

// ---- lifting and lowering
// ------------------------------------------------------------------------

bool lift_handle(struct guest *guest, const struct component_type *type, uint32_t handle,
                 struct value *out) {
    struct component_instance *instance = guest->instance;
    uint32_t number = 0;
    if (!take(guest, &instance->tables[guest->owner], type, handle, &number)) {
        return false;
    }
    if (guest->is_host_peer && !type->resource->is_imported) {
        struct handle owned = {HANDLE_OWN, type->resource->index, number, 0};
        if (!table_add(instance, host_table(instance), owned, &number)) {
            return false;
        }
    }
    out->bits = number;
    out->count = 0;
    return true;
}

bool lower_handle(struct guest *guest, const struct component_type *type, uint64_t bits,
                  uint32_t *handle) {
    struct component_instance *instance = guest->instance;
    uint32_t resource = type->resource->index;
    uint32_t rep = (uint32_t)bits;
    if (guest->is_host_peer && !type->resource->is_imported &&
        !take(guest, host_table(instance), type, rep, &rep)) {
        return false;
    }
    struct handle_table *table = &instance->tables[guest->owner];
    if (type->kind == COMPONENT_OWN) {
        return table_add(instance, table, (struct handle){HANDLE_OWN, resource, rep, 0}, handle);
    }
    // Who implements the resource gets to see its representation.
    if (instance->linked->component->resources[resource].owner == guest->owner) {
        *handle = rep;
        return true;
    }
    table->borrows++;
    return table_add(instance, table, (struct handle){HANDLE_BORROW, resource, rep, 0}, handle);
}

// ---- destructors and built-ins
// -------------------------------------------------------------------

bool handles_destroy(struct component_instance *instance, struct wasm_context *context,
                     uint32_t caller, uint32_t resource, uint32_t rep) {
    const struct plan_resource *plan = &instance->linked->component->resources[resource];
    if (plan->host != PLAN_NONE) {
        const struct component_host_resource *host = &instance->linked->resources[plan->host];
        if (host->drop != NULL) {
            host->drop(instance->owner, host->data, rep);
        }
        return true;
    }
    if (plan->dtor == PLAN_NONE) {
        return true;
    }
    uint8_t *flags = &instance->owner_flags[plan->owner];
    uint64_t slot = rep;
    bool is_entry = plan->owner != caller;
    if (is_entry && (*flags & OWNER_ENTERED) != 0) {
        return guest_trap("cannot enter component instance");
    }
    if (is_entry) {
        *flags |= OWNER_ENTERED;
    }
    struct task_context callers = instance->context;
    instance->context = (struct task_context){{0}};
    if (!wasm_enter(context, &instance->functions[plan->dtor], &slot)) {
        return false;
    }
    instance->context = callers;
    if (is_entry) {
        *flags &= (uint8_t)~OWNER_ENTERED;
    }
    return true;
}

static bool resource_drop(struct component_instance *instance, const struct plan_stub *stub,
                          uint32_t index) {
    struct handle_table *table = &instance->tables[stub->owner];
    const struct handle *handle = table_get(instance, table, index, stub->resource);
    if (handle == NULL) {
        return false;
    }
    if (handle->lends != 0) {
        return guest_trap("cannot remove owned resource while borrowed (handle index %u)", index);
    }
    struct handle dropped = *handle;
    table_remove(table, index);
    if (dropped.state == HANDLE_BORROW) {
        assert(table->borrows != 0);
        table->borrows--;
        return true;
    }
    return handles_destroy(instance, wasm_context_current(), stub->owner, stub->resource,
                           dropped.rep);
}

bool handles_builtin(struct component_instance *instance, const struct plan_stub *stub,
                     uint64_t *slots) {
    struct handle_table *table = &instance->tables[stub->owner];
    uint32_t argument = (uint32_t)slots[0];
    if (stub->kind == STUB_RESOURCE_REP) {
        const struct handle *handle = table_get(instance, table, argument, stub->resource);
        slots[0] = handle == NULL ? 0 : handle->rep;
        return handle != NULL;
    }
    if ((instance->owner_flags[stub->owner] & OWNER_MAY_NOT_LEAVE) != 0) {
        return guest_trap("cannot leave component instance");
    }
    if (stub->kind == STUB_RESOURCE_DROP) {
        return resource_drop(instance, stub, argument);
    }
    assert(stub->kind == STUB_RESOURCE_NEW);
    uint32_t index = 0;
    struct handle handle = {HANDLE_OWN, stub->resource, argument, 0};
    if (!table_add(instance, table, handle, &index)) {
        return false;
    }
    slots[0] = index;
    return true;
}

bool handles_take_host(struct component_instance *instance, uint32_t handle, uint32_t *resource,
                       uint32_t *rep) {
    if (instance->tables == NULL) {
        return false;
    }
    struct handle_table *table = host_table(instance);
    if (handle == 0 || handle > table->count || table->entries[handle - 1].state == HANDLE_FREE) {
        return false;
    }
    *resource = table->entries[handle - 1].resource;
    *rep = table->entries[handle - 1].rep;
    table_remove(table, handle);
    return true;
}

static bool is_of_host(const struct component_instance *instance, const struct handle *handle) {
    return handle->state != HANDLE_FREE &&
           instance->linked->component->resources[handle->resource].host != PLAN_NONE;
}

bool component_instance_has_host_handles(const struct component_instance *instance) {
    uint32_t tables = instance->tables != NULL ? instance->linked->component->owner_count + 1 : 0;
    for (uint32_t i = 0; i < tables; i++) {
        for (uint32_t j = 0; j < instance->tables[i].count; j++) {
            if (is_of_host(instance, &instance->tables[i].entries[j])) {
                return true;
            }
        }
    }
    return false;
}

static void release_table(struct component_instance *instance, struct handle_table *table) {
    const struct component_linked *linked = instance->linked;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct handle *handle = &table->entries[i];
        if (handle->state != HANDLE_OWN) {
            continue;
        }
        uint32_t host = linked->component->resources[handle->resource].host;
        if (host != PLAN_NONE && linked->resources[host].drop != NULL) {
            linked->resources[host].drop(instance->owner, linked->resources[host].data,
                                         handle->rep);
        }
    }
    wasm_budget_give(instance->budget, table->capacity * sizeof *table->entries);
    free(table->entries);
}

void handles_release(struct component_instance *instance) {
    if (instance->tables == NULL) {
        return;
    }
    for (uint32_t i = 0; i <= instance->linked->component->owner_count; i++) {
        if (instance->tables[i].capacity != 0) {
            release_table(instance, &instance->tables[i]);
        }
    }
}

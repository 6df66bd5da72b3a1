// SPDX-License-Identifier: Apache-2.0
// The table of an actor's WASI resources. See wasi.h.
//
// A guest may import a resource type of one name from two interfaces, and so bring a number of one
// kind where another is expected: the kind is looked at on every use, and a wrong one is a trap.
#include "host/wasi.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 8 };

static const struct {
    const char *name;
    uint32_t most;  // of one actor
} kinds[WASI_KIND_COUNT] = {
    [WASI_FREE] = {"nothing", 0},
    [WASI_ERROR] = {"error", 1024},
    [WASI_POLLABLE] = {"pollable", 4096},
    [WASI_INPUT_STREAM] = {"input-stream", 256},
    [WASI_OUTPUT_STREAM] = {"output-stream", 256},
    [WASI_DESCRIPTOR] = {"descriptor", 256},
    [WASI_FOLDER_STREAM] = {"directory-entry-stream", 16},
    [WASI_NETWORK] = {"network", 64},
    [WASI_FIELDS] = {"fields", 256},
    [WASI_OUTGOING_REQUEST] = {"outgoing-request", 256},
    [WASI_OUTGOING_BODY] = {"outgoing-body", 256},
    [WASI_REQUEST_OPTIONS] = {"request-options", 256},
    [WASI_FUTURE_RESPONSE] = {"future-incoming-response", 64},
    [WASI_INCOMING_RESPONSE] = {"incoming-response", 64},
    [WASI_INCOMING_BODY] = {"incoming-body", 64},
    [WASI_FUTURE_TRAILERS] = {"future-trailers", 64},
};

static struct wasi_table *table_of(struct actor *self) {
    return &host_state_of(self)->table;
}

static uint64_t handles_most(struct component_call *call) {
    return actor_manifest(host_self(call))->limits.handles;
}

bool wasi_has_room(struct component_call *call, enum wasi_kind kind) {
    const struct wasi_table *table = table_of(host_self(call));
    return table->live[kind] < kinds[kind].most && table->live_count < handles_most(call);
}

static void release(struct wasi_slot *slot) {
    if (slot->release != NULL) {
        slot->release(slot->object);
    }
}

bool wasi_add(struct component_call *call, struct wasi_slot slot, struct value *own) {
    assert(slot.kind != WASI_FREE && slot.kind < WASI_KIND_COUNT);
    struct wasi_table *table = table_of(host_self(call));
    if (!wasi_has_room(call, slot.kind)) {
        release(&slot);
        if (table->live_count >= handles_most(call)) {
            return component_call_trap(call, "the actor holds %llu resources (limits.handles)",
                                       (unsigned long long)handles_most(call));
        }
        return component_call_trap(call, "the actor holds too many resources of the kind %s (%u)",
                                   kinds[slot.kind].name, kinds[slot.kind].most);
    }
    uint32_t number = table->free;
    if (number != 0) {
        table->free = table->slots[number - 1].next_free;
    } else {
        if (table->count == table->capacity) {
            table->capacity = table->capacity == 0 ? FIRST_CAPACITY : table->capacity * 2;
            table->slots = xrealloc(table->slots, table->capacity * sizeof *table->slots);
        }
        number = ++table->count;
    }
    table->slots[number - 1] = slot;
    table->live[slot.kind]++;
    table->live_count++;
    *own = (struct value){.bits = number};
    return true;
}

// NULL when there is no such resource.
static struct wasi_slot *find(struct wasi_table *table, uint64_t number) {
    bool exists =
        number != 0 && number <= table->count && table->slots[number - 1].kind != WASI_FREE;
    return exists ? &table->slots[number - 1] : NULL;
}

struct wasi_slot *wasi_get(struct component_call *call, const struct value *borrow,
                           enum wasi_kind kind) {
    struct wasi_slot *slot = find(table_of(host_self(call)), borrow->bits);
    if (slot == NULL || slot->kind != kind) {
        component_call_trap(call, "a resource of the kind %s was expected, got %s",
                            kinds[kind].name, kinds[slot == NULL ? WASI_FREE : slot->kind].name);
        return NULL;
    }
    return slot;
}

// Gives the number back.
static void forget(struct wasi_table *table, struct wasi_slot *slot) {
    table->live[slot->kind]--;
    table->live_count--;
    *slot = (struct wasi_slot){.kind = WASI_FREE, .next_free = table->free};
    table->free = (uint32_t)(slot - table->slots) + 1;
}

bool wasi_take(struct component_call *call, const struct value *own, enum wasi_kind kind,
               struct wasi_slot *out) {
    struct wasi_slot *slot = wasi_get(call, own, kind);
    if (slot == NULL) {
        return false;
    }
    *out = *slot;
    forget(table_of(host_self(call)), slot);
    return true;
}

void wasi_drop(void *owner, const void *data, uint32_t number) {
    (void)data;
    struct wasi_table *table = table_of(owner);
    struct wasi_slot *slot = find(table, number);
    if (slot == NULL) {
        return;
    }
    release(slot);
    forget(table, slot);
}

void wasi_table_release(struct wasi_table *table) {
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->slots[i].kind != WASI_FREE) {
            release(&table->slots[i]);
        }
    }
    free(table->slots);
    *table = (struct wasi_table){0};
}

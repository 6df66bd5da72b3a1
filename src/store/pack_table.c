// SPDX-License-Identifier: Apache-2.0
#include "store/pack_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum { KEY_BYTES = 16, FIRST_CAPACITY = 1024 };

struct pack_slot {
    uint8_t key[KEY_BYTES];
    struct pack_place place;
    bool is_used;  // with place.pack 0: the content was removed, and others lie behind
};

// The slot of the hash, or the first one that was never used. The table is never full.
static struct pack_slot *slot_of(const struct pack_table *table, const uint8_t *hash) {
    uint64_t at = 0;
    memcpy(&at, hash, sizeof at);
    // A secret factor, so that nobody can choose contents that meet in one place.
    at = at * table->factor >> 20;
    for (;; at++) {
        struct pack_slot *slot = &table->slots[at & (table->capacity - 1)];
        if (!slot->is_used || memcmp(slot->key, hash, KEY_BYTES) == 0) {
            return slot;
        }
    }
}

const struct pack_place *pack_table_find(const struct pack_table *table,
                                         const uint8_t hash[SHA256_BYTES]) {
    if (table->capacity == 0) {
        return NULL;
    }
    const struct pack_slot *slot = slot_of(table, hash);
    return slot->is_used && slot->place.pack != 0 ? &slot->place : NULL;
}

// Twice as large, without those that were removed.
static void grow(struct pack_table *table) {
    struct pack_table grown = {
        .factor = table->factor,
        .capacity = table->capacity == 0 ? FIRST_CAPACITY : table->capacity * 2};
    grown.slots = xcalloc(grown.capacity, sizeof *grown.slots);
    for (uint64_t i = 0; i < table->capacity; i++) {
        const struct pack_slot *slot = &table->slots[i];
        if (slot->is_used && slot->place.pack != 0) {
            *slot_of(&grown, slot->key) = *slot;
            grown.used++;
            grown.live++;
        }
    }
    free(table->slots);
    *table = grown;
}

void pack_table_set(struct pack_table *table, const uint8_t hash[SHA256_BYTES],
                    const struct pack_place *place) {
    assert(place->pack != 0);
    if (table->used >= table->capacity / 4 * 3) {
        grow(table);
    }
    struct pack_slot *slot = slot_of(table, hash);
    table->used += !slot->is_used;
    table->live += !slot->is_used || slot->place.pack == 0;
    memcpy(slot->key, hash, KEY_BYTES);
    slot->is_used = true;
    slot->place = *place;
}

bool pack_table_remove(struct pack_table *table, const uint8_t hash[SHA256_BYTES]) {
    struct pack_slot *slot = table->capacity > 0 ? slot_of(table, hash) : NULL;
    if (slot == NULL || !slot->is_used || slot->place.pack == 0) {
        return false;
    }
    slot->place.pack = 0;
    table->live--;
    return true;
}

void pack_table_release(struct pack_table *table) {
    free(table->slots);
    *table = (struct pack_table){.factor = table->factor};
}

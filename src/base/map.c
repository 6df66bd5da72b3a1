// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

// A removed key leaves this in the index, so that probing goes on past it.
#define TOMBSTONE UINT32_MAX

static uint64_t hash_seed(void) {
    // Benign race by design of the atomic: every thread stores the first value that was won.
    static _Atomic uint64_t seed;
    uint64_t value = atomic_load_explicit(&seed, memory_order_relaxed);
    if (value == 0) {
        uint64_t fresh = 0;
        if (getrandom(&fresh, sizeof fresh, 0) != (ssize_t)sizeof fresh || fresh == 0) {
            fresh = 0x9e3779b97f4a7c15U;
        }
        if (atomic_compare_exchange_strong(&seed, &value, fresh)) {
            value = fresh;
        }
    }
    return value;
}

// A seeded multiply-fold hash (in the manner of wyhash): good spread, not guessable without the
// seed.
static uint32_t hash_key(struct slice key) {
    uint64_t state = hash_seed() ^ (key.size * 0xa0761d6478bd642fU);
    size_t at = 0;
    while (at < key.size) {
        uint64_t word = 0;
        size_t part = key.size - at < 8 ? key.size - at : 8;
        memcpy(&word, key.data + at, part);
        unsigned long long low = (state ^ word) * 0xe7037ed1a0b428dbU;
        state = low ^ (low >> 32) ^ (state << 17);
        at += part;
    }
    state ^= state >> 29;
    state *= 0x8ebc6af09c88c6e3U;
    return (uint32_t)(state >> 32);
}

void map_release(struct map *map) {
    for (uint32_t i = 0; i < map->entry_count; i++) {
        free((void *)(uintptr_t)map->entries[i].key.data);
    }
    free(map->entries);
    free(map->index);
    *map = (struct map){0};
}

// The index position that holds `key`, or UINT32_MAX.
static uint32_t find(const struct map *map, struct slice key) {
    if (map->index_capacity == 0) {
        return UINT32_MAX;
    }
    uint32_t mask = map->index_capacity - 1;
    for (uint32_t at = hash_key(key) & mask;; at = (at + 1) & mask) {
        uint32_t slot = map->index[at];
        if (slot == 0) {
            return UINT32_MAX;
        }
        if (slot != TOMBSTONE && slice_equal(map->entries[slot - 1].key, key)) {
            return at;
        }
    }
}

static void index_insert(struct map *map, struct slice key, uint32_t slot) {
    uint32_t mask = map->index_capacity - 1;
    uint32_t at = hash_key(key) & mask;
    while (map->index[at] != 0 && map->index[at] != TOMBSTONE) {
        at = (at + 1) & mask;
    }
    map->index[at] = slot + 1;
}

// Drops the holes and sizes the tables for `live_count + 1` keys at a load of at most one half.
static void rebuild(struct map *map) {
    uint32_t live = 0;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (map->entries[i].key.data != NULL) {
            map->entries[live++] = map->entries[i];
        }
    }
    map->entry_count = live;
    uint32_t capacity = 8;
    while (capacity < (live + 1) * 2) {
        capacity *= 2;
    }
    map->entries = xrealloc(map->entries, capacity * sizeof *map->entries);
    map->entry_capacity = capacity;
    free(map->index);
    map->index_capacity = capacity * 2;
    map->index = xcalloc(map->index_capacity, sizeof *map->index);
    for (uint32_t i = 0; i < live; i++) {
        index_insert(map, map->entries[i].key, i);
    }
}

void *map_get(const struct map *map, struct slice key) {
    uint32_t at = find(map, key);
    return at == UINT32_MAX ? NULL : map->entries[map->index[at] - 1].value;
}

bool map_add(struct map *map, struct slice key, void *value) {
    assert(value != NULL);
    if (find(map, key) != UINT32_MAX) {
        return false;
    }
    if (map->entry_count == map->entry_capacity) {
        rebuild(map);
    }
    struct slice copy = slice_of(xstrndup(key.data, key.size), key.size);
    map->entries[map->entry_count] = (struct map_entry){.key = copy, .value = value};
    index_insert(map, copy, map->entry_count);
    map->entry_count++;
    map->live_count++;
    return true;
}

void *map_remove(struct map *map, struct slice key) {
    uint32_t at = find(map, key);
    if (at == UINT32_MAX) {
        return NULL;
    }
    struct map_entry *entry = &map->entries[map->index[at] - 1];
    void *value = entry->value;
    free((void *)(uintptr_t)entry->key.data);
    *entry = (struct map_entry){0};
    map->index[at] = TOMBSTONE;
    map->live_count--;
    return value;
}

struct map_entry *map_next(const struct map *map, uint32_t *cursor) {
    while (*cursor < map->entry_count) {
        struct map_entry *entry = &map->entries[(*cursor)++];
        if (entry->key.data != NULL) {
            return entry;
        }
    }
    return NULL;
}

// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/env.h"

// A removed key leaves this in the index, so that probing goes on past it.
#define TOMBSTONE UINT32_MAX

struct hash_key {
    uint64_t first;
    uint64_t second;
};
static struct hash_key hash_seed;
static pthread_once_t hash_seed_once = PTHREAD_ONCE_INIT;

static void make_hash_seed(void) {
    env_random(env_system(), &hash_seed, sizeof hash_seed);
}

static uint64_t rotate(uint64_t value, unsigned bits) {
    return value << bits | value >> (64 - bits);
}

static void mix(uint64_t v[4]) {
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

// SipHash-1-3. Keys come from guests: a hash that is only seeded, not keyed in every step, lets
// them build keys that collide whatever the seed.
uint32_t map_hash(struct slice key) {
    pthread_once(&hash_seed_once, make_hash_seed);
    uint64_t v[4] = {hash_seed.first ^ 0x736f6d6570736575U, hash_seed.second ^ 0x646f72616e646f6dU,
                     hash_seed.first ^ 0x6c7967656e657261U, hash_seed.second ^ 0x7465646279746573U};
    size_t at = 0;
    for (bool last = false; !last;) {
        uint64_t word = 0;
        size_t part = key.size - at < 8 ? key.size - at : 8;
        if (part > 0) {
            memcpy(&word, key.data + at, part);
        }
        at += part;
        last = part < 8;
        if (last) {
            word |= (uint64_t)key.size << 56;
        }
        v[3] ^= word;
        mix(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int round = 0; round < 3; round++) {
        mix(v);
    }
    return (uint32_t)(v[0] ^ v[1] ^ v[2] ^ v[3]);
}

static void release_key(const struct map *map, struct slice key) {
    if (!map->borrows_keys) {
        free((void *)(uintptr_t)key.data);
    }
}

void map_release(struct map *map) {
    for (uint32_t i = 0; i < map->entry_count; i++) {
        release_key(map, map->entries[i].key);
    }
    free(map->entries);
    free(map->index);
    *map = (struct map){.borrows_keys = map->borrows_keys};
}

// The index position that holds `key`, or UINT32_MAX.
static uint32_t find(const struct map *map, struct slice key) {
    if (map->index_capacity == 0) {
        return UINT32_MAX;
    }
    uint32_t mask = map->index_capacity - 1;
    for (uint32_t at = map_hash(key) & mask;; at = (at + 1) & mask) {
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
    uint32_t at = map_hash(key) & mask;
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
    assert(!map->borrows_keys || key.data != NULL);
    struct slice kept = map->borrows_keys ? key : slice_of(xstrndup(key.data, key.size), key.size);
    map->entries[map->entry_count] = (struct map_entry){.key = kept, .value = value};
    index_insert(map, kept, map->entry_count);
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
    release_key(map, entry->key);
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

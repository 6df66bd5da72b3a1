// SPDX-License-Identifier: Apache-2.0
// A map from byte strings to pointers, hashed with a per-process random seed (keys come from
// guests) and iterated in insertion order (nothing in the project depends on addresses or hashes).
// Used by one thread at a time.
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct map_entry {
    struct slice key;  // see borrows_keys; data is NULL in an entry that was removed
    void *value;       // not owned by the map
};

// Zero-initialised is empty.
struct map {
    // Set before the first key: keys are not copied, and last as long as they are in the map (such
    // as the id of the value). Otherwise the map owns a copy of each.
    bool borrows_keys;
    struct map_entry *entries;  // in insertion order, holes included
    uint32_t entry_count;       // used slots of `entries`, holes included
    uint32_t entry_capacity;
    uint32_t live_count;  // keys in the map
    uint32_t *index;      // slot + 1 by hash, 0 = free
    uint32_t index_capacity;
};

// Frees the copies of keys and the tables, not the values; the map is empty and may be used again.
void map_release(struct map *map);
// The hash that the map uses: for tables of other shapes over keys from guests. Differs from
// process to process.
uint32_t map_hash(struct slice key);
// NULL when the key is absent.
void *map_get(const struct map *map, struct slice key);
static inline void *map_get_text(const struct map *map, const char *key) {
    return map_get(map, slice_text(key));
}
// Keeps the key (see borrows_keys). Returns false and changes nothing when the key is present.
// `value` is not NULL.
bool map_add(struct map *map, struct slice key, void *value);
// Gives back the removed value, or NULL when the key was absent.
void *map_remove(struct map *map, struct slice key);
// Iteration in insertion order: start with *cursor = 0; NULL at the end. Removing the entry just
// returned is allowed; adding is not.
struct map_entry *map_next(const struct map *map, uint32_t *cursor);

#endif

// SPDX-License-Identifier: Apache-2.0
// Where the contents of the packs lie, by hash: a table in memory with open addressing. A hash is
// told by its first 16 bytes; that two contents agree in these takes 2^64 trials to bring about.
// No locks: whoever uses it has one.
#ifndef STORE_PACK_TABLE_H
#define STORE_PACK_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/sha256.h"

struct pack_place {
    uint32_t pack;   // number of the file; 0: none
    uint32_t bytes;  // of the content
    uint64_t offset;
};

struct pack_slot;
struct pack_table {
    uint64_t factor;  // random and odd, from whoever makes it
    struct pack_slot *slots;
    uint64_t capacity;  // a power of two, or 0
    uint64_t used;      // slots that hold something, or did
    uint64_t live;
};

// NULL when the content is not in the table; until the next change.
const struct pack_place *pack_table_find(const struct pack_table *table,
                                         const uint8_t hash[SHA256_BYTES]);
// Adds a place, or replaces the one that the content had.
void pack_table_set(struct pack_table *table, const uint8_t hash[SHA256_BYTES],
                    const struct pack_place *place);
// False when it was not there.
bool pack_table_remove(struct pack_table *table, const uint8_t hash[SHA256_BYTES]);
void pack_table_release(struct pack_table *table);

#endif

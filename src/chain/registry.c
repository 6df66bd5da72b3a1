// SPDX-License-Identifier: Apache-2.0
// The chains of a log in memory: found by id, or by number. A node may have millions, most of them
// of actors that sleep: a chain takes one piece of an arena, with its id in it, and two pointers
// (about 110 bytes with an id of 36). Everything here with `registry` held, or before the log is
// shared.
#include <assert.h>
#include <stdlib.h>

#include "chain/state.h"

static uint32_t slot_of(const struct chain_log *log, struct slice id, uint32_t hash) {
    uint32_t mask = log->table_capacity - 1;
    uint32_t at = hash & mask;
    const struct chain_actor *actor = NULL;
    while ((actor = log->table[at]) != NULL) {
        if (actor->hash == hash && slice_equal(slice_of(actor->id, actor->id_bytes), id)) {
            break;
        }
        at = (at + 1) & mask;
    }
    return at;
}

// Keeps the load below three quarters.
static void grow_table(struct chain_log *log) {
    struct chain_actor **old = log->table;
    uint32_t old_capacity = log->table_capacity;
    log->table_capacity = old_capacity == 0 ? 64 : 2 * old_capacity;
    log->table = xcalloc(log->table_capacity, sizeof(struct chain_actor *));
    uint32_t mask = log->table_capacity - 1;
    for (uint32_t i = 0; i < old_capacity; i++) {
        if (old[i] != NULL) {
            uint32_t at = old[i]->hash & mask;
            while (log->table[at] != NULL) {
                at = (at + 1) & mask;
            }
            log->table[at] = old[i];
        }
    }
    free(old);
}

struct chain_actor *registry_find(const struct chain_log *log, const char *id) {
    struct slice text = slice_text(id);
    return log->table_capacity == 0 ? NULL : log->table[slot_of(log, text, map_hash(text))];
}

struct chain_actor *registry_add(struct chain_log *log, const char *id,
                                 const uint8_t nonce[CHAIN_NONCE_BYTES]) {
    struct slice text = slice_text(id);
    assert(text.size > 0 && text.size <= CHAIN_ID_MOST_BYTES);
    if (log->table_capacity / 4 * 3 <= log->table_count) {
        assert(log->table_count < UINT32_MAX / 4 * 3);
        grow_table(log);
    }
    struct chain_actor *actor = arena_alloc(&log->records, sizeof *actor + text.size + 1, 8);
    actor->number = 0;
    actor->hash = map_hash(text);
    actor->id_bytes = (uint8_t)text.size;
    memcpy(actor->id, id, text.size + 1);
    memcpy(actor->nonce, nonce, CHAIN_NONCE_BYTES);
    atomic_init(&actor->last_position, NO_POSITION);
    uint32_t slot = slot_of(log, text, actor->hash);
    assert(log->table[slot] == NULL);
    log->table[slot] = actor;
    log->table_count++;
    return actor;
}

void registry_number(struct chain_log *log, struct chain_actor *actor) {
    assert(actor->number == 0);
    if (log->actor_count == log->actor_capacity) {
        // By half: the slack of millions counts.
        log->actor_capacity =
            log->actor_capacity < 64 ? 64 : log->actor_capacity + log->actor_capacity / 2;
        log->actors = xrealloc(log->actors, (size_t)log->actor_capacity * sizeof *log->actors);
    }
    log->actors[log->actor_count++] = actor;
    actor->number = (uint32_t)log->actor_count;
}

void registry_reset(struct chain_log *log) {
    arena_release(&log->records);
    free(log->table);
    free(log->actors);
    log->table = NULL;
    log->actors = NULL;
    log->table_capacity = log->table_count = 0;
    log->actor_capacity = log->actor_count = 0;
}

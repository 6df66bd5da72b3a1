// SPDX-License-Identifier: Apache-2.0
// Bringing back the actors that were running when a node ended without stopping them
// (docs/architecture.md, "After a restart of the node").
//
//   world_fold takes in the events of the log, one by one: what was running, and what it is owed;
//   actor_system_recover makes the actors of a world, before anything else runs.
//
// A world is used by one thread at a time.
#ifndef ACTOR_RECOVERY_H
#define ACTOR_RECOVERY_H

#include "actor/actor.h"

struct world;

// The reserved id of the node's own chain: what clients outside send goes through it.
extern const char node_chain_id[];

// An empty one; free with world_free, which takes NULL too.
struct world *world_new(void);
// Frees it and all that it remembers.
void world_free(struct world *world);
// Takes in the next event of the log. What it does not know has no effect. A chain_visit_fn.
enum status world_fold(void *world, const struct chain_event *event, struct error *error);
// Where folding goes on: every event before this position was taken in.
uint64_t world_position(const struct world *world);
// Position of the last event that was taken in and the hash that it names as its parent; false
// before the first one. What tells whether a log is the one that a saved world was made from.
bool world_last(const struct world *world, uint64_t *position, uint8_t parent[SHA256_BYTES]);
// Forgets all actors, but not how far the log was read: when all have ended.
void world_forget(struct world *world);
// Actors that were running.
uint64_t world_count(const struct world *world);

// Appends the world as one CBOR item.
void world_save(const struct world *world, struct buf *out);
// Gives what world_save wrote. ERR_DAMAGED when it is something else.
enum status world_load(struct slice item, struct world **out, struct error *error) MUST_CHECK;

struct actor_recovered {
    uint64_t actors;    // brought back
    uint64_t messages;  // that wait in their mailboxes again
    uint64_t ended;     // were about to end, and have
    uint64_t missing;   // could not be brought back; the log says why
};
// Makes every actor of the world, which it uses up, with what it is owed. None of them runs before
// all are there. On a thread that may block, before the system is used for anything else. An actor
// that cannot be brought back is no error: it is reported and stays as it is in the log.
enum status actor_system_recover(struct actor_system *system, struct world *world,
                                 struct actor_recovered *out, struct error *error) MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
// What leaves the node waits for what it depends on (manifest: durability = "sync").
//
// Each actor has a log position: the end of the latest event of a `sync` actor that its state
// depends on. An actor of that kind has the end of its own last event there. Messages, answers and
// notices take the sender's position along and do not wait; who handles them depends on it from
// then on. What leaves the node waits until the log is synced up to the position:
//
//   answers to exports called from outside   actor_hold_event, by the host room
//   jobs of host calls                       job.c, before they begin
//   replies to requests from outside         on the requester's own thread
//
// So an actor that never hears of a `sync` actor has position 0 and never waits.
#include "actor/internal.h"

uint64_t actor_depends(const struct actor *actor) {
    return atomic_load_explicit(&actor->depends, memory_order_relaxed);
}

void actor_depend(struct actor *actor, uint64_t position) {
    if (position > actor_depends(actor)) {
        atomic_store_explicit(&actor->depends, position, memory_order_relaxed);
    }
}

bool is_durable(const struct actor_system *system, uint64_t position) {
    return position == 0 || system->config.log == NULL ||
           chain_is_synced(system->config.log, position);
}

enum status wait_until_durable(struct actor_system *system, uint64_t position,
                               struct error *error) {
    if (is_durable(system, position)) {
        return OK;
    }
    enum status status = chain_wait(system->config.log, position, CHAIN_SYNCED, error);
    return status == OK ? OK : error_context(error, "it happened, but is not on disk yet");
}

static void reached(struct chain_watch *watch, bool is_synced) {
    struct actor_hold *hold = CONTAINER_OF(watch, struct actor_hold, watch);
    hold->go(hold, is_synced);
}

void actor_hold_event(struct actor *actor, const struct actor_event *event, struct actor_hold *hold,
                      void (*go)(struct actor_hold *hold, bool is_durable)) {
    *hold = (struct actor_hold){.go = go};
    if (is_durable(actor->system, event->depends)) {
        go(hold, true);
        return;
    }
    hold->watch = (struct chain_watch){.position = event->depends, .reached = reached};
    chain_watch_sync(actor->system->config.log, &hold->watch);
}

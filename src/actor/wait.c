// SPDX-License-Identifier: Apache-2.0
// Waiting: how a turn parks until its completion is finished, and the wait graph that tells which
// waits would never end.
#include <assert.h>

#include "actor/internal.h"

static void wait_finished(struct completion *completion) {
    struct turn *turn = CONTAINER_OF(completion, struct turn, wait);
    // The turn may be over, and be another actor's, as soon as wait_done is seen; the actor cannot
    // end before the lock is released.
    struct actor *actor = turn->actor;
    actor->waits_for = NULL;
    actor->waiting = NULL;
    actor_depend(actor, completion->depends);
    // Release: the worker's acquire in run_step sees the status and value.
    atomic_store_explicit(&turn->wait_done, true, memory_order_release);
    sched_wake(&actor->task);
}

struct completion *turn_prepare_wait(struct turn *turn) {
    assert(turn->wait.node.list == NULL);
    turn->wait = (struct completion){.is_armed = true, .done = wait_finished};
    atomic_store_explicit(&turn->wait_done, false, memory_order_relaxed);
    return &turn->wait;
}

// Lock held. Whom the actor waits for; NULL: for nobody. One that is to be restarted after a
// sibling waits for that. One that holds a notice waits for its parent, unless the parent waits for
// its restart.
static struct actor *waits_for(const struct actor *actor) {
    struct actor *sibling = restart_group_waits_for(actor);
    if (actor->waits_for == NULL && sibling != NULL) {
        return sibling;
    }
    if (actor->waits_for == NULL && actor->held != NULL && actor->starters.first == NULL) {
        return actor->parent;
    }
    return actor->waits_for;
}

// Lock held. Describes the cycle that waiting for `edge` would close; false when there is none.
static bool would_close_cycle(const struct actor *self, const struct actor *edge,
                              struct error *error) {
    const struct actor *at = edge;
    while (at != NULL && at != self) {
        at = waits_for(at);
    }
    if (at == NULL) {
        return false;
    }
    struct buf names = {0};
    buf_format(&names, "%s", actor_id(self));
    for (at = edge; at != NULL; at = waits_for(at)) {
        buf_format(&names, " -> %s", actor_id(at));
        if (at == self || names.size > ERROR_MESSAGE_MAX / 2) {
            break;
        }
    }
    error_set(error, ERR_DEADLOCK, "waiting would never end: %s", buf_text(&names));
    buf_release(&names);
    return true;
}

void wait_break_cycle(struct actor *self, struct actor *edge) {
    struct error error = {0};
    if (!would_close_cycle(self, edge, &error)) {
        return;
    }
    for (struct actor *at = edge; at != self; at = waits_for(at)) {
        if (at->waiting != NULL) {
            completion_finish(at->waiting, ERR_DEADLOCK, text_bytes("%s", error.message));
            return;
        }
    }
}

enum status turn_wait(struct turn *turn, struct actor *edge, struct message *effect,
                      uint64_t timeout_ns, enum status timer_status, struct bytes **value,
                      struct error *error) {
    struct actor *self = turn->actor;
    enum status status = OK;
    // Relaxed: a bound on memory that orders nothing.
    uint32_t parked = atomic_fetch_add_explicit(&self->system->parked, 1, memory_order_relaxed);
    bool must_crash = (atomic_load(&self->control) & CONTROL_CRASH) != 0;
    if (actor_is_ending(self) || must_crash) {
        status = error_set(error, ERR_STOPPING, "actor is stopping");
    } else if (atomic_load(&self->is_init_overdue)) {
        status = error_set(error, ERR_TIMEOUT, "init has had its time (limits.init_timeout_ms)");
    } else if (parked >= self->system->parked_most) {
        status = error_set(error, ERR_LIMIT, "too many actors wait at once (%u)", parked);
    } else if (edge != NULL && would_close_cycle(self, edge, error)) {
        status = ERR_DEADLOCK;
    }
    if (status != OK) {
        atomic_fetch_sub_explicit(&self->system->parked, 1, memory_order_relaxed);
        turn->wait.is_armed = false;
        list_remove(&turn->wait.node);
        system_unlock(self->system);
        if (effect != NULL) {
            mailbox_consumed(effect->target != NULL ? effect->target : self, effect);
            message_free(effect);
        }
        return status;
    }
    self->waits_for = edge;
    self->waiting = &turn->wait;
    system_unlock(self->system);
    if (effect != NULL) {
        turn_effect(turn, effect);
    }
    turn->timer_ns = timeout_ns;
    turn->timer_status = timer_status;
    turn->phase = TURN_WAITING;
    sched_fiber_park(turn->fiber);
    atomic_fetch_sub_explicit(&self->system->parked, 1, memory_order_relaxed);
    // The value belongs to this turn now: the completion is not armed any more.
    struct bytes *answer = turn->wait.value;
    turn->wait.value = NULL;
    status = turn->wait.status;
    if (status != OK) {
        struct slice text = bytes_slice(answer);
        error_set(error, status, "%.*s", (int)text.size,
                  text.size > 0 ? (const char *)text.data : "");
        bytes_unref(turn->refusal);
        turn->refusal = answer;
        return status;
    }
    if (value != NULL) {
        *value = answer;
    } else {
        bytes_unref(answer);
    }
    return OK;
}

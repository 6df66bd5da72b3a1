// SPDX-License-Identifier: Apache-2.0
// An actor that came back with the node: what it does before anything else, when it first has
// something to do. Until then nothing is written and no guest code runs.
#include <assert.h>
#include <stdlib.h>

#include "actor/recover.h"
#include "base/log.h"

const char *recovery_mode(const struct actor *actor) {
    if (actor->program->manifest->recover == MANIFEST_RECOVER_INIT) {
        return "init";
    }
    return actor->instance != NULL ? "replay" : "resume";
}

void recovery_free(struct recovery *recovery) {
    if (recovery != NULL) {
        free(recovery->call);
        free(recovery);
    }
}

static bool record_abort(struct actor *actor) {
    const struct recovery *recovery = actor->recovery;
    if (!recovery->was_waiting) {
        return true;
    }
    struct buf reason = {0};
    buf_format(&reason, "the node ended during %s: outcome unknown",
               recovery->call != NULL ? recovery->call : "the turn");
    bool good = record_reason(actor, "aborted", buf_text(&reason));
    buf_release(&reason);
    return good;
}

static void forget(struct actor *actor) {
    recovery_free(actor->recovery);
    actor->recovery = NULL;
}

// What comes behind `resumed`: nothing, an instance, or a whole start.
static void go_on(struct actor *actor, bool makes_instance) {
    forget(actor);
    if (actor_status(actor) == ACTOR_RESTARTING) {
        actor_control(actor, CONTROL_START);
    } else if (makes_instance && actor_status(actor) == ACTOR_RUNNING) {
        actor->has_servers_due = true;
        turn_wake(actor);
    } else if (makes_instance) {
        turn_instantiate(actor);
    }
}

bool recovery_step(struct actor *actor) {
    struct recovery *recovery = actor->recovery;
    if (!atomic_load_explicit(&recovery->is_ready, memory_order_acquire)) {
        return false;
    }
    bool wants_stop = atomic_load(&actor->stop_requested) || actor->wants_shutdown;
    bool is_due = wants_stop || recovery->is_due || !mailbox_is_empty(actor) ||
                  atomic_load_explicit(&actor->control, memory_order_relaxed) != 0;
    if (!is_due) {
        return false;
    }
    if (wants_stop) {
        (void)record_abort(actor);
        forget(actor);
        return true;
    }
    bool makes_instance = recovery->makes_instance || actor_status(actor) == ACTOR_STARTING;
    if (gate_log_is_shut(actor) || (makes_instance && !turn_reserve(actor))) {
        return false;
    }
    if (record_abort(actor) && record_spawned(actor)) {
        go_on(actor, makes_instance);
    } else {
        forget(actor);
        lifecycle_crashed(actor, ERR_IO, cannot_record);
    }
    return true;
}

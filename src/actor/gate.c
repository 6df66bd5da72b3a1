// SPDX-License-Identifier: Apache-2.0
// Actors that could go on but for something the node is short of for the moment: a log that is
// behind, or a stack. They are put aside at a turn's boundary, so that no worker waits in their
// place, and a timer looks every few milliseconds whether they can be woken.
#include "actor/internal.h"
#include "base/log.h"

#define LOOK_NS UINT64_C(2000000)
#define WARN_NS UINT64_C(10000000000)

enum { STACK_TRIES = 64 };  // actors that try again to get a stack, per look

void gate_leave(struct actor *actor) {
    list_remove(&actor->gate);
}

static void wake(struct list *list, uint32_t most) {
    for (uint32_t i = 0; i < most && !list_is_empty(list); i++) {
        struct actor *actor = LIST_FIRST(list, struct actor, gate);
        gate_leave(actor);
        sched_wake(&actor->task);
    }
}

static void look(struct sched_timer *timer);

static void look_later(struct actor_system *system) {
    sched_timer_arm(system->config.sched, &system->gate_timer,
                    env_monotonic_ns(system->config.env) + LOOK_NS, look);
}

static void look(struct sched_timer *timer) {
    struct actor_system *system = CONTAINER_OF(timer, struct actor_system, gate_timer);
    system_lock(system);
    if (!list_is_empty(&system->gate_log) && !chain_is_behind(system->config.log)) {
        wake(&system->gate_log, UINT32_MAX);
    }
    wake(&system->gate_stack, STACK_TRIES);
    system->is_gate_watched =
        !list_is_empty(&system->gate_log) || !list_is_empty(&system->gate_stack);
    if (system->is_gate_watched) {
        look_later(system);
    }
    system_unlock(system);
}

// Lock held.
static void wait_in(struct actor *actor, struct list *list) {
    struct actor_system *system = actor->system;
    gate_leave(actor);
    list_append(list, &actor->gate);
    if (!system->is_gate_watched) {
        system->is_gate_watched = true;
        look_later(system);
    }
}

bool gate_log_is_shut(struct actor *actor) {
    struct actor_system *system = actor->system;
    if (system->config.log == NULL || !chain_is_behind(system->config.log)) {
        return false;
    }
    system_lock(system);
    wait_in(actor, &system->gate_log);
    system_unlock(system);
    return true;
}

void gate_wait_for_stack(struct actor *actor, const char *reason) {
    struct actor_system *system = actor->system;
    uint64_t now = env_monotonic_ns(system->config.env);
    system_lock(system);
    wait_in(actor, &system->gate_stack);
    bool is_said = system->stack_warned_ns != 0 && now - system->stack_warned_ns < WARN_NS;
    if (!is_said) {
        system->stack_warned_ns = now;
    }
    system_unlock(system);
    if (!is_said) {
        log_line(LOG_WARNING, "actor %s waits for a stack, others may too: %s", actor_id(actor),
                 reason);
    }
}

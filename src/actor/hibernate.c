// SPDX-License-Identifier: Apache-2.0
// Hibernation: an idle actor whose manifest says stateless_instance gives its instance up at a turn
// boundary, and gets a new one before its next turn (turn_wake). Its state, mailbox, children,
// channels, owed answers and servers stay; init does not run again.
//
// Two things end an instance's rest:
//   time    hibernate_after_ms passed without an event in the actor's chain. One timer for each
//           instance, armed when it is made and not moved by turns: when it fires, the actor looks
//           whether its chain has grown since, and arms it again. So a turn costs nothing, and an
//           instance goes between once and twice that time after the last event.
//   memory  the instances of the node take more than actor_config.instance_memory_bytes. The actors
//           in system->resting are asked one after the other, oldest answer first, until those that
//           were asked hold as much as is too much. Whoever had an event since it was last asked
//           stays and goes to the end of the list, which is the clock algorithm.
//
// Nobody else ends an instance: the actor is only woken with a control bit, and decides at a turn
// boundary, in its own task.
#include <assert.h>
#include <stdlib.h>

#include "actor/internal.h"
#include "base/log.h"
#include "codec/cbor.h"

enum { ASKS_MOST = 4096 };  // in a row

#define ASK_AGAIN_NS 100000000U

// What a stateless instance has while it exists. Its owner's, but for what the lock guards.
struct resting {
    struct actor *actor;
    struct sched_timer timer;
    uint64_t seen_seq;   // of the chain's end when the timer was armed
    uint64_t asked_seq;  // and when memory was asked for
    // system->resting_lock
    struct list_node node;
    bool is_asked;
    uint64_t asked_bytes;  // what it takes, when it was asked
};

// ---- memory -------------------------------------------------------------------------------------

static bool is_short(const struct actor_system *system) {
    uint64_t most = system->config.instance_memory_bytes;
    // Relaxed: the count orders nothing.
    return most != 0 && atomic_load_explicit(&system->instance_bytes, memory_order_relaxed) > most;
}

// resting_lock held.
static void ask_one(struct actor_system *system, struct resting *resting) {
    struct actor *actor = resting->actor;
    list_remove(&resting->node);
    list_append(&system->resting, &resting->node);
    resting->is_asked = true;
    resting->asked_bytes =
        atomic_load_explicit(&actor->budget.memory_used_bytes, memory_order_relaxed);
    system->asked_bytes += resting->asked_bytes;
    system->asks_left--;
    // It stays in the list, and so exists, as long as the lock is held.
    actor_control(actor, CONTROL_SPARE);
}

static void ask_again(struct sched_timer *timer);

// Asks as many actors as hold what is too much. `is_new`: the need has grown, and whoever stayed
// may be asked again.
static void ask_for_memory(struct actor_system *system, bool is_new) {
    pthread_mutex_lock(&system->resting_lock);
    if (is_new) {
        // Twice each: who was busy since the last time stays at the first.
        system->asks_left = 2 * system->resting_count;
        system->asks_left = system->asks_left < ASKS_MOST ? system->asks_left : ASKS_MOST;
    }
    uint64_t most = system->config.instance_memory_bytes;
    while (!list_is_empty(&system->resting)) {
        struct resting *first = LIST_FIRST(&system->resting, struct resting, node);
        uint64_t bytes = atomic_load_explicit(&system->instance_bytes, memory_order_relaxed);
        if (first->is_asked || bytes <= most || bytes - most <= system->asked_bytes) {
            break;
        }
        if (system->asks_left == 0) {
            // All were busy. They are asked again if nobody else has a reason to before.
            sched_timer_arm(system->config.sched, &system->spare_timer,
                            env_monotonic_ns(system->config.env) + ASK_AGAIN_NS, ask_again);
            break;
        }
        ask_one(system, first);
    }
    pthread_mutex_unlock(&system->resting_lock);
}

static void ask_again(struct sched_timer *timer) {
    ask_for_memory(CONTAINER_OF(timer, struct actor_system, spare_timer), true);
}

// resting_lock held.
static void forget_ask(struct actor_system *system, struct resting *resting) {
    if (resting->is_asked) {
        resting->is_asked = false;
        system->asked_bytes -= resting->asked_bytes;
    }
}

// It was asked, and stays: others are asked instead.
static void decline(struct actor *actor) {
    struct actor_system *system = actor->system;
    pthread_mutex_lock(&system->resting_lock);
    forget_ask(system, actor->resting);
    pthread_mutex_unlock(&system->resting_lock);
    actor->resting->asked_seq = actor->head.next_seq;
    if (is_short(system)) {
        ask_for_memory(system, false);
    }
}

void instance_bytes_changed(struct actor *actor) {
    struct actor_system *system = actor->system;
    uint64_t before = actor->counted_bytes;
    uint64_t now = atomic_load_explicit(&actor->budget.memory_used_bytes, memory_order_relaxed);
    actor->counted_bytes = now;
    // Unsigned: what was given back is added as its complement.
    atomic_fetch_add_explicit(&system->instance_bytes, now - before, memory_order_relaxed);
    if (now > before && is_short(system)) {
        ask_for_memory(system, true);
    }
}

uint64_t actor_system_instance_bytes(const struct actor_system *system) {
    return atomic_load_explicit(&system->instance_bytes, memory_order_relaxed);
}

// ---- time ---------------------------------------------------------------------------------------

static void time_over(struct sched_timer *timer) {
    actor_control(CONTAINER_OF(timer, struct resting, timer)->actor, CONTROL_IDLE);
}

static void arm(struct actor *actor) {
    uint64_t after_ms = actor->program->manifest->hibernate_after_ms;
    struct resting *resting = actor->resting;
    resting->seen_seq = actor->head.next_seq;
    if (after_ms != 0) {
        sched_timer_arm(actor->system->config.sched, &resting->timer,
                        env_monotonic_ns(actor->system->config.env) + after_ms * 1000000U,
                        time_over);
    }
}

// ---- the instance -------------------------------------------------------------------------------

void resting_begin(struct actor *actor) {
    struct actor_system *system = actor->system;
    if (!actor->program->manifest->stateless_instance || actor->program->call != NULL) {
        return;
    }
    assert(actor->instance != NULL && actor->resting == NULL);
    struct resting *resting = xcalloc(1, sizeof *resting);
    resting->actor = actor;
    actor->resting = resting;
    arm(actor);
    pthread_mutex_lock(&system->resting_lock);
    list_append(&system->resting, &resting->node);
    system->resting_count++;
    pthread_mutex_unlock(&system->resting_lock);
    if (is_short(system)) {
        ask_for_memory(system, true);
    }
}

void resting_end(struct actor *actor) {
    struct actor_system *system = actor->system;
    struct resting *resting = actor->resting;
    if (resting == NULL) {
        return;
    }
    // Waits for the timer's function, which still wakes this actor.
    sched_timer_cancel(system->config.sched, &resting->timer);
    pthread_mutex_lock(&system->resting_lock);
    forget_ask(system, resting);
    list_remove(&resting->node);
    system->resting_count--;
    pthread_mutex_unlock(&system->resting_lock);
    actor->resting = NULL;
    free(resting);
}

// False: it could not be recorded, and the instance stays.
static bool hibernate(struct actor *actor, const char *reason) {
    struct actor_system *system = actor->system;
    if (!record_reason(actor, "hibernated", reason)) {
        return false;
    }
    log_line(LOG_DEBUG, "actor %s hibernates (%s)", actor_id(actor), reason);
    component_instance_free(actor->instance);
    actor->instance = NULL;
    instance_bytes_look(actor);
    resting_end(actor);
    lifecycle_live_free(actor);
    if (actor->host_data != NULL && system->config.hibernated != NULL &&
        system->config.hibernated(actor)) {
        free(actor->host_data);
        actor->host_data = NULL;
    }
    actor_unref(actor->last_target);
    actor->last_target = NULL;
    return true;
}

static bool may_hibernate(const struct actor *actor) {
    const struct chain_log *log = actor->system->config.log;
    // Whoever wants it to end may still be about to look at its timers, until it goes on.
    return actor_status(actor) == ACTOR_RUNNING && !actor_is_ending(actor) &&
           mailbox_is_empty(actor) && (log == NULL || !chain_is_behind(log));
}

void hibernate_asked(struct actor *actor, uint32_t bits) {
    struct resting *resting = actor->resting;
    if (resting == NULL) {
        return;  // asked of an instance that is gone
    }
    bool may = may_hibernate(actor);
    bool was_idle = (bits & CONTROL_IDLE) != 0 && resting->seen_seq == actor->head.next_seq;
    if (may && was_idle && hibernate(actor, "idle")) {
        return;
    }
    bool is_wanted = (bits & CONTROL_SPARE) != 0 && is_short(actor->system) &&
                     resting->asked_seq == actor->head.next_seq;
    if (may && is_wanted && hibernate(actor, "memory")) {
        return;
    }
    if ((bits & CONTROL_IDLE) != 0) {
        arm(actor);
    }
    if ((bits & CONTROL_SPARE) != 0) {
        decline(actor);
    }
}

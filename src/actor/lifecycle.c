// SPDX-License-Identifier: Apache-2.0
// The life of an actor (create.c has its beginning): started, running, crashed and restarted,
// stopped.
//
// Whoever wants something of an actor's life sets a control bit and wakes it; the actor's own
// task acts on it at a turn boundary (lifecycle_step). So there is one thread at a time that
// changes an actor's life, and no turn is ever cut through.
#include <assert.h>
#include <stdlib.h>

#include "actor/internal.h"
#include "base/log.h"
#include "codec/cbor.h"

static const char init_is_overdue[] = "init has not returned within limits.init_timeout_ms";

// ---- small helpers
// -------------------------------------------------------------------------------

void lifecycle_set_state(struct actor *actor, struct bytes *state) {
    // Acquire and release pair with the reader in actor_child_state; held for two moves.
    while (atomic_flag_test_and_set_explicit(&actor->state_lock, memory_order_acquire)) {
    }
    struct bytes *old = actor->state;
    actor->state = state;
    atomic_flag_clear_explicit(&actor->state_lock, memory_order_release);
    bytes_unref(old);
}

static void drop_instance(struct actor *actor) {
    resting_end(actor);
    if (actor->instance != NULL) {
        component_instance_free(actor->instance);
        actor->instance = NULL;
        instance_bytes_look(actor);
    }
    // Also after an instantiation that trapped: its start functions may have made resources.
    if (actor->host_data != NULL && actor->system->config.instance_ended != NULL) {
        actor->system->config.instance_ended(actor);
    }
}

// Lock held. Everything others have with this instance ends: delivered requests, channels,
// children.
static void cut_relations(struct actor *actor, const char *text, struct message **notices) {
    actor->instance_number++;
    restart_group_end(actor);
    request_fail_delivered(actor, text);
    channel_close_all(actor, notices);
    for (struct actor *child = actor->first_child; child != NULL; child = child->next_sibling) {
        actor_request_stop(child, false, "its parent ended");
    }
}

struct actor_live *lifecycle_live(struct actor *actor) {
    if (actor->live == NULL) {
        actor->live = xcalloc(1, sizeof *actor->live);
        actor->live->actor = actor;
    }
    return actor->live;
}

void lifecycle_live_free(struct actor *actor) {
    if (actor->live == NULL) {
        return;
    }
    assert(!actor->has_backoff);
    lifecycle_cancel_watch(actor);
    free(actor->live);
    actor->live = NULL;
}

void lifecycle_cancel_watch(struct actor *actor) {
    if (actor->live != NULL) {
        sched_timer_cancel(actor->system->config.sched, &actor->live->stop_timer);
    }
}

// ---- stopping
// ------------------------------------------------------------------------------------

// The turn in progress had its time to end.
static void stop_timeout(struct sched_timer *timer) {
    struct actor *actor = CONTAINER_OF(timer, struct actor_live, stop_timer)->actor;
    system_lock(actor->system);
    struct turn *turn = atomic_load_explicit(&actor->current, memory_order_acquire);
    if (turn != NULL) {
        wasm_context_interrupt(&turn->context);
        // It may have been in the middle of a host call: look again.
        sched_timer_arm(actor->system->config.sched, timer,
                        env_monotonic_ns(actor->system->config.env) + 50000000U, stop_timeout);
    }
    system_unlock(actor->system);
}

static void watch(struct actor *actor, uint64_t limit_ms, sched_timer_fn fn) {
    sched_timer_arm(actor->system->config.sched, &actor->live->stop_timer,
                    env_monotonic_ns(actor->system->config.env) + limit_ms * 1000000U, fn);
}

void lifecycle_watch_stop(struct actor *actor) {
    watch(actor, actor->program->manifest->limits.stop_timeout_ms, stop_timeout);
}

// Lock held. Ends the wait in progress, and those that the turn may still try.
static void end_waits(struct actor *actor, enum status status, const char *text) {
    if (actor->waiting != NULL) {
        completion_finish(actor->waiting, status, text_bytes("%s", text));
    }
    if (atomic_load(&actor->current) != NULL) {
        lifecycle_watch_stop(actor);
    }
}

// The init in progress had its time. It goes on as the last turn of an actor that is stopped does.
static void init_timeout(struct sched_timer *timer) {
    struct actor *actor = CONTAINER_OF(timer, struct actor_live, stop_timer)->actor;
    system_lock(actor->system);
    if (!actor_is_ending(actor)) {
        atomic_store(&actor->is_init_overdue, true);
        end_waits(actor, ERR_TIMEOUT, init_is_overdue);
    }
    system_unlock(actor->system);
}

void lifecycle_watch_init(struct actor *actor) {
    if (actor->is_init_watched) {
        return;
    }
    // Whoever ends the turn arms the same timer, with less time, under the lock.
    system_lock(actor->system);
    if (!actor_is_ending(actor)) {
        actor->is_init_watched = true;
        watch(actor, actor->program->manifest->limits.init_timeout_ms, init_timeout);
    }
    system_unlock(actor->system);
}

void actor_request_stop(struct actor *actor, bool is_external, const char *reason) {
    if (atomic_exchange(&actor->stop_requested, true)) {
        return;
    }
    actor->is_external_stop = is_external;
    actor->stop_reason = reason;
    end_waits(actor, ERR_STOPPING, "actor is stopping");
    actor_control(actor, CONTROL_STOP);
}

void actor_request_down(struct actor *actor, uint32_t bit) {
    if (!atomic_exchange(&actor->down_requested, true) && !atomic_load(&actor->stop_requested)) {
        end_waits(actor, ERR_STOPPING, "actor is stopping");
    }
    actor_control(actor, bit);
}

static void begin_stop(struct actor *actor) {
    actor->is_stopping = true;
    atomic_store(&actor->stop_requested, true);
    restart_cancel_delay(actor);
    lifecycle_cancel_watch(actor);
    system_lock(actor->system);
    if (actor->start_error == NULL) {
        completion_fail_all(&actor->starters, ERR_STOPPING, "actor is stopping");
    }
    completion_fail_all(&actor->room_waiters, ERR_CLOSED, "the actor is stopping");
    request_fail_delivered(actor, "the actor has stopped");
    restart_group_end(actor);
    for (struct actor *child = actor->first_child; child != NULL; child = child->next_sibling) {
        actor_request_stop(child, false, NULL);
    }
    system_unlock(actor->system);
    mailbox_drain_all(actor, "the actor is stopping");
}

// For a reason of its own, which counts more than that of anybody who wants it to stop meanwhile.
static void begin_stop_because(struct actor *actor, const char *reason) {
    system_lock(actor->system);
    atomic_store(&actor->stop_requested, true);
    actor->stop_reason = reason;
    system_unlock(actor->system);
    begin_stop(actor);
}

// Lock held.
static void notice_exit(struct actor *actor, struct message **notices) {
    const struct notice notice = {.kind = MESSAGE_CHILD_EXIT,
                                  .has_body = actor->has_exit_data,
                                  .body = bytes_slice(actor->exit_data)};
    notice_add(actor, &notice, notices);
}

// The end, when no child is left: its last event of this run is its shutdown.
static void finish_stop(struct actor *actor) {
    struct actor_system *system = actor->system;
    // One that was stopped before it could start was never there.
    if (actor->has_begun) {
        (void)record_reason(actor, "shutdown", actor->stop_reason);
    }
    drop_instance(actor);
    struct message *notices = NULL;
    system_lock(system);
    cut_relations(actor, "the actor has stopped", &notices);
    if (actor->wants_shutdown) {
        notice_exit(actor, &notices);
    } else if (actor->is_external_stop) {
        notice_add(actor, &(struct notice){.kind = MESSAGE_CHILD_STOP}, &notices);
    }
    notice_release(actor, &notices);
    gate_leave(actor);
    struct actor *parent = actor->parent;
    bool is_root = parent == NULL;
    // For its end, or to begin anew.
    bool parent_waits = parent != NULL && (atomic_load(&parent->stop_requested) ||
                                           actor_status(parent) == ACTOR_RESTARTING);
    tree_remove(actor);
    map_remove(&system->actors, bytes_slice(actor->id));
    atomic_store(&actor->status, ACTOR_STOPPED);
    completion_fail_all(&actor->stoppers, OK, NULL);
    while (!list_is_empty(&actor->starters) && actor->start_error != NULL) {
        completion_finish(LIST_FIRST(&actor->starters, struct completion, node), ERR_GUEST,
                          bytes_ref(actor->start_error));
    }
    completion_fail_all(&actor->starters, ERR_STOPPING, "actor has stopped");
    completion_fail_all(&actor->room_waiters, ERR_CLOSED, "the actor has stopped");
    if (parent_waits) {
        actor_control(parent, CONTROL_CHILD);
    }
    pthread_cond_broadcast(&system->changed);
    system_unlock(system);
    mailbox_push_all(notices);
    mailbox_drain_all(actor, "the actor has stopped");
    actor_unref(actor->last_target);
    actor->last_target = NULL;
    if (is_root && system->config.root_ended != NULL) {
        system->config.root_ended(system->config.root_context, actor_id(actor), actor->stop_reason);
    }
    actor_unref(actor);  // the registry's; the memory lasts until the task is idle
}

// ---- starting
// ------------------------------------------------------------------------------------

static void start(struct actor *actor) {
    // Also waits for the timer's function, which still wakes this actor.
    restart_cancel_delay(actor);
    if (actor->is_first_start && !record_spawned(actor)) {
        lifecycle_started(actor, ERR_IO, cannot_record);
        return;
    }
    actor->has_begun = true;
    turn_instantiate(actor);
}

static void init_is_over(struct actor *actor) {
    if (actor->is_init_watched) {
        actor->is_init_watched = false;
        lifecycle_cancel_watch(actor);
        atomic_store(&actor->is_init_overdue, false);
    }
}

static void started_well(struct actor *actor) {
    actor->is_first_start = false;
    atomic_store(&actor->status, ACTOR_RUNNING);
    system_lock(actor->system);
    // Who asked for a restart meanwhile waits for the next start.
    while (!list_is_empty(&actor->starters) && !atomic_load(&actor->down_requested)) {
        struct completion *starter = LIST_FIRST(&actor->starters, struct completion, node);
        starter->depends = actor_depends(actor);
        completion_finish(starter, OK, bytes_ref(actor->id));
    }
    restart_group_up(actor);
    system_unlock(actor->system);
}

static void started_badly(struct actor *actor, enum status status, const char *reason) {
    if (actor->is_first_start) {
        // Whoever started it is told when it is gone, and may then use its id again.
        actor->start_error = bytes_copy(slice_text(reason));
        begin_stop_because(actor, "init failed");
        return;
    }
    if (!atomic_load(&actor->down_requested)) {
        system_lock(actor->system);
        completion_fail_all(&actor->starters, ERR_GUEST, reason);
        system_unlock(actor->system);
    }
    lifecycle_crashed(actor, status, reason);
}

void lifecycle_started(struct actor *actor, enum status status, const char *reason) {
    bool is_overdue = atomic_load(&actor->is_init_overdue);
    init_is_over(actor);
    if (status == OK) {
        started_well(actor);
    } else if (is_overdue) {
        struct buf text = {0};
        buf_format(&text, "%s (%llu ms): %s", init_is_overdue,
                   (unsigned long long)actor->program->manifest->limits.init_timeout_ms, reason);
        started_badly(actor, ERR_TIMEOUT, buf_text(&text));
        buf_release(&text);
    } else {
        started_badly(actor, status, reason);
    }
}

// ---- crashing and restarting
// -----------------------------------------------------------------------

// The next instance begins as the manifest says.
static void prepare_restart(struct actor *actor) {
    const struct manifest *manifest = actor->program->manifest;
    atomic_store(&actor->status, ACTOR_RESTARTING);
    if (manifest->restart_state == MANIFEST_STATE_INITIAL) {
        lifecycle_set_state(actor, bytes_ref(actor->initial_state));
    }
    if (manifest->mailbox_on_restart == MANIFEST_MAILBOX_DROP) {
        mailbox_drain_all(actor, "the actor was restarted");
    }
}

static bool record_end(struct actor *actor, const char *type, const char *reason,
                       enum restart_decision decision) {
    struct buf data = {0};
    cbor_map(&data, reason != NULL ? 2 : 1);
    if (reason != NULL) {
        cbor_uint(&data, 1);
        cbor_text_z(&data, reason);
    }
    cbor_uint(&data, 2);
    cbor_text_z(&data, restart_decision_text(decision));
    bool good = record_lifecycle(actor, type, buf_slice(&data));
    buf_release(&data);
    return good;
}

static bool has_children(struct actor *actor) {
    system_lock(actor->system);
    bool has = actor->first_child != NULL;
    system_unlock(actor->system);
    return has;
}

// After its instance went, and after each child since: a member of a group is down with the last.
static void look_if_down(struct actor *actor) {
    system_lock(actor->system);
    if (actor->first_child == NULL && actor_status(actor) == ACTOR_RESTARTING) {
        restart_group_down(actor);
    }
    system_unlock(actor->system);
}

static void restart(struct actor *actor, uint64_t delay_ns) {
    prepare_restart(actor);
    system_lock(actor->system);
    restart_forget(actor);
    bool is_with_others = restart_with_group(actor, delay_ns == 0);
    system_unlock(actor->system);
    if (is_with_others) {
        look_if_down(actor);
    }
    if (!is_with_others || delay_ns != 0) {
        restart_delay(actor, delay_ns);
    }
}

static void rest(struct actor *actor) {
    atomic_store(&actor->status, ACTOR_CRASHED);
    system_lock(actor->system);
    restart_group_leave(actor);
    completion_fail_all(&actor->room_waiters, ERR_CLOSED, "the actor has crashed");
    system_unlock(actor->system);
    mailbox_drain_all(actor, "the actor has crashed");
}

// Lock held.
static void escalate(struct actor *parent) {
    actor_control(parent, CONTROL_CRASH);
    if (parent->waiting != NULL) {
        completion_finish(parent->waiting, ERR_STOPPING, text_bytes("actor is stopping"));
    }
}

// How an instance ended that nobody wanted to end.
struct ending {
    enum restart_end kind;
    enum status status;
    const char *reason;  // of a crash
    const char *told;    // those who have to do with it
};

static const char *reason_of_last_end(const struct actor *actor, bool is_crash) {
    if (!is_crash) {
        return "shut down past the restart limit";
    }
    return actor->program->manifest->restart == MANIFEST_TEMPORARY
               ? "crashed"
               : "crashed past the restart limit";
}

static void instance_ended(struct actor *actor, const struct ending *ending) {
    struct actor_system *system = actor->system;
    bool is_crash = ending->kind == RESTART_CRASHED;
    uint64_t delay_ns = 0;
    system_lock(system);
    enum restart_decision decision = restart_decide(actor, ending->kind, &delay_ns);
    system_unlock(system);
    if (!record_end(actor, is_crash ? "crashed" : "exited", ending->reason, decision)) {
        decision = RESTART_STOP;
    }
    struct message *notices = NULL;
    system_lock(system);
    cut_relations(actor, ending->told, &notices);
    if (is_crash) {
        const struct notice notice = {.kind = MESSAGE_CHILD_ERROR,
                                      .status = ending->status,
                                      .has_body = true,
                                      .body = slice_text(ending->reason)};
        notice_add(actor, &notice, &notices);
    } else {
        notice_exit(actor, &notices);
    }
    if (decision == RESTART_ESCALATE) {
        escalate(actor->parent);
    }
    system_unlock(system);
    mailbox_push_all(notices);
    switch (decision) {
        case RESTART_AGAIN:
            restart(actor, delay_ns);
            break;
        case RESTART_REST:
            rest(actor);
            break;
        case RESTART_STOP:
        case RESTART_ESCALATE:
            begin_stop_because(actor, reason_of_last_end(actor, is_crash));
            break;
    }
}

void lifecycle_crashed(struct actor *actor, enum status status, const char *reason) {
    drop_instance(actor);
    if (actor->is_stopping || actor_is_ending(actor)) {
        // The stop, or the restart, goes on by itself; the event says how the turn ended.
        (void)record_reason(actor, "aborted", reason);
        return;
    }
    if (actor->program->manifest->restart == MANIFEST_PERMANENT) {
        actor->wants_shutdown = false;
    }
    log_line(LOG_WARNING, "actor %s (%s) crashed: %s", actor_id(actor),
             actor->program->manifest->name, reason);
    struct buf told = {0};
    buf_format(&told, "the actor has crashed: %s", reason);
    const struct ending ending = {
        .kind = RESTART_CRASHED, .status = status, .reason = reason, .told = buf_text(&told)};
    instance_ended(actor, &ending);
    buf_release(&told);
}

// A permanent actor ended itself by runtime.shutdown, which is no reason not to run.
static void left(struct actor *actor) {
    drop_instance(actor);
    actor->wants_shutdown = false;
    const struct ending ending = {.kind = RESTART_LEFT, .told = "the actor has shut down"};
    instance_ended(actor, &ending);
}

void lifecycle_exited(struct actor *actor) {
    // Nothing may enter the trapped instance; the next step begins the stop.
    assert(actor->wants_shutdown);
    drop_instance(actor);
}

// Somebody else wants a fresh start: what there is of the instance goes, its children first.
static void begin_anew(struct actor *actor, const char *why) {
    struct message *notices = NULL;
    restart_cancel_delay(actor);
    drop_instance(actor);
    system_lock(actor->system);
    if (actor->wants_shutdown) {
        notice_exit(actor, &notices);
    }
    restart_forget(actor);
    atomic_store(&actor->down_requested, false);
    cut_relations(actor, why, &notices);
    system_unlock(actor->system);
    // Nobody arms it any more.
    lifecycle_cancel_watch(actor);
    mailbox_push_all(notices);
    actor->wants_shutdown = false;
}

// The parent asked (restart-child). One that is in a group comes with the others, at once.
static void restart_now(struct actor *actor) {
    begin_anew(actor, "the actor was restarted");
    lifecycle_set_state(actor, bytes_ref(actor->initial_state));
    atomic_store(&actor->status, ACTOR_RESTARTING);
    if (!record_reason(actor, "restarted", "restart-child")) {
        lifecycle_started(actor, ERR_IO, cannot_record);
        return;
    }
    system_lock(actor->system);
    bool is_alone = actor->group_part == RESTART_NO_PART;
    bool starts = is_alone || actor->group_part == RESTART_STARTING;
    restart_group_is_due(actor, true);
    system_unlock(actor->system);
    if (starts) {
        actor->deferred |= CONTROL_START;
    }
}

// A sibling ended, and the parent's strategy wants this one to begin anew too. False: it is late.
static bool go_down(struct actor *actor) {
    struct bytes *leader = NULL;
    bool is_last = actor->program->manifest->restart == MANIFEST_TEMPORARY;
    system_lock(actor->system);
    // It may have crashed between the wish and now: then its instance is gone, and it is down or on
    // its way to a new one, or rests.
    bool is_late = actor->group_part != RESTART_GOING || actor_status(actor) == ACTOR_CRASHED;
    const char *strategy = restart_group_reason(actor, &leader);
    if (is_late) {
        atomic_store(&actor->down_requested, false);
        if (actor->group_part == RESTART_GOING) {
            restart_group_leave(actor);
        }
    } else {
        actor->is_external_stop = is_last;
    }
    system_unlock(actor->system);
    if (is_late) {
        lifecycle_cancel_watch(actor);
    } else if (is_last) {
        begin_stop_because(actor, strategy);
    } else {
        begin_anew(actor, "the actor was restarted");
        prepare_restart(actor);
        if (!record_restarted(actor, strategy, leader)) {
            lifecycle_crashed(actor, ERR_IO, cannot_record);
        }
    }
    bytes_unref(leader);
    return !is_late;
}

// ---- at a turn boundary
// ----------------------------------------------------------------------------

// Whether it holds a notice that the parent has to take first. A restart that the parent waits for
// cannot wait for the parent.
static bool waits_for_parent(struct actor *actor) {
    if (!atomic_load_explicit(&actor->is_holding, memory_order_acquire)) {
        return false;
    }
    system_lock(actor->system);
    bool waits = actor->held != NULL && list_is_empty(&actor->starters);
    system_unlock(actor->system);
    return waits;
}

// Whether an instance can be made now; if not, the actor is woken when it may be.
static bool may_start(struct actor *actor) {
    // The last instance's children stop first: the new one may want their ids.
    if (!actor->is_first_start && has_children(actor)) {
        return false;
    }
    return !waits_for_parent(actor) && !gate_log_is_shut(actor) && turn_reserve(actor);
}

// Whether it is its turn: a member of a group waits for the others. For its leader the group waits.
static bool may_start_now(struct actor *actor) {
    system_lock(actor->system);
    bool may = actor->group_part == RESTART_NO_PART || actor->group_part == RESTART_STARTING;
    if (!may) {
        restart_group_is_due(actor, false);
    }
    system_unlock(actor->system);
    return may;
}

// Acts on the bits of one that goes on; false: nothing to do.
static bool act(struct actor *actor, uint32_t bits) {
    if ((bits & CONTROL_DOWN) != 0) {
        bool is_down = go_down(actor);
        look_if_down(actor);
        bits &= ~(uint32_t)CONTROL_DOWN;
        if (is_down) {
            bits &= CONTROL_RESTART;  // what else was wanted of the instance is done with it
        }
        if (bits == 0 || actor->is_stopping) {
            return true;
        }
    }
    // One that is down already, or waits for its back-off, does not crash again.
    enum actor_status status = actor_status(actor);
    bool is_up = status == ACTOR_RUNNING;
    if ((bits & CONTROL_CRASH) != 0 && is_up) {
        lifecycle_crashed(actor, ERR_INTERNAL, "a child crashed past the restart limit");
        return true;
    }
    if ((bits & CONTROL_RESTART) != 0) {
        restart_now(actor);
        look_if_down(actor);
        return true;
    }
    if ((bits & CONTROL_CHILD) != 0) {
        look_if_down(actor);
    }
    // A back-off may have ended while the parent's restart was under way.
    if ((bits & CONTROL_START) != 0 && !is_up && status != ACTOR_CRASHED) {
        if (!may_start_now(actor)) {
            return true;
        }
        if (!may_start(actor)) {
            actor->deferred = CONTROL_START;
            return false;
        }
        start(actor);
        return true;
    }
    if ((bits & (CONTROL_IDLE | CONTROL_SPARE)) != 0) {
        hibernate_asked(actor, bits);
    }
    return bits != 0;
}

bool lifecycle_step(struct actor *actor) {
    // Relaxed look first: the common case is that nothing is asked.
    uint32_t bits = actor->deferred;
    actor->deferred = 0;
    if (atomic_load_explicit(&actor->control, memory_order_relaxed) != 0) {
        if (!atomic_load_explicit(&actor->is_made, memory_order_acquire)) {
            return false;  // its maker wakes it
        }
        bits |= atomic_exchange(&actor->control, 0);
        actor->tokens++;
    }
    if (actor_status(actor) == ACTOR_STOPPED) {
        return false;
    }
    bool wants_stop = (bits & CONTROL_STOP) != 0 || atomic_load(&actor->stop_requested);
    if (actor->wants_shutdown && !wants_stop) {
        bool is_permanent = actor->program->manifest->restart == MANIFEST_PERMANENT;
        if (is_permanent && actor_status(actor) == ACTOR_RUNNING && !actor_is_ending(actor)) {
            left(actor);
            return true;
        }
        wants_stop = !is_permanent;
    }
    if (wants_stop && !actor->is_stopping) {
        begin_stop(actor);
    }
    if (actor->is_stopping) {
        if (!has_children(actor)) {
            finish_stop(actor);
        }
        return false;
    }
    return act(actor, bits);
}

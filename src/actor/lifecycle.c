// SPDX-License-Identifier: Apache-2.0
// The life of an actor: created, started, running, crashed and restarted, stopped.
//
// Whoever wants something of an actor's life sets a control bit and wakes it; the actor's own
// task acts on it at a turn boundary (lifecycle_step). So there is one thread at a time that
// changes an actor's life, and no turn is ever cut through.
#include <assert.h>
#include <stdlib.h>

#include "actor/internal.h"
#include "base/log.h"
#include "codec/cbor.h"

// What rules root actors, whose parent is the node.
static const struct manifest_supervision node_supervision = {.strategy = MANIFEST_ONE_FOR_ONE,
                                                             .max_restarts = 3,
                                                             .window_ms = 5000,
                                                             .backoff_initial_ms = 100,
                                                             .backoff_max_ms = 10000};

// ---- creation
// ------------------------------------------------------------------------------------

// The key of a parent authority's map; borrows the pointer.
static struct slice program_key(struct program *const *program) {
    return slice_of(program, sizeof *program);
}

// Lock held. Gives a reference to the authority of actors that run `program` under `parent`.
static struct authority *derive_authority(struct authority *parent, struct program *program,
                                          const struct manifest *parent_manifest) {
    struct authority *known = map_get(&parent->derived, program_key(&program));
    if (known != NULL) {
        known->references++;
        return known;
    }
    struct authority *made = xcalloc(1, sizeof *made);
    arena_init(&made->arena, UINT64_MAX);
    made->references = 1;
    made->program = program_ref(program);
    if (parent_manifest != NULL) {
        manifest_child_bound(parent_manifest, &parent->bound, &made->arena, &made->bound);
    } else {
        made->bound = parent->bound;
    }
    manifest_effective(program->manifest, &made->bound, &made->arena, &made->effective);
    struct buf text = {0};
    permissions_describe(&made->effective, &text);
    sha256(buf_slice(&text), made->hash);
    buf_release(&text);
    // The lists in `bound` may be the parent's.
    made->parent = parent;
    parent->references++;
    bool is_new = map_add(&parent->derived, program_key(&program), made);
    assert(is_new);
    (void)is_new;
    return made;
}

// Lock held. Gives back one reference; an authority that ended is left to the caller.
static struct authority *authority_drop(struct authority *authority) {
    if (--authority->references > 0 || authority->parent == NULL) {
        return NULL;
    }
    (void)map_remove(&authority->parent->derived, program_key(&authority->program));
    return authority;
}

void authority_unref(struct actor_system *system, struct authority *authority) {
    while (authority != NULL) {
        system_lock(system);
        struct authority *ended = authority_drop(authority);
        system_unlock(system);
        authority = ended != NULL ? ended->parent : NULL;
        if (ended != NULL) {
            program_unref(ended->program);
            arena_release(&ended->arena);
            map_release(&ended->derived);
            free(ended);
        }
    }
}

// Lock held. Puts the actor under its parent, or among the roots.
static void tree_add(struct actor *actor, struct actor *parent) {
    struct actor **first = parent != NULL ? &parent->first_child : &actor->system->roots;
    actor->parent = parent;
    actor->next_sibling = *first;
    if (*first != NULL) {
        (*first)->previous_sibling = actor;
    }
    *first = actor;
    if (parent != NULL) {
        parent->child_count++;
    }
}

// Lock held.
static void tree_remove(struct actor *actor) {
    struct actor *parent = actor->parent;
    struct actor **first = parent != NULL ? &parent->first_child : &actor->system->roots;
    *(actor->previous_sibling != NULL ? &actor->previous_sibling->next_sibling : first) =
        actor->next_sibling;
    if (actor->next_sibling != NULL) {
        actor->next_sibling->previous_sibling = actor->previous_sibling;
    }
    if (parent != NULL) {
        parent->child_count--;
    }
    actor->parent = NULL;
}

static void actor_init(struct actor *actor, struct actor_system *system, struct program *program,
                       struct bytes *state) {
    sched_task_init(&actor->task, system->config.sched, actor_run);
    actor->system = system;
    actor->program = program_ref(program);
    actor->budget.memory_limit_bytes = program->manifest->limits.memory_bytes;
    actor->initial_state = bytes_ref(state);
    actor->state = bytes_ref(state);
    actor->is_first_start = true;
    atomic_init(&actor->references, 2);  // the registry's and the caller's
    atomic_init(&actor->status, ACTOR_STARTING);
}

// Finds or begins the chain of the chosen id.
static enum status open_chain(struct actor *actor, const char *id, struct error *error) {
    if (actor->system->config.log == NULL) {
        actor->head.id = actor->bare_id = xstrdup(id);
        return OK;
    }
    bool found = false;
    uint8_t nonce[CHAIN_NONCE_BYTES];
    enum status status =
        chain_head_open(actor->system->config.log, id, &actor->head, nonce, &found, error);
    actor->is_resumed = found && actor->head.next_seq > 0;
    return status;
}

// Whether event 0, which `data` is of, names `parent` (NULL: the node) as the parent.
static bool names_parent(struct slice data, const struct actor *parent) {
    struct cbor_reader reader = cbor_reader_of(data);
    uint64_t pairs = 0;
    if (cbor_read_map(&reader, &pairs, NULL) != OK) {
        return false;
    }
    for (uint64_t i = 0; i < pairs; i++) {
        uint64_t key = 0;
        struct slice id;
        if (cbor_read_uint(&reader, &key, NULL) != OK) {
            return false;
        }
        if (key == 2) {
            return cbor_read_text(&reader, &id, NULL) == OK && parent != NULL &&
                   slice_equal(id, bytes_slice(parent->id));
        }
        if (cbor_skip(&reader, NULL) != OK) {
            return false;
        }
    }
    return false;
}

// An actor that spawns may go on with the chain of a former child of its own, and of nobody else:
// with the id would come the right to read the history.
static enum status check_former_child(struct actor *actor, const struct actor *parent,
                                      struct error *error) {
    struct chain_reader *reader = NULL;
    enum status status =
        chain_reader_open(actor->system->config.log, actor_id(actor), 0, &reader, error);
    if (status != OK) {
        return status;
    }
    struct chain_event event;
    bool more = false;
    status = chain_reader_next(reader, &event, &more, error);
    if (status == OK && (!more || !names_parent(event.data, parent))) {
        status = error_set(error, ERR_EXISTS, "the id %s belongs to another actor's history",
                           actor_id(actor));
    }
    chain_reader_close(reader);
    return status;
}

// An actor that others may have found already, but that never lived.
static void unregister(struct actor *actor) {
    struct actor_system *system = actor->system;
    system_lock(system);
    struct actor *parent = actor->parent;
    tree_remove(actor);
    map_remove(&system->actors, bytes_slice(actor->id));
    atomic_store(&actor->status, ACTOR_STOPPED);
    completion_fail_all(&actor->room_waiters, ERR_CLOSED, "the actor could not be made");
    bool has_token = atomic_exchange(&actor->control, 0) != 0;
    if (parent != NULL && atomic_load(&parent->stop_requested)) {
        actor_control(parent, CONTROL_CHILD);
    }
    pthread_cond_broadcast(&system->changed);
    system_unlock(system);
    busy_drop(system, has_token ? 1 : 0);
}

enum status actor_create(struct actor_system *system, struct actor *parent, struct program *program,
                         const char *chosen_id, struct bytes *state, struct actor **out,
                         struct error *error) {
    char id[ACTOR_ID_BYTES];
    const char *wanted = chosen_id != NULL ? chosen_id : program->manifest->id;
    if (wanted != NULL) {
        enum status status = manifest_check_id(slice_text(wanted), error);
        if (status != OK) {
            return status;
        }
        memcpy(id, wanted, strlen(wanted) + 1);
    } else {
        env_uuid(system->config.env, id);
    }
    struct actor *actor = xcalloc(1, sizeof *actor);
    actor_init(actor, system, program, state);
    actor->id = bytes_copy(slice_text(id));
    enum status status = OK;
    system_lock(system);
    if (parent != NULL &&
        (actor_status(parent) == ACTOR_STOPPED || atomic_load(&parent->stop_requested))) {
        status = error_set(error, ERR_STOPPING, "actor is stopping");
    } else if (parent != NULL &&
               parent->child_count >= parent->program->manifest->limits.children) {
        status = error_set(error, ERR_LIMIT, "the actor has %u children already (limits.children)",
                           parent->child_count);
    } else if (map_get(&system->actors, bytes_slice(actor->id)) != NULL) {
        status = error_set(error, ERR_EXISTS, "an actor with the id %s is running already", id);
    } else {
        bool added = map_add(&system->actors, bytes_slice(actor->id), actor);
        assert(added);
        (void)added;
        tree_add(actor, parent);
        actor->authority =
            derive_authority(parent != NULL ? parent->authority : &system->node, program,
                             parent != NULL ? parent->program->manifest : NULL);
    }
    system_unlock(system);
    if (status == OK) {
        status = open_chain(actor, id, error);
        if (status == OK && actor->is_resumed && parent != NULL) {
            status = check_former_child(actor, parent, error);
        }
        if (status != OK) {
            unregister(actor);
        }
    }
    if (status != OK) {
        atomic_store(&actor->status, ACTOR_STOPPED);
        mailbox_drain(actor, "the actor could not be made");
        actor_unref(actor);  // the registry's
        actor_unref(actor);
        return status;
    }
    // Release: whoever sees it sees the chain's head too.
    atomic_store_explicit(&actor->is_made, true, memory_order_release);
    *out = actor;
    return OK;
}

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
    request_fail_delivered(actor, text);
    channel_close_all(actor, notices);
    for (struct actor *child = actor->first_child; child != NULL; child = child->next_sibling) {
        actor_request_stop(child, false, "its parent ended");
    }
}

// ---- stopping
// ------------------------------------------------------------------------------------

// The turn in progress had its time to end.
static void stop_timeout(struct sched_timer *timer) {
    struct actor *actor = CONTAINER_OF(timer, struct actor, stop_timer);
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

void lifecycle_watch_stop(struct actor *actor) {
    uint64_t limit_ns = actor->program->manifest->limits.stop_timeout_ms * 1000000U;
    sched_timer_arm(actor->system->config.sched, &actor->stop_timer,
                    env_monotonic_ns(actor->system->config.env) + limit_ns, stop_timeout);
}

void actor_request_stop(struct actor *actor, bool is_external, const char *reason) {
    if (atomic_exchange(&actor->stop_requested, true)) {
        return;
    }
    actor->is_external_stop = is_external;
    actor->stop_reason = reason;
    if (actor->waiting != NULL) {
        completion_finish(actor->waiting, ERR_STOPPING, text_bytes("actor is stopping"));
    }
    if (atomic_load(&actor->current) != NULL) {
        lifecycle_watch_stop(actor);
    }
    actor_control(actor, CONTROL_STOP);
}

static void cancel_backoff(struct actor *actor) {
    if (actor->has_backoff) {
        actor->has_backoff = false;
        if (sched_timer_cancel(actor->system->config.sched, &actor->timer)) {
            busy_drop(actor->system, 1);
        }
    }
}

static void begin_stop(struct actor *actor) {
    actor->is_stopping = true;
    atomic_store(&actor->stop_requested, true);
    cancel_backoff(actor);
    sched_timer_cancel(actor->system->config.sched, &actor->stop_timer);
    system_lock(actor->system);
    if (actor->start_error == NULL) {
        completion_fail_all(&actor->starters, ERR_STOPPING, "actor is stopping");
    }
    completion_fail_all(&actor->room_waiters, ERR_CLOSED, "the actor is stopping");
    request_fail_delivered(actor, "the actor has stopped");
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
        notice_add(actor, MESSAGE_CHILD_EXIT, actor->has_exit_data, bytes_slice(actor->exit_data),
                   &notices);
    } else if (actor->is_external_stop) {
        notice_add(actor, MESSAGE_CHILD_STOP, false, slice_of(NULL, 0), &notices);
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
    cancel_backoff(actor);
    if (actor->is_first_start && !record_spawned(actor)) {
        lifecycle_started(actor, false, cannot_record);
        return;
    }
    actor->has_begun = true;
    turn_instantiate(actor);
}

void lifecycle_started(struct actor *actor, bool is_good, const char *reason) {
    actor->is_restart_asked = false;
    if (is_good) {
        actor->is_first_start = false;
        atomic_store(&actor->status, ACTOR_RUNNING);
        system_lock(actor->system);
        while (!list_is_empty(&actor->starters)) {
            completion_finish(LIST_FIRST(&actor->starters, struct completion, node), OK,
                              bytes_ref(actor->id));
        }
        system_unlock(actor->system);
        return;
    }
    if (!actor->is_first_start) {
        system_lock(actor->system);
        completion_fail_all(&actor->starters, ERR_GUEST, reason);
        system_unlock(actor->system);
        lifecycle_crashed(actor, reason);
        return;
    }
    // Whoever started it is told when it is gone, and may then use its id again.
    actor->start_error = bytes_copy(slice_text(reason));
    begin_stop_because(actor, "init failed");
}

// ---- crashing and restarting
// -----------------------------------------------------------------------

static void back_off_over(struct sched_timer *timer) {
    struct actor *actor = CONTAINER_OF(timer, struct actor, timer);
    struct actor_system *system = actor->system;
    actor_control(actor, CONTROL_START);
    busy_drop(system, 1);
}

// Exponential from the second restart in a window on, with up to a quarter of jitter.
static uint64_t back_off_ns(struct actor *actor, const struct manifest_supervision *rules,
                            uint64_t restarts) {
    if (restarts == 0) {
        return 0;
    }
    uint64_t delay_ms = rules->backoff_initial_ms;
    for (uint64_t i = 1; i < restarts && delay_ms < rules->backoff_max_ms; i++) {
        delay_ms *= 2;
    }
    delay_ms = delay_ms < rules->backoff_max_ms ? delay_ms : rules->backoff_max_ms;
    uint8_t jitter = 0;
    env_random(actor->system->config.env, &jitter, sizeof jitter);
    return delay_ms * 1000000U + delay_ms * 1000000U / 4 * jitter / 256;
}

// A new instance has new children: those of the last one do not count against it.
static void forget_restarts(struct actor *actor) {
    system_lock(actor->system);
    actor->window = (struct restart_window){0};
    system_unlock(actor->system);
}

static void restart_after(struct actor *actor, uint64_t delay_ns) {
    const struct manifest *manifest = actor->program->manifest;
    forget_restarts(actor);
    atomic_store(&actor->status, ACTOR_RESTARTING);
    if (manifest->restart_state == MANIFEST_STATE_INITIAL) {
        lifecycle_set_state(actor, bytes_ref(actor->initial_state));
    }
    if (manifest->mailbox_on_restart == MANIFEST_MAILBOX_DROP) {
        mailbox_drain_all(actor, "the actor was restarted");
    }
    if (delay_ns == 0) {
        actor_control(actor, CONTROL_START);
        return;
    }
    busy_add(actor->system);
    actor->has_backoff = true;
    sched_timer_arm(actor->system->config.sched, &actor->timer,
                    env_monotonic_ns(actor->system->config.env) + delay_ns, back_off_over);
}

enum crash_decision { CRASH_RESTART, CRASH_REST, CRASH_STOP, CRASH_ESCALATE };

// Lock held. Counts the restart against the window of whoever rules the actor.
static enum crash_decision decide(struct actor *actor, uint64_t *restarts,
                                  const struct manifest_supervision **rules) {
    struct restart_window *window =
        actor->parent != NULL ? &actor->parent->window : &actor->own_window;
    *rules =
        actor->parent != NULL ? &actor->parent->program->manifest->supervision : &node_supervision;
    if (actor->program->manifest->restart == MANIFEST_TEMPORARY) {
        return actor->parent != NULL ? CRASH_REST : CRASH_STOP;
    }
    uint64_t now = env_monotonic_ns(actor->system->config.env);
    if (now - window->start_ns > (*rules)->window_ms * 1000000U) {
        window->start_ns = now;
        window->restarts = 0;
    }
    if (window->restarts >= (*rules)->max_restarts) {
        return actor->parent != NULL ? CRASH_ESCALATE : CRASH_STOP;
    }
    *restarts = window->restarts++;
    return CRASH_RESTART;
}

static bool record_crash(struct actor *actor, const char *reason, enum crash_decision decision) {
    static const char *const words[] = {"restart", "rest", "stop", "escalate"};
    struct buf data = {0};
    cbor_map(&data, 2);
    cbor_uint(&data, 1);
    cbor_text_z(&data, reason);
    cbor_uint(&data, 2);
    cbor_text_z(&data, words[decision]);
    bool good = record_lifecycle(actor, "crashed", buf_slice(&data));
    buf_release(&data);
    return good;
}

void lifecycle_crashed(struct actor *actor, const char *reason) {
    struct actor_system *system = actor->system;
    drop_instance(actor);
    if (actor->is_stopping || atomic_load(&actor->stop_requested)) {
        // The stop goes on by itself; the event says how the turn ended.
        (void)record_reason(actor, "aborted", reason);
        return;
    }
    uint64_t restarts = 0;
    const struct manifest_supervision *rules = NULL;
    struct message *notices = NULL;
    system_lock(system);
    enum crash_decision decision = decide(actor, &restarts, &rules);
    system_unlock(system);
    if (!record_crash(actor, reason, decision)) {
        decision = CRASH_STOP;
    }
    log_line(LOG_WARNING, "actor %s (%s) crashed: %s", actor_id(actor),
             actor->program->manifest->name, reason);
    struct buf told = {0};
    buf_format(&told, "the actor has crashed: %s", reason);
    system_lock(system);
    cut_relations(actor, buf_text(&told), &notices);
    notice_add(actor, MESSAGE_CHILD_ERROR, true, slice_text(reason), &notices);
    if (decision == CRASH_ESCALATE) {
        actor_control(actor->parent, CONTROL_CRASH);
        if (actor->parent->waiting != NULL) {
            completion_finish(actor->parent->waiting, ERR_STOPPING,
                              text_bytes("actor is stopping"));
        }
    }
    system_unlock(system);
    buf_release(&told);
    mailbox_push_all(notices);
    if (decision == CRASH_RESTART) {
        restart_after(actor, back_off_ns(actor, rules, restarts));
    } else if (decision == CRASH_REST) {
        atomic_store(&actor->status, ACTOR_CRASHED);
        system_lock(system);
        completion_fail_all(&actor->room_waiters, ERR_CLOSED, "the actor has crashed");
        system_unlock(system);
        mailbox_drain_all(actor, "the actor has crashed");
    } else {
        begin_stop_because(actor,
                           decision == CRASH_STOP ? "crashed" : "crashed past the restart limit");
    }
}

void lifecycle_exited(struct actor *actor) {
    // Nothing may enter the trapped instance; the next step begins the stop.
    assert(actor->wants_shutdown);
    drop_instance(actor);
}

// The parent asked for a fresh start (restart-child), which follows when the children are gone.
static void restart_now(struct actor *actor) {
    struct message *notices = NULL;
    cancel_backoff(actor);
    drop_instance(actor);
    forget_restarts(actor);
    system_lock(actor->system);
    cut_relations(actor, "the actor was restarted", &notices);
    system_unlock(actor->system);
    mailbox_push_all(notices);
    lifecycle_set_state(actor, bytes_ref(actor->initial_state));
    atomic_store(&actor->status, ACTOR_RESTARTING);
    if (!record_reason(actor, "restarted", "restart-child")) {
        lifecycle_started(actor, false, cannot_record);
        return;
    }
    actor->is_restart_asked = true;
    actor->deferred |= CONTROL_START;
}

// ---- at a turn boundary
// ----------------------------------------------------------------------------

static bool has_children(struct actor *actor) {
    system_lock(actor->system);
    bool has = actor->first_child != NULL;
    system_unlock(actor->system);
    return has;
}

// Whether an instance can be made now; if not, the actor is woken when it may be.
static bool may_start(struct actor *actor) {
    // The last instance's children stop first: the new one may want their ids.
    if (!actor->is_first_start && has_children(actor)) {
        return false;
    }
    // A restart that the parent waits for cannot wait for the parent.
    bool is_held =
        !actor->is_restart_asked && atomic_load_explicit(&actor->is_holding, memory_order_acquire);
    return !is_held && !gate_log_is_shut(actor) && turn_reserve(actor);
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
    bool wants_stop = (bits & CONTROL_STOP) != 0 || actor->wants_shutdown;
    if (wants_stop && !actor->is_stopping) {
        begin_stop(actor);
    }
    if (actor->is_stopping) {
        if (!has_children(actor)) {
            finish_stop(actor);
        }
        return false;
    }
    // One that is down already, or waits for its back-off, does not crash again.
    bool is_up = actor_status(actor) == ACTOR_RUNNING;
    if ((bits & CONTROL_CRASH) != 0 && is_up) {
        lifecycle_crashed(actor, "a child crashed past the restart limit");
        return true;
    }
    if ((bits & CONTROL_RESTART) != 0) {
        restart_now(actor);
        return true;
    }
    // A back-off may have ended while the parent's restart was under way.
    if ((bits & CONTROL_START) != 0 && !is_up && actor_status(actor) != ACTOR_CRASHED) {
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

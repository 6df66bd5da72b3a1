// SPDX-License-Identifier: Apache-2.0
// The system of actors: registry, activity count, completions, and what callers outside may do.
//
// Activity: every queue that was found empty by a push, and every control bit set, holds one token
// until its owner has worked it off. No tokens, nothing to do.
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "actor/internal.h"
#include "base/log.h"
#include "codec/utf8.h"

struct bytes *text_bytes(const char *format, ...) {
    char text[ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return bytes_copy(slice_text(text));
}

// ---- completions -------------------------------------------------------------------------------

void completion_finish(struct completion *completion, enum status status, struct bytes *value) {
    list_remove(&completion->node);
    if (!completion->is_armed) {
        bytes_unref(value);
        return;
    }
    completion->is_armed = false;
    completion->status = status;
    completion->value = value;
    completion->done(completion);
}

void completion_fail_all(struct list *list, enum status status, const char *text) {
    while (!list_is_empty(list)) {
        completion_finish(LIST_FIRST(list, struct completion, node), status,
                          text != NULL ? bytes_copy(slice_text(text)) : NULL);
    }
}

// ---- references and activity
// ---------------------------------------------------------------------

struct actor *actor_ref(struct actor *actor) {
    atomic_fetch_add_explicit(&actor->references, 1, memory_order_relaxed);
    return actor;
}

static void actor_free(struct actor *actor, bool has_workers) {
    if (has_workers) {
        // A stop that was asked for while the actor ended by itself may have armed it.
        lifecycle_live_free(actor);
    }
    free(actor->live);
    assert(actor->turn == NULL && actor->ready == NULL);
    assert(actor->held == NULL && list_is_empty(&actor->held_for_it) && actor->gate.list == NULL);
    mailbox_drain(actor, "the actor has ended");
    // A stop drops the instance.
    assert(actor->instance == NULL && actor->resting == NULL && actor->counted_bytes == 0);
    bytes_unref(actor->state);
    bytes_unref(actor->initial_state);
    bytes_unref(actor->exit_data);
    bytes_unref(actor->start_error);
    restart_release(actor);
    free(actor->stop_text);
    bytes_unref(actor->id);
    authority_unref(actor->system, actor->authority);
    program_unref(actor->program);
    free(actor->host_data);
    recovery_free(actor->recovery);
    secrets_free(actor->secrets);
    free(actor);
}

// Frees the dead whose task no worker is in any more; all of them when there are no workers.
static void bury(struct actor_system *system, bool has_workers) {
    system_lock(system);
    struct actor **link = &system->dead;
    struct actor *ready = NULL;
    while (*link != NULL) {
        struct actor *actor = *link;
        if (!has_workers || sched_task_idle(&actor->task)) {
            *link = actor->next_dead;
            actor->next_dead = ready;
            ready = actor;
        } else {
            link = &actor->next_dead;
        }
    }
    system_unlock(system);
    while (ready != NULL) {
        struct actor *next = ready->next_dead;
        actor_free(ready, has_workers);
        ready = next;
    }
}

// The last reference may go while a worker is still inside the actor's run: the memory is kept in
// the list of the dead until its task is idle. Never called with the lock held.
void actor_unref(struct actor *actor) {
    if (actor == NULL ||
        atomic_fetch_sub_explicit(&actor->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    struct actor_system *system = actor->system;
    system_lock(system);
    actor->next_dead = system->dead;
    system->dead = actor;
    system_unlock(system);
    bury(system, true);
}

void busy_add(struct actor_system *system) {
    // Relaxed: idleness is only judged when the count is 0 after a release in busy_drop.
    atomic_fetch_add_explicit(&system->busy, 1, memory_order_relaxed);
}

void busy_drop(struct actor_system *system, uint32_t count) {
    if (count == 0) {
        return;
    }
    int64_t before = atomic_fetch_sub(&system->busy, (int64_t)count);
    assert(before >= (int64_t)count);
    if (before == (int64_t)count && atomic_load(&system->idle_waiters) > 0) {
        system_lock(system);
        pthread_cond_broadcast(&system->changed);
        system_unlock(system);
    }
}

struct actor *actor_find(struct actor_system *system, struct slice id) {
    system_lock(system);
    struct actor *actor = map_get(&system->actors, id);
    if (actor != NULL) {
        actor_ref(actor);
    }
    system_unlock(system);
    return actor;
}

void actor_control(struct actor *actor, uint32_t bits) {
    if (atomic_fetch_or(&actor->control, bits) == 0) {
        busy_add(actor->system);
    }
    sched_wake(&actor->task);
}

// ---- the system
// ----------------------------------------------------------------------------------

enum status actor_system_new(const struct actor_config *config, struct actor_system **out,
                             struct error *error) {
    (void)error;
    struct actor_system *system = xcalloc(1, sizeof *system);
    system->config = *config;
    pthread_mutex_init(&system->lock, NULL);
    // Each value has its id for as long as it is found by it.
    system->actors.borrows_keys = true;
    system->channels.borrows_keys = true;
    system->requests.borrows_keys = true;
    pthread_mutex_init(&system->program_lock, NULL);
    pthread_mutex_init(&system->resting_lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&system->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_cond_init(&system->optimiser_wake, NULL);
    uint32_t stacks = sched_stack_limit(config->sched);
    system->parked_most = stacks - stacks / 4;
    system->node.references = 1;
    if (config->bound != NULL) {
        system->node.bound = *config->bound;
    } else {
        permissions_everything(&system->node.bound);
    }
    system->node.effective = system->node.bound;
    turn_caches_new(system);
    node_chain_init(system);
    loader_start(system);
    *out = system;
    return OK;
}

void actor_system_free(struct actor_system *system) {
    loader_stop(system);
    loader_release(system);
    optimiser_stop(system);
    bury(system, false);
    assert(system->dead == NULL);
    assert(system->actors.live_count == 0);
    assert(system->node.derived.live_count == 0);
    assert(system->requests.live_count == 0);
    program_cache_release(system);
    turn_caches_free(system);
    node_chain_release(system);
    map_release(&system->actors);
    map_release(&system->channels);
    map_release(&system->requests);
    map_release(&system->node.derived);
    pthread_cond_destroy(&system->changed);
    pthread_cond_destroy(&system->optimiser_wake);
    pthread_mutex_destroy(&system->lock);
    pthread_mutex_destroy(&system->program_lock);
    pthread_mutex_destroy(&system->resting_lock);
    free(system);
}

static struct timespec deadline_after(uint64_t timeout_ns) {
    uint64_t due = env_monotonic_ns(env_system());
    due = timeout_ns > INT64_MAX - due ? INT64_MAX : due + timeout_ns;
    return (struct timespec){.tv_sec = (time_t)(due / 1000000000U),
                             .tv_nsec = (long)(due % 1000000000U)};
}

bool actor_system_wait_idle(struct actor_system *system, uint64_t timeout_ns) {
    struct timespec due = deadline_after(timeout_ns);
    bool is_idle = true;
    atomic_fetch_add(&system->idle_waiters, 1);
    system_lock(system);
    while (atomic_load(&system->busy) != 0) {
        if (pthread_cond_timedwait(&system->changed, &system->lock, &due) == ETIMEDOUT) {
            is_idle = atomic_load(&system->busy) == 0;
            break;
        }
    }
    system_unlock(system);
    atomic_fetch_sub(&system->idle_waiters, 1);
    return is_idle;
}

void actor_system_request_stop(struct actor_system *system) {
    system_lock(system);
    for (struct actor *root = system->roots; root != NULL; root = root->next_sibling) {
        actor_request_stop(root, true, NULL);
    }
    system_unlock(system);
}

void actor_system_stop(struct actor_system *system) {
    actor_system_request_stop(system);
    system_lock(system);
    while (system->actors.live_count > 0) {
        pthread_cond_wait(&system->changed, &system->lock);
    }
    system_unlock(system);
    if (system->config.log != NULL) {
        // What waits for the log to be told to the world refers to what is about to be freed.
        chain_watches_end(system->config.log);
    }
    // Nobody is left to be woken.
    sched_timer_cancel(system->config.sched, &system->gate_timer);
    sched_timer_cancel(system->config.sched, &system->spare_timer);
    // Nobody waits for a compiler any more.
    wasm_compiler_cancel(system->config.compiler);
    optimiser_stop(system);
    // A load for an actor that is gone still refers to it, and so to the scheduler.
    loader_stop(system);
}

uint64_t actor_system_count(struct actor_system *system) {
    system_lock(system);
    uint64_t count = system->actors.live_count;
    system_unlock(system);
    return count;
}

// ---- callers outside
// -------------------------------------------------------------------------------

struct outside_wait {
    struct completion completion;
    struct actor_system *system;
    bool is_done;
};

static void outside_done(struct completion *completion) {
    struct outside_wait *wait = CONTAINER_OF(completion, struct outside_wait, completion);
    wait->is_done = true;
    pthread_cond_broadcast(&wait->system->changed);
}

static void outside_init(struct outside_wait *wait, struct actor_system *system) {
    *wait = (struct outside_wait){.system = system};
    wait->completion.is_armed = true;
    wait->completion.done = outside_done;
}

// Lock held. Waits, and gives the answer; an error's text goes into `error`.
static enum status outside_wait(struct outside_wait *wait, uint64_t timeout_ns,
                                struct bytes **value, struct error *error) {
    struct timespec due = deadline_after(timeout_ns);
    while (!wait->is_done) {
        if (pthread_cond_timedwait(&wait->system->changed, &wait->system->lock, &due) ==
                ETIMEDOUT &&
            !wait->is_done) {
            completion_finish(&wait->completion, ERR_TIMEOUT, text_bytes("no answer in time"));
        }
    }
    struct bytes *answer = wait->completion.value;
    if (wait->completion.status != OK) {
        struct slice text = bytes_slice(answer);
        error_set(error, wait->completion.status, "%.*s", (int)text.size,
                  text.size > 0 ? (const char *)text.data : "");
        bytes_unref(answer);
        return wait->completion.status;
    }
    *value = answer;
    return OK;
}

// What the world is told waits for what it depends on.
static enum status tell_when_durable(const struct outside_wait *wait, enum status status,
                                     struct bytes **value, struct error *error) {
    struct error cause = {0};
    if (wait_until_durable(wait->system, wait->completion.depends, &cause) == OK) {
        return status;
    }
    if (status == OK) {
        bytes_unref(*value);
        *value = NULL;
    }
    error_clear(error);
    return error_set(error, cause.code, "%s", cause.message);
}

// Makes a root actor of the program and waits until its init has returned. Writes its id.
static enum status start_program(struct actor_system *system, struct program *program,
                                 const char *chosen_id, uint64_t timeout_ns,
                                 char id[ACTOR_ID_BYTES], struct error *error) {
    struct actor *actor = NULL;
    enum status status = actor_create(system, NULL, program, chosen_id,
                                      program->manifest->initial_state, &actor, error);
    if (status != OK) {
        return status;
    }
    memcpy(id, actor_id(actor), actor->id->size + 1);
    struct outside_wait wait;
    outside_init(&wait, system);
    system_lock(system);
    if (actor_status(actor) != ACTOR_STOPPED) {
        list_append(&actor->starters, &wait.completion.node);
    } else {
        // The node was told to stop in between.
        completion_finish(&wait.completion, ERR_STOPPING, text_bytes("actor has stopped"));
    }
    system_unlock(system);
    actor_control(actor, CONTROL_START);
    struct bytes *nothing = NULL;
    system_lock(system);
    status = outside_wait(&wait, timeout_ns, &nothing, error);
    system_unlock(system);
    status = tell_when_durable(&wait, status, &nothing, error);
    bytes_unref(nothing);
    actor_unref(actor);
    return status;
}

static bool is_root(struct actor_system *system, const char *id) {
    struct actor *actor = actor_find(system, slice_text(id));
    bool is_it = false;
    if (actor != NULL) {
        system_lock(system);
        is_it = actor->parent == NULL;
        system_unlock(system);
    }
    actor_unref(actor);
    return is_it;
}

enum status actor_start_root(struct actor_system *system, const struct actor_start *start,
                             char id[ACTOR_ID_BYTES], struct error *error) {
    struct program_request request = {.manifest = slice_text(start->manifest),
                                      .has_state = start->has_state,
                                      .state = start->state};
    struct program *program = NULL;
    enum status status = program_load(system, &request, &program, error);
    if (status == OK) {
        const char *wanted = start->id != NULL ? start->id : program->manifest->id;
        if (start->may_attach && wanted != NULL && is_root(system, wanted)) {
            memcpy(id, wanted, strlen(wanted) + 1);
            log_line(LOG_INFO, "actor %s came back and goes on; it is not started again", id);
        } else {
            status = start_program(system, program, start->id, UINT64_MAX, id, error);
        }
        program_unref(program);
    }
    return status;
}

// Lock held. Asks the actor to stop for the caller's own reason, which it keeps.
static void request_stop_because(struct actor *actor, const char *reason) {
    if (!atomic_load(&actor->stop_requested)) {
        actor->stop_text = xstrdup(reason);
        actor_request_stop(actor, true, actor->stop_text);
    }
}

enum status actor_stop_from_outside(struct actor_system *system, const char *id, const char *reason,
                                    struct error *error) {
    reason = reason != NULL ? reason : "stopped from outside";
    if (strlen(reason) > ACTOR_REASON_MOST_BYTES || !utf8_is_valid(slice_text(reason))) {
        return error_set(error, ERR_INVALID, "the reason must be UTF-8 of at most %d bytes",
                         ACTOR_REASON_MOST_BYTES);
    }
    struct outside_wait wait;
    outside_init(&wait, system);
    system_lock(system);
    struct actor *actor = map_get(&system->actors, slice_text(id));
    if (actor == NULL) {
        system_unlock(system);
        return error_set(error, ERR_NOT_FOUND, "no such actor: %s", id);
    }
    list_append(&actor->stoppers, &wait.completion.node);
    request_stop_because(actor, reason);
    struct bytes *nothing = NULL;
    enum status status = outside_wait(&wait, UINT64_MAX, &nothing, error);
    system_unlock(system);
    bytes_unref(nothing);
    return status;
}

enum status actor_call_export(struct actor_system *system, const struct actor_call *call,
                              uint64_t timeout_ns, struct error *error) {
    assert(system->config.log == NULL);
    struct program *program = NULL;
    enum status status = program_of_call(system, call, &program, error);
    if (status != OK) {
        return status;
    }
    char id[ACTOR_ID_BYTES];
    status = start_program(system, program, NULL, timeout_ns, id, error);
    program_unref(program);
    // Nothing but a trap keeps such an actor from starting, as nothing is recorded.
    if (status == ERR_GUEST) {
        status = ERR_TRAP;
        if (error != NULL) {
            error->code = status;
        }
    }
    return status;
}

// Gives a reference to an actor that takes messages of the kind.
static enum status find_target(struct actor_system *system, const char *id, enum export_kind kind,
                               struct actor **out, struct error *error) {
    struct actor *actor = actor_find(system, slice_text(id));
    if (actor == NULL) {
        return error_set(error, ERR_NOT_FOUND, "no such actor: %s", id);
    }
    enum status status = OK;
    if (actor_status(actor) == ACTOR_CRASHED) {
        status = error_set(error, ERR_CLOSED, "actor %s has crashed", id);
    } else if (atomic_load(&actor->stop_requested)) {
        status = error_set(error, ERR_CLOSED, "actor %s is stopping", id);
    } else if (!actor->program->exports[kind].is_present) {
        status = error_set(error, ERR_UNSUPPORTED, "actor does not handle %s", export_name(kind));
    }
    if (status != OK) {
        actor_unref(actor);
        return status;
    }
    *out = actor;
    return OK;
}

// Finds the target and reserves room for the message. Gives a reference to the target.
static enum status prepare_from_outside(struct actor_system *system, const char *id,
                                        enum export_kind kind, struct slice body,
                                        struct actor **out, struct error *error) {
    struct actor *target = NULL;
    enum status status = find_target(system, id, kind, &target, error);
    if (status != OK) {
        return status;
    }
    status = mailbox_check_size(target, body, error);
    if (status == OK && !mailbox_reserve(target, body.size)) {
        actor_refused(target, ACTOR_REFUSED_MESSAGE);
        status = mailbox_full(target, ERR_BUSY, error);
    }
    if (status != OK) {
        actor_unref(target);
        return status;
    }
    *out = target;
    return OK;
}

enum status actor_send_from_outside(struct actor_system *system, const char *id, struct slice body,
                                    struct error *error) {
    struct actor *target = NULL;
    enum status status = prepare_from_outside(system, id, EXPORT_SEND, body, &target, error);
    if (status != OK) {
        return status;
    }
    struct message *message = message_new(MESSAGE_SEND, body);
    message->is_counted = true;
    message->sender = bytes_ref(system->node_chain.id);
    uint64_t position = 0;
    status = node_chain_send(system, target, body, &message->sender_seq, &position, error);
    if (status == OK) {
        mailbox_push(target, message);
        // Handed over, but not acknowledged before it would survive the node.
        status = node_chain_wait(system, target, position, error);
    } else {
        mailbox_consumed(target, message);
        message_free(message);
    }
    actor_unref(target);
    return status;
}

enum status actor_request_from_outside(struct actor_system *system, const char *id,
                                       struct slice body, uint64_t timeout_ns, struct bytes **reply,
                                       struct error *error) {
    struct actor *target = NULL;
    enum status status = prepare_from_outside(system, id, EXPORT_REQUEST, body, &target, error);
    if (status != OK) {
        return status;
    }
    struct outside_wait wait;
    outside_init(&wait, system);
    struct request *request = request_new(system, &wait.completion, NULL);
    struct message *message = message_new(MESSAGE_REQUEST, body);
    message->is_counted = true;
    atomic_fetch_add_explicit(&request->references, 1, memory_order_relaxed);
    message->request = request;
    busy_add(system);
    mailbox_push(target, message);
    system_lock(system);
    status = outside_wait(&wait, timeout_ns, reply, error);
    request_abandon(request);
    system_unlock(system);
    status = tell_when_durable(&wait, status, reply, error);
    busy_drop(system, 1);
    request_unref(request);
    actor_unref(target);
    return status;
}

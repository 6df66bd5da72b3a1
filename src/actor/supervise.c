// SPDX-License-Identifier: Apache-2.0
// What a supervisor may do with its children: spawn, resume, stop, restart, look.
#include <stdio.h>
#include <stdlib.h>

#include "actor/internal.h"

// One spawn or resume, from the call to the new actor's creation. Two owners: the caller's fiber
// while it waits, and whoever carries the work on.
struct spawn {
    _Atomic uint32_t references;
    struct load_job job;
    struct actor *parent;       // keeps; its id and permissions are what job.request borrows, too
    struct completion *waiter;  // lock; NULL once the caller stopped waiting
    struct bytes *manifest;     // what job.request borrows
    struct bytes *state;
    bool is_cached;
};

static void spawn_unref(struct spawn *spawn) {
    if (atomic_fetch_sub_explicit(&spawn->references, 1, memory_order_acq_rel) == 1) {
        if (spawn->job.program != NULL) {
            program_unref(spawn->job.program);
        }
        actor_unref(spawn->parent);
        bytes_unref(spawn->manifest);
        bytes_unref(spawn->state);
        free(spawn);
    }
}

// The program is there, or could not be loaded: makes the actor. On a worker or the loader thread.
static void spawn_create(struct spawn *spawn) {
    struct actor *parent = spawn->parent;
    struct actor_system *system = parent->system;
    struct actor *child = NULL;
    struct error error = spawn->job.error;
    if (spawn->job.program != NULL) {
        (void)actor_create(system, parent, spawn->job.program, NULL,
                           spawn->job.program->manifest->initial_state, &child, &error);
    }
    system_lock(system);
    struct completion *waiter = spawn->waiter;
    if (child == NULL && waiter != NULL) {
        completion_finish(waiter, error.code, text_bytes("%s", error.message));
    } else if (child != NULL && waiter != NULL && waiter->is_armed) {
        list_append(&child->starters, &waiter->node);
        actor_depend(child, actor_depends(parent));
        parent->waits_for = child;
    } else if (child != NULL) {
        // The instance that asked is gone, and the next one knows nothing of it.
        actor_request_stop(child, false, "nobody waits for it");
    }
    system_unlock(system);
    if (child != NULL) {
        actor_control(child, CONTROL_START);
        actor_unref(child);
    }
    spawn_unref(spawn);
}

static void loaded(struct load_job *job) {
    spawn_create(CONTAINER_OF(job, struct spawn, job));
}

void spawn_begin(struct spawn *spawn) {
    if (spawn->is_cached) {
        spawn_create(spawn);
    } else {
        spawn->job.done = loaded;
        loader_submit(spawn->parent->system, &spawn->job);
    }
}

void spawn_abandon(struct spawn *spawn) {
    spawn_unref(spawn);
}

static void try_cached(void *argument) {
    struct spawn *spawn = argument;
    spawn->is_cached =
        program_try_cached(spawn->parent->system, &spawn->job.request, &spawn->job.program);
}

// Whether another child may be begun to be made now: as many in a second as the limit says, also
// all at once.
static enum status take_spawn(struct actor *self, struct error *error) {
    enum { SECOND_NS = 1000000000 };
    uint64_t most = self->program->manifest->limits.spawns_per_second;
    uint64_t now = env_monotonic_ns(self->system->config.env);
    uint64_t due = self->spawn_due_ns > now ? self->spawn_due_ns : now;
    // Each child is paid for with its part of a second, at most one second in advance.
    uint64_t part = SECOND_NS / most > 0 ? SECOND_NS / most : 1;
    if (due + part - now > SECOND_NS) {
        return error_set(error, ERR_LIMIT,
                         "the actor has made as many children as it may in a second, %llu "
                         "(limits.spawns_per_second)",
                         (unsigned long long)most);
    }
    self->spawn_due_ns = due + part;
    return OK;
}

enum status actor_spawn_child(struct actor *self, struct slice manifest, enum actor_spawn_mode mode,
                              bool has_state, struct slice state, char id[ACTOR_ID_BYTES],
                              struct error *error) {
    const struct manifest *own = self->program->manifest;
    enum status status = notice_check_room(self, error);
    if (status == OK) {
        status = take_spawn(self, error);
    }
    if (status != OK) {
        return status;
    }
    struct spawn *spawn = xcalloc(1, sizeof *spawn);
    atomic_init(&spawn->references, 2);
    spawn->parent = actor_ref(self);
    spawn->manifest = bytes_copy(manifest);
    spawn->state = bytes_copy(state);
    spawn->job.request = (struct program_request){
        .manifest = bytes_slice(spawn->manifest),
        .folder = own->folder,
        .confined_to = own->confined_to != NULL ? own->confined_to : own->folder,
        .asker = {.actor = actor_id(self),
                  .permissions = actor_permissions(self),
                  .bound = &self->authority->bound,
                  .policy = &own->policy},
        .has_state = has_state,
        .is_exact_state = mode == ACTOR_RESUME,
        .state = bytes_slice(spawn->state)};
    turn_on_worker(self->turn, try_cached, spawn);
    struct message *effect = message_new((enum message_kind)EFFECT_SPAWN, slice_of(NULL, 0));
    effect->spawn = spawn;
    struct bytes *value = NULL;
    system_lock(self->system);
    spawn->waiter = turn_prepare_wait(self->turn);
    uint32_t leg = self->turn->leg;
    status = turn_wait(self->turn, NULL, effect, 0, ERR_TIMEOUT, &value, error);
    system_lock(self->system);
    spawn->waiter = NULL;
    // A wait that began has ended a leg, and the spawn was handed over with it, or abandoned.
    bool was_begun = self->turn->leg != leg;
    system_unlock(self->system);
    if (!was_begun) {
        spawn_unref(spawn);
    }
    spawn_unref(spawn);
    if (status == OK) {
        memcpy(id, value->data, value->size);
        id[value->size] = '\0';
        bytes_unref(value);
    }
    return status;
}

// Gives a reference to the caller's child.
static enum status find_child(struct actor *self, struct slice id, struct actor **out,
                              struct error *error) {
    struct actor *child = actor_find(self->system, id);
    bool is_own = false;
    if (child != NULL) {
        system_lock(self->system);
        is_own = child->parent == self;
        system_unlock(self->system);
    }
    if (!is_own) {
        actor_unref(child);
        return error_set(error, ERR_NOT_FOUND, "no such child: %.*s",
                         (int)(id.size < 200 ? id.size : 200), (const char *)id.data);
    }
    *out = child;
    return OK;
}

static enum status wait_for_child(struct actor *self, struct slice id, int effect_kind,
                                  struct error *error) {
    struct actor *child = NULL;
    enum status status = find_child(self, id, &child, error);
    if (status != OK) {
        return status;
    }
    struct message *effect = message_new((enum message_kind)effect_kind, slice_of(NULL, 0));
    effect->target = actor_ref(child);
    system_lock(self->system);
    if (actor_status(child) == ACTOR_STOPPED) {
        system_unlock(self->system);
        message_free(effect);
        actor_unref(child);
        return error_set(error, ERR_NOT_FOUND, "the child has stopped already");
    }
    struct completion *wait = turn_prepare_wait(self->turn);
    list_append(effect_kind == EFFECT_STOP_CHILD ? &child->stoppers : &child->starters,
                &wait->node);
    // A stop ends whatever the child waits for, this actor included: it closes no cycle.
    struct actor *edge = effect_kind == EFFECT_STOP_CHILD ? NULL : child;
    status = turn_wait(self->turn, edge, effect, 0, ERR_TIMEOUT, NULL, error);
    actor_unref(child);
    return status;
}

enum status actor_stop_child(struct actor *self, struct slice child, struct error *error) {
    return wait_for_child(self, child, EFFECT_STOP_CHILD, error);
}

enum status actor_restart_child(struct actor *self, struct slice child, struct error *error) {
    enum status status = notice_check_room(self, error);
    return status != OK ? status : wait_for_child(self, child, EFFECT_RESTART_CHILD, error);
}

enum status actor_children(struct actor *self, struct arena *arena, struct slice **ids,
                           uint32_t *count, struct error *error) {
    system_lock(self->system);
    *count = self->child_count;
    enum status status = id_list_new(arena, *count, ids, error);
    // The list has the newest first; people expect the oldest first.
    uint32_t at = *count;
    for (struct actor *child = self->first_child; status == OK && child != NULL;
         child = child->next_sibling) {
        status = id_list_set(arena, bytes_slice(child->id), &(*ids)[--at], error);
    }
    system_unlock(self->system);
    return status;
}

enum status actor_child_state(struct actor *self, struct slice id, struct bytes **state,
                              struct error *error) {
    struct actor *child = NULL;
    enum status status = find_child(self, id, &child, error);
    if (status != OK) {
        return status;
    }
    while (atomic_flag_test_and_set_explicit(&child->state_lock, memory_order_acquire)) {
    }
    *state = bytes_ref(child->state);
    actor_depend(self, actor_depends(child));
    atomic_flag_clear_explicit(&child->state_lock, memory_order_release);
    actor_unref(child);
    return OK;
}

struct chain_visit {
    struct actor *self;
    const char *id;
    actor_visit_fn visit;
    void *context;
    enum status status;
    struct error *error;
};

static void visit_on_worker(void *argument) {
    struct chain_visit *visit = argument;
    struct chain_log *log = visit->self->system->config.log;
    if (log == NULL) {
        return;
    }
    struct chain_reader *reader = NULL;
    visit->status = chain_reader_open(log, visit->id, 0, &reader, visit->error);
    if (visit->status != OK) {
        return;
    }
    struct record_range *range = &visit->self->turn->by_range;
    *range = (struct record_range){.count = 0};
    (void)snprintf(range->chain, sizeof range->chain, "%s", visit->id);
    struct chain_event event;
    bool more = true;
    while (visit->status == OK && more) {
        visit->status = chain_reader_next(reader, &event, &more, visit->error);
        if (visit->status != OK || !more) {
            break;
        }
        range->first = range->count == 0 ? event.seq : range->first;
        range->count++;
        memcpy(range->hash, event.hash, SHA256_BYTES);
        more = visit->visit(visit->context, &event);
    }
    chain_reader_close(reader);
}

enum status actor_visit_chain(struct actor *self, struct slice id, actor_visit_fn visit,
                              void *context, struct error *error) {
    struct actor *child = NULL;
    if (id.data != NULL) {
        enum status status = find_child(self, id, &child, error);
        if (status != OK) {
            return status;
        }
    }
    struct chain_visit job = {.self = self,
                              .id = actor_id(child != NULL ? child : self),
                              .visit = visit,
                              .context = context,
                              .status = OK,
                              .error = error};
    turn_on_worker(self->turn, visit_on_worker, &job);
    actor_depend(self, child != NULL ? actor_depends(child) : 0);
    actor_unref(child);
    return job.status;
}

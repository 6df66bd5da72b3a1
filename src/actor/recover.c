// SPDX-License-Identifier: Apache-2.0
// Making the actors of a world again (recovery.h). Start reading at actor_system_recover, at the
// end.
//
// Parents come before their children, because what a child may do follows from its parent. All stay
// still until everybody is there and has the mail, so that nobody misses anybody.
#include "actor/recover.h"

#include <stdlib.h>

#include "base/log.h"

// An actor of the world, and what became of it.
struct returning {
    struct world_actor *from;
    struct actor *actor;  // a reference; NULL: it did not come back
    const char *reason;   // why it is at its end; NULL: it is not
};

struct effort {
    struct actor_system *system;
    struct world *world;
    struct chain_at *at;
    struct map programs;  // manifest, component and origin -> program
    struct map failures;  // the same -> why it cannot be had (owned text)
    struct returning *all;
    size_t count;
    struct actor_recovered *out;
};

// ---- those that do not come back ---------------------------------------------------------------

// Why an actor that has no last event is at its end all the same; NULL: it is not.
static const char *why_ended(const struct world *world, const struct world_actor *from) {
    if (from->phase == WORLD_STARTING) {
        return "the node ended before init had returned";
    }
    if (from->phase == WORLD_ENDING) {
        return "crashed";
    }
    if (from->parent == NULL) {
        return NULL;
    }
    const struct world_actor *parent = world_find(world, slice_text(from->parent));
    bool has_parent = parent != NULL && parent->phase != WORLD_ABSENT &&
                      parent->began_at < from->began_at &&
                      (parent->cut_at == WORLD_NOWHERE || parent->cut_at < from->began_at);
    return has_parent ? NULL : "its parent ended";
}

// Records the end that the chain lacks.
static enum status end_actor(struct effort *effort, const struct world_actor *from,
                             const char *reason, struct error *error) {
    struct chain_log *log = effort->system->config.log;
    struct chain_head head;
    uint8_t nonce[CHAIN_NONCE_BYTES];
    bool found = false;
    enum status status = chain_head_open(log, from->id, &head, nonce, &found, error);
    if (status == OK && found && head.next_seq > 0) {
        struct buf data = {0};
        cbor_map(&data, 1);
        cbor_uint(&data, 1);
        cbor_text_z(&data, reason);
        status = chain_append(log, &head, "shutdown", buf_slice(&data), NULL, error);
        buf_release(&data);
    }
    log_line(LOG_WARNING, "actor %s did not come back: %s", from->id, reason);
    effort->out->ended++;
    return status;
}

// Those whose last event is missing: whether an actor is one depends on its parent, so parents are
// looked at first; the events are those of a stop, so children end first.
static enum status end_actors(struct effort *effort, struct error *error) {
    for (size_t i = 0; i < effort->count; i++) {
        struct returning *one = &effort->all[i];
        one->reason = why_ended(effort->world, one->from);
        if (one->reason != NULL) {
            world_cut(effort->world, one->from);
            one->from->phase = WORLD_ABSENT;
        }
    }
    enum status status = OK;
    for (size_t i = effort->count; i-- > 0 && status == OK;) {
        const struct returning *one = &effort->all[i];
        status = one->reason != NULL ? end_actor(effort, one->from, one->reason, error) : OK;
    }
    return status;
}

static void miss(struct effort *effort, const struct world_actor *from, const char *why) {
    log_line(LOG_ERROR, "actor %s cannot be brought back: %s", from->id, why);
    effort->out->missing++;
}

// ---- programs ----------------------------------------------------------------------------------

// Borrowed from the effort. NULL after it was reported.
static struct program *get_program(struct effort *effort, const struct world_actor *from) {
    uint8_t text[3 * SHA256_BYTES] = {0};
    memcpy(text, from->manifest, SHA256_BYTES);
    memcpy(text + SHA256_BYTES, from->component, SHA256_BYTES);
    memcpy(text + 2 * (size_t)SHA256_BYTES, from->origin, from->has_origin ? SHA256_BYTES : 0);
    struct slice key = slice_of(text, sizeof text);
    struct program *program = map_get(&effort->programs, key);
    const char *failure = program == NULL ? map_get(&effort->failures, key) : NULL;
    if (program == NULL && failure == NULL) {
        struct error error = {0};
        if (program_recover(effort->system, from->manifest, from->component,
                            from->has_origin ? from->origin : NULL, &program, &error) == OK) {
            (void)map_add(&effort->programs, key, program);
        } else {
            failure = xstrdup(error.message);
            (void)map_add(&effort->failures, key, (void *)(uintptr_t)failure);
        }
    }
    if (failure != NULL) {
        miss(effort, from, failure);
    }
    return program;
}

static void release_programs(struct effort *effort) {
    uint32_t cursor = 0;
    for (struct map_entry *at = map_next(&effort->programs, &cursor); at != NULL;
         at = map_next(&effort->programs, &cursor)) {
        program_unref(at->value);
    }
    map_release(&effort->programs);
    cursor = 0;
    for (struct map_entry *at = map_next(&effort->failures, &cursor); at != NULL;
         at = map_next(&effort->failures, &cursor)) {
        free(at->value);
    }
    map_release(&effort->failures);
}

// ---- one actor ---------------------------------------------------------------------------------

static enum status last_state(struct effort *effort, const struct world_actor *from,
                              const struct program *program, struct bytes *initial,
                              struct bytes **out, struct error *error) {
    // One that crashed and rests keeps its state for whoever looks.
    bool is_fresh =
        program->manifest->restart_state == MANIFEST_STATE_INITIAL && from->phase != WORLD_CRASHED;
    uint64_t position = is_fresh ? from->fresh_state_at : from->state_at;
    if (position == WORLD_NOWHERE) {
        *out = bytes_ref(initial);
        return OK;
    }
    return recover_state(effort->system, effort->at, position, 7, out, error);
}

static enum status take_exit(struct effort *effort, struct actor *actor,
                             const struct world_actor *from, struct error *error) {
    bool is_absent = true;
    enum status status = OK;
    if (from->has_exit) {
        actor->wants_shutdown = true;
        status = recover_body(effort->system, effort->at, &from->exit, &actor->exit_data,
                              &is_absent, error);
        actor->has_exit_data = !is_absent;
    }
    return status;
}

static enum actor_status status_of(const struct actor *actor, const struct world_actor *from) {
    if (from->phase == WORLD_CRASHED) {
        return ACTOR_CRASHED;
    }
    if (from->phase == WORLD_RESTARTING) {
        return ACTOR_RESTARTING;
    }
    bool calls_init = actor->program->manifest->recover == MANIFEST_RECOVER_INIT;
    return calls_init ? ACTOR_STARTING : ACTOR_RUNNING;
}

// What it does before anything else (recover_step.c).
static struct recovery *plan(struct effort *effort, const struct actor *actor,
                             const struct world_actor *from) {
    struct recovery *recovery = xcalloc(1, sizeof *recovery);
    recovery->was_waiting = from->wait.is_waiting;
    recovery->makes_instance =
        from->phase == WORLD_RUNNING &&
        manifest_find_handler(actor->program->manifest, HANDLER_WEBSOCKET_SERVER) != NULL;
    recovery->is_due = recovery->was_waiting || recovery->makes_instance ||
                       status_of(actor, from) == ACTOR_RESTARTING ||
                       status_of(actor, from) == ACTOR_STARTING || actor->wants_shutdown;
    if (recovery->was_waiting) {
        recovery->call = recover_call_name(effort->at, from->wait.position, from->wait.call);
    }
    return recovery;
}

// Whether the manifest asks for the instance as it was, and there was one between two turns.
static bool wants_instance(const struct actor *actor, const struct world_actor *from) {
    return actor->program->manifest->recover == MANIFEST_RECOVER_REPLAY &&
           from->phase == WORLD_RUNNING && !from->wait.is_waiting && !actor->wants_shutdown &&
           !actor->recovery->makes_instance;
}

// An instance that cannot be had is made anew when it is needed, as with "resume".
static void rebuild(struct actor *actor) {
    const struct actor_config *config = &actor->system->config;
    struct component_linked *linked = actor->program->linked;
    const struct actor_rebuild what = {.id = actor_id(actor),
                                       .component = component_linked_component(linked),
                                       .budget = &actor->budget};
    struct component_instance *instance = NULL;
    struct error error = {0};
    enum status status = config->rebuild(config->rebuild_context, &what, &instance, &error);
    if (status == OK && component_instance_has_host_handles(instance)) {
        component_instance_free(instance);
        status = error_set(&error, ERR_UNSUPPORTED,
                           "it held resources of the host, which ended with the node");
    }
    if (status == OK) {
        component_instance_rebind(instance, linked, actor);
        actor->instance = instance;
        (void)lifecycle_live(actor);  // as whoever makes an instance does
        // Relaxed: nobody else has the actor yet. Its chain says already what was refused then.
        atomic_store_explicit(&actor->budget.was_refused, false, memory_order_relaxed);
    } else {
        log_line(LOG_WARNING, "actor %s: its instance is not made again by a replay: %s",
                 actor_id(actor), error.message);
    }
}

static enum status make_actor(struct effort *effort, struct world_actor *from, struct actor *parent,
                              struct program *program, struct actor **out, struct error *error) {
    struct bytes *initial = NULL;
    struct bytes *state = NULL;
    struct actor *actor = NULL;
    enum status status =
        recover_state(effort->system, effort->at, from->pinned_at, 8, &initial, error);
    if (status == OK) {
        status = last_state(effort, from, program, initial, &state, error);
    }
    if (status == OK) {
        status = actor_create(effort->system, parent, program, from->id, initial, &actor, error);
    }
    if (status == OK) {
        lifecycle_set_state(actor, bytes_ref(state));
        actor->is_first_start = false;
        actor->has_begun = true;
        status = take_exit(effort, actor, from, error);
        // Nothing of it runs as long as it is starting and has no control bits.
        actor->recovery = plan(effort, actor, from);
        if (status == OK && wants_instance(actor, from)) {
            rebuild(actor);
        }
        *out = actor;
    }
    bytes_unref(initial);
    bytes_unref(state);
    return status;
}

static void bring_back(struct effort *effort, struct returning *one) {
    struct world_actor *from = one->from;
    struct actor *parent = NULL;
    if (from->parent != NULL) {
        parent = actor_find(effort->system, slice_text(from->parent));
        if (parent == NULL) {
            miss(effort, from, "its parent is missing");
            return;
        }
    }
    struct program *program = get_program(effort, from);
    struct error why = {0};
    if (program != NULL && make_actor(effort, from, parent, program, &one->actor, &why) != OK) {
        miss(effort, from, why.message);
    }
    actor_unref(parent);
}

// ---- all of them -------------------------------------------------------------------------------

static int by_beginning(const void *a, const void *b) {
    const struct returning *left = a;
    const struct returning *right = b;
    uint64_t x = left->from->began_at;
    uint64_t y = right->from->began_at;
    return x < y ? -1 : x > y ? 1 : 0;
}

static void collect(struct effort *effort) {
    struct map *actors = &effort->world->actors;
    effort->all = xcalloc(actors->live_count + 1U, sizeof *effort->all);
    uint32_t cursor = 0;
    for (struct map_entry *at = map_next(actors, &cursor); at != NULL;
         at = map_next(actors, &cursor)) {
        struct world_actor *actor = at->value;
        if (actor->phase != WORLD_ABSENT) {
            effort->all[effort->count++] = (struct returning){.from = actor};
        }
    }
    qsort(effort->all, effort->count, sizeof *effort->all, by_beginning);
}

// Whoever waited for a channel to be opened never heard of it.
static void settle_openings(struct effort *effort) {
    for (size_t i = 0; i < effort->count; i++) {
        world_channel_unconfirmed(effort->world, effort->all[i].from);
    }
}

// Tells the host what the actor had outside.
static void restore_outside(struct actor *actor, const struct world_actor *from) {
    struct slice *calls = NULL;
    struct actor_gone *gone = NULL;
    const uint64_t *counters = from->counters;
    struct actor_remains remains = {.server = counters[WORLD_SERVER],
                                    .handler = counters[WORLD_HANDLER],
                                    .route = counters[WORLD_ROUTE],
                                    .middleware = counters[WORLD_MIDDLEWARE],
                                    .connection = counters[WORLD_CONNECTION],
                                    .process = counters[WORLD_PROCESS]};
    for (const struct world_thing *at = from->things; at != NULL; at = at->next) {
        calls = xrealloc(calls, (remains.call_count + 1) * sizeof *calls);
        calls[remains.call_count++] = bytes_slice(at->call);
    }
    for (const struct world_link *at = from->links; at != NULL; at = at->next) {
        gone = xrealloc(gone, (remains.gone_count + 1) * sizeof *gone);
        gone[remains.gone_count++] = (struct actor_gone){.is_process = at->is_process,
                                                         .id = at->id,
                                                         .handler = at->handler,
                                                         .is_message = at->is_message};
    }
    remains.calls = calls;
    remains.gone = gone;
    if (actor->program->manifest->recover == MANIFEST_RECOVER_INIT) {
        remains = (struct actor_remains){.process = counters[WORLD_PROCESS]};  // init makes its own
    }
    actor->system->config.came_back(actor, &remains);
    free(calls);
    free(gone);
}

// Until then nobody takes a step, so what came in meanwhile, from those before and from outside,
// has woken nobody.
static void let_go(struct effort *effort) {
    for (size_t i = 0; i < effort->count; i++) {
        struct actor *actor = effort->all[i].actor;
        if (actor != NULL) {
            atomic_store(&actor->status, (uint32_t)status_of(actor, effort->all[i].from));
        }
    }
    for (size_t i = 0; i < effort->count; i++) {
        struct actor *actor = effort->all[i].actor;
        if (actor == NULL) {
            continue;
        }
        bool is_due = actor->recovery->is_due;
        atomic_store_explicit(&actor->recovery->is_ready, true, memory_order_release);
        if (is_due) {
            // So that the system is not idle before; there is nothing else in it.
            actor_control(actor, CONTROL_CHILD);
        } else {
            sched_wake(&actor->task);
        }
        actor_unref(actor);
    }
}

enum status actor_system_recover(struct actor_system *system, struct world *world,
                                 struct actor_recovered *out, struct error *error) {
    *out = (struct actor_recovered){0};
    struct effort effort = {
        .system = system, .world = world, .at = chain_at_open(system->config.log), .out = out};
    collect(&effort);
    settle_openings(&effort);
    enum status status = end_actors(&effort, error);
    for (size_t i = 0; i < effort.count && status == OK; i++) {
        if (effort.all[i].reason == NULL) {
            bring_back(&effort, &effort.all[i]);
        }
        out->actors += effort.all[i].actor != NULL;
    }
    for (size_t i = 0; i < effort.count; i++) {
        if (effort.all[i].actor != NULL) {
            uint64_t count = recover_mailbox(effort.all[i].actor, effort.all[i].from, effort.at);
            out->messages += count;
            if (system->config.came_back != NULL && effort.all[i].from->phase == WORLD_RUNNING) {
                restore_outside(effort.all[i].actor, effort.all[i].from);
            }
        }
    }
    let_go(&effort);
    release_programs(&effort);
    chain_at_close(effort.at);
    free(effort.all);
    return status;
}

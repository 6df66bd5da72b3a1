// SPDX-License-Identifier: Apache-2.0
// Turns: how a worker runs an actor. Start reading at actor_run, at the end.
//
// A turn is one call of one export on a fiber. The fiber hands control back to the worker when the
// guest returned or trapped, when a host call must wait, or when it wants something done on the
// worker's stack. Only the worker appends to the chain and hands effects over, in this order.
#include <assert.h>
#include <stdlib.h>

#include "actor/internal.h"
#include "base/log.h"

enum { BATCH_STEPS = 64 };  // unless actor_config.steps_in_a_row says otherwise

// Beyond the guest's own limits: views of arguments and results of one call.
#define ARENA_EXTRA_BYTES (1024U * 1024U)

// ---- turns that wait to be used
// --------------------------------------------------------------------------------------

// What a worker keeps for itself: taking and giving needs no lock.
struct turn_cache {
    _Alignas(64) struct turn *first;
    uint32_t count;
};

enum { CACHED_TURNS_MOST = 256 };

void turn_caches_new(struct actor_system *system) {
    uint32_t slots = sched_slot_count(system->config.sched);
    size_t bytes = slots * sizeof(struct turn_cache);
    system->turn_slots = slots;
    if (system->config.steps_in_a_row == 0) {
        system->config.steps_in_a_row = BATCH_STEPS;
    }
    system->turns = aligned_alloc(_Alignof(struct turn_cache), bytes);
    if (system->turns == NULL) {
        fatal("no memory for %u workers", slots);
    }
    memset(system->turns, 0, bytes);
}

static struct turn *turn_take(struct actor_system *system) {
    struct turn_cache *cache = &system->turns[sched_slot(system->config.sched)];
    struct turn *turn = cache->first;
    if (turn != NULL) {
        cache->first = turn->next;
        cache->count--;
        return turn;
    }
    turn = xcalloc(1, sizeof *turn);
    arena_init(&turn->arena, 0);
    return turn;
}

static void turn_free(struct turn *turn) {
    arena_release(&turn->arena);
    buf_release(&turn->calls);
    buf_release(&turn->event);
    buf_release(&turn->call_secrets);
    buf_release(&turn->event_secrets);
    buf_release(&turn->call_large);
    buf_release(&turn->denials);
    free(turn);
}

static void release_big(struct buf *buf) {
    if (buf->capacity > 64U * 1024U) {
        buf_release(buf);
    }
}

static void turn_give(struct actor_system *system, struct turn *turn) {
    struct turn_cache *cache = &system->turns[sched_slot(system->config.sched)];
    if (turn->fiber != NULL) {
        sched_fiber_free(turn->fiber);
        turn->fiber = NULL;
    }
    if (cache->count >= CACHED_TURNS_MOST) {
        turn_free(turn);
        return;
    }
    release_big(&turn->calls);
    release_big(&turn->event);
    release_big(&turn->call_secrets);
    release_big(&turn->event_secrets);
    release_big(&turn->call_large);
    release_big(&turn->denials);
    turn->next = cache->first;
    cache->first = turn;
    cache->count++;
}

void turn_caches_free(struct actor_system *system) {
    for (uint32_t i = 0; i < system->turn_slots; i++) {
        while (system->turns[i].first != NULL) {
            struct turn *turn = system->turns[i].first;
            system->turns[i].first = turn->next;
            turn_free(turn);
        }
    }
    free(system->turns);
}

// ---- on the fiber
// ------------------------------------------------------------------------------------

static void instantiate(struct turn *turn) {
    struct actor *actor = turn->actor;
    // Servers and the like outlive an instance that was dropped for the while.
    bool makes = !turn->is_waking || actor->has_servers_due;
    actor_instance_made_fn made = makes ? actor->system->config.instance_made : NULL;
    actor->has_servers_due = false;
    turn->outcome = component_instantiate(actor->program->linked, actor, &actor->budget,
                                          &actor->instance, &turn->error);
    // What exists for one call alone serves nobody.
    if (turn->outcome == COMPONENT_DONE && made != NULL && actor->program->call == NULL &&
        made(actor, &turn->error) != OK) {
        turn->outcome = COMPONENT_TRAPPED;
    }
}

static void turn_main(void *argument) {
    struct turn *turn = argument;
    struct actor *actor = turn->actor;
    if (turn->is_instantiation) {
        instantiate(turn);
    } else {
        const struct program *program = actor->program;
        const struct value *args = program->call != NULL ? program->call->args : turn->args;
        turn->outcome = component_call(actor->instance, program->exports[turn->kind].index, args,
                                       &turn->result, &turn->arena, &turn->error);
    }
    turn->phase = TURN_FINISHED;
}

void turn_on_worker(struct turn *turn, void (*fn)(void *), void *argument) {
    turn->on_worker = fn;
    turn->on_worker_argument = argument;
    turn->phase = TURN_ON_WORKER;
    sched_fiber_park(turn->fiber);
}

void turn_effect(struct turn *turn, struct message *effect) {
    effect->sender = bytes_ref(turn->actor->id);
    effect->sender_index = turn->call_count;
    effect->next = NULL;
    *turn->outbox_end = effect;
    turn->outbox_end = &effect->next;
}

// ---- on the worker
// -----------------------------------------------------------------------------------

static void timer_fired(struct sched_timer *timer) {
    struct turn *turn = CONTAINER_OF(timer, struct turn, timer);
    struct actor_system *system = turn->actor->system;
    system_lock(system);
    completion_finish(&turn->wait, turn->timer_status,
                      turn->timer_status == OK ? NULL : text_bytes("timed out"));
    system_unlock(system);
}

static void turn_end(struct turn *turn) {
    struct actor *actor = turn->actor;
    // Whoever stops the actor may be looking at the turn, under the lock, to interrupt it.
    // Sequentially consistent with actor_request_stop: whoever is not seen here sees no turn.
    atomic_store(&actor->current, NULL);
    if (actor_is_ending(actor) || actor->is_init_watched) {
        system_lock(actor->system);
        system_unlock(actor->system);
    }
    if (turn->message != NULL) {
        mailbox_consumed(actor, turn->message);
        message_free(turn->message);
        turn->message = NULL;
    }
    bytes_unref(turn->refusal);
    turn->refusal = NULL;
    actor->turn = NULL;
    instance_bytes_look(actor);
    arena_reset(&turn->arena);
    assert(actor->spare == NULL);
    actor->spare = turn;
}

// At the end of a run: an actor that does nothing owns no stack.
static void give_spare(struct actor *actor) {
    if (actor->spare != NULL) {
        turn_give(actor->system, actor->spare);
        actor->spare = NULL;
    }
}

bool turn_reserve(struct actor *actor) {
    struct actor_system *system = actor->system;
    if (actor->spare != NULL) {
        return true;
    }
    uint64_t stack_bytes = actor->program->manifest->limits.stack_bytes;
    struct turn *turn = turn_take(system);
    struct error error = {0};
    if (sched_fiber_new(system->config.sched, stack_bytes, turn_main, turn, &turn->fiber, &error) !=
        OK) {
        turn_give(system, turn);
        gate_wait_for_stack(actor, error.message);
        return false;
    }
    struct sched_stack stack = sched_fiber_stack(turn->fiber);
    wasm_context_init(&turn->context, stack.low, stack.guard_low);
    turn->is_fresh = true;
    actor->spare = turn;
    return true;
}

// Gives the reserved turn, whose fiber will run turn_main.
static struct turn *take_reserved(struct actor *actor) {
    struct turn *turn = actor->spare;
    assert(turn != NULL);
    actor->spare = NULL;
    if (!turn->is_fresh) {
        sched_fiber_renew(turn->fiber, turn_main, turn);
    }
    turn->is_fresh = false;
    return turn;
}

// Whether the result broke a limit of the actor's; says which in turn->error.
static bool breaks_limit(struct turn *turn, const struct value *state) {
    uint64_t most = turn->actor->program->manifest->limits.state_bytes;
    if (state->which == 1 && state->items->count > most) {
        error_set(&turn->error, ERR_LIMIT,
                  "state of %u bytes is over the limit of %llu (limits.state_bytes)",
                  state->items->count, (unsigned long long)most);
        return true;
    }
    return false;
}

// What kind of error the trap was. One that the canonical ABI raises, outside of host functions, is
// for values that are not of their types.
static enum status trap_status(const struct turn *turn) {
    if (turn->error.code != ERR_TRAP) {
        return turn->error.code;
    }
    if (turn->context.trap == WASM_TRAP_DEADLINE) {
        return ERR_TIMEOUT;
    }
    return turn->context.trap == WASM_TRAP_HOST && turn->call_name == NULL ? ERR_INVALID : ERR_TRAP;
}

// Why the turn trapped, and which limit of the manifest it was, if it was one.
static void name_limit(const struct turn *turn, struct error *out) {
    const struct manifest_limits *limits = &turn->actor->program->manifest->limits;
    enum wasm_trap trap = turn->outcome == COMPONENT_TRAPPED ? turn->context.trap : WASM_TRAP_NONE;
    const char *why = turn->error.message;
    if (trap == WASM_TRAP_STACK_OVERFLOW) {
        error_set(out, ERR_TRAP, "%s (limits.stack_bytes %llu)", why,
                  (unsigned long long)limits->stack_bytes);
    } else if (trap == WASM_TRAP_DEADLINE && atomic_load(&turn->actor->is_init_overdue)) {
        error_set(out, ERR_TRAP, "%s (limits.init_timeout_ms %llu)", why,
                  (unsigned long long)limits->init_timeout_ms);
    } else if (trap == WASM_TRAP_DEADLINE && atomic_load(&turn->actor->stop_requested)) {
        error_set(out, ERR_TRAP, "%s (limits.stop_timeout_ms %llu)", why,
                  (unsigned long long)limits->stop_timeout_ms);
    } else if (trap == WASM_TRAP_DEADLINE) {
        error_set(out, ERR_TRAP, "%s (limits.turn_cpu_ms %llu)", why,
                  (unsigned long long)limits->turn_cpu_ms);
    } else {
        error_set(out, ERR_TRAP, "%s", why);
    }
}

static void finish_trapped(struct turn *turn) {
    struct actor *actor = turn->actor;
    struct error cause = {0};
    name_limit(turn, &cause);
    const char *reason = cause.message;
    enum status status = trap_status(turn);
    actor_limit_reached(actor, slice_text(reason));
    bool is_starting = turn->kind == EXPORT_INIT && !turn->is_waking;
    bool is_exit = turn->is_exit;
    if (record_leg(turn, LEG_TRAP, NULL)) {
        effects_hand_over(turn);
    } else {
        effects_drop(turn);
        is_exit = false;
    }
    if (turn->message != NULL) {
        settle_message(turn, LEG_TRAP, reason);
    }
    turn_end(turn);
    if (is_starting) {
        if (is_exit) {
            actor->wants_shutdown = false;
        }
        lifecycle_started(actor, status, reason);
    } else if (is_exit) {
        lifecycle_exited(actor);
    } else {
        lifecycle_crashed(actor, status, reason);
    }
}

static bool is_state(const struct actor *actor, const struct value *content) {
    return actor->state != NULL &&
           slice_equal(bytes_slice(actor->state), slice_of(content->bytes, content->count));
}

// What kind of error the export returned: that of a host call in the same turn whose text it passes
// on, else one of its own.
static enum status error_status(const struct turn *turn) {
    const struct error *failure = &turn->failure;
    const struct value *text = turn->result.items;
    bool is_passed_on =
        failure->code != OK && failure->message[0] != '\0' &&
        memmem(text->bytes, text->count, failure->message, strlen(failure->message)) != NULL;
    return is_passed_on ? failure->code : ERR_GUEST;
}

enum leg_outcome turn_judge(struct turn *turn, struct bytes **state) {
    *state = NULL;
    if (turn->result.which != 0) {
        return LEG_ERROR;
    }
    const struct value *option = &turn->result.items->items[0];
    if (breaks_limit(turn, option)) {
        return LEG_TRAP;
    }
    // The same state again is no new state: nothing to keep, hash or write.
    if (option->which == 1 && !is_state(turn->actor, option->items)) {
        *state = bytes_copy(slice_of(option->items->bytes, option->items->count));
    }
    return LEG_OK;
}

static void finish_returned(struct turn *turn) {
    struct actor *actor = turn->actor;
    struct bytes *state = NULL;
    enum leg_outcome outcome = turn_judge(turn, &state);
    if (outcome == LEG_TRAP) {
        finish_trapped(turn);
        return;
    }
    bool is_ok = outcome == LEG_OK;
    bool is_init = turn->kind == EXPORT_INIT;
    if (!record_leg(turn, outcome, state)) {
        bytes_unref(state);
        effects_drop(turn);
        if (turn->message != NULL) {
            settle_message(turn, LEG_TRAP, cannot_record);
        }
        turn_end(turn);
        if (is_init) {
            lifecycle_started(actor, ERR_IO, cannot_record);
        } else {
            lifecycle_crashed(actor, ERR_IO, cannot_record);
        }
        return;
    }
    if (state != NULL) {
        lifecycle_set_state(actor, state);
    }
    effects_hand_over(turn);
    if (turn->message != NULL) {
        settle_message(turn, outcome, NULL);
    }
    if (is_init) {
        struct buf text = {0};
        if (!is_ok) {
            buf_append(&text, turn->result.items->bytes, turn->result.items->count);
        }
        enum status status = is_ok ? OK : error_status(turn);
        turn_end(turn);
        lifecycle_started(actor, status, buf_text(&text));
        buf_release(&text);
        return;
    }
    if (!is_ok) {
        struct bytes *text =
            bytes_copy(slice_of(turn->result.items->bytes, turn->result.items->count));
        enum status status = error_status(turn);
        turn_end(turn);
        if (actor->program->manifest->on_error == MANIFEST_ON_ERROR_CRASH) {
            struct buf reason = {0};
            buf_append_slice(&reason, bytes_slice(text));
            lifecycle_crashed(actor, status, buf_text(&reason));
            buf_release(&reason);
        } else {
            notice_error(actor, status, bytes_slice(text));
        }
        bytes_unref(text);
        return;
    }
    turn_end(turn);
}

// The one turn of an actor that exists for one call (actor_call_export).
static void finish_call(struct turn *turn) {
    struct actor *actor = turn->actor;
    const struct actor_call *call = actor->program->call;
    call->returned(call->context, &turn->result);
    effects_hand_over(turn);
    turn_end(turn);
    lifecycle_started(actor, OK, NULL);
}

static void finish_instantiation(struct turn *turn) {
    struct actor *actor = turn->actor;
    log_line(LOG_DEBUG, "actor %s: an instance with %s code", actor_id(actor),
             wasm_tier_text(component_instance_tier(actor->instance)));
    bool is_waking = turn->is_waking;
    bool recorded = record_leg(turn, LEG_OK, NULL);
    if (recorded) {
        effects_hand_over(turn);
    } else {
        effects_drop(turn);
    }
    turn_end(turn);
    if (recorded) {
        resting_begin(actor);
    }
    if (recorded && !is_waking) {
        turn_init(actor);
    } else if (!recorded && is_waking) {
        lifecycle_crashed(actor, ERR_IO, cannot_record);
    } else if (!recorded) {
        lifecycle_started(actor, ERR_IO, cannot_record);
    }
}

// Runs the fiber until the turn ends or must wait.
static void turn_go(struct turn *turn) {
    for (;;) {
        turn->phase = TURN_RUNNING;
        wasm_context_bind(&turn->context);
        bool is_finished = sched_fiber_resume(turn->fiber);
        bool is_job = !is_finished && turn->phase == TURN_ON_WORKER;
        if (is_job) {
            // Still bound: what runs here may find that the host call must trap.
            turn->on_worker(turn->on_worker_argument);
        }
        wasm_context_unbind(&turn->context);
        if (is_finished) {
            break;
        }
        if (is_job) {
            continue;
        }
        assert(turn->phase == TURN_WAITING);
        request_deliver_current(turn->actor);
        if (record_leg(turn, LEG_WAITING, NULL)) {
            effects_hand_over(turn);
        } else {
            effects_drop(turn);
            system_lock(turn->actor->system);
            completion_finish(&turn->wait, ERR_IO, text_bytes("%s", cannot_record));
            system_unlock(turn->actor->system);
        }
        turn->leg++;
        if (turn->kind == EXPORT_INIT && turn->actor->program->call == NULL) {
            lifecycle_watch_init(turn->actor);
        }
        if (turn->timer_ns != 0 && !atomic_load_explicit(&turn->wait_done, memory_order_acquire)) {
            struct actor_system *system = turn->actor->system;
            uint64_t due = env_monotonic_ns(system->config.env) + turn->timer_ns;
            sched_timer_arm(system->config.sched, &turn->timer, due, timer_fired);
        }
        return;
    }
    if (turn->outcome == COMPONENT_TRAPPED) {
        finish_trapped(turn);
    } else if (turn->is_instantiation) {
        finish_instantiation(turn);
    } else if (turn->actor->program->call != NULL) {
        finish_call(turn);
    } else {
        finish_returned(turn);
    }
}

static void turn_resume(struct turn *turn) {
    if (turn->timer_ns != 0) {
        sched_timer_cancel(turn->actor->system->config.sched, &turn->timer);
        turn->timer_ns = 0;
    }
    turn_go(turn);
}

static struct value text_value(struct slice text) {
    return (struct value){.bytes = text.data, .count = (uint32_t)text.size};
}

struct value turn_option(struct turn *turn, size_t slot, bool is_some, struct slice content) {
    turn->option_item[slot] = text_value(content);
    return (struct value){.items = is_some ? &turn->option_item[slot] : NULL,
                          .which = is_some ? 1 : 0};
}

// wit-error-type: the cases that errors of ours map to.
enum error_type {
    ERROR_OPERATION_TIMEOUT,
    ERROR_CHANNEL_CLOSED,
    ERROR_SHUTTING_DOWN,
    ERROR_FUNCTION_NOT_FOUND,
    ERROR_TYPE_MISMATCH,
    ERROR_OTHER,  // internal
};

static enum error_type error_type_of(enum status status) {
    switch ((int)status) {
        case ERR_TIMEOUT:
            return ERROR_OPERATION_TIMEOUT;
        case ERR_CLOSED:
            return ERROR_CHANNEL_CLOSED;
        case ERR_STOPPING:
            return ERROR_SHUTTING_DOWN;
        case ERR_UNSUPPORTED:
            return ERROR_FUNCTION_NOT_FOUND;
        case ERR_INVALID:
            return ERROR_TYPE_MISMATCH;
        default:
            return ERROR_OTHER;
    }
}

// Fills args: the state, and the tuple of the export's parameters.
static void fill_arguments(struct turn *turn) {
    struct actor *actor = turn->actor;
    const struct message *message = turn->message;
    turn->args[0] = turn_option(turn, 0, actor->state != NULL, bytes_slice(actor->state));
    turn->args[1] = (struct value){.items = turn->tuple, .count = 1};
    bool is_old = actor->program->exports[turn->kind].is_old_shape;
    struct value *tuple = turn->tuple;
    switch (turn->kind) {
        case EXPORT_INIT:
            tuple[0] = text_value(bytes_slice(actor->id));
            break;
        case EXPORT_SEND:
            tuple[0] = text_value(message_body(message));
            break;
        case EXPORT_REQUEST:
            tuple[is_old ? 0 : 1] = text_value(message_body(message));
            if (!is_old) {
                tuple[0] = text_value(slice_text(message->request->id));
            }
            break;
        case EXPORT_CHANNEL_OPEN:
            tuple[is_old ? 0 : 1] = text_value(message_body(message));
            if (!is_old) {
                tuple[0] = text_value(slice_text(message->channel->id));
            }
            break;
        case EXPORT_CHANNEL_MESSAGE:
            tuple[0] = text_value(slice_text(message->channel->id));
            tuple[1] = text_value(message_body(message));
            break;
        case EXPORT_CHANNEL_CLOSE:
            tuple[0] = text_value(slice_text(message->channel->id));
            break;
        case EXPORT_CHILD_ERROR:
            // wit-actor-error: {error-type, data: some(text)}
            turn->record[0] = (struct value){.which = error_type_of((enum status)message->status)};
            turn->record[1] = turn_option(turn, 1, true, message_body(message));
            tuple[0] = text_value(bytes_slice(message->child));
            tuple[1] = (struct value){.items = turn->record, .count = 2};
            break;
        case EXPORT_CHILD_EXIT:
            tuple[0] = text_value(bytes_slice(message->child));
            tuple[1] = turn_option(turn, 1, message->has_body, message_body(message));
            break;
        case EXPORT_CHILD_STOP:
            tuple[0] = text_value(bytes_slice(message->child));
            break;
        case EXPORT_HTTP_REQUEST:
        case EXPORT_HTTP_MIDDLEWARE:
        case EXPORT_WEBSOCKET_CONNECT:
        case EXPORT_WEBSOCKET_MESSAGE:
        case EXPORT_WEBSOCKET_DISCONNECT:
        case EXPORT_WEBSOCKET_EVENT:
        case EXPORT_PROCESS_STDOUT:
        case EXPORT_PROCESS_STDERR:
        case EXPORT_PROCESS_EXIT:
            memset(tuple, 0, sizeof turn->tuple);
            message->event->fill(message->event, &turn->arena, tuple);
            break;
        case EXPORT_COUNT:
            assert(0 && "not an export");
    }
}

uint64_t turn_values_most(const struct manifest_limits *limits) {
    return 4 * (limits->message_bytes + limits->state_bytes) + ARENA_EXTRA_BYTES;
}

// Begins and runs a turn. Takes the message.
static void turn_start(struct actor *actor, enum export_kind kind, bool is_instantiation,
                       struct message *message) {
    const struct manifest_limits *limits = &actor->program->manifest->limits;
    struct turn *turn = take_reserved(actor);
    turn->actor = actor;
    turn->kind = kind;
    turn->is_instantiation = is_instantiation;
    turn->is_waking = is_instantiation && actor_status(actor) == ACTOR_RUNNING;
    turn->message = message;
    turn->leg = 0;
    turn->event_calls = 0;
    turn->outbox = NULL;
    turn->outbox_end = &turn->outbox;
    turn->error.code = OK;
    turn->error.message[0] = '\0';
    turn->failure.code = OK;
    turn->call_name = NULL;
    turn->call_waited = false;
    turn->is_delivered = false;
    turn->is_exit = false;
    turn->call_count = 0;
    buf_clear(&turn->calls);
    turn->timer_ns = 0;
    turn->wait.is_armed = false;
    turn->wait.node.list = NULL;
    turn->arena.limit_bytes = turn_values_most(limits);
    wasm_context_begin(&turn->context, limits->turn_cpu_ms * 1000000U);
    actor->turn = turn;
    // Sequentially consistent with actor_request_stop: it sees the turn, or we see it.
    atomic_store(&actor->current, turn);
    if (actor_is_ending(actor)) {
        lifecycle_watch_stop(actor);
    }
    if (!is_instantiation && actor->program->call == NULL) {
        fill_arguments(turn);
    }
    turn_go(turn);
}

// Whether the message is to be handled. One that is not: what it was sent for is settled.
static bool accept_message(struct actor *actor, const struct message *message) {
    bool is_good = true;
    if (message->kind == MESSAGE_CHANNEL_OPEN ||
        (message->kind == MESSAGE_REQUEST &&
         // Relaxed: only its own turns make it grow.
         atomic_load_explicit(&actor->outstanding_count, memory_order_relaxed) >=
             actor->program->manifest->limits.requests)) {
        system_lock(actor->system);
        is_good = message->kind == MESSAGE_REQUEST ? request_check_room(message->request, actor)
                                                   : channel_deliver(message->channel, actor);
        system_unlock(actor->system);
    } else if (message->channel != NULL) {
        // An earlier instance's channels mean nothing to this one.
        is_good = message->channel->instance[message->side] == actor->instance_number;
    } else if (message->event != NULL) {
        is_good = message->event->instance == actor->instance_number;
    }
    return is_good;
}

static void start_message(struct actor *actor, struct message *message) {
    actor_depend(actor, message->depends);
    if (!accept_message(actor, message)) {
        mailbox_consumed(actor, message);
        settle_event(message, ERR_CLOSED, NULL, slice_text("the actor was restarted"));
        message_free(message);
        return;
    }
    turn_start(actor, (enum export_kind)message->kind, false, message);
}

void turn_instantiate(struct actor *actor) {
    (void)lifecycle_live(actor);
    turn_start(actor, EXPORT_INIT, true, NULL);
}

void turn_wake(struct actor *actor) {
    assert(actor->instance == NULL && actor_status(actor) == ACTOR_RUNNING);
    (void)lifecycle_live(actor);
    turn_start(actor, EXPORT_INIT, true, NULL);
}

void turn_init(struct actor *actor) {
    turn_start(actor, EXPORT_INIT, false, NULL);
}

// Whether a message may be taken now; asked only when there may be one.
static bool takes_messages(struct actor *actor) {
    return actor_status(actor) == ACTOR_RUNNING && !actor->is_stopping &&
           // Acquire: partner of stop_holding.
           !atomic_load_explicit(&actor->is_holding, memory_order_acquire) &&
           !mailbox_is_empty(actor) && !gate_log_is_shut(actor) && turn_reserve(actor);
}

// One part of the work: the rest of a parked turn, a step of the actor's life, or a message.
// False when there is nothing to do now.
static bool run_step(struct actor *actor) {
    struct turn *turn = actor->turn;
    if (atomic_load(&actor->stop_requested) && !mailbox_is_empty(actor)) {
        // Nothing more is delivered, and who waits for an answer need not wait for the turn's end.
        mailbox_drain_all(actor, "the actor is stopping");
    }
    if (turn != NULL) {
        if (!atomic_load_explicit(&turn->wait_done, memory_order_acquire) ||
            (!actor_is_ending(actor) && gate_log_is_shut(actor))) {
            return false;
        }
        turn_resume(turn);
        return true;
    }
    if (actor->recovery != NULL) {
        // Whatever it is woken for comes behind that.
        return recovery_step(actor);
    }
    if (lifecycle_step(actor)) {
        return true;
    }
    bool takes = takes_messages(actor);
    if (UNLIKELY(takes && actor->instance == NULL)) {
        turn_wake(actor);
        return true;
    }
    struct message *message = takes ? mailbox_next(actor) : NULL;
    if (message == NULL) {
        return false;
    }
    start_message(actor, message);
    return true;
}

// Whether nothing was left for a later run: what was taken holds tokens until then.
static bool has_nothing_left(const struct actor *actor) {
    return actor->turn == NULL && actor->ready == NULL && actor->deferred == 0;
}

enum sched_next actor_run(struct sched_task *task) {
    struct actor *actor = CONTAINER_OF(task, struct actor, task);
    uint32_t most = actor->system->config.steps_in_a_row;
    uint32_t steps = 0;
    while (steps < most && run_step(actor)) {
        steps++;
    }
    give_spare(actor);
    if (steps == most) {
        return SCHED_AGAIN;
    }
    if (has_nothing_left(actor)) {
        uint32_t tokens = actor->tokens;
        actor->tokens = 0;
        busy_drop(actor->system, tokens);
    }
    return SCHED_IDLE;
}

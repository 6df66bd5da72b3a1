// SPDX-License-Identifier: Apache-2.0
// Turns from the record. See rerun.h. Start reading at rerun_event, at the end.
//
// An actor without a system runs a turn on a fiber, as in turn.c. A host call takes its result from
// the leg at hand. Where the record says that it waited the fiber parks, which ends the leg; the
// next leg's event holds the result. A call that the record does not have parks too, for good.
#include "actor/rerun.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "actor/internal.h"
#include "codec/cbor.h"

enum {
    NOTE_BYTES = 512,
    LIMIT_SLACK = 20,  // a machine may be slower than the one that recorded
    STACK_FACTOR = 2,  // and a build may need larger frames
};

// One leg as recorded; slices are the event's.
struct leg {
    uint64_t number;
    struct slice source;  // empty: none
    struct slice params;  // empty: none
    struct slice calls;   // items, one behind the other
    uint64_t call_count;
    enum leg_outcome outcome;
    struct slice trap;  // of LEG_TRAP: its text
};

struct rerun {
    struct actor actor;
    struct turn turn;
    struct actor_system system;
    struct env env;
    struct sched *sched;
    struct record_source source;
    struct component *component;  // borrowed; NULL: loaded from its bytes
    struct wasm_budget *budget;
    bool is_other;
    bool has_turn;
    char id[ACTOR_ID_BYTES];
    struct arena params;   // of the turn in progress
    struct arena results;  // of the host call in progress
    // The leg at hand.
    struct leg leg;
    struct cbor_reader calls;
    uint64_t calls_left;
    bool is_trap_recorded;  // the turn ends as the record says
    bool is_parked;
    bool is_given_up;    // whatever it is at traps
    bool is_cut;         // the turn went where the record has nothing; `note` says how
    enum status failed;  // the record could not be read; `error` says why
    struct error error;
    char note[NOTE_BYTES];
    struct buf type, data;  // what was made
};

static struct rerun *rerun_of(struct actor *actor) {
    return CONTAINER_OF(actor, struct rerun, actor);
}

// ---- the record of a leg
// -------------------------------------------------------------------------

static enum status read_outcome(struct cbor_reader *reader, struct leg *leg, struct error *error) {
    uint64_t count = 0;
    uint64_t outcome = 0;
    enum status status = cbor_read_array(reader, &count, error);
    if (status == OK) {
        status = cbor_read_uint(reader, &outcome, error);
    }
    if (status == OK &&
        (outcome > LEG_WAITING || count > 2 || (outcome == LEG_TRAP && count != 2))) {
        return error_set(error, ERR_DAMAGED, "the event's outcome is none");
    }
    leg->outcome = (enum leg_outcome)outcome;
    if (status == OK && outcome == LEG_TRAP) {
        return cbor_read_text(reader, &leg->trap, error);
    }
    return status == OK && count == 2 ? cbor_skip(reader, error) : status;
}

static enum status read_calls(struct cbor_reader *reader, struct leg *leg, struct error *error) {
    enum status status = cbor_read_array(reader, &leg->call_count, error);
    const uint8_t *start = reader->next;
    for (uint64_t i = 0; status == OK && i < leg->call_count; i++) {
        status = cbor_skip(reader, error);
    }
    leg->calls = slice_of(start, (size_t)(reader->next - start));
    return status;
}

static enum status read_leg(struct slice data, struct leg *leg, struct error *error) {
    struct cbor_reader reader = cbor_reader_of(data);
    uint64_t pairs = 0;
    bool has_outcome = false;
    *leg = (struct leg){0};
    enum status status = cbor_read_map(&reader, &pairs, error);
    for (uint64_t i = 0; status == OK && i < pairs; i++) {
        uint64_t key = 0;
        status = cbor_read_uint(&reader, &key, error);
        if (status != OK) {
            break;
        }
        switch (key) {
            case 1:
                status = cbor_read_uint(&reader, &leg->number, error);
                break;
            case 2:
                status = cbor_read_item(&reader, &leg->source, error);
                break;
            case 3:
                status = cbor_read_item(&reader, &leg->params, error);
                break;
            case 5:
                status = read_calls(&reader, leg, error);
                break;
            case 6:
                has_outcome = true;
                status = read_outcome(&reader, leg, error);
                break;
            default:
                status = cbor_skip(&reader, error);
        }
    }
    if (status == OK && !has_outcome) {
        status = error_set(error, ERR_DAMAGED, "the event of a turn has no outcome");
    }
    return status;
}

// What stands in a leg for a host call.
struct recorded_call {
    bool is_result;     // of a call that waited: only `result`
    struct slice name;  // then empty
    struct slice result;
    bool has_result;
    bool waits;
};

// Takes the next one. False: the record cannot be read; rerun->failed.
static bool take_call(struct rerun *rerun, struct recorded_call *call) {
    struct cbor_reader *reader = &rerun->calls;
    uint64_t count = 0;
    *call = (struct recorded_call){0};
    enum status status = cbor_read_array(reader, &count, &rerun->error);
    call->is_result = status == OK && count < 2;
    if (status == OK && !call->is_result) {
        status = cbor_read_text(reader, &call->name, &rerun->error);
    }
    if (status == OK && !call->is_result) {
        status = cbor_skip(reader, &rerun->error);  // the arguments: they are made again
    }
    call->has_result = count == 1 || count == 3;
    if (status == OK && call->has_result) {
        status = cbor_read_item(reader, &call->result, &rerun->error);
    }
    if (status == OK && count > 3) {
        status = error_set(&rerun->error, ERR_DAMAGED, "a host call of %llu parts in the record",
                           (unsigned long long)count);
    }
    rerun->calls_left--;
    call->waits = !call->is_result && count == 2 && rerun->calls_left == 0 &&
                  rerun->leg.outcome == LEG_WAITING;
    rerun->failed = status;
    return status == OK;
}

// ---- traps that the record decides
// ---------------------------------------------------------------

static bool is_trap(const struct rerun *rerun, enum wasm_trap trap) {
    static const char prefix[] = "wasm trap: ";
    struct slice text = rerun->leg.trap;
    if (!slice_starts_with(text, prefix)) {
        return false;
    }
    text = slice_of(text.data + sizeof prefix - 1, text.size - (sizeof prefix - 1));
    return slice_starts_with(text, wasm_trap_text(trap));
}

static bool ends_in_trap(const struct rerun *rerun) {
    return rerun->calls_left == 0 && rerun->leg.outcome == LEG_TRAP;
}

// The recorded trap is one of time or stack: how far a guest gets depends on the machine, and past
// the last recorded call nothing that it did was seen.
static bool must_trap_now(const struct rerun *rerun) {
    return !rerun->is_other && ends_in_trap(rerun) &&
           (is_trap(rerun, WASM_TRAP_DEADLINE) || is_trap(rerun, WASM_TRAP_STACK_OVERFLOW));
}

// The recorded trap may be that of a host function, whose call has no record.
static bool is_trap_of_host(const struct rerun *rerun) {
    return ends_in_trap(rerun) &&
           (must_trap_now(rerun) || !slice_starts_with(rerun->leg.trap, "wasm trap: "));
}

static bool trap_as_recorded(struct rerun *rerun, struct component_call *call) {
    rerun->is_trap_recorded = true;
    return component_call_trap(call, "as recorded");
}

// ---- on the fiber
// --------------------------------------------------------------------------------

// False: the turn was given up meanwhile, and the caller traps.
static bool park(struct rerun *rerun) {
    rerun->turn.phase = TURN_WAITING;
    sched_fiber_park(rerun->turn.fiber);
    return !rerun->is_given_up;
}

static bool trap_given_up(struct component_call *call) {
    return component_call_trap(call, "the replay of the turn was given up");
}

// The guest does what the record does not have: the leg ends here, and the turn is given up. False.
PRINTF_LIKE(3, 4)
static bool cut(struct rerun *rerun, struct component_call *call, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(rerun->note, sizeof rerun->note, format, args);
    va_end(args);
    rerun->is_cut = true;
    bool goes_on = park(rerun);
    assert(!goes_on);
    (void)goes_on;
    return trap_given_up(call);
}

static bool fail(struct component_call *call) {
    return component_call_trap(call, "the record cannot be read");
}

// After the leg of its intent: parks until a leg has what became of it. False: trapped.
static bool wait_for_result(struct rerun *rerun, struct component_call *call, bool has_result,
                            struct recorded_call *recorded) {
    do {
        if (!park(rerun)) {
            return trap_given_up(call);
        }
    } while (rerun->calls_left == 0 && rerun->leg.outcome == LEG_WAITING);
    if (rerun->calls_left > 0) {
        if (!take_call(rerun, recorded)) {
            return fail(call);
        }
        if (!recorded->is_result) {
            return cut(rerun, call, "the record has a call of %.*s where the result of %s must be",
                       (int)recorded->name.size, (const char *)recorded->name.data,
                       rerun->turn.call_name);
        }
        return true;
    }
    if (ends_in_trap(rerun)) {
        return trap_as_recorded(rerun, call);
    }
    if (has_result || !rerun->turn.is_instantiation) {
        return cut(rerun, call, "the record has no result of %s", rerun->turn.call_name);
    }
    // It was no wait of the call, which gives nothing, but of what followed it.
    rerun->turn.call_name = NULL;
    return true;
}

// Finds the recorded call that this one is. False: trapped.
static bool find_call(struct rerun *rerun, struct component_call *call,
                      struct recorded_call *recorded) {
    const char *name = rerun->turn.call_name;
    bool has_result = component_call_type(call)->result != NULL;
    if (rerun->calls_left == 0 && is_trap_of_host(rerun)) {
        return trap_as_recorded(rerun, call);
    }
    if (rerun->calls_left == 0) {
        return cut(rerun, call, "the component calls %s, where the record has no further call",
                   name);
    }
    if (!take_call(rerun, recorded)) {
        return fail(call);
    }
    if (recorded->is_result || !slice_equal_text(recorded->name, name)) {
        return cut(
            rerun, call, "the component calls %s, where the record has %.*s", name,
            recorded->is_result ? 20 : (int)recorded->name.size,
            recorded->is_result ? "the result of a wait" : (const char *)recorded->name.data);
    }
    return !recorded->waits || wait_for_result(rerun, call, has_result, recorded);
}

// Events of a chain: they will be recorded as the range that they were.
static enum status find_range(void *context, const struct component_type *list,
                              const struct record_range_read *range, struct arena *arena,
                              struct value *out, struct error *error) {
    struct rerun *rerun = context;
    struct record_range *made = &rerun->turn.by_range;
    enum status status = rerun->source.range(rerun->source.context, list, range, arena, out, error);
    if (status == OK && range->chain.size < sizeof made->chain) {
        memcpy(made->chain, range->chain.data, range->chain.size);
        made->chain[range->chain.size] = '\0';
        made->first = range->first;
        made->count = range->count;
        memcpy(made->hash, range->hash, SHA256_BYTES);
        actor_record_by_range(&rerun->actor, out->items);
    }
    return status;
}

static enum status find_secret(void *context, const uint8_t commitment[SHA256_BYTES],
                               struct slice *item, struct error *error) {
    const struct rerun *rerun = context;
    return rerun->source.secret(rerun->source.context, commitment, item, error);
}

static enum status find_content(void *context, const uint8_t hash[SHA256_BYTES], uint64_t size,
                                struct slice *bytes, struct error *error) {
    const struct rerun *rerun = context;
    return rerun->source.content(rerun->source.context, hash, size, bytes, error);
}

static bool read_result(struct rerun *rerun, const struct recorded_call *recorded,
                        const struct component_type *type, struct value *result) {
    if (recorded->has_result != (type != NULL)) {
        rerun->failed = error_set(&rerun->error, ERR_DAMAGED, "the record of %s has %s result",
                                  rerun->turn.call_name, type != NULL ? "no" : "a");
        return false;
    }
    if (type == NULL) {
        return true;
    }
    struct cbor_reader reader = cbor_reader_of(recorded->result);
    const struct record_source source = {
        .secret = find_secret, .content = find_content, .range = find_range, .context = rerun};
    rerun->failed =
        record_read_value(&reader, type, &source, &rerun->results, result, &rerun->error);
    if (rerun->failed != OK) {
        error_context(&rerun->error, "the recorded result of %s", rerun->turn.call_name);
    }
    return rerun->failed == OK;
}

bool rerun_host_call(struct component_call *call, const struct value *args, struct value *result) {
    struct actor *self = component_call_owner(call);
    struct rerun *rerun = rerun_of(self);
    const struct component_func_type *type = component_call_type(call);
    struct recorded_call recorded;
    arena_reset(&rerun->results);
    actor_call_begin(self, component_call_data(call), type, args);
    if (!find_call(rerun, call, &recorded)) {
        return false;
    }
    if (rerun->turn.call_name == NULL) {
        return true;
    }
    if (!read_result(rerun, &recorded, type->result, result)) {
        return fail(call);
    }
    if (!actor_call_end(self, result) || must_trap_now(rerun)) {
        return trap_as_recorded(rerun, call);
    }
    return true;
}

// What the host does when an instance was made may wait, and fail: the legs say so.
static void instance_made(struct rerun *rerun) {
    struct turn *turn = &rerun->turn;
    bool goes_on = true;
    while (goes_on && rerun->calls_left == 0 && rerun->leg.outcome == LEG_WAITING) {
        goes_on = park(rerun);
    }
    if (!goes_on || ends_in_trap(rerun)) {
        rerun->is_trap_recorded = true;
        turn->outcome = COMPONENT_TRAPPED;
    }
}

static void rerun_main(void *argument) {
    struct rerun *rerun = argument;
    struct turn *turn = &rerun->turn;
    struct actor *actor = &rerun->actor;
    if (turn->is_instantiation) {
        turn->outcome = component_instantiate(actor->program->linked, actor, rerun->budget,
                                              &actor->instance, &turn->error);
        if (turn->outcome == COMPONENT_DONE) {
            instance_made(rerun);
        }
    } else {
        turn->outcome = component_call(actor->instance, actor->program->exports[turn->kind].index,
                                       turn->args, &turn->result, &turn->arena, &turn->error);
    }
    turn->phase = TURN_FINISHED;
}

// ---- turns
// ---------------------------------------------------------------------------------------

static void drop_instance(struct rerun *rerun) {
    struct actor *actor = &rerun->actor;
    if (actor->instance != NULL) {
        component_instance_free(actor->instance);
        actor->instance = NULL;
    }
}

static void end_turn(struct rerun *rerun) {
    struct turn *turn = &rerun->turn;
    if (!rerun->has_turn) {
        return;
    }
    rerun->has_turn = false;
    if (turn->fiber != NULL) {
        sched_fiber_free(turn->fiber);
        turn->fiber = NULL;
    }
    if (turn->message != NULL) {
        message_free(turn->message);
        turn->message = NULL;
    }
    arena_reset(&turn->arena);
    buf_clear(&turn->calls);
    turn->call_count = 0;
    buf_clear(&turn->call_secrets);
    buf_clear(&turn->call_large);
    buf_clear(&turn->event_secrets);
}

// Until the fiber ends or parks. True: it has ended.
static bool resume(struct turn *turn) {
    turn->phase = TURN_RUNNING;
    wasm_context_bind(&turn->context);
    bool is_finished = sched_fiber_resume(turn->fiber);
    wasm_context_unbind(&turn->context);
    return is_finished;
}

// In the middle of whatever it does: nothing may enter its instance again.
static void give_up_turn(struct rerun *rerun) {
    if (!rerun->has_turn) {
        return;
    }
    if (rerun->is_parked) {
        rerun->is_given_up = true;
        bool is_finished = resume(&rerun->turn);
        assert(is_finished);
        (void)is_finished;
        rerun->is_parked = false;
        rerun->is_given_up = false;
    }
    end_turn(rerun);
    drop_instance(rerun);
}

static bool find_export(struct slice type, enum export_kind *kind) {
    for (int i = 0; i < EXPORT_COUNT; i++) {
        if (slice_equal_text(type, export_event_type((enum export_kind)i))) {
            *kind = (enum export_kind)i;
            return true;
        }
    }
    return false;
}

bool rerun_is_turn(struct slice type) {
    enum export_kind kind;
    return slice_equal_text(type, "instance-created") || find_export(type, &kind);
}

// The message, as far as the record tells of it.
static enum status read_source(struct rerun *rerun, struct error *error) {
    struct turn *turn = &rerun->turn;
    struct cbor_reader reader = cbor_reader_of(rerun->leg.source);
    uint64_t count = 0;
    uint64_t index = 0;
    struct slice sender;
    if (rerun->leg.source.size == 0) {
        return OK;
    }
    turn->message = message_new((enum message_kind)turn->kind, slice_of(NULL, 0));
    enum status status = cbor_read_array(&reader, &count, error);
    if (status == OK && count == 1) {
        return cbor_read_null(&reader, error);
    }
    if (status == OK && count != 3) {
        return error_set(error, ERR_DAMAGED, "the event's source has %llu parts",
                         (unsigned long long)count);
    }
    if (status == OK) {
        status = cbor_read_text(&reader, &sender, error);
    }
    if (status == OK) {
        turn->message->sender = bytes_copy(sender);
        status = cbor_read_uint(&reader, &turn->message->sender_seq, error);
    }
    if (status == OK) {
        status = cbor_read_uint(&reader, &index, error);
    }
    turn->message->sender_index = (uint32_t)index;
    return status;
}

static enum status read_params(struct rerun *rerun, struct error *error) {
    struct turn *turn = &rerun->turn;
    struct actor *actor = &rerun->actor;
    const struct component_func_type *type = actor->program->exports[turn->kind].type;
    turn->args[0] = turn_option(turn, 0, actor->state != NULL, bytes_slice(actor->state));
    turn->args[1] = (struct value){0};
    if (type->param_count < 2) {
        return OK;
    }
    struct cbor_reader reader = cbor_reader_of(rerun->leg.params);
    enum status status = record_read_value(&reader, type->params[1], &rerun->source, &rerun->params,
                                           &turn->args[1], error);
    return status == OK ? OK : error_context(error, "the recorded parameters");
}

static enum status begin_turn(struct rerun *rerun, enum export_kind kind, bool is_instantiation,
                              struct error *error) {
    struct actor *actor = &rerun->actor;
    struct turn *turn = &rerun->turn;
    const struct manifest_limits *limits = &actor->program->manifest->limits;
    rerun->has_turn = true;
    turn->kind = kind;
    turn->is_instantiation = is_instantiation;
    turn->leg = 0;
    turn->call_name = NULL;
    turn->call_waited = false;
    turn->error.code = OK;
    turn->error.message[0] = '\0';
    turn->arena.limit_bytes = turn_values_most(limits);
    arena_reset(&rerun->params);
    enum status status = sched_fiber_new(rerun->sched, STACK_FACTOR * limits->stack_bytes,
                                         rerun_main, rerun, &turn->fiber, error);
    if (status == OK) {
        status = read_source(rerun, error);
    }
    if (status == OK && !is_instantiation) {
        status = read_params(rerun, error);
    }
    if (status != OK) {
        give_up_turn(rerun);
        return status;
    }
    struct sched_stack stack = sched_fiber_stack(turn->fiber);
    uint64_t slack = rerun->is_other ? 1 : LIMIT_SLACK;
    wasm_context_init(&turn->context, stack.low, stack.guard_low);
    wasm_context_begin(&turn->context, slack * limits->turn_cpu_ms * 1000000U);
    return OK;
}

// Runs the leg. True: the turn has ended.
static bool go(struct rerun *rerun) {
    struct turn *turn = &rerun->turn;
    if (turn->leg == 0 && must_trap_now(rerun)) {
        rerun->is_trap_recorded = true;
        turn->outcome = COMPONENT_TRAPPED;
        sched_fiber_free(turn->fiber);
        turn->fiber = NULL;
        return true;
    }
    bool is_finished = resume(turn);
    rerun->is_parked = !is_finished;
    return is_finished;
}

static void finish_turn(struct rerun *rerun) {
    struct turn *turn = &rerun->turn;
    struct bytes *state = NULL;
    enum leg_outcome outcome = LEG_TRAP;
    if (rerun->is_trap_recorded) {
        struct slice text = rerun->leg.trap;
        (void)snprintf(turn->error.message, sizeof turn->error.message, "%.*s", (int)text.size,
                       (const char *)text.data);
    } else if (turn->outcome == COMPONENT_DONE) {
        outcome = turn->is_instantiation ? LEG_OK : turn_judge(turn, &state);
    }
    (void)record_leg(turn, outcome, state);
    if (state != NULL) {
        lifecycle_set_state(&rerun->actor, state);
    }
    end_turn(rerun);
    if (outcome == LEG_TRAP) {
        drop_instance(rerun);
    }
}

static void run_leg(struct rerun *rerun) {
    struct turn *turn = &rerun->turn;
    if (go(rerun)) {
        if (rerun->failed == OK) {
            finish_turn(rerun);
        }
    } else {
        (void)record_leg(turn, LEG_WAITING, NULL);
        turn->leg++;
    }
    if (rerun->failed != OK || rerun->is_cut) {
        give_up_turn(rerun);
    }
}

// Ready for the leg's first call, or for it to go on. False: nothing can be run; the note says why.
static bool is_in_place(struct rerun *rerun, enum export_kind kind, bool is_instantiation) {
    const char *why = NULL;
    if (rerun->leg.number > 0) {
        why = rerun->has_turn ? NULL : "the turn that goes on here in the record is over";
    } else if (!is_instantiation && !rerun->actor.program->exports[kind].is_present) {
        why = "the component has no such export";
    } else if (!is_instantiation && rerun->actor.instance == NULL) {
        why = "there is no instance: the last one has trapped, or was given up";
    }
    if (why != NULL) {
        (void)snprintf(rerun->note, sizeof rerun->note, "%s", why);
    }
    return why == NULL;
}

static enum status run_recorded(struct rerun *rerun, enum export_kind kind, bool is_instantiation,
                                struct error *error) {
    rerun->calls = cbor_reader_of(rerun->leg.calls);
    rerun->calls_left = rerun->leg.call_count;
    if (rerun->leg.number == 0) {
        give_up_turn(rerun);
        if (is_instantiation) {
            drop_instance(rerun);
        }
    }
    if (!is_in_place(rerun, kind, is_instantiation)) {
        return OK;
    }
    enum status status =
        rerun->leg.number == 0 ? begin_turn(rerun, kind, is_instantiation, error) : OK;
    if (status != OK) {
        return status;
    }
    if (rerun->turn.leg != rerun->leg.number) {
        return error_set(error, ERR_DAMAGED, "leg %llu stands where leg %u must",
                         (unsigned long long)rerun->leg.number, rerun->turn.leg);
    }
    run_leg(rerun);
    if (rerun->failed != OK) {
        return error_set(error, rerun->failed, "%s", rerun->error.message);
    }
    return OK;
}

// ---- what is no turn
// -----------------------------------------------------------------------------

// Whether the value of `key` in the map `data` is the text `word`.
static bool says(struct slice data, uint64_t wanted, const char *word) {
    struct cbor_reader reader = cbor_reader_of(data);
    uint64_t pairs = 0;
    bool is_found = false;
    if (cbor_read_map(&reader, &pairs, NULL) != OK) {
        return false;
    }
    for (uint64_t i = 0; i < pairs && !is_found; i++) {
        uint64_t key = 0;
        struct slice text;
        if (cbor_read_uint(&reader, &key, NULL) != OK) {
            return false;
        }
        if (key == wanted) {
            return cbor_read_text(&reader, &text, NULL) == OK && slice_equal_text(text, word);
        }
        if (cbor_skip(&reader, NULL) != OK) {
            return false;
        }
    }
    return false;
}

bool rerun_resets_state(const struct chain_event *recorded, bool restarts_anew) {
    bool is_end =
        slice_equal_text(recorded->type, "crashed") || slice_equal_text(recorded->type, "exited");
    if (is_end) {
        return restarts_anew && says(recorded->data, 2, "restart");
    }
    // A parent that asks gets a fresh start, whatever the manifest says.
    return slice_equal_text(recorded->type, "restarted") &&
           (restarts_anew || says(recorded->data, 1, "restart-child"));
}

bool rerun_ends_instance(struct slice type) {
    static const char *const types[] = {"aborted",    "crashed",   "exited",
                                        "hibernated", "restarted", "shutdown"};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (slice_equal_text(type, types[i])) {
            return true;
        }
    }
    return false;
}

static void follow(struct rerun *rerun, const struct chain_event *recorded) {
    struct actor *actor = &rerun->actor;
    if (actor->program == NULL) {
        return;
    }
    bool restarts_anew = actor->program->manifest->restart_state == MANIFEST_STATE_INITIAL;
    if (rerun_ends_instance(recorded->type)) {
        give_up_turn(rerun);
        drop_instance(rerun);
    }
    if (rerun_resets_state(recorded, restarts_anew)) {
        lifecycle_set_state(actor, bytes_ref(actor->initial_state));
    }
}

// ---- the whole
// -----------------------------------------------------------------------------------

// Takes what record_leg made.
static void made_event(struct actor *actor, const char *type, struct slice data) {
    struct rerun *rerun = rerun_of(actor);
    buf_clear(&rerun->type);
    buf_append_text(&rerun->type, type);
    buf_clear(&rerun->data);
    buf_append_slice(&rerun->data, data);
}

// So that large values stand by their hash.
static enum status keep_nothing(void *context, struct slice content,
                                const uint8_t hash[SHA256_BYTES], struct error *error) {
    (void)context;
    (void)content;
    (void)hash;
    (void)error;
    return OK;
}

enum status rerun_new(const struct rerun_config *config, struct rerun **out, struct error *error) {
    static const uint8_t no_key[SECRET_KEY_BYTES];
    struct rerun *rerun = xcalloc(1, sizeof *rerun);
    env_init_seeded(&rerun->env, 1, 0);
    struct sched_config sched = {.deterministic = true, .seed = 1, .env = &rerun->env};
    enum status status = sched_new(&sched, &rerun->sched, error);
    if (status != OK) {
        free(rerun);
        return status;
    }
    rerun->source = config->source;
    rerun->is_other = config->is_other;
    rerun->component = config->component;
    rerun->budget = config->budget != NULL ? config->budget : &rerun->actor.budget;
    arena_init(&rerun->params, UINT64_MAX);
    arena_init(&rerun->results, UINT64_MAX);
    arena_init(&rerun->turn.arena, 0);
    rerun->system.config = (struct actor_config){.env = &rerun->env,
                                                 .sched = rerun->sched,
                                                 .compiler = config->compiler,
                                                 .resolve = config->resolve,
                                                 .resolve_resource = config->resolve_resource,
                                                 .keep_value = keep_nothing,
                                                 .quiet = true};
    rerun->system.rerun = made_event;
    struct actor *actor = &rerun->actor;
    actor->system = &rerun->system;
    (void)snprintf(rerun->id, sizeof rerun->id, "%s", config->id);
    actor->id = bytes_copy_text(rerun->id);
    actor->head.id = rerun->id;
    actor->turn = &rerun->turn;
    rerun->turn.actor = actor;
    secrets_use(actor, no_key);
    *out = rerun;
    return OK;
}

static void end_run(struct rerun *rerun) {
    struct actor *actor = &rerun->actor;
    give_up_turn(rerun);
    drop_instance(rerun);
    if (actor->program != NULL) {
        program_unref(actor->program);
        actor->program = NULL;
    }
    bytes_unref(actor->initial_state);
    actor->initial_state = NULL;
    lifecycle_set_state(actor, NULL);
}

void rerun_free(struct rerun *rerun) {
    if (rerun == NULL) {
        return;
    }
    end_run(rerun);
    struct turn *turn = &rerun->turn;
    arena_release(&rerun->params);
    arena_release(&rerun->results);
    arena_release(&turn->arena);
    buf_release(&turn->calls);
    buf_release(&turn->event);
    buf_release(&turn->call_secrets);
    buf_release(&turn->call_large);
    buf_release(&turn->event_secrets);
    buf_release(&turn->denials);
    buf_release(&rerun->type);
    buf_release(&rerun->data);
    secrets_free(rerun->actor.secrets);
    bytes_unref(rerun->actor.id);
    sched_free(rerun->sched);
    free(rerun);
}

enum status rerun_begin(struct rerun *rerun, struct slice manifest, struct bytes *component,
                        bool has_state, struct slice state, struct error *error) {
    struct actor *actor = &rerun->actor;
    end_run(rerun);
    enum status status = program_of_parts(&rerun->system, manifest, component, rerun->component,
                                          &actor->program, error);
    if (status != OK) {
        return status;
    }
    actor->budget.memory_limit_bytes = actor->program->manifest->limits.memory_bytes;
    if (has_state) {
        actor->initial_state = bytes_copy(state);
        lifecycle_set_state(actor, bytes_ref(actor->initial_state));
    }
    return OK;
}

void rerun_go_on(struct rerun *rerun) {
    give_up_turn(rerun);
}

struct component_instance *rerun_take_instance(struct rerun *rerun) {
    struct component_instance *instance = rerun->has_turn ? NULL : rerun->actor.instance;
    if (instance != NULL) {
        rerun->actor.instance = NULL;
    }
    return instance;
}

void rerun_set_key(struct rerun *rerun, const uint8_t key[32]) {
    secrets_use(&rerun->actor, key);
}

bool rerun_state(const struct rerun *rerun, struct slice *state) {
    *state = bytes_slice(rerun->actor.state);
    return rerun->actor.state != NULL;
}

void rerun_set_state(struct rerun *rerun, struct slice state) {
    lifecycle_set_state(&rerun->actor, bytes_copy(state));
}

enum status rerun_event(struct rerun *rerun, const struct chain_event *recorded,
                        struct rerun_made *made, struct error *error) {
    enum export_kind kind = EXPORT_INIT;
    bool is_instantiation = slice_equal_text(recorded->type, "instance-created");
    bool is_turn = is_instantiation || find_export(recorded->type, &kind);
    *made =
        (struct rerun_made){.type = recorded->type, .data = recorded->data, .is_copied = !is_turn};
    if (!is_turn) {
        follow(rerun, recorded);
        return OK;
    }
    if (rerun->actor.program == NULL) {
        return error_set(error, ERR_DAMAGED, "no event before it names the program");
    }
    rerun->is_trap_recorded = false;
    rerun->is_cut = false;
    rerun->failed = OK;
    rerun->error = (struct error){0};
    rerun->note[0] = '\0';
    buf_clear(&rerun->data);
    enum status status = read_leg(recorded->data, &rerun->leg, error);
    if (status == OK) {
        status = run_recorded(rerun, kind, is_instantiation, error);
    }
    if (status != OK) {
        give_up_turn(rerun);
        return status;
    }
    made->data = buf_slice(&rerun->data);
    if (rerun->data.size > 0) {
        made->type = buf_slice(&rerun->type);
    }
    made->note = rerun->note[0] != '\0' ? rerun->note : NULL;
    return OK;
}

void rerun_renew_instance(struct rerun *rerun) {
    static const uint8_t nothing_called[] = {0xa1, 0x06, 0x81, 0x00};  // {6: [0]}
    const struct chain_event event = {.type = slice_text("instance-created"),
                                      .data = slice_of(nothing_called, sizeof nothing_called)};
    struct rerun_made made;
    if (rerun->actor.instance == NULL && rerun_event(rerun, &event, &made, NULL) != OK) {
        drop_instance(rerun);
    }
}

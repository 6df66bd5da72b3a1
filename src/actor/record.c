// SPDX-License-Identifier: Apache-2.0
// What an event says (docs/formats/chain.md, "Event data"). One event per leg:
//
//   {1: leg (from the second on), 2: [sender, seq, index], 3: [parameters without the state],
//    5: [[name, [args], result], …], 6: [outcome, …], 7: new state}
//
// A host call that waits stands last in its leg as [name, [args]]; its result stands in a later
// leg as [result].
// Values are written by their component types: list<u8> as bytes, records and tuples as arrays,
// option as null or [value], result as [0, ok] or [1, error], variants as [case, payload]; what is
// secret as a commitment (secret.c), what is large or the content store has by its hash, and what
// another chain holds as a range of it (large.c).
#include <assert.h>

#include "actor/internal.h"
#include "base/log.h"
#include "codec/cbor.h"

// What is kept out of the record while it is written.
struct omitted {
    struct buf *secrets;  // for secret_put
    bool has_marks;       // value.is_secret means something
    bool hides_bytes;     // all list<u8> are secret
    // In the content store already; NULL or empty: nothing is.
    const struct record_reference *by_hash;
    const struct record_range *by_range;  // events of a chain; NULL or none: nothing is
    const struct actor *actor;
    struct buf *large;    // for large_put_later; NULL: on the worker, where large_put belongs
    bool *is_incomplete;  // set when a value could not be kept
};

static void record_value(struct buf *out, const struct omitted *omitted,
                         const struct component_type *type, const struct value *value);

static bool is_headers(const struct component_type *type, uint32_t field) {
    const struct component_type *list = type->items[field];
    if (type->kind != COMPONENT_RECORD || !slice_equal_text(type->names[field], "headers") ||
        list->kind != COMPONENT_LIST || list->items[0]->kind != COMPONENT_TUPLE) {
        return false;
    }
    const struct component_type *pair = list->items[0];
    return pair->item_count == 2 && pair->items[0]->kind == COMPONENT_STRING &&
           pair->items[1]->kind == COMPONENT_STRING;
}

static void record_secret(struct buf *out, const struct omitted *omitted, const struct value *value,
                          bool is_text) {
    struct buf plain = {0};
    struct slice content = slice_of(value->bytes, value->count);
    if (is_text) {
        cbor_text(&plain, content);
    } else {
        cbor_bytes(&plain, content);
    }
    secret_put(out, omitted->secrets, buf_slice(&plain));
    buf_release(&plain);
}

// Header fields as wasi:http has them: list<tuple<string, list<u8>>>.
static bool is_byte_fields(const struct component_type *type) {
    const struct component_type *pair = type->items[0];
    return pair->kind == COMPONENT_TUPLE && pair->item_count == 2 &&
           pair->items[0]->kind == COMPONENT_STRING && pair->items[1]->kind == COMPONENT_LIST &&
           pair->items[1]->items[0]->kind == COMPONENT_U8;
}

static void record_headers(struct buf *out, const struct omitted *omitted,
                           const struct component_type *type, const struct value *value) {
    const struct component_type *pair = type->items[0];
    cbor_array(out, value->count);
    for (uint32_t i = 0; i < value->count; i++) {
        const struct value *items = value->items[i].items;
        cbor_array(out, 2);
        record_value(out, omitted, pair->items[0], &items[0]);
        if (secret_is_header(slice_of(items[0].bytes, items[0].count))) {
            record_secret(out, omitted, &items[1], pair->items[1]->kind == COMPONENT_STRING);
        } else {
            record_value(out, omitted, pair->items[1], &items[1]);
        }
    }
}

static void record_items(struct buf *out, const struct omitted *omitted,
                         const struct component_type *type, const struct value *value) {
    cbor_array(out, type->item_count);
    for (uint32_t i = 0; i < type->item_count; i++) {
        if (is_headers(type, i)) {
            record_headers(out, omitted, type->items[i], &value->items[i]);
        } else {
            record_value(out, omitted, type->items[i], &value->items[i]);
        }
    }
}

// Told by its place: the value itself is the guest's, or goes to it.
static bool is_by_hash(const struct omitted *omitted, const struct value *value) {
    const struct record_reference *by_hash = omitted->by_hash;
    return by_hash != NULL && by_hash->content.size > 0 && by_hash->content.data == value->bytes &&
           by_hash->content.size == value->count;
}

// Told in the same way.
static bool is_by_range(const struct omitted *omitted, const struct value *value) {
    const struct record_range *range = omitted->by_range;
    return range != NULL && range->events != NULL && range->events == value->items &&
           range->count == value->count;
}

// Bytes or a text that no secret is.
static void record_content(struct buf *out, const struct omitted *omitted, bool is_text,
                           const struct value *value) {
    struct slice content = slice_of(value->bytes, value->count);
    if (!is_text && is_by_hash(omitted, value)) {
        large_refer(out, omitted->by_hash->hash, content.size);
    } else if (!large_is(omitted->actor, content.size)) {
        cbor_string(out, is_text ? 0x60 : 0x40, content);
    } else if (omitted->large != NULL) {
        large_put_later(out, omitted->large, content);
    } else if (!large_put(omitted->actor, out, content)) {
        *omitted->is_incomplete = true;
    }
}

static void record_plain_list(struct buf *out, const struct omitted *omitted,
                              const struct component_type *item, const struct value *value) {
    if (item->kind == COMPONENT_U8) {
        record_content(out, omitted, false, value);
        return;
    }
    cbor_array(out, value->count);
    for (uint32_t i = 0; i < value->count; i++) {
        struct value one = {0};
        uint64_t bits = 0;
        memcpy(&bits, value->bytes + (size_t)i * item->size, item->size);
        one.bits = bits;
        if (item->kind == COMPONENT_S8) {
            one.bits = (uint64_t)(int64_t)(int8_t)bits;
        } else if (item->kind == COMPONENT_S16) {
            one.bits = (uint64_t)(int64_t)(int16_t)bits;
        } else if (item->kind == COMPONENT_S32) {
            one.bits = (uint64_t)(int64_t)(int32_t)bits;
        }
        record_value(out, omitted, item, &one);
    }
}

static void record_case(struct buf *out, const struct omitted *omitted,
                        const struct component_type *type, const struct value *value) {
    const struct component_type *payload = type->items[value->which];
    cbor_array(out, payload != NULL ? 2 : 1);
    cbor_uint(out, value->which);
    if (payload != NULL) {
        record_value(out, omitted, payload, value->items);
    }
}

static void record_value(struct buf *out, const struct omitted *omitted,
                         const struct component_type *type, const struct value *value) {
    float single;
    double number;
    switch (type->kind) {
        case COMPONENT_BOOL:
            cbor_bool(out, value->bits != 0);
            return;
        case COMPONENT_S8:
        case COMPONENT_S16:
        case COMPONENT_S32:
        case COMPONENT_S64:
            cbor_int(out, (int64_t)value->bits);
            return;
        case COMPONENT_U8:
        case COMPONENT_U16:
        case COMPONENT_U32:
        case COMPONENT_U64:
        case COMPONENT_CHAR:
        case COMPONENT_FLAGS:
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            cbor_uint(out, value->bits);
            return;
        case COMPONENT_F32:
            memcpy(&single, &value->bits, sizeof single);
            cbor_float64(out, (double)single);
            return;
        case COMPONENT_F64:
            memcpy(&number, &value->bits, sizeof number);
            cbor_float64(out, number);
            return;
        case COMPONENT_STRING:
            if (omitted->has_marks && value->is_secret) {
                record_secret(out, omitted, value, true);
                return;
            }
            record_content(out, omitted, true, value);
            return;
        case COMPONENT_LIST:
            if (type->items[0]->kind == COMPONENT_U8 &&
                (omitted->hides_bytes || (omitted->has_marks && value->is_secret))) {
                record_secret(out, omitted, value, false);
                return;
            }
            if (is_byte_fields(type)) {
                record_headers(out, omitted, type, value);
                return;
            }
            if (type->items[0]->is_plain) {
                record_plain_list(out, omitted, type->items[0], value);
                return;
            }
            if (is_by_range(omitted, value)) {
                large_refer_range(out, omitted->by_range);
                return;
            }
            cbor_array(out, value->count);
            for (uint32_t i = 0; i < value->count; i++) {
                record_value(out, omitted, type->items[0], &value->items[i]);
            }
            return;
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            record_items(out, omitted, type, value);
            return;
        case COMPONENT_ENUM:
            cbor_uint(out, value->which);
            return;
        case COMPONENT_OPTION:
            if (value->which == 0) {
                cbor_null(out);
                return;
            }
            cbor_array(out, 1);
            record_value(out, omitted, type->items[0], value->items);
            return;
        case COMPONENT_VARIANT:
        case COMPONENT_RESULT:
            record_case(out, omitted, type, value);
            return;
    }
    assert(0 && "unknown type kind");
}

// Whether the call asks for or sets the values of one secret header field, its second argument.
static bool is_on_secret_field(const struct turn *turn) {
    const struct component_func_type *type = turn->call_type;
    return slice_starts_with(slice_text(turn->call_name), "wasi:http/types.[method]fields.") &&
           type->param_count > 1 && type->params[1]->kind == COMPONENT_STRING &&
           secret_is_header(slice_of(turn->call_args[1].bytes, turn->call_args[1].count));
}

static void record_call_head(struct turn *turn, uint32_t items) {
    struct buf *out = &turn->calls;
    const struct omitted omitted = {.secrets = &turn->call_secrets,
                                    .hides_bytes = is_on_secret_field(turn),
                                    .by_hash = &turn->by_hash,
                                    .actor = turn->actor,
                                    .large = &turn->call_large};
    cbor_array(out, items);
    cbor_text_z(out, turn->call_name);
    cbor_array(out, turn->call_type->param_count);
    for (uint32_t i = 0; i < turn->call_type->param_count; i++) {
        record_value(out, &omitted, turn->call_type->params[i], &turn->call_args[i]);
    }
    turn->call_count++;
}

void record_call(struct turn *turn, const struct value *result) {
    const struct component_type *type = turn->call_type->result;
    if (turn->call_waited) {
        cbor_array(&turn->calls, type != NULL ? 1 : 0);
        turn->call_count++;
    } else {
        record_call_head(turn, type != NULL ? 3 : 2);
    }
    if (type != NULL) {
        const struct omitted omitted = {.secrets = &turn->call_secrets,
                                        .has_marks = true,
                                        .hides_bytes = is_on_secret_field(turn),
                                        .by_hash = &turn->by_hash,
                                        .by_range = &turn->by_range,
                                        .actor = turn->actor,
                                        .large = &turn->call_large};
        record_value(&turn->calls, &omitted, type, result);
    }
}

static void record_source(struct buf *out, const struct message *message) {
    cbor_array(out, message->sender != NULL ? 3 : 1);
    if (message->sender == NULL) {
        cbor_null(out);
        return;
    }
    cbor_text(out, bytes_slice(message->sender));
    cbor_uint(out, message->sender_seq);
    cbor_uint(out, message->sender_index);
}

// On the worker: for the parts of the event itself.
static struct omitted omitted_from_event(struct turn *turn, bool *is_incomplete) {
    return (struct omitted){
        .secrets = &turn->event_secrets, .actor = turn->actor, .is_incomplete = is_incomplete};
}

static void record_params(struct buf *out, struct turn *turn, bool *is_incomplete) {
    const struct omitted omitted = omitted_from_event(turn, is_incomplete);
    const struct component_func_type *type = turn->actor->program->exports[turn->kind].type;
    if (type->param_count < 2) {
        cbor_array(out, 0);
        return;
    }
    record_items(out, &omitted, type->params[1], &turn->args[1]);
}

// The part of an ok result behind the state, if the export has one.
static bool has_answer(const struct turn *turn) {
    const struct component_func_type *type = turn->actor->program->exports[turn->kind].type;
    return type->result->items[0]->item_count > 1;
}

static void record_outcome(struct buf *out, struct turn *turn, enum leg_outcome outcome,
                           bool *is_incomplete) {
    const struct omitted omitted = omitted_from_event(turn, is_incomplete);
    bool answers = outcome == LEG_OK && !turn->is_instantiation && has_answer(turn);
    bool has_text = outcome == LEG_ERROR || outcome == LEG_TRAP;
    cbor_array(out, answers || has_text ? 2 : 1);
    cbor_uint(out, (uint64_t)outcome);
    if (answers) {
        const struct component_func_type *type = turn->actor->program->exports[turn->kind].type;
        const struct component_type *tuple = type->result->items[0];
        record_value(out, &omitted, tuple->items[1], &turn->result.items->items[1]);
    } else if (outcome == LEG_ERROR) {
        record_content(out, &omitted, true, turn->result.items);
    } else if (outcome == LEG_TRAP) {
        cbor_text_z(out, turn->error.message);
    }
}

static bool append(struct actor *actor, const char *type, struct slice data) {
    actor->event_messages = 0;
    if (actor->system->rerun != NULL) {
        actor->system->rerun(actor, type, data);
        return true;
    }
    if (actor->system->config.log == NULL) {
        actor->head.next_seq++;
        return true;
    }
    struct error error = {0};
    uint64_t end = 0;
    if (chain_append(actor->system->config.log, &actor->head, type, data, &end, &error) != OK) {
        log_line(LOG_ERROR, "actor %s: cannot record %s: %s", actor_id(actor), type, error.message);
        return false;
    }
    if (actor->program->manifest->durability == MANIFEST_SYNC) {
        actor_depend(actor, end);
    }
    quota_count(actor, end);
    return true;
}

static void forget_calls(struct turn *turn) {
    buf_clear(&turn->calls);
    turn->call_count = 0;
    buf_clear(&turn->call_large);
    buf_clear(&turn->denials);
    turn->denial_count = 0;
}

// False when it could not be kept.
static bool record_state(const struct actor *actor, struct buf *out, const struct bytes *state) {
    if (large_is(actor, state->size)) {
        return large_put(actor, out, bytes_slice(state));
    }
    cbor_bytes(out, bytes_slice(state));
    return true;
}

bool record_leg(struct turn *turn, enum leg_outcome outcome, struct bytes *new_state) {
    struct actor *actor = turn->actor;
    if (actor->program->call != NULL) {
        return append(actor, "call", slice_of(NULL, 0));
    }
    if (outcome == LEG_WAITING && turn->call_name != NULL && !turn->call_waited) {
        record_call_head(turn, 2);
        turn->call_waited = true;
    }
    if (!secrets_seal(actor, &turn->calls, &turn->call_secrets) ||
        !large_seal(actor, &turn->calls, &turn->call_large) || !denials_record(turn)) {
        forget_calls(turn);
        return false;
    }
    bool is_call = !turn->is_instantiation && turn->leg == 0;
    bool has_source = is_call && turn->message != NULL;
    bool is_resumed = turn->leg > 0;
    bool is_incomplete = false;
    struct buf *out = &turn->event;
    buf_clear(out);
    cbor_map(out, (uint64_t)is_resumed + has_source + is_call + (turn->call_count > 0) + 1U +
                      (new_state != NULL));
    if (is_resumed) {
        cbor_uint(out, 1);
        cbor_uint(out, turn->leg);
    }
    if (has_source) {
        cbor_uint(out, 2);
        record_source(out, turn->message);
    }
    if (is_call) {
        cbor_uint(out, 3);
        record_params(out, turn, &is_incomplete);
    }
    if (turn->call_count > 0) {
        cbor_uint(out, 5);
        cbor_array(out, turn->call_count);
        cbor_raw(out, buf_slice(&turn->calls));
    }
    cbor_uint(out, 6);
    record_outcome(out, turn, outcome, &is_incomplete);
    if (new_state != NULL) {
        cbor_uint(out, 7);
        is_incomplete = !record_state(actor, out, new_state) || is_incomplete;
    }
    turn->event_calls = turn->call_count;
    forget_calls(turn);
    const char *type = turn->is_instantiation ? "instance-created" : export_event_type(turn->kind);
    return secrets_seal(actor, out, &turn->event_secrets) && !is_incomplete &&
           append(actor, type, buf_slice(out));
}

bool record_lifecycle(struct actor *actor, const char *type, struct slice data) {
    return append(actor, type, data);
}

bool record_reason(struct actor *actor, const char *type, const char *reason) {
    struct buf data = {0};
    cbor_map(&data, reason != NULL ? 1 : 0);
    if (reason != NULL) {
        cbor_uint(&data, 1);
        cbor_text_z(&data, reason);
    }
    bool good = append(actor, type, buf_slice(&data));
    buf_release(&data);
    return good;
}

bool record_restarted(struct actor *actor, const char *strategy, const struct bytes *leader) {
    struct buf data = {0};
    cbor_map(&data, leader != NULL ? 2 : 1);
    cbor_uint(&data, 1);
    cbor_text_z(&data, strategy);
    if (leader != NULL) {
        cbor_uint(&data, 2);
        cbor_text(&data, bytes_slice(leader));
    }
    bool good = append(actor, "restarted", buf_slice(&data));
    buf_release(&data);
    return good;
}

bool record_spawned(struct actor *actor) {
    const struct manifest *manifest = actor->program->manifest;
    const struct component *component = component_linked_component(actor->program->linked);
    const struct manifest_limits *limits = &manifest->limits;
    const uint64_t pinned[] = {
        limits->memory_bytes,     limits->stack_bytes,   limits->state_bytes, limits->message_bytes,
        limits->mailbox_messages, limits->mailbox_bytes, limits->turn_cpu_ms};
    struct buf data = {0};
    const char *mode = actor->recovery != NULL ? recovery_mode(actor) : NULL;
    bool has_origin = actor->program->has_origin;
    cbor_map(&data, 8U + (actor->initial_state != NULL) + has_origin + (mode != NULL));
    cbor_uint(&data, 1);
    cbor_bytes(&data, chain_head_nonce(&actor->head));
    cbor_uint(&data, 2);
    system_lock(actor->system);
    if (actor->parent != NULL) {
        cbor_text(&data, bytes_slice(actor->parent->id));
    } else {
        cbor_null(&data);
    }
    system_unlock(actor->system);
    cbor_uint(&data, 3);
    cbor_text_z(&data, manifest->name);
    cbor_uint(&data, 4);
    cbor_bytes(&data, slice_of(manifest->text_hash, SHA256_BYTES));
    cbor_uint(&data, 5);
    cbor_bytes(&data, slice_of(component_hash(component), SHA256_BYTES));
    cbor_uint(&data, 6);
    cbor_bytes(&data, slice_of(actor->authority->hash, SHA256_BYTES));
    cbor_uint(&data, 7);
    cbor_array(&data, COUNT_OF(pinned));
    for (size_t i = 0; i < COUNT_OF(pinned); i++) {
        cbor_uint(&data, pinned[i]);
    }
    bool good = true;
    if (actor->initial_state != NULL) {
        cbor_uint(&data, 8);
        good = record_state(actor, &data, actor->initial_state);
    }
    if (has_origin) {
        cbor_uint(&data, 9);
        cbor_bytes(&data, slice_of(actor->program->origin, SHA256_BYTES));
    }
    cbor_uint(&data, 10);
    cbor_uint(&data, program_export_bits(actor->program));
    if (mode != NULL) {
        cbor_uint(&data, 11);
        cbor_text_z(&data, mode);
    }
    good = good && append(actor, actor->is_resumed ? "resumed" : "spawned", buf_slice(&data));
    buf_release(&data);
    return good;
}

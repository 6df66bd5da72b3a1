// SPDX-License-Identifier: Apache-2.0
// Denials: what an actor tried and may not do, and limits that it reached. Each is an error for the
// guest, or a crash, and an event of its own in the actor's chain:
//
//   permission-denied  {1: kind, 2: host function, 3: text, 4: further ones of this leg}
//   limit-reached      the same; kind is a key of [limits]; no 2 when no host function was at work
//
// The events of a leg's denials stand before the leg's own, in the order in which they were made;
// after the first DENIALS_MOST of a leg the last of them counts the others, so that a guest that
// keeps trying fills its chain no faster than its calls do, which are all recorded.
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "actor/internal.h"
#include "codec/cbor.h"
#include "codec/utf8.h"

enum { DENIALS_MOST = 64 };

// In turn->denials, one behind the other; the text follows.
struct denial {
    bool is_limit;
    const char *kind;       // static, as are
    const char *operation;  // the names in the tables of host functions; NULL: none
    uint32_t text_bytes;
};

static void note(struct turn *turn, bool is_limit, const char *kind, struct slice text) {
    // An actor that exists for one call has no chain.
    if (turn->actor->program->call != NULL || turn->denial_count++ >= DENIALS_MOST) {
        return;
    }
    // A text that quotes the guest may have been cut within a character.
    text.size = text.size < ERROR_MESSAGE_MAX ? text.size : ERROR_MESSAGE_MAX;
    struct denial denial = {.is_limit = is_limit,
                            .kind = kind,
                            .operation = turn->call_name,
                            .text_bytes = (uint32_t)utf8_valid_prefix(text)};
    buf_append(&turn->denials, &denial, sizeof denial);
    buf_append(&turn->denials, text.data, denial.text_bytes);
}

void actor_limit_reached(struct actor *self, struct slice text) {
    const char *key = manifest_limit_named(text);
    if (key != NULL && self->turn != NULL) {
        note(self->turn, true, key, text);
    }
}

enum status actor_denied(struct actor *self, enum permission_kind kind, struct error *error,
                         const char *format, ...) {
    char what[ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    assert(self->turn->call_name != NULL);
    note(self->turn, false, permission_kind_name(kind), slice_text(what));
    return error_set(error, ERR_DENIED, "permission denied: %s", what);
}

void actor_refused(struct actor *target, enum actor_refusal what) {
    // Relaxed: a count that orders nothing.
    atomic_fetch_add_explicit(&target->refused[what], 1, memory_order_relaxed);
}

// What happened beside the host calls since the last leg.
static void note_others(struct turn *turn) {
    struct actor *actor = turn->actor;
    const struct manifest_limits *limits = &actor->program->manifest->limits;
    const uint64_t most[] = {limits->mailbox_messages, limits->requests, limits->websockets};
    static const char *const texts[] = {
        ("%u messages from outside found the mailbox full (limits.mailbox_messages %llu, "
         "limits.mailbox_bytes)"),
        "%u requests found as many unanswered ones as there may be (limits.requests %llu)",
        "%u WebSocket connections were refused (limits.websockets %llu)"};
    char text[ERROR_MESSAGE_MAX];
    for (size_t i = 0; i < ACTOR_REFUSAL_COUNT; i++) {
        // Relaxed, and most times without a write.
        uint32_t count = atomic_load_explicit(&actor->refused[i], memory_order_relaxed);
        if (count > 0) {
            count = atomic_exchange_explicit(&actor->refused[i], 0, memory_order_relaxed);
            (void)snprintf(text, sizeof text, texts[i], count, (unsigned long long)most[i]);
            actor_limit_reached(actor, slice_text(text));
        }
    }
    if (atomic_load_explicit(&actor->budget.was_refused, memory_order_relaxed)) {
        atomic_store_explicit(&actor->budget.was_refused, false, memory_order_relaxed);
        (void)snprintf(text, sizeof text,
                       "more memory was asked for than %llu bytes "
                       "(limits.memory_bytes)",
                       (unsigned long long)limits->memory_bytes);
        actor_limit_reached(actor, slice_text(text));
    }
}

bool denials_record(struct turn *turn) {
    note_others(turn);
    uint32_t further = turn->denial_count > DENIALS_MOST ? turn->denial_count - DENIALS_MOST : 0;
    const uint8_t *at = turn->denials.data;
    const uint8_t *end = at + turn->denials.size;
    struct buf data = {0};
    bool good = true;
    while (good && at < end) {
        struct denial denial;
        memcpy(&denial, at, sizeof denial);
        at += sizeof denial;
        bool counts = at + denial.text_bytes == end && further > 0;
        buf_clear(&data);
        cbor_map(&data, 2U + (denial.operation != NULL) + counts);
        cbor_uint(&data, 1);
        cbor_text_z(&data, denial.kind);
        if (denial.operation != NULL) {
            cbor_uint(&data, 2);
            cbor_text_z(&data, denial.operation);
        }
        cbor_uint(&data, 3);
        cbor_text(&data, slice_of(at, denial.text_bytes));
        if (counts) {
            cbor_uint(&data, 4);
            cbor_uint(&data, further);
        }
        good = record_lifecycle(
            turn->actor, denial.is_limit ? "limit-reached" : "permission-denied", buf_slice(&data));
        at += denial.text_bytes;
    }
    buf_release(&data);
    return good;
}

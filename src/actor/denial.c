// SPDX-License-Identifier: Apache-2.0
// Denials: what an actor tried and may not do. Each is an error for the guest and an event of its
// own in the actor's chain:
//
//   permission-denied  {1: kind, 2: host function, 3: text, 4: further ones of this leg}
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
    enum permission_kind kind;
    const char *operation;  // static, as the tables of host functions are
    uint32_t text_bytes;
};

enum status actor_denied(struct actor *self, enum permission_kind kind, struct error *error,
                         const char *format, ...) {
    char what[ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    struct turn *turn = self->turn;
    assert(turn->call_name != NULL);
    // An actor that exists for one call has no chain.
    if (self->program->call == NULL && turn->denial_count++ < DENIALS_MOST) {
        // A text that quotes the guest may have been cut within a character.
        size_t size = utf8_valid_prefix(slice_text(what));
        struct denial denial = {
            .kind = kind, .operation = turn->call_name, .text_bytes = (uint32_t)size};
        buf_append(&turn->denials, &denial, sizeof denial);
        buf_append(&turn->denials, what, size);
    }
    return error_set(error, ERR_DENIED, "permission denied: %s", what);
}

bool denials_record(struct turn *turn) {
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
        cbor_map(&data, counts ? 4 : 3);
        cbor_uint(&data, 1);
        cbor_text_z(&data, permission_kind_name(denial.kind));
        cbor_uint(&data, 2);
        cbor_text_z(&data, denial.operation);
        cbor_uint(&data, 3);
        cbor_text(&data, slice_of(at, denial.text_bytes));
        if (counts) {
            cbor_uint(&data, 4);
            cbor_uint(&data, further);
        }
        good = record_lifecycle(turn->actor, "permission-denied", buf_slice(&data));
        at += denial.text_bytes;
    }
    buf_release(&data);
    return good;
}

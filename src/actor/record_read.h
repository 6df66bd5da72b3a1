// SPDX-License-Identifier: Apache-2.0
// The inverse of record.c: from the CBOR of an event back to values, by component type. What stands
// elsewhere (the plain values of commitments, content under its hash) is asked of a source.
#ifndef ACTOR_RECORD_READ_H
#define ACTOR_RECORD_READ_H

#include "actor/actor.h"
#include "base/arena.h"
#include "base/status.h"
#include "codec/cbor.h"
#include "codec/sha256.h"
#include "component/component.h"

// In place of a secret in an event (docs/formats/chain.md): HMAC-SHA256 of the item. What stands in
// place of other values: ACTOR_REFERENCE_TAG, ACTOR_RANGE_TAG.
enum { RECORD_SECRET_TAG = 29541 };

struct record_range_read {
    struct slice chain;  // id
    uint64_t first, count;
    const uint8_t *hash;
};

// What an event only refers to. Slices that it gives last until record_read_value has returned.
struct record_source {
    // The CBOR item behind a commitment. ERR_NOT_FOUND when nobody knows it.
    enum status (*secret)(void *context, const uint8_t commitment[SHA256_BYTES], struct slice *item,
                          struct error *error);
    // The bytes behind a reference.
    enum status (*content)(void *context, const uint8_t hash[SHA256_BYTES], uint64_t size,
                           struct slice *bytes, struct error *error);
    // The list of that type whose items are the events of a chain from `first` on, as the host
    // gives them; in `arena`. `hash` is that of the last one.
    enum status (*range)(void *context, const struct component_type *list,
                         const struct record_range_read *range, struct arena *arena,
                         struct value *out, struct error *error);
    void *context;
};

// Reads one value of the type: numbers in their ranges, text that is UTF-8, counts that fit. Its
// memory is in `arena` (without a limit: it takes at most a small multiple of what was read). A
// string or list<u8> that stood as a commitment has is_secret set. ERR_INVALID when the item is no
// such value; the source's errors as they are.
enum status record_read_value(struct cbor_reader *reader, const struct component_type *type,
                              const struct record_source *source, struct arena *arena,
                              struct value *out, struct error *error) MUST_CHECK;

#endif

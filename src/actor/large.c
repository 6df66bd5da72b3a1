// SPDX-License-Identifier: Apache-2.0
// Large values: what is longer than ACTOR_INLINE_MOST_BYTES stands in the chain by its hash, and
// its bytes are kept in the content store (docs/formats/chain.md, "References").
//
//   on the worker   the value is hashed and kept at once: parameters, answers, states
//   on the fiber    a host call is recorded while its values exist, but hashing and files belong on
//                   the worker: the hash is 32 zero bytes and a copy of the value waits with its
//                   place, until the leg ends
//
// A value is given to write() before the event that names it is appended, and is on disk before the
// log says that the event is (chain_log_config.before_sync): so no event that survives names a
// content that did not.
#include "actor/internal.h"
#include "base/log.h"
#include "codec/cbor.h"

// In a buffer of pending values; the content follows.
struct place {
    size_t offset;  // of the 32 bytes
    size_t content_bytes;
};

bool large_is(const struct actor *actor, size_t bytes) {
    return bytes > ACTOR_INLINE_MOST_BYTES && actor->system->config.keep_value != NULL;
}

void large_refer(struct buf *out, const uint8_t hash[SHA256_BYTES], uint64_t bytes) {
    cbor_tag(out, ACTOR_REFERENCE_TAG);
    cbor_array(out, 2);
    cbor_bytes(out, slice_of(hash, SHA256_BYTES));
    cbor_uint(out, bytes);
}

void large_put_later(struct buf *out, struct buf *pending, struct slice content) {
    static const uint8_t empty[SHA256_BYTES];
    struct place place = {.content_bytes = content.size};
    large_refer(out, empty, content.size);
    // The hash lies before the size, whose head tells how long it is.
    place.offset = out->size - cbor_head_bytes(content.size) - SHA256_BYTES;
    buf_append(pending, &place, sizeof place);
    buf_append_slice(pending, content);
}

static bool keep(const struct actor *actor, struct slice content, uint8_t hash[SHA256_BYTES]) {
    const struct actor_config *config = &actor->system->config;
    struct error error = {0};
    sha256(content, hash);
    if (config->keep_value(config->keep_context, content, hash, &error) != OK) {
        log_line(LOG_ERROR, "actor %s: cannot keep a value of %zu bytes: %s", actor_id(actor),
                 content.size, error.message);
        return false;
    }
    return true;
}

bool large_put(const struct actor *actor, struct buf *out, struct slice content) {
    uint8_t hash[SHA256_BYTES];
    bool good = keep(actor, content, hash);
    large_refer(out, hash, content.size);
    return good;
}

bool large_seal(const struct actor *actor, struct buf *out, struct buf *pending) {
    bool good = true;
    for (size_t at = 0; good && at < pending->size;) {
        struct place place;
        memcpy(&place, pending->data + at, sizeof place);
        at += sizeof place;
        good = keep(actor, slice_of(pending->data + at, place.content_bytes),
                    out->data + place.offset);
        at += place.content_bytes;
    }
    buf_clear(pending);
    return good;
}

void large_refer_range(struct buf *out, const struct record_range *range) {
    cbor_tag(out, ACTOR_RANGE_TAG);
    cbor_array(out, 4);
    cbor_text_z(out, range->chain);
    cbor_uint(out, range->first);
    cbor_uint(out, range->count);
    cbor_bytes(out, slice_of(range->hash, SHA256_BYTES));
}

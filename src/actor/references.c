// SPDX-License-Identifier: Apache-2.0
// Which contents an event refers to, told from its data alone.
#include "actor/actor.h"
#include "codec/cbor.h"

// Whether the string is a hash, as bytes or as digits.
static bool read_hash(struct slice string, uint8_t hash[SHA256_BYTES]) {
    if (string.size == SHA256_BYTES) {
        memcpy(hash, string.data, SHA256_BYTES);
        return true;
    }
    return sha256_parse(string, hash);
}

// Passes the next item, or the head of one that holds others; *string is empty unless it is one.
static enum status pass(struct cbor_reader *reader, struct slice *string, struct error *error) {
    uint64_t count = 0;
    *string = slice_of(NULL, 0);
    switch (cbor_peek(reader)) {
        case CBOR_BYTES:
            return cbor_read_bytes(reader, string, error);
        case CBOR_TEXT:
            return cbor_read_text(reader, string, error);
        case CBOR_ARRAY:
            return cbor_read_array(reader, &count, error);
        case CBOR_MAP:
            return cbor_read_map(reader, &count, error);
        case CBOR_TAG:
            return cbor_read_tag(reader, &count, error);
        case CBOR_UINT:
        case CBOR_NEGATIVE:
        case CBOR_BOOL:
        case CBOR_NULL:
        case CBOR_FLOAT:
        case CBOR_SIMPLE:
        case CBOR_END:
            break;
    }
    return cbor_skip(reader, error);
}

enum status actor_event_references(struct slice data, actor_reference_fn visit, void *context,
                                   struct error *error) {
    struct cbor_reader reader = cbor_reader_of(data);
    enum status status = OK;
    while (status == OK && !cbor_at_end(&reader)) {
        struct slice string;
        uint8_t hash[SHA256_BYTES];
        status = pass(&reader, &string, error);
        if (status == OK && read_hash(string, hash)) {
            status = visit(context, hash, error);
        }
    }
    return status;
}

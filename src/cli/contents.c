// SPDX-License-Identifier: Apache-2.0
// chain show --contents: an event's data with the large values in it, which the chain holds by
// their hash (docs/formats/chain.md, "References").
#include "actor/actor.h"
#include "cli/cli.h"
#include "codec/cbor.h"

// Reads `tag 29285 ([hash, size])`; false, and leaves the reader alone, when there is another item.
static bool take_reference(struct cbor_reader *reader, uint8_t hash[SHA256_BYTES]) {
    struct cbor_reader at = *reader;
    uint64_t tag = 0, count = 0, size = 0;
    struct slice bytes;
    if (cbor_peek(&at) != CBOR_TAG || cbor_read_tag(&at, &tag, NULL) != OK ||
        tag != ACTOR_REFERENCE_TAG || cbor_read_array(&at, &count, NULL) != OK || count != 2 ||
        cbor_read_bytes(&at, &bytes, NULL) != OK || bytes.size != SHA256_BYTES ||
        cbor_read_uint(&at, &size, NULL) != OK) {
        return false;
    }
    memcpy(hash, bytes.data, SHA256_BYTES);
    *reader = at;
    return true;
}

// Passes the head of an item that holds others, or another item as a whole.
static enum status pass(struct cbor_reader *reader, struct error *error) {
    uint64_t count = 0;
    enum cbor_kind kind = cbor_peek(reader);
    if (kind == CBOR_ARRAY) {
        return cbor_read_array(reader, &count, error);
    }
    if (kind == CBOR_MAP) {
        return cbor_read_map(reader, &count, error);
    }
    return kind == CBOR_TAG ? cbor_read_tag(reader, &count, error) : cbor_skip(reader, error);
}

enum status cli_fill_in(struct store *store, struct slice data, struct buf *out,
                        struct error *error) {
    struct cbor_reader reader = cbor_reader_of(data);
    enum status status = OK;
    while (status == OK && !cbor_at_end(&reader)) {
        const uint8_t *from = reader.next;
        uint8_t hash[SHA256_BYTES];
        struct bytes *content = NULL;
        if (!take_reference(&reader, hash)) {
            status = pass(&reader, error);
            cbor_raw(out, slice_of(from, (size_t)(reader.next - from)));
            continue;
        }
        struct error problem = {0};
        status = store_read(store, hash, CHAIN_DATA_MOST_BYTES, &content, &problem);
        if (status == OK) {
            cbor_bytes(out, bytes_slice(content));
            bytes_unref(content);
        } else if (status == ERR_NOT_FOUND) {
            // What a failed call was given may be nowhere.
            cbor_raw(out, slice_of(from, (size_t)(reader.next - from)));
            status = OK;
        } else {
            status = error_set(error, status, "%s", problem.message);
        }
    }
    return status;
}

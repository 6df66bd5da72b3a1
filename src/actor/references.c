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

// The content of a reference, whose tag was passed: [SHA-256, size].
static enum status visit_tagged(struct cbor_reader reader, actor_reference_fn visit, void *context,
                                struct error *error) {
    uint64_t count = 0;
    struct slice hash;
    bool is_one = cbor_read_array(&reader, &count, NULL) == OK && count == 2 &&
                  cbor_read_bytes(&reader, &hash, NULL) == OK && hash.size == SHA256_BYTES;
    return is_one ? visit(context, hash.data, error) : OK;
}

static enum status visit_all_tagged(struct slice data, actor_reference_fn visit, void *context,
                                    struct error *error) {
    struct cbor_reader reader = cbor_reader_of(data);
    enum status status = OK;
    while (status == OK && !cbor_at_end(&reader)) {
        struct slice string;
        uint64_t tag = 0;
        if (cbor_peek(&reader) != CBOR_TAG) {
            status = pass(&reader, &string, error);
            continue;
        }
        status = cbor_read_tag(&reader, &tag, error);
        if (status == OK && tag == ACTOR_REFERENCE_TAG) {
            status = visit_tagged(reader, visit, context, error);
        }
    }
    return status;
}

enum status actor_event_contents(const struct chain_event *event, actor_reference_fn visit,
                                 void *context, struct error *error) {
    enum { KEY_MANIFEST = 4, KEY_COMPONENT = 5 };
    struct cbor_reader reader = cbor_reader_of(event->data);
    uint64_t pairs = 0;
    bool is_start =
        slice_equal_text(event->type, "spawned") || slice_equal_text(event->type, "resumed");
    bool is_map = is_start && cbor_read_map(&reader, &pairs, NULL) == OK;
    enum status status = OK;
    for (uint64_t i = 0; is_map && status == OK && i < pairs; i++) {
        uint64_t key = 0;
        struct slice item = {0};
        status = cbor_read_uint(&reader, &key, error);
        if (status == OK) {
            status = cbor_read_item(&reader, &item, error);
        }
        struct cbor_reader value = cbor_reader_of(item);
        struct slice hash;
        bool is_hash = status == OK && (key == KEY_MANIFEST || key == KEY_COMPONENT) &&
                       cbor_read_bytes(&value, &hash, NULL) == OK && hash.size == SHA256_BYTES;
        if (is_hash) {
            status = visit(context, hash.data, error);
        }
    }
    return status == OK ? visit_all_tagged(event->data, visit, context, error) : status;
}

// Passes the whole of an item that is not a map's key 5; visits the references in it.
static enum status visit_needs(struct cbor_reader *reader, actor_reference_fn visit, void *context,
                               struct error *error) {
    struct slice item;
    enum status status = cbor_read_item(reader, &item, error);
    struct cbor_reader within = cbor_reader_of(item);
    while (status == OK && !cbor_at_end(&within)) {
        struct slice string;
        uint64_t tag = 0, count = 0;
        // What is no reference after all is gone on with behind its tag.
        bool is_tag = cbor_peek(&within) == CBOR_TAG;
        if (is_tag && cbor_read_tag(&within, &tag, NULL) == OK && tag == ACTOR_REFERENCE_TAG &&
            cbor_read_array(&within, &count, NULL) == OK &&
            cbor_read_bytes(&within, &string, NULL) == OK && string.size == SHA256_BYTES) {
            status = visit(context, string.data, error);
        } else if (!is_tag) {
            status = pass(&within, &string, error);
        }
    }
    return status;
}

enum status actor_event_needs(struct slice data, actor_reference_fn visit, void *context,
                              struct error *error) {
    struct cbor_reader reader = cbor_reader_of(data);
    uint64_t pairs = 0;
    enum status status = cbor_read_map(&reader, &pairs, error);
    for (; status == OK && pairs > 0; pairs--) {
        uint64_t key = 0;
        status = cbor_read_uint(&reader, &key, error);
        if (status == OK) {
            status = key == ACTOR_EVENT_CALLS ? cbor_skip(&reader, error)
                                              : visit_needs(&reader, visit, context, error);
        }
    }
    return status;
}

bool actor_event_needs_others(const struct chain_event *event) {
    struct cbor_reader reader = cbor_reader_of(event->data);
    struct slice string;
    enum status status = OK;
    while (status == OK && !cbor_at_end(&reader)) {
        uint64_t value = 0;
        if (cbor_peek(&reader) != CBOR_TAG) {
            status = pass(&reader, &string, NULL);
            continue;
        }
        status = cbor_read_tag(&reader, &value, NULL);
        struct cbor_reader range = reader;
        if (status == OK && value == ACTOR_RANGE_TAG &&
            cbor_read_array(&range, &value, NULL) == OK &&
            cbor_read_text(&range, &string, NULL) == OK && !slice_equal_text(string, event->id)) {
            return true;
        }
    }
    return false;
}

// SPDX-License-Identifier: Apache-2.0
#include "actor/recover_read.h"

#include <string.h>

bool event_read_fields(struct slice data, struct event_fields *out) {
    memset(out, 0, sizeof *out);
    struct cbor_reader reader = cbor_reader_of(data);
    uint64_t pairs = 0;
    if (cbor_peek(&reader) != CBOR_MAP || cbor_read_map(&reader, &pairs, NULL) != OK) {
        return false;
    }
    for (uint64_t i = 0; i < pairs; i++) {
        uint64_t key = 0;
        struct slice item;
        if (cbor_read_uint(&reader, &key, NULL) != OK ||
            cbor_read_item(&reader, &item, NULL) != OK) {
            return false;
        }
        if (key < EVENT_KEYS_MOST) {
            out->item[key] = item;
        }
    }
    return true;
}

struct slice event_text(struct slice item) {
    struct cbor_reader reader = cbor_reader_of(item);
    struct slice text = slice_of(NULL, 0);
    if (item.size > 0 && cbor_peek(&reader) == CBOR_TEXT) {
        (void)!cbor_read_text(&reader, &text, NULL);
    }
    return text;
}

uint64_t event_uint(struct slice item, uint64_t otherwise) {
    struct cbor_reader reader = cbor_reader_of(item);
    uint64_t value = 0;
    return item.size > 0 && cbor_read_uint(&reader, &value, NULL) == OK ? value : otherwise;
}

bool event_hash_of(struct slice item, uint8_t hash[SHA256_BYTES]) {
    struct cbor_reader reader = cbor_reader_of(item);
    struct slice content;
    if (item.size == 0 || cbor_read_bytes(&reader, &content, NULL) != OK ||
        content.size != SHA256_BYTES) {
        return false;
    }
    memcpy(hash, content.data, SHA256_BYTES);
    return true;
}

// An array and what is in it so far as it is wanted.
uint64_t event_array(struct slice item, struct cbor_reader *reader) {
    *reader = cbor_reader_of(item);
    uint64_t count = 0;
    return item.size > 0 && cbor_peek(reader) == CBOR_ARRAY &&
                   cbor_read_array(reader, &count, NULL) == OK
               ? count
               : 0;
}

// The items of an array: gives how many there are; those from `most` on are not looked at.
uint64_t event_items(struct slice item, struct slice *items, uint64_t most) {
    struct cbor_reader reader;
    uint64_t count = event_array(item, &reader);
    for (uint64_t i = 0; i < most; i++) {
        items[i] = slice_of(NULL, 0);
        if (i < count && cbor_read_item(&reader, &items[i], NULL) != OK) {
            return 0;
        }
    }
    return count;
}

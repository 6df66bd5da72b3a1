// SPDX-License-Identifier: Apache-2.0
// Deterministic CBOR (RFC 8949, core deterministic encoding of 4.2): what the chain hashes.
//
// The writer appends items to a struct buf and always makes shortest heads and shortest floats; the
// caller writes map keys in bytewise order of their encoding (ascending integers are). The reader
// walks a slice without copying or recursing; it refuses indefinite lengths, and every count it
// gives fits in the bytes that are left, so that a caller may size arrays by it.
#ifndef CODEC_CBOR_H
#define CODEC_CBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/status.h"

enum {
    CBOR_HEAD_MOST_BYTES = 9,
    CBOR_DEPTH_MOST = 128,  // nesting that reader and checks accept
};

// ---- writing -----------------------------------------------------------------------------------

// Bytes of the head that carries `value`.
static inline size_t cbor_head_bytes(uint64_t value) {
    return value < 24 ? 1 : value <= 0xff ? 2 : value <= 0xffff ? 3 : value <= 0xffffffff ? 5 : 9;
}

static inline uint8_t *cbor_put_big_endian(uint8_t *at, uint64_t value, unsigned size) {
    for (unsigned i = size; i-- > 0;) {
        *at++ = (uint8_t)(value >> (8 * i));
    }
    return at;
}

// Writes a head at `at`, where CBOR_HEAD_MOST_BYTES are free, and returns the byte behind it.
// `major` is the major type shifted into place: 0x00, 0x20, … 0xe0.
static inline uint8_t *cbor_put_head(uint8_t *at, unsigned major, uint64_t value) {
    if (LIKELY(value < 24)) {
        *at++ = (uint8_t)(major | value);
        return at;
    }
    if (value <= 0xff) {
        *at++ = (uint8_t)(major | 24U);
        *at++ = (uint8_t)value;
        return at;
    }
    if (value <= 0xffff) {
        *at++ = (uint8_t)(major | 25U);
        return cbor_put_big_endian(at, value, 2);
    }
    if (value <= 0xffffffff) {
        *at++ = (uint8_t)(major | 26U);
        return cbor_put_big_endian(at, value, 4);
    }
    *at++ = (uint8_t)(major | 27U);
    return cbor_put_big_endian(at, value, 8);
}

// Room for `size` bytes, without a call when the buffer has it.
static inline uint8_t *cbor_room(struct buf *buf, size_t size) {
    if (LIKELY(buf->capacity - buf->size >= size)) {
        return buf->data + buf->size;
    }
    return buf_reserve(buf, size);
}

static inline void cbor_head(struct buf *buf, unsigned major, uint64_t value) {
    uint8_t *at = cbor_room(buf, CBOR_HEAD_MOST_BYTES);
    buf->size += (size_t)(cbor_put_head(at, major, value) - at);
}

static inline void cbor_string(struct buf *buf, unsigned major, struct slice content) {
    uint8_t *at = cbor_room(buf, CBOR_HEAD_MOST_BYTES + content.size);
    uint8_t *end = cbor_put_head(at, major, content.size);
    if (content.size != 0) {
        memcpy(end, content.data, content.size);
    }
    buf->size += (size_t)(end - at) + content.size;
}

static inline void cbor_uint(struct buf *buf, uint64_t value) {
    cbor_head(buf, 0x00, value);
}
static inline void cbor_int(struct buf *buf, int64_t value) {
    // -1 - n is carried as n, which is the complement.
    cbor_head(buf, value < 0 ? 0x20 : 0x00, value < 0 ? ~(uint64_t)value : (uint64_t)value);
}
static inline void cbor_bytes(struct buf *buf, struct slice content) {
    cbor_string(buf, 0x40, content);
}
// `content` is valid UTF-8.
static inline void cbor_text(struct buf *buf, struct slice content) {
    cbor_string(buf, 0x60, content);
}
static inline void cbor_text_z(struct buf *buf, const char *content) {
    cbor_string(buf, 0x60, slice_of(content, strlen(content)));
}
// `count` items follow.
static inline void cbor_array(struct buf *buf, uint64_t count) {
    cbor_head(buf, 0x80, count);
}
// `count` pairs of key and value follow, keys ascending by their encoded bytes.
static inline void cbor_map(struct buf *buf, uint64_t count) {
    cbor_head(buf, 0xa0, count);
}
// One item follows.
static inline void cbor_tag(struct buf *buf, uint64_t tag) {
    cbor_head(buf, 0xc0, tag);
}
static inline void cbor_bool(struct buf *buf, bool value) {
    cbor_head(buf, 0xe0, value ? 21 : 20);
}
static inline void cbor_null(struct buf *buf) {
    cbor_head(buf, 0xe0, 22);
}
// The shortest of half, single and double that holds the value exactly; every NaN becomes f97e00.
void cbor_float64(struct buf *buf, double value);
// An item, or several, that are encoded already.
static inline void cbor_raw(struct buf *buf, struct slice items) {
    uint8_t *at = cbor_room(buf, items.size);
    if (items.size != 0) {
        memcpy(at, items.data, items.size);
    }
    buf->size += items.size;
}

// ---- reading -----------------------------------------------------------------------------------

// Borrows the slice for its lifetime. After a failed read the position is where it was.
struct cbor_reader {
    const uint8_t *start;
    const uint8_t *next;
    const uint8_t *end;
    bool is_strict;  // also refuse heads and floats that are not shortest
};

static inline struct cbor_reader cbor_reader_of(struct slice items) {
    return (struct cbor_reader){.start = items.data,
                                .next = items.data,
                                .end = items.size == 0 ? items.data : items.data + items.size,
                                .is_strict = false};
}

typedef enum cbor_kind {
    CBOR_UINT,
    CBOR_NEGATIVE,
    CBOR_BYTES,
    CBOR_TEXT,
    CBOR_ARRAY,
    CBOR_MAP,
    CBOR_TAG,
    CBOR_BOOL,
    CBOR_NULL,
    CBOR_FLOAT,
    CBOR_SIMPLE,  // undefined and unassigned simple values
    CBOR_END,     // nothing is left
} cbor_kind;

// What the next item is, from its first byte; its head may still turn out malformed.
enum cbor_kind cbor_peek(const struct cbor_reader *reader);
static inline bool cbor_at_end(const struct cbor_reader *reader) {
    return reader->next == reader->end;
}

// Each reads one item of its kind, or the head of one (array, map, tag). ERR_INVALID says at which
// byte what was found instead. Slices borrow from the input.
enum status cbor_read_uint(struct cbor_reader *reader, uint64_t *value,
                           struct error *error) MUST_CHECK;
// ERR_LIMIT for what does not fit into 64 bits with a sign.
enum status cbor_read_int(struct cbor_reader *reader, int64_t *value,
                          struct error *error) MUST_CHECK;
enum status cbor_read_bytes(struct cbor_reader *reader, struct slice *content,
                            struct error *error) MUST_CHECK;
// Does not check that the text is UTF-8; cbor_check with is_strict does.
enum status cbor_read_text(struct cbor_reader *reader, struct slice *content,
                           struct error *error) MUST_CHECK;
// `*count` items follow.
enum status cbor_read_array(struct cbor_reader *reader, uint64_t *count,
                            struct error *error) MUST_CHECK;
// `*count` pairs follow.
enum status cbor_read_map(struct cbor_reader *reader, uint64_t *count,
                          struct error *error) MUST_CHECK;
enum status cbor_read_tag(struct cbor_reader *reader, uint64_t *tag,
                          struct error *error) MUST_CHECK;
enum status cbor_read_bool(struct cbor_reader *reader, bool *value, struct error *error) MUST_CHECK;
enum status cbor_read_null(struct cbor_reader *reader, struct error *error) MUST_CHECK;
enum status cbor_read_float64(struct cbor_reader *reader, double *value,
                              struct error *error) MUST_CHECK;
// Reads null as "absent": consumes it and returns true, else leaves the reader alone.
bool cbor_take_null(struct cbor_reader *reader);
// Passes one whole item of any kind, with everything in it; nesting up to CBOR_DEPTH_MOST.
enum status cbor_skip(struct cbor_reader *reader, struct error *error) MUST_CHECK;
// The same, giving the bytes passed.
enum status cbor_read_item(struct cbor_reader *reader, struct slice *item,
                           struct error *error) MUST_CHECK;
// ERR_INVALID when something is left.
enum status cbor_read_end(const struct cbor_reader *reader, struct error *error) MUST_CHECK;

// `item` is exactly one well-formed item. With `is_strict` also in deterministic encoding: shortest
// heads and floats, map keys strictly ascending by their bytes, text valid UTF-8.
enum status cbor_check(struct slice item, bool is_strict, struct error *error) MUST_CHECK;

// ---- showing -----------------------------------------------------------------------------------

// Appends `item` as JSON for people to read: byte strings as {"text":…} when they are printable
// UTF-8 and {"hex":…} else; integer map keys become strings of digits, other keys that are not text
// "cbor:" and hexadecimal; tags {"tag":…,"value":…}; numbers that JSON lacks {"float":"NaN"}.
// Returns false after appending {"malformed":<hex>} for an item that cbor_check refuses.
bool cbor_to_json(struct slice item, struct buf *out);
// Appends `text` as a JSON string in quotes; bytes that are no UTF-8 become U+FFFD.
void cbor_json_text(struct slice text, struct buf *out);

#endif

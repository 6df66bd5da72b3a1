// SPDX-License-Identifier: Apache-2.0
// Reading, checking and showing CBOR. Nesting is followed with an explicit stack, never by
// recursion: the input may come from a guest or a damaged file.
#include "codec/cbor.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/utf8.h"

enum { MAJOR_UINT, MAJOR_NEGATIVE, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP, MAJOR_TAG };
enum { MAJOR_SIMPLE = 7 };
enum { INFO_ONE_BYTE = 24, INFO_HALF = 25, INFO_SINGLE = 26, INFO_DOUBLE = 27 };
enum { SIMPLE_FALSE = 20, SIMPLE_TRUE = 21, SIMPLE_NULL = 22 };

// ---- floats ------------------------------------------------------------------------------------

static double half_to_double(uint64_t half) {
    unsigned exponent = (unsigned)(half >> 10) & 31U;
    unsigned fraction = (unsigned)half & 1023U;
    double value = 0;
    if (exponent == 0) {
        value = ldexp(fraction, -24);
    } else if (exponent == 31) {
        value = fraction == 0 ? (double)INFINITY : (double)NAN;
    } else {
        value = ldexp(fraction + 1024U, (int)exponent - 25);
    }
    return (half & 0x8000U) != 0 ? -value : value;
}

static double single_to_double(uint64_t bits) {
    uint32_t narrow = (uint32_t)bits;
    float value = 0;
    memcpy(&value, &narrow, sizeof value);
    return (double)value;
}

static double bits_to_double(uint64_t bits) {
    double value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// The half whose value is `single` exactly, if there is one. Works on the bits of the single.
static bool single_to_half(uint32_t single, uint32_t *half) {
    uint32_t sign = (single >> 16) & 0x8000U;
    int exponent = (int)((single >> 23) & 255U) - 127;
    uint32_t fraction = single & 0x7fffffU;
    if (exponent == 128) {  // infinity; NaN never comes here
        *half = sign | 0x7c00U;
        return fraction == 0;
    }
    if (exponent == -127) {
        *half = sign;
        return fraction == 0;  // zero; a subnormal single is below every half
    }
    if (exponent > 15 || exponent < -24) {
        return false;
    }
    if (exponent >= -14) {
        *half = sign | (uint32_t)(exponent + 15) << 10 | fraction >> 13;
        return (fraction & 0x1fffU) == 0;
    }
    unsigned shift = (unsigned)(-1 - exponent);  // subnormal half: the unit is 2^-24
    uint32_t whole = fraction | 0x800000U;
    *half = sign | whole >> shift;
    return (whole & ((1U << shift) - 1U)) == 0;
}

// Writes the shortest exact form at `at` and returns its size, 3, 5 or 9 bytes.
static size_t put_float(uint8_t at[CBOR_HEAD_MOST_BYTES], double value) {
    if (isnan(value)) {
        memcpy(at, "\xf9\x7e\x00", 3);
        return 3;
    }
    bool fits = isinf(value) || fabs(value) <= 0x1.fffffep127;
    float narrow = fits ? (float)value : 0;
    if (fits && (double)narrow == value) {
        uint32_t single = 0;
        uint32_t half = 0;
        memcpy(&single, &narrow, sizeof single);
        bool is_half = single_to_half(single, &half);
        at[0] = is_half ? 0xf9 : 0xfa;
        (void)cbor_put_big_endian(at + 1, is_half ? half : single, is_half ? 2 : 4);
        return is_half ? 3 : 5;
    }
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    at[0] = 0xfb;
    (void)cbor_put_big_endian(at + 1, bits, 8);
    return 9;
}

void cbor_float64(struct buf *buf, double value) {
    buf->size += put_float(cbor_room(buf, CBOR_HEAD_MOST_BYTES), value);
}

// ---- heads -------------------------------------------------------------------------------------

struct head {
    unsigned major;
    unsigned info;
    uint64_t value;
    const uint8_t *content;  // behind the head
};

static enum status fail_at(const struct cbor_reader *reader, struct error *error,
                           const char *problem) {
    return error_set(error, ERR_INVALID, "CBOR byte %zu: %s",
                     (size_t)(reader->next - reader->start), problem);
}

static bool is_shortest(const struct head *head, const uint8_t *at) {
    if (head->major != MAJOR_SIMPLE) {
        return (size_t)(head->content - at) == cbor_head_bytes(head->value);
    }
    if (head->info <= INFO_ONE_BYTE) {
        return true;
    }
    uint8_t shortest[CBOR_HEAD_MOST_BYTES];
    double value = head->info == INFO_HALF     ? half_to_double(head->value)
                   : head->info == INFO_SINGLE ? single_to_double(head->value)
                                               : bits_to_double(head->value);
    size_t size = put_float(shortest, value);
    return size == (size_t)(head->content - at) && memcmp(shortest, at, size) == 0;
}

// Reads a head at the reader's position without moving it.
static enum status read_head(const struct cbor_reader *reader, struct head *head,
                             struct error *error) {
    const uint8_t *at = reader->next;
    if (at == reader->end) {
        return fail_at(reader, error, "the input ends where an item is expected");
    }
    head->major = *at >> 5;
    head->info = *at & 31U;
    at++;
    head->value = head->info;
    if (head->info >= INFO_ONE_BYTE) {
        if (head->info > INFO_DOUBLE) {
            return fail_at(
                reader, error,
                head->info == 31 ? "indefinite lengths are not accepted" : "reserved head");
        }
        size_t size = (size_t)1 << (head->info - INFO_ONE_BYTE);
        if ((size_t)(reader->end - at) < size) {
            return fail_at(reader, error, "the input ends inside a head");
        }
        head->value = 0;
        for (size_t i = 0; i < size; i++) {
            head->value = head->value << 8 | *at++;
        }
    }
    head->content = at;
    uint64_t left = (uint64_t)(reader->end - at);
    bool is_string = head->major == MAJOR_BYTES || head->major == MAJOR_TEXT;
    if ((is_string || head->major == MAJOR_ARRAY) && head->value > left) {
        return fail_at(reader, error, "the length is larger than the input");
    }
    if (head->major == MAJOR_MAP && head->value > left / 2) {
        return fail_at(reader, error, "the length is larger than the input");
    }
    if (head->major == MAJOR_SIMPLE && head->info == INFO_ONE_BYTE && head->value < 32) {
        return fail_at(reader, error, "reserved simple value");
    }
    if (reader->is_strict && !is_shortest(head, reader->next)) {
        return fail_at(reader, error, "not the shortest form");
    }
    return OK;
}

static enum status read_major(struct cbor_reader *reader, unsigned major, const char *problem,
                              struct head *head, struct error *error) {
    enum status status = read_head(reader, head, error);
    if (status != OK) {
        return status;
    }
    if (head->major != major) {
        return fail_at(reader, error, problem);
    }
    reader->next = head->content;
    return OK;
}

enum cbor_kind cbor_peek(const struct cbor_reader *reader) {
    static const enum cbor_kind kinds[] = {CBOR_UINT,  CBOR_NEGATIVE, CBOR_BYTES, CBOR_TEXT,
                                           CBOR_ARRAY, CBOR_MAP,      CBOR_TAG};
    if (cbor_at_end(reader)) {
        return CBOR_END;
    }
    unsigned major = *reader->next >> 5;
    unsigned info = *reader->next & 31U;
    if (major != MAJOR_SIMPLE) {
        return kinds[major];
    }
    if (info == SIMPLE_FALSE || info == SIMPLE_TRUE) {
        return CBOR_BOOL;
    }
    if (info == SIMPLE_NULL) {
        return CBOR_NULL;
    }
    return info >= INFO_HALF && info <= INFO_DOUBLE ? CBOR_FLOAT : CBOR_SIMPLE;
}

enum status cbor_read_uint(struct cbor_reader *reader, uint64_t *value, struct error *error) {
    struct head head;
    enum status status =
        read_major(reader, MAJOR_UINT, "an unsigned integer is expected", &head, error);
    if (status == OK) {
        *value = head.value;
    }
    return status;
}

enum status cbor_read_int(struct cbor_reader *reader, int64_t *value, struct error *error) {
    struct head head;
    enum status status = read_head(reader, &head, error);
    if (status != OK) {
        return status;
    }
    if (head.major != MAJOR_UINT && head.major != MAJOR_NEGATIVE) {
        return fail_at(reader, error, "an integer is expected");
    }
    if (head.value > INT64_MAX) {
        return error_set(error, ERR_LIMIT, "CBOR byte %zu: the integer needs more than 64 bits",
                         (size_t)(reader->next - reader->start));
    }
    reader->next = head.content;
    *value = head.major == MAJOR_UINT ? (int64_t)head.value : -1 - (int64_t)head.value;
    return OK;
}

static enum status read_string(struct cbor_reader *reader, unsigned major, const char *problem,
                               struct slice *content, struct error *error) {
    struct head head;
    enum status status = read_major(reader, major, problem, &head, error);
    if (status == OK) {
        *content = slice_of(head.content, (size_t)head.value);
        reader->next = head.content + head.value;
    }
    return status;
}

enum status cbor_read_bytes(struct cbor_reader *reader, struct slice *content,
                            struct error *error) {
    return read_string(reader, MAJOR_BYTES, "a byte string is expected", content, error);
}

enum status cbor_read_text(struct cbor_reader *reader, struct slice *content, struct error *error) {
    return read_string(reader, MAJOR_TEXT, "text is expected", content, error);
}

enum status cbor_read_array(struct cbor_reader *reader, uint64_t *count, struct error *error) {
    struct head head;
    enum status status = read_major(reader, MAJOR_ARRAY, "an array is expected", &head, error);
    if (status == OK) {
        *count = head.value;
    }
    return status;
}

enum status cbor_read_map(struct cbor_reader *reader, uint64_t *count, struct error *error) {
    struct head head;
    enum status status = read_major(reader, MAJOR_MAP, "a map is expected", &head, error);
    if (status == OK) {
        *count = head.value;
    }
    return status;
}

enum status cbor_read_tag(struct cbor_reader *reader, uint64_t *tag, struct error *error) {
    struct head head;
    enum status status = read_major(reader, MAJOR_TAG, "a tag is expected", &head, error);
    if (status == OK) {
        *tag = head.value;
    }
    return status;
}

enum status cbor_read_bool(struct cbor_reader *reader, bool *value, struct error *error) {
    if (cbor_peek(reader) != CBOR_BOOL) {
        return fail_at(reader, error, "true or false is expected");
    }
    *value = (*reader->next++ & 31U) == SIMPLE_TRUE;
    return OK;
}

enum status cbor_read_null(struct cbor_reader *reader, struct error *error) {
    return cbor_take_null(reader) ? OK : fail_at(reader, error, "null is expected");
}

bool cbor_take_null(struct cbor_reader *reader) {
    bool is_null = cbor_peek(reader) == CBOR_NULL;
    reader->next += is_null ? 1 : 0;
    return is_null;
}

static double head_float(const struct head *head) {
    assert(head->major == MAJOR_SIMPLE && head->info >= INFO_HALF);
    return head->info == INFO_HALF     ? half_to_double(head->value)
           : head->info == INFO_SINGLE ? single_to_double(head->value)
                                       : bits_to_double(head->value);
}

enum status cbor_read_float64(struct cbor_reader *reader, double *value, struct error *error) {
    if (cbor_peek(reader) != CBOR_FLOAT) {
        return fail_at(reader, error, "a floating-point number is expected");
    }
    struct head head;
    enum status status = read_head(reader, &head, error);
    if (status == OK) {
        *value = head_float(&head);
        reader->next = head.content;
    }
    return status;
}

enum status cbor_read_end(const struct cbor_reader *reader, struct error *error) {
    return cbor_at_end(reader) ? OK : fail_at(reader, error, "more input than the item needs");
}

// ---- UTF-8 -------------------------------------------------------------------------------------

// The size of the sequence at `at` (1 to 4 bytes, shortest form, no surrogate) and its code point;
// 0 when there is none.
static size_t utf8_next(const uint8_t *at, const uint8_t *end, uint32_t *point) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (*at < 0x80) {
        *point = *at;
        return 1;
    }
    size_t size = *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : 2;
    if (*at < 0xc2 || *at > 0xf4 || (size_t)(end - at) < size) {
        return 0;
    }
    uint32_t value = *at & (0x7fU >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0U) != 0x80) {
            return 0;
        }
        value = value << 6 | (at[i] & 0x3fU);
    }
    *point = value;
    bool is_bad = value < least[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff);
    return is_bad ? 0 : size;
}

static bool is_printable(struct slice text) {
    const uint8_t *end = text.size == 0 ? text.data : text.data + text.size;
    for (const uint8_t *at = text.data; at != end;) {
        uint32_t point = 0;
        size_t size = utf8_next(at, end, &point);
        bool is_control = (point < 32 && point != '\n' && point != '\t' && point != '\r') ||
                          (point >= 0x7f && point < 0xa0);
        if (size == 0 || is_control) {
            return false;
        }
        at += size;
    }
    return true;
}

// ---- walking -----------------------------------------------------------------------------------

// One open array, map or tag. In a map, keys and values alternate; a key is next when an even
// number of items is left.
struct level {
    uint64_t items_left;
    bool is_map;
    const uint8_t *key;         // where the current key began
    struct slice previous_key;  // data NULL before the first
};

// Bytewise order of encoded keys (RFC 8949, 4.2.1).
static bool is_before(struct slice a, struct slice b) {
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order < 0 || (order == 0 && a.size < b.size);
}

// The item that ends at `end` completes a key of `level`: it must follow the key before it.
static bool key_is_in_order(struct level *level, const uint8_t *end) {
    struct slice key = slice_of(level->key, (size_t)(end - level->key));
    bool is_good = level->previous_key.data == NULL || is_before(level->previous_key, key);
    level->previous_key = key;
    return is_good;
}

// Passes one item. With reader->is_strict, the deterministic rules hold for all in it.
static enum status walk(struct cbor_reader *reader, struct error *error) {
    struct level levels[CBOR_DEPTH_MOST];
    size_t depth = 0;
    do {
        struct level *top = depth == 0 ? NULL : &levels[depth - 1];
        bool is_key = top != NULL && top->is_map && top->items_left % 2 == 0;
        if (is_key) {
            top->key = reader->next;
        }
        struct head head;
        enum status status = read_head(reader, &head, error);
        if (status != OK) {
            return status;
        }
        if ((head.major == MAJOR_BYTES || head.major == MAJOR_TEXT)) {
            if (head.major == MAJOR_TEXT && reader->is_strict &&
                !utf8_is_valid(slice_of(head.content, (size_t)head.value))) {
                return fail_at(reader, error, "the text is not UTF-8");
            }
            head.content += head.value;
        }
        bool opens =
            head.major == MAJOR_ARRAY || head.major == MAJOR_MAP || head.major == MAJOR_TAG;
        if (opens && depth == CBOR_DEPTH_MOST) {
            return error_set(error, ERR_LIMIT, "CBOR byte %zu: nested deeper than %d",
                             (size_t)(reader->next - reader->start), CBOR_DEPTH_MOST);
        }
        reader->next = head.content;
        if (opens) {
            uint64_t items = head.major == MAJOR_TAG   ? 1
                             : head.major == MAJOR_MAP ? 2 * head.value
                                                       : head.value;
            levels[depth++] =
                (struct level){.items_left = items, .is_map = head.major == MAJOR_MAP};
            if (items != 0) {
                continue;
            }
            depth--;
        }
        // An item is complete; it may be the last one of the levels that hold it.
        while (depth != 0) {
            top = &levels[depth - 1];
            if (top->is_map && top->items_left % 2 == 0 && reader->is_strict &&
                !key_is_in_order(top, reader->next)) {
                return fail_at(reader, error, "the map key before here is not above the last one");
            }
            if (--top->items_left != 0) {
                break;
            }
            depth--;
        }
    } while (depth != 0);
    return OK;
}

enum status cbor_skip(struct cbor_reader *reader, struct error *error) {
    const uint8_t *start = reader->next;
    enum status status = walk(reader, error);
    if (status != OK) {
        reader->next = start;
    }
    return status;
}

enum status cbor_read_item(struct cbor_reader *reader, struct slice *item, struct error *error) {
    const uint8_t *start = reader->next;
    enum status status = cbor_skip(reader, error);
    if (status == OK) {
        *item = slice_of(start, (size_t)(reader->next - start));
    }
    return status;
}

enum status cbor_check(struct slice item, bool is_strict, struct error *error) {
    struct cbor_reader reader = cbor_reader_of(item);
    reader.is_strict = is_strict;
    enum status status = walk(&reader, error);
    return status == OK ? cbor_read_end(&reader, error) : status;
}

// ---- showing -----------------------------------------------------------------------------------

static void append_hex(struct buf *out, struct slice content) {
    static const char digits[] = "0123456789abcdef";
    uint8_t *at = buf_reserve(out, 2 * content.size);
    for (size_t i = 0; i < content.size; i++) {
        *at++ = (uint8_t)digits[content.data[i] >> 4];
        *at++ = (uint8_t)digits[content.data[i] & 15U];
    }
    out->size += 2 * content.size;
}

void cbor_json_text(struct slice text, struct buf *out) {
    const uint8_t *end = text.size == 0 ? text.data : text.data + text.size;
    buf_append_byte(out, '"');
    for (const uint8_t *at = text.data; at != end;) {
        uint32_t point = 0;
        size_t size = utf8_next(at, end, &point);
        if (size == 0) {
            buf_append_text(out, "\xef\xbf\xbd");
            at++;
            continue;
        }
        if (point == '"' || point == '\\') {
            buf_append_byte(out, '\\');
            buf_append_byte(out, *at);
        } else if (point == '\n') {
            buf_append_text(out, "\\n");
        } else if (point < 32 || (point >= 0x7f && point < 0xa0)) {
            buf_format(out, "\\u%04x", (unsigned)point);
        } else {
            buf_append(out, at, size);
        }
        at += size;
    }
    buf_append_byte(out, '"');
}

static void show_float(double value, struct buf *out) {
    if (isnan(value) || isinf(value)) {
        buf_format(out, "{\"float\":\"%s\"}",
                   isnan(value) ? "NaN"
                   : value > 0  ? "Infinity"
                                : "-Infinity");
        return;
    }
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {  // the fewest that give the same number back
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    buf_append_text(out, text);
}

// An item that holds no others; moves behind it.
static void show_plain(struct cbor_reader *reader, const struct head *head, struct buf *out) {
    reader->next = head->content;
    struct slice content = slice_of(head->content, 0);
    if (head->major == MAJOR_BYTES || head->major == MAJOR_TEXT) {
        content.size = (size_t)head->value;
        reader->next += content.size;
    }
    if (head->major == MAJOR_UINT) {
        buf_format(out, "%" PRIu64, head->value);
    } else if (head->major == MAJOR_NEGATIVE && head->value == UINT64_MAX) {
        buf_append_text(out, "-18446744073709551616");
    } else if (head->major == MAJOR_NEGATIVE) {
        buf_format(out, "-%" PRIu64, head->value + 1);
    } else if (head->major == MAJOR_TEXT) {
        cbor_json_text(content, out);
    } else if (head->major == MAJOR_BYTES && is_printable(content)) {
        buf_append_text(out, "{\"text\":");
        cbor_json_text(content, out);
        buf_append_byte(out, '}');
    } else if (head->major == MAJOR_BYTES) {
        buf_append_text(out, "{\"hex\":\"");
        append_hex(out, content);
        buf_append_text(out, "\"}");
    } else if (head->info >= INFO_HALF) {
        show_float(head_float(head), out);
    } else if (head->value == SIMPLE_FALSE || head->value == SIMPLE_TRUE) {
        buf_append_text(out, head->value == SIMPLE_TRUE ? "true" : "false");
    } else if (head->value == SIMPLE_NULL) {
        buf_append_text(out, "null");
    } else {
        buf_format(out, "{\"simple\":%" PRIu64 "}", head->value);
    }
}

// A map key, as a JSON string; moves behind it.
static void show_key(struct cbor_reader *reader, const struct head *head, struct buf *out) {
    if (head->major == MAJOR_TEXT) {
        show_plain(reader, head, out);
    } else if (head->major == MAJOR_UINT || head->major == MAJOR_NEGATIVE) {
        buf_append_byte(out, '"');
        show_plain(reader, head, out);
        buf_append_byte(out, '"');
    } else {
        const uint8_t *start = reader->next;
        enum status status = walk(reader, NULL);
        assert(status == OK);  // the caller checked the whole item
        (void)status;
        buf_append_text(out, "\"cbor:");
        append_hex(out, slice_of(start, (size_t)(reader->next - start)));
        buf_append_byte(out, '"');
    }
    buf_append_byte(out, ':');
}

struct shown_level {
    uint64_t items_left;
    unsigned major;
};

// Closes the levels that the item just shown completes, or separates it from the next one.
static size_t close_levels(struct shown_level *levels, size_t depth, struct buf *out) {
    while (depth != 0) {
        struct shown_level *top = &levels[depth - 1];
        if (--top->items_left != 0) {
            buf_append_byte(out, ',');
            break;
        }
        buf_append_byte(out, top->major == MAJOR_ARRAY ? ']' : '}');
        depth--;
    }
    return depth;
}

bool cbor_to_json(struct slice item, struct buf *out) {
    if (cbor_check(item, false, NULL) != OK) {
        buf_append_text(out, "{\"malformed\":\"");
        append_hex(out, item);
        buf_append_text(out, "\"}");
        return false;
    }
    struct cbor_reader reader = cbor_reader_of(item);
    struct shown_level levels[CBOR_DEPTH_MOST];
    size_t depth = 0;
    do {
        struct head head;
        enum status status = read_head(&reader, &head, NULL);
        assert(status == OK);
        if (depth != 0 && levels[depth - 1].major == MAJOR_MAP) {
            show_key(&reader, &head, out);
            status = read_head(&reader, &head, NULL);
            assert(status == OK);
        }
        (void)status;
        if (head.major < MAJOR_ARRAY || head.major > MAJOR_TAG) {
            show_plain(&reader, &head, out);
        } else {
            reader.next = head.content;
            uint64_t count = head.major == MAJOR_TAG ? 1 : head.value;
            if (head.major == MAJOR_TAG) {
                buf_format(out, "{\"tag\":%" PRIu64 ",\"value\":", head.value);
            } else {
                buf_append_byte(out, head.major == MAJOR_ARRAY ? '[' : '{');
            }
            if (count != 0) {
                levels[depth++] = (struct shown_level){.items_left = count, .major = head.major};
                continue;
            }
            buf_append_byte(out, head.major == MAJOR_ARRAY ? ']' : '}');
        }
        depth = close_levels(levels, depth, out);
    } while (depth != 0);
    return true;
}

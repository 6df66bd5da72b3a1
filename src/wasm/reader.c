// SPDX-License-Identifier: Apache-2.0
// Primitive reads of the binary format (core specification, 5.2): integers in LEB128 with the
// strict rules (no more bytes than the width needs, unused bits a sign extension), names, counts,
// types.
#include "wasm/reader.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "codec/utf8.h"
#include "wasm/wasm.h"

void wasm_reader_fail(struct reader *r, size_t at, enum status status, const char *format, ...) {
    assert(status != OK);
    if (!reader_ok(r))
        return;
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (r->in_function)
        r->status = error_set(r->error, status, "byte %zu, function %u: %s", at, r->function, text);
    else
        r->status = error_set(r->error, status, "byte %zu: %s", at, text);
}

uint8_t wasm_reader_byte(struct reader *r) {
    if (!reader_ok(r))
        return 0;
    if (r->at >= r->end) {
        wasm_reader_fail(r, r->at, ERR_INVALID, "unexpected end");
        return 0;
    }
    return r->data[r->at++];
}

static uint64_t leb(struct reader *r, unsigned width, bool is_signed) {
    size_t start = r->at;
    uint64_t value = 0;
    for (unsigned shift = 0; reader_ok(r); shift += 7) {
        uint8_t byte = reader_byte(r);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (shift + 7 < width) {
            if ((byte & 0x80) != 0)
                continue;
            bool negative = is_signed && (byte & 0x40) != 0;
            return negative ? value | UINT64_MAX << (shift + 7) : value;
        }
        // The last byte that the width allows: no continuation, and the bits beyond the width are
        // zero, or copies of the sign.
        unsigned used = width - shift;
        uint8_t beyond = (uint8_t)((byte & 0x7f) >> (is_signed ? used - 1 : used));
        uint8_t all_ones = (uint8_t)(0x7f >> (is_signed ? used - 1 : used));
        bool negative = is_signed && beyond == all_ones;
        if (beyond != 0 && !negative)
            wasm_reader_fail(r, start, ERR_INVALID, "integer too large");
        else if ((byte & 0x80) != 0)
            wasm_reader_fail(r, start, ERR_INVALID, "integer representation too long");
        return negative && width < 64 ? value | UINT64_MAX << width : value;
    }
    return 0;
}

uint32_t wasm_reader_u32(struct reader *r) {
    return (uint32_t)leb(r, 32, false);
}

void wasm_reader_s32(struct reader *r) {
    (void)leb(r, 32, true);
}

int64_t wasm_reader_s33(struct reader *r) {
    return (int64_t)leb(r, 33, true);
}

void wasm_reader_s64(struct reader *r) {
    (void)leb(r, 64, true);
}

void wasm_reader_skip(struct reader *r, uint64_t size) {
    if (!reader_ok(r))
        return;
    assert(r->at <= r->end);
    if (size > r->end - r->at) {
        wasm_reader_fail(r, r->at, ERR_INVALID, "unexpected end: %llu bytes announced, %zu left",
                         (unsigned long long)size, r->end - r->at);
        return;
    }
    r->at += (size_t)size;
}

uint32_t wasm_reader_count(struct reader *r, const char *what, uint32_t limit) {
    size_t start = r->at;
    uint32_t count = wasm_reader_u32(r);
    if (reader_ok(r) && count > limit)
        wasm_reader_fail(r, start, ERR_LIMIT, "%u %s, at most %u are allowed", count, what, limit);
    // Every entry takes a byte at least, so a larger count is damage, found before memory is taken.
    if (reader_ok(r) && count > r->end - r->at)
        wasm_reader_fail(r, start, ERR_INVALID, "%u %s announced, %zu bytes left", count, what,
                         r->end - r->at);
    return reader_ok(r) ? count : 0;
}

struct slice wasm_reader_name(struct reader *r) {
    uint32_t size = wasm_reader_u32(r);
    size_t start = r->at;
    wasm_reader_skip(r, size);
    if (!reader_ok(r))
        return slice_of(NULL, 0);
    if (!utf8_is_valid(slice_of(r->data + start, size)))
        wasm_reader_fail(r, start, ERR_INVALID, "malformed UTF-8 encoding in a name");
    return slice_of(r->data + start, size);
}

static void fail_type(struct reader *r, size_t at, uint8_t byte) {
    const char *feature = NULL;
    if (byte == 0x7b)
        feature = "SIMD";
    else if (byte == 0x69 || byte == 0x74)
        feature = "exceptions";
    else if (byte == 0x63 || byte == 0x64)
        feature = "typed function references";
    else if ((byte >= 0x6a && byte <= 0x6e) || (byte >= 0x71 && byte <= 0x73) || byte == 0x78 ||
             byte == 0x77)
        feature = "GC";
    if (feature != NULL)
        wasm_reader_fail(r, at, ERR_UNSUPPORTED, "%s (type 0x%02x) is not supported", feature,
                         byte);
    else
        wasm_reader_fail(r, at, ERR_INVALID, "unknown type 0x%02x", byte);
}

uint8_t wasm_reader_value_type(struct reader *r) {
    size_t at = r->at;
    uint8_t byte = wasm_reader_byte(r);
    if (reader_ok(r) && (byte < WASM_F64 || byte > WASM_I32) && byte != WASM_FUNCREF &&
        byte != WASM_EXTERNREF)
        fail_type(r, at, byte);
    return byte;
}

uint8_t wasm_reader_ref_type(struct reader *r) {
    size_t at = r->at;
    uint8_t byte = wasm_reader_byte(r);
    if (reader_ok(r) && byte != WASM_FUNCREF && byte != WASM_EXTERNREF)
        fail_type(r, at, byte);
    return byte;
}

// SPDX-License-Identifier: Apache-2.0
// Primitive reads of the binary format (core specification, 5.2): integers in LEB128 with the
// strict rules (no more bytes than the width needs, unused bits a sign extension), names, counts.
#include "wasm/reader.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

void wasm_reader_fail(struct reader *r, size_t at, enum status status, const char *format, ...) {
    assert(status != OK);
    if (!reader_ok(r))
        return;
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
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
        uint8_t byte = wasm_reader_byte(r);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (shift + 7 < width) {
            if ((byte & 0x80) == 0)
                return value;
            continue;
        }
        // The last byte that the width allows: no continuation, and the bits beyond the width are
        // zero, or copies of the sign.
        unsigned used = width - shift;
        uint8_t beyond = (uint8_t)((byte & 0x7f) >> (is_signed ? used - 1 : used));
        uint8_t all_ones = (uint8_t)(0x7f >> (is_signed ? used - 1 : used));
        bool clean = beyond == 0 || (is_signed && beyond == all_ones);
        if ((byte & 0x80) != 0)
            wasm_reader_fail(r, start, ERR_INVALID, "integer representation too long");
        else if (!clean)
            wasm_reader_fail(r, start, ERR_INVALID, "integer too large");
        return value;
    }
    return 0;
}

uint32_t wasm_reader_u32(struct reader *r) {
    return (uint32_t)leb(r, 32, false);
}

void wasm_reader_s32(struct reader *r) {
    (void)leb(r, 32, true);
}

void wasm_reader_s33(struct reader *r) {
    (void)leb(r, 33, true);
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

// Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, at most U+10FFFF.
static bool is_utf8(const uint8_t *text, size_t size) {
    for (size_t i = 0; i < size;) {
        uint8_t lead = text[i];
        size_t more = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : 3;
        uint32_t code = more == 0 ? lead : lead & (0x3fu >> more);
        if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || more > size - i - 1)
            return false;
        for (size_t k = 1; k <= more; k++) {
            if ((text[i + k] & 0xc0) != 0x80)
                return false;
            code = code << 6 | (text[i + k] & 0x3fu);
        }
        bool overlong = (more == 2 && code < 0x800) || (more == 3 && code < 0x10000);
        if (overlong || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff)
            return false;
        i += more + 1;
    }
    return true;
}

struct slice wasm_reader_name(struct reader *r) {
    uint32_t size = wasm_reader_u32(r);
    size_t start = r->at;
    wasm_reader_skip(r, size);
    if (!reader_ok(r))
        return slice_of(NULL, 0);
    if (!is_utf8(r->data + start, size))
        wasm_reader_fail(r, start, ERR_INVALID, "malformed UTF-8 encoding in a name");
    return slice_of(r->data + start, size);
}

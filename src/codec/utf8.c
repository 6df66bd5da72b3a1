// SPDX-License-Identifier: Apache-2.0
// UTF-8 validation after the table of well-formed sequences in RFC 3629 §4; see utf8.h.
#include "codec/utf8.h"

#include <assert.h>

// Size of the sequence at `at`, 0 when it is not well-formed. The range of the second byte is what
// keeps out overlong forms (E0, F0), surrogates (ED) and values above U+10FFFF (F4).
static size_t sequence_size(const uint8_t *at, size_t left) {
    uint8_t lead = at[0], low = 0x80, high = 0xBF;
    size_t size;
    if (lead < 0x80) {
        return 1;
    } else if (lead >= 0xC2 && lead <= 0xDF) {
        size = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        size = 3;
        low = lead == 0xE0 ? 0xA0 : low;
        high = lead == 0xED ? 0x9F : high;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        size = 4;
        low = lead == 0xF0 ? 0x90 : low;
        high = lead == 0xF4 ? 0x8F : high;
    } else {
        return 0;
    }
    if (left < size || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xC0U) != 0x80U) {
            return 0;
        }
    }
    return size;
}

size_t utf8_valid_prefix(struct slice text) {
    size_t at = 0;
    while (at < text.size) {
        uint64_t eight;
        if (text.size - at >= sizeof eight) {  // most text is ASCII: eight bytes at a time
            memcpy(&eight, text.data + at, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        size_t size = sequence_size(text.data + at, text.size - at);
        if (size == 0) {
            return at;
        }
        at += size;
    }
    return at;
}

size_t utf8_encode(uint32_t scalar, uint8_t out[4]) {
    assert(scalar <= 0x10FFFF && (scalar < 0xD800 || scalar > 0xDFFF));
    if (scalar < 0x80) {
        out[0] = (uint8_t)scalar;
        return 1;
    }
    size_t size = scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80U | (scalar & 0x3FU));
        scalar >>= 6;
    }
    static const uint8_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    out[0] = (uint8_t)(leads[size] | scalar);
    return size;
}

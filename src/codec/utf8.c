// SPDX-License-Identifier: Apache-2.0
// UTF-8 validation after the table of well-formed sequences in RFC 3629 §4; see utf8.h.
#include "codec/utf8.h"

#include <assert.h>

// Begins a character by its first byte: false when none begins so. The range of the second byte is
// what keeps out overlong forms (E0, F0), surrogates (ED) and values above U+10FFFF (F4).
static bool begin_character(struct utf8_stream *stream, uint8_t lead) {
    if (lead < 0x80) {
        stream->left = 0;
    } else if (lead >= 0xC2 && lead <= 0xDF) {
        stream->left = 1;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        stream->left = 2;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        stream->left = 3;
    } else {
        return false;
    }
    stream->low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    stream->high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    return true;
}

static bool continue_character(struct utf8_stream *stream, uint8_t byte) {
    if (byte < stream->low || byte > stream->high) {
        return false;
    }
    stream->left--;
    stream->low = 0x80;
    stream->high = 0xBF;
    return true;
}

// Most text is ASCII: eight bytes at a time.
static bool is_eight_ascii(struct slice text, size_t at) {
    uint64_t eight;
    if (text.size - at < sizeof eight) {
        return false;
    }
    memcpy(&eight, text.data + at, sizeof eight);
    return (eight & UINT64_C(0x8080808080808080)) == 0;
}

bool utf8_stream_add(struct utf8_stream *stream, struct slice piece) {
    size_t at = 0;
    while (at < piece.size) {
        if (stream->left == 0 && is_eight_ascii(piece, at)) {
            at += sizeof(uint64_t);
            continue;
        }
        bool is_valid = stream->left == 0 ? begin_character(stream, piece.data[at])
                                          : continue_character(stream, piece.data[at]);
        if (!is_valid) {
            return false;
        }
        at++;
    }
    return true;
}

// Size of the sequence at `at`, 0 when it is not well-formed.
static size_t sequence_size(const uint8_t *at, size_t left) {
    struct utf8_stream stream = {0};
    if (!begin_character(&stream, at[0])) {
        return 0;
    }
    size_t size = 1;
    while (stream.left > 0 && size < left && continue_character(&stream, at[size])) {
        size++;
    }
    return stream.left == 0 ? size : 0;
}

size_t utf8_valid_prefix(struct slice text) {
    size_t at = 0;
    while (at < text.size) {
        if (is_eight_ascii(text, at)) {
            at += sizeof(uint64_t);
            continue;
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

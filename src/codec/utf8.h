// SPDX-License-Identifier: Apache-2.0
// UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef CODEC_UTF8_H
#define CODEC_UTF8_H

#include <stdbool.h>

#include "base/bytes.h"

// How many bytes at the front of `text` are valid: `text.size` when all are.
size_t utf8_valid_prefix(struct slice text);
static inline bool utf8_is_valid(struct slice text) {
    return utf8_valid_prefix(text) == text.size;
}

// Text that comes in pieces, which may end within a character. Zero-initialised is the beginning.
struct utf8_stream {
    uint8_t left;       // bytes that the last character still needs
    uint8_t low, high;  // what the next of them may be
};
// Whether what came so far, with `piece`, is valid or may become so: false as soon as no further
// piece could make it valid. The stream is not to be used after that.
bool utf8_stream_add(struct utf8_stream *stream, struct slice piece);
// Whether the text may end here.
static inline bool utf8_stream_is_complete(const struct utf8_stream *stream) {
    return stream->left == 0;
}

// Writes the UTF-8 form of a scalar value (not a surrogate, at most 0x10FFFF) and gives its size.
size_t utf8_encode(uint32_t scalar, uint8_t out[4]);

#endif

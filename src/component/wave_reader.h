// SPDX-License-Identifier: Apache-2.0
// What the two halves of the WAVE reader share: wave_read.c follows the types, wave_token.c reads
// words, numbers, characters and strings. Private to wave_*.c.
#ifndef COMPONENT_WAVE_READER_H
#define COMPONENT_WAVE_READER_H

#include "component/wave.h"

struct wave_reader {
    const uint8_t *data;  // well-formed UTF-8
    size_t size;
    size_t at;  // next byte
    struct arena *arena;
    struct buf stack;    // parts of values that are not complete yet; malloc'd
    enum status status;  // the first error sticks
    struct error *error;
};

// Sets the error, with the position of byte `at`, unless one is set; returns false.
bool wave_fail(struct wave_reader *reader, size_t at, const char *format, ...) PRINTF_LIKE(3, 4);
// "expected WHAT, found …" at the next byte; returns false.
bool wave_expected(struct wave_reader *reader, const char *what);
// ERR_LIMIT; returns false.
bool wave_no_room(struct wave_reader *reader);

// Skips space and comments.
void wave_skip(struct wave_reader *reader);
// The next byte, 0 at the end.
static inline int wave_peek(const struct wave_reader *reader) {
    return reader->at < reader->size ? reader->data[reader->at] : 0;
}
// Skips space; takes this byte when it is next.
bool wave_take(struct wave_reader *reader, char byte);

// A label or keyword; `is_escaped` when it began with %, which is not part of `text`.
struct wave_word {
    struct slice text;
    size_t at;
    bool is_escaped;
};
// Skips space and takes a word; false, without an error, when there is none.
bool wave_word(struct wave_reader *reader, struct wave_word *out);
// The same without taking it.
bool wave_peek_word(struct wave_reader *reader, struct wave_word *out);

// Skips space and takes a number, inf, -inf or nan. Integers: sign-extended bits, checked against
// the kind's range. Floats: bits, rounded to nearest.
bool wave_number(struct wave_reader *reader, enum component_kind kind, uint64_t *bits);
// 'c'
bool wave_char(struct wave_reader *reader, uint64_t *scalar);
// A string in either form, its content appended to the reader's stack.
bool wave_string(struct wave_reader *reader);

#endif

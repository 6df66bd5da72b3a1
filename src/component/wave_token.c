// SPDX-License-Identifier: Apache-2.0
// The words of WAVE: space and comments, labels, numbers, characters, strings; and the sentence
// that an error is.
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/hex.h"
#include "codec/utf8.h"
#include "component/text.h"
#include "component/wave_reader.h"

// ---- errors ------------------------------------------------------------------------------------

bool wave_fail(struct wave_reader *reader, size_t at, const char *format, ...) {
    if (reader->status != OK) {
        return false;
    }
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < at; i++) {
        if (reader->data[i] == '\n') {
            line++;
            column = 1;
        } else if ((reader->data[i] & 0xc0U) != 0x80U) {
            column++;
        }
    }
    char text[768];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reader->status =
        error_set(reader->error, ERR_INVALID, "%zu:%zu (byte %zu): %s", line, column, at, text);
    return false;
}

// What stands at the next byte, for "found …": a word, a number or one character.
static void describe_next(const struct wave_reader *reader, char out[64]) {
    enum { MOST = 24 };
    size_t end = reader->at;
    while (end < reader->size && end - reader->at < MOST && reader->data[end] > ' ' &&
           strchr("()[]{},:", reader->data[end]) == NULL) {
        end++;
    }
    if (reader->at == reader->size) {
        (void)snprintf(out, 64, "the end");
        return;
    }
    bool is_cut = end - reader->at == MOST;
    if (end == reader->at) {
        end++;
    }
    struct slice token = slice_of(reader->data + reader->at, end - reader->at);
    token.size = utf8_valid_prefix(token);
    uint8_t first = reader->data[reader->at];
    if (first < ' ' || first == 0x7f) {
        (void)snprintf(out, 64, "byte 0x%02x", first);
    } else {
        (void)snprintf(out, 64, "'%.*s%s'", (int)token.size, (const char *)token.data,
                       is_cut ? "…" : "");
    }
}

bool wave_expected(struct wave_reader *reader, const char *what) {
    wave_skip(reader);
    char found[64];
    describe_next(reader, found);
    return wave_fail(reader, reader->at, "expected %s, found %s", what, found);
}

bool wave_no_room(struct wave_reader *reader) {
    if (reader->status == OK) {
        reader->status =
            error_set(reader->error, ERR_LIMIT, "the values take more than the limit of %llu bytes",
                      (unsigned long long)reader->arena->limit_bytes);
    }
    return false;
}

// ---- space and words ---------------------------------------------------------------------------

static bool has_text(const struct wave_reader *reader, const char *text) {
    size_t size = strlen(text);
    return reader->size - reader->at >= size && memcmp(reader->data + reader->at, text, size) == 0;
}

void wave_skip(struct wave_reader *reader) {
    for (;;) {
        int byte = wave_peek(reader);
        if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r') {
            reader->at++;
        } else if (byte == '/' && has_text(reader, "//")) {
            const uint8_t *end = memchr(reader->data + reader->at, '\n', reader->size - reader->at);
            reader->at = end == NULL ? reader->size : (size_t)(end - reader->data);
        } else {
            return;
        }
    }
}

bool wave_take(struct wave_reader *reader, char byte) {
    wave_skip(reader);
    if (reader->at == reader->size || reader->data[reader->at] != (uint8_t)byte) {
        return false;
    }
    reader->at++;
    return true;
}

static bool is_letter(int byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_digit(int byte) {
    return byte >= '0' && byte <= '9';
}

bool wave_word(struct wave_reader *reader, struct wave_word *out) {
    wave_skip(reader);
    size_t begin = reader->at;
    bool is_escaped = wave_peek(reader) == '%';
    size_t at = begin + (is_escaped ? 1 : 0);
    size_t end = at;
    if (end < reader->size && is_letter(reader->data[end])) {
        while (end < reader->size && (is_letter(reader->data[end]) || is_digit(reader->data[end]) ||
                                      reader->data[end] == '-')) {
            end++;
        }
    }
    if (end == at) {
        return false;
    }
    *out = (struct wave_word){
        .text = slice_of(reader->data + at, end - at), .at = begin, .is_escaped = is_escaped};
    reader->at = end;
    return true;
}

bool wave_peek_word(struct wave_reader *reader, struct wave_word *out) {
    wave_skip(reader);
    size_t at = reader->at;
    bool has = wave_word(reader, out);
    reader->at = at;
    return has;
}

bool wave_is_keyword(struct slice word) {
    static const char *const KEYWORDS[] = {"true", "false", "inf", "nan",
                                           "some", "none",  "ok",  "err"};
    for (size_t i = 0; i < COUNT_OF(KEYWORDS); i++) {
        if (slice_equal_text(word, KEYWORDS[i])) {
            return true;
        }
    }
    return false;
}

// ---- numbers -----------------------------------------------------------------------------------

// The bounds of the integer kinds; what has no sign has a least of 0.
static const struct {
    const char *name;
    int64_t least;
    uint64_t most;
} RANGES[] = {
    [COMPONENT_S8] = {"s8", INT8_MIN, INT8_MAX},     [COMPONENT_U8] = {"u8", 0, UINT8_MAX},
    [COMPONENT_S16] = {"s16", INT16_MIN, INT16_MAX}, [COMPONENT_U16] = {"u16", 0, UINT16_MAX},
    [COMPONENT_S32] = {"s32", INT32_MIN, INT32_MAX}, [COMPONENT_U32] = {"u32", 0, UINT32_MAX},
    [COMPONENT_S64] = {"s64", INT64_MIN, INT64_MAX}, [COMPONENT_U64] = {"u64", 0, UINT64_MAX},
};

static bool out_of_range(struct wave_reader *reader, size_t at, enum component_kind kind) {
    return wave_fail(reader, at, "expected %s, which goes from %lld to %llu", RANGES[kind].name,
                     (long long)RANGES[kind].least, (unsigned long long)RANGES[kind].most);
}

// How many bytes at reader->at make a number: integer, then fraction and exponent (*is_integer is
// false). 0 when there is none.
static size_t number_size(const struct wave_reader *reader, bool *is_integer) {
    const uint8_t *data = reader->data;
    size_t at = reader->at;
    *is_integer = true;
    if (at < reader->size && data[at] == '-') {
        at++;
    }
    size_t digits = at;
    while (at < reader->size && is_digit(data[at])) {
        at++;
    }
    // No leading zeros, as in JSON.
    if (at == digits || (data[digits] == '0' && at - digits > 1)) {
        return 0;
    }
    if (at + 1 < reader->size && data[at] == '.' && is_digit(data[at + 1])) {
        *is_integer = false;
        for (at++; at < reader->size && is_digit(data[at]);) {
            at++;
        }
    }
    if (at < reader->size && (data[at] == 'e' || data[at] == 'E')) {
        size_t exponent = at + 1;
        if (exponent < reader->size && (data[exponent] == '+' || data[exponent] == '-')) {
            exponent++;
        }
        if (exponent < reader->size && is_digit(data[exponent])) {
            *is_integer = false;
            for (at = exponent; at < reader->size && is_digit(data[at]);) {
                at++;
            }
        }
    }
    // "12x" and "1.2.3" are no numbers followed by something.
    bool ends = at == reader->size || !(is_letter(data[at]) || is_digit(data[at]) ||
                                        data[at] == '.' || data[at] == '-' || data[at] == '_');
    return ends ? at - reader->at : 0;
}

static bool read_integer(struct wave_reader *reader, enum component_kind kind, uint64_t *bits) {
    bool is_integer;
    size_t begin = reader->at;
    size_t size = number_size(reader, &is_integer);
    if (size == 0 || !is_integer) {
        return wave_expected(reader, RANGES[kind].name);
    }
    bool is_negative = reader->data[begin] == '-';
    uint64_t value = 0;
    for (size_t i = begin + (is_negative ? 1 : 0); i < begin + size; i++) {
        uint64_t digit = reader->data[i] - (uint64_t)'0';
        if (value > (UINT64_MAX - digit) / 10) {
            return out_of_range(reader, begin, kind);
        }
        value = value * 10 + digit;
    }
    uint64_t most = is_negative ? -(uint64_t)RANGES[kind].least : RANGES[kind].most;
    if (value > most) {
        return out_of_range(reader, begin, kind);
    }
    *bits = is_negative ? -value : value;
    reader->at += size;
    return true;
}

static uint64_t float_bits(enum component_kind kind, const char *text, bool *is_over) {
    // The decimal point is that of WAVE, whatever the process's locale says.
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    uint64_t bits = 0;
    if (kind == COMPONENT_F32) {
        float value = strtof_l(text, NULL, plain);
        uint32_t half;
        memcpy(&half, &value, sizeof half);
        bits = half;
        *is_over = (half & 0x7fffffffu) == 0x7f800000u;
    } else {
        double value = strtod_l(text, NULL, plain);
        memcpy(&bits, &value, sizeof bits);
        *is_over = (bits & INT64_MAX) == UINT64_C(0x7ff0000000000000);
    }
    freelocale(plain);
    return bits;
}

static bool read_float(struct wave_reader *reader, enum component_kind kind, uint64_t *bits) {
    static const struct {
        const char *text;
        uint64_t f32;
        uint64_t f64;
    } NAMED[] = {{"nan", 0x7fc00000, UINT64_C(0x7ff8000000000000)},
                 {"inf", 0x7f800000, UINT64_C(0x7ff0000000000000)},
                 {"-inf", 0xff800000, UINT64_C(0xfff0000000000000)}};
    const char *name = kind == COMPONENT_F32 ? "f32" : "f64";
    size_t begin = reader->at;
    bool is_negative = wave_peek(reader) == '-';
    reader->at += is_negative ? 1 : 0;
    struct wave_word word;
    if (wave_peek(reader) != '%' && is_letter(wave_peek(reader)) && wave_word(reader, &word)) {
        struct slice text = slice_of(reader->data + begin, reader->at - begin);
        for (size_t i = 0; i < COUNT_OF(NAMED); i++) {
            if (slice_equal_text(text, NAMED[i].text)) {
                *bits = kind == COMPONENT_F32 ? NAMED[i].f32 : NAMED[i].f64;
                return true;
            }
        }
    }
    reader->at = begin;
    bool is_integer;
    size_t size = number_size(reader, &is_integer);
    if (size == 0) {
        return wave_expected(reader, name);
    }
    char *text = xstrndup(reader->data + begin, size);
    bool is_over;
    *bits = float_bits(kind, text, &is_over);
    free(text);
    if (is_over) {
        return wave_fail(reader, begin, "the number is too large for %s (inf is infinity)", name);
    }
    reader->at += size;
    return true;
}

bool wave_number(struct wave_reader *reader, enum component_kind kind, uint64_t *bits) {
    wave_skip(reader);
    bool is_float = kind == COMPONENT_F32 || kind == COMPONENT_F64;
    return is_float ? read_float(reader, kind, bits) : read_integer(reader, kind, bits);
}

// ---- characters and strings --------------------------------------------------------------------

// Behind "\u".
static bool read_unicode_escape(struct wave_reader *reader, size_t begin, uint32_t *scalar) {
    uint32_t value = 0;
    size_t digits = 0;
    if (wave_peek(reader) == '{') {
        for (reader->at++; hex_read_digit(wave_peek(reader)) >= 0; reader->at++, digits++) {
            // Stays above every scalar once it is.
            value =
                value > 0x10ffff ? value : value << 4 | (uint32_t)hex_read_digit(wave_peek(reader));
        }
    }
    if (digits == 0 || wave_peek(reader) != '}') {
        return wave_fail(reader, begin, "a Unicode escape is written \\u{1f3ad}");
    }
    reader->at++;
    if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        return wave_fail(reader, begin, "the escape names no Unicode scalar value");
    }
    *scalar = value;
    return true;
}

static bool read_escape(struct wave_reader *reader, uint32_t *scalar) {
    static const char FROM[] = "'\"\\tnr";
    static const char TO[] = "'\"\\\t\n\r";
    size_t begin = reader->at++;
    int byte = wave_peek(reader);
    const char *found = byte == 0 ? NULL : strchr(FROM, byte);
    if (found != NULL) {
        reader->at++;
        *scalar = (uint8_t)TO[found - FROM];
        return true;
    }
    if (byte == 'u') {
        reader->at++;
        return read_unicode_escape(reader, begin, scalar);
    }
    return wave_fail(reader, begin,
                     "unknown escape; there are \\' \\\" \\\\ \\t \\n \\r and \\u{…}");
}

bool wave_char(struct wave_reader *reader, uint64_t *scalar) {
    wave_skip(reader);
    size_t begin = reader->at;
    if (wave_peek(reader) != '\'') {
        return wave_expected(reader, "a char such as 'x'");
    }
    reader->at++;
    uint32_t value = 0;
    int byte = wave_peek(reader);
    if (byte == '\\') {
        if (!read_escape(reader, &value)) {
            return false;
        }
    } else if (byte == '\'' || byte == '\n' || reader->at == reader->size) {
        return wave_fail(reader, begin, "expected one character between ' and ' (\\' is escaped)");
    } else {
        value = text_next_utf8(reader->data, &reader->at);
    }
    if (wave_peek(reader) != '\'') {
        return wave_fail(reader, begin, "a char holds one character and ends in '");
    }
    reader->at++;
    *scalar = value;
    return true;
}

// Appends what is between reader->at and `end`, with escapes resolved.
static bool read_content(struct wave_reader *reader, size_t end) {
    while (reader->at < end) {
        const uint8_t *from = reader->data + reader->at;
        const uint8_t *escape = memchr(from, '\\', end - reader->at);
        size_t plain = escape == NULL ? end - reader->at : (size_t)(escape - from);
        buf_append(&reader->stack, from, plain);
        reader->at += plain;
        uint32_t scalar;
        if (escape != NULL) {
            if (!read_escape(reader, &scalar)) {
                return false;
            }
            uint8_t encoded[4];
            buf_append(&reader->stack, encoded, utf8_encode(scalar, encoded));
        }
    }
    return true;
}

// Where the string's closing quote is; `at` is behind the opening one. reader->size: nowhere.
static size_t find_quote(const struct wave_reader *reader, size_t at) {
    while (at < reader->size && reader->data[at] != '"' && reader->data[at] != '\n') {
        at += reader->data[at] == '\\' ? 2 : 1;
    }
    return at < reader->size && reader->data[at] == '"' ? at : reader->size;
}

// """, a line break, lines, then spaces and """. The last line's spaces are taken from each line,
// and the first and last line break are not part of the string.
static bool read_multiline(struct wave_reader *reader) {
    const uint8_t *data = reader->data;
    size_t begin = reader->at;
    reader->at += 3;
    reader->at += wave_peek(reader) == '\r' ? 1 : 0;
    if (wave_peek(reader) != '\n') {
        return wave_fail(reader, begin, "\"\"\" must be followed by a line break");
    }
    reader->at++;
    const uint8_t *found = memmem(data + reader->at, reader->size - reader->at, "\"\"\"", 3);
    if (found == NULL) {
        return wave_fail(reader, begin, "the string has no closing \"\"\"");
    }
    size_t close = (size_t)(found - data);
    size_t last_line = close;
    while (data[last_line - 1] == ' ') {
        last_line--;
    }
    if (data[last_line - 1] != '\n') {
        return wave_fail(reader, close,
                         "the closing \"\"\" must be on a line of its own (within the string, "
                         "write \"\"\\\")");
    }
    size_t indent = close - last_line;
    for (bool is_first = true; reader->at < last_line; is_first = false) {
        const uint8_t *line_end = memchr(data + reader->at, '\n', last_line - reader->at);
        size_t end = (size_t)(line_end - data);
        size_t next = end + 1;
        end -= end > reader->at && data[end - 1] == '\r' ? 1 : 0;
        for (size_t i = 0; i < indent; i++) {
            if (reader->at + i >= end || data[reader->at + i] != ' ') {
                return wave_fail(reader, reader->at,
                                 "the line must begin with the %zu spaces that stand before the "
                                 "closing \"\"\"",
                                 indent);
            }
        }
        if (!is_first) {
            buf_append_byte(&reader->stack, '\n');
        }
        reader->at += indent;
        if (!read_content(reader, end)) {
            return false;
        }
        reader->at = next;
    }
    reader->at = close + 3;
    return true;
}

bool wave_string(struct wave_reader *reader) {
    wave_skip(reader);
    if (wave_peek(reader) != '"') {
        return wave_expected(reader, "a string such as \"text\"");
    }
    if (has_text(reader, "\"\"\"")) {
        return read_multiline(reader);
    }
    size_t begin = reader->at++;
    size_t end = find_quote(reader, reader->at);
    if (end == reader->size) {
        return wave_fail(reader, begin, "the string has no closing \" on its line");
    }
    if (!read_content(reader, end)) {
        return false;
    }
    reader->at = end + 1;
    return true;
}

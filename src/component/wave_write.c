// SPDX-License-Identifier: Apache-2.0
// Writing WAVE. Options and results are always written in full (some(1), ok(1)), fields that are
// none are left out, floats have the fewest digits that read back as the same number. Control
// characters of a guest's text never reach a terminal.
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/utf8.h"
#include "component/text.h"
#include "component/types.h"
#include "component/wave.h"

static void write_label(struct slice label, bool is_case, struct buf *out) {
    if (is_case && wave_is_keyword(label)) {
        buf_append_byte(out, '%');
    }
    buf_append_slice(out, label);
}

// ---- characters --------------------------------------------------------------------------------

// C0, DEL and C1, the line and paragraph separators, and what turns the direction of writing.
static bool is_hidden(uint32_t scalar) {
    return scalar < ' ' || (scalar >= 0x7f && scalar <= 0x9f) ||
           (scalar >= 0x2028 && scalar <= 0x202e) || (scalar >= 0x2066 && scalar <= 0x2069);
}

static void write_scalar(const uint8_t *data, size_t size, uint32_t scalar, char quote,
                         struct buf *out) {
    static const char NAMED[] = "\t\n\r";
    static const char NAMES[] = "tnr";
    const char *named = scalar == 0 || scalar > '\r' ? NULL : strchr(NAMED, (int)scalar);
    if (scalar == (uint8_t)quote || scalar == '\\') {
        buf_format(out, "\\%c", (int)scalar);
    } else if (named != NULL) {
        buf_format(out, "\\%c", NAMES[named - NAMED]);
    } else if (is_hidden(scalar)) {
        buf_format(out, "\\u{%x}", scalar);
    } else {
        buf_append(out, data, size);
    }
}

static void write_char(uint32_t scalar, struct buf *out) {
    uint8_t encoded[4];
    buf_append_byte(out, '\'');
    write_scalar(encoded, utf8_encode(scalar, encoded), scalar, '\'', out);
    buf_append_byte(out, '\'');
}

void wave_write_string(struct slice text, struct buf *out) {
    buf_append_byte(out, '"');
    size_t valid = utf8_valid_prefix(text);
    for (size_t at = 0; at < text.size;) {
        if (at == valid) {
            buf_append_text(out, "\xef\xbf\xbd");
            at++;
            valid = at + utf8_valid_prefix(slice_of(text.data + at, text.size - at));
            continue;
        }
        size_t begin = at;
        uint32_t scalar = text_next_utf8(text.data, &at);
        write_scalar(text.data + begin, at - begin, scalar, '"', out);
    }
    buf_append_byte(out, '"');
}

// ---- numbers -----------------------------------------------------------------------------------

// Digits before the decimal point; 0 for numbers so large that they are better read with an
// exponent.
static int whole_digits(double value) {
    double size = value < 0 ? -value : value;
    if (size >= 1e15) {
        return 0;
    }
    int digits = 1;
    for (uint64_t whole = (uint64_t)size; whole >= 10; whole /= 10) {
        digits++;
    }
    return digits;
}

static void write_float(enum component_kind kind, uint64_t bits, struct buf *out) {
    double value;
    if (kind == COMPONENT_F32) {
        uint32_t half = (uint32_t)bits;
        float narrow;
        memcpy(&narrow, &half, sizeof narrow);
        value = (double)narrow;
    } else {
        memcpy(&value, &bits, sizeof value);
    }
    if (value != value) {
        buf_append_text(out, "nan");
        return;
    }
    if (value > 1.7976931348623157e308 || value < -1.7976931348623157e308) {
        buf_append_text(out, value > 0 ? "inf" : "-inf");
        return;
    }
    // The decimal point is that of WAVE, whatever the process's locale says.
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = uselocale(plain);
    char text[40];
    int digits = 0;
    bool is_same = false;
    while (!is_same && digits < 17) {
        (void)snprintf(text, sizeof text, "%.*g", ++digits, value);
        is_same = kind == COMPONENT_F32 ? (double)strtof(text, NULL) == value
                                        : strtod(text, NULL) == value;
    }
    int whole = whole_digits(value);
    if (whole > digits) {
        (void)snprintf(text, sizeof text, "%.*g", whole, value);
    }
    (void)uselocale(before);
    freelocale(plain);
    buf_append_text(out, text);
}

static void write_integer(enum component_kind kind, uint64_t bits, struct buf *out) {
    bool is_signed = kind == COMPONENT_S8 || kind == COMPONENT_S16 || kind == COMPONENT_S32 ||
                     kind == COMPONENT_S64;
    if (is_signed) {
        buf_format(out, "%lld", (long long)bits);
    } else {
        buf_format(out, "%llu", (unsigned long long)bits);
    }
}

// ---- containers --------------------------------------------------------------------------------

// Element `i` of a packed list, as a value: sign-extended where the kind has a sign.
static struct value plain_item(const struct component_type *item, const uint8_t *bytes,
                               uint32_t i) {
    struct value value = {.bits = 0};
    memcpy(&value.bits, bytes + (uint64_t)i * item->size, item->size);
    uint64_t sign = UINT64_C(1) << (item->size * 8 - 1);
    bool is_signed =
        item->kind == COMPONENT_S8 || item->kind == COMPONENT_S16 || item->kind == COMPONENT_S32;
    if (is_signed && (value.bits & sign) != 0) {
        value.bits |= ~(sign | (sign - 1));
    }
    return value;
}

static void write_list(const struct component_type *type, const struct value *value,
                       struct buf *out) {
    const struct component_type *item = type->items[0];
    buf_append_byte(out, '[');
    for (uint32_t i = 0; i < value->count; i++) {
        buf_append_text(out, i == 0 ? "" : ", ");
        if (item->is_plain) {
            struct value one = plain_item(item, value->bytes, i);
            wave_write(item, &one, out);
        } else {
            wave_write(item, &value->items[i], out);
        }
    }
    buf_append_byte(out, ']');
}

static void write_tuple(const struct component_type *type, const struct value *value,
                        struct buf *out) {
    buf_append_byte(out, '(');
    for (uint32_t i = 0; i < type->item_count; i++) {
        buf_append_text(out, i == 0 ? "" : ", ");
        wave_write(type->items[i], &value->items[i], out);
    }
    buf_append_byte(out, ')');
}

static void write_record(const struct component_type *type, const struct value *value,
                         struct buf *out) {
    bool is_empty = true;
    buf_append_byte(out, '{');
    for (uint32_t i = 0; i < type->item_count; i++) {
        const struct component_type *field = type->items[i];
        if (field->kind == COMPONENT_OPTION && value->items[i].which == 0) {
            continue;
        }
        buf_append_text(out, is_empty ? "" : ", ");
        write_label(type->names[i], false, out);
        buf_append_text(out, ": ");
        wave_write(field, &value->items[i], out);
        is_empty = false;
    }
    buf_append_text(out, is_empty ? ":}" : "}");
}

static void write_flags(const struct component_type *type, uint64_t bits, struct buf *out) {
    bool is_empty = true;
    buf_append_byte(out, '{');
    for (uint32_t i = 0; i < type->item_count; i++) {
        if ((bits >> i & 1) != 0) {
            buf_append_text(out, is_empty ? "" : ", ");
            write_label(type->names[i], false, out);
            is_empty = false;
        }
    }
    buf_append_byte(out, '}');
}

static void write_case(const struct component_type *type, const struct value *value,
                       struct slice label, bool is_named, struct buf *out) {
    write_label(label, is_named, out);
    const struct component_type *payload = type_case(type, value->which);
    if (payload != NULL) {
        buf_append_byte(out, '(');
        wave_write(payload, value->items, out);
        buf_append_byte(out, ')');
    }
}

// Depth is bounded by that of the type.
void wave_write(const struct component_type *type, const struct value *value, struct buf *out) {
    switch (type->kind) {
        case COMPONENT_BOOL:
            buf_append_text(out, value->bits != 0 ? "true" : "false");
            return;
        case COMPONENT_S8:
        case COMPONENT_U8:
        case COMPONENT_S16:
        case COMPONENT_U16:
        case COMPONENT_S32:
        case COMPONENT_U32:
        case COMPONENT_S64:
        case COMPONENT_U64:
            write_integer(type->kind, value->bits, out);
            return;
        case COMPONENT_F32:
        case COMPONENT_F64:
            write_float(type->kind, value->bits, out);
            return;
        case COMPONENT_CHAR:
            write_char((uint32_t)value->bits, out);
            return;
        case COMPONENT_STRING:
            wave_write_string(slice_of(value->bytes, value->count), out);
            return;
        case COMPONENT_LIST:
            write_list(type, value, out);
            return;
        case COMPONENT_RECORD:
            write_record(type, value, out);
            return;
        case COMPONENT_TUPLE:
            write_tuple(type, value, out);
            return;
        case COMPONENT_VARIANT:
            write_case(type, value, type->names[value->which], true, out);
            return;
        case COMPONENT_ENUM:
            write_label(type->names[value->which], true, out);
            return;
        case COMPONENT_OPTION:
            write_case(type, value, slice_text(value->which == 0 ? "none" : "some"), false, out);
            return;
        case COMPONENT_RESULT:
            write_case(type, value, slice_text(value->which == 0 ? "ok" : "err"), false, out);
            return;
        case COMPONENT_FLAGS:
            write_flags(type, value->bits, out);
            return;
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            buf_format(out, "<handle %llu>", (unsigned long long)value->bits);
            return;
    }
    fatal("component type of kind %d cannot be written", (int)type->kind);
}

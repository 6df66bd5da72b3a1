// SPDX-License-Identifier: Apache-2.0
// Values from the record. See record_read.h; the forms are described in record.c. The recursion
// goes along the type, whose nesting is bounded when it is loaded, never along the input.
#include "actor/record_read.h"

#include <assert.h>

#include "codec/utf8.h"

struct reading {
    struct cbor_reader *reader;
    const struct record_source *source;
    struct arena *arena;
    struct error *error;
};

static enum status read_value(const struct reading *reading, const struct component_type *type,
                              struct value *out);

static enum status no_value(const struct reading *reading, const char *what) {
    return error_set(reading->error, ERR_INVALID, "the record holds no %s where it must", what);
}

// ---- numbers
// -------------------------------------------------------------------------------------

static enum status read_signed(const struct reading *reading, unsigned bits, struct value *out) {
    int64_t number = 0;
    enum status status = cbor_read_int(reading->reader, &number, reading->error);
    int64_t most = bits == 64 ? INT64_MAX : ((int64_t)1 << (bits - 1)) - 1;
    if (status == OK && (number > most || number < -most - 1)) {
        return no_value(reading, "number of that size");
    }
    out->bits = (uint64_t)number;
    return status;
}

static enum status read_unsigned(const struct reading *reading, uint64_t most, uint64_t *out) {
    enum status status = cbor_read_uint(reading->reader, out, reading->error);
    return status == OK && *out > most ? no_value(reading, "number of that size") : status;
}

static enum status read_char(const struct reading *reading, struct value *out) {
    enum status status = read_unsigned(reading, 0x10ffff, &out->bits);
    bool is_surrogate = status == OK && out->bits >= 0xd800 && out->bits <= 0xdfff;
    return is_surrogate ? no_value(reading, "character") : status;
}

static enum status read_float(const struct reading *reading, bool is_single, struct value *out) {
    double number = 0;
    enum status status = cbor_read_float64(reading->reader, &number, reading->error);
    if (status != OK) {
        return status;
    }
    bool is_nan = number != number;
    if (!is_single) {
        memcpy(&out->bits, &number, sizeof number);
        out->bits = is_nan ? UINT64_C(0x7ff8000000000000) : out->bits;
        return OK;
    }
    float single = (float)number;
    uint32_t bits = 0;
    memcpy(&bits, &single, sizeof bits);
    out->bits = is_nan ? UINT32_C(0x7fc00000) : bits;
    bool is_exact = is_nan || (double)single == number;
    return is_exact ? OK : no_value(reading, "number of single precision");
}

static uint64_t unsigned_most(const struct component_type *type) {
    switch ((int)type->kind) {
        case COMPONENT_U8:
            return UINT8_MAX;
        case COMPONENT_U16:
            return UINT16_MAX;
        case COMPONENT_U64:
            return UINT64_MAX;
        case COMPONENT_FLAGS:
            return type->item_count < 64 ? ((uint64_t)1 << type->item_count) - 1 : UINT64_MAX;
        default:  // u32, own, borrow
            return UINT32_MAX;
    }
}

// ---- strings and lists
// ---------------------------------------------------------------------------

static enum status copy_content(const struct reading *reading, struct slice content,
                                struct value *out) {
    if (content.size > UINT32_MAX) {
        return no_value(reading, "string of that size");
    }
    uint8_t *copy = arena_alloc(reading->arena, content.size, 8);
    if (content.size > 0) {
        memcpy(copy, content.data, content.size);
    }
    out->bytes = copy;
    out->count = (uint32_t)content.size;
    return OK;
}

static enum status read_plain_content(const struct reading *reading, bool is_text,
                                      struct value *out) {
    struct slice content;
    enum status status = is_text ? cbor_read_text(reading->reader, &content, reading->error)
                                 : cbor_read_bytes(reading->reader, &content, reading->error);
    if (status == OK && is_text && !utf8_is_valid(content)) {
        return no_value(reading, "text that is UTF-8");
    }
    return status == OK ? copy_content(reading, content, out) : status;
}

static enum status read_secret(const struct reading *reading, bool is_text, struct value *out) {
    struct slice commitment, item;
    enum status status = cbor_read_bytes(reading->reader, &commitment, reading->error);
    if (status == OK && commitment.size != SHA256_BYTES) {
        return no_value(reading, "commitment");
    }
    if (status == OK) {
        status = reading->source->secret(reading->source->context, commitment.data, &item,
                                         reading->error);
    }
    if (status != OK) {
        return status;
    }
    struct cbor_reader plain = cbor_reader_of(item);
    struct reading inner = *reading;
    inner.reader = &plain;
    out->is_secret = true;
    return read_plain_content(&inner, is_text, out);
}

static enum status read_reference(const struct reading *reading, bool is_text, struct value *out) {
    uint64_t count = 0;
    uint64_t size = 0;
    struct slice hash, content;
    enum status status = cbor_read_array(reading->reader, &count, reading->error);
    if (status == OK && count != 2) {
        return no_value(reading, "reference");
    }
    if (status == OK) {
        status = cbor_read_bytes(reading->reader, &hash, reading->error);
    }
    if (status == OK) {
        status = read_unsigned(reading, UINT32_MAX, &size);
    }
    if (status == OK && hash.size != SHA256_BYTES) {
        return no_value(reading, "reference");
    }
    if (status == OK) {
        status = reading->source->content(reading->source->context, hash.data, size, &content,
                                          reading->error);
    }
    if (status == OK && (content.size != size || (is_text && !utf8_is_valid(content)))) {
        return error_set(reading->error, ERR_DAMAGED,
                         "what the record refers to is not what it describes");
    }
    return status == OK ? copy_content(reading, content, out) : status;
}

// A string or list<u8>, in any of its forms.
static enum status read_content(const struct reading *reading, bool is_text, struct value *out) {
    if (cbor_peek(reading->reader) != CBOR_TAG) {
        return read_plain_content(reading, is_text, out);
    }
    uint64_t tag = 0;
    enum status status = cbor_read_tag(reading->reader, &tag, reading->error);
    if (status != OK) {
        return status;
    }
    if (tag == RECORD_SECRET_TAG && reading->source != NULL) {
        return read_secret(reading, is_text, out);
    }
    if (tag == ACTOR_REFERENCE_TAG && reading->source != NULL) {
        return read_reference(reading, is_text, out);
    }
    return no_value(reading, is_text ? "string" : "byte string");
}

static enum status read_count(const struct reading *reading, uint32_t *out) {
    uint64_t count = 0;
    enum status status = cbor_read_array(reading->reader, &count, reading->error);
    if (status == OK && count > UINT32_MAX) {
        return no_value(reading, "list of that size");
    }
    *out = (uint32_t)count;
    return status;
}

// Packed, as the guest's memory has it.
static enum status read_plain_list(const struct reading *reading, const struct component_type *item,
                                   struct value *out) {
    uint32_t count = 0;
    enum status status = read_count(reading, &count);
    if (status != OK) {
        return status;
    }
    uint8_t *packed = arena_alloc(reading->arena, (uint64_t)count * item->size, 8);
    for (uint32_t i = 0; i < count; i++) {
        struct value one = {0};
        status = read_value(reading, item, &one);
        if (status != OK) {
            return status;
        }
        memcpy(packed + (size_t)i * item->size, &one.bits, item->size);
    }
    out->bytes = packed;
    out->count = count;
    return OK;
}

static enum status read_range(const struct reading *reading, const struct component_type *type,
                              struct value *out) {
    struct record_range_read range = {0};
    uint64_t tag = 0;
    uint64_t parts = 0;
    struct slice hash = {0};
    struct cbor_reader *reader = reading->reader;
    enum status status = cbor_read_tag(reader, &tag, reading->error);
    if (status == OK && (tag != ACTOR_RANGE_TAG || reading->source == NULL)) {
        return no_value(reading, "list");
    }
    if (status == OK) {
        status = cbor_read_array(reader, &parts, reading->error);
    }
    if (status == OK && parts != 4) {
        return no_value(reading, "range of a chain");
    }
    if (status == OK) {
        status = cbor_read_text(reader, &range.chain, reading->error);
    }
    if (status == OK) {
        status = cbor_read_uint(reader, &range.first, reading->error);
    }
    if (status == OK) {
        status = read_unsigned(reading, UINT32_MAX, &range.count);
    }
    if (status == OK) {
        status = cbor_read_bytes(reader, &hash, reading->error);
    }
    if (status == OK && hash.size != SHA256_BYTES) {
        return no_value(reading, "range of a chain");
    }
    range.hash = hash.data;
    return status != OK ? status
                        : reading->source->range(reading->source->context, type, &range,
                                                 reading->arena, out, reading->error);
}

static enum status read_list(const struct reading *reading, const struct component_type *type,
                             struct value *out) {
    const struct component_type *item = type->items[0];
    if (item->kind == COMPONENT_U8) {
        return read_content(reading, false, out);
    }
    if (item->is_plain) {
        return read_plain_list(reading, item, out);
    }
    if (cbor_peek(reading->reader) == CBOR_TAG) {
        return read_range(reading, type, out);
    }
    uint32_t count = 0;
    enum status status = read_count(reading, &count);
    if (status != OK) {
        return status;
    }
    struct value *items = ARENA_ARRAY(reading->arena, struct value, count);
    for (uint32_t i = 0; i < count; i++) {
        status = read_value(reading, item, &items[i]);
        if (status != OK) {
            return status;
        }
    }
    out->items = items;
    out->count = count;
    return OK;
}

// ---- compound values
// -----------------------------------------------------------------------------

static enum status read_fields(const struct reading *reading, const struct component_type *type,
                               struct value *out) {
    uint32_t count = 0;
    enum status status = read_count(reading, &count);
    if (status == OK && count != type->item_count) {
        return no_value(reading, "record or tuple with that many fields");
    }
    if (status != OK) {
        return status;
    }
    struct value *items = ARENA_ARRAY(reading->arena, struct value, count);
    for (uint32_t i = 0; i < count; i++) {
        status = read_value(reading, type->items[i], &items[i]);
        if (status != OK) {
            return status;
        }
    }
    out->items = items;
    out->count = count;
    return OK;
}

static enum status read_payload(const struct reading *reading, const struct component_type *type,
                                struct value *out) {
    struct value *payload = ARENA_NEW(reading->arena, struct value);
    out->items = payload;
    return read_value(reading, type, payload);
}

static enum status read_option(const struct reading *reading, const struct component_type *type,
                               struct value *out) {
    if (cbor_take_null(reading->reader)) {
        out->which = 0;
        return OK;
    }
    uint32_t count = 0;
    enum status status = read_count(reading, &count);
    if (status == OK && count != 1) {
        return no_value(reading, "option");
    }
    out->which = 1;
    return status == OK ? read_payload(reading, type->items[0], out) : status;
}

static enum status read_case(const struct reading *reading, const struct component_type *type,
                             struct value *out) {
    uint32_t count = 0;
    uint64_t which = 0;
    enum status status = read_count(reading, &count);
    if (status == OK && count == 0) {
        return no_value(reading, "case");
    }
    if (status == OK) {
        status = cbor_read_uint(reading->reader, &which, reading->error);
    }
    if (status != OK) {
        return status;
    }
    if (which >= type->item_count || count != (type->items[which] != NULL ? 2U : 1U)) {
        return no_value(reading, "such case");
    }
    out->which = (uint32_t)which;
    return type->items[which] != NULL ? read_payload(reading, type->items[which], out) : OK;
}

static enum status read_enum(const struct reading *reading, const struct component_type *type,
                             struct value *out) {
    uint64_t which = 0;
    enum status status = cbor_read_uint(reading->reader, &which, reading->error);
    if (status == OK && which >= type->item_count) {
        return no_value(reading, "such case");
    }
    out->which = (uint32_t)which;
    return status;
}

static enum status read_value(const struct reading *reading, const struct component_type *type,
                              struct value *out) {
    bool is_true = false;
    enum status status = OK;
    *out = (struct value){0};
    switch (type->kind) {
        case COMPONENT_BOOL:
            status = cbor_read_bool(reading->reader, &is_true, reading->error);
            out->bits = is_true ? 1 : 0;
            return status;
        case COMPONENT_S8:
            return read_signed(reading, 8, out);
        case COMPONENT_S16:
            return read_signed(reading, 16, out);
        case COMPONENT_S32:
            return read_signed(reading, 32, out);
        case COMPONENT_S64:
            return read_signed(reading, 64, out);
        case COMPONENT_U8:
        case COMPONENT_U16:
        case COMPONENT_U32:
        case COMPONENT_U64:
        case COMPONENT_FLAGS:
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            return read_unsigned(reading, unsigned_most(type), &out->bits);
        case COMPONENT_CHAR:
            return read_char(reading, out);
        case COMPONENT_F32:
            return read_float(reading, true, out);
        case COMPONENT_F64:
            return read_float(reading, false, out);
        case COMPONENT_STRING:
            return read_content(reading, true, out);
        case COMPONENT_LIST:
            return read_list(reading, type, out);
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            return read_fields(reading, type, out);
        case COMPONENT_ENUM:
            return read_enum(reading, type, out);
        case COMPONENT_OPTION:
            return read_option(reading, type, out);
        case COMPONENT_VARIANT:
        case COMPONENT_RESULT:
            return read_case(reading, type, out);
    }
    assert(0 && "unknown type kind");
    return ERR_INTERNAL;
}

enum status record_read_value(struct cbor_reader *reader, const struct component_type *type,
                              const struct record_source *source, struct arena *arena,
                              struct value *out, struct error *error) {
    struct reading reading = {.reader = reader, .source = source, .arena = arena, .error = error};
    return read_value(&reading, type, out);
}

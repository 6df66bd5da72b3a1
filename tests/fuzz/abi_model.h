// SPDX-License-Identifier: Apache-2.0
// A second, slow reading of the canonical ABI (CanonicalABI.md) for tests/fuzz/abi_fuzz.c: values
// are encoded into an image of a guest's memory and read back from it byte by byte, with layouts of
// its own. What src/component makes of the same bytes must be the same value, or a trap as well.
#ifndef TESTS_FUZZ_ABI_MODEL_H
#define TESTS_FUZZ_ABI_MODEL_H

#include "component/component.h"

enum { MODEL_IMAGE_BYTES = 0x6000, MODEL_SPOTS = 256, MODEL_NODES = 50000 };
#define MODEL_VALUE_BYTES_MAX ((UINT64_C(1) << 28) - 1)
#define MODEL_UTF16_TAG (UINT32_C(1) << 31)

enum model_encoding { MODEL_UTF8, MODEL_UTF16, MODEL_LATIN1 };
enum model_result { MODEL_VALUE, MODEL_TRAP, MODEL_UNKNOWN };

// A place in the image that means something: an address, a length, a discriminant, a number.
struct model_spot {
    uint32_t at;
    uint32_t size;  // bytes
};

struct model {
    uint8_t image[MODEL_IMAGE_BYTES];  // the guest's memory from address 0; behind it are zeros
    uint32_t used;                     // where the next block of the image begins
    uint64_t memory_bytes;
    enum model_encoding encoding;
    bool prefers_utf16;  // latin1+utf16: encode as utf16 what latin1 could
    struct model_spot spots[MODEL_SPOTS];
    uint32_t spot_count;
    struct arena *arena;  // of lifted values
    uint32_t nodes;       // lifted; more than MODEL_NODES: unknown
};

// ---- layout ------------------------------------------------------------------------------------

static inline uint32_t model_cases(const struct component_type *type) {
    bool is_pair = type->kind == COMPONENT_OPTION || type->kind == COMPONENT_RESULT;
    return is_pair ? 2 : type->item_count;
}

// The payload of a case, or NULL.
static inline const struct component_type *model_payload(const struct component_type *type,
                                                         uint32_t which) {
    if (type->kind == COMPONENT_OPTION)
        return which == 0 ? NULL : type->items[0];
    return type->kind == COMPONENT_ENUM || type->items == NULL ? NULL : type->items[which];
}

static inline bool model_is_variant(const struct component_type *type) {
    return type->kind == COMPONENT_VARIANT || type->kind == COMPONENT_ENUM ||
           type->kind == COMPONENT_OPTION || type->kind == COMPONENT_RESULT;
}

static inline uint32_t model_discriminant_size(const struct component_type *type) {
    uint32_t cases = model_cases(type);
    return cases <= 256 ? 1 : cases <= 65536 ? 2 : 4;
}

static inline uint32_t model_up(uint32_t at, uint32_t align) {
    return (at + align - 1) / align * align;
}

static inline uint32_t model_scalar_size(const struct component_type *type) {
    switch ((int)type->kind) {
        case COMPONENT_BOOL:
        case COMPONENT_U8:
        case COMPONENT_S8:
            return 1;
        case COMPONENT_U16:
        case COMPONENT_S16:
            return 2;
        case COMPONENT_U64:
        case COMPONENT_S64:
        case COMPONENT_F64:
            return 8;
        case COMPONENT_FLAGS:
            return type->item_count <= 8 ? 1 : type->item_count <= 16 ? 2 : 4;
        default:
            return 4;
    }
}

static inline uint32_t model_align(const struct component_type *type) {
    uint32_t align = 1;
    if (type->kind == COMPONENT_STRING || type->kind == COMPONENT_LIST)
        return 4;
    if (type->kind == COMPONENT_RECORD || type->kind == COMPONENT_TUPLE) {
        for (uint32_t i = 0; i < type->item_count; i++) {
            uint32_t field = model_align(type->items[i]);
            align = field > align ? field : align;
        }
        return align;
    }
    if (!model_is_variant(type))
        return model_scalar_size(type);
    align = model_discriminant_size(type);
    for (uint32_t i = 0; i < model_cases(type); i++) {
        const struct component_type *payload = model_payload(type, i);
        uint32_t of_case = payload == NULL ? 1 : model_align(payload);
        align = of_case > align ? of_case : align;
    }
    return align;
}

static inline uint32_t model_size(const struct component_type *type);

static inline uint32_t model_payload_offset(const struct component_type *type) {
    uint32_t align = 1;
    for (uint32_t i = 0; i < model_cases(type); i++) {
        const struct component_type *payload = model_payload(type, i);
        uint32_t of_case = payload == NULL ? 1 : model_align(payload);
        align = of_case > align ? of_case : align;
    }
    return model_up(model_discriminant_size(type), align);
}

static inline uint32_t model_size(const struct component_type *type) {
    uint32_t size = 0;
    if (type->kind == COMPONENT_STRING || type->kind == COMPONENT_LIST)
        return 8;
    if (type->kind == COMPONENT_RECORD || type->kind == COMPONENT_TUPLE) {
        for (uint32_t i = 0; i < type->item_count; i++)
            size = model_up(size, model_align(type->items[i])) + model_size(type->items[i]);
        return model_up(size, model_align(type));
    }
    if (!model_is_variant(type))
        return model_scalar_size(type);
    for (uint32_t i = 0; i < model_cases(type); i++) {
        const struct component_type *payload = model_payload(type, i);
        uint32_t of_case = payload == NULL ? 0 : model_size(payload);
        size = of_case > size ? of_case : size;
    }
    return model_up(model_payload_offset(type) + size, model_align(type));
}

static inline uint32_t model_flats(const struct component_type *type) {
    uint32_t count = 0;
    if (type->kind == COMPONENT_STRING || type->kind == COMPONENT_LIST)
        return 2;
    if (type->kind == COMPONENT_RECORD || type->kind == COMPONENT_TUPLE) {
        for (uint32_t i = 0; i < type->item_count; i++)
            count += model_flats(type->items[i]);
        return count;
    }
    if (!model_is_variant(type))
        return 1;
    for (uint32_t i = 0; i < model_cases(type); i++) {
        const struct component_type *payload = model_payload(type, i);
        uint32_t of_case = payload == NULL ? 0 : model_flats(payload);
        count = of_case > count ? of_case : count;
    }
    return count + 1;
}

// ---- text --------------------------------------------------------------------------------------

// Appends one code point as UTF-8.
static inline void model_put_point(struct buf *out, uint32_t point) {
    if (point < 0x80) {
        buf_append_byte(out, (uint8_t)point);
    } else if (point < 0x800) {
        buf_append_byte(out, (uint8_t)(0xc0 | point >> 6));
        buf_append_byte(out, (uint8_t)(0x80 | (point & 63)));
    } else if (point < 0x10000) {
        buf_append_byte(out, (uint8_t)(0xe0 | point >> 12));
        buf_append_byte(out, (uint8_t)(0x80 | (point >> 6 & 63)));
        buf_append_byte(out, (uint8_t)(0x80 | (point & 63)));
    } else {
        buf_append_byte(out, (uint8_t)(0xf0 | point >> 18));
        buf_append_byte(out, (uint8_t)(0x80 | (point >> 12 & 63)));
        buf_append_byte(out, (uint8_t)(0x80 | (point >> 6 & 63)));
        buf_append_byte(out, (uint8_t)(0x80 | (point & 63)));
    }
}

// The code point at *at, which moves behind it; UINT32_MAX when there is none that is well formed.
static inline uint32_t model_get_point(const uint8_t *text, size_t size, size_t *at) {
    uint32_t first = text[(*at)++];
    if (first < 0x80)
        return first;
    uint32_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc0 || first > 0xf7 || size - *at < more)
        return UINT32_MAX;
    uint32_t point = first & (0x3fu >> more);
    for (uint32_t i = 0; i < more; i++) {
        uint32_t next = text[(*at)++];
        if (next >> 6 != 2)
            return UINT32_MAX;
        point = point << 6 | (next & 63);
    }
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < least[more] || is_surrogate || point > 0x10ffff ? UINT32_MAX : point;
}

static inline bool model_is_utf8(const uint8_t *text, size_t size) {
    for (size_t at = 0; at < size;)
        if (model_get_point(text, size, &at) == UINT32_MAX)
            return false;
    return true;
}

// ---- encoding ----------------------------------------------------------------------------------

static inline void model_put(struct model *model, uint32_t at, uint64_t bits, uint32_t size) {
    for (uint32_t i = 0; i < size && at + i < MODEL_IMAGE_BYTES; i++)
        model->image[at + i] = (uint8_t)(bits >> 8 * i);
}

// The same, for a place that lies may be told about.
static inline void model_put_spot(struct model *model, uint32_t at, uint64_t bits, uint32_t size) {
    model_put(model, at, bits, size);
    if (model->spot_count < MODEL_SPOTS)
        model->spots[model->spot_count++] = (struct model_spot){at, size};
}

// What does not fit the image is cut off, and so read as zeros: a lie like another.
static inline uint32_t model_block(struct model *model, uint32_t align, uint32_t size) {
    uint32_t at = model_up(model->used, align);
    model->used = at + size;
    return at;
}

static inline void model_encode_string(struct model *model, const struct value *value, uint32_t *at,
                                       uint32_t *length) {
    uint32_t points = 0, units = 0, largest = 0;
    for (size_t i = 0; i < value->count; points++) {
        uint32_t point = model_get_point(value->bytes, value->count, &i);
        units += point >= 0x10000 ? 2 : 1;
        largest = point > largest ? point : largest;
    }
    if (model->encoding == MODEL_UTF8) {
        *at = model_block(model, 1, value->count);
        *length = value->count;
        for (uint32_t i = 0; i < value->count; i++)
            model_put_spot(model, *at + i, value->bytes[i], 1);
        return;
    }
    bool is_latin1 = model->encoding == MODEL_LATIN1 && largest <= 0xff && !model->prefers_utf16;
    *at = model_block(model, 2, is_latin1 ? points : units * 2);
    *length = is_latin1 ? points : units | (model->encoding == MODEL_LATIN1 ? MODEL_UTF16_TAG : 0);
    uint32_t to = *at;
    for (size_t i = 0; i < value->count;) {
        uint32_t point = model_get_point(value->bytes, value->count, &i);
        if (is_latin1) {
            model_put_spot(model, to++, point, 1);
            continue;
        }
        if (point >= 0x10000) {
            model_put_spot(model, to, 0xd800 + ((point - 0x10000) >> 10), 2);
            to += 2;
            point = 0xdc00 + ((point - 0x10000) & 0x3ff);
        }
        model_put_spot(model, to, point, 2);
        to += 2;
    }
}

static inline void model_encode(struct model *model, const struct component_type *type,
                                const struct value *value, uint32_t at);

// An item of a list, which may be packed.
static inline struct value model_item(const struct component_type *item, const struct value *list,
                                      uint32_t i) {
    if (!item->is_plain)
        return list->items[i];
    struct value value = {.bits = 0};
    uint32_t size = model_scalar_size(item);
    for (uint32_t k = 0; k < size; k++)
        value.bits |= (uint64_t)list->bytes[i * size + k] << 8 * k;
    bool is_signed =
        item->kind == COMPONENT_S8 || item->kind == COMPONENT_S16 || item->kind == COMPONENT_S32;
    if (is_signed && (value.bits >> (8 * size - 1) & 1) != 0)
        value.bits |= UINT64_MAX << 8 * size;
    return value;
}

static inline void model_encode_list(struct model *model, const struct component_type *item,
                                     const struct value *value, uint32_t *at) {
    uint32_t size = model_size(item);
    *at = model_block(model, model_align(item), size * value->count);
    for (uint32_t i = 0; i < value->count; i++) {
        struct value one = model_item(item, value, i);
        model_encode(model, item, &one, *at + i * size);
    }
}

// Writes the value to `at`, and what it points to into new blocks.
static inline void model_encode(struct model *model, const struct component_type *type,
                                const struct value *value, uint32_t at) {
    if (type->kind == COMPONENT_STRING || type->kind == COMPONENT_LIST) {
        uint32_t to = 0, length = value->count;
        if (type->kind == COMPONENT_STRING)
            model_encode_string(model, value, &to, &length);
        else
            model_encode_list(model, type->items[0], value, &to);
        model_put_spot(model, at, to, 4);
        model_put_spot(model, at + 4, length, 4);
    } else if (type->kind == COMPONENT_RECORD || type->kind == COMPONENT_TUPLE) {
        uint32_t offset = 0;
        for (uint32_t i = 0; i < type->item_count; i++) {
            offset = model_up(offset, model_align(type->items[i]));
            model_encode(model, type->items[i], &value->items[i], at + offset);
            offset += model_size(type->items[i]);
        }
    } else if (model_is_variant(type)) {
        model_put_spot(model, at, value->which, model_discriminant_size(type));
        const struct component_type *payload = model_payload(type, value->which);
        if (payload != NULL)
            model_encode(model, payload, value->items, at + model_payload_offset(type));
    } else {
        model_put_spot(model, at, value->bits, model_scalar_size(type));
    }
}

// Writes the value's core values to eight bytes each, from `at`.
static inline void model_encode_flat(struct model *model, const struct component_type *type,
                                     const struct value *value, uint32_t at) {
    if (type->kind == COMPONENT_STRING || type->kind == COMPONENT_LIST) {
        uint32_t to = 0, length = value->count;
        if (type->kind == COMPONENT_STRING)
            model_encode_string(model, value, &to, &length);
        else
            model_encode_list(model, type->items[0], value, &to);
        model_put_spot(model, at, to, 8);
        model_put_spot(model, at + 8, length, 8);
    } else if (type->kind == COMPONENT_RECORD || type->kind == COMPONENT_TUPLE) {
        for (uint32_t i = 0; i < type->item_count; i++) {
            model_encode_flat(model, type->items[i], &value->items[i], at);
            at += 8 * model_flats(type->items[i]);
        }
    } else if (model_is_variant(type)) {
        model_put_spot(model, at, value->which, 8);
        const struct component_type *payload = model_payload(type, value->which);
        if (payload != NULL)
            model_encode_flat(model, payload, value->items, at + 8);
    } else {
        model_put_spot(model, at, value->bits, 8);
    }
}

// ---- lifting -----------------------------------------------------------------------------------

static inline enum model_result model_load(struct model *model, const struct component_type *type,
                                           uint32_t at, struct value *out);

static inline bool model_in_bounds(const struct model *model, uint32_t at, uint64_t size) {
    return at + size <= model->memory_bytes;
}

static inline uint64_t model_get(const struct model *model, uint32_t at, uint32_t size) {
    uint64_t bits = 0;
    for (uint32_t i = 0; i < size && at + i < MODEL_IMAGE_BYTES; i++)
        bits |= (uint64_t)model->image[at + i] << 8 * i;
    return bits;
}

static inline bool model_count(struct model *model, uint64_t nodes) {
    if (nodes > MODEL_NODES || model->nodes + nodes > MODEL_NODES)
        return false;
    model->nodes += (uint32_t)nodes;
    return true;
}

static inline enum model_result model_lift_scalar(const struct component_type *type, uint64_t bits,
                                                  struct value *out) {
    switch ((int)type->kind) {
        case COMPONENT_BOOL:
            out->bits = bits != 0;
            break;
        case COMPONENT_U8:
            out->bits = bits % 256;
            break;
        case COMPONENT_U16:
            out->bits = bits % 65536;
            break;
        case COMPONENT_S8:
            out->bits = bits % 256 < 128 ? bits % 256 : bits % 256 - 256;
            break;
        case COMPONENT_S16:
            out->bits = bits % 65536 < 32768 ? bits % 65536 : bits % 65536 - 65536;
            break;
        case COMPONENT_S32:
            out->bits = (bits & UINT32_MAX) < INT32_MAX + UINT64_C(1)
                            ? bits & UINT32_MAX
                            : (bits & UINT32_MAX) - (UINT64_C(1) << 32);
            break;
        case COMPONENT_F32: {
            bool is_nan = (bits >> 23 & 0xff) == 0xff && (bits & 0x7fffff) != 0;
            out->bits = is_nan ? 0x7fc00000 : bits & UINT32_MAX;
            break;
        }
        case COMPONENT_F64: {
            bool is_nan = (bits >> 52 & 0x7ff) == 0x7ff && bits << 12 != 0;
            out->bits = is_nan ? UINT64_C(0x7ff8000000000000) : bits;
            break;
        }
        case COMPONENT_CHAR:
            bits &= UINT32_MAX;
            out->bits = bits;
            if (bits > 0x10ffff || (bits >= 0xd800 && bits <= 0xdfff))
                return MODEL_TRAP;
            break;
        case COMPONENT_FLAGS:
            out->bits = bits & ((UINT64_C(1) << type->item_count) - 1);
            break;
        case COMPONENT_U32:
            out->bits = bits & UINT32_MAX;
            break;
        default:
            out->bits = bits;
    }
    return MODEL_VALUE;
}

static inline enum model_result model_lift_string(struct model *model, uint32_t at, uint32_t length,
                                                  struct value *out) {
    bool is_utf16 = model->encoding == MODEL_UTF16;
    if (model->encoding == MODEL_LATIN1 && (length & MODEL_UTF16_TAG) != 0) {
        is_utf16 = true;
        length ^= MODEL_UTF16_TAG;
    }
    uint64_t bytes = is_utf16 ? 2 * (uint64_t)length : length;
    bool is_aligned = model->encoding == MODEL_UTF8 || at % 2 == 0;
    if (bytes > MODEL_VALUE_BYTES_MAX || !is_aligned || !model_in_bounds(model, at, bytes))
        return MODEL_TRAP;
    if (!model_count(model, bytes))
        return MODEL_UNKNOWN;
    struct buf text = {0};
    enum model_result result = MODEL_VALUE;
    for (uint32_t i = 0; i < length && result == MODEL_VALUE; i++) {
        uint32_t unit =
            (uint32_t)model_get(model, is_utf16 ? at + 2 * i : at + i, is_utf16 ? 2 : 1);
        if (model->encoding == MODEL_UTF8) {
            buf_append_byte(&text, (uint8_t)unit);
            continue;
        }
        if (unit >= 0xd800 && unit <= 0xdfff) {
            uint32_t low = i + 1 < length ? (uint32_t)model_get(model, at + 2 * ++i, 2) : 0;
            if (unit > 0xdbff || low < 0xdc00 || low > 0xdfff)
                result = MODEL_TRAP;
            unit = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
        }
        model_put_point(&text, unit);
    }
    if (model->encoding == MODEL_UTF8 && !model_is_utf8(text.data, text.size))
        result = MODEL_TRAP;
    uint8_t *copy = arena_alloc(model->arena, text.size, 1);
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    *out = (struct value){.bytes = copy, .count = (uint32_t)text.size};
    buf_release(&text);
    return result;
}

static inline enum model_result model_lift_list(struct model *model,
                                                const struct component_type *item, uint32_t at,
                                                uint32_t length, struct value *out) {
    uint32_t size = model_size(item);
    uint64_t bytes = (uint64_t)length * size;
    if (bytes > MODEL_VALUE_BYTES_MAX || at % model_align(item) != 0 ||
        !model_in_bounds(model, at, bytes))
        return MODEL_TRAP;
    if (!model_count(model, length))
        return MODEL_UNKNOWN;
    struct value *items = ARENA_ARRAY(model->arena, struct value, length);
    uint8_t *packed = arena_alloc(model->arena, bytes, 8);
    for (uint32_t i = 0; i < length; i++) {
        enum model_result result = model_load(model, item, at + i * size, &items[i]);
        if (result != MODEL_VALUE)
            return result;
        for (uint32_t k = 0; item->is_plain && k < size; k++)
            packed[i * size + k] = (uint8_t)(items[i].bits >> 8 * k);
    }
    out->count = length;
    if (item->is_plain)
        out->bytes = packed;
    else
        out->items = items;
    return MODEL_VALUE;
}

static inline enum model_result model_load_fields(struct model *model,
                                                  const struct component_type *type, uint32_t at,
                                                  struct value *out) {
    struct value *items = ARENA_ARRAY(model->arena, struct value, type->item_count);
    uint32_t offset = 0;
    for (uint32_t i = 0; i < type->item_count; i++) {
        offset = model_up(offset, model_align(type->items[i]));
        enum model_result result = model_load(model, type->items[i], at + offset, &items[i]);
        if (result != MODEL_VALUE)
            return result;
        offset += model_size(type->items[i]);
    }
    *out = (struct value){.items = items, .count = type->item_count};
    return MODEL_VALUE;
}

// From memory that is known to be inside it.
static inline enum model_result model_load(struct model *model, const struct component_type *type,
                                           uint32_t at, struct value *out) {
    uint32_t word = (uint32_t)model_get(model, at, 4);
    if (type->kind == COMPONENT_STRING)
        return model_lift_string(model, word, (uint32_t)model_get(model, at + 4, 4), out);
    if (type->kind == COMPONENT_LIST)
        return model_lift_list(model, type->items[0], word, (uint32_t)model_get(model, at + 4, 4),
                               out);
    if (type->kind == COMPONENT_RECORD || type->kind == COMPONENT_TUPLE)
        return model_load_fields(model, type, at, out);
    if (!model_is_variant(type))
        return model_lift_scalar(type, model_get(model, at, model_scalar_size(type)), out);
    uint64_t which = model_get(model, at, model_discriminant_size(type));
    if (which >= model_cases(type))
        return MODEL_TRAP;
    const struct component_type *payload = model_payload(type, (uint32_t)which);
    struct value *value = ARENA_ARRAY(model->arena, struct value, 1);
    *out = (struct value){.items = value, .which = (uint32_t)which};
    return payload == NULL ? MODEL_VALUE
                           : model_load(model, payload, at + model_payload_offset(type), value);
}

// From an address that the guest gave.
static inline enum model_result model_lift_at(struct model *model,
                                              const struct component_type *type, uint32_t at,
                                              struct value *out) {
    if (at % model_align(type) != 0 || !model_in_bounds(model, at, model_size(type)))
        return MODEL_TRAP;
    return model_load(model, type, at, out);
}

// From core values, eight bytes each, in the image at `at`.
static inline enum model_result model_lift_flat(struct model *model,
                                                const struct component_type *type, uint32_t at,
                                                struct value *out) {
    uint64_t first = model_get(model, at, 8), second = model_get(model, at + 8, 8);
    if (type->kind == COMPONENT_STRING)
        return model_lift_string(model, (uint32_t)first, (uint32_t)second, out);
    if (type->kind == COMPONENT_LIST)
        return model_lift_list(model, type->items[0], (uint32_t)first, (uint32_t)second, out);
    if (type->kind == COMPONENT_RECORD || type->kind == COMPONENT_TUPLE) {
        struct value *items = ARENA_ARRAY(model->arena, struct value, type->item_count);
        for (uint32_t i = 0; i < type->item_count; i++) {
            enum model_result result = model_lift_flat(model, type->items[i], at, &items[i]);
            if (result != MODEL_VALUE)
                return result;
            at += 8 * model_flats(type->items[i]);
        }
        *out = (struct value){.items = items, .count = type->item_count};
        return MODEL_VALUE;
    }
    if (!model_is_variant(type))
        return model_lift_scalar(type, type->kind == COMPONENT_BOOL ? (uint32_t)first : first, out);
    if ((uint32_t)first >= model_cases(type))
        return MODEL_TRAP;
    const struct component_type *payload = model_payload(type, (uint32_t)first);
    struct value *value = ARENA_ARRAY(model->arena, struct value, 1);
    *out = (struct value){.items = value, .which = (uint32_t)first};
    return payload == NULL ? MODEL_VALUE : model_lift_flat(model, payload, at + 8, value);
}

// ---- comparison --------------------------------------------------------------------------------

// Appends a value so that equal values give equal bytes. Ends the process when the value is none of
// its type: text that is not UTF-8, a char or a case that does not exist, …
static inline void model_describe(const struct component_type *type, const struct value *value,
                                  struct buf *out) {
    if (type->kind == COMPONENT_STRING) {
        if (!model_is_utf8(value->bytes, value->count))
            fatal("a string is not UTF-8");
        buf_format(out, "s%u:", value->count);
        buf_append(out, value->bytes, value->count);
    } else if (type->kind == COMPONENT_LIST) {
        buf_format(out, "l%u:", value->count);
        for (uint32_t i = 0; i < value->count; i++) {
            struct value item = model_item(type->items[0], value, i);
            model_describe(type->items[0], &item, out);
        }
    } else if (type->kind == COMPONENT_RECORD || type->kind == COMPONENT_TUPLE) {
        for (uint32_t i = 0; i < type->item_count; i++)
            model_describe(type->items[i], &value->items[i], out);
    } else if (model_is_variant(type)) {
        if (value->which >= model_cases(type))
            fatal("a case does not exist");
        buf_format(out, "c%u:", value->which);
        const struct component_type *payload = model_payload(type, value->which);
        if (payload != NULL)
            model_describe(payload, value->items, out);
    } else {
        struct value again;
        if (model_lift_scalar(type, value->bits, &again) != MODEL_VALUE ||
            again.bits != value->bits)
            fatal("a number of kind %d is out of its range: 0x%llx", (int)type->kind,
                  (unsigned long long)value->bits);
        buf_format(out, "%llx,", (unsigned long long)value->bits);
    }
}

#endif

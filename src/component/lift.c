// SPDX-License-Identifier: Apache-2.0
// Lifting: from core values and guest memory to values of ours (CanonicalABI.md, "Loading", "Flat
// Lifting"). No guest code runs meanwhile, so pointers into guest memory hold; every list, string
// and spilled tuple is checked as one range, and parts are read inside it.
#include <assert.h>

#include "component/guest.h"
#include "component/text.h"

static bool load(struct guest *guest, const struct component_type *type, const uint8_t *p,
                 struct value *out);

static uint32_t get_u16(const uint8_t *p) {
    return (uint32_t)(p[0] | p[1] << 8);
}

static uint32_t get_u32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get_u64(const uint8_t *p) {
    return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

// As arena_try_alloc, trapping instead of giving NULL. The bump is repeated here because a call
// allocates a handful of small values and nothing else costs as much in it.
static inline void *arena_get(struct arena *arena, uint64_t size, size_t align) {
    assert(size <= UINT64_MAX / 2);
    uint64_t padding = -(uintptr_t)arena->next & (align - 1);
    uint64_t taken = padding + size;
    // Less than the room, so that an arena without a chunk has none even for a size of 0.
    if (LIKELY(taken < (uint64_t)(arena->end - arena->next) &&
               taken <= arena->limit_bytes - arena->used_bytes)) {
        uint8_t *begin = arena->next + padding;
        arena->next = begin + size;
        arena->used_bytes += taken;
        return begin;
    }
    void *result = arena_try_alloc(arena, size, align);
    if (result == NULL) {
        (void)guest_trap("values of one call take more than the limit of %llu bytes",
                         (unsigned long long)arena->limit_bytes);
    }
    return result;
}

static inline struct value *values_new(struct arena *arena, uint64_t count) {
    return arena_get(arena, count * sizeof(struct value), _Alignof(struct value));
}

// ---- scalars -----------------------------------------------------------------------------------

static uint32_t canonical_f32(uint32_t bits) {
    return (bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : bits;
}

static uint64_t canonical_f64(uint64_t bits) {
    return (bits & INT64_MAX) > UINT64_C(0x7ff0000000000000) ? UINT64_C(0x7ff8000000000000) : bits;
}

static bool lift_char(uint32_t point, struct value *out) {
    if (point >= 0x110000 || (point >= 0xd800 && point <= 0xdfff)) {
        return guest_trap("invalid `char` bit pattern 0x%x", point);
    }
    out->bits = point;
    return true;
}

static uint64_t flags_mask(uint32_t count) {
    return count == 32 ? UINT32_MAX : (UINT32_C(1) << count) - 1;
}

static bool bad_case(uint32_t which, const struct component_type *type) {
    return guest_trap("invalid variant discriminant %u (there are %u cases)", which,
                      type_case_count(type));
}

// ---- strings and lists -------------------------------------------------------------------------

// Copies a string that is UTF-8 in the guest. Validated on our copy.
static bool lift_utf8(struct guest *guest, const uint8_t *data, uint32_t size, struct value *out) {
    uint8_t *copy = arena_get(guest->arena, size, 1);
    if (copy == NULL) {
        return false;
    }
    if (size != 0) {
        memcpy(copy, data, size);
    }
    if (!text_is_utf8(copy, size)) {
        return guest_trap("invalid utf-8 in a string");
    }
    out->bytes = copy;
    out->count = size;
    return true;
}

static bool lift_utf16(struct guest *guest, const uint8_t *data, uint32_t units,
                       struct value *out) {
    size_t size = 0;
    if (!text_utf16_size(data, units, &size)) {
        return guest_trap("unpaired surrogate in a utf-16 string");
    }
    uint8_t *copy = arena_get(guest->arena, size, 1);
    if (copy == NULL) {
        return false;
    }
    text_from_utf16(data, units, copy);
    out->bytes = copy;
    out->count = (uint32_t)size;
    return true;
}

static bool lift_latin1(struct guest *guest, const uint8_t *data, uint32_t bytes,
                        struct value *out) {
    size_t size = text_latin1_size(data, bytes);
    uint8_t *copy = arena_get(guest->arena, size, 1);
    if (copy == NULL) {
        return false;
    }
    text_from_latin1(data, bytes, copy);
    out->bytes = copy;
    out->count = (uint32_t)size;
    return true;
}

static bool lift_string(struct guest *guest, uint32_t at, uint32_t tagged, struct value *out) {
    const uint32_t tag = UINT32_C(1) << 31;
    bool is_utf16 = guest->encoding == ENCODING_UTF16 ||
                    (guest->encoding == ENCODING_LATIN1_UTF16 && (tagged & tag) != 0);
    uint32_t units = guest->encoding == ENCODING_LATIN1_UTF16 ? tagged & ~tag : tagged;
    uint64_t size = is_utf16 ? (uint64_t)units * 2 : units;
    if (size > VALUE_BYTES_MAX) {
        return guest_trap("string of %llu bytes is over the limit of 2^28-1",
                          (unsigned long long)size);
    }
    if (guest->encoding != ENCODING_UTF8 && (at & 1) != 0) {
        return guest_trap("unaligned pointer: string pointer not aligned to 2");
    }
    const uint8_t *data = guest_range(guest, at, size);
    if (data == NULL) {
        return guest_trap(
            "string content out-of-bounds: string pointer/length out of bounds of "
            "memory");
    }
    if (is_utf16) {
        return lift_utf16(guest, data, units, out);
    }
    return guest->encoding == ENCODING_UTF8 ? lift_utf8(guest, data, units, out)
                                            : lift_latin1(guest, data, units, out);
}

static void canonicalize_floats(enum component_kind kind, uint8_t *data, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (kind == COMPONENT_F32) {
            uint32_t bits;
            memcpy(&bits, data + i * sizeof bits, sizeof bits);
            bits = canonical_f32(bits);
            memcpy(data + i * sizeof bits, &bits, sizeof bits);
        } else {
            uint64_t bits;
            memcpy(&bits, data + i * sizeof bits, sizeof bits);
            bits = canonical_f64(bits);
            memcpy(data + i * sizeof bits, &bits, sizeof bits);
        }
    }
}

static bool lift_list(struct guest *guest, const struct component_type *item, uint32_t at,
                      uint32_t count, struct value *out) {
    uint64_t size = (uint64_t)count * item->size;
    if (size > VALUE_BYTES_MAX) {
        return guest_trap("list of %llu bytes is over the limit of 2^28-1",
                          (unsigned long long)size);
    }
    if ((at & (item->align - 1u)) != 0) {
        return guest_trap("unaligned pointer: list pointer not aligned to %u", item->align);
    }
    const uint8_t *data = guest_range(guest, at, size);
    if (data == NULL) {
        return guest_trap(
            "list content out-of-bounds: list pointer/length out of bounds of "
            "memory");
    }
    out->count = count;
    if (item->is_plain) {
        uint8_t *copy = arena_get(guest->arena, size, item->align);
        if (copy == NULL) {
            return false;
        }
        if (size != 0) {
            memcpy(copy, data, size);
        }
        if (item->kind == COMPONENT_F32 || item->kind == COMPONENT_F64) {
            canonicalize_floats(item->kind, copy, count);
        }
        out->bytes = copy;
        return true;
    }
    struct value *values = values_new(guest->arena, count);
    if (values == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!load(guest, item, data + (size_t)i * item->size, &values[i])) {
            return false;
        }
    }
    out->items = values;
    return true;
}

// ---- from memory -------------------------------------------------------------------------------

static bool load_fields(struct guest *guest, const struct component_type *type, const uint8_t *p,
                        struct value *out) {
    struct value *values = values_new(guest->arena, type->item_count);
    if (values == NULL) {
        return false;
    }
    out->items = values;
    out->count = type->item_count;
    const uint32_t *offsets = type_layout(type)->offsets;
    // The last one is left to a tail call: most tuples that actors exchange have one field.
    uint32_t last = type->item_count - 1;
    for (uint32_t i = 0; i < last; i++) {
        if (!load(guest, type->items[i], p + offsets[i], &values[i])) {
            return false;
        }
    }
    return load(guest, type->items[last], p + offsets[last], &values[last]);
}

static bool load_case(struct guest *guest, const struct component_type *type, const uint8_t *p,
                      struct value *out) {
    const struct type_layout *layout = type_layout(type);
    uint32_t which = layout->discriminant_size == 1   ? p[0]
                     : layout->discriminant_size == 2 ? get_u16(p)
                                                      : get_u32(p);
    if (which >= type_case_count(type)) {
        return bad_case(which, type);
    }
    const struct component_type *payload = type_case(type, which);
    out->which = which;
    out->items = NULL;
    if (payload == NULL) {
        return true;
    }
    struct value *value = values_new(guest->arena, 1);
    out->items = value;
    return value != NULL && load(guest, payload, p + layout->payload_offset, value);
}

static uint64_t load_flags(const struct component_type *type, const uint8_t *p) {
    uint32_t bits = type->size == 1 ? p[0] : type->size == 2 ? get_u16(p) : get_u32(p);
    return bits & flags_mask(type->item_count);
}

// `p` has type->size bytes. Recursion is bounded by TYPE_DEPTH_MAX.
static bool load(struct guest *guest, const struct component_type *type, const uint8_t *p,
                 struct value *out) {
    out->count = 0;
    switch (type->kind) {
        case COMPONENT_BOOL:
            out->bits = p[0] != 0;
            return true;
        case COMPONENT_U8:
            out->bits = p[0];
            return true;
        case COMPONENT_S8:
            out->bits = (uint64_t)(int8_t)p[0];
            return true;
        case COMPONENT_U16:
            out->bits = get_u16(p);
            return true;
        case COMPONENT_S16:
            out->bits = (uint64_t)(int16_t)get_u16(p);
            return true;
        case COMPONENT_U32:
            out->bits = get_u32(p);
            return true;
        case COMPONENT_S32:
            out->bits = (uint64_t)(int32_t)get_u32(p);
            return true;
        case COMPONENT_U64:
        case COMPONENT_S64:
            out->bits = get_u64(p);
            return true;
        case COMPONENT_F32:
            out->bits = canonical_f32(get_u32(p));
            return true;
        case COMPONENT_F64:
            out->bits = canonical_f64(get_u64(p));
            return true;
        case COMPONENT_CHAR:
            return lift_char(get_u32(p), out);
        case COMPONENT_STRING:
            return lift_string(guest, get_u32(p), get_u32(p + 4), out);
        case COMPONENT_LIST:
            return lift_list(guest, type->items[0], get_u32(p), get_u32(p + 4), out);
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            return load_fields(guest, type, p, out);
        case COMPONENT_VARIANT:
        case COMPONENT_ENUM:
        case COMPONENT_OPTION:
        case COMPONENT_RESULT:
            return load_case(guest, type, p, out);
        case COMPONENT_FLAGS:
            out->bits = load_flags(type, p);
            return true;
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            return lift_handle(guest, type, get_u32(p), out);
    }
    fatal("component type of kind %d cannot be lifted", (int)type->kind);
}

bool lift_at(struct guest *guest, const struct component_type *type, uint32_t at,
             struct value *out) {
    if ((at & (type->align - 1u)) != 0) {
        return guest_trap("unaligned pointer: values in memory not aligned to %u", type->align);
    }
    const uint8_t *p = guest_range(guest, at, type->size);
    if (p == NULL) {
        return guest_trap("pointer out of bounds of memory: values at 0x%x", at);
    }
    return load(guest, type, p, out);
}

// ---- from core values --------------------------------------------------------------------------

static bool lift_flat_fields(struct guest *guest, const struct component_type *type,
                             const uint64_t *slots, struct value *out) {
    struct value *values = values_new(guest->arena, type->item_count);
    if (values == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < type->item_count; i++) {
        if (!lift_flat(guest, type->items[i], slots, &values[i])) {
            return false;
        }
        slots += type->items[i]->flat_count;
    }
    out->items = values;
    out->count = type->item_count;
    return true;
}

// The slots of all cases are shared: a payload takes what it needs, the rest is skipped. That a
// slot may be wider than the payload's own core type needs no conversion: every scalar takes the
// low bits (wrap, reinterpret), which is where the slot has them.
static bool lift_flat_case(struct guest *guest, const struct component_type *type,
                           const uint64_t *slots, struct value *out) {
    uint32_t which = (uint32_t)slots[0];
    if (which >= type_case_count(type)) {
        return bad_case(which, type);
    }
    const struct component_type *payload = type_case(type, which);
    out->which = which;
    out->items = NULL;
    if (payload == NULL) {
        return true;
    }
    struct value *value = values_new(guest->arena, 1);
    out->items = value;
    return value != NULL && lift_flat(guest, payload, slots + 1, value);
}

bool lift_flat(struct guest *guest, const struct component_type *type, const uint64_t *slots,
               struct value *out) {
    assert(type->flat_count <= FLAT_PARAMS_MAX);
    out->count = 0;
    switch (type->kind) {
        case COMPONENT_BOOL:
            out->bits = (uint32_t)slots[0] != 0;
            break;
        case COMPONENT_U8:
            out->bits = (uint8_t)slots[0];
            break;
        case COMPONENT_S8:
            out->bits = (uint64_t)(int8_t)slots[0];
            break;
        case COMPONENT_U16:
            out->bits = (uint16_t)slots[0];
            break;
        case COMPONENT_S16:
            out->bits = (uint64_t)(int16_t)slots[0];
            break;
        case COMPONENT_U32:
            out->bits = (uint32_t)slots[0];
            break;
        case COMPONENT_S32:
            out->bits = (uint64_t)(int32_t)slots[0];
            break;
        case COMPONENT_U64:
        case COMPONENT_S64:
            out->bits = slots[0];
            break;
        case COMPONENT_F32:
            out->bits = canonical_f32((uint32_t)slots[0]);
            break;
        case COMPONENT_F64:
            out->bits = canonical_f64(slots[0]);
            break;
        case COMPONENT_FLAGS:
            out->bits = slots[0] & flags_mask(type->item_count);
            break;
        case COMPONENT_CHAR:
            return lift_char((uint32_t)slots[0], out);
        case COMPONENT_STRING:
            return lift_string(guest, (uint32_t)slots[0], (uint32_t)slots[1], out);
        case COMPONENT_LIST:
            return lift_list(guest, type->items[0], (uint32_t)slots[0], (uint32_t)slots[1], out);
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            return lift_flat_fields(guest, type, slots, out);
        case COMPONENT_VARIANT:
        case COMPONENT_ENUM:
        case COMPONENT_OPTION:
        case COMPONENT_RESULT:
            return lift_flat_case(guest, type, slots, out);
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            return lift_handle(guest, type, (uint32_t)slots[0], out);
    }
    return true;
}

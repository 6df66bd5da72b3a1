// SPDX-License-Identifier: Apache-2.0
// Lowering: from values of ours to core values and guest memory (CanonicalABI.md, "Storing", "Flat
// Lowering"). Room for strings and lists comes from the guest's realloc, which is guest code: after
// it, memory may have moved, so everything here is an address until the moment it is written.
#include <assert.h>

#include "component/guest.h"
#include "component/text.h"

static bool store(struct guest *guest, const struct component_type *type, const struct value *value,
                  uint32_t at);

bool guest_alloc(struct guest *guest, uint32_t align, uint64_t size, uint32_t *out) {
    assert(guest->realloc != NULL && (*guest->owner_flags & OWNER_MAY_NOT_LEAVE) == 0);
    if (size > UINT32_MAX) {
        return guest_trap("a value of %llu bytes does not fit the guest's memory",
                          (unsigned long long)size);
    }
    uint64_t slots[4] = {0, 0, align, size};
    *guest->owner_flags |= OWNER_MAY_NOT_LEAVE;
    bool done = wasm_enter(guest->context, guest->realloc, slots);
    *guest->owner_flags &= (uint8_t)~OWNER_MAY_NOT_LEAVE;
    if (!done) {
        return false;
    }
    guest_refresh(guest);
    uint32_t at = (uint32_t)slots[0];
    if ((at & (align - 1)) != 0) {
        return guest_trap("realloc return: result not aligned to %u", align);
    }
    if (guest_range(guest, at, size) == NULL) {
        return guest_trap("realloc return: beyond end of memory");
    }
    *out = at;
    return true;
}

// Writes the low `size` bytes (1, 2, 4 or 8) of `bits`. Addresses were checked with the block
// that they are in, and memory never shrinks: a miss is a bug of ours.
static void put(struct guest *guest, uint32_t at, uint64_t bits, uint32_t size) {
    uint8_t *p = guest_range(guest, at, size);
    assert(p != NULL);
    // Both supported machines are little-endian, as guest memory is.
    if (size == 4) {
        uint32_t word = (uint32_t)bits;
        memcpy(p, &word, sizeof word);
    } else if (size == 1) {
        p[0] = (uint8_t)bits;
    } else if (size == 2) {
        uint16_t half = (uint16_t)bits;
        memcpy(p, &half, sizeof half);
    } else {
        assert(size == 8);
        memcpy(p, &bits, sizeof bits);
    }
}

// ---- strings and lists: give address and length
// --------------------------------------------------

struct place {
    uint32_t at;
    uint32_t length;  // in code units (tagged) or items
};

static bool lower_utf16(struct guest *guest, const struct value *value, struct place *out) {
    size_t units = text_utf16_units(value->bytes, value->count);
    if (!guest_alloc(guest, 2, units * 2, &out->at)) {
        return false;
    }
    text_to_utf16(value->bytes, value->count, guest->data + out->at);
    out->length = (uint32_t)units;
    return true;
}

static bool lower_string(struct guest *guest, const struct value *value, struct place *out) {
    // Guests may rely on what they receive being valid; a host function that gives anything else
    // must not get through.
    if (!text_is_utf8(value->bytes, value->count)) {
        return guest_trap("a string given to the component is not utf-8");
    }
    if (value->count > VALUE_BYTES_MAX) {
        return guest_trap("string of %u bytes is over the limit of 2^28-1", value->count);
    }
    if (guest->encoding == ENCODING_UTF16) {
        return lower_utf16(guest, value, out);
    }
    size_t size = value->count;
    if (guest->encoding == ENCODING_LATIN1_UTF16) {
        if (!text_fits_latin1(value->bytes, value->count, &size)) {
            if (!lower_utf16(guest, value, out)) {
                return false;
            }
            out->length |= UINT32_C(1) << 31;
            return true;
        }
        if (!guest_alloc(guest, 2, size, &out->at)) {
            return false;
        }
        text_to_latin1(value->bytes, value->count, guest->data + out->at);
    } else {
        if (!guest_alloc(guest, 1, size, &out->at)) {
            return false;
        }
        if (size != 0) {
            memcpy(guest->data + out->at, value->bytes, size);
        }
    }
    out->length = (uint32_t)size;
    return true;
}

static inline bool lower_list(struct guest *guest, const struct component_type *item,
                              const struct value *value, struct place *out) {
    uint64_t size = (uint64_t)value->count * item->size;
    if (size > VALUE_BYTES_MAX) {
        return guest_trap("list of %llu bytes is over the limit of 2^28-1",
                          (unsigned long long)size);
    }
    if (!guest_alloc(guest, item->align, size, &out->at)) {
        return false;
    }
    out->length = value->count;
    if (item->is_plain) {
        if (size != 0) {
            memcpy(guest->data + out->at, value->bytes, size);
        }
        return true;
    }
    for (uint32_t i = 0; i < value->count; i++) {
        if (!store(guest, item, &value->items[i], out->at + i * item->size)) {
            return false;
        }
    }
    return true;
}

// ---- to memory ---------------------------------------------------------------------------------

static bool store_place(struct guest *guest, const struct place *place, uint32_t at) {
    put(guest, at, place->at, 4);
    put(guest, at + 4, place->length, 4);
    return true;
}

static bool store_string(struct guest *guest, const struct value *value, uint32_t at) {
    struct place place;
    return lower_string(guest, value, &place) && store_place(guest, &place, at);
}

static bool store_list(struct guest *guest, const struct component_type *item,
                       const struct value *value, uint32_t at) {
    struct place place;
    return lower_list(guest, item, value, &place) && store_place(guest, &place, at);
}

static bool store_fields(struct guest *guest, const struct component_type *type,
                         const struct value *value, uint32_t at) {
    const uint32_t *offsets = type_layout(type)->offsets;
    for (uint32_t i = 0; i < type->item_count; i++) {
        if (!store(guest, type->items[i], &value->items[i], at + offsets[i])) {
            return false;
        }
    }
    return true;
}

static bool store_case(struct guest *guest, const struct component_type *type,
                       const struct value *value, uint32_t at) {
    const struct type_layout *layout = type_layout(type);
    assert(value->which < type_case_count(type));
    put(guest, at, value->which, layout->discriminant_size);
    const struct component_type *payload = type_case(type, value->which);
    return payload == NULL || store(guest, payload, &value->items[0], at + layout->payload_offset);
}

static bool store_handle(struct guest *guest, const struct component_type *type,
                         const struct value *value, uint32_t at) {
    uint32_t handle = 0;
    if (!lower_handle(guest, type, value->bits, &handle)) {
        return false;
    }
    put(guest, at, handle, 4);
    return true;
}

// [at, at + type->size) is inside the guest's memory. Recursion is bounded by TYPE_DEPTH_MAX.
static bool store(struct guest *guest, const struct component_type *type, const struct value *value,
                  uint32_t at) {
    switch (type->kind) {
        case COMPONENT_BOOL:
            put(guest, at, value->bits != 0, 1);
            return true;
        case COMPONENT_U8:
        case COMPONENT_S8:
        case COMPONENT_U16:
        case COMPONENT_S16:
        case COMPONENT_U32:
        case COMPONENT_S32:
        case COMPONENT_U64:
        case COMPONENT_S64:
        case COMPONENT_F32:
        case COMPONENT_F64:
        case COMPONENT_CHAR:
        case COMPONENT_FLAGS:
            put(guest, at, value->bits, type->size);
            return true;
        case COMPONENT_STRING:
            return store_string(guest, value, at);
        case COMPONENT_LIST:
            return store_list(guest, type->items[0], value, at);
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            return store_fields(guest, type, value, at);
        case COMPONENT_VARIANT:
        case COMPONENT_ENUM:
        case COMPONENT_OPTION:
        case COMPONENT_RESULT:
            return store_case(guest, type, value, at);
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            return store_handle(guest, type, value, at);
    }
    fatal("component type of kind %d cannot be lowered", (int)type->kind);
}

bool lower_at(struct guest *guest, const struct component_type *type, const struct value *value,
              uint32_t at) {
    if ((at & (type->align - 1u)) != 0) {
        return guest_trap("unaligned pointer: room for results not aligned to %u", type->align);
    }
    if (guest_range(guest, at, type->size) == NULL) {
        return guest_trap("pointer out of bounds of memory: room for results at 0x%x", at);
    }
    return store(guest, type, value, at);
}

bool lower_new(struct guest *guest, const struct component_type *type, const struct value *value,
               uint32_t *at) {
    return guest_alloc(guest, type->align, type->size, at) && store(guest, type, value, *at);
}

// ---- to core values ----------------------------------------------------------------------------

// Small signed integers are sign-extended to 32 bits, and no more: the slot's upper half is zero.
static uint64_t lower_scalar(const struct component_type *type, uint64_t bits) {
    switch (type->kind) {
        case COMPONENT_BOOL:
            return bits != 0;
        case COMPONENT_U8:
            return (uint8_t)bits;
        case COMPONENT_S8:
            return (uint64_t)(uint32_t)(int8_t)bits;
        case COMPONENT_U16:
            return (uint16_t)bits;
        case COMPONENT_S16:
            return (uint64_t)(uint32_t)(int16_t)bits;
        case COMPONENT_U64:
        case COMPONENT_S64:
        case COMPONENT_F64:
            return bits;
        case COMPONENT_U32:
        case COMPONENT_S32:
        case COMPONENT_F32:
        case COMPONENT_CHAR:
        case COMPONENT_FLAGS:
        case COMPONENT_STRING:
        case COMPONENT_LIST:
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
        case COMPONENT_VARIANT:
        case COMPONENT_ENUM:
        case COMPONENT_OPTION:
        case COMPONENT_RESULT:
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            break;
    }
    return (uint32_t)bits;
}

static bool flat_place(const struct place *place, uint64_t *slots) {
    slots[0] = place->at;
    slots[1] = place->length;
    return true;
}

static bool lower_flat_string(struct guest *guest, const struct value *value, uint64_t *slots) {
    struct place place;
    return lower_string(guest, value, &place) && flat_place(&place, slots);
}

static bool lower_flat_handle(struct guest *guest, const struct component_type *type,
                              const struct value *value, uint64_t *slots) {
    uint32_t handle = 0;
    if (!lower_handle(guest, type, value->bits, &handle)) {
        return false;
    }
    slots[0] = handle;
    return true;
}

static bool lower_flat_list(struct guest *guest, const struct component_type *item,
                            const struct value *value, uint64_t *slots) {
    struct place place;
    return lower_list(guest, item, value, &place) && flat_place(&place, slots);
}

// The case's number, its payload, and zeros in the slots that other cases would use. Widening of a
// joined slot (i32 to i64, bits of a float) is the identity on slots.
static bool lower_flat_case(struct guest *guest, const struct component_type *type,
                            const struct value *value, uint64_t *slots) {
    assert(value->which < type_case_count(type));
    const struct component_type *payload = type_case(type, value->which);
    slots[0] = value->which;
    for (uint32_t i = payload == NULL ? 1 : 1u + payload->flat_count; i < type->flat_count; i++) {
        slots[i] = 0;
    }
    return payload == NULL || lower_flat(guest, payload, &value->items[0], slots + 1);
}

static bool lower_flat_fields(struct guest *guest, const struct component_type *type,
                              const struct value *value, uint64_t *slots) {
    // The last one is left to a tail call: most tuples that actors exchange have one field.
    uint32_t last = type->item_count - 1;
    for (uint32_t i = 0; i < last; i++) {
        if (!lower_flat(guest, type->items[i], &value->items[i], slots)) {
            return false;
        }
        slots += type->items[i]->flat_count;
    }
    return lower_flat(guest, type->items[last], &value->items[last], slots);
}

bool lower_flat(struct guest *guest, const struct component_type *type, const struct value *value,
                uint64_t *slots) {
    assert(type->flat_count <= FLAT_PARAMS_MAX);
    switch (type->kind) {
        case COMPONENT_STRING:
            return lower_flat_string(guest, value, slots);
        case COMPONENT_LIST:
            return lower_flat_list(guest, type->items[0], value, slots);
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            return lower_flat_fields(guest, type, value, slots);
        case COMPONENT_VARIANT:
        case COMPONENT_ENUM:
        case COMPONENT_OPTION:
        case COMPONENT_RESULT:
            return lower_flat_case(guest, type, value, slots);
        case COMPONENT_BOOL:
        case COMPONENT_U8:
        case COMPONENT_S8:
        case COMPONENT_U16:
        case COMPONENT_S16:
        case COMPONENT_U32:
        case COMPONENT_S32:
        case COMPONENT_U64:
        case COMPONENT_S64:
        case COMPONENT_F32:
        case COMPONENT_F64:
        case COMPONENT_CHAR:
        case COMPONENT_FLAGS:
            slots[0] = lower_scalar(type, value->bits);
            return true;
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            return lower_flat_handle(guest, type, value, slots);
    }
    fatal("component type of kind %d cannot be lowered", (int)type->kind);
}

// SPDX-License-Identifier: Apache-2.0
// Values from a record: any bytes, read as a value of any type, give a value that is all there or
// an error, and take memory in proportion to what was read.
//
// The input is a type, one byte for each part of it, and then the item.
#include <assert.h>
#include <stdlib.h>

#include "actor/record_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH_MOST = 6, PARTS_MOST = 40 };

struct input {
    const uint8_t *next, *end;
    unsigned parts;
    struct arena *arena;
};

static uint8_t take(struct input *input) {
    return input->next < input->end ? *input->next++ : 0;
}

static const struct component_type *type_of(struct input *input, int depth) {
    static const uint8_t sizes[] = {1, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 4};
    struct component_type *type = ARENA_NEW(input->arena, struct component_type);
    bool is_leaf = depth == 0 || ++input->parts > PARTS_MOST;
    uint8_t byte = take(input);
    type->kind = (enum component_kind)(byte % (is_leaf ? COMPONENT_STRING : COMPONENT_BORROW + 1));
    type->size = type->kind < sizeof sizes ? sizes[type->kind] : 4;
    type->is_plain = type->kind >= COMPONENT_S8 && type->kind <= COMPONENT_F64;
    bool has_cases = type->kind == COMPONENT_VARIANT || type->kind == COMPONENT_RESULT;
    bool has_items = has_cases || type->kind == COMPONENT_LIST || type->kind == COMPONENT_OPTION ||
                     type->kind == COMPONENT_RECORD || type->kind == COMPONENT_TUPLE;
    type->item_count = byte / 64 + 1;
    if (type->kind == COMPONENT_LIST || type->kind == COMPONENT_OPTION) {
        type->item_count = 1;
    } else if (type->kind == COMPONENT_RESULT) {
        type->item_count = 2;
    }
    const struct component_type **items =
        ARENA_ARRAY(input->arena, const struct component_type *, type->item_count);
    for (uint32_t i = 0; has_items && i < type->item_count; i++) {
        items[i] = has_cases && take(input) % 2 == 0 ? NULL : type_of(input, depth - 1);
    }
    type->items = items;
    return type;
}

static uint64_t sum;  // of all that was read: it must all be there

static void touch_bytes(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        sum += bytes[i];
    }
}

static void touch(const struct component_type *type, const struct value *value) {
    switch ((int)type->kind) {
        case COMPONENT_STRING:
            touch_bytes(value->bytes, value->count);
            break;
        case COMPONENT_LIST:
            if (type->items[0]->is_plain) {
                touch_bytes(value->bytes, (size_t)value->count * type->items[0]->size);
                break;
            }
            for (uint32_t i = 0; i < value->count; i++) {
                touch(type->items[0], &value->items[i]);
            }
            break;
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            for (uint32_t i = 0; i < type->item_count; i++) {
                touch(type->items[i], &value->items[i]);
            }
            break;
        case COMPONENT_OPTION:
            if (value->which == 1) {
                touch(type->items[0], value->items);
            }
            break;
        case COMPONENT_VARIANT:
        case COMPONENT_RESULT:
            assert(value->which < type->item_count);
            if (type->items[value->which] != NULL) {
                touch(type->items[value->which], value->items);
            }
            break;
        case COMPONENT_ENUM:
            assert(value->which < type->item_count);
            break;
        default:
            sum += value->bits;
    }
}

static enum status secret(void *context, const uint8_t commitment[SHA256_BYTES], struct slice *item,
                          struct error *error) {
    (void)context;
    (void)error;
    *item = slice_of(commitment, SHA256_BYTES);
    return OK;
}

static enum status content(void *context, const uint8_t hash[SHA256_BYTES], uint64_t size,
                           struct slice *bytes, struct error *error) {
    (void)context;
    (void)error;
    *bytes = slice_of(hash, size < SHA256_BYTES ? (size_t)size : SHA256_BYTES);
    return OK;
}

static enum status range(void *context, const struct component_type *list,
                         const struct record_range_read *range_read, struct arena *arena,
                         struct value *out, struct error *error) {
    (void)context;
    (void)list;
    (void)arena;
    (void)out;
    touch_bytes(range_read->chain.data, range_read->chain.size);
    touch_bytes(range_read->hash, SHA256_BYTES);
    return error_set(error, ERR_NOT_FOUND, "no chain");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct record_source source = {
        .secret = secret, .content = content, .range = range};
    struct arena types, values;
    arena_init(&types, UINT64_MAX);
    arena_init(&values, UINT64_MAX);
    struct input input = {.next = data, .end = data + size, .arena = &types};
    const struct component_type *type = type_of(&input, DEPTH_MOST);
    size_t left = (size_t)(input.end - input.next);
    struct cbor_reader reader = cbor_reader_of(slice_of(input.next, left));
    struct value value;
    if (record_read_value(&reader, type, &source, &values, &value, NULL) == OK) {
        assert(reader.next <= reader.end);
        touch(type, &value);
    }
    assert(values.used_bytes <= 64 * (left + PARTS_MOST) * sizeof(struct value));
    arena_release(&values);
    arena_release(&types);
    return 0;
}

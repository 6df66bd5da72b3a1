// SPDX-License-Identifier: Apache-2.0
// Feeds text to the WAVE reader. The input's first bytes, up to a byte 0, choose the type; the rest
// is the text. What reads must be written, and the written must read back as what is written the
// same way; what does not must say why.
#include <assert.h>

#include "component/types.h"
#include "component/wave.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size;
    struct type_table types;
    unsigned left;  // types that may still be made
};

static uint8_t next(struct input *input) {
    if (input->size == 0 || input->data[0] == 0) {
        return 0;
    }
    input->size--;
    return *input->data++;
}

static const struct component_type *choose_type(struct input *input, int depth) {
    enum component_kind kind = (enum component_kind)(next(input) % (COMPONENT_FLAGS + 1u));
    if (kind <= COMPONENT_STRING || depth == 0 || input->left == 0) {
        return type_primitive(kind <= COMPONENT_STRING ? kind : COMPONENT_STRING);
    }
    input->left--;
    static const char *const labels[] = {"a", "some", "b-c", "none", "ok", "x1"};
    const struct component_type *items[COUNT_OF(labels)];
    struct slice names[COUNT_OF(labels)];
    uint32_t count = kind == COMPONENT_LIST || kind == COMPONENT_OPTION ? 1
                     : kind == COMPONENT_RESULT                         ? 2
                                                : 1 + next(input) % COUNT_OF(labels);
    bool may_lack = kind == COMPONENT_VARIANT || kind == COMPONENT_RESULT;
    for (uint32_t i = 0; i < count; i++) {
        names[i] = slice_text(labels[i]);
        items[i] = may_lack && next(input) % 2 == 1 ? NULL : choose_type(input, depth - 1);
    }
    bool has_items = kind != COMPONENT_ENUM && kind != COMPONENT_FLAGS;
    bool has_names = kind == COMPONENT_RECORD || kind == COMPONENT_VARIANT || !has_items;
    const char *why = NULL;
    const struct component_type *type = type_intern(
        &input->types, kind, count, has_items ? items : NULL, has_names ? names : NULL, &why);
    return type == NULL ? type_primitive(COMPONENT_STRING) : type;
}

static void check(const struct component_type *type, struct slice text, struct arena *arena) {
    struct value value, again;
    struct error error = {0};
    enum status status = wave_read(text, type, arena, &value, &error);
    if (status != OK) {
        assert(error.code == status && error.message[0] != '\0');
        return;
    }
    struct buf first = {0}, second = {0};
    wave_write(type, &value, &first);
    arena->limit_bytes = UINT64_MAX;
    status = wave_read(buf_slice(&first), type, arena, &again, &error);
    assert(status == OK);
    wave_write(type, &again, &second);
    assert(slice_equal(buf_slice(&first), buf_slice(&second)));
    for (size_t i = 0; i < first.size; i++) {
        assert(first.data[i] >= ' ' && first.data[i] != 0x7f);
    }
    buf_release(&first);
    buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena types, values;
    arena_init(&types, UINT64_MAX);
    arena_init(&values, 1 << 22);
    struct input input = {.data = data, .size = size, .left = 64};
    type_table_init(&input.types, &types);
    const struct component_type *type = choose_type(&input, 5);
    while (next(&input) != 0) {
    }
    struct slice text = slice_of(input.data, input.size);
    if (text.size > 0) {
        text = slice_of(text.data + 1, text.size - 1);
    }
    check(type, text, &values);
    type_table_release(&input.types);
    arena_release(&types);
    arena_release(&values);
    return 0;
}

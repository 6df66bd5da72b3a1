// SPDX-License-Identifier: Apache-2.0
// Puts small components together byte by byte.
#ifndef TESTS_UNIT_COMPONENT_BUILDER_H
#define TESTS_UNIT_COMPONENT_BUILDER_H

#include "base/bytes.h"

static inline void put_u32(struct buf *out, uint32_t value) {
    while (value >= 0x80) {
        buf_append_byte(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buf_append_byte(out, (uint8_t)value);
}

static inline void put_header(struct buf *out) {
    buf_append(out, "\0asm\x0d\0\1\0", 8);
}

static inline void put_section(struct buf *out, uint8_t id, struct buf *content) {
    buf_append_byte(out, id);
    put_u32(out, (uint32_t)content->size);
    buf_append_slice(out, buf_slice(content));
    buf_release(content);
}

#endif

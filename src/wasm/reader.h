// SPDX-License-Identifier: Apache-2.0
// A strict reader of the binary format. The first failure sticks: it is written to the error, and
// every later read gives zero without moving, so that parsers check once per loop, not per byte.
#ifndef WASM_READER_H
#define WASM_READER_H

#include "base/bytes.h"
#include "base/status.h"

struct wasm_items;

struct reader {
    const uint8_t *data;
    size_t at;   // offset in the module, as errors name it
    size_t end;  // of the part being read
    enum status status;
    struct error *error;
    const struct wasm_items *globals;  // those that constant expressions may use so far
    struct buf *memory_copies;         // of struct memory_copy; NULL: not wanted
};

// The operands of a memory.copy between two memories: [first, second) and [second, end).
struct memory_copy {
    size_t first, second, end;
};

static inline bool reader_ok(const struct reader *r) {
    return r->status == OK;
}
// "byte N: …"; N is `at`.
void wasm_reader_fail(struct reader *r, size_t at, enum status status, const char *format, ...)
    PRINTF_LIKE(4, 5);
uint8_t wasm_reader_byte(struct reader *r);
uint32_t wasm_reader_u32(struct reader *r);
void wasm_reader_s32(struct reader *r);
void wasm_reader_s33(struct reader *r);
void wasm_reader_s64(struct reader *r);
void wasm_reader_skip(struct reader *r, uint64_t size);
// A vector's count, at most `limit` and at most what the remaining bytes can hold.
uint32_t wasm_reader_count(struct reader *r, const char *what, uint32_t limit);
struct slice wasm_reader_name(struct reader *r);

// ---- expr.c ----------------------------------------------------------------------------------

// Refuses by name a type that is not an enum wasm_type (SIMD, exceptions, GC) and gives the type.
uint8_t wasm_reader_value_type(struct reader *r);
uint8_t wasm_reader_ref_type(struct reader *r);
// Reads instructions up to the `end` that closes the expression. Unknown and unsupported opcodes
// are refused by name; operands are read, not checked (see the room's header).
void wasm_reader_body(struct reader *r);
// A constant expression; `extended` says that it is more than one instruction, or uses a global
// that is not imported: what the translator does not take.
void wasm_reader_constant(struct reader *r, bool *extended);

#endif

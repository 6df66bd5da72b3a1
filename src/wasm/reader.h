// SPDX-License-Identifier: Apache-2.0
// A strict reader of the binary format. The first failure sticks: it is written to the error, and
// every later read gives zero without moving, so that parsers check once per loop, not per byte.
#ifndef WASM_READER_H
#define WASM_READER_H

#include "base/bytes.h"
#include "base/status.h"

struct reader {
    const uint8_t *data;
    size_t at;   // offset in the module, as errors name it
    size_t end;  // of the part being read
    enum status status;
    struct error *error;
    bool in_function;   // what is read belongs to a function's body: errors name it
    uint32_t function;  // in the function index space
};

static inline bool reader_ok(const struct reader *r) {
    return r->status == OK;
}
// "byte N: …", in a body "byte N, function F: …"; N is `at`.
void wasm_reader_fail(struct reader *r, size_t at, enum status status, const char *format, ...)
    PRINTF_LIKE(4, 5);
uint8_t wasm_reader_byte(struct reader *r);
uint32_t wasm_reader_u32(struct reader *r);
void wasm_reader_s32(struct reader *r);
int64_t wasm_reader_s33(struct reader *r);
void wasm_reader_s64(struct reader *r);
void wasm_reader_skip(struct reader *r, uint64_t size);
// A vector's count, at most `limit` and at most what the remaining bytes can hold.
uint32_t wasm_reader_count(struct reader *r, const char *what, uint32_t limit);
struct slice wasm_reader_name(struct reader *r);
// Refuses by name a type that is not an enum wasm_type (SIMD, exceptions, GC) and gives the type.
uint8_t wasm_reader_value_type(struct reader *r);
uint8_t wasm_reader_ref_type(struct reader *r);

// The same for instructions, of which there are many: most of their numbers take one byte.
static inline uint8_t reader_byte(struct reader *r) {
    return LIKELY(r->at < r->end && reader_ok(r)) ? r->data[r->at++] : wasm_reader_byte(r);
}
static inline bool reader_one_byte_number(struct reader *r) {
    return LIKELY(r->at < r->end && reader_ok(r)) && r->data[r->at] < 0x80;
}
static inline uint32_t reader_u32(struct reader *r) {
    return reader_one_byte_number(r) ? r->data[r->at++] : wasm_reader_u32(r);
}

#endif

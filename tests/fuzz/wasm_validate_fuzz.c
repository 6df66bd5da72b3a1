// SPDX-License-Identifier: Apache-2.0
// Any bytes as the body of a function, in a module that has one of everything a body may name. The
// first byte chooses the function's type, the rest is locals and code. The validation must neither
// crash nor leak, and what it accepts it must accept as well
//   - after normalisation,
//   - with an `unreachable` in front of the code,
//   - with the code in a block that gives what the function gives.
#include <stdlib.h>

#include "wasm/internal.h"
#include "wasm/reader.h"

enum { BODY_BYTES_MAX = 4000, TYPE_COUNT = 5 };

#define BYTES(...)                                                  \
    {                                                               \
        sizeof((const uint8_t[]){__VA_ARGS__}), (const uint8_t[]) { \
            __VA_ARGS__                                             \
        }                                                           \
    }
struct part {
    size_t size;
    const uint8_t *bytes;
};

// By type: () -> (); i32 -> i32; i32 i64 -> f32 f64; () -> i32 i64; funcref -> i32 externref.
// Type 5 + n is of a block that gives what type n gives.
static const struct part types =
    BYTES(2 * TYPE_COUNT, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 2, 0x7f, 0x7e, 2, 0x7d, 0x7c,
          0x60, 0, 2, 0x7f, 0x7e, 0x60, 1, 0x70, 2, 0x7f, 0x6f, 0x60, 0, 0, 0x60, 0, 1, 0x7f, 0x60,
          0, 2, 0x7d, 0x7c, 0x60, 0, 2, 0x7f, 0x7e, 0x60, 0, 2, 0x7f, 0x6f);
// Function 0, memory 0, global 0.
static const struct part imports =
    BYTES(3, 1, 'm', 1, 'f', 0, 0, 1, 'm', 1, 'm', 2, 0, 1, 1, 'm', 1, 'g', 3, 0x7f, 0);
static const struct part tables = BYTES(2, 0x70, 0, 1, 0x6f, 0, 1);
static const struct part memories = BYTES(1, 0, 1);
static const struct part globals =
    BYTES(3, 0x7e, 1, 0x42, 0, 0x0b, 0x7d, 1, 0x43, 0, 0, 0, 0, 0x0b, 0x70, 1, 0xd0, 0x70, 0x0b);
// Passive segments of function 0 and of a null externref.
static const struct part elements = BYTES(2, 1, 0, 1, 0, 5, 0x6f, 1, 0xd0, 0x6f, 0x0b);
static const struct part data_count = BYTES(1);
static const struct part data_segments = BYTES(1, 1, 0);

static void put_u32(struct buf *out, size_t value) {
    for (; value >= 0x80; value >>= 7)
        buf_append_byte(out, (uint8_t)(value | 0x80));
    buf_append_byte(out, (uint8_t)value);
}

static void put_section(struct buf *out, uint8_t id, struct part part) {
    buf_append_byte(out, id);
    put_u32(out, part.size);
    buf_append(out, part.bytes, part.size);
}

static struct bytes *module_of(uint8_t type, struct slice body) {
    struct buf out = {0}, code = {0};
    buf_append(&out, (const uint8_t[]){0, 'a', 's', 'm', 1, 0, 0, 0}, 8);
    put_section(&out, WASM_SECTION_TYPE, types);
    put_section(&out, WASM_SECTION_IMPORT, imports);
    put_section(&out, WASM_SECTION_FUNCTION, (struct part)BYTES(1, type));
    put_section(&out, WASM_SECTION_TABLE, tables);
    put_section(&out, WASM_SECTION_MEMORY, memories);
    put_section(&out, WASM_SECTION_GLOBAL, globals);
    put_section(&out, WASM_SECTION_ELEMENT, elements);
    put_section(&out, WASM_SECTION_DATA_COUNT, data_count);
    buf_append_byte(&code, 1);
    put_u32(&code, body.size);
    buf_append_slice(&code, body);
    put_section(&out, WASM_SECTION_CODE, (struct part){code.size, code.data});
    put_section(&out, WASM_SECTION_DATA, data_segments);
    struct bytes *bytes = bytes_copy(buf_slice(&out));
    buf_release(&code);
    buf_release(&out);
    return bytes;
}

// Takes the bytes. Gives the module if it is valid, which it must be if `valid` says why.
static struct wasm_module *scan(struct bytes *bytes, const char *valid) {
    struct wasm_module *module = NULL;
    struct error error = {0};
    enum status status = wasm_module_scan(bytes, NULL, &module, &error);
    bytes_unref(bytes);
    if ((status == OK) != (module != NULL) || (status != OK && error.message[0] == 0))
        fatal("a verdict without a module or an error");
    // One more block may be one too many.
    if (status != OK && status != ERR_LIMIT && valid != NULL)
        fatal("refused %s: %s", valid, error.message);
    return module;
}

// Where the code begins: behind the groups of locals.
static size_t code_start(struct slice body) {
    struct error error = {0};
    struct reader r = {.data = body.data, .end = body.size, .error = &error};
    for (uint32_t groups = wasm_reader_u32(&r); groups > 0 && reader_ok(&r); groups--) {
        (void)wasm_reader_u32(&r);
        (void)wasm_reader_byte(&r);
    }
    return r.at;
}

static void check_variant(uint8_t type, struct slice body, struct slice before, struct slice after,
                          const char *what) {
    struct buf variant = {0};
    size_t start = code_start(body);
    buf_append(&variant, body.data, start);
    buf_append_slice(&variant, before);
    buf_append(&variant, body.data + start, body.size - start);
    buf_append_slice(&variant, after);
    wasm_module_unref(scan(module_of(type, buf_slice(&variant)), what));
    buf_release(&variant);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > BODY_BYTES_MAX)
        return 0;
    uint8_t type = data[0] % TYPE_COUNT;
    struct slice body = slice_of(data + 1, size - 1);
    struct wasm_module *module = scan(module_of(type, body), NULL);
    if (module == NULL)
        return 0;
    struct buf normal = {0};
    wasm_normalise(module, size % 2 == 0 ? WABT_1_0_32 : WABT_1_0_34, &normal);
    wasm_module_unref(scan(bytes_copy(buf_slice(&normal)), "a normalised module"));
    buf_release(&normal);
    wasm_module_unref(module);
    const uint8_t block[] = {0x02, (uint8_t)(TYPE_COUNT + type)};
    check_variant(type, body, slice_of("\0", 1), slice_of("", 0), "code that is not reached");
    check_variant(type, body, slice_of(block, 2), slice_of("\x0b", 1), "a body in a block");
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Instructions, read one by one so that what the translator lacks is refused by name. What an
// opcode's operands are comes from a table; types and indices are checked by the validator.
#include <assert.h>

#include "wasm/internal.h"
#include "wasm/reader.h"

enum { NESTING_MAX = 10000, CONSTANT_INSTRUCTIONS_MAX = 1000 };

// Operands of an opcode, one letter each (core specification, 5.4).
//   u index or count, m memory argument, b block type, i/I signed 32/64 bits, f/F four/eight bytes,
//   t table of branch targets, v types of select, r reference type
// and the opcodes that have a meaning only elsewhere, or later:
#define NONE ""
struct opcodes {
    uint8_t first, last;
    const char *operands;     // NULL: refused
    const char *unsupported;  // the feature it belongs to; NULL: unknown
};

static const struct opcodes table[] = {
    {0x00, 0x01, NONE, NULL},
    {0x02, 0x04, "b", NULL},
    {0x05, 0x05, NONE, NULL},
    {0x06, 0x0a, NULL, "exceptions"},
    {0x0b, 0x0b, NONE, NULL},
    {0x0c, 0x0d, "u", NULL},
    {0x0e, 0x0e, "t", NULL},
    {0x0f, 0x0f, NONE, NULL},
    {0x10, 0x10, "u", NULL},
    {0x11, 0x11, "uu", NULL},
    {0x12, 0x13, NULL, "tail calls"},
    {0x14, 0x15, NULL, "typed function references"},
    {0x18, 0x19, NULL, "exceptions"},
    {0x1a, 0x1b, NONE, NULL},
    {0x1c, 0x1c, "v", NULL},
    {0x1f, 0x1f, NULL, "exceptions"},
    {0x20, 0x26, "u", NULL},
    {0x28, 0x3e, "m", NULL},
    {0x3f, 0x40, "u", NULL},
    {0x41, 0x41, "i", NULL},
    {0x42, 0x42, "I", NULL},
    {0x43, 0x43, "f", NULL},
    {0x44, 0x44, "F", NULL},
    {0x45, 0xc4, NONE, NULL},
    {0xd0, 0xd0, "r", NULL},
    {0xd1, 0xd1, NONE, NULL},
    {0xd2, 0xd2, "u", NULL},
    {0xd3, 0xd3, NULL, "GC"},
    {0xd4, 0xd6, NULL, "typed function references"},
    {0xfb, 0xfb, NULL, "GC"},
    {0xfd, 0xfd, NULL, "SIMD"},
    {0xfe, 0xfe, NULL, "threads"},
};

// Operands of 0xfc followed by this number.
static const char *const table_fc[] = {NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, "uu",
                                       "u",  "uu", "u",  "uu", "u",  "uu", "u",  "u",  "u"};

static const struct opcodes *find(uint8_t opcode) {
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (opcode >= table[i].first && opcode <= table[i].last)
            return &table[i];
    return NULL;
}

static void fail_type(struct reader *r, size_t at, uint8_t byte) {
    const char *feature = NULL;
    if (byte == 0x7b)
        feature = "SIMD";
    else if (byte == 0x69 || byte == 0x74)
        feature = "exceptions";
    else if (byte == 0x63 || byte == 0x64)
        feature = "typed function references";
    else if ((byte >= 0x6a && byte <= 0x6e) || (byte >= 0x71 && byte <= 0x73) || byte == 0x78 ||
             byte == 0x77)
        feature = "GC";
    if (feature != NULL)
        wasm_reader_fail(r, at, ERR_UNSUPPORTED, "%s (type 0x%02x) is not supported", feature,
                         byte);
    else
        wasm_reader_fail(r, at, ERR_INVALID, "unknown type 0x%02x", byte);
}

uint8_t wasm_reader_value_type(struct reader *r) {
    size_t at = r->at;
    uint8_t byte = wasm_reader_byte(r);
    if (reader_ok(r) && (byte < WASM_F64 || byte > WASM_I32) && byte != WASM_FUNCREF &&
        byte != WASM_EXTERNREF)
        fail_type(r, at, byte);
    return byte;
}

uint8_t wasm_reader_ref_type(struct reader *r) {
    size_t at = r->at;
    uint8_t byte = wasm_reader_byte(r);
    if (reader_ok(r) && byte != WASM_FUNCREF && byte != WASM_EXTERNREF)
        fail_type(r, at, byte);
    return byte;
}

static void read_block_type(struct reader *r) {
    size_t at = r->at;
    if (at >= r->end) {
        (void)wasm_reader_byte(r);
        return;
    }
    uint8_t byte = r->data[at];
    // 0x40 and the types are one-byte negative numbers; the rest is an index in 33 bits.
    if (byte == 0x40)
        (void)wasm_reader_byte(r);
    else if (byte >= 0x41 && byte <= 0x7f)
        (void)wasm_reader_value_type(r);
    else
        wasm_reader_s33(r);
}

static void read_operand(struct reader *r, char letter) {
    switch (letter) {
        case 'u':
            (void)wasm_reader_u32(r);
            break;
        case 'm':
            // Bit 6 of the alignment announces a memory index (several memories).
            if ((wasm_reader_u32(r) & 0x40) != 0)
                (void)wasm_reader_u32(r);
            (void)wasm_reader_u32(r);
            break;
        case 'b':
            read_block_type(r);
            break;
        case 'i':
            wasm_reader_s32(r);
            break;
        case 'I':
            wasm_reader_s64(r);
            break;
        case 'f':
            wasm_reader_skip(r, 4);
            break;
        case 'F':
            wasm_reader_skip(r, 8);
            break;
        case 't':
            for (uint32_t n = wasm_reader_count(r, "branch targets", UINT32_MAX); n > 0; n--)
                (void)wasm_reader_u32(r);
            (void)wasm_reader_u32(r);
            break;
        case 'v':
            for (uint32_t n = wasm_reader_count(r, "types of select", 1000); n > 0; n--)
                (void)wasm_reader_value_type(r);
            break;
        case 'r':
            (void)wasm_reader_ref_type(r);
            break;
        default:
            assert(false);
    }
}

// Notes a copy between two memories, for the sake of the translator (normalise.c).
static void read_memory_copy(struct reader *r) {
    struct memory_copy copy = {.first = r->at};
    uint32_t target = wasm_reader_u32(r);
    copy.second = r->at;
    uint32_t source = wasm_reader_u32(r);
    copy.end = r->at;
    if (reader_ok(r) && target != source && r->memory_copies != NULL)
        buf_append(r->memory_copies, &copy, sizeof copy);
}

// Reads one instruction; gives its opcode.
static uint8_t read_instruction(struct reader *r) {
    size_t at = r->at;
    uint8_t opcode = wasm_reader_byte(r);
    if (!reader_ok(r))
        return 0;
    const char *operands = NULL;
    if (opcode == 0xfc) {
        uint32_t number = wasm_reader_u32(r);
        if (reader_ok(r) && number >= COUNT_OF(table_fc)) {
            wasm_reader_fail(r, at, ERR_INVALID, "unknown opcode 0xfc %u", number);
            return 0;
        }
        operands = table_fc[reader_ok(r) ? number : 0];
        if (reader_ok(r) && number == 10) {
            read_memory_copy(r);
            return opcode;
        }
    } else {
        const struct opcodes *found = find(opcode);
        if (found != NULL && found->unsupported != NULL)
            wasm_reader_fail(r, at, ERR_UNSUPPORTED, "%s (opcode 0x%02x) is not supported",
                             found->unsupported, opcode);
        else if (found == NULL)
            wasm_reader_fail(r, at, ERR_INVALID, "unknown opcode 0x%02x", opcode);
        if (!reader_ok(r))
            return 0;
        operands = found->operands;
    }
    for (; *operands != 0; operands++)
        read_operand(r, *operands);
    return opcode;
}

void wasm_reader_body(struct reader *r) {
    uint32_t depth = 1;
    while (reader_ok(r) && depth > 0) {
        size_t at = r->at;
        uint8_t opcode = read_instruction(r);
        if (opcode >= 0x02 && opcode <= 0x04)
            depth++;
        else if (opcode == 0x0b)
            depth--;
        if (depth > NESTING_MAX)
            wasm_reader_fail(r, at, ERR_LIMIT, "blocks nested deeper than %d", NESTING_MAX);
    }
}

// The global.get at `at`, in a constant expression; true if the global is not imported.
static bool check_global(struct reader *r, size_t at) {
    struct reader again = *r;
    again.at = at + 1;
    uint32_t index = wasm_reader_u32(&again);
    if (index >= r->globals->count) {
        wasm_reader_fail(r, at, ERR_INVALID, "unknown global %u in a constant expression", index);
        return false;
    }
    if (r->globals->item[index].type.global.is_mutable)
        wasm_reader_fail(r, at, ERR_INVALID,
                         "constant expression required, but global %u is mutable", index);
    return index >= r->globals->imported;
}

void wasm_reader_constant(struct reader *r, bool *extended) {
    uint32_t count = 0;
    *extended = false;
    while (reader_ok(r)) {
        size_t at = r->at;
        uint8_t opcode = read_instruction(r);
        if (!reader_ok(r) || opcode == 0x0b)
            break;
        bool constant = (opcode >= 0x41 && opcode <= 0x44) || opcode == 0x23 || opcode == 0xd0 ||
                        opcode == 0xd2;
        bool arithmetic = (opcode >= 0x6a && opcode <= 0x6c) || (opcode >= 0x7c && opcode <= 0x7e);
        if (!constant && !arithmetic)
            wasm_reader_fail(r, at, ERR_INVALID,
                             "constant expression required, found opcode 0x%02x", opcode);
        if (arithmetic || (opcode == 0x23 && check_global(r, at)))
            *extended = true;
        if (++count > CONSTANT_INSTRUCTIONS_MAX)
            wasm_reader_fail(r, at, ERR_LIMIT, "a constant expression of over %d instructions",
                             CONSTANT_INSTRUCTIONS_MAX);
    }
}

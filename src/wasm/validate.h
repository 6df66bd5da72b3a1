// SPDX-License-Identifier: Apache-2.0
// Validation of expressions: function bodies and constant expressions (core specification,
// appendix "Validation Algorithm"). One pass, no recursion, no memory per instruction:
//
//   operands   the types of the values that the instructions so far leave on the stack, a byte each
//   controls   the blocks that are open, the function itself first; each knows how many operands
//              lie below it, and whether the rest of it cannot be reached
//
// What an opcode takes and gives is a table (opcodes.c); most entries are only data, the others
// name a function that reads the immediates and checks the rest (validate.c for control
// instructions, validate_ops.c for those of variables, tables, memories and references).
//
// Private to the room; used by scan.c, on one thread, within one scan.
#ifndef WASM_VALIDATE_H
#define WASM_VALIDATE_H

#include "wasm/internal.h"
#include "wasm/reader.h"

struct wasm_validator;

struct wasm_opcode {
    const char *name;  // NULL: no such instruction
    // NULL: no immediates, `pops` and `push` are all there is to it.
    void (*check)(struct wasm_validator *v, const struct wasm_opcode *op);
    uint8_t pops;           // operands taken,
    uint8_t pop[3];         // of these types, the topmost last
    uint8_t push;           // type of the result; 0: none
    uint8_t alignment_log;  // natural alignment of a memory access, as a power of two
    bool constant;          // may stand in a constant expression
};
extern const struct wasm_opcode wasm_opcodes[256];
// Behind the prefix 0xfc, by the number that follows it.
enum { WASM_OPCODES_FC = 18 };
extern const struct wasm_opcode wasm_opcodes_fc[WASM_OPCODES_FC];

// The type of an operand that unreachable code takes from an empty stack: it fits everywhere.
enum { WASM_ANY_TYPE = 0 };

// A block that is open.
struct wasm_control {
    struct wasm_func_type type;
    uint32_t floor;    // operands below this belong to the blocks around
    uint8_t opcode;    // that opened it; 0: the function or constant expression itself
    bool unreachable;  // no instruction from here to its end can run
};

// Zero-initialised but for the first two fields. Owns what its arrays point to.
struct wasm_validator {
    struct reader *r;
    struct wasm_module_body *module;  // what has been read of it; memory copies are added
    uint32_t data_count;              // of the data count section, if there is one
    uint32_t locals_limit;
    // The instruction that is being checked.
    const struct wasm_opcode *op;
    size_t at;
    // Types, the parameters first.
    uint8_t *locals;
    uint32_t local_count, local_capacity;
    uint8_t *operands;
    uint32_t operand_count, operand_capacity;
    struct wasm_control *controls;
    struct wasm_control *top;  // the innermost
    uint32_t depth, control_capacity;
    // Which instructions have been seen, by opcode.
    bool seen[256];
    bool seen_fc[WASM_OPCODES_FC];
    bool constant;  // the expression is a constant expression
    bool extended;  // and more than the translator takes
};
void wasm_validator_release(struct wasm_validator *v);

// Reads and checks a function's locals and instructions, from the reader's place up to its end.
void wasm_validate_function(struct wasm_validator *v, const struct wasm_func_type *type);
// Reads and checks a constant expression of the type. `extended` says that it is more than one
// instruction, or uses a global that is not imported: what the translator does not take.
void wasm_validate_constant(struct wasm_validator *v, const uint8_t *type, bool *extended);

// What the module uses, when everything in it has been checked: bits of enum wasm_feature.
uint32_t wasm_features_seen(const struct wasm_validator *v, const struct wasm_module *module);

// ---- for the functions of the table ------------------------------------------------------------

// Fails at the instruction that is being checked; the first failure is the one that is told.
void wasm_validate_fail(struct wasm_validator *v, enum status status, const char *format, ...)
    PRINTF_LIKE(3, 4);
// "type mismatch in NAME: expected …, found …"; WASM_ANY_TYPE as what was found: nothing.
void wasm_fail_type(struct wasm_validator *v, const char *expected, uint8_t found);
const char *wasm_type_name(uint8_t type);
// The operand that the stack of this block does not hold: any type in unreachable code, else a
// failure.
uint8_t wasm_operand_missing(struct wasm_validator *v, const char *expected);
// Makes room for `more` operands; false, and a failure, when there would be too many.
bool wasm_operands_grow(struct wasm_validator *v, uint32_t more);

static inline uint8_t operand_pop_any(struct wasm_validator *v) {
    if (LIKELY(v->operand_count > v->top->floor))
        return v->operands[--v->operand_count];
    return wasm_operand_missing(v, "a value");
}
static inline void operand_pop(struct wasm_validator *v, uint8_t type) {
    if (UNLIKELY(v->operand_count <= v->top->floor)) {
        (void)wasm_operand_missing(v, wasm_type_name(type));
        return;
    }
    uint8_t found = v->operands[--v->operand_count];
    if (UNLIKELY(found != type && found != WASM_ANY_TYPE))
        wasm_fail_type(v, wasm_type_name(type), found);
}
static inline void operand_push(struct wasm_validator *v, uint8_t type) {
    if (LIKELY(v->operand_count < v->operand_capacity || wasm_operands_grow(v, 1)))
        v->operands[v->operand_count++] = type;
}
// What the table says of the instruction.
static inline void operands_apply(struct wasm_validator *v, const struct wasm_opcode *op) {
    for (unsigned i = op->pops; i-- > 0;)
        operand_pop(v, op->pop[i]);
    if (op->push != 0)
        operand_push(v, op->push);
}

// Of the table, by the instructions that they check.
typedef void wasm_check(struct wasm_validator *v, const struct wasm_opcode *op);
wasm_check wasm_check_unsupported;  // its name is the feature's
wasm_check wasm_check_block, wasm_check_else, wasm_check_end, wasm_check_unreachable;
wasm_check wasm_check_br, wasm_check_br_if, wasm_check_br_table, wasm_check_return;
wasm_check wasm_check_call, wasm_check_call_indirect, wasm_check_prefix_fc;
wasm_check wasm_check_drop, wasm_check_select, wasm_check_select_typed;
wasm_check wasm_check_local_get, wasm_check_local_set, wasm_check_local_tee;
wasm_check wasm_check_global_get, wasm_check_global_set;
wasm_check wasm_check_i32_const, wasm_check_i64_const, wasm_check_f32_const, wasm_check_f64_const;
wasm_check wasm_check_memory_access, wasm_check_memory_index, wasm_check_memory_init;
wasm_check wasm_check_memory_copy, wasm_check_data_drop;
wasm_check wasm_check_table_get, wasm_check_table_set, wasm_check_table_init;
wasm_check wasm_check_table_copy, wasm_check_table_grow, wasm_check_table_size;
wasm_check wasm_check_table_fill, wasm_check_elem_drop;
wasm_check wasm_check_ref_null, wasm_check_ref_is_null, wasm_check_ref_func;

#endif

// SPDX-License-Identifier: Apache-2.0
// Instructions of variables, memories, tables and references: their immediates name things that the
// module declares. See validate.h.
#include <assert.h>

#include "wasm/validate.h"

// Fails unless the module has the thing; a number that could not be read has failed already.
static bool known(struct wasm_validator *v, const char *what, uint32_t index, uint32_t count) {
    if (LIKELY(index < count && reader_ok(v->r)))
        return true;
    wasm_validate_fail(v, ERR_INVALID, "unknown %s %u", what, index);
    return false;
}

// The index of a memory was a byte 0 before there were several; some translators still take nothing
// else from a module that has one.
static uint32_t read_memory_index(struct wasm_validator *v) {
    size_t start = v->r->at;
    uint32_t index = reader_u32(v->r);
    v->module->indexes_memories |= v->r->at - start > 1;
    return index;
}

static bool read_memory(struct wasm_validator *v) {
    return known(v, "memory", read_memory_index(v), v->module->spaces[WASM_MEMORY].count);
}

// Gives the type of the table's elements; WASM_ANY_TYPE, after a failure, when there is none.
static uint8_t read_table(struct wasm_validator *v) {
    const struct wasm_items *tables = &v->module->spaces[WASM_TABLE];
    uint32_t index = reader_u32(v->r);
    if (!known(v, "table", index, tables->count))
        return WASM_ANY_TYPE;
    return (uint8_t)tables->item[index].type.table.element;
}

// ---- constants ---------------------------------------------------------------------------------

void wasm_check_i32_const(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    if (reader_one_byte_number(v->r))
        v->r->at++;
    else
        wasm_reader_s32(v->r);
    operand_push(v, WASM_I32);
}

void wasm_check_i64_const(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    if (reader_one_byte_number(v->r))
        v->r->at++;
    else
        wasm_reader_s64(v->r);
    operand_push(v, WASM_I64);
}

void wasm_check_f32_const(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    wasm_reader_skip(v->r, 4);
    operand_push(v, WASM_F32);
}

void wasm_check_f64_const(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    wasm_reader_skip(v->r, 8);
    operand_push(v, WASM_F64);
}

// ---- locals and globals ------------------------------------------------------------------------

// Gives the type of the local; WASM_ANY_TYPE, after a failure, when there is none.
static inline uint8_t read_local(struct wasm_validator *v) {
    uint32_t index = reader_u32(v->r);
    return known(v, "local", index, v->local_count) ? v->locals[index] : WASM_ANY_TYPE;
}

void wasm_check_local_get(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    operand_push(v, read_local(v));
}

void wasm_check_local_set(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    operand_pop(v, read_local(v));
}

void wasm_check_local_tee(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    uint8_t type = read_local(v);
    operand_pop(v, type);
    operand_push(v, type);
}

void wasm_check_global_get(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    const struct wasm_items *globals = &v->module->spaces[WASM_GLOBAL];
    uint32_t index = reader_u32(v->r);
    if (!known(v, "global", index, globals->count))
        return;
    if (v->constant && globals->item[index].type.global.is_mutable)
        wasm_validate_fail(v, ERR_INVALID, "constant expression required, but global %u is mutable",
                           index);
    if (v->constant && index >= globals->imported)
        v->extended = true;
    operand_push(v, (uint8_t)globals->item[index].type.global.type);
}

void wasm_check_global_set(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    const struct wasm_items *globals = &v->module->spaces[WASM_GLOBAL];
    uint32_t index = reader_u32(v->r);
    if (!known(v, "global", index, globals->count))
        return;
    if (!globals->item[index].type.global.is_mutable)
        wasm_validate_fail(v, ERR_INVALID, "immutable global %u in global.set", index);
    operand_pop(v, (uint8_t)globals->item[index].type.global.type);
}

// ---- memories ----------------------------------------------------------------------------------

// Loads and stores. Bit 6 of the alignment announces a memory index (several memories).
void wasm_check_memory_access(struct wasm_validator *v, const struct wasm_opcode *op) {
    uint32_t alignment_log = reader_u32(v->r);
    uint32_t memory = 0;
    if (UNLIKELY((alignment_log & 0x40) != 0)) {
        alignment_log -= 0x40;
        memory = reader_u32(v->r);
        v->module->indexes_memories = true;
    }
    (void)reader_u32(v->r);
    if (UNLIKELY(alignment_log > op->alignment_log))
        wasm_validate_fail(v, ERR_INVALID,
                           alignment_log < 0x40
                               ? "alignment must not be larger than natural: 2^%u in %s"
                               : "malformed memop flags 0x%x of %s",
                           alignment_log, op->name);
    if (known(v, "memory", memory, v->module->spaces[WASM_MEMORY].count))
        operands_apply(v, op);
}

void wasm_check_memory_index(struct wasm_validator *v, const struct wasm_opcode *op) {
    if (read_memory(v))
        operands_apply(v, op);
}

// Whether the data segment exists, which only the data count section says at this point.
static bool read_data_index(struct wasm_validator *v) {
    uint32_t index = reader_u32(v->r);
    if (!v->module->sections[WASM_SECTION_DATA_COUNT].present) {
        wasm_validate_fail(v, ERR_INVALID, "data count section required");
        return false;
    }
    v->module->names_data = true;
    return known(v, "data segment", index, v->data_count);
}

void wasm_check_memory_init(struct wasm_validator *v, const struct wasm_opcode *op) {
    if (read_data_index(v) && read_memory(v))
        operands_apply(v, op);
}

void wasm_check_data_drop(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    (void)read_data_index(v);
}

void wasm_check_memory_copy(struct wasm_validator *v, const struct wasm_opcode *op) {
    struct reader *r = v->r;
    uint32_t count = v->module->spaces[WASM_MEMORY].count;
    struct memory_copy copy = {.first = r->at};
    uint32_t target = read_memory_index(v);
    copy.second = r->at;
    uint32_t source = read_memory_index(v);
    copy.end = r->at;
    if (!known(v, "memory", target, count) || !known(v, "memory", source, count))
        return;
    // For the sake of the translator (normalise.c).
    if (target != source)
        buf_append(&v->module->memory_copies, &copy, sizeof copy);
    operands_apply(v, op);
}

// ---- tables ------------------------------------------------------------------------------------

void wasm_check_table_get(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    uint8_t element = read_table(v);
    operand_pop(v, WASM_I32);
    operand_push(v, element);
}

void wasm_check_table_set(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    operand_pop(v, read_table(v));
    operand_pop(v, WASM_I32);
}

// Gives the type of the segment's elements; WASM_ANY_TYPE, after a failure, when there is none.
static uint8_t read_segment(struct wasm_validator *v) {
    uint32_t index = reader_u32(v->r);
    if (!known(v, "elem segment", index, v->module->elements.count))
        return WASM_ANY_TYPE;
    return v->module->elements.segment[index].type;
}

void wasm_check_table_init(struct wasm_validator *v, const struct wasm_opcode *op) {
    uint8_t segment = read_segment(v);
    uint8_t table = read_table(v);
    if (segment != table)
        wasm_fail_type(v, wasm_type_name(table), segment);
    operands_apply(v, op);
}

void wasm_check_elem_drop(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    (void)read_segment(v);
}

void wasm_check_table_copy(struct wasm_validator *v, const struct wasm_opcode *op) {
    uint8_t target = read_table(v);
    uint8_t source = read_table(v);
    if (target != source)
        wasm_fail_type(v, wasm_type_name(target), source);
    operands_apply(v, op);
}

void wasm_check_table_grow(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    uint8_t element = read_table(v);
    operand_pop(v, WASM_I32);
    operand_pop(v, element);
    operand_push(v, WASM_I32);
}

void wasm_check_table_size(struct wasm_validator *v, const struct wasm_opcode *op) {
    (void)read_table(v);
    operands_apply(v, op);
}

void wasm_check_table_fill(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    uint8_t element = read_table(v);
    operand_pop(v, WASM_I32);
    operand_pop(v, element);
    operand_pop(v, WASM_I32);
}

// ---- references --------------------------------------------------------------------------------

void wasm_check_ref_null(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    struct reader *r = v->r;
    uint8_t byte = r->at < r->end ? r->data[r->at] : 0x40;
    // A positive number is the index of a type.
    if (byte < 0x40 || byte >= 0x80)
        wasm_validate_fail(v, ERR_UNSUPPORTED,
                           "typed function references (ref.null of a type) are not supported");
    operand_push(v, wasm_reader_ref_type(r));
}

void wasm_check_ref_is_null(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    uint8_t type = operand_pop_any(v);
    if (type != WASM_FUNCREF && type != WASM_EXTERNREF && type != WASM_ANY_TYPE)
        wasm_fail_type(v, "a reference", type);
    operand_push(v, WASM_I32);
}

void wasm_check_ref_func(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    const struct wasm_items *functions = &v->module->spaces[WASM_FUNC];
    uint32_t index = reader_u32(v->r);
    if (!known(v, "function", index, functions->count))
        return;
    // A constant expression declares what it refers to; a body may only use what is declared.
    if (v->constant)
        functions->item[index].referenced = true;
    else if (!functions->item[index].referenced)
        wasm_validate_fail(v, ERR_INVALID, "undeclared function reference: ref.func %u", index);
    operand_push(v, WASM_FUNCREF);
}

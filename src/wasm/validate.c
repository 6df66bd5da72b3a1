// SPDX-License-Identifier: Apache-2.0
// The validation algorithm: the stacks of operands and blocks, the control instructions, and the
// walk over an expression. See validate.h.
#include "wasm/validate.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// Bounds that no caller changes; the C compiler that gets the translation has its own, higher ones.
enum {
    NESTING_MAX = 10000,
    OPERANDS_MAX = 100000,
    BRANCH_TARGETS_MAX = 65520,
    SELECT_TYPES_MAX = 1000,
    CONSTANT_INSTRUCTIONS_MAX = 1000,
    OPCODE_BLOCK = 0x02,
    OPCODE_LOOP = 0x03,
    OPCODE_IF = 0x04,
    OPCODE_ELSE = 0x05,
};

void wasm_validator_release(struct wasm_validator *v) {
    free(v->locals);
    free(v->operands);
    free(v->controls);
    v->locals = v->operands = NULL;
    v->controls = v->top = NULL;
    v->local_capacity = v->operand_capacity = v->control_capacity = 0;
}

// ---- failures --------------------------------------------------------------------------------

void wasm_validate_fail(struct wasm_validator *v, enum status status, const char *format, ...) {
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    wasm_reader_fail(v->r, v->at, status, "%s", text);
}

const char *wasm_type_name(uint8_t type) {
    switch (type) {
        case WASM_I32:
            return "i32";
        case WASM_I64:
            return "i64";
        case WASM_F32:
            return "f32";
        case WASM_F64:
            return "f64";
        case WASM_FUNCREF:
            return "funcref";
        case WASM_EXTERNREF:
            return "externref";
        default:
            return "nothing";
    }
}

void wasm_fail_type(struct wasm_validator *v, const char *expected, uint8_t found) {
    wasm_validate_fail(v, ERR_INVALID, "type mismatch in %s: expected %s, found %s", v->op->name,
                       expected, wasm_type_name(found));
}

// ---- operands ----------------------------------------------------------------------------------

uint8_t wasm_operand_missing(struct wasm_validator *v, const char *expected) {
    assert(v->operand_count == v->top->floor);
    if (!v->top->unreachable)
        wasm_fail_type(v, expected, WASM_ANY_TYPE);
    return WASM_ANY_TYPE;
}

bool wasm_operands_grow(struct wasm_validator *v, uint32_t more) {
    assert(more <= OPERANDS_MAX && v->operand_count <= OPERANDS_MAX);
    if (more > OPERANDS_MAX - v->operand_count) {
        wasm_validate_fail(v, ERR_LIMIT, "more than %d values on the stack", OPERANDS_MAX);
        return false;
    }
    while (v->operand_count + more > v->operand_capacity)
        v->operand_capacity = v->operand_capacity == 0 ? 256 : v->operand_capacity * 2;
    // No more than allowed, so that whoever pushes looks at the capacity only.
    if (v->operand_capacity > OPERANDS_MAX)
        v->operand_capacity = OPERANDS_MAX;
    v->operands = xrealloc(v->operands, v->operand_capacity);
    return true;
}

static void push_types(struct wasm_validator *v, const uint8_t *types, uint32_t count) {
    if (count == 0 ||
        (count > v->operand_capacity - v->operand_count && !wasm_operands_grow(v, count)))
        return;
    memcpy(v->operands + v->operand_count, types, count);
    v->operand_count += count;
}

// Whether the topmost operands have these types; a failure if not. Unreachable code has as many
// operands as it takes. Gives how many of them are on the stack.
static uint32_t match_types(struct wasm_validator *v, const uint8_t *types, uint32_t count) {
    uint32_t have = v->operand_count - v->top->floor;
    if (count > have) {
        if (!v->top->unreachable)
            wasm_fail_type(v, wasm_type_name(types[count - have - 1]), WASM_ANY_TYPE);
        types += count - have;
        count = have;
    }
    if (count == 0)
        return 0;
    const uint8_t *operands = v->operands + (v->operand_count - count);
    // An operand of any type lies only at the floor, so what is above it compares as bytes, even in
    // code made to be slow to check.
    uint32_t first = operands[0] == WASM_ANY_TYPE;
    if (LIKELY(memcmp(operands + first, types + first, count - first) == 0))
        return count;
    for (uint32_t i = count; i-- > 0;)
        if (operands[i] != types[i] && operands[i] != WASM_ANY_TYPE)
            wasm_fail_type(v, wasm_type_name(types[i]), operands[i]);
    return count;
}

static void pop_types(struct wasm_validator *v, const uint8_t *types, uint32_t count) {
    v->operand_count -= match_types(v, types, count);
}

// ---- blocks ----------------------------------------------------------------------------------

static void open_control(struct wasm_validator *v, uint8_t opcode, struct wasm_func_type type) {
    if (v->depth == v->control_capacity) {
        v->control_capacity = v->control_capacity == 0 ? 64 : v->control_capacity * 2;
        v->controls = xrealloc(v->controls, v->control_capacity * sizeof *v->controls);
    }
    v->top = &v->controls[v->depth++];
    *v->top = (struct wasm_control){.type = type, .floor = v->operand_count, .opcode = opcode};
    push_types(v, type.params, type.param_count);
    if (v->depth > NESTING_MAX)
        wasm_validate_fail(v, ERR_LIMIT, "blocks nested deeper than %d", NESTING_MAX);
}

// The operands are the results of the block, and nothing else; takes them off.
static void finish_control(struct wasm_validator *v) {
    const struct wasm_control *top = v->top;
    pop_types(v, top->type.results, top->type.result_count);
    if (v->operand_count > top->floor)
        wasm_validate_fail(v, ERR_INVALID,
                           "type mismatch in %s: %u values remain on the stack of the block",
                           v->op->name, v->operand_count - top->floor);
    v->operand_count = top->floor;
}

static void set_unreachable(struct wasm_validator *v) {
    v->operand_count = v->top->floor;
    v->top->unreachable = true;
}

// The type of a block: 0x40, one result, or the index of a type as a positive number of 33 bits.
static struct wasm_func_type read_block_type(struct wasm_validator *v) {
    struct reader *r = v->r;
    struct wasm_func_type none = {0};
    uint8_t byte = r->at < r->end ? r->data[r->at] : 0;
    if (byte == 0x40) {
        r->at++;
        return none;
    }
    if (byte > 0x40 && byte < 0x80) {
        const uint8_t *result = r->data + r->at;
        (void)wasm_reader_value_type(r);
        return (struct wasm_func_type){.result_count = 1, .results = result};
    }
    int64_t index = wasm_reader_s33(r);
    if (index < 0)
        wasm_validate_fail(v, ERR_INVALID, "malformed block type");
    else if (index >= v->module->type_count)
        wasm_validate_fail(v, ERR_INVALID, "unknown type %lld of a block", (long long)index);
    return reader_ok(r) ? v->module->types[index] : none;
}

void wasm_check_block(struct wasm_validator *v, const struct wasm_opcode *op) {
    uint8_t opcode = (uint8_t)(op - wasm_opcodes);
    struct wasm_func_type type = read_block_type(v);
    if (opcode == OPCODE_IF)
        operand_pop(v, WASM_I32);
    pop_types(v, type.params, type.param_count);
    open_control(v, opcode, type);
}

void wasm_check_else(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    if (v->top->opcode != OPCODE_IF) {
        wasm_validate_fail(v, ERR_INVALID, "else without if");
        return;
    }
    finish_control(v);
    v->top->opcode = OPCODE_ELSE;
    v->top->unreachable = false;
    push_types(v, v->top->type.params, v->top->type.param_count);
}

void wasm_check_end(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    finish_control(v);
    const struct wasm_func_type type = v->top->type;
    // Without an else, what the block takes is what it gives.
    if (v->top->opcode == OPCODE_IF && !slice_equal(slice_of(type.params, type.param_count),
                                                    slice_of(type.results, type.result_count)))
        wasm_validate_fail(v, ERR_INVALID,
                           "type mismatch in if: without else, its results are its parameters");
    v->depth--;
    v->top = v->depth == 0 ? NULL : v->top - 1;
    if (v->depth > 0)
        push_types(v, type.results, type.result_count);
}

void wasm_check_unreachable(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    set_unreachable(v);
}

// ---- branches ----------------------------------------------------------------------------------

struct types {
    const uint8_t *type;
    uint32_t count;
};

// Reads a label and gives what a branch to it takes: of a loop the parameters, else the results.
static struct types read_label(struct wasm_validator *v) {
    uint32_t label = reader_u32(v->r);
    if (UNLIKELY(label >= v->depth || !reader_ok(v->r))) {
        wasm_validate_fail(v, ERR_INVALID, "unknown label %u", label);
        return (struct types){0};
    }
    const struct wasm_control *control = &v->controls[v->depth - 1 - label];
    if (control->opcode == OPCODE_LOOP)
        return (struct types){control->type.params, control->type.param_count};
    return (struct types){control->type.results, control->type.result_count};
}

void wasm_check_br(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    struct types label = read_label(v);
    pop_types(v, label.type, label.count);
    set_unreachable(v);
}

void wasm_check_br_if(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    struct types label = read_label(v);
    operand_pop(v, WASM_I32);
    pop_types(v, label.type, label.count);
    push_types(v, label.type, label.count);
}

void wasm_check_br_table(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    struct types last = {0};
    uint32_t count = wasm_reader_count(v->r, "branch targets", BRANCH_TARGETS_MAX);
    operand_pop(v, WASM_I32);
    // The targets, and the default behind them.
    for (uint32_t i = 0; i <= count && reader_ok(v->r); i++) {
        struct types label = read_label(v);
        if (i > 0 && label.count != last.count)
            wasm_validate_fail(v, ERR_INVALID,
                               "type mismatch in br_table: targets take %u and %u values",
                               last.count, label.count);
        else if (i == 0 || label.type != last.type)
            (void)match_types(v, label.type, label.count);
        last = label;
    }
    set_unreachable(v);
}

void wasm_check_return(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    const struct wasm_func_type *type = &v->controls[0].type;
    pop_types(v, type->results, type->result_count);
    set_unreachable(v);
}

// ---- calls -------------------------------------------------------------------------------------

static void apply_type(struct wasm_validator *v, const struct wasm_func_type *type) {
    pop_types(v, type->params, type->param_count);
    push_types(v, type->results, type->result_count);
}

void wasm_check_call(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    uint32_t index = reader_u32(v->r);
    if (UNLIKELY(index >= v->module->spaces[WASM_FUNC].count))
        wasm_validate_fail(v, ERR_INVALID, "unknown function %u", index);
    else
        apply_type(v, v->module->spaces[WASM_FUNC].item[index].type.func);
}

void wasm_check_call_indirect(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    const struct wasm_items *tables = &v->module->spaces[WASM_TABLE];
    uint32_t index = reader_u32(v->r);
    uint32_t table = reader_u32(v->r);
    if (table >= tables->count)
        wasm_validate_fail(v, ERR_INVALID, "unknown table %u", table);
    else if (index >= v->module->type_count)
        wasm_validate_fail(v, ERR_INVALID, "unknown type %u", index);
    else if (tables->item[table].type.table.element != WASM_FUNCREF)
        wasm_fail_type(v, "a table of funcref", (uint8_t)tables->item[table].type.table.element);
    if (!reader_ok(v->r))
        return;
    operand_pop(v, WASM_I32);
    apply_type(v, &v->module->types[index]);
}

// ---- operands of any type
// ------------------------------------------------------------------------

void wasm_check_drop(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    (void)operand_pop_any(v);
}

void wasm_check_select(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    operand_pop(v, WASM_I32);
    uint8_t second = operand_pop_any(v);
    uint8_t first = operand_pop_any(v);
    bool references = second == WASM_FUNCREF || second == WASM_EXTERNREF || first == WASM_FUNCREF ||
                      first == WASM_EXTERNREF;
    if (references)
        wasm_validate_fail(v, ERR_INVALID,
                           "type mismatch in select: references need the form that names the type");
    else if (first != second && first != WASM_ANY_TYPE && second != WASM_ANY_TYPE)
        wasm_fail_type(v, wasm_type_name(first), second);
    operand_push(v, first == WASM_ANY_TYPE ? second : first);
}

void wasm_check_select_typed(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    uint32_t count = wasm_reader_count(v->r, "types of select", SELECT_TYPES_MAX);
    if (count != 1) {
        wasm_validate_fail(v, ERR_INVALID, "invalid result arity: select names %u types", count);
        return;
    }
    uint8_t type = wasm_reader_value_type(v->r);
    operand_pop(v, WASM_I32);
    operand_pop(v, type);
    operand_pop(v, type);
    operand_push(v, type);
}

// ---- expressions -------------------------------------------------------------------------------

void wasm_check_unsupported(struct wasm_validator *v, const struct wasm_opcode *op) {
    wasm_validate_fail(v, ERR_UNSUPPORTED, "%s (opcode 0x%02x) is not supported", op->name,
                       (unsigned)(op - wasm_opcodes));
}

void wasm_check_prefix_fc(struct wasm_validator *v, UNUSED const struct wasm_opcode *op) {
    uint32_t number = reader_u32(v->r);
    if (!reader_ok(v->r) || number >= WASM_OPCODES_FC) {
        wasm_validate_fail(v, ERR_INVALID, "illegal opcode 0xfc %u", number);
        return;
    }
    v->op = &wasm_opcodes_fc[number];
    v->seen_fc[number] = true;
    if (v->op->check != NULL)
        v->op->check(v, v->op);
    else
        operands_apply(v, v->op);
}

static void check_constant(struct wasm_validator *v, const struct wasm_opcode *op) {
    if (!op->constant && op->name != NULL && op->check != wasm_check_unsupported)
        wasm_validate_fail(v, ERR_INVALID, "constant expression required, found %s", op->name);
    if (op->pops > 0)
        v->extended = true;
}

// Checks instructions up to the end that closes the first block.
static void check_instructions(struct wasm_validator *v) {
    struct reader *r = v->r;
    uint32_t constants = 0;
    while (v->depth > 0) {
        v->at = r->at;
        if (UNLIKELY(r->at >= r->end))
            wasm_validate_fail(v, ERR_INVALID,
                               "unexpected end of section or function: END opcode expected, %u "
                               "blocks are open",
                               v->depth);
        uint8_t opcode = reader_byte(r);
        const struct wasm_opcode *op = &wasm_opcodes[opcode];
        v->op = op;
        v->seen[opcode] = true;
        if (v->constant)
            check_constant(v, op);
        if (v->constant && ++constants > CONSTANT_INSTRUCTIONS_MAX)
            wasm_validate_fail(v, ERR_LIMIT, "a constant expression of over %d instructions",
                               CONSTANT_INSTRUCTIONS_MAX);
        if (UNLIKELY(!reader_ok(r)))
            return;
        if (op->check != NULL)
            op->check(v, op);
        else if (LIKELY(op->name != NULL))
            operands_apply(v, op);
        else
            wasm_validate_fail(v, ERR_INVALID, "illegal opcode 0x%02x", opcode);
    }
}

static void start_expression(struct wasm_validator *v, struct wasm_func_type type) {
    v->at = v->r->at;
    v->operand_count = 0;
    v->depth = 0;
    open_control(v, 0, type);
}

// Makes room for `count` more locals and gives where they begin.
static uint8_t *add_locals(struct wasm_validator *v, uint32_t count) {
    if (count > v->local_capacity - v->local_count) {
        while (count > v->local_capacity - v->local_count)
            v->local_capacity = v->local_capacity == 0 ? 256 : v->local_capacity * 2;
        v->locals = xrealloc(v->locals, v->local_capacity);
    }
    uint8_t *first = v->locals + v->local_count;
    v->local_count += count;
    return first;
}

static void read_locals(struct wasm_validator *v, const struct wasm_func_type *type) {
    struct reader *r = v->r;
    size_t start = r->at;
    v->local_count = 0;
    if (type->param_count > 0)
        memcpy(add_locals(v, type->param_count), type->params, type->param_count);
    uint64_t total = 0;
    uint32_t groups = wasm_reader_count(r, "groups of locals", UINT32_MAX);
    for (uint32_t i = 0; i < groups && reader_ok(r); i++) {
        uint32_t count = reader_u32(r);
        uint8_t local = wasm_reader_value_type(r);
        total += count;
        if (total > UINT32_MAX)
            wasm_reader_fail(r, start, ERR_INVALID, "too many locals");
        else if (count > 0 && total <= v->locals_limit)
            memset(add_locals(v, count), local, count);
    }
    if (reader_ok(r) && total > v->locals_limit)
        wasm_reader_fail(r, start, ERR_LIMIT, "a function with %llu locals, at most %u are allowed",
                         (unsigned long long)total, v->locals_limit);
}

void wasm_validate_function(struct wasm_validator *v, const struct wasm_func_type *type) {
    struct reader *r = v->r;
    assert(reader_ok(r) && !v->constant);
    read_locals(v, type);
    if (!reader_ok(r))
        return;
    // The parameters are locals, not operands.
    start_expression(
        v, (struct wasm_func_type){.result_count = type->result_count, .results = type->results});
    check_instructions(v);
    if (reader_ok(r) && r->at != r->end)
        wasm_reader_fail(r, r->at, ERR_INVALID, "END opcode expected at the end of the function");
}

void wasm_validate_constant(struct wasm_validator *v, const uint8_t *type, bool *extended) {
    *extended = false;
    if (!reader_ok(v->r))
        return;
    v->constant = true;
    v->extended = false;
    start_expression(v, (struct wasm_func_type){.result_count = 1, .results = type});
    check_instructions(v);
    v->constant = false;
    *extended = v->extended;
}

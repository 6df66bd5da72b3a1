// SPDX-License-Identifier: Apache-2.0
// Guest code runs: results, imports of every kind, traps, limits, interruption.
#include "common.h"

static const char arithmetic[] =
    "(module"
    " (func (export \"add\") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)"
    " (func (export \"swap\") (param i32 f64) (result f64 i32) local.get 1 local.get 0)"
    " (func (export \"sx\") (param i32) (result i32) local.get 0 i32.extend8_s)"
    " (func (export \"sat\") (param f64) (result i32) local.get 0 i32.trunc_sat_f64_s)"
    " (func (export \"f\") (param f32) (result f32) local.get 0 local.get 0 f32.add)"
    " (func (export \"empty\")))";

static uint64_t f64_bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void values_body(struct wasm_context *context) {
    (void)context;
    struct wasm_code *code = wat_code(arithmetic);
    struct wasm_instance *instance = make(code, NULL);
    EXPECT_U64(call(instance, 0, 3, 4), 7);
    EXPECT_U64(call(instance, 0, 0xffffffff, 2), 1);
    uint64_t slots[2] = {5, f64_bits(2.5)};
    struct wasm_extern swap = wasm_instance_export(instance, 1);
    EXPECT(wasm_call(&swap.of.func, slots));
    EXPECT_U64(slots[0], f64_bits(2.5));
    EXPECT_U64(slots[1], 5);
    EXPECT_U64(call(instance, 2, 0x80, 0), 0xffffff80);
    EXPECT_U64(call(instance, 3, f64_bits(1e30), 0), 0x7fffffff);
    EXPECT_U64(call(instance, 4, 0x3f800000, 0), 0x40000000);
    wasm_instance_free(instance);
    wasm_code_unref(code);
    EXPECT_U64(budget.memory_used_bytes, 0);
}
TEST(values_pass_through_slots) {
    with_guest_stack(values_body, 0);
}

static const char traps[] =
    "(module (memory 1) (table 2 funcref) (type $t (func (result i32)))"
    " (func $other (param i32)) (elem (i32.const 1) $other)"
    " (func (export \"0\") unreachable)"
    " (func (export \"1\") i32.const 65533 i32.load drop)"
    " (func (export \"2\") i32.const 9 table.get 0 drop)"
    " (func (export \"3\") i32.const 1 i32.const 0 i32.div_s drop)"
    " (func (export \"4\") i32.const 0x80000000 i32.const -1 i32.div_s drop)"
    " (func (export \"5\") f32.const nan i32.trunc_f32_s drop)"
    " (func (export \"6\") i32.const 0 call_indirect (type $t) drop)"
    " (func (export \"7\") i32.const 1 call_indirect (type $t) drop)"
    " (func (export \"8\") i32.const 2 call_indirect (type $t) drop)"
    " (func $deep (export \"9\") call $deep)"
    " (func (export \"10\") i32.const 65530 i32.const 1 i32.const 7 memory.fill))";

static void traps_body(struct wasm_context *context) {
    static const enum wasm_trap wanted[] = {
        WASM_TRAP_UNREACHABLE,    WASM_TRAP_MEMORY_BOUNDS,    WASM_TRAP_TABLE_BOUNDS,
        WASM_TRAP_DIVIDE_BY_ZERO, WASM_TRAP_INTEGER_OVERFLOW, WASM_TRAP_INVALID_CONVERSION,
        WASM_TRAP_INDIRECT_CALL,  WASM_TRAP_INDIRECT_CALL,    WASM_TRAP_INDIRECT_CALL,
        WASM_TRAP_STACK_OVERFLOW, WASM_TRAP_MEMORY_BOUNDS,
    };
    struct wasm_code *code = wat_code(traps);
    struct wasm_instance *instance = make(code, NULL);
    // Twice: the second time shows that signals are not left blocked.
    for (uint32_t i = 0; i < 2 * COUNT_OF(wanted); i++) {
        uint32_t index = i % COUNT_OF(wanted);
        EXPECT(!call3(instance, index, 0, 0, 0, NULL));
        EXPECT_TEXT(wasm_trap_text(context->trap), wasm_trap_text(wanted[index]));
        EXPECT(context->frame == NULL && context->in_guest == 0);
    }
    wasm_instance_free(instance);
    wasm_code_unref(code);
}
TEST(each_trap_is_named) {
    with_guest_stack(traps_body, 0);
}

// ---- imports -----------------------------------------------------------------------------------

static const char exporter[] =
    "(module (type $t (func (param i32) (result i32)))"
    " (memory (export \"m\") 1 4) (table (export \"t\") 4 funcref)"
    " (global $g (export \"g\") (mut i32) (i32.const 5))"
    " (func (export \"bump\") (param i32) (result i32)"
    "   local.get 0 global.get $g i32.add global.set $g global.get $g)"
    " (func (export \"indirect\") (param i32 i32) (result i32)"
    "   local.get 1 local.get 0 call_indirect (type $t))"
    " (func (export \"peek\") (param i32) (result i32) local.get 0 i32.load8_u))";

static const char importer[] =
    "(module (type $t (func (param i32) (result i32)))"
    " (import \"a\" \"m\" (memory 1)) (import \"a\" \"t\" (table 2 funcref))"
    " (import \"a\" \"g\" (global $g (mut i32))) (import \"a\" \"bump\" (func $bump (type $t)))"
    " (import \"h\" \"host\" (func $host (type $t)))"
    " (func $twice (param i32) (result i32) local.get 0 call $bump call $bump)"
    " (elem (i32.const 0) $twice $bump $host)"
    " (data (i32.const 10) \"xyz\")"
    " (export \"host\" (func $host))"
    " (func (export \"run\") (param i32) (result i32) local.get 0 call $host)"
    " (func (export \"get\") (result i32) global.get $g))";

static bool host_triple(void *data, uint64_t *slots) {
    ++*(int *)data;
    EXPECT(slots[0] >> 32 == 0);
    slots[0] = (uint32_t)(slots[0] * 3);
    return true;
}

static void imports_body(struct wasm_context *context) {
    (void)context;
    int calls = 0;
    uint8_t i32 = WASM_I32;
    struct wasm_func_type type = {1, 1, &i32, &i32};
    struct wasm_code *first_code = wat_code(exporter), *second_code = wat_code(importer);
    struct wasm_instance *first = make(first_code, NULL);
    struct wasm_extern imports[5];
    for (uint32_t i = 0; i < 4; i++)
        imports[i] = wasm_instance_export(first, i);
    imports[4] = (struct wasm_extern){
        WASM_FUNC, {.func = {.type = &type, .host = host_triple, .data = &calls}}};
    struct wasm_instance *second = make(second_code, imports);
    EXPECT_U64(call(first, 4, 0, 7), 24);  // twice: 5 + 7 = 12, 12 + 12 = 24
    EXPECT_U64(call(first, 4, 1, 1), 25);  // bump, through the importer's element
    EXPECT_U64(call(first, 4, 2, 4), 12);  // host, through a table of another instance
    EXPECT_U64(call(second, 2, 0, 0), 25);
    EXPECT_U64(call(second, 1, 5, 0), 15);
    EXPECT_U64(call(first, 5, 11, 0), 'y');
    struct wasm_extern host = wasm_instance_export(second, 0);
    EXPECT(host.of.func.host == host_triple);
    uint64_t slot = 2;
    EXPECT(wasm_call(&host.of.func, &slot) && slot == 6);
    EXPECT_U64(calls, 3);
    struct error error = {0};
    struct wasm_instance *none = NULL;
    imports[3] = wasm_instance_export(first, 4);
    EXPECT(wasm_instantiate(second_code, imports, &budget, &none, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "\"bump\"");
    wasm_instance_free(second);
    wasm_instance_free(first);
    wasm_code_unref(second_code);
    wasm_code_unref(first_code);
}
TEST(instances_share_everything_that_can_be_imported) {
    with_guest_stack(imports_body, 0);
}

// ---- several calls in one frame ----------------------------------------------------------------

static bool host_refuses(void *data, uint64_t *slots) {
    (void)data;
    (void)slots;
    return wasm_raise("refused");
}

struct several {
    struct wasm_entry entries[2];
    uint64_t sum;
    int returned;  // calls that came back
};

static bool run_several(struct wasm_context *context, void *data) {
    struct several *several = data;
    for (size_t i = 0; i < COUNT_OF(several->entries); i++) {
        uint64_t slots[2] = {several->sum, 40};
        bool done = wasm_enter(context, &several->entries[i], slots);
        several->returned++;
        if (!done)
            return false;
        EXPECT(context->in_guest == 0);
        several->sum = slots[0];
    }
    return true;
}

static void several_body(struct wasm_context *context) {
    struct wasm_code *code = wat_code(
        "(module (func (export \"add\") (param i32 i32) (result i32)"
        " local.get 0 local.get 1 i32.add)"
        " (func (export \"trap\") unreachable))");
    struct wasm_instance *instance = make(code, NULL);
    struct wasm_entry add = wasm_instance_entry(instance, 0);
    struct wasm_entry trap = wasm_instance_entry(instance, 1);
    struct wasm_func host = {.host = host_refuses};
    struct several both = {.entries = {add, add}, .sum = 2};
    EXPECT(wasm_run(run_several, &both));
    EXPECT_U64(both.sum, 82);
    struct several ended = {.entries = {trap, add}};
    EXPECT(!wasm_run(run_several, &ended));
    EXPECT(ended.returned == 0 && context->trap == WASM_TRAP_UNREACHABLE);
    struct several refused = {.entries = {add, wasm_entry_of(&host)}};
    EXPECT(!wasm_run(run_several, &refused));
    EXPECT(refused.returned == 2 && context->trap == WASM_TRAP_HOST);
    EXPECT_TEXT(context->host_trap, "refused");
    EXPECT(context->frame == NULL && context->in_guest == 0);
    wasm_instance_free(instance);
    wasm_code_unref(code);
}
TEST(calls_of_one_frame_end_together) {
    with_guest_stack(several_body, 0);
}

// ---- host functions ----------------------------------------------------------------------------

static const char recursion[] =
    "(module (import \"h\" \"f\" (func $host (param i32) (result i32)))"
    " (memory 1)"
    " (func (export \"once\") (param i32) (result i32) local.get 0 call $host)"
    " (func $deep (export \"deep\") (param i32) (result i32)"
    "   local.get 0 call $host i32.const 1 i32.add call $deep)"
    " (func $grow (export \"grow\") i32.const 0 memory.grow drop call $grow)"
    " (func (export \"endless\") (loop $l br $l)))";

struct host_state {
    struct wasm_instance *instance;
    bool nest;
    uint64_t calls;
};

static bool host_nested(void *data, uint64_t *slots) {
    struct host_state *state = data;
    state->calls++;
    if (slots[0] == 99)
        return wasm_raise("refused %d", 99);
    if (!state->nest)
        return true;
    struct wasm_extern func = wasm_instance_export(state->instance, 1);
    uint64_t inner[1] = {slots[0]};
    if (!wasm_call(&func.of.func, inner))
        return wasm_raise(NULL);
    slots[0] = inner[0];
    return true;
}

static struct wasm_instance *recursive(struct host_state *state, struct wasm_code **code) {
    static uint8_t i32 = WASM_I32;
    static struct wasm_func_type type = {1, 1, &i32, &i32};
    struct wasm_extern import = {WASM_FUNC,
                                 {.func = {.type = &type, .host = host_nested, .data = state}}};
    *code = wat_code(recursion);
    state->instance = make(*code, &import);
    return state->instance;
}

static void host_body(struct wasm_context *context) {
    struct host_state state = {0};
    struct wasm_code *code;
    struct wasm_instance *instance = recursive(&state, &code);
    EXPECT_U64(call(instance, 0, 5, 0), 5);
    EXPECT(!call3(instance, 0, 99, 0, 0, NULL));
    EXPECT(context->trap == WASM_TRAP_HOST);
    EXPECT_TEXT(context->host_trap, "refused 99");
    for (int i = 0; i < 3; i++) {
        state.nest = i == 1;
        EXPECT(!call3(instance, 1, 1000, 0, 0, NULL));
        EXPECT_TEXT(wasm_trap_text(context->trap), "call stack exhausted");
        EXPECT(!call3(instance, 2, 0, 0, 0, NULL));
        EXPECT_TEXT(wasm_trap_text(context->trap), "call stack exhausted");
    }
    EXPECT(state.calls > 100);
    wasm_instance_free(instance);
    wasm_code_unref(code);
}
TEST(recursion_through_host_calls_traps) {
    with_guest_stack(host_body, 0);
}

static void endless_body(struct wasm_context *context) {
    struct host_state state = {0};
    struct wasm_code *code;
    struct wasm_instance *instance = recursive(&state, &code);
    for (int i = 0; i < 3; i++) {
        EXPECT(!call3(instance, 3, 0, 0, 0, NULL));
        EXPECT_TEXT(wasm_trap_text(context->trap), wasm_trap_text(WASM_TRAP_DEADLINE));
        wasm_context_unbind(context);
        EXPECT(context->cpu_used_ns >= 20000000);
        wasm_context_begin(context, 20000000);
        wasm_context_bind(context);
        EXPECT_U64(call(instance, 0, 5, 0), 5);
    }
    wasm_instance_free(instance);
    wasm_code_unref(code);
}
TEST(an_endless_loop_ends_at_the_deadline) {
    wasm_watchdog_start();
    with_guest_stack(endless_body, 20000000);
    wasm_watchdog_stop();
}

static bool host_busy(void *data, uint64_t *slots) {
    (void)slots;
    struct wasm_context *context = data;
    while (context->interrupted == 0)
        continue;
    return true;
}

static void busy_body(struct wasm_context *context) {
    uint8_t i32 = WASM_I32;
    struct wasm_func_type type = {1, 1, &i32, &i32};
    struct wasm_extern import = {WASM_FUNC,
                                 {.func = {.type = &type, .host = host_busy, .data = context}}};
    struct wasm_code *code = wat_code(recursion);
    struct wasm_instance *instance = make(code, &import);
    EXPECT(!call3(instance, 0, 1, 0, 0, NULL));
    EXPECT(context->trap == WASM_TRAP_DEADLINE);
    // Still interrupted: nothing of this turn runs any more.
    EXPECT(!call3(instance, 0, 1, 0, 0, NULL));
    wasm_instance_free(instance);
    wasm_code_unref(code);
}
TEST(a_deadline_in_a_host_call_is_seen_on_the_way_back) {
    wasm_watchdog_start();
    with_guest_stack(busy_body, 10000000);
    wasm_watchdog_stop();
}

// ---- memories and starts -----------------------------------------------------------------------

static const char grower[] =
    "(module (memory (export \"m\") 1 1000)"
    " (func (export \"grow\") (param i32) (result i32) local.get 0 memory.grow)"
    " (func (export \"size\") (result i32) memory.size)"
    " (func (export \"put\") (param i32 i32) local.get 0 local.get 1 i32.store)"
    " (func (export \"get\") (param i32) (result i32) local.get 0 i32.load))";

static void memory_body(struct wasm_context *context) {
    struct wasm_budget small = {.memory_limit_bytes = 10 << 16};
    struct wasm_code *code = wat_code(grower);
    struct error error = {0};
    for (int round = 0; round < 2; round++) {
        struct wasm_instance *instance = NULL;
        REQUIRE_OK(wasm_instantiate(code, NULL, &small, &instance, &error), error);
        EXPECT_U64(call(instance, 4, 65532, 0), 0);  // reads as zero, also when reused
        EXPECT_U64(call(instance, 3, 65532, 77), 65532);
        EXPECT_U64(call(instance, 1, 2, 0), 1);
        EXPECT_U64(call(instance, 4, 65532, 0), 77);  // moved with its content
        EXPECT_U64(call(instance, 4, 3 * 65536 - 4, 0), 0);
        EXPECT_U64(call(instance, 1, 7, 0), 3);
        EXPECT_U64(call(instance, 1, 1, 0), 0xffffffff);  // over the budget
        EXPECT_U64(call(instance, 1, 0, 0), 10);
        EXPECT_U64(small.memory_used_bytes, 10 << 16);
        struct wasm_extern memory = wasm_instance_export(instance, 0);
        EXPECT_U64(wasm_memory_view(memory.of.memory).size, 10 << 16);
        struct wasm_instance *other = NULL;
        EXPECT(wasm_instantiate(code, NULL, &small, &other, &error) == ERR_LIMIT);
        EXPECT_CONTAINS(error.message, "memory limit");
        error_clear(&error);
        wasm_instance_free(instance);
        EXPECT_U64(small.memory_used_bytes, 0);
    }
    (void)context;
    wasm_code_unref(code);
}
TEST(memories_grow_within_the_budget) {
    with_guest_stack(memory_body, 0);
}

static void start_body(struct wasm_context *context) {
    (void)context;
    struct error error = {0};
    struct wasm_instance *instance = NULL;
    struct wasm_code *code = wat_code("(module (memory 1) (func $s unreachable) (start $s))");
    EXPECT(wasm_instantiate(code, NULL, &budget, &instance, &error) == ERR_TRAP);
    EXPECT_TEXT(error.message, "start: unreachable");
    wasm_code_unref(code);
    error_clear(&error);
    code = wat_code("(module (memory 1) (data (i32.const 65535) \"ab\"))");
    EXPECT(wasm_instantiate(code, NULL, &budget, &instance, &error) == ERR_TRAP);
    EXPECT_TEXT(error.message, "start: out of bounds memory access");
    EXPECT_U64(budget.memory_used_bytes, 0);
    wasm_code_unref(code);
}
TEST(a_trap_at_start_frees_the_instance) {
    with_guest_stack(start_body, 0);
}

static void several_memories_body(struct wasm_context *context) {
    (void)context;
    struct wasm_code *code = wat_code(grower);
    struct wasm_instance *a = make(code, NULL), *b = make(code, NULL);
    struct wasm_extern imports[2] = {wasm_instance_export(a, 0), wasm_instance_export(b, 0)};
    struct wasm_code *adapter = wat_code(
        "(module (import \"a\" \"m\" (memory 1)) (import \"b\" \"m\" (memory 1))"
        " (func (export \"copy\") i32.const 8 i32.const 4 i32.const 4 memory.copy 1 0))");
    struct wasm_instance *c = make(adapter, imports);
    (void)call(a, 3, 4, 4711);
    (void)call(c, 0, 0, 0);
    EXPECT_U64(call(b, 4, 8, 0), 4711);
    wasm_instance_free(c);
    wasm_instance_free(b);
    wasm_instance_free(a);
    wasm_code_unref(adapter);
    wasm_code_unref(code);
}
TEST(an_adapter_imports_two_memories) {
    with_guest_stack(several_memories_body, 0);
}

static void own_memories_body(struct wasm_context *context) {
    (void)context;
    struct wasm_code *code = wat_code(
        "(module (memory $a 1 2) (memory $b 1 3) (data (memory $b) (i32.const 8) \"xyz\")"
        "  (func (export \"copy\") (param i32 i32 i32) (result i32)"
        "    (memory.copy $a $b (local.get 0) (local.get 1) (local.get 2))"
        "    (i32.load $a (local.get 0)))"
        "  (func (export \"grow\") (param i32 i32 i32) (result i32)"
        "    (drop (memory.grow $b (local.get 0)))"
        "    (i32.add (i32.mul (memory.size $a) (i32.const 10)) (memory.size $b)))"
        "  (func (export \"load\") (param i32 i32 i32) (result i32) (i32.load $a (local.get 0))))");
    struct wasm_instance *instance = make(code, NULL);
    uint64_t out = 0;
    EXPECT(call3(instance, 0, 100, 8, 3, &out));
    EXPECT_U64(out, 'x' | 'y' << 8 | 'z' << 16);
    EXPECT(call3(instance, 1, 2, 0, 0, &out));
    EXPECT_U64(out, 13);
    EXPECT(call3(instance, 2, 8, 0, 0, &out));
    EXPECT_U64(out, 0);
    // The bounds are each memory's own.
    EXPECT(!call3(instance, 2, 70000, 0, 0, &out));
    wasm_instance_free(instance);
    wasm_code_unref(code);
}
TEST(memories_of_one_module_are_apart) {
    with_guest_stack(own_memories_body, 0);
}

// The only memory may be named like one of several: in a byte of its own behind the alignment (with
// bit 6 set), and by a number in a longer form. The function loads, fills nothing and gives the
// size.
static void indexed_memory_body(struct wasm_context *context) {
    (void)context;
    static const uint8_t indexed[] = {
        0,    'a',  's',  'm',  1,    0,    0,    0,                 // header
        1,    5,    1,    0x60, 0,    1,    0x7f,                    // type () -> i32
        3,    2,    1,    0,                                         // function 0
        5,    3,    1,    0,    2,                                   // memory of two pages
        7,    5,    1,    1,    'f',  0,    0,                       // export "f"
        10,   26,   1,    24,   0,                                   // one body, no locals
        0x41, 0,    0x28, 0x42, 0x80, 0x00, 0,    0x1a,              // i32.load, drop
        0x41, 0,    0x41, 0,    0x41, 0,    0xfc, 0x0b, 0x80, 0x00,  // memory.fill
        0x3f, 0x80, 0x80, 0x00, 0x0b,                                // memory.size
    };
    struct bytes *bytes = bytes_copy(slice_of(indexed, sizeof indexed));
    struct wasm_module *module = NULL;
    struct wasm_code *code = NULL;
    struct error error = {0};
    EXPECT_OK(wasm_module_scan(bytes, NULL, &module, &error), error);
    bytes_unref(bytes);
    if (module == NULL)
        return;
    EXPECT_OK(wasm_compile(shared_compiler(), module, WASM_TIER_OPTIMISED, &code, &error), error);
    wasm_module_unref(module);
    if (code == NULL)
        return;
    struct wasm_instance *instance = make(code, NULL);
    EXPECT_U64(call(instance, 0, 0, 0), 2);
    wasm_instance_free(instance);
    wasm_code_unref(code);
}
TEST(the_only_memory_may_be_named_by_its_index) {
    with_guest_stack(indexed_memory_body, 0);
}

static void references_body(struct wasm_context *context) {
    (void)context;
    struct wasm_code *code = wat_code(
        "(module (table $e 2 externref) (table $f 1 10 funcref) (type $t (func (result i32)))"
        " (elem declare func $seven) (func $seven (result i32) i32.const 7)"
        " (func (export \"keep\") (param externref) (result externref)"
        "   i32.const 1 local.get 0 table.set $e i32.const 1 table.get $e)"
        " (func (export \"grow\") (result i32)"
        "   ref.func $seven i32.const 3 table.grow $f drop"
        "   i32.const 3 call_indirect $f (type $t) table.size $f i32.add)"
        " (func (export \"null\") (result i32) i32.const 0 table.get $f ref.is_null)"
        " (func (export \"more\") (result i32) ref.null func i32.const 100 table.grow $f))");
    struct wasm_instance *instance = make(code, NULL);
    EXPECT_U64(call(instance, 0, 0x1234, 0), 0x1234);
    EXPECT_U64(call(instance, 1, 0, 0), 11);
    EXPECT_U64(call(instance, 2, 0, 0), 1);
    EXPECT_U64(call(instance, 3, 0, 0), 0xffffffff);
    wasm_instance_free(instance);
    wasm_code_unref(code);
    EXPECT_U64(budget.memory_used_bytes, 0);
}
TEST(references_live_in_tables) {
    with_guest_stack(references_body, 0);
}

static const char position_independent[] =
    "(module (import \"e\" \"m\" (memory 1)) (import \"e\" \"t\" (table 2 funcref))"
    " (import \"e\" \"g\" (global $unused (mut i32)))"
    " (import \"e\" \"base\" (global $base i32))"
    " (type $t (func (param i32) (result i32)))"
    " (global $own i32 (i32.add (global.get $base) (i32.const 20)))"
    " (global $wide (mut i64) (i64.mul (i64.const 3) (i64.const 5)))"
    " (global $again i32 (global.get $own)) (global $ref funcref (ref.func $ten))"
    " (func $ten (type $t) i32.const 10)"
    " (func $started i32.const 50 i32.const 50 i32.load8_u i32.const 1 i32.add i32.store8)"
    " (start $started)"
    " (elem (i32.sub (global.get $base) (i32.const 29)) $ten)"
    " (data (i32.add (global.get $base) (i32.const 20)) \"A\")"
    " (data (i32.const 51) \"B\")"
    " (export \"own\" (global $own))"
    " (func (export \"get\") (result i32) global.get $again)"
    " (func (export \"wide\") (result i64) global.get $wide))";

static void extended_body(struct wasm_context *context) {
    (void)context;
    struct wasm_code *first_code = wat_code(exporter);
    struct wasm_code *base_code =
        wat_code("(module (global (export \"base\") i32 (i32.const 30)))");
    struct bytes *bytes = wat_bytes(position_independent, "--enable-extended-const --no-check");
    struct wasm_module *module = NULL;
    struct wasm_code *code = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_module_scan(bytes, NULL, &module, &error), error);
    REQUIRE_OK(wasm_compile(shared_compiler(), module, WASM_TIER_OPTIMISED, &code, &error), error);
    struct wasm_instance *first = make(first_code, NULL), *base = make(base_code, NULL);
    struct wasm_extern imports[4] = {wasm_instance_export(first, 0), wasm_instance_export(first, 1),
                                     wasm_instance_export(first, 2), wasm_instance_export(base, 0)};
    struct wasm_instance *instance = make(code, imports);
    EXPECT_U64(call(instance, 1, 0, 0), 50);
    EXPECT_U64(call(instance, 2, 0, 0), 15);
    EXPECT_U64(call(first, 5, 50, 0), 'A' + 1);  // the start function ran after the segments
    EXPECT_U64(call(first, 5, 51, 0), 'B');
    EXPECT_U64(call(first, 4, 1, 0), 10);
    wasm_instance_free(instance);
    wasm_instance_free(base);
    wasm_instance_free(first);
    wasm_code_unref(code);
    wasm_code_unref(base_code);
    wasm_code_unref(first_code);
    wasm_module_unref(module);
    bytes_unref(bytes);
}
TEST(extended_constant_expressions_run_first) {
    with_guest_stack(extended_body, 0);
}

// The failed instance put a function into the table before it trapped; the function stays callable
// as long as the table lives (core specification, 4.5.4: no roll-back).
static void survivor_body(struct wasm_context *context) {
    (void)context;
    struct wasm_code *first_code = wat_code(exporter);
    struct wasm_code *code = wat_code(
        "(module (type $t (func (param i32) (result i32)))"
        " (import \"a\" \"t\" (table 2 funcref)) (memory 1)"
        " (func $plus (type $t) local.get 0 i32.const 8 i32.load i32.add)"
        " (func $start i32.const 8 i32.const 5 i32.store unreachable)"
        " (elem (i32.const 3) $plus) (start $start))");
    struct wasm_instance *first = make(first_code, NULL), *none = NULL;
    struct wasm_extern table = wasm_instance_export(first, 1);
    struct error error = {0};
    EXPECT(wasm_instantiate(code, &table, &budget, &none, &error) == ERR_TRAP);
    EXPECT(wasm_instantiate(code, &table, &budget, &none, &error) == ERR_TRAP);
    EXPECT(none == NULL);
    EXPECT_U64(call(first, 4, 3, 10), 15);
    wasm_code_unref(code);
    wasm_instance_free(first);
    wasm_code_unref(first_code);
    EXPECT_U64(budget.memory_used_bytes, 0);
}
TEST(a_function_left_in_a_table_by_a_failed_start_stays_callable) {
    with_guest_stack(survivor_body, 0);
}

static struct wasm_code *shared_code;

static void parallel_body(struct wasm_context *context) {
    for (int i = 0; i < 200; i++) {
        struct wasm_instance *instance = make(shared_code, NULL);
        EXPECT_U64(call(instance, 4, 100, 0), 0);
        (void)call(instance, 3, 100, 42);
        EXPECT_U64(call(instance, 1, 3, 0), 1);
        EXPECT_U64(call(instance, 4, 100, 0), 42);
        EXPECT(!call3(instance, 4, 0x7fffffff, 0, 0, NULL));
        EXPECT(context->trap == WASM_TRAP_MEMORY_BOUNDS);
        wasm_instance_free(instance);
    }
}
static void *parallel_main(void *unused) {
    (void)unused;
    with_guest_stack(parallel_body, 0);
    return NULL;
}
TEST(threads_run_instances_of_one_code) {
    pthread_t threads[3];
    shared_code = wat_code(grower);
    wasm_watchdog_start();
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        REQUIRE(pthread_create(&threads[i], NULL, parallel_main, NULL) == 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    wasm_watchdog_stop();
    wasm_code_unref(shared_code);
    EXPECT_U64(budget.memory_used_bytes, 0);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// Tiers of code: the quick one computes what the optimised one does and refuses what it cannot do
// safely; large modules are compiled in parts; data is no part of the code.
#include <dirent.h>

#include "common.h"
#include "wasm/build.h"
#include "wasm/internal.h"

static struct wasm_compiler *quick_compiler(void) {
    if (!wasm_compiler_has(shared_compiler(), WASM_TIER_QUICK))
        SKIP("there is no tcc, or its frames cannot be checked on this architecture");
    return shared_compiler();
}

static struct wasm_code *tier_code(const char *text, enum wasm_tier tier) {
    struct wasm_module *module = wat_module(text);
    struct wasm_code *code = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_compile(shared_compiler(), module, tier, &code, &error), error);
    EXPECT(wasm_code_tier(code) == tier);
    wasm_module_unref(module);
    return code;
}

// ---- the quick tier ----------------------------------------------------------------------------

// Where tcc needs help: builtins, the sign of NaN, conversions, several results of mixed types.
static const char arithmetic[] =
    "(module"
    " (func (export \"clz\") (param i64) (result i64) local.get 0 i64.clz)"
    " (func (export \"ctz\") (param i64) (result i64) local.get 0 i64.ctz)"
    " (func (export \"popcnt\") (param i64) (result i64) local.get 0 i64.popcnt)"
    " (func (export \"clz32\") (param i64) (result i64)"
    "   local.get 0 i32.wrap_i64 i32.clz i64.extend_i32_u)"
    " (func (export \"ctz32\") (param i64) (result i64)"
    "   local.get 0 i32.wrap_i64 i32.ctz i64.extend_i32_u)"
    " (func (export \"popcnt32\") (param i64) (result i64)"
    "   local.get 0 i32.wrap_i64 i32.popcnt i64.extend_i32_u)"
    " (func (export \"neg\") (param i64) (result i64)"
    "   local.get 0 f64.reinterpret_i64 f64.neg i64.reinterpret_f64)"
    " (func (export \"neg32\") (param i64) (result i64)"
    "   local.get 0 i32.wrap_i64 f32.reinterpret_i32 f32.neg i32.reinterpret_f32"
    "   i64.extend_i32_u)"
    " (func (export \"convert\") (param i64) (result i64)"
    "   local.get 0 f64.convert_i64_u i64.reinterpret_f64)"
    " (func $two (param i64) (result f64 i32 f32)"
    "   local.get 0 f64.convert_i64_s i32.const 7 f32.const 0.5)"
    " (func (export \"several\") (param i64) (result i64)"
    "   local.get 0 call $two f64.promote_f32 i64.trunc_f64_s drop i64.extend_i32_u"
    "   i64.const 1000 i64.mul local.set 0 i64.trunc_f64_s local.get 0 i64.add))";

static const uint64_t inputs[] = {0,
                                  1,
                                  UINT64_MAX,
                                  UINT64_C(1) << 63,
                                  UINT64_C(0x7ff8000000000001),
                                  UINT64_C(0xfff4000000000123),
                                  0x7fa00001,
                                  0xff800000,
                                  0x00010000,
                                  UINT64_C(0x8000000000000400),
                                  123456789};

static void arithmetic_body(struct wasm_context *context) {
    (void)context;
    struct wasm_code *code[2] = {tier_code(arithmetic, WASM_TIER_QUICK),
                                 tier_code(arithmetic, WASM_TIER_OPTIMISED)};
    struct wasm_instance *instance[2] = {make(code[0], NULL), make(code[1], NULL)};
    for (uint32_t function = 0; function < 9; function++)
        for (size_t i = 0; i < COUNT_OF(inputs); i++)
            EXPECT(call(instance[0], function, inputs[i], 0) ==
                   call(instance[1], function, inputs[i], 0));
    EXPECT(call(instance[0], 9, 5, 0) == 7005);
    for (int k = 0; k < 2; k++) {
        wasm_instance_free(instance[k]);
        wasm_code_unref(code[k]);
    }
}

// tcc leaves the mark out that says so.
TEST(quick_code_needs_no_executable_stack) {
    (void)quick_compiler();
    struct wasm_code *code = tier_code(arithmetic, WASM_TIER_QUICK);
    FILE *maps = fopen("/proc/self/maps", "re");
    REQUIRE(maps != NULL);
    char line[512];
    bool is_found = false;
    while (fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "[stack]") != NULL) {
            EXPECT_CONTAINS(line, " rw-p ");
            is_found = true;
        }
    EXPECT(is_found);
    (void)fclose(maps);
    wasm_code_unref(code);
}

TEST(only_a_shared_object_can_be_marked) {
    static const char *const contents[] = {"", "\177ELF", "#!/bin/sh"};
    char path[256];
    (void)snprintf(path, sizeof path, "%s/no.so", test_folder());
    for (size_t i = 0; i < COUNT_OF(contents); i++) {
        struct error error = {0};
        REQUIRE_OK(file_write_atomic(path, slice_text(contents[i]), 0600, &error), error);
        EXPECT(wasm_mark_stack(path, &error) == ERR_INVALID);
        EXPECT_CONTAINS(error.message, "no.so is no shared object");
    }
}

TEST(quick_code_computes_what_optimised_code_does) {
    (void)quick_compiler();
    with_guest_stack(arithmetic_body, 0);
}

static void recursion_body(struct wasm_context *context) {
    struct wasm_code *code = tier_code(
        "(module (func $f (export \"f\") (param i64) (result i64)"
        "  local.get 0 i64.const 1 i64.add call $f))",
        WASM_TIER_QUICK);
    struct wasm_instance *instance = make(code, NULL);
    EXPECT(!call3(instance, 0, 1, 0, 0, NULL));
    EXPECT(context->trap == WASM_TRAP_STACK_OVERFLOW);
    wasm_instance_free(instance);
    wasm_code_unref(code);
}

TEST(quick_code_overflows_its_stack_into_the_guard) {
    (void)quick_compiler();
    with_guest_stack(recursion_body, 0);
}

// Its frame would reach past the guard page; the optimising compiler probes such frames.
TEST(a_large_frame_has_no_quick_code) {
    struct wasm_compiler *compiler = quick_compiler();
    struct buf text = {0};
    buf_append_text(&text, "(module (func (export \"f\") (result i64) (local");
    for (int i = 0; i < 10000; i++)
        buf_append_text(&text, " i64");
    buf_append_text(&text, ") local.get 9999))");
    struct wasm_module *module = wat_module(buf_text(&text));
    struct wasm_code *code = NULL;
    struct error error = {0};
    EXPECT(wasm_compile(compiler, module, WASM_TIER_QUICK, &code, &error) == ERR_UNSUPPORTED);
    EXPECT_CONTAINS(error.message, "stack frame");
    EXPECT_OK(wasm_compile(compiler, module, WASM_TIER_OPTIMISED, &code, &error), error);
    wasm_code_unref(code);
    wasm_module_unref(module);
    buf_release(&text);
}

TEST(tiers_are_cached_apart) {
    struct wasm_compiler *compiler = quick_compiler();
    struct wasm_module *module =
        wat_module("(module (func (export \"f\") (result i32) i32.const 41))");
    struct wasm_code *code = NULL;
    struct error error = {0};
    EXPECT(wasm_compile_cached(compiler, module, WASM_TIER_QUICK, &code, &error) == ERR_NOT_FOUND);
    EXPECT_OK(wasm_compile(compiler, module, WASM_TIER_QUICK, &code, &error), error);
    wasm_code_unref(code);
    error = (struct error){0};
    EXPECT(wasm_compile_cached(compiler, module, WASM_TIER_OPTIMISED, &code, &error) ==
           ERR_NOT_FOUND);
    error = (struct error){0};
    EXPECT_OK(wasm_compile_cached(compiler, module, WASM_TIER_QUICK, &code, &error), error);
    wasm_code_unref(code);
    wasm_module_unref(module);
}

TEST(without_tcc_there_is_no_quick_tier) {
    struct wasm_compiler_config config = {.cache_folder = test_folder(), .tcc = "none"};
    struct wasm_compiler *compiler = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_compiler_new(&config, &compiler, &error), error);
    EXPECT(!wasm_compiler_has(compiler, WASM_TIER_QUICK));
    struct wasm_module *module = wat_module("(module)");
    struct wasm_code *code = NULL;
    EXPECT(wasm_compile(compiler, module, WASM_TIER_QUICK, &code, &error) == ERR_UNSUPPORTED);
    wasm_module_unref(module);
    wasm_compiler_free(compiler);
}

TEST(what_a_killed_build_left_is_removed) {
    const char *folder = test_folder();
    struct wasm_compiler_config config = {.cache_folder = folder};
    struct wasm_compiler *compiler = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_compiler_new(&config, &compiler, &error), error);
    struct wasm_module *module = wat_module("(module)");
    struct wasm_code *code = NULL;
    REQUIRE_OK(wasm_compile(compiler, module, WASM_TIER_OPTIMISED, &code, &error), error);
    wasm_code_unref(code);
    char command[1024];
    (void)snprintf(
        command, sizeof command,
        "cd %s && key=$(basename -s .so *.so) && mkdir $key.build && touch $key.build/m.c"
        " && rm $key.so",
        folder);
    REQUIRE(system(command) == 0);
    EXPECT_OK(wasm_compile(compiler, module, WASM_TIER_OPTIMISED, &code, &error), error);
    wasm_code_unref(code);
    (void)snprintf(command, sizeof command, "! ls %s | grep -qE 'build|lock'", folder);
    EXPECT(system(command) == 0);
    wasm_module_unref(module);
    wasm_compiler_free(compiler);
}

// ---- parts -------------------------------------------------------------------------------------

enum { MANY_FUNCTIONS = 60 };

// Functions that call each other directly, through a table and through an import; a global, a
// memory, several results.
static void put_many_functions(struct buf *text, int count) {
    buf_append_text(text,
                    "(module (import \"a\" \"b\" (func $host (param i32) (result i32)))"
                    " (memory (export \"m\") 1) (global $g (mut i32) (i32.const 3))"
                    " (type $t (func (param i32) (result i32)))");
    // The translator writes a long list of parameters in several lines.
    buf_append_text(text, " (func (export \"long\") (param");
    for (int i = 0; i < 40; i++)
        buf_append_text(text, " i64");
    buf_append_text(text, "))");
    buf_format(text, " (table %d funcref) (elem (i32.const 0)", count);
    for (int i = 0; i < count; i++)
        buf_format(text, " $f%d", i);
    buf_append_text(text, ")");
    for (int i = 0; i < count; i++) {
        buf_format(text,
                   " (func $f%d (export \"f%d\") (param i32) (result i32)"
                   "   (global.set $g (i32.add (global.get $g) (i32.const 1)))"
                   "   (i32.store (i32.const 8) (local.get 0))"
                   "   (if (result i32) (i32.eqz (local.get 0)) (then (global.get $g))"
                   "     (else (i32.sub (i32.load (i32.const 8)) (i32.const 1)) ",
                   i, i);
        if (i % 3 == 0)
            buf_append_text(text, "call $host");
        else if (i % 3 == 1)
            buf_format(text, "call $f%d", (i + 7) % count);
        else
            buf_format(text, "i32.const %d call_indirect (type $t)", (i + 11) % count);
        buf_append_text(text, ")))");
    }
    buf_append_text(text, ")");
}

// Calls another function.
static bool next(void *data, uint64_t *slots) {
    struct wasm_instance *instance = *(struct wasm_instance **)data;
    struct wasm_extern func =
        wasm_instance_export(instance, 2 + (uint32_t)slots[0] * 7 % MANY_FUNCTIONS);
    return wasm_call(&func.of.func, slots) || wasm_raise(NULL);
}

static void parts_body(struct wasm_context *context) {
    (void)context;
    static const uint8_t i32[] = {WASM_I32};
    const struct wasm_func_type type = {
        .param_count = 1, .result_count = 1, .params = i32, .results = i32};
    struct wasm_compiler_config config = {.cache_folder = test_folder(), .part_bytes = 12000};
    struct wasm_compiler *compiler = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_compiler_new(&config, &compiler, &error), error);
    struct buf text = {0};
    put_many_functions(&text, MANY_FUNCTIONS);
    struct wasm_module *module = wat_module(buf_text(&text));
    struct wasm_code *code = NULL;
    REQUIRE_OK(wasm_compile(compiler, module, WASM_TIER_OPTIMISED, &code, &error), error);
    struct wasm_instance *instance = NULL;
    struct wasm_extern import = {.kind = WASM_FUNC,
                                 .of.func = {.type = &type, .host = next, .data = &instance}};
    instance = make(code, &import);
    // Each counts itself: 19 functions a call, by way of the host, directly, and of the table.
    for (uint32_t i = 0; i < MANY_FUNCTIONS; i++)
        EXPECT(call(instance, 2 + i, 18, 0) == 3 + 19 * (i + 1));
    wasm_instance_free(instance);
    wasm_code_unref(code);
    wasm_module_unref(module);
    wasm_compiler_free(compiler);
    buf_release(&text);
}

TEST(a_large_module_is_compiled_in_parts) {
    with_guest_stack(parts_body, 0);
}

// Nothing in the translator's output says then where its helpers end.
TEST(a_module_without_functions_is_not_cut) {
    struct wasm_compiler_config config = {.cache_folder = test_folder(), .part_bytes = 1000};
    struct wasm_compiler *compiler = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_compiler_new(&config, &compiler, &error), error);
    struct wasm_module *module = wat_module(
        "(module (import \"a\" \"f\" (func $f)) (export \"f\" (func $f))"
        " (memory (export \"m\") 1) (global (export \"g\") i32 (i32.const 1)))");
    struct wasm_code *code = NULL;
    EXPECT_OK(wasm_compile(compiler, module, WASM_TIER_OPTIMISED, &code, &error), error);
    wasm_code_unref(code);
    wasm_module_unref(module);
    wasm_compiler_free(compiler);
}

// ---- data --------------------------------------------------------------------------------------

static unsigned count_objects(const char *folder) {
    DIR *entries = opendir(folder);
    REQUIRE(entries != NULL);
    unsigned count = 0;
    const struct dirent *entry;
    while ((entry = readdir(entries)) != NULL)
        count += strstr(entry->d_name, ".so") != NULL;
    (void)closedir(entries);
    return count;
}

static void engine_body(struct wasm_context *context) {
    (void)context;
    const char *folder = test_folder();
    struct wasm_compiler_config config = {.cache_folder = folder};
    struct wasm_compiler *compiler = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_compiler_new(&config, &compiler, &error), error);
    static const char *const data[] = {"(data (i32.const 16) \"a\")",
                                       "(data (i32.const 8) \"xyz\") (data (i32.const 16) \"b\")",
                                       ""};
    static const uint64_t wanted[] = {'a', 'b', 0};
    struct wasm_code *codes[3];
    for (size_t i = 0; i < 3; i++) {
        char text[512];
        (void)snprintf(text, sizeof text,
                       "(module (memory 1) %s (func (export \"f\") (result i32)"
                       " i32.const 16 i32.load8_u))",
                       data[i]);
        struct wasm_module *module = wat_module(text);
        REQUIRE_OK(wasm_compile(compiler, module, WASM_TIER_OPTIMISED, &codes[i], &error), error);
        wasm_module_unref(module);
        struct wasm_instance *instance = make(codes[i], NULL);
        EXPECT(call(instance, 0, 0, 0) == wanted[i]);
        wasm_instance_free(instance);
    }
    EXPECT(count_objects(folder) == 1);
    for (size_t i = 0; i < 3; i++)
        wasm_code_unref(codes[i]);
    wasm_compiler_free(compiler);
}

TEST(modules_that_differ_in_data_share_their_code) {
    with_guest_stack(engine_body, 0);
}

static void order_body(struct wasm_context *context) {
    (void)context;
    // The start function sees the data; memory.init sees passive segments whole and active ones as
    // dropped.
    struct wasm_code *code = wat_code(
        "(module (memory 1) (global $g (mut i32) (i32.const 0))"
        " (data (i32.const 4) \"\\2a\") (data $p \"\\07\")"
        " (func $s (global.set $g (i32.load8_u (i32.const 4)))) (start $s)"
        " (func (export \"g\") (result i32) global.get $g)"
        " (func (export \"p\") (result i32)"
        "   (memory.init $p (i32.const 9) (i32.const 0) (i32.const 1))"
        "   (i32.load8_u (i32.const 9)))"
        " (func (export \"a\") (result i32)"
        "   (memory.init 0 (i32.const 9) (i32.const 0) (i32.const 1)) i32.const 0))");
    struct wasm_instance *instance = make(code, NULL);
    EXPECT(call(instance, 0, 0, 0) == 42);
    EXPECT(call(instance, 1, 0, 0) == 7);
    EXPECT(!call3(instance, 2, 0, 0, 0, NULL));
    EXPECT(context->trap == WASM_TRAP_MEMORY_BOUNDS);
    wasm_instance_free(instance);
    wasm_code_unref(code);
}

TEST(data_is_copied_before_the_start_function) {
    with_guest_stack(order_body, 0);
}

static void bounds_body(struct wasm_context *context) {
    (void)context;
    struct wasm_code *owner_code = wat_code("(module (memory (export \"m\") 1))");
    struct wasm_code *code = wat_code(
        "(module (import \"a\" \"m\" (memory 1))"
        " (data (i32.const 1) \"A\") (data (i32.const 65535) \"no\") (data (i32.const 2) \"B\"))");
    struct wasm_instance *owner = make(owner_code, NULL);
    struct wasm_extern memory = wasm_instance_export(owner, 0);
    struct wasm_instance *instance = NULL;
    struct error error = {0};
    EXPECT(wasm_instantiate(code, &memory, &budget, &instance, &error) == ERR_TRAP);
    EXPECT_CONTAINS(error.message, "out of bounds memory access");
    struct wasm_memory_view view = wasm_memory_view(memory.of.memory);
    EXPECT(view.data[1] == 'A' && view.data[2] == 0 && view.data[65535] == 0);
    wasm_instance_free(owner);
    wasm_code_unref(owner_code);
    wasm_code_unref(code);
}

TEST(data_out_of_bounds_traps_after_what_fits) {
    with_guest_stack(bounds_body, 0);
}

// As a linker and a snapshot of an engine make them: values that differ, the same code.
static const char stopped_here[] =
    "(module (global $a (mut i32) (i32.const -7)) (global $b (export \"b\") (mut i64)"
    " (i64.const -5000000000)) (global $c i32 (i32.const 3)) (global $d (mut i32) (i32.const 64))"
    " (func $start global.get $a i32.const 1 i32.add global.set $a) (start $start)"
    " (func (export \"f\") (result i64)"
    "  global.get $a i64.extend_i32_s global.get $b i64.add"
    "  global.get $c i64.extend_i32_s i64.add global.get $d i64.extend_i32_s i64.add))";
static const char stopped_there[] =
    "(module (global $a (mut i32) (i32.const 1000000)) (global $b (export \"b\") (mut i64)"
    " (i64.const 0x7fffffffff000000)) (global $c i32 (i32.const 3)) (global $d (mut i32)"
    " (i32.const -1))"
    " (func $start global.get $a i32.const 1 i32.add global.set $a) (start $start)"
    " (func (export \"f\") (result i64)"
    "  global.get $a i64.extend_i32_s global.get $b i64.add"
    "  global.get $c i64.extend_i32_s i64.add global.get $d i64.extend_i32_s i64.add))";
static const char another_constant[] =
    "(module (global $a (mut i32) (i32.const -7)) (global $b (export \"b\") (mut i64)"
    " (i64.const -5000000000)) (global $c i32 (i32.const 4)) (global $d (mut i32) (i32.const 64))"
    " (func $start global.get $a i32.const 1 i32.add global.set $a) (start $start)"
    " (func (export \"f\") (result i64)"
    "  global.get $a i64.extend_i32_s global.get $b i64.add"
    "  global.get $c i64.extend_i32_s i64.add global.get $d i64.extend_i32_s i64.add))";

static void globals_body(struct wasm_context *context) {
    (void)context;
    static const struct {
        const char *text;
        int64_t sum;
    } modules[] = {{stopped_here, -6 - INT64_C(5000000000) + 3 + 64},
                   {stopped_there, INT64_C(0x7fffffffff000000) + 1000001 + 3 - 1},
                   {another_constant, -6 - INT64_C(5000000000) + 4 + 64}};
    struct wasm_code *codes[COUNT_OF(modules)];
    for (size_t i = 0; i < COUNT_OF(modules); i++) {
        codes[i] = tier_code(modules[i].text, WASM_TIER_OPTIMISED);
        for (int twice = 0; twice < 2; twice++) {
            struct wasm_instance *instance = make(codes[i], NULL);
            uint64_t result = 0;
            EXPECT(call3(instance, 1, 0, 0, 0, &result));
            EXPECT_U64(result, (uint64_t)modules[i].sum);
            wasm_instance_free(instance);
        }
    }
    EXPECT(codes[0]->object == codes[1]->object && codes[0]->object != codes[2]->object);
    for (size_t i = 0; i < COUNT_OF(modules); i++)
        wasm_code_unref(codes[i]);
}

TEST(modules_that_differ_in_values_of_mutable_globals_share_their_code) {
    with_guest_stack(globals_body, 0);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// The functions that core suites import from the module "spectest": they take arguments and do
// nothing.
#include "core.h"

static bool nothing(void *data, uint64_t *slots) {
    (void)data;
    (void)slots;
    return true;
}

static const uint8_t i32[] = {WASM_I32}, i64[] = {WASM_I64}, f32[] = {WASM_F32}, f64[] = {WASM_F64},
                     i32_f32[] = {WASM_I32, WASM_F32}, f64_f64[] = {WASM_F64, WASM_F64};

static const struct {
    const char *name;
    struct wasm_func_type type;
} functions[] = {
    {"print", {0, 0, NULL, NULL}},
    {"print_i32", {1, 0, i32, NULL}},
    {"print_i64", {1, 0, i64, NULL}},
    {"print_f32", {1, 0, f32, NULL}},
    {"print_f64", {1, 0, f64, NULL}},
    {"print_i32_f32", {2, 0, i32_f32, NULL}},
    {"print_f64_f64", {2, 0, f64_f64, NULL}},
};

const struct wasm_func *spectest_function(struct slice name) {
    static struct wasm_func given[COUNT_OF(functions)];
    for (size_t i = 0; i < COUNT_OF(functions); i++)
        if (slice_equal_text(name, functions[i].name)) {
            given[i] = (struct wasm_func){.type = &functions[i].type, .host = nothing};
            return &given[i];
        }
    return NULL;
}

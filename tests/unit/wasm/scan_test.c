// SPDX-License-Identifier: Apache-2.0
// Reading declarations: what is found, what is refused and how it is said, and damaged input.
#include "common.h"

static struct bytes *data_file(const char *name) {
    char path[512];
    struct bytes *bytes = NULL;
    struct error error = {0};
    (void)snprintf(path, sizeof path, "%s/tests/unit/wasm/data/%s", SOURCE_FOLDER, name);
    REQUIRE_OK(file_read(path, 1 << 20, &bytes, &error), error);
    return bytes;
}

static void expect_refused(const void *data, size_t size, enum status wanted, const char *part) {
    struct bytes *bytes = bytes_copy(slice_of(data, size));
    struct wasm_module *module = NULL;
    struct error error = {0};
    enum status status = wasm_module_scan(bytes, NULL, &module, &error);
    EXPECT_TEXT(status_text(status), status_text(wanted));
    EXPECT_CONTAINS(error.message, part);
    EXPECT(module == NULL);
    wasm_module_unref(module);
    bytes_unref(bytes);
}

TEST(declarations_are_found) {
    struct bytes *bytes = data_file("small.wasm");
    struct wasm_module *module = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_module_scan(bytes, NULL, &module, &error), error);
    bytes_unref(bytes);
    EXPECT_U64(module->import_count, 2);
    EXPECT(slice_equal_text(module->imports[0].module, "env"));
    EXPECT(slice_equal_text(module->imports[0].name, "f"));
    EXPECT_U64(module->imports[0].type.kind, WASM_FUNC);
    EXPECT_U64(module->imports[0].type.func->param_count, 1);
    EXPECT_U64(module->imports[0].type.func->results[0], WASM_I32);
    EXPECT_U64(module->imports[1].type.global.type, WASM_I32);
    EXPECT_U64(module->export_count, 2);
    EXPECT(slice_equal_text(module->exports[0].name, "run"));
    EXPECT_U64(module->exports[0].index, 1);
    EXPECT(wasm_func_type_equal(module->exports[0].type.func, module->imports[0].type.func));
    EXPECT_U64(module->exports[1].type.memory.max, 2);
    EXPECT_U64(module->func_count, 2);
    EXPECT_U64(module->memory_count, 1);
    EXPECT(module->code_bytes > 20);
    wasm_module_unref(module);
}

// A cut between sections leaves a smaller module, which may be whole; any other cut is damage. No
// cut may read past the end (the sanitizer watches) or leave anything behind.
TEST(a_module_cut_at_any_byte_is_handled) {
    struct bytes *bytes = data_file("small.wasm");
    uint32_t whole = 0;
    for (size_t size = 0; size < bytes->size; size++) {
        struct bytes *part = bytes_copy(slice_of(bytes->data, size));
        struct wasm_module *module = NULL;
        struct error error = {0};
        enum status status = wasm_module_scan(part, NULL, &module, &error);
        EXPECT((status == OK) == (module != NULL));
        EXPECT(status == OK || error.message[0] != 0);
        whole += status == OK;
        wasm_module_unref(module);
        bytes_unref(part);
    }
    EXPECT(whole < 8);
    bytes_unref(bytes);
}

static void change_any_byte(const char *name) {
    struct bytes *bytes = data_file(name);
    struct wasm_module *module = NULL;
    struct error error = {0};
    EXPECT_OK(wasm_module_scan(bytes, NULL, &module, &error), error);
    wasm_module_unref(module);
    for (size_t at = 0; at < bytes->size; at++) {
        for (unsigned change = 1; change < 256; change = change * 2 + 1) {
            struct bytes *copy = bytes_copy(bytes_slice(bytes));
            copy->data[at] ^= (uint8_t)change;
            module = NULL;
            error_clear(&error);
            enum status status = wasm_module_scan(copy, NULL, &module, &error);
            EXPECT((status == OK) == (module != NULL));
            EXPECT(status == OK || error.message[0] != 0);
            wasm_module_unref(module);
            bytes_unref(copy);
        }
    }
    bytes_unref(bytes);
}
TEST(a_module_with_any_byte_changed_is_handled) {
    change_any_byte("small.wasm");
    change_any_byte("control.wasm");
    change_any_byte("values.wasm");
    change_any_byte("tables.wasm");
}

#define HEADER "\0asm\1\0\0\0"
// One function without parameters whose body is `code`.
#define BODY(code_size, section_size, code) \
    HEADER "\1\4\1\x60\0\0\3\2\1\0\x0a" section_size "\1" code_size "\0" code
#define REFUSE(text, status, part) expect_refused(text, sizeof(text) - 1, status, part)

TEST(unsupported_features_are_named) {
    REFUSE(BODY("\4", "\6", "\xfd\x0c\x0b"), ERR_UNSUPPORTED, "SIMD");
    REFUSE(BODY("\4", "\6", "\xfe\3\x0b"), ERR_UNSUPPORTED, "threads");
    REFUSE(BODY("\4", "\6", "\x12\0\x0b"), ERR_UNSUPPORTED, "tail calls");
    REFUSE(BODY("\4", "\6", "\x13\0\x0b"), ERR_UNSUPPORTED, "tail calls");
    REFUSE(BODY("\4", "\6", "\x06\x40\x0b"), ERR_UNSUPPORTED, "exceptions");
    REFUSE(BODY("\4", "\6", "\xfb\0\x0b"), ERR_UNSUPPORTED, "GC");
    REFUSE(BODY("\4", "\6", "\x14\0\x0b"), ERR_UNSUPPORTED, "typed function references");
    REFUSE(HEADER "\5\3\1\4\1", ERR_UNSUPPORTED, "memory64");
    REFUSE(HEADER "\5\4\1\3\1\1", ERR_UNSUPPORTED, "threads");
    REFUSE(HEADER
           "\5\x23\x11"
           "\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1",
           ERR_LIMIT, "at most 16");
    REFUSE(HEADER "\1\3\1\x5f\0", ERR_UNSUPPORTED, "GC");
    REFUSE(HEADER "\1\5\1\x60\1\x7b\0", ERR_UNSUPPORTED, "SIMD");
    REFUSE(HEADER "\x0d\1\0", ERR_UNSUPPORTED, "exceptions");
    REFUSE("\0asm\x0d\0\1\0", ERR_INVALID, "component");
}

static void expect_features(const void *data, size_t size, uint32_t wanted) {
    struct bytes *bytes = bytes_copy(slice_of(data, size));
    struct wasm_module *module = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_module_scan(bytes, NULL, &module, &error), error);
    EXPECT_U64(module->features, wanted);
    wasm_module_unref(module);
    bytes_unref(bytes);
}
#define FEATURES(text, wanted) expect_features(text, sizeof(text) - 1, wanted)

TEST(features_that_are_used_are_found) {
    FEATURES(BODY("\2", "\4", "\x0b"), 0);
    FEATURES(BODY("\6", "\x08", "\x41\0\xc0\x1a\x0b"), 1u << WASM_SIGN_EXTENSION);
    FEATURES(BODY("\x0a", "\x0c", "\x43\0\0\0\0\xfc\0\x1a\x0b"), 1u << WASM_SATURATING_TRUNCATION);
    FEATURES(BODY("\5", "\7", "\xd0\x70\x1a\x0b"), 1u << WASM_REFERENCE_TYPES);
    FEATURES(HEADER "\4\4\1\x6f\0\0", 1u << WASM_REFERENCE_TYPES);
    FEATURES(HEADER "\1\6\1\x60\0\2\x7f\x7f", 1u << WASM_MULTI_VALUE);
    FEATURES(HEADER "\6\6\1\x7f\1\x41\0\x0b", 0);
    FEATURES(HEADER "\6\6\1\x7f\1\x41\0\x0b\7\5\1\1g\3\0", 1u << WASM_MUTABLE_GLOBALS);
    FEATURES(HEADER
             "\1\4\1\x60\0\0\3\2\1\0\5\3\1\0\1\x0a\x0d\1\x0b\0"
             "\x41\0\x41\0\x41\0\xfc\x0b\0\x0b",
             1u << WASM_BULK_MEMORY);
    EXPECT_TEXT(wasm_feature_name(WASM_BULK_MEMORY), "bulk-memory");
}

TEST(damage_is_located) {
    REFUSE("", ERR_INVALID, "byte 0: magic header");
    REFUSE("\0asm\2\0\0\0", ERR_INVALID, "byte 4: unknown binary version");
    REFUSE(HEADER "\1\x80\x80\x80\x80\x80\0", ERR_INVALID, "integer representation too long");
    REFUSE(HEADER "\1\xff\xff\xff\xff\x1f", ERR_INVALID, "integer too large");
    REFUSE(HEADER "\1\5\1\x60\0\0\0", ERR_INVALID, "section size mismatch");
    REFUSE(HEADER "\1\1\0\1\1\0", ERR_INVALID, "out of order or repeated");
    REFUSE(HEADER "\3\1\0\1\1\0", ERR_INVALID, "out of order or repeated");
    REFUSE(HEADER "\x0f\0", ERR_INVALID, "malformed section id");
    REFUSE(HEADER "\1\4\1\x60\0\0\3\2\1\1", ERR_INVALID, "unknown type 1");
    REFUSE(HEADER "\1\4\1\x60\0\0\3\2\1\0", ERR_INVALID, "inconsistent lengths");
    REFUSE(HEADER "\5\3\1\0\1\7\5\1\0\2\1", ERR_INVALID, "unexpected end");
    REFUSE(HEADER "\5\3\1\0\1\7\5\1\1\x80\2\0", ERR_INVALID, "UTF-8");
    REFUSE(HEADER "\5\3\1\0\1\7\5\1\1x\2\1", ERR_INVALID, "unknown memory 1");
    REFUSE(HEADER "\5\3\1\0\1\7\x09\2\1x\2\0\1x\2\0", ERR_INVALID, "duplicate export name");
    REFUSE(HEADER "\1\x85\x80\x80\x80\0\xff\xff\xff\xff\x0f", ERR_LIMIT, "types");
    REFUSE(BODY("\3", "\5", "\xff\x0b"), ERR_INVALID, "illegal opcode 0xff");
    REFUSE(BODY("\4", "\6", "\x0b\1\x0b"), ERR_INVALID, "END opcode expected");
    REFUSE(HEADER "\1\4\1\x60\0\0\3\2\1\0\x0a\x0a\1\x08\1\xff\xff\xff\x0f\x7f\1\x0b", ERR_LIMIT,
           "locals");
}

TEST(limits_are_the_callers) {
    struct bytes *bytes = data_file("small.wasm");
    struct wasm_module *module = NULL;
    struct error error = {0};
    struct wasm_scan_limits limits = {.functions = 1};
    EXPECT(wasm_module_scan(bytes, &limits, &module, &error) == ERR_LIMIT);
    error_clear(&error);
    limits = (struct wasm_scan_limits){.module_bytes = 100};
    EXPECT(wasm_module_scan(bytes, &limits, &module, &error) == ERR_LIMIT);
    error_clear(&error);
    limits = (struct wasm_scan_limits){.locals_per_function = 1};
    EXPECT(wasm_module_scan(bytes, &limits, &module, &error) == ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "locals");
    bytes_unref(bytes);
}

int main(void) {
    return test_main();
}

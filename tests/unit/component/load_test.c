// SPDX-License-Identifier: Apache-2.0
// component_load: what real components declare, and that bad input ends in an error and nothing
// else. Small binaries are put together here byte by byte.
#include <stdlib.h>

#include "base/file.h"
#include "builder.h"
#include "codec/sha256.h"
#include "component/component.h"
#include "test.h"

#define INPUTS SOURCE_FOLDER "/tests/unit/component/inputs/"

// ---- loading binaries ---------------------------------------------------------------------------

static enum status load_limited(struct slice content, const struct component_limits *limits,
                                struct error *error) {
    struct bytes *bytes = bytes_copy(content);
    struct component *component = NULL;
    enum status status = component_load(bytes, limits, &component, error);
    bytes_unref(bytes);
    EXPECT((status == OK) == (component != NULL));
    EXPECT((status == OK) == (error->code == OK));
    component_unref(component);
    return status;
}

static enum status load(struct slice content, struct error *error) {
    *error = (struct error){.code = OK};
    return load_limited(content, NULL, error);
}

// A component with one section of the given content.
static enum status load_section(uint8_t id, const void *content, size_t size, struct error *error) {
    struct buf binary = {0};
    struct buf section = {0};
    put_header(&binary);
    buf_append(&section, content, size);
    put_section(&binary, id, &section);
    enum status status = load(buf_slice(&binary), error);
    buf_release(&binary);
    return status;
}
#define LOAD_SECTION(id, text, error) load_section((id), (text), sizeof(text) - 1, (error))

static struct component *load_file(const char *path) {
    struct error error = {.code = OK};
    struct bytes *bytes = NULL;
    REQUIRE_OK(file_read(path, 1 << 20, &bytes, &error), error);
    struct component *component = NULL;
    enum status status = component_load(bytes, NULL, &component, &error);
    bytes_unref(bytes);
    REQUIRE_OK(status, error);
    return component;
}

// ---- what is declared --------------------------------------------------------------------------

TEST(declares_imports_and_exports_in_order) {
    struct component *component = load_file(INPUTS "hostile.wasm");
    REQUIRE(component_import_count(component) == 3);
    struct buf text = {0};
    component_func_type_print(component_import_at(component, 0)->type, &text);
    EXPECT_TEXT(buf_text(&text), "func(string)");
    EXPECT_U64(component_import_at(component, 0)->interface.size, 0);
    EXPECT(slice_equal_text(component_import_at(component, 1)->name, "pull"));
    EXPECT(slice_equal_text(component_export_at(component, 0)->name, "poke"));
    EXPECT_U64(component_module_count(component), 3);
    static const struct {
        const char *name;
        const char *type;
    } EXPECTED[] = {
        {"give-case", "func(u32, u32) -> variant{a(u8), b(string), c}"},
        {"give-enum3", "func(u32) -> enum{a, b, c}"},
        {"give-flags3", "func(u32) -> flags{a, b, c}"},
        {"give-pair", "func(u32) -> tuple<u32, u32>"},
        {"take-wide", "func(variant{i(u64), s(string), f(f32), n}) -> u64"},
        {"give-strings", "func(u32, u32) -> list<string>"},
        {"die", "func()"},
    };
    for (size_t i = 0; i < COUNT_OF(EXPECTED); i++) {
        bool found = false;
        for (uint32_t j = 0; j < component_export_count(component); j++) {
            const struct component_export *export = component_export_at(component, j);
            if (slice_equal_text(export->name, EXPECTED[i].name)) {
                found = true;
                buf_clear(&text);
                component_func_type_print(export->type, &text);
                EXPECT_TEXT(buf_text(&text), EXPECTED[i].type);
            }
        }
        EXPECT(found);
    }
    buf_release(&text);
    component_unref(component);
}

static enum status resolve_all(void *resolver, const struct component_import *import,
                               struct component_host_func *out, struct error *error) {
    (void)resolver;
    (void)out;
    return error_set(error, ERR_NOT_FOUND, "%.*s", (int)import->name.size,
                     (const char *)import->name.data);
}

// Of inputs/handles.wit: what is given under one name is visible under the other.
TEST(types_keep_their_names_through_instances) {
    struct component *component = load_file(INPUTS "handles.wasm");
    EXPECT_U64(component_resource_import_count(component), 3);
    struct buf text = {0};
    for (uint32_t i = 0; i < component_export_count(component); i++) {
        const struct component_export *export = component_export_at(component, i);
        if (slice_equal_text(export->name, "twist")) {
            component_func_type_print(export->type, &text);
        }
    }
    EXPECT_TEXT(buf_text(&text),
                "func(own<counter>, record{a: own<counter>, b: option<own<counter>>, s: "
                "record{size: u64, when: option<tuple<u64, u32>>, c: enum{access, busy}}}) -> "
                "own<counter>");
    buf_release(&text);
    component_unref(component);
}

// It is a component as good as any, but no host can run it.
TEST(components_from_the_host_are_refused_when_linking) {
    struct component *component = load_file(INPUTS "given.wasm");
    struct component_linked *linked = NULL;
    struct error error = {.code = OK};
    EXPECT_U64(component_link(component, resolve_all, NULL, NULL, &linked, &error),
               ERR_UNSUPPORTED);
    EXPECT_CONTAINS(error.message, "import parts: a host cannot give components");
    component_unref(component);
}

TEST(expands_nested_instantiations) {
    struct component *component = load_file(INPUTS "twice.wasm");
    EXPECT_U64(component_module_count(component), 2);
    EXPECT_U64(component_export_count(component), 3);
    EXPECT_U64(component_import_count(component), 1);
    component_unref(component);
}

// The last type is that of the function "f", or of an instance that exports it; it is imported.
static void expect_type(const char *types, size_t size, uint8_t sort, const char *wanted) {
    struct buf binary = {0};
    struct buf section = {0};
    put_header(&binary);
    buf_append(&section, types, size);
    uint8_t last = (uint8_t)(types[0] - 1);
    put_section(&binary, 7, &section);
    section = (struct buf){0};
    buf_append(&section, "\1\0\1f", 4);
    buf_append_byte(&section, sort);
    buf_append_byte(&section, last);
    put_section(&binary, 10, &section);
    struct error error = {.code = OK};
    struct bytes *bytes = bytes_copy(buf_slice(&binary));
    struct component *component = NULL;
    REQUIRE_OK(component_load(bytes, NULL, &component, &error), error);
    struct buf text = {0};
    component_func_type_print(component_import_at(component, 0)->type, &text);
    EXPECT_TEXT(buf_text(&text), wanted);
    buf_release(&text);
    component_unref(component);
    bytes_unref(bytes);
    buf_release(&binary);
}
#define EXPECT_TYPE(types, wanted) expect_type((types), sizeof(types) - 1, 1, (wanted))
#define EXPECT_INSTANCE(types, wanted) expect_type((types), sizeof(types) - 1, 5, (wanted))

TEST(prints_every_form_of_result) {
    EXPECT_TYPE("\2\x6a\0\0\x40\0\0\0", "func() -> result");
    EXPECT_TYPE("\2\x6a\1\x79\0\x40\0\0\0", "func() -> result<u32>");
    EXPECT_TYPE("\2\x6a\0\1\x73\x40\0\0\0", "func() -> result<_, string>");
    EXPECT_TYPE("\2\x6a\1\x7f\1\x73\x40\1\1p\0\1\0", "func(result<bool, string>)");
}

TEST(prints_named_types) {
    EXPECT_INSTANCE(
        "\1\x42\5\1\x70\x7d\1\x72\2\1a\0\1b\x74\4\0\1r\3\0\1\1\x40\1\1p\2\0\x75\4\0\1f\1\3",
        "func(record{a: list<u8>, b: char}) -> f64");
    EXPECT_INSTANCE("\1\x42\5\4\0\1r\3\1\1\x69\0\1\x68\0\1\x40\1\1p\2\0\1\4\0\1f\1\3",
                    "func(borrow<r>) -> own<r>");
}

// ---- bad input ---------------------------------------------------------------------------------

TEST(refuses_other_files_with_advice) {
    struct error error;
    EXPECT_U64(load(slice_text("#!/bin/sh"), &error), ERR_INVALID);
    EXPECT_CONTAINS(error.message, "not a WebAssembly component");
    EXPECT_U64(load(slice_of("\0asm\1\0\0\0", 8), &error), ERR_INVALID);
    EXPECT_CONTAINS(error.message, "core module");
    EXPECT_U64(load(slice_of("\0asm\x0e\0\1\0", 8), &error), ERR_INVALID);
    EXPECT_CONTAINS(error.message, "version 14");
    EXPECT_U64(load(slice_of("", 0), &error), ERR_INVALID);
}

TEST(an_empty_component_loads) {
    struct error error;
    EXPECT_OK(load(slice_of("\0asm\x0d\0\1\0", 8), &error), error);
}

TEST(names_what_is_not_supported) {
    struct error error;
    static const struct {
        uint8_t id;
        const char *content;
        size_t size;
        const char *what;
    } CASES[] = {
        {7, "\1\x43\0\1\0", 5, "asynchronous"},
        {7, "\1\x66\0", 3, "stream"},
        {7, "\1\x65\0", 3, "future"},
        {7, "\1\x67\x7d\4", 4, "fixed length"},
        {3, "\1\x5f\0", 3, "core types"},
        {9, "\0\0\0", 3, "values"},
        {12, "\0", 1, "values"},
        {8, "\1\x09\1\0\0", 5, "asynchronous"},
        {10, "\1\2\1f\1\1\0", 7, "attributes"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        EXPECT_U64(load_section(CASES[i].id, CASES[i].content, CASES[i].size, &error),
                   ERR_UNSUPPORTED);
        EXPECT_CONTAINS(error.message, CASES[i].what);
    }
}

TEST(refuses_bad_indices_and_counts) {
    struct error error;
    EXPECT_U64(LOAD_SECTION(7, "\1\x70\0", &error), ERR_INVALID);
    EXPECT_CONTAINS(error.message, "type index 0 out of bounds");
    EXPECT_U64(LOAD_SECTION(7, "\xff\xff\xff\xff\x0f", &error), ERR_INVALID);
    EXPECT_CONTAINS(error.message, "announced");
    EXPECT_U64(LOAD_SECTION(7, "\1\x72\0", &error), ERR_INVALID);
    EXPECT_U64(LOAD_SECTION(7, "\1\x6e\0", &error), ERR_INVALID);
    EXPECT_U64(LOAD_SECTION(7, "\2\x42\0\x70\0", &error), ERR_INVALID);
    EXPECT_CONTAINS(error.message, "not a value type");
    EXPECT_U64(LOAD_SECTION(6, "\1\3\2\5\0", &error), ERR_INVALID);
    EXPECT_CONTAINS(error.message, "outer alias count of 5");
    EXPECT_U64(LOAD_SECTION(5, "\1\0\0\0", &error), ERR_INVALID);
    EXPECT_U64(LOAD_SECTION(2, "\1\0\0\0", &error), ERR_INVALID);
    EXPECT_U64(LOAD_SECTION(8, "\1\0\0\0\0\0", &error), ERR_INVALID);
    EXPECT_U64(LOAD_SECTION(8, "\1\1\0\0\0", &error), ERR_INVALID);
    EXPECT_U64(LOAD_SECTION(13, "", &error), ERR_INVALID);
    EXPECT_U64(LOAD_SECTION(7, "\1\x79\0", &error), ERR_INVALID);
    EXPECT_CONTAINS(error.message, "1 bytes too many");
    EXPECT_U64(LOAD_SECTION(10, "\1\0\2\xc3\x28\1\0", &error), ERR_INVALID);
    EXPECT_CONTAINS(error.message, "not UTF-8");
}

TEST(labels_are_kebab_case_and_unique) {
    struct error error;
    EXPECT_OK(LOAD_SECTION(7, "\1\x6d\3\1a\1b\5A1-b2", &error), error);
    EXPECT_U64(LOAD_SECTION(7, "\1\x6d\2\1a\1A", &error), ERR_INVALID);
    EXPECT_CONTAINS(error.message, "used twice");
    EXPECT_U64(LOAD_SECTION(7, "\1\x40\2\1p\x79\1p\x79\1\0", &error), ERR_INVALID);
    static const char *const BAD[] = {"1a", "a--b", "-a", "a-", "aB", "a_b", "a\n"};
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        struct buf section = {0};
        buf_append(&section, "\1\x6d\1", 3);
        put_u32(&section, (uint32_t)strlen(BAD[i]));
        buf_append_text(&section, BAD[i]);
        EXPECT_U64(load_section(7, section.data, section.size, &error), ERR_INVALID);
        EXPECT_CONTAINS(error.message, "kebab");
        buf_release(&section);
    }
    EXPECT_U64(LOAD_SECTION(10, "\1\0\2\x1b[\1\0", &error), ERR_INVALID);
    EXPECT_CONTAINS(error.message, "byte 0x1b");
}

// 33 flags, and the same for one that is allowed.
TEST(refuses_more_than_32_flags) {
    for (uint32_t count = 32; count <= 33; count++) {
        struct buf section = {0};
        buf_append(&section, "\1\x6e", 2);
        put_u32(&section, count);
        for (uint32_t i = 0; i < count; i++) {
            buf_append_byte(&section, 2);
            buf_append_byte(&section, (uint8_t)('a' + i / 10));
            buf_append_byte(&section, (uint8_t)('0' + i % 10));
        }
        struct error error;
        EXPECT_U64(load_section(7, section.data, section.size, &error),
                   count == 32 ? OK : ERR_INVALID);
        buf_release(&section);
    }
}

// Each type is `form` of the one before it.
static enum status load_chain(uint8_t form, uint32_t count, bool twice, struct error *error) {
    struct buf section = {0};
    put_u32(&section, count + 1);
    buf_append_byte(&section, 0x7d);
    for (uint32_t i = 0; i < count; i++) {
        buf_append_byte(&section, form);
        if (twice) {
            buf_append_byte(&section, 2);
            put_u32(&section, i);
        }
        // A type index is signed there: two bytes from 64 on.
        buf_append_byte(&section, (uint8_t)(i | 0x80));
        buf_append_byte(&section, (uint8_t)(i >> 7));
        if (twice) {
            section.size -= 2;
            section.size -= i >= 0x80 ? 2 : 1;
            for (int j = 0; j < 2; j++) {
                buf_append_byte(&section, (uint8_t)(i | 0x80));
                buf_append_byte(&section, (uint8_t)(i >> 7));
            }
        }
    }
    enum status status = load_section(7, section.data, section.size, error);
    buf_release(&section);
    return status;
}

TEST(deep_and_exploding_types_are_refused) {
    struct error error;
    EXPECT_OK(load_chain(0x6b, 90, false, &error), error);
    EXPECT_U64(load_chain(0x6b, 5000, false, &error), ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "nested too deeply");
    EXPECT_U64(load_chain(0x70, 5000, false, &error), ERR_LIMIT);
    // A tuple of twice the one before: 2^40 parts in 40 types.
    EXPECT_U64(load_chain(0x6f, 40, true, &error), ERR_LIMIT);
}

// Component types in component types, to a depth that would use up any stack.
TEST(deep_nesting_is_refused) {
    struct error error;
    struct buf section = {0};
    buf_append_byte(&section, 1);
    for (int i = 0; i < 100000; i++) {
        buf_append(&section, "\x42\1\1", 3);
    }
    buf_append(&section, "\x42\0", 2);
    EXPECT_U64(load_section(7, section.data, section.size, &error), ERR_LIMIT);
    buf_release(&section);
}

// Instance types that export the one before them, far deeper than scopes nest.
TEST(chains_of_instance_types_are_refused) {
    struct error error;
    struct buf section = {0};
    put_u32(&section, 5001);
    buf_append(&section, "\x42\0", 2);
    for (uint32_t i = 0; i < 5000; i++) {
        buf_append(&section, "\x42\2\2\3\2\1", 6);
        put_u32(&section, i);
        buf_append(&section, "\4\0\1i\5\0", 6);
    }
    EXPECT_U64(load_section(7, section.data, section.size, &error), ERR_LIMIT);
    buf_release(&section);
}

// Each component instantiates the one before it twice: 2^25 instantiations in a few hundred bytes.
TEST(exponential_instantiation_is_refused) {
    struct buf binary = {0};
    put_header(&binary);
    struct buf inner = {0};
    put_header(&inner);
    for (uint32_t level = 0; level < 25; level++) {
        struct buf outer = {0};
        struct buf section = {0};
        put_header(&outer);
        put_section(&outer, 4, &inner);
        buf_append(&section, "\2\0\0\0\0\0\0", 7);
        put_section(&outer, 5, &section);
        inner = outer;
    }
    put_section(&binary, 4, &inner);
    struct buf section = {0};
    buf_append(&section, "\1\0\0\0", 4);
    put_section(&binary, 5, &section);
    struct error error;
    EXPECT_U64(load(buf_slice(&binary), &error), ERR_LIMIT);
    buf_release(&binary);
}

TEST(limits_are_named) {
    struct error error = {.code = OK};
    struct bytes *bytes = NULL;
    REQUIRE_OK(file_read(INPUTS "hostile.wasm", 1 << 20, &bytes, &error), error);
    EXPECT_U64(load_limited(bytes_slice(bytes), &(struct component_limits){.component_bytes = 100},
                            &error),
               ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "the limit is 100");
    error_clear(&error);
    EXPECT_U64(load_limited(bytes_slice(bytes), &(struct component_limits){.items = 20}, &error),
               ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "too many definitions");
    bytes_unref(bytes);
}

enum { SECTIONS_MAX = 200 };

// A prefix of a component is a component only where a section ends.
TEST(truncation_at_every_byte_is_survived) {
    static const char *const FILES[] = {INPUTS "hostile.wasm", INPUTS "twice.wasm",
                                        SOURCE_FOLDER "/tests/fuzz/corpus/component/actor.wasm"};
    for (size_t i = 0; i < COUNT_OF(FILES); i++) {
        struct error error = {.code = OK};
        struct bytes *bytes = NULL;
        REQUIRE_OK(file_read(FILES[i], 1 << 20, &bytes, &error), error);
        unsigned loaded = 0;
        for (size_t size = 0; size < bytes->size; size++) {
            loaded += load(slice_of(bytes->data, size), &error) == OK;
        }
        EXPECT(loaded > 0 && loaded <= SECTIONS_MAX);
        bytes_unref(bytes);
    }
}

static void damage(const char *path, size_t patterns) {
    struct error error = {.code = OK};
    struct bytes *bytes = NULL;
    REQUIRE_OK(file_read(path, 1 << 20, &bytes, &error), error);
    static const uint8_t PATTERNS[4] = {0x01, 0x80, 0xff, 0x7f};
    unsigned refused = 0;
    for (size_t at = 0; at < bytes->size; at++) {
        for (size_t i = 0; i < patterns; i++) {
            bytes->data[at] ^= PATTERNS[i];
            refused += load(bytes_slice(bytes), &error) != OK;
            bytes->data[at] ^= PATTERNS[i];
        }
    }
    EXPECT(refused > bytes->size * patterns / 4);
    bytes_unref(bytes);
}

TEST(damage_at_every_byte_is_survived) {
    damage(INPUTS "twice.wasm", 4);
    damage(INPUTS "resources.wasm", 1);
    damage(INPUTS "shapes.wasm", 1);
}

// ---- what the code cache knows
// -------------------------------------------------------------------

// A component with one core module, which has one function of this many instructions "nop" and a
// last one.
static struct bytes *component_of_nops(uint32_t count, uint8_t last) {
    struct buf code = {0};
    struct buf module = {0};
    struct buf binary = {0};
    buf_append(&module, "\0asm\1\0\0\0\1\4\1\x60\0\0\3\2\1\0", 18);
    buf_append_byte(&code, 1);
    put_u32(&code, count + 3);
    buf_append_byte(&code, 0);
    for (uint32_t i = 0; i < count; i++) {
        buf_append_byte(&code, 0x01);
    }
    buf_append_byte(&code, last);
    buf_append_byte(&code, 0x0b);
    put_section(&module, 10, &code);
    put_header(&binary);
    put_section(&binary, 1, &module);
    struct bytes *bytes = bytes_copy(buf_slice(&binary));
    buf_release(&binary);
    return bytes;
}

static enum status load_cached(struct bytes *bytes, const struct wasm_compiler *compiler,
                               struct component **out, struct error *error) {
    *error = (struct error){.code = OK};
    *out = NULL;
    return component_load_cached(bytes, compiler, out, error);
}

TEST(function_bodies_are_validated_until_the_cache_knows_them) {
    enum { NOPS = 300000, NOP = 0x01, ADD = 0x6a };
    struct wasm_compiler_config config = {.cache_folder = test_folder()};
    struct wasm_compiler *compiler = NULL;
    struct component *component = NULL;
    struct error error = {.code = OK};
    struct error plain = {.code = OK};
    uint32_t count = 0;
    REQUIRE_OK(wasm_compiler_new(&config, &compiler, &error), error);
    struct bytes *small = component_of_nops(10, NOP);
    struct bytes *good = component_of_nops(NOPS, NOP);
    struct bytes *bad = component_of_nops(NOPS, ADD);
    uint8_t hash[SHA256_BYTES];

    REQUIRE_OK(load_cached(small, compiler, &component, &error), error);
    EXPECT(wasm_findings_read(compiler, component_hash(component), &count) == NULL);
    component_unref(component);

    // An invalid one is refused each time, in the words of component_load.
    EXPECT(component_load(bad, NULL, &component, &plain) == ERR_INVALID);
    for (int i = 0; i < 2; i++) {
        EXPECT(load_cached(bad, compiler, &component, &error) == ERR_INVALID);
        EXPECT_TEXT(error.message, plain.message);
    }
    sha256(bytes_slice(bad), hash);
    EXPECT(wasm_findings_read(compiler, hash, &count) == NULL);

    // A valid one is remembered.
    REQUIRE_OK(load_cached(good, compiler, &component, &error), error);
    struct wasm_findings *known = wasm_findings_read(compiler, component_hash(component), &count);
    EXPECT(known != NULL && count == 1);
    free(known);

    // With the findings of the valid one under its hash, the bodies of the invalid one are not
    // read.
    struct wasm_module *module = component_module_at(component, 0);
    wasm_findings_write(compiler, hash, &module, 1);
    component_unref(component);
    REQUIRE_OK(load_cached(bad, compiler, &component, &error), error);
    component_unref(component);
    EXPECT(component_load(bad, NULL, &component, &error) == ERR_INVALID);
    bytes_unref(small);
    bytes_unref(good);
    bytes_unref(bad);
    wasm_compiler_free(compiler);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// world_print: the world of a component is printed as it was written, and hostile declarations end
// in an error.
#include "component/world.h"
#include "base/file.h"
#include "test.h"

#define INPUTS SOURCE_FOLDER "/tests/unit/component/inputs/"

static struct bytes *input(const char *path) {
    struct bytes *bytes = NULL;
    struct error error = {0};
    REQUIRE_OK(file_read(path, 1 << 20, &bytes, &error), error);
    return bytes;
}

static enum status print(struct slice bytes, struct buf *out, struct error *error) {
    *error = (struct error){0};
    buf_clear(out);
    enum status status = world_print(bytes, out, error);
    EXPECT((status == OK) == (error->message[0] == '\0'));
    return status;
}

// inputs/world.wasm was made of inputs/world.wit, which is in the form that is printed.
TEST(prints_the_world_that_the_component_was_made_of) {
    struct bytes *component = input(INPUTS "world.wasm");
    struct bytes *text = input(INPUTS "world.wit");
    struct buf out = {0};
    struct error error;
    EXPECT_OK(print(bytes_slice(component), &out, &error), error);
    char *wanted = xstrndup(text->data, text->size);
    const char *begin = strstr(wanted, "package root:component;");
    REQUIRE(begin != NULL);
    EXPECT_TEXT(buf_text(&out), begin);
    free(wanted);
    buf_release(&out);
    bytes_unref(text);
    bytes_unref(component);
}

TEST(adds_what_a_hand_written_component_leaves_unsaid) {
    struct bytes *component = input(INPUTS "resources.wasm");
    struct buf out = {0};
    struct error error;
    EXPECT_OK(print(bytes_slice(component), &out, &error), error);
    const char *text = buf_text(&out);
    EXPECT_CONTAINS(text, "\n  resource counter;");
    EXPECT_CONTAINS(text, "\n  use test:host/blobs.{blob};");
    EXPECT_CONTAINS(text, "\n  export read: func(c: borrow<counter>) -> u32;");
    EXPECT_CONTAINS(text, "\n    resource blob {\n      constructor(value: u32);\n");
    EXPECT_CONTAINS(text, "\n    %use: func(b: borrow<blob>) -> u32;");
    buf_release(&out);
    bytes_unref(component);
}

// ---- damage ------------------------------------------------------------------------------------

TEST(damaged_components_print_or_say_why_not) {
    struct bytes *component = input(INPUTS "world.wasm");
    struct buf out = {0};
    struct error error;
    unsigned refused = 0;
    for (size_t size = 0; size < component->size; size += 7) {
        refused += print(slice_of(component->data, size), &out, &error) != OK;
    }
    EXPECT(refused > component->size / 7 / 2);
    uint8_t *copy = xmalloc(component->size);
    refused = 0;
    for (size_t at = 8; at < component->size; at += 3) {
        memcpy(copy, component->data, component->size);
        copy[at] ^= (uint8_t)(1u << at % 8);
        refused += print(slice_of(copy, component->size), &out, &error) != OK;
    }
    EXPECT(refused > 100);
    free(copy);
    buf_release(&out);
    bytes_unref(component);
}

// ---- bounds ------------------------------------------------------------------------------------

static void put_u32(struct buf *out, uint32_t value) {
    while (value >= 0x80) {
        buf_append_byte(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buf_append_byte(out, (uint8_t)value);
}

// A type's number where a value type stands: signed, so that bit 6 of the last byte must be clear.
static void put_type(struct buf *out, uint32_t index) {
    while (index >= 0x40) {
        buf_append_byte(out, (uint8_t)(index | 0x80));
        index >>= 7;
    }
    buf_append_byte(out, (uint8_t)index);
}

static void put_section(struct buf *out, uint8_t id, const struct buf *content) {
    buf_append_byte(out, id);
    put_u32(out, (uint32_t)content->size);
    buf_append_slice(out, buf_slice(content));
}

// A component with `count` types, each of `width` times the one before it as a tuple, and the
// import of a function that takes the last one.
static void tower(struct buf *out, uint32_t count, uint32_t width) {
    struct buf types = {0};
    struct buf imports = {0};
    put_u32(&types, count + 2);
    buf_append(&types, "\x70\x7d", 2);  // list<u8>
    for (uint32_t i = 0; i < count; i++) {
        buf_append_byte(&types, 0x6f);
        put_u32(&types, width);
        for (uint32_t k = 0; k < width; k++) {
            put_type(&types, i);
        }
    }
    buf_append(&types, "\x40\x01\x01p", 4);
    put_type(&types, count);
    buf_append(&types, "\x01\x00", 2);
    buf_append(&imports,
               "\x01\x00\x01"
               "f\x01",
               5);
    put_u32(&imports, count + 1);
    buf_append(out, "\0asm\x0d\0\1\0", 8);
    put_section(out, 7, &types);
    put_section(out, 10, &imports);
    buf_release(&types);
    buf_release(&imports);
}

TEST(small_towers_print) {
    struct buf component = {0};
    struct buf out = {0};
    struct error error;
    tower(&component, 2, 2);
    EXPECT_OK(print(buf_slice(&component), &out, &error), error);
    EXPECT_CONTAINS(
        buf_text(&out),
        "import f: func(p: tuple<tuple<list<u8>, list<u8>>, tuple<list<u8>, list<u8>>>);");
    buf_release(&out);
    buf_release(&component);
}

TEST(core_types_are_passed_over) {
    struct buf component = {0};
    struct buf out = {0};
    struct error error;
    struct buf types = {0};
    struct buf imports = {0};
    // A component type that declares a module type (a memory "m", a function "f" of a type of its
    // own) and imports such a module; then a function type.
    static const char declared[] =
        "\x02\x41\x02\x00\x50\x03\x03\x01m\x02\x01\x01\x02"
        "\x01\x60\x01\x7f\x00\x00\x01g\x01"
        "f\x00\x00"
        "\x03\x00\x01n\x00\x11\x00"
        "\x40\x00\x01\x00";
    static const char imported[] = "\x01\x00\x01q\x01\x01";
    buf_append(&types, declared, sizeof declared - 1);
    buf_append(&imports, imported, sizeof imported - 1);
    buf_append(&component, "\0asm\x0d\0\1\0", 8);
    put_section(&component, 7, &types);
    put_section(&component, 10, &imports);
    EXPECT_OK(print(buf_slice(&component), &out, &error), error);
    EXPECT_CONTAINS(buf_text(&out), "world root {\n  import q: func();\n}");
    buf_release(&types);
    buf_release(&imports);
    buf_release(&out);
    buf_release(&component);
}

TEST(types_that_grow_without_end_are_refused) {
    struct buf component = {0};
    struct buf out = {0};
    struct error error;
    tower(&component, 64, 2);
    EXPECT(print(buf_slice(&component), &out, &error) == ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "too large to print");
    buf_clear(&component);
    tower(&component, 20000, 1);
    EXPECT(print(buf_slice(&component), &out, &error) == ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "nested too deeply");
    buf_release(&out);
    buf_release(&component);
}

TEST(names_of_names_without_end_are_refused) {
    struct buf component = {0};
    struct buf out = {0};
    struct error error;
    struct buf types = {0};
    struct buf imports = {0};
    enum { COUNT = 100000 };
    buf_append(&types, "\x01\x70\x7d", 3);  // list<u8>
    put_u32(&imports, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        char name[16];
        int size = snprintf(name, sizeof name, "t%u", i);
        buf_append_byte(&imports, 0);
        put_u32(&imports, (uint32_t)size);
        buf_append(&imports, name, (size_t)size);
        buf_append(&imports, "\x03\x00", 2);
        put_u32(&imports, i);
    }
    buf_append(&component, "\0asm\x0d\0\1\0", 8);
    put_section(&component, 7, &types);
    put_section(&component, 10, &imports);
    EXPECT(print(buf_slice(&component), &out, &error) == ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "names for names");
    buf_release(&types);
    buf_release(&imports);
    buf_release(&out);
    buf_release(&component);
}

int main(void) {
    return test_main();
}

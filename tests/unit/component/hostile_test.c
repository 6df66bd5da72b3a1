// SPDX-License-Identifier: Apache-2.0
// Small components whose types or instances are enormous when written out: loading them ends soon,
// with an error that names a limit.
#include "builder.h"
#include "component/component.h"
#include "test.h"

enum { LEVELS = 40 };

static enum status load(const struct buf *binary, struct error *error) {
    struct bytes *bytes = bytes_copy(buf_slice(binary));
    struct component *component = NULL;
    *error = (struct error){.code = OK};
    enum status status = component_load(bytes, NULL, &component, error);
    bytes_unref(bytes);
    component_unref(component);
    return status;
}

// Loads a component of one section, and perhaps a second one.
static enum status load_sections(uint8_t first_id, struct buf *first, uint8_t second_id,
                                 struct buf *second, struct error *error) {
    struct buf binary = {0};
    put_header(&binary);
    put_section(&binary, first_id, first);
    if (second != NULL) {
        put_section(&binary, second_id, second);
    }
    enum status status = load(&binary, error);
    buf_release(&binary);
    return status;
}

// Each instance exports the one before it twice.
static struct buf doubling_instances(void) {
    struct buf section = {0};
    put_u32(&section, LEVELS + 1);
    buf_append(&section, "\1\0", 2);
    for (uint32_t i = 0; i < LEVELS; i++) {
        buf_append(&section, "\1\2\0\1a\5", 6);
        put_u32(&section, i);
        buf_append(&section, "\0\1b\5", 4);
        put_u32(&section, i);
    }
    return section;
}

TEST(doubling_instances_are_refused_when_they_are_copied) {
    struct error error;
    struct buf section = doubling_instances();
    EXPECT_OK(load_sections(5, &section, 0, NULL, &error), error);
    section = doubling_instances();
    struct buf export = {0};
    buf_append(&export, "\1\0\1x\5", 5);
    put_u32(&export, LEVELS);
    buf_append_byte(&export, 0);
    EXPECT_U64(load_sections(5, &section, 11, &export, &error), ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "too many definitions");
}

// Each instance type exports two instances of the one before it; the innermost has `bottom`.
static struct buf doubling_types(const char *bottom, size_t size) {
    struct buf section = {0};
    put_u32(&section, LEVELS + 1);
    buf_append(&section, bottom, size);
    for (uint32_t i = 0; i < LEVELS; i++) {
        buf_append(&section, "\x42\3\2\3\2\1", 6);
        put_u32(&section, i);
        buf_append(&section, "\4\0\1a\5\0\4\0\1b\5\0", 12);
    }
    return section;
}

TEST(doubling_instance_types_are_refused) {
    struct error error;
    struct buf section = doubling_types("\x42\1\4\0\1r\3\1", 8);
    EXPECT_U64(load_sections(7, &section, 0, NULL, &error), ERR_LIMIT);
    section = doubling_types("\x42\0", 2);
    EXPECT_U64(load_sections(7, &section, 0, NULL, &error), ERR_LIMIT);
}

// One instance type of many functions of a large type, imported again and again.
TEST(many_copies_of_large_types_are_refused) {
    enum { FIELDS = 1000, FUNCTIONS = 500, IMPORTS = 400 };
    struct buf types = {0};
    struct buf imports = {0};
    buf_append(&types, "\1\x42", 2);
    put_u32(&types, 3 + 2 * FUNCTIONS);
    buf_append(&types, "\4\0\1r\3\1\1\x69\0\1\x6f", 11);
    put_u32(&types, FIELDS);
    for (uint32_t i = 0; i < FIELDS; i++) {
        buf_append_byte(&types, 1);
    }
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        buf_append(&types, "\1\x40\1\1p\2\1\0", 8);
        buf_append(&types, "\4\0\4f", 4);
        buf_format(&types, "%03u", i);
        buf_append_byte(&types, 1);
        put_u32(&types, 3 + i);
    }
    put_u32(&imports, IMPORTS);
    for (uint32_t i = 0; i < IMPORTS; i++) {
        buf_append(&imports, "\0\4i", 3);
        buf_format(&imports, "%03u", i);
        buf_append(&imports, "\5\0", 2);
    }
    struct error error;
    EXPECT_U64(load_sections(7, &types, 10, &imports, &error), ERR_LIMIT);
}

// A component type that imports two of the one before it.
TEST(doubling_component_types_are_refused) {
    struct error error;
    struct buf section = {0};
    put_u32(&section, LEVELS + 1);
    buf_append(&section, "\x41\0", 2);
    for (uint32_t i = 0; i < LEVELS; i++) {
        buf_append(&section, "\x41\3\2\3\2\1", 6);
        put_u32(&section, i);
        buf_append(&section, "\3\0\1a\4\0\4\0\1b\4\0", 12);
    }
    EXPECT_U64(load_sections(7, &section, 0, NULL, &error), ERR_LIMIT);
}

// A resource type that is exported under a name, that under another, and so on: loading takes no
// longer for the last than for the first.
TEST(long_chains_of_names_are_followed_at_once) {
    enum { NAMES = 60000 };
    struct error error;
    struct buf type = {0};
    buf_append(&type, "\1\x3f\x7f\0", 4);
    struct buf exports = {0};
    put_u32(&exports, NAMES);
    for (uint32_t i = 0; i < NAMES; i++) {
        buf_append(&exports, "\0\6r", 3);
        buf_format(&exports, "%05u", i);
        buf_append_byte(&exports, 3);
        put_u32(&exports, i);
        buf_append_byte(&exports, 0);
    }
    EXPECT_OK(load_sections(7, &type, 11, &exports, &error), error);
}

// An empty component, instantiated more often than anything real is.
TEST(very_many_instantiations_are_refused) {
    enum { INSTANTIATIONS = 20000 };
    struct error error;
    struct buf component = {0};
    put_header(&component);
    struct buf section = {0};
    put_u32(&section, INSTANTIATIONS);
    for (uint32_t i = 0; i < INSTANTIATIONS; i++) {
        buf_append(&section, "\0\0\0", 3);
    }
    EXPECT_U64(load_sections(4, &component, 5, &section, &error), ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "component instantiations");
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// docs/manifest.md against the tables that the reader works from: each key has its row, with the
// type, default and meaning that the tables give; and the examples there load.
#include "base/file.h"
#include "load.h"
#include "manifest/fields.h"

static struct bytes *page;  // with a NUL behind

static void write_size(struct buf *out, uint64_t value) {
    static const struct {
        uint64_t size;
        const char *name;
    } units[] = {{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}};
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (value >= units[i].size && value % units[i].size == 0) {
            buf_format(out, " (%llu %s)", (unsigned long long)(value / units[i].size),
                       units[i].name);
            return;
        }
    }
}

static void write_type(struct buf *out, const struct field *field) {
    switch (field->kind) {
        case FIELD_WORD:
        case FIELD_TEXT:
            buf_append_text(out, "string");
            break;
        case FIELD_FLAG:
            buf_append_text(out, "boolean");
            break;
        case FIELD_NUMBER:
        case FIELD_SEED:
            buf_format(out, "integer, %llu", (unsigned long long)field->least);
            if (field->most == INT64_MAX) {
                buf_append_text(out, " or more");
            } else {
                buf_format(out, " to %llu", (unsigned long long)field->most);
            }
            break;
        case FIELD_CHOICE:
            for (size_t i = 0; i < FIELD_CHOICES_MAX && field->choices[i] != NULL; i++) {
                buf_format(out, "%s`\"%s\"`", i == 0 ? "" : ", ", field->choices[i]);
            }
            break;
        case FIELD_LIST:
        case FIELD_BOUND:
            buf_append_text(out, "list of strings");
            break;
        case FIELD_NESTED:
        case FIELD_IGNORED:
            buf_append_text(out, field->items == ITEMS_TARGETS  ? "list of strings"
                                 : field->kind == FIELD_IGNORED ? "ignored"
                                                                : "see below");
            break;
    }
}

static void write_default(struct buf *out, const struct field *field) {
    bool number = field->kind == FIELD_NUMBER;
    if (field->required) {
        buf_append_text(out, "required");
    } else if (field->fallback_text != NULL) {
        buf_format(out, "`\"%s\"`", field->fallback_text);
    } else if (field->kind == FIELD_FLAG) {
        buf_append_text(out, field->fallback != 0 ? "`true`" : "`false`");
    } else if (field->kind == FIELD_CHOICE) {
        buf_format(out, "`\"%s\"`", field->choices[field->fallback]);
    } else if (number && field->fallback != UINT64_MAX) {
        buf_format(out, "%llu", (unsigned long long)field->fallback);
        write_size(out, field->fallback);
    }
}

static void expect_row(const struct field *field, const char *section) {
    struct buf row = {0};
    buf_format(&row, "| `%s` | ", field->key);
    write_type(&row, field);
    buf_append_text(&row, " | ");
    write_default(&row, field);
    buf_format(&row, " | %s |\n", field->about);
    if (strstr((const char *)page->data, buf_text(&row)) == NULL) {
        test_report("docs/manifest.md", 0, "%s lacks the row\n%s", section, buf_text(&row));
    }
    buf_release(&row);
}

static void expect_section(const struct section *section) {
    for (size_t i = 0; i < section->count; i++) {
        expect_row(&section->fields[i], section->name);
    }
}

TEST(each_key_has_its_row) {
    expect_section(&section_top);
    expect_section(&section_supervision);
    expect_section(&section_limits);
    for (size_t i = 0; i < HANDLER_TYPE_COUNT; i++) {
        char type[64];
        (void)snprintf(type, sizeof type, "`%s`", handler_rows[i].type);
        EXPECT_CONTAINS((const char *)page->data, type);
        expect_section(&handler_rows[i].section);
    }
    for (unsigned i = 0; i < PERMISSION_COUNT; i++) {
        char kind[64];
        (void)snprintf(kind, sizeof kind, "`%s`", permission_kind_name((enum permission_kind)i));
        EXPECT_CONTAINS((const char *)page->data, kind);
        expect_section(&policy_sections[i]);
    }
}

// Of a table: `key` | default | when | FILE: NAME |
static void expect_limit(const struct bytes *limits, const struct field *field) {
    struct buf row = {0};
    buf_format(&row, "| `%s` | ", field->key);
    write_default(&row, field);
    buf_append_text(&row, " | ");
    const char *at = strstr((const char *)limits->data, buf_text(&row));
    buf_release(&row);
    const char *end = at != NULL ? strchr(at, '\n') : NULL;
    char file[200] = "", test[200] = "";
    const char *name = end;
    while (name != NULL && name > at && strncmp(name, "| tests/", 8) != 0) {
        name--;
    }
    if (name == NULL || sscanf(name, "| %199[^:]: %199[a-z0-9_]", file, test) != 2) {
        test_report("docs/limits.md", 0, "%s has no row with its default and a test", field->key);
        return;
    }
    char path[500], definition[250];
    struct bytes *content = NULL;
    (void)snprintf(path, sizeof path, "%s/%s", SOURCE_FOLDER, file);
    bool is_python = strstr(file, ".py") != NULL;
    (void)snprintf(definition, sizeof definition, is_python ? "\ndef %s(t):" : "\nTEST(%s) {",
                   test);
    bool is_there = file_read(path, 1 << 20, &content, NULL) == OK &&
                    memmem(content->data, content->size, definition, strlen(definition)) != NULL;
    if (!is_there) {
        test_report("docs/limits.md", 0, "%s names a test that is not in %s: %s", field->key, file,
                    test);
    }
    bytes_unref(content);
}

TEST(each_limit_has_its_row_and_a_test) {
    struct error error = {0};
    struct bytes *content = NULL;
    REQUIRE_OK(file_read(SOURCE_FOLDER "/docs/limits.md", 1 << 20, &content, &error), error);
    struct bytes *limits = bytes_new(content->size + 1);
    memcpy(limits->data, content->data, content->size);
    limits->data[content->size] = '\0';
    for (size_t i = 0; i < section_limits.count; i++) {
        expect_limit(limits, &section_limits.fields[i]);
    }
    bytes_unref(limits);
    bytes_unref(content);
}

// The states that examples refer to.
static enum status read_state(void *context, const char *folder, const char *confined_to,
                              const char *reference, uint64_t limit_bytes, struct bytes **out,
                              struct error *error) {
    (void)context, (void)folder, (void)confined_to, (void)limit_bytes, (void)error;
    EXPECT_TEXT(reference, "state.json");
    *out = bytes_copy(slice_text("{}"));
    return OK;
}

TEST(the_examples_load_without_a_warning) {
    const struct manifest_resolver resolver = {.read = read_state};
    const char *at = (const char *)page->data, *open = "```toml\n";
    unsigned count = 0;
    while ((at = strstr(at, open)) != NULL) {
        at += strlen(open);
        const char *end = strstr(at, "```");
        REQUIRE(end != NULL);
        struct buf text = {0};
        buf_append(&text, at, (size_t)(end - at));
        struct loaded loaded =
            load_with(buf_text(&text), (struct manifest_options){.resolver = &resolver});
        EXPECT_OK(loaded.status, loaded.error);
        EXPECT_TEXT(buf_text(&loaded.warnings), "");
        drop(&loaded);
        buf_release(&text);
        at = end + 3;
        count++;
    }
    EXPECT(count >= 4);
}

int main(void) {
    struct error error = {0};
    struct bytes *content = NULL;
    if (file_read(SOURCE_FOLDER "/docs/manifest.md", 1 << 20, &content, &error) != OK) {
        fatal("%s", error.message);
    }
    page = bytes_new(content->size + 1);
    memcpy(page->data, content->data, content->size);
    page->data[content->size] = '\0';
    bytes_unref(content);
    int result = test_main();
    bytes_unref(page);
    return result;
}

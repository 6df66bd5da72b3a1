// SPDX-License-Identifier: Apache-2.0
// TOML: the tree with its positions, failures, bounds on nesting, and the scanner.
#include "codec/toml.h"

#include "codec/toml_scan.h"
#include "test.h"

static struct toml_document *parse(const char *text) {
    struct toml_failure failure;
    struct toml_document *document = toml_parse(text, strlen(text), &failure);
    if (document == NULL) {
        test_report(__FILE__, __LINE__, "%u:%u: %s", failure.line, failure.column, failure.message);
    }
    return document;
}

TEST(every_kind_of_value_has_its_place) {
    struct toml_document *document = parse(
        "z = \"caf\xC3\xA9\"\na = -5\n\n[t.u]\nr = 1.5\nb = true\nd = 2024-01-01\n"
        "l = [1, \"two\"]\n[[x]]\n[[x]]\ny = 1\n");
    REQUIRE(document != NULL);
    const struct toml_value *root = toml_root(document);
    EXPECT(root->kind == TOML_TABLE);
    EXPECT_U64(root->count, 4);
    EXPECT(root->entries[0].key_size == 1 && root->entries[0].key[0] == 'z');
    const struct toml_value *value = toml_find(root, "z");
    EXPECT(value->kind == TOML_STRING && value->text_size == 5);
    EXPECT_U64(value->line, 1);
    EXPECT_U64(value->column, 5);
    EXPECT_U64(value->end_line, 1);
    EXPECT_U64(value->end_column, 11);
    EXPECT(toml_find(root, "a")->integer == -5);
    const struct toml_value *inner = toml_find(toml_find(root, "t"), "u");
    EXPECT(toml_find(inner, "r")->kind == TOML_FLOAT && toml_find(inner, "r")->real == 1.5);
    EXPECT(toml_find(inner, "b")->kind == TOML_BOOLEAN && toml_find(inner, "b")->integer == 1);
    EXPECT(toml_find(inner, "d")->kind == TOML_DATE_TIME);
    const struct toml_value *list = toml_find(inner, "l");
    EXPECT(list->kind == TOML_ARRAY && list->count == 2);
    EXPECT_U64(list->items[1].column, 9);
    const struct toml_value *blocks = toml_find(root, "x");
    EXPECT(blocks->kind == TOML_ARRAY && blocks->count == 2);
    EXPECT_U64(blocks->items[1].line, 10);
    EXPECT(toml_find(root, "none") == NULL && toml_find(list, "none") == NULL);
    toml_free(document);
    toml_free(NULL);
}

TEST(failures_have_a_place) {
    static const char *const texts[] = {"a = 1\nb = \n",        "a = 1\na = 2\n",
                                        "x = 1\n[a\n",          "a = 1\nb = 99999999999999999999\n",
                                        "a = 1\nb = \"\\q\"\n", "a = 1\nb = \"open\n"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct toml_failure failure = {0};
        EXPECT(toml_parse(texts[i], strlen(texts[i]), &failure) == NULL);
        EXPECT(failure.line == 2 || failure.line == 3);
        EXPECT(failure.column > 0 && failure.message[0] != '\0');
    }
    struct toml_document *empty = parse("");
    EXPECT_U64(toml_root(empty)->count, 0);
    toml_free(empty);
}

TEST(nesting_is_bounded) {
    struct buf text = {0};
    struct toml_failure failure = {0};
    for (int depth = TOML_DEPTH_MAX; depth <= TOML_DEPTH_MAX + 1; depth++) {
        buf_clear(&text);
        buf_append_text(&text, "a = ");
        for (int i = 0; i < depth; i++) {
            buf_append_byte(&text, '[');
        }
        for (int i = 0; i < depth; i++) {
            buf_append_byte(&text, ']');
        }
        struct toml_document *document = toml_parse(buf_text(&text), text.size, &failure);
        EXPECT((document != NULL) == (depth == TOML_DEPTH_MAX));
        toml_free(document);
    }
    EXPECT_U64(failure.column, 5 + TOML_DEPTH_MAX);
    for (int parts = TOML_KEY_PARTS_MAX; parts <= TOML_KEY_PARTS_MAX + 1; parts++) {
        buf_clear(&text);
        for (int i = 0; i < parts; i++) {
            buf_append_text(&text, i == 0 ? "a" : i % 2 == 0 ? " . a" : ".\"b\"");
        }
        buf_append_text(&text,
                        " = [1.5, 2.5, 3.5, 4.5, 1.5, 2.5, 3.5, 4.5, 1.5, 2.5, 3.5, 4.5, "
                        "1.5, 2.5, 3.5, 4.5, 1.5, 2.5, 3.5, 4.5]\n");
        struct toml_document *document = toml_parse(buf_text(&text), text.size, &failure);
        EXPECT((document != NULL) == (parts == TOML_KEY_PARTS_MAX));
        toml_free(document);
    }
    buf_release(&text);
}

// Each byte of the text with the context it lies in: b, c, s, l, S, L.
static void expect_contexts(int line, const char *text, const char *wanted) {
    static const char letters[] = "bcslSL";
    struct toml_scan scan = {.text = text, .size = strlen(text)};
    char got[128] = {0};
    while (scan.at < scan.size) {
        size_t at = scan.at;
        char letter = letters[scan.context];
        toml_scan_step(&scan);
        memset(got + at, letter, scan.at - at);
    }
    if (strcmp(got, wanted) != 0) {
        test_report(__FILE__, line, "%s is %s, expected %s", text, got, wanted);
    }
}

TEST(the_scanner_knows_strings_and_comments) {
    expect_contexts(__LINE__, "a=\"x\\\"y\"#c\nb", "bbbsssssbccb");
    expect_contexts(__LINE__, "a='\\'b", "bbbllb");
    expect_contexts(__LINE__, "\"\"\"x\"y\"\"\"\"b", "bbbSSSSSSSb");
    expect_contexts(__LINE__, "'''\n''\\'''b", "bbbLLLLLLLb");
    expect_contexts(__LINE__, "\"\"b", "bsb");
    expect_contexts(__LINE__, "\"open\nb", "bsssssb");
    expect_contexts(__LINE__, "\"\\", "bs");
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// JSON: what is accepted, how it is written, and that errors tell the place and quote nothing.
#include "codec/json.h"
#include "test.h"

static void expect_written(int line, const char *text, const char *wanted) {
    json_t *value = NULL;
    struct error error = {0};
    if (json_parse(slice_text(text), &value, &error) != OK) {
        test_report(__FILE__, line, "%s: %s", text, error.message);
        return;
    }
    struct buf out = {0};
    json_write(value, &out);
    EXPECT_TEXT(buf_text(&out), wanted);
    buf_release(&out);
    json_decref(value);
}

TEST(values_are_written_in_their_shortest_form) {
    expect_written(__LINE__, " { \"b\" : 1 , \"a\" : [ true, null, -0.5 ] } ",
                   "{\"b\":1,\"a\":[true,null,-0.5]}");
    expect_written(__LINE__, "\"x\\u00e9\\n\"", "\"x\xC3\xA9\\n\"");
    expect_written(__LINE__, "9223372036854775807", "9223372036854775807");
    expect_written(__LINE__, "\"a\\u0000b\"", "\"a\\u0000b\"");
    expect_written(__LINE__, "1e100", "1e100");
}

TEST(errors_tell_line_and_column_and_quote_nothing) {
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "the text ends too early"},
        {"{\"hunter2\": 1, \"hunter2\": 2}", "a key appears twice"},
        {"hunter2", "line 1"},
        {"[1,\n hunter2]", "line 2"},
        {"1 hunter2", "something stands behind the value"},
        {"\"hunter2\xFF\"", "invalid UTF-8"},
        {"99999999999999999999", "out of range"},
        {"{\"hunter2\\u0000\": 1}", "NUL"},
        {"'hunter2'", "not JSON"},
        {"[1,]", "not JSON"},
        {"NaN", "not JSON"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *value = NULL;
        struct error error = {0};
        EXPECT(json_parse(slice_text(cases[i].text), &value, &error) == ERR_INVALID);
        EXPECT(value == NULL);
        EXPECT_CONTAINS(error.message, cases[i].part);
        EXPECT(strstr(error.message, "hunter2") == NULL);
    }
}

TEST(deep_nesting_is_an_error) {
    enum { DEEP = 100000 };
    char *text = xmalloc(DEEP);
    memset(text, '[', DEEP);
    json_t *value = NULL;
    struct error error = {0};
    EXPECT(json_parse(slice_of(text, DEEP), &value, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "in one another");
    free(text);
}

TEST(texts_are_escaped) {
    struct buf out = {0};
    json_write_text(slice_text("a\"\\\n\x7F\xC3\xA9"), &out);
    EXPECT_TEXT(buf_text(&out), "\"a\\\"\\\\\\u000a\\u007f\xC3\xA9\"");
    buf_release(&out);
}

int main(void) {
    return test_main();
}

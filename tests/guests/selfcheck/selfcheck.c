// SPDX-License-Identifier: Apache-2.0
// An actor that checks the helpers of theater.h from inside: any request is answered with the
// number of checks, or fails with the line of the first one that does not hold.
#include "theater.h"

static uint32_t checks;
static int first_failure;

static void check(bool holds, int line) {
    checks++;
    if (!holds && first_failure == 0) {
        first_failure = line;
    }
}
#define CHECK(condition) check(condition, __LINE__)
#define SAME(one, other) check(theater_text_equal(one, other), __LINE__)

static void check_text(void) {
    SAME(theater_text(0), "0");
    SAME(theater_text(-1), "-1");
    SAME(theater_text(INT64_MIN), "-9223372036854775808");
    SAME(theater_text(UINT64_MAX), "18446744073709551615");
    SAME(theater_text(true), "1");
    SAME(theater_join("a"), "a");
    SAME(theater_join("a", 1, "b", 2u, "c", (uint64_t)3, "d", -4, "e", 5, "f", 6), "a1b2c3d-4e5f6");
    SAME(theater_join("", THEATER_NONE, ""), "");
    CHECK(!theater_is_none(theater_join("")));
    CHECK(theater_text_equal("", THEATER_NONE));
    CHECK(!theater_text_equal("ab", "a"));
    CHECK(theater_starts_with("ab", "a") && theater_starts_with("ab", ""));
    CHECK(!theater_starts_with("a", "ab") && !theater_starts_with("ba", "a"));
    struct theater_bytes rest = theater_text("one  two");
    SAME(theater_word(&rest), "one");
    SAME(rest, "two");
    SAME(theater_word(&rest), "two");
    SAME(theater_word(&rest), "");
    CHECK(rest.size == 0);
}

static void check_numbers(void) {
    uint64_t number = 7;
    CHECK(!theater_parse_number(theater_text(""), &number) && number == 7);
    CHECK(!theater_parse_number(theater_text("1x"), &number) && number == 7);
    CHECK(!theater_parse_number(theater_text("-1"), &number) && number == 7);
    CHECK(!theater_parse_number(THEATER_NONE, &number) && number == 7);
    CHECK(theater_parse_number(theater_text("0"), &number) && number == 0);
    CHECK(theater_parse_number(theater_text("18446744073709551615"), &number));
    CHECK(number == UINT64_MAX);
    CHECK(!theater_parse_number(theater_text("18446744073709551616"), &number));
    CHECK(!theater_parse_number(theater_text("99999999999999999999"), &number));
}

static void check_json(void) {
    SAME(theater_json_field("{\"a\":\"x\"}", "a"), "x");
    SAME(theater_json_field(" { \"a\" : 12 , \"b\":true } ", "a"), "12");
    SAME(theater_json_field(" { \"a\" : 12 , \"b\":true } ", "b"), "true");
    SAME(theater_json_field("{\"a\":[1,{\"b\":\"]\"}],\"b\":2}", "b"), "2");
    SAME(theater_json_field("{\"a\":[1,{\"b\":\"]\"}],\"b\":2}", "a"), "[1,{\"b\":\"]\"}]");
    SAME(theater_json_field("{\"a\":{\"b\":1},\"b\":{}}", "b"), "{}");
    SAME(theater_json_field("{\"a\":\"q\\\"b\\\\\",\"b\":1}", "b"), "1");
    SAME(theater_json_field("{\"a\":\"q\\\"b\"}", "a"), "q\\\"b");
    SAME(theater_json_field("{\"a\":\"b\",\"b\":\"a\"}", "b"), "a");
    SAME(theater_json_field("{\"\":5}", ""), "5");
    CHECK(!theater_is_none(theater_json_field("{\"a\":\"\"}", "a")));
    CHECK(theater_is_none(theater_json_field("{\"a\":1}", "b")));
    CHECK(theater_is_none(theater_json_field("{}", "a")));
    CHECK(theater_is_none(theater_json_field(THEATER_NONE, "a")));
    // Damaged documents: any answer will do, as long as it lies inside the document.
    static const char *const damaged[] = {
        "{",    "{\"",      "{\"a", "{\"a\"", "{\"a\":",  "{\"a\":\"", "{\"a\":\"\\", "{\"a\":[[",
        "]}]}", "{\"a\":}", "\"",   "{,,,",   "{\"a\" 1", "{{{{\"a\"", "{\"a\":\"x"};
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        struct theater_bytes document = theater_text(damaged[i]);
        struct theater_bytes value = theater_json_field(document, "a");
        CHECK(theater_is_none(value) || (value.data >= document.data &&
                                         value.data + value.size <= document.data + document.size));
    }
    SAME(theater_json_string("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
    SAME(theater_json_string(""), "\"\"");
}

static void check_memory(void) {
    uint8_t *first = cabi_realloc(NULL, 0, 1, 3);
    first[0] = 1, first[2] = 3;
    uint8_t *grown = cabi_realloc(first, 3, 1, 100);
    CHECK(grown == first);
    uint8_t *next = cabi_realloc(NULL, 0, 8, 8);
    CHECK((uintptr_t)next % 8 == 0 && next >= grown + 100);
    uint8_t *moved = cabi_realloc(grown, 100, 1, 200);
    CHECK(moved >= next + 8 && moved[0] == 1 && moved[2] == 3);
    CHECK(cabi_realloc(NULL, 0, 4, 0) != NULL);
    uint8_t *large = theater_alloc(1 << 20);
    large[(1 << 20) - 1] = 1;
    CHECK((uintptr_t)large % 8 == 0);
}

struct pair {
    uint32_t one;
    uint64_t two;
};

static void check_state(void) {
    struct pair pair = {1, 2}, copy;
    struct theater_bytes stored = theater_store(&pair, sizeof pair);
    CHECK(theater_load(stored, &copy, sizeof copy) && copy.one == 1 && copy.two == 2);
    CHECK(!theater_load(THEATER_NONE, &copy, sizeof copy) && copy.one == 0 && copy.two == 0);
    stored.size--;
    CHECK(!theater_load(stored, &copy, sizeof copy));
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    return theater_ok(state);
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)request_id, (void)message;
    checks = 0;
    check_text();
    check_numbers();
    check_json();
    check_memory();
    check_state();
    if (first_failure != 0) {
        return theater_error("selfcheck.c, line ", first_failure, ": does not hold");
    }
    return theater_reply(state, theater_join(checks, " checks hold"));
}

THEATER_INIT(on_init);
THEATER_HANDLE_REQUEST(on_request);

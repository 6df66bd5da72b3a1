// SPDX-License-Identifier: Apache-2.0
// The grammar of names, and which names are too much alike.
#include "component/names.h"
#include "test.h"

TEST(names_that_follow_the_grammar) {
    static const struct {
        const char *name;
        enum name_kind kind;
    } GOOD[] = {
        {"a", NAME_PLAIN},
        {"a-b-c", NAME_PLAIN},
        {"A1-2-x", NAME_PLAIN},
        {"is-XML", NAME_PLAIN},
        {"[constructor]a", NAME_CONSTRUCTOR},
        {"[method]a-b.C", NAME_METHOD},
        {"[static]a.b", NAME_STATIC},
        {"wasi:http/handler", NAME_INTERFACE},
        {"wasi:http2-x/HANDLER-x@0.2.0", NAME_INTERFACE},
        {"a:b/c@1.2.3-rc.1", NAME_INTERFACE},
        {"a:b/c@1.2.3+build.007", NAME_INTERFACE},
        {"a:b/c@10.20.30-a-b.0.x+y-z", NAME_INTERFACE},
    };
    for (size_t i = 0; i < COUNT_OF(GOOD); i++) {
        struct extern_name parsed;
        const char *why = "";
        if (!name_parse(slice_text(GOOD[i].name), &parsed, &why)) {
            test_report(__FILE__, __LINE__, "%s %s", GOOD[i].name, why);
        }
        EXPECT_U64(parsed.kind, GOOD[i].kind);
    }
}

TEST(names_that_do_not) {
    static const char *const BAD[] = {
        "",
        "-",
        "a-",
        "-a",
        "a--b",
        "1a",
        "aB",
        "a_b",
        "a b",
        "a/b",
        "a@1.0.0",
        "[method]a",
        "[method]a.",
        "[method].a",
        "[method]a.b.c",
        "[static]1.a",
        "[constructor]",
        "[constructor]a.b",
        "[other]a",
        "a:b",
        "a:b/",
        ":b/c",
        "a:/c",
        "A:b/c",
        "a:B/c",
        "a:b:c/d",
        "a:b/c/d",
        "a:b/c@",
        "a:b/c@1",
        "a:b/c@1.0",
        "a:b/c@1.0.01",
        "a:b/c@1.0.x",
        "a:b/c@1.0.0-",
        "a:b/c@1.0.0-01",
        "a:b/c@1.0.0+",
        "a:b/c@1.0.0-a..b",
        "a:b/c@1.0.0-a_b",
        "a:b/c@1.0.0.0",
        "a:b/c@-1.0.0",
        "a:b/c@1.0.0+a+b",
    };
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        struct extern_name parsed;
        const char *why = NULL;
        if (name_parse(slice_text(BAD[i]), &parsed, &why)) {
            test_report(__FILE__, __LINE__, "accepted: '%s'", BAD[i]);
        }
        EXPECT(why != NULL);
    }
}

TEST(names_that_are_too_much_alike) {
    static const struct {
        const char *a;
        const char *b;
        bool same;
    } PAIRS[] = {
        {"foo", "FOO", true},
        {"foo-bar", "foo-BAR", true},
        {"foo", "foo-bar", false},
        {"[constructor]foo", "foo", false},
        {"[constructor]foo", "[constructor]FOO", true},
        {"[method]foo.bar", "[static]foo.BAR", true},
        {"[method]foo.foo", "foo", true},
        {"[static]foo-BAR.FOO-bar", "foo-bar", true},
        {"[method]foo.bar", "foo", false},
        {"[method]foo.bar", "bar", false},
        {"a:b/c", "a:b/C", true},
    };
    for (size_t i = 0; i < COUNT_OF(PAIRS); i++) {
        struct buf a = {0};
        struct buf b = {0};
        name_key(slice_text(PAIRS[i].a), &a);
        name_key(slice_text(PAIRS[i].b), &b);
        if (slice_equal(buf_slice(&a), buf_slice(&b)) != PAIRS[i].same) {
            test_report(__FILE__, __LINE__, "%s, %s", PAIRS[i].a, PAIRS[i].b);
        }
        buf_release(&a);
        buf_release(&b);
    }
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// Addresses: their normal form, relative references, and what is refused.
#include "io/url.h"

#include "test.h"

static void expect_url(int line, const char *text, const char *wanted) {
    struct io_url url;
    struct error error = {0};
    if (io_url_parse(slice_text(text), &url, &error) != OK) {
        test_report(__FILE__, line, "%s: %s", text, error.message);
        return;
    }
    if (strcmp(url.text, wanted) != 0) {
        test_report(__FILE__, line, "%s: got %s, wanted %s", text, url.text, wanted);
    }
    io_url_release(&url);
}

static void expect_refused(int line, struct slice text, const char *why) {
    struct io_url url;
    struct error error = {0};
    if (io_url_parse(text, &url, &error) == OK) {
        test_report(__FILE__, line, "%.*s: got %s", (int)text.size, (const char *)text.data,
                    url.text);
        io_url_release(&url);
    } else if (error.code != ERR_INVALID || strstr(error.message, why) == NULL) {
        test_report(__FILE__, line, "%.*s: %s", (int)text.size, (const char *)text.data,
                    error.message);
    }
}

static void expect_resolved(int line, const char *reference, const char *wanted) {
    struct io_url base, url;
    struct error error = {0};
    REQUIRE_OK(io_url_parse(slice_text("http://a/b/c/d;p?q"), &base, &error), error);
    if (io_url_resolve(&base, slice_text(reference), &url, &error) != OK) {
        test_report(__FILE__, line, "%s: %s", reference, error.message);
    } else {
        if (strcmp(url.text, wanted) != 0) {
            test_report(__FILE__, line, "%s: got %s, wanted %s", reference, url.text, wanted);
        }
        io_url_release(&url);
    }
    io_url_release(&base);
}

TEST(normal_forms) {
    expect_url(__LINE__, "https://example.com", "https://example.com/");
    expect_url(__LINE__, "HTTPS://Example.COM:443/A?B#c", "https://example.com/A?B");
    expect_url(__LINE__, "http://example.com:80/", "http://example.com/");
    expect_url(__LINE__, "http://example.com:443", "http://example.com:443/");
    expect_url(__LINE__, "http://example.com:/x", "http://example.com/x");
    expect_url(__LINE__, "http://Example.com./x", "http://example.com/x");
    expect_url(__LINE__, "http://h?x=1", "http://h/?x=1");
    expect_url(__LINE__, "http://h#x", "http://h/");
    expect_url(__LINE__, " http://h/x ", "http://h/x");
    expect_url(__LINE__, "http://[0:0::1]:8080/", "http://[::1]:8080/");
    expect_url(__LINE__, "http://127.0.0.1:0080/", "http://127.0.0.1/");
    expect_url(__LINE__, "http://h/a/./b/../../c", "http://h/c");
    expect_url(__LINE__, "http://h/a/b/..", "http://h/a/");
    expect_url(__LINE__, "http://h/../../x/.", "http://h/x/");
    expect_url(__LINE__, "http://h/a//b", "http://h/a//b");
    expect_url(__LINE__, "http://h/..?../..", "http://h/?../..");
    expect_url(__LINE__, "http://h/%2e%2E/x", "http://h/%2e%2E/x");
    expect_url(__LINE__, "http://h/a b\"<\\>\xc3\xa9?\xc3\xa9",
               "http://h/a%20b%22%3C%5C%3E%C3%A9?%C3%A9");
}

TEST(parts) {
    struct io_url url, other;
    struct error error = {0};
    REQUIRE_OK(io_url_parse(slice_text("http://[::1]:81/p?q"), &url, &error), error);
    EXPECT(slice_equal_text(url.host, "[::1]") && slice_equal_text(url.origin, "http://[::1]:81"));
    EXPECT(slice_equal_text(url.target, "/p?q") && url.port == 81 && !url.is_https);
    REQUIRE_OK(io_url_parse(slice_text("http://[0::1]:81/else"), &other, &error), error);
    EXPECT(io_url_same_origin(&url, &other));
    io_url_release(&other);
    REQUIRE_OK(io_url_parse(slice_text("https://[::1]:81/p?q"), &other, &error), error);
    EXPECT(!io_url_same_origin(&url, &other));
    io_url_release(&other);
    io_url_release(&url);
}

TEST(what_is_refused) {
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "must begin"},
        {"example.com/x", "must begin"},
        {"//example.com/x", "must begin"},
        {"http:example.com", "must begin"},
        {"http:/example.com", "must begin"},
        {"file:///etc/passwd", "scheme"},
        {"gopher://h/", "scheme"},
        {"ftp://h/", "scheme"},
        {"https:///x", "no host"},
        {"http://:80/", "no host"},
        {"http://user@h/", "user name"},
        {"http://user:secret@h/", "user name"},
        {"http://allowed.example@evil.example/", "user name"},
        {"http://allowed.example\\@evil.example/", "user name"},
        {"http://evil.example\\.allowed.example/", "character"},
        {"http://a%2eb/", "character"},
        {"http://a b/", "character"},
        {"http://a..b/", "no name"},
        {"http://.a/", "no name"},
        {"http://a../", "no name"},
        {"http://./", "no name"},
        {"http://\xc3\xa9/", "xn--"},
        {"http://h:65536/", "port"},
        {"http://h:99999999999999999999/", "port"},
        {"http://h:0/", "port"},
        {"http://h:-1/", "port"},
        {"http://h:80:90/", "port"},
        {"http://[::1/", "IPv6"},
        {"http://[::1]x/", "IPv6"},
        {"http://[::1%25lo]/", "IPv6"},
        {"http://[fe80::1::2]/", "IPv6"},
        {"http://[]/", "IPv6"},
        {"http://[/", "IPv6"},
        {"http://h/a\r\nX: y", "control"},
        {"http://h/a\x7f", "control"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect_refused(__LINE__, slice_text(rows[i].text), rows[i].why);
    }
    expect_refused(__LINE__, slice_of("http://h/\0x", 11), "control");
    struct buf text = {0};
    buf_append_text(&text, "http://");
    for (int i = 0; i < 64; i++) {
        buf_append_text(&text, "a");
    }
    expect_refused(__LINE__, buf_slice(&text), "no name");
    for (int i = 0; i < 100; i++) {
        buf_append_text(&text, "a.bc");
    }
    text.size = 7;
    for (int i = 0; i < 100; i++) {
        buf_append_text(&text, "a.b");
    }
    expect_refused(__LINE__, buf_slice(&text), "too long");
    // Short enough as it is, too long once it is encoded.
    text.size = 7;
    buf_append_text(&text, "h/");
    for (int i = 0; i < IO_URL_MOST_BYTES / 2; i++) {
        buf_append_text(&text, "\"");
    }
    expect_refused(__LINE__, buf_slice(&text), "too long");
    buf_release(&text);
}

TEST(references_resolve_as_the_specification_says) {
    static const char *const rows[][2] = {
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g/"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},
        {";x", "http://a/b/c/;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"https://h:8443/x", "https://h:8443/x"},
        {"//g:81?x", "http://g:81/?x"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect_resolved(__LINE__, rows[i][0], rows[i][1]);
    }
    struct io_url base, url;
    struct error error = {0};
    REQUIRE_OK(io_url_parse(slice_text("https://a"), &base, &error), error);
    EXPECT(io_url_resolve(&base, slice_text("javascript:alert(1)"), &url, &error) == ERR_INVALID);
    error_clear(&error);
    EXPECT(io_url_resolve(&base, slice_text("//u@b/"), &url, &error) == ERR_INVALID);
    error_clear(&error);
    EXPECT(io_url_resolve(&base, slice_text("/a\nb"), &url, &error) == ERR_INVALID);
    io_url_release(&base);
}

int main(void) {
    return test_main();
}

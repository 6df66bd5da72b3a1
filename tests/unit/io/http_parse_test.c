// SPDX-License-Identifier: Apache-2.0
// Requests: what is accepted, what is refused and how, and that it makes no difference in which
// pieces the bytes arrive.
#include "io/http_parse.h"

#include <stdlib.h>

#include "test.h"

static const struct http_limits limits = {.head_bytes = 512, .header_count = 8, .body_bytes = 64};

#define HOST "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST

// Feeds in pieces of `piece` bytes. The status of the refusal, 0 when nothing was refused; what was
// accepted is appended to `seen` as "METHOD target [body]\n".
static uint16_t feed(const char *text, size_t size, size_t piece, struct buf *seen) {
    struct http_parser *parser = http_parser_new(&limits);
    uint16_t refusal = 0;
    size_t at = 0;
    while (at < size && refusal == 0) {
        size_t used = 0;
        size_t now = size - at < piece ? size - at : piece;
        // In memory of its own, so that the sanitizer sees reads beyond it.
        struct bytes *copy = bytes_copy(slice_of(text + at, now));
        enum http_parse_outcome outcome = http_parser_feed(parser, bytes_slice(copy), &used);
        bytes_unref(copy);
        EXPECT(used <= now);
        at += used;
        if (outcome == HTTP_PARSE_BAD) {
            const char *why;
            refusal = http_parser_refusal(parser, &why);
            EXPECT(why != NULL);
        } else if (outcome == HTTP_PARSE_REQUEST) {
            struct http_request *request = http_parser_take(parser);
            buf_append_slice(seen, request->method);
            buf_append_text(seen, " ");
            buf_append_slice(seen, request->target);
            buf_append_text(seen, " [");
            buf_append_slice(seen, request->body);
            buf_append_text(seen, request->keeps_alive ? "]\n" : "] closes\n");
            http_request_free(request);
        } else {
            EXPECT_U64(used, now);
        }
    }
    http_parser_free(parser);
    return refusal;
}

static const struct {
    const char *text;
    uint16_t refusal;
    const char *seen;
} table[] = {
    {GET "\r\n", 0, "GET / []\n"},
    {"\r\n" GET "\r\n", 0, "GET / []\n"},
    {"\r\n\r\n" GET "\r\n", 400, ""},
    {"GET /a?b=c%20d HTTP/1.0\r\n\r\n", 0, "GET /a?b=c%20d [] closes\n"},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0, "GET / []\n"},
    {GET "Connection: x, Close\r\n\r\n", 0, "GET / [] closes\n"},
    {GET "\r\n" GET "\r\n", 0, "GET / []\nGET / []\n"},
    {"POST /p HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc" GET "\r\n", 0,
     "POST /p [abc]\nGET / []\n"},
    {"POST /p HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n" GET "\r\n", 0,
     "POST /p []\nGET / []\n"},
    {"POST /p HTTP/1.1\r\n" HOST
     "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n" GET "\r\n",
     0, "POST /p [abcdefg]\nGET / []\n"},
    {"POST /p HTTP/1.1\r\n" HOST
     "Transfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\nTrailer: x\r\n\r\n" GET "\r\n",
     0, "POST /p [a]\nGET / []\n"},
    {"GET http://a/b HTTP/1.1\r\n" HOST "\r\n", 0, "GET /b []\n"},
    {"GET http://a HTTP/1.1\r\n" HOST "\r\n", 0, "GET / []\n"},
    {"GET http://b/ HTTP/1.1\r\n" HOST "\r\n", 400, ""},
    {"GET http:///b HTTP/1.0\r\n\r\n", 400, ""},
    {"GET http://b/ HTTP/1.0\r\n\r\n", 400, ""},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0, "OPTIONS * []\n"},
    {"PROPFIND /dav HTTP/1.1\r\n" HOST "\r\n", 0, "PROPFIND /dav []\n"},
    // An upgrade that nobody takes is a request like any other.
    {GET "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" GET "\r\n", 0, "GET / []\nGET / []\n"},
    // Request lines.
    {"GET /\r\n\r\n", 400, ""},
    {"GET  / HTTP/1.1\r\n" HOST "\r\n", 400, ""},
    {"GET / HTTP/1.1 \r\n" HOST "\r\n", 400, ""},
    {"GET / HTTP/1.9\r\n" HOST "\r\n", 505, ""},
    {"GET / HTTP/2.0\r\n" HOST "\r\n", 505, ""},
    {"GET / http/1.1\r\n" HOST "\r\n", 400, ""},
    {"GET / HTTP/1.10\r\n" HOST "\r\n", 400, ""},
    {"get / HTTP/1.1\r\n" HOST "\r\n", 501, ""},
    {"BREW / HTTP/1.1\r\n" HOST "\r\n", 501, ""},
    {"GET a HTTP/1.1\r\n" HOST "\r\n", 400, ""},
    {"GET * HTTP/1.1\r\n" HOST "\r\n", 400, ""},
    {"GET /#a HTTP/1.1\r\n" HOST "\r\n", 400, ""},
    {"GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", 400, ""},
    {"GET /a\x01 HTTP/1.1\r\n" HOST "\r\n", 400, ""},
    {"CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", 501, ""},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, ""},
    {"\x16\x03\x01\x02\n", 400, ""},
    // Lines and fields.
    {"GET / HTTP/1.1\n" HOST "\n", 400, ""},
    {"GET / HTTP/1.1\r\nHost: a\n\r\n", 400, ""},
    {"GET / HTTP/1.1\r\nHost: a\r\rb: c\r\n\r\n", 400, ""},
    {GET "X : y\r\n\r\n", 400, ""},
    {GET " X: y\r\n\r\n", 400, ""},
    {GET "X: y\r\n z\r\n\r\n", 400, ""},
    {GET "X: y\r\n\tz\r\n\r\n", 400, ""},
    {GET ": y\r\n\r\n", 400, ""},
    {GET "X\r\n\r\n", 400, ""},
    {GET "X y: z\r\n\r\n", 400, ""},
    {GET "X: a\x07\r\n\r\n", 400, ""},
    {"GET / HTTP/1.1\r\n\r\n", 400, ""},
    {GET HOST "\r\n", 400, ""},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, ""},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, ""},
    {GET "a:1\r\nb:1\r\nc:1\r\nd:1\r\ne:1\r\nf:1\r\ng:1\r\nh:1\r\n\r\n", 431, ""},
    {GET "Expect: miracles\r\n\r\n", 417, ""},
    // How long the body is: where smuggling happens.
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, ""},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400, ""},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\nabc", 400, ""},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\nabc", 400, ""},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: -3\r\n\r\nabc", 400, ""},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0x3\r\n\r\nabc", 400, ""},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3 3\r\n\r\nabc", 400, ""},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\nabc", 400, ""},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n", 400, ""},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 65\r\n\r\n", 413, ""},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400, ""},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400, ""},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
     400, ""},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n", 400, ""},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, ""},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", 501, ""},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n", 400, ""},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""},
#define CHUNKED "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
    {CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", 400, ""},
    {CHUNKED "+3\r\nabc\r\n0\r\n\r\n", 400, ""},
    {CHUNKED "-3\r\nabc\r\n0\r\n\r\n", 400, ""},
    {CHUNKED "3\nabc\r\n0\r\n\r\n", 400, ""},
    {CHUNKED "3\r\nabc0\r\n\r\n", 400, ""},
    {CHUNKED "3\r\nabcd\r\n0\r\n\r\n", 400, ""},
    {CHUNKED "fffffffffffffffff\r\n", 400, ""},
    {CHUNKED "\r\nabc\r\n0\r\n\r\n", 400, ""},
    {CHUNKED "3;a\nabc\r\n0\r\n\r\n", 400, ""},
    {CHUNKED "41\r\n0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
     413, ""},
};

TEST(requests_are_accepted_or_refused_whatever_pieces_they_come_in) {
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        size_t size = strlen(table[i].text);
        for (size_t piece = 1; piece <= size; piece++) {
            struct buf seen = {0};
            uint16_t refusal = feed(table[i].text, size, piece, &seen);
            if (refusal != table[i].refusal || strcmp(buf_text(&seen), table[i].seen) != 0) {
                fprintf(stderr, "row %zu, pieces of %zu:\n%s\n", i, piece, table[i].text);
            }
            REQUIRE(refusal == table[i].refusal);
            REQUIRE(strcmp(buf_text(&seen), table[i].seen) == 0);
            buf_release(&seen);
        }
    }
}

TEST(what_is_too_long_is_refused_before_it_ends) {
    char text[1024];
    struct buf seen = {0};
    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    EXPECT_U64(feed(text, sizeof text, 100, &seen), 414);
    memcpy(text, GET "X:", sizeof GET + 1);
    EXPECT_U64(feed(text, sizeof text, 100, &seen), 431);
    static const char nul[] = "GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n";
    EXPECT_U64(feed(nul, sizeof nul - 1, sizeof nul, &seen), 400);
    EXPECT_U64(seen.size, 0);
    buf_release(&seen);
}

static struct http_request *parse(const char *text) {
    struct http_parser *parser = http_parser_new(&limits);
    size_t used = 0;
    REQUIRE(http_parser_feed(parser, slice_text(text), &used) == HTTP_PARSE_REQUEST);
    struct http_request *request = http_parser_take(parser);
    http_parser_free(parser);
    return request;
}

TEST(header_fields_are_trimmed_in_lower_case_and_utf8) {
    struct http_request *request = parse(
        "HEAD / HTTP/1.1\r\nHOST:a\r\nX-Name: \t caf\xe9 \t\r\nY: caf\xc3\xa9\r\nZ:\r\n"
        "Connection: keep-alive, UPGRADE\r\nUpgrade: websocket\r\n\r\n");
    EXPECT_U64(request->header_count, 6);
    EXPECT(slice_equal_text(request->headers[0].name, "host"));
    EXPECT(slice_equal_text(http_request_header(request, "x-name"), "caf\xc3\xa9"));
    EXPECT(slice_equal_text(http_request_header(request, "y"), "caf\xc3\xa9"));
    EXPECT_U64(http_request_header(request, "z").size, 0);
    EXPECT(http_request_header(request, "absent").data == NULL);
    EXPECT(request->is_head && request->is_upgrade && request->keeps_alive);
    EXPECT(!request->has_body);
    http_request_free(request);
}

TEST(a_client_may_ask_before_it_sends_a_body) {
    struct http_parser *parser = http_parser_new(&limits);
    size_t used = 0;
    const char *head =
        "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    EXPECT(http_parser_feed(parser, slice_text(head), &used) == HTTP_PARSE_CONTINUE);
    EXPECT(http_parser_state(parser) == HTTP_PARSE_BODY);
    EXPECT(http_parser_feed(parser, slice_text("ab"), &used) == HTTP_PARSE_REQUEST);
    http_request_free(http_parser_take(parser));
    EXPECT(http_parser_state(parser) == HTTP_PARSE_IDLE);
    http_parser_free(parser);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// Responses as they are written, and what an application may not put into them.
#include "io/http_response.h"

#include "test.h"

static enum status add(struct http_response *response, const char *name, const char *value) {
    return http_response_add(response, slice_text(name), slice_text(value), NULL);
}

static struct bytes *body(const char *text) {
    return bytes_copy(slice_text(text));
}

static void expect(struct http_response *response, bool is_head, uint8_t minor, bool keeps_alive,
                   const char *wanted) {
    struct http_response_parts parts = {0};
    struct http_response_frame frame = {
        .is_head = is_head, .minor_version = minor, .keeps_alive = keeps_alive, .date = "D"};
    http_response_frame(response, &frame, &parts);
    struct buf whole = {0};
    buf_append_slice(&whole, buf_slice(&parts.head));
    buf_append_slice(&whole, buf_slice(&response->fields));
    buf_append_slice(&whole, parts.after_fields);
    buf_append_slice(&whole, bytes_slice(parts.body));
    buf_append_slice(&whole, parts.after_body);
    EXPECT_TEXT(buf_text(&whole), wanted);
    EXPECT(parts.keeps_alive == (strstr(wanted, "Connection: close") == NULL));
    buf_release(&whole);
    buf_release(&parts.head);
}

TEST(an_answer_has_its_length_and_the_date) {
    struct http_response response = {.status = 200, .body = body("hello")};
    EXPECT(add(&response, "Content-Type", "text/plain") == OK);
    const char *head =
        "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 5\r\nContent-Type: text/plain"
        "\r\n\r\n";
    expect(&response, true, 1, true, head);
    expect(&response, false, 1, true,
           "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\n"
           "hello");
    expect(&response, false, 0, true,
           "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 5\r\nConnection: keep-alive\r\n"
           "Content-Type: text/plain\r\n\r\nhello");
    expect(&response, false, 1, false,
           "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 5\r\nConnection: close\r\n"
           "Content-Type: text/plain\r\n\r\nhello");
    response.status = 204;
    expect(&response, false, 1, true,
           "HTTP/1.1 204 No Content\r\nDate: D\r\nContent-Type: text/plain\r\n\r\n");
    http_response_release(&response);
}

TEST(what_concerns_the_connection_is_the_servers) {
    struct http_response response = {.status = 200};
    EXPECT(add(&response, "content-length", "77") == OK);
    EXPECT(add(&response, "Connection", "close") == OK);
    EXPECT(add(&response, "KEEP-ALIVE", "x") == OK);
    EXPECT(add(&response, "Date", "yesterday") == OK);
    EXPECT(add(&response, "Upgrade", "x") == OK);
    EXPECT_U64(response.fields.size, 0);
    expect(&response, false, 1, true,
           "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    expect(&response, true, 1, true,
           "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 77\r\nConnection: close\r\n\r\n");
    http_response_release(&response);
}

TEST(an_application_may_ask_for_chunks) {
    struct http_response response = {.status = 200, .body = body("0123456789abcdef!")};
    EXPECT(add(&response, "Transfer-Encoding", "chunked") == OK);
    expect(&response, false, 1, true,
           "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n"
           "0123456789abcdef!\r\n0\r\n\r\n");
    expect(&response, false, 0, false,
           "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 17\r\nConnection: close\r\n\r\n"
           "0123456789abcdef!");
    bytes_unref(response.body);
    response.body = NULL;
    expect(&response, false, 1, true,
           "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    http_response_release(&response);
}

TEST(nothing_breaks_out_of_a_header_field) {
    struct http_response response = {.status = 200};
    EXPECT(add(&response, "X", "a\r\nSet-Cookie: b") == ERR_INVALID);
    EXPECT(add(&response, "X", "a\nb") == ERR_INVALID);
    EXPECT(http_response_add(&response, slice_text("X"), slice_of("a\0b", 3), NULL) == ERR_INVALID);
    EXPECT(add(&response, "X\r\nY", "a") == ERR_INVALID);
    EXPECT(add(&response, "X Y", "a") == ERR_INVALID);
    EXPECT(add(&response, "X:", "a") == ERR_INVALID);
    EXPECT(add(&response, "", "a") == ERR_INVALID);
    EXPECT_U64(response.fields.size, 0);
    EXPECT(add(&response, "X", "caf\xc3\xa9\tand more") == OK);
    struct bytes *large = bytes_new(HTTP_RESPONSE_FIELDS_MOST_BYTES);
    memset(large->data, 'a', large->size);
    EXPECT(http_response_add(&response, slice_text("Y"), bytes_slice(large), NULL) == ERR_LIMIT);
    bytes_unref(large);
    http_response_release(&response);
}

int main(void) {
    return test_main();
}

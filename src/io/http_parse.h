// SPDX-License-Identifier: Apache-2.0
// From bytes to HTTP/1.x requests, strictly: what two parties might read differently is refused, so
// that nobody can smuggle a request past a proxy in front.
//
// Beyond what the parser (llhttp, strict) refuses: line ends other than CR LF, folded header
// fields, any control character, fields without a name, more than one Content-Length or
// Transfer-Encoding or Host, both of the first two together, any coding but chunked,
// Transfer-Encoding in HTTP/1.0, a missing Host in HTTP/1.1, versions other than 1.0 and 1.1,
// targets of unknown form.
//
// Pure: no sockets and no clock. One parser belongs to one thread at a time.
#ifndef IO_HTTP_PARSE_H
#define IO_HTTP_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct http_limits {
    uint32_t head_bytes;    // request line and header fields; trailers have the same
    uint32_t header_count;  // header fields
    uint64_t body_bytes;    // after the chunks were put together
};

struct http_header {
    struct slice name;   // lower case
    struct slice value;  // without the spaces around; UTF-8 (what is not, was read as Latin-1)
};

// One request. Its texts live as long as it does.
struct http_request {
    struct slice method;  // "GET", upper case
    struct slice target;  // path and query as sent, beginning with '/'; or "*"
    uint32_t header_count;
    const struct http_header *headers;  // in their order, all that were sent
    bool has_body;                      // a length above 0, or chunks, were announced
    struct slice body;
    uint8_t minor_version;  // 0 or 1
    bool keeps_alive;       // the connection may be used again
    bool is_upgrade;        // asks for another protocol (Upgrade and Connection: upgrade)
    bool is_head;           // the answer has no body
};
void http_request_free(struct http_request *request);  // NULL is fine
// The value of the first header field of that name (lower case); data is NULL when there is none.
struct slice http_request_header(const struct http_request *request, const char *name);
// Whether a field that is a list separated by commas holds the word, in any case.
bool http_list_has(struct slice list, const char *word);
// Memory that it takes, in bytes.
uint64_t http_request_size(const struct http_request *request);

struct http_parser;
// `limits` is borrowed as long as the parser lives.
struct http_parser *http_parser_new(const struct http_limits *limits);
void http_parser_free(struct http_parser *parser);

enum http_parse_outcome {
    HTTP_PARSE_MORE,      // all bytes were used, and the request is not at its end
    HTTP_PARSE_CONTINUE,  // the same, and the client waits for 100 Continue before it sends a body
    HTTP_PARSE_REQUEST,   // a request is complete: http_parser_take
    HTTP_PARSE_BAD,       // refused: http_parser_refusal; the parser takes nothing more
};
// Reads on. Writes how many bytes were used: those after a complete request are for the next call.
enum http_parse_outcome http_parser_feed(struct http_parser *parser, struct slice content,
                                         size_t *used);
// Gives the complete request; the parser begins the next one.
struct http_request *http_parser_take(struct http_parser *parser);
// The status to answer with, and a sentence that says what was wrong.
uint16_t http_parser_refusal(const struct http_parser *parser, const char **text);
// Where it stands: nothing of a request has come yet; header fields; or the body.
enum http_parse_state { HTTP_PARSE_IDLE, HTTP_PARSE_HEAD, HTTP_PARSE_BODY, HTTP_PARSE_STOPPED };
enum http_parse_state http_parser_state(const struct http_parser *parser);
// What the unfinished request holds, in bytes, and how many bytes of body came, chunk sizes
// included.
uint64_t http_parser_held(const struct http_parser *parser);
uint64_t http_parser_body_received(const struct http_parser *parser);

#endif

// SPDX-License-Identifier: Apache-2.0
// From an application's answer to the bytes of an HTTP/1.1 response (RFC 9110, 9112). What concerns
// the connection is the server's: fields that an application has no say in are left out, and what
// could break out of a header field is refused.
//
// Pure. One response belongs to one thread at a time.
#ifndef IO_HTTP_RESPONSE_H
#define IO_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

// Zero-initialised but for `status` is right: an answer without a body.
struct http_response {
    uint16_t status;     // 200 to 599
    struct buf fields;   // owned: header fields as sent; filled by http_response_add
    struct bytes *body;  // owned; NULL: none
    bool is_chunked;     // the application asked for chunks by Transfer-Encoding
    bool closes;         // it asked for Connection: close
    bool has_length;     // it gave a Content-Length, which counts where no body is sent (HEAD)
    uint64_t length;
};
void http_response_release(struct http_response *response);

enum { HTTP_RESPONSE_FIELDS_MOST_BYTES = 256 * 1024 };
// Adds a header field. Connection, Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding,
// Upgrade, Content-Length and Date are the server's own: they are taken note of (see above) or left
// out. ERR_INVALID: the name is no token, or the value holds a control character; ERR_LIMIT: the
// fields are over their limit together.
enum status http_response_add(struct http_response *response, struct slice name, struct slice value,
                              struct error *error) MUST_CHECK;
// An answer of the server's own, with a short text as its body. `response` is released first.
void http_response_set_text(struct http_response *response, uint16_t status, const char *text);
// The usual phrase for a status, "" if there is none. Static storage.
const char *http_reason(uint16_t status);

// How the request wants it.
struct http_response_frame {
    bool is_head;           // no body, but its length
    uint8_t minor_version;  // of the request
    bool keeps_alive;       // as the server decided; `closes` of the response counts too
    const char *date;       // "Sun, 06 Nov 1994 08:49:37 GMT"
};
// What is to be written, in this order: head, fields, after_fields, body, after_body.
struct http_response_parts {
    struct buf
        head;  // cleared, then filled: status line and the server's own fields; give it again
    struct slice after_fields;
    char size_text[32];       // what after_fields may point to
    struct bytes *body;       // NULL: none is sent; borrowed from the response
    struct slice after_body;  // the end of a chunked body
    bool keeps_alive;         // whether the connection may be used again
};
void http_response_frame(const struct http_response *response,
                         const struct http_response_frame *frame,
                         struct http_response_parts *parts);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "io/http_response.h"

#include <stdio.h>

#include "io/http_field.h"
#include "io/http_parse.h"

void http_response_release(struct http_response *response) {
    buf_release(&response->fields);
    bytes_unref(response->body);
    *response = (struct http_response){0};
}

const char *http_reason(uint16_t status) {
    static const struct {
        uint16_t status;
        const char *reason;
    } reasons[] = {{200, "OK"},
                   {201, "Created"},
                   {202, "Accepted"},
                   {203, "Non-Authoritative Information"},
                   {204, "No Content"},
                   {205, "Reset Content"},
                   {206, "Partial Content"},
                   {207, "Multi-Status"},
                   {300, "Multiple Choices"},
                   {301, "Moved Permanently"},
                   {302, "Found"},
                   {303, "See Other"},
                   {304, "Not Modified"},
                   {307, "Temporary Redirect"},
                   {308, "Permanent Redirect"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {402, "Payment Required"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {406, "Not Acceptable"},
                   {408, "Request Timeout"},
                   {409, "Conflict"},
                   {410, "Gone"},
                   {411, "Length Required"},
                   {412, "Precondition Failed"},
                   {413, "Content Too Large"},
                   {414, "URI Too Long"},
                   {415, "Unsupported Media Type"},
                   {416, "Range Not Satisfiable"},
                   {417, "Expectation Failed"},
                   {418, "I'm a teapot"},
                   {421, "Misdirected Request"},
                   {422, "Unprocessable Content"},
                   {423, "Locked"},
                   {424, "Failed Dependency"},
                   {426, "Upgrade Required"},
                   {428, "Precondition Required"},
                   {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"},
                   {451, "Unavailable For Legal Reasons"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {502, "Bad Gateway"},
                   {503, "Service Unavailable"},
                   {504, "Gateway Timeout"},
                   {505, "HTTP Version Not Supported"},
                   {507, "Insufficient Storage"}};
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "";
}

static void note_length(struct http_response *response, struct slice value) {
    uint64_t length = 0;
    bool is_number = value.size > 0 && value.size <= 18;
    for (size_t i = 0; is_number && i < value.size; i++) {
        is_number = value.data[i] >= '0' && value.data[i] <= '9';
        length = length * 10 + (uint64_t)(value.data[i] - '0');
    }
    response->has_length = is_number;
    response->length = is_number ? length : 0;
}

// True: the field is the server's own, and what it says was taken note of.
static bool is_own(struct http_response *response, struct slice name, struct slice value) {
    static const char *const dropped[] = {"keep-alive", "proxy-connection", "te",
                                          "trailer",    "upgrade",          "date"};
    if (slice_equal_any_case(name, "content-length")) {
        note_length(response, value);
        return true;
    }
    if (slice_equal_any_case(name, "transfer-encoding")) {
        response->is_chunked = http_list_has(value, "chunked");
        return true;
    }
    if (slice_equal_any_case(name, "connection")) {
        response->closes |= http_list_has(value, "close");
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(dropped); i++) {
        if (slice_equal_any_case(name, dropped[i])) {
            return true;
        }
    }
    return false;
}

enum status http_response_add(struct http_response *response, struct slice name, struct slice value,
                              struct error *error) {
    if (!io_http_is_token(name)) {
        return error_set(error, ERR_INVALID,
                         "the name of a header field of the answer is no token");
    }
    if (!io_http_is_value(value)) {
        return error_set(error, ERR_INVALID,
                         "the header field %.*s of the answer has a control character in its value",
                         (int)(name.size < 64 ? name.size : 64), (const char *)name.data);
    }
    if (name.size + value.size + 4 > HTTP_RESPONSE_FIELDS_MOST_BYTES - response->fields.size) {
        return error_set(error, ERR_LIMIT, "the header fields of the answer are over %d bytes",
                         HTTP_RESPONSE_FIELDS_MOST_BYTES);
    }
    if (!is_own(response, name, value)) {
        buf_append_slice(&response->fields, name);
        buf_append(&response->fields, ": ", 2);
        buf_append_slice(&response->fields, value);
        buf_append(&response->fields, "\r\n", 2);
    }
    return OK;
}

void http_response_set_text(struct http_response *response, uint16_t status, const char *text) {
    http_response_release(response);
    response->status = status;
    buf_append_text(&response->fields, "Content-Type: text/plain; charset=utf-8\r\n");
    struct slice content = slice_text(text);
    response->body = bytes_new(content.size + 1);
    memcpy(response->body->data, content.data, content.size);
    response->body->data[content.size] = '\n';
}

void http_response_frame(const struct http_response *response,
                         const struct http_response_frame *frame,
                         struct http_response_parts *parts) {
    uint16_t status = response->status;
    bool may_have_body = status != 204 && status != 205 && status != 304;
    uint64_t size = response->body != NULL ? response->body->size : 0;
    bool is_chunked = response->is_chunked && frame->minor_version == 1 && may_have_body;
    bool sends_body = may_have_body && !frame->is_head && size > 0;
    struct buf *head = &parts->head;
    buf_clear(head);
    parts->keeps_alive = frame->keeps_alive && !response->closes;
    buf_format(head, "HTTP/1.1 %u %s\r\nDate: %s\r\n", status, http_reason(status), frame->date);
    if (is_chunked) {
        buf_append_text(head, "Transfer-Encoding: chunked\r\n");
    } else if (frame->is_head && size == 0 && response->has_length && may_have_body) {
        buf_format(head, "Content-Length: %llu\r\n", (unsigned long long)response->length);
    } else if (status == 205) {
        buf_append_text(head, "Content-Length: 0\r\n");
    } else if (may_have_body) {
        buf_format(head, "Content-Length: %llu\r\n", (unsigned long long)size);
    }
    if (!parts->keeps_alive) {
        buf_append_text(head, "Connection: close\r\n");
    } else if (frame->minor_version == 0) {
        buf_append_text(head, "Connection: keep-alive\r\n");
    }
    parts->body = sends_body ? response->body : NULL;
    parts->after_fields = slice_text("\r\n");
    parts->after_body = slice_of(NULL, 0);
    if (is_chunked && sends_body) {
        snprintf(parts->size_text, sizeof parts->size_text, "\r\n%llx\r\n",
                 (unsigned long long)size);
        parts->after_fields = slice_text(parts->size_text);
        parts->after_body = slice_text("\r\n0\r\n\r\n");
    } else if (is_chunked && !frame->is_head) {
        parts->after_fields = slice_text("\r\n0\r\n\r\n");
    }
}

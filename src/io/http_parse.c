// SPDX-License-Identifier: Apache-2.0
// See http_parse.h. The header fields are collected until their end is there and looked at line by
// line (`scan_head`), which does not depend on what the parser's release lets through. Then llhttp
// gets them in one piece, so that all texts of a request lie in that piece. Bodies pass through
// llhttp as they come.
#include "io/http_parse.h"

#include <assert.h>
#include <llhttp.h>
#include <stdlib.h>
#include <strings.h>

#include "codec/utf8.h"

enum {
    // Beyond the first, between two requests: some clients send one.
    EMPTY_LINES_MOST = 1,
    // Of a body in chunks: so many bytes on the wire for one of content.
    CHUNK_OVERHEAD_MOST = 16,
    CHUNK_OVERHEAD_FREE_BYTES = 64 * 1024
};

// What http_request_free frees.
struct request_box {
    struct http_request request;
    uint8_t *head;  // owned: request line and header fields
    size_t head_bytes;
    struct buf body;
    uint8_t *converted;  // owned: values that were Latin-1, as UTF-8; NULL: none
    struct http_header headers[];
};

struct http_parser {
    llhttp_t llhttp;
    const struct http_limits *limits;
    enum http_parse_state state;
    struct buf head;
    size_t line_start, scanned;  // in head
    uint32_t line_count, empty_lines;
    struct request_box *box;  // the request whose head is there
    uint32_t header_capacity;
    uint64_t announced;      // Content-Length
    uint64_t body_received;  // on the wire
    uint64_t trailer_bytes;
    bool has_head, is_complete, expects_continue;
    uint16_t refusal;  // status; 0: none yet
    const char *refusal_text;
};

static bool refuse(struct http_parser *parser, uint16_t status, const char *text) {
    if (parser->refusal == 0) {
        parser->refusal = status;
        parser->refusal_text = text;
    }
    return false;
}

bool http_list_has(struct slice list, const char *word) {
    while (list.size > 0) {
        const uint8_t *comma = memchr(list.data, ',', list.size);
        size_t size = comma != NULL ? (size_t)(comma - list.data) : list.size;
        if (slice_equal_any_case(slice_trim(slice_of(list.data, size)), word)) {
            return true;
        }
        size += comma != NULL;
        list = slice_of(list.data + size, list.size - size);
    }
    return false;
}

// ---- requests
// ------------------------------------------------------------------------------------

void http_request_free(struct http_request *request) {
    if (request != NULL) {
        struct request_box *box = CONTAINER_OF(request, struct request_box, request);
        free(box->head);
        free(box->converted);
        buf_release(&box->body);
        free(box);
    }
}

struct slice http_request_header(const struct http_request *request, const char *name) {
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (slice_equal_text(request->headers[i].name, name)) {
            return request->headers[i].value;
        }
    }
    return slice_of(NULL, 0);
}

static bool any_header_has(const struct http_request *request, const char *name, const char *word) {
    for (uint32_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        if (slice_equal_text(header->name, name) && http_list_has(header->value, word)) {
            return true;
        }
    }
    return false;
}

static uint32_t count_headers(const struct http_request *request, const char *name) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < request->header_count; i++) {
        count += slice_equal_text(request->headers[i].name, name);
    }
    return count;
}

uint64_t http_request_size(const struct http_request *request) {
    const struct request_box *box = CONTAINER_OF(request, struct request_box, request);
    return sizeof *box + box->head_bytes + request->header_count * sizeof(struct http_header) +
           box->body.capacity;
}

// ---- the head, line by line
// ----------------------------------------------------------------------

// "METHOD target HTTP/1.x"
static bool check_request_line(struct http_parser *parser, struct slice line) {
    const uint8_t *space = memchr(line.data, ' ', line.size);
    const uint8_t *end = line.data + line.size;
    const uint8_t *second =
        space == NULL ? NULL : memchr(space + 1, ' ', (size_t)(end - space - 1));
    if (second == NULL || second == space + 1 || space == line.data) {
        return refuse(parser, 400, "the request line is not \"METHOD target HTTP/1.1\"");
    }
    struct slice version = slice_of(second + 1, (size_t)(end - second - 1));
    if (slice_equal_text(version, "HTTP/1.1") || slice_equal_text(version, "HTTP/1.0")) {
        return true;
    }
    bool is_other = version.size == 8 && slice_starts_with(version, "HTTP/") &&
                    version.data[5] >= '0' && version.data[5] <= '9' && version.data[6] == '.' &&
                    version.data[7] >= '0' && version.data[7] <= '9';
    return is_other ? refuse(parser, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
                    : refuse(parser, 400, "the request line is not \"METHOD target HTTP/1.1\"");
}

// Without its CR LF.
static bool check_line(struct http_parser *parser, struct slice line) {
    bool is_bad = false;
    for (size_t i = 0; i < line.size; i++) {
        is_bad |= (line.data[i] < 0x20 && line.data[i] != '\t') || line.data[i] == 0x7f;
    }
    if (is_bad) {
        return refuse(parser, 400, "a control character in the header");
    }
    if (parser->line_count == 0) {
        return check_request_line(parser, line);
    }
    if (line.data[0] == ' ' || line.data[0] == '\t') {
        return refuse(parser, 400, "a folded header field");
    }
    if (line.data[0] == ':') {
        return refuse(parser, 400, "a header field without a name");
    }
    if (parser->line_count > parser->limits->header_count) {
        return refuse(parser, 431, "too many header fields");
    }
    return true;
}

// Goes through the lines that are in `head`. True: the empty one, which ends it, is there; `size`
// is where. False: more is needed, or it was refused.
static bool scan_head(struct http_parser *parser, size_t *size) {
    const uint8_t *data = parser->head.data;
    for (;;) {
        const uint8_t *end =
            memchr(data + parser->scanned, '\n', parser->head.size - parser->scanned);
        if (end == NULL) {
            parser->scanned = parser->head.size;
            return false;
        }
        struct slice line =
            slice_of(data + parser->line_start, (size_t)(end - data) - parser->line_start);
        parser->scanned = parser->line_start = (size_t)(end - data) + 1;
        if (line.size == 0 || line.data[line.size - 1] != '\r') {
            return refuse(parser, 400, "a line does not end with CR LF");
        }
        line.size--;
        if (line.size > 0) {
            if (!check_line(parser, line)) {
                return false;
            }
            parser->line_count++;
        } else if (parser->line_count > 0) {
            *size = parser->line_start;
            return true;
        } else if (parser->empty_lines++ == EMPTY_LINES_MOST) {
            return refuse(parser, 400, "empty lines where a request was to begin");
        } else {
            memmove(parser->head.data, parser->head.data + 2, parser->head.size - 2);
            parser->head.size -= 2;
            parser->scanned = parser->line_start = 0;
        }
    }
}

// ---- llhttp's callbacks
// --------------------------------------------------------------------------

static int on_url(llhttp_t *llhttp, const char *at, size_t size) {
    struct http_parser *parser = llhttp->data;
    struct slice *target = &parser->box->request.target;
    *target =
        target->data == NULL ? slice_of(at, size) : slice_of(target->data, target->size + size);
    return 0;
}

static int count_trailer(struct http_parser *parser, size_t size) {
    parser->trailer_bytes += size;
    if (parser->trailer_bytes > parser->limits->head_bytes) {
        refuse(parser, 431, "the trailer is too large");
        return -1;
    }
    return 0;
}

static int on_field(llhttp_t *llhttp, const char *at, size_t size) {
    struct http_parser *parser = llhttp->data;
    if (parser->has_head) {
        return count_trailer(parser, size);
    }
    struct http_request *request = &parser->box->request;
    // scan_head has counted the lines.
    assert(request->header_count < parser->header_capacity);
    parser->box->headers[request->header_count++].name = slice_of(at, size);
    for (size_t i = 0; i < size; i++) {
        uint8_t *byte = parser->box->head + (at - (char *)parser->box->head) + i;
        *byte = *byte >= 'A' && *byte <= 'Z' ? *byte + 32 : *byte;
    }
    return 0;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t size) {
    struct http_parser *parser = llhttp->data;
    if (parser->has_head) {
        return count_trailer(parser, size);
    }
    struct http_request *request = &parser->box->request;
    assert(request->header_count > 0);
    struct slice *value = &parser->box->headers[request->header_count - 1].value;
    *value = value->data == NULL
                 ? slice_of(at, size)
                 : slice_of(value->data, (size_t)((const uint8_t *)at - value->data) + size);
    return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size) {
    struct http_parser *parser = llhttp->data;
    struct buf *body = &parser->box->body;
    if (size > parser->limits->body_bytes - body->size) {
        refuse(parser, 413, "the body is over the limit");
        return -1;
    }
    buf_append(body, at, size);
    return 0;
}

static int on_complete(llhttp_t *llhttp) {
    struct http_parser *parser = llhttp->data;
    parser->is_complete = true;
    return HPE_PAUSED;
}

// ---- what the head says
// --------------------------------------------------------------------------

static bool parse_length(struct http_parser *parser, struct slice text) {
    uint64_t length = 0;
    if (text.size == 0 || text.size > 18) {
        return refuse(parser, text.size == 0 ? 400 : 413, "Content-Length is no usable number");
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return refuse(parser, 400, "Content-Length is no number");
        }
        length = length * 10 + (text.data[i] - '0');
    }
    parser->announced = length;
    if (length > parser->limits->body_bytes) {
        return refuse(parser, 413, "the body is over the limit");
    }
    return true;
}

// How the body is delimited: the one thing that all who read the request must agree upon.
static bool check_framing(struct http_parser *parser, struct http_request *request) {
    uint32_t lengths = count_headers(request, "content-length");
    uint32_t codings = count_headers(request, "transfer-encoding");
    if (lengths > 1 || codings > 1 || lengths + codings > 1) {
        return refuse(parser, 400,
                      "more than one Content-Length or Transfer-Encoding, or both of them");
    }
    if (codings == 1) {
        if (request->minor_version == 0) {
            return refuse(parser, 400, "Transfer-Encoding in HTTP/1.0");
        }
        if (!slice_equal_any_case(http_request_header(request, "transfer-encoding"), "chunked")) {
            return refuse(parser, 501, "a Transfer-Encoding other than chunked");
        }
        request->has_body = true;
        return true;
    }
    if (lengths == 1) {
        if (!parse_length(parser, http_request_header(request, "content-length"))) {
            return false;
        }
        request->has_body = parser->announced > 0;
    }
    return true;
}

static bool check_host(struct http_parser *parser, const struct http_request *request) {
    uint32_t hosts = count_headers(request, "host");
    if (hosts > 1 || (hosts == 0 && request->minor_version == 1)) {
        return refuse(parser, 400, "there must be one Host");
    }
    struct slice host = http_request_header(request, "host");
    for (size_t i = 0; i < host.size; i++) {
        if (host.data[i] <= ' ' || host.data[i] >= 0x7f ||
            strchr("/\\?#@,\"<>", host.data[i]) != NULL) {
            return refuse(parser, 400, "Host is no host");
        }
    }
    return true;
}

// "http://host/path?query" of a client that takes us for a proxy becomes "/path?query".
static bool strip_authority(struct http_parser *parser, struct http_request *request) {
    struct slice target = request->target;
    size_t scheme = slice_starts_with(target, "http://") ? 7 : 8;
    struct slice rest = slice_of(target.data + scheme, target.size - scheme);
    size_t size = 0;
    while (size < rest.size && rest.data[size] != '/' && rest.data[size] != '?') {
        size++;
    }
    struct slice host = http_request_header(request, "host");
    if (size == 0) {
        return refuse(parser, 400, "the target names no host");
    }
    if (host.size != size ||
        strncasecmp((const char *)host.data, (const char *)rest.data, size) != 0) {
        return refuse(parser, 400, "Host and the target name different hosts");
    }
    request->target = slice_of(rest.data + size, rest.size - size);
    if (request->target.size == 0) {
        request->target = slice_text("/");
    } else if (request->target.data[0] == '?') {
        return refuse(parser, 400, "the target has no path");
    }
    return true;
}

static bool check_target(struct http_parser *parser, struct http_request *request) {
    struct slice target = request->target;
    for (size_t i = 0; i < target.size; i++) {
        if (target.data[i] <= ' ' || target.data[i] >= 0x7f || target.data[i] == '#') {
            return refuse(parser, 400, "a character in the target that must be encoded");
        }
    }
    if (slice_starts_with(target, "http://") || slice_starts_with(target, "https://")) {
        return strip_authority(parser, request);
    }
    bool is_asterisk =
        slice_equal_text(target, "*") && slice_equal_text(request->method, "OPTIONS");
    if (!is_asterisk && !slice_starts_with(target, "/")) {
        return refuse(parser, 400, "the target is no path");
    }
    return true;
}

// Values in Latin-1, as some clients send them, become UTF-8: texts of components are UTF-8.
static void convert_values(struct request_box *box) {
    size_t needed = 0;
    for (uint32_t i = 0; i < box->request.header_count; i++) {
        if (!utf8_is_valid(box->headers[i].value)) {
            needed += 2 * box->headers[i].value.size;
        }
    }
    if (needed == 0) {
        return;
    }
    uint8_t *out = box->converted = xmalloc(needed);
    for (uint32_t i = 0; i < box->request.header_count; i++) {
        struct slice value = box->headers[i].value;
        if (utf8_is_valid(value)) {
            continue;
        }
        uint8_t *start = out;
        for (size_t j = 0; j < value.size; j++) {
            if (value.data[j] < 0x80) {
                *out++ = value.data[j];
            } else {
                *out++ = (uint8_t)(0xc0 | value.data[j] >> 6);
                *out++ = (uint8_t)(0x80 | (value.data[j] & 0x3f));
            }
        }
        box->headers[i].value = slice_of(start, (size_t)(out - start));
    }
}

static bool check_expect(struct http_parser *parser, const struct http_request *request) {
    struct slice expect = http_request_header(request, "expect");
    if (expect.data == NULL || request->minor_version == 0) {
        return true;
    }
    parser->expects_continue = slice_equal_any_case(expect, "100-continue");
    return parser->expects_continue || refuse(parser, 417, "an unknown Expect");
}

static int on_head(llhttp_t *llhttp) {
    struct http_parser *parser = llhttp->data;
    struct request_box *box = parser->box;
    struct http_request *request = &box->request;
    parser->has_head = true;
    request->headers = box->headers;
    request->minor_version = llhttp->http_minor;
    request->is_head = llhttp->method == HTTP_HEAD;
    for (uint32_t i = 0; i < request->header_count; i++) {
        box->headers[i].value = slice_trim(box->headers[i].value);
    }
    if (llhttp->method == HTTP_CONNECT) {
        refuse(parser, 501, "CONNECT is for proxies");
        return -1;
    }
    if (!check_framing(parser, request) || !check_host(parser, request) ||
        !check_target(parser, request) || !check_expect(parser, request)) {
        return -1;
    }
    bool closes = any_header_has(request, "connection", "close");
    request->keeps_alive = !closes && (request->minor_version == 1 ||
                                       any_header_has(request, "connection", "keep-alive"));
    request->is_upgrade = request->minor_version == 1 && count_headers(request, "upgrade") > 0 &&
                          any_header_has(request, "connection", "upgrade");
    convert_values(box);
    return 0;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

// ---- the parser
// ----------------------------------------------------------------------------------

struct http_parser *http_parser_new(const struct http_limits *limits) {
    struct http_parser *parser = xcalloc(1, sizeof *parser);
    parser->limits = limits;
    return parser;
}

static void release_box(struct http_parser *parser) {
    if (parser->box != NULL) {
        http_request_free(&parser->box->request);
        parser->box = NULL;
    }
}

void http_parser_free(struct http_parser *parser) {
    release_box(parser);
    buf_release(&parser->head);
    free(parser);
}

static enum http_parse_outcome stop(struct http_parser *parser, uint16_t status, const char *text) {
    refuse(parser, status, text);
    release_box(parser);
    buf_release(&parser->head);
    parser->state = HTTP_PARSE_STOPPED;
    return HTTP_PARSE_BAD;
}

// What llhttp made of it: it used all, or stopped after a complete request, or refuses.
static enum http_parse_outcome run(struct http_parser *parser, struct slice content, size_t *used) {
    llhttp_errno_t code = llhttp_execute(&parser->llhttp, (const char *)content.data, content.size);
    *used = content.size;
    if (parser->is_complete && (code == HPE_PAUSED || code == HPE_PAUSED_UPGRADE)) {
        const char *end = llhttp_get_error_pos(&parser->llhttp);
        *used = (size_t)((const uint8_t *)end - content.data);
        return HTTP_PARSE_REQUEST;
    }
    if (code == HPE_OK) {
        return HTTP_PARSE_MORE;
    }
    if (code == HPE_INVALID_METHOD) {
        return stop(parser, 501, "an unknown method");
    }
    return stop(parser, 400,
                parser->has_head ? "the body's chunks are malformed" : "a malformed header");
}

// The head is in `head`: gives its memory to a request.
static enum http_parse_outcome run_head(struct http_parser *parser, size_t *used) {
    parser->header_capacity = parser->line_count - 1;
    struct request_box *box =
        xcalloc(1, sizeof *box + parser->header_capacity * sizeof(struct http_header));
    box->head = parser->head.data;
    box->head_bytes = parser->head.size;
    parser->head = (struct buf){0};
    parser->box = box;
    parser->has_head = parser->is_complete = parser->expects_continue = false;
    parser->announced = parser->body_received = parser->trailer_bytes = 0;
    const uint8_t *space = memchr(box->head, ' ', box->head_bytes);
    box->request.method = slice_of(box->head, (size_t)(space - box->head));
    llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
    parser->llhttp.data = parser;
    enum http_parse_outcome outcome = run(parser, slice_of(box->head, box->head_bytes), used);
    if (outcome == HTTP_PARSE_REQUEST && *used != box->head_bytes) {
        return stop(parser, 400, "a malformed header");
    }
    if (outcome == HTTP_PARSE_MORE && (!parser->has_head || !box->request.has_body)) {
        return stop(parser, 400, "a malformed header");
    }
    return outcome;
}

static enum http_parse_outcome feed_head(struct http_parser *parser, struct slice content,
                                         size_t *used) {
    size_t before = parser->head.size;
    // Not more than may be there: what follows belongs to the body, or is too much.
    size_t most = parser->limits->head_bytes + 1 - before;
    size_t size = content.size < most ? content.size : most;
    buf_append(&parser->head, content.data, size);
    size_t dropped = parser->empty_lines;
    size_t end = 0;
    bool is_whole = scan_head(parser, &end);
    dropped = 2 * (parser->empty_lines - dropped);
    if (parser->refusal != 0) {
        return stop(parser, 0, NULL);
    }
    if (!is_whole) {
        *used = size;
        if (parser->head.size > parser->limits->head_bytes) {
            return parser->line_count == 0 ? stop(parser, 414, "the request line is too long")
                                           : stop(parser, 431, "the header is too large");
        }
        parser->state = parser->head.size > 0 ? HTTP_PARSE_HEAD : HTTP_PARSE_IDLE;
        return HTTP_PARSE_MORE;
    }
    *used = end + dropped - before;
    parser->head.size = end;
    size_t head_used = 0;
    enum http_parse_outcome outcome = run_head(parser, &head_used);
    if (outcome == HTTP_PARSE_MORE) {
        parser->state = HTTP_PARSE_BODY;
        if (parser->expects_continue && *used == content.size) {
            return HTTP_PARSE_CONTINUE;
        }
    }
    return outcome;
}

static enum http_parse_outcome feed_body(struct http_parser *parser, struct slice content,
                                         size_t *used) {
    enum http_parse_outcome outcome = run(parser, content, used);
    parser->body_received += *used;
    uint64_t free_bytes = parser->limits->head_bytes + CHUNK_OVERHEAD_FREE_BYTES;
    if (outcome == HTTP_PARSE_MORE &&
        parser->body_received / CHUNK_OVERHEAD_MOST > parser->box->body.size + free_bytes) {
        return stop(parser, 400, "the chunks hold next to nothing");
    }
    return outcome;
}

enum http_parse_outcome http_parser_feed(struct http_parser *parser, struct slice content,
                                         size_t *used) {
    *used = 0;
    if (parser->state == HTTP_PARSE_STOPPED) {
        return HTTP_PARSE_BAD;
    }
    assert(!parser->is_complete);
    while (*used < content.size) {
        size_t size = 0;
        struct slice rest = slice_of(content.data + *used, content.size - *used);
        enum http_parse_outcome outcome = parser->state == HTTP_PARSE_BODY
                                              ? feed_body(parser, rest, &size)
                                              : feed_head(parser, rest, &size);
        *used += size;
        if (outcome != HTTP_PARSE_MORE) {
            return outcome;
        }
    }
    return HTTP_PARSE_MORE;
}

struct http_request *http_parser_take(struct http_parser *parser) {
    assert(parser->is_complete);
    struct request_box *box = parser->box;
    box->request.body = buf_slice(&box->body);
    parser->box = NULL;
    parser->is_complete = false;
    parser->state = HTTP_PARSE_IDLE;
    parser->line_start = parser->scanned = 0;
    parser->line_count = parser->empty_lines = 0;
    return &box->request;
}

uint16_t http_parser_refusal(const struct http_parser *parser, const char **text) {
    *text = parser->refusal_text;
    return parser->refusal;
}

enum http_parse_state http_parser_state(const struct http_parser *parser) {
    return parser->state;
}

uint64_t http_parser_held(const struct http_parser *parser) {
    const struct request_box *box = parser->box;
    return parser->head.capacity +
           (box != NULL ? sizeof *box + box->head_bytes + box->body.capacity : 0);
}

uint64_t http_parser_body_received(const struct http_parser *parser) {
    return parser->body_received;
}

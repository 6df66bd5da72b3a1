// SPDX-License-Identifier: Apache-2.0
// Feeds bytes to the HTTP parser, twice: in one piece, and in pieces whose sizes the input's first
// byte chooses. Both must give the same requests and the same refusal. Each request goes through
// the router and is answered with what it said; no byte that a field or a body brings may make the
// answer look like two.
#include <assert.h>
#include <stdlib.h>

#include "io/http_parse.h"
#include "io/http_response.h"
#include "io/http_route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {
    .head_bytes = 2048, .header_count = 20, .body_bytes = 4096};

static struct http_router *router(void) {
    static struct http_router made;
    static const char *const patterns[] = {"/", "/{a}", "/{a}/b", "/x/{*rest}", "/x/b"};
    for (uint32_t i = 0; made.route_count < COUNT_OF(patterns); i++) {
        if (http_router_add(&made, i + 1, slice_text(patterns[i]),
                            slice_text(i % 2 == 0 ? "GET" : "*"), i + 1, NULL) != OK) {
            abort();
        }
    }
    return &made;
}

static void append_sized(struct buf *out, struct slice text) {
    buf_format(out, "%zu:", text.size);
    buf_append_slice(out, text);
}

static void route(const struct http_request *request, struct buf *out) {
    struct http_path path;
    struct http_match match;
    struct buf allow = {0};
    if (http_path_parse(request->target, &path)) {
        assert(path.text.size > 0 && path.text.data[0] == '/');
        assert(memchr(path.text.data, '\r', path.text.size) == NULL);
        enum http_match_outcome outcome =
            http_router_find(router(), &path, request->method, &match, &allow);
        buf_format(out, "outcome %d\n", (int)outcome);
        for (uint32_t i = 0; outcome == HTTP_MATCH && i < match.param_count; i++) {
            append_sized(out, match.params[i].value);
        }
    }
    buf_release(&allow);
    http_path_release(&path);
}

// The answer repeats the request's fields and body.
static void answer(const struct http_request *request) {
    struct http_response response = {.status = 200, .body = bytes_copy(request->body)};
    size_t lines = 0;
    for (uint32_t i = 0; i < request->header_count; i++) {
        size_t before = response.fields.size;
        if (http_response_add(&response, request->headers[i].name, request->headers[i].value,
                              NULL) == OK) {
            lines += response.fields.size > before;
        }
    }
    for (size_t i = 0; i < response.fields.size; i++) {
        lines -= response.fields.data[i] == '\n';
        assert(response.fields.data[i] != 0);
    }
    assert(lines == 0);
    struct http_response_parts parts = {0};
    struct http_response_frame frame = {.is_head = request->is_head,
                                        .minor_version = request->minor_version,
                                        .keeps_alive = request->keeps_alive,
                                        .date = "Sun, 06 Nov 1994 08:49:37 GMT"};
    http_response_frame(&response, &frame, &parts);
    assert(!request->is_head || parts.body == NULL);
    buf_release(&parts.head);
    http_response_release(&response);
}

static void note(const struct http_request *request, struct buf *out) {
    append_sized(out, request->method);
    append_sized(out, request->target);
    for (uint32_t i = 0; i < request->header_count; i++) {
        append_sized(out, request->headers[i].name);
        append_sized(out, request->headers[i].value);
    }
    append_sized(out, request->body);
    buf_format(out, " %d %d %d\n", request->keeps_alive, request->is_upgrade, request->is_head);
    assert(request->body.size <= limits.body_bytes);
    assert(request->header_count <= limits.header_count);
    assert(request->target.data[0] == '/' || slice_equal_text(request->target, "*"));
}

// `pattern` 0: all at once.
static void run(struct slice input, uint8_t pattern, struct buf *out) {
    struct http_parser *parser = http_parser_new(&limits);
    uint32_t step = 0;
    while (input.size > 0) {
        size_t piece = pattern == 0 ? input.size : 1 + (pattern >> (step++ % 8) & 7);
        piece = piece < input.size ? piece : input.size;
        struct bytes *copy = bytes_copy(slice_of(input.data, piece));
        size_t used = 0;
        enum http_parse_outcome outcome = http_parser_feed(parser, bytes_slice(copy), &used);
        bytes_unref(copy);
        assert(used <= piece);
        if (outcome == HTTP_PARSE_BAD) {
            const char *why;
            buf_format(out, "refused %u\n", http_parser_refusal(parser, &why));
            break;
        }
        assert(outcome == HTTP_PARSE_REQUEST || used == piece);
        if (outcome == HTTP_PARSE_REQUEST) {
            struct http_request *request = http_parser_take(parser);
            note(request, out);
            route(request, out);
            answer(request);
            http_request_free(request);
        }
        input = slice_of(input.data + used, input.size - used);
    }
    http_parser_free(parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct buf whole = {0}, pieces = {0};
    struct slice input = slice_of(data + 1, size - 1);
    run(input, 0, &whole);
    run(input, data[0] | 1, &pieces);
    assert(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
    buf_release(&whole);
    buf_release(&pieces);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// What a transfer asks for: its check, and what becomes of it on a redirect (RFC 9110, section
// 15.4; for what browsers do differently, the Fetch standard).
#include <stdlib.h>

#include "io/http_internal.h"

enum { METHOD_MOST_BYTES = 64 };

// ---- texts
// ---------------------------------------------------------------------------------------

static bool is_one_of(struct slice name, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (slice_equal_any_case(name, names[i])) {
            return true;
        }
    }
    return false;
}

// ---- the check
// -----------------------------------------------------------------------------------

static int shown(struct slice text) {
    return text.size < 64 ? (int)text.size : 64;
}

static enum status take_method(struct io_http_transfer *transfer, struct slice method,
                               struct error *error) {
    static const char *const standard[] = {"DELETE", "GET",  "HEAD", "OPTIONS",
                                           "PATCH",  "POST", "PUT",  "TRACE"};
    if (!io_http_is_token(method) || method.size > METHOD_MOST_BYTES) {
        return error_set(error, ERR_INVALID, "invalid method: it is no token of at most %d bytes",
                         (int)METHOD_MOST_BYTES);
    }
    if (slice_equal_any_case(method, "CONNECT")) {
        return error_set(error, ERR_INVALID, "invalid method: CONNECT makes no request");
    }
    for (size_t i = 0; i < COUNT_OF(standard); i++) {
        method = slice_equal_any_case(method, standard[i]) ? slice_text(standard[i]) : method;
    }
    buf_append_slice(&transfer->method, method);
    (void)buf_text(&transfer->method);
    return OK;
}

// With or without the scheme's own port.
static bool names_host(const struct io_url *url, struct slice value) {
    char host[300];
    (void)snprintf(host, sizeof host, "%.*s:%u", (int)url->host.size, (const char *)url->host.data,
                   url->port);
    bool is_own = url->port == (url->is_https ? 443 : 80);
    if (slice_equal_any_case(value, host)) {
        return true;
    }
    host[url->host.size] = '\0';
    return is_own && slice_equal_any_case(value, host);
}

// Whether the field says only what the client says anyway: then it is left out.
static enum status check_field(const struct io_http_transfer *transfer, struct slice name,
                               struct slice value, bool *is_implied, struct error *error) {
    // They belong to the connection, or to how a message is sent, which is the client's business.
    static const char *const refused[] = {
        "connection", "expect",  "http2-settings", "keep-alive",        "proxy-connection",
        "te",         "trailer", "upgrade",        "transfer-encoding", "proxy-authorization"};
    if (!io_http_is_token(name)) {
        return error_set(error, ERR_INVALID, "invalid header: its name is no token");
    }
    if (!io_http_is_value(value)) {
        return error_set(error, ERR_INVALID,
                         "invalid header: the value of %.*s holds a control character", shown(name),
                         (const char *)name.data);
    }
    if (is_one_of(name, refused, COUNT_OF(refused))) {
        return error_set(error, ERR_INVALID, "header not allowed: %.*s", shown(name),
                         (const char *)name.data);
    }
    value = slice_trim(value);
    *is_implied = false;
    if (slice_equal_any_case(name, "host")) {
        *is_implied = names_host(&transfer->url, value);
        return *is_implied ? OK
                           : error_set(error, ERR_INVALID,
                                       "header not allowed: host other than that of the URL");
    }
    if (slice_equal_any_case(name, "content-length")) {
        char digits[24];
        (void)snprintf(digits, sizeof digits, "%zu", bytes_slice(transfer->body).size);
        *is_implied = slice_equal_text(value, digits);
        return *is_implied
                   ? OK
                   : error_set(error, ERR_INVALID,
                               "header not allowed: content-length other than that of the body");
    }
    return OK;
}

static void add_field(struct io_http_transfer *transfer, struct slice name, struct slice value) {
    // As offsets until all texts are there.
    transfer->headers[transfer->header_count++] = (struct io_http_header){
        .name = slice_of(NULL, name.size), .value = slice_of(NULL, value.size)};
    buf_append_slice(&transfer->header_texts, name);
    buf_append_byte(&transfer->header_texts, '\0');
    buf_append_slice(&transfer->header_texts, value);
    buf_append_byte(&transfer->header_texts, '\0');
}

static void place_fields(struct io_http_header *headers, uint32_t count, const uint8_t *at) {
    for (uint32_t i = 0; i < count; i++) {
        headers[i].name.data = at;
        at += headers[i].name.size + 1;
        headers[i].value.data = at;
        at += headers[i].value.size + 1;
    }
}

static enum status take_fields(struct io_http_transfer *transfer, const struct io_http_ask *ask,
                               struct error *error) {
    uint64_t size = 0;
    for (uint32_t i = 0; i < ask->header_count; i++) {
        size += ask->headers[i].name.size + ask->headers[i].value.size;
    }
    if (ask->header_count > HTTP_HEADERS_MOST || size > HTTP_HEADER_BYTES_MOST) {
        return error_set(error, ERR_INVALID,
                         "invalid header: more than %d fields or %d bytes of them",
                         (int)HTTP_HEADERS_MOST, (int)HTTP_HEADER_BYTES_MOST);
    }
    transfer->headers = xcalloc(ask->header_count + 1, sizeof *transfer->headers);
    for (uint32_t i = 0; i < ask->header_count; i++) {
        bool is_implied = false;
        enum status status =
            check_field(transfer, ask->headers[i].name, ask->headers[i].value, &is_implied, error);
        if (status != OK) {
            return status;
        }
        if (!is_implied) {
            add_field(transfer, ask->headers[i].name, slice_trim(ask->headers[i].value));
        }
    }
    place_fields(transfer->headers, transfer->header_count, transfer->header_texts.data);
    return OK;
}

enum status io_http_transfer_new(const struct io_http_ask *ask, struct io_http_transfer **out,
                                 struct error *error) {
    struct io_http_transfer *transfer = xcalloc(1, sizeof *transfer);
    atomic_init(&transfer->references, 1);
    transfer->ask = *ask;
    transfer->body = ask->body != NULL ? bytes_ref(ask->body) : NULL;
    enum status status = take_method(transfer, ask->method, error);
    if (status == OK) {
        status = io_url_parse(ask->url, &transfer->url, error);
    }
    if (status == OK) {
        status = take_fields(transfer, ask, error);
    }
    bool has_none = status == OK && (slice_equal_text(io_http_transfer_method(transfer), "HEAD") ||
                                     slice_equal_text(io_http_transfer_method(transfer), "TRACE"));
    if (has_none && bytes_slice(ask->body).size > 0) {
        status = error_set(error, ERR_INVALID, "invalid body: a request with %s has none",
                           (const char *)transfer->method.data);
    } else if (has_none) {
        bytes_unref(transfer->body);
        transfer->body = NULL;
    }
    if (status != OK) {
        io_http_transfer_unref(transfer);
        return status;
    }
    *out = transfer;
    return OK;
}

// ---- redirects
// -----------------------------------------------------------------------------------

struct slice http_response_header(const struct io_http_transfer *transfer, const char *name) {
    const uint8_t *at = transfer->headers_in.data;
    for (uint32_t i = 0; i < transfer->lines_in; i++) {
        struct slice field = slice_text((const char *)at);
        struct slice value = slice_text((const char *)at + field.size + 1);
        if (slice_equal_any_case(field, name)) {
            return value;
        }
        at = value.data + value.size + 1;
    }
    return slice_of(NULL, 0);
}

static void drop_fields(struct io_http_transfer *transfer, const char *const *names, size_t count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < transfer->header_count; i++) {
        if (!is_one_of(transfer->headers[i].name, names, count)) {
            transfer->headers[kept++] = transfer->headers[i];
        }
    }
    transfer->header_count = kept;
}

// 303 asks for the result of what was done; 301 and 302 of a POST have come to mean the same.
static void change_method(struct io_http_transfer *transfer) {
    static const char *const of_body[] = {"content-encoding", "content-language",
                                          "content-location", "content-type"};
    struct slice method = io_http_transfer_method(transfer);
    uint32_t status = transfer->response.status;
    bool is_post = slice_equal_text(method, "POST");
    bool is_read = slice_equal_text(method, "GET") || slice_equal_text(method, "HEAD");
    if (!(status == 303 && !is_read) && !((status == 301 || status == 302) && is_post)) {
        return;
    }
    buf_clear(&transfer->method);
    buf_append_text(&transfer->method, "GET");
    (void)buf_text(&transfer->method);
    bytes_unref(transfer->body);
    transfer->body = NULL;
    drop_fields(transfer, of_body, COUNT_OF(of_body));
}

bool http_follow(struct io_http_transfer *transfer) {
    static const char *const credentials[] = {"authorization", "cookie", "cookie2"};
    if (transfer->redirects == transfer->ask.max_redirects) {
        http_finish(transfer, IO_HTTP_REDIRECTS, "too many redirects: more than %u",
                    transfer->ask.max_redirects);
        return false;
    }
    transfer->redirects++;
    struct io_url next;
    struct error error = {0};
    if (io_url_resolve(&transfer->url, http_response_header(transfer, "location"), &next, &error) !=
        OK) {
        http_finish(transfer, IO_HTTP_BAD_REDIRECT, "invalid redirect: %s", error.message);
        return false;
    }
    if (transfer->url.is_https && !next.is_https) {
        io_url_release(&next);
        http_finish(transfer, IO_HTTP_BAD_REDIRECT, "invalid redirect: from https to http");
        return false;
    }
    change_method(transfer);
    if (!io_url_same_origin(&transfer->url, &next)) {
        drop_fields(transfer, credentials, COUNT_OF(credentials));
    }
    io_url_release(&transfer->url);
    transfer->url = next;
    buf_clear(&transfer->headers_in);
    transfer->lines_in = 0;
    return true;
}

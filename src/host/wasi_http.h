// SPDX-License-Identifier: Apache-2.0
// What the files of wasi:http share.
#ifndef HOST_WASI_HTTP_H
#define HOST_WASI_HTTP_H

#include "host/wasi.h"
#include "io/http_client.h"

// Header fields, in the order in which they were given. Counted: a request and the resources that
// stand for its headers refer to the same ones.
struct wasi_fields {
    uint32_t references;
    uint32_t count, capacity;
    uint64_t bytes;
    struct wasi_field {
        struct bytes *name, *value;  // keeps
    } * items;
};
struct wasi_fields *wasi_fields_new(void);
struct wasi_fields *wasi_fields_ref(struct wasi_fields *fields);
void wasi_fields_unref(struct wasi_fields *fields);
// A resource for them, which keeps them; one that is immutable refuses changes.
bool wasi_add_fields(struct component_call *call, struct wasi_fields *fields, bool is_immutable,
                     struct value *own);
// The fields of a response. Within the client's bounds, so that none of ours is looked at.
struct wasi_fields *wasi_fields_of(const struct io_http_response *response);

// ---- requests and what comes of them
// -------------------------------------------------------------

// error-code, by its cases.
enum wasi_http_code {
    WASI_HTTP_DNS_TIMEOUT,
    WASI_HTTP_DNS_ERROR,
    WASI_HTTP_DESTINATION_UNAVAILABLE = 3,
    WASI_HTTP_CONNECTION_REFUSED = 6,
    WASI_HTTP_CONNECTION_TERMINATED = 7,
    WASI_HTTP_CONNECTION_TIMEOUT = 8,
    WASI_HTTP_READ_TIMEOUT = 9,
    WASI_HTTP_LIMIT_REACHED = 11,
    WASI_HTTP_TLS_PROTOCOL = 12,
    WASI_HTTP_TLS_CERTIFICATE = 13,
    WASI_HTTP_DENIED = 15,
    WASI_HTTP_REQUEST_BODY_SIZE = 17,
    WASI_HTTP_URI_INVALID = 19,
    WASI_HTTP_RESPONSE_INCOMPLETE = 25,
    WASI_HTTP_RESPONSE_HEADERS_SIZE = 26,
    WASI_HTTP_RESPONSE_BODY_SIZE = 28,
    WASI_HTTP_RESPONSE_TIMEOUT = 33,
    WASI_HTTP_PROTOCOL_ERROR = 35,
    WASI_HTTP_INTERNAL_ERROR = 38,
    WASI_HTTP_NO_ERROR = 100  // none of them
};
// Fills an error-code; whatever its case holds says nothing. False: no room, trapped.
bool wasi_http_give_code(struct component_call *call, enum wasi_http_code code, struct value *out);

// What a request's body holds so far. Counted: the request, the resource and its stream.
struct wasi_http_body {
    struct wasi_sink sink;
    uint32_t references;
    struct buf content;
    uint64_t *held;  // bytes of all bodies of the actor; lasts as long as it
    bool is_finished, is_dropped, is_over;
    struct wasi_http_future *future;  // keeps; NULL: the request was not handed over yet
};
void wasi_http_body_unref(struct wasi_http_body *body);

enum { WASI_HTTP_TIMEOUTS = 3 };  // connect, first byte, between bytes

// outgoing-request.
struct wasi_http_request {
    struct wasi_fields *headers;
    uint32_t method, scheme;
    bool has_scheme;
    struct bytes *other_method, *other_scheme;  // keep; NULL unless other(…)
    struct bytes *path, *authority;             // keep; NULL: none
    struct wasi_http_body *body;                // keeps; NULL: none was asked for
};
void wasi_http_request_free(struct wasi_http_request *request);

// request-options.
struct wasi_http_options {
    bool has[WASI_HTTP_TIMEOUTS];
    uint64_t duration_ns[WASI_HTTP_TIMEOUTS];
};

// future-incoming-response. Counted: the resource, its pollables, and a body that is not finished.
struct wasi_http_future {
    uint32_t references;
    struct wasi_http_request *request;  // owned until it is sent
    struct wasi_http_options options;
    struct io_http_transfer *transfer;  // keeps; NULL: not sent
    enum wasi_http_code failure;        // before anything was sent
    bool was_taken;                     // its response
};
struct wasi_http_future *wasi_http_future_ref(struct wasi_http_future *future);
// The last one ends the exchange.
void wasi_http_future_unref(struct wasi_http_future *future);
bool wasi_http_future_is_ready(const struct wasi_http_future *future);
// Sends the future's request, whose body is complete; recorded before. False: trapped.
bool wasi_http_send(struct component_call *call, struct wasi_http_future *future);
// A pollable for the future.
bool wasi_add_future_pollable(struct component_call *call, struct wasi_http_future *future,
                              struct value *own);
// Parks the actor until one of the exchanges is done, or the monotonic clock is at `due_ns`
// (UINT64_MAX: never). False: trapped.
bool wasi_http_wait(struct component_call *call, struct wasi_http_future *const *futures,
                    uint32_t count, uint64_t due_ns);

#define WASI_HTTP_SIZE "record{field-name: option<string>, field-size: option<u32>}"
#define WASI_HTTP_CODES                                                                           \
    "variant{DNS-timeout, DNS-error(record{rcode: option<string>, info-code: option<u16>}), "     \
    "destination-not-found, destination-unavailable, destination-IP-prohibited, "                 \
    "destination-IP-unroutable, connection-refused, connection-terminated, "                      \
    "connection-timeout, connection-read-timeout, connection-write-timeout, "                     \
    "connection-limit-reached, TLS-protocol-error, TLS-certificate-error, "                       \
    "TLS-alert-received(record{alert-id: option<u8>, alert-message: option<string>}), "           \
    "HTTP-request-denied, HTTP-request-length-required, HTTP-request-body-size(option<u64>), "    \
    "HTTP-request-method-invalid, HTTP-request-URI-invalid, HTTP-request-URI-too-long, "          \
    "HTTP-request-header-section-size(option<u32>), HTTP-request-header-size("                    \
    "option<" WASI_HTTP_SIZE                                                                      \
    ">), HTTP-request-trailer-section-size(option<u32>), "                                        \
    "HTTP-request-trailer-size(" WASI_HTTP_SIZE                                                   \
    "), HTTP-response-incomplete, "                                                               \
    "HTTP-response-header-section-size(option<u32>), HTTP-response-header-size(" WASI_HTTP_SIZE   \
    "), HTTP-response-body-size(option<u64>), "                                                   \
    "HTTP-response-trailer-section-size(option<u32>), HTTP-response-trailer-size(" WASI_HTTP_SIZE \
    "), HTTP-response-transfer-coding(option<string>), "                                          \
    "HTTP-response-content-coding(option<string>), HTTP-response-timeout, "                       \
    "HTTP-upgrade-failed, HTTP-protocol-error, loop-detected, configuration-error, "              \
    "internal-error(option<string>)}"

// The functions of wasi:http/types are in three tables: fields and the rest, what a request is made
// of (wasi_http_request.c), and what comes back (wasi_http_response.c).
extern const struct host_interface wasi_http_request;
extern const struct host_interface wasi_http_response;

#endif

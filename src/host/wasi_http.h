// SPDX-License-Identifier: Apache-2.0
// What the files of wasi:http share.
#ifndef HOST_WASI_HTTP_H
#define HOST_WASI_HTTP_H

#include "host/wasi.h"

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
// Whether this is a token (RFC 9110, section 5.6.2): a field's name, a method.
bool wasi_is_token(struct slice text);

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

// The functions of wasi:http/types are in two tables: fields and the rest, and what a request is
// made of (wasi_http_request.c).
extern const struct host_interface wasi_http_request;

#endif

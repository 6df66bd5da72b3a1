// SPDX-License-Identifier: Apache-2.0
// wasi:http/types: what a request is made of. There is no client yet, so nothing of it is ever
// sent: what is written to a body is in the chain and goes nowhere.
#include <stdlib.h>

#include "host/wasi_http.h"

enum { OTHER_METHOD = 9, OTHER_SCHEME = 2, TIMEOUTS = 3, TEXT_MOST_BYTES = 64 * 1024 };

struct request {
    struct wasi_fields *headers;
    uint32_t method, scheme;
    bool has_scheme, has_body;
    struct bytes *other_method, *other_scheme;  // keep; NULL unless other(…)
    struct bytes *path, *authority;             // keep; NULL: none
};

struct options {
    bool has[TIMEOUTS];
    uint64_t duration_ns[TIMEOUTS];
};

// ---- outgoing-request
// ------------------------------------------------------------------------------

static void release_request(void *object) {
    struct request *request = object;
    wasi_fields_unref(request->headers);
    bytes_unref(request->other_method);
    bytes_unref(request->other_scheme);
    bytes_unref(request->path);
    bytes_unref(request->authority);
    free(request);
}

static bool request_new(struct component_call *call, const struct value *args,
                        struct value *result) {
    struct wasi_slot headers;
    if (!wasi_take(call, &args[0], WASI_FIELDS, &headers)) {
        return false;
    }
    struct request *request = xcalloc(1, sizeof *request);
    request->headers = headers.object;
    return wasi_add(
        call,
        (struct wasi_slot){
            .kind = WASI_OUTGOING_REQUEST, .object = request, .release = release_request},
        result);
}

static struct request *request_of(struct component_call *call, const struct value *borrow) {
    const struct wasi_slot *slot = wasi_get(call, borrow, WASI_OUTGOING_REQUEST);
    return slot != NULL ? slot->object : NULL;
}

// A result without payloads.
static bool answer(bool is_good, struct value *result) {
    *result = (struct value){.items = NULL, .which = is_good ? 0 : 1};
    return true;
}

// some(text) or none
static bool give_text(struct component_call *call, const struct bytes *text, struct value *result) {
    *result = (struct value){.items = NULL, .which = 0};
    if (text == NULL) {
        return true;
    }
    struct value *item = host_alloc(call, 1, sizeof *item);
    *result = (struct value){.items = item, .which = 1};
    return item != NULL && host_copy(call, bytes_slice(text), item);
}

// Neither blanks nor control characters: nothing that could end a line of the request.
static bool is_plain(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= 0x20 || text.data[i] == 0x7f) {
            return false;
        }
    }
    return text.size <= TEXT_MOST_BYTES;
}

static bool set_text(const struct value *option, struct bytes **text, struct value *result) {
    struct slice given = option->which == 1 ? host_bytes(option->items) : slice_of(NULL, 0);
    bool is_good = is_plain(given);
    if (is_good) {
        bytes_unref(*text);
        *text = option->which == 1 ? bytes_copy(given) : NULL;
    }
    return answer(is_good, result);
}

// A variant whose last case holds a text.
static bool give_case(struct component_call *call, uint32_t which, const struct bytes *other,
                      struct value *out) {
    *out = (struct value){.items = NULL, .which = which};
    if (other == NULL) {
        return true;
    }
    struct value *item = host_alloc(call, 1, sizeof *item);
    out->items = item;
    return item != NULL && host_copy(call, bytes_slice(other), item);
}

// A method or scheme of the guest's own. What a request keeps is bounded, as its path is.
static bool is_other(struct slice text) {
    return text.size <= TEXT_MOST_BYTES && wasi_is_token(text);
}

static bool get_method(struct component_call *call, const struct value *args,
                       struct value *result) {
    const struct request *request = request_of(call, &args[0]);
    return request != NULL && give_case(call, request->method, request->other_method, result);
}

static bool set_method(struct component_call *call, const struct value *args,
                       struct value *result) {
    struct request *request = request_of(call, &args[0]);
    if (request == NULL) {
        return false;
    }
    bool has_text = args[1].which == OTHER_METHOD;
    if (has_text && !is_other(host_bytes(args[1].items))) {
        return answer(false, result);
    }
    bytes_unref(request->other_method);
    request->other_method = has_text ? bytes_copy(host_bytes(args[1].items)) : NULL;
    request->method = args[1].which;
    return answer(true, result);
}

static bool get_scheme(struct component_call *call, const struct value *args,
                       struct value *result) {
    const struct request *request = request_of(call, &args[0]);
    if (request == NULL) {
        return false;
    }
    struct value *item = host_alloc(call, 1, sizeof *item);
    *result = (struct value){.items = request->has_scheme ? item : NULL,
                             .which = request->has_scheme ? 1 : 0};
    return item != NULL && give_case(call, request->scheme, request->other_scheme, item);
}

static bool set_scheme(struct component_call *call, const struct value *args,
                       struct value *result) {
    struct request *request = request_of(call, &args[0]);
    if (request == NULL) {
        return false;
    }
    bool has = args[1].which == 1;
    bool has_text = has && args[1].items->which == OTHER_SCHEME;
    struct slice other = has_text ? host_bytes(args[1].items->items) : slice_of(NULL, 0);
    if (has_text && !is_other(other)) {
        return answer(false, result);
    }
    bytes_unref(request->other_scheme);
    request->other_scheme = has_text ? bytes_copy(other) : NULL;
    request->has_scheme = has;
    request->scheme = has ? args[1].items->which : 0;
    return answer(true, result);
}

static bool get_path(struct component_call *call, const struct value *args, struct value *result) {
    const struct request *request = request_of(call, &args[0]);
    return request != NULL && give_text(call, request->path, result);
}

static bool set_path(struct component_call *call, const struct value *args, struct value *result) {
    struct request *request = request_of(call, &args[0]);
    return request != NULL && set_text(&args[1], &request->path, result);
}

static bool get_authority(struct component_call *call, const struct value *args,
                          struct value *result) {
    const struct request *request = request_of(call, &args[0]);
    return request != NULL && give_text(call, request->authority, result);
}

static bool set_authority(struct component_call *call, const struct value *args,
                          struct value *result) {
    struct request *request = request_of(call, &args[0]);
    return request != NULL && set_text(&args[1], &request->authority, result);
}

static bool get_headers(struct component_call *call, const struct value *args,
                        struct value *result) {
    struct request *request = request_of(call, &args[0]);
    return request != NULL && wasi_add_fields(call, request->headers, true, result);
}

// ---- outgoing-body
// ---------------------------------------------------------------------------------

static enum wasi_outcome write_nowhere(struct wasi_sink *sink, struct component_call *call,
                                       struct slice content, enum wasi_failure *failure) {
    (void)sink;
    (void)call;
    (void)content;
    (void)failure;
    return WASI_DONE;
}

static struct wasi_sink nowhere = {write_nowhere};

static bool get_body(struct component_call *call, const struct value *args, struct value *result) {
    struct request *request = request_of(call, &args[0]);
    if (request == NULL) {
        return false;
    }
    if (request->has_body) {
        return answer(false, result);
    }
    request->has_body = true;
    struct value own;
    return wasi_add(call, (struct wasi_slot){.kind = WASI_OUTGOING_BODY}, &own) &&
           host_ok_value(call, own, result);
}

static bool body_write(struct component_call *call, const struct value *args,
                       struct value *result) {
    struct wasi_slot *body = wasi_get(call, &args[0], WASI_OUTGOING_BODY);
    if (body == NULL) {
        return false;
    }
    if (body->number != 0) {
        return answer(false, result);
    }
    body->number = 1;  // the one stream was given
    struct value own;
    return wasi_add(call, (struct wasi_slot){.kind = WASI_OUTPUT_STREAM, .object = &nowhere},
                    &own) &&
           host_ok_value(call, own, result);
}

static bool body_finish(struct component_call *call, const struct value *args,
                        struct value *result) {
    struct wasi_slot body, trailers;
    if (!wasi_take(call, &args[0], WASI_OUTGOING_BODY, &body)) {
        return false;
    }
    if (args[1].which == 1) {
        if (!wasi_take(call, args[1].items, WASI_FIELDS, &trailers)) {
            return false;
        }
        wasi_fields_unref(trailers.object);
    }
    return host_ok(result);
}

// ---- request-options
// -------------------------------------------------------------------------------

static bool options_new(struct component_call *call, const struct value *args,
                        struct value *result) {
    (void)args;
    return wasi_add(call,
                    (struct wasi_slot){.kind = WASI_REQUEST_OPTIONS,
                                       .object = xcalloc(1, sizeof(struct options)),
                                       .release = free},
                    result);
}

static bool get_timeout(struct component_call *call, const struct value *args, int which,
                        struct value *result) {
    const struct wasi_slot *slot = wasi_get(call, &args[0], WASI_REQUEST_OPTIONS);
    struct value *item = slot != NULL ? host_alloc(call, 1, sizeof *item) : NULL;
    if (item == NULL) {
        return false;
    }
    const struct options *options = slot->object;
    *item = (struct value){.bits = options->duration_ns[which]};
    *result = (struct value){.items = options->has[which] ? item : NULL,
                             .which = options->has[which] ? 1 : 0};
    return true;
}

static bool set_timeout(struct component_call *call, const struct value *args, int which,
                        struct value *result) {
    const struct wasi_slot *slot = wasi_get(call, &args[0], WASI_REQUEST_OPTIONS);
    if (slot == NULL) {
        return false;
    }
    struct options *options = slot->object;
    options->has[which] = args[1].which == 1;
    options->duration_ns[which] = args[1].which == 1 ? args[1].items->bits : 0;
    return answer(true, result);
}

#define TIMEOUT(name, which)                                                      \
    static bool get_##name(struct component_call *call, const struct value *args, \
                           struct value *result) {                                \
        return get_timeout(call, args, which, result);                            \
    }                                                                             \
    static bool set_##name(struct component_call *call, const struct value *args, \
                           struct value *result) {                                \
        return set_timeout(call, args, which, result);                            \
    }
TIMEOUT(connect, 0)
TIMEOUT(first_byte, 1)
TIMEOUT(between_bytes, 2)

#define NAME "wasi:http/types"
#define REQUEST(name) "[method]outgoing-request." name, NAME ".[method]outgoing-request." name
#define OPTIONS(name) "[method]request-options." name, NAME ".[method]request-options." name
#define BODY(name) "[method]outgoing-body." name, NAME ".[method]outgoing-body." name
#define METHODS \
    "variant{get, head, post, put, delete, connect, options, trace, patch, other(string)}"
#define SCHEME "option<variant{HTTP, HTTPS, other(string)}>"
#define GETS(type) "func(borrow<outgoing-request>) -> " type
#define SETS(type) "func(borrow<outgoing-request>, " type ") -> result"
#define GETS_TIMEOUT "func(borrow<request-options>) -> option<u64>"
#define SETS_TIMEOUT "func(borrow<request-options>, option<u64>) -> result"

static const struct host_function functions[] = {
    {"[constructor]outgoing-request",
     NAME ".[constructor]outgoing-request",
     request_new,
     {"func(own<fields>) -> own<outgoing-request>"}},
    {REQUEST("body"), get_body, {GETS("result<own<outgoing-body>>")}},
    {REQUEST("method"), get_method, {GETS(METHODS)}},
    {REQUEST("set-method"), set_method, {SETS(METHODS)}},
    {REQUEST("path-with-query"), get_path, {GETS("option<string>")}},
    {REQUEST("set-path-with-query"), set_path, {SETS("option<string>")}},
    {REQUEST("scheme"), get_scheme, {GETS(SCHEME)}},
    {REQUEST("set-scheme"), set_scheme, {SETS(SCHEME)}},
    {REQUEST("authority"), get_authority, {GETS("option<string>")}},
    {REQUEST("set-authority"), set_authority, {SETS("option<string>")}},
    {REQUEST("headers"), get_headers, {GETS("own<fields>")}},
    {BODY("write"), body_write, {"func(borrow<outgoing-body>) -> result<own<output-stream>>"}},
    {"[static]outgoing-body.finish",
     NAME ".[static]outgoing-body.finish",
     body_finish,
     {"func(own<outgoing-body>, option<own<fields>>) -> result<_, " WASI_HTTP_CODES ">"}},
    {"[constructor]request-options",
     NAME ".[constructor]request-options",
     options_new,
     {"func() -> own<request-options>"}},
    {OPTIONS("connect-timeout"), get_connect, {GETS_TIMEOUT}},
    {OPTIONS("set-connect-timeout"), set_connect, {SETS_TIMEOUT}},
    {OPTIONS("first-byte-timeout"), get_first_byte, {GETS_TIMEOUT}},
    {OPTIONS("set-first-byte-timeout"), set_first_byte, {SETS_TIMEOUT}},
    {OPTIONS("between-bytes-timeout"), get_between_bytes, {GETS_TIMEOUT}},
    {OPTIONS("set-between-bytes-timeout"), set_between_bytes, {SETS_TIMEOUT}},
};
const struct host_interface wasi_http_request = {NAME, functions, COUNT_OF(functions)};

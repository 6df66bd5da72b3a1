// SPDX-License-Identifier: Apache-2.0
// wasi:http/types: what a request is made of. A body is kept until it is finished, and then sent as
// a whole.
#include <stdlib.h>

#include "host/wasi_http.h"
#include "io/http_field.h"

enum { OTHER_METHOD = 9, OTHER_SCHEME = 2, TEXT_MOST_BYTES = 64 * 1024 };
enum { BODY_BYTES_MOST = 64 * 1024 * 1024 };  // of all requests of an actor that are not sent

// ---- outgoing-request
// ------------------------------------------------------------------------------

void wasi_http_request_free(struct wasi_http_request *request) {
    if (request->body != NULL) {
        wasi_http_body_unref(request->body);
    }
    wasi_fields_unref(request->headers);
    bytes_unref(request->other_method);
    bytes_unref(request->other_scheme);
    bytes_unref(request->path);
    bytes_unref(request->authority);
    free(request);
}

static void release_request(void *object) {
    wasi_http_request_free(object);
}

static bool request_new(struct component_call *call, const struct value *args,
                        struct value *result) {
    struct wasi_slot headers;
    if (!wasi_take(call, &args[0], WASI_FIELDS, &headers)) {
        return false;
    }
    struct wasi_http_request *request = xcalloc(1, sizeof *request);
    request->headers = headers.object;
    return wasi_add(
        call,
        (struct wasi_slot){
            .kind = WASI_OUTGOING_REQUEST, .object = request, .release = release_request},
        result);
}

static struct wasi_http_request *request_of(struct component_call *call,
                                            const struct value *borrow) {
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
    return text.size <= TEXT_MOST_BYTES && io_http_is_token(text);
}

static bool get_method(struct component_call *call, const struct value *args,
                       struct value *result) {
    const struct wasi_http_request *request = request_of(call, &args[0]);
    return request != NULL && give_case(call, request->method, request->other_method, result);
}

static bool set_method(struct component_call *call, const struct value *args,
                       struct value *result) {
    struct wasi_http_request *request = request_of(call, &args[0]);
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
    const struct wasi_http_request *request = request_of(call, &args[0]);
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
    struct wasi_http_request *request = request_of(call, &args[0]);
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
    const struct wasi_http_request *request = request_of(call, &args[0]);
    return request != NULL && give_text(call, request->path, result);
}

static bool set_path(struct component_call *call, const struct value *args, struct value *result) {
    struct wasi_http_request *request = request_of(call, &args[0]);
    return request != NULL && set_text(&args[1], &request->path, result);
}

static bool get_authority(struct component_call *call, const struct value *args,
                          struct value *result) {
    const struct wasi_http_request *request = request_of(call, &args[0]);
    return request != NULL && give_text(call, request->authority, result);
}

static bool set_authority(struct component_call *call, const struct value *args,
                          struct value *result) {
    struct wasi_http_request *request = request_of(call, &args[0]);
    return request != NULL && set_text(&args[1], &request->authority, result);
}

static bool get_headers(struct component_call *call, const struct value *args,
                        struct value *result) {
    struct wasi_http_request *request = request_of(call, &args[0]);
    return request != NULL && wasi_add_fields(call, request->headers, true, result);
}

// ---- outgoing-body
// ---------------------------------------------------------------------------------

void wasi_http_body_unref(struct wasi_http_body *body) {
    if (--body->references > 0) {
        return;
    }
    *body->held -= body->content.size;
    buf_release(&body->content);
    free(body);
}

static void release_stream(void *object) {
    wasi_http_body_unref(CONTAINER_OF((struct wasi_sink *)object, struct wasi_http_body, sink));
}

// The future hears no more of the body.
static void leave_future(struct wasi_http_body *body, enum wasi_http_code failure) {
    struct wasi_http_future *future = body->future;
    body->future = NULL;
    if (future != NULL) {
        future->failure = failure;
        wasi_http_future_unref(future);
    }
}

// Dropped, not finished: the request is never sent.
static void release_body(void *object) {
    struct wasi_http_body *body = object;
    body->is_dropped = true;
    leave_future(body, WASI_HTTP_PROTOCOL_ERROR);
    wasi_http_body_unref(body);
}

static enum wasi_outcome write_body(struct wasi_sink *sink, struct component_call *call,
                                    struct slice content, enum wasi_failure *failure) {
    struct wasi_http_body *body = CONTAINER_OF(sink, struct wasi_http_body, sink);
    (void)call;
    if (body->is_finished) {
        return WASI_CLOSED;
    }
    if (content.size > BODY_BYTES_MOST - *body->held) {
        body->is_over = true;
        *failure = WASI_QUOTA;
        return WASI_FAILED;
    }
    buf_append_slice(&body->content, content);
    *body->held += content.size;
    return WASI_DONE;
}

static bool get_body(struct component_call *call, const struct value *args, struct value *result) {
    struct wasi_http_request *request = request_of(call, &args[0]);
    if (request == NULL) {
        return false;
    }
    if (request->body != NULL) {
        return answer(false, result);
    }
    struct wasi_http_body *body = xcalloc(1, sizeof *body);
    body->sink.write = write_body;
    body->references = 2;
    body->held = &host_state_of(host_self(call))->http_body_bytes;
    request->body = body;
    struct value own;
    return wasi_add(call,
                    (struct wasi_slot){
                        .kind = WASI_OUTGOING_BODY, .object = body, .release = release_body},
                    &own) &&
           host_ok_value(call, own, result);
}

static bool body_write(struct component_call *call, const struct value *args,
                       struct value *result) {
    struct wasi_slot *slot = wasi_get(call, &args[0], WASI_OUTGOING_BODY);
    if (slot == NULL) {
        return false;
    }
    if (slot->number != 0) {
        return answer(false, result);
    }
    slot->number = 1;  // the one stream was given
    struct wasi_http_body *body = slot->object;
    body->references++;
    struct value own;
    return wasi_add(
               call,
               (struct wasi_slot){
                   .kind = WASI_OUTPUT_STREAM, .object = &body->sink, .release = release_stream},
               &own) &&
           host_ok_value(call, own, result);
}

// Says that the request is not sent, to those who wait for its response too.
static bool fail_body(struct component_call *call, struct wasi_http_body *body,
                      enum wasi_http_code code, struct value *result) {
    leave_future(body, code);
    wasi_http_body_unref(body);
    struct value *item = host_alloc(call, 1, sizeof *item);
    *result = (struct value){.items = item, .which = 1};
    return item != NULL && wasi_http_give_code(call, code, item);
}

// Takes the trailers, which are not sent: whether there are any. False: trapped.
static bool take_trailers(struct component_call *call, const struct value *option, bool *any) {
    struct wasi_slot slot;
    *any = false;
    if (option->which == 0) {
        return true;
    }
    if (!wasi_take(call, option->items, WASI_FIELDS, &slot)) {
        return false;
    }
    struct wasi_fields *fields = slot.object;
    *any = fields->count > 0;
    wasi_fields_unref(fields);
    return true;
}

static bool body_finish(struct component_call *call, const struct value *args,
                        struct value *result) {
    struct wasi_slot slot;
    bool has_trailers = false;
    if (!take_trailers(call, &args[1], &has_trailers) ||
        !wasi_take(call, &args[0], WASI_OUTGOING_BODY, &slot)) {
        return false;
    }
    struct wasi_http_body *body = slot.object;
    body->is_finished = true;
    if (body->is_over) {
        return fail_body(call, body, WASI_HTTP_REQUEST_BODY_SIZE, result);
    }
    if (has_trailers) {
        return fail_body(call, body, WASI_HTTP_PROTOCOL_ERROR, result);
    }
    struct wasi_http_future *future = body->future;
    body->future = NULL;
    wasi_http_body_unref(body);
    bool good = true;
    if (future != NULL) {
        good = wasi_http_send(call, future);
        wasi_http_future_unref(future);
    }
    return good && host_ok(result);
}

// ---- request-options
// -------------------------------------------------------------------------------

static bool options_new(struct component_call *call, const struct value *args,
                        struct value *result) {
    (void)args;
    return wasi_add(call,
                    (struct wasi_slot){.kind = WASI_REQUEST_OPTIONS,
                                       .object = xcalloc(1, sizeof(struct wasi_http_options)),
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
    const struct wasi_http_options *options = slot->object;
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
    struct wasi_http_options *options = slot->object;
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

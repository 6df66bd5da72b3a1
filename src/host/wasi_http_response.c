// SPDX-License-Identifier: Apache-2.0
// wasi:http/types: what comes of a request. A response is there as a whole when its future is
// ready, so that its body is always ready too; trailers are left out.
#include <stdlib.h>

#include "host/wasi_http.h"

// An input-stream over a body.
struct body_stream {
    struct wasi_source source;
    struct io_http_transfer *transfer;  // keeps
    size_t offset;
};

// ---- error-code
// ----------------------------------------------------------------------------------

bool wasi_http_give_code(struct component_call *call, enum wasi_http_code code, struct value *out) {
    // The largest of what a case holds: a record of two options, all none.
    struct value *nothing = host_alloc(call, 3, sizeof *nothing);
    if (nothing == NULL) {
        return false;
    }
    bool is_record = code == WASI_HTTP_DNS_ERROR;
    bool is_option = code == WASI_HTTP_REQUEST_BODY_SIZE ||
                     code == WASI_HTTP_RESPONSE_HEADERS_SIZE ||
                     code == WASI_HTTP_RESPONSE_BODY_SIZE || code == WASI_HTTP_INTERNAL_ERROR;
    if (is_record) {
        nothing[0] = (struct value){.items = &nothing[1], .count = 2};
    }
    *out = (struct value){.items = is_record || is_option ? nothing : NULL, .which = code};
    return true;
}

static enum wasi_http_code code_of(const struct wasi_http_future *future) {
    if (future->failure != WASI_HTTP_NO_ERROR) {
        return future->failure;
    }
    static const enum wasi_http_code codes[IO_HTTP_FAILURE_COUNT] = {
        [IO_HTTP_NONE] = WASI_HTTP_NO_ERROR,
        [IO_HTTP_DENIED] = WASI_HTTP_DENIED,
        [IO_HTTP_TIMEOUT] = WASI_HTTP_RESPONSE_TIMEOUT,
        [IO_HTTP_CONNECT_TIMEOUT] = WASI_HTTP_CONNECTION_TIMEOUT,
        [IO_HTTP_READ_TIMEOUT] = WASI_HTTP_READ_TIMEOUT,
        [IO_HTTP_NOT_RESOLVED] = WASI_HTTP_DNS_ERROR,
        [IO_HTTP_REFUSED] = WASI_HTTP_CONNECTION_REFUSED,
        [IO_HTTP_UNREACHABLE] = WASI_HTTP_DESTINATION_UNAVAILABLE,
        [IO_HTTP_TLS] = WASI_HTTP_TLS_PROTOCOL,
        [IO_HTTP_CERTIFICATE] = WASI_HTTP_TLS_CERTIFICATE,
        [IO_HTTP_CLOSED] = WASI_HTTP_RESPONSE_INCOMPLETE,
        [IO_HTTP_BAD_RESPONSE] = WASI_HTTP_PROTOCOL_ERROR,
        [IO_HTTP_RESPONSE_SIZE] = WASI_HTTP_RESPONSE_BODY_SIZE,
        [IO_HTTP_RESPONSE_HEADERS] = WASI_HTTP_RESPONSE_HEADERS_SIZE,
        [IO_HTTP_REDIRECTS] = WASI_HTTP_PROTOCOL_ERROR,
        [IO_HTTP_BAD_REDIRECT] = WASI_HTTP_PROTOCOL_ERROR,
        [IO_HTTP_NO_ROOM] = WASI_HTTP_LIMIT_REACHED,
        [IO_HTTP_CANCELLED] = WASI_HTTP_CONNECTION_TERMINATED,
        [IO_HTTP_STOPPING] = WASI_HTTP_CONNECTION_TERMINATED,
        [IO_HTTP_FAILED] = WASI_HTTP_INTERNAL_ERROR};
    return codes[io_http_failure(future->transfer)];
}

// ---- future-incoming-response
// --------------------------------------------------------------------

static bool future_subscribe(struct component_call *call, const struct value *args,
                             struct value *result) {
    const struct wasi_slot *slot = wasi_get(call, &args[0], WASI_FUTURE_RESPONSE);
    return slot != NULL && wasi_add_future_pollable(call, slot->object, result);
}

static void release_transfer(void *object) {
    io_http_transfer_unref(object);
}

// ok(own<incoming-response>) or err(error-code).
static bool give_outcome(struct component_call *call, struct wasi_http_future *future,
                         struct value *out) {
    struct value *item = host_alloc(call, 1, sizeof *item);
    if (item == NULL) {
        return false;
    }
    enum wasi_http_code code = code_of(future);
    *out = (struct value){.items = item, .which = code == WASI_HTTP_NO_ERROR ? 0 : 1};
    if (code != WASI_HTTP_NO_ERROR) {
        return wasi_http_give_code(call, code, item);
    }
    return wasi_add(call,
                    (struct wasi_slot){.kind = WASI_INCOMING_RESPONSE,
                                       .object = io_http_transfer_ref(future->transfer),
                                       .release = release_transfer},
                    item);
}

static bool future_get(struct component_call *call, const struct value *args,
                       struct value *result) {
    struct wasi_slot *slot = wasi_get(call, &args[0], WASI_FUTURE_RESPONSE);
    struct value *items = slot != NULL ? host_alloc(call, 2, sizeof *items) : NULL;
    if (items == NULL) {
        return false;
    }
    struct wasi_http_future *future = slot->object;
    bool is_ready = wasi_http_future_is_ready(future);
    *result = (struct value){.items = is_ready ? items : NULL, .which = is_ready};
    items[0] = (struct value){.items = NULL, .which = 1};  // it was taken before
    if (!is_ready || future->was_taken) {
        return true;
    }
    future->was_taken = true;
    items[0] = (struct value){.items = &items[1], .which = 0};
    return give_outcome(call, future, &items[1]);
}

// ---- incoming-response
// ---------------------------------------------------------------------------

static const struct io_http_response *response_of(struct component_call *call,
                                                  const struct value *borrow) {
    const struct wasi_slot *slot = wasi_get(call, borrow, WASI_INCOMING_RESPONSE);
    return slot != NULL ? io_http_response(slot->object) : NULL;
}

static bool response_status(struct component_call *call, const struct value *args,
                            struct value *result) {
    const struct io_http_response *response = response_of(call, &args[0]);
    if (response == NULL) {
        return false;
    }
    *result = (struct value){.bits = response->status};
    return true;
}

static bool response_headers(struct component_call *call, const struct value *args,
                             struct value *result) {
    const struct io_http_response *response = response_of(call, &args[0]);
    if (response == NULL) {
        return false;
    }
    struct wasi_fields *fields = wasi_fields_of(response);
    bool good = wasi_add_fields(call, fields, true, result);
    wasi_fields_unref(fields);
    return good;
}

// The one body of a response, or the one stream of a body: the slot of `kind` notes that it was
// given. NULL: *good as the answer, which is an error the second time.
static struct io_http_transfer *give_once(struct component_call *call, const struct value *borrow,
                                          enum wasi_kind kind, struct value *result, bool *good) {
    struct wasi_slot *slot = wasi_get(call, borrow, kind);
    *good = slot != NULL;
    if (slot == NULL || slot->number != 0) {
        *result = (struct value){.items = NULL, .which = 1};
        return NULL;
    }
    slot->number = 1;
    return io_http_transfer_ref(slot->object);
}

static bool response_consume(struct component_call *call, const struct value *args,
                             struct value *result) {
    bool good = false;
    struct io_http_transfer *transfer =
        give_once(call, &args[0], WASI_INCOMING_RESPONSE, result, &good);
    if (transfer == NULL) {
        return good;
    }
    struct value own;
    return wasi_add(
               call,
               (struct wasi_slot){
                   .kind = WASI_INCOMING_BODY, .object = transfer, .release = release_transfer},
               &own) &&
           host_ok_value(call, own, result);
}

// ---- incoming-body
// -------------------------------------------------------------------------------

static enum wasi_outcome read_body(struct wasi_source *source, struct component_call *call,
                                   uint64_t most, struct slice *out, enum wasi_failure *failure) {
    (void)failure;
    struct body_stream *stream = CONTAINER_OF(source, struct body_stream, source);
    struct slice body = io_http_response(stream->transfer)->body;
    size_t left = body.size - stream->offset;
    if (left == 0) {
        return WASI_CLOSED;
    }
    struct value copy;
    size_t size = most < left ? (size_t)most : left;
    if (!host_copy(call, slice_of(body.data + stream->offset, size), &copy)) {
        return WASI_TRAPPED;
    }
    stream->offset += size;
    *out = host_bytes(&copy);
    return WASI_DONE;
}

static void release_stream(void *object) {
    struct body_stream *stream =
        CONTAINER_OF((struct wasi_source *)object, struct body_stream, source);
    io_http_transfer_unref(stream->transfer);
    free(stream);
}

static bool body_stream(struct component_call *call, const struct value *args,
                        struct value *result) {
    bool good = false;
    struct io_http_transfer *transfer =
        give_once(call, &args[0], WASI_INCOMING_BODY, result, &good);
    if (transfer == NULL) {
        return good;
    }
    struct body_stream *stream = xcalloc(1, sizeof *stream);
    stream->source.read = read_body;
    stream->transfer = transfer;
    struct value own;
    return wasi_add(
               call,
               (struct wasi_slot){
                   .kind = WASI_INPUT_STREAM, .object = &stream->source, .release = release_stream},
               &own) &&
           host_ok_value(call, own, result);
}

static bool body_finish(struct component_call *call, const struct value *args,
                        struct value *result) {
    struct wasi_slot slot;
    if (!wasi_take(call, &args[0], WASI_INCOMING_BODY, &slot)) {
        return false;
    }
    slot.release(slot.object);
    return wasi_add(call, (struct wasi_slot){.kind = WASI_FUTURE_TRAILERS}, result);
}

// ---- future-trailers
// -----------------------------------------------------------------------------

static bool trailers_subscribe(struct component_call *call, const struct value *args,
                               struct value *result) {
    return wasi_get(call, &args[0], WASI_FUTURE_TRAILERS) != NULL &&
           wasi_add_pollable(call, 0, result);
}

// There are none; the second time they were taken.
static bool trailers_get(struct component_call *call, const struct value *args,
                         struct value *result) {
    struct wasi_slot *slot = wasi_get(call, &args[0], WASI_FUTURE_TRAILERS);
    struct value *items = slot != NULL ? host_alloc(call, 3, sizeof *items) : NULL;
    if (items == NULL) {
        return false;
    }
    items[2] = (struct value){.items = NULL, .which = 0};
    items[1] = (struct value){.items = &items[2], .which = 0};
    items[0] = slot->number != 0 ? (struct value){.items = NULL, .which = 1}
                                 : (struct value){.items = &items[1], .which = 0};
    slot->number = 1;
    *result = (struct value){.items = items, .which = 1};
    return true;
}

#define NAME "wasi:http/types"
#define METHOD(name) "[method]" name, NAME ".[method]" name

static const struct host_function functions[] = {
    {METHOD("future-incoming-response.subscribe"),
     future_subscribe,
     {"func(borrow<future-incoming-response>) -> own<pollable>"}},
    {METHOD("future-incoming-response.get"),
     future_get,
     {"func(borrow<future-incoming-response>) -> "
      "option<result<result<own<incoming-response>, " WASI_HTTP_CODES ">>>"}},
    {METHOD("incoming-response.status"),
     response_status,
     {"func(borrow<incoming-response>) -> u16"}},
    {METHOD("incoming-response.headers"),
     response_headers,
     {"func(borrow<incoming-response>) -> own<fields>"}},
    {METHOD("incoming-response.consume"),
     response_consume,
     {"func(borrow<incoming-response>) -> result<own<incoming-body>>"}},
    {METHOD("incoming-body.stream"),
     body_stream,
     {"func(borrow<incoming-body>) -> result<own<input-stream>>"}},
    {"[static]incoming-body.finish",
     NAME ".[static]incoming-body.finish",
     body_finish,
     {"func(own<incoming-body>) -> own<future-trailers>"}},
    {METHOD("future-trailers.subscribe"),
     trailers_subscribe,
     {"func(borrow<future-trailers>) -> own<pollable>"}},
    {METHOD("future-trailers.get"),
     trailers_get,
     {"func(borrow<future-trailers>) -> option<result<result<option<own<fields>>, " WASI_HTTP_CODES
      ">>>"}},
};
const struct host_interface wasi_http_response = {NAME, functions, COUNT_OF(functions)};

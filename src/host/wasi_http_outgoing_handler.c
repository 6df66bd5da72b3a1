// SPDX-License-Identifier: Apache-2.0
// wasi:http/outgoing-handler, and the sending of what it was given.
//
// A request is sent when its body is complete: by `handle`, or later by outgoing-body.finish. That
// is a wait of a moment, so that it is in the chain before anything goes out; the exchange is then
// under way by itself, and its future ready when the whole response is there. Redirects are
// responses here: following them is the guest's business, and so each hop is a request of its own,
// held against the permissions.
#include <stdlib.h>

#include "host/http.h"
#include "host/wasi_http.h"

enum { OTHER_METHOD = 9, SCHEME_HTTP = 0, SCHEME_HTTPS = 1 };

// ---- futures
// -------------------------------------------------------------------------------------

struct wasi_http_future *wasi_http_future_ref(struct wasi_http_future *future) {
    future->references++;
    return future;
}

void wasi_http_future_unref(struct wasi_http_future *future) {
    if (--future->references > 0) {
        return;
    }
    if (future->transfer != NULL) {
        io_http_cancel(future->transfer);
        io_http_transfer_unref(future->transfer);
    }
    if (future->request != NULL) {
        wasi_http_request_free(future->request);
    }
    free(future);
}

bool wasi_http_future_is_ready(const struct wasi_http_future *future) {
    return future->failure != WASI_HTTP_NO_ERROR ||
           (future->transfer != NULL && io_http_is_done(future->transfer));
}

static void release_future(void *object) {
    wasi_http_future_unref(object);
}

bool wasi_add_future_pollable(struct component_call *call, struct wasi_http_future *future,
                              struct value *own) {
    return wasi_add(call,
                    (struct wasi_slot){.kind = WASI_POLLABLE,
                                       .object = wasi_http_future_ref(future),
                                       .release = release_future},
                    own);
}

// ---- sending
// -------------------------------------------------------------------------------------

// Begins an exchange; done as soon as it is begun.
struct start {
    struct actor_job job;
    struct io_http_client *client;
    struct io_http_transfer *transfer;  // keeps
};

static void begin(struct actor_job *job) {
    struct start *start = CONTAINER_OF(job, struct start, job);
    io_http_start(start->client, start->transfer);
    actor_job_done(job);
}

static void cancel(struct actor_job *job) {
    io_http_cancel(CONTAINER_OF(job, struct start, job)->transfer);
}

static void release_start(struct actor_job *job) {
    struct start *start = CONTAINER_OF(job, struct start, job);
    io_http_transfer_unref(start->transfer);
    free(start);
}

static bool start(struct component_call *call, struct wasi_http_future *future) {
    struct actor *self = host_self(call);
    struct start *start = xcalloc(1, sizeof *start);
    actor_job_init(&start->job, NULL, release_start);
    start->job.begin = begin;
    start->job.cancel = cancel;
    start->client = host_services(self)->http_client;
    start->transfer = io_http_transfer_ref(future->transfer);
    struct error error = {0};
    enum status status = actor_run_job(self, &start->job, &error);
    if (status != OK) {
        // The actor is stopping.
        io_http_transfer_unref(future->transfer);
        future->transfer = NULL;
        (void)component_call_trap(call, "wasi:http: %s", error.message);
    }
    actor_job_unref(&start->job);
    return status == OK;
}

static struct slice method_of(const struct wasi_http_request *request) {
    static const char *const names[OTHER_METHOD] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                                    "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    return request->method == OTHER_METHOD ? bytes_slice(request->other_method)
                                           : slice_text(names[request->method]);
}

// False: it is none.
static bool url_of(const struct wasi_http_request *request, struct buf *out) {
    struct slice path = bytes_slice(request->path);
    bool is_known =
        !request->has_scheme || request->scheme == SCHEME_HTTP || request->scheme == SCHEME_HTTPS;
    struct slice authority = bytes_slice(request->authority);
    // What does not begin like a path would go on with the authority.
    bool is_path = path.size == 0 || path.data[0] == '/' || path.data[0] == '?';
    bool is_http = request->has_scheme && request->scheme == SCHEME_HTTP;
    buf_append_text(out, is_http ? "http://" : "https://");
    buf_append_slice(out, authority);
    buf_append_slice(out, path);
    return is_known && is_path && authority.size > 0 &&
           memchr(authority.data, '/', authority.size) == NULL &&
           memchr(authority.data, '?', authority.size) == NULL &&
           memchr(authority.data, '#', authority.size) == NULL;
}

static uint64_t milliseconds(const struct wasi_http_options *options, int which) {
    uint64_t ms = options->duration_ns[which] / 1000000U;
    return !options->has[which] ? 0 : ms == 0 ? 1 : ms;
}

static enum wasi_http_code make_transfer(struct component_call *call,
                                         struct wasi_http_future *future,
                                         const struct io_http_header *headers,
                                         struct slice url_text) {
    const struct wasi_http_request *request = future->request;
    const struct permissions *permissions = actor_permissions(host_self(call));
    struct io_http_ask ask = {.method = method_of(request),
                              .url = url_text,
                              .headers = headers,
                              .header_count = request->headers->count,
                              .most_response_bytes = permissions->http_client.max_response_bytes,
                              .timeout_ms = permissions->http_client.timeout_ms,
                              .connect_timeout_ms = milliseconds(&future->options, 0),
                              .first_byte_timeout_ms = milliseconds(&future->options, 1),
                              .between_bytes_timeout_ms = milliseconds(&future->options, 2)};
    struct io_url url;
    if (io_url_parse(url_text, &url, NULL) != OK) {
        return WASI_HTTP_URI_INVALID;
    }
    struct error error = {0};
    enum wasi_http_code code = WASI_HTTP_NO_ERROR;
    if (host_http_permit(permissions, ask.method, &url, &error) != OK) {
        struct error denied = {0};
        (void)actor_denied(host_self(call), PERMISSION_HTTP_CLIENT, &denied, "%s", error.message);
        code = WASI_HTTP_DENIED;
    }
    io_url_release(&url);
    if (code == WASI_HTTP_NO_ERROR) {
        ask.body = request->body != NULL ? bytes_copy(buf_slice(&request->body->content)) : NULL;
        bool good = io_http_transfer_new(&ask, &future->transfer, NULL) == OK;
        bytes_unref(ask.body);
        code = good ? WASI_HTTP_NO_ERROR : WASI_HTTP_PROTOCOL_ERROR;
    }
    return code;
}

// Gives why it cannot be sent, or WASI_HTTP_NO_ERROR with a transfer, or without one when there was
// no room (trapped).
static enum wasi_http_code prepare(struct component_call *call, struct wasi_http_future *future) {
    const struct wasi_fields *fields = future->request->headers;
    struct io_http_header *headers = host_alloc(call, fields->count, sizeof *headers);
    if (headers == NULL) {
        return WASI_HTTP_NO_ERROR;
    }
    for (uint32_t i = 0; i < fields->count; i++) {
        headers[i] = (struct io_http_header){bytes_slice(fields->items[i].name),
                                             bytes_slice(fields->items[i].value)};
    }
    struct buf url = {0};
    enum wasi_http_code code = url_of(future->request, &url)
                                   ? make_transfer(call, future, headers, buf_slice(&url))
                                   : WASI_HTTP_URI_INVALID;
    buf_release(&url);
    return code;
}

bool wasi_http_send(struct component_call *call, struct wasi_http_future *future) {
    future->failure = prepare(call, future);
    wasi_http_request_free(future->request);
    future->request = NULL;
    return future->failure != WASI_HTTP_NO_ERROR ||
           (future->transfer != NULL && start(call, future));
}

// ---- handle
// --------------------------------------------------------------------------------------

static bool may_send(struct component_call *call) {
    struct actor *self = host_self(call);
    const struct host_services *services = host_services(self);
    return manifest_find_handler(actor_manifest(self), HANDLER_HTTP_CLIENT) != NULL &&
           services != NULL && services->http_client != NULL;
}

static bool refuse(struct component_call *call, struct wasi_http_future *future,
                   enum wasi_http_code code, struct value *result) {
    wasi_http_future_unref(future);
    struct value *item = host_alloc(call, 1, sizeof *item);
    *result = (struct value){.items = item, .which = 1};
    return item != NULL && wasi_http_give_code(call, code, item);
}

static bool handle(struct component_call *call, const struct value *args, struct value *result) {
    struct wasi_slot request, options = {.object = NULL};
    if (!wasi_take(call, &args[0], WASI_OUTGOING_REQUEST, &request)) {
        return false;
    }
    struct wasi_http_future *future = xcalloc(1, sizeof *future);
    future->references = 1;
    future->request = request.object;
    future->failure = WASI_HTTP_NO_ERROR;
    if (args[1].which == 1 && !wasi_take(call, args[1].items, WASI_REQUEST_OPTIONS, &options)) {
        wasi_http_future_unref(future);
        return false;
    }
    if (options.object != NULL) {
        future->options = *(struct wasi_http_options *)options.object;
        options.release(options.object);
    }
    if (!may_send(call)) {
        return refuse(call, future, WASI_HTTP_DENIED, result);
    }
    struct wasi_http_body *body = future->request->body;
    if (body != NULL && body->is_dropped) {
        return refuse(call, future, WASI_HTTP_PROTOCOL_ERROR, result);
    }
    if (body != NULL && !body->is_finished) {
        body->future = wasi_http_future_ref(future);
    } else if (!wasi_http_send(call, future)) {
        wasi_http_future_unref(future);
        return false;
    }
    if (future->failure != WASI_HTTP_NO_ERROR) {
        return refuse(call, future, future->failure, result);
    }
    struct value own;
    return wasi_add(call,
                    (struct wasi_slot){
                        .kind = WASI_FUTURE_RESPONSE, .object = future, .release = release_future},
                    &own) &&
           host_ok_value(call, own, result);
}

static const struct host_function functions[] = {
    {"handle",
     "wasi:http/outgoing-handler.handle",
     handle,
     {"func(own<outgoing-request>, option<own<request-options>>) -> "
      "result<own<future-incoming-response>, " WASI_HTTP_CODES ">"}},
};
const struct host_interface wasi_http_outgoing_handler = {"wasi:http/outgoing-handler", functions,
                                                          COUNT_OF(functions)};

// SPDX-License-Identifier: Apache-2.0
// theater:simple/http-handlers: requests on their way to the guest. A request that has a route
// becomes one call of handle-middleware for each middleware of its path, in their order, and then
// one of handle-request; each is an event of the actor (actor/actor.h), and what it returns decides
// how it goes on. The opening of a WebSocket goes the same way, and in the end to websocket.c. The
// loop never waits: an actor that is busy lets the events wait in its mailbox,
// and a full mailbox is answered with 503.
#include <stdlib.h>

#include "base/log.h"
#include "host/http_framework.h"

static const char param_prefix[] = "X-Route-Param-";

// What the guest gets: at first pointing into the exchange's request, after a middleware into
// `replaced`.
struct web_message {
    struct slice method, uri;
    uint32_t header_count;
    struct http_header *headers;  // owned
    bool has_body;
    struct slice body;
};

struct web_request {
    struct actor_event event;
    struct web_server *server;  // a reference
    struct http_exchange *exchange;
    struct web_message message;
    struct buf params;  // owned: names and values of the route's parameters
    uint8_t *replaced;  // owned: all texts of `message`, once a middleware gave it; or NULL
    uint64_t handler;
    bool is_socket;  // the opening of a WebSocket, of this route:
    struct websocket_route route;
    struct io_post post;
    struct actor_hold hold;  // of the response below
    struct http_response held;
    uint32_t middleware_count, middleware_done;
    uint64_t middleware[HTTP_PREFIXES_MOST];
};

// ---- answers
// -------------------------------------------------------------------------------------

// What becomes of the exchange is decided.
static void release(struct web_request *request) {
    free(request->message.headers);
    free(request->replaced);
    buf_release(&request->params);
    web_server_unref(request->server);
    free(request);
}

static void make_failure(struct http_response *response, enum status status);

static void respond_held(struct actor_hold *hold, bool is_durable) {
    struct web_request *request = CONTAINER_OF(hold, struct web_request, hold);
    if (!is_durable) {
        http_response_release(&request->held);
        request->held = (struct http_response){0};
        make_failure(&request->held, ERR_IO);
    }
    http_exchange_respond(request->exchange, &request->held);
    release(request);
}

static void finish(struct web_request *request, struct http_response *response) {
    request->held = *response;
    actor_hold_event(request->server->actor, &request->event, &request->hold, respond_held);
}

static void add_field(struct http_response *response, const char *name, struct slice value) {
    if (http_response_add(response, slice_text(name), value, NULL) != OK) {
        fatal("a header field of the host's own is refused: %s", name);
    }
}

// Why the guest was not called, or did not answer. Nothing of it is for the client.
static void make_failure(struct http_response *response, enum status status) {
    if (status == ERR_BUSY) {
        http_response_set_text(response, 503, "too many requests are waiting");
        add_field(response, "Retry-After", slice_text("1"));
    } else if (status == ERR_CLOSED || status == ERR_STOPPING) {
        http_response_set_text(response, 503, "the server is being stopped");
        add_field(response, "Retry-After", slice_text("1"));
        response->closes = true;
    } else {
        http_response_set_text(response, 500, "the request could not be handled");
    }
}

static void fail(struct web_request *request, enum status status) {
    struct http_response response = {0};
    make_failure(&response, status);
    finish(request, &response);
}

static void answer_now(struct http_exchange *exchange, uint16_t status, const char *text,
                       struct slice allow) {
    struct http_response response = {0};
    http_response_set_text(&response, status, text);
    if (allow.size > 0) {
        add_field(&response, "Allow", allow);
    }
    http_exchange_respond(exchange, &response);
}

// ---- to the guest
// --------------------------------------------------------------------------------

static struct value text_value(struct slice text) {
    return (struct value){.bytes = text.data, .count = (uint32_t)text.size};
}

static struct value *values(struct arena *arena, uint64_t count) {
    return arena_calloc(arena, count, sizeof(struct value), _Alignof(struct value));
}

// record{method, uri, headers, body}
static struct value request_value(const struct web_message *message, struct arena *arena) {
    struct value *fields = values(arena, 4);
    struct value *headers = values(arena, message->header_count);
    struct value *pairs = values(arena, 2 * (uint64_t)message->header_count);
    for (uint32_t i = 0; i < message->header_count; i++) {
        pairs[2 * i] = text_value(message->headers[i].name);
        pairs[2 * i + 1] = text_value(message->headers[i].value);
        headers[i] = (struct value){.items = &pairs[2 * i], .count = 2};
    }
    fields[0] = text_value(message->method);
    fields[1] = text_value(message->uri);
    fields[2] = (struct value){.items = headers, .count = message->header_count};
    if (message->has_body) {
        struct value *body = values(arena, 1);
        *body = text_value(message->body);
        fields[3] = (struct value){.items = body, .which = 1};
    }
    return (struct value){.items = fields, .count = 4};
}

static void fill(struct actor_event *event, struct arena *arena, struct value *tuple) {
    struct web_request *request = CONTAINER_OF(event, struct web_request, event);
    bool is_middleware = event->kind == ACTOR_HTTP_MIDDLEWARE;
    tuple[0].bits =
        is_middleware ? request->middleware[request->middleware_done] : request->handler;
    tuple[1] = request_value(&request->message, arena);
}

// ---- from the guest
// ------------------------------------------------------------------------------

static struct slice text_of(const struct value *value) {
    return slice_of(value->bytes, value->count);
}

// `answer` is a record{status, headers, body}.
static enum status read_response(const struct value *answer, struct http_response *response,
                                 struct error *error) {
    uint64_t status = answer->items[0].bits;
    const struct value *headers = &answer->items[1];
    const struct value *body = &answer->items[2];
    if (status < 200 || status > 599) {
        return error_set(error, ERR_INVALID, "the answer's status is %llu, which is none",
                         (unsigned long long)status);
    }
    response->status = (uint16_t)status;
    for (uint32_t i = 0; i < headers->count; i++) {
        const struct value *pair = headers->items[i].items;
        enum status added =
            http_response_add(response, text_of(&pair[0]), text_of(&pair[1]), error);
        if (added != OK) {
            return added;
        }
    }
    if (body->which == 1) {
        response->body = bytes_copy(text_of(body->items));
    }
    return OK;
}

static void settle_response(struct web_request *request, const struct value *answer) {
    struct http_response response = {0};
    struct error error = {0};
    if (read_response(&answer->items[0], &response, &error) != OK) {
        log_line(LOG_WARNING, "actor %s answered an HTTP request with what cannot be sent: %s",
                 actor_id(request->server->actor), error.message);
        make_failure(&response, ERR_INVALID);
    }
    finish(request, &response);
}

static void take(uint8_t **at, const struct value *text, struct slice *out) {
    *out = slice_of(*at, text->count);
    if (text->count != 0) {
        memcpy(*at, text->bytes, text->count);
        *at += text->count;
    }
}

// The request that a middleware gave, in memory of its own.
static void replace_message(struct web_request *request, const struct value *record) {
    const struct value *fields = record->items;
    const struct value *headers = &fields[2];
    bool has_body = fields[3].which == 1;
    size_t size = 1 + fields[0].count + (size_t)fields[1].count;
    for (uint32_t i = 0; i < headers->count; i++) {
        size += (size_t)headers->items[i].items[0].count + headers->items[i].items[1].count;
    }
    size += has_body ? fields[3].items->count : 0;
    struct web_message message = {.has_body = has_body, .header_count = headers->count};
    uint8_t *at = xmalloc(size);
    uint8_t *start = at;
    message.headers = xcalloc(headers->count + 1, sizeof *message.headers);
    take(&at, &fields[0], &message.method);
    take(&at, &fields[1], &message.uri);
    for (uint32_t i = 0; i < headers->count; i++) {
        take(&at, &headers->items[i].items[0], &message.headers[i].name);
        take(&at, &headers->items[i].items[1], &message.headers[i].value);
    }
    if (has_body) {
        take(&at, fields[3].items, &message.body);
    }
    free(request->message.headers);
    free(request->replaced);
    request->replaced = start;
    request->message = message;
}

static void go_on(struct web_request *request);

static void settle_middleware(struct web_request *request, const struct value *answer) {
    const struct value *result = &answer->items[0];
    if (result->items[0].bits == 0) {
        struct http_response response = {.status = 403};
        finish(request, &response);
        return;
    }
    replace_message(request, &result->items[1]);
    request->middleware_done++;
    go_on(request);
}

static void settled(struct actor_event *event, enum status status, const struct value *answer,
                    struct slice text) {
    (void)text;
    struct web_request *request = CONTAINER_OF(event, struct web_request, event);
    if (status != OK) {
        fail(request, status);
    } else if (event->kind == ACTOR_HTTP_MIDDLEWARE) {
        settle_middleware(request, answer);
    } else {
        settle_response(request, answer);
    }
}

// ---- from the loop
// -------------------------------------------------------------------------------

static uint32_t message_size(const struct web_request *request) {
    const struct web_message *message = &request->message;
    uint64_t size = message->method.size + message->uri.size + message->body.size;
    for (uint32_t i = 0; i < message->header_count; i++) {
        size += message->headers[i].name.size + message->headers[i].value.size;
    }
    return size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
}

// On the loop.
static void open_socket(struct io_post *post) {
    struct web_request *request = CONTAINER_OF(post, struct web_request, post);
    if (request->server->running == NULL) {
        fail(request, ERR_STOPPING);
        return;
    }
    websockets_accept(request->server->sockets.of, request->exchange, &request->route);
    release(request);
}

// The next middleware, or the handler.
static void go_on(struct web_request *request) {
    struct web_server *server = request->server;
    bool is_middleware = request->middleware_done < request->middleware_count;
    if (!is_middleware && request->is_socket) {
        request->post.run = open_socket;
        io_loop_post(server->loop, &request->post);
        return;
    }
    request->event =
        (struct actor_event){.kind = is_middleware ? ACTOR_HTTP_MIDDLEWARE : ACTOR_HTTP_REQUEST,
                             .instance = server->instance,
                             // A request that was let in is not refused halfway; it has no more
                             // than one event at a time.
                             .is_reserved = request->middleware_done > 0,
                             .size = message_size(request),
                             .fill = fill,
                             .settled = settled};
    enum status status = actor_deliver(server->actor, &request->event, NULL);
    if (status != OK) {
        fail(request, status);
    }
}

// What is between the client and the server only, and what would pass for the server's own words.
static bool is_for_guest(const struct http_header *header) {
    static const char *const kept_back[] = {"connection", "keep-alive", "proxy-connection",
                                            "te",         "trailer",    "transfer-encoding",
                                            "upgrade",    "expect"};
    for (size_t i = 0; i < COUNT_OF(kept_back); i++) {
        if (slice_equal_text(header->name, kept_back[i])) {
            return false;
        }
    }
    return !slice_starts_with(header->name, "x-route-param-");
}

static void add_params(struct web_request *request, const struct http_match *match) {
    size_t size = 0;
    for (uint32_t i = 0; i < match->param_count; i++) {
        size += sizeof param_prefix + match->params[i].name.size + match->params[i].value.size;
    }
    // Slices point into it: it must not move.
    (void)buf_reserve(&request->params, size + 1);
    for (uint32_t i = 0; i < match->param_count; i++) {
        struct http_header *header = &request->message.headers[request->message.header_count++];
        const uint8_t *name = request->params.data + request->params.size;
        buf_append(&request->params, param_prefix, sizeof param_prefix - 1);
        buf_append_slice(&request->params, match->params[i].name);
        header->name = slice_of(name, sizeof param_prefix - 1 + match->params[i].name.size);
        const uint8_t *value = request->params.data + request->params.size;
        buf_append_slice(&request->params, match->params[i].value);
        header->value = slice_of(value, match->params[i].value.size);
    }
}

static struct web_request *new_request(struct web_server *server, struct http_exchange *exchange,
                                       const struct http_match *match) {
    const struct http_request *from = http_exchange_request(exchange);
    struct web_request *request = xcalloc(1, sizeof *request);
    request->server = web_server_ref(server);
    request->exchange = exchange;
    request->handler = match->handler;
    struct web_message *message = &request->message;
    message->method = from->method;
    message->uri = from->target;
    message->has_body = from->has_body;
    message->body = from->body;
    message->headers =
        xcalloc(from->header_count + match->param_count + 1, sizeof *message->headers);
    for (uint32_t i = 0; i < from->header_count; i++) {
        if (is_for_guest(&from->headers[i])) {
            message->headers[message->header_count++] = from->headers[i];
        }
    }
    add_params(request, match);
    return request;
}

void web_on_request(void *context, struct http_exchange *exchange) {
    struct web_server *server = context;
    const struct http_request *from = http_exchange_request(exchange);
    if (slice_equal_text(from->target, "*")) {
        struct http_response response = {.status = 204};
        http_exchange_respond(exchange, &response);
        return;
    }
    struct http_path path;
    if (!http_path_parse(from->target, &path)) {
        http_path_release(&path);
        answer_now(exchange, 400, "the path is refused", slice_of(NULL, 0));
        return;
    }
    struct http_match match;
    struct buf allow = {0};
    struct web_request *request = NULL;
    struct websocket_route route = {0};
    pthread_mutex_lock(&server->lock);
    bool is_socket = web_find_socket(server, &path, &route);
    enum http_match_outcome outcome =
        http_router_find(&server->router, &path, from->method, &match, &allow);
    // Both may have the path: who asks for another protocol gets that.
    is_socket = is_socket && (from->is_upgrade || outcome != HTTP_MATCH);
    if (is_socket) {
        outcome = HTTP_MATCH;
        match = (struct http_match){0};
    }
    if (outcome == HTTP_MATCH) {
        request = new_request(server, exchange, &match);
        request->is_socket = is_socket;
        request->route = is_socket ? route : request->route;
        request->middleware_count =
            http_router_middleware(&server->router, &path, request->middleware);
    }
    pthread_mutex_unlock(&server->lock);
    if (outcome == HTTP_MATCH) {
        go_on(request);
    } else if (outcome == HTTP_NO_METHOD) {
        answer_now(exchange, 405, "there is no route for this method", buf_slice(&allow));
    } else {
        answer_now(exchange, 404, "there is no route for this path", slice_of(NULL, 0));
    }
    buf_release(&allow);
    http_path_release(&path);
}

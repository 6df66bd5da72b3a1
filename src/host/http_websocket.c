// SPDX-License-Identifier: Apache-2.0
// theater:simple/http-framework, its functions about WebSockets: which paths of a server speak it,
// and messages that an actor sends unasked. Those go out on the loop: the call waits as a job,
// which is recorded before and after.
#include <stdlib.h>

#include "host/http_framework.h"
#include "io/loop.h"

enum { PATHS_MOST = 64 };  // of a server

// ---- paths -------------------------------------------------------------------------------------

bool web_find_socket(const struct web_server *server, const struct http_path *path,
                     struct websocket_route *out) {
    struct http_match match;
    struct buf allow = {0};
    bool found = http_router_find(&server->sockets.router, path, slice_text("GET"), &match,
                                  &allow) == HTTP_MATCH;
    if (found) {
        *out = server->sockets.paths[match.handler - 1].route;
    }
    buf_release(&allow);
    return found;
}

void web_sockets_release(struct web_sockets *sockets) {
    for (uint32_t i = 0; i < sockets->count; i++) {
        free(sockets->paths[i].pattern);
    }
    free(sockets->paths);
    http_router_release(&sockets->router);
    websockets_unref(sockets->of);
}

void web_close_sockets(struct web_server *server) {
    pthread_mutex_lock(&server->lock);
    struct websockets *sockets = server->sockets.of;
    pthread_mutex_unlock(&server->lock);
    if (sockets != NULL) {
        websockets_close_server(sockets, server->id);
    }
}

// With the lock held. The number in `paths` of what has the pattern, or of a free one, or `count`.
static uint32_t find_place(const struct web_sockets *sockets, const struct slice *pattern) {
    for (uint32_t i = 0; i < sockets->count; i++) {
        const char *has = sockets->paths[i].pattern;
        if (pattern == NULL ? has == NULL : has != NULL && slice_equal_text(*pattern, has)) {
            return i;
        }
    }
    return sockets->count;
}

// With the lock held.
static enum status add_path(struct web_sockets *sockets, struct slice pattern,
                            const struct websocket_route *route, struct error *error) {
    uint32_t place = find_place(sockets, NULL);
    if (place == PATHS_MOST) {
        return error_set(error, ERR_LIMIT, "a server has at most %d WebSocket paths", PATHS_MOST);
    }
    enum status status =
        http_router_add(&sockets->router, place + 1, pattern, slice_text("GET"), place + 1, error);
    if (status != OK) {
        return status;
    }
    if (sockets->paths == NULL) {
        sockets->paths = xcalloc(PATHS_MOST, sizeof *sockets->paths);
    }
    sockets->paths[place] =
        (struct websocket_path){.pattern = xstrndup(pattern.data, pattern.size), .route = *route};
    sockets->count = place == sockets->count ? place + 1 : sockets->count;
    return OK;
}

static enum status need(struct actor *self, enum actor_event_kind kind, const char *name,
                        struct error *error) {
    return actor_handles(self, kind)
               ? OK
               : error_set(error, ERR_UNSUPPORTED,
                           "the component does not export theater:simple/http-handlers.%s", name);
}

// An option<handler-id>.
static enum status read_handler(struct actor *self, const struct value *option,
                                enum actor_event_kind kind, const char *name, bool *has,
                                uint64_t *id, struct error *error) {
    *has = option->which == 1;
    if (!*has) {
        return OK;
    }
    *id = option->items->bits;
    return web_has_handler(self, *id, error) ? need(self, kind, name, error) : error->code;
}

// args: server, path, connect, message, disconnect
static enum status read_route(struct actor *self, const struct value *args,
                              struct websocket_route *route, struct error *error) {
    *route = (struct websocket_route){.server = args[0].bits, .message = args[3].bits};
    if (!web_has_handler(self, route->message, error)) {
        return error->code;
    }
    enum status status = need(self, ACTOR_WEBSOCKET_MESSAGE, "handle-websocket-message", error);
    if (status == OK) {
        status = read_handler(self, &args[2], ACTOR_WEBSOCKET_CONNECT, "handle-websocket-connect",
                              &route->has_connect, &route->connect, error);
    }
    if (status == OK) {
        status =
            read_handler(self, &args[4], ACTOR_WEBSOCKET_DISCONNECT, "handle-websocket-disconnect",
                         &route->has_disconnect, &route->disconnect, error);
    }
    return status;
}

static enum status enable(struct actor *self, const struct value *args, struct error *error) {
    struct slice pattern = host_bytes(&args[1]);
    struct web_server *server = web_find_server(self, args[0].bits, error);
    struct websocket_route route = {0};
    enum status status = server == NULL ? error->code : read_route(self, args, &route, error);
    if (status != OK) {
        return status;
    }
    if (!permissions_allow_route(actor_permissions(self), slice_text("GET"), pattern)) {
        return actor_denied(self, PERMISSION_HTTP_FRAMEWORK, error, "WebSocket path %.*s",
                            (int)(pattern.size < 200 ? pattern.size : 200),
                            (const char *)pattern.data);
    }
    return web_restore_socket(self, server, pattern, &route, error);
}

enum status web_restore_socket(struct actor *self, struct web_server *server, struct slice pattern,
                               const struct websocket_route *route, struct error *error) {
    struct websockets *of = websockets_of(self);
    pthread_mutex_lock(&server->lock);
    if (server->sockets.of == NULL) {
        server->sockets.of = websockets_ref(of);
    }
    enum status status = add_path(&server->sockets, pattern, route, error);
    pthread_mutex_unlock(&server->lock);
    return status;
}

static bool enable_websocket(struct component_call *call, const struct value *args,
                             struct value *result) {
    struct error error = {0};
    enum status status = enable(host_self(call), args, &error);
    return host_done(call, status, &error, result);
}

static bool disable_websocket(struct component_call *call, const struct value *args,
                              struct value *result) {
    struct error error = {0};
    struct slice pattern = host_bytes(&args[1]);
    struct web_server *server = web_find_server(host_self(call), args[0].bits, &error);
    if (server == NULL) {
        return host_fail(call, &error, result);
    }
    struct web_sockets *sockets = &server->sockets;
    pthread_mutex_lock(&server->lock);
    uint32_t place = find_place(sockets, &pattern);
    bool found = place < sockets->count;
    if (found) {
        (void)http_router_remove(&sockets->router, place + 1);
        free(sockets->paths[place].pattern);
        sockets->paths[place].pattern = NULL;
    }
    pthread_mutex_unlock(&server->lock);
    enum status status = found ? OK
                               : error_set(&error, ERR_NOT_FOUND, "no WebSocket is enabled on %.*s",
                                           (int)(pattern.size < 200 ? pattern.size : 200),
                                           (const char *)pattern.data);
    return host_done(call, status, &error, result);
}

// ---- sending -----------------------------------------------------------------------------------

struct send_job {
    struct actor_job job;
    struct io_post post;
    struct websockets *sockets;  // a reference
    uint64_t server, connection;
    enum websocket_kind kind;
    struct bytes *payload;
};

static void release_job(struct actor_job *actor_job) {
    struct send_job *job = CONTAINER_OF(actor_job, struct send_job, job);
    websockets_unref(job->sockets);
    bytes_unref(job->payload);
    free(job);
}

static void send_on_loop(struct io_post *post) {
    struct send_job *job = CONTAINER_OF(post, struct send_job, post);
    const struct websocket_message message = {.kind = job->kind,
                                              .payload = bytes_slice(job->payload)};
    job->job.status =
        websockets_send(job->sockets, job->server, job->connection, &message, &job->job.error);
    actor_job_done(&job->job);
}

static void begin_job(struct actor_job *actor_job) {
    struct send_job *job = CONTAINER_OF(actor_job, struct send_job, job);
    job->post.run = send_on_loop;
    io_loop_post(websockets_loop(job->sockets), &job->post);
}

// args: server, connection
static enum status send_to(struct actor *self, const struct value *args,
                           const struct websocket_message *message, struct error *error) {
    if (web_find_server(self, args[0].bits, error) == NULL) {
        return error->code;
    }
    struct websockets *sockets = websockets_of(self);
    if (websockets_loop(sockets) == NULL) {
        return error_set(error, ERR_UNSUPPORTED, "this node serves no HTTP");
    }
    struct send_job *job = xcalloc(1, sizeof *job);
    actor_job_init(&job->job, NULL, release_job);
    job->job.begin = begin_job;
    job->sockets = websockets_ref(sockets);
    job->server = args[0].bits;
    job->connection = args[1].bits;
    job->kind = message->kind;
    job->payload = bytes_copy(message->payload);
    enum status status = actor_run_job(self, &job->job, error);
    actor_job_unref(&job->job);
    return status;
}

static bool send_message(struct component_call *call, const struct value *args,
                         struct value *result) {
    struct error error = {0};
    struct websocket_message message;
    uint8_t close[WEBSOCKET_CONTROL_MOST];
    const char *why = NULL;
    enum status status = websocket_read_message(&args[2], &message, close, &why)
                             ? send_to(host_self(call), args, &message, &error)
                             : error_set(&error, ERR_INVALID, "%s", why);
    return host_done(call, status, &error, result);
}

static bool close_websocket(struct component_call *call, const struct value *args,
                            struct value *result) {
    struct error error = {0};
    uint8_t close[WEBSOCKET_CONTROL_MOST];
    size_t size = websocket_write_close(WEBSOCKET_NORMAL, slice_of(NULL, 0), close);
    const struct websocket_message message = {.kind = WEBSOCKET_CLOSE,
                                              .payload = slice_of(close, size)};
    enum status status = send_to(host_self(call), args, &message, &error);
    return host_done(call, status, &error, result);
}

#define MESSAGE                                                                           \
    "record{ty: variant{text, binary, connect, close, ping, pong, other(string)}, data: " \
    "option<list<u8>>, text: option<string>}"

static const struct host_function functions[] = {
    {"enable-websocket",
     "http-framework.enable-websocket",
     enable_websocket,
     {"func(u64, string, option<u64>, u64, option<u64>) -> result<_, string>"}},
    {"disable-websocket",
     "http-framework.disable-websocket",
     disable_websocket,
     {"func(u64, string) -> result<_, string>"}},
    {"send-websocket-message",
     "http-framework.send-websocket-message",
     send_message,
     {"func(u64, u64, " MESSAGE ") -> result<_, string>"}},
    {"close-websocket",
     "http-framework.close-websocket",
     close_websocket,
     {"func(u64, u64) -> result<_, string>"}},
};
const struct host_interface host_http_websocket = {"http-framework", functions,
                                                   COUNT_OF(functions)};

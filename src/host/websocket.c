// SPDX-License-Identifier: Apache-2.0
// See websocket.h. All of it runs on the loop, but `fill` (on the actor's worker) and `settled` (on
// any thread): between the delivery of an event and its post back to the loop, the connection's
// fields under "event" belong to those two.
#include "host/websocket.h"

#include <assert.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "host/wasi.h"
#include "io/loop.h"
#include "io/websocket.h"

struct websockets {
    _Atomic uint32_t references;
    struct io_loop *loop;
    struct http_common *http;
    struct actor *actor;
    uint32_t instance;
    uint64_t message_bytes;
    struct io_post end;
    // The loop's.
    bool is_over;
    uint32_t next_id;
    struct list connections;
    struct map by_id;  // of those that have not ended
    struct list listeners;
};

enum phase { NOTHING, CONNECTING, MESSAGE, DISCONNECTING };

struct connection {
    struct websockets *sockets;
    struct list_node node;
    struct websocket_route route;
    uint64_t id;
    char *path, *query;  // query: NULL when there is none
    char *target;
    struct websocket *socket;  // NULL: gone
    enum phase phase;          // what the event in flight is about
    bool is_connected;         // the actor knows of it, and is owed its end
    bool has_ended;
    struct bytes *close;  // what the client closed with
    // event
    struct actor_event event;
    struct websocket_message message;
    struct actor_hold hold;  // of what the event's answer sends
    struct io_post settled;
    enum status status;
    struct buf answers;  // see add_answer
};

// ---- what belongs to an instance ---------------------------------------------------------------

struct websockets *websockets_of(struct actor *self) {
    struct host_state *state = host_state_of(self);
    if (state->websockets == NULL) {
        struct websockets *sockets = xcalloc(1, sizeof *sockets);
        const struct host_services *services = host_services(self);
        atomic_init(&sockets->references, 1);
        sockets->loop = services->loop;
        sockets->http = services->http;
        sockets->actor = actor_ref(self);
        sockets->instance = actor_instance_number(self);
        sockets->message_bytes = actor_manifest(self)->limits.message_bytes;
        state->websockets = sockets;
    }
    return state->websockets;
}

void websockets_count_from(struct websockets *sockets, uint32_t number) {
    sockets->next_id = number;
}

struct websockets *websockets_ref(struct websockets *sockets) {
    atomic_fetch_add_explicit(&sockets->references, 1, memory_order_relaxed);
    return sockets;
}

void websockets_unref(struct websockets *sockets) {
    // Release and acquire: whoever frees comes after all other uses.
    if (sockets != NULL &&
        atomic_fetch_sub_explicit(&sockets->references, 1, memory_order_acq_rel) == 1) {
        map_release(&sockets->by_id);
        actor_unref(sockets->actor);
        free(sockets);
    }
}

bool websockets_are_over(const struct websockets *sockets) {
    return sockets->is_over;
}

struct actor *websockets_actor(const struct websockets *sockets) {
    return sockets->actor;
}

struct io_loop *websockets_loop(const struct websockets *sockets) {
    return sockets->loop;
}

static struct slice id_key(const uint64_t *id) {
    return slice_of(id, sizeof *id);
}

// Nothing of the client's is left and nothing is with the actor.
static void release_if_done(struct connection *connection) {
    if (connection->socket != NULL || connection->phase != NOTHING) {
        return;
    }
    list_remove(&connection->node);
    bytes_unref(connection->close);
    buf_release(&connection->answers);
    free(connection->path);
    free(connection->query);
    free(connection->target);
    websockets_unref(connection->sockets);
    free(connection);
}

// ---- events: on the actor's worker -------------------------------------------------------------

static void set_text(struct value *value, const char *text) {
    *value = (struct value){.bytes = (const uint8_t *)text, .count = (uint32_t)strlen(text)};
}

static void set_option(struct arena *arena, struct value *option, struct slice content) {
    struct value *item = ARENA_ARRAY(arena, struct value, 1);
    *item = (struct value){.bytes = content.data, .count = (uint32_t)content.size};
    *option = (struct value){.items = item, .which = 1};
}

// The cases of message-type; other(string) is never given.
enum { TYPE_TEXT, TYPE_BINARY, TYPE_CONNECT, TYPE_CLOSE, TYPE_PING, TYPE_PONG };

static uint32_t type_of(const struct connection *connection) {
    if (connection->phase != MESSAGE) {
        return connection->phase == CONNECTING ? TYPE_CONNECT : TYPE_CLOSE;
    }
    enum websocket_kind kind = connection->message.kind;
    return kind == WEBSOCKET_TEXT     ? TYPE_TEXT
           : kind == WEBSOCKET_BINARY ? TYPE_BINARY
           : kind == WEBSOCKET_PING   ? TYPE_PING
                                      : TYPE_PONG;
}

// A websocket-message.
static void set_message(const struct connection *connection, struct arena *arena,
                        struct value *out) {
    struct value *fields = ARENA_ARRAY(arena, struct value, 3);
    memset(fields, 0, 3 * sizeof *fields);
    uint32_t type = type_of(connection);
    fields[0] = (struct value){.items = NULL, .which = type};
    struct slice payload = type == TYPE_CONNECT ? slice_text(connection->target)
                           : type == TYPE_CLOSE ? bytes_slice(connection->close)
                                                : connection->message.payload;
    if (type == TYPE_TEXT || type == TYPE_CONNECT) {
        set_option(arena, &fields[2], payload);
    } else if (type == TYPE_BINARY || payload.size > 0) {
        set_option(arena, &fields[1], payload);
    }
    *out = (struct value){.items = fields};
}

static void fill(struct actor_event *event, struct arena *arena, struct value *tuple) {
    const struct connection *connection = CONTAINER_OF(event, struct connection, event);
    const struct websocket_route *route = &connection->route;
    if (route->is_plain) {
        set_message(connection, arena, &tuple[0]);
        return;
    }
    tuple[1].bits = connection->id;
    if (connection->phase == MESSAGE) {
        tuple[0].bits = route->message;
        set_message(connection, arena, &tuple[2]);
    } else if (connection->phase == DISCONNECTING) {
        tuple[0].bits = route->disconnect;
    } else {
        tuple[0].bits = route->connect;
        set_text(&tuple[2], connection->path);
        if (connection->query != NULL) {
            set_option(arena, &tuple[3], slice_text(connection->query));
        }
    }
}

// One message of an answer: its kind, the size of its payload, and that.
static void add_answer(struct connection *connection, const struct value *message) {
    struct websocket_message read;
    uint8_t close[WEBSOCKET_CONTROL_MOST];
    const char *why = NULL;
    if (!websocket_read_message(message, &read, close, &why)) {
        log_line(LOG_WARNING, "actor %s: a message in an answer is not sent: %s",
                 actor_id(connection->sockets->actor), why);
        return;
    }
    uint32_t size = (uint32_t)read.payload.size;
    buf_append_byte(&connection->answers, (uint8_t)read.kind);
    buf_append(&connection->answers, &size, sizeof size);
    buf_append_slice(&connection->answers, read.payload);
}

static void on_settled_post(struct io_post *post);

// On any thread.
static void on_told(struct actor_hold *hold, bool is_durable) {
    struct connection *connection = CONTAINER_OF(hold, struct connection, hold);
    if (!is_durable && connection->status == OK) {
        connection->status = ERR_TRAP;
    }
    connection->settled.run = on_settled_post;
    io_loop_post(connection->sockets->loop, &connection->settled);
}

// On any thread.
static void on_settled(struct actor_event *event, enum status status, const struct value *answer,
                       struct slice text) {
    (void)text;
    struct connection *connection = CONTAINER_OF(event, struct connection, event);
    connection->status = status;
    bool has_list = connection->phase != DISCONNECTING &&
                    (connection->route.is_plain || connection->phase == MESSAGE);
    if (status == OK && answer != NULL && has_list) {
        // Of websocket-server the answer is a record with the list in it.
        const struct value *list =
            connection->route.is_plain ? &answer->items[0].items[0] : &answer->items[0];
        for (uint32_t i = 0; i < list->count; i++) {
            add_answer(connection, &list->items[i]);
        }
    }
    actor_hold_event(connection->sockets->actor, event, &connection->hold, on_told);
}

// ---- events: on the loop -----------------------------------------------------------------------

// False: the actor takes none any more.
static bool deliver(struct connection *connection, enum phase phase) {
    static const enum actor_event_kind kinds[] = {
        [CONNECTING] = ACTOR_WEBSOCKET_CONNECT,
        [MESSAGE] = ACTOR_WEBSOCKET_MESSAGE,
        [DISCONNECTING] = ACTOR_WEBSOCKET_DISCONNECT,
    };
    assert(connection->phase == NOTHING);
    struct websockets *sockets = connection->sockets;
    if (sockets->is_over) {
        return false;
    }
    connection->phase = phase;
    connection->event = (struct actor_event){
        .kind = connection->route.is_plain ? ACTOR_WEBSOCKET_EVENT : kinds[phase],
        .instance = sockets->instance,
        // One for each connection, which gives no other before it is settled.
        .is_reserved = true,
        .size = phase == MESSAGE ? (uint32_t)connection->message.payload.size : 0,
        .fill = fill,
        .settled = on_settled};
    struct error error = {0};
    if (actor_deliver(sockets->actor, &connection->event, &error) != OK) {
        connection->phase = NOTHING;
        return false;
    }
    return true;
}

// The actor is told of the end, once, if it knows of the beginning.
static void disconnect(struct connection *connection) {
    if (!connection->is_connected) {
        return;
    }
    connection->is_connected = false;
    if (connection->route.is_plain || connection->route.has_disconnect) {
        (void)deliver(connection, DISCONNECTING);
    }
}

static void send_one(struct connection *connection, const struct websocket_message *message) {
    if (message->kind == WEBSOCKET_CLOSE) {
        websocket_close(connection->socket, websocket_close_code(message->payload),
                        slice_of(message->payload.data + 2, message->payload.size - 2));
    } else {
        (void)websocket_send(connection->socket, message->kind, message->payload);
    }
}

static void send_answers(struct connection *connection) {
    struct slice left = buf_slice(&connection->answers);
    while (left.size > 0) {
        uint32_t size;
        memcpy(&size, left.data + 1, sizeof size);
        const struct websocket_message message = {
            .kind = (enum websocket_kind)left.data[0],
            .payload = slice_of(left.data + 1 + sizeof size, size)};
        send_one(connection, &message);
        size_t used = 1 + sizeof size + size;
        left = slice_of(left.data + used, left.size - used);
    }
    buf_release(&connection->answers);
}

// What the client hears when the actor did not take an event.
static void close_after(struct connection *connection, enum status status) {
    bool is_gone = status != ERR_TRAP && status != ERR_GUEST;
    uint16_t code = status == ERR_TRAP ? WEBSOCKET_INTERNAL_ERROR
                    : is_gone          ? WEBSOCKET_GOING_AWAY
                                       : WEBSOCKET_POLICY;
    websocket_close(connection->socket, code, slice_of(NULL, 0));
}

static void on_settled_post(struct io_post *post) {
    struct connection *connection = CONTAINER_OF(post, struct connection, settled);
    enum phase phase = connection->phase;
    connection->phase = NOTHING;
    if (phase == DISCONNECTING) {
        release_if_done(connection);
        return;
    }
    if (connection->status == OK) {
        connection->is_connected = true;
        send_answers(connection);
    } else if (phase == CONNECTING || connection->status != ERR_GUEST) {
        close_after(connection, connection->status);
    }
    if (connection->has_ended) {
        disconnect(connection);
    }
    // May end the connection.
    websocket_continue(connection->socket);
}

static void on_message(void *context, const struct websocket_message *message) {
    struct connection *connection = context;
    connection->message = *message;
    if (!deliver(connection, MESSAGE)) {
        bool is_handled = connection->route.is_plain ||
                          actor_handles(connection->sockets->actor, ACTOR_WEBSOCKET_MESSAGE);
        websocket_close(connection->socket,
                        is_handled ? WEBSOCKET_GOING_AWAY : WEBSOCKET_INTERNAL_ERROR,
                        slice_of(NULL, 0));
        websocket_continue(connection->socket);
    }
}

static void on_ended(void *context, struct slice close) {
    struct connection *connection = context;
    connection->has_ended = true;
    connection->close = bytes_copy(close);
    map_remove(&connection->sockets->by_id, id_key(&connection->id));
    if (connection->phase == NOTHING) {
        disconnect(connection);
    }
}

static void on_gone(void *context) {
    struct connection *connection = context;
    connection->socket = NULL;
    release_if_done(connection);
}

static const struct websocket_handler handler = {
    .message = on_message, .ended = on_ended, .gone = on_gone};

// ---- beginning ---------------------------------------------------------------------------------

static void refuse(struct http_exchange *exchange, uint16_t status, const char *why) {
    struct http_response response = {.status = status};
    http_response_set_text(&response, status, why);
    const char *name = status == 426 ? "Sec-WebSocket-Version" : status == 405 ? "Allow" : NULL;
    if (name != NULL && http_response_add(&response, slice_text(name),
                                          slice_text(status == 426 ? "13" : "GET"), NULL) != OK) {
        fatal("a header field of our own was refused");
    }
    http_exchange_respond(exchange, &response);
}

static uint16_t check_request(const struct http_request *request,
                              char accept[WEBSOCKET_ACCEPT_SIZE], const char **why) {
    struct websocket_handshake handshake = {0};
    for (uint32_t i = 0; i < request->header_count; i++) {
        websocket_handshake_header(&handshake, request->headers[i].name, request->headers[i].value);
    }
    uint16_t status = websocket_handshake_answer(&handshake, request->method, accept, why);
    if (status == 101 && (request->has_body || request->minor_version == 0)) {
        *why = "the opening of a WebSocket is an HTTP/1.1 request without a body";
        status = 400;
    }
    return status;
}

static struct connection *new_connection(struct websockets *sockets,
                                         const struct http_request *request,
                                         const struct websocket_route *route) {
    struct connection *connection = xcalloc(1, sizeof *connection);
    struct slice target = request->target;
    const uint8_t *mark = memchr(target.data, '?', target.size);
    size_t path_size = mark != NULL ? (size_t)(mark - target.data) : target.size;
    connection->sockets = websockets_ref(sockets);
    connection->route = *route;
    // Of all connections of the actor, those of earlier instances included.
    connection->id = (uint64_t)sockets->instance << 32 | ++sockets->next_id;
    connection->target = xstrndup(target.data, target.size);
    connection->path = xstrndup(target.data, path_size);
    connection->query = mark != NULL ? xstrndup(mark + 1, target.size - path_size - 1) : NULL;
    uint64_t most = sockets->message_bytes;
    struct websocket_config config = {.loop = sockets->loop,
                                      .message_bytes = most,
                                      .queue_bytes = most < UINT32_MAX ? 4 * most : most,
                                      .handler = &handler,
                                      .context = connection};
    connection->socket = websocket_new(&config);
    list_append(&sockets->connections, &connection->node);
    return connection;
}

static void begin(struct connection *connection) {
    struct websockets *sockets = connection->sockets;
    const struct websocket_route *route = &connection->route;
    bool is_wanted = route->is_plain || route->has_connect;
    if (!is_wanted) {
        connection->is_connected = true;
    } else if (deliver(connection, CONNECTING)) {
        return;
    } else {
        websocket_close(connection->socket,
                        actor_handles(sockets->actor, ACTOR_WEBSOCKET_CONNECT)
                            ? WEBSOCKET_GOING_AWAY
                            : WEBSOCKET_INTERNAL_ERROR,
                        slice_of(NULL, 0));
    }
    websocket_continue(connection->socket);
}

void websockets_accept(struct websockets *sockets, struct http_exchange *exchange,
                       const struct websocket_route *route) {
    const struct http_request *request = http_exchange_request(exchange);
    char accept[WEBSOCKET_ACCEPT_SIZE];
    const char *why = NULL;
    uint16_t status = check_request(request, accept, &why);
    if (status == 101 && sockets->is_over) {
        status = 503;
        why = "the server is going away";
    } else if (status == 101 &&
               sockets->by_id.live_count >= actor_manifest(sockets->actor)->limits.websockets) {
        status = 503;
        why = "there are too many connections (limits.websockets)";
        actor_refused(sockets->actor, ACTOR_REFUSED_WEBSOCKET);
    }
    if (status != 101) {
        refuse(exchange, status, why);
        return;
    }
    struct connection *connection = new_connection(sockets, request, route);
    struct buf rest = {0};
    struct io_stream *stream =
        http_exchange_upgrade(exchange, &websocket_stream, connection->socket, &rest);
    if (stream == NULL) {
        websocket_discard(connection->socket);
        connection->socket = NULL;
        release_if_done(connection);
    } else {
        map_add(&sockets->by_id, id_key(&connection->id), connection);
        websocket_begin(connection->socket, stream, accept, buf_slice(&rest));
        begin(connection);
    }
    buf_release(&rest);
}

// ---- from the actor ----------------------------------------------------------------------------

enum status websockets_send(struct websockets *sockets, uint64_t server, uint64_t id,
                            const struct websocket_message *message, struct error *error) {
    struct connection *connection = map_get(&sockets->by_id, id_key(&id));
    if (connection == NULL || connection->route.is_plain || connection->route.server != server) {
        return error_set(error, ERR_NOT_FOUND, "WebSocket connection not found: %llu",
                         (unsigned long long)id);
    }
    if (message->kind == WEBSOCKET_CLOSE) {
        send_one(connection, message);
        return OK;
    }
    if (!websocket_send(connection->socket, message->kind, message->payload)) {
        return error_set(error, ERR_CLOSED,
                         "WebSocket connection %llu is closing, or its client takes nothing",
                         (unsigned long long)id);
    }
    return OK;
}

// Those of `server`, or (NULL) all.
static void close_some(struct websockets *sockets, const uint64_t *server) {
    for (struct list_node *node = sockets->connections.first, *next; node != NULL; node = next) {
        struct connection *connection = CONTAINER_OF(node, struct connection, node);
        next = node->next;
        bool is_meant =
            server == NULL || (!connection->route.is_plain && connection->route.server == *server);
        if (is_meant && connection->socket != NULL) {
            websocket_close(connection->socket, WEBSOCKET_GOING_AWAY, slice_of(NULL, 0));
        }
    }
}

void websockets_close_server(struct websockets *sockets, uint64_t server) {
    close_some(sockets, &server);
}

// ---- servers of websocket-server ---------------------------------------------------------------

struct websocket_listener {
    struct list_node node;
    struct websockets *sockets;
    struct http_server *server;
};

static void on_request(void *context, struct http_exchange *exchange) {
    static const struct websocket_route plain = {.is_plain = true};
    struct websocket_listener *listener = context;
    websockets_accept(listener->sockets, exchange, &plain);
}

static void on_server_closed(void *context) {
    struct websocket_listener *listener = context;
    list_remove(&listener->node);
    websockets_unref(listener->sockets);
    free(listener);
}

enum status websockets_listen(struct websockets *sockets, const char *host, uint16_t port,
                              uint16_t *bound, struct error *error) {
    if (sockets->is_over) {
        return error_set(error, ERR_CLOSED, "the actor has ended");
    }
    struct websocket_listener *listener = xcalloc(1, sizeof *listener);
    struct http_server_config config = {.common = sockets->http,
                                        .host = host,
                                        .port = port,
                                        .request = on_request,
                                        .closed = on_server_closed,
                                        .context = listener};
    http_server_default_limits(&config.limits);
    enum status status = http_server_start(&config, &listener->server, bound, error);
    if (status != OK) {
        free(listener);
        return status;
    }
    listener->sockets = websockets_ref(sockets);
    list_append(&sockets->listeners, &listener->node);
    return OK;
}

// ---- the end of the instance -------------------------------------------------------------------

static void run_end(struct io_post *post) {
    struct websockets *sockets = CONTAINER_OF(post, struct websockets, end);
    sockets->is_over = true;
    for (struct list_node *node = sockets->listeners.first, *next; node != NULL; node = next) {
        next = node->next;
        http_server_stop(CONTAINER_OF(node, struct websocket_listener, node)->server);
    }
    close_some(sockets, NULL);
    websockets_unref(sockets);
}

void websockets_end(struct websockets *sockets) {
    if (sockets != NULL) {
        sockets->end.run = run_end;
        io_loop_post(sockets->loop, &sockets->end);
    }
}

// SPDX-License-Identifier: Apache-2.0
// The WebSocket connections of an actor: what http-framework and the older websocket-server share.
// A connection is the loop's (io/websocket.h); each of its events becomes one call of an export,
// one at a time, and the messages in the answer go out when the call was recorded.
//
// The connections belong to one instance of the actor: when that is gone they are closed, and no
// later instance hears of them.
#ifndef HOST_WEBSOCKET_H
#define HOST_WEBSOCKET_H

#include "host/host.h"
#include "io/http_server.h"
#include "io/websocket_frame.h"

// Of one instance. Counted.
struct websockets;

// Whom the events of a connection are for.
struct websocket_route {
    bool is_plain;  // websocket-server: each event is a handle-message. Otherwise http-handlers:
    uint64_t server;
    bool has_connect, has_disconnect;
    uint64_t connect, message, disconnect;  // handlers
};

// Those of the instance that runs, made on first use: borrowed until the instance ends. On the
// actor's fiber.
struct websockets *websockets_of(struct actor *self);
// The instance is gone: its connections are closed (1001), its own servers stop. On its worker.
void websockets_end(struct websockets *sockets);  // takes it; NULL is fine
// Connections get numbers above this one: those below were given before the node was restarted.
void websockets_count_from(struct websockets *sockets, uint32_t number);
struct websockets *websockets_ref(struct websockets *sockets);
void websockets_unref(struct websockets *sockets);  // NULL is fine
// Whether the instance is gone. On the loop.
bool websockets_are_over(const struct websockets *sockets);
struct actor *websockets_actor(const struct websockets *sockets);
struct io_loop *websockets_loop(const struct websockets *sockets);

// Answers a request for a path that speaks WebSocket: with a connection, or with what is wrong with
// the request (426, 405, 400), or with 503 when the actor has too many. Takes the exchange. On the
// loop.
void websockets_accept(struct websockets *sockets, struct http_exchange *exchange,
                       const struct websocket_route *route);
// Closes the connections of one server (1001). On the loop.
void websockets_close_server(struct websockets *sockets, uint64_t server);

// A server of websocket-server: an actor's instance has at most as many as its manifest has blocks.
struct websocket_listener;
// On the loop. Serves until the instance ends.
enum status websockets_listen(struct websockets *sockets, const char *host, uint16_t port,
                              uint16_t *bound, struct error *error) MUST_CHECK;

// What a websocket-message of the guest says, as it is to be sent. False, with `why` in static
// storage: it says nothing that can be sent. `close` is room for the payload of a close.
bool websocket_read_message(const struct value *message, struct websocket_message *out,
                            uint8_t close[WEBSOCKET_CONTROL_MOST], const char **why);
// Sends it, or closes, on the loop. ERR_NOT_FOUND when the server has no such connection any more,
// ERR_CLOSED when that is closing.
enum status websockets_send(struct websockets *sockets, uint64_t server, uint64_t id,
                            const struct websocket_message *message, struct error *error);

#endif

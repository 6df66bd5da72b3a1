// SPDX-License-Identifier: Apache-2.0
// The HTTP servers of an actor: what http_framework.c (the functions that a guest calls) and
// http_handlers.c (requests on their way to the guest) share.
//
// A server belongs to one instance of its actor. Its routes may be changed by the actor and read by
// the loop at any time, under `lock`; everything else has one owner.
#ifndef HOST_HTTP_FRAMEWORK_H
#define HOST_HTTP_FRAMEWORK_H

#include <pthread.h>
#include <stdatomic.h>

#include "host/host.h"
#include "host/websocket.h"
#include "io/http_route.h"
#include "io/http_server.h"

enum { WEB_SERVERS_MOST = 32, WEB_HANDLERS_MOST = 4096 };

// Counted: by its actor's `struct web`, by the listening server, by each request under way.
struct web_server {
    _Atomic uint32_t references;
    // Never changed.
    uint64_t id;
    struct actor *actor;  // a reference
    uint32_t instance;
    struct io_loop *loop;
    char *host;               // owned
    uint16_t port;            // as wanted; 0: any
    char *certificate, *key;  // owned: references as the guest gave them; NULL: no TLS
    struct http_server_limits limits;
    // Under `lock`, which is a leaf.
    pthread_mutex_t lock;
    struct http_router router;
    struct web_sockets {
        struct http_router router;     // of GET; a handler is a number in `paths`, from 1 on
        struct websocket_path *paths;  // owned
        uint32_t count;
        struct websockets *of;  // a reference; NULL: none was ever enabled
    } sockets;
    // The actor's.
    bool is_started;
    uint16_t bound_port;
    // The loop's.
    struct http_server *running;  // NULL: it does not listen
    bool is_over;                 // the actor's instance is gone, or has destroyed it
    struct io_post end;
};

// A path that speaks WebSocket (http_websocket.c).
struct websocket_path {
    char *pattern;  // owned; NULL: disabled
    struct websocket_route route;
};
// With the server's lock held: the route of a request for such a path. False: it is none.
bool web_find_socket(const struct web_server *server, const struct http_path *path,
                     struct websocket_route *out);
void web_sockets_release(struct web_sockets *sockets);  // frees what it holds
// The server stops: its connections are closed. On the loop.
void web_close_sockets(struct web_server *server);

// Takes and gives back a reference. Any thread.
struct web_server *web_server_ref(struct web_server *server);
void web_server_unref(struct web_server *server);

// What an actor's instance has made. Its own.
struct web {
    struct web_server *servers[WEB_SERVERS_MOST];  // references; NULL: free
    uint64_t next_server, next_route, next_middleware;
    uint32_t handler_count;  // their ids are 1 to this
};
// The instance is gone: its servers stop. Takes it; NULL is fine. On the actor's worker.
void web_release(struct web *web);
// Made on first use. On the actor's fiber.
struct web *web_of(struct actor *self);
// The server with that id, or NULL after setting `error`. On the actor's fiber.
struct web_server *web_find_server(struct actor *self, uint64_t id, struct error *error);
bool web_has_handler(struct actor *self, uint64_t id, struct error *error);

// ---- after a restart of the node (recover.c), before the actor runs

// Texts are borrowed; empty: as a guest that gave none.
struct web_address {
    uint16_t port;
    struct slice host, certificate, key;
};
// The server that had this id, not started. NULL: there are too many.
struct web_server *web_restore_server(struct actor *self, uint64_t id,
                                      const struct web_address *address);
// Starts it on the port that it had. `restored` is called once, on the loop, with what came of it;
// meanwhile, and if it failed, the actor takes it for running.
void web_restore_start(struct actor *self, struct web_server *server, uint16_t port,
                       void (*restored)(struct web_server *server, enum status status,
                                        const struct error *error));
// Enables WebSocket on a path.
enum status web_restore_socket(struct actor *self, struct web_server *server, struct slice pattern,
                               const struct websocket_route *route, struct error *error) MUST_CHECK;

// An http_server_config.request; `context` is the web_server.
void web_on_request(void *context, struct http_exchange *exchange);

#endif

// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 servers (RFC 9112): listeners, connections, keep-alive, pipelining, timeouts, limits.
//
// A server gives complete requests to its owner as exchanges, one at a time for each connection,
// and writes the answer whenever it comes, from whatever thread; meanwhile that connection's later
// requests wait unread, and no other connection waits. Which request is for whom, the owner decides
// (io/http_route.h helps); what a client sends and what it is answered, http_parse.h and
// http_response.h define.
//
// Everything is for the loop's thread except where it says otherwise.
#ifndef IO_HTTP_SERVER_H
#define IO_HTTP_SERVER_H

#include "io/http_parse.h"
#include "io/http_response.h"
#include "io/stream.h"

struct http_common;
struct http_server;
struct http_exchange;
struct env;

// What the servers of one loop share: the bounds over all of them, and the text of the Date header.
struct http_common_config {
    struct io_loop *loop;     // borrowed until http_common_free
    struct env *env;          // borrowed; may be used by other threads too
    uint32_t connections;     // most, of all servers; 0: the default, 16384
    uint64_t buffered_bytes;  // most that unfinished and unanswered requests of all servers hold;
                              // 0: the default, 2 GiB
};
// Any thread.
struct http_common *http_common_new(const struct http_common_config *config);
// Any thread; after io_loop_free, when all servers are gone.
void http_common_free(struct http_common *common);

struct http_server_limits {
    struct http_limits request;
    uint32_t connections;        // most at a time; more are answered 503
    uint32_t header_timeout_ms;  // from the first byte of a request (or the connection) to the
                                 // end of its header fields, the TLS handshake included
    uint32_t body_timeout_ms;    // for a body, and a second more for each KiB of it that came
    uint32_t idle_timeout_ms;    // between two requests
    uint32_t write_timeout_ms;   // without the client taking a byte of an answer; for all of it a
                                 // second more for each KiB that it took
};
// The defaults: 32 KiB and 100 fields of header, 100 MiB of body, 1000 connections, 10 s for the
// header fields, 30 s for a body, 60 s idle, 30 s for taking an answer.
void http_server_default_limits(struct http_server_limits *limits);

struct http_server_config {
    struct http_common *common;
    const char *host;    // an IPv4 or IPv6 address, or "localhost"
    uint16_t port;       // 0: any that is free
    struct io_tls *tls;  // NULL: without; the server takes a reference of its own
    struct http_server_limits limits;
    // A complete request. The owner has the exchange from now on, until it gives it back with
    // http_exchange_respond or http_exchange_upgrade.
    void (*request)(void *context, struct http_exchange *exchange);
    // The server was stopped, and its last connection and exchange are gone: the last call.
    void (*closed)(void *context);
    void *context;
};
// Listens. Writes the port. ERR_INVALID: `host` is no address; ERR_BUSY: the port is in use;
// ERR_DENIED: the system forbids it.
enum status http_server_start(const struct http_server_config *config, struct http_server **out,
                              uint16_t *port, struct error *error) MUST_CHECK;
// Closes the listener, so that the port is free when this returns, and the connections on which no
// request is under way. The others get their answers, with `Connection: close`, and are closed
// then; clients have five seconds to take them.
void http_server_stop(struct http_server *server);
// Connections that are open, without those that were upgraded.
uint32_t http_server_connections(const struct http_server *server);

// ---- exchanges
// -----------------------------------------------------------------------------------

// The request. Any thread that has the exchange; as long as it has it.
const struct http_request *http_exchange_request(const struct http_exchange *exchange);
// For the owner's use; zeroed at first. Any thread that has the exchange.
void **http_exchange_data(struct http_exchange *exchange);
// Answers, on any thread, exactly once for each exchange, and takes what `response` holds. When the
// client has left meanwhile, the answer goes nowhere.
void http_exchange_respond(struct http_exchange *exchange, struct http_response *response);
// Instead of an answer: gives the connection, with TLS beneath it if there is any, when the request
// asked for an upgrade (http_request.is_upgrade). Takes the exchange. `handler` owns the stream
// from now on; it has to write the 101 response itself. What the client has sent after the request
// is appended to `rest`: it comes before all that `handler->read` will get, which is not called
// before io_stream_resume. NULL when the client has left meanwhile, or the server was stopped.
struct io_stream *http_exchange_upgrade(struct http_exchange *exchange,
                                        const struct io_stream_handler *handler, void *context,
                                        struct buf *rest);

#endif

// SPDX-License-Identifier: Apache-2.0
// See http_server.h. A connection is in one of these phases:
//
//   READING ──request──▶ ANSWERING ──answer──▶ SENDING ──all written──▶ READING …
//      │ refused, timed out                       │ the connection ends with it
//      └──────────────▶ SENDING ◀─────────────────┘ ──▶ LINGERING ──▶ GONE
//
// SENDING is skipped when the socket takes the answer at once. What arrives in any phase but
// READING waits in `pending`, and the stream is paused. LINGERING reads on and drops what comes,
// because a socket that is closed with unread bytes resets the connection, and the answer is lost
// with it.
//
// There is one timer for a server, which looks at the deadlines of all connections.
#include "io/http_server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <uv.h>

#include "base/env.h"

enum {
    CONNECTIONS_DEFAULT = 16384,
    BACKLOG = 1024,
    LINGER_MS = 2000,
    SWEEP_LEAST_MS = 10,
    SWEEP_MOST_MS = 500,
    PENDING_KEPT_BYTES = 4096,
    BYTES_PER_SECOND = 1024,  // the least, of bodies and answers, after their first time
    DRAIN_MS = 5000,          // for clients to take their answers when the server is stopped
    DATE_BYTES = 40
};
#define BUFFERED_DEFAULT_BYTES ((uint64_t)2 << 30)

struct http_common {
    struct http_common_config config;
    uint32_t connections;
    uint64_t buffered;
    uint64_t date_second;
    char date[DATE_BYTES];
    struct http_response_parts parts;  // its buffer is used again
};

enum phase { READING, ANSWERING, SENDING, LINGERING, GONE };

struct connection {
    struct connection *next, *previous;
    struct http_server *server;
    struct io_stream *stream;
    struct http_parser *parser;
    struct http_exchange *exchange;  // ANSWERING: what the owner has
    enum phase phase;
    enum http_parse_state seen;  // of the parser, at the last look
    uint64_t since_ms;           // when this phase or state began
    uint64_t written;            // SENDING: of the stream, at the last look,
    uint64_t progress_ms;        // when that was, if it had grown
    uint64_t written_before;     // and when it began
    struct buf pending;          // what arrived and was not parsed, from pending_at on
    size_t pending_at;
    uint64_t charged;  // of common->buffered
    bool has_had_request;
    bool has_ended;  // the peer has finished sending
    bool ends;       // after the answer
    bool is_advancing;
};

struct http_server {
    struct http_server_config config;
    struct http_common *common;
    uv_tcp_t listener;
    uv_timer_t sweep;
    uint32_t open_handles;
    struct connection *connections;
    uint32_t connection_count, exchange_count;
    bool is_sweeping, is_stopping, is_ending, has_failed;
    uint64_t stopped_ms;  // when is_stopping was set
};

struct http_exchange {
    struct io_post post;
    struct http_server *server;
    struct connection *connection;  // the loop's; NULL: the client has left
    struct http_request *request;   // owned
    struct http_response response;
    uint64_t charged;
    void *data;
};

static void advance(struct connection *connection);
static void drop(struct connection *connection);

// ---- what servers share
// --------------------------------------------------------------------------

struct http_common *http_common_new(const struct http_common_config *config) {
    struct http_common *common = xcalloc(1, sizeof *common);
    common->config = *config;
    if (config->connections == 0) {
        common->config.connections = CONNECTIONS_DEFAULT;
    }
    if (config->buffered_bytes == 0) {
        common->config.buffered_bytes = BUFFERED_DEFAULT_BYTES;
    }
    return common;
}

void http_common_free(struct http_common *common) {
    buf_release(&common->parts.head);
    free(common);
}

void http_server_default_limits(struct http_server_limits *limits) {
    *limits = (struct http_server_limits){
        .request = {.head_bytes = 32 * 1024, .header_count = 100, .body_bytes = 100 << 20},
        .connections = 1000,
        .header_timeout_ms = 10000,
        .body_timeout_ms = 30000,
        .idle_timeout_ms = 60000,
        .write_timeout_ms = 30000};
}

// Made once a second. In English whatever the locale (RFC 9110, section 5.6.7).
static const char *date_now(struct http_common *common) {
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    uint64_t second = env_wall_ns(common->config.env) / 1000000000U;
    if (second != common->date_second || common->date[0] == '\0') {
        time_t time = (time_t)second;
        struct tm parts;
        gmtime_r(&time, &parts);
        snprintf(common->date, sizeof common->date, "%s, %02d %s %d %02d:%02d:%02d GMT",
                 days[parts.tm_wday], parts.tm_mday, months[parts.tm_mon], parts.tm_year + 1900,
                 parts.tm_hour, parts.tm_min, parts.tm_sec);
        common->date_second = second;
    }
    return common->date;
}

static uint64_t now_ms(const struct http_server *server) {
    return uv_now(io_loop_uv(server->common->config.loop));
}

// ---- the end of things
// ---------------------------------------------------------------------------

static void handle_closed(uv_handle_t *handle) {
    struct http_server *server = handle->data;
    if (--server->open_handles > 0) {
        return;
    }
    if (!server->has_failed) {
        server->config.closed(server->config.context);
    }
    io_tls_unref(server->config.tls);
    free(server);
}

// When all is gone, the timer goes, and with it the server.
static void end_if_done(struct http_server *server) {
    if (server->is_stopping && !server->is_ending && server->connection_count == 0 &&
        server->exchange_count == 0) {
        server->is_ending = true;
        uv_close((uv_handle_t *)&server->sweep, handle_closed);
    }
}

static void free_exchange(struct http_exchange *exchange) {
    struct http_server *server = exchange->server;
    server->exchange_count--;
    server->common->buffered -= exchange->charged;
    http_request_free(exchange->request);
    http_response_release(&exchange->response);
    free(exchange);
    end_if_done(server);
}

// Out of the server's list; the stream is closed, or another's.
static void free_connection(struct connection *connection) {
    struct http_server *server = connection->server;
    server->common->buffered -= connection->charged;
    http_parser_free(connection->parser);
    buf_release(&connection->pending);
    free(connection);
    end_if_done(server);
}

static void unlink_connection(struct connection *connection) {
    struct http_server *server = connection->server;
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        server->connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    server->connection_count--;
    server->common->connections--;
    if (server->connection_count == 0) {
        uv_timer_stop(&server->sweep);
        server->is_sweeping = false;
    }
}

static void stream_closed(void *context) {
    struct connection *connection = context;
    unlink_connection(connection);
    free_connection(connection);
}

static void drop(struct connection *connection) {
    if (connection->exchange != NULL) {
        connection->exchange->connection = NULL;
        connection->exchange = NULL;
    }
    if (connection->phase != GONE) {
        connection->phase = GONE;
        io_stream_close(connection->stream);
    }
}

// ---- answering
// -----------------------------------------------------------------------------------

static void set_phase(struct connection *connection, enum phase phase) {
    connection->phase = phase;
    connection->since_ms = now_ms(connection->server);
}

// All of the answer is written.
static void answered(struct connection *connection) {
    if (connection->ends) {
        io_stream_finish(connection->stream);
        set_phase(connection, LINGERING);
        buf_release(&connection->pending);
        connection->pending_at = 0;
        if (connection->has_ended) {
            drop(connection);
        } else {
            io_stream_resume(connection->stream);
        }
    } else {
        set_phase(connection, READING);
    }
}

static void send_response(struct connection *connection, const struct http_response *response,
                          bool is_head, uint8_t minor_version) {
    struct http_common *common = connection->server->common;
    struct http_response_parts *parts = &common->parts;
    bool keeps_alive = !connection->ends && !connection->server->is_stopping;
    struct http_response_frame frame = {.is_head = is_head,
                                        .minor_version = minor_version,
                                        .keeps_alive = keeps_alive,
                                        .date = date_now(common)};
    http_response_frame(response, &frame, parts);
    connection->ends = !parts->keeps_alive;
    struct slice texts[3] = {buf_slice(&parts->head), buf_slice(&response->fields),
                             parts->after_fields};
    io_stream_write(connection->stream, texts, COUNT_OF(texts), parts->body);
    if (parts->after_body.size > 0) {
        io_stream_write(connection->stream, &parts->after_body, 1, NULL);
    }
    if (io_stream_queued(connection->stream) > 0) {
        set_phase(connection, SENDING);
        connection->written = io_stream_written(connection->stream);
        connection->written_before = connection->written;
        connection->progress_ms = connection->since_ms;
    } else {
        answered(connection);
    }
}

// A request that is not one, or came too slowly: the connection ends with the answer.
static void refuse(struct connection *connection, uint16_t status, const char *text) {
    struct http_response response = {0};
    http_response_set_text(&response, status, text);
    connection->ends = true;
    send_response(connection, &response, false, 1);
    http_response_release(&response);
}

// On the loop.
static void answer(struct http_exchange *exchange) {
    struct connection *connection = exchange->connection;
    if (connection != NULL) {
        connection->exchange = NULL;
        connection->ends |= !exchange->request->keeps_alive;
        send_response(connection, &exchange->response, exchange->request->is_head,
                      exchange->request->minor_version);
    }
    free_exchange(exchange);
    if (connection != NULL) {
        advance(connection);
    }
}

static void run_answer(struct io_post *post) {
    answer(CONTAINER_OF(post, struct http_exchange, post));
}

void http_exchange_respond(struct http_exchange *exchange, struct http_response *response) {
    struct io_loop *loop = exchange->server->common->config.loop;
    exchange->response = *response;
    *response = (struct http_response){0};
    if (io_loop_is_here(loop)) {
        answer(exchange);
    } else {
        exchange->post.run = run_answer;
        io_loop_post(loop, &exchange->post);
    }
}

const struct http_request *http_exchange_request(const struct http_exchange *exchange) {
    return exchange->request;
}

void **http_exchange_data(struct http_exchange *exchange) {
    return &exchange->data;
}

struct io_stream *http_exchange_upgrade(struct http_exchange *exchange,
                                        const struct io_stream_handler *handler, void *context,
                                        struct buf *rest) {
    struct connection *connection = exchange->connection;
    assert(exchange->request->is_upgrade);
    if (connection != NULL && (connection->server->is_stopping || connection->has_ended)) {
        drop(connection);
        connection = NULL;
    }
    if (connection == NULL) {
        free_exchange(exchange);
        return NULL;
    }
    struct io_stream *stream = connection->stream;
    io_stream_pause(stream);
    io_stream_hand_over(stream, handler, context);
    buf_append(rest, connection->pending.data + connection->pending_at,
               connection->pending.size - connection->pending_at);
    connection->exchange = NULL;
    connection->phase = GONE;
    unlink_connection(connection);
    // Within `advance` that one frees it.
    if (!connection->is_advancing) {
        free_connection(connection);
    } else {
        connection->stream = NULL;
    }
    free_exchange(exchange);
    return stream;
}

// ---- reading
// -------------------------------------------------------------------------------------

// False: the servers together hold too much; refused.
static bool charge(struct connection *connection) {
    struct http_common *common = connection->server->common;
    uint64_t held = http_parser_held(connection->parser) + connection->pending.capacity;
    common->buffered = common->buffered - connection->charged + held;
    connection->charged = held;
    return common->buffered <= common->config.buffered_bytes;
}

static void dispatch(struct connection *connection) {
    struct http_server *server = connection->server;
    struct http_exchange *exchange = xcalloc(1, sizeof *exchange);
    exchange->server = server;
    exchange->connection = connection;
    exchange->request = http_parser_take(connection->parser);
    exchange->charged = http_request_size(exchange->request);
    (void)charge(connection);
    server->common->buffered += exchange->charged;
    server->exchange_count++;
    connection->exchange = exchange;
    connection->has_had_request = true;
    connection->phase = ANSWERING;
    server->config.request(server->config.context, exchange);
}

// What the parser made of the bytes it got; these are no longer needed here.
static void handle(struct connection *connection, enum http_parse_outcome outcome) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (outcome == HTTP_PARSE_BAD) {
        const char *text;
        uint16_t status = http_parser_refusal(connection->parser, &text);
        refuse(connection, status, text);
    } else if (outcome == HTTP_PARSE_REQUEST) {
        dispatch(connection);
    } else if (!charge(connection)) {
        refuse(connection, 503, "too many requests are being received");
    } else if (outcome == HTTP_PARSE_CONTINUE) {
        struct slice text = slice_of(go_on, sizeof go_on - 1);
        io_stream_write(connection->stream, &text, 1, NULL);
    }
}

static void note_state(struct connection *connection) {
    enum http_parse_state state = http_parser_state(connection->parser);
    if (connection->phase == READING && state != connection->seen) {
        // The first request has its time from the beginning of the connection.
        if (connection->has_had_request || state != HTTP_PARSE_HEAD) {
            connection->since_ms = now_ms(connection->server);
        }
        connection->seen = state;
    }
}

static void parse(struct connection *connection, struct slice content, size_t *used) {
    enum http_parse_outcome outcome = http_parser_feed(connection->parser, content, used);
    connection->pending_at += connection->pending.size > 0 ? *used : 0;
    if (connection->pending.size == 0 && *used < content.size) {
        buf_append(&connection->pending, content.data + *used, content.size - *used);
    }
    handle(connection, outcome);
}

static void forget_pending(struct connection *connection) {
    connection->pending_at = 0;
    if (connection->pending.capacity > PENDING_KEPT_BYTES) {
        buf_release(&connection->pending);
    }
    buf_clear(&connection->pending);
}

// Works off what is pending, as long as no request waits for its answer, and reads on then.
static void advance(struct connection *connection) {
    if (connection->is_advancing) {
        return;
    }
    connection->is_advancing = true;
    while (connection->phase == READING && connection->pending_at < connection->pending.size) {
        size_t used;
        parse(connection,
              slice_of(connection->pending.data + connection->pending_at,
                       connection->pending.size - connection->pending_at),
              &used);
    }
    connection->is_advancing = false;
    if (connection->stream == NULL) {
        free_connection(connection);
        return;
    }
    if (connection->phase != READING) {
        return;
    }
    forget_pending(connection);
    note_state(connection);
    bool is_idle = http_parser_state(connection->parser) == HTTP_PARSE_IDLE;
    if (connection->has_ended || (is_idle && connection->server->is_stopping)) {
        drop(connection);
    } else {
        io_stream_resume(connection->stream);
    }
}

static void stream_read(void *context, struct slice content) {
    struct connection *connection = context;
    if (connection->phase == LINGERING || connection->phase == GONE) {
        return;
    }
    bool is_direct =
        connection->phase == READING && connection->pending.size == 0 && !connection->is_advancing;
    if (!is_direct) {
        buf_append_slice(&connection->pending, content);
        if (connection->phase != READING) {
            io_stream_pause(connection->stream);
        }
        advance(connection);
        return;
    }
    // As in `advance`, whose loop works off what this leaves.
    connection->is_advancing = true;
    size_t used;
    parse(connection, content, &used);
    connection->is_advancing = false;
    if (connection->stream == NULL) {
        free_connection(connection);
    } else if (connection->phase == READING && connection->pending.size == 0 &&
               !connection->has_ended && !connection->server->is_stopping) {
        note_state(connection);
    } else {
        advance(connection);
    }
}

static void stream_ended(void *context, bool is_clean) {
    struct connection *connection = context;
    connection->has_ended = true;
    bool waits = connection->phase == ANSWERING || connection->phase == SENDING;
    if (!is_clean || !waits) {
        drop(connection);
    }
}

static void stream_drained(void *context) {
    struct connection *connection = context;
    if (connection->phase == SENDING) {
        answered(connection);
        advance(connection);
    }
}

static const struct io_stream_handler handler = {
    .read = stream_read, .ended = stream_ended, .drained = stream_drained, .closed = stream_closed};

// ---- deadlines
// -----------------------------------------------------------------------------------

static uint64_t reading_ms(const struct connection *connection) {
    const struct http_server_limits *limits = &connection->server->config.limits;
    switch (http_parser_state(connection->parser)) {
        case HTTP_PARSE_BODY:
            return limits->body_timeout_ms +
                   http_parser_body_received(connection->parser) * 1000 / BYTES_PER_SECOND;
        case HTTP_PARSE_IDLE:
            return connection->has_had_request ? limits->idle_timeout_ms
                                               : limits->header_timeout_ms;
        case HTTP_PARSE_HEAD:
        case HTTP_PARSE_STOPPED:
            break;
    }
    return limits->header_timeout_ms;
}

// The client takes its answer: some of it now and then, and all of it not too slowly.
static bool is_taking(struct connection *connection) {
    uint64_t timeout = connection->server->config.limits.write_timeout_ms;
    uint64_t now = now_ms(connection->server);
    uint64_t written = io_stream_written(connection->stream);
    if (written != connection->written) {
        connection->written = written;
        connection->progress_ms = now;
    }
    uint64_t taken = written - connection->written_before;
    return now - connection->progress_ms < timeout &&
           now - connection->since_ms < timeout + taken * 1000 / BYTES_PER_SECOND;
}

static void check_deadline(struct connection *connection) {
    struct http_server *server = connection->server;
    uint64_t passed = now_ms(server) - connection->since_ms;
    bool is_late = server->is_stopping && now_ms(server) - server->stopped_ms >= DRAIN_MS;
    if (connection->phase == READING && passed >= reading_ms(connection)) {
        if (http_parser_state(connection->parser) == HTTP_PARSE_IDLE) {
            drop(connection);
        } else {
            refuse(connection, 408, "the request came too slowly");
        }
        return;
    }
    bool is_over = (connection->phase == SENDING && !is_taking(connection)) ||
                   (connection->phase == LINGERING && passed >= LINGER_MS);
    if (is_over || (is_late && connection->phase != ANSWERING && connection->phase != READING)) {
        drop(connection);
    }
}

static void on_sweep(uv_timer_t *timer) {
    struct http_server *server = timer->data;
    // Closing takes a connection out of the list later, never here.
    for (struct connection *at = server->connections; at != NULL; at = at->next) {
        check_deadline(at);
    }
}

static void start_sweep(struct http_server *server) {
    const struct http_server_limits *limits = &server->config.limits;
    const uint32_t times[] = {limits->header_timeout_ms, limits->body_timeout_ms,
                              limits->idle_timeout_ms, limits->write_timeout_ms};
    uint32_t interval = SWEEP_MOST_MS;
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        interval = times[i] / 4 < interval ? times[i] / 4 : interval;
    }
    interval = interval > SWEEP_LEAST_MS ? interval : SWEEP_LEAST_MS;
    uv_timer_start(&server->sweep, on_sweep, interval, interval);
    server->is_sweeping = true;
}

// ---- beginning
// -----------------------------------------------------------------------------------

static void on_connection(uv_stream_t *listener, int code) {
    struct http_server *server = listener->data;
    struct http_common *common = server->common;
    if (code != 0) {
        return;  // it is gone already, or the process has too many files open: the next may succeed
    }
    struct connection *connection = xcalloc(1, sizeof *connection);
    connection->server = server;
    connection->parser = http_parser_new(&server->config.limits.request);
    connection->stream =
        io_stream_accept(common->config.loop, listener, server->config.tls, &handler, connection);
    if (connection->stream == NULL) {
        http_parser_free(connection->parser);
        free(connection);
        return;
    }
    connection->next = server->connections;
    if (server->connections != NULL) {
        server->connections->previous = connection;
    }
    server->connections = connection;
    server->connection_count++;
    common->connections++;
    connection->since_ms = now_ms(server);
    if (!server->is_sweeping) {
        start_sweep(server);
    }
    if (server->connection_count > server->config.limits.connections ||
        common->connections > common->config.connections) {
        // At once, because waiting for the client would need the room that is not there.
        if (server->config.tls == NULL) {
            refuse(connection, 503, "too many connections");
        }
        drop(connection);
    }
}

static enum status parse_address(const struct http_server_config *config,
                                 struct sockaddr_storage *out, struct error *error) {
    const char *host = strcmp(config->host, "localhost") == 0 ? "127.0.0.1" : config->host;
    if (uv_ip4_addr(host, config->port, (struct sockaddr_in *)out) != 0 &&
        uv_ip6_addr(host, config->port, (struct sockaddr_in6 *)out) != 0) {
        return error_set(error, ERR_INVALID,
                         "Invalid host: %.200s is neither an IP address nor localhost",
                         config->host);
    }
    return OK;
}

static enum status listen_failed(int code, const struct http_server_config *config,
                                 struct error *error) {
    enum status status = code == UV_EADDRINUSE ? ERR_BUSY : code == UV_EACCES ? ERR_DENIED : ERR_IO;
    return error_set(error, status, "cannot listen on %.200s port %u: %s", config->host,
                     config->port, uv_strerror(code));
}

static int listen_on(struct http_server *server, const struct sockaddr_storage *address,
                     uint16_t *port) {
    uv_loop_t *loop = io_loop_uv(server->common->config.loop);
    uv_timer_init(loop, &server->sweep);
    uv_tcp_init(loop, &server->listener);
    server->sweep.data = server->listener.data = server;
    server->open_handles = 2;
    int code = uv_tcp_bind(&server->listener, (const struct sockaddr *)address, 0);
    if (code == 0) {
        code = uv_listen((uv_stream_t *)&server->listener, BACKLOG, on_connection);
    }
    struct sockaddr_storage bound;
    int size = sizeof bound;
    if (code == 0) {
        code = uv_tcp_getsockname(&server->listener, (struct sockaddr *)&bound, &size);
    }
    if (code == 0) {
        // Both families have the port at the same place.
        *port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
    }
    return code;
}

enum status http_server_start(const struct http_server_config *config, struct http_server **out,
                              uint16_t *port, struct error *error) {
    struct sockaddr_storage address;
    enum status status = parse_address(config, &address, error);
    if (status != OK) {
        return status;
    }
    struct http_server *server = xcalloc(1, sizeof *server);
    server->config = *config;
    server->config.host = NULL;
    server->config.tls = io_tls_ref(config->tls);
    server->common = config->common;
    int code = listen_on(server, &address, port);
    if (code != 0) {
        server->has_failed = true;
        uv_close((uv_handle_t *)&server->listener, handle_closed);
        uv_close((uv_handle_t *)&server->sweep, handle_closed);
        return listen_failed(code, config, error);
    }
    *out = server;
    return OK;
}

// Frees the port at once, also while a child process between fork and exec still has the socket.
static void close_listener(struct http_server *server) {
    uv_os_fd_t handle;
    if (uv_fileno((const uv_handle_t *)&server->listener, &handle) == 0) {
        (void)shutdown(handle, SHUT_RDWR);
    }
    uv_close((uv_handle_t *)&server->listener, handle_closed);
}

void http_server_stop(struct http_server *server) {
    assert(!server->is_stopping);
    server->is_stopping = true;
    server->stopped_ms = now_ms(server);
    close_listener(server);
    for (struct connection *at = server->connections; at != NULL; at = at->next) {
        if (at->phase != READING) {
            at->ends = true;
        } else if (http_parser_state(at->parser) == HTTP_PARSE_IDLE) {
            drop(at);
        } else {
            refuse(at, 503, "the server is being stopped");
        }
    }
    end_if_done(server);
}

uint32_t http_server_connections(const struct http_server *server) {
    return server->connection_count;
}

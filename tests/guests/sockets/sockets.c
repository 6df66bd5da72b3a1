// SPDX-License-Identifier: Apache-2.0
// A test actor with an HTTP server whose paths speak WebSocket:
//
//   /chat          told of connects and disconnects; a connect with the query "refuse" fails
//   /quiet         told of messages alone
//   /room/{name}   a pattern
//   /guarded/in    behind a middleware that lets only "Origin: http://good.example" in
//   /both          speaks HTTP too
//
// The initial state, if there is one, is the paths of a certificate and a key, with a blank
// between. A connect is answered with "ID PATH QUERY", sent unasked. What a text message says, it
// does, and answers with the result: send ID TEXT | drop ID | ping ID | other ID | disable PATH |
// enable PATH | info | stop | seen (how many connects and disconnects) | trap; "large" a binary
// message to itself, over and over, until an error, which it logs. Anything else comes back, and
// pings and pongs as a text.
#include "theater-http.h"
#include "theater-websocket.h"

static uint64_t server, connects, messages, disconnects, pages, guard;

struct counts {
    uint32_t connects, disconnects;
};

static struct theater_bytes told(struct theater_outcome outcome) {
    return outcome.ok ? theater_text("ok") : theater_join("error: ", outcome.error);
}

static struct theater_outcome serve(struct theater_bytes state, uint16_t *port) {
    struct theater_server_config config = {.has_port = true};
    if (!theater_is_none(state) && state.size != sizeof(struct counts)) {
        config.cert_path = theater_text("cert.pem");
        config.key_path = theater_text("key.pem");
    }
    uint64_t id;
    (void)theater_create_server(&config, &server);
    (void)theater_register_handler("connect", &connects);
    (void)theater_register_handler("message", &messages);
    (void)theater_register_handler("disconnect", &disconnects);
    (void)theater_register_handler("pages", &pages);
    (void)theater_register_handler("guard", &guard);
    (void)theater_add_middleware(server, "/guarded", guard, &id);
    (void)theater_add_route(server, "/both", "GET", pages, &id);
    static const char *const paths[] = {"/chat", "/room/{name}", "/guarded/in", "/both"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct theater_outcome outcome =
            theater_enable_websocket(server, paths[i], &connects, messages, &disconnects);
        if (!outcome.ok) {
            return outcome;
        }
    }
    (void)theater_enable_websocket(server, "/quiet", NULL, messages, NULL);
    return theater_start_server(server, port);
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    uint16_t port = 0;
    struct theater_outcome outcome = serve(state, &port);
    struct counts none = {0, 0};
    if (!outcome.ok) {
        return theater_error(outcome.error);
    }
    theater_log("port ", port);
    return theater_ok(theater_store(&none, sizeof none));
}

static struct theater_result on_connect(struct theater_bytes state, uint64_t handler,
                                        uint64_t connection, struct theater_bytes path,
                                        struct theater_bytes query) {
    struct counts counts;
    (void)theater_load(state, &counts, sizeof counts);
    counts.connects++;
    if (handler != connects) {
        return theater_error("the wrong handler");
    }
    if (!theater_is_none(query) && theater_text_equal(query, "refuse")) {
        return theater_error("refused");
    }
    struct theater_outcome outcome = theater_send_websocket(
        server, connection,
        theater_websocket_text(theater_join(
            connection, " ", path, " ", theater_is_none(query) ? theater_text("(none)") : query)));
    return outcome.ok ? theater_ok(theater_store(&counts, sizeof counts))
                      : theater_error(outcome.error);
}

static struct theater_result on_disconnect(struct theater_bytes state, uint64_t handler,
                                           uint64_t connection) {
    struct counts counts;
    (void)theater_load(state, &counts, sizeof counts);
    counts.disconnects++;
    theater_log("disconnect ", connection, handler == disconnects ? "" : ": the wrong handler");
    return theater_ok(theater_store(&counts, sizeof counts));
}

static struct theater_bytes send_large(uint64_t connection) {
    enum { SIZE = 1000000 };
    uint8_t *content = theater_alloc(SIZE);
    __builtin_memset(content, 'l', SIZE);
    for (uint32_t sent = 0; sent < 1000; sent++) {
        struct theater_outcome outcome =
            theater_send_websocket(server, connection,
                                   (struct theater_websocket_message){
                                       .type = THEATER_WEBSOCKET_BINARY, .data = {content, SIZE}});
        if (!outcome.ok) {
            theater_log("large: ", outcome.error);
            return theater_text(sent);
        }
    }
    return theater_text("all of it");
}

static struct theater_bytes describe(void) {
    struct theater_server_info info;
    struct theater_outcome outcome = theater_get_server_info(server, &info);
    return outcome.ok ? theater_join("websocket ", info.has_websocket, " running ", info.is_running)
                      : told(outcome);
}

static struct theater_bytes run(const struct counts *counts, uint64_t connection,
                                struct theater_bytes text) {
    struct theater_bytes rest = text;
    struct theater_bytes command = theater_word(&rest), all = rest;
    uint64_t id = 0;
    bool has_id = theater_parse_number(theater_word(&rest), &id);
    if (theater_text_equal(command, "send") && has_id) {
        return told(theater_send_websocket(server, id, theater_websocket_text(rest)));
    }
    if (theater_text_equal(command, "ping") && has_id) {
        return told(theater_send_websocket(
            server, id, (struct theater_websocket_message){.type = THEATER_WEBSOCKET_PING}));
    }
    if (theater_text_equal(command, "other") && has_id) {
        return told(theater_send_websocket(
            server, id, (struct theater_websocket_message){.type = THEATER_WEBSOCKET_OTHER}));
    }
    if (theater_text_equal(command, "drop") && has_id) {
        return told(theater_close_websocket(server, id));
    }
    if (theater_text_equal(command, "disable")) {
        return told(theater_disable_websocket(server, all));
    }
    if (theater_text_equal(command, "enable")) {
        return told(theater_enable_websocket(server, all, NULL, messages, NULL));
    }
    if (theater_text_equal(command, "info")) {
        return describe();
    }
    if (theater_text_equal(command, "stop")) {
        return told(theater_stop_server(server));
    }
    if (theater_text_equal(command, "seen")) {
        return theater_join(counts->connects, " ", counts->disconnects);
    }
    if (theater_text_equal(command, "large")) {
        return send_large(connection);
    }
    if (theater_text_equal(command, "trap")) {
        theater_trap();
    }
    return text;
}

static struct theater_websocket_result on_message(struct theater_bytes state, uint64_t handler,
                                                  uint64_t connection,
                                                  const struct theater_websocket_message *message) {
    struct counts counts;
    (void)theater_load(state, &counts, sizeof counts);
    struct theater_websocket_message *answer = theater_alloc(sizeof *answer);
    if (handler != messages) {
        return theater_websocket_error("the wrong handler");
    }
    if (message->type == THEATER_WEBSOCKET_BINARY) {
        *answer = (struct theater_websocket_message){.type = THEATER_WEBSOCKET_BINARY,
                                                     .data = message->data};
    } else if (message->type == THEATER_WEBSOCKET_TEXT) {
        *answer = theater_websocket_text(run(&counts, connection, message->text));
    } else {
        *answer =
            theater_websocket_text(message->type == THEATER_WEBSOCKET_PING ? "a ping" : "a pong");
    }
    return theater_websocket_reply(state, answer, 1);
}

static struct theater_http_result on_request(struct theater_bytes state, uint64_t handler,
                                             const struct theater_http_request *request) {
    (void)handler;
    (void)request;
    return theater_http_reply(state, 200, "text/plain", "a page");
}

static struct theater_http_result on_middleware(struct theater_bytes state, uint64_t handler,
                                                const struct theater_http_request *request) {
    struct theater_bytes origin = theater_http_header(request, "origin");
    bool is_good = handler == guard && !theater_is_none(origin) &&
                   theater_text_equal(origin, "http://good.example");
    return is_good ? theater_http_proceed(state, request) : theater_http_stop(state, request);
}

THEATER_INIT(on_init);
THEATER_HANDLE_HTTP_REQUEST(on_request);
THEATER_HANDLE_HTTP_MIDDLEWARE(on_middleware);
THEATER_HANDLE_WEBSOCKET_CONNECT(on_connect);
THEATER_HANDLE_WEBSOCKET_MESSAGE(on_message);
THEATER_HANDLE_WEBSOCKET_DISCONNECT(on_disconnect);

// SPDX-License-Identifier: Apache-2.0
// WebSockets for actors in C: those of theater:simple/http-framework and http-handlers, and the
// older interface theater:simple/websocket-server. See theater.h.
#ifndef THEATER_WEBSOCKET_H
#define THEATER_WEBSOCKET_H

#include "theater.h"

enum theater_websocket_type {
    THEATER_WEBSOCKET_TEXT,
    THEATER_WEBSOCKET_BINARY,
    THEATER_WEBSOCKET_CONNECT,
    THEATER_WEBSOCKET_CLOSE,
    THEATER_WEBSOCKET_PING,
    THEATER_WEBSOCKET_PONG,
    THEATER_WEBSOCKET_OTHER,
};

struct theater_websocket_message {
    enum theater_websocket_type type;
    struct theater_bytes other;  // of THEATER_WEBSOCKET_OTHER: its name
    struct theater_bytes data;   // none: there is none
    struct theater_bytes text;   // none: there is none
};

#define theater_websocket_text(content)                                 \
    ((struct theater_websocket_message){.type = THEATER_WEBSOCKET_TEXT, \
                                        .text = theater_text(content)})
#define theater_websocket_binary(content)                                 \
    ((struct theater_websocket_message){.type = THEATER_WEBSOCKET_BINARY, \
                                        .data = theater_text(content)})

THEATER__IMPORT("http-framework", "enable-websocket")
void theater__import_enable_websocket(uint64_t, const uint8_t *, size_t, int, uint64_t, uint64_t,
                                      int, uint64_t, void *);
THEATER__IMPORT("http-framework", "disable-websocket")
void theater__import_disable_websocket(uint64_t, const uint8_t *, size_t, void *);
THEATER__IMPORT("http-framework", "send-websocket-message")
void theater__import_send_websocket(uint64_t, uint64_t, int, const uint8_t *, size_t, int,
                                    const uint8_t *, size_t, int, const uint8_t *, size_t, void *);
THEATER__IMPORT("http-framework", "close-websocket")
void theater__import_close_websocket(uint64_t, uint64_t, void *);

THEATER__INTERNAL struct theater_outcome theater__enable_websocket(uint64_t server,
                                                                   struct theater_bytes path,
                                                                   const uint64_t *on_connect,
                                                                   uint64_t on_message,
                                                                   const uint64_t *on_disconnect) {
    struct theater__result_area area;
    theater__import_enable_websocket(
        server, path.data, path.size, on_connect != NULL, on_connect != NULL ? *on_connect : 0,
        on_message, on_disconnect != NULL, on_disconnect != NULL ? *on_disconnect : 0, &area);
    return theater__done(&area);
}

THEATER__INTERNAL struct theater_outcome theater__disable_websocket(uint64_t server,
                                                                    struct theater_bytes path) {
    struct theater__result_area area;
    theater__import_disable_websocket(server, path.data, path.size, &area);
    return theater__done(&area);
}

// The handlers of connects and disconnects are addresses of their numbers; NULL for none.
#define theater_enable_websocket(server, path, on_connect, on_message, on_disconnect) \
    theater__enable_websocket(server, theater_text(path), on_connect, on_message, on_disconnect)
#define theater_disable_websocket(server, path) \
    theater__disable_websocket(server, theater_text(path))

THEATER__INTERNAL struct theater_outcome theater_send_websocket(
    uint64_t server, uint64_t connection, struct theater_websocket_message message) {
    struct theater__result_area area;
    theater__import_send_websocket(server, connection, (int)message.type, message.other.data,
                                   message.other.size, message.data.data != NULL, message.data.data,
                                   message.data.size, message.text.data != NULL, message.text.data,
                                   message.text.size, &area);
    return theater__done(&area);
}

THEATER__INTERNAL struct theater_outcome theater_close_websocket(uint64_t server,
                                                                 uint64_t connection) {
    struct theater__result_area area;
    theater__import_close_websocket(server, connection, &area);
    return theater__done(&area);
}

// ---- handlers ----------------------------------------------------------------------------------

// What the handlers of messages give back: messages go to the connection, in order.
struct theater_websocket_result {
    struct theater_result result;
    const struct theater_websocket_message *messages;
    size_t count;
};

THEATER__INTERNAL struct theater_websocket_result theater_websocket_reply(
    struct theater_bytes state, const struct theater_websocket_message *messages, size_t count) {
    return (struct theater_websocket_result){theater_ok(state), messages, count};
}
#define theater_websocket_error(...) \
    ((struct theater_websocket_result){.result = theater_error(__VA_ARGS__)})

// A websocket-message as the canonical ABI lays it out.
struct theater__websocket_message {
    uint8_t type;
    struct theater_bytes other;  // at 4
    uint8_t has_data;            // at 12
    struct theater_bytes data;
    uint8_t has_text;  // at 24
    struct theater_bytes text;
};
struct theater__websocket_answer {
    uint8_t failed;
    union {
        struct {
            uint8_t has_state;
            struct theater_bytes state;                         // at 8
            const struct theater__websocket_message *messages;  // at 16
            size_t count;
        } ok;
        struct theater_bytes error;  // at 4
    } of;
};
_Static_assert(sizeof(struct theater__websocket_message) == 36, "canonical ABI");
_Static_assert(offsetof(struct theater__websocket_answer, of.ok.messages) == 16, "canonical ABI");

THEATER__SHARED void *theater__websocket_answer(struct theater_websocket_result result) {
    struct theater__websocket_answer *answer = theater_alloc(sizeof *answer);
    __builtin_memset(answer, 0, sizeof *answer);
    answer->failed = !result.result.ok;
    if (!result.result.ok) {
        answer->of.error = result.result.error;
        return answer;
    }
    struct theater__websocket_message *messages = theater_alloc(sizeof *messages * result.count);
    for (size_t i = 0; i < result.count; i++) {
        const struct theater_websocket_message *from = &result.messages[i];
        messages[i] = (struct theater__websocket_message){(uint8_t)from->type,     from->other,
                                                          from->data.data != NULL, from->data,
                                                          from->text.data != NULL, from->text};
    }
    answer->of.ok.has_state = result.result.state.data != NULL;
    answer->of.ok.state = result.result.state;
    answer->of.ok.messages = messages;
    answer->of.ok.count = result.count;
    return answer;
}

#define THEATER__WEBSOCKET_PARAMETERS                                                  \
    int type, const uint8_t *a, size_t an, int b_present, const uint8_t *b, size_t bn, \
        int c_present, const uint8_t *c, size_t cn
#define THEATER__WEBSOCKET_VALUE                                                       \
    &(struct theater_websocket_message) {                                              \
        (enum theater_websocket_type) type,                                            \
            theater__parameter(type == THEATER_WEBSOCKET_OTHER, a, an),                \
            theater__parameter(b_present, b, bn), theater__parameter(c_present, c, cn) \
    }

// fn(state, uint64_t handler, uint64_t connection, path, query (none: there is none))
#define THEATER_HANDLE_WEBSOCKET_CONNECT(fn)                                                     \
    THEATER__HANDLER("http-handlers", "handle-websocket-connect", websocket_connect,             \
                     (THEATER__STATE_PARAMETERS, uint64_t handler, uint64_t connection,          \
                      const uint8_t *a, size_t an, int b_present, const uint8_t *b, size_t bn),  \
                     fn(THEATER__STATE_VALUE, handler, connection, theater__parameter(1, a, an), \
                        theater__parameter(b_present, b, bn)),                                   \
                     THEATER__STATE)
// fn(state, uint64_t handler, uint64_t connection, const struct theater_websocket_message
// *message), which returns struct theater_websocket_result.
#define THEATER_HANDLE_WEBSOCKET_MESSAGE(fn)                                           \
    THEATER__EXPORT("http-handlers", "handle-websocket-message", websocket_message,    \
                    (THEATER__STATE_PARAMETERS, uint64_t handler, uint64_t connection, \
                     THEATER__WEBSOCKET_PARAMETERS),                                   \
                    theater__websocket_answer(                                         \
                        fn(THEATER__STATE_VALUE, handler, connection, THEATER__WEBSOCKET_VALUE)))
// fn(state, uint64_t handler, uint64_t connection)
#define THEATER_HANDLE_WEBSOCKET_DISCONNECT(fn)                                            \
    THEATER__HANDLER("http-handlers", "handle-websocket-disconnect", websocket_disconnect, \
                     (THEATER__STATE_PARAMETERS, uint64_t handler, uint64_t connection),   \
                     fn(THEATER__STATE_VALUE, handler, connection), THEATER__STATE)
// Of websocket-server: fn(state, const struct theater_websocket_message *message), which returns
// struct theater_websocket_result.
#define THEATER_HANDLE_WEBSOCKET(fn)                                            \
    THEATER__EXPORT("websocket-server", "handle-message", websocket_event,      \
                    (THEATER__STATE_PARAMETERS, THEATER__WEBSOCKET_PARAMETERS), \
                    theater__websocket_answer(fn(THEATER__STATE_VALUE, THEATER__WEBSOCKET_VALUE)))

#endif

// SPDX-License-Identifier: Apache-2.0
#include "io/websocket.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

enum {
    DEFAULT_PING_MS = 30000,
    DEFAULT_CLOSE_MS = 2000,
    STALL_BYTES = 256 * 1024,  // of output that wait, before reading stops
    KEEP_BYTES = 64 * 1024     // a larger buffer is not kept
};

enum state {
    OPEN,
    CLOSING,  // a close was sent, and the client's is awaited: what else it sends is dropped
    OVER      // nothing is awaited but the end of the stream
};

struct websocket {
    struct websocket_config config;
    struct websocket_reader reader;
    struct io_stream *stream;  // NULL: closed
    uv_timer_t timer;
    enum state state;
    struct buf rest;  // what was read while the owner had a message
    size_t rest_at;   // of it, what was used
    bool is_busy;     // the owner has a message: the reader is not to be touched
    bool is_paused;   // the stream
    bool is_running;  // in `run`
    bool has_told;    // `ended` was called
    bool has_ended;   // the stream has
    bool is_gone;     // stream and timer are closed
    // Since the last tick of the timer, while open:
    bool has_heard;    // something came
    bool is_awaiting;  // a ping of ours was not followed by anything yet
    bool has_queued;   // something waited to be taken then
    uint64_t written;
    uint32_t pings;
};

static void update(struct websocket *socket);

struct websocket *websocket_new(const struct websocket_config *config) {
    struct websocket *socket = xcalloc(1, sizeof *socket);
    socket->config = *config;
    if (config->ping_ms == 0) {
        socket->config.ping_ms = DEFAULT_PING_MS;
    }
    if (config->close_ms == 0) {
        socket->config.close_ms = DEFAULT_CLOSE_MS;
    }
    websocket_reader_init(&socket->reader, config->message_bytes);
    return socket;
}

void websocket_discard(struct websocket *socket) {
    websocket_reader_release(&socket->reader);
    buf_release(&socket->rest);
    free(socket);
}

// ---- the end -----------------------------------------------------------------------------------

static void tell_end(struct websocket *socket, struct slice close) {
    if (!socket->has_told) {
        socket->has_told = true;
        socket->config.handler->ended(socket->config.context, close);
    }
}

static void release_if_done(struct websocket *socket) {
    if (socket->is_gone && !socket->is_busy) {
        const struct websocket_handler *handler = socket->config.handler;
        void *context = socket->config.context;
        websocket_discard(socket);
        handler->gone(context);
    }
}

static void on_timer_closed(uv_handle_t *handle) {
    struct websocket *socket = handle->data;
    socket->is_gone = true;
    release_if_done(socket);
}

static void on_closed(void *context) {
    struct websocket *socket = context;
    socket->stream = NULL;
    uv_close((uv_handle_t *)&socket->timer, on_timer_closed);
}

static void cut(struct websocket *socket) {
    socket->state = OVER;
    if (socket->stream != NULL) {
        io_stream_close(socket->stream);
    }
    tell_end(socket, slice_of(NULL, 0));
}

static void on_tick(uv_timer_t *timer);

// What is left of the connection has only so long.
static void limit_end(struct websocket *socket) {
    uv_timer_start(&socket->timer, on_tick, socket->config.close_ms, 0);
}

static void on_ended(void *context, bool is_clean) {
    struct websocket *socket = context;
    socket->has_ended = true;
    // A client that only finished sending may still take the close that it was sent.
    if (is_clean && socket->state == OVER && io_stream_queued(socket->stream) > 0) {
        return;
    }
    cut(socket);
}

// ---- writing -----------------------------------------------------------------------------------

static void write_frame(struct websocket *socket, enum websocket_kind kind, struct slice payload) {
    uint8_t head[WEBSOCKET_HEAD_MOST];
    size_t size = websocket_write_head(kind, payload.size, head);
    const struct slice parts[] = {slice_of(head, size), payload};
    io_stream_write(socket->stream, parts, COUNT_OF(parts), NULL);
}

bool websocket_send(struct websocket *socket, enum websocket_kind kind, struct slice payload) {
    assert(kind != WEBSOCKET_CLOSE && kind != WEBSOCKET_CONTINUATION);
    if (socket->state != OPEN) {
        return false;
    }
    uint64_t queued = io_stream_queued(socket->stream);
    if (queued > 0 && queued + payload.size > socket->config.queue_bytes) {
        cut(socket);
        return false;
    }
    write_frame(socket, kind, payload);
    return true;
}

static void write_close(struct websocket *socket, uint16_t code, struct slice reason) {
    uint8_t payload[WEBSOCKET_CONTROL_MOST];
    size_t size = websocket_write_close(code, reason, payload);
    write_frame(socket, WEBSOCKET_CLOSE, slice_of(payload, size));
}

void websocket_close(struct websocket *socket, uint16_t code, struct slice reason) {
    if (socket->state != OPEN) {
        return;
    }
    write_close(socket, code, reason);
    socket->state = CLOSING;
    limit_end(socket);
    update(socket);
}

// Both sides have said what they have to say.
static void finish(struct websocket *socket, struct slice close) {
    socket->state = OVER;
    io_stream_finish(socket->stream);
    limit_end(socket);
    tell_end(socket, close);
}

static void on_drained(void *context) {
    struct websocket *socket = context;
    if (socket->state == OVER && socket->has_ended) {
        io_stream_close(socket->stream);
    } else {
        update(socket);
    }
}

// ---- pings and patience ------------------------------------------------------------------------

// The payload of our own pings: pongs that repeat it are not the owner's.
static const uint8_t ping_mark[] = {0x00, 0xFF, 'k', 'a'};

static bool is_own_pong(struct slice payload) {
    return payload.size == sizeof ping_mark + 4 &&
           memcmp(payload.data, ping_mark, sizeof ping_mark) == 0;
}

static void write_ping(struct websocket *socket) {
    uint8_t payload[sizeof ping_mark + 4];
    uint32_t number = ++socket->pings;
    memcpy(payload, ping_mark, sizeof ping_mark);
    for (unsigned i = 0; i < 4; i++) {
        payload[sizeof ping_mark + i] = (uint8_t)(number >> (24 - 8 * i));
    }
    write_frame(socket, WEBSOCKET_PING, slice_of(payload, sizeof payload));
    socket->is_awaiting = true;
}

static bool is_stalled(const struct websocket *socket) {
    return io_stream_queued(socket->stream) > STALL_BYTES;
}

static void on_tick(uv_timer_t *timer) {
    struct websocket *socket = timer->data;
    if (socket->stream == NULL) {
        return;
    }
    uint64_t written = io_stream_written(socket->stream);
    bool has_queued = io_stream_queued(socket->stream) > 0;
    bool is_stuck = has_queued && socket->has_queued && written == socket->written;
    // Whether it is silent cannot be told while nothing is read.
    bool is_silent = !socket->has_heard && !socket->is_paused;
    if (socket->state != OPEN || is_stuck || (is_silent && socket->is_awaiting)) {
        cut(socket);
        return;
    }
    socket->written = written;
    socket->has_queued = has_queued;
    socket->has_heard = false;
    if (is_silent) {
        write_ping(socket);
    }
}

// ---- reading -----------------------------------------------------------------------------------

static void deliver(struct websocket *socket, const struct websocket_message *message) {
    if (socket->state == OPEN) {
        socket->is_busy = true;
        socket->config.handler->message(socket->config.context, message);
    }
}

static void take(struct websocket *socket, const struct websocket_message *message) {
    assert(message->kind != WEBSOCKET_CONTINUATION);
    switch (message->kind) {
        case WEBSOCKET_CLOSE:
            if (socket->state == OPEN) {
                // Its code is given back; the text was for us.
                size_t size = message->payload.size < 2 ? message->payload.size : 2;
                write_frame(socket, WEBSOCKET_CLOSE, slice_of(message->payload.data, size));
            }
            finish(socket, message->payload);
            return;
        case WEBSOCKET_PING:
            if (websocket_send(socket, WEBSOCKET_PONG, message->payload)) {
                deliver(socket, message);
            }
            return;
        case WEBSOCKET_PONG:
            if (!is_own_pong(message->payload)) {
                deliver(socket, message);
            }
            return;
        case WEBSOCKET_TEXT:
        case WEBSOCKET_BINARY:
            deliver(socket, message);
            return;
        case WEBSOCKET_CONTINUATION:
            break;
    }
}

static void take_fault(struct websocket *socket) {
    const char *why = NULL;
    uint16_t code = websocket_reader_fault(&socket->reader, &why);
    if (socket->state == OPEN) {
        write_close(socket, code, slice_text(why));
    }
    finish(socket, slice_of(NULL, 0));
}

static bool may_read(const struct websocket *socket) {
    return socket->stream != NULL && !socket->is_busy && socket->state != OVER &&
           (socket->state == CLOSING || !is_stalled(socket));
}

// Reads from the front of `input` as far as the owner lets it.
static void run(struct websocket *socket, struct slice *input) {
    assert(!socket->is_running);
    socket->is_running = true;
    while (input->size > 0 && may_read(socket)) {
        struct websocket_message message;
        enum websocket_found found = websocket_read(&socket->reader, input, &message);
        if (found == WEBSOCKET_MESSAGE) {
            take(socket, &message);
        } else if (found == WEBSOCKET_BROKEN) {
            take_fault(socket);
        }
    }
    if (socket->state == OVER) {
        *input = slice_of(NULL, 0);
    }
    socket->is_running = false;
}

// Reads what waits, and then lets the stream go on, or holds it.
static void update(struct websocket *socket) {
    if (socket->is_running || socket->stream == NULL) {
        return;
    }
    struct slice rest = buf_slice(&socket->rest);
    if (rest.size > 0) {
        rest = slice_of(rest.data + socket->rest_at, rest.size - socket->rest_at);
        run(socket, &rest);
        socket->rest_at = socket->rest.size - rest.size;
    }
    if (rest.size == 0) {
        socket->rest_at = 0;
        if (socket->rest.capacity > KEEP_BYTES) {
            buf_release(&socket->rest);
        }
        buf_clear(&socket->rest);
    }
    bool wants = socket->state == OVER || (rest.size == 0 && may_read(socket));
    if (wants == !socket->is_paused || socket->has_ended) {
        return;
    }
    socket->is_paused = !wants;
    if (wants) {
        io_stream_resume(socket->stream);
    } else {
        io_stream_pause(socket->stream);
    }
}

static void on_read(void *context, struct slice content) {
    struct websocket *socket = context;
    socket->has_heard = true;
    socket->is_awaiting = false;
    if (socket->rest.size == 0) {
        run(socket, &content);
    }
    if (content.size > 0 && socket->state != OVER) {
        buf_append_slice(&socket->rest, content);
    }
    update(socket);
}

void websocket_continue(struct websocket *socket) {
    assert(socket->is_busy);
    socket->is_busy = false;
    if (socket->is_gone) {
        release_if_done(socket);
    } else {
        update(socket);
    }
}

// ---- the beginning -----------------------------------------------------------------------------

const struct io_stream_handler websocket_stream = {
    .read = on_read, .ended = on_ended, .drained = on_drained, .closed = on_closed};

void websocket_begin(struct websocket *socket, struct io_stream *stream,
                     const char accept[WEBSOCKET_ACCEPT_SIZE], struct slice rest) {
    socket->stream = stream;
    socket->is_busy = true;
    socket->is_paused = true;
    buf_append_slice(&socket->rest, rest);
    socket->timer.data = socket;
    uv_timer_init(io_loop_uv(socket->config.loop), &socket->timer);
    uv_timer_start(&socket->timer, on_tick, socket->config.ping_ms, socket->config.ping_ms);
    const struct slice parts[] = {slice_text("HTTP/1.1 101 Switching Protocols\r\n"
                                             "Upgrade: websocket\r\n"
                                             "Connection: Upgrade\r\n"
                                             "Sec-WebSocket-Accept: "),
                                  slice_text(accept), slice_text("\r\n\r\n")};
    io_stream_write(stream, parts, COUNT_OF(parts), NULL);
}

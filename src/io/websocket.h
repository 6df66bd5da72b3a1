// SPDX-License-Identifier: Apache-2.0
// One WebSocket connection of a server (RFC 6455): the protocol of websocket_frame.h on a stream,
// with pings, the closing handshake and its timeouts.
//
// Messages come one at a time: after one nothing is read until websocket_continue, and TCP holds
// the client back meanwhile, so that a connection holds at most one message. Pings are answered
// here, and given to the owner too.
//
// A client that takes nothing of what is sent for `ping_ms`, lets more than `queue_bytes` of it
// pile up, or is silent and leaves a ping unanswered for `ping_ms`, is cut off. While more than 256
// KiB wait to be taken, nothing is read from it.
//
// Everything is for the loop's thread.
//
// Life: websocket_new, then websocket_begin, and after that the calls of its handler: any number of
// `message`, `ended` once, and last `gone`. A message's payload lasts until websocket_continue,
// even when the connection is lost meanwhile: `gone` waits for it.
#ifndef IO_WEBSOCKET_H
#define IO_WEBSOCKET_H

#include "io/stream.h"
#include "io/websocket_frame.h"

struct websocket;

struct websocket_handler {
    // A message: text, binary, ping or pong. Its owner calls websocket_continue, now or later.
    void (*message)(void *context, const struct websocket_message *message);
    // Nothing more will come. `close` is the payload of the client's close: empty when it sent none
    // or went away without. A message may be with the owner still.
    void (*ended)(void *context, struct slice close);
    // The last call. The connection exists no more.
    void (*gone)(void *context);
};

struct websocket_config {
    struct io_loop *loop;    // borrowed
    uint64_t message_bytes;  // most, of one message of the client
    uint64_t queue_bytes;    // most, of what was sent and not taken
    uint32_t ping_ms;        // 0: the default, 30 s
    uint32_t close_ms;       // what a client has to answer a close; 0: the default, 2 s
    const struct websocket_handler *handler;
    void *context;
};

// A connection to be; the handler's context and the limits are in `config`, which is copied.
struct websocket *websocket_new(const struct websocket_config *config);
// The connection never began: it is freed, and no callback is called.
void websocket_discard(struct websocket *socket);
// What is to own the stream, with the connection as its context.
extern const struct io_stream_handler websocket_stream;
// Sends the 101 response. `stream` is paused, and is the connection's own from now on; `rest` is
// what the client sent after its request. As after a message, nothing is read before
// websocket_continue.
void websocket_begin(struct websocket *socket, struct io_stream *stream,
                     const char accept[WEBSOCKET_ACCEPT_SIZE], struct slice rest);

// The owner is done with the message, or with beginning. May call `message`, or be the end.
void websocket_continue(struct websocket *socket);
// Sends a text (valid UTF-8), binary, ping or pong (at most 125 bytes). False when it goes nowhere:
// the connection is closing, or the client has been cut off for not taking what it was sent before.
bool websocket_send(struct websocket *socket, enum websocket_kind kind, struct slice payload);
// Closes: with a valid code, and as much of `reason` (UTF-8) as fits. What was sent before goes out
// first; messages that still come are dropped. Nothing happens when it is closing already.
void websocket_close(struct websocket *socket, uint16_t code, struct slice reason);

#endif

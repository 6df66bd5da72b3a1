// SPDX-License-Identifier: Apache-2.0
// One TCP connection that was accepted, plain or under TLS, on the event loop: bytes come in by a
// callback, what is written goes out in order and without a copy where that helps. Protocols (HTTP,
// WebSocket) stand on top and may pass a stream on to each other (io_stream_hand_over).
//
// All functions are for the loop's thread, but for those of struct io_tls. Nothing here blocks.
// OpenSSL works on memory only, never on the socket.
//
// Life of a stream:
//   1. io_stream_accept gives it; it reads until io_stream_pause.
//   2. `ended` is called when nothing more will come: the peer finished, or the connection broke.
//      After a peer that finished it is called again if the connection breaks while something is
//      written. Whoever owns the stream still closes it.
//   3. io_stream_close may be called at any time, in any callback; after it only `closed` is
//   called,
//      later and exactly once, and then the stream is gone.
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "io/loop.h"

struct io_stream;
struct io_tls;
struct uv_stream_s;

// What the owner of a stream is told. The callbacks run on the loop, never from within a call of a
// function of this file, except `read` from io_stream_resume.
struct io_stream_handler {
    // Bytes that arrived, more than none. They are the owner's to copy: valid until it returns.
    void (*read)(void *context, struct slice content);
    // `is_clean`: the peer has finished sending and may still read; otherwise the connection is
    // broken, and what is written goes nowhere.
    void (*ended)(void *context, bool is_clean);
    // All that was written has been given to the system, after some of it had to wait.
    void (*drained)(void *context);
    // The last call. `context` is no longer used.
    void (*closed)(void *context);
};

// A server's certificate and key. Counted; any thread.
//
// `certificate` is one or more certificates in PEM form, the server's own first; `key` its private
// key, without a passphrase. ERR_INVALID says what is wrong with which of them, and never quotes
// them. Not on a fiber.
enum status io_tls_new(struct slice certificate, struct slice key, struct io_tls **out,
                       struct error *error) MUST_CHECK;
struct io_tls *io_tls_ref(struct io_tls *tls);  // NULL is fine
void io_tls_unref(struct io_tls *tls);          // NULL is fine

// Accepts a connection that waits at `listener`. With `tls` (which it refers to) the handshake
// takes place by itself: `read` gets what follows. NULL when there is none after all.
struct io_stream *io_stream_accept(struct io_loop *loop, struct uv_stream_s *listener,
                                   struct io_tls *tls, const struct io_stream_handler *handler,
                                   void *context);
// From now on another one owns the stream: in a callback of the old owner, too, whose context is
// used no more.
void io_stream_hand_over(struct io_stream *stream, const struct io_stream_handler *handler,
                         void *context);

// Writes `parts` one after the other, then `body` (NULL: nothing). What the socket does not take at
// once waits in the stream's queue: `parts` are copied then, `body` is referred to. A stream that
// has failed, was finished or closed takes nothing.
void io_stream_write(struct io_stream *stream, const struct slice *parts, size_t count,
                     struct bytes *body);
// What waits in the queue, in bytes. Owners stop producing while it is more than they care to hold,
// until `drained`.
uint64_t io_stream_queued(const struct io_stream *stream);
// Bytes that the system has taken since the stream began: whether a slow peer makes progress.
uint64_t io_stream_written(const struct io_stream *stream);
// No `read` until io_stream_resume. A peer that sends on is then held back by TCP. `ended` may not
// be called either while it is paused.
void io_stream_pause(struct io_stream *stream);
// May call `read` at once.
void io_stream_resume(struct io_stream *stream);
// No more will be written: once the queue is empty, the peer is told. Reading goes on, so that a
// peer which still sends sees what was written to it; the owner reads until `ended` or its patience
// is over, and closes.
void io_stream_finish(struct io_stream *stream);
// Ends at once; what waits in the queue is dropped.
void io_stream_close(struct io_stream *stream);

#endif

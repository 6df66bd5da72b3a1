// SPDX-License-Identifier: Apache-2.0
// The event loop: one thread that waits for sockets, pipes and processes (libuv). What it calls
// must not block and never waits for an actor; what other threads want of it, they post.
//
// libuv's functions are not for other threads: only what runs on the loop may use io_loop_uv.
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct io_loop;
struct uv_loop_s;

// Something to do on the loop's thread. Whoever posts it keeps it until it runs.
struct io_post {
    struct io_post *next;  // private
    void (*run)(struct io_post *post);
};

// Starts the thread.
enum status io_loop_new(struct io_loop **out, struct error *error) MUST_CHECK;
// Runs what was posted, waits until the last handle on the loop is closed, and joins the thread. So
// whoever opened handles closes them before, or has posted that they be closed.
void io_loop_free(struct io_loop *loop);
// Has post->run called on the loop's thread, after all that this thread posted before. Any thread,
// the loop's own included; never waits.
void io_loop_post(struct io_loop *loop, struct io_post *post);
// On the loop's thread.
struct uv_loop_s *io_loop_uv(struct io_loop *loop);
bool io_loop_is_here(const struct io_loop *loop);
// Memory for what one callback on the loop reads and works off before it returns.
enum { IO_LOOP_SCRATCH_BYTES = 64 * 1024 };
uint8_t *io_loop_scratch(struct io_loop *loop);

#endif

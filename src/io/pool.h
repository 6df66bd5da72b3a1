// SPDX-License-Identifier: Apache-2.0
// Threads for work that may block: files, for now. Bounded in number; what is submitted while all
// are busy waits in a queue, first come, first served. The queue needs no bound of its own: each
// piece of work has a parked actor behind it, or the end of one, and those are bounded.
#ifndef IO_POOL_H
#define IO_POOL_H

#include <stdint.h>

#include "base/status.h"

struct io_pool;

// At most `threads` threads (0: the default, 4), started when they are needed.
enum status io_pool_new(uint32_t threads, struct io_pool **out, struct error *error) MUST_CHECK;
// Runs what was submitted to its end and joins the threads. Nothing may be submitted any more.
void io_pool_free(struct io_pool *pool);
// Calls run(argument) on one of the threads, later. Any thread; never waits for the work.
void io_pool_submit(struct io_pool *pool, void (*run)(void *argument), void *argument);

#endif

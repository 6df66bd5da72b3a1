// SPDX-License-Identifier: Apache-2.0
#include "io/loop.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

#include "base/bytes.h"
#include "base/compat.h"

struct io_loop {
    uv_loop_t uv;
    uv_async_t wake;
    pthread_t thread;
    _Atomic(struct io_post *) posted;  // newest first
    struct io_post end;
    uint8_t scratch[IO_LOOP_SCRATCH_BYTES];
};

static struct io_post *reverse(struct io_post *newest) {
    struct io_post *oldest = NULL;
    while (newest != NULL) {
        struct io_post *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void run_posted(uv_async_t *wake) {
    struct io_loop *loop = wake->data;
    // Acquire: partner of the release in io_loop_post.
    struct io_post *post =
        reverse(atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire));
    while (post != NULL) {
        struct io_post *next = post->next;
        post->run(post);
        post = next;
    }
}

// The last post: with `wake` closed, the loop ends when all other handles are.
static void run_end(struct io_post *post) {
    struct io_loop *loop = CONTAINER_OF(post, struct io_loop, end);
    uv_close((uv_handle_t *)&loop->wake, NULL);
}

static void *thread_main(void *argument) {
    struct io_loop *loop = argument;
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    return NULL;
}

// Signals of the process are for the main thread; a peer that is gone is an error of one write.
static int start_thread(struct io_loop *loop) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&loop->thread, NULL, thread_main, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

enum status io_loop_new(struct io_loop **out, struct error *error) {
    struct io_loop *loop = xcalloc(1, sizeof *loop);
    int code = uv_loop_init(&loop->uv);
    if (code != 0) {
        free(loop);
        return error_set(error, ERR_IO, "cannot make an event loop: %s", uv_strerror(code));
    }
    loop->wake.data = loop;
    code = uv_async_init(&loop->uv, &loop->wake, run_posted);
    if (code == 0) {
        code = start_thread(loop) == 0 ? 0 : UV_EAGAIN;
        if (code != 0) {
            uv_close((uv_handle_t *)&loop->wake, NULL);
            uv_run(&loop->uv, UV_RUN_DEFAULT);
        }
    }
    if (code != 0) {
        uv_loop_close(&loop->uv);
        free(loop);
        return error_set(error, ERR_IO, "cannot start an event loop: %s", uv_strerror(code));
    }
    *out = loop;
    return OK;
}

void io_loop_post(struct io_loop *loop, struct io_post *post) {
    // Release: the loop's acquire sees what the post refers to.
    struct io_post *head = atomic_load_explicit(&loop->posted, memory_order_relaxed);
    do {
        post->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->posted, &head, post,
                                                    memory_order_release, memory_order_relaxed));
    // The one who finds the list empty wakes the loop.
    if (head == NULL) {
        uv_async_send(&loop->wake);
    }
}

void io_loop_free(struct io_loop *loop) {
    loop->end.run = run_end;
    io_loop_post(loop, &loop->end);
    pthread_join(loop->thread, NULL);
    assert(atomic_load(&loop->posted) == NULL);
    int code = uv_loop_close(&loop->uv);
    assert(code == 0);
    (void)code;
    free(loop);
}

struct uv_loop_s *io_loop_uv(struct io_loop *loop) {
    return &loop->uv;
}

bool io_loop_is_here(const struct io_loop *loop) {
    return pthread_equal(pthread_self(), loop->thread) != 0;
}

uint8_t *io_loop_scratch(struct io_loop *loop) {
    return loop->scratch;
}

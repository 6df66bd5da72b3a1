// SPDX-License-Identifier: Apache-2.0
// Waiting for HTTP exchanges: a job that is done when the first of them is, or a time has come.
#include <stdlib.h>
#include <uv.h>

#include "host/wasi_http.h"
#include "io/loop.h"

struct awaited_transfer {
    struct io_http_watcher watcher;
    struct waiting *waiting;
    struct io_http_transfer *transfer;  // keeps
};

// All but what never changes is the loop's.
struct waiting {
    struct actor_job job;
    struct io_loop *loop;
    struct io_post watch, leave;
    bool is_over;
    bool has_timer;
    uint64_t most_ms;
    uv_timer_t timer;
    uint32_t count;
    struct awaited_transfer awaited[];
};

static void timer_closed(uv_handle_t *handle) {
    struct waiting *waiting = handle->data;
    actor_job_unref(&waiting->job);
}

// The wait is at its end, one way or another. Takes the reference of the work.
static void end(struct waiting *waiting) {
    if (waiting->is_over) {
        return;
    }
    waiting->is_over = true;
    for (uint32_t i = 0; i < waiting->count; i++) {
        io_http_unwatch(&waiting->awaited[i].watcher);
    }
    if (waiting->has_timer) {
        uv_close((uv_handle_t *)&waiting->timer, timer_closed);
    }
    actor_job_done(&waiting->job);
}

static void on_timer(uv_timer_t *timer) {
    end(timer->data);
}

static void on_done(struct io_http_watcher *watcher) {
    end(CONTAINER_OF(watcher, struct awaited_transfer, watcher)->waiting);
}

static void reference(struct waiting *waiting) {
    atomic_fetch_add_explicit(&waiting->job.references, 1, memory_order_relaxed);
}

static void watch(struct io_post *post) {
    struct waiting *waiting = CONTAINER_OF(post, struct waiting, watch);
    // Held, since the first one may be done already.
    reference(waiting);
    if (waiting->most_ms != UINT64_MAX) {
        struct uv_loop_s *uv = io_loop_uv(waiting->loop);
        uv_update_time(uv);
        (void)uv_timer_init(uv, &waiting->timer);
        waiting->timer.data = waiting;
        waiting->has_timer = true;
        reference(waiting);
        (void)uv_timer_start(&waiting->timer, on_timer, waiting->most_ms, 0);
    }
    for (uint32_t i = 0; i < waiting->count && !waiting->is_over; i++) {
        io_http_watch(waiting->awaited[i].transfer, &waiting->awaited[i].watcher);
    }
    actor_job_unref(&waiting->job);
}

static void begin(struct actor_job *job) {
    struct waiting *waiting = CONTAINER_OF(job, struct waiting, job);
    io_loop_post(waiting->loop, &waiting->watch);
}

static void leave(struct io_post *post) {
    struct waiting *waiting = CONTAINER_OF(post, struct waiting, leave);
    end(waiting);
    actor_job_unref(&waiting->job);
}

static void cancel(struct actor_job *job) {
    struct waiting *waiting = CONTAINER_OF(job, struct waiting, job);
    reference(waiting);
    io_loop_post(waiting->loop, &waiting->leave);
}

static void release(struct actor_job *job) {
    struct waiting *waiting = CONTAINER_OF(job, struct waiting, job);
    for (uint32_t i = 0; i < waiting->count; i++) {
        io_http_transfer_unref(waiting->awaited[i].transfer);
    }
    free(waiting);
}

bool wasi_http_wait(struct component_call *call, struct wasi_http_future *const *futures,
                    uint32_t count, uint64_t due_ns) {
    struct actor *self = host_self(call);
    uint64_t now = env_monotonic_ns(actor_env(self));
    struct waiting *waiting = xcalloc(1, sizeof *waiting + count * sizeof(struct awaited_transfer));
    actor_job_init(&waiting->job, NULL, release);
    waiting->job.begin = begin;
    waiting->job.cancel = cancel;
    waiting->watch.run = watch;
    waiting->leave.run = leave;
    waiting->loop = host_services(self)->loop;
    waiting->most_ms = due_ns == UINT64_MAX ? UINT64_MAX
                       : due_ns <= now      ? 0
                                            : (due_ns - now) / 1000000U + 1;
    for (uint32_t i = 0; i < count; i++) {
        // Of one whose body is not finished nothing comes.
        if (futures[i]->transfer != NULL) {
            struct awaited_transfer *awaited = &waiting->awaited[waiting->count++];
            awaited->transfer = io_http_transfer_ref(futures[i]->transfer);
            awaited->waiting = waiting;
            awaited->watcher.fire = on_done;
        }
    }
    struct error error = {0};
    enum status status = OK;
    if (waiting->count == 0 && due_ns == UINT64_MAX) {
        status = error_set(&error, ERR_DEADLOCK,
                           "the response of a request whose body is not finished never comes");
    } else {
        status = actor_run_job(self, &waiting->job, &error);
    }
    actor_job_unref(&waiting->job);
    return status == OK || component_call_trap(call, "poll: %s", error.message);
}

// SPDX-License-Identifier: Apache-2.0
#include "io/pool.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/bytes.h"

enum { THREADS_DEFAULT = 4 };

struct work {
    struct work *next;
    void (*run)(void *argument);
    void *argument;
};

// All fields under `lock`, but for `threads_most` and `threads`' own memory.
struct io_pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;  // there is work, or the end has come
    struct work *first, **end;
    uint32_t waiting;   // pieces of work in the queue
    uint32_t sleeping;  // threads that wait for work
    uint32_t started;
    uint32_t threads_most;
    bool ends;
    pthread_t *threads;
};

static struct work *take(struct io_pool *pool) {
    struct work *work = pool->first;
    if (work != NULL) {
        pool->first = work->next;
        if (pool->first == NULL) {
            pool->end = &pool->first;
        }
        pool->waiting--;
    }
    return work;
}

static void *thread_main(void *argument) {
    struct io_pool *pool = argument;
    // A file larger than the system permits is an error of one write, not the end of the process.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct work *work = take(pool);
        if (work != NULL) {
            pthread_mutex_unlock(&pool->lock);
            work->run(work->argument);
            free(work);
            pthread_mutex_lock(&pool->lock);
        } else if (pool->ends) {
            break;
        } else {
            pool->sleeping++;
            pthread_cond_wait(&pool->changed, &pool->lock);
            pool->sleeping--;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

// Lock held.
static bool start_thread(struct io_pool *pool) {
    assert(pool->started < pool->threads_most);
    if (pthread_create(&pool->threads[pool->started], NULL, thread_main, pool) != 0) {
        return false;
    }
    pool->started++;
    return true;
}

enum status io_pool_new(uint32_t threads, struct io_pool **out, struct error *error) {
    struct io_pool *pool = xcalloc(1, sizeof *pool);
    pool->threads_most = threads == 0 ? THREADS_DEFAULT : threads;
    pool->threads = xcalloc(pool->threads_most, sizeof *pool->threads);
    pool->end = &pool->first;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    // One at least, so that a later failure to start more leaves a pool that works.
    pthread_mutex_lock(&pool->lock);
    bool started = start_thread(pool);
    pthread_mutex_unlock(&pool->lock);
    if (!started) {
        io_pool_free(pool);
        return error_set(error, ERR_IO, "cannot start a thread for files");
    }
    *out = pool;
    return OK;
}

void io_pool_free(struct io_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->ends = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->started; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    assert(pool->first == NULL);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
}

void io_pool_submit(struct io_pool *pool, void (*run)(void *argument), void *argument) {
    struct work *work = xmalloc(sizeof *work);
    *work = (struct work){.run = run, .argument = argument};
    pthread_mutex_lock(&pool->lock);
    assert(!pool->ends);
    *pool->end = work;
    pool->end = &work->next;
    pool->waiting++;
    if (pool->waiting > pool->sleeping && pool->started < pool->threads_most) {
        (void)start_thread(pool);
    }
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

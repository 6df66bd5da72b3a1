// SPDX-License-Identifier: Apache-2.0
// The monitor thread. It fires timers, and it looks at the workers now and then:
//
//   - a worker that stays in one `run` while tasks wait behind it: a sleeping worker is woken to
//     steal them;
//   - a worker that stays in one `run` past stuck_ns while nobody sleeps: an extra worker is
//     started in its place, and retired when fewer are stuck.
//
// A look costs no worker anything: each counts its runs in a variable of its own, and the monitor
// compares two looks. It looks often only while that can change something (somebody runs, somebody
// sleeps), seldom when all are busy, and not at all when all have been asleep for a while: a node
// without work has no wake-ups.
#include <assert.h>
#include <time.h>

#include "base/log.h"
#include "sched/internal.h"

#define MICROSECOND ((uint64_t)1000)
#define MILLISECOND ((uint64_t)1000000)

// How long a queue may wait behind one `run` before somebody is woken for it.
#define WAITING_NS (200 * MICROSECOND)
#define LOOK_SHORT_NS (250 * MICROSECOND)  // a queue waits and somebody sleeps
#define LOOK_NS (1 * MILLISECOND)          // somebody runs and somebody sleeps
#define LOOK_LONG_NS (5 * MILLISECOND)     // all run, or all sleep; less if stuck_ns is short
#define LOOK_NEVER UINT64_MAX
#define QUIET_NS (100 * MILLISECOND)  // all asleep for so long: no more looks

struct look {
    uint32_t running;  // workers inside a `run`
    uint32_t stuck;    // of them, past stuck_ns
    uint32_t extras;   // extra threads that are to stay
    bool queue;        // some worker in a `run` has tasks behind it
    bool waiting;      // and has been in the same `run` for WAITING_NS
};

static struct look look_at_workers(struct sched *sched, uint64_t now_ns) {
    struct look look = {0};
    for (uint32_t i = 0; i < sched->slot_count; i++) {
        struct worker *worker = &sched->workers[i];
        if (!worker->started || atomic_load_explicit(&worker->exited, memory_order_acquire)) {
            continue;
        }
        look.extras +=
            worker->extra && !atomic_load_explicit(&worker->retire, memory_order_relaxed);
        uint64_t count = atomic_load_explicit(&worker->run_count, memory_order_relaxed);
        bool same = count == worker->seen_count;
        if (!same) {
            worker->seen_count = count;
            worker->seen_since_ns = now_ns;
        }
        if (count % 2 == 0) {
            continue;
        }
        uint64_t lasts_ns = now_ns - worker->seen_since_ns;
        bool queue = queue_length(worker) > 0;
        look.running++;
        look.queue |= queue;
        look.waiting |= queue && same && lasts_ns >= WAITING_NS;
        look.stuck += same && lasts_ns >= sched->config.stuck_ns;
    }
    return look;
}

static void join_exited(struct sched *sched) {
    for (uint32_t i = sched->worker_count; i < sched->slot_count; i++) {
        struct worker *worker = &sched->workers[i];
        if (worker->started && atomic_load_explicit(&worker->exited, memory_order_acquire)) {
            pthread_join(worker->thread, NULL);
            worker->started = false;
        }
    }
}

static void start_extra(struct sched *sched) {
    for (uint32_t i = sched->worker_count; i < sched->slot_count; i++) {
        struct worker *worker = &sched->workers[i];
        if (!worker->started) {
            struct error error = {0};
            if (worker_start(worker, &error) != OK) {
                log_line(LOG_WARNING, "%s; a worker is stuck and gets no stand-in", error.message);
            }
            return;
        }
    }
}

// Asks one extra worker that is not stuck itself to end.
static void retire_extra(struct sched *sched, uint64_t now_ns) {
    for (uint32_t i = sched->slot_count; i-- > sched->worker_count;) {
        struct worker *worker = &sched->workers[i];
        bool stays =
            worker->started && !atomic_load_explicit(&worker->retire, memory_order_relaxed);
        bool stuck =
            worker->seen_count % 2 == 1 && now_ns - worker->seen_since_ns >= sched->config.stuck_ns;
        if (stays && !stuck) {
            // Release for must_leave; worker_wake_this takes idle_lock, so that a worker falling
            // asleep either is found there or sees the flag after it.
            atomic_store_explicit(&worker->retire, true, memory_order_release);
            worker_wake_this(worker);
            return;
        }
    }
}

// Whether all workers sleep, and have done so for a while, and none is about to wake up.
static bool all_quiet(struct sched *sched, const struct look *look, uint64_t now_ns) {
    uint32_t sleepers = atomic_load_explicit(&sched->sleepers, memory_order_relaxed);
    if (look->running != 0 || look->extras != 0 || sleepers != sched->worker_count) {
        sched->idle_since_ns = now_ns;
        return false;
    }
    if (now_ns - sched->idle_since_ns < QUIET_NS) {
        return false;
    }
    // Both sequentially consistent: a worker that wakes up has left `sleepers` before it looks at
    // monitor_asleep; either it sees the flag or we see it gone.
    atomic_store_explicit(&sched->monitor_asleep, true, memory_order_seq_cst);
    if (atomic_load_explicit(&sched->sleepers, memory_order_seq_cst) == sched->worker_count) {
        return true;
    }
    atomic_store_explicit(&sched->monitor_asleep, false, memory_order_relaxed);
    sched->idle_since_ns = now_ns;
    return false;
}

// Looks once; returns how long until the next look.
static uint64_t monitor_look(struct sched *sched, uint64_t now_ns) {
    join_exited(sched);
    struct look look = look_at_workers(sched, now_ns);
    uint32_t sleepers = atomic_load_explicit(&sched->sleepers, memory_order_relaxed);
    if (look.waiting && sleepers > 0) {
        worker_wake_one(sched);
    }
    if (look.stuck > look.extras && sleepers == 0) {
        start_extra(sched);
    } else if (look.stuck < look.extras) {
        retire_extra(sched, now_ns);
    }
    if (all_quiet(sched, &look, now_ns)) {
        return LOOK_NEVER;
    }
    if (look.running > 0 && sleepers > 0) {
        return look.queue ? LOOK_SHORT_NS : LOOK_NS;
    }
    uint64_t quarter = sched->config.stuck_ns / 4;
    uint64_t pause = quarter < LOOK_LONG_NS ? quarter : LOOK_LONG_NS;
    return pause > LOOK_SHORT_NS ? pause : LOOK_SHORT_NS;
}

void monitor_rouse(struct sched *sched) {
    struct timer_heap *heap = &sched->timers;
    pthread_mutex_lock(&heap->lock);
    if (atomic_load_explicit(&sched->monitor_asleep, memory_order_relaxed)) {
        atomic_store_explicit(&sched->monitor_asleep, false, memory_order_relaxed);
        heap->tick_due_ns = 0;
        heap->wait_until_ns = 0;
        pthread_cond_signal(&heap->changed);
    }
    pthread_mutex_unlock(&heap->lock);
}

// With the lock held: waits until `until_ns`, an earlier timer, or a signal.
static void wait_until(struct timer_heap *heap, uint64_t until_ns) {
    heap->wait_until_ns = until_ns;
    if (until_ns == UINT64_MAX) {
        pthread_cond_wait(&heap->changed, &heap->lock);
    } else {
        struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000U),
                                 .tv_nsec = (long)(until_ns % 1000000000U)};
        (void)pthread_cond_timedwait(&heap->changed, &heap->lock, &until);
    }
    heap->wait_until_ns = 0;
}

static void tick(struct sched *sched, uint64_t now_ns) {
    struct timer_heap *heap = &sched->timers;
    pthread_mutex_unlock(&heap->lock);
    uint64_t pause_ns = monitor_look(sched, now_ns);
    pthread_mutex_lock(&heap->lock);
    if (pause_ns != LOOK_NEVER) {
        heap->tick_due_ns = now_ns + pause_ns;
    } else if (atomic_load_explicit(&sched->monitor_asleep, memory_order_relaxed)) {
        heap->tick_due_ns = LOOK_NEVER;
    }
    // Else a worker has roused the monitor since, and tick_due_ns is in the past: look again.
}

void *monitor_main(void *argument) {
    struct sched *sched = argument;
    struct timer_heap *heap = &sched->timers;
    pthread_mutex_lock(&heap->lock);
    while (!heap->stop) {
        uint64_t now_ns = env_monotonic_ns(sched->config.env);
        uint64_t due_ns = timer_next_due(heap);
        if (due_ns <= now_ns) {
            timer_fire_first(heap);
        }
        // A stream of due timers must not keep the monitor from the workers.
        if (heap->tick_due_ns <= now_ns) {
            tick(sched, now_ns);
        } else if (due_ns > now_ns) {
            wait_until(heap, due_ns < heap->tick_due_ns ? due_ns : heap->tick_due_ns);
        }
    }
    pthread_mutex_unlock(&heap->lock);
    return NULL;
}

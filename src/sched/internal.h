// SPDX-License-Identifier: Apache-2.0
// What the files of this room share: the scheduler, its workers and its pool of stacks. No other
// room includes it.
//
//   sched.c    making and freeing a scheduler, waking a task, the deterministic mode
//   queue.c    a worker's run queue: a ring that others may steal from, a list behind it
//   worker.c   what a worker thread does: take, run, steal, sleep
//   monitor.c  the one thread that fires timers and watches for workers that are stuck
//   timer.c    the heap of timers
//   stack.c    stacks with guard pages, pooled
//   fiber.c    entering and leaving a fiber
//   sanitize.h what the sanitizers must be told about both
//
// Locks, in the order in which they may nest (none nests today): docs/threads.md.
#ifndef SCHED_INTERNAL_H
#define SCHED_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>

#include "sched/sched.h"

enum {
    RING_SLOTS = 256,   // a power of two
    STEAL_MOST = 32,    // tasks taken from another worker at once
    STACK_CLASSES = 9,  // 256 KiB, 512 KiB, … 64 MiB
    CACHE_LINE_BYTES = 64,
    WORKERS_MOST = 1024,
};

// Bits of sched_task.state; the transitions are drawn in worker.c.
enum { TASK_RUNNABLE = 1, TASK_RUNNING = 2 };

struct stack_list {
    struct sched_fiber *first;
    uint32_t count;
};

struct worker {
    // Written before the thread starts.
    struct sched *sched;
    uint32_t index;
    bool extra;

    // Written by the worker's own thread.
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t tail;  // of the ring; partners: ring_take
    _Atomic uint64_t run_count;                        // odd while in a task's `run`
    uint64_t random;                                   // where stealing starts
    uint64_t *seen_runs;                               // run_count of the others, per slot
    struct stack_list stacks[STACK_CLASSES];
    _Atomic bool exited;  // the thread of an extra worker is about to end

    // Written by whoever takes from the ring.
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t head;

    // The list behind the ring: any thread, under list_lock (the count is read without it).
    _Alignas(CACHE_LINE_BYTES) pthread_mutex_t list_lock;
    struct sched_task *list_first;
    struct sched_task *list_last;
    _Atomic uint32_t list_count;

    // Written by whoever wakes the worker, before the post.
    sem_t wake;
    bool granted;  // counted in sched.searching by its waker

    // Written by the thread that makes a scheduler and then by the monitor.
    _Atomic bool retire;
    bool started;
    pthread_t thread;
    uint64_t seen_count;  // run_count at the last look
    uint64_t seen_since_ns;

    _Alignas(CACHE_LINE_BYTES) _Atomic(struct sched_task *) ring[RING_SLOTS];
};

struct stack_pool {
    // Written before the threads start.
    uint32_t limit;       // most stacks that exist at once
    uint32_t cache_most;  // most free stacks that a worker keeps for itself, per class
    uint64_t maps_most;   // vm.max_map_count, 0 when the limit was configured

    _Atomic uint32_t mapped;  // stacks that exist, in use or pooled; any thread
    _Atomic uint32_t serial;  // of the next stack: its colour

    pthread_mutex_t lock;  // guards the rest
    struct stack_list free[STACK_CLASSES];
    uint32_t free_count;  // in all classes
};

struct timer_heap {
    pthread_mutex_t lock;    // guards all of this
    pthread_cond_t changed;  // the monitor waits here
    pthread_cond_t fired;    // sched_timer_cancel waits here for a running `fn`
    struct sched_timer **entries;
    uint32_t count;
    uint32_t capacity;
    uint64_t next_order;
    struct sched_timer *firing;  // its `fn` runs now, on `firing_thread`
    pthread_t firing_thread;
    uint32_t cancel_waiters;
    uint64_t wait_until_ns;  // until when the monitor waits; 0 when it does not
    uint64_t tick_due_ns;    // when the monitor looks at the workers next
    bool stop;
};

// The deterministic mode's run queue.
struct draw {
    struct sched_task **tasks;
    uint32_t count;
    uint32_t capacity;
    uint64_t random;
};

struct sched {
    // Written before the threads start.
    struct sched_config config;
    uint32_t worker_count;
    uint32_t slot_count;  // with the extra ones
    struct worker *workers;
    pthread_t monitor;
    bool monitor_started;

    _Atomic bool stopping;         // set once, by sched_free
    _Atomic bool monitor_asleep;   // without a next look; cleared by a worker that wakes up
    _Atomic uint32_t searching;    // workers looking for something to steal
    _Atomic uint32_t next_target;  // round robin of wake-ups from foreign threads

    pthread_mutex_t idle_lock;  // guards `idle`
    struct worker **idle;       // a stack: the last to fall asleep is woken first
    _Atomic uint32_t sleepers;  // entries of `idle`; written under the lock, read without

    uint64_t idle_since_ns;  // the monitor's own

    struct timer_heap timers;
    struct stack_pool stacks;
    struct draw draw;
};

// ---- queue.c ------------------------------------------------------------------------------------

// In place, on a zeroed worker.
void queue_init(struct worker *worker);
// Tasks that are still queued are forgotten.
void queue_release(struct worker *worker);
// The owner's thread only. Returns how many tasks wait afterwards.
uint64_t queue_push(struct worker *worker, struct sched_task *task);
// The owner's thread only: the oldest, or NULL.
struct sched_task *queue_take(struct worker *worker);
// Any thread: behind all others. Sequentially consistent with the loads of sched.sleepers.
void queue_push_foreign(struct worker *worker, struct sched_task *task);
// The thread of `thief`, whose ring is empty: moves up to half of the victim's oldest tasks and
// returns the first, or NULL. A single task in the ring is left unless `single`.
struct sched_task *queue_steal(struct worker *thief, struct worker *victim, bool single);
// Any thread; a moment's view.
uint64_t queue_ring_length(const struct worker *worker);
uint64_t queue_length(const struct worker *worker);

// ---- worker.c -----------------------------------------------------------------------------------

// The worker whose thread this is, or NULL. A function so that nobody keeps the address of a
// thread-local variable across a switch of fibers.
struct worker *worker_current(void);
enum status worker_start(struct worker *worker, struct error *error) MUST_CHECK;
// Queues a task that just became runnable. Any thread.
void worker_enqueue(struct sched *sched, struct sched_task *task);
// Runs one task that was taken from a queue; returns whether it must be queued again.
bool worker_run_once(struct sched_task *task);
// Wakes one sleeping worker, if any, to look for work. Any thread.
void worker_wake_one(struct sched *sched);
// Wakes this worker if it sleeps. Any thread.
void worker_wake_this(struct worker *worker);

// ---- timer.c, monitor.c -------------------------------------------------------------------------

// In place, on a zeroed heap.
void timer_heap_init(struct timer_heap *heap);
// Timers that are still armed become unarmed and do not fire. No other thread uses the heap.
void timer_heap_release(struct timer_heap *heap);
// With the lock held: the next due time, UINT64_MAX without timers.
uint64_t timer_next_due(const struct timer_heap *heap);
// With the lock held: takes the first timer out, calls its `fn` without the lock.
void timer_fire_first(struct timer_heap *heap);
void *monitor_main(void *sched);
// Makes a monitor look at the workers again that has stopped doing so. Any thread.
void monitor_rouse(struct sched *sched);

// ---- stack.c ------------------------------------------------------------------------------------

enum status stack_pool_init(struct stack_pool *pool, uint32_t limit, uint32_t slot_count,
                            struct error *error) MUST_CHECK;
// Unmaps what the pool and the workers keep; returns how many stacks are still in use.
uint32_t stack_pool_release(struct sched *sched);
enum status stack_take(struct sched *sched, uint64_t stack_bytes, struct sched_fiber **out,
                       struct error *error) MUST_CHECK;
void stack_give(struct sched_fiber *fiber);

#endif

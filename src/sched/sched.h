// SPDX-License-Identifier: Apache-2.0
// Workers, tasks, fibers and timers. The room knows tasks, not actors.
//
// A task is runnable or not; a worker calls its `run` on the worker's own stack, never two workers
// at once. Inside `run` the owner may enter a fiber; code on the fiber may park, which returns
// control to `run`; a later `run` resumes it. A wake-up during `run` is never lost.
//
// A worker that stays in one `run` call too long (a guest computing) delays nobody: others steal
// its queue, and past `stuck_ns` an extra worker thread takes its place (bounded).
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/status.h"

// The system's <sched.h>, which <pthread.h> includes, has a scheduling policy of this name; nothing
// here uses it, and the system's header does not define it again.
#undef SCHED_IDLE

struct sched;
struct sched_task;

enum sched_next {
    SCHED_IDLE,   // nothing to do until the next sched_wake
    SCHED_AGAIN,  // more to do: put behind the others in the queue
    SCHED_GONE,   // `run` freed the task (nobody may wake it any more): it is not touched again
};
typedef enum sched_next (*sched_run_fn)(struct sched_task *task);

// Embedded by its owner. Fields are the room's own. The owner may free it only when it is idle and
// nobody can wake it any more.
struct sched_task {
    sched_run_fn run;
    struct sched *sched;
    struct sched_task *next;  // in a run queue
    _Atomic uint32_t state;   // see sched/worker.c
};

struct sched_config {
    uint32_t workers;            // 0: as many as CPUs available
    uint32_t extra_workers;      // most extra threads for stuck workers
    uint64_t stuck_ns;           // 0: default (20 ms)
    bool deterministic;          // no threads: sched_step runs tasks in seeded order
    uint64_t seed;               // of the deterministic order
    uint32_t stack_limit;        // most stacks; 0: what vm.max_map_count allows
    struct env *env;             // clock; seeded exactly when deterministic (NULL: the system's)
    void (*thread_enter)(void);  // on each worker thread at its start (may be NULL)
    void (*thread_leave)(void);  // at its end
};

enum status sched_new(const struct sched_config *config, struct sched **out,
                      struct error *error) MUST_CHECK;
// Stops the threads (each finishes the `run` it is in) and frees. Tasks still queued are not run,
// armed timers do not fire. All fibers must have been freed. Never from a thread of the scheduler.
void sched_free(struct sched *sched);
uint32_t sched_worker_count(const struct sched *sched);
// For what an owner keeps per worker: how many there can be, and, called from a task's `run`, which
// one runs it (one thread at a time has a slot; the deterministic mode has slot 0).
uint32_t sched_slot_count(const struct sched *sched);
uint32_t sched_slot(const struct sched *sched);
// Most fiber stacks that may exist at once.
uint32_t sched_stack_limit(const struct sched *sched);

// In place; the task is idle. It keeps `sched`, which must outlive it.
void sched_task_init(struct sched_task *task, struct sched *sched, sched_run_fn run);
// Makes the task runnable; any thread, from signal handlers never. Everything written before the
// call is visible to the `run` that follows. Cheap when it is runnable already.
void sched_wake(struct sched_task *task);
// Whether the task is neither queued nor running. Any thread. When it is, everything that its last
// `run` wrote is visible; the answer lasts only as long as nobody can wake the task.
bool sched_task_idle(const struct sched_task *task);
// Deterministic mode: runs one runnable task or, if none, fires the next timer by advancing the
// seeded clock. A timer that is due already takes part in the draw. False when there is neither.
// `thread_enter` and `thread_leave` are not called: the one thread is the caller's own.
bool sched_step(struct sched *sched);

// ---- fibers ----------------------------------------------------------------------------------

typedef void (*sched_fiber_fn)(void *argument);

struct sched_fiber;

struct sched_stack {
    uint8_t *low;        // lowest usable byte
    uint8_t *guard_low;  // lowest byte of the guard pages below it
    uint8_t *high;       // one past the highest
};

// A fiber with a pooled stack of at least `stack_bytes`; ERR_LIMIT when the number of stacks in
// use reached what the kernel's vm.max_map_count allows (the error names it). Any worker thread.
enum status sched_fiber_new(struct sched *sched, uint64_t stack_bytes, sched_fiber_fn fn,
                            void *argument, struct sched_fiber **out,
                            struct error *error) MUST_CHECK;
struct sched_stack sched_fiber_stack(const struct sched_fiber *fiber);
// Enters or re-enters the fiber from a worker's stack; returns when it parks (false) or its
// function returned (true; it must then be freed or renewed).
bool sched_fiber_resume(struct sched_fiber *fiber);
// On a finished fiber: makes it ready to run `fn` again, without giving its stack back.
void sched_fiber_renew(struct sched_fiber *fiber, sched_fiber_fn fn, void *argument);
// On the fiber itself: back to sched_fiber_resume. It may continue on another thread: never keep
// the address of a thread-local variable across this call (docs/threads.md: nor errno, nor
// pthread_self). Floating-point exception flags do not survive it.
void sched_fiber_park(struct sched_fiber *fiber);
// Gives the stack back to the pool. A parked fiber that will never be resumed may be freed too;
// what lies on its stack is forgotten.
void sched_fiber_free(struct sched_fiber *fiber);

// ---- timers ------------------------------------------------------------------------------------

struct sched_timer;
typedef void (*sched_timer_fn)(struct sched_timer *timer);

// Embedded by its owner, zero-initialised before the first use.
struct sched_timer {
    sched_timer_fn fn;
    uint64_t due_ns;
    uint64_t order;       // ties fire in the order they were armed
    uint32_t heap_index;  // 1-based; 0 = not armed
};

// Calls `fn` once, on a scheduler thread (not on a fiber), at or soon after `due_ns` of the
// environment's monotonic clock; `fn` must be short: it usually wakes a task. Re-arming an armed
// timer moves it. Any thread.
void sched_timer_arm(struct sched *sched, struct sched_timer *timer, uint64_t due_ns,
                     sched_timer_fn fn);
// After it returns the timer is not armed and its `fn` is not running (unless called from it).
// Returns whether it was still armed. Any thread.
bool sched_timer_cancel(struct sched *sched, struct sched_timer *timer);

#endif

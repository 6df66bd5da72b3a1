// SPDX-License-Identifier: Apache-2.0
// What a worker thread does: take a task, run it, steal when its own queue is empty, sleep when
// there is nothing anywhere.
//
// The state of a task is two bits, changed by read-modify-write operations only:
//
//        wake: or RUNNABLE            worker: swap                 run returned SCHED_IDLE
//   0 ------------------> RUNNABLE ------------------> RUNNING ------------------------> 0
//       (and queue it)        ^                           |  wake: or RUNNABLE
//                             |   worker, after run       v
//                             +------------------ RUNNING|RUNNABLE
//
// Who changes 0 to RUNNABLE queues the task; nobody else does, so a task is in one queue at most
// and one worker at most runs it. A wake-up is a release even when the bit is set already, and the
// worker's swap to RUNNING an acquire; since every change is a read-modify-write, the swap is in
// the release sequence of each wake-up before it and sees what every waker wrote. A wake-up during
// `run` leaves RUNNABLE set, so the change back to 0 fails and the task is queued again.
//
// Sleeping. A worker enters `idle` (its store of `sleepers` is sequentially consistent) and then
// looks at every list once more before it waits on its semaphore. A foreign thread appends to a
// list (its store of the count is sequentially consistent) and then looks at `sleepers`. In the one
// order of those four accesses either the thread sees the sleeper or the sleeper sees the task.
// What a worker puts in its own ring needs no such care: that worker is awake, and runs it unless
// somebody is faster. Whether others should help is a question of speed: a push that makes the
// queue longer than one wakes a sleeper unless somebody searches already, and the monitor looks
// after a queue behind a `run` that lasts.
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/bytes.h"
#include "sched/internal.h"

// Rounds over the other workers before going to sleep: a few microseconds at most.
enum { SEARCH_ROUNDS = 24 };

static _Thread_local struct worker *current_worker;

NO_INLINE struct worker *worker_current(void) {
    return current_worker;
}

static NO_INLINE void set_current(struct worker *worker) {
    current_worker = worker;
}

// ---- sleeping and waking ------------------------------------------------------------------------

static void idle_enter(struct worker *worker) {
    struct sched *sched = worker->sched;
    pthread_mutex_lock(&sched->idle_lock);
    uint32_t count = atomic_load_explicit(&sched->sleepers, memory_order_relaxed);
    assert(count < sched->slot_count);
    sched->idle[count] = worker;
    atomic_store_explicit(&sched->sleepers, count + 1, memory_order_seq_cst);
    pthread_mutex_unlock(&sched->idle_lock);
}

// Takes `worker`, or the last that fell asleep when it is NULL, out of `idle`; who does must post
// its semaphore (or be it). `grant` counts it as searching from now on.
static struct worker *idle_remove(struct sched *sched, struct worker *worker, bool grant) {
    struct worker *found = NULL;
    pthread_mutex_lock(&sched->idle_lock);
    uint32_t count = atomic_load_explicit(&sched->sleepers, memory_order_relaxed);
    for (uint32_t i = count; i-- > 0 && found == NULL;) {
        if (worker == NULL || sched->idle[i] == worker) {
            found = sched->idle[i];
            sched->idle[i] = sched->idle[count - 1];
            atomic_store_explicit(&sched->sleepers, count - 1, memory_order_seq_cst);
        }
    }
    if (found != NULL) {
        found->granted = grant;
    }
    pthread_mutex_unlock(&sched->idle_lock);
    return found;
}

static void post(struct worker *worker) {
    int failed = sem_post(&worker->wake);
    assert(failed == 0);
    (void)failed;
}

static void await_post(struct worker *worker) {
    while (sem_wait(&worker->wake) != 0) {
        assert(errno == EINTR);
    }
}

void worker_wake_one(struct sched *sched) {
    struct worker *sleeper = idle_remove(sched, NULL, true);
    if (sleeper != NULL) {
        atomic_fetch_add_explicit(&sched->searching, 1, memory_order_relaxed);
        post(sleeper);
    }
}

void worker_wake_this(struct worker *worker) {
    if (idle_remove(worker->sched, worker, false) != NULL) {
        post(worker);
    }
}

// Relaxed loads: a wrong answer costs time, never a task (see the top).
static void ask_for_help(struct sched *sched) {
    if (atomic_load_explicit(&sched->sleepers, memory_order_relaxed) != 0 &&
        atomic_load_explicit(&sched->searching, memory_order_relaxed) == 0) {
        worker_wake_one(sched);
    }
}

static void enqueue_foreign(struct sched *sched, struct sched_task *task) {
    struct worker *sleeper = NULL;
    if (atomic_load_explicit(&sched->sleepers, memory_order_relaxed) != 0) {
        sleeper = idle_remove(sched, NULL, false);
    }
    if (sleeper != NULL) {
        queue_push_foreign(sleeper, task);
        post(sleeper);
        return;
    }
    uint32_t turn = atomic_fetch_add_explicit(&sched->next_target, 1, memory_order_relaxed);
    queue_push_foreign(&sched->workers[turn % sched->worker_count], task);
    // `task` may be running and freed by now. Sequentially consistent: see the top.
    if (atomic_load_explicit(&sched->sleepers, memory_order_seq_cst) != 0) {
        worker_wake_one(sched);
    }
}

void worker_enqueue(struct sched *sched, struct sched_task *task) {
    struct worker *worker = worker_current();
    if (worker == NULL || worker->sched != sched) {
        enqueue_foreign(sched, task);
    } else if (queue_push(worker, task) > 1) {
        ask_for_help(sched);
    }
}

// ---- searching ----------------------------------------------------------------------------------

// One round over the others, from a random one on. A lone task in a ring belongs to a worker that
// is about to run it (two actors talking to each other stay on one worker): it is taken only when
// `single` is set and that worker has made no progress since `seen_runs` was noted.
static struct sched_task *steal_round(struct worker *worker, bool single) {
    struct sched *sched = worker->sched;
    worker->random = worker->random * 6364136223846793005U + 1442695040888963407U;
    uint32_t start = (uint32_t)(worker->random >> 33) % sched->slot_count;
    for (uint32_t i = 0; i < sched->slot_count; i++) {
        struct worker *victim = &sched->workers[(start + i) % sched->slot_count];
        if (victim == worker) {
            continue;
        }
        uint64_t runs = atomic_load_explicit(&victim->run_count, memory_order_relaxed);
        bool still = single && worker->seen_runs[victim->index] == runs;
        struct sched_task *task = queue_steal(worker, victim, still);
        if (task != NULL) {
            return task;
        }
    }
    return NULL;
}

static void note_runs(struct worker *worker) {
    struct sched *sched = worker->sched;
    for (uint32_t i = 0; i < sched->slot_count; i++) {
        worker->seen_runs[i] =
            atomic_load_explicit(&sched->workers[i].run_count, memory_order_relaxed);
    }
}

static bool must_leave(const struct worker *worker) {
    return atomic_load_explicit(&worker->sched->stopping, memory_order_acquire) ||
           atomic_load_explicit(&worker->retire, memory_order_acquire);
}

// Whether some queue holds what a search would find. Lone tasks of a ring do not count.
static bool work_in_sight(struct sched *sched) {
    for (uint32_t i = 0; i < sched->slot_count; i++) {
        const struct worker *other = &sched->workers[i];
        if (atomic_load_explicit(&other->list_count, memory_order_seq_cst) != 0 ||
            queue_ring_length(other) > 1) {
            return true;
        }
    }
    return false;
}

static void sleep_until_woken(struct worker *worker) {
    struct sched *sched = worker->sched;
    idle_enter(worker);
    if (work_in_sight(sched) || must_leave(worker)) {
        if (idle_remove(sched, worker, false) != NULL) {
            return;
        }
        // A waker was faster; its post is on the way and must not be left for the next sleep.
    }
    await_post(worker);
    // The waker's store of `sleepers` comes before this load, the monitor's store of
    // monitor_asleep before its load of `sleepers`: one of the two sees the other.
    if (atomic_load_explicit(&sched->monitor_asleep, memory_order_seq_cst)) {
        monitor_rouse(sched);
    }
}

static struct sched_task *search(struct worker *worker) {
    struct sched *sched = worker->sched;
    if (!worker->granted) {
        atomic_fetch_add_explicit(&sched->searching, 1, memory_order_relaxed);
    }
    worker->granted = false;
    note_runs(worker);
    struct sched_task *task = NULL;
    for (int round = 0; round < SEARCH_ROUNDS && task == NULL && !must_leave(worker); round++) {
        task = steal_round(worker, round == SEARCH_ROUNDS - 1);
        if (task == NULL) {
            task = queue_take(worker);
        }
    }
    atomic_fetch_sub_explicit(&sched->searching, 1, memory_order_relaxed);
    return task;
}

// The next task to run; NULL when the thread must end.
static struct sched_task *next_task(struct worker *worker) {
    while (!must_leave(worker)) {
        struct sched_task *task = worker->granted ? NULL : queue_take(worker);
        if (task == NULL) {
            task = search(worker);
        }
        if (task != NULL) {
            if (queue_ring_length(worker) > 0) {
                ask_for_help(worker->sched);
            }
            return task;
        }
        sleep_until_woken(worker);
    }
    return NULL;
}

// ---- running ------------------------------------------------------------------------------------

bool worker_run_once(struct sched_task *task) {
    uint32_t before = atomic_exchange_explicit(&task->state, TASK_RUNNING, memory_order_acquire);
    assert(before == TASK_RUNNABLE);
    (void)before;
    enum sched_next next = task->run(task);
    if (next == SCHED_GONE) {
        return false;
    }
    if (next == SCHED_IDLE) {
        // Release: the next worker, or who frees the task, sees what this run wrote. Once it has
        // succeeded the task may be gone.
        uint32_t expected = TASK_RUNNING;
        if (atomic_compare_exchange_strong_explicit(&task->state, &expected, 0,
                                                    memory_order_release, memory_order_relaxed)) {
            return false;
        }
        assert(expected == (TASK_RUNNING | TASK_RUNNABLE));
    }
    // A swap, not a store: it keeps the wake-ups' releases in the sequence. Release: this run's
    // writes, for whoever runs the task next.
    atomic_exchange_explicit(&task->state, TASK_RUNNABLE, memory_order_acq_rel);
    return true;
}

static void run_task(struct worker *worker, struct sched_task *task) {
    // Only this thread writes the counter; the monitor and thieves sample it.
    uint64_t count = atomic_load_explicit(&worker->run_count, memory_order_relaxed);
    assert(count % 2 == 0);
    atomic_store_explicit(&worker->run_count, count + 1, memory_order_relaxed);
    bool again = worker_run_once(task);
    atomic_store_explicit(&worker->run_count, count + 2, memory_order_relaxed);
    if (again && queue_push(worker, task) > 1) {
        ask_for_help(worker->sched);
    }
}

// An extra worker that leaves gives what is in its queue to the others.
static void hand_over(struct worker *worker) {
    set_current(NULL);
    struct sched_task *task;
    while ((task = queue_take(worker)) != NULL) {
        enqueue_foreign(worker->sched, task);
    }
}

static void *worker_main(void *argument) {
    struct worker *worker = argument;
    struct sched *sched = worker->sched;
    set_current(worker);
    if (sched->config.thread_enter != NULL) {
        sched->config.thread_enter();
    }
    struct sched_task *task;
    while ((task = next_task(worker)) != NULL) {
        run_task(worker, task);
    }
    if (worker->granted) {
        atomic_fetch_sub_explicit(&sched->searching, 1, memory_order_relaxed);
    }
    if (!atomic_load_explicit(&sched->stopping, memory_order_acquire)) {
        hand_over(worker);
    }
    if (sched->config.thread_leave != NULL) {
        sched->config.thread_leave();
    }
    set_current(NULL);
    // Release: the monitor reads it before it joins and reuses the slot.
    atomic_store_explicit(&worker->exited, true, memory_order_release);
    return NULL;
}

enum status worker_start(struct worker *worker, struct error *error) {
    assert(!worker->started);
    atomic_store_explicit(&worker->retire, false, memory_order_relaxed);
    atomic_store_explicit(&worker->exited, false, memory_order_relaxed);
    worker->granted = false;
    int failed = pthread_create(&worker->thread, NULL, worker_main, worker);
    if (failed != 0) {
        return error_set_os(error, failed, "cannot start worker thread %u", worker->index);
    }
    worker->started = true;
    char name[16];
    (void)snprintf(name, sizeof name, "%s-%u", worker->extra ? "extra" : "worker",
                   worker->index % 10000U);
    (void)pthread_setname_np(worker->thread, name);
    return OK;
}

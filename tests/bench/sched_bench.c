// SPDX-License-Identifier: Apache-2.0
// What the scheduler costs: fibers, messages on one worker, wake-ups from outside, timers. Prints
// one line per figure; the median of several rounds.
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "sched/sched.h"

enum { ROUNDS = 9 };

static uint64_t now_ns(void) {
    return env_monotonic_ns(env_system());
}

static int by_value(const void *a, const void *b) {
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static void report(const char *what, double *values, size_t count) {
    qsort(values, count, sizeof *values, by_value);
    printf("%-52s %10.1f ns (best %.1f)\n", what, values[count / 2], values[0]);
}

static struct sched *make(uint32_t workers) {
    struct sched_config config = {.workers = workers};
    struct sched *sched = NULL;
    struct error error = {0};
    if (sched_new(&config, &sched, &error) != OK) {
        fatal("%s", error.message);
    }
    return sched;
}

static void await(_Atomic uint32_t *flag) {
    while (atomic_load_explicit(flag, memory_order_acquire) == 0) {
        sched_yield();
    }
}

// ---- fibers, on a worker thread -----------------------------------------------------------------

static struct sched_fiber *parking;
static _Atomic uint32_t fibers_done;

static void park_for_ever(void *argument) {
    (void)argument;
    for (;;) {
        sched_fiber_park(parking);
    }
}

static void nothing(void *argument) {
    (void)argument;
}

static volatile double third = 1.0 / 3;

static void park_after_arithmetic(void *argument) {
    (void)argument;
    for (;;) {
        third = third * 3.3 / 3.1;  // inexact: sets a flag in the control register
        sched_fiber_park(parking);
    }
}

static double switch_round(void) {
    enum { SWITCHES = 1000000 };
    uint64_t start = now_ns();
    for (int i = 0; i < SWITCHES; i++) {
        (void)sched_fiber_resume(parking);
    }
    return (double)(now_ns() - start) / SWITCHES / 2;
}

static double new_round(struct sched *sched) {
    enum { FIBERS = 300000 };
    struct error error = {0};
    uint64_t start = now_ns();
    for (int i = 0; i < FIBERS; i++) {
        struct sched_fiber *fiber = NULL;
        if (sched_fiber_new(sched, 0, nothing, NULL, &fiber, &error) != OK) {
            fatal("%s", error.message);
        }
        (void)sched_fiber_resume(fiber);
        sched_fiber_free(fiber);
    }
    return (double)(now_ns() - start) / FIBERS;
}

static enum sched_next run_fibers(struct sched_task *task) {
    struct error error = {0};
    double switches[ROUNDS];
    double news[ROUNDS];
    if (sched_fiber_new(task->sched, 0, park_for_ever, NULL, &parking, &error) != OK) {
        fatal("%s", error.message);
    }
    for (int i = 0; i < ROUNDS; i++) {
        switches[i] = switch_round();
        news[i] = new_round(task->sched);
    }
    report("fiber switch, one way", switches, ROUNDS);
    sched_fiber_free(parking);
    if (sched_fiber_new(task->sched, 0, park_after_arithmetic, NULL, &parking, &error) != OK) {
        fatal("%s", error.message);
    }
    for (int i = 0; i < ROUNDS; i++) {
        switches[i] = switch_round();
    }
    report("fiber switch, one way, with arithmetic between", switches, ROUNDS);
    sched_fiber_free(parking);
    report("fiber new + resume + finish + free, pooled", news, ROUNDS);
    atomic_store_explicit(&fibers_done, 1, memory_order_release);
    return SCHED_IDLE;
}

static void bench_fibers(void) {
    struct sched *sched = make(1);
    struct sched_task task;
    sched_task_init(&task, sched, run_fibers);
    sched_wake(&task);
    await(&fibers_done);
    sched_free(sched);
}

// ---- messages -----------------------------------------------------------------------------------

struct player {
    struct sched_task task;
    struct player *other;
    uint32_t left;
    _Alignas(64) _Atomic uint32_t done;  // polled by another thread
};

static enum sched_next run_player(struct sched_task *task) {
    struct player *self = CONTAINER_OF(task, struct player, task);
    if (self->left-- == 0) {
        atomic_store_explicit(&self->done, 1, memory_order_release);
        return SCHED_IDLE;
    }
    sched_wake(&self->other->task);
    return SCHED_IDLE;
}

static void bench_ping_pong(uint32_t workers, const char *what) {
    enum { HITS = 1000000 };
    double values[ROUNDS];
    struct sched *sched = make(workers);
    for (int i = 0; i < ROUNDS; i++) {
        struct player players[2] = {{.left = HITS}, {.left = HITS}};
        for (int p = 0; p < 2; p++) {
            players[p].other = &players[1 - p];
            sched_task_init(&players[p].task, sched, run_player);
        }
        uint64_t start = now_ns();
        sched_wake(&players[0].task);
        await(&players[0].done);
        values[i] = (double)(now_ns() - start) / (2.0 * HITS);
        while (!sched_task_idle(&players[0].task) || !sched_task_idle(&players[1].task)) {
            sched_yield();
        }
    }
    sched_free(sched);
    report(what, values, ROUNDS);
}

static enum sched_next run_spin(struct sched_task *task) {
    struct player *self = CONTAINER_OF(task, struct player, task);
    if (self->left-- == 0) {
        atomic_store_explicit(&self->done, 1, memory_order_release);
        return SCHED_IDLE;
    }
    return SCHED_AGAIN;
}

static void bench_many(uint32_t workers, const char *what) {
    enum { TASKS = 10000, TURNS = 100 };
    double values[ROUNDS];
    static struct player players[TASKS];
    struct sched *sched = make(workers);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = now_ns();
        for (int p = 0; p < TASKS; p++) {
            players[p].left = TURNS;
            atomic_store(&players[p].done, 0);
            sched_task_init(&players[p].task, sched, run_spin);
            sched_wake(&players[p].task);
        }
        for (int p = 0; p < TASKS; p++) {
            await(&players[p].done);
        }
        values[i] = (double)(now_ns() - start) / (double)TASKS / TURNS;
        for (int p = 0; p < TASKS; p++) {
            while (!sched_task_idle(&players[p].task)) {
                sched_yield();
            }
        }
    }
    sched_free(sched);
    report(what, values, ROUNDS);
}

// ---- wake-ups from outside ----------------------------------------------------------------------

struct echo {
    struct sched_task task;
    _Atomic uint64_t at_ns;
};

static enum sched_next run_echo(struct sched_task *task) {
    struct echo *self = CONTAINER_OF(task, struct echo, task);
    atomic_store_explicit(&self->at_ns, now_ns(), memory_order_release);
    return SCHED_IDLE;
}

static void bench_foreign(void) {
    enum { WAKES = 2001 };
    static double latency[WAKES];
    static double cost[WAKES];
    struct sched *sched = make(2);
    struct echo echo = {.at_ns = 0};
    sched_task_init(&echo.task, sched, run_echo);
    for (int i = 0; i < WAKES; i++) {
        uint64_t pause = now_ns();
        while (now_ns() - pause < 50000) {  // the workers fall asleep
        }
        atomic_store(&echo.at_ns, 0);
        uint64_t start = now_ns();
        sched_wake(&echo.task);
        cost[i] = (double)(now_ns() - start);
        uint64_t at = 0;
        while ((at = atomic_load_explicit(&echo.at_ns, memory_order_acquire)) == 0) {
            sched_yield();
        }
        latency[i] = (double)(at - start);
        while (!sched_task_idle(&echo.task)) {
            sched_yield();
        }
    }
    sched_free(sched);
    report("wake from outside, all workers asleep: the call", cost, WAKES);
    report("wake from outside, all workers asleep: until run", latency, WAKES);
}

static void never(struct sched_timer *timer) {
    (void)timer;
}

static void bench_timers(void) {
    enum { TIMERS = 10000 };
    static struct sched_timer timers[TIMERS];
    double values[ROUNDS];
    struct sched *sched = make(1);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = now_ns();
        uint64_t far = start + 3600000000000U;
        for (uint64_t i = 0; i < TIMERS; i++) {
            sched_timer_arm(sched, &timers[i], far + (i * 7919) % TIMERS, never);
        }
        for (uint64_t i = 0; i < TIMERS; i++) {
            (void)sched_timer_cancel(sched, &timers[i]);
        }
        values[round] = (double)(now_ns() - start) / TIMERS;
    }
    sched_free(sched);
    report("timer arm + cancel, 10,000 armed", values, ROUNDS);
}

int main(void) {
    bench_fibers();
    bench_ping_pong(1, "message between two tasks, 1 worker");
    bench_ping_pong(2, "message between two tasks, 2 workers");
    bench_many(1, "turn of one of 10,000 busy tasks, 1 worker");
    bench_many(2, "turn of one of 10,000 busy tasks, 2 workers");
    bench_foreign();
    bench_timers();
    return 0;
}

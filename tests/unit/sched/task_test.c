// SPDX-License-Identifier: Apache-2.0
// Tasks on real threads: exclusion, wake-ups that arrive at any moment, fairness, stealing from a
// stuck worker, extra workers.
#include <pthread.h>

#include "support.h"

struct hammered {
    struct sched_task task;
    _Atomic uint32_t inside;    // runs at this moment
    _Atomic uint64_t sent;      // wake-ups, each after an increment
    _Atomic uint64_t seen;      // of `sent`, by the last run
    _Atomic uint64_t overlaps;  // runs that were not alone
    uint64_t plain;             // written without atomics: TSan checks the happens-before
};

static enum sched_next run_hammered(struct sched_task *task) {
    struct hammered *self = CONTAINER_OF(task, struct hammered, task);
    if (atomic_fetch_add(&self->inside, 1) != 0) {
        atomic_fetch_add(&self->overlaps, 1);
    }
    self->plain++;
    atomic_store(&self->seen, atomic_load(&self->sent));
    atomic_fetch_sub(&self->inside, 1);
    return SCHED_IDLE;
}

enum { HAMMERED = 7, HAMMERS = 3, BLOWS = 30000 };
static struct hammered hammered[HAMMERED];

static void *hammer(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    for (int i = 0; i < BLOWS; i++) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        struct hammered *target = &hammered[(random >> 33) % HAMMERED];
        atomic_fetch_add(&target->sent, 1);
        sched_wake(&target->task);
        if (i % 64 == 0) {
            sched_yield();  // lets workers fall asleep
        }
    }
    return NULL;
}

TEST(no_wake_up_is_lost_and_no_task_runs_twice_at_once) {
    struct sched *sched = make_sched(3, 0, 0);
    memset(hammered, 0, sizeof hammered);
    for (int i = 0; i < HAMMERED; i++) {
        sched_task_init(&hammered[i].task, sched, run_hammered);
    }
    pthread_t threads[HAMMERS];
    for (uintptr_t i = 0; i < HAMMERS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)) == 0);
    }
    for (int i = 0; i < HAMMERS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < HAMMERED; i++) {
        EXPECT(reaches(&hammered[i].seen, atomic_load(&hammered[i].sent)));
        EXPECT_U64(atomic_load(&hammered[i].overlaps), 0);
    }
    sched_free(sched);
}

// A single blow at a time, each answered before the next: the workers sleep in between.
TEST(a_sleeping_worker_hears_every_wake_up) {
    struct sched *sched = make_sched(2, 0, 0);
    memset(hammered, 0, sizeof hammered);
    sched_task_init(&hammered[0].task, sched, run_hammered);
    for (uint64_t i = 1; i <= 3000; i++) {
        atomic_fetch_add(&hammered[0].sent, 1);
        sched_wake(&hammered[0].task);
        REQUIRE(reaches(&hammered[0].seen, i));
    }
    sched_free(sched);
}

struct relay {
    struct sched_task task;
    struct relay *to;
    _Atomic uint64_t runs;
    uint64_t most;
};

static enum sched_next run_relay(struct sched_task *task) {
    struct relay *self = CONTAINER_OF(task, struct relay, task);
    if (atomic_fetch_add(&self->runs, 1) + 1 < self->most) {
        sched_wake(&self->to->task);
    }
    return SCHED_IDLE;
}

TEST(tasks_wake_each_other_from_workers) {
    enum { RELAYS = 400, ROUNDS = 50 };  // more than a ring holds
    static struct relay relays[RELAYS];
    struct sched *sched = make_sched(3, 0, 0);
    for (int i = 0; i < RELAYS; i++) {
        relays[i].to = &relays[i];
        relays[i].most = ROUNDS;
        atomic_store(&relays[i].runs, 0);
        sched_task_init(&relays[i].task, sched, run_relay);
    }
    for (int i = 0; i < RELAYS; i++) {
        sched_wake(&relays[i].task);
    }
    for (int i = 0; i < RELAYS; i++) {
        EXPECT(reaches(&relays[i].runs, ROUNDS));
        EXPECT_U64(atomic_load(&relays[i].runs), ROUNDS);
    }
    sched_free(sched);
}

struct turner {
    struct sched_task task;
    _Atomic uint64_t turns;
    uint64_t most;
};
static _Atomic uint64_t turn_spread;
static struct turner turners[300];

static enum sched_next run_turner(struct sched_task *task) {
    struct turner *self = CONTAINER_OF(task, struct turner, task);
    uint64_t mine = atomic_fetch_add(&self->turns, 1) + 1;
    // One worker, first in first out: nobody is more than a turn ahead of any other.
    for (size_t i = 0; i < COUNT_OF(turners); i += 37) {
        uint64_t other = atomic_load(&turners[i].turns);
        uint64_t ahead = mine > other ? mine - other : 0;
        if (ahead > atomic_load(&turn_spread)) {
            atomic_store(&turn_spread, ahead);
        }
    }
    return mine < self->most ? SCHED_AGAIN : SCHED_IDLE;
}

static _Atomic uint64_t gate;
static enum sched_next run_gate(struct sched_task *task) {
    (void)task;
    (void)reaches(&gate, 1);
    return SCHED_IDLE;
}

TEST(again_puts_a_task_behind_all_others) {
    struct sched *sched = make_sched(1, 0, 0);
    struct sched_task first;
    sched_task_init(&first, sched, run_gate);
    atomic_store(&gate, 0);
    sched_wake(&first);  // holds the only worker until all others are queued
    for (size_t i = 0; i < COUNT_OF(turners); i++) {
        turners[i].most = 20;
        sched_task_init(&turners[i].task, sched, run_turner);
        sched_wake(&turners[i].task);
    }
    atomic_store(&gate, 1);
    for (size_t i = 0; i < COUNT_OF(turners); i++) {
        EXPECT(reaches(&turners[i].turns, 20));
    }
    EXPECT_U64(atomic_load(&turn_spread), 1);
    sched_free(sched);
}

struct stuck {
    struct sched_task task;
    struct sched_task *wakes;
    _Atomic uint64_t *until;
    _Atomic uint64_t entered;
    _Atomic uint64_t satisfied;
};

// Wakes another task from the worker and then does not return until that has run elsewhere.
static enum sched_next run_stuck(struct sched_task *task) {
    struct stuck *self = CONTAINER_OF(task, struct stuck, task);
    atomic_store(&self->entered, 1);
    if (self->wakes != NULL) {
        sched_wake(self->wakes);
    }
    atomic_store(&self->satisfied, reaches(self->until, 1));
    return SCHED_IDLE;
}

TEST(the_queue_of_a_stuck_worker_is_stolen) {
    struct sched *sched = make_sched(2, 0, 0);
    struct relay behind = {.most = 1};
    struct stuck stuck = {.wakes = &behind.task, .until = &behind.runs};
    behind.to = &behind;
    sched_task_init(&behind.task, sched, run_relay);
    sched_task_init(&stuck.task, sched, run_stuck);
    sched_wake(&stuck.task);
    EXPECT(reaches(&behind.runs, 1));
    EXPECT(reaches(&stuck.satisfied, 1));
    sched_free(sched);
}

TEST(two_long_runs_started_by_one_worker_overlap) {
    struct sched *sched = make_sched(2, 0, 0);
    struct stuck second = {0};
    struct stuck first = {.wakes = &second.task, .until = &second.entered};
    second.until = &first.satisfied;  // returns only after the first, which waits for its start
    sched_task_init(&first.task, sched, run_stuck);
    sched_task_init(&second.task, sched, run_stuck);
    sched_wake(&first.task);
    EXPECT(reaches(&second.satisfied, 1));
    sched_free(sched);
}

TEST(an_extra_worker_takes_the_place_of_a_stuck_one) {
    struct sched *sched = make_sched(1, 1, 2000000);
    for (int round = 0; round < 3; round++) {  // the extra worker retires and comes back
        struct relay behind = {.most = 1};
        struct stuck stuck = {.wakes = &behind.task, .until = &behind.runs};
        behind.to = &behind;
        sched_task_init(&behind.task, sched, run_relay);
        sched_task_init(&stuck.task, sched, run_stuck);
        sched_wake(&stuck.task);
        EXPECT(reaches(&behind.runs, 1));
        EXPECT(reaches(&stuck.satisfied, 1));
        while (!sched_task_idle(&stuck.task) || !sched_task_idle(&behind.task)) {
            sched_yield();
        }
    }
    sched_free(sched);
}

TEST(extra_workers_are_bounded) {
    // Two stuck tasks, one worker and one extra: the third task must wait for one of them.
    struct sched *sched = make_sched(1, 1, 1000000);
    atomic_store(&gate, 0);
    struct stuck stuck[2] = {{.until = &gate}, {.until = &gate}};
    struct relay third = {.most = 1};
    third.to = &third;
    sched_task_init(&third.task, sched, run_relay);
    for (int i = 0; i < 2; i++) {
        sched_task_init(&stuck[i].task, sched, run_stuck);
        sched_wake(&stuck[i].task);
    }
    EXPECT(reaches(&stuck[0].entered, 1));
    EXPECT(reaches(&stuck[1].entered, 1));
    sched_wake(&third.task);
    uint64_t start = env_monotonic_ns(env_system());
    while (env_monotonic_ns(env_system()) - start < 20000000) {
        sched_yield();
    }
    EXPECT_U64(atomic_load(&third.runs), 0);
    atomic_store(&gate, 1);
    EXPECT(reaches(&third.runs, 1));
    sched_free(sched);
}

static _Atomic uint64_t freed;

static enum sched_next run_and_free(struct sched_task *task) {
    free(task);
    atomic_fetch_add(&freed, 1);
    return SCHED_GONE;
}

TEST(a_task_may_free_itself) {
    struct sched *sched = make_sched(2, 0, 0);
    for (int i = 0; i < 1000; i++) {
        struct sched_task *task = xmalloc(sizeof *task);
        sched_task_init(task, sched, run_and_free);
        sched_wake(task);
    }
    EXPECT(reaches(&freed, 1000));
    sched_free(sched);
}

static _Atomic uint64_t threads_in, threads_out;
static void count_enter(void) {
    atomic_fetch_add(&threads_in, 1);
}
static void count_leave(void) {
    atomic_fetch_add(&threads_out, 1);
}

TEST(each_worker_thread_enters_and_leaves) {
    struct sched_config config = {
        .workers = 3, .thread_enter = count_enter, .thread_leave = count_leave};
    struct sched *sched = NULL;
    struct error error = {0};
    REQUIRE_OK(sched_new(&config, &sched, &error), error);
    EXPECT_U64(sched_worker_count(sched), 3);
    EXPECT(reaches(&threads_in, 3));
    sched_free(sched);
    EXPECT_U64(atomic_load(&threads_out), 3);
}

static _Atomic uint64_t busy_runs;

static enum sched_next run_busy(struct sched_task *task) {
    struct relay *self = CONTAINER_OF(task, struct relay, task);
    atomic_fetch_add(&busy_runs, 1);
    sched_wake(&self->to->task);
    return atomic_load(&busy_runs) % 3 == 0 ? SCHED_AGAIN : SCHED_IDLE;
}

// A worker that leaves while others still wake sleepers must not be among those.
TEST(a_scheduler_is_freed_while_tasks_run) {
    for (int round = 0; round < 100; round++) {
        static struct relay relays[5];
        struct sched *sched = make_sched(3, 1, 1000000);
        atomic_store(&busy_runs, 0);
        for (size_t i = 0; i < COUNT_OF(relays); i++) {
            relays[i].to = &relays[(i + 1) % COUNT_OF(relays)];
            sched_task_init(&relays[i].task, sched, run_busy);
        }
        for (size_t i = 0; i < COUNT_OF(relays); i++) {
            sched_wake(&relays[i].task);
        }
        EXPECT(reaches(&busy_runs, (uint64_t)round));
        sched_free(sched);
    }
}

TEST(a_wrong_configuration_is_refused) {
    struct sched *sched = NULL;
    struct error error = {0};
    struct sched_config config = {.workers = 100000};
    EXPECT(sched_new(&config, &sched, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "100000 workers");
    error_clear(&error);
    config = (struct sched_config){.deterministic = true, .env = env_system()};
    EXPECT(sched_new(&config, &sched, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "seeded");
}

int main(void) {
    return test_main();
}

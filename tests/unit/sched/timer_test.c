// SPDX-License-Identifier: Apache-2.0
// Timers: order, moving, cancelling while they fire, and that a timer wakes a task.
#include <pthread.h>

#include "support.h"

struct fired {
    struct sched_timer timer;
    struct sched *sched;
    _Atomic uint64_t count;
    uint64_t at_ns;
    uint64_t place;
};
static _Atomic uint64_t places;

static void note(struct sched_timer *timer) {
    struct fired *self = CONTAINER_OF(timer, struct fired, timer);
    self->at_ns = env_monotonic_ns(env_system());
    self->place = atomic_fetch_add(&places, 1);
    atomic_fetch_add(&self->count, 1);
}

TEST(timers_fire_in_order_and_not_early) {
    enum { TIMERS = 200 };
    static struct fired fired[TIMERS];
    memset(fired, 0, sizeof fired);
    atomic_store(&places, 0);
    struct sched *sched = make_sched(1, 0, 0);
    uint64_t base = env_monotonic_ns(env_system()) + 50000000;
    // Armed in a scattered order; each due time twice, the second armed fires second.
    for (uint64_t i = 0; i < TIMERS; i++) {
        uint64_t slot = (i * 73) % TIMERS;
        sched_timer_arm(sched, &fired[i].timer, base + slot / 2 * 100000, note);
    }
    for (uint64_t i = 0; i < TIMERS; i++) {
        EXPECT(reaches(&fired[i].count, 1));
    }
    for (uint64_t i = 0; i < TIMERS; i++) {
        EXPECT(fired[i].at_ns >= fired[i].timer.due_ns);
        for (uint64_t j = 0; j < TIMERS; j++) {
            bool first = fired[i].timer.due_ns < fired[j].timer.due_ns ||
                         (fired[i].timer.due_ns == fired[j].timer.due_ns && i < j);
            if (first && fired[i].place > fired[j].place) {
                test_report(__FILE__, __LINE__, "timer %d fired after %d", (int)i, (int)j);
            }
        }
    }
    sched_free(sched);
}

TEST(an_armed_timer_moves) {
    struct sched *sched = make_sched(1, 0, 0);
    struct fired late = {0};
    struct fired soon = {0};
    uint64_t now = env_monotonic_ns(env_system());
    sched_timer_arm(sched, &late.timer, now + 1000, note);
    sched_timer_arm(sched, &late.timer, now + 3600000000000U, note);
    sched_timer_arm(sched, &soon.timer, now + 3600000000000U, note);
    sched_timer_arm(sched, &soon.timer, now + 2000000, note);
    EXPECT(reaches(&soon.count, 1));
    EXPECT(!sched_timer_cancel(sched, &soon.timer));
    uint64_t before = atomic_load(&late.count);  // may have fired before it moved
    EXPECT(sched_timer_cancel(sched, &late.timer));
    EXPECT(!sched_timer_cancel(sched, &late.timer));
    EXPECT_U64(atomic_load(&late.count), before);
    sched_free(sched);
}

static _Atomic uint64_t cancel_in_fn;
static void cancel_self(struct sched_timer *timer) {
    struct fired *self = CONTAINER_OF(timer, struct fired, timer);
    uint64_t now = env_monotonic_ns(env_system());
    sched_timer_arm(self->sched, timer, now + 3600000000000U, cancel_self);
    bool armed = sched_timer_cancel(self->sched, timer);  // must not wait for itself
    atomic_store(&cancel_in_fn, armed ? 1 : 2);
}

TEST(a_timer_may_arm_and_cancel_itself) {
    struct sched *sched = make_sched(1, 0, 0);
    struct fired self = {.sched = sched};
    sched_timer_arm(sched, &self.timer, 0, cancel_self);
    EXPECT(reaches(&cancel_in_fn, 1));
    EXPECT_U64(atomic_load(&cancel_in_fn), 1);
    sched_free(sched);
}

// Several threads arm and cancel timers on the heap and free them at once: with the sanitizers, a
// `fn` that still runs after a cancel shows as a use of freed memory.
struct racer {
    struct sched_timer timer;
    uint64_t value;
    _Atomic uint64_t *sum;
};

static void fire_racer(struct sched_timer *timer) {
    struct racer *racer = CONTAINER_OF(timer, struct racer, timer);
    racer->value++;
    atomic_fetch_add(racer->sum, 1);
}

static struct sched *race_sched;
static _Atomic uint64_t race_fired, race_cancelled;

static void *race(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    for (int i = 0; i < 2000; i++) {
        struct racer *racer = xcalloc(1, sizeof *racer);
        racer->sum = &race_fired;
        random = random * 6364136223846793005U + 1442695040888963407U;
        uint64_t due = env_monotonic_ns(env_system()) + (random >> 33) % 20000;
        sched_timer_arm(race_sched, &racer->timer, due, fire_racer);
        if (random & 256) {
            sched_yield();
        }
        bool armed = sched_timer_cancel(race_sched, &racer->timer);
        atomic_fetch_add(&race_cancelled, armed);
        if (armed != (racer->value == 0)) {
            fatal("a cancelled timer fired, or one was lost");
        }
        free(racer);
    }
    return NULL;
}

TEST(cancel_races_with_firing) {
    race_sched = make_sched(1, 0, 0);
    pthread_t threads[3];
    for (uintptr_t i = 0; i < COUNT_OF(threads); i++) {
        REQUIRE(pthread_create(&threads[i], NULL, race, (void *)(i + 1)) == 0);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    EXPECT_U64(atomic_load(&race_fired) + atomic_load(&race_cancelled), 3 * 2000);
    sched_free(race_sched);
}

struct sleeper {
    struct sched_task task;
    struct sched_timer timer;
    _Atomic uint64_t runs;
};
static void wake_sleeper(struct sched_timer *timer) {
    sched_wake(&CONTAINER_OF(timer, struct sleeper, timer)->task);
}
static enum sched_next run_sleeper(struct sched_task *task) {
    struct sleeper *self = CONTAINER_OF(task, struct sleeper, task);
    if (atomic_fetch_add(&self->runs, 1) < 20) {
        uint64_t due = env_monotonic_ns(env_system()) + 100000;
        sched_timer_arm(task->sched, &self->timer, due, wake_sleeper);
    }
    return SCHED_IDLE;
}

TEST(a_timer_wakes_a_task) {
    struct sched *sched = make_sched(2, 0, 0);
    struct sleeper sleeper = {0};
    sched_task_init(&sleeper.task, sched, run_sleeper);
    sched_wake(&sleeper.task);
    EXPECT(reaches(&sleeper.runs, 21));
    sched_free(sched);
}

// All workers sleep and the monitor stops looking after a while; both must come back.
TEST(a_long_quiet_time_is_followed_by_work) {
    struct sched *sched = make_sched(2, 1, 1000000);
    struct sleeper sleeper = {0};
    sched_task_init(&sleeper.task, sched, run_sleeper);
    struct fired quiet = {0};
    sched_timer_arm(sched, &quiet.timer, env_monotonic_ns(env_system()) + 300000000, note);
    EXPECT(reaches(&quiet.count, 1));
    sched_wake(&sleeper.task);
    EXPECT(reaches(&sleeper.runs, 21));
    sched_free(sched);
}

TEST(a_scheduler_with_armed_timers_can_be_freed) {
    struct sched *sched = make_sched(1, 0, 0);
    struct fired never = {0};
    sched_timer_arm(sched, &never.timer, UINT64_MAX, note);
    sched_free(sched);
    EXPECT_U64(never.timer.heap_index, 0);
    EXPECT_U64(atomic_load(&never.count), 0);
}

int main(void) {
    return test_main();
}

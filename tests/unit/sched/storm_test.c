// SPDX-License-Identifier: Apache-2.0
// Everything at once: tasks with fibers that wait for timers, for each other and for a thread
// outside, some computing long enough to count as stuck, so that extra workers come and go.
#include <pthread.h>

#include "support.h"

enum { ACTORS = 60, TURNS = 150 };

struct actor {
    struct sched_task task;
    struct sched_timer timer;
    struct sched_fiber *fiber;
    uint64_t random;
    uint64_t turns;             // by the fiber only
    _Atomic uint64_t messages;  // not yet taken
    _Atomic uint64_t taken;
    _Atomic uint64_t done;
    bool wants_timer;
};
static struct actor actors[ACTORS];
static _Atomic uint64_t sent;
static _Atomic bool outside_stops;

static uint64_t next_random(struct actor *self) {
    self->random = self->random * 6364136223846793005U + 1442695040888963407U;
    return self->random >> 33;
}

static void send_to(struct actor *to) {
    atomic_fetch_add(&sent, 1);
    atomic_fetch_add(&to->messages, 1);
    sched_wake(&to->task);
}

static void compute(uint64_t nanoseconds) {
    uint64_t start = env_monotonic_ns(env_system());
    while (env_monotonic_ns(env_system()) - start < nanoseconds) {
    }
}

static void timer_message(struct sched_timer *timer) {
    send_to(CONTAINER_OF(timer, struct actor, timer));
}

static void live(void *argument) {
    struct actor *self = argument;
    while (self->turns < TURNS) {
        self->turns++;
        uint64_t dice = next_random(self) % 100;
        if (dice == 0) {
            compute(3000000);
        } else if (dice < 50) {
            send_to(&actors[next_random(self) % ACTORS]);
        }
        // Asked for here, armed by `run` when nothing of this frame is in use any more.
        self->wants_timer = true;
        sched_fiber_park(self->fiber);
    }
}

static enum sched_next run_actor(struct sched_task *task) {
    struct actor *self = CONTAINER_OF(task, struct actor, task);
    uint64_t messages = atomic_exchange(&self->messages, 0);
    atomic_fetch_add(&self->taken, messages);
    if (messages == 0 || self->fiber == NULL) {
        return SCHED_IDLE;
    }
    if (sched_fiber_resume(self->fiber)) {
        sched_fiber_free(self->fiber);
        self->fiber = NULL;
        atomic_store(&self->done, 1);
        return SCHED_IDLE;
    }
    if (self->wants_timer) {
        self->wants_timer = false;
        uint64_t due = env_monotonic_ns(env_system()) + next_random(self) % 300000;
        sched_timer_arm(task->sched, &self->timer, due, timer_message);
    }
    return SCHED_IDLE;
}

static void *outside(void *argument) {
    (void)argument;
    for (uint32_t i = 0; !atomic_load(&outside_stops); i++) {
        send_to(&actors[i % ACTORS]);
        if (i % 8 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

TEST(nothing_is_lost_in_a_storm) {
    struct sched *sched = make_sched(3, 2, 1000000);
    for (uint64_t i = 0; i < ACTORS; i++) {
        struct error error = {0};
        actors[i] = (struct actor){.random = i};
        sched_task_init(&actors[i].task, sched, run_actor);
        REQUIRE_OK(sched_fiber_new(sched, 0, live, &actors[i], &actors[i].fiber, &error), error);
    }
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, outside, NULL) == 0);
    for (int i = 0; i < ACTORS; i++) {
        EXPECT(reaches(&actors[i].done, 1));
    }
    atomic_store(&outside_stops, true);
    pthread_join(thread, NULL);
    uint64_t taken = 0;
    for (int i = 0; i < ACTORS; i++) {
        (void)sched_timer_cancel(sched, &actors[i].timer);
    }
    // No message is under way from a timer now, and no fiber is left to send one.
    for (int i = 0; i < ACTORS; i++) {
        while (!sched_task_idle(&actors[i].task)) {
            sched_yield();
        }
        EXPECT_U64(actors[i].turns, TURNS);
        EXPECT_U64(atomic_load(&actors[i].messages), 0);
        taken += atomic_load(&actors[i].taken);
    }
    EXPECT_U64(taken, atomic_load(&sent));
    sched_free(sched);
}

int main(void) {
    return test_main();
}

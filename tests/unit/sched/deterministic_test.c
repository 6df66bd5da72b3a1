// SPDX-License-Identifier: Apache-2.0
// The deterministic mode: one seed gives one order, another seed another; time moves only when
// nothing is runnable.
#include "support.h"

enum { TASKS = 20, TURNS = 10 };

struct actor {
    struct sched_task task;
    struct sched_timer timer;
    uint32_t number;
    uint32_t turns;
};
static struct actor actors[TASKS];
static struct buf order;
static struct env env;

static void wake_actor(struct sched_timer *timer) {
    struct actor *self = CONTAINER_OF(timer, struct actor, timer);
    buf_append_byte(&order, (uint8_t)(100 + self->number));
    sched_wake(&self->task);
}

static enum sched_next run_actor(struct sched_task *task) {
    struct actor *self = CONTAINER_OF(task, struct actor, task);
    buf_append_byte(&order, (uint8_t)self->number);
    self->turns++;
    if (self->turns >= TURNS) {
        return SCHED_IDLE;
    }
    if (self->turns % 3 == 0) {
        sched_timer_arm(task->sched, &self->timer, env_monotonic_ns(&env) + 1000 * self->number,
                        wake_actor);
        return SCHED_IDLE;
    }
    sched_wake(&actors[(self->number + 1) % TASKS].task);
    return SCHED_AGAIN;
}

static struct bytes *order_of(uint64_t seed, uint64_t *ended_ns) {
    env_init_seeded(&env, 5, 1000);
    struct sched_config config = {.deterministic = true, .seed = seed, .env = &env};
    struct sched *sched = NULL;
    struct error error = {0};
    if (sched_new(&config, &sched, &error) != OK) {
        fatal("%s", error.message);
    }
    for (uint32_t i = 0; i < TASKS; i++) {
        actors[i] = (struct actor){.number = i};
        sched_task_init(&actors[i].task, sched, run_actor);
        sched_wake(&actors[i].task);
    }
    while (sched_step(sched)) {
    }
    *ended_ns = env_monotonic_ns(&env);
    struct bytes *result = bytes_copy(buf_slice(&order));
    buf_release(&order);
    sched_free(sched);
    return result;
}

TEST(the_seed_decides_the_order) {
    uint64_t ended[3];
    struct bytes *first = order_of(42, &ended[0]);
    struct bytes *again = order_of(42, &ended[1]);
    struct bytes *other = order_of(43, &ended[2]);
    EXPECT(first->size >= TASKS * TURNS);
    EXPECT(slice_equal(bytes_slice(first), bytes_slice(again)));
    EXPECT(!slice_equal(bytes_slice(first), bytes_slice(other)));
    EXPECT_U64(ended[0], ended[1]);
    bytes_unref(first);
    bytes_unref(again);
    bytes_unref(other);
}

static uint64_t fired_at[3];
static uint32_t fired_count;
static void note_time(struct sched_timer *timer) {
    (void)timer;
    fired_at[fired_count++] = env_monotonic_ns(&env);
}

TEST(the_clock_jumps_to_the_next_timer) {
    env_init_seeded(&env, 5, 1000);
    struct sched_config config = {.deterministic = true, .seed = 1, .env = &env};
    struct sched *sched = NULL;
    struct error error = {0};
    REQUIRE_OK(sched_new(&config, &sched, &error), error);
    struct sched_timer timers[3] = {0};
    sched_timer_arm(sched, &timers[0], 5000000000U, note_time);
    sched_timer_arm(sched, &timers[1], 70, note_time);
    sched_timer_arm(sched, &timers[2], 3600000000000U, note_time);
    EXPECT(sched_step(sched));
    EXPECT(sched_step(sched));
    EXPECT(sched_timer_cancel(sched, &timers[2]));
    EXPECT(!sched_step(sched));
    EXPECT_U64(fired_count, 2);
    EXPECT_U64(fired_at[0], 70);
    EXPECT_U64(fired_at[1], 5000000000U);
    EXPECT_U64(env_wall_ns(&env), 1000 + 5000000000U - 1);
    sched_free(sched);
}

int main(void) {
    return test_main();
}

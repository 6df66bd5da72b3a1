// SPDX-License-Identifier: Apache-2.0
// A log that is behind and stacks that are all in use: actors wait, workers and messages do not.
#include "chain/state.h"
#include "support.h"

enum { ACTORS = 6, MESSAGES = 200 };

// Nothing is synced from now on. The syncer would wait like this for a change of segments.
static void hold_log(struct chain_log *log, bool is_held) {
    (void)pthread_mutex_lock(&log->lock);
    log->is_rolling = is_held;
    (void)pthread_cond_signal(&log->wake_sync);
    (void)pthread_mutex_unlock(&log->lock);
}

// A task that is nobody's: whether a worker is free to run it.
struct probe_task {
    struct sched_task task;
    _Atomic uint32_t runs;
};

static enum sched_next count_run(struct sched_task *task) {
    struct probe_task *probe = CONTAINER_OF(task, struct probe_task, task);
    atomic_fetch_add(&probe->runs, 1);
    return SCHED_IDLE;
}

static bool runs_within(struct world *world, struct probe_task *probe, uint64_t limit_ms) {
    uint64_t end = env_monotonic_ns(env_system()) + limit_ms * 1000000U;
    uint32_t before = atomic_load(&probe->runs);
    (void)world;
    sched_wake(&probe->task);
    while (atomic_load(&probe->runs) == before) {
        if (env_monotonic_ns(env_system()) > end) {
            return false;
        }
        struct timespec pause = {.tv_nsec = 200000};
        nanosleep(&pause, NULL);
    }
    return true;
}

static uint64_t appended(struct world *world) {
    struct chain_stats stats;
    chain_log_stats(world->log, &stats);
    return stats.events;
}

TEST(workers_go_on_while_the_log_is_behind) {
    struct world world = {.pending_most_bytes = 64 * 1024};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "");
    char ids[ACTORS][16];
    for (int i = 0; i < ACTORS; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "a%d", i);
        start(&world, "a.toml", ids[i]);
    }
    // Who sends from outside waits for the log itself: so all is sent before, to actors that are
    // busy meanwhile. Their parked turns wait for the log, too.
    for (int j = 0; j < ACTORS; j++) {
        tell(&world, ids[j], "sleep 3000");
    }
    for (int i = 0; i < MESSAGES; i++) {
        for (int j = 0; j < ACTORS; j++) {
            tell(&world, ids[j], "echo a message of some length to fill the log with, number %d",
                 i);
        }
    }
    uint64_t before = appended(&world);
    hold_log(world.log, true);
    while (!chain_is_behind(world.log)) {
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    struct probe_task probe = {0};
    sched_task_init(&probe.task, world.sched, count_run);
    for (int i = 0; i < 50; i++) {
        REQUIRE(runs_within(&world, &probe, 5000));
    }
    // Everybody has come to rest below the bound at which appends wait.
    struct chain_stats stats;
    chain_log_stats(world.log, &stats);
    EXPECT(stats.bytes - stats.synced_bytes <= 64 * 1024);
    EXPECT(appended(&world) - before < (uint64_t)ACTORS * MESSAGES);
    EXPECT(!actor_system_wait_idle(world.system, 20000000));
    // A stop is not held up by what waits.
    hold_log(world.log, false);
    settle(&world);
    for (int j = 0; j < ACTORS; j++) {
        EXPECT_U64(count_events(&world, ids[j], "handle-send", "fill the log"), MESSAGES);
    }
    while (!sched_task_idle(&probe.task)) {
    }
    EXPECT_U64(world_close(&world), OK);
}

TEST(actors_that_wait_for_the_log_can_be_stopped) {
    struct world world = {.pending_most_bytes = 64 * 1024};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "");
    start(&world, "a.toml", "a");
    tell(&world, "a", "sleep 2000");
    for (int i = 0; i < 1000; i++) {
        tell(&world, "a", "echo a message of some length to fill the log with, number %d", i);
    }
    hold_log(world.log, true);
    while (!chain_is_behind(world.log)) {
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    actor_system_request_stop(world.system);
    while (actor_system_count(world.system) > 0) {
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    hold_log(world.log, false);
    EXPECT_U64(count_events(&world, "a", "shutdown", NULL), 1);
    EXPECT_U64(world_close(&world), OK);
}

static void never_run(void *argument) {
    (void)argument;
}

enum { STACKS = 16 };

// A world in which "sleeps" has the only stack of its size and the test has all others.
struct poor_world {
    struct world world;
    struct sched_fiber *fibers[STACKS];
    uint32_t count;
};

static void take_all(struct poor_world *poor) {
    struct error error = {0};
    while (sched_fiber_new(poor->world.sched, 256 * 1024, never_run, NULL,
                           &poor->fibers[poor->count], &error) == OK) {
        REQUIRE(++poor->count < STACKS + 1);
    }
}

static void give_all(struct poor_world *poor) {
    while (poor->count > 0) {
        sched_fiber_free(poor->fibers[--poor->count]);
    }
}

static void poor_open(struct poor_world *poor) {
    *poor = (struct poor_world){.world = {.workers = 1, .stack_limit = STACKS}};
    world_open(&poor->world);
    write_manifest(&poor->world, "a.toml", "", "stack_bytes = 1048576\n");
    start(&poor->world, "a.toml", "a");
    start(&poor->world, "a.toml", "sleeps");
    tell(&poor->world, "sleeps", "sleep 600000");
    while (count_events(&poor->world, "sleeps", "handle-send", NULL) == 0) {
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    take_all(poor);
}

TEST(a_message_waits_for_a_stack) {
    struct poor_world poor;
    poor_open(&poor);
    tell(&poor.world, "a", "set-state it came");
    EXPECT_U64(ask_for(&poor.world, "a", 100, "echo x"), ERR_TIMEOUT);
    EXPECT_U64(count_events(&poor.world, "a", "handle-send", NULL), 0);
    give_all(&poor);
    EXPECT_U64(ask(&poor.world, "a", "state"), OK);
    EXPECT_TEXT(poor.world.text, "it came");
    EXPECT_U64(count_events(&poor.world, "a", "handle-send", NULL), 1);
    EXPECT_U64(world_close(&poor.world), OK);
}

static void *give_later(void *argument) {
    struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL);
    give_all(argument);
    return NULL;
}

TEST(an_actor_starts_when_there_is_a_stack_for_it) {
    struct poor_world poor;
    poor_open(&poor);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, give_later, &poor) == 0);
    start(&poor.world, "a.toml", "b");
    pthread_join(thread, NULL);
    EXPECT_U64(ask(&poor.world, "b", "echo x"), OK);
    EXPECT_U64(world_close(&poor.world), OK);
}

TEST(an_actor_that_waits_for_a_stack_can_be_stopped) {
    struct poor_world poor;
    poor_open(&poor);
    tell(&poor.world, "a", "echo x");
    actor_system_stop(poor.world.system);
    give_all(&poor);
    EXPECT_U64(world_close(&poor.world), OK);
}

int main(void) {
    return test_main();
}

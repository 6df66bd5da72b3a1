// SPDX-License-Identifier: Apache-2.0
// durability = "sync": what leaves the node waits until what it depends on is on disk; what does
// not depend on it, and what stays inside, does not wait.
#include <pthread.h>

#include "actor/internal.h"
#include "chain/state.h"
#include "support.h"

// Keeps the log from being synced; it is written all the same.
static void hold_syncs(struct chain_log *log, bool is_held) {
    (void)pthread_mutex_lock(&log->lock);
    log->is_rolling = is_held;
    (void)pthread_cond_signal(&log->wake_sync);
    (void)pthread_mutex_unlock(&log->lock);
}

// A request from outside, on a thread of its own.
struct asker {
    struct world world;  // its own text
    const char *id;
    const char *command;
    enum status status;
    pthread_t thread;
    _Atomic bool is_done;
};

static void *ask_it(void *argument) {
    struct asker *asker = argument;
    asker->status = ask(&asker->world, asker->id, "%s", asker->command);
    atomic_store(&asker->is_done, true);
    return NULL;
}

static void begin_asking(struct asker *asker, struct world *world, const char *id,
                         const char *command) {
    *asker = (struct asker){.world = *world, .id = id, .command = command};
    REQUIRE(pthread_create(&asker->thread, NULL, ask_it, asker) == 0);
}

static void open_three(struct world *world) {
    world_open(world);
    write_manifest(world, "sync.toml", "durability = \"sync\"\n", "");
    write_manifest(world, "async.toml", "", "");
    start(world, "sync.toml", "s");
    start(world, "async.toml", "a");
    start(world, "async.toml", "b");
}

TEST(a_reply_waits_for_the_disk_and_no_other_actor_does) {
    struct world world = {0};
    open_three(&world);
    hold_syncs(world.log, true);
    struct asker asker;
    begin_asking(&asker, &world, "s", "echo one");
    wait_for_events(&world, "s", "handle-request", "one", 1);
    for (int i = 0; i < 20; i++) {
        EXPECT_U64(ask(&world, "a", "echo %d", i), OK);
    }
    EXPECT(!atomic_load(&asker.is_done));
    hold_syncs(world.log, false);
    REQUIRE(pthread_join(asker.thread, NULL) == 0);
    EXPECT_U64(asker.status, OK);
    EXPECT_TEXT(asker.world.text, "one");
    EXPECT_U64(world_close(&world), OK);
}

TEST(what_depends_on_a_sync_actor_waits_too_at_the_edge_only) {
    struct world world = {0};
    open_three(&world);
    hold_syncs(world.log, true);
    // a asks s and has its answer at once: a's second leg is recorded while nothing is synced.
    struct asker asker;
    begin_asking(&asker, &world, "a", "request s echo two");
    wait_for_events(&world, "a", "handle-request", "two", 2);
    EXPECT(!atomic_load(&asker.is_done));
    // b hears of it by a message; from then on its answers wait as well.
    EXPECT_U64(ask(&world, "b", "echo not yet"), OK);
    tell(&world, "a", "send b log hello");
    wait_for_events(&world, "b", "handle-send", "hello", 1);
    struct asker second;
    begin_asking(&second, &world, "b", "echo three");
    wait_for_events(&world, "b", "handle-request", "three", 1);
    EXPECT(!atomic_load(&asker.is_done) && !atomic_load(&second.is_done));
    hold_syncs(world.log, false);
    REQUIRE(pthread_join(asker.thread, NULL) == 0 && pthread_join(second.thread, NULL) == 0);
    EXPECT_TEXT(asker.world.text, "two");
    EXPECT_TEXT(second.world.text, "three");
    EXPECT_U64(world_close(&world), OK);
}

// ---- jobs --------------------------------------------------------------------------------------

struct probe_job {
    struct actor_job job;
    _Atomic uint32_t begun;
    _Atomic uint32_t released;
};

static void begin_probe(struct actor_job *job) {
    struct probe_job *probe = CONTAINER_OF(job, struct probe_job, job);
    atomic_fetch_add(&probe->begun, 1);
    actor_job_done(job);
}

static void release_probe(struct actor_job *job) {
    struct probe_job *probe = CONTAINER_OF(job, struct probe_job, job);
    atomic_fetch_add(&probe->released, 1);
}

static void hand_over(struct world *world, struct probe_job *probe, const char *id) {
    actor_job_init(&probe->job, NULL, release_probe);
    probe->job.begin = begin_probe;
    struct actor *actor = actor_find(world->system, slice_text(id));
    REQUIRE(actor != NULL);
    probe->job.actor = actor;
    job_begin(&probe->job, actor_depends(actor));
}

TEST(work_outside_begins_when_what_led_to_it_is_on_disk) {
    struct world world = {0};
    open_three(&world);
    struct error error = {0};
    REQUIRE_OK(chain_wait(world.log, 1, CHAIN_SYNCED, &error), error);
    hold_syncs(world.log, true);
    // Not from outside, who would have to wait for the disk.
    tell(&world, "a", "send s log something");
    wait_for_events(&world, "s", "handle-send", "something", 1);
    struct probe_job held = {0};
    struct probe_job free_one = {0};
    settle(&world);
    hand_over(&world, &held, "s");
    hand_over(&world, &free_one, "a");
    EXPECT_U64(atomic_load(&free_one.begun), 1);
    EXPECT_U64(atomic_load(&held.begun), 0);
    hold_syncs(world.log, false);
    while (atomic_load(&held.released) == 0) {
        struct timespec pause = {.tv_nsec = 500000};
        nanosleep(&pause, NULL);
    }
    EXPECT_U64(atomic_load(&held.begun), 1);
    EXPECT_U64(world_close(&world), OK);
}

static void *end_holding(void *argument) {
    struct world *world = argument;
    while (actor_system_count(world->system) > 0) {
        struct timespec pause = {.tv_nsec = 500000};
        nanosleep(&pause, NULL);
    }
    struct error error = {0};
    (void)pthread_mutex_lock(&world->log->lock);
    world->log->failure = (struct error){.code = ERR_IO};
    (void)snprintf(world->log->failure.message, sizeof error.message, "made to fail");
    (void)pthread_cond_broadcast(&world->log->progress);
    (void)pthread_mutex_unlock(&world->log->lock);
    return NULL;
}

TEST(work_outside_does_not_begin_when_the_log_has_failed) {
    struct world world = {0};
    open_three(&world);
    hold_syncs(world.log, true);
    tell(&world, "a", "send s log something");
    wait_for_events(&world, "s", "handle-send", "something", 1);
    settle(&world);
    struct probe_job held = {0};
    hand_over(&world, &held, "s");
    EXPECT_U64(atomic_load(&held.begun), 0);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, end_holding, &world) == 0);
    actor_system_stop(world.system);
    REQUIRE(pthread_join(thread, NULL) == 0);
    EXPECT_U64(atomic_load(&held.begun), 0);
    EXPECT_U64(atomic_load(&held.released), 1);
    EXPECT(held.job.status == ERR_IO);
    hold_syncs(world.log, false);
    EXPECT_U64(world_close(&world), ERR_IO);
}

int main(void) {
    return test_main();
}

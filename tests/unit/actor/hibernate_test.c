// SPDX-License-Identifier: Apache-2.0
// Hibernation: who gives its instance up and when, what stays, and that no message is lost by it.
#include <pthread.h>

#include "actor/internal.h"
#include "support.h"

#define STATELESS "stateless_instance = true\n"
#define IDLE_SOON STATELESS "hibernate_after_ms = 1\n"

static struct actor *find(struct world *world, const char *id) {
    struct actor *actor = actor_find(world->system, slice_text(id));
    REQUIRE(actor != NULL);
    return actor;
}

static void wait_for_rest(struct world *world, const char *id, uint64_t count) {
    wait_for_events(world, id, "hibernated", NULL, count);
}

TEST(an_idle_actor_gives_its_instance_up_and_keeps_all_else) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "sleeps.toml", IDLE_SOON, "");
    write_manifest(&world, "stays.toml", "", "");
    start(&world, "sleeps.toml", "sleeps");
    start(&world, "stays.toml", "stays");
    REQUIRE(ask(&world, "sleeps", "set-state kept") == OK);
    REQUIRE(ask(&world, "stays", "open sleeps hello") == OK);
    char channel[64];
    (void)snprintf(channel, sizeof channel, "%.36s", world.text);
    // One answer is owed, one child lives.
    tell(&world, "stays", "request sleeps late");
    wait_for_events(&world, "sleeps", "handle-request", "late", 1);
    uint64_t rests = count_events(&world, "sleeps", "hibernated", NULL);
    REQUIRE(ask(&world, "sleeps", "spawn %s/stays.toml", world.folder) == OK);
    wait_for_rest(&world, "sleeps", rests + 1);
    struct actor *actor = find(&world, "sleeps");
    EXPECT(actor_system_instance_bytes(world.system) > 0);

    REQUIRE(ask(&world, "sleeps", "state") == OK);
    EXPECT(strstr(world.text, "kept") != NULL);
    REQUIRE(ask(&world, "sleeps", "outstanding") == OK);
    EXPECT(strlen(world.text) == 2 * 36 + 1);  // this one, and the one that is owed
    REQUIRE(ask(&world, "sleeps", "children") == OK);
    EXPECT_U64(strlen(world.text), 36);
    REQUIRE(ask(&world, "sleeps", "answer here") == OK);
    wait_for_events(&world, "stays", "handle-send", "here", 1);
    REQUIRE(ask(&world, "stays", "chan %s over", channel) == OK);
    wait_for_events(&world, "sleeps", "handle-channel-message", "over", 1);
    actor_unref(actor);
    settle(&world);

    EXPECT_U64(count_events(&world, "sleeps", "init", NULL), 1);
    EXPECT(count_events(&world, "sleeps", "instance-created", NULL) > 1);
    EXPECT_U64(count_events(&world, "sleeps", "crashed", NULL), 0);
    EXPECT_U64(count_events(&world, "stays", "hibernated", NULL), 0);
    EXPECT(world_close(&world) == OK);
}

TEST(who_does_not_say_so_keeps_its_instance) {
    struct world world = {.instance_memory_bytes = 1};
    world_open(&world);
    write_manifest(&world, "stays.toml", "hibernate_after_ms = 1\n", "");
    write_manifest(&world, "sleeps.toml", STATELESS, "");
    start(&world, "stays.toml", "stays");
    start(&world, "sleeps.toml", "sleeps");
    // The one that may go goes, although that is not enough.
    wait_for_events(&world, "sleeps", "hibernated", "memory", 1);
    REQUIRE(ask(&world, "stays", "echo x") == OK);
    settle(&world);
    EXPECT_U64(count_events(&world, "stays", "hibernated", NULL), 0);
    EXPECT(actor_system_instance_bytes(world.system) > 0);
    EXPECT(world_close(&world) == OK);
}

TEST(a_parked_turn_keeps_its_instance) {
    struct world world = {.instance_memory_bytes = 1};
    world_open(&world);
    write_manifest(&world, "sleeps.toml", IDLE_SOON, "");
    start(&world, "sleeps.toml", "sleeps");
    park(&world, "sleeps");
    uint64_t rests = count_events(&world, "sleeps", "hibernated", NULL);
    struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);  // many times its hibernate_after_ms
    EXPECT_U64(count_events(&world, "sleeps", "hibernated", NULL), rests);
    unpark(&world);
    wait_for_rest(&world, "sleeps", rests + 1);
    EXPECT(world_close(&world) == OK);
}

TEST(memory_is_kept_below_the_bound_by_those_who_may_go) {
    enum { ACTORS = 60, ROUNDS = 5 };
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "sleeps.toml", STATELESS, "");
    start(&world, "sleeps.toml", "first");
    settle(&world);
    uint64_t one = actor_system_instance_bytes(world.system);
    REQUIRE(one > 0);
    EXPECT(world_close(&world) == OK);

    world = (struct world){.instance_memory_bytes = 10 * one};
    world_open(&world);
    write_manifest(&world, "sleeps.toml", STATELESS, "");
    char ids[ACTORS][16];
    for (int i = 0; i < ACTORS; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "a%d", i);
        start(&world, "sleeps.toml", ids[i]);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < ACTORS; i++) {
            REQUIRE(ask(&world, ids[i], "set-state %d", round * 1000 + i) == OK);
        }
        settle(&world);
        EXPECT(actor_system_instance_bytes(world.system) <= 10 * one);
        EXPECT(actor_system_instance_bytes(world.system) >= 9 * one);
    }
    for (int i = 0; i < ACTORS; i++) {
        char expected[16];
        (void)snprintf(expected, sizeof expected, "%d", (ROUNDS - 1) * 1000 + i);
        REQUIRE(ask(&world, ids[i], "state") == OK);
        EXPECT(strcmp(world.text, expected) == 0);
        EXPECT(count_events(&world, ids[i], "hibernated", "memory") >= ROUNDS - 1);
    }
    EXPECT(world_close(&world) == OK);
}

TEST(an_instance_that_cannot_be_made_again_is_a_crash_and_its_message_waits) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "sleeps.toml", IDLE_SOON "restart = \"permanent\"\n", "");
    start(&world, "sleeps.toml", "sleeps");
    wait_for_rest(&world, "sleeps", 1);
    settle(&world);
    struct actor *actor = find(&world, "sleeps");
    uint64_t limit = actor->budget.memory_limit_bytes;
    EXPECT(actor->instance == NULL && actor->resting == NULL);
    REQUIRE(wasm_budget_take(&actor->budget, limit));
    tell(&world, "sleeps", "log here it is");
    // At once, and again after the first restart, which fails likewise.
    wait_for_events(&world, "sleeps", "crashed", NULL, 2);
    wasm_budget_give(&actor->budget, limit);
    wait_for_events(&world, "sleeps", "handle-send", "here it is", 1);
    EXPECT(count_events(&world, "sleeps", "instance-created", "memory limit") >= 2);
    EXPECT_U64(count_events(&world, "sleeps", "init", NULL), 2);
    actor_unref(actor);
    EXPECT(world_close(&world) == OK);
}

TEST(one_that_hibernates_stops_and_restarts_like_any_other) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "parent.toml", "", "");
    write_manifest(&world, "sleeps.toml", IDLE_SOON "id = \"child\"\n", "");
    start(&world, "parent.toml", "parent");
    REQUIRE(ask(&world, "parent", "spawn %s/sleeps.toml", world.folder) == OK);
    REQUIRE(ask(&world, "child", "set-state other") == OK);
    wait_for_rest(&world, "child", 1);
    settle(&world);
    REQUIRE(ask(&world, "parent", "child-state child") == OK);
    EXPECT(strcmp(world.text, "other") == 0);
    REQUIRE(ask(&world, "parent", "restart child") == OK);
    REQUIRE(ask(&world, "child", "state") == OK);
    EXPECT(strcmp(world.text, "") == 0);
    wait_for_rest(&world, "child", 2);
    settle(&world);
    REQUIRE(ask(&world, "parent", "stop child") == OK);
    EXPECT(ask(&world, "child", "state") != OK);
    EXPECT_U64(count_events(&world, "child", "shutdown", NULL), 1);
    EXPECT_U64(count_events(&world, "child", "init", NULL), 2);
    EXPECT(world_close(&world) == OK);
}

// ---- a storm
// -------------------------------------------------------------------------------------

enum { STORM_THREADS = 4, STORM_ACTORS = 8, STORM_MESSAGES = 300 };

struct sender {
    struct world *world;
    int number;
};

static void *send_all(void *argument) {
    struct sender *sender = argument;
    for (int i = 0; i < STORM_MESSAGES; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "a%d", (i + sender->number) % STORM_ACTORS);
        tell(sender->world, id, "log from %d number %d.", sender->number, i);
        if (i % 16 == 0) {
            struct timespec pause = {.tv_nsec = 1500000};
            nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

TEST(no_message_is_lost_to_who_is_about_to_hibernate) {
    struct world world = {.instance_memory_bytes = 1};
    world_open(&world);
    write_manifest(&world, "sleeps.toml", IDLE_SOON, "");
    for (int i = 0; i < STORM_ACTORS; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "a%d", i);
        start(&world, "sleeps.toml", id);
    }
    pthread_t threads[STORM_THREADS];
    struct sender senders[STORM_THREADS];
    for (int i = 0; i < STORM_THREADS; i++) {
        senders[i] = (struct sender){&world, i};
        REQUIRE(pthread_create(&threads[i], NULL, send_all, &senders[i]) == 0);
    }
    for (int i = 0; i < STORM_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    settle(&world);
    uint64_t handled = 0;
    uint64_t rests = 0;
    for (int i = 0; i < STORM_ACTORS; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "a%d", i);
        handled += count_events(&world, id, "handle-send", NULL);
        rests += count_events(&world, id, "hibernated", NULL);
        EXPECT_U64(count_events(&world, id, "crashed", NULL), 0);
    }
    EXPECT_U64(handled, STORM_THREADS * STORM_MESSAGES);
    EXPECT(rests > STORM_ACTORS);
    EXPECT(world_close(&world) == OK);
}

int main(void) {
    return test_main();
}

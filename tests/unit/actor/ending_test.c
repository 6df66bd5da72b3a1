// SPDX-License-Identifier: Apache-2.0
// Ends that come from elsewhere: a stop from outside, an init that lasts too long; and what a
// parent hears about the kind of an error.
#include <pthread.h>
#include <stdatomic.h>

#include "starter.h"

static void open_parent(struct world *world, const char *supervision) {
    world_open(world);
    struct buf text = {0};
    buf_format(&text, "[supervision]\n%s", supervision);
    write_manifest(world, "p.toml", buf_text(&text), "");
    buf_release(&text);
    start(world, "p.toml", "p");
}

static enum status stop(struct world *world, const char *id, const char *reason) {
    struct error error = {0};
    enum status status = actor_stop_from_outside(world->system, id, reason, &error);
    (void)snprintf(world->text, sizeof world->text, "%s", error.message);
    return status;
}

// ---- a stop from outside
// -------------------------------------------------------------------------

TEST(a_child_that_is_stopped_from_outside_is_gone_and_its_parent_hears_of_it) {
    struct world world = {0};
    open_parent(&world, "");
    write_manifest(&world, "c.toml", "id = \"c\"\nrestart = \"permanent\"\n", "");
    write_manifest(&world, "leaf.toml", "id = \"leaf\"\n", "");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    EXPECT_U64(ask(&world, "c", "spawn leaf.toml"), OK);
    tell(&world, "c", "sleep 600000");
    wait_for_events(&world, "c", "handle-send", "sleep", 1);
    EXPECT_U64(stop(&world, "c", "the operator's wish"), OK);
    EXPECT_U64(actor_system_count(world.system), 1);
    EXPECT_U64(count_events(&world, "c", "shutdown", "the operator's wish"), 1);
    EXPECT_U64(count_events(&world, "leaf", "shutdown", NULL), 1);
    settle(&world);
    EXPECT_U64(ask(&world, "p", "state"), OK);
    EXPECT_TEXT(world.text, "child c stopped\n");
    // It may be spawned again, and goes on with its chain.
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    EXPECT_U64(count_events(&world, "c", "resumed", NULL), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_stop_from_outside_says_what_is_wrong_with_it) {
    struct world world = {0};
    open_parent(&world, "");
    EXPECT_U64(stop(&world, "nobody", NULL), ERR_NOT_FOUND);
    EXPECT_CONTAINS(world.text, "no such actor: nobody");
    EXPECT_U64(stop(&world, "p", "\xff"), ERR_INVALID);
    static char much[ACTOR_REASON_MOST_BYTES + 2];
    memset(much, 'x', sizeof much - 1);
    EXPECT_U64(stop(&world, "p", much), ERR_INVALID);
    EXPECT_U64(stop(&world, "p", NULL), OK);
    EXPECT_U64(count_events(&world, "p", "shutdown", "stopped from outside"), 1);
    EXPECT_U64(stop(&world, "p", NULL), ERR_NOT_FOUND);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_turn_is_aborted_after_the_stop_timeout) {
    struct world world = {0};
    open_parent(&world, "");
    write_manifest(&world, "c.toml", "id = \"c\"\n",
                   "turn_cpu_ms = 60000\nstop_timeout_ms = 100\n");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    tell(&world, "c", "loop");
    EXPECT_U64(ask_for(&world, "c", 50, "echo never"), ERR_TIMEOUT);
    uint64_t before = env_monotonic_ns(env_system());
    EXPECT_U64(stop(&world, "c", NULL), OK);
    EXPECT(env_monotonic_ns(env_system()) - before >= 100000000U);
    EXPECT_U64(count_events(&world, "c", "aborted", NULL), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(no_time_to_stop_is_a_kill) {
    struct world world = {0};
    open_parent(&world, "");
    write_manifest(&world, "c.toml", "id = \"c\"\n", "turn_cpu_ms = 60000\nstop_timeout_ms = 0\n");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    tell(&world, "c", "loop");
    EXPECT_U64(ask_for(&world, "c", 50, "echo never"), ERR_TIMEOUT);
    EXPECT_U64(stop(&world, "c", NULL), OK);
    EXPECT_U64(count_events(&world, "c", "aborted", NULL), 1);
    EXPECT_U64(world_close(&world), OK);
}

struct stopper {
    struct world *world;
    const char *id;
    enum status status;
};

static void *stop_on_thread(void *argument) {
    struct stopper *stopper = argument;
    struct error error = {0};
    stopper->status = actor_stop_from_outside(stopper->world->system, stopper->id, NULL, &error);
    return NULL;
}

TEST(several_may_stop_the_same_actor_at_once) {
    struct world world = {0};
    open_parent(&world, "max_restarts = 1000\nbackoff_initial_ms = 1\n");
    write_manifest(&world, "c.toml", "id = \"c\"\nrestart = \"permanent\"\n", "");
    for (int round = 0; round < 30; round++) {
        EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
        tell(&world, "c", "trap");
        pthread_t threads[3];
        struct stopper stoppers[COUNT_OF(threads)];
        for (size_t i = 0; i < COUNT_OF(threads); i++) {
            stoppers[i] = (struct stopper){.world = &world, .id = "c"};
            REQUIRE(pthread_create(&threads[i], NULL, stop_on_thread, &stoppers[i]) == 0);
        }
        (void)ask(&world, "p", "stop c");
        for (size_t i = 0; i < COUNT_OF(threads); i++) {
            pthread_join(threads[i], NULL);
            EXPECT(stoppers[i].status == OK || stoppers[i].status == ERR_NOT_FOUND);
        }
        EXPECT_U64(ask(&world, "p", "children"), OK);
        EXPECT_TEXT(world.text, "");
    }
    EXPECT_U64(world_close(&world), OK);
}

struct stop_loop {
    struct world *world;
    _Atomic bool ends;
};

static void *stop_again_and_again(void *argument) {
    struct stop_loop *loop = argument;
    enum status status = OK;
    while (!atomic_load(&loop->ends) && (status == OK || status == ERR_NOT_FOUND)) {
        status = actor_stop_from_outside(loop->world->system, "x", NULL, NULL);
    }
    return NULL;
}

// The id is taken for as long as it takes to find that the chain is somebody else's.
TEST(an_actor_that_comes_to_nothing_leaves_nobody_waiting_for_its_end) {
    struct world world = {0};
    open_parent(&world, "");
    write_manifest(&world, "x.toml", "id = \"x\"\n", "");
    start(&world, "x.toml", "x");
    EXPECT_U64(stop(&world, "x", NULL), OK);
    struct stop_loop loop = {.world = &world};
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, stop_again_and_again, &loop) == 0);
    for (int i = 0; i < 300; i++) {
        EXPECT_U64(ask(&world, "p", "spawn x.toml"), ERR_GUEST);
        EXPECT_CONTAINS(world.text, "belongs to another actor's history");
    }
    atomic_store(&loop.ends, true);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    REQUIRE(pthread_timedjoin_np(thread, NULL, &until) == 0);
    EXPECT_U64(world_close(&world), OK);
}

// ---- an init that lasts
// --------------------------------------------------------------------------

TEST(a_first_init_that_waits_too_long_is_an_error_for_the_parent) {
    struct world world = {0};
    open_parent(&world, "");
    write_starter(&world, "c", "", "sleep 600000", "init_timeout_ms = 100\n");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "init has not returned within limits.init_timeout_ms (100 ms): ");
    EXPECT_U64(count_events(&world, "c", "limit-reached", "init_timeout_ms"), 1);
    EXPECT_U64(ask(&world, "p", "children"), OK);
    EXPECT_TEXT(world.text, "");
    EXPECT_U64(count_events(&world, "c", "shutdown", "init failed"), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(one_that_waits_again_or_computes_after_that_ends_too) {
    struct world world = {0};
    open_parent(&world, "");
    // A loop behind a short wait is cut off by stop_timeout_ms.
    write_starter(&world, "c", "", "sleep 1;loop",
                  "init_timeout_ms = 50\nstop_timeout_ms = 50\nturn_cpu_ms = 60000\n");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "limits.init_timeout_ms");
    write_starter(&world, "d", "", "sleep 20", "init_timeout_ms = 600000\n");
    EXPECT_U64(ask(&world, "p", "spawn d.toml"), OK);
    EXPECT_U64(ask(&world, "d", "sleep 20;echo here"), OK);
    EXPECT_TEXT(world.text, "here");
    EXPECT_U64(world_close(&world), OK);
}

TEST(an_init_that_waits_too_long_after_a_crash_counts_as_a_crash) {
    struct world world = {0};
    open_parent(&world, "max_restarts = 2\nbackoff_initial_ms = 1\n");
    // It asks `late`, which answers while it is free, and that is so for the first start only.
    write_starter(&world, "c", "restart = \"permanent\"\n", "request q echo x",
                  "init_timeout_ms = 100\n");
    write_manifest(&world, "q.toml", "", "");
    start(&world, "q.toml", "q");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    tell(&world, "q", "sleep 600000");
    wait_for_events(&world, "q", "handle-send", "sleep", 1);
    EXPECT(ask(&world, "c", "trap") != OK);
    wait_for_events(&world, "c", "crashed", "limits.init_timeout_ms", 2);
    wait_for_events(&world, "c", "shutdown", "past the restart limit", 1);
    EXPECT_U64(world_close(&world), OK);
}

// ---- the kinds of errors
// -------------------------------------------------------------------------

// An actor `w` that handles requests and nothing else.
static void start_hoard(struct world *world) {
    struct error error = {0};
    char written[ACTOR_ID_BYTES];
    struct actor_start how = {.manifest = SOURCE_FOLDER "/tests/guests/chain_hoard/manifest.toml",
                              .id = "w"};
    REQUIRE_OK(actor_start_root(world->system, &how, written, &error), error);
}

// Has a child do the commands as a message, and expects what the parent hears.
static void expect_heard(struct world *world, const char *commands, const char *heard) {
    EXPECT_U64(ask(world, "p", "spawn c.toml"), OK);
    EXPECT_U64(ask(world, "p", "set-state heard: "), OK);
    uint64_t heard_before = count_events(world, "p", "handle-child-error", NULL);
    tell(world, "c", "%s", commands);
    wait_for_events(world, "p", "handle-child-error", NULL, heard_before + 1);
    EXPECT_U64(ask(world, "p", "state"), OK);
    EXPECT_CONTAINS(world->text, heard);
    EXPECT_U64(ask(world, "p", "stop c"), OK);
}

TEST(a_parent_hears_what_kind_of_error_it_was) {
    struct world world = {0};
    open_parent(&world, "");
    write_starter(&world, "c", "", "",
                  "turn_cpu_ms = 100\nrequest_timeout_ms = 50\nsend_timeout_ms = 20\n");
    write_manifest(&world, "r.toml", "", "");
    start_hoard(&world);
    start(&world, "r.toml", "r");
    tell(&world, "r", "sleep 600000");
    expect_heard(&world, "loop", "child c error 0: wasm trap: CPU time");
    expect_heard(&world, "request r echo x", "child c error 0: the request timed out");
    expect_heard(&world, "request nobody echo x", "child c error 5: no such actor");
    expect_heard(&world, "open w hello", "child c error 3: actor does not handle");
    expect_heard(&world, "mangle", "child c error 4: trap:");
    expect_heard(&world, "trap", "child c error 5: wasm trap: unreachable");
    expect_heard(&world, "err timed out", "child c error 5: timed out");
    expect_heard(&world, "err no", "child c error 5: no");
    EXPECT_U64(world_close(&world), OK);
}

TEST(an_error_for_an_end_elsewhere_is_of_that_kind) {
    struct world world = {0};
    open_parent(&world, "");
    write_starter(&world, "c", "", "", "");
    write_manifest(&world, "r.toml", "restart = \"transient\"\n", "");
    start(&world, "r.toml", "r");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    // The requester fails when the target crashes.
    tell(&world, "r", "sleep 50");
    tell(&world, "c", "request r trap");
    settle(&world);
    EXPECT_U64(ask(&world, "p", "state"), OK);
    EXPECT_CONTAINS(world.text, "child c error 1: the actor has crashed");
    EXPECT_U64(world_close(&world), OK);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// Ends that come at an inconvenient time: stops, crashes and failures while something is under way.
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "test.h"
#include "theater/theater.h"

#define PROBE_COMPONENT SOURCE_FOLDER "/tests/guests/probe/probe.wasm"
#define HANDLERS                                                             \
    "\n[[handler]]\ntype = \"supervisor\"\n[[handler]]\ntype = \"timing\"\n" \
    "[[handler]]\ntype = \"random\"\n"

struct world {
    theater_node *node;
    const char *folder;
    char text[2048];  // the last answer
};

static void write_manifest(struct world *world, const char *file, const char *keys,
                           const char *limits) {
    struct error error = {0};
    struct buf text = {0};
    buf_format(&text, "name = \"probe\"\ncomponent = \"probe.wasm\"\n%s%s\n[limits]\n%s", keys,
               HANDLERS, limits);
    char *path = file_join(world->folder, file);
    REQUIRE_OK(file_write_atomic(path, buf_slice(&text), 0600, &error), error);
    free(path);
    buf_release(&text);
}

static void open_world(struct world *world) {
    *world = (struct world){.folder = test_folder()};
    struct theater_node_config config = {.data_folder = test_folder(), .workers = 2, .quiet = 1};
    struct theater_error problem;
    REQUIRE(theater_node_open(&config, &world->node, &problem) == THEATER_OK);
    struct error error = {0};
    struct bytes *component = NULL;
    REQUIRE_OK(file_read(PROBE_COMPONENT, 1 << 24, &component, &error), error);
    char *path = file_join(world->folder, "probe.wasm");
    REQUIRE_OK(file_write_atomic(path, bytes_slice(component), 0600, &error), error);
    free(path);
    bytes_unref(component);
}

static void close_world(struct world *world) {
    struct theater_error error;
    EXPECT_U64(theater_node_close(world->node, &error), THEATER_OK);
}

static theater_status start(struct world *world, const char *file, const char *id,
                            const char *state) {
    struct theater_error error;
    char written[THEATER_ID_BYTES];
    char *path = file_join(world->folder, file);
    theater_status status = theater_actor_start(world->node, path, id, state,
                                                state != NULL ? strlen(state) : 0, written, &error);
    free(path);
    (void)snprintf(world->text, sizeof world->text, "%s",
                   status == THEATER_OK ? written : error.message);
    return status;
}

static theater_status ask(struct world *world, const char *id, uint64_t timeout_ms,
                          const char *format, ...) PRINTF_LIKE(4, 5);
static theater_status ask(struct world *world, const char *id, uint64_t timeout_ms,
                          const char *format, ...) {
    char question[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(question, sizeof question, format, args);
    va_end(args);
    struct theater_error error;
    void *reply = NULL;
    size_t size = 0;
    theater_status status = theater_actor_request(world->node, id, question, strlen(question),
                                                  timeout_ms, &reply, &size, &error);
    (void)snprintf(world->text, sizeof world->text, "%.*s", status == THEATER_OK ? (int)size : 1000,
                   status == THEATER_OK ? (const char *)reply : error.message);
    theater_free(reply);
    return status;
}

static void tell(struct world *world, const char *id, const char *message) {
    struct theater_error error;
    EXPECT_U64(theater_actor_send(world->node, id, message, strlen(message), &error), THEATER_OK);
}

TEST(the_id_of_an_actor_whose_init_failed_is_free_when_the_error_arrives) {
    struct world world;
    open_world(&world);
    write_manifest(&world, "probe.toml", "", "");
    for (int i = 0; i < 200; i++) {
        EXPECT_U64(start(&world, "probe.toml", "x", "{\"init\":\"err\"}"), THEATER_ACTOR_ERROR);
        EXPECT_CONTAINS(world.text, "asked to fail in init");
    }
    EXPECT_U64(theater_node_actor_count(world.node), 0);
    close_world(&world);
}

// What children did to their restart limit is not held against their parent.
TEST(a_root_that_crashes_for_its_children_is_started_again) {
    struct world world;
    open_world(&world);
    write_manifest(&world, "parent.toml",
                   "restart = \"permanent\"\n[supervision]\nmax_restarts = 3\n"
                   "window_ms = 60000\nbackoff_initial_ms = 1\nbackoff_max_ms = 2\n",
                   "");
    write_manifest(&world, "child.toml", "id = \"c\"\nrestart = \"permanent\"\n", "");
    EXPECT_U64(start(&world, "parent.toml", "p", NULL), THEATER_OK);
    EXPECT_U64(ask(&world, "p", 20000, "spawn child.toml"), THEATER_OK);
    for (int i = 0; i < 4; i++) {
        EXPECT(ask(&world, "c", 20000, "trap") != THEATER_OK);
        EXPECT(theater_node_wait_idle(world.node, 20000) == 1);
    }
    EXPECT_U64(ask(&world, "p", 20000, "echo back"), THEATER_OK);
    EXPECT_TEXT(world.text, "back");
    // The new instance's children begin with a window of their own.
    EXPECT_U64(ask(&world, "p", 20000, "spawn child.toml"), THEATER_OK);
    EXPECT(ask(&world, "c", 20000, "trap") != THEATER_OK);
    EXPECT_U64(ask(&world, "c", 20000, "echo back"), THEATER_OK);
    EXPECT_TEXT(world.text, "back");
    close_world(&world);
}

// Senders that wait for room do not wait for an actor that crashed and rests.
TEST(a_crash_ends_the_wait_for_room) {
    struct world world;
    open_world(&world);
    write_manifest(&world, "slow.toml", "id = \"slow\"\n", "mailbox_messages = 2\n");
    write_manifest(&world, "probe.toml", "", "send_timeout_ms = 60000\n");
    static const char *const senders[] = {"a", "b", "c", "d"};
    EXPECT_U64(start(&world, "probe.toml", "p", NULL), THEATER_OK);
    for (size_t i = 0; i < COUNT_OF(senders); i++) {
        EXPECT_U64(start(&world, "probe.toml", senders[i], NULL), THEATER_OK);
    }
    EXPECT_U64(ask(&world, "p", 20000, "spawn slow.toml"), THEATER_OK);
    // The turn in progress has one of the two places until it ends.
    tell(&world, "slow", "sleep 300");
    tell(&world, "slow", "trap");
    for (size_t i = 0; i < COUNT_OF(senders); i++) {
        tell(&world, senders[i], "send slow echo x");
    }
    EXPECT(theater_node_wait_idle(world.node, 10000) == 1);
    close_world(&world);
}

TEST(a_send_timeout_of_nothing_is_short) {
    struct world world;
    open_world(&world);
    write_manifest(&world, "slow.toml", "", "mailbox_messages = 1\n");
    write_manifest(&world, "probe.toml", "", "send_timeout_ms = 0\n");
    EXPECT_U64(start(&world, "slow.toml", "slow", NULL), THEATER_OK);
    EXPECT_U64(start(&world, "probe.toml", "a", NULL), THEATER_OK);
    tell(&world, "slow", "sleep 600000");
    EXPECT_U64(ask(&world, "a", 5000, "send slow echo x"), THEATER_ACTOR_ERROR);
    EXPECT_CONTAINS(world.text, "is full");
    close_world(&world);
}

TEST(a_sleep_of_for_ever_is_long) {
    struct world world;
    open_world(&world);
    write_manifest(&world, "long.toml", "", "");
    struct error error = {0};
    char *path = file_join(world.folder, "long.toml");
    REQUIRE_OK(file_write_atomic(path,
                                 slice_text("name = \"probe\"\ncomponent = \"probe.wasm\"\n"
                                            "[[handler]]\ntype = \"supervisor\"\n"
                                            "[[handler]]\ntype = \"random\"\n"
                                            "[[handler]]\ntype = \"timing\"\n"
                                            "max_sleep_duration = 9000000000000000000\n"),
                                 0600, &error),
               error);
    free(path);
    EXPECT_U64(start(&world, "long.toml", "a", NULL), THEATER_OK);
    // In nanoseconds 2^64 and a bit.
    EXPECT_U64(ask(&world, "a", 500, "sleep 18446744073710"), THEATER_TIMEOUT);
    close_world(&world);
}

// Messages and replies may be larger than the one who gets them can take: no crash of his.
TEST(a_reply_over_the_requesters_limit_is_an_error_for_him) {
    struct world world;
    open_world(&world);
    write_manifest(&world, "small.toml", "", "message_bytes = 1024\nstate_bytes = 1024\n");
    write_manifest(&world, "big.toml", "", "state_bytes = 67108864\n");
    EXPECT_U64(start(&world, "small.toml", "s", NULL), THEATER_OK);
    EXPECT_U64(start(&world, "big.toml", "b", NULL), THEATER_OK);
    EXPECT_U64(ask(&world, "b", 20000, "grow-state 16777216"), THEATER_OK);
    EXPECT_U64(ask(&world, "s", 20000, "request b state"), THEATER_ACTOR_ERROR);
    EXPECT_CONTAINS(world.text, "limits.message_bytes");
    EXPECT_U64(ask(&world, "s", 20000, "echo still here"), THEATER_OK);
    EXPECT_TEXT(world.text, "still here");
    close_world(&world);
}

// The host finds this while it reads the chain, where no guest runs.
TEST(too_many_results_in_one_turn_are_a_crash_of_the_actor_only) {
    struct world world;
    open_world(&world);
    struct theater_error error;
    char written[THEATER_ID_BYTES];
    EXPECT_U64(
        theater_actor_start(world.node, SOURCE_FOLDER "/tests/guests/chain_hoard/manifest.toml",
                            "h", NULL, 0, written, &error),
        THEATER_OK);
    // A million calls, which take their time under a sanitizer.
    EXPECT(ask(&world, "h", 240000, "hoard") != THEATER_OK);
    EXPECT_CONTAINS(world.text, "more than the chain takes in one event");
    write_manifest(&world, "probe.toml", "", "");
    EXPECT_U64(start(&world, "probe.toml", "a", NULL), THEATER_OK);
    close_world(&world);
}

TEST(requests_that_are_never_answered_do_not_pile_up) {
    struct world world;
    open_world(&world);
    write_manifest(&world, "probe.toml", "", "");
    EXPECT_U64(start(&world, "probe.toml", "a", NULL), THEATER_OK);
    for (int i = 0; i < 1200; i++) {
        EXPECT_U64(ask(&world, "a", 0, "late"), THEATER_TIMEOUT);
    }
    EXPECT(theater_node_wait_idle(world.node, 20000) == 1);
    struct theater_error error;
    void *reply = NULL;
    size_t size = 0;
    EXPECT_U64(
        theater_actor_request(world.node, "a", "outstanding", 11, 20000, &reply, &size, &error),
        THEATER_OK);
    EXPECT(size >= 1000U * 36 && size <= 1002U * 37);
    theater_free(reply);
    // The last one is still known, and nobody waits for it.
    EXPECT_U64(ask(&world, "a", 20000, "answer x"), THEATER_ACTOR_ERROR);
    EXPECT_CONTAINS(world.text, "requester is gone");
    close_world(&world);
}

TEST(no_error_of_a_child_is_lost_before_a_busy_parent) {
    struct world world;
    open_world(&world);
    write_manifest(&world, "parent.toml", "", "mailbox_messages = 5\n");
    write_manifest(&world, "child.toml", "id = \"c\"\n", "");
    EXPECT_U64(start(&world, "parent.toml", "p", NULL), THEATER_OK);
    EXPECT_U64(ask(&world, "p", 20000, "spawn child.toml"), THEATER_OK);
    tell(&world, "p", "sleep 500");
    for (int i = 0; i < 50; i++) {
        EXPECT_U64(ask(&world, "c", 20000, "err"), THEATER_ACTOR_ERROR);
    }
    EXPECT(theater_node_wait_idle(world.node, 20000) == 1);
    EXPECT_U64(ask(&world, "p", 20000, "state"), THEATER_OK);
    int notices = 0;
    for (const char *at = world.text; (at = strstr(at, "child c error")) != NULL; at++) {
        notices++;
    }
    EXPECT_U64(notices, 50);
    EXPECT_U64(ask(&world, "c", 20000, "err again"), THEATER_ACTOR_ERROR);
    EXPECT(theater_node_wait_idle(world.node, 20000) == 1);
    EXPECT_U64(ask(&world, "p", 20000, "state"), THEATER_OK);
    EXPECT_CONTAINS(world.text, "again");
    close_world(&world);
}

// The node is closed while a child's component is being compiled.
TEST(closing_while_a_spawn_is_under_way_is_clean) {
    for (int i = 0; i < 20; i++) {
        struct world world;
        open_world(&world);
        write_manifest(&world, "probe.toml", "", "");
        EXPECT_U64(start(&world, "probe.toml", "p", NULL), THEATER_OK);
        EXPECT_U64(start(&world, "probe.toml", "q", NULL), THEATER_OK);
        for (int j = 0; j < 4; j++) {
            tell(&world, "p", "spawn-with {} probe.toml");
            tell(&world, "q", "spawn-with {} probe.toml");
        }
        struct timespec pause = {.tv_nsec = i * 200000};
        nanosleep(&pause, NULL);
        close_world(&world);
    }
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// What the contract promises of supervision, requests, channels and mailboxes (section 3), with the
// probe as parent and child.
#include <stdarg.h>
#include <stdlib.h>

#include "base/file.h"
#include "test.h"
#include "theater/theater.h"

#define PROBE_COMPONENT SOURCE_FOLDER "/tests/guests/probe/probe.wasm"
#define HANDLERS                                                             \
    "\n[[handler]]\ntype = \"supervisor\"\n[[handler]]\ntype = \"timing\"\n" \
    "[[handler]]\ntype = \"random\"\n"

// A node whose actors' manifests lie in a folder of their own.
struct world {
    theater_node *node;
    const char *folder;
    char text[2048];  // the last answer
};

static void write_manifest(struct world *world, const char *file, const char *more) {
    struct error error = {0};
    struct buf text = {0};
    buf_format(&text, "name = \"probe\"\ncomponent = \"probe.wasm\"\n%s%s", more, HANDLERS);
    char *path = file_join(world->folder, file);
    REQUIRE_OK(file_write_atomic(path, buf_slice(&text), 0600, &error), error);
    free(path);
    buf_release(&text);
}

static void start(struct world *world, const char *file, const char *id) {
    struct theater_error error;
    char written[THEATER_ID_BYTES];
    char *path = file_join(world->folder, file);
    theater_status status = theater_actor_start(world->node, path, id, NULL, 0, written, &error);
    free(path);
    if (status != THEATER_OK) {
        test_report(__FILE__, __LINE__, "%s: %s", file, error.message);
        longjmp(test_end, 1);
    }
}

// Parent "p" from parent.toml, with these keys; the child's manifest is child.toml.
static void open_world(struct world *world, const char *parent_keys, const char *child_keys) {
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
    write_manifest(world, "parent.toml", parent_keys);
    write_manifest(world, "child.toml", child_keys);
    start(world, "parent.toml", "p");
}

static void close_world(struct world *world) {
    struct theater_error error;
    EXPECT_U64(theater_node_close(world->node, &error), THEATER_OK);
}

static theater_status ask(struct world *world, const char *id, const char *format, ...)
    PRINTF_LIKE(3, 4);
static theater_status ask(struct world *world, const char *id, const char *format, ...) {
    char question[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(question, sizeof question, format, args);
    va_end(args);
    struct theater_error error;
    void *reply = NULL;
    size_t size = 0;
    theater_status status = theater_actor_request(world->node, id, question, strlen(question),
                                                  30000, &reply, &size, &error);
    if (status == THEATER_OK) {
        (void)snprintf(world->text, sizeof world->text, "%.*s", (int)size, (char *)reply);
    } else {
        (void)snprintf(world->text, sizeof world->text, "%s", error.message);
    }
    theater_free(reply);
    return status;
}

// Spawns the child and writes its id.
static void spawn(struct world *world, char id[THEATER_ID_BYTES]) {
    if (ask(world, "p", "spawn child.toml") != THEATER_OK) {
        test_report(__FILE__, __LINE__, "spawn: %s", world->text);
        longjmp(test_end, 1);
    }
    (void)snprintf(id, THEATER_ID_BYTES, "%.128s", world->text);
}

static void tell(struct world *world, const char *id, const char *message) {
    struct theater_error error;
    EXPECT_U64(theater_actor_send(world->node, id, message, strlen(message), &error), THEATER_OK);
}

static void settle(struct world *world) {
    EXPECT(theater_node_wait_idle(world->node, 30000) == 1);
}

TEST(a_permanent_child_comes_back_with_its_id_and_initial_state) {
    struct world world;
    char child[THEATER_ID_BYTES];
    open_world(&world, "", "restart = \"permanent\"");
    spawn(&world, child);
    EXPECT_U64(ask(&world, child, "set-state changed"), THEATER_OK);
    EXPECT(ask(&world, child, "trap") != THEATER_OK);
    EXPECT_CONTAINS(world.text, "unreachable");
    settle(&world);
    EXPECT_U64(ask(&world, child, "state"), THEATER_OK);
    EXPECT_TEXT(world.text, "");
    EXPECT_U64(ask(&world, "p", "state"), THEATER_OK);
    EXPECT_CONTAINS(world.text, "error 5: wasm trap: unreachable");
    close_world(&world);
}

TEST(restart_state_last_keeps_the_last_recorded_state) {
    struct world world;
    char child[THEATER_ID_BYTES];
    open_world(&world, "", "restart = \"permanent\"\nrestart_state = \"last\"");
    spawn(&world, child);
    EXPECT_U64(ask(&world, child, "set-state kept"), THEATER_OK);
    EXPECT(ask(&world, child, "trap") != THEATER_OK);
    settle(&world);
    EXPECT_U64(ask(&world, child, "state"), THEATER_OK);
    EXPECT_TEXT(world.text, "kept");
    close_world(&world);
}

TEST(a_temporary_child_rests_until_its_parent_restarts_it) {
    struct world world;
    char child[THEATER_ID_BYTES];
    open_world(&world, "", "");
    spawn(&world, child);
    EXPECT(ask(&world, child, "trap") != THEATER_OK);
    settle(&world);
    EXPECT_U64(ask(&world, "p", "request %s echo x", child), THEATER_ACTOR_ERROR);
    EXPECT_CONTAINS(world.text, "has crashed");
    EXPECT_U64(ask(&world, "p", "restart %s", child), THEATER_OK);
    EXPECT_U64(ask(&world, child, "echo back"), THEATER_OK);
    EXPECT_TEXT(world.text, "back");
    close_world(&world);
}

TEST(past_the_limit_the_parent_crashes_too) {
    struct world world;
    char child[THEATER_ID_BYTES];
    open_world(&world, "[supervision]\nmax_restarts = 1\nwindow_ms = 60000\n",
               "restart = \"permanent\"");
    spawn(&world, child);
    EXPECT(ask(&world, child, "trap") != THEATER_OK);
    settle(&world);
    EXPECT_U64(theater_node_actor_count(world.node), 2);
    EXPECT(ask(&world, child, "trap") != THEATER_OK);
    settle(&world);
    EXPECT_U64(theater_node_actor_count(world.node), 0);
    close_world(&world);
}

TEST(a_parent_that_waits_crashes_with_its_children_all_the_same) {
    struct world world;
    char child[THEATER_ID_BYTES];
    open_world(&world, "[supervision]\nmax_restarts = 0\n", "restart = \"permanent\"");
    spawn(&world, child);
    tell(&world, "p", "sleep 600000");
    EXPECT(ask(&world, child, "trap") != THEATER_OK);
    settle(&world);
    EXPECT_U64(theater_node_actor_count(world.node), 0);
    close_world(&world);
}

TEST(an_error_is_a_crash_when_the_manifest_says_so) {
    struct world world;
    char child[THEATER_ID_BYTES];
    open_world(&world, "", "on_error = \"crash\"");
    spawn(&world, child);
    EXPECT_U64(ask(&world, child, "err no"), THEATER_ACTOR_ERROR);
    settle(&world);
    EXPECT(ask(&world, child, "echo x") != THEATER_OK);
    EXPECT_CONTAINS(world.text, "has crashed");
    close_world(&world);
}

TEST(a_request_times_out_and_a_late_reply_finds_the_requester_gone) {
    struct world world;
    char child[THEATER_ID_BYTES];
    open_world(&world, "[limits]\nrequest_timeout_ms = 50\n", "");
    spawn(&world, child);
    EXPECT_U64(ask(&world, "p", "request %s late", child), THEATER_ACTOR_ERROR);
    EXPECT_CONTAINS(world.text, "timed out");
    EXPECT_U64(ask(&world, child, "answer too late"), THEATER_ACTOR_ERROR);
    EXPECT_CONTAINS(world.text, "requester is gone");
    EXPECT_U64(ask(&world, child, "outstanding"), THEATER_OK);
    close_world(&world);
}

TEST(a_refused_channel_tells_why_and_an_open_one_echoes) {
    struct world world;
    char child[THEATER_ID_BYTES];
    char channel[64];
    open_world(&world, "", "");
    spawn(&world, child);
    EXPECT_U64(ask(&world, "p", "open %s refuse", child), THEATER_ACTOR_ERROR);
    EXPECT_CONTAINS(world.text, "refuse");
    EXPECT_U64(ask(&world, "p", "open %s hello", child), THEATER_OK);
    (void)snprintf(channel, sizeof channel, "%.60s", world.text);
    EXPECT_U64(strlen(channel), 36);
    EXPECT_U64(ask(&world, "p", "close %s", channel), THEATER_OK);
    settle(&world);
    EXPECT_U64(ask(&world, "p", "chan %s x", channel), THEATER_ACTOR_ERROR);
    EXPECT_U64(ask(&world, "p", "close %s", channel), THEATER_ACTOR_ERROR);
    close_world(&world);
}

TEST(a_full_mailbox_is_an_error_after_the_send_timeout) {
    struct world world;
    char child[THEATER_ID_BYTES];
    open_world(&world, "[limits]\nsend_timeout_ms = 50\n", "[limits]\nmailbox_messages = 2\n");
    spawn(&world, child);
    tell(&world, child, "sleep 1500");
    theater_status status = THEATER_OK;
    for (int i = 0; i < 4 && status == THEATER_OK; i++) {
        status = ask(&world, "p", "send %s echo x", child);
    }
    EXPECT_U64(status, THEATER_ACTOR_ERROR);
    EXPECT_CONTAINS(world.text, "full");
    settle(&world);
    EXPECT_U64(ask(&world, "p", "send %s echo x", child), THEATER_OK);
    close_world(&world);
}

TEST(a_child_that_shuts_down_hands_its_data_to_the_parent) {
    struct world world;
    char child[THEATER_ID_BYTES];
    open_world(&world, "", "");
    spawn(&world, child);
    tell(&world, child, "shutdown bequest");
    settle(&world);
    EXPECT_U64(ask(&world, "p", "state"), THEATER_OK);
    EXPECT_CONTAINS(world.text, "exit: bequest");
    EXPECT_U64(theater_node_actor_count(world.node), 1);
    close_world(&world);
}

TEST(resume_starts_from_the_given_state) {
    struct world world;
    open_world(&world, "", "");
    EXPECT_U64(ask(&world, "p", "resume before child.toml"), THEATER_OK);
    char child[THEATER_ID_BYTES];
    (void)snprintf(child, sizeof child, "%.100s", world.text);
    EXPECT_U64(ask(&world, "p", "child-state %s", child), THEATER_OK);
    EXPECT_CONTAINS(world.text, "before");
    close_world(&world);
}

TEST(a_child_cannot_reach_targets_that_its_policy_leaves_out) {
    struct world world;
    char child[THEATER_ID_BYTES];
    open_world(&world, "",
               "[permission_policy.message_server]\ntype = \"restrict\"\n"
               "config = { targets = [\"parent\"] }\n");
    spawn(&world, child);
    start(&world, "parent.toml", "stranger");
    EXPECT_U64(ask(&world, child, "send stranger echo x"), THEATER_ACTOR_ERROR);
    EXPECT_CONTAINS(world.text, "permission denied");
    EXPECT_U64(ask(&world, child, "send p echo x"), THEATER_OK);
    close_world(&world);
}

TEST(a_child_cannot_take_over_the_history_of_another_actor) {
    struct world world;
    char child[THEATER_ID_BYTES];
    open_world(&world, "", "id = \"heir\"");
    spawn(&world, child);
    EXPECT_TEXT(child, "heir");
    EXPECT_U64(ask(&world, "p", "stop heir"), THEATER_OK);
    // Its own former child may come back under its id, the chain goes on.
    spawn(&world, child);
    EXPECT_U64(ask(&world, "p", "stop heir"), THEATER_OK);
    start(&world, "parent.toml", "q");
    EXPECT_U64(ask(&world, "q", "spawn child.toml"), THEATER_ACTOR_ERROR);
    EXPECT_CONTAINS(world.text, "another actor's history");
    close_world(&world);
}

int main(void) {
    return test_main();
}

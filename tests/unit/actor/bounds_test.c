// SPDX-License-Identifier: Apache-2.0
// What one actor may have of channels, children, requests and unread notices, and what becomes of
// those of an instance that ends.
#include <unistd.h>

#include "chain/state.h"
#include "support.h"

TEST(channels_are_bounded_for_who_opens) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "channels = 2\n");
    write_manifest(&world, "b.toml", "", "");
    start(&world, "a.toml", "a");
    start(&world, "b.toml", "b");
    EXPECT_U64(ask(&world, "a", "open b silent"), OK);
    char first[64];
    (void)snprintf(first, sizeof first, "%.60s", world.text);
    EXPECT_U64(ask(&world, "a", "open b silent"), OK);
    EXPECT_U64(ask(&world, "a", "open b silent"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "limits.channels");
    EXPECT_U64(ask(&world, "a", "close %s", first), OK);
    EXPECT_U64(ask(&world, "a", "open b silent"), OK);
    EXPECT_U64(world_close(&world), OK);
}

TEST(channels_are_bounded_for_who_accepts) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "");
    write_manifest(&world, "b.toml", "", "channels = 1\n");
    start(&world, "a.toml", "a");
    start(&world, "b.toml", "b");
    EXPECT_U64(ask(&world, "a", "open b silent"), OK);
    char first[64];
    (void)snprintf(first, sizeof first, "%.60s", world.text);
    EXPECT_U64(ask(&world, "a", "open b silent"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "actor b has 1 channels already (limits.channels)");
    // A refused one takes no place, and one that the other side closed gives its place back.
    EXPECT_U64(ask(&world, "a", "close %s", first), OK);
    settle(&world);
    EXPECT_U64(ask(&world, "a", "open b refuse"), ERR_GUEST);
    EXPECT_U64(ask(&world, "a", "open b silent"), OK);
    EXPECT_U64(count_events(&world, "b", "handle-channel-open", NULL), 3);
    EXPECT_U64(world_close(&world), OK);
}

TEST(children_are_bounded) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "p.toml", "", "children = 2\n");
    write_manifest(&world, "c.toml", "", "");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    char child[64];
    (void)snprintf(child, sizeof child, "%.60s", world.text);
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "2 children already (limits.children)");
    EXPECT_U64(ask(&world, "p", "stop %s", child), OK);
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    EXPECT_U64(world_close(&world), OK);
}

TEST(requests_without_an_answer_are_bounded) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "requests = 2\n");
    write_manifest(&world, "b.toml", "", "");
    start(&world, "a.toml", "a");
    start(&world, "b.toml", "b");
    start(&world, "b.toml", "c");
    // Those whose requester is gone make room.
    for (int i = 0; i < 4; i++) {
        EXPECT_U64(ask_for(&world, "a", 1, "late"), ERR_TIMEOUT);
    }
    EXPECT_U64(ask(&world, "a", "echo x"), OK);
    // Those whose requester waits do not.
    tell(&world, "b", "request a late");
    tell(&world, "c", "request a late");
    while (count_events(&world, "a", "handle-request", "late") < 6) {
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    EXPECT_U64(ask(&world, "a", "echo x"), ERR_LIMIT);
    EXPECT_CONTAINS(world.text, "actor a has 2 unanswered requests already (limits.requests)");
    tell(&world, "a", "answer x");
    EXPECT_U64(ask(&world, "a", "outstanding"), OK);
    EXPECT_U64(strlen(world.text), 36 + 1 + 36);  // its own, and the one without an answer
    EXPECT_U64(world_close(&world), OK);
}

TEST(errors_of_children_wait_for_a_busy_parent_and_none_is_lost) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "p.toml", "", "mailbox_messages = 3\n");
    write_manifest(&world, "c.toml", "id = \"c\"\n", "");
    write_manifest(&world, "d.toml", "id = \"d\"\n", "");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    EXPECT_U64(ask(&world, "p", "spawn d.toml"), OK);
    park(&world, "p");
    for (int i = 0; i < 20; i++) {
        tell(&world, "c", "err number %d.", i);
        tell(&world, "d", "err number %d.", i);
    }
    // Three, and one with each child.
    while (count_events(&world, "c", "handle-send", NULL) +
               count_events(&world, "d", "handle-send", NULL) <
           5) {
    }
    EXPECT_U64(count_events(&world, "p", "handle-child-error", NULL), 0);
    unpark(&world);
    settle(&world);
    EXPECT_U64(ask(&world, "p", "state"), OK);
    for (int i = 0; i < 20; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "child c error 5: number %d.", i);
        EXPECT_CONTAINS(world.text, line);
        (void)snprintf(line, sizeof line, "child d error 5: number %d.", i);
        EXPECT_CONTAINS(world.text, line);
    }
    EXPECT_U64(count_events(&world, "p", "handle-child-error", NULL), 40);
    EXPECT_U64(world_close(&world), OK);
}

TEST(notices_are_bounded_in_bytes_too) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "p.toml", "", "mailbox_bytes = 200\n");
    write_manifest(&world, "c.toml", "id = \"c\"\n", "");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    park(&world, "p");
    for (int i = 0; i < 10; i++) {
        tell(&world, "c", "err a text of fifty bytes, more or less, number %d", i);
    }
    // The fifth is held, and the sixth message waits with its sender's child.
    EXPECT_U64(ask_for(&world, "c", 50, "echo x"), ERR_TIMEOUT);
    EXPECT(count_events(&world, "c", "handle-send", NULL) <= 6);
    unpark(&world);
    settle(&world);
    EXPECT_U64(count_events(&world, "p", "handle-child-error", NULL), 10);
    EXPECT_U64(world_close(&world), OK);
}

TEST(no_child_is_made_while_too_many_notices_wait) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "p.toml", "", "children = 2\nmailbox_messages = 3\n");
    write_manifest(&world, "c.toml", "id = \"c\"\n", "");
    write_manifest(&world, "d.toml", "id = \"d\"\n", "");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    EXPECT_U64(ask(&world, "p", "spawn d.toml"), OK);
    park(&world, "p");
    tell(&world, "p", "spawn c.toml");
    // As many errors as may wait, and two ends, which are told all the same.
    for (int i = 0; i < 3; i++) {
        tell(&world, "c", "err");
    }
    tell(&world, "c", "shutdown first");
    wait_for_events(&world, "c", "shutdown", NULL, 1);
    tell(&world, "d", "shutdown second");
    wait_for_events(&world, "d", "shutdown", NULL, 1);
    while (actor_system_count(world.system) != 2) {
    }
    unpark(&world);
    settle(&world);
    EXPECT_U64(count_events(&world, "p", "handle-send", "5 notices about children wait"), 1);
    EXPECT_U64(count_events(&world, "p", "handle-child-error", NULL), 3);
    EXPECT_U64(count_events(&world, "p", "handle-child-exit", NULL), 2);
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_child_that_holds_a_notice_can_be_restarted_and_stopped) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "p.toml", "", "mailbox_messages = 4\n");
    write_manifest(&world, "c.toml", "id = \"c\"\n", "");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    park(&world, "p");
    tell(&world, "p", "restart c");
    tell(&world, "p", "stop c");
    for (int i = 0; i < 20; i++) {
        tell(&world, "c", "err");
    }
    wait_for_events(&world, "c", "handle-send", NULL, 5);
    unpark(&world);
    settle(&world);
    EXPECT_U64(ask(&world, "p", "children"), OK);
    EXPECT_TEXT(world.text, "");
    EXPECT_U64(count_events(&world, "p", NULL, "waiting would never end"), 0);
    EXPECT_U64(count_events(&world, "c", "restarted", NULL), 1);
    // The four that were in the mailbox, and the one that was held.
    EXPECT(count_events(&world, "p", "handle-child-error", NULL) >= 5);
    EXPECT_U64(count_events(&world, "p", "handle-child-error", NULL),
               count_events(&world, "c", "handle-send", NULL));
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_parent_that_asks_a_child_that_waits_for_it_is_told_so) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "p.toml", "", "mailbox_messages = 4\n");
    write_manifest(&world, "c.toml", "id = \"c\"\n", "");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    park(&world, "p");
    tell(&world, "p", "request c echo x");
    for (int i = 0; i < 30; i++) {
        tell(&world, "c", "err");
    }
    wait_for_events(&world, "c", "handle-send", NULL, 5);
    unpark(&world);
    settle(&world);
    EXPECT_U64(count_events(&world, "p", NULL, "waiting would never end"), 1);
    EXPECT_U64(count_events(&world, "p", "handle-child-error", NULL), 30);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_parent_stops_with_children_that_hold_notices) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "p.toml", "", "mailbox_messages = 2\n");
    write_manifest(&world, "c.toml", "", "");
    start(&world, "p.toml", "p");
    char ids[8][64];
    for (int i = 0; i < 8; i++) {
        EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
        (void)snprintf(ids[i], sizeof ids[i], "%.60s", world.text);
    }
    tell(&world, "p", "sleep 600000");
    for (int i = 0; i < 8; i++) {
        for (int j = 0; j < 5; j++) {
            tell(&world, ids[i], "err");
        }
    }
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_crash_loop_waits_for_the_parent_to_read) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "p.toml",
                   "[supervision]\nmax_restarts = 1000\nwindow_ms = 60000\n"
                   "backoff_initial_ms = 0\nbackoff_max_ms = 0\n",
                   "mailbox_messages = 2\n");
    write_manifest(&world, "c.toml", "id = \"c\"\nrestart = \"permanent\"\n", "");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    park(&world, "p");
    for (int i = 0; i < 20; i++) {
        tell(&world, "c", "trap");
    }
    wait_for_events(&world, "c", "crashed", NULL, 3);
    unpark(&world);
    settle(&world);
    EXPECT_U64(count_events(&world, "p", "handle-child-error", NULL), 20);
    EXPECT_U64(count_events(&world, "c", "crashed", NULL), 20);
    EXPECT_U64(ask(&world, "c", "echo back"), OK);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_parent_stops_a_child_that_waits_for_it) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "p.toml", "", "");
    write_manifest(&world, "c.toml", "id = \"c\"\n", "");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    park(&world, "p");
    tell(&world, "p", "stop c");
    tell(&world, "c", "request p echo x");
    wait_for_events(&world, "c", "handle-send", NULL, 1);
    unpark(&world);
    settle(&world);
    EXPECT_U64(ask(&world, "p", "children"), OK);
    EXPECT_TEXT(world.text, "");
    EXPECT_U64(count_events(&world, "c", "handle-send", "actor is stopping"), 1);
    EXPECT_U64(count_events(&world, "p", NULL, "waiting would never end"), 0);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_new_instance_gets_nothing_from_channels_of_the_old_one) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "");
    write_manifest(&world, "b.toml", "restart = \"permanent\"\n", "");
    start(&world, "a.toml", "a");
    start(&world, "b.toml", "b");
    EXPECT_U64(ask(&world, "a", "open b silent"), OK);
    char channel[64];
    (void)snprintf(channel, sizeof channel, "%.60s", world.text);
    EXPECT_U64(ask(&world, "a", "open b silent"), OK);
    tell(&world, "b", "sleep 300");
    tell(&world, "b", "trap");
    EXPECT_U64(ask(&world, "a", "chan %s one", channel), OK);
    EXPECT_U64(ask(&world, "a", "close %s", channel), OK);
    settle(&world);
    EXPECT_U64(ask(&world, "b", "echo back"), OK);
    EXPECT_U64(count_events(&world, "b", "handle-channel-message", NULL), 0);
    EXPECT_U64(count_events(&world, "b", "handle-channel-close", NULL), 0);
    // The one that a had not closed itself.
    EXPECT_U64(count_events(&world, "a", "handle-channel-close", NULL), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(an_acceptor_is_told_when_the_channel_comes_to_nothing) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "mailbox_bytes = 10\n");
    write_manifest(&world, "b.toml", "", "");
    start(&world, "a.toml", "a");
    start(&world, "b.toml", "b");
    // "welcome" finds no room beside the command.
    EXPECT_U64(ask(&world, "a", "open b x"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "the opener's mailbox has no room for the first message");
    settle(&world);
    EXPECT_U64(count_events(&world, "b", "handle-channel-open", NULL), 1);
    EXPECT_U64(count_events(&world, "b", "handle-channel-close", NULL), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(nobody_is_asked_to_accept_a_channel_that_is_not_wanted_any_more) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "request_timeout_ms = 20\n");
    write_manifest(&world, "b.toml", "", "");
    start(&world, "a.toml", "a");
    start(&world, "b.toml", "b");
    tell(&world, "b", "sleep 200");
    EXPECT_U64(ask(&world, "a", "open b x"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "timed out");
    settle(&world);
    EXPECT_U64(count_events(&world, "b", "handle-channel-open", NULL), 0);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_family_whose_notices_all_wait_is_no_silent_deadlock) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "gp.toml", "", "mailbox_messages = 3\n");
    write_manifest(&world, "p.toml", "id = \"p\"\n", "mailbox_messages = 30\n");
    write_manifest(&world, "c.toml", "id = \"c\"\n", "");
    start(&world, "gp.toml", "gp");
    EXPECT_U64(ask(&world, "gp", "spawn p.toml"), OK);
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    park(&world, "gp");
    tell(&world, "gp", "request c echo x");
    for (int i = 0; i < 10; i++) {
        tell(&world, "p", "err");
    }
    for (int i = 0; i < 60; i++) {
        tell(&world, "c", "err");
    }
    wait_for_events(&world, "p", "handle-send", NULL, 4);
    wait_for_events(&world, "c", "handle-send", NULL, 31);
    unpark(&world);
    settle(&world);
    EXPECT_U64(count_events(&world, "gp", NULL, "waiting would never end"), 1);
    EXPECT_U64(count_events(&world, "gp", "handle-child-error", NULL), 10);
    EXPECT_U64(count_events(&world, "p", "handle-child-error", NULL), 60);
    EXPECT_U64(world_close(&world), OK);
}

// The number of the message that the n-th event of the type was caused by, in its sender's event:
// [sender, seq, index], with a sender's id of one letter.
static uint64_t source_index(struct world *world, const char *id, const char *type, uint64_t n) {
    struct error error = {0};
    struct chain_reader *reader = NULL;
    REQUIRE_OK(chain_reader_open(world->log, id, 0, &reader, &error), error);
    uint64_t index = UINT64_MAX;
    bool more = true;
    while (more) {
        struct chain_event event;
        REQUIRE_OK(chain_reader_next(reader, &event, &more, &error), error);
        if (!more || !slice_equal_text(event.type, type) || n-- != 0) {
            continue;
        }
        static const uint8_t beginning[] = {0x83, 0x61};
        const uint8_t *at = memmem(event.data.data, event.data.size, beginning, sizeof beginning);
        REQUIRE(at != NULL && at[3] < 24);
        index = at[4];
        break;
    }
    chain_reader_close(reader);
    return index;
}

TEST(messages_of_one_event_have_different_numbers) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "");
    start(&world, "a.toml", "a");
    start(&world, "a.toml", "b");
    EXPECT_U64(ask(&world, "a", "open b silent"), OK);
    EXPECT_U64(ask(&world, "a", "open b silent"), OK);
    EXPECT_U64(ask(&world, "a", "trap"), ERR_CLOSED);
    settle(&world);
    EXPECT_U64(count_events(&world, "b", "handle-channel-close", NULL), 2);
    uint64_t first = source_index(&world, "b", "handle-channel-close", 0);
    uint64_t second = source_index(&world, "b", "handle-channel-close", 1);
    EXPECT_U64(first + second, 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_requester_gets_the_whole_error) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "");
    start(&world, "a.toml", "a");
    start(&world, "a.toml", "b");
    char question[4000];
    memset(question, 'x', sizeof question);
    (void)snprintf(question, 20, "request b err begin");
    question[19] = ' ';
    (void)snprintf(question + sizeof question - 8, 8, "the end");
    EXPECT_U64(ask_for(&world, "a", 20000, question), ERR_GUEST);
    settle(&world);
    // In the question, in the call's parameters and in its result, and in the outcome.
    struct error error = {0};
    struct chain_reader *reader = NULL;
    REQUIRE_OK(chain_reader_open(world.log, "a", 0, &reader, &error), error);
    struct chain_event event;
    uint64_t last_bytes = 0;
    bool more = true;
    while (more) {
        REQUIRE_OK(chain_reader_next(reader, &event, &more, &error), error);
        last_bytes = more ? event.data.size : last_bytes;
    }
    chain_reader_close(reader);
    EXPECT(last_bytes > 2 * 3900);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_new_instance_may_use_the_ids_of_the_old_ones_children) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "p.toml", "restart = \"permanent\"\n", "");
    write_manifest(&world, "c.toml", "id = \"c\"\n",
                   "turn_cpu_ms = 60000\nstop_timeout_ms = 200\n");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    tell(&world, "c", "loop");
    tell(&world, "p", "trap");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    EXPECT_U64(ask(&world, "p", "children"), OK);
    EXPECT_TEXT(world.text, "c");
    EXPECT_U64(ask(&world, "c", "echo x"), OK);
    EXPECT_U64(count_events(&world, "c", "resumed", NULL), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_restarted_child_begins_when_its_own_children_are_gone) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "gp.toml", "", "");
    write_manifest(&world, "p.toml", "id = \"p\"\n", "");
    write_manifest(&world, "c.toml", "id = \"c\"\n",
                   "turn_cpu_ms = 60000\nstop_timeout_ms = 200\n");
    start(&world, "gp.toml", "gp");
    EXPECT_U64(ask(&world, "gp", "spawn p.toml"), OK);
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    tell(&world, "c", "loop");
    EXPECT_U64(ask(&world, "gp", "restart p"), OK);
    EXPECT_U64(ask(&world, "p", "children"), OK);
    EXPECT_TEXT(world.text, "");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    EXPECT_U64(world_close(&world), OK);
}

// What `run` writes to stderr, in a text to be freed.
static char *capture(void (*run)(struct world *world), struct world *world) {
    char *path = file_join(test_folder(), "stderr");
    int saved = dup(2);
    REQUIRE(freopen(path, "w", stderr) != NULL);
    run(world);
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    struct error error = {0};
    struct bytes *bytes = NULL;
    REQUIRE_OK(file_read(path, 1 << 20, &bytes, &error), error);
    char *text = xstrndup((const char *)bytes_slice(bytes).data, bytes_slice(bytes).size);
    bytes_unref(bytes);
    free(path);
    return text;
}

static void close_while_the_log_fails(struct world *world) {
    (void)pthread_mutex_lock(&world->log->lock);
    error_set(&world->log->failure, ERR_IO, "made to fail");
    (void)pthread_mutex_unlock(&world->log->lock);
    // A send from outside would be refused, as it could not be recorded.
    (void)ask(world, "a", "close %s", world->text);
    settle(world);
}

TEST(the_other_side_hears_of_a_close_that_could_not_be_recorded) {
    struct world world = {.is_loud = true};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "");
    start(&world, "a.toml", "a");
    start(&world, "a.toml", "b");
    EXPECT_U64(ask(&world, "a", "open b silent"), OK);
    settle(&world);
    char *log = capture(close_while_the_log_fails, &world);
    EXPECT_CONTAINS(log, "is closed");
    free(log);
    EXPECT_U64(world_close(&world), ERR_IO);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// Restart policy: who is restarted with whom, in which order, how often and how soon. The rows of
// docs/supervision.md name most of these tests.
#include "support.h"

// ---- what happened, in the order of the log
// ------------------------------------------------------

struct story {
    struct buf *text;
    uint64_t next;  // position behind the last event seen
};

static enum status tell_event(void *context, const struct chain_event *event, struct error *error) {
    (void)error;
    static const char *const words[][2] = {
        {"crashed", "crashes"},   {"exited", "leaves"}, {"aborted", "is aborted"},
        {"restarted", "is down"}, {"shutdown", "ends"}, {"instance-created", "starts"}};
    struct story *story = context;
    story->next = event->position + 1;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (slice_equal_text(event->type, words[i][0])) {
            buf_format(story->text, "%s%s %s", story->text->size > 0 ? ", " : "", event->id,
                       words[i][1]);
        }
    }
    return OK;
}

// Tells in world->text what the lives of all actors came to since the position, which it moves.
static void story_since(struct world *world, uint64_t *position) {
    struct error error = {0};
    struct buf text = {0};
    struct story story = {.text = &text, .next = *position};
    struct chain_stats stats;
    chain_log_stats(world->log, &stats);
    REQUIRE_OK(chain_wait(world->log, stats.bytes, CHAIN_WRITTEN, &error), error);
    REQUIRE_OK(chain_visit_from(world->log, *position, tell_event, &story, &error), error);
    *position = story.next;
    (void)snprintf(world->text, sizeof world->text, "%s", buf_text(&text));
    buf_release(&text);
}

// ---- a family
// ------------------------------------------------------------------------------------

// A parent `p` of this strategy, whose own keys are `keys`, and its children by name, of which each
// is also the file of a manifest with the keys of `kinds`.
static void open_family(struct world *world, const char *keys, const char *supervision,
                        const char *const kinds[][2]) {
    world_open(world);
    struct buf text = {0};
    buf_format(&text, "%s[supervision]\n%s", keys, supervision);
    write_manifest(world, "p.toml", buf_text(&text), "");
    buf_release(&text);
    start(world, "p.toml", "p");
    for (size_t i = 0; kinds[i][0] != NULL; i++) {
        char file[64];
        struct buf child = {0};
        (void)snprintf(file, sizeof file, "%s.toml", kinds[i][0]);
        buf_format(&child, "id = \"%s\"\n%s", kinds[i][0], kinds[i][1]);
        write_manifest(world, file, buf_text(&child), "stop_timeout_ms = 200\n");
        buf_release(&child);
        EXPECT_U64(ask(world, "p", "spawn %s", file), OK);
        EXPECT_TEXT(world->text, kinds[i][0]);
    }
}

#define PERMANENT "restart = \"permanent\"\n"
#define TRANSIENT "restart = \"transient\"\n"
#define FOR_ONE "strategy = \"one-for-one\"\n"
#define FOR_ALL "strategy = \"one-for-all\"\n"
#define REST "strategy = \"rest-for-one\"\n"
#define END \
    { 0 }

static const char *const four[][2] = {
    {"a", PERMANENT}, {"b", PERMANENT}, {"c", PERMANENT}, {"d", PERMANENT}, END};

static void expect_story_of_trap(const char *supervision, const char *who, const char *story) {
    struct world world = {0};
    open_family(&world, "", supervision, four);
    uint64_t position = 0;
    story_since(&world, &position);
    tell(&world, who, "trap");
    settle(&world);
    story_since(&world, &position);
    EXPECT_TEXT(world.text, story);
    for (size_t i = 0; four[i][0] != NULL; i++) {
        EXPECT_U64(ask(&world, four[i][0], "echo here"), OK);
    }
    EXPECT_U64(world_close(&world), OK);
}

TEST(one_for_one_restarts_the_one) {
    expect_story_of_trap(FOR_ONE, "b", "b crashes, b starts");
}

TEST(one_for_all_stops_the_newest_first_and_starts_the_oldest_first) {
    expect_story_of_trap(FOR_ALL, "b",
                         "b crashes, d is down, c is down, a is down, "
                         "a starts, b starts, c starts, d starts");
}

TEST(rest_for_one_restarts_those_started_after_it) {
    expect_story_of_trap(REST, "b",
                         "b crashes, d is down, c is down, b starts, c starts, d starts");
    expect_story_of_trap(REST, "d", "d crashes, d starts");
}

// ---- permanent, transient, temporary
// -------------------------------------------------------------

TEST(a_permanent_child_that_shut_down_is_restarted_and_a_transient_one_is_not) {
    struct world world = {0};
    open_family(
        &world, "", FOR_ONE,
        (const char *const[][2]){{"perm", PERMANENT}, {"trans", TRANSIENT}, {"temp", ""}, END});
    uint64_t position = 0;
    story_since(&world, &position);
    EXPECT_U64(ask(&world, "perm", "set-state x"), OK);
    EXPECT_U64(ask(&world, "perm", "shutdown first"), OK);
    settle(&world);
    EXPECT_U64(ask(&world, "perm", "state"), OK);
    EXPECT_TEXT(world.text, "");
    EXPECT_U64(ask(&world, "trans", "shutdown second"), OK);
    settle(&world);
    EXPECT_U64(ask(&world, "temp", "shutdown third"), OK);
    settle(&world);
    EXPECT_U64(ask(&world, "p", "children"), OK);
    EXPECT_TEXT(world.text, "perm");
    EXPECT_U64(ask(&world, "p", "state"), OK);
    EXPECT_CONTAINS(world.text, "child perm exit: first");
    EXPECT_CONTAINS(world.text, "child trans exit: second");
    EXPECT_CONTAINS(world.text, "child temp exit: third");
    story_since(&world, &position);
    EXPECT_TEXT(world.text, "perm leaves, perm starts, trans ends, temp ends");
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_transient_child_that_crashed_is_restarted_and_a_temporary_one_rests) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL,
                (const char *const[][2]){{"trans", TRANSIENT}, {"temp", ""}, END});
    tell(&world, "temp", "trap");
    settle(&world);
    uint64_t position = 0;
    story_since(&world, &position);
    tell(&world, "trans", "trap");
    settle(&world);
    story_since(&world, &position);
    EXPECT_TEXT(world.text, "trans crashes, trans starts");
    // What rests is still its parent's to restart.
    EXPECT_U64(ask(&world, "p", "restart temp"), OK);
    EXPECT_U64(ask(&world, "temp", "echo back"), OK);
    EXPECT_U64(world_close(&world), OK);
}

TEST(an_orderly_end_of_a_transient_child_leaves_its_siblings_alone) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL,
                (const char *const[][2]){{"a", PERMANENT}, {"trans", TRANSIENT}, END});
    uint64_t position = 0;
    story_since(&world, &position);
    EXPECT_U64(ask(&world, "trans", "shutdown"), OK);
    settle(&world);
    story_since(&world, &position);
    EXPECT_TEXT(world.text, "trans ends");
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_temporary_sibling_is_stopped_and_stays_away) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL,
                (const char *const[][2]){{"a", PERMANENT}, {"temp", ""}, {"c", PERMANENT}, END});
    uint64_t position = 0;
    story_since(&world, &position);
    tell(&world, "a", "trap");
    settle(&world);
    story_since(&world, &position);
    EXPECT_TEXT(world.text, "a crashes, c is down, temp ends, a starts, c starts");
    EXPECT_U64(count_events(&world, "temp", "shutdown", "one-for-all"), 1);
    EXPECT_U64(ask(&world, "p", "state"), OK);
    EXPECT_CONTAINS(world.text, "child temp stopped");
    EXPECT_U64(world_close(&world), OK);
}

TEST(the_event_of_a_sibling_names_the_strategy_and_who_began_it) {
    struct world world = {0};
    open_family(&world, "", REST, four);
    tell(&world, "c", "trap");
    settle(&world);
    EXPECT_U64(count_events(&world, "d", "restarted", "rest-for-one"), 1);
    EXPECT_U64(count_events(&world, "d", "restarted",
                            "\x02\x61"
                            "c"),
               1);
    EXPECT_U64(count_events(&world, "b", "restarted", NULL), 0);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_shutdown_of_a_permanent_child_takes_its_siblings_along) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL, four);
    uint64_t position = 0;
    story_since(&world, &position);
    EXPECT_U64(ask(&world, "d", "shutdown"), OK);
    settle(&world);
    story_since(&world, &position);
    EXPECT_TEXT(world.text,
                "d leaves, c is down, b is down, a is down, "
                "a starts, b starts, c starts, d starts");
    EXPECT_U64(world_close(&world), OK);
}

// ---- state and mailbox
// ---------------------------------------------------------------------------

TEST(siblings_keep_or_drop_mailbox_and_state_by_their_own_manifests) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL,
                (const char *const[][2]){{"a", PERMANENT},
                                         {"keeps", PERMANENT "restart_state = \"last\"\n"},
                                         {"drops", PERMANENT "mailbox_on_restart = \"drop\"\n"},
                                         END});
    EXPECT_U64(ask(&world, "keeps", "set-state kept"), OK);
    EXPECT_U64(ask(&world, "drops", "set-state gone"), OK);
    // Both are in a turn that does not end by itself, with a message behind it.
    tell(&world, "keeps", "sleep 600000");
    tell(&world, "drops", "sleep 600000");
    tell(&world, "keeps", "log behind");
    tell(&world, "drops", "log behind");
    wait_for_events(&world, "keeps", "handle-send", "sleep", 1);
    wait_for_events(&world, "drops", "handle-send", "sleep", 1);
    tell(&world, "a", "trap");
    settle(&world);
    EXPECT_U64(count_events(&world, "keeps", "handle-send", "actor is stopping"), 1);
    EXPECT_U64(count_events(&world, "keeps", "handle-send", "behind"), 1);
    EXPECT_U64(count_events(&world, "drops", "handle-send", "behind"), 0);
    EXPECT_U64(ask(&world, "keeps", "state"), OK);
    EXPECT_TEXT(world.text, "kept");
    EXPECT_U64(ask(&world, "drops", "state"), OK);
    EXPECT_TEXT(world.text, "");
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_turn_that_goes_on_past_the_stop_timeout_is_aborted) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL, four);
    tell(&world, "c", "loop");
    tell(&world, "c", "log behind");
    tell(&world, "b", "sleep 50");
    tell(&world, "b", "trap");
    settle(&world);
    EXPECT_U64(count_events(&world, "c", "aborted", NULL), 1);
    EXPECT_U64(count_events(&world, "c", "crashed", NULL), 0);
    EXPECT_U64(count_events(&world, "c", "handle-send", "behind"), 1);
    EXPECT_U64(ask(&world, "c", "echo here"), OK);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_request_in_the_mailbox_of_a_sibling_is_answered_after_the_restart) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL, four);
    write_manifest(&world, "q.toml", "", "");
    start(&world, "q.toml", "q");
    start(&world, "q.toml", "r");
    tell(&world, "q", "request a sleep 600000");
    wait_for_events(&world, "a", "handle-request", "sleep", 1);
    tell(&world, "r", "request a echo fine");
    wait_for_events(&world, "r", "handle-send", "fine", 1);
    tell(&world, "d", "trap");
    settle(&world);
    // The one in the turn had its error from the guest, the one behind it is served.
    EXPECT_U64(count_events(&world, "q", "handle-send", "actor is stopping"), 1);
    EXPECT_U64(count_events(&world, "r", "handle-send", "request: fine"), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(children_of_siblings_end_before_them) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL, four);
    write_manifest(&world, "leaf.toml", "id = \"leaf\"\n", "");
    EXPECT_U64(ask(&world, "c", "spawn leaf.toml"), OK);
    uint64_t position = 0;
    story_since(&world, &position);
    tell(&world, "d", "trap");
    settle(&world);
    story_since(&world, &position);
    EXPECT_TEXT(world.text,
                "d crashes, c is down, leaf ends, b is down, a is down, "
                "a starts, b starts, c starts, d starts");
    EXPECT_U64(world_close(&world), OK);
}

// ---- how often and how soon
// ----------------------------------------------------------------------

TEST(restarts_past_the_intensity_crash_the_parent_and_so_on_up_to_the_root) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "root.toml", PERMANENT "[supervision]\nmax_restarts = 1\n", "");
    write_manifest(&world, "mid.toml",
                   "id = \"mid\"\n" PERMANENT "[supervision]\nmax_restarts = 0\n", "");
    write_manifest(&world, "low.toml", "id = \"low\"\n" PERMANENT, "");
    start(&world, "root.toml", "root");
    uint64_t position = 0;
    EXPECT_U64(ask(&world, "root", "spawn mid.toml"), OK);
    EXPECT_U64(ask(&world, "mid", "spawn low.toml"), OK);
    story_since(&world, &position);
    tell(&world, "low", "trap");
    settle(&world);
    story_since(&world, &position);
    EXPECT_CONTAINS(world.text, "low crashes, ");
    EXPECT_CONTAINS(world.text, "low ends");
    EXPECT_CONTAINS(world.text, "mid starts");
    EXPECT_U64(ask(&world, "mid", "spawn low.toml"), OK);
    story_since(&world, &position);
    tell(&world, "low", "trap");
    settle(&world);
    story_since(&world, &position);
    EXPECT_CONTAINS(world.text, "root starts");
    EXPECT_U64(count_events(&world, "mid", "shutdown", "past the restart limit"), 1);
    EXPECT_U64(count_events(&world, "root", "crashed", "a child crashed past"), 1);
    EXPECT_U64(ask(&world, "root", "children"), OK);
    EXPECT_TEXT(world.text, "");
    EXPECT_U64(world_close(&world), OK);
}

TEST(the_first_restart_is_immediate_and_the_next_ones_wait_longer_and_longer) {
    struct world world = {0};
    open_family(&world, "",
                FOR_ONE
                "max_restarts = 10\nwindow_ms = 60000\nbackoff_initial_ms = 40\n"
                "backoff_max_ms = 100\n",
                four);
    static const uint64_t least_ms[] = {0, 40, 80, 100, 100};
    for (size_t i = 0; i < COUNT_OF(least_ms); i++) {
        uint64_t before = env_monotonic_ns(env_system());
        tell(&world, "a", "trap");
        EXPECT_U64(ask(&world, "a", "echo back"), OK);
        uint64_t took = env_monotonic_ns(env_system()) - before;
        EXPECT(took >= least_ms[i] * 1000000U);
    }
    EXPECT_U64(world_close(&world), OK);
}

TEST(the_window_slides) {
    struct world world = {0};
    open_family(&world, "", FOR_ONE "max_restarts = 2\nwindow_ms = 400\nbackoff_initial_ms = 0\n",
                four);
    // At 0, 300 and 500 ms: never three within 400 ms, although two windows of that width that
    // stand side by side would hold 0, 300 and 500, 700.
    struct timespec pause = {.tv_nsec = 300000000};
    for (int i = 0; i < 4; i++) {
        tell(&world, "a", "trap");
        settle(&world);
        EXPECT_U64(ask(&world, "a", "echo here"), OK);
        nanosleep(&pause, NULL);
    }
    EXPECT_U64(count_events(&world, "a", "instance-created", NULL), 5);
    // Three at once are too many.
    for (int i = 0; i < 3 && actor_system_count(world.system) > 0; i++) {
        tell(&world, "b", "trap");
        settle(&world);
    }
    EXPECT_U64(count_events(&world, "b", "crashed", "escalate"), 1);
    EXPECT_U64(actor_system_count(world.system), 0);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_group_counts_once_per_restart) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL "max_restarts = 2\nbackoff_initial_ms = 0\n", four);
    for (int i = 0; i < 2; i++) {
        tell(&world, "b", "trap");
        settle(&world);
        EXPECT_U64(ask(&world, "d", "echo here"), OK);
    }
    tell(&world, "c", "trap");
    settle(&world);
    EXPECT_U64(actor_system_count(world.system), 0);
    EXPECT_U64(count_events(&world, "c", "crashed", "escalate"), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_failed_start_counts_as_a_restart) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL "max_restarts = 4\nbackoff_initial_ms = 1\n",
                (const char *const[][2]){
                    {"a", PERMANENT}, {"bad", PERMANENT "restart_state = \"last\"\n"}, END});
    // From now on its init traps.
    EXPECT_U64(ask(&world, "bad", "set-state {\"init\":\"trap\"}"), OK);
    tell(&world, "a", "trap");
    settle(&world);
    EXPECT_U64(count_events(&world, "bad", "crashed", "restart"), 3);
    EXPECT_U64(count_events(&world, "bad", "crashed", "escalate"), 1);
    EXPECT_U64(count_events(&world, "a", "instance-created", NULL), 5);
    EXPECT_U64(count_events(&world, "p", "shutdown", NULL), 1);
    EXPECT_U64(actor_system_count(world.system), 0);
    EXPECT_U64(world_close(&world), OK);
}

// ---- at inconvenient times
// -----------------------------------------------------------------------

#define SLOWLY "max_restarts = 9\nbackoff_initial_ms = 86400000\nbackoff_max_ms = 86400000\n"

TEST(restart_child_ends_the_back_off_of_the_whole_group) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL SLOWLY, four);
    tell(&world, "b", "trap");
    settle(&world);
    tell(&world, "b", "trap");
    wait_for_events(&world, "a", "restarted", NULL, 2);
    uint64_t position = 0;
    story_since(&world, &position);
    EXPECT_U64(ask(&world, "p", "restart c"), OK);
    settle(&world);
    story_since(&world, &position);
    EXPECT_TEXT(world.text, "c is down, a starts, b starts, c starts, d starts");
    EXPECT_U64(world_close(&world), OK);
}

TEST(restart_child_does_so_for_one_that_waits_to_be_heard_too) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "p.toml", "[supervision]\n" FOR_ALL SLOWLY, "mailbox_messages = 4\n");
    write_manifest(&world, "a.toml", "id = \"a\"\n" PERMANENT, "");
    write_manifest(&world, "b.toml", "id = \"b\"\n" PERMANENT, "");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn a.toml"), OK);
    EXPECT_U64(ask(&world, "p", "spawn b.toml"), OK);
    tell(&world, "a", "trap");
    settle(&world);
    park(&world, "p");
    tell(&world, "p", "restart a");
    // Four errors fill what the parent may have of them, and it holds the news of the crash.
    for (int i = 0; i < 4; i++) {
        tell(&world, "a", "err");
    }
    tell(&world, "a", "trap");
    wait_for_events(&world, "b", "restarted", NULL, 2);
    unpark(&world);
    wait_for_events(&world, "p", "handle-child-error", NULL, 6);
    settle(&world);
    EXPECT_U64(count_events(&world, "p", NULL, "waiting would never end"), 0);
    EXPECT_U64(ask(&world, "a", "echo here"), OK);
    EXPECT_U64(ask(&world, "b", "echo here"), OK);
    EXPECT_U64(world_close(&world), OK);
}

TEST(the_one_that_began_it_is_stopped_during_the_back_off) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL SLOWLY, four);
    tell(&world, "b", "trap");
    settle(&world);
    tell(&world, "b", "trap");
    wait_for_events(&world, "a", "restarted", NULL, 2);
    EXPECT_U64(ask(&world, "p", "stop b"), OK);
    settle(&world);
    EXPECT_U64(ask(&world, "a", "echo here"), OK);
    EXPECT_U64(ask(&world, "d", "echo here"), OK);
    EXPECT_U64(ask(&world, "p", "children"), OK);
    EXPECT_TEXT(world.text, "a c d");
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_family_stops_during_the_back_off) {
    struct world world = {0};
    open_family(&world, "", REST SLOWLY, four);
    tell(&world, "a", "trap");
    settle(&world);
    tell(&world, "a", "trap");
    wait_for_events(&world, "b", "restarted", NULL, 2);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_parent_that_crashes_takes_the_restart_along) {
    struct world world = {0};
    open_family(&world, PERMANENT, FOR_ALL SLOWLY, four);
    tell(&world, "b", "trap");
    settle(&world);
    tell(&world, "b", "trap");
    wait_for_events(&world, "a", "restarted", NULL, 2);
    tell(&world, "p", "trap");
    settle(&world);
    EXPECT_U64(actor_system_count(world.system), 1);
    for (size_t i = 0; four[i][0] != NULL; i++) {
        EXPECT_U64(count_events(&world, four[i][0], "shutdown", NULL), 1);
        EXPECT_U64(ask(&world, "p", "spawn %s.toml", four[i][0]), OK);
    }
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_crash_in_the_middle_begins_the_group_anew) {
    struct world world = {0};
    open_family(&world, "",
                FOR_ALL
                "max_restarts = 1000\nwindow_ms = 60000\n"
                "backoff_initial_ms = 0\n",
                four);
    for (int i = 0; i < 60; i++) {
        tell(&world, four[i % 4][0], "trap");
        if (i % 7 == 0) {
            (void)ask(&world, "p", "restart %s", four[(i + 2) % 4][0]);
        }
    }
    settle(&world);
    for (size_t i = 0; four[i][0] != NULL; i++) {
        EXPECT_U64(ask(&world, four[i][0], "echo here"), OK);
    }
    EXPECT_U64(ask(&world, "p", "children"), OK);
    EXPECT_TEXT(world.text, "a b c d");
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_restart_ends_what_the_child_waits_for) {
    struct world world = {0};
    open_family(&world, "", FOR_ONE, four);
    tell(&world, "a", "sleep 600000");
    wait_for_events(&world, "a", "handle-send", "sleep", 1);
    EXPECT_U64(ask(&world, "p", "restart a"), OK);
    EXPECT_U64(ask(&world, "a", "echo here"), OK);
    EXPECT_U64(count_events(&world, "a", "handle-send", "actor is stopping"), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_group_restarts_while_its_parent_waits) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL, four);
    tell(&world, "p", "sleep 600000");
    wait_for_events(&world, "p", "handle-send", "sleep", 1);
    EXPECT(ask(&world, "b", "trap") != OK);
    EXPECT_U64(ask(&world, "d", "echo here"), OK);
    EXPECT_U64(count_events(&world, "d", "instance-created", NULL), 2);
    EXPECT_U64(world_close(&world), OK);
}

enum { MANY = 10000 };

// The whole of it is a matter of the number of children, not of its square.
TEST(many_siblings_are_restarted_in_order) {
    struct world world = {0};
    open_family(&world, "", FOR_ALL, (const char *const[][2]){END});
    write_manifest(&world, "c.toml", PERMANENT, "");
    char first[64];
    for (int i = 0; i < MANY; i++) {
        EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
        if (i == 0) {
            (void)snprintf(first, sizeof first, "%.60s", world.text);
        }
    }
    tell(&world, first, "trap");
    settle(&world);
    EXPECT_U64(actor_system_count(world.system), MANY + 1);
    EXPECT_U64(count_events(&world, first, "instance-created", NULL), 2);
    EXPECT_U64(world_close(&world), OK);
}

int main(void) {
    return test_main();
}

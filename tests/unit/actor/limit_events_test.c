// SPDX-License-Identifier: Apache-2.0
// Limits of the manifest that are reached: each is an error or a crash whose text names the key,
// and an event in the chain of who reached it (docs/limits.md).
#include <time.h>

#include "base/log.h"
#include "support.h"

static struct world opened(const char *limits) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "a.toml", "", limits);
    write_manifest(&world, "b.toml", "", "");
    start(&world, "a.toml", "a");
    start(&world, "b.toml", "b");
    return world;
}

// {1: key, …}: events of "a" or another that say so.
static uint64_t count_reached(struct world *world, const char *id, const char *key) {
    char item[80];
    size_t size = strlen(key);
    // Key 1, then the text: its head is one byte up to 23 bytes.
    (void)snprintf(item, sizeof item, "\x01%c%s", (char)(0x60 + size), key);
    REQUIRE(size < 24);
    return count_events(world, id, "limit-reached", item);
}

static void expect_crash(const char *limits, const char *command, const char *key,
                         const char *named) {
    log_set_level(LOG_ERROR);
    struct world world = opened(limits);
    EXPECT(ask(&world, "a", "%s", command) != OK);
    EXPECT_CONTAINS(world.text, named);
    settle(&world);
    EXPECT_U64(count_reached(&world, "a", key), 1);
    EXPECT_U64(count_events(&world, "a", "crashed", named), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_state_that_is_too_large_is_a_crash) {
    expect_crash("state_bytes = 1000\n", "grow-state 1001", "state_bytes", "limits.state_bytes");
}

TEST(a_stack_that_is_used_up_is_a_crash) {
    expect_crash("", "stack", "stack_bytes", "limits.stack_bytes 262144");
}

TEST(cpu_time_that_is_used_up_is_a_crash) {
    expect_crash("turn_cpu_ms = 50\n", "loop", "turn_cpu_ms", "limits.turn_cpu_ms 50");
}

TEST(memory_that_is_refused_is_an_event) {
    log_set_level(LOG_ERROR);
    struct world world = opened("memory_bytes = 4000000\n");
    EXPECT(ask(&world, "a", "bomb") != OK);
    settle(&world);
    EXPECT_U64(count_reached(&world, "a", "memory_bytes"), 1);
    EXPECT_U64(count_events(&world, "a", "limit-reached", "4000000 bytes (limits.memory_bytes)"),
               1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_message_that_is_too_large_is_an_error) {
    struct world world = opened("message_bytes = 100\n");
    char text[200];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    EXPECT_U64(ask(&world, "b", "send a %s", text), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "over the limit of 100 (limits.message_bytes)");
    EXPECT_U64(count_reached(&world, "b", "message_bytes"), 1);
    EXPECT_U64(count_events(&world, "b", "limit-reached", "message-server-host.send"), 1);
    EXPECT_U64(world_close(&world), OK);
}

static void expect_full(const char *limits, const char *key, const char *named) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "a.toml", "", limits);
    write_manifest(&world, "b.toml", "", "send_timeout_ms = 20\n");
    start(&world, "a.toml", "a");
    start(&world, "b.toml", "b");
    park(&world, "a");
    EXPECT_U64(ask(&world, "b", "send a echo one"), OK);
    EXPECT_U64(ask(&world, "b", "send a echo two"), OK);
    EXPECT_U64(ask(&world, "b", "send a echo three"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, named);
    EXPECT_U64(count_reached(&world, "b", key), 1);
    // From outside: an error at once, and the actor's own event says how many.
    for (int i = 0; i < 3; i++) {
        EXPECT_U64(ask(&world, "a", "echo four"), ERR_BUSY);
    }
    EXPECT_CONTAINS(world.text, named);
    unpark(&world);
    settle(&world);
    EXPECT_U64(count_reached(&world, "a", "mailbox_messages"), 1);
    EXPECT_U64(count_events(&world, "a", "limit-reached", "3 messages from outside"), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_mailbox_of_too_many_messages_is_an_error) {
    expect_full("mailbox_messages = 3\n", "mailbox_messages",
                "is full: 3 messages wait (limits.mailbox_messages)");
}

TEST(a_mailbox_of_too_many_bytes_is_an_error) {
    expect_full("mailbox_bytes = 40\n", "mailbox_bytes",
                "may have 40 bytes (limits.mailbox_bytes)");
}

TEST(too_many_unanswered_requests_are_an_error) {
    struct world world = opened("requests = 1\n");
    write_manifest(&world, "c.toml", "", "");
    start(&world, "c.toml", "c");
    tell(&world, "b", "request a late");
    wait_for_events(&world, "a", "handle-request", "late", 1);
    EXPECT_U64(ask(&world, "c", "request a echo x"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "1 unanswered requests already (limits.requests)");
    EXPECT_U64(count_reached(&world, "c", "requests"), 1);
    tell(&world, "a", "answer x");
    settle(&world);
    EXPECT_U64(count_reached(&world, "a", "requests"), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(too_many_channels_are_an_error) {
    struct world world = opened("channels = 1\n");
    EXPECT_U64(ask(&world, "a", "open b silent"), OK);
    EXPECT_U64(ask(&world, "a", "open b silent"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "1 channels already (limits.channels)");
    EXPECT_U64(count_reached(&world, "a", "channels"), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(too_many_children_are_an_error) {
    struct world world = opened("children = 1\n");
    EXPECT_U64(ask(&world, "a", "spawn b.toml"), OK);
    EXPECT_U64(ask(&world, "a", "spawn b.toml"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "1 children already (limits.children)");
    EXPECT_U64(count_reached(&world, "a", "children"), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(children_come_no_faster_than_they_may) {
    struct world world = opened("spawns_per_second = 2\n");
    uint64_t made = 0, from = env_monotonic_ns(env_system());
    uint64_t refused = 0;
    while (env_monotonic_ns(env_system()) - from < 1500000000U) {
        enum status status = ask(&world, "a", "spawn b.toml");
        if (status != OK) {
            EXPECT_CONTAINS(world.text, "in a second, 2 (limits.spawns_per_second)");
            refused++;
        }
        made += status == OK;
    }
    // Two at once, and one each half second: four, or five at the most when time passes at the end.
    EXPECT(made >= 3 && made <= 5 + (env_monotonic_ns(env_system()) - from) / 500000000U);
    EXPECT(refused > 0);
    EXPECT_U64(count_reached(&world, "a", "spawns_per_second"), refused);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_request_that_takes_too_long_is_an_error) {
    struct world world = opened("request_timeout_ms = 20\n");
    EXPECT_U64(ask(&world, "a", "request b late"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "timed out after 20 ms (limits.request_timeout_ms)");
    EXPECT_U64(count_reached(&world, "a", "request_timeout_ms"), 1);
    tell(&world, "b", "answer x");
    settle(&world);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_turn_that_does_not_end_when_the_actor_stops_is_aborted) {
    log_set_level(LOG_ERROR);
    struct world world = opened("stop_timeout_ms = 20\n");
    tell(&world, "a", "loop");
    // The event of the turn comes with its end; the mailbox tells that it began.
    struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL);
    actor_system_stop(world.system);
    EXPECT_U64(count_reached(&world, "a", "stop_timeout_ms"), 1);
    EXPECT_U64(count_events(&world, "a", "aborted", "limits.stop_timeout_ms 20"), 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(what_another_actor_says_of_limits_is_no_event) {
    // The text of an error that another actor made up is no limit of ours.
    struct world world = opened("");
    EXPECT_U64(ask(&world, "a", "request b err limits.children"), ERR_GUEST);
    EXPECT_U64(count_events(&world, "a", "limit-reached", NULL), 0);
    EXPECT_U64(world_close(&world), OK);
}

int main(void) {
    return test_main();
}

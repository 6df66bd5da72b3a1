// SPDX-License-Identifier: Apache-2.0
// The public API with real actors: what a program that embeds a node would do.
#include "theater/theater.h"

#include "base/file.h"
#include "test.h"

#define COUNTER SOURCE_FOLDER "/examples/counter/manifest.toml"
#define PROBE SOURCE_FOLDER "/tests/guests/probe/manifest.toml"

static theater_node *open_node(const char *folder) {
    struct theater_node_config config = {.data_folder = folder, .workers = 2, .quiet = 1};
    struct theater_error error;
    theater_node *node = NULL;
    if (theater_node_open(&config, &node, &error) != THEATER_OK) {
        test_report(__FILE__, __LINE__, "node: %s", error.message);
        longjmp(test_end, 1);
    }
    return node;
}

static void start(theater_node *node, const char *manifest, const char *id) {
    struct theater_error error;
    char written[THEATER_ID_BYTES];
    if (theater_actor_start(node, manifest, id, NULL, 0, written, &error) != THEATER_OK) {
        test_report(__FILE__, __LINE__, "%s: %s", manifest, error.message);
        longjmp(test_end, 1);
    }
    EXPECT_TEXT(written, id);
}

// The reply as text in `out`, or the error's text.
static theater_status ask(theater_node *node, const char *id, const char *question, char *out,
                          size_t capacity) {
    struct theater_error error;
    void *reply = NULL;
    size_t size = 0;
    theater_status status =
        theater_actor_request(node, id, question, strlen(question), 20000, &reply, &size, &error);
    (void)snprintf(out, capacity, "%.*s", status == THEATER_OK ? (int)size : 1000,
                   status == THEATER_OK ? (const char *)reply : error.message);
    theater_free(reply);
    return status;
}

static void close_node(theater_node *node) {
    struct theater_error error;
    EXPECT_U64(theater_node_close(node, &error), THEATER_OK);
}

TEST(an_actor_counts_and_its_chain_verifies) {
    const char *folder = test_folder();
    theater_node *node = open_node(folder);
    start(node, COUNTER, "c");
    struct theater_error error;
    EXPECT_U64(theater_actor_send(node, "c", "x", 1, &error), THEATER_OK);
    char text[1024];
    EXPECT_U64(ask(node, "c", "{\"action\":\"get\"}", text, sizeof text), THEATER_OK);
    EXPECT_TEXT(text, "{\"count\":1}");
    EXPECT_U64(ask(node, "c", "nonsense", text, sizeof text), THEATER_ACTOR_ERROR);
    EXPECT_CONTAINS(text, "unknown action");
    EXPECT(theater_node_wait_idle(node, 10000) == 1);
    EXPECT_U64(theater_node_actor_count(node), 1);
    close_node(node);
    uint64_t events = 0;
    EXPECT_U64(theater_chain_verify(folder, "c", &events, &error), THEATER_OK);
    EXPECT(events >= 7);
}

TEST(requests_to_nobody_and_wrong_manifests_say_why) {
    theater_node *node = open_node(test_folder());
    char text[1024];
    EXPECT_U64(ask(node, "nobody", "x", text, sizeof text), THEATER_NOT_FOUND);
    EXPECT_CONTAINS(text, "nobody");
    struct theater_error error;
    char written[THEATER_ID_BYTES];
    EXPECT_U64(theater_actor_start(node, "/nowhere/at/all.toml", NULL, NULL, 0, written, &error),
               THEATER_NOT_FOUND);
    EXPECT_CONTAINS(error.message, "/nowhere/at/all.toml");
    EXPECT_U64(theater_actor_start(node, COUNTER, "no spaces", NULL, 0, written, &error),
               THEATER_INVALID);
    close_node(node);
}

TEST(two_waiting_for_each_other_is_an_error_that_names_the_cycle) {
    theater_node *node = open_node(test_folder());
    start(node, PROBE, "a");
    start(node, PROBE, "b");
    char text[1024];
    // b asks a, which waits for b.
    EXPECT_U64(ask(node, "a", "request b request a echo x", text, sizeof text),
               THEATER_ACTOR_ERROR);
    EXPECT_CONTAINS(text, "b -> a -> b");
    close_node(node);
}

TEST(a_looping_actor_delays_no_other) {
    theater_node *node = open_node(test_folder());
    start(node, PROBE, "loops");
    start(node, PROBE, "works");
    struct theater_error error;
    EXPECT_U64(theater_actor_send(node, "loops", "loop", 4, &error), THEATER_OK);
    char text[1024];
    for (int i = 0; i < 50; i++) {
        EXPECT_U64(ask(node, "works", "echo still here", text, sizeof text), THEATER_OK);
        EXPECT_TEXT(text, "still here");
    }
    close_node(node);
}

TEST(stopping_fails_a_waiting_request) {
    theater_node *node = open_node(test_folder());
    start(node, PROBE, "sleeper");
    struct theater_error error;
    EXPECT_U64(theater_actor_send(node, "sleeper", "sleep 600000", 12, &error), THEATER_OK);
    // The sleep ends with the stop: closing does not take ten minutes.
    close_node(node);
}

TEST(a_crash_tells_the_requester_the_reason) {
    theater_node *node = open_node(test_folder());
    start(node, PROBE, "a");
    start(node, PROBE, "b");
    char text[1024];
    EXPECT_U64(ask(node, "a", "request b trap", text, sizeof text), THEATER_ACTOR_ERROR);
    EXPECT_CONTAINS(text, "unreachable");
    close_node(node);
}

TEST(one_data_folder_has_one_node) {
    const char *folder = test_folder();
    theater_node *node = open_node(folder);
    struct theater_node_config config = {.data_folder = folder};
    struct theater_error error;
    theater_node *second = NULL;
    EXPECT_U64(theater_node_open(&config, &second, &error), THEATER_BUSY);
    EXPECT_CONTAINS(error.message, "in use by process");
    close_node(node);
}

struct watched {
    uint64_t next_seq;
    uint64_t position;
    bool is_wrong;
    bool refuses;
};

static int watch(void *context, const struct theater_event *event) {
    struct watched *watched = context;
    if (watched->refuses) {
        return 1;
    }
    watched->is_wrong |= strcmp(event->actor, "c") != 0 || event->seq != watched->next_seq ||
                         event->data_size == 0 || event->type_size == 0 || event->time_ns == 0 ||
                         (event->seq > 0 && event->position <= watched->position);
    watched->next_seq = event->seq + 1;
    watched->position = event->position;
    return 0;
}

TEST(a_program_follows_an_actor) {
    const char *folder = test_folder();
    theater_node *node = open_node(folder);
    struct theater_error error;
    // Subscribed before the actor is there.
    struct theater_subscription_config config = {.actor = "c", .synced = 1};
    theater_subscription *subscription = NULL;
    EXPECT_U64(theater_subscribe(node, &config, &subscription, &error), THEATER_OK);
    struct watched watched = {0};
    uint64_t given = 9;
    EXPECT_U64(theater_subscription_read(subscription, 10, 0, watch, &watched, &given, &error),
               THEATER_TIMEOUT);
    EXPECT_U64(given, 0);
    start(node, COUNTER, "c");
    char text[1024];
    EXPECT_U64(ask(node, "c", "{\"action\":\"get\"}", text, sizeof text), THEATER_OK);
    // spawned, instance-created, init, handle-request
    while (watched.next_seq < 4 && !watched.is_wrong) {
        EXPECT_U64(
            theater_subscription_read(subscription, 2, 20000, watch, &watched, &given, &error),
            THEATER_OK);
        EXPECT(given >= 1 && given <= 2);
    }
    EXPECT(!watched.is_wrong);
    // What was refused comes again.
    EXPECT_U64(ask(node, "c", "{\"action\":\"get\"}", text, sizeof text), THEATER_OK);
    watched.refuses = true;
    EXPECT_U64(theater_subscription_read(subscription, 5, 20000, watch, &watched, &given, &error),
               THEATER_OK);
    EXPECT_U64(given, 0);
    watched.refuses = false;
    EXPECT_U64(theater_subscription_read(subscription, 5, 20000, watch, &watched, &given, &error),
               THEATER_OK);
    EXPECT_U64(watched.next_seq, 5);
    theater_subscription_close(subscription);

    static const char *const types[] = {"handle-*"};
    config = (struct theater_subscription_config){.types = types, .type_count = 1};
    EXPECT_U64(theater_subscribe(node, &config, &subscription, &error), THEATER_OK);
    watched = (struct watched){.next_seq = 3};
    EXPECT_U64(theater_subscription_read(subscription, 50, 20000, watch, &watched, &given, &error),
               THEATER_OK);
    EXPECT(!watched.is_wrong && watched.next_seq == 5);
    theater_subscription_close(subscription);
    theater_subscription_close(NULL);
    config = (struct theater_subscription_config){.actor = "no such id!"};
    EXPECT_U64(theater_subscribe(node, &config, &subscription, &error), THEATER_INVALID);
    close_node(node);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// Many actors that flood one: the others are answered, and who lists the actors waits for none of
// them. The guest is that of the benchmarks: a message 'p' is thrown to and fro between two.
#include <string.h>

#include "base/env.h"
#include "test.h"
#include "theater/theater.h"

#define MANIFEST                                  \
    "name = \"%s\"\ncomponent = \"" SOURCE_FOLDER \
    "/tests/bench/guest/bench.wasm\"\n"           \
    "[[handler]]\ntype = \"supervisor\"\n[limits]\nmailbox_messages = 100\nsend_timeout_ms = 50\n"

enum { FLOODERS = 1000, LISTS = 20 };

struct seen {
    uint64_t count, flooders, most_messages;
    bool has_victim;
};

static int note(void *context, const struct theater_actor_info *info) {
    struct seen *seen = context;
    seen->count++;
    seen->flooders += strcmp(info->name, "flooder") == 0 && info->parent == NULL &&
                      strcmp(info->status, "running") == 0 && info->memory_bytes > 0;
    if (strcmp(info->id, "target") == 0) {
        seen->has_victim = true;
        seen->most_messages = info->mailbox_messages;
    }
    return 1;
}

static int stop_at_ten(void *context, const struct theater_actor_info *info) {
    (void)info;
    return ++*(int *)context < 10;
}

static void start(theater_node *node, const char *id, const char *name) {
    struct buf manifest = {0};
    struct theater_error error;
    char written[THEATER_ID_BYTES];
    buf_format(&manifest, MANIFEST, name);
    if (theater_actor_start(node, buf_text(&manifest), id, NULL, 0, written, &error) !=
        THEATER_OK) {
        test_report(__FILE__, __LINE__, "%s", error.message);
    }
    buf_release(&manifest);
}

// 'p' hops:u32 n:u8 peer[n] own[n]
static void begin_flood(theater_node *node, const char *id) {
    char message[64] = {'p'};
    uint32_t hops = 1000000;
    struct theater_error error;
    memcpy(message + 1, &hops, sizeof hops);
    message[5] = 6;
    memcpy(message + 6, "target", 6);
    memcpy(message + 12, id, 6);
    EXPECT_U64(theater_actor_send(node, id, message, 18, &error), THEATER_OK);
}

TEST(a_flood_delays_neither_others_nor_a_list) {
    struct theater_node_config config = {.data_folder = test_folder(), .workers = 2, .quiet = 1};
    struct theater_error error;
    theater_node *node = NULL;
    REQUIRE(theater_node_open(&config, &node, &error) == THEATER_OK);
    start(node, "target", "target");
    start(node, "others", "others");
    for (int i = 0; i < FLOODERS; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "f%05d", i);
        start(node, id, "flooder");
        begin_flood(node, id);
    }
    uint64_t most = 0;
    for (int i = 0; i < LISTS; i++) {
        struct seen seen = {0};
        uint64_t from = env_monotonic_ns(env_system());
        theater_actor_list(node, note, &seen);
        uint64_t spent = env_monotonic_ns(env_system()) - from;
        // Far above what it takes; a list that waits for the flood would take until its end.
        EXPECT(spent < 5000000000U);
        EXPECT_U64(seen.count, FLOODERS + 2);
        EXPECT_U64(seen.flooders, FLOODERS);
        EXPECT(seen.has_victim && seen.most_messages <= 100);
        most = seen.most_messages > most ? seen.most_messages : most;
        void *reply = NULL;
        size_t size = 0;
        EXPECT_U64(theater_actor_request(node, "others", "x", 1, 20000, &reply, &size, &error),
                   THEATER_OK);
        EXPECT_U64(size, 1);
        theater_free(reply);
    }
    EXPECT(most > 0);
    int listed = 0;
    theater_actor_list(node, stop_at_ten, &listed);
    EXPECT_U64(listed, 10);
    EXPECT_U64(theater_node_close(node, &error), THEATER_OK);
}

int main(void) {
    return test_main();
}

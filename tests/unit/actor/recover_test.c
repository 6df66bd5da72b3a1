// SPDX-License-Identifier: Apache-2.0
// The world that a log comes to, from events made by hand: no actor, no file.
#include <stdio.h>
#include <stdlib.h>

#include "../test.h"
#include "actor/recover_read.h"
#include "actor/recover_world.h"

// One log: events get numbers and positions as they come.
struct story {
    struct world *world;
    uint64_t position;
    uint64_t seq[8];
    const char *ids[8];
};

static void begin(struct story *story) {
    *story = (struct story){.world = world_new(), .position = 100};
}

// As after a restart of the node: the world is what a snapshot of it says.
static void reload(struct story *story) {
    struct buf saved = {0};
    struct buf twice = {0};
    struct error error = {0};
    world_save(story->world, &saved);
    world_free(story->world);
    REQUIRE_OK(world_load(buf_slice(&saved), &story->world, &error), error);
    world_save(story->world, &twice);
    EXPECT(slice_equal(buf_slice(&saved), buf_slice(&twice)));
    for (size_t size = 0; size < saved.size; size++) {
        struct world *none = NULL;
        EXPECT_U64(world_load(slice_of(saved.data, size), &none, &error), ERR_DAMAGED);
        error_clear(&error);
    }
    buf_release(&saved);
    buf_release(&twice);
}

static uint64_t *seq_of(struct story *story, const char *id) {
    size_t i = 0;
    while (story->ids[i] != NULL && strcmp(story->ids[i], id) != 0) {
        i++;
    }
    story->ids[i] = id;
    return &story->seq[i];
}

// Adds an event whose data is a map of these keys and items, in hexadecimal: "1:f6 2:6161". Gives
// its position.
static uint64_t add(struct story *story, const char *id, const char *type, const char *data) {
    struct buf pairs = {0};
    uint64_t count = 0;
    for (const char *at = data; *at != '\0'; count++) {
        char *end = NULL;
        cbor_uint(&pairs, strtoull(at, &end, 10));
        for (at = end + 1; *at != '\0' && *at != ' '; at += 2) {
            char digits[3] = {at[0], at[1], '\0'};
            buf_append_byte(&pairs, (uint8_t)strtoul(digits, NULL, 16));
        }
        at += *at == ' ';
    }
    struct buf item = {0};
    cbor_map(&item, count);
    cbor_raw(&item, buf_slice(&pairs));
    story->position += 50;
    uint64_t *seq = seq_of(story, id);
    struct chain_event event = {.id = id,
                                .seq = (*seq)++,
                                .type = slice_text(type),
                                .data = buf_slice(&item),
                                .position = story->position};
    struct error error = {0};
    REQUIRE_OK(world_fold(story->world, &event, &error), error);
    buf_release(&pairs);
    buf_release(&item);
    return story->position;
}

#define HASH "582000112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OK_END "6:8100"  // [0]
#define WAITS "6:8103"   // [3]
#define SEND "781a"      /**/

// "message-server-host.send" and others, as CBOR text.
static const char *text(const char *content) {
    static char out[8][300];
    static int next = 0;
    char *at = out[next = (next + 1) % 8];
    struct buf item = {0};
    cbor_text_z(&item, content);
    for (size_t i = 0; i < item.size; i++) {
        (void)snprintf(at + 2 * i, 3, "%02x", item.data[i]);
    }
    buf_release(&item);
    return at;
}

static void spawn(struct story *story, const char *id, const char *parent) {
    char data[600];
    (void)snprintf(data, sizeof data, "2:%s 4:" HASH " 5:" HASH,
                   parent != NULL ? text(parent) : "f6");
    add(story, id, "spawned", data);
    add(story, id, "instance-created", OK_END);
    add(story, id, "init", OK_END);
}

// A leg with one call of `name` with a text and bytes, and its result.
static uint64_t call(struct story *story, const char *id, const char *name, const char *target,
                     const char *result) {
    char data[900];
    (void)snprintf(data, sizeof data, "5:8183%s82%s4161%s " OK_END, text(name), text(target),
                   result);
    return add(story, id, "handle-request", data);
}

static uint64_t consume(struct story *story, const char *id, const char *type, const char *sender,
                        unsigned seq, unsigned index) {
    char data[300];
    (void)snprintf(data, sizeof data, "2:83%s%02x%02x 3:80 " OK_END, text(sender), seq, index);
    return add(story, id, type, data);
}

static struct world_actor *find(struct story *story, const char *id) {
    return world_find(story->world, slice_text(id));
}

static unsigned mail(struct story *story, const char *id) {
    unsigned count = 0;
    struct world_actor *actor = find(story, id);
    for (const struct world_message *at = actor != NULL ? actor->messages : NULL; at != NULL;
         at = at->next) {
        count++;
    }
    return count;
}

#define SEND_NAME "message-server-host.send"
#define ON_CHANNEL "message-server-host.send-on-channel"

TEST(an_actor_is_there_from_init_to_shutdown) {
    struct story story;
    begin(&story);
    EXPECT_U64(world_count(story.world), 0);
    spawn(&story, "a", NULL);
    EXPECT(find(&story, "a")->phase == WORLD_RUNNING);
    EXPECT(find(&story, "a")->parent == NULL);
    EXPECT_U64(find(&story, "a")->state_at, WORLD_NOWHERE);
    uint64_t at = add(&story, "a", "handle-request", OK_END " 7:4161");
    add(&story, "a", "handle-request", OK_END);
    EXPECT_U64(find(&story, "a")->state_at, at);
    reload(&story);
    EXPECT_U64(find(&story, "a")->state_at, at);
    EXPECT_U64(world_count(story.world), 1);
    add(&story, "a", "shutdown", "");
    EXPECT(find(&story, "a") == NULL);
    EXPECT_U64(world_count(story.world), 0);
    world_free(story.world);
}

TEST(mail_is_what_was_sent_and_not_consumed) {
    struct story story;
    begin(&story);
    spawn(&story, "a", NULL);
    spawn(&story, "b", NULL);
    uint64_t at = call(&story, "a", SEND_NAME, "b", "8100");  // event 3
    call(&story, "a", SEND_NAME, "b", "82016162");            // an error: nothing was sent
    call(&story, "a", SEND_NAME, "b", "8100");                // event 5
    EXPECT_U64(mail(&story, "b"), 2);
    reload(&story);
    EXPECT_U64(find(&story, "b")->messages->body.position, at);
    consume(&story, "b", "handle-send", "a", 9, 0);
    EXPECT_U64(mail(&story, "b"), 2);
    consume(&story, "b", "handle-send", "a", 5, 0);
    EXPECT_U64(mail(&story, "b"), 1);
    EXPECT_U64(find(&story, "b")->messages->seq, 3);
    consume(&story, "b", "handle-send", "a", 3, 0);
    EXPECT_U64(mail(&story, "b"), 0);
    call(&story, "a", SEND_NAME, "b", "8100");
    EXPECT_U64(mail(&story, "b"), 1);
    world_free(story.world);
}

TEST(a_send_that_waited_for_room_counts_when_its_result_is_there) {
    struct story story;
    begin(&story);
    spawn(&story, "a", NULL);
    spawn(&story, "b", NULL);
    char data[300];
    (void)snprintf(data, sizeof data, "5:8182%s82%s4161 " WAITS, text(SEND_NAME), text("b"));
    uint64_t at = add(&story, "a", "handle-send", data);
    EXPECT(find(&story, "a")->wait.is_waiting);
    EXPECT_U64(mail(&story, "b"), 0);
    reload(&story);
    add(&story, "a", "handle-send", "1:01 " WAITS);  // still no room
    add(&story, "a", "handle-send", "1:02 5:81818100 " OK_END);
    EXPECT_U64(mail(&story, "b"), 1);
    EXPECT_U64(find(&story, "b")->messages->body.position, at);
    EXPECT_U64(find(&story, "b")->messages->seq, 5);
    EXPECT(!find(&story, "a")->wait.is_waiting);
    world_free(story.world);
}

TEST(what_came_from_outside_stands_in_the_chain_of_the_node) {
    struct story story;
    begin(&story);
    spawn(&story, "a", NULL);
    char data[300];
    (void)snprintf(data, sizeof data, "1:%s 2:4161", text("a"));
    add(&story, "node", "opened", "1:4161");
    add(&story, "node", "send", data);
    EXPECT_U64(mail(&story, "a"), 1);
    consume(&story, "a", "handle-send", "node", 1, 0);
    EXPECT_U64(mail(&story, "a"), 0);
    EXPECT_U64(world_count(story.world), 1);
    world_free(story.world);
}

TEST(a_crash_keeps_the_mail_or_not_as_it_was_decided) {
    struct story story;
    begin(&story);
    spawn(&story, "a", NULL);
    spawn(&story, "b", "a");
    add(&story, "b", "handle-request", OK_END " 7:4161");
    call(&story, "a", SEND_NAME, "b", "8100");
    add(&story, "b", "crashed", "1:6161 2:6772657374617274");  // "restart"
    EXPECT(find(&story, "b")->phase == WORLD_RESTARTING);
    EXPECT_U64(mail(&story, "b"), 1);
    EXPECT_U64(mail(&story, "a"), 1);  // the notice
    EXPECT_U64(find(&story, "b")->fresh_state_at, WORLD_NOWHERE);
    EXPECT(find(&story, "b")->state_at != WORLD_NOWHERE);
    consume(&story, "a", "handle-child-error", "b", 4, 0);
    EXPECT_U64(mail(&story, "a"), 0);
    add(&story, "b", "instance-created", OK_END);
    add(&story, "b", "init", OK_END);
    EXPECT(find(&story, "b")->phase == WORLD_RUNNING);
    add(&story, "b", "crashed", "1:6161 2:6472657374");  // "rest"
    EXPECT(find(&story, "b")->phase == WORLD_CRASHED);
    EXPECT_U64(mail(&story, "b"), 0);
    char data[100];
    (void)snprintf(data, sizeof data, "1:%s", text("restart-child"));
    add(&story, "b", "restarted", data);
    EXPECT(find(&story, "b")->phase == WORLD_RESTARTING);
    EXPECT_U64(find(&story, "b")->state_at, WORLD_NOWHERE);
    world_free(story.world);
}

TEST(an_error_that_becomes_a_crash_is_told_once) {
    struct story story;
    begin(&story);
    spawn(&story, "a", NULL);
    spawn(&story, "b", "a");
    add(&story, "b", "handle-send", "6:82016161");
    EXPECT_U64(mail(&story, "a"), 1);
    add(&story, "b", "crashed", "1:6161 2:6472657374");
    EXPECT_U64(mail(&story, "a"), 1);
    world_free(story.world);
}

TEST(a_strategy_restarts_like_a_crash_and_ends_the_temporary) {
    struct story story;
    begin(&story);
    spawn(&story, "a", NULL);
    spawn(&story, "b", "a");
    spawn(&story, "c", "a");
    uint64_t at = add(&story, "b", "handle-request", OK_END " 7:4161");
    char data[100];
    (void)snprintf(data, sizeof data, "1:%s", text("one-for-all"));
    add(&story, "b", "restarted", data);
    EXPECT(find(&story, "b")->phase == WORLD_RESTARTING);
    EXPECT_U64(find(&story, "b")->state_at, at);  // for restart_state = "last"
    EXPECT_U64(find(&story, "b")->fresh_state_at, WORLD_NOWHERE);
    add(&story, "c", "shutdown", data);
    REQUIRE(mail(&story, "a") == 1);
    EXPECT(find(&story, "a")->messages->kind == EXPORT_CHILD_STOP);
    (void)snprintf(data, sizeof data, "2:%s", text("restart"));
    add(&story, "b", "exited", data);
    EXPECT_U64(mail(&story, "a"), 2);
    EXPECT(find(&story, "b")->phase == WORLD_RESTARTING);
    world_free(story.world);
}

TEST(an_exit_hands_its_data_to_the_parent) {
    struct story story;
    begin(&story);
    spawn(&story, "a", NULL);
    spawn(&story, "b", "a");
    char data[300];
    (void)snprintf(data, sizeof data, "5:8183%s81814161%s " OK_END, text("runtime.shutdown"),
                   "8100");
    uint64_t at = add(&story, "b", "handle-send", data);
    EXPECT(find(&story, "b")->has_exit);
    reload(&story);
    add(&story, "b", "shutdown", "");
    REQUIRE(mail(&story, "a") == 1);
    EXPECT(find(&story, "a")->messages->kind == EXPORT_CHILD_EXIT);
    EXPECT_U64(find(&story, "a")->messages->body.position, at);
    world_free(story.world);
}

// "c1" is open between a and b.
static void open_channel(struct story *story) {
    char data[600];
    spawn(story, "a", NULL);
    spawn(story, "b", NULL);
    (void)snprintf(data, sizeof data, "5:8182%s82%s4161 " WAITS,
                   text("message-server-host.open-channel"), text("b"));
    add(story, "a", "handle-request", data);  // event 3
    (void)snprintf(data, sizeof data, "2:83%s0300 3:82%s4161 6:82008182f5814162", text("a"),
                   text("c1"));
    add(story, "b", "handle-channel-open", data);
}

TEST(a_channel_is_open_until_both_sides_know_that_it_is_not) {
    struct story story;
    begin(&story);
    open_channel(&story);
    EXPECT_U64(story.world->channels.live_count, 1);
    EXPECT_U64(mail(&story, "a"), 1);  // what it was accepted with
    char data[300];
    (void)snprintf(data, sizeof data, "1:01 5:81818200%s " OK_END, text("c1"));
    add(&story, "a", "handle-request", data);
    consume(&story, "a", "handle-channel-message", "b", 3, 0);
    EXPECT_U64(mail(&story, "a"), 0);
    call(&story, "a", ON_CHANNEL, "c1", "8100");
    EXPECT_U64(mail(&story, "b"), 1);
    reload(&story);
    EXPECT_TEXT(find(&story, "b")->messages->channel, "c1");
    (void)snprintf(data, sizeof data, "5:8183%s81%s8100 " OK_END,
                   text("message-server-host.close-channel"), text("c1"));
    add(&story, "a", "handle-send", data);
    EXPECT(find(&story, "a")->sides == NULL);
    REQUIRE(find(&story, "b")->sides != NULL);
    EXPECT(find(&story, "b")->sides->is_closed);
    call(&story, "b", ON_CHANNEL, "c1", "8100");  // crossed the close
    EXPECT_U64(mail(&story, "a"), 0);
    (void)snprintf(data, sizeof data, "2:81f6 3:81%s " OK_END, text("c1"));
    add(&story, "b", "handle-channel-close", data);
    EXPECT_U64(story.world->channels.live_count, 0);
    world_free(story.world);
}

TEST(a_channel_whose_opener_never_heard_of_it_is_owed_to_the_acceptor_alone) {
    struct story story;
    begin(&story);
    open_channel(&story);
    reload(&story);
    add(&story, "a", "aborted", "1:6161");
    EXPECT_U64(mail(&story, "a"), 0);
    EXPECT(find(&story, "a")->sides == NULL);
    REQUIRE(find(&story, "b")->sides != NULL);
    EXPECT(find(&story, "b")->sides->is_closed);
    world_free(story.world);
}

TEST(a_crash_ends_the_channels_of_the_instance) {
    struct story story;
    begin(&story);
    open_channel(&story);
    call(&story, "b", ON_CHANNEL, "c1", "8100");
    EXPECT_U64(mail(&story, "a"), 2);
    add(&story, "a", "crashed", "1:6161 2:6772657374617274");
    EXPECT_U64(mail(&story, "a"), 0);
    EXPECT(find(&story, "b")->sides->is_closed);
    add(&story, "b", "shutdown", "");
    EXPECT_U64(story.world->channels.live_count, 0);
    world_free(story.world);
}

TEST(servers_stay_with_what_was_added_to_them_and_not_removed) {
    struct story story;
    begin(&story);
    spawn(&story, "a", NULL);
    char data[600];
    (void)snprintf(data, sizeof data, "5:8183%s8183f6f6f6820001 " OK_END,
                   text("http-framework.create-server"));
    add(&story, "a", "handle-send", data);
    (void)snprintf(data, sizeof data, "5:8182%s8101 " WAITS, text("http-framework.start-server"));
    add(&story, "a", "handle-send", data);
    reload(&story);
    add(&story, "a", "handle-send", "1:01 5:818182001907d0 " OK_END);  // port 2000
    for (unsigned id = 1; id <= 3; id++) {
        char result[16];
        (void)snprintf(result, sizeof result, "8200%02x", id);
        (void)snprintf(data, sizeof data, "5:8183%s8401612f6347455401%s " OK_END,
                       text("http-framework.add-route"), result);
        add(&story, "a", "handle-send", data);
    }
    (void)snprintf(data, sizeof data, "5:8183%s81028100 " OK_END,
                   text("http-framework.remove-route"));
    add(&story, "a", "handle-send", data);
    reload(&story);
    uint64_t ids[8] = {0};
    size_t count = 0;
    for (const struct world_thing *at = find(&story, "a")->things; at != NULL; at = at->next) {
        ids[count++] = at->id;
    }
    EXPECT_U64(count, 4);  // server, its start, routes 1 and 3
    EXPECT(ids[0] == 1 && ids[1] == 1 && ids[2] == 1 && ids[3] == 3);
    EXPECT_U64(find(&story, "a")->counters[WORLD_ROUTE], 3);
    (void)snprintf(data, sizeof data, "5:8183%s81018100 " OK_END,
                   text("http-framework.destroy-server"));
    add(&story, "a", "handle-send", data);
    EXPECT(find(&story, "a")->things == NULL);
    EXPECT_U64(find(&story, "a")->counters[WORLD_SERVER], 1);
    world_free(story.world);
}

TEST(programs_and_connections_are_owed_their_end) {
    struct story story;
    begin(&story);
    spawn(&story, "a", NULL);
    char data[600];
    (void)snprintf(data, sizeof data, "5:8183%s8101820007 " OK_END, text("process.os-spawn"));
    add(&story, "a", "handle-send", data);
    add(&story, "a", "handle-websocket-connect", "2:81f6 3:840203612ff6 " OK_END);
    reload(&story);
    const struct world_link *link = find(&story, "a")->links;
    REQUIRE(link != NULL && link->next != NULL);
    EXPECT(link->is_process && link->id == 7);
    EXPECT(!link->next->is_process && link->next->id == 3 && link->next->handler == 2);
    add(&story, "a", "handle-exit", "2:81f6 3:820700 " OK_END);
    add(&story, "a", "handle-websocket-disconnect", "2:81f6 3:820403 " OK_END);
    EXPECT(find(&story, "a")->links == NULL);
    world_free(story.world);
}

TEST(what_came_back_keeps_what_it_had) {
    struct story story;
    begin(&story);
    spawn(&story, "a", NULL);
    add(&story, "a", "handle-request", OK_END " 7:4161");
    spawn(&story, "b", NULL);
    call(&story, "b", SEND_NAME, "a", "8100");
    uint64_t began = find(&story, "a")->began_at;
    add(&story, "a", "resumed", "2:f6 4:" HASH " 5:" HASH " 10:00 11:66726573756d65");
    EXPECT(find(&story, "a")->phase == WORLD_RUNNING);
    EXPECT_U64(find(&story, "a")->began_at, began);
    EXPECT_U64(mail(&story, "a"), 1);
    EXPECT(find(&story, "a")->state_at != WORLD_NOWHERE);
    // Begun anew by somebody, it does not.
    add(&story, "a", "resumed", "2:f6 4:" HASH " 5:" HASH);
    EXPECT(find(&story, "a")->phase == WORLD_STARTING);
    EXPECT_U64(mail(&story, "a"), 0);
    EXPECT_U64(find(&story, "a")->state_at, WORLD_NOWHERE);
    world_free(story.world);
}

TEST(events_that_make_no_sense_change_nothing) {
    struct story story;
    begin(&story);
    spawn(&story, "a", NULL);
    static const char *const odd[] = {
        "",           "5:01",          "5:81f6",      "5:8100",
        "5:81818100", "5:8183010203",  "6:80 5:8182", "2:8301f6f6 3:f6",
        "6:81f6",     "1:f6 5:818181", "7:f6 6:01"};
    static const char *const types[] = {"handle-send",
                                        "handle-channel-open",
                                        "handle-channel-close",
                                        "handle-exit",
                                        "handle-child-error",
                                        "resumed",
                                        "handle-websocket-connect",
                                        "restarting"};
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        for (size_t j = 0; j < COUNT_OF(types); j++) {
            add(&story, "a", types[j], odd[i]);
        }
        add(&story, "node", "send", odd[i]);
        add(&story, "nobody", "handle-send", odd[i]);
    }
    EXPECT(find(&story, "a")->phase == WORLD_RUNNING);
    EXPECT_U64(mail(&story, "a"), 0);
    EXPECT(find(&story, "nobody") == NULL);
    world_free(story.world);
}

int main(void) {
    return test_main();
}

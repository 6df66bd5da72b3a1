// SPDX-License-Identifier: Apache-2.0
// Waits that would never end: each kind of edge of the wait graph, circles of two to five actors
// with edges of all kinds, and storms in which every wait must come to an end.
#include <pthread.h>
#include <stdlib.h>

#include "starter.h"

// ---- circles
// -------------------------------------------------------------------------------------

// How an actor waits for the next one of the circle. The last one's is among the roots' kinds.
enum edge { REQUEST, OPEN, SEND, SAY, SPAWN, RESUME, RESTART, EDGE_COUNT };

static const char *const words[] = {
    [REQUEST] = "request", [OPEN] = "open",     [SEND] = "send",      [SAY] = "say",
    [SPAWN] = "spawn",     [RESUME] = "resume", [RESTART] = "restart"};

static bool makes_child(enum edge edge) {
    return edge >= SPAWN;
}

// Whether such a circle can be made. A room in a mailbox is only waited for by the last one, since
// the first one's is the one that is full; a channel must have been opened before; and a child that
// is made on the way has no children to restart.
static bool is_possible(const enum edge *edges, size_t count) {
    if (makes_child(edges[count - 1])) {
        return false;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        bool is_made = i > 0 && (edges[i - 1] == SPAWN || edges[i - 1] == RESUME);
        if (edges[i] == SEND || edges[i] == SAY || (edges[i] == RESTART && is_made)) {
            return false;
        }
    }
    return edges[count - 1] != SAY || count == 1 || !makes_child(edges[count - 2]);
}

struct circle {
    char prefix[16];
    const enum edge *edges;
    size_t count;
};

// The id of its actor number `i`, from 0.
static void name_of(const struct circle *circle, size_t i, char name[40]) {
    (void)snprintf(name, 40, "%s-%zu", circle->prefix, i % circle->count);
}

// What actor `i` does to wait for the next one, which then does its part.
static void describe(const struct circle *circle, size_t i, struct buf *commands) {
    char next[40];
    name_of(circle, i + 1, next);
    enum edge edge = circle->edges[i];
    switch (edge) {
        case REQUEST:
        case OPEN:
            buf_format(commands, "%s %s ", words[edge], next);
            if (i + 1 < circle->count) {
                describe(circle, i + 1, commands);
            } else {
                buf_append_text(commands, "echo x");
            }
            return;
        case SEND:
            buf_format(commands, "send %s echo x", next);
            return;
        case SAY:
            buf_append_text(commands, "say x");
            return;
        case SPAWN:
        case RESUME:
            buf_format(commands, "%s %s.toml", words[edge], next);
            return;
        case RESTART:
            buf_format(commands, "restart %s", next);
            return;
        case EDGE_COUNT:
            break;
    }
}

// Writes actor `i`'s manifest, and starts it unless the circle does.
static void prepare(struct world *world, const struct circle *circle, size_t i) {
    char name[40];
    char file[48];
    struct buf commands = {0};
    name_of(circle, i, name);
    (void)snprintf(file, sizeof file, "%s.toml", name);
    enum edge from = circle->edges[(i + circle->count - 1) % circle->count];
    if (from == SPAWN || from == RESUME) {
        describe(circle, i, &commands);
    } else if (from == RESTART) {
        buf_format(&commands, "obey %s-oracle", circle->prefix);
    }
    bool is_full = from == SEND || from == SAY;
    struct buf limits = {0};
    buf_format(&limits, "request_timeout_ms = 20000\nsend_timeout_ms = 20000\n%s",
               is_full ? "mailbox_messages = 1\n" : "");
    write_starter(world, name, "", buf_text(&commands), buf_text(&limits));
    buf_release(&commands);
    buf_release(&limits);
    if (from == RESTART) {
        char parent[40];
        name_of(circle, i + circle->count - 1, parent);
        EXPECT_U64(ask(world, parent, "spawn %s", file), OK);
    } else if (!makes_child(from)) {
        start(world, file, name);
    }
}

static void try_circle(struct world *world, const enum edge *edges, size_t count) {
    static unsigned number;
    struct circle circle = {.edges = edges, .count = count};
    (void)snprintf(circle.prefix, sizeof circle.prefix, "n%u", number++);
    char oracle[40];
    (void)snprintf(oracle, sizeof oracle, "%s-oracle", circle.prefix);
    start(world, "probe.toml", oracle);
    for (size_t i = 0; i < count; i++) {
        prepare(world, &circle, i);
    }
    char first[40];
    char last[40];
    name_of(&circle, 0, first);
    name_of(&circle, count - 1, last);
    struct buf commands = {0};
    // At most one child is told by the oracle: the last that is restarted; others before pass on.
    for (size_t i = 1; i < count; i++) {
        if (edges[i - 1] == RESTART) {
            buf_clear(&commands);
            describe(&circle, i, &commands);
            EXPECT_U64(ask(world, oracle, "set-state %s", buf_text(&commands)), OK);
        }
    }
    if (edges[count - 1] == SAY) {
        EXPECT_U64(ask(world, last, "hold %s", first), OK);
    }
    buf_clear(&commands);
    describe(&circle, 0, &commands);
    settle(world);  // an answer may come before its message has given its room back
    EXPECT(ask_for(world, first, 15000, buf_text(&commands)) == ERR_GUEST);
    struct buf names = {0};
    buf_format(&names, "waiting would never end: %s", last);
    for (size_t i = 0; i < count; i++) {
        char name[40];
        name_of(&circle, i, name);
        buf_format(&names, " -> %s", name);
    }
    EXPECT_CONTAINS(world->text, buf_text(&names));
    buf_release(&names);
    buf_release(&commands);
    EXPECT(actor_stop_from_outside(world->system, first, NULL, NULL) == OK);
}

static size_t restarts_of(const enum edge *edges, size_t count) {
    size_t restarts = 0;
    for (size_t i = 0; i < count; i++) {
        restarts += edges[i] == RESTART;
    }
    return restarts;
}

// Every circle of so many actors, or each `stride`-th.
static void try_circles(struct world *world, size_t count, size_t stride) {
    size_t all = 1;
    for (size_t i = 0; i < count; i++) {
        all *= EDGE_COUNT;
    }
    size_t tried = 0;
    size_t seen = 0;
    for (size_t number = 0; number < all && !test_failed; number++) {
        enum edge edges[5];
        for (size_t i = 0, rest = number; i < count; i++, rest /= EDGE_COUNT) {
            edges[i] = (enum edge)(rest % EDGE_COUNT);
        }
        // One oracle tells one child what to do.
        if (is_possible(edges, count) && restarts_of(edges, count) <= 1 && seen++ % stride == 0) {
            try_circle(world, edges, count);
            tried++;
        }
    }
    EXPECT(tried >= 16);
}

static void open_circles(struct world *world) {
    world->workers = 3;
    world_open(world);
    write_manifest(world, "probe.toml", "", "");
}

TEST(every_circle_of_two_is_named) {
    struct world world = {0};
    open_circles(&world);
    try_circles(&world, 2, 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(every_circle_of_three_is_named) {
    struct world world = {0};
    open_circles(&world);
    try_circles(&world, 3, 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(circles_of_four_and_five_are_named) {
    struct world world = {0};
    open_circles(&world);
    try_circles(&world, 4, 5);
    try_circles(&world, 5, 19);
    EXPECT_U64(world_close(&world), OK);
}

TEST(an_actor_that_waits_for_itself_is_told_so) {
    struct world world = {0};
    open_circles(&world);
    write_starter(&world, "me", "", "", "mailbox_messages = 1\nsend_timeout_ms = 20000\n");
    write_starter(&world, "you", "", "", "");
    start(&world, "me.toml", "me");
    start(&world, "you.toml", "you");
    EXPECT_U64(ask_for(&world, "me", 15000, "send me echo x"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "waiting would never end: me -> me");
    EXPECT_U64(ask_for(&world, "you", 15000, "request you echo x"), ERR_GUEST);
    EXPECT_CONTAINS(world.text, "waiting would never end: you -> you");
    EXPECT_U64(world_close(&world), OK);
}

// All wait for room in the next one's mailbox, which its own turn fills.
TEST(full_mailboxes_in_a_circle_are_named) {
    for (int count = 2; count <= 5; count++) {
        struct world world = {0};
        open_circles(&world);
        start(&world, "probe.toml", "gate");
        for (int i = 0; i < count; i++) {
            char name[40];
            char file[48];
            (void)snprintf(name, sizeof name, "m%d", i);
            (void)snprintf(file, sizeof file, "m%d.toml", i);
            write_starter(&world, name, "", "", "mailbox_messages = 1\nsend_timeout_ms = 20000\n");
            start(&world, file, name);
        }
        char last[40];
        (void)snprintf(last, sizeof last, "m%d", count - 1);
        tell(&world, last, "request gate late;send m0 echo x");
        wait_for_events(&world, "gate", "handle-request", "late", 1);
        for (int i = count - 2; i >= 0; i--) {
            char name[40];
            (void)snprintf(name, sizeof name, "m%d", i);
            tell(&world, name, "send m%d echo x", i + 1);
            wait_for_events(&world, name, "handle-send", "message-server", 1);
        }
        EXPECT_U64(ask(&world, "gate", "answer now"), OK);
        wait_for_events(&world, last, "handle-send", "waiting would never end: ", 1);
        settle(&world);
        EXPECT_U64(count_events(&world, "m0", "handle-send", "never end"), 0);
        EXPECT_U64(world_close(&world), OK);
    }
}

// A stop ends what the child waits for, its parent included.
TEST(stopping_a_child_that_waits_for_its_parent_is_no_circle) {
    struct world world = {0};
    open_circles(&world);
    write_starter(&world, "p", "", "", "");
    write_starter(&world, "c", "", "", "");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    tell(&world, "p", "sleep 100;stop c");
    wait_for_events(&world, "p", "handle-send", "sleep", 1);
    tell(&world, "c", "request p echo x");
    settle(&world);
    EXPECT_U64(count_events(&world, "c", "handle-send", "actor is stopping"), 1);
    EXPECT_U64(count_events(&world, "c", "shutdown", NULL), 1);
    EXPECT_U64(world_close(&world), OK);
}

// ---- restarts of groups
// --------------------------------------------------------------------------

#define FOR_ALL "restart = \"permanent\"\n"

// `b` is started after `a` has returned from init, which asks for `b`.
TEST(who_starts_and_asks_a_sibling_that_is_down_is_told_so) {
    struct world world = {0};
    open_circles(&world);
    write_manifest(&world, "p.toml",
                   "[supervision]\nstrategy = \"one-for-all\"\nmax_restarts = 1\n", "");
    write_starter(&world, "a", FOR_ALL, "obey oracle", "");
    write_starter(&world, "b", FOR_ALL, "", "");
    start(&world, "probe.toml", "oracle");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn a.toml"), OK);
    EXPECT_U64(ask(&world, "p", "spawn b.toml"), OK);
    EXPECT_U64(ask(&world, "oracle", "set-state request b echo x"), OK);
    tell(&world, "b", "trap");
    settle(&world);
    EXPECT_U64(count_events(&world, "a", "crashed", "waiting would never end: a -> b -> a"), 1);
    EXPECT_U64(world_close(&world), OK);
}

// The parent waits for `b`, which waits for `a` to start, which asks the parent.
TEST(who_starts_and_asks_the_parent_that_waits_for_a_sibling_is_told_so) {
    struct world world = {0};
    open_circles(&world);
    write_starter(&world, "p",
                  "[supervision]\nstrategy = \"one-for-all\"\nmax_restarts = 2\n"
                  "backoff_initial_ms = 86400000\nbackoff_max_ms = 86400000\n",
                  "", "");
    write_starter(&world, "a", FOR_ALL, "obey oracle", "");
    write_starter(&world, "b", FOR_ALL, "", "");
    start(&world, "probe.toml", "oracle");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn a.toml"), OK);
    EXPECT_U64(ask(&world, "p", "spawn b.toml"), OK);
    tell(&world, "b", "trap");
    settle(&world);
    EXPECT_U64(ask(&world, "oracle", "set-state request p echo x"), OK);
    tell(&world, "b", "trap");
    wait_for_events(&world, "a", "restarted", NULL, 2);
    EXPECT_U64(ask_for(&world, "p", 15000, "restart b"), ERR_GUEST);
    EXPECT_U64(count_events(&world, "a", "crashed", "never end: a -> p -> b -> a"), 1);
    EXPECT_U64(world_close(&world), OK);
}

// ---- storms
// --------------------------------------------------------------------------------------

enum { STORM_ACTORS = 6, STORM_THREADS = 3, STORM_ASKS = 150, STORM_DEPTH = 5 };

struct storm {
    struct world *world;
    unsigned seed;
    unsigned ended, circles, silent;
};

// Asks an actor to ask an actor to … at random.
static void storm_commands(struct storm *storm, struct buf *commands) {
    static const char *const kinds[] = {"request", "open", "send"};
    for (int depth = 0; depth < STORM_DEPTH; depth++) {
        buf_format(commands, "%s s%d ", kinds[rand_r(&storm->seed) % 3],
                   rand_r(&storm->seed) % STORM_ACTORS);
    }
    buf_append_text(commands, "echo x");
}

static void *storm_main(void *argument) {
    struct storm *storm = argument;
    for (int i = 0; i < STORM_ASKS; i++) {
        struct buf commands = {0};
        struct error error = {0};
        struct bytes *reply = NULL;
        char first[40];
        (void)snprintf(first, sizeof first, "s%d", rand_r(&storm->seed) % STORM_ACTORS);
        storm_commands(storm, &commands);
        enum status status = actor_request_from_outside(
            storm->world->system, first, buf_slice(&commands), 60000000000U, &reply, &error);
        storm->ended += status == OK || status == ERR_GUEST || status == ERR_BUSY;
        storm->silent += status == ERR_TIMEOUT;
        storm->circles += strstr(error.message, "waiting would never end") != NULL;
        bytes_unref(reply);
        buf_release(&commands);
    }
    return NULL;
}

TEST(in_a_storm_every_wait_ends) {
    struct world world = {0};
    open_circles(&world);
    for (int i = 0; i < STORM_ACTORS; i++) {
        char name[40];
        char file[48];
        (void)snprintf(name, sizeof name, "s%d", i);
        (void)snprintf(file, sizeof file, "s%d.toml", i);
        // No wait ends by time.
        write_starter(&world, name, "", "",
                      "mailbox_messages = 3\nrequest_timeout_ms = 3600000\n"
                      "send_timeout_ms = 3600000\n");
        start(&world, file, name);
    }
    pthread_t threads[STORM_THREADS];
    struct storm storms[STORM_THREADS];
    unsigned circles = 0;
    for (unsigned i = 0; i < STORM_THREADS; i++) {
        storms[i] = (struct storm){.world = &world, .seed = 7 + i};
        REQUIRE(pthread_create(&threads[i], NULL, storm_main, &storms[i]) == 0);
    }
    for (size_t i = 0; i < STORM_THREADS; i++) {
        pthread_join(threads[i], NULL);
        EXPECT_U64(storms[i].silent, 0);
        EXPECT_U64(storms[i].ended, STORM_ASKS);
        circles += storms[i].circles;
    }
    EXPECT(circles > 0);
    settle(&world);
    EXPECT_U64(world_close(&world), OK);
}

int main(void) {
    return test_main();
}

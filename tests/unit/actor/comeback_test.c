// SPDX-License-Identifier: Apache-2.0
// Actors that come back after the node was killed, which here is: from a copy of its log.
#include <dirent.h>

#include "actor/recovery.h"
#include "support.h"

static void copy_folder(const char *from, const char *to) {
    struct error error = {0};
    DIR *folder = opendir(from);
    REQUIRE(folder != NULL);
    for (const struct dirent *at = readdir(folder); at != NULL; at = readdir(folder)) {
        if (at->d_name[0] == '.') {
            continue;
        }
        char *source = file_join(from, at->d_name);
        char *copy = file_join(to, at->d_name);
        struct bytes *content = NULL;
        REQUIRE_OK(file_read(source, 1 << 28, &content, &error), error);
        REQUIRE_OK(file_write_atomic(copy, bytes_slice(content), 0600, &error), error);
        bytes_unref(content);
        free(source);
        free(copy);
    }
    closedir(folder);
}

static struct actor_recovered bring_back(struct world *world) {
    struct error error = {0};
    struct actor_recovered out;
    // The world of the actor room, of which nothing but the name is known here.
    struct world *remembered = world_new();
    REQUIRE_OK(chain_visit_from(world->log, 0, world_fold, remembered, &error), error);
    REQUIRE_OK(actor_system_recover(world->system, remembered, &out, &error), error);
    world_free(remembered);
    return out;
}

static struct actor_event ended_program;
static _Atomic bool is_settled;
static struct actor *first;

static void fill(struct actor_event *event, struct arena *arena, struct value *tuple) {
    (void)event;
    (void)arena;
    tuple[0].bits = 1;
}

static void settled(struct actor_event *event, enum status status, const struct value *answer,
                    struct slice text) {
    (void)event;
    (void)status;
    (void)answer;
    (void)text;
    atomic_store(&is_settled, true);
}

// When the second is there, something outside has news for the first: as a server that listens
// again, whose first request comes before all actors are back.
static void deliver_early(struct actor *actor, const struct actor_remains *remains) {
    struct error error = {0};
    (void)remains;
    if (first == NULL) {
        first = actor_ref(actor);
        return;
    }
    ended_program = (struct actor_event){.kind = ACTOR_PROCESS_EXIT,
                                         .instance = actor_instance_number(first),
                                         .is_reserved = true,
                                         .fill = fill,
                                         .settled = settled};
    REQUIRE_OK(actor_deliver(first, &ended_program, &error), error);
    // A worker looks at it, and finds that it is not the time yet.
    struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL);
    EXPECT(!atomic_load(&is_settled));
}

TEST(what_comes_in_before_everybody_is_back_is_handled_then) {
    struct error error = {0};
    struct store *store = NULL;
    struct store_config store_config = {.data_folder = test_folder(), .env = env_system()};
    REQUIRE_OK(store_open(&store_config, &store, &error), error);
    struct world before = {.store = store};
    world_open(&before);
    char *guest = file_join(SOURCE_FOLDER, "tests/guests/processes/processes.wasm");
    struct buf text = {0};
    buf_format(&text,
               "name = \"processes\"\ncomponent = \"%s\"\n[[handler]]\ntype = \"process\"\n"
               "allowed_programs = [\"cat\"]\n",
               guest);
    char *manifest = file_join(before.folder, "processes.toml");
    REQUIRE_OK(file_write_atomic(manifest, buf_slice(&text), 0600, &error), error);
    free(manifest);
    free(guest);
    buf_release(&text);
    start(&before, "processes.toml", "a");
    start(&before, "processes.toml", "b");
    settle(&before);
    struct chain_stats stats;
    chain_log_stats(before.log, &stats);
    REQUIRE_OK(chain_wait(before.log, stats.bytes, CHAIN_WRITTEN, &error), error);
    const char *copy = test_folder();
    copy_folder(before.log_folder, copy);
    EXPECT_U64(world_close(&before), OK);

    struct world after = {.store = store, .log_folder = copy, .came_back = deliver_early};
    world_open(&after);
    struct actor_recovered out = bring_back(&after);
    EXPECT_U64(out.actors, 2);
    for (int i = 0; i < 2000 && !atomic_load(&is_settled); i++) {
        struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
    }
    EXPECT(atomic_load(&is_settled));
    EXPECT_U64(count_events(&after, "a", "resumed", NULL), 1);
    EXPECT_U64(count_events(&after, "a", "handle-exit", NULL), 1);
    actor_unref(first);
    EXPECT_U64(world_close(&after), OK);
    store_close(store);
}

int main(void) {
    return test_main();
}

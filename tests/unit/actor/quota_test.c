// SPDX-License-Identifier: Apache-2.0
// limits.chain_bytes: an actor whose chain is long enough is stopped, in this run and in the next.
#include "support.h"

static void fill(struct world *world) {
    for (int i = 0; i < 200 && actor_system_count(world->system) > 0; i++) {
        (void)ask(world, "a", "echo %d of a number of messages that fill the chain", i);
    }
    while (actor_system_count(world->system) > 0) {
        struct timespec pause = {.tv_nsec = 500000};
        nanosleep(&pause, NULL);
    }
}

TEST(an_actor_with_a_full_chain_is_stopped) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "chain_bytes = 8000\n");
    start(&world, "a.toml", "a");
    fill(&world);
    uint64_t handled = count_events(&world, "a", "handle-request", "fill the chain");
    EXPECT(handled > 5 && handled < 60);
    EXPECT_U64(count_events(&world, "a", "shutdown", "limits.chain_bytes"), 1);

    // The next run of the same id counts what is there.
    struct actor_start again = {.id = "a"};
    char *manifest = file_join(world.folder, "a.toml");
    again.manifest = manifest;
    char id[ACTOR_ID_BYTES];
    struct error error = {0};
    // It may be stopped before its init has returned.
    enum status status = actor_start_root(world.system, &again, id, &error);
    EXPECT(status == OK || status == ERR_STOPPING);
    fill(&world);
    EXPECT_U64(count_events(&world, "a", "shutdown", "limits.chain_bytes"), 2);
    EXPECT_U64(count_events(&world, "a", "handle-request", "fill the chain"), handled);
    free(manifest);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_limit_that_prunes_is_refused) {
    struct world world = {0};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "chain_bytes = 8000\non_full = \"prune\"\n");
    char *manifest = file_join(world.folder, "a.toml");
    struct actor_start start_a = {.id = "a", .manifest = manifest};
    char id[ACTOR_ID_BYTES];
    struct error error = {0};
    EXPECT(actor_start_root(world.system, &start_a, id, &error) == ERR_UNSUPPORTED);
    EXPECT_CONTAINS(error.message, "limits.on_full");
    free(manifest);
    EXPECT_U64(world_close(&world), OK);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
#include "recover.h"

#include "actor/recovery.h"

// As if a snapshot had been made there.
static struct world *saved_and_loaded(struct world *world) {
    struct buf saved = {0};
    struct error error = {0};
    struct world *loaded = NULL;
    world_save(world, &saved);
    world_free(world);
    if (world_load(buf_slice(&saved), &loaded, &error) != OK) {
        fatal("a world that was saved cannot be loaded: %s", error.message);
    }
    buf_release(&saved);
    return loaded;
}

uint64_t recover_actors(struct chain_log *log, struct actor_system *system) {
    struct actor_recovered out = {0};
    struct error error = {0};
    struct world *world = world_new();
    if (chain_visit_from(log, 0, world_fold, world, &error) != OK) {
        fatal("the log cannot be read: %s", error.message);
    }
    world = saved_and_loaded(world);
    if (actor_system_recover(system, world, &out, &error) != OK) {
        fatal("what was running does not come back: %s", error.message);
    }
    world_free(world);
    if (out.missing != 0) {
        fatal("%llu actors do not come back", (unsigned long long)out.missing);
    }
    return out.actors;
}

bool is_node_chain(const char *id) {
    return strcmp(id, node_chain_id) == 0;
}

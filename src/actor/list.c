// SPDX-License-Identifier: Apache-2.0
// Listing actors. The lock is held for one reference to each, and the rest is read without it: so a
// long list delays no actor for long, and who lists waits for no actor.
#include <assert.h>
#include <stdlib.h>

#include "actor/internal.h"

struct listed {
    struct actor *actor;   // keeps
    struct bytes *parent;  // keeps; NULL: a root
};

const char *actor_life_text(enum actor_life life) {
    static const char *const texts[] = {"starting", "running", "restarting", "crashed", "stopping"};
    assert((size_t)life < COUNT_OF(texts));
    return texts[life];
}

static enum actor_life life_of(const struct actor *actor) {
    if (atomic_load(&actor->stop_requested)) {
        return ACTOR_LIFE_STOPPING;
    }
    switch (actor_status(actor)) {
        case ACTOR_STARTING:
            return ACTOR_LIFE_STARTING;
        case ACTOR_RUNNING:
            return ACTOR_LIFE_RUNNING;
        case ACTOR_RESTARTING:
            return ACTOR_LIFE_RESTARTING;
        case ACTOR_CRASHED:
            return ACTOR_LIFE_CRASHED;
        case ACTOR_STOPPED:
            break;
    }
    return ACTOR_LIFE_STOPPING;
}

// Gives all that there are.
static struct listed *take_all(struct actor_system *system, uint64_t *count) {
    struct listed *all = NULL;
    uint64_t room = 0;
    // Memory is had without the lock; new actors meanwhile ask for more.
    for (;;) {
        system_lock(system);
        if (system->actors.live_count <= room) {
            break;
        }
        room = (uint64_t)system->actors.live_count + 1024;
        system_unlock(system);
        free(all);
        all = xmalloc(room * sizeof *all);
    }
    uint32_t cursor = 0;
    const struct map_entry *entry = NULL;
    *count = 0;
    while ((entry = map_next(&system->actors, &cursor)) != NULL) {
        struct actor *actor = actor_ref(entry->value);
        all[(*count)++] = (struct listed){
            .actor = actor, .parent = actor->parent != NULL ? bytes_ref(actor->parent->id) : NULL};
    }
    system_unlock(system);
    return all;
}

void actor_system_list(struct actor_system *system, actor_info_fn visit, void *context) {
    uint64_t count = 0;
    struct listed *all = take_all(system, &count);
    bool goes_on = true;
    for (uint64_t i = 0; i < count; i++) {
        const struct actor *actor = all[i].actor;
        // Relaxed: numbers as they are at some moment.
        struct actor_info info = {
            .id = actor_id(actor),
            .name = actor->program->manifest->name,
            .parent = all[i].parent != NULL ? bytes_slice(all[i].parent) : slice_of(NULL, 0),
            .life = life_of(actor),
            .memory_bytes =
                atomic_load_explicit(&actor->budget.memory_used_bytes, memory_order_relaxed)};
        mailbox_depth(actor, &info.mailbox_messages, &info.mailbox_bytes);
        goes_on = goes_on && visit(context, &info);
        bytes_unref(all[i].parent);
        actor_unref(all[i].actor);
    }
    free(all);
}

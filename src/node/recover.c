// SPDX-License-Identifier: Apache-2.0
#include "node/recover.h"

#include "base/log.h"

static void report(const struct actor_recovered *out) {
    if (out->actors + out->ended + out->missing > 0) {
        log_line(LOG_INFO,
                 "actors that were running: %llu came back, with %llu messages; %llu were about to "
                 "end; %llu are missing",
                 (unsigned long long)out->actors, (unsigned long long)out->messages,
                 (unsigned long long)out->ended, (unsigned long long)out->missing);
    }
}

enum status node_recover(struct chain_log *log, struct actor_system *actors, bool is_left,
                         struct actor_recovered *out, struct error *error) {
    struct world *world = world_new();
    enum status status = chain_visit_from(log, world_position(world), world_fold, world, error);
    uint64_t count = world_count(world);
    if (status == OK && is_left && count > 0) {
        log_line(LOG_WARNING, "%llu actors that were running are left as they are",
                 (unsigned long long)count);
    } else if (status == OK && !is_left) {
        status = actor_system_recover(actors, world, out, error);
        report(out);
    }
    world_free(world);
    return status;
}

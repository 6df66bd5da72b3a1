// SPDX-License-Identifier: Apache-2.0
#include "recover.h"

#include "node/recover.h"

uint64_t recover_actors(struct chain_log *log, struct actor_system *system) {
    struct actor_recovered out = {0};
    struct error error = {0};
    if (node_recover(log, system, false, &out, &error) != OK) {
        fatal("what was running does not come back: %s", error.message);
    }
    if (out.missing != 0) {
        fatal("%llu actors do not come back", (unsigned long long)out.missing);
    }
    return out.actors;
}

bool is_node_chain(const char *id) {
    return strcmp(id, node_chain_id) == 0;
}

// SPDX-License-Identifier: Apache-2.0
// Making the instance of an actor again as it was when the node ended (recover = "replay").
#ifndef NODE_REBUILD_H
#define NODE_REBUILD_H

#include "actor/actor.h"

struct store;

struct node_rebuilder {
    struct chain_log *log;
    struct store *store;
    const char *secrets_folder;
    struct wasm_compiler *compiler;
};
// An actor_config.rebuild; `context` is a node_rebuilder.
enum status node_rebuild(void *context, const struct actor_rebuild *what,
                         struct component_instance **out, struct error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
// Manifests of the starter (tests/guests/starter) in the folder of a world.
#ifndef TESTS_UNIT_ACTOR_STARTER_H
#define TESTS_UNIT_ACTOR_STARTER_H

#include <unistd.h>

#include "support.h"

#define STARTER_COMPONENT SOURCE_FOLDER "/tests/guests/starter/starter.wasm"

// Writes `ID.toml`, of an actor that does `commands` at each start.
static inline void write_starter(struct world *world, const char *id, const char *keys,
                                 const char *commands, const char *limits) {
    struct error error = {0};
    struct buf text = {0};
    buf_format(&text,
               "name = \"%s\"\ncomponent = \"starter.wasm\"\nid = \"%s\"\n"
               "initial_state = '{\"init\":\"%s\"}'\n%s"
               "[[handler]]\ntype = \"supervisor\"\n[[handler]]\ntype = \"timing\"\n[limits]\n%s",
               id, id, commands, keys, limits);
    char *path = file_join(world->folder, "starter.wasm");
    if (access(path, R_OK) != 0) {
        struct bytes *component = NULL;
        REQUIRE_OK(file_read(STARTER_COMPONENT, 1 << 24, &component, &error), error);
        REQUIRE_OK(file_write_atomic(path, bytes_slice(component), 0600, &error), error);
        bytes_unref(component);
    }
    free(path);
    char file[ACTOR_ID_BYTES + 8];
    (void)snprintf(file, sizeof file, "%s.toml", id);
    path = file_join(world->folder, file);
    REQUIRE_OK(file_write_atomic(path, buf_slice(&text), 0600, &error), error);
    free(path);
    buf_release(&text);
}

#endif

// SPDX-License-Identifier: Apache-2.0
// The replay room's answer to the actor room: see rebuild.h.
#include "node/rebuild.h"

#include "replay/replay.h"
#include "store/store.h"

static enum status next_event(void *context, struct chain_event *event, bool *more,
                              struct error *error) {
    return chain_reader_next(context, event, more, error);
}

static enum status read_content(void *context, const uint8_t hash[SHA256_BYTES],
                                uint64_t limit_bytes, struct bytes **out, struct error *error) {
    const struct node_rebuilder *rebuilder = context;
    return store_read(rebuilder->store, hash, limit_bytes, out, error);
}

static enum status visit_chain(void *context, const char *id, uint64_t first, uint64_t count,
                               actor_visit_fn visit, void *visit_context, struct error *error) {
    const struct node_rebuilder *rebuilder = context;
    return replay_visit_log(rebuilder->log, id, first, count, visit, visit_context, error);
}

enum status node_rebuild(void *context, const struct actor_rebuild *what,
                         struct component_instance **out, struct error *error) {
    struct node_rebuilder *rebuilder = context;
    struct chain_reader *reader = NULL;
    struct replay_result result;
    enum status status = chain_reader_open(rebuilder->log, what->id, 0, &reader, error);
    if (status != OK) {
        return status;
    }
    struct replay_config config = {.id = what->id,
                                   .next = next_event,
                                   .next_context = reader,
                                   .content = read_content,
                                   .content_context = rebuilder,
                                   .visit = visit_chain,
                                   .visit_context = rebuilder,
                                   .secrets_folder = rebuilder->secrets_folder,
                                   .compiler = rebuilder->compiler,
                                   .from = UINT64_MAX,
                                   .until = UINT64_MAX,
                                   .known = what->component,
                                   .budget = what->budget,
                                   .instance = out};
    status = replay_run(&config, &result, error);
    bytes_unref(result.state);
    chain_reader_close(reader);
    return status;
}

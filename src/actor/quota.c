// SPDX-License-Identifier: Apache-2.0
// limits.chain_bytes: an actor whose chain has reached its length on disk is stopped. The leg in
// progress and the events of its end are still recorded: what happened is never left out.
#include "actor/internal.h"
#include "base/log.h"

// What the chain takes in the log, from a run before: its frames. At most about the limit is read.
static uint64_t bytes_so_far(struct actor *actor, uint64_t limit) {
    struct chain_reader *reader = NULL;
    struct error error = {0};
    uint64_t bytes = 0;
    if (chain_reader_open(actor->system->config.log, actor_id(actor), 0, &reader, &error) != OK) {
        return 0;
    }
    struct chain_event event;
    for (bool more = true; more && bytes < limit;) {
        if (chain_reader_next(reader, &event, &more, &error) != OK) {
            log_line(LOG_WARNING, "actor %s: the length of its chain cannot be told: %s",
                     actor_id(actor), error.message);
            break;
        }
        bytes += more ? CHAIN_FRAME_BYTES + event.bytes.size : 0;
    }
    chain_reader_close(reader);
    return bytes;
}

void quota_count(struct actor *actor, uint64_t end) {
    uint64_t limit = actor->program->manifest->limits.chain_bytes;
    if (limit == 0) {
        return;
    }
    bool is_first = actor->chain_bytes == 0 && actor->head.next_seq > 1;
    actor->chain_bytes = is_first ? bytes_so_far(actor, limit)
                                  : actor->chain_bytes + (end - actor->head.last_position);
    if (actor->chain_bytes < limit || atomic_load(&actor->stop_requested)) {
        return;
    }
    log_line(LOG_WARNING,
             "actor %s is stopped: its chain has %llu bytes, and limits.chain_bytes is %llu",
             actor_id(actor), (unsigned long long)actor->chain_bytes, (unsigned long long)limit);
    system_lock(actor->system);
    actor_request_stop(actor, false, "its chain has reached limits.chain_bytes");
    system_unlock(actor->system);
}

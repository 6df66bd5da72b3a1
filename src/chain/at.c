// SPDX-License-Identifier: Apache-2.0
// One event by its position, for those who remembered where it stands.
#include <inttypes.h>
#include <stdlib.h>

#include "chain/state.h"

struct chain_at {
    struct chain_log *log;
    struct window window;
};

struct chain_at *chain_at_open(struct chain_log *log) {
    struct chain_at *at = xcalloc(1, sizeof *at);
    at->log = log;
    return at;
}

enum status chain_at_event(struct chain_at *at, uint64_t position, struct chain_event *event,
                           struct error *error) {
    struct frame frame;
    enum status status = window_frame(at->log, &at->window, position, false, &frame, error);
    if (status == OK && frame.kind != FRAME_EVENT) {
        status = error_set(error, ERR_DAMAGED, "there is no event at position %" PRIu64, position);
    }
    if (status == OK) {
        status = event_decode(slice_of(frame.body, frame.body_bytes), event, error);
    }
    if (status == OK) {
        event->position = position;
        event->id = NULL;
    }
    return status;
}

void chain_at_close(struct chain_at *at) {
    if (at != NULL) {
        window_release(&at->window);
        free(at);
    }
}

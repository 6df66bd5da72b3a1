// SPDX-License-Identifier: Apache-2.0
// An actor that reads its chain in one turn until its record has no room for them any more.
#include "theater.h"

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    return theater_ok(state);
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)request_id;
    for (int i = 0; theater_text_equal(message, "hoard") && i < 1000000; i++) {
        size_t count;
        theater_get_chain(&count);
    }
    return theater_reply(state, message);
}

THEATER_INIT(on_init);
THEATER_HANDLE_REQUEST(on_request);

// SPDX-License-Identifier: Apache-2.0
// An actor that counts in its memory and has no state: any request is answered with how many the
// instance has had. "sleep" waits for a minute.
#include "theater.h"

static uint64_t count;

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    return theater_ok(state);
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)request_id;
    count++;
    if (theater_text_equal(message, "sleep")) {
        theater_sleep_ms(60000);
    }
    return theater_reply(state, theater_join(count));
}

THEATER_INIT(on_init);
THEATER_HANDLE_REQUEST(on_request);

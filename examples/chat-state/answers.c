// SPDX-License-Identifier: Apache-2.0
// Answers for a conversation: says what it was asked, in capitals.
#include "theater.h"

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    return theater_ok(state);
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)request_id;
    uint8_t *answer = theater_alloc(message.size);
    for (size_t i = 0; i < message.size; i++) {
        uint8_t c = message.data[i];
        answer[i] = c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
    }
    return theater_reply(state, ((struct theater_bytes){answer, message.size}));
}

THEATER_INIT(on_init);
THEATER_HANDLE_REQUEST(on_request);

// SPDX-License-Identifier: Apache-2.0
// A counter: the smallest actor that keeps a state. A send counts; a request asks or counts.
//
// The state is the JSON text {"count":N}, the same that may be given as the initial state, so that
// it reads well wherever states are shown.
#include "theater.h"

static bool read_count(struct theater_bytes state, uint64_t *count) {
    return theater_parse_number(theater_json_field(state, "count"), count);
}

static struct theater_bytes write_count(uint64_t count) {
    return theater_join("{\"count\":", count, "}");
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    uint64_t count = 0;
    if (!theater_is_none(state) && !read_count(state, &count)) {
        return theater_error("the initial state must be {\"count\":NUMBER}, not ", state);
    }
    theater_log("counter ", own_id, " starts at ", count);
    return theater_ok(write_count(count));
}

static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    uint64_t count = 0;
    read_count(state, &count);
    theater_log("count is ", count + 1, " after a message of ", message.size, " bytes");
    return theater_ok(write_count(count + 1));
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)request_id;
    uint64_t count = 0;
    read_count(state, &count);
    struct theater_bytes action = theater_json_field(message, "action");
    if (theater_text_equal(action, "increment")) {
        count++;
    } else if (!theater_text_equal(action, "get")) {
        return theater_error(
            "unknown action; send {\"action\":\"get\"} or {\"action\":\"increment\"}");
    }
    return theater_reply(write_count(count), write_count(count));
}

THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);
THEATER_HANDLE_REQUEST(on_request);

// SPDX-License-Identifier: Apache-2.0
// A member of the chat room. It joins, greets, and leaves when somebody says that it is late.
//
// The state is JSON: {"name":NAME,"room":ID}, as the room gives it.
#include "theater.h"

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    if (theater_is_none(theater_json_field(state, "name")) ||
        theater_is_none(theater_json_field(state, "room"))) {
        return theater_error("a member needs {\"name\":NAME,\"room\":ID}");
    }
    // The room waits for this init, so it cannot answer now: joining is the next turn.
    struct theater_outcome outcome = theater_send(own_id, "join");
    return outcome.ok ? theater_ok(state) : theater_error(outcome.error);
}

static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    if (!theater_text_equal(message, "join")) {
        return theater_error("the only message is \"join\"");
    }
    struct theater_outcome outcome =
        theater_open_channel(theater_json_field(state, "room"),
                             theater_join("join ", theater_json_field(state, "name")));
    return outcome.ok ? theater_ok(state) : theater_error("not let in: ", outcome.error);
}

static struct theater_result on_channel_message(struct theater_bytes state,
                                                struct theater_bytes channel,
                                                struct theater_bytes message) {
    struct theater_bytes name = theater_json_field(state, "name");
    theater_log(name, " hears \"", message, "\"");
    if (theater_starts_with(message, "welcome")) {
        // The last one to come finds that it is late.
        bool last = theater_text_equal(name, "blue");
        theater_send_on_channel(channel, last ? "it is late" : "hello, everybody");
    } else if (theater_text_equal(message, "blue: it is late")) {
        theater_send_on_channel(channel, "good night");
        theater_close_channel(channel);
    }
    return theater_ok(state);
}

static struct theater_result on_channel_close(struct theater_bytes state,
                                              struct theater_bytes channel) {
    (void)channel;
    theater_log(theater_json_field(state, "name"), " is put out of the room");
    return theater_ok(state);
}

THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);
THEATER_HANDLE_CHANNEL_MESSAGE(on_channel_message);
THEATER_HANDLE_CHANNEL_CLOSE(on_channel_close);

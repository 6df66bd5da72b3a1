// SPDX-License-Identifier: Apache-2.0
// A chat room: members open channels to it, and what one says the others hear.
//
// The state is text, one line for each thing the room remembers: "member CHANNEL NAME" and
// "said LINE". It starts three members, so that there is something to hear.
#include "theater.h"

static const char *const names[] = {"red", "green", "blue"};

// If `line` is a member, its name and channel.
static bool is_member(struct theater_bytes line, struct theater_bytes *channel,
                      struct theater_bytes *name) {
    if (!theater_text_equal(theater_word(&line), "member")) {
        return false;
    }
    *channel = theater_word(&line);
    *name = line;
    return true;
}

// The name that belongs to a channel, none if there is no such member.
static struct theater_bytes name_of(struct theater_bytes state, struct theater_bytes channel) {
    struct theater_bytes rest = state, member, name;
    while (rest.size != 0) {
        if (is_member(theater_line(&rest), &member, &name) && theater_text_equal(member, channel)) {
            return name;
        }
    }
    return THEATER_NONE;
}

// The state without the member of a channel.
static struct theater_bytes without(struct theater_bytes state, struct theater_bytes channel) {
    struct theater_bytes rest = state, member, name;
    while (rest.size != 0) {
        struct theater_bytes before = {state.data, state.size - rest.size};
        if (is_member(theater_line(&rest), &member, &name) && theater_text_equal(member, channel)) {
            return theater_join(before, rest);
        }
    }
    return state;
}

// Tells everybody but one channel, and remembers the line. A member that cannot be reached is about
// to be reported as closed.
static struct theater_bytes say(struct theater_bytes state, struct theater_bytes except,
                                struct theater_bytes line) {
    theater_log(line);
    struct theater_bytes rest = state, channel, name;
    while (rest.size != 0) {
        if (is_member(theater_line(&rest), &channel, &name) &&
            !theater_text_equal(channel, except)) {
            theater_send_on_channel(channel, line);
        }
    }
    return theater_join(state, "said ", line, "\n");
}

static bool is_one_line(struct theater_bytes text) {
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < ' ') {
            return false;
        }
    }
    return text.size != 0;
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    if (!theater_is_none(state)) {
        return theater_ok(state);
    }
    theater_log("the room is open");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct theater_bytes start =
            theater_join("{\"name\":\"", names[i], "\",\"room\":\"", own_id, "\"}");
        struct theater_outcome outcome = theater_spawn("member.toml", start);
        if (!outcome.ok) {
            return theater_error("member ", names[i], " did not start: ", outcome.error);
        }
    }
    return theater_ok(theater_text(""));
}

static struct theater_result on_open(struct theater_bytes state, struct theater_bytes channel,
                                     struct theater_bytes first) {
    struct theater_bytes name = first;
    if (!theater_text_equal(theater_word(&name), "join") || !is_one_line(name)) {
        return theater_refuse(state, "say \"join NAME\"");
    }
    struct theater_bytes next = say(state, channel, theater_join(name, " comes in"));
    return theater_accept(theater_join(next, "member ", channel, " ", name, "\n"),
                          theater_join("welcome, ", name));
}

static struct theater_result on_channel_message(struct theater_bytes state,
                                                struct theater_bytes channel,
                                                struct theater_bytes message) {
    struct theater_bytes name = name_of(state, channel);
    if (theater_is_none(name) || !is_one_line(message)) {
        return theater_error("a message is one line from a member");
    }
    return theater_ok(say(state, channel, theater_join(name, ": ", message)));
}

static struct theater_result on_channel_close(struct theater_bytes state,
                                              struct theater_bytes channel) {
    struct theater_bytes name = name_of(state, channel);
    if (theater_is_none(name)) {
        return theater_ok(state);
    }
    // The name is a part of the old state, which lives until the turn is over.
    return theater_ok(say(without(state, channel), channel, theater_join(name, " leaves")));
}

// The request "who" lists the members, "history" everything that was said.
static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)request_id;
    bool who = theater_text_equal(message, "who");
    if (!who && !theater_text_equal(message, "history")) {
        return theater_error("ask \"who\" or \"history\"");
    }
    struct theater_bytes rest = state, answer = theater_text("["), channel, name;
    while (rest.size != 0) {
        struct theater_bytes line = theater_line(&rest);
        bool member = is_member(line, &channel, &name);
        if (member == who) {
            theater_word(&line);
            answer = theater_join(answer, answer.size > 1 ? "," : "",
                                  theater_json_string(member ? name : line));
        }
    }
    return theater_reply(THEATER_NONE, theater_join(answer, "]"));
}

THEATER_INIT(on_init);
THEATER_HANDLE_REQUEST(on_request);
THEATER_HANDLE_CHANNEL_OPEN(on_open);
THEATER_HANDLE_CHANNEL_MESSAGE(on_channel_message);
THEATER_HANDLE_CHANNEL_CLOSE(on_channel_close);

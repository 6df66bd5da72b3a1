// SPDX-License-Identifier: Apache-2.0
// The starter: a test actor that does in `init` what its state says, and so at each start.
//
// The state is {"init":"COMMANDS"}, of which each does one thing and ends at a semicolon; without
// it nothing happens. A request does the same with its text and is answered with what the last
// command gave; a message, and the first one of a channel, do so too. The first command that fails
// ends the rest with its error.
//
//   sleep MS | request ID TEXT | open ID TEXT | send ID TEXT
//   hold ID | say TEXT      opens a channel; sends on the one opened last
//   obey ID                 does what ID answers to "state"
//   spawn MANIFEST | resume MANIFEST | stop ID | restart ID | state ID
//   err TEXT | trap | loop | mangle        mangle: an error whose text is not UTF-8
//   shutdown TEXT | log TEXT | echo TEXT
#include "theater.h"

static volatile uint64_t sink;
static uint8_t held[64];  // the id of the channel opened last
static size_t held_size;

static struct theater_outcome run(struct theater_bytes commands);

static bool is(struct theater_bytes word, const char *name) {
    return theater_text_equal(word, name);
}

static struct theater_outcome failed(struct theater_bytes text) {
    return (struct theater_outcome){.error = text};
}

static struct theater_outcome gave(struct theater_bytes text) {
    return (struct theater_outcome){.ok = true, .value = text};
}

static struct theater_outcome misbehave(struct theater_bytes word, struct theater_bytes rest) {
    static const uint8_t mangled[] = {0xff, 0xfe};
    if (is(word, "err")) {
        return failed(rest);
    } else if (is(word, "mangle")) {
        return failed((struct theater_bytes){mangled, sizeof mangled});
    } else if (is(word, "loop")) {
        for (;;) {
            sink = sink + 1;
        }
    } else if (is(word, "trap")) {
        theater_trap();
    }
    return failed(theater_join("starter: unknown command \"", word, "\""));
}

static struct theater_outcome hold(struct theater_bytes target) {
    struct theater_outcome outcome = theater_open_channel(target, theater_text(""));
    if (outcome.ok && outcome.value.size <= sizeof held) {
        held_size = outcome.value.size;
        theater_copy(held, outcome.value.data, held_size);
    }
    return outcome;
}

static struct theater_outcome obey(struct theater_bytes target) {
    struct theater_outcome outcome = theater_request(target, theater_text("state"));
    return outcome.ok ? run(outcome.value) : outcome;
}

static struct theater_outcome run_one(struct theater_bytes command) {
    struct theater_bytes rest = command;
    struct theater_bytes word = theater_word(&rest);
    uint64_t number = 0;
    if (is(word, "sleep") && theater_parse_number(rest, &number)) {
        return theater_sleep_ms(number);
    } else if (is(word, "spawn")) {
        return theater_spawn(rest, THEATER_NONE);
    } else if (is(word, "resume")) {
        return theater_resume(rest, THEATER_NONE);
    } else if (is(word, "stop")) {
        return theater_stop_child(rest);
    } else if (is(word, "restart")) {
        return theater_restart_child(rest);
    } else if (is(word, "state")) {
        return theater_get_child_state(rest);
    } else if (is(word, "shutdown")) {
        return theater_shutdown(rest);
    } else if (is(word, "log")) {
        theater_log(rest);
        return gave(rest);
    } else if (is(word, "echo")) {
        return gave(rest);
    } else if (is(word, "hold")) {
        return hold(rest);
    } else if (is(word, "obey")) {
        return obey(rest);
    } else if (is(word, "say")) {
        struct theater_bytes channel = {held, held_size};
        return theater_send_on_channel(channel, rest);
    }
    struct theater_bytes target = theater_word(&rest);
    if (is(word, "request")) {
        return theater_request(target, rest);
    } else if (is(word, "open")) {
        return theater_open_channel(target, rest);
    } else if (is(word, "send")) {
        return theater_send(target, rest);
    }
    rest = command;
    (void)theater_word(&rest);
    return misbehave(word, rest);
}

static struct theater_outcome run(struct theater_bytes commands) {
    struct theater_outcome outcome = {.ok = true};
    while (outcome.ok && commands.size > 0) {
        size_t end = 0;
        while (end < commands.size && commands.data[end] != ';') {
            end++;
        }
        outcome = run_one((struct theater_bytes){commands.data, end});
        end += end < commands.size;
        commands = (struct theater_bytes){commands.data + end, commands.size - end};
    }
    return outcome;
}

// The text between the quotes; it holds none itself.
static struct theater_bytes commands_of(struct theater_bytes state) {
    static const char head[] = "{\"init\":\"";
    size_t start = sizeof head - 1;
    if (theater_is_none(state) || !theater_starts_with(state, head) || state.size < start + 2) {
        return theater_text("");
    }
    return (struct theater_bytes){state.data + start, state.size - start - 2};
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    struct theater_outcome outcome = run(commands_of(state));
    return outcome.ok ? theater_ok(state) : theater_error(outcome.error);
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)request_id;
    struct theater_outcome outcome = run(message);
    if (!outcome.ok) {
        return theater_error(outcome.error);
    }
    return theater_reply(state, theater_is_none(outcome.value) ? theater_text("") : outcome.value);
}

static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    struct theater_outcome outcome = run(message);
    return outcome.ok ? theater_ok(state) : theater_error(outcome.error);
}

static struct theater_result on_open(struct theater_bytes state, struct theater_bytes channel,
                                     struct theater_bytes first) {
    (void)channel;
    struct theater_outcome outcome = run(first);
    return outcome.ok ? theater_accept(state, THEATER_NONE) : theater_error(outcome.error);
}

static struct theater_result on_channel_message(struct theater_bytes state,
                                                struct theater_bytes channel,
                                                struct theater_bytes message) {
    (void)channel;
    (void)message;
    return theater_ok(state);
}

static struct theater_result on_channel_close(struct theater_bytes state,
                                              struct theater_bytes channel) {
    (void)channel;
    return theater_ok(state);
}

THEATER_HANDLE_CHANNEL_OPEN(on_open);
THEATER_HANDLE_CHANNEL_MESSAGE(on_channel_message);
THEATER_HANDLE_CHANNEL_CLOSE(on_channel_close);
THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);
THEATER_HANDLE_REQUEST(on_request);

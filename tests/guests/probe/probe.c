// SPDX-License-Identifier: Apache-2.0
// The probe: a test actor that does what the text of a message says, well-behaved or not.
//
// A command may come as a send or as a request; a request is answered with the result or the error
// as the host gave it, a send logs it. Words are separated by one blank; the last one may hold
// blanks.
//
//   loop | trap | bomb | stack | frames  end the turn badly: endless loop, trap, memory, the
//   machine's
//                                        stack, the stack in linear memory
//   spin N                               N million steps, then done
//   err TEXT                             an application error
//   log TEXT | echo TEXT | state | grow-state N | set-state TEXT
//   send ID TEXT | request ID TEXT | open ID TEXT | chan CHANNEL TEXT | close CHANNEL
//   late | answer TEXT | cancel | outstanding
//   spawn MANIFEST | spawn-with STATE MANIFEST | resume STATE MANIFEST
//   stop ID | restart ID | children | child-state ID | child-events ID
//   sleep MS | deadline MS | now | random N | range MIN MAX | float | uuid
//   self | get-state | chain | shutdown TEXT
//
// Channels: an open whose first message is "refuse" is refused, "silent" is accepted without a
// word, anything else accepted with "welcome"; "bye" closes, every other message is echoed.
//
// The state is text: "late=ID;" while a request is open, then what set-state, grow-state and the
// notices about children left there.
#include "theater.h"

#define BOMB_PAGES 16
#define STATE_LIMIT (256u << 20)

struct state {
    struct theater_bytes late;  // the request that is still to be answered; empty for none
    struct theater_bytes text;
};

// What a command came to: the new state, and the answer or the error.
struct answer {
    bool ok;
    bool later;
    struct theater_bytes text;
};

static struct state read_state(struct theater_bytes bytes) {
    struct state state = {.text = bytes};
    if (theater_starts_with(bytes, "late=")) {
        size_t end = 5;
        while (end < bytes.size && bytes.data[end] != ';') {
            end++;
        }
        state.late = (struct theater_bytes){bytes.data + 5, end - 5};
        end += end < bytes.size;
        state.text = (struct theater_bytes){bytes.data + end, bytes.size - end};
    }
    return state;
}

static struct theater_bytes write_state(struct state state) {
    return state.late.size == 0 ? theater_join(state.text)
                                : theater_join("late=", state.late, ";", state.text);
}

static struct answer good(struct theater_bytes text) {
    return (struct answer){.ok = true, .text = text};
}

static struct answer bad(struct theater_bytes text) {
    return (struct answer){.text = text};
}

static struct answer of_outcome(struct theater_outcome outcome) {
    if (!outcome.ok) {
        return bad(outcome.error);
    }
    return good(theater_is_none(outcome.value) ? theater_text("ok") : outcome.value);
}

static struct answer of_list(struct theater_list list) {
    struct theater_bytes text = theater_text("");
    for (size_t i = 0; i < list.count; i++) {
        text = i == 0 ? list.items[i] : theater_join(text, " ", list.items[i]);
    }
    return good(text);
}

// ---- ways to end a turn badly
// --------------------------------------------------------------------

static volatile uint64_t sink;

static struct answer spin(uint64_t millions) {
    for (uint64_t i = 0; i < millions * 1000000; i++) {
        sink = sink + i;
    }
    return good(theater_text("ok"));
}

// Nothing of it lies in linear memory, so the stack that overflows is the machine's.
__attribute__((noinline)) static uint64_t recurse(uint64_t depth) {
    return depth == sink - 1 ? 0 : recurse(depth + 1) * 3 + depth;
}

__attribute__((noinline)) static uint64_t recurse_with_frames(uint64_t depth) {
    volatile uint64_t frame[4] = {depth};
    return depth == sink - 1 ? 0 : recurse_with_frames(depth + 1) + frame[0];
}

static void bomb(void) {
    while (__builtin_wasm_memory_grow(0, BOMB_PAGES) != (size_t)-1) {
        uint8_t *last = (uint8_t *)((__builtin_wasm_memory_size(0) << 16) - 1);
        *last = 1;
    }
    theater_trap();
}

static struct answer misbehave(struct theater_bytes command) {
    if (theater_text_equal(command, "loop")) {
        for (;;) {
            sink = sink + 1;
        }
    } else if (theater_text_equal(command, "stack")) {
        sink = recurse(0);
    } else if (theater_text_equal(command, "frames")) {
        sink = recurse_with_frames(0);
    } else if (theater_text_equal(command, "bomb")) {
        bomb();
    }
    theater_trap();
}

// ---- commands, by the interface they use
// -----------------------------------------------------------

static bool is(struct theater_bytes command, const char *name) {
    return theater_text_equal(command, name);
}

static bool do_messages(struct theater_bytes command, struct theater_bytes rest,
                        struct state *state, struct answer *answer) {
    if (is(command, "outstanding")) {
        *answer = of_list(theater_list_outstanding());
        return true;
    }
    if (is(command, "close")) {
        *answer = of_outcome(theater_close_channel(rest));
        return true;
    }
    if (is(command, "answer")) {
        *answer = of_outcome(theater_respond(state->late, rest));
        state->late.size = 0;
        return true;
    }
    if (is(command, "cancel")) {
        *answer = of_outcome(theater_cancel(state->late));
        state->late.size = 0;
        return true;
    }
    struct theater_bytes target = theater_word(&rest);
    if (is(command, "send")) {
        *answer = of_outcome(theater_send(target, rest));
    } else if (is(command, "request")) {
        *answer = of_outcome(theater_request(target, rest));
    } else if (is(command, "open")) {
        *answer = of_outcome(theater_open_channel(target, rest));
    } else if (is(command, "chan")) {
        *answer = of_outcome(theater_send_on_channel(target, rest));
    } else {
        return false;
    }
    return true;
}

static struct answer child_events(struct theater_bytes child) {
    const struct theater_child_event *events;
    size_t count;
    struct theater_outcome outcome = theater_get_child_events(child, &events, &count);
    if (!outcome.ok) {
        return bad(outcome.error);
    }
    return good(count == 0 ? theater_text("0")
                           : theater_join(count, " last ", events[count - 1].type, " hash bytes ",
                                          events[count - 1].hash.size));
}

static bool do_children(struct theater_bytes command, struct theater_bytes rest,
                        struct answer *answer) {
    if (is(command, "spawn")) {
        *answer = of_outcome(theater_spawn(rest, THEATER_NONE));
    } else if (is(command, "spawn-with")) {
        struct theater_bytes state = theater_word(&rest);
        *answer = of_outcome(theater_spawn(rest, state));
    } else if (is(command, "resume")) {
        struct theater_bytes state = theater_word(&rest);
        *answer = of_outcome(theater_resume(rest, state));
    } else if (is(command, "stop")) {
        *answer = of_outcome(theater_stop_child(rest));
    } else if (is(command, "restart")) {
        *answer = of_outcome(theater_restart_child(rest));
    } else if (is(command, "children")) {
        *answer = of_list(theater_list_children());
    } else if (is(command, "child-state")) {
        struct theater_outcome outcome = theater_get_child_state(rest);
        *answer = outcome.ok && theater_is_none(outcome.value) ? good(theater_text("none"))
                                                               : of_outcome(outcome);
    } else if (is(command, "child-events")) {
        *answer = child_events(rest);
    } else {
        return false;
    }
    return true;
}

static bool do_time_and_chance(struct theater_bytes command, struct theater_bytes rest,
                               struct answer *answer) {
    uint64_t number = 0;
    bool has_number = theater_parse_number(rest, &number);
    if (is(command, "now")) {
        *answer = good(theater_text(theater_now_ms()));
    } else if (is(command, "uuid")) {
        *answer = of_outcome(theater_uuid());
    } else if (is(command, "float")) {
        double fraction;
        struct theater_outcome outcome = theater_random_float(&fraction);
        *answer = outcome.ok ? good(theater_join((uint64_t)(fraction * 1000000), " millionths"))
                             : bad(outcome.error);
    } else if (is(command, "range")) {
        uint64_t min = 0, max = 0;
        struct theater_bytes first = theater_word(&rest);
        if (!theater_parse_number(first, &min) || !theater_parse_number(rest, &max)) {
            *answer = bad(theater_text("probe: range needs two numbers"));
            return true;
        }
        struct theater_outcome outcome = theater_random_range(min, max, &number);
        *answer = outcome.ok ? good(theater_text(number)) : bad(outcome.error);
    } else if (is(command, "sleep") && has_number) {
        *answer = of_outcome(theater_sleep_ms(number));
    } else if (is(command, "deadline") && has_number) {
        *answer = of_outcome(theater_deadline_ms(number));
    } else if (is(command, "random") && has_number) {
        struct theater_outcome outcome = theater_random_bytes((uint32_t)number);
        *answer =
            outcome.ok ? good(theater_join(outcome.value.size, " bytes")) : bad(outcome.error);
    } else if (is(command, "spin") && has_number) {
        *answer = spin(number);
    } else {
        return false;
    }
    return true;
}

static bool do_own(struct theater_bytes command, struct theater_bytes rest, struct state *state,
                   struct answer *answer) {
    uint64_t number = 0;
    *answer = good(theater_text("ok"));
    if (is(command, "err")) {
        *answer = bad(rest.size != 0 ? rest : theater_text("probe: asked to fail"));
    } else if (is(command, "log")) {
        theater_log(rest);
    } else if (is(command, "echo")) {
        *answer = good(rest);
    } else if (is(command, "state")) {
        *answer = good(state->text);
    } else if (is(command, "set-state")) {
        state->text = rest;
    } else if (is(command, "grow-state") && theater_parse_number(rest, &number)) {
        if (number > STATE_LIMIT) {
            *answer = bad(theater_text("probe: that is more than 256 MiB"));
            return true;
        }
        uint8_t *bytes = theater_alloc((size_t)number);
        __builtin_memset(bytes, 'x', (size_t)number);
        state->text = (struct theater_bytes){bytes, (size_t)number};
    } else if (is(command, "self")) {
        *answer = good(theater_self());
    } else if (is(command, "get-state")) {
        *answer = good(theater_get_state());
    } else if (is(command, "chain")) {
        size_t count;
        theater_get_chain(&count);
        *answer = good(theater_text(count));
    } else if (is(command, "shutdown")) {
        *answer = of_outcome(theater_shutdown(rest.size != 0 ? rest : THEATER_NONE));
    } else {
        return false;
    }
    return true;
}

static struct answer run(struct theater_bytes message, struct state *state) {
    struct theater_bytes rest = message;
    struct theater_bytes command = theater_word(&rest);
    struct answer answer = {0};
    if (is(command, "loop") || is(command, "trap") || is(command, "bomb") || is(command, "stack") ||
        is(command, "frames")) {
        return misbehave(command);
    }
    if (do_own(command, rest, state, &answer) || do_messages(command, rest, state, &answer) ||
        do_children(command, rest, &answer) || do_time_and_chance(command, rest, &answer)) {
        return answer;
    }
    return bad(theater_join("probe: unknown command \"", message, "\""));
}

// ---- handlers
// --------------------------------------------------------------------------------------

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    theater_log("probe ", own_id, theater_is_none(state) ? " begins" : " begins with ", state);
    if (theater_text_equal(state, "{\"init\":\"err\"}")) {
        return theater_error("probe: asked to fail in init");
    }
    if (theater_text_equal(state, "{\"init\":\"trap\"}")) {
        theater_trap();
    }
    return theater_ok(theater_is_none(state) ? theater_text("") : state);
}

static struct theater_result on_send(struct theater_bytes bytes, struct theater_bytes message) {
    struct state state = read_state(bytes);
    struct answer answer = run(message, &state);
    if (!answer.ok && theater_starts_with(message, "err")) {
        return theater_error(answer.text);
    }
    struct theater_bytes rest = message;
    theater_log(theater_word(&rest), answer.ok ? ": " : " failed: ", answer.text);
    return theater_ok(write_state(state));
}

static struct theater_result on_request(struct theater_bytes bytes, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    struct state state = read_state(bytes);
    if (theater_text_equal(message, "late")) {
        state.late = request_id;
        return theater_reply_later(write_state(state));
    }
    struct answer answer = run(message, &state);
    if (!answer.ok) {
        return theater_error(answer.text);
    }
    return theater_reply(write_state(state), answer.text);
}

static struct theater_result on_open(struct theater_bytes state, struct theater_bytes channel,
                                     struct theater_bytes first) {
    theater_log("channel ", channel, " opens: ", first);
    if (theater_text_equal(first, "refuse")) {
        return theater_refuse(state, "probe: asked to refuse");
    }
    if (theater_text_equal(first, "silent")) {
        return theater_accept(state, THEATER_NONE);
    }
    return theater_accept(state, "welcome");
}

// An echo of an echo would never end, so an echo is only logged.
static struct theater_result on_channel_message(struct theater_bytes state,
                                                struct theater_bytes channel,
                                                struct theater_bytes message) {
    theater_log("channel ", channel, " says: ", message);
    struct theater_outcome outcome = {.ok = true};
    if (theater_text_equal(message, "bye")) {
        outcome = theater_close_channel(channel);
    } else if (!theater_starts_with(message, "echo: ") && !theater_text_equal(message, "welcome")) {
        outcome = theater_send_on_channel(channel, theater_join("echo: ", message));
    }
    return outcome.ok ? theater_ok(state) : theater_error(outcome.error);
}

static struct theater_result on_channel_close(struct theater_bytes state,
                                              struct theater_bytes channel) {
    theater_log("channel ", channel, " is closed");
    return theater_ok(state);
}

static struct theater_result notice(struct theater_bytes state, struct theater_bytes line) {
    theater_log(line);
    return theater_ok(theater_join(state, line, "\n"));
}

static struct theater_result on_child_error(struct theater_bytes state, struct theater_bytes child,
                                            enum theater_error_type type,
                                            struct theater_bytes text) {
    return notice(state, theater_join("child ", child, " error ", (int)type, ": ", text));
}

static struct theater_result on_child_exit(struct theater_bytes state, struct theater_bytes child,
                                           struct theater_bytes data) {
    return notice(state, theater_join("child ", child, " exit: ",
                                      theater_is_none(data) ? theater_text("none") : data));
}

static struct theater_result on_child_stop(struct theater_bytes state, struct theater_bytes child) {
    return notice(state, theater_join("child ", child, " stopped"));
}

THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);
THEATER_HANDLE_REQUEST(on_request);
THEATER_HANDLE_CHANNEL_OPEN(on_open);
THEATER_HANDLE_CHANNEL_MESSAGE(on_channel_message);
THEATER_HANDLE_CHANNEL_CLOSE(on_channel_close);
THEATER_HANDLE_CHILD_ERROR(on_child_error);
THEATER_HANDLE_CHILD_EXIT(on_child_exit);
THEATER_HANDLE_CHILD_EXTERNAL_STOP(on_child_stop);

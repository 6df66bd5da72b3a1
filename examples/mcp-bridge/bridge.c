// SPDX-License-Identifier: Apache-2.0
// A bridge to a tool server that talks JSON-RPC over its standard input and output, one message a
// line (as the Model Context Protocol does). A request to the actor is {"method": …, "params": …};
// it is passed on, and answered when the tool server has answered.
//
// The state is text: the process, the number of the last call, what is left of an unfinished line,
// and a line "NUMBER REQUEST" for each call that waits. When the tool server ends, the actor
// crashes and its supervisor starts both again.
#include "theater-process.h"

struct bridge {
    uint64_t pid, last_call;
    struct theater_bytes waiting;     // lines
    struct theater_bytes unfinished;  // output
};

// The first line of a state has the numbers and the size of the lines that wait.
static struct bridge read_state(struct theater_bytes state) {
    struct bridge bridge = {0};
    uint64_t size = 0;
    struct theater_bytes rest = state, line = theater_line(&rest);
    (void)theater_parse_number(theater_word(&line), &bridge.pid);
    (void)theater_parse_number(theater_word(&line), &bridge.last_call);
    (void)theater_parse_number(line, &size);
    if (size <= rest.size) {
        bridge.waiting = (struct theater_bytes){rest.data, (size_t)size};
        bridge.unfinished = (struct theater_bytes){rest.data + size, rest.size - (size_t)size};
    }
    return bridge;
}

static struct theater_bytes write_state(const struct bridge *bridge) {
    return theater_join(bridge->pid, " ", bridge->last_call, " ", bridge->waiting.size, "\n",
                        bridge->waiting, bridge->unfinished);
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    struct theater_bytes program = theater_json_field(state, "program");
    struct theater_bytes arguments[] = {theater_json_field(state, "script")};
    struct bridge bridge = {0};
    struct theater_process_config config = {
        .program = program,
        .arguments = arguments,
        .argument_count = 1,
        .buffer_size = 1U << 30,  // a bound, not a buffer: answers may be long
        .output_mode = THEATER_RAW,
        .error_mode = THEATER_LINE_BY_LINE,
    };
    struct theater_outcome outcome = theater_os_spawn(&config, &bridge.pid);
    if (!outcome.ok) {
        return theater_error("the tool server did not start: ", outcome.error);
    }
    return theater_ok(write_state(&bridge));
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    struct bridge bridge = read_state(state);
    struct theater_bytes params = theater_json_field(message, "params");
    struct theater_bytes line =
        theater_join("{\"jsonrpc\":\"2.0\",\"id\":", bridge.last_call + 1,
                     ",\"method\":", theater_json_string(theater_json_field(message, "method")),
                     theater_is_none(params) ? "" : ",\"params\":", params, "}\n");
    uint32_t written = 0;
    struct theater_outcome outcome = theater_os_write_stdin(bridge.pid, line, &written);
    if (!outcome.ok || written != line.size) {
        return theater_error("the tool server does not listen: ", outcome.error);
    }
    bridge.last_call++;
    bridge.waiting = theater_join(bridge.waiting, bridge.last_call, " ", request_id, "\n");
    return theater_reply_later(write_state(&bridge));
}

// Answers the request that waits for the call, and takes it off the list.
static void answer(struct bridge *bridge, struct theater_bytes call, struct theater_bytes reply) {
    struct theater_bytes rest = bridge->waiting;
    while (rest.size != 0) {
        struct theater_bytes before = {bridge->waiting.data, bridge->waiting.size - rest.size};
        struct theater_bytes request = theater_line(&rest);
        if (theater_text_equal(theater_word(&request), call)) {
            struct theater_outcome outcome = theater_respond(request, reply);
            if (!outcome.ok) {
                theater_log("nobody waits for call ", call, ": ", outcome.error);
            }
            bridge->waiting = theater_join(before, rest);
            return;
        }
    }
}

// Output comes as the tool server writes it: a line may be in pieces, or several in one.
static struct theater_result on_stdout(struct theater_bytes state, uint64_t pid,
                                       struct theater_bytes output) {
    (void)pid;
    struct bridge bridge = read_state(state);
    struct theater_bytes rest = theater_join(bridge.unfinished, output);
    for (;;) {
        struct theater_bytes from = rest, line = theater_line(&rest);
        if (from.size == line.size) {  // no end of line
            bridge.unfinished = from;
            return theater_ok(write_state(&bridge));
        }
        struct theater_bytes call = theater_json_field(line, "id");
        struct theater_bytes result = theater_json_field(line, "result");
        if (!theater_is_none(call)) {
            answer(&bridge, call, theater_is_none(result) ? line : result);
        }
    }
}

static struct theater_result on_stderr(struct theater_bytes state, uint64_t pid,
                                       struct theater_bytes line) {
    (void)pid;
    theater_log("tool server: ", line);
    return theater_ok(state);
}

static struct theater_result on_exit(struct theater_bytes state, uint64_t pid, int32_t code) {
    (void)state;
    (void)pid;
    return theater_error("the tool server ended with ", code);
}

THEATER_INIT(on_init);
THEATER_HANDLE_REQUEST(on_request);
THEATER_HANDLE_STDOUT(on_stdout);
THEATER_HANDLE_STDERR(on_stderr);
THEATER_HANDLE_EXIT(on_exit);

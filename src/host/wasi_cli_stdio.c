// SPDX-License-Identifier: Apache-2.0
// wasi:cli/stdin, stdout and stderr. An actor reads nothing: stdin is at its end. What it writes
// goes to its log line by line, as runtime.log does, stderr's lines marked. A line without its end
// waits for it, over turns too; it is logged as it is when it gets long or the instance ends.
#include "host/wasi.h"

enum { LINE_MOST_BYTES = 2048 };

static const char *const marks[WASI_OUTPUT_COUNT] = {"", "stderr: "};

static void log_rest(struct actor *self, enum wasi_output which, struct buf *rest) {
    struct buf line = {0};
    buf_append_text(&line, marks[which]);
    buf_append_slice(&line, buf_slice(rest));
    actor_log(self, buf_slice(&line));
    buf_release(&line);
    buf_clear(rest);
}

void wasi_lines_release(struct wasi_lines *lines, struct actor *self) {
    for (int which = 0; which < WASI_OUTPUT_COUNT; which++) {
        if (lines->rest[which].size > 0) {
            log_rest(self, (enum wasi_output)which, &lines->rest[which]);
        }
        buf_release(&lines->rest[which]);
    }
}

static enum wasi_outcome write_lines(struct component_call *call, enum wasi_output which,
                                     struct slice content) {
    struct actor *self = host_self(call);
    struct buf *rest = &host_state_of(self)->lines.rest[which];
    while (content.size > 0) {
        const uint8_t *end = memchr(content.data, '\n', content.size);
        size_t size = end != NULL ? (size_t)(end - content.data) : content.size;
        bool is_long = size > LINE_MOST_BYTES - rest->size;
        size = is_long ? LINE_MOST_BYTES - rest->size : size;
        buf_append(rest, content.data, size);
        bool is_ended = end != NULL && !is_long;
        size_t taken = size + is_ended;
        if (is_ended || is_long) {
            log_rest(self, which, rest);
        }
        content = slice_of(content.data + taken, content.size - taken);
    }
    return WASI_DONE;
}

static enum wasi_outcome write_stdout(struct wasi_sink *sink, struct component_call *call,
                                      struct slice content, enum wasi_failure *failure) {
    (void)sink;
    (void)failure;
    return write_lines(call, WASI_STDOUT, content);
}

static enum wasi_outcome write_stderr(struct wasi_sink *sink, struct component_call *call,
                                      struct slice content, enum wasi_failure *failure) {
    (void)sink;
    (void)failure;
    return write_lines(call, WASI_STDERR, content);
}

// They hold nothing: every stream of an actor may be the same one.
static struct wasi_sink sinks[WASI_OUTPUT_COUNT] = {{write_stdout}, {write_stderr}};

static bool get_stdin(struct component_call *call, const struct value *args, struct value *result) {
    (void)args;
    return wasi_add(
        call, (struct wasi_slot){.kind = WASI_INPUT_STREAM, .number = WASI_STREAM_CLOSED}, result);
}

static bool get_stdout(struct component_call *call, const struct value *args,
                       struct value *result) {
    (void)args;
    return wasi_add(call,
                    (struct wasi_slot){.kind = WASI_OUTPUT_STREAM, .object = &sinks[WASI_STDOUT]},
                    result);
}

static bool get_stderr(struct component_call *call, const struct value *args,
                       struct value *result) {
    (void)args;
    return wasi_add(call,
                    (struct wasi_slot){.kind = WASI_OUTPUT_STREAM, .object = &sinks[WASI_STDERR]},
                    result);
}

static const struct host_function stdin_functions[] = {
    {"get-stdin", "wasi:cli/stdin.get-stdin", get_stdin, {"func() -> own<input-stream>"}},
};
static const struct host_function stdout_functions[] = {
    {"get-stdout", "wasi:cli/stdout.get-stdout", get_stdout, {"func() -> own<output-stream>"}},
};
static const struct host_function stderr_functions[] = {
    {"get-stderr", "wasi:cli/stderr.get-stderr", get_stderr, {"func() -> own<output-stream>"}},
};
const struct host_interface wasi_cli_stdin = {"wasi:cli/stdin", stdin_functions,
                                              COUNT_OF(stdin_functions)};
const struct host_interface wasi_cli_stdout = {"wasi:cli/stdout", stdout_functions,
                                               COUNT_OF(stdout_functions)};
const struct host_interface wasi_cli_stderr = {"wasi:cli/stderr", stderr_functions,
                                               COUNT_OF(stderr_functions)};

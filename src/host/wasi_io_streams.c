// SPDX-License-Identifier: Apache-2.0
// wasi:io/streams over whatever a source or sink is (wasi.h). Nothing is buffered here: a write is
// done when it returns, so flushing has nothing to do and check-write always permits the same. A
// stream is closed once an operation on it has failed.
#include "host/wasi.h"

// The bytes that check-write permits, and the most that one write takes.
static const uint64_t WRITE_MOST = WASI_STREAM_MOST_BYTES;

// ---- results
// -----------------------------------------------------------------------------------

// result<…, stream-error>: error(closed), or error(last-operation-failed(error)).
static bool fail(struct component_call *call, enum wasi_outcome outcome, enum wasi_failure failure,
                 struct value *result) {
    if (outcome == WASI_TRAPPED) {
        return false;
    }
    struct value *items = host_alloc(call, 2, sizeof *items);
    if (items == NULL) {
        return false;
    }
    items[0] = (struct value){.items = NULL, .which = 1};
    if (outcome == WASI_FAILED) {
        struct wasi_slot slot = {.kind = WASI_ERROR, .number = (uint64_t)failure};
        if (!wasi_add(call, slot, &items[1])) {
            return false;
        }
        items[0] = (struct value){.items = &items[1], .which = 0};
    }
    *result = (struct value){.items = items, .which = 1};
    return true;
}

// A stream on which something failed takes part in nothing any more.
static enum wasi_outcome after(struct wasi_slot *stream, enum wasi_outcome outcome) {
    if (outcome == WASI_FAILED) {
        stream->number = WASI_STREAM_CLOSED;
    }
    return outcome;
}

static bool is_ready(struct component_call *call, const struct value *stream, enum wasi_kind kind,
                     struct value *result) {
    return wasi_get(call, stream, kind) != NULL && wasi_add_pollable(call, 0, result);
}

// ---- input-stream
// ------------------------------------------------------------------------------

static enum wasi_outcome read_some(struct component_call *call, const struct value *stream,
                                   uint64_t most, struct slice *content,
                                   enum wasi_failure *failure) {
    struct wasi_slot *slot = wasi_get(call, stream, WASI_INPUT_STREAM);
    *content = slice_of(NULL, 0);
    if (slot == NULL) {
        return WASI_TRAPPED;
    }
    if (slot->number == WASI_STREAM_CLOSED) {
        return WASI_CLOSED;
    }
    if (most == 0) {
        return WASI_DONE;
    }
    struct wasi_source *source = slot->object;
    most = most < WASI_STREAM_MOST_BYTES ? most : WASI_STREAM_MOST_BYTES;
    return after(slot, source->read(source, call, most, content, failure));
}

static bool input_read(struct component_call *call, const struct value *args,
                       struct value *result) {
    struct slice content;
    enum wasi_failure failure = WASI_IO;
    enum wasi_outcome outcome = read_some(call, &args[0], args[1].bits, &content, &failure);
    if (outcome != WASI_DONE) {
        return fail(call, outcome, failure, result);
    }
    struct value bytes = {.bytes = content.data, .count = (uint32_t)content.size};
    return host_ok_value(call, bytes, result);
}

static bool input_skip(struct component_call *call, const struct value *args,
                       struct value *result) {
    struct slice content;
    enum wasi_failure failure = WASI_IO;
    enum wasi_outcome outcome = read_some(call, &args[0], args[1].bits, &content, &failure);
    if (outcome != WASI_DONE) {
        return fail(call, outcome, failure, result);
    }
    return host_ok_value(call, (struct value){.bits = content.size}, result);
}

static bool input_subscribe(struct component_call *call, const struct value *args,
                            struct value *result) {
    return is_ready(call, &args[0], WASI_INPUT_STREAM, result);
}

// ---- output-stream
// -----------------------------------------------------------------------------

// Whether an output-stream takes anything.
static enum wasi_outcome look(struct component_call *call, const struct value *stream) {
    const struct wasi_slot *slot = wasi_get(call, stream, WASI_OUTPUT_STREAM);
    if (slot == NULL) {
        return WASI_TRAPPED;
    }
    return slot->number == WASI_STREAM_CLOSED ? WASI_CLOSED : WASI_DONE;
}

static bool check_write(struct component_call *call, const struct value *args,
                        struct value *result) {
    enum wasi_outcome outcome = look(call, &args[0]);
    return outcome == WASI_DONE ? host_ok_value(call, (struct value){.bits = WRITE_MOST}, result)
                                : fail(call, outcome, WASI_IO, result);
}

static enum wasi_outcome write_all(struct component_call *call, const struct value *stream,
                                   struct slice content, enum wasi_failure *failure) {
    struct wasi_slot *slot = wasi_get(call, stream, WASI_OUTPUT_STREAM);
    if (slot == NULL) {
        return WASI_TRAPPED;
    }
    if (content.size > WRITE_MOST) {
        component_call_trap(call, "a write of %zu bytes is more than check-write permits (%llu)",
                            content.size, (unsigned long long)WRITE_MOST);
        return WASI_TRAPPED;
    }
    if (slot->number == WASI_STREAM_CLOSED) {
        return WASI_CLOSED;
    }
    struct wasi_sink *sink = slot->object;
    return content.size == 0 ? WASI_DONE : after(slot, sink->write(sink, call, content, failure));
}

static bool answer_write(struct component_call *call, const struct value *stream,
                         struct slice content, struct value *result) {
    enum wasi_failure failure = WASI_IO;
    enum wasi_outcome outcome = write_all(call, stream, content, &failure);
    return outcome == WASI_DONE ? host_ok(result) : fail(call, outcome, failure, result);
}

static bool output_write(struct component_call *call, const struct value *args,
                         struct value *result) {
    return answer_write(call, &args[0], host_bytes(&args[1]), result);
}

static bool write_zeroes(struct component_call *call, const struct value *args,
                         struct value *result) {
    static const uint8_t zeroes[WASI_STREAM_MOST_BYTES];
    uint64_t size = args[1].bits;
    if (size > sizeof zeroes) {
        return component_call_trap(call,
                                   "a write of %llu bytes is more than check-write permits (%zu)",
                                   (unsigned long long)size, sizeof zeroes);
    }
    return answer_write(call, &args[0], slice_of(zeroes, (size_t)size), result);
}

static bool output_flush(struct component_call *call, const struct value *args,
                         struct value *result) {
    enum wasi_outcome outcome = look(call, &args[0]);
    return outcome == WASI_DONE ? host_ok(result) : fail(call, outcome, WASI_IO, result);
}

static bool output_subscribe(struct component_call *call, const struct value *args,
                             struct value *result) {
    return is_ready(call, &args[0], WASI_OUTPUT_STREAM, result);
}

static bool output_splice(struct component_call *call, const struct value *args,
                          struct value *result) {
    struct slice content;
    enum wasi_failure failure = WASI_IO;
    enum wasi_outcome outcome = look(call, &args[0]);
    if (outcome == WASI_DONE) {
        outcome = read_some(call, &args[1], args[2].bits, &content, &failure);
    }
    if (outcome == WASI_DONE) {
        outcome = write_all(call, &args[0], content, &failure);
    }
    if (outcome != WASI_DONE) {
        return fail(call, outcome, failure, result);
    }
    return host_ok_value(call, (struct value){.bits = content.size}, result);
}

#define NAME "wasi:io/streams"
#define FAILS "variant{last-operation-failed(own<error>), closed}>"
#define IN(name) "[method]input-stream." name, NAME ".[method]input-stream." name
#define OUT(name) "[method]output-stream." name, NAME ".[method]output-stream." name
#define READ "func(borrow<input-stream>, u64) -> result<list<u8>, " FAILS
#define SKIP "func(borrow<input-stream>, u64) -> result<u64, " FAILS
#define WRITE "func(borrow<output-stream>, list<u8>) -> result<_, " FAILS
#define FLUSH "func(borrow<output-stream>) -> result<_, " FAILS
#define ZEROES "func(borrow<output-stream>, u64) -> result<_, " FAILS
#define SPLICE "func(borrow<output-stream>, borrow<input-stream>, u64) -> result<u64, " FAILS

static const struct host_function functions[] = {
    {IN("read"), input_read, {READ}},
    {IN("blocking-read"), input_read, {READ}},
    {IN("skip"), input_skip, {SKIP}},
    {IN("blocking-skip"), input_skip, {SKIP}},
    {IN("subscribe"), input_subscribe, {"func(borrow<input-stream>) -> own<pollable>"}},
    {OUT("check-write"), check_write, {"func(borrow<output-stream>) -> result<u64, " FAILS}},
    {OUT("write"), output_write, {WRITE}},
    {OUT("blocking-write-and-flush"), output_write, {WRITE}},
    {OUT("flush"), output_flush, {FLUSH}},
    {OUT("blocking-flush"), output_flush, {FLUSH}},
    {OUT("subscribe"), output_subscribe, {"func(borrow<output-stream>) -> own<pollable>"}},
    {OUT("write-zeroes"), write_zeroes, {ZEROES}},
    {OUT("blocking-write-zeroes-and-flush"), write_zeroes, {ZEROES}},
    {OUT("splice"), output_splice, {SPLICE}},
    {OUT("blocking-splice"), output_splice, {SPLICE}},
};
const struct host_interface wasi_io_streams = {NAME, functions, COUNT_OF(functions)};

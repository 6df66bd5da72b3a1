// SPDX-License-Identifier: Apache-2.0
// The C SDK for Theater actors: one header, no C library, no allocation to look after.
//
// An actor is a few plain functions and one macro for each:
//
//     static struct theater_result on_send(struct theater_bytes state, struct theater_bytes
//     message) {
//         theater_log("got ", message);
//         return theater_ok(state);
//     }
//     THEATER_HANDLE_SEND(on_send);
//
// `theater-cc actor.c -o actor.wasm` makes the component. What the actor imports and exports
// follows from what it uses: an actor that never calls theater_spawn does not import the
// supervisor.
//
// Three rules:
//  1. Everything that the SDK hands out (parameters, results of host functions, theater_join,
//     theater_alloc) lives until the turn is over, then all of it is gone at once. Never free.
//  2. What must last belongs in the state. Static variables survive turns but not restarts.
//  3. A handler either succeeds with the next state or fails with a text; after a failure the
//     state is what it was before. theater_trap() ends the actor's instance.
//
// Wherever a parameter below is called `text`, any of these may be given: a string literal, a
// struct theater_bytes, or an integer (which becomes decimal digits).
#ifndef THEATER_H
#define THEATER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- values ------------------------------------------------------------------------------------

// A slice of bytes, or of text in UTF-8. `data == NULL` means none, which is not the same as empty.
struct theater_bytes {
    const uint8_t *data;
    size_t size;
};

#define THEATER_NONE ((struct theater_bytes){NULL, 0})

// A list of texts, for example of ids.
struct theater_list {
    const struct theater_bytes *items;
    size_t count;
};

// What a host function that can fail gives back: `value` (none where there is no value) if `ok`,
// otherwise the text in `error`.
struct theater_outcome {
    bool ok;
    struct theater_bytes value;
    struct theater_bytes error;
};

// What a handler gives back; made by the functions theater_ok … theater_refuse.
struct theater_result {
    bool ok;
    bool accepted;               // for channel-open: the channel is wanted
    struct theater_bytes state;  // the next state; none keeps the current one
    struct theater_bytes reply;  // for request: the answer; for channel-open: the first message
    struct theater_bytes error;  // the text of the failure
};

// Why a child failed.
enum theater_error_type {
    THEATER_OPERATION_TIMEOUT,
    THEATER_CHANNEL_CLOSED,
    THEATER_SHUTTING_DOWN,
    THEATER_FUNCTION_NOT_FOUND,
    THEATER_TYPE_MISMATCH,
    THEATER_INTERNAL,
    THEATER_SERIALIZATION_ERROR,
    THEATER_UPDATE_COMPONENT_ERROR,
    THEATER_PAUSED,
};

// An event of the actor's own chain.
struct theater_event {
    uint64_t hash;              // the first eight bytes of the event's hash
    struct theater_bytes type;  // the function that was called, or a step in the actor's life
    uint8_t has_parent;
    uint64_t parent;
    struct theater_bytes data;
};

// An event of a child's chain.
struct theater_child_event {
    struct theater_bytes hash;  // 32 bytes
    uint8_t has_parent;
    struct theater_bytes parent;
    struct theater_bytes type;
    struct theater_bytes data;
    uint64_t timestamp_ms;
};

// Small functions are inlined; the others exist once, however many sources the actor has.
#define THEATER__INTERNAL static inline __attribute__((unused))
#define THEATER__SHARED __attribute__((weak, visibility("hidden")))

// Ends the instance at once. The restart policy decides what comes next.
#define theater_trap() __builtin_trap()

// ---- memory: one arena per turn ----------------------------------------------------------------

// The arena grows from the end of the static data and is empty again after each turn: when the
// host has read the result it calls the export's post-return function, which resets it. So memory
// stays at the size of the largest turn.
extern uint8_t __heap_base;
THEATER__SHARED uintptr_t theater__top;  // first free byte; 0 when nothing is in use

// Grows the memory so that `end` lies inside it; by an eighth at least, while the limit allows
// that.
THEATER__SHARED void theater__grow(uint64_t end) {
    uint64_t have = __builtin_wasm_memory_size(0);
    uint64_t need = ((end + 65535) >> 16) - have;
    uint64_t generous = need > have / 8 ? need : have / 8;
    if (have + generous <= 65535 && __builtin_wasm_memory_grow(0, (size_t)generous) != (size_t)-1) {
        return;
    }
    if (have + need > 65535 || __builtin_wasm_memory_grow(0, (size_t)need) == (size_t)-1) {
        __builtin_trap();  // the actor's memory limit
    }
}

// Sizes are added in 64 bits, so that none wraps round.
THEATER__SHARED void *theater__alloc(uint64_t size, size_t align) {
    uint64_t top = theater__top != 0 ? theater__top : (uintptr_t)&__heap_base;
    uint64_t start = (top + align - 1) & ~(uint64_t)(align - 1);
    uint64_t end = start + size;
    if (size > UINT32_MAX) {
        __builtin_trap();
    }
    if (end > (uint64_t)__builtin_wasm_memory_size(0) << 16) {
        theater__grow(end);
    }
    theater__top = (uintptr_t)end;
    return (void *)(uintptr_t)start;
}

// Memory for the rest of this turn, aligned for any type, not cleared. Never NULL: an actor that
// needs more than its limit traps.
THEATER__INTERNAL void *theater_alloc(size_t size) {
    return theater__alloc(size, 8);
}

THEATER__INTERNAL void theater_copy(void *to, const void *from, size_t size) {
    __builtin_memcpy(to, from, size);
}

// The host asks here for room for parameters and results. The last block grows where it is.
__attribute__((weak, export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size,
                                                                      size_t align, size_t size) {
    if (old_size != 0 && (uintptr_t)old + old_size == theater__top &&
        ((uintptr_t)old & (align - 1)) == 0) {
        theater__top = (uintptr_t)old;
        return theater__alloc(size, align);
    }
    void *block = theater__alloc(size, align);
    if (old_size != 0) {
        theater_copy(block, old, old_size < size ? old_size : size);
    }
    return block;
}

// ---- text --------------------------------------------------------------------------------------

THEATER__INTERNAL struct theater_bytes theater__of_bytes(struct theater_bytes bytes) {
    return bytes;
}

THEATER__INTERNAL struct theater_bytes theater__of_string(const char *string) {
    size_t size = 0;
    if (__builtin_constant_p(__builtin_strlen(string))) {
        size = __builtin_strlen(string);  // a literal, after inlining
    } else {
        while (string[size] != 0) {
            size++;
        }
    }
    return (struct theater_bytes){(const uint8_t *)string, size};
}

THEATER__SHARED struct theater_bytes theater__digits(uint64_t magnitude, bool negative) {
    uint8_t *digits = theater__alloc(20, 1);
    size_t at = 20;
    do {
        digits[--at] = (uint8_t)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude != 0);
    if (negative) {
        digits[--at] = '-';
    }
    return (struct theater_bytes){digits + at, 20 - at};
}

THEATER__INTERNAL struct theater_bytes theater__of_unsigned(uint64_t number) {
    return theater__digits(number, false);
}

THEATER__INTERNAL struct theater_bytes theater__of_signed(int64_t number) {
    return theater__digits(number < 0 ? 0 - (uint64_t)number : (uint64_t)number, number < 0);
}

// Makes a struct theater_bytes of a string, a slice or an integer.
// clang-format off
#define theater_text(text)                                                              \
    _Generic((text),                                                                    \
        struct theater_bytes: theater__of_bytes,                                        \
        char *: theater__of_string, const char *: theater__of_string,                   \
        signed char: theater__of_signed, short: theater__of_signed,                     \
        int: theater__of_signed, long: theater__of_signed,                              \
        long long: theater__of_signed, _Bool: theater__of_unsigned,                     \
        unsigned char: theater__of_unsigned, unsigned short: theater__of_unsigned,      \
        unsigned: theater__of_unsigned, unsigned long: theater__of_unsigned,            \
        unsigned long long: theater__of_unsigned)(text)
// clang-format on

// Up to twelve texts, each converted by theater_text.
#define THEATER__1(a) theater_text(a)
#define THEATER__2(a, ...) theater_text(a), THEATER__1(__VA_ARGS__)
#define THEATER__3(a, ...) theater_text(a), THEATER__2(__VA_ARGS__)
#define THEATER__4(a, ...) theater_text(a), THEATER__3(__VA_ARGS__)
#define THEATER__5(a, ...) theater_text(a), THEATER__4(__VA_ARGS__)
#define THEATER__6(a, ...) theater_text(a), THEATER__5(__VA_ARGS__)
#define THEATER__7(a, ...) theater_text(a), THEATER__6(__VA_ARGS__)
#define THEATER__8(a, ...) theater_text(a), THEATER__7(__VA_ARGS__)
#define THEATER__9(a, ...) theater_text(a), THEATER__8(__VA_ARGS__)
#define THEATER__10(a, ...) theater_text(a), THEATER__9(__VA_ARGS__)
#define THEATER__11(a, ...) theater_text(a), THEATER__10(__VA_ARGS__)
#define THEATER__12(a, ...) theater_text(a), THEATER__11(__VA_ARGS__)
#define THEATER__PICK(a, b, c, d, e, f, g, h, i, j, k, l, name, ...) name
#define THEATER__TEXTS(...)                                                                     \
    ((struct theater_bytes[]){THEATER__PICK(                                                    \
        __VA_ARGS__, THEATER__12, THEATER__11, THEATER__10, THEATER__9, THEATER__8, THEATER__7, \
        THEATER__6, THEATER__5, THEATER__4, THEATER__3, THEATER__2, THEATER__1, )(__VA_ARGS__)})
#define THEATER__COUNT(...) THEATER__PICK(__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, )

THEATER__SHARED struct theater_bytes theater__join(const struct theater_bytes *parts,
                                                   size_t count) {
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += parts[i].size;
    }
    uint8_t *text = theater__alloc(size, 1);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        theater_copy(text + at, parts[i].data, parts[i].size);
        at += parts[i].size;
    }
    return (struct theater_bytes){text, (size_t)size};
}

// One text of up to twelve: theater_join("count is ", count).
#define theater_join(...) theater__join(THEATER__TEXTS(__VA_ARGS__), THEATER__COUNT(__VA_ARGS__))

THEATER__INTERNAL bool theater_is_none(struct theater_bytes bytes) {
    return bytes.data == NULL;
}

THEATER__SHARED bool theater__starts_with(struct theater_bytes bytes, struct theater_bytes with) {
    if (bytes.size < with.size) {
        return false;
    }
    for (size_t i = 0; i < with.size; i++) {
        if (bytes.data[i] != with.data[i]) {
            return false;
        }
    }
    return true;
}

THEATER__INTERNAL bool theater__equal(struct theater_bytes one, struct theater_bytes other) {
    return one.size == other.size && theater__starts_with(one, other);
}

// Whether two texts are the same bytes; whether one begins with the other. None equals empty.
#define theater_text_equal(text, other) theater__equal(theater_text(text), theater_text(other))
#define theater_starts_with(text, prefix) \
    theater__starts_with(theater_text(text), theater_text(prefix))

// Takes the first word off a text: moves `rest` behind it and the blanks after it. Empty at the
// end.
THEATER__SHARED struct theater_bytes theater_word(struct theater_bytes *rest) {
    size_t end = 0;
    while (end < rest->size && rest->data[end] != ' ') {
        end++;
    }
    struct theater_bytes word = {rest->data, end};
    while (end < rest->size && rest->data[end] == ' ') {
        end++;
    }
    *rest = (struct theater_bytes){rest->data + end, rest->size - end};
    return word;
}

// Takes the first line off a text, without its end, and moves `rest` behind it. Empty at the end.
THEATER__SHARED struct theater_bytes theater_line(struct theater_bytes *rest) {
    size_t end = 0;
    while (end < rest->size && rest->data[end] != '\n') {
        end++;
    }
    struct theater_bytes line = {rest->data, end};
    end += end < rest->size;
    *rest = (struct theater_bytes){rest->data + end, rest->size - end};
    return line;
}

// Reads decimal digits. Anything else, or a number that is too large, is false and leaves `number`
// as it is.
THEATER__SHARED bool theater_parse_number(struct theater_bytes bytes, uint64_t *number) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned digit = (unsigned)bytes.data[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (bytes.size == 0) {
        return false;
    }
    *number = value;
    return true;
}

// ---- state -------------------------------------------------------------------------------------

// Fills a struct from a state that theater_store made. When the state is none, or of another size,
// the struct is cleared and the answer is false.
THEATER__INTERNAL bool theater_load(struct theater_bytes state, void *value, size_t size) {
    bool fits = state.size == size && state.data != NULL;
    if (fits) {
        theater_copy(value, state.data, size);
    } else {
        __builtin_memset(value, 0, size);
    }
    return fits;
}

// Copies a struct, so that a local variable may become the state.
THEATER__INTERNAL struct theater_bytes theater_store(const void *value, size_t size) {
    uint8_t *copy = theater_alloc(size);
    theater_copy(copy, value, size);
    return (struct theater_bytes){copy, size};
}

// ---- JSON: just enough for small messages ------------------------------------------------------

// The end of the JSON value that begins at `at`; strings and brackets are followed, not checked.
THEATER__SHARED size_t theater__json_end(struct theater_bytes json, size_t at) {
    size_t depth = 0;
    bool quoted = false;
    for (; at < json.size; at++) {
        uint8_t c = json.data[at];
        if (quoted) {
            at += c == '\\';
            quoted = c != '"';
            if (!quoted && depth == 0) {
                return at + 1 < json.size ? at + 1 : json.size;
            }
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth <= 1) {
                return depth == 0 ? at : at + 1;
            }
            depth--;
        } else if (depth == 0 && (c == ',' || c == ':' || c <= ' ')) {
            return at;
        }
    }
    return json.size;
}

THEATER__INTERNAL size_t theater__json_skip(struct theater_bytes json, size_t at) {
    while (at < json.size && (json.data[at] <= ' ' || json.data[at] == ',' ||
                              json.data[at] == ':' || json.data[at] == '{')) {
        at++;
    }
    return at;
}

THEATER__SHARED struct theater_bytes theater__json_field(struct theater_bytes json,
                                                         struct theater_bytes name) {
    size_t at = theater__json_skip(json, 0);
    while (at < json.size && json.data[at] == '"') {
        size_t name_end = theater__json_end(json, at);
        struct theater_bytes found = {json.data + at + 1, name_end - at - 1};
        found.size -= found.size != 0;
        at = name_end;
        while (at < json.size && (json.data[at] <= ' ' || json.data[at] == ':')) {
            at++;
        }
        size_t end = theater__json_end(json, at);
        if (theater__equal(found, name)) {
            bool is_string = end - at >= 2 && json.data[at] == '"';
            return (struct theater_bytes){json.data + at + is_string, end - at - 2 * is_string};
        }
        at = theater__json_skip(json, end);
    }
    return THEATER_NONE;
}

// The value of a field at the top of a JSON object, none if it is not there. A string comes without
// its quotes but with its escapes as they stand; anything else comes as it is written. This is a
// reader for {"action":"get"}, not a JSON library: it does not find errors in the document.
#define theater_json_field(json, name) theater__json_field(theater_text(json), theater_text(name))

THEATER__SHARED struct theater_bytes theater__json_string(struct theater_bytes text) {
    static const char hex[] = "0123456789abcdef";
    uint8_t *json = theater__alloc((uint64_t)text.size * 6 + 2, 1);
    size_t at = 0;
    json[at++] = '"';
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\') {
            json[at++] = '\\';
            json[at++] = c;
        } else if (c < ' ') {
            const uint8_t escape[] = {
                '\\', 'u', '0', '0', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15]};
            theater_copy(json + at, escape, sizeof escape);
            at += sizeof escape;
        } else {
            json[at++] = c;
        }
    }
    json[at++] = '"';
    return (struct theater_bytes){json, at};
}

// A text as a JSON string, with its quotes.
#define theater_json_string(text) theater__json_string(theater_text(text))

// ---- results of handlers -----------------------------------------------------------------------

// Success with the next state; THEATER_NONE keeps the current one. From a request handler it also
// means that the answer comes later, with theater_respond.
THEATER__INTERNAL struct theater_result theater_ok(struct theater_bytes state) {
    return (struct theater_result){.ok = true, .state = state};
}

THEATER__INTERNAL struct theater_result theater__reply(struct theater_bytes state,
                                                       struct theater_bytes reply) {
    static const uint8_t empty;
    reply.data = reply.data != NULL ? reply.data : &empty;
    return (struct theater_result){.ok = true, .state = state, .reply = reply};
}

// From a request handler: the answer, now.
#define theater_reply(state, text) theater__reply(state, theater_text(text))

// From a request handler: the answer comes later. Keep the request's id in the state.
#define theater_reply_later(state) theater_ok(state)

// From a channel-open handler: the channel is wanted; `text` is the first message for the other
// side, THEATER_NONE for no message.
THEATER__INTERNAL struct theater_result theater__accept(struct theater_bytes state,
                                                        struct theater_bytes message) {
    return (struct theater_result){.ok = true, .accepted = true, .state = state, .reply = message};
}
#define theater_accept(state, text) theater__accept(state, theater_text(text))

// From a channel-open handler: the channel is not wanted, and why.
#define theater_refuse(state, why) theater_reply(state, why)

THEATER__INTERNAL struct theater_result theater__error(struct theater_bytes error) {
    return (struct theater_result){.error = error};
}

// Failure: up to twelve texts say what went wrong. The actor keeps the state that it had.
#define theater_error(...) theater__error(theater_join(__VA_ARGS__))

// ---- host functions ----------------------------------------------------------------------------

#define THEATER__IMPORT(interface, name) \
    __attribute__((import_module("theater:simple/" interface), import_name(name)))

// What the host writes for result<…, string>: a discriminant, then pointer and size of the one or
// the other. Numbers of 64 bits sit at offset 8.
struct theater__result_area {
    _Alignas(8) uint8_t failed;
    struct theater_bytes bytes;  // at 4
};
struct theater__number_area {
    uint8_t failed;
    union {
        uint64_t number;
        double fraction;
        struct theater_bytes error;
    } of;  // at 8
};
// The same for numbers of at most 32 bits and bool.
struct theater__word_area {
    uint8_t failed;
    union {
        uint32_t word;
        uint16_t half;
        uint8_t byte;
        struct theater_bytes error;
    } of;  // at 4
};
_Static_assert(offsetof(struct theater__result_area, bytes) == 4, "canonical ABI");
_Static_assert(offsetof(struct theater__word_area, of) == 4, "canonical ABI");
_Static_assert(offsetof(struct theater__number_area, of) == 8, "canonical ABI");
_Static_assert(sizeof(struct theater_event) == 40, "canonical ABI");
_Static_assert(sizeof(struct theater_child_event) == 48, "canonical ABI");

THEATER__INTERNAL struct theater_outcome theater__outcome(const struct theater__result_area *area) {
    struct theater_bytes bytes = area->bytes;
    return area->failed ? (struct theater_outcome){.error = bytes}
                        : (struct theater_outcome){.ok = true, .value = bytes};
}

THEATER__INTERNAL struct theater_outcome theater__done(const struct theater__result_area *area) {
    return area->failed ? (struct theater_outcome){.error = area->bytes}
                        : (struct theater_outcome){.ok = true};
}

THEATER__INTERNAL struct theater_outcome theater__number(const struct theater__number_area *area,
                                                         uint64_t *number) {
    *number = area->failed ? 0 : area->of.number;
    return area->failed ? (struct theater_outcome){.error = area->of.error}
                        : (struct theater_outcome){.ok = true};
}

THEATER__INTERNAL struct theater_outcome theater__word(const struct theater__word_area *area) {
    return area->failed ? (struct theater_outcome){.error = area->of.error}
                        : (struct theater_outcome){.ok = true};
}

// runtime

THEATER__IMPORT("runtime", "log") void theater__import_log(const uint8_t *, size_t);
THEATER__IMPORT("runtime", "get-chain") void theater__import_get_chain(void *);
THEATER__IMPORT("runtime", "shutdown")
void theater__import_shutdown(int, const uint8_t *, size_t, void *);
THEATER__IMPORT("runtime", "get-state") void theater__import_get_state(void *);
THEATER__IMPORT("runtime", "self") void theater__import_self(void *);

THEATER__INTERNAL void theater__log(struct theater_bytes line) {
    theater__import_log(line.data, line.size);
}

// Writes one line, joined of up to twelve texts, to the actor's log and chain. UTF-8 only: a line
// with other bytes ends the instance.
#define theater_log(...) theater__log(theater_join(__VA_ARGS__))

// The actor's own chain, the oldest event first.
THEATER__INTERNAL const struct theater_event *theater_get_chain(size_t *count) {
    struct {
        const struct theater_event *events;
        size_t count;
    } area;
    theater__import_get_chain(&area);
    *count = area.count;
    return area.events;
}

THEATER__INTERNAL struct theater_outcome theater__shutdown(struct theater_bytes data) {
    struct theater__result_area area;
    theater__import_shutdown(data.data != NULL, data.data, data.size, &area);
    return theater__done(&area);
}

// Ends the actor after this turn and hands `text` (or THEATER_NONE) to its supervisor.
#define theater_shutdown(text) theater__shutdown(theater_text(text))

// The last recorded state; an extra of this runtime.
THEATER__INTERNAL struct theater_bytes theater_get_state(void) {
    struct theater_bytes state;
    theater__import_get_state(&state);
    return state;
}

// The actor's own id; an extra of this runtime. (init is given it too.)
THEATER__INTERNAL struct theater_bytes theater_self(void) {
    struct theater_bytes id;
    theater__import_self(&id);
    return id;
}

// message-server-host

#define THEATER__IMPORT_MESSAGE(name, c_name)    \
    THEATER__IMPORT("message-server-host", name) \
    void theater__import_##c_name(const uint8_t *, size_t, const uint8_t *, size_t, void *)

THEATER__IMPORT_MESSAGE("send", send);
THEATER__IMPORT_MESSAGE("request", request);
THEATER__IMPORT_MESSAGE("open-channel", open_channel);
THEATER__IMPORT_MESSAGE("send-on-channel", send_on_channel);
THEATER__IMPORT_MESSAGE("respond-to-request", respond);
THEATER__IMPORT("message-server-host", "close-channel")
void theater__import_close_channel(const uint8_t *, size_t, void *);
THEATER__IMPORT("message-server-host", "cancel-request")
void theater__import_cancel(const uint8_t *, size_t, void *);
THEATER__IMPORT("message-server-host", "list-outstanding-requests")
void theater__import_list_outstanding(void *);

THEATER__INTERNAL struct theater_outcome theater__send(struct theater_bytes actor,
                                                       struct theater_bytes message) {
    struct theater__result_area area;
    theater__import_send(actor.data, actor.size, message.data, message.size, &area);
    return theater__done(&area);
}

THEATER__INTERNAL struct theater_outcome theater__request(struct theater_bytes actor,
                                                          struct theater_bytes message) {
    struct theater__result_area area;
    theater__import_request(actor.data, actor.size, message.data, message.size, &area);
    return theater__outcome(&area);
}

THEATER__INTERNAL struct theater_outcome theater__open_channel(struct theater_bytes actor,
                                                               struct theater_bytes message) {
    struct theater__result_area area;
    theater__import_open_channel(actor.data, actor.size, message.data, message.size, &area);
    return theater__outcome(&area);
}

THEATER__INTERNAL struct theater_outcome theater__send_on_channel(struct theater_bytes channel,
                                                                  struct theater_bytes message) {
    struct theater__result_area area;
    theater__import_send_on_channel(channel.data, channel.size, message.data, message.size, &area);
    return theater__done(&area);
}

THEATER__INTERNAL struct theater_outcome theater__close_channel(struct theater_bytes channel) {
    struct theater__result_area area;
    theater__import_close_channel(channel.data, channel.size, &area);
    return theater__done(&area);
}

THEATER__INTERNAL struct theater_outcome theater__respond(struct theater_bytes request,
                                                          struct theater_bytes answer) {
    struct theater__result_area area;
    theater__import_respond(request.data, request.size, answer.data, answer.size, &area);
    return theater__done(&area);
}

THEATER__INTERNAL struct theater_outcome theater__cancel(struct theater_bytes request) {
    struct theater__result_area area;
    theater__import_cancel(request.data, request.size, &area);
    return theater__done(&area);
}

// Sends a message that wants no answer.
#define theater_send(actor, text) theater__send(theater_text(actor), theater_text(text))

// Sends a request and waits; the answer is in `value`.
#define theater_request(actor, text) theater__request(theater_text(actor), theater_text(text))

// Asks for a channel and waits; the channel's id is in `value`.
#define theater_open_channel(actor, first_message) \
    theater__open_channel(theater_text(actor), theater_text(first_message))
#define theater_send_on_channel(channel, text) \
    theater__send_on_channel(theater_text(channel), theater_text(text))
#define theater_close_channel(channel) theater__close_channel(theater_text(channel))

// Answers a request that theater_reply_later left open; theater_cancel says that none will come.
#define theater_respond(request, text) theater__respond(theater_text(request), theater_text(text))
#define theater_cancel(request) theater__cancel(theater_text(request))

// The ids of the requests that are still to be answered, the oldest first.
THEATER__INTERNAL struct theater_list theater_list_outstanding(void) {
    struct theater_list list;
    theater__import_list_outstanding(&list);
    return list;
}

// timing

THEATER__IMPORT("timing", "now") uint64_t theater__import_now(void);
THEATER__IMPORT("timing", "sleep") void theater__import_sleep(uint64_t, void *);
THEATER__IMPORT("timing", "deadline") void theater__import_deadline(uint64_t, void *);

// Wall clock, in milliseconds since 1970.
THEATER__INTERNAL uint64_t theater_now_ms(void) {
    return theater__import_now();
}

// Waits. Nothing else is delivered to the actor meanwhile, and no other actor is held up.
THEATER__INTERNAL struct theater_outcome theater_sleep_ms(uint64_t duration_ms) {
    struct theater__result_area area;
    theater__import_sleep(duration_ms, &area);
    return theater__done(&area);
}

// Waits until a moment of the wall clock.
THEATER__INTERNAL struct theater_outcome theater_deadline_ms(uint64_t moment_ms) {
    struct theater__result_area area;
    theater__import_deadline(moment_ms, &area);
    return theater__done(&area);
}

// random

THEATER__IMPORT("random", "random-bytes") void theater__import_random_bytes(uint32_t, void *);
THEATER__IMPORT("random", "random-range")
void theater__import_random_range(uint64_t, uint64_t, void *);
THEATER__IMPORT("random", "random-float") void theater__import_random_float(void *);
THEATER__IMPORT("random", "generate-uuid") void theater__import_generate_uuid(void *);

THEATER__INTERNAL struct theater_outcome theater_random_bytes(uint32_t size) {
    struct theater__result_area area;
    theater__import_random_bytes(size, &area);
    return theater__outcome(&area);
}

// A number from `min` up to, but not including, `max`; 0 if it fails.
THEATER__INTERNAL struct theater_outcome theater_random_range(uint64_t min, uint64_t max,
                                                              uint64_t *number) {
    struct theater__number_area area;
    theater__import_random_range(min, max, &area);
    *number = area.failed ? 0 : area.of.number;
    return area.failed ? (struct theater_outcome){.error = area.of.error}
                       : (struct theater_outcome){.ok = true};
}

// A number from 0 up to, but not including, 1; 0 if it fails.
THEATER__INTERNAL struct theater_outcome theater_random_float(double *number) {
    struct theater__number_area area;
    theater__import_random_float(&area);
    *number = area.failed ? 0 : area.of.fraction;
    return area.failed ? (struct theater_outcome){.error = area.of.error}
                       : (struct theater_outcome){.ok = true};
}

THEATER__INTERNAL struct theater_outcome theater_uuid(void) {
    struct theater__result_area area;
    theater__import_generate_uuid(&area);
    return theater__outcome(&area);
}

// supervisor

THEATER__IMPORT("supervisor", "spawn")
void theater__import_spawn(const uint8_t *, size_t, int, const uint8_t *, size_t, void *);
THEATER__IMPORT("supervisor", "resume")
void theater__import_resume(const uint8_t *, size_t, int, const uint8_t *, size_t, void *);
THEATER__IMPORT("supervisor", "list-children") void theater__import_list_children(void *);
THEATER__IMPORT("supervisor", "stop-child")
void theater__import_stop_child(const uint8_t *, size_t, void *);
THEATER__IMPORT("supervisor", "restart-child")
void theater__import_restart_child(const uint8_t *, size_t, void *);
THEATER__IMPORT("supervisor", "get-child-state")
void theater__import_get_child_state(const uint8_t *, size_t, void *);
THEATER__IMPORT("supervisor", "get-child-events")
void theater__import_get_child_events(const uint8_t *, size_t, void *);

THEATER__INTERNAL struct theater_outcome theater__spawn(struct theater_bytes manifest,
                                                        struct theater_bytes state) {
    struct theater__result_area area;
    theater__import_spawn(manifest.data, manifest.size, state.data != NULL, state.data, state.size,
                          &area);
    return theater__outcome(&area);
}

THEATER__INTERNAL struct theater_outcome theater__resume(struct theater_bytes manifest,
                                                         struct theater_bytes state) {
    struct theater__result_area area;
    theater__import_resume(manifest.data, manifest.size, state.data != NULL, state.data, state.size,
                           &area);
    return theater__outcome(&area);
}

THEATER__INTERNAL struct theater_outcome theater__stop_child(struct theater_bytes child) {
    struct theater__result_area area;
    theater__import_stop_child(child.data, child.size, &area);
    return theater__done(&area);
}

THEATER__INTERNAL struct theater_outcome theater__restart_child(struct theater_bytes child) {
    struct theater__result_area area;
    theater__import_restart_child(child.data, child.size, &area);
    return theater__done(&area);
}

THEATER__INTERNAL struct theater_outcome theater__get_child_state(struct theater_bytes child) {
    struct {
        uint8_t failed;
        union {
            struct {
                uint8_t has;
                struct theater_bytes state;
            } ok;
            struct theater_bytes error;
        } of;
    } area;
    theater__import_get_child_state(child.data, child.size, &area);
    if (area.failed) {
        return (struct theater_outcome){.error = area.of.error};
    }
    return (struct theater_outcome){.ok = true,
                                    .value = area.of.ok.has ? area.of.ok.state : THEATER_NONE};
}

THEATER__INTERNAL struct theater_outcome theater__get_child_events(
    struct theater_bytes child, const struct theater_child_event **events, size_t *count) {
    struct theater__result_area area;
    theater__import_get_child_events(child.data, child.size, &area);
    *events = area.failed ? NULL : (const void *)area.bytes.data;
    *count = area.failed ? 0 : area.bytes.size;
    return theater__done(&area);
}

// Starts a child from a manifest: a path beneath the folder of the supervisor's own manifest, an
// address, or the manifest's text. Waits for the child's init. `state` is JSON, or THEATER_NONE.
// The child's id is in `value`.
#define theater_spawn(manifest, state) theater__spawn(theater_text(manifest), theater_text(state))

// Starts a child from a saved state.
#define theater_resume(manifest, state) theater__resume(theater_text(manifest), theater_text(state))

#define theater_stop_child(child) theater__stop_child(theater_text(child))

// Gives the child its initial state again; its id stays.
#define theater_restart_child(child) theater__restart_child(theater_text(child))

// What was last recorded, in `value`; none if the child has no state.
#define theater_get_child_state(child) theater__get_child_state(theater_text(child))

// The child's chain, the oldest event first.
#define theater_get_child_events(child, events, count) \
    theater__get_child_events(theater_text(child), events, count)

THEATER__INTERNAL struct theater_list theater_list_children(void) {
    struct theater_list list;
    theater__import_list_children(&list);
    return list;
}

// ---- handlers ----------------------------------------------------------------------------------

// What the host reads when a handler returns: result<tuple<option<list<u8>>[, answer]>, string>.
// The answer is option<list<u8>> for a request and channel-accept for a channel.
struct theater__answer {
    uint8_t failed;
    union {
        struct {
            uint8_t has_state;
            struct theater_bytes state;  // at 8
            union {
                struct {
                    uint8_t has;                 // at 16
                    struct theater_bytes bytes;  // at 20
                } reply;
                struct {
                    uint8_t accepted;  // at 16
                    uint8_t padding[3];
                    uint8_t has;                   // at 20
                    struct theater_bytes message;  // at 24
                } channel;
            } with;
        } ok;
        struct theater_bytes error;  // at 4
    } of;
};
_Static_assert(offsetof(struct theater__answer, of.ok.state) == 8, "canonical ABI");
_Static_assert(offsetof(struct theater__answer, of.ok.with.reply.bytes) == 20, "canonical ABI");
_Static_assert(offsetof(struct theater__answer, of.ok.with.channel.message) == 24, "canonical ABI");

enum theater__shape { THEATER__STATE, THEATER__REPLY, THEATER__CHANNEL };

THEATER__SHARED void *theater__answer(struct theater_result result, enum theater__shape shape) {
    struct theater__answer *answer = theater_alloc(sizeof *answer);
    __builtin_memset(answer, 0, sizeof *answer);
    answer->failed = !result.ok;
    if (!result.ok) {
        answer->of.error = result.error;
        return answer;
    }
    answer->of.ok.has_state = result.state.data != NULL;
    answer->of.ok.state = result.state;
    if (shape == THEATER__REPLY) {
        answer->of.ok.with.reply.has = result.reply.data != NULL;
        answer->of.ok.with.reply.bytes = result.reply;
    } else if (shape == THEATER__CHANNEL) {
        answer->of.ok.with.channel.accepted = result.accepted;
        answer->of.ok.with.channel.has = result.reply.data != NULL;
        answer->of.ok.with.channel.message = result.reply;
    }
    return answer;
}

// A parameter; an empty one is not none, wherever the host put it.
THEATER__INTERNAL struct theater_bytes theater__parameter(int present, const uint8_t *data,
                                                          size_t size) {
    return present ? (struct theater_bytes){data != NULL ? data : (const uint8_t *)1, size}
                   : THEATER_NONE;
}

#define THEATER__STATE_PARAMETERS int state_present, const uint8_t *state_data, size_t state_size
#define THEATER__STATE_VALUE theater__parameter(state_present, state_data, state_size)

// One export: the wrapper that the host calls, which gives the address of the answer, and its
// post-return function, which empties the arena.
#define THEATER__EXPORT(interface, name, c_name, parameters, answer_address)                \
    __attribute__((export_name(                                                             \
        "theater:simple/" interface "#" name))) void *theater__export_##c_name parameters { \
        return answer_address;                                                              \
    }                                                                                       \
    __attribute__((export_name("cabi_post_theater:simple/" interface "#" name))) void       \
        theater__post_##c_name(void *answer) {                                              \
        (void)answer;                                                                       \
        theater__top = 0;                                                                   \
    }                                                                                       \
    _Static_assert(1, "")

#define THEATER__HANDLER(interface, name, c_name, parameters, call, shape) \
    THEATER__EXPORT(interface, name, c_name, parameters, theater__answer(call, shape))

// Each of these goes once, after the function it names, at the end of the actor's source. All the
// functions return struct theater_result; `state` is none when there is no state.

// fn(struct theater_bytes state, struct theater_bytes own_id): the actor begins, or begins again.
// Every actor has it.
#define THEATER_INIT(fn)                                                       \
    THEATER__HANDLER("actor", "init", init,                                    \
                     (THEATER__STATE_PARAMETERS, const uint8_t *a, size_t an), \
                     fn(THEATER__STATE_VALUE, theater__parameter(1, a, an)), THEATER__STATE)

// fn(state, struct theater_bytes message)
#define THEATER_HANDLE_SEND(fn)                                                \
    THEATER__HANDLER("message-server-client", "handle-send", handle_send,      \
                     (THEATER__STATE_PARAMETERS, const uint8_t *a, size_t an), \
                     fn(THEATER__STATE_VALUE, theater__parameter(1, a, an)), THEATER__STATE)

// fn(state, struct theater_bytes request_id, struct theater_bytes message): answers with
// theater_reply, or with theater_reply_later.
#define THEATER_HANDLE_REQUEST(fn)                                                             \
    THEATER__HANDLER(                                                                          \
        "message-server-client", "handle-request", handle_request,                             \
        (THEATER__STATE_PARAMETERS, const uint8_t *a, size_t an, const uint8_t *b, size_t bn), \
        fn(THEATER__STATE_VALUE, theater__parameter(1, a, an), theater__parameter(1, b, bn)),  \
        THEATER__REPLY)

// fn(state, struct theater_bytes channel_id, struct theater_bytes first_message): answers with
// theater_accept or theater_refuse.
#define THEATER_HANDLE_CHANNEL_OPEN(fn)                                                        \
    THEATER__HANDLER(                                                                          \
        "message-server-client", "handle-channel-open", handle_channel_open,                   \
        (THEATER__STATE_PARAMETERS, const uint8_t *a, size_t an, const uint8_t *b, size_t bn), \
        fn(THEATER__STATE_VALUE, theater__parameter(1, a, an), theater__parameter(1, b, bn)),  \
        THEATER__CHANNEL)

// fn(state, struct theater_bytes channel_id, struct theater_bytes message)
#define THEATER_HANDLE_CHANNEL_MESSAGE(fn)                                                     \
    THEATER__HANDLER(                                                                          \
        "message-server-client", "handle-channel-message", handle_channel_message,             \
        (THEATER__STATE_PARAMETERS, const uint8_t *a, size_t an, const uint8_t *b, size_t bn), \
        fn(THEATER__STATE_VALUE, theater__parameter(1, a, an), theater__parameter(1, b, bn)),  \
        THEATER__STATE)

// fn(state, struct theater_bytes channel_id): the other side closed the channel or is gone.
#define THEATER_HANDLE_CHANNEL_CLOSE(fn)                                                    \
    THEATER__HANDLER("message-server-client", "handle-channel-close", handle_channel_close, \
                     (THEATER__STATE_PARAMETERS, const uint8_t *a, size_t an),              \
                     fn(THEATER__STATE_VALUE, theater__parameter(1, a, an)), THEATER__STATE)

// fn(state, struct theater_bytes child_id, enum theater_error_type type, struct theater_bytes text)
#define THEATER_HANDLE_CHILD_ERROR(fn)                                                        \
    THEATER__HANDLER("supervisor-handlers", "handle-child-error", handle_child_error,         \
                     (THEATER__STATE_PARAMETERS, const uint8_t *a, size_t an, int type,       \
                      int b_present, const uint8_t *b, size_t bn),                            \
                     fn(THEATER__STATE_VALUE, theater__parameter(1, a, an),                   \
                        (enum theater_error_type)type, theater__parameter(b_present, b, bn)), \
                     THEATER__STATE)

// fn(state, struct theater_bytes child_id, struct theater_bytes data): the child ended itself;
// `data` is what it gave to theater_shutdown, or none.
#define THEATER_HANDLE_CHILD_EXIT(fn)                                                        \
    THEATER__HANDLER("supervisor-handlers", "handle-child-exit", handle_child_exit,          \
                     (THEATER__STATE_PARAMETERS, const uint8_t *a, size_t an, int b_present, \
                      const uint8_t *b, size_t bn),                                          \
                     fn(THEATER__STATE_VALUE, theater__parameter(1, a, an),                  \
                        theater__parameter(b_present, b, bn)),                               \
                     THEATER__STATE)

// fn(state, struct theater_bytes child_id): somebody else stopped the child.
#define THEATER_HANDLE_CHILD_EXTERNAL_STOP(fn)                                 \
    THEATER__HANDLER("supervisor-handlers", "handle-child-external-stop",      \
                     handle_child_external_stop,                               \
                     (THEATER__STATE_PARAMETERS, const uint8_t *a, size_t an), \
                     fn(THEATER__STATE_VALUE, theater__parameter(1, a, an)), THEATER__STATE)

#endif

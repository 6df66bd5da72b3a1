// SPDX-License-Identifier: Apache-2.0
// A test actor of the older interface websocket-server. What a text message says, it does:
//
//   events       answers with how often each kind of event came, and the payload of the last close
//                (hexadecimal)
//   many COUNT   answers with so many messages, "0" and on
//   large BYTES  answers with a binary message of so many bytes
//   ping TEXT    answers with a ping
//   close TEXT   answers with a close whose text that is, and then with one message too many
//   code NUMBER  answers with a close of that code
//   mixed        answers with what cannot be sent, and last with "sent"
//   fail, trap   an error, a trap
//   loop         never returns
//
// Any other text or binary message is sent back, and the target of a connect. Who asks for
// "/refuse" is refused, by an error.
#include "theater-websocket.h"

struct counts {
    uint32_t connects, texts, binaries, pings, pongs, closes;
    uint32_t last_size;
    uint8_t last[125];
};

static struct theater_bytes hexadecimal(const uint8_t *data, size_t size) {
    static const char digits[] = "0123456789abcdef";
    uint8_t *text = theater_alloc(2 * size + 1);
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = (uint8_t)digits[data[i] >> 4];
        text[2 * i + 1] = (uint8_t)digits[data[i] & 15];
    }
    return (struct theater_bytes){text, 2 * size};
}

static struct theater_bytes describe(const struct counts *counts) {
    struct theater_bytes first =
        theater_join("connect ", counts->connects, " text ", counts->texts, " binary ",
                     counts->binaries, " ping ", counts->pings);
    return theater_join(first, " pong ", counts->pongs, " close ", counts->closes, " last ",
                        hexadecimal(counts->last, counts->last_size));
}

static void count(struct counts *counts, const struct theater_websocket_message *message) {
    counts->connects += message->type == THEATER_WEBSOCKET_CONNECT;
    counts->texts += message->type == THEATER_WEBSOCKET_TEXT;
    counts->binaries += message->type == THEATER_WEBSOCKET_BINARY;
    counts->pings += message->type == THEATER_WEBSOCKET_PING;
    counts->pongs += message->type == THEATER_WEBSOCKET_PONG;
    if (message->type == THEATER_WEBSOCKET_CLOSE) {
        counts->closes++;
        counts->last_size = (uint32_t)message->data.size;
        theater_copy(counts->last, message->data.data, message->data.size);
    }
}

static struct theater_websocket_message *reserve(size_t count) {
    struct theater_websocket_message *messages = theater_alloc(count * sizeof *messages);
    __builtin_memset(messages, 0, count * sizeof *messages);
    return messages;
}

static struct theater_websocket_result answer(struct theater_bytes state,
                                              struct theater_websocket_message message) {
    struct theater_websocket_message *messages = reserve(1);
    messages[0] = message;
    return theater_websocket_reply(state, messages, 1);
}

static struct theater_websocket_result answer_many(struct theater_bytes state, uint64_t number) {
    struct theater_websocket_message *messages = reserve(number);
    for (uint64_t i = 0; i < number; i++) {
        messages[i] = theater_websocket_text(i);
    }
    return theater_websocket_reply(state, messages, number);
}

static struct theater_websocket_result answer_mixed(struct theater_bytes state) {
    static uint8_t large[126];
    struct theater_websocket_message *messages = reserve(8);
    messages[0].type = THEATER_WEBSOCKET_TEXT;    // without a text
    messages[1].type = THEATER_WEBSOCKET_BINARY;  // without data
    messages[2].type = THEATER_WEBSOCKET_CONNECT;
    messages[3].type = THEATER_WEBSOCKET_OTHER;
    messages[3].other = theater_text("other");
    messages[4].type = THEATER_WEBSOCKET_PING;
    messages[4].data = (struct theater_bytes){large, sizeof large};
    messages[5].type = THEATER_WEBSOCKET_CLOSE;
    messages[5].data = theater_text("\x03\xED");  // 1005
    messages[6].type = THEATER_WEBSOCKET_CLOSE;
    messages[6].data = theater_text("x");
    messages[7] = theater_websocket_text("sent");
    return theater_websocket_reply(state, messages, 8);
}

static struct theater_websocket_result answer_large(struct theater_bytes state, uint64_t size) {
    uint8_t *content = theater_alloc(size);
    __builtin_memset(content, 'b', size);
    return answer(state, (struct theater_websocket_message){.type = THEATER_WEBSOCKET_BINARY,
                                                            .data = {content, size}});
}

static struct theater_websocket_result answer_close(struct theater_bytes state,
                                                    struct theater_bytes data,
                                                    struct theater_bytes text) {
    struct theater_websocket_message *messages = reserve(2);
    messages[0] = (struct theater_websocket_message){
        .type = THEATER_WEBSOCKET_CLOSE, .data = data, .text = text};
    messages[1] = theater_websocket_text("too late");
    return theater_websocket_reply(state, messages, 2);
}

static struct theater_websocket_result answer_code(struct theater_bytes state, uint64_t code) {
    uint8_t *data = theater_alloc(2);
    data[0] = (uint8_t)(code >> 8);
    data[1] = (uint8_t)code;
    return answer_close(state, (struct theater_bytes){data, 2}, THEATER_NONE);
}

static struct theater_websocket_result on_text(struct theater_bytes state,
                                               const struct counts *counts,
                                               const struct theater_websocket_message *message) {
    struct theater_bytes rest = message->text;
    struct theater_bytes command = theater_word(&rest);
    uint64_t number = 0;
    bool has_number = theater_parse_number(rest, &number);
    if (theater_text_equal(command, "events")) {
        return answer(state, theater_websocket_text(describe(counts)));
    }
    if (theater_text_equal(command, "many") && has_number) {
        return answer_many(state, number);
    }
    if (theater_text_equal(command, "large") && has_number) {
        return answer_large(state, number);
    }
    if (theater_text_equal(command, "ping")) {
        return answer(state, (struct theater_websocket_message){.type = THEATER_WEBSOCKET_PING,
                                                                .data = rest});
    }
    if (theater_text_equal(command, "close")) {
        return answer_close(state, THEATER_NONE, rest);
    }
    if (theater_text_equal(command, "code") && has_number) {
        return answer_code(state, number);
    }
    if (theater_text_equal(command, "mixed")) {
        return answer_mixed(state);
    }
    if (theater_text_equal(command, "fail")) {
        return theater_websocket_error("as told");
    }
    if (theater_text_equal(command, "trap")) {
        theater_trap();
    }
    for (volatile bool goes_on = theater_text_equal(command, "loop"); goes_on;) {
    }
    return answer(state, theater_websocket_text(message->text));
}

static struct theater_websocket_result on_event(struct theater_bytes state,
                                                const struct theater_websocket_message *message) {
    struct counts counts = {0};
    (void)theater_load(state, &counts, sizeof counts);
    count(&counts, message);
    struct theater_bytes next = theater_store(&counts, sizeof counts);
    switch (message->type) {
        case THEATER_WEBSOCKET_TEXT:
            return on_text(next, &counts, message);
        case THEATER_WEBSOCKET_BINARY:
            return answer(next, (struct theater_websocket_message){.type = THEATER_WEBSOCKET_BINARY,
                                                                   .data = message->data});
        case THEATER_WEBSOCKET_CONNECT:
            if (theater_text_equal(message->text, "/refuse")) {
                return theater_websocket_error("refused");
            }
            return answer(next, theater_websocket_text(message->text));
        case THEATER_WEBSOCKET_CLOSE:
        case THEATER_WEBSOCKET_PING:
        case THEATER_WEBSOCKET_PONG:
        case THEATER_WEBSOCKET_OTHER:
            break;
    }
    return theater_websocket_reply(next, NULL, 0);
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    return theater_ok(state);
}

THEATER_INIT(on_init);
THEATER_HANDLE_WEBSOCKET(on_event);

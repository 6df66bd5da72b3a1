// SPDX-License-Identifier: Apache-2.0
// From a guest's websocket-message to what is sent. See docs/interfaces/websocket-types.md.
#include "codec/utf8.h"
#include "host/websocket.h"

// The cases of message-type.
enum { TEXT, BINARY, CONNECT, CLOSE, PING, PONG };

static bool refuse(const char **why, const char *text) {
    *why = text;
    return false;
}

static bool has(const struct value *option) {
    return option->which == 1;
}

static bool read_close(const struct value *data, const struct value *text,
                       struct websocket_message *out, uint8_t close[WEBSOCKET_CONTROL_MOST],
                       const char **why) {
    if (!has(data)) {
        struct slice reason = has(text) ? host_bytes(text->items) : slice_of(NULL, 0);
        if (reason.size > WEBSOCKET_REASON_MOST) {
            return refuse(why, "the text of a close is over 123 bytes");
        }
        size_t size = websocket_write_close(WEBSOCKET_NORMAL, reason, close);
        out->payload = slice_of(close, size);
        return true;
    }
    struct slice payload = host_bytes(data->items);
    if (payload.size > WEBSOCKET_CONTROL_MOST) {
        return refuse(why, "the data of a close is over 125 bytes");
    }
    if (payload.size < 2 || !websocket_code_is_valid(websocket_close_code(payload))) {
        return refuse(why, "the data of a close does not begin with a code that may be sent");
    }
    if (!utf8_is_valid(slice_of(payload.data + 2, payload.size - 2))) {
        return refuse(why, "the text of a close is not UTF-8");
    }
    out->payload = payload;
    return true;
}

bool websocket_read_message(const struct value *message, struct websocket_message *out,
                            uint8_t close[WEBSOCKET_CONTROL_MOST], const char **why) {
    const struct value *data = &message->items[1], *text = &message->items[2];
    const struct value *payload = has(data) ? data : text;
    *out = (struct websocket_message){.payload = slice_of(NULL, 0)};
    switch (message->items[0].which) {
        case TEXT:
            out->kind = WEBSOCKET_TEXT;
            payload = text;
            if (!has(text)) {
                return refuse(why, "a text message has no text");
            }
            break;
        case BINARY:
            out->kind = WEBSOCKET_BINARY;
            payload = data;
            if (!has(data)) {
                return refuse(why, "a binary message has no data");
            }
            break;
        case CLOSE:
            out->kind = WEBSOCKET_CLOSE;
            return read_close(data, text, out, close, why);
        case PING:
        case PONG:
            out->kind = message->items[0].which == PING ? WEBSOCKET_PING : WEBSOCKET_PONG;
            if (has(payload) && payload->items->count > WEBSOCKET_CONTROL_MOST) {
                return refuse(why, "a ping or pong is over 125 bytes");
            }
            break;
        default:
            return refuse(why, "only text, binary, ping, pong and close can be sent");
    }
    if (has(payload)) {
        out->payload = host_bytes(payload->items);
    }
    return true;
}

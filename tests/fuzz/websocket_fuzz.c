// SPDX-License-Identifier: Apache-2.0
// Feeds bytes to the WebSocket reader: the first byte is the size of the pieces, the rest is what a
// client sends. Read in pieces it must give what it gives read whole, within its limit, text only
// as UTF-8; and after a close or a fault nothing.
#include <assert.h>

#include "io/websocket_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 4096 };

static void check(const struct websocket_message *message) {
    assert(message->payload.size <= MOST);
    if (message->kind == WEBSOCKET_TEXT) {
        assert(utf8_is_valid(message->payload));
    } else if (message->kind != WEBSOCKET_BINARY) {
        assert(message->kind >= WEBSOCKET_CLOSE && message->kind <= WEBSOCKET_PONG);
        assert(message->payload.size <= WEBSOCKET_CONTROL_MOST);
    }
    if (message->kind == WEBSOCKET_CLOSE && message->payload.size != 0) {
        assert(websocket_code_is_valid(websocket_close_code(message->payload)));
    }
}

// Appends what is found as the server would write it, and the code of a fault.
static void read_all(struct slice input, size_t step, struct buf *out) {
    struct websocket_reader reader;
    websocket_reader_init(&reader, MOST);
    bool is_over = false;
    while (input.size > 0) {
        struct slice piece = slice_of(input.data, step < input.size ? step : input.size);
        input = slice_of(input.data + piece.size, input.size - piece.size);
        struct websocket_message message;
        enum websocket_found found;
        while ((found = websocket_read(&reader, &piece, &message)) != WEBSOCKET_MORE) {
            assert(!is_over);
            if (found == WEBSOCKET_BROKEN) {
                const char *why;
                buf_format(out, "fault %d", websocket_reader_fault(&reader, &why));
                is_over = true;
            } else {
                check(&message);
                websocket_append(out, message.kind, message.payload);
                is_over = message.kind == WEBSOCKET_CLOSE;
            }
        }
        assert(piece.size == 0);
    }
    websocket_reader_release(&reader);
}

// The values of an opening handshake, one a line.
static void shake(struct slice input) {
    static const char *const names[] = {"upgrade", "connection", "sec-websocket-version",
                                        "sec-websocket-key"};
    struct websocket_handshake handshake = {0};
    for (size_t i = 0; i < COUNT_OF(names) && input.size > 0; i++) {
        const uint8_t *end = memchr(input.data, '\n', input.size);
        size_t size = end != NULL ? (size_t)(end - input.data) : input.size;
        websocket_handshake_header(&handshake, slice_text(names[i]), slice_of(input.data, size));
        size += end != NULL;
        input = slice_of(input.data + size, input.size - size);
    }
    char accept[WEBSOCKET_ACCEPT_SIZE];
    const char *why = NULL;
    uint16_t status = websocket_handshake_answer(&handshake, slice_text("GET"), accept, &why);
    assert(status == 101 ? strlen(accept) == WEBSOCKET_ACCEPT_SIZE - 1 : why != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct slice input = slice_of(data + 1, size - 1);
    struct buf whole = {0}, pieces = {0};
    read_all(input, SIZE_MAX, &whole);
    read_all(input, 1 + data[0] % 32, &pieces);
    assert(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
    buf_release(&whole);
    buf_release(&pieces);
    shake(input);
    return 0;
}

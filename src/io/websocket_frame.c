// SPDX-License-Identifier: Apache-2.0
#include "io/websocket_frame.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#include "io/http_parse.h"

// A buffer larger than this is not kept for the next message.
enum { KEEP_BYTES = 64 * 1024 };

enum {
    FIN = 0x80,
    RESERVED = 0x70,
    KIND = 0x0F,
    MASKED = 0x80,
    LENGTH = 0x7F,
    LENGTH_2 = 126,  // the length is in 2 bytes
    LENGTH_8 = 127   // the length is in 8 bytes
};

void websocket_reader_init(struct websocket_reader *reader, uint64_t most_bytes) {
    *reader = (struct websocket_reader){.most_bytes = most_bytes};
}

void websocket_reader_release(struct websocket_reader *reader) {
    buf_release(&reader->message);
}

uint16_t websocket_reader_fault(const struct websocket_reader *reader, const char **why) {
    assert(reader->is_over && reader->why != NULL);
    *why = reader->why;
    return reader->code;
}

static bool fail(struct websocket_reader *reader, uint16_t code, const char *why) {
    reader->is_over = true;
    reader->code = code;
    reader->why = why;
    buf_release(&reader->message);
    return false;
}

static bool is_control(enum websocket_kind kind) {
    return kind >= WEBSOCKET_CLOSE;
}

static uint64_t big_endian(const uint8_t *at, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

// ---- heads -------------------------------------------------------------------------------------

// Of the head, as far as its first two bytes tell.
static size_t head_size(const struct websocket_reader *reader) {
    if (reader->head_size < 2) {
        return 2;
    }
    uint8_t length = reader->head[1] & LENGTH;
    return 2 + (length == LENGTH_8 ? 8U : length == LENGTH_2 ? 2U : 0U) + sizeof reader->mask;
}

// The first two bytes are there: what they alone tell is checked before anything else is read.
static bool check_head(struct websocket_reader *reader) {
    uint8_t first = reader->head[0], second = reader->head[1];
    reader->is_last = (first & FIN) != 0;
    reader->kind = (enum websocket_kind)(first & KIND);
    if ((first & RESERVED) != 0) {
        return fail(reader, WEBSOCKET_PROTOCOL_ERROR, "a reserved bit is set");
    }
    if ((second & MASKED) == 0) {
        return fail(reader, WEBSOCKET_PROTOCOL_ERROR, "a frame is not masked");
    }
    switch (reader->kind) {
        case WEBSOCKET_TEXT:
        case WEBSOCKET_BINARY:
            return !reader->in_message ||
                   fail(reader, WEBSOCKET_PROTOCOL_ERROR, "a message begins within another");
        case WEBSOCKET_CONTINUATION:
            return reader->in_message ||
                   fail(reader, WEBSOCKET_PROTOCOL_ERROR, "a continuation of no message");
        case WEBSOCKET_CLOSE:
        case WEBSOCKET_PING:
        case WEBSOCKET_PONG:
            if (!reader->is_last) {
                return fail(reader, WEBSOCKET_PROTOCOL_ERROR, "a control frame in pieces");
            }
            return (second & LENGTH) <= WEBSOCKET_CONTROL_MOST ||
                   fail(reader, WEBSOCKET_PROTOCOL_ERROR, "a control frame over 125 bytes");
    }
    return fail(reader, WEBSOCKET_PROTOCOL_ERROR, "an unknown kind of frame");
}

static bool begin_payload(struct websocket_reader *reader) {
    uint8_t length = reader->head[1] & LENGTH;
    size_t length_size = length == LENGTH_8 ? 8 : length == LENGTH_2 ? 2 : 0;
    reader->size = length_size == 0 ? length : big_endian(reader->head + 2, length_size);
    if ((length_size == 2 && reader->size < LENGTH_2) ||
        (length_size == 8 && (reader->size <= UINT16_MAX || reader->size >> 63 != 0))) {
        return fail(reader, WEBSOCKET_PROTOCOL_ERROR, "a length is not in its shortest form");
    }
    memcpy(reader->mask, reader->head + 2 + length_size, sizeof reader->mask);
    reader->at = 0;
    reader->head_size = 0;
    reader->in_payload = true;
    if (is_control(reader->kind)) {
        reader->control_size = 0;
        return true;
    }
    if (reader->kind != WEBSOCKET_CONTINUATION) {
        reader->in_message = true;
        reader->is_text = reader->kind == WEBSOCKET_TEXT;
        reader->text = (struct utf8_stream){0};
    }
    return reader->size <= reader->most_bytes - reader->message.size ||
           fail(reader, WEBSOCKET_TOO_BIG, "the message is over the limit");
}

// Takes bytes of a head from the input; false when the head is broken.
static bool read_head(struct websocket_reader *reader, struct slice *input) {
    while (!reader->in_payload && input->size > 0) {
        reader->head[reader->head_size++] = input->data[0];
        *input = slice_of(input->data + 1, input->size - 1);
        if (reader->head_size == 2 && !check_head(reader)) {
            return false;
        }
        if (reader->head_size >= 2 && reader->head_size == head_size(reader) &&
            !begin_payload(reader)) {
            return false;
        }
    }
    return true;
}

// ---- payloads ----------------------------------------------------------------------------------

// `at` is where in the payload the bytes are.
static void unmask(uint8_t *out, struct slice in, const uint8_t mask[4], uint64_t at) {
    uint8_t turned[8];
    uint64_t eight_of_mask;
    for (size_t i = 0; i < sizeof turned; i++) {
        turned[i] = mask[(at + i) % 4];
    }
    memcpy(&eight_of_mask, turned, sizeof eight_of_mask);
    size_t i = 0;
    for (; i + 8 <= in.size; i += 8) {
        uint64_t eight;
        memcpy(&eight, in.data + i, sizeof eight);
        eight ^= eight_of_mask;
        memcpy(out + i, &eight, sizeof eight);
    }
    for (; i < in.size; i++) {
        out[i] = in.data[i] ^ turned[i % 8];
    }
}

static bool read_payload(struct websocket_reader *reader, struct slice *input) {
    uint64_t left = reader->size - reader->at;
    struct slice piece = slice_of(input->data, left < input->size ? (size_t)left : input->size);
    if (piece.size == 0) {
        return true;
    }
    uint8_t *out = is_control(reader->kind) ? reader->control + reader->control_size
                                            : buf_reserve(&reader->message, piece.size);
    unmask(out, piece, reader->mask, reader->at);
    reader->at += piece.size;
    *input = slice_of(input->data + piece.size, input->size - piece.size);
    if (is_control(reader->kind)) {
        reader->control_size = (uint8_t)(reader->control_size + piece.size);
        return true;
    }
    reader->message.size += piece.size;
    return !reader->is_text || utf8_stream_add(&reader->text, slice_of(out, piece.size)) ||
           fail(reader, WEBSOCKET_BAD_TEXT, "a text is not UTF-8");
}

bool websocket_code_is_valid(uint16_t code) {
    return (code >= WEBSOCKET_NORMAL && code <= 1003) ||
           (code >= WEBSOCKET_BAD_TEXT && code <= 1014) || (code >= 3000 && code <= 4999);
}

uint16_t websocket_close_code(struct slice payload) {
    return payload.size < 2 ? 1005 : (uint16_t)big_endian(payload.data, 2);
}

static bool check_close(struct websocket_reader *reader, struct slice payload) {
    if (payload.size == 0) {
        return true;
    }
    if (payload.size == 1 || !websocket_code_is_valid(websocket_close_code(payload))) {
        return fail(reader, WEBSOCKET_PROTOCOL_ERROR, "a close has no valid code");
    }
    return utf8_is_valid(slice_of(payload.data + 2, payload.size - 2)) ||
           fail(reader, WEBSOCKET_BAD_TEXT, "the text of a close is not UTF-8");
}

// The payload of a frame is complete.
static enum websocket_found end_frame(struct websocket_reader *reader,
                                      struct websocket_message *out) {
    reader->in_payload = false;
    if (is_control(reader->kind)) {
        *out = (struct websocket_message){
            .kind = reader->kind, .payload = slice_of(reader->control, reader->control_size)};
        if (reader->kind == WEBSOCKET_CLOSE) {
            if (!check_close(reader, out->payload)) {
                return WEBSOCKET_BROKEN;
            }
            reader->is_over = true;
        }
        return WEBSOCKET_MESSAGE;
    }
    if (!reader->is_last) {
        return WEBSOCKET_MORE;
    }
    if (reader->is_text && !utf8_stream_is_complete(&reader->text)) {
        (void)fail(reader, WEBSOCKET_BAD_TEXT, "a text ends within a character");
        return WEBSOCKET_BROKEN;
    }
    reader->in_message = false;
    *out = (struct websocket_message){.kind = reader->is_text ? WEBSOCKET_TEXT : WEBSOCKET_BINARY,
                                      .payload = buf_slice(&reader->message)};
    return WEBSOCKET_MESSAGE;
}

// The message that was found last is not looked at any more.
static void forget_message(struct websocket_reader *reader) {
    if (reader->in_message) {
        return;
    }
    if (reader->message.capacity > KEEP_BYTES) {
        buf_release(&reader->message);
    }
    buf_clear(&reader->message);
}

enum websocket_found websocket_read(struct websocket_reader *reader, struct slice *input,
                                    struct websocket_message *out) {
    forget_message(reader);
    while (!reader->is_over) {
        if (!read_head(reader, input)) {
            return WEBSOCKET_BROKEN;
        }
        if (!reader->in_payload) {
            return WEBSOCKET_MORE;
        }
        if (!read_payload(reader, input)) {
            return WEBSOCKET_BROKEN;
        }
        if (reader->at < reader->size) {
            return WEBSOCKET_MORE;
        }
        enum websocket_found found = end_frame(reader, out);
        if (found != WEBSOCKET_MORE) {
            return found;
        }
    }
    *input = slice_of(NULL, 0);
    return WEBSOCKET_MORE;
}

// ---- what the server sends ---------------------------------------------------------------------

size_t websocket_write_head(enum websocket_kind kind, uint64_t size,
                            uint8_t out[WEBSOCKET_HEAD_MOST]) {
    assert(!is_control(kind) || size <= WEBSOCKET_CONTROL_MOST);
    size_t length_size = size < LENGTH_2 ? 0 : size <= UINT16_MAX ? 2 : 8;
    out[0] = (uint8_t)(FIN | (unsigned)kind);
    out[1] = length_size == 0   ? (uint8_t)size
             : length_size == 2 ? (uint8_t)LENGTH_2
                                : (uint8_t)LENGTH_8;
    for (size_t i = 0; i < length_size; i++) {
        out[2 + i] = (uint8_t)(size >> (8 * (length_size - 1 - i)));
    }
    return 2 + length_size;
}

void websocket_append(struct buf *out, enum websocket_kind kind, struct slice payload) {
    uint8_t *at = buf_reserve(out, WEBSOCKET_HEAD_MOST + payload.size);
    out->size += websocket_write_head(kind, payload.size, at);
    buf_append_slice(out, payload);
}

size_t websocket_write_close(uint16_t code, struct slice reason,
                             uint8_t out[WEBSOCKET_CONTROL_MOST]) {
    assert(websocket_code_is_valid(code));
    if (reason.size > WEBSOCKET_REASON_MOST) {
        reason.size = WEBSOCKET_REASON_MOST;
    }
    reason.size = utf8_valid_prefix(reason);
    out[0] = (uint8_t)(code >> 8);
    out[1] = (uint8_t)code;
    if (reason.size > 0) {
        memcpy(out + 2, reason.data, reason.size);
    }
    return 2 + reason.size;
}

// ---- the opening handshake ---------------------------------------------------------------------

void websocket_handshake_header(struct websocket_handshake *handshake, struct slice name,
                                struct slice value) {
    if (slice_equal_any_case(name, "upgrade")) {
        handshake->is_upgrade |= http_list_has(value, "websocket");
    } else if (slice_equal_any_case(name, "connection")) {
        handshake->has_connection |= http_list_has(value, "upgrade");
    } else if (slice_equal_any_case(name, "sec-websocket-key")) {
        handshake->key = slice_trim(value);
        handshake->keys = handshake->keys < 2 ? (uint8_t)(handshake->keys + 1) : 2;
    } else if (slice_equal_any_case(name, "sec-websocket-version")) {
        handshake->version = slice_trim(value);
        handshake->versions = handshake->versions < 2 ? (uint8_t)(handshake->versions + 1) : 2;
    }
}

// Whether the key is the base64 form of 16 bytes.
static bool is_key(struct slice key) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (key.size != 24 || key.data[22] != '=' || key.data[23] != '=') {
        return false;
    }
    for (size_t i = 0; i < 22; i++) {
        if (memchr(digits, key.data[i], sizeof digits - 1) == NULL) {
            return false;
        }
    }
    // The last digit stands for two bits, so its other four are 0.
    return strchr("AQgw", key.data[21]) != NULL;
}

// Section 4.2.2, step 5.4.
static void accept_key(struct slice key, char accept[WEBSOCKET_ACCEPT_SIZE]) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t joined[24 + sizeof guid - 1], digest[SHA_DIGEST_LENGTH];
    memcpy(joined, key.data, 24);
    memcpy(joined + 24, guid, sizeof guid - 1);
    SHA1(joined, sizeof joined, digest);
    EVP_EncodeBlock((uint8_t *)accept, digest, sizeof digest);
}

uint16_t websocket_handshake_answer(const struct websocket_handshake *handshake,
                                    struct slice method, char accept[WEBSOCKET_ACCEPT_SIZE],
                                    const char **why) {
    if (!slice_equal_text(method, "GET")) {
        *why = "a WebSocket is opened with GET";
        return 405;
    }
    if (!handshake->is_upgrade || !handshake->has_connection) {
        *why =
            "this path speaks WebSocket only: Connection: Upgrade and Upgrade: websocket are "
            "missing";
        return 426;
    }
    if (handshake->versions == 1 && !slice_equal_text(handshake->version, "13")) {
        *why = "only version 13 of WebSocket is spoken here";
        return 426;
    }
    if (handshake->versions != 1) {
        *why = "one Sec-WebSocket-Version is needed";
        return 400;
    }
    if (handshake->keys != 1 || !is_key(handshake->key)) {
        *why = "one Sec-WebSocket-Key is needed, of 16 bytes in base64";
        return 400;
    }
    accept_key(handshake->key, accept);
    return 101;
}

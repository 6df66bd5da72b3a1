// SPDX-License-Identifier: Apache-2.0
// The WebSocket protocol (RFC 6455), the server's side, without any socket: what the bytes of a
// client mean, and which bytes say something to it. websocket.h moves them over a connection.
//
// A frame (section 5.2); numbers have the most significant byte first:
//
//    byte 0          byte 1         0, 2 or 8 bytes    4 bytes
//   +---------------+--------------+------------------+------+---------------------+
//   |F|R R R| kind  |M|   length   | the length, when |mask  | payload, XORed with |
//   |I|0 0 0|       |1|  (7 bits)  | that is 126, 127 |      | the mask, repeated  |
//   +---------------+--------------+------------------+------+---------------------+
//
// Kinds are text, binary, continuation (of the message that a frame without FIN began), close, ping
// and pong. The last three are at most 125 bytes, never in pieces, and may come between the pieces
// of a message. A client masks every frame, a server none. No extension is ever agreed on, so the
// three reserved bits are 0 and other kinds do not exist: permessage-deflate (RFC 7692) is
// declined.
#ifndef IO_WEBSOCKET_FRAME_H
#define IO_WEBSOCKET_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "codec/utf8.h"

// By their numbers in a frame.
enum websocket_kind {
    WEBSOCKET_CONTINUATION = 0,  // only in frames, never of a message
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10
};

enum {
    WEBSOCKET_CONTROL_MOST = 125,  // bytes of a close, ping or pong
    WEBSOCKET_REASON_MOST = 123,   // bytes of a close's text
    WEBSOCKET_HEAD_MOST = 10       // bytes before the payload of a server's frame
};

// Codes of a close (section 7.4).
enum {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_BAD_TEXT = 1007,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TOO_BIG = 1009,
    WEBSOCKET_INTERNAL_ERROR = 1011,
    WEBSOCKET_TRY_LATER = 1013
};

// ---- what a client sends -----------------------------------------------------------------------

struct websocket_message {
    enum websocket_kind kind;  // not WEBSOCKET_CONTINUATION
    struct slice payload;      // of a close: nothing, or its code and text
};

// Private to websocket_frame.c, but for its owner to embed.
struct websocket_reader {
    uint64_t most_bytes;  // of a message
    struct buf message;   // of the message so far, unmasked
    bool in_message;      // a message was begun
    bool is_text;         // it is text
    struct utf8_stream text;
    uint8_t control[WEBSOCKET_CONTROL_MOST];  // of the control frame so far, unmasked
    uint8_t control_size;
    // The frame being read.
    uint8_t head[14];
    uint8_t head_size;  // of it, what has come
    bool in_payload;    // the head is complete
    enum websocket_kind kind;
    bool is_last;
    uint8_t mask[4];
    uint64_t at, size;  // of the payload
    // The end: nothing is read any more.
    bool is_over;
    uint16_t code;
    const char *why;
};

enum websocket_found {
    WEBSOCKET_MORE,     // all input was used, and more is needed
    WEBSOCKET_MESSAGE,  // a message or control frame is complete
    WEBSOCKET_BROKEN    // the client broke the protocol or a limit: see websocket_reader_fault
};

// `most_bytes`: of the payload of one message, in however many frames it comes.
void websocket_reader_init(struct websocket_reader *reader, uint64_t most_bytes);
void websocket_reader_release(struct websocket_reader *reader);
// Reads from the front of `input`, which moves on past what was used, until something is found.
// A message's payload lasts until the next call. Memory grows with what has come, not with what a
// head promises. After a close, and after the protocol was broken, all further input is dropped.
enum websocket_found websocket_read(struct websocket_reader *reader, struct slice *input,
                                    struct websocket_message *out);
// After WEBSOCKET_BROKEN: the code to close with and why, in static storage.
uint16_t websocket_reader_fault(const struct websocket_reader *reader, const char **why);

// The code of a close's payload that websocket_read has accepted; 1005 when it has none.
uint16_t websocket_close_code(struct slice payload);
// Whether a close may carry it: 1000-1003, 1007-1014, 3000-4999.
bool websocket_code_is_valid(uint16_t code);

// ---- what the server sends ---------------------------------------------------------------------

// Writes the head of a frame that is a whole message; gives its size.
size_t websocket_write_head(enum websocket_kind kind, uint64_t size,
                            uint8_t out[WEBSOCKET_HEAD_MOST]);
// Appends a frame that is a whole message.
void websocket_append(struct buf *out, enum websocket_kind kind, struct slice payload);
// Writes the payload of a close; gives its size. `reason` is cut, at a character, to what fits.
size_t websocket_write_close(uint16_t code, struct slice reason,
                             uint8_t out[WEBSOCKET_CONTROL_MOST]);

// ---- the opening handshake (section 4.2) -------------------------------------------------------

// Made from the headers of a request, one after the other. Zero-initialised before the first; keeps
// slices of the values until it is answered.
struct websocket_handshake {
    bool is_upgrade;  // Upgrade has the token "websocket"
    bool has_connection;
    struct slice key, version;
    uint8_t keys, versions;  // how many headers; more than one is one too many
};
void websocket_handshake_header(struct websocket_handshake *handshake, struct slice name,
                                struct slice value);

enum { WEBSOCKET_ACCEPT_SIZE = 28 + 1 };  // with its NUL

// Gives 101 and the value of Sec-WebSocket-Accept, or the status to refuse the request with and, in
// `why`, a sentence for its body: 405 unless the method is GET; 426 when it asks for no WebSocket,
// or for another version than 13 (a response that has `Upgrade: websocket` and
// `Sec-WebSocket-Version: 13`); 400 for what is malformed.
uint16_t websocket_handshake_answer(const struct websocket_handshake *handshake,
                                    struct slice method, char accept[WEBSOCKET_ACCEPT_SIZE],
                                    const char **why);

#endif

// SPDX-License-Identifier: Apache-2.0
// The WebSocket protocol without a socket: lengths at their borders, masks, pieces, control frames
// in between, text cut anywhere, and each way to break the rules with the code that it is answered
// with. Everything is read whole and byte by byte.
#include "io/websocket_frame.h"

#include "test.h"

enum { MOST = 200000 };

static const uint8_t mask[4] = {0x37, 0xFA, 0x21, 0x3D};

// Appends a client's frame; `first` is its first byte.
static void frame(struct buf *out, uint8_t first, struct slice payload) {
    uint8_t head[WEBSOCKET_HEAD_MOST];
    size_t size = websocket_write_head(WEBSOCKET_TEXT, payload.size, head);
    head[0] = first;
    head[1] |= 0x80;
    buf_append(out, head, size);
    buf_append(out, mask, sizeof mask);
    for (size_t i = 0; i < payload.size; i++) {
        buf_append_byte(out, payload.data[i] ^ mask[i % 4]);
    }
}

static void frame_text(struct buf *out, uint8_t first, const char *payload) {
    frame(out, first, slice_text(payload));
}

// What was found, as a line: "text:abc ping: close:1000 fault:1002".
static void describe(struct websocket_reader *reader, enum websocket_found found,
                     const struct websocket_message *message, struct buf *out) {
    const char *why = NULL;
    if (found == WEBSOCKET_BROKEN) {
        buf_format(out, "fault:%d ", websocket_reader_fault(reader, &why));
        EXPECT(why != NULL && why[0] != '\0');
        return;
    }
    const char *kind = message->kind == WEBSOCKET_TEXT     ? "text"
                       : message->kind == WEBSOCKET_BINARY ? "binary"
                       : message->kind == WEBSOCKET_PING   ? "ping"
                       : message->kind == WEBSOCKET_PONG   ? "pong"
                                                           : "close";
    buf_format(out, "%s:", kind);
    if (message->kind == WEBSOCKET_CLOSE) {
        buf_format(out, "%d", websocket_close_code(message->payload));
    } else {
        buf_append_slice(out, message->payload);
    }
    buf_append_byte(out, ' ');
}

// Reads the input in pieces of `step` bytes and gives what was found.
static void read_in_steps(struct slice input, size_t step, uint64_t most, struct buf *out) {
    struct websocket_reader reader;
    websocket_reader_init(&reader, most);
    for (size_t at = 0; at < input.size; at += step) {
        size_t size = input.size - at < step ? input.size - at : step;
        struct slice piece = slice_of(input.data + at, size);
        struct websocket_message message;
        enum websocket_found found;
        while ((found = websocket_read(&reader, &piece, &message)) != WEBSOCKET_MORE) {
            describe(&reader, found, &message, out);
        }
        EXPECT_U64(piece.size, 0);
    }
    websocket_reader_release(&reader);
}

static void expect_reads(struct buf *input, const char *wanted) {
    static const size_t steps[] = {1, 2, 3, 7, 1000, 1 << 20};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct buf found = {0};
        read_in_steps(buf_slice(input), steps[i], MOST, &found);
        EXPECT_TEXT(buf_text(&found), wanted);
        buf_release(&found);
    }
    buf_release(input);
}

TEST(lengths_at_the_borders_of_their_forms) {
    static const size_t sizes[] = {0, 1, 125, 126, 127, 128, 65534, 65535, 65536, 65537, MOST};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct bytes *payload = bytes_new(sizes[i]);
        for (size_t j = 0; j < sizes[i]; j++) {
            payload->data[j] = (uint8_t)(j * 7 + 1);
        }
        struct buf input = {0};
        frame(&input, 0x82, bytes_slice(payload));
        size_t head = sizes[i] < 126 ? 2 : sizes[i] < 65536 ? 4 : 10;
        EXPECT_U64(input.size, head + sizeof mask + sizes[i]);
        for (size_t step = 1; step <= input.size; step = step * 3 + 1) {
            struct websocket_reader reader;
            websocket_reader_init(&reader, MOST);
            struct websocket_message message = {0};
            enum websocket_found found = WEBSOCKET_MORE;
            for (size_t at = 0; at < input.size && found == WEBSOCKET_MORE; at += step) {
                size_t size = input.size - at < step ? input.size - at : step;
                struct slice piece = slice_of(input.data + at, size);
                found = websocket_read(&reader, &piece, &message);
            }
            EXPECT(found == WEBSOCKET_MESSAGE && message.kind == WEBSOCKET_BINARY &&
                   slice_equal(message.payload, bytes_slice(payload)));
            websocket_reader_release(&reader);
        }
        buf_release(&input);
        bytes_unref(payload);
    }
}

TEST(a_message_in_pieces_with_pings_between) {
    struct buf input = {0};
    frame_text(&input, 0x01, "one ");
    frame_text(&input, 0x89, "p");
    frame_text(&input, 0x00, "");
    frame_text(&input, 0x00, "two ");
    frame_text(&input, 0x8A, "");
    frame_text(&input, 0x80, "three");
    frame_text(&input, 0x82, "b");
    expect_reads(&input, "ping:p pong: text:one two three binary:b ");
}

TEST(empty_messages) {
    struct buf input = {0};
    frame_text(&input, 0x81, "");
    frame_text(&input, 0x02, "");
    frame_text(&input, 0x00, "");
    frame_text(&input, 0x80, "");
    expect_reads(&input, "text: binary: ");
}

TEST(reserved_bits_and_unknown_kinds_are_refused) {
    for (unsigned first = 0; first < 256; first++) {
        unsigned kind = first & 0x0F;
        bool is_control = kind >= 8 && kind <= 10;
        bool is_fine =
            (first & 0x70) == 0 && (first & 0x80) != 0 && kind != 0 && (kind <= 2 || is_control);
        bool is_begun = first == 0x01 || first == 0x02;
        struct buf input = {0}, found = {0};
        frame_text(&input, (uint8_t)first, "");
        read_in_steps(buf_slice(&input), 1, MOST, &found);
        if (is_begun) {
            EXPECT_TEXT(buf_text(&found), "");
        } else if (is_fine) {
            EXPECT(strstr(buf_text(&found), "fault") == NULL && found.size > 0);
        } else if (strcmp(buf_text(&found), "fault:1002 ") != 0) {
            test_report(__FILE__, __LINE__, "first byte %x: %s", first, buf_text(&found));
        }
        buf_release(&input);
        buf_release(&found);
    }
}

static void expect_raw(const char *bytes, size_t size, const char *wanted) {
    struct buf input = {0};
    buf_append(&input, bytes, size);
    expect_reads(&input, wanted);
}
#define EXPECT_RAW(bytes, wanted) expect_raw(bytes, sizeof(bytes) - 1, wanted)

TEST(heads_that_break_the_rules) {
    EXPECT_RAW("\x81\x01x", "fault:1002 ");                                     // no mask
    EXPECT_RAW("\x89\xFE", "fault:1002 ");                                      // ping over 125
    EXPECT_RAW("\x88\xFF", "fault:1002 ");                                      // close over 125
    EXPECT_RAW("\x81\xFE\x00\x7D....", "fault:1002 ");                          // 125 in 2 bytes
    EXPECT_RAW("\x81\xFF\x00\x00\x00\x00\x00\x00\xFF\xFF....", "fault:1002 ");  // in 8
    EXPECT_RAW("\x82\xFF\x80\x00\x00\x00\x00\x00\x00\x00....", "fault:1002 ");  // 2^63
    EXPECT_RAW("\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF....", "fault:1009 ");  // 2^63 - 1
    EXPECT_RAW("\x80\x80", "fault:1002 ");                                      // of no message
    EXPECT_RAW("\x01\x80....\x81\x80", "fault:1002 ");                          // text within text
    EXPECT_RAW("\x02\x80....\x02\x80", "fault:1002 ");
    EXPECT_RAW("\x81\x80....\x80\x80", "text: fault:1002 ");
}

TEST(a_message_over_the_limit_is_refused_by_its_heads) {
    struct buf input = {0}, found = {0};
    struct bytes *half = bytes_new(MOST / 2 + 1);
    memset(half->data, 'a', half->size);
    frame(&input, 0x01, bytes_slice(half));
    // The second head alone: nothing of its payload has to come.
    uint8_t head[WEBSOCKET_HEAD_MOST];
    size_t size = websocket_write_head(WEBSOCKET_TEXT, half->size, head);
    head[0] = 0x80;
    head[1] |= 0x80;
    buf_append(&input, head, size);
    buf_append(&input, mask, sizeof mask);
    read_in_steps(buf_slice(&input), 1000, MOST, &found);
    EXPECT_TEXT(buf_text(&found), "fault:1009 ");
    bytes_unref(half);
    buf_release(&input);
    buf_release(&found);
}

TEST(text_that_is_valid_in_all_cuts) {
    static const char text[] = "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5 \xF0\x9F\x98\x80 x";
    for (size_t cut = 0; cut < sizeof text; cut++) {
        struct buf input = {0}, wanted = {0};
        frame(&input, 0x01, slice_of(text, cut));
        frame_text(&input, 0x89, "");
        frame(&input, 0x80, slice_of(text + cut, sizeof text - 1 - cut));
        buf_format(&wanted, "ping: text:%s ", text);
        expect_reads(&input, buf_text(&wanted));
        buf_release(&wanted);
    }
}

TEST(text_that_is_not_utf8) {
    static const char *const bad[] = {"\x80",         "\xC0\x80",         "\xED\xA0\x80",
                                      "\xF4\x90\x80", "\xF8\x88\x80\x80", "\xFE",
                                      "a\xCE",        "\xF0\x9F\x98",     "ok\xE2\x82"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct buf whole = {0}, pieces = {0}, binary = {0}, wanted = {0};
        frame_text(&whole, 0x81, bad[i]);
        expect_reads(&whole, "fault:1007 ");
        for (const char *at = bad[i]; *at != '\0'; at++) {
            frame(&pieces, at == bad[i] ? 0x01 : 0x00, slice_of(at, 1));
        }
        frame_text(&pieces, 0x80, "");
        expect_reads(&pieces, "fault:1007 ");
        frame_text(&binary, 0x82, bad[i]);
        buf_format(&wanted, "binary:%s ", bad[i]);
        expect_reads(&binary, buf_text(&wanted));
        buf_release(&wanted);
    }
}

TEST(bad_text_is_refused_before_its_frame_ends) {
    // The head promises 100 bytes; after the fifth no text can be valid any more.
    struct buf whole = {0}, found = {0};
    uint8_t text[100] = {'a', 'b', 0xF4, 0x90, 'c'};
    frame(&whole, 0x81, slice_of(text, sizeof text));
    read_in_steps(slice_of(whole.data, 2 + 4 + 4), 1, MOST, &found);
    EXPECT_TEXT(buf_text(&found), "fault:1007 ");
    buf_release(&whole);
    buf_release(&found);
}

TEST(codes_of_a_close) {
    for (unsigned code = 0; code < 65536; code++) {
        bool is_valid = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                        (code >= 3000 && code <= 4999);
        struct buf input = {0}, found = {0}, wanted = {0};
        uint8_t payload[] = {(uint8_t)(code >> 8), (uint8_t)code, 'x'};
        frame(&input, 0x88, slice_of(payload, code % 2 == 0 ? 2 : 3));
        read_in_steps(buf_slice(&input), 100, MOST, &found);
        buf_format(&wanted, is_valid ? "close:%u " : "fault:1002 ", code);
        EXPECT_TEXT(buf_text(&found), buf_text(&wanted));
        buf_release(&input);
        buf_release(&found);
        buf_release(&wanted);
    }
    EXPECT_RAW("\x88\x80....", "close:1005 ");
    EXPECT_RAW("\x88\x81\x00\x00\x00\x00\x03", "fault:1002 ");
    EXPECT_RAW("\x88\x84\x00\x00\x00\x00\x03\xE8\xC0\x80", "fault:1007 ");
    EXPECT_RAW("\x88\x83\x00\x00\x00\x00\x03\xE8\xE2", "fault:1007 ");
}

TEST(nothing_is_read_after_a_close) {
    struct buf input = {0};
    frame_text(&input, 0x88, "\x03\xE8");
    frame_text(&input, 0x81, "late");
    buf_append_text(&input, "no frame");
    expect_reads(&input, "close:1000 ");
}

TEST(what_the_server_writes) {
    struct buf out = {0};
    websocket_append(&out, WEBSOCKET_TEXT, slice_text("Hello"));
    EXPECT(slice_equal_text(buf_slice(&out), "\x81\x05Hello"));
    buf_clear(&out);
    struct bytes *large = bytes_new(65536);
    memset(large->data, 'z', large->size);
    websocket_append(&out, WEBSOCKET_BINARY, bytes_slice(large));
    EXPECT(out.size == 65546 && memcmp(out.data, "\x82\x7F\0\0\0\0\0\1\0\0z", 11) == 0);
    buf_clear(&out);
    websocket_append(&out, WEBSOCKET_BINARY, slice_of(large->data, 300));
    EXPECT(out.size == 304 && memcmp(out.data, "\x82\x7E\x01\x2Cz", 5) == 0);
    uint8_t close[WEBSOCKET_CONTROL_MOST];
    EXPECT_U64(websocket_write_close(1001, slice_of(NULL, 0), close), 2);
    EXPECT(memcmp(close, "\x03\xE9", 2) == 0);
    // A reason that does not fit is cut at a character.
    char reason[130];
    memset(reason, 'r', sizeof reason);
    memcpy(reason + 122, "\xC3\xA9", 2);
    EXPECT_U64(websocket_write_close(1000, slice_of(reason, sizeof reason), close), 124);
    buf_release(&out);
    bytes_unref(large);
}

// ---- the handshake -----------------------------------------------------------------------------

static const char *const good[] = {"Host",
                                   "x",
                                   "Upgrade",
                                   "websocket",
                                   "Connection",
                                   "keep-alive, Upgrade",
                                   "Sec-WebSocket-Key",
                                   "dGhlIHNhbXBsZSBub25jZQ==",
                                   "Sec-WebSocket-Version",
                                   "13"};

// The answer to `good` with one header changed (NULL: left out) and perhaps one more.
static uint16_t shake(const char *method, const char *name, const char *value, bool is_added) {
    struct websocket_handshake handshake = {0};
    for (size_t i = 0; i < COUNT_OF(good); i += 2) {
        bool is_it = name != NULL && strcmp(good[i], name) == 0;
        const char *its = is_it && !is_added ? value : good[i + 1];
        if (its != NULL) {
            websocket_handshake_header(&handshake, slice_text(good[i]), slice_text(its));
        }
    }
    if (is_added) {
        websocket_handshake_header(&handshake, slice_text(name), slice_text(value));
    }
    char accept[WEBSOCKET_ACCEPT_SIZE];
    const char *why = NULL;
    uint16_t status = websocket_handshake_answer(&handshake, slice_text(method), accept, &why);
    if (status == 101) {
        EXPECT_TEXT(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    } else {
        EXPECT(why != NULL);
    }
    return status;
}

TEST(the_opening_handshake) {
    EXPECT_U64(shake("GET", NULL, NULL, false), 101);
    EXPECT_U64(shake("GET", "Upgrade", "WebSocket", false), 101);
    EXPECT_U64(shake("GET", "Upgrade", "h2c, websocket", false), 101);
    EXPECT_U64(shake("GET", "Connection", "close", true), 101);
    EXPECT_U64(shake("POST", NULL, NULL, false), 405);
    EXPECT_U64(shake("GET", "Upgrade", NULL, false), 426);
    EXPECT_U64(shake("GET", "Upgrade", "websockets", false), 426);
    EXPECT_U64(shake("GET", "Connection", "keep-alive", false), 426);
    EXPECT_U64(shake("GET", "Sec-WebSocket-Version", "8", false), 426);
    EXPECT_U64(shake("GET", "Sec-WebSocket-Version", NULL, false), 400);
    EXPECT_U64(shake("GET", "Sec-WebSocket-Version", "13", true), 400);
    EXPECT_U64(shake("GET", "Sec-WebSocket-Key", NULL, false), 400);
    EXPECT_U64(shake("GET", "Sec-WebSocket-Key", "", false), 400);
    EXPECT_U64(shake("GET", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", true), 400);
    EXPECT_U64(shake("GET", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZR==", false), 400);
    EXPECT_U64(shake("GET", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j!Q==", false), 400);
    EXPECT_U64(shake("GET", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==dGhl", false), 400);
}

int main(void) {
    return test_main();
}

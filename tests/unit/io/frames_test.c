// SPDX-License-Identifier: Apache-2.0
// Output cut into pieces: however it arrives, the pieces are the same and nothing is lost.
#include "io/frames.h"

#include <stdlib.h>

#include "test.h"

// Feeds `input` at most `step` bytes at a time; gives all pieces with a "|" behind each.
static struct buf cut(const struct io_framing *framing, struct slice input, size_t step) {
    struct io_frames frames;
    struct buf out = {0};
    io_frames_init(&frames, framing);
    size_t at = 0;
    for (;;) {
        struct slice piece;
        while (io_frames_next(&frames, &piece)) {
            buf_append_slice(&out, piece);
            buf_append_byte(&out, '|');
            io_frames_settle(&frames);
        }
        if (at == input.size) {
            if (io_frames_are_done(&frames)) {
                break;
            }
            io_frames_end(&frames);
            continue;
        }
        size_t room = 0;
        uint8_t *to = io_frames_room(&frames, &room);
        REQUIRE(room > 0);
        size_t size = input.size - at < step ? input.size - at : step;
        size = size < room ? size : room;
        memcpy(to, input.data + at, size);
        io_frames_filled(&frames, size);
        at += size;
    }
    io_frames_release(&frames);
    return out;
}

static void expect_cut(struct io_framing framing, const char *input, const char *pieces) {
    for (size_t step = 1; step <= 7; step++) {
        struct buf out = cut(&framing, slice_text(input), step);
        EXPECT_TEXT(buf_text(&out), pieces);
        buf_release(&out);
    }
}

TEST(lines_come_without_their_end_and_empty_ones_too) {
    struct io_framing lines = {.mode = IO_FRAMES_LINES, .most_bytes = 100};
    expect_cut(lines, "one\n\ntwo\r\nthe rest", "one||two\r|the rest|");
    expect_cut(lines, "\n", "|");
    expect_cut(lines, "", "");
}

TEST(a_line_that_fills_the_bound_comes_in_pieces) {
    struct io_framing lines = {.mode = IO_FRAMES_LINES, .most_bytes = 4};
    expect_cut(lines, "abcdefghij\nk", "abcd|efgh|ij|k|");
}

TEST(json_is_one_value_per_line) {
    struct io_framing json = {.mode = IO_FRAMES_JSON, .most_bytes = 100};
    expect_cut(json, "{\"a\": 1}\n\n  \t\r\n[2]\n3", "{\"a\": 1}|[2]|3|");
    expect_cut(json, "\n \n", "");
}

TEST(chunks_have_one_size_but_for_the_last) {
    struct io_framing chunks = {.mode = IO_FRAMES_CHUNKS, .chunk_bytes = 3, .most_bytes = 3};
    expect_cut(chunks, "abcdefgh", "abc|def|gh|");
    expect_cut(chunks, "abcdef", "abc|def|");
}

TEST(raw_bytes_are_what_was_written) {
    enum { SIZE = 1 << 20 };
    uint8_t *input = xmalloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        input[i] = (uint8_t)(i * 2654435761U >> 13);
    }
    struct io_frames frames;
    struct io_framing raw = {.mode = IO_FRAMES_RAW, .most_bytes = 100000};
    io_frames_init(&frames, &raw);
    struct buf out = {0};
    size_t at = 0;
    while (!io_frames_are_done(&frames)) {
        struct slice piece;
        bool is_out = io_frames_next(&frames, &piece);
        // With a piece out, more comes in until the bound is reached.
        for (size_t room = 1; room > 0 && at < SIZE;) {
            uint8_t *to = io_frames_room(&frames, &room);
            size_t size = SIZE - at < room ? SIZE - at : room;
            if (size > 0) {
                memcpy(to, input + at, size);
                io_frames_filled(&frames, size);
            }
            at += size;
            EXPECT(frames.size + (is_out ? piece.size : 0) <= raw.most_bytes);
        }
        if (is_out) {
            buf_append_slice(&out, piece);
            io_frames_settle(&frames);
        } else if (at == SIZE) {
            io_frames_end(&frames);
        }
    }
    EXPECT(slice_equal(buf_slice(&out), slice_of(input, SIZE)));
    buf_release(&out);
    io_frames_release(&frames);
    free(input);
}

TEST(a_large_bound_takes_no_memory) {
    struct io_framing raw = {.mode = IO_FRAMES_RAW, .most_bytes = (uint64_t)1 << 40};
    struct io_frames frames;
    io_frames_init(&frames, &raw);
    EXPECT(io_frames_have_room(&frames));
    EXPECT_U64(frames.capacity, 0);
    size_t room = 0;
    (void)io_frames_room(&frames, &room);
    EXPECT_U64(room, 65536);
    io_frames_release(&frames);
}

int main(void) {
    return test_main();
}

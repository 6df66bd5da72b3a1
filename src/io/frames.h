// SPDX-License-Identifier: Apache-2.0
// Output of a process, cut into pieces as the one who reads it wants them. Holds what came in and
// was not taken yet, up to a bound; memory follows what is held. Nothing is lost and nothing added
// but what a mode says: all pieces together are what was written.
//
//   raw      as it came, at most 64 KiB in a piece
//   lines    a line in a piece, without the "\n" at its end; a line that fills the bound comes in
//            pieces of that size
//   json     as lines, without lines that hold only white space: one value per line
//   chunks   pieces of one size
//
// What is left at the end is the last piece. One piece is out at a time. Not for threads.
#ifndef IO_FRAMES_H
#define IO_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

// The order is that of output-mode (wit/process.wit).
enum io_frame_mode { IO_FRAMES_RAW, IO_FRAMES_LINES, IO_FRAMES_JSON, IO_FRAMES_CHUNKS };

struct io_framing {
    enum io_frame_mode mode;
    uint32_t chunk_bytes;  // of IO_FRAMES_CHUNKS: 1 to most_bytes
    uint64_t most_bytes;   // what is held at most, the piece that is out included; at least 1
};

struct io_frames {
    struct io_framing framing;
    uint8_t *data;
    size_t start, size, capacity;  // what is held: data[start] to data[start + size - 1]
    size_t scanned;                // of these, how many were looked at for the end of a line
    struct bytes *piece;           // owned: the one that is out
    bool has_ended;
};

// Empty; nothing is allocated before something comes in.
void io_frames_init(struct io_frames *frames, const struct io_framing *framing);
// Also the piece that is out.
void io_frames_release(struct io_frames *frames);
// Whether anything more may come in.
bool io_frames_have_room(const struct io_frames *frames);
// Where the next bytes go: at most 64 KiB. `*size` is 0 when it is full. Valid until the next call
// of any of these functions.
uint8_t *io_frames_room(struct io_frames *frames, size_t *size);
// The first `size` bytes of the room were filled.
void io_frames_filled(struct io_frames *frames, size_t size);
// Nothing more comes.
void io_frames_end(struct io_frames *frames);
// Takes the next piece out, borrowed until io_frames_settle. False: one is out already, or none is
// complete yet.
bool io_frames_next(struct io_frames *frames, struct slice *piece);
// The piece that is out is done with.
void io_frames_settle(struct io_frames *frames);
// The end has come, and every piece was settled.
bool io_frames_are_done(const struct io_frames *frames);

#endif

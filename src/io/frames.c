// SPDX-License-Identifier: Apache-2.0
#include "io/frames.h"

#include <assert.h>
#include <stdlib.h>

enum { READ_MOST_BYTES = 64 * 1024 };

void io_frames_init(struct io_frames *frames, const struct io_framing *framing) {
    assert(framing->most_bytes > 0);
    assert(framing->mode != IO_FRAMES_CHUNKS ||
           (framing->chunk_bytes > 0 && framing->chunk_bytes <= framing->most_bytes));
    *frames = (struct io_frames){.framing = *framing};
}

void io_frames_release(struct io_frames *frames) {
    free(frames->data);
    bytes_unref(frames->piece);
    *frames = (struct io_frames){.has_ended = true};
}

static uint64_t room_left(const struct io_frames *frames) {
    size_t out = frames->piece != NULL ? frames->piece->size : 0;
    return frames->framing.most_bytes - frames->size - out;
}

bool io_frames_have_room(const struct io_frames *frames) {
    return room_left(frames) > 0;
}

uint8_t *io_frames_room(struct io_frames *frames, size_t *size) {
    uint64_t left = room_left(frames);
    size_t want = left < READ_MOST_BYTES ? (size_t)left : READ_MOST_BYTES;
    if (frames->start + frames->size + want > frames->capacity) {
        if (frames->start > 0 && frames->size > 0) {
            memmove(frames->data, frames->data + frames->start, frames->size);
        }
        frames->start = 0;
        if (frames->size + want > frames->capacity) {
            size_t grown = frames->capacity + frames->capacity / 2;
            frames->capacity = grown > frames->size + want ? grown : frames->size + want;
            frames->data = xrealloc(frames->data, frames->capacity);
        }
    }
    *size = want;
    return want == 0 ? NULL : frames->data + frames->start + frames->size;
}

void io_frames_filled(struct io_frames *frames, size_t size) {
    assert(frames->start + frames->size + size <= frames->capacity && !frames->has_ended);
    frames->size += size;
}

void io_frames_end(struct io_frames *frames) {
    frames->has_ended = true;
}

// Takes `size` bytes out; what follows them, `skip` bytes, is not part of any piece.
static void take(struct io_frames *frames, size_t size, size_t skip) {
    frames->piece = bytes_copy(slice_of(frames->data + frames->start, size));
    frames->start += size + skip;
    frames->size -= size + skip;
    frames->scanned = 0;
    if (frames->size == 0) {
        free(frames->data);
        frames->data = NULL;
        frames->start = frames->capacity = 0;
    }
}

static bool take_line(struct io_frames *frames) {
    const uint8_t *data = frames->data + frames->start;
    const uint8_t *end = NULL;
    if (frames->size > frames->scanned) {
        end = memchr(data + frames->scanned, '\n', frames->size - frames->scanned);
    }
    if (end != NULL) {
        take(frames, (size_t)(end - data), 1);
        return true;
    }
    frames->scanned = frames->size;
    bool is_last = frames->has_ended && frames->size > 0;
    if (is_last || frames->size >= frames->framing.most_bytes) {
        take(frames, frames->size, 0);
        return true;
    }
    return false;
}

static bool is_blank(const struct bytes *piece) {
    for (size_t i = 0; i < piece->size; i++) {
        if (strchr(" \t\r\n", piece->data[i]) == NULL || piece->data[i] == '\0') {
            return false;
        }
    }
    return true;
}

static bool take_value(struct io_frames *frames) {
    while (take_line(frames)) {
        if (!is_blank(frames->piece)) {
            return true;
        }
        io_frames_settle(frames);
    }
    return false;
}

static bool take_most(struct io_frames *frames, size_t least, size_t most) {
    if (frames->size == 0 || (frames->size < least && !frames->has_ended)) {
        return false;
    }
    take(frames, frames->size < most ? frames->size : most, 0);
    return true;
}

bool io_frames_next(struct io_frames *frames, struct slice *piece) {
    bool good = false;
    if (frames->piece != NULL) {
        return false;
    }
    switch (frames->framing.mode) {
        case IO_FRAMES_RAW:
            good = take_most(frames, 1, READ_MOST_BYTES);
            break;
        case IO_FRAMES_LINES:
            good = take_line(frames);
            break;
        case IO_FRAMES_JSON:
            good = take_value(frames);
            break;
        case IO_FRAMES_CHUNKS:
            good = take_most(frames, frames->framing.chunk_bytes, frames->framing.chunk_bytes);
            break;
    }
    *piece = bytes_slice(frames->piece);
    return good;
}

void io_frames_settle(struct io_frames *frames) {
    bytes_unref(frames->piece);
    frames->piece = NULL;
}

bool io_frames_are_done(const struct io_frames *frames) {
    return frames->has_ended && frames->size == 0 && frames->piece == NULL;
}

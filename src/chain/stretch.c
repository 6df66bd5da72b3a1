// SPDX-License-Identifier: Apache-2.0
#include "chain/stretch.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10 };

struct stretch stretch_of(struct chain_log *log, uint64_t position, uint64_t limit) {
    return (struct stretch){.log = log, .position = position, .limit = limit, .file = -1};
}

static void close_segment(struct stretch *stretch) {
    if (stretch->file >= 0) {
        close(stretch->file);
    }
    stretch->file = -1;
}

void stretch_release(struct stretch *stretch) {
    close_segment(stretch);
    buf_release(&stretch->bytes);
}

// ---- segments ----------------------------------------------------------------------------------

// The segment that holds `position`, and where the next one begins. False when it begins later.
static bool locate(struct chain_log *log, uint64_t position, struct log_segment *segment,
                   uint64_t *next_base) {
    (void)pthread_mutex_lock(&log->lock);
    uint64_t low = 0;
    uint64_t high = log->segment_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (log->segments[middle].base <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low != 0) {
        *segment = log->segments[low - 1];
    }
    *next_base = low < log->segment_count ? log->segments[low].base : UINT64_MAX;
    (void)pthread_mutex_unlock(&log->lock);
    return low != 0;
}

static enum status missing(struct chain_log *log, uint32_t number, struct error *error) {
    char name[SEGMENT_NAME_BYTES];
    segment_name(number, name);
    return error_set(error, ERR_DAMAGED, "segment %s/%s is gone", log->folder, name);
}

static enum status open_segment(struct stretch *stretch, struct error *error) {
    struct log_segment segment = {0};
    uint64_t next_base = 0;
    close_segment(stretch);
    buf_clear(&stretch->bytes);
    if (!locate(stretch->log, stretch->position, &segment, &next_base)) {
        return error_set(error, ERR_NOT_FOUND,
                         "the log does not hold position %" PRIu64 " any more", stretch->position);
    }
    struct error cause = {0};
    stretch->file = segment_open(stretch->log->folder, segment.number, &cause);
    if (stretch->file < 0) {
        bool is_gone = stretch->file == -1;
        stretch->file = -1;
        return is_gone ? missing(stretch->log, segment.number, error)
                       : error_set(error, cause.code, "%s", cause.message);
    }
    stretch->number = segment.number;
    stretch->base = segment.base;
    stretch->end = next_base < stretch->limit ? next_base : stretch->limit;
    stretch->start = stretch->position;
    return OK;
}

// ---- frames ------------------------------------------------------------------------------------

static enum status bad(const struct stretch *stretch, const char *problem, struct error *error) {
    char name[SEGMENT_NAME_BYTES];
    segment_name(stretch->number, name);
    return error_set(error, ERR_DAMAGED, "%s/%s at byte %" PRIu64 ": %s", stretch->log->folder,
                     name, SEGMENT_HEADER_BYTES + (stretch->position - stretch->base), problem);
}

// The next `size` bytes, or NULL.
static const uint8_t *need(struct stretch *stretch, uint64_t size, struct error *error) {
    uint64_t held = stretch->start + stretch->bytes.size - stretch->position;
    uint64_t left = stretch->end - stretch->position;
    if (size > left) {
        (void)bad(stretch, "the frame ends behind what was written", error);
        return NULL;
    }
    if (held < size) {
        uint64_t want = size > READ_BYTES ? size : READ_BYTES;
        want = want > left ? left : want;
        buf_clear(&stretch->bytes);
        stretch->start = stretch->position;
        uint8_t *into = buf_reserve(&stretch->bytes, (size_t)want);
        uint64_t offset = SEGMENT_HEADER_BYTES + (stretch->position - stretch->base);
        if (read_at(stretch->file, offset, into, (size_t)want, &stretch->bytes.size, error) != OK) {
            return NULL;
        }
        if (stretch->bytes.size < size) {
            (void)bad(stretch, "the file ends inside a frame", error);
            return NULL;
        }
    }
    return stretch->bytes.data + (stretch->position - stretch->start);
}

enum status stretch_next(struct stretch *stretch, struct frame *frame, bool *more,
                         struct error *error) {
    struct error ignored = {0};
    error = error != NULL ? error : &ignored;
    *more = false;
    if (stretch->position >= stretch->limit) {
        return OK;
    }
    if (stretch->file < 0 || stretch->position >= stretch->end) {
        enum status status = open_segment(stretch, error);
        if (status != OK) {
            return status;
        }
    }
    const uint8_t *at = need(stretch, FRAME_HEADER_BYTES, error);
    if (at == NULL) {
        return error->code;
    }
    *frame = frame_read(at, stretch->position);
    at = need(stretch, FRAME_HEADER_BYTES + (uint64_t)frame->body_bytes, error);
    if (at == NULL) {
        return error->code;
    }
    *frame = frame_read(at, stretch->position);
    if (!frame_is_intact(at, frame)) {
        return bad(stretch, "the frame's checksum does not match", error);
    }
    stretch->position += FRAME_HEADER_BYTES + (uint64_t)frame->body_bytes;
    *more = true;
    return OK;
}

enum status stretch_seek(struct stretch *stretch, uint64_t position, struct error *error) {
    struct log_segment segment = {0};
    uint64_t next_base = 0;
    assert(position <= stretch->limit);
    if (!locate(stretch->log, position, &segment, &next_base)) {
        // A log without a segment yet begins at 0; one that was cut begins with its first segment.
        bool is_empty = next_base == UINT64_MAX;
        stretch->position = is_empty ? position : next_base;
        return is_empty || position == 0 ? OK
                                         : error_set(error, ERR_NOT_FOUND,
                                                     "the log begins at position %" PRIu64
                                                     " and holds %" PRIu64 " no more",
                                                     next_base, position);
    }
    stretch->position = segment.base;
    enum status status = OK;
    bool more = true;
    while (status == OK && more && stretch->position < position) {
        struct frame frame;
        status = stretch_next(stretch, &frame, &more, error);
    }
    return status;
}

// ---- times -------------------------------------------------------------------------------------

// The latest event time in a sealed segment; UINT64_MAX when it has no footer to say so.
static enum status last_time(struct chain_log *log, uint32_t number, uint64_t *out,
                             struct error *error) {
    *out = UINT64_MAX;
    struct error cause = {0};
    int file = segment_open(log->folder, number, &cause);
    if (file < 0) {
        return file == -1 ? missing(log, number, error)
                          : error_set(error, cause.code, "%s", cause.message);
    }
    struct stat about;
    uint8_t bytes[FRAME_HEADER_BYTES + FOOTER_BODY_MOST_BYTES + TRAILER_BYTES];
    size_t got = 0;
    uint64_t footer = 0;
    enum status status = OK;
    if (fstat(file, &about) != 0) {
        status = error_set_os(error, errno, "cannot read a segment in %s", log->folder);
    }
    uint64_t size = status == OK ? (uint64_t)about.st_size : 0;
    if (size > SEGMENT_HEADER_BYTES + TRAILER_BYTES) {
        status = read_at(file, size - TRAILER_BYTES, bytes, TRAILER_BYTES, &got, error);
    }
    bool is_sealed = status == OK && got == TRAILER_BYTES && trailer_read(bytes, &footer) &&
                     footer < size && size - footer <= sizeof bytes;
    if (is_sealed) {
        status = read_at(file, footer, bytes, (size_t)(size - footer), &got, error);
    }
    struct frame frame = {0};
    struct segment_sum sum;
    if (is_sealed && status == OK && got == size - footer && got > FRAME_HEADER_BYTES) {
        frame = frame_read(bytes, 0);
        // What is wrong with a footer is for verification; here it only means to look closer.
        if (frame.body_bytes <= got - FRAME_HEADER_BYTES &&
            footer_read(slice_of(frame.body, frame.body_bytes), &sum, NULL) == OK) {
            *out = sum.last_time_ns;
        }
    }
    close(file);
    return status;
}

enum status stretch_seek_time(struct chain_log *log, uint64_t time_ns, uint64_t *position,
                              struct error *error) {
    *position = 0;
    struct log_segment segment = {0};
    uint64_t next_base = 0;
    enum status status = OK;
    if (!locate(log, 0, &segment, &next_base)) {
        *position = next_base == UINT64_MAX ? 0 : next_base;
    }
    while (locate(log, *position, &segment, &next_base) && next_base != UINT64_MAX) {
        uint64_t last = 0;
        status = last_time(log, segment.number, &last, error);
        if (status != OK || last >= time_ns) {
            break;
        }
        *position = next_base;
    }
    return status;
}

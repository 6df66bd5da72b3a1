// SPDX-License-Identifier: Apache-2.0
// Reading one chain in order. Frames point backwards, so a reader first walks back from the end to
// where it starts, remembering 8 bytes per event, and then gives the events forwards; at the end it
// looks whether the chain has grown.
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "chain/state.h"
#include "codec/cbor.h"

// ---- windows -----------------------------------------------------------------------------------

enum { WINDOW_BYTES = 16 << 10, NARROW_BYTES = 2 << 10 };

void window_release(struct window *window) {
    if (window->number != 0) {
        close(window->file);
    }
    buf_release(&window->bytes);
    window->number = 0;
}

// Copies the frame from the buffers, when it is not written yet. With `lock` held.
static bool copy_unwritten(struct chain_log *log, struct window *window, uint64_t position) {
    const struct log_buffer *candidates[] = {log->active, log->full};
    for (size_t i = 0; i < COUNT_OF(candidates); i++) {
        const struct log_buffer *buffer = candidates[i];
        if (buffer == NULL || position < buffer->position ||
            position >= buffer->position + buffer->used) {
            continue;
        }
        const uint8_t *at = buffer->data + (position - buffer->position);
        struct frame frame = frame_read(at, position);
        window_release(window);
        window->bytes = (struct buf){0};
        window->file = -1;
        buf_append(&window->bytes, at, FRAME_HEADER_BYTES + (size_t)frame.body_bytes);
        return true;
    }
    return false;
}

bool find_segment(const struct chain_log *log, uint64_t position, struct log_segment *segment) {
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
    return low != 0;
}

// `size` bytes at `offset` of the window's file. NULL when the file, or what is known to be written
// of it, is shorter. (What lies behind that is preallocated, and must not stay in a window.)
static const uint8_t *window_bytes(struct window *window, uint64_t offset, size_t size,
                                   bool backward, struct error *error) {
    uint64_t end = window->start + window->bytes.size;
    if (offset < window->start || offset + size > end) {
        size_t wide = window->is_sparse ? NARROW_BYTES : WINDOW_BYTES;
        size_t want = size > wide ? size : wide;
        uint64_t start = offset;
        window->loads++;
        if (backward && !window->is_sparse) {
            // The frame's own body lies behind what is asked for.
            uint64_t before = WINDOW_BYTES - NARROW_BYTES;
            start = offset > before ? offset - before : 0;
        }
        buf_clear(&window->bytes);
        window->start = start;
        if (offset + size > window->limit) {
            (void)error_set(error, ERR_DAMAGED, "the frame ends behind what was written");
            return NULL;
        }
        want = want > window->limit - start ? (size_t)(window->limit - start) : want;
        uint8_t *at = buf_reserve(&window->bytes, want);
        if (read_at(window->file, start, at, want, &window->bytes.size, error) != OK) {
            return NULL;
        }
        if (offset + size > start + window->bytes.size) {
            (void)error_set(error, ERR_DAMAGED, "the file ends inside a frame");
            return NULL;
        }
    }
    return window->bytes.data + (offset - window->start);
}

static enum status window_switch(struct chain_log *log, struct window *window,
                                 const struct log_segment *segment, struct error *error) {
    if (window->number == segment->number && window->generation == segment->generation) {
        return OK;
    }
    struct buf bytes = window->bytes;
    window->bytes = (struct buf){0};
    window_release(window);
    buf_clear(&bytes);
    window->bytes = bytes;
    int file = segment_open(log->folder, segment->number, error);
    if (file < 0) {
        return file == -2 ? error->code
                          : error_set(error, ERR_DAMAGED, "segment %" PRIu32 " of %s is gone",
                                      segment->number, log->folder);
    }
    window->file = file;
    window->number = segment->number;
    window->generation = segment->generation;
    window->start = 0;
    return OK;
}

static enum status frame_from_file(struct window *window, uint64_t offset, uint64_t position,
                                   bool backward, struct frame *frame, struct error *error) {
    uint64_t loads = window->loads;
    const uint8_t *at = window_bytes(window, offset, FRAME_HEADER_BYTES, backward, error);
    window->is_sparse = loads != 0 && window->loads != loads;
    if (at != NULL) {
        *frame = frame_read(at, position);
        if (frame->body_bytes > BATCH_MOST_BYTES) {
            return error_set(error, ERR_DAMAGED, "the frame's length is too large");
        }
        at = window_bytes(window, offset, FRAME_HEADER_BYTES + (size_t)frame->body_bytes, false,
                          error);
    }
    if (at == NULL) {
        return error->code;
    }
    *frame = frame_read(at, position);
    if (!frame_is_intact(at, frame)) {
        return error_set(error, ERR_DAMAGED, "the frame's checksum does not match");
    }
    return OK;
}

enum status window_frame(struct chain_log *log, struct window *window, uint64_t position,
                         bool backward, struct frame *frame, struct error *error) {
    struct log_segment segment = {0};
    (void)pthread_mutex_lock(&log->lock);
    bool is_copied = copy_unwritten(log, window, position);
    bool is_found = is_copied || find_segment(log, position, &segment);
    uint64_t written = log->written;
    (void)pthread_mutex_unlock(&log->lock);
    if (is_copied) {
        *frame = frame_read(window->bytes.data, position);
        assert(frame_is_intact(window->bytes.data, frame));
        window->start = UINT64_MAX;
        return OK;
    }
    if (!is_found) {
        return error_set(error, ERR_DAMAGED, "no segment holds position %" PRIu64, position);
    }
    enum status status = window_switch(log, window, &segment, error);
    if (status != OK) {
        return status;
    }
    if (position >= written) {
        return error_set(error, ERR_DAMAGED, "position %" PRIu64 " lies behind the log's end",
                         position);
    }
    uint64_t offset = SEGMENT_HEADER_BYTES + (position - segment.base);
    window->limit = SEGMENT_HEADER_BYTES + (written - segment.base);
    status = frame_from_file(window, offset, position, backward, frame, error);
    if (status != OK) {
        char name[SEGMENT_NAME_BYTES];
        segment_name(segment.number, name);
        return error_context(error, "%s/%s at byte %" PRIu64, log->folder, name, offset);
    }
    return OK;
}

// ---- readers -----------------------------------------------------------------------------------

struct chain_reader {
    struct chain_log *log;
    const struct chain_actor *actor;
    struct window window;
    uint64_t *positions;  // of events to give, latest first; given from the back
    uint64_t position_count;
    uint64_t position_capacity;
    // The frames of the first positions, those nearest to the end, so that they are not read twice.
    struct buf kept;
    uint32_t *kept_at;  // in `kept`, by index in `positions`
    uint64_t kept_count;
    uint64_t kept_capacity;
    uint64_t newest;  // position up to which the walk back has been made
    uint64_t next_seq;
    bool has_parent;               // of the next event
    uint8_t parent[SHA256_BYTES];  // what it must be
};

enum status chain_reader_open(struct chain_log *log, const char *id, uint64_t from,
                              struct chain_reader **out, struct error *error) {
    struct error cause = {0};
    enum status status = OK;
    (void)pthread_mutex_lock(&log->registry);
    if (log->is_read_only) {
        status = log_follow(log, &cause);
    }
    struct chain_actor *actor = registry_find(log, id);
    (void)pthread_mutex_unlock(&log->registry);
    if (status != OK) {
        return error_set(error, status, "%s", cause.message);
    }
    if (actor == NULL ||
        atomic_load_explicit(&actor->last_position, memory_order_acquire) == NO_POSITION) {
        return error_set(error, ERR_NOT_FOUND, "no chain '%.128s' in the log", id);
    }
    struct chain_reader *reader = xcalloc(1, sizeof *reader);
    reader->log = log;
    reader->actor = actor;
    reader->newest = NO_POSITION;
    reader->next_seq = from;
    *out = reader;
    return OK;
}

void chain_reader_close(struct chain_reader *reader) {
    if (reader != NULL) {
        window_release(&reader->window);
        free(reader->positions);
        buf_release(&reader->kept);
        free(reader->kept_at);
        free(reader);
    }
}

static void push_position(struct chain_reader *reader, uint64_t position) {
    if (reader->position_count == reader->position_capacity) {
        reader->position_capacity =
            reader->position_capacity == 0 ? 64 : 2 * reader->position_capacity;
        reader->positions =
            xrealloc(reader->positions, reader->position_capacity * sizeof *reader->positions);
    }
    reader->positions[reader->position_count++] = position;
}

enum { KEPT_MOST_BYTES = 256 << 10 };

// Keeps a copy of the frame at the position that is pushed next.
static void keep_frame(struct chain_reader *reader, const struct frame *frame) {
    size_t size = FRAME_HEADER_BYTES + (size_t)frame->body_bytes;
    if (reader->kept_count != reader->position_count ||
        reader->kept.size + size > KEPT_MOST_BYTES) {
        return;
    }
    if (reader->kept_count == reader->kept_capacity) {
        reader->kept_capacity = reader->kept_capacity == 0 ? 64 : 2 * reader->kept_capacity;
        reader->kept_at =
            xrealloc(reader->kept_at, (size_t)reader->kept_capacity * sizeof *reader->kept_at);
    }
    reader->kept_at[reader->kept_count++] = (uint32_t)reader->kept.size;
    buf_append(&reader->kept, frame->body - FRAME_HEADER_BYTES, size);
}

// All positions are used up: whoever waits at the end of a chain keeps no memory for it.
static void drop_kept(struct chain_reader *reader) {
    buf_release(&reader->kept);
    free(reader->kept_at);
    reader->kept_at = NULL;
    reader->kept_count = reader->kept_capacity = 0;
}

static enum status read_event(struct chain_reader *reader, uint64_t position, bool backward,
                              struct frame *frame, struct chain_event *event, struct error *error) {
    enum status status =
        window_frame(reader->log, &reader->window, position, backward, frame, error);
    if (status != OK) {
        return status;
    }
    if (frame->kind != FRAME_EVENT) {
        return error_set(error, ERR_DAMAGED, "position %" PRIu64 " holds no event", position);
    }
    return event_decode(slice_of(frame->body, frame->body_bytes), event, error);
}

enum status chain_reader_open_last(struct chain_log *log, const char *id, uint64_t count,
                                   struct chain_reader **out, struct error *error) {
    struct chain_reader *reader = NULL;
    enum status status = chain_reader_open(log, id, 0, &reader, error);
    if (status != OK) {
        return status;
    }
    struct frame frame;
    struct chain_event event;
    struct error cause = {0};
    uint64_t last = atomic_load_explicit(&reader->actor->last_position, memory_order_acquire);
    status = read_event(reader, last, true, &frame, &event, &cause);
    if (status != OK) {
        chain_reader_close(reader);
        return error_set(error, status, "chain '%s': %s", id, cause.message);
    }
    reader->next_seq = event.seq + 1 > count ? event.seq + 1 - count : 0;
    *out = reader;
    return OK;
}

// Walks back from the chain's end to what was read last, or to the first sequence wanted.
static enum status load_positions(struct chain_reader *reader, struct error *error) {
    if (reader->log->is_read_only) {
        (void)pthread_mutex_lock(&reader->log->registry);
        enum status followed = log_follow(reader->log, error);
        (void)pthread_mutex_unlock(&reader->log->registry);
        if (followed != OK) {
            return followed;
        }
    }
    // Partner: the release store in chain_append.
    uint64_t last = atomic_load_explicit(&reader->actor->last_position, memory_order_acquire);
    uint64_t at = last;
    while (at != reader->newest && at != NO_POSITION) {
        struct frame frame;
        struct chain_event event;
        enum status status = read_event(reader, at, true, &frame, &event, error);
        if (status != OK) {
            return status;
        }
        if (event.seq < reader->next_seq) {
            break;
        }
        if (frame.previous != NO_POSITION && frame.previous >= at) {
            return error_set(error, ERR_DAMAGED, "position %" PRIu64 " points forwards", at);
        }
        keep_frame(reader, &frame);
        push_position(reader, at);
        at = frame.previous;
    }
    reader->newest = last;
    return OK;
}

static enum status next_event(struct chain_reader *reader, struct chain_event *event, bool *more,
                              struct error *error) {
    *more = false;
    if (reader->position_count == 0) {
        drop_kept(reader);
        enum status status = load_positions(reader, error);
        if (status != OK) {
            reader->position_count = 0;
            reader->newest = NO_POSITION;
            return status;
        }
        if (reader->position_count == 0) {
            return OK;
        }
    }
    struct frame frame;
    uint64_t index = reader->position_count - 1;
    uint64_t position = reader->positions[index];
    enum status status = OK;
    if (index < reader->kept_count) {
        frame = frame_read(reader->kept.data + reader->kept_at[index], position);
        status = event_decode(slice_of(frame.body, frame.body_bytes), event, error);
    } else {
        status = read_event(reader, position, false, &frame, event, error);
    }
    if (status != OK) {
        return status;
    }
    if (frame.actor != reader->actor->number || event->seq != reader->next_seq ||
        (reader->has_parent && memcmp(event->parent, reader->parent, SHA256_BYTES) != 0)) {
        return error_set(error, ERR_DAMAGED,
                         "the event at position %" PRIu64 " is not the next one of its chain",
                         position);
    }
    event_hash(slice_of(frame.body, frame.body_bytes), event->hash);
    event->id = reader->actor->id;
    event->position = position;
    memcpy(reader->parent, event->hash, SHA256_BYTES);
    reader->has_parent = true;
    reader->next_seq++;
    reader->position_count--;
    *more = true;
    return OK;
}

enum status chain_reader_next(struct chain_reader *reader, struct chain_event *event, bool *more,
                              struct error *error) {
    struct error cause = {0};
    enum status status = next_event(reader, event, more, &cause);
    if (status != OK) {
        return error_set(error, status, "chain '%s': event %" PRIu64 ": %s", reader->actor->id,
                         reader->next_seq, cause.message);
    }
    return OK;
}

// ---- listing and showing -----------------------------------------------------------------------

enum status chain_list(struct chain_log *log, char ***ids, uint64_t *count, struct error *error) {
    struct error cause = {0};
    enum status status = OK;
    (void)pthread_mutex_lock(&log->registry);
    if (log->is_read_only) {
        status = log_follow(log, &cause);
    }
    if (status == OK) {
        char **list = xcalloc((size_t)log->actor_count, sizeof *list);
        for (uint64_t i = 0; i < log->actor_count; i++) {
            list[i] = xstrdup(log->actors[i]->id);
        }
        *ids = list;
        *count = log->actor_count;
    }
    (void)pthread_mutex_unlock(&log->registry);
    return status == OK ? OK : error_set(error, status, "%s", cause.message);
}

void chain_event_json(const char *id, const struct chain_event *event, struct buf *out) {
    char hash[SHA256_TEXT_BYTES];
    char parent[SHA256_TEXT_BYTES];
    sha256_text(event->hash, hash);
    sha256_text(event->parent, parent);
    buf_append_text(out, "{\"actor\":");
    cbor_json_text(slice_text(id), out);
    buf_format(out, ",\"seq\":%" PRIu64 ",\"time\":%" PRIu64 ",\"type\":", event->seq,
               event->time_ns);
    cbor_json_text(event->type, out);
    buf_format(out, ",\"hash\":\"%s\",\"parent\":\"%s\",\"data\":", hash, parent);
    (void)cbor_to_json(event->data, out);
    buf_append_text(out, "}\n");
}

// SPDX-License-Identifier: Apache-2.0
// Opening and closing the log, the registry of chains, and chain_append, the hot path.
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "chain/checkpoint.h"
#include "chain/state.h"
#include "codec/cbor.h"
#include "codec/utf8.h"

enum { TYPE_MOST_BYTES = 64 };

void segments_add(struct chain_log *log, uint32_t number, uint64_t base) {
    if (log->segment_count == log->segment_capacity) {
        log->segment_capacity = log->segment_capacity == 0 ? 16 : 2 * log->segment_capacity;
        log->segments = xrealloc(log->segments, log->segment_capacity * sizeof *log->segments);
    }
    log->segments[log->segment_count++] = (struct log_segment){.number = number, .base = base};
}

// ---- opening and closing -----------------------------------------------------------------------

static uint64_t or_default(uint64_t value, uint64_t fallback) {
    return value != 0 ? value : fallback;
}

static struct chain_log *new_log(const struct chain_log_config *config) {
    struct chain_log *log = xcalloc(1, sizeof *log);
    log->folder = xstrdup(config->folder);
    log->segment_bytes = or_default(config->segment_bytes, (uint64_t)64 << 20);
    log->buffer_bytes = or_default(config->buffer_bytes, (uint64_t)8 << 20);
    log->flush_interval_ns = or_default(config->flush_interval_ns, 5000000);
    log->pending_most_bytes = or_default(config->pending_most_bytes, (uint64_t)256 << 20);
    log->is_read_only = config->read_only;
    log->no_sync = config->no_sync;
    log->before_sync = config->before_sync;
    log->before_sync_context = config->before_sync_context;
    log->is_inline = config->is_inline;
    log->disk = config->disk != NULL ? config->disk : chain_disk_system();
    log->is_whole = config->is_whole;
    log->is_whole_context = config->is_whole_context;
    log->env = config->env != NULL ? config->env : env_system();
    arena_init(&log->records, UINT64_MAX);
    log->file = -1;
    log->previous_batch = NO_POSITION;
    // A batch goes into one segment whole, so buffers much smaller than segments keep those full.
    uint64_t most = log->segment_bytes / 4;
    log->buffer_bytes = log->buffer_bytes > most ? most : log->buffer_bytes;
    log->buffer_bytes = log->buffer_bytes < 1024 ? 1024 : log->buffer_bytes;
    if (log->pending_most_bytes < 4096) {
        log->pending_most_bytes = 4096;  // less than an empty batch would stop everything
    }
    log->behind_bytes = log->pending_most_bytes / 4 * 3;
    pthread_condattr_t attributes;
    bool is_good = pthread_mutex_init(&log->registry, NULL) == 0 &&
                   pthread_mutex_init(&log->lock, NULL) == 0 &&
                   pthread_condattr_init(&attributes) == 0 &&
                   pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(&log->wake_writer, &attributes) == 0 &&
                   pthread_cond_init(&log->wake_sync, NULL) == 0 &&
                   pthread_cond_init(&log->progress, &attributes) == 0 &&
                   pthread_cond_init(&log->grown, &attributes) == 0;
    if (!is_good) {
        fatal("cannot create the log's locks");
    }
    (void)pthread_condattr_destroy(&attributes);
    scan_init(&log->scan, log->folder, false);
    return log;
}

static void free_log(struct chain_log *log) {
    checkpoint_stop(log);
    registry_reset(log);
    scan_release(&log->scan);
    free(log->segments);
    for (size_t i = 0; i < COUNT_OF(log->buffers); i++) {
        free(log->buffers[i].data);
        free(log->buffers[i].hashes);
    }
    (void)pthread_mutex_destroy(&log->registry);
    (void)pthread_mutex_destroy(&log->lock);
    (void)pthread_cond_destroy(&log->wake_writer);
    (void)pthread_cond_destroy(&log->wake_sync);
    (void)pthread_cond_destroy(&log->progress);
    (void)pthread_cond_destroy(&log->grown);
    free(log->folder);
    free(log);
}

enum status chain_log_open(const struct chain_log_config *config, struct chain_log **out,
                           struct error *error) {
    assert(config->folder != NULL);
    enum status status = OK;
    if (config->buffer_bytes > BATCH_MOST_BYTES / 2) {
        return error_set(error, ERR_INVALID, "buffer_bytes may be at most %llu",
                         (unsigned long long)(BATCH_MOST_BYTES / 2));
    }
    struct chain_log *log = new_log(config);
    struct error cause = {0};
    if (!log->is_read_only) {
        status = file_make_folders(log->folder, 0700, &cause);
    }
    if (status == OK && !log->is_read_only) {
        status = log_trim(log, &cause);
    }
    if (status == OK && config->with_catalogue) {
        status = checkpoint_load(log, &cause);
    }
    if (status == OK) {
        status = log_follow(log, &cause);
    }
    if (status == OK && !log->is_read_only) {
        status = log_repair(log, &cause);
    }
    if (status == OK && !log->is_read_only) {
        status = writer_start(log, &cause);
    }
    if (status == OK && log->checkpointer != NULL) {
        status = checkpoint_start(log, &cause);
        if (status != OK) {
            (void)!writer_stop(log, NULL);
        }
    }
    if (status != OK) {
        free_log(log);
        return error_set(error, status, "log: %s", cause.message);
    }
    *out = log;
    return OK;
}

enum status chain_log_close(struct chain_log *log, struct error *error) {
    if (log == NULL) {
        return OK;
    }
    enum status status = log->has_writer ? writer_stop(log, error) : OK;
    free_log(log);
    return status;
}

// ---- heads -------------------------------------------------------------------------------------

// Restores the head of a chain that has events from its last frame.
static enum status restore_head(struct chain_log *log, const struct chain_actor *actor,
                                uint64_t last, struct chain_head *head, struct error *error) {
    struct window window = {.file = -1};
    struct frame frame = {0};
    struct chain_event event = {0};
    enum status status = window_frame(log, &window, last, false, &frame, error);
    if (status == OK) {
        status = event_decode(slice_of(frame.body, frame.body_bytes), &event, error);
    }
    if (status == OK && (frame.kind != FRAME_EVENT || frame.actor != actor->number)) {
        status = error_set(error, ERR_DAMAGED, "position %llu holds no event of this chain",
                           (unsigned long long)last);
    }
    if (status == OK) {
        event_hash(slice_of(frame.body, frame.body_bytes), head->hash);
        head->next_seq = event.seq + 1;
        head->last_time_ns = event.time_ns;
        head->last_position = last;
        head->actor_number = actor->number;
    }
    window_release(&window);
    return status;
}

enum status chain_head_open(struct chain_log *log, const char *id, struct chain_head *head,
                            uint8_t nonce[CHAIN_NONCE_BYTES], bool *found, struct error *error) {
    if (!is_chain_id(id, strnlen(id, CHAIN_ID_MOST_BYTES + 1))) {
        return error_set(error, ERR_INVALID, "a chain's id has 1 to %d of A-Z a-z 0-9 . _ -",
                         CHAIN_ID_MOST_BYTES);
    }
    enum status status = OK;
    struct error cause = {0};
    (void)pthread_mutex_lock(&log->registry);
    if (log->is_read_only) {
        status = log_follow(log, &cause);
    }
    struct chain_actor *actor = registry_find(log, id);
    if (actor == NULL && log->is_read_only && status == OK) {
        status = error_set(&cause, ERR_NOT_FOUND, "no chain '%s' in the log", id);
    } else if (actor == NULL && status == OK) {
        uint8_t fresh[CHAIN_NONCE_BYTES];
        env_random(log->env, fresh, sizeof fresh);
        actor = registry_add(log, id, fresh);
    }
    (void)pthread_mutex_unlock(&log->registry);
    if (status != OK) {
        return error_set(error, status, "%s", cause.message);
    }
    *head = (struct chain_head){.last_position = NO_POSITION, .record = actor};
    head->id = actor->id;
    memcpy(nonce, actor->nonce, CHAIN_NONCE_BYTES);
    uint64_t last = atomic_load_explicit(&actor->last_position, memory_order_acquire);
    *found = last != NO_POSITION;
    if (!*found) {
        genesis_parent(id, actor->nonce, head->hash);
        return OK;
    }
    status = restore_head(log, actor, last, head, &cause);
    return status == OK ? OK : error_set(error, status, "chain '%s': %s", id, cause.message);
}

struct slice chain_head_nonce(const struct chain_head *head) {
    static const uint8_t none[CHAIN_NONCE_BYTES];
    return slice_of(head->record != NULL ? head->record->nonce : none, CHAIN_NONCE_BYTES);
}

// ---- appending ---------------------------------------------------------------------------------

struct place {
    struct log_buffer *buffer;
    uint8_t *data;
    uint64_t position;
    uint64_t reserved;  // bytes
    uint8_t *hash;      // for the first frame's hash; others follow
};

// Room for `size` bytes, one event, in an empty buffer that is too small for them; writer_swap
// takes it back.
static void grow_buffer(struct log_buffer *buffer, uint64_t size) {
    assert(buffer->used == BATCH_FRAME_BYTES);
    buffer->capacity = BATCH_FRAME_BYTES + size;
    buffer->data = xrealloc(buffer->data, buffer->capacity);
}

// With `lock` held: waits until `size` more bytes fit, handing a full buffer to the writer.
static enum status wait_for_room(struct chain_log *log, uint64_t size, struct error *error) {
    for (;;) {
        struct log_buffer *active = log->active;
        uint64_t pending = active->position + active->used - log->synced;
        bool fits = pending <= log->pending_most_bytes &&
                    (active->used + size <= active->capacity || active->used == BATCH_FRAME_BYTES);
        if (log->failure.code != OK || !fits) {
            struct error cause = {0};
            if (check_standing(log, &cause) != OK) {
                return error_set(error, cause.code, "%s; %" PRIu64 " bytes wait for it",
                                 cause.message, pending);
            }
        }
        if (pending > log->pending_most_bytes) {
            log->flush_now = true;
            (void)pthread_cond_signal(&log->wake_writer);
        } else if (active->used + size <= active->capacity) {
            return OK;
        } else if (active->used == BATCH_FRAME_BYTES) {
            grow_buffer(active, size);
            return OK;
        } else if (log->full == NULL) {
            writer_swap(log);
            continue;
        }
        wait_for_progress(log);
    }
}

// Room for `frames` frames, the last of which is an event of that time.
static enum status reserve(struct chain_log *log, uint64_t size, uint32_t frames, uint64_t time_ns,
                           struct place *place, struct error *error) {
    (void)pthread_mutex_lock(&log->lock);
    struct log_buffer *buffer = log->active;
    bool is_easy = log->failure.code == OK && buffer->used + size <= buffer->capacity &&
                   buffer->position + buffer->used - log->synced <= log->pending_most_bytes;
    if (UNLIKELY(!is_easy)) {
        enum status status = wait_for_room(log, size, error);
        if (status != OK) {
            (void)pthread_mutex_unlock(&log->lock);
            return status;
        }
        buffer = log->active;
    }
    if (UNLIKELY(buffer->used == BATCH_FRAME_BYTES)) {
        buffer->opened_ns = env_monotonic_ns(env_system());
        (void)pthread_cond_signal(&log->wake_writer);
    }
    *place = (struct place){.buffer = buffer,
                            .data = buffer->data + buffer->used,
                            .position = buffer->position + buffer->used,
                            .reserved = size,
                            .hash = buffer->hashes + (1 + buffer->frames) * SHA256_BYTES};
    buffer->used += size;
    buffer->frames += frames;
    if (UNLIKELY(buffer->position + buffer->used - log->synced > log->behind_bytes)) {
        atomic_store_explicit(&log->is_behind, true, memory_order_relaxed);
    }
    segment_sum_add_time(&buffer->sum, time_ns);
    log->event_count++;
    (void)pthread_mutex_unlock(&log->lock);
    return OK;
}

// Room for the first event of a chain with the frame that declares its number before it.
static enum status reserve_first(struct chain_log *log, struct chain_head *head, uint64_t size,
                                 uint64_t time_ns, struct place *place, struct error *error) {
    struct chain_actor *actor = head->record;
    uint64_t id_bytes = strlen(actor->id);
    uint64_t declaration = FRAME_HEADER_BYTES + CHAIN_NONCE_BYTES + id_bytes;
    enum status status = OK;
    (void)pthread_mutex_lock(&log->registry);
    if (actor->number != 0) {
        status = error_set(error, ERR_EXISTS, "chain '%s' was begun by another head", actor->id);
    } else if (log->actor_count == UINT32_MAX) {
        status = error_set(error, ERR_LIMIT, "the log holds %u chains", UINT32_MAX);
    } else {
        status = reserve(log, declaration + size, 2, time_ns, place, error);
    }
    if (status == OK) {
        registry_number(log, actor);
        head->actor_number = actor->number;
    }
    (void)pthread_mutex_unlock(&log->registry);
    if (status == OK) {
        uint8_t *body = place->data + FRAME_HEADER_BYTES;
        memcpy(body, actor->nonce, CHAIN_NONCE_BYTES);
        memcpy(body + CHAIN_NONCE_BYTES, actor->id, id_bytes);
        frame_finish(place->data, CHAIN_NONCE_BYTES + id_bytes, actor->number, FRAME_ACTOR,
                     NO_POSITION, place->position);
        sha256(slice_of(body, CHAIN_NONCE_BYTES + id_bytes), place->hash);
        place->hash += SHA256_BYTES;
        place->data += declaration;
        place->position += declaration;
    }
    return status;
}

static enum status check_event(const struct chain_log *log, const struct chain_head *head,
                               struct slice type, struct slice data, struct error *error) {
    if (UNLIKELY(log->is_read_only)) {
        return error_set(error, ERR_DENIED, "the log was opened read-only");
    }
    if (UNLIKELY(type.size == 0 || type.size > TYPE_MOST_BYTES || !utf8_is_valid(type))) {
        return error_set(error, ERR_INVALID, "an event type has 1 to %d bytes of UTF-8",
                         TYPE_MOST_BYTES);
    }
    if (UNLIKELY(data.size == 0 || data.size > CHAIN_DATA_MOST_BYTES)) {
        return error_set(error, data.size == 0 ? ERR_INVALID : ERR_LIMIT,
                         "chain '%s': an event's data has 1 to %d bytes, not %zu", head->id,
                         CHAIN_DATA_MOST_BYTES, data.size);
    }
    // The caller encodes; its encoding is checked where speed does not matter.
    assert(!HAVE_ASAN || cbor_check(data, true, NULL) == OK);
    if (UNLIKELY(head->next_seq == 0 && !holds_nonce(data, head->record->nonce))) {
        return error_set(error, ERR_INVALID,
                         "chain '%s': the data of event 0 must hold the nonce that "
                         "chain_head_open gave, as a byte string",
                         head->id);
    }
    return OK;
}

enum status chain_append(struct chain_log *log, struct chain_head *head, const char *type,
                         struct slice data, uint64_t *position, struct error *error) {
    assert(head->record != NULL);
    struct slice type_text = slice_of(type, strnlen(type, TYPE_MOST_BYTES + 1));
    enum status status = check_event(log, head, type_text, data, error);
    if (UNLIKELY(status != OK)) {
        return status;
    }
    uint64_t now = env_wall_ns(log->env);
    now = now < head->last_time_ns ? head->last_time_ns : now;
    uint8_t prefix[EVENT_PREFIX_MOST_BYTES];
    size_t prefix_bytes = event_prefix(prefix, head->next_seq, now, type_text);
    uint64_t body_bytes = SHA256_BYTES + prefix_bytes + data.size;
    uint64_t size = FRAME_HEADER_BYTES + body_bytes;
    struct place place;
    status = head->next_seq == 0 ? reserve_first(log, head, size, now, &place, error)
                                 : reserve(log, size, 1, now, &place, error);
    if (UNLIKELY(status != OK)) {
        return status;
    }
    // The body is what the hash covers: parent hash, then the event.
    uint8_t *body = place.data + FRAME_HEADER_BYTES;
    memcpy(body, head->hash, SHA256_BYTES);
    memcpy(body + SHA256_BYTES, prefix, prefix_bytes);
    memcpy(body + SHA256_BYTES + prefix_bytes, data.data, data.size);
    event_hash(slice_of(body, body_bytes), head->hash);
    memcpy(place.hash, head->hash, SHA256_BYTES);
    frame_finish(place.data, body_bytes, head->actor_number, FRAME_EVENT, head->last_position,
                 place.position);
    // Partner: the acquire load in readers.
    atomic_store_explicit(&head->record->last_position, place.position, memory_order_release);
    // Partner: the acquire load in the writer. The buffer may be reused from here on.
    atomic_fetch_add_explicit(&place.buffer->filled, place.reserved, memory_order_release);
    head->next_seq++;
    head->last_time_ns = now;
    head->last_position = place.position;
    if (position != NULL) {
        *position = place.position + size;
    }
    return OK;
}

// With `lock` held: the position behind the last event that was appended.
static uint64_t appended_end(const struct chain_log *log) {
    const struct log_buffer *active = log->active;
    if (active == NULL) {
        return log->written;  // read-only
    }
    return active->position + (active->used == BATCH_FRAME_BYTES ? 0 : active->used);
}

bool chain_is_behind(const struct chain_log *log) {
    return atomic_load_explicit(&log->is_behind, memory_order_relaxed);
}

// ---- waiting and counting ----------------------------------------------------------------------

enum status chain_wait(struct chain_log *log, uint64_t position, enum chain_level level,
                       struct error *error) {
    enum status status = OK;
    (void)pthread_mutex_lock(&log->lock);
    for (;;) {
        uint64_t reached = level == CHAIN_SYNCED ? log->synced : log->written;
        if (reached >= position) {
            break;
        }
        status = check_standing(log, error);
        if (status != OK) {
            break;
        }
        if (position > appended_end(log)) {
            status = error_set(error, ERR_INVALID, "position %llu is not in the log yet",
                               (unsigned long long)position);
            break;
        }
        if (log->written < position) {
            log->flush_now = true;
            (void)pthread_cond_signal(&log->wake_writer);
        }
        wait_for_progress(log);
    }
    (void)pthread_mutex_unlock(&log->lock);
    return status;
}

void chain_log_stats(struct chain_log *log, struct chain_stats *out) {
    (void)pthread_mutex_lock(&log->lock);
    *out = (struct chain_stats){.events = log->event_count,
                                .bytes = appended_end(log),
                                .written_bytes = log->written,
                                .synced_bytes = log->synced,
                                .syncs = log->sync_count,
                                .writer_cpu_ns = log->writer_cpu_ns + log->sync_cpu_ns,
                                .stands = log->stand_count,
                                .is_standing = log->standing.code != OK,
                                .standing_ns = log->standing_since_ns};
    const struct error *cause = log->failure.code != OK ? &log->failure : &log->standing;
    if (cause->code != OK) {
        out->is_standing = true;
        (void)snprintf(out->reason, sizeof out->reason, "%.255s", cause->message);
    }
    (void)pthread_mutex_unlock(&log->lock);
}

// SPDX-License-Identifier: Apache-2.0
// The two threads that give the log to the disk. The writer writes one buffer at a time as one
// batch, at the latest flush_interval after its first event, and changes segments. The syncer runs
// fdatasync back to back while there is something written and not synced: in a thread of its own,
// because a sync may take far longer than an event may stay unwritten.
//
// When the disk fails or is full the log *stands*: nothing is acknowledged, both buffers are kept,
// and the writer tries again until it can go on. A file that could not be synced is never synced
// again, because the kernel may have dropped its pages, so that a later success would prove
// nothing: the writer copies the segment into a new file (segment.c).
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/log.h"
#include "chain/state.h"

#define RETRY_FIRST_NS UINT64_C(20000000)
#define RETRY_MOST_NS UINT64_C(1000000000)

static uint64_t thread_cpu_ns(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) != 0) {
        return 0;
    }
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000U +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000U;
}

// ---- standing ----------------------------------------------------------------------------------

void note_progress(struct chain_log *log) {
    uint64_t pending = log->active->position + log->active->used - log->synced;
    bool is_easy = pending <= log->pending_most_bytes / 2 && log->standing.code == OK;
    if (is_easy || log->failure.code != OK) {
        atomic_store_explicit(&log->is_behind, false, memory_order_relaxed);
    }
    // Partner: the acquire load in chain_is_synced.
    atomic_store_explicit(&log->synced_seen, log->synced, memory_order_release);
    (void)pthread_cond_broadcast(&log->progress);
    (void)pthread_cond_broadcast(&log->grown);
}

// With `lock` held: what could not be done is tried again, and actors begin no turns until then.
static void stand(struct chain_log *log, const struct error *cause) {
    if (log->standing.code == OK) {
        log->standing = *cause;
        log->stand_count++;
        log->standing_since_ns = env_monotonic_ns(env_system());
        log->retry_ns = RETRY_FIRST_NS;
        atomic_store_explicit(&log->is_behind, true, memory_order_relaxed);
        log_line(LOG_ERROR, "the log stands, actors wait: %s; tried again until it can be written",
                 cause->message);
    } else {
        log->standing = *cause;
        log->retry_ns = log->retry_ns > RETRY_MOST_NS / 2 ? RETRY_MOST_NS : 2 * log->retry_ns;
    }
    note_progress(log);
}

// With `lock` held.
static void go_on(struct chain_log *log) {
    if (log->standing.code != OK) {
        uint64_t stood_ns = env_monotonic_ns(env_system()) - log->standing_since_ns;
        error_clear(&log->standing);
        log_line(LOG_WARNING, "the log goes on, after %" PRIu64 " ms", stood_ns / 1000000U);
    }
}

// With `lock` held: there is nothing left to try.
static void fail_log(struct chain_log *log, const struct error *cause) {
    if (log->failure.code == OK) {
        log->failure = *cause;
        log_line(LOG_ERROR, "the log takes no more events: %s", cause->message);
    }
    note_progress(log);
}

// ---- the writer --------------------------------------------------------------------------------

void writer_swap(struct chain_log *log) {
    assert(log->full == NULL);
    struct log_buffer *taken = log->active;
    struct log_buffer *fresh = taken == &log->buffers[0] ? &log->buffers[1] : &log->buffers[0];
    if (fresh->capacity > log->buffer_bytes) {  // grew for one large event
        // Small ones in all that room would be more than `hashes` holds.
        fresh->capacity = log->buffer_bytes;
        fresh->data = xrealloc(fresh->data, fresh->capacity);
    }
    fresh->used = BATCH_FRAME_BYTES;
    fresh->frames = 0;
    // Relaxed: appenders come to it under the lock.
    atomic_store_explicit(&fresh->filled, BATCH_FRAME_BYTES, memory_order_relaxed);
    fresh->position = taken->position + taken->used;
    fresh->is_framed = false;
    memset(&fresh->sum, 0, sizeof fresh->sum);
    log->full = taken;
    log->active = fresh;
    log->flush_now = false;
    (void)pthread_cond_signal(&log->wake_writer);
}

// Gives the buffer its batch frame, once: whoever has seen the batch may see it again.
static void frame_batch(struct chain_log *log, struct log_buffer *buffer, uint64_t durable) {
    // Partner: the release in chain_append. An appender fills for less than a microsecond unless it
    // lost its processor, so giving ours away is the best way to wait.
    while (atomic_load_explicit(&buffer->filled, memory_order_acquire) != buffer->used) {
        (void)sched_yield();
    }
    struct batch batch = {.end = buffer->position + buffer->used,
                          .durable = durable,
                          .events = (uint32_t)buffer->sum.events,
                          .previous = log->previous_batch};
    batch_write(buffer->data, &batch, buffer->position);
    buffer->is_framed = true;
}

static void sum_up_batch(struct chain_log *log, struct log_buffer *buffer) {
    assert(BATCH_FRAME_BYTES - FRAME_HEADER_BYTES == SHA256_BYTES);
    memcpy(buffer->hashes, buffer->data + FRAME_HEADER_BYTES, SHA256_BYTES);
    batch_digest(log->sum.digest, slice_of(buffer->hashes, (1 + buffer->frames) * SHA256_BYTES));
    log->sum.batches++;
    log->sum.first_time_ns =
        log->sum.events == 0 || buffer->sum.first_time_ns < log->sum.first_time_ns
            ? buffer->sum.first_time_ns
            : log->sum.first_time_ns;
    log->sum.last_time_ns = buffer->sum.last_time_ns > log->sum.last_time_ns
                                ? buffer->sum.last_time_ns
                                : log->sum.last_time_ns;
    log->sum.events += buffer->sum.events;
    log->previous_batch = buffer->position;
}

// A write that failed for lack of room may succeed in the same place later.
static bool is_for_lack_of_room(int reason) {
    return reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
}

static enum status write_batch(struct chain_log *log, struct log_buffer *buffer, uint64_t durable,
                               bool *is_final, struct error *error) {
    if (!buffer->is_framed) {
        frame_batch(log, buffer, durable);
    }
    enum status status = OK;
    uint64_t filled = buffer->position - log->segment_base;
    if (log->file >= 0 && filled + buffer->used > log->segment_room) {
        status = segment_finish(log, is_final, error);
    }
    if (status == OK && log->file < 0) {
        status = segment_create(log, buffer->used, error);
    }
    if (status != OK) {
        return status;
    }
    int reason = disk_write_all(log->disk, log->file, buffer->data, buffer->used,
                                SEGMENT_HEADER_BYTES + (buffer->position - log->segment_base));
    if (reason != 0) {
        if (!is_for_lack_of_room(reason)) {
            segment_break(log);
        }
        return error_set_os(error, reason, "cannot write segment %" PRIu32 " in %s",
                            log->segment_number, log->folder);
    }
    sum_up_batch(log, buffer);
    return OK;
}

// With `lock` held, which is given away meanwhile: does what there is to do, log->full or a new
// file for a broken segment.
static void take_step(struct chain_log *log) {
    struct log_buffer *buffer = log->full;
    uint64_t durable = log->synced;
    bool is_broken = log->is_broken;
    bool is_final = false;
    struct error error = {0};
    (void)pthread_mutex_unlock(&log->lock);
    enum status status = is_broken ? segment_replace(log, &is_final, &error) : OK;
    if (status == OK && buffer != NULL) {
        status = write_batch(log, buffer, durable, &is_final, &error);
    }
    (void)pthread_mutex_lock(&log->lock);
    log->writer_cpu_ns = thread_cpu_ns();
    if (status != OK) {
        // The buffer stays: it is written later, and readers may still look into it.
        if (is_final) {
            fail_log(log, &error);
        } else {
            stand(log, &error);
        }
        return;
    }
    if (buffer != NULL) {
        log->written = buffer->position + buffer->used;
        log->synced = log->no_sync ? log->written : log->synced;
        log->full = NULL;
    }
    if (!log->is_broken) {  // the syncer may have found it so meanwhile
        go_on(log);
    }
    (void)pthread_cond_signal(&log->wake_sync);
    note_progress(log);
}

static void timed_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until_ns) {
    struct timespec deadline = {.tv_sec = (time_t)(until_ns / 1000000000U),
                                .tv_nsec = (long)(until_ns % 1000000000U)};
    (void)pthread_cond_timedwait(condition, lock, &deadline);
}

// With `lock` held: sleeps until there is something to do. False at the end.
static bool wait_for_work(struct chain_log *log) {
    for (;;) {
        struct log_buffer *active = log->active;
        bool is_empty = active->used == BATCH_FRAME_BYTES;
        if (log->full != NULL || log->is_broken) {
            return true;
        }
        if (is_empty) {
            if (log->is_stopping) {
                return false;
            }
            log->flush_now = false;
            (void)pthread_cond_wait(&log->wake_writer, &log->lock);
            continue;
        }
        uint64_t due = active->opened_ns + log->flush_interval_ns;
        if (log->is_stopping || log->flush_now || env_monotonic_ns(env_system()) >= due) {
            writer_swap(log);
            return true;
        }
        timed_wait(&log->wake_writer, &log->lock, due);
    }
}

// With `lock` held, when a step failed: waits until it is time for the next try. False when the log
// is closing and there will be none.
static bool wait_to_retry(struct chain_log *log) {
    uint64_t due = env_monotonic_ns(env_system()) + log->retry_ns;
    bool was_stopping = log->is_stopping;
    while (!log->is_stopping && env_monotonic_ns(env_system()) < due) {
        timed_wait(&log->wake_writer, &log->lock, due);
    }
    return !was_stopping;
}

static void *run_writer(void *argument) {
    struct chain_log *log = argument;
    (void)pthread_mutex_lock(&log->lock);
    while (log->failure.code == OK && wait_for_work(log)) {
        take_step(log);
        if (log->standing.code != OK && log->failure.code == OK && !wait_to_retry(log)) {
            struct error last = log->standing;
            fail_log(log, &last);
        }
        watches_call(log);
    }
    log->writer_ended = true;
    (void)pthread_cond_signal(&log->wake_sync);
    (void)pthread_mutex_unlock(&log->lock);
    return NULL;
}

// ---- the syncer --------------------------------------------------------------------------------

// With `lock` held: something is written that is not synced, in a file that may be synced.
static bool has_to_sync(const struct chain_log *log) {
    return log->written != log->synced && log->file >= 0 && !log->is_rolling && !log->is_broken;
}

// With `lock` held, which is given away meanwhile.
static void sync_once(struct chain_log *log) {
    uint64_t target = log->written;
    int file = log->file;
    log->is_syncing = true;
    (void)pthread_mutex_unlock(&log->lock);
    struct error error = {0};
    bool is_final = sync_contents(log, &error) != OK;
    int reason = is_final ? 0 : log->disk->sync(log->disk->context, file, false);
    (void)pthread_mutex_lock(&log->lock);
    log->is_syncing = false;
    log->sync_cpu_ns = thread_cpu_ns();
    log->sync_count++;
    if (is_final) {
        fail_log(log, &error);
        (void)pthread_cond_signal(&log->wake_writer);
    } else if (reason != 0) {
        (void)error_set_os(&error, reason, "cannot sync a segment in %s", log->folder);
        log->is_broken = true;
        stand(log, &error);
        (void)pthread_cond_signal(&log->wake_writer);
    } else {
        log->synced = target;
    }
    note_progress(log);
}

static void *run_sync(void *argument) {
    struct chain_log *log = argument;
    (void)pthread_mutex_lock(&log->lock);
    while (!log->writer_ended && log->failure.code == OK) {
        if (has_to_sync(log)) {
            sync_once(log);
            watches_call(log);
        } else {
            (void)pthread_cond_wait(&log->wake_sync, &log->lock);
        }
    }
    (void)pthread_mutex_unlock(&log->lock);
    return NULL;
}

// ---- without threads ---------------------------------------------------------------------------

bool writer_step(struct chain_log *log) {
    assert(log->is_inline);
    (void)pthread_mutex_lock(&log->lock);
    if (log->full == NULL && log->active->used != BATCH_FRAME_BYTES) {
        writer_swap(log);
    }
    bool has_work = log->failure.code == OK && (log->full != NULL || log->is_broken);
    if (has_work) {
        take_step(log);
        watches_call(log);
    }
    bool is_good = has_work && log->failure.code == OK && log->standing.code == OK;
    (void)pthread_mutex_unlock(&log->lock);
    return is_good;
}

bool sync_step(struct chain_log *log) {
    assert(log->is_inline);
    (void)pthread_mutex_lock(&log->lock);
    bool has_work = log->failure.code == OK && has_to_sync(log);
    if (has_work) {
        sync_once(log);
        watches_call(log);
    }
    bool is_good = has_work && log->standing.code == OK;
    (void)pthread_mutex_unlock(&log->lock);
    return is_good;
}

void wait_for_progress(struct chain_log *log) {
    if (log->is_inline) {
        (void)pthread_mutex_unlock(&log->lock);
        (void)writer_step(log);
        (void)sync_step(log);
        (void)pthread_mutex_lock(&log->lock);
    } else if (log->standing.code != OK) {
        timed_wait(&log->progress, &log->lock, log->standing_since_ns + STAND_PATIENCE_NS);
    } else {
        (void)pthread_cond_wait(&log->progress, &log->lock);
    }
}

enum status check_standing(const struct chain_log *log, struct error *error) {
    if (log->failure.code != OK) {
        return error_set(error, log->failure.code, "%s", log->failure.message);
    }
    if (log->standing.code == OK) {
        return OK;
    }
    uint64_t now = env_monotonic_ns(env_system());
    return log->is_inline || now >= log->standing_since_ns + STAND_PATIENCE_NS
               ? error_set(error, ERR_IO, "the log stands: %s", log->standing.message)
               : OK;
}

// ---- starting and stopping ---------------------------------------------------------------------

enum status writer_start(struct chain_log *log, struct error *error) {
    for (size_t i = 0; i < COUNT_OF(log->buffers); i++) {
        log->buffers[i].capacity = log->buffer_bytes;
        log->buffers[i].data = xmalloc(log->buffer_bytes);
        // A frame has its header and at least the parent hash or the nonce.
        uint64_t most = log->buffer_bytes / (FRAME_HEADER_BYTES + CHAIN_NONCE_BYTES) + 2;
        log->buffers[i].hashes = xmalloc((1 + most) * SHA256_BYTES);
        log->buffers[i].used = BATCH_FRAME_BYTES;
        atomic_init(&log->buffers[i].filled, BATCH_FRAME_BYTES);
        memset(log->buffers[i].data, 0, log->buffer_bytes);  // page faults now, not in appends
    }
    log->active = &log->buffers[0];
    log->active->position = log->written;
    segment_remove_unfinished(log);
    atomic_store_explicit(&log->synced_seen, log->synced, memory_order_relaxed);
    if (log->is_inline) {
        log->has_writer = true;
        return OK;
    }
    int reason = pthread_create(&log->writer_thread, NULL, run_writer, log);
    if (reason != 0) {
        return error_set_os(error, reason, "cannot start the writer");
    }
    if (!log->no_sync) {
        reason = pthread_create(&log->sync_thread, NULL, run_sync, log);
    }
    if (reason != 0) {
        (void)pthread_mutex_lock(&log->lock);
        log->is_stopping = true;
        (void)pthread_cond_signal(&log->wake_writer);
        (void)pthread_mutex_unlock(&log->lock);
        (void)pthread_join(log->writer_thread, NULL);
        return error_set_os(error, reason, "cannot start the syncer");
    }
    log->has_writer = true;
    return OK;
}

// What the threads left to do.
static enum status stop_inline(struct chain_log *log) {
    for (int i = 0; i < 2 && log->failure.code == OK; i++) {
        while (writer_step(log)) {
        }
    }
    if (log->failure.code == OK && (log->full != NULL || log->is_broken)) {
        log->failure = log->standing;
    }
    return log->failure.code;
}

static void stop_threads(struct chain_log *log) {
    (void)pthread_mutex_lock(&log->lock);
    log->is_stopping = true;
    (void)pthread_cond_signal(&log->wake_writer);
    (void)pthread_mutex_unlock(&log->lock);
    (void)pthread_join(log->writer_thread, NULL);
    if (!log->no_sync) {
        (void)pthread_join(log->sync_thread, NULL);
    }
}

enum status writer_stop(struct chain_log *log, struct error *error) {
    assert(log->has_writer);
    enum status status = OK;
    if (log->is_inline) {
        status = stop_inline(log);
    } else {
        stop_threads(log);
        status = log->failure.code;
    }
    log->has_writer = false;
    // The last sync or the seal may fail like any other: then a new file gets one chance.
    bool is_final = false;
    for (int i = 0; status == OK && (log->file >= 0 || log->is_broken); i++) {
        struct error cause = {0};
        status = log->is_broken ? segment_replace(log, &is_final, &cause) : OK;
        status = status == OK ? segment_finish(log, &is_final, &cause) : status;
        if (status != OK && (i == 1 || is_final)) {
            log->failure = cause;
        } else {
            status = OK;
        }
    }
    (void)pthread_mutex_lock(&log->lock);
    log->watches_ended = true;
    watches_call(log);
    (void)pthread_mutex_unlock(&log->lock);
    if (status != OK) {
        segment_abandon(log);
        return error_set(error, status, "%s", log->failure.message);
    }
    return OK;
}

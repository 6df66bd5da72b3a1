// SPDX-License-Identifier: Apache-2.0
// The two threads that give the log to the disk. The writer writes one buffer at a time as one
// batch, at the latest flush_interval after its first event, and changes segments. The syncer runs
// fdatasync back to back while there is something written and not synced: in a thread of its own,
// because a sync may take far longer than an event may stay unwritten.
//
// After a failed write or sync nothing is written or synced any more: the kernel may have dropped
// the pages, so a later success would prove nothing. The failure stays and every caller gets it.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "chain/checkpoint.h"
#include "chain/state.h"

// Sealed segments whose pages stay in the page cache, for readers of recent events.
enum { CACHED_SEGMENTS = 4 };

static uint64_t thread_cpu_ns(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) != 0) {
        return 0;
    }
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000U +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000U;
}

// Errno, or 0.
static int write_at(int file, const void *data, uint64_t size, uint64_t offset) {
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t put = pwrite(file, at, size, (off_t)offset);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return put < 0 ? errno : EIO;
        }
        at += put;
        offset += (uint64_t)put;
        size -= (uint64_t)put;
    }
    return 0;
}

// ---- segments ----------------------------------------------------------------------------------

enum status folder_sync(const char *folder, struct error *error) {
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0 || fsync(file) != 0) {
        int reason = errno;
        if (file >= 0) {
            close(file);
        }
        return error_set_os(error, reason, "cannot sync the folder %s", folder);
    }
    close(file);
    return OK;
}

enum status segment_seal(int file, const char *folder, uint32_t number,
                         const struct segment_sum *sum, uint64_t offset, bool no_sync,
                         struct error *error) {
    struct buf footer = {0};
    char name[SEGMENT_NAME_BYTES];
    segment_name(number, name);
    footer_append(&footer, sum, offset);
    enum status status = OK;
    int reason = write_at(file, footer.data, footer.size, offset);
    if (reason != 0) {
        status = error_set_os(error, reason, "cannot write the footer of %s/%s", folder, name);
    } else if (ftruncate(file, (off_t)(offset + footer.size)) != 0) {
        status = error_set_os(error, errno, "cannot trim %s/%s", folder, name);
    } else if (!no_sync && fsync(file) != 0) {
        status = error_set_os(error, errno, "cannot sync %s/%s", folder, name);
    }
    buf_release(&footer);
    return status;
}

// Creates the next segment with room for a batch of `size` bytes.
static enum status create_segment(struct chain_log *log, uint64_t size, struct error *error) {
    uint64_t overhead =
        SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES + FOOTER_BODY_MOST_BYTES + TRAILER_BYTES;
    uint64_t room = log->segment_bytes > overhead + size ? log->segment_bytes - overhead : size;
    struct segment_header header = {.number = log->segment_number + 1, .base = log->written};
    memcpy(header.digest, log->sum.digest, SHA256_BYTES);
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    segment_header_write(bytes, &header);
    char name[SEGMENT_NAME_BYTES];
    segment_name(header.number, name);
    char *path = file_join(log->folder, name);
    enum status status = OK;
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) {
        status = error_set_os(error, errno, "cannot create the segment %s", path);
        goto out;
    }
    int reason = write_at(file, bytes, sizeof bytes, 0);
    // Not on every file system; writes then extend the file as they come.
    if (reason == 0 && fallocate(file, 0, 0, (off_t)(overhead + room)) != 0 &&
        errno != EOPNOTSUPP && errno != ENOSYS) {
        reason = errno;
    }
    if (reason != 0) {
        status = error_set_os(error, reason, "cannot make room of %" PRIu64 " bytes for %s",
                              overhead + room, path);
    } else if (!log->no_sync) {
        status = fsync(file) != 0 ? error_set_os(error, errno, "cannot sync %s", path)
                                  : folder_sync(log->folder, error);
    }
    if (status != OK) {
        close(file);
        (void)unlink(path);
        goto out;
    }
    log->segment_number = header.number;
    log->segment_base = header.base;
    log->segment_room = room;
    struct segment_sum sum = {0};
    memcpy(sum.digest, log->sum.digest, SHA256_BYTES);
    log->sum = sum;
    (void)pthread_mutex_lock(&log->lock);
    log->file = file;
    segments_add(log, header.number, header.base);
    (void)pthread_mutex_unlock(&log->lock);
out:
    free(path);
    return status;
}

// The pages of an older segment go back to the kernel, which gives them out again for the next one:
// a log that fills all memory with its past pays for every page that it touches for the first time
// (on a virtual machine more than for all the rest of a write). Only advice: failing changes
// nothing.
static void uncache_segment(const struct chain_log *log, uint32_t number) {
    char name[SEGMENT_NAME_BYTES];
    segment_name(number, name);
    char *path = file_join(log->folder, name);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file >= 0) {
        (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        close(file);
    }
    free(path);
}

// With `lock` held: what is synced has grown, or the log has failed.
static void note_progress(struct chain_log *log) {
    uint64_t pending = log->active->position + log->active->used - log->synced;
    if (pending <= log->pending_most_bytes / 2 || log->failure.code != OK) {
        atomic_store_explicit(&log->is_behind, false, memory_order_relaxed);
    }
    (void)pthread_cond_broadcast(&log->progress);
}

// Puts on disk what events refer to: all those that were appended before this was called.
static enum status sync_contents(const struct chain_log *log, struct error *error) {
    return log->before_sync == NULL || log->no_sync
               ? OK
               : log->before_sync(log->before_sync_context, error);
}

// Ends the current segment: everything in it is on disk afterwards, so that the next one never
// holds durable events above a gap.
static enum status finish_segment(struct chain_log *log, struct error *error) {
    (void)pthread_mutex_lock(&log->lock);
    log->is_rolling = true;
    while (log->is_syncing) {
        (void)pthread_cond_wait(&log->progress, &log->lock);
    }
    enum status status = OK;
    if (log->failure.code != OK) {
        status = error_set(error, log->failure.code, "%s", log->failure.message);
    }
    int file = log->file;
    log->file = -1;
    (void)pthread_mutex_unlock(&log->lock);
    log->sum.end = log->written;
    if (status == OK) {
        status = sync_contents(log, error);
    }
    if (status == OK) {
        status = segment_seal(file, log->folder, log->segment_number, &log->sum,
                              SEGMENT_HEADER_BYTES + (log->written - log->segment_base),
                              log->no_sync, error);
    }
    close(file);
    if (log->segment_number > CACHED_SEGMENTS) {
        uncache_segment(log, log->segment_number - CACHED_SEGMENTS);
    }
    (void)pthread_mutex_lock(&log->lock);
    log->is_rolling = false;
    log->synced = status == OK ? log->written : log->synced;
    note_progress(log);
    (void)pthread_mutex_unlock(&log->lock);
    if (status == OK) {
        checkpoint_sealed(log, log->segment_number);
    }
    return status;
}

// ---- the writer --------------------------------------------------------------------------------

void writer_swap(struct chain_log *log) {
    assert(log->full == NULL);
    struct log_buffer *taken = log->active;
    struct log_buffer *fresh = taken == &log->buffers[0] ? &log->buffers[1] : &log->buffers[0];
    fresh->used = BATCH_FRAME_BYTES;
    fresh->frames = 0;
    // Relaxed: appenders come to it under the lock.
    atomic_store_explicit(&fresh->filled, BATCH_FRAME_BYTES, memory_order_relaxed);
    fresh->position = taken->position + taken->used;
    memset(&fresh->sum, 0, sizeof fresh->sum);
    log->full = taken;
    log->active = fresh;
    log->flush_now = false;
    (void)pthread_cond_signal(&log->wake_writer);
}

static enum status write_batch(struct chain_log *log, struct log_buffer *buffer, uint64_t durable,
                               struct error *error) {
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
    enum status status = OK;
    uint64_t filled = buffer->position - log->segment_base;
    if (log->file >= 0 && filled + buffer->used > log->segment_room) {
        status = finish_segment(log, error);
    }
    if (status == OK && log->file < 0) {
        status = create_segment(log, buffer->used, error);
    }
    if (status != OK) {
        return status;
    }
    int reason = write_at(log->file, buffer->data, buffer->used,
                          SEGMENT_HEADER_BYTES + (buffer->position - log->segment_base));
    if (reason != 0) {
        return error_set_os(error, reason, "cannot write segment %" PRIu32 " in %s",
                            log->segment_number, log->folder);
    }
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
    return OK;
}

// With `lock` held: sleeps until there is a buffer to write. False at the end.
static bool wait_for_work(struct chain_log *log) {
    for (;;) {
        struct log_buffer *active = log->active;
        bool is_empty = active->used == BATCH_FRAME_BYTES;
        if (log->full != NULL) {
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
        struct timespec deadline = {.tv_sec = (time_t)(due / 1000000000U),
                                    .tv_nsec = (long)(due % 1000000000U)};
        (void)pthread_cond_timedwait(&log->wake_writer, &log->lock, &deadline);
    }
}

// With `lock` held.
static void fail_log(struct chain_log *log, const struct error *cause) {
    if (log->failure.code == OK) {
        log->failure = *cause;
        log_line(LOG_ERROR, "the log takes no more events: %s", cause->message);
    }
    note_progress(log);
}

static void *run_writer(void *argument) {
    struct chain_log *log = argument;
    (void)pthread_mutex_lock(&log->lock);
    while (log->failure.code == OK && wait_for_work(log)) {
        struct log_buffer *buffer = log->full;
        uint64_t durable = log->synced;
        struct error error = {0};
        (void)pthread_mutex_unlock(&log->lock);
        enum status status = write_batch(log, buffer, durable, &error);
        (void)pthread_mutex_lock(&log->lock);
        log->writer_cpu_ns = thread_cpu_ns();
        if (status != OK) {
            fail_log(log, &error);  // the buffer stays: readers may still look into it
            break;
        }
        log->written = buffer->position + buffer->used;
        log->synced = log->no_sync ? log->written : log->synced;
        log->full = NULL;
        (void)pthread_cond_signal(&log->wake_sync);
        note_progress(log);
    }
    log->writer_ended = true;
    (void)pthread_cond_signal(&log->wake_sync);
    (void)pthread_mutex_unlock(&log->lock);
    return NULL;
}

// ---- the syncer --------------------------------------------------------------------------------

static void *run_sync(void *argument) {
    struct chain_log *log = argument;
    (void)pthread_mutex_lock(&log->lock);
    while (!log->writer_ended && log->failure.code == OK) {
        if (log->written == log->synced || log->file < 0 || log->is_rolling) {
            (void)pthread_cond_wait(&log->wake_sync, &log->lock);
            continue;
        }
        uint64_t target = log->written;
        int file = log->file;
        log->is_syncing = true;
        (void)pthread_mutex_unlock(&log->lock);
        struct error error = {0};
        enum status status = sync_contents(log, &error);
        if (status == OK && fdatasync(file) != 0) {
            status = error_set_os(&error, errno, "cannot sync a segment in %s", log->folder);
        }
        (void)pthread_mutex_lock(&log->lock);
        log->is_syncing = false;
        log->sync_cpu_ns = thread_cpu_ns();
        log->sync_count++;
        if (status != OK) {
            log->sync_failed = true;
            fail_log(log, &error);
            (void)pthread_cond_signal(&log->wake_writer);
        } else {
            log->synced = target;
        }
        note_progress(log);
    }
    (void)pthread_mutex_unlock(&log->lock);
    return NULL;
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
    log->has_threads = true;
    return OK;
}

enum status writer_stop(struct chain_log *log, struct error *error) {
    assert(log->has_threads);
    (void)pthread_mutex_lock(&log->lock);
    log->is_stopping = true;
    (void)pthread_cond_signal(&log->wake_writer);
    (void)pthread_mutex_unlock(&log->lock);
    (void)pthread_join(log->writer_thread, NULL);
    if (!log->no_sync) {
        (void)pthread_join(log->sync_thread, NULL);
    }
    log->has_threads = false;
    if (log->failure.code != OK) {
        if (log->file >= 0) {
            close(log->file);  // unsealed: the next open looks at what reached the disk
        }
        return error_set(error, log->failure.code, "%s", log->failure.message);
    }
    return log->file >= 0 ? finish_segment(log, error) : OK;
}

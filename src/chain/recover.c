// SPDX-License-Identifier: Apache-2.0
// Taking over what is on disk: the chains and where each ends, and what a crash left unfinished.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "chain/state.h"

// ---- following ---------------------------------------------------------------------------------

static enum status take_declaration(struct chain_log *log, const struct frame *frame,
                                    const char **problem) {
    char id[CHAIN_ID_MOST_BYTES + 1];
    size_t id_bytes = frame->body_bytes - CHAIN_NONCE_BYTES;
    if (frame->body_bytes < CHAIN_NONCE_BYTES ||
        !is_chain_id((const char *)frame->body + CHAIN_NONCE_BYTES, id_bytes)) {
        *problem = "declares a chain without a proper id";
        return ERR_DAMAGED;
    }
    memcpy(id, frame->body + CHAIN_NONCE_BYTES, id_bytes);
    id[id_bytes] = '\0';
    if (frame->actor != log->actor_count + 1 || frame->previous != NO_POSITION) {
        *problem = "declares a chain under a number that is not next";
        return ERR_DAMAGED;
    }
    if (registry_find(log, id) != NULL) {
        *problem = "declares a chain a second time";
        return ERR_DAMAGED;
    }
    registry_number(log, registry_add(log, id, frame->body));
    return OK;
}

static enum status take_frame(struct chain_log *log, const struct frame *frame,
                              const char **problem) {
    if (frame->kind == FRAME_ACTOR) {
        return take_declaration(log, frame, problem);
    }
    if (frame->actor == 0 || frame->actor > log->actor_count) {
        *problem = "an event of a chain that was not declared";
        return ERR_DAMAGED;
    }
    struct chain_actor *actor = log->actors[frame->actor - 1];
    if (frame->previous != atomic_load_explicit(&actor->last_position, memory_order_relaxed)) {
        *problem = "an event of its chain before this one is missing";
        return ERR_DAMAGED;
    }
    // Partner: the acquire load in readers. A log that is only read has other readers.
    atomic_store_explicit(&actor->last_position, frame->position, memory_order_release);
    return OK;
}

// The damage that the scan met, with the chain whose next event it is, if number and place of the
// damaged frame agree on one.
static enum status damage_of(struct chain_log *log, struct error *error) {
    struct damage *damage = &log->scan.damage;
    uint32_t number = damage->frame.actor;
    if (damage->has_frame && number != 0 && number <= log->actor_count) {
        const struct chain_actor *actor = log->actors[number - 1];
        uint64_t last = atomic_load_explicit(&actor->last_position, memory_order_relaxed);
        size_t size = strlen(damage->reason);
        if (damage->frame.previous == last) {
            (void)snprintf(damage->reason + size, sizeof damage->reason - size,
                           ", in an event of chain '%s'", actor->id);
        }
    }
    return scan_damage_error(&log->scan, error);
}

enum status log_follow(struct chain_log *log, struct error *error) {
    struct scan *scan = &log->scan;
    for (;;) {
        struct frame frame;
        uint32_t number = scan->number;
        enum scan_result result = scan_next(scan, &frame, error);
        if (scan->number != number && scan->file >= 0) {
            (void)pthread_mutex_lock(&log->lock);
            for (uint32_t i = number + 1; i <= scan->number; i++) {
                segments_add(log, i, scan->base);
            }
            (void)pthread_mutex_unlock(&log->lock);
        }
        if (result == SCAN_DAMAGED) {
            return damage_of(log, error);
        }
        if (result == SCAN_FAILED) {
            return error->code;
        }
        if (result == SCAN_END) {
            (void)pthread_mutex_lock(&log->lock);
            log->written = log->synced = scan->position;
            (void)pthread_mutex_unlock(&log->lock);
            scan->is_following = true;
            return OK;
        }
        const char *problem = NULL;
        if (take_frame(log, &frame, &problem) != OK) {
            char name[SEGMENT_NAME_BYTES];
            segment_name(scan->number, name);
            return error_set(error, ERR_DAMAGED, "%s/%s at byte %" PRIu64 ": %s", log->folder, name,
                             scan_offset_of(scan, frame.position), problem);
        }
    }
}

// ---- repairing ---------------------------------------------------------------------------------

static const char no_batch[] = "are no whole batch";

enum status keep_aside(struct chain_log *log, int file, uint32_t number, uint64_t offset,
                       const char *why, uint64_t *kept, struct error *error) {
    struct stat info;
    *kept = 0;
    if (fstat(file, &info) != 0) {
        return error_set_os(error, errno, "cannot inspect the last segment");
    }
    uint64_t end = (uint64_t)info.st_size;
    if (end <= offset) {
        return OK;
    }
    size_t size = (size_t)(end - offset);
    struct buf tail = {0};
    enum status status = read_at(file, offset, buf_reserve(&tail, size), size, &tail.size, error);
    while (status == OK && tail.size > 0 && tail.data[tail.size - 1] == 0) {
        tail.size--;
    }
    if (status == OK && tail.size > 0) {
        char name[64];
        (void)snprintf(name, sizeof name, "cut-%" PRIu64 ".bin", env_wall_ns(log->env));
        char *path = file_join(log->folder, name);
        status = file_write_atomic(path, buf_slice(&tail), 0600, error);
        if (status == OK) {
            log_line(LOG_WARNING,
                     "log: the last write was cut off by a crash: %zu bytes at byte %" PRIu64
                     " of segment %" PRIu32 " %s; moved to %s",
                     tail.size, offset, number, why, path);
        }
        free(path);
        *kept = tail.size;
    }
    buf_release(&tail);
    return status;
}

// Counts and digests the batches of one segment again, for its footer.
static enum status sum_segment(struct chain_log *log, uint64_t base, struct segment_sum *sum,
                               struct error *error) {
    struct scan again;
    scan_init(&again, log->folder, true);
    again.number = log->scan.number - 1;
    again.position = base;
    again.has_next_digest = false;
    again.previous_batch = log->segment_count > 1 ? log->scan.segment_previous : NO_POSITION;
    enum scan_result result = SCAN_FRAME;
    struct frame frame;
    while (result == SCAN_FRAME) {
        result = scan_next(&again, &frame, error);
    }
    enum status status = OK;
    if (result == SCAN_DAMAGED) {
        status = scan_damage_error(&again, error);
    } else if (result == SCAN_FAILED) {
        status = error->code;
    } else if (again.position != log->scan.position) {
        status = error_set(error, ERR_DAMAGED, "the last segment changed while it was read");
    }
    *sum = again.sum;
    sum->end = again.position;
    scan_release(&again);
    return status;
}

int open_to_write(struct chain_log *log, uint32_t number, char **path, struct error *error) {
    char name[SEGMENT_NAME_BYTES];
    segment_name(number, name);
    *path = file_join(log->folder, name);
    int file = log->disk->open(log->disk->context, *path);
    if (file < 0 && file != -ENOENT) {
        (void)error_set_os(error, -file, "cannot open %s", *path);
    }
    return file;
}

// A segment whose header never became whole holds nothing: away with it.
static enum status drop_unborn(struct chain_log *log, struct error *error) {
    char *path = NULL;
    uint64_t kept = 0;
    enum status status = OK;
    int file = open_to_write(log, log->scan.number + 1, &path, error);
    if (file >= 0) {
        status = keep_aside(log, file, log->scan.number + 1, 0, no_batch, &kept, error);
        int reason = status == OK ? log->disk->remove(log->disk->context, path) : 0;
        if (reason != 0) {
            status = error_set_os(error, reason, "cannot remove %s", path);
        }
        log->disk->close(log->disk->context, file);
    } else if (error->code != OK) {
        status = error->code;
    }
    free(path);
    return status;
}

// The process before may have ended before what it wrote was synced, or after a sync that failed.
static enum status settle(struct chain_log *log, int file, struct error *error) {
    const struct scan *scan = &log->scan;
    uint64_t from = scan->durable > scan->base ? scan->durable - scan->base : 0;
    return segment_settle(log, file, SEGMENT_HEADER_BYTES + from, error);
}

// The last segment was sealed, maybe by a process that was killed before it was synced.
static enum status settle_sealed(struct chain_log *log, struct error *error) {
    char *path = NULL;
    if (log->scan.sum.batches == 0) {
        return OK;  // nothing of it was read, because it is known to be on the disk, or is empty
    }
    int file = open_to_write(log, log->scan.number, &path, error);
    enum status status = OK;
    if (file < 0) {
        status = error_set(error, ERR_IO, "cannot open %s", path);
    } else {
        status = settle(log, file, error);
        log->disk->close(log->disk->context, file);
    }
    free(path);
    return status;
}

// The last segment was not sealed: the node did not stop cleanly.
static enum status seal_last(struct chain_log *log, struct error *error) {
    struct scan *scan = &log->scan;
    struct segment_sum sum;
    char *path = NULL;
    uint64_t kept = 0;
    enum status status = sum_segment(log, scan->base, &sum, error);
    if (status != OK) {
        return status;
    }
    int file = open_to_write(log, scan->number, &path, error);
    if (file < 0) {
        status = error_set(error, ERR_IO, "cannot open %s", path);
    } else {
        status = scan->has_tail
                     ? keep_aside(log, file, scan->number, scan->offset, no_batch, &kept, error)
                     : OK;
        status = status == OK ? settle(log, file, error) : status;
        // The old tail must be gone for good before a footer stands in its place.
        int reason = status == OK ? log->disk->trim(log->disk->context, file, scan->offset) : 0;
        if (reason == 0 && status == OK && !log->no_sync) {
            reason = log->disk->sync(log->disk->context, file, true);
        }
        if (reason != 0) {
            status = error_set_os(error, reason, "cannot trim %s", path);
        }
        if (status == OK) {
            status = segment_seal(log, file, scan->number, &sum, scan->offset, error);
        }
        log->disk->close(log->disk->context, file);
    }
    free(path);
    memcpy(log->sum.digest, sum.digest, SHA256_BYTES);
    return status;
}

enum status log_repair(struct chain_log *log, struct error *error) {
    struct scan *scan = &log->scan;
    struct error ignored = {0};
    error = error != NULL ? error : &ignored;
    enum status status = OK;
    memcpy(log->sum.digest, scan->next_digest, SHA256_BYTES);
    if (!scan->is_finished) {
        status = seal_last(log, error);
    } else {
        status = settle_sealed(log, error);
        status = status == OK ? drop_unborn(log, error) : status;
    }
    int reason =
        status == OK && !log->no_sync ? log->disk->sync_folder(log->disk->context, log->folder) : 0;
    if (reason != 0) {
        status = error_set_os(error, reason, "cannot sync the folder %s", log->folder);
    }
    log->segment_number = scan->number;
    log->previous_batch = scan->previous_batch;
    return status;
}

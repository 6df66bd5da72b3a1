// SPDX-License-Identifier: Apache-2.0
// The files of the log: made, filled up, sealed, and made anew when the disk failed one.
//
// A segment gets its name when it is whole: it is made under another one (NEW_NAME), synced, and
// renamed, so a crash leaves none whose header is not there.
//
// What was written to a file that could not be written or synced is in doubt, and no second sync
// can end the doubt. Such a segment is *broken*: the batches that were given to it are read back,
// checked against the digest of what was written, and copied into a new file, which takes the
// broken one's name once it is on the disk. A crash on the way leaves the one or the other, and
// both hold all that was ever acknowledged as synced: the broken one up to where it was synced
// before it failed. So the format knows nothing of this.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "chain/checkpoint.h"
#include "chain/state.h"

#define NEW_NAME "new-segment"

static char *segment_path(const struct chain_log *log, uint32_t number) {
    char name[SEGMENT_NAME_BYTES];
    segment_name(number, name);
    return file_join(log->folder, name);
}

static int sync_file(const struct chain_log *log, int file, bool is_whole) {
    return log->no_sync ? 0 : log->disk->sync(log->disk->context, file, is_whole);
}

void segment_remove_unfinished(struct chain_log *log) {
    char *path = file_join(log->folder, NEW_NAME);
    (void)log->disk->remove(log->disk->context, path);
    free(path);
}

enum status segment_settle(const struct chain_log *log, int file, uint64_t offset,
                           struct error *error) {
    enum { PART_BYTES = 1 << 20 };
    if (log->no_sync) {
        return OK;
    }
    uint8_t *part = xmalloc(PART_BYTES);
    enum status status = OK;
    int reason = 0;
    for (size_t got = PART_BYTES; status == OK && reason == 0 && got == PART_BYTES; offset += got) {
        status = read_at(file, offset, part, PART_BYTES, &got, error);
        if (status == OK) {
            reason = disk_write_all(log->disk, file, part, got, offset);
        }
    }
    if (status == OK && reason == 0) {
        reason = log->disk->sync(log->disk->context, file, true);
    }
    free(part);
    return reason == 0
               ? status
               : error_set_os(error, reason, "cannot bring what a crash left in %s to the disk",
                              log->folder);
}

// ---- sealing -----------------------------------------------------------------------------------

enum status segment_seal(const struct chain_log *log, int file, uint32_t number,
                         const struct segment_sum *sum, uint64_t offset, struct error *error) {
    const struct chain_disk *disk = log->disk;
    struct buf footer = {0};
    char *path = segment_path(log, number);
    footer_append(&footer, sum, offset);
    uint64_t end = offset + footer.size;
    size_t before = footer.size - TRAILER_BYTES / 2;
    const char *what = "cannot write the footer of";
    int reason = disk_write_all(disk, file, footer.data, before, offset);
    // The trailer's second word says that all before it is there, so that must be true first.
    if (reason == 0) {
        what = "cannot sync";
        reason = sync_file(log, file, false);
    }
    if (reason == 0) {
        what = "cannot write the trailer of";
        reason =
            disk_write_all(disk, file, footer.data + before, TRAILER_BYTES / 2, offset + before);
    }
    if (reason == 0) {
        what = "cannot trim";
        reason = disk->trim(disk->context, file, end);
    }
    if (reason == 0) {
        what = "cannot sync";
        reason = sync_file(log, file, true);
    }
    enum status status = reason == 0 ? OK : error_set_os(error, reason, "%s %s", what, path);
    free(path);
    buf_release(&footer);
    return status;
}

// The pages of an older segment go back to the kernel, which gives them out again for the next one:
// a log that fills all memory with its past pays for every page that it touches for the first time
// (on a virtual machine more than for all the rest of a write). Only advice: failing changes
// nothing.
void segment_uncache(const struct chain_log *log, uint32_t number) {
    char *path = segment_path(log, number);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file >= 0) {
        (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        close(file);
    }
    free(path);
}

// Takes the file from the syncer, for good.
static int take_file(struct chain_log *log) {
    (void)pthread_mutex_lock(&log->lock);
    log->is_rolling = true;
    while (log->is_syncing) {
        (void)pthread_cond_wait(&log->progress, &log->lock);
    }
    int file = log->file;
    log->file = -1;
    (void)pthread_mutex_unlock(&log->lock);
    return file;
}

// Ends what take_file began.
static void give_back(struct chain_log *log, int file, bool is_synced) {
    (void)pthread_mutex_lock(&log->lock);
    log->file = file;
    log->is_rolling = false;
    if (is_synced) {
        log->is_broken = false;
        log->synced = log->written;
        note_progress(log);
    }
    (void)pthread_mutex_unlock(&log->lock);
}

void segment_break(struct chain_log *log) {
    (void)pthread_mutex_lock(&log->lock);
    log->is_broken = true;
    (void)pthread_mutex_unlock(&log->lock);
}

void segment_abandon(struct chain_log *log) {
    if (log->file >= 0) {
        log->disk->close(log->disk->context, log->file);
        log->file = -1;
    }
}

enum status sync_contents(const struct chain_log *log, struct error *error) {
    return log->before_sync == NULL || log->no_sync
               ? OK
               : log->before_sync(log->before_sync_context, error);
}

enum status segment_finish(struct chain_log *log, bool *is_final, struct error *error) {
    int file = take_file(log);
    (void)pthread_mutex_lock(&log->lock);
    // The last sync before this may have failed: then the file must not be synced again.
    bool is_broken = log->is_broken;
    (void)pthread_mutex_unlock(&log->lock);
    enum status status = OK;
    if (is_broken) {
        status = error_set(error, ERR_IO, "%s", log->standing.message);
    } else {
        log->sum.end = log->written;
        status = sync_contents(log, error);
        *is_final = status != OK;
    }
    if (status == OK) {
        status = segment_seal(log, file, log->segment_number, &log->sum,
                              SEGMENT_HEADER_BYTES + (log->written - log->segment_base), error);
    }
    log->disk->close(log->disk->context, file);
    if (status != OK) {
        segment_break(log);
    } else if (log->checkpointer == NULL && log->segment_number > CACHED_SEGMENTS) {
        segment_uncache(log, log->segment_number - CACHED_SEGMENTS);
    }
    give_back(log, -1, status == OK);
    if (status == OK) {
        checkpoint_sealed(log, log->segment_number);
    }
    return status;
}

// ---- making ------------------------------------------------------------------------------------

static uint64_t overhead_bytes(void) {
    return SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES + FOOTER_BODY_MOST_BYTES + TRAILER_BYTES;
}

// A file under NEW_NAME with the header and room for `room` bytes of batches: its descriptor, -1 on
// failure.
static int make_file(struct chain_log *log, const struct segment_header *header, uint64_t room,
                     struct error *error) {
    const struct chain_disk *disk = log->disk;
    char *path = file_join(log->folder, NEW_NAME);
    int file = disk->create(disk->context, path);
    if (file < 0) {
        (void)error_set_os(error, -file, "cannot create %s", path);
        free(path);
        return -1;
    }
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    segment_header_write(bytes, header);
    int reason = disk->reserve(disk->context, file, overhead_bytes() + room);
    // Not on every file system; writes then extend the file as they come.
    if (reason == EOPNOTSUPP || reason == ENOSYS) {
        reason = 0;
    }
    if (reason == 0) {
        reason = disk_write_all(disk, file, bytes, sizeof bytes, 0);
    }
    if (reason != 0) {
        (void)error_set_os(error, reason,
                           "cannot make room of %" PRIu64 " bytes for segment %" PRIu32 " in %s",
                           overhead_bytes() + room, header->number, log->folder);
        disk->close(disk->context, file);
        (void)disk->remove(disk->context, path);
        file = -1;
    }
    free(path);
    return file;
}

// Syncs the file that make_file gave and names it. Closes it on failure.
static enum status name_file(struct chain_log *log, int file, uint32_t number,
                             struct error *error) {
    const struct chain_disk *disk = log->disk;
    char *from = file_join(log->folder, NEW_NAME);
    char *path = segment_path(log, number);
    const char *what = "cannot sync";
    int reason = sync_file(log, file, true);
    if (reason == 0) {
        what = "cannot rename the new segment to";
        reason = disk->rename(disk->context, from, path);
    }
    if (reason == 0 && !log->no_sync) {
        what = "cannot sync the folder of";
        reason = disk->sync_folder(disk->context, log->folder);
    }
    if (reason != 0) {
        (void)error_set_os(error, reason, "%s %s", what, path);
        disk->close(disk->context, file);
        (void)disk->remove(disk->context, from);
    }
    free(path);
    free(from);
    return reason == 0 ? OK : ERR_IO;
}

enum status segment_create(struct chain_log *log, uint64_t size, struct error *error) {
    uint64_t room =
        log->segment_bytes > overhead_bytes() + size ? log->segment_bytes - overhead_bytes() : size;
    struct segment_header header = {.number = log->segment_number + 1, .base = log->written};
    memcpy(header.digest, log->sum.digest, SHA256_BYTES);
    int file = make_file(log, &header, room, error);
    if (file < 0 || name_file(log, file, header.number, error) != OK) {
        return ERR_IO;
    }
    log->segment_number = header.number;
    log->segment_base = header.base;
    log->segment_room = room;
    log->segment_previous = log->previous_batch;
    struct segment_sum sum = {0};
    memcpy(sum.digest, log->sum.digest, SHA256_BYTES);
    memcpy(log->segment_digest, log->sum.digest, SHA256_BYTES);
    log->sum = sum;
    (void)pthread_mutex_lock(&log->lock);
    log->file = file;
    segments_add(log, header.number, header.base);
    (void)pthread_mutex_unlock(&log->lock);
    return OK;
}

// ---- replacing ---------------------------------------------------------------------------------

// Copies the batches of the current segment from its file into `file`, checking that they are what
// was written. *is_final when they are not, so that trying again is no use.
static enum status copy_batches(struct chain_log *log, int file, bool *is_final,
                                struct error *error) {
    struct scan scan;
    scan_init(&scan, log->folder, true);
    scan.number = log->segment_number - 1;
    scan.position = log->segment_base;
    scan.previous_batch = log->segment_previous;
    memcpy(scan.next_digest, log->segment_digest, SHA256_BYTES);
    enum status status = OK;
    uint64_t copied = log->segment_base;
    while (status == OK && copied < log->written) {
        struct frame frame;
        enum scan_result result = scan_next(&scan, &frame, error);
        if (result == SCAN_FAILED) {
            status = error->code;
        } else if (result != SCAN_FRAME) {
            break;
        } else if (scan.batch_position == copied && !scan.is_damaged) {
            int reason = disk_write_all(log->disk, file, scan.batch.data, scan.batch.size,
                                        scan.batch_offset);
            copied += scan.batch.size;
            status = reason == 0
                         ? OK
                         : error_set_os(error, reason,
                                        "cannot copy segment %" PRIu32 " in %s to a new file",
                                        log->segment_number, log->folder);
        }
    }
    bool is_same =
        copied == log->written && (copied == log->segment_base ||
                                   memcmp(scan.sum.digest, log->sum.digest, SHA256_BYTES) == 0);
    if (status == OK && !is_same) {
        *is_final = true;
        status = error_set(error, ERR_IO,
                           "what was written to segment %" PRIu32
                           " in %s reads back differently "
                           "from position %" PRIu64 " on, after an error: %s",
                           log->segment_number, log->folder, copied, log->standing.message);
    }
    scan_release(&scan);
    return status;
}

enum status segment_replace(struct chain_log *log, bool *is_final, struct error *error) {
    const struct chain_disk *disk = log->disk;
    int broken = take_file(log);
    if (broken >= 0) {
        disk->close(disk->context, broken);
    }
    struct segment_header header = {.number = log->segment_number, .base = log->segment_base};
    memcpy(header.digest, log->segment_digest, SHA256_BYTES);
    enum status status = ERR_IO;
    int file = make_file(log, &header, log->segment_room, error);
    if (file >= 0) {
        status = copy_batches(log, file, is_final, error);
        if (status != OK) {
            disk->close(disk->context, file);
            segment_remove_unfinished(log);
        } else if (sync_contents(log, error) != OK) {
            *is_final = true;
            status = error->code;
            disk->close(disk->context, file);
        } else {
            status = name_file(log, file, header.number, error);
        }
    }
    if (status == OK) {
        (void)pthread_mutex_lock(&log->lock);
        log->segments[log->segment_count - 1].generation++;
        (void)pthread_mutex_unlock(&log->lock);
    }
    give_back(log, status == OK ? file : -1, status == OK);
    return status;
}

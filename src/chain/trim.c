// SPDX-License-Identifier: Apache-2.0
// What a power loss may leave: events that reached the disk although they were not synced, while
// contents that they refer to did not. Before a log is opened to be written, its last segment, if
// it is not sealed, is cut before the first batch with such an event: what is left is what was
// there at some moment. A batch that a later one calls durable was synced after its contents were;
// when these are missing all the same the store is damaged, and the log is left alone.
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "chain/state.h"

// Finds the first batch with an event that is not whole: *offset in the file, *position in the log.
// False when there is none; what else is wrong is for the opening to find.
static bool find_cut(const struct chain_log *log, struct scan *scan, uint64_t *offset,
                     uint64_t *position) {
    struct frame frame;
    struct error ignored = {0};
    while (scan_next(scan, &frame, &ignored) == SCAN_FRAME && scan->footer_offset == 0) {
        struct chain_event event = {0};
        if (frame.kind != FRAME_EVENT ||
            event_decode(slice_of(frame.body, frame.body_bytes), &event, NULL) != OK ||
            log->is_whole(log->is_whole_context, event.data)) {
            continue;
        }
        *offset = scan->batch_offset;
        *position = scan->batch_position;
        return true;
    }
    return false;
}

static enum status cut(struct chain_log *log, uint32_t number, uint64_t offset,
                       struct error *error) {
    char *path = NULL;
    int file = open_to_write(log, number, &path, error);
    if (file < 0) {
        free(path);
        return error_set(error, ERR_IO, "cannot open segment %" PRIu32, number);
    }
    uint64_t kept = 0;
    enum status status = keep_aside(log, file, number, offset,
                                    "refer to contents that did not reach the disk", &kept, error);
    const struct chain_disk *disk = log->disk;
    int reason = status == OK ? disk->trim(disk->context, file, offset) : 0;
    if (reason == 0 && status == OK && !log->no_sync) {
        reason = disk->sync(disk->context, file, true);
    }
    if (reason != 0) {
        status = error_set_os(error, reason, "cannot trim %s", path);
    }
    disk->close(disk->context, file);
    free(path);
    return status;
}

enum status log_trim(struct chain_log *log, struct error *error) {
    uint32_t first = 0, last = 0;
    struct segment_header header = {0};
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    size_t got = 0;
    if (log->is_whole == NULL || segment_range(log->folder, &first, &last, error) != OK ||
        last == 0) {
        return error->code;
    }
    int file = segment_open(log->folder, last, error);
    bool is_good = file >= 0 && read_at(file, 0, bytes, sizeof bytes, &got, error) == OK &&
                   got == sizeof bytes && segment_header_read(bytes, &header);
    if (file >= 0) {
        close(file);
    }
    if (!is_good) {
        error_clear(error);
        return OK;
    }
    struct scan scan;
    uint64_t offset = 0, position = 0;
    scan_init(&scan, log->folder, false);
    scan_begin_at(&scan, last, header.base);
    bool must_cut = find_cut(log, &scan, &offset, &position);
    bool is_durable = false;
    enum status status = OK;
    if (must_cut) {
        scan.offset = offset;
        status = scan_says_durable(&scan, offset, position, &is_durable, error);
    }
    scan_release(&scan);
    return status == OK && must_cut && !is_durable ? cut(log, last, offset, error) : status;
}

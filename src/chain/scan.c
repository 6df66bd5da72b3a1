// SPDX-License-Identifier: Apache-2.0
#include "chain/scan.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "chain/rows.h"
#include "codec/cbor.h"

// ---- files -------------------------------------------------------------------------------------

void segment_name(uint32_t number, char out[SEGMENT_NAME_BYTES]) {
    (void)snprintf(out, SEGMENT_NAME_BYTES, "%08" PRIu32 ".log", number);
}

int segment_open(const char *folder, uint32_t number, struct error *error) {
    char name[SEGMENT_NAME_BYTES];
    segment_name(number, name);
    char *path = file_join(folder, name);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0 && errno == ENOENT) {
        file = -1;
    } else if (file < 0) {
        (void)error_set_os(error, errno, "cannot open %s", path);
        file = -2;
    }
    free(path);
    return file;
}

// The number in a segment's name, 0 for any other name.
static uint32_t parse_segment_name(const char *name) {
    size_t digits = strspn(name, "0123456789");
    if (digits < 8 || digits > 9 || strcmp(name + digits, ".log") != 0) {
        return 0;
    }
    uint32_t number = (uint32_t)strtoul(name, NULL, 10);
    char canonical[SEGMENT_NAME_BYTES];
    segment_name(number, canonical);
    return strcmp(canonical, name) == 0 ? number : 0;
}

// Smallest number above `above`, and the largest of all; 0 for none.
static enum status list_segments(const char *folder, uint32_t above, uint32_t *first,
                                 uint32_t *last, struct error *error) {
    *first = 0;
    *last = 0;
    DIR *entries = opendir(folder);
    if (entries == NULL) {
        return error_set_os(error, errno, "cannot read the log folder %s", folder);
    }
    struct dirent *entry = NULL;
    while ((entry = readdir(entries)) != NULL) {
        uint32_t number = parse_segment_name(entry->d_name);
        if (number > above) {
            *first = *first == 0 || number < *first ? number : *first;
        }
        *last = number > *last ? number : *last;
    }
    (void)closedir(entries);
    return OK;
}

enum status segment_range(const char *folder, uint32_t *first, uint32_t *last,
                          struct error *error) {
    return list_segments(folder, 0, first, last, error);
}

enum status segment_after(const char *folder, uint32_t number, uint32_t *next,
                          struct error *error) {
    uint32_t last = 0;
    return list_segments(folder, number, next, &last, error);
}

enum status read_at(int file, uint64_t offset, uint8_t *out, size_t size, size_t *got,
                    struct error *error) {
    *got = 0;
    while (*got < size) {
        ssize_t part = pread(file, out + *got, size - *got, (off_t)(offset + *got));
        if (part < 0 && errno == EINTR) {
            continue;
        }
        if (part < 0) {
            return error_set_os(error, errno, "cannot read the log");
        }
        if (part == 0) {
            break;
        }
        *got += (size_t)part;
    }
    return OK;
}

// ---- reporting ---------------------------------------------------------------------------------

static enum scan_result damaged(struct scan *scan, uint64_t offset, const char *format, ...)
    PRINTF_LIKE(3, 4);
static enum scan_result damaged(struct scan *scan, uint64_t offset, const char *format, ...) {
    scan->damage = (struct damage){.offset = offset};
    segment_name(scan->number, scan->damage.segment);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(scan->damage.reason, sizeof scan->damage.reason, format, arguments);
    va_end(arguments);
    return SCAN_DAMAGED;
}

enum status scan_damage_error(const struct scan *scan, struct error *error) {
    return error_set(error, ERR_DAMAGED, "%s/%s at byte %" PRIu64 ": %s", scan->folder,
                     scan->damage.segment, scan->damage.offset, scan->damage.reason);
}

static enum scan_result failed(const struct scan *scan, struct error *error) {
    char name[SEGMENT_NAME_BYTES];
    segment_name(scan->number, name);
    (void)error_context(error, "%s/%s", scan->folder, name);
    return SCAN_FAILED;
}

// ---- segments ----------------------------------------------------------------------------------

void scan_init(struct scan *scan, const char *folder, bool with_digest) {
    *scan = (struct scan){.folder = folder,
                          .with_digest = with_digest,
                          .file = -1,
                          .is_finished = true,
                          .previous_batch = NO_POSITION,
                          .has_previous_batch = true,
                          .knows_position = true,
                          .has_next_digest = true};
}

void scan_begin_at(struct scan *scan, uint32_t number, uint64_t base) {
    assert(scan->number == 0 && number != 0);
    scan->number = number - 1;
    scan->position = base;
    scan->has_previous_batch = number == 1;
    scan->has_next_digest = number == 1;
}

void scan_begin_behind(struct scan *scan, const struct checkpoint *at) {
    assert(scan->number == 0);
    scan->number = at->segment;
    scan->position = at->position;
    scan->previous_batch = at->previous_batch;
    memcpy(scan->next_digest, at->digest, SHA256_BYTES);
}

void scan_release(struct scan *scan) {
    if (scan->file >= 0) {
        close(scan->file);
        scan->file = -1;
    }
    buf_release(&scan->batch);
    buf_release(&scan->hashes);
}

static bool exists(const struct scan *scan, uint32_t number) {
    char name[SEGMENT_NAME_BYTES];
    segment_name(number, name);
    char *path = file_join(scan->folder, name);
    struct stat info;
    bool is_there = lstat(path, &info) == 0;
    free(path);
    return is_there;
}

// A live writer whose disk failed goes on with a copy of the segment under the same name.
static enum status follow_name(struct scan *scan, struct stat *info, struct error *error) {
    char name[SEGMENT_NAME_BYTES];
    struct stat named;
    segment_name(scan->number, name);
    char *path = file_join(scan->folder, name);
    bool is_other =
        lstat(path, &named) == 0 && (named.st_ino != info->st_ino || named.st_dev != info->st_dev);
    free(path);
    if (!is_other) {
        return OK;
    }
    int file = segment_open(scan->folder, scan->number, error);
    if (file < 0) {
        return file == -2 ? error->code : OK;
    }
    close(scan->file);
    scan->file = file;
    return fstat(file, info) == 0 ? OK : error_set_os(error, errno, "cannot inspect the file");
}

// Size of the file, and where its footer is if it is sealed. A live writer trims and seals, so this
// is asked again whenever more of the file is wanted.
static enum status refresh_file(struct scan *scan, struct error *error) {
    struct stat info;
    if (fstat(scan->file, &info) != 0) {
        return error_set_os(error, errno, "cannot inspect the file");
    }
    if (scan->footer_offset == 0 && follow_name(scan, &info, error) != OK) {
        return error->code;
    }
    if (!S_ISREG(info.st_mode)) {
        return error_set(error, ERR_DAMAGED, "not a regular file");
    }
    scan->file_bytes = (uint64_t)info.st_size;
    scan->footer_offset = 0;
    if (scan->ignores_footer ||
        scan->file_bytes < SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES + TRAILER_BYTES) {
        return OK;
    }
    uint8_t trailer[TRAILER_BYTES];
    size_t got = 0;
    enum status status =
        read_at(scan->file, scan->file_bytes - TRAILER_BYTES, trailer, TRAILER_BYTES, &got, error);
    uint64_t footer = 0;
    if (status == OK && got == TRAILER_BYTES && trailer_read(trailer, &footer) &&
        footer >= SEGMENT_HEADER_BYTES &&
        footer <= scan->file_bytes - TRAILER_BYTES - FRAME_HEADER_BYTES) {
        scan->footer_offset = footer;
    }
    return status;
}

enum status scan_says_durable(struct scan *scan, uint64_t offset, uint64_t position,
                              bool *is_durable, struct error *error) {
    enum { WINDOW = 1 << 20 };
    uint8_t *window = xmalloc(WINDOW);
    uint64_t file_base = scan->offset;
    enum status status = OK;
    *is_durable = false;
    uint64_t start = offset + 1;
    while (status == OK && !*is_durable && start < scan->file_bytes) {
        size_t got = 0;
        status = read_at(scan->file, start, window, WINDOW, &got, error);
        if (status != OK || got < BATCH_FRAME_BYTES) {
            break;
        }
        const uint8_t *from = window + FRAME_HEADER_BYTES;
        const uint8_t *end = window + got - BATCH_BODY_BYTES + sizeof batch_magic;
        const uint8_t *hit = NULL;
        while (!*is_durable && from < end &&
               (hit = memmem(from, (size_t)(end - from), batch_magic, sizeof batch_magic)) !=
                   NULL) {
            const uint8_t *frame = hit - FRAME_HEADER_BYTES;
            uint64_t at = start + (uint64_t)(frame - window);
            struct batch batch;
            *is_durable =
                batch_read(frame, position + (at - file_base), &batch) && batch.durable > position;
            from = hit + 1;
        }
        start += got - BATCH_FRAME_BYTES + 1;
    }
    free(window);
    return status;
}

static enum scan_result check_header(struct scan *scan, struct error *error) {
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    size_t got = 0;
    if (refresh_file(scan, error) != OK ||
        read_at(scan->file, 0, bytes, sizeof bytes, &got, error) != OK) {
        return error->code == ERR_DAMAGED ? damaged(scan, 0, "%s", error->message)
                                          : failed(scan, error);
    }
    struct segment_header header = {0};
    bool is_good = got == sizeof bytes && segment_header_read(bytes, &header);
    bool is_durable = false;
    scan->offset = SEGMENT_HEADER_BYTES;
    if (!is_good) {
        if (scan_says_durable(scan, 0, scan->position, &is_durable, error) != OK) {
            return failed(scan, error);
        }
        if (scan->footer_offset == 0 && !is_durable && !exists(scan, scan->number + 1)) {
            scan->offset = 0;  // the last segment was being made when a crash came
            scan->has_tail = true;
            return SCAN_END;
        }
        return damaged(scan, 0, "the segment's header is not intact, or of another version");
    }
    if (header.number != scan->number) {
        return damaged(scan, 12, "the file is segment %" PRIu32 " under another's name",
                       header.number);
    }
    if (!scan->knows_position && header.base >= scan->position) {
        scan->position = header.base;
        scan->knows_position = true;
    }
    if (header.base != scan->position) {
        return damaged(scan, 16, "begins at position %" PRIu64 ", where %" PRIu64 " is next",
                       header.base, scan->position);
    }
    if (scan->has_next_digest && memcmp(header.digest, scan->next_digest, SHA256_BYTES) != 0) {
        return damaged(scan, 24,
                       "continues another log: its digest is not that of the segment "
                       "before");
    }
    scan->base = header.base;
    scan->segment_previous = scan->previous_batch;
    memset(&scan->sum, 0, sizeof scan->sum);
    memcpy(scan->sum.digest, header.digest, SHA256_BYTES);
    scan->is_finished = false;
    scan->is_lossy = false;
    scan->ignores_footer = false;
    return SCAN_FRAME;
}

// Moves to the next segment. SCAN_FRAME when it is open and its header good.
static enum scan_result next_segment(struct scan *scan, struct error *error) {
    assert(scan->is_finished);
    int file = segment_open(scan->folder, scan->number + 1, error);
    if (file == -2) {
        scan->number++;
        return failed(scan, error);
    }
    if (file == -1) {
        uint32_t first = 0;
        uint32_t last = 0;
        if (segment_range(scan->folder, &first, &last, error) != OK) {
            return SCAN_FAILED;
        }
        if (last > scan->number && exists(scan, scan->number + 1)) {
            return next_segment(scan, error);  // a live writer has just made it
        }
        if (last > scan->number) {
            scan->number++;
            return damaged(scan, 0, "the segment is missing; %08" PRIu32 ".log exists", last);
        }
        return SCAN_END;
    }
    if (scan->file >= 0) {
        close(scan->file);
    }
    scan->file = file;
    scan->number++;
    scan->file_number = scan->number;
    enum scan_result result = check_header(scan, error);
    if (result == SCAN_END) {  // may be complete when we come back
        close(scan->file);
        scan->file = -1;
        scan->number--;
    }
    return result;
}

// ---- footers and tails -------------------------------------------------------------------------

typedef enum footer_state { FOOTER_NONE, FOOTER_ALONE, FOOTER_WITH_TRAILER } footer_state;

// Reads the footer frame at scan->offset: fills *stated, and *end with the offset behind the
// trailer (where it belongs, if the footer stands alone).
static enum footer_state read_footer(struct scan *scan, struct segment_sum *stated, uint64_t *end,
                                     struct error *error) {
    uint8_t bytes[FRAME_HEADER_BYTES + FOOTER_BODY_MOST_BYTES + TRAILER_BYTES];
    size_t got = 0;
    if (read_at(scan->file, scan->offset, bytes, sizeof bytes, &got, error) != OK ||
        got < FRAME_HEADER_BYTES + TRAILER_BYTES) {
        return FOOTER_NONE;
    }
    struct frame frame = frame_read(bytes, scan->position);
    uint64_t trailer_at = 0;
    if (frame.kind != FRAME_FOOTER || frame.actor != 0 || frame.previous != NO_POSITION ||
        frame.body_bytes > got - FRAME_HEADER_BYTES - TRAILER_BYTES ||
        !frame_is_intact(bytes, &frame) ||
        footer_read(slice_of(frame.body, frame.body_bytes), stated, NULL) != OK) {
        return FOOTER_NONE;
    }
    *end = scan->offset + FRAME_HEADER_BYTES + frame.body_bytes + TRAILER_BYTES;
    bool is_whole =
        trailer_read(frame.body + frame.body_bytes, &trailer_at) && trailer_at == scan->offset;
    return is_whole ? FOOTER_WITH_TRAILER : FOOTER_ALONE;
}

// The batches of a sealed segment have been read: its footer must say the same.
static enum scan_result finish_sealed(struct scan *scan, struct error *error) {
    struct segment_sum stated = {0};
    uint64_t end = 0;
    if (read_footer(scan, &stated, &end, error) != FOOTER_WITH_TRAILER) {
        return error->code != OK ? failed(scan, error)
                                 : damaged(scan, scan->offset, "the footer is not intact");
    }
    if (end != scan->file_bytes) {
        return damaged(scan, end, "bytes behind the trailer");
    }
    bool fits = stated.events == scan->sum.events && stated.batches == scan->sum.batches &&
                stated.end == scan->position;
    if (!fits && !scan->is_lossy) {
        return damaged(scan, scan->offset,
                       "the footer counts %" PRIu64 " events in %" PRIu64 " batches; found %" PRIu64
                       " in %" PRIu64,
                       stated.events, stated.batches, scan->sum.events, scan->sum.batches);
    }
    if (scan->with_digest && (memcmp(stated.digest, scan->sum.digest, SHA256_BYTES) != 0 ||
                              stated.first_time_ns != scan->sum.first_time_ns ||
                              stated.last_time_ns != scan->sum.last_time_ns)) {
        return damaged(scan, scan->offset,
                       "the segment's content is not what its footer's digest and times say");
    }
    memcpy(scan->next_digest, stated.digest, SHA256_BYTES);
    scan->has_next_digest = true;
    scan->is_finished = true;
    return SCAN_FRAME;
}

enum status segment_look(const char *folder, uint32_t number, struct segment_claim *claim,
                         struct error *error) {
    struct scan scan;
    struct error cause = {0};
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    size_t got = 0;
    uint64_t end = 0;
    scan_init(&scan, folder, false);
    scan.number = number;
    scan.file = segment_open(folder, number, &cause);
    if (scan.file < 0) {
        return scan.file == -1 ? error_set(error, ERR_NOT_FOUND, "no segment %" PRIu32, number)
                               : error_set(error, cause.code, "%s", cause.message);
    }
    enum status status = refresh_file(&scan, &cause);
    if (status == OK) {
        status = read_at(scan.file, 0, bytes, sizeof bytes, &got, &cause);
    }
    if (status == OK && (got != sizeof bytes || !segment_header_read(bytes, &claim->header) ||
                         claim->header.number != number || scan.footer_offset == 0)) {
        status = error_set(&cause, ERR_DAMAGED, "not a sealed segment of this number");
    }
    if (status == OK) {
        scan.offset = scan.footer_offset;
        scan.position = claim->header.base + (scan.footer_offset - SEGMENT_HEADER_BYTES);
        bool is_whole = read_footer(&scan, &claim->sum, &end, &cause) == FOOTER_WITH_TRAILER &&
                        end == scan.file_bytes && claim->sum.end == scan.position;
        status = is_whole ? OK
                 : cause.code != OK
                     ? cause.code
                     : error_set(&cause, ERR_DAMAGED, "the footer is not intact or does not fit");
    }
    scan_release(&scan);
    return status == OK
               ? OK
               : error_set(error, status, "segment %" PRIu32 ": %s", number, cause.message);
}

static enum status rest_is_zero(struct scan *scan, uint64_t from, bool *is_zero,
                                struct error *error) {
    enum { WINDOW = 1 << 16 };
    uint8_t *window = xmalloc(WINDOW);
    enum status status = OK;
    *is_zero = true;
    for (size_t got = WINDOW; status == OK && *is_zero && got == WINDOW; from += got) {
        status = read_at(scan->file, from, window, WINDOW, &got, error);
        *is_zero = got == 0 || (window[0] == 0 && memcmp(window, window + 1, got - 1) == 0);
    }
    free(window);
    return status;
}

// The footer is intact. Behind it belongs a trailer, of which a crash may have left parts: its two
// words are written one after the other, each maybe in pieces, and go to the disk by sectors.
static bool is_part_of_trailer(const struct scan *scan, uint64_t at,
                               const uint8_t found[TRAILER_BYTES]) {
    enum { SECTOR_BYTES = 512, WORD_BYTES = TRAILER_BYTES / 2 };
    uint8_t whole[TRAILER_BYTES];
    size_t border = (size_t)(SECTOR_BYTES - at % SECTOR_BYTES);
    bool has_ended = false;
    trailer_write(whole, scan->offset);
    for (size_t i = 0; i < TRAILER_BYTES; i++) {
        has_ended = has_ended && i != border && i != WORD_BYTES;
        has_ended = has_ended || found[i] != whole[i];
        if (has_ended && found[i] != 0) {
            return false;
        }
    }
    return true;
}

static enum status nothing_but_a_trailer(struct scan *scan, uint64_t at, bool *is_good,
                                         struct error *error) {
    uint8_t found[TRAILER_BYTES] = {0};
    size_t got = 0;
    enum status status = read_at(scan->file, at, found, sizeof found, &got, error);
    *is_good = false;
    return status == OK && is_part_of_trailer(scan, at, found)
               ? rest_is_zero(scan, at + TRAILER_BYTES, is_good, error)
               : status;
}

// No good batch at scan->offset of a segment that is not sealed. The last segment may end here;
// anything else is damage.
static enum scan_result no_batch(struct scan *scan, uint64_t offset, const char *problem,
                                 struct error *error) {
    bool is_zero = false;
    bool is_durable = false;
    if (exists(scan, scan->number + 1)) {
        return damaged(scan, offset,
                       "%s, and the segment is not sealed although it is not the last", problem);
    }
    if (rest_is_zero(scan, scan->offset, &is_zero, error) != OK) {
        return failed(scan, error);
    }
    scan->has_tail = !is_zero;
    if (is_zero) {
        return SCAN_END;
    }
    struct segment_sum stated = {0};
    uint64_t end = 0;
    enum footer_state footer = read_footer(scan, &stated, &end, error);
    if (footer != FOOTER_NONE) {  // sealed, but not trimmed yet
        end -= footer == FOOTER_ALONE ? TRAILER_BYTES : 0;
        enum status status = footer == FOOTER_ALONE
                                 ? nothing_but_a_trailer(scan, end, &is_zero, error)
                                 : rest_is_zero(scan, end, &is_zero, error);
        if (status != OK) {
            return failed(scan, error);
        }
        return is_zero ? SCAN_END
                       : damaged(scan, end, "the bytes behind the footer are not its trailer");
    }
    if (error->code != OK ||
        scan_says_durable(scan, scan->offset, scan->position, &is_durable, error) != OK) {
        return failed(scan, error);
    }
    return is_durable ? damaged(scan, offset, "%s", problem) : SCAN_END;
}

// ---- batches -----------------------------------------------------------------------------------

// All frames of the batch in scan->batch are intact and fill it exactly. Gives the number of
// events, or the damage.
static bool frames_are_intact(struct scan *scan, uint32_t stated_events) {
    const uint8_t *bytes = scan->batch.data;
    size_t size = scan->batch.size;
    uint32_t events = 0;
    for (size_t at = BATCH_FRAME_BYTES; at < size;) {
        const char *problem = NULL;
        struct frame frame = {0};
        if (size - at < FRAME_HEADER_BYTES) {
            problem = "the batch ends inside a frame";
        } else {
            frame = frame_read(bytes + at, scan->position + at);
            if (frame.body_bytes > size - at - FRAME_HEADER_BYTES) {
                problem = "the frame is longer than its batch";
            } else if (!frame_is_intact(bytes + at, &frame)) {
                problem = "the frame's checksum does not match";
            } else if (frame.kind != FRAME_EVENT && frame.kind != FRAME_ACTOR) {
                problem = "a frame of unknown kind";
            }
        }
        if (problem != NULL) {
            (void)damaged(scan, scan->offset + at, "%s", problem);
            scan->good_bytes = at;
            scan->damage.has_frame = frame.body != NULL;
            scan->damage.frame = frame;
            scan->damage.body_left = frame.body == NULL ? 0 : size - at - FRAME_HEADER_BYTES;
            return false;
        }
        events += frame.kind == FRAME_EVENT ? 1 : 0;
        at += FRAME_HEADER_BYTES + frame.body_bytes;
    }
    if (events != stated_events) {
        (void)damaged(scan, scan->offset, "the batch states %" PRIu32 " events and holds %" PRIu32,
                      stated_events, events);
        scan->good_bytes = size;
        return false;
    }
    return true;
}

// The hashes of the frames in the batch, behind the body of the batch frame.
static void hash_frames(struct scan *scan) {
    const uint8_t *data = scan->batch.data;
    size_t body_bytes = BATCH_FRAME_BYTES - FRAME_HEADER_BYTES;
    buf_clear(&scan->hashes);
    buf_append(&scan->hashes, data + FRAME_HEADER_BYTES, body_bytes);
    scan->hash_at = body_bytes;
    for (size_t at = BATCH_FRAME_BYTES; at < scan->batch.size;) {
        struct frame frame = frame_read(data + at, scan->position + at);
        sha256(slice_of(frame.body, frame.body_bytes), buf_reserve(&scan->hashes, SHA256_BYTES));
        scan->hashes.size += SHA256_BYTES;
        at += FRAME_HEADER_BYTES + frame.body_bytes;
    }
}

static void begin_batch(struct scan *scan) {
    if (scan->with_digest) {
        hash_frames(scan);
    }
    scan->at = BATCH_FRAME_BYTES;
    scan->batch_position = scan->position;
    scan->batch_offset = scan->offset;
}

// Damage in the middle of a batch: what comes before it is good, and needed to tell whose event is
// damaged.
static enum scan_result give_good_part(struct scan *scan) {
    if (scan->good_bytes <= BATCH_FRAME_BYTES) {
        return SCAN_DAMAGED;
    }
    assert(scan->good_bytes <= scan->batch.size);
    scan->batch.size = scan->good_bytes;
    begin_batch(scan);
    scan->is_damaged = true;
    return SCAN_FRAME;
}

// Reads the batch at scan->offset. SCAN_FRAME when it is loaded whole and intact; SCAN_DAMAGED with
// scan->damage when not, whatever the cause.
static enum scan_result load_batch(struct scan *scan, struct error *error) {
    uint64_t limit = scan->footer_offset != 0 ? scan->footer_offset : scan->file_bytes;
    uint64_t left = limit - scan->offset;
    uint8_t head[BATCH_FRAME_BYTES];
    size_t got = 0;
    struct batch batch = {0};
    scan->good_bytes = 0;
    if (read_at(scan->file, scan->offset, head, sizeof head, &got, error) != OK) {
        return failed(scan, error);
    }
    if (left < sizeof head || got < sizeof head || !batch_read(head, scan->position, &batch)) {
        return damaged(scan, scan->offset, "no intact batch header");
    }
    if (batch.end - scan->position > left || batch.durable > scan->position ||
        (scan->has_previous_batch && batch.previous != scan->previous_batch)) {
        return damaged(scan, scan->offset, "the batch header does not fit its place");
    }
    size_t size = (size_t)(batch.end - scan->position);
    buf_clear(&scan->batch);
    if (read_at(scan->file, scan->offset, buf_reserve(&scan->batch, size), size, &got, error) !=
        OK) {
        return failed(scan, error);
    }
    scan->batch.size = got;
    if (got != size) {
        return damaged(scan, scan->offset + got, "the file ends inside a batch");
    }
    if (!frames_are_intact(scan, batch.events)) {
        return SCAN_DAMAGED;
    }
    begin_batch(scan);
    scan->durable = batch.durable > scan->durable ? batch.durable : scan->durable;
    scan->previous_batch = scan->position;
    scan->has_previous_batch = true;
    scan->position += size;
    scan->offset += size;
    scan->sum.batches++;
    if (scan->with_digest) {
        batch_digest(scan->sum.digest, buf_slice(&scan->hashes));
    }
    return SCAN_FRAME;
}

// Whoever polls a live log comes here often, and the rest of a preallocated segment is large.
static bool nothing_yet(const struct scan *scan) {
    static const uint8_t zeros[BATCH_FRAME_BYTES];
    uint8_t head[BATCH_FRAME_BYTES];
    size_t got = 0;
    return read_at(scan->file, scan->offset, head, sizeof head, &got, NULL) == OK &&
           memcmp(head, zeros, got) == 0;
}

static enum scan_result next_batch(struct scan *scan, struct error *error) {
    // A live writer may have added to the file, sealed it and begun the next one between any two
    // looks: so a bad sight is believed only when the same bytes are still bad after all questions
    // about what lies behind them have been answered.
    for (int attempt = 0;; attempt++) {
        if (refresh_file(scan, error) != OK) {
            return error->code == ERR_DAMAGED ? damaged(scan, 0, "%s", error->message)
                                              : failed(scan, error);
        }
        if (scan->footer_offset != 0 && scan->offset == scan->footer_offset) {
            return finish_sealed(scan, error);
        }
        if (scan->footer_offset != 0 && scan->offset > scan->footer_offset) {
            return damaged(scan, scan->file_bytes - TRAILER_BYTES,
                           "the trailer names a footer inside a batch");
        }
        if (scan->is_following && scan->footer_offset == 0 && nothing_yet(scan)) {
            return SCAN_END;
        }
        enum scan_result result = load_batch(scan, error);
        if (result != SCAN_DAMAGED) {
            return result;
        }
        if (scan->footer_offset != 0) {
            return give_good_part(scan);
        }
        struct damage found = scan->damage;
        result = no_batch(scan, found.offset, found.reason, error);
        if (result == SCAN_END || result == SCAN_FAILED) {
            return result;
        }
        if (attempt == 2) {
            (void)memcpy(found.reason, scan->damage.reason, sizeof found.reason);
            scan->damage = found;
            return give_good_part(scan);
        }
    }
}

static struct frame take_frame(struct scan *scan) {
    const uint8_t *at = scan->batch.data + scan->at;
    struct frame frame = frame_read(at, scan->batch_position + scan->at);
    if (scan->with_digest) {
        frame.hash = scan->hashes.data + scan->hash_at;
        scan->hash_at += SHA256_BYTES;
    }
    scan->at += FRAME_HEADER_BYTES + frame.body_bytes;
    return frame;
}

// The time in an event frame, 0 when it cannot be read.
static uint64_t event_time(const struct frame *frame) {
    if (frame->body_bytes < SHA256_BYTES + 2) {
        return 0;
    }
    struct cbor_reader reader = cbor_reader_of(
        slice_of(frame->body + SHA256_BYTES + 2, frame->body_bytes - SHA256_BYTES - 2));
    uint64_t value = 0;
    bool is_good =
        cbor_read_uint(&reader, &value, NULL) == OK && cbor_read_uint(&reader, &value, NULL) == OK;
    return is_good ? value : 0;
}

enum scan_result scan_next(struct scan *scan, struct frame *frame, struct error *error) {
    struct error unused = {0};
    error = error != NULL ? error : &unused;
    while (scan->at == scan->batch.size) {
        if (scan->is_damaged) {
            return SCAN_DAMAGED;
        }
        scan->has_tail = false;
        if (scan->is_finished && scan->last != 0 && scan->number >= scan->last) {
            return SCAN_END;
        }
        enum scan_result result =
            scan->is_finished ? next_segment(scan, error) : next_batch(scan, error);
        if (result != SCAN_FRAME) {
            buf_clear(&scan->batch);
            scan->at = 0;
            return result;
        }
        if (scan->is_finished) {
            buf_clear(&scan->batch);
            scan->at = 0;
        }
    }
    *frame = take_frame(scan);
    if (frame->kind == FRAME_EVENT) {
        segment_sum_add_time(&scan->sum, scan->with_digest ? event_time(frame) : 0);
    }
    return SCAN_FRAME;
}

// SPDX-License-Identifier: Apache-2.0
// Reading the log front to back, batch by batch: opening, verifying and following all use this one
// walk. It checks checksums, positions, batch bounds, footers and the order of segments; what the
// frames mean is left to the caller. Used by one thread at a time.
//
// A scan that reached the end may go on later: it then sees what a live writer added.
#ifndef CHAIN_SCAN_H
#define CHAIN_SCAN_H

#include "chain/format.h"

enum { SEGMENT_NAME_BYTES = 64 };

// Where and why a log is not as it should be.
struct damage {
    char segment[SEGMENT_NAME_BYTES];  // file name
    uint64_t offset;                   // in the file
    char reason[256];
    bool has_frame;      // the header of the damaged frame could be read, and says:
    struct frame frame;  // body is within the scan's batch, or NULL
    uint64_t body_left;  // bytes of the body that are there
};

struct scan {
    // Settings.
    const char *folder;
    bool with_digest;  // compute and compare digests (one SHA-256 pass over everything)
    bool
        is_following;  // zeros where the next batch will begin are the end: do not look behind them

    // The segment being read; number 0 before the first.
    uint32_t number;
    uint32_t last;         // the walk ends when this one is finished; 0: with the log
    int file;              // -1 when none is open
    uint32_t file_number;  // the segment that it is
    uint64_t file_bytes;
    uint64_t base;           // position of its first batch
    uint64_t footer_offset;  // 0 while it is not sealed
    bool is_finished;        // its footer was passed
    // For reading on behind damage (salvage.c): the place of the next segment is not known; this
    // one's trailer is not trusted; not all of it was seen, so its footer cannot fit.
    bool knows_position;
    bool ignores_footer;
    bool is_lossy;

    // Where the next batch begins.
    uint64_t offset;    // in the file
    uint64_t position;  // in the log
    uint64_t durable;   // the largest that a batch stated: everything before it was synced
    uint64_t previous_batch;
    bool has_previous_batch;            // it is known
    uint64_t segment_previous;          // previous_batch as it was at `base`
    struct segment_sum sum;             // of the segment so far; digest only with_digest
    uint8_t next_digest[SHA256_BYTES];  // that the next segment's header must hold
    bool has_next_digest;

    // The batch whose frames are being given.
    struct buf batch;
    size_t at;
    struct buf hashes;  // only with_digest: what batch_digest takes, then
    size_t hash_at;     // where the next frame's hash is
    uint64_t batch_position;
    uint64_t batch_offset;
    size_t good_bytes;  // of a damaged batch: the frames in them are intact
    bool is_damaged;    // the batch ends in damage, reported when its good frames are given

    // At the end: bytes behind the last good batch of the last segment that are no batch yet. A
    // writer's unfinished work, or what a crash left.
    bool has_tail;
    struct damage damage;
};

typedef enum scan_result {
    SCAN_FRAME,    // *frame is an event or actor frame
    SCAN_END,      // nothing more now
    SCAN_DAMAGED,  // scan->damage says where
    SCAN_FAILED,   // *error says what could not be read
} scan_result;

// Scans the segments of `folder` (kept until scan_release) from the first one; `with_digest` also
// sums up what is read.
void scan_init(struct scan *scan, const char *folder, bool with_digest);
// After scan_init: begins with segment `number`, whose first batch is at position `base`. What a
// segment says of the one before it is not looked at then.
void scan_begin_at(struct scan *scan, uint32_t number, uint64_t base);
void scan_release(struct scan *scan);
// After scan_init: begins behind a checkpoint.
struct checkpoint;
void scan_begin_behind(struct scan *scan, const struct checkpoint *at);
// Gives the next event or actor frame; its body borrows until the next call.
enum scan_result scan_next(struct scan *scan, struct frame *frame, struct error *error);
// File offset of a frame of the current batch.
static inline uint64_t scan_offset_of(const struct scan *scan, uint64_t position) {
    return scan->batch_offset + (position - scan->batch_position);
}
// Whether any batch frame behind `offset`, which is that of `position` and of scan->offset, says
// that the position was durable: then what is broken there is damage, not a write that a crash cut
// off.
enum status scan_says_durable(struct scan *scan, uint64_t offset, uint64_t position,
                              bool *is_durable, struct error *error) MUST_CHECK;
// What a sealed segment says of itself, in header and footer, which are intact and fit each other.
struct segment_claim {
    struct segment_header header;
    struct segment_sum sum;
};
// ERR_NOT_FOUND when there is no such file, ERR_DAMAGED when it is no sealed segment.
enum status segment_look(const char *folder, uint32_t number, struct segment_claim *claim,
                         struct error *error) MUST_CHECK;
// Turns scan->damage into ERR_DAMAGED with folder, file and offset.
enum status scan_damage_error(const struct scan *scan, struct error *error);

// "00000001.log"
void segment_name(uint32_t number, char out[SEGMENT_NAME_BYTES]);
// Opens a segment for reading: descriptor, -1 when it does not exist (*error clear), -2 on failure.
int segment_open(const char *folder, uint32_t number, struct error *error);
// Largest and smallest segment number in the folder, 0 and 0 when there is none. Other files are
// passed over.
enum status segment_range(const char *folder, uint32_t *first, uint32_t *last,
                          struct error *error) MUST_CHECK;
// The smallest segment number above `number`, 0 when there is none.
enum status segment_after(const char *folder, uint32_t number, uint32_t *next,
                          struct error *error) MUST_CHECK;
// Reads up to `size` bytes at `offset`, short only at the end of the file.
enum status read_at(int file, uint64_t offset, uint8_t *out, size_t size, size_t *got,
                    struct error *error) MUST_CHECK;

#endif

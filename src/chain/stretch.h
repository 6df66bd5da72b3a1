// SPDX-License-Identifier: Apache-2.0
// A stretch of the log, front to back: the frames from one position to another, all of them
// written, read from the segments without holding a lock. For subscriptions.
#ifndef CHAIN_STRETCH_H
#define CHAIN_STRETCH_H

#include "chain/state.h"

struct stretch {
    struct chain_log *log;
    uint64_t position;  // of the next frame
    uint64_t limit;     // end of the stretch; a batch ends there
    // The segment that is open.
    int file;  // -1: none
    uint32_t number;
    uint64_t base;
    uint64_t end;
    struct buf bytes;  // of it, from `start` on
    uint64_t start;    // a position
};

// From `position`, where a frame begins, to `limit`, which is written.
struct stretch stretch_of(struct chain_log *log, uint64_t position, uint64_t limit);
void stretch_release(struct stretch *stretch);
// Gives the next frame, intact; its body borrows until the next call. *more is false at the end.
enum status stretch_next(struct stretch *stretch, struct frame *frame, bool *more,
                         struct error *error) MUST_CHECK;
// Moves to the first frame at or behind `position`, which lies in the stretch. ERR_NOT_FOUND when
// the log does not begin before it any more.
enum status stretch_seek(struct stretch *stretch, uint64_t position,
                         struct error *error) MUST_CHECK;
// Where the first segment begins that may hold an event at or after `time_ns`, as its footer says;
// the last one has none.
enum status stretch_seek_time(struct chain_log *log, uint64_t time_ns, uint64_t *position,
                              struct error *error) MUST_CHECK;

#endif

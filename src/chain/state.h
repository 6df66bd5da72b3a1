// SPDX-License-Identifier: Apache-2.0
// What the files of this room share: the log's state and who may touch it.
//
// Locks, in the order in which they are taken:
//   registry  ids, numbers, and the scan of a read-only log
//   lock      buffers, positions, the writer's and the syncer's state
// An appender reserves room under `lock`, fills it without a lock and adds what it filled to
// buffer->filled; the writer writes a buffer only when all that was reserved is filled.
#ifndef CHAIN_STATE_H
#define CHAIN_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/map.h"
#include "chain/chain.h"
#include "chain/disk.h"
#include "chain/format.h"
#include "chain/scan.h"

// One chain of the log. Never freed before the log.
struct chain_actor {
    // Of the last event frame, NO_POSITION before the first. Stored with release when the frame is
    // complete, by the owner of the head; loaded with acquire by readers, who then see the frame.
    _Atomic uint64_t last_position;
    uint32_t number;  // 0 until its first event was appended; written under `registry`
    uint32_t hash;    // of the id, for the table
    uint8_t nonce[CHAIN_NONCE_BYTES];
    uint8_t id_bytes;
    char id[];
};

// One of the two buffers: a batch in the making.
struct log_buffer {
    uint8_t *data;  // begins with room for the batch frame
    uint64_t capacity;
    uint64_t used;
    uint64_t position;       // of data[0]
    uint64_t opened_ns;      // when its first frame came
    bool is_framed;          // has its batch frame; only the writer's
    struct segment_sum sum;  // events and times
    // What batch_digest takes: room for the batch frame's body, then a hash per frame, which
    // whoever appends it writes.
    uint8_t *hashes;
    uint64_t frames;
    // Bytes, as `used`, that appenders have written of what they reserved: raised with release when
    // a frame is complete; the writer's acquire load of `used` sees them all.
    _Atomic uint64_t filled;
};

struct log_segment {
    uint32_t number;
    uint32_t generation;  // counts the files that had this name
    uint64_t base;
};

struct chain_log {
    // Fixed after open.
    char *folder;
    uint64_t segment_bytes;
    uint64_t buffer_bytes;
    uint64_t flush_interval_ns;
    uint64_t pending_most_bytes;
    uint64_t behind_bytes;  // from here on is_behind
    bool is_read_only;
    bool no_sync;
    bool is_inline;
    const struct chain_disk *disk;
    struct env *env;
    enum status (*before_sync)(void *context, struct error *error);  // may be NULL
    void *before_sync_context;
    bool (*is_whole)(void *context, struct slice data);  // may be NULL
    void *is_whole_context;
    struct checkpointer *checkpointer;  // keeps the catalogue up; NULL: there is none
    pthread_t writer_thread;
    pthread_t sync_thread;
    bool has_writer;  // its threads run, or it is inline

    // Guarded by `registry`.
    pthread_mutex_t registry;
    struct arena records;        // every struct chain_actor
    struct chain_actor **table;  // by hash of the id
    uint32_t table_capacity;     // a power of two
    uint32_t table_count;
    struct chain_actor **actors;  // by number - 1
    uint64_t actor_count;
    uint64_t actor_capacity;
    struct scan scan;  // kept open by a read-only log to follow a live writer

    // Guarded by `lock`.
    pthread_mutex_t lock;
    pthread_cond_t wake_writer;
    pthread_cond_t wake_sync;
    pthread_cond_t progress;  // written, synced, room or an error
    pthread_cond_t grown;     // written or synced: for subscribers (subscribe.c)
    struct log_buffer buffers[2];
    struct log_buffer *active;  // frames go here
    struct log_buffer *full;    // for the writer; NULL: the other buffer is free
    uint64_t written;
    uint64_t synced;
    _Atomic uint64_t synced_seen;  // `synced`, for those without `lock`
    struct chain_watch *watches;   // by position
    struct chain_watch *last_watch;
    uint32_t watches_called;  // are being
    bool watches_ended;       // nobody is to be waited for any more
    uint64_t event_count;
    uint64_t sync_count;
    uint64_t writer_cpu_ns;
    uint64_t sync_cpu_ns;
    bool flush_now;          // somebody waits for what is in the active buffer
    bool is_stopping;        // set by close
    bool is_syncing;         // the syncer uses `file`
    bool is_rolling;         // the writer is about to change `file`
    _Atomic bool is_behind;  // written with `lock` held; relaxed: a hint that orders nothing
    bool writer_ended;
    bool is_broken;              // the current segment needs a new file: see segment.c
    struct error standing;       // why nothing is written for now; code OK while all is well
    uint64_t standing_since_ns;  // by the system's monotonic clock
    uint64_t retry_ns;           // how long to wait before the next try
    uint64_t stand_count;
    struct error failure;  // there is nothing left to try; stays
    struct log_segment *segments;
    uint64_t segment_count;
    uint64_t segment_capacity;
    int file;  // the segment being written, -1: none; changed by the writer under `lock`

    // Only the writer (and open, before it starts).
    uint32_t segment_number;  // of `file`, or the last one sealed
    uint64_t segment_base;
    uint64_t segment_room;  // batches may fill this many bytes of the file
    uint64_t previous_batch;
    uint64_t segment_previous;             // previous_batch as it was at segment_base
    uint8_t segment_digest[SHA256_BYTES];  // digest of the log there
    struct segment_sum sum;                // of the segment; sum.digest runs on over segments
};

// ---- registry.c, with `registry` held or before the log is shared ------------------------------

// NULL if there is none.
struct chain_actor *registry_find(const struct chain_log *log, const char *id);
// Makes an actor without a number, or gives the new one its number (from 1, in order of the log).
struct chain_actor *registry_add(struct chain_log *log, const char *id,
                                 const uint8_t nonce[CHAIN_NONCE_BYTES]);
void registry_number(struct chain_log *log, struct chain_actor *actor);
// Frees all chains.
void registry_reset(struct chain_log *log);

// ---- log.c -------------------------------------------------------------------------------------

// With `lock` held, or before the threads run.
void segments_add(struct chain_log *log, uint32_t number, uint64_t base);

// ---- recover.c ---------------------------------------------------------------------------------

// Takes over the frames that log->scan gives next, up to the end. With `registry` held, or before
// the log is shared.
enum status log_follow(struct chain_log *log, struct error *error) MUST_CHECK;
// After log_follow: cuts the torn tail of the last segment, if there is one, and seals it.
// Copies what lies in `file`, of segment `number`, from `offset` to its last byte that is not zero
// into a file of its own, on disk before this returns, and says `why`. *kept is the number of
// bytes, 0 when all were zero.
enum status keep_aside(struct chain_log *log, int file, uint32_t number, uint64_t offset,
                       const char *why, uint64_t *kept, struct error *error) MUST_CHECK;
// Descriptor, or -1, with an error unless there is no such file; free *path.
int open_to_write(struct chain_log *log, uint32_t number, char **path, struct error *error);
enum status log_repair(struct chain_log *log, struct error *error) MUST_CHECK;

// ---- trim.c ------------------------------------------------------------------------------------

// Before the log is followed, to be written: cuts events from its end that refer to what a power
// loss took.
enum status log_trim(struct chain_log *log, struct error *error) MUST_CHECK;

// ---- writer.c ----------------------------------------------------------------------------------

// How long appends and waits are patient with a log that stands, before they fail.
#define STAND_PATIENCE_NS UINT64_C(1000000000)

enum status writer_start(struct chain_log *log, struct error *error) MUST_CHECK;
// Flushes, ends both threads and seals. Returns why it could not, if so.
enum status writer_stop(struct chain_log *log, struct error *error) MUST_CHECK;
// With `lock` held and log->full NULL: gives the active buffer to the writer.
void writer_swap(struct chain_log *log);
// With `lock` held: tells who waits for progress.
void note_progress(struct chain_log *log);
// With `lock` held: waits for progress, or makes some if there are no threads to do it.
void wait_for_progress(struct chain_log *log);
// With `lock` held: ERR_IO when the log failed, or has stood for longer than one is patient.
enum status check_standing(const struct chain_log *log, struct error *error) MUST_CHECK;
// With `lock` held, which is given away meanwhile: calls the watches that are due (watch.c).
void watches_call(struct chain_log *log);
// What the threads do, once, for a log without: writes what there is, syncs what is written. False
// when there was nothing to do or it could not be done.
bool writer_step(struct chain_log *log);
bool sync_step(struct chain_log *log);

// ---- segment.c, for the writer -----------------------------------------------------------------

// Makes the next segment with room for a batch of `size` bytes; log->file is it.
enum status segment_create(struct chain_log *log, uint64_t size, struct error *error) MUST_CHECK;
// Ends the current segment: everything in it is on disk afterwards, so that the next one never
// holds durable events above a gap. On failure the segment is broken, and *is_final says whether
// that stays. log->file is -1.
// Sealed segments whose pages stay in the page cache, for readers of recent events.
enum { CACHED_SEGMENTS = 4 };
void segment_uncache(const struct chain_log *log, uint32_t number);
enum status segment_finish(struct chain_log *log, bool *is_final, struct error *error) MUST_CHECK;
// Puts on disk what events refer to: all those that were appended before this was called. After an
// error it never will.
enum status sync_contents(const struct chain_log *log, struct error *error) MUST_CHECK;
// The current segment's file is not to be used any more.
void segment_break(struct chain_log *log);
// Copies what was written to the broken segment into a new file, which takes its place; all of it
// is synced then. *is_final: there is no use in trying again.
enum status segment_replace(struct chain_log *log, bool *is_final, struct error *error) MUST_CHECK;
// Closes the file as it is.
void segment_abandon(struct chain_log *log);
// Removes what a crash in the making of a segment left.
void segment_remove_unfinished(struct chain_log *log);
// Brings what a file holds from `offset` on to the disk, whatever became of it before: a kill may
// have left it unsynced, or synced in vain.
enum status segment_settle(const struct chain_log *log, int file, uint64_t offset,
                           struct error *error) MUST_CHECK;
// Writes footer and trailer at `offset`, trims and (unless no_sync) syncs.
enum status segment_seal(const struct chain_log *log, int file, uint32_t number,
                         const struct segment_sum *sum, uint64_t offset,
                         struct error *error) MUST_CHECK;

// ---- reader.c ----------------------------------------------------------------------------------

// The last segment that begins at or before `position`. With `lock` held; false if there is none.
bool find_segment(const struct chain_log *log, uint64_t position, struct log_segment *segment);

// A file window that frames are read through, owned by a reader.
struct window {
    uint32_t number;  // segment, 0: none open
    uint32_t generation;
    int file;
    uint64_t start;  // file offset of bytes.data[0]
    uint64_t limit;  // file offset up to which the log is known to be written
    struct buf bytes;
    uint64_t loads;  // how often bytes were filled
    bool is_sparse;  // what was read last served one frame only: read less
};
void window_release(struct window *window);
// Gives the frame at `position`, checked; borrows from the window until the next call. `backward`
// says that the next one wanted lies before it.
enum status window_frame(struct chain_log *log, struct window *window, uint64_t position,
                         bool backward, struct frame *frame, struct error *error) MUST_CHECK;

#endif

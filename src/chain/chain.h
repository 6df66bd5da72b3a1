// SPDX-License-Identifier: Apache-2.0
// The chain: one hash chain per actor, all in one append-only log on disk
// (docs/formats/chain.md draws the format, with test vectors).
//
//   chain_append hashes an event onto its actor's head and copies the frame into the log's
//   buffer; one writer thread gives full or aged buffers to the disk (group commit).
//
// The room takes bytes and a type; what an event says is decided by the actor room.
// Event hash = SHA-256(parent hash || event bytes), event bytes = deterministic CBOR (RFC 8949,
// 4.2) of [format, seq, time_ns, type, data]; genesis parent = SHA-256("theater-chain-1" || id ||
// nonce), the 16-byte nonce being in event 0's data.
#ifndef CHAIN_CHAIN_H
#define CHAIN_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/env.h"
#include "base/status.h"
#include "codec/sha256.h"

enum {
    CHAIN_ID_MOST_BYTES = 128,
    CHAIN_NONCE_BYTES = 16,
    CHAIN_FRAME_BYTES = 24 + SHA256_BYTES,  // that an event takes in the log beside its own bytes
    CHAIN_DATA_MOST_BYTES = 128 << 20,      // of one event
};

struct chain_log;
struct chain_actor;
struct chain_disk;

struct chain_log_config {
    const char *folder;           // holds the segments; created with mode 0700
    uint64_t segment_bytes;       // 0: 64 MiB
    uint64_t buffer_bytes;        // each of the two buffers; 0: 8 MiB
    uint64_t flush_interval_ns;   // longest stay in a buffer before write; 0: 5 ms
    uint64_t pending_most_bytes;  // appended but not yet synced; above it appends wait; 0: 256 MiB
    bool read_only;               // readers beside a live node: no writer, no repair
    bool no_sync;                 // level `memory` tests and benches: write without fdatasync
    // Opens with the log's catalogue (folder/index/catalogue.db) where there is one, so that only
    // what came after its checkpoint is read, and (unless read_only) keeps it up.
    bool with_catalogue;
    // Written and synced by whoever appends or waits instead of by threads: for simulations.
    bool is_inline;
    const struct chain_disk *disk;  // NULL: the operating system's; see chain/disk.h
    struct env *env;
    // Called before events that were written are synced, on the thread that does it: puts on disk
    // what they refer to outside of the log. After an error the log fails as it does when it cannot
    // be synced itself. NULL: nothing is to be done. Not with `no_sync`.
    enum status (*before_sync)(void *context, struct error *error);
    void *before_sync_context;
    // Whether what an event refers to is there: asked, when a log that was not closed is opened to
    // be written, of the events in its last segment. From the first that is not whole on they are
    // cut off like an unfinished batch, unless the log says that they were durable. NULL: all are.
    bool (*is_whole)(void *context, struct slice data);
    void *is_whole_context;
};

// Opens or creates the log: reads the frames behind the catalogue's checkpoint (of every segment
// without one) to find the chains' ends, cuts a torn tail of the last segment (keeping what was cut
// in a side file), reports damage elsewhere, and a log that lacks what the catalogue knows, as
// ERR_DAMAGED with file and offset, and actor and event where they can be told. ERR_BUSY never: the
// data folder's lock belongs to the node room.
enum status chain_log_open(const struct chain_log_config *config, struct chain_log **out,
                           struct error *error) MUST_CHECK;
// Writes and syncs everything, ends the writer, seals the last segment, frees. ERR_IO when the disk
// would not take it; what was acknowledged as synced is there all the same.
enum status chain_log_close(struct chain_log *log, struct error *error);

// The end of one actor's chain. Owned by the actor; used by one thread at a time.
struct chain_head {
    const char *id;              // lasts as long as the log
    uint64_t next_seq;           // 0: no event yet
    uint64_t last_time_ns;       // times never go back within a chain
    uint64_t last_position;      // log position of its last frame, UINT64_MAX if none
    uint32_t actor_number;       // the log's short name for the id
    uint8_t hash[SHA256_BYTES];  // of the last event, or the genesis parent
    struct chain_actor *record;  // the log keeps it; not for the caller
};

// Finds the chain of `id` in the log, or makes an empty head with a fresh nonce (which the caller
// puts into event 0: *nonce). *found says which. ERR_INVALID for an id that is not 1–128 of
// [A-Za-z0-9._-].
enum status chain_head_open(struct chain_log *log, const char *id, struct chain_head *head,
                            uint8_t nonce[CHAIN_NONCE_BYTES], bool *found,
                            struct error *error) MUST_CHECK;
// The nonce of its chain, CHAIN_NONCE_BYTES; zeros for a head of no log. Borrows.
struct slice chain_head_nonce(const struct chain_head *head);

// Appends one event: `data` is one deterministic CBOR item, `type` 1–64 bytes of UTF-8. Updates the
// head. *position (may be NULL) is the log position behind the event, for chain_wait. Never on a
// fiber; any thread, a head by one at a time. Waits when pending_most_bytes is reached. While the
// log stands (the disk is full or fails) events are taken as long as the buffers have room, and
// after that ERR_IO names the folder and the reason; the head is unchanged then.
enum status chain_append(struct chain_log *log, struct chain_head *head, const char *type,
                         struct slice data, uint64_t *position, struct error *error) MUST_CHECK;

// Whether so much waits to be synced that who can should append nothing for now: true from three
// quarters of pending_most_bytes on until it is half of that again, and while the log stands; false
// when it will never go on. Any thread, without a lock.
bool chain_is_behind(const struct chain_log *log);

enum chain_level { CHAIN_WRITTEN, CHAIN_SYNCED };
// Waits until everything before `position` was given to write(), or synced. Not on a fiber. ERR_IO
// when the log has stood for a second or more: it may be done later, or never.
enum status chain_wait(struct chain_log *log, uint64_t position, enum chain_level level,
                       struct error *error) MUST_CHECK;

// Whether everything before `position` is on disk. Any thread, without a lock.
bool chain_is_synced(const struct chain_log *log, uint64_t position);
// For who may not block: `reached` is called once, as soon as everything before `position` is on
// disk, or, with is_synced false, when it will never be. With no lock held, on the log's threads or
// within chain_watch_sync; must not block. The watch is the log's until then.
struct chain_watch {
    uint64_t position;
    void (*reached)(struct chain_watch *watch, bool is_synced);
    struct chain_watch *next;  // the log's
};
void chain_watch_sync(struct chain_log *log, struct chain_watch *watch);
// Waits for all watches, but not for a log that stands for longer than a second: then they, and all
// later ones whose position is not synced, are told that they will never be. Before what they would
// wake is freed.
void chain_watches_end(struct chain_log *log);

struct chain_stats {
    uint64_t events, bytes, written_bytes, synced_bytes, syncs, writer_cpu_ns;
    uint64_t stands;       // how many times the disk made the log stand
    bool is_standing;      // it does now, or for good
    char reason[256];      // why; "" when it does not
    uint64_t standing_ns;  // since when, in time of the monotonic clock
};
// Any thread.
void chain_log_stats(struct chain_log *log, struct chain_stats *out);

// ---- reading -----------------------------------------------------------------------------------

// One decoded event; slices borrow from the reader until the next call.
struct chain_event {
    uint64_t seq;
    uint64_t time_ns;
    struct slice type;
    struct slice data;   // the CBOR item
    struct slice bytes;  // the hashed bytes
    uint8_t parent[SHA256_BYTES];
    uint8_t hash[SHA256_BYTES];
    const char *id;     // of its chain; lasts as long as the reader, or the visit
    uint64_t position;  // in the log
};

// Ids in the log, in order of their first event. Gives an array of `*count` strings; free each and
// the array. Works on a live log and on a read-only one.
enum status chain_list(struct chain_log *log, char ***ids, uint64_t *count,
                       struct error *error) MUST_CHECK;

struct chain_reader;
// Reads one actor's events in order from sequence `from`, events still in the buffers included.
enum status chain_reader_open(struct chain_log *log, const char *id, uint64_t from,
                              struct chain_reader **out, struct error *error) MUST_CHECK;
// The same from `count` events before the present end (from the beginning, if there are fewer):
// reads no more than those.
enum status chain_reader_open_last(struct chain_log *log, const char *id, uint64_t count,
                                   struct chain_reader **out, struct error *error) MUST_CHECK;
// *more is false at the end. ERR_DAMAGED names segment file and offset.
enum status chain_reader_next(struct chain_reader *reader, struct chain_event *event, bool *more,
                              struct error *error) MUST_CHECK;
void chain_reader_close(struct chain_reader *reader);

// Events by their positions, as chain_visit_from and others give them. Used by one thread at a
// time.
struct chain_at;
struct chain_at *chain_at_open(struct chain_log *log);
// The event's hash is left alone, its id is NULL; slices borrow until the next call. ERR_DAMAGED
// when there is no intact event at the position.
enum status chain_at_event(struct chain_at *at, uint64_t position, struct chain_event *event,
                           struct error *error) MUST_CHECK;
void chain_at_close(struct chain_at *at);

// Calls `visit` for every event of every chain, in the order of the log; its hash is left alone.
// From the files alone, so what a live node did not write yet is missing. An error of `visit` ends
// it. ERR_DAMAGED names file and offset; unfinished bytes at the end of the log are none.
typedef enum status (*chain_visit_fn)(void *context, const struct chain_event *event,
                                      struct error *error);
enum status chain_visit_log(const char *folder, chain_visit_fn visit, void *context,
                            struct error *error) MUST_CHECK;
// The same for an open log, beginning with the first event whose position is at or behind `from`:
// what lies before is not read, but for the part of `from`'s segment before it. Whoever has seen an
// event goes on with its position + 1. ERR_INVALID when the log ends before `from`. Any thread; the
// visit must not append.
enum status chain_visit_from(struct chain_log *log, uint64_t from, chain_visit_fn visit,
                             void *context, struct error *error) MUST_CHECK;

struct chain_verdict {
    uint64_t events;  // verified
    uint64_t chains;  // seen
    // Of these (signatures, src/chain/sign.h). The last two are of the chain asked for, or the only
    // one: the last event that was signed, UINT64_MAX if none was, and by which key.
    uint64_t signed_chains;
    uint64_t signed_seq;
    uint8_t signed_key[32];
    bool is_good;
    char actor[CHAIN_ID_MOST_BYTES + 1];  // of the first bad event, "" if it cannot be told
    uint64_t seq;                         // its sequence number, UINT64_MAX if it cannot be told
    char segment[64];                     // file name
    uint64_t offset;                      // in the file
    char reason[256];
};
// Verifies every chain in the log (id NULL) or one, from the files alone: frame checksums, sequence
// numbers, parent links, hashes, segment footers, and the heads that were signed or that the
// catalogue knows, if there are any. A bad event is a verdict, not an error; a catalogue that
// cannot be read is neither, the verdict's reason says so.
enum status chain_verify(const char *folder, const char *id, struct chain_verdict *verdict,
                         struct error *error) MUST_CHECK;
// Appends "FILE at byte N: actor A, event E: REASON" for a bad verdict, what cannot be told left
// out.
void chain_verdict_text(const struct chain_verdict *verdict, struct buf *out);

// One thing that a damaged log lacks.
struct chain_loss {
    char segment[64];    // file name, "" when it is not a place in a file
    uint64_t offset;     // in the file
    uint64_t end;        // behind it, UINT64_MAX: the rest of the file
    const char *id;      // of the chain that misses events first_seq to last_seq, or NULL
    uint64_t first_seq;  // UINT64_MAX when it cannot be told
    uint64_t last_seq;
    char reason[256];
};
typedef void (*chain_loss_fn)(void *context, const struct chain_loss *loss);
// Reads a log that may be damaged, from its files alone: calls `visit` for each event that is still
// whole, in the order of the log, and `lose` for each damage and for events that are missing in
// between. A chain whose id is lost is called "?" and its number. Events are checked by their
// checksums, not against each other: chain_verify does that. Changes nothing.
enum status chain_salvage(const char *folder, chain_visit_fn visit, chain_loss_fn lose,
                          void *context, struct error *error) MUST_CHECK;

// One JSON object per event, one line each: {"actor","seq","time","type","hash","parent","data"},
// data as JSON (byte strings {"hex"} or text when they are UTF-8, see docs/formats/chain.md).
void chain_event_json(const char *id, const struct chain_event *event, struct buf *out);

#endif

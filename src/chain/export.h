// SPDX-License-Identifier: Apache-2.0
// Chain files: one chain, or a part of it, in a file that can be carried to another machine and
// verified there alone (docs/formats/chain.md, "Chain file"). Both directions stream: no more than
// one item is in memory, and 48 bytes for each content.
//
// A reader checks everything on its way: each event it gives continues the one before, each content
// has its hash, each signature is of the event it stands behind. A writer trusts its caller.
#ifndef CHAIN_EXPORT_H
#define CHAIN_EXPORT_H

#include "chain/chain.h"
#include "chain/sign.h"

enum { CHAIN_CONTENT_MOST_BYTES = 1 << 30 };

struct chain_file_header {
    char id[CHAIN_ID_MOST_BYTES + 1];
    uint8_t nonce[CHAIN_NONCE_BYTES];
    uint64_t first;                // sequence number of the first event
    uint8_t parent[SHA256_BYTES];  // its parent hash
};

// ---- writing -----------------------------------------------------------------------------------

struct chain_file_writer;

// Gives a writer of the file `descriptor`, from where it stands; the caller syncs and closes that.
// `name` is for errors; both outlive the writer.
struct chain_file_writer *chain_file_begin(int descriptor, const char *name,
                                           const struct chain_file_header *header);
// The events in their order.
enum status chain_file_put_event(struct chain_file_writer *writer, const struct chain_event *event,
                                 struct error *error) MUST_CHECK;
// Whether the content was put, or called missing, before. What is will not be put again.
bool chain_file_has_content(const struct chain_file_writer *writer,
                            const uint8_t hash[SHA256_BYTES]);
// A content goes before the first event that refers to it. ERR_LIMIT above
// CHAIN_CONTENT_MOST_BYTES.
enum status chain_file_put_content(struct chain_file_writer *writer,
                                   const uint8_t hash[SHA256_BYTES], struct slice content,
                                   struct error *error) MUST_CHECK;
// Says that an event refers to a content that is not in the file.
enum status chain_file_put_missing(struct chain_file_writer *writer,
                                   const uint8_t hash[SHA256_BYTES],
                                   struct error *error) MUST_CHECK;
// A signature of the event that was put last.
enum status chain_file_put_signature(struct chain_file_writer *writer,
                                     const struct chain_signature *signature,
                                     struct error *error) MUST_CHECK;
// Ends the file, so that a shortened one is told from a whole one, and frees the writer.
enum status chain_file_end(struct chain_file_writer *writer, struct error *error) MUST_CHECK;
// Frees without ending; NULL is fine.
void chain_file_abandon(struct chain_file_writer *writer);

// ---- reading -----------------------------------------------------------------------------------

struct chain_file;

// What was read so far.
struct chain_file_tally {
    uint64_t events;
    uint64_t contents;           // in the file
    uint64_t missing;            // referred to and not in it
    uint64_t next_seq;           // behind the last event
    uint64_t last_time_ns;       // of the last event
    uint8_t head[SHA256_BYTES];  // hash of the last event, or the first one's parent
    uint64_t signatures;
    struct chain_signature last_signature;  // of the highest event, when there are any
};

// Opens a regular file and reads its header. ERR_INVALID when it is no chain file, ERR_DAMAGED with
// the file and the offset for anything else that is wrong. One thread at a time.
enum status chain_file_open(const char *path, struct chain_file **out,
                            struct error *error) MUST_CHECK;
const struct chain_file_header *chain_file_header(const struct chain_file *file);
// Gives the next event, without a position; slices borrow until the next call. *more is false at
// the end, which is behind a proper trailer: a file that lacks one is damaged. ERR_DAMAGED names
// file, offset and event.
enum status chain_file_next(struct chain_file *file, struct chain_event *event, bool *more,
                            struct error *error) MUST_CHECK;
const struct chain_file_tally *chain_file_tally(const struct chain_file *file);
// Gives a content that an event given so far refers to, read again from the file. ERR_NOT_FOUND
// when the file does not hold it, ERR_LIMIT above `limit_bytes`.
enum status chain_file_content(struct chain_file *file, const uint8_t hash[SHA256_BYTES],
                               uint64_t limit_bytes, struct bytes **out,
                               struct error *error) MUST_CHECK;
// Calls `visit` for each content of what was read so far, in their order; an error of it ends that.
typedef enum status (*chain_file_content_fn)(void *context, const uint8_t hash[SHA256_BYTES],
                                             struct error *error);
enum status chain_file_visit_contents(struct chain_file *file, chain_file_content_fn visit,
                                      void *context, struct error *error) MUST_CHECK;
// Calls `visit` for each signature as it is read, from the next chain_file_next on.
typedef enum status (*chain_file_signature_fn)(void *context,
                                               const struct chain_signature *signature,
                                               struct error *error);
void chain_file_on_signature(struct chain_file *file, chain_file_signature_fn visit, void *context);
void chain_file_close(struct chain_file *file);

// Whether the file at `path` begins as a chain file does.
bool chain_file_is_one(const char *path);

// Reads the whole file. What is wrong in it is a verdict with its offset, and not an error; what
// cannot be read is one. `tally` (may be NULL) says what it holds.
enum status chain_file_verify(const char *path, struct chain_verdict *verdict,
                              struct chain_file_tally *tally, struct error *error) MUST_CHECK;

// ---- appending what a file holds ---------------------------------------------------------------

// Appends to `log` the events of `file` that its chain lacks. The chain must be absent (then the
// file must begin with event 0), or what both have must be the same: ERR_EXISTS names the first
// event that differs, ERR_INVALID says which events are lacking in between. The events that both
// have are compared by hash. `env` is the log's (chain_log_config.env), seeded, for their times.
// *appended may be 0. Not while anything else appends to that chain.
enum status chain_import(struct chain_log *log, struct env *env, struct chain_file *file,
                         uint64_t *appended, struct error *error) MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
// The rows of the log's catalogue, log/index/catalogue.db (docs/formats/chain.md): what stood in
// the log at a checkpoint, the end of a sealed segment. All of it is derived from the segments;
// what it adds is that it can be read quickly, and that it still knows how far the log went when
// segments are gone. Used by one thread at a time.
#ifndef CHAIN_ROWS_H
#define CHAIN_ROWS_H

#include "chain/scan.h"
#include "store/catalogue.h"

// One chain, as it was at the checkpoint.
struct chain_row {
    uint32_t number;
    char id[CHAIN_ID_MOST_BYTES + 1];
    uint8_t nonce[CHAIN_NONCE_BYTES];
    uint64_t position;  // of its last event, and that event's:
    uint64_t seq;
    uint64_t time_ns;
    uint8_t head[SHA256_BYTES];
};

struct checkpoint {
    uint32_t segment;   // the last one that it covers, 0: none, all else is as in an empty log
    uint64_t position;  // behind that
    uint64_t previous_batch;
    uint64_t chains;
    uint64_t events;
    uint8_t digest[SHA256_BYTES];
};

// Opens or (unless read_only) makes the catalogue of the log in `folder`. ERR_NOT_FOUND when there
// is none; ERR_DAMAGED or ERR_UNSUPPORTED when it cannot be used.
enum status rows_open(const char *folder, bool read_only, bool no_sync, struct catalogue **out,
                      struct error *error) MUST_CHECK;
// There is a file of its name.
bool rows_exist(const char *folder);
// Removes the catalogue's files; it is not open.
enum status rows_remove(const char *folder, struct error *error) MUST_CHECK;

// What rows_read gives: the checkpoint, then a row for each segment and for each chain, both by
// number from 1 on. A row borrows until the call returns; an error ends the reading.
struct rows_reader {
    enum status (*at)(void *context, const struct checkpoint *at, struct error *error);
    enum status (*segment)(void *context, const struct segment_claim *row, struct error *error);
    enum status (*chain)(void *context, const struct chain_row *row, struct error *error);
    void *context;
};
// ERR_DAMAGED when rows are missing or not what was written.
enum status rows_read(struct catalogue *catalogue, const struct rows_reader *reader,
                      struct error *error) MUST_CHECK;

// What a segment says of itself is what its row says.
bool rows_same_segment(const struct segment_claim *claim, const struct segment_claim *row);

// Within a session that writes; the row of the same number is replaced.
enum status rows_put_segment(struct catalogue_session *session, const struct segment_claim *row,
                             struct error *error) MUST_CHECK;
enum status rows_put_chain(struct catalogue_session *session, const struct chain_row *row,
                           struct error *error) MUST_CHECK;
enum status rows_put_checkpoint(struct catalogue_session *session, const struct checkpoint *at,
                                struct error *error) MUST_CHECK;

#endif

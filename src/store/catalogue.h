// SPDX-License-Identifier: Apache-2.0
// The catalogue: one SQLite database, catalogue.db in the data folder, for what a node must look up
// and no file's name can tell. It has a row for each store, content of a store, and label.
//
// These rows are the only place where they stand: labels cannot be made again from the log, so the
// catalogue belongs into every backup. What can be derived from the log may be added to it in later
// versions of the schema (catalogue.c, `versions`).
//
// Sessions: a connection with a transaction. Several threads may each have one at a time; those
// that write wait for each other. Readers see the catalogue as it was when they began. A commit is
// on disk when catalogue_end returns. Never on a fiber: SQLite's use of stack is not bounded by us.
//
// Errors name no path: they may reach guests.
#ifndef STORE_CATALOGUE_H
#define STORE_CATALOGUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/sha256.h"

struct catalogue;
struct catalogue_session;

struct catalogue_config {
    const char *path;
    bool read_only;  // beside a live node; ERR_NOT_FOUND when it does not exist
    bool no_sync;    // a crash of the machine may lose everything: benches and tests
    // A rollback journal instead of a write-ahead log: who only reads leaves no file behind, but
    // waits for a commit, and cannot read what a crash left in the middle of one.
    bool has_journal;
    // The schema's history: version n is what the first n texts made. Texts are never changed, only
    // added. NULL: the store's. Kept until catalogue_close.
    const char *const *versions;
    size_t version_count;
};

// The machinery serves other databases of the same kind too (the log's: chain/rows.h), which name
// their schema.

// Opens or creates it and brings its schema up to date. ERR_UNSUPPORTED when a later release wrote
// it, ERR_DAMAGED when it is no database.
enum status catalogue_open(const struct catalogue_config *config, struct catalogue **out,
                           struct error *error) MUST_CHECK;
// No session is in use any more.
void catalogue_close(struct catalogue *catalogue);

enum status catalogue_begin(struct catalogue *catalogue, bool writes,
                            struct catalogue_session **out, struct error *error) MUST_CHECK;
// Commits when `status` is OK, and gives what came of that; otherwise undoes the session's changes
// and gives `status` back.
enum status catalogue_end(struct catalogue_session *session, enum status status,
                          struct error *error) MUST_CHECK;
// Commits what was written so far and goes on, without the transaction.
enum status catalogue_commit(struct catalogue_session *session, struct error *error) MUST_CHECK;

// One statement with its parameters and rows. `sql` is a literal: it is prepared once for each
// connection and found by its address.
struct catalogue_query {
    struct catalogue_session *session;
    void *statement;
};
// A statement that cannot be prepared is a bug of ours, or damage: the first step then fails.
struct catalogue_query catalogue_query(struct catalogue_session *session, const char *sql);
// Parameters count from 1. Texts and blobs are borrowed until catalogue_done.
void catalogue_bind_number(struct catalogue_query *query, int at, uint64_t number);
void catalogue_bind_text(struct catalogue_query *query, int at, struct slice text);
void catalogue_bind_blob(struct catalogue_query *query, int at, struct slice blob);
void catalogue_bind_hash(struct catalogue_query *query, int at, const uint8_t hash[SHA256_BYTES]);
// *has_row (may be NULL) is false at the end of the rows.
enum status catalogue_step(struct catalogue_query *query, bool *has_row,
                           struct error *error) MUST_CHECK;
// Of the row; columns count from 0. Slices last until the next step.
uint64_t catalogue_number(struct catalogue_query *query, int column);
struct slice catalogue_column(struct catalogue_query *query, int column);
// ERR_DAMAGED for a column that holds anything else.
enum status catalogue_hash(struct catalogue_query *query, int column, uint8_t hash[SHA256_BYTES],
                           struct error *error) MUST_CHECK;
// The statement may be used again, by another query.
void catalogue_done(struct catalogue_query *query);
// Rows that the last statement of the session changed.
uint64_t catalogue_changes(struct catalogue_session *session);
// Runs statements without parameters and rows.
enum status catalogue_run(struct catalogue_session *session, const char *sql,
                          struct error *error) MUST_CHECK;

#endif

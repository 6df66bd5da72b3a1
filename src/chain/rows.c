// SPDX-License-Identifier: Apache-2.0
#include "chain/rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

// In a folder of its own, with the journal that SQLite puts beside it.
static const char index_folder[] = "index";
static const char file_name[] = "index/catalogue.db";

static const char *const versions[] = {
    // SQLite's numbers have 63 bits: larger ones, which no log of ours has, stand as the largest.
    "CREATE TABLE checkpoint ("
    "  segment INTEGER NOT NULL,"
    "  position INTEGER NOT NULL,"
    "  previous_batch INTEGER NOT NULL,"
    "  chains INTEGER NOT NULL,"
    "  events INTEGER NOT NULL,"
    "  digest BLOB NOT NULL,"
    "  checksum INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE segments ("
    "  number INTEGER PRIMARY KEY,"
    "  base INTEGER NOT NULL,"
    "  position INTEGER NOT NULL,"
    "  batches INTEGER NOT NULL,"
    "  events INTEGER NOT NULL,"
    "  first_time_ns INTEGER NOT NULL,"
    "  last_time_ns INTEGER NOT NULL,"
    "  digest_before BLOB NOT NULL,"
    "  digest BLOB NOT NULL"
    ") STRICT;"
    "CREATE TABLE chains ("
    "  number INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL,"
    "  nonce BLOB NOT NULL,"
    "  position INTEGER NOT NULL,"
    "  seq INTEGER NOT NULL,"
    "  time_ns INTEGER NOT NULL,"
    "  head BLOB NOT NULL,"
    "  checksum INTEGER NOT NULL"
    ") STRICT;",
};

// ---- the file ----------------------------------------------------------------------------------

enum status rows_open(const char *folder, bool read_only, bool no_sync, struct catalogue **out,
                      struct error *error) {
    char *path = file_join(folder, file_name);
    struct catalogue_config config = {.path = path,
                                      .read_only = read_only,
                                      .no_sync = no_sync,
                                      .has_journal = true,
                                      .versions = versions,
                                      .version_count = COUNT_OF(versions)};
    enum status status = OK;
    if (!read_only) {
        char *index = file_join(folder, index_folder);
        status = file_make_folders(index, 0700, error);
        free(index);
    }
    status = status == OK ? catalogue_open(&config, out, error) : status;
    free(path);
    return status;
}

bool rows_exist(const char *folder) {
    char *path = file_join(folder, file_name);
    bool is_there = access(path, F_OK) == 0;
    free(path);
    return is_there;
}

enum status rows_remove(const char *folder, struct error *error) {
    static const char *const endings[] = {"", "-journal"};
    enum status status = OK;
    for (size_t i = 0; status == OK && i < COUNT_OF(endings); i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s%s", file_name, endings[i]);
        char *path = file_join(folder, name);
        if (unlink(path) != 0 && errno != ENOENT) {
            status = error_set_os(error, errno, "cannot remove %s", path);
        }
        free(path);
    }
    return status;
}

// ---- checksums ---------------------------------------------------------------------------------

// SQLite keeps none, and a wrong position would look like a damaged log.
static uint32_t chain_checksum(const struct chain_row *row) {
    uint8_t bytes[4 + 3 * 8 + CHAIN_NONCE_BYTES + SHA256_BYTES];
    put_u32(bytes, row->number);
    put_u64(bytes + 4, row->position);
    put_u64(bytes + 12, row->seq);
    put_u64(bytes + 20, row->time_ns);
    memcpy(bytes + 28, row->nonce, CHAIN_NONCE_BYTES);
    memcpy(bytes + 28 + CHAIN_NONCE_BYTES, row->head, SHA256_BYTES);
    return crc32c(crc32c(0, slice_of(bytes, sizeof bytes)), slice_text(row->id));
}

static uint32_t checkpoint_checksum(const struct checkpoint *at) {
    uint8_t bytes[4 + 4 * 8 + SHA256_BYTES];
    put_u32(bytes, at->segment);
    put_u64(bytes + 4, at->position);
    put_u64(bytes + 12, at->previous_batch);
    put_u64(bytes + 20, at->chains);
    put_u64(bytes + 28, at->events);
    memcpy(bytes + 36, at->digest, SHA256_BYTES);
    return crc32c(0, slice_of(bytes, sizeof bytes));
}

static uint64_t storable(uint64_t number) {
    return number > INT64_MAX ? INT64_MAX : number;
}

bool rows_same_segment(const struct segment_claim *claim, const struct segment_claim *row) {
    return claim->header.number == row->header.number &&
           storable(claim->header.base) == row->header.base &&
           storable(claim->sum.end) == row->sum.end &&
           storable(claim->sum.batches) == row->sum.batches &&
           storable(claim->sum.events) == row->sum.events &&
           storable(claim->sum.first_time_ns) == row->sum.first_time_ns &&
           storable(claim->sum.last_time_ns) == row->sum.last_time_ns &&
           memcmp(claim->header.digest, row->header.digest, SHA256_BYTES) == 0 &&
           memcmp(claim->sum.digest, row->sum.digest, SHA256_BYTES) == 0;
}

// ---- reading -----------------------------------------------------------------------------------

static enum status damaged(struct error *error, const char *what, uint64_t number) {
    return error_set(error, ERR_DAMAGED, "the row of %s %" PRIu64 " is not what was written", what,
                     number);
}

static bool copy_column(struct catalogue_query *query, int column, uint8_t *out, size_t size) {
    struct slice value = catalogue_column(query, column);
    if (value.size != size) {
        return false;
    }
    memcpy(out, value.data, size);
    return true;
}

static enum status read_checkpoint(struct catalogue_session *session, struct checkpoint *at,
                                   struct error *error) {
    struct catalogue_query query =
        catalogue_query(session,
                        "SELECT segment, position, previous_batch, chains, events, digest, checksum"
                        " FROM checkpoint");
    bool has_row = false;
    *at = (struct checkpoint){.previous_batch = NO_POSITION};
    enum status status = catalogue_step(&query, &has_row, error);
    if (status == OK && has_row) {
        at->segment = (uint32_t)catalogue_number(&query, 0);
        at->position = catalogue_number(&query, 1);
        at->previous_batch = catalogue_number(&query, 2);
        at->chains = catalogue_number(&query, 3);
        at->events = catalogue_number(&query, 4);
        if (!copy_column(&query, 5, at->digest, SHA256_BYTES) ||
            catalogue_number(&query, 6) != checkpoint_checksum(at)) {
            status = damaged(error, "checkpoint", at->segment);
        }
        at->previous_batch = at->previous_batch == INT64_MAX ? NO_POSITION : at->previous_batch;
    }
    catalogue_done(&query);
    return status;
}

static enum status read_segments(struct catalogue_session *session, const struct checkpoint *at,
                                 const struct rows_reader *reader, struct error *error) {
    struct catalogue_query query = catalogue_query(
        session,
        "SELECT number, base, position, batches, events, first_time_ns, last_time_ns,"
        " digest_before, digest FROM segments ORDER BY number");
    enum status status = OK;
    bool has_row = false;
    uint32_t next = 1;
    while ((status = catalogue_step(&query, &has_row, error)) == OK && has_row) {
        struct segment_claim row = {
            .header = {.number = (uint32_t)catalogue_number(&query, 0),
                       .base = catalogue_number(&query, 1)},
            .sum = {.end = catalogue_number(&query, 2),
                    .batches = catalogue_number(&query, 3),
                    .events = catalogue_number(&query, 4),
                    .first_time_ns = catalogue_number(&query, 5),
                    .last_time_ns = catalogue_number(&query, 6)},
        };
        if (row.header.number != next || !copy_column(&query, 7, row.header.digest, SHA256_BYTES) ||
            !copy_column(&query, 8, row.sum.digest, SHA256_BYTES)) {
            status = damaged(error, "segment", next);
        } else {
            status = reader->segment(reader->context, &row, error);
        }
        if (status != OK) {
            break;
        }
        next++;
    }
    catalogue_done(&query);
    return status == OK && next - 1 != at->segment ? damaged(error, "segment", next) : status;
}

static enum status read_chains(struct catalogue_session *session, const struct checkpoint *at,
                               const struct rows_reader *reader, struct error *error) {
    struct catalogue_query query = catalogue_query(
        session,
        "SELECT number, id, nonce, position, seq, time_ns, head, checksum FROM chains"
        " ORDER BY number");
    enum status status = OK;
    bool has_row = false;
    uint32_t next = 1;
    while ((status = catalogue_step(&query, &has_row, error)) == OK && has_row) {
        struct chain_row row = {.number = (uint32_t)catalogue_number(&query, 0),
                                .position = catalogue_number(&query, 3),
                                .seq = catalogue_number(&query, 4),
                                .time_ns = catalogue_number(&query, 5)};
        struct slice id = catalogue_column(&query, 1);
        bool is_good = is_chain_id((const char *)id.data, id.size) && row.number == next &&
                       copy_column(&query, 2, row.nonce, CHAIN_NONCE_BYTES) &&
                       copy_column(&query, 6, row.head, SHA256_BYTES);
        if (is_good) {
            memcpy(row.id, id.data, id.size);
            row.id[id.size] = '\0';
        }
        if (!is_good || catalogue_number(&query, 7) != chain_checksum(&row) ||
            row.position >= at->position) {
            status = damaged(error, "chain", next);
        } else {
            status = reader->chain(reader->context, &row, error);
        }
        if (status != OK) {
            break;
        }
        next++;
    }
    catalogue_done(&query);
    return status == OK && next - 1 != at->chains ? damaged(error, "chain", next) : status;
}

enum status rows_read(struct catalogue *catalogue, const struct rows_reader *reader,
                      struct error *error) {
    struct catalogue_session *session = NULL;
    struct checkpoint at;
    enum status status = catalogue_begin(catalogue, false, &session, error);
    if (status != OK) {
        return status;
    }
    status = read_checkpoint(session, &at, error);
    if (status == OK) {
        status = reader->at(reader->context, &at, error);
    }
    if (status == OK) {
        status = read_segments(session, &at, reader, error);
    }
    if (status == OK) {
        status = read_chains(session, &at, reader, error);
    }
    return catalogue_end(session, status, error);
}

// ---- writing -----------------------------------------------------------------------------------

static enum status finish(struct catalogue_query *query, struct error *error) {
    enum status status = catalogue_step(query, NULL, error);
    catalogue_done(query);
    return status;
}

enum status rows_put_segment(struct catalogue_session *session, const struct segment_claim *row,
                             struct error *error) {
    struct catalogue_query query =
        catalogue_query(session,
                        "INSERT OR REPLACE INTO segments (number, base, position, batches, events,"
                        " first_time_ns, last_time_ns, digest_before, digest)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    catalogue_bind_number(&query, 1, row->header.number);
    catalogue_bind_number(&query, 2, storable(row->header.base));
    catalogue_bind_number(&query, 3, storable(row->sum.end));
    catalogue_bind_number(&query, 4, storable(row->sum.batches));
    catalogue_bind_number(&query, 5, storable(row->sum.events));
    catalogue_bind_number(&query, 6, storable(row->sum.first_time_ns));
    catalogue_bind_number(&query, 7, storable(row->sum.last_time_ns));
    catalogue_bind_hash(&query, 8, row->header.digest);
    catalogue_bind_hash(&query, 9, row->sum.digest);
    return finish(&query, error);
}

enum status rows_put_chain(struct catalogue_session *session, const struct chain_row *row,
                           struct error *error) {
    struct catalogue_query query = catalogue_query(
        session,
        "INSERT INTO chains (number, id, nonce, position, seq, time_ns, head, checksum)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
        " ON CONFLICT (number) DO UPDATE SET position = ?4, seq = ?5, time_ns = ?6,"
        " head = ?7, checksum = ?8");
    struct chain_row stored = *row;
    stored.position = storable(row->position);
    stored.seq = storable(row->seq);
    stored.time_ns = storable(row->time_ns);
    catalogue_bind_number(&query, 1, stored.number);
    catalogue_bind_text(&query, 2, slice_text(stored.id));
    catalogue_bind_blob(&query, 3, slice_of(stored.nonce, CHAIN_NONCE_BYTES));
    catalogue_bind_number(&query, 4, stored.position);
    catalogue_bind_number(&query, 5, stored.seq);
    catalogue_bind_number(&query, 6, stored.time_ns);
    catalogue_bind_hash(&query, 7, stored.head);
    catalogue_bind_number(&query, 8, chain_checksum(&stored));
    return finish(&query, error);
}

enum status rows_put_checkpoint(struct catalogue_session *session, const struct checkpoint *at,
                                struct error *error) {
    enum status status = catalogue_run(session, "DELETE FROM checkpoint", error);
    if (status != OK) {
        return status;
    }
    struct catalogue_query query =
        catalogue_query(session,
                        "INSERT INTO checkpoint (segment, position, previous_batch, chains, events,"
                        " digest, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    struct checkpoint stored = *at;
    stored.position = storable(at->position);
    stored.previous_batch = storable(at->previous_batch);
    catalogue_bind_number(&query, 1, stored.segment);
    catalogue_bind_number(&query, 2, stored.position);
    catalogue_bind_number(&query, 3, stored.previous_batch);
    catalogue_bind_number(&query, 4, stored.chains);
    catalogue_bind_number(&query, 5, stored.events);
    catalogue_bind_hash(&query, 6, stored.digest);
    catalogue_bind_number(&query, 7, checkpoint_checksum(&stored));
    return finish(&query, error);
}

// SPDX-License-Identifier: Apache-2.0
// Collection: what no label names and nobody keeps is removed. The hashes to keep stand in a
// temporary table, so that memory does not grow with the store. First the rows go, in one
// transaction, then the files: whatever a crash interrupts, no store names a content that is gone.
#include <stdlib.h>

#include "store/internal.h"

struct store_collection {
    struct store *store;
    struct catalogue_session *session;
    struct store_collected *result;
    bool is_trial;
};

static enum status add_labels(struct catalogue_session *session, struct error *error) {
    return catalogue_run(session,
                         "CREATE TEMP TABLE kept (hash BLOB PRIMARY KEY) WITHOUT ROWID;"
                         "INSERT OR IGNORE INTO kept SELECT hash FROM labels",
                         error);
}

enum status store_collect_begin(struct store *store, struct store_collection **out,
                                struct error *error) {
    struct store_collection *collection = xcalloc(1, sizeof *collection);
    collection->store = store;
    enum status status = catalogue_begin(store->catalogue, true, &collection->session, error);
    if (status == OK) {
        status = add_labels(collection->session, error);
        if (status != OK) {
            status = catalogue_end(collection->session, status, error);
        }
    }
    if (status != OK) {
        free(collection);
        return status;
    }
    *out = collection;
    return OK;
}

enum status store_collect_keep(struct store_collection *collection,
                               const uint8_t hash[SHA256_BYTES], struct error *error) {
    struct catalogue_query query =
        catalogue_query(collection->session, "INSERT OR IGNORE INTO kept VALUES (?)");
    catalogue_bind_blob(&query, 1, slice_of(hash, SHA256_BYTES));
    enum status status = catalogue_step(&query, NULL, error);
    catalogue_done(&query);
    return status;
}

static enum status remove_file(void *context, const uint8_t hash[SHA256_BYTES],
                               struct error *error) {
    struct store_collection *collection = context;
    struct catalogue_query query =
        catalogue_query(collection->session, "SELECT 1 FROM kept WHERE hash = ?");
    catalogue_bind_blob(&query, 1, slice_of(hash, SHA256_BYTES));
    bool is_kept = false;
    enum status status = catalogue_step(&query, &is_kept, error);
    catalogue_done(&query);
    if (status != OK) {
        return status;
    }
    uint64_t size = 0;
    (void)content_size(collection->store->contents, hash, &size);
    *(is_kept ? &collection->result->kept : &collection->result->removed) += 1;
    *(is_kept ? &collection->result->kept_bytes : &collection->result->removed_bytes) += size;
    return is_kept || collection->is_trial
               ? OK
               : content_remove(collection->store->contents, hash, error);
}

static enum status remove_rows(struct catalogue_session *session, struct error *error) {
    enum status status = catalogue_run(
        session, "DELETE FROM contents WHERE hash NOT IN (SELECT hash FROM kept)", error);
    if (status == OK) {
        status = catalogue_run(session,
                               "UPDATE stores SET (contents, bytes) = (SELECT count(*), "
                               "coalesce(sum(size), 0) FROM contents WHERE store = number)",
                               error);
    }
    return status == OK ? catalogue_commit(session, error) : status;
}

enum status store_collect_end(struct store_collection *collection, enum status status,
                              bool is_trial, struct store_collected *out, struct error *error) {
    *out = (struct store_collected){0};
    collection->result = out;
    collection->is_trial = is_trial;
    if (status == OK && !is_trial) {
        status = remove_rows(collection->session, error);
    }
    if (status == OK) {
        status = content_walk(collection->store->contents, remove_file, collection, error);
    }
    if (status == OK && !is_trial) {
        status = content_compact(collection->store->contents, error);
    }
    // The connection may be used again.
    enum status dropped = catalogue_run(collection->session, "DROP TABLE IF EXISTS kept", error);
    status = catalogue_end(collection->session, status == OK ? dropped : status, error);
    free(collection);
    return status;
}

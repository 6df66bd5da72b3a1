// SPDX-License-Identifier: Apache-2.0
// Collection of garbage: what the log refers to is kept, and what the store's labels name.
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "node/node.h"
#include "store/store.h"

static enum status keep_hash(void *context, const uint8_t hash[SHA256_BYTES], struct error *error) {
    return store_collect_keep(context, hash, error);
}

static enum status keep_event(void *context, const struct chain_event *event, struct error *error) {
    return actor_event_references(event->data, keep_hash, context, error);
}

// A log that ends before its catalogue says so lost events, which may come back from a backup: what
// they refer to stays.
static enum status check_end(const char *log, struct error *error) {
    struct chain_log_config config = {
        .folder = log, .read_only = true, .with_catalogue = true, .env = env_system()};
    struct chain_log *opened = NULL;
    enum status status = chain_log_open(&config, &opened, error);
    (void)chain_log_close(opened, NULL);
    return status;
}

// `imported` (the log of chains from elsewhere) may not exist.
static enum status collect(struct store *store, const char *log, const char *imported,
                           bool is_trial, struct store_collected *out, struct error *error) {
    struct store_collection *collection = NULL;
    enum status status = check_end(log, error);
    if (status == OK) {
        status = store_collect_begin(store, &collection, error);
    }
    if (status != OK) {
        return status;
    }
    status = chain_visit_log(log, keep_event, collection, error);
    if (status == OK && (access(imported, F_OK) == 0 || errno != ENOENT)) {
        status = chain_visit_log(imported, keep_event, collection, error);
    }
    return store_collect_end(collection, status, is_trial, out, error);
}

enum status node_collect_garbage(const char *folder, bool is_trial, struct store_collected *out,
                                 struct error *error) {
    int lock = -1;
    enum status status = node_lock_folder(folder, &lock, error);
    if (status != OK) {
        return status;
    }
    struct store_config config = {.data_folder = folder, .env = env_system()};
    struct store *store = NULL;
    char *log = file_join(folder, "log");
    char *imported = file_join(folder, "imported");
    status = store_open(&config, &store, error);
    if (status == OK) {
        status = collect(store, log, imported, is_trial, out, error);
        store_close(store);
    }
    free(log);
    free(imported);
    close(lock);
    return status;
}

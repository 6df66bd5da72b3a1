// SPDX-License-Identifier: Apache-2.0
// Appending to a log what a chain file holds. The events keep their bytes and so their hashes: the
// log takes their times from its environment, which is seeded here, and the chain its nonce from
// the file.
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "chain/export.h"
#include "chain/state.h"

struct import {
    struct chain_log *log;
    struct env *env;
    struct chain_file *file;
    struct chain_head head;
    struct chain_reader *own;  // what the log holds of it, from the file's first event on
    uint64_t appended;
};

static enum status differs(const struct import *import, uint64_t seq, struct error *error) {
    return error_set(error, ERR_EXISTS,
                     "there is a chain '%s' with another history: event %" PRIu64 " differs",
                     import->head.id, seq);
}

static enum status begin(struct import *import, struct error *error) {
    const struct chain_file_header *header = chain_file_header(import->file);
    struct chain_head *head = &import->head;
    uint8_t nonce[CHAIN_NONCE_BYTES];
    bool is_found = false;
    enum status status = chain_head_open(import->log, header->id, head, nonce, &is_found, error);
    if (status != OK) {
        return status;
    }
    if (is_found && memcmp(nonce, header->nonce, CHAIN_NONCE_BYTES) != 0) {
        return differs(import, 0, error);
    }
    if (header->first > head->next_seq) {
        return error_set(error, ERR_INVALID,
                         "the file begins with event %" PRIu64 " of '%s', and events %" PRIu64
                         " to %" PRIu64 " are not here; import those first",
                         header->first, header->id, head->next_seq, header->first - 1);
    }
    if (!is_found) {
        // Nobody else knows this chain yet: it begins as the file says.
        memcpy(head->record->nonce, header->nonce, CHAIN_NONCE_BYTES);
        memcpy(head->hash, header->parent, SHA256_BYTES);
    } else if (header->first < head->next_seq) {
        return chain_reader_open(import->log, header->id, header->first, &import->own, error);
    }
    return OK;
}

// An event that the log has already.
static enum status compare(struct import *import, const struct chain_event *event,
                           struct error *error) {
    struct chain_event own;
    bool more = false;
    enum status status = chain_reader_next(import->own, &own, &more, error);
    if (status == OK && (!more || memcmp(own.hash, event->hash, SHA256_BYTES) != 0)) {
        return differs(import, event->seq, error);
    }
    return status;
}

static enum status append(struct import *import, const struct chain_event *event,
                          struct error *error) {
    struct chain_head *head = &import->head;
    if (memcmp(event->parent, head->hash, SHA256_BYTES) != 0) {
        return differs(import, event->seq == 0 ? 0 : event->seq - 1, error);
    }
    if (event->time_ns < head->last_time_ns) {
        return error_set(error, ERR_DAMAGED, "event %" PRIu64 " is older than the one before",
                         event->seq);
    }
    char *type = xstrndup(event->type.data, event->type.size);
    import->env->wall_ns = event->time_ns;
    enum status status = chain_append(import->log, head, type, event->data, NULL, error);
    free(type);
    // The file's reader has checked all that the encoding leaves open.
    assert(status != OK || memcmp(head->hash, event->hash, SHA256_BYTES) == 0);
    import->appended += status == OK ? 1 : 0;
    return status;
}

enum status chain_import(struct chain_log *log, struct env *env, struct chain_file *file,
                         uint64_t *appended, struct error *error) {
    assert(env->seeded && log->env == env);
    struct import import = {.log = log, .env = env, .file = file};
    enum status status = begin(&import, error);
    bool more = status == OK;
    while (status == OK && more) {
        struct chain_event event;
        status = chain_file_next(file, &event, &more, error);
        if (status == OK && more) {
            status = event.seq < import.head.next_seq ? compare(&import, &event, error)
                                                      : append(&import, &event, error);
        }
    }
    chain_reader_close(import.own);
    *appended = import.appended;
    return status;
}

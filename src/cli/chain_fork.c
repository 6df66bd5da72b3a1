// SPDX-License-Identifier: Apache-2.0
// theater chain fork: a new actor from a point of another's history. Offline: it takes the lock of
// the data folder, whose log it appends to.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/chain.h"
#include "manifest/manifest.h"
#include "node/node.h"
#include "replay/replay.h"
#include "store/store.h"

struct fork_command {
    struct chain_command *chains;
    struct store *store;
    struct chain_log *log;  // for appending
    struct chain_reader *reader;
    char *id;
};

static enum status next_event(void *context, struct chain_event *event, bool *more,
                              struct error *error) {
    struct fork_command *command = context;
    return chain_reader_next(command->reader, event, more, error);
}

static enum status read_content(void *context, const uint8_t hash[SHA256_BYTES],
                                uint64_t limit_bytes, struct bytes **out, struct error *error) {
    struct fork_command *command = context;
    return store_read(command->store, hash, limit_bytes, out, error);
}

// Opens what is read, which ends before the log is opened for appending.
static enum status find_parent(struct fork_command *command, const char *name, bool *is_imported,
                               struct error *error) {
    struct chain_log *log = NULL;
    enum status status = cli_chain_open(command->chains, error);
    if (status == OK) {
        status = cli_chain_find(command->chains, name, &command->id, &log, error);
    }
    *is_imported = status == OK && log == command->chains->imported;
    (void)chain_log_close(command->chains->log, NULL);
    command->chains->log = NULL;
    return status;
}

static enum status open_log(struct fork_command *command, bool is_imported, struct error *error) {
    const char *folder = command->chains->data;
    struct store_config config = {.data_folder = folder, .env = env_system()};
    enum status status = store_open(&config, &command->store, error);
    if (status == OK) {
        status = node_open_log(folder, command->store, &command->log, error);
    }
    struct chain_log *parent = is_imported ? command->chains->imported : command->log;
    return status == OK ? chain_reader_open(parent, command->id, 0, &command->reader, error)
                        : status;
}

// Whether an imported chain has the id.
static enum status check_id(struct fork_command *command, const char *id, struct error *error) {
    char **ids = NULL;
    uint64_t count = 0;
    enum status status = manifest_check_id(slice_text(id), error);
    if (status != OK || command->chains->imported == NULL) {
        return status;
    }
    status = chain_list(command->chains->imported, &ids, &count, error);
    for (uint64_t i = 0; status == OK && i < count; i++) {
        if (strcmp(ids[i], id) == 0) {
            status = error_set(error, ERR_EXISTS, "there is an imported chain of %s already", id);
        }
    }
    cli_chain_free_ids(ids, count);
    return status;
}

static enum status fork_locked(struct fork_command *command, const char *name, const char *new_id,
                               struct error *error) {
    bool is_imported = false;
    enum status status = find_parent(command, name, &is_imported, error);
    if (status == OK) {
        status = check_id(command, new_id, error);
    }
    if (status == OK) {
        status = open_log(command, is_imported, error);
    }
    if (status != OK) {
        return status;
    }
    struct replay_fork fork = {.id = command->id,
                               .at = command->chains->at,
                               .new_id = new_id,
                               .next = next_event,
                               .next_context = command,
                               .content = read_content,
                               .content_context = command,
                               .log = command->log};
    return replay_fork(&fork, error);
}

int cli_chain_fork(struct chain_command *chains, const char *name) {
    struct fork_command command = {.chains = chains};
    struct error error = {0};
    char generated[UUID_TEXT_BYTES];
    int lock = -1;
    if (name == NULL) {
        return cli_usage("chain", "fork which actor?");
    }
    if (!chains->has_at) {
        return cli_usage("chain", "fork at which event? --at N");
    }
    env_uuid(env_system(), generated);
    const char *new_id = chains->new_id != NULL ? chains->new_id : generated;
    enum status status = node_lock_folder(chains->data, &lock, &error);
    if (status == OK) {
        status = fork_locked(&command, name, new_id, &error);
    }
    if (command.reader != NULL) {
        chain_reader_close(command.reader);
    }
    enum status closed = chain_log_close(command.log, status == OK ? &error : NULL);
    status = status == OK ? closed : status;
    if (command.store != NULL) {
        store_close(command.store);
    }
    if (lock >= 0) {
        close(lock);
    }
    free(command.id);
    if (status != OK) {
        return cli_error(&error);
    }
    puts(new_id);
    return EXIT_GOOD;
}

// SPDX-License-Identifier: Apache-2.0
// A chain file that somebody else wrote. Reading it must end with a verdict; what verifies can be
// read again and imported into an empty log, which then verifies, and what does not is not taken
// over beyond what is wrong. Hashes would keep nearly all inputs out: the corpus has whole files,
// and small changes of them are what reaches the parser's ends.
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "chain/export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64];

static void remove_folder(void) {
    (void)file_remove_tree(folder, NULL);
}

static enum status take_content(void *context, const uint8_t hash[SHA256_BYTES],
                                struct error *error) {
    struct bytes *content = NULL;
    enum status status = chain_file_content(context, hash, 1 << 20, &content, error);
    assert(status == OK || status == ERR_LIMIT);
    if (status == OK) {
        bytes_unref(content);
    }
    return OK;
}

static void try_import(const char *path, bool is_good) {
    char *log_folder = file_join(folder, "log");
    (void)file_remove_tree(log_folder, NULL);
    struct env env;
    env_init_seeded(&env, 0, 0);
    struct chain_log_config config = {.folder = log_folder,
                                      .no_sync = true,
                                      .segment_bytes = 1 << 18,
                                      .buffer_bytes = 1 << 16,
                                      .env = &env};
    struct chain_log *log = NULL;
    struct chain_file *file = NULL;
    struct error error = {0};
    uint64_t appended = 0;
    enum status status = chain_log_open(&config, &log, &error);
    assert(status == OK);
    status = chain_file_open(path, &file, &error);
    bool is_whole = false;
    if (status == OK) {
        status = chain_import(log, &env, file, &appended, &error);
        is_whole = chain_file_header(file)->first == 0;
        struct error ignored = {0};
        enum status visited = chain_file_visit_contents(file, take_content, file, &ignored);
        assert(visited == OK);
    }
    assert(!is_good || status == OK || !is_whole);
    chain_file_close(file);
    struct error closing = {0};
    enum status closed = chain_log_close(log, &closing);
    assert(closed == OK);
    struct chain_verdict verdict;
    struct error verifying = {0};
    status = chain_verify(log_folder, NULL, &verdict, &verifying);
    assert(status == OK && verdict.is_good && verdict.events == appended);
    free(log_folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (folder[0] == '\0') {
        (void)snprintf(folder, sizeof folder, "/tmp/theater-fuzz-file-XXXXXX");
        char *made = mkdtemp(folder);
        assert(made != NULL);
        (void)atexit(remove_folder);
        log_set_level(LOG_ERROR);
    }
    char *path = file_join(folder, "input");
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert(file >= 0 && file_write_all(file, data, size) == 0);
    close(file);
    struct chain_verdict verdict;
    struct chain_file_tally tally;
    struct error error = {0};
    enum status status = chain_file_verify(path, &verdict, &tally, &error);
    assert(status == OK || status == ERR_INVALID);
    bool is_good = status == OK && verdict.is_good;
    assert(!is_good || (tally.events > 0 && tally.events == verdict.events));
    if (status == OK && verdict.events > 0) {
        try_import(path, is_good);
    }
    free(path);
    return 0;
}

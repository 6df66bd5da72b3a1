// SPDX-License-Identifier: Apache-2.0
// A log folder that somebody else wrote: the input is the first segment. Verifying, opening and
// reading it must end with a verdict or an error, and agree: what verifies can be opened and read.
// Checksums would keep nearly all inputs out, so the input is also tried with its frames' checksums
// made right, as far as lengths lead.
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "chain/chain.h"
#include "chain/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64];

static void read_all(struct chain_log *log, const char *id, bool is_good) {
    struct chain_reader *reader = NULL;
    struct chain_event event;
    struct error error = {0};
    struct buf json = {0};
    bool more = true;
    enum status status = chain_reader_open(log, id, 0, &reader, &error);
    while (status == OK && more) {
        status = chain_reader_next(reader, &event, &more, &error);
        if (status == OK && more) {
            buf_clear(&json);
            chain_event_json(id, &event, &json);
        }
    }
    assert(!is_good || status == OK || error.code == ERR_NOT_FOUND);
    chain_reader_close(reader);
    buf_release(&json);
}

static void try_folder(void) {
    struct chain_verdict verdict;
    struct error error = {0};
    enum status status = chain_verify(folder, NULL, &verdict, &error);
    assert(status == OK);
    struct chain_log_config config = {
        .folder = folder, .read_only = true, .no_sync = true, .env = env_system()};
    struct chain_log *log = NULL;
    status = chain_log_open(&config, &log, &error);
    assert(status == OK || !verdict.is_good);
    if (status != OK) {
        return;
    }
    char **ids = NULL;
    uint64_t count = 0;
    status = chain_list(log, &ids, &count, &error);
    assert(status == OK);
    for (uint64_t i = 0; i < count; i++) {
        read_all(log, ids[i], verdict.is_good);
        free(ids[i]);
    }
    free(ids);
    (void)chain_log_close(log, NULL);
}

// Gives each frame from the header on the checksum that its bytes have.
static void make_checksums_right(uint8_t *bytes, size_t size) {
    if (size < SEGMENT_HEADER_BYTES) {
        return;
    }
    put_u32(bytes + 60, crc32c(0, slice_of(bytes, 60)));
    size_t at = SEGMENT_HEADER_BYTES;
    while (size - at >= FRAME_HEADER_BYTES) {
        struct frame frame = frame_read(bytes + at, at - SEGMENT_HEADER_BYTES);
        if (frame.body_bytes > size - at - FRAME_HEADER_BYTES) {
            return;
        }
        frame_finish(bytes + at, frame.body_bytes, frame.actor, (enum frame_kind)frame.kind,
                     frame.previous, frame.position);
        at += FRAME_HEADER_BYTES + frame.body_bytes;
    }
}

static void remove_folder(void) {
    (void)file_remove_tree(folder, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (folder[0] == '\0') {
        (void)snprintf(folder, sizeof folder, "/dev/shm/chain-fuzz-%ld", (long)getpid());
        if (mkdir(folder, 0700) != 0 && access(folder, W_OK) != 0) {
            abort();
        }
        log_set_level(LOG_ERROR);
        (void)atexit(remove_folder);
    }
    char path[96];
    (void)snprintf(path, sizeof path, "%s/00000001.log", folder);
    uint8_t *copy = xmalloc(size);
    for (int round = 0; round < 2; round++) {
        if (size != 0) {
            memcpy(copy, data, size);
        }
        if (round == 1) {
            make_checksums_right(copy, size);
        }
        int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (file < 0 || file_write_all(file, copy, size) != 0) {
            abort();
        }
        close(file);
        try_folder();
    }
    free(copy);
    return 0;
}

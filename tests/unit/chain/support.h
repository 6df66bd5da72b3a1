// SPDX-License-Identifier: Apache-2.0
// What the tests of the log share: logs in fresh folders, events with content that tells where they
// belong, and files to damage.
#ifndef TESTS_UNIT_CHAIN_SUPPORT_H
#define TESTS_UNIT_CHAIN_SUPPORT_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "chain/chain.h"
#include "codec/cbor.h"
#include "test.h"

static inline const char *fresh_folder(const char *name) {
    static const char *base;
    static char path[512];
    base = base == NULL ? test_folder() : base;
    (void)snprintf(path, sizeof path, "%s/%s", base, name);
    (void)file_remove_tree(path, NULL);
    return path;
}

static inline struct chain_log *open_log(struct chain_log_config config) {
    struct chain_log *log = NULL;
    struct error error = {0};
    config.env = config.env != NULL ? config.env : env_system();
    REQUIRE_OK(chain_log_open(&config, &log, &error), error);
    return log;
}

static inline void close_log(struct chain_log *log) {
    struct error error = {0};
    EXPECT_OK(chain_log_close(log, &error), error);
}

static inline struct chain_head open_head(struct chain_log *log, const char *id,
                                          uint8_t nonce[CHAIN_NONCE_BYTES]) {
    struct chain_head head;
    struct error error = {0};
    bool found = false;
    REQUIRE_OK(chain_head_open(log, id, &head, nonce, &found, &error), error);
    REQUIRE(found == (head.next_seq != 0));
    return head;
}

// The data of event `seq` of a chain: {0: nonce, 1: seq, 2: filler}, about `filler` bytes long.
static inline void event_data(struct buf *out, const uint8_t nonce[CHAIN_NONCE_BYTES], uint64_t seq,
                              size_t filler) {
    buf_clear(out);
    cbor_map(out, 3);
    cbor_uint(out, 0);
    cbor_bytes(out, slice_of(nonce, CHAIN_NONCE_BYTES));
    cbor_uint(out, 1);
    cbor_uint(out, seq);
    cbor_uint(out, 2);
    uint8_t *at = cbor_room(out, filler + 9);
    uint8_t *end = cbor_put_head(at, 0x40, filler);
    memset(end, (int)(seq & 0xff), filler);
    out->size += (size_t)(end - at) + filler;
}

// Appends `count` events and returns the position behind the last.
static inline uint64_t append_events(struct chain_log *log, struct chain_head *head,
                                     const uint8_t nonce[CHAIN_NONCE_BYTES], uint64_t count,
                                     size_t filler) {
    struct buf data = {0};
    uint64_t position = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct error error = {0};
        event_data(&data, nonce, head->next_seq, filler);
        enum status status =
            chain_append(log, head, "handle-send", buf_slice(&data), &position, &error);
        if (status != OK) {
            test_report(__FILE__, __LINE__, "append: %s", error.message);
            break;
        }
    }
    buf_release(&data);
    return position;
}

// Reads a chain from `from`, checks order, content and links, and returns the number of events.
static inline uint64_t read_chain(struct chain_log *log, const char *id, uint64_t from) {
    struct chain_reader *reader = NULL;
    struct error error = {0};
    uint64_t count = 0;
    REQUIRE_OK(chain_reader_open(log, id, from, &reader, &error), error);
    for (bool more = true;; count++) {
        struct chain_event event;
        enum status status = chain_reader_next(reader, &event, &more, &error);
        if (status != OK) {
            test_report(__FILE__, __LINE__, "read: %s", error.message);
            break;
        }
        if (!more) {
            break;
        }
        struct cbor_reader items = cbor_reader_of(event.data);
        uint64_t pairs = 0, key = 0, seq = UINT64_MAX;
        struct slice nonce;
        bool is_good = event.seq == from + count && cbor_read_map(&items, &pairs, NULL) == OK &&
                       cbor_read_uint(&items, &key, NULL) == OK &&
                       cbor_read_bytes(&items, &nonce, NULL) == OK &&
                       cbor_read_uint(&items, &key, NULL) == OK &&
                       cbor_read_uint(&items, &seq, NULL) == OK && seq == event.seq;
        if (!is_good) {
            test_report(__FILE__, __LINE__, "event %llu of %s is wrong",
                        (unsigned long long)event.seq, id);
            break;
        }
    }
    chain_reader_close(reader);
    return count;
}

static inline struct chain_verdict verify_log(const char *folder) {
    struct chain_verdict verdict;
    struct error error = {0};
    REQUIRE_OK(chain_verify(folder, NULL, &verdict, &error), error);
    return verdict;
}

static inline void expect_good(const char *folder, uint64_t events, uint64_t chains) {
    struct chain_verdict verdict = verify_log(folder);
    EXPECT_U64(verdict.events, events);
    EXPECT_U64(verdict.chains, chains);
    if (!verdict.is_good) {
        test_report(__FILE__, __LINE__, "%s event %llu, %s at %llu: %s", verdict.actor,
                    (unsigned long long)verdict.seq, verdict.segment,
                    (unsigned long long)verdict.offset, verdict.reason);
    }
}

static inline struct bytes *load_file(const char *folder, const char *name) {
    char *path = file_join(folder, name);
    struct bytes *content = NULL;
    struct error error = {0};
    enum status status = file_read(path, 1 << 30, &content, &error);
    free(path);
    REQUIRE(status == OK);
    return content;
}

static inline void store_file(const char *folder, const char *name, struct slice content) {
    char *path = file_join(folder, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_good = file >= 0 && file_write_all(file, content.data, content.size) == 0;
    close(file);
    free(path);
    REQUIRE(is_good);
}

static inline uint64_t count_files(const char *folder, const char *prefix) {
    uint64_t count = 0;
    DIR *entries = opendir(folder);
    REQUIRE(entries != NULL);
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0 ? 1 : 0;
    }
    (void)closedir(entries);
    return count;
}

#endif

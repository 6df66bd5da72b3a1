// SPDX-License-Identifier: Apache-2.0
// What opening does with events whose contents a power loss took.
#include <signal.h>
#include <sys/wait.h>

#include "support.h"

enum { BATCHES = 10, PER_BATCH = 5 };

static enum status stall(void *context, struct error *error) {
    (void)context;
    for (;;) {
        (void)pause();
    }
    return error_set(error, ERR_IO, "never");
}

// A log of batches that nobody closed. `is_synced`: each is on disk before the next is written.
static const char *unfinished_log(const char *name, bool is_synced) {
    const char *folder = fresh_folder(name);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        // Without a sync that ends, nothing is ever called durable.
        struct chain_log *log = open_log(
            (struct chain_log_config){.folder = folder, .before_sync = is_synced ? NULL : stall});
        uint8_t nonce[CHAIN_NONCE_BYTES];
        struct chain_head head = open_head(log, "one", nonce);
        for (int i = 0; i < BATCHES; i++) {
            uint64_t position = append_events(log, &head, nonce, PER_BATCH, 10);
            REQUIRE(chain_wait(log, position, is_synced ? CHAIN_SYNCED : CHAIN_WRITTEN, NULL) ==
                    OK);
        }
        (void)kill(getpid(), SIGKILL);
    }
    int how = 0;
    REQUIRE(waitpid(child, &how, 0) == child && WIFSIGNALED(how));
    return folder;
}

static int asked;

// Of {0: nonce, 1: seq, …}: one event is not whole.
static bool all_but_one(void *context, struct slice data) {
    struct cbor_reader items = cbor_reader_of(data);
    struct slice nonce;
    uint64_t pairs = 0, key = 0, seq = 0;
    REQUIRE(cbor_read_map(&items, &pairs, NULL) == OK && cbor_read_uint(&items, &key, NULL) == OK &&
            cbor_read_bytes(&items, &nonce, NULL) == OK &&
            cbor_read_uint(&items, &key, NULL) == OK && cbor_read_uint(&items, &seq, NULL) == OK);
    asked++;
    return seq != *(const uint64_t *)context;
}

static uint64_t events_after(const char *folder, uint64_t missing, bool read_only) {
    struct chain_log *log = open_log((struct chain_log_config){.folder = folder,
                                                               .is_whole = all_but_one,
                                                               .is_whole_context = &missing,
                                                               .read_only = read_only});
    uint64_t count = read_chain(log, "one", 0);
    close_log(log);
    return count;
}

TEST(events_without_their_contents_are_cut_with_their_batch) {
    log_set_level(LOG_ERROR);
    const char *folder = unfinished_log("cut", false);
    expect_good(folder, BATCHES * PER_BATCH, 1);
    // Who only reads changes nothing.
    EXPECT_U64(events_after(folder, 22, true), BATCHES * PER_BATCH);
    EXPECT_U64(events_after(folder, 22, false), 20);
    expect_good(folder, 20, 1);
    // Closed now: nobody is asked again, and the chain goes on.
    asked = 0;
    EXPECT_U64(events_after(folder, 3, false), 20);
    EXPECT_U64(asked, 0);
    struct chain_log *log = open_log((struct chain_log_config){.folder = folder});
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head head = open_head(log, "one", nonce);
    EXPECT_U64(head.next_seq, 20);
    close_log(log);
    // What was cut is kept aside.
    DIR *stream = opendir(folder);
    int cut = 0;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        cut += strncmp(entry->d_name, "cut-", 4) == 0;
    }
    closedir(stream);
    EXPECT_U64(cut, 1);
}

TEST(whole_events_are_left_alone) {
    const char *folder = unfinished_log("whole", false);
    asked = 0;
    EXPECT_U64(events_after(folder, UINT64_MAX, false), BATCHES * PER_BATCH);
    EXPECT_U64(asked, BATCHES * PER_BATCH);
    expect_good(folder, BATCHES * PER_BATCH, 1);
}

TEST(what_the_log_calls_durable_is_not_cut) {
    log_set_level(LOG_ERROR);
    const char *folder = unfinished_log("durable", true);
    EXPECT_U64(events_after(folder, 22, false), BATCHES * PER_BATCH);
    expect_good(folder, BATCHES * PER_BATCH, 1);
    // Of the last batch nobody says so.
    folder = unfinished_log("last", true);
    EXPECT_U64(events_after(folder, BATCHES * PER_BATCH - 1, false), (BATCHES - 1) * PER_BATCH);
    expect_good(folder, (BATCHES - 1) * PER_BATCH, 1);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// The snapshot of the world: when a node leaves one.
#include "node/recover.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "chain/state.h"
#include "codec/cbor.h"
#include "test.h"

enum { SEGMENT_BYTES = 1 << 20 };

static const char *log_folder;

static struct chain_log *open_log(void) {
    struct error error = {0};
    struct chain_log *log = NULL;
    log_folder = test_folder();
    struct chain_log_config config = {
        .folder = log_folder, .segment_bytes = SEGMENT_BYTES, .env = env_system()};
    REQUIRE_OK(chain_log_open(&config, &log, &error), error);
    return log;
}

// Appends {1: content}, and waits until it is written.
static void append(struct chain_log *log, struct chain_head *head, const char *type,
                   struct slice content) {
    struct error error = {0};
    struct buf data = {0};
    uint64_t position = 0;
    cbor_map(&data, 1);
    cbor_uint(&data, 1);
    cbor_bytes(&data, content);
    REQUIRE_OK(chain_append(log, head, type, buf_slice(&data), &position, &error), error);
    REQUIRE_OK(chain_wait(log, position, CHAIN_WRITTEN, &error), error);
    buf_release(&data);
}

// What is behind it says that it is on disk.
static void append_filling(struct chain_log *log, struct chain_head *head, size_t bytes) {
    uint8_t *filling = xmalloc(bytes);
    memset(filling, 'f', bytes);
    append(log, head, "handle-send", slice_of(filling, bytes));
    free(filling);
    struct error error = {0};
    struct chain_stats stats;
    chain_log_stats(log, &stats);
    REQUIRE_OK(chain_wait(log, stats.bytes, CHAIN_SYNCED, &error), error);
}

// Of a chain with its first event.
static struct chain_head open_head(struct chain_log *log) {
    struct error error = {0};
    struct chain_head head;
    uint8_t nonce[CHAIN_NONCE_BYTES];
    bool found = false;
    REQUIRE_OK(chain_head_open(log, "a", &head, nonce, &found, &error), error);
    append(log, &head, "spawned", slice_of(nonce, sizeof nonce));
    return head;
}

static bool has_snapshot(const char *folder) {
    char *path = file_join(folder, "world");
    bool is_there = access(path, F_OK) == 0;
    free(path);
    return is_there;
}

// Flips the first byte of the first filling.
static void flip(void) {
    char *path = file_join(log_folder, "00000001.log");
    struct error error = {0};
    struct bytes *content = NULL;
    REQUIRE_OK(file_read(path, 1 << 28, &content, &error), error);
    const uint8_t *at = memmem(content->data, content->size, "ffffffff", 8);
    REQUIRE(at != NULL);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    REQUIRE(file >= 0);
    REQUIRE(pwrite(file, "F", 1, at - content->data) == 1);
    close(file);
    bytes_unref(content);
    free(path);
}

// Whoever ran may run again when the log is whole: the end of the log alone does not say that
// nobody does.
TEST(a_node_that_could_not_read_the_log_leaves_no_snapshot) {
    struct error error = {0};
    const char *folder = test_folder();
    struct chain_log *log = open_log();
    struct chain_head head = open_head(log);
    for (int i = 0; i < 8; i++) {
        append_filling(log, &head, SEGMENT_BYTES / 2);
    }
    flip();
    struct actor_recovered out = {0};
    struct node_recovery *recovery = NULL;
    EXPECT_U64(node_recover(log, NULL, folder, true, &out, &recovery, &error), ERR_DAMAGED);
    node_recovery_stop(recovery, true);
    EXPECT(!has_snapshot(folder));
    EXPECT_OK(chain_log_close(log, &error), error);
}

// Keeps the log from being synced; it is written all the same.
static void hold_syncs(struct chain_log *log, bool is_held) {
    (void)pthread_mutex_lock(&log->lock);
    log->is_rolling = is_held;
    (void)pthread_cond_signal(&log->wake_sync);
    (void)pthread_mutex_unlock(&log->lock);
}

static void *stop(void *recovery) {
    node_recovery_stop(recovery, true);
    return NULL;
}

TEST(a_snapshot_knows_nothing_that_is_not_on_disk) {
    struct error error = {0};
    const char *folder = test_folder();
    struct chain_log *log = open_log();
    struct actor_recovered out = {0};
    struct node_recovery *recovery = NULL;
    REQUIRE_OK(node_recover(log, NULL, folder, true, &out, &recovery, &error), error);
    hold_syncs(log, true);
    (void)open_head(log);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, stop, recovery) == 0);
    struct timespec pause = {.tv_nsec = 200000000};
    nanosleep(&pause, NULL);
    EXPECT(!has_snapshot(folder));
    hold_syncs(log, false);
    pthread_join(thread, NULL);
    EXPECT(has_snapshot(folder));
    EXPECT_OK(chain_log_close(log, &error), error);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// A log whose disk is full or fails, with its threads: what is refused and how, what is kept, and
// that it goes on as if nothing had been when the disk is good again.
#include <pthread.h>

#include "chain/state.h"
#include "fault_disk.h"

struct stage {
    const char *folder;
    struct fault_disk *disk;
    struct chain_log *log;
    struct chain_head head;
    uint8_t nonce[CHAIN_NONCE_BYTES];
};

static void set_up(struct stage *stage, const char *name) {
    stage->folder = fresh_folder(name);
    REQUIRE(mkdir(stage->folder, 0700) == 0);
    stage->disk = fault_disk_new(stage->folder, 1);
    stage->log = open_log((struct chain_log_config){.folder = stage->folder,
                                                    .segment_bytes = 64 << 10,
                                                    .buffer_bytes = 4096,
                                                    .flush_interval_ns = 200000,
                                                    .disk = &stage->disk->table});
    stage->head = open_head(stage->log, "a", stage->nonce);
}

// Changes the disk between two of its calls.
static void set_faults(struct fault_disk *disk, uint32_t sync_errors, uint32_t write_errors,
                       bool is_full) {
    (void)pthread_mutex_lock(&disk->lock);
    disk->sync_errors = sync_errors;
    disk->write_errors = write_errors;
    disk->is_full = is_full;
    (void)pthread_mutex_unlock(&disk->lock);
}

static struct chain_stats stats_of(struct chain_log *log) {
    struct chain_stats stats;
    chain_log_stats(log, &stats);
    return stats;
}

static void wait_until_it_stands(struct chain_log *log, uint64_t stands) {
    while (stats_of(log).stands < stands) {
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
}

TEST(a_failed_sync_is_made_good_in_a_new_file) {
    struct stage stage;
    set_up(&stage, "sync");
    struct chain_log *beside = NULL;
    struct error error = {0};
    uint64_t position = append_events(stage.log, &stage.head, stage.nonce, 20, 100);
    REQUIRE_OK(chain_wait(stage.log, position, CHAIN_SYNCED, &error), error);
    beside = open_log((struct chain_log_config){.folder = stage.folder, .read_only = true});
    for (uint64_t round = 1; round <= 4; round++) {
        set_faults(stage.disk, 1000, 0, false);
        position = append_events(stage.log, &stage.head, stage.nonce, 20, 100);
        wait_until_it_stands(stage.log, round);
        EXPECT(chain_is_behind(stage.log));
        EXPECT(stats_of(stage.log).is_standing);
        EXPECT_CONTAINS(stats_of(stage.log).reason, "cannot sync");
        EXPECT_U64(read_chain(stage.log, "a", 0), 20 + 20 * round);
        EXPECT(stats_of(stage.log).synced_bytes < position);
        set_faults(stage.disk, 0, 0, false);
        REQUIRE_OK(chain_wait(stage.log, position, CHAIN_SYNCED, &error), error);
        EXPECT(!chain_is_behind(stage.log) && !stats_of(stage.log).is_standing);
        // Readers go from the file that was given up to the one in its place.
        position = append_events(stage.log, &stage.head, stage.nonce, 0, 0);
        EXPECT_U64(read_chain(stage.log, "a", 0), 20 + 20 * round);
        EXPECT_U64(read_chain(beside, "a", 0), 20 + 20 * round);
    }
    close_log(beside);
    close_log(stage.log);
    expect_good(stage.folder, 100, 1);
    fault_disk_lose_power(stage.disk, 0);
    expect_good(stage.folder, 100, 1);
    fault_disk_free(stage.disk);
}

TEST(a_write_that_fails_is_made_good_too) {
    struct stage stage;
    set_up(&stage, "write");
    struct error error = {0};
    for (uint64_t round = 1; round <= 4; round++) {
        set_faults(stage.disk, 0, 1000, false);
        uint64_t position = append_events(stage.log, &stage.head, stage.nonce, 20, 100);
        wait_until_it_stands(stage.log, round);
        set_faults(stage.disk, 0, 0, false);
        REQUIRE_OK(chain_wait(stage.log, position, CHAIN_SYNCED, &error), error);
    }
    close_log(stage.log);
    fault_disk_lose_power(stage.disk, 0);
    expect_good(stage.folder, 80, 1);
    fault_disk_free(stage.disk);
}

TEST(a_full_disk_refuses_what_the_buffers_do_not_hold_and_goes_on_with_room) {
    struct stage stage;
    set_up(&stage, "full");
    struct error error = {0};
    struct buf data = {0};
    set_faults(stage.disk, 0, 0, true);
    enum status status = OK;
    while (status == OK) {
        event_data(&data, stage.nonce, stage.head.next_seq, 100);
        status = chain_append(stage.log, &stage.head, "x", buf_slice(&data), NULL, &error);
    }
    EXPECT(status == ERR_IO);
    EXPECT_CONTAINS(error.message, stage.folder);
    EXPECT_CONTAINS(error.message, "No space left");
    EXPECT_CONTAINS(error.message, "wait for it");
    uint64_t accepted = stage.head.next_seq;
    EXPECT(accepted > 10 && accepted < 100);
    EXPECT(chain_is_behind(stage.log));
    error_clear(&error);
    EXPECT(chain_wait(stage.log, stage.head.last_position, CHAIN_WRITTEN, &error) == ERR_IO);
    EXPECT_CONTAINS(error.message, "No space left");
    EXPECT_U64(read_chain(stage.log, "a", 0), accepted);
    set_faults(stage.disk, 0, 0, false);
    while (chain_is_behind(stage.log)) {
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    uint64_t position = append_events(stage.log, &stage.head, stage.nonce, 50, 100);
    error_clear(&error);
    EXPECT_OK(chain_wait(stage.log, position, CHAIN_SYNCED, &error), error);
    EXPECT_U64(stats_of(stage.log).stands, 1);
    EXPECT_TEXT(stats_of(stage.log).reason, "");
    close_log(stage.log);
    expect_good(stage.folder, accepted + 50, 1);
    buf_release(&data);
    fault_disk_free(stage.disk);
}

TEST(what_reads_back_differently_after_a_failed_sync_ends_the_log) {
    struct stage stage;
    set_up(&stage, "drops");
    struct error error = {0};
    uint64_t position = append_events(stage.log, &stage.head, stage.nonce, 20, 100);
    REQUIRE_OK(chain_wait(stage.log, position, CHAIN_SYNCED, &error), error);
    (void)pthread_mutex_lock(&stage.disk->lock);
    stage.disk->drops_pages = true;
    (void)pthread_mutex_unlock(&stage.disk->lock);
    set_faults(stage.disk, 1000, 0, false);
    position = append_events(stage.log, &stage.head, stage.nonce, 20, 100);
    wait_until_it_stands(stage.log, 1);
    set_faults(stage.disk, 0, 0, false);
    EXPECT(chain_wait(stage.log, position, CHAIN_SYNCED, &error) == ERR_IO);
    EXPECT_CONTAINS(error.message, "reads back differently");
    EXPECT(!chain_is_behind(stage.log));
    struct buf data = {0};
    event_data(&data, stage.nonce, stage.head.next_seq, 100);
    EXPECT(chain_append(stage.log, &stage.head, "x", buf_slice(&data), NULL, NULL) == ERR_IO);
    buf_release(&data);
    EXPECT(chain_log_close(stage.log, NULL) == ERR_IO);
    close_log(open_log((struct chain_log_config){.folder = stage.folder}));
    struct chain_verdict verdict = verify_log(stage.folder);
    EXPECT(verdict.is_good && verdict.events >= 20 && verdict.events < 40);
    fault_disk_free(stage.disk);
}

// ---- several threads ---------------------------------------------------------------------------

enum { APPENDERS = 3, EVENTS_EACH = 1500 };

struct appender {
    struct stage *stage;
    int index;
};

static void *append_many(void *argument) {
    struct appender *self = argument;
    char id[16];
    uint8_t nonce[CHAIN_NONCE_BYTES];
    (void)snprintf(id, sizeof id, "t%d", self->index);
    struct chain_head head = open_head(self->stage->log, id, nonce);
    for (int i = 0; i < EVENTS_EACH; i++) {
        (void)append_events(self->stage->log, &head, nonce, 1, (size_t)(i % 200));
    }
    return NULL;
}

TEST(appenders_do_not_notice_a_disk_that_fails_now_and_then) {
    struct stage stage;
    set_up(&stage, "now-and-then");
    (void)pthread_mutex_lock(&stage.disk->lock);
    stage.disk->short_writes = 200;
    (void)pthread_mutex_unlock(&stage.disk->lock);
    set_faults(stage.disk, 10, 5, false);
    pthread_t threads[APPENDERS];
    struct appender appenders[APPENDERS];
    for (int i = 0; i < APPENDERS; i++) {
        appenders[i] = (struct appender){.stage = &stage, .index = i};
        REQUIRE(pthread_create(&threads[i], NULL, append_many, &appenders[i]) == 0);
    }
    for (int i = 0; i < APPENDERS; i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    }
    set_faults(stage.disk, 0, 0, false);
    close_log(stage.log);
    fault_disk_lose_power(stage.disk, 0);
    expect_good(stage.folder, APPENDERS * EVENTS_EACH, APPENDERS);
    fault_disk_free(stage.disk);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// The log as its users see it: appending, reading back, reopening, rolling over, several threads,
// readers beside a writer, a full disk.
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "support.h"

TEST(reads_back_what_was_appended) {
    const char *folder = fresh_folder("basic");
    struct chain_log *log = open_log((struct chain_log_config){.folder = folder});
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head head = open_head(log, "actor-1", nonce);
    (void)append_events(log, &head, nonce, 100, 50);
    EXPECT_U64(read_chain(log, "actor-1", 0), 100);
    EXPECT_U64(read_chain(log, "actor-1", 37), 63);
    EXPECT_U64(read_chain(log, "actor-1", 100), 0);
    EXPECT_U64(read_chain(log, "actor-1", UINT64_MAX), 0);
    close_log(log);
    expect_good(folder, 100, 1);

    log = open_log((struct chain_log_config){.folder = folder});
    uint8_t same[CHAIN_NONCE_BYTES];
    struct chain_head again = open_head(log, "actor-1", same);
    EXPECT(memcmp(nonce, same, sizeof nonce) == 0);
    EXPECT_U64(again.next_seq, 100);
    EXPECT(memcmp(again.hash, head.hash, SHA256_BYTES) == 0);
    EXPECT_U64(again.last_time_ns, head.last_time_ns);
    EXPECT_U64(again.last_position, head.last_position);
    (void)append_events(log, &again, nonce, 10, 5);
    EXPECT_U64(read_chain(log, "actor-1", 0), 110);
    close_log(log);
    expect_good(folder, 110, 1);
}

TEST(an_empty_log_opens_closes_and_verifies) {
    const char *folder = fresh_folder("empty");
    struct error error = {0};
    struct chain_log *log = NULL;
    struct chain_log_config config = {.folder = folder, .read_only = true};
    EXPECT(chain_log_open(&config, &log, &error) == ERR_NOT_FOUND);
    for (int i = 0; i < 3; i++) {
        close_log(open_log((struct chain_log_config){.folder = folder}));
    }
    expect_good(folder, 0, 0);
    log = open_log((struct chain_log_config){.folder = folder, .read_only = true});
    char **ids = NULL;
    uint64_t count = 1;
    EXPECT_OK(chain_list(log, &ids, &count, &error), error);
    EXPECT_U64(count, 0);
    free(ids);
    close_log(log);
}

TEST(refuses_bad_arguments_with_a_reason) {
    const char *folder = fresh_folder("arguments");
    struct chain_log *log = open_log((struct chain_log_config){.folder = folder, .no_sync = true});
    static const char *const bad_ids[] = {"", "a b", "a/b", "\xc3\xa9", "a\n"};
    char long_id[CHAIN_ID_MOST_BYTES + 2];
    memset(long_id, 'x', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    struct chain_head head;
    uint8_t nonce[CHAIN_NONCE_BYTES];
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(bad_ids); i++) {
        EXPECT(chain_head_open(log, bad_ids[i], &head, nonce, &found, NULL) == ERR_INVALID);
    }
    EXPECT(chain_head_open(log, long_id, &head, nonce, &found, NULL) == ERR_INVALID);
    long_id[CHAIN_ID_MOST_BYTES] = '\0';
    head = open_head(log, long_id, nonce);
    struct error error = {0};
    struct slice null_item = slice_of("\xf6", 1);
    EXPECT(chain_append(log, &head, "spawned", null_item, NULL, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "nonce");
    EXPECT(chain_append(log, &head, "", null_item, NULL, NULL) == ERR_INVALID);
    EXPECT(chain_append(log, &head, "\xff", null_item, NULL, NULL) == ERR_INVALID);
    EXPECT(chain_append(log, &head, long_id, null_item, NULL, NULL) == ERR_INVALID);
    EXPECT(chain_append(log, &head, "x", slice_of(NULL, 0), NULL, NULL) == ERR_INVALID);
    EXPECT_U64(head.next_seq, 0);
    struct chain_head twin = open_head(log, long_id, nonce);
    (void)append_events(log, &head, nonce, 1, 1);
    struct buf data = {0};
    event_data(&data, nonce, 0, 1);
    EXPECT(chain_append(log, &twin, "x", buf_slice(&data), NULL, NULL) == ERR_EXISTS);
    buf_release(&data);
    struct chain_reader *reader = NULL;
    EXPECT(chain_reader_open(log, "nobody", 0, &reader, NULL) == ERR_NOT_FOUND);
    EXPECT(chain_wait(log, 1 << 20, CHAIN_WRITTEN, NULL) == ERR_INVALID);
    close_log(log);
    expect_good(folder, 1, 1);
    struct chain_verdict verdict;
    EXPECT(chain_verify(folder, "nobody", &verdict, NULL) == ERR_NOT_FOUND);
    EXPECT_OK(chain_verify(folder, long_id, &verdict, &error), error);
    EXPECT_U64(verdict.events, 1);
}

TEST(rolls_over_small_segments) {
    const char *folder = fresh_folder("rolls");
    struct chain_log_config config = {.folder = folder, .segment_bytes = 4096};
    uint64_t expected = 0;
    for (int round = 0; round < 3; round++) {
        struct chain_log *log = open_log(config);
        uint8_t nonce[2][CHAIN_NONCE_BYTES];
        struct chain_head a = open_head(log, "a", nonce[0]);
        struct chain_head b = open_head(log, "b", nonce[1]);
        for (int i = 0; i < 20; i++) {
            (void)append_events(log, &a, nonce[0], 3, 100);
            uint64_t position = append_events(log, &b, nonce[1], 1, 30);
            struct error error = {0};
            EXPECT_OK(chain_wait(log, position, i % 2 == 0 ? CHAIN_WRITTEN : CHAIN_SYNCED, &error),
                      error);
        }
        expected += 20;
        EXPECT_U64(read_chain(log, "a", 0), 3 * expected);
        EXPECT_U64(read_chain(log, "b", expected - 1), 1);
        close_log(log);
        expect_good(folder, 4 * expected, 2);
    }
    EXPECT(count_files(folder, "0000") > 6);
}

TEST(an_event_larger_than_buffers_and_segments_fits) {
    const char *folder = fresh_folder("large");
    struct chain_log_config config = {.folder = folder, .segment_bytes = 4096, .no_sync = true};
    struct chain_log *log = open_log(config);
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head head = open_head(log, "large", nonce);
    (void)append_events(log, &head, nonce, 2, 10);
    (void)append_events(log, &head, nonce, 2, 100000);
    (void)append_events(log, &head, nonce, 2, 10);
    EXPECT_U64(read_chain(log, "large", 0), 6);
    close_log(log);
    expect_good(folder, 6, 1);
    log = open_log(config);
    EXPECT_U64(read_chain(log, "large", 0), 6);
    close_log(log);
}

TEST(many_small_events_follow_a_large_one) {
    const char *folder = fresh_folder("small-after-large");
    struct chain_log_config config = {
        .folder = folder, .segment_bytes = 4096, .no_sync = true, .is_inline = true};
    struct chain_log *log = open_log(config);
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head head = open_head(log, "a", nonce);
    (void)append_events(log, &head, nonce, 1, 10);
    (void)append_events(log, &head, nonce, 2, 400000);
    (void)append_events(log, &head, nonce, 4000, 10);
    EXPECT_U64(read_chain(log, "a", 0), 4003);
    close_log(log);
    expect_good(folder, 4003, 1);
}

// ---- threads -----------------------------------------------------------------------------------

enum { THREADS = 4, EVENTS_PER_THREAD = 2000 };

struct appender {
    struct chain_log *log;
    int index;
    bool waits;
};

static void *append_many(void *argument) {
    struct appender *self = argument;
    char id[32];
    (void)snprintf(id, sizeof id, "thread-%d", self->index);
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head head = open_head(self->log, id, nonce);
    for (int i = 0; i < EVENTS_PER_THREAD; i++) {
        uint64_t position = append_events(self->log, &head, nonce, 1, (size_t)(i % 300));
        if (self->waits && i % 500 == 0) {
            struct error error = {0};
            EXPECT_OK(chain_wait(self->log, position, CHAIN_SYNCED, &error), error);
        }
    }
    return NULL;
}

static void run_appenders(const char *folder, struct chain_log_config config, bool waits) {
    config.folder = folder;
    struct chain_log *log = open_log(config);
    pthread_t threads[THREADS];
    struct appender appenders[THREADS];
    for (int i = 0; i < THREADS; i++) {
        appenders[i] = (struct appender){.log = log, .index = i, .waits = waits};
        REQUIRE(pthread_create(&threads[i], NULL, append_many, &appenders[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "thread-%d", i);
        EXPECT_U64(read_chain(log, id, 0), EVENTS_PER_THREAD);
    }
    close_log(log);
    expect_good(folder, THREADS * EVENTS_PER_THREAD, THREADS);
}

TEST(several_threads_append) {
    run_appenders(fresh_folder("threads"), (struct chain_log_config){0}, true);
}

TEST(full_buffers_make_appenders_wait) {
    run_appenders(fresh_folder("full"),
                  (struct chain_log_config){
                      .segment_bytes = 64 << 10, .buffer_bytes = 1024, .pending_most_bytes = 8192},
                  false);
}

TEST(log_order_follows_causality) {
    const char *folder = fresh_folder("causal");
    struct chain_log *log = open_log((struct chain_log_config){.folder = folder, .no_sync = true});
    uint8_t nonce[2][CHAIN_NONCE_BYTES];
    struct chain_head heads[2] = {open_head(log, "x", nonce[0]), open_head(log, "y", nonce[1])};
    uint64_t before = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t position = append_events(log, &heads[i % 2], nonce[i % 2], 1, 20);
        EXPECT(position > before && heads[i % 2].last_position >= before);
        before = position;
    }
    close_log(log);
}

struct follower {
    struct chain_log *log;
    uint64_t count;
};

static void *follow(void *argument) {
    struct follower *self = argument;
    struct chain_reader *reader = NULL;
    struct error error = {0};
    EXPECT_OK(chain_reader_open(self->log, "live", 0, &reader, &error), error);
    while (reader != NULL && self->count < 5000) {
        struct chain_event event;
        bool more = false;
        if (chain_reader_next(reader, &event, &more, &error) != OK) {
            test_report(__FILE__, __LINE__, "follow: %s", error.message);
            break;
        }
        EXPECT(!more || event.seq == self->count);
        self->count += more ? 1 : 0;
        if (!more) {
            (void)sched_yield();
        }
    }
    chain_reader_close(reader);
    return NULL;
}

TEST(a_reader_follows_a_live_log) {
    const char *folder = fresh_folder("live");
    struct chain_log_config config = {
        .folder = folder, .segment_bytes = 32 << 10, .flush_interval_ns = 1000000};
    struct chain_log *log = open_log(config);
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head head = open_head(log, "live", nonce);
    uint64_t position = append_events(log, &head, nonce, 1, 0);
    struct error error = {0};
    REQUIRE_OK(chain_wait(log, position, CHAIN_WRITTEN, &error), error);
    config.read_only = true;
    struct chain_log *beside = open_log(config);  // as another process would
    struct follower followers[2] = {{.log = log}, {.log = beside}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, follow, &followers[i]) == 0);
    }
    for (int i = 1; i < 5000; i++) {
        (void)append_events(log, &head, nonce, 1, (size_t)(i % 100));
    }
    for (int i = 0; i < 2; i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
        EXPECT_U64(followers[i].count, 5000);
    }
    struct buf data = {0};
    event_data(&data, nonce, 0, 0);
    uint8_t other[CHAIN_NONCE_BYTES];
    struct chain_head denied = open_head(beside, "live", other);
    EXPECT_U64(denied.next_seq, 5000);
    EXPECT(chain_append(beside, &denied, "x", buf_slice(&data), NULL, NULL) == ERR_DENIED);
    buf_release(&data);
    close_log(beside);
    close_log(log);
    expect_good(folder, 5000, 1);
}

TEST(verify_beside_a_live_writer_is_good) {
    const char *folder = fresh_folder("verify-live");
    struct chain_log *log = open_log((struct chain_log_config){
        .folder = folder, .segment_bytes = 32 << 10, .flush_interval_ns = 100000});
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head head = open_head(log, "busy", nonce);
    for (int i = 0; i < 50; i++) {
        (void)append_events(log, &head, nonce, 60, 40);
        struct chain_verdict verdict = verify_log(folder);
        if (!verdict.is_good) {
            test_report(__FILE__, __LINE__, "%s at %llu: %s", verdict.segment,
                        (unsigned long long)verdict.offset, verdict.reason);
        }
    }
    close_log(log);
    expect_good(folder, 3000, 1);
}

TEST(list_gives_ids_in_order_of_first_event) {
    const char *folder = fresh_folder("list");
    struct chain_log *log = open_log((struct chain_log_config){.folder = folder, .no_sync = true});
    uint8_t nonce[3][CHAIN_NONCE_BYTES];
    struct chain_head late = open_head(log, "late", nonce[0]);
    struct chain_head early = open_head(log, "early", nonce[1]);
    (void)open_head(log, "never", nonce[2]);
    (void)append_events(log, &early, nonce[1], 1, 1);
    (void)append_events(log, &late, nonce[0], 1, 1);
    for (int round = 0; round < 2; round++) {
        char **ids = NULL;
        uint64_t count = 0;
        struct error error = {0};
        REQUIRE_OK(chain_list(log, &ids, &count, &error), error);
        REQUIRE(count == 2);
        EXPECT_TEXT(ids[0], "early");
        EXPECT_TEXT(ids[1], "late");
        free(ids[0]);
        free(ids[1]);
        free(ids);
        if (round == 0) {
            close_log(log);
            log = open_log((struct chain_log_config){.folder = folder, .read_only = true});
        }
    }
    close_log(log);
}

TEST(times_never_go_back) {
    struct env env;
    env_init_seeded(&env, 7, 1000);
    const char *folder = fresh_folder("times");
    struct chain_log *log =
        open_log((struct chain_log_config){.folder = folder, .no_sync = true, .env = &env});
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head head = open_head(log, "t", nonce);
    (void)append_events(log, &head, nonce, 1, 1);
    EXPECT_U64(head.last_time_ns, 1000);
    env.wall_ns = 10;
    (void)append_events(log, &head, nonce, 1, 1);
    EXPECT_U64(head.last_time_ns, 1000);
    close_log(log);
    expect_good(folder, 2, 1);
}

// ---- a full disk -------------------------------------------------------------------------------

// In a child, because the limit and the ignored signal stay. The exit code says what was wrong.
static int append_until_full(const char *folder) {
    struct rlimit limit = {.rlim_cur = 100000, .rlim_max = 100000};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 2;
    }
    log_set_level(LOG_ERROR);
    struct chain_log_config config = {
        .folder = folder, .segment_bytes = 1 << 20, .buffer_bytes = 4096, .env = env_system()};
    struct chain_log *log = NULL;
    struct error error = {0};
    struct chain_head head;
    uint8_t nonce[CHAIN_NONCE_BYTES];
    bool found = false;
    if (chain_log_open(&config, &log, &error) != OK ||
        chain_head_open(log, "full", &head, nonce, &found, &error) != OK) {
        return 3;
    }
    struct buf data = {0};
    enum status status = OK;
    uint64_t seq = 0;
    for (int i = 0; status == OK && i < 100000; i++) {
        seq = head.next_seq;
        event_data(&data, nonce, seq, 100);
        status = chain_append(log, &head, "x", buf_slice(&data), NULL, &error);
    }
    buf_release(&data);
    bool is_clean = status == ERR_IO && head.next_seq == seq && error.message[0] != '\0' &&
                    chain_wait(log, head.last_position, CHAIN_SYNCED, NULL) == ERR_IO &&
                    chain_log_close(log, &error) == ERR_IO;
    return is_clean ? 0 : 4;
}

TEST(a_file_that_may_not_grow_gives_a_clean_error) {
    const char *folder = fresh_folder("limit");
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        _exit(append_until_full(folder));
    }
    int state = 0;
    REQUIRE(waitpid(child, &state, 0) == child);
    EXPECT(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    close_log(open_log((struct chain_log_config){.folder = folder}));
    EXPECT(verify_log(folder).is_good);
}

TEST(a_full_disk_gives_a_clean_error_and_keeps_what_was_written) {
    const char *folder = fresh_folder("disk");
    REQUIRE(mkdir(folder, 0700) == 0);
    if (mount("tmpfs", folder, "tmpfs", 0, "size=256k") != 0) {
        SKIP("needs the right to mount");
    }
    struct chain_log_config config = {
        .folder = folder, .segment_bytes = 64 << 10, .buffer_bytes = 4096};
    log_set_level(LOG_ERROR);
    struct chain_log *log = open_log(config);
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head head = open_head(log, "full", nonce);
    struct buf data = {0};
    struct error error = {0};
    enum status status = OK;
    for (int i = 0; status == OK && i < 100000; i++) {
        event_data(&data, nonce, head.next_seq, 100);
        status = chain_append(log, &head, "x", buf_slice(&data), NULL, &error);
    }
    EXPECT(status == ERR_IO);
    EXPECT_CONTAINS(error.message, "No space left");
    buf_release(&data);
    struct chain_stats stats;
    chain_log_stats(log, &stats);
    EXPECT(chain_log_close(log, NULL) == ERR_IO);
    struct chain_verdict verdict = verify_log(folder);
    EXPECT(verdict.is_good && verdict.events > 100);
    log = open_log((struct chain_log_config){.folder = folder, .read_only = true});
    EXPECT_U64(read_chain(log, "full", 0), verdict.events);
    close_log(log);
    (void)umount2(folder, MNT_DETACH);
}

int main(void) {
    return test_main();
}

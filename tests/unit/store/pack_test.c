// SPDX-License-Identifier: Apache-2.0
// Values that events name by their hash: kept once, in packs, through crashes, damage and
// collection.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "store/pack_file.h"
#include "store/store.h"
#include "test.h"

static const char *fresh_folder(void) {
    static char path[600];
    static const char *base;
    static int number;
    base = base == NULL ? test_folder() : base;
    (void)snprintf(path, sizeof path, "%s/%d", base, number++);
    REQUIRE(mkdir(path, 0700) == 0);
    return path;
}

static struct store *open_store(const char *folder, bool read_only) {
    struct store_config config = {
        .data_folder = folder, .env = env_system(), .read_only = read_only, .no_sync = true};
    struct store *store = NULL;
    struct error error = {0};
    REQUIRE_OK(store_open(&config, &store, &error), error);
    return store;
}

// The content of `bytes` bytes that begins with the number, and its hash; free with bytes_unref.
static struct bytes *content_of(uint32_t number, size_t bytes, uint8_t hash[SHA256_BYTES]) {
    struct bytes *content = bytes_new(bytes);
    memset(content->data, (int)(number % 251), bytes);
    memcpy(content->data, &number, sizeof number);
    sha256(bytes_slice(content), hash);
    return content;
}

static void keep(struct store *store, uint32_t number, size_t bytes) {
    uint8_t hash[SHA256_BYTES];
    struct bytes *content = content_of(number, bytes, hash);
    struct error error = {0};
    if (store_keep_value(store, bytes_slice(content), hash, &error) != OK) {
        test_report(__FILE__, __LINE__, "%s", error.message);
    }
    bytes_unref(content);
}

static enum status read_back(struct store *store, uint32_t number, size_t bytes) {
    uint8_t hash[SHA256_BYTES];
    struct bytes *content = content_of(number, bytes, hash);
    struct bytes *found = NULL;
    enum status status = store_read(store, hash, UINT64_MAX, &found, NULL);
    if (status == OK) {
        EXPECT(slice_equal(bytes_slice(found), bytes_slice(content)));
        bytes_unref(found);
    }
    bytes_unref(content);
    return status;
}

static char *pack_path(const char *folder, int number) {
    char name[64];
    (void)snprintf(name, sizeof name, "store/packs/%08d.pack", number);
    return file_join(folder, name);
}

// 0 when there is none.
static uint64_t pack_bytes(const char *folder, int number) {
    char *path = pack_path(folder, number);
    struct stat info;
    bool is_there = stat(path, &info) == 0;
    free(path);
    return is_there ? (uint64_t)info.st_size : 0;
}

// Flips a byte of the file, or cuts it there.
static void damage(const char *folder, int number, uint64_t offset, bool cuts) {
    char *path = pack_path(folder, number);
    int file = open(path, O_RDWR);
    uint8_t byte = 0;
    REQUIRE(file >= 0 && pread(file, &byte, 1, (off_t)offset) == 1);
    byte ^= 1;
    REQUIRE(cuts ? ftruncate(file, (off_t)offset) == 0
                 : pwrite(file, &byte, 1, (off_t)offset) == 1);
    close(file);
    free(path);
}

static void note_complaint(void *context, const char *text) {
    buf_format(context, "%s\n", text);
}

static struct store_verdict verify(struct store *store, struct buf *complaints) {
    struct store_verdict verdict = {0};
    struct error error = {0};
    REQUIRE_OK(store_verify(store, note_complaint, complaints, &verdict, &error), error);
    return verdict;
}

// ---- keeping
// ---------------------------------------------------------------------------------------

TEST(a_value_is_kept_once_and_found_again) {
    const char *folder = fresh_folder();
    struct store *store = open_store(folder, false);
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 100; i++) {
            keep(store, i, 5000 + i);
        }
    }
    EXPECT(store_sync(store, NULL) == OK);
    // A header of the file, and one for each.
    EXPECT_U64(pack_bytes(folder, 1), 16 + 100 * (5000 + 48) + 99 * 100 / 2);
    for (uint32_t i = 0; i < 100; i++) {
        EXPECT_U64(read_back(store, i, 5000 + i), OK);
    }
    EXPECT_U64(read_back(store, 1, 5000), ERR_NOT_FOUND);
    uint8_t hash[SHA256_BYTES];
    struct bytes *content = content_of(7, 5007, hash), *found = NULL;
    EXPECT_U64(store_read(store, hash, 5006, &found, NULL), ERR_LIMIT);
    bytes_unref(content);
    store_close(store);
    // The next run finds all, keeps none of them again, and goes on in the same file.
    uint64_t before = pack_bytes(folder, 1);
    store = open_store(folder, false);
    for (uint32_t i = 0; i < 100; i++) {
        keep(store, i, 5000 + i);
        EXPECT_U64(read_back(store, i, 5000 + i), OK);
    }
    EXPECT_U64(pack_bytes(folder, 1), before);
    keep(store, 100, 5000);
    EXPECT_U64(pack_bytes(folder, 1), before + 5048);
    store_close(store);
    store = open_store(folder, true);
    struct buf complaints = {0};
    struct store_verdict verdict = verify(store, &complaints);
    EXPECT_U64(verdict.contents, 101);
    EXPECT_U64(verdict.damaged + verdict.missing, 0);
    EXPECT_TEXT(buf_text(&complaints), "");
    store_close(store);
    buf_release(&complaints);
}

TEST(what_is_a_file_already_is_not_kept_once_more) {
    const char *folder = fresh_folder();
    struct store *store = open_store(folder, false);
    uint8_t hash[SHA256_BYTES];
    struct bytes *content = content_of(1, 10000, hash);
    EXPECT(store_keep(store, bytes_slice(content), hash, NULL) == OK);
    EXPECT(store_keep_value(store, bytes_slice(content), hash, NULL) == OK);
    EXPECT(store_keep_value(store, bytes_slice(content), hash, NULL) == OK);
    EXPECT(store_sync(store, NULL) == OK);
    EXPECT_U64(pack_bytes(folder, 1), 0);
    // And the other way round: a store of an actor takes what is in a pack.
    keep(store, 2, 10000);
    static const char id[] = "00000000-0000-4000-8000-00000000000a";
    struct store_place place = {.actor = "a", .id = slice_text(id)};
    struct store_limits wide = {.bytes = 1U << 30, .contents = 1000};
    struct store_content put = {0};
    struct bytes *second = content_of(2, 10000, put.hash), *found = NULL;
    put.content = bytes_slice(second);
    EXPECT(store_new(store, "a", id, NULL) == OK);
    EXPECT(store_put(store, &place, &put, &wide, NULL) == OK);
    REQUIRE(store_get(store, &place, put.hash, 10000, &found, NULL) == OK);
    EXPECT(slice_equal(bytes_slice(found), put.content));
    struct buf complaints = {0};
    struct store_verdict verdict = verify(store, &complaints);
    EXPECT_U64(verdict.contents, 2);
    EXPECT_TEXT(buf_text(&complaints), "");
    buf_release(&complaints);
    bytes_unref(found);
    bytes_unref(second);
    bytes_unref(content);
    store_close(store);
}

struct keeper {
    struct store *store;
    uint32_t number;
};

static void *keep_many(void *argument) {
    const struct keeper *keeper = argument;
    for (uint32_t i = 0; i < 60; i++) {
        // Some of them the same as those of the other threads.
        keep(keeper->store, i % 3 == 0 ? i : i * 4 + keeper->number, i % 2 == 0 ? 500000 : 5000);
        if (i % 16 == keeper->number) {
            EXPECT(store_sync(keeper->store, NULL) == OK);
        }
    }
    return NULL;
}

TEST(threads_keep_at_once_over_several_files) {
    const char *folder = fresh_folder();
    struct store *store = open_store(folder, false);
    for (uint32_t round = 0; round < 3; round++) {
        struct keeper keepers[4];
        pthread_t threads[4];
        for (uint32_t i = 0; i < 4; i++) {
            keepers[i] = (struct keeper){.store = store, .number = i + round * 1000};
            REQUIRE(pthread_create(&threads[i], NULL, keep_many, &keepers[i]) == 0);
        }
        for (uint32_t i = 0; i < 4; i++) {
            (void)pthread_join(threads[i], NULL);
        }
    }
    EXPECT(pack_bytes(folder, 2) > 0);
    store_close(store);
    store = open_store(folder, false);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 60; i++) {
            for (uint32_t thread = 0; thread < 4; thread++) {
                uint32_t number = i % 3 == 0 ? i : i * 4 + thread + round * 1000;
                EXPECT_U64(read_back(store, number, i % 2 == 0 ? 500000 : 5000), OK);
            }
        }
    }
    store_close(store);
}

TEST(a_reader_beside_the_node_sees_what_came_after_it) {
    const char *folder = fresh_folder();
    struct store *store = open_store(folder, false);
    keep(store, 1, 5000);
    struct store *reader = open_store(folder, true);
    EXPECT_U64(read_back(reader, 1, 5000), OK);
    EXPECT_U64(read_back(reader, 2, 5000), ERR_NOT_FOUND);
    keep(store, 2, 5000);
    EXPECT_U64(read_back(reader, 2, 5000), OK);
    store_close(store);
    EXPECT_U64(read_back(reader, 1, 5000), OK);
    store_close(reader);
}

// ---- crashes and damage
// ----------------------------------------------------------------------------

TEST(a_killed_process_loses_no_value) {
    const char *folder = fresh_folder();
    for (uint32_t run = 0; run < 3; run++) {
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            struct store *store = open_store(folder, false);
            for (uint32_t i = 0; i < 50; i++) {
                keep(store, run * 50 + i, i == 7 ? 100000 : 5000);
            }
            (void)kill(getpid(), SIGKILL);
        }
        int how = 0;
        REQUIRE(waitpid(child, &how, 0) == child && WIFSIGNALED(how));
    }
    struct store *store = open_store(folder, false);
    for (uint32_t i = 0; i < 150; i++) {
        EXPECT_U64(read_back(store, i, i % 50 == 7 ? 100000 : 5000), OK);
    }
    // All that was written is whole, so the same file is gone on with.
    EXPECT_U64(pack_bytes(folder, 2), 0);
    store_close(store);
}

// A pack of ten values, without an index; with `last`, which may be empty, behind them.
static const char *unfinished_pack_with(struct slice last) {
    const char *folder = fresh_folder();
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        struct store *store = open_store(folder, false);
        for (uint32_t i = 0; i < 10; i++) {
            keep(store, i, 5000);
        }
        uint8_t hash[SHA256_BYTES];
        sha256(last, hash);
        if (last.size > 0) {
            (void)!store_keep_value(store, last, hash, NULL);
        }
        (void)kill(getpid(), SIGKILL);
    }
    int how = 0;
    REQUIRE(waitpid(child, &how, 0) == child && WIFSIGNALED(how));
    return folder;
}

static const char *unfinished_pack(void) {
    const char *folder = unfinished_pack_with(slice_of(NULL, 0));
    EXPECT_U64(pack_bytes(folder, 1), 16 + 10 * 5048);
    return folder;
}

TEST(a_value_that_looks_like_an_index_is_none) {
    enum { FILLER = 200 };
    // Where the value's end would be an index, an empty one.
    uint64_t offset = 16 + 10 * 5048 + PACK_RECORD_BYTES + FILLER;
    struct pack_entries none = {0};
    uint64_t end = 0;
    uint8_t value[FILLER + 1000] = {0};
    FILE *file = tmpfile();
    REQUIRE(file != NULL && pack_write_index(fileno(file), offset, &none, &end) == 0);
    size_t size = FILLER + (size_t)(end - offset);
    REQUIRE(size <= sizeof value && pread(fileno(file), value + FILLER, size - FILLER,
                                          (off_t)offset) == (ssize_t)(size - FILLER));
    (void)fclose(file);
    log_set_level(LOG_ERROR);
    const char *folder = unfinished_pack_with(slice_of(value, size));
    for (int opening = 0; opening < 2; opening++) {
        struct store *store = open_store(folder, opening == 1);
        uint8_t hash[SHA256_BYTES];
        sha256(slice_of(value, size), hash);
        EXPECT(store_holds(store, hash));
        for (uint32_t i = 0; i < 10; i++) {
            EXPECT_U64(read_back(store, i, 5000), OK);
        }
        store_close(store);
    }
}

TEST(what_a_power_loss_left_half_is_left_out) {
    log_set_level(LOG_ERROR);
    // Cut at every tenth of the last record, its header included; then more is kept.
    for (uint64_t cut = 9 * 5048 + 17; cut < 10 * 5048 + 16; cut += 24) {
        const char *folder = unfinished_pack();
        damage(folder, 1, cut, true);
        for (int opening = 0; opening < 2; opening++) {
            struct store *store = open_store(folder, false);
            for (uint32_t i = 0; i < 9; i++) {
                EXPECT_U64(read_back(store, i, 5000), OK);
            }
            EXPECT_U64(read_back(store, 9, 5000), opening == 0 ? ERR_NOT_FOUND : OK);
            keep(store, 9, 5000);
            EXPECT_U64(read_back(store, 9, 5000), OK);
            store_close(store);
        }
        EXPECT(pack_bytes(folder, 2) > 0);
        cut += cut > 9 * 5048 + 100 ? 1000 : 0;
    }
}

TEST(a_value_that_was_being_written_hides_none_behind_it) {
    const char *folder = unfinished_pack();
    damage(folder, 1, 16 + 4 * 5048 + 48 + 100, false);
    struct store *store = open_store(folder, false);
    for (uint32_t i = 0; i < 10; i++) {
        EXPECT_U64(read_back(store, i, 5000), i == 4 ? ERR_NOT_FOUND : OK);
    }
    store_close(store);
}

enum { FILLING = 135, FILLING_BYTES = 500000 };  // that many fill a pack

// In a child, because the ignored signal stays. The exit code says what was wrong.
static int fill_where_no_index_fits(const char *folder) {
    struct store *store = open_store(folder, false);
    for (uint32_t i = 0; i < FILLING; i++) {
        keep(store, i, FILLING_BYTES);
    }
    struct rlimit limit;
    (void)signal(SIGXFSZ, SIG_IGN);
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 2;
    }
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)pack_bytes(folder, 1);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 3;
    }
    log_set_level(LOG_ERROR);
    keep(store, FILLING, 5000);
    if (pack_bytes(folder, 2) == 0 || store_sync(store, NULL) != OK) {
        return 4;
    }
    keep(store, FILLING + 1, 5000);
    limit.rlim_cur = before;
    bool is_good = setrlimit(RLIMIT_FSIZE, &limit) == 0 && store_sync(store, NULL) == OK &&
                   read_back(store, 0, FILLING_BYTES) == OK;
    store_close(store);
    return is_good ? 0 : 5;
}

TEST(a_pack_that_gets_no_index_for_lack_of_room_fails_no_sync) {
    const char *folder = fresh_folder();
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        _exit(fill_where_no_index_fits(folder));
    }
    int state = 0;
    REQUIRE(waitpid(child, &state, 0) == child);
    EXPECT(WIFEXITED(state));
    EXPECT_U64(WEXITSTATUS(state), 0);
    struct store *store = open_store(folder, false);
    for (uint32_t i = 0; i < FILLING + 2; i++) {
        EXPECT_U64(read_back(store, i, i < FILLING ? FILLING_BYTES : 5000), OK);
    }
    store_close(store);
}

TEST(damage_is_told_and_the_rest_can_be_read) {
    const char *folder = fresh_folder();
    struct store *store = open_store(folder, false);
    for (uint32_t i = 0; i < 10; i++) {
        keep(store, i, 5000);
    }
    store_close(store);
    damage(folder, 1, 16 + 4 * 5048 + 48 + 100, false);
    store = open_store(folder, false);
    for (uint32_t i = 0; i < 10; i++) {
        EXPECT_U64(read_back(store, i, 5000), i == 4 ? ERR_DAMAGED : OK);
    }
    struct buf complaints = {0};
    struct store_verdict verdict = verify(store, &complaints);
    EXPECT_U64(verdict.contents, 10);
    EXPECT_U64(verdict.damaged, 1);
    EXPECT_CONTAINS(buf_text(&complaints), "is damaged: its bytes have another hash");
    buf_release(&complaints);
    store_close(store);
}

// Whatever byte is wrong: opening goes well, and what is read is right or an error.
TEST(no_flipped_byte_of_a_pack_gives_wrong_bytes) {
    log_set_level(LOG_ERROR);
    const char *folder = fresh_folder();
    struct store *store = open_store(folder, false);
    for (uint32_t i = 0; i < 3; i++) {
        keep(store, i, 4100);
    }
    store_close(store);
    char *path = pack_path(folder, 1);
    struct bytes *whole = NULL;
    struct error error = {0};
    REQUIRE_OK(file_read(path, 1 << 20, &whole, &error), error);
    for (uint64_t at = 0; at < whole->size; at += at % 4148 < 100 || at > 12400 ? 1 : 401) {
        REQUIRE_OK(file_write_atomic(path, bytes_slice(whole), 0600, &error), error);
        char *second = pack_path(folder, 2);
        (void)unlink(second);
        free(second);
        damage(folder, 1, at, false);
        store = open_store(folder, false);
        int missing = 0;
        for (uint32_t i = 0; i < 3; i++) {
            missing += read_back(store, i, 4100) != OK;
        }
        EXPECT(missing <= 3);
        keep(store, 99, 4100);
        EXPECT_U64(read_back(store, 99, 4100), OK);
        store_close(store);
    }
    bytes_unref(whole);
    free(path);
}

// ---- collection
// ------------------------------------------------------------------------------------

TEST(collection_gives_back_the_space_of_what_nobody_names) {
    const char *folder = fresh_folder();
    struct store *store = open_store(folder, false);
    for (uint32_t i = 0; i < 1000; i++) {
        keep(store, i, 100000);
    }
    store_close(store);
    EXPECT(pack_bytes(folder, 2) > 0);
    for (int round = 0; round < 2; round++) {
        store = open_store(folder, false);
        struct store_collection *collection = NULL;
        struct store_collected result;
        struct error error = {0};
        REQUIRE_OK(store_collect_begin(store, &collection, &error), error);
        for (uint32_t i = 0; i < 1000; i += 10) {
            uint8_t hash[SHA256_BYTES];
            bytes_unref(content_of(i, 100000, hash));
            REQUIRE_OK(store_collect_keep(collection, hash, &error), error);
        }
        REQUIRE_OK(store_collect_end(collection, OK, false, &result, &error), error);
        EXPECT_U64(result.kept, 100);
        EXPECT_U64(result.removed, round == 0 ? 900 : 0);
        EXPECT_U64(result.removed_bytes, round == 0 ? 90000000 : 0);
        store_close(store);
        uint64_t left = 0;
        for (int i = 1; i < 8; i++) {
            left += pack_bytes(folder, i);
        }
        EXPECT(left < 11000000);
    }
    store = open_store(folder, false);
    for (uint32_t i = 0; i < 1000; i++) {
        EXPECT_U64(read_back(store, i, 100000), i % 10 == 0 ? OK : ERR_NOT_FOUND);
    }
    struct buf complaints = {0};
    EXPECT_U64(verify(store, &complaints).contents, 100);
    EXPECT_TEXT(buf_text(&complaints), "");
    buf_release(&complaints);
    store_close(store);
}

int main(void) {
    return test_main();
}

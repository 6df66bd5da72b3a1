// SPDX-License-Identifier: Apache-2.0
// What the store does when a sync or a rename fails, one after the other, and in which order it
// does them: what this program defines stands before the C library's functions, also for SQLite.
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/store.h"
#include "test.h"

#define ID "00000000-0000-4000-8000-00000000000a"

static const struct store_place A = {.actor = "alice", .id = {(const uint8_t *)ID, 36}};
static const struct store_limits WIDE = {.bytes = 1U << 30, .contents = 1000};

// ---- the functions that fail
// -----------------------------------------------------------------------

static int fail_at;      // counts down; the call that reaches 0 fails
static char steps[100];  // what was done since the last reset: a letter each
static size_t step_count;

static void reset(int number) {
    fail_at = number;
    step_count = 0;
    memset(steps, 0, sizeof steps);
}

static bool must_fail(char step) {
    if (step_count < sizeof steps - 1) {
        steps[step_count++] = step;
    }
    if (fail_at == 0 || --fail_at > 0) {
        return false;
    }
    errno = EIO;
    return true;
}

// A content's file, or a folder.
int fsync(int handle) {
    struct stat info;
    bool is_folder = fstat(handle, &info) == 0 && S_ISDIR(info.st_mode);
    return must_fail(is_folder ? 'D' : 'F') ? -1 : (int)syscall(SYS_fsync, handle);
}

// The catalogue's files.
int fdatasync(int handle) {
    return must_fail('C') ? -1 : (int)syscall(SYS_fdatasync, handle);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return must_fail('R') ? -1 : (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
}

// ---- the tests
// -------------------------------------------------------------------------------------

// A folder for each test.
static const char *folder_of(const char *name) {
    static char path[600];
    static const char *base;
    base = base == NULL ? test_folder() : base;
    (void)snprintf(path, sizeof path, "%s/%s", base, name);
    (void)mkdir(path, 0700);
    return path;
}

static struct store *open_store(const char *name) {
    const char *folder = folder_of(name);
    struct store_config config = {.data_folder = folder, .env = env_system()};
    struct store *store = NULL;
    struct error error = {0};
    if (store_open(&config, &store, &error) != OK) {
        test_report(__FILE__, __LINE__, "%s", error.message);
    }
    REQUIRE(store != NULL);
    return store;
}

static enum status put(struct store *store, const char *text, enum store_change change,
                       struct error *error) {
    struct slice label = slice_text("label");
    struct store_content content = {.content = slice_text(text), .label = &label, .change = change};
    sha256(content.content, content.hash);
    return store_put(store, &A, &content, &WIDE, error);
}

// The content that the label names; "" for none. It must be there.
static void read_label(struct store *store, char out[32]) {
    uint8_t hash[SHA256_BYTES];
    bool found = false;
    struct error error = {0};
    struct bytes *content = NULL;
    out[0] = '\0';
    if (store_find_label(store, &A, slice_text("label"), &found, hash, &error) != OK ||
        (found && store_get(store, &A, hash, 31, &content, &error) != OK)) {
        test_report(__FILE__, __LINE__, "%s", error.message);
    } else if (found) {
        memcpy(out, content->data, content->size);
        out[content->size] = '\0';
    }
    bytes_unref(content);
}

static void complain(void *context, const char *text) {
    (void)context;
    test_report(__FILE__, __LINE__, "%s", text);
}

static void expect_sound(struct store *store) {
    struct store_verdict verdict;
    EXPECT(store_verify(store, complain, NULL, &verdict, NULL) == OK);
}

TEST(content_is_on_disk_before_the_catalogue_names_it) {
    struct store *store = open_store("order");
    EXPECT(store_new(store, "alice", ID, NULL) == OK);
    reset(0);
    EXPECT(put(store, "one", STORE_ADD, NULL) == OK);
    EXPECT_TEXT(steps, "FRDC");
    // What is known to be on disk is not synced again, but for its new place in the label.
    reset(0);
    EXPECT(put(store, "one", STORE_REPLACE, NULL) == OK);
    EXPECT_TEXT(steps, "C");
    // In another store, or kept for a chain: somebody else may have written it a moment ago.
    uint8_t hash[SHA256_BYTES];
    sha256(slice_text("two"), hash);
    EXPECT(store_keep(store, slice_text("two"), hash, NULL) == OK);
    reset(0);
    EXPECT(put(store, "two", STORE_ADD, NULL) == OK);
    EXPECT_TEXT(steps, "DC");
    store_close(store);
}

TEST(whatever_fails_is_an_error_and_changes_nothing) {
    struct store *store = open_store("faults");
    EXPECT(store_new(store, "alice", ID, NULL) == OK);
    EXPECT(put(store, "old", STORE_REPLACE, NULL) == OK);
    static const char *const wanted[] = {"stored: Input/output error", "stored: Input/output error",
                                         "stored: Input/output error", "catalogue cannot be used"};
    for (int i = 1;; i++) {
        char text[32], label[32];
        struct error error = {0};
        (void)snprintf(text, sizeof text, "new %d", i);
        reset(i);
        enum status status = put(store, text, STORE_REPLACE, &error);
        bool has_failed = fail_at == 0;
        reset(0);
        read_label(store, label);
        if (!has_failed) {
            EXPECT_U64(i, COUNT_OF(wanted) + 1);
            EXPECT(status == OK);
            EXPECT_TEXT(label, text);
            break;
        }
        EXPECT(status == ERR_IO);
        EXPECT_CONTAINS(error.message, wanted[i - 1]);
        EXPECT_TEXT(label, "old");
        expect_sound(store);
        // Nor after the process came back; and then it works.
        store_close(store);
        store = open_store("faults");
        read_label(store, label);
        EXPECT_TEXT(label, "old");
        EXPECT(put(store, text, STORE_ADD, NULL) == OK);
        EXPECT(put(store, "old", STORE_REPLACE, NULL) == OK);
        expect_sound(store);
    }
    store_close(store);
}

TEST(a_store_that_cannot_be_written_is_not_made) {
    struct store *store = open_store("new");
    reset(1);
    struct error error = {0};
    const char *id = "00000000-0000-4000-8000-00000000000b";
    EXPECT(store_new(store, "alice", id, &error) == ERR_IO);
    reset(0);
    struct store_place place = {.actor = "alice", .id = slice_text(id)};
    uint64_t bytes = 0;
    EXPECT(store_total_bytes(store, &place, &bytes, NULL) == ERR_NOT_FOUND);
    EXPECT(store_new(store, "alice", id, NULL) == OK);
    EXPECT(store_total_bytes(store, &place, &bytes, NULL) == OK);
    store_close(store);
}

int main(void) {
    return test_main();
}

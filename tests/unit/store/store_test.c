// SPDX-License-Identifier: Apache-2.0
// The content store: contents kept once, stores and their owners, labels, limits, damage, crashes.
#include "store/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "test.h"

#define ID_A "00000000-0000-4000-8000-00000000000a"
#define ID_B "00000000-0000-4000-8000-00000000000b"

static const struct store_limits WIDE = {.bytes = 1U << 30, .contents = 1000000};
static const struct store_place A = {.actor = "alice", .id = {(const uint8_t *)ID_A, 36}};

static struct store *open_store(const char *folder, bool read_only) {
    struct store_config config = {
        .data_folder = folder, .env = env_system(), .read_only = read_only, .no_sync = true};
    struct store *store = NULL;
    struct error error = {0};
    if (store_open(&config, &store, &error) != OK) {
        test_report(__FILE__, __LINE__, "%s", error.message);
    }
    REQUIRE(store != NULL);
    return store;
}

static const char *fresh_folder(void) {
    static char path[600];
    static const char *base;
    static int number;
    base = base == NULL ? test_folder() : base;
    (void)snprintf(path, sizeof path, "%s/%d", base, number++);
    REQUIRE(mkdir(path, 0700) == 0);
    return path;
}

// A store in a fresh folder, in which alice has made one.
static struct store *new_store(void) {
    struct store *store = open_store(fresh_folder(), false);
    REQUIRE(store_new(store, "alice", ID_A, NULL) == OK);
    return store;
}

static void hash_of(const char *text, uint8_t hash[SHA256_BYTES]) {
    sha256(slice_text(text), hash);
}

static enum status put(struct store *store, const struct store_place *place, const char *text,
                       const char *label, enum store_change change, struct error *error) {
    struct slice name = slice_text(label != NULL ? label : "");
    struct store_content content = {
        .content = slice_text(text), .label = label != NULL ? &name : NULL, .change = change};
    hash_of(text, content.hash);
    return store_put(store, place, &content, &WIDE, error);
}

#define PUT(store, text) EXPECT(put(store, &A, text, NULL, STORE_ADD, NULL) == OK)
#define PUT_AT(store, label, text) EXPECT(put(store, &A, text, label, STORE_ADD, NULL) == OK)

static void expect_content(int line, struct store *store, const struct store_place *place,
                           const char *text) {
    uint8_t hash[SHA256_BYTES];
    struct bytes *content = NULL;
    struct error error = {0};
    hash_of(text, hash);
    if (store_get(store, place, hash, 1000000, &content, &error) != OK ||
        !slice_equal_text(bytes_slice(content), text)) {
        test_report(__FILE__, line, "%s: %s", text, error.message);
    }
    bytes_unref(content);
}
#define EXPECT_CONTENT(store, text) expect_content(__LINE__, store, &A, text)

static void expect_no_content(int line, struct store *store, const struct store_place *place,
                              const char *text, enum status wanted) {
    uint8_t hash[SHA256_BYTES];
    struct bytes *content = NULL;
    hash_of(text, hash);
    enum status status = store_get(store, place, hash, 1000000, &content, NULL);
    if (status != wanted) {
        test_report(__FILE__, line, "%s: %s, expected %s", text, status_text(status),
                    status_text(wanted));
    }
    bytes_unref(content);
}

static void expect_label(int line, struct store *store, const char *label, const char *text) {
    uint8_t hash[SHA256_BYTES], wanted[SHA256_BYTES];
    bool found = false;
    EXPECT(store_find_label(store, &A, slice_text(label), &found, hash, NULL) == OK);
    hash_of(text != NULL ? text : "", wanted);
    if (found != (text != NULL) || (found && memcmp(hash, wanted, sizeof hash) != 0)) {
        test_report(__FILE__, line, "label %s is not %s", label, text != NULL ? text : "absent");
    }
}
#define EXPECT_LABEL(store, label, text) expect_label(__LINE__, store, label, text)

static void set_label(int line, struct store *store, const char *label, enum store_change change,
                      const char *text) {
    uint8_t hash[SHA256_BYTES];
    struct error error = {0};
    hash_of(text, hash);
    if (store_label(store, &A, slice_text(label), change, hash, &error) != OK) {
        test_report(__FILE__, line, "%s", error.message);
    }
}
#define LABEL(store, label, text) set_label(__LINE__, store, label, STORE_ADD, text)

static void unlabel(struct store *store, const char *label, const char *text) {
    uint8_t hash[SHA256_BYTES];
    hash_of(text != NULL ? text : "", hash);
    EXPECT(store_unlabel(store, &A, slice_text(label), text != NULL ? hash : NULL, NULL) == OK);
}

static enum status add_line(void *context, struct slice label, const uint8_t hash[SHA256_BYTES],
                            struct error *error) {
    (void)error;
    buf_format(context, "%.*s:%02x ", (int)label.size, (const char *)label.data, hash[0]);
    return OK;
}

static uint64_t total(struct store *store) {
    uint64_t bytes = 0;
    EXPECT(store_total_bytes(store, &A, &bytes, NULL) == OK);
    return bytes;
}

static void ignore_complaint(void *context, const char *text) {
    (void)context;
    (void)text;
}

static void note_complaint(void *context, const char *text) {
    buf_format(context, "%s\n", text);
}

static void expect_sound(int line, struct store *store) {
    struct store_verdict verdict;
    struct buf text = {0};
    struct error error = {0};
    if (store_verify(store, note_complaint, &text, &verdict, &error) != OK ||
        verdict.damaged + verdict.missing > 0) {
        test_report(__FILE__, line, "not sound: %s%s", error.message, buf_text(&text));
    }
    buf_release(&text);
}
#define EXPECT_SOUND(store) expect_sound(__LINE__, store)

// ---- contents and owners
// ---------------------------------------------------------------------------

TEST(gives_back_what_was_put_and_counts_it_once) {
    struct store *store = new_store();
    PUT(store, "one");
    PUT(store, "one");
    PUT(store, "");
    PUT(store, "three");
    EXPECT_CONTENT(store, "one");
    EXPECT_CONTENT(store, "");
    expect_no_content(__LINE__, store, &A, "two", ERR_NOT_FOUND);
    EXPECT_U64(total(store), 8);
    EXPECT_SOUND(store);
    store_close(store);
}

TEST(a_catalogue_that_was_lost_leaves_the_contents) {
    const char *folder = fresh_folder();
    char path[700];
    struct store *store = open_store(folder, false);
    EXPECT(store_new(store, "alice", ID_A, NULL) == OK);
    PUT(store, "one");
    store_close(store);
    (void)snprintf(path, sizeof path, "%s/catalogue.db", folder);
    EXPECT(unlink(path) == 0);
    log_set_level(LOG_ERROR);  // it warns
    store = open_store(folder, false);
    expect_no_content(__LINE__, store, &A, "one", ERR_NOT_FOUND);
    uint8_t hash[SHA256_BYTES];
    struct bytes *content = NULL;
    hash_of("one", hash);
    EXPECT(store_read(store, hash, 100, &content, NULL) == OK);
    bytes_unref(content);
    store_close(store);
}

TEST(a_store_is_nobody_elses) {
    struct store *store = new_store();
    EXPECT(store_new(store, "bob", ID_B, NULL) == OK);
    PUT(store, "secret");
    struct store_place foreign = {.actor = "bob", .id = A.id};
    struct store_place own = {.actor = "bob", .id = slice_text(ID_B)};
    struct store_place nowhere = {.actor = "bob", .id = slice_text("no such id")};
    struct error error = {0};
    EXPECT(put(store, &foreign, "x", NULL, STORE_ADD, &error) == ERR_NOT_FOUND);
    EXPECT_TEXT(error.message, "store not found");
    error_clear(&error);
    EXPECT(put(store, &nowhere, "x", NULL, STORE_ADD, &error) == ERR_NOT_FOUND);
    EXPECT_TEXT(error.message, "store not found");
    // Nor can it be had by guessing a hash, though the file is the same for all.
    expect_no_content(__LINE__, store, &own, "secret", ERR_NOT_FOUND);
    uint8_t hash[SHA256_BYTES];
    hash_of("secret", hash);
    error_clear(&error);
    EXPECT(store_label(store, &own, slice_text("l"), STORE_ADD, hash, &error) == ERR_NOT_FOUND);
    EXPECT_CONTAINS(error.message, "content does not exist: 2bb80d537b1da3e38bd30361aa855686");
    EXPECT(put(store, &own, "secret", NULL, STORE_ADD, NULL) == OK);
    expect_content(__LINE__, store, &own, "secret");
    // The user sees every store.
    struct store_place user = {.id = A.id};
    expect_content(__LINE__, store, &user, "secret");
    store_close(store);
}

TEST(everything_is_there_after_reopening) {
    const char *folder = fresh_folder();
    struct store *store = open_store(folder, false);
    EXPECT(store_new(store, "alice", ID_A, NULL) == OK);
    PUT_AT(store, "l", "one");
    store_close(store);
    store = open_store(folder, false);
    EXPECT_LABEL(store, "l", "one");
    EXPECT_CONTENT(store, "one");
    // And beside a live node.
    struct store *reader = open_store(folder, true);
    PUT_AT(store, "l", "two");
    EXPECT_LABEL(reader, "l", "two");
    EXPECT_CONTENT(reader, "two");
    store_close(reader);
    store_close(store);
}

// ---- labels
// ----------------------------------------------------------------------------------------

TEST(a_label_gives_its_newest_reference) {
    struct store *store = new_store();
    PUT_AT(store, "l", "one");
    PUT_AT(store, "l", "two");
    PUT(store, "three");
    LABEL(store, "l", "three");
    EXPECT_LABEL(store, "l", "three");
    LABEL(store, "l", "one");  // again: it becomes the newest
    EXPECT_LABEL(store, "l", "one");
    unlabel(store, "l", "one");
    EXPECT_LABEL(store, "l", "three");
    unlabel(store, "l", "two");  // not the newest
    EXPECT_LABEL(store, "l", "three");
    unlabel(store, "l", "three");
    EXPECT_LABEL(store, "l", NULL);
    unlabel(store, "l", NULL);
    unlabel(store, "never", "one");
    EXPECT_CONTENT(store, "two");
    EXPECT_SOUND(store);
    store_close(store);
}

TEST(replacing_leaves_one_reference) {
    struct store *store = new_store();
    PUT_AT(store, "l", "one");
    PUT_AT(store, "l", "two");
    PUT_AT(store, "m", "two");
    EXPECT(put(store, &A, "three", "l", STORE_REPLACE, NULL) == OK);
    EXPECT_LABEL(store, "l", "three");
    unlabel(store, "l", "three");
    EXPECT_LABEL(store, "l", NULL);
    EXPECT_LABEL(store, "m", "two");
    set_label(__LINE__, store, "m", STORE_REPLACE, "one");
    EXPECT_LABEL(store, "m", "one");
    EXPECT_SOUND(store);
    store_close(store);
}

TEST(lists_are_in_order_and_may_be_ended) {
    struct store *store = new_store();
    PUT_AT(store, "b", "one");
    PUT_AT(store, "a/b", "two");
    PUT_AT(store, "b", "three");
    PUT_AT(store, "a", "one");
    struct buf text = {0};
    EXPECT(store_list_labels(store, &A, add_line, &text, NULL) == OK);
    EXPECT_TEXT(buf_text(&text), "a:76 a/b:3f b:8b ");
    buf_clear(&text);
    EXPECT(store_list_contents(store, &A, add_line, &text, NULL) == OK);
    EXPECT_TEXT(buf_text(&text), ":3f :76 :8b ");
    buf_release(&text);
    store_close(store);
}

TEST(bad_labels_and_hashes_are_refused) {
    struct store *store = new_store();
    char longest[STORE_LABEL_MOST_BYTES + 2];
    memset(longest, 'x', sizeof longest);
    longest[STORE_LABEL_MOST_BYTES] = '\0';
    PUT_AT(store, longest, "one");
    longest[STORE_LABEL_MOST_BYTES] = 'x';
    longest[STORE_LABEL_MOST_BYTES + 1] = '\0';
    struct error error = {0};
    EXPECT(put(store, &A, "one", longest, STORE_ADD, &error) == ERR_INVALID);
    EXPECT_TEXT(error.message, "a label has at most 1024 bytes, not 1025");
    EXPECT(put(store, &A, "one", "", STORE_ADD, NULL) == ERR_INVALID);
    EXPECT(put(store, &A, "one", "\xff", STORE_ADD, NULL) == ERR_INVALID);
    EXPECT(store_unlabel(store, &A, slice_of("a\0b", 3), NULL, NULL) == ERR_INVALID);
    uint8_t hash[SHA256_BYTES];
    error_clear(&error);
    EXPECT(store_parse_hash(slice_text("AB"), hash, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "64 lower-case hexadecimal digits");
    EXPECT(store_parse_hash(slice_text("2BB80D537B1DA3E38BD30361AA855686BDE0EACD7162FEF6A25FE97BF5"
                                       "27A25B"),
                            hash, NULL) == ERR_INVALID);
    EXPECT_U64(total(store), 3);
    store_close(store);
}

TEST(references_name_contents_by_label_or_hash) {
    struct store *store = new_store();
    PUT_AT(store, "a/b", "one");
    PUT_AT(store, "hash/x", "two");
    static const struct {
        const char *reference, *wanted;
    } cases[] = {
        {"store://" ID_A "/a/b", "one"},
        {"store://" ID_A "/hash/x", "two"},
        {"store://" ID_A "/hash/7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
         "one"},
        {"store://" ID_A "/none", NULL},
        {"store://" ID_A "/", NULL},
        {"store://" ID_A, NULL},
        {"store:///a", NULL},
        {"store://" ID_B "/a/b", NULL},
        {"file:///etc/passwd", NULL}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes *content = NULL;
        struct error error = {0};
        enum status status =
            store_read_reference(store, "alice", cases[i].reference, 100, &content, &error);
        bool is_good = status == OK && cases[i].wanted != NULL &&
                       slice_equal_text(bytes_slice(content), cases[i].wanted);
        if (cases[i].wanted != NULL ? !is_good : status == OK || error.message[0] == '\0') {
            test_report(__FILE__, __LINE__, "%s: %s", cases[i].reference, error.message);
        }
        bytes_unref(content);
    }
    struct bytes *content = NULL;
    EXPECT(store_read_reference(store, "bob", cases[0].reference, 100, &content, NULL) ==
           ERR_NOT_FOUND);
    EXPECT(store_read_reference(store, NULL, cases[0].reference, 2, &content, NULL) == ERR_LIMIT);
    EXPECT(store_read_reference(store, NULL, cases[0].reference, 3, &content, NULL) == OK);
    bytes_unref(content);
    store_close(store);
}

// ---- limits
// ----------------------------------------------------------------------------------------

TEST(an_actors_stores_have_limits_together) {
    struct store *store = new_store();
    EXPECT(store_new(store, "alice", ID_B, NULL) == OK);
    struct store_place second = {.actor = "alice", .id = slice_text(ID_B)};
    struct store_limits limits = {.bytes = 10, .contents = 3};
    struct store_content content = {.content = slice_text("123456")};
    sha256(content.content, content.hash);
    EXPECT(store_put(store, &A, &content, &limits, NULL) == OK);
    EXPECT(store_put(store, &A, &content, &limits, NULL) == OK);
    struct error error = {0};
    EXPECT(store_put(store, &second, &content, &limits, &error) == ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "hold 6 bytes; with 6 more that is over the limit of 10");
    EXPECT(put(store, &second, "1", NULL, STORE_ADD, NULL) == OK);
    EXPECT(put(store, &second, "2", NULL, STORE_ADD, NULL) == OK);
    content.content = slice_text("3");
    sha256(content.content, content.hash);
    error_clear(&error);
    EXPECT(store_put(store, &A, &content, &limits, &error) == ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "hold 3 contents, and 3 is the limit");
    // Refused before anything was written.
    struct bytes *none = NULL;
    EXPECT(store_read(store, content.hash, 10, &none, NULL) == ERR_NOT_FOUND);
    for (int i = 2; i < STORE_MOST_PER_ACTOR; i++) {
        char id[STORE_ID_BYTES];
        env_uuid(env_system(), id);
        REQUIRE(store_new(store, "alice", id, NULL) == OK);
    }
    error_clear(&error);
    EXPECT(store_new(store, "alice", "00000000-0000-4000-8000-00000000000c", &error) == ERR_LIMIT);
    EXPECT(store_new(store, "bob", "00000000-0000-4000-8000-00000000000c", NULL) == OK);
    store_close(store);
}

// ---- damage
// ----------------------------------------------------------------------------------------

// The file of a content.
static void path_of(const char *folder, const char *text, char out[700]) {
    uint8_t hash[SHA256_BYTES];
    char digits[SHA256_TEXT_BYTES];
    hash_of(text, hash);
    sha256_text(hash, digits);
    (void)snprintf(out, 700, "%s/store/%.2s/%s", folder, digits, digits + 2);
}

static void overwrite(const char *path, const char *text) {
    EXPECT(chmod(path, 0600) == 0);
    FILE *file = fopen(path, "w");
    REQUIRE(file != NULL);
    fputs(text, file);
    (void)fclose(file);
}

static bool has_file(const char *folder, const char *text) {
    uint8_t hash[SHA256_BYTES];
    char digits[SHA256_TEXT_BYTES], path[800];
    hash_of(text, hash);
    sha256_text(hash, digits);
    (void)snprintf(path, sizeof path, "%s/store/%.2s/%s", folder, digits, digits + 2);
    return access(path, F_OK) == 0;
}

// What its label cannot take leaves no file either, which nobody would count.
TEST(a_limit_of_labels_is_found_before_anything_is_written) {
    const char *folder = fresh_folder();
    struct store *store = open_store(folder, false);
    REQUIRE(store_new(store, "alice", ID_A, NULL) == OK);
    PUT_AT(store, "there", "one");
    char path[700], sql[100];
    (void)snprintf(path, sizeof path, "%s/catalogue.db", folder);
    (void)snprintf(sql, sizeof sql, "UPDATE stores SET labels = %d", (int)STORE_REFERENCES_MOST);
    sqlite3 *database = NULL;
    REQUIRE(sqlite3_open(path, &database) == SQLITE_OK);
    EXPECT(sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(database);
    EXPECT(put(store, &A, "two", "there", STORE_ADD, NULL) == ERR_LIMIT);
    EXPECT(put(store, &A, "three", "new", STORE_REPLACE, NULL) == ERR_LIMIT);
    EXPECT(!has_file(folder, "two") && !has_file(folder, "three"));
    EXPECT(put(store, &A, "four", "there", STORE_REPLACE, NULL) == OK);
    EXPECT_LABEL(store, "there", "four");
    EXPECT(has_file(folder, "one") && has_file(folder, "four"));
    store_close(store);
}

TEST(damaged_content_is_an_error_and_storing_it_again_repairs_it) {
    const char *folder = fresh_folder();
    struct store *store = open_store(folder, false);
    EXPECT(store_new(store, "alice", ID_A, NULL) == OK);
    char path[700];
    PUT_AT(store, "l", "one");
    PUT(store, "two");
    path_of(folder, "one", path);
    static const char *const damages[] = {"onx", "on", "", "one and more"};
    for (size_t i = 0; i < COUNT_OF(damages); i++) {
        overwrite(path, damages[i]);
        expect_no_content(__LINE__, store, &A, "one", ERR_DAMAGED);
        struct store_verdict verdict;
        struct buf text = {0};
        EXPECT(store_verify(store, note_complaint, &text, &verdict, NULL) == OK);
        EXPECT_U64(verdict.damaged, 1);
        EXPECT_U64(verdict.contents, 2);
        EXPECT_CONTAINS(buf_text(&text),
                        "content 7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e71"
                        "43c0add73ff431ed is damaged: its bytes have another");
        buf_release(&text);
        PUT(store, "one");
        EXPECT_CONTENT(store, "one");
    }
    EXPECT(unlink(path) == 0 && symlink("/etc/hostname", path) == 0);
    expect_no_content(__LINE__, store, &A, "one", ERR_DAMAGED);
    EXPECT(unlink(path) == 0);
    expect_no_content(__LINE__, store, &A, "one", ERR_NOT_FOUND);
    struct store_verdict verdict;
    EXPECT(store_verify(store, ignore_complaint, NULL, &verdict, NULL) == OK);
    EXPECT_U64(verdict.missing, 1);
    PUT(store, "one");
    EXPECT_SOUND(store);
    store_close(store);
}

TEST(a_catalogue_that_is_none_or_newer_is_refused) {
    const char *folder = fresh_folder();
    char path[700];
    store_close(open_store(folder, false));
    (void)snprintf(path, sizeof path, "%s/catalogue.db", folder);
    sqlite3 *database = NULL;
    REQUIRE(sqlite3_open(path, &database) == SQLITE_OK);
    EXPECT(sqlite3_exec(database, "PRAGMA user_version = 99", NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(database);
    struct store_config config = {.data_folder = folder, .env = env_system()};
    struct store *store = NULL;
    struct error error = {0};
    EXPECT(store_open(&config, &store, &error) == ERR_UNSUPPORTED);
    EXPECT_CONTAINS(error.message, "catalogue.db: it was written by a later release");
    overwrite(path, "this is no database, and long enough to be looked at as one ...............");
    error_clear(&error);
    EXPECT(store_open(&config, &store, &error) == ERR_DAMAGED);
    EXPECT_CONTAINS(error.message, "damaged");
    // Reading makes nothing.
    EXPECT(unlink(path) == 0);
    config.read_only = true;
    EXPECT(store_open(&config, &store, NULL) == ERR_NOT_FOUND);
    EXPECT(access(path, F_OK) != 0);
}

// ---- collection
// ------------------------------------------------------------------------------------

static struct store_collected collect(struct store *store, const char *kept, bool is_trial) {
    struct store_collection *collection = NULL;
    struct store_collected result = {0};
    uint8_t hash[SHA256_BYTES];
    REQUIRE(store_collect_begin(store, &collection, NULL) == OK);
    enum status status = OK;
    if (kept != NULL) {
        hash_of(kept, hash);
        status = store_collect_keep(collection, hash, NULL);
    }
    EXPECT(store_collect_end(collection, status, is_trial, &result, NULL) == OK);
    return result;
}

TEST(collects_what_nothing_names) {
    struct store *store = new_store();
    uint8_t hash[SHA256_BYTES];
    PUT_AT(store, "l", "labelled");
    PUT_AT(store, "l", "labelled too");
    PUT(store, "pinned");
    PUT(store, "forgotten");
    hash_of("in no store", hash);
    EXPECT(store_keep(store, slice_text("in no store"), hash, NULL) == OK);
    struct store_collected result = collect(store, "pinned", true);
    EXPECT_U64(result.removed, 2);
    EXPECT_CONTENT(store, "forgotten");
    result = collect(store, "pinned", false);
    EXPECT_U64(result.removed, 2);
    EXPECT_U64(result.removed_bytes, 20);
    EXPECT_U64(result.kept, 3);
    EXPECT_U64(result.kept_bytes, 26);
    EXPECT_CONTENT(store, "labelled");
    EXPECT_CONTENT(store, "labelled too");
    EXPECT_CONTENT(store, "pinned");
    expect_no_content(__LINE__, store, &A, "forgotten", ERR_NOT_FOUND);
    EXPECT_U64(total(store), 26);
    EXPECT_SOUND(store);
    // Again, in the same process; and a label that goes leaves its contents to it.
    unlabel(store, "l", NULL);
    result = collect(store, NULL, false);
    EXPECT_U64(result.removed, 3);
    EXPECT_U64(total(store), 0);
    PUT(store, "forgotten");
    EXPECT_CONTENT(store, "forgotten");
    EXPECT_SOUND(store);
    store_close(store);
}

TEST(a_collection_that_failed_removes_nothing) {
    struct store *store = new_store();
    struct store_collection *collection = NULL;
    struct store_collected result;
    PUT(store, "one");
    REQUIRE(store_collect_begin(store, &collection, NULL) == OK);
    EXPECT(store_collect_end(collection, ERR_DAMAGED, false, &result, NULL) == ERR_DAMAGED);
    EXPECT_CONTENT(store, "one");
    EXPECT_U64(collect(store, "one", false).kept, 1);
    store_close(store);
}

TEST(a_full_disk_is_an_error_and_loses_nothing) {
    const char *folder = fresh_folder();
    if (mount("tmpfs", folder, "tmpfs", 0, "size=700k") != 0) {
        SKIP("mounting a small disk needs root");
    }
    struct store *store = open_store(folder, false);
    EXPECT(store_new(store, "alice", ID_A, NULL) == OK);
    enum status status = OK;
    struct error error = {0};
    int count = 0;
    char text[32], label[32];
    for (; status == OK && count < 10000; count++) {
        // Small ones, so that the catalogue has its part in filling the disk.
        (void)snprintf(text, sizeof text, "content %d", count);
        (void)snprintf(label, sizeof label, "label %d", count);
        status = put(store, &A, text, label, STORE_ADD, &error);
    }
    EXPECT(status == ERR_IO);
    EXPECT_CONTAINS(error.message, "o space left");
    EXPECT(count > 10);
    for (int i = 0; i < count - 1; i++) {
        (void)snprintf(text, sizeof text, "content %d", i);
        (void)snprintf(label, sizeof label, "label %d", i);
        EXPECT_CONTENT(store, text);
        EXPECT_LABEL(store, label, text);
    }
    EXPECT_SOUND(store);
    store_close(store);
    store = open_store(folder, false);
    EXPECT_SOUND(store);
    EXPECT_CONTENT(store, "content 0");
    store_close(store);
    (void)umount2(folder, MNT_DETACH);
}

// ---- several at once, and crashes
// ------------------------------------------------------------------

enum { THREADS = 4, ROUNDS = 100 };

static void *put_many(void *argument) {
    struct store *store = argument;
    for (int i = 0; i < ROUNDS; i++) {
        char text[32], label[32];
        // All threads put the same contents, half of them at the same labels.
        (void)snprintf(text, sizeof text, "content %d", i);
        (void)snprintf(label, sizeof label, "label %d", i / 2);
        EXPECT(put(store, &A, text, label, i % 2 == 0 ? STORE_ADD : STORE_REPLACE, NULL) == OK);
        EXPECT_CONTENT(store, text);
    }
    return NULL;
}

TEST(threads_share_a_store) {
    struct store *store = new_store();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, put_many, store) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    struct buf text = {0};
    EXPECT(store_list_contents(store, &A, add_line, &text, NULL) == OK);
    EXPECT_U64(text.size, ROUNDS * 4);
    buf_release(&text);
    EXPECT_SOUND(store);
    store_close(store);
}

// Puts contents at labels, larger and larger, and says in the pipe which are done.
static void put_until_killed(const char *folder, int told, unsigned from) {
    struct store_config config = {.data_folder = folder, .env = env_system()};
    struct store *store = NULL;
    if (store_open(&config, &store, NULL) != OK) {
        _exit(3);
    }
    for (unsigned i = from;; i++) {
        char text[4096];
        (void)snprintf(text, sizeof text, "%u %0*u", i, (int)(i * 37 % 4000), i);
        if (put(store, &A, text, i % 3 == 0 ? "other" : "label", (enum store_change)(i % 2),
                NULL) != OK) {
            _exit(4);
        }
        if (write(told, &i, sizeof i) != sizeof i) {
            _exit(5);
        }
    }
}

// What the child said it had done, after a while that differs from round to round.
static unsigned run_and_kill(const char *folder, unsigned from, unsigned round) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        put_until_killed(folder, ends[1], from);
    }
    close(ends[1]);
    unsigned done = from, last = from;
    // The time to the kill is measured in work, and a little more that nobody knows.
    for (unsigned i = 0; i <= round % 7 && read(ends[0], &done, sizeof done) == sizeof done; i++) {
        last = done + 1;
    }
    usleep(round * 131 % 3000);
    EXPECT(kill(child, SIGKILL) == 0);
    while (read(ends[0], &done, sizeof done) == sizeof done) {
        last = done + 1;
    }
    close(ends[0]);
    int state = 0;
    REQUIRE(waitpid(child, &state, 0) == child);
    EXPECT(WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL);
    return last;
}

TEST(what_was_done_survives_a_kill_at_any_moment) {
    enum { KILLS = 40 };
    const char *folder = fresh_folder();
    struct store *store = open_store(folder, false);
    EXPECT(store_new(store, "alice", ID_A, NULL) == OK);
    store_close(store);
    unsigned next = 0;
    for (unsigned round = 0; round < KILLS; round++) {
        next = run_and_kill(folder, next, round);
        store = open_store(folder, false);
        EXPECT_SOUND(store);
        for (unsigned i = 0; i < next; i++) {
            char text[4096];
            (void)snprintf(text, sizeof text, "%u %0*u", i, (int)(i * 37 % 4000), i);
            EXPECT_CONTENT(store, text);
        }
        store_close(store);
    }
    // Nothing unfinished is left behind.
    char path[700];
    (void)snprintf(path, sizeof path, "%s/store/new", folder);
    EXPECT(rmdir(path) == 0);
}

int main(void) {
    return test_main();
}

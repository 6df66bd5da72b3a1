// SPDX-License-Identifier: Apache-2.0
// Chain files: what was written is read back, anything that was changed is found and located, by us
// and by tools/verify/verify.py alike, and importing appends what is new and nothing else.
#include <sys/wait.h>

#include "chain/export.h"
#include "support.h"

static const char text[] = "a content that an event refers to";

static struct ed25519_key *make_key(uint64_t seed) {
    struct env env;
    struct ed25519_key *key = NULL;
    struct error error = {0};
    env_init_seeded(&env, seed, 1);
    REQUIRE_OK(ed25519_generate(&env, &key, &error), error);
    return key;
}

static char *path_of(const char *name) {
    static const char *folder;
    folder = folder == NULL ? test_folder() : folder;
    return file_join(folder, name);
}

static void put_signature(struct chain_file_writer *writer, const struct chain_event *event,
                          const char *id) {
    struct ed25519_key *key = make_key(7);
    struct chain_signature signature = {.seq = event->seq, .time_ns = 1700000000000000000U};
    struct error error = {0};
    memcpy(signature.head, event->hash, SHA256_BYTES);
    chain_sign(key, id, &signature);
    EXPECT_OK(chain_file_put_signature(writer, &signature, &error), error);
    ed25519_free(key);
}

// Writes events `from` to `until` of a chain with one content, one that is missing, and a signature
// of the last.
static void export_part(struct chain_log *log, const char *id, uint64_t from, uint64_t until,
                        const char *path) {
    struct chain_file_header header = {.first = from};
    (void)snprintf(header.id, sizeof header.id, "%s", id);
    (void)open_head(log, id, header.nonce);
    struct chain_file_writer *writer = NULL;
    struct chain_reader *reader = NULL;
    struct error error = {0};
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(file >= 0);
    REQUIRE_OK(chain_reader_open(log, id, from, &reader, &error), error);
    for (uint64_t seq = from; seq <= until; seq++) {
        struct chain_event event;
        bool more = false;
        REQUIRE_OK(chain_reader_next(reader, &event, &more, &error), error);
        REQUIRE(more);
        if (seq == from) {
            uint8_t hash[SHA256_BYTES];
            memcpy(header.parent, event.parent, SHA256_BYTES);
            writer = chain_file_begin(file, path, &header);
            sha256(slice_text(text), hash);
            EXPECT(!chain_file_has_content(writer, hash));
            EXPECT_OK(chain_file_put_content(writer, hash, slice_text(text), &error), error);
            EXPECT(chain_file_has_content(writer, hash));
            EXPECT_OK(chain_file_put_content(writer, hash, slice_text(text), &error), error);
            hash[0] ^= 1;
            EXPECT_OK(chain_file_put_missing(writer, hash, &error), error);
        }
        EXPECT_OK(chain_file_put_event(writer, &event, &error), error);
        if (seq == until) {
            put_signature(writer, &event, id);
        }
    }
    EXPECT_OK(chain_file_end(writer, &error), error);
    chain_reader_close(reader);
    close(file);
}

static struct chain_log *make_log(const char *name, const char *id, uint64_t events) {
    struct chain_log *log =
        open_log((struct chain_log_config){.folder = fresh_folder(name), .no_sync = true});
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head head = open_head(log, id, nonce);
    (void)append_events(log, &head, nonce, events, 20);
    return log;
}

static enum status import_file(const char *folder, const char *path, uint64_t *appended,
                               struct error *error) {
    struct env env;
    env_init_seeded(&env, 0, 0);
    struct chain_log *log =
        open_log((struct chain_log_config){.folder = folder, .no_sync = true, .env = &env});
    struct chain_file *file = NULL;
    enum status status = chain_file_open(path, &file, error);
    if (status == OK) {
        status = chain_import(log, &env, file, appended, error);
    }
    chain_file_close(file);
    close_log(log);
    return status;
}

static int verify_in_python(const char *path) {
    char command[1200];
    (void)snprintf(command, sizeof command,
                   "python3 -B '%s/tools/verify/verify.py' '%s' >'%s.out' 2>&1", SOURCE_FOLDER,
                   path, path);
    int state = system(command);
    int code = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
    return code == 127 ? -1 : code;
}

TEST(a_file_holds_what_was_put_into_it) {
    struct chain_log *log = make_log("whole", "a.1", 40);
    char *path = path_of("whole.chain");
    struct error error = {0};
    export_part(log, "a.1", 0, 39, path);
    EXPECT(chain_file_is_one(path));
    struct chain_file *file = NULL;
    struct chain_reader *reader = NULL;
    REQUIRE_OK(chain_file_open(path, &file, &error), error);
    REQUIRE_OK(chain_reader_open(log, "a.1", 0, &reader, &error), error);
    EXPECT_TEXT(chain_file_header(file)->id, "a.1");
    for (bool more = true;;) {
        struct chain_event read;
        struct chain_event own;
        REQUIRE_OK(chain_file_next(file, &read, &more, &error), error);
        if (!more) {
            break;
        }
        REQUIRE_OK(chain_reader_next(reader, &own, &more, &error), error);
        EXPECT(more && read.seq == own.seq && read.time_ns == own.time_ns);
        EXPECT(memcmp(read.hash, own.hash, SHA256_BYTES) == 0);
        EXPECT(memcmp(read.parent, own.parent, SHA256_BYTES) == 0);
        EXPECT(slice_equal(read.bytes, own.bytes) && slice_equal(read.data, own.data));
        EXPECT_TEXT(read.id, "a.1");
    }
    const struct chain_file_tally *tally = chain_file_tally(file);
    EXPECT_U64(tally->events, 40);
    EXPECT_U64(tally->contents, 1);
    EXPECT_U64(tally->missing, 1);
    EXPECT_U64(tally->signatures, 1);
    EXPECT_U64(tally->last_signature.seq, 39);

    uint8_t hash[SHA256_BYTES];
    struct bytes *content = NULL;
    sha256(slice_text(text), hash);
    REQUIRE_OK(chain_file_content(file, hash, 1000, &content, &error), error);
    EXPECT(slice_equal_text(bytes_slice(content), text));
    bytes_unref(content);
    EXPECT(chain_file_content(file, hash, 5, &content, NULL) == ERR_LIMIT);
    hash[0] ^= 1;
    EXPECT(chain_file_content(file, hash, 1000, &content, NULL) == ERR_NOT_FOUND);
    chain_reader_close(reader);
    chain_file_close(file);
    close_log(log);
    free(path);
}

TEST(large_events_and_contents_stream) {
    struct chain_log *log = make_log("large", "big", 1);
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head head = open_head(log, "big", nonce);
    (void)append_events(log, &head, nonce, 3, 900000);
    (void)append_events(log, &head, nonce, 5, 100);
    char *path = path_of("large.chain");
    export_part(log, "big", 0, 8, path);
    struct chain_verdict verdict;
    struct error error = {0};
    REQUIRE_OK(chain_file_verify(path, &verdict, NULL, &error), error);
    EXPECT(verdict.is_good);
    EXPECT_U64(verdict.events, 9);
    close_log(log);
    free(path);
}

TEST(every_changed_byte_and_every_cut_is_found) {
    struct chain_log *log = make_log("flips", "a", 6);
    char *path = path_of("flips.chain");
    char *folder = path_of("");
    char *copy_path = path_of("flipped.chain");
    struct error error = {0};
    export_part(log, "a", 0, 5, path);
    close_log(log);
    struct bytes *whole = NULL;
    REQUIRE_OK(file_read(path, 1 << 20, &whole, &error), error);
    struct bytes *copy = bytes_copy(bytes_slice(whole));
    EXPECT(verify_in_python(path) != 1);
    for (size_t i = 0; i < 2 * whole->size; i++) {
        // Flips first, then cuts.
        size_t at = i % whole->size;
        bool is_cut = i >= whole->size;
        copy->data[at] = (uint8_t)(copy->data[at] ^ (is_cut ? 0U : 1U << (i % 8)));
        store_file(folder, "flipped.chain", slice_of(copy->data, is_cut ? at : copy->size));
        copy->data[at] = whole->data[at];
        struct chain_verdict verdict;
        error_clear(&error);
        enum status status = chain_file_verify(copy_path, &verdict, NULL, &error);
        bool is_found = status == OK ? !verdict.is_good : status == ERR_INVALID;
        // What the first item says shows in the first event; which contents are missing, in the
        // end.
        bool is_near = status != OK || verdict.offset <= at || at < 76 ||
                       strstr(verdict.reason, "the end does not say") != NULL;
        if (!is_found || !is_near) {
            test_report(__FILE__, __LINE__, "%s at byte %zu: status %d, good %d, offset %llu",
                        is_cut ? "cut" : "flip", at, status, verdict.is_good,
                        (unsigned long long)verdict.offset);
        }
        if (i % 199 == 0) {
            EXPECT(verify_in_python(copy_path) != 0);
        }
    }
    bytes_unref(copy);
    bytes_unref(whole);
    free(path);
    free(copy_path);
    free(folder);
}

TEST(a_signature_of_another_head_is_found) {
    struct chain_log *log = make_log("signed", "a", 3);
    char *path = path_of("signed.chain");
    struct error error = {0};
    struct chain_file_header header = {.id = "a"};
    struct chain_reader *reader = NULL;
    struct chain_event event;
    bool more = false;
    (void)open_head(log, "a", header.nonce);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE_OK(chain_reader_open(log, "a", 0, &reader, &error), error);
    REQUIRE_OK(chain_reader_next(reader, &event, &more, &error), error);
    memcpy(header.parent, event.parent, SHA256_BYTES);
    struct chain_file_writer *writer = chain_file_begin(file, path, &header);
    EXPECT_OK(chain_file_put_event(writer, &event, &error), error);
    put_signature(writer, &event, "b");  // a good signature, of a chain named b
    EXPECT_OK(chain_file_end(writer, &error), error);
    close(file);
    struct chain_verdict verdict;
    REQUIRE_OK(chain_file_verify(path, &verdict, NULL, &error), error);
    EXPECT(!verdict.is_good);
    EXPECT_CONTAINS(verdict.reason, "event 0: the signature is wrong");
    EXPECT(verify_in_python(path) != 0);
    chain_reader_close(reader);
    close_log(log);
    free(path);
}

TEST(importing_appends_what_is_new) {
    struct chain_log *log = make_log("source", "a", 30);
    char *part = path_of("part.chain");
    char *rest = path_of("rest.chain");
    char *late = path_of("late.chain");
    struct error error = {0};
    uint64_t appended = 99;
    export_part(log, "a", 0, 9, part);
    export_part(log, "a", 5, 29, rest);
    export_part(log, "a", 20, 29, late);
    const char *folder = fresh_folder("target");
    EXPECT(import_file(folder, rest, &appended, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "events 0 to 4 are not here");
    error_clear(&error);
    EXPECT_OK(import_file(folder, part, &appended, &error), error);
    EXPECT_U64(appended, 10);
    EXPECT(import_file(folder, late, &appended, &error) == ERR_INVALID);
    error_clear(&error);
    EXPECT_OK(import_file(folder, rest, &appended, &error), error);
    EXPECT_U64(appended, 20);
    EXPECT_OK(import_file(folder, part, &appended, &error), error);
    EXPECT_U64(appended, 0);
    expect_good(folder, 30, 1);
    struct chain_log *copy = open_log((struct chain_log_config){.folder = folder});
    uint8_t nonce[2][CHAIN_NONCE_BYTES];
    struct chain_head ours = open_head(log, "a", nonce[0]);
    struct chain_head theirs = open_head(copy, "a", nonce[1]);
    EXPECT(memcmp(ours.hash, theirs.hash, SHA256_BYTES) == 0);
    EXPECT_U64(read_chain(copy, "a", 0), 30);
    close_log(copy);
    close_log(log);
    free(part);
    free(rest);
    free(late);
}

TEST(another_history_is_refused) {
    struct chain_log *log = make_log("one", "a", 4);
    char *path = path_of("one.chain");
    char *other = path_of("other.chain");
    export_part(log, "a", 0, 3, path);
    // The same beginning, carried to another log, goes on in another way.
    char *folder = xstrdup(fresh_folder("branch"));
    struct error error = {0};
    uint64_t appended = 0;
    EXPECT_OK(import_file(folder, path, &appended, &error), error);
    struct chain_log *branch = open_log((struct chain_log_config){.folder = folder});
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head head = open_head(branch, "a", nonce);
    (void)append_events(branch, &head, nonce, 2, 33);
    export_part(branch, "a", 0, 5, other);
    close_log(branch);
    head = open_head(log, "a", nonce);
    (void)append_events(log, &head, nonce, 3, 44);
    export_part(log, "a", 0, 6, path);
    EXPECT(import_file(folder, path, &appended, &error) == ERR_EXISTS);
    EXPECT_CONTAINS(error.message, "event 4 differs");
    EXPECT_U64(appended, 0);
    close_log(log);

    error_clear(&error);
    log = make_log("stranger", "a", 4);
    export_part(log, "a", 0, 3, path);
    EXPECT(import_file(folder, path, &appended, &error) == ERR_EXISTS);
    EXPECT_CONTAINS(error.message, "event 0 differs");
    expect_good(folder, 6, 1);
    close_log(log);
    free(path);
    free(other);
    free(folder);
}

TEST(what_is_no_chain_file_is_said_to_be_none) {
    char *path = path_of("not.chain");
    struct error error = {0};
    struct chain_file *file = NULL;
    EXPECT(chain_file_open(path, &file, &error) == ERR_NOT_FOUND);
    error_clear(&error);
    EXPECT_OK(file_write_atomic(path, slice_text("{\"actor\":\"a\"}\n"), 0600, &error), error);
    EXPECT(chain_file_open(path, &file, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "is no chain file");
    EXPECT(!chain_file_is_one(path));
    error_clear(&error);
    EXPECT(chain_file_open(test_folder(), &file, &error) == ERR_INVALID);
    free(path);
}

int main(void) {
    return test_main();
}

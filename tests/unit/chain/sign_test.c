// SPDX-License-Identifier: Apache-2.0
// Signatures of a log's heads: made of what is on disk and only of what went on, found by both
// verifiers, and any change in them or in what they are of is told.
#include <pthread.h>
#include <sys/wait.h>

#include "chain/signer.h"
#include "support.h"

static enum status make_key(void *context, struct ed25519_key **key, struct error *error) {
    struct env env;
    (void)context;
    env_init_seeded(&env, 11, 1);
    return ed25519_generate(&env, key, error);
}

static struct chain_signer *start_signer(struct chain_log *log, uint64_t interval_ns) {
    struct chain_signer_config config = {
        .log = log, .key = make_key, .interval_ns = interval_ns, .env = env_system()};
    return chain_signer_start(&config);
}

static uint64_t sign(struct chain_signer *signer) {
    struct error error = {0};
    uint64_t heads = 0;
    EXPECT_OK(chain_signer_sign(signer, &heads, &error), error);
    return heads;
}

static void stop_signer(struct chain_signer *signer) {
    struct error error = {0};
    EXPECT_OK(chain_signer_stop(signer, &error), error);
}

// A log with two chains, signed to their ends.
static void make_signed_log(const char *folder, uint64_t events) {
    struct chain_log *log = open_log((struct chain_log_config){.folder = folder, .no_sync = true});
    struct chain_signer *signer = start_signer(log, UINT64_MAX);
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head a = open_head(log, "a", nonce);
    (void)append_events(log, &a, nonce, events, 20);
    struct chain_head b = open_head(log, "b", nonce);
    (void)append_events(log, &b, nonce, events, 20);
    stop_signer(signer);
    close_log(log);
}

static int verify_in_python(const char *folder) {
    char command[1200];
    (void)snprintf(command, sizeof command,
                   "python3 -B '%s/tools/verify/verify.py' '%s' >'%s/../python.out' 2>&1",
                   SOURCE_FOLDER, folder, folder);
    int state = system(command);
    int code = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
    return code == 127 ? -1 : code;
}

static struct chain_verdict verify_one(const char *folder, const char *id) {
    struct chain_verdict verdict;
    struct error error = {0};
    REQUIRE_OK(chain_verify(folder, id, &verdict, &error), error);
    return verdict;
}

TEST(what_went_on_is_signed) {
    const char *folder = fresh_folder("goes-on");
    struct chain_log *log = open_log((struct chain_log_config){.folder = folder, .no_sync = true});
    struct chain_signer *signer = start_signer(log, UINT64_MAX);
    EXPECT_U64(sign(signer), 0);
    EXPECT_U64(count_files(folder, "signed"), 0);
    uint8_t nonce[2][CHAIN_NONCE_BYTES];
    struct chain_head a = open_head(log, "a", nonce[0]);
    struct chain_head b = open_head(log, "b", nonce[1]);
    (void)append_events(log, &a, nonce[0], 5, 20);
    (void)append_events(log, &b, nonce[1], 7, 20);
    EXPECT_U64(sign(signer), 2);
    EXPECT_U64(sign(signer), 0);
    (void)append_events(log, &b, nonce[1], 1, 20);
    EXPECT_U64(sign(signer), 1);
    (void)append_events(log, &b, nonce[1], 1, 20);
    EXPECT_U64(verify_one(folder, "b").signed_seq, 7);
    EXPECT_U64(verify_one(folder, "a").signed_seq, 4);
    stop_signer(signer);
    close_log(log);
    struct chain_verdict verdict = verify_one(folder, "b");
    EXPECT(verdict.is_good);
    EXPECT_U64(verdict.signed_seq, 8);
    EXPECT_U64(verify_log(folder).signed_chains, 2);
    EXPECT(verify_in_python(folder) != 1);

    // Signing goes on where it ended.
    log = open_log((struct chain_log_config){.folder = folder, .no_sync = true});
    signer = start_signer(log, UINT64_MAX);
    a = open_head(log, "a", nonce[0]);
    (void)append_events(log, &a, nonce[0], 1, 20);
    EXPECT_U64(sign(signer), 1);
    stop_signer(signer);
    close_log(log);
    EXPECT_U64(verify_one(folder, "a").signed_seq, 5);
}

TEST(thousands_of_heads_take_few_signatures) {
    enum { CHAINS = CHAIN_HEADS_MOST + 10 };
    const char *folder = fresh_folder("many");
    struct chain_log *log = open_log((struct chain_log_config){.folder = folder, .no_sync = true});
    for (int i = 0; i < CHAINS; i++) {
        char id[32];
        uint8_t nonce[CHAIN_NONCE_BYTES];
        (void)snprintf(id, sizeof id, "actor-%d", i);
        struct chain_head head = open_head(log, id, nonce);
        (void)append_events(log, &head, nonce, 1, 4);
    }
    struct chain_signer *signer = start_signer(log, UINT64_MAX);
    EXPECT_U64(sign(signer), CHAINS);
    stop_signer(signer);
    close_log(log);
    struct chain_verdict verdict = verify_log(folder);
    EXPECT(verdict.is_good);
    EXPECT_U64(verdict.signed_chains, CHAINS);
}

TEST(a_log_that_lost_what_was_signed_is_found) {
    const char *folder = fresh_folder("short");
    make_signed_log(folder, 5);
    struct bytes *early = load_file(folder, "00000001.log");
    struct chain_log *log = open_log((struct chain_log_config){.folder = folder, .no_sync = true});
    struct chain_signer *signer = start_signer(log, UINT64_MAX);
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head a = open_head(log, "a", nonce);
    (void)append_events(log, &a, nonce, 4, 20);
    stop_signer(signer);
    close_log(log);
    EXPECT_U64(verify_one(folder, "a").signed_seq, 8);
    // The log as it was before, which is sealed and without any fault.
    char *path = file_join(folder, "00000002.log");
    REQUIRE(unlink(path) == 0);
    free(path);
    store_file(folder, "00000001.log", bytes_slice(early));
    bytes_unref(early);
    struct chain_verdict verdict = verify_log(folder);
    EXPECT(!verdict.is_good);
    EXPECT_TEXT(verdict.actor, "a");
    EXPECT_U64(verdict.seq, 5);
    EXPECT_CONTAINS(verdict.reason, "signed to event 8");
    EXPECT(verify_in_python(folder) != 0);
    EXPECT(!verify_one(folder, "a").is_good);
    EXPECT(verify_one(folder, "b").is_good);
    // Nor does a log without the chain pass.
    path = file_join(folder, "00000001.log");
    REQUIRE(unlink(path) == 0);
    free(path);
    verdict = verify_log(folder);
    EXPECT(!verdict.is_good);
    EXPECT_U64(verdict.seq, 0);
}

TEST(every_changed_byte_of_the_signatures_is_found) {
    const char *folder = fresh_folder("flips");
    make_signed_log(folder, 3);
    struct bytes *whole = load_file(folder, "signed/heads");
    struct bytes *copy = bytes_copy(bytes_slice(whole));
    EXPECT_U64(verify_log(folder).signed_chains, 2);
    for (size_t i = 0; i < whole->size; i++) {
        copy->data[i] = (uint8_t)(whole->data[i] ^ (1U << (i % 8)));
        store_file(folder, "signed/heads", bytes_slice(copy));
        copy->data[i] = whole->data[i];
        struct chain_verdict verdict = verify_log(folder);
        // A length that became larger looks like an unfinished write, which is said.
        if (verdict.is_good && verdict.reason[0] == '\0') {
            test_report(__FILE__, __LINE__, "a flip at byte %zu is not found", i);
        }
        EXPECT(verdict.is_good ? verdict.signed_chains == 0
                               : strcmp(verdict.segment, "signed/heads") == 0);
        if (i % 37 == 0) {
            EXPECT(verify_in_python(folder) != 0 || verdict.is_good);
        }
    }
    bytes_unref(copy);
    bytes_unref(whole);
}

TEST(an_unfinished_signature_is_no_damage) {
    const char *folder = fresh_folder("torn");
    make_signed_log(folder, 3);
    struct bytes *whole = load_file(folder, "signed/heads");
    for (size_t size = 1; size < whole->size; size++) {
        store_file(folder, "signed/heads", slice_of(whole->data, size));
        struct chain_verdict verdict = verify_log(folder);
        if (!verdict.is_good || verdict.signed_chains != 0) {
            test_report(__FILE__, __LINE__, "cut to %zu bytes: %s", size, verdict.reason);
        }
        EXPECT_CONTAINS(verdict.reason, "unfinished");
    }
    // The next one is put in its place, and what was there is kept.
    struct chain_log *log = open_log((struct chain_log_config){.folder = folder, .no_sync = true});
    struct chain_signer *signer = start_signer(log, UINT64_MAX);
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head a = open_head(log, "a", nonce);
    (void)append_events(log, &a, nonce, 1, 20);
    stop_signer(signer);
    close_log(log);
    char *signed_folder = file_join(folder, "signed");
    EXPECT_U64(count_files(signed_folder, "heads.cut-"), 1);
    free(signed_folder);
    EXPECT_U64(verify_one(folder, "a").signed_seq, 3);
    EXPECT_U64(verify_log(folder).signed_chains, 2);
    bytes_unref(whole);
}

TEST(old_signatures_can_be_dropped) {
    const char *folder = fresh_folder("thin");
    struct error error = {0};
    EXPECT_OK(chain_signatures_thin(folder, &error), error);
    struct chain_log *log = open_log((struct chain_log_config){.folder = folder, .no_sync = true});
    struct chain_signer *signer = start_signer(log, UINT64_MAX);
    uint8_t nonce[2][CHAIN_NONCE_BYTES];
    struct chain_head a = open_head(log, "a", nonce[0]);
    struct chain_head b = open_head(log, "b", nonce[1]);
    (void)append_events(log, &a, nonce[0], 2, 20);
    for (int i = 0; i < 5; i++) {
        (void)append_events(log, &b, nonce[1], 1, 20);
        EXPECT_U64(sign(signer), i == 0 ? 2 : 1);  // a in the first one only
    }
    struct bytes *before = load_file(folder, "signed/heads");
    EXPECT_OK(chain_signatures_thin(folder, &error), error);
    struct bytes *after = load_file(folder, "signed/heads");
    EXPECT(after->size < before->size / 2);
    bytes_unref(before);
    bytes_unref(after);
    EXPECT_U64(verify_one(folder, "a").signed_seq, 1);
    EXPECT_U64(verify_one(folder, "b").signed_seq, 4);
    (void)append_events(log, &b, nonce[1], 1, 20);
    stop_signer(signer);
    close_log(log);
    EXPECT_U64(verify_one(folder, "b").signed_seq, 5);
    log = open_log((struct chain_log_config){.folder = folder, .no_sync = true});
    signer = start_signer(log, UINT64_MAX);
    a = open_head(log, "a", nonce[0]);
    (void)append_events(log, &a, nonce[0], 1, 20);
    EXPECT_U64(sign(signer), 1);  // and not b again
    stop_signer(signer);
    close_log(log);
}

// ---- signing beside appends --------------------------------------------------------------------

struct appender {
    struct chain_log *log;
    int number;
    pthread_t thread;
};

static void *append_many(void *argument) {
    struct appender *appender = argument;
    char id[32];
    uint8_t nonce[CHAIN_NONCE_BYTES];
    (void)snprintf(id, sizeof id, "actor-%d", appender->number);
    struct chain_head head = open_head(appender->log, id, nonce);
    for (int i = 0; i < 200; i++) {
        (void)append_events(appender->log, &head, nonce, 10, 30);
    }
    return NULL;
}

TEST(signing_beside_appends) {
    const char *folder = fresh_folder("beside");
    struct chain_log *log = open_log(
        (struct chain_log_config){.folder = folder, .no_sync = true, .segment_bytes = 65536});
    struct chain_signer *signer = start_signer(log, 1000000);
    struct appender appenders[3];
    for (int i = 0; i < 3; i++) {
        appenders[i] = (struct appender){.log = log, .number = i};
        REQUIRE(pthread_create(&appenders[i].thread, NULL, append_many, &appenders[i]) == 0);
    }
    for (int i = 0; i < 20; i++) {
        (void)sign(signer);
    }
    for (int i = 0; i < 3; i++) {
        (void)pthread_join(appenders[i].thread, NULL);
    }
    stop_signer(signer);
    close_log(log);
    expect_good(folder, 6000, 3);
    for (int i = 0; i < 3; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "actor-%d", i);
        EXPECT_U64(verify_one(folder, id).signed_seq, 1999);
    }
}

int main(void) {
    return test_main();
}

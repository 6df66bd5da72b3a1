// SPDX-License-Identifier: Apache-2.0
// SHA-256 against the known answers of FIPS 180-4's examples, in pieces, and from many threads.
#include "codec/sha256.h"

#include <pthread.h>

#include "test.h"

static const struct {
    const char *input;
    const char *digest;
} known[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnop"
     "qrsmnopqrstnopqrstu",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
};

static void expect_digest(const uint8_t digest[SHA256_BYTES], const char *wanted) {
    char text[SHA256_TEXT_BYTES];
    sha256_text(digest, text);
    EXPECT_TEXT(text, wanted);
}

TEST(known_answers) {
    uint8_t digest[SHA256_BYTES];
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        sha256(slice_text(known[i].input), digest);
        expect_digest(digest, known[i].digest);
    }
    sha256(slice_of(NULL, 0), digest);
    expect_digest(digest, known[0].digest);
    uint8_t *million = xmalloc(1000000);
    memset(million, 'a', 1000000);
    sha256(slice_of(million, 1000000), digest);
    free(million);
    expect_digest(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(a_pair_is_the_joined_input) {
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        size_t size = strlen(known[i].input);
        for (size_t cut = 0; cut <= size; cut++) {
            uint8_t digest[SHA256_BYTES];
            sha256_pair(slice_of(known[i].input, cut), slice_of(known[i].input + cut, size - cut),
                        digest);
            expect_digest(digest, known[i].digest);
        }
    }
}

static void *hash_many(void *argument) {
    uint8_t *digest = argument;
    for (int i = 0; i < 2000; i++) {
        sha256(slice_of(digest, SHA256_BYTES), digest);
    }
    return NULL;
}

TEST(threads_do_not_disturb_each_other) {
    static uint8_t digests[4][SHA256_BYTES];
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        REQUIRE(pthread_create(&threads[i], NULL, hash_many, digests[i]) == 0);
    }
    uint8_t own[SHA256_BYTES] = {0};
    hash_many(own);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
        EXPECT(memcmp(digests[i], own, sizeof own) == 0);
    }
}

int main(void) {
    return test_main();
}

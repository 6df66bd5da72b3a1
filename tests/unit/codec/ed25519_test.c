// SPDX-License-Identifier: Apache-2.0
// Ed25519 against the known answers of RFC 8032, 7.1, and against keys and messages that are not
// what was signed.
#include "codec/ed25519.h"

#include <stdlib.h>

#include "codec/hex.h"
#include "test.h"

static void unhex(const char *digits, uint8_t *out) {
    for (size_t i = 0; digits[2 * i] != '\0'; i++) {
        out[i] = (uint8_t)(hex_read_digit(digits[2 * i]) << 4 | hex_read_digit(digits[2 * i + 1]));
    }
}

TEST(known_answers) {
    static const struct {
        const char *key, *message, *signature;
    } known[] = {
        {"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701"
         "c"
         "f9b46bd25bf5f0595bbe24655141438e7a100b"},
        {"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d"
         "0"
         "f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        uint8_t key[ED25519_PUBLIC_BYTES];
        uint8_t signature[ED25519_SIGNATURE_BYTES];
        uint8_t message[8];
        unhex(known[i].key, key);
        unhex(known[i].message, message);
        unhex(known[i].signature, signature);
        struct slice content = slice_of(message, strlen(known[i].message) / 2);
        EXPECT(ed25519_verify(key, content, signature));
        signature[40] ^= 1;
        EXPECT(!ed25519_verify(key, content, signature));
    }
}

TEST(signs_what_it_verifies) {
    struct env env;
    struct ed25519_key *key = NULL;
    struct ed25519_key *again = NULL;
    struct error error = {0};
    env_init_seeded(&env, 3, 1);
    REQUIRE_OK(ed25519_generate(&env, &key, &error), error);
    struct buf pem = {0};
    REQUIRE_OK(ed25519_write(key, &pem, &error), error);
    REQUIRE_OK(ed25519_parse(buf_slice(&pem), &again, &error), error);
    uint8_t public[2][ED25519_PUBLIC_BYTES];
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    ed25519_public(key, public[0]);
    ed25519_public(again, public[1]);
    EXPECT(memcmp(public[0], public[1], sizeof public[0]) == 0);
    ed25519_sign(again, slice_text("message"), signature);
    EXPECT(ed25519_verify(public[0], slice_text("message"), signature));
    EXPECT(!ed25519_verify(public[0], slice_text("Message"), signature));
    public[0][5] ^= 4;
    EXPECT(!ed25519_verify(public[0], slice_text("message"), signature));
    buf_release(&pem);
    ed25519_free(key);
    ed25519_free(again);
}

TEST(refuses_what_is_no_key) {
    static const char rsa[] = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    struct ed25519_key *key = NULL;
    struct error error = {0};
    EXPECT(ed25519_parse(slice_text(rsa), &key, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "no Ed25519 private key");
    EXPECT(ed25519_parse(slice_of(NULL, 0), &key, NULL) == ERR_INVALID);
    EXPECT(ed25519_parse(slice_text("garbage"), &key, NULL) == ERR_INVALID);
}

int main(void) {
    return test_main();
}

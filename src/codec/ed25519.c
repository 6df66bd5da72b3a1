// SPDX-License-Identifier: Apache-2.0
#include "codec/ed25519.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

struct ed25519_key {
    EVP_PKEY *pkey;
    uint8_t public[ED25519_PUBLIC_BYTES];
};

// Takes `pkey`, which may be NULL.
static enum status wrap(EVP_PKEY *pkey, struct ed25519_key **out, struct error *error) {
    struct ed25519_key key = {.pkey = pkey};
    size_t size = sizeof key.public;
    if (pkey == NULL || EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_public_key(pkey, key.public, &size) != 1 || size != sizeof key.public) {
        EVP_PKEY_free(pkey);
        ERR_clear_error();
        return error_set(error, ERR_INVALID, "no Ed25519 private key");
    }
    *out = xmalloc(sizeof **out);
    **out = key;
    return OK;
}

enum status ed25519_generate(struct env *env, struct ed25519_key **out, struct error *error) {
    uint8_t seed[32];
    env_random(env, seed, sizeof seed);
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
    OPENSSL_cleanse(seed, sizeof seed);
    return wrap(pkey, out, error);
}

// The key is never encrypted, and nobody is asked for a passphrase.
static int no_passphrase(char *buffer, int size, int is_writing, void *context) {
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)context;
    return -1;
}

enum status ed25519_parse(struct slice pem, struct ed25519_key **out, struct error *error) {
    if (pem.size == 0 || pem.size > 65536) {
        return error_set(error, ERR_INVALID, "no Ed25519 private key");
    }
    BIO *source = BIO_new_mem_buf(pem.data, (int)pem.size);
    if (source == NULL) {
        fatal("out of memory");
    }
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(source, NULL, no_passphrase, NULL);
    BIO_free(source);
    return wrap(pkey, out, error);
}

enum status ed25519_write(const struct ed25519_key *key, struct buf *out, struct error *error) {
    BIO *sink = BIO_new(BIO_s_mem());
    if (sink == NULL) {
        fatal("out of memory");
    }
    enum status status = OK;
    char *text = NULL;
    if (PEM_write_bio_PKCS8PrivateKey(sink, key->pkey, NULL, NULL, 0, NULL, NULL) != 1) {
        ERR_clear_error();
        status = error_set(error, ERR_INTERNAL, "cannot encode the private key");
    } else {
        long size = BIO_get_mem_data(sink, &text);
        buf_append(out, text, (size_t)size);
        OPENSSL_cleanse(text, (size_t)size);
    }
    BIO_free(sink);
    return status;
}

void ed25519_free(struct ed25519_key *key) {
    if (key != NULL) {
        EVP_PKEY_free(key->pkey);
        free(key);
    }
}

void ed25519_public(const struct ed25519_key *key, uint8_t out[ED25519_PUBLIC_BYTES]) {
    memcpy(out, key->public, ED25519_PUBLIC_BYTES);
}

void ed25519_sign(const struct ed25519_key *key, struct slice message,
                  uint8_t out[ED25519_SIGNATURE_BYTES]) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t size = ED25519_SIGNATURE_BYTES;
    bool done = context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
                EVP_DigestSign(context, out, &size, message.data, message.size) == 1;
    EVP_MD_CTX_free(context);
    if (!done || size != ED25519_SIGNATURE_BYTES) {
        fatal("cannot sign");
    }
}

bool ed25519_verify(const uint8_t public[ED25519_PUBLIC_BYTES], struct slice message,
                    const uint8_t signature[ED25519_SIGNATURE_BYTES]) {
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, ED25519_PUBLIC_BYTES);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL) {
        fatal("out of memory");
    }
    bool is_good = pkey != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, pkey) == 1 &&
                   EVP_DigestVerify(context, signature, ED25519_SIGNATURE_BYTES, message.data,
                                    message.size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return is_good;
}

// SPDX-License-Identifier: Apache-2.0
#include "codec/sha256.h"

#include <openssl/evp.h>
#include <pthread.h>

#include "base/status.h"

static EVP_MD *digest;
static pthread_once_t digest_once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key;

static void free_context(void *context) {
    EVP_MD_CTX_free(context);
}

static void fetch_digest(void) {
    digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (digest == NULL || pthread_key_create(&context_key, free_context) != 0) {
        fatal("OpenSSL offers no SHA-256");
    }
}

// One context per thread, freed when the thread ends.
static EVP_MD_CTX *thread_context(void) {
    static _Thread_local EVP_MD_CTX *context;
    if (context == NULL) {
        pthread_once(&digest_once, fetch_digest);
        context = EVP_MD_CTX_new();
        if (context == NULL || pthread_setspecific(context_key, context) != 0) {
            fatal("cannot create a digest context");
        }
    }
    return context;
}

void sha256_pair(struct slice first, struct slice second, uint8_t out[SHA256_BYTES]) {
    EVP_MD_CTX *context = thread_context();
    unsigned size = 0;
    bool done = EVP_DigestInit_ex2(context, digest, NULL) == 1 &&
                (first.size == 0 || EVP_DigestUpdate(context, first.data, first.size) == 1) &&
                (second.size == 0 || EVP_DigestUpdate(context, second.data, second.size) == 1) &&
                EVP_DigestFinal_ex(context, out, &size) == 1;
    if (!done || size != SHA256_BYTES) {
        fatal("SHA-256 failed");
    }
}

void sha256(struct slice input, uint8_t out[SHA256_BYTES]) {
    sha256_pair(input, slice_of(NULL, 0), out);
}

void sha256_text(const uint8_t hash[SHA256_BYTES], char out[SHA256_TEXT_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 15U];
    }
    out[SHA256_TEXT_BYTES - 1] = '\0';
}

static int digit_of(uint8_t character) {
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

bool sha256_parse(struct slice text, uint8_t out[SHA256_BYTES]) {
    if (text.size != 2 * SHA256_BYTES) {
        return false;
    }
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        int high = digit_of(text.data[2 * i]), low = digit_of(text.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

// SPDX-License-Identifier: Apache-2.0
// SHA-256 (FIPS 180-4) over OpenSSL's EVP with one fetched digest and one reused context per
// thread: three times faster on small input than the one-shot helpers (docs/dependencies.md).
#ifndef CODEC_SHA256_H
#define CODEC_SHA256_H

#include "base/bytes.h"

enum { SHA256_BYTES = 32, SHA256_TEXT_BYTES = 65 };

// Any thread. Never on a fiber: OpenSSL's stack use is not bounded by us.
void sha256(struct slice input, uint8_t out[SHA256_BYTES]);
// The digest of `first` followed by `second`, without joining them.
void sha256_pair(struct slice first, struct slice second, uint8_t out[SHA256_BYTES]);
// Lower-case hexadecimal with its NUL.
void sha256_text(const uint8_t digest[SHA256_BYTES], char out[SHA256_TEXT_BYTES]);
// Reads the 64 lower-case digits again; false for anything else.
bool sha256_parse(struct slice text, uint8_t out[SHA256_BYTES]);

#endif

// SPDX-License-Identifier: Apache-2.0
// Ed25519 signatures (RFC 8032) over OpenSSL's EVP. Private keys are kept as PEM (PKCS #8, RFC
// 8410), which `openssl pkey` reads; public keys are the 32 raw bytes.
//
// Any thread; never on a fiber: OpenSSL's stack use is not bounded by us.
#ifndef CODEC_ED25519_H
#define CODEC_ED25519_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/env.h"
#include "base/status.h"

enum { ED25519_PUBLIC_BYTES = 32, ED25519_SIGNATURE_BYTES = 64 };

struct ed25519_key;

// Gives a fresh private key.
enum status ed25519_generate(struct env *env, struct ed25519_key **out,
                             struct error *error) MUST_CHECK;
// Gives the private key in `pem`. ERR_INVALID when there is none or it is of another kind.
enum status ed25519_parse(struct slice pem, struct ed25519_key **out,
                          struct error *error) MUST_CHECK;
// Appends the private key as PEM; the caller keeps it from others' eyes.
enum status ed25519_write(const struct ed25519_key *key, struct buf *out,
                          struct error *error) MUST_CHECK;
// NULL is fine.
void ed25519_free(struct ed25519_key *key);

// Gives the public key that belongs to it.
void ed25519_public(const struct ed25519_key *key, uint8_t out[ED25519_PUBLIC_BYTES]);
// Signs the whole message (PureEdDSA): equal messages have equal signatures.
void ed25519_sign(const struct ed25519_key *key, struct slice message,
                  uint8_t out[ED25519_SIGNATURE_BYTES]);
// Whether the owner of the private key to `public` signed exactly this message.
bool ed25519_verify(const uint8_t public[ED25519_PUBLIC_BYTES], struct slice message,
                    const uint8_t signature[ED25519_SIGNATURE_BYTES]);

#endif

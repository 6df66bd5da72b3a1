// SPDX-License-Identifier: Apache-2.0
// Signatures of heads: whoever holds a node's key says "at this time, the chain of this actor was
// this up to that event" (docs/formats/chain.md, "Signatures"). A signature says nothing about what
// came later, and all about what came before.
#ifndef CHAIN_SIGN_H
#define CHAIN_SIGN_H

#include "chain/chain.h"
#include "codec/cbor.h"
#include "codec/ed25519.h"

struct chain_signature {
    uint64_t seq;                // of the event
    uint64_t time_ns;            // when it was signed, since 1970
    uint8_t head[SHA256_BYTES];  // the event's hash
    uint8_t key[ED25519_PUBLIC_BYTES];
    uint8_t signature[ED25519_SIGNATURE_BYTES];
};

enum { CHAIN_SIGNATURE_MOST_BYTES = 256 };  // of chain_signature_write's items

// Signs: fills key and signature from the rest.
void chain_sign(const struct ed25519_key *key, const char *id, struct chain_signature *signature);
bool chain_signature_is_good(const char *id, const struct chain_signature *signature);

// Its five items behind the head of an array: seq, time, head, key, signature.
void chain_signature_write(struct buf *out, const struct chain_signature *signature);
enum status chain_signature_read(struct cbor_reader *reader, struct chain_signature *signature,
                                 struct error *error) MUST_CHECK;

#endif

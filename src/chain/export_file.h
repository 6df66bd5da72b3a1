// SPDX-License-Identifier: Apache-2.0
// The items of a chain file, for the two files that write and read it. A CBOR sequence (RFC 8742)
// in deterministic encoding:
//
//   ["theater-chain-file-1", id, nonce, first, parent]  once, first
//   byte string: hash of the event, event bytes      in order, from `first` on
//   [1, SHA-256, content]                            before the first event that refers to it
//   [2, SHA-256]                                     the same, of a content that is not here
//   [3, seq, time, head, key, signature]             behind the event that is signed
//   [0, number of events, head, digest]              once, last
//
// The digest covers which contents are there and which are missing, that no byte of the file may
// change unseen: 32 zero bytes, and for each of those items SHA-256(digest || 1 or 2 || SHA-256).
#ifndef CHAIN_EXPORT_FILE_H
#define CHAIN_EXPORT_FILE_H

#include <string.h>

#include "codec/sha256.h"

enum chain_file_item { FILE_END, FILE_CONTENT, FILE_MISSING, FILE_SIGNATURE };

#define CHAIN_FILE_LABEL "theater-chain-file-1"

static inline void chain_file_digest(uint8_t digest[SHA256_BYTES], enum chain_file_item item,
                                     const uint8_t hash[SHA256_BYTES]) {
    uint8_t next[1 + SHA256_BYTES] = {(uint8_t)item};
    memcpy(next + 1, hash, SHA256_BYTES);
    sha256_pair(slice_of(digest, SHA256_BYTES), slice_of(next, sizeof next), next + 1);
    memcpy(digest, next + 1, SHA256_BYTES);
}

#endif

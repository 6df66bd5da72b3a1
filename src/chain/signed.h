// SPDX-License-Identifier: Apache-2.0
// The signatures of a log while it is verified: read before the pass over its events, then compared
// with each event that one was made of.
#ifndef CHAIN_SIGNED_H
#define CHAIN_SIGNED_H

#include "chain/sign.h"

struct signatures;

// One signed head.
struct signed_head {
    struct slice id;
    uint64_t seq;
    const uint8_t *head;
    const uint8_t *key;
};

// Those of one chain that were not met yet, by sequence number.
struct signed_range {
    const struct signed_head *next;
    const struct signed_head *end;
};

// Reads the signatures in the log's folder and verifies each. What is wrong with one is in
// verdict (is_good false, "signed/heads" as its segment), and no error.
enum status signatures_load(const char *log_folder, struct signatures **out,
                            struct chain_verdict *verdict, struct error *error) MUST_CHECK;
// NULL is fine.
void signatures_free(struct signatures *signatures);
struct signed_range signatures_of(const struct signatures *signatures, const char *id);
// Passes the signatures of event `seq`; *last (may be left alone) becomes one of them. False when
// one is of another hash.
bool signatures_meet(struct signed_range *range, uint64_t seq, const uint8_t hash[SHA256_BYTES],
                     const struct signed_head **last);
// A head of a chain that is not in `chains` (by id); NULL when all are there.
const struct signed_head *signatures_unknown(const struct signatures *signatures,
                                             const struct map *chains);

#endif

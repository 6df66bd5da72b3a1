// SPDX-License-Identifier: Apache-2.0
// Signing the chains of a live log: every so often, and when it is closed, the heads of all chains
// that went on since (sign.h). Only what is on disk is signed: a signature never outlives its
// event.
#ifndef CHAIN_SIGNER_H
#define CHAIN_SIGNER_H

#include "chain/sign.h"

struct chain_signer;

// Gives the key when it is first needed; the signer takes it. Called on a thread that may block.
typedef enum status (*chain_key_fn)(void *context, struct ed25519_key **key, struct error *error);

struct chain_signer_config {
    struct chain_log *log;  // outlives the signer
    chain_key_fn key;
    void *context;
    uint64_t
        interval_ns;  // of signing while the log goes on; UINT64_MAX: only by chain_signer_sign
    struct env *env;  // for the time of the signatures
};

// Starts the signer's thread.
struct chain_signer *chain_signer_start(const struct chain_signer_config *config);
// Signs the heads of all chains that went on since they were signed last; *heads (may be NULL) says
// how many. Any thread that may block, not on a fiber. Needs that the log can still sync.
enum status chain_signer_sign(struct chain_signer *signer, uint64_t *heads,
                              struct error *error) MUST_CHECK;
// Signs a last time, ends the thread and frees. What goes wrong is an error, and no reason not to
// close the log.
enum status chain_signer_stop(struct chain_signer *signer, struct error *error);

#endif

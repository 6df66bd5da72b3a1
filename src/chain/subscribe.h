// SPDX-License-Identifier: Apache-2.0
// Subscriptions: the events of one chain or of all, past and future, each once and in order. A
// subscription is a cursor into the log and no more: nothing is queued for it, it reads from the
// segments when it is told to, at its own pace, and holds neither a file nor a buffer in between.
// So there may be thousands, and one that is never read costs a few hundred bytes.
//
// Events become visible when they were given to write(), at the latest flush_interval after they
// were appended, or (CHAIN_SYNCED) when they are on disk: only those survive a power loss for sure,
// and whoever tells others about events should wait for that. All chains' events come in the order
// of the log, in which an event lies behind what caused it.
//
// A subscription is used by one thread at a time; different ones by any threads at once, none on a
// fiber. It works on a live log and, beside a live node, on a read-only one, where visible means
// written.
#ifndef CHAIN_SUBSCRIBE_H
#define CHAIN_SUBSCRIBE_H

#include "chain/chain.h"

// Which events are wanted. Borrowed for the call that takes it.
struct chain_filter {
    const char *const *types;  // "T", or "T*" for all types that begin so
    size_t type_count;         // 0: any
    uint64_t since_ns;         // events at or after this time
    uint64_t before_ns;        // and before this one; 0: no end
};
bool chain_filter_matches(const struct chain_filter *filter, const struct chain_event *event);

struct chain_subscription_config {
    const char *id;  // of the chain, which may not have begun yet; NULL: all chains
    // Of one chain: the first sequence number. Of all: a position; that of an event begins with it,
    // that of the last event seen plus 1 goes on behind it.
    uint64_t from;
    bool from_now;  // instead: only what becomes visible from now on
    enum chain_level level;
    struct chain_filter filter;
};

struct chain_subscription;

// ERR_INVALID for a bad id or a position that the log has not reached.
enum status chain_subscribe(struct chain_log *log, const struct chain_subscription_config *config,
                            struct chain_subscription **out, struct error *error) MUST_CHECK;

// Gives up to `most` of the next events to `visit`, hashes included. *is_behind says that there may
// be more at once: `most` was reached, or a long stretch of the log without a wanted event was
// passed. Otherwise all that is visible was given. *given may be NULL. An error of `visit` ends the
// call, and the event it was for comes again. ERR_DAMAGED names segment and offset; the cursor
// stays before what is damaged.
enum status chain_subscription_read(struct chain_subscription *subscription, uint64_t most,
                                    chain_visit_fn visit, void *context, uint64_t *given,
                                    bool *is_behind, struct error *error) MUST_CHECK;
// NULL is fine. All are closed before their log.
void chain_subscription_close(struct chain_subscription *subscription);

// The position up to which events are visible.
uint64_t chain_visible(struct chain_log *log, enum chain_level level);
// Waits until more is visible than `seen`, a result of chain_visible from before the reading, or
// `timeout_ns` passed (ERR_TIMEOUT). Serves any number of subscriptions of one thread. Woken by the
// log's writer, or by the system when another process writes to the files.
enum status chain_wait_visible(struct chain_log *log, enum chain_level level, uint64_t seen,
                               uint64_t timeout_ns, struct error *error) MUST_CHECK;

#endif

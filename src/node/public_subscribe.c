// SPDX-License-Identifier: Apache-2.0
// The subscriptions of the public C API over those of the chain room.
#include <stdlib.h>

#include "chain/subscribe.h"
#include "node/node.h"
#include "node/public.h"

struct theater_subscription {
    struct chain_log *log;
    struct chain_subscription *cursor;
    enum chain_level level;
};

struct public_visit {
    int (*visit)(void *context, const struct theater_event *event);
    void *context;
    bool is_ended;  // by the caller's function
};

theater_status theater_subscribe(theater_node *node,
                                 const struct theater_subscription_config *config,
                                 theater_subscription **subscription, struct theater_error *error) {
    struct chain_subscription_config wanted = {
        .id = config->actor,
        .from = config->from,
        .from_now = config->from_now != 0,
        .level = config->synced != 0 ? CHAIN_SYNCED : CHAIN_WRITTEN,
        .filter = {.types = config->types,
                   .type_count = config->type_count,
                   .since_ns = config->since_ns,
                   .before_ns = config->before_ns}};
    struct error reason = {0};
    struct chain_subscription *cursor = NULL;
    struct chain_log *log = node_log(public_node(node));
    enum status status = chain_subscribe(log, &wanted, &cursor, &reason);
    if (status == OK) {
        *subscription = xcalloc(1, sizeof **subscription);
        **subscription =
            (struct theater_subscription){.log = log, .cursor = cursor, .level = wanted.level};
    }
    return public_report(status, &reason, error);
}

static enum status give(void *context, const struct chain_event *event, struct error *error) {
    struct public_visit *visit = context;
    struct theater_event shown = {.actor = event->id,
                                  .seq = event->seq,
                                  .position = event->position,
                                  .time_ns = event->time_ns,
                                  .type = (const char *)event->type.data,
                                  .type_size = event->type.size,
                                  .data = event->data.data,
                                  .data_size = event->data.size,
                                  .hash = event->hash};
    if (visit->visit(visit->context, &shown) != 0) {
        visit->is_ended = true;
        return error_set(error, ERR_CLOSED, "ended by its visitor");
    }
    return OK;
}

theater_status theater_subscription_read(
    theater_subscription *subscription, uint64_t most, uint64_t timeout_ms,
    int (*visit)(void *context, const struct theater_event *event), void *context, uint64_t *given,
    struct theater_error *error) {
    struct public_visit shown = {.visit = visit, .context = context};
    struct error reason = {0};
    uint64_t count = 0;
    uint64_t due = env_monotonic_ns(env_system());
    uint64_t timeout_ns = public_nanoseconds(timeout_ms);
    due = timeout_ns < UINT64_MAX - due ? due + timeout_ns : UINT64_MAX;
    enum status status = OK;
    while (status == OK && count == 0 && most > 0) {
        bool is_behind = false;
        uint64_t seen = chain_visible(subscription->log, subscription->level);
        status = chain_subscription_read(subscription->cursor, most, give, &shown, &count,
                                         &is_behind, &reason);
        if (status == OK && count == 0 && !is_behind) {
            uint64_t now = env_monotonic_ns(env_system());
            uint64_t rest_ns = due == UINT64_MAX ? UINT64_MAX : due > now ? due - now : 0;
            status =
                chain_wait_visible(subscription->log, subscription->level, seen, rest_ns, &reason);
        }
    }
    if (shown.is_ended) {
        error_clear(&reason);
        status = OK;
    }
    if (given != NULL) {
        *given = count;
    }
    return public_report(status, &reason, error);
}

void theater_subscription_close(theater_subscription *subscription) {
    if (subscription != NULL) {
        chain_subscription_close(subscription->cursor);
        free(subscription);
    }
}

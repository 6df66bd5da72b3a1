// SPDX-License-Identifier: Apache-2.0
// The mailbox of an actor that comes back: sent and not consumed, in the order of the log, and
// behind that the end of every channel. Requests are not among it: who asked is gone.
#include <stdlib.h>

#include "actor/recover.h"
#include "base/log.h"

// A channel that has ended, for those who are told so: nobody finds it any more.
static struct channel *closed_channel(const char *id) {
    struct channel *channel = xcalloc(1, sizeof *channel);
    atomic_init(&channel->references, 1);
    memcpy(channel->id, id, sizeof channel->id);
    channel->state = CHANNEL_CLOSED;
    return channel;
}

static struct message *make(struct actor *actor, const struct world_message *from,
                            struct chain_at *at, struct error *error) {
    struct bytes *body = NULL;
    bool is_absent = false;
    if (recover_body(actor->system, at, &from->body, &body, &is_absent, error) != OK) {
        return NULL;
    }
    struct message *message = message_new((enum message_kind)from->kind, bytes_slice(body));
    bytes_unref(body);
    message->has_body = !is_absent;
    message->sender = bytes_copy(slice_text(from->sender));
    message->sender_seq = from->seq;
    message->sender_index = from->index;
    if (from->kind == EXPORT_CHANNEL_MESSAGE) {
        message->channel = closed_channel(from->channel);
        message->channel->instance[0] = actor->instance_number;
    } else if (message_is_notice(message)) {
        message->child = bytes_ref(message->sender);
        // Which limit a crash was about is not in the chain.
        message->status = from->body.place == WORLD_ERROR ? ERR_GUEST : ERR_TRAP;
    }
    return message;
}

static void push(struct actor *actor, struct message *message) {
    if (message_is_notice(message)) {
        atomic_fetch_add(&actor->child_notice_bytes, message->size);
        atomic_fetch_add(&actor->child_notices, 1);
    } else if (message->kind != MESSAGE_CHANNEL_CLOSE) {
        // It had its room before the node ended; limits that are narrower now refuse no old mail.
        message->is_counted = mailbox_reserve(actor, message->size);
    }
    mailbox_push(actor, message);
}

static bool is_wanted(const struct actor *actor, const struct world_actor *from,
                      const struct world_message *message) {
    const struct manifest *manifest = actor->program->manifest;
    bool was_dropped = manifest->mailbox_on_restart == MANIFEST_MAILBOX_DROP &&
                       from->crashed_at != WORLD_NOWHERE && message->sent_at < from->crashed_at;
    return actor->program->exports[message->kind].is_present && !was_dropped &&
           (message->kind != EXPORT_CHANNEL_MESSAGE || message->channel[0] != '\0');
}

uint64_t recover_mailbox(struct actor *actor, const struct world_actor *from, struct chain_at *at) {
    uint64_t count = 0;
    // Whoever rests after a crash handles nothing: what was on its way when it crashed was dropped.
    if (from->phase == WORLD_CRASHED) {
        return 0;
    }
    for (const struct world_message *next = from->messages; next != NULL; next = next->next) {
        struct error error = {0};
        struct message *message =
            is_wanted(actor, from, next) ? make(actor, next, at, &error) : NULL;
        if (message != NULL) {
            push(actor, message);
            count++;
        } else if (error.code != OK) {
            log_line(LOG_ERROR, "actor %s: a message of %s (event %llu) cannot be read again: %s",
                     actor_id(actor), next->sender, (unsigned long long)next->seq, error.message);
        }
    }
    for (const struct world_side *side = from->sides; side != NULL; side = side->next) {
        if (actor->program->exports[EXPORT_CHANNEL_CLOSE].is_present) {
            struct message *message = message_new(MESSAGE_CHANNEL_CLOSE, slice_of(NULL, 0));
            message->channel = closed_channel(side->channel->id);
            message->channel->instance[0] = actor->instance_number;
            atomic_fetch_add_explicit(&actor->channel_count, 1, memory_order_relaxed);
            push(actor, message);
            count++;
        }
    }
    return count;
}

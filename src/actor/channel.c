// SPDX-License-Identifier: Apache-2.0
// The life of a channel: opening (the opener waits), open, closed. All of it under the lock.
//
// A channel is in the system's map and in the lists of its two sides from its opening until it is
// closed by either, or either dies. The other side is told exactly once, by a message that needs no
// room in the mailbox and lies behind those sent before.
#include <assert.h>
#include <stdlib.h>

#include "actor/internal.h"

struct channel *channel_ref(struct channel *channel) {
    atomic_fetch_add_explicit(&channel->references, 1, memory_order_relaxed);
    return channel;
}

void channel_unref(struct channel *channel) {
    if (atomic_fetch_sub_explicit(&channel->references, 1, memory_order_acq_rel) == 1) {
        free(channel);
    }
}

static size_t side_of(const struct channel *channel, const struct actor *actor) {
    return channel->side[0] == actor ? 0 : 1;
}

static void list_add(struct channel *channel, size_t side, struct actor *actor) {
    channel->side[side] = actor;
    channel->next[side] = actor->channels;
    actor->channels = channel;
}

static void list_remove(struct channel *channel, size_t side) {
    struct actor *actor = channel->side[side];
    if (actor == NULL) {
        return;
    }
    struct channel **link = &actor->channels;
    while (*link != channel) {
        assert(*link != NULL);
        link = &(*link)->next[side_of(*link, actor)];
    }
    *link = channel->next[side];
    channel->side[side] = NULL;
}

struct channel *channel_new(struct actor *opener, struct completion *wait) {
    struct actor_system *system = opener->system;
    struct channel *channel = xcalloc(1, sizeof *channel);
    atomic_init(&channel->references, 2);  // the map's and the caller's
    env_uuid(system->config.env, channel->id);
    channel->opener = wait;
    list_add(channel, 0, opener);
    bool is_new = map_add(&system->channels, slice_text(channel->id), channel);
    assert(is_new);
    (void)is_new;
    return channel;
}

void channel_forget(struct channel *channel) {
    struct actor *any = channel->side[0] != NULL ? channel->side[0] : channel->side[1];
    channel->state = CHANNEL_CLOSED;
    if (any == NULL) {
        return;
    }
    struct actor_system *system = any->system;
    list_remove(channel, 0);
    list_remove(channel, 1);
    if (map_remove(&system->channels, slice_text(channel->id)) != NULL) {
        channel_unref(channel);
    }
}

void channel_refuse(struct channel *channel, enum status status, const char *text) {
    if (channel->opener != NULL && channel->state == CHANNEL_OPENING) {
        struct completion *opener = channel->opener;
        channel->opener = NULL;
        completion_finish(opener, status, text_bytes("%s", text));
    }
}

void channel_decide(struct actor *acceptor, struct channel *channel, bool is_accepted,
                    struct slice refusal, struct message *first, struct message **notices) {
    struct completion *opener = channel->opener;
    bool is_wanted = opener != NULL && opener->is_armed && channel->state == CHANNEL_OPENING;
    channel->opener = NULL;
    if (is_wanted && first != NULL &&
        first->size > channel->side[0]->program->manifest->limits.message_bytes) {
        is_accepted = false;
        refusal = slice_text("the first message is over the opener's limits.message_bytes");
    }
    if (!is_wanted || !is_accepted) {
        if (first != NULL) {
            message_free(first);
        }
        if (is_wanted) {
            completion_finish(
                opener, ERR_DENIED,
                refusal.size > 0 ? bytes_copy(refusal) : text_bytes("channel was refused"));
        }
        return;
    }
    channel->state = CHANNEL_OPEN;
    list_add(channel, 1, acceptor);
    struct actor *other = channel->side[0];
    if (first != NULL) {
        if (other->program->exports[EXPORT_CHANNEL_MESSAGE].is_present) {
            first->channel = channel_ref(channel);
            first->target = actor_ref(other);
            first->next = *notices;
            *notices = first;
        } else {
            message_free(first);
        }
    }
    completion_finish(opener, OK, NULL);
}

void channel_close_all(struct actor *actor, struct message **notices) {
    while (actor->channels != NULL) {
        struct channel *channel = channel_ref(actor->channels);
        struct actor *other = channel->side[1 - side_of(channel, actor)];
        if (channel->state == CHANNEL_OPEN && other != NULL &&
            other->program->exports[EXPORT_CHANNEL_CLOSE].is_present) {
            struct message *notice = message_new(MESSAGE_CHANNEL_CLOSE, slice_of(NULL, 0));
            notice->sender = bytes_ref(actor->id);
            notice->sender_seq = actor->head.next_seq - 1;
            notice->channel = channel_ref(channel);
            notice->target = actor_ref(other);
            notice->next = *notices;
            *notices = notice;
        }
        channel_forget(channel);
        channel_unref(channel);
    }
}

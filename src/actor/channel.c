// SPDX-License-Identifier: Apache-2.0
// The life of a channel: opening (the opener waits), open, closed. All of it under the lock.
//
// A channel is in the system's map and in the lists of its two sides from its opening until it is
// closed by either, or either dies. The other side is told exactly once, by a message that lies
// behind those sent before and needs no room in the mailbox: what bounds such notices is that each
// keeps the channel's place in limits.channels.
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

static void side_join(struct channel *channel, size_t side, struct actor *actor) {
    struct channel *next = actor->channels;
    channel->side[side] = actor;
    channel->instance[side] = actor->instance_number;
    channel->next[side] = next;
    channel->previous[side] = NULL;
    if (next != NULL) {
        next->previous[side_of(next, actor)] = channel;
    }
    actor->channels = channel;
    // Relaxed: a bound on memory that orders nothing.
    atomic_fetch_add_explicit(&actor->channel_count, 1, memory_order_relaxed);
}

static void side_leave(struct channel *channel, size_t side) {
    struct actor *actor = channel->side[side];
    if (actor == NULL) {
        return;
    }
    struct channel *next = channel->next[side];
    struct channel *previous = channel->previous[side];
    *(previous != NULL ? &previous->next[side_of(previous, actor)] : &actor->channels) = next;
    if (next != NULL) {
        next->previous[side_of(next, actor)] = previous;
    }
    channel->side[side] = NULL;
    atomic_fetch_sub_explicit(&actor->channel_count, 1, memory_order_relaxed);
}

enum status channel_check_room(const struct actor *actor, struct error *error) {
    uint32_t count = atomic_load_explicit(&actor->channel_count, memory_order_relaxed);
    if (count < actor->program->manifest->limits.channels) {
        return OK;
    }
    return error_set(error, ERR_LIMIT, "actor %s has %u channels already (limits.channels)",
                     actor_id(actor), count);
}

struct channel *channel_new(struct actor *opener, struct completion *wait) {
    struct actor_system *system = opener->system;
    struct channel *channel = xcalloc(1, sizeof *channel);
    atomic_init(&channel->references, 2);  // the map's and the caller's
    env_uuid(system->config.env, channel->id);
    channel->opener = wait;
    side_join(channel, 0, opener);
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
    side_leave(channel, 0);
    side_leave(channel, 1);
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

bool channel_deliver(struct channel *channel, struct actor *acceptor) {
    if (channel->state != CHANNEL_OPENING) {
        return false;
    }
    struct error error = {0};
    enum status status = channel_check_room(acceptor, &error);
    if (status != OK) {
        channel_refuse(channel, status, error.message);
        return false;
    }
    side_join(channel, 1, acceptor);
    return true;
}

struct message *channel_notice(struct channel *channel, size_t side, struct actor *target) {
    if (!target->program->exports[EXPORT_CHANNEL_CLOSE].is_present) {
        return NULL;
    }
    struct message *notice = message_new(MESSAGE_CHANNEL_CLOSE, slice_of(NULL, 0));
    notice->channel = channel_ref(channel);
    notice->side = (uint8_t)side;
    notice->target = actor_ref(target);
    atomic_fetch_add_explicit(&target->channel_count, 1, memory_order_relaxed);
    return notice;
}

// Adds the notice, which may be NULL, as one that the actor's last event caused.
static void add_notice(struct message *notice, struct actor *by, struct message **notices) {
    if (notice != NULL) {
        notice->sender = bytes_ref(by->id);
        notice->sender_seq = by->head.next_seq - 1;
        notice->depends = actor_depends(by);
        notice->sender_index = by->event_messages++;
        notice->next = *notices;
        *notices = notice;
    }
}

// Why an accepted channel cannot be opened all the same; NULL: it can. A counted first message has
// its room in the opener's mailbox then.
static const char *check_opener(struct channel *channel, struct message *first) {
    struct actor *opener = channel->side[0];
    if (first == NULL) {
        return NULL;
    }
    if (first->size > opener->program->manifest->limits.message_bytes) {
        return "the first message is over the opener's limits.message_bytes";
    }
    if (!mailbox_reserve(opener, first->size)) {
        return "the opener's mailbox has no room for the first message";
    }
    first->is_counted = true;
    return NULL;
}

void channel_decide(struct actor *acceptor, struct channel *channel, bool is_accepted,
                    struct slice refusal, struct message *first, struct message **notices) {
    struct completion *opener = channel->opener;
    bool is_wanted = opener != NULL && opener->is_armed && channel->state == CHANNEL_OPENING;
    bool was_accepted = is_accepted;
    channel->opener = NULL;
    if (is_wanted && is_accepted) {
        if (first != NULL &&
            !channel->side[0]->program->exports[EXPORT_CHANNEL_MESSAGE].is_present) {
            message_free(first);
            first = NULL;
        }
        const char *reason = check_opener(channel, first);
        is_accepted = reason == NULL;
        refusal = reason != NULL ? slice_text(reason) : refusal;
    }
    if (is_wanted && is_accepted) {
        channel->state = CHANNEL_OPEN;
        if (first != NULL) {
            first->channel = channel_ref(channel);
            first->target = actor_ref(channel->side[0]);
            first->next = *notices;
            *notices = first;
        }
        opener->depends = actor_depends(acceptor);
        completion_finish(opener, OK, NULL);
        return;
    }
    if (first != NULL) {
        message_free(first);
    }
    if (was_accepted) {
        add_notice(channel_notice(channel, 1, acceptor), acceptor, notices);
    }
    side_leave(channel, 1);
    if (is_wanted) {
        opener->depends = actor_depends(acceptor);
        completion_finish(
            opener, ERR_DENIED,
            refusal.size > 0 ? bytes_copy(refusal) : text_bytes("channel was refused"));
    }
}

void channel_close_all(struct actor *actor, struct message **notices) {
    while (actor->channels != NULL) {
        struct channel *channel = channel_ref(actor->channels);
        size_t other_side = 1 - side_of(channel, actor);
        struct actor *other = channel->side[other_side];
        if (channel->state == CHANNEL_OPEN && other != NULL) {
            add_notice(channel_notice(channel, other_side, other), actor, notices);
        }
        channel_forget(channel);
        channel_unref(channel);
    }
}

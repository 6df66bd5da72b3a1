// SPDX-License-Identifier: Apache-2.0
// Messages and the mailbox: a push / take-all stack that its owner reverses (DESIGN 5).
//
// A push that finds the stack empty takes one activity token for the system's idle count; the
// owner gives it back when it has worked off what it took (turn.c). Limits are counted in
// reservations made before the push, so that a leg's effects always find their room.
#include <assert.h>
#include <stdlib.h>

#include "actor/internal.h"

struct message *message_new(enum message_kind kind, struct slice body) {
    assert(body.size <= UINT32_MAX);
    struct message *message = xmalloc(sizeof *message + body.size);
    memset(message, 0, sizeof *message);
    message->kind = (uint8_t)kind;
    message->has_body = true;
    message->size = (uint32_t)body.size;
    if (body.size != 0) {
        memcpy(message->body, body.data, body.size);
    }
    return message;
}

void message_free(struct message *message) {
    if (message->request != NULL) {
        request_unref(message->request);
    }
    if (message->channel != NULL) {
        channel_unref(message->channel);
    }
    if (message->target != NULL) {
        actor_unref(message->target);
    }
    bytes_unref(message->sender);
    bytes_unref(message->child);
    free(message);
}

// Both counts of a mailbox in one word, so that one atomic operation changes both. The manifest's
// bounds are far below what the parts can hold.
enum { QUEUED_BYTES_BITS = 39 };
#define QUEUED_BYTES_MASK (((uint64_t)1 << QUEUED_BYTES_BITS) - 1)

static uint64_t queued_one(uint64_t size) {
    return ((uint64_t)1 << QUEUED_BYTES_BITS) + size;
}

bool mailbox_reserve(struct actor *target, uint64_t size) {
    const struct manifest_limits *limits = &target->program->manifest->limits;
    // Relaxed: the counts bound memory; they order nothing.
    uint64_t before =
        atomic_fetch_add_explicit(&target->queued, queued_one(size), memory_order_relaxed);
    uint64_t messages = before >> QUEUED_BYTES_BITS;
    uint64_t bytes = before & QUEUED_BYTES_MASK;
    bool fits = messages < limits->mailbox_messages &&
                (bytes + size <= limits->mailbox_bytes || messages == 0);
    if (!fits) {
        atomic_fetch_sub_explicit(&target->queued, queued_one(size), memory_order_relaxed);
    }
    return fits;
}

void mailbox_depth(const struct actor *actor, uint64_t *messages, uint64_t *bytes) {
    uint64_t queued = atomic_load_explicit(&actor->queued, memory_order_relaxed);
    *messages = queued >> QUEUED_BYTES_BITS;
    *bytes = queued & QUEUED_BYTES_MASK;
}

enum status mailbox_full(struct actor *target, enum status code, struct error *error) {
    const struct manifest_limits *limits = &target->program->manifest->limits;
    // Relaxed: the count may have changed since; either bound makes a true sentence.
    uint64_t queued = atomic_load_explicit(&target->queued, memory_order_relaxed);
    bool has_many = queued >> QUEUED_BYTES_BITS >= limits->mailbox_messages;
    error_clear(error);
    return has_many ? error_set(error, code,
                                "the mailbox of actor %s is full: %llu messages wait "
                                "(limits.mailbox_messages)",
                                actor_id(target), (unsigned long long)limits->mailbox_messages)
                    : error_set(error, code,
                                "the mailbox of actor %s is full: the messages in it may have "
                                "%llu bytes (limits.mailbox_bytes)",
                                actor_id(target), (unsigned long long)limits->mailbox_bytes);
}

void mailbox_consumed(struct actor *actor, const struct message *message) {
    if (message_is_notice(message)) {
        notice_consumed(actor, message);
    }
    if (message->kind == MESSAGE_CHANNEL_CLOSE) {
        atomic_fetch_sub_explicit(&actor->channel_count, 1, memory_order_relaxed);
    }
    if (!message->is_counted) {
        return;
    }
    // Sequentially consistent with the store of has_room_waiters in wait_for_room: either the
    // waiter sees the room or we see the waiter.
    atomic_fetch_sub(&actor->queued, queued_one(message->size));
    if (!atomic_load(&actor->has_room_waiters)) {
        return;
    }
    system_lock(actor->system);
    if (!list_is_empty(&actor->room_waiters)) {
        completion_finish(LIST_FIRST(&actor->room_waiters, struct completion, node), OK, NULL);
    }
    if (list_is_empty(&actor->room_waiters)) {
        atomic_store(&actor->has_room_waiters, false);
    }
    system_unlock(actor->system);
}

void mailbox_push(struct actor *target, struct message *message) {
    bool has_token = false;
    // Release on success: the owner's acquire in mailbox_next sees the message's content.
    struct message *head = atomic_load_explicit(&target->inbox, memory_order_relaxed);
    do {
        if (head == NULL && !has_token) {
            busy_add(target->system);
            has_token = true;
        }
        message->next = head;
    } while (!atomic_compare_exchange_weak(&target->inbox, &head, message));
    if (head != NULL && has_token) {
        busy_drop(target->system, 1);
    }
    if (head == NULL) {
        sched_wake(&target->task);
    }
    // The actor may have ended between the sender's look and the push: then nobody will take the
    // message. The status is stored before the owner's last drain, so one of the two drains it.
    enum actor_status status = (enum actor_status)atomic_load(&target->status);
    if (status == ACTOR_STOPPED || status == ACTOR_CRASHED ||
        atomic_load(&target->stop_requested)) {
        mailbox_drain(target, "the actor has ended");
    }
}

void mailbox_push_kept(struct message *message) {
    struct actor *target = message->target;
    message->target = NULL;
    mailbox_push(target, message);
    actor_unref(target);
}

void mailbox_push_all(struct message *messages) {
    while (messages != NULL) {
        struct message *next = messages->next;
        mailbox_push_kept(messages);
        messages = next;
    }
}

enum status mailbox_check_size(const struct actor *actor, struct slice message,
                               struct error *error) {
    uint64_t most = actor->program->manifest->limits.message_bytes;
    if (message.size > most) {
        return error_set(error, ERR_LIMIT,
                         "message of %zu bytes is over the limit of %llu (limits.message_bytes)",
                         message.size, (unsigned long long)most);
    }
    return OK;
}

static struct message *reverse(struct message *newest) {
    struct message *oldest = NULL;
    while (newest != NULL) {
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

struct message *mailbox_next(struct actor *actor) {
    if (actor->ready == NULL) {
        if (atomic_load_explicit(&actor->inbox, memory_order_relaxed) == NULL) {
            return NULL;
        }
        actor->ready = reverse(atomic_exchange_explicit(&actor->inbox, NULL, memory_order_acquire));
        if (actor->ready == NULL) {
            return NULL;
        }
        actor->tokens++;
    }
    struct message *message = actor->ready;
    actor->ready = message->next;
    message->next = NULL;
    return message;
}

// Tells whoever depends on the message that it will not be handled, and frees it.
static void drop(struct actor *actor, struct message *message, const char *text) {
    mailbox_consumed(actor, message);
    system_lock(actor->system);
    if (message->kind == MESSAGE_REQUEST) {
        request_finish(message->request, ERR_CLOSED, text_bytes("%s", text));
    } else if (message->kind == MESSAGE_CHANNEL_OPEN) {
        channel_refuse(message->channel, ERR_CLOSED, text);
    }
    system_unlock(actor->system);
    settle_event(message, ERR_CLOSED, NULL, slice_text(text));
    message_free(message);
}

void mailbox_drain(struct actor *actor, const char *text) {
    struct message *taken = atomic_exchange_explicit(&actor->inbox, NULL, memory_order_acq_rel);
    bool has_token = taken != NULL;
    taken = reverse(taken);
    while (taken != NULL) {
        struct message *next = taken->next;
        drop(actor, taken, text);
        taken = next;
    }
    if (has_token) {
        busy_drop(actor->system, 1);
    }
}

void mailbox_drain_all(struct actor *actor, const char *text) {
    while (actor->ready != NULL) {
        struct message *message = actor->ready;
        actor->ready = message->next;
        drop(actor, message, text);
    }
    mailbox_drain(actor, text);
}

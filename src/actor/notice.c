// SPDX-License-Identifier: Apache-2.0
// What a parent is told about its children: errors, crashes, exits, stops.
//
// A notice is never lost and needs no free place among the parent's messages, so something else
// must bound how many wait: a child whose error finds limits.mailbox_messages notices there, or
// limits.mailbox_bytes of them, holds its notice, and begins no turn until the parent has taken
// one. Its last notice of all is not held back, but then there is one per child, and spawn and
// restart-child refuse while too many wait.
//
// A child that holds a notice waits for its parent: an edge of the wait graph (wait.c), but for the
// parent's wish to stop or restart it, which it obeys all the same.
#include <assert.h>
#include <stdlib.h>

#include "actor/internal.h"

// Lock held. The notice is told now, or not at all: the child goes on.
static struct message *stop_holding(struct actor *parent, struct held_notice *held) {
    list_remove(&held->node);
    if (list_is_empty(&parent->held_for_it)) {
        atomic_store(&parent->has_held, false);
    }
    struct message *message = held->message;
    held->child->held = NULL;
    // Release: partner of the look in run_step.
    atomic_store_explicit(&held->child->is_holding, false, memory_order_release);
    sched_wake(&held->child->task);
    free(held);
    return message;
}

static bool is_full(struct actor *parent) {
    const struct manifest_limits *limits = &parent->program->manifest->limits;
    uint64_t count = atomic_load(&parent->child_notices);
    // One that waits for room must be sure of another that makes it.
    return count >= limits->mailbox_messages ||
           (count > 0 && atomic_load(&parent->child_notice_bytes) >= limits->mailbox_bytes);
}

// Lock held. Holds the notice back; false when there is room after all.
static bool hold(struct actor *child, struct actor *parent, struct message *message) {
    if (!is_full(parent)) {
        return false;
    }
    // Sequentially consistent with notice_consumed: either it sees the flag, or we the room.
    atomic_store(&parent->has_held, true);
    if (!is_full(parent)) {
        atomic_store(&parent->has_held, !list_is_empty(&parent->held_for_it));
        return false;
    }
    struct held_notice *held = xcalloc(1, sizeof *held);
    *held = (struct held_notice){.child = child, .message = message};
    list_append(&parent->held_for_it, &held->node);
    child->held = held;
    atomic_store(&child->is_holding, true);
    wait_break_cycle(child, parent);
    return true;
}

static void count_in(struct actor *parent, const struct message *notice) {
    atomic_fetch_add(&parent->child_notice_bytes, notice->size);
    atomic_fetch_add(&parent->child_notices, 1);
}

static void add(struct message *message, struct message **notices) {
    message->next = *notices;
    *notices = message;
    count_in(message->target, message);
}

void notice_release(struct actor *child, struct message **notices) {
    if (child->held != NULL) {
        add(stop_holding(child->parent, child->held), notices);
    }
}

void notice_add(struct actor *child, const struct notice *notice, struct message **notices) {
    struct actor *parent = child->parent;
    enum message_kind kind = notice->kind;
    struct slice body = notice->body;
    if (parent == NULL || !parent->program->exports[kind].is_present ||
        atomic_load(&parent->stop_requested)) {
        return;
    }
    uint64_t most = parent->program->manifest->limits.message_bytes;
    if (kind == MESSAGE_CHILD_ERROR && body.size > most) {
        body.size = (size_t)most;  // a child's long text is no reason for its parent to crash
    }
    struct message *message = message_new(kind, body);
    message->has_body = notice->has_body;
    message->status = (uint8_t)notice->status;
    message->child = bytes_ref(child->id);
    message->sender = bytes_ref(child->id);
    message->sender_seq = child->head.next_seq - 1;
    message->depends = actor_depends(child);
    message->sender_index = child->event_messages++;
    message->target = actor_ref(parent);
    bool may_hold = !child->is_stopping && child->held == NULL;
    if (!may_hold || !hold(child, parent, message)) {
        add(message, notices);
        notice_release(child, notices);  // in front: it is the older one
    }
}

void notice_error(struct actor *child, enum status status, struct slice text) {
    struct message *notices = NULL;
    const struct notice notice = {
        .kind = MESSAGE_CHILD_ERROR, .status = status, .has_body = true, .body = text};
    system_lock(child->system);
    notice_add(child, &notice, &notices);
    system_unlock(child->system);
    mailbox_push_all(notices);
}

void notice_consumed(struct actor *parent, const struct message *notice) {
    atomic_fetch_sub(&parent->child_notice_bytes, notice->size);
    atomic_fetch_sub(&parent->child_notices, 1);
    if (!atomic_load(&parent->has_held)) {
        return;
    }
    struct message *notices = NULL;
    struct message **end = &notices;
    system_lock(parent->system);
    enum actor_status status = actor_status(parent);
    // One that reads no more gets no more, and its children need not wait for it.
    bool has_ended =
        atomic_load(&parent->stop_requested) || status == ACTOR_CRASHED || status == ACTOR_STOPPED;
    while (!list_is_empty(&parent->held_for_it) && (has_ended || !is_full(parent))) {
        struct message *message =
            stop_holding(parent, LIST_FIRST(&parent->held_for_it, struct held_notice, node));
        if (!has_ended) {
            count_in(parent, message);
        }
        message->next = NULL;
        *end = message;
        end = &message->next;
    }
    system_unlock(parent->system);
    while (has_ended && notices != NULL) {
        struct message *next = notices->next;
        message_free(notices);
        notices = next;
    }
    mailbox_push_all(notices);
}

enum status notice_check_room(struct actor *parent, struct error *error) {
    const struct manifest_limits *limits = &parent->program->manifest->limits;
    const struct message *now = parent->turn->message;
    uint64_t waiting = atomic_load(&parent->child_notices);
    uint64_t bytes = atomic_load(&parent->child_notice_bytes);
    if (now != NULL && message_is_notice(now)) {
        waiting--;  // being handled
        bytes -= now->size;
    }
    if (waiting < limits->children + limits->mailbox_messages &&
        bytes < 2 * limits->mailbox_bytes) {
        return OK;
    }
    return error_set(error, ERR_LIMIT,
                     "%llu notices about children wait to be handled, as many as limits.children, "
                     "limits.mailbox_messages and limits.mailbox_bytes allow",
                     (unsigned long long)waiting);
}

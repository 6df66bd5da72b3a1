// SPDX-License-Identifier: Apache-2.0
// Events: calls of exports that come from outside of all actors, such as HTTP requests and output
// of processes. How such a message is handled is in turn.c, what becomes of it in effect.c.
#include "actor/internal.h"

_Static_assert(EXPORT_COUNT - EXPORT_HTTP_REQUEST == ACTOR_EVENT_KIND_COUNT,
               "each kind of event has its export");

static enum export_kind export_of(enum actor_event_kind kind) {
    return (enum export_kind)(EXPORT_HTTP_REQUEST + (int)kind);
}

enum status actor_deliver(struct actor *target, struct actor_event *event, struct error *error) {
    enum export_kind kind = export_of(event->kind);
    enum actor_status status = actor_status(target);
    if (status == ACTOR_CRASHED || status == ACTOR_STOPPED ||
        atomic_load(&target->stop_requested)) {
        return error_set(error, ERR_CLOSED, "actor %s has ended", actor_id(target));
    }
    if (!target->program->exports[kind].is_present) {
        return error_set(error, ERR_UNSUPPORTED, "actor does not handle %s", export_name(kind));
    }
    if (!event->is_reserved && !mailbox_reserve(target, event->size)) {
        actor_refused(target, ACTOR_REFUSED_MESSAGE);
        return mailbox_full(target, ERR_BUSY, error);
    }
    struct message *message = message_new((enum message_kind)kind, slice_of(NULL, 0));
    message->event = event;
    message->size = event->size;
    message->is_counted = !event->is_reserved;
    mailbox_push(target, message);
    return OK;
}

bool actor_handles(const struct actor *actor, enum actor_event_kind kind) {
    return actor->program->exports[export_of(kind)].is_present;
}

uint32_t actor_instance_number(const struct actor *self) {
    return self->instance_number;
}

void actor_hold_busy(struct actor *actor) {
    busy_add(actor->system);
}

void actor_release_busy(struct actor *actor) {
    busy_drop(actor->system, 1);
}

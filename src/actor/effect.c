// SPDX-License-Identifier: Apache-2.0
// What a leg does to others, when it is recorded: its effects are handed over or dropped, and who
// waited for the message that was handled is answered.
#include "actor/internal.h"

const char cannot_record[] = "the chain cannot be written";

static void reply_now(struct actor_system *system, struct message *effect) {
    system_lock(system);
    effect->request->depends = effect->depends;
    request_finish(effect->request, (enum status)effect->status, bytes_copy(message_body(effect)));
    system_unlock(system);
}

void effects_hand_over(struct turn *turn) {
    struct actor *self = turn->actor;
    struct message *effect = turn->outbox;
    turn->outbox = NULL;
    turn->outbox_end = &turn->outbox;
    // Those that no host call made come behind those of the calls.
    self->event_messages = turn->event_calls;
    while (effect != NULL) {
        struct message *next = effect->next;
        effect->sender_seq = self->head.next_seq - 1;
        effect->depends = actor_depends(self);
        if (effect->kind == EFFECT_REPLY) {
            reply_now(self->system, effect);
            message_free(effect);
        } else if (effect->kind == EFFECT_SPAWN) {
            spawn_begin(effect->spawn);
            message_free(effect);
        } else if (effect->kind == EFFECT_JOB) {
            job_begin(effect->job, effect->depends);
            message_free(effect);
        } else if (effect->kind == EFFECT_STOP_CHILD) {
            system_lock(self->system);
            actor_request_stop(effect->target, false, NULL);
            system_unlock(self->system);
            message_free(effect);
        } else if (effect->kind == EFFECT_RESTART_CHILD) {
            system_lock(self->system);
            actor_request_down(effect->target, CONTROL_RESTART);
            system_unlock(self->system);
            message_free(effect);
        } else {
            mailbox_push_kept(effect);
        }
        effect = next;
    }
}

void effects_drop(struct turn *turn) {
    while (turn->outbox != NULL) {
        struct message *effect = turn->outbox;
        turn->outbox = effect->next;
        if (effect->kind == MESSAGE_CHANNEL_CLOSE) {
            // The channel is closed whether that could be recorded or not.
            effect->sender_seq = turn->actor->head.next_seq - 1;
            mailbox_push_kept(effect);
            continue;
        }
        if (effect->is_counted && effect->target != NULL) {
            mailbox_consumed(effect->target, effect);
        }
        if (effect->request != NULL) {
            system_lock(turn->actor->system);
            request_finish(effect->request, ERR_IO, text_bytes("%s", cannot_record));
            system_unlock(turn->actor->system);
        }
        if (effect->kind == EFFECT_SPAWN) {
            spawn_abandon(effect->spawn);
        } else if (effect->kind == EFFECT_JOB) {
            job_abandon(effect->job);
        }
        message_free(effect);
    }
    turn->outbox_end = &turn->outbox;
}

// Lock held. The request that the turn handled: answered, or from now on outstanding.
static void settle_request(struct turn *turn, enum leg_outcome outcome, const struct value *tuple,
                           struct slice error_text) {
    struct actor *actor = turn->actor;
    struct request *request = turn->message->request;
    request->depends = actor_depends(actor);
    if (outcome == LEG_ERROR) {
        request_finish(request, ERR_GUEST, bytes_copy(error_text));
        return;
    }
    const struct value *answer = NULL;
    if (outcome == LEG_OK) {
        answer = tuple[1].items;
        if (!actor->program->exports[EXPORT_REQUEST].is_old_shape) {
            answer = answer->which == 1 ? answer->items : NULL;
        }
    }
    if (answer != NULL) {
        request_finish(request, OK, bytes_copy(slice_of(answer->bytes, answer->count)));
    } else {
        request_deliver(request, actor);
    }
}

// Lock held. The channel that the turn was asked for. Gives what is to be told.
static void settle_channel(struct turn *turn, enum leg_outcome outcome, const struct value *tuple,
                           struct slice error_text, const char *trap, struct message **notices) {
    struct actor *actor = turn->actor;
    struct channel *channel = turn->message->channel;
    if (outcome == LEG_ERROR) {
        channel_decide(actor, channel, false, error_text, NULL, notices);
        return;
    }
    if (outcome != LEG_OK) {
        channel_refuse(channel, ERR_CLOSED, trap);
        return;
    }
    const struct value *accept = tuple[1].items;  // the record: {accepted, message}
    const struct value *text = &accept->items[1];
    struct slice body = slice_of(NULL, 0);
    if (text->which == 1) {
        body = slice_of(text->items->bytes, text->items->count);
    }
    bool accepted = accept->items[0].bits != 0;
    struct message *first = NULL;
    if (accepted && text->which == 1) {
        first = message_new(MESSAGE_CHANNEL, body);
        first->sender = bytes_ref(actor->id);
        first->sender_seq = actor->head.next_seq - 1;
        first->depends = actor_depends(actor);
        first->sender_index = actor->event_messages++;
    }
    channel_decide(actor, channel, accepted, body, first, notices);
}

void settle_event(struct message *message, enum status status, const struct value *answer,
                  struct slice text) {
    struct actor_event *event = message->event;
    message->event = NULL;
    if (event != NULL) {
        event->settled(event, status, answer, text);
    }
}

// The event that the turn handled.
static void settle_turn_event(struct turn *turn, enum leg_outcome outcome,
                              const struct value *tuple, struct slice error_text,
                              const char *trap) {
    const struct component_func_type *type = turn->actor->program->exports[turn->kind].type;
    turn->message->event->depends = actor_depends(turn->actor);
    if (outcome == LEG_TRAP) {
        settle_event(turn->message, ERR_TRAP, NULL, slice_text(trap));
    } else if (outcome == LEG_ERROR) {
        settle_event(turn->message, ERR_GUEST, NULL, error_text);
    } else {
        bool has_answer = type->result->items[0]->item_count > 1;
        settle_event(turn->message, OK, has_answer ? &tuple[1] : NULL, slice_of(NULL, 0));
    }
}

void settle_message(struct turn *turn, enum leg_outcome outcome, const char *trap) {
    struct actor *actor = turn->actor;
    int kind = turn->message->kind;
    if (turn->message->event == NULL && kind != MESSAGE_REQUEST && kind != MESSAGE_CHANNEL_OPEN) {
        return;
    }
    struct slice error_text = slice_of(NULL, 0);
    if (outcome == LEG_ERROR) {
        error_text = slice_of(turn->result.items->bytes, turn->result.items->count);
    }
    const struct value *tuple = outcome == LEG_OK ? turn->result.items->items : NULL;
    struct message *notices = NULL;
    if (turn->message->event != NULL) {
        settle_turn_event(turn, outcome, tuple, error_text, trap);
        return;
    }
    system_lock(actor->system);
    if (kind == MESSAGE_REQUEST) {
        settle_request(turn, outcome, tuple, error_text);
    } else {
        settle_channel(turn, outcome, tuple, error_text, trap, &notices);
    }
    system_unlock(actor->system);
    mailbox_push_all(notices);
}

// SPDX-License-Identifier: Apache-2.0
// Sending and requesting: the host-function side, and the life of a request.
#include <assert.h>
#include <stdlib.h>

#include "actor/internal.h"

enum { GONE_REQUESTS_MOST = 1000 };  // that an actor keeps, to be told when it answers

// ---- a request's life
// ----------------------------------------------------------------------------

struct request *request_new(struct actor_system *system, struct completion *requester,
                            struct bytes *requester_id) {
    struct request *request = xcalloc(1, sizeof *request);
    atomic_init(&request->references, 1);
    env_uuid(system->config.env, request->id);
    request->system = system;
    request->requester = requester;
    request->requester_id = bytes_ref(requester_id);
    return request;
}

void request_unref(struct request *request) {
    if (atomic_fetch_sub_explicit(&request->references, 1, memory_order_acq_rel) == 1) {
        assert(request->target == NULL);
        bytes_unref(request->requester_id);
        free(request);
    }
}

// Lock held. One more of the actor's requests has no requester. The oldest such are forgotten, so
// that an actor that never answers does not grow for ever.
static void gone_add(struct request *request) {
    struct actor *actor = request->target;
    list_append(&actor->gone, &request->gone);
    if (++actor->gone_count > GONE_REQUESTS_MOST) {
        request_finish(LIST_FIRST(&actor->gone, struct request, gone), ERR_CLOSED, NULL);
    }
}

static void gone_remove(struct request *request, struct actor *actor) {
    list_remove(&request->gone);
    actor->gone_count--;
}

void request_abandon(struct request *request) {
    bool is_new = request->requester != NULL;
    request->requester = NULL;
    if (is_new && request->target != NULL) {
        gone_add(request);
    }
}

bool request_check_room(struct request *request, struct actor *target) {
    uint64_t most = target->program->manifest->limits.requests;
    if (target->outstanding_count >= most && !list_is_empty(&target->gone)) {
        // Nobody waits for that one any more.
        request_finish(LIST_FIRST(&target->gone, struct request, gone), ERR_CLOSED, NULL);
    }
    if (target->outstanding_count < most) {
        return true;
    }
    actor_refused(target, ACTOR_REFUSED_REQUEST);
    request_finish(request, ERR_LIMIT,
                   text_bytes("actor %s has %u unanswered requests already (limits.requests)",
                              actor_id(target), target->outstanding_count));
    return false;
}

void request_deliver(struct request *request, struct actor *target) {
    if (request->state != REQUEST_NEW) {
        return;
    }
    assert(request->target == NULL);
    request->state = REQUEST_DELIVERED;
    request->target = target;
    list_append(&target->outstanding, &request->node);
    target->outstanding_count++;
    atomic_fetch_add_explicit(&request->references, 1, memory_order_relaxed);
    bool is_new = map_add(&request->system->requests, slice_text(request->id), request);
    assert(is_new);
    (void)is_new;
    if (request->requester == NULL) {
        gone_add(request);
    }
}

void request_deliver_current(struct actor *actor) {
    struct turn *turn = actor->turn;
    if (turn->is_delivered || turn->message == NULL || turn->message->kind != MESSAGE_REQUEST) {
        return;
    }
    system_lock(actor->system);
    request_deliver(turn->message->request, actor);
    system_unlock(actor->system);
    turn->is_delivered = true;
}

// Lock held. Takes the request out of its target's list; gives the list's reference to the caller.
static bool detach(struct request *request) {
    struct actor *target = request->target;
    if (target == NULL) {
        return false;
    }
    list_remove(&request->node);
    target->outstanding_count--;
    if (request->requester == NULL) {
        gone_remove(request, target);
    }
    (void)map_remove(&request->system->requests, slice_text(request->id));
    request->target = NULL;
    return true;
}

void request_finish(struct request *request, enum status status, struct bytes *value) {
    if (request->state == REQUEST_ANSWERED && request->requester == NULL) {
        bytes_unref(value);
        return;
    }
    bool was_listed = detach(request);
    request->state = REQUEST_ANSWERED;
    struct completion *requester = request->requester;
    request->requester = NULL;
    if (requester != NULL) {
        requester->depends = request->depends;
        completion_finish(requester, status, value);
    } else {
        bytes_unref(value);
    }
    if (was_listed) {
        request_unref(request);
    }
}

void request_fail_delivered(struct actor *actor, const char *text) {
    while (!list_is_empty(&actor->outstanding)) {
        request_finish(LIST_FIRST(&actor->outstanding, struct request, node), ERR_CLOSED,
                       text_bytes("%s", text));
    }
}

// ---- targets
// -------------------------------------------------------------------------------------

// Lock held.
static bool is_permitted(const struct actor *self, const struct actor *target) {
    const struct permissions *permissions = &self->authority->effective;
    if (permissions->message_server.targets.layer_count == 0) {
        return permissions->allowed[PERMISSION_MESSAGE_SERVER];
    }
    struct permission_relation relation = {
        .parent = self->parent == target,
        .child = target->parent == self,
        .sibling = self->parent != NULL && self->parent == target->parent && self != target,
        .id = actor_id(target),
    };
    return permissions_allow_target(permissions, &relation);
}

static enum status deny_target(struct actor *self, struct slice id, struct error *error) {
    return actor_denied(self, PERMISSION_MESSAGE_SERVER, error,
                        "the actor may not send messages to %.*s",
                        (int)(id.size < 200 ? id.size : 200), (const char *)id.data);
}

// Whether it may hear that there is no actor of that id: one that it may not address looks the same
// whether it exists or not.
static bool may_learn(const struct actor *self, struct slice id) {
    char text[ACTOR_ID_BYTES] = "";
    if (id.size < sizeof text) {
        memcpy(text, id.data, id.size);
    }
    struct permission_relation relation = {.id = text};
    return permissions_allow_target(&self->authority->effective, &relation);
}

// Finds the target of a message; the most recent one is remembered, so that a stream of messages
// takes no lock. Borrowed: valid until the next call of the same actor.
static enum status find_target(struct actor *self, struct slice id, enum export_kind kind,
                               struct actor **out, struct error *error) {
    struct actor *target = self->last_target;
    if (target == NULL || actor_status(target) == ACTOR_STOPPED ||
        !slice_equal(bytes_slice(target->id), id)) {
        target = actor_find(self->system, id);
        if (target == NULL && !may_learn(self, id)) {
            return deny_target(self, id, error);
        }
        if (target == NULL) {
            return error_set(error, ERR_NOT_FOUND, "no such actor: %.*s",
                             (int)(id.size < 200 ? id.size : 200), (const char *)id.data);
        }
        system_lock(self->system);
        bool permitted = is_permitted(self, target);
        system_unlock(self->system);
        if (!permitted) {
            actor_unref(target);
            return deny_target(self, id, error);
        }
        actor_unref(self->last_target);
        self->last_target = target;
    }
    if (actor_status(target) == ACTOR_CRASHED) {
        return error_set(error, ERR_CLOSED, "actor %s has crashed", actor_id(target));
    }
    if (atomic_load(&target->stop_requested)) {
        return error_set(error, ERR_CLOSED, "actor %s is stopping", actor_id(target));
    }
    if (!target->program->exports[kind].is_present) {
        return error_set(error, ERR_UNSUPPORTED, "actor does not handle %s", export_name(kind));
    }
    *out = target;
    return OK;
}

// Waits for room in the target's mailbox, at most the send timeout.
static enum status reserve_room(struct actor *self, struct actor *target, uint64_t size,
                                struct error *error) {
    if (mailbox_reserve(target, size)) {
        return OK;
    }
    uint64_t timeout_ns = self->program->manifest->limits.send_timeout_ms * 1000000U;
    uint64_t due = env_monotonic_ns(self->system->config.env) + timeout_ns;
    while (!mailbox_reserve(target, size)) {
        struct turn *turn = self->turn;
        system_lock(self->system);
        struct completion *wait = turn_prepare_wait(turn);
        list_append(&target->room_waiters, &wait->node);
        // Sequentially consistent with mailbox_consumed: see there.
        atomic_store(&target->has_room_waiters, true);
        if (mailbox_reserve(target, size)) {
            wait->is_armed = false;
            list_remove(&wait->node);
            system_unlock(self->system);
            return OK;
        }
        uint64_t now = env_monotonic_ns(self->system->config.env);
        // 0 ns would be no time-out at all.
        uint64_t left = due > now ? due - now : 1;
        enum status status = turn_wait(turn, target, NULL, left, ERR_TIMEOUT, NULL, error);
        if (status != OK) {
            return status == ERR_TIMEOUT && !atomic_load(&self->is_init_overdue)
                       ? mailbox_full(target, status, error)
                       : error_context(error, "the mailbox of actor %s is full", actor_id(target));
        }
    }
    return OK;
}

// Makes a counted message for the target, with its room reserved.
static enum status prepare(struct actor *self, struct actor *target, enum message_kind kind,
                           struct slice body, struct message **out, struct error *error) {
    enum status status = mailbox_check_size(self, body, error);
    if (status == OK && target != self && mailbox_check_size(target, body, error) != OK) {
        status = error_context(error, "actor %s", actor_id(target));
    }
    if (status == OK) {
        actor_ref(target);
        status = reserve_room(self, target, body.size, error);
        if (status != OK) {
            actor_unref(target);
            return status;
        }
        struct message *message = message_new(kind, body);
        message->is_counted = true;
        message->target = target;
        *out = message;
    }
    return status;
}

// ---- for host functions
// --------------------------------------------------------------------------

enum status actor_send(struct actor *self, struct slice target_id, struct slice body,
                       struct error *error) {
    struct actor *target = NULL;
    struct message *message = NULL;
    enum status status = find_target(self, target_id, EXPORT_SEND, &target, error);
    if (status == OK) {
        status = prepare(self, target, MESSAGE_SEND, body, &message, error);
    }
    if (status == OK) {
        turn_effect(self->turn, message);
    }
    return status;
}

enum status actor_request(struct actor *self, struct slice target_id, struct slice body,
                          struct bytes **reply, struct error *error) {
    struct actor *target = NULL;
    struct message *message = NULL;
    enum status status = find_target(self, target_id, EXPORT_REQUEST, &target, error);
    if (status == OK) {
        status = prepare(self, target, MESSAGE_REQUEST, body, &message, error);
    }
    if (status != OK) {
        return status;
    }
    target = message->target;
    uint64_t timeout = self->program->manifest->limits.request_timeout_ms * 1000000U;
    system_lock(self->system);
    struct completion *wait = turn_prepare_wait(self->turn);
    struct request *request = request_new(self->system, wait, self->id);
    atomic_fetch_add_explicit(&request->references, 1, memory_order_relaxed);
    message->request = request;
    status = turn_wait(self->turn, target, message, timeout, ERR_TIMEOUT, reply, error);
    if (status == ERR_TIMEOUT && !atomic_load(&self->is_init_overdue)) {
        error_clear(error);
        error_set(error, status, "the request timed out after %llu ms (limits.request_timeout_ms)",
                  (unsigned long long)self->program->manifest->limits.request_timeout_ms);
    }
    if (status != OK) {
        // An answered one forgot its requester when it was answered.
        system_lock(self->system);
        request_abandon(request);
        system_unlock(self->system);
    }
    request_unref(request);
    if (status == OK && mailbox_check_size(self, bytes_slice(*reply), error) != OK) {
        // The requester's limit decides what it can be given; no reply is its end.
        bytes_unref(*reply);
        *reply = NULL;
        return error_context(error, "the reply");
    }
    return status;
}

enum status id_list_new(struct arena *arena, uint32_t count, struct slice **ids,
                        struct error *error) {
    *ids = arena_try_alloc(arena, count * sizeof **ids, _Alignof(struct slice));
    return *ids != NULL ? OK : error_set(error, ERR_LIMIT, "the list of ids is too long");
}

enum status id_list_set(struct arena *arena, struct slice id, struct slice *out,
                        struct error *error) {
    uint8_t *copy = arena_try_alloc(arena, id.size, 1);
    if (copy == NULL) {
        return error_set(error, ERR_LIMIT, "the list of ids is too long");
    }
    memcpy(copy, id.data, id.size);
    *out = slice_of(copy, id.size);
    return OK;
}

enum status actor_outstanding(struct actor *self, struct arena *arena, struct slice **ids,
                              uint32_t *count, struct error *error) {
    request_deliver_current(self);
    system_lock(self->system);
    *count = self->outstanding_count;
    enum status status = id_list_new(arena, *count, ids, error);
    uint32_t i = 0;
    for (const struct list_node *node = self->outstanding.first; status == OK && node != NULL;
         node = node->next) {
        const struct request *request = CONTAINER_OF(node, struct request, node);
        status = id_list_set(arena, slice_text(request->id), &(*ids)[i++], error);
    }
    system_unlock(self->system);
    return status;
}

// Answers one of the caller's delivered requests when this leg is recorded.
static enum status answer(struct actor *self, struct slice id, enum status outcome,
                          struct slice body, struct error *error) {
    enum status status = mailbox_check_size(self, body, error);
    if (status != OK) {
        return status;
    }
    request_deliver_current(self);
    system_lock(self->system);
    struct request *request = map_get(&self->system->requests, id);
    if (request == NULL || request->target != self) {
        request = NULL;
        status = error_set(error, ERR_NOT_FOUND, "no such request: %.*s",
                           (int)(id.size < 64 ? id.size : 64), (const char *)id.data);
    } else {
        // The list's reference goes into the effect, or ends here.
        detach(request);
        request->state = REQUEST_ANSWERED;
        if (request->requester == NULL) {
            status = error_set(error, ERR_CLOSED, "requester is gone");
        }
    }
    system_unlock(self->system);
    if (request != NULL && status == OK) {
        struct message *effect = message_new((enum message_kind)EFFECT_REPLY, body);
        effect->request = request;
        effect->status = (uint8_t)outcome;
        turn_effect(self->turn, effect);
    } else if (request != NULL) {
        request_unref(request);
    }
    return status;
}

enum status actor_respond(struct actor *self, struct slice request, struct slice response,
                          struct error *error) {
    return answer(self, request, OK, response, error);
}

enum status actor_cancel_request(struct actor *self, struct slice request, struct error *error) {
    return answer(self, request, ERR_CLOSED, slice_text("request was cancelled"), error);
}

// ---- channels, the sending side
// ------------------------------------------------------------------

enum status actor_open_channel(struct actor *self, struct slice target_id, struct slice body,
                               char id[ACTOR_UUID_BYTES], struct error *error) {
    struct actor *target = NULL;
    struct message *message = NULL;
    enum status status = find_target(self, target_id, EXPORT_CHANNEL_OPEN, &target, error);
    if (status == OK) {
        status = channel_check_room(self, error);
    }
    if (status == OK && target == self) {
        status = error_set(error, ERR_INVALID, "an actor cannot open a channel to itself");
    }
    if (status == OK) {
        status = prepare(self, target, MESSAGE_CHANNEL_OPEN, body, &message, error);
    }
    if (status != OK) {
        return status;
    }
    target = message->target;
    uint64_t timeout = self->program->manifest->limits.request_timeout_ms * 1000000U;
    system_lock(self->system);
    struct channel *channel = channel_new(self, turn_prepare_wait(self->turn));
    memcpy(id, channel->id, sizeof channel->id);
    message->channel = channel_ref(channel);
    struct bytes *nothing = NULL;
    status = turn_wait(self->turn, target, message, timeout, ERR_TIMEOUT, &nothing, error);
    bytes_unref(nothing);
    system_lock(self->system);
    channel->opener = NULL;
    if (status != OK) {
        channel_forget(channel);
    }
    system_unlock(self->system);
    channel_unref(channel);
    return status;
}

// Lock held. An open channel in which the caller takes part, and the number of the other side.
static enum status find_channel(struct actor *self, struct slice id, struct channel **out,
                                size_t *other_side, struct error *error) {
    struct channel *channel = map_get(&self->system->channels, id);
    bool takes_part = channel != NULL && (channel->side[0] == self || channel->side[1] == self);
    if (!takes_part) {
        return error_set(error, ERR_NOT_FOUND, "no such channel: %.*s",
                         (int)(id.size < 64 ? id.size : 64), (const char *)id.data);
    }
    if (channel->state != CHANNEL_OPEN) {
        return error_set(error, ERR_CLOSED, "channel is not open yet");
    }
    *out = channel;
    *other_side = channel->side[0] == self ? 1 : 0;
    return OK;
}

// The channel may have been closed while its message waited for room: behind the notice of that
// nothing may follow.
static enum status check_still_open(struct actor *self, const struct channel *channel,
                                    struct error *error) {
    system_lock(self->system);
    bool is_open = channel->state == CHANNEL_OPEN;
    system_unlock(self->system);
    return is_open ? OK : error_set(error, ERR_CLOSED, "channel is closed");
}

enum status actor_send_on_channel(struct actor *self, struct slice id, struct slice body,
                                  struct error *error) {
    struct channel *channel = NULL;
    struct actor *other = NULL;
    size_t side = 0;
    system_lock(self->system);
    enum status status = find_channel(self, id, &channel, &side, error);
    if (status == OK) {
        channel_ref(channel);
        other = actor_ref(channel->side[side]);
    }
    system_unlock(self->system);
    if (status != OK) {
        return status;
    }
    struct message *message = NULL;
    uint32_t leg = self->turn->leg;
    if (!other->program->exports[EXPORT_CHANNEL_MESSAGE].is_present) {
        status = error_set(error, ERR_UNSUPPORTED, "actor does not handle %s",
                           export_name(EXPORT_CHANNEL_MESSAGE));
    } else {
        status = prepare(self, other, MESSAGE_CHANNEL, body, &message, error);
    }
    if (status == OK && self->turn->leg != leg) {
        status = check_still_open(self, channel, error);
    }
    if (status == OK) {
        message->channel = channel;
        message->side = (uint8_t)side;
        turn_effect(self->turn, message);
    } else {
        if (message != NULL) {
            mailbox_consumed(other, message);
            message_free(message);
        }
        channel_unref(channel);
    }
    actor_unref(other);
    return status;
}

enum status actor_close_channel(struct actor *self, struct slice id, struct error *error) {
    struct channel *channel = NULL;
    struct message *notice = NULL;
    size_t side = 0;
    system_lock(self->system);
    enum status status = find_channel(self, id, &channel, &side, error);
    if (status == OK) {
        notice = channel_notice(channel, side, channel->side[side]);
        channel_forget(channel);
    }
    system_unlock(self->system);
    if (notice != NULL) {
        turn_effect(self->turn, notice);
    }
    return status;
}

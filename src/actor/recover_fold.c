// SPDX-License-Identifier: Apache-2.0
// How each event changes a world (recover_world.h). Start reading at world_fold, at the end;
// docs/formats/chain.md says what the events hold.
#include <stdlib.h>

#include "actor/recover_read.h"
#include "actor/recover_world.h"

static int kind_of(struct slice type) {
    for (int kind = 0; kind < EXPORT_COUNT; kind++) {
        if (slice_equal_text(type, export_event_type((enum export_kind)kind))) {
            return kind;
        }
    }
    return -1;
}

// ---- calls -------------------------------------------------------------------------------------

static enum world_waiting waiting_kind(struct slice name) {
    static const char *const names[] = {[WAIT_SEND] = "message-server-host.send",
                                        [WAIT_CHANNEL_SEND] = "message-server-host.send-on-channel",
                                        [WAIT_OPEN] = "message-server-host.open-channel"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (names[i] != NULL && slice_equal_text(name, names[i])) {
            return (enum world_waiting)i;
        }
    }
    return world_is_host_call(name) ? WAIT_HOST : WAIT_OTHER;
}

// What a call came to. `index` is its place in the event that has its result, which is the id of
// what it sent; `body` says where its arguments are.
struct done_call {
    struct slice name;
    struct slice args;
    struct slice target;  // the first argument, if that is a text
    struct world_body body;
    uint32_t index;
    bool is_ok;
    struct slice value;  // what the result holds
};

static void send_on_channel(struct world *world, struct world_actor *actor,
                            const struct chain_event *event, const struct done_call *call) {
    struct world_channel *channel = world_channel_find(world, call->target);
    if (channel == NULL) {
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        struct world_actor *other = channel->side[1 - i].actor;
        if (channel->side[i].actor == actor && other != NULL && !channel->side[1 - i].is_closed) {
            world_send(other, event, call->index, EXPORT_CHANNEL_MESSAGE, &call->body,
                       call->target);
        }
    }
}

// The opener heard what became of its channel.
static void opened(struct world *world, struct world_actor *actor, const struct done_call *call) {
    if (!call->is_ok) {
        world_channel_unconfirmed(world, actor);
        return;
    }
    struct slice id = event_text(call->value);
    struct world_actor *acceptor = world_find(world, call->target);
    if (acceptor != NULL) {
        world_channel_open(world, id, actor, acceptor);
    }
    struct world_channel *channel = world_channel_find(world, id);
    if (channel == NULL) {
        return;
    }
    channel->is_confirmed = true;
    // The first message of an acceptor whose export did not say the id.
    for (struct world_message *at = actor->messages; at != NULL; at = at->next) {
        if (at->kind == EXPORT_CHANNEL_MESSAGE && at->channel[0] == '\0' &&
            slice_equal_text(call->target, at->sender)) {
            memcpy(at->channel, channel->id, sizeof at->channel);
        }
    }
}

static void fold_call(struct world *world, struct world_actor *actor,
                      const struct chain_event *event, const struct done_call *call) {
    switch (waiting_kind(call->name)) {
        case WAIT_SEND:
            if (call->is_ok && call->target.size > 0) {
                world_send(world_get(world, call->target), event, call->index, EXPORT_SEND,
                           &call->body, slice_of(NULL, 0));
            }
            return;
        case WAIT_CHANNEL_SEND:
            if (call->is_ok) {
                send_on_channel(world, actor, event, call);
            }
            return;
        case WAIT_OPEN:
            opened(world, actor, call);
            return;
        case WAIT_HOST:
            if (call->is_ok) {
                world_host_call(actor, call->name, call->args, call->value);
            }
            return;
        case WAIT_OTHER:
            break;
    }
    if (call->is_ok && slice_equal_text(call->name, "message-server-host.close-channel")) {
        world_channel_close(world, actor, call->target);
    } else if (slice_equal_text(call->name, "runtime.shutdown")) {
        actor->has_exit = true;
        actor->exit = call->body;
        actor->exit.place = WORLD_EXIT;
    } else if (slice_starts_with(call->name, "wasi:cli/exit")) {
        actor->has_exit = true;
        actor->exit = (struct world_body){.place = WORLD_NOTHING, .position = event->position};
    }
}

static void read_result(struct slice result, struct done_call *call) {
    struct slice parts[2];
    uint64_t count = event_items(result, parts, 2);
    call->is_ok = count > 0 && event_uint(parts[0], 1) == 0;
    call->value = count > 1 ? parts[1] : slice_of(NULL, 0);
}

static struct slice first_text(struct slice args) {
    struct slice first;
    return event_items(args, &first, 1) > 0 ? event_text(first) : slice_of(NULL, 0);
}

// The call that the turn waited in has its result, which is what a call of one item is.
static void fold_rest_of_wait(struct world *world, struct world_actor *actor,
                              const struct chain_event *event, uint32_t index,
                              struct slice result) {
    static const char *const names[] = {[WAIT_SEND] = "message-server-host.send",
                                        [WAIT_CHANNEL_SEND] = "message-server-host.send-on-channel",
                                        [WAIT_OPEN] = "message-server-host.open-channel"};
    struct world_wait wait = actor->wait;
    actor->wait = (struct world_wait){0};
    struct done_call call = {
        .target = slice_of(wait.target, wait.target != NULL ? strlen(wait.target) : 0),
        .body = {.place = WORLD_CALL, .call = wait.call, .position = wait.position},
        .index = index};
    read_result(result, &call);
    if (wait.kind == WAIT_HOST) {
        struct slice parts[2];
        if (event_items(bytes_slice(wait.args), parts, 2) == 2) {
            call.name = event_text(parts[0]);
            call.args = parts[1];
        }
    } else if (wait.kind != WAIT_OTHER) {
        call.name = slice_text(names[wait.kind]);
    }
    if (wait.is_waiting && call.name.size > 0) {
        fold_call(world, actor, event, &call);
    }
    free(wait.target);
    bytes_unref(wait.args);
}

static void begin_wait(struct world_actor *actor, const struct chain_event *event, uint32_t index,
                       struct slice whole, const struct slice parts[2]) {
    world_clear_wait(actor);
    struct world_wait *wait = &actor->wait;
    *wait = (struct world_wait){.is_waiting = true,
                                .kind = waiting_kind(event_text(parts[0])),
                                .position = event->position,
                                .call = index};
    if (wait->kind == WAIT_HOST) {
        wait->args = bytes_copy(whole);
    } else if (wait->kind != WAIT_OTHER) {
        struct slice target = first_text(parts[1]);
        wait->target = xstrndup(target.data, target.size);
    }
}

// The turn is over, whether what it waited for came or not.
static void end_wait(struct world *world, struct world_actor *actor) {
    if (actor->wait.is_waiting && actor->wait.kind == WAIT_OPEN) {
        world_channel_unconfirmed(world, actor);
    }
    world_clear_wait(actor);
}

// Gives the number of calls.
static uint32_t fold_calls(struct world *world, struct world_actor *actor,
                           const struct chain_event *event, struct slice calls, bool is_waiting) {
    struct cbor_reader reader;
    uint64_t count = event_array(calls, &reader);
    for (uint64_t i = 0; i < count; i++) {
        struct slice whole;
        struct slice parts[3];
        if (cbor_read_item(&reader, &whole, NULL) != OK) {
            return (uint32_t)i;
        }
        uint64_t size = event_items(whole, parts, 3);
        if (size < 2) {
            fold_rest_of_wait(world, actor, event, (uint32_t)i, parts[0]);
        } else if (size == 2 && is_waiting && i + 1 == count) {
            begin_wait(actor, event, (uint32_t)i, whole, parts);
        } else {
            struct done_call call = {
                .name = event_text(parts[0]),
                .args = parts[1],
                .target = first_text(parts[1]),
                .body = {.place = WORLD_CALL, .call = (uint32_t)i, .position = event->position},
                .index = (uint32_t)i};
            read_result(parts[2], &call);
            fold_call(world, actor, event, &call);
        }
    }
    return (uint32_t)count;
}

// ---- legs --------------------------------------------------------------------------------------

static void tell_parent(struct world *world, struct world_actor *actor,
                        const struct chain_event *event, enum export_kind kind,
                        const struct world_body *body) {
    struct world_actor *parent =
        actor->parent != NULL ? world_find(world, slice_text(actor->parent)) : NULL;
    if (parent != NULL && parent->phase != WORLD_ABSENT && world_handles(parent, kind)) {
        world_send(parent, event, 0, kind, body, slice_of(NULL, 0));
    }
}

static void fold_source(struct world_actor *actor, struct slice source, enum export_kind kind) {
    bool is_kept = kind == EXPORT_SEND || kind == EXPORT_CHANNEL_MESSAGE ||
                   (kind >= EXPORT_CHILD_ERROR && kind <= EXPORT_CHILD_STOP);
    struct slice parts[3];
    if (is_kept && event_items(source, parts, 3) == 3) {
        world_consume(actor, event_text(parts[0]), event_uint(parts[1], 0),
                      (uint32_t)event_uint(parts[2], 0), kind);
    }
}

// A channel was asked for, and the answer is there: [[accepted, message]].
static void fold_accept(struct world *world, struct world_actor *actor,
                        const struct chain_event *event, const struct event_fields *fields,
                        struct slice answer, uint32_t calls) {
    struct slice tuple;
    struct slice accept[2];
    struct slice source[3];
    bool accepted = false;
    if (event_items(answer, &tuple, 1) != 1 || event_items(tuple, accept, 2) != 2 ||
        event_items(fields->item[2], source, 3) != 3) {
        return;
    }
    struct cbor_reader reader = cbor_reader_of(accept[0]);
    struct world_actor *opener = world_find(world, event_text(source[0]));
    if (cbor_read_bool(&reader, &accepted, NULL) != OK || !accepted || opener == NULL) {
        return;
    }
    struct slice params[2];
    // The older shape of the export has no id.
    struct slice id =
        event_items(fields->item[3], params, 2) == 2 ? event_text(params[0]) : slice_of(NULL, 0);
    if (id.size > 0) {
        world_channel_open(world, id, opener, actor);
    }
    struct cbor_reader option = cbor_reader_of(accept[1]);
    if (cbor_peek(&option) == CBOR_ARRAY && world_handles(opener, EXPORT_CHANNEL_MESSAGE)) {
        struct world_body body = {.place = WORLD_ACCEPT, .position = event->position};
        world_send(opener, event, calls, EXPORT_CHANNEL_MESSAGE, &body, id);
    }
}

static void fold_end(struct world *world, struct world_actor *actor,
                     const struct chain_event *event, const struct event_fields *fields, int kind,
                     uint32_t calls) {
    struct slice outcome[2];
    uint64_t count = event_items(fields->item[6], outcome, 2);
    uint64_t what = count > 0 ? event_uint(outcome[0], LEG_TRAP) : LEG_TRAP;
    end_wait(world, actor);
    if (kind == EXPORT_INIT && what == LEG_OK) {
        actor->phase = WORLD_RUNNING;
    } else if (kind == EXPORT_CHANNEL_OPEN && what == LEG_OK && count == 2) {
        fold_accept(world, actor, event, fields, outcome[1], calls);
    } else if (kind >= 0 && kind != EXPORT_INIT && what == LEG_ERROR) {
        struct world_body body = {.place = WORLD_ERROR, .position = event->position};
        actor->error_seq = event->seq;
        tell_parent(world, actor, event, EXPORT_CHILD_ERROR, &body);
    }
}

static void fold_leg(struct world *world, struct world_actor *actor,
                     const struct chain_event *event, int kind) {
    struct event_fields fields;
    if (!event_read_fields(event->data, &fields)) {
        return;
    }
    struct slice outcome[1];
    bool has_outcome = event_items(fields.item[6], outcome, 1) > 0;
    uint64_t what = has_outcome ? event_uint(outcome[0], LEG_TRAP) : LEG_TRAP;
    bool is_first = fields.item[1].size == 0;
    if (is_first && kind >= 0) {
        fold_source(actor, fields.item[2], (enum export_kind)kind);
        struct slice param;
        if (kind == EXPORT_CHANNEL_CLOSE && event_items(fields.item[3], &param, 1) > 0) {
            world_channel_told(world, actor, event_text(param));
        } else if (kind >= EXPORT_HTTP_REQUEST) {
            world_host_event(actor, (enum export_kind)kind, fields.item[3],
                             what == LEG_OK || what == LEG_WAITING);
        }
    }
    uint32_t calls = fold_calls(world, actor, event, fields.item[5], what == LEG_WAITING);
    if (fields.item[7].size > 0) {
        actor->state_at = actor->fresh_state_at = event->position;
    }
    if (what != LEG_WAITING) {
        fold_end(world, actor, event, &fields, kind, calls);
    } else {
        actor->wait.is_waiting = true;
    }
}

// ---- steps of a life ---------------------------------------------------------------------------

// Everything that the last run left behind is gone.
static void forget_run(struct world *world, struct world_actor *actor) {
    world_cut(world, actor);
    actor->has_exit = false;
    actor->error_seq = UINT64_MAX;
    actor->state_at = actor->fresh_state_at = WORLD_NOWHERE;
    actor->cut_at = actor->crashed_at = WORLD_NOWHERE;
}

// What is bound to the host and is not wanted by this component.
static void drop_unwanted(struct world *world, struct world_actor *actor) {
    for (struct world_side *side = actor->sides, *next = NULL; side != NULL; side = next) {
        next = side->next;
        if (!world_handles(actor, EXPORT_CHANNEL_CLOSE)) {
            world_channel_told(world, actor, slice_text(side->channel->id));
        }
    }
    for (struct world_link **link = &actor->links; *link != NULL;) {
        enum export_kind wanted =
            (*link)->is_process ? EXPORT_PROCESS_EXIT : EXPORT_WEBSOCKET_DISCONNECT;
        if (!world_handles(actor, wanted)) {
            struct world_link *gone = *link;
            *link = gone->next;
            free(gone);
        } else {
            link = &(*link)->next;
        }
    }
}

static void fold_begin(struct world *world, struct world_actor *actor,
                       const struct chain_event *event) {
    struct event_fields fields;
    if (!event_read_fields(event->data, &fields) ||
        !event_hash_of(fields.item[4], actor->manifest) ||
        !event_hash_of(fields.item[5], actor->component)) {
        return;
    }
    actor->has_origin = event_hash_of(fields.item[9], actor->origin);
    actor->exports = (uint32_t)event_uint(fields.item[10], UINT32_MAX);
    actor->pinned_at = event->position;
    struct slice mode = event_text(fields.item[11]);
    if (mode.size > 0 && actor->phase != WORLD_ABSENT) {
        // It came back after the node did.
        if (slice_equal_text(mode, "init") || actor->phase != WORLD_RUNNING) {
            world_clear_things(actor);
        }
        world_clear_wait(actor);
        drop_unwanted(world, actor);
        return;
    }
    forget_run(world, actor);
    if (actor->phase != WORLD_ABSENT) {
        world_drop_messages(actor);  // it was begun anew instead of being brought back
    }
    struct slice parent = event_text(fields.item[2]);
    free(actor->parent);
    actor->parent = parent.size > 0 ? xstrndup(parent.data, parent.size) : NULL;
    actor->began_at = event->position;
    // A fork begins where another actor was, and so with no init.
    actor->phase = fields.item[12].size > 0 ? WORLD_RUNNING : WORLD_STARTING;
}

// A crash that comes right behind the error that it is about is told once.
static void take_back_error(struct world *world, struct world_actor *actor,
                            const struct chain_event *event) {
    struct world_actor *parent =
        actor->parent != NULL ? world_find(world, slice_text(actor->parent)) : NULL;
    if (parent != NULL && actor->error_seq != UINT64_MAX && actor->error_seq + 1 == event->seq) {
        world_consume(parent, slice_text(actor->id), actor->error_seq, 0, EXPORT_CHILD_ERROR);
    }
}

// The instance is gone; the mailbox stays unless the manifest says otherwise.
static void fold_down(struct world *world, struct world_actor *actor,
                      const struct chain_event *event) {
    world_cut(world, actor);
    actor->cut_at = event->position;
    actor->fresh_state_at = WORLD_NOWHERE;
    actor->has_exit = false;
}

static void fold_ended(struct world *world, struct world_actor *actor,
                       const struct chain_event *event) {
    struct event_fields fields;
    bool is_read = event_read_fields(event->data, &fields);
    bool is_exit = slice_equal_text(event->type, "exited");
    struct slice decision = is_read ? event_text(fields.item[2]) : slice_of(NULL, 0);
    struct world_body body = {.place = WORLD_CRASH, .position = event->position};
    if (is_exit) {
        body = actor->exit;
    } else {
        take_back_error(world, actor, event);
    }
    fold_down(world, actor, event);
    tell_parent(world, actor, event, is_exit ? EXPORT_CHILD_EXIT : EXPORT_CHILD_ERROR, &body);
    if (slice_equal_text(decision, "restart")) {
        actor->phase = WORLD_RESTARTING;
        actor->crashed_at = event->position;
        return;
    }
    actor->phase = slice_equal_text(decision, "rest") ? WORLD_CRASHED : WORLD_ENDING;
    world_drop_messages(actor);
}

static void fold_restart(struct world *world, struct world_actor *actor,
                         const struct chain_event *event) {
    struct event_fields fields;
    bool is_read = event_read_fields(event->data, &fields);
    if (actor->phase == WORLD_CRASHED) {
        world_drop_messages(actor);
    }
    fold_down(world, actor, event);
    if (is_read && slice_equal_text(event_text(fields.item[1]), "restart-child")) {
        actor->state_at = WORLD_NOWHERE;
    } else {
        actor->crashed_at = event->position;  // by its parent's strategy: as after a crash
    }
    actor->phase = WORLD_RESTARTING;
}

static void fold_shutdown(struct world *world, struct world_actor *actor,
                          const struct chain_event *event) {
    struct event_fields fields;
    struct slice reason =
        event_read_fields(event->data, &fields) ? event_text(fields.item[1]) : slice_of(NULL, 0);
    bool is_stopped =
        slice_equal_text(reason, "one-for-all") || slice_equal_text(reason, "rest-for-one");
    struct world_body exit = actor->exit;
    bool has_exit = actor->has_exit && actor->phase != WORLD_STARTING;
    forget_run(world, actor);
    world_drop_messages(actor);
    actor->phase = WORLD_ABSENT;
    if (has_exit) {
        tell_parent(world, actor, event, EXPORT_CHILD_EXIT, &exit);
    } else if (is_stopped) {
        exit = (struct world_body){.place = WORLD_NOTHING, .position = event->position};
        tell_parent(world, actor, event, EXPORT_CHILD_STOP, &exit);
    }
    world_tidy(world, actor);
}

// ---- the node's own chain ----------------------------------------------------------------------

static void fold_node(struct world *world, const struct chain_event *event) {
    struct event_fields fields;
    if (!slice_equal_text(event->type, "send") || !event_read_fields(event->data, &fields)) {
        return;
    }
    struct slice target = event_text(fields.item[1]);
    if (target.size > 0) {
        struct world_body body = {.place = WORLD_OUTSIDE, .position = event->position};
        world_send(world_get(world, target), event, 0, EXPORT_SEND, &body, slice_of(NULL, 0));
    }
}

enum status world_fold(void *context, const struct chain_event *event, struct error *error) {
    (void)error;
    struct world *world = context;
    world->position = event->position + 1;
    world->last_at = event->position;
    memcpy(world->last_parent, event->parent, SHA256_BYTES);
    struct slice id = slice_text(event->id);
    if (slice_equal_text(id, node_chain_id)) {
        fold_node(world, event);
        return OK;
    }
    bool begins =
        slice_equal_text(event->type, "spawned") || slice_equal_text(event->type, "resumed");
    struct world_actor *actor = begins ? world_get(world, id) : world_find(world, id);
    if (actor == NULL || (actor->phase == WORLD_ABSENT && !begins)) {
        return OK;
    }
    int kind = kind_of(event->type);
    if (begins) {
        fold_begin(world, actor, event);
    } else if (kind >= 0 || slice_equal_text(event->type, "instance-created")) {
        fold_leg(world, actor, event, kind);
    } else if (slice_equal_text(event->type, "crashed") ||
               slice_equal_text(event->type, "exited")) {
        fold_ended(world, actor, event);
    } else if (slice_equal_text(event->type, "restarted")) {
        fold_restart(world, actor, event);
    } else if (slice_equal_text(event->type, "aborted")) {
        end_wait(world, actor);
    } else if (slice_equal_text(event->type, "shutdown")) {
        fold_shutdown(world, actor, event);
    }
    return OK;
}

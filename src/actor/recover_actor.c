// SPDX-License-Identifier: Apache-2.0
// The actors of a world, and what waits in their mailboxes (recover_world.h).
#include <assert.h>
#include <stdlib.h>

#include "actor/recover_world.h"

struct world *world_new(void) {
    struct world *world = xcalloc(1, sizeof *world);
    world->last_at = WORLD_NOWHERE;
    return world;
}

uint64_t world_position(const struct world *world) {
    return world->position;
}

bool world_last(const struct world *world, uint64_t *position, uint8_t parent[SHA256_BYTES]) {
    *position = world->last_at;
    memcpy(parent, world->last_parent, SHA256_BYTES);
    return world->last_at != WORLD_NOWHERE;
}

uint64_t world_count(const struct world *world) {
    uint64_t count = 0;
    uint32_t cursor = 0;
    for (struct map_entry *at = map_next(&world->actors, &cursor); at != NULL;
         at = map_next(&world->actors, &cursor)) {
        const struct world_actor *actor = at->value;
        count += actor->phase != WORLD_ABSENT;
    }
    return count;
}

struct world_actor *world_find(const struct world *world, struct slice id) {
    return map_get(&world->actors, id);
}

struct world_actor *world_get(struct world *world, struct slice id) {
    struct world_actor *actor = map_get(&world->actors, id);
    if (actor == NULL) {
        actor = xcalloc(1, sizeof *actor);
        actor->id = xstrndup(id.data, id.size);
        actor->messages_end = &actor->messages;
        actor->things_end = &actor->things;
        actor->error_seq = UINT64_MAX;
        (void)map_add(&world->actors, id, actor);
    }
    return actor;
}

static void message_release(struct world_message *message) {
    free(message->sender);
    free(message);
}

void world_drop_messages(struct world_actor *actor) {
    while (actor->messages != NULL) {
        struct world_message *message = actor->messages;
        actor->messages = message->next;
        message_release(message);
    }
    actor->messages_end = &actor->messages;
}

void world_clear_things(struct world_actor *actor) {
    while (actor->things != NULL) {
        struct world_thing *thing = actor->things;
        actor->things = thing->next;
        bytes_unref(thing->call);
        free(thing);
    }
    actor->things_end = &actor->things;
}

static void clear_links(struct world_actor *actor) {
    while (actor->links != NULL) {
        struct world_link *link = actor->links;
        actor->links = link->next;
        free(link);
    }
}

void world_clear_wait(struct world_actor *actor) {
    free(actor->wait.target);
    bytes_unref(actor->wait.args);
    actor->wait = (struct world_wait){0};
}

void world_actor_free(struct world_actor *actor) {
    world_drop_messages(actor);
    world_clear_things(actor);
    clear_links(actor);
    world_clear_wait(actor);
    free(actor->parent);
    free(actor->id);
    free(actor);
}

void world_tidy(struct world *world, struct world_actor *actor) {
    if (actor->phase == WORLD_ABSENT && actor->messages == NULL) {
        assert(actor->sides == NULL);
        (void)map_remove(&world->actors, slice_text(actor->id));
        world_actor_free(actor);
    }
}

void world_forget(struct world *world) {
    uint32_t cursor = 0;
    for (struct map_entry *at = map_next(&world->channels, &cursor); at != NULL;
         at = map_next(&world->channels, &cursor)) {
        free(at->value);
    }
    map_release(&world->channels);
    cursor = 0;
    for (struct map_entry *at = map_next(&world->actors, &cursor); at != NULL;
         at = map_next(&world->actors, &cursor)) {
        world_actor_free(at->value);
    }
    map_release(&world->actors);
}

void world_free(struct world *world) {
    if (world != NULL) {
        world_forget(world);
        free(world);
    }
}

// ---- messages ----------------------------------------------------------------------------------

void world_send(struct world_actor *target, const struct chain_event *by, uint32_t index,
                enum export_kind kind, const struct world_body *body, struct slice channel) {
    struct world_message *message = xcalloc(1, sizeof *message);
    message->sender = xstrdup(by->id);
    message->seq = by->seq;
    message->index = index;
    message->kind = kind;
    message->body = *body;
    message->sent_at = by->position;
    if (channel.size < sizeof message->channel) {
        memcpy(message->channel, channel.data != NULL ? channel.data : (const void *)"",
               channel.size);
    }
    *target->messages_end = message;
    target->messages_end = &message->next;
}

static void unlink_message(struct world_actor *actor, struct world_message **link) {
    struct world_message *message = *link;
    *link = message->next;
    if (actor->messages_end == &message->next) {
        actor->messages_end = link;
    }
    message_release(message);
}

// A child's notices are told apart by the event that they are about: it has one at most.
static bool has_index(enum export_kind kind) {
    return kind == EXPORT_SEND || kind == EXPORT_CHANNEL_MESSAGE;
}

void world_consume(struct world_actor *actor, struct slice sender, uint64_t seq, uint32_t index,
                   enum export_kind kind) {
    // Messages are consumed nearly in the order of the log: what is wanted is among the first.
    for (struct world_message **link = &actor->messages; *link != NULL; link = &(*link)->next) {
        const struct world_message *message = *link;
        if (message->seq == seq && message->kind == kind &&
            (message->index == index || !has_index(kind)) &&
            slice_equal_text(sender, message->sender)) {
            unlink_message(actor, link);
            return;
        }
    }
}

void world_drop_channel(struct world_actor *actor, const char *channel) {
    for (struct world_message **link = &actor->messages; *link != NULL;) {
        if ((*link)->kind == EXPORT_CHANNEL_MESSAGE &&
            (channel == NULL || strcmp((*link)->channel, channel) == 0)) {
            unlink_message(actor, link);
        } else {
            link = &(*link)->next;
        }
    }
}

// ---- the end of an instance --------------------------------------------------------------------

void world_cut(struct world *world, struct world_actor *actor) {
    world_clear_wait(actor);
    world_channels_cut(world, actor);
    world_clear_things(actor);
    clear_links(actor);
    for (int i = 0; i < WORLD_PROCESS; i++) {
        actor->counters[i] = 0;  // programs are counted as long as the actor lives
    }
    // What was sent to it on a channel is nothing to the next instance.
    world_drop_channel(actor, NULL);
}

// SPDX-License-Identifier: Apache-2.0
// The channels of a world (recover_world.h). A channel is known from the event that accepted it
// (or, where that does not say its id, from the opener's) until neither side is owed anything.
#include <stdlib.h>

#include "actor/recover_world.h"

struct world_channel *world_channel_find(const struct world *world, struct slice id) {
    return map_get(&world->channels, id);
}

static void side_join(struct world_channel *channel, size_t number, struct world_actor *actor) {
    struct world_side *side = &channel->side[number];
    *side = (struct world_side){.next = actor->sides, .channel = channel, .actor = actor};
    actor->sides = side;
}

static void side_leave(struct world_side *side) {
    struct world_side **link = &side->actor->sides;
    while (*link != side) {
        link = &(*link)->next;
    }
    *link = side->next;
    side->actor = NULL;
}

static void forget_if_over(struct world *world, struct world_channel *channel) {
    if (channel->side[0].actor == NULL && channel->side[1].actor == NULL) {
        (void)map_remove(&world->channels, slice_text(channel->id));
        free(channel);
    }
}

struct world_channel *world_channel_add(struct world *world, struct slice id,
                                        struct world_actor *const actors[2],
                                        const bool is_closed[2]) {
    struct world_channel *channel = xcalloc(1, sizeof *channel);
    memcpy(channel->id, id.data, id.size);
    for (size_t i = 0; i < 2; i++) {
        if (actors[i] != NULL) {
            side_join(channel, i, actors[i]);
            channel->side[i].is_closed = is_closed[i];
        }
    }
    (void)map_add(&world->channels, id, channel);
    return channel;
}

void world_channel_open(struct world *world, struct slice id, struct world_actor *opener,
                        struct world_actor *acceptor) {
    if (id.size >= ACTOR_UUID_BYTES || opener == acceptor || opener->phase == WORLD_ABSENT ||
        acceptor->phase == WORLD_ABSENT || world_channel_find(world, id) != NULL) {
        return;
    }
    struct world_actor *const actors[2] = {opener, acceptor};
    (void)world_channel_add(world, id, actors, (const bool[2]){false, false});
}

// The other side is owed the news, if it wants them.
static void close_other(struct world_channel *channel, size_t number) {
    struct world_side *other = &channel->side[1 - number];
    if (other->actor == NULL) {
        return;
    }
    other->is_closed = true;
    if (!world_handles(other->actor, EXPORT_CHANNEL_CLOSE)) {
        side_leave(other);
    }
}

static size_t number_of(const struct world_side *side) {
    return side == &side->channel->side[0] ? 0 : 1;
}

static void end_side(struct world *world, struct world_side *side) {
    struct world_channel *channel = side->channel;
    if (!side->is_closed) {
        close_other(channel, number_of(side));
    }
    side_leave(side);
    forget_if_over(world, channel);
}

static struct world_side *side_of(const struct world *world, const struct world_actor *actor,
                                  struct slice id) {
    struct world_channel *channel = world_channel_find(world, id);
    for (size_t i = 0; channel != NULL && i < 2; i++) {
        if (channel->side[i].actor == actor) {
            return &channel->side[i];
        }
    }
    return NULL;
}

void world_channel_close(struct world *world, struct world_actor *by, struct slice id) {
    struct world_side *side = side_of(world, by, id);
    if (side != NULL) {
        end_side(world, side);
    }
}

void world_channel_told(struct world *world, struct world_actor *actor, struct slice id) {
    struct world_side *side = side_of(world, actor, id);
    if (side != NULL) {
        struct world_channel *channel = side->channel;
        side_leave(side);
        forget_if_over(world, channel);
    }
}

void world_channel_unconfirmed(struct world *world, struct world_actor *opener) {
    for (struct world_side *side = opener->sides, *next = NULL; side != NULL; side = next) {
        next = side->next;
        if (number_of(side) == 0 && !side->channel->is_confirmed) {
            world_drop_channel(opener, side->channel->id);
            end_side(world, side);
        }
    }
}

void world_channels_cut(struct world *world, struct world_actor *actor) {
    while (actor->sides != NULL) {
        end_side(world, actor->sides);
    }
}

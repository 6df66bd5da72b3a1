// SPDX-License-Identifier: Apache-2.0
// A world as one CBOR item and back (recover_world.h), so that opening a log need not read all of
// it. docs/formats/chain.md, "Snapshot", draws it.
#include <stdlib.h>

#include "actor/recover_world.h"
#include "codec/cbor.h"

enum { SAVE_VERSION = 1 };

// ---- writing -----------------------------------------------------------------------------------

static void save_text(struct buf *out, const char *text) {
    if (text == NULL) {
        cbor_null(out);
    } else {
        cbor_text_z(out, text);
    }
}

static void save_hash(struct buf *out, const uint8_t hash[SHA256_BYTES]) {
    cbor_bytes(out, slice_of(hash, SHA256_BYTES));
}

static void save_body(struct buf *out, const struct world_body *body) {
    cbor_array(out, 3);
    cbor_uint(out, (uint64_t)body->place);
    cbor_uint(out, body->call);
    cbor_uint(out, body->position);
}

static void save_wait(struct buf *out, const struct world_wait *wait) {
    if (!wait->is_waiting) {
        cbor_null(out);
        return;
    }
    cbor_array(out, 5);
    cbor_uint(out, (uint64_t)wait->kind);
    cbor_uint(out, wait->position);
    cbor_uint(out, wait->call);
    save_text(out, wait->target);
    cbor_bytes(out, bytes_slice(wait->args));
}

static void save_messages(struct buf *out, const struct world_actor *actor) {
    uint64_t count = 0;
    for (const struct world_message *at = actor->messages; at != NULL; at = at->next) {
        count++;
    }
    cbor_array(out, count);
    for (const struct world_message *at = actor->messages; at != NULL; at = at->next) {
        cbor_array(out, 7);
        cbor_text_z(out, at->sender);
        cbor_uint(out, at->seq);
        cbor_uint(out, at->index);
        cbor_uint(out, (uint64_t)at->kind);
        save_body(out, &at->body);
        cbor_text_z(out, at->channel);
        cbor_uint(out, at->sent_at);
    }
}

static void save_host(struct buf *out, const struct world_actor *actor) {
    uint64_t count = 0;
    for (const struct world_thing *at = actor->things; at != NULL; at = at->next) {
        count++;
    }
    cbor_array(out, count);
    for (const struct world_thing *at = actor->things; at != NULL; at = at->next) {
        cbor_array(out, 4);
        cbor_uint(out, (uint64_t)at->kind);
        cbor_uint(out, at->id);
        cbor_uint(out, at->server);
        cbor_bytes(out, bytes_slice(at->call));
    }
    count = 0;
    for (const struct world_link *at = actor->links; at != NULL; at = at->next) {
        count++;
    }
    cbor_array(out, count);
    for (const struct world_link *at = actor->links; at != NULL; at = at->next) {
        cbor_array(out, 4);
        cbor_bool(out, at->is_process);
        cbor_uint(out, at->id);
        cbor_uint(out, at->handler);
        cbor_bool(out, at->is_message);
    }
    cbor_array(out, WORLD_COUNTERS);
    for (size_t i = 0; i < WORLD_COUNTERS; i++) {
        cbor_uint(out, actor->counters[i]);
    }
}

static void save_actor(struct buf *out, const struct world_actor *actor) {
    cbor_array(out, 20);
    cbor_text_z(out, actor->id);
    cbor_uint(out, (uint64_t)actor->phase);
    cbor_uint(out, actor->began_at);
    cbor_uint(out, actor->pinned_at);
    save_text(out, actor->parent);
    cbor_uint(out, actor->exports);
    save_hash(out, actor->manifest);
    save_hash(out, actor->component);
    if (actor->has_origin) {
        save_hash(out, actor->origin);
    } else {
        cbor_null(out);
    }
    cbor_uint(out, actor->state_at);
    cbor_uint(out, actor->fresh_state_at);
    cbor_uint(out, actor->cut_at);
    cbor_uint(out, actor->crashed_at);
    save_wait(out, &actor->wait);
    if (actor->has_exit) {
        save_body(out, &actor->exit);
    } else {
        cbor_null(out);
    }
    cbor_uint(out, actor->error_seq);
    save_messages(out, actor);
    save_host(out, actor);  // three items
}

static void save_channel(struct buf *out, const struct world_channel *channel) {
    cbor_array(out, 6);
    cbor_text_z(out, channel->id);
    cbor_bool(out, channel->is_confirmed);
    for (size_t i = 0; i < 2; i++) {
        save_text(out, channel->side[i].actor != NULL ? channel->side[i].actor->id : NULL);
        cbor_bool(out, channel->side[i].is_closed);
    }
}

void world_save(const struct world *world, struct buf *out) {
    cbor_array(out, 6);
    cbor_uint(out, SAVE_VERSION);
    cbor_uint(out, world->position);
    cbor_uint(out, world->last_at);
    save_hash(out, world->last_parent);
    cbor_array(out, world->actors.live_count);
    uint32_t cursor = 0;
    for (struct map_entry *at = map_next(&world->actors, &cursor); at != NULL;
         at = map_next(&world->actors, &cursor)) {
        save_actor(out, at->value);
    }
    cbor_array(out, world->channels.live_count);
    cursor = 0;
    for (struct map_entry *at = map_next(&world->channels, &cursor); at != NULL;
         at = map_next(&world->channels, &cursor)) {
        save_channel(out, at->value);
    }
}

// ---- reading -----------------------------------------------------------------------------------

// A reader that remembers that something was not as it should be.
struct load {
    struct cbor_reader reader;
    bool is_bad;
};

static uint64_t load_uint(struct load *load) {
    uint64_t value = 0;
    load->is_bad = load->is_bad || cbor_read_uint(&load->reader, &value, NULL) != OK;
    return load->is_bad ? 0 : value;
}

static bool load_bool(struct load *load) {
    bool value = false;
    load->is_bad = load->is_bad || cbor_read_bool(&load->reader, &value, NULL) != OK;
    return !load->is_bad && value;
}

static struct slice load_text(struct load *load) {
    struct slice text = slice_of(NULL, 0);
    load->is_bad = load->is_bad || cbor_read_text(&load->reader, &text, NULL) != OK;
    return load->is_bad ? slice_of(NULL, 0) : text;
}

static bool load_null(struct load *load) {
    return !load->is_bad && cbor_take_null(&load->reader);
}

// A text of its own, or NULL.
static char *load_own_text(struct load *load) {
    if (load_null(load)) {
        return NULL;
    }
    struct slice text = load_text(load);
    return load->is_bad ? NULL : xstrndup(text.data, text.size);
}

static struct slice load_bytes(struct load *load) {
    struct slice content = slice_of(NULL, 0);
    load->is_bad = load->is_bad || cbor_read_bytes(&load->reader, &content, NULL) != OK;
    return load->is_bad ? slice_of(NULL, 0) : content;
}

static void load_hash(struct load *load, uint8_t hash[SHA256_BYTES]) {
    struct slice content = load_bytes(load);
    load->is_bad = load->is_bad || content.size != SHA256_BYTES;
    if (!load->is_bad) {
        memcpy(hash, content.data, SHA256_BYTES);
    }
}

static uint64_t load_array(struct load *load) {
    uint64_t count = 0;
    load->is_bad = load->is_bad || cbor_read_array(&load->reader, &count, NULL) != OK;
    return load->is_bad ? 0 : count;
}

static void load_array_of(struct load *load, uint64_t wanted) {
    load->is_bad = load_array(load) != wanted || load->is_bad;
}

static uint32_t load_below(struct load *load, uint64_t most) {
    uint64_t value = load_uint(load);
    load->is_bad = load->is_bad || value >= most;
    return load->is_bad ? 0 : (uint32_t)value;
}

static void load_uuid(struct load *load, char out[ACTOR_UUID_BYTES]) {
    struct slice text = load_text(load);
    load->is_bad = load->is_bad || text.size >= ACTOR_UUID_BYTES;
    if (!load->is_bad && text.size > 0) {
        memcpy(out, text.data, text.size);
    }
}

static void load_body(struct load *load, struct world_body *body) {
    load_array_of(load, 3);
    body->place = (enum world_place)load_below(load, WORLD_NOTHING + 1);
    body->call = load_below(load, (uint64_t)UINT32_MAX + 1);
    body->position = load_uint(load);
}

static void load_wait(struct load *load, struct world_wait *wait) {
    if (load_null(load)) {
        return;
    }
    load_array_of(load, 5);
    wait->is_waiting = true;
    wait->kind = (enum world_waiting)load_below(load, WAIT_HOST + 1);
    wait->position = load_uint(load);
    wait->call = load_below(load, (uint64_t)UINT32_MAX + 1);
    wait->target = load_own_text(load);
    struct slice args = load_bytes(load);
    wait->args = args.size > 0 ? bytes_copy(args) : NULL;
}

static void load_messages(struct load *load, struct world_actor *actor) {
    uint64_t count = load_array(load);
    for (uint64_t i = 0; i < count && !load->is_bad; i++) {
        struct world_message *message = xcalloc(1, sizeof *message);
        *actor->messages_end = message;
        actor->messages_end = &message->next;
        load_array_of(load, 7);
        message->sender = load_own_text(load);
        load->is_bad = load->is_bad || message->sender == NULL;
        message->seq = load_uint(load);
        message->index = load_below(load, (uint64_t)UINT32_MAX + 1);
        message->kind = (enum export_kind)load_below(load, EXPORT_COUNT);
        load_body(load, &message->body);
        load_uuid(load, message->channel);
        message->sent_at = load_uint(load);
    }
}

static void load_host(struct load *load, struct world_actor *actor) {
    uint64_t count = load_array(load);
    for (uint64_t i = 0; i < count && !load->is_bad; i++) {
        struct world_thing *thing = xcalloc(1, sizeof *thing);
        *actor->things_end = thing;
        actor->things_end = &thing->next;
        load_array_of(load, 4);
        thing->kind = (enum world_thing_kind)load_below(load, WORLD_THING_SOCKET + 1);
        thing->id = load_uint(load);
        thing->server = load_uint(load);
        thing->call = bytes_copy(load_bytes(load));
    }
    struct world_link **end = &actor->links;
    count = load_array(load);
    for (uint64_t i = 0; i < count && !load->is_bad; i++) {
        struct world_link *link = xcalloc(1, sizeof *link);
        *end = link;
        end = &link->next;
        load_array_of(load, 4);
        link->is_process = load_bool(load);
        link->id = load_uint(load);
        link->handler = load_uint(load);
        link->is_message = load_bool(load);
    }
    load_array_of(load, WORLD_COUNTERS);
    for (size_t i = 0; i < WORLD_COUNTERS; i++) {
        actor->counters[i] = load_uint(load);
    }
}

static void load_actor(struct load *load, struct world *world) {
    load_array_of(load, 20);
    struct slice id = load_text(load);
    load->is_bad = load->is_bad || id.size == 0 || world_find(world, id) != NULL;
    if (load->is_bad) {
        return;
    }
    struct world_actor *actor = world_get(world, id);
    actor->phase = (enum world_phase)load_below(load, WORLD_ENDING + 1);
    actor->began_at = load_uint(load);
    actor->pinned_at = load_uint(load);
    actor->parent = load_own_text(load);
    actor->exports = load_below(load, (uint64_t)UINT32_MAX + 1);
    load_hash(load, actor->manifest);
    load_hash(load, actor->component);
    actor->has_origin = !load_null(load);
    if (actor->has_origin) {
        load_hash(load, actor->origin);
    }
    actor->state_at = load_uint(load);
    actor->fresh_state_at = load_uint(load);
    actor->cut_at = load_uint(load);
    actor->crashed_at = load_uint(load);
    load_wait(load, &actor->wait);
    actor->has_exit = !load_null(load);
    if (actor->has_exit) {
        load_body(load, &actor->exit);
    }
    actor->error_seq = load_uint(load);
    load_messages(load, actor);
    load_host(load, actor);
}

static void load_channel(struct load *load, struct world *world) {
    load_array_of(load, 6);
    struct slice id = load_text(load);
    bool is_confirmed = load_bool(load);
    struct world_actor *actors[2] = {NULL, NULL};
    bool is_closed[2] = {false, false};
    for (size_t i = 0; i < 2; i++) {
        if (!load_null(load)) {
            actors[i] = world_find(world, load_text(load));
            load->is_bad = load->is_bad || actors[i] == NULL;
        }
        is_closed[i] = load_bool(load);
    }
    load->is_bad = load->is_bad || (actors[0] == NULL && actors[1] == NULL) ||
                   actors[0] == actors[1] || id.size == 0 || id.size >= ACTOR_UUID_BYTES ||
                   world_channel_find(world, id) != NULL;
    if (!load->is_bad) {
        world_channel_add(world, id, actors, is_closed)->is_confirmed = is_confirmed;
    }
}

enum status world_load(struct slice item, struct world **out, struct error *error) {
    struct load load = {.reader = cbor_reader_of(item)};
    struct world *world = world_new();
    load_array_of(&load, 6);
    load.is_bad = load_uint(&load) != SAVE_VERSION || load.is_bad;
    world->position = load_uint(&load);
    world->last_at = load_uint(&load);
    load_hash(&load, world->last_parent);
    uint64_t count = load_array(&load);
    for (uint64_t i = 0; i < count && !load.is_bad; i++) {
        load_actor(&load, world);
    }
    count = load_array(&load);
    for (uint64_t i = 0; i < count && !load.is_bad; i++) {
        load_channel(&load, world);
    }
    if (load.is_bad || !cbor_at_end(&load.reader)) {
        world_free(world);
        return error_set(error, ERR_DAMAGED, "it is not a snapshot of this version");
    }
    *out = world;
    return OK;
}

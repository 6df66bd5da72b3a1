// SPDX-License-Identifier: Apache-2.0
// What of a world the host room rebuilds or ends: HTTP servers with what was added to them,
// WebSocket connections, programs (recover_world.h). Read from the recorded calls of
// theater:simple/http-framework and process, and from the exports that they cause to be called.
#include <assert.h>
#include <stdlib.h>

#include "actor/recover_world.h"
#include "codec/cbor.h"

enum host_effect { EFFECT_ADD, EFFECT_COUNT, EFFECT_REMOVE, EFFECT_REMOVE_PATH, EFFECT_DESTROY };

// What each call does to the things of the instance when it went well. The id is the result's for
// what adds (the argument's for start-server), the argument's for what removes.
static const struct host_call {
    const char *name;
    enum host_effect effect;
    enum world_thing_kind kind;
    enum world_counter counter;  // WORLD_COUNTERS: none
} host_calls[] = {
    {"http-framework.create-server", EFFECT_ADD, WORLD_THING_SERVER, WORLD_SERVER},
    {"http-framework.start-server", EFFECT_ADD, WORLD_THING_START, WORLD_COUNTERS},
    {"http-framework.stop-server", EFFECT_REMOVE, WORLD_THING_START, WORLD_COUNTERS},
    {"http-framework.destroy-server", EFFECT_DESTROY, WORLD_THING_SERVER, WORLD_COUNTERS},
    {"http-framework.register-handler", EFFECT_COUNT, WORLD_THING_SERVER, WORLD_HANDLER},
    {"http-framework.add-route", EFFECT_ADD, WORLD_THING_ROUTE, WORLD_ROUTE},
    {"http-framework.remove-route", EFFECT_REMOVE, WORLD_THING_ROUTE, WORLD_COUNTERS},
    {"http-framework.add-middleware", EFFECT_ADD, WORLD_THING_MIDDLEWARE, WORLD_MIDDLEWARE},
    {"http-framework.remove-middleware", EFFECT_REMOVE, WORLD_THING_MIDDLEWARE, WORLD_COUNTERS},
    {"http-framework.enable-websocket", EFFECT_ADD, WORLD_THING_SOCKET, WORLD_COUNTERS},
    {"http-framework.disable-websocket", EFFECT_REMOVE_PATH, WORLD_THING_SOCKET, WORLD_COUNTERS},
    {"process.os-spawn", EFFECT_COUNT, WORLD_THING_SERVER, WORLD_PROCESS},
};

static const struct host_call *find_call(struct slice name) {
    if (!slice_starts_with(name, "http-framework.") && !slice_starts_with(name, "process.")) {
        return NULL;
    }
    for (size_t i = 0; i < COUNT_OF(host_calls); i++) {
        if (slice_equal_text(name, host_calls[i].name)) {
            return &host_calls[i];
        }
    }
    return NULL;
}

bool world_is_host_call(struct slice name) {
    return find_call(name) != NULL;
}

// The first argument, a number, and the text behind it (empty if there is none).
static bool read_args(struct slice args, uint64_t *first, struct slice *path) {
    struct cbor_reader reader = cbor_reader_of(args);
    uint64_t count = 0;
    *path = slice_of(NULL, 0);
    if (cbor_read_array(&reader, &count, NULL) != OK || count == 0 ||
        cbor_read_uint(&reader, first, NULL) != OK) {
        return false;
    }
    if (count > 1) {
        (void)!cbor_read_text(&reader, path, NULL);
    }
    return true;
}

static void add_thing(struct world_actor *actor, const struct host_call *call, uint64_t id,
                      uint64_t server, struct slice args, struct slice result) {
    struct buf raw = {0};
    cbor_array(&raw, 3);
    cbor_text_z(&raw, call->name);
    cbor_raw(&raw, args);
    cbor_raw(&raw, result);
    struct world_thing *thing = xcalloc(1, sizeof *thing);
    *thing = (struct world_thing){
        .kind = call->kind, .id = id, .server = server, .call = bytes_copy(buf_slice(&raw))};
    buf_release(&raw);
    *actor->things_end = thing;
    actor->things_end = &thing->next;
}

// The path of a thing that is a WebSocket path.
static bool has_path(const struct world_thing *thing, struct slice path) {
    struct cbor_reader reader = cbor_reader_of(bytes_slice(thing->call));
    uint64_t count = 0;
    uint64_t server = 0;
    struct slice args;
    struct slice own;
    return cbor_read_array(&reader, &count, NULL) == OK && cbor_skip(&reader, NULL) == OK &&
           cbor_read_item(&reader, &args, NULL) == OK && read_args(args, &server, &own) &&
           slice_equal(own, path);
}

static void remove_things(struct world_actor *actor, const struct host_call *call, uint64_t id,
                          struct slice path) {
    struct world_thing **link = &actor->things;
    while (*link != NULL) {
        struct world_thing *thing = *link;
        bool is_it = call->effect == EFFECT_DESTROY ? thing->server == id
                     : thing->kind != call->kind    ? false
                     : call->effect == EFFECT_REMOVE_PATH
                         ? thing->server == id && has_path(thing, path)
                         : thing->id == id;
        if (is_it) {
            *link = thing->next;
            bytes_unref(thing->call);
            free(thing);
        } else {
            link = &thing->next;
        }
    }
    actor->things_end = link;
}

static void add_link(struct world_actor *actor, bool is_process, uint64_t id, uint64_t handler,
                     bool is_message) {
    enum world_counter counter = is_process ? WORLD_PROCESS : WORLD_CONNECTION;
    actor->counters[counter] = id > actor->counters[counter] ? id : actor->counters[counter];
    struct world_link **link = &actor->links;
    while (*link != NULL) {
        if ((*link)->is_process == is_process && (*link)->id == id) {
            return;
        }
        link = &(*link)->next;
    }
    *link = xcalloc(1, sizeof **link);
    **link = (struct world_link){
        .is_process = is_process, .id = id, .handler = handler, .is_message = is_message};
}

static void remove_link(struct world_actor *actor, bool is_process, uint64_t id) {
    for (struct world_link **link = &actor->links; *link != NULL; link = &(*link)->next) {
        if ((*link)->is_process == is_process && (*link)->id == id) {
            struct world_link *gone = *link;
            *link = gone->next;
            free(gone);
            return;
        }
    }
}

static uint64_t read_number(struct slice item) {
    struct cbor_reader reader = cbor_reader_of(item);
    uint64_t number = 0;
    (void)!cbor_read_uint(&reader, &number, NULL);
    return number;
}

void world_host_call(struct world_actor *actor, struct slice name, struct slice args,
                     struct slice result) {
    const struct host_call *call = find_call(name);
    assert(call != NULL);
    uint64_t given = read_number(result);
    uint64_t first = 0;
    struct slice path;
    bool has_first = read_args(args, &first, &path);
    if (call->counter != WORLD_COUNTERS && given > actor->counters[call->counter]) {
        actor->counters[call->counter] = given;
    }
    if (call->counter == WORLD_PROCESS) {
        add_link(actor, true, given, 0, false);
    } else if (call->effect == EFFECT_ADD && call->kind == WORLD_THING_SERVER) {
        add_thing(actor, call, given, given, args, result);
    } else if (call->effect == EFFECT_ADD && has_first) {
        bool is_start = call->kind == WORLD_THING_START;
        add_thing(actor, call, is_start ? first : given, first, args, result);
    } else if (call->effect != EFFECT_COUNT && has_first) {
        remove_things(actor, call, first, path);
    }
}

void world_host_event(struct world_actor *actor, enum export_kind kind, struct slice params,
                      bool is_good) {
    struct cbor_reader reader = cbor_reader_of(params);
    uint64_t count = 0;
    uint64_t handler = 0;
    uint64_t id = 0;
    if (cbor_read_array(&reader, &count, NULL) != OK || count == 0) {
        return;
    }
    if (cbor_read_uint(&reader, &handler, NULL) != OK) {
        return;
    }
    if (kind == EXPORT_PROCESS_EXIT) {
        remove_link(actor, true, handler);
        return;
    }
    if (count < 2 || cbor_read_uint(&reader, &id, NULL) != OK) {
        return;
    }
    if (kind == EXPORT_WEBSOCKET_DISCONNECT) {
        remove_link(actor, false, id);
    } else if (kind == EXPORT_WEBSOCKET_CONNECT && is_good) {
        add_link(actor, false, id, handler, false);
    } else if (kind == EXPORT_WEBSOCKET_MESSAGE && is_good) {
        add_link(actor, false, id, handler, true);
    }
}

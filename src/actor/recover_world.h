// SPDX-License-Identifier: Apache-2.0
// What a log says about the actors that were running when it ends: a state machine over its events,
// in the order of the log. It decides nothing and looks at nothing but the events, so the same log
// gives the same world; recover.c makes the actors of it.
//
// Nothing large is kept here: of states and messages only where in the log they stand. So a world
// takes some hundred bytes for each running actor and for each message sent and not yet consumed.
#ifndef ACTOR_RECOVER_WORLD_H
#define ACTOR_RECOVER_WORLD_H

#include "actor/internal.h"
#include "actor/recovery.h"

#define WORLD_NOWHERE UINT64_MAX  // no position in the log

enum world_phase {
    WORLD_ABSENT,      // not running; messages may wait for one that is about to begin
    WORLD_STARTING,    // its first init has not returned
    WORLD_RUNNING,     //
    WORLD_RESTARTING,  // crashed or told to restart: a new instance and init come next
    WORLD_CRASHED,     // and stays so until its parent restarts it
    WORLD_ENDING,      // crashed for good; its shutdown is missing
};

// Where in an event the bytes stand that somebody is to get.
enum world_place {
    WORLD_CALL,     // argument 1 of the host call `call`
    WORLD_OUTSIDE,  // key 2 of an event of the node's chain
    WORLD_ACCEPT,   // the message of the answer that accepted a channel
    WORLD_ERROR,    // the error that the export returned
    WORLD_CRASH,    // why it crashed
    WORLD_EXIT,     // argument 0, an option, of the host call `call`
    WORLD_NOTHING,  // an empty option
};
struct world_body {
    enum world_place place;
    uint32_t call;
    uint64_t position;  // of the event
};

// Sent and not consumed. Its id is [sender, seq, index].
struct world_message {
    struct world_message *next;
    char *sender;
    uint64_t seq;
    uint32_t index;
    enum export_kind kind;  // SEND, CHANNEL_MESSAGE, or about a child
    struct world_body body;
    char channel[ACTOR_UUID_BYTES];  // of a CHANNEL_MESSAGE; "": not known yet
    uint64_t sent_at;                // position of the event that sent it
};

// One actor's part in a channel. Both sides are in world_channel until both have ended.
struct world_side {
    struct world_side *next;  // of the same actor
    struct world_channel *channel;
    struct world_actor *actor;  // NULL: this side has ended
    bool is_closed;             // and its actor has yet to be told
};
struct world_channel {
    char id[ACTOR_UUID_BYTES];
    struct world_side side[2];  // opener, acceptor
    bool is_confirmed;          // the opener was told that it is open
};

enum world_counter {
    WORLD_SERVER,
    WORLD_HANDLER,
    WORLD_ROUTE,
    WORLD_MIDDLEWARE,
    WORLD_CONNECTION,
    WORLD_PROCESS,
    WORLD_COUNTERS
};
// What the host holds for the instance: a call of http-framework that still has effect.
enum world_thing_kind {
    WORLD_THING_SERVER,
    WORLD_THING_START,
    WORLD_THING_ROUTE,
    WORLD_THING_MIDDLEWARE,
    WORLD_THING_SOCKET,
};
struct world_thing {
    struct world_thing *next;  // in the order in which they were made
    enum world_thing_kind kind;
    uint64_t id;         // that the host gave, or of the server
    uint64_t server;     // which it belongs to
    struct bytes *call;  // [name, [arguments], result] as recorded
};
// Something outside that ends with the node, whose end the actor is owed.
struct world_link {
    struct world_link *next;
    bool is_process;
    uint64_t id;
    uint64_t handler;  // of a WebSocket connection: whom its last event went to
    bool is_message;   // that event was a message, not the connect
};

struct world_actor {
    char *id;
    enum world_phase phase;
    uint64_t began_at;   // position of the event that began this run of it
    uint64_t pinned_at;  // of the latest `spawned` or `resumed`: holds the initial state
    char *parent;        // NULL: the node
    uint32_t exports;    // bits by export_kind
    bool has_origin;
    uint8_t manifest[SHA256_BYTES], component[SHA256_BYTES], origin[SHA256_BYTES];
    uint64_t state_at;        // of the event with its last state since it began, or nowhere
    uint64_t fresh_state_at;  // the same since its last start
    uint64_t cut_at;          // of its last crash or restart; children from before are to end
    uint64_t crashed_at;      // of its last end that a restart follows, but for restart-child
    // The turn in progress waits in this host call; NULL name: there is none.
    struct world_wait {
        bool is_waiting;
        enum world_waiting { WAIT_OTHER, WAIT_SEND, WAIT_CHANNEL_SEND, WAIT_OPEN, WAIT_HOST } kind;
        uint64_t position;
        uint32_t call;
        char *target;        // actor or channel
        struct bytes *args;  // WAIT_HOST: the call as far as it was recorded
    } wait;
    bool has_exit;  // runtime.shutdown was called
    struct world_body exit;
    uint64_t error_seq;  // of the last event that told the parent of an error; UINT64_MAX: none
    struct world_message *messages, **messages_end;
    struct world_side *sides;
    struct world_thing *things, **things_end;
    struct world_link *links;
    uint64_t counters[WORLD_COUNTERS];  // the highest number that the host gave
};

struct world {
    struct map actors;                  // id -> world_actor
    struct map channels;                // id -> world_channel
    uint64_t position;                  // behind the beginning of the last event that was taken in
    uint64_t last_at;                   // position of that event, or nowhere
    uint8_t last_parent[SHA256_BYTES];  // what it names as the hash before it
};

// recover_actor.c: what becomes of one actor of the world
struct world_actor *world_find(const struct world *world, struct slice id);
struct world_actor *world_get(struct world *world, struct slice id);  // made if need be
// Forgets an actor that is absent and for whom nothing waits.
void world_tidy(struct world *world, struct world_actor *actor);
void world_send(struct world_actor *target, const struct chain_event *by, uint32_t index,
                enum export_kind kind, const struct world_body *body, struct slice channel);
// Its mailbox was dropped.
void world_drop_messages(struct world_actor *actor);
// What was sent to it on that channel is dropped; on any, when `channel` is NULL.
void world_drop_channel(struct world_actor *actor, const char *channel);
// The message of that id was consumed, or can never be.
void world_consume(struct world_actor *actor, struct slice sender, uint64_t seq, uint32_t index,
                   enum export_kind kind);
// Its instance is gone, and all that was bound to it.
void world_cut(struct world *world, struct world_actor *actor);
void world_clear_wait(struct world_actor *actor);
void world_clear_things(struct world_actor *actor);
void world_actor_free(struct world_actor *actor);
static inline bool world_handles(const struct world_actor *actor, enum export_kind kind) {
    return (actor->exports & (1U << kind)) != 0;
}

// recover_channel.c
struct world_channel *world_channel_find(const struct world *world, struct slice id);
void world_channel_open(struct world *world, struct slice id, struct world_actor *opener,
                        struct world_actor *acceptor);
// As it was saved: `id` is new and short enough; a side that ended is NULL.
struct world_channel *world_channel_add(struct world *world, struct slice id,
                                        struct world_actor *const actors[2],
                                        const bool is_closed[2]);
// One side ended it; the other is to be told if it wants to be.
void world_channel_close(struct world *world, struct world_actor *by, struct slice id);
// The actor was told.
void world_channel_told(struct world *world, struct world_actor *actor, struct slice id);
// What it opened and never heard of is none.
void world_channel_unconfirmed(struct world *world, struct world_actor *opener);
void world_channels_cut(struct world *world, struct world_actor *actor);

// recover_host.c: calls that the host remembers. `result` is what followed the [0, …] of an ok.
bool world_is_host_call(struct slice name);
void world_host_call(struct world_actor *actor, struct slice name, struct slice args,
                     struct slice result);
// Exports called by what is outside.
void world_host_event(struct world_actor *actor, enum export_kind kind, struct slice params,
                      bool is_good);

#endif

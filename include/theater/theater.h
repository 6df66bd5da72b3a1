/* SPDX-License-Identifier: Apache-2.0
 *
 * libtheater: run actors that are WebAssembly components inside a program of your own.
 *
 * A node owns a data folder (the chains of its actors) and threads. Functions may be called from
 * any thread of the program at any time between open and close, unless a comment says otherwise.
 * Nothing here is called from signal handlers.
 *
 * Errors: every function that can fail returns THEATER_OK or a code, and fills the caller's
 * struct theater_error (which may be NULL) with one sentence for people.
 */
#ifndef THEATER_THEATER_H
#define THEATER_THEATER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define THEATER_VERSION "0.1.0"
#define THEATER_ID_BYTES 129 /* the longest actor id and its NUL */
#define THEATER_NO_TIMEOUT UINT64_MAX

typedef struct theater_node theater_node;
typedef struct theater_subscription theater_subscription;

typedef enum theater_status {
    THEATER_OK = 0,
    THEATER_INVALID,     /* bad input: the message says what and where */
    THEATER_UNSUPPORTED, /* something this release does not do */
    THEATER_NOT_FOUND,   /* file, actor */
    THEATER_DENIED,      /* permission */
    THEATER_BUSY,        /* data folder in use, mailbox full */
    THEATER_TIMEOUT,
    THEATER_CLOSED,      /* the actor ended, crashed or is stopping */
    THEATER_ACTOR_ERROR, /* the actor answered with an error: its text is the message */
    THEATER_DAMAGED,     /* a chain or file is not what was written */
    THEATER_FAILED       /* anything else: input/output, limits */
} theater_status;

struct theater_error {
    theater_status status;
    char message[1024]; /* UTF-8 */
};

struct theater_node_config {
    const char *data_folder; /* NULL: $THEATER_HOME, else ~/.theater */
    uint32_t workers;        /* threads that run actors; 0: as many as CPUs */
    int never_compile;       /* only components whose code is in the cache */
    int quiet;               /* actors' log lines are not written to stderr */
};

/* The library's version; static storage. */
const char *theater_version(void);

/* Opens the data folder (created if absent) and starts the threads. Gives a node. */
theater_status theater_node_open(const struct theater_node_config *config, theater_node **node,
                                 struct theater_error *error);
/* Stops all actors, children before parents, writes their chains out, ends the threads and frees
 * the node, also when it reports an error. No other call may be in progress. */
theater_status theater_node_close(theater_node *node, struct theater_error *error);

/* Starts an actor and waits until its init has returned. `manifest` is a path or TOML text; `id`
 * NULL takes the manifest's or a generated one; `state` (NULL: none) is JSON, merged over the
 * manifest's initial state. The id is written to `written_id`. */
theater_status theater_actor_start(theater_node *node, const char *manifest, const char *id,
                                   const void *state, size_t state_size,
                                   char written_id[THEATER_ID_BYTES], struct theater_error *error);
/* A one-way message. The bytes are copied. */
theater_status theater_actor_send(theater_node *node, const char *id, const void *message,
                                  size_t size, struct theater_error *error);
/* A request; waits for the reply. Gives the reply: release it with theater_free. */
theater_status theater_actor_request(theater_node *node, const char *id, const void *message,
                                     size_t size, uint64_t timeout_ms, void **reply,
                                     size_t *reply_size, struct theater_error *error);
/* Stops an actor, its children first, and waits until it is gone. Its parent is told by
 * handle-child-external-stop, and no policy restarts it. `reason` (NULL: none) is UTF-8 of at most
 * 1000 bytes and stands in the actor's last event. Each turn in progress has the actor's
 * limits.stop_timeout_ms to end. */
theater_status theater_actor_stop(theater_node *node, const char *id, const char *reason,
                                  struct theater_error *error);
/* Waits until nothing is left to do for any actor. 1: idle; 0: the time passed first. */
int theater_node_wait_idle(theater_node *node, uint64_t timeout_ms);
/* The number of actors that exist. */
uint64_t theater_node_actor_count(theater_node *node);

/* An actor in a list; borrowed for the call that gets it. */
struct theater_actor_info {
    const char *id;
    const char *name;          /* of its manifest */
    const char *parent;        /* id; NULL: it has none */
    const char *status;        /* "starting", "running", "restarting", "crashed", "stopping" */
    uint64_t mailbox_messages; /* that wait */
    uint64_t mailbox_bytes;    /* of these */
    uint64_t memory_bytes;     /* of its instance */
};
/* Calls `visit` for each actor that existed when this was called, parents before their children;
 * `visit` returns 0 to end early. The actors go on meanwhile. */
void theater_actor_list(theater_node *node,
                        int (*visit)(void *context, const struct theater_actor_info *info),
                        void *context);

/* Verifies the chains in a data folder from its files alone; a node may be using it. `actor` NULL
 * verifies all. THEATER_DAMAGED: the message names the first bad event. `events` (may be NULL) is
 * the number of events that verified. */
theater_status theater_chain_verify(const char *data_folder, const char *actor, uint64_t *events,
                                    struct theater_error *error);

/* An event of a chain. What it points to lasts until the function that was given it returns. */
struct theater_event {
    const char *actor;
    uint64_t seq;      /* 0, 1, 2, ... within the chain */
    uint64_t position; /* in the log of all chains; it grows from event to event */
    uint64_t time_ns;  /* since 1970 */
    const char *type;  /* UTF-8, type_size bytes, no NUL behind it */
    size_t type_size;
    const void *data; /* one CBOR item (docs/formats/chain.md) */
    size_t data_size;
    const unsigned char *hash; /* 32 bytes */
};

/* Which events a subscription gives. All zero: every event of every actor, from the first on. */
struct theater_subscription_config {
    const char *actor;        /* its events; it need not have started yet. NULL: of all actors */
    const char *const *types; /* of these types, "handle-*" for all that begin so */
    size_t type_count;        /* 0: of any */
    uint64_t since_ns;        /* at or after this time */
    uint64_t before_ns;       /* and before this one; 0: no end */
    uint64_t from;            /* of one actor: the first seq; of all: the first position */
    int from_now;             /* nothing that is visible already */
    int synced;               /* give an event only when no power loss can take it back; else as
                                 soon as it was written, at the latest 5 ms after it happened */
};

/* Subscribes to events, past and future: each one once, in order, and without a gap, for as long as
 * the node is open. A subscription is a place in the log: nothing is queued for it, no actor is
 * slowed by it, and one that is not read costs nothing; there may be thousands. Use one from one
 * thread at a time; close it before the node. */
theater_status theater_subscribe(theater_node *node,
                                 const struct theater_subscription_config *config,
                                 theater_subscription **subscription, struct theater_error *error);
/* Gives up to `most` events to `visit`, on this thread; waits up to `timeout_ms` for the first one.
 * `visit` returns 0 to go on; anything else ends the call, and the event it was for comes again.
 * `given` (may be NULL) is how many there were. THEATER_TIMEOUT: none. THEATER_DAMAGED names the
 * file and the place. */
theater_status theater_subscription_read(
    theater_subscription *subscription, uint64_t most, uint64_t timeout_ms,
    int (*visit)(void *context, const struct theater_event *event), void *context, uint64_t *given,
    struct theater_error *error);
/* NULL is fine. */
void theater_subscription_close(theater_subscription *subscription);

/* Releases memory that a function here gave. NULL is fine. */
void theater_free(void *memory);

#ifdef __cplusplus
}
#endif

#endif

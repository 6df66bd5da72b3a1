// SPDX-License-Identifier: Apache-2.0
// What the files of the actor room share. Start reading at turn.c (actor_run).
//
// Who may touch what:
//   owner      the thread that runs the actor's task (one at a time), or the actor's fiber
//   lock       any thread that holds system->lock
//   atomic     any thread
// Lock order: system->lock is innermost but for the scheduler's and the chain's own locks; nothing
// that can wait for a guest, a file or the log is called with it held.
#ifndef ACTOR_INTERNAL_H
#define ACTOR_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "actor/actor.h"
#include "base/list.h"
#include "base/map.h"

// ---- exports -----------------------------------------------------------------------------------

// The exports an actor may have; a message of each of these kinds is a call of that export.
typedef enum export_kind {
    EXPORT_INIT,
    EXPORT_SEND,
    EXPORT_REQUEST,
    EXPORT_CHANNEL_OPEN,
    EXPORT_CHANNEL_MESSAGE,
    EXPORT_CHANNEL_CLOSE,
    EXPORT_CHILD_ERROR,
    EXPORT_CHILD_EXIT,
    EXPORT_CHILD_STOP,
    // Called by what happens outside, in the order of enum actor_event_kind.
    EXPORT_HTTP_REQUEST,
    EXPORT_HTTP_MIDDLEWARE,
    EXPORT_WEBSOCKET_CONNECT,
    EXPORT_WEBSOCKET_MESSAGE,
    EXPORT_WEBSOCKET_DISCONNECT,
    EXPORT_WEBSOCKET_EVENT,
    EXPORT_PROCESS_STDOUT,
    EXPORT_PROCESS_STDERR,
    EXPORT_PROCESS_EXIT,
    EXPORT_COUNT,
} export_kind;

// ---- programs (program.c) ----------------------------------------------------------------------

// A manifest and its component, ready to run: shared by all actors started from them. Immutable
// but for the reference count.
struct program {
    _Atomic uint32_t references;
    struct manifest *manifest;
    struct component_linked *linked;
    const struct actor_call *call;  // borrowed; NULL: an ordinary actor
    struct program_export {
        bool is_present;
        bool is_old_shape;  // the older of the two accepted shapes (contract, section 2)
        uint32_t index;
        const struct component_func_type *type;
    } exports[EXPORT_COUNT];
    // What brings the manifest back besides its text (recover_program.c); kept under this hash.
    bool has_origin;
    uint8_t origin[SHA256_BYTES];
};
// A program of its parts, which a chain names by their hashes, with nothing read from elsewhere: a
// replay's. `known` (may be NULL) is used when it is the same component. As program_load.
enum status program_of_parts(struct actor_system *system, struct slice manifest,
                             struct bytes *component, struct component *known, struct program **out,
                             struct error *error) MUST_CHECK;
// The bits of the exports that it has.
static inline uint32_t program_export_bits(const struct program *program) {
    uint32_t bits = 0;
    for (int kind = 0; kind < EXPORT_COUNT; kind++) {
        bits |= program->exports[kind].is_present ? 1U << kind : 0;
    }
    return bits;
}
const char *export_name(enum export_kind kind);
// As the chain has it: the name, or "interface.name" for a name that a former one has too.
const char *export_event_type(enum export_kind kind);

// What an actor may do: shared by the children of one parent authority that run one program. Held
// by those actors and by the authorities derived from it. Lock, but for what never changes.
struct authority {
    uint64_t references;
    struct authority *parent;  // keeps; NULL for the node's own
    struct map derived;        // by the program's address; borrowed: each leaves when it ends
    // never changes
    struct program *program;  // keeps; NULL for the node's own
    struct arena arena;
    struct permissions bound;
    struct permissions effective;
    uint8_t hash[SHA256_BYTES];  // of the effective permissions' canonical description
};

// What to start: how a manifest was named, and by whom.
struct program_request {
    struct slice manifest;    // path or text
    const char *folder;       // relative paths start here; NULL: the working directory
    const char *confined_to;  // NULL: anywhere
    struct manifest_asker asker;
    bool is_on_loader;  // a thread of the loader loads it
    bool has_state;
    bool is_exact_state;
    struct slice state;
};
// Gives the program from the cache when the files it was made from are unchanged (inode, time and
// size); false without waiting for anything slower than stat otherwise. Any thread.
bool program_try_cached(struct actor_system *system, const struct program_request *request,
                        struct program **out);
// Loads, compiles and links: may take seconds. Never on a worker.
enum status program_load(struct actor_system *system, const struct program_request *request,
                         struct program **out, struct error *error) MUST_CHECK;
// The program whose init is the function that `call` names. As program_load.
enum status program_of_call(struct actor_system *system, const struct actor_call *call,
                            struct program **out, struct error *error) MUST_CHECK;
// The program of a manifest (takes) and the bytes of its component. As program_load.
enum status program_of_manifest(struct actor_system *system, struct manifest *manifest,
                                struct bytes *content, struct program **out, struct error *error);
// recover_program.c: keeps what program_recover needs besides the two.
enum status program_keep_origin(struct actor_system *system, struct program *program,
                                struct error *error);
// The program of an actor that ran before, from what was kept under these hashes (`origin` may be
// NULL). As program_load.
enum status program_recover(struct actor_system *system, const uint8_t manifest[SHA256_BYTES],
                            const uint8_t component[SHA256_BYTES],
                            const uint8_t origin[SHA256_BYTES], struct program **out,
                            struct error *error);
struct program *program_ref(struct program *program);
void program_unref(struct program *program);
void program_cache_release(struct actor_system *system);

// Appends the key under which a request's program is kept: its manifest and how it was named.
void program_request_key(const struct program_request *request, struct buf *key);

// loader.c
enum { LOADER_THREADS_LEAST = 2, LOADER_THREADS_MOST = 4, LOADER_SPARES_MOST = 64 };
struct load_group;
struct loader {
    pthread_t threads[LOADER_THREADS_MOST];
    uint32_t thread_count;
    pthread_mutex_t lock;  // for what follows
    pthread_cond_t wake;
    struct map groups;  // key of the request -> group with its jobs
    struct load_group *queue, **queue_end;
    uint32_t waiting;  // threads whose load waits for a network
    uint32_t spares;   // threads that run in their place; detached
    bool is_ending;
};
// One program load. `done` runs on a thread of the loader.
struct load_job {
    struct load_job *next;
    struct program_request request;
    struct program *program;  // result; NULL: `error` says why
    struct error error;
    void (*done)(struct load_job *job);
};
void loader_start(struct actor_system *system);
// A load on the calling thread of the loader waits for a network, so that another thread takes its
// place; and does so no more. `context` is the system.
void loader_wait_begins(void *context);
void loader_wait_ends(void *context);
// Ends the threads; the jobs left fail. Again: nothing.
void loader_stop(struct actor_system *system);
// After loader_stop.
void loader_release(struct actor_system *system);
// Any thread. The job must last until its `done`.
void loader_submit(struct actor_system *system, struct load_job *job);

// ---- depend.c ----------------------------------------------------------------------------------

// The actor's state now depends on what is behind that position in the log.
void actor_depend(struct actor *actor, uint64_t position);
uint64_t actor_depends(const struct actor *actor);
// Whether what depends on the position may leave the node.
bool is_durable(const struct actor_system *system, uint64_t position);
// Outside of all actors: waits for that. ERR_IO: it will not be, or not soon.
enum status wait_until_durable(struct actor_system *system, uint64_t position,
                               struct error *error) MUST_CHECK;

// ---- quota.c -----------------------------------------------------------------------------------

// An event that ends at this position of the log was appended: the chain may be long enough.
void quota_count(struct actor *actor, uint64_t end);

// ---- optimise.c --------------------------------------------------------------------------------

// Has a component, which has quick code, compiled by the optimising compiler as well, some time.
// `path` names it in the log. Any thread but a worker.
void optimiser_submit(struct actor_system *system, struct component *component, const char *path);
// Ends the thread, once the compiler was cancelled. Again: nothing.
void optimiser_stop(struct actor_system *system);

// ---- completions -------------------------------------------------------------------------------

// Somebody waits for one answer: a parked turn, or a thread outside. All fields under lock.
struct completion {
    struct list_node node;  // among those who wait for the same; who waited first is served first
    bool is_armed;
    void (*done)(struct completion *completion);
    enum status status;
    struct bytes *value;  // the answer, or the error's text
    uint64_t depends;     // as of a message; set before it is finished
};
// Lock held. Takes `value`. Nothing happens when it is not armed.
void completion_finish(struct completion *completion, enum status status, struct bytes *value);
// Lock held. Finishes all in the list with an error of this text.
void completion_fail_all(struct list *list, enum status status, const char *text);

// ---- messages ----------------------------------------------------------------------------------

enum message_kind {
    // The first ones are calls of the export of the same number.
    MESSAGE_SEND = EXPORT_SEND,
    MESSAGE_REQUEST = EXPORT_REQUEST,
    MESSAGE_CHANNEL_OPEN = EXPORT_CHANNEL_OPEN,
    MESSAGE_CHANNEL = EXPORT_CHANNEL_MESSAGE,
    MESSAGE_CHANNEL_CLOSE = EXPORT_CHANNEL_CLOSE,
    MESSAGE_CHILD_ERROR = EXPORT_CHILD_ERROR,
    MESSAGE_CHILD_EXIT = EXPORT_CHILD_EXIT,
    MESSAGE_CHILD_STOP = EXPORT_CHILD_STOP,
    MESSAGE_EVENT_FIRST = EXPORT_HTTP_REQUEST,  // event: of the kinds from here on
    MESSAGE_EVENT_LAST = EXPORT_COUNT - 1,
    // Effects of a leg that are no message for a mailbox.
    EFFECT_REPLY,       // request, status, body: answer it
    EFFECT_SPAWN,       // spawn
    EFFECT_JOB,         // job
    EFFECT_STOP_CHILD,  // target
    EFFECT_RESTART_CHILD,
};

struct request;
struct channel;

// One allocation: header and body. Written before it is pushed, read-only afterwards but for
// `next`.
struct message {
    struct message *next;
    struct actor *target;     // keeps, while in an outbox
    struct bytes *sender;     // keeps; id of the sending actor, NULL: from outside
    uint64_t sender_seq;      // of the sender's event that recorded the sending
    uint64_t depends;         // what comes of it may leave the node when the log is synced to here
    struct request *request;  // keeps
    struct channel *channel;  // keeps
    struct bytes *child;      // keeps; id, of child notices
    struct spawn *spawn;      // EFFECT_SPAWN; owned by the spawn itself
    struct actor_job *job;    // EFFECT_JOB; counted
    struct actor_event *event;  // until it is settled
    uint32_t sender_index;  // the host call of that event that sent it; without one, behind them
    uint8_t kind;
    bool is_counted;  // against the mailbox limits
    bool has_body;    // child exit data, optional reply
    uint8_t status;   // of EFFECT_REPLY and MESSAGE_CHILD_ERROR: enum status
    uint8_t side;     // of messages on a channel: the receiver's
    uint32_t size;    // bytes
    uint8_t body[];
};
struct message *message_new(enum message_kind kind, struct slice body);
// Releases what it keeps. A request in it that is still open fails with `text`.
void message_free(struct message *message);
static inline struct slice message_body(const struct message *message) {
    return slice_of(message->body, message->size);
}

// ---- requests and channels
// -----------------------------------------------------------------------

enum request_state { REQUEST_NEW, REQUEST_DELIVERED, REQUEST_ANSWERED };

// Lives from the call until it is answered, failed, or its requester stopped waiting. Lock.
struct request {
    _Atomic uint32_t references;
    char id[ACTOR_UUID_BYTES];
    enum request_state state;
    struct completion *requester;  // NULL: gone
    struct bytes *requester_id;    // keeps; NULL: from outside
    uint64_t depends;              // of its answer
    struct actor *target;          // while DELIVERED: in whose list it is; borrowed
    struct list_node node;         // in target's list, oldest first
    struct list_node gone;         // of those without a requester
    struct actor_system *system;
};
struct request *request_new(struct actor_system *system, struct completion *requester,
                            struct bytes *requester_id);
void request_unref(struct request *request);
// Lock held. Ends the request; tells the requester if it still waits. Takes `value`.
void request_finish(struct request *request, enum status status, struct bytes *value);
// Lock held. The requester stops waiting; the target hears of it when it answers.
void request_abandon(struct request *request);
// Lock held. Fails every delivered request of the actor.
void request_fail_delivered(struct actor *actor, const char *text);
// Lock held, before the turn that handles it. False: the target has as many unanswered ones as it
// may; the requester was told.
bool request_check_room(struct request *request, struct actor *target);
// Lock held. Puts it among the requests of `target` that wait for an answer; again: nothing.
void request_deliver(struct request *request, struct actor *target);
// Owner, or on the fiber. The same for the request that the actor's turn handles, which stands
// there only when somebody may look: most are answered by the turn's own result.
void request_deliver_current(struct actor *actor);

// Lists of ids for guests, in an arena with a limit.
enum status id_list_new(struct arena *arena, uint32_t count, struct slice **ids,
                        struct error *error);
enum status id_list_set(struct arena *arena, struct slice id, struct slice *out,
                        struct error *error);

enum channel_state { CHANNEL_OPENING, CHANNEL_OPEN, CHANNEL_CLOSED };

// Lock, but for `references` and `id`.
struct channel {
    _Atomic uint32_t references;
    char id[ACTOR_UUID_BYTES];
    enum channel_state state;
    struct actor *side[2];                  // opener, acceptor; borrowed: NULL once that side ended
    struct channel *next[2], *previous[2];  // in that side's list
    uint32_t instance[2];  // of that side; written and read by it: a later instance has no part
    struct completion *opener;  // waits for the consent; NULL: none waits
};
struct channel *channel_ref(struct channel *channel);
void channel_unref(struct channel *channel);
// Lock held. A channel that `opener` asks for; gives a reference.
struct channel *channel_new(struct actor *opener, struct completion *wait);
// ERR_LIMIT when the actor takes part in as many as it may.
enum status channel_check_room(const struct actor *actor, struct error *error);
// Lock held. The acceptor is about to decide. False: it need not, the opener is gone or was told
// that there is no room.
bool channel_deliver(struct channel *channel, struct actor *acceptor);
// Lock held, before the channel is forgotten: tells `target`, its side number `side`, that it is
// closed. Its place among target's channels is kept until the message was taken. NULL: it does not
// want to know.
struct message *channel_notice(struct channel *channel, size_t side, struct actor *target);
// Lock held. Takes it out of the map and of both sides' lists.
void channel_forget(struct channel *channel);
// Lock held: the actor died; the other sides are told, in `notices` (to be pushed after unlock).
void channel_close_all(struct actor *actor, struct message **notices);
// Lock held. What became of a handle-channel-open turn. `first` (takes, may be NULL) is for the
// opener. An acceptance that comes to nothing is told to the acceptor, in `notices`.
void channel_decide(struct actor *acceptor, struct channel *channel, bool is_accepted,
                    struct slice refusal, struct message *first, struct message **notices);
void channel_refuse(struct channel *channel, enum status status, const char *text);

// ---- turns -------------------------------------------------------------------------------------

enum turn_phase { TURN_RUNNING, TURN_ON_WORKER, TURN_WAITING, TURN_FINISHED };

// One call of one export, from its start to its end. Owner.
struct turn {
    struct turn *next;  // in a cache
    struct actor *actor;
    struct sched_fiber *fiber;
    struct wasm_context context;
    enum export_kind kind;
    bool is_fresh;            // its fiber was not entered yet
    bool is_instantiation;    // makes the instance instead of calling an export
    bool is_waking;           // and no init follows: the actor has its state already
    struct message *message;  // takes; NULL for init and instantiation
    volatile enum turn_phase phase;
    uint32_t leg;
    uint32_t event_calls;    // host calls in the event of the last leg
    struct message *outbox;  // effects of this leg, in order
    struct message **outbox_end;
    struct arena arena;  // arguments' views, results
    struct value args[2], tuple[ACTOR_EVENT_PARAMS_MOST], option_item[2], record[2];
    struct value result;
    enum component_outcome outcome;
    struct error error;
    struct buf calls;  // CBOR of this leg's finished host calls
    uint32_t call_count;
    struct buf event;                        // the event being built
    struct buf call_secrets, event_secrets;  // what `calls` and `event` have places for (secret.c)
    struct buf call_large;                   // and `calls` for large values (large.c)
    struct buf denials;                      // of this leg (denial.c)
    uint32_t denial_count;
    // The host call in progress.
    const char *call_name;
    const struct component_func_type *call_type;
    const struct value *call_args;
    bool call_waited;  // its intent is in an earlier leg
    struct record_reference {
        struct slice content;  // empty: none
        uint8_t hash[SHA256_BYTES];
    } by_hash;  // which of its values is recorded by its hash
    struct record_range {
        const struct value *events;  // NULL: none
        char chain[ACTOR_ID_BYTES];
        uint64_t first, count;
        uint8_t hash[SHA256_BYTES];  // of the last event
    } by_range;                      // and which as a range of a chain
    bool is_delivered;  // `message` is a request, and among the actor's outstanding ones
    bool is_exit;       // it traps because the guest ended the actor
    // The wait in progress.
    struct completion wait;  // lock
    _Atomic bool wait_done;  // release by the finisher, acquire by the worker
    struct sched_timer timer;
    struct error failure;      // of the last host call that answered with one; OK: none did
    struct bytes *refusal;     // keeps; the whole text of the last wait that failed, or NULL
    uint64_t timer_ns;         // from the end of the leg; 0: no timer
    enum status timer_status;  // OK when the timer is what is waited for
    // Work asked of the worker's own stack.
    void (*on_worker)(void *argument);
    void *on_worker_argument;
};

// ---- actors ------------------------------------------------------------------------------------

enum actor_status {
    ACTOR_STARTING,  // init has not returned; messages wait
    ACTOR_RUNNING,
    ACTOR_RESTARTING,  // crashed, will be started again; messages wait
    ACTOR_CRASHED,     // and will not be restarted unless its parent does
    ACTOR_STOPPED,     // gone
};

// Bits of actor.control, set by anybody, taken by the owner.
enum actor_control {
    CONTROL_START = 1,     // make an instance, call init
    CONTROL_STOP = 2,      // end; children first
    CONTROL_CRASH = 4,     // a child passed its restart limit
    CONTROL_CHILD = 8,     // a child is gone: look whether the stop can go on
    CONTROL_RESTART = 16,  // the parent asked
    CONTROL_DOWN = 32,     // a sibling ended: begin anew with it (restart.c)
    CONTROL_IDLE = 64,     // hibernate_after_ms are over: hibernate, if nothing happened
    CONTROL_SPARE = 128,   // memory is short: hibernate, if nothing happens
};

struct resting;

// What an actor needs from its first instance on, except while it hibernates.
struct actor_live {
    struct actor *actor;
    struct sched_timer timer;       // back-off; armed by the owner
    struct sched_timer stop_timer;  // bounds the turn in progress: a stop's last one, or init
};

struct actor {
    // owner
    struct sched_task task;
    struct actor_system *system;
    struct program *program;
    struct authority *authority;
    struct bytes *id;  // with a NUL behind it: bytes_copy_text
    struct chain_head head;
    // NULL in ACTOR_RUNNING: it hibernates, and the instance is made again before the next turn.
    struct component_instance *instance;
    // Made and freed by the owner; others look at it while there is a turn (turn_end).
    struct actor_live *live;
    struct resting *resting;  // of a stateless instance (hibernate.c)
    struct wasm_budget budget;
    uint64_t counted_bytes;  // of `budget`, in system->instance_bytes
    struct bytes *initial_state;
    struct turn *turn;          // parked, or in progress
    struct turn *spare;         // ended in this run, with its fiber: the next one takes it
    struct message *ready;      // taken from the inbox, oldest first
    struct actor *last_target;  // keeps; most recent send's
    void *host_data;
    struct secrets *secrets;    // NULL: it had none in this run
    uint32_t tokens;            // activity held (system.c)
    uint32_t deferred;          // control bits that could not be acted on yet
    uint32_t instance_number;   // of this run; a crash or restart begins the next
    uint32_t event_messages;    // that its last event caused, so far: the next one has this index
    bool has_servers_due;       // its next instance is the first since it came back
    struct recovery *recovery;  // it came back with the node and has not run since
    bool is_first_start;
    bool has_begun;         // this run has its first event
    uint64_t spawn_due_ns;  // when all children begun so far fit limits.spawns_per_second
    bool has_backoff;       // its timer is armed, and holds a token
    bool is_resumed;        // its chain existed before this run
    bool is_init_watched;   // the init in progress has waited: stop_timer bounds it
    bool is_stopping;       // owner; the stop has begun
    bool wants_shutdown;    // runtime.shutdown was called
    bool has_exit_data;
    struct bytes *exit_data;
    struct bytes *start_error;  // why the first init failed; starters hear it when the id is free
    // atomic
    // What it does may leave the node when the log is synced up to here: the latest event of a
    // `sync` actor that its state depends on. Grows; by the owner, or under the lock while the
    // owner waits. Relaxed: whoever reads it was told of what it is about with an order of its own.
    _Atomic uint64_t depends;
    uint64_t chain_bytes;  // owner; length of its chain, if that is limited
    _Atomic uint32_t references;
    _Atomic uint32_t control;
    _Atomic uint32_t status;
    _Atomic(struct message *) inbox;  // pushed by anyone, newest first
    _Atomic uint64_t queued;  // counted messages and their bytes, reserved before they are pushed
    _Atomic uint64_t child_notices;  // in the mailbox, and that of the turn in progress
    _Atomic uint64_t child_notice_bytes;
    _Atomic bool has_held;    // children hold notices for it
    _Atomic bool is_holding;  // it holds one itself: no turn begins
    _Atomic bool has_room_waiters;
    _Atomic uint32_t refused[ACTOR_REFUSAL_COUNT];  // from outside, since its last event of them
    _Atomic uint32_t channel_count;  // it takes part in, or was not told yet that they are closed
    _Atomic bool is_made;            // actor_create is through: its life may begin
    _Atomic bool stop_requested;     // as CONTROL_STOP, stays set: later waits fail
    _Atomic bool down_requested;     // the same until the instance was dropped, for a restart
    _Atomic bool is_init_overdue;    // the same until the init in progress ended
    _Atomic(struct turn *) current;  // as `turn`, for those who want to interrupt it: see turn_end
    atomic_flag state_lock;          // guards `state` against get-child-state
    struct bytes *state;
    // lock
    struct actor *parent, *first_child, *next_sibling, *previous_sibling;
    uint32_t child_count;
    struct list outstanding;             // requests delivered and not answered
    _Atomic uint32_t outstanding_count;  // lock; read by its owner without
    uint32_t gone_count;  // of these, those whose requester is gone: who left first stands first
    struct list gone;
    struct channel *channels;
    struct held_notice *held;  // its own
    struct list held_for_it;
    struct list_node gate;       // among the actors that wait for the same
    struct actor *waits_for;     // edge of the wait graph; borrowed: registered while it is one
    struct completion *waiting;  // of the parked turn, while it is armed
    struct list starters;        // wait for init to return
    struct list stoppers;        // wait for the end
    struct list room_waiters;
    bool is_external_stop;    // not asked for by its parent
    const char *stop_reason;  // static text, or stop_text; NULL: ordinary
    char *stop_text;          // keeps
    // Restarts by policy that it ruled: of its children, and of a root its own. NULL: none.
    struct restart_window *window, *own_window;
    struct restart_group *group;  // of its children; NULL: none is restarted with others
    uint8_t group_part;           // enum restart_part, in its parent's group
    struct actor *next_dead;
};

struct actor_system {
    struct actor_config config;
    // Takes the events instead of the log, in a replay (rerun.c); else NULL.
    void (*rerun)(struct actor *actor, const char *type, struct slice data);
    pthread_mutex_t lock;
    pthread_cond_t changed;  // idle, or an actor is gone
    struct map actors;       // lock: id -> actor (keeps)
    struct map channels;     // lock: id -> channel (keeps)
    struct map requests;     // lock: id -> delivered request (borrowed)
    struct actor *roots;     // lock: linked by siblings
    struct actor *dead;      // lock: no references left; freed once their task is idle
    struct authority node;   // the node's own bound
    _Atomic int64_t busy;    // activity tokens; 0: idle
    _Atomic uint32_t idle_waiters;
    _Atomic uint32_t parked;  // turns that wait, each with a stack of its own
    uint32_t parked_most;     // fewer than there are stacks, so that turns can always begin
    struct list gate_log;     // lock: actors that wait until the log is less behind
    struct list gate_stack;   // lock: and for a stack
    struct sched_timer gate_timer;
    bool is_gate_watched;      // lock: the timer is armed
    uint64_t stack_warned_ns;  // lock: when the last warning was logged; 0: never
    struct node_chain {
        pthread_mutex_t lock;  // for the node's own chain; none but the log's is taken with it held
        struct chain_head head;
        bool is_open;
        struct bytes *id;  // never changes
    } node_chain;
    // programs
    pthread_mutex_t program_lock;
    struct map programs;    // key -> cache entry (program.c)
    struct map components;  // key -> cache entry
    struct loader loader;
    // optimiser, under program_lock
    pthread_t optimiser;
    pthread_cond_t optimiser_wake;
    struct optimise_job *optimise_jobs;
    bool optimiser_runs, optimiser_ends;
    // hibernate.c
    pthread_mutex_t resting_lock;
    struct list resting;              // resting_lock: stateless instances; who is asked next first
    uint64_t resting_count;           // resting_lock: of that list
    uint64_t asked_bytes;             // resting_lock: of instances that were asked to go
    uint64_t asks_left;               // resting_lock: until it is no use to ask on
    struct sched_timer spare_timer;   // then they are asked again
    _Atomic uint64_t instance_bytes;  // linear memories, tables and handles of all instances
    struct turn_cache *turns;         // one per slot of the scheduler (turn.c)
    uint32_t turn_slots;
};

// system.c
void busy_add(struct actor_system *system);
void busy_drop(struct actor_system *system, uint32_t count);
static inline void system_lock(struct actor_system *system) {
    pthread_mutex_lock(&system->lock);
}
static inline void system_unlock(struct actor_system *system) {
    pthread_mutex_unlock(&system->lock);
}
// Gives a reference, or NULL. Takes the lock.
struct actor *actor_find(struct actor_system *system, struct slice id);
// Sets control bits and wakes the actor.
void actor_control(struct actor *actor, uint32_t bits);
static inline enum actor_status actor_status(const struct actor *actor) {
    return (enum actor_status)atomic_load_explicit(&actor->status, memory_order_acquire);
}
// Whether the turn in progress is to end soon, so that nothing may wait in it any more.
static inline bool actor_is_ending(const struct actor *actor) {
    return atomic_load(&actor->stop_requested) || atomic_load(&actor->down_requested);
}
// Gives a copy of a text as bytes.
struct bytes *text_bytes(const char *format, ...) PRINTF_LIKE(1, 2);

// mailbox.c
// Reserves room for a counted message; false when full.
bool mailbox_reserve(struct actor *target, uint64_t size);
// What counts against the limits now.
void mailbox_depth(const struct actor *actor, uint64_t *messages, uint64_t *bytes);
// Gives `code`, with a text that says which limit of the target holds. Any thread.
enum status mailbox_full(struct actor *target, enum status code, struct error *error);
// Takes the message; a counted one has been reserved. Wakes the target. Lock not held.
void mailbox_push(struct actor *target, struct message *message);
// The same for a message that keeps its target, and for a list of them. Lock not held.
void mailbox_push_kept(struct message *message);
void mailbox_push_all(struct message *messages);
// ERR_LIMIT when a message is larger than the actor's limits.message_bytes.
enum status mailbox_check_size(const struct actor *actor, struct slice message,
                               struct error *error);
// Owner.
static inline bool mailbox_is_empty(const struct actor *actor) {
    return actor->ready == NULL &&
           atomic_load_explicit(&actor->inbox, memory_order_relaxed) == NULL;
}
// Owner. NULL when empty.
struct message *mailbox_next(struct actor *actor);
// After a message was taken, or dropped: gives its room back, lets a waiting sender try again.
void mailbox_consumed(struct actor *actor, const struct message *message);
// Drops everything queued; requests among it fail with `text`.
void mailbox_drain(struct actor *actor, const char *text);
// Owner: the same for what it has taken already, too.
void mailbox_drain_all(struct actor *actor, const char *text);

enum leg_outcome { LEG_OK = 0, LEG_ERROR = 1, LEG_TRAP = 2, LEG_WAITING = 3 };

// turn.c
enum sched_next actor_run(struct sched_task *task);
void turn_caches_new(struct actor_system *system);
// No worker runs any more.
void turn_caches_free(struct actor_system *system);
// Owner, no turn in progress: begin the turn that makes the instance, that makes it again for an
// actor that has been through its init, or that calls init.
void turn_instantiate(struct actor *actor);
void turn_wake(struct actor *actor);
void turn_init(struct actor *actor);
// On the fiber. Runs fn on the worker's stack and comes back.
void turn_on_worker(struct turn *turn, void (*fn)(void *), void *argument);
// On the fiber. Adds an effect of this leg (takes it).
void turn_effect(struct turn *turn, struct message *effect);
// Owner, no turn in progress. Makes sure that a turn can begin. False: there is no stack now, and
// the actor will be woken to try again.
bool turn_reserve(struct actor *actor);

// Most that the values of one call may take (turn.arena).
uint64_t turn_values_most(const struct manifest_limits *limits);
// An option whose payload lies in one of the turn's two slots.
struct value turn_option(struct turn *turn, size_t slot, bool is_some, struct slice content);
// What an export's result means: the leg's outcome and, when that is ok and the state is another
// than before, the new state (gives). A result that breaks a limit is a trap, and turn->error says
// which.
enum leg_outcome turn_judge(struct turn *turn, struct bytes **state);

// hibernate.c
// Owner. An instance was made: when it is a stateless one, it may be dropped from now on.
void resting_begin(struct actor *actor);
// Owner: the instance is gone, or about to be. Again: nothing.
void resting_end(struct actor *actor);
// Owner, at a turn boundary: it was asked to hibernate, by one of the bits for that.
void hibernate_asked(struct actor *actor, uint32_t bits);
// Owner: what the actor's instance takes has changed.
void instance_bytes_changed(struct actor *actor);
// Owner, cheap: looks whether it has.
static inline void instance_bytes_look(struct actor *actor) {
    if (UNLIKELY(atomic_load_explicit(&actor->budget.memory_used_bytes, memory_order_relaxed) !=
                 actor->counted_bytes)) {
        instance_bytes_changed(actor);
    }
}

// wait.c
// On the fiber, lock held (released): parks until the turn's completion is finished; `edge` is the
// actor waited for (may be NULL). Returns the completion's status; *value (gives) its value or
// error text. Fails at once, without parking, when the actor is stopping or a cycle would close:
// the completion is then unlinked. `effect` (takes; may be NULL) joins the outbox only when the
// wait begins.
enum status turn_wait(struct turn *turn, struct actor *edge, struct message *effect,
                      uint64_t timeout_ns, enum status timer_status, struct bytes **value,
                      struct error *error);
// Prepares the turn's completion for a wait. Lock held.
struct completion *turn_prepare_wait(struct turn *turn);
// Lock held. `self` waits for `edge` from now on and cannot be refused: when that closes a circle,
// another wait in it fails, with an error that names the circle.
void wait_break_cycle(struct actor *self, struct actor *edge);

// effect.c
// Why an actor whose leg could not be recorded crashes.
extern const char cannot_record[];
// On the worker. Gives the leg's effects to the world, in the order they were made: the leg is in
// the log.
void effects_hand_over(struct turn *turn);
// The leg could not be recorded: nothing of it may be seen.
void effects_drop(struct turn *turn);
// Lock not held. Tells the event of the message, if it has one, what became of it.
void settle_event(struct message *message, enum status status, const struct value *answer,
                  struct slice text);
// Lock not held. After a handled message: answers to whoever depends on it. `trap` is why, when the
// outcome is a trap.
void settle_message(struct turn *turn, enum leg_outcome outcome, const char *trap);

// gate.c
// Owner. True: the log is too far behind, and the actor will be woken when it is not.
bool gate_log_is_shut(struct actor *actor);
// Owner. The actor will be woken to try again.
void gate_wait_for_stack(struct actor *actor, const char *reason);
// Lock held. It waits no longer.
void gate_leave(struct actor *actor);

// restart.c
enum restart_decision { RESTART_AGAIN, RESTART_REST, RESTART_STOP, RESTART_ESCALATE };
enum restart_end { RESTART_CRASHED, RESTART_LEFT };
// Lock held. What follows when the actor's instance ended by itself; a restart is counted against
// the window of whoever rules the actor, and *delay_ns is how long it has to wait.
enum restart_decision restart_decide(struct actor *actor, enum restart_end end, uint64_t *delay_ns);
const char *restart_decision_text(enum restart_decision decision);
// Lock held. Its last instance's children do not count against it any more.
void restart_forget(struct actor *actor);
// Owner. Waits before the start; cancelled by restart_cancel_delay, which the lock must not be held
// for.
void restart_delay(struct actor *actor, uint64_t delay_ns);
void restart_cancel_delay(struct actor *actor);

// What an actor is in the restart of several children of its parent.
enum restart_part {
    RESTART_NO_PART,
    RESTART_TO_STOP,   // will be told to go down
    RESTART_GOING,     // was told, or crashed; its own children end first
    RESTART_DOWN,      // waits to be started
    RESTART_STARTING,  // was told to start
};
// All of these: lock held.
// The parent's strategy makes others begin anew with the actor, whose instance is gone: tells them.
// False: it is restarted alone. `is_due`: without a back-off.
bool restart_with_group(struct actor *actor, bool is_due);
// The member's instance and its children are gone.
void restart_group_down(struct actor *actor);
// The member's instance is there.
void restart_group_up(struct actor *actor);
// The member takes no part any more; it stays a child.
void restart_group_leave(struct actor *actor);
// It waited long enough before its start. Of any other but the one that ended: the parent asked.
void restart_group_is_due(struct actor *actor, bool is_asked);
// Before a child leaves the tree; and after that, for its parent.
void restart_group_forget(struct actor *actor);
void restart_group_go_on(struct actor *parent);
// The parent's children all stop.
void restart_group_end(struct actor *parent);
// Whom a member that waits to be started waits for; NULL: nobody.
struct actor *restart_group_waits_for(const struct actor *actor);
// Why the member goes down: the parent's strategy, and the child whose end began it (or NULL).
const char *restart_group_reason(const struct actor *actor, struct bytes **leader);
void restart_release(struct actor *actor);

// notice.c
// A notice that waits outside of the parent's mailbox, of a child that waits with it. Lock.
struct held_notice {
    struct list_node node;  // for the same parent, oldest first
    struct actor *child;
    struct message *message;
};
static inline bool message_is_notice(const struct message *message) {
    return message->kind >= MESSAGE_CHILD_ERROR && message->kind <= MESSAGE_CHILD_STOP;
}
struct notice {
    enum message_kind kind;
    enum status status;  // of an error: what kind of error
    bool has_body;
    struct slice body;
};
// Lock held. Adds a notice about the child to those to be pushed after unlock, if its parent wants
// such notices; unless it is the child's last, it may be held instead.
void notice_add(struct actor *child, const struct notice *notice, struct message **notices);
// Lock held, at the child's end. Adds the notice that it holds, if any.
void notice_release(struct actor *child, struct message **notices);
// Owner: an export returned err.
void notice_error(struct actor *child, enum status status, struct slice text);
// After a notice was taken from the parent's mailbox: children that hold one go on.
void notice_consumed(struct actor *parent, const struct message *notice);
// On the fiber: ERR_LIMIT when so many notices wait that no new child may live.
enum status notice_check_room(struct actor *parent, struct error *error);

// record.c
void record_call(struct turn *turn, const struct value *result);
// On the worker. Appends the leg's event; `new_state` may be NULL. False when the log failed.
bool record_leg(struct turn *turn, enum leg_outcome outcome, struct bytes *new_state);
bool record_lifecycle(struct actor *actor, const char *type, struct slice data);
bool record_spawned(struct actor *actor);
bool record_reason(struct actor *actor, const char *type, const char *reason);
// Begins anew by its parent's strategy, with `leader`, whose end began it (NULL: it is gone).
bool record_restarted(struct actor *actor, const char *strategy, const struct bytes *leader);

// denial.c
// On the worker: appends the leg's denials. Before the leg's own event, which is the one that its
// effects refer to. False when the log failed.
bool denials_record(struct turn *turn);

// secret.c
// Appends a place for the commitment to `plain`, a CBOR item, and notes it in `secrets`.
void secret_put(struct buf *out, struct buf *secrets, struct slice plain);
// Whether the record hides the value of the header `name`.
bool secret_is_header(struct slice name);
// On the worker: fills the places noted in `secrets`, which is empty afterwards, and keeps the
// plain values in the side file. False when that could not be written.
bool secrets_seal(struct actor *actor, struct buf *out, struct buf *secrets);
void secrets_free(struct secrets *secrets);
// What is committed to from now on is with this key, and is kept nowhere: for a replay.
enum { SECRET_KEY_BYTES = 32 };
void secrets_use(struct actor *actor, const uint8_t key[SECRET_KEY_BYTES]);

// large.c
// Whether a string of so many bytes stands in the chain by its hash.
bool large_is(const struct actor *actor, size_t bytes);
// Appends the reference to a content that is kept already.
void large_refer(struct buf *out, const uint8_t hash[SHA256_BYTES], uint64_t bytes);
// On the worker: keeps the content and appends its reference. False when it could not be kept.
bool large_put(const struct actor *actor, struct buf *out, struct slice content);
// Anywhere: appends the place for a reference, and notes a copy of the content in `pending`.
void large_put_later(struct buf *out, struct buf *pending, struct slice content);
// On the worker: keeps what is noted in `pending`, which is empty afterwards, and fills its places.
bool large_seal(const struct actor *actor, struct buf *out, struct buf *pending);
void large_refer_range(struct buf *out, const struct record_range *range);

// supervise.c
struct spawn;
void spawn_begin(struct spawn *spawn);
void spawn_abandon(struct spawn *spawn);

// job.c
// The leg that asked for it is recorded, or could not be.
void job_begin(struct actor_job *job, uint64_t depends);
void job_abandon(struct actor_job *job);

// node_chain.c
void node_chain_init(struct actor_system *system);
void node_chain_release(struct actor_system *system);
// Appends to the node's own chain; *position is for chain_wait. Nothing without a log. Any thread
// but on a fiber.
enum status node_chain_record(struct actor_system *system, const char *type, struct slice data,
                              uint64_t *seq, uint64_t *position, struct error *error);
enum status node_chain_send(struct actor_system *system, const struct actor *target,
                            struct slice body, uint64_t *seq, uint64_t *position,
                            struct error *error);
// Waits until what was recorded is as durable as the target's chain promises to be.
enum status node_chain_wait(struct actor_system *system, const struct actor *target,
                            uint64_t position, struct error *error);

// recover_step.c
// Owner. An actor that came back does what is due before anything else; true: that was a step.
bool recovery_step(struct actor *actor);
// How it came back, as its `resumed` says.
const char *recovery_mode(const struct actor *actor);
void recovery_free(struct recovery *recovery);

// create.c
// Makes an actor under `parent` (NULL: a root) and registers it; it has CONTROL_START set but is
// not awake yet. Lock not held. Gives a reference.
enum status actor_create(struct actor_system *system, struct actor *parent, struct program *program,
                         const char *chosen_id, struct bytes *state, struct actor **out,
                         struct error *error);
// Lock held. It is nobody's child, and no root, from now on.
void tree_remove(struct actor *actor);
// Lock not held.
void authority_unref(struct actor_system *system, struct authority *authority);

// lifecycle.c
// Owner, at a turn boundary. Acts on control bits; false: nothing to do.
bool lifecycle_step(struct actor *actor);
// Owner: the first turns, instantiation or init, ended: OK, or `reason` says why not.
void lifecycle_started(struct actor *actor, enum status status, const char *reason);
// Owner: the init in progress waits, and may not do so for ever.
void lifecycle_watch_init(struct actor *actor);
// Owner: a turn trapped or broke a limit.
void lifecycle_crashed(struct actor *actor, enum status status, const char *reason);
// Owner: a turn ended the actor (actor_exit), which stops when the turn is over.
void lifecycle_exited(struct actor *actor);
// Owner. Makes it if need be.
struct actor_live *lifecycle_live(struct actor *actor);
// Owner, or nobody else has the actor; no turn in progress, nobody armed a timer since. Again:
// nothing. The lock must not be held, nor by lifecycle_cancel_watch.
void lifecycle_live_free(struct actor *actor);
// Nobody bounds the turn in progress, or the next, any more.
void lifecycle_cancel_watch(struct actor *actor);
void lifecycle_set_state(struct actor *actor, struct bytes *state);
// The turn in progress gets its last time. Lock held, or owner.
void lifecycle_watch_stop(struct actor *actor);
// Lock held. `reason` is static text, or NULL.
void actor_request_stop(struct actor *actor, bool is_external, const char *reason);
// Lock held. The actor is to drop its instance soon: waits fail, the turn in progress gets its last
// time. `bit` says what for.
void actor_request_down(struct actor *actor, uint32_t bit);

#endif

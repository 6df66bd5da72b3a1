// SPDX-License-Identifier: Apache-2.0
// Actors: mailbox, turns, requests, channels, lifecycle, supervision (contract, section 3).
//
// An actor is a task of the scheduler. Its `run` takes one message at a time and enters the guest
// on a fiber (a turn). A host call that must wait parks the fiber: that ends a leg. Every leg is
// appended to the actor's chain on the worker's own stack, and only then are its effects (messages,
// replies, channel closes) handed over.
//
// Two halves:
//   for the node: a system of actors, starting, sending, requesting, stopping from outside;
//   for the host room: what a host function may do on behalf of the actor that called it.
//
// Threads: functions for the node may be called from any thread that is not a worker. Functions
// for host functions run on the calling actor's fiber, during its turn, and nowhere else.
#ifndef ACTOR_ACTOR_H
#define ACTOR_ACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/env.h"
#include "base/status.h"
#include "chain/chain.h"
#include "component/component.h"
#include "manifest/manifest.h"
#include "manifest/permission.h"
#include "sched/sched.h"

struct actor;
struct actor_system;

enum { ACTOR_ID_BYTES = CHAIN_ID_MOST_BYTES + 1, ACTOR_UUID_BYTES = UUID_TEXT_BYTES };

// ---- for the node ------------------------------------------------------------------------------

// How a component's imports are answered: filled by the host room. `manifest` is that of the actor
// that will run the component.
typedef enum status (*actor_resolve_fn)(const struct manifest *manifest,
                                        const struct component_import *import,
                                        struct component_host_func *out, struct error *error);
// The same for the resource types that the host implements.
typedef enum status (*actor_resolve_resource_fn)(const struct component_resource *resource,
                                                 struct component_host_resource *out,
                                                 struct error *error);
// An instance of an actor was made, and its init is called next: what the manifest alone asks the
// host for begins. May wait (actor_run_job); an error ends the start with its text. On the actor's
// fiber.
typedef enum status (*actor_instance_made_fn)(struct actor *actor, struct error *error);
// The instance of an actor is gone, and with it all that the guest held: what the host room keeps
// for it (actor_host_data) ends too. On the actor's worker, outside of a turn.
typedef void (*actor_instance_ended_fn)(struct actor *actor);

// The instance is dropped although the actor goes on; another will be made before its next turn.
// What the guest held ends; what the outside knows of the actor (its servers and processes) stays.
// True: nothing is left, and the room's space (actor_host_data) is freed. As
// actor_instance_ended_fn.
typedef bool (*actor_hibernated_fn)(struct actor *actor);

// What an actor that came back with the node had outside of it, by the record.
struct actor_remains {
    // Calls of http-framework that have effect, oldest first: [name, [arguments], what the result
    // holds], as recorded. In effect the actor has these servers still.
    const struct slice *calls;
    size_t call_count;
    // What ended with the node, and the actor has yet to be told: its programs and the WebSocket
    // connections of its servers.
    const struct actor_gone {
        bool is_process;
        uint64_t id;
        uint64_t handler;  // that a connection's last event went to
        bool is_message;   // which was a message, not the connect
    } * gone;
    size_t gone_count;
    // The highest numbers given so far.
    uint64_t server, handler, route, middleware, connection, process;
};
// An actor came back: what it had is made again, and of what is gone it gets events. Before it
// runs, on the thread that opens the node; `remains` is borrowed.
typedef void (*actor_came_back_fn)(struct actor *actor, const struct actor_remains *remains);

// A root actor ended: by shutdown (`reason` NULL), or stopped by the node for the given reason.
typedef void (*actor_root_ended_fn)(void *context, const char *id, const char *reason);

// An instance that is to be made again as it was: that of an actor which comes back with its node,
// from the turns that its chain recorded.
struct actor_rebuild {
    const char *id;
    struct component *component;  // the actor's
    struct wasm_budget *budget;   // what the instance counts against
};

struct actor_config {
    struct env *env;
    struct sched *sched;              // borrowed until actor_system_free
    struct chain_log *log;            // NULL: nothing is recorded (benches)
    const struct permissions *bound;  // the node's; borrowed until actor_system_free. NULL: all
    // Existing folder for the plain values of what the chains hold as commitments, one file for
    // each actor and run (docs/formats/chain.md, "Secrets"). Borrowed. NULL: they are not kept.
    const char *secrets_folder;
    struct wasm_compiler *compiler;  // borrowed
    actor_resolve_fn resolve;
    actor_resolve_resource_fn resolve_resource;  // NULL: the host has no resource types
    actor_instance_made_fn instance_made;        // may be NULL
    actor_instance_ended_fn instance_ended;      // may be NULL
    actor_hibernated_fn hibernated;              // may be NULL: nothing of the host's is touched
    // Above it, idle instances are dropped whose manifests permit it. 0: no bound. It counts
    // linear memories, tables and handles of all actors, whether touched or not.
    uint64_t instance_memory_bytes;
    actor_came_back_fn came_back;  // may be NULL
    void *host;  // for the host room, see actor_host; borrowed until actor_system_free
    // Calls run(argument) on a thread that may block, later; any thread. NULL: on the worker.
    void (*run_blocking)(void *context, void (*run)(void *argument), void *argument);
    void *blocking_context;
    // Keeps what chains refer to by its hash: components and resolved manifests, each before the
    // first event that names it. On a thread that may block. NULL: nobody does.
    enum status (*keep)(void *context, struct slice content, const uint8_t hash[SHA256_BYTES],
                        struct error *error);
    // Keeps a large value (more than ACTOR_INLINE_MOST_BYTES) that an event is about to name by its
    // hash: given to write() when this returns, and on disk before the log says that the event is
    // (chain_log_config.before_sync). On a worker, so without a sync; any number at once. An error
    // fails the leg, as one of the log does. NULL: large values stand in the events themselves.
    enum status (*keep_value)(void *context, struct slice content, const uint8_t hash[SHA256_BYTES],
                              struct error *error);
    // Gives what either has kept. ERR_NOT_FOUND when it is not there. NULL: nobody has it.
    enum status (*fetch)(void *context, const uint8_t hash[SHA256_BYTES], struct bytes **out,
                         struct error *error);
    void *keep_context;  // of all three
    // Gives the instance, which is then bound to the actor. On a thread that may block. NULL:
    // recover = "replay" is refused.
    enum status (*rebuild)(void *context, const struct actor_rebuild *what,
                           struct component_instance **out, struct error *error);
    void *rebuild_context;
    actor_root_ended_fn root_ended;  // may be NULL; called on a worker, must be short
    void *root_context;
    // What manifests may refer to besides files; borrowed until actor_system_free.
    const struct manifest_scheme *schemes;
    size_t scheme_count;
    bool quiet;  // runtime.log goes to the chain only, not to stderr
    // No thread but the caller's, for a scheduler in its deterministic mode: what actors spawn is
    // loaded where they ask for it, and code stays in the tier that it has. Functions that wait
    // (actor_start_root and so on) would wait for ever.
    bool is_single_threaded;
    uint32_t steps_in_a_row;  // turns, or parts of turns, before others get their chance; 0: 64
};

enum status actor_system_new(const struct actor_config *config, struct actor_system **out,
                             struct error *error) MUST_CHECK;
// After actor_system_stop and after the scheduler's threads ended.
void actor_system_free(struct actor_system *system);
// Asks all root actors to stop, children before parents, and returns at once.
void actor_system_request_stop(struct actor_system *system);
// The same, and waits until they are gone.
void actor_system_stop(struct actor_system *system);
// Waits until nothing is left to do: no queued message, no turn running or parked, no owed reply,
// no restart pending. False when `timeout_ns` passed first (UINT64_MAX: never).
bool actor_system_wait_idle(struct actor_system *system, uint64_t timeout_ns);
// What instances hold: linear memories, tables and handles. Any thread.
uint64_t actor_system_instance_bytes(const struct actor_system *system);
// Actors that exist.
uint64_t actor_system_count(struct actor_system *system);
enum actor_life {
    ACTOR_LIFE_STARTING,  // init has not returned
    ACTOR_LIFE_RUNNING,
    ACTOR_LIFE_RESTARTING,  // crashed, and will be started again
    ACTOR_LIFE_CRASHED,     // and rests until its parent restarts it
    ACTOR_LIFE_STOPPING,
};
// "starting", …; static.
const char *actor_life_text(enum actor_life life);
// One actor, at some moment of the list.
struct actor_info {
    const char *id;
    const char *name;     // of its manifest
    struct slice parent;  // id; empty: a root
    enum actor_life life;
    uint64_t mailbox_messages, mailbox_bytes;  // that wait and count against its limits
    uint64_t memory_bytes;                     // of its instance
};
// Calls `visit` for each actor that there was when this was called, parents before their children;
// it returns false to end early. What it gets is borrowed until it returns. No actor waits for it.
typedef bool (*actor_info_fn)(void *context, const struct actor_info *info);
void actor_system_list(struct actor_system *system, actor_info_fn visit, void *context);

struct actor_start {
    const char *manifest;  // path, or TOML text
    const char *id;        // NULL: the manifest's own, else generated
    bool has_state;
    struct slice state;  // override of the initial state (manifest/manifest.h)
    // A root actor that has the id already, because it came back, is taken as it is.
    bool may_attach;
};
// Starts a root actor and waits until its init has returned. Writes its id.
enum status actor_start_root(struct actor_system *system, const struct actor_start *start,
                             char id[ACTOR_ID_BYTES], struct error *error) MUST_CHECK;
// A one-way message from outside. OK when it is recorded as durably as the actor's manifest
// promises: it survives the node then. ERR_IO when that failed: it may be handled all the same.
enum status actor_send_from_outside(struct actor_system *system, const char *id,
                                    struct slice message, struct error *error) MUST_CHECK;
// A request from outside; waits for the reply at most `timeout_ns`. Gives the reply. ERR_GUEST
// when the actor answered with an error.
enum status actor_request_from_outside(struct actor_system *system, const char *id,
                                       struct slice message, uint64_t timeout_ns,
                                       struct bytes **reply, struct error *error) MUST_CHECK;

// Stops one actor, its children first, and waits until it is gone; its parent hears of it by
// handle-child-external-stop, and no policy restarts it. `reason` (UTF-8, at most
// ACTOR_REASON_MOST_BYTES) stands in its last event; NULL: "stopped from outside". How long it
// takes is for limits.stop_timeout_ms of the actors involved to say.
enum { ACTOR_REASON_MOST_BYTES = 1000 };
enum status actor_stop_from_outside(struct actor_system *system, const char *id, const char *reason,
                                    struct error *error) MUST_CHECK;

// One call of one exported function, by a root actor that exists for it alone: instead of its init,
// with every host function that the manifest grants. Everything here is borrowed until
// actor_system_stop, since a call that was given up may still be running.
struct actor_call {
    const char *manifest;         // TOML text: handlers and limits; its component is not read
    struct component *component;  // compiled here if it is not yet
    uint32_t export;              // number of the function in the component's export list
    const struct value *args;     // one per parameter
    // Called once, on a worker, when the function returned; `result` lives as long as this takes
    // and means nothing when the function has none.
    void (*returned)(void *context, const struct value *result);
    void *context;
};
// Calls and waits. ERR_TRAP when the component trapped (instantiation included), ERR_TIMEOUT after
// `timeout_ns` (UINT64_MAX: never), ERR_STOPPING when the system was told to stop meanwhile. The
// system must keep no log (actor_config.log): such a call has no place in a chain.
enum status actor_call_export(struct actor_system *system, const struct actor_call *call,
                              uint64_t timeout_ns, struct error *error) MUST_CHECK;

// Calls `visit` for every hash that the data of an event refers to: what a chain needs to be
// replayed and understood, and so what must be kept as long as the chain. That is each byte string
// of 32 bytes, and each byte string or text of 64 lower-case hexadecimal digits; one too many does
// no harm.
typedef enum status (*actor_reference_fn)(void *context, const uint8_t hash[SHA256_BYTES],
                                          struct error *error);
enum status actor_event_references(struct slice data, actor_reference_fn visit, void *context,
                                   struct error *error) MUST_CHECK;
// The same for those that it names as contents, and for nothing that happens to look like a hash:
// component and manifest of a life that begins, and what stands by reference.
enum status actor_event_contents(const struct chain_event *event, actor_reference_fn visit,
                                 void *context, struct error *error) MUST_CHECK;
// Whether it names events of another chain as a result, which a replay has to look up there.
bool actor_event_needs_others(const struct chain_event *event);

// The same for the contents that the event cannot do without, and that were kept before it was
// appended: large parameters, answers and states. Not those in its host calls, some of which never
// came to be. ERR_INVALID for data of another shape.
enum { ACTOR_EVENT_CALLS = 5 };  // the key of the host calls
enum status actor_event_needs(struct slice data, actor_reference_fn visit, void *context,
                              struct error *error) MUST_CHECK;

// ---- for host functions ------------------------------------------------------------------------

// Identity and settings of the calling actor.
const char *actor_id(const struct actor *self);
const struct manifest *actor_manifest(const struct actor *self);
const struct permissions *actor_permissions(const struct actor *self);  // in effect
// The widest folder around `path`, one of the permitted ones, that a policy names: the actor's own,
// that of an actor above it, or the node's bound. NULL: none does. Lasts as long as the actor.
const char *actor_folder_around(const struct actor *self, const char *path);
struct env *actor_env(const struct actor *self);
// Space that the host room keeps with the actor (seeded generator and so on): created zeroed on
// first use, freed with the actor.
void *actor_host_data(struct actor *self, size_t size);
// What the node gave the host room (actor_config.host). Any thread.
void *actor_host(const struct actor *self);
// The state before this turn. Borrowed for the turn.
struct slice actor_state(const struct actor *self);

// Brackets every host call, for the record: `begin` before anything else, `end` with the result.
// A call that waits in between has its intent recorded before and its result after.
//
// What must not stand in the chain is recorded as a commitment: strings and list<u8> of a result
// with value.is_secret, and, in arguments and results of host calls and exports alike, the values
// of Authorization, Cookie, Proxy-Authorization and Set-Cookie in a record's field `headers` of
// type list<tuple<string, string>>, and in the fields of wasi:http. The latter needs nothing from
// the host function.
void actor_call_begin(struct actor *self, const char *name, const struct component_func_type *type,
                      const struct value *args);
// The calls of a leg that follows a wait may take so much room in its event: results of calls that
// wait should stay below it.
#define ACTOR_LEG_CALLS_MOST_BYTES (104U * 1024U * 1024U)
// False when the calls of this leg take more room than an event may have: the caller traps.
bool actor_call_end(struct actor *self, const struct value *result) MUST_CHECK;

// The actor tried what it may not do. Sets `error` to "permission denied: " and the text, for the
// guest, and has the denial recorded: an event of type `permission-denied`, with `kind`, the host
// function in progress and the text, stands in the chain before that of the leg. So the text names
// what the guest asked for and the rule, never what lies beyond it. Between actor_call_begin and
// actor_call_end only; a function that cannot answer with an error traps with error->message.
// Gives ERR_DENIED.
enum status actor_denied(struct actor *self, enum permission_kind kind, struct error *error,
                         const char *format, ...) PRINTF_LIKE(4, 5);

// A list<u8> or string of more bytes than this stands in the chain by its hash and size, wherever
// it occurs, and the content store keeps it (docs/formats/chain.md, References).
enum {
    ACTOR_INLINE_MOST_BYTES = 4096,
    ACTOR_REFERENCE_TAG = 29285,  // [SHA-256, size]
    ACTOR_RANGE_TAG = 29286,      // [chain, first, count, hash of the last event]
};
// A host function is about to tell the guest, by an error or a trap, that a limit holds: `text`
// says which, as "limits.children", and how much. An event of type `limit-reached` stands in the
// chain before that of the leg, with the key, the host function in progress and the text. Nothing
// happens for a text that names no key. Errors of code ERR_LIMIT, ERR_BUSY and ERR_TIMEOUT that a
// host function answers with in the usual way need no call.
void actor_limit_reached(struct actor *self, struct slice text);

// What a host function itself keeps in the content store is not kept once more: the list<u8> of
// the call in progress, argument or result, whose bytes `content` are. Before the call waits, for
// an argument; before it ends, for a result. Does nothing for short ones.
void actor_record_by_hash(struct actor *self, struct slice content,
                          const uint8_t hash[SHA256_BYTES]);
// The list in the result of the call in progress whose items `events` are holds the events that
// actor_visit_chain went through last, all of them: it is recorded as a range of that chain. Before
// the call ends; for NULL, an empty list, nothing is changed.
void actor_record_by_range(struct actor *self, const struct value *events);
// SHA-256 for those on a fiber: done on the worker's stack.
void actor_hash(struct actor *self, struct slice content, uint8_t hash[SHA256_BYTES]);

// The text of an error that a function below gave, in full: `error` holds at most
// ERROR_MESSAGE_MAX bytes of what another actor may have said at length. Borrowed for the turn.
struct slice actor_error_text(const struct actor *self, const struct error *error);
// The host call in progress answers with this error. When the turn ends with an error that passes
// its text on, the parent's handle-child-error hears what kind it was.
void actor_note_failure(struct actor *self, const struct error *error);
// A line of the actor's log. Also for actor_instance_ended_fn.
void actor_log(struct actor *self, struct slice text);
// The actor ends after this turn; `data` (may be absent) goes to its parent.
void actor_shutdown(struct actor *self, bool has_data, struct slice data);
// The actor ends with this turn, which the caller ends with a trap: no crash, but the orderly stop
// of actor_shutdown without data. In init it is a failed start.
void actor_exit(struct actor *self);

// Each returns OK or an error whose message is for the guest. Those marked (waits) park the fiber.
enum status actor_send(struct actor *self, struct slice target, struct slice message,
                       struct error *error);  // (waits) only for room in a full mailbox
enum status actor_request(struct actor *self, struct slice target, struct slice message,
                          struct bytes **reply, struct error *error);  // (waits); gives the reply
enum status actor_open_channel(struct actor *self, struct slice target, struct slice message,
                               char channel[ACTOR_UUID_BYTES], struct error *error);  // (waits)
enum status actor_send_on_channel(struct actor *self, struct slice channel, struct slice message,
                                  struct error *error);  // (waits) as actor_send
enum status actor_close_channel(struct actor *self, struct slice channel, struct error *error);
// Ids of requests delivered to this actor and not answered, oldest first, in `arena`; ERR_LIMIT
// when it has no room for them.
enum status actor_outstanding(struct actor *self, struct arena *arena, struct slice **ids,
                              uint32_t *count, struct error *error);
enum status actor_respond(struct actor *self, struct slice request, struct slice response,
                          struct error *error);
enum status actor_cancel_request(struct actor *self, struct slice request, struct error *error);
enum status actor_sleep(struct actor *self, uint64_t nanoseconds, struct error *error);  // (waits)

// Work done elsewhere while the actor is parked: a file operation on a thread that may block, or an
// exchange with the network. When the actor is stopped meanwhile, the work goes on without it. So a
// job owns all that it uses, and is counted: the caller holds one reference from actor_job_init on.
struct actor_job {
    // Either does the work, on a thread that may block, and then the job is done;
    void (*run)(struct actor_job *job);
    // or, when `run` is NULL, sets it going and returns at once, on a worker: whoever does the work
    // calls actor_job_done in the end, exactly once, on any thread.
    void (*begin)(struct actor_job *job);
    // The actor waits no longer for what was begun: the work may be cut short. May be NULL. On the
    // actor's fiber; not called before `begin`, but perhaps after actor_job_done.
    void (*cancel)(struct actor_job *job);
    void (*release)(struct actor_job *job);  // frees it; any thread
    // What the work came to, for actor_run_job to give: OK unless the work says otherwise.
    enum status status;
    struct error error;
    // Private to job.c.
    _Atomic uint32_t references;
    struct actor *actor;
    struct completion *waiter;
    _Atomic uint8_t phase;
    struct chain_watch watch;
};
void actor_job_init(struct actor_job *job, void (*run)(struct actor_job *job),
                    void (*release)(struct actor_job *job));
void actor_job_unref(struct actor_job *job);
// The work that `begin` set going is at its end. Takes the reference that the work held.
void actor_job_done(struct actor_job *job);
// (waits) When the work is done, its status and error. An error may also say that the work has not
// begun, or may go on: the job's results must not be looked at then.
enum status actor_run_job(struct actor *self, struct actor_job *job,
                          struct error *error) MUST_CHECK;
// Without waiting for it; takes the caller's reference. Also for actor_instance_ended_fn.
void actor_run_job_later(struct actor *self, struct actor_job *job);

// ---- for the host room: what happens outside ---------------------------------------------------

// Something outside of all actors calls an export: a request to the actor's HTTP server, output of
// its process. The order is that of the exports in internal.h.
enum actor_event_kind {
    ACTOR_HTTP_REQUEST,
    ACTOR_HTTP_MIDDLEWARE,
    ACTOR_WEBSOCKET_CONNECT,
    ACTOR_WEBSOCKET_MESSAGE,
    ACTOR_WEBSOCKET_DISCONNECT,
    ACTOR_WEBSOCKET_EVENT,  // the older interface websocket-server
    ACTOR_PROCESS_STDOUT,
    ACTOR_PROCESS_STDERR,
    ACTOR_PROCESS_EXIT,
    ACTOR_EVENT_KIND_COUNT
};
enum { ACTOR_EVENT_PARAMS_MOST = 4 };

// One such call. It belongs to whoever made it and must last until `settled`.
struct actor_event {
    enum actor_event_kind kind;
    uint32_t instance;  // actor_instance_number of whom it is for: a later one never sees it
    // It counts `size` bytes against the limits of the mailbox. Reserved: it takes room that its
    // maker bounds itself, and is never refused because the mailbox is full.
    bool is_reserved;
    uint32_t size;
    // Set when it is settled: what the world hears of it must wait for actor_hold.
    uint64_t depends;
    // Fills the items of the export's second parameter, a tuple (zeroed); in `arena` if need be, or
    // borrowed from the event. On the actor's worker.
    void (*fill)(struct actor_event *event, struct arena *arena, struct value *tuple);
    // Called exactly once after a delivery that was OK, on any thread, with no lock held; must not
    // block. OK: the export returned, and `answer` is the tuple of its answers (NULL when it has
    // none), for as long as this call takes. ERR_GUEST: it returned an error, `text`. ERR_TRAP: it
    // trapped. Otherwise it was never called: `text` says why.
    void (*settled)(struct actor_event *event, enum status status, const struct value *answer,
                    struct slice text);
};
// Puts the event into the actor's mailbox; any thread, never waits. ERR_BUSY when that is full,
// ERR_CLOSED when the actor has ended or is about to, ERR_UNSUPPORTED when it has no such export.
enum status actor_deliver(struct actor *target, struct actor_event *event,
                          struct error *error) MUST_CHECK;
// Something that leaves the node when what it depends on is on disk (durability = "sync").
struct actor_hold {
    struct chain_watch watch;
    // is_durable false: it never will be; nothing may be told then.
    void (*go)(struct actor_hold *hold, bool is_durable);
};
// Calls `go` at once when the event's answer may be told, else later on a thread that must not be
// blocked. Any thread, with no lock held. The hold lasts until then.
void actor_hold_event(struct actor *actor, const struct actor_event *event, struct actor_hold *hold,
                      void (*go)(struct actor_hold *hold, bool is_durable));
// Something of others was refused because of a limit of the actor: counted, and recorded in an
// event of type `limit-reached` with its next leg. actor_deliver does it for the mailbox. Any
// thread.
enum actor_refusal {
    ACTOR_REFUSED_MESSAGE,
    ACTOR_REFUSED_REQUEST,
    ACTOR_REFUSED_WEBSOCKET,
    ACTOR_REFUSAL_COUNT
};
void actor_refused(struct actor *target, enum actor_refusal what);
// Whether it has the export. Any thread.
bool actor_handles(const struct actor *actor, enum actor_event_kind kind);
// Records in the node's own chain that something which the actor had could not be brought back, and
// logs it. On a thread that may block.
void actor_report_lost(struct actor *actor, const char *text);
// Of the instance that is calling.
uint32_t actor_instance_number(const struct actor *self);
// Counted references, for what outlives the turn. Any thread.
struct actor *actor_ref(struct actor *actor);
void actor_unref(struct actor *actor);
// While it is held the node is not idle: for a process that runs, a timer that will fire. Any
// thread; each hold has its release.
void actor_hold_busy(struct actor *actor);
void actor_release_busy(struct actor *actor);

// Supervision. `child` must be a child of the caller.
enum actor_spawn_mode { ACTOR_SPAWN, ACTOR_RESUME };
enum status actor_spawn_child(struct actor *self, struct slice manifest, enum actor_spawn_mode mode,
                              bool has_state, struct slice state, char id[ACTOR_ID_BYTES],
                              struct error *error);  // (waits)
enum status actor_stop_child(struct actor *self, struct slice child,
                             struct error *error);  // (waits)
enum status actor_restart_child(struct actor *self, struct slice child,
                                struct error *error);  // (waits)
// Oldest first, as actor_outstanding.
enum status actor_children(struct actor *self, struct arena *arena, struct slice **ids,
                           uint32_t *count, struct error *error);
// Gives the last recorded state, or NULL when it has none.
enum status actor_child_state(struct actor *self, struct slice child, struct bytes **state,
                              struct error *error);
// Calls `visit` for each event of the child's chain (child.data NULL: the caller's own), oldest
// first, on the worker's stack. `visit` returns false to end early.
typedef bool (*actor_visit_fn)(void *context, const struct chain_event *event);
enum status actor_visit_chain(struct actor *self, struct slice child, actor_visit_fn visit,
                              void *context, struct error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
// Running a chain again: every turn with the results that the chain recorded, without the world,
// until the head is the same or the first event that differs is found (docs/replay.md).
//
// The actor room runs the turns (actor/rerun.h); this room reads the chain, finds what it refers to
// by hash, hashes what was made, and compares.
//
// A replay may take as long as the actor lived. On a thread that may block, which is no worker and
// is in no guest.
#ifndef REPLAY_REPLAY_H
#define REPLAY_REPLAY_H

#include "actor/actor.h"

struct wasm_compiler;

// One event that was replayed. Borrowed for the call.
struct replay_step {
    const struct chain_event *recorded;
    // What was made; of an event that is no turn, what was recorded. `data` empty: nothing could
    // be made, and `note` says why.
    struct slice type, data;
    uint8_t hash[SHA256_BYTES];  // of the event in the replay's own chain
    bool is_copied;              // it is no turn: it says what was decided outside
    bool is_different;
    const char *note;  // where the guest left the record, or NULL
    bool has_state;    // after the event
    struct slice state;
};

struct replay_config {
    const char *id;  // of the actor
    // The chain's events in order. The event is valid until the next call.
    enum status (*next)(void *context, struct chain_event *event, bool *more, struct error *error);
    void *next_context;
    // The bytes behind a hash: manifests, components, values. Gives them.
    enum status (*content)(void *context, const uint8_t hash[SHA256_BYTES], uint64_t limit_bytes,
                           struct bytes **out, struct error *error);
    void *content_context;
    // Calls `visit` for the events of a chain from `first` on, `count` of them or until it returns
    // false: what the actor read of chains.
    enum status (*visit)(void *context, const char *id, uint64_t first, uint64_t count,
                         actor_visit_fn visit, void *visit_context, struct error *error);
    void *visit_context;
    const char *secrets_folder;      // NULL: plain values of secrets are not to be had
    struct wasm_compiler *compiler;  // borrowed
    struct bytes *component;         // instead of the recorded one, or NULL; borrowed
    bool goes_on;                    // after a difference, from the recorded state
    // Begin at the last instance-created up to this event, with the state that the record has then;
    // 0: at the first event.
    uint64_t from;
    uint64_t until;  // the last event to be replayed; UINT64_MAX: all
    // For an instance that goes on living: see rerun_config. NULL: the replay's own.
    struct component *known;
    struct wasm_budget *budget;
    // Gives the instance that is there in the end, and ends in an error where there is none, a turn
    // is in progress, or an event differs. NULL: not wanted.
    struct component_instance **instance;
    // Called after each event, may be NULL. False ends the replay.
    bool (*step)(void *context, const struct replay_step *step);
    void *step_context;
};

struct replay_result {
    uint64_t events;           // replayed, copied ones included
    uint64_t legs;             // of these, run
    uint64_t different;        // of these, with other bytes than recorded
    uint64_t not_run;          // of these, without what it takes to run them, after a difference
    uint64_t first_different;  // sequence number; means something when `different` is not 0
    uint8_t head[SHA256_BYTES];
    uint8_t recorded_head[SHA256_BYTES];  // of the last event that was replayed
    struct bytes *state;                  // gives; NULL: none
};

// Replays. An error says why the chain cannot be replayed, and at which event: content or a secret
// that is not kept (ERR_NOT_FOUND), an event that is damaged (ERR_DAMAGED). A difference is none.
// `result` is filled in any case.
enum status replay_run(const struct replay_config *config, struct replay_result *result,
                       struct error *error) MUST_CHECK;

// What replay_config.visit does when the chain is in a log.
enum status replay_visit_log(struct chain_log *log, const char *id, uint64_t first, uint64_t count,
                             actor_visit_fn visit, void *visit_context,
                             struct error *error) MUST_CHECK;

// A new actor from a point of another's history.
struct replay_fork {
    const char *id;      // of the parent chain
    uint64_t at;         // the event after which the new chain begins
    const char *new_id;  // without a chain so far
    // As in replay_config: the parent's events, and contents (only manifests are read).
    enum status (*next)(void *context, struct chain_event *event, bool *more, struct error *error);
    void *next_context;
    enum status (*content)(void *context, const uint8_t hash[SHA256_BYTES], uint64_t limit_bytes,
                           struct bytes **out, struct error *error);
    void *content_context;
    struct chain_log *log;  // that the new chain is appended to; nothing else appends meanwhile
};
// Appends event 0 of the new chain: the program and the state of the old one after event `at`, and
// which chain, event and hash it comes from (docs/formats/chain.md). In the middle of a turn that
// is the state before the turn. It is on disk when this returns. ERR_NOT_FOUND when there is no
// such event, ERR_EXISTS when there is a chain of that id.
enum status replay_fork(const struct replay_fork *fork, struct error *error) MUST_CHECK;

// Appends what is different between two versions of one event, decoded: the first place, and what
// stands there on both sides.
void replay_describe(const struct replay_step *step, struct buf *out);

#endif

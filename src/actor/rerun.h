// SPDX-License-Identifier: Apache-2.0
// Running an actor's turns again from its record: no mailbox, no scheduler, no world. One event of
// the chain goes in; what the guest makes of it now comes out as the event's data, written by the
// same code that wrote the record (record.c).
//
//   from the record   who sent, parameters, results of host calls, where a host call waited, traps
//                     that something outside of the guest decided (deadline, stack, host functions)
//   made again        the calls of the host with their arguments, the outcome, the state
//
// Events that are no turn say what was decided outside: they are followed, not made.
//
// One thread at a time, which has called wasm_thread_enter and is in no guest. With the watchdog
// running a guest that does not end is ended; without it is not.
#ifndef ACTOR_RERUN_H
#define ACTOR_RERUN_H

#include "actor/actor.h"
#include "actor/record_read.h"

struct rerun;

struct rerun_config {
    const char *id;                  // of the actor; copied
    struct wasm_compiler *compiler;  // borrowed until rerun_free
    // Answers for a recorded host function with rerun_host_call, `data` being its name in the
    // record (NUL-terminated); nothing else may have an effect.
    actor_resolve_fn resolve;
    actor_resolve_resource_fn resolve_resource;
    struct record_source source;  // its context is borrowed until rerun_free
    // For an instance that is to be taken over: the component of whoever takes it, and what its
    // memory counts against, both borrowed until then. NULL: its own.
    struct component *component;
    struct wasm_budget *budget;
    // The component is another than the recorded one: it gets the limits instead of the recorded
    // deadline and stack traps.
    bool is_other;
};
enum status rerun_new(const struct rerun_config *config, struct rerun **out,
                      struct error *error) MUST_CHECK;
// The turn in progress is given up. NULL: nothing.
void rerun_free(struct rerun *rerun);

// A component_host_fn: gives the recorded result.
bool rerun_host_call(struct component_call *call, const struct value *args, struct value *result);

// A run begins (spawned, resumed): the program, of its resolved manifest and its component, and the
// state that init will get. What there was of an earlier run is gone.
enum status rerun_begin(struct rerun *rerun, struct slice manifest, struct bytes *component,
                        bool has_state, struct slice state, struct error *error) MUST_CHECK;
// A run goes on after the node came back, in the same instance.
void rerun_go_on(struct rerun *rerun);
// Gives the instance as it is now, to be bound to its new owner (component_instance_rebind); NULL
// when there is none, or a turn is in progress. Then the rerun is only to be freed.
struct component_instance *rerun_take_instance(struct rerun *rerun);
// What secrets of this run are committed with: 32 bytes.
void rerun_set_key(struct rerun *rerun, const uint8_t key[32]);

struct rerun_made {
    struct slice type;  // as of chain_append; both until the next call
    struct slice data;  // empty: nothing could be made, `note` says why
    bool is_copied;     // of an event that is no turn: as recorded
    // Why the guest was not run to the end of the leg, or NULL: what it did has no result in the
    // record. Until the next call.
    const char *note;
};
// Runs what one event recorded. ERR_DAMAGED when the event cannot be understood; the source's
// errors. After any error, or a note, the turn is given up.
enum status rerun_event(struct rerun *rerun, const struct chain_event *recorded,
                        struct rerun_made *made, struct error *error) MUST_CHECK;

// Whether events of the type are turns, or the making of an instance.
bool rerun_is_turn(struct slice type);
// Whether an event of the type, which is no turn, is the end of an instance.
bool rerun_ends_instance(struct slice type);
// Whether the actor goes on from its initial state behind the event, which is no turn.
// `restarts_anew`: restart_state of its manifest is "initial".
bool rerun_resets_state(const struct chain_event *recorded, bool restarts_anew);
// The state now; false when there is none. Until the next call.
bool rerun_state(const struct rerun *rerun, struct slice *state);
// Goes on from a state that the record gives, instead of the one that was made.
void rerun_set_state(struct rerun *rerun, struct slice state);
// Makes an instance if there is none, for which the record has no event: when the last one is gone
// only in the replay. None comes of it when its start functions call the host.
void rerun_renew_instance(struct rerun *rerun);

#endif

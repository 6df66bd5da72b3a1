// SPDX-License-Identifier: Apache-2.0
// What the files that bring actors back share: the world, how events are read, and what an actor
// that came back has yet to do.
#ifndef ACTOR_RECOVER_H
#define ACTOR_RECOVER_H

#include "actor/recover_read.h"
#include "actor/recover_world.h"

// Until the actor's first step. Owner, but for the time before is_ready.
struct recovery {
    _Atomic bool is_ready;  // all actors are back; release by who made it, acquire by the worker
    bool is_due;            // there is something to record or to make without a message
    bool was_waiting;       // a turn was in progress
    bool makes_instance;    // what its manifest asks of the host needs one
    char *call;             // the host call that the turn waited in; may be NULL
};

// recover_mail.c: fills the mailbox of `actor` with what `from` is owed. Gives how many messages.
uint64_t recover_mailbox(struct actor *actor, const struct world_actor *from, struct chain_at *at);

// recover_body.c
// Gives the bytes; *is_absent when it is an option that holds none. ERR_DAMAGED, or an error of the
// store.
enum status recover_body(const struct actor_system *system, struct chain_at *at,
                         const struct world_body *body, struct bytes **out, bool *is_absent,
                         struct error *error) MUST_CHECK;
// Gives the state in key `key` of the event; NULL when that is not there.
enum status recover_state(const struct actor_system *system, struct chain_at *at, uint64_t position,
                          uint32_t key, struct bytes **out, struct error *error) MUST_CHECK;
// Gives the name of a host call of the event; NULL when there is none.
char *recover_call_name(struct chain_at *at, uint64_t position, uint32_t call);

#endif

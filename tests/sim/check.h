// SPDX-License-Identifier: Apache-2.0
// What must hold of the chains of a world, whatever happened in it. Each check ends the process
// with a sentence when it does not.
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "world.h"

// A message of its own text, sent by a client or, at a client's wish, by an actor.
struct note {
    char text[32];
    char target[ACTOR_ID_BYTES];
    struct ask *ask;     // answered "ok" when the sending actor's send was; NULL: sent from outside
    enum status status;  // from outside
    bool is_unknown;     // what became of the sending
};

// Of a world at rest whose actors live: whoever sent something and heard no error has its message
// handled, by an actor that lost none for a reason of its own; nothing is handled twice; messages
// from one sender to one receiver are handled in the order in which they were sent.
void check_messages(struct world *world, const struct note *notes, uint32_t count);
// What the chains of a world are now, before a crash; and after it: each chain is a part of what it
// was, from its beginning on, with all that was synced, and no message is without its sender's
// event. The second frees the first.
struct past;
struct past *past_of(struct world *world);
void check_survivors(struct world *world, struct past *past);
// After the stop: the last event of each chain is its shutdown, and children end before parents.
// Gives the digest of all heads, in the order of their first events.
void check_ends(struct world *world, uint8_t digest[SHA256_BYTES]);
// After the stop: some of the chains, run again from their record, come to the same head.
void check_replays(struct world *world);
// For those who look on: how many events of which type there are.
void print_events(struct world *world);
// After the log was closed: from the files alone.
void check_files(struct world *world);

#endif

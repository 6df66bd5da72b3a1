// SPDX-License-Identifier: Apache-2.0
// What the simulation needs of the actor room's recovery, whose `struct world` is another than
// ours.
#ifndef TESTS_SIM_RECOVER_H
#define TESTS_SIM_RECOVER_H

#include "actor/actor.h"

// Brings back what was running, as a node that opens does; none may be missing. Gives how many
// came.
uint64_t recover_actors(struct chain_log *log, struct actor_system *system);
// Whether it is the chain of the node itself.
bool is_node_chain(const char *id);

#endif

// SPDX-License-Identifier: Apache-2.0
// Bringing back what was running when the node last ended (actor/recovery.h).
#ifndef NODE_RECOVER_H
#define NODE_RECOVER_H

#include "actor/recovery.h"

// Reads the log and makes the actors of it; with `is_left`, nothing is made. Before anything else
// is started.
enum status node_recover(struct chain_log *log, struct actor_system *actors, bool is_left,
                         struct actor_recovered *out, struct error *error) MUST_CHECK;

#endif

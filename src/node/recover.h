// SPDX-License-Identifier: Apache-2.0
// Bringing back what was running when the node last ended (actor/recovery.h), and the snapshots
// that make it quick.
#ifndef NODE_RECOVER_H
#define NODE_RECOVER_H

#include "actor/recovery.h"

struct node_recovery;

// Reads the log, or what came behind the snapshot, and makes the actors of it; with `is_left`,
// nothing is made. Before anything else is started. Gives what makes snapshots from now on, also
// after an error; it keeps `log`.
enum status node_recover(struct chain_log *log, struct actor_system *actors, const char *folder,
                         bool is_left, struct actor_recovered *out, struct node_recovery **keeps,
                         struct error *error) MUST_CHECK;
// Before the log is closed. With `is_clean`, when all actors have ended: leaves a snapshot that
// says so. Takes it; NULL is fine.
void node_recovery_stop(struct node_recovery *recovery, bool is_clean);

#endif

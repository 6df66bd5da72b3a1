// SPDX-License-Identifier: Apache-2.0
// theater-exec: the program between a node and the programs that its actors run. It starts them and
// sees to it that they end, with all that they started, also when the node was killed.
//
//   theater ─── theater-exec (server) ─┬─ supervisor ─── program ─── what it starts
//                                      └─ supervisor ─── program ─── …
//
// main.c        the server: forks a supervisor per program; gathers what supervisors leave that
//               were killed themselves
// supervisor.c  one per program: forks it, reports its end, passes signals on, and is the reaper
//               (PR_SET_CHILD_SUBREAPER) of all its descendants, whatever group or session they
//               put themselves into
// child.c       between fork and execve: descriptors, folder, limits, Landlock
// tree.c        kills all descendants
//
// It is a program of its own, small and static, so that starting one costs a fork of a few pages
// and not of the node. No threads; nothing here trusts a program.
#ifndef IO_EXEC_EXEC_H
#define IO_EXEC_EXEC_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/compat.h"
#include "io/exec/protocol.h"

// A request that was read and taken apart.
struct exec_start {
    struct exec_request request;
    int descriptors[EXEC_DESCRIPTOR_COUNT];  // -1: not given
    char *program;
    char **args, **variables;  // each with a NULL at its end
};

// Runs a supervisor over the control socket; returns never.
NO_RETURN void exec_supervise(int control);

// In the child: becomes the program. `report` is where a failure goes; closed by success.
NO_RETURN void exec_become(const struct exec_start *start, int report, pid_t parent);

// Sends a report; what is lost because the node is gone is lost.
void exec_report(int control, enum exec_report_kind kind, int value, enum exec_stage stage);

// Sends SIGKILL to all descendants of the caller but those children (with their descendants) that
// `is_kept` (may be NULL) says. What is being forked meanwhile may be missed, so it is called again
// until it finds nobody (false).
bool exec_kill_descendants(bool (*is_kept)(pid_t child));

#endif

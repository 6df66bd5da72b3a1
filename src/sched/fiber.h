// SPDX-License-Identifier: Apache-2.0
// The fiber, for the two files that deal with it: stack.c, which maps it at the top of its own
// stack, and fiber.c, which enters and leaves it.
#ifndef SCHED_FIBER_H
#define SCHED_FIBER_H

#include "sched/internal.h"
#include "sched/sanitize.h"

enum fiber_state { FIBER_POOLED, FIBER_READY, FIBER_RUNNING, FIBER_PARKED, FIBER_FINISHED };

// Changed by whoever owns it (the task it serves), one thread at a time.
struct sched_fiber {
    // The stack ends where this begins, and a stack is 16-aligned.
    _Alignas(16) void *context;  // where it continues; NULL: to be made
    void *caller;                // while it runs: where sched_fiber_resume continues
    sched_fiber_fn fn;
    void *argument;
    enum fiber_state state;
    uint32_t class;  // of its stack
    bool trimmed;    // its memory was given back since it was last in use
    struct sched *sched;
    struct sched_stack stack;
    uint8_t *mapping_high;     // one past the last byte of the mapping
    struct sched_fiber *next;  // in a list of free stacks
    struct checks checks;
};

#endif

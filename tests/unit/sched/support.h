// SPDX-License-Identifier: Apache-2.0
// What the tests of the scheduler share: making one, and waiting for a counter without sleeping
// for a guessed time.
#ifndef TESTS_UNIT_SCHED_SUPPORT_H
#define TESTS_UNIT_SCHED_SUPPORT_H

#include <sched.h>
#include <stdatomic.h>

#include "sched/sched.h"
#include "test.h"

// A thread that waits for an event which a bug may prevent gives up after this long.
#define PATIENCE_NS ((uint64_t)20 * 1000 * 1000 * 1000)

static inline struct sched *make_sched(uint32_t workers, uint32_t extra, uint64_t stuck_ns) {
    struct sched_config config = {
        .workers = workers, .extra_workers = extra, .stuck_ns = stuck_ns, .env = env_system()};
    struct sched *sched = NULL;
    struct error error = {0};
    if (sched_new(&config, &sched, &error) != OK) {
        fatal("%s", error.message);
    }
    return sched;
}

// Yields until the counter is at least `wanted`; false when that never happens.
static inline bool reaches(_Atomic uint64_t *counter, uint64_t wanted) {
    uint64_t start = env_monotonic_ns(env_system());
    while (atomic_load(counter) < wanted) {
        if (env_monotonic_ns(env_system()) - start > PATIENCE_NS) {
            return false;
        }
        sched_yield();
    }
    return true;
}

#endif

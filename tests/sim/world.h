// SPDX-License-Identifier: Apache-2.0
// A node in one thread, for the simulation: the real scheduler in its deterministic mode, the real
// actors, chain and host functions, the probe (tests/guests/probe) as guest, and a clock that moves
// only when it is told to. Everything that happens in it follows from its seed.
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "actor/internal.h"

enum { IDS_MOST = 64, ASKS_MOST = 4096, REPLY_BYTES = 256 };

// What a process makes once: the guest's code, and manifests of every kind.
struct stage {
    char folder[128];
    struct wasm_compiler *compiler;
};
void stage_open(struct stage *stage);
void stage_close(struct stage *stage);

// A request from outside that nobody blocks for.
struct ask {
    struct completion completion;
    struct request *request;  // counted; NULL once it was settled
    bool is_done;
    enum status status;
    char reply[REPLY_BYTES];
};

struct world {
    struct stage *stage;
    uint64_t random;  // of the scenario; the node's own chance is env's
    struct env env;
    char log_folder[160];
    struct fault_disk *disk;  // beneath the log
    struct chain_log *log;
    struct map kept;  // SHA-256 -> struct bytes: what chains refer to
    struct map
        bent;  // ids of actors whose limits were changed, so that they do not run again alike
    struct sched *sched;
    struct actor_system *system;
    struct ask *asks[ASKS_MOST];
    uint32_t ask_count;
    uint64_t boot_position;  // of the log's end when the power came
    uint64_t steps;
    bool is_verbose;
};

void world_open(struct world *world, struct stage *stage, uint64_t seed, bool is_verbose);
// Stops all actors in order, and closes the log. Everything must be gone then.
void world_stop(struct world *world);
// The node is killed, or the power goes: what was synced is there, and nothing, a part or all of
// what was written besides. Then the node begins again. True: all of it.
bool world_crash(struct world *world);
// After that: its actors come back.
void world_recover(struct world *world);
// After world_stop.
void world_close(struct world *world);

// The scenario's chance: below `bound`, which is not 0.
uint32_t chance(struct world *world, uint32_t bound);

// One step of the scheduler. False: there is nothing to do.
bool world_step(struct world *world);
// Steps until nothing is left to do. A node that waits for nothing that can come is a failure.
void world_settle(struct world *world);

// The disk beneath the log begins to fail, in one way or another, or works again.
void world_disk_fails(struct world *world);
void world_disk_mends(struct world *world);
// The disk forgot what it had taken: the log never goes on, and its files are damaged.
bool world_log_is_dead(const struct world *world);

// Starts a root actor and steps until its init has returned. False: it failed.
bool world_start(struct world *world, const char *manifest, const char *id);
// Gives the message to the actor. ERR_IO: it may be handled, and may be lost with the node; another
// error: it will not be handled.
enum status world_tell(struct world *world, const char *id, const char *message);
// The same as a request, which stays the world's.
struct ask *world_ask(struct world *world, const char *id, const char *message);

#endif

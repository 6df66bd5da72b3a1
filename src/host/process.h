// SPDX-License-Identifier: Apache-2.0
// An actor's programs: what process.c (the functions) and process_child.c (one program, and the
// events it causes) share.
#ifndef HOST_PROCESS_H
#define HOST_PROCESS_H

#include <pthread.h>

#include "host/host.h"
#include "io/process.h"

struct spawn;

// A program that an actor started. Counted: the actor's list, the process, a job and each event
// under way hold it.
struct child {
    _Atomic uint32_t references;
    struct child *next;   // of the actor's list, newest first; the actor's worker only
    uint64_t number;      // how the actor calls it
    uint64_t start_ms;    // wall clock
    struct actor *actor;  // a reference
    uint32_t instance;

    pthread_mutex_t lock;        // for these two, until the program was started
    struct io_process *process;  // a reference; NULL: not started
    bool is_unwanted;

    struct spawn *spawn;  // the loop's, until the start was told
    // The loop's until delivered, then the actor's until settled.
    struct actor_event events[IO_OUTPUT_COUNT + 1];
    struct slice pieces[IO_OUTPUT_COUNT];
    int32_t code;
};

// os-spawn: a job from the words of the guest to a program that runs.
struct spawn {
    struct actor_job job;
    struct child *child;
    const struct host_services *services;
    struct bytes *program;
    char *cwd;  // NULL: none given
    char *default_folder;
    struct io_process_config config;
};

// For the calling actor; gives one reference.
struct child *child_new(struct actor *self, uint64_t number);
// Any thread.
struct child *child_ref(struct child *child);
// Any thread; the last one frees.
void child_unref(struct child *child);
// Ends it, or sees to it that it never starts; no event of it comes any more. The actor's worker.
void child_discard(struct child *child);
// actor_job.begin of a spawn.
void child_spawn(struct actor_job *job);

#endif

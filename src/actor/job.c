// SPDX-License-Identifier: Apache-2.0
// Jobs: work that may block, done elsewhere while the actor that wants it is parked. The leg that
// asks for it is recorded before the work begins, its result after (contract, section 3, Effects).
#include <sched.h>
#include <stdlib.h>

#include "actor/internal.h"

void actor_job_init(struct actor_job *job, void (*run)(struct actor_job *job),
                    void (*release)(struct actor_job *job)) {
    *job = (struct actor_job){.run = run, .release = release};
    atomic_init(&job->references, 1);
}

void actor_job_unref(struct actor_job *job) {
    if (atomic_fetch_sub_explicit(&job->references, 1, memory_order_acq_rel) == 1) {
        job->release(job);
    }
}

void actor_job_done(struct actor_job *job) {
    struct actor *actor = job->actor;
    if (actor != NULL) {
        system_lock(actor->system);
        if (job->waiter != NULL) {
            completion_finish(job->waiter, OK, NULL);
        }
        system_unlock(actor->system);
    }
    actor_job_unref(job);
    actor_unref(actor);
}

// On the thread that may block.
static void run_job(void *argument) {
    struct actor_job *job = argument;
    job->run(job);
    actor_job_done(job);
}

static void submit(struct actor_system *system, struct actor_job *job) {
    system->config.run_blocking(system->config.blocking_context, run_job, job);
}

enum { JOB_NEW, JOB_HELD, JOB_BEGINNING, JOB_BEGUN, JOB_CANCELLED };

static void begin(struct actor_job *job) {
    if (job->run == NULL) {
        job->begin(job);
    } else {
        submit(job->actor->system, job);
    }
}

// What the job depends on is on disk, or never will be.
static void stop_holding(struct chain_watch *watch, bool is_synced) {
    struct actor_job *job = CONTAINER_OF(watch, struct actor_job, watch);
    uint8_t held = JOB_HELD;
    // Partner: the same in actor_run_job. One of the two has the job.
    if (!atomic_compare_exchange_strong(&job->phase, &held, JOB_BEGINNING)) {
        job_abandon(job);
    } else if (is_synced) {
        atomic_fetch_add_explicit(&job->references, 1, memory_order_relaxed);
        begin(job);
        atomic_store(&job->phase, JOB_BEGUN);
        actor_job_unref(job);
    } else {
        job->status = error_set(&job->error, ERR_IO,
                                "not begun: what led to it cannot be written to the log");
        actor_job_done(job);
    }
}

void job_begin(struct actor_job *job, uint64_t depends) {
    struct actor_system *system = job->actor->system;
    if (is_durable(system, depends)) {
        atomic_store(&job->phase, JOB_BEGUN);
        begin(job);
        return;
    }
    atomic_store(&job->phase, JOB_HELD);
    job->watch = (struct chain_watch){.position = depends, .reached = stop_holding};
    chain_watch_sync(system->config.log, &job->watch);
}

void job_abandon(struct actor_job *job) {
    actor_unref(job->actor);
    actor_job_unref(job);
}

static void run_here(void *argument) {
    struct actor_job *job = argument;
    job->run(job);
}

static enum status outcome(const struct actor_job *job, struct error *error) {
    if (job->status != OK) {
        *error = job->error;
    }
    return job->status;
}

enum status actor_run_job(struct actor *self, struct actor_job *job, struct error *error) {
    if (job->run != NULL && self->system->config.run_blocking == NULL) {
        turn_on_worker(self->turn, run_here, job);
        return outcome(job, error);
    }
    atomic_fetch_add_explicit(&job->references, 1, memory_order_relaxed);
    job->actor = actor_ref(self);
    struct message *effect = message_new((enum message_kind)EFFECT_JOB, slice_of(NULL, 0));
    effect->job = job;
    system_lock(self->system);
    job->waiter = turn_prepare_wait(self->turn);
    uint32_t leg = self->turn->leg;
    enum status status = turn_wait(self->turn, NULL, effect, 0, ERR_TIMEOUT, NULL, error);
    system_lock(self->system);
    job->waiter = NULL;
    // A wait that began has ended a leg, and the job was handed over with it, or abandoned.
    bool was_begun = self->turn->leg != leg;
    system_unlock(self->system);
    if (!was_begun) {
        job_abandon(job);
    } else if (status != OK) {
        uint8_t held = JOB_HELD;
        bool has_begun = !atomic_compare_exchange_strong(&job->phase, &held, JOB_CANCELLED);
        while (has_begun && job->cancel != NULL && atomic_load(&job->phase) == JOB_BEGINNING) {
            (void)sched_yield();  // `begin` returns at once
        }
        if (has_begun && job->cancel != NULL && atomic_load(&job->phase) == JOB_BEGUN) {
            job->cancel(job);
        }
    }
    return status == OK ? outcome(job, error) : status;
}

void actor_run_job_later(struct actor *self, struct actor_job *job) {
    struct actor_system *system = self->system;
    if (system->config.run_blocking != NULL) {
        submit(system, job);
    } else {
        job->run(job);
        actor_job_unref(job);
    }
}

// SPDX-License-Identifier: Apache-2.0
// Compiles once more what runs in the quick tier. A component that nobody compiled yet starts with
// code that was compiled in no time; while its actors work, a thread of low priority has the
// optimising compiler do it again, and instances that are made after that get the result. The
// semantics are the same, so no chain says anything of it; the log does.
#include <assert.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "actor/internal.h"
#include "base/log.h"

enum { OPTIMISER_NICE = 10 };

struct optimise_job {
    struct optimise_job *next;
    struct component *component;
    char *path;  // for the log
};

static void optimise(struct actor_system *system, const struct optimise_job *job) {
    struct error error = {0};
    uint64_t started_ns = env_monotonic_ns(env_system());
    enum status status =
        component_compile(job->component, system->config.compiler, WASM_TIER_OPTIMISED, &error);
    double seconds = (double)(env_monotonic_ns(env_system()) - started_ns) / 1e9;
    if (status == OK)
        log_line(LOG_INFO, "component %s: optimised code after %.1f s; new instances use it",
                 job->path, seconds);
    else if (status != ERR_STOPPING)
        log_line(LOG_WARNING, "component %s stays with quick code: %s", job->path, error.message);
}

static void job_free(struct optimise_job *job) {
    component_unref(job->component);
    free(job->path);
    free(job);
}

static void *optimiser_main(void *argument) {
    struct actor_system *system = argument;
    // Of this thread (so it is on Linux), and of the compilers that it starts.
    (void)setpriority(PRIO_PROCESS, 0, OPTIMISER_NICE);
    pthread_mutex_lock(&system->program_lock);
    while (!system->optimiser_ends) {
        struct optimise_job *job = system->optimise_jobs;
        if (job == NULL) {
            pthread_cond_wait(&system->optimiser_wake, &system->program_lock);
            continue;
        }
        system->optimise_jobs = job->next;
        pthread_mutex_unlock(&system->program_lock);
        optimise(system, job);
        job_free(job);
        pthread_mutex_lock(&system->program_lock);
    }
    pthread_mutex_unlock(&system->program_lock);
    return NULL;
}

void optimiser_submit(struct actor_system *system, struct component *component, const char *path) {
    if (system->config.is_single_threaded) {
        return;
    }
    struct optimise_job *job = xcalloc(1, sizeof *job);
    *job = (struct optimise_job){.component = component_ref(component), .path = xstrdup(path)};
    pthread_mutex_lock(&system->program_lock);
    if (!system->optimiser_runs && !system->optimiser_ends) {
        // Most nodes never need it: everything is in the cache.
        if (pthread_create(&system->optimiser, NULL, optimiser_main, system) != 0)
            fatal("cannot start the optimiser thread");
        system->optimiser_runs = true;
    }
    struct optimise_job **end = &system->optimise_jobs;
    while (*end != NULL)
        end = &(*end)->next;
    *end = job;
    pthread_cond_signal(&system->optimiser_wake);
    pthread_mutex_unlock(&system->program_lock);
}

void optimiser_stop(struct actor_system *system) {
    pthread_mutex_lock(&system->program_lock);
    bool runs = system->optimiser_runs;
    system->optimiser_runs = false;
    system->optimiser_ends = true;
    pthread_cond_signal(&system->optimiser_wake);
    pthread_mutex_unlock(&system->program_lock);
    if (runs)
        (void)pthread_join(system->optimiser, NULL);
    while (system->optimise_jobs != NULL) {
        struct optimise_job *job = system->optimise_jobs;
        system->optimise_jobs = job->next;
        job_free(job);
    }
}

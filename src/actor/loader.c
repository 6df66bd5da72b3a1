// SPDX-License-Identifier: Apache-2.0
// The loader: a few threads that load programs for actors that spawn, so that a compiler holds
// neither a worker nor, as long as another thread is free, somebody else's spawn.
//
// Jobs are grouped by what they load. One thread at a time works on a group: what its first job
// loaded the others find in the cache. After each job the group goes behind the other groups.
//
// A load that fetches something over a network may take as long as the server likes: another thread
// takes the place of its thread meanwhile, while there are other groups.
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "actor/internal.h"

// Jobs for the same manifest. In the map while it has jobs or a thread works on it.
struct load_group {
    struct load_group *next;  // in the queue of those nobody works on
    struct load_job *first, **end;
    struct buf key;
};

static void enqueue(struct loader *loader, struct load_group *group) {
    group->next = NULL;
    *loader->queue_end = group;
    loader->queue_end = &group->next;
    pthread_cond_signal(&loader->wake);
}

static struct load_group *dequeue(struct loader *loader) {
    struct load_group *group = loader->queue;
    if (group != NULL) {
        loader->queue = group->next;
        if (loader->queue == NULL) {
            loader->queue_end = &loader->queue;
        }
    }
    return group;
}

static struct load_job *take_job(struct load_group *group) {
    struct load_job *job = group->first;
    group->first = job->next;
    if (group->first == NULL) {
        group->end = &group->first;
    }
    return job;
}

static void group_end(struct loader *loader, struct load_group *group) {
    (void)map_remove(&loader->groups, buf_slice(&group->key));
    buf_release(&group->key);
    free(group);
}

// With the lock, which it gives up meanwhile.
static void run_job(struct actor_system *system, struct load_group *group) {
    struct loader *loader = &system->loader;
    struct load_job *job = take_job(group);
    bool is_ending = loader->is_ending;
    pthread_mutex_unlock(&loader->lock);
    // At the end nobody waits for a program any more, and a compiler may take long.
    if (is_ending) {
        error_set(&job->error, ERR_STOPPING, "the node is stopping");
    } else if (program_load(system, &job->request, &job->program, &job->error) != OK) {
        job->program = NULL;
    }
    job->done(job);
    pthread_mutex_lock(&loader->lock);
    if (group->first != NULL) {
        enqueue(loader, group);
    } else {
        group_end(loader, group);
    }
}

static void *loader_main(void *argument) {
    struct actor_system *system = argument;
    struct loader *loader = &system->loader;
    pthread_mutex_lock(&loader->lock);
    for (;;) {
        struct load_group *group = dequeue(loader);
        if (group != NULL) {
            run_job(system, group);
        } else if (loader->is_ending) {
            break;
        } else {
            pthread_cond_wait(&loader->wake, &loader->lock);
        }
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

// ---- in place of those that wait
// -----------------------------------------------------------------

// Ends when nobody waits whose place it could take, or there is nothing to do. At the end the
// others may be gone: then what is left is its own.
static void *spare_main(void *argument) {
    struct actor_system *system = argument;
    struct loader *loader = &system->loader;
    pthread_mutex_lock(&loader->lock);
    while ((loader->spares <= loader->waiting || loader->is_ending) && loader->queue != NULL) {
        run_job(system, dequeue(loader));
    }
    loader->spares--;
    pthread_cond_broadcast(&loader->wake);
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

// With the lock.
static void start_spare(struct actor_system *system) {
    struct loader *loader = &system->loader;
    pthread_t thread;
    bool is_wanted = loader->queue != NULL && loader->spares < loader->waiting &&
                     loader->spares < LOADER_SPARES_MOST;
    // Without one the jobs wait for the others, as they would have done.
    if (is_wanted && pthread_create(&thread, NULL, spare_main, system) == 0) {
        pthread_detach(thread);
        loader->spares++;
    }
}

void loader_wait_begins(void *context) {
    struct actor_system *system = context;
    pthread_mutex_lock(&system->loader.lock);
    system->loader.waiting++;
    start_spare(system);
    pthread_mutex_unlock(&system->loader.lock);
}

void loader_wait_ends(void *context) {
    struct actor_system *system = context;
    pthread_mutex_lock(&system->loader.lock);
    system->loader.waiting--;
    pthread_mutex_unlock(&system->loader.lock);
}

void loader_start(struct actor_system *system) {
    struct loader *loader = &system->loader;
    loader->queue_end = &loader->queue;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->wake, NULL);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    loader->thread_count = processors <= LOADER_THREADS_LEAST  ? LOADER_THREADS_LEAST
                           : processors >= LOADER_THREADS_MOST ? LOADER_THREADS_MOST
                                                               : (uint32_t)processors;
    if (system->config.is_single_threaded) {
        loader->thread_count = 0;
    }
    for (uint32_t i = 0; i < loader->thread_count; i++) {
        if (pthread_create(&loader->threads[i], NULL, loader_main, system) != 0) {
            fatal("cannot start the loader's threads");
        }
    }
}

void loader_stop(struct actor_system *system) {
    struct loader *loader = &system->loader;
    pthread_mutex_lock(&loader->lock);
    bool has_ended = loader->is_ending;
    loader->is_ending = true;
    pthread_cond_broadcast(&loader->wake);
    pthread_mutex_unlock(&loader->lock);
    for (uint32_t i = 0; !has_ended && i < loader->thread_count; i++) {
        pthread_join(loader->threads[i], NULL);
    }
    pthread_mutex_lock(&loader->lock);
    while (loader->spares > 0) {
        pthread_cond_wait(&loader->wake, &loader->lock);
    }
    pthread_mutex_unlock(&loader->lock);
}

void loader_release(struct actor_system *system) {
    struct loader *loader = &system->loader;
    assert(loader->groups.live_count == 0);
    map_release(&loader->groups);
    pthread_cond_destroy(&loader->wake);
    pthread_mutex_destroy(&loader->lock);
}

void loader_submit(struct actor_system *system, struct load_job *job) {
    struct loader *loader = &system->loader;
    if (system->config.is_single_threaded) {
        if (program_load(system, &job->request, &job->program, &job->error) != OK) {
            job->program = NULL;
        }
        job->done(job);
        return;
    }
    struct buf key = {0};
    job->request.is_on_loader = true;
    program_request_key(&job->request, &key);
    job->next = NULL;
    pthread_mutex_lock(&loader->lock);
    struct load_group *group = map_get(&loader->groups, buf_slice(&key));
    if (group == NULL) {
        group = xcalloc(1, sizeof *group);
        group->end = &group->first;
        group->key = key;
        map_add(&loader->groups, buf_slice(&key), group);
        enqueue(loader, group);
    } else {
        buf_release(&key);
    }
    *group->end = job;
    group->end = &job->next;
    start_spare(system);
    pthread_mutex_unlock(&loader->lock);
}

// SPDX-License-Identifier: Apache-2.0
// Making and freeing a scheduler, making a task runnable, and the deterministic mode, in which the
// caller's thread is the only worker and a seed decides the order.
#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "sched/internal.h"

#define STUCK_DEFAULT_NS ((uint64_t)20 * 1000 * 1000)

static uint32_t cpus_available(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) {
        return (uint32_t)CPU_COUNT(&set);
    }
    // More CPUs than the set has room for, or a kernel that does not say.
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online < WORKERS_MOST ? (uint32_t)online : 1;
}

static enum status check_config(struct sched_config *config, struct error *error) {
    if (config->env == NULL && !config->deterministic) {
        config->env = env_system();
    }
    if (config->env == NULL || config->env->seeded != config->deterministic) {
        return error_set(error, ERR_INVALID,
                         "a deterministic scheduler needs a seeded environment and others the"
                         " system's");
    }
    if (config->workers > WORKERS_MOST || config->extra_workers > WORKERS_MOST) {
        return error_set(error, ERR_INVALID,
                         "%u workers and %u extra workers were asked for; at most %u of each are"
                         " possible",
                         config->workers, config->extra_workers, WORKERS_MOST);
    }
    if (config->workers == 0) {
        config->workers = cpus_available();
    }
    if (config->deterministic) {
        config->workers = 1;
        config->extra_workers = 0;
    }
    if (config->stuck_ns == 0) {
        config->stuck_ns = STUCK_DEFAULT_NS;
    }
    return OK;
}

static void *aligned_zeroed(size_t size) {
    void *memory = NULL;
    if (posix_memalign(&memory, CACHE_LINE_BYTES, size) != 0) {
        fatal("out of memory allocating %zu bytes", size);
    }
    memset(memory, 0, size);
    return memory;
}

static void make_workers(struct sched *sched) {
    sched->worker_count = sched->config.workers;
    sched->slot_count = sched->worker_count + sched->config.extra_workers;
    sched->workers = aligned_zeroed(sched->slot_count * sizeof *sched->workers);
    sched->idle = xcalloc(sched->slot_count, sizeof(struct worker *));
    for (uint32_t i = 0; i < sched->slot_count; i++) {
        struct worker *worker = &sched->workers[i];
        worker->sched = sched;
        worker->index = i;
        worker->extra = i >= sched->worker_count;
        worker->random = i + 1;
        worker->seen_runs = xcalloc(sched->slot_count, sizeof(uint64_t));
        int failed = sem_init(&worker->wake, 0, 0);
        assert(failed == 0);
        (void)failed;
        queue_init(worker);
    }
}

static enum status start_threads(struct sched *sched, struct error *error) {
    for (uint32_t i = 0; i < sched->worker_count; i++) {
        enum status status = worker_start(&sched->workers[i], error);
        if (status != OK) {
            return status;
        }
    }
    int failed = pthread_create(&sched->monitor, NULL, monitor_main, sched);
    if (failed != 0) {
        return error_set_os(error, failed, "cannot start the monitor thread");
    }
    sched->monitor_started = true;
    (void)pthread_setname_np(sched->monitor, "monitor");
    return OK;
}

enum status sched_new(const struct sched_config *config, struct sched **out, struct error *error) {
    struct sched_config checked = *config;
    enum status status = check_config(&checked, error);
    if (status != OK) {
        (void)error_context(error, "scheduler");
        return status;
    }
    struct sched *sched = aligned_zeroed(sizeof *sched);
    sched->config = checked;
    sched->draw.random = checked.seed;
    make_workers(sched);
    int failed = pthread_mutex_init(&sched->idle_lock, NULL);
    assert(failed == 0);
    (void)failed;
    timer_heap_init(&sched->timers);
    status = stack_pool_init(&sched->stacks, checked.stack_limit, sched->slot_count, error);
    if (status == OK && !checked.deterministic) {
        status = start_threads(sched, error);
    }
    if (status != OK) {
        sched_free(sched);
        (void)error_context(error, "scheduler");
        return status;
    }
    *out = sched;
    return OK;
}

// The monitor first: it is who starts and joins extra workers.
static void stop_threads(struct sched *sched) {
    atomic_store_explicit(&sched->stopping, true, memory_order_seq_cst);
    if (sched->monitor_started) {
        pthread_mutex_lock(&sched->timers.lock);
        sched->timers.stop = true;
        pthread_cond_signal(&sched->timers.changed);
        pthread_mutex_unlock(&sched->timers.lock);
        pthread_join(sched->monitor, NULL);
    }
    for (uint32_t i = 0; i < sched->slot_count; i++) {
        // Who is not asleep now sees `stopping` after entering `idle`, under the same lock.
        worker_wake_this(&sched->workers[i]);
    }
    for (uint32_t i = 0; i < sched->slot_count; i++) {
        if (sched->workers[i].started) {
            pthread_join(sched->workers[i].thread, NULL);
        }
    }
}

void sched_free(struct sched *sched) {
    if (sched == NULL) {
        return;
    }
    assert(worker_current() == NULL || worker_current()->sched != sched);
    stop_threads(sched);
    uint32_t left = stack_pool_release(sched);
    if (left != 0) {
        log_line(LOG_WARNING, "scheduler stopped with %u fibers that were never freed", left);
    }
    timer_heap_release(&sched->timers);
    for (uint32_t i = 0; i < sched->slot_count; i++) {
        queue_release(&sched->workers[i]);
        sem_destroy(&sched->workers[i].wake);
        free(sched->workers[i].seen_runs);
    }
    pthread_mutex_destroy(&sched->idle_lock);
    free(sched->draw.tasks);
    free(sched->idle);
    free(sched->workers);
    free(sched);
}

uint32_t sched_stack_limit(const struct sched *sched) {
    return sched->stacks.limit;
}

uint32_t sched_slot_count(const struct sched *sched) {
    return sched->slot_count;
}

uint32_t sched_slot(const struct sched *sched) {
    const struct worker *worker = worker_current();
    assert(worker != NULL ? worker->sched == sched : sched->config.deterministic);
    return worker != NULL ? worker->index : 0;
}

uint32_t sched_worker_count(const struct sched *sched) {
    return sched->worker_count;
}

// ---- tasks --------------------------------------------------------------------------------------

void sched_task_init(struct sched_task *task, struct sched *sched, sched_run_fn run) {
    assert(run != NULL);
    task->run = run;
    task->sched = sched;
    task->next = NULL;
    atomic_init(&task->state, 0);
}

static void draw_add(struct draw *draw, struct sched_task *task) {
    if (draw->count == draw->capacity) {
        if (draw->capacity > UINT32_MAX / 4) {
            fatal("more than %u runnable tasks", draw->capacity);
        }
        draw->capacity = draw->capacity == 0 ? 64 : draw->capacity * 2;
        draw->tasks = xrealloc(draw->tasks, draw->capacity * sizeof(struct sched_task *));
    }
    draw->tasks[draw->count++] = task;
}

void sched_wake(struct sched_task *task) {
    // Read first: once the task is queued it may run and be freed.
    struct sched *sched = task->sched;
    // The memory order is argued in worker.c: a release also when the bit is set already, so that
    // the run that follows sees what this thread wrote; an acquire for who comes from idle.
    uint32_t before = atomic_fetch_or_explicit(&task->state, TASK_RUNNABLE, memory_order_acq_rel);
    if (before != 0) {
        return;
    }
    if (sched->config.deterministic) {
        draw_add(&sched->draw, task);
    } else {
        worker_enqueue(sched, task);
    }
}

bool sched_task_idle(const struct sched_task *task) {
    // Acquire: the partner is the release with which a worker gives the task back.
    return atomic_load_explicit(&task->state, memory_order_acquire) == 0;
}

// ---- deterministic mode -------------------------------------------------------------------------

// SplitMix64, reduced to [0, bound) by multiplication; the tiny bias does not matter here.
static uint32_t draw_number(struct draw *draw, uint32_t bound) {
    draw->random += 0x9e3779b97f4a7c15U;
    uint64_t z = draw->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    z ^= z >> 31;
    return (uint32_t)(((z >> 32) * bound) >> 32);
}

static void fire_next(struct sched *sched, uint64_t now_ns, uint64_t due_ns) {
    if (due_ns > now_ns) {
        env_advance(sched->config.env, due_ns - now_ns);
    }
    pthread_mutex_lock(&sched->timers.lock);
    timer_fire_first(&sched->timers);
    pthread_mutex_unlock(&sched->timers.lock);
}

bool sched_step(struct sched *sched) {
    assert(sched->config.deterministic);
    struct draw *draw = &sched->draw;
    uint64_t now_ns = env_monotonic_ns(sched->config.env);
    uint64_t due_ns = timer_next_due(&sched->timers);
    bool timer_set = sched->timers.count > 0;
    if (draw->count == 0) {
        if (timer_set) {
            fire_next(sched, now_ns, due_ns);
        }
        return timer_set;
    }
    bool timer_due = timer_set && due_ns <= now_ns;
    uint32_t number = draw_number(draw, draw->count + (timer_due ? 1 : 0));
    if (number == draw->count) {
        fire_next(sched, now_ns, due_ns);
        return true;
    }
    struct sched_task *task = draw->tasks[number];
    draw->tasks[number] = draw->tasks[--draw->count];
    if (worker_run_once(task)) {
        draw_add(draw, task);
    }
    return true;
}

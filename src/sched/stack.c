// SPDX-License-Identifier: Apache-2.0
// The stacks of fibers. One mapping each:
//
//   low address                                                        high address
//   | guard, 64 KiB, no access | stack, grows down  ...  <- top | struct sched_fiber |
//
// The guard is as large as the room that a call-out of a guest must still find (64 KiB), so no
// frame can step over it. The fiber's own record lies in the page where its first frames lie: a
// pooled fiber touches one page. Stacks start at different offsets in that page, since equal ones
// would all compete for the same few cache lines.
//
// Pages come when first touched (MAP_NORESERVE). A free stack goes to the worker that freed it,
// which keeps a few; the others go to a common list. When that holds many, the memory of further
// ones is given back to the kernel but for what lies near the top.
//
// A mapping with a guard counts twice against vm.max_map_count, and everything else in the process
// needs mappings too: so half of them, two each, is the most stacks that may exist.
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "sched/fiber.h"

enum {
    GUARD_BYTES = 64 * 1024,
    PAGE_BYTES = 4096,
    KEPT_BYTES = 16 * 1024,  // at the top, not given back
    COLOURS = 16,            // different offsets of the record
    COLOUR_BYTES = 128,
    CACHE_MOST = 16,             // free stacks of a class that a worker keeps
    POOLED_UNTRIMMED_MOST = 64,  // free stacks that keep their memory, in the common lists
    MAPS_DEFAULT = 65530,        // the kernel's default, when /proc cannot be read
};
#define STACK_LEAST_BYTES ((uint64_t)256 * 1024)

_Static_assert(sizeof(struct sched_fiber) + (COLOURS - 1) * COLOUR_BYTES <= PAGE_BYTES,
               "the fiber's record fits the page above the stack, whatever its colour");

static uint64_t class_bytes(uint32_t class) {
    return STACK_LEAST_BYTES << class;
}

static uint64_t read_maps_most(void) {
    uint64_t most = MAPS_DEFAULT;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file != NULL) {
        char line[32];
        if (fgets(line, sizeof line, file) != NULL) {
            unsigned long long value = strtoull(line, NULL, 10);
            most = value >= 1024 ? value : MAPS_DEFAULT;
        }
        fclose(file);
    }
    return most;
}

enum status stack_pool_init(struct stack_pool *pool, uint32_t limit, uint32_t slot_count,
                            struct error *error) {
    int failed = pthread_mutex_init(&pool->lock, NULL);
    if (failed != 0) {
        return error_set_os(error, failed, "cannot make the lock of the stacks");
    }
    pool->limit = limit;
    if (limit == 0) {
        pool->maps_most = read_maps_most();
        uint64_t stacks = pool->maps_most / 2 / 2;
        pool->limit = stacks < UINT32_MAX ? (uint32_t)stacks : UINT32_MAX;
    }
    // What idles in the workers' own lists must stay a small part of the whole.
    uint32_t share = pool->limit / (4 * slot_count);
    pool->cache_most = share < CACHE_MOST ? share : CACHE_MOST;
    return OK;
}

static void unmap(struct stack_pool *pool, struct sched_fiber *fiber) {
    uint8_t *low = fiber->stack.low;
    uint8_t *guard_low = fiber->stack.guard_low;
    uint8_t *high = fiber->mapping_high;
    checks_forget(&fiber->checks, low, (size_t)(high - low));
    int failed = munmap(guard_low, (size_t)(high - guard_low));
    assert(failed == 0);
    (void)failed;
    atomic_fetch_sub_explicit(&pool->mapped, 1, memory_order_relaxed);
}

static struct sched_fiber *list_pop(struct stack_list *list) {
    struct sched_fiber *fiber = list->first;
    if (fiber != NULL) {
        list->first = fiber->next;
        list->count--;
    }
    return fiber;
}

static void list_push(struct stack_list *list, struct sched_fiber *fiber) {
    fiber->next = list->first;
    list->first = fiber;
    list->count++;
}

static enum status limit_error(const struct stack_pool *pool, struct error *error) {
    if (pool->maps_most == 0) {
        return error_set(error, ERR_LIMIT, "all %u fiber stacks are in use (stack_limit)",
                         pool->limit);
    }
    return error_set(error, ERR_LIMIT,
                     "all %u fiber stacks are in use, which is what vm.max_map_count = %llu allows;"
                     " raise it with: sysctl vm.max_map_count=%llu",
                     pool->limit, (unsigned long long)pool->maps_most,
                     (unsigned long long)pool->maps_most * 4);
}

static enum status map_error(struct stack_pool *pool, uint64_t bytes, struct error *error) {
    int reason = errno;
    atomic_fetch_sub_explicit(&pool->mapped, 1, memory_order_relaxed);
    return error_set(error, ERR_LIMIT,
                     "cannot map a fiber stack of %llu bytes: %s (see vm.max_map_count and the"
                     " limit on address space)",
                     (unsigned long long)bytes, strerror(reason));
}

static enum status map_stack(struct sched *sched, uint32_t class, struct sched_fiber **out,
                             struct error *error) {
    struct stack_pool *pool = &sched->stacks;
    size_t bytes = (size_t)(GUARD_BYTES + class_bytes(class) + PAGE_BYTES);
    uint8_t *guard = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (guard == MAP_FAILED) {
        return map_error(pool, bytes, error);
    }
    if (mprotect(guard, GUARD_BYTES, PROT_NONE) != 0) {
        enum status status = map_error(pool, bytes, error);
        munmap(guard, bytes);
        return status;
    }
    // Huge pages would make the first touch of a large stack cost 2 MiB. A kernel without them
    // refuses, which is as good.
    (void)madvise(guard + GUARD_BYTES, bytes - GUARD_BYTES, MADV_NOHUGEPAGE);
    uint32_t serial = atomic_fetch_add_explicit(&pool->serial, 1, memory_order_relaxed);
    uint8_t *record =
        guard + bytes - sizeof(struct sched_fiber) - (size_t)(serial % COLOURS) * COLOUR_BYTES;
    struct sched_fiber *fiber = (struct sched_fiber *)(void *)record;
    *fiber = (struct sched_fiber){
        .class = class,
        .sched = sched,
        .stack = {.low = guard + GUARD_BYTES, .guard_low = guard, .high = record},
        .mapping_high = guard + bytes,
    };
    *out = fiber;
    return OK;
}

// Counts one more stack, or unmaps a free one of another class to make room for it.
static bool reserve_one(struct stack_pool *pool) {
    // Relaxed: only the number matters, nothing is published by it.
    if (atomic_fetch_add_explicit(&pool->mapped, 1, memory_order_relaxed) < pool->limit) {
        return true;
    }
    struct sched_fiber *victim = NULL;
    pthread_mutex_lock(&pool->lock);
    for (uint32_t class = 0; class < STACK_CLASSES && victim == NULL; class ++) {
        victim = list_pop(&pool->free[class]);
    }
    pool->free_count -= victim != NULL;
    pthread_mutex_unlock(&pool->lock);
    if (victim != NULL) {
        unmap(pool, victim);
        return true;
    }
    atomic_fetch_sub_explicit(&pool->mapped, 1, memory_order_relaxed);
    return false;
}

static struct sched_fiber *take_common(struct stack_pool *pool, uint32_t class) {
    pthread_mutex_lock(&pool->lock);
    struct sched_fiber *fiber = list_pop(&pool->free[class]);
    pool->free_count -= fiber != NULL;
    pthread_mutex_unlock(&pool->lock);
    return fiber;
}

static struct worker *worker_of(const struct sched *sched) {
    struct worker *worker = worker_current();
    return worker != NULL && worker->sched == sched ? worker : NULL;
}

enum status stack_take(struct sched *sched, uint64_t stack_bytes, struct sched_fiber **out,
                       struct error *error) {
    struct stack_pool *pool = &sched->stacks;
    uint32_t class = 0;
    while (class < STACK_CLASSES && class_bytes(class) < stack_bytes) {
        class ++;
    }
    if (class == STACK_CLASSES) {
        return error_set(error, ERR_LIMIT,
                         "a fiber stack of %llu bytes was asked for; at most %llu are possible",
                         (unsigned long long)stack_bytes,
                         (unsigned long long)class_bytes(STACK_CLASSES - 1));
    }
    struct worker *worker = worker_of(sched);
    struct sched_fiber *fiber = worker == NULL ? NULL : list_pop(&worker->stacks[class]);
    if (fiber == NULL) {
        fiber = take_common(pool, class);
    }
    if (fiber != NULL) {
        fiber->trimmed = false;
        *out = fiber;
        return OK;
    }
    if (!reserve_one(pool)) {
        return limit_error(pool, error);
    }
    return map_stack(sched, class, out, error);
}

static void give_common(struct stack_pool *pool, struct sched_fiber *fiber) {
    pthread_mutex_lock(&pool->lock);
    bool many = pool->free_count >= POOLED_UNTRIMMED_MOST;
    pthread_mutex_unlock(&pool->lock);
    if (many && !fiber->trimmed) {
        // Not under the lock: it is a system call.
        uint8_t *low = fiber->stack.low;
        uint8_t *kept = fiber->mapping_high - KEPT_BYTES;
        (void)madvise(low, (size_t)(kept - low), MADV_DONTNEED);
        fiber->trimmed = true;
    }
    pthread_mutex_lock(&pool->lock);
    list_push(&pool->free[fiber->class], fiber);
    pool->free_count++;
    pthread_mutex_unlock(&pool->lock);
}

void stack_give(struct sched_fiber *fiber) {
    struct sched *sched = fiber->sched;
    struct stack_pool *pool = &sched->stacks;
    struct worker *worker = worker_of(sched);
    if (worker == NULL || pool->cache_most == 0) {
        give_common(pool, fiber);
        return;
    }
    struct stack_list *list = &worker->stacks[fiber->class];
    list_push(list, fiber);
    if (list->count > pool->cache_most) {
        // Half of them: so the next ones, freed or taken, need no lock.
        for (uint32_t left = (list->count + 1) / 2; left > 0; left--) {
            give_common(pool, list_pop(list));
        }
    }
}

static void unmap_list(struct stack_pool *pool, struct stack_list *list) {
    struct sched_fiber *fiber;
    while ((fiber = list_pop(list)) != NULL) {
        unmap(pool, fiber);
    }
}

uint32_t stack_pool_release(struct sched *sched) {
    struct stack_pool *pool = &sched->stacks;
    for (uint32_t class = 0; class < STACK_CLASSES; class ++) {
        unmap_list(pool, &pool->free[class]);
        for (uint32_t i = 0; i < sched->slot_count; i++) {
            unmap_list(pool, &sched->workers[i].stacks[class]);
        }
    }
    pthread_mutex_destroy(&pool->lock);
    return atomic_load_explicit(&pool->mapped, memory_order_relaxed);
}

// SPDX-License-Identifier: Apache-2.0
// A worker's run queue, first in first out.
//
//   ring  a fixed ring: the owner appends without an atomic read-modify-write; the owner and
//         thieves take the oldest by moving `head` with a compare-and-swap
//   list  behind it, under a lock: what other threads bring, and what the ring has no room for
//
// The order of arrival is kept by one rule: while the list holds something, the owner appends to
// the list too; when the ring is empty it is filled from the list. So neither a busy owner nor a
// busy outside starves the other.
//
// The ring's memory orders. A taker reads head, tail and the slot, then moves head. The owner's
// store of tail is a release and the taker's load an acquire: who sees the tail sees the slot. The
// owner reuses a slot only after it has seen, with acquire, a head beyond it (the takers' swap is a
// release), so a taker that read a slot too late fails its swap. 64-bit positions never wrap.
#include <assert.h>

#include "base/bytes.h"
#include "sched/internal.h"

void queue_init(struct worker *worker) {
    int failed = pthread_mutex_init(&worker->list_lock, NULL);
    assert(failed == 0);
    (void)failed;
}

void queue_release(struct worker *worker) {
    pthread_mutex_destroy(&worker->list_lock);
}

uint64_t queue_ring_length(const struct worker *worker) {
    uint64_t head = atomic_load_explicit(&worker->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&worker->tail, memory_order_relaxed);
    return tail > head ? tail - head : 0;  // the two loads are not one moment
}

uint64_t queue_length(const struct worker *worker) {
    // Sequentially consistent: the partner is the count's store in list_append, see worker.c.
    return queue_ring_length(worker) +
           atomic_load_explicit(&worker->list_count, memory_order_seq_cst);
}

static bool ring_put(struct worker *worker, struct sched_task *task) {
    uint64_t tail = atomic_load_explicit(&worker->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&worker->head, memory_order_acquire);
    if (tail - head >= RING_SLOTS) {
        return false;
    }
    atomic_store_explicit(&worker->ring[tail % RING_SLOTS], task, memory_order_relaxed);
    atomic_store_explicit(&worker->tail, tail + 1, memory_order_release);
    return true;
}

// Any thread. Leaves `least - 1` tasks where they are.
static struct sched_task *ring_take(struct worker *worker, uint64_t least) {
    uint64_t head = atomic_load_explicit(&worker->head, memory_order_acquire);
    for (;;) {
        uint64_t tail = atomic_load_explicit(&worker->tail, memory_order_acquire);
        if (tail < head + least) {
            return NULL;
        }
        struct sched_task *task =
            atomic_load_explicit(&worker->ring[head % RING_SLOTS], memory_order_relaxed);
        if (atomic_compare_exchange_weak_explicit(&worker->head, &head, head + 1,
                                                  memory_order_acq_rel, memory_order_acquire)) {
            return task;
        }
    }
}

static void list_append(struct worker *worker, struct sched_task *task) {
    task->next = NULL;
    pthread_mutex_lock(&worker->list_lock);
    if (worker->list_first == NULL) {
        worker->list_first = task;
    } else {
        worker->list_last->next = task;
    }
    worker->list_last = task;
    uint32_t count = atomic_load_explicit(&worker->list_count, memory_order_relaxed);
    // Sequentially consistent: half of the agreement with a worker falling asleep, see worker.c.
    atomic_store_explicit(&worker->list_count, count + 1, memory_order_seq_cst);
    pthread_mutex_unlock(&worker->list_lock);
}

// Moves tasks from the victim's list to the ring of `taker`, which is empty, and returns the first.
static struct sched_task *list_take(struct worker *victim, struct worker *taker, uint32_t most) {
    if (atomic_load_explicit(&victim->list_count, memory_order_relaxed) == 0) {
        return NULL;
    }
    pthread_mutex_lock(&victim->list_lock);
    uint32_t count = atomic_load_explicit(&victim->list_count, memory_order_relaxed);
    uint32_t part = taker == victim ? count : count - count / 2;
    part = part < most ? part : most;
    struct sched_task *first = NULL;
    for (uint32_t i = 0; i < part; i++) {
        struct sched_task *task = victim->list_first;
        victim->list_first = task->next;
        if (first == NULL) {
            first = task;
        } else {
            bool put = ring_put(taker, task);
            assert(put);
            (void)put;
        }
    }
    atomic_store_explicit(&victim->list_count, count - part, memory_order_seq_cst);
    pthread_mutex_unlock(&victim->list_lock);
    return first;
}

uint64_t queue_push(struct worker *worker, struct sched_task *task) {
    // Relaxed: a foreign task that this load misses only comes to stand behind this one.
    if (atomic_load_explicit(&worker->list_count, memory_order_relaxed) != 0 ||
        !ring_put(worker, task)) {
        list_append(worker, task);
        return queue_length(worker);
    }
    return queue_ring_length(worker);
}

struct sched_task *queue_take(struct worker *worker) {
    struct sched_task *task = ring_take(worker, 1);
    return task != NULL ? task : list_take(worker, worker, RING_SLOTS);
}

void queue_push_foreign(struct worker *worker, struct sched_task *task) {
    list_append(worker, task);
}

struct sched_task *queue_steal(struct worker *thief, struct worker *victim, bool single) {
    assert(thief != victim);
    uint64_t length = queue_ring_length(victim);
    uint64_t part = length - length / 2;
    part = part < STEAL_MOST ? part : STEAL_MOST;
    struct sched_task *first = part == 0 ? NULL : ring_take(victim, single ? 1 : 2);
    if (first == NULL) {
        return list_take(victim, thief, STEAL_MOST);
    }
    for (uint64_t i = 1; i < part; i++) {
        struct sched_task *task = ring_take(victim, 2);
        if (task == NULL) {
            break;
        }
        bool put = ring_put(thief, task);
        assert(put);
        (void)put;
    }
    return first;
}

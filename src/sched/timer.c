// SPDX-License-Identifier: Apache-2.0
// Timers: one binary heap under one lock, ordered by due time and then by the order of arming. The
// monitor thread fires them (monitor.c); in the deterministic mode sched_step does.
//
// The heap holds borrowed pointers; a timer knows its own place (heap_index, from 1), so that
// moving and cancelling need no search. While `fn` runs, the lock is free and `firing` names the
// timer: a cancel on another thread waits for its end, so that the timer can be freed afterwards.
#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "sched/internal.h"

void timer_heap_init(struct timer_heap *heap) {
    pthread_condattr_t attributes;
    int failed = pthread_condattr_init(&attributes);
    failed |= pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    failed |= pthread_cond_init(&heap->changed, &attributes);
    failed |= pthread_cond_init(&heap->fired, NULL);
    failed |= pthread_mutex_init(&heap->lock, NULL);
    assert(failed == 0);
    (void)failed;
    pthread_condattr_destroy(&attributes);
}

void timer_heap_release(struct timer_heap *heap) {
    assert(heap->firing == NULL && heap->cancel_waiters == 0);
    for (uint32_t i = 0; i < heap->count; i++) {
        heap->entries[i]->heap_index = 0;
    }
    free(heap->entries);
    pthread_cond_destroy(&heap->changed);
    pthread_cond_destroy(&heap->fired);
    pthread_mutex_destroy(&heap->lock);
}

static bool before(const struct sched_timer *a, const struct sched_timer *b) {
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void place(struct timer_heap *heap, uint32_t at, struct sched_timer *timer) {
    heap->entries[at] = timer;
    timer->heap_index = at + 1;
}

// Moves `timer`, which belongs at or around the free place `at`, to where the order wants it.
static void settle(struct timer_heap *heap, uint32_t at, struct sched_timer *timer) {
    while (at > 0 && before(timer, heap->entries[(at - 1) / 2])) {
        place(heap, at, heap->entries[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < heap->count && before(heap->entries[child + 1], heap->entries[child])) {
            child++;
        }
        if (child >= heap->count || !before(heap->entries[child], timer)) {
            break;
        }
        place(heap, at, heap->entries[child]);
        at = child;
    }
    place(heap, at, timer);
}

static void take_out(struct timer_heap *heap, struct sched_timer *timer) {
    uint32_t at = timer->heap_index - 1;
    assert(at < heap->count && heap->entries[at] == timer);
    timer->heap_index = 0;
    struct sched_timer *last = heap->entries[--heap->count];
    if (last != timer) {
        settle(heap, at, last);
    }
}

uint64_t timer_next_due(const struct timer_heap *heap) {
    return heap->count == 0 ? UINT64_MAX : heap->entries[0]->due_ns;
}

void timer_fire_first(struct timer_heap *heap) {
    assert(heap->count > 0 && heap->firing == NULL);
    struct sched_timer *timer = heap->entries[0];
    sched_timer_fn fn = timer->fn;
    take_out(heap, timer);
    heap->firing = timer;
    heap->firing_thread = pthread_self();
    pthread_mutex_unlock(&heap->lock);
    fn(timer);  // may free the timer
    pthread_mutex_lock(&heap->lock);
    heap->firing = NULL;
    if (heap->cancel_waiters != 0) {
        pthread_cond_broadcast(&heap->fired);
    }
}

void sched_timer_arm(struct sched *sched, struct sched_timer *timer, uint64_t due_ns,
                     sched_timer_fn fn) {
    assert(fn != NULL);
    struct timer_heap *heap = &sched->timers;
    pthread_mutex_lock(&heap->lock);
    if (timer->heap_index != 0) {
        take_out(heap, timer);
    }
    timer->fn = fn;
    timer->due_ns = due_ns;
    timer->order = heap->next_order++;
    if (heap->count == heap->capacity) {
        if (heap->capacity > UINT32_MAX / 4) {
            fatal("more than %u timers armed", heap->capacity);
        }
        heap->capacity = heap->capacity == 0 ? 64 : heap->capacity * 2;
        heap->entries = xrealloc(heap->entries, heap->capacity * sizeof(struct sched_timer *));
    }
    settle(heap, heap->count++, timer);
    if (due_ns < heap->wait_until_ns) {
        heap->wait_until_ns = due_ns;  // one signal is enough for several
        pthread_cond_signal(&heap->changed);
    }
    pthread_mutex_unlock(&heap->lock);
}

bool sched_timer_cancel(struct sched *sched, struct sched_timer *timer) {
    struct timer_heap *heap = &sched->timers;
    pthread_mutex_lock(&heap->lock);
    bool was_armed = timer->heap_index != 0;
    if (was_armed) {
        take_out(heap, timer);
    }
    while (heap->firing == timer && !pthread_equal(heap->firing_thread, pthread_self())) {
        heap->cancel_waiters++;
        pthread_cond_wait(&heap->fired, &heap->lock);
        heap->cancel_waiters--;
        if (timer->heap_index != 0) {  // its `fn` armed it again
            take_out(heap, timer);
            was_armed = true;
        }
    }
    pthread_mutex_unlock(&heap->lock);
    return was_armed;
}

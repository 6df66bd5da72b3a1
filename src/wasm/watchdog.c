// SPDX-License-Identifier: Apache-2.0
// The watchdog: one thread that reads the CPU clocks of the threads that run guest code, charges
// the time to the contexts bound to them, and signals a thread whose context is over its limit.
//
// Binding a context must not cost a system call, so time is sampled: between two samples that find
// the same binding the charge is exact; a sample that finds another binding than the one before
// charges it half of the interval (its share is unknown, and half is right on average) and never
// interrupts. So a limit is kept to within about two ticks, and never hits an innocent context.
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "wasm/internal.h"

static const long TICK_NS = 2000000;        // while a limited context is bound
static const long IDLE_TICK_NS = 20000000;  // after IDLE_AFTER ticks without one
enum { IDLE_AFTER = 50 };

// `lock` guards everything here, and that the threads in the list exist.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct wasm_thread *threads;
static unsigned users;
static bool stopping;
static pthread_t watchdog;

// ThreadSanitizer holds back ordinary signals until the thread calls it, which an endless loop of
// guest code never does; the signals of faults it lets through at once.
int wasm_interrupt_signal(void) {
    return HAVE_TSAN ? SIGTRAP : SIGRTMIN + 3;
}

void wasm_watchdog_add(struct wasm_thread *thread) {
    pthread_mutex_lock(&lock);
    thread->next = threads;
    threads = thread;
    pthread_mutex_unlock(&lock);
}

void wasm_watchdog_remove(struct wasm_thread *thread) {
    pthread_mutex_lock(&lock);
    struct wasm_thread **link = &threads;
    while (*link != thread) {
        assert(*link != NULL);
        link = &(*link)->next;
    }
    *link = thread->next;
    pthread_mutex_unlock(&lock);
}

static uint64_t cpu_ns(const struct wasm_thread *thread) {
    struct timespec time;
    if (clock_gettime(thread->cpu_clock, &time) != 0)
        return 0;
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// True if a limited context is bound.
static bool sample(struct wasm_thread *thread) {
    // Acquire: pairs with the release in wasm_context_bind, so `remaining_ns` is not older.
    uint64_t binding = atomic_load_explicit(&thread->binding, memory_order_acquire);
    uint64_t left = atomic_load_explicit(&thread->remaining_ns, memory_order_relaxed);
    if (left == 0) {
        thread->seen = false;
        return false;
    }
    uint64_t now = cpu_ns(thread);
    bool same = thread->seen && thread->seen_binding == binding;
    uint64_t passed = thread->seen && now > thread->seen_cpu_ns ? now - thread->seen_cpu_ns : 0;
    uint64_t charged = same ? atomic_load_explicit(&thread->charged_ns, memory_order_relaxed) : 0;
    charged += same ? passed : passed / 2;
    atomic_store_explicit(&thread->charged_ns, charged, memory_order_relaxed);
    // Release: pairs with the acquire in wasm_context_unbind.
    atomic_store_explicit(&thread->charged_binding, binding, memory_order_release);
    thread->seen = true;
    thread->seen_binding = binding;
    thread->seen_cpu_ns = now;
    if (same && charged >= left) {
        atomic_store(&thread->ticket, binding);
        (void)pthread_kill((pthread_t)thread->thread, wasm_interrupt_signal());
    }
    return true;
}

void wasm_context_interrupt(const struct wasm_context *context) {
    pthread_mutex_lock(&lock);
    for (struct wasm_thread *thread = threads; thread != NULL; thread = thread->next) {
        // The binding first: if another context is bound meanwhile, the ticket is out of date.
        uint64_t binding = atomic_load(&thread->binding);
        if (atomic_load(&thread->context) == context) {
            atomic_store(&thread->ticket, binding);
            (void)pthread_kill((pthread_t)thread->thread, wasm_interrupt_signal());
        }
    }
    pthread_mutex_unlock(&lock);
}

static void *run(void *unused) {
    (void)unused;
    unsigned idle_ticks = 0;
    pthread_mutex_lock(&lock);
    while (!stopping) {
        pthread_mutex_unlock(&lock);
        (void)wasm_blocks_clear();
        pthread_mutex_lock(&lock);
        if (stopping)
            break;
        bool any = false;
        for (struct wasm_thread *thread = threads; thread != NULL; thread = thread->next)
            any |= sample(thread);
        idle_ticks = any ? 0 : idle_ticks + 1;
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += idle_ticks > IDLE_AFTER ? IDLE_TICK_NS : TICK_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        (void)pthread_cond_timedwait(&changed, &lock, &until);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

void wasm_watchdog_start(void) {
    pthread_mutex_lock(&lock);
    while (stopping)
        pthread_cond_wait(&changed, &lock);
    if (users++ == 0) {
        sigset_t all, old;
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &old);
        if (pthread_create(&watchdog, NULL, run, NULL) != 0)
            fatal("cannot start the watchdog thread");
        wasm_blocks_set_clearer(true);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    pthread_mutex_unlock(&lock);
}

void wasm_watchdog_stop(void) {
    pthread_mutex_lock(&lock);
    assert(users > 0);
    bool last = --users == 0;
    pthread_t thread = watchdog;
    if (last) {
        stopping = true;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    if (!last)
        return;
    (void)pthread_join(thread, NULL);
    wasm_blocks_set_clearer(false);
    pthread_mutex_lock(&lock);
    stopping = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

// SPDX-License-Identifier: Apache-2.0
// Entering and leaving fibers, over the two assembly routines of Boost.Context: 4 ns a switch, no
// system call. A fiber runs a loop around its function, so that a finished one can run another
// function without being made anew; this is what makes a pooled fiber cheap.
//
// A fiber may continue on another thread than it parked on. Nothing here keeps a thread-local
// address over a switch, and no code that runs on fibers may: read such variables through a
// function that is not inlined.
#include "sched/fiber.h"

#include <assert.h>

#if defined(__x86_64__)
#include <xmmintrin.h>

// The switch saves and loads the control register of floating point, which also holds the sticky
// exception flags. Loading the value it has already is free, loading another takes some 50 ns here,
// each way. The flags differ as soon as one side has rounded a number, and nobody reads them: so
// each side leaves with none set, and mostly there is none to clear.
static inline void clear_float_flags(void) {
    unsigned control = _mm_getcsr();
    if ((control & _MM_EXCEPT_MASK) != 0) {
        _mm_setcsr(control & ~(unsigned)_MM_EXCEPT_MASK);
    }
}
#else
// Elsewhere the switch does not save such flags.
static inline void clear_float_flags(void) {
}
#endif

// The C symbols of libboost_context (1.74 to 1.83 alike), which come without a C header.
struct transfer {
    void *context;  // where the side that jumped can be continued
    void *data;
};
extern struct transfer jump_fcontext(void *const to, void *data);
extern void *make_fcontext(void *top, size_t size, void (*entry)(struct transfer));

static struct transfer leave(struct sched_fiber *fiber, enum fiber_state state) {
    fiber->state = state;
    clear_float_flags();
    checks_leave(&fiber->checks);
    struct transfer from = jump_fcontext(fiber->caller, NULL);
    checks_entered(&fiber->checks);
    return from;
}

static void fiber_entry(struct transfer from) {
    struct sched_fiber *fiber = from.data;
    checks_entered(&fiber->checks);
    for (;;) {
        fiber->caller = from.context;
        fiber->fn(fiber->argument);
        from = leave(fiber, FIBER_FINISHED);
    }
}

enum status sched_fiber_new(struct sched *sched, uint64_t stack_bytes, sched_fiber_fn fn,
                            void *argument, struct sched_fiber **out, struct error *error) {
    assert(fn != NULL);
    struct sched_fiber *fiber = NULL;
    enum status status = stack_take(sched, stack_bytes, &fiber, error);
    if (status != OK) {
        return status;
    }
    assert(fiber->state == FIBER_POOLED);
    if (fiber->context == NULL) {
        size_t size = (size_t)(fiber->stack.high - fiber->stack.low);
        fiber->context = make_fcontext(fiber->stack.high, size, fiber_entry);
        checks_create(&fiber->checks);
    }
    fiber->fn = fn;
    fiber->argument = argument;
    fiber->state = FIBER_READY;
    *out = fiber;
    return OK;
}

struct sched_stack sched_fiber_stack(const struct sched_fiber *fiber) {
    return fiber->stack;
}

bool sched_fiber_resume(struct sched_fiber *fiber) {
    assert(fiber->state == FIBER_READY || fiber->state == FIBER_PARKED);
    fiber->state = FIBER_RUNNING;
    clear_float_flags();
    void *caller_fake = NULL;
    checks_enter(&fiber->checks, fiber->stack.low, (size_t)(fiber->stack.high - fiber->stack.low),
                 &caller_fake);
    struct transfer from = jump_fcontext(fiber->context, fiber);
    checks_left(caller_fake);
    fiber->context = from.context;
    return fiber->state == FIBER_FINISHED;
}

void sched_fiber_renew(struct sched_fiber *fiber, sched_fiber_fn fn, void *argument) {
    assert(fiber->state == FIBER_FINISHED && fn != NULL);
    fiber->fn = fn;
    fiber->argument = argument;
    fiber->state = FIBER_READY;
}

void sched_fiber_park(struct sched_fiber *fiber) {
    assert(fiber->state == FIBER_RUNNING);
    fiber->caller = leave(fiber, FIBER_PARKED).context;
}

void sched_fiber_free(struct sched_fiber *fiber) {
    assert(fiber->state != FIBER_RUNNING && fiber->state != FIBER_POOLED);
    if (fiber->state == FIBER_PARKED) {
        size_t size = (size_t)(fiber->stack.high - fiber->stack.low);
        checks_forget(&fiber->checks, fiber->stack.low, size);
        fiber->context = NULL;
    }
    fiber->state = FIBER_POOLED;
    stack_give(fiber);
}

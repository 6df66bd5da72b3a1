// SPDX-License-Identifier: Apache-2.0
// What the sanitizers must be told when a thread changes stacks. Without a sanitizer each of these
// is nothing.
//
// AddressSanitizer keeps the bounds of the current stack and, with detect_stack_use_after_return, a
// "fake stack" per stack; ThreadSanitizer keeps a history per fiber. The order at a switch:
// checks_enter or checks_leave, the jump, and on the other side checks_entered or checks_left.
#ifndef SCHED_SANITIZE_H
#define SCHED_SANITIZE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compat.h"

#if HAVE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if HAVE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

struct checks {
    void *fake_stack;           // of the parked fiber
    const void *caller_bottom;  // the stack that resumed it
    size_t caller_bytes;
    void *fiber;   // ThreadSanitizer's
    void *caller;  // ThreadSanitizer's, of the thread that resumed it
};

#if HAVE_ASAN

// On the caller's stack, before the jump; *caller_fake is for checks_left.
static inline void checks_enter(struct checks *checks, const uint8_t *low, size_t size,
                                void **caller_fake) {
    (void)checks;
    __sanitizer_start_switch_fiber(caller_fake, low, size);
}
// On the fiber's stack, after the jump.
static inline void checks_entered(struct checks *checks) {
    __sanitizer_finish_switch_fiber(checks->fake_stack, &checks->caller_bottom,
                                    &checks->caller_bytes);
    checks->fake_stack = NULL;
}
// On the fiber's stack, before the jump back. A finished fiber comes back too: to its loop.
static inline void checks_leave(struct checks *checks) {
    __sanitizer_start_switch_fiber(&checks->fake_stack, checks->caller_bottom,
                                   checks->caller_bytes);
}
// On the caller's stack, after the jump back.
static inline void checks_left(void *caller_fake) {
    __sanitizer_finish_switch_fiber(caller_fake, NULL, NULL);
}
static inline void checks_create(struct checks *checks) {
    *checks = (struct checks){0};
}
// Frames that were abandoned on the stack [low, high) leave red zones there and a fake stack. The
// runtime frees only the fake stack of who leaves for good, so it is made to believe that.
static inline void checks_forget(struct checks *checks, const uint8_t *low, size_t size) {
    if (checks->fake_stack != NULL) {
        void *own_fake = NULL;
        const void *own_bottom = NULL;
        size_t own_bytes = 0;
        __sanitizer_start_switch_fiber(&own_fake, low, size);
        __sanitizer_finish_switch_fiber(checks->fake_stack, &own_bottom, &own_bytes);
        __sanitizer_start_switch_fiber(NULL, own_bottom, own_bytes);
        __sanitizer_finish_switch_fiber(own_fake, NULL, NULL);
        checks->fake_stack = NULL;
    }
    __asan_unpoison_memory_region(low, size);
}

#elif HAVE_TSAN

static inline void checks_enter(struct checks *checks, const uint8_t *low, size_t size,
                                void **caller_fake) {
    (void)low;
    (void)size;
    (void)caller_fake;
    checks->caller = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(checks->fiber, 0);
}
static inline void checks_entered(struct checks *checks) {
    (void)checks;
}
static inline void checks_leave(struct checks *checks) {
    __tsan_switch_to_fiber(checks->caller, 0);
}
static inline void checks_left(void *caller_fake) {
    (void)caller_fake;
}
static inline void checks_create(struct checks *checks) {
    *checks = (struct checks){.fiber = __tsan_create_fiber(0)};
}
static inline void checks_forget(struct checks *checks, const uint8_t *low, size_t size) {
    (void)low;
    (void)size;
    if (checks->fiber != NULL) {
        __tsan_destroy_fiber(checks->fiber);
        checks->fiber = NULL;
    }
}

#else

static inline void checks_enter(struct checks *checks, const uint8_t *low, size_t size,
                                void **caller_fake) {
    (void)checks;
    (void)low;
    (void)size;
    (void)caller_fake;
}
static inline void checks_entered(struct checks *checks) {
    (void)checks;
}
static inline void checks_leave(struct checks *checks) {
    (void)checks;
}
static inline void checks_left(void *caller_fake) {
    (void)caller_fake;
}
static inline void checks_create(struct checks *checks) {
    (void)checks;
}
static inline void checks_forget(struct checks *checks, const uint8_t *low, size_t size) {
    (void)checks;
    (void)low;
    (void)size;
}

#endif
#endif

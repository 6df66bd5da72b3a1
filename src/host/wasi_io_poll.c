// SPDX-License-Identifier: Apache-2.0
// wasi:io/poll. Everything but a timer is always ready, so a wait is a sleep until the first
// timer: it parks only the caller, and its longest and shortest time are the `timing` handler's.
#include "host/wasi.h"

bool wasi_add_pollable(struct component_call *call, uint64_t due_ns, struct value *own) {
    return wasi_add(call, (struct wasi_slot){.kind = WASI_POLLABLE, .number = due_ns}, own);
}

static uint64_t now_ns(struct component_call *call) {
    return env_monotonic_ns(actor_env(host_self(call)));
}

static bool sleep_until(struct component_call *call, uint64_t due_ns) {
    struct actor *self = host_self(call);
    const struct permissions *permissions = actor_permissions(self);
    struct error error = {0};
    for (uint64_t now = now_ns(call); now < due_ns; now = now_ns(call)) {
        uint64_t wait_ns = due_ns - now;
        if (wait_ns / 1000000U > permissions->timing.max_sleep_ms) {
            (void)actor_denied(self, PERMISSION_TIMING, &error,
                               "a wait of %llu ms is over the limit of %llu ms",
                               (unsigned long long)(wait_ns / 1000000U),
                               (unsigned long long)permissions->timing.max_sleep_ms);
            return component_call_trap(call, "%s", error.message);
        }
        uint64_t least_ns = permissions->timing.min_sleep_ms < UINT64_MAX / 1000000U
                                ? permissions->timing.min_sleep_ms * 1000000U
                                : UINT64_MAX;
        uint64_t most_ns = INT64_MAX;  // three hundred years are as good as for ever
        wait_ns = wait_ns < least_ns ? least_ns : wait_ns;
        if (actor_sleep(self, wait_ns < most_ns ? wait_ns : most_ns, &error) != OK) {
            return component_call_trap(call, "poll: %s", error.message);
        }
    }
    return true;
}

static bool pollable_ready(struct component_call *call, const struct value *args,
                           struct value *result) {
    const struct wasi_slot *pollable = wasi_get(call, &args[0], WASI_POLLABLE);
    if (pollable == NULL) {
        return false;
    }
    *result = (struct value){.bits = pollable->number <= now_ns(call)};
    return true;
}

static bool pollable_block(struct component_call *call, const struct value *args,
                           struct value *result) {
    (void)result;
    const struct wasi_slot *pollable = wasi_get(call, &args[0], WASI_POLLABLE);
    return pollable != NULL && sleep_until(call, pollable->number);
}

static bool poll(struct component_call *call, const struct value *args, struct value *result) {
    uint32_t count = args[0].count;
    if (count == 0) {
        return component_call_trap(call, "poll of an empty list would never end");
    }
    uint64_t *due_ns = host_alloc(call, count, sizeof *due_ns);
    uint32_t *ready = host_alloc(call, count, sizeof *ready);
    if (due_ns == NULL || ready == NULL) {
        return false;
    }
    uint64_t first_ns = UINT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const struct wasi_slot *pollable = wasi_get(call, &args[0].items[i], WASI_POLLABLE);
        if (pollable == NULL) {
            return false;
        }
        due_ns[i] = pollable->number;
        first_ns = due_ns[i] < first_ns ? due_ns[i] : first_ns;
    }
    if (!sleep_until(call, first_ns)) {
        return false;
    }
    uint64_t now = now_ns(call);
    uint32_t ready_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (due_ns[i] <= now) {
            ready[ready_count++] = i;
        }
    }
    // Little-endian, as every machine that this runs on.
    *result = (struct value){.bytes = (const uint8_t *)ready, .count = ready_count};
    return true;
}

static const struct host_function functions[] = {
    {"[method]pollable.ready",
     "wasi:io/poll.[method]pollable.ready",
     pollable_ready,
     {"func(borrow<pollable>) -> bool"}},
    {"[method]pollable.block",
     "wasi:io/poll.[method]pollable.block",
     pollable_block,
     {"func(borrow<pollable>)"}},
    {"poll", "wasi:io/poll.poll", poll, {"func(list<borrow<pollable>>) -> list<u32>"}},
};
const struct host_interface wasi_io_poll = {"wasi:io/poll", functions, COUNT_OF(functions)};

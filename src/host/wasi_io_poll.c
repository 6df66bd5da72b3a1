// SPDX-License-Identifier: Apache-2.0
// wasi:io/poll. A pollable is a timer, or the future of an HTTP exchange; everything else is always
// ready. A wait parks only the caller. A wait for timers alone is a sleep, whose longest and
// shortest time are the `timing` handler's; exchanges have times of their own.
#include "host/wasi_http.h"

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

static bool is_ready(const struct wasi_slot *pollable, uint64_t now) {
    return pollable->object != NULL ? wasi_http_future_is_ready(pollable->object)
                                    : pollable->number <= now;
}

static bool pollable_ready(struct component_call *call, const struct value *args,
                           struct value *result) {
    const struct wasi_slot *pollable = wasi_get(call, &args[0], WASI_POLLABLE);
    if (pollable == NULL) {
        return false;
    }
    *result = (struct value){.bits = is_ready(pollable, now_ns(call))};
    return true;
}

// What a list of pollables waits for.
struct awaited {
    struct wasi_http_future **futures;  // those that are not ready
    uint32_t future_count;
    uint64_t first_ns;  // of the timers
};

// Gathers what is ready, and what is not. False: no room or no pollable, trapped.
static bool look(struct component_call *call, const struct value *list, uint32_t *ready,
                 uint32_t *ready_count, struct awaited *awaited) {
    uint64_t now = now_ns(call);
    *ready_count = awaited->future_count = 0;
    awaited->first_ns = UINT64_MAX;
    for (uint32_t i = 0; i < list->count; i++) {
        const struct wasi_slot *pollable = wasi_get(call, &list->items[i], WASI_POLLABLE);
        if (pollable == NULL) {
            return false;
        }
        if (is_ready(pollable, now)) {
            ready[(*ready_count)++] = i;
        } else if (pollable->object != NULL) {
            awaited->futures[awaited->future_count++] = pollable->object;
        } else if (pollable->number < awaited->first_ns) {
            awaited->first_ns = pollable->number;
        }
    }
    return true;
}

// Waits until one of the list is ready.
static bool wait(struct component_call *call, const struct value *list, uint32_t *ready,
                 uint32_t *ready_count) {
    struct awaited awaited = {.futures =
                                  host_alloc(call, list->count, sizeof(struct wasi_http_future *))};
    if (awaited.futures == NULL || !look(call, list, ready, ready_count, &awaited)) {
        return false;
    }
    while (*ready_count == 0) {
        bool good =
            awaited.future_count == 0
                ? sleep_until(call, awaited.first_ns)
                : wasi_http_wait(call, awaited.futures, awaited.future_count, awaited.first_ns);
        if (!good || !look(call, list, ready, ready_count, &awaited)) {
            return false;
        }
    }
    return true;
}

static bool pollable_block(struct component_call *call, const struct value *args,
                           struct value *result) {
    (void)result;
    uint32_t ready, count;
    return wait(call, &(struct value){.items = args, .count = 1}, &ready, &count);
}

static bool poll(struct component_call *call, const struct value *args, struct value *result) {
    if (args[0].count == 0) {
        return component_call_trap(call, "poll of an empty list would never end");
    }
    uint32_t *ready = host_alloc(call, args[0].count, sizeof *ready);
    uint32_t count = 0;
    if (ready == NULL || !wait(call, &args[0], ready, &count)) {
        return false;
    }
    // Little-endian, as every machine that this runs on.
    *result = (struct value){.bytes = (const uint8_t *)ready, .count = count};
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

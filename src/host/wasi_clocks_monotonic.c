// SPDX-License-Identifier: Apache-2.0
// wasi:clocks/monotonic-clock: the node's, in nanoseconds. Needs the `timing` handler.
#include "host/wasi.h"

static uint64_t now_ns(struct component_call *call) {
    return env_monotonic_ns(actor_env(host_self(call)));
}

static bool monotonic_now(struct component_call *call, const struct value *args,
                          struct value *result) {
    (void)args;
    *result = (struct value){.bits = now_ns(call)};
    return wasi_needs(call, HANDLER_TIMING);
}

static bool monotonic_resolution(struct component_call *call, const struct value *args,
                                 struct value *result) {
    (void)args;
    *result = (struct value){.bits = 1};
    return wasi_needs(call, HANDLER_TIMING);
}

static bool subscribe_instant(struct component_call *call, const struct value *args,
                              struct value *result) {
    return wasi_needs(call, HANDLER_TIMING) && wasi_add_pollable(call, args[0].bits, result);
}

static bool subscribe_duration(struct component_call *call, const struct value *args,
                               struct value *result) {
    uint64_t now = now_ns(call);
    uint64_t due = args[0].bits > UINT64_MAX - now ? UINT64_MAX : now + args[0].bits;
    return wasi_needs(call, HANDLER_TIMING) && wasi_add_pollable(call, due, result);
}

#define NAME "wasi:clocks/monotonic-clock"

static const struct host_function functions[] = {
    {"now", NAME ".now", monotonic_now, {"func() -> u64"}},
    {"resolution", NAME ".resolution", monotonic_resolution, {"func() -> u64"}},
    {"subscribe-instant",
     NAME ".subscribe-instant",
     subscribe_instant,
     {"func(u64) -> own<pollable>"}},
    {"subscribe-duration",
     NAME ".subscribe-duration",
     subscribe_duration,
     {"func(u64) -> own<pollable>"}},
};
const struct host_interface wasi_clocks_monotonic = {NAME, functions, COUNT_OF(functions)};

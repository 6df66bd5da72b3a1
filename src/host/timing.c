// SPDX-License-Identifier: Apache-2.0
// theater:simple/timing: now, sleep, deadline. Milliseconds; sleeping parks only the caller.
#include "host/host.h"

static uint64_t now_ms(struct actor *self) {
    return env_wall_ns(actor_env(self)) / 1000000U;
}

static bool timing_now(struct component_call *call, const struct value *args,
                       struct value *result) {
    (void)args;
    *result = (struct value){.bits = now_ms(host_self(call))};
    return true;
}

static bool sleep_for(struct component_call *call, uint64_t duration_ms, struct value *result) {
    struct actor *self = host_self(call);
    const struct permissions *permissions = actor_permissions(self);
    struct error error = {0};
    enum status status = OK;
    if (duration_ms > permissions->timing.max_sleep_ms) {
        status = actor_denied(
            self, PERMISSION_TIMING, &error, "sleep of %llu ms is over the limit of %llu ms",
            (unsigned long long)duration_ms, (unsigned long long)permissions->timing.max_sleep_ms);
    } else {
        uint64_t least = permissions->timing.min_sleep_ms;
        uint64_t chosen = duration_ms < least ? least : duration_ms;
        // Three hundred years are as good as for ever.
        const uint64_t most = INT64_MAX / 1000000U;
        status = actor_sleep(self, (chosen < most ? chosen : most) * 1000000U, &error);
    }
    return host_done(call, status, &error, result);
}

static bool timing_sleep(struct component_call *call, const struct value *args,
                         struct value *result) {
    return sleep_for(call, args[0].bits, result);
}

static bool timing_deadline(struct component_call *call, const struct value *args,
                            struct value *result) {
    uint64_t now = now_ms(host_self(call));
    return args[0].bits <= now ? host_ok(result) : sleep_for(call, args[0].bits - now, result);
}

static const struct host_function functions[] = {
    {"now", "timing.now", timing_now, {"func() -> u64"}},
    {"sleep", "timing.sleep", timing_sleep, {"func(u64) -> result<_, string>"}},
    {"deadline", "timing.deadline", timing_deadline, {"func(u64) -> result<_, string>"}},
};
const struct host_interface host_timing = {"timing", functions, COUNT_OF(functions)};

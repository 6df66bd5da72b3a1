// SPDX-License-Identifier: Apache-2.0
// wasi:clocks/wall-clock: the node's. Needs the `timing` handler.
#include "host/wasi.h"

static bool datetime(struct component_call *call, uint64_t ns, struct value *result) {
    if (!wasi_needs(call, HANDLER_TIMING)) {
        return false;
    }
    struct value *fields = host_alloc(call, 2, sizeof *fields);
    if (fields == NULL) {
        return false;
    }
    fields[0] = (struct value){.bits = ns / 1000000000U};
    fields[1] = (struct value){.bits = ns % 1000000000U};
    *result = (struct value){.items = fields, .count = 2};
    return true;
}

static bool wall_now(struct component_call *call, const struct value *args, struct value *result) {
    (void)args;
    return datetime(call, env_wall_ns(actor_env(host_self(call))), result);
}

static bool wall_resolution(struct component_call *call, const struct value *args,
                            struct value *result) {
    (void)args;
    return datetime(call, 1, result);
}

#define NAME "wasi:clocks/wall-clock"
#define DATETIME "func() -> record{seconds: u64, nanoseconds: u32}"

static const struct host_function functions[] = {
    {"now", NAME ".now", wall_now, {DATETIME}},
    {"resolution", NAME ".resolution", wall_resolution, {DATETIME}},
};
const struct host_interface wasi_clocks_wall = {NAME, functions, COUNT_OF(functions)};

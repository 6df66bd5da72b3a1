// SPDX-License-Identifier: Apache-2.0
// wasi:cli/exit: ends the turn, and with it the instance. Success stops the actor as
// runtime.shutdown does, failure is a crash; the state that the turn would have returned is lost.
#include "host/wasi.h"

static bool end(struct component_call *call, uint64_t status) {
    if (status == 0) {
        actor_exit(host_self(call));
        return component_call_trap(call, "the actor ended itself: exit status 0");
    }
    return component_call_trap(call, "the actor exited with status %llu",
                               (unsigned long long)status);
}

static bool exit_result(struct component_call *call, const struct value *args,
                        struct value *result) {
    (void)result;
    return end(call, args[0].which);
}

static bool exit_code(struct component_call *call, const struct value *args, struct value *result) {
    (void)result;
    return end(call, args[0].bits);
}

static const struct host_function functions[] = {
    {"exit", "wasi:cli/exit.exit", exit_result, {"func(result)"}},
    {"exit-with-code", "wasi:cli/exit.exit-with-code", exit_code, {"func(u8)"}},
};
const struct host_interface wasi_cli_exit = {"wasi:cli/exit", functions, COUNT_OF(functions)};

// SPDX-License-Identifier: Apache-2.0
// wasi:cli/environment: the variables of the node that the `environment` handler lets through;
// without it none. An actor has no arguments and no working folder.
#include "host/wasi.h"

static bool get_environment(struct component_call *call, const struct value *args,
                            struct value *result) {
    (void)args;
    return host_variables(call, result);
}

static bool get_arguments(struct component_call *call, const struct value *args,
                          struct value *result) {
    (void)call;
    (void)args;
    *result = (struct value){.items = NULL, .count = 0};
    return true;
}

static bool initial_cwd(struct component_call *call, const struct value *args,
                        struct value *result) {
    (void)call;
    (void)args;
    *result = (struct value){.items = NULL, .which = 0};
    return true;
}

#define NAME "wasi:cli/environment"

static const struct host_function functions[] = {
    {"get-environment",
     NAME ".get-environment",
     get_environment,
     {"func() -> list<tuple<string, string>>"}},
    {"get-arguments", NAME ".get-arguments", get_arguments, {"func() -> list<string>"}},
    {"initial-cwd", NAME ".initial-cwd", initial_cwd, {"func() -> option<string>"}},
};
const struct host_interface wasi_cli_environment = {NAME, functions, COUNT_OF(functions)};

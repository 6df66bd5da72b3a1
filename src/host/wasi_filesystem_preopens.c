// SPDX-License-Identifier: Apache-2.0
// wasi:filesystem/preopens: an actor has no folders.
#include "host/wasi.h"

static bool get_directories(struct component_call *call, const struct value *args,
                            struct value *result) {
    (void)call;
    (void)args;
    *result = (struct value){.items = NULL, .count = 0};
    return true;
}

static const struct host_function functions[] = {
    {"get-directories",
     "wasi:filesystem/preopens.get-directories",
     get_directories,
     {"func() -> list<tuple<own<descriptor>, string>>"}},
};
const struct host_interface wasi_filesystem_preopens = {"wasi:filesystem/preopens", functions,
                                                        COUNT_OF(functions)};

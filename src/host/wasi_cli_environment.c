// SPDX-License-Identifier: Apache-2.0
// wasi:cli/environment: the variables of the node that the `environment` handler lets through;
// without it none. An actor has no arguments and no working folder.
#include <unistd.h>

#include "codec/utf8.h"
#include "host/wasi.h"

// One entry of the environment, split at "="; false when it is none that the actor may see.
static bool split(const struct actor *self, const char *entry, struct slice *name,
                  struct slice *content) {
    const char *equals = strchr(entry, '=');
    if (equals == NULL || equals == entry) {
        return false;
    }
    *name = slice_of(entry, (size_t)(equals - entry));
    *content = slice_text(equals + 1);
    return permissions_allow_variable(actor_permissions(self), *name) && utf8_is_valid(*name) &&
           utf8_is_valid(*content);
}

static bool get_environment(struct component_call *call, const struct value *args,
                            struct value *result) {
    (void)args;
    const struct actor *self = host_self(call);
    struct slice name, content;
    uint32_t count = 0;
    *result = (struct value){.items = NULL, .count = 0};
    if (!actor_permissions(self)->allowed[PERMISSION_ENVIRONMENT]) {
        return true;
    }
    for (char **at = environ; at != NULL && *at != NULL; at++) {
        count += split(self, *at, &name, &content);
    }
    struct value *items = host_alloc(call, count, 3 * sizeof *items);
    if (items == NULL) {
        return false;
    }
    struct value *pairs = items + count;
    uint32_t filled = 0;
    for (char **at = environ; at != NULL && *at != NULL && filled < count; at++) {
        if (!split(self, *at, &name, &content)) {
            continue;
        }
        struct value *pair = &pairs[2 * (size_t)filled];
        if (!host_copy(call, name, &pair[0]) || !host_copy(call, content, &pair[1])) {
            return false;
        }
        items[filled++] = (struct value){.items = pair, .count = 2};
    }
    *result = (struct value){.items = items, .count = filled};
    return true;
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

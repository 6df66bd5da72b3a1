// SPDX-License-Identifier: Apache-2.0
// theater:simple/environment: the variables of the node that the `environment` handler lets
// through. One that may not be read looks like one that is not set; that it was asked for is a
// denial. Names and values that are not UTF-8 are as if they were not there.
#include <unistd.h>

#include "codec/utf8.h"
#include "host/host.h"

// One entry of the environment, split at "="; false when it is none that a guest can be shown.
static bool split(const char *entry, struct slice *name, struct slice *content) {
    const char *equals = strchr(entry, '=');
    if (equals == NULL || equals == entry) {
        return false;
    }
    *name = slice_of(entry, (size_t)(equals - entry));
    *content = slice_text(equals + 1);
    return utf8_is_valid(*name) && utf8_is_valid(*content);
}

static bool is_secret(const struct actor *self, struct slice name) {
    const struct manifest_handler *block =
        manifest_find_handler(actor_manifest(self), HANDLER_ENVIRONMENT);
    for (uint32_t i = 0; block != NULL && i < block->environment.secret_vars.count; i++) {
        if (slice_equal_text(name, block->environment.secret_vars.items[i])) {
            return true;
        }
    }
    return false;
}

// The value of the variable; false when it is not set.
static bool find(struct slice name, struct slice *content) {
    struct slice found;
    for (char **at = environ; at != NULL && *at != NULL; at++) {
        if (split(*at, &found, content) && slice_equal(found, name)) {
            return true;
        }
    }
    return false;
}

// Whether it may read the variable; when not, that is recorded.
static bool may_read(struct actor *self, struct slice name) {
    if (permissions_allow_variable(actor_permissions(self), name)) {
        return true;
    }
    struct slice quoted = host_quote(name);
    struct error error = {0};
    (void)actor_denied(self, PERMISSION_ENVIRONMENT, &error, "the variable %.*s may not be read",
                       (int)quoted.size, (const char *)quoted.data);
    return false;
}

static bool get_var(struct component_call *call, const struct value *args, struct value *result) {
    struct actor *self = host_self(call);
    struct slice name = host_bytes(&args[0]);
    struct slice content;
    *result = (struct value){.which = 0};
    if (!may_read(self, name) || !find(name, &content)) {
        return true;
    }
    struct value *text = host_alloc(call, 1, sizeof *text);
    if (text == NULL || !host_copy(call, content, text)) {
        return false;
    }
    text->is_secret = is_secret(self, name);
    *result = (struct value){.items = text, .which = 1};
    return true;
}

static bool exists(struct component_call *call, const struct value *args, struct value *result) {
    struct slice name = host_bytes(&args[0]);
    struct slice content;
    *result = (struct value){.bits = may_read(host_self(call), name) && find(name, &content)};
    return true;
}

bool host_variables(struct component_call *call, struct value *list) {
    const struct actor *self = host_self(call);
    const struct permissions *permissions = actor_permissions(self);
    struct slice name, content;
    uint32_t count = 0;
    for (char **at = environ; at != NULL && *at != NULL; at++) {
        count += split(*at, &name, &content) && permissions_allow_variable(permissions, name);
    }
    struct value *items = host_alloc(call, count, 3 * sizeof *items);
    if (items == NULL) {
        return false;
    }
    struct value *pairs = items + count;
    uint32_t filled = 0;
    for (char **at = environ; at != NULL && *at != NULL && filled < count; at++) {
        if (!split(*at, &name, &content) || !permissions_allow_variable(permissions, name)) {
            continue;
        }
        struct value *pair = &pairs[2 * (size_t)filled];
        if (!host_copy(call, name, &pair[0]) || !host_copy(call, content, &pair[1])) {
            return false;
        }
        pair[1].is_secret = is_secret(self, name);
        items[filled++] = (struct value){.items = pair, .count = 2};
    }
    *list = (struct value){.items = items, .count = filled};
    return true;
}

static bool list_vars(struct component_call *call, const struct value *args, struct value *result) {
    (void)args;
    struct actor *self = host_self(call);
    if (actor_permissions(self)->environment.list_all) {
        return host_variables(call, result);
    }
    struct error error = {0};
    (void)actor_denied(self, PERMISSION_ENVIRONMENT, &error,
                       "variables may not be listed (allow_list_all)");
    *result = (struct value){.items = NULL, .count = 0};
    return true;
}

static const struct host_function functions[] = {
    {"get-var", "environment.get-var", get_var, {"func(string) -> option<string>"}},
    {"exists", "environment.exists", exists, {"func(string) -> bool"}},
    {"list-vars", "environment.list-vars", list_vars, {"func() -> list<tuple<string, string>>"}},
};
const struct host_interface host_environment = {"environment", functions, COUNT_OF(functions)};

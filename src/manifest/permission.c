// SPDX-License-Identifier: Apache-2.0
// Permissions: intersection and description. The members of struct permissions are listed once, in
// the three tables below; what must be done with each follows from its row. The checks that
// interfaces ask for are in permission_check.c.
#include "manifest/permission.h"

#include <assert.h>
#include <stdlib.h>

#include "codec/json.h"
#include "manifest/permission_match.h"

struct list_member {
    enum permission_kind kind;
    size_t offset;
    enum match match;
    const char *name;
};
struct number_member {
    enum permission_kind kind;
    size_t offset;
    bool is_minimum;  // the larger one is the stricter
    const char *name;
};
struct flag_member {
    enum permission_kind kind;
    size_t offset;
    const char *name;
};

#define AT(member) offsetof(struct permissions, member)

// Not here: message_server.targets (layers) and environment (three lists that act together).
static const struct list_member list_members[] = {
    {PERMISSION_FILE_SYSTEM, AT(file_system.paths), MATCH_FOLDER, "allowed_paths"},
    {PERMISSION_FILE_SYSTEM, AT(file_system.commands), MATCH_WORD, "allowed_commands"},
    {PERMISSION_HTTP_CLIENT, AT(http_client.methods), MATCH_METHOD, "allowed_methods"},
    {PERMISSION_HTTP_CLIENT, AT(http_client.hosts), MATCH_HOST, "allowed_hosts"},
    {PERMISSION_HTTP_FRAMEWORK, AT(http_framework.routes), MATCH_FOLDER, "allowed_routes"},
    {PERMISSION_HTTP_FRAMEWORK, AT(http_framework.methods), MATCH_METHOD, "allowed_methods"},
    {PERMISSION_SUPERVISOR, AT(supervisor.sources), MATCH_URL, "allowed_sources"},
    {PERMISSION_PROCESS, AT(process.programs), MATCH_WORD, "allowed_programs"},
    {PERMISSION_PROCESS, AT(process.paths), MATCH_FOLDER, "allowed_paths"},
};
static const struct number_member number_members[] = {
    {PERMISSION_HTTP_CLIENT, AT(http_client.max_redirects), false, "max_redirects"},
    {PERMISSION_HTTP_CLIENT, AT(http_client.timeout_ms), false, "timeout"},
    {PERMISSION_HTTP_CLIENT, AT(http_client.max_response_bytes), false, "max_response_size"},
    {PERMISSION_HTTP_FRAMEWORK, AT(http_framework.max_request_bytes), false, "max_request_size"},
    {PERMISSION_STORE, AT(store.max_bytes), false, "max_bytes"},
    {PERMISSION_STORE, AT(store.max_contents), false, "max_contents"},
    {PERMISSION_TIMING, AT(timing.min_sleep_ms), true, "min_sleep_duration"},
    {PERMISSION_TIMING, AT(timing.max_sleep_ms), false, "max_sleep_duration"},
    {PERMISSION_PROCESS, AT(process.max_processes), false, "max_processes"},
    {PERMISSION_PROCESS, AT(process.max_output_bytes), false, "max_output_buffer"},
    {PERMISSION_RANDOM, AT(random.max_bytes), false, "max_bytes"},
    {PERMISSION_RANDOM, AT(random.max_int), false, "max_int"},
};
static const struct flag_member flag_members[] = {
    {PERMISSION_FILE_SYSTEM, AT(file_system.read), "read"},
    {PERMISSION_FILE_SYSTEM, AT(file_system.write), "write"},
    {PERMISSION_FILE_SYSTEM, AT(file_system.execute), "execute"},
    {PERMISSION_FILE_SYSTEM, AT(file_system.new_dir), "new_dir"},
    {PERMISSION_ENVIRONMENT, AT(environment.list_all), "allow_list_all"},
    {PERMISSION_RANDOM, AT(random.crypto_secure), "allow_crypto_secure"},
};

static struct permission_list *list_at(struct permissions *p, size_t offset) {
    return (struct permission_list *)(void *)((char *)p + offset);
}
static const struct permission_list *const_list_at(const struct permissions *p, size_t offset) {
    return (const struct permission_list *)(const void *)((const char *)p + offset);
}
static uint64_t *number_at(struct permissions *p, size_t offset) {
    return (uint64_t *)(void *)((char *)p + offset);
}
static uint64_t const_number_at(const struct permissions *p, size_t offset) {
    return *(const uint64_t *)(const void *)((const char *)p + offset);
}
static bool *flag_at(struct permissions *p, size_t offset) {
    return (bool *)((char *)p + offset);
}
static bool const_flag_at(const struct permissions *p, size_t offset) {
    return *(const bool *)((const char *)p + offset);
}

const char *permission_kind_name(enum permission_kind kind) {
    static const char *const names[PERMISSION_COUNT] = {
        "message_server", "file_system", "http_client", "http_framework",
        "runtime",        "supervisor",  "store",       "timing",
        "process",        "environment", "random",      "websocket_server"};
    assert(kind < PERMISSION_COUNT);
    return names[kind];
}

void permissions_everything(struct permissions *out) {
    *out = (struct permissions){0};
    for (size_t i = 0; i < PERMISSION_COUNT; i++) {
        out->allowed[i] = true;
    }
    for (size_t i = 0; i < COUNT_OF(list_members); i++) {
        list_at(out, list_members[i].offset)->everything = true;
    }
    for (size_t i = 0; i < COUNT_OF(number_members); i++) {
        *number_at(out, number_members[i].offset) = number_members[i].is_minimum ? 0 : UINT64_MAX;
    }
    for (size_t i = 0; i < COUNT_OF(flag_members); i++) {
        *flag_at(out, flag_members[i].offset) = true;
    }
    out->environment.vars.everything = true;
}

void permissions_nothing(struct permissions *out) {
    *out = (struct permissions){0};
    out->allowed[PERMISSION_RUNTIME] = true;
    out->allowed[PERMISSION_MESSAGE_SERVER] = true;
}

// ---- Intersection ------------------------------------------------------------------------------

// Adds `item` to `items` unless it is there.
static void add_item(const char **items, uint32_t *count, const char *item) {
    for (uint32_t i = 0; i < *count; i++) {
        if (strcmp(items[i], item) == 0) {
            return;
        }
    }
    items[(*count)++] = item;
}

static const char **room_for(struct arena *arena, const struct permission_list *a,
                             const struct permission_list *b) {
    return ARENA_ARRAY(arena, const char *, (uint64_t)a->count + b->count + 1);
}

// An item that the other side covers is in both; so the result is those of `a` covered by `b` and
// those of `b` covered by `a`.
static struct permission_list intersect_lists(enum match match, const struct permission_list *a,
                                              const struct permission_list *b,
                                              struct arena *arena) {
    if (a->everything || b->everything) {
        return a->everything ? *b : *a;
    }
    const char **items = room_for(arena, a, b);
    uint32_t count = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        if (match_list(match, b, a->items[i])) {
            add_item(items, &count, a->items[i]);
        }
    }
    for (uint32_t i = 0; i < b->count; i++) {
        if (match_list(match, a, b->items[i])) {
            add_item(items, &count, b->items[i]);
        }
    }
    return (struct permission_list){.count = count, .items = items};
}

static bool lists_equal(const struct permission_list *a, const struct permission_list *b) {
    if (a->everything != b->everything || a->count != b->count) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0) {
            return false;
        }
    }
    return true;
}

static struct permission_targets intersect_targets(const struct permission_targets *a,
                                                   const struct permission_targets *b,
                                                   struct arena *arena) {
    struct permission_list *layers =
        ARENA_ARRAY(arena, struct permission_list, (uint64_t)a->layer_count + b->layer_count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < a->layer_count + b->layer_count; i++) {
        const struct permission_list *layer =
            i < a->layer_count ? &a->layers[i] : &b->layers[i - a->layer_count];
        bool known = layer->everything;
        for (uint32_t j = 0; j < count && !known; j++) {
            known = lists_equal(&layers[j], layer);
        }
        if (!known) {
            layers[count++] = *layer;
        }
    }
    return (struct permission_targets){.layer_count = count, .layers = layers};
}

// A variable is permitted by a name or by a prefix, so a name of one side may be let through by a
// prefix of the other. Denied ones add up.
static void intersect_environment(const struct permissions *a, const struct permissions *b,
                                  struct arena *arena, struct permissions *out) {
    struct permission_list vars, prefixes;
    if (a->environment.vars.everything || b->environment.vars.everything) {
        const struct permissions *narrow = a->environment.vars.everything ? b : a;
        vars = narrow->environment.vars;
        prefixes = narrow->environment.prefixes;
    } else {
        const char **items = room_for(arena, &a->environment.vars, &b->environment.vars);
        uint32_t count = 0;
        for (int side = 0; side < 2; side++) {
            const struct permissions *one = side == 0 ? a : b, *other = side == 0 ? b : a;
            for (uint32_t i = 0; i < one->environment.vars.count; i++) {
                const char *name = one->environment.vars.items[i];
                if (match_list(MATCH_WORD, &other->environment.vars, name) ||
                    match_list(MATCH_PREFIX, &other->environment.prefixes, name)) {
                    add_item(items, &count, name);
                }
            }
        }
        vars = (struct permission_list){.count = count, .items = items};
        prefixes = intersect_lists(MATCH_PREFIX, &a->environment.prefixes, &b->environment.prefixes,
                                   arena);
    }
    const char **denied = room_for(arena, &a->environment.denied, &b->environment.denied);
    uint32_t count = 0;
    for (uint32_t i = 0; i < a->environment.denied.count; i++) {
        add_item(denied, &count, a->environment.denied.items[i]);
    }
    for (uint32_t i = 0; i < b->environment.denied.count; i++) {
        add_item(denied, &count, b->environment.denied.items[i]);
    }
    out->environment.vars = vars;
    out->environment.prefixes = prefixes;
    out->environment.denied = (struct permission_list){.count = count, .items = denied};
}

void permissions_intersect(const struct permissions *a, const struct permissions *b,
                           struct arena *arena, struct permissions *out) {
    struct permissions result = {0};
    for (size_t i = 0; i < PERMISSION_COUNT; i++) {
        result.allowed[i] = a->allowed[i] && b->allowed[i];
    }
    for (size_t i = 0; i < COUNT_OF(list_members); i++) {
        const struct list_member *member = &list_members[i];
        *list_at(&result, member->offset) =
            intersect_lists(member->match, const_list_at(a, member->offset),
                            const_list_at(b, member->offset), arena);
    }
    for (size_t i = 0; i < COUNT_OF(number_members); i++) {
        const struct number_member *member = &number_members[i];
        uint64_t left = const_number_at(a, member->offset);
        uint64_t right = const_number_at(b, member->offset);
        bool take_left = member->is_minimum ? left > right : left < right;
        *number_at(&result, member->offset) = take_left ? left : right;
    }
    for (size_t i = 0; i < COUNT_OF(flag_members); i++) {
        size_t offset = flag_members[i].offset;
        *flag_at(&result, offset) = const_flag_at(a, offset) && const_flag_at(b, offset);
    }
    result.message_server.targets =
        intersect_targets(&a->message_server.targets, &b->message_server.targets, arena);
    intersect_environment(a, b, arena, &result);
    *out = result;
}

// ---- Copy --------------------------------------------------------------------------------------

static struct permission_list copy_list(const struct permission_list *source, struct arena *arena) {
    const char **items = ARENA_ARRAY(arena, const char *, (uint64_t)source->count + 1);
    for (uint32_t i = 0; i < source->count; i++) {
        items[i] = arena_text(arena, slice_text(source->items[i]));
    }
    return (struct permission_list){
        .everything = source->everything, .count = source->count, .items = items};
}

void permissions_copy(const struct permissions *source, struct arena *arena,
                      struct permissions *out) {
    struct permissions result = *source;
    for (size_t i = 0; i < COUNT_OF(list_members); i++) {
        size_t offset = list_members[i].offset;
        *list_at(&result, offset) = copy_list(const_list_at(source, offset), arena);
    }
    result.environment.vars = copy_list(&source->environment.vars, arena);
    result.environment.prefixes = copy_list(&source->environment.prefixes, arena);
    result.environment.denied = copy_list(&source->environment.denied, arena);
    uint32_t layer_count = source->message_server.targets.layer_count;
    struct permission_list *layers =
        ARENA_ARRAY(arena, struct permission_list, (uint64_t)layer_count + 1);
    for (uint32_t i = 0; i < layer_count; i++) {
        layers[i] = copy_list(&source->message_server.targets.layers[i], arena);
    }
    result.message_server.targets.layers = layers;
    *out = result;
}

// ---- Description -------------------------------------------------------------------------------

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// Sorted and without repetition, so that equal sets read alike; null stands for everything.
static void describe_list(const char *name, const struct permission_list *list, struct buf *out) {
    if (name != NULL) {
        buf_format(out, ",\"%s\":", name);
    }
    if (list->everything) {
        buf_append_text(out, "null");
        return;
    }
    const char **sorted = xcalloc((size_t)list->count + 1, sizeof *sorted);
    for (uint32_t i = 0; i < list->count; i++) {
        sorted[i] = list->items[i];
    }
    qsort(sorted, list->count, sizeof *sorted, compare_texts);
    buf_append_byte(out, '[');
    bool first = true;
    for (uint32_t i = 0; i < list->count; i++) {
        if (i > 0 && strcmp(sorted[i - 1], sorted[i]) == 0) {
            continue;
        }
        buf_append_text(out, first ? "" : ",");
        first = false;
        json_write_text(slice_text(sorted[i]), out);
    }
    buf_append_byte(out, ']');
    free(sorted);
}

static int compare_bufs(const void *a, const void *b) {
    const struct buf *left = a, *right = b;
    size_t size = left->size < right->size ? left->size : right->size;
    int order = size == 0 ? 0 : memcmp(left->data, right->data, size);
    return order != 0 ? order : (left->size > right->size) - (left->size < right->size);
}

static void describe_targets(const struct permission_targets *targets, struct buf *out) {
    struct buf *layers = xcalloc((size_t)targets->layer_count + 1, sizeof *layers);
    for (uint32_t i = 0; i < targets->layer_count; i++) {
        describe_list(NULL, &targets->layers[i], &layers[i]);
    }
    qsort(layers, targets->layer_count, sizeof *layers, compare_bufs);
    buf_append_text(out, ",\"target_layers\":[");
    for (uint32_t i = 0; i < targets->layer_count; i++) {
        buf_append_text(out, i == 0 ? "" : ",");
        buf_append_slice(out, buf_slice(&layers[i]));
        buf_release(&layers[i]);
    }
    buf_append_byte(out, ']');
    free(layers);
}

static void describe_kind(const struct permissions *permissions, enum permission_kind kind,
                          struct buf *out) {
    buf_append_text(out, "{\"allowed\":true");
    for (size_t i = 0; i < COUNT_OF(flag_members); i++) {
        if (flag_members[i].kind == kind) {
            bool value = const_flag_at(permissions, flag_members[i].offset);
            buf_format(out, ",\"%s\":%s", flag_members[i].name, value ? "true" : "false");
        }
    }
    for (size_t i = 0; i < COUNT_OF(number_members); i++) {
        if (number_members[i].kind == kind) {
            uint64_t value = const_number_at(permissions, number_members[i].offset);
            buf_format(out, ",\"%s\":%llu", number_members[i].name, (unsigned long long)value);
        }
    }
    for (size_t i = 0; i < COUNT_OF(list_members); i++) {
        if (list_members[i].kind == kind) {
            describe_list(list_members[i].name, const_list_at(permissions, list_members[i].offset),
                          out);
        }
    }
    if (kind == PERMISSION_MESSAGE_SERVER) {
        describe_targets(&permissions->message_server.targets, out);
    } else if (kind == PERMISSION_ENVIRONMENT) {
        describe_list("allowed_vars", &permissions->environment.vars, out);
        describe_list("allowed_prefixes", &permissions->environment.prefixes, out);
        describe_list("denied_vars", &permissions->environment.denied, out);
    }
    buf_append_byte(out, '}');
}

void permissions_describe(const struct permissions *permissions, struct buf *out) {
    buf_append_byte(out, '{');
    for (unsigned kind = 0; kind < PERMISSION_COUNT; kind++) {
        buf_format(out, "%s\"%s\":", kind == 0 ? "" : ",",
                   permission_kind_name((enum permission_kind)kind));
        if (permissions->allowed[kind]) {
            describe_kind(permissions, (enum permission_kind)kind, out);
        } else {
            buf_append_text(out, "{\"allowed\":false}");
        }
    }
    buf_append_byte(out, '}');
}

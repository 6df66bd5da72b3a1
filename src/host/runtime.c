// SPDX-License-Identifier: Apache-2.0
// theater:simple/runtime: log, get-chain, shutdown; get-state and self, which actors ask for.
#include "host/chain_events.h"
#include "host/host.h"

static bool runtime_log(struct component_call *call, const struct value *args,
                        struct value *result) {
    (void)result;
    actor_log(host_self(call), host_bytes(&args[0]));
    return true;
}

static bool runtime_shutdown(struct component_call *call, const struct value *args,
                             struct value *result) {
    bool has_data = args[0].which == 1;
    struct slice data = has_data ? host_bytes(args[0].items) : slice_of(NULL, 0);
    // The data becomes a message for the parent.
    uint64_t most = actor_manifest(host_self(call))->limits.message_bytes;
    if (data.size > most) {
        struct error error = {0};
        error_set(&error, ERR_LIMIT, "data of %zu bytes is over the limit of %llu (%s)", data.size,
                  (unsigned long long)most, "limits.message_bytes");
        return host_fail(call, &error, result);
    }
    actor_shutdown(host_self(call), has_data, data);
    return host_ok(result);
}

static bool runtime_get_state(struct component_call *call, const struct value *args,
                              struct value *result) {
    (void)args;
    return host_copy(call, actor_state(host_self(call)), result);
}

static bool runtime_self(struct component_call *call, const struct value *args,
                         struct value *result) {
    (void)args;
    return host_copy(call, slice_text(actor_id(host_self(call))), result);
}

// ---- get-chain
// -----------------------------------------------------------------------------------

struct chain_list {
    struct component_call *call;
    struct value *events;  // grows by doubling, in the arena
    uint32_t count, capacity;
    uint64_t bytes, most_bytes;
    bool is_over, has_trapped;
};

static bool add_event(void *context, const struct chain_event *event) {
    struct chain_list *list = context;
    list->bytes += event->type.size + event->data.size + 32;
    if (list->bytes > list->most_bytes) {
        list->is_over = true;
        return false;
    }
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        struct value *grown = host_alloc(list->call, capacity, sizeof *grown);
        if (grown == NULL) {
            list->has_trapped = true;
            return false;
        }
        if (list->count > 0) {
            memcpy(grown, list->events, list->count * sizeof *grown);
        }
        list->events = grown;
        list->capacity = capacity;
    }
    if (!host_meta_event(component_call_arena(list->call), event, &list->events[list->count])) {
        list->has_trapped = true;
        return host_no_room(list->call);
    }
    list->count++;
    return true;
}

static bool runtime_get_chain(struct component_call *call, const struct value *args,
                              struct value *result) {
    (void)args;
    struct actor *self = host_self(call);
    struct chain_list list = {.call = call,
                              .most_bytes = actor_manifest(self)->limits.message_bytes};
    struct error error = {0};
    enum status status = actor_visit_chain(self, slice_of(NULL, 0), add_event, &list, &error);
    if (list.has_trapped) {
        return false;
    }
    if (list.is_over) {
        return component_call_trap(call, "the chain is larger than limits.message_bytes (%llu)",
                                   (unsigned long long)list.most_bytes);
    }
    if (status != OK) {
        return component_call_trap(call, "get-chain: %s", error.message);
    }
    struct value *record = host_alloc(call, 1, sizeof *record);
    if (record == NULL) {
        return false;
    }
    *record = (struct value){.items = list.events, .count = list.count};
    *result = (struct value){.items = record, .count = 1};
    actor_record_by_range(self, list.events);
    return true;
}

#define CHAIN                                                                          \
    "record{events: list<record{hash: u64, event: record{event-type: string, parent: " \
    "option<u64>, data: list<u8>}}>}"

static const struct host_function functions[] = {
    {"log", "runtime.log", runtime_log, {"func(string)"}},
    {"get-chain", "runtime.get-chain", runtime_get_chain, {"func() -> " CHAIN}},
    {"shutdown",
     "runtime.shutdown",
     runtime_shutdown,
     {"func(option<list<u8>>) -> result<_, string>"}},
    {"get-state", "runtime.get-state", runtime_get_state, {"func() -> list<u8>"}},
    {"self", "runtime.self", runtime_self, {"func() -> string"}},
};
const struct host_interface host_runtime = {"runtime", functions, COUNT_OF(functions)};

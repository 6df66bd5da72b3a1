// SPDX-License-Identifier: Apache-2.0
// theater:simple/supervisor: spawn, resume, stop and restart children, look at them.
#include "host/chain_events.h"
#include "host/host.h"

static bool spawn(struct component_call *call, const struct value *args, enum actor_spawn_mode mode,
                  struct value *result) {
    struct error error = {0};
    char id[ACTOR_ID_BYTES];
    bool has_state = args[1].which == 1;
    struct slice state = has_state ? host_bytes(args[1].items) : slice_of(NULL, 0);
    if (actor_spawn_child(host_self(call), host_bytes(&args[0]), mode, has_state, state, id,
                          &error) != OK) {
        static const char denial[] = "permission denied: ";
        const char *denied = error.code == ERR_DENIED ? strstr(error.message, denial) : NULL;
        if (denied != NULL) {
            // Recorded; what the guest gets names the reference too.
            struct error recorded = {0};
            (void)actor_denied(host_self(call), PERMISSION_SUPERVISOR, &recorded, "%s",
                               denied + sizeof denial - 1);
        }
        return host_fail(call, &error, result);
    }
    return host_ok_bytes(call, slice_text(id), result);
}

static bool supervisor_spawn(struct component_call *call, const struct value *args,
                             struct value *result) {
    return spawn(call, args, ACTOR_SPAWN, result);
}

static bool supervisor_resume(struct component_call *call, const struct value *args,
                              struct value *result) {
    return spawn(call, args, ACTOR_RESUME, result);
}

static bool supervisor_list(struct component_call *call, const struct value *args,
                            struct value *result) {
    (void)args;
    struct error error = {0};
    struct slice *ids = NULL;
    uint32_t count = 0;
    if (actor_children(host_self(call), component_call_arena(call), &ids, &count, &error) != OK) {
        return component_call_trap(call, "%s", error.message);
    }
    return host_ids(call, ids, count, result);
}

static bool supervisor_stop(struct component_call *call, const struct value *args,
                            struct value *result) {
    struct error error = {0};
    enum status status = actor_stop_child(host_self(call), host_bytes(&args[0]), &error);
    return host_done(call, status, &error, result);
}

static bool supervisor_restart(struct component_call *call, const struct value *args,
                               struct value *result) {
    struct error error = {0};
    enum status status = actor_restart_child(host_self(call), host_bytes(&args[0]), &error);
    return host_done(call, status, &error, result);
}

static bool supervisor_child_state(struct component_call *call, const struct value *args,
                                   struct value *result) {
    struct error error = {0};
    struct bytes *state = NULL;
    if (actor_child_state(host_self(call), host_bytes(&args[0]), &state, &error) != OK) {
        return host_fail(call, &error, result);
    }
    struct value *content = host_alloc(call, 1, sizeof *content);
    bool good = content != NULL && host_copy(call, bytes_slice(state), content);
    bool has_state = state != NULL;
    bytes_unref(state);
    struct value option = {.items = has_state ? content : NULL, .which = has_state};
    return good && host_ok_value(call, option, result);
}

// ---- get-child-events
// ------------------------------------------------------------------------------

struct event_list {
    struct component_call *call;
    struct value *events;
    uint32_t count, capacity;
    uint32_t field_count;  // 5, or 6 with the trailing description
    uint64_t bytes, most_bytes;
    bool is_over, has_trapped;
};

static bool grow(struct event_list *list) {
    if (list->count < list->capacity) {
        return true;
    }
    uint32_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
    struct value *grown = host_alloc(list->call, capacity, sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    if (list->count > 0) {
        memcpy(grown, list->events, list->count * sizeof *grown);
    }
    list->events = grown;
    list->capacity = capacity;
    return true;
}

static bool add_event(void *context, const struct chain_event *event) {
    struct event_list *list = context;
    struct component_call *call = list->call;
    list->bytes += event->type.size + event->data.size + 2U * SHA256_BYTES + 16U;
    if (list->bytes > list->most_bytes) {
        list->is_over = true;
        return false;
    }
    if (!grow(list)) {
        list->has_trapped = true;
        return false;
    }
    if (!host_chain_event(component_call_arena(call), event, list->field_count,
                          &list->events[list->count])) {
        list->has_trapped = true;
        return host_no_room(call);
    }
    list->count++;
    return true;
}

static bool supervisor_child_events(struct component_call *call, const struct value *args,
                                    struct value *result) {
    struct actor *self = host_self(call);
    // result<list<record>, string>: the record tells which release the component is of.
    const struct component_type *list_type = component_call_type(call)->result->items[0];
    struct event_list list = {.call = call,
                              .field_count = list_type->items[0]->item_count,
                              .most_bytes = actor_manifest(self)->limits.message_bytes};
    struct error error = {0};
    enum status status = actor_visit_chain(self, host_bytes(&args[0]), add_event, &list, &error);
    if (list.has_trapped) {
        return false;
    }
    if (list.is_over) {
        status = error_set(&error, ERR_LIMIT,
                           "the child's chain is larger than limits.message_bytes (%llu)",
                           (unsigned long long)list.most_bytes);
    }
    if (status != OK) {
        return host_fail(call, &error, result);
    }
    struct value events = {.items = list.events, .count = list.count};
    actor_record_by_range(self, list.events);
    return host_ok_value(call, events, result);
}

#define CHAIN_EVENT                                                                       \
    "hash: list<u8>, parent-hash: option<list<u8>>, event-type: string, data: list<u8>, " \
    "timestamp: u64"

static const struct host_function functions[] = {
    {"spawn",
     "supervisor.spawn",
     supervisor_spawn,
     {"func(string, option<list<u8>>) -> result<string, string>"}},
    {"resume",
     "supervisor.resume",
     supervisor_resume,
     {"func(string, option<list<u8>>) -> result<string, string>"}},
    {"list-children", "supervisor.list-children", supervisor_list, {"func() -> list<string>"}},
    {"stop-child", "supervisor.stop-child", supervisor_stop, {"func(string) -> result<_, string>"}},
    {"restart-child",
     "supervisor.restart-child",
     supervisor_restart,
     {"func(string) -> result<_, string>"}},
    {"get-child-state",
     "supervisor.get-child-state",
     supervisor_child_state,
     {"func(string) -> result<option<list<u8>>, string>"}},
    {"get-child-events",
     "supervisor.get-child-events",
     supervisor_child_events,
     {"func(string) -> result<list<record{" CHAIN_EVENT "}>, string>",
      "func(string) -> result<list<record{" CHAIN_EVENT
      ", description: option<string>}>, string>"}},
};
const struct host_interface host_supervisor = {"supervisor", functions, COUNT_OF(functions)};

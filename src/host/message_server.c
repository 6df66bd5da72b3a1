// SPDX-License-Identifier: Apache-2.0
// theater:simple/message-server-host: send, request, channels, late replies.
#include "host/host.h"

static bool host_send(struct component_call *call, const struct value *args, struct value *result) {
    struct error error = {0};
    enum status status =
        actor_send(host_self(call), host_bytes(&args[0]), host_bytes(&args[1]), &error);
    return host_done(call, status, &error, result);
}

static bool host_request(struct component_call *call, const struct value *args,
                         struct value *result) {
    struct error error = {0};
    struct bytes *reply = NULL;
    if (actor_request(host_self(call), host_bytes(&args[0]), host_bytes(&args[1]), &reply,
                      &error) != OK) {
        return host_fail(call, &error, result);
    }
    bool good = host_ok_bytes(call, bytes_slice(reply), result);
    bytes_unref(reply);
    return good;
}

static bool host_open_channel(struct component_call *call, const struct value *args,
                              struct value *result) {
    struct error error = {0};
    char id[ACTOR_UUID_BYTES];
    if (actor_open_channel(host_self(call), host_bytes(&args[0]), host_bytes(&args[1]), id,
                           &error) != OK) {
        return host_fail(call, &error, result);
    }
    return host_ok_bytes(call, slice_text(id), result);
}

static bool host_send_on_channel(struct component_call *call, const struct value *args,
                                 struct value *result) {
    struct error error = {0};
    enum status status =
        actor_send_on_channel(host_self(call), host_bytes(&args[0]), host_bytes(&args[1]), &error);
    return host_done(call, status, &error, result);
}

static bool host_close_channel(struct component_call *call, const struct value *args,
                               struct value *result) {
    struct error error = {0};
    enum status status = actor_close_channel(host_self(call), host_bytes(&args[0]), &error);
    return host_done(call, status, &error, result);
}

static bool host_list_outstanding(struct component_call *call, const struct value *args,
                                  struct value *result) {
    (void)args;
    struct error error = {0};
    struct slice *ids = NULL;
    uint32_t count = 0;
    if (actor_outstanding(host_self(call), component_call_arena(call), &ids, &count, &error) !=
        OK) {
        return component_call_trap(call, "%s", error.message);
    }
    return host_ids(call, ids, count, result);
}

static bool host_respond(struct component_call *call, const struct value *args,
                         struct value *result) {
    struct error error = {0};
    enum status status =
        actor_respond(host_self(call), host_bytes(&args[0]), host_bytes(&args[1]), &error);
    return host_done(call, status, &error, result);
}

static bool host_cancel(struct component_call *call, const struct value *args,
                        struct value *result) {
    struct error error = {0};
    enum status status = actor_cancel_request(host_self(call), host_bytes(&args[0]), &error);
    return host_done(call, status, &error, result);
}

static const struct host_function functions[] = {
    {"send",
     "message-server-host.send",
     host_send,
     {"func(string, list<u8>) -> result<_, string>"}},
    {"request",
     "message-server-host.request",
     host_request,
     {"func(string, list<u8>) -> result<list<u8>, string>"}},
    {"open-channel",
     "message-server-host.open-channel",
     host_open_channel,
     {"func(string, list<u8>) -> result<string, string>"}},
    {"send-on-channel",
     "message-server-host.send-on-channel",
     host_send_on_channel,
     {"func(string, list<u8>) -> result<_, string>"}},
    {"close-channel",
     "message-server-host.close-channel",
     host_close_channel,
     {"func(string) -> result<_, string>"}},
    {"list-outstanding-requests",
     "message-server-host.list-outstanding-requests",
     host_list_outstanding,
     {"func() -> list<string>"}},
    {"respond-to-request",
     "message-server-host.respond-to-request",
     host_respond,
     {"func(string, list<u8>) -> result<_, string>"}},
    {"cancel-request",
     "message-server-host.cancel-request",
     host_cancel,
     {"func(string) -> result<_, string>"}},
};
const struct host_interface host_message_server = {"message-server-host", functions,
                                                   COUNT_OF(functions)};

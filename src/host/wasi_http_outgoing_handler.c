// SPDX-License-Identifier: Apache-2.0
// wasi:http/outgoing-handler: there is no client yet, so every request is denied.
#include "host/wasi_http.h"

enum { HTTP_REQUEST_DENIED = 15 };  // of error-code

// Ends a resource that was given to the host.
static bool end(struct component_call *call, const struct value *own, enum wasi_kind kind) {
    struct wasi_slot slot;
    if (!wasi_take(call, own, kind, &slot)) {
        return false;
    }
    slot.release(slot.object);
    return true;
}

static bool handle(struct component_call *call, const struct value *args, struct value *result) {
    struct value *code = host_alloc(call, 1, sizeof *code);
    if (code == NULL || !end(call, &args[0], WASI_OUTGOING_REQUEST) ||
        (args[1].which == 1 && !end(call, args[1].items, WASI_REQUEST_OPTIONS))) {
        return false;
    }
    *code = (struct value){.items = NULL, .which = HTTP_REQUEST_DENIED};
    *result = (struct value){.items = code, .which = 1};
    return true;
}

static const struct host_function functions[] = {
    {"handle",
     "wasi:http/outgoing-handler.handle",
     handle,
     {"func(own<outgoing-request>, option<own<request-options>>) -> "
      "result<own<future-incoming-response>, " WASI_HTTP_CODES ">"}},
};
const struct host_interface wasi_http_outgoing_handler = {"wasi:http/outgoing-handler", functions,
                                                          COUNT_OF(functions)};

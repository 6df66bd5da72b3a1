// SPDX-License-Identifier: Apache-2.0
// wasi:io/error: why a stream failed. Says no more than the error code: no path of the host.
#include "host/wasi.h"

static const char *const names[WASI_FAILURE_COUNT] = {
    "access",
    "would-block",
    "already",
    "bad-descriptor",
    "busy",
    "deadlock",
    "quota",
    "exist",
    "file-too-large",
    "illegal-byte-sequence",
    "in-progress",
    "interrupted",
    "invalid",
    "io",
    "is-directory",
    "loop",
    "too-many-links",
    "message-size",
    "name-too-long",
    "no-device",
    "no-entry",
    "no-lock",
    "insufficient-memory",
    "insufficient-space",
    "not-directory",
    "not-empty",
    "not-recoverable",
    "unsupported",
    "no-tty",
    "no-such-device",
    "overflow",
    "not-permitted",
    "pipe",
    "read-only",
    "invalid-seek",
    "text-file-busy",
    "cross-device",
};

const char *wasi_failure_name(enum wasi_failure failure) {
    return names[failure];
}

static bool to_debug_string(struct component_call *call, const struct value *args,
                            struct value *result) {
    const struct wasi_slot *error = wasi_get(call, &args[0], WASI_ERROR);
    return error != NULL &&
           host_copy(call, slice_text(wasi_failure_name((enum wasi_failure)error->number)), result);
}

static const struct host_function functions[] = {
    {"[method]error.to-debug-string",
     "wasi:io/error.[method]error.to-debug-string",
     to_debug_string,
     {"func(borrow<error>) -> string"}},
};
const struct host_interface wasi_io_error = {"wasi:io/error", functions, COUNT_OF(functions)};

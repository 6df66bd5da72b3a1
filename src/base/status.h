// SPDX-License-Identifier: Apache-2.0
// How every room reports failure: a must-check status code, and a caller-owned `struct error`
// that holds the one sentence a user reads.
//
// The code says what kind of failure it is (callers branch on it); the error says what, where and
// what to do. The first error set wins; each layer on the way up adds what it was doing with
// error_context, so that the final sentence reads "actor 'x': component a.wasm: byte 17: …".
// Running guest code never yields a status for what the guest did: that is an outcome
// (component/component.h). A bug of ours is an assert; asserts stay on in release builds.
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>

#include "base/compat.h"

#define STATUS_LIST(X)                       \
    X(OK, "ok")                              \
    X(ERR_INVALID, "invalid input")          \
    X(ERR_UNSUPPORTED, "not supported")      \
    X(ERR_LIMIT, "limit exceeded")           \
    X(ERR_NOT_FOUND, "not found")            \
    X(ERR_EXISTS, "already exists")          \
    X(ERR_DENIED, "permission denied")       \
    X(ERR_IO, "input/output error")          \
    X(ERR_TIMEOUT, "timed out")              \
    X(ERR_BUSY, "busy")                      \
    X(ERR_STOPPING, "stopping")              \
    X(ERR_CLOSED, "closed")                  \
    X(ERR_DEADLOCK, "would wait for itself") \
    X(ERR_DAMAGED, "damaged data")           \
    X(ERR_TRAP, "trap")                      \
    X(ERR_GUEST, "application error")        \
    X(ERR_INTERNAL, "internal error")

#define STATUS_ENUM(name, sentence) name,
typedef enum status { STATUS_LIST(STATUS_ENUM) STATUS_COUNT } status_code;
#undef STATUS_ENUM

// The sentence of a code; "unknown status" for a value outside the enum. Static storage.
const char *status_text(enum status code);

enum { ERROR_MESSAGE_MAX = 1024 };

// Owned by the caller, on its stack or in its object; no release needed. Zero-initialised means
// "no error". `message` is UTF-8, at most ERROR_MESSAGE_MAX - 1 bytes, cut with "…" if longer.
struct error {
    enum status code;
    char message[ERROR_MESSAGE_MAX];
};

// Sets the error unless one is set already (or `error` is NULL); returns `code` either way, so
// that a function can end in `return error_set(error, ERR_INVALID, "…", …)`. `code` is not OK.
enum status error_set(struct error *error, enum status code, const char *format, ...)
    PRINTF_LIKE(3, 4);

// Puts "context: " before the message of an error that is set; does nothing otherwise. Returns the
// code, so that a layer can end in `return error_context(error, "component %s", path)`.
enum status error_context(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

// As error_set, appending ": " and the text of errno value `os_error`. The code is ERR_NOT_FOUND,
// ERR_DENIED, ERR_EXISTS or ERR_IO after the errno value.
enum status error_set_os(struct error *error, int os_error, const char *format, ...)
    PRINTF_LIKE(3, 4);

// Makes it "no error" again. NULL: nothing.
void error_clear(struct error *error);

// Ends the process with a report on stderr: a bug of ours, or memory that cannot be had.
NO_RETURN void fatal(const char *format, ...) PRINTF_LIKE(1, 2);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *status_text(enum status code) {
#define STATUS_SENTENCE(name, sentence) sentence,
    static const char *const sentences[] = {STATUS_LIST(STATUS_SENTENCE)};
#undef STATUS_SENTENCE
    return code < STATUS_COUNT ? sentences[code] : "unknown status";
}

// Ends a message that was cut with an ellipsis, on a UTF-8 boundary.
static void mark_cut(char *message, size_t capacity) {
    static const char ellipsis[] = "\xe2\x80\xa6";
    size_t at = capacity - sizeof ellipsis;
    while (at > 0 && ((unsigned char)message[at] & 0xc0U) == 0x80U) {
        at--;
    }
    memcpy(message + at, ellipsis, sizeof ellipsis);
}

static void format_message(char *message, const char *format, va_list args) {
    int needed = vsnprintf(message, ERROR_MESSAGE_MAX, format, args);
    if (needed >= ERROR_MESSAGE_MAX) {
        mark_cut(message, ERROR_MESSAGE_MAX);
    }
}

enum status error_set(struct error *error, enum status code, const char *format, ...) {
    assert(code != OK);
    if (error == NULL || error->code != OK) {
        return code;
    }
    error->code = code;
    va_list args;
    va_start(args, format);
    format_message(error->message, format, args);
    va_end(args);
    return code;
}

enum status error_context(struct error *error, const char *format, ...) {
    if (error == NULL || error->code == OK) {
        return error == NULL ? ERR_INTERNAL : OK;
    }
    char context[ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    format_message(context, format, args);
    va_end(args);
    char joined[2 * ERROR_MESSAGE_MAX + 2];
    int size = snprintf(joined, sizeof joined, "%s: %s", context, error->message);
    memcpy(error->message, joined, ERROR_MESSAGE_MAX);
    error->message[ERROR_MESSAGE_MAX - 1] = '\0';
    if (size >= ERROR_MESSAGE_MAX) {
        mark_cut(error->message, ERROR_MESSAGE_MAX);
    }
    return error->code;
}

enum status error_set_os(struct error *error, int os_error, const char *format, ...) {
    enum status code = ERR_IO;
    if (os_error == ENOENT || os_error == ENOTDIR) {
        code = ERR_NOT_FOUND;
    } else if (os_error == EACCES || os_error == EPERM) {
        code = ERR_DENIED;
    } else if (os_error == EEXIST) {
        code = ERR_EXISTS;
    }
    char what[ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    format_message(what, format, args);
    va_end(args);
    char reason[128];
    const char *text = strerror_r(os_error, reason, sizeof reason);
    return error_set(error, code, "%s: %s", what, text);
}

void error_clear(struct error *error) {
    if (error != NULL) {
        error->code = OK;
        error->message[0] = '\0';
    }
}

void fatal(const char *format, ...) {
    char message[ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    format_message(message, format, args);
    va_end(args);
    fprintf(stderr, "theater: fatal: %s\n", message);
    abort();
}

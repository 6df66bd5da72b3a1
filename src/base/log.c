// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/env.h"
#include "base/file.h"

enum { LINE_MOST_BYTES = 4096 };

static _Atomic int most_level = LOG_INFO;

void log_set_level(enum log_level most) {
    atomic_store_explicit(&most_level, (int)most, memory_order_relaxed);
}

// One write call per line: lines of different threads never mix (POSIX, regular files and pipes
// up to PIPE_BUF).
static void put_line(struct buf *line) {
    if (line->size > LINE_MOST_BYTES - 1) {
        line->size = LINE_MOST_BYTES - 1;
    }
    buf_append_byte(line, '\n');
    (void)file_write_all(STDERR_FILENO, line->data, line->size);
    buf_release(line);
}

static void put_time(struct buf *line) {
    uint64_t now = env_wall_ns(env_system());
    time_t seconds = (time_t)(now / 1000000000U);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    buf_format(line, "%02d:%02d:%02d.%03u ", parts.tm_hour, parts.tm_min, parts.tm_sec,
               (unsigned)(now / 1000000U % 1000U));
}

// Guest text reaches a terminal: no control character may pass, or it could rewrite the screen.
static void put_escaped(struct buf *line, struct slice text) {
    (void)buf_reserve(line, text.size < LINE_MOST_BYTES ? text.size : LINE_MOST_BYTES);
    size_t plain = 0;  // from here to i nothing needs an escape
    for (size_t i = 0; i < text.size && line->size + (i - plain) < LINE_MOST_BYTES; i++) {
        uint8_t byte = text.data[i];
        bool c1 = byte == 0xc2 && i + 1 < text.size && text.data[i + 1] >= 0x80 &&
                  text.data[i + 1] < 0xa0;
        if (!c1 && byte >= 0x20 && byte != 0x7f) {
            continue;
        }
        buf_append(line, text.data + plain, i - plain);
        if (c1) {  // both bytes: the second alone is a control character to some terminals
            buf_format(line, "\\x%02x\\x%02x", byte, text.data[++i]);
        } else {
            buf_format(line, "\\x%02x", byte);
        }
        plain = i + 1;
    }
    size_t left = text.size - plain;
    size_t room = line->size < LINE_MOST_BYTES ? LINE_MOST_BYTES - line->size : 0;
    buf_append(line, text.data + plain, left < room ? left : room);
}

void log_line(enum log_level level, const char *format, ...) {
    static const char *const names[] = {"error: ", "warning: ", "", "debug: "};
    if ((int)level > atomic_load_explicit(&most_level, memory_order_relaxed)) {
        return;
    }
    char text[LINE_MOST_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct buf line = {0};
    put_time(&line);
    buf_append_text(&line, names[level]);
    put_escaped(&line, slice_text(text));
    put_line(&line);
}

void log_actor(const char *actor, struct slice text) {
    if (atomic_load_explicit(&most_level, memory_order_relaxed) < LOG_INFO) {
        return;
    }
    struct buf line = {0};
    put_time(&line);
    buf_append_byte(&line, '[');
    put_escaped(&line, slice_text(actor));
    buf_append_text(&line, "] ");
    put_escaped(&line, text);
    put_line(&line);
}

// SPDX-License-Identifier: Apache-2.0
// The node's own log: one line per call on a stream (stderr unless set), never mixed, never
// holding control characters that a guest chose. Any thread.
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/bytes.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

// Lines above `most` are dropped. The default is LOG_INFO.
void log_set_level(enum log_level most);
// One line: time, level, text. Longer lines than 4 KiB are cut.
void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);
// A line that an actor wrote: `actor` is its id or name. Control characters are escaped.
void log_actor(const char *actor, struct slice text);

#endif

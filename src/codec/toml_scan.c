// SPDX-License-Identifier: Apache-2.0
// The scanner over TOML text; see toml_scan.h. It never fails: on text that is not TOML it merely
// gives contexts that a parser would refuse.
#include "codec/toml_scan.h"

#include <assert.h>
#include <stdio.h>

static size_t run_of(const struct toml_scan *scan, char byte) {
    size_t count = 0;
    while (scan->at + count < scan->size && scan->text[scan->at + count] == byte) {
        count++;
    }
    return count;
}

static void step_bare(struct toml_scan *scan) {
    char byte = scan->text[scan->at];
    if (byte == '#') {
        scan->context = TOML_IN_COMMENT;
    } else if (byte == '"' || byte == '\'') {
        bool lines = run_of(scan, byte) >= 3;
        if (byte == '"') {
            scan->context = lines ? TOML_IN_BASIC_LINES : TOML_IN_BASIC;
        } else {
            scan->context = lines ? TOML_IN_LITERAL_LINES : TOML_IN_LITERAL;
        }
        scan->at += lines ? 2 : 0;
    }
    scan->at++;
}

// A string of one line ends at its quote; a line end inside it is an error that the parser tells.
static void step_line(struct toml_scan *scan, char quote) {
    char byte = scan->text[scan->at];
    if (byte == '\\' && quote == '"') {
        scan->at++;
    } else if (byte == quote || byte == '\n') {
        scan->context = TOML_IN_BARE;
    }
    scan->at++;
}

// The closing three quotes may be preceded by one or two that belong to the string.
static void step_lines(struct toml_scan *scan, char quote) {
    char byte = scan->text[scan->at];
    if (byte == '\\' && quote == '"') {
        scan->at++;
    } else if (byte == quote && run_of(scan, quote) >= 3) {
        size_t run = run_of(scan, quote);
        scan->at += (run < 5 ? run : 5) - 1;
        scan->context = TOML_IN_BARE;
    }
    scan->at++;
}

void toml_scan_step(struct toml_scan *scan) {
    assert(scan->at < scan->size);
    switch (scan->context) {
        case TOML_IN_BARE:
            step_bare(scan);
            break;
        case TOML_IN_COMMENT:
            if (scan->text[scan->at] == '\n') {
                scan->context = TOML_IN_BARE;
            }
            scan->at++;
            break;
        case TOML_IN_BASIC:
            step_line(scan, '"');
            break;
        case TOML_IN_LITERAL:
            step_line(scan, '\'');
            break;
        case TOML_IN_BASIC_LINES:
            step_lines(scan, '"');
            break;
        case TOML_IN_LITERAL_LINES:
            step_lines(scan, '\'');
            break;
    }
    if (scan->at > scan->size) {
        scan->at = scan->size;
    }
}

void toml_scan_position(const char *text, size_t at, uint32_t *line, uint32_t *column) {
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)text[i] & 0xC0U) != 0x80U) {
            ++*column;
        }
    }
}

static bool refuse(const char *text, size_t at, const char *what, int most,
                   struct toml_failure *failure) {
    toml_scan_position(text, at, &failure->line, &failure->column);
    (void)snprintf(failure->message, sizeof failure->message, "%s: at most %d are allowed", what,
                   most);
    return false;
}

static bool is_key_byte(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '-' || byte == ' ' ||
           byte == '\t';
}

bool toml_scan_shape(const char *text, size_t size, struct toml_failure *failure) {
    struct toml_scan scan = {.text = text, .size = size, .at = 0, .context = TOML_IN_BARE};
    int depth = 0, dots = 0;
    while (scan.at < size) {
        size_t at = scan.at;
        enum toml_context before = scan.context;
        toml_scan_step(&scan);
        if (before != TOML_IN_BARE || scan.context != TOML_IN_BARE) {
            continue;  // strings may be parts of a dotted key: they do not end the count
        }
        char byte = text[at];
        if (byte == '.') {
            if (++dots >= TOML_KEY_PARTS_MAX) {
                return refuse(text, at, "too many parts in a dotted key", TOML_KEY_PARTS_MAX,
                              failure);
            }
        } else if (!is_key_byte(byte)) {
            dots = 0;
        }
        if (byte == '[' || byte == '{') {
            if (++depth > TOML_DEPTH_MAX) {
                return refuse(text, at, "too many arrays or tables in one another", TOML_DEPTH_MAX,
                              failure);
            }
        } else if ((byte == ']' || byte == '}') && depth > 0) {
            depth--;
        }
    }
    return true;
}

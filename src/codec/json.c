// SPDX-License-Identifier: Apache-2.0
// The adapter over jansson; see json.h.
#include "codec/json.h"

#include <assert.h>

// jansson's own sentences quote the input.
static const char *problem_text(enum json_error_code code) {
    switch (code) {
        case json_error_premature_end_of_input:
            return "the text ends too early";
        case json_error_end_of_input_expected:
            return "something stands behind the value";
        case json_error_invalid_utf8:
            return "invalid UTF-8";
        case json_error_duplicate_key:
            return "a key appears twice in one object";
        case json_error_numeric_overflow:
            return "a number is out of range (integers have 64 bits)";
        case json_error_stack_overflow:
            return "too many arrays or objects in one another";
        case json_error_out_of_memory:
            return "out of memory";
        case json_error_null_character:
        case json_error_null_byte_in_key:
            return "a key holds a NUL character";
        case json_error_unknown:
        case json_error_invalid_argument:
        case json_error_cannot_open_file:
        case json_error_invalid_syntax:
        case json_error_invalid_format:
        case json_error_wrong_type:
        case json_error_null_value:
        case json_error_item_not_found:
        case json_error_index_out_of_range:
            break;
    }
    return "not JSON";
}

enum status json_parse(struct slice text, json_t **out, struct error *error) {
    assert(out != NULL);
    json_error_t problem;
    size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    *out = json_loadb(text.size == 0 ? "" : (const char *)text.data, text.size, flags, &problem);
    if (*out == NULL) {
        return error_set(
            error, ERR_INVALID, "line %d, column %d: %s", problem.line < 1 ? 1 : problem.line,
            problem.column < 1 ? 1 : problem.column, problem_text(json_error_code(&problem)));
    }
    return OK;
}

static int append(const char *data, size_t size, void *context) {
    buf_append(context, data, size);
    return 0;
}

void json_write(const json_t *value, struct buf *out) {
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17);
    if (json_dump_callback(value, append, out, flags) != 0) {
        fatal("a JSON value cannot be written");  // only memory or a cycle can cause this
    }
}

void json_write_text(struct slice text, struct buf *out) {
    buf_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '"' || byte == '\\') {
            buf_append_byte(out, '\\');
            buf_append_byte(out, byte);
        } else if (byte < 0x20 || byte == 0x7F) {
            buf_format(out, "\\u%04x", byte);
        } else {
            buf_append_byte(out, byte);
        }
    }
    buf_append_byte(out, '"');
}

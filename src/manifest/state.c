// SPDX-License-Identifier: Apache-2.0
// The initial state; see state.h. Bytes that nothing is merged into stay as they were written, so
// that numbers keep their digits.
#include "manifest/state.h"

#include "codec/json.h"

static bool is_space(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static struct slice trim_json(struct slice text) {
    while (text.size > 0 && is_space(text.data[0])) {
        text = slice_of(text.data + 1, text.size - 1);
    }
    while (text.size > 0 && is_space(text.data[text.size - 1])) {
        text.size--;
    }
    return text;
}

static enum status take_json(struct reader *reader, struct place at, const char *what,
                             struct slice text, struct bytes **bytes, json_t **json) {
    struct error problem = {0};
    if (json_parse(text, json, &problem) != OK) {
        return reader_fail(reader, at, ERR_INVALID, "%s: not a JSON document: %s", what,
                           problem.message);
    }
    *bytes = bytes_copy(trim_json(text));
    return OK;
}

static enum status read_reference(struct reader *reader, const struct toml_value *value,
                                  struct bytes **bytes, json_t **json) {
    const char *reference;
    enum status status = reader_text(reader, "", "init_state", value, &reference);
    if (status != OK) {
        return status;
    }
    const struct manifest *manifest = reader->manifest;
    const struct manifest_resolver *resolver = reader->options->resolver;
    struct bytes *content = NULL;
    struct error problem = {0};
    status = resolver->read(resolver->context, manifest->folder, manifest->confined_to, reference,
                            MANIFEST_STATE_MAX_BYTES, &content, &problem);
    const char *shown = reader_quote(reader, value->text, value->text_size);
    if (status != OK) {
        return reader_fail(reader, place_of(value), status, "init_state: \"%s\": %s", shown,
                           problem.message);
    }
    struct buf what = {0};
    buf_format(&what, "init_state: \"%s\"", shown);
    status = take_json(reader, place_of(value), buf_text(&what), bytes_slice(content), bytes, json);
    buf_release(&what);
    bytes_unref(content);
    return status;
}

static enum status read_own(struct reader *reader, const struct toml_value *root,
                            struct bytes **bytes, json_t **json) {
    const struct toml_value *reference = toml_find(root, "init_state");
    const struct toml_value *inline_text = toml_find(root, "initial_state");
    if (reference != NULL && inline_text != NULL) {
        return reader_fail(reader, place_of(inline_text), ERR_INVALID,
                           "initial_state: init_state is given too; keep one of them");
    }
    if (reference != NULL) {
        return read_reference(reader, reference, bytes, json);
    }
    if (inline_text == NULL) {
        return OK;
    }
    if (inline_text->kind != TOML_STRING) {
        return reader_wrong_kind(reader, "", "initial_state", inline_text,
                                 "a string that holds JSON");
    }
    return take_json(reader, place_of(inline_text), "initial_state",
                     slice_of(inline_text->text, inline_text->text_size), bytes, json);
}

// Objects are merged by their top-level keys, the given ones winning; anything else is replaced.
static void merge(struct bytes **bytes, json_t **json, struct bytes *given_bytes, json_t *given) {
    if (*json != NULL && json_is_object(*json) && json_is_object(given)) {
        if (json_object_update(*json, given) != 0) {
            fatal("out of memory");
        }
        struct buf text = {0};
        json_write(*json, &text);
        bytes_unref(*bytes);
        bytes_unref(given_bytes);
        json_decref(given);
        *bytes = bytes_copy(buf_slice(&text));
        buf_release(&text);
        return;
    }
    bytes_unref(*bytes);
    json_decref(*json);
    *bytes = given_bytes;
    *json = given;
}

enum status state_read(struct reader *reader, const struct toml_value *root, struct bytes **bytes,
                       json_t **json) {
    const struct manifest_options *options = reader->options;
    *bytes = NULL;
    *json = NULL;
    if (options->has_state && options->state.size > MANIFEST_STATE_MAX_BYTES) {
        return error_set(reader->error, ERR_LIMIT,
                         "the state given at start has %zu bytes, at most %d are allowed",
                         options->state.size, (int)MANIFEST_STATE_MAX_BYTES);
    }
    if (options->has_state && options->exact_state) {
        *bytes = bytes_copy(options->state);
        if (json_parse(options->state, json, NULL) != OK) {
            *json = NULL;  // any bytes will do; there are merely no variables in them
        }
        return OK;
    }
    struct bytes *given_bytes = NULL;
    json_t *given = NULL;
    if (options->has_state) {
        struct error problem = {0};
        if (json_parse(options->state, &given, &problem) != OK) {
            return error_set(reader->error, ERR_INVALID,
                             "the state given at start is not a JSON document: %s",
                             problem.message);
        }
        given_bytes = bytes_copy(trim_json(options->state));
    }
    enum status status = read_own(reader, root, bytes, json);
    if (status != OK) {
        bytes_unref(given_bytes);
        json_decref(given);
    } else if (given != NULL) {
        merge(bytes, json, given_bytes, given);
    }
    return status;
}

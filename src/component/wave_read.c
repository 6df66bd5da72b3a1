// SPDX-License-Identifier: Apache-2.0
// Reading WAVE by a type. Recursion follows the type, whose depth is bounded (TYPE_DEPTH_MAX), so
// that no text can nest deeper; memory is bounded by the caller's arena.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/utf8.h"
#include "component/types.h"
#include "component/wave_reader.h"

enum { TYPE_TEXT_MAX = 240 };  // bytes of a type in an error
#define TEXT_MAX_BYTES (UINT64_C(1) << 30)

static bool read_value(struct wave_reader *reader, const struct component_type *type,
                       struct value *out);

// The type in WIT's words, cut when it is long.
static const char *type_words(const struct component_type *type, struct buf *out) {
    component_type_print(type, out);
    if (out->size > TYPE_TEXT_MAX) {
        out->size = utf8_valid_prefix(slice_of(out->data, TYPE_TEXT_MAX));
        buf_append_text(out, "…");
    }
    return buf_text(out);
}

static bool expected_type(struct wave_reader *reader, const struct component_type *type) {
    struct buf words = {0};
    (void)wave_expected(reader, type_words(type, &words));
    buf_release(&words);
    return false;
}

// "in TYPE" behind a complaint about one of its parts.
static bool fail_in(struct wave_reader *reader, size_t at, const char *what, struct slice name,
                    const struct component_type *type) {
    struct buf words = {0};
    (void)wave_fail(reader, at, "%s '%.*s' in %s", what, (int)(name.size < 100 ? name.size : 100),
                    (const char *)name.data, type_words(type, &words));
    buf_release(&words);
    return false;
}

// ---- memory ------------------------------------------------------------------------------------

// Moves what lies on the stack behind `mark` into the arena; NULL after failing.
static const void *keep(struct wave_reader *reader, size_t mark) {
    size_t size = reader->stack.size - mark;
    void *kept = arena_try_alloc(reader->arena, size, _Alignof(struct value));
    if (kept == NULL) {
        (void)wave_no_room(reader);
        return NULL;
    }
    if (size != 0) {
        memcpy(kept, reader->stack.data + mark, size);
    }
    reader->stack.size = mark;
    return kept;
}

static struct value *new_values(struct wave_reader *reader, uint32_t count) {
    uint64_t size = (uint64_t)count * sizeof(struct value);
    struct value *values = arena_try_alloc(reader->arena, size, _Alignof(struct value));
    if (values == NULL) {
        (void)wave_no_room(reader);
    } else if (size != 0) {
        memset(values, 0, size);
    }
    return values;
}

// Reads the payload of a case into memory of its own.
static bool read_payload(struct wave_reader *reader, const struct component_type *type,
                         const struct value **out) {
    struct value *payload = new_values(reader, 1);
    *out = payload;
    return payload != NULL && read_value(reader, type, payload);
}

// ---- sequences ---------------------------------------------------------------------------------

// After an item: true when another one follows (a comma, and not the end behind it).
static bool has_next(struct wave_reader *reader, char end, bool *is_closed) {
    bool has_comma = wave_take(reader, ',');
    *is_closed = wave_take(reader, end);
    if (!*is_closed && !has_comma) {
        char what[] = "',' or '?'";
        what[sizeof what - 3] = end;
        return wave_expected(reader, what);
    }
    return !*is_closed;
}

static bool read_string(struct wave_reader *reader, struct value *out) {
    size_t mark = reader->stack.size;
    if (!wave_string(reader)) {
        return false;
    }
    out->count = (uint32_t)(reader->stack.size - mark);
    out->bytes = keep(reader, mark);
    return out->bytes != NULL;
}

static bool read_list(struct wave_reader *reader, const struct component_type *type,
                      struct value *out) {
    const struct component_type *item = type->items[0];
    if (!wave_take(reader, '[')) {
        return expected_type(reader, type);
    }
    size_t mark = reader->stack.size;
    bool is_closed = wave_take(reader, ']');
    bool goes_on = !is_closed;
    uint32_t count = 0;
    for (; goes_on; count++) {
        struct value value = {0};
        if (!read_value(reader, item, &value)) {
            return false;
        }
        // Little-endian, as in guest memory: the low bytes come first.
        buf_append(&reader->stack, &value, item->is_plain ? item->size : sizeof value);
        goes_on = has_next(reader, ']', &is_closed);
    }
    if (!is_closed) {
        return false;
    }
    out->count = count;
    out->bytes = keep(reader, mark);
    return out->bytes != NULL;
}

static bool read_tuple(struct wave_reader *reader, const struct component_type *type,
                       struct value *out) {
    size_t begin = reader->at;
    struct value *items = new_values(reader, type->item_count);
    if (items == NULL) {
        return false;
    }
    if (!wave_take(reader, '(')) {
        return expected_type(reader, type);
    }
    bool is_closed = wave_take(reader, ')');
    uint32_t count = 0;
    for (bool goes_on = !is_closed; goes_on; count++) {
        if (count == type->item_count) {
            struct buf words = {0};
            (void)wave_fail(reader, reader->at, "more than the %u values of %s", count,
                            type_words(type, &words));
            buf_release(&words);
            return false;
        }
        if (!read_value(reader, type->items[count], &items[count])) {
            return false;
        }
        goes_on = has_next(reader, ')', &is_closed);
    }
    if (is_closed && count != type->item_count) {
        struct buf words = {0};
        (void)wave_fail(reader, begin, "%u of the %u values of %s", count, type->item_count,
                        type_words(type, &words));
        buf_release(&words);
        return false;
    }
    *out = (struct value){.items = items, .count = count};
    return is_closed;
}

// ---- labels ------------------------------------------------------------------------------------

static uint32_t find_name(const struct component_type *type, struct slice name) {
    for (uint32_t i = 0; i < type->item_count; i++) {
        if (slice_equal(type->names[i], name)) {
            return i;
        }
    }
    return UINT32_MAX;
}

// One "label: value" of a record; `seen` has a flag per field.
static bool read_field(struct wave_reader *reader, const struct component_type *type,
                       struct value *items, bool *seen) {
    struct wave_word label;
    if (!wave_word(reader, &label)) {
        return wave_expected(reader, "a field's name (the record without any is {:})");
    }
    uint32_t index = find_name(type, label.text);
    if (index == UINT32_MAX) {
        return fail_in(reader, label.at, "there is no field", label.text, type);
    }
    if (seen[index]) {
        return fail_in(reader, label.at, "a second field", label.text, type);
    }
    seen[index] = true;
    if (!wave_take(reader, ':')) {
        return wave_expected(reader, "':'");
    }
    return read_value(reader, type->items[index], &items[index]);
}

static bool read_fields(struct wave_reader *reader, const struct component_type *type,
                        struct value *items, bool *seen) {
    bool is_closed = false;
    // {:} is the record of which every field was left out; {} would be flags.
    if (wave_take(reader, ':')) {
        return wave_take(reader, '}') || wave_expected(reader, "'}'");
    }
    do {
        if (!read_field(reader, type, items, seen)) {
            return false;
        }
    } while (has_next(reader, '}', &is_closed));
    return is_closed;
}

static bool read_record(struct wave_reader *reader, const struct component_type *type,
                        struct value *out) {
    size_t begin = reader->at;
    struct value *items = new_values(reader, type->item_count);
    if (items == NULL) {
        return false;
    }
    if (!wave_take(reader, '{')) {
        return expected_type(reader, type);
    }
    bool *seen = xcalloc(type->item_count, sizeof *seen);
    bool is_good = read_fields(reader, type, items, seen);
    for (uint32_t i = 0; is_good && i < type->item_count; i++) {
        // Zeroed, an option that was left out is none.
        if (!seen[i] && type->items[i]->kind != COMPONENT_OPTION) {
            is_good = fail_in(reader, begin, "missing field", type->names[i], type);
        }
    }
    free(seen);
    *out = (struct value){.items = items, .count = type->item_count};
    return is_good;
}

static bool read_flags(struct wave_reader *reader, const struct component_type *type,
                       struct value *out) {
    if (!wave_take(reader, '{')) {
        return expected_type(reader, type);
    }
    bool is_closed = wave_take(reader, '}');
    for (bool goes_on = !is_closed; goes_on;) {
        struct wave_word label;
        if (!wave_word(reader, &label)) {
            return wave_expected(reader, "a flag's name");
        }
        uint32_t index = find_name(type, label.text);
        if (index == UINT32_MAX) {
            return fail_in(reader, label.at, "there is no flag", label.text, type);
        }
        if ((out->bits >> index & 1) != 0) {
            return fail_in(reader, label.at, "a second flag", label.text, type);
        }
        out->bits |= UINT64_C(1) << index;
        goes_on = has_next(reader, '}', &is_closed);
    }
    return is_closed;
}

// Enums and variants.
static bool read_case(struct wave_reader *reader, const struct component_type *type,
                      struct value *out) {
    struct wave_word label;
    if (!wave_word(reader, &label)) {
        return expected_type(reader, type);
    }
    uint32_t which = find_name(type, label.text);
    if (which == UINT32_MAX) {
        return fail_in(reader, label.at, "there is no case", label.text, type);
    }
    if (!label.is_escaped && wave_is_keyword(label.text)) {
        return wave_fail(reader, label.at, "the case '%.*s' has a keyword's name: write %%%.*s",
                         (int)label.text.size, (const char *)label.text.data, (int)label.text.size,
                         (const char *)label.text.data);
    }
    const struct component_type *payload = type_case(type, which);
    *out = (struct value){.which = which};
    if (payload == NULL) {
        return true;
    }
    if (!wave_take(reader, '(')) {
        return wave_expected(reader, "'(' and the case's value");
    }
    return read_payload(reader, payload, &out->items) &&
           (wave_take(reader, ')') || wave_expected(reader, "')'"));
}

// ---- options and results -----------------------------------------------------------------------

// Whether the payload may stand for the whole.
static bool is_flat(const struct component_type *payload) {
    return payload != NULL && payload->kind != COMPONENT_OPTION &&
           payload->kind != COMPONENT_RESULT;
}

// Options and results: NAMES[which], with a payload in parentheses, or the payload of `flat` alone.
static bool read_keyword_case(struct wave_reader *reader, const struct component_type *type,
                              const char *const names[2], uint32_t flat, struct value *out) {
    struct wave_word word;
    uint32_t which = 2;
    if (wave_peek_word(reader, &word) && !word.is_escaped) {
        which = slice_equal_text(word.text, names[0])   ? 0
                : slice_equal_text(word.text, names[1]) ? 1
                                                        : 2;
    }
    if (which == 2) {
        *out = (struct value){.which = flat};
        const struct component_type *payload = type_case(type, flat);
        return is_flat(payload) ? read_payload(reader, payload, &out->items)
                                : expected_type(reader, type);
    }
    (void)wave_word(reader, &word);
    const struct component_type *payload = type_case(type, which);
    *out = (struct value){.which = which};
    if (payload == NULL) {
        return true;
    }
    if (!wave_take(reader, '(')) {
        char what[40];
        (void)snprintf(what, sizeof what, "'(' and the value of %s", names[which]);
        return wave_expected(reader, what);
    }
    return read_payload(reader, payload, &out->items) &&
           (wave_take(reader, ')') || wave_expected(reader, "')'"));
}

static bool read_bool(struct wave_reader *reader, struct value *out) {
    struct wave_word word;
    if (wave_peek_word(reader, &word) && !word.is_escaped) {
        bool is_true = slice_equal_text(word.text, "true");
        if (is_true || slice_equal_text(word.text, "false")) {
            out->bits = is_true;
            return wave_word(reader, &word);
        }
    }
    return wave_expected(reader, "bool (true or false)");
}

static bool read_value(struct wave_reader *reader, const struct component_type *type,
                       struct value *out) {
    static const char *const OPTION[2] = {"none", "some"};
    static const char *const RESULT[2] = {"ok", "err"};
    wave_skip(reader);
    *out = (struct value){.bits = 0};
    switch (type->kind) {
        case COMPONENT_BOOL:
            return read_bool(reader, out);
        case COMPONENT_S8:
        case COMPONENT_U8:
        case COMPONENT_S16:
        case COMPONENT_U16:
        case COMPONENT_S32:
        case COMPONENT_U32:
        case COMPONENT_S64:
        case COMPONENT_U64:
        case COMPONENT_F32:
        case COMPONENT_F64:
            return wave_number(reader, type->kind, &out->bits);
        case COMPONENT_CHAR:
            return wave_char(reader, &out->bits);
        case COMPONENT_STRING:
            return read_string(reader, out);
        case COMPONENT_LIST:
            return read_list(reader, type, out);
        case COMPONENT_RECORD:
            return read_record(reader, type, out);
        case COMPONENT_TUPLE:
            return read_tuple(reader, type, out);
        case COMPONENT_VARIANT:
        case COMPONENT_ENUM:
            return read_case(reader, type, out);
        case COMPONENT_OPTION:
            return read_keyword_case(reader, type, OPTION, 1, out);
        case COMPONENT_RESULT:
            return read_keyword_case(reader, type, RESULT, 0, out);
        case COMPONENT_FLAGS:
            return read_flags(reader, type, out);
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            return wave_fail(reader, reader->at,
                             "a handle of a resource cannot be written in WAVE");
    }
    fatal("component type of kind %d cannot be read", (int)type->kind);
}

// ---- the two ways in ---------------------------------------------------------------------------

static bool reader_init(struct wave_reader *reader, struct slice text, struct arena *arena,
                        struct error *error) {
    *reader =
        (struct wave_reader){.data = text.data, .size = text.size, .arena = arena, .error = error};
    if (text.size > TEXT_MAX_BYTES) {
        reader->status = error_set(error, ERR_LIMIT, "%zu bytes of text, the limit is %llu",
                                   text.size, (unsigned long long)TEXT_MAX_BYTES);
        return false;
    }
    size_t valid = utf8_valid_prefix(text);
    return valid == text.size || wave_fail(reader, valid, "the text is not UTF-8");
}

static enum status reader_end(struct wave_reader *reader, bool is_good) {
    if (is_good) {
        wave_skip(reader);
        if (reader->at != reader->size) {
            (void)wave_expected(reader, "nothing behind it");
        }
    }
    assert(is_good || reader->status != OK);
    buf_release(&reader->stack);
    return reader->status;
}

enum status wave_read(struct slice text, const struct component_type *type, struct arena *arena,
                      struct value *out, struct error *error) {
    assert(type != NULL && arena != NULL && out != NULL);
    struct wave_reader reader;
    return reader_end(&reader,
                      reader_init(&reader, text, arena, error) && read_value(&reader, type, out));
}

// Says what the function takes, at the place where the arguments did not fit it.
static bool wrong_count(struct wave_reader *reader, size_t at, const char *what,
                        const struct component_func_type *type) {
    struct buf words = {0};
    component_func_type_print(type, &words);
    if (words.size > TYPE_TEXT_MAX) {
        words.size = TYPE_TEXT_MAX;
        buf_append_text(&words, "…");
    }
    (void)wave_fail(reader, at, "%s: it takes %u argument%s: %s", what, type->param_count,
                    type->param_count == 1 ? "" : "s", buf_text(&words));
    buf_release(&words);
    return false;
}

static bool read_arguments(struct wave_reader *reader, const struct component_func_type *type,
                           struct value *args) {
    uint32_t count = 0;
    wave_skip(reader);
    if (reader->at != reader->size) {
        if (!wave_take(reader, '(')) {
            return wave_expected(reader, "'(' and the arguments");
        }
        bool is_closed = wave_take(reader, ')');
        for (bool goes_on = !is_closed; goes_on; count++) {
            if (count == type->param_count) {
                return wrong_count(reader, reader->at, "too many arguments", type);
            }
            if (!read_value(reader, type->params[count], &args[count])) {
                struct slice name = type->param_names[count];
                (void)error_context(reader->error, "argument %u (%.*s)", count + 1, (int)name.size,
                                    (const char *)name.data);
                return false;
            }
            goes_on = has_next(reader, ')', &is_closed);
        }
        if (!is_closed) {
            return false;
        }
    }
    for (; count < type->param_count; count++) {
        if (type->params[count]->kind != COMPONENT_OPTION) {
            return wrong_count(reader, reader->at, "too few arguments", type);
        }
        args[count] = (struct value){.which = 0};
    }
    return true;
}

enum status wave_read_arguments(struct slice text, size_t at,
                                const struct component_func_type *type, struct arena *arena,
                                struct value *args, struct error *error) {
    assert(type != NULL && at <= text.size);
    struct wave_reader reader;
    bool is_good = reader_init(&reader, text, arena, error);
    reader.at = at;
    return reader_end(&reader, is_good && read_arguments(&reader, type, args));
}

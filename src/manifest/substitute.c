// SPDX-License-Identifier: Apache-2.0
// Variables: finding them with the TOML scanner, looking them up, writing values for their place.
// See substitute.h.
#include "manifest/substitute.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/json.h"
#include "codec/toml_scan.h"

enum { VARIABLE_MAX_BYTES = 1024, PATH_PARTS_MAX = 64, VALUE_DEPTH_MAX = TOML_DEPTH_MAX };

// One variable as written. Slices point into the text.
struct variable {
    size_t size;  // bytes, delimiters included
    bool is_handlebars;
    struct slice path;
    bool has_fallback;
    struct slice fallback;    // as written
    bool fallback_is_quoted;  // {{default x "…"}}: a text; ${x:…} is put in as it stands
    const char *problem;      // what is wrong with it, or NULL
};

static bool report(struct substitution_problem *problem, size_t at, const char *format, ...)
    PRINTF_LIKE(3, 4);
static bool report(struct substitution_problem *problem, size_t at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(problem->message, sizeof problem->message, format, args);
    va_end(args);
    problem->at = at;
    return false;
}

// ---- Reading a variable ------------------------------------------------------------------------

static bool is_path(struct slice path) {
    for (size_t i = 0; i < path.size; i++) {
        uint8_t byte = path.data[i];
        bool fine = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                    (byte >= '0' && byte <= '9') || byte == '_' || byte == '-' || byte == '.' ||
                    byte == '[' || byte == ']' || byte >= 0x80;
        if (!fine) {
            return false;
        }
    }
    return path.size > 0;
}

// ${path} or ${path:default}; braces inside the default count.
static void read_dollar(struct slice text, struct variable *out) {
    size_t depth = 1, end = 2, colon = 0;
    for (; end < text.size && end < VARIABLE_MAX_BYTES; end++) {
        uint8_t byte = text.data[end];
        if (byte == '\n' || byte == '\0') {
            break;
        }
        colon = byte == ':' && colon == 0 ? end : colon;
        depth += byte == '{' ? 1 : 0;
        depth -= byte == '}' ? 1 : 0;
        if (depth == 0) {
            break;
        }
    }
    if (depth != 0) {
        out->size = 2;
        out->problem = "\"${\" without its \"}\" in the line";
        return;
    }
    out->size = end + 1;
    out->path = slice_of(text.data + 2, (colon != 0 ? colon : end) - 2);
    out->has_fallback = colon != 0;
    if (colon != 0) {
        out->fallback = slice_of(text.data + colon + 1, end - colon - 1);
    }
}

// default path "text", default path 12
static void read_default(struct slice inside, struct variable *out) {
    struct slice rest = slice_trim(slice_of(inside.data + 7, inside.size - 7));
    size_t name = 0;
    while (name < rest.size && rest.data[name] != ' ' && rest.data[name] != '\t') {
        name++;
    }
    out->path = slice_of(rest.data, name);
    out->has_fallback = true;
    out->fallback = slice_trim(slice_of(rest.data + name, rest.size - name));
    struct slice fallback = out->fallback;
    if (fallback.size >= 2 && (fallback.data[0] == '"' || fallback.data[0] == '\'') &&
        fallback.data[fallback.size - 1] == fallback.data[0]) {
        out->fallback_is_quoted = true;
        out->fallback = slice_of(fallback.data + 1, fallback.size - 2);
    } else if (fallback.size == 0) {
        out->problem = "\"{{default\" needs a path and a value";
    }
}

// {{path}}, {{{path}}}, {{default path value}}
static void read_braces(struct slice text, struct variable *out) {
    size_t braces = text.size > 2 && text.data[2] == '{' ? 3 : 2, end = braces;
    uint8_t quote = 0;
    out->is_handlebars = true;
    for (; end < text.size && end < VARIABLE_MAX_BYTES; end++) {
        uint8_t byte = text.data[end];
        if (byte == '\n' || byte == '\0') {
            end = text.size;
            break;
        }
        if (quote != 0) {
            quote = byte == quote ? 0 : quote;
        } else if (byte == '"' || byte == '\'') {
            quote = byte;
        } else if (byte == '}') {
            break;
        }
    }
    size_t closing = 0;
    while (closing < braces && end + closing < text.size && text.data[end + closing] == '}') {
        closing++;
    }
    if (closing != braces) {
        out->size = 2;
        out->problem = "\"{{\" without its \"}}\" in the line";
        return;
    }
    out->size = end + braces;
    struct slice inside = slice_trim(slice_of(text.data + braces, end - braces));
    if (slice_starts_with(inside, "default ") || slice_starts_with(inside, "default\t")) {
        read_default(inside, out);
    } else {
        out->path = inside;
    }
}

// Reads the variable at `at`, outside of comments; false when none begins there.
static bool read_variable(struct slice text, size_t at, enum toml_context context,
                          struct variable *out) {
    *out = (struct variable){0};
    if (context == TOML_IN_COMMENT || text.size - at < 3) {
        return false;
    }
    struct slice rest = slice_of(text.data + at, text.size - at);
    if (slice_starts_with(rest, "${")) {
        read_dollar(rest, out);
    } else if (slice_starts_with(rest, "{{")) {
        read_braces(rest, out);
    } else {
        return false;
    }
    if (out->problem == NULL && !is_path(out->path)) {
        out->problem = out->is_handlebars
                           ? "only {{path}} and {{default path \"text\"}} are supported"
                           : "a path has letters, digits, \"_\", \"-\", \".\" and [index]";
    }
    return true;
}

// ---- Walking the text --------------------------------------------------------------------------

static struct toml_scan scan_of(struct slice text) {
    return (struct toml_scan){.text = (const char *)text.data, .size = text.size};
}

bool substitute_has_variables_in(struct slice text, struct span span) {
    struct toml_scan scan = scan_of(text);
    struct variable variable;
    while (scan.at < scan.size && scan.at < span.to) {
        if (scan.at >= span.from && read_variable(text, scan.at, scan.context, &variable)) {
            return true;
        }
        toml_scan_step(&scan);
    }
    return false;
}

bool substitute_has_variables(struct slice text) {
    return substitute_has_variables_in(text, (struct span){0, text.size});
}

static bool is_kept(struct span keep, size_t at) {
    return at >= keep.from && at < keep.to;
}

static bool is_bare_byte(uint8_t byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || byte == '_' || byte == '-' || byte == '.' ||
           byte == '}' || byte == '$';
}

static void blank_one(struct slice text, size_t at, size_t size, enum toml_context context,
                      struct buf *out) {
    bool bare = context == TOML_IN_BARE;
    bool glued = (at > 0 && is_bare_byte(text.data[at - 1])) ||
                 (at + size < text.size && is_bare_byte(text.data[at + size]));
    bool quoted = bare && !glued;
    // A character of several bytes is one column: its other bytes are left out.
    for (size_t i = 0; i < size; i++) {
        if ((text.data[at + i] & 0xC0U) == 0x80U) {
            continue;
        }
        bool edge = i == 0 || i == size - 1;
        buf_append_byte(out, quoted ? (edge ? '"' : '_') : (bare ? '1' : '_'));
    }
}

void substitute_blank(struct slice text, struct span keep, struct buf *out) {
    struct toml_scan scan = scan_of(text);
    struct variable variable;
    bool is_broken = false;  // a malformed one: the load will fail, the rest need not be looked at
    while (scan.at < scan.size) {
        size_t at = scan.at;
        if (!is_broken && !is_kept(keep, at) && read_variable(text, at, scan.context, &variable)) {
            blank_one(text, at, variable.size, scan.context, out);
            scan.at += variable.size;
            is_broken = variable.problem != NULL;
            continue;
        }
        toml_scan_step(&scan);
        buf_append(out, text.data + at, scan.at - at);
    }
}

// ---- Looking up --------------------------------------------------------------------------------

// Takes the first part off `path`: "a" of "a.b", "0" of "[0].b". False when it is malformed.
static bool next_part(struct slice *path, struct slice *part) {
    size_t size = 0;
    if (path->size > 0 && path->data[0] == '[') {
        while (size < path->size && path->data[size] != ']') {
            size++;
        }
        if (size == path->size || size == 1) {
            return false;
        }
        *part = slice_of(path->data + 1, size - 1);
        size++;
    } else {
        while (size < path->size && path->data[size] != '.' && path->data[size] != '[') {
            size++;
        }
        *part = slice_of(path->data, size);
    }
    bool dot = size < path->size && path->data[size] == '.';
    if (part->size == 0 || (dot && size + 1 == path->size)) {
        return false;
    }
    *path = slice_of(path->data + size + (dot ? 1 : 0), path->size - size - (dot ? 1 : 0));
    return true;
}

static const json_t *find_item(const json_t *array, struct slice part) {
    size_t index = 0;
    for (size_t i = 0; i < part.size; i++) {
        if (part.data[i] < '0' || part.data[i] > '9' || i > 8) {
            return NULL;
        }
        index = index * 10 + (size_t)(part.data[i] - '0');
    }
    return json_array_get(array, index);
}

// *out is NULL when there is no such value. False when the path leads into a value without parts.
static bool look_up(const json_t *state, const struct variable *variable, size_t at,
                    const json_t **out, struct substitution_problem *problem) {
    struct slice path = variable->path, part;
    const json_t *value = state;
    int parts = 0;
    while (path.size > 0 && value != NULL) {
        if (!next_part(&path, &part) || ++parts > PATH_PARTS_MAX) {
            return report(problem, at, "the path '%.*s' is malformed",
                          (int)(variable->path.size > 80 ? 80 : variable->path.size),
                          (const char *)variable->path.data);
        }
        if (json_is_object(value)) {
            value = json_object_getn(value, (const char *)part.data, part.size);
        } else if (json_is_array(value)) {
            value = find_item(value, part);
        } else if (json_is_null(value)) {
            value = NULL;
        } else {
            return report(problem, at, "the path '%.*s' leads into a value that has no parts",
                          (int)(variable->path.size > 80 ? 80 : variable->path.size),
                          (const char *)variable->path.data);
        }
    }
    *out = value;
    return true;
}

// ---- Writing values ----------------------------------------------------------------------------

// The content of a basic string: what would end it, or cannot stand in it, is escaped.
static void write_basic(struct slice text, struct buf *out) {
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '"' || byte == '\\') {
            buf_append_byte(out, '\\');
            buf_append_byte(out, byte);
        } else if (byte < 0x20 || byte == 0x7F) {
            buf_format(out, "\\u%04X", byte);
        } else {
            buf_append_byte(out, byte);
        }
    }
}

static void write_quoted(struct slice text, struct buf *out) {
    buf_append_byte(out, '"');
    write_basic(text, out);
    buf_append_byte(out, '"');
}

// A value as TOML. False for null, which TOML lacks, and for what nests too deep.
static bool write_toml(const json_t *value, int depth, struct buf *out) {
    if (depth > VALUE_DEPTH_MAX) {
        return false;
    }
    if (json_is_string(value)) {
        write_quoted(slice_of(json_string_value(value), json_string_length(value)), out);
    } else if (json_is_array(value)) {
        buf_append_byte(out, '[');
        for (size_t i = 0; i < json_array_size(value); i++) {
            buf_append_text(out, i == 0 ? "" : ", ");
            if (!write_toml(json_array_get(value, i), depth + 1, out)) {
                return false;
            }
        }
        buf_append_byte(out, ']');
    } else if (json_is_object(value)) {
        // jansson's iterators take no const, though they change nothing.
        json_t *object = (json_t *)(uintptr_t)value;
        buf_append_byte(out, '{');
        bool first = true;
        for (void *at = json_object_iter(object); at != NULL;
             at = json_object_iter_next(object, at)) {
            buf_append_text(out, first ? "" : ", ");
            first = false;
            write_quoted(slice_of(json_object_iter_key(at), json_object_iter_key_len(at)), out);
            buf_append_text(out, " = ");
            if (!write_toml(json_object_iter_value(at), depth + 1, out)) {
                return false;
            }
        }
        buf_append_byte(out, '}');
    } else if (json_is_null(value)) {
        return false;
    } else {
        json_write(value, out);  // numbers and booleans are spelled alike
    }
    return true;
}

// A text inside a string of the given kind; false when a literal string cannot hold it.
static bool write_inside(struct slice text, enum toml_context context, struct buf *out) {
    if (context == TOML_IN_BASIC || context == TOML_IN_BASIC_LINES) {
        write_basic(text, out);
        return true;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '\'' || byte == 0x7F || (byte < 0x20 && byte != '\t')) {
            return false;  // a line end too: it would move the lines of later messages
        }
    }
    buf_append_slice(out, text);
    return true;
}

static bool write_value(const json_t *value, const struct variable *variable, size_t at,
                        enum toml_context context, struct buf *out,
                        struct substitution_problem *problem) {
    int size = (int)(variable->path.size > 80 ? 80 : variable->path.size);
    const char *path = (const char *)variable->path.data;
    bool fits;
    if (context == TOML_IN_BARE) {
        fits = write_toml(value, 0, out);
    } else if (json_is_string(value)) {
        fits = write_inside(slice_of(json_string_value(value), json_string_length(value)), context,
                            out);
    } else {
        struct buf text = {0};
        if (!json_is_null(value)) {
            json_write(value, &text);
        }
        fits = write_inside(buf_slice(&text), context, out);
        buf_release(&text);
    }
    if (fits) {
        return true;
    }
    return context == TOML_IN_BARE
               ? report(problem, at, "the value of '%.*s' is null or nests too deep", size, path)
               : report(problem, at,
                        "the value of '%.*s' cannot stand in a literal string; use \"…\"", size,
                        path);
}

static bool write_fallback(const struct variable *variable, size_t at, enum toml_context context,
                           struct buf *out, struct substitution_problem *problem) {
    if (!variable->fallback_is_quoted) {
        buf_append_slice(out, variable->fallback);  // the manifest's own words
        return true;
    }
    if (context == TOML_IN_BARE) {
        write_quoted(variable->fallback, out);
        return true;
    }
    if (write_inside(variable->fallback, context, out)) {
        return true;
    }
    return report(problem, at, "the default cannot stand in a literal string; use \"…\"");
}

static bool fill_one(const struct variable *variable, size_t at, enum toml_context context,
                     const json_t *state, struct buf *out, struct substitution_problem *problem) {
    if (variable->problem != NULL) {
        return report(problem, at, "%s", variable->problem);
    }
    const json_t *value = NULL;
    if (!look_up(state, variable, at, &value, problem)) {
        return false;
    }
    if (value != NULL && !(json_is_null(value) && variable->has_fallback)) {
        return write_value(value, variable, at, context, out, problem);
    }
    if (variable->has_fallback) {
        return write_fallback(variable, at, context, out, problem);
    }
    if (variable->is_handlebars) {
        return true;  // nothing, as that language has it
    }
    return report(problem, at, "variable '%.*s' not found and no default provided",
                  (int)(variable->path.size > 80 ? 80 : variable->path.size),
                  (const char *)variable->path.data);
}

bool substitute_fill(struct slice text, struct span keep, const json_t *state, size_t limit_bytes,
                     struct buf *out, struct substitution_problem *problem) {
    assert(state != NULL);
    struct toml_scan scan = scan_of(text);
    struct variable variable;
    while (scan.at < scan.size) {
        size_t at = scan.at;
        if (!is_kept(keep, at) && read_variable(text, at, scan.context, &variable)) {
            if (!fill_one(&variable, at, scan.context, state, out, problem)) {
                return false;
            }
            scan.at += variable.size;
        } else {
            toml_scan_step(&scan);
            buf_append(out, text.data + at, scan.at - at);
        }
        if (out->size > limit_bytes) {
            return report(problem, at, "the text is longer than %zu bytes after substitution",
                          limit_bytes);
        }
    }
    return true;
}

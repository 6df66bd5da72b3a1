// SPDX-License-Identifier: Apache-2.0
// The grammar of names.
#include "component/names.h"

static bool is_lower(uint8_t byte) {
    return byte >= 'a' && byte <= 'z';
}

static bool is_upper(uint8_t byte) {
    return byte >= 'A' && byte <= 'Z';
}

static bool is_digit(uint8_t byte) {
    return byte >= '0' && byte <= '9';
}

bool name_is_label(struct slice label) {
    bool has_lower = false;
    bool has_upper = false;
    bool is_empty = true;
    for (size_t i = 0; i < label.size; i++) {
        uint8_t byte = label.data[i];
        if (byte == '-') {
            if (is_empty) {
                return false;
            }
            has_lower = has_upper = false;
            is_empty = true;
            continue;
        }
        if (!is_lower(byte) && !is_upper(byte) && !(is_digit(byte) && i != 0)) {
            return false;
        }
        has_lower |= is_lower(byte);
        has_upper |= is_upper(byte);
        if (has_lower && has_upper) {
            return false;
        }
        is_empty = false;
    }
    return !is_empty;
}

static bool has_upper_case(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        if (is_upper(text.data[i])) {
            return true;
        }
    }
    return false;
}

// What is before the first `separator`, which is taken off `rest` with it. False: there is none.
static bool split(struct slice *rest, char separator, struct slice *out) {
    const uint8_t *found = memchr(rest->data, separator, rest->size);
    if (rest->size == 0 || found == NULL) {
        return false;
    }
    *out = slice_of(rest->data, (size_t)(found - rest->data));
    *rest = slice_of(found + 1, rest->size - out->size - 1);
    return true;
}

// ---- versions
// ------------------------------------------------------------------------------------

static bool is_number(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.data[i])) {
            return false;
        }
    }
    return text.size == 1 || (text.size != 0 && text.data[0] != '0');
}

// Identifiers joined by dots; of a pre-release, numbers have no leading zero.
static bool is_suffix(struct slice text, bool is_release) {
    struct slice part;
    do {
        bool is_last = !split(&text, '.', &part);
        if (is_last) {
            part = text;
            text.size = 0;
        }
        bool all_digits = true;
        for (size_t i = 0; i < part.size; i++) {
            uint8_t byte = part.data[i];
            if (!is_digit(byte) && !is_lower(byte) && !is_upper(byte) && byte != '-') {
                return false;
            }
            all_digits &= is_digit(byte);
        }
        if (part.size == 0 || (!is_release && all_digits && !is_number(part))) {
            return false;
        }
        if (is_last) {
            return true;
        }
    } while (true);
}

// Semantic Versioning 2.0: major.minor.patch, perhaps -pre-release, perhaps +build.
static bool is_version(struct slice text) {
    struct slice core;
    struct slice build = text;
    if (!split(&build, '+', &text)) {
        text = build;
        build = slice_of(NULL, 0);
    } else if (!is_suffix(build, true)) {
        return false;
    }
    struct slice release = text;
    if (!split(&release, '-', &core)) {
        core = release;
    } else if (!is_suffix(release, false)) {
        return false;
    }
    struct slice major;
    struct slice minor;
    return split(&core, '.', &major) && split(&core, '.', &minor) && is_number(major) &&
           is_number(minor) && is_number(core);
}

// ---- names
// ---------------------------------------------------------------------------------------

static bool parse_interface(struct slice name, const char **why) {
    struct slice space;
    struct slice package;
    struct slice label;
    struct slice rest = name;
    *why = "is not a valid extern name";
    if (!split(&rest, ':', &space)) {
        return false;
    }
    if (!split(&rest, '/', &package)) {
        *why = "is not a valid extern name: expected `/` after the package name";
        return false;
    }
    bool has_version = split(&rest, '@', &label);
    if (!has_version) {
        label = rest;
    }
    if (!name_is_label(space) || has_upper_case(space) || !name_is_label(package) ||
        has_upper_case(package) || !name_is_label(label)) {
        *why = "is not a valid extern name: not in kebab case";
        return false;
    }
    if (has_version && !is_version(rest)) {
        *why = "is not a valid extern name: its version is not major.minor.patch";
        return false;
    }
    return true;
}

bool name_parse(struct slice name, struct extern_name *out, const char **why) {
    static const struct {
        const char *prefix;
        enum name_kind kind;
    } PREFIXES[] = {
        {"[constructor]", NAME_CONSTRUCTOR}, {"[method]", NAME_METHOD}, {"[static]", NAME_STATIC}};
    *out = (struct extern_name){.kind = NAME_PLAIN};
    struct slice label = name;
    for (size_t i = 0; i < COUNT_OF(PREFIXES); i++) {
        if (slice_starts_with(name, PREFIXES[i].prefix)) {
            size_t size = strlen(PREFIXES[i].prefix);
            out->kind = PREFIXES[i].kind;
            label = slice_of(name.data + size, name.size - size);
        }
    }
    if (out->kind == NAME_PLAIN && name.size != 0 && memchr(name.data, ':', name.size) != NULL) {
        out->kind = NAME_INTERFACE;
        return parse_interface(name, why);
    }
    *why = "is not in kebab case";
    if (out->kind == NAME_CONSTRUCTOR) {
        out->resource = label;
    } else if (out->kind != NAME_PLAIN) {
        if (!split(&label, '.', &out->resource)) {
            *why = "lacks a `.` between the resource's name and its own";
            return false;
        }
        if (!name_is_label(out->resource)) {
            return false;
        }
    }
    return name_is_label(label);
}

void name_key(struct slice name, struct buf *out) {
    struct slice rest = name;
    if (slice_starts_with(name, "[method]") || slice_starts_with(name, "[static]")) {
        rest = slice_of(name.data + 8, name.size - 8);
    }
    size_t begin = out->size;
    for (size_t i = 0; i < rest.size; i++) {
        uint8_t byte = rest.data[i];
        buf_append_byte(out, is_upper(byte) ? (uint8_t)(byte | 0x20) : byte);
    }
    // A member named like its resource is as the resource itself.
    size_t half = rest.size / 2;
    if (rest.data != name.data && rest.size % 2 == 1 && rest.data[half] == '.' &&
        memcmp(out->data + begin, out->data + begin + half + 1, half) == 0) {
        out->size = begin + half;
    }
}

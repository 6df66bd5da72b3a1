// SPDX-License-Identifier: Apache-2.0
// Every key of a manifest as data: name, type, range, default, place and meaning. The reader
// (reader.c) works from these tables alone, and docs/manifest.md is tested against them; so a new
// key is one new row. Within the room, its tests and documentation tools.
#ifndef MANIFEST_FIELDS_H
#define MANIFEST_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "manifest/manifest.h"

enum field_kind {
    FIELD_WORD,     // const char *: one line, no control characters
    FIELD_TEXT,     // const char *: any text without NUL
    FIELD_FLAG,     // bool
    FIELD_NUMBER,   // uint64_t
    FIELD_SEED,     // uint64_t, and the bool at `has_offset` tells whether it is given
    FIELD_CHOICE,   // an enum: the index of one of `choices`
    FIELD_LIST,     // struct manifest_list
    FIELD_BOUND,    // struct permission_list: as FIELD_LIST, absent meaning everything or nothing
    FIELD_NESTED,   // read by code of its own
    FIELD_IGNORED,  // accepted for manifests written for other releases; no effect
};

// What the items of a list are, and so how they are checked and put into one form.
enum field_items {
    ITEMS_PLAIN,
    ITEMS_METHODS,  // upper case
    ITEMS_HOSTS,    // lower case
    ITEMS_FOLDERS,  // absolute, starting at the manifest's folder
    ITEMS_ROUTES,   // begin with "/"
    ITEMS_URLS,     // begin with "https://" or "http://"
    ITEMS_TARGETS,  // parent, children, siblings or an actor's id
};

enum { FIELD_CHOICES_MAX = 4 };

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;         // in the value that the section describes; aliases share it
    uint64_t least, most;  // of a number, or of a text in bytes
    uint64_t fallback;     // of a number, flag or choice
    const char *fallback_text;
    const char *choices[FIELD_CHOICES_MAX];
    size_t has_offset;
    enum field_items items;
    bool required;
    bool absent_is_nothing;  // FIELD_BOUND
    const char *about;       // one sentence for the documentation
};

struct section {
    const char *name;  // how errors call it; "" for the top level
    const struct field *fields;
    size_t count;
    bool is_block;  // holds "type", and "config" with the keys in it instead of beside it
    bool is_open;   // other keys are accepted silently
};

extern const struct section section_top;          // of struct manifest
extern const struct section section_supervision;  // of struct manifest
extern const struct section section_limits;       // of struct manifest

// Of struct manifest_handler.
struct handler_row {
    const char *type;
    struct section section;
    enum permission_kind permission;  // PERMISSION_COUNT: none
    bool is_available;                // in this release
};
extern const struct handler_row handler_rows[HANDLER_TYPE_COUNT];

// What the config of type = "restrict" holds, of struct permissions.
extern const struct section policy_sections[PERMISSION_COUNT];

#endif

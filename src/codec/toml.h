// SPDX-License-Identifier: Apache-2.0
// TOML 1.0 as a tree with the position of every key and value: a shim over toml++, the only C++ in
// the project. No C++ type and no exception crosses this header, which therefore uses plain C types
// alone (it is read by both compilers).
//
// The text must be valid UTF-8 (codec/utf8.h). Nesting and dotted keys are bounded before the
// library sees the text, since it recurses on both.
#ifndef CODEC_TOML_H
#define CODEC_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    TOML_DEPTH_MAX = 32,      // arrays and inline tables in one another
    TOML_KEY_PARTS_MAX = 16,  // of a dotted key or a table's header
    TOML_FAILURE_MAX = 256
};

enum toml_kind {
    TOML_TABLE,
    TOML_ARRAY,
    TOML_STRING,
    TOML_INTEGER,
    TOML_FLOAT,
    TOML_BOOLEAN,
    TOML_DATE_TIME
};

struct toml_entry;

// Positions count from 1, columns in characters. A table that is only implied by "[a.b]" has the
// position of the header that implies it.
struct toml_value {
    enum toml_kind kind;
    uint32_t line, column;          // of the first character
    uint32_t end_line, end_column;  // behind the last, as far as the parser tells
    size_t count;                   // entries of a table, items of an array
    const struct toml_entry *entries;
    const struct toml_value *items;
    const char *text;  // a string's bytes; may hold NUL; not NUL-terminated
    size_t text_size;
    int64_t integer;  // also a boolean: 0 or 1
    double real;
};

// Entries are in the order of the text.
struct toml_entry {
    const char *key;  // bytes; may hold NUL; not NUL-terminated
    size_t key_size;
    uint32_t line, column;
    struct toml_value value;
};

struct toml_failure {
    uint32_t line, column;
    char message[TOML_FAILURE_MAX];  // a clause, such as "expected '='"; may quote the text
};

struct toml_document;

// Gives the tree, or NULL with `failure` filled. The tree does not refer to `text` afterwards. Any
// thread; not on a fiber.
struct toml_document *toml_parse(const char *text, size_t size, struct toml_failure *failure);
// The root table; lives as long as the document.
const struct toml_value *toml_root(const struct toml_document *document);
void toml_free(struct toml_document *document);  // NULL is fine
// The value at `key` of a table, or NULL.
const struct toml_value *toml_find(const struct toml_value *table, const char *key);
// "a string", "an integer", for messages. Static storage.
const char *toml_kind_text(enum toml_kind kind);

#ifdef __cplusplus
}
#endif

#endif

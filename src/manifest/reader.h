// SPDX-License-Identifier: Apache-2.0
// Reads a TOML tree into structs by the tables of fields.h, with errors and warnings that name
// file, line, column and key. Within the room only.
#ifndef MANIFEST_READER_H
#define MANIFEST_READER_H

#include "codec/toml.h"
#include "manifest/fields.h"

// One load; used by one thread, then dropped.
struct reader {
    struct manifest *manifest;  // being built
    struct arena *arena;        // its arena
    const struct manifest_options *options;
    unsigned warning_count;
    bool may_quote;  // false: the text was fetched for an actor, which must not learn of it
    struct error *error;
};

struct place {
    uint32_t line, column;
};
static inline struct place place_of(const struct toml_value *value) {
    return (struct place){value->line, value->column};
}

// Sets the error "file:line:column: …".
enum status reader_fail(struct reader *reader, struct place at, enum status code,
                        const char *format, ...) PRINTF_LIKE(4, 5);
// Hands "file:line:column: …" to the caller's warn function; line 0 leaves the position out.
void reader_warn(struct reader *reader, struct place at, const char *format, ...) PRINTF_LIKE(3, 4);

// Reads `table` into `base` by `section`: defaults first, then what is given, then what is required
// and missing. In a block the keys may stand in the sub-table "config" instead. `name` replaces
// the section's name in messages unless NULL.
enum status reader_section(struct reader *reader, const struct section *section, const char *name,
                           const struct toml_value *table, void *base) MUST_CHECK;
// The list `value` (NULL when absent) as texts in the reader's arena.
enum status reader_list(struct reader *reader, const char *name, const char *key,
                        const struct toml_value *value, enum field_items items,
                        struct manifest_list *out) MUST_CHECK;
// The text of a string value, copied; ERR_INVALID when it is none or holds NUL.
enum status reader_text(struct reader *reader, const char *name, const char *key,
                        const struct toml_value *value, const char **out) MUST_CHECK;
// Fails with "expected X, got Y".
enum status reader_wrong_kind(struct reader *reader, const char *name, const char *key,
                              const struct toml_value *value, const char *expected);

// "name.key", or "key" when the name is empty; in the reader's arena.
const char *reader_key(struct reader *reader, const char *name, const char *key);
// Words of the manifest for a message: `text` with control characters replaced and cut to a
// sensible length, for messages.
const char *reader_quote(struct reader *reader, const char *text, size_t size);

#endif

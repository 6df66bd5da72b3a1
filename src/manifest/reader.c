// SPDX-License-Identifier: Apache-2.0
// Reading by tables; see reader.h.
#include "manifest/reader.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "manifest/nearest.h"
#include "manifest/paths.h"

enum { WARNINGS_MAX = 100, LIST_ITEM_MAX_BYTES = 4096, SECTION_FIELDS_MAX = 64 };

_Static_assert(sizeof(enum manifest_strategy) == sizeof(unsigned), "choices are stored so");

// ---- Messages ----------------------------------------------------------------------------------

enum status reader_fail(struct reader *reader, struct place at, enum status code,
                        const char *format, ...) {
    char text[ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(reader->error, code, "%s:%u:%u: %s", reader->manifest->file, at.line,
                     at.column, text);
}

void reader_warn(struct reader *reader, struct place at, const char *format, ...) {
    if (reader->options->warn == NULL || reader->warning_count > WARNINGS_MAX) {
        return;
    }
    struct buf text = {0};
    buf_format(&text, "%s:", reader->manifest->file);
    if (at.line != 0) {
        buf_format(&text, "%u:%u:", at.line, at.column);
    }
    if (reader->warning_count++ == WARNINGS_MAX) {
        buf_append_text(&text, " more warnings are left out");
    } else {
        char sentence[ERROR_MESSAGE_MAX];
        va_list args;
        va_start(args, format);
        (void)vsnprintf(sentence, sizeof sentence, format, args);
        va_end(args);
        buf_format(&text, " %s", sentence);
    }
    reader->options->warn(reader->options->warn_context, buf_text(&text));
    buf_release(&text);
}

const char *reader_key(struct reader *reader, const char *name, const char *key) {
    size_t size = strlen(name) + strlen(key) + 2;
    char *out = ARENA_ARRAY(reader->arena, char, size);
    (void)snprintf(out, size, "%s%s%s", name, name[0] == '\0' ? "" : ".", key);
    return out;
}

const char *reader_quote(struct reader *reader, const char *text, size_t size) {
    enum { QUOTE_MAX = 80 };
    if (!reader->may_quote) {
        return "(not shown)";
    }
    bool cut = size > QUOTE_MAX;
    size_t used = cut ? QUOTE_MAX : size;
    while (cut && used > 0 && ((uint8_t)text[used] & 0xC0U) == 0x80U) {
        used--;  // not in the middle of a character
    }
    char *out = ARENA_ARRAY(reader->arena, char, used + 4);
    for (size_t i = 0; i < used; i++) {
        uint8_t byte = (uint8_t)text[i];
        out[i] = byte < 0x20 || byte == 0x7F ? '?' : text[i];
    }
    memcpy(out + used, cut ? "\xE2\x80\xA6" : "", cut ? 4 : 1);
    return out;
}

enum status reader_wrong_kind(struct reader *reader, const char *name, const char *key,
                              const struct toml_value *value, const char *expected) {
    return reader_fail(reader, place_of(value), ERR_INVALID, "%s: expected %s, got %s",
                       reader_key(reader, name, key), expected, toml_kind_text(value->kind));
}

static void warn_unknown(struct reader *reader, const struct section *section, const char *name,
                         const struct toml_entry *entry) {
    if (reader->options->warn == NULL || reader->warning_count > WARNINGS_MAX) {
        return;  // the search is not free
    }
    struct nearest nearest;
    nearest_init(&nearest, slice_of(entry->key, entry->key_size));
    for (size_t i = 0; i < section->count; i++) {
        nearest_offer(&nearest, section->fields[i].key);
    }
    const char *key = reader_key(reader, name, reader_quote(reader, entry->key, entry->key_size));
    struct place at = {entry->line, entry->column};
    if (nearest.word != NULL) {
        reader_warn(reader, at, "%s: unknown key, ignored; did you mean \"%s\"?", key,
                    nearest.word);
    } else {
        reader_warn(reader, at, "%s: unknown key, ignored", key);
    }
}

// ---- Values ------------------------------------------------------------------------------------

enum status reader_text(struct reader *reader, const char *name, const char *key,
                        const struct toml_value *value, const char **out) {
    if (value->kind != TOML_STRING) {
        return reader_wrong_kind(reader, name, key, value, "a string");
    }
    if (value->text_size > 0 && memchr(value->text, '\0', value->text_size) != NULL) {
        return reader_fail(reader, place_of(value), ERR_INVALID, "%s: holds a NUL character",
                           reader_key(reader, name, key));
    }
    *out = arena_text(reader->arena, slice_of(value->text, value->text_size));
    return OK;
}

static bool has_control(const char *text) {
    for (const char *at = text; *at != '\0'; at++) {
        if ((uint8_t)*at < 0x20 || *at == 0x7F) {
            return true;
        }
    }
    return false;
}

static enum status read_text(struct reader *reader, const char *name, const struct field *field,
                             const struct toml_value *value, const char **out) {
    enum status status = reader_text(reader, name, field->key, value, out);
    if (status != OK) {
        return status;
    }
    if (value->text_size < field->least || value->text_size > field->most) {
        return reader_fail(reader, place_of(value), ERR_INVALID,
                           "%s: must have %llu to %llu bytes, has %zu",
                           reader_key(reader, name, field->key), (unsigned long long)field->least,
                           (unsigned long long)field->most, value->text_size);
    }
    if (field->kind == FIELD_WORD && has_control(*out)) {
        return reader_fail(reader, place_of(value), ERR_INVALID,
                           "%s: holds a line end or another control character",
                           reader_key(reader, name, field->key));
    }
    return OK;
}

static enum status read_number(struct reader *reader, const char *name, const struct field *field,
                               const struct toml_value *value, uint64_t *out) {
    if (value->kind != TOML_INTEGER) {
        return reader_wrong_kind(reader, name, field->key, value, "an integer");
    }
    if (value->integer < 0 || (uint64_t)value->integer < field->least ||
        (uint64_t)value->integer > field->most) {
        return reader_fail(reader, place_of(value), ERR_INVALID,
                           "%s: must be from %llu to %llu, is %lld",
                           reader_key(reader, name, field->key), (unsigned long long)field->least,
                           (unsigned long long)field->most, (long long)value->integer);
    }
    *out = (uint64_t)value->integer;
    return OK;
}

static enum status read_choice(struct reader *reader, const char *name, const struct field *field,
                               const struct toml_value *value, unsigned *out) {
    const char *text;
    enum status status = reader_text(reader, name, field->key, value, &text);
    if (status != OK) {
        return status;
    }
    struct buf known = {0};
    for (unsigned i = 0; i < FIELD_CHOICES_MAX && field->choices[i] != NULL; i++) {
        if (strcmp(text, field->choices[i]) == 0) {
            *out = i;
            buf_release(&known);
            return OK;
        }
        buf_format(&known, "%s\"%s\"", i == 0 ? "" : ", ", field->choices[i]);
    }
    status = reader_fail(reader, place_of(value), ERR_INVALID, "%s: expected one of %s, got \"%s\"",
                         reader_key(reader, name, field->key), buf_text(&known),
                         reader_quote(reader, value->text, value->text_size));
    buf_release(&known);
    return status;
}

// ---- Lists -------------------------------------------------------------------------------------

static void change_case(char *text, bool upper) {
    char from = upper ? 'a' : 'A';
    for (; *text != '\0'; text++) {
        if (*text >= from && *text <= from + 25) {
            *text = (char)(*text ^ 0x20);  // ASCII only: no locale
        }
    }
}

// Puts an item into the form that permissions compare; gives what is wrong with it, or NULL.
static const char *shape_item(struct reader *reader, enum field_items items, char **item) {
    switch (items) {
        case ITEMS_PLAIN:
            return NULL;
        case ITEMS_METHODS:
            change_case(*item, true);
            return NULL;
        case ITEMS_HOSTS:
            change_case(*item, false);
            return strstr(*item, "//") != NULL ? "a host has no scheme and no path" : NULL;
        case ITEMS_FOLDERS:
            *item = path_resolve(reader->arena, reader->manifest->folder, *item);
            return NULL;
        case ITEMS_ROUTES:
            if ((*item)[0] != '/') {
                return "a route begins with \"/\"";
            }
            *item = path_resolve(reader->arena, NULL, *item);
            return NULL;
        case ITEMS_URLS:
            return strncmp(*item, "https://", 8) == 0 || strncmp(*item, "http://", 7) == 0
                       ? NULL
                       : "a source begins with \"https://\" or \"http://\"";
        case ITEMS_TARGETS:
            return manifest_check_id(slice_text(*item), NULL) == OK
                       ? NULL
                       : "a target is \"parent\", \"children\", \"siblings\" or an actor's id";
    }
    return NULL;
}

static enum status read_item(struct reader *reader, const char *name, const char *key,
                             const struct toml_value *value, enum field_items items,
                             const char **out) {
    const char *text;
    enum status status = reader_text(reader, name, key, value, &text);
    if (status != OK) {
        return status;
    }
    const char *problem = NULL;
    char *item = arena_text(reader->arena, slice_text(text));
    if (item[0] == '\0') {
        problem = "an item is empty";
    } else if (value->text_size > LIST_ITEM_MAX_BYTES) {
        problem = "an item is longer than 4096 bytes";
    } else if (has_control(item)) {
        problem = "an item holds a control character";
    } else {
        problem = shape_item(reader, items, &item);
    }
    if (problem != NULL) {
        return reader_fail(reader, place_of(value), ERR_INVALID, "%s: %s",
                           reader_key(reader, name, key), problem);
    }
    *out = item;
    return OK;
}

enum status reader_list(struct reader *reader, const char *name, const char *key,
                        const struct toml_value *value, enum field_items items,
                        struct manifest_list *out) {
    *out = (struct manifest_list){0};
    if (value == NULL) {
        return OK;
    }
    if (value->kind != TOML_ARRAY) {
        return reader_wrong_kind(reader, name, key, value, "an array of strings");
    }
    if (value->count > MANIFEST_LIST_MAX) {
        return reader_fail(reader, place_of(value), ERR_LIMIT,
                           "%s: has %zu items, at most %d are allowed",
                           reader_key(reader, name, key), value->count, (int)MANIFEST_LIST_MAX);
    }
    const char **texts = ARENA_ARRAY(reader->arena, const char *, value->count + 1);
    for (size_t i = 0; i < value->count; i++) {
        enum status status = read_item(reader, name, key, &value->items[i], items, &texts[i]);
        if (status != OK) {
            return status;
        }
    }
    *out = (struct manifest_list){.present = true, .count = (uint32_t)value->count, .items = texts};
    return OK;
}

static enum status read_bound(struct reader *reader, const char *name, const struct field *field,
                              const struct toml_value *value, struct permission_list *out) {
    struct manifest_list list;
    enum status status = reader_list(reader, name, field->key, value, field->items, &list);
    *out = (struct permission_list){.count = list.count, .items = list.items};
    return status;
}

// ---- Sections ----------------------------------------------------------------------------------

static void set_default(const struct field *field, void *base) {
    char *at = (char *)base + field->offset;
    switch (field->kind) {
        case FIELD_WORD:
        case FIELD_TEXT:
            *(const char **)(void *)at = field->fallback_text;
            break;
        case FIELD_FLAG:
            *(bool *)at = field->fallback != 0;
            break;
        case FIELD_SEED:
            *((bool *)base + field->has_offset) = false;
            *(uint64_t *)(void *)at = 0;
            break;
        case FIELD_NUMBER:
            *(uint64_t *)(void *)at = field->fallback;
            break;
        case FIELD_CHOICE:
            *(unsigned *)(void *)at = (unsigned)field->fallback;
            break;
        case FIELD_LIST:
            *(struct manifest_list *)(void *)at = (struct manifest_list){0};
            break;
        case FIELD_BOUND:
            *(struct permission_list *)(void *)at =
                (struct permission_list){.everything = !field->absent_is_nothing};
            break;
        case FIELD_NESTED:
        case FIELD_IGNORED:
            break;
    }
}

static enum status read_field(struct reader *reader, const char *name, const struct field *field,
                              const struct toml_value *value, void *base) {
    char *at = (char *)base + field->offset;
    switch (field->kind) {
        case FIELD_WORD:
        case FIELD_TEXT:
            return read_text(reader, name, field, value, (const char **)(void *)at);
        case FIELD_FLAG:
            if (value->kind != TOML_BOOLEAN) {
                return reader_wrong_kind(reader, name, field->key, value, "a boolean");
            }
            *(bool *)at = value->integer != 0;
            return OK;
        case FIELD_SEED:
            *((bool *)base + field->has_offset) = true;
            return read_number(reader, name, field, value, (uint64_t *)(void *)at);
        case FIELD_NUMBER:
            return read_number(reader, name, field, value, (uint64_t *)(void *)at);
        case FIELD_CHOICE:
            return read_choice(reader, name, field, value, (unsigned *)(void *)at);
        case FIELD_LIST:
            return reader_list(reader, name, field->key, value, field->items,
                               (struct manifest_list *)(void *)at);
        case FIELD_BOUND:
            return read_bound(reader, name, field, value, (struct permission_list *)(void *)at);
        case FIELD_NESTED:
        case FIELD_IGNORED:
            break;
    }
    return OK;
}

static bool is_key(const struct toml_entry *entry, const char *key) {
    return slice_equal_text(slice_of(entry->key, entry->key_size), key);
}

static size_t find_field(const struct section *section, const struct toml_entry *entry) {
    for (size_t i = 0; i < section->count; i++) {
        if (is_key(entry, section->fields[i].key)) {
            return i;
        }
    }
    return section->count;
}

// Two keys name one value when they are aliases, or when a block gives a key beside "config" and
// in it. `seen` holds the key that gave each field's place, by the first field with that place.
static enum status note_seen(struct reader *reader, const struct section *section, const char *name,
                             size_t index, const struct toml_entry *entry, const char **seen) {
    const struct field *field = &section->fields[index];
    bool placed = field->kind != FIELD_NESTED && field->kind != FIELD_IGNORED;
    for (size_t i = 0; i <= index && placed; i++) {
        const struct field *other = &section->fields[i];
        if (i == index || (other->offset == field->offset && other->kind == field->kind)) {
            index = i;
            break;
        }
    }
    if (seen[index] != NULL) {
        return reader_fail(reader, (struct place){entry->line, entry->column}, ERR_INVALID,
                           "%s: given already, as \"%s\"", reader_key(reader, name, field->key),
                           seen[index]);
    }
    seen[index] = field->key;
    return OK;
}

static enum status read_entries(struct reader *reader, const struct section *section,
                                const char *name, const struct toml_value *table, bool is_config,
                                void *base, const char **seen) {
    for (size_t i = 0; i < table->count; i++) {
        const struct toml_entry *entry = &table->entries[i];
        if (section->is_block && !is_config && (is_key(entry, "type") || is_key(entry, "config"))) {
            continue;
        }
        size_t index = find_field(section, entry);
        if (index == section->count) {
            if (!section->is_open) {
                warn_unknown(reader, section, name, entry);
            }
            continue;
        }
        enum status status = note_seen(reader, section, name, index, entry, seen);
        if (status == OK) {
            status = read_field(reader, name, &section->fields[index], &entry->value, base);
        }
        if (status != OK) {
            return status;
        }
    }
    return OK;
}

enum status reader_section(struct reader *reader, const struct section *section, const char *name,
                           const struct toml_value *table, void *base) {
    assert(section->count < SECTION_FIELDS_MAX);
    const char *seen[SECTION_FIELDS_MAX] = {NULL};
    name = name != NULL ? name : section->name;
    for (size_t i = section->count; i > 0; i--) {  // of aliases the first has the default
        set_default(&section->fields[i - 1], base);
    }
    if (table == NULL) {
        return OK;
    }
    if (table->kind != TOML_TABLE) {
        return reader_fail(reader, place_of(table), ERR_INVALID, "%s: expected a table, got %s",
                           name, toml_kind_text(table->kind));
    }
    enum status status = read_entries(reader, section, name, table, false, base, seen);
    const struct toml_value *config = section->is_block ? toml_find(table, "config") : NULL;
    if (status == OK && config != NULL) {
        if (config->kind != TOML_TABLE) {
            return reader_wrong_kind(reader, name, "config", config, "a table");
        }
        status = read_entries(reader, section, name, config, true, base, seen);
    }
    for (size_t i = 0; i < section->count && status == OK; i++) {
        if (section->fields[i].required && seen[i] == NULL) {
            status = reader_fail(reader, place_of(table), ERR_INVALID, "%s is missing",
                                 reader_key(reader, name, section->fields[i].key));
        }
    }
    return status;
}

// SPDX-License-Identifier: Apache-2.0
// permission_policy: one table per kind, { type = "inherit" | "disallow" | "restrict", config }.
// It becomes one struct permissions in which an inherited kind is unbounded. See blocks.h.
#include "manifest/blocks.h"
#include "manifest/nearest.h"

static enum status find_kind(struct reader *reader, const struct toml_entry *entry,
                             enum permission_kind *out) {
    struct slice key = slice_of(entry->key, entry->key_size);
    struct nearest nearest;
    nearest_init(&nearest, key);
    for (unsigned i = 0; i < PERMISSION_COUNT; i++) {
        const char *name = permission_kind_name((enum permission_kind)i);
        if (slice_equal_text(key, name)) {
            *out = (enum permission_kind)i;
            return OK;
        }
        nearest_offer(&nearest, name);
    }
    // Not a warning as for other keys: a restriction must not be lost to a slip of the pen.
    return reader_fail(reader, (struct place){entry->line, entry->column}, ERR_INVALID,
                       "permission_policy.%s: unknown kind%s%s%s",
                       reader_quote(reader, entry->key, entry->key_size),
                       nearest.word != NULL ? "; did you mean \"" : "",
                       nearest.word != NULL ? nearest.word : "", nearest.word != NULL ? "\"?" : "");
}

static enum status read_targets(struct reader *reader, const char *name,
                                const struct toml_value *table, struct permissions *out) {
    const struct toml_value *config = toml_find(table, "config");
    const struct toml_value *value = toml_find(config != NULL ? config : table, "targets");
    struct manifest_list list;
    enum status status = reader_list(reader, name, "targets", value, ITEMS_TARGETS, &list);
    if (status == OK && list.present) {
        struct permission_list *layer = ARENA_NEW(reader->arena, struct permission_list);
        *layer = (struct permission_list){.count = list.count, .items = list.items};
        out->message_server.targets =
            (struct permission_targets){.layer_count = 1, .layers = layer};
    }
    return status;
}

static void warn_nothing(struct reader *reader, const char *name, enum permission_kind kind,
                         const struct toml_value *table) {
    const struct toml_value *config = toml_find(table, "config");
    const struct toml_value *keys = config != NULL ? config : table;
    struct place at = place_of(table);
    if (kind == PERMISSION_ENVIRONMENT && toml_find(keys, "allowed_vars") == NULL &&
        toml_find(keys, "allowed_prefixes") == NULL) {
        reader_warn(reader, at,
                    "%s.allowed_vars and allowed_prefixes are absent: no variable may be read",
                    name);
    } else if (kind == PERMISSION_PROCESS && toml_find(keys, "allowed_programs") == NULL) {
        reader_warn(reader, at, "%s.allowed_programs is absent: no program may be started", name);
    } else if (kind == PERMISSION_FILE_SYSTEM && toml_find(keys, "allowed_commands") == NULL) {
        const struct toml_value *execute = toml_find(keys, "execute");
        if (execute != NULL && execute->integer != 0) {
            reader_warn(reader, at, "%s.allowed_commands is absent: no command may be run", name);
        }
    }
}

static enum status read_restriction(struct reader *reader, const char *name,
                                    enum permission_kind kind, const struct toml_value *table,
                                    struct permissions *out) {
    enum status status = reader_section(reader, &policy_sections[kind], name, table, out);
    if (status == OK && kind == PERMISSION_MESSAGE_SERVER) {
        status = read_targets(reader, name, table, out);
    }
    if (status == OK) {
        warn_nothing(reader, name, kind, table);
    }
    return status;
}

static enum status check_no_config(struct reader *reader, const char *name,
                                   const struct toml_value *table) {
    const struct toml_value *config = toml_find(table, "config");
    bool has_config = config != NULL && config->count > 0;
    if (!has_config && table->count == (config == NULL ? 1 : 2)) {
        return OK;
    }
    return reader_fail(reader, place_of(table), ERR_INVALID,
                       "%s: options are only for type = \"restrict\"", name);
}

static enum status read_kind(struct reader *reader, const struct toml_entry *entry,
                             struct permissions *out) {
    enum permission_kind kind = PERMISSION_COUNT;
    enum status status = find_kind(reader, entry, &kind);
    if (status != OK) {
        return status;
    }
    const char *name = reader_key(reader, "permission_policy", permission_kind_name(kind));
    const struct toml_value *table = &entry->value;
    if (table->kind != TOML_TABLE) {
        return reader_wrong_kind(reader, "permission_policy", permission_kind_name(kind), table,
                                 "a table with type");
    }
    const struct toml_value *type = toml_find(table, "type");
    if (type == NULL) {
        return reader_fail(reader, place_of(table), ERR_INVALID, "%s.type is missing", name);
    }
    const char *text;
    status = reader_text(reader, name, "type", type, &text);
    if (status != OK) {
        return status;
    }
    if (strcmp(text, "restrict") == 0) {
        return read_restriction(reader, name, kind, table, out);
    }
    if (strcmp(text, "disallow") == 0) {
        if (kind == PERMISSION_RUNTIME) {
            reader_warn(reader, place_of(table), "%s: has no effect, runtime is always there",
                        name);
        } else {
            out->allowed[kind] = false;
        }
        return check_no_config(reader, name, table);
    }
    if (strcmp(text, "inherit") == 0) {
        return check_no_config(reader, name, table);
    }
    return reader_fail(reader, place_of(type), ERR_INVALID,
                       "%s.type: expected one of \"inherit\", \"disallow\", \"restrict\", got "
                       "\"%s\"",
                       name, reader_quote(reader, type->text, type->text_size));
}

enum status policy_read(struct reader *reader, const struct toml_value *table) {
    struct permissions *out = &reader->manifest->policy;
    permissions_everything(out);
    if (table == NULL) {
        return OK;
    }
    if (table->kind != TOML_TABLE) {
        return reader_wrong_kind(reader, "", "permission_policy", table, "a table");
    }
    for (size_t i = 0; i < table->count; i++) {
        enum status status = read_kind(reader, &table->entries[i], out);
        if (status != OK) {
            return status;
        }
    }
    return OK;
}

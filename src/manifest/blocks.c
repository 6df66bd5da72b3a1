// SPDX-License-Identifier: Apache-2.0
// Handler blocks, in both spellings: [[handler]] with its keys beside "type", and [[handlers]] with
// them in "config"; and the permissions that they ask for. See blocks.h.
#include "manifest/blocks.h"

#include <assert.h>
#include <stdio.h>

#include "manifest/nearest.h"
#include "manifest/paths.h"

const char *manifest_handler_name(enum manifest_handler_type type) {
    assert(type < HANDLER_TYPE_COUNT);
    return handler_rows[type].type;
}

static enum status read_type(struct reader *reader, const char *array,
                             const struct toml_value *block, enum manifest_handler_type *out) {
    const struct toml_value *value = toml_find(block, "type");
    if (value == NULL) {
        return reader_fail(reader, place_of(block), ERR_INVALID,
                           "%s.type is missing: the interface, such as \"timing\"", array);
    }
    const char *text;
    enum status status = reader_text(reader, array, "type", value, &text);
    if (status != OK) {
        return status;
    }
    struct nearest nearest;
    nearest_init(&nearest, slice_text(text));
    for (unsigned i = 0; i < HANDLER_TYPE_COUNT; i++) {
        if (strcmp(text, handler_rows[i].type) == 0) {
            *out = (enum manifest_handler_type)i;
            return OK;
        }
        nearest_offer(&nearest, handler_rows[i].type);
    }
    return reader_fail(reader, place_of(value), ERR_INVALID,
                       "%s.type: \"%s\" is not an interface%s%s%s", array,
                       reader_quote(reader, text, value->text_size),
                       nearest.word != NULL ? "; did you mean \"" : "",
                       nearest.word != NULL ? nearest.word : "", nearest.word != NULL ? "\"?" : "");
}

// ---- What one block must hold beyond its keys --------------------------------------------------

static enum status check_filesystem(struct reader *reader, struct manifest_handler *handler,
                                    struct place at) {
    bool has_path = handler->filesystem.path != NULL;
    if (has_path == handler->filesystem.new_dir) {
        return reader_fail(
            reader, at, ERR_INVALID,
            "handler.filesystem: %s; give the folder as path, or new_dir = true "
            "for a fresh one",
            has_path ? "both path and new_dir are given" : "neither path nor new_dir is given");
    }
    if (has_path) {
        handler->filesystem.path =
            path_resolve(reader->arena, reader->manifest->folder, handler->filesystem.path);
    }
    if (!handler->filesystem.allowed_commands.present && handler->filesystem.execute) {
        reader_warn(reader, at,
                    "handler.filesystem.allowed_commands is absent: no command may be run");
    }
    return OK;
}

static enum status check_block(struct reader *reader, struct manifest_handler *handler,
                               struct place at) {
    if (handler->type == HANDLER_FILESYSTEM) {
        return check_filesystem(reader, handler, at);
    }
    if (handler->type == HANDLER_TIMING &&
        handler->timing.min_sleep_duration > handler->timing.max_sleep_duration) {
        return reader_fail(reader, at, ERR_INVALID,
                           "handler.timing.min_sleep_duration: %llu is more than "
                           "max_sleep_duration, %llu",
                           (unsigned long long)handler->timing.min_sleep_duration,
                           (unsigned long long)handler->timing.max_sleep_duration);
    }
    if (handler->type == HANDLER_STORE && handler->store.base_path != NULL) {
        reader_warn(reader, at,
                    "handler.store.base_path has no effect: contents lie in the data folder");
    }
    if (handler->type == HANDLER_STORE && handler->store.store_id != NULL) {
        reader_warn(reader, at,
                    "handler.store.store_id has no effect: a store is made by the function new");
    }
    if (handler->type == HANDLER_PROCESS && !handler->process.allowed_programs.present) {
        reader_warn(reader, at,
                    "handler.process.allowed_programs is absent: no program may be started");
    }
    if (handler->type == HANDLER_ENVIRONMENT && !handler->environment.allowed_vars.present &&
        !handler->environment.allowed_prefixes.present) {
        reader_warn(reader, at,
                    "handler.environment.allowed_vars and allowed_prefixes are absent: no "
                    "variable may be read");
    }
    return OK;
}

// A second block for one interface could only contradict the first, or repeat it.
static enum status check_repeated(struct reader *reader, const struct manifest_handler *handlers,
                                  uint32_t count, const struct manifest_handler *now,
                                  bool *is_repeated) {
    *is_repeated = false;
    for (uint32_t i = 0; i < count && now->type != HANDLER_WEBSOCKET_SERVER; i++) {
        if (handlers[i].type != now->type) {
            continue;
        }
        struct place at = {now->line, now->column};
        const char *type = manifest_handler_name(now->type);
        if (handler_rows[now->type].section.count > 0) {
            return reader_fail(reader, at, ERR_INVALID,
                               "handler.%s: a second block; the first is in line %u", type,
                               handlers[i].line);
        }
        reader_warn(reader, at, "handler.%s: repeats the block in line %u, ignored", type,
                    handlers[i].line);
        *is_repeated = true;
    }
    return OK;
}

// ---- What the blocks ask for -------------------------------------------------------------------

static struct permission_list bound_of(const struct manifest_list *list, bool absent_is_nothing) {
    return (struct permission_list){.everything = !list->present && !absent_is_nothing,
                                    .count = list->count,
                                    .items = list->items};
}

static void ask_filesystem(struct reader *reader, const struct manifest_handler *handler,
                           struct permissions *out) {
    const char **root = ARENA_ARRAY(reader->arena, const char *, 1);
    root[0] = handler->filesystem.path;
    out->file_system.read = handler->filesystem.read;
    out->file_system.write = handler->filesystem.write;
    out->file_system.execute = handler->filesystem.execute;
    out->file_system.new_dir = handler->filesystem.new_dir;
    out->file_system.paths =
        (struct permission_list){.count = handler->filesystem.path == NULL ? 0 : 1, .items = root};
    out->file_system.commands = bound_of(&handler->filesystem.allowed_commands, true);
}

static void ask_http(const struct manifest_handler *handler, struct permissions *out) {
    if (handler->type == HANDLER_HTTP_CLIENT) {
        out->http_client.methods = bound_of(&handler->http_client.allowed_methods, false);
        out->http_client.hosts = bound_of(&handler->http_client.allowed_hosts, false);
        out->http_client.max_redirects = handler->http_client.max_redirects;
        out->http_client.timeout_ms = handler->http_client.timeout;
        out->http_client.max_response_bytes = handler->http_client.max_response_size;
    } else {
        out->http_framework.routes = bound_of(&handler->http_framework.allowed_routes, false);
        out->http_framework.methods = bound_of(&handler->http_framework.allowed_methods, false);
        out->http_framework.max_request_bytes = handler->http_framework.max_request_size;
    }
}

static void ask(struct reader *reader, const struct manifest_handler *handler,
                struct permissions *out) {
    enum permission_kind kind = handler_rows[handler->type].permission;
    if (kind == PERMISSION_COUNT) {
        return;
    }
    out->allowed[kind] = true;
    if (handler->type == HANDLER_SUPERVISOR) {
        out->supervisor.sources = bound_of(&handler->supervisor.allowed_sources, false);
    } else if (handler->type == HANDLER_HTTP_CLIENT || handler->type == HANDLER_HTTP_FRAMEWORK) {
        ask_http(handler, out);
    } else if (handler->type == HANDLER_FILESYSTEM) {
        ask_filesystem(reader, handler, out);
    } else if (handler->type == HANDLER_STORE) {
        out->store.max_bytes = handler->store.max_bytes;
        out->store.max_contents = handler->store.max_contents;
    } else if (handler->type == HANDLER_TIMING) {
        out->timing.min_sleep_ms = handler->timing.min_sleep_duration;
        out->timing.max_sleep_ms = handler->timing.max_sleep_duration;
    } else if (handler->type == HANDLER_PROCESS) {
        out->process.max_processes = handler->process.max_processes;
        out->process.max_output_bytes = handler->process.max_output_buffer;
        out->process.programs = bound_of(&handler->process.allowed_programs, true);
        out->process.paths = bound_of(&handler->process.allowed_paths, false);
    } else if (handler->type == HANDLER_ENVIRONMENT) {
        out->environment.list_all = handler->environment.allow_list_all;
        out->environment.vars = bound_of(&handler->environment.allowed_vars, true);
        out->environment.prefixes = bound_of(&handler->environment.allowed_prefixes, true);
        out->environment.denied = bound_of(&handler->environment.denied_vars, true);
    } else if (handler->type == HANDLER_RANDOM) {
        out->random.max_bytes = handler->random.max_bytes;
        out->random.max_int = handler->random.max_int;
        out->random.crypto_secure = handler->random.allow_crypto_secure;
    }
}

// ---- All blocks --------------------------------------------------------------------------------

static enum status read_block(struct reader *reader, const char *array,
                              const struct toml_value *block, struct manifest_handler *handlers,
                              uint32_t *count) {
    if (block->kind != TOML_TABLE) {
        return reader_wrong_kind(reader, "", array, block, "a table");
    }
    struct place at = place_of(block);
    if (*count == MANIFEST_HANDLERS_MAX) {
        return reader_fail(reader, at, ERR_LIMIT, "%s: more than %d blocks", array,
                           (int)MANIFEST_HANDLERS_MAX);
    }
    struct manifest_handler *now = &handlers[*count];
    bool is_repeated = false;
    *now = (struct manifest_handler){.line = at.line, .column = at.column};
    enum status status = read_type(reader, array, block, &now->type);
    if (status == OK) {
        status = check_repeated(reader, handlers, *count, now, &is_repeated);
    }
    if (status == OK) {
        status = reader_section(reader, &handler_rows[now->type].section, NULL, block, now);
    }
    if (status == OK) {
        status = check_block(reader, now, at);
    }
    if (status == OK && !is_repeated) {
        ask(reader, now, &reader->manifest->blocks);
        ++*count;
    }
    return status;
}

enum status blocks_read(struct reader *reader, const struct toml_value *root) {
    static const char *const arrays[] = {"handler", "handlers"};
    struct manifest *manifest = reader->manifest;
    struct manifest_handler *handlers =
        ARENA_ARRAY(reader->arena, struct manifest_handler, MANIFEST_HANDLERS_MAX);
    uint32_t count = 0;
    permissions_nothing(&manifest->blocks);
    for (size_t i = 0; i < COUNT_OF(arrays); i++) {
        const struct toml_value *array = toml_find(root, arrays[i]);
        if (array != NULL && array->kind != TOML_ARRAY) {
            return reader_fail(reader, place_of(array), ERR_INVALID,
                               "%s: expected an array of tables, [[%s]], got %s", arrays[i],
                               arrays[i], toml_kind_text(array->kind));
        }
        for (size_t j = 0; array != NULL && j < array->count; j++) {
            enum status status = read_block(reader, arrays[i], &array->items[j], handlers, &count);
            if (status != OK) {
                return status;
            }
        }
    }
    manifest->handlers = handlers;
    manifest->handler_count = count;
    return OK;
}

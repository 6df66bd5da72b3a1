// SPDX-License-Identifier: Apache-2.0
// What a manifest grants: which handler block an import needs, whether this release has what the
// blocks ask for, and the permissions that follow. See manifest.h.
#include <assert.h>

#include "manifest/fields.h"

struct interface_row {
    const char *name;                 // in the package theater:simple
    enum manifest_handler_type type;  // HANDLER_TYPE_COUNT: always there
};

static const struct interface_row interfaces[] = {
    {"runtime", HANDLER_TYPE_COUNT},
    {"types", HANDLER_TYPE_COUNT},
    {"actor", HANDLER_TYPE_COUNT},
    {"message-server-host", HANDLER_TYPE_COUNT},
    {"message-server-client", HANDLER_TYPE_COUNT},
    {"http-types", HANDLER_TYPE_COUNT},
    {"websocket-types", HANDLER_TYPE_COUNT},
    {"http-handlers", HANDLER_TYPE_COUNT},
    {"process-handlers", HANDLER_TYPE_COUNT},
    {"supervisor-handlers", HANDLER_TYPE_COUNT},
    {"supervisor", HANDLER_SUPERVISOR},
    {"store", HANDLER_STORE},
    {"http-client", HANDLER_HTTP_CLIENT},
    {"http-framework", HANDLER_HTTP_FRAMEWORK},
    {"filesystem", HANDLER_FILESYSTEM},
    {"timing", HANDLER_TIMING},
    {"process", HANDLER_PROCESS},
    {"environment", HANDLER_ENVIRONMENT},
    {"random", HANDLER_RANDOM},
    {"websocket-server", HANDLER_WEBSOCKET_SERVER},
};

struct slice manifest_interface_name(struct slice interface) {
    static const char *const packages[] = {"theater:simple/", "ntwk:theater/"};
    struct slice name = {0};
    for (size_t i = 0; i < COUNT_OF(packages); i++) {
        if (slice_starts_with(interface, packages[i])) {
            size_t prefix = strlen(packages[i]);
            name = slice_of(interface.data + prefix, interface.size - prefix);
        }
    }
    const uint8_t *version = name.size == 0 ? NULL : memchr(name.data, '@', name.size);
    if (version != NULL) {
        name.size = (size_t)(version - name.data);
    }
    return name;
}

enum manifest_need manifest_requires(struct slice interface, enum manifest_handler_type *out) {
    struct slice name = manifest_interface_name(interface);
    for (size_t i = 0; i < COUNT_OF(interfaces) && name.size > 0; i++) {
        if (slice_equal_text(name, interfaces[i].name)) {
            if (interfaces[i].type == HANDLER_TYPE_COUNT) {
                return MANIFEST_NEED_NOTHING;
            }
            *out = interfaces[i].type;
            return MANIFEST_NEED_HANDLER;
        }
    }
    return MANIFEST_NEED_UNKNOWN;
}

enum permission_kind manifest_handler_permission(enum manifest_handler_type type) {
    assert(type < HANDLER_TYPE_COUNT);
    return handler_rows[type].permission;
}

enum permission_kind manifest_interface_permission(struct slice name) {
    for (size_t i = 0; i < COUNT_OF(interfaces); i++) {
        if (interfaces[i].type != HANDLER_TYPE_COUNT &&
            slice_equal_text(name, interfaces[i].name)) {
            return handler_rows[interfaces[i].type].permission;
        }
    }
    return PERMISSION_COUNT;
}

const struct manifest_handler *manifest_find_handler(const struct manifest *manifest,
                                                     enum manifest_handler_type type) {
    for (uint32_t i = 0; i < manifest->handler_count; i++) {
        if (manifest->handlers[i].type == type) {
            return &manifest->handlers[i];
        }
    }
    return NULL;
}

enum status manifest_check_import(const struct manifest *manifest, struct slice interface,
                                  struct error *error) {
    enum manifest_handler_type type;
    if (manifest_requires(interface, &type) != MANIFEST_NEED_HANDLER ||
        manifest_find_handler(manifest, type) != NULL) {
        return OK;
    }
    return error_set(error, ERR_DENIED,
                     "the component imports %.*s, which the manifest does not grant; add "
                     "[[handler]] type = \"%s\" to %s",
                     (int)(interface.size > 128 ? 128 : interface.size),
                     (const char *)interface.data, manifest_handler_name(type), manifest->file);
}

enum status manifest_check_available(const struct manifest *manifest, struct error *error) {
    for (uint32_t i = 0; i < manifest->handler_count; i++) {
        const struct manifest_handler *handler = &manifest->handlers[i];
        if (!handler_rows[handler->type].is_available) {
            return error_set(error, ERR_UNSUPPORTED,
                             "%s:%u:%u: handler.%s: this interface is not available yet",
                             manifest->file, handler->line, handler->column,
                             manifest_handler_name(handler->type));
        }
    }
    if (manifest->limits.chain_bytes != 0 && manifest->limits.on_full == MANIFEST_FULL_PRUNE) {
        return error_set(error, ERR_UNSUPPORTED,
                         "%s: limits.on_full: \"prune\" is not available yet; use \"stop\"",
                         manifest->file);
    }
    return OK;
}

void manifest_child_bound(const struct manifest *manifest, const struct permissions *bound,
                          struct arena *arena, struct permissions *out) {
    permissions_intersect(bound, &manifest->policy, arena, out);
}

void manifest_effective(const struct manifest *manifest, const struct permissions *bound,
                        struct arena *arena, struct permissions *out) {
    struct permissions narrowed;
    permissions_intersect(bound, &manifest->policy, arena, &narrowed);
    permissions_intersect(&narrowed, &manifest->blocks, arena, out);
}

enum status manifest_check_id(struct slice chosen, struct error *error) {
    if (chosen.size == 0 || chosen.size > MANIFEST_ID_MAX_BYTES) {
        return error_set(error, ERR_INVALID, "an actor id has 1 to %d bytes, this one has %zu",
                         (int)MANIFEST_ID_MAX_BYTES, chosen.size);
    }
    for (size_t i = 0; i < chosen.size; i++) {
        uint8_t byte = chosen.data[i];
        bool fine = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                    (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
        if (!fine) {
            return error_set(error, ERR_INVALID,
                             "an actor id consists of letters, digits, \".\", \"_\" and \"-\"");
        }
    }
    return OK;
}

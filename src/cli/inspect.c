// SPDX-License-Identifier: Apache-2.0
// theater inspect: a component's world as WIT text, and, in comments before it, its hash, its core
// modules, in which tier they are compiled, what it needs in a manifest and whether it can run
// here. All of stdout is valid WIT. Exit code 0 for a valid component only.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "cli/cli.h"
#include "component/component.h"
#include "component/world.h"
#include "host/host.h"
#include "manifest/manifest.h"
#include "node/node.h"

enum { COMPONENT_MOST_BYTES = 256 * 1024 * 1024 };

// Appends text as comment lines.
static void comment(struct buf *out, const char *indent, const char *text) {
    buf_format(out, "// %s", indent);
    for (; *text != '\0'; text++) {
        bool is_control = (uint8_t)*text < ' ' || *text == 0x7f;
        if (*text == '\n') {
            buf_format(out, "\n// %s", indent);
        } else {
            buf_append_byte(out, is_control ? '?' : (uint8_t)*text);
        }
    }
    buf_append_byte(out, '\n');
}

// ---- core modules ------------------------------------------------------------------------------

static void append_features(const struct wasm_module *module, struct buf *out) {
    const char *before = "; features: ";
    for (unsigned i = 0; i < WASM_FEATURE_COUNT; i++) {
        if ((module->features >> i & 1) != 0) {
            buf_format(out, "%s%s", before, wasm_feature_name((enum wasm_feature)i));
            before = ", ";
        }
    }
}

static void append_modules(const struct component *component, struct buf *out) {
    uint32_t count = component_module_count(component);
    buf_format(out, "// %u core module%s%s\n", count, count == 1 ? "" : "s", count == 0 ? "" : ":");
    for (uint32_t i = 0; i < count; i++) {
        const struct wasm_module *module = component_module_at(component, i);
        buf_format(out,
                   "//   %u: %zu bytes, %llu of them code; %u functions, %u imports, %u exports, %s"
                   "memory",
                   i, module->binary.size, (unsigned long long)module->code_bytes,
                   module->func_count, module->import_count, module->export_count,
                   module->memory_count == 0 ? "no " : "a ");
        append_features(module, out);
        buf_append_byte(out, '\n');
    }
}

// ---- what it needs, and whether it runs --------------------------------------------------------

// The best tier of which the cache has all code, if it has.
static void append_tier(const struct component *component, struct buf *out) {
    char *folder = NULL;
    struct wasm_compiler *compiler = NULL;
    struct wasm_compiler_config config = {.never_compile = true};
    enum status status = node_code_folder(&folder, NULL);
    config.cache_folder = folder;
    if (status == OK && access(folder, F_OK) == 0 &&
        wasm_compiler_new(&config, &compiler, NULL) == OK) {
        for (int tier = WASM_TIER_COUNT - 1; tier >= 0; tier--) {
            if (component_is_cached(component, compiler, (enum wasm_tier)tier)) {
                buf_format(out, "// compiled: %s\n", wasm_tier_text((enum wasm_tier)tier));
                break;
            }
            struct error why = {0};
            if (component_has_failed(component, compiler, (enum wasm_tier)tier, &why)) {
                buf_format(out, "// cannot be compiled, %s (theater compile tries again):\n",
                           wasm_tier_text((enum wasm_tier)tier));
                comment(out, "  ", why.message);
            }
        }
        wasm_compiler_free(compiler);
    }
    free(folder);
}

static void append_needs(const struct component *component, struct buf *out) {
    bool is_named[HANDLER_TYPE_COUNT] = {false};
    bool has_need = false;
    for (uint32_t i = 0; i < component_interface_count(component); i++) {
        enum manifest_handler_type handler;
        if (manifest_requires(component_interface_at(component, i), &handler) ==
                MANIFEST_NEED_HANDLER &&
            !is_named[handler]) {
            buf_format(out, "%s//   [[handler]] type = \"%s\"\n",
                       has_need ? "" : "// needs in its manifest:\n",
                       manifest_handler_name(handler));
            has_need = is_named[handler] = true;
        }
    }
}

static bool is_actor(const struct component *component) {
    for (uint32_t i = 0; i < component_export_count(component); i++) {
        const struct component_export *export = component_export_at(component, i);
        if (slice_equal_text(manifest_interface_name(export->interface), "actor") &&
            slice_equal_text(export->name, "init")) {
            return true;
        }
    }
    return false;
}

// What keeps a component from running, each reason once.
struct obstacles {
    struct buf *out;
    struct map seen;
};

static void add_obstacle(struct obstacles *obstacles, const char *reason) {
    bool is_first = obstacles->seen.live_count == 0;
    if (map_add(&obstacles->seen, slice_text(reason), obstacles)) {
        buf_append_text(obstacles->out, is_first ? "// cannot run here:\n" : "");
        comment(obstacles->out, "  ", reason);
    }
}

// Asks for everything that is imported; false when something is not provided.
static bool append_obstacles(const struct component *component, struct buf *out) {
    struct obstacles obstacles = {.out = out};
    for (uint32_t i = 0; i < component_resource_import_count(component); i++) {
        struct component_host_resource host;
        struct error error = {0};
        if (host_resolve_resource(component_resource_import_at(component, i), &host, &error) !=
            OK) {
            add_obstacle(&obstacles, error.message);
        }
    }
    for (uint32_t i = 0; i < component_import_count(component); i++) {
        struct component_host_func function;
        struct error error = {0};
        if (host_resolve(NULL, component_import_at(component, i), &function, &error) != OK) {
            add_obstacle(&obstacles, error.message);
        }
    }
    bool is_clear = obstacles.seen.live_count == 0;
    map_release(&obstacles.seen);
    return is_clear;
}

// What is imported and can be called, but only to trap.
static void append_missing(const struct component *component, struct buf *out) {
    bool has_missing = false;
    for (uint32_t i = 0; i < component_import_count(component); i++) {
        const struct component_import *import = component_import_at(component, i);
        struct component_host_func function;
        if (host_resolve(NULL, import, &function, NULL) != OK || !host_is_missing(&function)) {
            continue;
        }
        buf_append_text(out, has_missing ? "" : "// traps when it calls:\n");
        has_missing = true;
        struct buf name = {0};
        buf_append_slice(&name, import->interface);
        buf_append_byte(&name, '.');
        buf_append_slice(&name, import->name);
        comment(out, "  ", buf_text(&name));
        buf_release(&name);
    }
}

static void append_verdict(const struct component *component, struct buf *out) {
    if (!append_obstacles(component, out)) {
        return;
    }
    buf_append_text(out, is_actor(component)
                             ? "// can run here\n"
                             : "// is no actor, as it does not export theater:simple/actor.init; "
                               "theater call can call its functions\n");
}

// ---- the command -------------------------------------------------------------------------------

// `component` is NULL for one that cannot be loaded: then `obstacle` says why.
static enum status describe(const char *path, struct slice bytes, const struct component *component,
                            const char *obstacle, struct buf *out, struct error *error) {
    uint8_t hash[SHA256_BYTES];
    char text[SHA256_TEXT_BYTES];
    sha256(bytes, hash);
    sha256_text(hash, text);
    comment(out, "", path);
    buf_format(out, "// sha256 %s, %zu bytes\n", text, bytes.size);
    if (component != NULL) {
        append_modules(component, out);
        append_tier(component, out);
        append_needs(component, out);
        append_verdict(component, out);
        append_missing(component, out);
    } else {
        buf_append_text(out, "// cannot run here:\n");
        comment(out, "  ", obstacle);
    }
    buf_append_byte(out, '\n');
    enum status status = world_print(bytes, out, error);
    if (status != OK) {
        (void)error_context(error, "%s", path);
    }
    return status;
}

// A valid component, or one with a feature that this release does not know: then it may be valid,
// and its world can be shown, but nobody vouches for it.
static int inspect(const char *path, struct slice bytes, const struct component *component,
                   struct error *refusal) {
    struct error error = {0};
    struct buf text = {0};
    int code = EXIT_GOOD;
    if (component != NULL || refusal->code == ERR_UNSUPPORTED) {
        if (describe(path, bytes, component, refusal->message, &text, &error) == OK) {
            fwrite(text.data, 1, text.size, stdout);
            fflush(stdout);
        } else if (component != NULL) {
            code = cli_error(&error);
        }
    }
    if (component == NULL) {
        (void)error_context(refusal, "%s", path);
        code = cli_error(refusal);
    }
    buf_release(&text);
    return code;
}

int cli_inspect(int argc, char **argv) {
    if (argc != 2) {
        return cli_usage("inspect", "one component file");
    }
    if (argv[1][0] == '-') {
        return cli_usage("inspect", "there is no option '%s'", argv[1]);
    }
    struct error error = {0};
    struct bytes *bytes = NULL;
    struct component *component = NULL;
    if (file_read(argv[1], COMPONENT_MOST_BYTES, &bytes, &error) != OK) {
        return cli_error(&error);
    }
    (void)!component_load(bytes, NULL, &component, &error);
    int code = inspect(argv[1], bytes_slice(bytes), component, &error);
    bytes_unref(bytes);
    if (component != NULL) {
        component_unref(component);
    }
    return code;
}

// SPDX-License-Identifier: Apache-2.0
// theater inspect: what a component imports and exports, what it needs in a manifest, its core
// modules, and whether it can run here. Exit code 0 for a valid component only.
#include <stdio.h>

#include "base/file.h"
#include "cli/cli.h"
#include "component/component.h"
#include "host/host.h"
#include "manifest/manifest.h"

enum { COMPONENT_MOST_BYTES = 256 * 1024 * 1024 };

static void print_slice(struct slice text) {
    fwrite(text.data, 1, text.size, stdout);
}

static void print_function(struct slice interface, struct slice name,
                           const struct component_func_type *type) {
    struct buf shape = {0};
    component_func_type_print(type, &shape);
    printf("  ");
    if (interface.size > 0) {
        print_slice(interface);
        putchar('.');
    }
    print_slice(name);
    printf(": %s\n", buf_text(&shape));
    buf_release(&shape);
}

static void print_modules(const struct component *component) {
    printf("core modules:\n");
    for (uint32_t i = 0; i < component_module_count(component); i++) {
        const struct wasm_module *module = component_module_at(component, i);
        printf("  %u: %zu bytes, %u functions, %u imports, %u exports\n", i, module->source->size,
               module->func_count, module->import_count, module->export_count);
    }
}

static void print_needs(const struct component *component) {
    bool has_need = false;
    for (uint32_t i = 0; i < component_interface_count(component); i++) {
        enum manifest_handler_type handler;
        if (manifest_requires(component_interface_at(component, i), &handler) ==
            MANIFEST_NEED_HANDLER) {
            printf("%s  [[handler]] type = \"%s\"\n", has_need ? "" : "needs in its manifest:\n",
                   manifest_handler_name(handler));
            has_need = true;
        }
    }
}

// Every import that nothing answers, each with its reason.
static bool print_obstacles(const struct component *component) {
    bool can_run = true;
    for (uint32_t i = 0; i < component_import_count(component); i++) {
        struct component_host_func function;
        struct error error = {0};
        if (host_resolve(NULL, component_import_at(component, i), &function, &error) != OK) {
            printf("%s  %s\n", can_run ? "cannot run here:\n" : "", error.message);
            can_run = false;
        }
    }
    if (can_run) {
        printf("can run here\n");
    }
    return can_run;
}

static void print_component(const char *path, const struct component *component) {
    char hash[SHA256_TEXT_BYTES];
    sha256_text(component_hash(component), hash);
    printf("%s\nsha256 %s\nimports:\n", path, hash);
    for (uint32_t i = 0; i < component_import_count(component); i++) {
        const struct component_import *import = component_import_at(component, i);
        print_function(import->interface, import->name, import->type);
    }
    printf("exports:\n");
    for (uint32_t i = 0; i < component_export_count(component); i++) {
        const struct component_export *export = component_export_at(component, i);
        print_function(export->interface, export->name, export->type);
    }
    print_modules(component);
    print_needs(component);
    (void)print_obstacles(component);
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
    if (file_read(argv[1], COMPONENT_MOST_BYTES, &bytes, &error) == OK &&
        component_load(bytes, NULL, &component, &error) != OK) {
        error_context(&error, "%s", argv[1]);
    }
    bytes_unref(bytes);
    if (component == NULL) {
        return cli_error(&error);
    }
    print_component(argv[1], component);
    component_unref(component);
    return EXIT_GOOD;
}

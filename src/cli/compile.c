// SPDX-License-Identifier: Apache-2.0
// theater compile: components and core modules to code in the cache, ahead of time.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/env.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"
#include "component/component.h"
#include "manifest/manifest.h"
#include "node/node.h"

enum { FILE_MOST_BYTES = 256 * 1024 * 1024 };

struct compile {
    const char *folder;  // NULL: the cache of nodes
    enum wasm_tier tier;
    struct wasm_compiler *compiler;
    pthread_mutex_t lock;
    int signal;  // lock: the first one that came
};

static void stop(void *context, int number, bool is_first) {
    struct compile *compile = context;
    if (is_first) {
        pthread_mutex_lock(&compile->lock);
        compile->signal = number;
        pthread_mutex_unlock(&compile->lock);
        wasm_compiler_cancel(compile->compiler);
    }
}

// ---- options -----------------------------------------------------------------------------------

static bool parse_options(struct compile *compile, int argc, char **argv, int *code) {
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"quick", no_argument, NULL, 'q'},
                                            {NULL, 0, NULL, 0}};
    opterr = 0;
    for (;;) {
        int option = getopt_long(argc, argv, ":o:", options, NULL);
        if (option == -1) {
            break;
        }
        switch (option) {
            case 'o':
                compile->folder = optarg;
                break;
            case 'q':
                compile->tier = WASM_TIER_QUICK;
                break;
            case ':':
                *code = cli_usage("compile", "%s needs a value", argv[optind - 1]);
                return false;
            default:
                *code = cli_usage("compile", "there is no option '%s'", argv[optind - 1]);
                return false;
        }
    }
    if (optind >= argc) {
        *code = cli_usage("compile", "which manifests or files?");
        return false;
    }
    return true;
}

// ---- one file ----------------------------------------------------------------------------------

static void warn(void *context, const char *text) {
    (void)context;
    log_line(LOG_WARNING, "%s", text);
}

// The bytes of a WebAssembly file, or of the component that a manifest names.
static enum status read_binary(const char *path, struct bytes **out, struct error *error) {
    enum status status = file_read(path, FILE_MOST_BYTES, out, error);
    if (status != OK || ((*out)->size >= 4 && memcmp((*out)->data, "\0asm", 4) == 0)) {
        return status;
    }
    bytes_unref(*out);
    *out = NULL;
    struct manifest_options options = {.warn = warn};
    struct manifest *manifest = NULL;
    status = manifest_load_file(path, &options, &manifest, error);
    if (status == OK) {
        status = manifest_read_component(manifest, NULL, FILE_MOST_BYTES, out, error);
    }
    manifest_unref(manifest);
    return status;
}

static enum status compile_module(const struct compile *compile, struct bytes *bytes,
                                  struct error *error) {
    struct wasm_module *module = NULL;
    struct wasm_code *code = NULL;
    enum status status = wasm_module_scan(bytes, NULL, &module, error);
    if (status == OK) {
        status = wasm_compile(compile->compiler, module, compile->tier, &code, error);
    }
    wasm_code_unref(code);
    wasm_module_unref(module);
    return status;
}

static enum status compile_component(const struct compile *compile, struct bytes *bytes,
                                     uint32_t *modules, struct error *error) {
    struct component *component = NULL;
    enum status status = component_load(bytes, NULL, &component, error);
    if (status != OK) {
        return status;
    }
    *modules = component_module_count(component);
    status = component_compile(component, compile->compiler, compile->tier, error);
    component_unref(component);
    return status;
}

static enum status compile_file(const struct compile *compile, const char *path,
                                struct error *error) {
    static const uint8_t core_version[4] = {1, 0, 0, 0};
    uint64_t started_ns = env_monotonic_ns(env_system());
    struct bytes *bytes = NULL;
    uint32_t modules = 1;
    enum status status = read_binary(path, &bytes, error);
    if (status == OK && bytes->size >= 8 &&
        memcmp(bytes->data + 4, core_version, sizeof core_version) == 0) {
        status = compile_module(compile, bytes, error);
    } else if (status == OK) {
        status = compile_component(compile, bytes, &modules, error);
    }
    bytes_unref(bytes);
    if (status != OK) {
        return error_context(error, "%s", path);
    }
    double seconds = (double)(env_monotonic_ns(env_system()) - started_ns) / 1e9;
    printf("%s: %u core module%s, %s, %.2f s\n", path, modules, modules == 1 ? "" : "s",
           wasm_tier_text(compile->tier), seconds);
    (void)fflush(stdout);
    return OK;
}

// ---- all of them -------------------------------------------------------------------------------

static enum status open_compiler(struct compile *compile, struct error *error) {
    char *folder = NULL;
    enum status status = OK;
    if (compile->folder != NULL) {
        folder = xstrdup(compile->folder);
    } else {
        status = node_code_folder(&folder, error);
    }
    if (status == OK) {
        status = file_make_folders(folder, 0700, error);
    }
    if (status == OK) {
        struct wasm_compiler_config config = {.cache_folder = folder};
        status = wasm_compiler_new(&config, &compile->compiler, error);
    }
    if (status == OK && !wasm_compiler_has(compile->compiler, compile->tier)) {
        status = error_set(error, ERR_UNSUPPORTED,
                           "there is no compiler for quick code: install tcc (x86-64 only)");
    }
    free(folder);
    return status;
}

static int run(struct compile *compile, char **paths) {
    struct error error = {0};
    cli_signals_block();
    if (open_compiler(compile, &error) != OK) {
        wasm_compiler_free(compile->compiler);
        return cli_error(&error);
    }
    struct cli_signals signals = {.stop = stop, .context = compile};
    cli_signals_start(&signals);
    int code = EXIT_GOOD;
    for (; *paths != NULL; paths++) {
        struct error why = {0};
        enum status status = compile_file(compile, *paths, &why);
        if (status == ERR_STOPPING) {
            break;
        }
        if (status != OK) {
            code = cli_error(&why);
        }
    }
    cli_signals_end(&signals);
    wasm_compiler_free(compile->compiler);
    return compile->signal != 0 ? 128 + compile->signal : code;
}

int cli_compile(int argc, char **argv) {
    struct compile compile = {.tier = WASM_TIER_OPTIMISED};
    int code = EXIT_GOOD;
    if (!parse_options(&compile, argc, argv, &code)) {
        return code;
    }
    (void)pthread_mutex_init(&compile.lock, NULL);
    code = run(&compile, argv + optind);
    (void)pthread_mutex_destroy(&compile.lock);
    return code;
}

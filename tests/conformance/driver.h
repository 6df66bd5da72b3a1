// SPDX-License-Identifier: Apache-2.0
// What the conformance drivers share: a stack to run guests on, the code cache, and loading a
// component from a file. Everything fatal ends the program with the error's sentence.
#ifndef TESTS_CONFORMANCE_DRIVER_H
#define TESTS_CONFORMANCE_DRIVER_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/file.h"
#include "component/component.h"

enum { DRIVER_STACK_BYTES = 1 << 20, DRIVER_GUARD_BYTES = 64 << 10 };
#define DRIVER_FILE_BYTES (UINT64_C(256) << 20)
#define DRIVER_ARENA_BYTES (UINT64_C(256) << 20)
#define DRIVER_MEMORY_BYTES (UINT64_C(64) << 30)

struct driver {
    int (*body)(struct driver *driver);
    int argc;
    char **argv;
    int result;
    struct wasm_compiler *compiler;
    enum wasm_tier tier;  // optimised unless `--quick` is given
    struct wasm_context context;
    struct wasm_budget budget;
    uint8_t *stack;
    void *data;  // the body's
};

static inline void driver_end(enum status status, const struct error *error) {
    if (status != OK) {
        (void)fprintf(stderr, "%s: %s\n", status_text(status), error->message);
        exit(1);
    }
}

// Whether `--quick` is among the arguments, which is removed from them.
static inline bool driver_is_quick(struct driver *driver) {
    for (int i = 1; i < driver->argc; i++) {
        if (strcmp(driver->argv[i], "--quick") == 0) {
            memmove(&driver->argv[i], &driver->argv[i + 1],
                    (size_t)(driver->argc - i - 1) * sizeof(char *));
            driver->argc--;
            return true;
        }
    }
    return false;
}

// The value of `--cache FOLDER`, $XDG_CACHE_HOME/theater/code or ~/.cache/theater/code. Removes
// the option from the arguments. Free with free.
static inline char *driver_cache_folder(struct driver *driver) {
    for (int i = 1; i + 1 < driver->argc; i++) {
        if (strcmp(driver->argv[i], "--cache") == 0) {
            char *folder = xstrdup(driver->argv[i + 1]);
            memmove(&driver->argv[i], &driver->argv[i + 2],
                    (size_t)(driver->argc - i - 2) * sizeof(char *));
            driver->argc -= 2;
            return folder;
        }
    }
    const char *cache = getenv("XDG_CACHE_HOME");
    if (cache != NULL && cache[0] == '/') {
        return file_join(cache, "theater/code");
    }
    const char *home = getenv("HOME");
    return file_join(home == NULL ? "." : home, ".cache/theater/code");
}

// Begins a turn with this limit of CPU time (0: none) on the driver's thread. The limit counts with
// a watchdog running.
static inline void driver_begin_turn(struct driver *driver, uint64_t cpu_limit_ns) {
    wasm_context_unbind(&driver->context);
    wasm_context_begin(&driver->context, cpu_limit_ns);
    wasm_context_bind(&driver->context);
}

static inline void *driver_thread(void *data) {
    struct driver *driver = data;
    wasm_thread_enter();
    wasm_context_init(&driver->context, driver->stack + DRIVER_GUARD_BYTES, driver->stack);
    wasm_context_bind(&driver->context);
    wasm_context_begin(&driver->context, 0);
    driver->result = driver->body(driver);
    wasm_context_unbind(&driver->context);
    wasm_thread_leave();
    return NULL;
}

// Makes the compiler, with the cache folder and the tier that the arguments say. End with
// driver_close.
static inline void driver_open(struct driver *driver) {
    driver->tier = driver_is_quick(driver) ? WASM_TIER_QUICK : WASM_TIER_OPTIMISED;
    driver->budget.memory_limit_bytes = DRIVER_MEMORY_BYTES;
    struct error error = {.code = OK};
    char *folder = driver_cache_folder(driver);
    driver_end(file_make_folders(folder, 0700, &error), &error);
    struct wasm_compiler_config config = {.cache_folder = folder};
    driver_end(wasm_compiler_new(&config, &driver->compiler, &error), &error);
    free(folder);
}

static inline void driver_close(struct driver *driver) {
    wasm_compiler_free(driver->compiler);
}

// Runs the driver's body on a thread whose stack has a guard that the context knows. Gives its
// result.
static inline int driver_run(struct driver *driver) {
    size_t size = DRIVER_GUARD_BYTES + DRIVER_STACK_BYTES;
    driver->stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (driver->stack == MAP_FAILED ||
        mprotect(driver->stack, DRIVER_GUARD_BYTES, PROT_NONE) != 0) {
        perror("stack");
        return 1;
    }
    pthread_attr_t attributes;
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstack(&attributes, driver->stack + DRIVER_GUARD_BYTES,
                                DRIVER_STACK_BYTES);
    pthread_t thread;
    if (pthread_create(&thread, &attributes, driver_thread, driver) != 0) {
        perror("thread");
        return 1;
    }
    (void)pthread_join(thread, NULL);
    (void)pthread_attr_destroy(&attributes);
    (void)munmap(driver->stack, size);
    return driver->result;
}

// All of it.
static inline int driver_main(int argc, char **argv, int (*body)(struct driver *driver)) {
    struct driver driver = {.body = body, .argc = argc, .argv = argv};
    driver_open(&driver);
    int result = driver_run(&driver);
    driver_close(&driver);
    return result;
}

// Gives the loaded and compiled component of a file.
static inline struct component *driver_load(struct driver *driver, const char *path) {
    struct error error = {.code = OK};
    struct bytes *bytes = NULL;
    driver_end(file_read(path, DRIVER_FILE_BYTES, &bytes, &error), &error);
    struct component *component = NULL;
    enum status status = component_load(bytes, NULL, &component, &error);
    bytes_unref(bytes);
    if (status == OK) {
        status = component_compile(component, driver->compiler, driver->tier, &error);
    }
    (void)error_context(&error, "%s", path);
    driver_end(status, &error);
    return component;
}

// The number of the export, or -1.
static inline int driver_find(const struct component *component, const char *interface,
                              const char *name) {
    for (uint32_t i = 0; i < component_export_count(component); i++) {
        const struct component_export *export = component_export_at(component, i);
        if (slice_equal_text(export->name, name) &&
            slice_equal_text(export->interface, interface)) {
            return (int)i;
        }
    }
    return -1;
}

#endif

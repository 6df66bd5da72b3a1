// SPDX-License-Identifier: Apache-2.0
// What the tests of this room share: modules from text, a thread with a guarded stack for guest
// code, and short ways to compile, instantiate and call.
#ifndef TESTS_UNIT_WASM_COMMON_H
#define TESTS_UNIT_WASM_COMMON_H

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"
#include "wasm/wasm.h"

UNUSED static struct bytes *wat_bytes(const char *text, const char *options) {
    static int count;
    char source[256], target[256], command[1024];
    const char *folder = test_folder();
    (void)snprintf(source, sizeof source, "%s/%d.wat", folder, count);
    (void)snprintf(target, sizeof target, "%s/%d.wasm", folder, count++);
    struct error error = {0};
    struct bytes *bytes = NULL;
    REQUIRE_OK(file_write_atomic(source, slice_text(text), 0600, &error), error);
    (void)snprintf(command, sizeof command, "wat2wasm %s %s -o %s", options, source, target);
    REQUIRE(system(command) == 0);
    REQUIRE_OK(file_read(target, 1 << 20, &bytes, &error), error);
    return bytes;
}

UNUSED static struct wasm_module *wat_module(const char *text) {
    struct bytes *bytes = wat_bytes(text, "--enable-multi-memory");
    struct wasm_module *module = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_module_scan(bytes, NULL, &module, &error), error);
    bytes_unref(bytes);
    return module;
}

UNUSED static struct wasm_compiler *shared_compiler(void) {
    static struct wasm_compiler *compiler;
    if (compiler == NULL) {
        static char folder[256];
        (void)snprintf(folder, sizeof folder, "%s/cache", test_folder());
        struct wasm_compiler_config config = {.cache_folder = folder};
        struct error error = {0};
        REQUIRE_OK(wasm_compiler_new(&config, &compiler, &error), error);
    }
    return compiler;
}

UNUSED static struct wasm_code *wat_code(const char *text) {
    struct wasm_module *module = wat_module(text);
    struct wasm_code *code = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_compile(shared_compiler(), module, WASM_TIER_OPTIMISED, &code, &error), error);
    wasm_module_unref(module);
    return code;
}

UNUSED static struct wasm_budget budget = {.memory_limit_bytes = 1 << 30};

UNUSED static struct wasm_instance *make(struct wasm_code *code,
                                         const struct wasm_extern *imports) {
    struct wasm_instance *instance = NULL;
    struct error error = {0};
    EXPECT_OK(wasm_instantiate(code, imports, &budget, &instance, &error), error);
    if (instance == NULL)
        fatal("instantiation failed: %s", error.message);
    return instance;
}

// Calls export `index` with up to three arguments; the first result in *out. False: trapped.
UNUSED static bool call3(struct wasm_instance *instance, uint32_t index, uint64_t a, uint64_t b,
                         uint64_t c, uint64_t *out) {
    struct wasm_extern func = wasm_instance_export(instance, index);
    uint64_t slots[8] = {a, b, c};
    bool done = wasm_call(&func.of.func, slots);
    if (out != NULL)
        *out = slots[0];
    return done;
}

UNUSED static uint64_t call(struct wasm_instance *instance, uint32_t index, uint64_t a,
                            uint64_t b) {
    uint64_t result = 0;
    if (!call3(instance, index, a, b, 0, &result))
        test_report(__FILE__, __LINE__, "export %u trapped: %s", index,
                    wasm_trap_text(wasm_context_current()->trap));
    return result;
}

// Runs `body` on a thread whose stack has a guard page below it, with a context bound.
struct guarded {
    void (*body)(struct wasm_context *context);
    struct wasm_context context;
    uint64_t cpu_limit_ns;
};

static void *guarded_main(void *argument) {
    struct guarded *guarded = argument;
    wasm_thread_enter();
    wasm_context_begin(&guarded->context, guarded->cpu_limit_ns);
    wasm_context_bind(&guarded->context);
    guarded->body(&guarded->context);
    wasm_context_unbind(&guarded->context);
    wasm_thread_leave();
    return NULL;
}

UNUSED static void with_guest_stack(void (*body)(struct wasm_context *context),
                                    uint64_t cpu_limit_ns) {
    enum { STACK_BYTES = 1 << 20, GUARD_BYTES = 64 << 10 };
    uint8_t *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(stack != MAP_FAILED);
    REQUIRE(mprotect(stack, GUARD_BYTES, PROT_NONE) == 0);
    struct guarded guarded = {.body = body, .cpu_limit_ns = cpu_limit_ns};
    wasm_context_init(&guarded.context, stack + GUARD_BYTES, stack);
    pthread_attr_t attributes;
    pthread_t thread;
    REQUIRE(pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstack(&attributes, stack + GUARD_BYTES, STACK_BYTES - GUARD_BYTES) ==
            0);
    REQUIRE(pthread_create(&thread, &attributes, guarded_main, &guarded) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    (void)pthread_attr_destroy(&attributes);
    (void)munmap(stack, STACK_BYTES);
}

#endif

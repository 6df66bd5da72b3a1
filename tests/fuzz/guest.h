// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets share that run a component: it is compiled once, into a cache of theirs,
// and runs on libFuzzer's own thread, whose stack the guests must not exhaust.
#ifndef TESTS_FUZZ_GUEST_H
#define TESTS_FUZZ_GUEST_H

#include "base/file.h"
#include "component/component.h"

#define GUEST_CODE_CACHE SOURCE_FOLDER "/build/fuzz-code"

enum { GUEST_STACK_BYTES = 1 << 20, GUEST_GUARD_BYTES = 65536 };

struct guest {
    struct wasm_compiler *compiler;
    struct component *component;
    struct component_linked *linked;
    struct component_instance *instance;  // of the current input
    struct wasm_context context;
    struct wasm_budget budget;
    struct arena arena;  // of a call's values
};

// What the input still has to say; zeros behind its end.
struct script {
    const uint8_t *data;
    size_t left;
};

static inline uint8_t script_byte(struct script *script) {
    if (script->left == 0)
        return 0;
    script->left--;
    return *script->data++;
}

static inline uint64_t script_number(struct script *script, uint32_t bytes) {
    uint64_t number = 0;
    for (uint32_t i = 0; i < bytes; i++)
        number |= (uint64_t)script_byte(script) << 8 * i;
    return number;
}

static inline enum status guest_load(struct guest *guest, const char *path,
                                     component_resolve_fn resolve,
                                     component_resolve_resource_fn resolve_resource,
                                     struct error *error) {
    struct bytes *bytes = NULL;
    struct wasm_compiler_config config = {.cache_folder = GUEST_CODE_CACHE};
    enum status status = file_make_folders(GUEST_CODE_CACHE, 0700, error);
    if (status == OK)
        status = wasm_compiler_new(&config, &guest->compiler, error);
    if (status == OK)
        status = file_read(path, 1 << 20, &bytes, error);
    if (status == OK)
        status = component_load(bytes, NULL, &guest->component, error);
    if (status == OK)
        status = component_compile(guest->component, guest->compiler, WASM_TIER_OPTIMISED, error);
    if (status == OK)
        status = component_link(guest->component, resolve, resolve_resource, NULL, &guest->linked,
                                error);
    bytes_unref(bytes);
    return status;
}

// Loads the component of the file, once per process, and makes the thread ready to run it. `frame`
// is of the caller: __builtin_frame_address(0).
static inline void guest_open(struct guest *guest, const char *path, component_resolve_fn resolve,
                              component_resolve_resource_fn resolve_resource, uint8_t *frame) {
    struct error error = {.code = OK};
    guest->budget.memory_limit_bytes = 64 << 20;
    arena_init(&guest->arena, 1 << 20);
    if (guest_load(guest, path, resolve, resolve_resource, &error) != OK)
        fatal("%s: %s", path, error.message);
    wasm_thread_enter();
    wasm_context_init(&guest->context, frame - GUEST_STACK_BYTES,
                      frame - GUEST_STACK_BYTES - GUEST_GUARD_BYTES);
    wasm_context_bind(&guest->context);
}

// The number of the root export with this name, or -1.
static inline int guest_find(const struct guest *guest, const char *name) {
    for (uint32_t i = 0; i < component_export_count(guest->component); i++)
        if (slice_equal_text(component_export_at(guest->component, i)->name, name))
            return (int)i;
    return -1;
}

static inline void guest_start(struct guest *guest, void *owner) {
    struct error error = {.code = OK};
    wasm_context_begin(&guest->context, 0);
    if (component_instantiate(guest->linked, owner, &guest->budget, &guest->instance, &error) !=
        COMPONENT_DONE)
        fatal("%s", error.message);
}

// Ends the instance; nothing of it may be left.
static inline void guest_end(struct guest *guest) {
    component_instance_free(guest->instance);
    if (guest->budget.memory_used_bytes != 0)
        fatal("an instance left %llu bytes behind",
              (unsigned long long)guest->budget.memory_used_bytes);
    arena_reset(&guest->arena);
}

// Checks what an outcome entails and gives whether the call returned: a trap has a reason and ends
// the instance.
static inline bool guest_outcome(const struct guest *guest, enum component_outcome outcome,
                                 const struct error *error) {
    if (component_instance_is_dead(guest->instance) != (outcome == COMPONENT_TRAPPED))
        fatal("a trap and the death of the instance go together");
    if (outcome == COMPONENT_TRAPPED && (error->code != ERR_TRAP || error->message[0] == 0))
        fatal("a trap without a reason");
    return outcome == COMPONENT_DONE;
}

// Calls an export; gives whether it returned.
static inline bool guest_call(struct guest *guest, int index, const struct value *args,
                              struct value *result) {
    struct error error = {.code = OK}, again = {.code = OK};
    wasm_context_begin(&guest->context, 0);
    bool returned = guest_outcome(
        guest,
        component_call(guest->instance, (uint32_t)index, args, result, &guest->arena, &error),
        &error);
    if (!returned && component_call(guest->instance, (uint32_t)index, args, result, &guest->arena,
                                    &again) != COMPONENT_TRAPPED)
        fatal("a dead instance was called");
    return returned;
}

#endif

// SPDX-License-Identifier: Apache-2.0
// The component object after load: what it declares, compiling its core modules, and binding host
// functions.
#include <assert.h>
#include <stdlib.h>

#include "component/plan.h"

struct component *component_ref(struct component *component) {
    assert(component != NULL);
    // Whoever calls holds a reference, so nothing needs ordering.
    (void)atomic_fetch_add_explicit(&component->references, 1, memory_order_relaxed);
    return component;
}

void component_unref(struct component *component) {
    // Release pairs with the acquire of the last one, which frees what others wrote.
    if (component == NULL ||
        atomic_fetch_sub_explicit(&component->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (uint32_t i = 0; i < component->module_count; i++) {
        for (int tier = 0; tier < WASM_TIER_COUNT; tier++) {
            if (component->codes[tier] != NULL && component->codes[tier][i] != NULL) {
                wasm_code_unref(component->codes[tier][i]);
            }
        }
        wasm_module_unref(component->modules[i]);
    }
    for (int tier = 0; tier < WASM_TIER_COUNT; tier++) {
        free(component->codes[tier]);
        (void)pthread_mutex_destroy(&component->compile_locks[tier]);
    }
    free(component->modules);
    free(component->imports);
    free(component->interfaces);
    free(component->exports);
    free(component->export_targets);
    free(component->steps);
    free(component->functions);
    free(component->memories);
    free(component->function_order);
    free(component->memory_order);
    free(component->lifts);
    free(component->lowers);
    free(component->stubs);
    free(component->resource_imports);
    free(component->resources);
    arena_release(&component->arena);
    bytes_unref(component->source);
    free(component);
}

uint32_t component_import_count(const struct component *component) {
    return component->import_count;
}

const struct component_import *component_import_at(const struct component *component, uint32_t i) {
    assert(i < component->import_count);
    return &component->imports[i];
}

uint32_t component_resource_import_count(const struct component *component) {
    return component->resource_import_count;
}

const struct component_resource *component_resource_import_at(const struct component *component,
                                                              uint32_t i) {
    assert(i < component->resource_import_count);
    return component->resource_imports[i];
}

uint32_t component_interface_count(const struct component *component) {
    return component->interface_count;
}

struct slice component_interface_at(const struct component *component, uint32_t i) {
    assert(i < component->interface_count);
    return component->interfaces[i];
}

uint32_t component_export_count(const struct component *component) {
    return component->export_count;
}

const struct component_export *component_export_at(const struct component *component, uint32_t i) {
    assert(i < component->export_count);
    return &component->exports[i];
}

uint32_t component_module_count(const struct component *component) {
    return component->module_count;
}

struct wasm_module *component_module_at(const struct component *component, uint32_t i) {
    assert(i < component->module_count);
    return component->modules[i];
}

const uint8_t *component_hash(const struct component *component) {
    return component->hash;
}

// ---- compile -----------------------------------------------------------------------------------

typedef enum status (*compile_fn)(struct wasm_compiler *compiler, struct wasm_module *module,
                                  enum wasm_tier tier, struct wasm_code **out, struct error *error);

static enum status compile_all(struct component *component, struct wasm_compiler *compiler,
                               enum wasm_tier tier, compile_fn compile, struct error *error) {
    assert(component != NULL && compiler != NULL && tier < WASM_TIER_COUNT);
    enum status status = OK;
    struct wasm_code **codes = component->codes[tier];
    (void)pthread_mutex_lock(&component->compile_locks[tier]);
    for (uint32_t i = 0; i < component->module_count && status == OK; i++) {
        if (codes[i] != NULL) {
            continue;
        }
        struct wasm_code *code = NULL;
        status = compile(compiler, component->modules[i], tier, &code, error);
        if (status == OK) {
            codes[i] = code;
        } else {
            (void)error_context(error, "core module %u", i);
        }
    }
    if (status == OK) {
        // Release: whoever sees the tier (component_instantiate) also sees all of its codes.
        int best = atomic_load_explicit(&component->tier, memory_order_relaxed);
        while (best < (int)tier &&
               !atomic_compare_exchange_weak_explicit(&component->tier, &best, (int)tier,
                                                      memory_order_release, memory_order_relaxed)) {
        }
    }
    (void)pthread_mutex_unlock(&component->compile_locks[tier]);
    return status;
}

enum status component_compile(struct component *component, struct wasm_compiler *compiler,
                              enum wasm_tier tier, struct error *error) {
    return compile_all(component, compiler, tier, wasm_compile, error);
}

enum status component_compile_cached(struct component *component, struct wasm_compiler *compiler,
                                     enum wasm_tier tier, struct error *error) {
    return compile_all(component, compiler, tier, wasm_compile_cached, error);
}

bool component_is_cached(const struct component *component, const struct wasm_compiler *compiler,
                         enum wasm_tier tier) {
    for (uint32_t i = 0; i < component->module_count; i++) {
        if (!wasm_is_cached(compiler, component->modules[i], tier)) {
            return false;
        }
    }
    return true;
}

bool component_has_failed(const struct component *component, const struct wasm_compiler *compiler,
                          enum wasm_tier tier, struct error *error) {
    for (uint32_t i = 0; i < component->module_count; i++) {
        if (wasm_has_failed(compiler, component->modules[i], tier, error)) {
            (void)!error_context(error, "core module %u", i);
            return true;
        }
    }
    return false;
}

enum wasm_tier component_tier(const struct component *component) {
    // Acquire: pairs with the release in compile_all.
    int tier = atomic_load_explicit(&component->tier, memory_order_acquire);
    return tier == NO_TIER ? WASM_TIER_COUNT : (enum wasm_tier)tier;
}

// ---- link --------------------------------------------------------------------------------------

static enum status import_error(struct error *error, struct slice interface, struct slice name) {
    return error_context(error, "import %.*s%s%.*s", (int)interface.size,
                         (const char *)interface.data, interface.size == 0 ? "" : " ",
                         (int)name.size, (const char *)name.data);
}

static enum status link_resources(struct component_linked *linked,
                                  component_resolve_resource_fn resolve, void *resolver,
                                  struct error *error) {
    const struct component *component = linked->component;
    for (uint32_t i = 0; i < component->resource_import_count; i++) {
        const struct component_resource *resource = component->resource_imports[i];
        enum status status =
            resolve == NULL ? error_set(error, ERR_NOT_FOUND, "the host has no such resource type")
                            : resolve(resolver, resource, &linked->resources[i], error);
        if (status != OK) {
            (void)import_error(error, resource->interface, resource->name);
            return status;
        }
    }
    return OK;
}

static enum status link_functions(struct component_linked *linked, component_resolve_fn resolve,
                                  void *resolver, struct error *error) {
    const struct component *component = linked->component;
    for (uint32_t i = 0; i < component->import_count; i++) {
        const struct component_import *import = &component->imports[i];
        enum status status = resolve(resolver, import, &linked->functions[i], error);
        if (status != OK) {
            (void)import_error(error, import->interface, import->name);
            return status;
        }
        assert(linked->functions[i].fn != NULL);
    }
    return OK;
}

enum status component_link(struct component *component, component_resolve_fn resolve,
                           component_resolve_resource_fn resolve_resource, void *resolver,
                           struct component_linked **out, struct error *error) {
    assert(component != NULL && resolve != NULL && out != NULL);
    if (component->missing.size != 0) {
        return error_set(error, ERR_UNSUPPORTED,
                         "import %.*s: a host cannot give components or core modules",
                         (int)component->missing.size, (const char *)component->missing.data);
    }
    struct component_linked *linked = xcalloc(1, sizeof *linked);
    atomic_init(&linked->references, 1);
    linked->component = component_ref(component);
    linked->functions = xcalloc(component->import_count + 1u, sizeof *linked->functions);
    linked->resources = xcalloc(component->resource_import_count + 1u, sizeof *linked->resources);
    enum status status = link_resources(linked, resolve_resource, resolver, error);
    if (status == OK) {
        status = link_functions(linked, resolve, resolver, error);
    }
    if (status != OK) {
        component_linked_unref(linked);
        return status;
    }
    *out = linked;
    return OK;
}

struct component_linked *component_linked_ref(struct component_linked *linked) {
    assert(linked != NULL);
    (void)atomic_fetch_add_explicit(&linked->references, 1, memory_order_relaxed);
    return linked;
}

void component_linked_unref(struct component_linked *linked) {
    if (linked == NULL ||
        atomic_fetch_sub_explicit(&linked->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    component_unref(linked->component);
    free(linked->functions);
    free(linked->resources);
    free(linked);
}

struct component *component_linked_component(struct component_linked *linked) {
    return linked->component;
}

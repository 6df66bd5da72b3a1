// SPDX-License-Identifier: Apache-2.0
// What a component is after load: a flat list of steps and tables of numbers. Private to the room.
//
// Every nested component instantiation has been carried out on paper: what is left are the core
// modules to instantiate, in order, each into a numbered slot; the core functions and memories that
// canonical definitions refer to, by slot and export; and the canonical definitions themselves.
// Each nested instantiation keeps a number (its *owner* number) for the rules about entering and
// leaving, and for the handle table.
#ifndef COMPONENT_PLAN_H
#define COMPONENT_PLAN_H

#include <pthread.h>

#include "component/types.h"

enum string_encoding { ENCODING_UTF8, ENCODING_UTF16, ENCODING_LATIN1_UTF16 };

enum core_source {
    CORE_EXPORT,   // export `export_index` of the instance in slot `index`
    CORE_LOWERED,  // lowered function `index`
    CORE_STUB,     // stub `index`: a built-in that traps, or the context slot
};

// Where a core item comes from. No padding: it serves as a map key.
struct core_ref {
    uint32_t source;  // enum core_source
    uint32_t index;
    uint32_t export_index;
};

// When the item is there: before any step (0), or after step number - 1.
static inline uint32_t core_ref_step(const struct core_ref *ref) {
    return ref->source == CORE_EXPORT ? ref->index + 1 : 0;
}

// One core module to instantiate into slot number = position of the step.
struct plan_step {
    uint32_t module;
    const struct core_ref *imports;  // one per import of the module
    uint32_t import_count;
};

#define PLAN_NONE UINT32_MAX

// How a function's values travel; shared by lift and lower.
struct plan_signature {
    const struct component_func_type *type;
    const struct component_type *params;  // all parameters as one tuple; NULL: none
    bool params_in_memory;
    bool result_in_memory;
    uint32_t flat_param_count;  // core parameters, return pointer not counted
    uint32_t owner;             // number of the component instantiation
    uint32_t memory;            // index in plan memories, or PLAN_NONE
    uint32_t realloc;           // index in plan functions, or PLAN_NONE
    enum string_encoding encoding;
};

struct plan_lift {
    struct plan_signature signature;
    uint32_t callee;       // index in plan functions
    uint32_t post_return;  // the same, or PLAN_NONE
};

// What a component-level function stands for.
struct plan_target {
    bool is_import;  // else a lift
    uint32_t index;
};

struct plan_lower {
    struct plan_signature signature;
    struct plan_target target;
    bool is_reentrance;  // the target is of an instantiation around or inside: the call traps
    const struct wasm_func_type *core_type;
};

enum stub_kind {
    STUB_TRAP,
    STUB_CONTEXT_GET,
    STUB_CONTEXT_SET,
    STUB_RESOURCE_NEW,
    STUB_RESOURCE_DROP,
    STUB_RESOURCE_REP
};

struct plan_stub {
    enum stub_kind kind;
    uint32_t slot;      // of context.get and context.set
    uint32_t resource;  // of the resource built-ins: index in plan resources
    uint32_t owner;     // the component instantiation whose handles they work on
    const char *name;   // for the trap's text
    const struct wasm_func_type *core_type;
};

enum { CONTEXT_SLOTS = 2 };

// One resource type of the instance. Types that a component defines are made anew with each of its
// instantiations (Explainer.md, "Type Checking").
struct plan_resource {
    const struct component_resource *type;
    uint32_t host;   // of an imported one: index in the component's resource imports
    uint32_t owner;  // of a defined one: the instantiation that implements it
    uint32_t dtor;   // index in plan functions, or PLAN_NONE
};

// Of struct component.
enum { NO_TIER = -1 };

struct component {
    _Atomic uint32_t references;
    struct bytes *source;
    uint8_t hash[32];
    struct arena arena;  // types, names of tables, everything below that is `const`

    struct wasm_module **modules;
    uint32_t module_count;
    uint32_t module_capacity;

    // The name of an imported component or core module, which no host can give; there is no plan
    // then. Empty: none.
    struct slice missing;

    struct component_import *imports;
    uint32_t import_count;
    uint32_t import_capacity;
    struct slice *interfaces;
    uint32_t interface_count;
    uint32_t interface_capacity;
    struct component_export *exports;
    struct plan_target *export_targets;  // one per export
    uint32_t export_count;
    uint32_t export_capacity;
    uint32_t export_target_count;
    uint32_t export_target_capacity;

    const struct component_resource **resource_imports;
    uint32_t resource_import_count;
    uint32_t resource_import_capacity;

    struct plan_step *steps;
    uint32_t step_count;
    uint32_t step_capacity;
    uint32_t most_imports;  // of any step
    struct core_ref *functions;
    uint32_t function_count;
    uint32_t function_capacity;
    struct core_ref *memories;
    uint32_t memory_count;
    uint32_t memory_capacity;
    // Numbers of functions and memories in the order of core_ref_step.
    uint32_t *function_order;
    uint32_t *memory_order;
    struct plan_lift *lifts;
    uint32_t lift_count;
    uint32_t lift_capacity;
    struct plan_lower *lowers;
    uint32_t lower_count;
    uint32_t lower_capacity;
    struct plan_stub *stubs;
    uint32_t stub_count;
    uint32_t stub_capacity;
    struct plan_resource *resources;
    uint32_t resource_count;
    uint32_t resource_capacity;
    uint32_t owner_count;

    // Per tier, the code of each module, NULL until compiled. A lock guards the filling of its
    // tier, which is read by instantiation only after `tier`, stored with release, was loaded with
    // acquire.
    pthread_mutex_t compile_locks[WASM_TIER_COUNT];
    struct wasm_code **codes[WASM_TIER_COUNT];
    _Atomic int tier;  // the best complete one; NO_TIER: none
};

struct component_linked {
    _Atomic uint32_t references;
    struct component *component;
    struct component_host_func *functions;      // one per import
    struct component_host_resource *resources;  // one per resource import
};

#endif

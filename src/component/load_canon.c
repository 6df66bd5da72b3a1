// SPDX-License-Identifier: Apache-2.0
// Canonical definitions (Binary.md, "Canonical Definitions"; CanonicalABI.md, "canonopt
// Validation", "canon lift", "canon lower"): options, core signatures, and the entries of the plan.
#include <assert.h>

#include "component/load.h"

struct options {
    const struct core_item *memory;
    const struct core_item *realloc;
    const struct core_item *post_return;
    enum string_encoding encoding;
};

static const uint8_t FOUR_I32[] = {WASM_I32, WASM_I32, WASM_I32, WASM_I32};

static void check_func_type(struct loader *loader, const struct core_item *item,
                            const struct wasm_func_type *wanted, const char *what) {
    if (!failed(loader) && !wasm_func_type_equal(item->type.func, wanted)) {
        fail(loader, ERR_INVALID, "the core function given as %s has the wrong type", what);
    }
}

static const struct core_item *read_option(struct loader *loader, enum sort sort,
                                           const struct core_item *earlier) {
    if (earlier != NULL) {
        fail(loader, ERR_INVALID, "a canonical option is given twice");
    }
    return scope_read(loader, sort);
}

static struct options read_options(struct loader *loader) {
    struct options options = {.encoding = ENCODING_UTF8};
    bool has_encoding = false;
    uint32_t count = read_count(loader, "canonical options");
    for (uint32_t i = 0; i < count && !failed(loader); i++) {
        uint8_t code = read_byte(loader);
        if (failed(loader)) {
            break;
        }
        if (code <= 0x02) {
            if (has_encoding) {
                fail(loader, ERR_INVALID, "two string encodings in the canonical options");
            }
            has_encoding = true;
            options.encoding = (enum string_encoding)code;
        } else if (code == 0x03) {
            options.memory = read_option(loader, SORT_CORE_MEMORY, options.memory);
        } else if (code == 0x04) {
            options.realloc = read_option(loader, SORT_CORE_FUNC, options.realloc);
        } else if (code == 0x05) {
            options.post_return = read_option(loader, SORT_CORE_FUNC, options.post_return);
        } else if (code == 0x06 || code == 0x07) {
            fail(loader, ERR_UNSUPPORTED, "asynchronous functions (canonical option %s)",
                 code == 0x06 ? "async" : "callback");
        } else {
            fail(loader, ERR_INVALID, "unknown canonical option 0x%02x", code);
        }
    }
    if (!failed(loader) && options.realloc != NULL) {
        if (options.memory == NULL) {
            fail(loader, ERR_INVALID, "the canonical option realloc needs a memory");
        }
        struct wasm_func_type wanted = {
            .param_count = 4, .result_count = 1, .params = FOUR_I32, .results = FOUR_I32};
        check_func_type(loader, options.realloc, &wanted, "realloc");
    }
    return options;
}

// The number of this function among those that the plan refers to.
static uint32_t function_number(struct loader *loader, const struct core_item *item) {
    if (item == NULL) {
        return PLAN_NONE;
    }
    struct slice key = slice_of(&item->ref, sizeof item->ref);
    uintptr_t known = (uintptr_t)map_get(&loader->functions, key);
    if (known == 0) {
        *(struct core_ref *)PLAN_PUSH(loader->component, function) = item->ref;
        known = loader->component->function_count;
        (void)map_add(&loader->functions, key, (void *)known);
    }
    return (uint32_t)(known - 1);
}

uint32_t read_destructor(struct loader *loader) {
    const struct core_item *item = scope_read(loader, SORT_CORE_FUNC);
    struct wasm_func_type wanted = {.param_count = 1, .params = FOUR_I32, .results = FOUR_I32};
    if (!failed(loader)) {
        check_func_type(loader, item, &wanted, "a destructor");
    }
    return function_number(loader, item);
}

static uint32_t memory_number(struct loader *loader, const struct core_item *item) {
    if (item == NULL) {
        return PLAN_NONE;
    }
    assert(item->ref.source == CORE_EXPORT);
    struct slice key = slice_of(&item->ref, sizeof item->ref);
    uintptr_t known = (uintptr_t)map_get(&loader->memories, key);
    if (known == 0) {
        struct component *component = loader->component;
        *(struct core_ref *)plan_push(&component->memories, &component->memory_count,
                                      &component->memory_capacity, sizeof *component->memories) =
            item->ref;
        known = component->memory_count;
        (void)map_add(&loader->memories, key, (void *)known);
    }
    return (uint32_t)(known - 1);
}

static struct plan_signature make_signature(struct loader *loader,
                                            const struct component_func_type *type,
                                            const struct options *options) {
    struct plan_signature signature = {
        .type = type, .encoding = options->encoding, .owner = loader->scope->owner};
    if (type->param_count != 0) {
        const char *why = NULL;
        signature.params = type_intern(&loader->types, COMPONENT_TUPLE, type->param_count,
                                       type->params, NULL, &why);
        if (signature.params == NULL) {
            fail(loader, ERR_LIMIT, "parameters of a function: %s", why);
            return signature;
        }
        signature.params_in_memory = signature.params->flat_count > FLAT_PARAMS_MAX;
        signature.flat_param_count = signature.params_in_memory ? 1 : signature.params->flat_count;
    }
    signature.result_in_memory =
        type->result != NULL && type->result->flat_count > FLAT_RESULTS_MAX;
    signature.memory = memory_number(loader, options->memory);
    signature.realloc = function_number(loader, options->realloc);
    return signature;
}

// Fails unless the options that the directions need are there. `in`: values that travel into this
// component, which need room there; `out`: values that are read from its memory.
static void check_options(struct loader *loader, const struct options *options, bool in, bool out,
                          const char *what) {
    if (!failed(loader) && (in || out) && options->memory == NULL) {
        fail(loader, ERR_INVALID,
             "canon %s of a function with lists, strings or many values "
             "needs the option memory",
             what);
    }
    if (!failed(loader) && in && options->realloc == NULL) {
        fail(loader, ERR_INVALID,
             "canon %s of a function that takes in lists or strings needs "
             "the option realloc",
             what);
    }
}

// The core signature for this direction (CanonicalABI.md, "Flattening").
static struct wasm_func_type *flatten(struct loader *loader, const struct plan_signature *signature,
                                      bool is_lift) {
    struct arena *arena = &loader->component->arena;
    uint8_t *params = arena_alloc(arena, FLAT_PARAMS_MAX + 1, 1);
    uint8_t *results = arena_alloc(arena, 1, 1);
    struct wasm_func_type *core = ARENA_NEW(arena, struct wasm_func_type);
    *core = (struct wasm_func_type){.params = params, .results = results};
    if (signature->params_in_memory) {
        params[core->param_count++] = WASM_I32;
    } else if (signature->params != NULL) {
        core->param_count = signature->params->flat_count;
        memcpy(params, type_layout(signature->params)->flat, core->param_count);
    }
    const struct component_type *result = signature->type->result;
    if (result != NULL && !signature->result_in_memory) {
        results[core->result_count++] = type_layout(result)->flat[0];
    } else if (result != NULL && is_lift) {
        results[core->result_count++] = WASM_I32;
    } else if (result != NULL) {
        params[core->param_count++] = WASM_I32;
    }
    return core;
}

static bool has_pointer(const struct component_type *type) {
    return type != NULL && type->has_pointer;
}

static void load_lift(struct loader *loader) {
    if (read_byte(loader) != 0x00) {
        fail(loader, ERR_INVALID, "canon lift of something that is not a function");
    }
    const struct core_item *callee = scope_read(loader, SORT_CORE_FUNC);
    struct options options = read_options(loader);
    const struct type_def *type = scope_read(loader, SORT_TYPE);
    if (!failed(loader) && type->tag != TYPE_FUNC) {
        fail(loader, ERR_INVALID, "canon lift to a type that is not a function type");
    }
    if (failed(loader)) {
        return;
    }
    struct plan_lift lift = {.signature = make_signature(loader, type->func, &options)};
    if (failed(loader)) {
        return;
    }
    const struct plan_signature *signature = &lift.signature;
    check_options(loader, &options, has_pointer(signature->params) || signature->params_in_memory,
                  has_pointer(type->func->result) || signature->result_in_memory, "lift");
    const struct wasm_func_type *core = flatten(loader, signature, true);
    check_func_type(loader, callee, core, "the function to lift");
    if (options.post_return != NULL) {
        struct wasm_func_type wanted = {
            .param_count = core->result_count, .params = core->results, .results = FOUR_I32};
        check_func_type(loader, options.post_return, &wanted, "post-return");
    }
    lift.callee = function_number(loader, callee);
    lift.post_return = function_number(loader, options.post_return);
    struct func_def *func = LOADER_NEW(loader, struct func_def);
    *func = (struct func_def){
        .source = FUNC_LIFT, .index = loader->component->lift_count, .type = type->func};
    *(struct plan_lift *)PLAN_PUSH(loader->component, lift) = lift;
    scope_add(loader, SORT_FUNC, func);
}

// Adds a core function that is ours, of the given plan table entry.
static void add_core_func(struct loader *loader, enum core_source source, uint32_t index,
                          const struct wasm_func_type *type) {
    struct core_item *item = LOADER_NEW(loader, struct core_item);
    item->sort = SORT_CORE_FUNC;
    item->ref = (struct core_ref){.source = source, .index = index};
    item->type.kind = WASM_FUNC;
    item->type.func = type;
    scope_add(loader, SORT_CORE_FUNC, item);
}

// Whether one of the component instantiations is the other, or around it.
static bool contains_other(const struct loader *loader, uint32_t a, uint32_t b) {
    const uint32_t *parents = (const void *)loader->owner_parents.data;
    // Parents have the lower numbers.
    uint32_t inner = a > b ? a : b;
    uint32_t outer = a > b ? b : a;
    while (inner != PLAN_NONE && inner > outer) {
        inner = parents[inner];
    }
    return inner == outer;
}

static void load_lower(struct loader *loader) {
    if (read_byte(loader) != 0x00) {
        fail(loader, ERR_INVALID, "canon lower of something that is not a function");
    }
    const struct func_def *func = scope_read(loader, SORT_FUNC);
    struct options options = read_options(loader);
    if (!failed(loader) && options.post_return != NULL) {
        fail(loader, ERR_INVALID, "canon lower does not take the option post-return");
    }
    if (failed(loader)) {
        return;
    }
    struct plan_lower lower = {.signature = make_signature(loader, func->type, &options)};
    if (failed(loader)) {
        return;
    }
    const struct plan_signature *signature = &lower.signature;
    check_options(loader, &options, has_pointer(func->type->result),
                  has_pointer(signature->params) || signature->params_in_memory ||
                      signature->result_in_memory,
                  "lower");
    lower.target =
        (struct plan_target){.is_import = func->source == FUNC_IMPORT, .index = func->index};
    lower.is_reentrance = func->source == FUNC_LIFT && !loader->is_checking &&
                          contains_other(loader, signature->owner,
                                         loader->component->lifts[func->index].signature.owner);
    lower.core_type = flatten(loader, signature, false);
    uint32_t index = loader->component->lower_count;
    *(struct plan_lower *)PLAN_PUSH(loader->component, lower) = lower;
    add_core_func(loader, CORE_LOWERED, index, lower.core_type);
}

// ---- built-ins of resources
// ----------------------------------------------------------------------

static void add_stub(struct loader *loader, struct plan_stub stub, uint32_t param_count,
                     uint32_t result_count) {
    struct wasm_func_type *type = ARENA_NEW(&loader->component->arena, struct wasm_func_type);
    *type = (struct wasm_func_type){.param_count = param_count,
                                    .result_count = result_count,
                                    .params = FOUR_I32,
                                    .results = FOUR_I32};
    stub.core_type = type;
    uint32_t index = loader->component->stub_count;
    *(struct plan_stub *)PLAN_PUSH(loader->component, stub) = stub;
    add_core_func(loader, CORE_STUB, index, type);
}

static void load_resource_builtin(struct loader *loader, uint8_t code) {
    static const struct {
        enum stub_kind kind;
        const char *name;
    } KINDS[] = {{STUB_RESOURCE_NEW, "resource.new"},
                 {STUB_RESOURCE_DROP, "resource.drop"},
                 {STUB_RESOURCE_REP, "resource.rep"}};
    const struct type_def *type = scope_read(loader, SORT_TYPE);
    if (failed(loader)) {
        return;
    }
    struct plan_stub stub = {
        .kind = KINDS[code - 2].kind, .name = KINDS[code - 2].name, .owner = loader->scope->owner};
    if (type->tag != TYPE_RESOURCE) {
        fail(loader, ERR_INVALID, "canon %s of a type that is not a resource type", stub.name);
        return;
    }
    stub.resource = type->resource->resource.index;
    const struct component *component = loader->component;
    bool is_local = stub.resource < component->resource_count &&
                    component->resources[stub.resource].owner == stub.owner;
    if (stub.kind != STUB_RESOURCE_DROP && !is_local) {
        fail(loader, ERR_INVALID, "canon %s of a resource type that is not a local resource",
             stub.name);
        return;
    }
    add_stub(loader, stub, 1, stub.kind == STUB_RESOURCE_DROP ? 0 : 1);
}

// ---- built-ins of asynchronous components ------------------------------------------------------

// Those that toolchains import even into synchronous components without calling them: they are
// linked as functions that trap, context.get and context.set as slots of the call.
static const struct builtin {
    uint8_t code;
    enum stub_kind kind;
    bool has_flag;  // one more byte: async?
    const char *name;
    uint8_t param_count;
    uint8_t result_count;
} BUILTINS[] = {
    {0x05, STUB_TRAP, false, "task.cancel", 0, 0},
    {0x06, STUB_TRAP, true, "subtask.cancel", 1, 1},
    {0x0a, STUB_CONTEXT_GET, false, "context.get", 0, 1},
    {0x0b, STUB_CONTEXT_SET, false, "context.set", 1, 0},
    {0x0d, STUB_TRAP, false, "subtask.drop", 1, 0},
    {0x1f, STUB_TRAP, false, "waitable-set.new", 0, 1},
    {0x22, STUB_TRAP, false, "waitable-set.drop", 1, 0},
    {0x23, STUB_TRAP, false, "waitable.join", 2, 0},
};

static void load_builtin(struct loader *loader, const struct builtin *builtin) {
    struct plan_stub stub = {.kind = builtin->kind, .name = builtin->name};
    if (builtin->has_flag && read_byte(loader) > 1) {
        fail(loader, ERR_INVALID, "canon %s: bad flag", builtin->name);
    }
    if (builtin->kind != STUB_TRAP) {
        if (read_byte(loader) != WASM_I32) {
            fail(loader, ERR_UNSUPPORTED, "canon %s of a type other than i32", builtin->name);
        }
        stub.slot = read_u32(loader);
        if (stub.slot >= CONTEXT_SLOTS) {
            fail(loader, ERR_INVALID, "canon %s: slot %u of %d", builtin->name, stub.slot,
                 CONTEXT_SLOTS);
        }
    }
    if (failed(loader)) {
        return;
    }
    add_stub(loader, stub, builtin->param_count, builtin->result_count);
}

void load_canon(struct loader *loader) {
    uint8_t code = read_byte(loader);
    if (failed(loader)) {
        return;
    }
    if (code == 0x00) {
        load_lift(loader);
        return;
    }
    if (code == 0x01) {
        load_lower(loader);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(BUILTINS); i++) {
        if (BUILTINS[i].code == code) {
            load_builtin(loader, &BUILTINS[i]);
            return;
        }
    }
    if (code >= 0x02 && code <= 0x04) {
        load_resource_builtin(loader, code);
    } else if (code != 0x07 && code != 0x08 && (code <= 0x2d || (code >= 0x40 && code <= 0x42))) {
        fail(loader, ERR_UNSUPPORTED, "asynchronous components (canon built-in 0x%02x)", code);
    } else {
        fail(loader, ERR_INVALID, "unknown canonical definition 0x%02x", code);
    }
}

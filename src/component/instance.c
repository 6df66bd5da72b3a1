// SPDX-License-Identifier: Apache-2.0
// Instances: running the plan, calling exports, and the way back from guests into host functions or
// other parts of the same component (CanonicalABI.md, "canon lift", "canon lower").
//
// A trap is recorded once, in the context, and ends the component_call as a whole. A guest's own
// unwinds to its wasm_run at once. Ours (guest_trap) returns false up to there, or up to the guest
// function that called us, whose frames wasm_raise(NULL) unwinds. component_call writes the
// sentence.
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "component/instance.h"

// Most that host calls of start functions may take in; there is no caller's arena yet.
#define START_VALUE_BYTES (UINT64_C(16) << 20)

// On the stack of the host call.
struct component_call {
    struct component_instance *instance;
    const struct plan_lower *plan;  // NULL: an import that is exported again
    const struct component_import *import;
    const struct component_host_func *function;
};

// ---- traps -------------------------------------------------------------------------------------

static void record_trap(const char *format, va_list arguments) {
    struct wasm_context *context = wasm_context_current();
    assert(context != NULL);
    context->trap = WASM_TRAP_HOST;
    (void)vsnprintf(context->host_trap, sizeof context->host_trap, format, arguments);
}

bool guest_trap(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    record_trap(format, arguments);
    va_end(arguments);
    return false;
}

bool component_call_trap(struct component_call *call, const char *format, ...) {
    assert(call != NULL);
    va_list arguments;
    va_start(arguments, format);
    record_trap(format, arguments);
    va_end(arguments);
    return false;
}

// ---- what a host function may ask
// ----------------------------------------------------------------

void *component_call_owner(struct component_call *call) {
    return call->instance->owner;
}

const void *component_call_data(struct component_call *call) {
    return call->function->data;
}

struct arena *component_call_arena(struct component_call *call) {
    return call->instance->arena;
}

const struct component_func_type *component_call_type(struct component_call *call) {
    return call->import->type;
}

// ---- calls
// ---------------------------------------------------------------------------------------

static inline void guest_init(struct guest *guest, struct component_instance *instance,
                              struct wasm_context *context,
                              const struct plan_signature *signature) {
    guest->context = context;
    guest->owner_flags = &instance->owner_flags[signature->owner];
    guest->arena = instance->arena;
    guest->instance = instance;
    guest->owner = signature->owner;
    guest->lends = NULL;
    guest->is_host_peer = false;
    guest->encoding = signature->encoding;
    guest->realloc =
        signature->realloc == PLAN_NONE ? NULL : &instance->functions[signature->realloc];
    if (signature->memory != PLAN_NONE) {
        guest->memory = instance->memories[signature->memory];
        guest_refresh(guest);
    } else {
        guest->memory = NULL;
        guest->data = (uint8_t *)guest;
        guest->size = 0;
    }
}

static bool lower_params(struct guest *guest, const struct plan_signature *signature,
                         const struct value *args, uint64_t *slots) {
    if (signature->params == NULL) {
        return true;
    }
    struct value tuple = {.items = args};
    if (!signature->params_in_memory) {
        return lower_flat(guest, signature->params, &tuple, slots);
    }
    uint32_t at = 0;
    if (!lower_new(guest, signature->params, &tuple, &at)) {
        return false;
    }
    slots[0] = at;
    return true;
}

static bool run_post_return(struct component_instance *instance, struct wasm_context *context,
                            const struct plan_lift *lift, uint64_t slot) {
    uint8_t *flags = &instance->owner_flags[lift->signature.owner];
    assert((*flags & OWNER_MAY_NOT_LEAVE) == 0);
    *flags |= OWNER_MAY_NOT_LEAVE;
    bool done = wasm_enter(context, &instance->functions[lift->post_return], &slot);
    *flags &= (uint8_t)~OWNER_MAY_NOT_LEAVE;
    return done;
}

// When the callee has returned: it may keep nothing that it borrowed, and what the host lent it is
// free again.
static bool end_borrows(struct guest *guest) {
    if (guest->instance->tables[guest->owner].borrows != 0) {
        return guest_trap("borrow handles still remain at the end of the call");
    }
    handles_return(guest);
    return true;
}

static bool call_lift(struct component_instance *instance, struct wasm_context *context,
                      const struct plan_lift *lift, bool is_host_peer, const struct value *args,
                      struct value *result) {
    const struct plan_signature *signature = &lift->signature;
    uint8_t *flags = &instance->owner_flags[signature->owner];
    if ((*flags & OWNER_ENTERED) != 0) {
        return guest_trap("cannot enter component instance");
    }
    // Never taken back on a trap: the instance stays closed.
    *flags |= OWNER_ENTERED;
    struct guest guest;
    guest_init(&guest, instance, context, signature);
    guest.is_host_peer = is_host_peer;
    uint64_t slots[FLAT_PARAMS_MAX + 1];
    slots[0] = 0;
    if (!lower_params(&guest, signature, args, slots) ||
        !wasm_enter(context, &instance->functions[lift->callee], slots)) {
        return false;
    }
    const struct component_type *type = signature->type->result;
    if (type != NULL) {
        guest_refresh(&guest);
        bool done = signature->result_in_memory ? lift_at(&guest, type, (uint32_t)slots[0], result)
                                                : lift_flat(&guest, type, slots, result);
        if (!done) {
            return false;
        }
    }
    if (instance->tables != NULL && !end_borrows(&guest)) {
        return false;
    }
    if (lift->post_return != PLAN_NONE && !run_post_return(instance, context, lift, slots[0])) {
        return false;
    }
    *flags &= (uint8_t)~OWNER_ENTERED;
    return true;
}

static bool call_import(struct component_instance *instance, uint32_t index,
                        const struct plan_lower *plan, const struct value *args,
                        struct value *result) {
    struct component_call call = {
        .instance = instance,
        .plan = plan,
        .import = &instance->linked->component->imports[index],
        .function = &instance->linked->functions[index],
    };
    if (!call.function->fn(&call, args, result)) {
        return false;
    }
    // The host function may have tried to enter this instance again, which ended it.
    return !instance->is_dead || guest_trap("cannot enter component instance");
}

static bool call_target(struct component_instance *instance, struct wasm_context *context,
                        struct plan_target target, const struct plan_lower *plan,
                        const struct value *args, struct value *result) {
    if (target.is_import) {
        return call_import(instance, target.index, plan, args, result);
    }
    const struct plan_lift *lift = &instance->linked->component->lifts[target.index];
    // A trap ends the instance, so nothing needs to be put back then.
    struct task_context callers = instance->context;
    instance->context = (struct task_context){{0}};
    bool done = call_lift(instance, context, lift, plan == NULL, args, result);
    instance->context = callers;
    return done;
}

static bool lift_params(struct guest *guest, const struct plan_signature *signature,
                        const uint64_t *slots, const struct value **out) {
    if (signature->params == NULL) {
        *out = NULL;
        return true;
    }
    struct value tuple = {.items = NULL};
    bool done = signature->params_in_memory
                    ? lift_at(guest, signature->params, (uint32_t)slots[0], &tuple)
                    : lift_flat(guest, signature->params, slots, &tuple);
    *out = tuple.items;
    return done;
}

static bool call_lowered(struct component_instance *instance, const struct plan_lower *plan,
                         uint64_t *slots) {
    const struct plan_signature *signature = &plan->signature;
    if ((instance->owner_flags[signature->owner] & OWNER_MAY_NOT_LEAVE) != 0) {
        return guest_trap("cannot leave component instance");
    }
    if (UNLIKELY(plan->is_reentrance)) {
        return guest_trap("cannot enter component instance");
    }
    // Still the current one after a host function has waited: it goes with the stack.
    struct wasm_context *context = wasm_context_current();
    struct guest guest;
    guest_init(&guest, instance, context, signature);
    // What this call takes and gives is of no use after it: a turn may make any number of calls.
    struct arena_mark mark = arena_mark(instance->arena);
    const struct value *args = NULL;
    struct value result = {.bits = 0};
    if (!lift_params(&guest, signature, slots, &args) ||
        !call_target(instance, context, plan->target, plan, args, &result)) {
        return false;
    }
    if (guest.lends != NULL) {
        handles_return(&guest);
    }
    const struct component_type *type = signature->type->result;
    if (type != NULL) {
        guest_refresh(&guest);
        bool done =
            signature->result_in_memory
                ? lower_at(&guest, type, &result, (uint32_t)slots[signature->flat_param_count])
                : lower_flat(&guest, type, &result, slots);
        if (!done) {
            return false;
        }
    }
    arena_rewind(instance->arena, &mark);
    return true;
}

// wasm_host_fn of every lowered function.
static bool enter_lowered(void *data, uint64_t *slots) {
    struct lowered *lowered = data;
    // A host trap must leave as the last act: nothing of ours is held here.
    return call_lowered(lowered->instance, lowered->plan, slots) || wasm_raise(NULL);
}

// wasm_host_fn of the built-ins.
static bool enter_stub(void *data, uint64_t *slots) {
    struct stub *stub = data;
    if (stub->plan->kind == STUB_CONTEXT_GET) {
        slots[0] = stub->instance->context.slots[stub->plan->slot];
        return true;
    }
    if (stub->plan->kind == STUB_CONTEXT_SET) {
        stub->instance->context.slots[stub->plan->slot] = (uint32_t)slots[0];
        return true;
    }
    if (stub->plan->kind != STUB_TRAP) {
        return handles_builtin(stub->instance, stub->plan, slots) || wasm_raise(NULL);
    }
    return wasm_raise("%s: asynchronous components are not supported", stub->plan->name);
}

// ---- instantiation
// -------------------------------------------------------------------------------

// Lays out the instance and its arrays in one zeroed block.
static struct component_instance *instance_new(struct component_linked *linked, void *owner,
                                               struct wasm_budget *budget) {
    const struct component *component = linked->component;
    size_t size = sizeof(struct component_instance);
    size_t cores = size;
    size += component->step_count * sizeof(struct wasm_instance *);
    size_t memories = size;
    size += component->memory_count * sizeof(struct wasm_memory *);
    size_t functions = size;
    size += component->function_count * sizeof(struct wasm_entry);
    size_t lowered = size;
    size += component->lower_count * sizeof(struct lowered);
    size_t stubs = size;
    size += component->stub_count * sizeof(struct stub);
    size_t tables = size;
    bool has_tables = component->resource_count != 0;
    size += has_tables ? (component->owner_count + 1) * sizeof(struct handle_table) : 0;
    size_t flags = size;
    size += component->owner_count;
    // Not calloc: glibc's, before 2.41, goes past the thread's cache of freed blocks.
    uint8_t *block = xmalloc(size);
    memset(block, 0, size);
    struct component_instance *instance = (struct component_instance *)(void *)block;
    instance->linked = component_linked_ref(linked);
    instance->owner = owner;
    instance->budget = budget;
    instance->cores = (struct wasm_instance **)(void *)(block + cores);
    instance->memories = (struct wasm_memory **)(void *)(block + memories);
    instance->functions = (struct wasm_entry *)(void *)(block + functions);
    instance->lowered = (struct lowered *)(void *)(block + lowered);
    instance->stubs = (struct stub *)(void *)(block + stubs);
    instance->tables = has_tables ? (struct handle_table *)(void *)(block + tables) : NULL;
    instance->owner_flags = block + flags;
    for (uint32_t i = 0; i < component->lower_count; i++) {
        instance->lowered[i] = (struct lowered){instance, &component->lowers[i]};
    }
    for (uint32_t i = 0; i < component->stub_count; i++) {
        instance->stubs[i] = (struct stub){instance, &component->stubs[i]};
    }
    return instance;
}

static struct wasm_extern resolve(struct component_instance *instance, const struct core_ref *ref) {
    struct wasm_extern result = {.kind = WASM_FUNC};
    if (ref->source == CORE_EXPORT) {
        assert(ref->index < instance->core_count);
        return wasm_instance_export(instance->cores[ref->index], ref->export_index);
    }
    if (ref->source == CORE_LOWERED) {
        struct lowered *lowered = &instance->lowered[ref->index];
        result.of.func = (struct wasm_func){
            .type = lowered->plan->core_type, .host = enter_lowered, .data = lowered};
        return result;
    }
    struct stub *stub = &instance->stubs[ref->index];
    result.of.func =
        (struct wasm_func){.type = stub->plan->core_type, .host = enter_stub, .data = stub};
    return result;
}

// How far the functions and memories of the plan have been fetched, in their order.
struct fetched {
    uint32_t functions;
    uint32_t memories;
};

// Fetches those that are there after `step` steps.
static void fetch(struct component_instance *instance, struct fetched *done, uint32_t step) {
    const struct component *component = instance->linked->component;
    for (; done->functions < component->function_count; done->functions++) {
        uint32_t number = component->function_order[done->functions];
        const struct core_ref *ref = &component->functions[number];
        if (core_ref_step(ref) != step) {
            break;
        }
        if (ref->source == CORE_EXPORT) {
            instance->functions[number] =
                wasm_instance_entry(instance->cores[ref->index], ref->export_index);
        } else {
            struct wasm_extern function = resolve(instance, ref);
            instance->functions[number] = wasm_entry_of(&function.of.func);
        }
    }
    for (; done->memories < component->memory_count; done->memories++) {
        uint32_t number = component->memory_order[done->memories];
        if (core_ref_step(&component->memories[number]) != step) {
            break;
        }
        instance->memories[number] = resolve(instance, &component->memories[number]).of.memory;
    }
}

static enum status run_steps(struct component_instance *instance, enum wasm_tier tier,
                             struct wasm_budget *budget, struct error *error) {
    const struct component *component = instance->linked->component;
    struct wasm_extern *imports = xmalloc((component->most_imports + 1u) * sizeof *imports);
    enum status status = OK;
    struct fetched done = {0, 0};
    fetch(instance, &done, 0);
    for (uint32_t i = 0; i < component->step_count && status == OK; i++) {
        const struct plan_step *step = &component->steps[i];
        for (uint32_t j = 0; j < step->import_count; j++) {
            imports[j] = resolve(instance, &step->imports[j]);
        }
        status = wasm_instantiate(component->codes[tier][step->module], imports, budget,
                                  &instance->cores[i], error);
        if (status != OK) {
            (void)error_context(error, "instantiating core module %u", step->module);
        } else {
            instance->core_count = i + 1;
            fetch(instance, &done, i + 1);
        }
    }
    free(imports);
    return status;
}

enum component_outcome component_instantiate(struct component_linked *linked, void *owner,
                                             struct wasm_budget *budget,
                                             struct component_instance **out, struct error *error) {
    assert(linked != NULL && out != NULL && wasm_context_current() != NULL);
    // Read once: all modules of an instance have one tier.
    enum wasm_tier tier = component_tier(linked->component);
    if (tier == WASM_TIER_COUNT) {
        (void)error_set(error, ERR_INVALID, "the component is not compiled yet");
        return COMPONENT_TRAPPED;
    }
    struct component_instance *instance = instance_new(linked, owner, budget);
    instance->tier = tier;
    struct arena arena;
    arena_init(&arena, START_VALUE_BYTES);
    instance->arena = &arena;
    enum status status = run_steps(instance, tier, budget, error);
    instance->arena = NULL;
    arena_release(&arena);
    if (status != OK) {
        component_instance_free(instance);
        return COMPONENT_TRAPPED;
    }
    *out = instance;
    return COMPONENT_DONE;
}

enum wasm_tier component_instance_tier(const struct component_instance *instance) {
    return instance->tier;
}

void component_instance_rebind(struct component_instance *instance, struct component_linked *linked,
                               void *owner) {
    assert(instance->arena == NULL && linked->component == instance->linked->component);
    struct component_linked *before = instance->linked;
    instance->linked = component_linked_ref(linked);
    component_linked_unref(before);
    instance->owner = owner;
}

void component_instance_free(struct component_instance *instance) {
    if (instance == NULL) {
        return;
    }
    assert(instance->arena == NULL);
    // Later ones may import from earlier ones.
    for (uint32_t i = instance->core_count; i > 0; i--) {
        wasm_instance_free(instance->cores[i - 1]);
    }
    handles_release(instance);
    component_linked_unref(instance->linked);
    free(instance);
}

// ---- component_call
// ------------------------------------------------------------------------------

static void explain_trap(struct slice name, struct error *error) {
    const struct wasm_context *context = wasm_context_current();
    if (context->trap == WASM_TRAP_HOST) {
        (void)error_set(error, ERR_TRAP, "trap: %s, in %.*s", context->host_trap, (int)name.size,
                        (const char *)name.data);
    } else {
        (void)error_set(error, ERR_TRAP, "wasm trap: %s in %.*s", wasm_trap_text(context->trap),
                        (int)name.size, (const char *)name.data);
    }
}

// Runs the body as the one call in progress of an instance that is alive.
static inline enum component_outcome run(struct component_instance *instance, wasm_body body,
                                         void *data, struct slice name, struct arena *arena,
                                         struct error *error) {
    if (instance->is_dead || instance->arena != NULL) {
        const char *why = instance->is_dead ? "the instance is dead after an earlier trap"
                                            : "cannot enter component instance";
        instance->is_dead = true;
        (void)error_set(error, ERR_TRAP, "trap: %s, in %.*s", why, (int)name.size,
                        (const char *)name.data);
        return COMPONENT_TRAPPED;
    }
    instance->arena = arena;
    instance->context = (struct task_context){{0}};
    bool done = wasm_run(body, data);
    instance->arena = NULL;
    if (!done || instance->is_dead) {
        instance->is_dead = true;
        explain_trap(name, error);
        return COMPONENT_TRAPPED;
    }
    return COMPONENT_DONE;
}

// What component_call runs.
struct export_call {
    struct component_instance *instance;
    struct plan_target target;
    const struct value *args;
    struct value *result;
};

static bool run_export(struct wasm_context *context, void *data) {
    const struct export_call *call = data;
    return call_target(call->instance, context, call->target, NULL, call->args, call->result);
}

enum component_outcome component_call(struct component_instance *instance, uint32_t index,
                                      const struct value *args, struct value *result,
                                      struct arena *arena, struct error *error) {
    const struct component *component = instance->linked->component;
    assert(index < component->export_count && arena != NULL);
    const struct component_export *export = &component->exports[index];
    assert((args != NULL || export->type->param_count == 0) &&
           (result != NULL || export->type->result == NULL));
    struct export_call call = {instance, component->export_targets[index], args, result};
    return run(instance, run_export, &call, export->name, arena, error);
}

// What component_resource_drop runs.
struct drop_call {
    struct component_instance *instance;
    uint32_t handle;
};

static bool run_drop(struct wasm_context *context, void *data) {
    const struct drop_call *call = data;
    uint32_t resource = 0;
    uint32_t rep = 0;
    if (!handles_take_host(call->instance, call->handle, &resource, &rep)) {
        return guest_trap("unknown handle index %u", call->handle);
    }
    return handles_destroy(call->instance, context, PLAN_NONE, resource, rep);
}

enum component_outcome component_resource_drop(struct component_instance *instance, uint32_t handle,
                                               struct arena *arena, struct error *error) {
    assert(arena != NULL);
    struct drop_call call = {instance, handle};
    return run(instance, run_drop, &call, slice_text("a destructor"), arena, error);
}

bool component_instance_is_dead(const struct component_instance *instance) {
    return instance->is_dead;
}

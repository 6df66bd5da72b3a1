// SPDX-License-Identifier: Apache-2.0
// WebAssembly components: decode, resolve, flatten, instantiate, lift and lower
// (component-model repository, design/mvp: Binary.md, Explainer.md, CanonicalABI.md).
//
//   bytes --component_load-----> struct component            types, plan of numbered steps
//         --component_compile--> its core modules have code  (blocking; off the workers)
//         --component_link-----> host functions bound, by what the component itself declares
//         --component_instantiate--> struct component_instance (one per actor)
//         --component_call-----> values in, values out, or a trap
//
// Names exist only at the root imports and exports; after link everything is an index. Values are
// lifted and lowered by the types the component declares.
//
// Threads: a linked component is immutable and shared by all actors that run it. An instance
// belongs to one actor at a time.
#ifndef COMPONENT_COMPONENT_H
#define COMPONENT_COMPONENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include "wasm/wasm.h"

// ---- types ---------------------------------------------------------------------------------

enum component_kind {
    COMPONENT_BOOL,
    COMPONENT_S8,
    COMPONENT_U8,
    COMPONENT_S16,
    COMPONENT_U16,
    COMPONENT_S32,
    COMPONENT_U32,
    COMPONENT_S64,
    COMPONENT_U64,
    COMPONENT_F32,
    COMPONENT_F64,
    COMPONENT_CHAR,
    COMPONENT_STRING,
    COMPONENT_LIST,
    COMPONENT_RECORD,
    COMPONENT_TUPLE,
    COMPONENT_VARIANT,
    COMPONENT_ENUM,
    COMPONENT_OPTION,
    COMPONENT_RESULT,
    COMPONENT_FLAGS,
    COMPONENT_OWN,
    COMPONENT_BORROW,
};

// A resource type: one per import of a type and one per instantiation of a component that defines
// it, so pointers tell resource types apart. Immutable after load.
struct component_resource {
    struct slice interface;  // of an imported one; "" when imported directly, or not imported
    struct slice name;       // as imported, or as first exported; "" when it has no name outside
    bool is_imported;        // implemented by the host; else by a part of the component
    uint32_t index;          // among all resource types of the component
};

// Interned: equal types of one component are one object. Immutable.
struct component_type {
    enum component_kind kind;
    uint8_t align;       // bytes: 1, 2, 4, 8
    uint8_t flat_count;  // core values when flattened, capped at 17 (meaning "more than 16")
    bool is_plain;  // a list of it is copied as bytes: u8…u64, s8…s64, f32, f64 (NaNs canonical)
    bool has_pointer;     // contains a string or list
    uint32_t size;        // bytes in linear memory
    uint32_t item_count;  // fields, cases, or flags; 1 for list and option; 2 for result
    const struct component_type *const *items;  // field types / case payloads (NULL: no payload)
    const struct slice *names;                  // of fields, cases and flags; NULL for tuple & co
    const struct component_resource *resource;  // of own and borrow
};

struct component_func_type {
    uint32_t param_count;
    const struct component_type *const *params;
    const struct slice *param_names;
    const struct component_type *result;  // NULL: none
};

// Appends the function's type with everything structural written out and nothing that does not
// matter to a caller: no parameter names, no type names. For instance
//   func(option<list<u8>>, tuple<string>) -> result<tuple<option<list<u8>>>, string>
//   func(string) -> record{hash: list<u8>, parent-hash: option<list<u8>>}
// Variants as variant{a, b(string)}, enums enum{a, b}, flags flags{a, b}, result<_, string>,
// handles own<name> and borrow<name> by the resource type's name.
void component_func_type_print(const struct component_func_type *type, struct buf *out);
// One value type in the same way.
void component_type_print(const struct component_type *type, struct buf *out);

// ---- values --------------------------------------------------------------------------------

// One component-level value; its type says which member is meant. Memory that it points to lives
// in the call's arena (or, for arguments, with the caller until the call returns).
//   bool, integers, char     bits (signed ones sign-extended to 64 bits)
//   f32, f64                 bits, as IEEE 754 (f32 in the low half); lifted NaNs are canonical
//   string                   bytes = UTF-8, count = size in bytes
//   list of a plain type     bytes = the elements, little-endian and packed; count = elements
//   other list               items, count
//   record, tuple            items (one per field)
//   variant, option, result, enum   which = case; items = the payload or NULL
//                            option: 0 none, 1 some; result: 0 ok, 1 error
//   flags                    bits
//   own, borrow              bits = 32-bit number: of a resource of the host, its representation,
//                            which the host chooses; of a resource that the component implements,
//                            a handle that this instance gave (never 0), see component_call
struct value {
    union {
        uint64_t bits;
        const uint8_t *bytes;
        const struct value *items;
    };
    union {
        uint32_t count;
        uint32_t which;
    };
    // Of a string or list<u8> in the result of a host function: whoever records the call keeps the
    // content out of the record (actor/actor.h). Means nothing elsewhere.
    bool is_secret;
};

// ---- loading -------------------------------------------------------------------------------

struct component;

// A function the component imports through an instance import (or directly: `interface` empty).
struct component_import {
    struct slice
        interface;      // "theater:simple/runtime", version suffix kept; "" for a bare function
    struct slice name;  // "log"
    const struct component_func_type *type;
};

// A resource type the component imports: `resource->is_imported`, interface and name as above.
// Uses of one type through several interfaces are one import.

// A function the component exports, through an exported instance or directly.
struct component_export {
    struct slice interface;
    struct slice name;
    const struct component_func_type *type;
};

struct component_limits {
    uint64_t component_bytes;  // 0 in any field: the default (component/load.c)
    uint32_t nesting;
    uint32_t items;  // definitions in all index spaces
};

// Decodes, validates and flattens. ERR_INVALID with byte offset and what is wrong, or
// ERR_UNSUPPORTED with the feature's name; never misread. A core module given instead of a
// component is told so. Keeps `bytes`. `limits` may be NULL. Gives one reference.
enum status component_load(struct bytes *bytes, const struct component_limits *limits,
                           struct component **out, struct error *error) MUST_CHECK;
// The same with the default limits, and function bodies of core modules are not validated when the
// compiler's cache knows them to be valid; otherwise it knows from now on, if they are large.
enum status component_load_cached(struct bytes *bytes, const struct wasm_compiler *compiler,
                                  struct component **out, struct error *error) MUST_CHECK;
struct component *component_ref(struct component *component);
void component_unref(struct component *component);

// Imported functions, in the order in which the component declares them.
uint32_t component_import_count(const struct component *component);
const struct component_import *component_import_at(const struct component *component, uint32_t i);
// Imported resource types, in the order in which the component declares them.
uint32_t component_resource_import_count(const struct component *component);
const struct component_resource *component_resource_import_at(const struct component *component,
                                                              uint32_t i);
// Interfaces imported, also those of which only types are used; for "what does it need".
uint32_t component_interface_count(const struct component *component);
struct slice component_interface_at(const struct component *component, uint32_t i);
uint32_t component_export_count(const struct component *component);
const struct component_export *component_export_at(const struct component *component, uint32_t i);
uint32_t component_module_count(const struct component *component);
struct wasm_module *component_module_at(const struct component *component, uint32_t i);
// SHA-256 of the component's bytes.
const uint8_t *component_hash(const struct component *component);

// Compiles every core module that has no code of the tier yet (see wasm_compile). Instances that
// are made from then on take the best tier that all modules have; those that live keep theirs.
// Idempotent, any thread.
enum status component_compile(struct component *component, struct wasm_compiler *compiler,
                              enum wasm_tier tier, struct error *error) MUST_CHECK;
// The same without compiling: ERR_NOT_FOUND when the cache lacks code of a module.
enum status component_compile_cached(struct component *component, struct wasm_compiler *compiler,
                                     enum wasm_tier tier, struct error *error) MUST_CHECK;
// Whether the cache has files for all modules in the tier; they are not read. Any thread.
bool component_is_cached(const struct component *component, const struct wasm_compiler *compiler,
                         enum wasm_tier tier);
// Whether a module's code of the tier could not be built by these tools: then the error says why.
bool component_has_failed(const struct component *component, const struct wasm_compiler *compiler,
                          enum wasm_tier tier, struct error *error);
// The tier that new instances get; WASM_TIER_COUNT when none is complete. Any thread.
enum wasm_tier component_tier(const struct component *component);

// ---- host functions --------------------------------------------------------------------------

struct component_call;

// A host function. `args` has one value per parameter; the function fills *result (when the type
// has one) with memory from component_call_arena or static storage. Returns true, or false after
// component_call_trap. May park its fiber. Runs on the guest's stack.
typedef bool (*component_host_fn)(struct component_call *call, const struct value *args,
                                  struct value *result);

struct component_host_func {
    component_host_fn fn;
    const void *data;  // whatever `fn` wants to know about itself; kept by the linked component
};

// What the host function may ask about its call.
void *component_call_owner(struct component_call *call);       // given to component_instantiate
const void *component_call_data(struct component_call *call);  // component_host_func.data
struct arena *component_call_arena(struct component_call *call);
const struct component_func_type *component_call_type(struct component_call *call);
// Records a trap with its text; returns false.
bool component_call_trap(struct component_call *call, const char *format, ...) PRINTF_LIKE(2, 3);

// Answers for one imported function: fills *out, or explains why there is none.
typedef enum status (*component_resolve_fn)(void *resolver, const struct component_import *import,
                                            struct component_host_func *out, struct error *error);

// ---- host resources --------------------------------------------------------------------------
//
// A resource type that the component imports is implemented by the host. What the host calls one of
// its resources, its representation, is any 32-bit number, for instance an index into a table that
// belongs to the owner. The guest never sees it: it gets handles, numbered by its own table.
//
//   own<R> given to the guest (result of a host function, argument of component_call): the guest
//     owns the resource until it gives it back or drops it. The host may not reuse the number
//     until then.
//   own<R> given to a host function, or returned by component_call: the host owns it again.
//   borrow<R> given to a host function: valid until the function returns, and the guest cannot
//     drop the resource meanwhile, not even if the host function waits.
//
// `drop` is called when the guest drops the handle that owns a resource, on the guest's stack (it
// must not park the fiber, nor call the instance), and by component_instance_free for every
// such handle that is left. `owner` is the instance's. A resource that was on its way between guest
// and host when a trap ended the call may get no `drop`: keep resources with the owner and
// release what is left with it.
struct component_host_resource {
    const void *data;  // passed to `drop`; kept by the linked component
    void (*drop)(void *owner, const void *data, uint32_t rep);  // NULL: nothing to do
};

// Answers for one imported resource type: fills *out, or explains why there is none.
typedef enum status (*component_resolve_resource_fn)(void *resolver,
                                                     const struct component_resource *resource,
                                                     struct component_host_resource *out,
                                                     struct error *error);

// Binds the host functions and resource types for this component: first each resource type, then
// each function, in the order in which they are imported. Once per component, before the first
// instance; gives a new object that refers to (keeps) the component. `resolve_resource` may be
// NULL when the host implements no resource types: importing one is then an error.
struct component_linked;
enum status component_link(struct component *component, component_resolve_fn resolve,
                           component_resolve_resource_fn resolve_resource, void *resolver,
                           struct component_linked **out, struct error *error) MUST_CHECK;
struct component_linked *component_linked_ref(struct component_linked *linked);
void component_linked_unref(struct component_linked *linked);
struct component *component_linked_component(struct component_linked *linked);

// ---- instances -----------------------------------------------------------------------------

struct component_instance;

enum component_outcome { COMPONENT_DONE, COMPONENT_TRAPPED };

// Runs the plan on the bound wasm context (start functions included). `owner` reaches the host
// functions and resources; memory, tables and handles count against `budget`, which is kept. Trap:
// COMPONENT_TRAPPED and *error says it (code ERR_TRAP; ERR_LIMIT for memory over budget;
// ERR_INVALID when core imports do not fit). The component must be compiled. Gives the instance.
enum component_outcome component_instantiate(struct component_linked *linked, void *owner,
                                             struct wasm_budget *budget,
                                             struct component_instance **out,
                                             struct error *error) MUST_CHECK;
// The tier of the code that it runs.
enum wasm_tier component_instance_tier(const struct component_instance *instance);
void component_instance_free(struct component_instance *instance);
// Whether it holds handles of resources that the host implements.
bool component_instance_has_host_handles(const struct component_instance *instance);
// From now on its host functions and resource types are those of `linked` (kept), which is of the
// same component, and they are told of `owner`. Not while a call is in progress.
void component_instance_rebind(struct component_instance *instance, struct component_linked *linked,
                               void *owner);

// Calls export number `index` of the component's export list, on the bound context. `args` has one
// value per parameter, borrowed. Results are lifted into `arena` *before* post-return runs, and
// stay valid until it is reset. Trap: the instance is dead and must be freed; *error says why
// ("wasm trap: unreachable in handle-send", …). Re-entry traps. Lists and strings given or taken
// count against the arena's limit; passing it is a trap that names the limit. Those of a host
// function are gone when it has returned: they bound one call of it, not the sum of all.
//
// Handles of resources that the component implements: a result own<R> is a handle that the host
// now holds in this instance. It can be passed as own<R>, which gives it back, any number of times
// as borrow<R>, and ended by component_resource_drop.
enum component_outcome component_call(struct component_instance *instance, uint32_t index,
                                      const struct value *args, struct value *result,
                                      struct arena *arena, struct error *error) MUST_CHECK;
// Drops a handle that component_call gave: runs the resource's destructor in the component. Same
// outcomes and conditions as component_call.
enum component_outcome component_resource_drop(struct component_instance *instance, uint32_t handle,
                                               struct arena *arena, struct error *error) MUST_CHECK;
// The trap that ended the last call or instantiation on this thread's context.
bool component_instance_is_dead(const struct component_instance *instance);

#endif

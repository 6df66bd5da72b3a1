// SPDX-License-Identifier: Apache-2.0
// Core WebAssembly modules as native code: scan, normalise, compile, instantiate, call.
//
//   bytes --wasm_module_scan--> struct wasm_module      a valid module (immutable)
//         --wasm_compile------> struct wasm_code        a shared object (immutable, cached)
//         --wasm_instantiate--> struct wasm_instance    one instance, owned by one actor
//         --wasm_call---------> slots in, slots out, or a trap
//
// The room knows core WebAssembly and nothing of components or actors. It implements the core
// specification (release 2.0 without SIMD; extended constant expressions, several memories); what
// it does not support is refused by name at scan.
//
// Threads: modules and code are shared freely. An instance, and the context that runs it, are used
// by one thread at a time; they may move between threads while no guest code is on the context.
#ifndef WASM_WASM_H
#define WASM_WASM_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

// ---- modules -------------------------------------------------------------------------------

enum wasm_kind { WASM_FUNC = 0, WASM_TABLE = 1, WASM_MEMORY = 2, WASM_GLOBAL = 3 };

// Value types, by their byte in the binary format (core specification, 5.3).
enum wasm_type {
    WASM_I32 = 0x7f,
    WASM_I64 = 0x7e,
    WASM_F32 = 0x7d,
    WASM_F64 = 0x7c,
    WASM_FUNCREF = 0x70,
    WASM_EXTERNREF = 0x6f,
};

struct wasm_func_type {
    uint32_t param_count;
    uint32_t result_count;
    const uint8_t *params;   // enum wasm_type, param_count of them
    const uint8_t *results;  // enum wasm_type, result_count of them
};
// Whether parameters and results are the same, in order.
bool wasm_func_type_equal(const struct wasm_func_type *a, const struct wasm_func_type *b);

struct wasm_limits {
    uint64_t min;  // pages of 64 KiB for memories, elements for tables
    uint64_t max;  // UINT64_MAX when absent
};

// What an import or export is: the member after `kind`.
struct wasm_extern_type {
    enum wasm_kind kind;
    const struct wasm_func_type *func;
    struct {
        struct wasm_limits limits;
        enum wasm_type element;
    } table;
    struct wasm_limits memory;
    struct {
        enum wasm_type type;
        bool is_mutable;
    } global;
};

struct wasm_import {
    struct slice module;
    struct slice name;
    struct wasm_extern_type type;
};

struct wasm_export {
    struct slice name;
    uint32_t index;  // in its kind's index space
    struct wasm_extern_type type;
};

// What a module uses beyond the first release of the core specification.
enum wasm_feature {
    WASM_MUTABLE_GLOBALS,  // imported or exported
    WASM_SIGN_EXTENSION,
    WASM_SATURATING_TRUNCATION,
    WASM_MULTI_VALUE,
    WASM_BULK_MEMORY,
    WASM_REFERENCE_TYPES,
    WASM_FEATURE_COUNT
};
// "mutable-globals" and so on, as the tool conventions call it. Static storage.
const char *wasm_feature_name(enum wasm_feature feature);

// Immutable after scan. Slices point into `source`.
struct wasm_module {
    _Atomic uint32_t references;
    struct bytes *source;
    struct slice binary;  // the module's bytes in it; offsets in errors and in the body count here
    const struct wasm_import *imports;
    uint32_t import_count;
    const struct wasm_export *exports;
    uint32_t export_count;
    uint32_t func_count;            // defined functions, imports not counted
    uint32_t memory_count;          // defined memories
    uint64_t code_bytes;            // size of the code section
    uint32_t features;              // a bit for each enum wasm_feature that is used
    struct wasm_module_body *body;  // private to the room
};

// Most that one module may declare; 0 in a field means the room's default (see wasm/scan.c). At
// most 2^24 locals.
struct wasm_scan_limits {
    uint64_t module_bytes;
    uint32_t functions;
    uint32_t locals_per_function;
};

// Reads and validates a module, function bodies included, in one bounded pass (core specification,
// chapters 3 and 5 and appendix "Validation Algorithm"). ERR_INVALID names the byte offset, the
// function if it is in a body, and what is wrong; ERR_UNSUPPORTED names the feature (SIMD, threads,
// tail calls, exceptions, memory64, GC, typed function references);
// ERR_LIMIT says which bound of ours is passed. Keeps `bytes` (takes a reference of its
// own). `limits` may be NULL. Gives one reference. Any thread, not on a fiber.
enum status wasm_module_scan(struct bytes *bytes, const struct wasm_scan_limits *limits,
                             struct wasm_module **out, struct error *error) MUST_CHECK;
// What a scan learned from a module's code, for a later one of the same bytes.
struct wasm_findings {
    uint8_t digest[32];  // wasm_module_digest
    uint32_t features;
    bool names_data;
    bool indexes_memories;
};
// The same for a module that lies in `part` of `bytes`, such as in a component. `known` is NULL, or
// what a scan by this very version found in the same bytes: then its function bodies, which were
// valid, are not read again.
enum status wasm_module_scan_part(struct bytes *bytes, struct slice part,
                                  const struct wasm_findings *known, struct wasm_module **out,
                                  struct error *error) MUST_CHECK;
struct wasm_findings wasm_module_findings(const struct wasm_module *module);
struct wasm_module *wasm_module_ref(struct wasm_module *module);
void wasm_module_unref(struct wasm_module *module);

// ---- compilation ---------------------------------------------------------------------------

struct wasm_compiler;
struct wasm_code;

// How well code is compiled, the better the later. All modules of an instance have one tier: code
// of different compilers may disagree on how several results are returned.
enum wasm_tier {
    WASM_TIER_QUICK,      // by tcc: at once, and several times slower; not on every system
    WASM_TIER_OPTIMISED,  // by gcc or clang
    WASM_TIER_COUNT
};
// "quick", "optimised".
const char *wasm_tier_text(enum wasm_tier tier);

struct wasm_compiler_config {
    const char *cache_folder;  // created with mode 0700; must belong to this user
    const char *cc;            // C compiler; NULL: $THEATER_CC, else "cc"
    const char *wasm2c;        // translator; NULL: $THEATER_WASM2C, else "wasm2c"
    const char *tcc;           // of the quick tier, "none" for none; NULL: $THEATER_TCC, else "tcc"
    bool never_compile;        // only what the cache holds
    uint64_t cpu_seconds;      // limit per child process; 0: default
    uint64_t memory_bytes;     // limit per child process; 0: default
    uint64_t part_bytes;       // of C that the optimising compiler gets at once; 0: default
};

// Checks the cache folder and asks the tools for their versions. Gives a compiler; any thread may
// use it.
enum status wasm_compiler_new(const struct wasm_compiler_config *config, struct wasm_compiler **out,
                              struct error *error) MUST_CHECK;
// After the last code made by it is released.
void wasm_compiler_free(struct wasm_compiler *compiler);
// Ends what compiles now or later with ERR_STOPPING. Any thread.
void wasm_compiler_cancel(struct wasm_compiler *compiler);
// Whether there are tools for the tier. Any thread.
bool wasm_compiler_has(const struct wasm_compiler *compiler, enum wasm_tier tier);
// Whether it takes code from the cache only. Any thread.
bool wasm_compiler_never_compiles(const struct wasm_compiler *compiler);
// Gives the module's code of a tier: from memory, from the cache, or by compiling in limited child
// processes (seconds to minutes: never call it on a worker). Concurrent calls for one module
// compile once. ERR_UNSUPPORTED when the tier is not to be had for this module (the optimised one
// always is). Keeps the module. Any thread.
enum status wasm_compile(struct wasm_compiler *compiler, struct wasm_module *module,
                         enum wasm_tier tier, struct wasm_code **out,
                         struct error *error) MUST_CHECK;
// The same without compiling: ERR_NOT_FOUND when the cache has no good code of the tier.
enum status wasm_compile_cached(struct wasm_compiler *compiler, struct wasm_module *module,
                                enum wasm_tier tier, struct wasm_code **out,
                                struct error *error) MUST_CHECK;
// Whether the cache has a file of the tier for the module, which is not read. Any thread.
bool wasm_is_cached(const struct wasm_compiler *compiler, const struct wasm_module *module,
                    enum wasm_tier tier);
// Whether the module's code of a tier could not be built by these tools: then the error says why.
// wasm_compile tries again all the same. Any thread.
bool wasm_has_failed(const struct wasm_compiler *compiler, const struct wasm_module *module,
                     enum wasm_tier tier, struct error *error);

// What the cache remembers of components that were valid, by their hashes (SHA-256): the findings
// of each core module, in the order in which the component defines them. Only what this version of
// the validator found is given back.

// Gives an array of findings; free with free. NULL when nothing is known. Any thread.
struct wasm_findings *wasm_findings_read(const struct wasm_compiler *compiler, const uint8_t *hash,
                                         uint32_t *count);
// Remembers the modules of a component as valid. One that cannot be written is checked again the
// next time, and that is all. Any thread, not on a worker.
void wasm_findings_write(const struct wasm_compiler *compiler, const uint8_t *hash,
                         struct wasm_module *const *modules, uint32_t count);
struct wasm_code *wasm_code_ref(struct wasm_code *code);
void wasm_code_unref(struct wasm_code *code);
const struct wasm_module *wasm_code_module(const struct wasm_code *code);
enum wasm_tier wasm_code_tier(const struct wasm_code *code);

// ---- contexts, traps, interruption -----------------------------------------------------------

enum wasm_trap {
    WASM_TRAP_NONE,
    WASM_TRAP_UNREACHABLE,
    WASM_TRAP_MEMORY_BOUNDS,
    WASM_TRAP_TABLE_BOUNDS,
    WASM_TRAP_DIVIDE_BY_ZERO,
    WASM_TRAP_INTEGER_OVERFLOW,
    WASM_TRAP_INVALID_CONVERSION,
    WASM_TRAP_INDIRECT_CALL,  // null or of another type
    WASM_TRAP_STACK_OVERFLOW,
    WASM_TRAP_DEADLINE,  // CPU limit of the turn used up
    WASM_TRAP_HOST,      // raised by a host function: see wasm_context.host_trap
    WASM_TRAP_COUNT
};
// "unreachable", "out of bounds memory access", … in the core specification's words.
const char *wasm_trap_text(enum wasm_trap trap);

struct wasm_frame;  // private: one per nested wasm_run

// The execution state of one stack (a fiber's, or a thread's own). Guest code runs only on a
// thread to which a context is bound. The fields are written by the owning thread, `interrupted`
// and `in_guest` also read or written by its signal handler.
struct wasm_context {
    uint8_t *stack_low;  // lowest byte that may be used; guard pages lie below
    uint8_t *guard_low;  // lowest byte of the guard; a fault in [guard_low, stack_low) is overflow
    struct wasm_frame *frame;  // innermost call in progress, NULL outside
    volatile int in_guest;     // 1 while guest code may be interrupted by a jump
    volatile int interrupted;  // deadline hit while outside guest code
    uint64_t cpu_limit_ns;     // of the turn; 0: none
    uint64_t cpu_used_ns;      // of the turn, kept up to date at unbind
    enum wasm_trap trap;       // of the last call that trapped
    char host_trap[256];       // text when trap is WASM_TRAP_HOST
};

// For the stack [stack_low, …) with its guard [guard_low, stack_low). In place, no release.
void wasm_context_init(struct wasm_context *context, uint8_t *stack_low, uint8_t *guard_low);
// Starts a new turn: clears the trap, the interruption and the CPU use.
void wasm_context_begin(struct wasm_context *context, uint64_t cpu_limit_ns);
// Once per thread that will run guest code, before its first bind: signal stack, watchdog entry.
// Pair with wasm_thread_leave on the same thread.
void wasm_thread_enter(void);
void wasm_thread_leave(void);
// Makes `context` the one that guest code on this thread belongs to, from before its stack is
// entered until after it is left (a fiber switch away counts as leaving). Costs a few stores.
void wasm_context_bind(struct wasm_context *context);
void wasm_context_unbind(struct wasm_context *context);
// The context bound to this thread, or NULL.
struct wasm_context *wasm_context_current(void);
// Ends what guest code on this context computes, as if its CPU time were used up; nothing happens
// when it is bound to no thread at this moment. Any thread; the context must not be freed
// meanwhile.
void wasm_context_interrupt(const struct wasm_context *context);
// Starts and stops the watchdog thread, which samples the CPU time of threads that have a context
// with a limit bound, and interrupts those that are over. Counted; any thread.
void wasm_watchdog_start(void);
void wasm_watchdog_stop(void);

// ---- instances -----------------------------------------------------------------------------

// What one actor may hold, shared by all its instances. Written by the thread that runs the actor.
struct wasm_budget {
    uint64_t memory_limit_bytes;  // linear memories and tables in sum
    _Atomic uint64_t memory_used_bytes;
    // Something was refused; cleared by who looks at it. Relaxed: it orders nothing.
    _Atomic bool was_refused;
};

// Reserves memory in the budget, for what an embedder holds on a guest's behalf; false when it
// would pass the limit.
bool wasm_budget_take(struct wasm_budget *budget, uint64_t bytes);
// Gives reserved memory back.
void wasm_budget_give(struct wasm_budget *budget, uint64_t bytes);

// A linear memory as generated code sees it. Fetch data and size again after any guest call.
struct wasm_memory;
struct wasm_memory_view {
    uint8_t *data;
    uint64_t size;  // bytes
};
struct wasm_memory_view wasm_memory_view(const struct wasm_memory *memory);

struct wasm_instance;

// A host function: arguments in slots[0…], result to slots[0…]; i32 and f32 in the low 32 bits
// (upper bits zero). Runs on the guest's stack with at least 64 KiB left. To trap, it returns
// wasm_raise(…) as its last act, having released what it holds.
typedef bool (*wasm_host_fn)(void *data, uint64_t *slots);

// A core function value. For guest functions `instance` and `export_index` are set; for host
// functions `host` and `data`. Valid while its instance (or `data`) lives.
struct wasm_func {
    const struct wasm_func_type *type;
    struct wasm_instance *instance;
    uint32_t export_index;  // of a guest function, in its module's exports
    wasm_host_fn host;      // NULL for guest functions
    void *data;             // passed to `host`
};

struct wasm_table;
struct wasm_global;

struct wasm_extern {
    enum wasm_kind kind;
    union {
        struct wasm_func func;
        struct wasm_table *table;
        struct wasm_memory *memory;
        struct wasm_global *global;
    } of;
};

// Creates an instance and runs its active segments and start function on the bound context.
// `imports` has one entry per import of the module, in order, of matching kinds; types, limits and
// mutability are checked (ERR_INVALID names the import). What the entries refer to must outlive
// the instance. A trap gives ERR_TRAP with its text, and the instance is freed; a memory or table
// over the budget gives ERR_LIMIT.
enum status wasm_instantiate(struct wasm_code *code, const struct wasm_extern *imports,
                             struct wasm_budget *budget, struct wasm_instance **out,
                             struct error *error) MUST_CHECK;
// Releases memories and tables to the budget. No call may be in progress.
void wasm_instance_free(struct wasm_instance *instance);
// The export with this index in the module's list.
struct wasm_extern wasm_instance_export(struct wasm_instance *instance, uint32_t export_index);

// Calls a function on the bound context: parameters in slots, results replace them; `slots` has
// room for the larger count. False: it trapped; context->trap (and host_trap) say how. Traps of
// nested calls unwind to the innermost wasm_call (or wasm_run) only.
bool wasm_call(const struct wasm_func *func, uint64_t *slots) MUST_CHECK;

// The same in parts, for several calls that end together when one of them traps: wasm_run makes
// the frame that traps unwind to, and wasm_enter calls a function in it.

// Runs body(context, data) with the bound context. False: the body returned false, or a guest
// function that it entered trapped, and then the rest of the body was left out. So the body, and
// whatever of the host's is between it and wasm_enter, holds nothing there that it must release.
typedef bool (*wasm_body)(struct wasm_context *context, void *data);
bool wasm_run(wasm_body body, void *data) MUST_CHECK;
// A function as wasm_enter takes it: looked up once, valid as long as the function.
struct wasm_entry {
    void (*guest)(void *data, uint64_t *slots);  // NULL: `host` is called
    wasm_host_fn host;
    void *data;
};
struct wasm_entry wasm_entry_of(const struct wasm_func *func);
// Of the instance's export with this index in the module's list, which is a function.
struct wasm_entry wasm_instance_entry(const struct wasm_instance *instance, uint32_t export_index);

// Enter and leave generated code: between them the context may be jumped out of at any moment.
NO_RETURN void wasm_deadline(struct wasm_context *context);  // WASM_TRAP_DEADLINE
static inline void wasm_guest_enter(struct wasm_context *context) {
    atomic_signal_fence(memory_order_seq_cst);
    context->in_guest = 1;
    // After the flag: an interruption either jumps from here on, or is seen now.
    if (UNLIKELY(context->interrupted != 0)) {
        wasm_deadline(context);
    }
}
static inline void wasm_guest_leave(struct wasm_context *context) {
    context->in_guest = 0;
    atomic_signal_fence(memory_order_seq_cst);
}

// Calls a function, slots as in wasm_call, inside a wasm_run or a host function of guest code on
// this context. False: a host function trapped. When a guest function traps, it does not return.
MUST_CHECK static inline bool wasm_enter(struct wasm_context *context,
                                         const struct wasm_entry *entry, uint64_t *slots) {
    assert(context->frame != NULL);
    if (UNLIKELY(entry->guest == NULL)) {
        return entry->host(entry->data, slots);
    }
    wasm_guest_enter(context);
    entry->guest(entry->data, slots);
    wasm_guest_leave(context);
    return true;
}

// From inside a host function: records a host trap on the current context and returns false, for
// `return wasm_raise("…")`. With NULL: passes on the trap of the nested call that just failed.
bool wasm_raise(const char *format, ...) PRINTF_LIKE(1, 2);

#endif

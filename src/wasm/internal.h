// SPDX-License-Identifier: Apache-2.0
// What the files of this room share with each other and with nobody else.
#ifndef WASM_INTERNAL_H
#define WASM_INTERNAL_H

#include <setjmp.h>
#include <sys/types.h>

#include "wasm/rt/wasm-rt.h"
#include "wasm/wasm.h"

#if HAVE_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

// ---- scan.c, validate.h: everything a module declares
// ----------------------------------------------------

// Where a section's content lies in the source.
struct wasm_section {
    bool present;
    size_t offset;  // of the content
    size_t size;
    uint32_t count;  // entries of the vector it holds
};

enum {
    WASM_SECTION_TYPE = 1,
    WASM_SECTION_IMPORT = 2,
    WASM_SECTION_FUNCTION = 3,
    WASM_SECTION_TABLE = 4,
    WASM_SECTION_MEMORY = 5,
    WASM_SECTION_GLOBAL = 6,
    WASM_SECTION_EXPORT = 7,
    WASM_SECTION_START = 8,
    WASM_SECTION_ELEMENT = 9,
    WASM_SECTION_CODE = 10,
    WASM_SECTION_DATA = 11,
    WASM_SECTION_DATA_COUNT = 12,
    WASM_SECTION_COUNT = 13,
};

// One member of an index space, imports first.
struct wasm_item {
    struct wasm_extern_type type;
    uint32_t type_index;  // of functions
    bool referenced;      // functions: named outside of bodies, so ref.func may name it
};

struct wasm_items {
    struct wasm_item *item;
    uint32_t count;
    uint32_t imported;
    uint32_t capacity;
};

// An initial value or a segment, as places in the source.
struct wasm_segment {
    bool active;            // has an offset; globals: always
    bool extended;          // its expression is more than the translator takes
    bool declared;          // element segments: neither active nor passive
    bool expressions;       // element segments: elements are expressions, not indices
    uint8_t type;           // globals: of the value; element segments: of the elements
    uint32_t target;        // global, table or memory
    uint32_t count;         // elements, or bytes of data
    size_t expression;      // the constant expression, its end instruction included
    size_t expression_end;  //
    size_t content;         // vector of elements or bytes, its count included
    size_t content_end;
};
struct wasm_segments {
    struct wasm_segment *segment;
    uint32_t count;
};

// The operands of a memory.copy between two memories: [first, second) and [second, end).
struct memory_copy {
    size_t first, second, end;
};

// Immutable after scan.
struct wasm_module_body {
    struct wasm_section sections[WASM_SECTION_COUNT];
    struct wasm_func_type *types;
    uint32_t type_count;
    struct wasm_items spaces[4];  // by enum wasm_kind
    struct wasm_import *imports;
    struct wasm_export *exports;
    struct wasm_segments globals;  // defined ones
    struct wasm_segments elements;
    struct wasm_segments data;
    bool extended;          // the module needs an init function (normalise.c)
    bool indexes_memories;  // some instruction names a memory in more than the byte 0
    bool names_data;        // code names data segments (memory.init, data.drop)
    bool code_unread;       // the scan left function bodies out: `memory_copies` is not known
    bool has_start;
    uint32_t start;
    struct buf memory_copies;  // of struct memory_copy
    // Of everything that the normalised form follows from, SHA256_BYTES; NULL until asked for.
    // Partner: wasm_module_digest.
    uint8_t *_Atomic digest;
};

// ---- the translator ----------------------------------------------------------------------------

// Versions by what they take and what their output looks like; the rest is refused.
enum wabt_version {
    WABT_UNKNOWN,
    WABT_1_0_32,
    WABT_1_0_34,  // and later
};

// ---- normalise.c -----------------------------------------------------------------------------

// Appends to `out` the module without custom sections and without the content of active data
// segments and without the values of some globals (data.c gives both to each instance), its imports
// renamed to "i" "0", "1", … and its exports to "e0", "e1", …, where an item exported again is left
// out (glue uses the first). The memories it defines, those globals and its start function are
// exported in any case (wasm_memory_export, wasm_global_export, wasm_start_export).
void wasm_normalise(const struct wasm_module *module, enum wabt_version version, struct buf *out);
// A digest of all that wasm_normalise reads, SHA256_BYTES: equal ones have equal normalised forms.
// What differs in the content of active data, or in the values of those globals, only is equal. Any
// thread.
const uint8_t *wasm_module_digest(const struct wasm_module *module);
// For each export the first one of the same item (itself if it is the first). Gives an array of
// export_count entries; free with free.
uint32_t *wasm_first_exports(const struct wasm_module *module);
// The number of the export through which the process reaches a defined memory or the start
// function: that of the item's first export, or one behind the module's own.
uint32_t wasm_memory_export(const struct wasm_module *module, uint32_t memory);
uint32_t wasm_start_export(const struct wasm_module *module);
// Whether a defined global, by its number among those, is given its initial value by the process
// (data.c): then the value is no part of the code, and two modules of one engine that was stopped
// at different points, such as its stack pointer, still have the same.
bool wasm_global_is_data(const struct wasm_module *module, uint32_t global);
// The number of the export through which the process reaches it.
uint32_t wasm_global_export(const struct wasm_module *module, uint32_t global);

// ---- glue.c ----------------------------------------------------------------------------------

// Appends C that includes `file`, the translator's output or the first part of it, and goes behind
// it in the same translation unit.
void wasm_glue_write(const struct wasm_module *module, enum wabt_version version, const char *file,
                     struct buf *out);
// The same for the other parts, which have no glue.
void wasm_glue_include(enum wabt_version version, const char *file, struct buf *out);
// What the output calls the type of an instance.
const char *wasm_glue_instance(enum wabt_version version);
// The text of rt/wasm-rt.h.
struct slice wasm_rt_header_text(void);

// ---- child.c: limited child processes ----------------------------------------------------------

struct wasm_child {
    const char *folder;       // working folder, and TMPDIR
    const char *const *argv;  // argv[0] is looked up in PATH
    uint64_t cpu_seconds;
    uint64_t memory_bytes;
    uint64_t file_bytes;
    uint64_t wall_seconds;
    int cancel;  // a descriptor: once it can be read, the child is ended; 0: none
};
// A child that runs.
struct wasm_process {
    struct wasm_child child;  // what its pointers lead to must stay until the wait
    pid_t pid;
    int output;
    uint64_t started_ns;
};
// Starts the program; each started one is to be waited for, by any thread. ERR_NOT_FOUND when it
// does not exist.
enum status wasm_child_start(const struct wasm_child *child, struct wasm_process *process,
                             struct error *error) MUST_CHECK;
// Waits for its end as wasm_child_run does.
enum status wasm_child_wait(struct wasm_process *process, struct buf *output,
                            struct error *error) MUST_CHECK;
// Runs the program to its end, nothing but /dev/null as input, and gives its first bytes of output
// (both streams) in `output`. ERR_NOT_FOUND when it cannot be started, ERR_LIMIT when a limit
// ended it, ERR_STOPPING when it was cancelled, ERR_INVALID when it failed by itself. Not on a
// worker.
enum status wasm_child_run(const struct wasm_child *child, struct buf *output,
                           struct error *error) MUST_CHECK;

// ---- compile.c -------------------------------------------------------------------------------

// The cache's folder, absolute.
const char *wasm_compiler_folder(const struct wasm_compiler *compiler);

struct wasm_object;  // a loaded shared object, shared by the codes of equal modules

struct wasm_code {
    _Atomic uint32_t references;
    struct wasm_module *module;
    const struct wasm_rt_code *native;
    enum wasm_tier tier;
    struct wasm_object *object;
    struct wasm_compiler *compiler;
    uint32_t *export_imports;  // per export the import that it is, or UINT32_MAX
    uint32_t *global_imports;  // the imports that are globals, in order
    uint32_t *memory_imports;  // the same for memories
};

// ---- memory.c: linear memories and tables ------------------------------------------------------

enum { WASM_PAGE_BYTES = 65536, WASM_PAGES_MAX = 65535 };
#define WASM_NO_CLASS UINT32_MAX

// A zeroed block of at least `pages` pages (not 0), from arenas shared by all instances. NULL when
// the system gives no address space. Any thread.
uint8_t *wasm_block_take(uint32_t pages, uint32_t *class_index);
// Gives it back; the first `used_bytes` may have been written.
void wasm_block_give(uint8_t *block, uint32_t class_index, uint64_t used_bytes);
// Clears blocks that were given back and put aside as they are; false when there were none. Any
// thread.
bool wasm_blocks_clear(void);
// Whether somebody calls that every few milliseconds; if not, no block is put aside.
void wasm_blocks_set_clearer(bool is_there);
uint64_t wasm_class_pages(uint32_t class_index);

// The bodies of the run-time calls, with guest code not interruptible. Growth gives the old size
// or UINT32_MAX. Allocation gives false when the budget or the system has no more.
bool wasm_memory_allocate(wasm_rt_memory_t *memory, uint32_t pages, uint32_t max_pages,
                          struct wasm_budget *budget);
uint32_t wasm_memory_grow(wasm_rt_memory_t *memory, uint32_t more);
void wasm_memory_free(wasm_rt_memory_t *memory);

struct wasm_table {
    WASM_RT_TABLE(void);
};
// Accounts the elements to the budget; false when it or the system has no more.
bool wasm_table_allocate(struct wasm_table *table, uint32_t size, uint32_t max_size,
                         enum wasm_type element, struct wasm_budget *budget);
// The new elements are undefined: the caller fills them.
uint32_t wasm_table_grow(struct wasm_table *table, uint32_t more);
void wasm_table_free(struct wasm_table *table);

// ---- types.c ---------------------------------------------------------------------------------

// The process-wide id (from 1) of a function type, equal for equal types. Any thread.
uint32_t wasm_type_id(const struct wasm_func_type *type);

// ---- trap.c: contexts, frames, signals ---------------------------------------------------------

// About where the stack ends now; a variable's address could lie on a sanitizer's fake stack.

struct wasm_frame {
    sigjmp_buf jump;
    struct wasm_frame *previous;
    bool by_signal;  // left from a signal handler
};

// A thread that runs guest code. Grouped by writer.
struct wasm_thread {
    // The owning thread; the watchdog reads.
    struct wasm_context *_Atomic context;
    _Atomic uint64_t binding;       // counts binds; partner: `charged_binding`, `ticket`
    _Atomic uint64_t remaining_ns;  // CPU time left to the bound context; 0: no limit
    // The watchdog; the owning thread reads.
    _Atomic uint64_t charged_binding;  // the binding that `charged_ns` counts
    _Atomic uint64_t charged_ns;
    _Atomic uint64_t ticket;  // binding to interrupt; the handler clears it
    // The watchdog alone, under its lock.
    uint64_t seen_binding;
    uint64_t seen_cpu_ns;
    bool seen;
    // Set once.
    unsigned long thread;  // pthread_t
    int cpu_clock;         // clockid_t
    void *signal_stack;
    struct wasm_thread *next;  // under the watchdog's lock
};

// This thread's record, or NULL. Read it again after anything that may switch fibers.
struct wasm_thread *wasm_thread_current(void);
// Ends the innermost call of the bound context.
NO_RETURN void wasm_trap_jump(struct wasm_context *context, enum wasm_trap trap, bool by_signal);

// The threads that the watchdog looks at: each adds and removes itself. And the signal that
// interrupts one.
void wasm_watchdog_add(struct wasm_thread *thread);
void wasm_watchdog_remove(struct wasm_thread *thread);
int wasm_interrupt_signal(void);

// ---- instance.c ------------------------------------------------------------------------------

struct wasm_global {
    void *value;
    enum wasm_type type;
    bool is_mutable;
    struct wasm_instance *owner;
};

struct wasm_instance {
    struct wasm_code *code;
    void *native;  // the translator's instance structure
    struct wasm_rt_import *native_imports;
    struct wasm_extern *imports;  // copies of what was given
    struct wasm_global *globals;  // by export index
    struct wasm_budget *budget;
    bool over_budget;              // why the start failed
    struct wasm_instance *failed;  // instances that trapped at start but may be in our tables
};

// Says which instance pays for what this thread's generated code allocates now.
void wasm_instantiating(struct wasm_instance *instance);
// The imports of a kind, in the order of their index space. Free with free.
uint32_t *wasm_imports_of(const struct wasm_module *module, enum wasm_kind kind);
// For each export the import that it is, or UINT32_MAX. Free with free.
uint32_t *wasm_export_imports(const struct wasm_module *module);

// ---- data.c ----------------------------------------------------------------------------------

// Copies the active data segments into the memories of an instance whose globals are set, in
// order. False: one of them does not fit; those before it are copied.
bool wasm_data_copy(struct wasm_instance *instance) MUST_CHECK;
// Gives the globals that wasm_global_is_data names their values.
void wasm_data_set_globals(struct wasm_instance *instance);

// ---- instance.c, more --------------------------------------------------------------------------

// The functions that generated code calls.
const struct wasm_rt_api *wasm_api(void);

#endif

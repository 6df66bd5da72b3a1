// SPDX-License-Identifier: Apache-2.0
// What generated code and this room agree on: the file is compiled into the process, and its text
// is handed to the C compiler as the "wasm-rt.h" that the translator's output includes. It holds
// the names which that output uses, and the tables through which code and process find each other.
// Generated code calls the process only through `wasm_rt_api`, so a shared object needs no symbol
// of ours. A change of a structure here, or of what normalise.c or split.c write, must change
// WASM_RT_ABI (it is part of the cache key, as is this text).
//
// Generated code defines WASM_RT_GENERATED as the form of the translator's output (glue.c):
//   1  of wabt 1.0.32
//   2  of wabt 1.0.34 and later
// All code of one compiler has one form, so functions of both never meet in a table.
// And WASM_RT_PART as the number of the part, if the output was split (split.c).
#ifndef WASM_RT_H_
#define WASM_RT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WASM_RT_ABI 3u

#ifndef LIKELY
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#endif
#ifndef WABT_BIG_ENDIAN
#define WABT_BIG_ENDIAN 0
#endif
#define wasm_rt_memcpy __builtin_memcpy

// Value types, with their bytes of the binary format.
typedef enum {
    WASM_RT_I32 = 0x7f,
    WASM_RT_I64 = 0x7e,
    WASM_RT_F32 = 0x7d,
    WASM_RT_F64 = 0x7c,
    WASM_RT_FUNCREF = 0x70,
    WASM_RT_EXTERNREF = 0x6f,
} wasm_rt_type_t;

typedef void (*wasm_rt_function_ptr_t)(void);

// The process moves function references and never looks into one: their size is what the forms
// agree on.
#if defined WASM_RT_GENERATED && WASM_RT_GENERATED == 2
typedef const char *wasm_rt_func_type_t;  // digest of the type, 32 bytes; compared by value
// Where tail calls would go, if they were enabled; the output fills it with a null pointer, which
// the compiler drops: an empty structure (an extension of gcc and clang) holds nothing.
typedef struct wasm_rt_tailcallee {
} wasm_rt_tailcallee_t;
typedef struct {
    wasm_rt_func_type_t func_type;
    wasm_rt_function_ptr_t func;
    wasm_rt_tailcallee_t func_tailcallee;
    void *module_instance;  // its first argument
} wasm_rt_funcref_t;
#define wasm_rt_funcref_null_value ((wasm_rt_funcref_t){0, 0, {}, 0})
#else
typedef struct {
    uint32_t func_type;  // id shared by all modules of the process; null when `func` is NULL
    wasm_rt_function_ptr_t func;
    void *module_instance;  // its first argument
} wasm_rt_funcref_t;
#define wasm_rt_funcref_null_value ((wasm_rt_funcref_t){0, 0, 0})
#endif
_Static_assert(sizeof(wasm_rt_funcref_t) == 3 * sizeof(void *), "as the process has it");
typedef void *wasm_rt_externref_t;
#define wasm_rt_externref_null_value ((wasm_rt_externref_t)0)

// A linear memory. Guest code reads `data`, `size` and `pages`; the process writes all of it.
typedef struct wasm_memory {
    uint8_t *data;
    uint64_t size;  // bytes
    uint32_t pages;
    uint32_t max_pages;
    uint32_t class_index;  // size class of the block at `data`, or WASM_NO_CLASS
    bool allocated;
    void *budget;  // struct wasm_budget that pays for it
    void *owner;   // struct wasm_instance that defines it
} wasm_rt_memory_t;

// The two kinds of table differ in their elements only.
#define WASM_RT_TABLE(element) \
    element *data;             \
    uint32_t max_size;         \
    uint32_t size;             \
    uint32_t capacity;         \
    uint32_t element_type;     \
    void *budget;              \
    void *owner
typedef struct wasm_funcref_table {
    WASM_RT_TABLE(wasm_rt_funcref_t);
} wasm_rt_funcref_table_t;
typedef struct wasm_externref_table {
    WASM_RT_TABLE(wasm_rt_externref_t);
} wasm_rt_externref_table_t;

// Trap codes as the translator writes them. An access out of bounds is one code there; the name of
// the function that traps tells tables from memories, and the compiler folds the choice.
#define WASM_RT_TRAP_OOB_MEMORY 1
#define WASM_RT_TRAP_OOB_TABLE 2
#define WASM_RT_TRAP_INT_OVERFLOW 3
#define WASM_RT_TRAP_DIV_BY_ZERO 4
#define WASM_RT_TRAP_INVALID_CONVERSION 5
#define WASM_RT_TRAP_UNREACHABLE 6
#define WASM_RT_TRAP_CALL_INDIRECT 7
#define WASM_RT_TRAP_EXHAUSTION 8
#define WASM_RT_TRAP_OOB \
    (__builtin_strstr(__func__, "table") ? WASM_RT_TRAP_OOB_TABLE : WASM_RT_TRAP_OOB_MEMORY)

struct wasm_rt_api {
    __attribute__((noreturn)) void (*trap)(int code);
    uint32_t (*register_func_type)(uint32_t param_count, uint32_t result_count, ...);
    void (*allocate_memory)(wasm_rt_memory_t *memory, uint32_t pages, uint32_t max_pages);
    uint32_t (*grow_memory)(wasm_rt_memory_t *memory, uint32_t pages);
    void (*free_memory)(wasm_rt_memory_t *memory);
    void (*allocate_funcref_table)(wasm_rt_funcref_table_t *table, uint32_t size, uint32_t max);
    uint32_t (*grow_funcref_table)(wasm_rt_funcref_table_t *table, uint32_t more,
                                   wasm_rt_funcref_t value);
    void (*free_funcref_table)(wasm_rt_funcref_table_t *table);
    void (*allocate_externref_table)(wasm_rt_externref_table_t *table, uint32_t size, uint32_t max);
    uint32_t (*grow_externref_table)(wasm_rt_externref_table_t *table, uint32_t more,
                                     wasm_rt_externref_t value);
    void (*free_externref_table)(wasm_rt_externref_table_t *table);
    // Calls the host function `link` (a struct wasm_func); returns only if it did not trap.
    void (*call_host)(void *link, uint64_t *slots);
};

// One import as the instance sees it. Functions: native code and its first argument.
struct wasm_rt_import {
    union {
        wasm_rt_function_ptr_t native;
        void *pointer;  // memory, table, or the value of a global
    } of;
    void *instance;
};

typedef void (*wasm_rt_thunk)(void *instance, uint64_t *slots);
typedef void *(*wasm_rt_get)(void *instance);

struct wasm_rt_export {
    wasm_rt_thunk thunk;            // functions that can be called with slots
    wasm_rt_function_ptr_t native;  // functions
    wasm_rt_get get;                // memories, tables, values of globals
};

// What a shared object offers, under the name theater_wasm_code.
struct wasm_rt_code {
    uint32_t abi;
    uint32_t import_count;
    uint32_t export_count;
    uint64_t instance_size;
    void (*load)(const struct wasm_rt_api *api);  // once, before the first instance
    // Everything but active data segments, values of globals that are data, and the start function.
    void (*instantiate)(void *instance, struct wasm_rt_import *imports);
    void (*release)(void *instance);
    const struct wasm_rt_export *exports;
    const wasm_rt_function_ptr_t *host_adapters;  // per import; NULL: not a function, or no slots
    const wasm_rt_get *memories;                  // per memory that the module defines
    const wasm_rt_get *globals;  // whose values the process gives (wasm_global_is_data), in order
    void (*start)(void *instance);  // or NULL
};

#ifdef WASM_RT_GENERATED
// An element segment of the output gives an imported function the instance's address plus
// offsetof(instance, import pointer) as its first argument, which is where the pointer lies, not
// where it points (a mistake of all versions so far). instance.c puts the import table right behind
// the instance, so that this offset leads to the table itself.
#undef offsetof
#define offsetof(type, member) ((sizeof(type) + 15) & ~(size_t)15)
#ifndef WASM_RT_PART
static const struct wasm_rt_api *wasm_rt_api;
#else
// What follows is shared by the parts and seen by nobody else.
#pragma GCC visibility push(hidden)
#if WASM_RT_PART == 0
const struct wasm_rt_api *wasm_rt_api;
#else
extern const struct wasm_rt_api *wasm_rt_api;
#endif
#endif
#define wasm_rt_trap(code) wasm_rt_api->trap(code)
#define wasm_rt_is_initialized() 1
#if WASM_RT_GENERATED == 2
// Every access is checked (no guard pages, no segment register), and the guard page below the stack
// ends recursion (no counter).
#define WASM_RT_MEMCHECK_GUARD_PAGES 0
#define WASM_RT_MEMCHECK_BOUNDS_CHECK 1
#define WASM_RT_ALLOW_SEGUE 0
#define WASM_RT_USE_SEGUE 0
#define WASM_RT_STACK_DEPTH_COUNT 0
#define WASM_RT_SANITY_CHECKS 0
// What follows the maximum is the kind of memory; scan.c lets one kind through.
#define wasm_rt_allocate_memory(memory, pages, max_pages, ...) \
    wasm_rt_api->allocate_memory(memory, pages, max_pages)
#else
#define wasm_rt_register_func_type(...) wasm_rt_api->register_func_type(__VA_ARGS__)
#define wasm_rt_allocate_memory(...) wasm_rt_api->allocate_memory(__VA_ARGS__)
#endif
#define wasm_rt_grow_memory(...) wasm_rt_api->grow_memory(__VA_ARGS__)
#define wasm_rt_free_memory(...) wasm_rt_api->free_memory(__VA_ARGS__)
#define wasm_rt_allocate_funcref_table(...) wasm_rt_api->allocate_funcref_table(__VA_ARGS__)
#define wasm_rt_grow_funcref_table(...) wasm_rt_api->grow_funcref_table(__VA_ARGS__)
#define wasm_rt_free_funcref_table(...) wasm_rt_api->free_funcref_table(__VA_ARGS__)
#define wasm_rt_allocate_externref_table(...) wasm_rt_api->allocate_externref_table(__VA_ARGS__)
#define wasm_rt_grow_externref_table(...) wasm_rt_api->grow_externref_table(__VA_ARGS__)
#define wasm_rt_free_externref_table(...) wasm_rt_api->free_externref_table(__VA_ARGS__)
#ifdef __TINYC__
// What gcc and clang have built in.
#include <string.h>
#define __builtin_strstr strstr
#define __builtin_memcpy memcpy
#define __has_builtin(name) 1
static inline bool wasm_rt_add_overflow(uint64_t a, uint64_t b, uint64_t *sum) {
    *sum = a + b;
    return *sum < a;
}
#define __builtin_add_overflow(a, b, sum) wasm_rt_add_overflow(a, b, sum)
static inline int wasm_rt_clz64(uint64_t value) {
    int zeros = 0;
    for (int step = 32; step > 0; step >>= 1) {
        if (value >> (64 - step) == 0) {
            zeros += step;
            value <<= step;
        }
    }
    return zeros;
}
static inline int wasm_rt_ctz64(uint64_t value) {
    return 63 - wasm_rt_clz64(value & (~value + 1));
}
static inline int wasm_rt_popcount64(uint64_t value) {
    value -= (value >> 1) & 0x5555555555555555u;
    value = (value & 0x3333333333333333u) + ((value >> 2) & 0x3333333333333333u);
    value = (value + (value >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (int)((value * 0x0101010101010101u) >> 56);
}
// Of values that are not 0.
#define __builtin_clzll(value) wasm_rt_clz64(value)
#define __builtin_ctzll(value) wasm_rt_ctz64(value)
#define __builtin_clz(value) (wasm_rt_clz64((uint32_t)(value)) - 32)
#define __builtin_ctz(value) wasm_rt_ctz64((uint32_t)(value))
#define __builtin_popcountll(value) wasm_rt_popcount64(value)
#define __builtin_popcount(value) wasm_rt_popcount64((uint32_t)(value))
// Its own negation leaves the sign of NaN.
static inline float wasm_rt_negate_f32(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits ^= (uint32_t)1 << 31;
    memcpy(&value, &bits, sizeof bits);
    return value;
}
static inline double wasm_rt_negate_f64(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits ^= (uint64_t)1 << 63;
    memcpy(&value, &bits, sizeof bits);
    return value;
}
#define wasm_rt_negate(value) \
    _Generic((value), float : wasm_rt_negate_f32, double : wasm_rt_negate_f64)(value)
#endif
static inline float wasm_rt_slot_f32(uint64_t slot) {
    uint32_t bits = (uint32_t)slot;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}
static inline double wasm_rt_slot_f64(uint64_t slot) {
    double value;
    __builtin_memcpy(&value, &slot, sizeof value);
    return value;
}
static inline uint64_t wasm_rt_f32_slot(float value) {
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}
static inline uint64_t wasm_rt_f64_slot(double value) {
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}
#endif

#endif

// SPDX-License-Identifier: Apache-2.0
// One side of a canonical ABI call: a guest's memory and how to get room in it. Private to the
// room.
//
// Guest functions are entered in the frame of the whole component_call: when one traps, none of
// the functions here returns. They hold nothing but arena memory.
//
// Guest addresses are used through guest_range alone. Pointers it gives end with the next guest
// call (guest_alloc is one): memory may have grown and moved.
#ifndef COMPONENT_GUEST_H
#define COMPONENT_GUEST_H

#include "component/plan.h"

struct lend;
struct component_instance;

struct guest {
    uint8_t *data;  // of the memory; fetched again after every guest call
    uint64_t size;
    const struct wasm_memory *memory;  // NULL: the canonical options give none
    const struct wasm_entry *realloc;  // NULL: the same
    struct wasm_context *context;      // that the guest's functions run on
    uint8_t *owner_flags;              // of the component instantiation: OWNER_…
    struct arena *arena;               // where lifted values go
    enum string_encoding encoding;
    bool is_host_peer;                    // what is lifted goes to component_call, or comes from it
    uint32_t owner;                       // number of the component instantiation
    struct component_instance *instance;  // whose handle tables are used
    struct lend *lends;                   // handles lent until the call returns
};

// State of one component instantiation, for the rules of CanonicalABI.md about entering, leaving.
enum { OWNER_ENTERED = 1, OWNER_MAY_NOT_LEAVE = 2 };

// Records a trap with its text on the current context; returns false.
bool guest_trap(const char *format, ...) PRINTF_LIKE(1, 2);

static inline void guest_refresh(struct guest *guest) {
    if (guest->memory != NULL) {
        struct wasm_memory_view view = wasm_memory_view(guest->memory);
        // An empty memory may have no address; a range of size 0 in it is still a range.
        guest->data = view.size == 0 ? (uint8_t *)guest : view.data;
        guest->size = view.size;
    }
}

// The bytes [at, at + size) of the guest's memory, or NULL when they are not all inside it.
static inline uint8_t *guest_range(const struct guest *guest, uint32_t at, uint64_t size) {
    return size > guest->size || at > guest->size - size ? NULL : guest->data + at;
}

// Calls the guest's realloc for a new block (also of size 0) and checks what it returns. False:
// trapped.
bool guest_alloc(struct guest *guest, uint32_t align, uint64_t size, uint32_t *out);

// ---- handles.c
// -----------------------------------------------------------------------------------

// Handles of the guest to representations and back (CanonicalABI.md, "lift_own" and so on). False:
// trapped.
bool lift_handle(struct guest *guest, const struct component_type *type, uint32_t handle,
                 struct value *out);
bool lower_handle(struct guest *guest, const struct component_type *type, uint64_t bits,
                  uint32_t *handle);

// ---- lift.c ------------------------------------------------------------------------------------

// Reads a value from the type's flat_count core values at `slots`.
bool lift_flat(struct guest *guest, const struct component_type *type, const uint64_t *slots,
               struct value *out);
// Reads a value of the type from `at`, checking alignment and bounds first.
bool lift_at(struct guest *guest, const struct component_type *type, uint32_t at,
             struct value *out);

// ---- lower.c -----------------------------------------------------------------------------------

// Writes a value as the type's flat_count core values to `slots`.
bool lower_flat(struct guest *guest, const struct component_type *type, const struct value *value,
                uint64_t *slots);
// Writes a value to `at`, checking alignment and bounds first.
bool lower_at(struct guest *guest, const struct component_type *type, const struct value *value,
              uint32_t at);
// The same into a block that is allocated for it.
bool lower_new(struct guest *guest, const struct component_type *type, const struct value *value,
               uint32_t *at);

#endif

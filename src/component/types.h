// SPDX-License-Identifier: Apache-2.0
// Value types of one component: interned, so that equal types are one object, each with its layout
// in linear memory and its core signature (CanonicalABI.md, "Alignment", "Element Size",
// "Flattening"). Everything is computed once, at load.
#ifndef COMPONENT_TYPES_H
#define COMPONENT_TYPES_H

#include "base/arena.h"
#include "base/map.h"
#include "component/component.h"

enum {
    FLAT_PARAMS_MAX = 16,      // core parameters before they are passed in memory
    FLAT_RESULTS_MAX = 1,      // core results before they are passed in memory
    FLAT_OVER = 17,            // component_type.flat_count: more than FLAT_PARAMS_MAX
    TYPE_DEPTH_MAX = 100,      // so that lifting may recurse
    TYPE_NODES_MAX = 1 << 16,  // of one type written out, so that nothing grows exponentially
    FLAGS_MAX = 32,
};
#define TYPE_SIZE_LIMIT (UINT64_C(1) << 28)        // every type is smaller (Binary.md, "Types")
#define VALUE_BYTES_MAX ((UINT64_C(1) << 28) - 1)  // of one string or list

// What the canonical ABI needs besides the public part, which is the first member.
struct type_layout {
    struct component_type type;
    const uint32_t *offsets;    // of record and tuple fields
    uint32_t payload_offset;    // of the cases of a variant-like type
    uint32_t nodes;             // size of the type written out
    uint8_t discriminant_size;  // 1, 2 or 4; of flags: their size
    uint8_t depth;
    bool has_handle;  // contains own or borrow
    bool has_borrow;
    bool has_nameable;  // contains, or is, a record, variant, enum or flags
    // While the component is checked, see load/shape.c: a type under an external name of its own.
    bool is_named;
    bool by_import;                       // the name is an import's
    const void *visible_in;               // the scope that has the name
    const struct component_type *rename;  // what a copy of a shape puts in its place
    uint8_t flat[FLAT_PARAMS_MAX];        // enum wasm_type, when flat_count <= FLAT_PARAMS_MAX
};

static inline const struct type_layout *type_layout(const struct component_type *type) {
    return (const struct type_layout *)type;
}

// Cases of a variant, enum, option or result, and the payload type of one (NULL: none).
static inline uint32_t type_case_count(const struct component_type *type) {
    return type->kind == COMPONENT_OPTION ? 2 : type->item_count;
}
static inline const struct component_type *type_case(const struct component_type *type,
                                                     uint32_t which) {
    if (type->kind == COMPONENT_OPTION) {
        return which == 0 ? NULL : type->items[0];
    }
    return type->items == NULL ? NULL : type->items[which];
}

// All types of one component. The objects live in `arena`, the table only during load.
struct type_table {
    struct arena *arena;
    struct map map;
    struct buf key;
};

// In place. Types outlive the table: they lie in `arena`.
void type_table_init(struct type_table *table, struct arena *arena);
void type_table_release(struct type_table *table);
// The type object of a primitive (COMPONENT_BOOL … COMPONENT_STRING). Static storage.
const struct component_type *type_primitive(enum component_kind kind);
// The one object for this type. `items` and `names` may be temporary; the text of names must live
// as long as the arena. NULL when a bound is passed, with the reason in *why.
const struct component_type *type_intern(struct type_table *table, enum component_kind kind,
                                         uint32_t count, const struct component_type *const *items,
                                         const struct slice *names, const char **why);
// Another object for the same type (its parts in `items`, as many), which is equal to no other.
struct type_layout *type_named(struct type_table *table, const struct component_type *type,
                               const struct component_type *const *items);
// Whether the type may be used from outside only under a name (Explainer.md, "External Visibility
// of Types").
bool type_is_nameable(const struct component_type *type);
// The one object for own (or borrow) of this resource type.
const struct component_type *type_intern_handle(struct type_table *table, enum component_kind kind,
                                                const struct component_resource *resource);

#endif

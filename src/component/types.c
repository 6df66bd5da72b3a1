// SPDX-License-Identifier: Apache-2.0
// Interning, layout and flattening of value types, and how a function's type is printed.
#include "component/types.h"

#include <assert.h>

#define PRIMITIVE(kind_, size_, flat_, plain_) \
    [kind_] = {.type = {.kind = (kind_),       \
                        .align = (size_),      \
                        .size = (size_),       \
                        .flat_count = 1,       \
                        .is_plain = (plain_)}, \
               .nodes = 1,                     \
               .depth = 1,                     \
               .flat = {flat_}}

static const struct type_layout PRIMITIVES[] = {
    PRIMITIVE(COMPONENT_BOOL, 1, WASM_I32, false),
    PRIMITIVE(COMPONENT_S8, 1, WASM_I32, true),
    PRIMITIVE(COMPONENT_U8, 1, WASM_I32, true),
    PRIMITIVE(COMPONENT_S16, 2, WASM_I32, true),
    PRIMITIVE(COMPONENT_U16, 2, WASM_I32, true),
    PRIMITIVE(COMPONENT_S32, 4, WASM_I32, true),
    PRIMITIVE(COMPONENT_U32, 4, WASM_I32, true),
    PRIMITIVE(COMPONENT_S64, 8, WASM_I64, true),
    PRIMITIVE(COMPONENT_U64, 8, WASM_I64, true),
    PRIMITIVE(COMPONENT_F32, 4, WASM_F32, true),
    PRIMITIVE(COMPONENT_F64, 8, WASM_F64, true),
    PRIMITIVE(COMPONENT_CHAR, 4, WASM_I32, false),
    [COMPONENT_STRING] = {.type = {.kind = COMPONENT_STRING,
                                   .align = 4,
                                   .size = 8,
                                   .flat_count = 2,
                                   .has_pointer = true},
                          .nodes = 1,
                          .depth = 1,
                          .flat = {WASM_I32, WASM_I32}},
};

static const char *const PRIMITIVE_NAMES[] = {"bool", "s8",  "u8",  "s16", "u16",  "s32",   "u32",
                                              "s64",  "u64", "f32", "f64", "char", "string"};

void type_table_init(struct type_table *table, struct arena *arena) {
    *table = (struct type_table){.arena = arena};
}

void type_table_release(struct type_table *table) {
    map_release(&table->map);
    buf_release(&table->key);
}

const struct component_type *type_primitive(enum component_kind kind) {
    assert(kind <= COMPONENT_STRING);
    return &PRIMITIVES[kind].type;
}

static uint64_t align_up(uint64_t value, uint64_t align) {
    return (value + align - 1) & ~(align - 1);
}

static uint8_t bits_size(uint32_t cases) {
    return cases <= 1u << 8 ? 1 : cases <= 1u << 16 ? 2 : 4;
}

// Appends the flat types of `part` to those of `whole` (up to the bound).
static void flat_append(struct type_layout *whole, const struct component_type *part) {
    uint32_t count = whole->type.flat_count;
    if (count + part->flat_count > FLAT_PARAMS_MAX) {
        whole->type.flat_count = FLAT_OVER;
        return;
    }
    memcpy(whole->flat + count, type_layout(part)->flat, part->flat_count);
    whole->type.flat_count = (uint8_t)(count + part->flat_count);
}

static uint8_t flat_join(uint8_t a, uint8_t b) {
    if (a == b) {
        return a;
    }
    bool narrow = (a == WASM_I32 && b == WASM_F32) || (a == WASM_F32 && b == WASM_I32);
    return narrow ? WASM_I32 : WASM_I64;
}

// Joins the flat types of one case with those of the cases before it (after the discriminant).
static void flat_join_case(struct type_layout *whole, const struct component_type *payload) {
    uint32_t wanted = payload->flat_count + 1u;
    if (wanted > FLAT_PARAMS_MAX || whole->type.flat_count == FLAT_OVER) {
        whole->type.flat_count = FLAT_OVER;
        return;
    }
    const uint8_t *flat = type_layout(payload)->flat;
    for (uint32_t i = 1; i < wanted; i++) {
        whole->flat[i] =
            i < whole->type.flat_count ? flat_join(whole->flat[i], flat[i - 1]) : flat[i - 1];
    }
    if (wanted > whole->type.flat_count) {
        whole->type.flat_count = (uint8_t)wanted;
    }
}

// Takes over what every container inherits from a part; false when a bound is passed.
static bool inherit(struct type_layout *whole, const struct component_type *part) {
    const struct type_layout *layout = type_layout(part);
    if (layout->depth >= TYPE_DEPTH_MAX || layout->nodes + whole->nodes > TYPE_NODES_MAX) {
        return false;
    }
    if (layout->depth + 1 > whole->depth) {
        whole->depth = (uint8_t)(layout->depth + 1);
    }
    whole->nodes += layout->nodes;
    whole->has_handle |= layout->has_handle;
    whole->has_borrow |= layout->has_borrow;
    whole->has_nameable |= layout->has_nameable;
    whole->type.has_pointer |= part->has_pointer;
    return true;
}

static bool lay_out_fields(struct type_layout *layout, struct arena *arena) {
    struct component_type *type = &layout->type;
    uint32_t *offsets = ARENA_ARRAY(arena, uint32_t, type->item_count);
    uint64_t at = 0;
    for (uint32_t i = 0; i < type->item_count; i++) {
        const struct component_type *field = type->items[i];
        if (!inherit(layout, field)) {
            return false;
        }
        at = align_up(at, field->align);
        if (at >= TYPE_SIZE_LIMIT) {
            return false;
        }
        offsets[i] = (uint32_t)at;
        at += field->size;
        if (field->align > type->align) {
            type->align = field->align;
        }
        flat_append(layout, field);
    }
    at = align_up(at, type->align);
    type->size = (uint32_t)(at < TYPE_SIZE_LIMIT ? at : TYPE_SIZE_LIMIT);
    layout->offsets = offsets;
    return true;
}

static bool lay_out_cases(struct type_layout *layout) {
    struct component_type *type = &layout->type;
    uint32_t count = type_case_count(type);
    layout->discriminant_size = bits_size(count);
    type->flat_count = 1;
    layout->flat[0] = WASM_I32;
    uint64_t payload_size = 0;
    uint8_t payload_align = 1;
    for (uint32_t i = 0; i < count; i++) {
        const struct component_type *payload = type_case(type, i);
        if (payload == NULL) {
            continue;
        }
        if (!inherit(layout, payload)) {
            return false;
        }
        if (payload->size > payload_size) {
            payload_size = payload->size;
        }
        if (payload->align > payload_align) {
            payload_align = payload->align;
        }
        flat_join_case(layout, payload);
    }
    type->align =
        payload_align > layout->discriminant_size ? payload_align : layout->discriminant_size;
    layout->payload_offset = (uint32_t)align_up(layout->discriminant_size, payload_align);
    uint64_t size = align_up(layout->payload_offset + payload_size, type->align);
    type->size = (uint32_t)(size < TYPE_SIZE_LIMIT ? size : TYPE_SIZE_LIMIT);
    return true;
}

static void lay_out_flags(struct type_layout *layout) {
    struct component_type *type = &layout->type;
    layout->discriminant_size = type->item_count <= 8 ? 1 : type->item_count <= 16 ? 2 : 4;
    type->size = type->align = layout->discriminant_size;
    type->flat_count = 1;
    layout->flat[0] = WASM_I32;
}

bool type_is_nameable(const struct component_type *type) {
    return type->kind == COMPONENT_RECORD || type->kind == COMPONENT_VARIANT ||
           type->kind == COMPONENT_ENUM || type->kind == COMPONENT_FLAGS;
}

// Fills in everything that follows from kind and items; false when a bound is passed.
static bool lay_out(struct type_layout *layout, struct arena *arena) {
    struct component_type *type = &layout->type;
    layout->depth = 1;
    uint64_t nodes = (uint64_t)type->item_count + 1;
    for (uint32_t i = 0; type->names != NULL && i < type->item_count; i++) {
        nodes += type->names[i].size / 8;
    }
    if (nodes > TYPE_NODES_MAX) {
        return false;
    }
    layout->nodes = (uint32_t)nodes;
    layout->has_nameable = type_is_nameable(type);
    type->align = 1;
    switch (type->kind) {
        case COMPONENT_LIST:
            type->size = 8;
            type->align = 4;
            type->flat_count = 2;
            layout->flat[0] = layout->flat[1] = WASM_I32;
            type->has_pointer = true;
            return inherit(layout, type->items[0]);
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            return lay_out_fields(layout, arena);
        case COMPONENT_VARIANT:
        case COMPONENT_ENUM:
        case COMPONENT_OPTION:
        case COMPONENT_RESULT:
            return lay_out_cases(layout);
        case COMPONENT_FLAGS:
            lay_out_flags(layout);
            return true;
        case COMPONENT_BOOL:
        case COMPONENT_S8:
        case COMPONENT_U8:
        case COMPONENT_S16:
        case COMPONENT_U16:
        case COMPONENT_S32:
        case COMPONENT_U32:
        case COMPONENT_S64:
        case COMPONENT_U64:
        case COMPONENT_F32:
        case COMPONENT_F64:
        case COMPONENT_CHAR:
        case COMPONENT_STRING:
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            break;
    }
    fatal("component type of kind %d has no layout", (int)type->kind);
}

static void make_key(struct buf *key, enum component_kind kind, uint32_t count,
                     const struct component_type *const *items, const struct slice *names) {
    buf_clear(key);
    buf_append_byte(key, (uint8_t)kind);
    buf_append(key, &count, sizeof count);
    for (uint32_t i = 0; i < count; i++) {
        if (items != NULL) {
            buf_append(key, &items[i], sizeof items[i]);
        }
        if (names != NULL) {
            buf_append(key, &names[i].size, sizeof names[i].size);
            buf_append_slice(key, names[i]);
        }
    }
}

const struct component_type *type_intern(struct type_table *table, enum component_kind kind,
                                         uint32_t count, const struct component_type *const *items,
                                         const struct slice *names, const char **why) {
    assert(kind > COMPONENT_STRING && count != 0);
    make_key(&table->key, kind, count, items, names);
    struct type_layout *layout = map_get(&table->map, buf_slice(&table->key));
    if (layout != NULL) {
        return &layout->type;
    }
    if (count >= TYPE_NODES_MAX) {
        *why = "the type has too many parts";
        return NULL;
    }
    layout = ARENA_NEW(table->arena, struct type_layout);
    layout->type.kind = kind;
    layout->type.item_count = count;
    if (items != NULL) {
        const struct component_type **copy =
            ARENA_ARRAY(table->arena, const struct component_type *, count);
        memcpy(copy, items, count * sizeof(const struct component_type *));
        layout->type.items = copy;
    }
    if (names != NULL) {
        struct slice *copy = ARENA_ARRAY(table->arena, struct slice, count);
        memcpy(copy, names, count * sizeof *names);
        layout->type.names = copy;
    }
    if (!lay_out(layout, table->arena)) {
        *why = "the type is nested too deeply or has too many parts";
        return NULL;
    }
    if (layout->type.size >= TYPE_SIZE_LIMIT) {
        *why = "the type takes 2^28 bytes or more";
        return NULL;
    }
    (void)map_add(&table->map, buf_slice(&table->key), layout);
    return &layout->type;
}

struct type_layout *type_named(struct type_table *table, const struct component_type *type,
                               const struct component_type *const *items) {
    struct type_layout *layout = ARENA_NEW(table->arena, struct type_layout);
    *layout = *type_layout(type);
    layout->type.items = items;
    layout->is_named = true;
    layout->rename = NULL;
    return layout;
}

const struct component_type *type_intern_handle(struct type_table *table, enum component_kind kind,
                                                const struct component_resource *resource) {
    assert((kind == COMPONENT_OWN || kind == COMPONENT_BORROW) && resource != NULL);
    buf_clear(&table->key);
    buf_append_byte(&table->key, (uint8_t)kind);
    buf_append(&table->key, &resource, sizeof(const struct component_resource *));
    struct type_layout *layout = map_get(&table->map, buf_slice(&table->key));
    if (layout == NULL) {
        layout = ARENA_NEW(table->arena, struct type_layout);
        *layout = (struct type_layout){
            .type = {.kind = kind, .align = 4, .size = 4, .flat_count = 1, .resource = resource},
            .nodes = 1,
            .depth = 1,
            .has_handle = true,
            .has_borrow = kind == COMPONENT_BORROW,
            .flat = {WASM_I32}};
        (void)map_add(&table->map, buf_slice(&table->key), layout);
    }
    return &layout->type;
}

// ---- printing ------------------------------------------------------------------------------

static void print_type(const struct component_type *type, struct buf *out);

static void print_items(const struct component_type *type, const char *name, struct buf *out) {
    buf_append_text(out, name);
    buf_append_byte(out, '<');
    for (uint32_t i = 0; i < type->item_count; i++) {
        buf_append_text(out, i == 0 ? "" : ", ");
        print_type(type->items[i], out);
    }
    buf_append_byte(out, '>');
}

static void print_named(const struct component_type *type, const char *name, struct buf *out) {
    buf_append_text(out, name);
    buf_append_byte(out, '{');
    for (uint32_t i = 0; i < type->item_count; i++) {
        buf_append_text(out, i == 0 ? "" : ", ");
        buf_append_slice(out, type->names[i]);
        const struct component_type *item = type->items == NULL ? NULL : type->items[i];
        if (item == NULL) {
            continue;
        }
        bool is_field = type->kind == COMPONENT_RECORD;
        buf_append_text(out, is_field ? ": " : "(");
        print_type(item, out);
        buf_append_text(out, is_field ? "" : ")");
    }
    buf_append_byte(out, '}');
}

static void print_result(const struct component_type *type, struct buf *out) {
    buf_append_text(out, "result");
    if (type->items[0] == NULL && type->items[1] == NULL) {
        return;
    }
    buf_append_byte(out, '<');
    if (type->items[0] == NULL) {
        buf_append_byte(out, '_');
    } else {
        print_type(type->items[0], out);
    }
    if (type->items[1] != NULL) {
        buf_append_text(out, ", ");
        print_type(type->items[1], out);
    }
    buf_append_byte(out, '>');
}

// Depth and size of what is printed are bounded by TYPE_DEPTH_MAX and TYPE_NODES_MAX.
static void print_type(const struct component_type *type, struct buf *out) {
    switch (type->kind) {
        case COMPONENT_BOOL:
        case COMPONENT_S8:
        case COMPONENT_U8:
        case COMPONENT_S16:
        case COMPONENT_U16:
        case COMPONENT_S32:
        case COMPONENT_U32:
        case COMPONENT_S64:
        case COMPONENT_U64:
        case COMPONENT_F32:
        case COMPONENT_F64:
        case COMPONENT_CHAR:
        case COMPONENT_STRING:
            buf_append_text(out, PRIMITIVE_NAMES[type->kind]);
            return;
        case COMPONENT_LIST:
            print_items(type, "list", out);
            return;
        case COMPONENT_TUPLE:
            print_items(type, "tuple", out);
            return;
        case COMPONENT_OPTION:
            print_items(type, "option", out);
            return;
        case COMPONENT_RESULT:
            print_result(type, out);
            return;
        case COMPONENT_RECORD:
            print_named(type, "record", out);
            return;
        case COMPONENT_VARIANT:
            print_named(type, "variant", out);
            return;
        case COMPONENT_ENUM:
            print_named(type, "enum", out);
            return;
        case COMPONENT_FLAGS:
            print_named(type, "flags", out);
            return;
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            buf_append_text(out, type->kind == COMPONENT_OWN ? "own<" : "borrow<");
            buf_append_slice(out, type->resource->name);
            buf_append_byte(out, '>');
            return;
    }
    fatal("component type of kind %d cannot be printed", (int)type->kind);
}

void component_type_print(const struct component_type *type, struct buf *out) {
    print_type(type, out);
}

void component_func_type_print(const struct component_func_type *type, struct buf *out) {
    buf_append_text(out, "func(");
    for (uint32_t i = 0; i < type->param_count; i++) {
        buf_append_text(out, i == 0 ? "" : ", ");
        print_type(type->params[i], out);
    }
    buf_append_byte(out, ')');
    if (type->result != NULL) {
        buf_append_text(out, " -> ");
        print_type(type->result, out);
    }
}

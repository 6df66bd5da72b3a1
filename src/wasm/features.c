// SPDX-License-Identifier: Apache-2.0
// Which features a module uses: from the instructions that its validation has seen, and from its
// types, imports and exports.
#include "wasm/validate.h"

const char *wasm_feature_name(enum wasm_feature feature) {
    static const char *const names[] = {"mutable-globals", "sign-ext",    "nontrapping-fptoint",
                                        "multivalue",      "bulk-memory", "reference-types"};
    static_assert(COUNT_OF(names) == WASM_FEATURE_COUNT, "a name for each");
    assert(feature < WASM_FEATURE_COUNT);
    return names[feature];
}

static bool any_seen(const bool *seen, unsigned first, unsigned last) {
    for (unsigned i = first; i <= last; i++) {
        if (seen[i])
            return true;
    }
    return false;
}

static bool is_mutable_global(const struct wasm_extern_type *type) {
    return type->kind == WASM_GLOBAL && type->global.is_mutable;
}

static bool shares_mutable_globals(const struct wasm_module_body *body,
                                   const struct wasm_module *module) {
    for (uint32_t i = 0; i < module->import_count; i++) {
        if (is_mutable_global(&body->imports[i].type))
            return true;
    }
    for (uint32_t i = 0; i < module->export_count; i++) {
        if (is_mutable_global(&body->exports[i].type))
            return true;
    }
    return false;
}

// Functions with several results. Blocks with parameters have such a type too, or one of theirs.
static bool has_many_results(const struct wasm_module_body *body) {
    for (uint32_t i = 0; i < body->type_count; i++) {
        if (body->types[i].result_count > 1)
            return true;
    }
    return false;
}

// Several tables, or tables of other things than functions.
static bool has_new_tables(const struct wasm_module_body *body) {
    const struct wasm_items *tables = &body->spaces[WASM_TABLE];
    for (uint32_t i = 0; i < tables->count; i++) {
        if (tables->item[i].type.table.element != WASM_FUNCREF)
            return true;
    }
    return tables->count > 1;
}

uint32_t wasm_features_seen(const struct wasm_validator *v, const struct wasm_module *module) {
    const struct wasm_module_body *body = v->module;
    const bool uses[WASM_FEATURE_COUNT] = {
        [WASM_MUTABLE_GLOBALS] = shares_mutable_globals(body, module),
        [WASM_SIGN_EXTENSION] = any_seen(v->seen, 0xc0, 0xc4),
        [WASM_SATURATING_TRUNCATION] = any_seen(v->seen_fc, 0, 7),
        [WASM_MULTI_VALUE] = has_many_results(body),
        [WASM_BULK_MEMORY] = any_seen(v->seen_fc, 8, 14),
        [WASM_REFERENCE_TYPES] = has_new_tables(body) || any_seen(v->seen, 0x1c, 0x1c) ||
                                 any_seen(v->seen, 0x25, 0x26) || any_seen(v->seen, 0xd0, 0xd2) ||
                                 any_seen(v->seen_fc, 15, 17)};
    uint32_t features = 0;
    for (unsigned i = 0; i < WASM_FEATURE_COUNT; i++)
        features |= uses[i] ? 1u << i : 0;
    return features;
}

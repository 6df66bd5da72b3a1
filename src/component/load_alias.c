// SPDX-License-Identifier: Apache-2.0
// The alias section (Binary.md, "Alias Definitions"): items of instances, of core instances, and of
// the scopes around.
#include "component/load.h"

static void load_export_alias(struct loader *loader, enum sort sort) {
    const struct instance_def *instance = scope_read(loader, SORT_INSTANCE);
    struct slice name = read_name(loader);
    if (failed(loader)) {
        return;
    }
    const struct named_item *item = map_get(instance->exports, name);
    if (item == NULL || item->sort != sort) {
        fail(loader, ERR_INVALID, "the instance has no %s '%.*s'", sort_name(sort), (int)name.size,
             (const char *)name.data);
        return;
    }
    scope_add(loader, sort, item->item);
}

static void load_core_export_alias(struct loader *loader, enum sort sort) {
    const struct core_instance_def *instance = scope_read(loader, SORT_CORE_INSTANCE);
    struct slice name = read_name(loader);
    if (failed(loader)) {
        return;
    }
    const struct core_item *item = core_instance_export(loader, instance, name);
    if (!failed(loader) && (item == NULL || item->sort != sort)) {
        fail(loader, ERR_INVALID, "the core instance has no %s '%.*s'", sort_name(sort),
             (int)name.size, (const char *)name.data);
        return;
    }
    if (item != NULL) {
        scope_add(loader, sort, item);
    }
}

static void load_outer_alias(struct loader *loader, enum sort sort) {
    uint32_t levels = read_u32(loader);
    uint32_t index = read_u32(loader);
    if (failed(loader)) {
        return;
    }
    if (sort != SORT_TYPE && sort != SORT_COMPONENT && sort != SORT_CORE_MODULE) {
        fail(loader, ERR_INVALID, "a %s cannot be aliased from an outer scope", sort_name(sort));
        return;
    }
    const struct scope *scope = loader->scope;
    uint32_t count = scope->spaces[sort].count;
    for (uint32_t i = 0; i < levels; i++) {
        if (scope->outer == NULL) {
            fail(loader, ERR_INVALID, "an outer alias goes %u scopes out, there are %u", levels, i);
            return;
        }
        count = scope->outer_counts[sort];
        scope = scope->outer;
    }
    if (index >= count) {
        fail(loader, ERR_INVALID, "outer %s index %u out of bounds (there are %u)", sort_name(sort),
             index, count);
        return;
    }
    scope_add(loader, sort, scope->spaces[sort].items[index]);
}

void load_alias(struct loader *loader) {
    enum sort sort = read_sort(loader);
    uint8_t form = read_byte(loader);
    if (failed(loader)) {
        return;
    }
    if (form == 0x00) {
        load_export_alias(loader, sort);
    } else if (form == 0x01) {
        load_core_export_alias(loader, sort);
    } else if (form == 0x02) {
        load_outer_alias(loader, sort);
    } else {
        fail(loader, ERR_INVALID, "unknown form of alias 0x%02x", form);
    }
}

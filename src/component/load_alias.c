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

void load_outer_alias(struct loader *loader, enum sort sort) {
    uint32_t levels = read_u32(loader);
    uint32_t index = read_u32(loader);
    if (failed(loader)) {
        return;
    }
    const struct scope *scope = loader->scope;
    uint32_t count = scope->spaces[sort].count;
    bool crosses_component = false;
    for (uint32_t i = 0; i < levels; i++) {
        if (scope->outer == NULL) {
            fail(loader, ERR_INVALID, "invalid outer alias count of %u: there are %u scopes around",
                 levels, i);
            return;
        }
        crosses_component |= !scope->is_type;
        count = scope->outer_counts[sort];
        scope = scope->outer;
    }
    if (index >= count) {
        fail(loader, ERR_INVALID, "outer %s index %u out of bounds (there are %u)", sort_name(sort),
             index, count);
        return;
    }
    const void *item = scope->spaces[sort].items[index];
    if (loader->is_checking && crosses_component && sort == SORT_TYPE &&
        type_has_free_resource(loader, item)) {
        fail(loader, ERR_INVALID,
             "an outer type that transitively refers to resources cannot be aliased");
    }
    scope_add(loader, sort, item);
}

static bool may_alias(struct loader *loader, enum sort sort, uint8_t form) {
    bool is_type = loader->scope->is_type;
    bool may = false;
    if (form == 0x00) {
        may = is_type ? sort == SORT_TYPE || sort == SORT_INSTANCE
                      : sort >= SORT_FUNC || sort == SORT_CORE_MODULE;
    } else if (form == 0x01) {
        may = !is_type && sort <= SORT_CORE_TAG;
    } else if (form == 0x02) {
        may = sort == SORT_TYPE || sort == SORT_CORE_TYPE ||
              (!is_type && (sort == SORT_COMPONENT || sort == SORT_CORE_MODULE));
    } else {
        fail(loader, ERR_INVALID, "unknown form of alias 0x%02x", form);
        return false;
    }
    if (!may) {
        fail(loader, ERR_INVALID, "an alias of this form may not be of a %s%s", sort_name(sort),
             is_type ? " in a type" : "");
    }
    return may;
}

void load_alias(struct loader *loader) {
    enum sort sort = read_sort(loader);
    uint8_t form = read_byte(loader);
    if (failed(loader) || !may_alias(loader, sort, form)) {
        return;
    }
    if (form == 0x00) {
        load_export_alias(loader, sort);
    } else if (form == 0x01) {
        load_core_export_alias(loader, sort);
    } else {
        load_outer_alias(loader, sort);
    }
}

// SPDX-License-Identifier: Apache-2.0
// The loader's ground: bounded reading of the binary format, the sticking error, and scopes.
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "component/load.h"
#include "component/text.h"

const char *sort_name(enum sort sort) {
    static const char *const NAMES[] = {
        "core function", "core table",    "core memory", "core global", "core tag",  "core type",
        "core module",   "core instance", "function",    "type",        "component", "instance"};
    return sort < SORT_COUNT ? NAMES[sort] : "unknown sort";
}

void fail(struct loader *loader, enum status code, const char *format, ...) {
    assert(code != OK);
    if (loader->status != OK) {
        return;
    }
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    // Names of other kinds are any UTF-8 and may be quoted in the text.
    for (char *at = text; *at != '\0'; at++) {
        bool is_c1 = at != text && at[-1] == '\xc2' && (uint8_t)*at < 0xa0;
        if ((uint8_t)*at < ' ' || *at == '\x7f' || is_c1) {
            *at = '?';
            at[is_c1 ? -1 : 0] = '?';
        }
    }
    loader->status = code;
    (void)error_set(loader->error, code, "byte %zu: %s%s", loader->at, text,
                    code == ERR_UNSUPPORTED ? ": not supported by this release" : "");
}

uint8_t peek_byte(struct loader *loader) {
    if (failed(loader) || loader->at >= loader->end) {
        fail(loader, ERR_INVALID, "unexpected end");
        return 0;
    }
    return loader->data[loader->at];
}

uint8_t read_byte(struct loader *loader) {
    uint8_t byte = peek_byte(loader);
    if (!failed(loader)) {
        loader->at++;
    }
    return byte;
}

uint32_t read_u32(struct loader *loader) {
    uint32_t result = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte = read_byte(loader);
        if (shift == 28 && (byte & 0xf0) != 0) {
            break;
        }
        result |= (uint32_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return failed(loader) ? 0 : result;
        }
    }
    fail(loader, ERR_INVALID, "integer too large or in too many bytes");
    return 0;
}

int64_t read_s33(struct loader *loader) {
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte = read_byte(loader);
        // The fifth byte holds bits 28 to 32; what is above them repeats the sign.
        if (shift == 28 && (byte & 0xf0) != 0 && (byte & 0xf0) != 0x70) {
            break;
        }
        result |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            if ((byte & 0x40) != 0) {
                result |= UINT64_MAX << (shift + 7);
            }
            return failed(loader) ? 0 : (int64_t)result;
        }
    }
    fail(loader, ERR_INVALID, "integer too large or in too many bytes");
    return 0;
}

uint32_t read_count(struct loader *loader, const char *what) {
    uint32_t count = read_u32(loader);
    if (!failed(loader) && count > loader->end - loader->at) {
        fail(loader, ERR_INVALID, "%u %s announced, more than the bytes that follow", count, what);
        return 0;
    }
    return count;
}

struct slice read_name(struct loader *loader) {
    uint32_t size = read_count(loader, "bytes of a name");
    if (failed(loader)) {
        return slice_of(NULL, 0);
    }
    struct slice name = slice_of(loader->data + loader->at, size);
    if (!text_is_utf8(name.data, name.size)) {
        fail(loader, ERR_INVALID, "name is not UTF-8");
        return slice_of(NULL, 0);
    }
    loader->at += size;
    return name;
}

struct slice read_extern_name(struct loader *loader) {
    uint8_t form = read_byte(loader);
    if (form > 2) {
        fail(loader, ERR_INVALID, "unknown form of name 0x%02x", form);
    }
    struct slice name = read_name(loader);
    // The grammar's names are printable ASCII; anything else has no business in a log or terminal.
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] <= ' ' || name.data[i] > '~') {
            fail(loader, ERR_INVALID, "the name of an import or export has byte 0x%02x",
                 name.data[i]);
        }
    }
    if (form == 2 && read_u32(loader) != 0) {
        fail(loader, ERR_UNSUPPORTED, "attributes of import and export names");
    }
    return name;
}

enum sort read_core_sort(struct loader *loader) {
    uint8_t byte = read_byte(loader);
    switch (byte) {
        case 0x00:
            return SORT_CORE_FUNC;
        case 0x01:
            return SORT_CORE_TABLE;
        case 0x02:
            return SORT_CORE_MEMORY;
        case 0x03:
            return SORT_CORE_GLOBAL;
        case 0x11:
            return SORT_CORE_MODULE;
        case 0x12:
            return SORT_CORE_INSTANCE;
        case 0x04:
            return SORT_CORE_TAG;
        case 0x10:
            return SORT_CORE_TYPE;
        default:
            fail(loader, ERR_INVALID, "unknown core sort 0x%02x", byte);
            return SORT_COUNT;
    }
}

enum sort read_sort(struct loader *loader) {
    uint8_t byte = read_byte(loader);
    switch (byte) {
        case 0x00:
            return read_core_sort(loader);
        case 0x01:
            return SORT_FUNC;
        case 0x03:
            return SORT_TYPE;
        case 0x04:
            return SORT_COMPONENT;
        case 0x05:
            return SORT_INSTANCE;
        case 0x02:
            fail(loader, ERR_UNSUPPORTED, "values at component level");
            return SORT_COUNT;
        default:
            fail(loader, ERR_INVALID, "unknown sort 0x%02x", byte);
            return SORT_COUNT;
    }
}

struct map *loader_map(struct loader *loader) {
    struct loader_map *owner = LOADER_NEW(loader, struct loader_map);
    owner->next = loader->maps;
    loader->maps = owner;
    return &owner->map;
}

bool loader_count(struct loader *loader) {
    if (failed(loader)) {
        return false;
    }
    if (loader->items_left == 0) {
        fail(loader, ERR_LIMIT, "too many definitions (nested instantiations counted)");
        return false;
    }
    loader->items_left--;
    return true;
}

bool loader_work(struct loader *loader, uint64_t steps) {
    if (failed(loader)) {
        return false;
    }
    if (loader->work_left < steps) {
        fail(loader, ERR_LIMIT, "the types are too large to copy and compare");
        return false;
    }
    loader->work_left -= steps;
    return true;
}

void scope_add(struct loader *loader, enum sort sort, const void *item) {
    if (failed(loader) || !loader_count(loader)) {
        return;
    }
    assert(item != NULL);
    struct space *space = &loader->scope->spaces[sort];
    if (space->count == space->capacity) {
        uint32_t capacity = space->capacity == 0 ? 8 : space->capacity * 2;
        const void **items = ARENA_ARRAY(&loader->arena, const void *, capacity);
        if (space->count != 0) {
            memcpy(items, space->items, space->count * sizeof *items);
        }
        space->items = items;
        space->capacity = capacity;
    }
    space->items[space->count++] = item;
}

const void *scope_get(struct loader *loader, enum sort sort, uint32_t index) {
    if (failed(loader)) {
        return NULL;
    }
    const struct space *space = &loader->scope->spaces[sort];
    if (index >= space->count) {
        fail(loader, ERR_INVALID, "%s index %u out of bounds (there are %u)", sort_name(sort),
             index, space->count);
        return NULL;
    }
    return space->items[index];
}

const void *scope_read(struct loader *loader, enum sort sort) {
    return scope_get(loader, sort, read_u32(loader));
}

struct scope *scope_enter(struct loader *loader, bool is_type) {
    struct scope *outer = loader->scope;
    if (outer != NULL && outer->depth + 1 >= loader->nesting_limit) {
        fail(loader, ERR_LIMIT, "components and types nested more than %u deep",
             loader->nesting_limit);
        return NULL;
    }
    struct scope *scope = LOADER_NEW(loader, struct scope);
    scope->outer = outer;
    scope->is_type = is_type;
    scope->depth = outer == NULL ? 0 : outer->depth + 1;
    scope->imports = loader_map(loader);
    scope->exports = loader_map(loader);
    scope->import_keys = loader_map(loader);
    scope->export_keys = loader_map(loader);
    for (int sort = 0; outer != NULL && sort < SORT_COUNT; sort++) {
        scope->outer_counts[sort] = outer->spaces[sort].count;
    }
    loader->scope = scope;
    return scope;
}

void scope_leave(struct loader *loader, struct scope *scope) {
    assert(scope != NULL);
    loader->scope = scope;
}

void *plan_push(void *items, uint32_t *count, uint32_t *capacity, size_t size) {
    uint8_t *table;
    memcpy(&table, items, sizeof table);
    if (*count == *capacity) {
        *capacity = *capacity == 0 ? 8 : *capacity * 2;
        table = xrealloc(table, *capacity * size);
        memcpy(items, &table, sizeof table);
    }
    uint8_t *element = table + *count * size;
    memset(element, 0, size);
    (*count)++;
    return element;
}

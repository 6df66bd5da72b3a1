// SPDX-License-Identifier: Apache-2.0
// The module as the translator gets it: the same declarations and code with names of ours only.
// wabt 1.0.32 copies names into C comments unescaped, so a name chosen by a guest could be code.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "wasm/internal.h"

static void put_u32(struct buf *out, uint64_t value) {
    do {
        uint8_t byte = value & 0x7f;
        value >>= 7;
        buf_append_byte(out, value != 0 ? byte | 0x80 : byte);
    } while (value != 0);
}

static void put_text(struct buf *out, const char *text) {
    put_u32(out, strlen(text));
    buf_append_text(out, text);
}

static void put_limits(struct buf *out, struct wasm_limits limits) {
    bool has_max = limits.max != UINT64_MAX;
    buf_append_byte(out, has_max);
    put_u32(out, limits.min);
    if (has_max)
        put_u32(out, limits.max);
}

static void put_section(struct buf *out, uint8_t id, struct slice content) {
    buf_append_byte(out, id);
    put_u32(out, content.size);
    buf_append_slice(out, content);
}

static void put_imports(const struct wasm_module *module, struct buf *out) {
    struct buf content = {0};
    uint32_t func_index = 0;
    put_u32(&content, module->import_count);
    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct wasm_extern_type *type = &module->imports[i].type;
        char name[16];
        (void)snprintf(name, sizeof name, "%u", i);
        put_text(&content, "i");
        put_text(&content, name);
        buf_append_byte(&content, (uint8_t)type->kind);
        switch (type->kind) {
            case WASM_FUNC:
                put_u32(&content, module->body->spaces[WASM_FUNC].item[func_index++].type_index);
                break;
            case WASM_TABLE:
                buf_append_byte(&content, (uint8_t)type->table.element);
                put_limits(&content, type->table.limits);
                break;
            case WASM_MEMORY:
                put_limits(&content, type->memory);
                break;
            case WASM_GLOBAL:
                buf_append_byte(&content, (uint8_t)type->global.type);
                buf_append_byte(&content, type->global.is_mutable);
                break;
        }
    }
    put_section(out, WASM_SECTION_IMPORT, buf_slice(&content));
    buf_release(&content);
}

uint32_t *wasm_first_exports(const struct wasm_module *module) {
    uint32_t *firsts = xcalloc(module->export_count + 1u, sizeof *firsts);
    // Per kind and index, the first export plus one.
    uint32_t *seen[4];
    for (int kind = 0; kind < 4; kind++)
        seen[kind] = xcalloc(module->body->spaces[kind].count + 1u, sizeof *seen[kind]);
    for (uint32_t i = 0; i < module->export_count; i++) {
        uint32_t *first = &seen[module->exports[i].type.kind][module->exports[i].index];
        if (*first == 0)
            *first = i + 1;
        firsts[i] = *first - 1;
    }
    for (int kind = 0; kind < 4; kind++)
        free(seen[kind]);
    return firsts;
}

static void put_exports(const struct wasm_module *module, struct buf *out) {
    struct buf content = {0};
    uint32_t *firsts = wasm_first_exports(module);
    uint32_t count = 0;
    for (uint32_t i = 0; i < module->export_count; i++)
        count += firsts[i] == i;
    put_u32(&content, count);
    for (uint32_t i = 0; i < module->export_count; i++) {
        if (firsts[i] != i)
            continue;
        char name[16];
        (void)snprintf(name, sizeof name, "e%u", i);
        put_text(&content, name);
        buf_append_byte(&content, (uint8_t)module->exports[i].type.kind);
        put_u32(&content, module->exports[i].index);
    }
    put_section(out, WASM_SECTION_EXPORT, buf_slice(&content));
    buf_release(&content);
    free(firsts);
}

void wasm_normalise(const struct wasm_module *module, struct buf *out) {
    static const uint8_t header[8] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    // The order that the binary format asks for; data count comes before code.
    static const uint8_t order[] = {
        WASM_SECTION_TYPE,    WASM_SECTION_IMPORT,     WASM_SECTION_FUNCTION, WASM_SECTION_TABLE,
        WASM_SECTION_MEMORY,  WASM_SECTION_GLOBAL,     WASM_SECTION_EXPORT,   WASM_SECTION_START,
        WASM_SECTION_ELEMENT, WASM_SECTION_DATA_COUNT, WASM_SECTION_CODE,     WASM_SECTION_DATA};
    buf_append(out, header, sizeof header);
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        const struct wasm_section *section = &module->body->sections[order[i]];
        if (!section->present)
            continue;
        assert(section->offset + section->size <= module->source->size);
        if (order[i] == WASM_SECTION_IMPORT)
            put_imports(module, out);
        else if (order[i] == WASM_SECTION_EXPORT)
            put_exports(module, out);
        else
            put_section(out, order[i],
                        slice_of(module->source->data + section->offset, section->size));
    }
}

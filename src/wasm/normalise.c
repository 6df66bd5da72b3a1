// SPDX-License-Identifier: Apache-2.0
// The module as the translator gets it: the same declarations and code with names of ours only.
// wabt 1.0.32 copies names into C comments unescaped, so a name chosen by a guest could be code.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/sha256.h"
#include "wasm/internal.h"
#include "wasm/reader.h"

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

static uint32_t find_export(const struct wasm_module *module, enum wasm_kind kind, uint32_t index,
                            uint32_t otherwise) {
    for (uint32_t i = 0; i < module->export_count; i++)
        if (module->exports[i].type.kind == kind && module->exports[i].index == index)
            return i;
    return otherwise;
}

uint32_t wasm_memory_export(const struct wasm_module *module, uint32_t memory) {
    return find_export(module, WASM_MEMORY, memory, module->export_count + 1 + memory);
}

uint32_t wasm_start_export(const struct wasm_module *module) {
    return find_export(module, WASM_FUNC, module->body->start, module->export_count);
}

bool wasm_global_is_data(const struct wasm_module *module, uint32_t global) {
    // Enough for what compilers make, and a bound on the search for exports.
    enum { GLOBALS_MAX = 16 };
    const struct wasm_module_body *body = module->body;
    if (global >= GLOBALS_MAX || global >= body->globals.count)
        return false;
    const struct wasm_segment *segment = &body->globals.segment[global];
    uint8_t opcode = module->binary.data[segment->expression];
    return body->spaces[WASM_GLOBAL].item[segment->target].type.global.is_mutable &&
           !segment->extended && (opcode == 0x41 || opcode == 0x42);
}

uint32_t wasm_global_export(const struct wasm_module *module, uint32_t global) {
    uint32_t index = module->body->globals.segment[global].target;
    return find_export(module, WASM_GLOBAL, index,
                       module->export_count + 1 + module->body->spaces[WASM_MEMORY].count + index);
}

static void put_export(struct buf *content, uint32_t number, enum wasm_kind kind, uint32_t index) {
    char name[16];
    (void)snprintf(name, sizeof name, "e%u", number);
    put_text(content, name);
    buf_append_byte(content, (uint8_t)kind);
    put_u32(content, index);
}

static void put_exports(const struct wasm_module *module, struct buf *out) {
    struct buf content = {0};
    uint32_t *firsts = wasm_first_exports(module);
    const struct wasm_items *memories = &module->body->spaces[WASM_MEMORY];
    bool adds_start = module->body->has_start && wasm_start_export(module) >= module->export_count;
    uint32_t count = adds_start;
    for (uint32_t i = 0; i < module->export_count; i++)
        count += firsts[i] == i;
    for (uint32_t i = memories->imported; i < memories->count; i++)
        count += wasm_memory_export(module, i) >= module->export_count;
    for (uint32_t i = 0; i < module->body->globals.count; i++)
        count +=
            wasm_global_is_data(module, i) && wasm_global_export(module, i) >= module->export_count;
    put_u32(&content, count);
    for (uint32_t i = 0; i < module->export_count; i++)
        if (firsts[i] == i)
            put_export(&content, i, module->exports[i].type.kind, module->exports[i].index);
    if (adds_start)
        put_export(&content, wasm_start_export(module), WASM_FUNC, module->body->start);
    for (uint32_t i = memories->imported; i < memories->count; i++)
        if (wasm_memory_export(module, i) >= module->export_count)
            put_export(&content, wasm_memory_export(module, i), WASM_MEMORY, i);
    for (uint32_t i = 0; i < module->body->globals.count; i++)
        if (wasm_global_is_data(module, i) && wasm_global_export(module, i) >= module->export_count)
            put_export(&content, wasm_global_export(module, i), WASM_GLOBAL,
                       module->body->globals.segment[i].target);
    put_section(out, WASM_SECTION_EXPORT, buf_slice(&content));
    buf_release(&content);
    free(firsts);
}

// ---- extended constant expressions -------------------------------------------------------------
//
// The translator takes constant expressions of one instruction only; code linked for dynamic
// loading has longer ones (a base plus an offset). A module with such gets one more function, which
// runs first: it sets the globals and copies all active element segments (all, to keep their
// order). These become passive, the globals start at zero and become mutable. Data is copied by
// data.c.

static struct slice source_part(const struct wasm_module *module, size_t from, size_t to) {
    assert(from <= to && to <= module->binary.size);
    return slice_of(module->binary.data + from, to - from);
}

// The expression without its end instruction.
static void put_expression(const struct wasm_module *module, const struct wasm_segment *segment,
                           struct buf *out) {
    buf_append_slice(out, source_part(module, segment->expression, segment->expression_end - 1));
}

static void put_zero(uint8_t type, struct buf *out) {
    static const uint8_t zeros[8];
    bool is_reference = type == WASM_FUNCREF || type == WASM_EXTERNREF;
    size_t size = type == WASM_F64 ? 8 : type == WASM_F32 ? 4 : 1;
    // ref.null, or the const instruction of the type: 0x41 for i32 to 0x44 for f64.
    buf_append_byte(out, is_reference ? 0xd0 : (uint8_t)(0x41 + (WASM_I32 - type)));
    if (is_reference)
        buf_append_byte(out, type);
    else
        buf_append(out, zeros, size);
}

// `with_extended` says that the expressions that become code are put in all the same.
static void put_globals(const struct wasm_module *module, bool with_extended, struct buf *out) {
    const struct wasm_segments *globals = &module->body->globals;
    const struct wasm_items *space = &module->body->spaces[WASM_GLOBAL];
    struct buf content = {0};
    put_u32(&content, globals->count);
    for (uint32_t i = 0; i < globals->count; i++) {
        const struct wasm_segment *global = &globals->segment[i];
        bool is_mutable = space->item[global->target].type.global.is_mutable;
        buf_append_byte(&content, global->type);
        buf_append_byte(&content, is_mutable || global->extended);
        bool is_left_out = (global->extended && !with_extended) || wasm_global_is_data(module, i);
        if (is_left_out)
            put_zero(global->type, &content);
        else
            put_expression(module, global, &content);
        buf_append_byte(&content, 0x0b);
    }
    put_section(out, WASM_SECTION_GLOBAL, buf_slice(&content));
    buf_release(&content);
}

static void put_passive_elements(const struct wasm_module *module, struct buf *out) {
    const struct wasm_segments *elements = &module->body->elements;
    struct buf content = {0};
    put_u32(&content, elements->count);
    for (uint32_t i = 0; i < elements->count; i++) {
        const struct wasm_segment *segment = &elements->segment[i];
        put_u32(&content, (segment->expressions ? 4u : 0u) | (segment->declared ? 3u : 1u));
        buf_append_byte(&content, segment->expressions ? segment->type : 0);
        buf_append_slice(&content, source_part(module, segment->content, segment->content_end));
    }
    put_section(out, WASM_SECTION_ELEMENT, buf_slice(&content));
    buf_release(&content);
}

// For code that names data segments: active ones are passive and empty, which is what they are once
// an instance has them copied.
static void put_data(const struct wasm_module *module, struct buf *out) {
    const struct wasm_segments *data = &module->body->data;
    struct buf content = {0};
    put_u32(&content, data->count);
    for (uint32_t i = 0; i < data->count; i++) {
        const struct wasm_segment *segment = &data->segment[i];
        put_u32(&content, 1);
        if (segment->active)
            put_u32(&content, 0);
        else
            buf_append_slice(&content, source_part(module, segment->content, segment->content_end));
    }
    put_section(out, WASM_SECTION_DATA, buf_slice(&content));
    buf_release(&content);
}

// offset, 0, count, then table.init and elem.drop of element segment `index`.
static void put_copy(const struct wasm_module *module, const struct wasm_segment *segment,
                     uint32_t index, struct buf *out) {
    if (!segment->active)
        return;
    put_expression(module, segment, out);
    buf_append(out, (const uint8_t[]){0x41, 0x00, 0x41}, 3);
    // i32.const is signed: the count's bits, one group more if the sign bit would be set.
    uint32_t rest = segment->count;
    while (rest >= 0x40) {
        buf_append_byte(out, (uint8_t)((rest & 0x7f) | 0x80));
        rest >>= 7;
    }
    buf_append_byte(out, (uint8_t)rest);
    buf_append(out, (const uint8_t[]){0xfc, 12}, 2);
    put_u32(out, index);
    put_u32(out, segment->target);
    buf_append(out, (const uint8_t[]){0xfc, 13}, 2);
    put_u32(out, index);
}

static void put_init_body(const struct wasm_module *module, struct buf *out) {
    const struct wasm_module_body *body = module->body;
    struct buf code = {0};
    buf_append_byte(&code, 0);  // no locals
    for (uint32_t i = 0; i < body->globals.count; i++) {
        const struct wasm_segment *global = &body->globals.segment[i];
        if (!global->extended)
            continue;
        put_expression(module, global, &code);
        buf_append_byte(&code, 0x24);
        put_u32(&code, global->target);
    }
    for (uint32_t i = 0; i < body->elements.count; i++)
        put_copy(module, &body->elements.segment[i], i, &code);
    buf_append_byte(&code, 0x0b);
    put_u32(out, code.size);
    buf_append_slice(out, buf_slice(&code));
    buf_release(&code);
}

// The index of the type without parameters and results; type_count when there is none.
static uint32_t empty_type(const struct wasm_module *module) {
    uint32_t i = 0;
    while (i < module->body->type_count &&
           (module->body->types[i].param_count != 0 || module->body->types[i].result_count != 0))
        i++;
    return i;
}

// A vector section with one more entry behind its own; `extra` holds it.
static void put_extended_section(const struct wasm_module *module, uint8_t id, struct slice extra,
                                 struct buf *out) {
    const struct wasm_section *section = &module->body->sections[id];
    struct buf content = {0};
    put_u32(&content, section->count + 1u);
    if (section->present) {
        // Behind the count, which is a u32 in LEB128 of any permitted length.
        size_t at = section->offset;
        while ((module->binary.data[at] & 0x80) != 0)
            at++;
        buf_append_slice(&content, source_part(module, at + 1, section->offset + section->size));
    }
    buf_append_slice(&content, extra);
    put_section(out, id, buf_slice(&content));
    buf_release(&content);
}

static bool is_data(uint8_t id) {
    return id == WASM_SECTION_DATA || id == WASM_SECTION_DATA_COUNT;
}

// Swaps operands in `code`, a copy of the source from `offset` on.
//
// wabt 1.0.32 takes the operands of memory.copy in the wrong order (target and source memory): they
// change places here, and the bytes between them and around them stay where they are.
static void swap_memory_copies(const struct wasm_module *module, size_t offset, uint8_t *code) {
    const uint8_t *source = module->binary.data;
    const struct buf *copies = &module->body->memory_copies;
    for (size_t at = 0; at < copies->size; at += sizeof(struct memory_copy)) {
        struct memory_copy copy;
        memcpy(&copy, copies->data + at, sizeof copy);
        assert(copy.first >= offset && copy.end <= module->binary.size);
        uint8_t *place = code + (copy.first - offset);
        memcpy(place, source + copy.second, copy.end - copy.second);
        memcpy(place + (copy.end - copy.second), source + copy.first, copy.second - copy.first);
    }
}

// Puts section `id`, which the module has, as it is but for names, operands and data.
static void put_plain(const struct wasm_module *module, enum wabt_version version, uint8_t id,
                      struct buf *out) {
    const struct wasm_section *section = &module->body->sections[id];
    if (id == WASM_SECTION_IMPORT)
        put_imports(module, out);
    else if (id == WASM_SECTION_DATA)
        put_data(module, out);
    else if (id == WASM_SECTION_GLOBAL)
        put_globals(module, false, out);
    else
        put_section(out, id, source_part(module, section->offset, section->offset + section->size));
    if (id == WASM_SECTION_CODE && version == WABT_1_0_32)
        swap_memory_copies(module, section->offset, out->data + out->size - section->size);
}

// The same for a module that gets an init function; also for sections that it does not have.
static void put_with_init(const struct wasm_module *module, enum wabt_version version, uint8_t id,
                          struct buf *out) {
    const struct wasm_section *section = &module->body->sections[id];
    struct buf extra = {0};
    if (id == WASM_SECTION_TYPE && empty_type(module) == module->body->type_count) {
        buf_append(&extra, (const uint8_t[]){0x60, 0, 0}, 3);
        put_extended_section(module, id, buf_slice(&extra), out);
    } else if (id == WASM_SECTION_FUNCTION) {
        put_u32(&extra, empty_type(module));
        put_extended_section(module, id, buf_slice(&extra), out);
    } else if (id == WASM_SECTION_CODE) {
        put_init_body(module, &extra);
        put_extended_section(module, id, buf_slice(&extra), out);
        // The bodies lie at the section's end, before the one that was added.
        if (section->present && version == WABT_1_0_32)
            swap_memory_copies(module, section->offset,
                               out->data + out->size - extra.size - section->size);
    } else if (id == WASM_SECTION_START) {
        put_u32(&extra, module->body->spaces[WASM_FUNC].count);
        put_section(out, id, buf_slice(&extra));
    } else if (section->present && id == WASM_SECTION_GLOBAL) {
        put_globals(module, false, out);
    } else if (section->present && id == WASM_SECTION_ELEMENT) {
        put_passive_elements(module, out);
    } else if (section->present) {
        put_plain(module, version, id, out);
    }
    buf_release(&extra);
}

const uint8_t *wasm_module_digest(const struct wasm_module *module) {
    struct wasm_module_body *body = module->body;
    uint8_t *known = atomic_load_explicit(&body->digest, memory_order_acquire);
    if (known != NULL)
        return known;
    struct buf digests = {0}, globals = {0};
    for (int id = 0; id < WASM_SECTION_COUNT; id++) {
        const struct wasm_section *section = &body->sections[id];
        if (!section->present || (is_data((uint8_t)id) && !body->names_data))
            continue;
        uint8_t digest[SHA256_BYTES];
        buf_clear(&globals);
        if (id == WASM_SECTION_GLOBAL)
            put_globals(module, true, &globals);
        sha256(id == WASM_SECTION_GLOBAL
                   ? buf_slice(&globals)
                   : source_part(module, section->offset, section->offset + section->size),
               digest);
        buf_append_byte(&digests, (uint8_t)id);
        buf_append(&digests, digest, sizeof digest);
    }
    uint8_t *digest = xmalloc(SHA256_BYTES);
    sha256(buf_slice(&digests), digest);
    buf_release(&digests);
    buf_release(&globals);
    // Release: whoever sees the pointer sees the digest. Who comes second takes the first's.
    if (atomic_compare_exchange_strong_explicit(&body->digest, &known, digest, memory_order_acq_rel,
                                                memory_order_acquire))
        return digest;
    free(digest);
    return known;
}

void wasm_normalise(const struct wasm_module *module, enum wabt_version version, struct buf *out) {
    static const uint8_t header[8] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    // The order that the binary format asks for; data count comes before code.
    static const uint8_t order[] = {
        WASM_SECTION_TYPE,    WASM_SECTION_IMPORT,     WASM_SECTION_FUNCTION, WASM_SECTION_TABLE,
        WASM_SECTION_MEMORY,  WASM_SECTION_GLOBAL,     WASM_SECTION_EXPORT,   WASM_SECTION_START,
        WASM_SECTION_ELEMENT, WASM_SECTION_DATA_COUNT, WASM_SECTION_CODE,     WASM_SECTION_DATA};
    assert(!module->body->code_unread);
    buf_append(out, header, sizeof header);
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        uint8_t id = order[i];
        if (is_data(id) && !module->body->names_data)
            continue;
        if (id == WASM_SECTION_EXPORT)
            put_exports(module, out);
        else if (module->body->extended)
            put_with_init(module, version, id, out);
        else if (module->body->sections[id].present && id != WASM_SECTION_START)
            put_plain(module, version, id, out);
    }
}

// SPDX-License-Identifier: Apache-2.0
// Reads and validates what a module declares, in one pass over its sections, every count bounded:
//
//   module  = "\0asm" 01 00 00 00 section*
//   section = id:byte size:u32 content        custom (0) anywhere, the others once, in order
//
// Function bodies and constant expressions are checked by validate.c, at the place where they lie:
// all that they may refer to is declared before them, the number of data segments included.
#include <assert.h>
#include <stdlib.h>

#include "base/map.h"
#include "codec/sha256.h"
#include "wasm/internal.h"
#include "wasm/validate.h"

// The room's defaults, and bounds that no caller changes.
enum {
    MODULE_BYTES_MAX = 64 << 20,
    FUNCTIONS_MAX = 500000,
    LOCALS_MAX = 50000,
    LOCALS_LIMIT_MAX = 1 << 24,  // that a caller may set
    TYPES_MAX = 100000,
    IMPORTS_MAX = 20000,
    EXPORTS_MAX = 100000,
    GLOBALS_MAX = 100000,
    TABLES_MAX = 100,
    MEMORIES_MAX = 16,
    SEGMENTS_MAX = 100000,
    PARAMS_MAX = 1000,
    ELEMENTS_MAX = 10000000,
    SECTION_TAG = 13,
};

static const uint8_t offset_type = WASM_I32;
static const struct wasm_scan_limits default_limits = {MODULE_BYTES_MAX, FUNCTIONS_MAX, LOCALS_MAX};

struct scan {
    struct reader r;
    struct wasm_module *module;
    struct wasm_module_body *body;
    struct wasm_scan_limits limits;
    struct wasm_validator validator;  // holds the count of the data count section
    uint32_t functions_declared;
    const struct wasm_findings *known;  // function bodies are left out; or NULL
};

bool wasm_func_type_equal(const struct wasm_func_type *a, const struct wasm_func_type *b) {
    return a == b ||
           (slice_equal(slice_of(a->params, a->param_count), slice_of(b->params, b->param_count)) &&
            slice_equal(slice_of(a->results, a->result_count),
                        slice_of(b->results, b->result_count)));
}

static void add_item(struct wasm_items *items, struct wasm_item item) {
    if (items->count == items->capacity) {
        items->capacity = items->capacity == 0 ? 16 : items->capacity * 2;
        items->item = xrealloc(items->item, items->capacity * sizeof *items->item);
    }
    items->item[items->count++] = item;
}

static const uint8_t *read_types_of(struct scan *s, const char *what, uint32_t *count) {
    struct reader *r = &s->r;
    *count = wasm_reader_count(r, what, PARAMS_MAX);
    const uint8_t *first = r->data + r->at;
    for (uint32_t i = 0; i < *count; i++)
        (void)wasm_reader_value_type(r);
    return first;
}

static void read_type_section(struct scan *s, uint32_t count) {
    struct reader *r = &s->r;
    s->body->types = xcalloc(count == 0 ? 1 : count, sizeof *s->body->types);
    for (uint32_t i = 0; i < count && reader_ok(r); i++) {
        size_t at = r->at;
        uint8_t form = wasm_reader_byte(r);
        if (form != 0x60 && form >= 0x4d && form <= 0x5f)
            wasm_reader_fail(r, at, ERR_UNSUPPORTED, "GC (type form 0x%02x) is not supported",
                             form);
        else if (form != 0x60)
            wasm_reader_fail(r, at, ERR_INVALID, "unknown type form 0x%02x", form);
        struct wasm_func_type *type = &s->body->types[i];
        type->params = read_types_of(s, "parameters", &type->param_count);
        type->results = read_types_of(s, "results", &type->result_count);
        s->body->type_count++;
    }
}

static struct wasm_limits read_limits(struct scan *s, bool is_memory) {
    struct reader *r = &s->r;
    size_t at = r->at;
    uint8_t flags = wasm_reader_byte(r);
    struct wasm_limits limits = {0, UINT64_MAX};
    if (flags > 1) {
        const char *feature = (flags & 0xf8) != 0 ? NULL
                              : (flags & 4) != 0  ? (is_memory ? "memory64" : "64-bit tables")
                                                  : "threads (shared memory)";
        if (feature == NULL)
            wasm_reader_fail(r, at, ERR_INVALID, "malformed limits flags 0x%02x", flags);
        else
            wasm_reader_fail(r, at, ERR_UNSUPPORTED, "%s: limits flags 0x%02x are not supported",
                             feature, flags);
        return limits;
    }
    limits.min = wasm_reader_u32(r);
    if (flags == 1)
        limits.max = wasm_reader_u32(r);
    if (reader_ok(r) && limits.min > limits.max)
        wasm_reader_fail(r, at, ERR_INVALID, "size minimum must not be greater than maximum");
    if (is_memory && (limits.min > 65536 || (flags == 1 && limits.max > 65536)))
        wasm_reader_fail(r, at, ERR_INVALID, "memory size must be at most 65536 pages (4GiB)");
    return limits;
}

static struct wasm_item read_func_item(struct scan *s) {
    struct reader *r = &s->r;
    size_t at = r->at;
    uint32_t index = wasm_reader_u32(r);
    struct wasm_item item = {.type.kind = WASM_FUNC, .type_index = index};
    if (reader_ok(r) && index >= s->body->type_count)
        wasm_reader_fail(r, at, ERR_INVALID, "unknown type %u", index);
    if (reader_ok(r))
        item.type.func = &s->body->types[index];
    return item;
}

static struct wasm_item read_table_item(struct scan *s) {
    struct wasm_item item = {.type.kind = WASM_TABLE};
    struct reader *r = &s->r;
    if (reader_ok(r) && r->at < r->end && r->data[r->at] == 0x40)
        wasm_reader_fail(r, r->at, ERR_UNSUPPORTED,
                         "typed function references (table initialiser) are not supported");
    item.type.table.element = (enum wasm_type)wasm_reader_ref_type(r);
    size_t at = r->at;
    item.type.table.limits = read_limits(s, false);
    if (reader_ok(r) && item.type.table.limits.min > ELEMENTS_MAX)
        wasm_reader_fail(r, at, ERR_LIMIT, "a table of %llu elements, at most %d are allowed",
                         (unsigned long long)item.type.table.limits.min, ELEMENTS_MAX);
    return item;
}

static struct wasm_item read_memory_item(struct scan *s) {
    struct wasm_item item = {.type.kind = WASM_MEMORY};
    item.type.memory = read_limits(s, true);
    return item;
}

static struct wasm_item read_global_item(struct scan *s) {
    struct wasm_item item = {.type.kind = WASM_GLOBAL};
    item.type.global.type = (enum wasm_type)wasm_reader_value_type(&s->r);
    size_t at = s->r.at;
    uint8_t mutability = wasm_reader_byte(&s->r);
    if (mutability > 1)
        wasm_reader_fail(&s->r, at, ERR_INVALID, "malformed mutability 0x%02x", mutability);
    item.type.global.is_mutable = mutability == 1;
    return item;
}

static void read_import_section(struct scan *s, uint32_t count) {
    struct reader *r = &s->r;
    s->body->imports = xcalloc(count == 0 ? 1 : count, sizeof *s->body->imports);
    for (uint32_t i = 0; i < count && reader_ok(r); i++) {
        struct wasm_import *import = &s->body->imports[i];
        import->module = wasm_reader_name(r);
        import->name = wasm_reader_name(r);
        size_t at = r->at;
        uint8_t kind = wasm_reader_byte(r);
        struct wasm_item item = {0};
        if (kind == WASM_FUNC)
            item = read_func_item(s);
        else if (kind == WASM_TABLE)
            item = read_table_item(s);
        else if (kind == WASM_MEMORY)
            item = read_memory_item(s);
        else if (kind == WASM_GLOBAL)
            item = read_global_item(s);
        else if (kind == 4)
            wasm_reader_fail(r, at, ERR_UNSUPPORTED, "exceptions (tag import) are not supported");
        else
            wasm_reader_fail(r, at, ERR_INVALID, "malformed import kind 0x%02x", kind);
        if (!reader_ok(r))
            return;
        import->type = item.type;
        add_item(&s->body->spaces[kind], item);
        s->body->spaces[kind].imported++;
        s->module->import_count++;
    }
    if (s->body->spaces[WASM_MEMORY].count > MEMORIES_MAX)
        wasm_reader_fail(r, r->at, ERR_LIMIT, "%u memories imported, at most %d are allowed",
                         s->body->spaces[WASM_MEMORY].count, MEMORIES_MAX);
}

static void read_function_section(struct scan *s, uint32_t count) {
    for (uint32_t i = 0; i < count && reader_ok(&s->r); i++)
        add_item(&s->body->spaces[WASM_FUNC], read_func_item(s));
    s->functions_declared = count;
    s->module->func_count = count;
}

static void read_table_section(struct scan *s, uint32_t count) {
    for (uint32_t i = 0; i < count && reader_ok(&s->r); i++)
        add_item(&s->body->spaces[WASM_TABLE], read_table_item(s));
}

static void read_memory_section(struct scan *s, uint32_t count) {
    uint32_t imported = s->body->spaces[WASM_MEMORY].count;
    if (count > MEMORIES_MAX - imported)
        wasm_reader_fail(&s->r, s->r.at, ERR_LIMIT,
                         "%u memories defined and %u imported, at most %d are allowed", count,
                         imported, MEMORIES_MAX);
    for (uint32_t i = 0; i < count && reader_ok(&s->r); i++)
        add_item(&s->body->spaces[WASM_MEMORY], read_memory_item(s));
    s->module->memory_count = count;
}

// The constant expression of a global or of an active segment.
static void read_expression(struct scan *s, struct wasm_segment *segment, const uint8_t *type) {
    segment->active = true;
    segment->expression = s->r.at;
    wasm_validate_constant(&s->validator, type, &segment->extended);
    segment->expression_end = s->r.at;
}

static void start_segments(struct wasm_segments *segments, uint32_t count) {
    segments->segment = xcalloc(count == 0 ? 1 : count, sizeof *segments->segment);
    segments->count = count;
}

static void read_global_section(struct scan *s, uint32_t count) {
    start_segments(&s->body->globals, count);
    for (uint32_t i = 0; i < count && reader_ok(&s->r); i++) {
        struct wasm_item item = read_global_item(s);
        struct wasm_segment *segment = &s->body->globals.segment[i];
        segment->type = (uint8_t)item.type.global.type;
        segment->target = s->body->spaces[WASM_GLOBAL].count;
        read_expression(s, segment, &segment->type);
        s->body->extended |= segment->extended;
        add_item(&s->body->spaces[WASM_GLOBAL], item);
    }
}

static void read_export_section(struct scan *s, uint32_t count) {
    struct reader *r = &s->r;
    struct map names = {0};
    s->body->exports = xcalloc(count == 0 ? 1 : count, sizeof *s->body->exports);
    for (uint32_t i = 0; i < count && reader_ok(r); i++) {
        struct wasm_export *export = &s->body->exports[i];
        size_t name_at = r->at;
        export->name = wasm_reader_name(r);
        size_t at = r->at;
        uint8_t kind = wasm_reader_byte(r);
        export->index = wasm_reader_u32(r);
        if (reader_ok(r) && kind == 4)
            wasm_reader_fail(r, at, ERR_UNSUPPORTED, "exceptions (tag export) are not supported");
        else if (reader_ok(r) && kind > 4)
            wasm_reader_fail(r, at, ERR_INVALID, "malformed export kind 0x%02x", kind);
        if (!reader_ok(r))
            break;
        if (export->index >= s->body->spaces[kind].count) {
            wasm_reader_fail(r, at, ERR_INVALID, "unknown %s %u exported",
                             ((const char *[]){"function", "table", "memory", "global"})[kind],
                             export->index);
            break;
        }
        if (!map_add(&names, export->name, export)) {
            wasm_reader_fail(r, name_at, ERR_INVALID, "duplicate export name");
            break;
        }
        s->body->spaces[kind].item[export->index].referenced = true;
        export->type = s->body->spaces[kind].item[export->index].type;
        s->module->export_count++;
    }
    map_release(&names);
}

static void read_start_section(struct scan *s) {
    size_t at = s->r.at;
    uint32_t index = wasm_reader_u32(&s->r);
    if (!reader_ok(&s->r))
        return;
    if (index >= s->body->spaces[WASM_FUNC].count) {
        wasm_reader_fail(&s->r, at, ERR_INVALID, "unknown start function %u", index);
        return;
    }
    const struct wasm_func_type *type = s->body->spaces[WASM_FUNC].item[index].type.func;
    if (type->param_count != 0 || type->result_count != 0)
        wasm_reader_fail(&s->r, at, ERR_INVALID, "start function %u has parameters or results",
                         index);
    s->body->has_start = true;
    s->body->start = index;
}

// The eight forms of an element segment (core specification, 5.5.12): bit 0 passive or declared,
// bit 1 explicit table (active) or declared, bit 2 expressions instead of function indices.
static void read_elements(struct scan *s, struct wasm_segment *segment) {
    struct reader *r = &s->r;
    segment->content = r->at;
    segment->count = wasm_reader_count(r, "elements", ELEMENTS_MAX);
    for (uint32_t k = 0; k < segment->count && reader_ok(r); k++) {
        size_t at = r->at;
        if (segment->expressions) {
            bool extended;
            bool is_global = r->at < r->end && r->data[r->at] == 0x23;
            wasm_validate_constant(&s->validator, &segment->type, &extended);
            if (is_global)
                wasm_reader_fail(r, at, ERR_UNSUPPORTED,
                                 "global.get in an element segment is not supported");
            continue;
        }
        uint32_t index = wasm_reader_u32(r);
        if (reader_ok(r) && index >= s->body->spaces[WASM_FUNC].count)
            wasm_reader_fail(r, at, ERR_INVALID, "unknown function %u in an element segment",
                             index);
        if (reader_ok(r))
            s->body->spaces[WASM_FUNC].item[index].referenced = true;
    }
    segment->content_end = r->at;
}

// The table that an active segment goes to holds elements of its type.
static void check_table_of(struct scan *s, const struct wasm_segment *segment, size_t at) {
    uint8_t element = (uint8_t)s->body->spaces[WASM_TABLE].item[segment->target].type.table.element;
    if (element != segment->type)
        wasm_reader_fail(&s->r, at, ERR_INVALID,
                         "type mismatch: an element segment of %s for a table of %s",
                         wasm_type_name(segment->type), wasm_type_name(element));
}

static void read_element_section(struct scan *s, uint32_t count) {
    struct reader *r = &s->r;
    start_segments(&s->body->elements, count);
    for (uint32_t i = 0; i < count && reader_ok(r); i++) {
        struct wasm_segment *segment = &s->body->elements.segment[i];
        size_t at = r->at;
        uint32_t flags = wasm_reader_u32(r);
        if (flags > 7)
            wasm_reader_fail(r, at, ERR_INVALID, "malformed element segment flags %u", flags);
        bool active = (flags & 1) == 0;
        segment->declared = (flags & 3) == 3;
        segment->expressions = (flags & 4) != 0;
        segment->type = WASM_FUNCREF;
        if (active && (flags & 2) != 0)
            segment->target = wasm_reader_u32(r);
        if (reader_ok(r) && active && segment->target >= s->body->spaces[WASM_TABLE].count)
            wasm_reader_fail(r, at, ERR_INVALID, "unknown table %u in an element segment",
                             segment->target);
        if (active)
            read_expression(s, segment, &offset_type);
        s->body->extended |= segment->extended;
        if ((flags & 3) != 0 && segment->expressions) {
            segment->type = wasm_reader_ref_type(r);
        } else if ((flags & 3) != 0) {
            at = r->at;
            if (wasm_reader_byte(r) != 0)
                wasm_reader_fail(r, at, ERR_INVALID, "malformed element kind");
        }
        if (reader_ok(r) && active)
            check_table_of(s, segment, at);
        read_elements(s, segment);
    }
}

static void read_one_function(struct scan *s, const struct wasm_item *function) {
    struct reader *r = &s->r;
    uint32_t size = wasm_reader_u32(r);
    size_t start = r->at, outer_end = r->end;
    wasm_reader_skip(r, size);
    if (!reader_ok(r))
        return;
    r->end = r->at;
    r->at = start;
    wasm_validate_function(&s->validator, function->type.func);
    r->end = outer_end;
}

static void read_code_section(struct scan *s, uint32_t count) {
    if (reader_ok(&s->r) && count != s->functions_declared)
        wasm_reader_fail(&s->r, s->r.at, ERR_INVALID,
                         "function and code section have inconsistent lengths (%u and %u)",
                         s->functions_declared, count);
    if (s->known != NULL) {
        s->r.at = s->r.end;
        return;
    }
    const struct wasm_items *functions = &s->body->spaces[WASM_FUNC];
    s->r.in_function = true;
    for (uint32_t i = 0; i < count && reader_ok(&s->r); i++) {
        s->r.function = functions->imported + i;
        read_one_function(s, &functions->item[s->r.function]);
    }
    s->r.in_function = false;
}

static void read_data_section(struct scan *s, uint32_t count) {
    struct reader *r = &s->r;
    if (s->body->sections[WASM_SECTION_DATA_COUNT].present && count != s->validator.data_count)
        wasm_reader_fail(r, r->at, ERR_INVALID,
                         "data count and data section have inconsistent lengths (%u and %u)",
                         s->validator.data_count, count);
    start_segments(&s->body->data, count);
    for (uint32_t i = 0; i < count && reader_ok(r); i++) {
        size_t at = r->at;
        uint32_t flags = wasm_reader_u32(r);
        struct wasm_segment *segment = &s->body->data.segment[i];
        if (flags > 2)
            wasm_reader_fail(r, at, ERR_INVALID, "malformed data segment flags %u", flags);
        if (flags == 2)
            segment->target = wasm_reader_u32(r);
        if (reader_ok(r) && flags != 1 && segment->target >= s->body->spaces[WASM_MEMORY].count)
            wasm_reader_fail(r, at, ERR_INVALID, "unknown memory %u in a data segment",
                             segment->target);
        if (flags != 1)
            read_expression(s, segment, &offset_type);
        segment->content = r->at;
        segment->count = wasm_reader_u32(r);
        wasm_reader_skip(r, segment->count);
        segment->content_end = r->at;
    }
}

// A vector section's reader, with the largest count of it.
struct section_reader {
    void (*read)(struct scan *s, uint32_t count);
    const char *what;
    uint32_t limit;
    uint8_t order;  // position among the non-custom sections
};

static const struct section_reader readers[WASM_SECTION_COUNT] = {
    [WASM_SECTION_TYPE] = {read_type_section, "types", TYPES_MAX, 1},
    [WASM_SECTION_IMPORT] = {read_import_section, "imports", IMPORTS_MAX, 2},
    [WASM_SECTION_FUNCTION] = {read_function_section, "functions", FUNCTIONS_MAX, 3},
    [WASM_SECTION_TABLE] = {read_table_section, "tables", TABLES_MAX, 4},
    [WASM_SECTION_MEMORY] = {read_memory_section, "memories", MEMORIES_MAX, 5},
    [WASM_SECTION_GLOBAL] = {read_global_section, "globals", GLOBALS_MAX, 6},
    [WASM_SECTION_EXPORT] = {read_export_section, "exports", EXPORTS_MAX, 7},
    [WASM_SECTION_START] = {NULL, "start", 0, 8},
    [WASM_SECTION_ELEMENT] = {read_element_section, "element segments", SEGMENTS_MAX, 9},
    [WASM_SECTION_DATA_COUNT] = {NULL, "data count", 0, 10},
    [WASM_SECTION_CODE] = {read_code_section, "function bodies", FUNCTIONS_MAX, 11},
    [WASM_SECTION_DATA] = {read_data_section, "data segments", SEGMENTS_MAX, 12},
};

static void read_section_content(struct scan *s, uint8_t id) {
    struct reader *r = &s->r;
    struct wasm_section *section = &s->body->sections[id];
    if (id == WASM_SECTION_START) {
        read_start_section(s);
    } else if (id == WASM_SECTION_DATA_COUNT) {
        s->validator.data_count = wasm_reader_u32(r);
    } else {
        uint32_t limit = readers[id].limit;
        if (id == WASM_SECTION_FUNCTION || id == WASM_SECTION_CODE)
            limit = s->limits.functions;
        section->count = wasm_reader_count(r, readers[id].what, limit);
        if (reader_ok(r))
            readers[id].read(s, section->count);
    }
    if (reader_ok(r) && r->at != r->end)
        wasm_reader_fail(r, r->at, ERR_INVALID, "section size mismatch: %zu bytes left over",
                         r->end - r->at);
}

static void read_section(struct scan *s, uint8_t *last_order) {
    struct reader *r = &s->r;
    size_t at = r->at;
    uint8_t id = wasm_reader_byte(r);
    uint32_t size = wasm_reader_u32(r);
    size_t start = r->at, outer_end = r->end;
    wasm_reader_skip(r, size);
    if (!reader_ok(r))
        return;
    if (id == SECTION_TAG)
        wasm_reader_fail(r, at, ERR_UNSUPPORTED, "exceptions (tag section) are not supported");
    else if (id >= WASM_SECTION_COUNT)
        wasm_reader_fail(r, at, ERR_INVALID, "malformed section id %u", id);
    else if (id != 0 && readers[id].order <= *last_order)
        wasm_reader_fail(r, at, ERR_INVALID, "section %s out of order or repeated",
                         readers[id].what);
    if (!reader_ok(r))
        return;
    r->end = r->at;
    r->at = start;
    if (id == 0) {
        (void)wasm_reader_name(r);
        r->at = r->end;
    } else {
        *last_order = readers[id].order;
        s->body->sections[id] = (struct wasm_section){true, start, size, 0};
        if (id == WASM_SECTION_CODE)
            s->module->code_bytes = size;
        read_section_content(s, id);
    }
    r->end = outer_end;
}

static void scan_module(struct scan *s) {
    static const uint8_t header[8] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    struct reader *r = &s->r;
    if (r->end < 8 || memcmp(r->data, header, 4) != 0)
        wasm_reader_fail(r, 0, ERR_INVALID, "magic header not detected: not a WebAssembly module");
    else if (r->data[6] == 1 && r->data[7] == 0)
        wasm_reader_fail(r, 4, ERR_INVALID, "this is a component, not a core module");
    else if (memcmp(r->data + 4, header + 4, 4) != 0)
        wasm_reader_fail(r, 4, ERR_INVALID, "unknown binary version");
    else
        r->at = 8;
    uint8_t last_order = 0;
    while (reader_ok(r) && r->at < r->end)
        read_section(s, &last_order);
    const struct wasm_section *sections = s->body->sections;
    if (reader_ok(r) && s->functions_declared > 0 && !sections[WASM_SECTION_CODE].present)
        wasm_reader_fail(r, r->at, ERR_INVALID,
                         "function and code section have inconsistent lengths (%u and 0)",
                         s->functions_declared);
    if (reader_ok(r) && s->validator.data_count > 0 && !sections[WASM_SECTION_DATA].present)
        wasm_reader_fail(r, r->at, ERR_INVALID,
                         "data count and data section have inconsistent lengths (%u and 0)",
                         s->validator.data_count);
}

// What the function bodies would have told.
static void use_findings(struct scan *s) {
    uint8_t *digest = xmalloc(SHA256_BYTES);
    memcpy(digest, s->known->digest, SHA256_BYTES);
    atomic_store_explicit(&s->body->digest, digest, memory_order_relaxed);
    s->body->names_data = s->known->names_data;
    s->body->indexes_memories = s->known->indexes_memories;
    s->body->code_unread = true;
    s->module->features = s->known->features;
}

static enum status run_scan(struct scan *s, struct bytes *bytes, struct slice part,
                            struct wasm_module **out, struct error *error) {
    *out = NULL;
    if (part.size > s->limits.module_bytes)
        return error_set(error, ERR_LIMIT, "the module has %zu bytes, at most %llu are allowed",
                         part.size, (unsigned long long)s->limits.module_bytes);
    s->module = xcalloc(1, sizeof *s->module);
    s->body = xcalloc(1, sizeof *s->body);
    s->module->references = 1;
    s->module->source = bytes_ref(bytes);
    s->module->binary = part;
    s->module->body = s->body;
    s->r = (struct reader){.data = part.data, .end = part.size, .error = error};
    s->validator = (struct wasm_validator){
        .r = &s->r, .module = s->body, .locals_limit = s->limits.locals_per_function};
    scan_module(s);
    if (s->known == NULL)
        s->module->features = wasm_features_seen(&s->validator, s->module);
    else
        use_findings(s);
    wasm_validator_release(&s->validator);
    s->module->imports = s->body->imports;
    s->module->exports = s->body->exports;
    if (!reader_ok(&s->r)) {
        wasm_module_unref(s->module);
        return s->r.status;
    }
    *out = s->module;
    return OK;
}

enum status wasm_module_scan(struct bytes *bytes, const struct wasm_scan_limits *limits,
                             struct wasm_module **out, struct error *error) {
    assert(bytes != NULL && out != NULL);
    struct scan s = {.limits = default_limits};
    if (limits != NULL && limits->module_bytes != 0)
        s.limits.module_bytes = limits->module_bytes;
    if (limits != NULL && limits->functions != 0)
        s.limits.functions = limits->functions;
    assert(limits == NULL || limits->locals_per_function <= LOCALS_LIMIT_MAX);
    if (limits != NULL && limits->locals_per_function != 0)
        s.limits.locals_per_function = limits->locals_per_function;
    return run_scan(&s, bytes, bytes_slice(bytes), out, error);
}

enum status wasm_module_scan_part(struct bytes *bytes, struct slice part,
                                  const struct wasm_findings *known, struct wasm_module **out,
                                  struct error *error) {
    assert(bytes != NULL && out != NULL);
    assert(part.size <= bytes->size && part.data >= bytes->data &&
           part.data + part.size <= bytes->data + bytes->size);
    struct scan s = {.limits = default_limits, .known = known};
    return run_scan(&s, bytes, part, out, error);
}

struct wasm_findings wasm_module_findings(const struct wasm_module *module) {
    struct wasm_findings findings = {.features = module->features,
                                     .names_data = module->body->names_data,
                                     .indexes_memories = module->body->indexes_memories};
    memcpy(findings.digest, wasm_module_digest(module), sizeof findings.digest);
    return findings;
}

struct wasm_module *wasm_module_ref(struct wasm_module *module) {
    // Relaxed: whoever refs holds a reference already.
    atomic_fetch_add_explicit(&module->references, 1, memory_order_relaxed);
    return module;
}

void wasm_module_unref(struct wasm_module *module) {
    // Release our uses to the thread that frees; it acquires them.
    if (module == NULL ||
        atomic_fetch_sub_explicit(&module->references, 1, memory_order_acq_rel) != 1)
        return;
    for (int kind = 0; kind < 4; kind++)
        free(module->body->spaces[kind].item);
    free(module->body->types);
    free(module->body->imports);
    free(module->body->exports);
    free(module->body->globals.segment);
    free(module->body->elements.segment);
    free(module->body->data.segment);
    buf_release(&module->body->memory_copies);
    free(module->body->digest);
    free(module->body);
    bytes_unref(module->source);
    free(module);
}

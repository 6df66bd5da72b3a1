// SPDX-License-Identifier: Apache-2.0
// Writes the C that joins the translator's output to wasm/rt/wasm-rt.h, in one translation unit
// with it so that the C compiler sees through both:
//   per import    the function that the output calls: a jump through the instance's import table,
//                 with the native signature, so that guests call each other without marshalling;
//   per import    a host adapter of that same signature: packs slots and calls the process;
//   per export    a thunk: unpacks slots, calls the native function, packs the results;
//   and           ways to the memory that the module defines and to its start function.
// Names of the translator's making appear in this file only: `forms` has them by version. What else
// differs between versions is in the header, behind WASM_RT_GENERATED.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "wasm/internal.h"

// The header's text, as the assembler finds it below src/ (an include folder of the build).
__asm__(
    ".pushsection .rodata\n"
    ".global wasm_rt_header_begin\n"
    ".global wasm_rt_header_end\n"
    "wasm_rt_header_begin:\n"
    ".incbin \"wasm/rt/wasm-rt.h\"\n"
    "wasm_rt_header_end:\n"
    ".popsection\n");
extern const char wasm_rt_header_begin[];
extern const char wasm_rt_header_end[];

struct slice wasm_rt_header_text(void) {
    uintptr_t size = (uintptr_t)wasm_rt_header_end - (uintptr_t)wasm_rt_header_begin;
    return slice_of(wasm_rt_header_begin, (size_t)size);
}

// What the output calls things.
struct form {
    uint32_t number;            // WASM_RT_GENERATED
    const char *import;         // before the number of an import
    const char *import_struct;  // what imported functions take first, without "struct"
    const char *export;         // before the number of an export
    const char *instance;       // the structure of an instance, a type name
    const char *init_module;    // a statement, once per load
    const char *instantiate;
    const char *release;
};

static const struct form forms[] = {
    [WABT_1_0_32] = {1, "Z_iZ_", "Z_i_instance_t", "Z_mZ_e", "Z_m_instance_t",
                     "    Z_m_init_module();\n", "Z_m_instantiate", "Z_m_free"},
    [WABT_1_0_34] = {2, "w2c_i_", "w2c_i", "w2c_m_e", "w2c_m", "", "wasm2c_m_instantiate",
                     "wasm2c_m_free"},
};

static const char *c_type(uint8_t type) {
    switch (type) {
        case WASM_I32:
            return "u32";
        case WASM_I64:
            return "u64";
        case WASM_F32:
            return "f32";
        case WASM_F64:
            return "f64";
        case WASM_FUNCREF:
            return "wasm_rt_funcref_t";
        default:
            assert(type == WASM_EXTERNREF);
            return "wasm_rt_externref_t";
    }
}

// The letter that names of fields and of the structures for several results are made of.
static char type_letter(uint8_t type) {
    switch (type) {
        case WASM_I32:
            return 'i';
        case WASM_I64:
            return 'j';
        case WASM_F32:
            return 'f';
        case WASM_F64:
            return 'd';
        case WASM_FUNCREF:
            return 'r';
        default:
            assert(type == WASM_EXTERNREF);
            return 'e';
    }
}

// Function references do not fit a slot; functions that pass them are called by guests only.
static bool fits_slots(const struct wasm_func_type *type) {
    return (type->param_count == 0 ||
            memchr(type->params, WASM_FUNCREF, type->param_count) == NULL) &&
           (type->result_count == 0 ||
            memchr(type->results, WASM_FUNCREF, type->result_count) == NULL);
}

static void put_result_type(struct buf *out, const struct wasm_func_type *type) {
    if (type->result_count == 0) {
        buf_append_text(out, "void");
    } else if (type->result_count == 1) {
        buf_append_text(out, c_type(type->results[0]));
    } else {
        buf_append_text(out, "struct wasm_multi_");
        for (uint32_t i = 0; i < type->result_count; i++)
            buf_append_byte(out, (uint8_t)type_letter(type->results[i]));
    }
}

// ", u32 p0, f64 p1"; without names when `named` is false.
static void put_parameters(struct buf *out, const struct wasm_func_type *type, bool named) {
    for (uint32_t i = 0; i < type->param_count; i++) {
        buf_format(out, ", %s", c_type(type->params[i]));
        if (named)
            buf_format(out, " p%u", i);
    }
}

static void put_from_slot(struct buf *out, uint8_t type, uint32_t slot) {
    switch (type) {
        case WASM_F32:
            buf_format(out, "wasm_rt_slot_f32(slots[%u])", slot);
            break;
        case WASM_F64:
            buf_format(out, "wasm_rt_slot_f64(slots[%u])", slot);
            break;
        case WASM_EXTERNREF:
            buf_format(out, "(wasm_rt_externref_t)slots[%u]", slot);
            break;
        default:
            buf_format(out, "(%s)slots[%u]", c_type(type), slot);
    }
}

static void put_to_slot(struct buf *out, uint8_t type, uint32_t slot, const char *value) {
    const char *wrap = type == WASM_F32   ? "wasm_rt_f32_slot"
                       : type == WASM_F64 ? "wasm_rt_f64_slot"
                                          : "(uint64_t)";
    buf_format(out, "    slots[%u] = %s(%s);\n", slot, wrap, value);
}

// The function that the output calls for import `i`.
static void put_import(struct buf *out, const struct form *form, const struct wasm_func_type *type,
                       uint32_t i) {
    put_result_type(out, type);
    buf_format(out, " %s%u(struct %s *in", form->import, i, form->import_struct);
    put_parameters(out, type, true);
    buf_append_text(out, ") {\n    ");
    if (type->result_count > 0)
        buf_append_text(out, "return ");
    buf_append_text(out, "((");
    put_result_type(out, type);
    buf_append_text(out, " (*)(void *");
    put_parameters(out, type, false);
    buf_format(out, "))in->imports[%u].of.native)(in->imports[%u].instance", i, i);
    for (uint32_t k = 0; k < type->param_count; k++)
        buf_format(out, ", p%u", k);
    buf_append_text(out, ");\n}\n");
}

static void put_host_adapter(struct buf *out, const struct wasm_func_type *type, uint32_t i) {
    uint32_t slots =
        type->param_count > type->result_count ? type->param_count : type->result_count;
    buf_append_text(out, "static ");
    put_result_type(out, type);
    buf_format(out, " theater_host_%u(void *link", i);
    put_parameters(out, type, true);
    buf_format(out, ") {\n    uint64_t slots[%u];\n", slots == 0 ? 1 : slots);
    for (uint32_t k = 0; k < type->param_count; k++) {
        char name[16];
        (void)snprintf(name, sizeof name, "p%u", k);
        put_to_slot(out, type->params[k], k, name);
    }
    buf_append_text(out, "    wasm_rt_api->call_host(link, slots);\n");
    if (type->result_count == 1) {
        buf_append_text(out, "    return ");
        put_from_slot(out, type->results[0], 0);
        buf_append_text(out, ";\n");
    } else if (type->result_count > 1) {
        buf_append_text(out, "    ");
        put_result_type(out, type);
        buf_append_text(out, " r;\n");
        for (uint32_t k = 0; k < type->result_count; k++) {
            buf_format(out, "    r.%c%u = ", type_letter(type->results[k]), k);
            put_from_slot(out, type->results[k], k);
            buf_append_text(out, ";\n");
        }
        buf_append_text(out, "    return r;\n");
    }
    buf_append_text(out, "}\n");
}

static void put_thunk(struct buf *out, const struct form *form, const struct wasm_func_type *type,
                      uint32_t i) {
    buf_format(out, "static void theater_thunk_%u(void *instance, uint64_t *slots) {\n    ", i);
    if (type->result_count > 0) {
        put_result_type(out, type);
        buf_append_text(out, " r = ");
    }
    buf_format(out, "%s%u(instance", form->export, i);
    for (uint32_t k = 0; k < type->param_count; k++) {
        buf_append_text(out, ", ");
        put_from_slot(out, type->params[k], k);
    }
    buf_append_text(out, ");\n");
    if (type->result_count == 1)
        put_to_slot(out, type->results[0], 0, "r");
    for (uint32_t k = 0; type->result_count > 1 && k < type->result_count; k++) {
        char name[32];
        (void)snprintf(name, sizeof name, "r.%c%u", type_letter(type->results[k]), k);
        put_to_slot(out, type->results[k], k, name);
    }
    buf_append_text(out, "    (void)slots;\n}\n");
}

static void put_imports(const struct wasm_module *module, const struct form *form,
                        struct buf *out) {
    if (module->import_count == 0)
        return;
    buf_format(out, "struct %s {\n    struct wasm_rt_import imports[%u];\n};\n",
               form->import_struct, module->import_count);
    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct wasm_extern_type *type = &module->imports[i].type;
        static const char *const structs[] = {"", "", "wasm_rt_memory_t", ""};
        switch (type->kind) {
            case WASM_FUNC:
                put_import(out, form, type->func, i);
                if (fits_slots(type->func))
                    put_host_adapter(out, type->func, i);
                continue;
            case WASM_TABLE:
                buf_append_text(out, type->table.element == WASM_FUNCREF
                                         ? "wasm_rt_funcref_table_t"
                                         : "wasm_rt_externref_table_t");
                break;
            case WASM_MEMORY:
                buf_append_text(out, structs[WASM_MEMORY]);
                break;
            case WASM_GLOBAL:
                buf_append_text(out, c_type((uint8_t)type->global.type));
                break;
        }
        buf_format(out,
                   " *%s%u(struct %s *in) {\n"
                   "    return in->imports[%u].of.pointer;\n}\n",
                   form->import, i, form->import_struct, i);
    }
}

static void put_get(struct buf *out, const struct form *form, uint32_t i) {
    buf_format(out,
               "static void *theater_get_%u(void *instance) {\n"
               "    return %s%u(instance);\n}\n",
               i, form->export, i);
}

static void put_exports(const struct wasm_module *module, const struct form *form,
                        struct buf *out) {
    uint32_t *firsts = wasm_first_exports(module);
    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct wasm_extern_type *type = &module->exports[i].type;
        if (firsts[i] != i)
            continue;
        if (type->kind != WASM_FUNC)
            put_get(out, form, i);
        else if (fits_slots(type->func))
            put_thunk(out, form, type->func, i);
    }
    buf_append_text(out, "static const struct wasm_rt_export theater_exports[] = {\n");
    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct wasm_extern_type *type = &module->exports[i].type;
        uint32_t first = firsts[i];
        if (type->kind != WASM_FUNC)
            buf_format(out, "    {0, 0, theater_get_%u},\n", first);
        else if (fits_slots(type->func))
            buf_format(out, "    {theater_thunk_%u, (wasm_rt_function_ptr_t)%s%u, 0},\n", first,
                       form->export, first);
        else
            buf_format(out, "    {0, (wasm_rt_function_ptr_t)%s%u, 0},\n", form->export, first);
    }
    buf_append_text(out, "    {0, 0, 0}};\n");
    free(firsts);
}

// What the process needs besides the module's exports.
static void put_hidden(const struct wasm_module *module, const struct form *form, struct buf *out) {
    const struct wasm_items *memories = &module->body->spaces[WASM_MEMORY];
    for (uint32_t i = memories->imported; i < memories->count; i++)
        if (wasm_memory_export(module, i) >= module->export_count)
            put_get(out, form, wasm_memory_export(module, i));
    buf_append_text(out, "static const wasm_rt_get theater_memories[] = {\n");
    for (uint32_t i = memories->imported; i < memories->count; i++)
        buf_format(out, "    theater_get_%u,\n", wasm_memory_export(module, i));
    buf_append_text(out, "    0};\n");
    const struct wasm_segments *globals = &module->body->globals;
    for (uint32_t i = 0; i < globals->count; i++)
        if (wasm_global_is_data(module, i) && wasm_global_export(module, i) >= module->export_count)
            put_get(out, form, wasm_global_export(module, i));
    buf_append_text(out, "static const wasm_rt_get theater_globals[] = {\n");
    for (uint32_t i = 0; i < globals->count; i++)
        if (wasm_global_is_data(module, i))
            buf_format(out, "    theater_get_%u,\n", wasm_global_export(module, i));
    buf_append_text(out, "    0};\n");
    if (module->body->has_start)
        buf_format(out, "static void theater_start(void *instance) {\n    %s%u(instance);\n}\n",
                   form->export, wasm_start_export(module));
    else
        buf_append_text(out, "#define theater_start 0\n");
}

static void put_code(const struct wasm_module *module, const struct form *form, struct buf *out) {
    bool has_imports = module->import_count > 0;
    buf_append_text(out, "static const wasm_rt_function_ptr_t theater_adapters[] = {\n");
    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct wasm_extern_type *type = &module->imports[i].type;
        if (type->kind == WASM_FUNC && fits_slots(type->func))
            buf_format(out, "    (wasm_rt_function_ptr_t)theater_host_%u,\n", i);
        else
            buf_append_text(out, "    0,\n");
    }
    buf_format(out,
               "    0};\n"
               "static void theater_load(const struct wasm_rt_api *api) {\n"
               "    wasm_rt_api = api;\n"
               "%s"
               "}\n"
               "static void theater_instantiate(void *instance, struct wasm_rt_import *imports) {\n"
               "    (void)imports;\n"
               "    %s(instance%s%s%s);\n"
               "}\n"
               "static void theater_release(void *instance) {\n"
               "    %s(instance);\n"
               "}\n",
               form->init_module, form->instantiate, has_imports ? ", (struct " : "",
               has_imports ? form->import_struct : "", has_imports ? " *)imports" : "",
               form->release);
    buf_format(out,
               "__attribute__((visibility(\"default\"))) const struct wasm_rt_code "
               "theater_wasm_code = {\n"
               "    %u, %u, %u, sizeof(%s), theater_load, theater_instantiate,\n"
               "    theater_release, theater_exports, theater_adapters, theater_memories, "
               "theater_globals, theater_start};\n",
               WASM_RT_ABI, module->import_count, module->export_count, form->instance);
}

static const struct form *form_of(enum wabt_version version) {
    assert(version != WABT_UNKNOWN && version < COUNT_OF(forms));
    return &forms[version];
}

const char *wasm_glue_instance(enum wabt_version version) {
    return form_of(version)->instance;
}

void wasm_glue_include(enum wabt_version version, const char *file, struct buf *out) {
    buf_format(out, "#define WASM_RT_GENERATED %u\n#include \"%s\"\n", form_of(version)->number,
               file);
}

void wasm_glue_write(const struct wasm_module *module, enum wabt_version version, const char *file,
                     struct buf *out) {
    const struct form *form = form_of(version);
    wasm_glue_include(version, file, out);
    put_imports(module, form, out);
    put_exports(module, form, out);
    put_hidden(module, form, out);
    put_code(module, form, out);
}

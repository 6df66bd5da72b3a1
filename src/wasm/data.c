// SPDX-License-Identifier: Apache-2.0
// Active data segments, and the initial values of mutable globals that are constants: copied from
// the module's bytes into each new instance, not part of its code. So guests that share an engine
// and differ in their data (JavaScript, Python) share one compiled object, and the compilers never
// see megabytes of data.
#include <assert.h>
#include <stdlib.h>

#include "wasm/internal.h"
#include "wasm/reader.h"

// What a constant expression may refer to.
struct constants {
    const struct wasm_instance *instance;
    const uint32_t *own;  // values of the globals that the module defines, as far as they are i32
};

static uint32_t global_value(const struct constants *constants, uint32_t index) {
    const struct wasm_instance *instance = constants->instance;
    uint32_t imported = instance->code->module->body->spaces[WASM_GLOBAL].imported;
    if (index >= imported) {
        assert(constants->own != NULL);
        return constants->own[index - imported];
    }
    uint32_t value;
    memcpy(&value, instance->imports[instance->code->global_imports[index]].of.global->value,
           sizeof value);
    return value;
}

static uint64_t read_signed(struct reader *r) {
    uint64_t value = 0;
    int shift = 0;
    uint8_t byte;
    do {
        byte = reader_byte(r);
        value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while ((byte & 0x80) != 0);
    if (shift < 64 && (byte & 0x40) != 0)
        value |= UINT64_MAX << shift;
    return value;
}

// The value of an expression of type i32, which was validated: it leaves one value, and what it
// refers to exists.
static uint32_t evaluate(const struct constants *constants, const struct wasm_segment *segment) {
    enum { VALUES_MAX = 1000 };  // the validator allows as many instructions
    struct slice binary = constants->instance->code->module->binary;
    struct reader r = {
        .data = binary.data, .at = segment->expression, .end = segment->expression_end};
    uint32_t values[VALUES_MAX];
    size_t count = 0;
    for (;;) {
        uint8_t opcode = reader_byte(&r);
        if (opcode == 0x41 || opcode == 0x23) {
            assert(count < VALUES_MAX);
            values[count++] = opcode == 0x41 ? (uint32_t)read_signed(&r)
                                             : global_value(constants, reader_u32(&r));
            continue;
        }
        if (opcode == 0x0b)
            break;
        assert(opcode >= 0x6a && opcode <= 0x6c && count >= 2);
        count--;
        if (opcode == 0x6a)
            values[count - 1] += values[count];
        else if (opcode == 0x6b)
            values[count - 1] -= values[count];
        else
            values[count - 1] *= values[count];
    }
    assert(count == 1 && r.at == segment->expression_end);
    return values[0];
}

// The values of the module's own globals that a constant expression can name: an i32 which names
// only those before it. NULL when no offset is more than a constant or an imported global.
static uint32_t *own_globals(struct wasm_instance *instance) {
    const struct wasm_module_body *body = instance->code->module->body;
    bool needed = false;
    for (uint32_t i = 0; i < body->data.count; i++)
        needed |= body->data.segment[i].extended;
    if (!needed)
        return NULL;
    uint32_t *own = xcalloc(body->globals.count + 1u, sizeof *own);
    const struct constants constants = {instance, own};
    for (uint32_t i = 0; i < body->globals.count; i++)
        if (body->globals.segment[i].type == WASM_I32)
            own[i] = evaluate(&constants, &body->globals.segment[i]);
    return own;
}

static struct wasm_memory *memory_at(const struct wasm_instance *instance, uint32_t index) {
    const struct wasm_code *code = instance->code;
    uint32_t imported = code->module->body->spaces[WASM_MEMORY].imported;
    if (index < imported)
        return instance->imports[code->memory_imports[index]].of.memory;
    return code->native->memories[index - imported](instance->native);
}

void wasm_data_set_globals(struct wasm_instance *instance) {
    const struct wasm_module *module = instance->code->module;
    const wasm_rt_get *get = instance->code->native->globals;
    for (uint32_t i = 0; i < module->body->globals.count && *get != NULL; i++) {
        if (!wasm_global_is_data(module, i))
            continue;
        const struct wasm_segment *segment = &module->body->globals.segment[i];
        // i32.const or i64.const, and the value.
        struct reader r = {.data = module->binary.data,
                           .at = segment->expression + 1,
                           .end = segment->expression_end};
        uint64_t value = read_signed(&r);
        uint32_t low = (uint32_t)value;
        void *place = (*get++)(instance->native);
        if (segment->type == WASM_I32)
            memcpy(place, &low, sizeof low);
        else
            memcpy(place, &value, sizeof value);
    }
}

bool wasm_data_copy(struct wasm_instance *instance) {
    const struct wasm_module *module = instance->code->module;
    const struct wasm_segments *data = &module->body->data;
    uint32_t *own = own_globals(instance);
    const struct constants constants = {instance, own};
    bool fine = true;
    for (uint32_t i = 0; i < data->count && fine; i++) {
        const struct wasm_segment *segment = &data->segment[i];
        if (!segment->active)
            continue;
        const struct wasm_memory *memory = memory_at(instance, segment->target);
        uint64_t offset = evaluate(&constants, segment);
        fine = offset + segment->count <= memory->size;
        if (fine && segment->count > 0)
            memcpy(memory->data + offset,
                   module->binary.data + segment->content_end - segment->count, segment->count);
    }
    free(own);
    return fine;
}

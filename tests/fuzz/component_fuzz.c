// SPDX-License-Identifier: Apache-2.0
// Fuzz target: component_load on arbitrary bytes, and printing what it declares. Nothing is
// compiled or run.
#include "component/component.h"
#include "component/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Also of components that are not loaded.
static void print_world(struct slice bytes) {
    struct error error = {.code = OK};
    struct buf text = {0};
    if (world_print(bytes, &text, &error) != OK && error.message[0] == '\0') {
        fatal("no reason");
    }
    buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error error = {.code = OK};
    struct bytes *bytes = bytes_copy(slice_of(data, size));
    struct component *component = NULL;
    static const struct component_limits LIMITS = {.items = 20000};
    enum status status = component_load(bytes, &LIMITS, &component, &error);
    print_world(bytes_slice(bytes));
    bytes_unref(bytes);
    if (status != OK) {
        // Every refusal must say why.
        return error.code == status && error.message[0] != '\0' ? 0 : (fatal("no reason"), 0);
    }
    struct buf text = {0};
    for (uint32_t i = 0; i < component_export_count(component); i++) {
        component_func_type_print(component_export_at(component, i)->type, &text);
    }
    for (uint32_t i = 0; i < component_import_count(component); i++) {
        component_func_type_print(component_import_at(component, i)->type, &text);
    }
    buf_release(&text);
    component_unref(component);
    return 0;
}

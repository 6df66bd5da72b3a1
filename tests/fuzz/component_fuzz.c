// SPDX-License-Identifier: Apache-2.0
// Fuzz target: component_load on arbitrary bytes, and printing what it declares. Nothing is
// compiled or run.
#include "component/component.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error error = {.code = OK};
    struct bytes *bytes = bytes_copy(slice_of(data, size));
    struct component *component = NULL;
    static const struct component_limits LIMITS = {.items = 20000};
    enum status status = component_load(bytes, &LIMITS, &component, &error);
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

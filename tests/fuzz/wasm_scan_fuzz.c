// SPDX-License-Identifier: Apache-2.0
// Any bytes as a core module: the scan must neither crash nor leak, and what it accepts must be
// accepted again after normalisation, with as many imports.
#include <stdlib.h>

#include "wasm/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes *bytes = bytes_copy(slice_of(data, size));
    struct wasm_module *module = NULL, *again = NULL;
    struct error error = {0};
    if (wasm_module_scan(bytes, NULL, &module, &error) == OK) {
        struct buf normal = {0}, glue = {0};
        enum wabt_version version = size % 2 == 0 ? WABT_1_0_32 : WABT_1_0_34;
        wasm_normalise(module, version, &normal);
        wasm_glue_write(module, version, "module.c", &glue);
        struct bytes *normal_bytes = bytes_copy(buf_slice(&normal));
        if (wasm_module_scan(normal_bytes, NULL, &again, &error) != OK ||
            again->import_count != module->import_count)
            fatal("normalised module is refused: %s", error.message);
        wasm_module_unref(again);
        bytes_unref(normal_bytes);
        buf_release(&normal);
        buf_release(&glue);
    }
    wasm_module_unref(module);
    bytes_unref(bytes);
    return 0;
}

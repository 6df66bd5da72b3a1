// SPDX-License-Identifier: Apache-2.0
// Says of core modules whether they are valid: reads paths from standard input, one per line, and
// prints for each "ok", or the kind of refusal, a tab and the sentence. For test_validate.py.
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "wasm/wasm.h"

static void print_verdict(const char *path) {
    struct bytes *bytes = NULL;
    struct wasm_module *module = NULL;
    struct error error = {0};
    enum status status = file_read(path, 64 << 20, &bytes, &error);
    if (status == OK)
        status = wasm_module_scan(bytes, NULL, &module, &error);
    if (status == OK)
        puts("ok");
    else
        printf("%s\t%s\n", status_text(status), error.message);
    wasm_module_unref(module);
    bytes_unref(bytes);
}

int main(void) {
    char path[4096];
    while (fgets(path, sizeof path, stdin) != NULL) {
        path[strcspn(path, "\n")] = 0;
        print_verdict(path);
        (void)fflush(stdout);
    }
    return 0;
}

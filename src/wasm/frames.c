// SPDX-License-Identifier: Apache-2.0
// The quick tier's stack frames. gcc touches every page of a large frame on the way down, so that
// overflow always hits the guard below the stack (-fstack-clash-protection); tcc does not, and a
// frame larger than the guard could reach past it, into another stack. So its code is looked
// through for what every function of it begins with:
//
//     55                      push %rbp
//     48 89 e5                mov  %rsp,%rbp
//     48 81 ec SS SS SS SS    sub  $size,%rsp
//
// The bytes may occur elsewhere as well, which at worst refuses a module.
#include <assert.h>

#include "base/file.h"
#include "wasm/build.h"

// Half of the smallest guard, 64 KiB: what a function calls has a frame, too.
static const uint32_t FRAME_BYTES_MAX = 32 * 1024;
static const uint64_t OBJECT_BYTES_MAX = UINT64_C(1) << 30;
static const uint8_t prologue[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x81, 0xec};

enum status wasm_check_frames(const char *path, uint32_t functions, struct error *error) {
    struct bytes *content = NULL;
    enum status status = file_read(path, OBJECT_BYTES_MAX, &content, error);
    if (status != OK)
        return status;
    const uint8_t *at = content->data;
    const uint8_t *end = at + content->size;
    uint64_t found = 0;
    uint32_t largest = 0;
    while ((at = memmem(at, (size_t)(end - at), prologue, sizeof prologue)) != NULL) {
        at += sizeof prologue;
        if (end - at < 4)
            break;
        uint32_t size;
        memcpy(&size, at, sizeof size);
        largest = size > largest ? size : largest;
        found++;
    }
    bytes_unref(content);
    if (found < functions)
        return error_set(error, ERR_UNSUPPORTED,
                         "the quick tier's compiler begins functions in a way that is not known");
    if (largest > FRAME_BYTES_MAX)
        return error_set(error, ERR_UNSUPPORTED,
                         "a function has a stack frame of %u bytes, more than the quick tier's %u",
                         largest, FRAME_BYTES_MAX);
    return OK;
}

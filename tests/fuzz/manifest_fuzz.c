// SPDX-License-Identifier: Apache-2.0
// Feeds bytes to the manifest loader: as a manifest, and, from a line "%%%" on, as the state that
// variables are filled from. What loads must keep the rules that the rest of the project relies on.
#include <assert.h>
#include <stdlib.h>

#include "manifest/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// References would read this machine's files.
static enum status read_nothing(void *context, const char *folder, const char *confined_to,
                                const char *reference, uint64_t limit_bytes, struct bytes **out,
                                struct error *error) {
    (void)context;
    (void)folder;
    (void)confined_to;
    (void)limit_bytes;
    if (reference[0] == 's') {
        *out = bytes_copy(slice_text("{\"a\": {\"b\": [1, \"x\"]}, \"port\": 80}"));
        return OK;
    }
    return error_set(error, ERR_NOT_FOUND, "no such file");
}

static void ignore_warning(void *context, const char *text) {
    (void)context;
    assert(text[0] != '\0');
}

static void check(const struct manifest *manifest) {
    assert(manifest->name[0] != '\0' && manifest->component[0] != '\0');
    assert(manifest->id == NULL || manifest_check_id(slice_text(manifest->id), NULL) == OK);
    assert(manifest->handler_count <= MANIFEST_HANDLERS_MAX);
    assert(manifest->text->size <= MANIFEST_TEXT_MAX_BYTES);
    struct permissions all, narrow, again;
    struct arena arena;
    struct buf left = {0}, right = {0};
    arena_init(&arena, UINT64_MAX);
    permissions_everything(&all);
    manifest_effective(manifest, &all, &arena, &narrow);
    permissions_intersect(&narrow, &narrow, &arena, &again);
    permissions_describe(&narrow, &left);
    permissions_describe(&again, &right);
    assert(slice_equal(buf_slice(&left), buf_slice(&right)));
    (void)!manifest_check_available(manifest, NULL);
    buf_release(&left);
    buf_release(&right);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct manifest_resolver resolver = {.read = read_nothing};
    struct manifest_options options = {.resolver = &resolver, .warn = ignore_warning};
    const uint8_t *mark = size < 4 ? NULL : memmem(data, size, "\n%%%", 4);
    struct slice text = slice_of(data, size);
    if (mark != NULL) {
        text.size = (size_t)(mark - data);
        options.has_state = true;
        options.state = slice_of(mark + 4, size - text.size - 4);
        options.exact_state = options.state.size > 0 && options.state.data[0] == '!';
    }
    struct manifest *manifest = NULL;
    struct error error = {0};
    if (manifest_load_text(text, "/base", &options, &manifest, &error) == OK) {
        check(manifest);
        manifest_unref(manifest);
    } else {
        assert(error.code != OK && error.message[0] != '\0');
    }
    return 0;
}

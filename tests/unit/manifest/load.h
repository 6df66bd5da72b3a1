// SPDX-License-Identifier: Apache-2.0
// Shared by the tests of this room: loading a text and keeping its warnings.
#ifndef TESTS_UNIT_MANIFEST_LOAD_H
#define TESTS_UNIT_MANIFEST_LOAD_H

#include "manifest/manifest.h"
#include "test.h"

struct loaded {
    struct manifest *manifest;  // NULL when the load failed
    enum status status;
    struct error error;
    struct buf warnings;  // one line each
};

static inline void keep_warning(void *context, const char *text) {
    buf_format(context, "%s\n", text);
}

static inline struct loaded load_with(const char *text, struct manifest_options options) {
    struct loaded out = {0};
    options.warn = keep_warning;
    options.warn_context = &out.warnings;
    out.status = manifest_load_text(slice_text(text), "/base", &options, &out.manifest, &out.error);
    (void)buf_text(&out.warnings);
    return out;
}
static inline struct loaded load_text(const char *text) {
    return load_with(text, (struct manifest_options){0});
}
static inline struct loaded load_state(const char *text, const char *state) {
    return load_with(text,
                     (struct manifest_options){.has_state = true, .state = slice_text(state)});
}
static inline void drop(struct loaded *loaded) {
    manifest_unref(loaded->manifest);
    buf_release(&loaded->warnings);
}

// The rest of a manifest whose head is what a test is about.
#define HEAD "name = \"a\"\ncomponent = \"a.wasm\"\n"

static inline void expect_error(const char *file, int line, const char *text, const char *part) {
    struct loaded loaded = load_text(text);
    if (loaded.status == OK) {
        test_report(file, line, "loaded, expected an error with \"%s\"", part);
    } else if (strstr(loaded.error.message, part) == NULL) {
        test_report(file, line, "error is \"%s\", expected \"%s\"", loaded.error.message, part);
    }
    drop(&loaded);
}
#define EXPECT_ERROR(text, part) expect_error(__FILE__, __LINE__, text, part)

static inline void expect_warning(const char *file, int line, const char *text, const char *part) {
    struct loaded loaded = load_text(text);
    const char *warnings = buf_text(&loaded.warnings);
    if (loaded.status != OK) {
        test_report(file, line, "failed: %s", loaded.error.message);
    } else if (part == NULL ? warnings[0] != '\0' : strstr(warnings, part) == NULL) {
        test_report(file, line, "warnings are \"%s\", expected \"%s\"", warnings,
                    part == NULL ? "" : part);
    }
    drop(&loaded);
}
#define EXPECT_WARNING(text, part) expect_warning(__FILE__, __LINE__, text, part)

#endif

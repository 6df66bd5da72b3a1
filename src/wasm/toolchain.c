// SPDX-License-Identifier: Apache-2.0
// Which translator and which C compilers there are, and in which versions.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "wasm/build.h"

// The newest wabt 1.0.x that was tried; what is newer is taken to be like it.
static const unsigned NEWEST_KNOWN_PATCH = 41;
static const uint64_t DEFAULT_CPU_SECONDS = 900;
static const uint64_t DEFAULT_MEMORY_BYTES = UINT64_C(8) << 30;
static const uint64_t DEFAULT_PART_BYTES = 4 << 20;

// The quick tier's stack frames can be checked on one architecture only (frames.c).
#if defined(__x86_64__)
static const bool can_use_quick_tier = true;
#else
static const bool can_use_quick_tier = false;
#endif

static char *choose(const char *given, const char *variable, const char *otherwise) {
    const char *value = given != NULL ? given : getenv(variable);
    return xstrdup(value != NULL && value[0] != 0 ? value : otherwise);
}

// Appends the first line that the tool says about its version.
static enum status ask_version(const struct wasm_toolchain *toolchain, const char *folder,
                               const char *tool, const char *option, struct buf *out,
                               struct error *error) {
    struct buf output = {0};
    const char *argv[] = {tool, option, NULL};
    struct wasm_child child = {
        .folder = folder,
        .argv = argv,
        .cpu_seconds = 10,
        .memory_bytes = toolchain->memory_bytes,
        .file_bytes = 4096,
        .wall_seconds = 60,
    };
    enum status status = wasm_child_run(&child, &output, error);
    if (status == OK) {
        const char *text = buf_text(&output);
        buf_append(out, text, strcspn(text, "\n"));
    }
    buf_append_byte(out, '\n');
    buf_release(&output);
    return status;
}

// The version is the first line: "1.0.36", and more behind it in builds from a repository.
static void parse_wabt(struct wasm_toolchain *toolchain, const char *line) {
    unsigned patch = 0;
    char next = 0;
    int found = sscanf(line, "1.0.%4u%c", &patch, &next);
    if (found != 2 || patch > 9999 || (next >= '0' && next <= '9') || next == '.')
        return;
    if (patch == 32)
        toolchain->wabt = WABT_1_0_32;
    else if (patch >= 34)
        toolchain->wabt = WABT_1_0_34;
    toolchain->is_newer = patch > NEWEST_KNOWN_PATCH;
}

// One line each: the translator, the compiler of the optimised tier, that of the quick one (empty
// when there is none).
static enum status ask_tools(const struct wasm_toolchain *toolchain, const char *folder,
                             struct buf *lines, struct error *error) {
    const char *cc = toolchain->compilers[WASM_TIER_OPTIMISED];
    const char *tcc = toolchain->compilers[WASM_TIER_QUICK];
    enum status status =
        ask_version(toolchain, folder, toolchain->wasm2c, "--version", lines, error);
    if (status == OK)
        status = ask_version(toolchain, folder, cc, "--version", lines, error);
    if (status == ERR_NOT_FOUND)
        (void)error_context(error,
                            "core modules need a translator (package wabt, $THEATER_WASM2C) and a "
                            "C compiler (package gcc, $THEATER_CC)");
    if (status == OK && can_use_quick_tier && strcmp(tcc, "none") != 0)
        // Without it there is no quick tier, and that is all.
        (void)ask_version(toolchain, folder, tcc, "-v", lines, NULL);
    return status;
}

static void use_lines(struct wasm_toolchain *toolchain, const char *lines) {
    parse_wabt(toolchain, lines);
    const char *cc = lines + strcspn(lines, "\n");
    cc += *cc == '\n';
    const char *tcc = cc + strcspn(cc, "\n");
    struct buf text = {0};
    buf_append(&text, lines, (size_t)(tcc - lines));
    toolchain->versions[WASM_TIER_OPTIMISED] = xstrdup(buf_text(&text));
    tcc += *tcc == '\n';
    size_t length = strcspn(tcc, "\n");
    if (length > 0 && can_use_quick_tier) {
        buf_release(&text);
        buf_append(&text, lines, strcspn(lines, "\n"));
        buf_append_byte(&text, '\n');
        buf_append(&text, tcc, length);
        toolchain->versions[WASM_TIER_QUICK] = xstrdup(buf_text(&text));
    }
    buf_release(&text);
}

enum status wasm_toolchain_find(const struct wasm_compiler_config *config, const char *folder,
                                struct wasm_toolchain *toolchain, struct error *error) {
    *toolchain = (struct wasm_toolchain){
        .wasm2c = choose(config->wasm2c, "THEATER_WASM2C", "wasm2c"),
        .compilers = {[WASM_TIER_QUICK] = choose(config->tcc, "THEATER_TCC", "tcc"),
                      [WASM_TIER_OPTIMISED] = choose(config->cc, "THEATER_CC", "cc")},
        .cpu_seconds = config->cpu_seconds != 0 ? config->cpu_seconds : DEFAULT_CPU_SECONDS,
        .memory_bytes = config->memory_bytes != 0 ? config->memory_bytes : DEFAULT_MEMORY_BYTES,
        .part_bytes = config->part_bytes != 0 ? config->part_bytes : DEFAULT_PART_BYTES,
    };
    char *path = file_join(folder, "tools");
    struct bytes *known = NULL;
    struct buf lines = {0};
    enum status status = OK;
    bool is_known = file_read(path, 4096, &known, NULL) == OK;
    if (config->never_compile && is_known) {
        buf_append_slice(&lines, bytes_slice(known));
    } else {
        status = ask_tools(toolchain, folder, &lines, error);
        // A cache that cannot be written is fine as long as it holds what is asked for.
        struct error ignored = {0};
        bool is_same = is_known && slice_equal(bytes_slice(known), buf_slice(&lines));
        if (status == OK && !is_same && access(folder, W_OK) == 0 &&
            file_write_atomic(path, buf_slice(&lines), 0600, &ignored) != OK)
            log_line(LOG_WARNING, "code cache: %s", ignored.message);
    }
    use_lines(toolchain, buf_text(&lines));
    if (status == OK && toolchain->wabt == WABT_UNKNOWN)
        status =
            error_set(error, ERR_UNSUPPORTED,
                      "%s has version %.*s; supported are 1.0.32, and 1.0.34 and later 1.0.x",
                      toolchain->wasm2c, (int)strcspn(buf_text(&lines), "\n"), buf_text(&lines));
    buf_release(&lines);
    bytes_unref(known);
    free(path);
    return status;
}

void wasm_toolchain_release(struct wasm_toolchain *toolchain) {
    free(toolchain->wasm2c);
    for (int tier = 0; tier < WASM_TIER_COUNT; tier++) {
        free(toolchain->compilers[tier]);
        free(toolchain->versions[tier]);
    }
}

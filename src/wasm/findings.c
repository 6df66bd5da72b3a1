// SPDX-License-Identifier: Apache-2.0
// What the code cache remembers of components that were valid, so that megabytes of code are
// validated once per component and not at each start:
//
//   <folder>/<key>.valid   one entry of 40 bytes per core module:
//                          digest (32) | features (4, little-endian) | flags (4, likewise)
//                          and behind them: CRC32C of everything before it (4) | "thtrvald" (8)
//
// The key is the SHA-256 of the component's hash and of the sources of this room and of component:
// a validator that was changed trusts nothing that another one found, and modules that are numbered
// otherwise are not taken for each other. The files are as trustworthy as the code beside them,
// which runs unchecked, too (cache.c).
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "codec/crc32c.h"
#include "codec/sha256.h"
#include "wasm/cache.h"

#if !defined(WASM_SOURCES_DIGEST)
#error "the build says which validator this is"
#endif

static const char magic[8] = {'t', 'h', 't', 'r', 'v', 'a', 'l', 'd'};

enum { ENTRY_BYTES = SHA256_BYTES + 8, END_BYTES = 4 + sizeof magic, FILE_BYTES_MAX = 1 << 20 };
enum { FLAG_NAMES_DATA = 1, FLAG_INDEXES_MEMORIES = 2 };

static char *path_of(const struct wasm_compiler *compiler, const uint8_t *hash) {
    static const char validator[] = "theater validator\n" WASM_SOURCES_DIGEST "\n";
    uint8_t digest[SHA256_BYTES];
    char text[SHA256_TEXT_BYTES], name[SHA256_TEXT_BYTES + 8];
    sha256_pair(slice_text(validator), slice_of(hash, SHA256_BYTES), digest);
    sha256_text(digest, text);
    (void)snprintf(name, sizeof name, "%s.valid", text);
    return file_join(wasm_compiler_folder(compiler), name);
}

static void put_u32(struct buf *out, uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8)
        buf_append_byte(out, (uint8_t)(value >> shift));
}

static uint32_t get_u32(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static bool is_whole(struct slice file) {
    if (file.size < END_BYTES || (file.size - END_BYTES) % ENTRY_BYTES != 0)
        return false;
    const uint8_t *end = file.data + file.size - END_BYTES;
    return memcmp(end + 4, magic, sizeof magic) == 0 &&
           get_u32(end) == crc32c(0, slice_of(file.data, file.size - END_BYTES));
}

struct wasm_findings *wasm_findings_read(const struct wasm_compiler *compiler, const uint8_t *hash,
                                         uint32_t *count) {
    char *path = path_of(compiler, hash);
    struct bytes *content = NULL;
    struct wasm_findings *findings = NULL;
    *count = 0;
    if (access(path, F_OK) == 0 && wasm_cache_check_file(path, NULL) == OK &&
        file_read(path, FILE_BYTES_MAX, &content, NULL) == OK && is_whole(bytes_slice(content))) {
        *count = (uint32_t)((content->size - END_BYTES) / ENTRY_BYTES);
        findings = xcalloc(*count + 1u, sizeof *findings);
    }
    for (uint32_t i = 0; i < *count; i++) {
        const uint8_t *entry = content->data + (size_t)i * ENTRY_BYTES;
        uint32_t flags = get_u32(entry + SHA256_BYTES + 4);
        memcpy(findings[i].digest, entry, SHA256_BYTES);
        findings[i].features = get_u32(entry + SHA256_BYTES);
        findings[i].names_data = (flags & FLAG_NAMES_DATA) != 0;
        findings[i].indexes_memories = (flags & FLAG_INDEXES_MEMORIES) != 0;
    }
    bytes_unref(content);
    free(path);
    return findings;
}

void wasm_findings_write(const struct wasm_compiler *compiler, const uint8_t *hash,
                         struct wasm_module *const *modules, uint32_t count) {
    struct buf file = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct wasm_findings findings = wasm_module_findings(modules[i]);
        buf_append(&file, findings.digest, sizeof findings.digest);
        put_u32(&file, findings.features);
        put_u32(&file, (findings.names_data ? FLAG_NAMES_DATA : 0) |
                           (findings.indexes_memories ? FLAG_INDEXES_MEMORIES : 0));
    }
    put_u32(&file, crc32c(0, buf_slice(&file)));
    buf_append(&file, magic, sizeof magic);
    // A cache that cannot be written is fine: it may be there to be read only.
    struct error ignored = {0};
    char *path = path_of(compiler, hash);
    if (file.size <= FILE_BYTES_MAX && access(wasm_compiler_folder(compiler), W_OK) == 0 &&
        file_write_atomic(path, buf_slice(&file), 0600, &ignored) != OK)
        log_line(LOG_WARNING, "code cache: %s", ignored.message);
    free(path);
    buf_release(&file);
}

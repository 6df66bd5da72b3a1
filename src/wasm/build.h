// SPDX-License-Identifier: Apache-2.0
// From a normalised module to a shared object: the tools, and how they are run. compile.c decides
// when.
#ifndef WASM_BUILD_H
#define WASM_BUILD_H

#include "codec/sha256.h"
#include "wasm/internal.h"

// The translator and the C compilers, as they were found. Immutable after wasm_toolchain_find.
struct wasm_toolchain {
    char *wasm2c;
    char *compilers[WASM_TIER_COUNT];
    char *versions[WASM_TIER_COUNT];  // lines that say which tools make a tier; NULL: no such tier
    enum wabt_version wabt;
    bool is_newer;  // a translator newer than those known: its output may not compile
    uint64_t cpu_seconds;
    uint64_t memory_bytes;
    uint64_t part_bytes;  // of C, for one run of the optimising compiler
    int cancel;           // descriptor, see struct wasm_child
};

// Asks the tools for their versions and writes the answer into the cache's folder, where a compiler
// that never compiles finds it and so needs no tools. `toolchain` is to be released in any case.
enum status wasm_toolchain_find(const struct wasm_compiler_config *config, const char *folder,
                                struct wasm_toolchain *toolchain, struct error *error) MUST_CHECK;
void wasm_toolchain_release(struct wasm_toolchain *toolchain);

// The name of the tier's code in the cache: everything that its content follows from.
void wasm_build_key(const struct wasm_toolchain *toolchain, const struct wasm_module *module,
                    enum wasm_tier tier, char key[SHA256_TEXT_BYTES]);

// Builds in `folder`, which is empty and the caller's to remove, and stores the result in the cache
// at `path`. ERR_UNSUPPORTED when this tier does not take the module.
enum status wasm_build(const struct wasm_toolchain *toolchain, const struct wasm_module *module,
                       enum wasm_tier tier, const char *folder, const char *path,
                       struct error *error) MUST_CHECK;

// ---- split.c ---------------------------------------------------------------------------------

enum { WASM_PARTS_MAX = 256 };

// Reads the translator's output "m.c" in `folder` and writes it as "part0.c" to "part<N-1>.c", each
// with all declarations and its share of the functions, which are no longer static; part 0 has what
// else there is. With one part the functions stay static. What tcc gets wrong or does
// not take is written in another way when `for_tcc`. N is `parts`, at most WASM_PARTS_MAX.
enum status wasm_split(const char *folder, enum wabt_version version, uint32_t parts, bool for_tcc,
                       struct error *error) MUST_CHECK;

// ---- frames.c --------------------------------------------------------------------------------

// Checks that no function in the quick tier's object has a frame that could reach past the guard
// below a stack. ERR_UNSUPPORTED when one has, or when the functions cannot be recognised.
enum status wasm_check_frames(const char *path, uint32_t functions, struct error *error) MUST_CHECK;

// ---- stack_mark.c ------------------------------------------------------------------------------

// Makes a 64-bit ELF object say that it needs no executable stack, unless it does already.
// ERR_INVALID when it is something else.
enum status wasm_mark_stack(const char *path, struct error *error) MUST_CHECK;

#endif

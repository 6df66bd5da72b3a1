// SPDX-License-Identifier: Apache-2.0
// The code cache's files: checking, loading, storing, locking. compile.c decides when.
#ifndef WASM_CACHE_H
#define WASM_CACHE_H

#include "wasm/internal.h"

// Makes the folder if need be; it must belong to this user and be closed to others.
enum status wasm_cache_check_folder(const char *folder, struct error *error) MUST_CHECK;
// Whether it is a plain file of this user that nobody else can write.
enum status wasm_cache_check_file(const char *path, struct error *error) MUST_CHECK;
// Checks the file and loads it. ERR_NOT_FOUND when it is absent, ERR_DAMAGED when it is not whole.
enum status wasm_cache_load(const char *path, const struct wasm_module *module, void **handle,
                            const struct wasm_rt_code **code, struct error *error) MUST_CHECK;
// Puts a built shared object into the cache, atomically.
enum status wasm_cache_store(const char *built, const char *path, struct error *error) MUST_CHECK;
// Waits for the lock, which another process may hold as long as it builds; gives its descriptor, or
// -1 with the error set. ERR_STOPPING when `cancel` is readable before (negative: never).
int wasm_cache_lock(const char *path, int cancel, struct error *error) MUST_CHECK;
void wasm_cache_unlock(const char *path, int descriptor);
// Removes what builds that were killed left behind: folders and locks that no process holds.
void wasm_cache_sweep(const char *folder);
// Remembers why code could not be built, in a file of the cache; NULL forgets it.
void wasm_cache_set_failure(const char *path, const char *reason);
// Sets the error to the reason that is remembered, if one is: then true.
bool wasm_cache_get_failure(const char *path, struct error *error);

#endif

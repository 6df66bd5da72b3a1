// SPDX-License-Identifier: Apache-2.0
// From a module to loaded code: the table of what is loaded, the cache, and when to build (build.c
// says how).
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "wasm/build.h"
#include "wasm/cache.h"
#include "wasm/internal.h"

struct wasm_compiler {
    char *folder;  // absolute
    struct wasm_toolchain toolchain;
    bool never_compile;
    pthread_mutex_t lock;  // guards the objects, and `objects`
    pthread_cond_t built;  // an object stopped being `building`
    struct map objects;    // by key
};

struct wasm_object {
    uint32_t references;
    bool building;   // not loaded yet
    bool compiling;  // and that takes longer than reading the cache
    char key[SHA256_TEXT_BYTES];
    void *handle;
    const struct wasm_rt_code *code;
};

const char *wasm_tier_text(enum wasm_tier tier) {
    assert(tier < WASM_TIER_COUNT);
    return tier == WASM_TIER_QUICK ? "quick" : "optimised";
}

// ---- compiler --------------------------------------------------------------------------------

enum status wasm_compiler_new(const struct wasm_compiler_config *config, struct wasm_compiler **out,
                              struct error *error) {
    assert(config->cache_folder != NULL);
    *out = NULL;
    struct wasm_compiler *compiler = xcalloc(1, sizeof *compiler);
    compiler->never_compile = config->never_compile;
    compiler->toolchain.cancel = -1;
    (void)pthread_mutex_init(&compiler->lock, NULL);
    (void)pthread_cond_init(&compiler->built, NULL);
    enum status status = wasm_cache_check_folder(config->cache_folder, error);
    if (status == OK) {
        compiler->folder = realpath(config->cache_folder, NULL);
        if (compiler->folder == NULL)
            status = error_set_os(error, errno, "code cache %s", config->cache_folder);
    }
    if (status == OK)
        status = wasm_toolchain_find(config, compiler->folder, &compiler->toolchain, error);
    if (status == OK && !config->never_compile)
        wasm_cache_sweep(compiler->folder);
    if (status == OK) {
        compiler->toolchain.cancel = eventfd(0, EFD_CLOEXEC);
        if (compiler->toolchain.cancel < 0)
            status = error_set_os(error, errno, "eventfd");
    }
    if (status != OK) {
        wasm_compiler_free(compiler);
        return status;
    }
    *out = compiler;
    return OK;
}

void wasm_compiler_free(struct wasm_compiler *compiler) {
    if (compiler == NULL)
        return;
    assert(compiler->objects.live_count == 0 && "code is released before its compiler");
    map_release(&compiler->objects);
    (void)pthread_cond_destroy(&compiler->built);
    (void)pthread_mutex_destroy(&compiler->lock);
    if (compiler->toolchain.cancel > 0)
        (void)close(compiler->toolchain.cancel);
    wasm_toolchain_release(&compiler->toolchain);
    free(compiler->folder);
    free(compiler);
}

void wasm_compiler_cancel(struct wasm_compiler *compiler) {
    // Never read: from here on it is readable.
    uint64_t one = 1;
    ssize_t written = write(compiler->toolchain.cancel, &one, sizeof one);
    assert(written == sizeof one);
    (void)written;
}

const char *wasm_compiler_folder(const struct wasm_compiler *compiler) {
    return compiler->folder;
}

bool wasm_compiler_never_compiles(const struct wasm_compiler *compiler) {
    return compiler->never_compile;
}

bool wasm_compiler_has(const struct wasm_compiler *compiler, enum wasm_tier tier) {
    return compiler->toolchain.versions[tier] != NULL;
}

// ---- building --------------------------------------------------------------------------------

// What is asked for.
struct request {
    struct wasm_module *module;
    enum wasm_tier tier;
    bool only_cached;
};

// The module with its code read: compilation needs more of it than a cached start does.
static enum status read_code(const struct request *request, struct wasm_module **out,
                             struct error *error) {
    struct wasm_module *module = request->module;
    if (module->body->code_unread)
        return wasm_module_scan_part(module->source, module->binary, NULL, out, error);
    *out = wasm_module_ref(module);
    return OK;
}

// In a folder of the key's own. Whoever holds the key's lock is the only one there, so what lies in
// it is left from a build that was killed.
static enum status build(const struct wasm_compiler *compiler, const struct request *request,
                         const char *key, const char *path, struct error *error) {
    char folder[4096];
    (void)snprintf(folder, sizeof folder, "%s/%s.build", compiler->folder, key);
    struct wasm_module *module = NULL;
    enum status status = read_code(request, &module, error);
    if (status == OK)
        status = file_remove_tree(folder, error);
    if (status == OK && mkdir(folder, 0700) != 0)
        status = error_set_os(error, errno, "cannot make the folder %s to build in", folder);
    if (status == OK)
        status = wasm_build(&compiler->toolchain, module, request->tier, folder, path, error);
    (void)file_remove_tree(folder, NULL);
    wasm_module_unref(module);
    return status;
}

static enum status not_cached(const struct wasm_compiler *compiler, enum wasm_tier tier,
                              struct error *error) {
    if (!compiler->never_compile)
        return error_set(error, ERR_NOT_FOUND, "the code cache %s has no %s code for the module",
                         compiler->folder, wasm_tier_text(tier));
    return error_set(error, ERR_NOT_FOUND,
                     "compiling is switched off (--no-compile), and the code cache %s has no %s "
                     "code for the module: run 'theater compile' on it first",
                     compiler->folder, wasm_tier_text(tier));
}

// A failure that another try with the same tools would most likely end in.
static void remember_failure(const struct wasm_compiler *compiler, const char *key,
                             enum status status, const struct error *error) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s.failed", compiler->folder, key);
    if (status == OK)
        wasm_cache_set_failure(path, NULL);
    else if (status == ERR_INVALID || status == ERR_LIMIT || status == ERR_UNSUPPORTED)
        wasm_cache_set_failure(path, error->message);
}

// Loads from the cache, or builds under the cross-process lock and loads.
static enum status fill_object(struct wasm_compiler *compiler, const struct request *request,
                               struct wasm_object *object, struct error *error) {
    char path[4096], lock_path[4096];
    struct error why = {0};
    const struct wasm_module *module = request->module;
    bool may_build = !compiler->never_compile && !request->only_cached;
    (void)snprintf(path, sizeof path, "%s/%s.so", compiler->folder, object->key);
    (void)snprintf(lock_path, sizeof lock_path, "%s/%s.lock", compiler->folder, object->key);
    enum status status = wasm_cache_load(path, module, &object->handle, &object->code, &why);
    if (status == OK)
        return OK;
    if (!may_build && status == ERR_NOT_FOUND)
        return not_cached(compiler, request->tier, error);
    if (compiler->never_compile)
        return error_set(error, status, "%s", why.message);
    if (status != ERR_NOT_FOUND)
        log_line(LOG_WARNING, "code cache: %s; it is built again", why.message);
    if (!may_build)
        return not_cached(compiler, request->tier, error);
    pthread_mutex_lock(&compiler->lock);
    object->compiling = true;
    pthread_cond_broadcast(&compiler->built);
    pthread_mutex_unlock(&compiler->lock);
    int lock = wasm_cache_lock(lock_path, compiler->toolchain.cancel, error);
    if (lock < 0)
        return error->code;
    // Another process may have built it while we waited.
    status = wasm_cache_load(path, module, &object->handle, &object->code, NULL);
    if (status != OK) {
        status = build(compiler, request, object->key, path, error);
        remember_failure(compiler, object->key, status, error);
    }
    if (status == OK && object->handle == NULL)
        status = wasm_cache_load(path, module, &object->handle, &object->code, error);
    wasm_cache_unlock(lock_path, lock);
    return status;
}

static void drop_object(struct wasm_compiler *compiler, struct wasm_object *object) {
    pthread_mutex_lock(&compiler->lock);
    bool last = --object->references == 0;
    if (last)
        (void)map_remove(&compiler->objects, slice_text(object->key));
    pthread_mutex_unlock(&compiler->lock);
    if (!last)
        return;
    if (object->handle != NULL)
        (void)dlclose(object->handle);
    free(object);
}

// Gives the object of this key with one reference; `must_fill` says that the caller fills it. NULL
// when it is being compiled and only what is cached is wanted.
static struct wasm_object *find_object(struct wasm_compiler *compiler, const char *key,
                                       bool only_cached, bool *must_fill) {
    pthread_mutex_lock(&compiler->lock);
    struct wasm_object *object;
    while ((object = map_get_text(&compiler->objects, key)) != NULL && object->building) {
        if (only_cached && object->compiling) {
            pthread_mutex_unlock(&compiler->lock);
            return NULL;
        }
        pthread_cond_wait(&compiler->built, &compiler->lock);
    }
    *must_fill = object == NULL;
    if (object == NULL) {
        object = xcalloc(1, sizeof *object);
        object->building = true;
        memcpy(object->key, key, SHA256_TEXT_BYTES);
        bool added = map_add(&compiler->objects, slice_text(key), object);
        assert(added);
        (void)added;
    }
    object->references++;
    pthread_mutex_unlock(&compiler->lock);
    return object;
}

static void object_built(struct wasm_compiler *compiler, struct wasm_object *object, bool fine) {
    pthread_mutex_lock(&compiler->lock);
    object->building = false;
    // Those who wait for a failed one find nothing and try for themselves.
    if (!fine)
        (void)map_remove(&compiler->objects, slice_text(object->key));
    pthread_cond_broadcast(&compiler->built);
    pthread_mutex_unlock(&compiler->lock);
}

static struct wasm_code *new_code(struct wasm_compiler *compiler, const struct request *request,
                                  struct wasm_object *object) {
    struct wasm_module *module = request->module;
    struct wasm_code *code = xcalloc(1, sizeof *code);
    code->references = 1;
    code->module = wasm_module_ref(module);
    code->tier = request->tier;
    code->object = object;
    code->native = object->code;
    code->compiler = compiler;
    code->export_imports = wasm_export_imports(module);
    code->global_imports = wasm_imports_of(module, WASM_GLOBAL);
    code->memory_imports = wasm_imports_of(module, WASM_MEMORY);
    return code;
}

static enum status compile(struct wasm_compiler *compiler, const struct request *request,
                           struct wasm_code **out, struct error *error) {
    struct error own = {0};
    struct error *why = error != NULL ? error : &own;
    *out = NULL;
    if (!wasm_compiler_has(compiler, request->tier))
        return error_set(why, ERR_UNSUPPORTED, "there is no compiler for %s code here",
                         wasm_tier_text(request->tier));
    char key[SHA256_TEXT_BYTES];
    wasm_build_key(&compiler->toolchain, request->module, request->tier, key);
    bool must_fill;
    struct wasm_object *object = find_object(compiler, key, request->only_cached, &must_fill);
    if (object == NULL)
        return not_cached(compiler, request->tier, why);
    enum status status = OK;
    if (must_fill) {
        status = fill_object(compiler, request, object, why);
        object_built(compiler, object, status == OK);
    }
    if (status == OK) {
        *out = new_code(compiler, request, object);
    } else {
        // Nobody else has it: it left the table before anyone could take a reference.
        assert(object->references == 1);
        free(object);
    }
    return status;
}

enum status wasm_compile(struct wasm_compiler *compiler, struct wasm_module *module,
                         enum wasm_tier tier, struct wasm_code **out, struct error *error) {
    struct request request = {.module = module, .tier = tier};
    return compile(compiler, &request, out, error);
}

enum status wasm_compile_cached(struct wasm_compiler *compiler, struct wasm_module *module,
                                enum wasm_tier tier, struct wasm_code **out, struct error *error) {
    struct request request = {.module = module, .tier = tier, .only_cached = true};
    return compile(compiler, &request, out, error);
}

bool wasm_is_cached(const struct wasm_compiler *compiler, const struct wasm_module *module,
                    enum wasm_tier tier) {
    if (!wasm_compiler_has(compiler, tier))
        return false;
    char key[SHA256_TEXT_BYTES], path[4096];
    wasm_build_key(&compiler->toolchain, module, tier, key);
    (void)snprintf(path, sizeof path, "%s/%s.so", compiler->folder, key);
    return access(path, F_OK) == 0;
}

bool wasm_has_failed(const struct wasm_compiler *compiler, const struct wasm_module *module,
                     enum wasm_tier tier, struct error *error) {
    if (!wasm_compiler_has(compiler, tier))
        return false;
    char key[SHA256_TEXT_BYTES], path[4096];
    wasm_build_key(&compiler->toolchain, module, tier, key);
    (void)snprintf(path, sizeof path, "%s/%s.failed", compiler->folder, key);
    return wasm_cache_get_failure(path, error);
}

struct wasm_code *wasm_code_ref(struct wasm_code *code) {
    // Relaxed: whoever refs holds a reference already.
    atomic_fetch_add_explicit(&code->references, 1, memory_order_relaxed);
    return code;
}

void wasm_code_unref(struct wasm_code *code) {
    // Release our uses to the thread that frees; it acquires them.
    if (code == NULL || atomic_fetch_sub_explicit(&code->references, 1, memory_order_acq_rel) != 1)
        return;
    drop_object(code->compiler, code->object);
    wasm_module_unref(code->module);
    free(code->export_imports);
    free(code->global_imports);
    free(code->memory_imports);
    free(code);
}

const struct wasm_module *wasm_code_module(const struct wasm_code *code) {
    return code->module;
}

enum wasm_tier wasm_code_tier(const struct wasm_code *code) {
    return code->tier;
}

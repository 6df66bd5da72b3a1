// SPDX-License-Identifier: Apache-2.0
// From a module to loaded code: the table of what is loaded, the cache, and the build itself (the
// translator, then the C compiler, each in a limited child process, in a folder of its own).
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "codec/sha256.h"
#include "wasm/cache.h"
#include "wasm/internal.h"

// Modules with more code than this are compiled with -O1: -O2 gains little there and costs much.
static const uint64_t LARGE_CODE_BYTES = 1 << 20;
static const uint64_t DEFAULT_CPU_SECONDS = 900;
static const uint64_t DEFAULT_MEMORY_BYTES = UINT64_C(8) << 30;
static const uint64_t FILE_BYTES = UINT64_C(2) << 30;
// The newest wabt 1.0.x that was tried; what is newer is taken to be like it.
static const unsigned NEWEST_KNOWN_PATCH = 41;

// Without the second line conformance fails (DESIGN: tail recursion must overflow, signalling NaN
// must be quieted, x-0 must not be folded, products not be fused); "now" binds libc functions at
// load, so that no lazy binding is interrupted halfway.
static const char *const flags[] = {
    "-w",
    "-pipe",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-DNDEBUG",
    "-fno-optimize-sibling-calls",
    "-frounding-math",
    "-fsignaling-nans",
    "-ffp-contract=off",
    "-fstack-clash-protection",
    "-DWASM_RT_MEMCHECK_SIGNAL_HANDLER=0",
    "-DWASM_RT_USE_STACK_DEPTH_COUNT=0",
    "-Wl,-z,defs",
    "-Wl,-z,now",
    "-Wl,-z,noexecstack",
};

struct wasm_compiler {
    char *folder;  // absolute
    char *cc;
    char *wasm2c;
    char *tools;  // what makes code of one cache differ from that of another: versions
    enum wabt_version version;
    bool is_newer;  // a translator newer than those known: its output may not compile
    bool never_compile;
    uint64_t cpu_seconds;
    uint64_t memory_bytes;
    pthread_mutex_t lock;  // guards the objects, and `objects`
    pthread_cond_t built;  // an object stopped being `building`
    struct map objects;    // by key
};

struct wasm_object {
    uint32_t references;
    bool building;
    char key[SHA256_TEXT_BYTES];
    void *handle;
    const struct wasm_rt_code *code;
};

// ---- compiler --------------------------------------------------------------------------------

static char *choose(const char *given, const char *variable, const char *otherwise) {
    const char *value = given != NULL ? given : getenv(variable);
    return xstrdup(value != NULL && value[0] != 0 ? value : otherwise);
}

static enum status run(const struct wasm_compiler *compiler, const char *folder,
                       const char *const *argv, struct buf *output, struct error *error) {
    struct wasm_child child = {
        .folder = folder,
        .argv = argv,
        .cpu_seconds = compiler->cpu_seconds,
        .memory_bytes = compiler->memory_bytes,
        .file_bytes = FILE_BYTES,
        .wall_seconds = compiler->cpu_seconds * 2 + 10,
    };
    return wasm_child_run(&child, output, error);
}

// Appends the first line that the tool says about its version.
static enum status ask_version(const struct wasm_compiler *compiler, const char *tool,
                               struct buf *out, struct error *error) {
    struct buf output = {0};
    const char *argv[] = {tool, "--version", NULL};
    enum status status = run(compiler, compiler->folder, argv, &output, error);
    if (status == OK) {
        const char *text = buf_text(&output);
        buf_append(out, text, strcspn(text, "\n"));
        buf_append_byte(out, '\n');
    }
    buf_release(&output);
    return status;
}

// The version is the first line: "1.0.36", and more behind it in builds from a repository.
static void parse_wabt(struct wasm_compiler *compiler) {
    unsigned patch = 0;
    char next = 0;
    int found = sscanf(compiler->tools, "1.0.%4u%c", &patch, &next);
    if (found != 2 || patch > 9999 || (next >= '0' && next <= '9') || next == '.')
        return;
    if (patch == 32)
        compiler->version = WABT_1_0_32;
    else if (patch >= 34)
        compiler->version = WABT_1_0_34;
    compiler->is_newer = patch > NEWEST_KNOWN_PATCH;
}

// Asks the tools, and leaves the answer in the cache; a compiler that may not compile believes what
// is there, so that it needs no tools.
static enum status find_tools(struct wasm_compiler *compiler, struct error *error) {
    char *path = file_join(compiler->folder, "tools");
    struct bytes *known = NULL;
    struct buf text = {0};
    enum status status = OK;
    if (compiler->never_compile && file_read(path, 4096, &known, NULL) == OK) {
        buf_append_slice(&text, bytes_slice(known));
    } else {
        status = ask_version(compiler, compiler->wasm2c, &text, error);
        if (status == OK)
            status = ask_version(compiler, compiler->cc, &text, error);
        if (status == ERR_NOT_FOUND)
            (void)error_context(error,
                                "core modules need a translator (package wabt, $THEATER_WASM2C) "
                                "and a C compiler (package gcc, $THEATER_CC)");
        // A cache that cannot be written is fine as long as it holds what is asked for.
        struct error ignored = {0};
        if (status == OK && access(compiler->folder, W_OK) == 0 &&
            file_write_atomic(path, buf_slice(&text), 0600, &ignored) != OK)
            log_line(LOG_WARNING, "code cache: %s", ignored.message);
    }
    compiler->tools = xstrdup(buf_text(&text));
    parse_wabt(compiler);
    if (status == OK && compiler->version == WABT_UNKNOWN)
        status = error_set(error, ERR_UNSUPPORTED,
                           "%s has version %.*s; supported are 1.0.32, and 1.0.34 and later 1.0.x",
                           compiler->wasm2c, (int)strcspn(compiler->tools, "\n"), compiler->tools);
    buf_release(&text);
    bytes_unref(known);
    free(path);
    return status;
}

enum status wasm_compiler_new(const struct wasm_compiler_config *config, struct wasm_compiler **out,
                              struct error *error) {
    assert(config->cache_folder != NULL);
    *out = NULL;
    struct wasm_compiler *compiler = xcalloc(1, sizeof *compiler);
    compiler->cc = choose(config->cc, "THEATER_CC", "cc");
    compiler->wasm2c = choose(config->wasm2c, "THEATER_WASM2C", "wasm2c");
    compiler->never_compile = config->never_compile;
    compiler->cpu_seconds = config->cpu_seconds != 0 ? config->cpu_seconds : DEFAULT_CPU_SECONDS;
    compiler->memory_bytes =
        config->memory_bytes != 0 ? config->memory_bytes : DEFAULT_MEMORY_BYTES;
    (void)pthread_mutex_init(&compiler->lock, NULL);
    (void)pthread_cond_init(&compiler->built, NULL);
    enum status status = wasm_cache_check_folder(config->cache_folder, error);
    if (status == OK) {
        compiler->folder = realpath(config->cache_folder, NULL);
        if (compiler->folder == NULL)
            status = error_set_os(error, errno, "code cache %s", config->cache_folder);
    }
    if (status == OK)
        status = find_tools(compiler, error);
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
    free(compiler->folder);
    free(compiler->cc);
    free(compiler->wasm2c);
    free(compiler->tools);
    free(compiler);
}

// ---- building --------------------------------------------------------------------------------

static const char *optimisation(const struct wasm_module *module) {
    return module->code_bytes > LARGE_CODE_BYTES ? "-O1" : "-O2";
}

static void make_key(const struct wasm_compiler *compiler, const struct wasm_module *module,
                     struct slice normal, char key[SHA256_TEXT_BYTES]) {
    struct buf text = {0};
    uint8_t digest[SHA256_BYTES];
    buf_format(&text, "theater code %u\n%s%s\n", WASM_RT_ABI, compiler->tools,
               optimisation(module));
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        buf_format(&text, "%s\n", flags[i]);
    buf_append_slice(&text, wasm_rt_header_text());
    wasm_glue_write(module, compiler->version, &text);
    sha256_pair(buf_slice(&text), normal, digest);
    sha256_text(digest, key);
    buf_release(&text);
}

static enum status write_input(const char *folder, const char *name, struct slice content,
                               struct error *error) {
    char *path = file_join(folder, name);
    enum status status = file_write_atomic(path, content, 0600, error);
    free(path);
    return status;
}

static enum status translate(const struct wasm_compiler *compiler, const struct wasm_module *module,
                             const char *folder, struct error *error) {
    struct buf output = {0};
    bool several = module->body->spaces[WASM_MEMORY].count > 1 || module->body->indexes_memories;
    const char *argv[] = {compiler->wasm2c,
                          "-n",
                          "m",
                          "-o",
                          "m.c",
                          "m.wasm",
                          several ? "--enable-multi-memory" : NULL,
                          NULL};
    enum status status = run(compiler, folder, argv, &output, error);
    buf_release(&output);
    return status;
}

static enum status compile_c(const struct wasm_compiler *compiler, const struct wasm_module *module,
                             const char *folder, struct error *error) {
    struct buf output = {0};
    const char *argv[COUNT_OF(flags) + 8];
    size_t count = 0;
    argv[count++] = compiler->cc;
    argv[count++] = optimisation(module);
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        argv[count++] = flags[i];
    argv[count++] = "-o";
    argv[count++] = "m.so";
    argv[count++] = "unit.c";
    argv[count++] = "-lm";
    argv[count] = NULL;
    assert(count < COUNT_OF(argv));
    enum status status = run(compiler, folder, argv, &output, error);
    if (status == ERR_INVALID && compiler->is_newer)
        status =
            error_context(error,
                          "%s has version %.*s, newer than those known (up to 1.0.%u), and the "
                          "C that it writes does not compile",
                          compiler->wasm2c, (int)strcspn(compiler->tools, "\n"), compiler->tools,
                          NEWEST_KNOWN_PATCH);
    buf_release(&output);
    return status;
}

static enum status build_in(const struct wasm_compiler *compiler, const struct wasm_module *module,
                            struct slice normal, const char *folder, const char *path,
                            struct error *error) {
    struct buf unit = {0};
    wasm_glue_write(module, compiler->version, &unit);
    enum status status = write_input(folder, "m.wasm", normal, error);
    if (status == OK)
        status = write_input(folder, "wasm-rt.h", wasm_rt_header_text(), error);
    if (status == OK)
        status = write_input(folder, "unit.c", buf_slice(&unit), error);
    if (status == OK)
        status = translate(compiler, module, folder, error);
    if (status == OK)
        status = compile_c(compiler, module, folder, error);
    if (status == OK) {
        char *built = file_join(folder, "m.so");
        status = wasm_cache_store(built, path, error);
        free(built);
    }
    buf_release(&unit);
    return status;
}

static enum status build(const struct wasm_compiler *compiler, const struct wasm_module *module,
                         struct slice normal, const char *path, struct error *error) {
    char *folder = file_join(compiler->folder, "build-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        enum status status = error_set_os(
            error, errno, "code cache %s: cannot make a folder to build in", compiler->folder);
        free(folder);
        return status;
    }
    enum status status = build_in(compiler, module, normal, folder, path, error);
    (void)file_remove_tree(folder, NULL);
    free(folder);
    return status;
}

// Loads from the cache, or builds under the cross-process lock and loads.
static enum status fill_object(const struct wasm_compiler *compiler,
                               const struct wasm_module *module, struct slice normal,
                               struct wasm_object *object, struct error *error) {
    char path[4096], lock_path[4096];
    struct error why = {0};
    (void)snprintf(path, sizeof path, "%s/%s.so", compiler->folder, object->key);
    (void)snprintf(lock_path, sizeof lock_path, "%s/%s.lock", compiler->folder, object->key);
    enum status status = wasm_cache_load(path, module, &object->handle, &object->code, &why);
    if (status == OK)
        return OK;
    if (compiler->never_compile && status == ERR_NOT_FOUND)
        return error_set(error, ERR_NOT_FOUND,
                         "this node never compiles, and the code cache %s has no code for the "
                         "module: run 'theater compile' on it first",
                         compiler->folder);
    if (compiler->never_compile)
        return error_set(error, status, "%s", why.message);
    if (status != ERR_NOT_FOUND)
        log_line(LOG_WARNING, "code cache: %s; it is built again", why.message);
    int lock = wasm_cache_lock(lock_path, error);
    if (lock < 0)
        return error->code;
    // Another process may have built it while we waited.
    status = wasm_cache_load(path, module, &object->handle, &object->code, NULL);
    if (status != OK)
        status = build(compiler, module, normal, path, error);
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

// Gives the object of this key with one reference; `must_fill` says that the caller fills it.
static struct wasm_object *find_object(struct wasm_compiler *compiler, const char *key,
                                       bool *must_fill) {
    pthread_mutex_lock(&compiler->lock);
    struct wasm_object *object;
    while ((object = map_get_text(&compiler->objects, key)) != NULL && object->building)
        pthread_cond_wait(&compiler->built, &compiler->lock);
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

static struct wasm_code *new_code(struct wasm_compiler *compiler, struct wasm_module *module,
                                  struct wasm_object *object) {
    struct wasm_code *code = xcalloc(1, sizeof *code);
    code->references = 1;
    code->module = wasm_module_ref(module);
    code->object = object;
    code->native = object->code;
    code->compiler = compiler;
    code->export_imports = wasm_export_imports(module);
    code->global_imports = wasm_imports_of(module, WASM_GLOBAL);
    code->memory_imports = wasm_imports_of(module, WASM_MEMORY);
    return code;
}

enum status wasm_compile(struct wasm_compiler *compiler, struct wasm_module *module,
                         struct wasm_code **out, struct error *error) {
    struct error own = {0};
    struct error *why = error != NULL ? error : &own;
    struct buf normal = {0};
    char key[SHA256_TEXT_BYTES];
    *out = NULL;
    wasm_normalise(module, compiler->version, &normal);
    make_key(compiler, module, buf_slice(&normal), key);
    bool must_fill;
    struct wasm_object *object = find_object(compiler, key, &must_fill);
    enum status status = OK;
    if (must_fill) {
        status = fill_object(compiler, module, buf_slice(&normal), object, why);
        object_built(compiler, object, status == OK);
    }
    if (status == OK) {
        *out = new_code(compiler, module, object);
    } else {
        // Nobody else has it: it left the table before anyone could take a reference.
        assert(object->references == 1);
        free(object);
    }
    buf_release(&normal);
    return status;
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

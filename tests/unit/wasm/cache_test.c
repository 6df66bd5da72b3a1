// SPDX-License-Identifier: Apache-2.0
// From modules to code: the cache, its damage, missing tools, hostile names, concurrent requests.
#include <dirent.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"
#include "wasm/cache.h"
#include "wasm/internal.h"

static const char seven[] = "(module (func (export \"f\") (result i32) i32.const 7))";

static struct wasm_compiler *compiler_in(const char *folder, bool never_compile) {
    struct wasm_compiler_config config = {.cache_folder = folder, .never_compile = never_compile};
    struct wasm_compiler *compiler = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_compiler_new(&config, &compiler, &error), error);
    return compiler;
}

// The path of the only shared object in the folder; "" if there is none. Counts leftovers.
static void find_object(const char *folder, char *path, size_t size, int *others) {
    DIR *listing = opendir(folder);
    struct dirent *entry;
    path[0] = 0;
    *others = 0;
    REQUIRE(listing != NULL);
    while ((entry = readdir(listing)) != NULL) {
        if (strstr(entry->d_name, ".so") != NULL)
            (void)snprintf(path, size, "%s/%s", folder, entry->d_name);
        else if (entry->d_name[0] != '.' && strcmp(entry->d_name, "tools") != 0)
            ++*others;
    }
    (void)closedir(listing);
}

static struct wasm_code *compile_with(struct wasm_compiler *compiler, const char *text) {
    struct wasm_module *module = wat_module(text);
    struct wasm_code *code = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_compile(compiler, module, WASM_TIER_OPTIMISED, &code, &error), error);
    wasm_module_unref(module);
    return code;
}

static struct wasm_code *code_to_run;
static void expect_seven(struct wasm_context *context) {
    (void)context;
    struct wasm_instance *instance = make(code_to_run, NULL);
    EXPECT_U64(call(instance, 0, 0, 0), 7);
    wasm_instance_free(instance);
}
static void run_seven(struct wasm_code *code) {
    code_to_run = code;
    with_guest_stack(expect_seven, 0);
    wasm_code_unref(code);
}

TEST(code_comes_from_the_cache) {
    const char *folder = test_folder();
    char path[512];
    int others;
    struct stat before, after;
    struct wasm_compiler *compiler = compiler_in(folder, false);
    struct wasm_code *code = compile_with(compiler, seven);
    struct wasm_code *again = compile_with(compiler, seven);
    find_object(folder, path, sizeof path, &others);
    EXPECT(path[0] != 0 && others == 0);
    REQUIRE(stat(path, &before) == 0);
    EXPECT_U64(before.st_mode & 0777, 0600);
    run_seven(code);
    run_seven(again);
    wasm_compiler_free(compiler);

    // A node without tools, on a cache that nobody may write to.
    REQUIRE(chmod(folder, 0500) == 0);
    REQUIRE(setenv("THEATER_CC", "/nonexistent/cc", 1) == 0);
    compiler = compiler_in(folder, true);
    run_seven(compile_with(compiler, seven));
    struct wasm_module *other = wat_module("(module (func (export \"g\")))");
    struct wasm_code *none = NULL;
    struct error error = {0};
    EXPECT(wasm_compile(compiler, other, WASM_TIER_OPTIMISED, &none, &error) == ERR_NOT_FOUND);
    EXPECT_CONTAINS(error.message, "run 'theater compile'");
    wasm_module_unref(other);
    wasm_compiler_free(compiler);
    REQUIRE(unsetenv("THEATER_CC") == 0);
    REQUIRE(chmod(folder, 0700) == 0);
    REQUIRE(stat(path, &after) == 0);
    EXPECT(before.st_ino == after.st_ino);
}

static void damage(const char *path, bool cut) {
    FILE *file = fopen(path, "r+b");
    REQUIRE(file != NULL);
    if (cut)
        REQUIRE(ftruncate(fileno(file), 1000) == 0);
    REQUIRE(fseek(file, 500, SEEK_SET) == 0);
    REQUIRE(fputs("damage", file) >= 0);
    (void)fclose(file);
}

TEST(a_damaged_cache_file_is_built_again) {
    const char *folder = test_folder();
    char path[512];
    int others;
    for (int i = 0; i < 3; i++) {
        struct wasm_compiler *compiler = compiler_in(folder, false);
        run_seven(compile_with(compiler, seven));
        wasm_compiler_free(compiler);
        find_object(folder, path, sizeof path, &others);
        REQUIRE(path[0] != 0);
        damage(path, i == 1);
    }
}

TEST(a_cache_that_others_can_reach_is_refused) {
    const char *folder = test_folder();
    struct wasm_compiler_config config = {.cache_folder = folder};
    struct wasm_compiler *compiler = NULL;
    struct error error = {0};
    REQUIRE(chmod(folder, 0755) == 0);
    EXPECT(wasm_compiler_new(&config, &compiler, &error) == ERR_DENIED);
    EXPECT_CONTAINS(error.message, "chmod 700");
}

TEST(missing_tools_are_named) {
    struct wasm_compiler_config config = {.cache_folder = test_folder(), .cc = "no-such-compiler"};
    struct wasm_compiler *compiler = NULL;
    struct error error = {0};
    EXPECT(wasm_compiler_new(&config, &compiler, &error) == ERR_NOT_FOUND);
    EXPECT_CONTAINS(error.message, "no-such-compiler");
    error_clear(&error);
    config =
        (struct wasm_compiler_config){.cache_folder = config.cache_folder, .wasm2c = "/bin/false"};
    EXPECT(wasm_compiler_new(&config, &compiler, &error) != OK);
    EXPECT_CONTAINS(error.message, "/bin/false");
}

// A translator that says it has this version, and writes something that is not C.
static const char *translator_of(const char *version) {
    static char path[256];
    char text[256];
    struct error error = {0};
    (void)snprintf(path, sizeof path, "%s/translator", test_folder());
    (void)snprintf(text, sizeof text,
                   "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '%s'; else echo no >m.c; fi\n",
                   version);
    REQUIRE_OK(file_write_atomic(path, slice_text(text), 0700, &error), error);
    return path;
}

TEST(a_translator_of_another_version_is_refused) {
    static const char *const versions[] = {"1.0.31",   "1.0.33", "1.0.",   "1.0.3",
                                           "1.0.32.1", "1.1.36", "2.0.32", "no version"};
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        struct wasm_compiler_config config = {.cache_folder = test_folder(),
                                              .wasm2c = translator_of(versions[i])};
        struct wasm_compiler *compiler = NULL;
        struct error error = {0};
        EXPECT(wasm_compiler_new(&config, &compiler, &error) == ERR_UNSUPPORTED);
        EXPECT_CONTAINS(error.message, versions[i]);
        error_clear(&error);
    }
}

TEST(a_newer_translator_is_tried_and_named_when_it_fails) {
    struct wasm_module *module = wat_module("(module)");
    struct wasm_compiler_config config = {.cache_folder = test_folder(),
                                          .wasm2c = translator_of("1.0.999 (git~1)")};
    struct wasm_compiler *compiler = NULL;
    struct wasm_code *code = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_compiler_new(&config, &compiler, &error), error);
    EXPECT(wasm_compile(compiler, module, WASM_TIER_OPTIMISED, &code, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "1.0.999 (git~1), newer than those known");
    wasm_module_unref(module);
    wasm_compiler_free(compiler);
}

static bool host_nothing(void *data, uint64_t *slots) {
    (void)data;
    (void)slots;
    return true;
}

static void injection_body(struct wasm_context *context) {
    (void)context;
    struct wasm_func_type type = {0};
    struct wasm_extern import = {WASM_FUNC, {.func = {.type = &type, .host = host_nothing}}};
    struct wasm_instance *instance = make(code_to_run, &import);
    EXPECT_U64(call(instance, 0, 0, 0), 42);
    wasm_instance_free(instance);
}

TEST(names_of_a_guest_never_reach_the_c_compiler) {
    struct bytes *bytes = NULL;
    struct wasm_module *module = NULL;
    struct error error = {0};
    REQUIRE_OK(
        file_read(SOURCE_FOLDER "/tests/unit/wasm/data/injection.wasm", 1 << 20, &bytes, &error),
        error);
    REQUIRE_OK(wasm_module_scan(bytes, NULL, &module, &error), error);
    bytes_unref(bytes);
    EXPECT(slice_starts_with(module->exports[0].name, "*/"));
    REQUIRE_OK(wasm_compile(shared_compiler(), module, WASM_TIER_OPTIMISED, &code_to_run, &error),
               error);
    with_guest_stack(injection_body, 0);
    EXPECT(access("injected", F_OK) != 0);
    wasm_code_unref(code_to_run);
    wasm_module_unref(module);
}

struct request {
    struct wasm_compiler *compiler;
    struct wasm_module *module;
    struct wasm_code *code;
};

static void *request_main(void *argument) {
    struct request *request = argument;
    struct error error = {0};
    EXPECT_OK(wasm_compile(request->compiler, request->module, WASM_TIER_OPTIMISED, &request->code,
                           &error),
              error);
    return NULL;
}

TEST(two_requests_for_one_module_build_once) {
    const char *folder = test_folder();
    struct wasm_compiler *compiler = compiler_in(folder, false);
    struct request requests[4];
    pthread_t threads[COUNT_OF(requests)];
    struct wasm_module *module = wat_module(seven);
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        requests[i] = (struct request){compiler, module, NULL};
        REQUIRE(pthread_create(&threads[i], NULL, request_main, &requests[i]) == 0);
    }
    for (size_t i = 0; i < COUNT_OF(requests); i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    for (size_t i = 0; i < COUNT_OF(requests); i++)
        run_seven(requests[i].code);
    wasm_module_unref(module);
    wasm_compiler_free(compiler);
}

// Another process may hold it for as long as its compiler runs; a node that stops does not wait.
TEST(waiting_for_the_lock_of_another_build_can_be_cancelled) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/key.lock", test_folder());
    struct error error = {0};
    int held = wasm_cache_lock(path, -1, &error);
    REQUIRE(held >= 0);
    int cancel = eventfd(1, EFD_CLOEXEC);
    REQUIRE(cancel >= 0);
    EXPECT(wasm_cache_lock(path, cancel, &error) == -1);
    EXPECT(error.code == ERR_STOPPING);
    wasm_cache_unlock(path, held);
    held = wasm_cache_lock(path, cancel, &error);
    EXPECT(held >= 0);
    wasm_cache_unlock(path, held);
    (void)close(cancel);
}

// ---- findings ----------------------------------------------------------------------------------

static const uint8_t some_hash[32] = {1, 2, 3};
// Its code names data and memories, so that the findings are more than zeros.
static const char with_data[] =
    "(module (memory 1) (memory 1) (data $d \"\\07\")"
    " (func (export \"f\") (result i32)"
    "  (memory.init 0 $d (i32.const 0) (i32.const 0) (i32.const 1))"
    "  (memory.copy 1 0 (i32.const 8) (i32.const 0) (i32.const 1))"
    "  (i32.load8_u 1 (i32.const 8))))";

static struct wasm_module *scan_known(const struct wasm_module *module,
                                      const struct wasm_findings *known) {
    struct wasm_module *again = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_module_scan_part(module->source, module->binary, known, &again, &error), error);
    return again;
}

TEST(a_module_that_is_known_is_the_same_without_its_code_read) {
    struct wasm_compiler *compiler = compiler_in(test_folder(), false);
    struct wasm_module *module = wat_module(with_data);
    uint32_t count = 1;
    EXPECT(wasm_findings_read(compiler, some_hash, &count) == NULL && count == 0);
    wasm_findings_write(compiler, some_hash, &module, 1);
    struct wasm_findings *known = wasm_findings_read(compiler, some_hash, &count);
    REQUIRE(known != NULL && count == 1);
    struct wasm_module *again = scan_known(module, known);
    EXPECT(again->body->code_unread && !module->body->code_unread);
    EXPECT_U64(again->features, module->features);
    EXPECT(again->body->names_data && again->body->indexes_memories);
    EXPECT(memcmp(wasm_module_digest(again), wasm_module_digest(module), 32) == 0);
    // It can be compiled as well: then its code is read.
    struct wasm_code *code = NULL;
    struct error error = {0};
    REQUIRE_OK(wasm_compile(compiler, again, WASM_TIER_OPTIMISED, &code, &error), error);
    run_seven(code);
    // And both have the same code.
    EXPECT(wasm_is_cached(compiler, module, WASM_TIER_OPTIMISED));
    free(known);
    wasm_module_unref(again);
    wasm_module_unref(module);
    wasm_compiler_free(compiler);
}

TEST(damaged_findings_are_none) {
    const char *folder = test_folder();
    struct wasm_compiler *compiler = compiler_in(folder, false);
    struct wasm_module *module = wat_module(seven);
    char path[512] = "";
    wasm_findings_write(compiler, some_hash, &module, 1);
    DIR *listing = opendir(folder);
    REQUIRE(listing != NULL);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;)
        if (strstr(entry->d_name, ".valid") != NULL)
            (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    (void)closedir(listing);
    struct bytes *content = NULL;
    struct error error = {0};
    REQUIRE_OK(file_read(path, 1000, &content, &error), error);
    for (size_t at = 0; at <= content->size; at++) {
        // Each byte changed, then the file cut off before it.
        for (int cut = 0; cut < 2; cut++) {
            struct bytes *damaged = bytes_copy(slice_of(content->data, cut ? at : content->size));
            uint32_t count = 1;
            bool is_whole = at == content->size;
            if (!cut && !is_whole)
                damaged->data[at] ^= 0x10;
            REQUIRE_OK(file_write_atomic(path, bytes_slice(damaged), 0600, &error), error);
            struct wasm_findings *known = wasm_findings_read(compiler, some_hash, &count);
            EXPECT((known != NULL) == is_whole && count == is_whole);
            free(known);
            bytes_unref(damaged);
        }
    }
    REQUIRE(chmod(path, 0622) == 0);
    uint32_t count = 1;
    EXPECT(wasm_findings_read(compiler, some_hash, &count) == NULL && count == 0);
    bytes_unref(content);
    wasm_module_unref(module);
    wasm_compiler_free(compiler);
}

// ---- failures, and what killed builds left -----------------------------------------------------

TEST(a_build_that_failed_is_remembered_until_one_succeeds) {
    char tool[256], works[256], text[1024];
    struct error error = {0};
    (void)snprintf(tool, sizeof tool, "%s/wasm2c", test_folder());
    (void)snprintf(works, sizeof works, "%s/works", test_folder());
    (void)snprintf(
        text, sizeof text,
        "#!/bin/sh\nif [ \"$1\" = --version ] || [ -e %s ]; then exec wasm2c \"$@\"; fi\n"
        "echo no >m.c\n",
        works);
    REQUIRE_OK(file_write_atomic(tool, slice_text(text), 0700, &error), error);
    struct wasm_compiler_config config = {.cache_folder = test_folder(), .wasm2c = tool};
    struct wasm_compiler *compiler = NULL;
    struct wasm_module *module = wat_module(seven);
    struct wasm_code *code = NULL;
    REQUIRE_OK(wasm_compiler_new(&config, &compiler, &error), error);
    EXPECT(!wasm_has_failed(compiler, module, WASM_TIER_OPTIMISED, &error));
    EXPECT(wasm_compile(compiler, module, WASM_TIER_OPTIMISED, &code, &error) == ERR_INVALID);
    struct error why = {0};
    EXPECT(wasm_has_failed(compiler, module, WASM_TIER_OPTIMISED, &why));
    EXPECT_TEXT(why.message, error.message);
    error_clear(&error);
    REQUIRE_OK(file_write_atomic(works, slice_text(""), 0600, &error), error);
    REQUIRE_OK(wasm_compile(compiler, module, WASM_TIER_OPTIMISED, &code, &error), error);
    EXPECT(!wasm_has_failed(compiler, module, WASM_TIER_OPTIMISED, &error));
    wasm_code_unref(code);
    wasm_module_unref(module);
    wasm_compiler_free(compiler);
}

TEST(what_killed_builds_left_is_removed_and_what_lives_stays) {
    static const char dead[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static const char live[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const char *folder = test_folder();
    char paths[5][512];
    struct error error = {0};
    (void)snprintf(paths[0], sizeof paths[0], "%s/%s.build", folder, dead);
    (void)snprintf(paths[1], sizeof paths[1], "%s/%s.lock", folder, dead);
    (void)snprintf(paths[2], sizeof paths[2], "%s/%s.build", folder, live);
    (void)snprintf(paths[3], sizeof paths[3], "%s/%s.lock", folder, live);
    (void)snprintf(paths[4], sizeof paths[4], "%s/%s.build/m.c", folder, dead);
    REQUIRE(mkdir(paths[0], 0700) == 0 && mkdir(paths[2], 0700) == 0);
    REQUIRE_OK(file_write_atomic(paths[1], slice_text(""), 0600, &error), error);
    REQUIRE_OK(file_write_atomic(paths[4], slice_text("x"), 0600, &error), error);
    int held = wasm_cache_lock(paths[3], -1, &error);
    REQUIRE(held >= 0);
    wasm_compiler_free(compiler_in(folder, true));
    EXPECT(access(paths[0], F_OK) == 0);  // a node that never compiles leaves the cache alone
    wasm_compiler_free(compiler_in(folder, false));
    EXPECT(access(paths[0], F_OK) != 0 && access(paths[1], F_OK) != 0);
    EXPECT(access(paths[2], F_OK) == 0 && access(paths[3], F_OK) == 0);
    wasm_cache_unlock(paths[3], held);
    wasm_compiler_free(compiler_in(folder, false));
    EXPECT(access(paths[2], F_OK) != 0 && access(paths[3], F_OK) != 0);
}

int main(void) {
    return test_main();
}

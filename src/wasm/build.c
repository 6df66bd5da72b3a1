// SPDX-License-Identifier: Apache-2.0
// The build of one module: the translator, then a C compiler, each in limited child processes in a
// folder of its own.
//
// The quick tier is one translation unit for tcc, which compiles tens of megabytes of C per second
// to code that is several times slower. The optimised tier of a large module is split into parts
// that are compiled side by side: as one unit it would take gigabytes and minutes on one core.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "wasm/build.h"
#include "wasm/cache.h"

// Modules with more code than this are compiled with -O1: -O2 gains little there and costs much.
static const uint64_t LARGE_CODE_BYTES = 1 << 20;
static const uint64_t FILE_BYTES = UINT64_C(2) << 30;
static const uint64_t PART_MEMORY_BYTES = UINT64_C(2) << 30;

enum { JOBS_MAX = 16, FLAGS_MAX = 32 };

// For all compilers: explicit checks of bounds, guard pages below the stack instead of a counter.
#define DEFINITIONS \
    "-DNDEBUG", "-DWASM_RT_MEMCHECK_SIGNAL_HANDLER=0", "-DWASM_RT_USE_STACK_DEPTH_COUNT=0"

// Without the third line conformance fails (DESIGN: tail recursion must overflow, signalling NaN
// must be quieted, x-0 must not be folded, products not be fused).
static const char *const optimised_flags[] = {
    "-w",
    "-pipe",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-optimize-sibling-calls",
    "-frounding-math",
    "-fsignaling-nans",
    "-ffp-contract=off",
    "-fstack-clash-protection",
    DEFINITIONS,
};
// "now" binds libc functions at load, so that no lazy binding is interrupted halfway.
static const char *const link_flags[] = {
    "-shared", "-Wl,-z,defs", "-Wl,-z,now", "-Wl,-z,noexecstack", "-o", "m.so",
};
static const char *const quick_flags[] = {
    "-w", "-Werror=implicit-function-declaration", "-fPIC", "-shared", "-o", "m.so", DEFINITIONS,
};

static const char *optimisation(const struct wasm_module *module) {
    return module->code_bytes > LARGE_CODE_BYTES ? "-O1" : "-O2";
}

void wasm_build_key(const struct wasm_toolchain *toolchain, const struct wasm_module *module,
                    enum wasm_tier tier, char key[SHA256_TEXT_BYTES]) {
    struct buf text = {0};
    uint8_t digest[SHA256_BYTES];
    bool quick = tier == WASM_TIER_QUICK;
    buf_format(&text, "theater code 3 %u\n%s\n%s %llu\n", WASM_RT_ABI, toolchain->versions[tier],
               quick ? "quick" : optimisation(module), (unsigned long long)toolchain->part_bytes);
    const char *const *flags = quick ? quick_flags : optimised_flags;
    size_t count = quick ? COUNT_OF(quick_flags) : COUNT_OF(optimised_flags);
    for (size_t i = 0; i < count; i++)
        buf_format(&text, "%s\n", flags[i]);
    for (size_t i = 0; i < COUNT_OF(link_flags) && !quick; i++)
        buf_format(&text, "%s\n", link_flags[i]);
    buf_append_slice(&text, wasm_rt_header_text());
    wasm_glue_write(module, toolchain->wabt, "", &text);
    sha256_pair(buf_slice(&text), slice_of(wasm_module_digest(module), SHA256_BYTES), digest);
    sha256_text(digest, key);
    buf_release(&text);
}

// ---- one build ---------------------------------------------------------------------------------

struct job {
    const struct wasm_toolchain *toolchain;
    const struct wasm_module *module;
    enum wasm_tier tier;
    const char *folder;
    uint32_t parts;
};

// A new file: what the translator may have left under the name is an error, not followed.
static enum status write_input(const struct job *job, const char *name, struct slice content,
                               struct error *error) {
    char *path = file_join(job->folder, name);
    enum status status = OK;
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int failed = descriptor < 0 ? errno : file_write_all(descriptor, content.data, content.size);
    if (failed != 0)
        status = error_set_os(error, failed, "writing %s", path);
    if (descriptor >= 0)
        (void)close(descriptor);
    free(path);
    return status;
}

static struct wasm_child child_of(const struct job *job, const char *const *argv) {
    return (struct wasm_child){
        .folder = job->folder,
        .argv = argv,
        .cpu_seconds = job->toolchain->cpu_seconds,
        .memory_bytes = job->toolchain->memory_bytes,
        .file_bytes = FILE_BYTES,
        .wall_seconds = job->toolchain->cpu_seconds * 2 + 10,
        .cancel = job->toolchain->cancel,
    };
}

static enum status run(const struct job *job, const char *const *argv, struct error *error) {
    struct buf output = {0};
    struct wasm_child child = child_of(job, argv);
    enum status status = wasm_child_run(&child, &output, error);
    buf_release(&output);
    return status;
}

static enum status translate(const struct job *job, struct error *error) {
    const struct wasm_module_body *body = job->module->body;
    bool several = body->spaces[WASM_MEMORY].count > 1 || body->indexes_memories;
    const char *argv[] = {job->toolchain->wasm2c,
                          "-n",
                          "m",
                          "-o",
                          "m.c",
                          "m.wasm",
                          several ? "--enable-multi-memory" : NULL,
                          NULL};
    return run(job, argv, error);
}

// How many parts the translator's output is to be compiled in. One without functions is not cut:
// their declarations tell the splitter where the helpers end (split.c).
static enum status count_parts(struct job *job, struct error *error) {
    const struct wasm_module_body *body = job->module->body;
    const struct wasm_items *functions = &body->spaces[WASM_FUNC];
    bool has_functions = functions->count > functions->imported || body->extended;
    char *path = file_join(job->folder, "m.c");
    struct stat info;
    enum status status = OK;
    job->parts = 1;
    if (lstat(path, &info) != 0 || !S_ISREG(info.st_mode))
        status = error_set_os(error, errno, "%s, which the translator was to write", path);
    else if (job->tier == WASM_TIER_OPTIMISED && has_functions)
        job->parts = (uint32_t)((uint64_t)info.st_size / job->toolchain->part_bytes) + 1;
    if (job->parts > WASM_PARTS_MAX)
        job->parts = WASM_PARTS_MAX;
    free(path);
    return status;
}

// The units that are compiled: "unit<N>.c" includes part N of the output, and unit 0 has the glue.
static enum status write_units(const struct job *job, struct error *error) {
    bool quick = job->tier == WASM_TIER_QUICK;
    bool is_split = job->parts > 1 || quick;
    enum status status = OK;
    if (is_split)
        status = wasm_split(job->folder, job->toolchain->wabt, job->parts, quick, error);
    for (uint32_t i = 0; i < job->parts && status == OK; i++) {
        struct buf unit = {0};
        char name[32];
        if (job->parts > 1)
            buf_format(&unit, "#define WASM_RT_PART %u\n", i);
        (void)snprintf(name, sizeof name, is_split ? "part%u.c" : "m.c", i);
        if (i == 0)
            wasm_glue_write(job->module, job->toolchain->wabt, name, &unit);
        else
            wasm_glue_include(job->toolchain->wabt, name, &unit);
        (void)snprintf(name, sizeof name, "unit%u.c", i);
        status = write_input(job, name, buf_slice(&unit), error);
        buf_release(&unit);
    }
    return status;
}

static size_t put_flags(const char **argv, size_t count, const char *const *flags, size_t more) {
    assert(count + more < FLAGS_MAX);
    memcpy(argv + count, flags, more * sizeof *flags);
    return count + more;
}

static enum status compile_quick(const struct job *job, struct error *error) {
    const char *argv[FLAGS_MAX] = {job->toolchain->compilers[WASM_TIER_QUICK]};
    size_t count = put_flags(argv, 1, quick_flags, COUNT_OF(quick_flags));
    argv[count++] = "unit0.c";
    argv[count] = "-lm";
    enum status status = run(job, argv, error);
    if (status == OK) {
        char *built = file_join(job->folder, "m.so");
        status = wasm_check_frames(built, job->module->func_count, error);
        if (status == OK)
            status = wasm_mark_stack(built, error);
        free(built);
    }
    return status;
}

static enum status compile_one(const struct job *job, struct error *error) {
    const char *argv[FLAGS_MAX] = {job->toolchain->compilers[WASM_TIER_OPTIMISED],
                                   optimisation(job->module)};
    size_t count = put_flags(argv, 2, optimised_flags, COUNT_OF(optimised_flags));
    count = put_flags(argv, count, link_flags, COUNT_OF(link_flags));
    argv[count++] = "unit0.c";
    argv[count] = "-lm";
    return run(job, argv, error);
}

// ---- parts, side by side -----------------------------------------------------------------------

struct part {
    char source[32], object[32];
    const char *argv[FLAGS_MAX];
    struct wasm_process process;
};

static enum status start_part(const struct job *job, struct part *part, uint32_t i,
                              uint64_t memory_bytes, struct error *error) {
    *part = (struct part){.argv = {job->toolchain->compilers[WASM_TIER_OPTIMISED],
                                   optimisation(job->module), "-c", "-o"}};
    (void)snprintf(part->source, sizeof part->source, "unit%u.c", i);
    (void)snprintf(part->object, sizeof part->object, "unit%u.o", i);
    part->argv[4] = part->object;
    part->argv[5] = part->source;
    (void)put_flags(part->argv, 6, optimised_flags, COUNT_OF(optimised_flags));
    struct wasm_child child = child_of(job, part->argv);
    child.memory_bytes = memory_bytes;
    return wasm_child_start(&child, &part->process, error);
}

// As many parts run at a time as there are processors and memory for.
static uint32_t count_jobs(const struct wasm_toolchain *toolchain, uint64_t *memory_bytes) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t jobs = toolchain->memory_bytes / PART_MEMORY_BYTES;
    if (processors > 0 && jobs > (uint64_t)processors)
        jobs = (uint64_t)processors;
    if (jobs > JOBS_MAX)
        jobs = JOBS_MAX;
    if (jobs == 0)
        jobs = 1;
    *memory_bytes = toolchain->memory_bytes / jobs;
    return (uint32_t)jobs;
}

static enum status link_parts(const struct job *job, struct error *error) {
    const char *argv[FLAGS_MAX + WASM_PARTS_MAX] = {job->toolchain->compilers[WASM_TIER_OPTIMISED]};
    char names[WASM_PARTS_MAX][32];
    size_t count = put_flags(argv, 1, link_flags, COUNT_OF(link_flags));
    for (uint32_t i = 0; i < job->parts; i++) {
        (void)snprintf(names[i], sizeof names[i], "unit%u.o", i);
        argv[count++] = names[i];
    }
    argv[count] = "-lm";
    return run(job, argv, error);
}

static enum status compile_parts(const struct job *job, struct error *error) {
    uint64_t memory_bytes;
    uint32_t jobs = count_jobs(job->toolchain, &memory_bytes);
    struct part *running = xcalloc(jobs, sizeof *running);
    enum status status = OK;
    uint32_t started = 0, ended = 0;
    // In the order of their start; a place in the ring is free again when its part was waited for.
    while (ended < started || (status == OK && started < job->parts)) {
        if (status == OK && started < job->parts && started - ended < jobs) {
            status = start_part(job, &running[started % jobs], started, memory_bytes, error);
            started += status == OK;
            continue;
        }
        struct buf output = {0};
        enum status one =
            wasm_child_wait(&running[ended++ % jobs].process, &output, status == OK ? error : NULL);
        status = status == OK ? one : status;
        buf_release(&output);
    }
    free(running);
    return status == OK ? link_parts(job, error) : status;
}

// ---- all of it ---------------------------------------------------------------------------------

static enum status compile_c(const struct job *job, struct error *error) {
    const struct wasm_toolchain *toolchain = job->toolchain;
    enum status status;
    if (job->tier == WASM_TIER_QUICK)
        status = compile_quick(job, error);
    else if (job->parts == 1)
        status = compile_one(job, error);
    else
        status = compile_parts(job, error);
    if (status == ERR_INVALID && toolchain->is_newer)
        status =
            error_context(error,
                          "%s has version %.*s, newer than those known, and the C that it "
                          "writes does not compile",
                          toolchain->wasm2c, (int)strcspn(toolchain->versions[job->tier], "\n"),
                          toolchain->versions[job->tier]);
    return status;
}

enum status wasm_build(const struct wasm_toolchain *toolchain, const struct wasm_module *module,
                       enum wasm_tier tier, const char *folder, const char *path,
                       struct error *error) {
    struct job job = {
        .toolchain = toolchain, .module = module, .tier = tier, .folder = folder, .parts = 1};
    struct buf normal = {0};
    wasm_normalise(module, toolchain->wabt, &normal);
    enum status status = write_input(&job, "m.wasm", buf_slice(&normal), error);
    buf_release(&normal);
    if (status == OK)
        status = write_input(&job, "wasm-rt.h", wasm_rt_header_text(), error);
    if (status == OK)
        status = translate(&job, error);
    if (status == OK)
        status = count_parts(&job, error);
    if (status == OK)
        status = write_units(&job, error);
    if (status == OK)
        status = compile_c(&job, error);
    if (status == OK) {
        char *built = file_join(folder, "m.so");
        status = wasm_cache_store(built, path, error);
        free(built);
    }
    return status;
}

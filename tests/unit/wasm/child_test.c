// SPDX-License-Identifier: Apache-2.0
// The limits of child processes hold, and failures say what happened.
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "test.h"
#include "wasm/internal.h"

static enum status shell(const char *script, uint64_t wall_seconds, struct buf *output,
                         struct error *error) {
    const char *argv[] = {"sh", "-c", script, NULL};
    struct wasm_child child = {.folder = test_folder(),
                               .argv = argv,
                               .cpu_seconds = 1,
                               .memory_bytes = UINT64_C(1) << 30,
                               .file_bytes = 100000,
                               .wall_seconds = wall_seconds};
    return wasm_child_run(&child, output, error);
}

static void expect_end_in(uint64_t wall_seconds, const char *script, enum status wanted,
                          const char *part) {
    struct buf output = {0};
    struct error error = {0};
    enum status status = shell(script, wall_seconds, &output, &error);
    EXPECT_TEXT(status_text(status), status_text(wanted));
    EXPECT_CONTAINS(status == OK ? buf_text(&output) : error.message, part);
    buf_release(&output);
}

static void expect_end(const char *script, enum status wanted, const char *part) {
    expect_end_in(120, script, wanted, part);
}

TEST(output_and_failure_are_reported) {
    expect_end("echo fine; echo too >&2", OK, "fine\ntoo");
    expect_end("echo because; exit 3", ERR_INVALID, "exit status 3): because");
    expect_end("kill -ABRT $$", ERR_INVALID, "signal 6");
    expect_end("exit 127", ERR_NOT_FOUND, "is it installed");
}

TEST(time_and_size_are_limited) {
    expect_end("while :; do :; done", ERR_LIMIT, "CPU time");
    expect_end_in(1, "sleep 60", ERR_LIMIT, "longer than 1 s");
    expect_end_in(1, "exec >&- 2>&-; sleep 60", ERR_LIMIT, "longer than 1 s");
    expect_end("exec head -c 200000 /dev/zero > f", ERR_LIMIT, "wrote more than");
}

TEST(a_process_left_behind_is_ended) {
    struct buf output = {0};
    struct error error = {0};
    EXPECT_OK(shell("sleep 61 >/dev/null 2>&1 & echo $!", 120, &output, &error), error);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/cmdline", (int)strtol(buf_text(&output), NULL, 10));
    // Killed, though perhaps not yet reaped: a dead process has no command line.
    for (int i = 0; i < 1000; i++) {
        FILE *file = fopen(path, "r");
        int first = file == NULL ? EOF : fgetc(file);
        if (file != NULL)
            (void)fclose(file);
        if (first == EOF)
            break;
        EXPECT(i < 999);
        (void)usleep(1000);
    }
    buf_release(&output);
}

TEST(network_and_other_files_are_out_of_reach) {
    const char *other = test_folder();
    char script[512];
    expect_end("perl -e 'use Socket; exit(socket(my $s, PF_INET, SOCK_STREAM, 0) ? 0 : 7)'",
               ERR_INVALID, "exit status 7");
    expect_end("echo x > inside && cat inside", OK, "x");
    (void)snprintf(script, sizeof script, "echo x > %s/outside", other);
    struct buf output = {0};
    struct error error = {0};
    enum status status = shell(script, 120, &output, &error);
    buf_release(&output);
    if (status == OK)
        SKIP("this kernel has no Landlock");
    EXPECT_CONTAINS(error.message, "ermission denied");
}

TEST(a_cancelled_child_ends_at_once) {
    const char *argv[] = {"sleep", "60", NULL};
    int cancel = eventfd(1, EFD_CLOEXEC);
    struct wasm_child child = {.folder = test_folder(),
                               .argv = argv,
                               .cpu_seconds = 1,
                               .memory_bytes = 1 << 30,
                               .file_bytes = 1,
                               .wall_seconds = 40,
                               .cancel = cancel};
    // Often, since it may be ended before it has begun.
    for (int i = 0; i < 20; i++) {
        struct buf output = {0};
        struct error error = {0};
        EXPECT(wasm_child_run(&child, &output, &error) == ERR_STOPPING);
        EXPECT_CONTAINS(error.message, "the node stops");
        buf_release(&output);
    }
    (void)close(cancel);
}

TEST(a_program_is_found_as_a_shell_finds_it) {
    struct buf output = {0};
    struct error error = {0};
    const char *argv[] = {"no-such-tool", NULL};
    struct wasm_child child = {.folder = test_folder(),
                               .argv = argv,
                               .cpu_seconds = 1,
                               .memory_bytes = 1 << 30,
                               .file_bytes = 1,
                               .wall_seconds = 60};
    EXPECT(wasm_child_run(&child, &output, &error) == ERR_NOT_FOUND);
    EXPECT_CONTAINS(error.message, "cannot run no-such-tool");
    argv[0] = "/etc/passwd";
    error = (struct error){0};
    EXPECT(wasm_child_run(&child, &output, &error) == ERR_NOT_FOUND);
    argv[0] = "/bin/sh";
    error = (struct error){0};
    EXPECT_OK(wasm_child_run(&child, &output, &error), error);
    buf_release(&output);
}

// ---- threads that hold locks at the moment of a fork -------------------------------------------

static _Atomic bool enough;

// So many that they go past the thread's own cache, to what is under a lock.
static void *allocate(void *first_size) {
    unsigned round = *(const unsigned *)first_size;
    while (!atomic_load(&enough)) {
        void *blocks[2048];
        for (size_t i = 0; i < COUNT_OF(blocks); i++)
            blocks[i] = xmalloc((size_t)16 << round % 10);
        for (size_t i = 0; i < COUNT_OF(blocks); i++)
            free(blocks[i]);
        round++;
    }
    return NULL;
}

static void *start_children(void *unused) {
    (void)unused;
    const char *argv[] = {"true", NULL};
    struct wasm_child child = {.folder = "/",
                               .argv = argv,
                               .cpu_seconds = 10,
                               .memory_bytes = 1 << 30,
                               .file_bytes = 1,
                               .wall_seconds = 20};
    for (int i = 0; i < 60; i++) {
        struct buf output = {0};
        struct error error = {0};
        EXPECT_OK(wasm_child_run(&child, &output, &error), error);
        buf_release(&output);
    }
    return NULL;
}

TEST(children_start_while_other_threads_allocate) {
    pthread_t allocating[4], starting[3];
    unsigned first_sizes[COUNT_OF(allocating)];
    for (unsigned i = 0; i < COUNT_OF(allocating); i++) {
        first_sizes[i] = i;
        REQUIRE(pthread_create(&allocating[i], NULL, allocate, &first_sizes[i]) == 0);
    }
    for (size_t i = 0; i < COUNT_OF(starting); i++)
        REQUIRE(pthread_create(&starting[i], NULL, start_children, NULL) == 0);
    for (size_t i = 0; i < COUNT_OF(starting); i++)
        REQUIRE(pthread_join(starting[i], NULL) == 0);
    atomic_store(&enough, true);
    for (size_t i = 0; i < COUNT_OF(allocating); i++)
        REQUIRE(pthread_join(allocating[i], NULL) == 0);
}

int main(void) {
    return test_main();
}

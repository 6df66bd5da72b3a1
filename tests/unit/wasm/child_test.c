// SPDX-License-Identifier: Apache-2.0
// The limits of child processes hold, and failures say what happened.
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

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <stdarg.h>
#include <unistd.h>

#include "base/file.h"

struct test_case *test_first;
struct test_case **test_last = &test_first;
bool test_failed;
char test_skip_reason[256];
jmp_buf test_end;

static char *folders[64];
static size_t folder_count;

static void remove_folders(void) {
    for (size_t i = 0; i < folder_count; i++) {
        (void)file_remove_tree(folders[i], NULL);
        free(folders[i]);
    }
}

const char *test_folder(void) {
    if (folder_count == 0) {
        atexit(remove_folders);
    }
    if (folder_count == COUNT_OF(folders)) {
        fatal("too many test folders");
    }
    const char *base = getenv("TMPDIR");
    char *path = file_join(base != NULL ? base : "/tmp", "theater-test-XXXXXX");
    if (mkdtemp(path) == NULL) {
        fatal("cannot make a test folder");
    }
    folders[folder_count++] = path;
    return path;
}

void test_report(const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    printf("# %s:%d: ", file, line);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    test_failed = true;
}

// Runs one test in a frame of its own, so that no local of the caller is live across the jump.
static void run_one(void (*run)(void)) {
    if (setjmp(test_end) == 0) {
        run();
    }
}

int test_main(void) {
    int failures = 0;
    int number = 0;
    for (struct test_case *test = test_first; test != NULL; test = test->next) {
        number++;
        test_failed = false;
        test_skip_reason[0] = '\0';
        run_one(test->run);
        failures += test_failed;
        printf("%sok %d - %s%s%s\n", test_failed ? "not " : "", number, test->name,
               test_skip_reason[0] != '\0' ? " # SKIP " : "", test_skip_reason);
        fflush(stdout);
    }
    printf("1..%d\n", number);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

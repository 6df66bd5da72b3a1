// SPDX-License-Identifier: Apache-2.0
// Errors: the first wins, context goes before, long messages are cut on a character boundary.
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

TEST(every_code_has_a_sentence) {
    for (int code = 0; code < STATUS_COUNT; code++) {
        EXPECT(strlen(status_text((enum status)code)) > 0);
        for (int other = 0; other < code; other++) {
            EXPECT(strcmp(status_text((enum status)code), status_text((enum status)other)) != 0);
        }
    }
    EXPECT_TEXT(status_text(OK), "ok");
    EXPECT_TEXT(status_text(STATUS_COUNT), "unknown status");
    EXPECT_TEXT(status_text((enum status)9999), "unknown status");
}

TEST(the_first_error_wins_and_layers_add_context) {
    struct error error = {0};
    EXPECT(error_context(&error, "not %s", "set") == OK);
    EXPECT_TEXT(error.message, "");
    EXPECT(error_set(&error, ERR_LIMIT, "byte %d", 17) == ERR_LIMIT);
    EXPECT(error_set(&error, ERR_IO, "later") == ERR_IO);
    EXPECT(error.code == ERR_LIMIT);
    EXPECT(error_context(&error, "component %s", "a.wasm") == ERR_LIMIT);
    EXPECT(error_context(&error, "actor '%s'", "x") == ERR_LIMIT);
    EXPECT_TEXT(error.message, "actor 'x': component a.wasm: byte 17");
    error_clear(&error);
    EXPECT(error.code == OK);
    EXPECT_TEXT(error.message, "");
}

TEST(an_error_that_nobody_wants_is_only_a_code) {
    EXPECT(error_set(NULL, ERR_TRAP, "%d", 1) == ERR_TRAP);
    EXPECT(error_set_os(NULL, ENOENT, "x") == ERR_NOT_FOUND);
}

TEST(errno_values_become_codes) {
    static const struct {
        int value;
        enum status code;
    } cases[] = {{ENOENT, ERR_NOT_FOUND}, {ENOTDIR, ERR_NOT_FOUND}, {EACCES, ERR_DENIED},
                 {EPERM, ERR_DENIED},     {EEXIST, ERR_EXISTS},     {EIO, ERR_IO},
                 {ENOSPC, ERR_IO}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error error = {0};
        EXPECT(error_set_os(&error, cases[i].value, "cannot open %s", "f") == cases[i].code);
        EXPECT(error.code == cases[i].code);
        EXPECT_CONTAINS(error.message, "cannot open f: ");
        EXPECT_CONTAINS(error.message, strerror(cases[i].value));
    }
}

// Whether the text ends with the ellipsis behind whole characters of three bytes each.
static bool cut_well(const char *text, size_t skip) {
    size_t size = strlen(text);
    return size < ERROR_MESSAGE_MAX && (size - skip) % 3 == 0 &&
           strcmp(text + size - 3, "\xe2\x80\xa6") == 0;
}

TEST(long_messages_are_cut_between_characters) {
    char text[3001] = "";
    for (size_t i = 0; i < 1000; i++) {
        memcpy(text + 3 * i, "\xe2\x82\xac", 4);  // a euro sign
    }
    static const char *const prefixes[] = {"", "a", "ab"};
    for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
        struct error error = {0};
        (void)error_set(&error, ERR_INVALID, "%s%s", prefixes[i], text);
        EXPECT(cut_well(error.message, i));
        EXPECT(strlen(error.message) > ERROR_MESSAGE_MAX - 8);
        (void)error_context(&error, "c%s", text);
        EXPECT(cut_well(error.message, 1));
        error_clear(&error);
        (void)error_set(&error, ERR_INVALID, "%.*s", 1000, text);
        (void)error_context(&error, "%s%.*s", prefixes[i], 300, text);
        EXPECT(strlen(error.message) < ERROR_MESSAGE_MAX);
        EXPECT(strcmp(error.message + strlen(error.message) - 3, "\xe2\x80\xa6") == 0);
    }
}

TEST(fatal_reports_and_aborts) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        fatal("cannot %s", "go on");
    }
    close(ends[1]);
    char text[256] = "";
    ssize_t size = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    int how = 0;
    waitpid(child, &how, 0);
    EXPECT(size > 0);
    EXPECT_TEXT(text, "theater: fatal: cannot go on\n");
    EXPECT(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
}

int main(void) {
    return test_main();
}

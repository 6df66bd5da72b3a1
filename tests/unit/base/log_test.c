// SPDX-License-Identifier: Apache-2.0
// The log: levels, whole lines, and no control character of a guest on the terminal.
#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"

static char *captured_path;
static int saved_stderr;

static void capture(void) {
    fflush(stderr);
    captured_path = file_join(test_folder(), "log");
    int file = open(captured_path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    saved_stderr = dup(STDERR_FILENO);
    REQUIRE(file >= 0 && saved_stderr >= 0 && dup2(file, STDERR_FILENO) >= 0);
    close(file);
}

// Gives what was logged since capture, as text.
static char *captured(void) {
    (void)dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    struct error error = {0};
    struct bytes *content = NULL;
    REQUIRE_OK(file_read(captured_path, 1 << 24, &content, &error), error);
    char *text = xstrndup(content->data, content->size);
    bytes_unref(content);
    free(captured_path);
    return text;
}

TEST(levels_select_lines) {
    capture();
    log_line(LOG_ERROR, "first %d", 1);
    log_line(LOG_DEBUG, "hidden");
    log_set_level(LOG_ERROR);
    log_line(LOG_WARNING, "hidden");
    log_actor("a", slice_text("hidden"));
    log_set_level(LOG_DEBUG);
    log_line(LOG_DEBUG, "last");
    log_set_level(LOG_INFO);
    char *text = captured();
    EXPECT_CONTAINS(text, " error: first 1\n");
    EXPECT_CONTAINS(text, " debug: last\n");
    EXPECT(strstr(text, "hidden") == NULL);
    free(text);
}

TEST(control_characters_are_escaped) {
    capture();
    log_actor("na\x1b[2Jme", slice_text("a\nb\x1b[31mc\x7f \xc2\x9b"
                                        "d \xc3\xa9"));
    log_line(LOG_INFO, "%s", "x\ry");
    char *text = captured();
    EXPECT_CONTAINS(text, "[na\\x1b[2Jme] a\\x0ab\\x1b[31mc\\x7f \\xc2\\x9bd \xc3\xa9\n");
    EXPECT_CONTAINS(text, "x\\x0dy\n");
    size_t lines = 0;
    for (const char *at = text; *at != '\0'; at++) {
        lines += *at == '\n';
        EXPECT(*at == '\n' || (uint8_t)*at >= 0x20);
    }
    EXPECT_U64(lines, 2);
    free(text);
}

TEST(long_lines_are_cut) {
    capture();
    char *text = xmalloc(100001);
    memset(text, '\n', 100000);
    text[100000] = '\0';
    log_actor("a", slice_text(text));
    log_line(LOG_INFO, "%s", text);
    free(text);
    text = captured();
    EXPECT(strlen(text) <= 2 * 4096);
    EXPECT(strchr(text, '\n') == text + 4095);
    free(text);
}

static void *log_many(void *argument) {
    for (int i = 0; i < 500; i++) {
        log_line(LOG_INFO, "<%s>", (const char *)argument);
    }
    return NULL;
}

TEST(lines_of_threads_do_not_mix) {
    static char texts[3][300];
    pthread_t threads[3];
    capture();
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        memset(texts[i], 'a' + (int)i, sizeof texts[i] - 1);
        REQUIRE(pthread_create(&threads[i], NULL, log_many, texts[i]) == 0);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    char *text = captured();
    size_t lines = 0;
    for (char *at = text; *at != '\0'; lines++) {
        char *end = strchr(at, '\n');
        REQUIRE(end != NULL);
        const char *open = strchr(at, '<');
        EXPECT(open != NULL && end[-1] == '>' && end - open == 301);
        EXPECT(open != NULL && strspn(open + 1, (char[]){open[1], '\0'}) == 299);
        at = end + 1;
    }
    EXPECT_U64(lines, 1500);
    free(text);
}

int main(void) {
    return test_main();
}

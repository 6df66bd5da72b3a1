// SPDX-License-Identifier: Apache-2.0
// Whole-file helpers, on real files and folders.
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static void expect_content(const char *path, const char *wanted) {
    struct error error = {0};
    struct bytes *content = NULL;
    REQUIRE_OK(file_read(path, 1 << 20, &content, &error), error);
    EXPECT(slice_equal_text(bytes_slice(content), wanted));
    bytes_unref(content);
}

TEST(what_was_written_is_read) {
    struct error error = {0};
    char *path = file_join(test_folder(), "a");
    REQUIRE_OK(file_write_atomic(path, slice_text("one"), 0640, &error), error);
    expect_content(path, "one");
    REQUIRE_OK(file_write_atomic(path, slice_text("two two"), 0600, &error), error);
    expect_content(path, "two two");
    REQUIRE_OK(file_write_atomic(path, slice_of(NULL, 0), 0600, &error), error);
    expect_content(path, "");
    struct stat info;
    EXPECT(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
    free(path);
}

TEST(errors_name_the_path) {
    struct error error = {0};
    struct bytes *content = NULL;
    const char *folder = test_folder();
    char *path = file_join(folder, "absent");
    EXPECT(file_read(path, 10, &content, &error) == ERR_NOT_FOUND);
    EXPECT_CONTAINS(error.message, path);
    error_clear(&error);
    EXPECT(file_read(folder, 10, &content, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "not a regular file");
    error_clear(&error);
    REQUIRE_OK(file_write_atomic(path, slice_text("12345678901"), 0600, &error), error);
    EXPECT(file_read(path, 10, &content, &error) == ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "11 bytes; at most 10");
    error_clear(&error);
    char *below = file_join(path, "x");
    EXPECT(file_write_atomic(below, slice_text("1"), 0600, &error) == ERR_NOT_FOUND);
    EXPECT_CONTAINS(error.message, below);
    free(below);
    free(path);
}

TEST(a_fifo_does_not_hang_the_reader) {
    struct error error = {0};
    struct bytes *content = NULL;
    char *path = file_join(test_folder(), "fifo");
    REQUIRE(mkfifo(path, 0600) == 0);
    EXPECT(file_read(path, 10, &content, &error) == ERR_INVALID);
    free(path);
}

TEST(a_failed_write_leaves_nothing_behind) {
    struct error error = {0};
    const char *folder = test_folder();
    char *path = file_join(folder, "taken");
    REQUIRE(mkdir(path, 0700) == 0);
    char *inside = file_join(path, "x");
    REQUIRE_OK(file_write_atomic(inside, slice_text("1"), 0600, &error), error);
    EXPECT(file_write_atomic(path, slice_text("1"), 0600, &error) != OK);
    EXPECT_CONTAINS(error.message, path);
    expect_content(inside, "1");
    // The folder itself can go once the two known names are gone: no temporary file is left.
    EXPECT(unlink(inside) == 0 && rmdir(path) == 0 && rmdir(folder) == 0);
    free(inside);
    free(path);
}

TEST(folders_are_made_and_removed) {
    struct error error = {0};
    const char *base = test_folder();
    char *path = file_join(base, "a/b//c/");
    REQUIRE_OK(file_make_folders(path, 0700, &error), error);
    REQUIRE_OK(file_make_folders(path, 0700, &error), error);
    struct stat info;
    EXPECT(stat(path, &info) == 0 && S_ISDIR(info.st_mode));
    char *file = file_join(path, "file");
    REQUIRE_OK(file_write_atomic(file, slice_text("1"), 0600, &error), error);
    EXPECT(file_make_folders(file, 0700, &error) == ERR_EXISTS);
    EXPECT_CONTAINS(error.message, file);
    error_clear(&error);
    EXPECT(file_make_folders("", 0700, &error) == ERR_INVALID);
    error_clear(&error);
    char *top = file_join(base, "a");
    REQUIRE_OK(file_remove_tree(top, &error), error);
    EXPECT(stat(top, &info) != 0 && errno == ENOENT);
    REQUIRE_OK(file_remove_tree(top, &error), error);
    free(top);
    free(file);
    free(path);
}

TEST(removing_a_tree_does_not_follow_links) {
    struct error error = {0};
    char *kept = file_join(test_folder(), "kept");
    REQUIRE_OK(file_write_atomic(kept, slice_text("1"), 0600, &error), error);
    char *folder = file_folder(kept);
    char *tree = file_join(test_folder(), "tree");
    char *link = file_join(tree, "link");
    REQUIRE(mkdir(tree, 0700) == 0 && symlink(folder, link) == 0);
    REQUIRE_OK(file_remove_tree(tree, &error), error);
    expect_content(kept, "1");
    free(link);
    free(tree);
    free(folder);
    free(kept);
}

TEST(paths_are_joined_and_split) {
    static const struct {
        const char *folder, *path, *joined, *folder_of_joined;
    } cases[] = {{"a", "b", "a/b", "a"},
                 {"a", "/b", "/b", "/"},
                 {"/", "b", "//b", "/"},
                 {"a/b", "c/d", "a/b/c/d", "a/b/c"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *joined = file_join(cases[i].folder, cases[i].path);
        EXPECT_TEXT(joined, cases[i].joined);
        char *folder = file_folder(joined);
        EXPECT_TEXT(folder, cases[i].folder_of_joined);
        free(folder);
        free(joined);
    }
    char *folder = file_folder("name");
    EXPECT_TEXT(folder, ".");
    free(folder);
}

TEST(a_write_to_a_bad_descriptor_gives_errno) {
    EXPECT_U64(file_write_all(-1, "x", 1), EBADF);
    EXPECT_U64(file_write_all(-1, NULL, 0), 0);
}

int main(void) {
    return test_main();
}

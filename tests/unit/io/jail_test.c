// SPDX-License-Identifier: Apache-2.0
// Whole files and trees beneath a folder, while somebody swaps a folder of the path for a link that
// leads out. What WASI does with the jail is in tests/unit/host/wasi_file_test.c.
#include "io/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"

enum { TRIES = 4000 };

static const char *folder;

static char *below(const char *name) {
    folder = folder == NULL ? test_folder() : folder;
    return file_join(folder, name);
}

static void make_folder(const char *name) {
    char *path = below(name);
    REQUIRE(mkdir(path, 0755) == 0 || errno == EEXIST);
    free(path);
}

static void make_file(const char *name, const char *content) {
    char *path = below(name);
    struct error error = {0};
    REQUIRE_OK(file_write_atomic(path, slice_text(content), 0644, &error), error);
    free(path);
}

static int open_root(const char *name) {
    char *path = below(name);
    int root = jail_open_root(path, NULL);
    REQUIRE(root >= 0);
    free(path);
    return root;
}

static void expect_content(int root, const char *path, const char *content) {
    struct buf found = {0};
    EXPECT(jail_read_file(root, path, 100, &found));
    EXPECT_TEXT(buf_text(&found), content);
    buf_release(&found);
}

TEST(a_file_is_written_whole_or_not_at_all) {
    make_folder("files");
    int root = open_root("files");
    EXPECT(jail_write_file(root, "a", slice_text("one"), 1, false));
    EXPECT(jail_write_file(root, "a", slice_text("two"), 1, true));
    expect_content(root, "a", "two");
    EXPECT(jail_symlink(root, "link", "a"));
    EXPECT(jail_write_file(root, "link", slice_text("three"), 2, true));
    expect_content(root, "a", "two");
    expect_content(root, "link", "three");
    EXPECT(jail_make_folder(root, "sub"));
    EXPECT(!jail_write_file(root, "sub", slice_text("x"), 3, false) && errno == EISDIR);
    EXPECT(!jail_write_file(root, "a/", slice_text("x"), 3, false) && errno == ENOTDIR);
    EXPECT(!jail_write_file(root, "../a", slice_text("x"), 3, false) && errno == EPERM);
    EXPECT(!jail_write_file(root, "none/a", slice_text("x"), 3, false) && errno == ENOENT);
    struct jail_list *list = jail_list(root, ".");
    REQUIRE(list != NULL && list->count == 3);
    jail_list_free(list);
    close(root);
}

TEST(a_name_that_is_taken_for_the_temporary_file_is_not_followed) {
    make_folder("taken");
    make_file("victim", "old");
    int root = open_root("taken");
    REQUIRE(symlinkat("../victim", root, ".theater-0000000000000007.tmp") == 0);
    EXPECT(!jail_write_file(root, "a", slice_text("x"), 7, false) && errno == EEXIST);
    char *victim = below("victim");
    struct bytes *content = NULL;
    struct error error = {0};
    REQUIRE_OK(file_read(victim, 100, &content, &error), error);
    EXPECT(slice_equal_text(bytes_slice(content), "old"));
    bytes_unref(content);
    free(victim);
    close(root);
}

TEST(what_is_read_is_bounded_and_regular) {
    make_folder("read");
    int root = open_root("read");
    struct buf found = {0};
    EXPECT(jail_write_file(root, "a", slice_text("12345"), 1, false));
    EXPECT(jail_read_file(root, "a", 5, &found));
    EXPECT(!jail_read_file(root, "a", 4, &found) && errno == EFBIG);
    REQUIRE(mkfifoat(root, "pipe", 0600) == 0);
    EXPECT(!jail_read_file(root, "pipe", 5, &found) && errno == ENXIO);
    EXPECT(!jail_read_file(root, ".", 5, &found) && errno == EISDIR);
    EXPECT(!jail_read_file(root, "/etc/passwd", 5, &found) && errno == EPERM);
    buf_release(&found);
    close(root);
}

TEST(a_link_is_no_tree) {
    make_folder("trees");
    make_folder("kept");
    make_file("kept/file", "x");
    int root = open_root("trees");
    REQUIRE(symlinkat("../kept", root, "out") == 0);
    EXPECT(!jail_remove_tree(root, "out") && errno == ENOTDIR);
    EXPECT(!jail_remove_tree(root, "out/x") && errno == EPERM);
    EXPECT(!jail_remove_tree(root, "..") && errno == EPERM);
    EXPECT(!jail_remove_tree(root, ".") && errno == EINVAL);
    EXPECT(jail_make_folder(root, "tree"));
    EXPECT(jail_symlink(root, "tree/link", "../../kept"));
    EXPECT(jail_remove_tree(root, "tree/"));
    EXPECT(!jail_remove_tree(root, "tree") && errno == ENOENT);
    expect_content(open_root("kept"), "file", "x");
    close(root);
}

// ---- somebody swaps a folder for a link while paths go through it
// ------------------------------------------

static atomic_bool is_over;

static void *swap(void *argument) {
    const int *root = argument;
    while (!atomic_load(&is_over)) {
        (void)renameat2(*root, "race", *root, "link", RENAME_EXCHANGE);
    }
    return NULL;
}

TEST(a_swapped_folder_leads_nowhere) {
    make_folder("jail");
    make_folder("jail/race");
    make_folder("secret");
    make_folder("secret/inner");
    make_file("secret/file", "outside");
    make_file("secret/inner/file", "outside");
    int root = open_root("jail");
    REQUIRE(symlinkat("../secret", root, "link") == 0);
    pthread_t swapper;
    REQUIRE(pthread_create(&swapper, NULL, swap, &root) == 0);
    uint64_t good = 0, denied = 0;
    struct buf found = {0};
    for (uint64_t i = 0; i < TRIES; i++) {
        bool outcomes[] = {
            jail_write_file(root, "race/new", slice_text("inside"), i, false),
            jail_read_file(root, "race/new", 100, &found),
            jail_make_folder(root, "race/made"),
            jail_remove_file(root, "race/file"),
            jail_remove_tree(root, "race/inner"),
            jail_rename(root, "race/new", root, "race/other"),
            jail_remove_file(root, "race/other"),
            jail_remove_tree(root, "race/made"),
        };
        for (size_t j = 0; j < COUNT_OF(outcomes); j++) {
            good += outcomes[j];
        }
        denied += !jail_read_file(root, "race/file", 100, &found) && errno == EPERM;
        EXPECT(memmem(found.data, found.size, "outside", 7) == NULL);
        buf_clear(&found);
    }
    atomic_store(&is_over, true);
    pthread_join(swapper, NULL);
    buf_release(&found);
    close(root);
    EXPECT(good > 0 && denied > 0);
    int secret = open_root("secret");
    expect_content(secret, "file", "outside");
    expect_content(secret, "inner/file", "outside");
    struct jail_list *list = jail_list(secret, ".");
    REQUIRE(list != NULL);
    EXPECT_U64(list->count, 2);
    jail_list_free(list);
    close(secret);
}

int main(void) {
    return test_main();
}

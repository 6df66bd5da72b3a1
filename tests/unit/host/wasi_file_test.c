// SPDX-License-Identifier: Apache-2.0
// The jail of WASI files: operations as they reach the system, without an actor.
#include "host/wasi_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"

enum { TRIES = 20000 };

static char *below(const char *name) {
    static const char *folder;
    folder = folder == NULL ? test_folder() : folder;
    return file_join(folder, name);
}

static void make_file(const char *name, const char *content) {
    char *path = below(name);
    FILE *file = fopen(path, "w");
    REQUIRE(file != NULL);
    (void)fputs(content, file);
    REQUIRE(fclose(file) == 0);
    free(path);
}

static void make_folder(const char *name) {
    char *path = below(name);
    REQUIRE(mkdir(path, 0755) == 0 || errno == EEXIST);
    free(path);
}

static void make_link(const char *target, const char *name) {
    char *path = below(name);
    REQUIRE(symlink(target, path) == 0);
    free(path);
}

// Runs the operation as the pool does. The caller ends the job.
static enum wasi_failure run(struct wasi_file_job *job) {
    job->job.run(&job->job);
    return job->failure;
}

static struct wasi_file *open_root(const char *name) {
    struct wasi_file_job *job = wasi_file_job_new(wasi_file_open_root, NULL, NULL);
    job->path = below(name);
    job->flags = WASI_FLAG_READ | WASI_FLAG_MUTATE;
    REQUIRE(run(job) == WASI_FAILURE_COUNT);
    struct wasi_file *root = wasi_file_ref(job->opened);
    actor_job_unref(&job->job);
    return root;
}

static enum wasi_failure on_path(struct wasi_file *root, bool (*operate)(struct wasi_file_job *),
                                 const char *path, const char *other) {
    struct wasi_file_job *job = wasi_file_job_new(operate, root, root);
    job->path = xstrdup(path);
    job->other_path = other != NULL ? xstrdup(other) : NULL;
    job->path_flags = operate == wasi_file_link ? 0 : WASI_FOLLOW;
    job->flags = WASI_FLAG_READ;
    enum wasi_failure failure = run(job);
    actor_job_unref(&job->job);
    return failure;
}

TEST(no_operation_leads_out) {
    make_folder("out");
    make_file("out/secret", "x");
    make_folder("jail");
    make_folder("jail/sub");
    make_link("../out", "jail/link");
    struct wasi_file *root = open_root("jail");
    static bool (*const one[])(struct wasi_file_job *) = {
        wasi_file_open,          wasi_file_stat_at, wasi_file_set_times_at, wasi_file_make_folder,
        wasi_file_remove_folder, wasi_file_remove,  wasi_file_read_link};
    static bool (*const two[])(struct wasi_file_job *) = {wasi_file_rename, wasi_file_link};
    static const char *const paths[] = {"../out/secret",
                                        "/out/secret",
                                        "sub/../../out/secret",
                                        "link/secret",
                                        "link/../out/new",
                                        "sub/../../new",
                                        "..",
                                        "/",
                                        "sub/../.."};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        for (size_t j = 0; j < COUNT_OF(one); j++) {
            EXPECT_U64(on_path(root, one[j], paths[i], NULL), WASI_NOT_PERMITTED);
        }
        for (size_t j = 0; j < COUNT_OF(two); j++) {
            EXPECT_U64(on_path(root, two[j], paths[i], "sub/new"), WASI_NOT_PERMITTED);
            EXPECT_U64(on_path(root, two[j], "sub", paths[i]), WASI_NOT_PERMITTED);
        }
        EXPECT_U64(on_path(root, wasi_file_symlink, "target", paths[i]), WASI_NOT_PERMITTED);
    }
    EXPECT_U64(on_path(root, wasi_file_symlink, "/absolute", "sub/new"), WASI_NOT_PERMITTED);
    wasi_file_unref(root);
}

TEST(paths_that_are_none) {
    make_folder("odd");
    make_folder("odd/sub");
    make_file("odd/file", "x");
    struct wasi_file *root = open_root("odd");
    EXPECT_U64(on_path(root, wasi_file_open, "", NULL), WASI_NO_ENTRY);
    EXPECT_U64(on_path(root, wasi_file_remove, "", NULL), WASI_NO_ENTRY);
    EXPECT_U64(on_path(root, wasi_file_remove, ".", NULL), WASI_INVALID);
    EXPECT_U64(on_path(root, wasi_file_remove, "file/", NULL), WASI_NOT_DIRECTORY);
    EXPECT_U64(on_path(root, wasi_file_remove, "file/x", NULL), WASI_NOT_DIRECTORY);
    EXPECT_U64(on_path(root, wasi_file_remove, "sub", NULL), WASI_IS_DIRECTORY);
    EXPECT_U64(on_path(root, wasi_file_remove_folder, "sub//", NULL), WASI_FAILURE_COUNT);
    EXPECT_U64(on_path(root, wasi_file_make_folder, "file", NULL), WASI_EXIST);
    char *name = xmalloc(5001);
    memset(name, 'a', 5000);
    name[5000] = '\0';
    EXPECT_U64(on_path(root, wasi_file_remove, name, NULL), WASI_NAME_TOO_LONG);
    name[4000] = '\0';
    EXPECT_U64(on_path(root, wasi_file_open, name, NULL), WASI_NAME_TOO_LONG);
    free(name);
    wasi_file_unref(root);
}

// Somebody swaps a folder of the path for a link that leads out, over and over.
// Writes 20 bytes where 10 have room.
static struct wasi_file_job *write_too_much(struct wasi_file *file, bool may_be_short) {
    struct wasi_file_job *job = wasi_file_job_new(wasi_file_write, file, NULL);
    job->size = 20;
    job->data = xcalloc(1, job->size);
    job->may_be_short = may_be_short;
    struct rlimit before;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    struct rlimit less = {.rlim_cur = 10, .rlim_max = before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &less) == 0);
    (void)run(job);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    return job;
}

TEST(a_short_write_is_one_only_where_its_size_is_told) {
    make_folder("short");
    struct wasi_file *root = open_root("short");
    struct wasi_file_job *open = wasi_file_job_new(wasi_file_open, root, NULL);
    open->path = xstrdup("f");
    open->flags = WASI_FLAG_WRITE;
    open->open_flags = WASI_OPEN_CREATE;
    REQUIRE(run(open) == WASI_FAILURE_COUNT);
    struct wasi_file_job *job = write_too_much(open->opened, true);
    EXPECT(job->failure == WASI_FAILURE_COUNT && job->done == 10);
    actor_job_unref(&job->job);
    job = write_too_much(open->opened, false);
    EXPECT(job->failure == WASI_FILE_TOO_LARGE);
    actor_job_unref(&job->job);
    actor_job_unref(&open->job);
    wasi_file_unref(root);
}

static _Atomic bool swapping;

static void *swap(void *argument) {
    (void)argument;
    char *real = below("race/sub"), *link = below("race/link"), *spare = below("race/spare");
    while (atomic_load(&swapping)) {
        (void)rename(real, spare);
        (void)rename(link, real);
        (void)rename(real, link);
        (void)rename(spare, real);
    }
    free(real);
    free(link);
    free(spare);
    return NULL;
}

TEST(a_path_that_changes_meanwhile_does_not_lead_out) {
    make_folder("beyond");
    make_file("beyond/file", "secret");
    make_folder("race");
    make_folder("race/sub");
    make_file("race/sub/file", "x");
    make_link("../beyond", "race/link");
    struct wasi_file *root = open_root("race");
    atomic_store(&swapping, true);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, swap, NULL) == 0);
    uint32_t inside = 0;
    for (int i = 0; i < TRIES; i++) {
        struct wasi_file_job *job = wasi_file_job_new(wasi_file_stat_at, root, NULL);
        job->path = xstrdup("sub/file");
        job->path_flags = WASI_FOLLOW;
        if (run(job) == WASI_FAILURE_COUNT) {
            inside++;
            EXPECT_U64(job->info.size, 1);
        }
        actor_job_unref(&job->job);
        // Two steps: the folder is opened, and then its name used.
        enum wasi_failure failure = on_path(root, wasi_file_make_folder, "sub/made", NULL);
        if (failure == WASI_FAILURE_COUNT) {
            (void)on_path(root, wasi_file_remove_folder, "sub/made", NULL);
        }
    }
    atomic_store(&swapping, false);
    pthread_join(thread, NULL);
    EXPECT(inside > 0);
    char *made = below("beyond/made");
    EXPECT(access(made, F_OK) != 0);
    free(made);
    wasi_file_unref(root);
}

TEST(a_folder_is_listed_by_name_without_what_is_no_text) {
    make_folder("list");
    static const char *const names[] = {"b", "a", "\xff\xfe", "\xc3\xa4"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "list/%s", names[i]);
        make_file(path, "");
    }
    struct wasi_file *root = open_root("list");
    struct wasi_file_job *job = wasi_file_job_new(wasi_file_list, root, NULL);
    REQUIRE(run(job) == WASI_FAILURE_COUNT);
    REQUIRE(job->folder->count == 3);
    EXPECT_TEXT(job->folder->entries[0].name, "a");
    EXPECT_TEXT(job->folder->entries[1].name, "b");
    EXPECT_TEXT(job->folder->entries[2].name, "\xc3\xa4");
    EXPECT_U64(wasi_file_type_of(job->folder->entries[0].type), WASI_TYPE_FILE);
    actor_job_unref(&job->job);
    wasi_file_unref(root);
}

TEST(a_tree_is_removed_without_what_its_links_name) {
    make_folder("kept");
    make_file("kept/file", "x");
    make_folder("tree");
    make_folder("tree/deep");
    make_file("tree/deep/file", "x");
    make_link("../../kept", "tree/deep/link");
    char *path = below("tree");
    EXPECT(jail_remove_temporary(path));
    EXPECT(access(path, F_OK) != 0);
    free(path);
    char *kept = below("kept/file");
    EXPECT(access(kept, F_OK) == 0);
    free(kept);
}

static enum wasi_failure open_beneath(const char *name, const char *around) {
    struct wasi_file_job *job = wasi_file_job_new(wasi_file_open_root, NULL, NULL);
    job->path = below(name);
    job->other_path = around != NULL ? below(around) : NULL;
    job->flags = WASI_FLAG_READ;
    enum wasi_failure failure = run(job);
    actor_job_unref(&job->job);
    return failure;
}

TEST(a_permitted_folder_is_not_reached_over_a_link_in_it) {
    make_folder("outside");
    make_folder("granted");
    make_folder("granted/inner");
    make_folder("granted/inner/most");
    make_link("../outside", "granted/out");
    make_link("inner", "granted/within");
    make_link("granted", "shortcut");
    EXPECT_U64(open_beneath("granted/inner/most", "granted"), WASI_FAILURE_COUNT);
    EXPECT_U64(open_beneath("granted", "granted"), WASI_FAILURE_COUNT);
    // The operator's own links are followed.
    EXPECT_U64(open_beneath("shortcut/inner", "shortcut"), WASI_FAILURE_COUNT);
    EXPECT_U64(open_beneath("granted/out", NULL), WASI_FAILURE_COUNT);
    EXPECT_U64(open_beneath("granted/out", "granted"), WASI_LOOP);
    EXPECT_U64(open_beneath("granted/within/most", "granted"), WASI_LOOP);
    EXPECT_U64(open_beneath("granted/inner", "outside"), WASI_NOT_PERMITTED);
}

TEST(a_tree_deeper_than_any_path_is_removed) {
    make_folder("deep");
    struct wasi_file *root = open_root("deep");
    int at = dup(root->handle);
    for (int i = 0; i < 6000; i++) {
        REQUIRE(mkdirat(at, "a", 0755) == 0);
        REQUIRE(symlinkat("..", at, ".0") == 0);
        int next = openat(at, "a", O_RDONLY | O_DIRECTORY);
        REQUIRE(next >= 0);
        close(at);
        at = next;
    }
    close(at);
    wasi_file_unref(root);
    char *path = below("deep");
    EXPECT(jail_remove_temporary(path));
    EXPECT(access(path, F_OK) != 0);
    free(path);
}

TEST(a_temporary_folder_that_nobody_takes_is_removed) {
    struct host_file_job *job = host_temporary_job();
    job->job.run(&job->job);
    REQUIRE(job->code == 0);
    char *path = xstrdup(job->text);
    EXPECT(access(path, F_OK) == 0);
    actor_job_unref(&job->job);
    EXPECT(access(path, F_OK) != 0);
    free(path);
}

int main(void) {
    return test_main();
}

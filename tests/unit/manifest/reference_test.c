// SPDX-License-Identifier: Apache-2.0
// References: files, the folder that an actor's rights end at, and schemes.
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "load.h"
#include "manifest/paths.h"

static const char *outer;  // holds "secret" and the folder "in", which all is confined to
static char inside[512];

static void write_text(const char *name, const char *text) {
    char *path = file_join(outer, name);
    struct error error = {0};
    REQUIRE_OK(file_write_atomic(path, slice_text(text), 0600, &error), error);
    free(path);
}

static void make_folders(void) {
    outer = test_folder();
    (void)snprintf(inside, sizeof inside, "%s/in/sub", outer);
    struct error error = {0};
    REQUIRE_OK(file_make_folders(inside, 0700, &error), error);
    (void)snprintf(inside, sizeof inside, "%s/in", outer);
    write_text("secret", "outside");
    write_text("in/a.wasm", "component a");
    write_text("in/sub/b.wasm", "component b");
    char link[600];
    (void)snprintf(link, sizeof link, "%s/out", inside);
    REQUIRE(symlink("..", link) == 0);
}

static enum status read_one(const char *folder, const char *confined_to, const char *reference,
                            struct bytes **out, struct error *error) {
    *out = NULL;
    error_clear(error);
    return manifest_file_resolver.read(NULL, folder, confined_to, reference, 100, out, error);
}

TEST(confined_references_stay_beneath_their_folder) {
    make_folders();
    struct bytes *content = NULL;
    struct error error = {0};
    char sub[600], absolute[600], secret[600];
    (void)snprintf(sub, sizeof sub, "%s/sub", inside);
    (void)snprintf(absolute, sizeof absolute, "%s/a.wasm", inside);
    (void)snprintf(secret, sizeof secret, "%s/secret", outer);
    const struct {
        const char *folder, *reference;
        enum status status;
    } cases[] = {
        {inside, "a.wasm", OK},
        {inside, "./sub/../a.wasm", OK},
        {sub, "b.wasm", OK},
        {sub, "../a.wasm", OK},
        {inside, absolute, OK},
        {inside, "../secret", ERR_DENIED},
        {inside, "sub/../../secret", ERR_DENIED},
        {inside, "out/secret", ERR_DENIED},
        {inside, secret, ERR_DENIED},
        {inside, "/etc/passwd", ERR_DENIED},
        {outer, "secret", ERR_DENIED},
        {inside, "none.wasm", ERR_NOT_FOUND},
        {inside, "sub", ERR_INVALID},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum status status =
            read_one(cases[i].folder, inside, cases[i].reference, &content, &error);
        if (status != cases[i].status) {
            test_report(__FILE__, __LINE__, "%s: %s (%s)", cases[i].reference, status_text(status),
                        error.message);
        }
        EXPECT((status == OK) == (content != NULL));
        bytes_unref(content);
    }
    EXPECT_OK(read_one(inside, NULL, "../secret", &content, &error), error);
    bytes_unref(content);
}

TEST(a_reference_may_not_be_too_large_nor_a_pipe) {
    make_folders();
    struct bytes *content = NULL;
    struct error error = {0};
    char text[102] = {0}, pipe_path[600];
    memset(text, 'x', 101);
    write_text("in/large", text);
    EXPECT(read_one(inside, inside, "large", &content, &error) == ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "101 bytes, at most 100");
    (void)snprintf(pipe_path, sizeof pipe_path, "%s/pipe", inside);
    REQUIRE(mkfifo(pipe_path, 0600) == 0);
    EXPECT(read_one(inside, inside, "pipe", &content, &error) == ERR_INVALID);
}

TEST(without_schemes_there_are_only_files) {
    struct bytes *content = NULL;
    struct error error = {0};
    EXPECT(read_one("/", NULL, "https://x.example/a", &content, &error) == ERR_UNSUPPORTED);
    EXPECT_TEXT(error.message, "https:// references are not available here");
    EXPECT(read_one("/", NULL, "http://x.example/a", &content, &error) == ERR_UNSUPPORTED);
    EXPECT(read_one("/", NULL, "store://id/label", &content, &error) == ERR_UNSUPPORTED);
    EXPECT_ERROR(HEAD "init_state = \"store://id/x\"\n",
                 "manifest:3:14: init_state: \"store://id/x\": store:// references are not");
    struct manifest *manifest = NULL;
    error_clear(&error);
    EXPECT(manifest_load(slice_text("https://x.example/m.toml"), "/", NULL, &manifest, &error) ==
           ERR_UNSUPPORTED);
    EXPECT_CONTAINS(error.message, "manifest https://x.example/m.toml: ");
}

TEST(component_and_manifest_resolve_beside_each_other) {
    make_folders();
    write_text("in/sub/m.toml",
               "name = \"m\"\ncomponent = \"b.wasm\"\n"
               "[[handler]]\ntype = \"filesystem\"\npath = \"data\"\n");
    write_text("in/sub/up.toml", "name = \"m\"\ncomponent = \"../../secret\"\n");
    struct manifest_options options = {.confined_to = inside};
    struct manifest *manifest = NULL;
    struct bytes *content = NULL;
    struct error error = {0};
    REQUIRE_OK(manifest_load(slice_text("sub/m.toml"), inside, &options, &manifest, &error), error);
    EXPECT_TEXT(manifest->file, "sub/m.toml");
    EXPECT_TEXT(manifest->folder + strlen(inside), "/sub");
    EXPECT_TEXT(manifest->confined_to, inside);
    REQUIRE_OK(manifest_read_component(manifest, NULL, 100, &content, &error), error);
    EXPECT(slice_equal_text(bytes_slice(content), "component b"));
    bytes_unref(content);
    content = NULL;
    EXPECT(manifest_read_component(manifest, NULL, 3, &content, &error) == ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "sub/m.toml: component \"b.wasm\": it has 11 bytes");
    manifest_unref(manifest);
    error_clear(&error);
    REQUIRE_OK(manifest_load(slice_text("sub/up.toml"), inside, &options, &manifest, &error),
               error);
    EXPECT(manifest_read_component(manifest, NULL, 100, &content, &error) == ERR_DENIED);
    manifest_unref(manifest);
    error_clear(&error);
    EXPECT(manifest_load(slice_text("../secret"), inside, &options, &manifest, &error) ==
           ERR_DENIED);
    EXPECT(manifest_load(slice_text(""), inside, &options, &manifest, NULL) == ERR_INVALID);
}

TEST(errors_never_quote_what_was_fetched_for_an_actor) {
    make_folders();
    struct manifest_options options = {.confined_to = inside};
    static const char *const texts[] = {
        "hunter2 = hunter2\n",
        "hunter2\n",
        "name = \"a\"\ncomponent = \"a\"\nid = \"hunter2 \"\n",
        "name = \"a\"\ncomponent = \"a\"\nrecover = \"hunter2\"\n",
        "name = \"a\"\ncomponent = \"a\"\n[[handler]]\ntype = \"hunter2\"\n",
        "name = \"a\"\ncomponent = \"a\"\ninit_state = \"hunter2\"\n",
        "name = \"a\"\ncomponent = \"a\"\nhunter2 = 1\nhunter2 = 2\n",
        "name = \"${hunter2}\"\ncomponent = \"a\"\ninitial_state = \"{}\"\n",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        write_text("in/m.toml", texts[i]);
        struct manifest *manifest = NULL;
        struct error error = {0};
        EXPECT(manifest_load(slice_text("m.toml"), inside, &options, &manifest, &error) != OK);
        EXPECT_CONTAINS(error.message, "m.toml:");
        if (strstr(error.message, "hunter2") != NULL) {
            test_report(__FILE__, __LINE__, "quoted: %s", error.message);
        }
    }
}

TEST(a_missing_file_names_its_path) {
    struct manifest *manifest = NULL;
    struct error error = {0};
    EXPECT(manifest_load_file("/nowhere/m.toml", NULL, &manifest, &error) == ERR_NOT_FOUND);
    EXPECT_CONTAINS(error.message, "/nowhere/m.toml");
}

// A scheme that gives back what it was asked for, and by whom.
static enum status read_echo(void *context, const struct manifest_asker *asker,
                             const char *reference, uint64_t limit_bytes, struct bytes **out,
                             struct error *error) {
    if (limit_bytes < 5) {
        return error_set(error, ERR_LIMIT, "too little room");
    }
    struct buf text = {0};
    buf_format(&text, "%s %s %s", (const char *)context,
               asker->actor != NULL ? asker->actor : "user", reference);
    *out = bytes_copy(buf_slice(&text));
    buf_release(&text);
    return OK;
}

static void expect_echo(int line, struct manifest_references *references, const char *folder,
                        const char *reference, const char *wanted) {
    struct manifest_resolver resolver = manifest_resolver_of(references);
    struct bytes *content = NULL;
    struct error error = {0};
    if (resolver.read(resolver.context, folder, NULL, reference, 100, &content, &error) != OK ||
        !slice_equal_text(bytes_slice(content), wanted)) {
        test_report(__FILE__, line, "%s: %.*s %s", reference,
                    content != NULL ? (int)content->size : 0,
                    content != NULL ? (const char *)content->data : "", error.message);
    }
    bytes_unref(content);
}

TEST(a_scheme_reads_for_whoever_asks) {
    static const struct manifest_scheme schemes[] = {
        {.prefix = "one://", .context = "1", .read = read_echo},
        {.prefix = "two://", .context = "2", .read = read_echo}};
    struct manifest_references user = {.schemes = schemes, .scheme_count = 2};
    struct manifest_references actor = user;
    actor.asker.actor = "a";
    expect_echo(__LINE__, &user, "/", "one://x/y", "1 user one://x/y");
    expect_echo(__LINE__, &actor, "/", "two://x", "2 a two://x");
    // Of a manifest that came by a scheme, also what it names beside itself.
    expect_echo(__LINE__, &actor, "two://x/y", "a.wasm", "2 a two://x/y/a.wasm");
    expect_echo(__LINE__, &actor, "two://x/y", "one://z", "1 a one://z");
    struct manifest_resolver resolver = manifest_resolver_of(&actor);
    struct bytes *content = NULL;
    struct error error = {0};
    EXPECT(resolver.read(resolver.context, "/", NULL, "six://x", 100, &content, &error) ==
           ERR_UNSUPPORTED);
    EXPECT_TEXT(error.message, "six:// references are not available here");
    error_clear(&error);
    // Never a file of the host, wherever the manifest came from.
    EXPECT(resolver.read(resolver.context, "two://x", "two://x", "/etc/hostname", 100, &content,
                         &error) == ERR_DENIED);
    error_clear(&error);
    EXPECT(resolver.read(resolver.context, "two://x", NULL, "/etc/hostname", 100, &content,
                         &error) == ERR_DENIED);
    EXPECT_CONTAINS(error.message, "a manifest that is no file cannot refer to one");
    EXPECT(manifest_has_scheme("store://a") && manifest_has_scheme("a+b-2://"));
    EXPECT(!manifest_has_scheme("://a") && !manifest_has_scheme("a/b://c") &&
           !manifest_has_scheme("a.toml"));
}

static void expect_path(int line, const char *folder, const char *path, const char *wanted) {
    struct arena arena;
    arena_init(&arena, UINT64_MAX);
    const char *got = path_resolve(&arena, folder, path);
    if (strcmp(got, wanted) != 0) {
        test_report(__FILE__, line, "%s is %s, expected %s", path, got, wanted);
    }
    arena_release(&arena);
}

TEST(paths_lose_dots_and_doubled_slashes) {
    expect_path(__LINE__, "/a/b", "c", "/a/b/c");
    expect_path(__LINE__, "/a/b", "../c", "/a/c");
    expect_path(__LINE__, "/a/b", "../../../c", "/c");
    expect_path(__LINE__, "/a/b", "/x/./y//z/", "/x/y/z");
    expect_path(__LINE__, "/a", ".", "/a");
    expect_path(__LINE__, "/", "..", "/");
    expect_path(__LINE__, "a", "../../c", "../c");
    expect_path(__LINE__, NULL, "a/..", ".");
    expect_path(__LINE__, NULL, "../../a", "../../a");
    expect_path(__LINE__, "/a", "..b/...", "/a/..b/...");
    EXPECT(path_is_beneath("/", "/a") && path_is_beneath("/a", "/a/b"));
    EXPECT(!path_is_beneath("/a", "/ab") && !path_is_beneath("/a/b", "/a"));
    EXPECT(path_is_beneath(".", "a") && !path_is_beneath(".", "../a"));
}

int main(void) {
    return test_main();
}

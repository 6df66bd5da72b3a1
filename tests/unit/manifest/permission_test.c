// SPDX-License-Identifier: Apache-2.0
// Intersections of permissions, the rules for absent and empty lists, and the checks.
#include "load.h"

static struct arena arena;

// What is in force for an actor with the given end of a manifest under `bound`.
static struct permissions effective_under(const struct permissions *bound, const char *tail) {
    struct buf text = {0};
    buf_format(&text, HEAD "%s", tail);
    struct loaded loaded = load_text(buf_text(&text));
    struct permissions out = {0}, copy;
    if (loaded.status != OK) {
        test_report(__FILE__, __LINE__, "failed: %s", loaded.error.message);
    } else {
        manifest_effective(loaded.manifest, bound, &arena, &out);
        permissions_copy(&out, &arena, &copy);
        out = copy;
    }
    drop(&loaded);
    buf_release(&text);
    return out;
}
static struct permissions effective(const char *tail) {
    struct permissions all;
    permissions_everything(&all);
    return effective_under(&all, tail);
}
static struct permissions child_bound(const char *tail) {
    struct buf text = {0};
    buf_format(&text, HEAD "%s", tail);
    struct loaded loaded = load_text(buf_text(&text));
    struct permissions all, out = {0}, copy = {0};
    permissions_everything(&all);
    if (loaded.status != OK) {
        test_report(__FILE__, __LINE__, "failed: %s", loaded.error.message);
    } else {
        manifest_child_bound(loaded.manifest, &all, &arena, &out);
        permissions_copy(&out, &arena, &copy);
    }
    drop(&loaded);
    buf_release(&text);
    return copy;
}
static bool http(const struct permissions *p, const char *method, const char *host, uint16_t port) {
    return permissions_allow_http(p, slice_text(method), slice_text(host), port);
}
static bool variable(const struct permissions *p, const char *name) {
    return permissions_allow_variable(p, slice_text(name));
}

#define HTTP_CLIENT "[[handler]]\ntype = \"http-client\"\n"

TEST(nothing_but_runtime_and_messages_without_blocks) {
    struct permissions p = effective("");
    for (unsigned i = 0; i < PERMISSION_COUNT; i++) {
        bool always = i == PERMISSION_RUNTIME || i == PERMISSION_MESSAGE_SERVER;
        EXPECT(p.allowed[i] == always);
    }
    EXPECT(!http(&p, "GET", "a.example", 443));
    EXPECT(permissions_allow_target(&p, &(struct permission_relation){.id = "anyone"}));
}

TEST(absent_lists_of_hosts_are_unbounded_and_empty_ones_permit_nothing) {
    struct permissions p = effective(HTTP_CLIENT);
    EXPECT(http(&p, "DELETE", "a.example", 443));
    p = effective(HTTP_CLIENT "allowed_hosts = []\n");
    EXPECT(!http(&p, "GET", "a.example", 443));
    p = effective(HTTP_CLIENT "allowed_methods = []\n");
    EXPECT(!http(&p, "GET", "a.example", 443));
}

// The first implementation lost the restriction here (None ∘ Some gave None).
TEST(a_restriction_under_an_unbounded_parent_is_kept) {
    struct permissions bound = child_bound(
        "[permission_policy.http_client]\ntype = \"restrict\"\n"
        "config = { allowed_hosts = [\"api.example\"], max_redirects = 5, timeout = 1000 }\n");
    struct permissions p = effective_under(&bound, HTTP_CLIENT);
    EXPECT(http(&p, "GET", "api.example", 443));
    EXPECT(!http(&p, "GET", "other.example", 443));
    EXPECT_U64(p.http_client.max_redirects, 5);
    EXPECT_U64(p.http_client.timeout_ms, 1000);
    EXPECT_U64(p.http_client.max_response_bytes, 100 << 20);
    p = effective_under(&bound, HTTP_CLIENT "allowed_hosts = [\"other.example\"]\n");
    EXPECT(!http(&p, "GET", "api.example", 443) && !http(&p, "GET", "other.example", 443));
    EXPECT(!p.http_client.hosts.everything);
    EXPECT_U64(p.http_client.hosts.count, 0);
}

TEST(blocks_are_not_inherited_but_bounds_are) {
    struct permissions bound = child_bound(HTTP_CLIENT "allowed_hosts = [\"a.example\"]\n");
    struct permissions p = effective_under(&bound, "");
    EXPECT(!p.allowed[PERMISSION_HTTP_CLIENT]);
    p = effective_under(&bound, HTTP_CLIENT);
    EXPECT(http(&p, "GET", "b.example", 80));  // the parent's block bounds the parent alone
    bound = child_bound("[permission_policy.timing]\ntype = \"disallow\"\n");
    p = effective_under(&bound, "[[handler]]\ntype = \"timing\"\n");
    EXPECT(!p.allowed[PERMISSION_TIMING]);
}

TEST(hosts_match_by_name_port_and_suffix) {
    struct permissions p =
        effective(HTTP_CLIENT
                  "allowed_hosts = [\"a.example\", \"b.example:8080\", \"*.c.example\", "
                  "\"[::1]:80\"]\n");
    EXPECT(http(&p, "get", "A.Example", 1));
    EXPECT(http(&p, "GET", "b.example", 8080));
    EXPECT(!http(&p, "GET", "b.example", 80));
    EXPECT(http(&p, "GET", "x.c.example", 80));
    EXPECT(!http(&p, "GET", "c.example", 80));
    EXPECT(!http(&p, "GET", "xc.example", 80));
    EXPECT(http(&p, "GET", "::1", 80) && http(&p, "GET", "[::1]", 80));
    EXPECT(!http(&p, "GET", "::1", 81));
    EXPECT(!http(&p, "GET", "a.example.evil", 80));
    EXPECT(!http(&p, "GET", "", 80));
    struct permissions bound = child_bound(
        "[permission_policy.http_client]\ntype = \"restrict\"\n"
        "config = { allowed_hosts = [\"*.example\"] }\n");
    p = effective_under(&bound, HTTP_CLIENT "allowed_hosts = [\"*.a.example\", \"*.org\"]\n");
    EXPECT(http(&p, "GET", "x.a.example", 80));
    EXPECT(!http(&p, "GET", "x.example", 80) && !http(&p, "GET", "x.org", 80));
}

TEST(environment_denied_wins_and_absent_lists_permit_nothing) {
    static const char block[] = "[[handler]]\ntype = \"environment\"\n";
    struct permissions p = effective(block);
    EXPECT(p.allowed[PERMISSION_ENVIRONMENT] && !variable(&p, "HOME"));
    p = effective(
        "[[handler]]\ntype = \"environment\"\nallowed_vars = [\"HOME\"]\n"
        "allowed_prefixes = [\"APP_\"]\ndenied_vars = [\"APP_KEY\", \"HOME2\"]\n");
    EXPECT(variable(&p, "HOME") && variable(&p, "APP_X"));
    EXPECT(!variable(&p, "APP_KEY") && !variable(&p, "HOME2") && !variable(&p, "PATH"));
    EXPECT(!p.environment.list_all);
    struct permissions bound = child_bound(
        "[permission_policy.environment]\ntype = \"restrict\"\nconfig = { allowed_prefixes = "
        "[\"APP_A\"], denied_vars = [\"APP_A9\"], allow_list_all = true }\n");
    p = effective_under(&bound,
                        "[[handler]]\ntype = \"environment\"\nallowed_vars = [\"APP_A1\", "
                        "\"APP_A9\", \"APP_B\"]\nallowed_prefixes = [\"APP_AX\"]\n");
    EXPECT(variable(&p, "APP_A1") && variable(&p, "APP_AX7"));
    EXPECT(!variable(&p, "APP_A9") && !variable(&p, "APP_B") && !variable(&p, "APP_A2"));
}

TEST(paths_are_compared_name_by_name) {
    struct permissions bound = child_bound(
        "[permission_policy.file_system]\ntype = \"restrict\"\n"
        "config = { read = true, write = false, execute = false, allowed_paths = [\"/srv/a\"] }\n");
    struct permissions p =
        effective_under(&bound, "[[handler]]\ntype = \"filesystem\"\npath = \"/srv/a/b\"\n");
    EXPECT(p.file_system.read && !p.file_system.write && !p.file_system.execute);
    EXPECT(permissions_allow_path(&p, slice_text("/srv/a/b/c")));
    EXPECT(permissions_allow_path(&p, slice_text("/srv/a/b/./c/../d//e")));
    EXPECT(!permissions_allow_path(&p, slice_text("/srv/a/b/../c")));
    EXPECT(!permissions_allow_path(&p, slice_text("/srv/a/bc")));
    EXPECT(!permissions_allow_path(&p, slice_text("srv/a/b")));
    p = effective_under(&bound, "[[handler]]\ntype = \"filesystem\"\npath = \"/srv\"\n");
    EXPECT(permissions_allow_path(&p, slice_text("/srv/a/x")));
    EXPECT(!permissions_allow_path(&p, slice_text("/srv/x")));
    p = effective_under(&bound, "[[handler]]\ntype = \"filesystem\"\npath = \"/etc\"\n");
    EXPECT_U64(p.file_system.paths.count, 0);
    EXPECT(!permissions_allow_path(&p, slice_text("/etc/passwd")));
}

TEST(commands_and_programs_need_their_lists) {
    struct permissions p = effective(
        "[[handler]]\ntype = \"filesystem\"\npath = \"/x\"\nallowed_commands = [\"nix\"]\n"
        "[[handler]]\ntype = \"process\"\n");
    EXPECT(permissions_allow_command(&p, slice_text("nix")));
    EXPECT(!permissions_allow_command(&p, slice_text("sh")));
    EXPECT(!permissions_allow_program(&p, slice_text("/bin/sh")));
    EXPECT(permissions_allow_process_folder(&p, slice_text("/anywhere")));
    struct permissions bound = child_bound(
        "[permission_policy.process]\ntype = \"restrict\"\n"
        "config = { max_processes = 2, max_output_buffer = 10, allowed_programs = [\"/bin/a\"] "
        "}\n");
    p = effective_under(&bound,
                        "[[handler]]\ntype = \"process\"\nallowed_programs = "
                        "[\"/bin/a\", \"/bin/b\"]\n");
    EXPECT(permissions_allow_program(&p, slice_text("/bin/a")));
    EXPECT(!permissions_allow_program(&p, slice_text("/bin/b")));
    EXPECT_U64(p.process.max_processes, 2);
    EXPECT_U64(p.process.max_output_bytes, 10);
}

TEST(message_targets_must_be_in_every_layer) {
    struct permissions bound = child_bound(
        "[permission_policy.message_server]\ntype = \"restrict\"\n"
        "config = { targets = [\"parent\", \"children\", \"logger\"] }\n");
    struct permission_relation parent = {.parent = true, .id = "p"};
    struct permission_relation child = {.child = true, .id = "c"};
    struct permission_relation sibling = {.sibling = true, .id = "s"};
    struct permission_relation logger = {.id = "logger"};
    struct permissions p = effective_under(&bound, "");
    EXPECT(permissions_allow_target(&p, &parent) && permissions_allow_target(&p, &child));
    EXPECT(permissions_allow_target(&p, &logger) && !permissions_allow_target(&p, &sibling));
    p = effective_under(&bound,
                        "[permission_policy.message_server]\ntype = \"restrict\"\n"
                        "config = { targets = [\"c\", \"siblings\"] }\n");
    EXPECT(permissions_allow_target(&p, &child));
    EXPECT(!permissions_allow_target(&p, &parent) && !permissions_allow_target(&p, &sibling));
    p = effective(
        "[permission_policy.message_server]\ntype = \"restrict\"\n"
        "config = { targets = [] }\n");
    EXPECT(!permissions_allow_target(&p, &parent));
    p = effective("[permission_policy.message_server]\ntype = \"disallow\"\n");
    EXPECT(!permissions_allow_target(&p, &parent));
}

TEST(routes_and_sources) {
    struct permissions p = effective(
        "[[handler]]\ntype = \"http-framework\"\nallowed_routes = [\"/api\"]\n"
        "[[handler]]\ntype = \"supervisor\"\n"
        "allowed_sources = [\"https://a.example\", \"https://b.example/x\"]\n");
    EXPECT(permissions_allow_route(&p, slice_text("GET"), slice_text("/api/{id}")));
    EXPECT(!permissions_allow_route(&p, slice_text("GET"), slice_text("/apix")));
    EXPECT(permissions_allow_source(&p, slice_text("https://a.example/m.toml")));
    EXPECT(!permissions_allow_source(&p, slice_text("https://a.example.evil/m.toml")));
    EXPECT(!permissions_allow_source(&p, slice_text("https://a.example@evil/m.toml")));
    EXPECT(permissions_allow_source(&p, slice_text("https://b.example/x/m.toml")));
    EXPECT(!permissions_allow_source(&p, slice_text("https://b.example/x/../m.toml")));
    EXPECT(!permissions_allow_source(&p, slice_text("https://b.example/x/%2E%2e/m.toml")));
    EXPECT(!permissions_allow_source(&p, slice_text("https://b.example/y")));
    p = effective("[[handler]]\ntype = \"supervisor\"\n");
    EXPECT(permissions_allow_source(&p, slice_text("https://any.example/")));
    EXPECT(!permissions_allow_source(&p, slice_text("http://any.example/")));
}

TEST(mistakes_in_a_policy_are_errors) {
    EXPECT_ERROR(HEAD "[permission_policy.proces]\ntype = \"disallow\"\n",
                 "permission_policy.proces: unknown kind; did you mean \"process\"?");
    EXPECT_ERROR(HEAD "[permission_policy.process]\n", "permission_policy.process.type is missing");
    EXPECT_ERROR(HEAD "[permission_policy.process]\ntype = \"forbid\"\n",
                 "expected one of \"inherit\", \"disallow\", \"restrict\", got \"forbid\"");
    EXPECT_ERROR(HEAD
                 "[permission_policy.file_system]\ntype = \"restrict\"\n"
                 "config = { read = true, write = true }\n",
                 "permission_policy.file_system.execute is missing");
    EXPECT_ERROR(HEAD
                 "[permission_policy.http_client]\ntype = \"inherit\"\n"
                 "config = { allowed_hosts = [] }\n",
                 "options are only for type = \"restrict\"");
    EXPECT_ERROR(HEAD "permission_policy = 1\n", "permission_policy: expected a table");
    EXPECT_ERROR(HEAD
                 "[permission_policy.message_server]\ntype = \"restrict\"\n"
                 "config = { targets = [\"a b\"] }\n",
                 "a target is");
    EXPECT_WARNING(HEAD "[permission_policy.runtime]\ntype = \"disallow\"\n", "has no effect");
    EXPECT_WARNING(HEAD
                   "[permission_policy.process]\ntype = \"restrict\"\n"
                   "config = { max_processes = 1, max_output_buffer = 1 }\n",
                   "permission_policy.process.allowed_programs is absent");
    EXPECT_WARNING(HEAD
                   "[permission_policy.http_client]\ntype = \"restrict\"\n"
                   "config = { allowed_host = [\"a\"] }\n",
                   "did you mean \"allowed_hosts\"?");
}

static void describe(const struct permissions *p, struct buf *out) {
    buf_clear(out);
    permissions_describe(p, out);
}

TEST(equal_permissions_read_alike) {
    struct buf left = {0}, right = {0};
    struct permissions a = effective(HTTP_CLIENT "allowed_hosts = [\"a\", \"b\", \"a\"]\n");
    struct permissions b = effective(HTTP_CLIENT "allowed_hosts = [\"b\", \"a\"]\n");
    describe(&a, &left);
    describe(&b, &right);
    EXPECT_TEXT(buf_text(&left), buf_text(&right));
    EXPECT_CONTAINS(buf_text(&left), "\"allowed_hosts\":[\"a\",\"b\"]");
    b = effective(HTTP_CLIENT "allowed_hosts = [\"b\"]\n");
    describe(&b, &right);
    EXPECT(strcmp(buf_text(&left), buf_text(&right)) != 0);
    buf_release(&left);
    buf_release(&right);
}

// For every pair of these, the intersection is the same both ways, is idempotent, and with
// "everything" gives the value itself.
TEST(intersection_is_an_intersection) {
    static const char *const tails[] = {
        "",
        HTTP_CLIENT,
        HTTP_CLIENT "allowed_hosts = [\"*.x\", \"y:1\"]\nallowed_methods = [\"GET\", \"*\"]\n",
        HTTP_CLIENT "allowed_hosts = [\"a.x\", \"y\"]\ntimeout = 5\n",
        "[[handler]]\ntype = \"environment\"\nallowed_vars = [\"A\", \"B1\"]\n"
        "allowed_prefixes = [\"C\"]\n",
        "[[handler]]\ntype = \"environment\"\nallowed_prefixes = [\"B\", \"CD\"]\n"
        "denied_vars = [\"CDE\"]\n",
        "[[handler]]\ntype = \"filesystem\"\npath = \"/a\"\nallowed_commands = [\"x\"]\n",
        "[[handler]]\ntype = \"filesystem\"\npath = \"/a/b\"\n",
        "[[handler]]\ntype = \"timing\"\nmin_sleep_duration = 5\n",
        "[permission_policy.message_server]\ntype = \"restrict\"\nconfig = { targets = [\"q\"] }\n",
    };
    struct permissions all;
    permissions_everything(&all);
    struct buf left = {0}, right = {0};
    for (size_t i = 0; i < COUNT_OF(tails); i++) {
        struct permissions a = effective(tails[i]), once, twice;
        permissions_intersect(&a, &all, &arena, &once);
        permissions_intersect(&a, &a, &arena, &twice);
        describe(&a, &left);
        describe(&once, &right);
        EXPECT_TEXT(buf_text(&left), buf_text(&right));
        describe(&twice, &right);
        EXPECT_TEXT(buf_text(&left), buf_text(&right));
        for (size_t j = 0; j < COUNT_OF(tails); j++) {
            struct permissions b = effective(tails[j]), ab, ba;
            permissions_intersect(&a, &b, &arena, &ab);
            permissions_intersect(&b, &a, &arena, &ba);
            describe(&ab, &left);
            describe(&ba, &right);
            EXPECT_TEXT(buf_text(&left), buf_text(&right));
        }
    }
    buf_release(&left);
    buf_release(&right);
}

int main(void) {
    arena_init(&arena, UINT64_MAX);
    int result = test_main();
    arena_release(&arena);
    return result;
}

// SPDX-License-Identifier: Apache-2.0
// Keys, types, defaults, syntaxes, errors and warnings of a manifest.
#include <locale.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "load.h"

TEST(defaults_are_those_of_the_contract) {
    struct loaded loaded = load_text(HEAD);
    REQUIRE_OK(loaded.status, loaded.error);
    const struct manifest *manifest = loaded.manifest;
    EXPECT_TEXT(manifest->name, "a");
    EXPECT_TEXT(manifest->version, "");
    EXPECT_TEXT(manifest->description, "");
    EXPECT_TEXT(manifest->component, "a.wasm");
    EXPECT_TEXT(manifest->folder, "/base");
    EXPECT_TEXT(manifest->file, "manifest");
    EXPECT(manifest->id == NULL && manifest->init_state == NULL);
    EXPECT(manifest->initial_state == NULL && manifest->confined_to == NULL);
    EXPECT(!manifest->save_chain && !manifest->stateless_instance && !manifest->static_package);
    EXPECT(manifest->on_error == MANIFEST_ON_ERROR_CONTINUE);
    EXPECT(manifest->recover == MANIFEST_RECOVER_RESUME);
    EXPECT(manifest->restart == MANIFEST_TEMPORARY);
    EXPECT(manifest->restart_state == MANIFEST_STATE_INITIAL);
    EXPECT(manifest->mailbox_on_restart == MANIFEST_MAILBOX_KEEP);
    EXPECT(manifest->durability == MANIFEST_ASYNC);
    EXPECT(manifest->supervision.strategy == MANIFEST_ONE_FOR_ONE);
    EXPECT_U64(manifest->supervision.max_restarts, 3);
    EXPECT_U64(manifest->supervision.window_ms, 5000);
    EXPECT_U64(manifest->supervision.backoff_initial_ms, 100);
    EXPECT_U64(manifest->supervision.backoff_max_ms, 10000);
    EXPECT_U64(manifest->limits.memory_bytes, 256 << 20);
    EXPECT_U64(manifest->limits.stack_bytes, 256 << 10);
    EXPECT_U64(manifest->limits.state_bytes, 16 << 20);
    EXPECT_U64(manifest->limits.message_bytes, 16 << 20);
    EXPECT_U64(manifest->limits.mailbox_messages, 10000);
    EXPECT_U64(manifest->limits.requests, 10000);
    EXPECT_U64(manifest->limits.channels, 10000);
    EXPECT_U64(manifest->limits.children, 10000);
    EXPECT_U64(manifest->limits.request_timeout_ms, 300000);
    EXPECT_U64(manifest->limits.send_timeout_ms, 5000);
    EXPECT_U64(manifest->limits.stop_timeout_ms, 5000);
    EXPECT_U64(manifest->limits.init_timeout_ms, 300000);
    EXPECT_U64(manifest->limits.turn_cpu_ms, 10000);
    EXPECT_U64(manifest->limits.chain_bytes, 0);
    EXPECT(manifest->limits.on_full == MANIFEST_FULL_STOP);
    EXPECT_U64(manifest->handler_count, 0);
    EXPECT_TEXT(buf_text(&loaded.warnings), "");
    char hash[SHA256_TEXT_BYTES];
    uint8_t digest[SHA256_BYTES];
    sha256(slice_text(HEAD), digest);
    EXPECT(memcmp(digest, manifest->text_hash, sizeof digest) == 0);
    sha256_text(manifest->text_hash, hash);
    EXPECT_U64(strlen(hash), 64);
    EXPECT(manifest_ref(loaded.manifest) == loaded.manifest);
    manifest_unref(loaded.manifest);
    drop(&loaded);
}

TEST(every_key_of_the_top_level_is_read) {
    struct loaded loaded = load_text(
        "name = \"a\"\nversion = \"1.2.3\"\ndescription = \"two\\nlines\"\n"
        "component = \"https://x.example/a.wasm\"\nid = \"the-one\"\nsave_chain = true\n"
        "static_package = true\nstateless_instance = true\non_error = \"crash\"\n"
        "recover = \"replay\"\nrestart = \"permanent\"\nrestart_state = \"last\"\n"
        "mailbox_on_restart = \"drop\"\ndurability = \"sync\"\nlong_description = \"x\"\n"
        "interface = { implements = \"x\", requires = [] }\n"
        "[supervision]\nstrategy = \"rest-for-one\"\nmax_restarts = 7\nwindow_ms = 8\n"
        "backoff_initial_ms = 9\nbackoff_max_ms = 10\n"
        "[limits]\nmemory_bytes = 65536\nstack_bytes = 131072\nstate_bytes = 1\n"
        "message_bytes = 2\nmailbox_messages = 3\nmailbox_bytes = 4\nrequest_timeout_ms = 5\n"
        "requests = 11\nchannels = 12\nchildren = 13\nspawns_per_second = 15\nhandles = 16\n"
        "websockets = 17\n"
        "send_timeout_ms = 6\nstop_timeout_ms = 7\ninit_timeout_ms = 14\nturn_cpu_ms = "
        "8\nchain_bytes = 9\n"
        "on_full = \"prune\"\n");
    REQUIRE_OK(loaded.status, loaded.error);
    const struct manifest *manifest = loaded.manifest;
    EXPECT_TEXT(buf_text(&loaded.warnings), "");
    EXPECT_TEXT(manifest->version, "1.2.3");
    EXPECT_TEXT(manifest->description, "two\nlines");
    EXPECT_TEXT(manifest->id, "the-one");
    EXPECT(manifest->save_chain && manifest->stateless_instance && manifest->static_package);
    EXPECT(manifest->on_error == MANIFEST_ON_ERROR_CRASH);
    EXPECT(manifest->recover == MANIFEST_RECOVER_REPLAY);
    EXPECT(manifest->restart == MANIFEST_PERMANENT);
    EXPECT(manifest->restart_state == MANIFEST_STATE_LAST);
    EXPECT(manifest->mailbox_on_restart == MANIFEST_MAILBOX_DROP);
    EXPECT(manifest->durability == MANIFEST_SYNC);
    EXPECT(manifest->supervision.strategy == MANIFEST_REST_FOR_ONE);
    EXPECT_U64(manifest->supervision.max_restarts, 7);
    EXPECT_U64(manifest->supervision.backoff_max_ms, 10);
    EXPECT_U64(manifest->limits.memory_bytes, 65536);
    EXPECT_U64(manifest->limits.message_bytes, 2);
    EXPECT_U64(manifest->limits.mailbox_bytes, 4);
    EXPECT_U64(manifest->limits.requests, 11);
    EXPECT_U64(manifest->limits.channels, 12);
    EXPECT_U64(manifest->limits.children, 13);
    EXPECT_U64(manifest->limits.spawns_per_second, 15);
    EXPECT_U64(manifest->limits.handles, 16);
    EXPECT_U64(manifest->limits.websockets, 17);
    EXPECT_U64(manifest->limits.init_timeout_ms, 14);
    EXPECT_U64(manifest->limits.turn_cpu_ms, 8);
    EXPECT_U64(manifest->limits.chain_bytes, 9);
    EXPECT(manifest->limits.on_full == MANIFEST_FULL_PRUNE);
    drop(&loaded);
}

// One actor in the three spellings that exist.
static const char *const syntaxes[] = {
    "name = \"x\"\nversion = \"1\"\ncomponent = \"x.wasm\"\n"
    "[[handler]]\ntype = \"message-server\"\n"
    "[[handler]]\ntype = \"timing\"\nmax_sleep_duration = 5000\nmin_sleep_duration = 2\n",
    "name = \"x\"\nversion = \"1\"\ncomponent_path = \"x.wasm\"\n"
    "[[handlers]]\ntype = \"message-server\"\nconfig = {}\n"
    "[[handlers]]\ntype = \"timing\"\n[handlers.config]\nmax_sleep_duration = 5000\n"
    "min_sleep_duration = 2\n",
    "name = \"x\"\nversion = \"1\"\npackage = \"x.wasm\"\n"
    "[[handler]]\ntype = \"message-server\"\n[handler.config]\n"
    "[[handler]]\ntype = \"timing\"\n"
    "config = { max_sleep_duration = 5000, min_sleep_duration = 2 }\n",
};

TEST(all_three_syntaxes_read_alike) {
    for (size_t i = 0; i < COUNT_OF(syntaxes); i++) {
        struct loaded loaded = load_text(syntaxes[i]);
        REQUIRE_OK(loaded.status, loaded.error);
        EXPECT_TEXT(loaded.manifest->component, "x.wasm");
        EXPECT_U64(loaded.manifest->handler_count, 2);
        const struct manifest_handler *timing =
            manifest_find_handler(loaded.manifest, HANDLER_TIMING);
        REQUIRE(timing != NULL);
        EXPECT_U64(timing->timing.max_sleep_duration, 5000);
        EXPECT_U64(timing->timing.min_sleep_duration, 2);
        EXPECT(manifest_find_handler(loaded.manifest, HANDLER_MESSAGE_SERVER) != NULL);
        EXPECT(manifest_find_handler(loaded.manifest, HANDLER_STORE) == NULL);
        EXPECT_TEXT(buf_text(&loaded.warnings), "");
        drop(&loaded);
    }
}

static const char everything[] =
    "name = \"everything\"\nversion = \"0.1.0\"\ncomponent = \"./a.wasm\"\n"
    "[[handler]]\ntype = \"runtime\"\n[[handler]]\ntype = \"message-server\"\n"
    "[[handler]]\ntype = \"supervisor\"\nallowed_sources = [\"https://parts.example/\"]\n"
    "[[handler]]\ntype = \"store\"\n"
    "[[handler]]\ntype = \"http-client\"\nallowed_hosts = [\"API.example\"]\n"
    "allowed_methods = [\"get\"]\n"
    "[[handler]]\ntype = \"http-framework\"\nallowed_routes = [\"/api/\"]\n"
    "[[handler]]\ntype = \"filesystem\"\npath = \"data/../files\"\n"
    "allowed_commands = [\"nix\"]\n"
    "[[handler]]\ntype = \"timing\"\n"
    "[[handler]]\ntype = \"process\"\nallowed_programs = [\"/usr/bin/git\"]\n"
    "allowed_paths = [\"work\"]\n"
    "[[handler]]\ntype = \"environment\"\nallowed_vars = [\"HOME\"]\n"
    "denied_vars = [\"APP_KEY\"]\nallowed_prefixes = [\"APP_\"]\nallow_list_all = true\n"
    "[[handler]]\ntype = \"random\"\nseed = 42\n"
    "[[handler]]\ntype = \"websocket-server\"\nport = 8080\n"
    "[[handler]]\ntype = \"websocket-server\"\nport = 8081\nhost = \"::1\"\n";

TEST(options_of_every_handler_are_read) {
    struct loaded loaded = load_text(everything);
    REQUIRE_OK(loaded.status, loaded.error);
    const struct manifest *manifest = loaded.manifest;
    EXPECT_TEXT(buf_text(&loaded.warnings), "");
    EXPECT_U64(manifest->handler_count, 13);
    const struct manifest_handler *handler = manifest_find_handler(manifest, HANDLER_FILESYSTEM);
    EXPECT_TEXT(handler->filesystem.path, "/base/files");
    EXPECT(handler->filesystem.read && handler->filesystem.write);
    EXPECT_U64(handler->filesystem.allowed_commands.count, 1);
    handler = manifest_find_handler(manifest, HANDLER_PROCESS);
    EXPECT_U64(handler->process.max_processes, 10);
    EXPECT_U64(handler->process.max_output_buffer, 1048576);
    EXPECT_TEXT(handler->process.allowed_programs.items[0], "/usr/bin/git");
    EXPECT_TEXT(handler->process.allowed_paths.items[0], "/base/work");
    handler = manifest_find_handler(manifest, HANDLER_HTTP_CLIENT);
    EXPECT_TEXT(handler->http_client.allowed_hosts.items[0], "api.example");
    EXPECT_TEXT(handler->http_client.allowed_methods.items[0], "GET");
    EXPECT_U64(handler->http_client.timeout, 30000);
    handler = manifest_find_handler(manifest, HANDLER_HTTP_FRAMEWORK);
    EXPECT_TEXT(handler->http_framework.allowed_routes.items[0], "/api");
    EXPECT_U64(handler->http_framework.max_request_size, 100 << 20);
    handler = manifest_find_handler(manifest, HANDLER_RANDOM);
    EXPECT(handler->random.has_seed);
    EXPECT_U64(handler->random.seed, 42);
    EXPECT_U64(handler->random.max_int, INT64_MAX);
    handler = manifest_find_handler(manifest, HANDLER_WEBSOCKET_SERVER);
    EXPECT_U64(handler->websocket_server.port, 8080);
    EXPECT_TEXT(handler->websocket_server.host, "127.0.0.1");
    EXPECT_U64(handler->line, 39);
    drop(&loaded);
}

TEST(errors_tell_place_and_what_was_expected) {
    EXPECT_ERROR(HEAD "[limits]\nmemory_bytes = \"a lot\"\n",
                 "manifest:4:16: limits.memory_bytes: expected an integer, got a string");
    EXPECT_ERROR(HEAD "[limits]\nmemory_bytes = 1.5\n", "got a float");
    EXPECT_ERROR(HEAD "save_chain = 1\n", "manifest:3:14: save_chain: expected a boolean");
    EXPECT_ERROR("name = 1\n", "manifest:1:8: name: expected a string, got an integer");
    EXPECT_ERROR("name = 2024-01-01\n", "got a date-time");
    EXPECT_ERROR("component = \"a\"\n", "name is missing");
    EXPECT_ERROR("name = \"a\"\n", "component is missing");
    EXPECT_ERROR("name = \"\"\ncomponent = \"a\"\n", "must have 1 to 256 bytes, has 0");
    EXPECT_ERROR(HEAD "package = \"b\"\n", "3:1: package: given already, as \"component\"");
    EXPECT_ERROR(HEAD "name = \"b\"\n", "manifest:3:");
    EXPECT_ERROR(HEAD "[limits]\nstack_bytes = 5\n", "must be from 131072 to 67108864, is 5");
    EXPECT_ERROR(HEAD "[limits]\nstack_bytes = -5\n", "is -5");
    EXPECT_ERROR(HEAD "[limits]\nrequests = 0\n",
                 "manifest:4:12: limits.requests: must be from 1 to 1000000, is 0");
    EXPECT_ERROR(HEAD "[limits]\nchannels = true\n",
                 "manifest:4:12: limits.channels: expected an integer, got a boolean");
    EXPECT_ERROR(HEAD "[limits]\nchildren = -1\n", "limits.children: must be from 0 to 10000000");
    EXPECT_ERROR(HEAD "[limits]\nmemory_bytes = 99999999999999999999\n", "manifest:4:");
    EXPECT_ERROR(HEAD "limits = 3\n", "limits: expected a table, got an integer");
    EXPECT_ERROR(HEAD "recover = \"later\"\n",
                 "recover: expected one of \"resume\", \"init\", \"replay\", got \"later\"");
    EXPECT_ERROR(HEAD "id = \"a b\"\n", "manifest:3:6: id: an actor id consists of");
    EXPECT_ERROR(HEAD "[supervision]\nbackoff_initial_ms = 20000\n", "is more than");
    EXPECT_ERROR("name = \"a\\nb\"\ncomponent = \"a\"\n", "control character");
    EXPECT_ERROR("name = \"a\\u0000b\"\ncomponent = \"a\"\n", "NUL character");
    EXPECT_ERROR("name = \n", "manifest:1:");
    EXPECT_ERROR("", "name is missing");
}

TEST(errors_of_handler_blocks) {
    EXPECT_ERROR(HEAD "[handler]\ntype = \"timing\"\n",
                 "handler: expected an array of tables, [[handler]], got a table");
    EXPECT_ERROR(HEAD "[[handler]]\n", "manifest:3:1: handler.type is missing");
    EXPECT_ERROR(HEAD "[[handler]]\ntype = \"timming\"\n", "did you mean \"timing\"?");
    EXPECT_ERROR(HEAD "[[handler]]\ntype = \"message_server\"\n",
                 "did you mean \"message-server\"?");
    EXPECT_ERROR(HEAD "[[handler]]\ntype = 1\n", "handler.type: expected a string");
    EXPECT_ERROR(HEAD "[[handler]]\ntype = \"filesystem\"\n", "neither path nor new_dir");
    EXPECT_ERROR(HEAD "[[handler]]\ntype = \"filesystem\"\npath = \"x\"\nnew_dir = true\n",
                 "both path and new_dir");
    EXPECT_ERROR(HEAD "[[handler]]\ntype = \"websocket-server\"\n",
                 "handler.websocket-server.port is missing");
    EXPECT_ERROR(HEAD "[[handler]]\ntype = \"websocket-server\"\nport = 65536\n",
                 "must be from 0 to 65535");
    EXPECT_ERROR(HEAD
                 "[[handler]]\ntype = \"timing\"\nmin_sleep_duration = 9\n"
                 "max_sleep_duration = 8\n",
                 "is more than");
    EXPECT_ERROR(HEAD "[[handler]]\ntype = \"timing\"\n[[handler]]\ntype = \"timing\"\n",
                 "manifest:5:1: handler.timing: a second block; the first is in line 3");
    EXPECT_ERROR(HEAD
                 "[[handler]]\ntype = \"timing\"\nmax_sleep_duration = 1\n"
                 "config = { max_sleep_duration = 2 }\n",
                 "given already");
    EXPECT_ERROR(HEAD "[[handler]]\ntype = \"timing\"\nconfig = 1\n", "expected a table");
    EXPECT_ERROR(HEAD "[[handler]]\ntype = \"environment\"\nallowed_vars = \"A\"\n",
                 "expected an array of strings, got a string");
    EXPECT_ERROR(HEAD "[[handler]]\ntype = \"environment\"\nallowed_vars = [1]\n",
                 "expected a string, got an integer");
    EXPECT_ERROR(HEAD "[[handler]]\ntype = \"environment\"\nallowed_prefixes = [\"\"]\n",
                 "an item is empty");
    EXPECT_ERROR(HEAD "[[handler]]\ntype = \"http-client\"\nallowed_hosts = [\"https://a\"]\n",
                 "no scheme");
    EXPECT_ERROR(HEAD "handler = [1]\n", "expected a table");
}

TEST(unknown_keys_warn_with_the_nearest_known_one) {
    EXPECT_WARNING(HEAD "on_eror = \"crash\"\n",
                   "manifest:3:1: on_eror: unknown key, ignored; did you mean \"on_error\"?");
    EXPECT_WARNING(HEAD "[limits]\nmemory_byte = 5\n",
                   "manifest:4:1: limits.memory_byte: unknown key, ignored; did you mean "
                   "\"memory_bytes\"?");
    EXPECT_WARNING(HEAD "[[handler]]\ntype = \"timing\"\nmax_sleep_durration = 5\n",
                   "handler.timing.max_sleep_durration: unknown key, ignored; did you mean "
                   "\"max_sleep_duration\"?");
    EXPECT_WARNING(HEAD "zebra_crossing_colour = 1\n",
                   "manifest:3:1: zebra_crossing_colour: unknown key, ignored\n");
    EXPECT_WARNING(HEAD "[[handlers]]\ntype = \"message-server\"\nconfig = { port = 9002 }\n",
                   "handler.message-server.port: unknown key, ignored");
    EXPECT_WARNING(HEAD "\"bad\\nkey\" = 1\n", "bad?key: unknown key");
    EXPECT_WARNING(HEAD
                   "[[handler]]\ntype = \"store\"\n[[handler]]\ntype = \"runtime\"\n"
                   "[[handler]]\ntype = \"runtime\"\n",
                   "repeats the block in line 5");
}

TEST(absent_lists_that_mean_nothing_warn) {
    EXPECT_WARNING(HEAD "[[handler]]\ntype = \"environment\"\n",
                   "handler.environment.allowed_vars and allowed_prefixes are absent");
    EXPECT_WARNING(HEAD "[[handler]]\ntype = \"process\"\n",
                   "handler.process.allowed_programs is absent");
    EXPECT_WARNING(HEAD "[[handler]]\ntype = \"filesystem\"\npath = \"x\"\n",
                   "handler.filesystem.allowed_commands is absent");
    EXPECT_WARNING(HEAD "[[handler]]\ntype = \"filesystem\"\npath = \"x\"\nexecute = false\n",
                   NULL);
    EXPECT_WARNING(HEAD "[[handler]]\ntype = \"http-client\"\n", NULL);
}

TEST(a_flood_of_unknown_keys_ends_in_one_warning) {
    struct buf text = {0};
    buf_append_text(&text, HEAD);
    for (int i = 0; i < 1000; i++) {
        buf_format(&text, "unknown%d = 1\n", i);
    }
    struct loaded loaded = load_text(buf_text(&text));
    REQUIRE_OK(loaded.status, loaded.error);
    EXPECT_CONTAINS(buf_text(&loaded.warnings), "more warnings are left out");
    size_t lines = 0;
    for (size_t i = 0; i < loaded.warnings.size; i++) {
        lines += loaded.warnings.data[i] == '\n';
    }
    EXPECT_U64(lines, 101);
    drop(&loaded);
    buf_release(&text);
}

static enum status load_bytes(const void *data, size_t size, struct error *error) {
    struct manifest *manifest = NULL;
    enum status status = manifest_load_text(slice_of(data, size), ".", NULL, &manifest, error);
    manifest_unref(manifest);
    return status;
}

TEST(bytes_that_are_no_text_are_refused) {
    static const char invalid[] = "name = \"a\"\n# caf\xC3\xA9 \xFF\n";
    static const char nul[] = "name = \"a\"\n\0";
    struct error error = {0};
    EXPECT(load_bytes(invalid, sizeof invalid - 1, &error) == ERR_INVALID);
    EXPECT_TEXT(error.message, "manifest:2:8: invalid UTF-8");
    error_clear(&error);
    EXPECT(load_bytes(nul, sizeof nul - 1, &error) == ERR_INVALID);
    EXPECT_TEXT(error.message, "manifest:2:1: a NUL character");
    error_clear(&error);
    size_t size = MANIFEST_TEXT_MAX_BYTES + 1;
    char *large = xmalloc(size);
    memset(large, '#', size);
    EXPECT(load_bytes(large, size, &error) == ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "1048577 bytes, at most 1048576");
    free(large);
}

TEST(nesting_is_bounded_before_it_is_parsed) {
    struct error error = {0};
    size_t size = 500000;
    char *text = xmalloc(size);
    memset(text, '[', size);
    EXPECT(load_bytes(text, size, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "too many arrays or tables in one another");
    error_clear(&error);
    for (size_t i = 0; i < size; i++) {
        text[i] = i % 2 == 0 ? 'a' : '.';
    }
    EXPECT(load_bytes(text, size, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "too many parts in a dotted key");
    free(text);
}

TEST(lists_and_blocks_are_counted) {
    struct buf text = {0};
    buf_append_text(&text, HEAD "[[handler]]\ntype = \"environment\"\nallowed_vars = [");
    for (int i = 0; i <= MANIFEST_LIST_MAX; i++) {
        buf_append_text(&text, "\"A\",");
    }
    buf_append_text(&text, "]\n");
    EXPECT_ERROR(buf_text(&text), "allowed_vars: has 1025 items, at most 1024 are allowed");
    buf_clear(&text);
    buf_append_text(&text, HEAD);
    for (int i = 0; i <= MANIFEST_HANDLERS_MAX; i++) {
        buf_format(&text, "[[handler]]\ntype = \"websocket-server\"\nport = %d\n", i + 1);
    }
    EXPECT_ERROR(buf_text(&text), "handler: more than 64 blocks");
    buf_release(&text);
}

TEST(text_may_be_given_where_a_path_may) {
    struct manifest *manifest = NULL;
    struct error error = {0};
    REQUIRE_OK(manifest_load(slice_text(HEAD), "/base/./x", NULL, &manifest, &error), error);
    EXPECT_TEXT(manifest->folder, "/base/x");
    EXPECT_TEXT(manifest->file, "manifest");
    manifest_unref(manifest);
    manifest_unref(NULL);
}

TEST(interfaces_that_come_later_are_refused_by_name) {
    struct loaded loaded = load_text(HEAD "[[handler]]\ntype = \"tcp\"\nlisten = \"x\"\n");
    REQUIRE_OK(loaded.status, loaded.error);
    EXPECT_TEXT(buf_text(&loaded.warnings), "");
    struct error error = {0};
    EXPECT(manifest_check_available(loaded.manifest, &error) == ERR_UNSUPPORTED);
    EXPECT_TEXT(error.message, "manifest:3:1: handler.tcp: this interface is not available yet");
    drop(&loaded);
    loaded = load_text(syntaxes[0]);
    REQUIRE_OK(loaded.status, loaded.error);
    EXPECT(manifest_check_available(loaded.manifest, NULL) == OK);
    drop(&loaded);
}

TEST(imports_name_the_block_they_need) {
    enum manifest_handler_type type = HANDLER_TYPE_COUNT;
    EXPECT(manifest_requires(slice_text("theater:simple/runtime"), &type) == MANIFEST_NEED_NOTHING);
    EXPECT(manifest_requires(slice_text("theater:simple/message-server-host@0.1.1"), &type) ==
           MANIFEST_NEED_NOTHING);
    EXPECT(manifest_requires(slice_text("theater:simple/timing"), &type) == MANIFEST_NEED_HANDLER);
    EXPECT(type == HANDLER_TIMING);
    EXPECT(manifest_requires(slice_text("ntwk:theater/http-client@0.1.0"), &type) ==
           MANIFEST_NEED_HANDLER);
    EXPECT(type == HANDLER_HTTP_CLIENT);
    EXPECT(manifest_requires(slice_text("theater:simple/"), &type) == MANIFEST_NEED_UNKNOWN);
    EXPECT(manifest_requires(slice_text("theater:simple/tim"), &type) == MANIFEST_NEED_UNKNOWN);
    EXPECT(manifest_requires(slice_text("wasi:io/streams"), &type) == MANIFEST_NEED_UNKNOWN);

    struct loaded loaded = load_text(HEAD);
    REQUIRE_OK(loaded.status, loaded.error);
    struct error error = {0};
    EXPECT(manifest_check_import(loaded.manifest, slice_text("theater:simple/timing"), &error) ==
           ERR_DENIED);
    EXPECT_CONTAINS(error.message, "add [[handler]] type = \"timing\" to manifest");
    EXPECT(manifest_check_import(loaded.manifest, slice_text("theater:simple/types"), NULL) == OK);
    drop(&loaded);
    loaded = load_text(syntaxes[1]);
    EXPECT(manifest_check_import(loaded.manifest, slice_text("theater:simple/timing"), NULL) == OK);
    drop(&loaded);
}

TEST(text_is_told_from_a_path) {
    EXPECT(manifest_is_text(slice_text("name = \"x\"\n")));
    EXPECT(manifest_is_text(slice_text("name = \"x\"")));
    EXPECT(manifest_is_text(slice_text("[limits]")));
    EXPECT(!manifest_is_text(slice_text("manifest.toml")));
    EXPECT(!manifest_is_text(slice_text("/a=b/manifest.toml")));
    EXPECT(!manifest_is_text(slice_text("https://x.example/m?a=b")));
    EXPECT(!manifest_is_text(slice_text("store://id/label")));
    EXPECT(!manifest_is_text(slice_text("")));
}

// Makes a locale with a decimal comma from the C library's own sources, where they are installed.
static bool make_locale(void) {
    const char *folder = test_folder();
    char *path = file_join(folder, "de_DE.UTF-8");
    char *const arguments[] = {"localedef", "-i", "de_DE", "-f", "UTF-8", path, NULL};
    pid_t child = 0;
    int outcome = -1;
    if (posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ) == 0) {
        (void)waitpid(child, &outcome, 0);
    }
    free(path);
    (void)setenv("LOCPATH", folder, 1);
    return setlocale(LC_ALL, "de_DE.UTF-8") != NULL;
}

TEST(a_decimal_comma_changes_nothing) {
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(names) && !found; i++) {
        found = setlocale(LC_ALL, names[i]) != NULL;
    }
    found = found || make_locale();
    if (!found || localeconv()->decimal_point[0] != ',') {
        (void)setlocale(LC_ALL, "C");
        SKIP("no locale with a decimal comma is installed");
    }
    struct loaded loaded = load_state(
        "name = \"r ${ratio}\"\ncomponent = \"a.wasm\"\nextra = ${ratio}\n"
        "initial_state = '{\"x\": 2.5}'\n",
        "{\"ratio\": 0.5}");
    (void)setlocale(LC_ALL, "C");
    REQUIRE_OK(loaded.status, loaded.error);
    EXPECT_TEXT(loaded.manifest->name, "r 0.5");
    EXPECT(
        slice_equal_text(bytes_slice(loaded.manifest->initial_state), "{\"x\":2.5,\"ratio\":0.5}"));
    drop(&loaded);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// What the chain says of denials and of secrets. A host function of the test stands in for
// random.random-float and is called by the probe.
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/cbor.h"
#include "codec/sha256.h"
#include "support.h"

// ---- a call of the host with headers and a marked result
// -----------------------------------------

static const struct component_type text_type = {.kind = COMPONENT_STRING};
static const struct component_type *const pair_items[] = {&text_type, &text_type};
static const struct component_type pair_type = {
    .kind = COMPONENT_TUPLE, .item_count = 2, .items = pair_items};
static const struct component_type *const list_items[] = {&pair_type};
static const struct component_type list_type = {
    .kind = COMPONENT_LIST, .item_count = 1, .items = list_items};
static const struct component_type *const record_items[] = {&text_type, &list_type};
static const struct component_type record_type = {
    .kind = COMPONENT_RECORD,
    .item_count = 2,
    .items = record_items,
    .names = (const struct slice[]){{.data = (const uint8_t *)"uri", .size = 3},
                                    {.data = (const uint8_t *)"headers", .size = 7}}};
static const struct component_func_type call_type = {
    .param_count = 1,
    .params = (const struct component_type *const[]){&record_type},
    .result = &text_type};

static struct value text(const char *content) {
    return (struct value){.bytes = (const uint8_t *)content, .count = (uint32_t)strlen(content)};
}

// Fields as wasi:http has them: names as texts, values as bytes.
static const struct component_type handle_type = {.kind = COMPONENT_BORROW};
static const struct component_type byte_type = {.kind = COMPONENT_U8, .size = 1, .is_plain = true};
static const struct component_type bytes_type = {
    .kind = COMPONENT_LIST,
    .item_count = 1,
    .items = (const struct component_type *const[]){&byte_type}};
static const struct component_type many_type = {
    .kind = COMPONENT_LIST,
    .item_count = 1,
    .items = (const struct component_type *const[]){&bytes_type}};
static const struct component_type field_type = {
    .kind = COMPONENT_TUPLE,
    .item_count = 2,
    .items = (const struct component_type *const[]){&text_type, &bytes_type}};
static const struct component_type fields_type = {
    .kind = COMPONENT_LIST,
    .item_count = 1,
    .items = (const struct component_type *const[]){&field_type}};
static const struct component_type *const field_params[] = {&handle_type, &text_type, &bytes_type};
static const struct component_func_type append_type = {.param_count = 3, .params = field_params};
static const struct component_func_type get_type = {
    .param_count = 2, .params = field_params, .result = &many_type};
static const struct component_func_type entries_type = {
    .param_count = 1, .params = field_params, .result = &fields_type};

static void call_with_secret_fields(struct actor *self) {
    static const char append[] = "wasi:http/types.[method]fields.append";
    struct value args[3] = {{.bits = 1}, text("Authorization"), text("hidden-bytes")};
    actor_call_begin(self, append, &append_type, args);
    EXPECT(actor_call_end(self, NULL));
    args[1] = text("x-name");
    args[2] = text("plain-bytes");
    actor_call_begin(self, append, &append_type, args);
    EXPECT(actor_call_end(self, NULL));
    struct value found[1] = {text("hidden-found")};
    args[1] = text("set-cookie");
    actor_call_begin(self, "wasi:http/types.[method]fields.get", &get_type, args);
    EXPECT(actor_call_end(self, &(struct value){.items = found, .count = 1}));
    struct value pairs[2][2] = {{text("Cookie"), text("hidden-entry")},
                                {text("x-name"), text("plain-entry")}};
    struct value entries[2] = {{.items = pairs[0], .count = 2}, {.items = pairs[1], .count = 2}};
    actor_call_begin(self, "wasi:http/types.[method]fields.entries", &entries_type, args);
    EXPECT(actor_call_end(self, &(struct value){.items = entries, .count = 2}));
}

// Called in the middle of the probe's own call of random-float, which it records around it.
static void call_with_secrets(struct actor *self) {
    struct value pairs[4][2] = {{text("Accept"), text("plain-accept")},
                                {text("AUTHORIZATION"), text("hidden-token")},
                                {text("cookie"), text("hidden-cookie")},
                                {text("cookies"), text("plain-cookies")}};
    struct value headers[4];
    for (size_t i = 0; i < 4; i++) {
        headers[i] = (struct value){.items = pairs[i], .count = 2};
    }
    struct value fields[2] = {text("plain-uri"), {.items = headers, .count = 4}};
    struct value request = {.items = fields, .count = 2};
    struct value answer = text("hidden-answer");
    answer.is_secret = true;
    actor_call_begin(self, "test.call", &call_type, &request);
    EXPECT(actor_call_end(self, &answer));
}

enum { DENIALS = 200 };

static bool has_fields;  // calls of wasi:http too

static bool stand_in(struct component_call *call, const struct value *args, struct value *result) {
    (void)args;
    struct actor *self = component_call_owner(call);
    struct error error = {0};
    call_with_secrets(self);
    if (has_fields) {
        call_with_secret_fields(self);
    }
    actor_call_begin(self, "test.denied", component_call_type(call), NULL);
    for (int i = 0; i < DENIALS; i++) {
        error_clear(&error);
        EXPECT_U64(actor_denied(self, PERMISSION_RANDOM, &error, "try %d", i), ERR_DENIED);
    }
    EXPECT_TEXT(error.message, "permission denied: try 199");
    struct value *one = arena_try_alloc(component_call_arena(call), sizeof *one, 8);
    REQUIRE(one != NULL);
    *one = (struct value){.bits = 0};
    *result = (struct value){.items = one};
    return actor_call_end(self, result);
}

static enum status resolve(const struct manifest *manifest, const struct component_import *import,
                           struct component_host_func *out, struct error *error) {
    enum status status = host_resolve(manifest, import, out, error);
    if (slice_equal_text(import->name, "random-float")) {
        *out = (struct component_host_func){.fn = stand_in};
    }
    return status;
}

static struct world opened(const char *secrets_folder) {
    struct world world = {.resolve = resolve, .secrets_folder = secrets_folder};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "");
    start(&world, "a.toml", "a");
    return world;
}

// ---- denials
// ---------------------------------------------------------------------------------------

TEST(denials_stand_before_their_leg_and_are_bounded) {
    struct world world = opened(NULL);
    EXPECT_U64(ask(&world, "a", "float"), OK);
    EXPECT_U64(count_events(&world, "a", "permission-denied", NULL), 64);
    EXPECT_U64(count_events(&world, "a", "permission-denied", "test.denied"), 64);
    EXPECT_U64(count_events(&world, "a", "permission-denied", "try 63"), 1);
    EXPECT_U64(count_events(&world, "a", "permission-denied", "try 64"), 0);
    // The last one counts the others: {…, 4: 136}.
    EXPECT_U64(count_events(&world, "a", "permission-denied", "try 63\x04\x18\x88"), 1);
    EXPECT_U64(ask(&world, "a", "echo x"), OK);
    EXPECT_U64(count_events(&world, "a", "permission-denied", NULL), 64);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_message_after_denials_names_the_leg_that_sent_it) {
    struct world world = opened(NULL);
    write_manifest(&world, "b.toml", "", "");
    start(&world, "b.toml", "b");
    EXPECT_U64(ask(&world, "a", "float"), OK);
    // Events of "a" so far: spawned, instance-created, init, 64 denials, the leg.
    EXPECT_U64(count_events(&world, "a", NULL, NULL), 68);
    EXPECT_U64(ask(&world, "a", "send b hello"), OK);
    settle(&world);
    // ["a", 68, 0]
    EXPECT_U64(count_events(&world, "b", "handle-send",
                            "\x83\x61"
                            "a\x18\x44"),
               1);
    EXPECT_U64(world_close(&world), OK);
}

// ---- secrets
// ---------------------------------------------------------------------------------------

TEST(secrets_are_commitments_in_the_chain) {
    struct world world = opened(NULL);
    EXPECT_U64(ask(&world, "a", "float"), OK);
    EXPECT_U64(count_events(&world, "a", NULL, "hidden-"), 0);
    EXPECT_U64(count_events(&world, "a", "handle-request", "plain-uri"), 1);
    EXPECT_U64(count_events(&world, "a", "handle-request", "plain-accept"), 1);
    EXPECT_U64(count_events(&world, "a", "handle-request", "plain-cookies"), 1);
    // Tag 29541 and 32 bytes that are not zero.
    EXPECT_U64(count_events(&world, "a", "handle-request", "\xd9\x73\x65\x58\x20"), 1);
    struct chain_reader *reader = NULL;
    struct error error = {0};
    REQUIRE_OK(chain_reader_open(world.log, "a", 0, &reader, &error), error);
    struct chain_event event;
    bool more = true;
    for (;;) {
        REQUIRE_OK(chain_reader_next(reader, &event, &more, &error), error);
        if (!more) {
            break;
        }
        static const uint8_t zeros[16];
        EXPECT(memmem(event.data.data, event.data.size, zeros, sizeof zeros) == NULL);
    }
    chain_reader_close(reader);
    EXPECT_U64(world_close(&world), OK);
}

TEST(secret_fields_of_wasi_http_are_commitments_too) {
    has_fields = true;
    struct world world = opened(NULL);
    EXPECT_U64(ask(&world, "a", "float"), OK);
    has_fields = false;
    EXPECT_U64(count_events(&world, "a", NULL, "hidden-"), 0);
    EXPECT_U64(count_events(&world, "a", "handle-request", "plain-bytes"), 1);
    EXPECT_U64(count_events(&world, "a", "handle-request", "plain-entry"), 1);
    EXPECT_U64(world_close(&world), OK);
}

// The only file of the folder; free with bytes_unref.
static struct bytes *read_side_file(const char *folder) {
    DIR *stream = opendir(folder);
    struct bytes *content = NULL;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        struct error error = {0};
        struct stat info;
        char *path = file_join(folder, entry->d_name);
        REQUIRE(content == NULL);
        EXPECT(strncmp(entry->d_name, "a@", 2) == 0);
        REQUIRE(stat(path, &info) == 0);
        EXPECT_U64(info.st_mode & 0777, 0600);
        REQUIRE_OK(file_read(path, 1 << 20, &content, &error), error);
        free(path);
    }
    closedir(stream);
    REQUIRE(content != NULL);
    return content;
}

// HMAC-SHA256 as RFC 2104 has it, apart from the code under test.
static void hmac(const uint8_t *key, struct slice item, uint8_t out[SHA256_BYTES]) {
    uint8_t pad[2][64];
    for (size_t i = 0; i < 64; i++) {
        uint8_t byte = i < 32 ? key[i] : 0;
        pad[0][i] = byte ^ 0x36;
        pad[1][i] = byte ^ 0x5c;
    }
    uint8_t inner[SHA256_BYTES];
    sha256_pair(slice_of(pad[0], 64), item, inner);
    sha256_pair(slice_of(pad[1], 64), slice_of(inner, sizeof inner), out);
}

TEST(the_side_file_opens_the_commitments) {
    const char *folder = test_folder();
    struct world world = opened(folder);
    EXPECT_U64(ask(&world, "a", "float"), OK);
    EXPECT_U64(ask(&world, "a", "float"), OK);
    settle(&world);
    struct bytes *content = read_side_file(folder);
    struct slice all = bytes_slice(content);
    // ["theater-secrets-1", "a", key], then one pair for each value, however often it was seen.
    static const char head[] =
        "\x83\x71theater-secrets-1\x61"
        "a\x58\x20";
    size_t head_bytes = sizeof head - 1;
    REQUIRE(all.size > head_bytes + 32 && memcmp(all.data, head, head_bytes) == 0);
    const uint8_t *key = all.data + head_bytes;
    static const char *const items[] = {"\x6chidden-token", "\x6dhidden-cookie",
                                        "\x6dhidden-answer"};
    const uint8_t *at = key + 32;
    for (size_t i = 0; i < COUNT_OF(items); i++) {
        uint8_t commitment[SHA256_BYTES];
        struct slice item = slice_text(items[i]);
        hmac(key, item, commitment);
        REQUIRE((size_t)(all.data + all.size - at) >= 35 + item.size);
        EXPECT(memcmp(at, "\x82\x58\x20", 3) == 0);
        EXPECT(memcmp(at + 3, commitment, sizeof commitment) == 0);
        EXPECT(memcmp(at + 35, item.data, item.size) == 0);
        at += 35 + item.size;
    }
    EXPECT(at == all.data + all.size);
    bytes_unref(content);
    EXPECT_U64(world_close(&world), OK);
}

TEST(secrets_that_cannot_be_kept_are_not_recorded) {
    struct world world = opened("/nonexistent/secrets");
    EXPECT_U64(ask(&world, "a", "float"), ERR_CLOSED);
    EXPECT_CONTAINS(world.text, "the chain cannot be written");
    EXPECT_U64(world_close(&world), OK);
}

// ---- large values
// ------------------------------------------------------------------------------------

static struct world opened_with_store(void) {
    struct world world = {0};
    struct store_config config = {.data_folder = test_folder(), .env = env_system()};
    struct error error = {0};
    REQUIRE_OK(store_open(&config, &world.store, &error), error);
    world_open(&world);
    write_manifest(&world, "a.toml", "", "");
    start(&world, "a.toml", "a");
    return world;
}

static void close_with_store(struct world *world) {
    EXPECT_U64(world_close(world), OK);
    store_close(world->store);
}

// The command, a space, and so many of the letter that the message has `bytes` bytes.
static const char *long_message(const char *command, char letter, size_t bytes) {
    static char text[200001];
    REQUIRE(bytes < sizeof text);
    memset(text, letter, bytes);
    memcpy(text, command, strlen(command));
    text[strlen(command)] = ' ';
    text[bytes] = '\0';
    return text;
}

// How many events of "a" hold the reference to `content`; the store has it.
static uint64_t count_references(struct world *world, const char *type, struct slice content) {
    struct buf reference = {0};
    uint8_t hash[SHA256_BYTES];
    struct bytes *kept = NULL;
    sha256(content, hash);
    cbor_tag(&reference, 29285);
    cbor_array(&reference, 2);
    cbor_bytes(&reference, slice_of(hash, sizeof hash));
    cbor_uint(&reference, content.size);
    uint64_t count = 0;
    struct chain_reader *reader = NULL;
    struct error error = {0};
    struct chain_event event;
    REQUIRE_OK(chain_reader_open(world->log, "a", 0, &reader, &error), error);
    for (bool more = true; more;) {
        REQUIRE_OK(chain_reader_next(reader, &event, &more, &error), error);
        count += more && slice_equal_text(event.type, type) &&
                 memmem(event.data.data, event.data.size, reference.data, reference.size) != NULL;
    }
    chain_reader_close(reader);
    buf_release(&reference);
    EXPECT(store_read(world->store, hash, 1 << 20, &kept, NULL) == OK &&
           slice_equal(bytes_slice(kept), content));
    bytes_unref(kept);
    return count;
}

TEST(values_over_4096_bytes_stand_in_the_chain_by_their_hash) {
    struct world world = opened_with_store();
    // A parameter, an answer (what comes behind the command) and an argument of the host's log.
    struct slice message = slice_text(long_message("echo", 'e', 5000));
    EXPECT_U64(ask_for(&world, "a", 60000, (const char *)message.data), OK);
    EXPECT_U64(count_references(&world, "handle-request", message), 1);
    EXPECT_U64(count_references(&world, "handle-request", slice_of(message.data + 5, 4995)), 1);
    EXPECT_U64(count_events(&world, "a", NULL, "eeeeeeee"), 0);
    message = slice_text(long_message("log", 'l', 150000));
    EXPECT_U64(ask_for(&world, "a", 60000, (const char *)message.data), OK);
    EXPECT_U64(count_references(&world, "handle-request", slice_of(message.data + 4, 149996)), 1);
    EXPECT_U64(count_events(&world, "a", NULL, "llllllll"), 0);
    // A state; the same result of the host call get-state.
    message = slice_text(long_message("set-state", 's', 6000));
    EXPECT_U64(ask_for(&world, "a", 60000, (const char *)message.data), OK);
    struct slice state = slice_of(message.data + 10, 5990);
    EXPECT_U64(count_references(&world, "handle-request", state), 1);
    EXPECT_U64(ask(&world, "a", "get-state"), OK);
    EXPECT_U64(count_references(&world, "handle-request", state), 2);
    // An error's text.
    message = slice_text(long_message("err", 'f', 7000));
    EXPECT_U64(ask_for(&world, "a", 60000, (const char *)message.data), ERR_GUEST);
    EXPECT_U64(count_references(&world, "handle-request", slice_of(message.data + 4, 6996)), 1);
    EXPECT_U64(count_events(&world, "a", "handle-request", "ssssssss"), 0);
    close_with_store(&world);
}

TEST(values_of_4096_bytes_stand_in_the_chain_themselves) {
    struct world world = opened_with_store();
    const char *message = long_message("echo", 'e', 4096);
    EXPECT_U64(ask_for(&world, "a", 60000, message), OK);
    EXPECT_U64(count_events(&world, "a", "handle-request", message), 1);
    message = long_message("echo", 'f', 4097);
    EXPECT_U64(ask_for(&world, "a", 60000, message), OK);
    EXPECT_U64(count_events(&world, "a", "handle-request", message), 0);
    EXPECT_U64(count_references(&world, "handle-request", slice_text(message)), 1);
    close_with_store(&world);
}

TEST(events_of_chains_stand_in_the_chain_as_a_range) {
    struct world world = opened_with_store();
    for (int i = 0; i < 30; i++) {
        EXPECT_U64(ask(&world, "a", "log a word that is found in the events"), OK);
    }
    // [29286(["a", 0, 33, …])]: spawned, instance-created, init and 30 turns.
    EXPECT_U64(ask(&world, "a", "chain"), OK);
    EXPECT_U64(count_events(&world, "a", "handle-request",
                            "\x81\xd9\x72\x66\x84\x61"
                            "a"),
               1);
    EXPECT_U64(ask(&world, "a", "chain"), OK);
    EXPECT_U64(count_events(&world, "a", "handle-request",
                            "\xd9\x72\x66\x84\x61"
                            "a"),
               2);
    EXPECT_U64(count_events(&world, "a", NULL, "is found in the events"), 30);
    // The same of a child.
    write_manifest(&world, "c.toml", "id = \"c\"\n", "");
    EXPECT_U64(ask(&world, "a", "spawn %s/c.toml", world.folder), OK);
    EXPECT_U64(ask(&world, "a", "child-events c"), OK);
    EXPECT_U64(count_events(&world, "a", "handle-request",
                            "\xd9\x72\x66\x84\x61"
                            "c"),
               1);
    close_with_store(&world);
}

static _Atomic int keeps_left;

static enum status fail_to_keep(void *context, struct slice content,
                                const uint8_t hash[SHA256_BYTES], struct error *error) {
    (void)context;
    (void)content;
    (void)hash;
    return keeps_left-- > 0 ? OK : error_set(error, ERR_IO, "no space left for it");
}

TEST(a_leg_whose_values_cannot_be_kept_is_not_recorded) {
    // The message itself; the answer behind it; and a state.
    static const char *const commands[] = {"echo", "echo", "set-state"};
    for (int i = 0; i < 3; i++) {
        struct world world = {.keep_value = fail_to_keep};
        keeps_left = i < 2 ? i : 1;
        world_open(&world);
        write_manifest(&world, "a.toml", "", "");
        start(&world, "a.toml", "a");
        EXPECT_U64(ask_for(&world, "a", 60000, long_message(commands[i], 'x', 5000)), ERR_CLOSED);
        EXPECT_CONTAINS(world.text, "the chain cannot be written");
        settle(&world);
        EXPECT_U64(count_events(&world, "a", "handle-request", NULL), 0);
        EXPECT_U64(world_close(&world), OK);
    }
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// The format: the vectors of docs/formats/chain.md byte for byte, JSON of an event, and the second
// implementation, tools/verify/verify.py, agreeing with ours on good and on damaged logs.
#include <sys/wait.h>

#include "support.h"

// The log of the documentation: seeded clock and nonce, one chain, two events, one batch.
static void make_example(const char *folder, struct chain_head *head) {
    struct env env;
    env_init_seeded(&env, 1, 1700000000000000000);
    struct chain_log *log = open_log((struct chain_log_config){
        .folder = folder, .flush_interval_ns = 60000000000, .no_sync = true, .env = &env});
    uint8_t nonce[CHAIN_NONCE_BYTES];
    *head = open_head(log, "example", nonce);
    struct buf data = {0};
    struct error error = {0};
    cbor_map(&data, 1);
    cbor_uint(&data, 0);
    cbor_bytes(&data, slice_of(nonce, sizeof nonce));
    REQUIRE_OK(chain_append(log, head, "spawned", buf_slice(&data), NULL, &error), error);
    env_advance(&env, 1000);
    buf_clear(&data);
    cbor_map(&data, 2);
    cbor_uint(&data, 1);
    cbor_bytes(&data, slice_text("hello"));
    cbor_uint(&data, 2);
    cbor_bytes(&data, slice_of("\xff\x00", 2));
    REQUIRE_OK(chain_append(log, head, "handle-send", buf_slice(&data), NULL, &error), error);
    buf_release(&data);
    close_log(log);
}

// Appends the hexadecimal digits of the lines between `mark` and the next "```".
static void read_vector(struct slice document, const char *mark, struct buf *out) {
    char *text = xstrndup(document.data, document.size);
    char *at = strstr(text, mark);
    char *end = at == NULL ? NULL : strstr(at + strlen(mark), "```");
    for (at = at == NULL ? NULL : at + strlen(mark); end != NULL && at < end; at++) {
        if (*at == '#') {  // a remark, to the end of the line
            at += strcspn(at, "\n");
        } else if (strchr("0123456789abcdef", *at) != NULL) {
            buf_append_byte(out, (uint8_t)*at);
        }
    }
    free(text);
}

static void to_hex(struct slice content, struct buf *out) {
    for (size_t i = 0; i < content.size; i++) {
        buf_format(out, "%02x", content.data[i]);
    }
}

TEST(the_documented_vectors_are_what_is_written) {
    const char *folder = fresh_folder("vector");
    struct chain_head head;
    make_example(folder, &head);
    struct bytes *document = load_file(SOURCE_FOLDER "/docs/formats", "chain.md");
    struct bytes *segment = load_file(folder, "00000001.log");
    struct buf wanted = {0};
    struct buf actual = {0};
    read_vector(bytes_slice(document), "```segment", &wanted);
    to_hex(bytes_slice(segment), &actual);
    EXPECT_TEXT(buf_text(&actual), buf_text(&wanted));
    buf_clear(&wanted);
    buf_clear(&actual);
    read_vector(bytes_slice(document), "```head", &wanted);
    to_hex(slice_of(head.hash, SHA256_BYTES), &actual);
    EXPECT_TEXT(buf_text(&actual), buf_text(&wanted));
    buf_release(&wanted);
    buf_release(&actual);
    bytes_unref(segment);
    bytes_unref(document);
}

TEST(an_event_as_json) {
    const char *folder = fresh_folder("json");
    struct chain_head head;
    make_example(folder, &head);
    struct chain_log *log =
        open_log((struct chain_log_config){.folder = folder, .read_only = true});
    struct chain_reader *reader = NULL;
    struct chain_event event;
    struct error error = {0};
    bool more = false;
    REQUIRE_OK(chain_reader_open(log, "example", 1, &reader, &error), error);
    REQUIRE_OK(chain_reader_next(reader, &event, &more, &error), error);
    REQUIRE(more);
    struct buf json = {0};
    chain_event_json("example", &event, &json);
    const char *text = buf_text(&json);
    EXPECT_CONTAINS(text,
                    "{\"actor\":\"example\",\"seq\":1,\"time\":1700000000000001000,"
                    "\"type\":\"handle-send\",\"hash\":\"");
    EXPECT_CONTAINS(text, "\",\"data\":{\"1\":{\"text\":\"hello\"},\"2\":{\"hex\":\"ff00\"}}}\n");
    buf_release(&json);
    chain_reader_close(reader);
    close_log(log);
}

// ---- the second implementation -----------------------------------------------------------------

// Exit code of verify.py, 0 good and 1 bad; -1 when there is no Python here.
static int verify_in_python(const char *folder) {
    char command[1200];
    (void)snprintf(command, sizeof command,
                   "python3 -B '%s/tools/verify/verify.py' '%s' >'%s/../python.out' 2>&1",
                   SOURCE_FOLDER, folder, folder);
    int state = system(command);
    int code = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
    return code == 127 ? -1 : code;
}

TEST(the_second_implementation_agrees) {
    const char *folder = fresh_folder("agree");
    struct chain_log_config config = {.folder = folder, .segment_bytes = 4096, .no_sync = true};
    for (int round = 0; round < 2; round++) {
        struct chain_log *log = open_log(config);
        uint8_t nonce[2][CHAIN_NONCE_BYTES];
        struct chain_head a = open_head(log, "a", nonce[0]);
        struct chain_head b = open_head(log, "b.2", nonce[1]);
        for (int i = 0; i < 10; i++) {
            (void)append_events(log, &a, nonce[0], 2, (size_t)(i * 30));
            (void)append_events(log, &b, nonce[1], 1, 300);
        }
        close_log(log);
    }
    int code = verify_in_python(folder);
    if (code < 0) {
        SKIP("needs python3");
    }
    EXPECT(code == 0 && verify_log(folder).is_good);
    struct bytes *last = load_file(folder, "00000002.log");
    struct bytes *copy = bytes_copy(bytes_slice(last));
    for (size_t i = 0; i < copy->size; i += 97) {
        copy->data[i] ^= 0x40;
        store_file(folder, "00000002.log", bytes_slice(copy));
        copy->data[i] = last->data[i];
        code = verify_in_python(folder);
        bool is_good = verify_log(folder).is_good;
        if (code != 1 || is_good) {
            test_report(__FILE__, __LINE__, "flip at %zu: python says %d, we say %d", i, code,
                        is_good);
        }
    }
    for (size_t size = 0; size < last->size; size += last->size / 10) {
        store_file(folder, "00000002.log", slice_of(last->data, size));
        EXPECT(verify_in_python(folder) == (verify_log(folder).is_good ? 0 : 1));
    }
    store_file(folder, "00000002.log", bytes_slice(last));
    EXPECT(verify_in_python(folder) == 0);
    bytes_unref(copy);
    bytes_unref(last);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// Logs that a crash cut off and logs that something damaged: what must be repaired is, what must be
// reported is, and nothing in between.
#include <signal.h>
#include <sys/wait.h>

#include "support.h"

static const char first_segment[] = "00000001.log";

static struct chain_log *open_small(const char *folder) {
    return open_log((struct chain_log_config){
        .folder = folder, .segment_bytes = 1 << 20, .buffer_bytes = 8192, .no_sync = true});
}

// A log of one segment in `folder`: `count` events in chains a and b, several batches.
static void make_log(const char *folder, uint64_t count) {
    struct chain_log *log = open_small(folder);
    uint8_t nonce[2][CHAIN_NONCE_BYTES];
    struct chain_head heads[2] = {open_head(log, "a", nonce[0]), open_head(log, "b", nonce[1])};
    for (uint64_t i = 0; i < count; i++) {
        uint64_t position = append_events(log, &heads[i % 2], nonce[i % 2], 1, 20);
        struct error error = {0};
        if (i % 3 == 2) {
            REQUIRE_OK(chain_wait(log, position, CHAIN_SYNCED, &error), error);
        }
    }
    close_log(log);
}

// Where the batches of a segment's content end: the footer's offset, from the trailer.
static size_t footer_offset(struct slice content) {
    uint64_t offset = 0;
    memcpy(&offset, content.data + content.size - 16, sizeof offset);
    return (size_t)offset;
}

static enum status try_open(const char *folder, bool read_only, struct error *error) {
    struct chain_log_config config = {.folder = folder,
                                      .buffer_bytes = 8192,
                                      .read_only = read_only,
                                      .no_sync = true,
                                      .env = env_system()};
    struct chain_log *log = NULL;
    enum status status = chain_log_open(&config, &log, error);
    if (status == OK) {
        (void)chain_log_close(log, NULL);
    }
    return status;
}

static uint64_t events_in(const char *folder) {
    struct chain_verdict verdict = verify_log(folder);
    if (!verdict.is_good) {
        test_report(__FILE__, __LINE__, "%s at %llu: %s", verdict.segment,
                    (unsigned long long)verdict.offset, verdict.reason);
    }
    return verdict.events;
}

static enum status count_event(void *context, const struct chain_event *event,
                               struct error *error) {
    uint64_t *counts = context;
    if (counts[1] == 0) {
        return error_set(error, ERR_LIMIT, "enough");
    }
    EXPECT(event->data.size > 0);
    counts[0]++;
    counts[1]--;
    return OK;
}

TEST(all_events_are_visited_up_to_damage) {
    const char *folder = fresh_folder("visit");
    make_log(folder, 30);
    uint64_t counts[2] = {0, UINT64_MAX};
    struct error error = {0};
    EXPECT_OK(chain_visit_log(folder, count_event, counts, &error), error);
    EXPECT_U64(counts[0], events_in(folder));
    counts[1] = 3;
    EXPECT(chain_visit_log(folder, count_event, counts, &error) == ERR_LIMIT);
    EXPECT_TEXT(error.message, "enough");
    struct bytes *whole = load_file(folder, first_segment);
    whole->data[whole->size / 2] ^= 1;
    store_file(folder, first_segment, bytes_slice(whole));
    bytes_unref(whole);
    uint64_t all = counts[0] - 3;
    counts[0] = 0;
    counts[1] = UINT64_MAX;
    error_clear(&error);
    EXPECT(chain_visit_log(folder, count_event, counts, &error) == ERR_DAMAGED);
    EXPECT_CONTAINS(error.message, first_segment);
    EXPECT(counts[0] < all);
}

TEST(a_torn_tail_is_cut_at_every_byte_and_kept_aside) {
    const char *folder = fresh_folder("torn");
    make_log(folder, 30);
    struct bytes *whole = load_file(folder, first_segment);
    size_t end = footer_offset(bytes_slice(whole));
    log_set_level(LOG_ERROR);
    uint64_t before = 0;
    for (size_t size = end - 700; size <= end; size++) {
        (void)fresh_folder("torn");
        REQUIRE(mkdir(folder, 0700) == 0);
        // As after a crash: preallocated, so zeros follow.
        struct buf content = {0};
        buf_append(&content, whole->data, size);
        memset(buf_reserve(&content, 1000), 0, 1000);
        content.size += size % 2 == 0 ? 1000 : 0;
        store_file(folder, first_segment, buf_slice(&content));
        uint64_t seen = events_in(folder);
        struct error error = {0};
        EXPECT_OK(try_open(folder, true, &error), error);
        EXPECT_OK(try_open(folder, false, &error), error);
        EXPECT_U64(events_in(folder), seen);
        EXPECT(seen >= before && seen <= 30);
        uint64_t kept = count_files(folder, "cut-");
        struct bytes *sealed = load_file(folder, first_segment);
        size_t cut = size - footer_offset(bytes_slice(sealed));
        EXPECT(kept == (cut == 0 ? 0 : 1));
        bytes_unref(sealed);
        // What was cut is gone, the chain goes on from what is left.
        struct chain_log *log = open_small(folder);
        uint8_t nonce[CHAIN_NONCE_BYTES];
        struct chain_head head = open_head(log, "a", nonce);
        (void)append_events(log, &head, nonce, 2, 3);
        close_log(log);
        EXPECT_U64(events_in(folder), seen + 2);
        before = seen;
        buf_release(&content);
    }
    EXPECT_U64(before, 30);
    bytes_unref(whole);
}

TEST(a_segment_cut_inside_header_or_footer_opens_again) {
    const char *folder = fresh_folder("edges");
    make_log(folder, 9);
    struct bytes *whole = load_file(folder, first_segment);
    size_t end = footer_offset(bytes_slice(whole));
    log_set_level(LOG_ERROR);
    for (size_t size = 0; size <= whole->size; size += size == 64 ? end - 64 : 1) {
        (void)fresh_folder("edges");
        REQUIRE(mkdir(folder, 0700) == 0);
        store_file(folder, first_segment, slice_of(whole->data, size));
        uint64_t seen = events_in(folder);
        EXPECT_U64(seen, size >= end ? 9 : 0);
        struct error error = {0};
        EXPECT_OK(try_open(folder, true, &error), error);
        EXPECT_OK(try_open(folder, false, &error), error);
        make_log(folder, 3);
        EXPECT_U64(events_in(folder), seen + 3);
    }
    bytes_unref(whole);
}

// Every byte of a sealed log is covered: there is no padding, so no flip may pass.
TEST(every_flipped_byte_is_found) {
    const char *folder = fresh_folder("flip");
    make_log(folder, 12);
    struct bytes *whole = load_file(folder, first_segment);
    struct bytes *copy = bytes_copy(bytes_slice(whole));
    log_set_level(LOG_ERROR);
    uint64_t named = 0;
    for (size_t i = 0; i < copy->size; i++) {
        copy->data[i] ^= (uint8_t)(1U << (i % 8));
        store_file(folder, first_segment, bytes_slice(copy));
        copy->data[i] = whole->data[i];
        struct chain_verdict verdict = verify_log(folder);
        if (verdict.is_good) {
            test_report(__FILE__, __LINE__, "byte %zu flipped and not found", i);
        }
        EXPECT(verdict.offset <= i || i >= footer_offset(bytes_slice(whole)));
        EXPECT_TEXT(verdict.segment, first_segment);
        named += verdict.actor[0] != '\0' && verdict.seq != UINT64_MAX ? 1 : 0;
        struct error error = {0};
        EXPECT(try_open(folder, false, &error) == ERR_DAMAGED);
        EXPECT_CONTAINS(error.message, "00000001.log at byte");
    }
    printf("# %zu bytes, %llu flips named actor and event\n", copy->size,
           (unsigned long long)named);
    EXPECT(named > copy->size / 3);
    bytes_unref(copy);
    bytes_unref(whole);
}

// Writes a byte into the body of the event `seq` of chain b and expects to be told exactly that.
TEST(a_flip_in_an_event_names_actor_sequence_segment_and_offset) {
    const char *folder = fresh_folder("name");
    make_log(folder, 12);
    struct bytes *whole = load_file(folder, first_segment);
    size_t at = 64;
    uint64_t seen_b = 0;
    while (at < footer_offset(bytes_slice(whole))) {
        uint32_t header[4];
        memcpy(header, whole->data + at, sizeof header);
        bool is_event_of_b = header[3] == 1 && header[2] == 2;
        for (size_t k = 0; is_event_of_b && k < 24 + (size_t)header[1]; k++) {
            whole->data[at + k] ^= 0x10;
            store_file(folder, first_segment, bytes_slice(whole));
            whole->data[at + k] ^= 0x10;
            struct chain_verdict verdict = verify_log(folder);
            EXPECT(!verdict.is_good);
            EXPECT_TEXT(verdict.actor, "b");
            EXPECT_U64(verdict.seq, seen_b);
            EXPECT_U64(verdict.offset, at);
            EXPECT(verdict.reason[0] != '\0');
            // Opening says whose it is where the frame's number and link are not what was flipped.
            struct error error = {0};
            EXPECT(k % 8 != 0 || try_open(folder, true, &error) == ERR_DAMAGED);
            if (k % 8 == 0 && k >= 24) {
                EXPECT_CONTAINS(error.message, "in an event of chain 'b'");
            }
        }
        seen_b += is_event_of_b ? 1 : 0;
        at += 24 + header[1];
    }
    EXPECT_U64(seen_b, 6);
    bytes_unref(whole);
}

// A crash may lose unsynced batches in any order, but not what a later batch calls durable.
TEST(damage_below_the_durable_position_is_no_torn_tail) {
    const char *folder = fresh_folder("durable");
    make_log(folder, 30);
    struct bytes *whole = load_file(folder, first_segment);
    size_t end = footer_offset(bytes_slice(whole));
    whole->data[64 + 56 + 30] ^= 1;  // in the first batch
    store_file(folder, first_segment, slice_of(whole->data, end));
    struct error error = {0};
    EXPECT(try_open(folder, false, &error) == ERR_DAMAGED);
    EXPECT_CONTAINS(error.message, "00000001.log at byte");
    error_clear(&error);
    EXPECT(try_open(folder, true, &error) == ERR_DAMAGED);
    EXPECT(!verify_log(folder).is_good);
    EXPECT_U64(count_files(folder, "cut-"), 0);
    bytes_unref(whole);
}

TEST(missing_swapped_and_foreign_files) {
    const char *folder = fresh_folder("files");
    for (int i = 0; i < 4; i++) {
        make_log(folder, 4);
    }
    EXPECT_U64(events_in(folder), 16);
    struct error error = {0};
    store_file(folder, "notes.txt", slice_text("not ours"));
    store_file(folder, "00000002.log.bak", slice_text("not ours"));
    store_file(folder, "2.log", slice_text("not ours"));
    EXPECT_U64(events_in(folder), 16);
    EXPECT_OK(try_open(folder, false, &error), error);

    struct bytes *second = load_file(folder, "00000002.log");
    struct bytes *third = load_file(folder, "00000003.log");
    store_file(folder, "00000002.log", bytes_slice(third));
    store_file(folder, "00000003.log", bytes_slice(second));
    struct chain_verdict verdict = verify_log(folder);
    EXPECT(!verdict.is_good);
    EXPECT_TEXT(verdict.segment, "00000002.log");
    EXPECT_CONTAINS(verdict.reason, "segment 3");
    EXPECT(try_open(folder, false, &error) == ERR_DAMAGED);

    char *path = file_join(folder, "00000002.log");
    REQUIRE(unlink(path) == 0);
    verdict = verify_log(folder);
    EXPECT(!verdict.is_good);
    EXPECT_TEXT(verdict.segment, "00000002.log");
    EXPECT_CONTAINS(verdict.reason, "missing");
    REQUIRE(mkdir(path, 0700) == 0);
    verdict = verify_log(folder);
    EXPECT(!verdict.is_good);
    REQUIRE(rmdir(path) == 0);
    free(path);

    store_file(folder, "00000002.log", slice_text("hello, I am no segment at all"));
    verdict = verify_log(folder);
    EXPECT(!verdict.is_good);
    EXPECT_CONTAINS(verdict.reason, "header");
    store_file(folder, "00000002.log", bytes_slice(second));
    store_file(folder, "00000003.log", bytes_slice(third));
    EXPECT_U64(events_in(folder), 16);
    bytes_unref(second);
    bytes_unref(third);
}

TEST(a_segment_of_another_log_does_not_fit) {
    const char *folder = fresh_folder("other");
    make_log(folder, 4);
    make_log(folder, 4);
    struct bytes *foreign = load_file(folder, "00000002.log");
    (void)fresh_folder("other");
    make_log(folder, 4);
    make_log(folder, 4);
    EXPECT_U64(events_in(folder), 8);
    store_file(folder, "00000002.log", bytes_slice(foreign));
    struct chain_verdict verdict = verify_log(folder);
    EXPECT(!verdict.is_good);
    EXPECT_TEXT(verdict.segment, "00000002.log");
    bytes_unref(foreign);
}

// ---- a large log -------------------------------------------------------------------------------

struct whole {
    uint64_t events;
    uint64_t losses;
};

static enum status take_whole(void *context, const struct chain_event *event, struct error *error) {
    struct whole *whole = context;
    (void)event;
    (void)error;
    whole->events++;
    return OK;
}

static void take_loss(void *context, const struct chain_loss *loss) {
    struct whole *whole = context;
    EXPECT(loss->reason[0] != '\0');
    whole->losses++;
}

// Random bits of a log of megabytes: found at or before the batch that they are in, and all events
// but one can still be read. THEATER_DAMAGE_FLIPS sets how many are tried.
TEST(random_flips_in_a_large_log) {
    enum { EVENTS = 20000 };
    const char *folder = fresh_folder("large");
    const char *wanted = getenv("THEATER_DAMAGE_FLIPS");
    uint64_t flips = wanted == NULL ? 15 : strtoull(wanted, NULL, 10);
    struct chain_log *log = open_log((struct chain_log_config){
        .folder = folder, .segment_bytes = 1 << 20, .buffer_bytes = 64 << 10, .no_sync = true});
    uint8_t nonce[5][CHAIN_NONCE_BYTES];
    struct chain_head heads[5];
    for (int i = 0; i < 5; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "large-%d", i % 100);
        heads[i] = open_head(log, id, nonce[i]);
    }
    for (uint64_t i = 0; i < EVENTS; i++) {
        (void)append_events(log, &heads[i % 5], nonce[i % 5], 1, i * 7 % 400);
    }
    close_log(log);
    uint64_t segments = count_files(folder, "0000");
    EXPECT(segments > 4);
    struct env env;
    env_init_seeded(&env, 11, 0);
    for (uint64_t n = 0; n < flips; n++) {
        uint64_t dice[3];
        char name[64];
        env_random(&env, dice, sizeof dice);
        (void)snprintf(name, sizeof name, "%08u.log", (unsigned)(dice[0] % segments) + 1);
        struct bytes *content = load_file(folder, name);
        size_t at = (size_t)(dice[1] % content->size);
        content->data[at] ^= (uint8_t)(1U << (dice[2] % 8));
        store_file(folder, name, bytes_slice(content));
        struct chain_verdict verdict = verify_log(folder);
        struct whole whole = {0};
        struct error error = {0};
        EXPECT(!verdict.is_good);
        EXPECT_TEXT(verdict.segment, name);
        EXPECT(verdict.offset <= at || at >= footer_offset(bytes_slice(content)));
        EXPECT(try_open(folder, true, &error) == ERR_DAMAGED);
        error_clear(&error);
        EXPECT_OK(chain_salvage(folder, take_whole, take_loss, &whole, &error), error);
        EXPECT(whole.events >= EVENTS - 1 && whole.losses > 0);
        content->data[at] ^= (uint8_t)(1U << (dice[2] % 8));
        store_file(folder, name, bytes_slice(content));
        bytes_unref(content);
    }
    EXPECT_U64(events_in(folder), EVENTS);
}

// ---- kill -9 -----------------------------------------------------------------------------------

// Appends to several chains until it is killed, telling the pipe each sequence number of chain 0
// whose event is reported as given to write().
static void append_forever(const char *folder, int report) {
    struct chain_log_config config = {.folder = folder,
                                      .segment_bytes = 1 << 20,
                                      .buffer_bytes = 16 << 10,
                                      .flush_interval_ns = 200000,
                                      .env = env_system()};
    struct chain_log *log = NULL;
    struct error error = {0};
    struct chain_head heads[4];
    uint8_t nonce[4][CHAIN_NONCE_BYTES];
    bool found = false;
    if (chain_log_open(&config, &log, &error) != OK) {
        _exit(3);
    }
    for (int i = 0; i < 4; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "k%d", i);
        if (chain_head_open(log, id, &heads[i], nonce[i], &found, &error) != OK) {
            _exit(4);
        }
    }
    struct buf data = {0};
    for (uint64_t n = 0;; n++) {
        uint64_t position = 0;
        struct chain_head *head = &heads[n % 4];
        event_data(&data, nonce[n % 4], head->next_seq, (size_t)(n % 200));
        if (chain_append(log, head, "x", buf_slice(&data), &position, &error) != OK) {
            _exit(5);
        }
        if (n % 64 == 0) {
            uint64_t seq = head->next_seq;
            if (chain_wait(log, position, CHAIN_WRITTEN, &error) != OK ||
                write(report, &seq, sizeof seq) != sizeof seq) {
                _exit(6);
            }
        }
    }
}

TEST(kill_9_loses_nothing_that_was_given_to_write) {
    const char *folder = fresh_folder("kill");
    log_set_level(LOG_ERROR);
    uint64_t promised = 0;
    for (int round = 0; round < 8; round++) {
        int ends[2];
        REQUIRE(pipe(ends) == 0);
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            close(ends[0]);
            append_forever(folder, ends[1]);
        }
        close(ends[1]);
        uint64_t seq = 0;
        int reports = 0;
        while (reports < 20 + 30 * round && read(ends[0], &seq, sizeof seq) == sizeof seq) {
            promised = seq;
            reports++;
        }
        REQUIRE(kill(child, SIGKILL) == 0);
        while (read(ends[0], &seq, sizeof seq) == sizeof seq) {
            promised = seq;
        }
        close(ends[0]);
        int state = 0;
        REQUIRE(waitpid(child, &state, 0) == child);
        EXPECT(WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL);
        struct chain_verdict verdict = verify_log(folder);
        EXPECT(verdict.is_good && verdict.chains == 4);
        struct chain_log *log =
            open_log((struct chain_log_config){.folder = folder, .read_only = round % 2 == 0});
        EXPECT(read_chain(log, "k0", 0) >= promised);
        close_log(log);
        expect_good(folder, verdict.events, 4);
    }
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// The log's catalogue: what it says, that it can be made again from the segments, what opening with
// it reads and what it refuses.
#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>

#include "chain/rows.h"
#include "support.h"

static struct chain_log_config config_of(const char *folder) {
    return (struct chain_log_config){.folder = folder,
                                     .segment_bytes = 1 << 14,
                                     .buffer_bytes = 4096,
                                     .no_sync = true,
                                     .with_catalogue = true,
                                     .env = env_system()};
}

enum { CHAINS = 7 };

// Appends to chains c0 to c6 in turn.
static void fill(struct chain_log *log, uint64_t events) {
    uint8_t nonce[CHAINS][CHAIN_NONCE_BYTES];
    struct chain_head heads[CHAINS];
    for (int i = 0; i < CHAINS; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "c%d", i);
        heads[i] = open_head(log, id, nonce[i]);
    }
    for (uint64_t i = 0; i < events; i++) {
        (void)append_events(log, &heads[i % CHAINS], nonce[i % CHAINS], 1, i % 90);
    }
}

static void run_once(const char *folder, uint64_t events) {
    struct chain_log *log = open_log(config_of(folder));
    fill(log, events);
    close_log(log);
}

// ---- dumps -------------------------------------------------------------------------------------

static enum status dump_at(void *context, const struct checkpoint *at, struct error *error) {
    (void)error;
    buf_format(context, "at %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " ", at->segment,
               at->position, at->previous_batch, at->chains, at->events);
    buf_append(context, at->digest, SHA256_BYTES);
    return OK;
}

static enum status dump_segment(void *context, const struct segment_claim *row,
                                struct error *error) {
    (void)error;
    buf_format(context, "segment %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " ",
               row->header.number, row->header.base, row->sum.end, row->sum.events,
               row->sum.last_time_ns);
    buf_append(context, row->sum.digest, SHA256_BYTES);
    return OK;
}

static enum status dump_chain(void *context, const struct chain_row *row, struct error *error) {
    (void)error;
    buf_format(context, "chain %u %s %" PRIu64 " %" PRIu64 " %" PRIu64 " ", row->number, row->id,
               row->position, row->seq, row->time_ns);
    buf_append(context, row->nonce, CHAIN_NONCE_BYTES);
    buf_append(context, row->head, SHA256_BYTES);
    return OK;
}

static struct buf dump(const char *folder) {
    struct buf out = {0};
    struct catalogue *catalogue = NULL;
    struct error error = {0};
    struct rows_reader reader = {dump_at, dump_segment, dump_chain, &out};
    REQUIRE_OK(rows_open(folder, true, false, &catalogue, &error), error);
    EXPECT_OK(rows_read(catalogue, &reader, &error), error);
    catalogue_close(catalogue);
    return out;
}

static void delete_catalogue(const char *folder) {
    struct error error = {0};
    REQUIRE(rows_exist(folder));
    REQUIRE_OK(rows_remove(folder, &error), error);
}

// ---- what it says ------------------------------------------------------------------------------

TEST(rows_are_the_same_when_made_again) {
    const char *folder = fresh_folder("again");
    for (int round = 0; round < 4; round++) {
        run_once(folder, 100 + 150 * (uint64_t)round);
    }
    EXPECT(count_files(folder, "0000") > 6);
    struct buf before = dump(folder);
    for (int round = 0; round < 2; round++) {
        delete_catalogue(folder);
        run_once(folder, 0);
        struct buf after = dump(folder);
        EXPECT(slice_equal(buf_slice(&before), buf_slice(&after)));
        buf_release(&after);
    }
    buf_release(&before);
    expect_good(folder, 100 + 250 + 400 + 550, CHAINS);
}

TEST(rows_name_the_head_of_each_chain) {
    const char *folder = fresh_folder("heads");
    run_once(folder, 500);
    struct buf rows = dump(folder);
    struct chain_log *log = open_log(config_of(folder));
    for (int i = 0; i < CHAINS; i++) {
        char id[16];
        uint8_t nonce[CHAIN_NONCE_BYTES];
        (void)snprintf(id, sizeof id, "c%d", i);
        struct chain_head head = open_head(log, id, nonce);
        struct buf row = {0};
        buf_format(&row, "chain %d %s %" PRIu64 " %" PRIu64 " %" PRIu64 " ", i + 1, id,
                   head.last_position, head.next_seq - 1, head.last_time_ns);
        buf_append(&row, nonce, CHAIN_NONCE_BYTES);
        buf_append(&row, head.hash, SHA256_BYTES);
        EXPECT(memmem(rows.data, rows.size, row.data, row.size) != NULL);
        buf_release(&row);
    }
    EXPECT_U64(read_chain(log, "c3", 0), 500 / CHAINS);
    close_log(log);
    buf_release(&rows);
}

// The checkpoint's segments are not read again: a flip in one of them does not keep the log from
// opening, but neither from being found.
TEST(opening_reads_only_what_follows_the_checkpoint) {
    const char *folder = fresh_folder("tail");
    run_once(folder, 900);
    struct bytes *whole = load_file(folder, "00000002.log");
    whole->data[whole->size / 2] ^= 4;
    store_file(folder, "00000002.log", bytes_slice(whole));
    struct chain_log *log = open_log(config_of(folder));
    fill(log, CHAINS);
    close_log(log);
    struct chain_verdict verdict = verify_log(folder);
    EXPECT(!verdict.is_good);
    EXPECT_TEXT(verdict.segment, "00000002.log");
    struct chain_log_config whole_config = config_of(folder);
    whole_config.with_catalogue = false;
    struct error error = {0};
    EXPECT(chain_log_open(&whole_config, &log, &error) == ERR_DAMAGED);
    bytes_unref(whole);
}

TEST(a_reader_beside_a_live_log_begins_at_the_checkpoint) {
    const char *folder = fresh_folder("beside");
    run_once(folder, 400);
    struct chain_log *log = open_log(config_of(folder));
    fill(log, 7 * 60);
    struct chain_stats stats;
    struct error error = {0};
    chain_log_stats(log, &stats);
    REQUIRE_OK(chain_wait(log, stats.bytes, CHAIN_WRITTEN, &error), error);
    struct chain_log_config config = config_of(folder);
    config.read_only = true;
    struct chain_log *beside = open_log(config);
    EXPECT_U64(read_chain(beside, "c6", 0), 57 + 60);
    fill(log, 7);
    chain_log_stats(log, &stats);
    REQUIRE_OK(chain_wait(log, stats.bytes, CHAIN_WRITTEN, &error), error);
    EXPECT_U64(read_chain(beside, "c6", 10), 57 + 61 - 10);
    close_log(beside);
    close_log(log);
}

// ---- what it refuses ---------------------------------------------------------------------------

static void remove_file(const char *folder, const char *name) {
    char *path = file_join(folder, name);
    REQUIRE(unlink(path) == 0);
    free(path);
}

// Opening, to write and to read, gives the same damage as verifying, and changes nothing.
static void expect_refused(const char *folder, const char *const *texts) {
    uint64_t segments = count_files(folder, "0000");
    struct chain_verdict verdict = verify_log(folder);
    struct buf text = {0};
    EXPECT(!verdict.is_good);
    chain_verdict_text(&verdict, &text);
    for (int read_only = 0; read_only < 2; read_only++) {
        struct chain_log_config config = config_of(folder);
        struct chain_log *log = NULL;
        struct error error = {0};
        config.read_only = read_only != 0;
        EXPECT(chain_log_open(&config, &log, &error) == ERR_DAMAGED);
        EXPECT_CONTAINS(error.message, buf_text(&text));
        for (size_t i = 0; texts[i] != NULL; i++) {
            EXPECT_CONTAINS(error.message, texts[i]);
        }
    }
    EXPECT_U64(count_files(folder, "0000"), segments);
    EXPECT_U64(count_files(folder, "cut-"), 0);
    buf_release(&text);
}

TEST(a_log_that_lost_its_last_segments_is_told) {
    const char *folder = fresh_folder("short");
    log_set_level(LOG_ERROR);
    run_once(folder, 700);
    uint64_t segments = count_files(folder, "0000");
    REQUIRE(segments > 4);
    for (uint64_t gone = segments; gone > 0; gone--) {
        char name[SEGMENT_NAME_BYTES];
        segment_name((uint32_t)gone, name);
        remove_file(folder, name);
        expect_refused(folder, (const char *const[]){"the log ends before this event",
                                                     "the catalogue knows the chain to event",
                                                     "actor c", ", event ", NULL});
    }
}

TEST(a_log_cut_inside_its_last_segment_is_told) {
    const char *folder = fresh_folder("cut");
    log_set_level(LOG_ERROR);
    run_once(folder, 100);
    struct bytes *whole = load_file(folder, "00000001.log");
    uint64_t footer = 0;
    memcpy(&footer, whole->data + whole->size - 16, sizeof footer);
    struct buf before = dump(folder);
    for (size_t size = 0; size < footer; size += 97) {
        store_file(folder, "00000001.log", slice_of(whole->data, size));
        expect_refused(folder, (const char *const[]){"00000001.log at byte", ", event ",
                                                     "the log ends before this event", NULL});
    }
    // Nothing but the seal is gone: that is no loss, and sealed anew.
    store_file(folder, "00000001.log", slice_of(whole->data, (size_t)footer));
    run_once(folder, 0);
    struct buf after = dump(folder);
    EXPECT(slice_equal(buf_slice(&before), buf_slice(&after)));
    buf_release(&after);
    buf_release(&before);
    bytes_unref(whole);
}

TEST(a_log_in_place_of_another_is_told) {
    const char *folder = fresh_folder("mine");
    log_set_level(LOG_ERROR);
    run_once(folder, 60);
    struct bytes *mine = load_file(folder, "00000001.log");
    (void)fresh_folder("mine");
    run_once(folder, 60);
    store_file(folder, "00000001.log", bytes_slice(mine));
    expect_refused(folder, (const char *const[]){"is not the event that the catalogue knows",
                                                 "actor c", "00000001.log at byte", NULL});
    // Whoever means it removes the catalogue.
    delete_catalogue(folder);
    run_once(folder, 0);
    expect_good(folder, 60, CHAINS);
    bytes_unref(mine);
}

// Any byte of the database: the log opens, and afterwards the rows are right.
TEST(a_damaged_catalogue_is_made_again) {
    const char *folder = fresh_folder("rows");
    log_set_level(LOG_ERROR);
    run_once(folder, 80);
    struct buf right = dump(folder);
    struct bytes *file = load_file(folder, "index/catalogue.db");
    for (size_t at = 0; at < file->size; at += at < 200 ? 3 : 61) {
        file->data[at] ^= (uint8_t)(1U << (at % 8));
        store_file(folder, "index/catalogue.db", bytes_slice(file));
        file->data[at] ^= (uint8_t)(1U << (at % 8));
        struct chain_verdict verdict = verify_log(folder);
        EXPECT(verdict.is_good);
        run_once(folder, 0);
        struct buf rows = dump(folder);
        if (!slice_equal(buf_slice(&right), buf_slice(&rows))) {
            test_report(__FILE__, __LINE__, "byte %zu", at);
        }
        buf_release(&rows);
    }
    store_file(folder, "index/catalogue.db", slice_text("no database, a text that is long enough"));
    run_once(folder, 0);
    struct buf rows = dump(folder);
    EXPECT(slice_equal(buf_slice(&right), buf_slice(&rows)));
    buf_release(&rows);
    buf_release(&right);
    bytes_unref(file);
}

// ---- kill -9 -----------------------------------------------------------------------------------

static void append_until_killed(const char *folder, int report) {
    struct chain_log_config config = config_of(folder);
    struct chain_log *log = NULL;
    config.segment_bytes = 1 << 16;
    config.buffer_bytes = 8192;
    config.flush_interval_ns = 200000;
    if (chain_log_open(&config, &log, NULL) != OK) {
        _exit(3);
    }
    for (char byte = 0;; byte++) {
        fill(log, 300);
        if (write(report, &byte, 1) != 1) {
            _exit(4);
        }
    }
}

TEST(kill_9_leaves_catalogue_and_log_that_fit) {
    const char *folder = fresh_folder("kill");
    log_set_level(LOG_ERROR);
    uint64_t before = 0;
    for (int round = 0; round < 10; round++) {
        int ends[2];
        char byte = 0;
        REQUIRE(pipe(ends) == 0);
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            close(ends[0]);
            append_until_killed(folder, ends[1]);
        }
        close(ends[1]);
        for (int reports = 0; reports < 2 + round && read(ends[0], &byte, 1) == 1; reports++) {
        }
        REQUIRE(kill(child, SIGKILL) == 0);
        int state = 0;
        REQUIRE(waitpid(child, &state, 0) == child);
        EXPECT(WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL);
        close(ends[0]);
        struct chain_verdict verdict = verify_log(folder);
        EXPECT(verdict.is_good && verdict.events > before);
        struct chain_log *log = open_log(config_of(folder));
        uint64_t seen = 0;
        for (int i = 0; i < CHAINS; i++) {
            char id[16];
            (void)snprintf(id, sizeof id, "c%d", i);
            seen += read_chain(log, id, 0);
        }
        EXPECT_U64(seen, verdict.events);
        close_log(log);
        expect_good(folder, seen, CHAINS);
        before = seen;
    }
    struct buf kept = dump(folder);
    delete_catalogue(folder);
    run_once(folder, 0);
    struct buf again = dump(folder);
    EXPECT(slice_equal(buf_slice(&kept), buf_slice(&again)));
    buf_release(&kept);
    buf_release(&again);
}

int main(void) {
    return test_main();
}

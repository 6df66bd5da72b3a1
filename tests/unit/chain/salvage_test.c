// SPDX-License-Identifier: Apache-2.0
// Reading damaged logs: whatever is still whole is given, and nothing else.
#include <inttypes.h>

#include "chain/rows.h"
#include "support.h"

enum { EVENTS_MOST = 2000 };

struct found {
    // Of the whole log: the hash of each event by chain ("a", "b") and number.
    uint8_t hashes[2][EVENTS_MOST][SHA256_BYTES];
    uint64_t known[2];
    bool is_learning;
    // Of the last reading.
    uint64_t next[2];
    uint64_t events;
    uint64_t unnamed;
    uint64_t losses;
    uint64_t missing;  // events told to be
    struct chain_loss last;
};

static enum status see(void *context, const struct chain_event *event, struct error *error) {
    struct found *found = context;
    (void)error;
    int which = strcmp(event->id, "a") == 0 || strcmp(event->id, "?1") == 0   ? 0
                : strcmp(event->id, "b") == 0 || strcmp(event->id, "?2") == 0 ? 1
                                                                              : -1;
    REQUIRE(which >= 0 && event->seq < EVENTS_MOST);
    found->unnamed += event->id[0] == '?' ? 1 : 0;
    found->events++;
    EXPECT(event->seq >= found->next[which]);
    found->next[which] = event->seq + 1;
    uint8_t *hash = found->hashes[which][event->seq];
    if (found->is_learning) {
        memcpy(hash, event->hash, SHA256_BYTES);
        found->known[which] = event->seq + 1;
    } else {
        EXPECT(event->seq < found->known[which]);
        EXPECT(memcmp(hash, event->hash, SHA256_BYTES) == 0);
    }
    return OK;
}

static void lose(void *context, const struct chain_loss *loss) {
    struct found *found = context;
    found->losses++;
    found->missing += loss->id != NULL && loss->first_seq != UINT64_MAX
                          ? loss->last_seq - loss->first_seq + 1
                          : 0;
    EXPECT(loss->reason[0] != '\0');
    EXPECT(loss->end >= loss->offset);
    if (loss->segment[0] != '\0') {
        found->last = *loss;
    }
}

static void salvage(const char *folder, struct found *found) {
    struct error error = {0};
    found->next[0] = found->next[1] = 0;
    found->events = found->unnamed = found->losses = found->missing = 0;
    EXPECT_OK(chain_salvage(folder, see, lose, found, &error), error);
}

// A log of `segments` segments with chains a and b, `count` events in each segment.
static struct found *make_log(const char *folder, int segments, uint64_t count) {
    for (int i = 0; i < segments; i++) {
        struct chain_log *log = open_log((struct chain_log_config){
            .folder = folder, .buffer_bytes = 8192, .no_sync = true, .with_catalogue = true});
        uint8_t nonce[2][CHAIN_NONCE_BYTES];
        struct chain_head heads[2] = {open_head(log, "a", nonce[0]), open_head(log, "b", nonce[1])};
        for (uint64_t k = 0; k < count; k++) {
            uint64_t end = append_events(log, &heads[k % 2], nonce[k % 2], 1, 5 + k % 20);
            if (k % 3 == 2) {
                EXPECT(chain_wait(log, end, CHAIN_SYNCED, NULL) == OK);
            }
        }
        close_log(log);
    }
    struct found *found = xcalloc(1, sizeof *found);
    found->is_learning = true;
    salvage(folder, found);
    EXPECT_U64(found->events, (uint64_t)segments * count);
    EXPECT_U64(found->losses, 0);
    found->is_learning = false;
    return found;
}

// A flipped byte costs at most the event that it is in, or its name.
TEST(a_flip_costs_one_event_at_most) {
    enum { SEGMENTS = 3, EACH = 8 };
    const char *folder = fresh_folder("flips");
    struct found *found = make_log(folder, SEGMENTS, EACH);
    log_set_level(LOG_ERROR);
    for (int with_catalogue = 1; with_catalogue >= 0; with_catalogue--) {
        for (uint32_t number = 1; number <= SEGMENTS; number++) {
            char name[SEGMENT_NAME_BYTES];
            segment_name(number, name);
            struct bytes *whole = load_file(folder, name);
            for (size_t i = 0; i < whole->size; i++) {
                whole->data[i] ^= (uint8_t)(1U << (i % 8));
                store_file(folder, name, bytes_slice(whole));
                whole->data[i] ^= (uint8_t)(1U << (i % 8));
                salvage(folder, found);
                bool is_good = found->events >= SEGMENTS * EACH - 1 && found->losses > 0 &&
                               found->missing == SEGMENTS * EACH - found->events &&
                               (with_catalogue == 0 || found->unnamed == 0);
                if (with_catalogue == 0 && number == SEGMENTS) {
                    // Nobody knows of an event at the very end.
                    is_good = found->events >= SEGMENTS * EACH - 1 && found->losses > 0;
                }
                if (!is_good) {
                    test_report(__FILE__, __LINE__,
                                "segment %u byte %zu: %" PRIu64 " events, %" PRIu64
                                " losses, %" PRIu64 " missing: %s",
                                number, i, found->events, found->losses, found->missing,
                                found->last.reason);
                }
                if (number < SEGMENTS) {
                    EXPECT_TEXT(found->last.segment, name);
                }
            }
            store_file(folder, name, bytes_slice(whole));
            bytes_unref(whole);
        }
        if (with_catalogue == 1) {
            struct error error = {0};
            REQUIRE_OK(rows_remove(folder, &error), error);
        }
    }
    free(found);
}

TEST(a_cut_segment_costs_what_was_cut) {
    enum { SEGMENTS = 3, EACH = 30 };
    const char *folder = fresh_folder("cuts");
    struct found *found = make_log(folder, SEGMENTS, EACH);
    for (uint32_t number = 1; number <= SEGMENTS; number++) {
        char name[SEGMENT_NAME_BYTES];
        segment_name(number, name);
        struct bytes *whole = load_file(folder, name);
        uint64_t before = 0;
        for (size_t size = 0; size < whole->size; size += 13) {
            store_file(folder, name, slice_of(whole->data, size));
            salvage(folder, found);
            EXPECT(found->events >= (SEGMENTS - 1) * EACH && found->events >= before);
            EXPECT_U64(found->events + found->missing, SEGMENTS * EACH);
            EXPECT(found->losses > 0 || found->events == (uint64_t)SEGMENTS * EACH);
            before = found->events;
        }
        EXPECT_U64(before, SEGMENTS * EACH);
        store_file(folder, name, bytes_slice(whole));
        bytes_unref(whole);
    }
    free(found);
}

TEST(missing_swapped_and_foreign_segments_leave_the_others) {
    enum { SEGMENTS = 4, EACH = 10 };
    const char *folder = fresh_folder("foreign");
    struct found *found = make_log(folder, 2, EACH);
    struct bytes *foreign = load_file(folder, "00000002.log");
    free(found);
    (void)fresh_folder("foreign");
    found = make_log(folder, SEGMENTS, EACH);
    struct bytes *second = load_file(folder, "00000002.log");
    struct bytes *third = load_file(folder, "00000003.log");
    static const char text[] = "no segment: a file of another kind, with more than a header's size";
    struct slice files[] = {bytes_slice(foreign), slice_text(text), slice_of(NULL, 0),
                            bytes_slice(third)};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        store_file(folder, "00000002.log", files[i]);
        salvage(folder, found);
        EXPECT_U64(found->events, (SEGMENTS - 1) * EACH);
        EXPECT_U64(found->missing, EACH);
        EXPECT_TEXT(found->last.segment, "00000002.log");
        EXPECT(!verify_log(folder).is_good);
    }
    store_file(folder, "00000003.log", bytes_slice(second));  // swapped: neither is in its place
    salvage(folder, found);
    EXPECT_U64(found->events, 2 * EACH);
    EXPECT_U64(found->missing, 2 * EACH);
    store_file(folder, "00000003.log", bytes_slice(third));
    for (int with_folder = 0; with_folder < 2; with_folder++) {
        char *path = file_join(folder, "00000002.log");
        REQUIRE(unlink(path) == 0);
        REQUIRE(with_folder == 0 || mkdir(path, 0700) == 0);
        salvage(folder, found);
        EXPECT_U64(found->events, (SEGMENTS - 1) * EACH);
        EXPECT_U64(found->missing, EACH);
        EXPECT_TEXT(found->last.segment, "00000002.log");
        if (with_folder == 0) {
            store_file(folder, "00000002.log", bytes_slice(second));
        } else {
            REQUIRE(rmdir(path) == 0);
        }
        free(path);
    }
    store_file(folder, "99999999.log", bytes_slice(second));  // far behind a gap: not walked
    salvage(folder, found);
    EXPECT_U64(found->events, (SEGMENTS - 1) * EACH);
    bytes_unref(foreign);
    bytes_unref(second);
    bytes_unref(third);
    free(found);
}

TEST(the_first_segment_gone_leaves_names_to_the_catalogue) {
    enum { SEGMENTS = 3, EACH = 10 };
    const char *folder = fresh_folder("names");
    struct found *found = make_log(folder, SEGMENTS, EACH);
    char *path = file_join(folder, "00000001.log");
    struct error error = {0};
    REQUIRE(unlink(path) == 0);
    salvage(folder, found);
    EXPECT_U64(found->events, 2 * EACH);
    EXPECT_U64(found->unnamed, 0);
    REQUIRE_OK(rows_remove(folder, &error), error);
    salvage(folder, found);
    EXPECT_U64(found->events, 2 * EACH);
    EXPECT_U64(found->unnamed, 2 * EACH);
    free(path);
    free(found);
}

int main(void) {
    return test_main();
}

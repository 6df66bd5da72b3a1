// SPDX-License-Identifier: Apache-2.0
// Visiting all events of a log: from its beginning and from a position, with ids and places.
#include "support.h"

struct seen {
    uint64_t events;
    uint64_t first;  // position
    uint64_t last;
    uint64_t next_seq[2];  // of chains x and y
    bool is_whole;         // the visit began with the log
};

static enum status see(void *context, const struct chain_event *event, struct error *error) {
    struct seen *seen = context;
    (void)error;
    seen->first = seen->events == 0 ? event->position : seen->first;
    EXPECT(seen->events == 0 || event->position > seen->last);
    seen->last = event->position;
    bool is_x = strcmp(event->id, "x") == 0;
    EXPECT(is_x || strcmp(event->id, "y") == 0);
    uint64_t *next = &seen->next_seq[is_x ? 0 : 1];
    EXPECT(!seen->is_whole || event->seq == *next);
    *next = event->seq + 1;
    seen->events++;
    return OK;
}

// Two chains over several segments, 3 events of x to one of y; the positions of all events.
static uint64_t fill(struct chain_log *log, uint64_t events, uint64_t *positions) {
    uint8_t nonce[2][CHAIN_NONCE_BYTES];
    struct chain_head heads[2] = {open_head(log, "x", nonce[0]), open_head(log, "y", nonce[1])};
    uint64_t end = 0;
    for (uint64_t i = 0; i < events; i++) {
        uint64_t which = i % 4 == 3 ? 1 : 0;
        struct error error = {0};
        end = append_events(log, &heads[which], nonce[which], 1, 50);
        positions[i] = heads[which].last_position;
        if (i % 10 == 0) {
            REQUIRE_OK(chain_wait(log, end, CHAIN_WRITTEN, &error), error);
        }
    }
    return end;
}

TEST(a_visit_begins_at_any_position) {
    enum { EVENTS = 400 };
    const char *folder = fresh_folder("from");
    struct chain_log_config config = {
        .folder = folder, .segment_bytes = 1 << 14, .buffer_bytes = 4096, .no_sync = true};
    uint64_t positions[EVENTS];
    struct chain_log *log = open_log(config);
    uint64_t end = fill(log, EVENTS, positions);
    struct error error = {0};
    REQUIRE_OK(chain_wait(log, end, CHAIN_WRITTEN, &error), error);
    for (int round = 0; round < 3; round++) {  // live, read again, beside a live one
        EXPECT(count_files(folder, "0000") > 3);
        for (uint64_t i = 0; i < EVENTS; i++) {
            for (uint64_t offset = 0; offset < 2; offset++) {
                struct seen seen = {.is_whole = i + offset == 0};
                EXPECT_OK(chain_visit_from(log, positions[i] + offset, see, &seen, &error), error);
                EXPECT_U64(seen.events, EVENTS - i - offset);
                EXPECT(seen.events == 0 || seen.first == positions[i + offset]);
            }
        }
        struct seen seen = {0};
        EXPECT_OK(chain_visit_from(log, end, see, &seen, &error), error);
        EXPECT_U64(seen.events, 0);
        EXPECT(chain_visit_from(log, end + 1, see, &seen, &error) == ERR_INVALID);
        error_clear(&error);
        seen = (struct seen){.is_whole = true};
        EXPECT_OK(chain_visit_log(folder, see, &seen, &error), error);
        EXPECT_U64(seen.events, EVENTS);
        EXPECT_U64(seen.next_seq[0], EVENTS / 4 * 3);
        EXPECT_U64(seen.next_seq[1], EVENTS / 4);
        close_log(log);
        config.read_only = round == 1;
        log = open_log(config);
    }
    close_log(log);
}

TEST(an_empty_log_is_visited_without_events) {
    struct chain_log *log =
        open_log((struct chain_log_config){.folder = fresh_folder("empty"), .no_sync = true});
    struct seen seen = {0};
    struct error error = {0};
    EXPECT_OK(chain_visit_from(log, 0, see, &seen, &error), error);
    EXPECT_U64(seen.events, 0);
    close_log(log);
}

int main(void) {
    return test_main();
}

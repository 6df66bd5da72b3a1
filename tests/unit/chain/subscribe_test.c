// SPDX-License-Identifier: Apache-2.0
// Subscriptions: each wanted event once and in order, from anywhere, for thousands of subscribers
// beside appends, at any pace.
#include <pthread.h>
#include <stdatomic.h>

#include "chain/subscribe.h"
#include "support.h"

static struct chain_subscription *subscribe(struct chain_log *log,
                                            struct chain_subscription_config config) {
    struct chain_subscription *subscription = NULL;
    struct error error = {0};
    REQUIRE_OK(chain_subscribe(log, &config, &subscription, &error), error);
    return subscription;
}

// What a subscriber has seen.
struct seen {
    uint64_t events;
    uint64_t next_seq[16];  // by the number in the id, "actor-N"
    uint64_t last_position;
    uint64_t last_seq;
    bool has_any;
    bool is_wrong;
};

static enum status see(void *context, const struct chain_event *event, struct error *error) {
    struct seen *seen = context;
    (void)error;
    unsigned number = (unsigned)strtoul(event->id + strlen("actor-"), NULL, 10);
    struct cbor_reader items = cbor_reader_of(event->data);
    uint64_t pairs = 0, key = 0, seq = UINT64_MAX;
    struct slice nonce;
    uint8_t hash[SHA256_BYTES];
    sha256_pair(slice_of(event->parent, SHA256_BYTES), event->bytes, hash);
    bool is_good =
        number < COUNT_OF(seen->next_seq) && event->seq == seen->next_seq[number] &&
        (!seen->has_any || event->position > seen->last_position) &&
        memcmp(hash, event->hash, SHA256_BYTES) == 0 && cbor_read_map(&items, &pairs, NULL) == OK &&
        cbor_read_uint(&items, &key, NULL) == OK && cbor_read_bytes(&items, &nonce, NULL) == OK &&
        cbor_read_uint(&items, &key, NULL) == OK && cbor_read_uint(&items, &seq, NULL) == OK &&
        seq == event->seq;
    seen->is_wrong |= !is_good;
    seen->next_seq[number % COUNT_OF(seen->next_seq)] = event->seq + 1;
    seen->last_position = event->position;
    seen->last_seq = event->seq;
    seen->has_any = true;
    seen->events++;
    return OK;
}

static uint64_t read_some(struct chain_subscription *subscription, uint64_t most, struct seen *seen,
                          bool *is_behind) {
    struct error error = {0};
    uint64_t given = 0;
    EXPECT_OK(chain_subscription_read(subscription, most, see, seen, &given, is_behind, &error),
              error);
    EXPECT(given <= most && !seen->is_wrong);
    return given;
}

static uint64_t read_all(struct chain_subscription *subscription, uint64_t most,
                         struct seen *seen) {
    uint64_t count = 0;
    for (bool is_behind = true; is_behind && !seen->is_wrong;) {
        count += read_some(subscription, most, seen, &is_behind);
    }
    return count;
}

static void wait_written(struct chain_log *log, uint64_t position) {
    struct error error = {0};
    EXPECT_OK(chain_wait(log, position, CHAIN_WRITTEN, &error), error);
}

// Three chains, interleaved: `rounds` times one event of actor-0, two of actor-1, four of actor-2.
static uint64_t fill(struct chain_log *log, uint64_t rounds) {
    uint8_t nonce[3][CHAIN_NONCE_BYTES];
    struct chain_head heads[3];
    uint64_t end = 0;
    for (int i = 0; i < 3; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "actor-%d", i);
        heads[i] = open_head(log, id, nonce[i]);
    }
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < 3; i++) {
            end = append_events(log, &heads[i], nonce[i], UINT64_C(1) << i, 40);
        }
    }
    wait_written(log, end);
    return end;
}

TEST(all_events_and_those_of_one_chain) {
    const char *folder = fresh_folder("all");
    struct chain_log *log = open_log(
        (struct chain_log_config){.folder = folder, .no_sync = true, .segment_bytes = 16384});
    uint64_t end = fill(log, 200);
    for (uint64_t most = 1; most < 3000; most = most * 7 + 1) {
        struct seen seen = {0};
        struct chain_subscription *all = subscribe(log, (struct chain_subscription_config){0});
        EXPECT_U64(read_all(all, most, &seen), 1400);
        chain_subscription_close(all);
        memset(&seen, 0, sizeof seen);
        struct chain_subscription *one =
            subscribe(log, (struct chain_subscription_config){.id = "actor-1"});
        EXPECT_U64(read_all(one, most, &seen), 400);
        EXPECT_U64(seen.next_seq[1], 400);
        chain_subscription_close(one);
    }
    // From a number, from a position, from now.
    struct seen seen = {.next_seq = {0, 390}};
    struct chain_subscription *late =
        subscribe(log, (struct chain_subscription_config){.id = "actor-1", .from = 390});
    EXPECT_U64(read_all(late, 100, &seen), 10);
    chain_subscription_close(late);
    struct seen first = {0};
    bool is_behind = false;
    struct chain_subscription *all = subscribe(log, (struct chain_subscription_config){0});
    EXPECT_U64(read_some(all, 700, &first, &is_behind), 700);
    EXPECT(is_behind);
    struct chain_subscription *rest =
        subscribe(log, (struct chain_subscription_config){.from = first.last_position + 1});
    EXPECT_U64(read_all(rest, 100, &first), 700);
    chain_subscription_close(rest);
    chain_subscription_close(all);
    struct chain_subscription *now[2] = {
        subscribe(log, (struct chain_subscription_config){.from_now = true}),
        subscribe(log, (struct chain_subscription_config){.id = "actor-2", .from_now = true})};
    struct seen later = {.next_seq = {200, 400, 800}};
    EXPECT_U64(read_all(now[0], 100, &later), 0);
    EXPECT_U64(read_all(now[1], 100, &later), 0);
    (void)fill(log, 1);
    EXPECT_U64(read_all(now[0], 100, &later), 7);
    later = (struct seen){.next_seq = {0, 0, 800}};
    EXPECT_U64(read_all(now[1], 100, &later), 4);
    chain_subscription_close(now[0]);
    chain_subscription_close(now[1]);
    struct chain_subscription *none = NULL;
    struct chain_subscription_config far = {.from = end * 10};
    EXPECT(chain_subscribe(log, &far, &none, NULL) == ERR_INVALID);
    far = (struct chain_subscription_config){.id = "a b"};
    EXPECT(chain_subscribe(log, &far, &none, NULL) == ERR_INVALID);
    close_log(log);
}

TEST(a_chain_that_has_not_begun) {
    struct chain_log *log =
        open_log((struct chain_log_config){.folder = fresh_folder("early"), .no_sync = true});
    struct chain_subscription *one =
        subscribe(log, (struct chain_subscription_config){.id = "actor-0"});
    struct chain_subscription *all = subscribe(log, (struct chain_subscription_config){0});
    struct seen seen = {0};
    EXPECT_U64(read_all(one, 10, &seen), 0);
    EXPECT_U64(read_all(all, 10, &seen), 0);
    (void)fill(log, 3);
    EXPECT_U64(read_all(one, 10, &seen), 3);
    seen = (struct seen){0};
    EXPECT_U64(read_all(all, 10, &seen), 21);
    chain_subscription_close(one);
    chain_subscription_close(all);
    close_log(log);
}

// ---- filters -----------------------------------------------------------------------------------

static enum status count_event(void *context, const struct chain_event *event,
                               struct error *error) {
    (void)event;
    (void)error;
    ++*(uint64_t *)context;
    return OK;
}

static uint64_t count_matches(struct chain_log *log, struct chain_subscription_config config) {
    struct chain_subscription *subscription = subscribe(log, config);
    uint64_t count = 0;
    for (bool is_behind = true; is_behind;) {
        struct error error = {0};
        REQUIRE_OK(
            chain_subscription_read(subscription, 5, count_event, &count, NULL, &is_behind, &error),
            error);
    }
    chain_subscription_close(subscription);
    return count;
}

TEST(by_type_and_time) {
    struct env env;
    env_init_seeded(&env, 1, 1000);
    struct chain_log *log = open_log((struct chain_log_config){
        .folder = fresh_folder("filters"), .no_sync = true, .segment_bytes = 4096, .env = &env});
    static const char *const types[] = {"handle-send", "handle-request", "shutdown"};
    uint8_t nonce[CHAIN_NONCE_BYTES];
    struct chain_head head = open_head(log, "a", nonce);
    struct buf data = {0};
    uint64_t end = 0;
    for (int i = 0; i < 300; i++) {
        struct error error = {0};
        event_data(&data, nonce, head.next_seq, 30);
        env.wall_ns = 1000 + (uint64_t)i;
        REQUIRE_OK(chain_append(log, &head, types[i % 3], buf_slice(&data), &end, &error), error);
        if (i % 20 == 0) {
            wait_written(log, end);  // so that there are segments
        }
    }
    wait_written(log, end);
    static const char *const requests[] = {"handle-request"};
    static const char *const handles[] = {"handle-*"};
    static const char *const both[] = {"shut*", "handle-send"};
    static const char *const none[] = {"handle-", "x*"};
    for (int i = 0; i < 2; i++) {
        const char *id = i == 0 ? NULL : "a";
        struct chain_subscription_config config = {.id = id, .filter = {requests, 1, 0, 0}};
        EXPECT_U64(count_matches(log, config), 100);
        config.filter = (struct chain_filter){handles, 1, 0, 0};
        EXPECT_U64(count_matches(log, config), 200);
        config.filter = (struct chain_filter){both, 2, 0, 0};
        EXPECT_U64(count_matches(log, config), 200);
        config.filter = (struct chain_filter){none, 2, 0, 0};
        EXPECT_U64(count_matches(log, config), 0);
        config.filter = (struct chain_filter){.since_ns = 1000 + 250};
        EXPECT_U64(count_matches(log, config), 50);
        config.filter = (struct chain_filter){.since_ns = 1000 + 100, .before_ns = 1000 + 130};
        EXPECT_U64(count_matches(log, config), 30);
        config.filter = (struct chain_filter){.since_ns = 5000};
        EXPECT_U64(count_matches(log, config), 0);
        config.filter = (struct chain_filter){handles, 1, 1000 + 100, 1000 + 130};
        EXPECT_U64(count_matches(log, config), 20);
    }
    buf_release(&data);
    close_log(log);
}

static enum status refuse_fifth(void *context, const struct chain_event *event,
                                struct error *error) {
    uint64_t *next = context;
    if (event->seq == 5 && *next == 5) {
        ++*next;
        return error_set(error, ERR_BUSY, "not now");
    }
    EXPECT(event->seq + (*next > 5 ? 1 : 0) == *next);
    ++*next;
    return OK;
}

TEST(what_a_visit_refuses_comes_again) {
    struct chain_log *log =
        open_log((struct chain_log_config){.folder = fresh_folder("refuse"), .no_sync = true});
    (void)fill(log, 20);
    struct chain_subscription *one =
        subscribe(log, (struct chain_subscription_config){.id = "actor-0"});
    uint64_t next = 0, given = 0;
    bool is_behind = false;
    struct error error = {0};
    EXPECT(chain_subscription_read(one, 100, refuse_fifth, &next, &given, &is_behind, &error) ==
           ERR_BUSY);
    EXPECT_U64(given, 5);
    error_clear(&error);
    EXPECT_OK(chain_subscription_read(one, 100, refuse_fifth, &next, &given, &is_behind, &error),
              error);
    EXPECT_U64(given, 15);
    EXPECT_U64(next, 21);
    chain_subscription_close(one);
    close_log(log);
}

TEST(a_long_backlog_is_caught_up) {
    struct chain_log *log = open_log((struct chain_log_config){
        .folder = fresh_folder("backlog"), .no_sync = true, .segment_bytes = 1 << 20});
    struct chain_subscription *one =
        subscribe(log, (struct chain_subscription_config){.id = "actor-2"});
    struct seen seen = {0};
    (void)fill(log, 1);
    EXPECT_U64(read_all(one, 10, &seen), 4);
    (void)fill(log, 5000);  // stalled: more than it would walk back over
    EXPECT_U64(read_all(one, 777, &seen), 20000);
    struct chain_subscription *fresh =
        subscribe(log, (struct chain_subscription_config){.id = "actor-2"});
    seen = (struct seen){0};
    EXPECT_U64(read_all(fresh, 777, &seen), 20004);
    chain_subscription_close(fresh);
    chain_subscription_close(one);
    close_log(log);
}

TEST(damage_is_located_and_the_cursor_stays) {
    const char *folder = fresh_folder("damage");
    struct chain_log *log = open_log((struct chain_log_config){.folder = folder, .no_sync = true});
    (void)fill(log, 20);
    struct chain_subscription *all = subscribe(log, (struct chain_subscription_config){0});
    struct seen seen = {0};
    bool is_behind = false;
    EXPECT_U64(read_some(all, 70, &seen, &is_behind), 70);
    char *path = file_join(folder, "00000001.log");
    int file = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;
    off_t place = (off_t)seen.last_position + 64 + 1500;
    REQUIRE(file >= 0 && pread(file, &byte, 1, place) == 1);
    uint8_t wrong = byte ^ 1;
    REQUIRE(pwrite(file, &wrong, 1, place) == 1);
    struct error error = {0};
    EXPECT(chain_subscription_read(all, 1000, see, &seen, NULL, &is_behind, &error) == ERR_DAMAGED);
    EXPECT_CONTAINS(error.message, "00000001.log at byte");
    REQUIRE(pwrite(file, &byte, 1, place) == 1);
    EXPECT(seen.events < 140);
    (void)read_all(all, 1000, &seen);
    EXPECT_U64(seen.events, 140);
    chain_subscription_close(all);
    close(file);
    free(path);
    close_log(log);
}

// ---- live --------------------------------------------------------------------------------------

enum {
    APPENDERS = 4,
    EVENTS = 600,  // of each
    READERS = 4,
    SUBSCRIBERS = 500,  // of each reader
};

struct load {
    struct chain_log *log;
    int number;
    pthread_t thread;
    uint64_t wrong;
};

static void *append_load(void *argument) {
    struct load *load = argument;
    char id[32];
    uint8_t nonce[CHAIN_NONCE_BYTES];
    (void)snprintf(id, sizeof id, "actor-%d", load->number);
    struct chain_head head = open_head(load->log, id, nonce);
    for (int i = 0; i < EVENTS / 10; i++) {
        (void)append_events(load->log, &head, nonce, 10, 20);
        struct timespec pause = {.tv_nsec = 200000};
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

// Half of the subscribers want all events, the others those of one chain. Every tenth one sleeps
// until all is over.
static void *serve_subscribers(void *argument) {
    struct load *load = argument;
    struct chain_subscription **subscriptions = xcalloc(SUBSCRIBERS, sizeof *subscriptions);
    struct seen *seen = xcalloc(SUBSCRIBERS, sizeof *seen);
    uint64_t open = SUBSCRIBERS;
    for (int i = 0; i < SUBSCRIBERS; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "actor-%d", i % APPENDERS);
        struct chain_subscription_config config = {.id = i % 8 < 6 ? id : NULL};
        subscriptions[i] = subscribe(load->log, config);
    }
    uint64_t reached = 0;
    for (int turn = 0; open > 0; turn++) {
        for (int i = 0; i < SUBSCRIBERS; i++) {
            uint64_t wanted = i % 8 < 6 ? EVENTS : APPENDERS * EVENTS;
            bool is_stalled = i % 10 == 3 && open > SUBSCRIBERS / 10;
            if (subscriptions[i] == NULL || is_stalled) {
                continue;
            }
            struct error error = {0};
            bool is_behind = false;
            enum status status = chain_subscription_read(subscriptions[i], 100 + (uint64_t)i, see,
                                                         &seen[i], NULL, &is_behind, &error);
            load->wrong += status != OK || seen[i].is_wrong || seen[i].events > wanted ? 1 : 0;
            if (status != OK || seen[i].is_wrong || seen[i].events >= wanted) {
                chain_subscription_close(subscriptions[i]);
                subscriptions[i] = NULL;
                open--;
            }
        }
        uint64_t visible = chain_visible(load->log, CHAIN_WRITTEN);
        if (visible == reached) {
            // It may be that all is written, and others are behind.
            enum status status =
                chain_wait_visible(load->log, CHAIN_WRITTEN, reached, 20000000, NULL);
            load->wrong += status != OK && status != ERR_TIMEOUT ? 1 : 0;
        }
        reached = visible;
    }
    free(subscriptions);
    free(seen);
    return NULL;
}

TEST(two_thousand_subscribers_beside_appends) {
    struct chain_log *log = open_log((struct chain_log_config){
        .folder = fresh_folder("load"), .no_sync = true, .segment_bytes = 256 << 10});
    struct load appenders[APPENDERS];
    struct load readers[READERS];
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct load){.log = log, .number = i};
        REQUIRE(pthread_create(&readers[i].thread, NULL, serve_subscribers, &readers[i]) == 0);
    }
    for (int i = 0; i < APPENDERS; i++) {
        appenders[i] = (struct load){.log = log, .number = i};
        REQUIRE(pthread_create(&appenders[i].thread, NULL, append_load, &appenders[i]) == 0);
    }
    for (int i = 0; i < APPENDERS; i++) {
        (void)pthread_join(appenders[i].thread, NULL);
    }
    for (int i = 0; i < READERS; i++) {
        (void)pthread_join(readers[i].thread, NULL);
        EXPECT_U64(readers[i].wrong, 0);
    }
    close_log(log);
}

TEST(waiting_ends_when_something_is_visible) {
    struct chain_log *log = open_log((struct chain_log_config){
        .folder = fresh_folder("wait"), .no_sync = true, .flush_interval_ns = 1000000});
    struct error error = {0};
    uint64_t seen = chain_visible(log, CHAIN_WRITTEN);
    EXPECT(chain_wait_visible(log, CHAIN_WRITTEN, seen, 1000000, &error) == ERR_TIMEOUT);
    struct load load = {.log = log, .number = 0};
    REQUIRE(pthread_create(&load.thread, NULL, append_load, &load) == 0);
    error_clear(&error);
    EXPECT_OK(chain_wait_visible(log, CHAIN_SYNCED, seen, UINT64_MAX, &error), error);
    EXPECT(chain_visible(log, CHAIN_SYNCED) > seen);
    (void)pthread_join(load.thread, NULL);
    close_log(log);
}

TEST(a_log_that_somebody_else_writes_is_followed) {
    const char *folder = fresh_folder("follow");
    struct chain_log *log = open_log(
        (struct chain_log_config){.folder = folder, .no_sync = true, .segment_bytes = 65536});
    (void)fill(log, 1);
    struct chain_log *other =
        open_log((struct chain_log_config){.folder = folder, .read_only = true});
    struct chain_subscription *all = subscribe(other, (struct chain_subscription_config){0});
    struct seen seen = {0};
    EXPECT_U64(read_all(all, 100, &seen), 7);
    struct load load = {.log = log, .number = 5};
    REQUIRE(pthread_create(&load.thread, NULL, append_load, &load) == 0);
    while (seen.events < 7 + EVENTS && !seen.is_wrong) {
        struct error error = {0};
        uint64_t reached = chain_visible(other, CHAIN_WRITTEN);
        if (read_all(all, 100, &seen) == 0) {
            EXPECT_OK(chain_wait_visible(other, CHAIN_WRITTEN, reached, UINT64_MAX, &error), error);
        }
    }
    (void)pthread_join(load.thread, NULL);
    EXPECT_U64(seen.events, 7 + EVENTS);
    chain_subscription_close(all);
    close_log(other);
    close_log(log);
}

int main(void) {
    return test_main();
}

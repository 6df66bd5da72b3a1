// SPDX-License-Identifier: Apache-2.0
// A storm: threads outside and actors inside send, ask, open, spawn, restart, stop and crash at
// random, then the node becomes idle and closes. What is watched are the sanitizers and the end:
// every request is answered, nothing is left over, and the chains verify.
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "test.h"
#include "theater/theater.h"

#define PROBE_COMPONENT SOURCE_FOLDER "/tests/guests/probe/probe.wasm"

enum { ROOTS = 6, CHILDREN = 8, THREADS = 16, STORM_MS = 3000 };

struct storm {
    theater_node *node;
    uint64_t end_ms;
    _Atomic uint64_t answered, failed, timed_out;
};

struct thread {
    struct storm *storm;
    uint64_t seed;
};

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint32_t draw(uint64_t *seed, uint32_t below) {
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(*seed >> 33) % below;
}

// An actor of the storm: a root, or the child with a fixed id of one.
static void draw_id(uint64_t *seed, char id[32]) {
    if (draw(seed, 3) == 0) {
        (void)snprintf(id, 32, "r%u", draw(seed, ROOTS));
    } else {
        (void)snprintf(id, 32, "c%u", draw(seed, CHILDREN));
    }
}

// What one actor is told to do.
static void draw_command(uint64_t *seed, char *text, size_t capacity) {
    char other[32];
    char third[32];
    draw_id(seed, other);
    draw_id(seed, third);
    uint32_t child = draw(seed, CHILDREN);
    switch (draw(seed, 20)) {
        case 0:
        case 1:
        case 2:
            (void)snprintf(text, capacity, "spawn c%u.toml", child);
            return;
        case 3:
            (void)snprintf(text, capacity, "spawn-with {\"a\":1} c%u.toml", child);
            return;
        case 4:
            (void)snprintf(text, capacity, "stop c%u", child);
            return;
        case 5:
            (void)snprintf(text, capacity, "restart c%u", child);
            return;
        case 6:
            (void)snprintf(text, capacity, "spawn-with {\"init\":\"trap\"} c%u.toml", child);
            return;
        case 7:
        case 8:
            (void)snprintf(text, capacity, "open %s hello", other);
            return;
        case 9:
            (void)snprintf(text, capacity, "request %s open %s hello", other, third);
            return;
        case 10:
            (void)snprintf(text, capacity, "request %s sleep %u", other, draw(seed, 20));
            return;
        case 11:
            (void)snprintf(text, capacity, "sleep %u", draw(seed, 10));
            return;
        case 12:
            (void)snprintf(text, capacity, "%s", draw(seed, 8) == 0 ? "trap" : "echo x");
            return;
        case 13:
            (void)snprintf(text, capacity, "late");
            return;
        case 14:
            (void)snprintf(text, capacity, "answer x");
            return;
        case 15:
            (void)snprintf(text, capacity, "request %s request %s spin 1", other, third);
            return;
        case 16:
            (void)snprintf(text, capacity, "send %s send %s %s", other, third,
                           draw(seed, 8) == 0 ? "trap" : "echo x");
            return;
        case 17:
            (void)snprintf(text, capacity, "err of the storm");
            return;
        case 18:
            (void)snprintf(text, capacity, "child-state c%u", child);
            return;
        default:
            (void)snprintf(text, capacity, "request %s echo x", other);
            return;
    }
}

// Nobody is there, or there is no room: others first.
static void breathe(void) {
    struct timespec pause = {.tv_nsec = 300000};
    nanosleep(&pause, NULL);
}

static void *storm_main(void *argument) {
    struct thread *thread = argument;
    struct storm *storm = thread->storm;
    while (now_ms() < storm->end_ms) {
        char id[32];
        char text[200];
        draw_id(&thread->seed, id);
        draw_command(&thread->seed, text, sizeof text);
        struct theater_error error;
        if (draw(&thread->seed, 2) == 0) {
            if (theater_actor_send(storm->node, id, text, strlen(text), &error) != THEATER_OK) {
                breathe();
            }
            continue;
        }
        void *reply = NULL;
        size_t size = 0;
        theater_status status =
            theater_actor_request(storm->node, id, text, strlen(text), 30, &reply, &size, &error);
        storm->answered += status == THEATER_OK;
        storm->timed_out += status == THEATER_TIMEOUT;
        storm->failed += status != THEATER_OK && status != THEATER_TIMEOUT;
        theater_free(reply);
        if (status != THEATER_OK) {
            breathe();
        }
    }
    return NULL;
}

static void write_file(const char *folder, const char *name, struct slice content) {
    struct error error = {0};
    char *path = file_join(folder, name);
    REQUIRE_OK(file_write_atomic(path, content, 0600, &error), error);
    free(path);
}

static void write_manifests(const char *folder) {
    struct error error = {0};
    struct bytes *component = NULL;
    REQUIRE_OK(file_read(PROBE_COMPONENT, 1 << 24, &component, &error), error);
    write_file(folder, "probe.wasm", bytes_slice(component));
    bytes_unref(component);
    static const char *const restarts[] = {"permanent", "transient", "temporary"};
    for (int i = 0; i < ROOTS + CHILDREN; i++) {
        char text[1200];
        char name[32];
        (void)snprintf(name, sizeof name, "%c%d", i < ROOTS ? 'r' : 'c', i < ROOTS ? i : i - ROOTS);
        (void)snprintf(text, sizeof text,
                       "name = \"probe\"\nid = \"%s\"\ncomponent = \"probe.wasm\"\n"
                       "restart = \"%s\"\nmailbox_on_restart = \"%s\"\n"
                       "[supervision]\nmax_restarts = %d\nwindow_ms = 1000\n"
                       "backoff_initial_ms = 1\nbackoff_max_ms = 20\n"
                       "[limits]\nmailbox_messages = %d\nsend_timeout_ms = 10\n"
                       "request_timeout_ms = 40\nstop_timeout_ms = %d\n"
                       "requests = %d\nchannels = %d\nchildren = %d\n"
                       "[[handler]]\ntype = \"supervisor\"\n[[handler]]\ntype = \"timing\"\n"
                       "[[handler]]\ntype = \"random\"\n",
                       name, restarts[i % 3], i % 2 == 0 ? "keep" : "drop", 1 + i % 4, 1 + i % 5,
                       i % 3, 1 + i % 3, 1 + i % 4, 2 + i % 6);
        (void)snprintf(name + strlen(name), 6, ".toml");
        write_file(folder, name, slice_text(text));
    }
}

// Roots may end: crashed past their limit. Those are started again.
static void keep_roots(struct storm *storm, const char *folder) {
    for (int i = 0; i < ROOTS; i++) {
        char name[32];
        char written[THEATER_ID_BYTES];
        struct theater_error error;
        (void)snprintf(name, sizeof name, "r%d.toml", i);
        char *path = file_join(folder, name);
        theater_status status =
            theater_actor_start(storm->node, path, NULL, NULL, 0, written, &error);
        free(path);
        // It runs already, or was stopped at once by what the others told it.
        if (status == THEATER_INVALID || status == THEATER_NOT_FOUND) {
            test_report(__FILE__, __LINE__, "%s: %s", name, error.message);
        }
    }
}

TEST(a_storm_passes_and_leaves_nothing_behind) {
    const char *folder = test_folder();
    const char *data = test_folder();
    write_manifests(folder);
    struct storm storm = {.end_ms = now_ms() + STORM_MS};
    struct theater_node_config config = {.data_folder = data, .workers = 3, .quiet = 1};
    struct theater_error error;
    REQUIRE(theater_node_open(&config, &storm.node, &error) == THEATER_OK);
    keep_roots(&storm, folder);
    storm.end_ms = now_ms() + STORM_MS;
    struct thread threads[THREADS];
    pthread_t ids[THREADS];
    for (int i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.storm = &storm, .seed = (uint64_t)i * 7919 + 1};
        REQUIRE(pthread_create(&ids[i], NULL, storm_main, &threads[i]) == 0);
    }
    while (now_ms() < storm.end_ms) {
        keep_roots(&storm, folder);
        struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(ids[i], NULL);
    }
    (void)printf("# %llu answered, %llu failed, %llu timed out\n",
                 (unsigned long long)storm.answered, (unsigned long long)storm.failed,
                 (unsigned long long)storm.timed_out);
    EXPECT(storm.answered > 0);
    EXPECT(theater_node_wait_idle(storm.node, 20000) == 1);
    EXPECT_U64(theater_node_close(storm.node, &error), THEATER_OK);
    if (theater_chain_verify(data, NULL, NULL, &error) != THEATER_OK) {
        test_report(__FILE__, __LINE__, "%s", error.message);
    }
}

// The node is closed in the middle of it.
TEST(a_node_closes_in_the_middle_of_a_storm) {
    for (int round = 0; round < 8; round++) {
        const char *folder = test_folder();
        write_manifests(folder);
        struct storm storm = {0};
        struct theater_node_config config = {
            .data_folder = test_folder(), .workers = 3, .quiet = 1};
        struct theater_error error;
        REQUIRE(theater_node_open(&config, &storm.node, &error) == THEATER_OK);
        keep_roots(&storm, folder);
        uint64_t seed = (uint64_t)round + 1;
        for (int i = 0; i < 400; i++) {
            char id[32];
            char text[200];
            draw_id(&seed, id);
            draw_command(&seed, text, sizeof text);
            (void)theater_actor_send(storm.node, id, text, strlen(text), &error);
        }
        struct timespec pause = {.tv_nsec = round * 3000000};
        nanosleep(&pause, NULL);
        EXPECT_U64(theater_node_close(storm.node, &error), THEATER_OK);
    }
}

int main(void) {
    return test_main();
}

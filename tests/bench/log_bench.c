// SPDX-License-Identifier: Apache-2.0
// theater-log-bench: what a large log costs: filling it, stopping, opening it again after a clean
// stop and after a kill, finding an actor's last events, and memory for each chain.
//
//   theater-log-bench [folder [events [chains]]]      default: log-bench.tmp 10000000 100000
//
// Each phase is a process of its own, so that none profits from another's memory. The page cache is
// warm. docs/benchmarks.md says what the figures mean.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "chain/chain.h"
#include "codec/cbor.h"

enum { DATA_BYTES = 170, LAST_EVENTS = 100, LOOKUPS = 300 };

struct bench {
    const char *folder;
    uint64_t events;
    uint64_t chains;
};

static uint64_t now_ns(void) {
    return env_monotonic_ns(env_system());
}

static double seconds_since(uint64_t start) {
    return (double)(now_ns() - start) / 1e9;
}

static void must(enum status status, const struct error *error) {
    if (status != OK) {
        (void)fprintf(stderr, "theater-log-bench: %s\n", error->message);
        exit(1);
    }
}

static struct chain_log *open_log(const struct bench *bench, bool with_catalogue) {
    struct chain_log *log = NULL;
    struct error error = {0};
    struct chain_log_config config = {
        .folder = bench->folder, .with_catalogue = with_catalogue, .env = env_system()};
    must(chain_log_open(&config, &log, &error), &error);
    return log;
}

static void close_log(struct chain_log *log) {
    struct error error = {0};
    must(chain_log_close(log, &error), &error);
}

static uint64_t resident_bytes(void) {
    unsigned long long size = 0;
    unsigned long long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL || fscanf(file, "%llu %llu", &size, &resident) != 2) {
        exit(1);
    }
    (void)fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

// As ids of actors are: 36 characters.
static void make_id(uint64_t index, char id[40]) {
    (void)snprintf(id, 40, "%08x-7e57-4000-8000-%012llx", (unsigned)(index * 2654435761U),
                   (unsigned long long)(index & 0xffffffffffffU));
}

// Appends `events` events to chains in an order without pattern, the first one of each included.
static void append(struct chain_log *log, const struct bench *bench, uint64_t events) {
    struct chain_head *heads = xcalloc(bench->chains, sizeof *heads);
    struct error error = {0};
    struct buf data = {0};
    uint64_t state = 88172645463325252U;
    uint8_t filler[DATA_BYTES] = {0};
    for (uint64_t i = 0; i < events; i++) {
        uint64_t which = i;  // each once, then any
        if (i >= bench->chains) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            which = state % bench->chains;
        }
        uint8_t nonce[CHAIN_NONCE_BYTES] = {0};
        if (heads[which].record == NULL) {
            char id[40];
            bool found = false;
            make_id(which, id);
            must(chain_head_open(log, id, &heads[which], nonce, &found, &error), &error);
        }
        buf_clear(&data);
        cbor_array(&data, 2);
        cbor_bytes(&data, slice_of(nonce, CHAIN_NONCE_BYTES));
        cbor_bytes(&data, slice_of(filler, DATA_BYTES - 22));
        must(chain_append(log, &heads[which], "handle-send", buf_slice(&data), NULL, &error),
             &error);
    }
    struct chain_stats stats;
    chain_log_stats(log, &stats);
    must(chain_wait(log, stats.bytes, CHAIN_SYNCED, &error), &error);
    buf_release(&data);
    free(heads);
}

// ---- phases ------------------------------------------------------------------------------------

static void fill(const struct bench *bench) {
    struct chain_log *log = open_log(bench, true);
    uint64_t start = now_ns();
    append(log, bench, bench->events);
    (void)printf("append, with the catalogue: %.0f events/s\n",
                 (double)bench->events / seconds_since(start));
    start = now_ns();
    close_log(log);
    (void)printf("clean stop: %.3f s\n", seconds_since(start));
}

static void reopen(const struct bench *bench) {
    uint64_t before = resident_bytes();
    uint64_t start = now_ns();
    struct chain_log_config config = {
        .folder = bench->folder, .with_catalogue = true, .read_only = true, .env = env_system()};
    struct chain_log *log = NULL;
    struct error error = {0};
    must(chain_log_open(&config, &log, &error), &error);
    (void)printf("open, to read: %.3f s, %llu bytes of memory for each chain\n",
                 seconds_since(start),
                 (unsigned long long)((resident_bytes() - before) / bench->chains));
    close_log(log);
    start = now_ns();
    log = open_log(bench, true);
    (void)printf("open after a clean stop: %.3f s\n", seconds_since(start));
    close_log(log);
}

static void kill_self(const struct bench *bench) {
    struct chain_log *log = open_log(bench, true);
    append(log, bench, bench->events / 10 + bench->chains);
    (void)kill(getpid(), SIGKILL);
}

static void reopen_killed(const struct bench *bench) {
    uint64_t start = now_ns();
    struct chain_log *log = open_log(bench, true);
    (void)printf("open after a kill: %.3f s\n", seconds_since(start));
    close_log(log);
}

static void reopen_whole(const struct bench *bench) {
    uint64_t start = now_ns();
    struct chain_log *log = open_log(bench, false);
    (void)printf("open without a catalogue: %.3f s\n", seconds_since(start));
    close_log(log);
}

static int compare(const void *one, const void *other) {
    uint64_t a = *(const uint64_t *)one;
    uint64_t b = *(const uint64_t *)other;
    return a < b ? -1 : a > b ? 1 : 0;
}

static void look_up(const struct bench *bench) {
    struct chain_log *log = open_log(bench, true);
    uint64_t times[LOOKUPS];
    uint64_t events = 0;
    for (int round = 0; round < 2; round++) {  // the first warms up
        events = 0;
        for (uint64_t i = 0; i < LOOKUPS; i++) {
            char id[40];
            struct error error = {0};
            struct chain_reader *reader = NULL;
            make_id(i * 7919 % bench->chains, id);
            uint64_t start = now_ns();
            must(chain_reader_open_last(log, id, LAST_EVENTS, &reader, &error), &error);
            for (bool more = true; more;) {
                struct chain_event event;
                must(chain_reader_next(reader, &event, &more, &error), &error);
                events += more ? 1 : 0;
            }
            chain_reader_close(reader);
            times[i] = now_ns() - start;
        }
    }
    qsort(times, LOOKUPS, sizeof *times, compare);
    (void)printf(
        "last %d events of one actor: %.3f ms in the middle, %.3f ms at 99 %% (%.0f "
        "events each)\n",
        (int)LAST_EVENTS, (double)times[LOOKUPS / 2] / 1e6, (double)times[LOOKUPS * 99 / 100] / 1e6,
        (double)events / LOOKUPS);
    close_log(log);
}

static void phase(const struct bench *bench, void (*run)(const struct bench *)) {
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        run(bench);
        (void)fflush(stdout);
        _exit(0);
    }
    int state = 0;
    if (child < 0 || waitpid(child, &state, 0) != child ||
        (state != 0 && !(run == kill_self && WIFSIGNALED(state)))) {
        (void)fprintf(stderr, "theater-log-bench: a phase failed\n");
        exit(1);
    }
}

int main(int count, char **arguments) {
    struct bench bench = {
        .folder = count > 1 ? arguments[1] : "log-bench.tmp",
        .events = count > 2 ? strtoull(arguments[2], NULL, 10) : 10000000,
        .chains = count > 3 ? strtoull(arguments[3], NULL, 10) : 100000,
    };
    struct error error = {0};
    if (bench.chains == 0 || bench.events < bench.chains) {
        (void)fprintf(stderr, "at least one chain, and an event for each\n");
        return 2;
    }
    must(file_remove_tree(bench.folder, &error), &error);
    (void)printf("%llu events of %d bytes of data in %llu chains\n",
                 (unsigned long long)bench.events, (int)DATA_BYTES,
                 (unsigned long long)bench.chains);
    phase(&bench, fill);
    phase(&bench, reopen);
    phase(&bench, look_up);
    phase(&bench, kill_self);
    phase(&bench, reopen_killed);
    phase(&bench, reopen_whole);
    must(file_remove_tree(bench.folder, &error), &error);
    return 0;
}

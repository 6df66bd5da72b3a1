// SPDX-License-Identifier: Apache-2.0
// theater-chain-bench: what the log costs. Prints nanoseconds per append in memory (one and two
// threads), sustained events per second to disk, opening and verifying speed.
//
//   theater-chain-bench [folder [events [data bytes]]]
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "chain/chain.h"
#include "codec/cbor.h"

static uint64_t now_ns(void) {
    return env_monotonic_ns(env_system());
}

static void must(enum status status, const struct error *error) {
    if (status != OK) {
        (void)fprintf(stderr, "theater-chain-bench: %s\n", error->message);
        exit(1);
    }
}

static void clear_folder(const char *folder) {
    struct error error = {0};
    must(file_remove_tree(folder, &error), &error);
}

struct work {
    struct chain_log *log;
    uint64_t events;
    size_t data_bytes;
    int index;
    uint64_t chains;
    uint64_t took_ns;
    uint64_t best_ns;  // for BATCH events in a row: what it costs when nothing else runs
};

enum { BATCH = 1000 };

// The nonce and filler, `size` bytes in all (64 to 250).
static void make_data(struct buf *data, const uint8_t nonce[CHAIN_NONCE_BYTES], size_t size) {
    buf_clear(data);
    cbor_array(data, 2);
    cbor_bytes(data, slice_of(nonce, CHAIN_NONCE_BYTES));
    size_t filler = size - data->size - 2;
    cbor_head(data, 0x40, filler);
    memset(buf_reserve(data, filler), 0x5a, filler);
    data->size += filler;
}

// Appends round robin to `chains` chains of its own.
static void *append(void *argument) {
    struct work *work = argument;
    struct error error = {0};
    struct chain_head *heads = xcalloc(work->chains, sizeof *heads);
    struct buf data = {0};
    for (uint64_t i = 0; i < work->chains; i++) {
        char id[32];
        uint8_t nonce[CHAIN_NONCE_BYTES];
        bool found = false;
        (void)snprintf(id, sizeof id, "bench-%d-%d", work->index, (int)i);
        must(chain_head_open(work->log, id, &heads[i], nonce, &found, &error), &error);
        make_data(&data, nonce, work->data_bytes);
        must(chain_append(work->log, &heads[i], "spawned", buf_slice(&data), NULL, &error), &error);
    }
    uint64_t start = now_ns();
    uint64_t next = 0;
    uint64_t batch_start = start;
    work->best_ns = UINT64_MAX;
    for (uint64_t i = 0; i < work->events; i++) {
        if (i % BATCH == 0 && i != 0) {
            uint64_t now = now_ns();
            work->best_ns = now - batch_start < work->best_ns ? now - batch_start : work->best_ns;
            batch_start = now;
        }
        must(chain_append(work->log, &heads[next], "handle-send", buf_slice(&data), NULL, &error),
             &error);
        next = next + 1 == work->chains ? 0 : next + 1;
    }
    work->took_ns = now_ns() - start;
    buf_release(&data);
    free(heads);
    return NULL;
}

static struct chain_log *open_log(struct chain_log_config config) {
    struct chain_log *log = NULL;
    struct error error = {0};
    config.env = env_system();
    must(chain_log_open(&config, &log, &error), &error);
    return log;
}

// Appends that never wait for the writer: the buffer takes all of them. The best round,
// and the best stretch of any: other work on the machine makes the former too large.
static void bench_memory(const char *folder, int threads, size_t data_bytes) {
    enum { THREADS_MOST = 2, ROUNDS = 20 };
    uint64_t events = 20000;
    uint64_t best = UINT64_MAX;
    uint64_t best_batch = UINT64_MAX;
    uint64_t room = (uint64_t)threads * events * (data_bytes + 150);
    for (int round = 0; round < ROUNDS; round++) {
        clear_folder(folder);
        struct chain_log *log = open_log((struct chain_log_config){.folder = folder,
                                                                   .segment_bytes = 8 * room,
                                                                   .buffer_bytes = room,
                                                                   .flush_interval_ns = 60000000000,
                                                                   .no_sync = true});
        pthread_t ids[THREADS_MOST];
        struct work work[THREADS_MOST];
        uint64_t total = 0;
        for (int i = 0; i < threads; i++) {
            work[i] = (struct work){log, events, data_bytes, i, 1, 0, 0};
            if (pthread_create(&ids[i], NULL, append, &work[i]) != 0) {
                exit(1);
            }
        }
        for (int i = 0; i < threads; i++) {
            (void)pthread_join(ids[i], NULL);
            total += work[i].took_ns;
            best_batch = work[i].best_ns < best_batch ? work[i].best_ns : best_batch;
        }
        uint64_t each = total / (uint64_t)threads / events;
        best = each < best ? each : best;
        struct error error = {0};
        must(chain_log_close(log, &error), &error);
    }
    (void)printf(
        "append in memory, %d thread(s), %zu bytes of data: %llu ns/event, %llu in the "
        "fastest %d in a row\n",
        threads, data_bytes, (unsigned long long)best, (unsigned long long)(best_batch / BATCH),
        (int)BATCH);
}

static void bench_disk(const char *folder, uint64_t events, size_t data_bytes, bool no_sync) {
    clear_folder(folder);
    struct chain_log *log =
        open_log((struct chain_log_config){.folder = folder, .no_sync = no_sync});
    struct work work = {log, events, data_bytes, 0, 1000, 0, 0};
    struct error error = {0};
    uint64_t start = now_ns();
    (void)append(&work);
    struct chain_stats stats;
    chain_log_stats(log, &stats);
    must(chain_wait(log, stats.bytes, no_sync ? CHAIN_WRITTEN : CHAIN_SYNCED, &error), &error);
    uint64_t took = now_ns() - start;
    chain_log_stats(log, &stats);
    (void)printf("to disk%s: %.0f events/s, %.1f MB/s, %llu syncs, writer %.0f ns/event\n",
                 no_sync ? " without sync" : "", (double)events * 1e9 / (double)took,
                 (double)stats.bytes * 1e3 / (double)took, (unsigned long long)stats.syncs,
                 (double)stats.writer_cpu_ns / (double)events);
    must(chain_log_close(log, &error), &error);
    start = now_ns();
    log = open_log((struct chain_log_config){.folder = folder, .read_only = true});
    took = now_ns() - start;
    (void)printf("open: %.0f frames/s\n", (double)events * 1e9 / (double)took);
    must(chain_log_close(log, &error), &error);
    struct chain_verdict verdict;
    start = now_ns();
    must(chain_verify(folder, NULL, &verdict, &error), &error);
    took = now_ns() - start;
    (void)printf("verify: %.0f events/s, %s\n", (double)verdict.events * 1e9 / (double)took,
                 verdict.is_good ? "good" : verdict.reason);
}

int main(int count, char **arguments) {
    const char *folder = count > 1 ? arguments[1] : "chain-bench.tmp";
    uint64_t events = count > 2 ? strtoull(arguments[2], NULL, 10) : 1000000;
    size_t data_bytes = count > 3 ? strtoul(arguments[3], NULL, 10) : 170;
    if (events == 0 || data_bytes < 64 || data_bytes > 250) {
        (void)fprintf(stderr, "events above 0, data bytes 64 to 250\n");
        return 2;
    }
    bench_memory(folder, 1, data_bytes);
    bench_memory(folder, 2, data_bytes);
    bench_disk(folder, events, data_bytes, true);
    bench_disk(folder, events, data_bytes, false);
    clear_folder(folder);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// theater-store-bench: what a store with many contents costs. Fills one (without syncs, as only the
// result matters), then prints the latency of each kind of access in it, with syncs, and how long
// the commands for the whole of it take.
//
//   theater-store-bench [folder [contents]]      default: a million small contents
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/file.h"
#include "store/store.h"

#define STORE_ID "00000000-0000-4000-8000-000000000001"

static const struct store_place PLACE = {.actor = "bench", .id = {(const uint8_t *)STORE_ID, 36}};
static const struct store_limits LIMITS = {.bytes = UINT64_C(1) << 40, .contents = 100000000};

enum { SAMPLES = 1000, LABELS_EVERY = 10, TEXT_BYTES = 100 };

static uint64_t now_ns(void) {
    return env_monotonic_ns(env_system());
}

static void must(enum status status, const struct error *error) {
    if (status != OK) {
        (void)fprintf(stderr, "theater-store-bench: %s\n", error->message);
        exit(1);
    }
}

static struct store *open_store(const char *folder, bool no_sync) {
    struct store_config config = {.data_folder = folder, .env = env_system(), .no_sync = no_sync};
    struct store *store = NULL;
    struct error error = {0};
    must(store_open(&config, &store, &error), &error);
    return store;
}

// Content number `number`, of TEXT_BYTES bytes.
static void make_content(uint64_t number, char text[TEXT_BYTES + 1], uint8_t hash[SHA256_BYTES]) {
    (void)snprintf(text, TEXT_BYTES + 1, "%0*llu", TEXT_BYTES, (unsigned long long)number);
    sha256(slice_of(text, TEXT_BYTES), hash);
}

static void put(struct store *store, uint64_t number, bool has_label) {
    char text[TEXT_BYTES + 1], name[32];
    struct store_content content = {.content = {(const uint8_t *)text, TEXT_BYTES}};
    make_content(number, text, content.hash);
    int size = snprintf(name, sizeof name, "label %llu", (unsigned long long)number);
    struct slice label = slice_of(name, (size_t)size);
    content.label = has_label ? &label : NULL;
    struct error error = {0};
    must(store_put(store, &PLACE, &content, &LIMITS, &error), &error);
}

static void fill(const char *folder, uint64_t count) {
    struct store *store = open_store(folder, true);
    struct error error = {0};
    must(store_new(store, "bench", STORE_ID, &error), &error);
    uint64_t began = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        put(store, i, i % LABELS_EVERY == 0);
    }
    double seconds = (double)(now_ns() - began) / 1e9;
    printf(
        "fill: %llu contents of %d bytes, every tenth with a label, without syncs: %.0f s, "
        "%.0f/s\n",
        (unsigned long long)count, TEXT_BYTES, seconds, (double)count / seconds);
    store_close(store);
}

// ---- one access
// ------------------------------------------------------------------------------------

static void put_new(struct store *store, uint64_t number, uint64_t count) {
    put(store, count + number, false);
}

static void put_known(struct store *store, uint64_t number, uint64_t count) {
    put(store, number % count, false);
}

static void put_labelled(struct store *store, uint64_t number, uint64_t count) {
    put(store, 2 * count + number, true);
}

static void get(struct store *store, uint64_t number, uint64_t count) {
    char text[TEXT_BYTES + 1];
    uint8_t hash[SHA256_BYTES];
    struct bytes *content = NULL;
    struct error error = {0};
    make_content(number % count, text, hash);
    must(store_get(store, &PLACE, hash, TEXT_BYTES, &content, &error), &error);
    bytes_unref(content);
}

static void find(struct store *store, uint64_t number, uint64_t count) {
    char text[TEXT_BYTES + 1];
    uint8_t hash[SHA256_BYTES];
    bool found = false;
    struct error error = {0};
    make_content(number % count, text, hash);
    must(store_has(store, &PLACE, hash, &found, &error), &error);
}

static void find_label(struct store *store, uint64_t number, uint64_t count) {
    char name[32];
    uint8_t hash[SHA256_BYTES];
    bool found = false;
    struct error error = {0};
    int size = snprintf(name, sizeof name, "label %llu",
                        (unsigned long long)(number % count / LABELS_EVERY * LABELS_EVERY));
    must(store_find_label(store, &PLACE, slice_of(name, (size_t)size), &found, hash, &error),
         &error);
    if (!found) {
        (void)fprintf(stderr, "theater-store-bench: %s is not there\n", name);
        exit(1);
    }
}

static void total(struct store *store, uint64_t number, uint64_t count) {
    (void)number;
    (void)count;
    uint64_t bytes = 0;
    struct error error = {0};
    must(store_total_bytes(store, &PLACE, &bytes, &error), &error);
}

static int by_size(const void *a, const void *b) {
    const uint64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static void measure(struct store *store, uint64_t count, const char *name,
                    void (*access)(struct store *store, uint64_t number, uint64_t count)) {
    static uint64_t samples[SAMPLES];
    for (uint64_t i = 0; i < SAMPLES; i++) {
        // Spread over the whole store, the same in every run; no sample twice.
        uint64_t number = access == put_new || access == put_labelled
                              ? i * LABELS_EVERY
                              : i * UINT64_C(0x9E3779B97F4A7C15) >> 20;
        uint64_t began = now_ns();
        access(store, number, count);
        samples[i] = now_ns() - began;
    }
    qsort(samples, SAMPLES, sizeof samples[0], by_size);
    printf("%-34s p50 %8.1f us, p99 %8.1f us\n", name, (double)samples[SAMPLES / 2] / 1e3,
           (double)samples[SAMPLES * 99 / 100] / 1e3);
}

// ---- the whole
// -------------------------------------------------------------------------------------

static enum status count_item(void *context, struct slice label, const uint8_t hash[SHA256_BYTES],
                              struct error *error) {
    (void)label;
    (void)hash;
    (void)error;
    ++*(uint64_t *)context;
    return OK;
}

static void complain(void *context, const char *text) {
    (void)context;
    (void)fprintf(stderr, "theater-store-bench: %s\n", text);
    exit(1);
}

static double since(uint64_t began) {
    return (double)(now_ns() - began) / 1e9;
}

static void survey(struct store *store) {
    struct error error = {0};
    uint64_t count = 0, began = now_ns();
    must(store_list_labels(store, &PLACE, count_item, &count, &error), &error);
    printf("list %llu labels: %.2f s\n", (unsigned long long)count, since(began));
    count = 0;
    began = now_ns();
    must(store_list_contents(store, &PLACE, count_item, &count, &error), &error);
    printf("list %llu contents: %.2f s\n", (unsigned long long)count, since(began));
    struct store_verdict verdict;
    began = now_ns();
    must(store_verify(store, complain, NULL, &verdict, &error), &error);
    printf("verify %llu contents: %.1f s\n", (unsigned long long)verdict.contents, since(began));
    struct store_collection *collection = NULL;
    struct store_collected collected;
    began = now_ns();
    must(store_collect_begin(store, &collection, &error), &error);
    must(store_collect_end(collection, OK, true, &collected, &error), &error);
    printf("count garbage: %.1f s, %llu contents\n", since(began),
           (unsigned long long)collected.removed);
    began = now_ns();
    must(store_collect_begin(store, &collection, &error), &error);
    must(store_collect_end(collection, OK, false, &collected, &error), &error);
    printf("remove it: %.1f s\n", since(began));
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : "/tmp/theater-store-bench";
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    struct error error = {0};
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    must(file_remove_tree(folder, &error), &error);
    must(file_make_folders(folder, 0700, &error), &error);
    fill(folder, count);
    uint64_t began = now_ns();
    struct store *store = open_store(folder, false);
    printf("open: %.1f ms\n", since(began) * 1e3);
    measure(store, count, "get", get);
    measure(store, count, "exists", find);
    measure(store, count, "get-by-label", find_label);
    measure(store, count, "calculate-total-size", total);
    measure(store, count, "store, new, synced", put_new);
    measure(store, count, "store, known", put_known);
    measure(store, count, "store-at-label, new, synced", put_labelled);
    survey(store);
    store_close(store);
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    printf("memory at most: %ld MiB\n", usage.ru_maxrss / 1024);
    must(file_remove_tree(folder, &error), &error);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// theater-actor-bench [SECTION…]: what a call, a turn, a message, a request, a spawn and a restart
// cost.
//
// Each section prints lines "name: value unit". Times of turns are process CPU without this thread
// and the log's writer, so that they say what a worker spends.
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "host/host.h"
#include "node/node.h"

#define GUEST SOURCE_FOLDER "/tests/bench/guest/bench.wasm"
#define MANIFEST SOURCE_FOLDER "/tests/bench/guest/bench.toml"
#define DURABLE SOURCE_FOLDER "/tests/bench/guest/durable.toml"

enum { ROUNDS = 11 };

static double now_ns(void) {
    return (double)env_monotonic_ns(env_system());
}

static double clock_of(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static void must(enum status status, const struct error *error) {
    if (status != OK) {
        fprintf(stderr, "theater-actor-bench: %s: %s\n", status_text(status), error->message);
        exit(EXIT_FAILURE);
    }
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

// ---- the bare call
// -------------------------------------------------------------------------------

static bool nothing(struct component_call *call, const struct value *args, struct value *result) {
    (void)call;
    (void)args;
    *result = (struct value){.which = 0};
    return true;
}

static enum status resolve_nothing(void *resolver, const struct component_import *import,
                                   struct component_host_func *out, struct error *error) {
    (void)resolver;
    (void)import;
    (void)error;
    *out = (struct component_host_func){.fn = nothing};
    return OK;
}

static struct component *load(struct wasm_compiler *compiler) {
    struct error error = {0};
    struct bytes *bytes = NULL;
    struct component *component = NULL;
    must(file_read(GUEST, 1 << 24, &bytes, &error), &error);
    must(component_load(bytes, NULL, &component, &error), &error);
    bytes_unref(bytes);
    must(component_compile(component, compiler, WASM_TIER_OPTIMISED, &error), &error);
    return component;
}

static uint32_t find_export(const struct component *component, const char *name) {
    for (uint32_t i = 0; i < component_export_count(component); i++) {
        if (slice_equal_text(component_export_at(component, i)->name, name)) {
            return i;
        }
    }
    return 0;
}

// A context on this thread's own stack, bound; for calls without an actor.
static void context_begin(struct wasm_context *context) {
    wasm_thread_enter();
    pthread_attr_t attributes;
    void *stack = NULL;
    size_t stack_size = 0;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &stack, &stack_size);
    pthread_attr_destroy(&attributes);
    uint8_t *low = (uint8_t *)stack + stack_size - (1 << 20);
    wasm_context_init(context, low, low);
    wasm_context_begin(context, 0);
    wasm_context_bind(context);
}

static uint8_t call_message[64] = ".";
static uint8_t call_state[16];

static void measure_calls(struct component_instance *instance, uint32_t export) {
    struct error error = {0};
    struct value state_bytes = {.bytes = call_state, .count = sizeof call_state};
    struct value body = {.bytes = call_message, .count = sizeof call_message};
    struct value args[2] = {{.items = &state_bytes, .which = 1}, {.items = &body, .count = 1}};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    double calls[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        enum { CALLS = 300000 };
        double start = now_ns();
        for (int i = 0; i < CALLS; i++) {
            struct value result;
            if (component_call(instance, export, args, &result, &arena, &error) != COMPONENT_DONE) {
                must(ERR_TRAP, &error);
            }
            arena_reset(&arena);
        }
        calls[round] = (now_ns() - start) / CALLS;
    }
    arena_release(&arena);
    printf("call handle-send, 64-byte message, 16-byte state: %.0f ns\n", median(calls, ROUNDS));
}

static void measure_instances(struct component_linked *linked, struct wasm_budget *budget) {
    struct error error = {0};
    double made[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        enum { INSTANCES = 2000 };
        double start = now_ns();
        for (int i = 0; i < INSTANCES; i++) {
            struct component_instance *one = NULL;
            if (component_instantiate(linked, NULL, budget, &one, &error) != COMPONENT_DONE) {
                must(ERR_TRAP, &error);
            }
            component_instance_free(one);
        }
        made[round] = (now_ns() - start) / INSTANCES;
    }
    printf("instantiate and free, three core modules: %.0f ns\n", median(made, ROUNDS));
}

// ---- the same by hand, without components
// ----------------------------------------------------------

struct raw_guest {
    const struct wasm_memory *memory;
    struct wasm_entry realloc, handle, post_return;
};

static bool no_import(void *data, uint64_t *slots) {
    (void)data;
    (void)slots;
    return wasm_raise("the bare guest has no imports");
}

// The guest's main module alone, its imports never called.
static struct wasm_instance *raw_instance(struct wasm_code *code, const struct wasm_module *module,
                                          struct wasm_budget *budget, struct raw_guest *guest) {
    struct error error = {0};
    struct wasm_instance *instance = NULL;
    struct wasm_extern *imports = xcalloc(module->import_count + 1, sizeof *imports);
    for (uint32_t i = 0; i < module->import_count; i++) {
        imports[i] = (struct wasm_extern){
            .kind = WASM_FUNC,
            .of.func = {.type = module->imports[i].type.func, .host = no_import}};
    }
    must(wasm_instantiate(code, imports, budget, &instance, &error), &error);
    free(imports);
    for (uint32_t i = 0; i < module->export_count; i++) {
        struct slice name = module->exports[i].name;
        bool is_send = memmem(name.data, name.size, "#handle-send", 12) != NULL;
        bool is_post = name.size > 9 && memcmp(name.data, "cabi_post", 9) == 0;
        if (module->exports[i].type.kind == WASM_MEMORY) {
            guest->memory = wasm_instance_export(instance, i).of.memory;
        } else if (slice_equal_text(name, "cabi_realloc")) {
            guest->realloc = wasm_instance_entry(instance, i);
        } else if (is_send) {
            *(is_post ? &guest->post_return : &guest->handle) = wasm_instance_entry(instance, i);
        }
    }
    return instance;
}

static bool raw_bytes(struct wasm_context *context, struct raw_guest *guest, const uint8_t *bytes,
                      uint32_t size, uint64_t *address) {
    uint64_t slots[4] = {0, 0, 1, size};
    if (!wasm_enter(context, &guest->realloc, slots)) {
        return false;
    }
    *address = slots[0];
    memcpy(wasm_memory_view(guest->memory).data + (uint32_t)slots[0], bytes, size);
    return true;
}

static bool raw_call(struct wasm_context *context, void *data) {
    struct raw_guest *guest = data;
    uint64_t slots[5] = {1, 0, sizeof call_state, 0, sizeof call_message};
    uint8_t copy[sizeof call_state];
    if (!raw_bytes(context, guest, call_state, sizeof call_state, &slots[1]) ||
        !raw_bytes(context, guest, call_message, sizeof call_message, &slots[3]) ||
        !wasm_enter(context, &guest->handle, slots)) {
        return false;
    }
    const uint8_t *memory = wasm_memory_view(guest->memory).data;
    uint32_t at = 0;
    memcpy(&at, memory + (uint32_t)slots[0] + 8, sizeof at);
    memcpy(copy, memory + at, sizeof copy);
    return guest->post_return.guest == NULL || wasm_enter(context, &guest->post_return, slots);
}

static void measure_raw(struct wasm_compiler *compiler, struct wasm_module *module,
                        struct wasm_budget *budget) {
    struct error error = {0};
    struct wasm_code *code = NULL;
    struct raw_guest guest = {0};
    must(wasm_compile(compiler, module, WASM_TIER_OPTIMISED, &code, &error), &error);
    struct wasm_instance *instance = raw_instance(code, module, budget, &guest);
    double calls[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        enum { CALLS = 300000 };
        double start = now_ns();
        for (int i = 0; i < CALLS; i++) {
            if (!wasm_run(raw_call, &guest)) {
                fatal("the bare guest trapped");
            }
        }
        calls[round] = (now_ns() - start) / CALLS;
    }
    printf("the same by hand: reallocs, copies, call, post-return: %.0f ns\n",
           median(calls, ROUNDS));
    double made[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        enum { INSTANCES = 2000 };
        double start = now_ns();
        for (int i = 0; i < INSTANCES; i++) {
            wasm_instance_free(raw_instance(code, module, budget, &guest));
        }
        made[round] = (now_ns() - start) / INSTANCES;
    }
    printf("instantiate and free, the main module alone: %.0f ns\n", median(made, ROUNDS));
    wasm_instance_free(instance);
    wasm_code_unref(code);
}

static struct wasm_compiler *open_compiler(void) {
    struct error error = {0};
    char *folder = NULL;
    struct wasm_compiler *compiler = NULL;
    must(node_code_folder(&folder, &error), &error);
    must(file_make_folders(folder, 0700, &error), &error);
    struct wasm_compiler_config config = {.cache_folder = folder};
    must(wasm_compiler_new(&config, &compiler, &error), &error);
    free(folder);
    return compiler;
}

// So that no section measures code of the quick tier.
static void fill_cache(void) {
    struct wasm_compiler *compiler = open_compiler();
    component_unref(load(compiler));
    wasm_compiler_free(compiler);
}

static void bench_call(void) {
    struct error error = {0};
    struct wasm_compiler *compiler = open_compiler();
    struct component *component = load(compiler);
    struct component_linked *linked = NULL;
    must(component_link(component, resolve_nothing, NULL, NULL, &linked, &error), &error);
    struct wasm_context context;
    context_begin(&context);
    struct wasm_budget budget = {.memory_limit_bytes = 1 << 30};
    struct component_instance *instance = NULL;
    if (component_instantiate(linked, NULL, &budget, &instance, &error) != COMPONENT_DONE) {
        must(ERR_TRAP, &error);
    }
    measure_calls(instance, find_export(component, "handle-send"));
    measure_raw(compiler, component_module_at(component, 0), &budget);
    measure_instances(linked, &budget);
    component_instance_free(instance);
    wasm_context_unbind(&context);
    wasm_thread_leave();
    component_linked_unref(linked);
    component_unref(component);
    wasm_compiler_free(compiler);
}

// ---- whole nodes
// ---------------------------------------------------------------------------------

struct bench {
    struct node *node;
    char folder[64];
};

static void open_bench(struct bench *bench, uint32_t workers) {
    const char *base = getenv("TMPDIR");
    (void)snprintf(bench->folder, sizeof bench->folder, "%s/theater-bench-XXXXXX",
                   base != NULL ? base : "/tmp");
    if (mkdtemp(bench->folder) == NULL) {
        fatal("cannot make a folder");
    }
    struct node_config config = {.data_folder = bench->folder, .workers = workers, .quiet = true};
    struct error error = {0};
    must(node_open(&config, &bench->node, &error), &error);
}

static void close_bench(struct bench *bench) {
    struct error error = {0};
    must(node_close(bench->node, &error), &error);
    (void)file_remove_tree(bench->folder, NULL);
}

static void start_as(struct bench *bench, const char *manifest, const char *id) {
    struct actor_start start = {.manifest = manifest, .id = id};
    char written[ACTOR_ID_BYTES];
    struct error error = {0};
    must(actor_start_root(node_actors(bench->node), &start, written, &error), &error);
}

static void start(struct bench *bench, const char *id) {
    start_as(bench, MANIFEST, id);
}

static void tell(struct bench *bench, const char *id, const void *message, size_t size) {
    struct error error = {0};
    must(actor_send_from_outside(node_actors(bench->node), id, slice_of(message, size), &error),
         &error);
}

static void wait_idle(struct bench *bench) {
    if (!actor_system_wait_idle(node_actors(bench->node), 600ULL * 1000000000U)) {
        fatal("not idle in time");
    }
}

struct meter {
    double wall, process, self, writer;
};

static void meter_read(struct bench *bench, struct meter *meter) {
    struct chain_stats stats;
    chain_log_stats(node_log(bench->node), &stats);
    *meter = (struct meter){.wall = now_ns(),
                            .process = clock_of(CLOCK_PROCESS_CPUTIME_ID),
                            .self = clock_of(CLOCK_THREAD_CPUTIME_ID),
                            .writer = (double)stats.writer_cpu_ns};
}

static double worker_ns(const struct meter *from, const struct meter *to) {
    return (to->process - from->process) - (to->self - from->self) - (to->writer - from->writer);
}

// The time from the first to the last of the actor's newest `count` + 1 events, in nanoseconds.
static double newest_events_ns(struct bench *bench, const char *id, uint64_t count) {
    struct error error = {0};
    struct chain_reader *reader = NULL;
    struct chain_event event;
    uint64_t *times = xcalloc(count + 1, sizeof *times);
    uint64_t seen = 0;
    bool more = true;
    must(chain_reader_open(node_log(bench->node), id, 0, &reader, &error), &error);
    while (more) {
        must(chain_reader_next(reader, &event, &more, &error), &error);
        if (more) {
            times[seen++ % (count + 1)] = event.time_ns;
        }
    }
    chain_reader_close(reader);
    double spent = (double)(times[(seen - 1) % (count + 1)] - times[seen % (count + 1)]);
    free(times);
    return spent;
}

// The messages queue up while the actor computes, and are then worked off in a row: the times are
// those of the events. The processor is the worker's alone only on an idle machine.
static void bench_turn(void) {
    struct bench bench;
    open_bench(&bench, 1);
    start(&bench, "turn");
    double times[ROUNDS];
    static uint8_t message[64] = ".";
    uint8_t compute[6] = {'w'};
    uint32_t steps = 6000000;
    memcpy(compute + 1, &steps, sizeof steps);
    for (int round = 0; round < ROUNDS; round++) {
        enum { TURNS = 9000 };
        tell(&bench, "turn", compute, sizeof compute);
        for (int i = 0; i < TURNS; i++) {
            tell(&bench, "turn", message, sizeof message);
        }
        wait_idle(&bench);
        times[round] = newest_events_ns(&bench, "turn", TURNS) / TURNS;
    }
    printf("turn, recorded and hashed: %.0f ns\n", median(times, ROUNDS));
    close_bench(&bench);
}

// The first hop of a message between two actors of equally long ids.
static size_t hop_message(uint8_t *out, const char *peer, const char *self, uint32_t hops) {
    size_t size = strlen(peer);
    memset(out, 0, 64);
    out[0] = 'p';
    memcpy(out + 1, &hops, sizeof hops);
    out[5] = (uint8_t)size;
    memcpy(out + 6, peer, size);
    memcpy(out + 6 + size, self, size);
    return 64;
}

static void throw_messages(struct bench *bench, uint64_t messages) {
    enum { IN_FLIGHT = 64 };
    uint8_t message[64];
    for (int i = 0; i < IN_FLIGHT; i++) {
        size_t size = hop_message(message, "pong", "ping", (uint32_t)(messages / IN_FLIGHT) - 1);
        tell(bench, "ping", message, size);
    }
    wait_idle(bench);
}

static void bench_messages(uint64_t seconds, uint32_t workers) {
    struct bench bench;
    open_bench(&bench, workers);
    start(&bench, "ping");
    start(&bench, "pong");
    struct meter first, from, to;
    enum { STEP = 640000 };
    throw_messages(&bench, STEP);
    meter_read(&bench, &first);
    double rates[1000];
    size_t rounds = 0;
    uint64_t messages = 0;
    do {
        meter_read(&bench, &from);
        throw_messages(&bench, STEP);
        meter_read(&bench, &to);
        rates[rounds++] = STEP / worker_ns(&from, &to) * 1e9;
        messages += STEP;
    } while (to.wall - first.wall < (double)seconds * 1e9 && rounds < 1000);
    struct chain_stats stats;
    chain_log_stats(node_log(bench.node), &stats);
    double wall = to.wall - first.wall;
    printf(
        "one-way messages, %.0f s: %.0f /s per core of worker CPU (median), %.0f /s of wall "
        "time\n",
        wall / 1e9, median(rates, rounds), (double)messages / wall * 1e9);
    printf("log: %.0f bytes per message, writer CPU %.0f ns per message\n",
           (double)stats.bytes / (double)stats.events,
           (to.writer - first.writer) / (double)messages);
    close_bench(&bench);
}

static void bench_requests(void) {
    struct bench bench;
    open_bench(&bench, 1);
    start(&bench, "asks");
    start(&bench, "gives");
    enum { REQUESTS = 1000, SAMPLES = 101 };
    uint8_t message[16] = {'r'};
    uint32_t count = REQUESTS;
    memcpy(message + 1, &count, sizeof count);
    message[5] = 5;
    memcpy(message + 6, "gives", 5);
    double times[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        double from = now_ns();
        tell(&bench, "asks", message, 11);
        wait_idle(&bench);
        times[i] = (now_ns() - from) / REQUESTS;
    }
    printf("request and reply, two actors on one worker: %.0f ns (median of means of %d)\n",
           median(times, SAMPLES), REQUESTS);
    close_bench(&bench);
}

static uint64_t resident_bytes(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long total = 0;
    unsigned long resident = 0;
    if (file == NULL || fscanf(file, "%lu %lu", &total, &resident) != 2) {
        fatal("cannot read /proc/self/statm");
    }
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void spawn_children(struct bench *bench, uint32_t count, const char *manifest) {
    uint8_t message[32] = {'s'};
    size_t size = strlen(manifest);
    memcpy(message + 1, &count, sizeof count);
    message[5] = (uint8_t)size;
    memcpy(message + 6, manifest, size);
    tell(bench, "parent", message, 6 + size);
    wait_idle(bench);
}

static void bench_spawn(uint32_t actors) {
    struct bench bench;
    open_bench(&bench, 1);
    start(&bench, "parent");
    spawn_children(&bench, 100, "bench.toml");
    enum { SAMPLES = 21, SPAWNS = 200 };
    double times[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        double from = now_ns();
        spawn_children(&bench, SPAWNS, "bench.toml");
        times[i] = (now_ns() - from) / SPAWNS;
    }
    printf("spawn to init returned: %.1f us\n", median(times, SAMPLES) / 1e3);
    uint64_t had = actor_system_count(node_actors(bench.node));
    uint64_t before = resident_bytes();
    while (actor_system_count(node_actors(bench.node)) < had + actors) {
        spawn_children(&bench, 10000, "bench.toml");
    }
    uint64_t made = actor_system_count(node_actors(bench.node)) - had;
    printf("%llu idle actors: %.1f KB resident each, the guest's own pages included\n",
           (unsigned long long)made, (double)(resident_bytes() - before) / (double)made / 1024);
    double from = now_ns();
    close_bench(&bench);
    printf("stopping them all: %.2f s\n", (now_ns() - from) / 1e9);
}

// ---- restarts
// -----------------------------------------------------------------------------------------

// The times of the newest crash: from the end of the turn before the one that crashed to that of
// the new instance's init, so that the trap is part of it. In nanoseconds; 0: none is whole.
static double newest_restart_ns(struct bench *bench, const char *id) {
    struct error error = {0};
    struct chain_reader *reader = NULL;
    struct chain_event event;
    uint64_t before_ns = 0;
    uint64_t crash_ns = 0;
    uint64_t newest_ns = 0;
    bool more = true;
    must(chain_reader_open(node_log(bench->node), id, 0, &reader, &error), &error);
    while (more) {
        must(chain_reader_next(reader, &event, &more, &error), &error);
        if (more && slice_equal_text(event.type, "crashed")) {
            crash_ns = before_ns;
        } else if (more && slice_equal_text(event.type, "init") && crash_ns != 0) {
            newest_ns = event.time_ns - crash_ns;
            crash_ns = 0;
        } else if (more && crash_ns == 0 && event.data.size > 0 &&
                   memmem(event.data.data, event.data.size, "trap", 4) == NULL) {
            before_ns = event.time_ns;
        }
    }
    chain_reader_close(reader);
    return (double)newest_ns;
}

static void bench_restart(void) {
    struct bench bench;
    open_bench(&bench, 1);
    start_as(&bench, SOURCE_FOLDER "/tests/bench/guest/supervisor.toml", "parent");
    spawn_children(&bench, 1, "crasher.toml");
    enum { CRASHES = 301 };
    double times[CRASHES];
    for (int i = 0; i < CRASHES; i++) {
        // Out of the window of the last one, and with code and stack in the cache.
        struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
        uint8_t compute[6] = {'w'};
        uint32_t steps = 60000;
        memcpy(compute + 1, &steps, sizeof steps);
        tell(&bench, "crasher", compute, sizeof compute);
        for (int j = 0; j < 8; j++) {
            tell(&bench, "crasher", ".", 1);
        }
        tell(&bench, "crasher", "t", 1);
        wait_idle(&bench);
        times[i] = newest_restart_ns(&bench, "crasher");
    }
    printf("crash to running again, first restart in a window: %.1f us (median of %d)\n",
           median(times, CRASHES) / 1e3, CRASHES);
    close_bench(&bench);
}

// ---- hibernation
// -------------------------------------------------------------------------------------

// Until nobody gives memory back any more: the parent keeps its own.
static void wait_for_sleep(struct bench *bench) {
    uint64_t bytes = UINT64_MAX;
    for (uint64_t now = 0; now != bytes;) {
        bytes = now;
        struct timespec pause = {.tv_nsec = 200000000};
        nanosleep(&pause, NULL);
        now = actor_system_instance_bytes(node_actors(bench->node));
    }
}

// From the request of a client to its answer, the actor's new instance in between.
static double wake(struct bench *bench, const char *id) {
    struct error error = {0};
    struct bytes *reply = NULL;
    double from = now_ns();
    must(actor_request_from_outside(node_actors(bench->node), id, slice_text("."), UINT64_MAX,
                                    &reply, &error),
         &error);
    double spent = now_ns() - from;
    bytes_unref(reply);
    return spent;
}

static void measure_wakes(struct bench *bench, const char *what, bool is_asleep) {
    enum { WAKES = 1001, STRIDE = 37 };
    struct error error = {0};
    char **ids = NULL;
    uint64_t count = 0;
    must(chain_list(node_log(bench->node), &ids, &count, &error), &error);
    // The children alone: their ids were generated.
    uint64_t children = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (strlen(ids[i]) == ACTOR_UUID_BYTES - 1) {
            char *child = ids[i];
            ids[i] = ids[children];
            ids[children++] = child;
        }
    }
    double times[WAKES];
    for (uint64_t i = 0; i < WAKES; i++) {
        // Far apart, as from nothing in the cache.
        const char *id = ids[(is_asleep ? i * STRIDE : 0) % children];
        times[i] = wake(bench, id);
    }
    printf("%s: %.1f us (median of %d)\n", what, median(times, WAKES) / 1e3, WAKES);
    for (uint64_t i = 0; i < count; i++) {
        free(ids[i]);
    }
    free(ids);
}

static void bench_hibernation(uint32_t actors) {
    struct bench bench;
    open_bench(&bench, 1);
    start(&bench, "parent");
    double from = now_ns();
    uint64_t before = resident_bytes();
    for (uint32_t left = actors; left > 0;) {
        uint32_t part = left < 10000 ? left : 10000;
        spawn_children(&bench, part, "sleeper.toml");
        left -= part;
    }
    if (actor_system_count(node_actors(bench.node)) != (uint64_t)actors + 1) {
        fatal("the actors were not spawned");
    }
    wait_for_sleep(&bench);
    uint64_t made = actor_system_count(node_actors(bench.node)) - 1;
    printf("%llu hibernating actors, spawned in %.1f s: %.0f MB resident in all, %.0f bytes each\n",
           (unsigned long long)made, (now_ns() - from) / 1e9, (double)resident_bytes() / 1e6,
           (double)(resident_bytes() - before) / (double)made);
    measure_wakes(&bench, "request to reply, an actor that hibernates", true);
    measure_wakes(&bench, "the same, an actor that is awake", false);
    close_bench(&bench);
}

// ---- durability
// --------------------------------------------------------------------------------------

enum { SYNCS = 401, SYNCED_FILE_BYTES = 64 << 20 };

// A file as the log has them.
static int make_synced_file(struct bench *bench) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/beside", bench->folder);
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0 || fallocate(file, 0, 0, SYNCED_FILE_BYTES) != 0 || fsync(file) != 0) {
        fatal("cannot make a file beside the log");
    }
    return file;
}

static double sync_once(int file, uint64_t offset) {
    static const uint8_t event[300] = {1};
    double from = now_ns();
    if (pwrite(file, event, sizeof event, (off_t)offset) != sizeof event || fdatasync(file) != 0) {
        fatal("cannot sync the file beside the log");
    }
    return now_ns() - from;
}

// What a client outside waits for, in turn with one sync of as much: durability = "sync".
static void bench_durable(void) {
    struct bench bench;
    open_bench(&bench, 1);
    start_as(&bench, DURABLE, "durable");
    start(&bench, "plain");
    int file = make_synced_file(&bench);
    double replies[SYNCS], plain[SYNCS], syncs[SYNCS];
    for (int i = 0; i < SYNCS; i++) {
        syncs[i] = sync_once(file, (uint64_t)i * 300);
        replies[i] = wake(&bench, "durable");
        plain[i] = wake(&bench, "plain");
    }
    double sync = median(syncs, SYNCS), reply = median(replies, SYNCS);
    printf("one fdatasync of 300 bytes: %.1f us (median of %d, in turn with the next)\n",
           sync / 1e3, SYNCS);
    printf("request to reply, durability = \"sync\": %.1f us, %.2f of it\n", reply / 1e3,
           reply / sync);
    printf("the same, \"async\": %.1f us\n", median(plain, SYNCS) / 1e3);
    (void)close(file);
    close_bench(&bench);
}

// ---- a flood
// ------------------------------------------------------------------------------------------

struct flood {
    char **ids;
    uint64_t count;
};

static bool take_id(void *context, const struct actor_info *info) {
    struct flood *flood = context;
    if (info->parent.size > 0) {
        flood->ids[flood->count++] = xstrdup(info->id);
    }
    return true;
}

static bool count_one(void *context, const struct actor_info *info) {
    *(uint64_t *)context += info->mailbox_messages;
    return true;
}

// All children of one parent throw messages to and fro with the first of them, while this thread
// lists all actors, and asks one that has nothing to do with it.
static void bench_flood(uint32_t actors) {
    enum { LISTS = 21 };
    struct bench bench;
    open_bench(&bench, 2);
    start(&bench, "parent");
    start(&bench, "bystander");
    for (uint32_t left = actors; left > 0;) {
        uint32_t part = left < 10000 ? left : 10000;
        spawn_children(&bench, part, "bench.toml");
        left -= part;
    }
    struct actor_system *system = node_actors(bench.node);
    struct flood flood = {.ids = xcalloc(actors, sizeof *flood.ids)};
    actor_system_list(system, take_id, &flood);
    double lists[LISTS], answers[LISTS], idle[LISTS];
    uint64_t waiting = 0;
    for (int i = 0; i < LISTS; i++) {
        double from = now_ns();
        actor_system_list(system, count_one, &waiting);
        idle[i] = now_ns() - from;
    }
    for (uint64_t i = 1; i < flood.count; i++) {
        uint8_t message[128] = {'p'};
        uint32_t hops = UINT32_MAX;
        size_t size = strlen(flood.ids[i]);
        memcpy(message + 1, &hops, sizeof hops);
        message[5] = (uint8_t)size;
        memcpy(message + 6, flood.ids[0], size);
        memcpy(message + 6 + size, flood.ids[i], size);
        tell(&bench, flood.ids[i], message, 6 + 2 * size);
    }
    uint64_t most = 0;
    for (int i = 0; i < LISTS; i++) {
        double from = now_ns();
        waiting = 0;
        actor_system_list(system, count_one, &waiting);
        lists[i] = now_ns() - from;
        most = waiting > most ? waiting : most;
        answers[i] = wake(&bench, "bystander");
        struct timespec pause = {.tv_nsec = 50000000};
        nanosleep(&pause, NULL);
    }
    // Sorts the times, too.
    double usual = median(lists, LISTS), answered = median(answers, LISTS);
    printf(
        "listing %llu actors: %.1f ms; while all others flood one: %.1f ms (longest %.1f), "
        "up to %llu messages wait\n",
        (unsigned long long)actor_system_count(system), median(idle, LISTS) / 1e6, usual / 1e6,
        lists[LISTS - 1] / 1e6, (unsigned long long)most);
    printf("request to an actor beside it: %.1f ms (longest %.1f)\n", answered / 1e6,
           answers[LISTS - 1] / 1e6);
    for (uint64_t i = 0; i < flood.count; i++) {
        free(flood.ids[i]);
    }
    free(flood.ids);
    close_bench(&bench);
}

int main(int argc, char **argv) {
    bool all = argc < 2;
    fill_cache();
    for (int i = 1; i < argc || all; i++) {
        const char *section = all ? "" : argv[i];
        if (all || strcmp(section, "call") == 0) {
            bench_call();
        }
        if (all || strcmp(section, "turn") == 0) {
            bench_turn();
        }
        if (all || strcmp(section, "messages") == 0) {
            bench_messages(10, 1);
        }
        if (strcmp(section, "sustained") == 0) {
            bench_messages(60, 1);
        }
        if (all || strcmp(section, "requests") == 0) {
            bench_requests();
        }
        if (all || strcmp(section, "durable") == 0) {
            bench_durable();
        }
        if (all || strcmp(section, "spawn") == 0) {
            bench_spawn(20000);
        }
        if (all || strcmp(section, "restart") == 0) {
            bench_restart();
        }
        if (strcmp(section, "idle") == 0) {
            bench_spawn(100000);
        }
        if (all || strcmp(section, "hibernate") == 0) {
            bench_hibernation(100000);
        }
        uint32_t count = (uint32_t)strtoul(section, NULL, 10);
        if (count > 0) {
            bench_hibernation(count);
        }
        if (strcmp(section, "flood") == 0) {
            bench_flood(100000);
        }
        if (strcmp(section, "million") == 0) {
            bench_hibernation(1000000);
        }
        fflush(stdout);
        all = false;
    }
    return EXIT_SUCCESS;
}

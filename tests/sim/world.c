// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "chain/fault_disk.h"
#include "chain/state.h"
#include "host/host.h"
#include "recover.h"

#define PROBE SOURCE_FOLDER "/tests/guests/probe/probe.wasm"
#define HANDLERS                                                             \
    "\n[[handler]]\ntype = \"supervisor\"\n[[handler]]\ntype = \"timing\"\n" \
    "[[handler]]\ntype = \"random\"\n"
// Pauses and timeouts of any length cost nothing here, but a run should get through some of them.
#define LIMITS                                                              \
    "[limits]\nmemory_bytes = 2097152\nstate_bytes = 65536\nrequests = 4\n" \
    "request_timeout_ms = 40\nsend_timeout_ms = 20\nstop_timeout_ms = 30\nchildren = 6\n"

static void must(enum status status, const struct error *error) {
    if (status != OK) {
        fatal("%s", error->message);
    }
}

// ---- what is made once
// ----------------------------------------------------------------------------

static const struct {
    const char *file, *keys, *more_limits, *strategy;
} manifests[] = {
    {"plain.toml", "", "", "one-for-one"},
    {"all.toml", "restart = \"permanent\"\n", "", "one-for-all"},
    {"rest.toml", "restart = \"transient\"\n", "", "rest-for-one"},
    {"tight.toml", "", "mailbox_messages = 2\nchannels = 2\n", "one-for-one"},
    {"sleepy.toml", "stateless_instance = true\nhibernate_after_ms = 3\n", "", "one-for-one"},
    {"spare.toml", "stateless_instance = true\nrestart = \"permanent\"\n", "", "one-for-one"},
    {"firm.toml", "restart = \"permanent\"\nrestart_state = \"last\"\n", "", "one-for-one"},
    {"errs.toml", "restart = \"transient\"\non_error = \"crash\"\n", "", "one-for-one"},
    {"drops.toml", "restart = \"permanent\"\nmailbox_on_restart = \"drop\"\n", "", "one-for-one"},
};

static void write_manifest(const struct stage *stage, size_t i) {
    struct error error = {0};
    struct buf text = {0};
    buf_format(&text, "name = \"%s\"\ncomponent = \"probe.wasm\"\n%s", manifests[i].file,
               manifests[i].keys);
    buf_format(&text,
               "[supervision]\nbackoff_initial_ms = 2\nbackoff_max_ms = 20\nmax_restarts = 4\n"
               "window_ms = 100\nstrategy = \"%s\"\n%s" LIMITS "%s",
               manifests[i].strategy, HANDLERS, manifests[i].more_limits);
    char *path = file_join(stage->folder, manifests[i].file);
    must(file_write_atomic(path, buf_slice(&text), 0600, &error), &error);
    free(path);
    buf_release(&text);
}

void stage_open(struct stage *stage) {
    struct error error = {0};
    // Nothing of it has to be on a disk.
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(stage->folder, sizeof stage->folder, "%s/theater-sim-XXXXXX", base);
    if (mkdtemp(stage->folder) == NULL) {
        fatal("cannot make a folder in %s", base);
    }
    struct bytes *component = NULL;
    must(file_read(PROBE, 1 << 24, &component, &error), &error);
    char *path = file_join(stage->folder, "probe.wasm");
    must(file_write_atomic(path, bytes_slice(component), 0600, &error), &error);
    free(path);
    bytes_unref(component);
    for (size_t i = 0; i < COUNT_OF(manifests); i++) {
        write_manifest(stage, i);
    }
    char *code = file_join(stage->folder, "code");
    must(file_make_folders(code, 0700, &error), &error);
    struct wasm_compiler_config compiler = {.cache_folder = code};
    must(wasm_compiler_new(&compiler, &stage->compiler, &error), &error);
    free(code);
    wasm_thread_enter();
}

void stage_close(struct stage *stage) {
    wasm_thread_leave();
    wasm_compiler_free(stage->compiler);
    (void)file_remove_tree(stage->folder, NULL);
}

// ---- a world
// --------------------------------------------------------------------------------------

uint32_t chance(struct world *world, uint32_t bound) {
    // SplitMix64, as the scheduler's own draw.
    world->random += 0x9e3779b97f4a7c15U;
    uint64_t z = world->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    z ^= z >> 31;
    return (uint32_t)(((z >> 32) * bound) >> 32);
}

static void run_blocking(void *context, void (*run)(void *argument), void *argument) {
    (void)context;
    run(argument);
}

// Contents that chains refer to by their hash.
static enum status keep(void *context, struct slice content, const uint8_t hash[SHA256_BYTES],
                        struct error *error) {
    struct world *world = context;
    struct slice key = slice_of(hash, SHA256_BYTES);
    (void)error;
    if (map_get(&world->kept, key) == NULL) {
        (void)map_add(&world->kept, key, bytes_copy(content));
    }
    return OK;
}

static enum status fetch(void *context, const uint8_t hash[SHA256_BYTES], struct bytes **out,
                         struct error *error) {
    struct world *world = context;
    struct bytes *content = map_get(&world->kept, slice_of(hash, SHA256_BYTES));
    if (content == NULL) {
        return error_set(error, ERR_NOT_FOUND, "a content that was not kept");
    }
    *out = bytes_ref(content);
    return OK;
}

static void forget_kept(struct world *world) {
    uint32_t cursor = 0;
    for (struct map_entry *entry = map_next(&world->kept, &cursor); entry != NULL;
         entry = map_next(&world->kept, &cursor)) {
        bytes_unref(entry->value);
    }
    map_release(&world->kept);
    map_release(&world->bent);
}

static void open_world_log(struct world *world) {
    struct error error = {0};
    struct chain_log_config config = {.folder = world->log_folder,
                                      .segment_bytes = 1 << 17,
                                      .buffer_bytes = 1 << 14,
                                      .is_inline = true,
                                      .disk = &world->disk->table,
                                      .env = &world->env};
    must(chain_log_open(&config, &world->log, &error), &error);
}

// Opens the log and makes the rest, for the first time or after a loss of power.
static void boot(struct world *world) {
    struct error error = {0};
    struct chain_stats stats;
    open_world_log(world);
    chain_log_stats(world->log, &stats);
    world->boot_position = stats.bytes;
    struct sched_config sched = {.deterministic = true,
                                 .seed = world->random * 2654435761U,
                                 // Few enough that some waits find no stack, in some worlds.
                                 .stack_limit = chance(world, 4) == 0 ? 8 : 64,
                                 .env = &world->env};
    must(sched_new(&sched, &world->sched, &error), &error);
    struct actor_config config = {
        .env = &world->env,
        .sched = world->sched,
        .log = world->log,
        .compiler = world->stage->compiler,
        .resolve = host_resolve,
        .resolve_resource = host_resolve_resource,
        .instance_ended = host_instance_ended,
        .hibernated = host_hibernated,
        // Some nodes are always short of memory.
        .instance_memory_bytes = chance(world, 2) == 0 ? (uint64_t)chance(world, 16) << 18 : 0,
        .run_blocking = run_blocking,
        .keep = keep,
        .keep_value = keep,
        .fetch = fetch,
        .keep_context = world,
        .is_single_threaded = true,
        .steps_in_a_row = 1 + chance(world, 4),
        .quiet = true};
    must(actor_system_new(&config, &world->system, &error), &error);
}

void world_open(struct world *world, struct stage *stage, uint64_t seed, bool is_verbose) {
    *world = (struct world){.stage = stage, .random = seed, .is_verbose = is_verbose};
    env_init_seeded(&world->env, seed, 1700000000000000000U);
    (void)snprintf(world->log_folder, sizeof world->log_folder, "%s/log", stage->folder);
    struct error error = {0};
    (void)file_remove_tree(world->log_folder, NULL);
    must(file_make_folders(world->log_folder, 0700, &error), &error);
    world->disk = fault_disk_new(world->log_folder, seed);
    boot(world);
}

// What the log's threads would do meanwhile.
static void step_log(struct world *world) {
    if (chance(world, 8) == 0) {
        (void)writer_step(world->log);
    }
    if (chance(world, 16) == 0) {
        (void)sync_step(world->log);
    }
}

bool world_step(struct world *world) {
    world->steps++;
    step_log(world);
    return sched_step(world->sched);
}

void world_disk_fails(struct world *world) {
    struct fault_disk *disk = world->disk;
    uint32_t kind = chance(world, 5);
    disk->short_writes = chance(world, 500);
    disk->write_errors = kind == 0 ? chance(world, 1000) : 0;
    disk->sync_errors = kind == 1 ? chance(world, 1000) : 0;
    disk->drops_pages = kind == 1 && chance(world, 8) == 0;
    disk->room_errors = kind == 2 ? chance(world, 1000) : 0;
    disk->is_full = kind == 3;
}

bool world_log_is_dead(const struct world *world) {
    return world->log->failure.code != OK;
}

void world_disk_mends(struct world *world) {
    fault_disk_mend(world->disk);
    // A step that finds the log standing tries again.
    for (int i = 0; i < 8; i++) {
        (void)writer_step(world->log);
        (void)sync_step(world->log);
    }
}

void world_settle(struct world *world) {
    enum { STEPS_MOST = 2000000 };
    if (!world->disk->is_dead) {
        world_disk_mends(world);
    }
    for (uint32_t i = 0; atomic_load(&world->system->busy) != 0; i++) {
        if (!world_step(world)) {
            fatal("the node is busy, and nothing can happen any more");
        }
        if (i == STEPS_MOST) {
            fatal("the node does not come to rest");
        }
    }
}

static void forget_asks(struct world *world) {
    for (uint32_t i = 0; i < world->ask_count; i++) {
        struct ask *ask = world->asks[i];
        if (ask->request != NULL) {
            system_lock(world->system);
            ask->completion.is_armed = false;
            request_abandon(ask->request);
            system_unlock(world->system);
            request_unref(ask->request);
        }
        free(ask);
    }
    world->ask_count = 0;
}

void world_stop(struct world *world) {
    actor_system_request_stop(world->system);
    while (actor_system_count(world->system) > 0) {
        if (!world_step(world)) {
            fatal("a stop does not end: %llu actors are left",
                  (unsigned long long)actor_system_count(world->system));
        }
    }
    world_settle(world);
    uint64_t left = actor_system_instance_bytes(world->system);
    if (left != 0) {
        fatal("%llu bytes of instances are left behind", (unsigned long long)left);
    }
}

// Everything but the disk, whatever its state.
static void shut_down(struct world *world, bool may_fail) {
    struct error error = {0};
    forget_asks(world);
    actor_system_stop(world->system);
    while (world_step(world)) {
    }
    actor_system_free(world->system);
    sched_free(world->sched);
    enum status status = chain_log_close(world->log, &error);
    must(may_fail ? OK : status, &error);
    world->log = NULL;
}

bool world_crash(struct world *world) {
    enum { ALL = 1000 };
    uint32_t kept = chance(world, 3) * ALL / 2;  // of what was written and not synced
    fault_disk_mend(world->disk);
    // From here on nothing gets to the disk any more. The node is ended in order for the sake of
    // its memory alone.
    world->disk->is_dead = true;
    world_stop(world);
    shut_down(world, true);
    fault_disk_lose_power(world->disk, kept);
    fault_disk_mend(world->disk);
    boot(world);
    return kept == ALL;
}

void world_recover(struct world *world) {
    uint64_t came = recover_actors(world->log, world->system);
    if (world->is_verbose) {
        printf("%8llu  the node is back, %llu actors\n", (unsigned long long)world->steps,
               (unsigned long long)came);
    }
}

void world_close(struct world *world) {
    shut_down(world, world_log_is_dead(world));
    fault_disk_free(world->disk);
    forget_kept(world);
}

// ---- what clients do
// -----------------------------------------------------------------------------------

struct start_wait {
    struct completion completion;
    bool is_done;
};

static void started(struct completion *completion) {
    CONTAINER_OF(completion, struct start_wait, completion)->is_done = true;
}

bool world_start(struct world *world, const char *manifest, const char *id) {
    struct error error = {0};
    char *path = file_join(world->stage->folder, manifest);
    struct program_request request = {.manifest = slice_text(path)};
    struct program *program = NULL;
    must(program_load(world->system, &request, &program, &error), &error);
    free(path);
    struct actor *actor = NULL;
    enum status status = actor_create(world->system, NULL, program, id,
                                      program->manifest->initial_state, &actor, &error);
    program_unref(program);
    if (status != OK) {
        return false;
    }
    struct start_wait wait = {.completion = {.is_armed = true, .done = started}};
    system_lock(world->system);
    list_append(&actor->starters, &wait.completion.node);
    system_unlock(world->system);
    actor_control(actor, CONTROL_START);
    while (!wait.is_done) {
        if (!world_step(world)) {
            fatal("actor %s does not start", id);
        }
    }
    bytes_unref(wait.completion.value);
    actor_unref(actor);
    return wait.completion.status == OK;
}

enum status world_tell(struct world *world, const char *id, const char *message) {
    struct error error = {0};
    return actor_send_from_outside(world->system, id, slice_text(message), &error);
}

static void answered(struct completion *completion) {
    struct ask *ask = CONTAINER_OF(completion, struct ask, completion);
    struct slice text = bytes_slice(completion->value);
    ask->is_done = true;
    ask->status = completion->status;
    (void)snprintf(ask->reply, sizeof ask->reply, "%.*s", (int)text.size,
                   text.size > 0 ? (const char *)text.data : "");
    bytes_unref(completion->value);
}

// As actor_request_from_outside, without the wait.
struct ask *world_ask(struct world *world, const char *id, const char *message) {
    struct actor *target = actor_find(world->system, slice_text(id));
    struct slice body = slice_text(message);
    bool is_good = target != NULL && actor_status(target) != ACTOR_CRASHED &&
                   !atomic_load(&target->stop_requested) && world->ask_count < ASKS_MOST &&
                   mailbox_reserve(target, body.size);
    if (!is_good) {
        actor_unref(target);
        return NULL;
    }
    struct ask *ask = xcalloc(1, sizeof *ask);
    ask->completion = (struct completion){.is_armed = true, .done = answered};
    ask->request = request_new(world->system, &ask->completion, NULL);
    struct message *sent = message_new(MESSAGE_REQUEST, body);
    sent->is_counted = true;
    atomic_fetch_add_explicit(&ask->request->references, 1, memory_order_relaxed);
    sent->request = ask->request;
    mailbox_push(target, sent);
    actor_unref(target);
    world->asks[world->ask_count++] = ask;
    return ask;
}

// SPDX-License-Identifier: Apache-2.0
// A system of actors with the probe as guest, without a node: so that a test can make stacks
// scarce, the log slow, or the loader wait.
#ifndef TESTS_UNIT_ACTOR_SUPPORT_H
#define TESTS_UNIT_ACTOR_SUPPORT_H

#include <stdarg.h>
#include <time.h>

#include "actor/actor.h"
#include "base/file.h"
#include "host/host.h"
#include "store/store.h"
#include "test.h"

#define PROBE_COMPONENT SOURCE_FOLDER "/tests/guests/probe/probe.wasm"
#define HANDLERS                                                             \
    "\n[[handler]]\ntype = \"supervisor\"\n[[handler]]\ntype = \"timing\"\n" \
    "[[handler]]\ntype = \"random\"\n"

struct world {
    // To be chosen before world_open.
    uint32_t workers;                      // 0: 2
    uint32_t stack_limit;                  // 0: the usual
    uint64_t pending_most_bytes;           // of the log; 0: the usual
    uint64_t instance_memory_bytes;        // of all instances; 0: no bound
    actor_resolve_fn resolve;              // NULL: host_resolve
    bool is_loud;                          // runtime.log goes to stderr too
    const char *secrets_folder;            // NULL: plain values are not kept
    const struct manifest_scheme *scheme;  // NULL: none
    struct store *store;                   // keeps contents, and closed by who made it
    const char *log_folder;                // NULL: a new one
    actor_came_back_fn came_back;          // NULL: none
    // Instead of the store.
    enum status (*keep_value)(void *context, struct slice content, const uint8_t hash[SHA256_BYTES],
                              struct error *error);
    // Made by it.
    const char *folder;
    struct chain_log *log;
    struct wasm_compiler *compiler;
    struct sched *sched;
    struct actor_system *system;
    char text[4096];  // the last answer, or the error's text
};

static inline void write_manifest(struct world *world, const char *file, const char *keys,
                                  const char *limits) {
    struct error error = {0};
    struct buf text = {0};
    buf_format(&text, "name = \"%s\"\ncomponent = \"probe.wasm\"\n%s%s\n[limits]\n%s", file, keys,
               HANDLERS, limits);
    char *path = file_join(world->folder, file);
    REQUIRE_OK(file_write_atomic(path, buf_slice(&text), 0600, &error), error);
    free(path);
    buf_release(&text);
}

static inline enum status keep_in_store(void *context, struct slice content,
                                        const uint8_t hash[SHA256_BYTES], struct error *error) {
    return store_keep_value(context, content, hash, error);
}

static inline enum status keep_for_good(void *context, struct slice content,
                                        const uint8_t hash[SHA256_BYTES], struct error *error) {
    return store_keep(context, content, hash, error);
}

static inline enum status fetch_from_store(void *context, const uint8_t hash[SHA256_BYTES],
                                           struct bytes **out, struct error *error) {
    return store_read(context, hash, 1 << 24, out, error);
}

static inline enum status sync_store(void *context, struct error *error) {
    return store_sync(context, error);
}

static inline void world_open(struct world *world) {
    struct error error = {0};
    world->folder = test_folder();
    struct bytes *component = NULL;
    REQUIRE_OK(file_read(PROBE_COMPONENT, 1 << 24, &component, &error), error);
    char *path = file_join(world->folder, "probe.wasm");
    REQUIRE_OK(file_write_atomic(path, bytes_slice(component), 0600, &error), error);
    free(path);
    bytes_unref(component);
    world->log_folder = world->log_folder != NULL ? world->log_folder : test_folder();
    struct chain_log_config log_config = {.folder = world->log_folder,
                                          .pending_most_bytes = world->pending_most_bytes,
                                          .env = env_system()};
    if (world->store != NULL) {
        log_config.before_sync = sync_store;
        log_config.before_sync_context = world->store;
        world->keep_value = keep_in_store;
    }
    REQUIRE_OK(chain_log_open(&log_config, &world->log, &error), error);
    static const char *cache = NULL;  // the probe is compiled once for all tests of a program
    cache = cache != NULL ? cache : test_folder();
    struct wasm_compiler_config compiler_config = {.cache_folder = cache};
    REQUIRE_OK(wasm_compiler_new(&compiler_config, &world->compiler, &error), error);
    wasm_watchdog_start();
    struct sched_config sched_config = {.workers = world->workers != 0 ? world->workers : 2,
                                        .stack_limit = world->stack_limit,
                                        .thread_enter = wasm_thread_enter,
                                        .thread_leave = wasm_thread_leave};
    REQUIRE_OK(sched_new(&sched_config, &world->sched, &error), error);
    struct actor_config config = {.env = env_system(),
                                  .sched = world->sched,
                                  .log = world->log,
                                  .secrets_folder = world->secrets_folder,
                                  .schemes = world->scheme,
                                  .scheme_count = world->scheme != NULL ? 1 : 0,
                                  .compiler = world->compiler,
                                  .instance_memory_bytes = world->instance_memory_bytes,
                                  .resolve = world->resolve != NULL ? world->resolve : host_resolve,
                                  .came_back = world->came_back,
                                  .keep = world->store != NULL ? keep_for_good : NULL,
                                  .fetch = world->store != NULL ? fetch_from_store : NULL,
                                  .keep_value = world->keep_value,
                                  .keep_context = world->store,
                                  .quiet = !world->is_loud};
    REQUIRE_OK(actor_system_new(&config, &world->system, &error), error);
}

// A log that was made to fail says so when it is closed.
static inline enum status world_close(struct world *world) {
    struct error error = {0};
    actor_system_stop(world->system);
    sched_free(world->sched);
    actor_system_free(world->system);
    wasm_compiler_free(world->compiler);
    wasm_watchdog_stop();
    return chain_log_close(world->log, &error);
}

static inline void start(struct world *world, const char *file, const char *id) {
    struct error error = {0};
    char written[ACTOR_ID_BYTES];
    char *path = file_join(world->folder, file);
    struct actor_start start = {.manifest = path, .id = id};
    enum status status = actor_start_root(world->system, &start, written, &error);
    free(path);
    REQUIRE_OK(status, error);
}

static inline enum status ask_for(struct world *world, const char *id, uint64_t timeout_ms,
                                  const char *question) {
    struct error error = {0};
    struct bytes *reply = NULL;
    enum status status = actor_request_from_outside(world->system, id, slice_text(question),
                                                    timeout_ms * 1000000U, &reply, &error);
    struct slice text = status == OK ? bytes_slice(reply) : slice_text(error.message);
    (void)snprintf(world->text, sizeof world->text, "%.*s", (int)text.size,
                   text.size > 0 ? (const char *)text.data : "");
    bytes_unref(reply);
    return status;
}

static inline enum status ask(struct world *world, const char *id, const char *format, ...)
    PRINTF_LIKE(3, 4);
static inline enum status ask(struct world *world, const char *id, const char *format, ...) {
    char question[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(question, sizeof question, format, args);
    va_end(args);
    return ask_for(world, id, 60000, question);
}

static inline void tell(struct world *world, const char *id, const char *format, ...)
    PRINTF_LIKE(3, 4);
static inline void tell(struct world *world, const char *id, const char *format, ...) {
    char message[1024];
    struct error error = {0};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    REQUIRE_OK(actor_send_from_outside(world->system, id, slice_text(message), &error), error);
}

static inline void settle(struct world *world) {
    EXPECT(actor_system_wait_idle(world->system, 60000000000U));
}

// How many events of the actor are of the type (NULL: any) and hold the text (NULL: any).
static inline uint64_t count_events(struct world *world, const char *id, const char *type,
                                    const char *text) {
    struct error error = {0};
    struct chain_reader *reader = NULL;
    REQUIRE_OK(chain_reader_open(world->log, id, 0, &reader, &error), error);
    uint64_t count = 0;
    for (;;) {
        struct chain_event event;
        bool more = false;
        REQUIRE_OK(chain_reader_next(reader, &event, &more, &error), error);
        if (!more) {
            break;
        }
        bool is_type = type == NULL || slice_equal_text(event.type, type);
        bool holds =
            text == NULL || memmem(event.data.data, event.data.size, text, strlen(text)) != NULL;
        count += is_type && holds;
    }
    chain_reader_close(reader);
    return count;
}

// Waits until the actor has so many such events.
static inline void wait_for_events(struct world *world, const char *id, const char *type,
                                   const char *text, uint64_t count) {
    while (count_events(world, id, type, text) < count) {
        struct timespec pause = {.tv_nsec = 500000};
        nanosleep(&pause, NULL);
    }
}

// Keeps the actor in a turn until unpark: "owes" owes it an answer.
static inline void park(struct world *world, const char *id) {
    write_manifest(world, "owes.toml", "", "");
    start(world, "owes.toml", "owes");
    tell(world, id, "request owes late");
    wait_for_events(world, "owes", "handle-request", "late", 1);
}

static inline void unpark(struct world *world) {
    tell(world, "owes", "answer x");
}

#endif

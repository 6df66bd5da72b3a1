// SPDX-License-Identifier: Apache-2.0
// A file operation that takes long holds up neither the stop of its actor nor that of the node.
#include <sys/stat.h>

#include "actor/actor.h"
#include "base/file.h"
#include "host/host.h"
#include "test.h"

#define GUEST SOURCE_FOLDER "/tests/guests/wasi/wasi.wasm"

// The one operation that is held, when that is wanted.
struct holder {
    bool is_on;
    void (*run)(void *argument);
    void *argument;
};

static void run_or_hold(void *context, void (*run)(void *argument), void *argument) {
    struct holder *holder = context;
    if (holder->is_on) {
        REQUIRE(holder->run == NULL);
        holder->run = run;
        holder->argument = argument;
    } else {
        run(argument);
    }
}

static void start_guest(struct actor_system *system, const char *folder, char id[ACTOR_ID_BYTES]) {
    struct buf manifest = {0};
    buf_format(&manifest,
               "name = \"wasi\"\ncomponent = \"%s\"\n[[handler]]\ntype = \"filesystem\"\n"
               "path = \"%s\"\nallowed_commands = []\n",
               GUEST, folder);
    struct error error = {0};
    struct actor_start start = {.manifest = buf_text(&manifest)};
    REQUIRE_OK(actor_start_root(system, &start, id, &error), error);
    buf_release(&manifest);
}

TEST(a_stop_does_not_wait_for_a_file) {
    struct error error = {0};
    const char *folder = test_folder();
    struct wasm_compiler_config compiler_config = {.cache_folder = folder};
    struct wasm_compiler *compiler = NULL;
    REQUIRE_OK(wasm_compiler_new(&compiler_config, &compiler, &error), error);
    wasm_watchdog_start();
    struct sched_config sched_config = {
        .workers = 1, .thread_enter = wasm_thread_enter, .thread_leave = wasm_thread_leave};
    struct sched *sched = NULL;
    REQUIRE_OK(sched_new(&sched_config, &sched, &error), error);
    struct holder holder = {.is_on = false};
    struct actor_config config = {.env = env_system(),
                                  .sched = sched,
                                  .compiler = compiler,
                                  .resolve = host_resolve,
                                  .resolve_resource = host_resolve_resource,
                                  .instance_ended = host_instance_ended,
                                  .run_blocking = run_or_hold,
                                  .blocking_context = &holder,
                                  .quiet = true};
    struct actor_system *system = NULL;
    REQUIRE_OK(actor_system_new(&config, &system, &error), error);
    char id[ACTOR_ID_BYTES];
    start_guest(system, folder, id);
    struct bytes *reply = NULL;
    REQUIRE_OK(
        actor_request_from_outside(system, id, slice_text("list /"), UINT64_MAX, &reply, &error),
        error);
    bytes_unref(reply);
    holder.is_on = true;
    EXPECT_U64(
        actor_request_from_outside(system, id, slice_text("list /"), 100000000U, &reply, &error),
        ERR_TIMEOUT);
    // Returns although the operation has not.
    actor_system_stop(system);
    EXPECT_U64(actor_system_count(system), 0);
    REQUIRE(holder.run != NULL);
    holder.run(holder.argument);
    sched_free(sched);
    actor_system_free(system);
    wasm_compiler_free(compiler);
    wasm_watchdog_stop();
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// What happens when the scheduler has few stacks: waits fail, nothing else does.
#include "actor/actor.h"
#include "base/file.h"
#include "host/host.h"
#include "test.h"

#define PROBE SOURCE_FOLDER "/tests/guests/probe/manifest.toml"

enum { STACKS = 16, ACTORS = 30 };

TEST(more_waits_than_stacks_are_errors_for_those_who_wait) {
    struct error error = {0};
    char *folder = file_join(test_folder(), "code");
    REQUIRE_OK(file_make_folders(folder, 0700, &error), error);
    struct wasm_compiler_config compiler_config = {.cache_folder = folder};
    struct wasm_compiler *compiler = NULL;
    REQUIRE_OK(wasm_compiler_new(&compiler_config, &compiler, &error), error);
    free(folder);
    wasm_watchdog_start();
    struct sched_config sched_config = {.workers = 2,
                                        .stack_limit = STACKS,
                                        .thread_enter = wasm_thread_enter,
                                        .thread_leave = wasm_thread_leave};
    struct sched *sched = NULL;
    REQUIRE_OK(sched_new(&sched_config, &sched, &error), error);
    struct actor_config config = {.env = env_system(),
                                  .sched = sched,
                                  .compiler = compiler,
                                  .resolve = host_resolve,
                                  .quiet = true};
    struct actor_system *system = NULL;
    REQUIRE_OK(actor_system_new(&config, &system, &error), error);
    char ids[ACTORS][ACTOR_ID_BYTES];
    for (int i = 0; i < ACTORS; i++) {
        struct actor_start start = {.manifest = PROBE};
        REQUIRE_OK(actor_start_root(system, &start, ids[i], &error), error);
    }
    for (int i = 0; i < ACTORS; i++) {
        struct slice sleep = slice_text("sleep 600000");
        REQUIRE_OK(actor_send_from_outside(system, ids[i], sleep, &error), error);
    }
    // Those that found no room have answered their message and are free for the next.
    int answered = 0;
    for (int i = 0; i < ACTORS; i++) {
        struct bytes *reply = NULL;
        struct error reason = {0};
        enum status status = actor_request_from_outside(system, ids[i], slice_text("echo x"),
                                                        300000000U, &reply, &reason);
        answered += status == OK;
        EXPECT(status == OK || status == ERR_TIMEOUT);
        bytes_unref(reply);
    }
    EXPECT_U64(answered, ACTORS - (STACKS - STACKS / 4));
    actor_system_stop(system);
    sched_free(sched);
    actor_system_free(system);
    wasm_compiler_free(compiler);
    wasm_watchdog_stop();
}

int main(void) {
    return test_main();
}

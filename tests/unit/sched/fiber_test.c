// SPDX-License-Identifier: Apache-2.0
// Fibers and their stacks: parking, migrating, guard pages, limits, stacks given back.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

// A scheduler whose threads are not needed: the test thread is allowed to use fibers too.
static struct sched *make_pool(uint32_t stack_limit, struct env *env) {
    env_init_seeded(env, 1, 1);
    struct sched_config config = {.deterministic = true, .env = env, .stack_limit = stack_limit};
    struct sched *sched = NULL;
    struct error error = {0};
    if (sched_new(&config, &sched, &error) != OK) {
        fatal("%s", error.message);
    }
    return sched;
}

struct script {
    struct sched_fiber *fiber;
    int steps;
    int parks;
};

static void run_script(void *argument) {
    struct script *script = argument;
    for (int i = 0; i < script->parks; i++) {
        script->steps++;
        sched_fiber_park(script->fiber);
    }
    script->steps++;
}

TEST(a_fiber_parks_and_continues) {
    struct env env;
    struct sched *sched = make_pool(0, &env);
    struct error error = {0};
    struct script script = {.parks = 3};
    REQUIRE_OK(sched_fiber_new(sched, 0, run_script, &script, &script.fiber, &error), error);
    for (int i = 1; i <= 3; i++) {
        EXPECT(!sched_fiber_resume(script.fiber));
        EXPECT_U64(script.steps, i);
    }
    EXPECT(sched_fiber_resume(script.fiber));
    EXPECT_U64(script.steps, 4);
    script.parks = 0;
    sched_fiber_renew(script.fiber, run_script, &script);
    EXPECT(sched_fiber_resume(script.fiber));
    EXPECT_U64(script.steps, 5);
    sched_fiber_free(script.fiber);
    sched_free(sched);
}

TEST(a_stack_has_the_asked_size_and_a_guard_below) {
    struct env env;
    struct sched *sched = make_pool(0, &env);
    struct error error = {0};
    static const uint64_t sizes[] = {0, 1, 256 * 1024, 256 * 1024 + 1, 8 * 1024 * 1024};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct script script = {0};
        REQUIRE_OK(sched_fiber_new(sched, sizes[i], run_script, &script, &script.fiber, &error),
                   error);
        struct sched_stack stack = sched_fiber_stack(script.fiber);
        uint64_t usable = (uint64_t)(stack.high - stack.low);
        EXPECT(usable >= sizes[i] && usable >= 256 * 1024);
        EXPECT_U64(stack.low - stack.guard_low, 64 * 1024);
        EXPECT_U64((uintptr_t)stack.low % 4096, 0);
        // The lowest byte is usable.
        stack.low[0] = 1;
        EXPECT(sched_fiber_resume(script.fiber));
        sched_fiber_free(script.fiber);
    }
    sched_free(sched);
}

static uint64_t protection_of(const uint8_t *address, char out[5]) {
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    uint64_t length = 0;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long long low = 0;
        unsigned long long high = 0;
        char mode[5] = "";
        if (sscanf(line, "%llx-%llx %4s", &low, &high, mode) == 3 && (uintptr_t)address >= low &&
            (uintptr_t)address < high) {
            memcpy(out, mode, 5);
            length = high - low;
        }
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return length;
}

TEST(the_guard_cannot_be_touched) {
    struct env env;
    struct sched *sched = make_pool(0, &env);
    struct error error = {0};
    struct script script = {0};
    REQUIRE_OK(sched_fiber_new(sched, 0, run_script, &script, &script.fiber, &error), error);
    struct sched_stack stack = sched_fiber_stack(script.fiber);
    char mode[5] = "";
    EXPECT_U64(protection_of(stack.guard_low, mode), 64 * 1024);
    EXPECT_TEXT(mode, "---p");
    EXPECT(protection_of(stack.low, mode) >= 256 * 1024);
    EXPECT_TEXT(mode, "rw-p");
    EXPECT(sched_fiber_resume(script.fiber));
    sched_fiber_free(script.fiber);
    sched_free(sched);
}

TEST(too_many_stacks_are_refused_with_the_reason) {
    struct env env;
    struct sched *sched = make_pool(3, &env);
    struct error error = {0};
    struct script scripts[4] = {0};
    for (int i = 0; i < 3; i++) {
        REQUIRE_OK(sched_fiber_new(sched, 0, run_script, &scripts[i], &scripts[i].fiber, &error),
                   error);
    }
    EXPECT(sched_fiber_new(sched, 0, run_script, &scripts[3], &scripts[3].fiber, &error) ==
           ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "all 3 fiber stacks are in use");
    // A free stack of another size makes room.
    EXPECT(sched_fiber_resume(scripts[0].fiber));
    sched_fiber_free(scripts[0].fiber);
    error_clear(&error);
    EXPECT_OK(sched_fiber_new(sched, 1 << 20, run_script, &scripts[3], &scripts[3].fiber, &error),
              error);
    for (int i = 1; i < 4; i++) {
        EXPECT(sched_fiber_resume(scripts[i].fiber));
        sched_fiber_free(scripts[i].fiber);
    }
    EXPECT(sched_fiber_new(sched, UINT64_MAX, run_script, NULL, &scripts[0].fiber, &error) ==
           ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "18446744073709551615 bytes");
    sched_free(sched);
}

TEST(the_bound_from_the_kernel_is_named) {
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    unsigned long long most = 0;
    REQUIRE(file != NULL && fscanf(file, "%llu", &most) == 1);
    fclose(file);
    if (HAVE_TSAN || most > 70000) {
        SKIP("the limit is beyond what the test can use up (vm.max_map_count %llu)", most);
    }
    struct env env;
    struct sched *sched = make_pool(0, &env);
    struct error error = {0};
    struct sched_fiber **fibers = xcalloc((size_t)most, sizeof(struct sched_fiber *));
    struct script script = {0};
    size_t count = 0;
    while (count < most &&
           sched_fiber_new(sched, 0, run_script, &script, &fibers[count], &error) == OK) {
        count++;
    }
    EXPECT_U64(count, most / 4);
    EXPECT(error.code == ERR_LIMIT);
    EXPECT_CONTAINS(error.message, "vm.max_map_count");
    for (size_t i = 0; i < count; i++) {
        sched_fiber_free(fibers[i]);
    }
    free(fibers);
    sched_free(sched);
}

static void NO_INLINE use_stack(size_t bytes) {
    volatile uint8_t block[1024];
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = (uint8_t)bytes;
    }
    if (bytes > sizeof block) {
        use_stack(bytes - sizeof block);
    }
    block[0] = block[1];  // no tail call
}

static void park_deep(void *argument) {
    struct script *script = argument;
    char text[200];
    memset(text, 'x', sizeof text);
    use_stack(100 * 1024);
    sched_fiber_park(script->fiber);
    script->steps += text[7];
}

TEST(a_parked_fiber_can_be_freed_and_its_stack_used_again) {
    struct env env;
    struct sched *sched = make_pool(2, &env);
    struct error error = {0};
    for (int i = 0; i < 50; i++) {
        struct script script = {0};
        REQUIRE_OK(sched_fiber_new(sched, 0, park_deep, &script, &script.fiber, &error), error);
        EXPECT(!sched_fiber_resume(script.fiber));
        sched_fiber_free(script.fiber);
        // The next user of the stack has other frames: red zones of the old ones must be gone.
        struct script next = {.parks = 2};
        REQUIRE_OK(sched_fiber_new(sched, 0, run_script, &next, &next.fiber, &error), error);
        EXPECT(!sched_fiber_resume(next.fiber));
        memset(sched_fiber_stack(next.fiber).low, 0, 200 * 1024);
        sched_fiber_free(next.fiber);
    }
    sched_free(sched);
}

TEST(a_fiber_that_never_ran_can_be_freed) {
    struct env env;
    struct sched *sched = make_pool(2, &env);
    struct error error = {0};
    for (int i = 0; i < 5; i++) {
        struct sched_fiber *fiber = NULL;
        REQUIRE_OK(sched_fiber_new(sched, 0, run_script, NULL, &fiber, &error), error);
        sched_fiber_free(fiber);
    }
    sched_free(sched);
}

static uint64_t resident_pages(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long total = 0;
    unsigned long long resident = 0;
    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &total, &resident) != 2) {
            resident = 0;
        }
        fclose(file);
    }
    return resident;
}

TEST(free_stacks_give_their_memory_back) {
    if (HAVE_TSAN || HAVE_ASAN) {
        SKIP("a sanitizer's own memory hides the figure");
    }
    enum { FIBERS = 400 };
    struct env env;
    struct sched *sched = make_pool(0, &env);
    struct error error = {0};
    static struct script scripts[FIBERS];
    for (int i = 0; i < FIBERS; i++) {
        REQUIRE_OK(sched_fiber_new(sched, 0, park_deep, &scripts[i], &scripts[i].fiber, &error),
                   error);
        EXPECT(!sched_fiber_resume(scripts[i].fiber));
    }
    uint64_t used = resident_pages();
    for (int i = 0; i < FIBERS; i++) {
        sched_fiber_free(scripts[i].fiber);
    }
    uint64_t left = resident_pages();
    // Each used 25 pages or more; 64 stacks keep theirs, the others four.
    EXPECT(used - left > (uint64_t)(FIBERS - 64) * 15);
    sched_free(sched);
}

// ---- on workers ---------------------------------------------------------------------------------

struct walker {
    struct sched_task task;
    struct sched_fiber *fiber;
    struct sched *sched;
    _Atomic uint64_t steps;
    _Atomic uint64_t moves;  // times it woke up on another thread
    _Atomic uint64_t done;
    uint64_t sum;
};

enum { WALKERS = 40, WALK = 200 };
static struct walker walkers[WALKERS];

// Not pthread_self: the C library declares it constant, so a compiler keeps its value across the
// switch, inlined or not.
static NO_INLINE pid_t this_thread(void) {
    return gettid();
}

static void walk(void *argument) {
    struct walker *self = argument;
    uint64_t local = 0;
    for (int i = 0; i < WALK; i++) {
        pid_t before = this_thread();
        uint64_t start = env_monotonic_ns(env_system());
        while (env_monotonic_ns(env_system()) - start < 5000) {  // long enough to be stolen from
            local += i < 0;
        }
        local++;
        sched_fiber_park(self->fiber);
        if (before != this_thread()) {
            atomic_fetch_add(&self->moves, 1);
        }
    }
    self->sum = local;
}

static enum sched_next run_walker(struct sched_task *task) {
    struct walker *self = CONTAINER_OF(task, struct walker, task);
    if (self->fiber == NULL) {
        struct error error = {0};
        if (sched_fiber_new(self->sched, 0, walk, self, &self->fiber, &error) != OK) {
            fatal("%s", error.message);
        }
    }
    atomic_fetch_add(&self->steps, 1);
    if (!sched_fiber_resume(self->fiber)) {
        return SCHED_AGAIN;
    }
    sched_fiber_free(self->fiber);
    atomic_store(&self->done, 1);
    return SCHED_IDLE;
}

static void *resume_once(void *argument) {
    (void)sched_fiber_resume(((struct walker *)argument)->fiber);
    return NULL;
}

TEST(a_fiber_continues_on_any_thread) {
    struct env env;
    struct sched *sched = make_pool(0, &env);
    struct error error = {0};
    struct walker walker = {0};
    REQUIRE_OK(sched_fiber_new(sched, 0, walk, &walker, &walker.fiber, &error), error);
    for (int i = 0; i < WALK; i += 2) {
        (void)sched_fiber_resume(walker.fiber);  // leaves it parked here …
        pthread_t other;                         // … to go on there
        REQUIRE(pthread_create(&other, NULL, resume_once, &walker) == 0);
        pthread_join(other, NULL);
    }
    EXPECT_U64(atomic_load(&walker.moves), WALK - 1);
    EXPECT(sched_fiber_resume(walker.fiber));
    EXPECT_U64(walker.sum, WALK);
    sched_fiber_free(walker.fiber);
    sched_free(sched);
}

TEST(fibers_migrate_between_workers) {
    struct sched *sched = make_sched(4, 0, 0);
    for (int round = 0; round < 5; round++) {
        uint64_t moves = 0;
        for (int i = 0; i < WALKERS; i++) {
            walkers[i] = (struct walker){.sched = sched};
            sched_task_init(&walkers[i].task, sched, run_walker);
            sched_wake(&walkers[i].task);
        }
        for (int i = 0; i < WALKERS; i++) {
            REQUIRE(reaches(&walkers[i].done, 1));
            while (!sched_task_idle(&walkers[i].task)) {
                sched_yield();
            }
            EXPECT_U64(walkers[i].sum, WALK);
            EXPECT_U64(atomic_load(&walkers[i].steps), WALK + 1);
            moves += atomic_load(&walkers[i].moves);
        }
        if (round == 0) {
            printf("# %llu moves\n", (unsigned long long)moves);
        }
    }
    sched_free(sched);
}

int main(void) {
    return test_main();
}

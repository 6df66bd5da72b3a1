// SPDX-License-Identifier: Apache-2.0
// The threads for work that may block.
#include "io/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"

enum { WORK = 2000 };

static _Atomic uint32_t done;

static void count(void *argument) {
    (void)argument;
    atomic_fetch_add(&done, 1);
}

TEST(all_work_is_done_before_the_end) {
    struct io_pool *pool = NULL;
    struct error error = {0};
    REQUIRE_OK(io_pool_new(3, &pool, &error), error);
    atomic_store(&done, 0);
    for (int i = 0; i < WORK; i++) {
        io_pool_submit(pool, count, NULL);
    }
    io_pool_free(pool);
    EXPECT_U64(atomic_load(&done), WORK);
}

TEST(a_pool_without_work_ends) {
    struct io_pool *pool = NULL;
    struct error error = {0};
    REQUIRE_OK(io_pool_new(0, &pool, &error), error);
    io_pool_free(pool);
}

// As many as there are threads meet here; one too few, and nobody comes past.
static pthread_barrier_t meeting;

static void meet(void *argument) {
    pthread_barrier_wait(&meeting);
    count(argument);
}

TEST(blocked_work_does_not_hold_up_the_other_threads) {
    struct io_pool *pool = NULL;
    struct error error = {0};
    REQUIRE_OK(io_pool_new(4, &pool, &error), error);
    REQUIRE(pthread_barrier_init(&meeting, NULL, 4) == 0);
    atomic_store(&done, 0);
    for (int i = 0; i < 8; i++) {
        io_pool_submit(pool, meet, NULL);
    }
    io_pool_free(pool);
    EXPECT_U64(atomic_load(&done), 8);
    pthread_barrier_destroy(&meeting);
}

struct order {
    uint32_t next;
    bool is_broken;
};
static struct order order;

static void check_order(void *argument) {
    uint32_t number = (uint32_t)(uintptr_t)argument;
    order.is_broken = order.is_broken || number != order.next;
    order.next = number + 1;
}

TEST(one_thread_keeps_the_order) {
    struct io_pool *pool = NULL;
    struct error error = {0};
    REQUIRE_OK(io_pool_new(1, &pool, &error), error);
    for (uintptr_t i = 0; i < WORK; i++) {
        io_pool_submit(pool, check_order, (void *)i);
    }
    io_pool_free(pool);
    EXPECT(!order.is_broken);
    EXPECT_U64(order.next, WORK);
}

static void write_too_much(void *argument) {
    int handle = *(const int *)argument;
    bool is_refused = pwrite(handle, "x", 1, 1 << 20) == -1 && errno == EFBIG;
    atomic_store(&done, is_refused ? 1 : 0);
}

TEST(a_file_over_the_limit_of_the_process_is_an_error_and_no_more) {
    char *path = file_join(test_folder(), "large");
    int handle = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    REQUIRE(handle >= 0);
    struct rlimit before;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    struct rlimit low = {.rlim_cur = 1 << 16, .rlim_max = before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &low) == 0);
    struct io_pool *pool = NULL;
    struct error error = {0};
    REQUIRE_OK(io_pool_new(1, &pool, &error), error);
    atomic_store(&done, 0);
    io_pool_submit(pool, write_too_much, &handle);
    io_pool_free(pool);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    EXPECT_U64(atomic_load(&done), 1);
    close(handle);
    free(path);
}

int main(void) {
    return test_main();
}

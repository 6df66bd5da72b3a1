// SPDX-License-Identifier: Apache-2.0
// The event loop: what is posted runs, in order, on its thread.
#include "io/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/compat.h"
#include "test.h"

enum { THREADS = 4, POSTS = 5000 };

struct counted {
    struct io_post post;
    struct sender *sender;
    uint32_t number;
};
struct sender {
    struct io_loop *loop;
    struct counted posts[POSTS];
    uint32_t next;  // the loop's
    bool is_wrong;  // the loop's
};
static struct sender senders[THREADS];

static void run(struct io_post *post) {
    struct counted *counted = CONTAINER_OF(post, struct counted, post);
    struct sender *sender = counted->sender;
    sender->is_wrong |= counted->number != sender->next++ || !io_loop_is_here(sender->loop);
}

static void *post_all(void *argument) {
    struct sender *sender = argument;
    for (uint32_t i = 0; i < POSTS; i++) {
        sender->posts[i] = (struct counted){.post.run = run, .sender = sender, .number = i};
        io_loop_post(sender->loop, &sender->posts[i].post);
    }
    return NULL;
}

TEST(what_threads_post_runs_in_their_order) {
    struct io_loop *loop = NULL;
    struct error error = {0};
    REQUIRE_OK(io_loop_new(&loop, &error), error);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        senders[i].loop = loop;
        REQUIRE(pthread_create(&threads[i], NULL, post_all, &senders[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    io_loop_free(loop);
    for (int i = 0; i < THREADS; i++) {
        EXPECT_U64(senders[i].next, POSTS);
        EXPECT(!senders[i].is_wrong);
    }
}

struct late {
    struct io_post post;
    struct io_loop *loop;
    uv_timer_t timer;
    bool has_fired;
};

static void fired(uv_timer_t *timer) {
    struct late *late = timer->data;
    late->has_fired = true;
    uv_close((uv_handle_t *)timer, NULL);
}

static void start_timer(struct io_post *post) {
    struct late *late = CONTAINER_OF(post, struct late, post);
    late->timer.data = late;
    uv_timer_init(io_loop_uv(late->loop), &late->timer);
    uv_timer_start(&late->timer, fired, 5, 0);
}

TEST(the_end_waits_for_open_handles) {
    static struct late late;
    struct error error = {0};
    REQUIRE_OK(io_loop_new(&late.loop, &error), error);
    late.post.run = start_timer;
    io_loop_post(late.loop, &late.post);
    io_loop_free(late.loop);
    EXPECT(late.has_fired);
}

int main(void) {
    return test_main();
}

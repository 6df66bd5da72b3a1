// SPDX-License-Identifier: Apache-2.0
// Loading programs: one that takes long holds up nobody who wants another one.
#include <pthread.h>

#include "support.h"

// Linking a component for a manifest of this name waits until it is let go.
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_held;
    uint32_t waiting;  // threads in it
    uint32_t links;    // of the slow program
} slow = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static enum status resolve_slowly(const struct manifest *manifest,
                                  const struct component_import *import,
                                  struct component_host_func *out, struct error *error) {
    bool is_one = slice_equal_text(import->name, "log");
    if (is_one && strcmp(manifest->name, "slow.toml") == 0) {
        pthread_mutex_lock(&slow.lock);
        slow.links++;
        slow.waiting++;
        pthread_cond_broadcast(&slow.changed);
        while (slow.is_held) {
            pthread_cond_wait(&slow.changed, &slow.lock);
        }
        slow.waiting--;
        pthread_mutex_unlock(&slow.lock);
    }
    return host_resolve(manifest, import, out, error);
}

static void wait_until_one_waits(void) {
    pthread_mutex_lock(&slow.lock);
    while (slow.waiting == 0) {
        pthread_cond_wait(&slow.changed, &slow.lock);
    }
    pthread_mutex_unlock(&slow.lock);
}

static void let_go(void) {
    pthread_mutex_lock(&slow.lock);
    slow.is_held = false;
    pthread_cond_broadcast(&slow.changed);
    pthread_mutex_unlock(&slow.lock);
}

TEST(a_slow_load_delays_no_other_spawn_and_happens_once) {
    enum { PARENTS = 6 };
    slow.is_held = true;
    struct world world = {.resolve = resolve_slowly};
    world_open(&world);
    write_manifest(&world, "p.toml", "", "");
    write_manifest(&world, "slow.toml", "", "");
    write_manifest(&world, "quick.toml", "", "");
    start(&world, "p.toml", "quick");
    char ids[PARENTS][16];
    for (int i = 0; i < PARENTS; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "p%d", i);
        start(&world, "p.toml", ids[i]);
        tell(&world, ids[i], "spawn slow.toml");
    }
    wait_until_one_waits();
    for (int i = 0; i < 5; i++) {
        EXPECT_U64(ask(&world, "quick", "spawn-with {\"a\":%d} quick.toml", i), OK);
    }
    let_go();
    settle(&world);
    for (int i = 0; i < PARENTS; i++) {
        EXPECT_U64(ask(&world, ids[i], "children"), OK);
        EXPECT_U64(strlen(world.text), 36);
    }
    EXPECT_U64(slow.links, 1);
    EXPECT_U64(world_close(&world), OK);
}

TEST(a_child_nobody_waits_for_any_more_does_not_come_to_life) {
    slow.is_held = true;
    struct world world = {.resolve = resolve_slowly};
    world_open(&world);
    write_manifest(&world, "p.toml", "restart = \"permanent\"\n[supervision]\nmax_restarts = 0\n",
                   "");
    write_manifest(&world, "c.toml", "id = \"c\"\nrestart = \"permanent\"\n", "");
    write_manifest(&world, "slow.toml", "", "");
    start(&world, "p.toml", "p");
    EXPECT_U64(ask(&world, "p", "spawn c.toml"), OK);
    tell(&world, "p", "spawn slow.toml");
    wait_until_one_waits();
    // The parent crashes with it, and starts again while its spawn is still under way.
    tell(&world, "c", "trap");
    EXPECT_U64(ask(&world, "p", "echo back"), OK);
    let_go();
    // Behind the first one: that has come to its end now.
    EXPECT_U64(ask(&world, "p", "spawn slow.toml"), OK);
    settle(&world);
    EXPECT_U64(ask(&world, "p", "children"), OK);
    EXPECT_U64(strlen(world.text), 36);
    EXPECT_U64(world_close(&world), OK);
}

// What comes from afar comes when it is let go: "far://last" only after all others.
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t waiting, let_go;
} far = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static enum status read_far(void *context, const struct manifest_asker *asker,
                            const char *reference, uint64_t limit_bytes, struct bytes **out,
                            struct error *error) {
    (void)context, (void)asker, (void)limit_bytes, (void)out;
    pthread_mutex_lock(&far.lock);
    far.waiting++;
    pthread_cond_broadcast(&far.changed);
    while (far.let_go < (strcmp(reference, "far://last") == 0 ? 2 : 1)) {
        pthread_cond_wait(&far.changed, &far.lock);
    }
    far.waiting--;
    pthread_mutex_unlock(&far.lock);
    return error_set(error, ERR_IO, "far away");
}

static void wait_for_far(uint32_t waiting) {
    pthread_mutex_lock(&far.lock);
    while (far.waiting != waiting) {
        pthread_cond_wait(&far.changed, &far.lock);
    }
    pthread_mutex_unlock(&far.lock);
}

static void *let_far_go(void *argument) {
    (void)argument;
    struct timespec pause = {.tv_nsec = 100000000};
    for (int i = 0; i < 2; i++) {
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&far.lock);
        far.let_go++;
        pthread_cond_broadcast(&far.changed);
        pthread_mutex_unlock(&far.lock);
    }
    return NULL;
}

TEST(stopping_while_a_spare_has_more_to_do_is_clean) {
    enum { OTHERS = 4 };  // as many as there are threads, at most
    static const struct manifest_scheme scheme = {
        .prefix = "far://", .is_slow = true, .read = read_far};
    struct world world = {.scheme = &scheme};
    world_open(&world);
    write_manifest(&world, "p.toml", "", "");
    struct error error = {0};
    char *path = file_join(world.folder, "last.toml");
    struct slice last = slice_text("name = \"last\"\ncomponent = \"far://last\"\n");
    REQUIRE_OK(file_write_atomic(path, last, 0600, &error), error);
    free(path);
    for (uint32_t i = 0; i < OTHERS + 2; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "p%u", i);
        start(&world, "p.toml", id);
        if (i < OTHERS) {
            tell(&world, id, "spawn far://%u", i);
            wait_for_far(i + 1);
        } else {
            tell(&world, id, "spawn last.toml");
            wait_for_events(&world, id, "handle-send", NULL, 1);
            wait_for_far(OTHERS + 1);
        }
    }
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, let_far_go, NULL) == 0);
    EXPECT_U64(world_close(&world), OK);
    pthread_join(thread, NULL);
}

static void *let_go_later(void *argument) {
    (void)argument;
    struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL);
    let_go();
    return NULL;
}

TEST(stopping_while_loads_wait_for_each_other_is_clean) {
    slow.is_held = true;
    struct world world = {.resolve = resolve_slowly};
    world_open(&world);
    write_manifest(&world, "p.toml", "", "");
    write_manifest(&world, "slow.toml", "", "");
    char ids[6][16];
    for (int i = 0; i < 6; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "p%d", i);
        start(&world, "p.toml", ids[i]);
        tell(&world, ids[i], "spawn slow.toml");
    }
    wait_until_one_waits();
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, let_go_later, NULL) == 0);
    EXPECT_U64(world_close(&world), OK);
    pthread_join(thread, NULL);
}

int main(void) {
    return test_main();
}

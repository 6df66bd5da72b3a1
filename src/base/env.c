// SPDX-License-Identifier: Apache-2.0
#include "base/env.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/status.h"

struct env *env_system(void) {
    static struct env system_env;  // never written: `seeded` stays false
    return &system_env;
}

void env_init_seeded(struct env *env, uint64_t seed, uint64_t wall_ns) {
    *env =
        (struct env){.seeded = true, .random_state = seed, .wall_ns = wall_ns, .monotonic_ns = 1};
}

void env_advance(struct env *env, uint64_t nanoseconds) {
    assert(env->seeded);
    env->wall_ns += nanoseconds;
    env->monotonic_ns += nanoseconds;
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    int failed = clock_gettime(clock, &now);
    assert(failed == 0);
    (void)failed;
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

uint64_t env_wall_ns(struct env *env) {
    return env->seeded ? env->wall_ns : clock_ns(CLOCK_REALTIME);
}

uint64_t env_monotonic_ns(struct env *env) {
    return env->seeded ? env->monotonic_ns : clock_ns(CLOCK_MONOTONIC);
}

// SplitMix64: enough for a reproducible test run, never used for a real id.
static uint64_t next_seeded(struct env *env) {
    env->random_state += 0x9e3779b97f4a7c15U;
    uint64_t z = env->random_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static void kernel_random(uint8_t *out, size_t size) {
    while (size > 0) {
        ssize_t got = getrandom(out, size, 0);
        if (got < 0 && errno != EINTR) {
            fatal("the kernel gives no random bytes: errno %d", errno);
        }
        size_t part = got > 0 ? (size_t)got : 0;
        out += part;
        size -= part;
    }
}

// Ids are drawn often and are small, a system call each would cost more than the rest of a message:
// each thread keeps some bytes of the kernel's. What was given out is erased here.
static void pooled_random(uint8_t *out, size_t size) {
    static _Thread_local struct {
        uint8_t bytes[4096];
        size_t left;
    } pool;
    if (pool.left < size) {
        kernel_random(pool.bytes, sizeof pool.bytes);
        pool.left = sizeof pool.bytes;
    }
    pool.left -= size;
    memcpy(out, pool.bytes + pool.left, size);
    memset(pool.bytes + pool.left, 0, size);
}

static void seeded_random(struct env *env, uint8_t *out, size_t size) {
    while (size > 0) {
        uint64_t word = next_seeded(env);
        size_t part = size < sizeof word ? size : sizeof word;
        memcpy(out, &word, part);
        out += part;
        size -= part;
    }
}

void env_random(struct env *env, void *out, size_t size) {
    if (env->seeded) {
        seeded_random(env, out, size);
    } else if (size <= 32) {
        pooled_random(out, size);
    } else {
        kernel_random(out, size);
    }
}

void env_uuid(struct env *env, char out[UUID_TEXT_BYTES]) {
    uint8_t raw[16];
    env_random(env, raw, sizeof raw);
    raw[6] = (uint8_t)((raw[6] & 0x0fU) | 0x40U);
    raw[8] = (uint8_t)((raw[8] & 0x3fU) | 0x80U);
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < sizeof raw; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            out[at++] = '-';
        }
        out[at++] = digits[raw[i] >> 4];
        out[at++] = digits[raw[i] & 15U];
    }
    out[at] = '\0';
}

// SPDX-License-Identifier: Apache-2.0
// Time, randomness and ids. Nothing else in the project reads a clock or a random source, so that
// a test can run everything on a seeded environment with a clock of its own.
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UUID_TEXT_BYTES = 37 };  // 36 characters and the NUL

// A seeded environment is used by one thread at a time; the system's by any.
struct env {
    bool seeded;
    uint64_t random_state;  // of the seeded generator
    uint64_t wall_ns;       // of the seeded clocks; moved by env_advance
    uint64_t monotonic_ns;
};

// The real clock and the kernel's random source. Never freed.
struct env *env_system(void);
// In place; the clocks start at `wall_ns` and 1, and move only by env_advance.
void env_init_seeded(struct env *env, uint64_t seed, uint64_t wall_ns);
void env_advance(struct env *env, uint64_t nanoseconds);

// Nanoseconds since 1970-01-01 UTC.
uint64_t env_wall_ns(struct env *env);
// Nanoseconds of a clock that never goes back.
uint64_t env_monotonic_ns(struct env *env);
// Fills `size` bytes; cannot fail (ends the process if the kernel gives none).
void env_random(struct env *env, void *out, size_t size);
// Writes a random UUID (RFC 9562 version 4) in lower case with its NUL.
void env_uuid(struct env *env, char out[UUID_TEXT_BYTES]);

#endif

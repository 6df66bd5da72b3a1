// SPDX-License-Identifier: Apache-2.0
// theater:simple/random: from the kernel, or from the handler block's seed. What is drawn is in the
// chain, so a replay draws the same.
#include "host/wasi.h"

struct env *host_random_source(struct actor *self) {
    const struct manifest_handler *block =
        manifest_find_handler(actor_manifest(self), HANDLER_RANDOM);
    if (block == NULL || !block->random.has_seed) {
        return actor_env(self);
    }
    struct env *seeded = &host_state_of(self)->random;
    if (!seeded->seeded) {
        env_init_seeded(seeded, block->random.seed, 0);
    }
    return seeded;
}

static bool random_bytes(struct component_call *call, const struct value *args,
                         struct value *result) {
    struct actor *self = host_self(call);
    uint64_t length = args[0].bits;
    uint64_t most = actor_permissions(self)->random.max_bytes;
    if (length > most) {
        struct error error = {0};
        actor_denied(self, PERMISSION_RANDOM, &error,
                     "%llu random bytes are over the limit of %llu", (unsigned long long)length,
                     (unsigned long long)most);
        return host_fail(call, &error, result);
    }
    uint8_t *bytes = host_alloc(call, length, 1);
    if (bytes == NULL) {
        return false;
    }
    env_random(host_random_source(self), bytes, length);
    struct value payload = {.bytes = bytes, .count = (uint32_t)length};
    return host_ok_value(call, payload, result);
}

static uint64_t draw(struct actor *self) {
    uint64_t word = 0;
    env_random(host_random_source(self), &word, sizeof word);
    return word;
}

static bool random_range(struct component_call *call, const struct value *args,
                         struct value *result) {
    struct actor *self = host_self(call);
    uint64_t min = args[0].bits;
    uint64_t max = args[1].bits;
    uint64_t most = actor_permissions(self)->random.max_int;
    struct error error = {0};
    if (min >= max) {
        error_set(&error, ERR_INVALID, "invalid range: min (%llu) >= max (%llu)",
                  (unsigned long long)min, (unsigned long long)max);
        return host_fail(call, &error, result);
    }
    if (max > most) {
        actor_denied(self, PERMISSION_RANDOM, &error, "max (%llu) is over the limit of %llu",
                     (unsigned long long)max, (unsigned long long)most);
        return host_fail(call, &error, result);
    }
    uint64_t span = max - min;
    // Without bias: draws in the incomplete last span are thrown away.
    uint64_t usable = UINT64_MAX - UINT64_MAX % span;
    uint64_t word = draw(self);
    while (word >= usable) {
        word = draw(self);
    }
    return host_ok_value(call, (struct value){.bits = min + word % span}, result);
}

static bool random_float(struct component_call *call, const struct value *args,
                         struct value *result) {
    (void)args;
    // 53 bits: every multiple of 2^-53 in [0, 1).
    double number = (double)(draw(host_self(call)) >> 11) * 0x1p-53;
    struct value payload = {.bits = 0};
    memcpy(&payload.bits, &number, sizeof number);
    return host_ok_value(call, payload, result);
}

static bool random_uuid(struct component_call *call, const struct value *args,
                        struct value *result) {
    (void)args;
    char uuid[UUID_TEXT_BYTES];
    env_uuid(host_random_source(host_self(call)), uuid);
    return host_ok_bytes(call, slice_text(uuid), result);
}

static const struct host_function functions[] = {
    {"random-bytes",
     "random.random-bytes",
     random_bytes,
     {"func(u32) -> result<list<u8>, string>"}},
    {"random-range",
     "random.random-range",
     random_range,
     {"func(u64, u64) -> result<u64, string>"}},
    {"random-float", "random.random-float", random_float, {"func() -> result<f64, string>"}},
    {"generate-uuid", "random.generate-uuid", random_uuid, {"func() -> result<string, string>"}},
};
const struct host_interface host_random = {"random", functions, COUNT_OF(functions)};

// SPDX-License-Identifier: Apache-2.0
// wasi:random/random, insecure and insecure-seed: one source for all, that of
// theater:simple/random. The first two need the `random` handler. A seed for hash tables does not:
// without the handler it is made from the actor's id, which WASI permits, so that such tables work
// everywhere.
#include "codec/sha256.h"
#include "host/wasi.h"

static bool get_bytes(struct component_call *call, const struct value *args, struct value *result) {
    if (!wasi_needs(call, HANDLER_RANDOM)) {
        return false;
    }
    struct actor *self = host_self(call);
    uint64_t most = actor_permissions(self)->random.max_bytes;
    uint64_t size = args[0].bits;
    if (size > most || size > UINT32_MAX) {
        return component_call_trap(
            call, "permission denied: %llu random bytes are over the limit of %llu",
            (unsigned long long)size, (unsigned long long)most);
    }
    uint8_t *bytes = host_alloc(call, size, 1);
    if (bytes == NULL) {
        return false;
    }
    env_random(host_random_source(self), bytes, size);
    *result = (struct value){.bytes = bytes, .count = (uint32_t)size};
    return true;
}

static bool get_u64(struct component_call *call, const struct value *args, struct value *result) {
    (void)args;
    if (!wasi_needs(call, HANDLER_RANDOM)) {
        return false;
    }
    uint64_t word = 0;
    env_random(host_random_source(host_self(call)), &word, sizeof word);
    *result = (struct value){.bits = word};
    return true;
}

static bool insecure_seed(struct component_call *call, const struct value *args,
                          struct value *result) {
    (void)args;
    struct actor *self = host_self(call);
    uint64_t words[2];
    if (manifest_find_handler(actor_manifest(self), HANDLER_RANDOM) != NULL &&
        actor_permissions(self)->allowed[PERMISSION_RANDOM]) {
        env_random(host_random_source(self), words, sizeof words);
    } else {
        uint8_t hash[SHA256_BYTES];
        sha256(slice_text(actor_id(self)), hash);
        memcpy(words, hash, sizeof words);
    }
    struct value *items = host_alloc(call, 2, sizeof *items);
    if (items == NULL) {
        return false;
    }
    items[0] = (struct value){.bits = words[0]};
    items[1] = (struct value){.bits = words[1]};
    *result = (struct value){.items = items, .count = 2};
    return true;
}

static const struct host_function random_functions[] = {
    {"get-random-bytes",
     "wasi:random/random.get-random-bytes",
     get_bytes,
     {"func(u64) -> list<u8>"}},
    {"get-random-u64", "wasi:random/random.get-random-u64", get_u64, {"func() -> u64"}},
};
static const struct host_function insecure_functions[] = {
    {"get-insecure-random-bytes",
     "wasi:random/insecure.get-insecure-random-bytes",
     get_bytes,
     {"func(u64) -> list<u8>"}},
    {"get-insecure-random-u64",
     "wasi:random/insecure.get-insecure-random-u64",
     get_u64,
     {"func() -> u64"}},
};
static const struct host_function insecure_seed_functions[] = {
    {"insecure-seed",
     "wasi:random/insecure-seed.insecure-seed",
     insecure_seed,
     {"func() -> tuple<u64, u64>"}},
};
const struct host_interface wasi_random_random = {"wasi:random/random", random_functions,
                                                  COUNT_OF(random_functions)};
const struct host_interface wasi_random_insecure = {"wasi:random/insecure", insecure_functions,
                                                    COUNT_OF(insecure_functions)};
const struct host_interface wasi_random_insecure_seed = {
    "wasi:random/insecure-seed", insecure_seed_functions, COUNT_OF(insecure_seed_functions)};

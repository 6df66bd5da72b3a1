// SPDX-License-Identifier: Apache-2.0
// Time, randomness and ids, of the system and seeded.
#include "base/env.h"

#include "test.h"

TEST(a_seed_gives_the_same_world) {
    struct env first;
    struct env again;
    struct env other;
    env_init_seeded(&first, 9, 1000);
    env_init_seeded(&again, 9, 1000);
    env_init_seeded(&other, 10, 1000);
    uint8_t bytes[3][37];
    env_random(&first, bytes[0], sizeof bytes[0]);
    env_random(&again, bytes[1], sizeof bytes[1]);
    env_random(&other, bytes[2], sizeof bytes[2]);
    EXPECT(memcmp(bytes[0], bytes[1], sizeof bytes[0]) == 0);
    EXPECT(memcmp(bytes[0], bytes[2], sizeof bytes[0]) != 0);
    char ids[2][UUID_TEXT_BYTES];
    env_uuid(&first, ids[0]);
    env_uuid(&again, ids[1]);
    EXPECT_TEXT(ids[0], ids[1]);
    env_uuid(&again, ids[1]);
    EXPECT(strcmp(ids[0], ids[1]) != 0);
}

TEST(a_seeded_clock_moves_only_when_told) {
    struct env env;
    env_init_seeded(&env, 1, 1700000000000000000U);
    EXPECT_U64(env_wall_ns(&env), 1700000000000000000U);
    EXPECT_U64(env_monotonic_ns(&env), 1);
    EXPECT_U64(env_monotonic_ns(&env), 1);
    env_advance(&env, 5);
    EXPECT_U64(env_wall_ns(&env), 1700000000000000005U);
    EXPECT_U64(env_monotonic_ns(&env), 6);
}

TEST(the_system_clocks_go_on) {
    uint64_t wall = env_wall_ns(env_system());
    EXPECT(wall > 1600000000000000000U && wall < 10000000000000000000U);
    uint64_t before = env_monotonic_ns(env_system());
    for (int i = 0; i < 1000; i++) {
        uint64_t now = env_monotonic_ns(env_system());
        EXPECT(now >= before);
        before = now;
    }
}

TEST(ids_are_version_4_and_differ) {
    char seen[200][UUID_TEXT_BYTES];
    for (size_t i = 0; i < COUNT_OF(seen); i++) {
        env_uuid(env_system(), seen[i]);
        EXPECT_U64(strlen(seen[i]), 36);
        for (size_t at = 0; at < 36; at++) {
            bool dash = at == 8 || at == 13 || at == 18 || at == 23;
            EXPECT(dash ? seen[i][at] == '-' : strchr("0123456789abcdef", seen[i][at]) != NULL);
        }
        EXPECT(seen[i][14] == '4');
        EXPECT(strchr("89ab", seen[i][19]) != NULL);
        for (size_t other = 0; other < i; other++) {
            EXPECT(strcmp(seen[i], seen[other]) != 0);
        }
    }
}

TEST(large_and_empty_requests_are_filled) {
    static uint8_t bytes[100000];
    env_random(env_system(), bytes, 0);
    env_random(env_system(), bytes, sizeof bytes);
    size_t zeros = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        zeros += bytes[i] == 0;
    }
    EXPECT(zeros > 200 && zeros < 700);  // 391 expected; beyond is less likely than 1e-15
}

int main(void) {
    return test_main();
}

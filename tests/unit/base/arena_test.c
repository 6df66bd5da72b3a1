// SPDX-License-Identifier: Apache-2.0
// The arena: alignment, limits that hold for any size, reuse after a reset.
#include "base/arena.h"

#include "test.h"

TEST(allocations_are_aligned_and_apart) {
    enum { COUNT = 3000 };
    static uint8_t *at[COUNT];
    static size_t sizes[COUNT];
    struct arena arena;
    arena_init(&arena, 1 << 24);
    uint64_t random = 1;
    for (size_t i = 0; i < COUNT; i++) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        size_t align = (size_t)1 << (random >> 60) % 5;
        sizes[i] = (size_t)(random >> 40) % 700;
        at[i] = arena_alloc(&arena, sizes[i], align);
        EXPECT_U64((uintptr_t)at[i] % align, 0);
        memset(at[i], (int)(i % 251), sizes[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t byte = 0; byte < sizes[i]; byte++) {
            if (at[i][byte] != i % 251) {
                test_report(__FILE__, __LINE__, "allocation %d was overwritten", (int)i);
                break;
            }
        }
    }
    arena_release(&arena);
}

TEST(the_limit_holds) {
    struct arena arena;
    arena_init(&arena, 100);
    EXPECT(arena_try_alloc(&arena, 101, 1) == NULL);
    EXPECT(arena_try_alloc(&arena, 100, 1) != NULL);
    EXPECT(arena_try_alloc(&arena, 0, 1) != NULL);
    EXPECT(arena_try_alloc(&arena, 1, 1) == NULL);
    EXPECT(arena_try_alloc(&arena, UINT64_MAX, 1) == NULL);
    arena_reset(&arena);
    EXPECT(arena_try_alloc(&arena, 60, 1) != NULL);
    EXPECT(arena_try_alloc(&arena, UINT64_MAX - 30, 1) == NULL);
    EXPECT(arena_try_alloc(&arena, 41, 1) == NULL);
    EXPECT(arena_try_alloc(&arena, 40, 1) != NULL);
    arena_release(&arena);
}

TEST(padding_does_not_pass_the_limit) {
    struct arena arena;
    arena_init(&arena, 1600);
    int count = 0;
    while (count < 10000 && arena_try_alloc(&arena, 1, 16) != NULL) {
        count++;
    }
    EXPECT(count >= 100 && count <= 101);
    arena_release(&arena);
}

TEST(a_size_close_to_the_maximum_is_no_small_allocation) {
    struct arena arena;
    arena_init(&arena, UINT64_MAX - 64);
    EXPECT(arena_try_alloc(&arena, 1, 1) != NULL);
    EXPECT(arena_try_alloc(&arena, UINT64_MAX - 8, 16) == NULL);
    arena_release(&arena);
}

TEST(a_reset_keeps_memory_for_reuse) {
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (int i = 0; i < 100; i++) {
        (void)arena_alloc(&arena, 1000, 8);
    }
    arena_reset(&arena);
    EXPECT_U64(arena.used_bytes, 0);
    const struct arena_chunk *chunk = arena.chunk;
    EXPECT(chunk != NULL);
    (void)arena_alloc(&arena, 1000, 8);
    EXPECT(arena.chunk == chunk);
    // A chunk for one large allocation is not kept.
    (void)arena_alloc(&arena, 900000, 8);
    arena_reset(&arena);
    EXPECT(arena.chunk == NULL);
    EXPECT(arena_try_alloc(&arena, 1 << 20, 1) != NULL);
    arena_release(&arena);
    arena_reset(&arena);
    arena_release(&arena);
}

TEST(helpers_zero_and_terminate) {
    struct arena arena;
    arena_init(&arena, 1 << 20);
    memset(arena_alloc(&arena, 4000, 1), 0xff, 4000);
    arena_reset(&arena);
    uint64_t *numbers = ARENA_ARRAY(&arena, uint64_t, 100);
    for (int i = 0; i < 100; i++) {
        EXPECT_U64(numbers[i], 0);
    }
    EXPECT_U64(*ARENA_NEW(&arena, uint32_t), 0);
    EXPECT_TEXT(arena_text(&arena, slice_of("abcd", 3)), "abc");
    EXPECT_TEXT(arena_text(&arena, slice_of(NULL, 0)), "");
    arena_release(&arena);
}

TEST(rewinding_gives_everything_since_back) {
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct arena_mark empty = arena_mark(&arena);
    (void)arena_alloc(&arena, 100, 1);
    arena_rewind(&arena, &empty);
    EXPECT_U64(arena.used_bytes, 0);
    uint8_t *kept = arena_alloc(&arena, 100, 1);
    memset(kept, 7, 100);
    struct arena_mark mark = arena_mark(&arena);
    for (int i = 0; i < 100; i++) {
        // Larger than a chunk, and together far more than the limit.
        memset(arena_alloc(&arena, 500000, 8), i, 500000);
        memset(arena_alloc(&arena, 20, 8), i, 20);
        arena_rewind(&arena, &mark);
        EXPECT_U64(arena.used_bytes, 100);
    }
    EXPECT(arena_alloc(&arena, 1, 1) == kept + 100);
    EXPECT_U64(kept[99], 7);
    arena_release(&arena);
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// Blocks of linear memory: what is taken reads as zero, whoever had it before and however much of
// it was used.
#include <pthread.h>
#include <stdlib.h>

#include "test.h"
#include "wasm/internal.h"

enum { PAGE = 4096 };

static bool is_zero(const uint8_t *block, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (block[i] != 0) {
            return false;
        }
    }
    return true;
}

// Writes into every `stride`-th page of as many bytes, gives the block back and takes one again.
static void use_and_check(uint32_t wasm_pages, size_t stride, bool clears) {
    uint32_t index = 0;
    size_t size = (size_t)wasm_pages * WASM_PAGE_BYTES;
    uint8_t *block = wasm_block_take(wasm_pages, &index);
    REQUIRE(block != NULL);
    EXPECT(is_zero(block, size));
    for (size_t i = 0; i < size; i += stride * PAGE) {
        block[i + i / PAGE % PAGE] = 0xa5;
    }
    wasm_block_give(block, index, size);
    if (clears) {
        (void)wasm_blocks_clear();
    }
}

TEST(a_block_reads_as_zero_however_it_was_used) {
    static const uint32_t sizes[] = {1, 2, 3, 16, 17, 64};
    static const size_t strides[] = {1, 2, 5, 16, 1000};
    for (int has_clearer = 0; has_clearer < 2; has_clearer++) {
        wasm_blocks_set_clearer(has_clearer == 1);
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            for (size_t j = 0; j < COUNT_OF(strides); j++) {
                for (int round = 0; round < 40; round++) {
                    use_and_check(sizes[i], strides[j], round % 3 == 0);
                }
            }
        }
    }
    wasm_blocks_set_clearer(false);
}

TEST(the_block_that_was_cleared_is_the_one_taken_next) {
    wasm_blocks_set_clearer(true);
    uint32_t index = 0;
    uint8_t *block = wasm_block_take(2, &index);
    memset(block, 1, 3 * PAGE);
    wasm_block_give(block, index, 2 * WASM_PAGE_BYTES);
    uint8_t *other = wasm_block_take(2, &index);
    EXPECT(other != block);  // not cleared yet
    EXPECT(wasm_blocks_clear());
    EXPECT(!wasm_blocks_clear());
    uint8_t *again = wasm_block_take(2, &index);
    EXPECT(again == block);
    EXPECT(is_zero(again, 2 * WASM_PAGE_BYTES));
    wasm_block_give(other, index, 0);
    wasm_block_give(again, index, 0);
    wasm_blocks_set_clearer(false);
}

static void *use_many(void *argument) {
    (void)argument;
    for (int i = 0; i < 3000; i++) {
        uint32_t index = 0;
        uint8_t *block = wasm_block_take(2, &index);
        if (block == NULL || !is_zero(block, 4 * PAGE)) {
            return "not zero";
        }
        memset(block, i | 1, (size_t)(1 + i % 4) * PAGE);
        wasm_block_give(block, index, 2 * WASM_PAGE_BYTES);
        if (i % 7 == 0) {
            (void)wasm_blocks_clear();
        }
    }
    return NULL;
}

TEST(threads_that_take_and_give_blocks_see_zeros) {
    wasm_watchdog_start();
    pthread_t threads[3];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        REQUIRE(pthread_create(&threads[i], NULL, use_many, NULL) == 0);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *problem = NULL;
        pthread_join(threads[i], &problem);
        EXPECT(problem == NULL);
    }
    wasm_watchdog_stop();
}

int main(void) {
    return test_main();
}

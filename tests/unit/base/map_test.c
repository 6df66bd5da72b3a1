// SPDX-License-Identifier: Apache-2.0
// The map: against a plain model, in insertion order, and with keys made to collide.
#include "base/map.h"

#include <stdio.h>

#include "test.h"

TEST(an_empty_map_holds_nothing) {
    struct map map = {0};
    uint32_t cursor = 0;
    EXPECT(map_get_text(&map, "a") == NULL);
    EXPECT(map_remove(&map, slice_text("a")) == NULL);
    EXPECT(map_next(&map, &cursor) == NULL);
    map_release(&map);
}

TEST(keys_are_copied_and_any_bytes) {
    struct map map = {0};
    int values[3];
    char key[] = "a\0b";
    EXPECT(map_add(&map, slice_of(key, 3), &values[0]));
    EXPECT(map_add(&map, slice_of(NULL, 0), &values[1]));
    EXPECT(map_add(&map, slice_of(key, 2), &values[2]));
    EXPECT(!map_add(&map, slice_of("a\0b", 3), &values[1]));
    key[0] = 'z';
    EXPECT(map_get(&map, slice_of("a\0b", 3)) == &values[0]);
    EXPECT(map_get_text(&map, "") == &values[1]);
    EXPECT(map_get(&map, slice_of("a\0", 2)) == &values[2]);
    EXPECT(map_get_text(&map, "a") == NULL);
    EXPECT_U64(map.live_count, 3);
    map_release(&map);
}

enum { MODEL = 500, STEPS = 50000 };

TEST(keys_that_are_borrowed_stay_where_they_are) {
    struct map map = {.borrows_keys = true};
    static char keys[100][16];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "k%d", i);
        REQUIRE(map_add(&map, slice_text(keys[i]), keys[i]));
    }
    EXPECT(!map_add(&map, slice_text("k7"), keys[0]));
    uint32_t cursor = 0;
    struct map_entry *entry = map_next(&map, &cursor);
    REQUIRE(entry != NULL);
    EXPECT(entry->key.data == (const uint8_t *)keys[0]);
    EXPECT(map_remove(&map, slice_text("k7")) == keys[7]);
    keys[7][0] = 'x';
    EXPECT(map_get(&map, slice_text("k7")) == NULL && map_get(&map, slice_text("k99")) == keys[99]);
    map_release(&map);
    EXPECT(map.borrows_keys);
}

TEST(it_behaves_like_a_table) {
    struct map map = {0};
    static int values[MODEL];
    static uint32_t added_at[MODEL];  // 0: absent
    uint64_t random = 7;
    uint32_t live = 0;
    for (uint32_t step = 1; step <= STEPS; step++) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        uint32_t pick = (uint32_t)(random >> 33) % MODEL;
        char text[32];
        (void)snprintf(text, sizeof text, "key %u", pick);
        bool present = added_at[pick] != 0;
        EXPECT(map_get_text(&map, text) == (present ? &values[pick] : NULL));
        if ((random >> 20 & 1) != 0) {
            EXPECT(map_add(&map, slice_text(text), &values[pick]) == !present);
            added_at[pick] = present ? added_at[pick] : step;
            live += !present;
        } else {
            EXPECT(map_remove(&map, slice_text(text)) == (present ? &values[pick] : NULL));
            added_at[pick] = 0;
            live -= present;
        }
        EXPECT_U64(map.live_count, live);
    }
    uint32_t cursor = 0;
    uint32_t previous = 0;
    uint32_t seen = 0;
    for (struct map_entry *entry; (entry = map_next(&map, &cursor)) != NULL; seen++) {
        uint32_t at = added_at[(int *)entry->value - values];
        EXPECT(at > previous);  // insertion order
        previous = at;
    }
    EXPECT_U64(seen, live);
    map_release(&map);
}

TEST(the_entry_just_returned_may_be_removed) {
    struct map map = {0};
    int value;
    for (int i = 0; i < 100; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        EXPECT(map_add(&map, slice_text(text), &value));
    }
    uint32_t cursor = 0;
    uint32_t count = 0;
    for (struct map_entry *entry; (entry = map_next(&map, &cursor)) != NULL; count++) {
        EXPECT(map_remove(&map, entry->key) == &value);
    }
    EXPECT_U64(count, 100);
    EXPECT_U64(map.live_count, 0);
    map_release(&map);
}

TEST(adding_and_removing_for_ever_does_not_grow) {
    struct map map = {0};
    int value;
    for (int i = 0; i < 100000; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        EXPECT(map_add(&map, slice_text(text), &value));
        EXPECT(map_remove(&map, slice_text(text)) == &value);
    }
    EXPECT(map.entry_capacity <= 16 && map.index_capacity <= 32);
    map_release(&map);
}

// The longest run of used places in the index: what a look-up may have to walk.
static uint32_t longest_run(const struct map *map) {
    uint32_t longest = 0;
    uint32_t run = 0;
    for (uint32_t i = 0; i < map->index_capacity; i++) {
        run = map->index[i] == 0 ? 0 : run + 1;
        longest = run > longest ? run : longest;
    }
    return longest;
}

// Pairs of blocks that a multiply-and-fold hash maps to the same state whatever its seed: every
// choice of a block from each pair is a key of the same hash.
TEST(keys_made_to_collide_do_not) {
    enum { BLOCKS = 12 };
    static const uint64_t difference[3] = {1ULL << 63, 1ULL << 63 | 1ULL << 31, 1ULL << 48};
    struct map map = {0};
    int value;
    for (uint32_t choice = 0; choice < 1U << BLOCKS; choice++) {
        uint64_t words[3 * BLOCKS];
        for (uint32_t i = 0; i < 3 * BLOCKS; i++) {
            words[i] = choice >> i / 3 & 1 ? difference[i % 3] : 0;
        }
        EXPECT(map_add(&map, slice_of(words, sizeof words), &value));
    }
    EXPECT(longest_run(&map) < 200);
    map_release(&map);
}

int main(void) {
    return test_main();
}

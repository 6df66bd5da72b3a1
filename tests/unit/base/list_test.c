// SPDX-License-Identifier: Apache-2.0
// The list, against an array: appending, and taking out at any place.
#include "base/list.h"

#include "test.h"

enum { ITEMS = 8, STEPS = 20000 };

struct item {
    struct list_node node;
    int number;
};

static void check(const struct list *list, const int *expected, int count) {
    const struct list_node *node = list->first;
    for (int i = 0; i < count; i++) {
        REQUIRE(node != NULL);
        EXPECT(node->list == list);
        EXPECT(CONTAINER_OF(node, const struct item, node)->number == expected[i]);
        node = node->next;
    }
    EXPECT(node == NULL);
    EXPECT(list_is_empty(list) == (count == 0));
}

TEST(it_keeps_the_order_whatever_is_taken_out) {
    struct list list = {0};
    struct item items[ITEMS] = {0};
    int order[ITEMS];
    int count = 0;
    uint32_t random = 1;
    for (int step = 0; step < STEPS; step++) {
        random = random * 1664525U + 1013904223U;
        int number = (int)(random >> 24) % ITEMS;
        struct item *item = &items[number];
        item->number = number;
        if (item->node.list == NULL) {
            list_append(&list, &item->node);
            order[count++] = number;
        } else {
            list_remove(&item->node);
            int at = 0;
            while (order[at] != number) {
                at++;
            }
            count--;
            for (; at < count; at++) {
                order[at] = order[at + 1];
            }
        }
        check(&list, order, count);
    }
    while (!list_is_empty(&list)) {
        list_remove(&LIST_FIRST(&list, struct item, node)->node);
    }
    check(&list, order, 0);
    list_remove(&items[0].node);  // it is in none
}

int main(void) {
    return test_main();
}

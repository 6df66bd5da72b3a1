// SPDX-License-Identifier: Apache-2.0
// Edit distance (insert, delete, replace, swap of neighbours) over short words; see nearest.h.
#include "manifest/nearest.h"

enum { WORD_MAX = 64 };

static unsigned least(unsigned a, unsigned b) {
    return a < b ? a : b;
}

// '-' and '_' are one key apart only on the keyboard: they count as the same.
static bool same(uint8_t a, uint8_t b) {
    return a == b || ((a == '-' || a == '_') && (b == '-' || b == '_'));
}

static unsigned distance(struct slice a, struct slice b) {
    unsigned rows[3][WORD_MAX + 1] = {{0}};
    unsigned *older = rows[0], *old = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b.size; j++) {
        old[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.size; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.size; j++) {
            unsigned cost = same(a.data[i - 1], b.data[j - 1]) ? 0 : 1;
            now[j] = least(least(old[j] + 1, now[j - 1] + 1), old[j - 1] + cost);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
                a.data[i - 2] == b.data[j - 1]) {
                now[j] = least(now[j], older[j - 2] + 1);
            }
        }
        unsigned *reuse = older;
        older = old;
        old = now;
        now = reuse;
    }
    return old[b.size];
}

void nearest_init(struct nearest *nearest, struct slice wanted) {
    *nearest = (struct nearest){.wanted = wanted};
    nearest->distance = wanted.size < 4 ? 2 : (unsigned)(wanted.size / 3 + 2);
}

void nearest_offer(struct nearest *nearest, const char *word) {
    struct slice known = slice_text(word);
    if (nearest->wanted.size == 0 || nearest->wanted.size > WORD_MAX || known.size > WORD_MAX) {
        return;
    }
    unsigned found = distance(nearest->wanted, known);
    if (found < nearest->distance) {
        nearest->distance = found;
        nearest->word = word;
    }
}

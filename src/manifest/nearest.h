// SPDX-License-Identifier: Apache-2.0
// "Did you mean": the known word nearest to a mistyped one.
#ifndef MANIFEST_NEAREST_H
#define MANIFEST_NEAREST_H

#include "base/bytes.h"

struct nearest {
    struct slice wanted;
    const char *word;   // the best so far, or NULL
    unsigned distance;  // of `word`
};

// Starts a search; words further off than a third of its length are not similar at all.
void nearest_init(struct nearest *nearest, struct slice wanted);
void nearest_offer(struct nearest *nearest, const char *word);

#endif

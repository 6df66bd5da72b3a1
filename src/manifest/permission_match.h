// SPDX-License-Identifier: Apache-2.0
// How the items of a permission list match: the same question, "does this item cover that word",
// serves checks and intersections. Within the room only.
#ifndef MANIFEST_PERMISSION_MATCH_H
#define MANIFEST_PERMISSION_MATCH_H

#include <stdbool.h>

#include "manifest/permission.h"

enum match {
    MATCH_WORD,    // the same bytes
    MATCH_PREFIX,  // begins with it
    MATCH_FOLDER,  // the same path or beneath it, name by name; routes too
    MATCH_METHOD,  // the same word in any case; "*" covers all
    MATCH_HOST,    // name, name:port, *.suffix, *
    MATCH_URL      // a prefix that ends where a part of the URL ends
};

// Whether all that `inner` names lies in what `outer` names.
bool match_covers(enum match match, const char *outer, const char *inner);
// Whether an item of `list` covers `word`, or the list is everything.
bool match_list(enum match match, const struct permission_list *list, const char *word);

#endif

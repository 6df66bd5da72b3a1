// SPDX-License-Identifier: Apache-2.0
// Paths as words: joining, taking out "." and "..", and whether one lies beneath another. Nothing
// here looks at the disk.
#ifndef MANIFEST_PATHS_H
#define MANIFEST_PATHS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/bytes.h"

// Gives `folder`/`path` (or `path`, when absolute) without "." , ".." and doubled slashes. A ".."
// above the root stays at the root; a relative result may begin with "..". "." when nothing is
// left.
char *path_resolve(struct arena *arena, const char *folder, const char *path);
// Whether `inner` is `outer` or beneath it, name by name; both resolved.
bool path_is_beneath(const char *outer, const char *inner);

#endif

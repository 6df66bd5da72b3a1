// SPDX-License-Identifier: Apache-2.0
// The last name of a path, in its folder: what the files of the jail share.
#ifndef IO_JAIL_PLACE_H
#define IO_JAIL_PLACE_H

#include "io/jail.h"

struct jail_place {
    int folder;  // opened with O_PATH; -1: none
    char name[JAIL_PATH_MOST_BYTES + 1];
};

// Splits the path and opens its folder; false with errno, and then out->folder is -1. Slashes at
// the end are left out if they may stand there, as they may after the name of a folder.
bool jail_place_open(int root, const char *path, bool may_end_in_slash, struct jail_place *out);
// Closes the folder, if any, and gives `good`; errno stays.
bool jail_place_close(struct jail_place *place, bool good);

#endif

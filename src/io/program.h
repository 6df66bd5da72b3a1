// SPDX-License-Identifier: Apache-2.0
// Which file a program's name means. May block: for a thread that may.
#ifndef IO_PROGRAM_H
#define IO_PROGRAM_H

#include "base/bytes.h"
#include "base/status.h"

// A name without "/" is looked up in the folders of the node's own PATH that are absolute (without
// a PATH: /usr/local/bin, /usr/bin, /bin); a path must be absolute and may hold neither "." nor
// ".." nor "//" between its names, so that it can be compared with a list as it stands. Gives the
// path; free it.
enum status io_program_find(struct slice name, char **path, struct error *error) MUST_CHECK;

// The folders that io_program_find looks in, with ":" between. Appends.
void io_program_folders(struct buf *out);

#endif

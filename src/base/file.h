// SPDX-License-Identifier: Apache-2.0
// Whole-file helpers for the control plane (manifests, components, small configuration). The
// chain's segments and the content store do their own I/O.
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

// Gives the file's content. ERR_LIMIT when it holds more than `limit_bytes`; ERR_INVALID when it is
// not a regular file. The error names the path.
enum status file_read(const char *path, uint64_t limit_bytes, struct bytes **out,
                      struct error *error) MUST_CHECK;
// Writes to a temporary file in the same folder, syncs, and renames over `path`: a reader sees the
// old or the new content, never a part. `mode` as for open.
enum status file_write_atomic(const char *path, struct slice content, uint32_t mode,
                              struct error *error) MUST_CHECK;
// Makes the folder and its parents; an existing folder is fine. `mode` for folders it makes.
enum status file_make_folders(const char *path, uint32_t mode, struct error *error) MUST_CHECK;
// All of `size` bytes at the file's position, over short writes and EINTR. Errno on failure, or 0.
int file_write_all(int descriptor, const void *data, size_t size);
// Gives `folder` + "/" + `path`, or a copy of `path` when it is absolute. Free with free.
char *file_join(const char *folder, const char *path);
// Gives the folder part of `path` ("." when it has none). Free with free.
char *file_folder(const char *path);
// Removes the folder and all in it; an absent one is fine. Never follows a symbolic link.
enum status file_remove_tree(const char *path, struct error *error);

#endif

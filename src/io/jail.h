// SPDX-License-Identifier: Apache-2.0
// Files beneath one folder: every path is taken by the kernel relative to an open folder, with
// RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS. So neither "..", an absolute path nor a symbolic link
// leads out of it, whoever changes the tree meanwhile.
//
// What the kernel has no such form for is done in two steps: the folder around the last name is
// opened beneath the root, and the operation is given that handle and the last name, which has no
// "/", is neither "." nor "..", and is never followed.
//
// Any thread; all may block. Failure is false, -1 or NULL with errno: EPERM for what leads out.
// Paths are NUL-terminated, at most JAIL_PATH_MOST_BYTES long (ENAMETOOLONG).
#ifndef IO_JAIL_H
#define IO_JAIL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"

enum { JAIL_PATH_MOST_BYTES = 4095 };

// The folder `path` of the host. `around` is the folder around it that is what it is by the
// operator's word, the path or a beginning of it, and from which on no symbolic link may stand;
// NULL: all of it.
int jail_open_root(const char *path, const char *around);
// As open, O_CLOEXEC added. Follows a link at the end unless O_NOFOLLOW says otherwise. A caller
// that did not ask for O_PATH should pass O_NONBLOCK: a FIFO would hold the thread.
int jail_open(int root, const char *path, uint64_t flags, uint64_t mode);
// Whether handles are running out: guests get three quarters of what the process may have, the rest
// is for its chain and its compilers. `handle` is the newest one.
bool jail_is_scarce(int handle);

// One folder, in one that exists; mode 0777 as the umask leaves it.
bool jail_make_folder(int root, const char *path);
// An empty one.
bool jail_remove_folder(int root, const char *path);
// Anything but a folder; a link itself.
bool jail_remove_file(int root, const char *path);
// A folder and all that is in it, however deep, but for what lies on another file system.
bool jail_remove_tree(int root, const char *path);
// As renameat and linkat, without following a link at the end of either path.
bool jail_rename(int root, const char *path, int other_root, const char *other_path);
bool jail_link(int root, const char *path, int other_root, const char *other_path);
// EPERM for a target that is absolute: links are followed by others than guests too.
bool jail_symlink(int root, const char *path, const char *target);
// Gives the target, to be freed. EPERM when it is absolute.
char *jail_read_link(int root, const char *path);

// Appends the content of a regular file; follows a link at the end. EISDIR; ENXIO when it is
// neither file nor folder; EFBIG when there are more than `most` bytes.
bool jail_read_file(int root, const char *path, uint64_t most, struct buf *out);
// Creates or replaces a file: whoever reads sees the old content or the new. A link at the end is
// replaced, not followed. The new file is written under a name made from `unique` (random) first;
// it has the mode of the one it replaces. `syncs`: content and name are on disk when this returns.
bool jail_write_file(int root, const char *path, struct slice content, uint64_t unique, bool syncs);

// What a folder held when it was read, by name. Names that are not UTF-8 are left out.
struct jail_list {
    uint32_t count;
    struct jail_entry {
        const char *name;  // in `names`
        mode_t type;       // S_IFREG and so on; 0: not known
    } * entries;
    char *names;
};
// EOVERFLOW when there are more than 65,536 names or a MiB of them.
struct jail_list *jail_list(int root, const char *path);
void jail_list_free(struct jail_list *list);

// Makes a fresh folder in the system's place for temporary files. Gives its path, to be freed.
char *jail_make_temporary(void);
// Removes such a folder and all that is in it, as jail_remove_tree.
bool jail_remove_temporary(const char *path);

#endif

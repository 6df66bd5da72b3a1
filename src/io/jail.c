// SPDX-License-Identifier: Apache-2.0
// Operations beneath one folder. See jail.h; reading folders and removing trees are in
// jail_tree.c.
#include "io/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "io/jail_place.h"

enum { TRIES = 64 };

// ---- opening
// ---------------------------------------------------------------------------------------

int jail_open(int root, const char *path, uint64_t flags, uint64_t mode) {
    struct open_how how = {.flags = flags | O_CLOEXEC,
                           .mode = mode,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long handle = -1;
    // EAGAIN: somebody moved a folder of the path meanwhile, and the kernel cannot tell.
    for (int i = 0; i < TRIES && handle < 0 && (i == 0 || errno == EAGAIN || errno == EINTR); i++) {
        handle = syscall(SYS_openat2, root, path, &how, sizeof how);
    }
    if (handle < 0 && errno == EXDEV) {
        errno = EPERM;
    }
    return (int)handle;
}

static void close_keeping_errno(int handle) {
    int code = errno;
    close(handle);
    errno = code;
}

// Beneath `around` another actor may have put links: none is followed.
int jail_open_root(const char *path, const char *around) {
    around = around != NULL ? around : path;
    if (strncmp(path, around, strlen(around)) != 0) {
        errno = EPERM;
        return -1;
    }
    int handle = open(around, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *rest = path + strlen(around);
    rest += strspn(rest, "/");
    if (handle < 0 || rest[0] == '\0') {
        return handle;
    }
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    int inner = (int)syscall(SYS_openat2, handle, rest, &how, sizeof how);
    close_keeping_errno(handle);
    return inner;
}

// New handles have the lowest numbers that are free.
bool jail_is_scarce(int handle) {
    struct rlimit most;
    return getrlimit(RLIMIT_NOFILE, &most) == 0 && most.rlim_cur != RLIM_INFINITY &&
           (rlim_t)handle >= most.rlim_cur / 4 * 3;
}

// ---- the last name of a path, in its folder
// ----------------------------------------------------------

bool jail_place_open(int root, const char *path, bool may_end_in_slash, struct jail_place *out) {
    out->folder = -1;
    size_t size = strlen(path);
    if (size > JAIL_PATH_MOST_BYTES) {
        errno = ENAMETOOLONG;
        return false;
    }
    char copy[JAIL_PATH_MOST_BYTES + 1];
    memcpy(copy, path, size + 1);
    while (may_end_in_slash && size > 1 && copy[size - 1] == '/') {
        copy[--size] = '\0';
    }
    char *slash = strrchr(copy, '/');
    const char *name = slash != NULL ? slash + 1 : copy;
    if (copy[0] == '/') {
        errno = EPERM;
        return false;
    }
    if (name[0] == '\0') {
        errno = size == 0 ? ENOENT : ENOTDIR;
        return false;
    }
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        errno = strcmp(name, ".") == 0 ? EINVAL : EPERM;
        return false;
    }
    memcpy(out->name, name, strlen(name) + 1);
    if (slash != NULL) {
        *slash = '\0';
    }
    out->folder = jail_open(root, slash != NULL ? copy : ".", O_PATH | O_DIRECTORY, 0);
    return out->folder >= 0;
}

bool jail_place_close(struct jail_place *place, bool good) {
    if (place->folder >= 0) {
        close_keeping_errno(place->folder);
    }
    return good;
}

bool jail_make_folder(int root, const char *path) {
    struct jail_place place;
    bool good =
        jail_place_open(root, path, true, &place) && mkdirat(place.folder, place.name, 0777) == 0;
    return jail_place_close(&place, good);
}

bool jail_remove_folder(int root, const char *path) {
    struct jail_place place;
    bool good = jail_place_open(root, path, true, &place) &&
                unlinkat(place.folder, place.name, AT_REMOVEDIR) == 0;
    return jail_place_close(&place, good);
}

bool jail_remove_file(int root, const char *path) {
    struct jail_place place;
    bool good =
        jail_place_open(root, path, false, &place) && unlinkat(place.folder, place.name, 0) == 0;
    return jail_place_close(&place, good);
}

// Both places of an operation on two.
static bool open_two(int root, const char *path, int other_root, const char *other_path,
                     bool may_end_in_slash, struct jail_place *from, struct jail_place *to) {
    to->folder = -1;
    return jail_place_open(root, path, may_end_in_slash, from) &&
           jail_place_open(other_root, other_path, may_end_in_slash, to);
}

bool jail_rename(int root, const char *path, int other_root, const char *other_path) {
    struct jail_place from, to;
    bool good = open_two(root, path, other_root, other_path, true, &from, &to) &&
                renameat(from.folder, from.name, to.folder, to.name) == 0;
    return jail_place_close(&from, jail_place_close(&to, good));
}

bool jail_link(int root, const char *path, int other_root, const char *other_path) {
    struct jail_place from, to;
    bool good = open_two(root, path, other_root, other_path, false, &from, &to) &&
                linkat(from.folder, from.name, to.folder, to.name, 0) == 0;
    return jail_place_close(&from, jail_place_close(&to, good));
}

bool jail_symlink(int root, const char *path, const char *target) {
    if (target[0] == '/') {
        errno = EPERM;
        return false;
    }
    struct jail_place place;
    bool good = jail_place_open(root, path, false, &place) &&
                symlinkat(target, place.folder, place.name) == 0;
    return jail_place_close(&place, good);
}

char *jail_read_link(int root, const char *path) {
    struct jail_place place;
    char target[JAIL_PATH_MOST_BYTES + 1];
    ssize_t size = -1;
    if (jail_place_open(root, path, false, &place)) {
        size = readlinkat(place.folder, place.name, target, sizeof target - 1);
    }
    (void)jail_place_close(&place, size >= 0);
    if (size < 0) {
        return NULL;
    }
    target[size] = '\0';
    if (target[0] == '/') {
        errno = EPERM;
        return NULL;
    }
    return xstrdup(target);
}

// ---- whole files
// --------------------------------------------------------------------------------------

static bool append_content(int handle, uint64_t most, struct buf *out) {
    struct stat info;
    if (fstat(handle, &info) != 0) {
        return false;
    }
    if (!S_ISREG(info.st_mode)) {
        errno = S_ISDIR(info.st_mode) ? EISDIR : ENXIO;
        return false;
    }
    // By what is read, not by what the file system says: the file may grow meanwhile.
    uint64_t total = 0;
    size_t step = info.st_size > 0 && (uint64_t)info.st_size <= most ? (size_t)info.st_size + 1
                                                                     : (size_t)4096;
    for (;;) {
        uint8_t *at = buf_reserve(out, step);
        ssize_t size = read(handle, at, step);
        if (size == 0 || (size < 0 && errno != EINTR)) {
            return size == 0;
        }
        size_t got = size > 0 ? (size_t)size : 0;
        total += got;
        if (total > most) {
            errno = EFBIG;
            return false;
        }
        out->size += got;
        step = 65536;
    }
}

bool jail_read_file(int root, const char *path, uint64_t most, struct buf *out) {
    int handle = jail_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (handle < 0) {
        return false;
    }
    bool good = append_content(handle, most, out);
    close_keeping_errno(handle);
    return good;
}

static bool sync_folder(int folder) {
    int handle = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = handle >= 0 && fsync(handle) == 0;
    if (handle >= 0) {
        close_keeping_errno(handle);
    }
    return good;
}

// The mode of the file that is replaced; of anything else what the umask leaves.
static bool take_mode(const struct jail_place *place, int handle) {
    struct stat info;
    bool replaces = fstatat(place->folder, place->name, &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (replaces && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        return false;
    }
    return !replaces || !S_ISREG(info.st_mode) || fchmod(handle, info.st_mode & 0777) == 0;
}

static bool fill(int handle, struct slice content, bool syncs) {
    int code = file_write_all(handle, content.data, content.size);
    if (code != 0) {
        errno = code;
    }
    return code == 0 && (!syncs || fsync(handle) == 0);
}

bool jail_write_file(int root, const char *path, struct slice content, uint64_t unique,
                     bool syncs) {
    struct jail_place place;
    char name[40];
    (void)snprintf(name, sizeof name, ".theater-%016llx.tmp", (unsigned long long)unique);
    if (!jail_place_open(root, path, false, &place)) {
        return jail_place_close(&place, false);
    }
    int handle =
        openat(place.folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    bool good = handle >= 0 && take_mode(&place, handle) && fill(handle, content, syncs) &&
                renameat(place.folder, name, place.folder, place.name) == 0;
    if (handle >= 0) {
        int code = errno;
        if (!good) {
            (void)unlinkat(place.folder, name, 0);
        }
        close(handle);
        errno = code;
    }
    good = good && (!syncs || sync_folder(place.folder));
    return jail_place_close(&place, good);
}

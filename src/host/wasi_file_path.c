// SPDX-License-Identifier: Apache-2.0
// Operations by path, each beneath an open folder: see "The jail" in wasi_file.h.
//
// The kernel confines only openat2. Whatever has no form that takes such a handle is done in two
// steps: the folder around the last name is opened beneath the root, and the operation is given
// that handle and the last name, which has no "/" and is not "..", and is never followed.
#include "host/wasi_file_path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATH_MOST_BYTES = 4095, TRIES = 64 };

// ---- opening
// ---------------------------------------------------------------------------------------

// -1 with errno; leading out is EPERM.
static int open_beneath(int folder, const char *path, uint64_t flags, uint64_t mode) {
    struct open_how how = {.flags = flags | O_CLOEXEC,
                           .mode = mode,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long handle = -1;
    // EAGAIN: somebody moved a folder of the path meanwhile, and the kernel cannot tell.
    for (int i = 0; i < TRIES && handle < 0 && (i == 0 || errno == EAGAIN || errno == EINTR); i++) {
        handle = syscall(SYS_openat2, folder, path, &how, sizeof how);
    }
    if (handle < 0 && errno == EXDEV) {
        errno = EPERM;
    }
    return (int)handle;
}

int wasi_path_reopen(int folder) {
    return open_beneath(folder, ".", O_RDONLY | O_DIRECTORY, 0);
}

// Handles run out for the whole node, its chain and its compilers too: guests get no more than
// three quarters of them. New handles have the lowest numbers that are free.
static bool is_scarce(int handle) {
    struct rlimit most;
    return getrlimit(RLIMIT_NOFILE, &most) == 0 && most.rlim_cur != RLIM_INFINITY &&
           (rlim_t)handle >= most.rlim_cur / 4 * 3;
}

// Takes the handle; false with errno when it is nothing for a guest.
static bool keep_opened(struct wasi_file_job *job, int handle) {
    struct wasi_file_info info;
    if (handle < 0) {
        return false;
    }
    int code = 0;
    if (!wasi_file_info_of(handle, &info)) {
        code = errno;
    } else if (info.type != WASI_TYPE_FILE && info.type != WASI_TYPE_FOLDER) {
        code = EPERM;
    } else if (is_scarce(handle)) {
        code = EMFILE;
    }
    if (code != 0) {
        close(handle);
        errno = code;
        return false;
    }
    struct wasi_file *file = xcalloc(1, sizeof *file);
    atomic_init(&file->references, 1);
    file->handle = handle;
    file->flags = job->flags;
    file->type = info.type;
    file->device = info.device;
    file->inode = info.inode;
    job->opened = file;
    return true;
}

// Beneath `other_path` another actor may have put links: none is followed.
bool wasi_file_open_root(struct wasi_file_job *job) {
    const char *around = job->other_path != NULL ? job->other_path : job->path;
    if (strncmp(job->path, around, strlen(around)) != 0) {
        errno = EPERM;
        return false;
    }
    int handle = open(around, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *rest = job->path + strlen(around);
    rest += strspn(rest, "/");
    if (handle < 0 || rest[0] == '\0') {
        return keep_opened(job, handle);
    }
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    int inner = (int)syscall(SYS_openat2, handle, rest, &how, sizeof how);
    int code = errno;
    close(handle);
    errno = code;
    return keep_opened(job, inner);
}

bool wasi_file_open(struct wasi_file_job *job) {
    bool reads = (job->flags & WASI_FLAG_READ) != 0;
    bool writes = (job->flags & WASI_FLAG_WRITE) != 0;
    // A FIFO would hold the thread until its other end is opened.
    uint64_t flags = O_NOCTTY | O_NONBLOCK;
    flags |= writes ? (reads ? O_RDWR : O_WRONLY) : O_RDONLY;
    flags |= (job->open_flags & WASI_OPEN_CREATE) != 0 ? O_CREAT : 0;
    flags |= (job->open_flags & WASI_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0;
    flags |= (job->open_flags & WASI_OPEN_TRUNCATE) != 0 ? O_TRUNC : 0;
    flags |= (job->open_flags & WASI_OPEN_FOLDER) != 0 ? O_DIRECTORY : 0;
    flags |= (job->path_flags & WASI_FOLLOW) != 0 ? 0 : O_NOFOLLOW;
    flags |= (job->flags & WASI_FLAG_FILE_SYNC) != 0 ? O_SYNC : 0;
    flags |= (job->flags & WASI_FLAG_DATA_SYNC) != 0 ? O_DSYNC : 0;
    if ((flags & O_CREAT) != 0 && (flags & O_DIRECTORY) != 0) {
        errno = EINVAL;
        return false;
    }
    uint64_t mode = (flags & O_CREAT) != 0 ? 0666 : 0;
    return keep_opened(job, open_beneath(job->file->handle, job->path, flags, mode));
}

// ---- the last name of a path, in its folder
// ----------------------------------------------------------

struct place {
    int folder;  // -1: errno
    char name[PATH_MOST_BYTES + 1];
};

// Splits the path and opens its folder. Slashes at the end are left out if they may stand there,
// as they may after the name of a folder.
static bool open_place(int root, const char *path, bool may_end_in_slash, struct place *out) {
    out->folder = -1;
    size_t size = strlen(path);
    if (size > PATH_MOST_BYTES) {
        errno = ENAMETOOLONG;
        return false;
    }
    char copy[PATH_MOST_BYTES + 1];
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
    out->folder = open_beneath(root, slash != NULL ? copy : ".", O_PATH | O_DIRECTORY, 0);
    return out->folder >= 0;
}

static bool close_place(struct place *place, bool good) {
    int code = errno;
    if (place->folder >= 0) {
        close(place->folder);
    }
    errno = code;
    return good;
}

bool wasi_file_make_folder(struct wasi_file_job *job) {
    struct place place;
    bool good = open_place(job->file->handle, job->path, true, &place) &&
                mkdirat(place.folder, place.name, 0777) == 0;
    return close_place(&place, good);
}

bool wasi_file_remove_folder(struct wasi_file_job *job) {
    struct place place;
    bool good = open_place(job->file->handle, job->path, true, &place) &&
                unlinkat(place.folder, place.name, AT_REMOVEDIR) == 0;
    return close_place(&place, good);
}

bool wasi_file_remove(struct wasi_file_job *job) {
    struct place place;
    bool good = open_place(job->file->handle, job->path, false, &place) &&
                unlinkat(place.folder, place.name, 0) == 0;
    return close_place(&place, good);
}

// Both places of an operation on two; `operate` gives 0 or -1.
static bool on_two(struct wasi_file_job *job, bool may_end_in_slash,
                   int (*operate)(const struct place *from, const struct place *to)) {
    struct place from, to = {.folder = -1};
    bool good = open_place(job->file->handle, job->path, may_end_in_slash, &from) &&
                open_place(job->other->handle, job->other_path, may_end_in_slash, &to) &&
                operate(&from, &to) == 0;
    good = close_place(&to, good);
    return close_place(&from, good);
}

static int rename_place(const struct place *from, const struct place *to) {
    return renameat(from->folder, from->name, to->folder, to->name);
}

static int link_place(const struct place *from, const struct place *to) {
    return linkat(from->folder, from->name, to->folder, to->name, 0);
}

bool wasi_file_rename(struct wasi_file_job *job) {
    return on_two(job, true, rename_place);
}

bool wasi_file_link(struct wasi_file_job *job) {
    if ((job->path_flags & WASI_FOLLOW) != 0) {
        errno = EINVAL;
        return false;
    }
    return on_two(job, false, link_place);
}

bool wasi_file_symlink(struct wasi_file_job *job) {
    // A link is followed by others than guests too: none may name a place of the host.
    if (job->path[0] == '/') {
        errno = EPERM;
        return false;
    }
    struct place place;
    bool good = open_place(job->file->handle, job->other_path, false, &place) &&
                symlinkat(job->path, place.folder, place.name) == 0;
    return close_place(&place, good);
}

bool wasi_file_read_link(struct wasi_file_job *job) {
    struct place place;
    char target[PATH_MOST_BYTES + 1];
    ssize_t size = -1;
    if (open_place(job->file->handle, job->path, false, &place)) {
        size = readlinkat(place.folder, place.name, target, sizeof target - 1);
    }
    (void)close_place(&place, size >= 0);
    if (size < 0) {
        return false;
    }
    target[size] = '\0';
    // As WASI says, and so that no path of the host is told.
    if (target[0] == '/') {
        errno = EPERM;
        return false;
    }
    job->text = xstrdup(target);
    return true;
}

// ---- by path, with or without following a link at its end
// --------------------------------------------

static int open_named(struct wasi_file_job *job) {
    uint64_t follow = (job->path_flags & WASI_FOLLOW) != 0 ? 0 : O_NOFOLLOW;
    return open_beneath(job->file->handle, job->path, O_PATH | follow, 0);
}

bool wasi_file_stat_at(struct wasi_file_job *job) {
    int handle = open_named(job);
    if (handle < 0) {
        return false;
    }
    bool good = wasi_file_info_of(handle, &job->info);
    int code = errno;
    close(handle);
    errno = code;
    if (good) {
        wasi_file_hash(job);
    }
    return good;
}

bool wasi_file_set_times_at(struct wasi_file_job *job) {
    struct timespec times[2];
    if (!wasi_file_times_of(job, times)) {
        return false;
    }
    int handle = open_named(job);
    if (handle < 0) {
        return false;
    }
    bool good = utimensat(handle, "", times, AT_EMPTY_PATH) == 0;
    int code = errno;
    close(handle);
    errno = code;
    return good;
}

// ---- temporary folders
// -------------------------------------------------------------------------------

bool wasi_file_make_temporary(struct wasi_file_job *job) {
    const char *around = getenv("TMPDIR");
    struct buf path = {0};
    buf_format(&path, "%s/theater-actor-XXXXXX",
               around != NULL && around[0] == '/' ? around : "/tmp");
    job->text = xstrdup(buf_text(&path));
    buf_release(&path);
    return mkdtemp(job->text) != NULL;
}

// What is beneath a folder is removed by handles, never by a path: another actor that may write
// around it cannot lead the node out with a link. A guest's tree may be deeper than any path or the
// number of handles, so a folder that is not empty is moved up to the top and emptied there.
struct removal {
    int top;
    uint64_t moved;
    bool has_progress;
};

static bool is_dot(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

// Takes the handle; NULL: there was none.
static DIR *stream_of(int handle) {
    DIR *stream = handle >= 0 ? fdopendir(handle) : NULL;
    if (stream == NULL && handle >= 0) {
        close(handle);
    }
    return stream;
}

// NULL: it is no folder that can be listed, or lies on another file system.
static DIR *open_entries(int folder, const char *name) {
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    return stream_of((int)syscall(SYS_openat2, folder, name, &how, sizeof how));
}

static bool remove_entry(int folder, const char *name) {
    return unlinkat(folder, name, 0) == 0 || unlinkat(folder, name, AT_REMOVEDIR) == 0;
}

// Empties a folder of the top one; what cannot be removed stays.
static void empty(struct removal *removal, const char *name) {
    DIR *stream = open_entries(removal->top, name);
    const struct dirent *entry = NULL;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (is_dot(entry->d_name)) {
            continue;
        }
        bool is_gone = remove_entry(dirfd(stream), entry->d_name);
        for (int i = 0; i < TRIES && !is_gone; i++) {
            char place[32];
            (void)snprintf(place, sizeof place, ".%llx", (unsigned long long)removal->moved++);
            // What stands there already goes as well: at worst it goes now.
            is_gone = renameat(dirfd(stream), entry->d_name, removal->top, place) == 0;
        }
        removal->has_progress = removal->has_progress || is_gone;
    }
    if (stream != NULL) {
        closedir(stream);
    }
}

bool wasi_file_remove_tree(struct wasi_file_job *job) {
    DIR *stream = stream_of(open(job->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct removal removal = {.top = stream != NULL ? dirfd(stream) : -1, .has_progress = true};
    while (stream != NULL && removal.has_progress) {
        removal.has_progress = false;
        rewinddir(stream);
        const struct dirent *entry = NULL;
        while ((entry = readdir(stream)) != NULL) {
            if (is_dot(entry->d_name)) {
                continue;
            }
            char name[sizeof entry->d_name];
            memcpy(name, entry->d_name, strlen(entry->d_name) + 1);
            bool is_gone = remove_entry(removal.top, name);
            if (!is_gone) {
                empty(&removal, name);
                is_gone = remove_entry(removal.top, name);
            }
            removal.has_progress = removal.has_progress || is_gone;
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    return rmdir(job->path) == 0;
}

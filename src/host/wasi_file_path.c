// SPDX-License-Identifier: Apache-2.0
// Operations by path, each beneath an open folder (io/jail.h).
#include "host/wasi_file_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/jail.h"

// ---- opening
// ---------------------------------------------------------------------------------------

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
    } else if (jail_is_scarce(handle)) {
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

bool wasi_file_open_root(struct wasi_file_job *job) {
    return keep_opened(job, jail_open_root(job->path, job->other_path));
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
    return keep_opened(job, jail_open(job->file->handle, job->path, flags, mode));
}

// ---- names in a folder
// -----------------------------------------------------------------------------

bool wasi_file_make_folder(struct wasi_file_job *job) {
    return jail_make_folder(job->file->handle, job->path);
}

bool wasi_file_remove_folder(struct wasi_file_job *job) {
    return jail_remove_folder(job->file->handle, job->path);
}

bool wasi_file_remove(struct wasi_file_job *job) {
    return jail_remove_file(job->file->handle, job->path);
}

bool wasi_file_rename(struct wasi_file_job *job) {
    return jail_rename(job->file->handle, job->path, job->other->handle, job->other_path);
}

bool wasi_file_link(struct wasi_file_job *job) {
    if ((job->path_flags & WASI_FOLLOW) != 0) {
        errno = EINVAL;
        return false;
    }
    return jail_link(job->file->handle, job->path, job->other->handle, job->other_path);
}

bool wasi_file_symlink(struct wasi_file_job *job) {
    return jail_symlink(job->file->handle, job->other_path, job->path);
}

bool wasi_file_read_link(struct wasi_file_job *job) {
    job->text = jail_read_link(job->file->handle, job->path);
    return job->text != NULL;
}

bool wasi_file_list(struct wasi_file_job *job) {
    job->folder = jail_list(job->file->handle, ".");
    return job->folder != NULL;
}

// ---- by path, with or without following a link at its end
// --------------------------------------------

static int open_named(struct wasi_file_job *job) {
    uint64_t follow = (job->path_flags & WASI_FOLLOW) != 0 ? 0 : O_NOFOLLOW;
    return jail_open(job->file->handle, job->path, O_PATH | follow, 0);
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

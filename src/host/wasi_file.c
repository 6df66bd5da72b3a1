// SPDX-License-Identifier: Apache-2.0
// Open files, jobs, and the operations on one open file. See wasi_file.h; paths are resolved in
// wasi_file_path.c.
#include "host/wasi_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "codec/sha256.h"
#include "host/wasi_file_path.h"

// ---- open files and jobs
// ---------------------------------------------------------------------------

struct wasi_file *wasi_file_ref(struct wasi_file *file) {
    if (file != NULL) {
        atomic_fetch_add_explicit(&file->references, 1, memory_order_relaxed);
    }
    return file;
}

void wasi_file_unref(struct wasi_file *file) {
    // Acquire and release: whoever closes it comes after all other uses.
    if (file != NULL &&
        atomic_fetch_sub_explicit(&file->references, 1, memory_order_acq_rel) == 1) {
        close(file->handle);
        free(file);
    }
}

static struct wasi_file_job *job_of(struct actor_job *job) {
    return CONTAINER_OF(job, struct wasi_file_job, job);
}

static void run_job(struct actor_job *actor_job) {
    struct wasi_file_job *job = job_of(actor_job);
    // Once more: what went wrong before is of no interest.
    errno = 0;
    if (!job->operate(job) && job->failure == WASI_FAILURE_COUNT) {
        job->failure = wasi_failure_of(errno);
    }
}

static void release_job(struct actor_job *actor_job) {
    struct wasi_file_job *job = job_of(actor_job);
    wasi_file_unref(job->file);
    wasi_file_unref(job->other);
    wasi_file_unref(job->opened);
    jail_list_free(job->folder);
    free(job->path);
    free(job->other_path);
    free(job->data);
    free(job->text);
    free(job);
}

struct wasi_file_job *wasi_file_job_new(bool (*operate)(struct wasi_file_job *job),
                                        struct wasi_file *file, struct wasi_file *other) {
    struct wasi_file_job *job = xcalloc(1, sizeof *job);
    actor_job_init(&job->job, run_job, release_job);
    job->operate = operate;
    job->file = wasi_file_ref(file);
    job->other = wasi_file_ref(other);
    job->failure = WASI_FAILURE_COUNT;
    return job;
}

// ---- what the system says
// --------------------------------------------------------------------------

enum wasi_failure wasi_failure_of(int code) {
    static const struct {
        int code;
        enum wasi_failure failure;
    } failures[] = {
        {EACCES, WASI_ACCESS},
        {EAGAIN, WASI_WOULD_BLOCK},
        {EBADF, WASI_BAD_DESCRIPTOR},
        {EBUSY, WASI_BUSY},
        {EDQUOT, WASI_QUOTA},
        {EMFILE, WASI_QUOTA},
        {ENFILE, WASI_QUOTA},
        {EEXIST, WASI_EXIST},
        {EFBIG, WASI_FILE_TOO_LARGE},
        {EILSEQ, WASI_ILLEGAL_BYTE_SEQUENCE},
        {EINTR, WASI_INTERRUPTED},
        {EINVAL, WASI_INVALID},
        {EISDIR, WASI_IS_DIRECTORY},
        {ELOOP, WASI_LOOP},
        {EMLINK, WASI_TOO_MANY_LINKS},
        {ENAMETOOLONG, WASI_NAME_TOO_LONG},
        {ENODEV, WASI_NO_DEVICE},
        {ENOENT, WASI_NO_ENTRY},
        {ENOLCK, WASI_NO_LOCK},
        {ENOMEM, WASI_INSUFFICIENT_MEMORY},
        {ENOSPC, WASI_INSUFFICIENT_SPACE},
        {ENOTDIR, WASI_NOT_DIRECTORY},
        {ENOTEMPTY, WASI_NOT_EMPTY},
        {ENOTSUP, WASI_UNSUPPORTED},
        {ENOSYS, WASI_UNSUPPORTED},
        {ENXIO, WASI_NO_SUCH_DEVICE},
        {EOVERFLOW, WASI_OVERFLOW},
        {EPERM, WASI_NOT_PERMITTED},
        {EPIPE, WASI_PIPE},
        {EROFS, WASI_READ_ONLY},
        {ESPIPE, WASI_INVALID_SEEK},
        {ETXTBSY, WASI_TEXT_FILE_BUSY},
        {EXDEV, WASI_CROSS_DEVICE},
    };
    for (size_t i = 0; i < COUNT_OF(failures); i++) {
        if (failures[i].code == code) {
            return failures[i].failure;
        }
    }
    return WASI_IO;
}

enum wasi_file_type wasi_file_type_of(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFBLK:
            return WASI_TYPE_BLOCK_DEVICE;
        case S_IFCHR:
            return WASI_TYPE_CHARACTER_DEVICE;
        case S_IFDIR:
            return WASI_TYPE_FOLDER;
        case S_IFIFO:
            return WASI_TYPE_FIFO;
        case S_IFLNK:
            return WASI_TYPE_LINK;
        case S_IFREG:
            return WASI_TYPE_FILE;
        case S_IFSOCK:
            return WASI_TYPE_SOCKET;
        default:
            return WASI_TYPE_UNKNOWN;
    }
}

// Times before 1970 count as 1970.
static uint64_t nanoseconds_of(struct timespec time) {
    return time.tv_sec < 0 ? 0 : (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

bool wasi_file_info_of(int handle, struct wasi_file_info *out) {
    struct stat info;
    if (fstat(handle, &info) != 0) {
        return false;
    }
    *out = (struct wasi_file_info){.type = wasi_file_type_of(info.st_mode),
                                   .links = (uint64_t)info.st_nlink,
                                   .size = (uint64_t)info.st_size,
                                   .access_ns = nanoseconds_of(info.st_atim),
                                   .change_ns = nanoseconds_of(info.st_ctim),
                                   .modify_ns = nanoseconds_of(info.st_mtim),
                                   .device = (uint64_t)info.st_dev,
                                   .inode = (uint64_t)info.st_ino};
    return true;
}

// Tells files apart without giving their numbers away.
void wasi_file_hash(struct wasi_file_job *job) {
    uint64_t words[2] = {job->info.device, job->info.inode};
    uint8_t hash[SHA256_BYTES];
    sha256(slice_of(words, sizeof words), hash);
    memcpy(job->hash, hash, sizeof job->hash);
}

// ---- operations on an open file
// --------------------------------------------------------------------

bool wasi_file_read(struct wasi_file_job *job) {
    if (job->offset > INT64_MAX) {
        return true;
    }
    job->data = xmalloc(job->size);
    ssize_t size = 0;
    do {
        size = pread(job->file->handle, job->data, job->size, (off_t)job->offset);
    } while (size < 0 && errno == EINTR);
    job->done = size < 0 ? 0 : (uint64_t)size;
    return size >= 0;
}

bool wasi_file_write(struct wasi_file_job *job) {
    while (job->done < job->size) {
        struct iovec rest = {.iov_base = job->data + job->done,
                             .iov_len = (size_t)(job->size - job->done)};
        off_t at = (off_t)(job->offset + job->done);
        if (!job->is_append && at < 0) {
            errno = EFBIG;
            return false;
        }
        ssize_t size = job->is_append ? pwritev2(job->file->handle, &rest, 1, 0, RWF_APPEND)
                                      : pwrite(job->file->handle, rest.iov_base, rest.iov_len, at);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0) {
            return job->may_be_short && job->done > 0;
        }
        job->done += (uint64_t)size;
    }
    return true;
}

bool wasi_file_sync(struct wasi_file_job *job) {
    return fsync(job->file->handle) == 0;
}

bool wasi_file_sync_data(struct wasi_file_job *job) {
    return fdatasync(job->file->handle) == 0;
}

bool wasi_file_resize(struct wasi_file_job *job) {
    if (job->size > INT64_MAX) {
        errno = EFBIG;
        return false;
    }
    return ftruncate(job->file->handle, (off_t)job->size) == 0;
}

bool wasi_file_stat(struct wasi_file_job *job) {
    if (!wasi_file_info_of(job->file->handle, &job->info)) {
        return false;
    }
    wasi_file_hash(job);
    return true;
}

bool wasi_file_times_of(const struct wasi_file_job *job, struct timespec out[2]) {
    const struct wasi_file_time *times[2] = {&job->access, &job->modify};
    for (int i = 0; i < 2; i++) {
        out[i] = (struct timespec){.tv_nsec = times[i]->which == 0 ? UTIME_OMIT : UTIME_NOW};
        if (times[i]->which == 2) {
            if (times[i]->seconds > INT64_MAX || times[i]->nanoseconds >= 1000000000U) {
                errno = EINVAL;
                return false;
            }
            out[i].tv_sec = (time_t)times[i]->seconds;
            out[i].tv_nsec = (long)times[i]->nanoseconds;
        }
    }
    return true;
}

bool wasi_file_set_times(struct wasi_file_job *job) {
    struct timespec times[2];
    return wasi_file_times_of(job, times) && futimens(job->file->handle, times) == 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status read_all(int descriptor, const char *path, uint64_t limit_bytes,
                            struct bytes **out, struct error *error) {
    struct stat info;
    if (fstat(descriptor, &info) != 0) {
        return error_set_os(error, errno, "cannot read %s", path);
    }
    if (!S_ISREG(info.st_mode)) {
        return error_set(error, ERR_INVALID, "%s is not a regular file", path);
    }
    if ((uint64_t)info.st_size > limit_bytes) {
        return error_set(error, ERR_LIMIT, "%s has %lld bytes; at most %llu are allowed", path,
                         (long long)info.st_size, (unsigned long long)limit_bytes);
    }
    struct bytes *content = bytes_new((size_t)info.st_size);
    size_t at = 0;
    while (at < content->size) {
        ssize_t got = read(descriptor, content->data + at, content->size - at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            int reason = got < 0 ? errno : EIO;
            bytes_unref(content);
            return error_set_os(error, reason, "cannot read %s", path);
        }
        at += (size_t)got;
    }
    *out = content;
    return OK;
}

enum status file_read(const char *path, uint64_t limit_bytes, struct bytes **out,
                      struct error *error) {
    // O_NONBLOCK: opening a FIFO by mistake must not hang; it has no effect on regular files.
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        return error_set_os(error, errno, "cannot open %s", path);
    }
    enum status status = read_all(descriptor, path, limit_bytes, out, error);
    close(descriptor);
    return status;
}

int file_write_all(int descriptor, const void *data, size_t size) {
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t put = write(descriptor, at, size);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return put < 0 ? errno : EIO;
        }
        at += put;
        size -= (size_t)put;
    }
    return 0;
}

// The rename itself is on disk only once the folder is.
static int sync_folder_of(const char *path) {
    char *folder = file_folder(path);
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (descriptor < 0) {
        return errno == EACCES ? 0 : errno;  // a folder may be writable and not readable
    }
    int failed = fsync(descriptor) != 0 ? errno : 0;
    close(descriptor);
    return failed == EINVAL ? 0 : failed;  // some file systems sync no folders
}

enum status file_write_atomic(const char *path, struct slice content, uint32_t mode,
                              struct error *error) {
    struct buf name = {0};
    buf_format(&name, "%s.XXXXXX", path);
    char *temporary = xstrdup(buf_text(&name));
    buf_release(&name);
    enum status status = OK;
    int descriptor = mkostemp(temporary, O_CLOEXEC);
    if (descriptor < 0) {
        status = error_set_os(error, errno, "cannot create %s", temporary);
        free(temporary);
        return status;
    }
    int failed = file_write_all(descriptor, content.data, content.size);
    if (failed == 0 && fchmod(descriptor, (mode_t)mode) != 0) {
        failed = errno;
    }
    if (failed == 0 && fsync(descriptor) != 0) {
        failed = errno;
    }
    if (close(descriptor) != 0 && failed == 0) {
        failed = errno;
    }
    if (failed == 0 && rename(temporary, path) != 0) {
        failed = errno;
    }
    if (failed != 0) {
        unlink(temporary);
    } else {
        failed = sync_folder_of(path);
    }
    if (failed != 0) {
        status = error_set_os(error, failed, "cannot write %s", path);
    }
    free(temporary);
    return status;
}

enum status file_make_folders(const char *path, uint32_t mode, struct error *error) {
    if (path[0] == '\0') {
        return error_set(error, ERR_INVALID, "cannot create a folder with an empty name");
    }
    char *partial = xstrdup(path);
    enum status status = OK;
    for (char *at = partial + 1; status == OK; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        char kept = *at;
        *at = '\0';
        struct stat info;
        if (mkdir(partial, (mode_t)mode) != 0) {
            int reason = errno;
            if (stat(partial, &info) != 0 || !S_ISDIR(info.st_mode)) {
                status = error_set_os(error, reason, "cannot create folder %s", partial);
            }
        }
        *at = kept;
        if (kept == '\0') {
            break;
        }
    }
    free(partial);
    return status;
}

char *file_join(const char *folder, const char *path) {
    if (path[0] == '/') {
        return xstrdup(path);
    }
    struct buf joined = {0};
    buf_format(&joined, "%s/%s", folder, path);
    char *result = xstrdup(buf_text(&joined));
    buf_release(&joined);
    return result;
}

char *file_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return xstrdup(".");
    }
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

enum status file_remove_tree(const char *path, struct error *error) {
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) {
        return error_set_os(error, errno, "cannot remove %s", path);
    }
    return OK;
}

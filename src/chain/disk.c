// SPDX-License-Identifier: Apache-2.0
// The disk as the operating system gives it. What the functions promise: disk.h.
#include "chain/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int system_create(void *context, const char *path) {
    (void)context;
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return file < 0 ? -errno : file;
}

static int system_open(void *context, const char *path) {
    (void)context;
    int file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return file < 0 ? -errno : file;
}

static void system_close(void *context, int file) {
    (void)context;
    close(file);
}

static ssize_t system_write(void *context, int file, const void *data, size_t size,
                            uint64_t offset) {
    (void)context;
    ssize_t put = 0;
    do {
        put = pwrite(file, data, size, (off_t)offset);
    } while (put < 0 && errno == EINTR);
    if (put == 0) {
        return -EIO;
    }
    return put < 0 ? -errno : put;
}

static int system_reserve(void *context, int file, uint64_t size) {
    (void)context;
    return fallocate(file, 0, 0, (off_t)size) != 0 ? errno : 0;
}

static int system_trim(void *context, int file, uint64_t size) {
    (void)context;
    return ftruncate(file, (off_t)size) != 0 ? errno : 0;
}

static int system_sync(void *context, int file, bool is_whole) {
    (void)context;
    return (is_whole ? fsync(file) : fdatasync(file)) != 0 ? errno : 0;
}

static int system_rename(void *context, const char *from, const char *to) {
    (void)context;
    return rename(from, to) != 0 ? errno : 0;
}

static int system_remove(void *context, const char *path) {
    (void)context;
    return unlink(path) != 0 ? errno : 0;
}

static int system_sync_folder(void *context, const char *path) {
    (void)context;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int reason = folder < 0 || fsync(folder) != 0 ? errno : 0;
    if (folder >= 0) {
        close(folder);
    }
    return reason;
}

const struct chain_disk *chain_disk_system(void) {
    static const struct chain_disk disk = {
        .create = system_create,
        .open = system_open,
        .close = system_close,
        .write = system_write,
        .reserve = system_reserve,
        .trim = system_trim,
        .sync = system_sync,
        .rename = system_rename,
        .remove = system_remove,
        .sync_folder = system_sync_folder,
    };
    return &disk;
}

int disk_write_all(const struct chain_disk *disk, int file, const void *data, uint64_t size,
                   uint64_t offset) {
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t put = disk->write(disk->context, file, at, (size_t)size, offset);
        if (put <= 0) {
            return put < 0 ? (int)-put : EIO;
        }
        at += put;
        offset += (uint64_t)put;
        size -= (uint64_t)put;
    }
    return 0;
}

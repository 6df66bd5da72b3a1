// SPDX-License-Identifier: Apache-2.0
// Files of the code cache:
//
//   <folder>/<key>.so     shared object, followed by a trailer of 12 bytes:
//                         CRC32C of everything before it (4, little-endian) | "thtrcode" (8)
//   <folder>/<key>.valid  what is known of a component's core modules (findings.c)
//   <folder>/<key>.lock   held with flock while some process builds <key>.so
//   <folder>/<key>.build  folder in which it does
//   <folder>/<key>.failed why <key>.so could not be built: nodes do not try again by themselves
//   <folder>/tools        versions of the tools that filled the cache, for nodes without them
//
// The folder holds code that this process will run, so it and the files must belong to this user
// and be writable by nobody else. Whoever can write there can run code as this user anyway, so the
// trailer is no signature: it finds damage by accident before the loader meets it, and a CRC does
// that ten times as fast as a cryptographic hash.
#include "wasm/cache.h"

#include <assert.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "codec/crc32c.h"
#include "codec/sha256.h"

static const char magic[8] = {'t', 'h', 't', 'r', 'c', 'o', 'd', 'e'};
enum { CHECKSUM_BYTES = 4, TRAILER_BYTES = CHECKSUM_BYTES + sizeof magic };
enum { REASON_BYTES_MAX = 4096 };
static const uint64_t OBJECT_BYTES_MAX = UINT64_C(1) << 30;

enum status wasm_cache_check_folder(const char *folder, struct error *error) {
    struct stat info;
    enum status status = file_make_folders(folder, 0700, error);
    if (status != OK)
        return error_context(error, "code cache");
    if (lstat(folder, &info) != 0)
        return error_set_os(error, errno, "code cache %s", folder);
    if (!S_ISDIR(info.st_mode))
        return error_set(error, ERR_INVALID, "code cache %s is not a folder", folder);
    if (info.st_uid != geteuid())
        return error_set(error, ERR_DENIED,
                         "code cache %s belongs to user %u, not to this one (%u)", folder,
                         info.st_uid, geteuid());
    if ((info.st_mode & 077) != 0)
        return error_set(error, ERR_DENIED,
                         "code cache %s can be reached by other users (mode %03o): run chmod 700",
                         folder, info.st_mode & 0777);
    return OK;
}

static enum status check_owner(const char *path, struct stat *info, struct error *error) {
    if (lstat(path, info) != 0)
        return error_set_os(error, errno, "%s", path);
    if (!S_ISREG(info->st_mode) || info->st_uid != geteuid() || (info->st_mode & 022) != 0)
        return error_set(error, ERR_DENIED,
                         "%s is not a plain file of this user that only it can write", path);
    return OK;
}

enum status wasm_cache_check_file(const char *path, struct error *error) {
    struct stat info;
    return check_owner(path, &info, error);
}

static void put_checksum(struct slice content, uint8_t out[CHECKSUM_BYTES]) {
    uint32_t checksum = crc32c(0, content);
    for (int i = 0; i < CHECKSUM_BYTES; i++)
        out[i] = (uint8_t)(checksum >> (8 * i));
}

static enum status check_object(const char *path, struct error *error) {
    struct stat info;
    enum status status = check_owner(path, &info, error);
    if (status != OK)
        return status;
    if (info.st_size <= TRAILER_BYTES || (uint64_t)info.st_size > OBJECT_BYTES_MAX)
        return error_set(error, ERR_DAMAGED, "%s is damaged", path);
    size_t size = (size_t)info.st_size - TRAILER_BYTES;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0)
        return error_set_os(error, errno, "%s", path);
    // Mapped, not read: the loader will map it as well. Nobody writes to a file of the cache, and
    // nobody else can; one that is shortened all the same ends the process with a bus error.
    uint8_t *content =
        mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, descriptor, 0);
    (void)close(descriptor);
    if (content == MAP_FAILED)
        return error_set_os(error, errno, "mapping %s", path);
    uint8_t checksum[CHECKSUM_BYTES];
    put_checksum(slice_of(content, size), checksum);
    bool fine = memcmp(content + size, checksum, CHECKSUM_BYTES) == 0 &&
                memcmp(content + size + CHECKSUM_BYTES, magic, sizeof magic) == 0;
    (void)munmap(content, (size_t)info.st_size);
    return fine ? OK : error_set(error, ERR_DAMAGED, "%s is damaged", path);
}

enum status wasm_cache_load(const char *path, const struct wasm_module *module, void **handle,
                            const struct wasm_rt_code **code, struct error *error) {
    enum status status = check_object(path, error);
    if (status != OK)
        return status;
    void *opened = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (opened == NULL)
        return error_set(error, ERR_DAMAGED, "cannot load %s: %s", path, dlerror());
    const struct wasm_rt_code *found = dlsym(opened, "theater_wasm_code");
    if (found == NULL || found->abi != WASM_RT_ABI || found->import_count != module->import_count ||
        found->export_count != module->export_count) {
        (void)dlclose(opened);
        return error_set(error, ERR_DAMAGED, "%s is not code of this module", path);
    }
    found->load(wasm_api());
    *handle = opened;
    *code = found;
    return OK;
}

enum status wasm_cache_store(const char *built, const char *path, struct error *error) {
    struct bytes *content = NULL;
    enum status status = file_read(built, OBJECT_BYTES_MAX, &content, error);
    if (status != OK)
        return status;
    struct buf file = {0};
    uint8_t checksum[CHECKSUM_BYTES];
    put_checksum(bytes_slice(content), checksum);
    buf_append_slice(&file, bytes_slice(content));
    buf_append(&file, checksum, sizeof checksum);
    buf_append(&file, magic, sizeof magic);
    // A new inode: a process that has the old file loaded keeps it.
    status = file_write_atomic(path, buf_slice(&file), 0600, error);
    buf_release(&file);
    bytes_unref(content);
    return status;
}

// How often a lock that somebody else holds is tried: flock cannot wait for a descriptor as well.
enum { LOCK_RETRY_MS = 50 };

// Opens and locks; -1 with errno set, ECANCELED when `cancel` became readable.
static int open_locked(const char *path, int cancel) {
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        int reason = errno;
        struct pollfd entry = {.fd = cancel, .events = POLLIN};
        // A negative descriptor is passed over, and this is a pause.
        if (reason == EWOULDBLOCK && poll(&entry, 1, LOCK_RETRY_MS) > 0)
            reason = ECANCELED;
        if (reason == EWOULDBLOCK || reason == EINTR)
            continue;
        (void)close(descriptor);
        errno = reason;
        return -1;
    }
    return descriptor;
}

int wasm_cache_lock(const char *path, int cancel, struct error *error) {
    for (;;) {
        int descriptor = open_locked(path, cancel);
        if (descriptor < 0 && errno == ECANCELED) {
            (void)error_set(error, ERR_STOPPING,
                            "another process builds the same code, and the node stops");
            return -1;
        }
        if (descriptor < 0) {
            (void)error_set_os(error, errno, "lock file %s of the code cache", path);
            return -1;
        }
        // The one who held it before may have removed it: then others lock a new file.
        struct stat held, present;
        if (fstat(descriptor, &held) == 0 && stat(path, &present) == 0 &&
            held.st_ino == present.st_ino && held.st_dev == present.st_dev)
            return descriptor;
        (void)close(descriptor);
    }
}

void wasm_cache_unlock(const char *path, int descriptor) {
    // Removed while held: whoever waits for this file sees that it is not the one of that name.
    (void)unlink(path);
    (void)close(descriptor);
}

// ---- what builds left --------------------------------------------------------------------------

static void sweep_key(const char *folder, const char *key) {
    char lock[4096], build[4096];
    (void)snprintf(lock, sizeof lock, "%s/%s.lock", folder, key);
    (void)snprintf(build, sizeof build, "%s/%s.build", folder, key);
    int descriptor = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0)
        return;
    struct stat held, present;
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0 || fstat(descriptor, &held) != 0 ||
        stat(lock, &present) != 0 || held.st_ino != present.st_ino) {
        (void)close(descriptor);
        return;
    }
    (void)file_remove_tree(build, NULL);
    wasm_cache_unlock(lock, descriptor);
}

void wasm_cache_sweep(const char *folder) {
    DIR *listing = opendir(folder);
    if (listing == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        const char *dot = strchr(entry->d_name, '.');
        char key[SHA256_TEXT_BYTES];
        if (dot == NULL || dot - entry->d_name != SHA256_TEXT_BYTES - 1 ||
            (strcmp(dot, ".build") != 0 && strcmp(dot, ".lock") != 0))
            continue;
        memcpy(key, entry->d_name, sizeof key - 1);
        key[sizeof key - 1] = 0;
        sweep_key(folder, key);
    }
    (void)closedir(listing);
}

// ---- failures ----------------------------------------------------------------------------------

void wasm_cache_set_failure(const char *path, const char *reason) {
    struct error ignored = {0};
    if (reason == NULL)
        (void)unlink(path);
    else if (file_write_atomic(path, slice_text(reason), 0600, &ignored) != OK)
        log_line(LOG_WARNING, "code cache: %s", ignored.message);
}

bool wasm_cache_get_failure(const char *path, struct error *error) {
    struct bytes *reason = NULL;
    if (access(path, F_OK) != 0 || file_read(path, REASON_BYTES_MAX, &reason, NULL) != OK)
        return false;
    (void)!error_set(error, ERR_INVALID, "%.*s", (int)reason->size, (const char *)reason->data);
    bytes_unref(reason);
    return true;
}

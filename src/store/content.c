// SPDX-License-Identifier: Apache-2.0
#include "store/content.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/pack.h"

enum {
    FOLDERS = 256,
    KNOWN_FILES = 1024,  // whose names are known to be on disk, or will be with the next sync
    NAME_BYTES = 2 + 1 + 62 + 1,  // "ab/" and 62 digits, with the NUL
};

static const char new_folder[] = "new";

struct content_folder {
    int handle;
    bool no_sync;
    _Atomic uint64_t next_name;  // of files being written; relaxed: only unlike each other
    struct packs *packs;         // contents that are no files of their own
    pthread_mutex_t lock;        // guards what follows
    uint8_t known[KNOWN_FILES][SHA256_BYTES];
    bool is_dirty[FOLDERS];  // to be synced by content_sync
    bool has_dirty;
};

// ---- names
// -----------------------------------------------------------------------------------------

static void name_of(const uint8_t hash[SHA256_BYTES], char out[NAME_BYTES]) {
    char text[SHA256_TEXT_BYTES];
    sha256_text(hash, text);
    out[0] = text[0];
    out[1] = text[1];
    out[2] = '/';
    memcpy(out + 3, text + 2, sizeof text - 2);
}

// ---- opening
// ---------------------------------------------------------------------------------------

static bool sync_handle(const struct content_folder *folder, int handle) {
    // Some file systems sync no folders.
    return folder->no_sync || fsync(handle) == 0 || errno == EINVAL;
}

static bool sync_folder(const struct content_folder *folder, const char *name) {
    if (folder->no_sync) {
        return true;
    }
    int handle = openat(folder->handle, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = handle >= 0 && sync_handle(folder, handle);
    int code = errno;
    if (handle >= 0) {
        close(handle);
    }
    errno = code;
    return good;
}

// Makes the folders within, all at once, so that none has to be made, and synced, for a content.
static bool make_folders(struct content_folder *folder) {
    bool is_made = false;
    for (unsigned i = 0; i <= FOLDERS; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "%02x", i);
        if (mkdirat(folder->handle, i < FOLDERS ? name : new_folder, 0700) == 0) {
            is_made = true;
        } else if (errno != EEXIST) {
            return false;
        }
    }
    return !is_made || (sync_handle(folder, folder->handle) && sync_folder(folder, ".."));
}

// Calls `visit` for the name of each entry but "." and "..".
static bool each_entry(const struct content_folder *folder, const char *name,
                       bool (*visit)(void *context, const char *entry), void *context) {
    int handle = openat(folder->handle, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = handle < 0 ? NULL : fdopendir(handle);
    if (stream == NULL) {
        int code = errno;
        if (handle >= 0) {
            close(handle);
        }
        errno = code;
        return false;
    }
    bool good = true;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            good = errno == 0;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !visit(context, entry->d_name)) {
            break;
        }
    }
    int code = errno;
    closedir(stream);
    errno = code;
    return good;
}

static bool remove_unfinished(void *context, const char *entry) {
    const struct content_folder *folder = context;
    char name[300];
    (void)snprintf(name, sizeof name, "%s/%s", new_folder, entry);
    // What cannot be removed is in nobody's way.
    (void)unlinkat(folder->handle, name, 0);
    return true;
}

enum status content_open(const char *path, bool read_only, bool no_sync,
                         struct content_folder **out, struct error *error) {
    if (!read_only) {
        enum status status = file_make_folders(path, 0700, error);
        if (status != OK) {
            return status;
        }
    }
    int handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (handle < 0) {
        return error_set_os(error, errno, "cannot open the store's folder %s", path);
    }
    struct content_folder *folder = xcalloc(1, sizeof *folder);
    folder->handle = handle;
    folder->no_sync = no_sync;
    atomic_init(&folder->next_name, 0);
    (void)pthread_mutex_init(&folder->lock, NULL);
    enum status status = OK;
    if (!read_only &&
        !(make_folders(folder) && each_entry(folder, new_folder, remove_unfinished, folder))) {
        status = error_set_os(error, errno, "cannot use the store's folder %s", path);
    }
    if (status == OK) {
        status = packs_open(handle, read_only, no_sync, &folder->packs, error);
    }
    if (status != OK) {
        content_close(folder);
        return status;
    }
    *out = folder;
    return OK;
}

void content_close(struct content_folder *folder) {
    if (folder->packs != NULL) {
        packs_close(folder->packs);
    }
    (void)pthread_mutex_destroy(&folder->lock);
    close(folder->handle);
    free(folder);
}

// ---- reading
// ---------------------------------------------------------------------------------------

// Reads exactly `size` bytes. False with errno, 0 for a file that is shorter.
static bool read_exactly(int handle, uint8_t *out, uint64_t size) {
    while (size > 0) {
        ssize_t got = read(handle, out, (size_t)size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got == 0 ? 0 : errno;
            return false;
        }
        out += got;
        size -= (uint64_t)got;
    }
    return true;
}

static enum status damaged(const uint8_t hash[SHA256_BYTES], const char *how, struct error *error) {
    char text[SHA256_TEXT_BYTES];
    sha256_text(hash, text);
    return error_set(error, ERR_DAMAGED, "content %s is damaged: %s", text, how);
}

static enum status read_checked(int handle, const uint8_t hash[SHA256_BYTES], uint64_t limit_bytes,
                                struct bytes **out, struct error *error) {
    struct stat info;
    if (fstat(handle, &info) != 0) {
        return error_set_os(error, errno, "the store cannot be read");
    }
    if (!S_ISREG(info.st_mode)) {
        return damaged(hash, "it is no file", error);
    }
    uint64_t size = (uint64_t)info.st_size;
    if (size > limit_bytes) {
        return error_set(error, ERR_LIMIT, "the content has %llu bytes, at most %llu are allowed",
                         (unsigned long long)size, (unsigned long long)limit_bytes);
    }
    struct bytes *content = bytes_new((size_t)size);
    if (!read_exactly(handle, content->data, size)) {
        int code = errno;
        bytes_unref(content);
        return code == 0 ? damaged(hash, "it became shorter while it was read", error)
                         : error_set_os(error, code, "the store cannot be read");
    }
    uint8_t actual[SHA256_BYTES];
    sha256(bytes_slice(content), actual);
    if (memcmp(actual, hash, sizeof actual) != 0) {
        bytes_unref(content);
        return damaged(hash, "its bytes have another hash", error);
    }
    *out = content;
    return OK;
}

// -1 with errno; a symbolic link or FIFO in place of a file is as good as damage.
static int open_content(const struct content_folder *folder, const uint8_t hash[SHA256_BYTES]) {
    char name[NAME_BYTES];
    name_of(hash, name);
    return openat(folder->handle, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static enum status get_file(const struct content_folder *folder, const uint8_t hash[SHA256_BYTES],
                            uint64_t limit_bytes, struct bytes **out, struct error *error) {
    int handle = open_content(folder, hash);
    if (handle < 0 && errno == ENOENT) {
        char text[SHA256_TEXT_BYTES];
        sha256_text(hash, text);
        return error_set(error, ERR_NOT_FOUND, "content does not exist: %s", text);
    }
    if (handle < 0 && errno == ELOOP) {
        return damaged(hash, "it is no file", error);
    }
    if (handle < 0) {
        return error_set_os(error, errno, "the store cannot be read");
    }
    enum status status = read_checked(handle, hash, limit_bytes, out, error);
    close(handle);
    return status;
}

static bool file_size(const struct content_folder *folder, const uint8_t hash[SHA256_BYTES],
                      uint64_t *size_bytes) {
    char name[NAME_BYTES];
    name_of(hash, name);
    struct stat info;
    bool is_there = fstatat(folder->handle, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
    *size_bytes = is_there ? (uint64_t)info.st_size : 0;
    return is_there;
}

enum status content_get(struct content_folder *folder, const uint8_t hash[SHA256_BYTES],
                        uint64_t limit_bytes, struct bytes **out, struct error *error) {
    struct error problem = {0};
    enum status status = packs_get(folder->packs, hash, limit_bytes, out, &problem);
    if (status == ERR_NOT_FOUND) {
        return get_file(folder, hash, limit_bytes, out, error);
    }
    // What is damaged in a pack may have been put again, as a file.
    uint64_t size = 0;
    if (status == ERR_DAMAGED && file_size(folder, hash, &size)) {
        return get_file(folder, hash, limit_bytes, out, error);
    }
    return status == OK ? OK : error_set(error, status, "%s", problem.message);
}

bool content_size(struct content_folder *folder, const uint8_t hash[SHA256_BYTES],
                  uint64_t *size_bytes) {
    return packs_find(folder->packs, hash, size_bytes) || file_size(folder, hash, size_bytes);
}
// ---- writing
// ---------------------------------------------------------------------------------------

// Whether the file holds this content, compared in pieces.
static bool holds(const struct content_folder *folder, struct slice content,
                  const uint8_t hash[SHA256_BYTES]) {
    enum { PIECE_BYTES = 65536 };
    int handle = open_content(folder, hash);
    struct stat info;
    bool good = handle >= 0 && fstat(handle, &info) == 0 && S_ISREG(info.st_mode) &&
                (uint64_t)info.st_size == content.size;
    uint8_t *piece = good ? xmalloc(PIECE_BYTES) : NULL;
    for (size_t at = 0; good && at < content.size;) {
        size_t size = content.size - at < PIECE_BYTES ? content.size - at : PIECE_BYTES;
        good = read_exactly(handle, piece, size) && memcmp(piece, content.data + at, size) == 0;
        at += size;
    }
    free(piece);
    if (handle >= 0) {
        close(handle);
    }
    return good;
}

// Errno, or 0.
static int write_new(const struct content_folder *folder, const char *name, struct slice content) {
    int handle = openat(folder->handle, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0400);
    if (handle < 0) {
        return errno;
    }
    int code = file_write_all(handle, content.data, content.size);
    if (code == 0 && !sync_handle(folder, handle)) {
        code = errno;
    }
    if (close(handle) != 0 && code == 0) {
        code = errno;
    }
    return code;
}

static bool packed_is_intact(const struct content_folder *folder,
                             const uint8_t hash[SHA256_BYTES]) {
    struct bytes *content = NULL;
    bool is_intact = packs_get(folder->packs, hash, UINT64_MAX, &content, NULL) == OK;
    bytes_unref(content);
    return is_intact;
}

enum status content_put(struct content_folder *folder, struct slice content,
                        const uint8_t hash[SHA256_BYTES], bool is_known, struct error *error) {
    char name[NAME_BYTES], unfinished[64], parent[3];
    name_of(hash, name);
    memcpy(parent, name, 2);
    parent[2] = '\0';
    int code = 0;
    if (packs_find(folder->packs, hash, &(uint64_t){0}) && packed_is_intact(folder, hash)) {
        return packs_sync(folder->packs, error);
    }
    if (!holds(folder, content, hash)) {
        uint64_t number = atomic_fetch_add_explicit(&folder->next_name, 1, memory_order_relaxed);
        (void)snprintf(unfinished, sizeof unfinished, "%s/%ld-%llu", new_folder, (long)getpid(),
                       (unsigned long long)number);
        code = write_new(folder, unfinished, content);
        if (code == 0 && renameat(folder->handle, unfinished, folder->handle, name) != 0) {
            code = errno;
        }
        if (code != 0) {
            (void)unlinkat(folder->handle, unfinished, 0);
        }
        is_known = false;
    }
    // Somebody else may have renamed it a moment ago and not synced the folder yet.
    if (code == 0 && !is_known && !sync_folder(folder, parent)) {
        code = errno;
    }
    return code == 0 ? OK : error_set_os(error, code, "the content cannot be stored");
}

enum status content_note(struct content_folder *folder, struct slice content,
                         const uint8_t hash[SHA256_BYTES], struct error *error) {
    uint64_t size = 0;
    if (packs_find(folder->packs, hash, &size)) {
        return OK;
    }
    // The first bytes of a hash tell the place as well as any.
    size_t place = (size_t)(hash[1] | hash[2] << 8U) % KNOWN_FILES;
    (void)pthread_mutex_lock(&folder->lock);
    bool is_known = memcmp(folder->known[place], hash, SHA256_BYTES) == 0;
    (void)pthread_mutex_unlock(&folder->lock);
    if (is_known) {
        return OK;
    }
    if (!file_size(folder, hash, &size) || size != content.size) {
        return packs_put(folder->packs, content, hash, error);
    }
    // The file is synced, but whether its name is too is known to whoever renamed it alone.
    (void)pthread_mutex_lock(&folder->lock);
    memcpy(folder->known[place], hash, SHA256_BYTES);
    folder->is_dirty[hash[0]] = true;
    folder->has_dirty = true;
    (void)pthread_mutex_unlock(&folder->lock);
    return OK;
}

static enum status sync_dirty(struct content_folder *folder, struct error *error) {
    bool is_dirty[FOLDERS] = {false};
    (void)pthread_mutex_lock(&folder->lock);
    if (folder->has_dirty) {
        memcpy(is_dirty, folder->is_dirty, sizeof is_dirty);
        memset(folder->is_dirty, 0, sizeof folder->is_dirty);
        folder->has_dirty = false;
    }
    (void)pthread_mutex_unlock(&folder->lock);
    for (unsigned i = 0; i < FOLDERS; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "%02x", i);
        if (is_dirty[i] && !sync_folder(folder, name)) {
            return error_set_os(error, errno, "contents cannot be synced");
        }
    }
    return OK;
}

enum status content_sync(struct content_folder *folder, struct error *error) {
    enum status status = packs_sync(folder->packs, error);
    return status == OK ? sync_dirty(folder, error) : status;
}

enum status content_remove(struct content_folder *folder, const uint8_t hash[SHA256_BYTES],
                           struct error *error) {
    char name[NAME_BYTES];
    name_of(hash, name);
    packs_forget(folder->packs, hash);
    if (unlinkat(folder->handle, name, 0) != 0 && errno != ENOENT) {
        return error_set_os(error, errno, "cannot remove content %s", name);
    }
    return OK;
}

// ---- walking
// ---------------------------------------------------------------------------------------

struct walk {
    struct content_folder *contents;
    unsigned number;  // of the folder
    content_visit_fn visit;
    void *context;
    enum status status;
    struct error *error;
};

static bool walk_entry(void *context, const char *entry) {
    struct walk *walk = context;
    char text[300];
    int size = snprintf(text, sizeof text, "%02x%s", walk->number, entry);
    uint8_t hash[SHA256_BYTES];
    // Other files are not ours, and what is in a pack as well was visited there.
    if (size > 0 && sha256_parse(slice_of(text, (size_t)size), hash) &&
        !packs_find(walk->contents->packs, hash, &(uint64_t){0})) {
        walk->status = walk->visit(walk->context, hash, walk->error);
    }
    return walk->status == OK;
}

enum status content_compact(struct content_folder *folder, struct error *error) {
    return packs_compact(folder->packs, error);
}

enum status content_walk(struct content_folder *folder, content_visit_fn visit, void *context,
                         struct error *error) {
    struct walk walk = {.contents = folder, .visit = visit, .context = context, .error = error};
    walk.status = packs_walk(folder->packs, visit, context, error);
    for (; walk.number < FOLDERS && walk.status == OK; walk.number++) {
        char name[8];
        (void)snprintf(name, sizeof name, "%02x", walk.number);
        if (!each_entry(folder, name, walk_entry, &walk)) {
            return error_set_os(error, errno, "cannot read the store's folder %s", name);
        }
    }
    return walk.status;
}

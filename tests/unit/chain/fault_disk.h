// SPDX-License-Identifier: Apache-2.0
// A disk that loses power, runs full and fails, for tests of the log.
//
// The files in the folder are what the running process sees (the page cache). Beside them stands
// what is on the disk for sure, and what was done since and may or may not have got there: writes
// in pieces of a sector, changes of length, names given and taken. A sync makes it sure; a loss of
// power keeps any part of it, as the seed has it, and makes the folder say that.
//
// A sync that fails keeps a part of what was written as well and forgets the rest, as kernels do:
// no later sync of that file brings it to the disk, whether the process still sees it or not.
// (Lengths and names are the file system's own and not forgotten.)
#ifndef TESTS_UNIT_CHAIN_FAULT_DISK_H
#define TESTS_UNIT_CHAIN_FAULT_DISK_H

#include <errno.h>
#include <pthread.h>

#include "chain/disk.h"
#include "support.h"

enum { SECTOR_BYTES = 512, FILES_MOST = 4096, NAMES_MOST = 4096, DESCRIPTORS_MOST = 1024 };

struct fault_change {
    bool is_write;    // else a change of length
    uint64_t offset;  // or the new length
    struct buf data;
};

struct fault_file {
    struct buf sure;
    struct fault_change *changes;
    size_t change_count;
    size_t change_capacity;
};

// One name that was given or taken away; a rename is one change.
struct fault_naming {
    char *name;
    struct fault_file *file;  // NULL: taken away
    char *from;               // taken away in the same change, or NULL
};

struct fault_name {
    char *name;
    struct fault_file *file;
};

struct fault_disk {
    struct chain_disk table;
    pthread_mutex_t lock;
    char *folder;
    uint64_t random;
    struct fault_file *files[FILES_MOST];
    size_t file_count;
    struct fault_file *open[DESCRIPTORS_MOST];
    // What the folder says for sure, what the process sees, and what was done between.
    struct fault_name sure[NAMES_MOST], seen[NAMES_MOST];
    size_t sure_count, seen_count;
    struct fault_naming *namings;
    size_t naming_count, naming_capacity;

    // Faults. Chances are of 1000, of each call.
    uint32_t short_writes, write_errors, sync_errors, room_errors;
    bool drops_pages;    // after a failed sync the process sees what is on the disk
    bool is_full;        // nothing more is made room for
    uint64_t die_after;  // calls, then all fail and nothing happens any more; 0: never
    bool is_dead;
    uint64_t calls;
    uint64_t failed_syncs;
};

static inline uint64_t fault_random(struct fault_disk *disk) {
    uint64_t value = disk->random += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static inline bool fault_chance(struct fault_disk *disk, uint32_t of_1000) {
    return fault_random(disk) % 1000 < of_1000;
}

// ---- files -------------------------------------------------------------------------------------

static inline void fault_apply(struct buf *content, uint64_t offset, struct slice data) {
    if (content->size < offset + data.size) {
        size_t more = (size_t)(offset + data.size) - content->size;
        memset(buf_reserve(content, more), 0, more);
        content->size += more;
    }
    memcpy(content->data + offset, data.data, data.size);
}

static inline void fault_resize(struct buf *content, uint64_t size) {
    if (content->size < size) {
        fault_apply(content, size - 1, slice_of("", 1));
    }
    content->size = (size_t)size;
}

static inline struct fault_change *fault_push(struct fault_file *file) {
    if (file->change_count == file->change_capacity) {
        file->change_capacity = file->change_capacity == 0 ? 16 : 2 * file->change_capacity;
        file->changes = xrealloc(file->changes, file->change_capacity * sizeof *file->changes);
    }
    struct fault_change *change = &file->changes[file->change_count++];
    memset(change, 0, sizeof *change);
    return change;
}

// `of_1000` of what is not sure comes to the disk, the rest never does. A sector is written as it
// was at some moment: without one change, but with a later one, it never was.
static inline void fault_settle(struct fault_disk *disk, struct fault_file *file,
                                uint32_t of_1000) {
    uint64_t most = 0;
    for (size_t i = 0; i < file->change_count; i++) {
        uint64_t end = file->changes[i].offset + file->changes[i].data.size;
        most = end > most ? end : most;
    }
    bool *is_past = xcalloc((size_t)(most / SECTOR_BYTES) + 1, sizeof *is_past);
    for (size_t i = 0; i < file->change_count; i++) {
        struct fault_change *change = &file->changes[i];
        if (!change->is_write && fault_chance(disk, of_1000)) {
            fault_resize(&file->sure, change->offset);
        }
        for (size_t at = 0; change->is_write && at < change->data.size;) {
            size_t piece = SECTOR_BYTES - (size_t)((change->offset + at) % SECTOR_BYTES);
            piece = piece > change->data.size - at ? change->data.size - at : piece;
            bool *is_over = &is_past[(change->offset + at) / SECTOR_BYTES];
            *is_over = *is_over || !fault_chance(disk, of_1000);
            if (!*is_over) {
                fault_apply(&file->sure, change->offset + at,
                            slice_of(change->data.data + at, piece));
            }
            at += piece;
        }
        buf_release(&change->data);
    }
    file->change_count = 0;
    free(is_past);
}

// The same for writes alone; lengths stay open.
static inline void fault_forget(struct fault_disk *disk, struct fault_file *file,
                                uint32_t of_1000) {
    struct buf lengths = {0};
    for (size_t i = 0; i < file->change_count; i++) {
        if (!file->changes[i].is_write) {
            buf_append(&lengths, &file->changes[i].offset, sizeof file->changes[i].offset);
            file->changes[i].is_write = true;
        }
    }
    fault_settle(disk, file, of_1000);
    for (size_t at = 0; at < lengths.size; at += sizeof(uint64_t)) {
        memcpy(&fault_push(file)->offset, lengths.data + at, sizeof(uint64_t));
    }
    buf_release(&lengths);
}

static inline struct fault_file *fault_new_file(struct fault_disk *disk) {
    REQUIRE(disk->file_count < FILES_MOST);
    return disk->files[disk->file_count++] = xcalloc(1, sizeof(struct fault_file));
}

// ---- names -------------------------------------------------------------------------------------

static inline void fault_name_set(struct fault_name *names, size_t *count, const char *name,
                                  struct fault_file *file) {
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(names[i].name, name) == 0) {
            if (file != NULL) {
                names[i].file = file;
            } else {
                free(names[i].name);
                names[i] = names[--*count];
            }
            return;
        }
    }
    if (file != NULL) {
        REQUIRE(*count < NAMES_MOST);
        names[(*count)++] = (struct fault_name){.name = xstrdup(name), .file = file};
    }
}

static inline struct fault_file *fault_find(struct fault_disk *disk, const char *name) {
    for (size_t i = 0; i < disk->seen_count; i++) {
        if (strcmp(disk->seen[i].name, name) == 0) {
            return disk->seen[i].file;
        }
    }
    return NULL;
}

static inline const char *fault_base(const char *path) {
    return strrchr(path, '/') + 1;
}

static inline void fault_rename(struct fault_disk *disk, const char *name, struct fault_file *file,
                                const char *from) {
    if (disk->naming_count == disk->naming_capacity) {
        disk->naming_capacity = disk->naming_capacity == 0 ? 16 : 2 * disk->naming_capacity;
        disk->namings = xrealloc(disk->namings, disk->naming_capacity * sizeof *disk->namings);
    }
    disk->namings[disk->naming_count++] = (struct fault_naming){
        .name = xstrdup(name), .file = file, .from = from != NULL ? xstrdup(from) : NULL};
    fault_name_set(disk->seen, &disk->seen_count, name, file);
    if (from != NULL) {
        fault_name_set(disk->seen, &disk->seen_count, from, NULL);
    }
}

static inline void fault_settle_names(struct fault_disk *disk, uint32_t of_1000) {
    for (size_t i = 0; i < disk->naming_count; i++) {
        struct fault_naming *naming = &disk->namings[i];
        if (fault_chance(disk, of_1000)) {
            fault_name_set(disk->sure, &disk->sure_count, naming->name, naming->file);
            if (naming->from != NULL) {
                fault_name_set(disk->sure, &disk->sure_count, naming->from, NULL);
            }
        }
        free(naming->name);
        free(naming->from);
    }
    disk->naming_count = 0;
}

// ---- the table ---------------------------------------------------------------------------------

// Every call begins with this: an errno value when it is to fail, by `chance` of 1000 (NULL: never)
// or because the disk is dead. Holds the lock until fault_end.
static inline int fault_begin(struct fault_disk *disk, const uint32_t *chance, int reason) {
    (void)pthread_mutex_lock(&disk->lock);
    disk->calls++;
    disk->is_dead |= disk->die_after != 0 && disk->calls > disk->die_after;
    if (disk->is_dead) {
        return EIO;
    }
    return chance != NULL && fault_chance(disk, *chance) ? reason : 0;
}

static inline int fault_end(struct fault_disk *disk, int result) {
    (void)pthread_mutex_unlock(&disk->lock);
    return result;
}

static inline int fault_create(void *context, const char *path) {
    struct fault_disk *disk = context;
    int reason = fault_begin(disk, &disk->write_errors, EIO);
    if (reason == 0 && disk->is_full) {
        reason = ENOSPC;
    }
    if (reason != 0) {
        return fault_end(disk, -reason);
    }
    // A new file even if the name was given: what emptying it would leave is the old one or this.
    (void)unlink(path);
    int file = chain_disk_system()->create(NULL, path);
    REQUIRE(file >= 0 && file < DESCRIPTORS_MOST);
    disk->open[file] = fault_new_file(disk);
    fault_rename(disk, fault_base(path), disk->open[file], NULL);
    return fault_end(disk, file);
}

static inline int fault_open(void *context, const char *path) {
    struct fault_disk *disk = context;
    int reason = fault_begin(disk, NULL, 0);
    int file = reason == 0 ? chain_disk_system()->open(NULL, path) : -reason;
    if (file >= 0) {
        disk->open[file] = fault_find(disk, fault_base(path));
    }
    return fault_end(disk, file);
}

static inline void fault_close(void *context, int file) {
    struct fault_disk *disk = context;
    (void)pthread_mutex_lock(&disk->lock);
    close(file);
    disk->open[file] = NULL;
    (void)pthread_mutex_unlock(&disk->lock);
}

static inline ssize_t fault_write(void *context, int file, const void *data, size_t size,
                                  uint64_t offset) {
    struct fault_disk *disk = context;
    int reason = fault_begin(disk, &disk->write_errors, EIO);
    reason = reason != 0 && !disk->is_dead && fault_random(disk) % 2 == 0 ? ENOSPC : reason;
    if (reason != 0) {
        return fault_end(disk, -reason);
    }
    if (size > 1 && fault_chance(disk, disk->short_writes)) {
        size = 1 + (size_t)(fault_random(disk) % (size - 1));
    }
    struct fault_change *change = fault_push(disk->open[file]);
    change->is_write = true;
    change->offset = offset;
    buf_append(&change->data, data, size);
    REQUIRE(pwrite(file, data, size, (off_t)offset) == (ssize_t)size);
    (void)fault_end(disk, 0);
    return (ssize_t)size;
}

static inline int fault_length(struct fault_disk *disk, int file, uint64_t size) {
    struct fault_change *change = fault_push(disk->open[file]);
    change->offset = size;
    return ftruncate(file, (off_t)size) != 0 ? errno : 0;
}

static inline int fault_reserve(void *context, int file, uint64_t size) {
    struct fault_disk *disk = context;
    int reason = fault_begin(disk, &disk->room_errors, ENOSPC);
    reason = reason == 0 && disk->is_full ? ENOSPC : reason;
    return fault_end(disk, reason != 0 ? reason : fault_length(disk, file, size));
}

static inline int fault_trim(void *context, int file, uint64_t size) {
    struct fault_disk *disk = context;
    int reason = fault_begin(disk, &disk->write_errors, EIO);
    return fault_end(disk, reason != 0 ? reason : fault_length(disk, file, size));
}

static inline int fault_sync(void *context, int file, bool is_whole) {
    struct fault_disk *disk = context;
    (void)is_whole;
    int reason = fault_begin(disk, &disk->sync_errors, EIO);
    struct fault_file *synced = disk->open[file];
    if (reason == 0) {
        fault_settle(disk, synced, 1000);
    } else if (!disk->is_dead) {
        disk->failed_syncs++;
        fault_forget(disk, synced, (uint32_t)(fault_random(disk) % 1000));
        if (disk->drops_pages) {
            REQUIRE(ftruncate(file, 0) == 0 && ftruncate(file, (off_t)synced->sure.size) == 0);
            (void)!pwrite(file, synced->sure.data, synced->sure.size, 0);
        }
    }
    return fault_end(disk, reason);
}

static inline int fault_rename_call(void *context, const char *from, const char *to) {
    struct fault_disk *disk = context;
    int reason = fault_begin(disk, &disk->write_errors, EIO);
    if (reason == 0) {
        REQUIRE(rename(from, to) == 0);
        fault_rename(disk, fault_base(to), fault_find(disk, fault_base(from)), fault_base(from));
    }
    return fault_end(disk, reason);
}

static inline int fault_remove(void *context, const char *path) {
    struct fault_disk *disk = context;
    int reason = fault_begin(disk, NULL, 0);
    if (reason == 0 && fault_find(disk, fault_base(path)) == NULL) {
        reason = ENOENT;
    }
    if (reason == 0) {
        (void)unlink(path);
        fault_rename(disk, fault_base(path), NULL, NULL);
    }
    return fault_end(disk, reason);
}

static inline int fault_sync_folder(void *context, const char *path) {
    struct fault_disk *disk = context;
    (void)path;
    int reason = fault_begin(disk, &disk->sync_errors, EIO);
    if (reason == 0) {
        fault_settle_names(disk, 1000);
    }
    return fault_end(disk, reason);
}

// ---- the whole disk ----------------------------------------------------------------------------

// A disk under an empty folder.
static inline struct fault_disk *fault_disk_new(const char *folder, uint64_t seed) {
    struct fault_disk *disk = xcalloc(1, sizeof *disk);
    disk->folder = xstrdup(folder);
    disk->random = seed;
    REQUIRE(pthread_mutex_init(&disk->lock, NULL) == 0);
    disk->table = (struct chain_disk){.context = disk,
                                      .create = fault_create,
                                      .open = fault_open,
                                      .close = fault_close,
                                      .write = fault_write,
                                      .reserve = fault_reserve,
                                      .trim = fault_trim,
                                      .sync = fault_sync,
                                      .rename = fault_rename_call,
                                      .remove = fault_remove,
                                      .sync_folder = fault_sync_folder};
    return disk;
}

static inline void fault_disk_free(struct fault_disk *disk) {
    fault_settle_names(disk, 0);
    while (disk->sure_count > 0) {
        free(disk->sure[--disk->sure_count].name);
    }
    while (disk->seen_count > 0) {
        free(disk->seen[--disk->seen_count].name);
    }
    for (size_t i = 0; i < disk->file_count; i++) {
        fault_settle(disk, disk->files[i], 0);
        buf_release(&disk->files[i]->sure);
        free(disk->files[i]->changes);
        free(disk->files[i]);
    }
    free(disk->namings);
    free(disk->folder);
    (void)pthread_mutex_destroy(&disk->lock);
    free(disk);
}

// Ends all faults; the disk works again.
static inline void fault_disk_mend(struct fault_disk *disk) {
    disk->short_writes = disk->write_errors = disk->sync_errors = disk->room_errors = 0;
    disk->is_full = disk->drops_pages = disk->is_dead = false;
    disk->die_after = 0;
}

// The power goes and comes back: `of_1000` of what was not sure is there. No file may be open.
static inline void fault_disk_lose_power(struct fault_disk *disk, uint32_t of_1000) {
    for (size_t i = 0; i < disk->file_count; i++) {
        fault_settle(disk, disk->files[i], of_1000);
    }
    fault_settle_names(disk, of_1000);
    while (disk->seen_count > 0) {
        struct fault_name *name = &disk->seen[--disk->seen_count];
        char *path = file_join(disk->folder, name->name);
        (void)unlink(path);
        free(path);
        free(name->name);
    }
    for (size_t i = 0; i < disk->sure_count; i++) {
        struct fault_name *name = &disk->sure[i];
        store_file(disk->folder, name->name, buf_slice(&name->file->sure));
        fault_name_set(disk->seen, &disk->seen_count, name->name, name->file);
    }
}

#endif

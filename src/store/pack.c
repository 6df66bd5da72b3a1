// SPDX-License-Identifier: Apache-2.0
// Which packs there are, what is in them, and writing to the last one.
//
// A small content is written with `lock` held, header and data at once. For a large one only the
// header is, which takes its place, and the data follow without the lock: so that one actor with a
// state of many megabytes does not hold up all others. A crash in between leaves a record whose
// data does not have its hash, which the next opening leaves out.
#include "store/pack.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/env.h"
#include "base/log.h"
#include "store/pack_file.h"
#include "store/pack_table.h"

enum {
    NAME_BYTES = 32,
    SMALL_MOST_BYTES = 65536,  // written with the lock held
    // Files at the end that a crash may have left without an index, all others have theirs.
    UNFINISHED_MOST = 16,
};
#define PACK_BYTES ((uint64_t)64 << 20)  // from here on a new file is begun

static const char packs_folder[] = "packs";

// A file that is written, or was and is not complete yet.
struct pack {
    struct pack *next;
    uint32_t number;
    int file;
    uint64_t size;                // of what is taken
    uint32_t writers;             // that write data without the lock
    bool is_dirty;                // something was written since the last sync began
    bool is_syncing;              // packs_sync uses it without the lock
    struct pack_entries entries;  // for its index
};

struct packs {
    // Fixed.
    int folder;
    bool read_only;
    bool no_sync;
    pthread_mutex_t sync_lock;  // one packs_sync at a time; taken before `lock`
    pthread_mutex_t lock;
    // Guarded by `lock`.
    struct pack_table table;
    struct pack *current;  // appended to; NULL: none yet
    struct pack *full;     // wait to be completed, by packs_sync
    uint32_t last_number;
    uint64_t last_bytes;  // of that file when it was read; for read_only
    bool is_folder_dirty;
    bool is_continued;  // the last file may be appended to
    int failure;        // errno of a sync that failed, or 0
};

static void name_of(uint32_t number, char name[NAME_BYTES]) {
    (void)snprintf(name, NAME_BYTES, "%08u.pack", number);
}

static enum status failed(int code, struct error *error) {
    return error_set_os(error, code, "the content cannot be stored");
}

// ---- opening
// ---------------------------------------------------------------------------------------

// -1 with errno.
static int open_file(const struct packs *packs, uint32_t number, int flags) {
    char name[NAME_BYTES];
    name_of(number, name);
    return openat(packs->folder, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static void note(struct packs *packs, uint32_t number, const struct pack_entries *entries,
                 size_t from) {
    for (size_t i = from; i < entries->count; i++) {
        struct pack_place place = {.pack = number,
                                   .bytes = (uint32_t)entries->items[i].bytes,
                                   .offset = entries->items[i].offset};
        pack_table_set(&packs->table, entries->items[i].hash, &place);
    }
}

// What a crash left without an index gets one. *is_clean as of pack_scan.
static enum status repair(const struct packs *packs, int file, uint32_t number,
                          struct pack_entries *entries, bool *is_clean, struct error *error) {
    uint64_t end = 0, size = 0;
    enum status status = pack_scan(file, number, !packs->read_only, entries, &end, is_clean, error);
    if (status != OK || packs->read_only) {
        return status;
    }
    if (end == 0 && pack_write_start(file, number) != 0) {
        return error_set_os(error, errno, "pack %u of the store cannot be written", number);
    }
    struct stat info;
    size = fstat(file, &info) == 0 ? (uint64_t)info.st_size : 0;
    if (!*is_clean && end > 0) {
        log_line(
            LOG_WARNING,
            "store: pack %u was not complete when the node or the machine ended: %llu bytes at "
            "its end, and contents that do not have their hash, are left out",
            number, (unsigned long long)(size - end));
    }
    int code = pack_write_index(file, size, entries, &end);
    // Its events may be called durable by the log before anything else is synced.
    if (code == 0 && !packs->no_sync && (fsync(file) != 0 || fsync(packs->folder) != 0)) {
        code = errno;
    }
    return code == 0 ? OK
                     : error_set_os(error, code, "pack %u of the store cannot be written", number);
}

// Learns what is in the file `number`. *is_clean: it may be appended to.
static enum status learn(struct packs *packs, uint32_t number, bool is_walked,
                         struct pack_entries *entries, bool *is_clean, struct error *error) {
    int file = open_file(packs, number, packs->read_only ? O_RDONLY : O_RDWR);
    if (file < 0) {
        return error_set_os(error, errno, "pack %u of the store cannot be opened", number);
    }
    size_t before = entries->count;
    enum status status = OK;
    struct stat info;
    packs->last_bytes = fstat(file, &info) == 0 ? (uint64_t)info.st_size : 0;
    *is_clean = pack_read_index(file, is_walked, entries);
    if (!*is_clean) {
        status = repair(packs, file, number, entries, is_clean, error);
    }
    close(file);
    note(packs, number, entries, before);
    return status;
}

static int compare_numbers(const void *a, const void *b) {
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
    return one < other ? -1 : one > other;
}

// Gives the numbers of the files, ascending; free with free. Errno, or 0.
static int list_numbers(const struct packs *packs, uint32_t **out, size_t *count) {
    *out = NULL;
    *count = 0;
    int handle = openat(packs->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = handle < 0 ? NULL : fdopendir(handle);
    if (stream == NULL) {
        int code = errno;
        if (handle >= 0) {
            close(handle);
        }
        return code;
    }
    size_t capacity = 0;
    const struct dirent *entry = NULL;
    errno = 0;
    while ((entry = readdir(stream)) != NULL) {
        char *rest = NULL;
        char name[NAME_BYTES];
        unsigned long number = strtoul(entry->d_name, &rest, 10);
        name_of((uint32_t)number, name);
        // Other files are not ours.
        if (number > 0 && number < UINT32_MAX && strcmp(name, entry->d_name) == 0) {
            if (*count == capacity) {
                capacity = capacity == 0 ? 64 : capacity * 2;
                *out = xrealloc(*out, capacity * sizeof **out);
            }
            (*out)[(*count)++] = (uint32_t)number;
        }
        errno = 0;
    }
    int code = errno;
    closedir(stream);
    if (*count > 0) {
        qsort(*out, *count, sizeof **out, compare_numbers);
    }
    return code;
}

static enum status learn_all(struct packs *packs, struct error *error) {
    uint32_t *numbers = NULL;
    size_t count = 0;
    int code = list_numbers(packs, &numbers, &count);
    enum status status =
        code == 0 ? OK : error_set_os(error, code, "the store's packs cannot be listed");
    for (size_t i = 0; i < count && status == OK; i++) {
        struct pack_entries entries = {0};
        bool is_clean = false;
        struct error problem = {0};
        bool is_walked = count - i <= UNFINISHED_MOST;
        status = learn(packs, numbers[i], is_walked, &entries, &is_clean, &problem);
        if (status == ERR_DAMAGED) {
            // The rest can be read; store_verify says what is wrong too.
            log_line(LOG_ERROR, "store: %s; what it holds is missing", problem.message);
            status = OK;
        } else if (status != OK) {
            status = error_set(error, status, "%s", problem.message);
        }
        packs->last_number = numbers[i];
        packs->is_continued = is_clean;
        pack_entries_release(&entries);
    }
    free(numbers);
    return status;
}

enum status packs_open(int folder, bool read_only, bool no_sync, struct packs **out,
                       struct error *error) {
    struct packs *packs = xcalloc(1, sizeof *packs);
    packs->read_only = read_only;
    packs->no_sync = no_sync;
    (void)pthread_mutex_init(&packs->sync_lock, NULL);
    (void)pthread_mutex_init(&packs->lock, NULL);
    env_random(env_system(), &packs->table.factor, sizeof packs->table.factor);
    packs->table.factor |= 1;
    enum status status = OK;
    bool is_made = !read_only && mkdirat(folder, packs_folder, 0700) == 0;
    packs->folder = openat(folder, packs_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_absent = packs->folder < 0 && errno == ENOENT && read_only;
    if (packs->folder < 0 && !is_absent) {
        status = error_set_os(error, errno, "cannot open the store's packs");
    } else if (is_made && !no_sync && fsync(folder) != 0 && errno != EINVAL) {
        status = error_set_os(error, errno, "cannot sync the store's folder");
    } else if (!is_absent) {
        status = learn_all(packs, error);
    }
    if (status != OK) {
        packs_close(packs);
        return status;
    }
    *out = packs;
    return OK;
}

// Gives the file its index. Nothing is lost without one, on a full disk say: it only saves the next
// opening from reading the contents.
static void complete(const struct packs *packs, struct pack *pack) {
    assert(pack->writers == 0);
    int code = pack_write_index(pack->file, pack->size, &pack->entries, &pack->size);
    if (code == 0 && !packs->no_sync && fdatasync(pack->file) != 0) {
        code = errno;
    }
    if (code != 0) {
        struct error error = {0};
        (void)error_set_os(&error, code, "store: pack %u has no index; the next opening makes it",
                           pack->number);
        log_line(LOG_WARNING, "%s", error.message);
    }
}

static void pack_free(struct pack *pack) {
    close(pack->file);
    pack_entries_release(&pack->entries);
    free(pack);
}

void packs_close(struct packs *packs) {
    if (packs->current != NULL) {
        packs->current->next = packs->full;
        packs->full = packs->current;
    }
    while (packs->full != NULL) {
        struct pack *pack = packs->full;
        packs->full = pack->next;
        if (packs->failure == 0) {
            complete(packs, pack);
        }
        pack_free(pack);
    }
    if (packs->is_folder_dirty && !packs->no_sync && packs->failure == 0) {
        (void)fsync(packs->folder);
    }
    if (packs->folder >= 0) {
        close(packs->folder);
    }
    pack_table_release(&packs->table);
    (void)pthread_mutex_destroy(&packs->lock);
    (void)pthread_mutex_destroy(&packs->sync_lock);
    free(packs);
}

// ---- writing
// ---------------------------------------------------------------------------------------

// With `lock` held: appends to the last file. Errno, or 0.
static int continue_last(struct packs *packs, struct pack *pack) {
    struct stat info;
    pack->number = packs->last_number;
    pack->file = open_file(packs, pack->number, O_RDWR);
    if (pack->file < 0 || fstat(pack->file, &info) != 0) {
        return errno;
    }
    pack->size = (uint64_t)info.st_size;
    return pack_read_index(pack->file, true, &pack->entries) ? 0 : EIO;
}

// The same for a new file.
static int begin_next(struct packs *packs, struct pack *pack) {
    pack->number = packs->last_number + 1;
    pack->file = open_file(packs, pack->number, O_RDWR | O_CREAT | O_EXCL);
    if (pack->file < 0) {
        return errno;
    }
    int code = pack_write_start(pack->file, pack->number);
    if (code != 0) {
        char name[NAME_BYTES];
        name_of(pack->number, name);
        (void)unlinkat(packs->folder, name, 0);
        return code;
    }
    pack->size = PACK_START;
    packs->last_number = pack->number;
    packs->is_folder_dirty = true;
    return 0;
}

// With `lock` held: makes sure that there is a file to append to.
static int make_current(struct packs *packs) {
    if (packs->current != NULL && packs->current->size >= PACK_BYTES) {
        packs->current->next = packs->full;
        packs->full = packs->current;
        packs->current = NULL;
    }
    if (packs->current != NULL) {
        return 0;
    }
    struct pack *pack = xcalloc(1, sizeof *pack);
    pack->file = -1;
    bool is_continued =
        packs->is_continued && packs->last_number > 0 && packs->last_bytes < PACK_BYTES;
    packs->is_continued = false;
    int code = is_continued ? continue_last(packs, pack) : begin_next(packs, pack);
    if (code != 0) {
        if (pack->file >= 0) {
            close(pack->file);
        }
        pack_entries_release(&pack->entries);
        free(pack);
        return code;
    }
    packs->current = pack;
    return 0;
}

// Header and data at once, or as much of it as is asked for. Errno, or 0.
static int write_record(const struct pack *pack, const uint8_t header[PACK_RECORD_BYTES],
                        struct slice content) {
    struct iovec parts[2] = {
        {.iov_base = (void *)(uintptr_t)header, .iov_len = PACK_RECORD_BYTES},
        {.iov_base = (void *)(uintptr_t)content.data, .iov_len = content.size}};
    ssize_t put = pwritev(pack->file, parts, content.size > 0 ? 2 : 1, (off_t)pack->size);
    size_t done = put > 0 ? (size_t)put : 0;
    if (put < 0 && errno != EINTR) {
        return errno;
    }
    // The rest after an interruption, or when the disk is full.
    int code = 0;
    if (done < PACK_RECORD_BYTES) {
        code =
            pack_write_at(pack->file, header + done, PACK_RECORD_BYTES - done, pack->size + done);
        done = PACK_RECORD_BYTES;
    }
    size_t from = done - PACK_RECORD_BYTES;
    return code != 0 || from == content.size
               ? code
               : pack_write_at(pack->file, content.data + from, content.size - from,
                               pack->size + done);
}

// With `lock` held: the data of the record are written.
static void take_in(struct packs *packs, struct pack *pack, const struct pack_entry *entry) {
    struct pack_place place = {
        .pack = pack->number, .bytes = (uint32_t)entry->bytes, .offset = entry->offset};
    pack_entries_add(&pack->entries, entry);
    pack_table_set(&packs->table, entry->hash, &place);
    pack->is_dirty = true;
}

// With `lock` held, which is given back for the data of a large content.
static int append(struct packs *packs, struct slice content, const uint8_t hash[SHA256_BYTES]) {
    int code = make_current(packs);
    if (code != 0) {
        return code;
    }
    struct pack *pack = packs->current;
    struct pack_entry entry = {.offset = pack->size, .bytes = content.size};
    memcpy(entry.hash, hash, SHA256_BYTES);
    uint8_t header[PACK_RECORD_BYTES];
    pack_content_header(header, content, hash);
    bool is_small = content.size <= SMALL_MOST_BYTES;
    // What fails here is overwritten by the next.
    code = write_record(pack, header, is_small ? content : slice_of(NULL, 0));
    if (code != 0) {
        return code;
    }
    pack->size += PACK_RECORD_BYTES + content.size;
    if (!is_small) {
        pack->writers++;
        (void)pthread_mutex_unlock(&packs->lock);
        code =
            pack_write_at(pack->file, content.data, content.size, entry.offset + PACK_RECORD_BYTES);
        (void)pthread_mutex_lock(&packs->lock);
        pack->writers--;
    }
    if (code == 0) {
        take_in(packs, pack, &entry);
    }
    return code;
}

enum status packs_put(struct packs *packs, struct slice content, const uint8_t hash[SHA256_BYTES],
                      struct error *error) {
    assert(!packs->read_only);
    if (content.size > UINT32_MAX) {
        return error_set(error, ERR_LIMIT, "a content has at most %u bytes", UINT32_MAX);
    }
    (void)pthread_mutex_lock(&packs->lock);
    int code = packs->failure;
    if (code == 0 && pack_table_find(&packs->table, hash) == NULL) {
        code = append(packs, content, hash);
    }
    (void)pthread_mutex_unlock(&packs->lock);
    return code == 0 ? OK : failed(code, error);
}

// ---- syncing
// ---------------------------------------------------------------------------------------

// With `lock` held, given back for a while.
static int sync_pack(struct packs *packs, struct pack *pack) {
    if (!pack->is_dirty) {
        return 0;
    }
    pack->is_dirty = false;
    (void)pthread_mutex_unlock(&packs->lock);
    int code = fdatasync(pack->file) != 0 ? errno : 0;
    (void)pthread_mutex_lock(&packs->lock);
    return code;
}

// With `lock` held, given back for a while: completes the files that are full and not written to
// any more.
static void complete_full(struct packs *packs) {
    struct pack **link = &packs->full;
    while (*link != NULL) {
        struct pack *pack = *link;
        if (pack->writers > 0 || pack->is_dirty) {
            link = &pack->next;
            continue;
        }
        *link = pack->next;
        (void)pthread_mutex_unlock(&packs->lock);
        complete(packs, pack);
        pack_free(pack);
        (void)pthread_mutex_lock(&packs->lock);
        // Others may have put theirs before it.
        link = &packs->full;
    }
}

enum status packs_sync(struct packs *packs, struct error *error) {
    (void)pthread_mutex_lock(&packs->sync_lock);
    (void)pthread_mutex_lock(&packs->lock);
    int code = packs->failure;
    bool is_folder_dirty = packs->is_folder_dirty;
    packs->is_folder_dirty = false;
    // Files are freed here alone, and only with `sync_lock`; new ones come at the front.
    // The current one first: should it be full meanwhile, it is among those.
    if (packs->current != NULL && code == 0) {
        code = sync_pack(packs, packs->current);
    }
    for (struct pack *pack = packs->full; pack != NULL && code == 0; pack = pack->next) {
        code = sync_pack(packs, pack);
    }
    if (code == 0) {
        complete_full(packs);
    }
    if (code == 0 && is_folder_dirty && !packs->no_sync) {
        (void)pthread_mutex_unlock(&packs->lock);
        code = fsync(packs->folder) != 0 && errno != EINVAL ? errno : 0;
        (void)pthread_mutex_lock(&packs->lock);
    }
    packs->failure = code;
    (void)pthread_mutex_unlock(&packs->lock);
    (void)pthread_mutex_unlock(&packs->sync_lock);
    return code == 0 ? OK : error_set_os(error, code, "contents cannot be synced");
}

// ---- reading
// ---------------------------------------------------------------------------------------

// With `lock` held: whether a live node beside us has written more; then everything is learnt anew.
static bool has_grown(struct packs *packs) {
    char next[NAME_BYTES], last[NAME_BYTES];
    struct stat info;
    if (!packs->read_only || packs->folder < 0) {
        return false;
    }
    name_of(packs->last_number + 1, next);
    name_of(packs->last_number, last);
    bool is_new = fstatat(packs->folder, next, &info, AT_SYMLINK_NOFOLLOW) == 0;
    bool is_longer = packs->last_number > 0 &&
                     fstatat(packs->folder, last, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                     (uint64_t)info.st_size != packs->last_bytes;
    if (!is_new && !is_longer) {
        return false;
    }
    pack_table_release(&packs->table);
    return learn_all(packs, NULL) == OK;
}

static bool find(struct packs *packs, const uint8_t hash[SHA256_BYTES], struct pack_place *out) {
    (void)pthread_mutex_lock(&packs->lock);
    const struct pack_place *place = pack_table_find(&packs->table, hash);
    if (place == NULL && has_grown(packs)) {
        place = pack_table_find(&packs->table, hash);
    }
    if (place != NULL) {
        *out = *place;
    }
    (void)pthread_mutex_unlock(&packs->lock);
    return place != NULL;
}

bool packs_find(struct packs *packs, const uint8_t hash[SHA256_BYTES], uint64_t *bytes) {
    struct pack_place place = {0};
    bool found = find(packs, hash, &place);
    *bytes = place.bytes;
    return found;
}

enum status packs_get(struct packs *packs, const uint8_t hash[SHA256_BYTES], uint64_t limit_bytes,
                      struct bytes **out, struct error *error) {
    struct pack_place place;
    if (!find(packs, hash, &place)) {
        return error_set(error, ERR_NOT_FOUND, "content does not exist");
    }
    if (place.bytes > limit_bytes) {
        return error_set(error, ERR_LIMIT, "the content has %u bytes, at most %llu are allowed",
                         place.bytes, (unsigned long long)limit_bytes);
    }
    int file = open_file(packs, place.pack, O_RDONLY);
    if (file < 0) {
        return error_set_os(error, errno, "the store cannot be read");
    }
    struct pack_entry entry = {.offset = place.offset, .bytes = place.bytes};
    memcpy(entry.hash, hash, SHA256_BYTES);
    enum status status = pack_read_content(file, &entry, out, error);
    close(file);
    return status;
}

// ---- all of them
// -----------------------------------------------------------------------------------

// With `lock` held: the contents of a file, whether it is complete or not.
static enum status entries_of(struct packs *packs, uint32_t number, struct pack_entries *entries,
                              struct error *error) {
    for (const struct pack *pack = packs->current; pack != NULL; pack = NULL) {
        for (size_t i = 0; pack->number == number && i < pack->entries.count; i++) {
            pack_entries_add(entries, &pack->entries.items[i]);
        }
        if (pack->number == number) {
            return OK;
        }
    }
    int file = open_file(packs, number, O_RDONLY);
    if (file < 0) {
        return error_set_os(error, errno, "pack %u of the store cannot be opened", number);
    }
    enum status status = OK;
    uint64_t end = 0;
    bool is_clean = false;
    if (!pack_read_index(file, true, entries)) {
        status = pack_scan(file, number, false, entries, &end, &is_clean, error);
    }
    close(file);
    return status;
}

// Whether this is where the content is: it may have been written twice.
static bool is_place_of(struct packs *packs, uint32_t number, const struct pack_entry *entry) {
    (void)pthread_mutex_lock(&packs->lock);
    const struct pack_place *place = pack_table_find(&packs->table, entry->hash);
    bool is = place != NULL && place->pack == number && place->offset == entry->offset;
    (void)pthread_mutex_unlock(&packs->lock);
    return is;
}

// Calls `visit` for each file's number, with its entries.
static enum status each_file(struct packs *packs,
                             enum status (*visit)(struct packs *packs, uint32_t number,
                                                  const struct pack_entries *entries, void *context,
                                                  struct error *error),
                             void *context, struct error *error) {
    uint32_t *numbers = NULL;
    size_t count = 0;
    if (packs->folder < 0) {
        return OK;
    }
    int code = list_numbers(packs, &numbers, &count);
    enum status status =
        code == 0 ? OK : error_set_os(error, code, "the store's packs cannot be listed");
    for (size_t i = 0; i < count && status == OK; i++) {
        struct pack_entries entries = {0};
        (void)pthread_mutex_lock(&packs->lock);
        status = entries_of(packs, numbers[i], &entries, error);
        (void)pthread_mutex_unlock(&packs->lock);
        if (status == OK) {
            status = visit(packs, numbers[i], &entries, context, error);
        }
        pack_entries_release(&entries);
    }
    free(numbers);
    return status;
}

struct walk {
    enum status (*visit)(void *context, const uint8_t hash[SHA256_BYTES], struct error *error);
    void *context;
};

static enum status walk_file(struct packs *packs, uint32_t number,
                             const struct pack_entries *entries, void *context,
                             struct error *error) {
    const struct walk *walk = context;
    enum status status = OK;
    for (size_t i = 0; i < entries->count && status == OK; i++) {
        if (is_place_of(packs, number, &entries->items[i])) {
            status = walk->visit(walk->context, entries->items[i].hash, error);
        }
    }
    return status;
}

enum status packs_walk(struct packs *packs,
                       enum status (*visit)(void *context, const uint8_t hash[SHA256_BYTES],
                                            struct error *error),
                       void *context, struct error *error) {
    struct walk walk = {.visit = visit, .context = context};
    return each_file(packs, walk_file, &walk, error);
}

// ---- collection
// ------------------------------------------------------------------------------------

void packs_forget(struct packs *packs, const uint8_t hash[SHA256_BYTES]) {
    (void)pthread_mutex_lock(&packs->lock);
    (void)pack_table_remove(&packs->table, hash);
    (void)pthread_mutex_unlock(&packs->lock);
}

struct compaction {
    uint32_t last;   // files up to this one; those behind it were written by the compaction
    uint32_t *gone;  // numbers of files to be removed
    size_t gone_count;
};

// Writes the contents that are wanted to the current file. *is_whole: all of them.
static enum status move_contents(struct packs *packs, uint32_t number,
                                 const struct pack_entries *entries, bool *is_whole,
                                 struct error *error) {
    int file = open_file(packs, number, O_RDONLY);
    if (file < 0) {
        return error_set_os(error, errno, "pack %u of the store cannot be opened", number);
    }
    *is_whole = true;
    enum status status = OK;
    for (size_t i = 0; i < entries->count && status == OK && *is_whole; i++) {
        const struct pack_entry *entry = &entries->items[i];
        struct bytes *content = NULL;
        struct error problem = {0};
        if (!is_place_of(packs, number, entry)) {
            continue;
        }
        status = pack_read_content(file, entry, &content, &problem);
        if (status == OK) {
            (void)pthread_mutex_lock(&packs->lock);
            int code = append(packs, bytes_slice(content), entry->hash);
            (void)pthread_mutex_unlock(&packs->lock);
            status = code == 0 ? OK : failed(code, error);
            bytes_unref(content);
        } else if (status == ERR_DAMAGED) {
            log_line(LOG_WARNING, "store: %s; pack %u is left as it is", problem.message, number);
            *is_whole = false;
            status = OK;
        } else {
            status = error_set(error, status, "%s", problem.message);
        }
    }
    close(file);
    return status;
}

static enum status compact_file(struct packs *packs, uint32_t number,
                                const struct pack_entries *entries, void *context,
                                struct error *error) {
    struct compaction *compaction = context;
    size_t wanted = 0;
    for (size_t i = 0; i < entries->count; i++) {
        wanted += is_place_of(packs, number, &entries->items[i]);
    }
    if (number > compaction->last || wanted == entries->count) {
        return OK;
    }
    bool is_whole = true;
    enum status status = move_contents(packs, number, entries, &is_whole, error);
    if (status == OK && is_whole) {
        compaction->gone =
            xrealloc(compaction->gone, (compaction->gone_count + 1) * sizeof *compaction->gone);
        compaction->gone[compaction->gone_count++] = number;
    }
    return status;
}

enum status packs_compact(struct packs *packs, struct error *error) {
    (void)pthread_mutex_lock(&packs->lock);
    if (packs->current != NULL) {
        packs->current->next = packs->full;
        packs->full = packs->current;
        packs->current = NULL;
    }
    packs->is_continued = false;
    struct compaction compaction = {.last = packs->last_number};
    (void)pthread_mutex_unlock(&packs->lock);
    enum status status = packs_sync(packs, error);
    if (status == OK) {
        status = each_file(packs, compact_file, &compaction, error);
    }
    // What was moved is on disk before the old files go.
    if (status == OK) {
        status = packs_sync(packs, error);
    }
    for (size_t i = 0; i < compaction.gone_count && status == OK; i++) {
        char name[NAME_BYTES];
        name_of(compaction.gone[i], name);
        if (unlinkat(packs->folder, name, 0) != 0) {
            status = error_set_os(error, errno, "cannot remove %s of the store", name);
        }
    }
    free(compaction.gone);
    return status;
}

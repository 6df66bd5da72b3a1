// SPDX-License-Identifier: Apache-2.0
// Folders beneath one folder: what they hold, and their end with all that is in them. See jail.h.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "codec/utf8.h"
#include "io/jail_place.h"

static bool is_dot(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

// Takes the handle; NULL: there was none.
static DIR *stream_of(int handle) {
    DIR *stream = handle >= 0 ? fdopendir(handle) : NULL;
    if (stream == NULL && handle >= 0) {
        int code = errno;
        close(handle);
        errno = code;
    }
    return stream;
}

// ---- the content of a folder
// -----------------------------------------------------------------------

enum { LIST_MOST_ENTRIES = 65536, LIST_MOST_BYTES = 1024 * 1024 };

static int by_name(const void *a, const void *b) {
    const struct jail_entry *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static mode_t type_of_entry(const struct dirent *entry, int folder) {
    struct stat info;
    if (entry->d_type != DT_UNKNOWN) {
        return (mode_t)DTTOIF(entry->d_type);
    }
    // Some file systems do not say.
    bool known = fstatat(folder, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0;
    return known ? info.st_mode & S_IFMT : 0;
}

// Reads all entries; their names stand as offsets in `names` until that stops moving.
static bool read_entries(DIR *stream, struct buf *names, struct buf *entries) {
    uint32_t count = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            return errno == 0;
        }
        // A guest takes names as text: there is no way to give it another one.
        if (is_dot(entry->d_name) || !utf8_is_valid(slice_text(entry->d_name))) {
            continue;
        }
        size_t size = strlen(entry->d_name) + 1;
        if (++count > LIST_MOST_ENTRIES || names->size + size > LIST_MOST_BYTES) {
            errno = EOVERFLOW;
            return false;
        }
        struct jail_entry made = {.name = (const char *)(uintptr_t)names->size,
                                  .type = type_of_entry(entry, dirfd(stream))};
        buf_append(names, entry->d_name, size);
        buf_append(entries, &made, sizeof made);
    }
}

struct jail_list *jail_list(int root, const char *path) {
    DIR *stream = stream_of(jail_open(root, path, O_RDONLY | O_DIRECTORY, 0));
    if (stream == NULL) {
        return NULL;
    }
    struct buf names = {0}, entries = {0};
    bool good = read_entries(stream, &names, &entries);
    int code = errno;
    closedir(stream);
    if (!good) {
        buf_release(&names);
        buf_release(&entries);
        errno = code;
        return NULL;
    }
    struct jail_list *list = xcalloc(1, sizeof *list);
    list->count = (uint32_t)(entries.size / sizeof *list->entries);
    list->entries = (struct jail_entry *)(void *)entries.data;
    list->names = (char *)names.data;
    for (uint32_t i = 0; i < list->count; i++) {
        list->entries[i].name = list->names + (uintptr_t)list->entries[i].name;
    }
    if (list->count > 1) {
        qsort(list->entries, list->count, sizeof *list->entries, by_name);
    }
    return list;
}

void jail_list_free(struct jail_list *list) {
    if (list != NULL) {
        free(list->entries);
        free(list->names);
        free(list);
    }
}

// ---- removing trees
// ------------------------------------------------------------------------------------

// What is beneath a folder is removed by handles, never by a path: another actor that may write
// around it cannot lead the node out with a link. A guest's tree may be deeper than any path or the
// number of handles, so a folder that is not empty is moved up to the top and emptied there.
struct removal {
    int top;
    uint64_t moved;
    bool has_progress;
};

enum { MOVE_TRIES = 64 };

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
        for (int i = 0; i < MOVE_TRIES && !is_gone; i++) {
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

// Empties the folder as far as that can be done.
static void empty_tree(DIR *stream) {
    struct removal removal = {.top = dirfd(stream), .has_progress = true};
    while (removal.has_progress) {
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
}

bool jail_remove_tree(int root, const char *path) {
    struct jail_place place;
    DIR *stream = NULL;
    if (jail_place_open(root, path, true, &place)) {
        stream = open_entries(place.folder, place.name);
    }
    if (stream == NULL) {
        errno = errno == ELOOP ? ENOTDIR : errno == EXDEV ? EBUSY : errno;
        return jail_place_close(&place, false);
    }
    empty_tree(stream);
    bool good = unlinkat(place.folder, place.name, AT_REMOVEDIR) == 0;
    int code = errno;
    closedir(stream);
    errno = code;
    return jail_place_close(&place, good);
}

// ---- temporary folders
// -------------------------------------------------------------------------------

char *jail_make_temporary(void) {
    const char *around = getenv("TMPDIR");
    struct buf path = {0};
    buf_format(&path, "%s/theater-actor-XXXXXX",
               around != NULL && around[0] == '/' ? around : "/tmp");
    char *made = xstrdup(buf_text(&path));
    buf_release(&path);
    if (mkdtemp(made) == NULL) {
        int code = errno;
        free(made);
        errno = code;
        return NULL;
    }
    return made;
}

bool jail_remove_temporary(const char *path) {
    DIR *stream = stream_of(open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (stream != NULL) {
        empty_tree(stream);
        closedir(stream);
    }
    return rmdir(path) == 0;
}

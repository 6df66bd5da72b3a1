// SPDX-License-Identifier: Apache-2.0
// See folder.h.
#include "host/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/wasi.h"
#include "manifest/paths.h"

// ---- open folders and jobs
// -------------------------------------------------------------------------

struct host_folder *host_folder_ref(struct host_folder *folder) {
    if (folder != NULL) {
        atomic_fetch_add_explicit(&folder->references, 1, memory_order_relaxed);
    }
    return folder;
}

void host_folder_unref(struct host_folder *folder) {
    // Acquire and release: whoever closes it comes after all other uses.
    if (folder != NULL &&
        atomic_fetch_sub_explicit(&folder->references, 1, memory_order_acq_rel) == 1) {
        close(folder->handle);
        free(folder);
    }
}

static bool open_root(struct host_file_job *job) {
    int handle = jail_open_root(job->path, job->around);
    if (handle >= 0 && jail_is_scarce(handle)) {
        close(handle);
        errno = EMFILE;
        handle = -1;
    }
    if (handle < 0) {
        return false;
    }
    job->opened = xcalloc(1, sizeof *job->opened);
    atomic_init(&job->opened->references, 1);
    job->opened->handle = handle;
    return true;
}

static bool make_temporary(struct host_file_job *job) {
    job->text = jail_make_temporary();
    return job->text != NULL;
}

static bool remove_temporary(struct host_file_job *job) {
    return jail_remove_temporary(job->path);
}

static struct host_file_job *job_of(struct actor_job *job) {
    return CONTAINER_OF(job, struct host_file_job, job);
}

static void run_job(struct actor_job *actor_job) {
    struct host_file_job *job = job_of(actor_job);
    errno = 0;
    if (!job->operate(job)) {
        job->code = errno != 0 ? errno : EIO;
    }
}

static void release_job(struct actor_job *actor_job) {
    struct host_file_job *job = job_of(actor_job);
    if (job->operate == make_temporary && job->text != NULL) {
        // The actor was stopped meanwhile: nobody took the folder.
        (void)rmdir(job->text);
    }
    host_folder_unref(job->folder);
    host_folder_unref(job->opened);
    jail_list_free(job->list);
    buf_release(&job->content);
    free(job->path);
    free(job->around);
    free(job->text);
    free(job);
}

struct host_file_job *host_file_job_new(bool (*operate)(struct host_file_job *job),
                                        struct host_folder *folder, const char *path) {
    struct host_file_job *job = xcalloc(1, sizeof *job);
    actor_job_init(&job->job, run_job, release_job);
    job->operate = operate;
    job->folder = host_folder_ref(folder);
    job->path = path != NULL ? xstrdup(path) : NULL;
    return job;
}

struct host_file_job *host_temporary_job(void) {
    return host_file_job_new(make_temporary, NULL, NULL);
}

enum status host_file_job_run(struct component_call *call, struct host_file_job *job,
                              struct error *error) {
    return actor_run_job(host_self(call), &job->job, error);
}

// ---- what the system says
// --------------------------------------------------------------------------

enum status host_file_error(struct actor *self, int code, struct slice path, struct error *error) {
    static const struct {
        int code;
        enum status status;
        const char *text;
    } rows[] = {
        {ENOENT, ERR_NOT_FOUND, "not found"},
        {EEXIST, ERR_EXISTS, "already exists"},
        {EISDIR, ERR_INVALID, "is a directory"},
        {ENOTDIR, ERR_INVALID, "not a directory"},
        {ENOTEMPTY, ERR_BUSY, "directory is not empty"},
        {ENXIO, ERR_INVALID, "not a regular file"},
        {ENAMETOOLONG, ERR_LIMIT, "name too long"},
        {ELOOP, ERR_INVALID, "too many symbolic links"},
        {EINVAL, ERR_INVALID, "invalid path"},
        {EFBIG, ERR_LIMIT, "too large"},
        {EOVERFLOW, ERR_LIMIT, "too many names in the directory"},
        {ENOSPC, ERR_LIMIT, "no space left"},
        {EDQUOT, ERR_LIMIT, "no space left"},
        {EMLINK, ERR_LIMIT, "no space left"},
        {EMFILE, ERR_LIMIT, "too many open files"},
        {ENFILE, ERR_LIMIT, "too many open files"},
        {EACCES, ERR_DENIED, "not accessible to the node"},
        {EROFS, ERR_DENIED, "read-only"},
        {EBUSY, ERR_BUSY, "busy"},
        {ETXTBSY, ERR_BUSY, "busy"},
    };
    struct slice quoted = host_quote(path);
    if (code == EPERM) {
        return actor_denied(self, PERMISSION_FILE_SYSTEM, error, "%.*s is out of the actor's reach",
                            (int)quoted.size, (const char *)quoted.data);
    }
    const char *text = "input/output error";
    enum status status = ERR_IO;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].code == code) {
            text = rows[i].text;
            status = rows[i].status;
        }
    }
    return error_set(error, status, "%s: %.*s", text, (int)quoted.size, (const char *)quoted.data);
}

// ---- folders of an instance
// ------------------------------------------------------------------------

void host_folders_release(struct host_folders *folders, struct actor *self) {
    for (uint32_t i = 0; i < folders->count; i++) {
        host_folder_unref(folders->entries[i].folder);
    }
    free(folders->entries);
    if (folders->temporary != NULL) {
        struct host_file_job *job = host_file_job_new(remove_temporary, NULL, folders->temporary);
        free(folders->temporary);
        actor_run_job_later(self, &job->job);
    }
    *folders = (struct host_folders){0};
}

const char *host_temporary_folder(struct component_call *call, struct error *error) {
    struct host_folders *folders = &host_state_of(host_self(call))->folders;
    if (folders->temporary != NULL) {
        return folders->temporary;
    }
    struct host_file_job *job = host_temporary_job();
    enum status status = host_file_job_run(call, job, error);
    if (status == OK && job->code == 0) {
        folders->temporary = job->text;
        job->text = NULL;
    } else if (status == OK) {
        (void)error_set(error, ERR_IO, "%s", strerror(job->code));
    }
    actor_job_unref(&job->job);
    return folders->temporary;
}

// Gives a reference to the open folder `path`, opened now or before.
static enum status open_folder(struct component_call *call, const char *path,
                               struct host_folder **out, struct error *error) {
    struct actor *self = host_self(call);
    struct host_folders *folders = &host_state_of(self)->folders;
    for (uint32_t i = 0; i < folders->count; i++) {
        if (folders->entries[i].path == path) {
            *out = host_folder_ref(folders->entries[i].folder);
            return OK;
        }
    }
    struct host_file_job *job = host_file_job_new(open_root, NULL, path);
    // Who may write in a folder may not lead those beneath it out with a link.
    const char *around = path == folders->temporary ? NULL : actor_folder_around(self, path);
    job->around = around != NULL ? xstrdup(around) : NULL;
    enum status status = host_file_job_run(call, job, error);
    if (status == OK && job->code != 0) {
        // Without the path: it is the host's.
        status = error_set(error, ERR_NOT_FOUND, "%s: the folder of the filesystem handler",
                           job->code == ENOENT ? "not found" : "not accessible to the node");
    }
    if (status == OK) {
        folders->entries =
            xrealloc(folders->entries, (folders->count + 1) * sizeof *folders->entries);
        folders->entries[folders->count++] =
            (struct host_folder_entry){.path = path, .folder = host_folder_ref(job->opened)};
        *out = host_folder_ref(job->opened);
    }
    actor_job_unref(&job->job);
    return status;
}

// ---- a guest's paths
// -----------------------------------------------------------------------------------

static bool ends_in_folder(struct slice path) {
    size_t size = path.size;
    const uint8_t *data = path.data;
    while (size > 0 && data[size - 1] == '.' && path.size - size < 2) {
        size--;
    }
    return size == 0 || data[size - 1] == '/';
}

static enum status deny_path(struct actor *self, struct slice path, const char *why,
                             struct error *error) {
    struct slice quoted = host_quote(path);
    return actor_denied(self, PERMISSION_FILE_SYSTEM, error, "%.*s %s", (int)quoted.size,
                        (const char *)quoted.data, why);
}

// The narrowest permitted folder around a path of the host; NULL: none.
static const char *permitted_around(const struct actor *self, const char *path) {
    const struct permission_list *paths = &actor_permissions(self)->file_system.paths;
    const char *found = NULL;
    for (uint32_t i = 0; i < paths->count; i++) {
        const char *item = paths->items[i];
        if (path_is_beneath(item, path) && (found == NULL || strlen(item) > strlen(found))) {
            found = item;
        }
    }
    return found;
}

// Finds the folder for `words`, a resolved relative path, and what remains of it.
static enum status choose(struct component_call *call, struct arena *arena, const char *words,
                          const char **folder, const char **rest, struct slice path,
                          struct error *error) {
    struct actor *self = host_self(call);
    const struct manifest_handler *block =
        manifest_find_handler(actor_manifest(self), HANDLER_FILESYSTEM);
    if (block == NULL ||
        (block->filesystem.new_dir && !actor_permissions(self)->file_system.new_dir)) {
        return deny_path(self, path, "is not permitted (new_dir)", error);
    }
    if (block->filesystem.new_dir) {
        *folder = host_temporary_folder(call, error);
        *rest = words;
        return *folder != NULL ? OK : error->code;
    }
    const char *whole = path_resolve(arena, block->filesystem.path, words);
    *folder = permitted_around(self, whole);
    if (*folder == NULL) {
        return deny_path(self, path, "is not permitted (allowed_paths)", error);
    }
    const char *behind = whole + strlen(*folder);
    behind += strspn(behind, "/");
    *rest = behind[0] != '\0' ? behind : ".";
    return OK;
}

enum status host_place_find(struct component_call *call, struct slice path, struct host_place *out,
                            struct error *error) {
    struct actor *self = host_self(call);
    *out = (struct host_place){.names_folder = ends_in_folder(path)};
    if (path.size > JAIL_PATH_MOST_BYTES) {
        return host_file_error(self, ENAMETOOLONG, path, error);
    }
    if (memchr(path.data, '\0', path.size) != NULL) {
        return error_set(error, ERR_INVALID, "invalid path: it holds a zero byte");
    }
    if (path.size > 0 && path.data[0] == '/') {
        return deny_path(self, path, "is not relative to the actor's folder", error);
    }
    char text[JAIL_PATH_MOST_BYTES + 1];
    memcpy(text, path.size > 0 ? path.data : (const uint8_t *)"", path.size);
    text[path.size] = '\0';
    struct arena arena;
    arena_init(&arena, 16 * (uint64_t)JAIL_PATH_MOST_BYTES);
    const char *words = path_resolve(&arena, NULL, text);
    const char *folder = NULL;
    const char *rest = NULL;
    enum status status = OK;
    if (strcmp(words, "..") == 0 || strncmp(words, "../", 3) == 0) {
        status = deny_path(self, path, "leads out of the actor's folder", error);
    }
    if (status == OK) {
        status = choose(call, &arena, words, &folder, &rest, path, error);
    }
    if (status == OK) {
        status = open_folder(call, folder, &out->folder, error);
    }
    if (status == OK) {
        out->path = xstrdup(rest);
        out->is_root = strcmp(rest, ".") == 0;
    }
    arena_release(&arena);
    return status;
}

void host_place_release(struct host_place *place) {
    host_folder_unref(place->folder);
    free(place->path);
    *place = (struct host_place){0};
}

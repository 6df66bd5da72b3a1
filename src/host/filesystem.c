// SPDX-License-Identifier: Apache-2.0
// theater:simple/filesystem: files beneath the folder of the handler block. Each function finds
// where its path lies (folder.h) and has the work done as a job; running commands is in
// filesystem_command.c.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/folder.h"

// ---- on the threads that may block
// -----------------------------------------------------------------

static bool read_whole(struct host_file_job *job) {
    return jail_read_file(job->folder->handle, job->path, job->most, &job->content);
}

static bool write_whole(struct host_file_job *job) {
    return jail_write_file(job->folder->handle, job->path, buf_slice(&job->content), job->unique,
                           job->syncs);
}

static bool list(struct host_file_job *job) {
    job->list = jail_list(job->folder->handle, job->path);
    return job->list != NULL;
}

static bool remove_file(struct host_file_job *job) {
    return jail_remove_file(job->folder->handle, job->path);
}

static bool make_folder(struct host_file_job *job) {
    return jail_make_folder(job->folder->handle, job->path);
}

static bool remove_tree(struct host_file_job *job) {
    return jail_remove_tree(job->folder->handle, job->path);
}

static bool look(struct host_file_job *job) {
    int handle = jail_open(job->folder->handle, job->path, O_PATH, 0);
    if (handle >= 0) {
        close(handle);
        job->is_true = true;
        return true;
    }
    return errno == ENOENT || errno == ENOTDIR;
}

// ---- on the actor's fiber
// --------------------------------------------------------------------------

enum need { NEED_READ, NEED_WRITE };

static enum status check_need(struct actor *self, enum need need, struct error *error) {
    const struct permissions *permissions = actor_permissions(self);
    bool good = need == NEED_READ ? permissions->file_system.read : permissions->file_system.write;
    return good ? OK
                : actor_denied(self, PERMISSION_FILE_SYSTEM, error, "%s is not permitted (%s)",
                               need == NEED_READ ? "reading" : "writing",
                               need == NEED_READ ? "read" : "write");
}

// A job on the path that the guest gave; NULL with `error`.
static struct host_file_job *job_for(struct component_call *call, const struct value *path,
                                     enum need need, bool (*operate)(struct host_file_job *),
                                     struct error *error) {
    struct actor *self = host_self(call);
    struct host_place place = {0};
    struct host_file_job *job = NULL;
    bool is_on_file = operate == read_whole || operate == write_whole || operate == remove_file;
    bool changes_root = operate == make_folder || operate == remove_tree;
    enum status status = check_need(self, need, error);
    if (status == OK) {
        status = host_place_find(call, host_bytes(path), &place, error);
    }
    if (status == OK && is_on_file && (place.names_folder || place.is_root)) {
        status = host_file_error(self, EISDIR, host_bytes(path), error);
    }
    if (status == OK && changes_root && place.is_root) {
        status =
            host_file_error(self, operate == make_folder ? EEXIST : EBUSY, host_bytes(path), error);
    }
    if (status == OK) {
        job = host_file_job_new(operate, place.folder, place.path);
    }
    host_place_release(&place);
    return job;
}

// Runs the job; OK when its results are good.
static enum status run(struct component_call *call, struct host_file_job *job,
                       const struct value *path, struct error *error) {
    enum status status = host_file_job_run(call, job, error);
    if (status == OK && job->code == EFBIG && job->operate == read_whole) {
        struct slice quoted = host_quote(host_bytes(path));
        return error_set(error, ERR_LIMIT,
                         "too large: %.*s has more than %llu bytes "
                         "(limits.message_bytes)",
                         (int)quoted.size, (const char *)quoted.data,
                         (unsigned long long)job->most);
    }
    if (status == OK && job->code != 0) {
        status = host_file_error(host_self(call), job->code, host_bytes(path), error);
    }
    return status;
}

// A function of one path that answers nothing but whether it was done.
static bool do_simply(struct component_call *call, const struct value *args, struct value *result,
                      bool (*operate)(struct host_file_job *)) {
    struct error error = {0};
    struct host_file_job *job = job_for(call, &args[0], NEED_WRITE, operate, &error);
    if (job == NULL) {
        return host_fail(call, &error, result);
    }
    enum status status = run(call, job, &args[0], &error);
    actor_job_unref(&job->job);
    return host_done(call, status, &error, result);
}

static bool delete_file(struct component_call *call, const struct value *args,
                        struct value *result) {
    return do_simply(call, args, result, remove_file);
}

static bool create_dir(struct component_call *call, const struct value *args,
                       struct value *result) {
    return do_simply(call, args, result, make_folder);
}

static bool delete_dir(struct component_call *call, const struct value *args,
                       struct value *result) {
    return do_simply(call, args, result, remove_tree);
}

static bool read_file(struct component_call *call, const struct value *args, struct value *result) {
    struct error error = {0};
    struct host_file_job *job = job_for(call, &args[0], NEED_READ, read_whole, &error);
    if (job == NULL) {
        return host_fail(call, &error, result);
    }
    job->most = actor_manifest(host_self(call))->limits.message_bytes;
    bool good = run(call, job, &args[0], &error) == OK
                    ? host_ok_bytes(call, buf_slice(&job->content), result)
                    : host_fail(call, &error, result);
    actor_job_unref(&job->job);
    return good;
}

static bool write_file(struct component_call *call, const struct value *args,
                       struct value *result) {
    struct actor *self = host_self(call);
    struct error error = {0};
    struct host_file_job *job = job_for(call, &args[0], NEED_WRITE, write_whole, &error);
    if (job == NULL) {
        return host_fail(call, &error, result);
    }
    buf_append_slice(&job->content, host_bytes(&args[1]));
    env_random(actor_env(self), &job->unique, sizeof job->unique);
    job->syncs = actor_manifest(self)->durability == MANIFEST_SYNC;
    enum status status = run(call, job, &args[0], &error);
    actor_job_unref(&job->job);
    return host_done(call, status, &error, result);
}

static bool answer_list(struct component_call *call, const struct jail_list *names,
                        struct value *result) {
    struct value *items = host_alloc(call, names->count, sizeof *items);
    if (items == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < names->count; i++) {
        if (!host_copy(call, slice_text(names->entries[i].name), &items[i])) {
            return false;
        }
    }
    return host_ok_value(call, (struct value){.items = items, .count = names->count}, result);
}

static bool list_files(struct component_call *call, const struct value *args,
                       struct value *result) {
    struct error error = {0};
    struct host_file_job *job = job_for(call, &args[0], NEED_READ, list, &error);
    if (job == NULL) {
        return host_fail(call, &error, result);
    }
    bool good = run(call, job, &args[0], &error) == OK ? answer_list(call, job->list, result)
                                                       : host_fail(call, &error, result);
    actor_job_unref(&job->job);
    return good;
}

static bool path_exists(struct component_call *call, const struct value *args,
                        struct value *result) {
    struct error error = {0};
    struct host_file_job *job = job_for(call, &args[0], NEED_READ, look, &error);
    if (job == NULL) {
        return host_fail(call, &error, result);
    }
    bool good = run(call, job, &args[0], &error) == OK
                    ? host_ok_value(call, (struct value){.bits = job->is_true}, result)
                    : host_fail(call, &error, result);
    actor_job_unref(&job->job);
    return good;
}

#define NAME "filesystem"

static const struct host_function functions[] = {
    {"read-file", NAME ".read-file", read_file, {"func(string) -> result<list<u8>, string>"}},
    {"write-file", NAME ".write-file", write_file, {"func(string, string) -> result<_, string>"}},
    {"list-files",
     NAME ".list-files",
     list_files,
     {"func(string) -> result<list<string>, string>"}},
    {"delete-file", NAME ".delete-file", delete_file, {"func(string) -> result<_, string>"}},
    {"create-dir", NAME ".create-dir", create_dir, {"func(string) -> result<_, string>"}},
    {"delete-dir", NAME ".delete-dir", delete_dir, {"func(string) -> result<_, string>"}},
    {"path-exists", NAME ".path-exists", path_exists, {"func(string) -> result<bool, string>"}},
};
const struct host_interface host_filesystem = {NAME, functions, COUNT_OF(functions)};

// SPDX-License-Identifier: Apache-2.0
// wasi:filesystem/preopens: the folder of the `filesystem` handler, as "/". Where the policies of
// the actor or its parents permit only folders beneath it, each of these, by its path from there.
// Without the handler there are none.
#include "host/wasi_file.h"

static uint32_t flags_of(const struct permissions *permissions) {
    return (permissions->file_system.read ? WASI_FLAG_READ : 0) |
           (permissions->file_system.write ? WASI_FLAG_MUTATE : 0);
}

// Opens a folder of the host and adds (descriptor, name) to the list. False: trapped.
// `around` is as other_path of wasi_file_open_root.
static bool add_folder(struct component_call *call, const char *path, const char *around,
                       const char *name, struct value *pair) {
    const struct permissions *permissions = actor_permissions(host_self(call));
    struct wasi_file_job *job = wasi_file_job_new(wasi_file_open_root, NULL, NULL);
    job->path = xstrdup(path);
    job->other_path = around != NULL ? xstrdup(around) : NULL;
    job->flags = flags_of(permissions);
    enum wasi_failure failure = WASI_IO;
    enum wasi_outcome outcome = wasi_file_run(call, job, &failure);
    bool good = outcome == WASI_DONE;
    if (outcome == WASI_FAILED) {
        component_call_trap(call, "the folder of handler.filesystem cannot be opened: %s",
                            wasi_failure_name(failure));
    }
    good = good && wasi_add_descriptor(call, job->opened, &pair[0]) &&
           host_copy(call, slice_text(name), &pair[1]);
    actor_job_unref(&job->job);
    return good;
}

// The folder that lasts as long as the instance. NULL: trapped.
static const char *temporary_folder(struct component_call *call) {
    struct error error = {0};
    const char *path = host_temporary_folder(call, &error);
    if (path == NULL) {
        component_call_trap(call, "a fresh folder (handler.filesystem.new_dir) cannot be made: %s",
                            error.message);
    }
    return path;
}

// The name of a permitted folder, seen from the block's own: "/" for that, "/b" for "b" in it.
static const char *name_of(const char *root, const char *path) {
    size_t size = strlen(root);
    bool is_within = strncmp(root, path, size) == 0 && path[size] == '/';
    return is_within && size > 1 ? path + size : strcmp(root, path) == 0 ? "/" : path;
}

static bool get_directories(struct component_call *call, const struct value *args,
                            struct value *result) {
    (void)args;
    struct actor *self = host_self(call);
    const struct permissions *permissions = actor_permissions(self);
    const struct manifest_handler *block =
        manifest_find_handler(actor_manifest(self), HANDLER_FILESYSTEM);
    *result = (struct value){.items = NULL, .count = 0};
    if (block == NULL || !permissions->allowed[PERMISSION_FILE_SYSTEM]) {
        return true;
    }
    bool is_new = block->filesystem.new_dir;
    if (is_new && !permissions->file_system.new_dir) {
        return true;
    }
    uint32_t count = is_new ? 1 : permissions->file_system.paths.count;
    struct value *items = host_alloc(call, count, 3 * sizeof *items);
    if (items == NULL) {
        return false;
    }
    struct value *pairs = items + count;
    for (uint32_t i = 0; i < count; i++) {
        struct value *pair = &pairs[2 * (size_t)i];
        const char *path =
            is_new ? temporary_folder(call) : permissions->file_system.paths.items[i];
        const char *name = is_new ? "/" : name_of(block->filesystem.path, path);
        // Who may write in a folder may not lead its children out of it with a link.
        const char *around = is_new || path == NULL ? NULL : actor_folder_around(self, path);
        if (path == NULL || !add_folder(call, path, around, name, pair)) {
            return false;
        }
        items[i] = (struct value){.items = pair, .count = 2};
    }
    *result = (struct value){.items = items, .count = count};
    return true;
}

static const struct host_function functions[] = {
    {"get-directories",
     "wasi:filesystem/preopens.get-directories",
     get_directories,
     {"func() -> list<tuple<own<descriptor>, string>>"}},
};
const struct host_interface wasi_filesystem_preopens = {"wasi:filesystem/preopens", functions,
                                                        COUNT_OF(functions)};

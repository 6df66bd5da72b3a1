// SPDX-License-Identifier: Apache-2.0
// The folders of the `filesystem` handler, as theater:simple/filesystem and WASI use them: which of
// them a guest's path lies in, opened once for each instance, and the work on files there, which
// may block and so is done as a job (actor/actor.h). What keeps a path beneath its folder is
// io/jail.h.
//
// Functions that take a call are for the calling actor's fiber.
#ifndef HOST_FOLDER_H
#define HOST_FOLDER_H

#include "host/host.h"
#include "io/jail.h"

// An open folder of the host. Counted: jobs may outlive the actor's instance. Immutable but for
// the count.
struct host_folder {
    _Atomic uint32_t references;
    int handle;
};
struct host_folder *host_folder_ref(struct host_folder *folder);
void host_folder_unref(struct host_folder *folder);

// Those of an instance, in its host_state.
struct host_folders {
    char *temporary;  // owned: path of the folder for new_dir; NULL: none was made yet
    uint32_t count;
    struct host_folder_entry {
        const char *path;  // of the actor's permissions, or `temporary`
        struct host_folder *folder;
    } * entries;
};
// Closes them and has the temporary one removed, with all that is in it. On the actor's worker.
void host_folders_release(struct host_folders *folders, struct actor *self);

// The path of the fresh folder for new_dir, which lasts as long as the instance; NULL with `error`.
const char *host_temporary_folder(struct component_call *call, struct error *error);

// Where a guest's path lies. All but `folder` is as long as the call of host_place_find's caller
// wishes: release with host_place_release.
struct host_place {
    struct host_folder *folder;  // keeps
    char *path;                  // owned; beneath the folder, "." for itself; "." and ".." resolved
    bool is_root;                // it is the folder itself
    bool names_folder;           // the guest's path ends in "/", "/." or "/.."
};
// Finds the folder of the handler block, or of those that policies leave of it the narrowest, that
// the guest's path lies in by its words. A path is relative to the block's folder. ERR_DENIED,
// recorded, when it leads out or nothing of it is permitted.
enum status host_place_find(struct component_call *call, struct slice path, struct host_place *out,
                            struct error *error) MUST_CHECK;
void host_place_release(struct host_place *place);

// One operation on files. The caller fills the first part, the operation the second.
struct host_file_job {
    struct actor_job job;
    bool (*operate)(struct host_file_job *job);  // false: errno
    struct host_folder *folder;                  // keeps; may be NULL
    char *path, *around;                         // owned
    struct buf content;                          // owned: written, or read
    uint64_t most;                               // bytes to read
    uint64_t unique;
    bool syncs;

    int code;  // errno of what went wrong; 0
    struct jail_list *list;
    struct host_folder *opened;  // keeps
    char *text;                  // owned
    bool is_true;
};
// A new job with one reference, which the caller gives back with actor_job_unref(&job->job). Keeps
// `folder`, copies `path` (both may be NULL).
struct host_file_job *host_file_job_new(bool (*operate)(struct host_file_job *job),
                                        struct host_folder *folder, const char *path);
// Runs it while the actor is parked. OK when it was done: `code` says how.
enum status host_file_job_run(struct component_call *call, struct host_file_job *job,
                              struct error *error) MUST_CHECK;

// A job that makes a temporary folder, and takes it away again when nobody took its `text`.
struct host_file_job *host_temporary_job(void);

// What a guest hears when an operation on `path`, as it gave it, failed with an errno: such as
// "not found: a/b". EPERM is a denial, and recorded. Gives the error's code.
enum status host_file_error(struct actor *self, int code, struct slice path, struct error *error);

#endif

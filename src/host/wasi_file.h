// SPDX-License-Identifier: Apache-2.0
// Files for WASI: open files, and the work on them that may block and so is done as a job
// (actor/actor.h) on a thread of its own. Nothing here knows the tables of functions.
//
// Paths are taken beneath an open folder (io/jail.h). Only regular files and folders are opened.
#ifndef HOST_WASI_FILE_H
#define HOST_WASI_FILE_H

#include "host/wasi.h"
#include "io/jail.h"

// descriptor-flags, path-flags and open-flags of wasi:filesystem/types, by their bits.
enum {
    WASI_FLAG_READ = 1,
    WASI_FLAG_WRITE = 2,
    WASI_FLAG_FILE_SYNC = 4,
    WASI_FLAG_DATA_SYNC = 8,
    WASI_FLAG_REQUESTED_SYNC = 16,
    WASI_FLAG_MUTATE = 32,
};
enum { WASI_FOLLOW = 1 };
enum {
    WASI_OPEN_CREATE = 1,
    WASI_OPEN_FOLDER = 2,
    WASI_OPEN_EXCLUSIVE = 4,
    WASI_OPEN_TRUNCATE = 8
};
// descriptor-type.
enum wasi_file_type {
    WASI_TYPE_UNKNOWN,
    WASI_TYPE_BLOCK_DEVICE,
    WASI_TYPE_CHARACTER_DEVICE,
    WASI_TYPE_FOLDER,
    WASI_TYPE_FIFO,
    WASI_TYPE_LINK,
    WASI_TYPE_FILE,
    WASI_TYPE_SOCKET,
};

// An open file or folder. Counted: descriptors, streams and jobs refer to it. Immutable but for
// the count.
struct wasi_file {
    _Atomic uint32_t references;
    int handle;
    uint32_t flags;  // WASI_FLAG_…
    enum wasi_file_type type;
    uint64_t device, inode;
};
struct wasi_file *wasi_file_ref(struct wasi_file *file);
void wasi_file_unref(struct wasi_file *file);

// By the bits of S_IFMT; 0: not known.
enum wasi_file_type wasi_file_type_of(mode_t mode);

// What is known of a file.
struct wasi_file_info {
    enum wasi_file_type type;
    uint64_t links, size;
    uint64_t access_ns, change_ns, modify_ns;  // since 1970
    uint64_t device, inode;
};

// A new time of a file: new-timestamp.
struct wasi_file_time {
    uint32_t which;  // 0 no-change, 1 now, 2 timestamp
    uint64_t seconds;
    uint32_t nanoseconds;
};

// One operation. The caller fills the first part, the operation the second.
struct wasi_file_job {
    struct actor_job job;
    bool (*operate)(struct wasi_file_job *job);  // false: `failure`

    struct wasi_file *file, *other;  // keeps; the folders that the paths start at
    char *path, *other_path;         // owned
    uint32_t path_flags, open_flags, flags;
    uint64_t offset, size;
    bool is_append;
    bool may_be_short;  // what was written before a failure is a success of `done` bytes
    uint8_t *data;      // owned; what is written, or room for `size` bytes that are read
    struct wasi_file_time access, modify;

    enum wasi_failure failure;
    struct wasi_file *opened;  // keeps
    uint64_t done;             // bytes
    struct wasi_file_info info;
    uint8_t hash[16];
    struct jail_list *folder;  // owned
    char *text;                // owned; the target of a link
};

// A new job with one reference, which the caller gives back with actor_job_unref(&job->job). Keeps
// `file` and `other` (may be NULL).
struct wasi_file_job *wasi_file_job_new(bool (*operate)(struct wasi_file_job *job),
                                        struct wasi_file *file, struct wasi_file *other);

// Operations. Paths are relative to `file` (and `other_path` to `other`).
// path: of the host; other_path: the folder around it that is what it is by the operator's word,
// the path or a beginning of it, and from which on no symbolic link may stand; NULL: all of it.
bool wasi_file_open_root(struct wasi_file_job *job);
bool wasi_file_open(struct wasi_file_job *job);
bool wasi_file_read(struct wasi_file_job *job);
bool wasi_file_write(struct wasi_file_job *job);
bool wasi_file_sync(struct wasi_file_job *job);
bool wasi_file_sync_data(struct wasi_file_job *job);
bool wasi_file_resize(struct wasi_file_job *job);
bool wasi_file_stat(struct wasi_file_job *job);
bool wasi_file_stat_at(struct wasi_file_job *job);
bool wasi_file_set_times(struct wasi_file_job *job);
bool wasi_file_set_times_at(struct wasi_file_job *job);
bool wasi_file_list(struct wasi_file_job *job);
bool wasi_file_make_folder(struct wasi_file_job *job);
bool wasi_file_remove_folder(struct wasi_file_job *job);
bool wasi_file_remove(struct wasi_file_job *job);
bool wasi_file_rename(struct wasi_file_job *job);
bool wasi_file_link(struct wasi_file_job *job);
bool wasi_file_symlink(struct wasi_file_job *job);  // path: the target; other_path: the link
bool wasi_file_read_link(struct wasi_file_job *job);

// ---- for the calling actor's fiber

// Runs the job while the actor is parked; its results may be looked at after WASI_DONE only.
enum wasi_outcome wasi_file_run(struct component_call *call, struct wasi_file_job *job,
                                enum wasi_failure *failure);
// Keeps `file`.
bool wasi_add_descriptor(struct component_call *call, struct wasi_file *file, struct value *own);

#endif

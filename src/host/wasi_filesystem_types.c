// SPDX-License-Identifier: Apache-2.0
// wasi:filesystem/types: files and folders beneath the preopened one. Whatever touches the disk is
// a job (wasi_file.h): the actor is parked meanwhile, and the chain holds the wish before the deed.
//
// What the `filesystem` block permits is in the flags of the preopened folder, and folders opened
// in it have the same: without read nothing in them is looked at, without mutate-directory nothing
// is changed.
#include <stdlib.h>

#include "codec/utf8.h"
#include "host/wasi_file.h"

enum { PATH_MOST_BYTES = 4095 };

// ---- running jobs
// ----------------------------------------------------------------------------------

enum answer { ANSWER_GOOD, ANSWER_FAILED, ANSWER_TRAPPED };

// error(code)
static bool give(struct component_call *call, enum wasi_failure failure, struct value *result) {
    struct value *code = host_alloc(call, 1, sizeof *code);
    if (code == NULL) {
        return false;
    }
    *code = (struct value){.which = (uint32_t)failure};
    *result = (struct value){.items = code, .which = 1};
    return true;
}

// The same for what was refused before the system was asked: what the actor may not do is recorded.
static bool fail(struct component_call *call, enum wasi_failure failure, struct value *result) {
    if (failure == WASI_ACCESS || failure == WASI_READ_ONLY || failure == WASI_NOT_PERMITTED) {
        struct error error = {0};
        (void)actor_denied(host_self(call), PERMISSION_FILE_SYSTEM, &error, "%s",
                           wasi_failure_name(failure));
    }
    return give(call, failure, result);
}

enum wasi_outcome wasi_file_run(struct component_call *call, struct wasi_file_job *job,
                                enum wasi_failure *failure) {
    struct error error = {0};
    if (actor_run_job(host_self(call), &job->job, &error) != OK) {
        component_call_trap(call, "%s", error.message);
        return WASI_TRAPPED;
    }
    *failure = job->failure;
    return job->failure == WASI_FAILURE_COUNT ? WASI_DONE : WASI_FAILED;
}

static enum answer run(struct component_call *call, struct wasi_file_job *job,
                       struct value *result) {
    enum wasi_failure failure = WASI_IO;
    switch (wasi_file_run(call, job, &failure)) {
        case WASI_DONE:
            return ANSWER_GOOD;
        case WASI_FAILED:
            // What the jail refuses is a denial; what the system refuses the node is not.
            return (failure == WASI_NOT_PERMITTED ? fail(call, failure, result)
                                                  : give(call, failure, result))
                       ? ANSWER_FAILED
                       : ANSWER_TRAPPED;
        case WASI_CLOSED:
        case WASI_TRAPPED:
            break;
    }
    return ANSWER_TRAPPED;
}

// Runs a job that gives nothing back, and ends it.
static bool run_plain(struct component_call *call, struct wasi_file_job *job,
                      struct value *result) {
    enum answer answer = run(call, job, result);
    actor_job_unref(&job->job);
    return answer == ANSWER_GOOD ? host_ok(result) : answer == ANSWER_FAILED;
}

static struct wasi_file *file_of(struct component_call *call, const struct value *descriptor) {
    const struct wasi_slot *slot = wasi_get(call, descriptor, WASI_DESCRIPTOR);
    return slot != NULL ? slot->object : NULL;
}

// A path as the system takes it, owned; NULL: `failure`.
static char *take_path(const struct value *text, enum wasi_failure *failure) {
    struct slice path = host_bytes(text);
    if (path.size > PATH_MOST_BYTES) {
        *failure = WASI_NAME_TOO_LONG;
        return NULL;
    }
    if (path.size > 0 && memchr(path.data, '\0', path.size) != NULL) {
        *failure = WASI_ILLEGAL_BYTE_SEQUENCE;
        return NULL;
    }
    return xstrndup(path.size > 0 ? path.data : (const uint8_t *)"", path.size);
}

// What a folder's flags must have for an operation on a path in it; WASI_FAILURE_COUNT: they do.
static enum wasi_failure may(const struct wasi_file *folder, uint32_t needed) {
    if (folder->type != WASI_TYPE_FOLDER) {
        return WASI_NOT_DIRECTORY;
    }
    if ((needed & WASI_FLAG_READ) != 0 && (folder->flags & WASI_FLAG_READ) == 0) {
        return WASI_ACCESS;
    }
    if ((needed & WASI_FLAG_MUTATE) != 0 && (folder->flags & WASI_FLAG_MUTATE) == 0) {
        return WASI_READ_ONLY;
    }
    return WASI_FAILURE_COUNT;
}

// A job on a path in a folder. NULL: *good tells whether the answer is an error, or trapped.
static struct wasi_file_job *path_job(struct component_call *call, const struct value *descriptor,
                                      const struct value *path, uint32_t needed,
                                      bool (*operate)(struct wasi_file_job *job),
                                      struct value *result, bool *good) {
    struct wasi_file *folder = file_of(call, descriptor);
    *good = false;
    if (folder == NULL) {
        return NULL;
    }
    enum wasi_failure failure = may(folder, needed);
    char *text = failure == WASI_FAILURE_COUNT ? take_path(path, &failure) : NULL;
    if (text == NULL) {
        *good = fail(call, failure, result);
        return NULL;
    }
    struct wasi_file_job *job = wasi_file_job_new(operate, folder, NULL);
    job->path = text;
    return job;
}

static bool on_path(struct component_call *call, const struct value *args, uint32_t needed,
                    bool (*operate)(struct wasi_file_job *job), struct value *result) {
    bool good = false;
    struct wasi_file_job *job = path_job(call, &args[0], &args[1], needed, operate, result, &good);
    return job != NULL ? run_plain(call, job, result) : good;
}

static bool on_file(struct component_call *call, const struct value *args,
                    bool (*operate)(struct wasi_file_job *job), struct value *result) {
    struct wasi_file *file = file_of(call, &args[0]);
    return file != NULL && run_plain(call, wasi_file_job_new(operate, file, NULL), result);
}

// ---- streams
// ---------------------------------------------------------------------------------------

struct file_source {
    struct wasi_source source;
    struct wasi_file *file;
    uint64_t offset;
};

struct file_sink {
    struct wasi_sink sink;
    struct wasi_file *file;
    uint64_t offset;
    bool is_append;
};

// Copies what a read job gave into the call's arena; false: trapped.
static bool take_data(struct component_call *call, const struct wasi_file_job *job,
                      struct slice *out) {
    uint8_t *copy = host_alloc(call, job->done, 1);
    if (copy == NULL) {
        return false;
    }
    if (job->done > 0) {
        memcpy(copy, job->data, job->done);
    }
    *out = slice_of(copy, job->done);
    return true;
}

static enum wasi_outcome read_source(struct wasi_source *source, struct component_call *call,
                                     uint64_t most, struct slice *out, enum wasi_failure *failure) {
    struct file_source *self = CONTAINER_OF(source, struct file_source, source);
    struct wasi_file_job *job = wasi_file_job_new(wasi_file_read, self->file, NULL);
    job->offset = self->offset;
    job->size = most;
    enum wasi_outcome outcome = wasi_file_run(call, job, failure);
    if (outcome == WASI_DONE && job->done == 0) {
        outcome = WASI_CLOSED;
    } else if (outcome == WASI_DONE && !take_data(call, job, out)) {
        outcome = WASI_TRAPPED;
    }
    if (outcome == WASI_DONE) {
        self->offset += job->done;
    }
    actor_job_unref(&job->job);
    return outcome;
}

static void give_data(struct wasi_file_job *job, struct slice content) {
    job->data = xmalloc(content.size + 1);
    job->size = content.size;
    if (content.size > 0) {
        memcpy(job->data, content.data, content.size);
    }
}

static enum wasi_outcome write_sink(struct wasi_sink *sink, struct component_call *call,
                                    struct slice content, enum wasi_failure *failure) {
    struct file_sink *self = CONTAINER_OF(sink, struct file_sink, sink);
    struct wasi_file_job *job = wasi_file_job_new(wasi_file_write, self->file, NULL);
    job->offset = self->offset;
    job->is_append = self->is_append;
    give_data(job, content);
    enum wasi_outcome outcome = wasi_file_run(call, job, failure);
    if (outcome == WASI_DONE) {
        self->offset += job->done;
    }
    actor_job_unref(&job->job);
    return outcome;
}

static void release_source(void *object) {
    struct file_source *source = object;
    wasi_file_unref(source->file);
    free(source);
}

static void release_sink(void *object) {
    struct file_sink *sink = object;
    wasi_file_unref(sink->file);
    free(sink);
}

// Gives the file when it may be streamed; NULL: *good as in path_job.
static struct wasi_file *stream_file(struct component_call *call, const struct value *descriptor,
                                     uint32_t flag, struct value *result, bool *good) {
    struct wasi_file *file = file_of(call, descriptor);
    *good = false;
    if (file == NULL) {
        return NULL;
    }
    if (file->type == WASI_TYPE_FOLDER) {
        *good = fail(call, WASI_IS_DIRECTORY, result);
        return NULL;
    }
    if ((file->flags & flag) == 0) {
        *good = fail(call, WASI_BAD_DESCRIPTOR, result);
        return NULL;
    }
    return file;
}

static bool answer_own(struct component_call *call, struct wasi_slot slot, struct value *result) {
    struct value own;
    return wasi_add(call, slot, &own) && host_ok_value(call, own, result);
}

static bool read_via_stream(struct component_call *call, const struct value *args,
                            struct value *result) {
    bool good = false;
    struct wasi_file *file = stream_file(call, &args[0], WASI_FLAG_READ, result, &good);
    if (file == NULL) {
        return good;
    }
    struct file_source *source = xcalloc(1, sizeof *source);
    *source = (struct file_source){{read_source}, wasi_file_ref(file), args[1].bits};
    return answer_own(
        call,
        (struct wasi_slot){
            .kind = WASI_INPUT_STREAM, .object = &source->source, .release = release_source},
        result);
}

static bool make_sink(struct component_call *call, const struct value *args, uint64_t offset,
                      bool is_append, struct value *result) {
    bool good = false;
    struct wasi_file *file = stream_file(call, &args[0], WASI_FLAG_WRITE, result, &good);
    if (file == NULL) {
        return good;
    }
    struct file_sink *sink = xcalloc(1, sizeof *sink);
    *sink = (struct file_sink){{write_sink}, wasi_file_ref(file), offset, is_append};
    return answer_own(
        call,
        (struct wasi_slot){
            .kind = WASI_OUTPUT_STREAM, .object = &sink->sink, .release = release_sink},
        result);
}

static bool write_via_stream(struct component_call *call, const struct value *args,
                             struct value *result) {
    return make_sink(call, args, args[1].bits, false, result);
}

static bool append_via_stream(struct component_call *call, const struct value *args,
                              struct value *result) {
    return make_sink(call, args, 0, true, result);
}

// ---- an open file
// ----------------------------------------------------------------------------------

static bool advise(struct component_call *call, const struct value *args, struct value *result) {
    return file_of(call, &args[0]) != NULL && host_ok(result);
}

static bool sync_all(struct component_call *call, const struct value *args, struct value *result) {
    return on_file(call, args, wasi_file_sync, result);
}

static bool sync_data(struct component_call *call, const struct value *args, struct value *result) {
    return on_file(call, args, wasi_file_sync_data, result);
}

static bool get_flags(struct component_call *call, const struct value *args, struct value *result) {
    const struct wasi_file *file = file_of(call, &args[0]);
    return file != NULL && host_ok_value(call, (struct value){.bits = file->flags}, result);
}

static bool get_type(struct component_call *call, const struct value *args, struct value *result) {
    const struct wasi_file *file = file_of(call, &args[0]);
    return file != NULL &&
           host_ok_value(call, (struct value){.which = (uint32_t)file->type}, result);
}

static bool set_size(struct component_call *call, const struct value *args, struct value *result) {
    bool good = false;
    struct wasi_file *file = stream_file(call, &args[0], WASI_FLAG_WRITE, result, &good);
    if (file == NULL) {
        return good;
    }
    struct wasi_file_job *job = wasi_file_job_new(wasi_file_resize, file, NULL);
    job->size = args[1].bits;
    return run_plain(call, job, result);
}

static struct wasi_file_time time_of(const struct value *value) {
    struct wasi_file_time time = {.which = value->which};
    if (value->which == 2) {
        time.seconds = value->items->items[0].bits;
        time.nanoseconds = (uint32_t)value->items->items[1].bits;
    }
    return time;
}

static bool set_times(struct component_call *call, const struct value *args, struct value *result) {
    struct wasi_file *file = file_of(call, &args[0]);
    if (file == NULL) {
        return false;
    }
    if ((file->flags & (WASI_FLAG_WRITE | WASI_FLAG_MUTATE)) == 0) {
        return fail(call, WASI_NOT_PERMITTED, result);
    }
    struct wasi_file_job *job = wasi_file_job_new(wasi_file_set_times, file, NULL);
    job->access = time_of(&args[1]);
    job->modify = time_of(&args[2]);
    return run_plain(call, job, result);
}

static bool descriptor_read(struct component_call *call, const struct value *args,
                            struct value *result) {
    bool good = false;
    struct wasi_file *file = stream_file(call, &args[0], WASI_FLAG_READ, result, &good);
    if (file == NULL) {
        return good;
    }
    struct wasi_file_job *job = wasi_file_job_new(wasi_file_read, file, NULL);
    job->size = args[1].bits < WASI_STREAM_MOST_BYTES ? args[1].bits : WASI_STREAM_MOST_BYTES;
    job->offset = args[2].bits;
    enum answer answer = run(call, job, result);
    struct slice content = {0};
    struct value *pair = host_alloc(call, 2, sizeof *pair);
    good = pair != NULL && answer != ANSWER_TRAPPED;
    if (good && answer == ANSWER_GOOD) {
        good = take_data(call, job, &content);
        pair[0] = (struct value){.bytes = content.data, .count = (uint32_t)content.size};
        pair[1] = (struct value){.bits = content.size == 0 && job->size > 0};
        good = good && host_ok_value(call, (struct value){.items = pair, .count = 2}, result);
    }
    actor_job_unref(&job->job);
    return good;
}

static bool descriptor_write(struct component_call *call, const struct value *args,
                             struct value *result) {
    bool good = false;
    struct wasi_file *file = stream_file(call, &args[0], WASI_FLAG_WRITE, result, &good);
    if (file == NULL) {
        return good;
    }
    struct wasi_file_job *job = wasi_file_job_new(wasi_file_write, file, NULL);
    give_data(job, host_bytes(&args[1]));
    job->offset = args[2].bits;
    job->may_be_short = true;
    enum answer answer = run(call, job, result);
    uint64_t done = answer == ANSWER_GOOD ? job->done : 0;
    actor_job_unref(&job->job);
    return answer == ANSWER_GOOD ? host_ok_value(call, (struct value){.bits = done}, result)
                                 : answer == ANSWER_FAILED;
}

static bool is_same_object(struct component_call *call, const struct value *args,
                           struct value *result) {
    const struct wasi_file *a = file_of(call, &args[0]);
    const struct wasi_file *b = a != NULL ? file_of(call, &args[1]) : NULL;
    if (b == NULL) {
        return false;
    }
    *result = (struct value){.bits = a->device == b->device && a->inode == b->inode};
    return true;
}

// ---- what is known of a file
// -------------------------------------------------------------------------

// Ends the job. some(datetime) for each of the three times.
static bool answer_stat(struct component_call *call, struct wasi_file_job *job,
                        struct value *result) {
    enum answer answer = run(call, job, result);
    struct wasi_file_info info = {0};
    if (answer == ANSWER_GOOD) {
        info = job->info;
    }
    actor_job_unref(&job->job);
    if (answer != ANSWER_GOOD) {
        return answer == ANSWER_FAILED;
    }
    struct value *fields = host_alloc(call, 6 + 3 + 3 * 2, sizeof *fields);
    if (fields == NULL) {
        return false;
    }
    const uint64_t times[] = {info.access_ns, info.modify_ns, info.change_ns};
    struct value *datetimes = fields + 6, *numbers = fields + 9;
    fields[0] = (struct value){.which = (uint32_t)info.type};
    fields[1] = (struct value){.bits = info.links};
    fields[2] = (struct value){.bits = info.size};
    for (int i = 0; i < 3; i++) {
        numbers[2 * i] = (struct value){.bits = times[i] / 1000000000U};
        numbers[2 * i + 1] = (struct value){.bits = times[i] % 1000000000U};
        datetimes[i] = (struct value){.items = &numbers[2 * i], .count = 2};
        fields[3 + i] = (struct value){.items = &datetimes[i], .which = 1};
    }
    return host_ok_value(call, (struct value){.items = fields, .count = 6}, result);
}

static bool descriptor_stat(struct component_call *call, const struct value *args,
                            struct value *result) {
    struct wasi_file *file = file_of(call, &args[0]);
    return file != NULL && answer_stat(call, wasi_file_job_new(wasi_file_stat, file, NULL), result);
}

static bool stat_at(struct component_call *call, const struct value *args, struct value *result) {
    bool good = false;
    struct wasi_file_job *job =
        path_job(call, &args[0], &args[2], WASI_FLAG_READ, wasi_file_stat_at, result, &good);
    if (job == NULL) {
        return good;
    }
    job->path_flags = (uint32_t)args[1].bits;
    return answer_stat(call, job, result);
}

static bool answer_hash(struct component_call *call, struct wasi_file_job *job,
                        struct value *result) {
    enum answer answer = run(call, job, result);
    uint64_t words[2] = {0, 0};
    if (answer == ANSWER_GOOD) {
        memcpy(words, job->hash, sizeof words);
    }
    actor_job_unref(&job->job);
    if (answer != ANSWER_GOOD) {
        return answer == ANSWER_FAILED;
    }
    struct value *fields = host_alloc(call, 2, sizeof *fields);
    if (fields == NULL) {
        return false;
    }
    fields[0] = (struct value){.bits = words[0]};
    fields[1] = (struct value){.bits = words[1]};
    return host_ok_value(call, (struct value){.items = fields, .count = 2}, result);
}

static bool metadata_hash(struct component_call *call, const struct value *args,
                          struct value *result) {
    struct wasi_file *file = file_of(call, &args[0]);
    return file != NULL && answer_hash(call, wasi_file_job_new(wasi_file_stat, file, NULL), result);
}

static bool metadata_hash_at(struct component_call *call, const struct value *args,
                             struct value *result) {
    bool good = false;
    struct wasi_file_job *job =
        path_job(call, &args[0], &args[2], WASI_FLAG_READ, wasi_file_stat_at, result, &good);
    if (job == NULL) {
        return good;
    }
    job->path_flags = (uint32_t)args[1].bits;
    return answer_hash(call, job, result);
}

// ---- by path
// ---------------------------------------------------------------------------------------

static bool create_directory_at(struct component_call *call, const struct value *args,
                                struct value *result) {
    return on_path(call, args, WASI_FLAG_MUTATE, wasi_file_make_folder, result);
}

static bool remove_directory_at(struct component_call *call, const struct value *args,
                                struct value *result) {
    return on_path(call, args, WASI_FLAG_MUTATE, wasi_file_remove_folder, result);
}

static bool unlink_file_at(struct component_call *call, const struct value *args,
                           struct value *result) {
    return on_path(call, args, WASI_FLAG_MUTATE, wasi_file_remove, result);
}

static bool set_times_at(struct component_call *call, const struct value *args,
                         struct value *result) {
    bool good = false;
    struct wasi_file_job *job =
        path_job(call, &args[0], &args[2], WASI_FLAG_MUTATE, wasi_file_set_times_at, result, &good);
    if (job == NULL) {
        return good;
    }
    job->path_flags = (uint32_t)args[1].bits;
    job->access = time_of(&args[3]);
    job->modify = time_of(&args[4]);
    return run_plain(call, job, result);
}

// Two paths, each in a folder of its own.
static bool on_two_paths(struct component_call *call, struct wasi_file_job *job,
                         const struct value *other, const struct value *other_path,
                         struct value *result) {
    struct wasi_file *folder = file_of(call, other);
    enum wasi_failure failure = WASI_IO;
    if (folder != NULL) {
        failure = may(folder, WASI_FLAG_MUTATE);
        job->other_path = failure == WASI_FAILURE_COUNT ? take_path(other_path, &failure) : NULL;
    }
    if (folder == NULL || job->other_path == NULL) {
        actor_job_unref(&job->job);
        return folder != NULL && fail(call, failure, result);
    }
    job->other = wasi_file_ref(folder);
    return run_plain(call, job, result);
}

static bool link_at(struct component_call *call, const struct value *args, struct value *result) {
    bool good = false;
    struct wasi_file_job *job =
        path_job(call, &args[0], &args[2], WASI_FLAG_MUTATE, wasi_file_link, result, &good);
    if (job == NULL) {
        return good;
    }
    job->path_flags = (uint32_t)args[1].bits;
    return on_two_paths(call, job, &args[3], &args[4], result);
}

static bool rename_at(struct component_call *call, const struct value *args, struct value *result) {
    bool good = false;
    struct wasi_file_job *job =
        path_job(call, &args[0], &args[1], WASI_FLAG_MUTATE, wasi_file_rename, result, &good);
    return job != NULL ? on_two_paths(call, job, &args[2], &args[3], result) : good;
}

static bool symlink_at(struct component_call *call, const struct value *args,
                       struct value *result) {
    bool good = false;
    struct wasi_file_job *job =
        path_job(call, &args[0], &args[1], WASI_FLAG_MUTATE, wasi_file_symlink, result, &good);
    return job != NULL ? on_two_paths(call, job, &args[0], &args[2], result) : good;
}

static bool readlink_at(struct component_call *call, const struct value *args,
                        struct value *result) {
    bool good = false;
    struct wasi_file_job *job =
        path_job(call, &args[0], &args[1], WASI_FLAG_READ, wasi_file_read_link, result, &good);
    if (job == NULL) {
        return good;
    }
    enum answer answer = run(call, job, result);
    good = answer == ANSWER_FAILED;
    if (answer == ANSWER_GOOD) {
        struct slice target = slice_text(job->text);
        good = utf8_is_valid(target) ? host_ok_bytes(call, target, result)
                                     : fail(call, WASI_ILLEGAL_BYTE_SEQUENCE, result);
    }
    actor_job_unref(&job->job);
    return good;
}

static void release_descriptor(void *object) {
    wasi_file_unref(object);
}

bool wasi_add_descriptor(struct component_call *call, struct wasi_file *file, struct value *own) {
    return wasi_add(
        call,
        (struct wasi_slot){
            .kind = WASI_DESCRIPTOR, .object = wasi_file_ref(file), .release = release_descriptor},
        own);
}

// Folders have what the folder has in which they are opened; files what is asked for of that.
static enum wasi_failure flags_of_opened(const struct wasi_file *folder,
                                         struct wasi_file_job *job) {
    bool changes = (job->flags & (WASI_FLAG_WRITE | WASI_FLAG_MUTATE)) != 0 ||
                   (job->open_flags & (WASI_OPEN_CREATE | WASI_OPEN_TRUNCATE)) != 0;
    uint32_t needed = (job->flags & WASI_FLAG_READ) | (changes ? WASI_FLAG_MUTATE : 0);
    return may(folder, needed);
}

static bool open_at(struct component_call *call, const struct value *args, struct value *result) {
    bool good = false;
    struct wasi_file_job *job =
        path_job(call, &args[0], &args[2], 0, wasi_file_open, result, &good);
    if (job == NULL) {
        return good;
    }
    job->path_flags = (uint32_t)args[1].bits;
    job->open_flags = (uint32_t)args[3].bits;
    job->flags = (uint32_t)args[4].bits;
    enum wasi_failure failure = flags_of_opened(job->file, job);
    if (failure == WASI_FAILURE_COUNT && !wasi_has_room(call, WASI_DESCRIPTOR)) {
        failure = WASI_QUOTA;
    }
    if (failure != WASI_FAILURE_COUNT) {
        actor_job_unref(&job->job);
        return fail(call, failure, result);
    }
    enum answer answer = run(call, job, result);
    good = answer == ANSWER_FAILED;
    if (answer == ANSWER_GOOD) {
        if (job->opened->type == WASI_TYPE_FOLDER) {
            job->opened->flags = job->file->flags;
        }
        struct value own;
        good = wasi_add_descriptor(call, job->opened, &own) && host_ok_value(call, own, result);
    }
    actor_job_unref(&job->job);
    return good;
}

// ---- the content of a folder
// -----------------------------------------------------------------------

struct folder_stream {
    struct jail_list *folder;
    uint32_t next;
};

static void release_folder(void *object) {
    struct folder_stream *stream = object;
    jail_list_free(stream->folder);
    free(stream);
}

static bool read_directory(struct component_call *call, const struct value *args,
                           struct value *result) {
    struct wasi_file *file = file_of(call, &args[0]);
    if (file == NULL) {
        return false;
    }
    enum wasi_failure failure = may(file, WASI_FLAG_READ);
    if (failure == WASI_FAILURE_COUNT && !wasi_has_room(call, WASI_FOLDER_STREAM)) {
        failure = WASI_QUOTA;
    }
    if (failure != WASI_FAILURE_COUNT) {
        return fail(call, failure, result);
    }
    struct wasi_file_job *job = wasi_file_job_new(wasi_file_list, file, NULL);
    enum answer answer = run(call, job, result);
    bool good = answer == ANSWER_FAILED;
    if (answer == ANSWER_GOOD) {
        struct folder_stream *stream = xcalloc(1, sizeof *stream);
        stream->folder = job->folder;
        job->folder = NULL;
        good =
            answer_own(call,
                       (struct wasi_slot){
                           .kind = WASI_FOLDER_STREAM, .object = stream, .release = release_folder},
                       result);
    }
    actor_job_unref(&job->job);
    return good;
}

static bool read_directory_entry(struct component_call *call, const struct value *args,
                                 struct value *result) {
    const struct wasi_slot *slot = wasi_get(call, &args[0], WASI_FOLDER_STREAM);
    if (slot == NULL) {
        return false;
    }
    struct folder_stream *stream = slot->object;
    if (stream->next == stream->folder->count) {
        return host_ok_value(call, (struct value){.items = NULL, .which = 0}, result);
    }
    const struct jail_entry *entry = &stream->folder->entries[stream->next];
    struct value *items = host_alloc(call, 3, sizeof *items);
    if (items == NULL || !host_copy(call, slice_text(entry->name), &items[1])) {
        return false;
    }
    stream->next++;
    items[0] = (struct value){.which = (uint32_t)wasi_file_type_of(entry->type)};
    items[2] = (struct value){.items = items, .count = 2};
    return host_ok_value(call, (struct value){.items = &items[2], .which = 1}, result);
}

static bool filesystem_error_code(struct component_call *call, const struct value *args,
                                  struct value *result) {
    const struct wasi_slot *slot = wasi_get(call, &args[0], WASI_ERROR);
    struct value *code = slot != NULL ? host_alloc(call, 1, sizeof *code) : NULL;
    if (code == NULL) {
        return false;
    }
    *code = (struct value){.which = (uint32_t)slot->number};
    *result = (struct value){.items = code, .which = 1};
    return true;
}

// ---- the table
// -----------------------------------------------------------------------------------

#define NAME "wasi:filesystem/types"
#define CODES                                                                                \
    "enum{access, would-block, already, bad-descriptor, busy, deadlock, quota, exist, "      \
    "file-too-large, illegal-byte-sequence, in-progress, interrupted, invalid, io, "         \
    "is-directory, loop, too-many-links, message-size, name-too-long, no-device, no-entry, " \
    "no-lock, insufficient-memory, insufficient-space, not-directory, not-empty, "           \
    "not-recoverable, unsupported, no-tty, no-such-device, overflow, not-permitted, pipe, "  \
    "read-only, invalid-seek, text-file-busy, cross-device}"
#define TYPES                                                                        \
    "enum{unknown, block-device, character-device, directory, fifo, symbolic-link, " \
    "regular-file, socket}"
#define FLAGS                                                                             \
    "flags{read, write, file-integrity-sync, data-integrity-sync, requested-write-sync, " \
    "mutate-directory}"
#define DATETIME "record{seconds: u64, nanoseconds: u32}"
#define TIME "variant{no-change, now, timestamp(" DATETIME ")}"
#define STAT                                                                                      \
    "record{type: " TYPES ", link-count: u64, size: u64, data-access-timestamp: option<" DATETIME \
    ">, data-modification-timestamp: option<" DATETIME                                            \
    ">, status-change-timestamp: option<" DATETIME ">}"
#define HASH "record{lower: u64, upper: u64}"
#define FOLLOW "flags{symlink-follow}"
#define METHOD(name) "[method]descriptor." name, NAME ".[method]descriptor." name
#define TAKES(parameters) "func(borrow<descriptor>" parameters ") -> result<"
#define GIVES(type) type ", " CODES ">"

static const struct host_function functions[] = {
    {METHOD("read-via-stream"), read_via_stream, {TAKES(", u64") GIVES("own<input-stream>")}},
    {METHOD("write-via-stream"), write_via_stream, {TAKES(", u64") GIVES("own<output-stream>")}},
    {METHOD("append-via-stream"), append_via_stream, {TAKES("") GIVES("own<output-stream>")}},
    {METHOD("advise"),
     advise,
     {TAKES(", u64, u64, enum{normal, sequential, random, will-need, dont-need, no-reuse}")
          GIVES("_")}},
    {METHOD("sync-data"), sync_data, {TAKES("") GIVES("_")}},
    {METHOD("get-flags"), get_flags, {TAKES("") GIVES(FLAGS)}},
    {METHOD("get-type"), get_type, {TAKES("") GIVES(TYPES)}},
    {METHOD("set-size"), set_size, {TAKES(", u64") GIVES("_")}},
    {METHOD("set-times"), set_times, {TAKES(", " TIME ", " TIME) GIVES("_")}},
    {METHOD("read"), descriptor_read, {TAKES(", u64, u64") GIVES("tuple<list<u8>, bool>")}},
    {METHOD("write"), descriptor_write, {TAKES(", list<u8>, u64") GIVES("u64")}},
    {METHOD("read-directory"), read_directory, {TAKES("") GIVES("own<directory-entry-stream>")}},
    {METHOD("sync"), sync_all, {TAKES("") GIVES("_")}},
    {METHOD("create-directory-at"), create_directory_at, {TAKES(", string") GIVES("_")}},
    {METHOD("stat"), descriptor_stat, {TAKES("") GIVES(STAT)}},
    {METHOD("stat-at"), stat_at, {TAKES(", " FOLLOW ", string") GIVES(STAT)}},
    {METHOD("set-times-at"),
     set_times_at,
     {TAKES(", " FOLLOW ", string, " TIME ", " TIME) GIVES("_")}},
    {METHOD("link-at"),
     link_at,
     {TAKES(", " FOLLOW ", string, borrow<descriptor>, string") GIVES("_")}},
    {METHOD("open-at"),
     open_at,
     {TAKES(", " FOLLOW ", string, flags{create, directory, exclusive, truncate}, " FLAGS)
          GIVES("own<descriptor>")}},
    {METHOD("readlink-at"), readlink_at, {TAKES(", string") GIVES("string")}},
    {METHOD("remove-directory-at"), remove_directory_at, {TAKES(", string") GIVES("_")}},
    {METHOD("rename-at"), rename_at, {TAKES(", string, borrow<descriptor>, string") GIVES("_")}},
    {METHOD("symlink-at"), symlink_at, {TAKES(", string, string") GIVES("_")}},
    {METHOD("unlink-file-at"), unlink_file_at, {TAKES(", string") GIVES("_")}},
    {METHOD("is-same-object"),
     is_same_object,
     {"func(borrow<descriptor>, borrow<descriptor>) -> bool"}},
    {METHOD("metadata-hash"), metadata_hash, {TAKES("") GIVES(HASH)}},
    {METHOD("metadata-hash-at"), metadata_hash_at, {TAKES(", " FOLLOW ", string") GIVES(HASH)}},
    {"[method]directory-entry-stream.read-directory-entry",
     NAME ".[method]directory-entry-stream.read-directory-entry",
     read_directory_entry,
     {"func(borrow<directory-entry-stream>) -> result<option<record{type: " TYPES
      ", name: string}>, " CODES ">"}},
    {"filesystem-error-code",
     NAME ".filesystem-error-code",
     filesystem_error_code,
     {"func(borrow<error>) -> option<" CODES ">"}},
};
const struct host_interface wasi_filesystem_types = {NAME, functions, COUNT_OF(functions)};

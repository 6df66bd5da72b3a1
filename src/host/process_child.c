// SPDX-License-Identifier: Apache-2.0
// One program of an actor: its start, on a thread that may block, and its output and end, which
// become calls of process-handlers.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/process.h"
#include "io/pool.h"
#include "io/program.h"

enum { EVENT_EXIT = IO_OUTPUT_COUNT };

struct child *child_new(struct actor *self, uint64_t number) {
    struct child *child = xcalloc(1, sizeof *child);
    atomic_init(&child->references, 1);
    child->number = number;
    child->start_ms = env_wall_ns(actor_env(self)) / 1000000U;
    child->actor = actor_ref(self);
    child->instance = actor_instance_number(self);
    pthread_mutex_init(&child->lock, NULL);
    return child;
}

struct child *child_ref(struct child *child) {
    atomic_fetch_add_explicit(&child->references, 1, memory_order_relaxed);
    return child;
}

void child_unref(struct child *child) {
    if (atomic_fetch_sub_explicit(&child->references, 1, memory_order_acq_rel) == 1) {
        io_process_unref(child->process);
        actor_unref(child->actor);
        pthread_mutex_destroy(&child->lock);
        free(child);
    }
}

void child_discard(struct child *child) {
    pthread_mutex_lock(&child->lock);
    child->is_unwanted = true;
    struct io_process *process = child->process;
    pthread_mutex_unlock(&child->lock);
    if (process != NULL) {
        io_process_discard(process);
    }
}

// ---- events
// --------------------------------------------------------------------------------------

static void fill_output(struct actor_event *event, struct arena *arena, struct value *tuple) {
    (void)arena;
    bool is_stderr = event->kind == ACTOR_PROCESS_STDERR;
    struct child *child =
        CONTAINER_OF(event, struct child, events[is_stderr ? IO_STDERR : IO_STDOUT]);
    struct slice piece = child->pieces[is_stderr ? IO_STDERR : IO_STDOUT];
    tuple[0] = (struct value){.bits = child->number};
    tuple[1] = (struct value){.bytes = piece.data, .count = (uint32_t)piece.size};
}

static void fill_exit(struct actor_event *event, struct arena *arena, struct value *tuple) {
    (void)arena;
    struct child *child = CONTAINER_OF(event, struct child, events[EVENT_EXIT]);
    tuple[0] = (struct value){.bits = child->number};
    tuple[1] = (struct value){.bits = (uint64_t)(int64_t)child->code};
}

// Whatever the handler made of it, the piece was delivered.
static void settle_output(struct actor_event *event, enum status status, const struct value *answer,
                          struct slice text) {
    (void)status;
    (void)answer;
    (void)text;
    bool is_stderr = event->kind == ACTOR_PROCESS_STDERR;
    enum io_output stream = is_stderr ? IO_STDERR : IO_STDOUT;
    struct child *child = CONTAINER_OF(event, struct child, events[stream]);
    io_process_settle(child->process, stream);
    child_unref(child);
}

static void settle_exit(struct actor_event *event, enum status status, const struct value *answer,
                        struct slice text) {
    (void)status;
    (void)answer;
    (void)text;
    child_unref(CONTAINER_OF(event, struct child, events[EVENT_EXIT]));
}

// An actor that does not handle the event, or has ended, misses nothing that it could have got.
static bool deliver(struct child *child, struct actor_event *event) {
    struct error error = {0};
    (void)child_ref(child);
    if (actor_deliver(child->actor, event, &error) != OK) {
        child_unref(child);
        return false;
    }
    return true;
}

static void on_output(void *context, enum io_output stream, struct slice piece) {
    struct child *child = context;
    child->pieces[stream] = piece;
    child->events[stream] = (struct actor_event){
        .kind = stream == IO_STDERR ? ACTOR_PROCESS_STDERR : ACTOR_PROCESS_STDOUT,
        .instance = child->instance,
        .is_reserved = true,
        .size = (uint32_t)piece.size,
        .fill = fill_output,
        .settled = settle_output};
    if (!deliver(child, &child->events[stream])) {
        io_process_settle(child->process, stream);
    }
}

static void on_exit_code(void *context, int32_t code) {
    struct child *child = context;
    child->code = code;
    child->events[EVENT_EXIT] = (struct actor_event){.kind = ACTOR_PROCESS_EXIT,
                                                     .instance = child->instance,
                                                     .is_reserved = true,
                                                     .fill = fill_exit,
                                                     .settled = settle_exit};
    (void)deliver(child, &child->events[EVENT_EXIT]);
}

static void on_started(void *context, enum status status, const struct error *error) {
    struct child *child = context;
    struct spawn *spawn = child->spawn;
    child->spawn = NULL;
    spawn->job.status = status;
    if (status != OK) {
        spawn->job.error = *error;
    }
    actor_job_done(&spawn->job);
}

static void on_released(void *context) {
    struct child *child = context;
    actor_release_busy(child->actor);
    child_unref(child);
}

static const struct io_process_handler handler = {
    .started = on_started, .output = on_output, .exited = on_exit_code, .released = on_released};

// ---- the start
// -----------------------------------------------------------------------------------

// The list may hold the name as it is given, or the path that it stands for.
static enum status find_program(struct spawn *spawn, char **path) {
    const struct permissions *permissions = actor_permissions(spawn->child->actor);
    struct slice name = bytes_slice(spawn->program);
    // What is not permitted by either word is not looked for either: the answer would tell what
    // there is.
    bool is_named = permissions_allow_program(permissions, name);
    struct error error = {0};
    enum status status = io_program_find(name, path, &error);
    bool is_allowed =
        is_named || (status == OK && permissions_allow_program(permissions, slice_text(*path)));
    if (is_allowed && status == OK) {
        return OK;
    }
    if (status == OK) {
        free(*path);
    }
    *path = NULL;
    if (!is_allowed) {
        return error_set(&spawn->job.error, ERR_DENIED, "program %.*s is not in allowed_programs",
                         (int)(name.size < 200 ? name.size : 200), (const char *)name.data);
    }
    return error_set(&spawn->job.error, status, "%s", error.message);
}

// The path that an open folder has by now, links followed.
static bool is_folder_allowed(const struct permissions *permissions, int folder) {
    char link[64], path[PATH_MAX];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t size = readlink(link, path, sizeof path);
    return size > 0 && (size_t)size < sizeof path &&
           permissions_allow_process_folder(permissions, slice_of(path, (size_t)size));
}

static enum status open_folder(struct spawn *spawn) {
    const struct permissions *permissions = actor_permissions(spawn->child->actor);
    struct buf path = {0};
    if (spawn->cwd != NULL && spawn->cwd[0] != '/') {
        buf_format(&path, "%s/", spawn->default_folder);
    }
    buf_append_text(&path, spawn->cwd != NULL ? spawn->cwd : spawn->default_folder);
    const char *shown = spawn->cwd != NULL ? spawn->cwd : "of the manifest";
    spawn->config.folder = open(buf_text(&path), O_PATH | O_DIRECTORY | O_CLOEXEC);
    int code = errno;
    buf_release(&path);
    // What is not permitted must look alike whether it exists or not.
    if (spawn->config.folder < 0 && permissions->process.paths.everything) {
        return error_set_os(&spawn->job.error, code, "working folder %.200s", shown);
    }
    if (spawn->config.folder < 0 || !is_folder_allowed(permissions, spawn->config.folder)) {
        return error_set(&spawn->job.error, ERR_DENIED,
                         "working folder %.200s is not beneath one of allowed_paths", shown);
    }
    return OK;
}

// Takes `path`.
static void start(struct spawn *spawn, char *path) {
    struct child *child = spawn->child;
    spawn->config.program = path;
    spawn->config.handler = &handler;
    spawn->config.context = child_ref(child);
    child->spawn = spawn;
    actor_hold_busy(child->actor);
    // What it takes is the job's no more, and the job may be gone when this returns.
    struct io_process_config config = spawn->config;
    spawn->config.texts = (struct buf){0};
    spawn->config.folder = -1;
    io_process_start(spawn->services->processes, &config, &child->process);
    free(path);
}

// On a thread that may block.
static void prepare(void *argument) {
    struct spawn *spawn = argument;
    struct child *child = spawn->child;
    char *path = NULL;
    enum status status = find_program(spawn, &path);
    if (status == OK) {
        status = open_folder(spawn);
    }
    if (status != OK) {
        spawn->job.status = status;
        free(path);
        actor_job_done(&spawn->job);
        return;
    }
    // Once it is started the loop may be done with the job at any moment.
    (void)child_ref(child);
    pthread_mutex_lock(&child->lock);
    bool is_unwanted = child->is_unwanted;
    if (!is_unwanted) {
        start(spawn, path);
    }
    pthread_mutex_unlock(&child->lock);
    if (is_unwanted) {
        free(path);
        spawn->job.status = error_set(&spawn->job.error, ERR_STOPPING, "the actor is stopping");
        actor_job_done(&spawn->job);
    }
    child_unref(child);
}

void child_spawn(struct actor_job *job) {
    struct spawn *spawn = CONTAINER_OF(job, struct spawn, job);
    io_pool_submit(spawn->services->pool, prepare, spawn);
}

// SPDX-License-Identifier: Apache-2.0
// theater:simple/filesystem, running commands: a program of allowed_commands, in a folder beneath
// that of the handler block, confined to it by Landlock. The actor waits for its end; its output is
// the result.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "codec/utf8.h"
#include "host/folder.h"
#include "io/pool.h"
#include "io/process.h"
#include "io/program.h"

enum { OUTPUT_MOST_BYTES = 4 << 20, BUFFER_BYTES = 64 * 1024 };

// Owns all that it uses. What is behind `process` belongs to the loop until the job is done.
struct command {
    struct actor_job job;
    struct io_pool *pool;
    struct io_processes *processes;
    struct host_folder *folder;  // keeps: what the command is confined to
    char *path;                  // of its working folder, beneath that
    struct bytes *program;
    struct buf args;  // with the NULs at their ends, without the name
    uint32_t arg_count;
    bool may_write;
    uint64_t output_most;
    uint64_t timeout_ms;

    pthread_mutex_t lock;  // for the next two
    bool is_unwanted;
    struct io_process *process;  // a reference; NULL: not started

    struct buf output[IO_OUTPUT_COUNT];
    bool is_over;  // it wrote too much
    int32_t code;
    int folder_code;     // errno of opening its working folder; 0
    enum status status;  // of its start
    struct error error;
};

static void release_command(struct actor_job *job) {
    struct command *command = CONTAINER_OF(job, struct command, job);
    host_folder_unref(command->folder);
    bytes_unref(command->program);
    buf_release(&command->args);
    for (int i = 0; i < IO_OUTPUT_COUNT; i++) {
        buf_release(&command->output[i]);
    }
    io_process_unref(command->process);
    pthread_mutex_destroy(&command->lock);
    free(command->path);
    free(command);
}

// ---- on the loop
// ---------------------------------------------------------------------------------

static void on_started(void *context, enum status status, const struct error *error) {
    struct command *command = context;
    command->status = status;
    if (status != OK) {
        command->error = *error;
    }
}

static void on_output(void *context, enum io_output stream, struct slice piece) {
    struct command *command = context;
    uint64_t held = command->output[IO_STDOUT].size + command->output[IO_STDERR].size;
    if (piece.size > command->output_most - held) {
        command->is_over = true;
        io_process_kill(command->process);
    }
    if (!command->is_over) {
        buf_append_slice(&command->output[stream], piece);
    }
    io_process_settle(command->process, stream);
}

static void on_exit_code(void *context, int32_t code) {
    struct command *command = context;
    command->code = code;
}

static void on_released(void *context) {
    struct command *command = context;
    actor_job_done(&command->job);
}

static const struct io_process_handler handler = {
    .started = on_started, .output = on_output, .exited = on_exit_code, .released = on_released};

// ---- on a thread that may block
// --------------------------------------------------------------------

static void add_variable(struct io_process_config *config, const char *name, const char *content) {
    buf_format(&config->texts, "%s=%s", name, content);
    buf_append_byte(&config->texts, '\0');
    config->variable_count++;
}

// Nothing of the node's own environment, but where programs are.
static void add_environment(const struct command *command, struct io_process_config *config) {
    char link[64], home[PATH_MAX];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", command->folder->handle);
    ssize_t size = readlink(link, home, sizeof home - 1);
    home[size > 0 ? size : 0] = '\0';
    struct buf folders = {0};
    io_program_folders(&folders);
    add_variable(config, "PATH", buf_text(&folders));
    buf_release(&folders);
    add_variable(config, "LANG", "C.UTF-8");
    add_variable(config, "HOME", home);
    if (command->may_write) {
        add_variable(config, "TMPDIR", home);
    }
}

// False, and nothing is open, when it cannot be started.
static bool make_config(struct command *command, struct io_process_config *config, char **path) {
    struct slice name = bytes_slice(command->program);
    command->status = io_program_find(name, path, &command->error);
    if (command->status != OK) {
        return false;
    }
    config->folder = jail_open(command->folder->handle, command->path, O_PATH | O_DIRECTORY, 0);
    config->root = fcntl(command->folder->handle, F_DUPFD_CLOEXEC, 0);
    if (config->folder < 0 || config->root < 0) {
        command->folder_code = errno;
        if (config->folder >= 0) {
            (void)close(config->folder);
        }
        return false;
    }
    config->program = *path;
    buf_append_slice(&config->texts, name);
    buf_append_byte(&config->texts, '\0');
    buf_append_slice(&config->texts, buf_slice(&command->args));
    config->arg_count = command->arg_count + 1;
    add_environment(command, config);
    config->may_write = command->may_write;
    config->timeout_ms = command->timeout_ms;
    config->handler = &handler;
    config->context = command;
    for (int i = 0; i < IO_OUTPUT_COUNT; i++) {
        config->framings[i] =
            (struct io_framing){.mode = IO_FRAMES_RAW, .most_bytes = BUFFER_BYTES};
    }
    return true;
}

static void prepare(void *argument) {
    struct command *command = argument;
    struct io_process_config config = {.folder = -1, .root = -1};
    char *path = NULL;
    bool has_begun = make_config(command, &config, &path);
    if (has_begun) {
        // As long as the lock is held here, the loop cannot have freed it: the reference.
        atomic_fetch_add_explicit(&command->job.references, 1, memory_order_relaxed);
        pthread_mutex_lock(&command->lock);
        has_begun = !command->is_unwanted;
        if (has_begun) {
            io_process_start(command->processes, &config, &command->process);
        }
        pthread_mutex_unlock(&command->lock);
        if (!has_begun) {
            (void)close(config.folder);
            (void)close(config.root);
            buf_release(&config.texts);
        }
        free(path);
        if (!has_begun) {
            actor_job_done(&command->job);
        }
        actor_job_unref(&command->job);
        return;
    }
    free(path);
    actor_job_done(&command->job);
}

// ---- on the actor's fiber
// --------------------------------------------------------------------------

static void begin_command(struct actor_job *job) {
    struct command *command = CONTAINER_OF(job, struct command, job);
    io_pool_submit(command->pool, prepare, command);
}

static void cancel_command(struct actor_job *job) {
    struct command *command = CONTAINER_OF(job, struct command, job);
    pthread_mutex_lock(&command->lock);
    command->is_unwanted = true;
    struct io_process *process = command->process;
    pthread_mutex_unlock(&command->lock);
    if (process != NULL) {
        io_process_discard(process);
    }
}

static enum status check_permission(struct actor *self, struct slice name, struct error *error) {
    const struct permissions *permissions = actor_permissions(self);
    if (!permissions->file_system.execute) {
        return actor_denied(self, PERMISSION_FILE_SYSTEM, error,
                            "running commands is not permitted (execute)");
    }
    // A command may read whatever is in the folder.
    if (!permissions->file_system.read) {
        return actor_denied(self, PERMISSION_FILE_SYSTEM, error, "reading is not permitted (read)");
    }
    if (!permissions_allow_command(permissions, name)) {
        struct slice quoted = host_quote(name);
        return actor_denied(self, PERMISSION_FILE_SYSTEM, error,
                            "command %.*s is not in allowed_commands", (int)quoted.size,
                            (const char *)quoted.data);
    }
    return OK;
}

static enum status add_argument(struct command *command, struct slice text, struct error *error) {
    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL) {
        return error_set(error, ERR_INVALID,
                         "an argument holds a NUL, which no program can be given");
    }
    // The rest is for the name and the environment.
    const size_t most = IO_PROCESS_TEXT_MOST_BYTES - 16U * PATH_MAX;
    if (text.size + 1 > most - command->args.size) {
        return error_set(error, ERR_LIMIT, "the arguments are over the limit of %zu bytes", most);
    }
    buf_append_slice(&command->args, text);
    buf_append_byte(&command->args, '\0');
    command->arg_count++;
    return OK;
}

// In the folder that the guest named; NULL with `error`.
static struct command *command_new(struct component_call *call, struct slice folder,
                                   struct slice name, struct error *error) {
    struct actor *self = host_self(call);
    const struct host_services *services = host_services(self);
    struct host_place place = {0};
    enum status status = check_permission(self, name, error);
    if (status == OK &&
        (services == NULL || services->processes == NULL || services->pool == NULL)) {
        status = error_set(error, ERR_UNSUPPORTED, "commands cannot be run here");
    }
    if (status == OK) {
        status = host_place_find(call, folder, &place, error);
    }
    if (status != OK) {
        host_place_release(&place);
        return NULL;
    }
    const struct manifest_limits *limits = &actor_manifest(self)->limits;
    uint64_t most = limits->message_bytes;
    struct command *command = xcalloc(1, sizeof *command);
    actor_job_init(&command->job, NULL, release_command);
    command->job.begin = begin_command;
    command->job.cancel = cancel_command;
    command->pool = services->pool;
    command->processes = services->processes;
    command->folder = host_folder_ref(place.folder);
    command->path = xstrdup(place.path);
    command->program = bytes_copy(name);
    command->may_write = actor_permissions(self)->file_system.write;
    command->output_most = most < OUTPUT_MOST_BYTES ? most : OUTPUT_MOST_BYTES;
    command->timeout_ms = limits->request_timeout_ms;
    pthread_mutex_init(&command->lock, NULL);
    host_place_release(&place);
    return command;
}

// Text for the guest: each byte that is not UTF-8 becomes U+FFFD.
static bool copy_text(struct component_call *call, struct slice content, struct value *out) {
    struct buf text = {0};
    while (content.size > 0) {
        size_t good = utf8_valid_prefix(content);
        buf_append(&text, content.data, good);
        content = slice_of(content.data + good, content.size - good);
        if (content.size > 0) {
            buf_append_text(&text, "\xEF\xBF\xBD");
            content = slice_of(content.data + 1, content.size - 1);
        }
    }
    bool is_copied = host_copy(call, buf_slice(&text), out);
    buf_release(&text);
    return is_copied;
}

static bool answer_error(struct component_call *call, const struct error *error,
                         struct value *result) {
    // the record's field, and the record
    struct value *values = host_alloc(call, 2, sizeof *values);
    if (values == NULL || !copy_text(call, slice_text(error->message), &values[0])) {
        return false;
    }
    values[1] = (struct value){.items = &values[0], .count = 1};
    return host_ok_value(call, (struct value){.items = &values[1], .which = 1}, result);
}

static bool answer_success(struct component_call *call, const struct command *command,
                           struct value *result) {
    struct value *values = host_alloc(call, 4, sizeof *values);
    if (values == NULL || !copy_text(call, buf_slice(&command->output[IO_STDOUT]), &values[0]) ||
        !copy_text(call, buf_slice(&command->output[IO_STDERR]), &values[1])) {
        return false;
    }
    values[2] = (struct value){.bits = (uint64_t)(int64_t)command->code};
    values[3] = (struct value){.items = values, .count = 3};
    return host_ok_value(call, (struct value){.items = &values[3], .which = 0}, result);
}

// What became of a command whose job is done.
static bool answer(struct component_call *call, struct command *command, struct value *result) {
    struct error error = {0};
    if (command->status != OK) {
        error = command->error;
    } else if (command->is_over) {
        error_set(&error, ERR_LIMIT, "the command wrote more than %llu bytes and was killed",
                  (unsigned long long)command->output_most);
    } else if (io_process_has_timed_out(command->process)) {
        error_set(&error, ERR_TIMEOUT,
                  "the command ran longer than %llu ms (limits.request_timeout_ms) and was killed",
                  (unsigned long long)command->timeout_ms);
    } else if (command->code < 0) {
        error_set(&error, ERR_GUEST, "the command was killed by signal %d", -command->code);
    } else {
        return answer_success(call, command, result);
    }
    return answer_error(call, &error, result);
}

// Takes `command`, if it is not NULL.
static bool run_command(struct component_call *call, struct command *command, struct slice folder,
                        enum status status, struct error *error, struct value *result) {
    bool is_answered = false, is_done = true;
    if (command != NULL && status == OK) {
        status = actor_run_job(host_self(call), &command->job, error);
        if (status == OK && command->folder_code != 0) {
            status = host_file_error(host_self(call), command->folder_code, folder, error);
        }
        is_answered = status == OK;
        is_done = !is_answered || answer(call, command, result);
    }
    if (command != NULL) {
        actor_job_unref(&command->job);
    }
    return is_answered ? is_done : host_fail(call, error, result);
}

static bool execute_command(struct component_call *call, const struct value *args,
                            struct value *result) {
    struct error error = {0};
    struct slice folder = host_bytes(&args[0]);
    struct command *command = command_new(call, folder, host_bytes(&args[1]), &error);
    enum status status = OK;
    for (uint32_t i = 0; command != NULL && status == OK && i < args[2].count; i++) {
        status = add_argument(command, host_bytes(&args[2].items[i]), &error);
    }
    return run_command(call, command, folder, status, &error, result);
}

// The words of the line are arguments as they stand: no shell reads them.
static bool execute_nix_command(struct component_call *call, const struct value *args,
                                struct value *result) {
    static const char *const before[] = {"--extra-experimental-features", "nix-command flakes",
                                         "develop", "--command"};
    struct error error = {0};
    struct slice folder = host_bytes(&args[0]);
    struct command *command = command_new(call, folder, slice_text("nix"), &error);
    enum status status = OK;
    for (size_t i = 0; command != NULL && status == OK && i < COUNT_OF(before); i++) {
        status = add_argument(command, slice_text(before[i]), &error);
    }
    struct slice line = host_bytes(&args[1]);
    size_t start = 0;
    for (size_t at = 0; command != NULL && status == OK && at <= line.size; at++) {
        if (at == line.size || line.data[at] == ' ' || line.data[at] == '\n') {
            if (at > start) {
                status = add_argument(command, slice_of(line.data + start, at - start), &error);
            }
            start = at + 1;
        }
    }
    if (command != NULL && status == OK && command->arg_count == COUNT_OF(before)) {
        status = error_set(&error, ERR_INVALID, "the command is empty");
    }
    return run_command(call, command, folder, status, &error, result);
}

#define RESULT                                                                         \
    "result<variant{success(record{stdout: string, stderr: string, exit-code: s32}), " \
    "error(record{message: string})}, string>"

static const struct host_function functions[] = {
    {"execute-command",
     "filesystem.execute-command",
     execute_command,
     {"func(string, string, list<string>) -> " RESULT}},
    {"execute-nix-command",
     "filesystem.execute-nix-command",
     execute_nix_command,
     {"func(string, string) -> " RESULT}},
};
const struct host_interface host_filesystem_command = {"filesystem", functions,
                                                       COUNT_OF(functions)};

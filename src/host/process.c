// SPDX-License-Identifier: Apache-2.0
// theater:simple/process: programs of the operating system. A guest knows its programs by numbers
// of their own, counted from 1 for each actor: no process id of the system is ever taken from a
// guest. What acts on a program waits, so that its intent is in the chain before it happens.
#include "host/process.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/wasi.h"

// Programs that ended stay known to os-status, the newest of them.
enum { ENDED_MOST = 64, CHUNK_DEFAULT_BYTES = 4096 };

// ---- the actor's programs
// ------------------------------------------------------------------------

static struct child *find_child(struct actor *self, uint64_t number, struct error *error) {
    for (struct child *at = host_state_of(self)->children; at != NULL; at = at->next) {
        if (at->number == number) {
            return at;
        }
    }
    error_set(error, ERR_NOT_FOUND, "process not found: %llu", (unsigned long long)number);
    return NULL;
}

static bool is_gone(const struct child *child) {
    return io_process_state(child->process, NULL) == IO_PROCESS_GONE;
}

// Those that are not gone; forgets old ones that are.
static uint64_t count_running(struct host_state *state) {
    uint64_t running = 0;
    uint32_t ended = 0;
    struct child **at = &state->children;
    while (*at != NULL) {
        struct child *child = *at;
        bool is_ended = is_gone(child);
        running += is_ended ? 0 : 1;
        ended += is_ended ? 1 : 0;
        if (is_ended && ended > ENDED_MOST) {
            *at = child->next;
            child_unref(child);
        } else {
            at = &child->next;
        }
    }
    return running;
}

void host_children_release(struct host_state *state) {
    while (state->children != NULL) {
        struct child *child = state->children;
        state->children = child->next;
        child_discard(child);
        child_unref(child);
    }
}

// ---- os-spawn
// ------------------------------------------------------------------------------------

static bool has_nul(struct slice text) {
    return text.size > 0 && memchr(text.data, '\0', text.size) != NULL;
}

static enum status add_text(struct buf *texts, struct slice text, const char *what,
                            struct error *error) {
    if (has_nul(text)) {
        return error_set(error, ERR_INVALID, "%s holds a NUL, which no program can be given", what);
    }
    if (text.size + 1 > IO_PROCESS_TEXT_MOST_BYTES - texts->size) {
        return error_set(error, ERR_LIMIT,
                         "arguments and environment are over the limit of %d bytes",
                         IO_PROCESS_TEXT_MOST_BYTES);
    }
    buf_append_slice(texts, text);
    buf_append_byte(texts, '\0');
    return OK;
}

static enum status add_variable(struct buf *texts, const struct value *pair, struct error *error) {
    struct slice name = host_bytes(&pair->items[0]), content = host_bytes(&pair->items[1]);
    if (name.size == 0 || memchr(name.data, '=', name.size) != NULL) {
        return error_set(error, ERR_INVALID,
                         "the name of an environment variable is neither empty nor holds a \"=\"");
    }
    struct buf joined = {0};
    buf_append_slice(&joined, name);
    buf_append_byte(&joined, '=');
    buf_append_slice(&joined, content);
    enum status status = add_text(texts, buf_slice(&joined), "an environment variable", error);
    buf_release(&joined);
    return status;
}

// The order of the fields of process-config.
enum {
    CONFIG_PROGRAM,
    CONFIG_ARGS,
    CONFIG_CWD,
    CONFIG_ENV,
    CONFIG_BUFFER_SIZE,
    CONFIG_STDOUT_MODE,
    CONFIG_STDERR_MODE,
    CONFIG_CHUNK_SIZE,
    CONFIG_TIMEOUT,  // not in the older shape
    CONFIG_COUNT
};

static enum status take_texts(struct spawn *spawn, const struct value *fields) {
    struct io_process_config *config = &spawn->config;
    struct error *error = &spawn->job.error;
    enum status status =
        add_text(&config->texts, host_bytes(&fields[CONFIG_PROGRAM]), "the program", error);
    for (uint32_t i = 0; status == OK && i < fields[CONFIG_ARGS].count; i++) {
        status = add_text(&config->texts, host_bytes(&fields[CONFIG_ARGS].items[i]), "an argument",
                          error);
    }
    for (uint32_t i = 0; status == OK && i < fields[CONFIG_ENV].count; i++) {
        status = add_variable(&config->texts, &fields[CONFIG_ENV].items[i], error);
    }
    config->arg_count = fields[CONFIG_ARGS].count + 1;
    config->variable_count = fields[CONFIG_ENV].count;
    if (status == OK && fields[CONFIG_CWD].which == 1) {
        struct slice cwd = host_bytes(fields[CONFIG_CWD].items);
        if (has_nul(cwd) || cwd.size == 0) {
            return error_set(error, ERR_INVALID, "the working folder is no path");
        }
        spawn->cwd = xstrndup(cwd.data, cwd.size);
    }
    return status;
}

static enum status take_framing(struct spawn *spawn, const struct value *fields,
                                uint64_t output_most) {
    uint64_t wanted = fields[CONFIG_BUFFER_SIZE].bits;
    uint64_t most = wanted == 0 || wanted > output_most ? output_most : wanted;
    bool has_chunk = fields[CONFIG_CHUNK_SIZE].which == 1;
    uint64_t chunk = has_chunk ? fields[CONFIG_CHUNK_SIZE].items->bits : CHUNK_DEFAULT_BYTES;
    chunk = has_chunk || chunk <= most ? chunk : most;
    for (int i = 0; i < IO_OUTPUT_COUNT; i++) {
        enum io_frame_mode mode = (enum io_frame_mode)fields[CONFIG_STDOUT_MODE + i].which;
        if (mode == IO_FRAMES_CHUNKS && (chunk == 0 || chunk > most)) {
            return error_set(&spawn->job.error, ERR_INVALID,
                             "chunk-size is %llu, but must be 1 to %llu (buffer-size, or "
                             "max_output_buffer of the manifest)",
                             (unsigned long long)chunk, (unsigned long long)most);
        }
        spawn->config.framings[i] =
            (struct io_framing){.mode = mode, .chunk_bytes = (uint32_t)chunk, .most_bytes = most};
    }
    return OK;
}

static uint64_t timeout_of(const struct component_func_type *type, const struct value *fields) {
    bool has_field = type->params[0]->item_count == CONFIG_COUNT;
    if (!has_field || fields[CONFIG_TIMEOUT].which != 1) {
        return 0;
    }
    const uint64_t most_s = UINT32_MAX;  // more than a century
    uint64_t seconds = fields[CONFIG_TIMEOUT].items->bits;
    return (seconds < most_s ? seconds : most_s) * 1000;
}

static enum status check_limits(struct actor *self, struct error *error) {
    const struct permissions *permissions = actor_permissions(self);
    const struct host_services *services = host_services(self);
    if (services == NULL || services->processes == NULL || services->pool == NULL) {
        return error_set(error, ERR_UNSUPPORTED, "programs cannot be run here");
    }
    uint64_t running = count_running(host_state_of(self));
    if (running >= permissions->process.max_processes) {
        return actor_denied(
            self, PERMISSION_PROCESS, error, "%llu processes run, and max_processes is %llu",
            (unsigned long long)running, (unsigned long long)permissions->process.max_processes);
    }
    if (permissions->process.max_output_bytes == 0) {
        return actor_denied(self, PERMISSION_PROCESS, error, "max_output_buffer is 0");
    }
    return OK;
}

static void release_spawn(struct actor_job *job) {
    struct spawn *spawn = CONTAINER_OF(job, struct spawn, job);
    bytes_unref(spawn->program);
    buf_release(&spawn->config.texts);
    if (spawn->config.folder >= 0) {
        (void)close(spawn->config.folder);
    }
    free(spawn->cwd);
    free(spawn->default_folder);
    if (spawn->child != NULL) {
        child_unref(spawn->child);
    }
    free(spawn);
}

static struct spawn *spawn_new(struct actor *self, const struct value *fields) {
    const struct manifest *manifest = actor_manifest(self);
    const struct permission_list *paths = &actor_permissions(self)->process.paths;
    struct spawn *spawn = xcalloc(1, sizeof *spawn);
    actor_job_init(&spawn->job, NULL, release_spawn);
    spawn->job.begin = child_spawn;
    spawn->services = host_services(self);
    spawn->program = bytes_copy(host_bytes(&fields[CONFIG_PROGRAM]));
    bool has_choice = !paths->everything && paths->count > 0;
    spawn->default_folder = xstrdup(has_choice ? paths->items[0] : manifest->folder);
    spawn->config.folder = -1;
    spawn->config.root = -1;
    spawn->config.has_stdin = true;
    return spawn;
}

// The job, and the program if there is one then, in the actor's list.
static enum status run_spawn(struct actor *self, struct spawn *spawn, struct error *error) {
    struct host_state *state = host_state_of(self);
    struct child *child = child_new(self, state->last_child + 1);
    spawn->child = child_ref(child);
    enum status status = actor_run_job(self, &spawn->job, error);
    if (status == ERR_DENIED && child->process == NULL) {
        *error = (struct error){0};
        actor_denied(self, PERMISSION_PROCESS, error, "%s", spawn->job.error.message);
    }
    if (status == OK) {
        state->last_child++;
        child->next = state->children;
        state->children = child;
    } else {
        child_discard(child);
        child_unref(child);
    }
    return status;
}

static bool process_spawn(struct component_call *call, const struct value *args,
                          struct value *result) {
    struct actor *self = host_self(call);
    const struct value *fields = args[0].items;
    struct error error = {0};
    enum status status = check_limits(self, &error);
    uint64_t number = 0;
    if (status == OK) {
        struct spawn *spawn = spawn_new(self, fields);
        status = take_texts(spawn, fields);
        if (status == OK) {
            status = take_framing(spawn, fields, actor_permissions(self)->process.max_output_bytes);
        }
        spawn->config.timeout_ms = timeout_of(component_call_type(call), fields);
        if (status == OK) {
            status = run_spawn(self, spawn, &error);
            number = host_state_of(self)->last_child;
        } else {
            error = spawn->job.error;
        }
        actor_job_unref(&spawn->job);
    }
    return status == OK ? host_ok_value(call, (struct value){.bits = number}, result)
                        : host_fail(call, &error, result);
}

// ---- os-status
// -----------------------------------------------------------------------------------

static bool process_status(struct component_call *call, const struct value *args,
                           struct value *result) {
    struct error error = {0};
    const struct child *child = find_child(host_self(call), args[0].bits, &error);
    if (child == NULL) {
        return host_fail(call, &error, result);
    }
    // pid, running, exit-code, start-time; and what the option holds
    struct value *fields = host_alloc(call, 5, sizeof *fields);
    if (fields == NULL) {
        return false;
    }
    int32_t code = 0;
    bool has_ended = io_process_state(child->process, &code) >= IO_PROCESS_ENDED;
    fields[0] = (struct value){.bits = child->number};
    fields[1] = (struct value){.bits = !has_ended};
    fields[4] = (struct value){.bits = (uint64_t)(int64_t)code};
    fields[2] = (struct value){.items = has_ended ? &fields[4] : NULL, .which = has_ended};
    fields[3] = (struct value){.bits = child->start_ms};
    return host_ok_value(call, (struct value){.items = fields, .count = 4}, result);
}

// ---- os-write-stdin, os-close-stdin, os-signal, os-kill
// -------------------------------------------

struct order_job {
    struct actor_job job;
    struct io_process_order order;
    struct child *child;
    struct bytes *data;
};

static void order_done(struct io_process_order *order) {
    actor_job_done(&CONTAINER_OF(order, struct order_job, order)->job);
}

static void begin_order(struct actor_job *job) {
    struct order_job *order = CONTAINER_OF(job, struct order_job, job);
    io_process_order(order->child->process, &order->order);
}

static void release_order(struct actor_job *job) {
    struct order_job *order = CONTAINER_OF(job, struct order_job, job);
    child_unref(order->child);
    bytes_unref(order->data);
    free(order);
}

// `taken` may be NULL.
static enum status run_order(struct component_call *call, uint64_t number,
                             const struct io_process_order *what, size_t *taken,
                             struct error *error) {
    struct actor *self = host_self(call);
    struct child *child = find_child(self, number, error);
    if (child == NULL) {
        return ERR_NOT_FOUND;
    }
    struct order_job *order = xcalloc(1, sizeof *order);
    actor_job_init(&order->job, NULL, release_order);
    order->job.begin = begin_order;
    order->child = child_ref(child);
    order->order = *what;
    order->data = bytes_copy(what->data);
    order->order.data = bytes_slice(order->data);
    order->order.done = order_done;
    enum status status = actor_run_job(self, &order->job, error);
    if (status == OK) {
        status = order->order.status;
        *error = order->order.error;
        if (taken != NULL) {
            *taken = order->order.taken;
        }
        if (status != OK) {
            error_context(error, "process %llu", (unsigned long long)number);
        }
    }
    actor_job_unref(&order->job);
    return status;
}

static bool process_write(struct component_call *call, const struct value *args,
                          struct value *result) {
    struct error error = {0};
    size_t taken = 0;
    struct io_process_order order = {.kind = IO_ORDER_WRITE, .data = host_bytes(&args[1])};
    return run_order(call, args[0].bits, &order, &taken, &error) == OK
               ? host_ok_value(call, (struct value){.bits = taken}, result)
               : host_fail(call, &error, result);
}

static bool process_close_stdin(struct component_call *call, const struct value *args,
                                struct value *result) {
    struct error error = {0};
    struct io_process_order order = {.kind = IO_ORDER_CLOSE_STDIN};
    return host_done(call, run_order(call, args[0].bits, &order, NULL, &error), &error, result);
}

static bool process_signal(struct component_call *call, const struct value *args,
                           struct value *result) {
    enum { SIGNAL_MOST = 64 };
    struct error error = {0};
    uint64_t signal = args[1].bits;
    if (signal == 0 || signal > SIGNAL_MOST) {
        error_set(&error, ERR_INVALID, "there is no signal %llu: 1 to %d",
                  (unsigned long long)signal, SIGNAL_MOST);
        return host_fail(call, &error, result);
    }
    struct io_process_order order = {.kind = IO_ORDER_SIGNAL, .signal = (int32_t)signal};
    return host_done(call, run_order(call, args[0].bits, &order, NULL, &error), &error, result);
}

static bool process_kill(struct component_call *call, const struct value *args,
                         struct value *result) {
    struct error error = {0};
    struct io_process_order order = {.kind = IO_ORDER_KILL};
    return host_done(call, run_order(call, args[0].bits, &order, NULL, &error), &error, result);
}

#define MODE "variant{raw, line-by-line, json, chunked}"
#define CONFIG                                                                           \
    "program: string, args: list<string>, cwd: option<string>, env: list<tuple<string, " \
    "string>>, buffer-size: u32, stdout-mode: " MODE ", stderr-mode: " MODE              \
    ", chunk-size: "                                                                     \
    "option<u32>"

static const struct host_function functions[] = {
    {"os-spawn",
     "process.os-spawn",
     process_spawn,
     {"func(record{" CONFIG ", execution-timeout: option<u64>}) -> result<u64, string>",
      "func(record{" CONFIG "}) -> result<u64, string>"}},
    {"os-write-stdin",
     "process.os-write-stdin",
     process_write,
     {"func(u64, list<u8>) -> result<u32, string>"}},
    {"os-close-stdin",
     "process.os-close-stdin",
     process_close_stdin,
     {"func(u64) -> result<_, string>"}},
    {"os-status",
     "process.os-status",
     process_status,
     {"func(u64) -> result<record{pid: u64, running: bool, exit-code: option<s32>, start-time: "
      "u64}, string>"}},
    {"os-signal", "process.os-signal", process_signal, {"func(u64, u32) -> result<_, string>"}},
    {"os-kill", "process.os-kill", process_kill, {"func(u64) -> result<_, string>"}},
};
const struct host_interface host_process = {"process", functions, COUNT_OF(functions)};

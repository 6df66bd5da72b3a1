// SPDX-License-Identifier: Apache-2.0
// One child process, as the loop sees it: its control socket, its output, its end.
#include "io/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/process_internal.h"

static void check_end(struct io_process *process);

static void set_state(struct io_process *process, enum io_process_state state) {
    // Release: partner of the acquire in io_process_state.
    atomic_store_explicit(&process->state, (int)state, memory_order_release);
}

static enum io_process_state state_of(const struct io_process *process) {
    return io_process_state(process, NULL);
}

static void close_descriptors(struct io_process *process) {
    for (int i = 0; i < EXEC_DESCRIPTOR_COUNT; i++) {
        if (process->descriptors[i] >= 0) {
            (void)close(process->descriptors[i]);
            process->descriptors[i] = -1;
        }
    }
}

// ---- handles
// -------------------------------------------------------------------------------------

// The last handle of a process that is gone.
void process_handle_closed(uv_handle_t *handle) {
    struct io_process *process = handle->data;
    process->handles--;
    check_end(process);
}

static void control_closed(uv_handle_t *handle) {
    struct io_process *process = handle->data;
    process->has_control = false;
    process_handle_closed(handle);
}

static void timer_closed(uv_handle_t *handle) {
    struct io_process *process = handle->data;
    process->has_timer = false;
    process_handle_closed(handle);
}

static void stream_closed(uv_handle_t *handle) {
    struct process_stream *stream = CONTAINER_OF(handle, struct process_stream, pipe);
    stream->is_open = false;
    process_handle_closed(handle);
}

static void close_handle(uv_handle_t *handle, uv_close_cb closed) {
    if (!uv_is_closing(handle)) {
        uv_close(handle, closed);
    }
}

void process_command(struct io_process *process, enum exec_command_kind kind, int32_t value) {
    uv_handle_t *handle = (uv_handle_t *)&process->control;
    if (!process->has_control || uv_is_closing(handle) || process->is_killed) {
        return;
    }
    process->is_killed = kind == EXEC_KILL;
    struct exec_command command = {.kind = kind, .value = value};
    uv_buf_t part = uv_buf_init((char *)&command, sizeof command);
    int descriptor = -1;
    if (uv_try_write((uv_stream_t *)&process->control, &part, 1) != (int)sizeof command &&
        uv_fileno(handle, &descriptor) == 0) {
        // Not closed: if the supervisor is gone, what it said before is still to be read, and its
        // end. If it is stuck, this is what it ends by, and we hear of that in the same way.
        (void)shutdown(descriptor, SHUT_RDWR);
    }
}

// ---- output
// --------------------------------------------------------------------------------------

static void end_stream(struct process_stream *stream) {
    if (stream->is_open) {
        close_handle((uv_handle_t *)&stream->pipe, stream_closed);
    }
    stream->is_reading = false;
    io_frames_end(&stream->frames);
}

static void alloc_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    (void)suggested;
    struct process_stream *stream = CONTAINER_OF(handle, struct process_stream, pipe);
    size_t size = 0;
    uint8_t *room = io_frames_room(&stream->frames, &size);
    *out = uv_buf_init((char *)room, (unsigned)size);
}

static void on_output(uv_stream_t *handle, ssize_t size, const uv_buf_t *room);

// Reads while there is room, hands out the next piece when none is out.
static void pump(struct process_stream *stream) {
    struct io_process *process = stream->process;
    struct slice piece;
    if (!process->is_discarded && io_frames_next(&stream->frames, &piece)) {
        enum io_output which = stream == &process->streams[IO_STDOUT] ? IO_STDOUT : IO_STDERR;
        process->handler->output(process->context, which, piece);
    }
    if (!stream->is_open || uv_is_closing((uv_handle_t *)&stream->pipe)) {
        check_end(process);
        return;
    }
    bool has_room = io_frames_have_room(&stream->frames);
    if (!has_room && stream->is_reading) {
        (void)uv_read_stop((uv_stream_t *)&stream->pipe);
        stream->is_reading = false;
    } else if (has_room && !stream->is_reading) {
        stream->is_reading =
            uv_read_start((uv_stream_t *)&stream->pipe, alloc_room, on_output) == 0;
    }
    check_end(process);
}

static void on_output(uv_stream_t *handle, ssize_t size, const uv_buf_t *room) {
    (void)room;
    struct process_stream *stream = CONTAINER_OF(handle, struct process_stream, pipe);
    struct io_process *process = stream->process;
    if (size > 0) {
        io_frames_filled(&stream->frames, (size_t)size);
        if (state_of(process) >= IO_PROCESS_ENDED && process->has_timer) {
            (void)uv_timer_again(&process->timer);
        }
    } else if (size < 0) {
        end_stream(stream);
    }
    pump(stream);
}

static void run_settle(struct io_post *post) {
    struct process_stream *stream = CONTAINER_OF(post, struct process_stream, settle);
    struct io_process *process = stream->process;
    io_frames_settle(&stream->frames);
    pump(stream);
    io_process_unref(process);
}

void io_process_settle(struct io_process *process, enum io_output which) {
    struct process_stream *stream = &process->streams[which];
    stream->settle.run = run_settle;
    (void)io_process_ref(process);
    io_loop_post(process->processes->loop, &stream->settle);
}

// ---- the end
// -------------------------------------------------------------------------------------

static void release(struct io_process *process) {
    struct io_processes *processes = process->processes;
    *(process->previous != NULL ? &process->previous->next : &processes->first) = process->next;
    if (process->next != NULL) {
        process->next->previous = process->previous;
    }
    processes->count--;
    set_state(process, IO_PROCESS_GONE);
    process->handler->released(process->context);
    io_process_unref(process);
}

static bool is_output_read(const struct io_process *process) {
    return process->streams[IO_STDOUT].frames.has_ended &&
           process->streams[IO_STDERR].frames.has_ended;
}

static bool is_output_done(const struct io_process *process) {
    return process->is_discarded || (io_frames_are_done(&process->streams[IO_STDOUT].frames) &&
                                     io_frames_are_done(&process->streams[IO_STDERR].frames));
}

// Called after whatever may have been the last.
static void check_end(struct io_process *process) {
    if (state_of(process) == IO_PROCESS_ENDED && !process->is_told && is_output_done(process)) {
        process->is_told = true;
        if (!process->is_discarded) {
            process->handler->exited(process->context,
                                     atomic_load_explicit(&process->code, memory_order_relaxed));
        }
    }
    if (state_of(process) == IO_PROCESS_ENDED && is_output_read(process)) {
        // Whatever the program left behind has nothing to say any more.
        process_command(process, EXEC_KILL, 0);
    }
    if (process->is_told && !process->has_control) {
        process_close_input(process);
        if (process->has_timer) {
            close_handle((uv_handle_t *)&process->timer, timer_closed);
        }
        if (process->handles == 0 && state_of(process) != IO_PROCESS_GONE) {
            release(process);
        }
    }
}

// Its time is over; or, after its end, nothing was heard of it for a while.
static void on_timer(uv_timer_t *timer) {
    struct io_process *process = timer->data;
    if (state_of(process) < IO_PROCESS_ENDED) {
        atomic_store_explicit(&process->has_timed_out, true, memory_order_relaxed);
        process_command(process, EXEC_KILL, 0);
        return;
    }
    if (process->has_control) {
        process_command(process, EXEC_KILL, 0);
        return;
    }
    // Somebody else holds the other end of its output; what is not read because there is no room
    // waits for room.
    for (int i = 0; i < IO_OUTPUT_COUNT; i++) {
        if (process->streams[i].is_reading) {
            end_stream(&process->streams[i]);
            pump(&process->streams[i]);
        }
    }
}

static void has_ended(struct io_process *process, int32_t code) {
    if (state_of(process) >= IO_PROCESS_ENDED) {
        return;
    }
    atomic_store_explicit(&process->code, code, memory_order_relaxed);
    set_state(process, IO_PROCESS_ENDED);
    process_close_input(process);
    (void)uv_timer_start(&process->timer, on_timer, IO_PROCESS_LINGER_MS, IO_PROCESS_LINGER_MS);
    check_end(process);
}

// It never ran: nothing follows but its release.
void process_failed(struct io_process *process, const struct error *error) {
    if (state_of(process) != IO_PROCESS_STARTING || process->is_told) {
        return;
    }
    process->is_told = true;
    set_state(process, IO_PROCESS_ENDED);
    process->handler->started(process->context, error->code, error);
    for (int i = 0; i < IO_OUTPUT_COUNT; i++) {
        end_stream(&process->streams[i]);
    }
    if (process->has_control) {
        close_handle((uv_handle_t *)&process->control, control_closed);
    }
    check_end(process);
}

static void failed_at(struct io_process *process, const struct exec_report *report) {
    static const char *const stages[EXEC_STAGE_COUNT] = {
        [EXEC_STAGE_REQUEST] = "theater-exec does not understand the request",
        [EXEC_STAGE_FORK] = "cannot make a process",
        [EXEC_STAGE_SETUP] = "cannot set up the process",
        [EXEC_STAGE_FOLDER] = "cannot enter the working folder",
        [EXEC_STAGE_LANDLOCK] = "the kernel cannot confine programs to a folder (Landlock)",
        [EXEC_STAGE_EXECVE] = "cannot run the program",
    };
    struct error error = {0};
    const char *stage = report->stage < EXEC_STAGE_COUNT ? stages[report->stage] : "theater-exec";
    error_set_os(&error, report->value, "%s", stage);
    process_failed(process, &error);
}

// ---- what the supervisor says
// --------------------------------------------------------------------

static void has_started(struct io_process *process) {
    set_state(process, IO_PROCESS_RUNNING);
    if (process->timeout_ms > 0) {
        (void)uv_timer_start(&process->timer, on_timer, process->timeout_ms, 1000);
    }
    process->handler->started(process->context, OK, NULL);
    for (int i = 0; i < IO_OUTPUT_COUNT; i++) {
        pump(&process->streams[i]);
    }
}

static void take_report(struct io_process *process, const struct exec_report *report) {
    if (report->kind == EXEC_STARTED && state_of(process) == IO_PROCESS_STARTING) {
        has_started(process);
    } else if (report->kind == EXEC_FAILED) {
        failed_at(process, report);
    } else if (report->kind == EXEC_EXITED) {
        has_ended(process, report->value);
    } else if (report->kind == EXEC_SIGNALLED) {
        process_signal_answered(process, report->value);
    }
}

static void alloc_report(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    (void)suggested;
    struct io_process *process = handle->data;
    *out = uv_buf_init((char *)&process->report + process->report_bytes,
                       (unsigned)(sizeof process->report - process->report_bytes));
}

// The supervisor is gone, and with it all descendants of the program.
static void control_ended(struct io_process *process) {
    close_handle((uv_handle_t *)&process->control, control_closed);
    process_orders_fail(process);
    if (state_of(process) == IO_PROCESS_STARTING) {
        struct error error = {0};
        error_set(&error, ERR_IO, "the program was ended before it could start");
        process_failed(process, &error);
    }
    enum { KILLED = -9 };  // whoever killed the supervisor killed the program by that
    has_ended(process, KILLED);
}

static void on_control(uv_stream_t *handle, ssize_t size, const uv_buf_t *room) {
    (void)room;
    struct io_process *process = handle->data;
    if (size < 0) {
        control_ended(process);
        return;
    }
    process->report_bytes += (size_t)size;
    if (process->report_bytes == sizeof process->report) {
        process->report_bytes = 0;
        struct exec_report report = process->report;
        take_report(process, &report);
    }
}

// ---- the start
// -----------------------------------------------------------------------------------

// Descriptors that become handles of the node.
struct ends {
    int control, input, output[IO_OUTPUT_COUNT];
};

static enum status open_ends(struct io_process *process, struct ends *ends, struct error *error) {
    int *given = process->descriptors;
    int pair[2];
    bool good = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0;
    if (good) {
        ends->control = pair[0];
        process->handed = pair[1];
    }
    if (good && process->has_stdin) {
        good = pipe2(pair, O_CLOEXEC) == 0;
        given[EXEC_STDIN] = good ? pair[0] : -1;
        ends->input = good ? pair[1] : -1;
    } else if (good) {
        given[EXEC_STDIN] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        good = given[EXEC_STDIN] >= 0;
    }
    for (int i = 0; good && i < IO_OUTPUT_COUNT; i++) {
        good = pipe2(pair, O_CLOEXEC) == 0;
        ends->output[i] = good ? pair[0] : -1;
        given[EXEC_STDOUT + i] = good ? pair[1] : -1;
    }
    return good ? OK : error_set_os(error, errno, "cannot make the pipes of a program");
}

static void close_ends(const struct ends *ends) {
    const int all[] = {ends->control, ends->input, ends->output[0], ends->output[1]};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (all[i] >= 0) {
            (void)close(all[i]);
        }
    }
}

// Fails only by a bug: the descriptors are fresh.
static void open_pipe(struct io_process *process, uv_pipe_t *pipe, int descriptor) {
    int code = uv_pipe_init(io_loop_uv(process->processes->loop), pipe, 0);
    code |= uv_pipe_open(pipe, descriptor);
    assert(code == 0);
    (void)code;
    pipe->data = process;
    process->handles++;
}

static void open_handles(struct io_process *process, const struct ends *ends) {
    open_pipe(process, &process->control, ends->control);
    process->has_control = true;
    if (ends->input >= 0) {
        open_pipe(process, &process->input, ends->input);
        process->has_input = true;
    }
    for (int i = 0; i < IO_OUTPUT_COUNT; i++) {
        open_pipe(process, &process->streams[i].pipe, ends->output[i]);
        process->streams[i].is_open = true;
    }
    int code = uv_timer_init(io_loop_uv(process->processes->loop), &process->timer);
    assert(code == 0);
    (void)code;
    process->timer.data = process;
    process->has_timer = true;
    process->handles++;
}

static void run_start(struct io_post *post) {
    struct io_process *process = CONTAINER_OF(post, struct io_process, start);
    struct io_processes *processes = process->processes;
    process->next = processes->first;
    if (process->next != NULL) {
        process->next->previous = process;
    }
    processes->first = process;
    processes->count++;
    struct error error = {0};
    enum status status = OK;
    struct ends ends = {-1, -1, {-1, -1}};
    if (processes->is_stopping) {
        status = error_set(&error, ERR_STOPPING, "the node is stopping");
    } else if (processes->count > processes->most) {
        status =
            error_set(&error, ERR_LIMIT, "the node runs %u programs already, which is its limit",
                      processes->most);
    } else if (process->descriptors[EXEC_BODY] < 0) {
        status = error_set(&error, ERR_IO, "cannot make a file in memory for a program");
    } else {
        status = open_ends(process, &ends, &error);
        if (status != OK) {
            close_ends(&ends);
        }
    }
    if (status == OK) {
        open_handles(process, &ends);
        status = process_hand_over(process, &error);
    }
    close_descriptors(process);
    if (status == OK) {
        (void)uv_read_start((uv_stream_t *)&process->control, alloc_report, on_control);
        return;
    }
    if (process->handed >= 0) {
        (void)close(process->handed);
    }
    process_failed(process, &error);
}

static int memory_file(const struct io_process_config *config, uint32_t *size) {
    int file = memfd_create("theater-exec", MFD_CLOEXEC);
    struct buf body = {0};
    buf_append(&body, config->program, strlen(config->program) + 1);
    buf_append_slice(&body, buf_slice(&config->texts));
    size_t written = 0;
    while (file >= 0 && written < body.size) {
        ssize_t got = write(file, body.data + written, body.size - written);
        if (got < 0 && errno != EINTR) {
            (void)close(file);
            file = -1;
        }
        written += got > 0 ? (size_t)got : 0;
    }
    *size = (uint32_t)body.size;
    buf_release(&body);
    return file;
}

void io_process_start(struct io_processes *processes, const struct io_process_config *config,
                      struct io_process **out) {
    assert(config->texts.size <= IO_PROCESS_TEXT_MOST_BYTES && config->arg_count > 0);
    struct io_process *process = xcalloc(1, sizeof *process);
    atomic_init(&process->references, 2);  // the caller's, and one until it is released
    process->processes = processes;
    process->handler = config->handler;
    process->context = config->context;
    process->has_stdin = config->has_stdin;
    process->timeout_ms = config->timeout_ms;
    process->signals_end = &process->signals;
    process->handed = -1;
    bool is_confined = config->root >= 0;
    uint32_t flags = is_confined ? EXEC_CONFINED : 0;
    flags |= config->may_write ? EXEC_MAY_WRITE : 0;
    process->request = (struct exec_request){.version = EXEC_VERSION,
                                             .flags = flags,
                                             .arg_count = config->arg_count,
                                             .variable_count = config->variable_count,
                                             .cpu_seconds = config->cpu_seconds};
    for (int i = 0; i < EXEC_DESCRIPTOR_COUNT; i++) {
        process->descriptors[i] = -1;
    }
    process->descriptors[EXEC_FOLDER] = config->folder;
    process->descriptors[EXEC_ROOT] = config->root;
    process->descriptors[EXEC_BODY] = memory_file(config, &process->request.body_bytes);
    struct buf texts = config->texts;
    buf_release(&texts);
    for (int i = 0; i < IO_OUTPUT_COUNT; i++) {
        process->streams[i].process = process;
        io_frames_init(&process->streams[i].frames, &config->framings[i]);
    }
    process->start.run = run_start;
    *out = process;
    io_loop_post(processes->loop, &process->start);
}

// ---- from any thread
// -----------------------------------------------------------------------------

struct io_process *io_process_ref(struct io_process *process) {
    atomic_fetch_add_explicit(&process->references, 1, memory_order_relaxed);
    return process;
}

void io_process_unref(struct io_process *process) {
    if (process != NULL &&
        atomic_fetch_sub_explicit(&process->references, 1, memory_order_acq_rel) == 1) {
        for (int i = 0; i < IO_OUTPUT_COUNT; i++) {
            io_frames_release(&process->streams[i].frames);
        }
        free(process);
    }
}

enum io_process_state io_process_state(const struct io_process *process, int32_t *code) {
    int state = atomic_load_explicit(&process->state, memory_order_acquire);
    if (code != NULL) {
        *code = atomic_load_explicit(&process->code, memory_order_relaxed);
    }
    return (enum io_process_state)state;
}

bool io_process_has_timed_out(const struct io_process *process) {
    return atomic_load_explicit(&process->has_timed_out, memory_order_relaxed);
}

static void run_kill(struct io_post *post) {
    struct io_process *process = CONTAINER_OF(post, struct io_process, kill);
    process_command(process, EXEC_KILL, 0);
    io_process_unref(process);
}

void io_process_kill(struct io_process *process) {
    if (!atomic_exchange_explicit(&process->has_kill, true, memory_order_relaxed)) {
        process->kill.run = run_kill;
        (void)io_process_ref(process);
        io_loop_post(process->processes->loop, &process->kill);
    }
}

void process_discard(struct io_process *process) {
    process->is_discarded = true;
    process_command(process, EXEC_KILL, 0);
    if (process->processes->is_stopping && process->has_control) {
        // The supervisor kills by itself when this is closed.
        control_ended(process);
    }
    for (int i = 0; i < IO_OUTPUT_COUNT; i++) {
        end_stream(&process->streams[i]);
    }
    process_close_input(process);
    check_end(process);
}

static void run_discard(struct io_post *post) {
    struct io_process *process = CONTAINER_OF(post, struct io_process, discard);
    process_discard(process);
    io_process_unref(process);
}

void io_process_discard(struct io_process *process) {
    if (!atomic_exchange_explicit(&process->has_discard, true, memory_order_relaxed)) {
        process->discard.run = run_discard;
        (void)io_process_ref(process);
        io_loop_post(process->processes->loop, &process->discard);
    }
}

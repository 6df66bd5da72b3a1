// SPDX-License-Identifier: Apache-2.0
// theater:simple/process and process-handlers for actors in C. See theater.h.
#ifndef THEATER_PROCESS_H
#define THEATER_PROCESS_H

#include "theater.h"

// How output is cut into calls of the handlers.
enum theater_output_mode {
    THEATER_RAW,
    THEATER_LINE_BY_LINE,
    THEATER_JSON,
    THEATER_CHUNKED,
};

struct theater_process_config {
    struct theater_bytes program;
    const struct theater_bytes *arguments;
    size_t argument_count;
    struct theater_bytes cwd;  // none: the first of allowed_paths, else the manifest's folder
    const struct theater_environment_entry { struct theater_bytes name, value; } * environment;
    size_t environment_count;
    uint32_t buffer_size;
    enum theater_output_mode output_mode, error_mode;
    uint32_t chunk_size;         // 0: none given
    uint64_t execution_timeout;  // 0: none given
};

struct theater_process_status {
    uint64_t pid;
    bool is_running;
    bool has_exit_code;
    int32_t exit_code;
    uint64_t start_time;
};

THEATER__IMPORT("process", "os-spawn")
void theater__import_os_spawn(const uint8_t *, size_t, const void *, size_t, int, const uint8_t *,
                              size_t, const void *, size_t, uint32_t, int, int, int, uint32_t, int,
                              uint64_t, void *);
THEATER__IMPORT("process", "os-write-stdin")
void theater__import_os_write_stdin(uint64_t, const uint8_t *, size_t, void *);
THEATER__IMPORT("process", "os-close-stdin")
void theater__import_os_close_stdin(uint64_t, void *);
THEATER__IMPORT("process", "os-status") void theater__import_os_status(uint64_t, void *);
THEATER__IMPORT("process", "os-signal") void theater__import_os_signal(uint64_t, uint32_t, void *);
THEATER__IMPORT("process", "os-kill") void theater__import_os_kill(uint64_t, void *);

// Starts a program; gives the number by which the other functions know it.
THEATER__INTERNAL struct theater_outcome theater_os_spawn(
    const struct theater_process_config *config, uint64_t *pid) {
    struct theater__number_area area;
    theater__import_os_spawn(config->program.data, config->program.size, config->arguments,
                             config->argument_count, config->cwd.data != NULL, config->cwd.data,
                             config->cwd.size, config->environment, config->environment_count,
                             config->buffer_size, (int)config->output_mode, (int)config->error_mode,
                             config->chunk_size != 0, config->chunk_size,
                             config->execution_timeout != 0, config->execution_timeout, &area);
    return theater__number(&area, pid);
}

// `written` is how much of the text the program will get.
THEATER__INTERNAL struct theater_outcome theater__os_write_stdin(uint64_t pid,
                                                                 struct theater_bytes text,
                                                                 uint32_t *written) {
    struct theater__word_area area;
    theater__import_os_write_stdin(pid, text.data, text.size, &area);
    *written = area.failed ? 0 : area.of.word;
    return theater__word(&area);
}
#define theater_os_write_stdin(pid, text, written) \
    theater__os_write_stdin(pid, theater_text(text), written)

// The program reads what was written, and then the end.
THEATER__INTERNAL struct theater_outcome theater_os_close_stdin(uint64_t pid) {
    struct theater__result_area area;
    theater__import_os_close_stdin(pid, &area);
    return theater__done(&area);
}

THEATER__INTERNAL struct theater_outcome theater_os_status(uint64_t pid,
                                                           struct theater_process_status *status) {
    struct {
        uint8_t failed;
        union {
            struct {
                uint64_t pid;
                uint8_t is_running;
                struct {
                    uint8_t has;
                    int32_t value;
                } exit_code;  // at 20
                uint64_t start_time;
            } status;  // at 8
            struct theater_bytes error;
        } of;
    } area;
    _Static_assert(offsetof(__typeof__(area), of.status.start_time) == 32, "canonical ABI");
    theater__import_os_status(pid, &area);
    *status = (struct theater_process_status){0};
    if (area.failed) {
        return (struct theater_outcome){.error = area.of.error};
    }
    *status = (struct theater_process_status){
        area.of.status.pid, area.of.status.is_running != 0, area.of.status.exit_code.has != 0,
        area.of.status.exit_code.value, area.of.status.start_time};
    return (struct theater_outcome){.ok = true};
}

THEATER__INTERNAL struct theater_outcome theater_os_signal(uint64_t pid, uint32_t signal) {
    struct theater__result_area area;
    theater__import_os_signal(pid, signal, &area);
    return theater__done(&area);
}

THEATER__INTERNAL struct theater_outcome theater_os_kill(uint64_t pid) {
    struct theater__result_area area;
    theater__import_os_kill(pid, &area);
    return theater__done(&area);
}

// fn(state, uint64_t pid, struct theater_bytes output)
#define THEATER_HANDLE_STDOUT(fn)                                                            \
    THEATER__HANDLER("process-handlers", "handle-stdout", handle_stdout,                     \
                     (THEATER__STATE_PARAMETERS, uint64_t pid, const uint8_t *a, size_t an), \
                     fn(THEATER__STATE_VALUE, pid, theater__parameter(1, a, an)), THEATER__STATE)
#define THEATER_HANDLE_STDERR(fn)                                                            \
    THEATER__HANDLER("process-handlers", "handle-stderr", handle_stderr,                     \
                     (THEATER__STATE_PARAMETERS, uint64_t pid, const uint8_t *a, size_t an), \
                     fn(THEATER__STATE_VALUE, pid, theater__parameter(1, a, an)), THEATER__STATE)
// fn(state, uint64_t pid, int32_t exit_code): after the last output.
#define THEATER_HANDLE_EXIT(fn)                                               \
    THEATER__HANDLER("process-handlers", "handle-exit", handle_exit,          \
                     (THEATER__STATE_PARAMETERS, uint64_t pid, int32_t code), \
                     fn(THEATER__STATE_VALUE, pid, code), THEATER__STATE)

#endif

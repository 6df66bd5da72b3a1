// SPDX-License-Identifier: Apache-2.0
// What the files of child processes share: process.c (one process), process_server.c (theater-exec
// and how processes come to it), process_stdin.c (what is written to one, and other orders).
// Everything here is for the loop's thread, except where a field says so.
#ifndef IO_PROCESS_INTERNAL_H
#define IO_PROCESS_INTERNAL_H

#include <uv.h>

#include "io/exec/protocol.h"
#include "io/process.h"

struct exec_server;

struct io_processes {
    struct io_loop *loop;
    char *helper;     // path of theater-exec; NULL: there is none
    char *looked_in;  // where it was looked for
    uint32_t most;
    uint32_t count;  // processes that are not gone
    bool is_stopping;
    struct exec_server *server;  // NULL: none was started
    pid_t *servers;              // all that were started and not reaped
    uint32_t server_count;
    struct io_process *first;                   // not gone
    struct io_process *waiting, **waiting_end;  // to be handed to the server
    struct io_post stop;
};

struct process_stream {
    uv_pipe_t pipe;
    struct io_process *process;
    struct io_frames frames;
    bool is_open;     // has a handle
    bool is_reading;  // libuv reads
    struct io_post settle;
};

struct io_process {
    _Atomic uint32_t references;
    _Atomic int state;      // enum io_process_state; release, so that `code` is seen
    _Atomic int32_t code;   // once it has ended
    _Atomic bool has_kill;  // `kill` was posted
    _Atomic bool has_discard;
    _Atomic bool has_timed_out;

    struct io_processes *processes;
    struct io_process *next, *previous;  // of processes->first
    struct io_process *next_waiting;
    const struct io_process_handler *handler;
    void *context;
    struct io_post start, kill, discard;

    struct exec_request request;
    int descriptors[EXEC_DESCRIPTOR_COUNT];  // for the program, until they are sent
    int handed;  // the supervisor's end of the control socket, until it is sent
    bool has_stdin;
    uint64_t timeout_ms;

    uv_pipe_t control, input;
    uv_timer_t timer;  // until it has ended: its time; then: how long its output may linger
    bool has_control, has_input, has_timer;
    uint32_t handles;  // open ones
    struct process_stream streams[IO_OUTPUT_COUNT];
    struct exec_report report;  // so far
    size_t report_bytes;
    bool is_killed;  // EXEC_KILL was sent
    bool is_told;    // `exited` was called, or nobody is interested
    bool is_discarded;

    uint64_t input_bytes;                             // written and not taken yet
    bool is_input_closing;                            // when all is written
    struct io_process_order *signals, **signals_end;  // which wait for the supervisor's answer
};

// ---- process_server.c
// Hands the process to theater-exec, which is started if need be. Or else gives an error.
enum status process_hand_over(struct io_process *process, struct error *error) MUST_CHECK;
// The process fails: it was to be handed over and could not.
void process_failed(struct io_process *process, const struct error *error);

// ---- process.c
// Commands are few and small: what does not fit means that the supervisor is stuck, and ends it.
void process_command(struct io_process *process, enum exec_command_kind kind, int32_t value);
void process_discard(struct io_process *process);
void process_handle_closed(uv_handle_t *handle);

// ---- process_stdin.c
void process_close_input(struct io_process *process);
// The supervisor answered the oldest signal.
void process_signal_answered(struct io_process *process, int code);
// The orders that wait will not be answered any more.
void process_orders_fail(struct io_process *process);

#endif

// SPDX-License-Identifier: Apache-2.0
// Programs of the operating system: started through theater-exec (exec/exec.h), which sees to it
// that a program ends with all that it started, at the latest with the node. Their output is read
// on the event loop, one piece of each stream out at a time; who is slow to take it slows down the
// program, and nobody else.
//
// The life of a process: `started`; if that was OK, pieces of `output`, then `exited` when the last
// piece was settled; then `released`, when nothing of it is left. All are called on the loop.
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "io/frames.h"
#include "io/loop.h"

struct io_processes;
struct io_process;

enum io_output { IO_STDOUT, IO_STDERR, IO_OUTPUT_COUNT };

enum {
    IO_PROCESS_STDIN_MOST_BYTES = 16 << 20,  // written and not yet read by the program
    IO_PROCESS_TEXT_MOST_BYTES = 2 << 20,    // arguments and variables together
    // How long what a program leaves behind may hold on to its output.
    IO_PROCESS_LINGER_MS = 2000,
};

// Starts programs; at most `most` run at a time (0: as many as the limit of open files permits).
// `helper` is the path of theater-exec; NULL: beside the running program, or in
// ../libexec/theater. It is looked for with the first program.
struct io_processes *io_processes_new(struct io_loop *loop, const char *helper, uint32_t most);
// Ends all programs. Before io_loop_free; afterwards nothing can be started.
void io_processes_stop(struct io_processes *processes);
// After io_loop_free: waits, within limits, until all that was started is gone, and frees.
void io_processes_free(struct io_processes *processes);

struct io_process_handler {
    // Exactly once. `error` is set unless it is OK, and then nothing but `released` follows.
    void (*started)(void *context, enum status status, const struct error *error);
    // The piece is borrowed until io_process_settle.
    void (*output)(void *context, enum io_output stream, struct slice piece);
    // The exit code, or minus the number of the signal that ended it. Not after
    // io_process_discard.
    void (*exited)(void *context, int32_t code);
    // Exactly once, the last: nothing is left of it in the system.
    void (*released)(void *context);
};

struct io_process_config {
    const char *program;  // path
    struct buf texts;     // what comes after the path: `arg_count` arguments, the name first, and
                          // `variable_count` times "NAME=value", with the NUL at each end. Taken
    uint32_t arg_count, variable_count;
    int folder;            // working folder, open; taken
    int root;              // confined beneath it (Landlock), open; taken; -1: not confined
    bool may_write;        // beneath the root
    bool has_stdin;        // otherwise there is nothing to read
    uint32_t cpu_seconds;  // 0: no limit
    uint64_t timeout_ms;   // then it is killed; 0: never
    struct io_framing framings[IO_OUTPUT_COUNT];
    const struct io_process_handler *handler;  // borrowed for good
    void *context;
};

// Has it started; any thread. `*out` is set, with one reference, before anything is called.
void io_process_start(struct io_processes *processes, const struct io_process_config *config,
                      struct io_process **out);
// Any thread. The last one, after `released`, frees.
struct io_process *io_process_ref(struct io_process *process);
void io_process_unref(struct io_process *process);
// The piece that `output` gave is done with; any thread.
void io_process_settle(struct io_process *process, enum io_output stream);
// Kills it, and all that it started; any thread. What it wrote before still comes.
void io_process_kill(struct io_process *process);
// The same, and nobody is interested any more: no output and no exit.
void io_process_discard(struct io_process *process);

enum io_process_state {
    IO_PROCESS_STARTING,
    IO_PROCESS_RUNNING,
    IO_PROCESS_ENDED,  // its exit code is known
    IO_PROCESS_GONE    // nothing is left
};
// Any thread. `code` is set once it has ended.
enum io_process_state io_process_state(const struct io_process *process, int32_t *code);
// Whether it was killed because its time was over. Any thread.
bool io_process_has_timed_out(const struct io_process *process);

// Something for a process to do; whoever asks keeps it until `done`.
struct io_process_order {
    enum { IO_ORDER_WRITE, IO_ORDER_CLOSE_STDIN, IO_ORDER_SIGNAL, IO_ORDER_KILL } kind;
    struct slice data;  // to be written; copied
    int32_t signal;
    void (*done)(struct io_process_order *order);  // on the loop
    // The answer.
    enum status status;
    struct error error;
    size_t taken;  // bytes of `data`: fewer when the program does not read
    // Private.
    struct io_post post;
    struct io_process *process;
    struct io_process_order *next;
};
// Any thread. Never waits for the program.
void io_process_order(struct io_process *process, struct io_process_order *order);

#endif

// SPDX-License-Identifier: Apache-2.0
// The commands of `theater`: one file per command, each with the shape of main.
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "store/store.h"

// docs/exit-codes.md
enum exit_code {
    EXIT_GOOD = 0,
    EXIT_ERROR = 1,
    EXIT_USAGE = 2,
    EXIT_TRAP = 2,  // of theater call, whose wrong usage is EXIT_ERROR
    EXIT_REPLY_ERROR = 3,
    EXIT_TIMEOUT = 4,
    EXIT_BAD_CHAIN = 5,
    EXIT_DIFFERENT = 6,
    EXIT_NO_REPLAY = 7,
    EXIT_INTERRUPTED = 130,
    EXIT_TERMINATED = 143,
};

// SIGINT and SIGTERM while a command works. The first one calls `stop`, on a thread of its own, and
// then again every tenth of a second, for what begins only after it; the second ends the process.
struct cli_signals {
    void (*stop)(void *context, int number, bool is_first);
    void *context;
    pthread_t thread;
};
// Before any thread is made.
void cli_signals_block(void);
void cli_signals_start(struct cli_signals *signals);
// `stop` is not running, and will not be called, when this returns.
void cli_signals_end(struct cli_signals *signals);

// Seconds with a decimal fraction or without, up to 10^9; false when `text` is none.
bool cli_parse_seconds(const char *text, uint64_t *out_ns);

// The commands: argv[0] is the command's name; each returns an exit code.
int cli_run(int argc, char **argv);
int cli_call(int argc, char **argv);
int cli_chain(int argc, char **argv);
int cli_replay(int argc, char **argv);
int cli_store(int argc, char **argv);
int cli_inspect(int argc, char **argv);
int cli_compile(int argc, char **argv);

// Appends the data of an event with the contents of the store in place of the references to them;
// what is not there stays a reference.
enum status cli_fill_in(struct store *store, struct slice data, struct buf *out,
                        struct error *error) MUST_CHECK;

// One line about the event on stdout, decoded. (chain_show.c)
struct chain_event;
void cli_print_event(const struct chain_event *event);

// One line on stderr, with the program's name; returns EXIT_ERROR or EXIT_USAGE.
int cli_error(const struct error *error);
int cli_usage(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);

#endif

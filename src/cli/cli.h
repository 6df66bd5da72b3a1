// SPDX-License-Identifier: Apache-2.0
// The commands of `theater`: one file per command, each with the shape of main.
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

// docs/exit-codes.md
enum exit_code {
    EXIT_GOOD = 0,
    EXIT_ERROR = 1,
    EXIT_USAGE = 2,
    EXIT_REPLY_ERROR = 3,
    EXIT_TIMEOUT = 4,
    EXIT_BAD_CHAIN = 5,
    EXIT_INTERRUPTED = 130,
    EXIT_TERMINATED = 143,
};

// The commands: argv[0] is the command's name; each returns an exit code.
int cli_run(int argc, char **argv);
int cli_chain(int argc, char **argv);
int cli_inspect(int argc, char **argv);

// One line on stderr, with the program's name; returns EXIT_ERROR or EXIT_USAGE.
int cli_error(const struct error *error);
int cli_usage(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);

#endif

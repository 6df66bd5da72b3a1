// SPDX-License-Identifier: Apache-2.0
// wasi:cli/terminal-stdin, terminal-stdout and terminal-stderr: an actor has no terminal.
#include "host/wasi.h"

static bool no_terminal(struct component_call *call, const struct value *args,
                        struct value *result) {
    (void)call;
    (void)args;
    *result = (struct value){.items = NULL, .which = 0};
    return true;
}

static const struct host_function stdin_functions[] = {
    {"get-terminal-stdin",
     "wasi:cli/terminal-stdin.get-terminal-stdin",
     no_terminal,
     {"func() -> option<own<terminal-input>>"}},
};
static const struct host_function stdout_functions[] = {
    {"get-terminal-stdout",
     "wasi:cli/terminal-stdout.get-terminal-stdout",
     no_terminal,
     {"func() -> option<own<terminal-output>>"}},
};
static const struct host_function stderr_functions[] = {
    {"get-terminal-stderr",
     "wasi:cli/terminal-stderr.get-terminal-stderr",
     no_terminal,
     {"func() -> option<own<terminal-output>>"}},
};
const struct host_interface wasi_cli_terminal_stdin = {"wasi:cli/terminal-stdin", stdin_functions,
                                                       COUNT_OF(stdin_functions)};
const struct host_interface wasi_cli_terminal_stdout = {
    "wasi:cli/terminal-stdout", stdout_functions, COUNT_OF(stdout_functions)};
const struct host_interface wasi_cli_terminal_stderr = {
    "wasi:cli/terminal-stderr", stderr_functions, COUNT_OF(stderr_functions)};

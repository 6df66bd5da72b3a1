// SPDX-License-Identifier: Apache-2.0
// A test actor that runs commands of the interface filesystem as the text of a request says, and
// answers with what came of it.
//
// Fields are separated by one byte 0x1f, so that arguments may hold anything else:
//
//   run FOLDER PROGRAM ARGUMENT…   "EXIT-CODE|STDOUT|STDERR", or "error: MESSAGE"
//   nix FOLDER COMMAND             the same, with execute-nix-command
//   write PATH TEXT                a file, to be found by commands
#include "theater-files.h"

enum { SEPARATOR = 0x1f, ARGUMENTS_MOST = 32 };

static struct theater_bytes next_field(struct theater_bytes *rest) {
    struct theater_bytes field = *rest;
    for (size_t i = 0; i < rest->size; i++) {
        if (rest->data[i] == SEPARATOR) {
            field.size = i;
            *rest = (struct theater_bytes){rest->data + i + 1, rest->size - i - 1};
            return field;
        }
    }
    *rest = (struct theater_bytes){rest->data + rest->size, 0};
    return field;
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    return theater_ok(theater_is_none(state) ? theater_text("") : state);
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)request_id;
    struct theater_bytes rest = message, what = next_field(&rest), folder = next_field(&rest);
    struct theater_bytes arguments[ARGUMENTS_MOST];
    struct theater_command command;
    struct theater_outcome outcome;
    if (theater_text_equal(what, "write")) {
        outcome = theater_write_file(folder, rest);
        return outcome.ok ? theater_reply(state, theater_text("ok")) : theater_error(outcome.error);
    }
    if (theater_text_equal(what, "nix")) {
        outcome = theater_execute_nix(folder, rest, &command);
    } else {
        size_t count = 0;
        struct theater_bytes program = next_field(&rest);
        while (rest.size > 0 && count < ARGUMENTS_MOST) {
            arguments[count++] = next_field(&rest);
        }
        outcome = theater_execute(folder, program, arguments, count, &command);
    }
    if (!outcome.ok) {
        return theater_error(outcome.error);
    }
    return theater_reply(state, command.has_run ? theater_join(command.exit_code, "|",
                                                               command.output, "|", command.errors)
                                                : theater_join("error: ", command.message));
}

THEATER_INIT(on_init);
THEATER_HANDLE_REQUEST(on_request);

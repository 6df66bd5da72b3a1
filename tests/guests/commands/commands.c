// SPDX-License-Identifier: Apache-2.0
// A test actor that runs commands of the interface filesystem as the text of a request says, and
// answers with what came of it.
//
// Fields are separated by one byte 0x1f, so that arguments may hold anything else:
//
//   run FOLDER PROGRAM ARGUMENT…   "EXIT-CODE|STDOUT|STDERR", or "error: MESSAGE"
//   nix FOLDER COMMAND             the same, with execute-nix-command
//   write PATH TEXT                a file, to be found by commands
#include "theater.h"

// result<command-result, string>, in the guest's memory
struct answer {
    uint8_t failed;
    union {
        struct {
            uint8_t is_error;            // at 4
            struct theater_bytes first;  // at 8: what it wrote, or the message
            struct theater_bytes errors;
            int32_t exit_code;
        } ok;
        struct theater_bytes error;  // at 4
    } of;
};
_Static_assert(offsetof(struct answer, of.ok.exit_code) == 24, "canonical ABI");

THEATER__IMPORT("filesystem", "execute-command")
void import_execute_command(const uint8_t *, size_t, const uint8_t *, size_t, const void *, size_t,
                            void *);
THEATER__IMPORT("filesystem", "execute-nix-command")
void import_execute_nix_command(const uint8_t *, size_t, const uint8_t *, size_t, void *);

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
    struct answer answer;
    if (theater_text_equal(what, "write")) {
        struct theater_outcome outcome = theater_write_file(folder, rest);
        return outcome.ok ? theater_reply(state, theater_text("ok")) : theater_error(outcome.error);
    }
    if (theater_text_equal(what, "nix")) {
        import_execute_nix_command(folder.data, folder.size, rest.data, rest.size, &answer);
    } else {
        size_t count = 0;
        struct theater_bytes program = next_field(&rest);
        while (rest.size > 0 && count < ARGUMENTS_MOST) {
            arguments[count++] = next_field(&rest);
        }
        import_execute_command(folder.data, folder.size, program.data, program.size, arguments,
                               count, &answer);
    }
    if (answer.failed) {
        return theater_error(answer.of.error);
    }
    struct theater_bytes first = answer.of.ok.first;
    return theater_reply(state, answer.of.ok.is_error
                                    ? theater_join("error: ", first)
                                    : theater_join((int64_t)answer.of.ok.exit_code, "|", first, "|",
                                                   answer.of.ok.errors));
}

THEATER_INIT(on_init);
THEATER_HANDLE_REQUEST(on_request);

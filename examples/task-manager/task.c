// SPDX-License-Identifier: Apache-2.0
// A task: counts the words of the text in its first state, and ends itself with the result.
#include "theater.h"

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    struct theater_bytes rest = theater_json_field(state, "text");
    if (theater_is_none(rest)) {
        return theater_error("a task needs {\"text\": …}");
    }
    // The work is done in a turn of its own, so that whoever started the task need not wait.
    struct theater_outcome outcome = theater_send(own_id, "work");
    return outcome.ok ? theater_ok(rest) : theater_error(outcome.error);
}

static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    (void)message;
    uint64_t words = 0;
    for (struct theater_bytes rest = state; rest.size != 0;) {
        words += theater_word(&rest).size != 0;
    }
    if (words == 0) {
        theater_trap();
    }
    struct theater_outcome outcome = theater_shutdown(theater_join(words, " words"));
    return outcome.ok ? theater_ok(THEATER_NONE) : theater_error(outcome.error);
}

THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);

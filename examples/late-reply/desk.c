// SPDX-License-Identifier: Apache-2.0
// A help desk: it takes every question at once and answers from a later turn.
//
// A request handler that answers nothing leaves the requester waiting, while the actor is free for
// other messages. Here each question makes the desk send "work" to itself; the turn that handles
// "work" answers the oldest question. The request "never" is cancelled instead, which its requester
// sees as an error.
//
// The state is one line for each open question, "ID QUESTION", the oldest first.
#include "theater.h"

static struct theater_bytes own(struct theater_bytes state) {
    return theater_is_none(state) ? theater_text("") : state;
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    theater_log("the desk is open");
    return theater_ok(own(state));
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    for (size_t i = 0; i < message.size; i++) {
        if (message.data[i] == '\n') {
            return theater_error("a question is one line");
        }
    }
    theater_log("question taken: ", message);
    struct theater_outcome outcome = theater_send(theater_self(), "work");
    if (!outcome.ok) {
        return theater_error(outcome.error);
    }
    return theater_reply_later(theater_join(own(state), request_id, " ", message, "\n"));
}

static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    struct theater_bytes rest = own(state);
    if (!theater_text_equal(message, "work") || rest.size == 0) {
        theater_log("nothing to do for: ", message);
        return theater_ok(THEATER_NONE);
    }
    theater_log("open questions: ", theater_list_outstanding().count);
    struct theater_bytes question = theater_line(&rest);
    struct theater_bytes id = theater_word(&question);
    struct theater_outcome outcome;
    if (theater_text_equal(question, "never")) {
        outcome = theater_cancel(id);
        theater_log("cancelled: ", question);
    } else {
        outcome = theater_respond(id, theater_join("you asked \"", question, "\": yes"));
        theater_log("answered: ", question);
    }
    if (!outcome.ok) {
        theater_log("nobody waits any more: ", outcome.error);
    }
    return theater_ok(rest);
}

THEATER_INIT(on_init);
THEATER_HANDLE_REQUEST(on_request);
THEATER_HANDLE_SEND(on_send);

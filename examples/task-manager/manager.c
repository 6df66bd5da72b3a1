// SPDX-License-Identifier: Apache-2.0
// A task manager: each task is a child that gets what it is to do as its first state, in JSON,
// works it off and ends itself.
//
// The state is text, a line "waiting|done|failed|stopped ID WHAT" for each task. The message
// "run TEXT" begins a task, "end" ends the manager, and any request gives the list.
#include "theater.h"

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    return theater_ok(theater_is_none(state) ? theater_text("") : state);
}

static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    struct theater_bytes what = message, order = theater_word(&what);
    if (theater_text_equal(order, "end")) {
        struct theater_outcome outcome = theater_shutdown(THEATER_NONE);
        return outcome.ok ? theater_ok(state) : theater_error(outcome.error);
    }
    if (!theater_text_equal(order, "run")) {
        return theater_error("say \"run TEXT\" or \"end\"");
    }
    struct theater_outcome outcome =
        theater_spawn("task.toml", theater_join("{\"text\":", theater_json_string(what), "}"));
    if (!outcome.ok) {
        return theater_error("the task did not start: ", outcome.error);
    }
    return theater_ok(theater_join(state, "waiting ", outcome.value, " ", what, "\n"));
}

// The state with another word, and perhaps another text, for a task.
static struct theater_bytes with(struct theater_bytes state, struct theater_bytes task,
                                 const char *word, struct theater_bytes text) {
    struct theater_bytes rest = state;
    while (rest.size != 0) {
        struct theater_bytes before = {state.data, state.size - rest.size};
        struct theater_bytes line = theater_line(&rest);
        (void)theater_word(&line);
        if (theater_text_equal(theater_word(&line), task)) {
            return theater_join(before, word, " ", task, " ", theater_is_none(text) ? line : text,
                                "\n", rest);
        }
    }
    return state;
}

static struct theater_result on_child_exit(struct theater_bytes state, struct theater_bytes child,
                                           struct theater_bytes data) {
    return theater_ok(with(state, child, "done", data));
}

static struct theater_result on_child_error(struct theater_bytes state, struct theater_bytes child,
                                            enum theater_error_type type,
                                            struct theater_bytes text) {
    (void)type;
    return theater_ok(with(state, child, "failed", text));
}

static struct theater_result on_child_stop(struct theater_bytes state, struct theater_bytes child) {
    return theater_ok(with(state, child, "stopped", THEATER_NONE));
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)request_id;
    (void)message;
    return theater_reply(THEATER_NONE, state);
}

THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);
THEATER_HANDLE_REQUEST(on_request);
THEATER_HANDLE_CHILD_EXIT(on_child_exit);
THEATER_HANDLE_CHILD_ERROR(on_child_error);
THEATER_HANDLE_CHILD_EXTERNAL_STOP(on_child_stop);

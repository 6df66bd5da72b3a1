// SPDX-License-Identifier: Apache-2.0
// A supervisor with three workers and a visitor. It plays a whole scenario by itself, one step per
// turn: each step ends by sending the next one to itself, or waits for something that a child does.
//
// The state is JSON: {"id":ID,"step":N,"one":ID,"two":ID,"three":ID,"visitor":ID}.
#include "theater.h"

struct cast {
    struct theater_bytes id;
    uint64_t step;  // the step that was played last
    struct theater_bytes one;
    struct theater_bytes two;
    struct theater_bytes three;
    struct theater_bytes visitor;
};

static struct cast read_cast(struct theater_bytes state) {
    struct cast cast = {
        .id = theater_json_field(state, "id"),
        .one = theater_json_field(state, "one"),
        .two = theater_json_field(state, "two"),
        .three = theater_json_field(state, "three"),
        .visitor = theater_json_field(state, "visitor"),
    };
    theater_parse_number(theater_json_field(state, "step"), &cast.step);
    return cast;
}

static struct theater_bytes write_cast(const struct cast *cast) {
    struct theater_bytes head =
        theater_join("{\"id\":\"", cast->id, "\",\"step\":", cast->step, ",\"one\":\"", cast->one);
    return theater_join(head, "\",\"two\":\"", cast->two, "\",\"three\":\"", cast->three,
                        "\",\"visitor\":\"", cast->visitor, "\"}");
}

static struct theater_bytes name_of(const struct cast *cast, struct theater_bytes child) {
    return theater_text_equal(child, cast->one)     ? theater_text("one")
           : theater_text_equal(child, cast->two)   ? theater_text("two")
           : theater_text_equal(child, cast->three) ? theater_text("three")
                                                    : theater_text("visitor");
}

// The id of a new worker; a worker that does not start is logged, and its id is empty.
static struct theater_bytes start(const char *manifest, const char *name) {
    struct theater_bytes state = theater_join("{\"name\":\"", name, "\"}");
    struct theater_outcome outcome = theater_spawn(manifest, state);
    if (!outcome.ok) {
        theater_log("worker ", name, " did not start: ", outcome.error);
        return theater_text("");
    }
    return outcome.value;
}

static void tell(struct theater_bytes worker, const char *message) {
    struct theater_outcome outcome = theater_send(worker, message);
    if (!outcome.ok) {
        theater_log("\"", message, "\" was not sent: ", outcome.error);
    }
}

static void ask(struct theater_bytes worker, const char *message) {
    struct theater_outcome outcome = theater_request(worker, message);
    theater_log("\"", message, "\" is answered: ", outcome.ok ? outcome.value : outcome.error);
}

static void show_state(const char *name, struct theater_bytes worker) {
    struct theater_outcome outcome = theater_get_child_state(worker);
    struct theater_bytes jobs = theater_json_field(outcome.value, "jobs");
    theater_log("worker ", name, " has done ", outcome.ok ? jobs : outcome.error,
                " jobs since it began");
}

// ---- the scenario ------------------------------------------------------------------------------

// Steps that end by themselves are followed at once by the next one; the others wait.
enum { FOLLOWS = 1, WAITS = 0 };

static int send_work(struct cast *cast) {
    theater_log("-- step 1: a message to each worker");
    tell(cast->one, "sum 10");
    tell(cast->two, "sum 100");
    tell(cast->three, "sum 1000");
    return FOLLOWS;
}

static int ask_and_wait(struct cast *cast) {
    theater_log("-- step 2: a request, and one that is answered in a later turn");
    ask(cast->one, "sum 20");
    ask(cast->two, "sum-later 200");
    return FOLLOWS;
}

static int open_channel(struct cast *cast) {
    theater_log("-- step 3: a channel to worker three");
    struct theater_outcome refused = theater_open_channel(cast->three, "gossip");
    theater_log("the channel \"gossip\" is refused: ", refused.error);
    struct theater_outcome outcome = theater_open_channel(cast->three, "progress");
    if (!outcome.ok) {
        theater_log("no channel: ", outcome.error);
        return FOLLOWS;
    }
    return WAITS;  // for "done" on the channel
}

static int make_trap(struct cast *cast) {
    theater_log("-- step 4: worker one traps and is restarted");
    tell(cast->one, "trap");
    return WAITS;  // for the notice about the child
}

static int ask_restarted(struct cast *cast) {
    theater_log("-- step 5: worker one is back, with its initial state and its id");
    ask(cast->one, "sum 4");
    return FOLLOWS;
}

static int make_loop(struct cast *cast) {
    theater_log("-- step 6: worker two never ends its turn");
    tell(cast->two, "loop");
    return WAITS;
}

static int make_error(struct cast *cast) {
    theater_log("-- step 7: worker three fails, which is no crash");
    tell(cast->three, "dance");
    return WAITS;
}

static int part_with_visitor(struct cast *cast) {
    theater_log("-- step 8: a visitor does one job and leaves");
    cast->visitor = start("visitor.toml", "visitor");
    tell(cast->visitor, "sum 3");
    tell(cast->visitor, "finish");
    return cast->visitor.size != 0 ? WAITS : FOLLOWS;
}

static int sum_up(struct cast *cast) {
    theater_log("-- step 9: worker two is back as well; what the chains say");
    ask(cast->two, "sum 5");  // waits, should the restart be held back
    show_state("one", cast->one);
    show_state("two", cast->two);
    show_state("three", cast->three);
    theater_log("children: ", theater_list_children().count);
    theater_log("-- the end: everybody waits for messages");
    return WAITS;
}

static int (*const steps[])(struct cast *) = {
    send_work, ask_and_wait, open_channel,      make_trap, ask_restarted,
    make_loop, make_error,   part_with_visitor, sum_up,
};
enum {
    STEPS = sizeof steps / sizeof steps[0],
    STEP_TRAP = 4,
    STEP_LOOP = 6,
    STEP_ERROR = 7,
    STEP_VISITOR = 8
};

static struct theater_result next(struct cast *cast) {
    struct theater_outcome outcome = theater_send(cast->id, "next");
    return outcome.ok ? theater_ok(write_cast(cast)) : theater_error(outcome.error);
}

// ---- handlers ----------------------------------------------------------------------------------

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)state;
    theater_log("-- step 0: three workers");
    struct cast cast = {.id = own_id};
    cast.one = start("worker.toml", "one");
    cast.two = start("worker.toml", "two");
    cast.three = start("worker.toml", "three");
    if (cast.one.size == 0 || cast.two.size == 0 || cast.three.size == 0) {
        return theater_error("the workers did not start; see the log");
    }
    return next(&cast);
}

static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    struct cast cast = read_cast(state);
    if (!theater_text_equal(message, "next")) {
        return theater_error("the only message is \"next\", not ", message);
    }
    if (cast.step >= STEPS) {
        theater_log("the scenario is over");
        return theater_ok(state);
    }
    int follows = steps[cast.step++](&cast);
    return follows ? next(&cast) : theater_ok(write_cast(&cast));
}

static struct theater_result on_channel_message(struct theater_bytes state,
                                                struct theater_bytes channel,
                                                struct theater_bytes message) {
    struct cast cast = read_cast(state);
    theater_log("worker three, on the channel: ", message);
    if (theater_text_equal(message, "ready")) {
        theater_send_on_channel(channel, "3");
    } else if (theater_text_equal(message, "done")) {
        theater_close_channel(channel);
        return next(&cast);
    }
    return theater_ok(state);
}

static struct theater_result on_channel_close(struct theater_bytes state,
                                              struct theater_bytes channel) {
    (void)channel;
    theater_log("worker three closed the channel");
    return theater_ok(state);
}

// Restarting is not done here: [supervision] in the manifest says how, and the runtime does it.
static struct theater_result on_child_error(struct theater_bytes state, struct theater_bytes child,
                                            enum theater_error_type type,
                                            struct theater_bytes text) {
    (void)type;
    struct cast cast = read_cast(state);
    theater_log("handle-child-error: worker ", name_of(&cast, child), ": ", text);
    struct theater_bytes awaited = cast.step == STEP_TRAP    ? cast.one
                                   : cast.step == STEP_LOOP  ? cast.two
                                   : cast.step == STEP_ERROR ? cast.three
                                                             : THEATER_NONE;
    bool expected = !theater_is_none(awaited) && theater_text_equal(awaited, child);
    return expected ? next(&cast) : theater_ok(state);
}

static struct theater_result on_child_exit(struct theater_bytes state, struct theater_bytes child,
                                           struct theater_bytes data) {
    struct cast cast = read_cast(state);
    theater_log("handle-child-exit: worker ", name_of(&cast, child), ": ", data);
    bool expected = cast.step == STEP_VISITOR && theater_text_equal(child, cast.visitor);
    return expected ? next(&cast) : theater_ok(state);
}

static struct theater_result on_child_stop(struct theater_bytes state, struct theater_bytes child) {
    struct cast cast = read_cast(state);
    theater_log("handle-child-external-stop: worker ", name_of(&cast, child));
    return theater_ok(state);
}

THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);
THEATER_HANDLE_CHANNEL_MESSAGE(on_channel_message);
THEATER_HANDLE_CHANNEL_CLOSE(on_channel_close);
THEATER_HANDLE_CHILD_ERROR(on_child_error);
THEATER_HANDLE_CHILD_EXIT(on_child_exit);
THEATER_HANDLE_CHILD_EXTERNAL_STOP(on_child_stop);

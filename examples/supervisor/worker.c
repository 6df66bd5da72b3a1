// SPDX-License-Identifier: Apache-2.0
// A worker of the supervisor example: does what it is told, and fails in three ways when asked to.
//
// The state is JSON: {"name":"one","id":ID,"jobs":N}, with "late" (a request's id) and "number"
// while an answer is owed. It begins as {"name":"one"}, which the supervisor gives.
#include "theater.h"

struct worker {
    struct theater_bytes name;
    struct theater_bytes id;
    uint64_t jobs;
    struct theater_bytes late;  // none unless an answer is owed
    struct theater_bytes number;
};

static struct worker read_worker(struct theater_bytes state) {
    struct worker worker = {
        .name = theater_json_field(state, "name"),
        .id = theater_json_field(state, "id"),
        .late = theater_json_field(state, "late"),
        .number = theater_json_field(state, "number"),
    };
    theater_parse_number(theater_json_field(state, "jobs"), &worker.jobs);
    return worker;
}

static struct theater_bytes write_worker(const struct worker *worker) {
    struct theater_bytes late = theater_text("");
    if (!theater_is_none(worker->late)) {
        late = theater_join(",\"late\":\"", worker->late, "\",\"number\":", worker->number);
    }
    return theater_join("{\"name\":\"", worker->name, "\",\"id\":\"", worker->id,
                        "\",\"jobs\":", worker->jobs, late, "}");
}

// 1 + 2 + … + number, in the number's own text; none if it is not a number that fits.
static struct theater_bytes sum_to(struct theater_bytes text) {
    uint64_t number = 0;
    if (!theater_parse_number(text, &number) || number > 1000000000) {
        return THEATER_NONE;
    }
    return theater_text(number * (number + 1) / 2);
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    struct worker worker = read_worker(state);
    if (theater_is_none(worker.name)) {
        return theater_error("a worker needs an initial state such as {\"name\":\"one\"}");
    }
    worker.id = own_id;
    theater_log("worker ", worker.name, " is ready");
    return theater_ok(write_worker(&worker));
}

static volatile uint64_t spins;

static struct theater_result fail(struct theater_bytes how, const struct worker *worker) {
    if (theater_text_equal(how, "loop")) {
        theater_log("worker ", worker->name, " enters an endless loop");
        for (;;) {
            spins = spins + 1;
        }
    }
    if (theater_text_equal(how, "trap")) {
        theater_log("worker ", worker->name, " traps");
        theater_trap();
    }
    return theater_error("worker ", worker->name, " does not understand: ", how);
}

static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    struct worker worker = read_worker(state);
    if (theater_text_equal(message, "continue") && !theater_is_none(worker.late)) {
        struct theater_outcome outcome = theater_respond(worker.late, sum_to(worker.number));
        theater_log("worker ", worker.name,
                    outcome.ok ? " answers late" : " answers too late: ", outcome.error);
        worker.late = THEATER_NONE;
        worker.jobs++;
        return theater_ok(write_worker(&worker));
    }
    struct theater_bytes rest = message;
    struct theater_bytes command = theater_word(&rest);
    if (theater_text_equal(command, "finish")) {
        theater_shutdown(
            theater_join("goodbye from ", worker.name, " after ", worker.jobs, " jobs"));
        return theater_ok(THEATER_NONE);
    }
    struct theater_bytes sum = sum_to(rest);
    if (!theater_text_equal(command, "sum") || theater_is_none(sum)) {
        return fail(message, &worker);
    }
    worker.jobs++;
    theater_log("worker ", worker.name, " finds ", sum);
    return theater_ok(write_worker(&worker));
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    struct worker worker = read_worker(state);
    struct theater_bytes number = message;
    struct theater_bytes command = theater_word(&number);
    struct theater_bytes sum = sum_to(number);
    if (theater_is_none(sum)) {
        return theater_error("a request is \"sum NUMBER\" or \"sum-later NUMBER\", not ", message);
    }
    if (theater_text_equal(command, "sum")) {
        worker.jobs++;
        return theater_reply(write_worker(&worker), sum);
    }
    // The answer comes from another turn: this one only remembers who asked, and what.
    struct theater_outcome outcome = theater_send(worker.id, "continue");
    if (!outcome.ok) {
        return theater_error(outcome.error);
    }
    worker.late = request_id;
    worker.number = number;
    return theater_reply_later(write_worker(&worker));
}

static struct theater_result on_open(struct theater_bytes state, struct theater_bytes channel,
                                     struct theater_bytes first) {
    (void)channel;
    if (!theater_text_equal(first, "progress")) {
        return theater_refuse(state, "the only channel here is \"progress\"");
    }
    return theater_accept(state, "ready");
}

static struct theater_result on_channel_message(struct theater_bytes state,
                                                struct theater_bytes channel,
                                                struct theater_bytes message) {
    uint64_t steps = 0;
    if (!theater_parse_number(message, &steps) || steps > 100) {
        return theater_error("send a number of steps up to 100, not ", message);
    }
    for (uint64_t i = 1; i <= steps; i++) {
        theater_send_on_channel(channel, theater_join("step ", i, " of ", steps));
    }
    theater_send_on_channel(channel, "done");
    return theater_ok(state);
}

static struct theater_result on_channel_close(struct theater_bytes state,
                                              struct theater_bytes channel) {
    (void)channel;
    theater_log("worker ", read_worker(state).name, " sees its channel closed");
    return theater_ok(state);
}

THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);
THEATER_HANDLE_REQUEST(on_request);
THEATER_HANDLE_CHANNEL_OPEN(on_open);
THEATER_HANDLE_CHANNEL_MESSAGE(on_channel_message);
THEATER_HANDLE_CHANNEL_CLOSE(on_channel_close);

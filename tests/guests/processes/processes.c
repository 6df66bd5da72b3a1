// SPDX-License-Identifier: Apache-2.0
// A test actor that runs programs as the text of a request says, and answers with the result or the
// error as the host gave it. What it hears of its programs goes to its log and into sums.
//
// Fields are separated by one byte 0x1f, so that arguments may hold anything else:
//
//   spawn OPTIONS PROGRAM ARGUMENT…   gives the number; OPTIONS are words, each of them one of
//                                     out=MODE err=MODE cap=N chunk=N timeout=N cwd=PATH
//                                     env=NAME=VALUE with the modes r(aw), l(ines), j(son),
//                                     c(hunks)
//   many COUNT PROGRAM ARGUMENT…      starts so many; gives how many started
//   write PID TEXT | fill PID BYTES | close PID | status PID | signal PID NUMBER | kill PID
//   sum PID                           "BYTES PIECES CRC32" of the standard output so far
//   trap | fail | quiet               the second: the next piece of output is answered with an
//                                     error; the third: output is not logged any more
//
// The log: "N out: TEXT" and "N err: TEXT" for pieces of at most 200 bytes, "N exit: CODE BYTES
// PIECES CRC32". The piece "trap" of a standard output is answered with a trap.
#include "theater-process.h"

enum { SEPARATOR = 0x1f, ARGUMENTS_MOST = 32, PROGRAMS_MOST = 512, LOGGED_MOST_BYTES = 200 };

static struct sum {
    uint64_t bytes, pieces;
    uint32_t crc;
} sums[PROGRAMS_MOST];
static bool fails, is_quiet;

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

struct answer {
    bool ok;
    struct theater_bytes text;
};

static struct answer number_or_error(struct theater_outcome outcome, uint64_t number) {
    return (struct answer){outcome.ok, outcome.ok ? theater_text(number) : outcome.error};
}

static struct answer done(struct theater_outcome outcome) {
    return (struct answer){outcome.ok, outcome.ok ? theater_text("ok") : outcome.error};
}

static enum theater_output_mode mode_of(uint8_t letter) {
    return letter == 'l'   ? THEATER_LINE_BY_LINE
           : letter == 'j' ? THEATER_JSON
           : letter == 'c' ? THEATER_CHUNKED
                           : THEATER_RAW;
}

static bool begins(struct theater_bytes word, const char *name, struct theater_bytes *value) {
    size_t size = theater_text(name).size;
    *value = (struct theater_bytes){word.data + size, word.size - size};
    return theater_starts_with(word, name);
}

static struct theater_environment_entry environment[8];
static struct theater_bytes arguments[ARGUMENTS_MOST];

static struct theater_process_config read_options(struct theater_bytes options) {
    struct theater_process_config config = {.buffer_size = 1 << 30};
    config.environment = environment;
    while (options.size > 0) {
        struct theater_bytes word = theater_word(&options), value;
        uint64_t number = 0;
        if (begins(word, "out=", &value)) {
            config.output_mode = mode_of(value.data[0]);
        } else if (begins(word, "err=", &value)) {
            config.error_mode = mode_of(value.data[0]);
        } else if (begins(word, "cwd=", &value)) {
            config.cwd = value;
        } else if (begins(word, "cap=", &value) && theater_parse_number(value, &number)) {
            config.buffer_size = (uint32_t)number;
        } else if (begins(word, "chunk=", &value) && theater_parse_number(value, &number)) {
            config.chunk_size = (uint32_t)number;
        } else if (begins(word, "timeout=", &value) && theater_parse_number(value, &number)) {
            config.execution_timeout = number;
        } else if (begins(word, "env=", &value)) {
            size_t at = 0;
            while (at < value.size && value.data[at] != '=') {
                at++;
            }
            environment[config.environment_count++] = (struct theater_environment_entry){
                {value.data, at}, {value.data + at + 1, value.size - at - 1}};
        }
    }
    return config;
}

static size_t read_arguments(struct theater_bytes rest) {
    size_t count = 0;
    while (rest.size > 0 && count < ARGUMENTS_MOST) {
        arguments[count++] = next_field(&rest);
    }
    return count;
}

static struct answer spawn(struct theater_bytes options, struct theater_bytes rest) {
    struct theater_process_config config = read_options(options);
    config.program = next_field(&rest);
    config.arguments = arguments;
    config.argument_count = read_arguments(rest);
    uint64_t number = 0;
    struct theater_outcome outcome = theater_os_spawn(&config, &number);
    return number_or_error(outcome, number);
}

static struct answer spawn_many(uint64_t count, struct theater_bytes rest) {
    uint64_t started = 0;
    struct answer answer = {.ok = true};
    while (started < count && answer.ok) {
        answer = spawn(theater_text(""), rest);
        started += answer.ok ? 1 : 0;
    }
    return answer.ok ? (struct answer){true, theater_text(started)} : answer;
}

static struct answer status(uint64_t number) {
    struct theater_process_status status;
    struct theater_outcome outcome = theater_os_status(number, &status);
    if (!outcome.ok) {
        return (struct answer){false, outcome.error};
    }
    struct theater_bytes code =
        status.has_exit_code ? theater_text((int64_t)status.exit_code) : theater_text("none");
    return (struct answer){
        true,
        theater_join(status.is_running ? "running " : "ended ", code,
                     status.pid == number && status.start_time > 0 ? "" : " with a wrong number")};
}

static struct answer fill(uint64_t number, uint64_t size) {
    uint8_t *data = theater_alloc(size);
    __builtin_memset(data, 'x', size);
    uint32_t written = 0;
    struct theater_outcome outcome =
        theater_os_write_stdin(number, ((struct theater_bytes){data, size}), &written);
    return number_or_error(outcome, written);
}

static struct answer sum_of(uint64_t number) {
    const struct sum *sum = &sums[number % PROGRAMS_MOST];
    return (struct answer){true, theater_join(sum->bytes, " ", sum->pieces, " ", sum->crc ^ ~0U)};
}

static struct answer run(struct theater_bytes message) {
    struct theater_bytes rest = message, command = next_field(&rest), first = next_field(&rest);
    uint64_t number = 0, more = 0;
    bool has_number = theater_parse_number(first, &number);
    uint32_t written = 0;
    if (theater_text_equal(command, "spawn")) {
        return spawn(first, rest);
    }
    if (theater_text_equal(command, "trap")) {
        theater_trap();
    }
    if (theater_text_equal(command, "fail")) {
        fails = true;
        return (struct answer){true, theater_text("ok")};
    }
    if (theater_text_equal(command, "quiet")) {
        is_quiet = true;
        return (struct answer){true, theater_text("ok")};
    }
    if (!has_number) {
        return (struct answer){false, theater_join("processes: what is \"", message, "\"?")};
    }
    if (theater_text_equal(command, "many")) {
        return spawn_many(number, rest);
    }
    if (theater_text_equal(command, "write")) {
        struct theater_outcome outcome = theater_os_write_stdin(number, rest, &written);
        return number_or_error(outcome, written);
    }
    if (theater_text_equal(command, "fill") && theater_parse_number(rest, &more)) {
        return fill(number, more);
    }
    if (theater_text_equal(command, "close")) {
        return done(theater_os_close_stdin(number));
    }
    if (theater_text_equal(command, "status")) {
        return status(number);
    }
    if (theater_text_equal(command, "signal") && theater_parse_number(rest, &more)) {
        return done(theater_os_signal(number, (uint32_t)more));
    }
    if (theater_text_equal(command, "kill")) {
        return done(theater_os_kill(number));
    }
    if (theater_text_equal(command, "sum")) {
        return sum_of(number);
    }
    return (struct answer){false, theater_join("processes: what is \"", message, "\"?")};
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    for (size_t i = 0; i < PROGRAMS_MOST; i++) {
        sums[i].crc = ~0U;
    }
    return theater_ok(theater_is_none(state) ? theater_text("") : state);
}

static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    struct answer answer = run(message);
    theater_log(answer.ok ? "done: " : "failed: ", answer.text);
    return theater_ok(state);
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)request_id;
    struct answer answer = run(message);
    return answer.ok ? theater_reply(state, answer.text) : theater_error(answer.text);
}

static uint32_t crc32(uint32_t crc, struct theater_bytes data) {
    static uint32_t table[256];
    for (uint32_t i = 0; table[255] == 0 && i < 256; i++) {
        uint32_t word = i;
        for (int bit = 0; bit < 8; bit++) {
            word = (word & 1) != 0 ? 0xEDB88320U ^ word >> 1 : word >> 1;
        }
        table[i] = word;
    }
    for (size_t i = 0; i < data.size; i++) {
        crc = table[(crc ^ data.data[i]) & 0xFF] ^ crc >> 8;
    }
    return crc;
}

static struct theater_result on_stdout(struct theater_bytes state, uint64_t pid,
                                       struct theater_bytes output) {
    struct sum *sum = &sums[pid % PROGRAMS_MOST];
    sum->bytes += output.size;
    sum->pieces++;
    sum->crc = crc32(sum->crc, output);
    if (theater_text_equal(output, "trap")) {
        theater_trap();
    }
    if (output.size <= LOGGED_MOST_BYTES && !is_quiet) {
        theater_log(pid, " out: ", output);
    }
    if (fails) {
        fails = false;
        return theater_error("asked to fail");
    }
    return theater_ok(state);
}

static struct theater_result on_stderr(struct theater_bytes state, uint64_t pid,
                                       struct theater_bytes output) {
    if (output.size <= LOGGED_MOST_BYTES) {
        theater_log(pid, " err: ", output);
    }
    return theater_ok(state);
}

static struct theater_result on_exit(struct theater_bytes state, uint64_t pid, int32_t code) {
    const struct sum *sum = &sums[pid % PROGRAMS_MOST];
    theater_log(pid, " exit: ", (int64_t)code, " ", sum->bytes, " ", sum->pieces, " ",
                sum->crc ^ ~0U);
    return theater_ok(state);
}

THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);
THEATER_HANDLE_REQUEST(on_request);
THEATER_HANDLE_STDOUT(on_stdout);
THEATER_HANDLE_STDERR(on_stderr);
THEATER_HANDLE_EXIT(on_exit);

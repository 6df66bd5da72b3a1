// SPDX-License-Identifier: Apache-2.0
// The files guest: does with files and variables what the text of a request says, well-meant or
// not. Words are separated by one blank; the last one may hold blanks.
//
//   read PATH | write PATH TEXT | list PATH | delete PATH | mkdir PATH | rmdir PATH | exists PATH
//   nul              a path with a zero byte in it, to every function
//   long N           a path of N bytes, to every function
//   fill PATH N      writes N bytes
//   storm N PATH     N rounds of every function on PATH, on what is below it and above it: how many
//                    calls were good, and an error as soon as a content or a list shows "outside"
//   var NAME | has NAME | vars
//
// An error of the host is the error of the request.
#include "theater-files.h"
#include "theater.h"

static struct theater_result reply(struct theater_bytes text) {
    return theater_reply(THEATER_NONE, text);
}

static struct theater_result answer(struct theater_outcome outcome) {
    if (!outcome.ok) {
        return theater_error(outcome.error);
    }
    return reply(theater_is_none(outcome.value) ? theater_text("ok") : outcome.value);
}

static bool is(struct theater_bytes command, const char *name) {
    return theater_text_equal(command, name);
}

static struct theater_bytes joined(struct theater_list list) {
    struct theater_bytes text = theater_text("");
    for (size_t i = 0; i < list.count; i++) {
        text = i == 0 ? list.items[i] : theater_join(text, " ", list.items[i]);
    }
    return text;
}

static struct theater_bytes of_length(uint64_t size, char letter) {
    char *data = theater_alloc(size + 1);
    for (uint64_t i = 0; i < size; i++) {
        data[i] = letter;
    }
    return (struct theater_bytes){(const uint8_t *)data, size};
}

static bool holds(struct theater_bytes text, const char *word) {
    size_t size = theater_text(word).size;
    for (size_t i = 0; i + size <= text.size; i++) {
        struct theater_bytes part = {text.data + i, size};
        if (theater_text_equal(part, word)) {
            return true;
        }
    }
    return false;
}

// Every function on one path; the errors, one a line.
static struct theater_bytes everything(struct theater_bytes path) {
    struct theater_list list;
    bool exists = false;
    struct theater_outcome outcomes[] = {
        theater_read_file(path),           theater_write_file(path, "text"),
        theater_list_files(path, &list),   theater_delete_file(path),
        theater_create_dir(path),          theater_delete_dir(path),
        theater_path_exists(path, &exists)};
    struct theater_bytes text = theater_text("");
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        struct theater_bytes line = outcomes[i].ok ? theater_text("good") : outcomes[i].error;
        text = i == 0 ? line : theater_join(text, "\n", line);
    }
    return text;
}

// How many of the calls on one path are good; `escaped` when one shows what must not be seen.
static uint64_t try_path(struct theater_bytes path, bool *escaped) {
    struct theater_list list;
    bool exists = false;
    struct theater_outcome content = theater_read_file(path);
    *escaped = *escaped || (content.ok && holds(content.value, "outside"));
    struct theater_outcome names = theater_list_files(path, &list);
    *escaped = *escaped || (names.ok && holds(joined(list), "outside"));
    uint64_t good = content.ok + names.ok;
    good += theater_path_exists(path, &exists).ok;
    good += theater_write_file(path, "written by the guest").ok;
    good += theater_delete_file(path).ok;
    good += theater_create_dir(path).ok;
    good += theater_delete_dir(path).ok;
    return good;
}

static struct theater_result storm(uint64_t rounds, struct theater_bytes path) {
    uint64_t good = 0;
    bool escaped = false;
    for (uint64_t i = 0; i < rounds && !escaped; i++) {
        good += try_path(theater_join(path, "/inner"), &escaped);
        good += try_path(theater_join(path, "/new-", i), &escaped);
        good += try_path(theater_join(path, "/../", path, "/inner"), &escaped);
    }
    return escaped ? theater_error("files: the outside was seen") : reply(theater_join(good));
}

static struct theater_result variables(void) {
    size_t count = 0;
    const struct theater_variable *list = theater_list_vars(&count);
    struct theater_bytes text = theater_text("");
    for (size_t i = 0; i < count; i++) {
        text = theater_join(text, i == 0 ? "" : " ", list[i].name, "=", list[i].value);
    }
    return reply(text);
}

static struct theater_result on_variables(struct theater_bytes command, struct theater_bytes rest) {
    if (is(command, "var")) {
        struct theater_bytes value = theater_get_var(rest);
        return reply(theater_is_none(value) ? theater_text("(not set)") : value);
    }
    if (is(command, "has")) {
        return reply(theater_var_exists(rest) ? theater_text("yes") : theater_text("no"));
    }
    return is(command, "vars") ? variables()
                               : theater_error("files: unknown command \"", command, "\"");
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)state;
    (void)request_id;
    struct theater_bytes rest = message;
    struct theater_bytes command = theater_word(&rest);
    struct theater_list list;
    bool exists = false;
    uint64_t number = 0;
    if (is(command, "read")) {
        return answer(theater_read_file(rest));
    }
    if (is(command, "write")) {
        struct theater_bytes path = theater_word(&rest);
        return answer(theater_write_file(path, rest));
    }
    if (is(command, "list")) {
        struct theater_outcome outcome = theater_list_files(rest, &list);
        return outcome.ok ? reply(joined(list)) : answer(outcome);
    }
    if (is(command, "delete")) {
        return answer(theater_delete_file(rest));
    }
    if (is(command, "mkdir")) {
        return answer(theater_create_dir(rest));
    }
    if (is(command, "rmdir")) {
        return answer(theater_delete_dir(rest));
    }
    if (is(command, "exists")) {
        struct theater_outcome outcome = theater_path_exists(rest, &exists);
        return outcome.ok ? reply(exists ? theater_text("yes") : theater_text("no"))
                          : answer(outcome);
    }
    if (is(command, "nul")) {
        return reply(everything((struct theater_bytes){(const uint8_t *)"a\0b", 3}));
    }
    if (is(command, "long") && theater_parse_number(rest, &number)) {
        return reply(everything(of_length(number, 'x')));
    }
    if (is(command, "fill")) {
        struct theater_bytes path = theater_word(&rest);
        return theater_parse_number(rest, &number)
                   ? answer(theater_write_file(path, of_length(number, 'x')))
                   : theater_error("files: fill needs a number");
    }
    if (is(command, "storm")) {
        struct theater_bytes count = theater_word(&rest);
        return theater_parse_number(count, &number) ? storm(number, rest)
                                                    : theater_error("files: storm needs a number");
    }
    return on_variables(command, rest);
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes id) {
    (void)id;
    return theater_ok(state);
}

THEATER_INIT(on_init);
THEATER_HANDLE_REQUEST(on_request);

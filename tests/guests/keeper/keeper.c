// SPDX-License-Identifier: Apache-2.0
// The keeper: a test actor that does with stores what the text of a request says, and answers with
// the result or the error as the host gave it.
//
// Words are separated by one blank; the last one may hold blanks.
//
//   new | put STORE TEXT | big STORE BYTES | get STORE HASH | measure STORE HASH
//   exists STORE HASH | total STORE | contents STORE | many STORE COUNT
//   label STORE LABEL HASH | find STORE LABEL | put-at STORE LABEL TEXT | labels STORE
//   replace STORE LABEL TEXT | replace-label STORE LABEL HASH
//   remove STORE LABEL | remove-from STORE LABEL HASH | hex-at STORE LABEL DIGITS
//   spawn MANIFEST | fill COUNT | family MEMBERS COUNT MANIFEST
//
// STORE may be "@": the store made last. "big" puts so many bytes, all of them 'b'; "measure" gives
// the size of a content; "hex-at" puts the bytes that the digits stand for; "many" puts so many
// different contents, each at a label of its own. "fill" does that in a new store; "family" spawns
// so many and has them all fill a store of their own, without waiting for them.
#include "theater-store.h"

struct answer {
    bool ok;
    struct theater_bytes text;
};

static struct answer of(struct theater_outcome outcome) {
    if (!outcome.ok) {
        return (struct answer){.text = outcome.error};
    }
    return (struct answer){
        .ok = true, .text = theater_is_none(outcome.value) ? theater_text("none") : outcome.value};
}

// What succeeded without a value.
static struct answer done(struct theater_outcome outcome) {
    return outcome.ok ? (struct answer){.ok = true, .text = theater_text("ok")} : of(outcome);
}

static struct answer of_number(struct theater_outcome outcome, uint64_t number) {
    return outcome.ok ? (struct answer){.ok = true, .text = theater_text(number)} : of(outcome);
}

static struct answer of_list(struct theater_outcome outcome, struct theater_list list) {
    struct theater_bytes text = theater_text("");
    for (size_t i = 0; outcome.ok && i < list.count; i++) {
        text = i == 0 ? list.items[i] : theater_join(text, " ", list.items[i]);
        if (text.size > 1000) {
            text = theater_join(list.count, " of them");
            break;
        }
    }
    return outcome.ok ? (struct answer){.ok = true, .text = text} : of(outcome);
}

static bool is(struct theater_bytes command, const char *name) {
    return theater_text_equal(command, name);
}

static struct answer put_big(struct theater_bytes store, uint64_t size) {
    uint8_t *content = theater_alloc(size);
    __builtin_memset(content, 'b', size);
    return of(theater_store_put(store, ((struct theater_bytes){content, size})));
}

static struct answer put_many(struct theater_bytes store, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        struct theater_outcome outcome =
            theater_store_put_at_label(store, i, theater_join("content ", i));
        if (!outcome.ok) {
            return of(outcome);
        }
    }
    return (struct answer){.ok = true, .text = theater_text(count)};
}

static struct answer family(struct theater_bytes rest) {
    uint64_t members = 0;
    struct theater_bytes first = theater_word(&rest), count = theater_word(&rest);
    (void)theater_parse_number(first, &members);
    for (uint64_t i = 0; i < members; i++) {
        struct theater_outcome child = theater_spawn(rest, THEATER_NONE);
        struct theater_outcome sent =
            child.ok ? theater_send(child.value, theater_join("fill ", count)) : child;
        if (!sent.ok) {
            return of(sent);
        }
    }
    return (struct answer){.ok = true, .text = first};
}

static bool do_contents(struct theater_bytes command, struct theater_bytes store,
                        struct theater_bytes rest, struct answer *answer) {
    uint64_t number = 0;
    bool has_number = theater_parse_number(rest, &number);
    if (is(command, "put")) {
        *answer = of(theater_store_put(store, rest));
    } else if (is(command, "big") && has_number) {
        *answer = put_big(store, number);
    } else if (is(command, "many") && has_number) {
        *answer = put_many(store, number);
    } else if (is(command, "get")) {
        *answer = of(theater_store_get(store, rest));
    } else if (is(command, "measure")) {
        struct theater_outcome outcome = theater_store_get(store, rest);
        *answer = of_number(outcome, outcome.value.size);
    } else if (is(command, "exists")) {
        bool exists;
        struct theater_outcome outcome = theater_store_exists(store, rest, &exists);
        *answer = of_number(outcome, exists);
    } else if (is(command, "total")) {
        struct theater_outcome outcome = theater_store_total(store, &number);
        *answer = of_number(outcome, number);
    } else if (is(command, "contents")) {
        struct theater_list list;
        struct theater_outcome outcome = theater_store_list_contents(store, &list);
        *answer = of_list(outcome, list);
    } else {
        return false;
    }
    return true;
}

static unsigned digit(uint8_t character) {
    return character <= '9' ? (unsigned)character - '0' : (unsigned)character - 'a' + 10;
}

static struct theater_bytes from_hex(struct theater_bytes digits) {
    uint8_t *content = theater_alloc(digits.size / 2);
    for (size_t i = 0; i < digits.size / 2; i++) {
        content[i] = (uint8_t)(digit(digits.data[2 * i]) << 4 | digit(digits.data[2 * i + 1]));
    }
    return (struct theater_bytes){content, digits.size / 2};
}

static bool do_labels(struct theater_bytes command, struct theater_bytes store,
                      struct theater_bytes rest, struct answer *answer) {
    if (is(command, "labels")) {
        struct theater_list list;
        struct theater_outcome outcome = theater_store_list_labels(store, &list);
        *answer = of_list(outcome, list);
        return true;
    }
    struct theater_bytes label = theater_word(&rest);
    if (is(command, "label")) {
        *answer = done(theater_store_label(store, label, rest));
    } else if (is(command, "find")) {
        *answer = of(theater_store_find(store, label));
    } else if (is(command, "put-at")) {
        *answer = of(theater_store_put_at_label(store, label, rest));
    } else if (is(command, "hex-at")) {
        *answer = of(theater_store_put_at_label(store, label, from_hex(rest)));
    } else if (is(command, "replace")) {
        *answer = of(theater_store_replace_at_label(store, label, rest));
    } else if (is(command, "replace-label")) {
        *answer = done(theater_store_replace_label(store, label, rest));
    } else if (is(command, "remove")) {
        *answer = done(theater_store_remove_label(store, label));
    } else if (is(command, "remove-from")) {
        *answer = done(theater_store_remove_from_label(store, label, rest));
    } else {
        return false;
    }
    return true;
}

// The state is the id of the store made last.
static struct answer run(struct theater_bytes message, struct theater_bytes *state) {
    struct theater_bytes rest = message;
    struct theater_bytes command = theater_word(&rest);
    struct answer answer = {.text = theater_join("keeper: unknown command \"", message, "\"")};
    if (is(command, "new")) {
        answer = of(theater_store_new());
        *state = answer.ok ? answer.text : *state;
        return answer;
    }
    if (is(command, "spawn")) {
        return of(theater_spawn(rest, THEATER_NONE));
    }
    if (is(command, "family")) {
        return family(rest);
    }
    struct theater_bytes first = theater_word(&rest);
    uint64_t count = 0;
    if (is(command, "fill") && theater_parse_number(first, &count)) {
        struct theater_outcome outcome = theater_store_new();
        return outcome.ok ? put_many(outcome.value, count) : of(outcome);
    }
    struct theater_bytes store = theater_text_equal(first, "@") ? *state : first;
    if (!do_contents(command, store, rest, &answer)) {
        (void)do_labels(command, store, rest, &answer);
    }
    return answer;
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    return theater_ok(theater_is_none(state) ? theater_text("") : state);
}

static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    struct answer answer = run(message, &state);
    theater_log(answer.ok ? "done: " : "failed: ", answer.text);
    return theater_ok(state);
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)request_id;
    struct answer answer = run(message, &state);
    return answer.ok ? theater_reply(state, answer.text) : theater_error(answer.text);
}

THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);
THEATER_HANDLE_REQUEST(on_request);

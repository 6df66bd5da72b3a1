// SPDX-License-Identifier: Apache-2.0
// Fetch: an actor that sends the HTTP requests that messages ask for.
//
//   send METHOD URL      the answer is the status, the header fields and the body, as they came
//   sum METHOD URL       the answer is the status, and the body's size and FNV-1a hash
//   crowd N MESSAGE      spawns N children of fetch.toml and sends each the message
//   spawn MANIFEST       spawns a child; the answer is its id, or the error
//   stop                 stops the children
//
// After the first line, header fields follow, one a line; after an empty line the body, or, as
// "@N", N bytes in which every value occurs. An error is answered as "error: " and its text. What
// was asked by send and not by request is logged.
#include "theater-http.h"

enum { FIELDS_MOST = 2000 };

// Takes what stands before `mark`, and the mark, off the text; all of it when there is none.
static struct theater_bytes take(struct theater_bytes *text, uint8_t mark) {
    size_t size = 0;
    while (size < text->size && text->data[size] != mark) {
        size++;
    }
    struct theater_bytes taken = {text->data, size};
    size += size < text->size;
    *text = (struct theater_bytes){text->data + size, text->size - size};
    return taken;
}

static struct theater_bytes hexadecimal(uint64_t number) {
    uint8_t *digits = theater_alloc(16);
    for (int i = 15; i >= 0; i--) {
        digits[i] = (uint8_t) "0123456789abcdef"[number & 15];
        number >>= 4;
    }
    return (struct theater_bytes){digits, 16};
}

static struct theater_bytes sum_of(struct theater_bytes body) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < body.size; i++) {
        hash = (hash ^ body.data[i]) * 0x100000001b3u;
    }
    return theater_join(body.size, " ", hexadecimal(hash));
}

static struct theater_bytes make_body(struct theater_bytes text) {
    uint64_t size = 0;
    struct theater_bytes digits = {text.data + 1, text.size - 1};
    if (!theater_starts_with(text, "@") || !theater_parse_number(digits, &size)) {
        return text;
    }
    uint8_t *body = theater_alloc((size_t)size + 1);
    for (size_t i = 0; i < size; i++) {
        body[i] = (uint8_t)(i + (i >> 8));
    }
    return (struct theater_bytes){body, (size_t)size};
}

static struct theater_bytes exchange(struct theater_bytes text, bool wants_sum) {
    struct theater_bytes line = take(&text, '\n');
    struct theater_bytes method = take(&line, ' '), url = line;
    struct theater_header *headers = theater_alloc(FIELDS_MOST * sizeof *headers);
    struct theater_http_request request = {method, url, headers, 0, THEATER_NONE};
    bool has_body = false;
    while (text.size > 0 && !has_body && request.header_count < FIELDS_MOST) {
        struct theater_bytes value = take(&text, '\n');
        has_body = value.size == 0;
        if (!has_body) {
            headers[request.header_count].name = take(&value, ':');
            // One blank is the separator's.
            size_t skip = value.size > 0 && value.data[0] == ' ';
            headers[request.header_count++].value =
                (struct theater_bytes){value.data + skip, value.size - skip};
        }
    }
    request.body = has_body ? make_body(text) : THEATER_NONE;
    struct theater_http_response response;
    struct theater_outcome outcome = theater_http_send(&request, &response);
    if (!outcome.ok) {
        return theater_join("error: ", outcome.error);
    }
    struct theater_bytes answer = theater_join((int)response.status);
    if (wants_sum) {
        return theater_join(answer, " ", sum_of(response.body));
    }
    for (size_t i = 0; i < response.header_count; i++) {
        answer =
            theater_join(answer, "\n", response.headers[i].name, ": ", response.headers[i].value);
    }
    return theater_join(answer, "\n\n", response.body);
}

static struct theater_bytes crowd(struct theater_bytes text) {
    uint64_t count = 0;
    (void)theater_parse_number(take(&text, ' '), &count);
    for (uint64_t i = 0; i < count; i++) {
        struct theater_outcome child = theater_spawn("fetch.toml", THEATER_NONE);
        struct theater_outcome sent = child;
        if (child.ok) {
            sent = theater_send(child.value, text);
        }
        if (!sent.ok) {
            return theater_join("error: ", sent.error);
        }
    }
    return theater_join((int)count);
}

static struct theater_bytes stop_children(void) {
    struct theater_list children = theater_list_children();
    for (size_t i = 0; i < children.count; i++) {
        struct theater_outcome outcome = theater_stop_child(children.items[i]);
        if (!outcome.ok) {
            return theater_join("error: ", outcome.error);
        }
    }
    return theater_join("stopped ", (int)children.count);
}

static struct theater_bytes obey(struct theater_bytes text) {
    struct theater_bytes whole = text, command = take(&text, ' ');
    if (theater_text_equal(command, "send") || theater_text_equal(command, "sum")) {
        return exchange(text, theater_text_equal(command, "sum"));
    }
    if (theater_text_equal(command, "crowd")) {
        return crowd(text);
    }
    if (theater_text_equal(command, "spawn")) {
        struct theater_outcome child = theater_spawn(text, THEATER_NONE);
        return child.ok ? child.value : theater_join("error: ", child.error);
    }
    return theater_text_equal(command, "stop") ? stop_children() : theater_join("unknown: ", whole);
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes id) {
    (void)id;
    return theater_ok(state);
}

static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    theater_log(obey(message));
    return theater_ok(state);
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request,
                                        struct theater_bytes message) {
    (void)request;
    return theater_reply(state, obey(message));
}

static struct theater_result on_child_stop(struct theater_bytes state, struct theater_bytes child) {
    (void)child;
    return theater_ok(state);
}

THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);
THEATER_HANDLE_REQUEST(on_request);
THEATER_HANDLE_CHILD_EXTERNAL_STOP(on_child_stop);

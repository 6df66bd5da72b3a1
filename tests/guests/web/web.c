// SPDX-License-Identifier: Apache-2.0
// A test actor with HTTP servers. Its initial state says what it serves, commands with ';' between
// them; the same commands may come as requests later. Words are separated by one blank:
//
//   create PORT [HOST [CERT KEY]]   PORT 0: any; the others below mean the server made last
//   start | stop | destroy | info
//   route METHOD PATH               answered as described below
//   unroute ID | middleware PATH | unmiddleware ID | sleep MS
//   many COUNT                      so many routes /many/N
//
// What a request is answered depends on the first segment of its path:
//   /hello      13 bytes                      /echo      the request's body
//   /show       method, uri, headers, body's size, as text
//   /count      how many requests were seen   /size      the size of the body
//   /fail       an error                      /trap      a trap
//   /bad-status, /bad-field, /bad-name        what no server may send
//   /chunked    in chunks                     /slow/MS   after so many milliseconds
//   /large/N    N bytes                       /close     with Connection: close
//   /do         what the command in the body says
// Middleware refuses a request with a header "x-stop", fails with "x-fail", and otherwise adds
// "x-seen", or one more to its value.
#include "theater-http.h"

static uint64_t server, handler;

static bool is(struct theater_bytes text, const char *word) {
    return theater_text_equal(text, word);
}

static struct theater_bytes next_word(struct theater_bytes *rest) {
    size_t size = 0;
    while (size < rest->size && rest->data[size] != ' ') {
        size++;
    }
    struct theater_bytes word = {rest->data, size};
    size_t skip = size < rest->size ? size + 1 : size;
    *rest = (struct theater_bytes){rest->data + skip, rest->size - skip};
    return word;
}

static uint64_t number(struct theater_bytes text) {
    uint64_t value = 0;
    for (size_t i = 0; i < text.size && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    return value;
}

static struct theater_bytes or_none(struct theater_bytes word) {
    return word.size > 0 ? word : THEATER_NONE;
}

// The error, or the number, or "ok".
static struct theater_bytes told(struct theater_outcome outcome, bool has_value, uint64_t value) {
    return !outcome.ok ? theater_join("error: ", outcome.error)
           : has_value ? theater_text(value)
                       : theater_text("ok");
}

static struct theater_bytes create(struct theater_bytes rest) {
    struct theater_server_config config = {.has_port = true};
    config.port = (uint16_t)number(next_word(&rest));
    config.host = or_none(next_word(&rest));
    config.cert_path = or_none(next_word(&rest));
    config.key_path = or_none(next_word(&rest));
    return told(theater_create_server(&config, &server), true, server);
}

static struct theater_bytes info(void) {
    struct theater_server_info info;
    struct theater_outcome outcome = theater_get_server_info(server, &info);
    if (!outcome.ok) {
        return told(outcome, false, 0);
    }
    return theater_join(info.host, info.is_running ? " running " : " stopped ", info.route_count,
                        " routes ", info.middleware_count, " middleware");
}

static struct theater_bytes add_many(uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t id;
        struct theater_outcome outcome =
            theater_add_route(server, theater_join("/many/", i), "GET", handler, &id);
        if (!outcome.ok) {
            return told(outcome, false, 0);
        }
    }
    return theater_text("ok");
}

static struct theater_bytes obey(struct theater_bytes rest) {
    struct theater_bytes command = next_word(&rest);
    uint64_t id = 0;
    uint16_t port = 0;
    if (is(command, "create")) {
        return create(rest);
    } else if (is(command, "start")) {
        struct theater_outcome outcome = theater_start_server(server, &port);
        if (outcome.ok) {
            theater_log("port ", (uint64_t)port);
        }
        return told(outcome, true, port);
    } else if (is(command, "stop")) {
        return told(theater_stop_server(server), false, 0);
    } else if (is(command, "destroy")) {
        return told(theater_destroy_server(server), false, 0);
    } else if (is(command, "info")) {
        return info();
    } else if (is(command, "route")) {
        struct theater_bytes method = next_word(&rest);
        return told(theater_add_route(server, rest, method, handler, &id), true, id);
    } else if (is(command, "unroute")) {
        return told(theater_remove_route(number(rest)), false, 0);
    } else if (is(command, "middleware")) {
        return told(theater_add_middleware(server, rest, handler, &id), true, id);
    } else if (is(command, "unmiddleware")) {
        return told(theater_remove_middleware(number(rest)), false, 0);
    } else if (is(command, "sleep")) {
        return told(theater_sleep_ms(number(rest)), false, 0);
    } else if (is(command, "many")) {
        return add_many(number(rest));
    }
    return theater_join("error: no command ", command);
}

// The state afterwards is the number of HTTP requests that were answered.
static struct theater_result init(struct theater_bytes state, struct theater_bytes id) {
    (void)id;
    struct theater_outcome registered = theater_register_handler("web", &handler);
    if (!registered.ok) {
        return theater_error("register: ", registered.error);
    }
    // The state is JSON: a string without escapes.
    struct theater_bytes text = {state.data + 1, state.size < 2 ? 0 : state.size - 2};
    while (text.size > 0) {
        size_t size = 0;
        while (size < text.size && text.data[size] != ';') {
            size++;
        }
        struct theater_bytes answer = obey((struct theater_bytes){text.data, size});
        if (theater_starts_with(answer, "error")) {
            return theater_error(answer);
        }
        size += size < text.size;
        text = (struct theater_bytes){text.data + size, text.size - size};
    }
    return theater_ok(theater_text("0"));
}
THEATER_INIT(init);

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request,
                                        struct theater_bytes message) {
    (void)request;
    return theater_reply(state, obey(message));
}
THEATER_HANDLE_REQUEST(on_request);

static struct theater_bytes show(const struct theater_http_request *request) {
    struct theater_bytes text = theater_join(request->method, " ", request->uri, "\n");
    for (size_t i = 0; i < request->header_count; i++) {
        text = theater_join(text, request->headers[i].name, "=", request->headers[i].value, "\n");
    }
    return theater_join(text, "body=",
                        theater_is_none(request->body) ? theater_text("none")
                                                       : theater_text((uint64_t)request->body.size),
                        "\n");
}

static struct theater_http_result with_field(struct theater_bytes state, const char *name,
                                             const char *value, struct theater_bytes body) {
    struct theater_header header = {theater_text(name), theater_text(value)};
    struct theater_header *kept = theater_alloc(sizeof *kept);
    *kept = header;
    struct theater_http_response response = {200, kept, 1, body};
    return theater_http_respond(state, &response);
}

static struct theater_http_result large(struct theater_bytes state, uint64_t size) {
    uint8_t *body = theater_alloc((size_t)size + 1);
    __builtin_memset(body, 'x', (size_t)size);
    struct theater_bytes bytes = {body, (size_t)size};
    return theater_http_reply(state, 200, "text/plain", bytes);
}

static struct theater_http_result on_http(struct theater_bytes before, uint64_t which,
                                          const struct theater_http_request *request) {
    (void)which;
    struct theater_bytes state = theater_text(number(before) + 1);
    struct theater_bytes path = request->uri;
    if (theater_starts_with(path, "/hello")) {
        return theater_http_reply(state, 200, "text/plain", "Hello, world!");
    } else if (theater_starts_with(path, "/echo")) {
        return theater_http_reply(state, 200, "application/octet-stream", request->body);
    } else if (theater_starts_with(path, "/do")) {
        return theater_http_reply(state, 200, "text/plain", obey(request->body));
    } else if (theater_starts_with(path, "/count")) {
        return theater_http_reply(state, 200, "text/plain", state);
    } else if (theater_starts_with(path, "/size")) {
        return theater_http_reply(state, 200, "text/plain", (uint64_t)request->body.size);
    } else if (theater_starts_with(path, "/fail")) {
        return theater_http_error("a secret of the actor");
    } else if (theater_starts_with(path, "/trap")) {
        __builtin_trap();
    } else if (theater_starts_with(path, "/bad-status")) {
        return theater_http_reply(state, 101, "text/plain", "x");
    } else if (theater_starts_with(path, "/bad-field")) {
        return with_field(state, "x-a", "b\r\nSet-Cookie: c", THEATER_NONE);
    } else if (theater_starts_with(path, "/bad-name")) {
        return with_field(state, "x a", "b", THEATER_NONE);
    } else if (theater_starts_with(path, "/chunked")) {
        return with_field(state, "Transfer-Encoding", "chunked", theater_text("in chunks"));
    } else if (theater_starts_with(path, "/close")) {
        return with_field(state, "Connection", "close", theater_text("bye"));
    } else if (theater_starts_with(path, "/large/")) {
        return large(state, number((struct theater_bytes){path.data + 7, path.size - 7}));
    } else if (theater_starts_with(path, "/slow/")) {
        (void)theater_sleep_ms(number((struct theater_bytes){path.data + 6, path.size - 6}));
        return theater_http_reply(state, 200, "text/plain", "slow");
    }
    return theater_http_reply(state, 200, "text/plain", show(request));
}
THEATER_HANDLE_HTTP_REQUEST(on_http);

static struct theater_http_result on_middleware(struct theater_bytes state, uint64_t which,
                                                const struct theater_http_request *request) {
    (void)which;
    if (!theater_is_none(theater_http_header(request, "x-stop"))) {
        return theater_http_stop(state, request);
    }
    if (!theater_is_none(theater_http_header(request, "x-fail"))) {
        return theater_http_error("a secret of the middleware");
    }
    struct theater_header *headers = theater_alloc((request->header_count + 1) * sizeof *headers);
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        if (!is(request->headers[i].name, "x-seen")) {
            headers[count++] = request->headers[i];
        }
    }
    uint64_t seen = number(theater_http_header(request, "x-seen")) + 1;
    headers[count++] = (struct theater_header){theater_text("x-seen"), theater_text(seen)};
    struct theater_http_request changed = *request;
    changed.headers = headers;
    changed.header_count = count;
    return theater_http_proceed(state, &changed);
}
THEATER_HANDLE_HTTP_MIDDLEWARE(on_middleware);

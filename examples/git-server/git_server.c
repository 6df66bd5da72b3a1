// SPDX-License-Identifier: Apache-2.0
// A git server: repositories in its folder can be cloned over HTTP ("dumb" protocol).
//
// All six routes have one handler, which looks at the address to tell them apart. The state counts
// the requests that were answered.
#include "theater-files.h"
#include "theater-http.h"

static const char *const routes[] = {
    "/",
    "/{repository}/HEAD",
    "/{repository}/info/refs",
    "/{repository}/objects/info/packs",
    "/{repository}/objects/pack/{name}",
    "/{repository}/objects/{folder}/{name}",
};

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    struct theater_bytes wanted = theater_json_field(state, "port");
    uint64_t port = 8080, server, handler, route;
    (void)theater_parse_number(wanted, &port);
    struct theater_server_config config = {.has_port = true, .port = (uint16_t)port};
    struct theater_outcome outcome = theater_create_server(&config, &server);
    if (outcome.ok) {
        outcome = theater_register_handler("git", &handler);
    }
    for (size_t i = 0; outcome.ok && i < sizeof routes / sizeof routes[0]; i++) {
        outcome = theater_add_route(server, routes[i], "GET", handler, &route);
    }
    uint16_t listens = 0;
    if (outcome.ok) {
        outcome = theater_start_server(server, &listens);
    }
    if (!outcome.ok) {
        return theater_error("the server did not start: ", outcome.error);
    }
    theater_log("listening on port ", listens);
    return theater_ok(theater_join("{\"port\":", listens, ",\"answered\":0}"));
}

// The path without its query.
static struct theater_bytes path_of(struct theater_bytes uri) {
    size_t end = 0;
    while (end < uri.size && uri.data[end] != '?') {
        end++;
    }
    return (struct theater_bytes){uri.data, end};
}

// A page with a line for each repository.
static struct theater_http_result list(struct theater_bytes state) {
    struct theater_list names;
    struct theater_outcome outcome = theater_list_files(".", &names);
    if (!outcome.ok) {
        return theater_http_error("cannot list the repositories: ", outcome.error);
    }
    struct theater_bytes page = theater_text("");
    for (size_t i = 0; i < names.count; i++) {
        page = theater_join(page, names.items[i], "\n");
    }
    return theater_http_reply(state, 200, "text/plain; charset=utf-8", page);
}

static struct theater_http_result on_request(struct theater_bytes state, uint64_t handler,
                                             const struct theater_http_request *request) {
    (void)handler;
    uint64_t answered = 0, port = 0;
    (void)theater_parse_number(theater_json_field(state, "answered"), &answered);
    (void)theater_parse_number(theater_json_field(state, "port"), &port);
    struct theater_bytes next =
        theater_join("{\"port\":", port, ",\"answered\":", answered + 1, "}");
    struct theater_bytes path = path_of(request->uri);
    if (path.size <= 1) {
        return list(next);
    }
    // The folder is a jail: whatever the address says, nothing outside of it can be read.
    struct theater_bytes file = {path.data + 1, path.size - 1};
    struct theater_outcome content = theater_read_file(file);
    if (!content.ok) {
        return theater_http_reply(next, 404, "text/plain", theater_join("no such object\n"));
    }
    return theater_http_reply(next, 200, "application/octet-stream", content.value);
}

// http-handlers is exported as a whole by actors built with other toolchains; what is not used here
// need not be there.
THEATER_INIT(on_init);
THEATER_HANDLE_HTTP_REQUEST(on_request);

// SPDX-License-Identifier: Apache-2.0
// theater:simple/http-client, http-framework and http-handlers for actors in C, without WebSockets
// (theater-websocket.h). See theater.h.
//
//     static struct theater_http_result on_request(struct theater_bytes state, uint64_t handler,
//                                                  const struct theater_http_request *request) {
//         return theater_http_reply(state, 200, "text/plain", "hello");
//     }
//     THEATER_HANDLE_HTTP_REQUEST(on_request);
#ifndef THEATER_HTTP_H
#define THEATER_HTTP_H

#include "theater.h"

// ---- requests and responses --------------------------------------------------------------------

struct theater_header {
    struct theater_bytes name, value;
};

struct theater_http_request {
    struct theater_bytes method, uri;
    const struct theater_header *headers;
    size_t header_count;
    struct theater_bytes body;  // none: there is none
};

struct theater_http_response {
    uint16_t status;
    const struct theater_header *headers;
    size_t header_count;
    struct theater_bytes body;  // none: there is none
};

THEATER__INTERNAL uint8_t theater__lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

THEATER__SHARED struct theater_bytes theater__find_header(const struct theater_header *headers,
                                                          size_t count, struct theater_bytes name) {
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < name.size && headers[i].name.size == name.size &&
               theater__lower(headers[i].name.data[at]) == theater__lower(name.data[at])) {
            at++;
        }
        if (at == name.size && headers[i].name.size == name.size) {
            return headers[i].value;
        }
    }
    return THEATER_NONE;
}

// The value of the first header of a request or response with this name, in any case; or none.
#define theater_http_header(message, name) \
    theater__find_header((message)->headers, (message)->header_count, theater_text(name))

// As the canonical ABI lays them out in memory.
struct theater__http_body {
    uint8_t has;
    struct theater_bytes bytes;
};
struct theater__http_request {
    struct theater_bytes method, uri;
    const struct theater_header *headers;
    size_t header_count;
    struct theater__http_body body;
};
struct theater__http_response {
    uint16_t status;
    const struct theater_header *headers;  // at 4
    size_t header_count;
    struct theater__http_body body;
};
_Static_assert(sizeof(struct theater__http_request) == 36, "canonical ABI");
_Static_assert(sizeof(struct theater__http_response) == 24, "canonical ABI");

THEATER__INTERNAL struct theater__http_body theater__http_body(struct theater_bytes body) {
    return (struct theater__http_body){body.data != NULL, body};
}

// ---- http-client -------------------------------------------------------------------------------

THEATER__IMPORT("http-client", "send-http")
void theater__import_send_http(const uint8_t *, size_t, const uint8_t *, size_t, const void *,
                               size_t, int, const uint8_t *, size_t, void *);

// Sends a request and waits for the response.
THEATER__INTERNAL struct theater_outcome theater_http_send(
    const struct theater_http_request *request, struct theater_http_response *response) {
    struct {
        uint8_t failed;
        union {
            struct theater__http_response response;
            struct theater_bytes error;
        } of;  // at 4
    } area;
    theater__import_send_http(request->method.data, request->method.size, request->uri.data,
                              request->uri.size, request->headers, request->header_count,
                              request->body.data != NULL, request->body.data, request->body.size,
                              &area);
    *response = (struct theater_http_response){0};
    if (area.failed) {
        return (struct theater_outcome){.error = area.of.error};
    }
    const struct theater__http_response *got = &area.of.response;
    *response = (struct theater_http_response){
        got->status, got->headers, got->header_count,
        theater__parameter(got->body.has, got->body.bytes.data, got->body.bytes.size)};
    return (struct theater_outcome){.ok = true};
}

// ---- http-framework ----------------------------------------------------------------------------

struct theater_server_config {
    bool has_port;
    uint16_t port;                             // 0: any that is free
    struct theater_bytes host;                 // none: 127.0.0.1
    struct theater_bytes cert_path, key_path;  // none: without TLS
};

struct theater_server_info {
    uint64_t id;
    uint16_t port;
    struct theater_bytes host;
    uint8_t is_running;
    uint32_t route_count, middleware_count;
    uint8_t has_websocket;
};
_Static_assert(offsetof(struct theater_server_info, has_websocket) == 32, "canonical ABI");

THEATER__IMPORT("http-framework", "create-server")
void theater__import_create_server(int, int, int, const uint8_t *, size_t, int, const uint8_t *,
                                   size_t, const uint8_t *, size_t, void *);
THEATER__IMPORT("http-framework", "register-handler")
void theater__import_register_handler(const uint8_t *, size_t, void *);
THEATER__IMPORT("http-framework", "add-route")
void theater__import_add_route(uint64_t, const uint8_t *, size_t, const uint8_t *, size_t, uint64_t,
                               void *);
THEATER__IMPORT("http-framework", "add-middleware")
void theater__import_add_middleware(uint64_t, const uint8_t *, size_t, uint64_t, void *);

#define THEATER__IMPORT_SERVER(name, c_name) \
    THEATER__IMPORT("http-framework", name) void theater__import_##c_name(uint64_t, void *)
THEATER__IMPORT_SERVER("get-server-info", get_server_info);
THEATER__IMPORT_SERVER("start-server", start_server);
THEATER__IMPORT_SERVER("stop-server", stop_server);
THEATER__IMPORT_SERVER("destroy-server", destroy_server);
THEATER__IMPORT_SERVER("remove-route", remove_route);
THEATER__IMPORT_SERVER("remove-middleware", remove_middleware);

THEATER__INTERNAL struct theater_outcome theater_create_server(
    const struct theater_server_config *config, uint64_t *server) {
    struct theater__number_area area;
    theater__import_create_server(
        config->has_port, config->port, config->host.data != NULL, config->host.data,
        config->host.size, config->cert_path.data != NULL, config->cert_path.data,
        config->cert_path.size, config->key_path.data, config->key_path.size, &area);
    return theater__number(&area, server);
}

THEATER__INTERNAL struct theater_outcome theater_get_server_info(uint64_t server,
                                                                 struct theater_server_info *info) {
    struct {
        uint8_t failed;
        union {
            struct theater_server_info info;
            struct theater_bytes error;
        } of;  // at 8
    } area;
    theater__import_get_server_info(server, &area);
    *info = area.failed ? (struct theater_server_info){0} : area.of.info;
    return area.failed ? (struct theater_outcome){.error = area.of.error}
                       : (struct theater_outcome){.ok = true};
}

// The port on which it listens.
THEATER__INTERNAL struct theater_outcome theater_start_server(uint64_t server, uint16_t *port) {
    struct theater__word_area area;
    theater__import_start_server(server, &area);
    *port = area.failed ? 0 : area.of.half;
    return theater__word(&area);
}

#define THEATER__SERVER_FUNCTION(c_name)                                         \
    THEATER__INTERNAL struct theater_outcome theater_##c_name(uint64_t number) { \
        struct theater__result_area area;                                        \
        theater__import_##c_name(number, &area);                                 \
        return theater__done(&area);                                             \
    }
THEATER__SERVER_FUNCTION(stop_server)
THEATER__SERVER_FUNCTION(destroy_server)
THEATER__SERVER_FUNCTION(remove_route)
THEATER__SERVER_FUNCTION(remove_middleware)

THEATER__INTERNAL struct theater_outcome theater__register_handler(struct theater_bytes name,
                                                                   uint64_t *handler) {
    struct theater__number_area area;
    theater__import_register_handler(name.data, name.size, &area);
    return theater__number(&area, handler);
}

THEATER__INTERNAL struct theater_outcome theater__add_route(uint64_t server,
                                                            struct theater_bytes path,
                                                            struct theater_bytes method,
                                                            uint64_t handler, uint64_t *route) {
    struct theater__number_area area;
    theater__import_add_route(server, path.data, path.size, method.data, method.size, handler,
                              &area);
    return theater__number(&area, route);
}

THEATER__INTERNAL struct theater_outcome theater__add_middleware(uint64_t server,
                                                                 struct theater_bytes path,
                                                                 uint64_t handler,
                                                                 uint64_t *middleware) {
    struct theater__number_area area;
    theater__import_add_middleware(server, path.data, path.size, handler, &area);
    return theater__number(&area, middleware);
}

// The handlers' functions get the number that this gives, and tell their routes apart by it.
#define theater_register_handler(name, handler) \
    theater__register_handler(theater_text(name), handler)
// Paths may hold parameters, "/items/{id}", and end in "/{*rest}"; the method may be "*".
#define theater_add_route(server, path, method, handler, route) \
    theater__add_route(server, theater_text(path), theater_text(method), handler, route)
// For all requests beneath the path, before their route.
#define theater_add_middleware(server, path, handler, middleware) \
    theater__add_middleware(server, theater_text(path), handler, middleware)

// ---- http-handlers -----------------------------------------------------------------------------

// What the handlers below give back; made by theater_http_reply … theater_http_error.
struct theater_http_result {
    struct theater_result result;  // the state, or the failure
    struct theater_http_response response;
    bool proceed;                         // of middleware
    struct theater_http_request request;  // of middleware: the request as the next one sees it
};

THEATER__INTERNAL struct theater_http_result theater_http_respond(
    struct theater_bytes state, const struct theater_http_response *response) {
    return (struct theater_http_result){.result = theater_ok(state), .response = *response};
}

THEATER__SHARED struct theater_http_result theater__http_reply(struct theater_bytes state,
                                                               uint16_t status,
                                                               struct theater_bytes type,
                                                               struct theater_bytes body) {
    struct theater_header *header = theater_alloc(sizeof *header);
    *header = (struct theater_header){theater_text("content-type"), type};
    return (struct theater_http_result){
        .result = theater_ok(state),
        .response = {status, header, type.data != NULL, body},
    };
}
// A response with a status, a content type and a body, each of which may be THEATER_NONE.
#define theater_http_reply(state, status, type, body) \
    theater__http_reply(state, status, theater_text(type), theater_text(body))

// Middleware: the request goes on, perhaps changed; or the caller gets an error of the server.
THEATER__INTERNAL struct theater_http_result theater_http_proceed(
    struct theater_bytes state, const struct theater_http_request *request) {
    return (struct theater_http_result){
        .result = theater_ok(state), .proceed = true, .request = *request};
}
THEATER__INTERNAL struct theater_http_result theater_http_stop(
    struct theater_bytes state, const struct theater_http_request *request) {
    return (struct theater_http_result){.result = theater_ok(state), .request = *request};
}

// The caller gets status 500 without this text.
#define theater_http_error(...) ((struct theater_http_result){.result = theater_error(__VA_ARGS__)})

struct theater__http_answer {
    uint8_t failed;
    union {
        struct {
            uint8_t has_state;
            struct theater_bytes state;  // at 8
            union {
                struct theater__http_response response;  // at 16
                struct {
                    uint8_t proceed;                       // at 16
                    struct theater__http_request request;  // at 20
                } middleware;
            } with;
        } ok;
        struct theater_bytes error;  // at 4
    } of;
};
_Static_assert(offsetof(struct theater__http_answer, of.ok.with.response) == 16, "canonical ABI");
_Static_assert(offsetof(struct theater__http_answer, of.ok.with.middleware.request) == 20,
               "canonical ABI");

THEATER__SHARED void *theater__http_answer(struct theater_http_result result, bool is_middleware) {
    struct theater__http_answer *answer = theater_alloc(sizeof *answer);
    __builtin_memset(answer, 0, sizeof *answer);
    answer->failed = !result.result.ok;
    if (!result.result.ok) {
        answer->of.error = result.result.error;
        return answer;
    }
    answer->of.ok.has_state = result.result.state.data != NULL;
    answer->of.ok.state = result.result.state;
    if (is_middleware) {
        answer->of.ok.with.middleware.proceed = result.proceed;
        answer->of.ok.with.middleware.request = (struct theater__http_request){
            result.request.method, result.request.uri, result.request.headers,
            result.request.header_count, theater__http_body(result.request.body)};
    } else {
        answer->of.ok.with.response = (struct theater__http_response){
            result.response.status, result.response.headers, result.response.header_count,
            theater__http_body(result.response.body)};
    }
    return answer;
}

#define THEATER__HTTP_PARAMETERS                                                                 \
    (THEATER__STATE_PARAMETERS, uint64_t handler, const uint8_t *a, size_t an, const uint8_t *b, \
     size_t bn, const struct theater_header *headers, size_t count, int c_present,               \
     const uint8_t *c, size_t cn)
#define THEATER__HTTP_CALL(fn)                                                                    \
    fn(THEATER__STATE_VALUE, handler,                                                             \
       &(struct theater_http_request){theater__parameter(1, a, an), theater__parameter(1, b, bn), \
                                      headers, count, theater__parameter(c_present, c, cn)})

// fn(struct theater_bytes state, uint64_t handler, const struct theater_http_request *request),
// which returns struct theater_http_result.
#define THEATER_HANDLE_HTTP_REQUEST(fn)                                                        \
    THEATER__EXPORT("http-handlers", "handle-request", http_request, THEATER__HTTP_PARAMETERS, \
                    theater__http_answer(THEATER__HTTP_CALL(fn), false))
#define THEATER_HANDLE_HTTP_MIDDLEWARE(fn)                                 \
    THEATER__EXPORT("http-handlers", "handle-middleware", http_middleware, \
                    THEATER__HTTP_PARAMETERS, theater__http_answer(THEATER__HTTP_CALL(fn), true))

#endif

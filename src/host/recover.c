// SPDX-License-Identifier: Apache-2.0
// An actor that came back with the node: its HTTP servers are made again, with the ids, routes,
// middleware and WebSocket paths that they had and on the ports that they had, from the recorded
// calls of http-framework. Its programs and the WebSocket connections ended with the node: it gets
// their handle-exit and handle-websocket-disconnect.
#include <signal.h>
#include <stdlib.h>

#include "codec/cbor.h"
#include "host/http_framework.h"
#include "host/wasi.h"
#include "io/pool.h"

// ---- reading a call ----------------------------------------------------------------------------

enum { ARGUMENTS_MOST = 5 };

struct call {
    struct slice name;
    struct slice args[ARGUMENTS_MOST];  // items, empty where there is none
    uint64_t given;                     // what the result holds, if that is a number
};

static uint64_t read_items(struct slice array, struct slice *items, uint64_t most) {
    struct cbor_reader reader = cbor_reader_of(array);
    uint64_t count = 0;
    for (uint64_t i = 0; i < most; i++) {
        items[i] = slice_of(NULL, 0);
    }
    if (array.size == 0 || cbor_peek(&reader) != CBOR_ARRAY ||
        cbor_read_array(&reader, &count, NULL) != OK) {
        return 0;
    }
    for (uint64_t i = 0; i < count && i < most; i++) {
        if (cbor_read_item(&reader, &items[i], NULL) != OK) {
            return 0;
        }
    }
    return count;
}

static struct slice read_text(struct slice item) {
    struct cbor_reader reader = cbor_reader_of(item);
    struct slice text = slice_of(NULL, 0);
    return item.size > 0 && cbor_read_text(&reader, &text, NULL) == OK ? text : slice_of(NULL, 0);
}

static uint64_t read_number(struct slice item) {
    struct cbor_reader reader = cbor_reader_of(item);
    uint64_t number = 0;
    return item.size > 0 && cbor_read_uint(&reader, &number, NULL) == OK ? number : 0;
}

// What an option holds; empty: it is none.
static struct slice read_option(struct slice item) {
    struct slice held;
    return read_items(item, &held, 1) == 1 ? held : slice_of(NULL, 0);
}

static bool read_call(struct slice recorded, struct call *call) {
    struct slice parts[3];
    if (read_items(recorded, parts, 3) != 3) {
        return false;
    }
    call->name = read_text(parts[0]);
    call->given = read_number(parts[2]);
    return read_items(parts[1], call->args, ARGUMENTS_MOST) > 0;
}

// ---- servers -----------------------------------------------------------------------------------

struct lost {
    struct actor *actor;  // a reference
    char *text;
};

static void report_lost(void *argument) {
    struct lost *lost = argument;
    actor_report_lost(lost->actor, lost->text);
    actor_unref(lost->actor);
    free(lost->text);
    free(lost);
}

// On the loop, which may not wait for the log.
static void server_is_back(struct web_server *server, enum status status,
                           const struct error *error) {
    const struct host_services *services = host_services(server->actor);
    if (status == OK || services->pool == NULL) {
        return;
    }
    struct buf text = {0};
    buf_format(&text, "HTTP server %llu cannot be brought back on port %u: %s",
               (unsigned long long)server->id, server->port, error->message);
    struct lost *lost = xcalloc(1, sizeof *lost);
    *lost = (struct lost){.actor = actor_ref(server->actor), .text = xstrdup(buf_text(&text))};
    buf_release(&text);
    io_pool_submit(services->pool, report_lost, lost);
}

// config: record{port, host, tls-config}
static void restore_server(struct actor *actor, const struct call *call) {
    struct slice config[3];
    struct slice pem[2];
    if (read_items(call->args[0], config, 3) != 3) {
        return;
    }
    struct web_address address = {.port = (uint16_t)read_number(read_option(config[0])),
                                  .host = read_text(read_option(config[1]))};
    if (read_items(read_option(config[2]), pem, 2) == 2) {
        address.certificate = read_text(pem[0]);
        address.key = read_text(pem[1]);
    }
    (void)web_restore_server(actor, call->given, &address);
}

static enum status restore_socket(struct actor *actor, struct web_server *server,
                                  const struct call *call, struct error *error) {
    struct slice connect = read_option(call->args[2]);
    struct slice disconnect = read_option(call->args[4]);
    const struct websocket_route route = {.server = server->id,
                                          .has_connect = connect.size > 0,
                                          .has_disconnect = disconnect.size > 0,
                                          .connect = read_number(connect),
                                          .message = read_number(call->args[3]),
                                          .disconnect = read_number(disconnect)};
    return web_restore_socket(actor, server, read_text(call->args[1]), &route, error);
}

// What was added to a server. A route that the bound of this node forbids stays away.
static enum status restore_part(struct actor *actor, struct web_server *server,
                                const struct call *call, struct error *error) {
    struct slice path = read_text(call->args[1]);
    const struct permissions *permissions = actor_permissions(actor);
    if (slice_equal_text(call->name, "http-framework.add-route")) {
        struct slice method = read_text(call->args[2]);
        return permissions_allow_route(permissions, method, path)
                   ? http_router_add(&server->router, call->given, path, method,
                                     read_number(call->args[3]), error)
                   : error_set(error, ERR_DENIED, "it is not permitted any more");
    }
    if (slice_equal_text(call->name, "http-framework.add-middleware")) {
        return http_router_add_prefix(&server->router, call->given, path,
                                      read_number(call->args[2]), error);
    }
    return permissions_allow_route(permissions, slice_text("GET"), path)
               ? restore_socket(actor, server, call, error)
               : error_set(error, ERR_DENIED, "it is not permitted any more");
}

static void restore_call(struct actor *actor, const struct call *call) {
    struct error error = {0};
    if (slice_equal_text(call->name, "http-framework.create-server")) {
        restore_server(actor, call);
        return;
    }
    struct web_server *server = web_find_server(actor, read_number(call->args[0]), &error);
    if (server == NULL || slice_equal_text(call->name, "http-framework.start-server")) {
        return;
    }
    if (restore_part(actor, server, call, &error) != OK) {
        struct buf text = {0};
        struct slice path = host_quote(read_text(call->args[1]));
        buf_format(&text, "%.*s of %.*s cannot be done again: %s", (int)call->name.size,
                   (const char *)call->name.data, (int)path.size, (const char *)path.data,
                   error.message);
        actor_report_lost(actor, buf_text(&text));
        buf_release(&text);
    }
}

// ---- what is gone ------------------------------------------------------------------------------

struct gone {
    struct actor_event event;
    uint64_t values[2];
};

static void fill(struct actor_event *event, struct arena *arena, struct value *tuple) {
    const struct gone *gone = CONTAINER_OF(event, struct gone, event);
    (void)arena;
    tuple[0] = (struct value){.bits = gone->values[0]};
    tuple[1] = (struct value){.bits = gone->values[1]};
}

static void settled(struct actor_event *event, enum status status, const struct value *answer,
                    struct slice text) {
    (void)status;
    (void)answer;
    (void)text;
    free(CONTAINER_OF(event, struct gone, event));
}

static void tell(struct actor *actor, enum actor_event_kind kind, uint64_t first, uint64_t second) {
    struct gone *gone = xcalloc(1, sizeof *gone);
    *gone = (struct gone){.event = {.kind = kind,
                                    .instance = actor_instance_number(actor),
                                    .is_reserved = true,
                                    .fill = fill,
                                    .settled = settled},
                          .values = {first, second}};
    struct error error = {0};
    if (actor_deliver(actor, &gone->event, &error) != OK) {
        free(gone);
    }
}

// Whom the end of the connection is for, by the path whose handler had its last event.
static uint64_t find_disconnect(const struct actor_remains *remains,
                                const struct actor_gone *gone) {
    for (size_t i = 0; i < remains->call_count; i++) {
        struct call call;
        if (!read_call(remains->calls[i], &call) ||
            !slice_equal_text(call.name, "http-framework.enable-websocket")) {
            continue;
        }
        uint64_t handler = read_number(gone->is_message ? call.args[3] : read_option(call.args[2]));
        if (handler == gone->handler) {
            return read_number(read_option(call.args[4]));
        }
    }
    return 0;
}

static void tell_gone(struct actor *actor, const struct actor_remains *remains,
                      const struct actor_gone *gone) {
    if (gone->is_process) {
        tell(actor, ACTOR_PROCESS_EXIT, gone->id, (uint64_t) - (int64_t)SIGKILL);
        return;
    }
    uint64_t handler = find_disconnect(remains, gone);
    if (handler != 0) {
        tell(actor, ACTOR_WEBSOCKET_DISCONNECT, handler, gone->id);
    }
}

// ---- the whole ---------------------------------------------------------------------------------

// When all of it is there again.
static void start_servers(struct actor *actor, const struct actor_remains *remains) {
    const struct host_services *services = host_services(actor);
    for (size_t i = 0; i < remains->call_count; i++) {
        struct call call;
        struct error error = {0};
        if (!read_call(remains->calls[i], &call) ||
            !slice_equal_text(call.name, "http-framework.start-server")) {
            continue;
        }
        struct web_server *server = web_find_server(actor, read_number(call.args[0]), &error);
        if (server != NULL && services->loop != NULL && services->http != NULL) {
            web_restore_start(actor, server, (uint16_t)call.given, server_is_back);
        }
    }
}

void host_came_back(struct actor *actor, const struct actor_remains *remains) {
    if (remains->process != 0) {
        host_state_of(actor)->last_child = remains->process;
    }
    if (remains->server != 0 || remains->handler != 0) {
        struct web *web = web_of(actor);
        web->next_server = remains->server;
        web->next_route = remains->route;
        web->next_middleware = remains->middleware;
        web->handler_count = (uint32_t)remains->handler;
    }
    if (remains->connection != 0) {
        websockets_count_from(websockets_of(actor), (uint32_t)remains->connection);
    }
    for (size_t i = 0; i < remains->call_count; i++) {
        struct call call;
        if (read_call(remains->calls[i], &call)) {
            restore_call(actor, &call);
        }
    }
    start_servers(actor, remains);
    for (size_t i = 0; i < remains->gone_count; i++) {
        tell_gone(actor, remains, &remains->gone[i]);
    }
}

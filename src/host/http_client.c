// SPDX-License-Identifier: Apache-2.0
// theater:simple/http-client: one request, its redirects followed, and the whole response. The
// exchange is a job: recorded, then done on the event loop while the actor is parked.
#include <stdlib.h>

#include "codec/utf8.h"
#include "host/http.h"

struct exchange {
    struct actor_job job;
    struct io_http_client *client;
    struct io_http_transfer *transfer;      // keeps; NULL before it was made
    const struct permissions *permissions;  // last as long as the job is under way
};

static struct exchange *exchange_of(struct actor_job *job) {
    return CONTAINER_OF(job, struct exchange, job);
}

enum status host_http_permit(const struct permissions *permissions, struct slice method,
                             const struct io_url *url, struct error *error) {
    if (permissions_allow_http(permissions, method, url->host, url->port)) {
        return OK;
    }
    return error_set(error, ERR_DENIED, "%.*s to %.*s", (int)method.size, (const char *)method.data,
                     (int)url->origin.size, (const char *)url->origin.data);
}

// On the loop's thread.
static enum status permit_hop(void *context, struct slice method, const struct io_url *url,
                              struct error *error) {
    const struct exchange *exchange = context;
    return host_http_permit(exchange->permissions, method, url, error);
}

static void exchange_done(void *context, struct io_http_transfer *transfer) {
    (void)transfer;
    struct exchange *exchange = context;
    actor_job_done(&exchange->job);
}

static void begin(struct actor_job *job) {
    io_http_start(exchange_of(job)->client, exchange_of(job)->transfer);
}

static void cancel(struct actor_job *job) {
    io_http_cancel(exchange_of(job)->transfer);
}

static void release(struct actor_job *job) {
    struct exchange *exchange = exchange_of(job);
    if (exchange->transfer != NULL) {
        io_http_transfer_unref(exchange->transfer);
    }
    free(exchange);
}

// ---- the response
// --------------------------------------------------------------------------------

// Names in lower case, since they mean the same in any.
static bool copy_name(struct component_call *call, struct slice name, struct value *out) {
    uint8_t *copy = host_alloc(call, name.size, 1);
    if (copy == NULL) {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.data[i];
        copy[i] = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
    }
    *out = (struct value){.bytes = copy, .count = (uint32_t)name.size};
    return true;
}

// A value that is not UTF-8 is taken for Latin-1, as it once was by definition.
static bool copy_value(struct component_call *call, struct slice value, struct value *out) {
    if (utf8_is_valid(value)) {
        return host_copy(call, value, out);
    }
    uint8_t *copy = host_alloc(call, 2 * value.size, 1);
    if (copy == NULL) {
        return false;
    }
    size_t size = 0;
    for (size_t i = 0; i < value.size; i++) {
        size += utf8_encode(value.data[i], copy + size);
    }
    *out = (struct value){.bytes = copy, .count = (uint32_t)size};
    return true;
}

static bool give_headers(struct component_call *call, const struct io_http_response *response,
                         struct value *list) {
    uint32_t count = response->header_count;
    struct value *items = host_alloc(call, count, 3 * sizeof *items);
    if (items == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct value *pair = &items[count + 2 * (size_t)i];
        if (!copy_name(call, response->headers[i].name, &pair[0]) ||
            !copy_value(call, response->headers[i].value, &pair[1])) {
            return false;
        }
        items[i] = (struct value){.items = pair, .count = 2};
    }
    *list = (struct value){.items = items, .count = count};
    return true;
}

static bool give_response(struct component_call *call, const struct io_http_response *response,
                          struct value *result) {
    struct value *fields = host_alloc(call, 4, sizeof *fields);
    if (fields == NULL || !give_headers(call, response, &fields[1]) ||
        !host_copy(call, response->body, &fields[3])) {
        return false;
    }
    fields[0] = (struct value){.bits = response->status};
    fields[2] = (struct value){.items = &fields[3], .which = 1};
    return host_ok_value(call, (struct value){.items = fields, .count = 3}, result);
}

// ---- the call
// ------------------------------------------------------------------------------------

// Of header fields, in the event of a leg.
enum { FIELDS_ROOM_BYTES = 1024 * 1024 };

// What the policy permits, as long as the call and its event have room for it, and for header
// fields beside it.
static uint64_t response_limit(struct component_call *call, const struct permissions *permissions) {
    const struct arena *arena = component_call_arena(call);
    uint64_t room = (arena->limit_bytes - arena->used_bytes) / 8 * 7;
    uint64_t most = permissions->http_client.max_response_bytes;
    room = room < ACTOR_LEG_CALLS_MOST_BYTES - FIELDS_ROOM_BYTES
               ? room
               : ACTOR_LEG_CALLS_MOST_BYTES - FIELDS_ROOM_BYTES;
    return most < room ? most : room;
}

// Makes the transfer, and refuses at once what is not permitted or no request.
static enum status prepare(struct component_call *call, const struct value *request,
                           struct exchange *exchange, struct error *error) {
    struct actor *self = host_self(call);
    const struct permissions *permissions = exchange->permissions;
    uint32_t count = request[2].count;
    struct io_http_header *headers = host_alloc(call, count, sizeof *headers);
    if (headers == NULL) {
        return ERR_TRAP;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct value *pair = request[2].items[i].items;
        headers[i] = (struct io_http_header){host_bytes(&pair[0]), host_bytes(&pair[1])};
    }
    struct io_http_ask ask = {.method = host_bytes(&request[0]),
                              .url = host_bytes(&request[1]),
                              .headers = headers,
                              .header_count = count,
                              .max_redirects = (uint32_t)permissions->http_client.max_redirects,
                              .most_response_bytes = response_limit(call, permissions),
                              .timeout_ms = permissions->http_client.timeout_ms,
                              .context = exchange,
                              .permit = permit_hop,
                              .done = exchange_done};
    if (request[3].which == 1) {
        ask.body = bytes_copy(host_bytes(request[3].items));
    }
    enum status status = io_http_transfer_new(&ask, &exchange->transfer, error);
    bytes_unref(ask.body);
    struct error denied = {0};
    if (status == OK && host_http_permit(permissions, io_http_transfer_method(exchange->transfer),
                                         io_http_transfer_url(exchange->transfer), &denied) != OK) {
        status = actor_denied(self, PERMISSION_HTTP_CLIENT, error, "%s", denied.message);
    }
    return status;
}

static bool run(struct component_call *call, const struct value *request, struct exchange *exchange,
                struct value *result) {
    struct actor *self = host_self(call);
    struct error error = {0};
    enum status status = prepare(call, request, exchange, &error);
    if (status == ERR_TRAP) {
        return false;
    }
    if (status == OK) {
        status = actor_run_job(self, &exchange->job, &error);
    }
    if (status != OK) {
        return host_fail(call, &error, result);
    }
    enum io_http_failure failure = io_http_failure(exchange->transfer);
    if (failure == IO_HTTP_DENIED) {
        actor_denied(self, PERMISSION_HTTP_CLIENT, &error, "redirect: %s",
                     io_http_error(exchange->transfer)->message);
        return host_fail(call, &error, result);
    }
    return failure == IO_HTTP_NONE
               ? give_response(call, io_http_response(exchange->transfer), result)
               : host_fail(call, io_http_error(exchange->transfer), result);
}

static bool send_http(struct component_call *call, const struct value *args, struct value *result) {
    struct actor *self = host_self(call);
    const struct host_services *services = host_services(self);
    if (services == NULL || services->http_client == NULL) {
        struct error error = {0};
        error_set(&error, ERR_UNSUPPORTED, "this node has no HTTP client");
        return host_fail(call, &error, result);
    }
    struct exchange *exchange = xcalloc(1, sizeof *exchange);
    actor_job_init(&exchange->job, NULL, release);
    exchange->job.begin = begin;
    exchange->job.cancel = cancel;
    exchange->client = services->http_client;
    exchange->permissions = actor_permissions(self);
    bool good = run(call, args[0].items, exchange, result);
    actor_job_unref(&exchange->job);
    return good;
}

#define FIELDS "list<tuple<string, string>>, body: option<list<u8>>"

static const struct host_function functions[] = {
    {"send-http",
     "http-client.send-http",
     send_http,
     {"func(record{method: string, uri: string, headers: " FIELDS
      "}) -> result<record{status: u16, headers: " FIELDS "}, string>"}},
};
const struct host_interface host_http_client = {"http-client", functions, COUNT_OF(functions)};

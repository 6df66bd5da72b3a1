// SPDX-License-Identifier: Apache-2.0
// theater:simple/http-framework: an actor's HTTP servers, as the actor sees them. What happens on
// the network is io/http_server.h, what a request becomes is http_handlers.c.
//
// Starting and stopping happen on the loop: the call waits as a job, which is recorded before and
// after. All other functions change what the actor has in memory.
#include "host/http_framework.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "host/wasi.h"

enum { PEM_MOST_BYTES = 1024 * 1024 };

// ---- servers
// -------------------------------------------------------------------------------------

struct web_server *web_server_ref(struct web_server *server) {
    atomic_fetch_add_explicit(&server->references, 1, memory_order_relaxed);
    return server;
}

void web_server_unref(struct web_server *server) {
    // Release and acquire: whoever frees comes after all other uses.
    if (atomic_fetch_sub_explicit(&server->references, 1, memory_order_acq_rel) == 1) {
        http_router_release(&server->router);
        web_sockets_release(&server->sockets);
        pthread_mutex_destroy(&server->lock);
        actor_unref(server->actor);
        free(server->host);
        free(server->certificate);
        free(server->key);
        free(server);
    }
}

struct web *web_of(struct actor *self) {
    struct host_state *state = host_state_of(self);
    if (state->web == NULL) {
        state->web = xcalloc(1, sizeof *state->web);
    }
    return state->web;
}

// On the loop. What listens has a reference of its own, which `stopped` gives back.
static void stop_listening(struct web_server *server) {
    if (server->running != NULL) {
        struct http_server *running = server->running;
        server->running = NULL;
        http_server_stop(running);
        web_close_sockets(server);
    }
}

static void run_end(struct io_post *post) {
    struct web_server *server = CONTAINER_OF(post, struct web_server, end);
    server->is_over = true;
    stop_listening(server);
    web_server_unref(server);
}

// Takes the reference. The server takes no requests any more; those under way get their answers.
static void end_server(struct web_server *server) {
    server->end.run = run_end;
    io_loop_post(server->loop, &server->end);
}

void web_release(struct web *web) {
    for (uint32_t i = 0; web != NULL && i < WEB_SERVERS_MOST; i++) {
        if (web->servers[i] != NULL) {
            end_server(web->servers[i]);
        }
    }
    free(web);
}

static struct web_server **find_slot(struct actor *self, uint64_t id) {
    struct web *web = web_of(self);
    for (uint32_t i = 0; i < WEB_SERVERS_MOST; i++) {
        if (web->servers[i] != NULL && web->servers[i]->id == id) {
            return &web->servers[i];
        }
    }
    return NULL;
}

struct web_server *web_find_server(struct actor *self, uint64_t id, struct error *error) {
    struct web_server **slot = find_slot(self, id);
    if (slot == NULL) {
        error_set(error, ERR_NOT_FOUND, "Server not found: %llu", (unsigned long long)id);
        return NULL;
    }
    return *slot;
}

bool web_has_handler(struct actor *self, uint64_t id, struct error *error) {
    bool found = id >= 1 && id <= web_of(self)->handler_count;
    if (!found) {
        error_set(error, ERR_NOT_FOUND, "Handler not found: %llu", (unsigned long long)id);
    }
    return found;
}

// ---- create-server
// -------------------------------------------------------------------------------

static char *text_copy(const struct value *text) {
    return xstrndup(text->bytes, text->count);
}

static bool has_nul(const struct value *text) {
    return text->count > 0 && memchr(text->bytes, 0, text->count) != NULL;
}

static struct http_server_limits limits_of(struct actor *self) {
    struct http_server_limits limits;
    http_server_default_limits(&limits);
    limits.request.body_bytes = actor_permissions(self)->http_framework.max_request_bytes;
    const struct manifest_handler *handler =
        manifest_find_handler(actor_manifest(self), HANDLER_HTTP_FRAMEWORK);
    if (handler != NULL) {
        limits.connections = (uint32_t)handler->http_framework.max_connections;
        limits.header_timeout_ms = (uint32_t)handler->http_framework.header_timeout;
        limits.body_timeout_ms = (uint32_t)handler->http_framework.body_timeout;
        limits.idle_timeout_ms = (uint32_t)handler->http_framework.idle_timeout;
        limits.write_timeout_ms = (uint32_t)handler->http_framework.write_timeout;
    }
    return limits;
}

// Whether what it was given can be a server. The address itself is looked at when it is started.
static enum status check_config(const struct value *config, struct error *error) {
    const struct value *host = config->items[1].which == 1 ? config->items[1].items : NULL;
    const struct value *tls = config->items[2].which == 1 ? config->items[2].items : NULL;
    if (host != NULL && (host->count == 0 || host->count > 255 || has_nul(host))) {
        return error_set(error, ERR_INVALID, "Invalid host: it is empty, too long or no text");
    }
    for (uint32_t i = 0; tls != NULL && i < 2; i++) {
        const struct value *path = &tls->items[i];
        if (path->count == 0 || path->count > 4096 || has_nul(path)) {
            return error_set(error, ERR_INVALID,
                             "Invalid TLS configuration: %s is empty, too long or no path",
                             i == 0 ? "cert-path" : "key-path");
        }
    }
    return OK;
}

static struct web_server *new_server(struct actor *self, uint64_t id) {
    struct web_server *server = xcalloc(1, sizeof *server);
    atomic_init(&server->references, 1);
    pthread_mutex_init(&server->lock, NULL);
    server->id = id;
    server->actor = actor_ref(self);
    server->instance = actor_instance_number(self);
    server->loop = host_services(self)->loop;
    server->limits = limits_of(self);
    return server;
}

// config: record{port, host, tls-config}
static enum status create(struct actor *self, const struct value *config, uint64_t *id,
                          struct error *error) {
    struct web *web = web_of(self);
    uint32_t slot = 0;
    while (slot < WEB_SERVERS_MOST && web->servers[slot] != NULL) {
        slot++;
    }
    if (slot == WEB_SERVERS_MOST) {
        return error_set(error, ERR_LIMIT, "an actor has at most %d HTTP servers",
                         WEB_SERVERS_MOST);
    }
    enum status status = check_config(config, error);
    if (status != OK) {
        return status;
    }
    const struct value *fields = config->items;
    struct web_server *server = new_server(self, ++web->next_server);
    server->port = fields[0].which == 1 ? (uint16_t)fields[0].items->bits : 0;
    server->host = fields[1].which == 1 ? text_copy(fields[1].items) : xstrdup("127.0.0.1");
    if (fields[2].which == 1) {
        server->certificate = text_copy(&fields[2].items->items[0]);
        server->key = text_copy(&fields[2].items->items[1]);
    }
    web->servers[slot] = server;
    *id = server->id;
    return OK;
}

struct web_server *web_restore_server(struct actor *self, uint64_t id,
                                      const struct web_address *address) {
    struct web *web = web_of(self);
    uint32_t slot = 0;
    while (slot < WEB_SERVERS_MOST && web->servers[slot] != NULL) {
        slot++;
    }
    if (slot == WEB_SERVERS_MOST) {
        return NULL;
    }
    struct web_server *server = new_server(self, id);
    server->port = address->port;
    server->host = address->host.size > 0 ? xstrndup(address->host.data, address->host.size)
                                          : xstrdup("127.0.0.1");
    if (address->certificate.size > 0) {
        server->certificate = xstrndup(address->certificate.data, address->certificate.size);
        server->key = xstrndup(address->key.data, address->key.size);
    }
    web->servers[slot] = server;
    return server;
}

static bool answer_id(struct component_call *call, enum status status, uint64_t id,
                      const struct error *error, struct value *result) {
    return status == OK ? host_ok_value(call, (struct value){.bits = id}, result)
                        : host_fail(call, error, result);
}

static bool create_server(struct component_call *call, const struct value *args,
                          struct value *result) {
    struct error error = {0};
    uint64_t id = 0;
    enum status status = create(host_self(call), &args[0], &id, &error);
    return answer_id(call, status, id, &error, result);
}

static bool get_server_info(struct component_call *call, const struct value *args,
                            struct value *result) {
    struct error error = {0};
    struct web_server *server = web_find_server(host_self(call), args[0].bits, &error);
    if (server == NULL) {
        return host_fail(call, &error, result);
    }
    struct value *fields = host_alloc(call, 7, sizeof *fields);
    if (fields == NULL || !host_copy(call, slice_text(server->host), &fields[2])) {
        return false;
    }
    fields[0].bits = server->id;
    fields[1].bits = server->is_started ? server->bound_port : server->port;
    fields[3].bits = server->is_started;
    pthread_mutex_lock(&server->lock);
    fields[4].bits = server->router.route_count;
    fields[5].bits = server->router.prefix_count;
    fields[6].bits = server->sockets.router.route_count > 0;
    pthread_mutex_unlock(&server->lock);
    return host_ok_value(call, (struct value){.items = fields, .count = 7}, result);
}

// ---- start-server, stop-server
// -------------------------------------------------------------------

struct server_job {
    struct actor_job job;
    struct io_post post;
    uv_work_t load;
    struct web_server *server;  // a reference
    struct http_common *common;
    const struct manifest *manifest;  // the actor's, which the server refers to
    bool may_read_anywhere;           // the paths are under folders that the actor may read
    void (*restored)(struct web_server *server, enum status status, const struct error *error);
    struct io_tls *tls;
    // results
    uint16_t port;
};

static void release_job(struct actor_job *actor_job) {
    struct server_job *job = CONTAINER_OF(actor_job, struct server_job, job);
    io_tls_unref(job->tls);
    web_server_unref(job->server);
    free(job);
}

static struct server_job *new_job(struct actor *self, struct web_server *server,
                                  void (*run)(struct io_post *post),
                                  void (*begin)(struct actor_job *job)) {
    struct server_job *job = xcalloc(1, sizeof *job);
    actor_job_init(&job->job, NULL, release_job);
    job->job.begin = begin;
    job->post.run = run;
    job->server = web_server_ref(server);
    job->common = host_services(self)->http;
    job->manifest = actor_manifest(self);
    return job;
}

static void begin_job(struct actor_job *actor_job) {
    struct server_job *job = CONTAINER_OF(actor_job, struct server_job, job);
    io_loop_post(job->server->loop, &job->post);
}

// The server listens no more, and its last connection is gone.
static void stopped(void *context) {
    web_server_unref(context);
}

// Nobody waits for a server that is made again.
static void finish_job(struct server_job *job) {
    if (job->restored == NULL) {
        actor_job_done(&job->job);
        return;
    }
    job->restored(job->server, job->job.status, &job->job.error);
    actor_job_unref(&job->job);
}

static void listen_now(struct server_job *job) {
    struct web_server *server = job->server;
    struct http_server_config config = {.common = job->common,
                                        .host = server->host,
                                        .port = server->port,
                                        .tls = job->tls,
                                        .limits = server->limits,
                                        .request = web_on_request,
                                        .closed = stopped,
                                        .context = server};
    if (job->job.status == OK && (server->is_over || server->running != NULL)) {
        job->job.status =
            error_set(&job->job.error, ERR_CLOSED, "the server was stopped meanwhile");
    }
    if (job->job.status == OK) {
        job->job.status = http_server_start(&config, &server->running, &job->port, &job->job.error);
        if (job->job.status == OK) {
            web_server_ref(server);
        } else {
            error_context(&job->job.error, "Failed to start server");
        }
    }
    finish_job(job);
}

static enum status read_pem(const struct server_job *job, const char *path, struct bytes **out,
                            struct error *error) {
    const struct manifest *manifest = job->manifest;
    const char *confined_to = manifest->confined_to != NULL ? manifest->confined_to
                              : job->may_read_anywhere      ? NULL
                                                            : manifest->folder;
    return manifest_file_resolver.read(manifest_file_resolver.context, manifest->folder,
                                       confined_to, path, PEM_MOST_BYTES, out, error);
}

// On a thread that may block, with a stack for OpenSSL.
static void load_tls(uv_work_t *work) {
    struct server_job *job = CONTAINER_OF(work, struct server_job, load);
    struct bytes *certificate = NULL, *key = NULL;
    job->job.status = read_pem(job, job->server->certificate, &certificate, &job->job.error);
    if (job->job.status == OK) {
        job->job.status = read_pem(job, job->server->key, &key, &job->job.error);
    }
    if (job->job.status == OK) {
        job->job.status =
            io_tls_new(bytes_slice(certificate), bytes_slice(key), &job->tls, &job->job.error);
    }
    if (job->job.status != OK) {
        error_context(&job->job.error, "Invalid TLS configuration");
    }
    bytes_unref(certificate);
    bytes_unref(key);
}

static void tls_loaded(uv_work_t *work, int code) {
    struct server_job *job = CONTAINER_OF(work, struct server_job, load);
    if (code != 0) {
        job->job.status = error_set(&job->job.error, ERR_STOPPING, "the node is being stopped");
    }
    listen_now(job);
}

static void run_start(struct io_post *post) {
    struct server_job *job = CONTAINER_OF(post, struct server_job, post);
    struct uv_loop_s *loop = io_loop_uv(job->server->loop);
    if (job->server->certificate == NULL ||
        uv_queue_work(loop, &job->load, load_tls, tls_loaded) != 0) {
        listen_now(job);
    }
}

static void run_stop(struct io_post *post) {
    struct server_job *job = CONTAINER_OF(post, struct server_job, post);
    stop_listening(job->server);
    actor_job_done(&job->job);
}

// Whether the certificate and the key are in folders that the actor was granted.
static bool may_read_pem(struct actor *self, const struct web_server *server) {
    const struct permissions *permissions = actor_permissions(self);
    return server->certificate != NULL && permissions->allowed[PERMISSION_FILE_SYSTEM] &&
           permissions->file_system.read &&
           permissions_allow_path(permissions, slice_text(server->certificate)) &&
           permissions_allow_path(permissions, slice_text(server->key));
}

static enum status start(struct actor *self, struct web_server *server, struct error *error) {
    if (server->is_started) {
        return error_set(error, ERR_EXISTS, "the server is running already, on port %u",
                         server->bound_port);
    }
    if (server->loop == NULL || host_services(self)->http == NULL) {
        return error_set(error, ERR_UNSUPPORTED, "this node serves no HTTP");
    }
    struct server_job *job = new_job(self, server, run_start, begin_job);
    job->may_read_anywhere = may_read_pem(self, server);
    enum status status = actor_run_job(self, &job->job, error);
    server->is_started = status == OK;
    server->bound_port = status == OK ? job->port : 0;
    actor_job_unref(&job->job);
    return status;
}

void web_restore_start(struct actor *self, struct web_server *server, uint16_t port,
                       void (*restored)(struct web_server *server, enum status status,
                                        const struct error *error)) {
    server->port = port;
    server->is_started = true;
    server->bound_port = port;
    struct server_job *job = new_job(self, server, run_start, begin_job);
    job->may_read_anywhere = may_read_pem(self, server);
    job->restored = restored;
    begin_job(&job->job);
}

static enum status stop(struct actor *self, struct web_server *server, struct error *error) {
    if (!server->is_started) {
        return error_set(error, ERR_INVALID, "the server is not running");
    }
    struct server_job *job = new_job(self, server, run_stop, begin_job);
    enum status status = actor_run_job(self, &job->job, error);
    server->is_started = status != OK;
    actor_job_unref(&job->job);
    return status;
}

static bool start_server(struct component_call *call, const struct value *args,
                         struct value *result) {
    struct error error = {0};
    struct actor *self = host_self(call);
    struct web_server *server = web_find_server(self, args[0].bits, &error);
    enum status status = server != NULL ? start(self, server, &error) : error.code;
    return answer_id(call, status, status == OK ? server->bound_port : 0, &error, result);
}

static bool stop_server(struct component_call *call, const struct value *args,
                        struct value *result) {
    struct error error = {0};
    struct actor *self = host_self(call);
    struct web_server *server = web_find_server(self, args[0].bits, &error);
    enum status status = server != NULL ? stop(self, server, &error) : error.code;
    return host_done(call, status, &error, result);
}

static bool destroy_server(struct component_call *call, const struct value *args,
                           struct value *result) {
    struct error error = {0};
    struct actor *self = host_self(call);
    struct web_server **slot = find_slot(self, args[0].bits);
    struct web_server *server = web_find_server(self, args[0].bits, &error);
    enum status status = server == NULL ? error.code : OK;
    if (status == OK && server->is_started) {
        status = stop(self, server, &error);
    }
    if (status == OK) {
        *slot = NULL;
        end_server(server);
    }
    return host_done(call, status, &error, result);
}

// ---- handlers, routes, middleware
// ----------------------------------------------------------------

static bool register_handler(struct component_call *call, const struct value *args,
                             struct value *result) {
    struct error error = {0};
    struct web *web = web_of(host_self(call));
    enum status status = OK;
    if (args[0].count == 0) {
        status = error_set(&error, ERR_INVALID, "Handler name cannot be empty");
    } else if (web->handler_count == WEB_HANDLERS_MOST) {
        status =
            error_set(&error, ERR_LIMIT, "an actor has at most %d handlers", WEB_HANDLERS_MOST);
    } else {
        web->handler_count++;
    }
    return answer_id(call, status, web->handler_count, &error, result);
}

static enum status check_export(struct actor *self, enum actor_event_kind kind, const char *name,
                                struct error *error) {
    return actor_handles(self, kind)
               ? OK
               : error_set(error, ERR_UNSUPPORTED,
                           "the component does not export theater:simple/http-handlers.%s", name);
}

// args: server, path, method, handler
static enum status add_route_to(struct actor *self, const struct value *args, uint64_t *id,
                                struct error *error) {
    struct slice path = host_bytes(&args[1]);
    struct slice method = host_bytes(&args[2]);
    struct web_server *server = web_find_server(self, args[0].bits, error);
    if (server == NULL || !web_has_handler(self, args[3].bits, error)) {
        return error->code;
    }
    enum status status = check_export(self, ACTOR_HTTP_REQUEST, "handle-request", error);
    if (status != OK) {
        return status;
    }
    *id = web_of(self)->next_route + 1;
    pthread_mutex_lock(&server->lock);
    status = http_router_add(&server->router, *id, path, method, args[3].bits, error);
    pthread_mutex_unlock(&server->lock);
    if (status == OK && !permissions_allow_route(actor_permissions(self), method, path)) {
        pthread_mutex_lock(&server->lock);
        (void)http_router_remove(&server->router, *id);
        pthread_mutex_unlock(&server->lock);
        status = actor_denied(self, PERMISSION_HTTP_FRAMEWORK, error, "route %.*s %.*s",
                              (int)method.size, (const char *)method.data,
                              (int)(path.size < 200 ? path.size : 200), (const char *)path.data);
    }
    if (status == OK) {
        web_of(self)->next_route = *id;
    }
    return status;
}

static bool add_route(struct component_call *call, const struct value *args, struct value *result) {
    struct error error = {0};
    uint64_t id = 0;
    enum status status = add_route_to(host_self(call), args, &id, &error);
    return answer_id(call, status, id, &error, result);
}

// Of whichever server it is.
static bool remove_by(struct component_call *call, uint64_t id, const char *what,
                      bool (*remove)(struct http_router *router, uint64_t id),
                      struct value *result) {
    struct error error = {0};
    struct web *web = web_of(host_self(call));
    bool found = false;
    for (uint32_t i = 0; i < WEB_SERVERS_MOST && !found; i++) {
        struct web_server *server = web->servers[i];
        if (server != NULL) {
            pthread_mutex_lock(&server->lock);
            found = remove(&server->router, id);
            pthread_mutex_unlock(&server->lock);
        }
    }
    enum status status = found ? OK
                               : error_set(&error, ERR_NOT_FOUND, "%s not found: %llu", what,
                                           (unsigned long long)id);
    return host_done(call, status, &error, result);
}

static bool remove_route(struct component_call *call, const struct value *args,
                         struct value *result) {
    return remove_by(call, args[0].bits, "Route", http_router_remove, result);
}

static bool add_middleware(struct component_call *call, const struct value *args,
                           struct value *result) {
    struct error error = {0};
    struct actor *self = host_self(call);
    struct web *web = web_of(self);
    uint64_t id = web->next_middleware + 1;
    struct web_server *server = web_find_server(self, args[0].bits, &error);
    enum status status =
        server == NULL || !web_has_handler(self, args[2].bits, &error)
            ? error.code
            : check_export(self, ACTOR_HTTP_MIDDLEWARE, "handle-middleware", &error);
    if (status == OK) {
        pthread_mutex_lock(&server->lock);
        status =
            http_router_add_prefix(&server->router, id, host_bytes(&args[1]), args[2].bits, &error);
        pthread_mutex_unlock(&server->lock);
    }
    web->next_middleware = status == OK ? id : web->next_middleware;
    return answer_id(call, status, id, &error, result);
}

static bool remove_middleware(struct component_call *call, const struct value *args,
                              struct value *result) {
    return remove_by(call, args[0].bits, "Middleware", http_router_remove_prefix, result);
}

#define TLS_CONFIG "record{cert-path: string, key-path: string}"
#define SERVER_CONFIG \
    "record{port: option<u16>, host: option<string>, tls-config: option<" TLS_CONFIG ">}"
#define SERVER_INFO                                                               \
    "record{id: u64, port: u16, host: string, running: bool, routes-count: u32, " \
    "middleware-count: u32, websocket-enabled: bool}"

static const struct host_function functions[] = {
    {"create-server",
     "http-framework.create-server",
     create_server,
     {"func(" SERVER_CONFIG ") -> result<u64, string>"}},
    {"get-server-info",
     "http-framework.get-server-info",
     get_server_info,
     {"func(u64) -> result<" SERVER_INFO ", string>"}},
    {"start-server",
     "http-framework.start-server",
     start_server,
     {"func(u64) -> result<u16, string>"}},
    {"stop-server", "http-framework.stop-server", stop_server, {"func(u64) -> result<_, string>"}},
    {"destroy-server",
     "http-framework.destroy-server",
     destroy_server,
     {"func(u64) -> result<_, string>"}},
    {"register-handler",
     "http-framework.register-handler",
     register_handler,
     {"func(string) -> result<u64, string>"}},
    {"add-route",
     "http-framework.add-route",
     add_route,
     {"func(u64, string, string, u64) -> result<u64, string>"}},
    {"remove-route",
     "http-framework.remove-route",
     remove_route,
     {"func(u64) -> result<_, string>"}},
    {"add-middleware",
     "http-framework.add-middleware",
     add_middleware,
     {"func(u64, string, u64) -> result<u64, string>"}},
    {"remove-middleware",
     "http-framework.remove-middleware",
     remove_middleware,
     {"func(u64) -> result<_, string>"}},
};
const struct host_interface host_http_framework = {"http-framework", functions,
                                                   COUNT_OF(functions)};

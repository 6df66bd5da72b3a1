// SPDX-License-Identifier: Apache-2.0
// The client and its transfers: who may go now, who waits, and how each ends.
//
// A transfer takes room (of the client, and of its host) for each hop. Where there is none it waits
// in its host's queue; hosts with a waiting transfer and room take turns, so that a slow one holds
// up only itself.
#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/compat.h"
#include "io/http_internal.h"

enum { TRANSFERS_LEAST = 16, TRANSFERS_MOST = 4096, HANDLES_PER_TRANSFER = 8 };

static void begin_hop(struct io_http_transfer *transfer);

// ---- references
// ----------------------------------------------------------------------------------

static void client_unref(struct io_http_client *client) {
    // Acquire and release: whoever frees it sees what the others did.
    if (atomic_fetch_sub_explicit(&client->references, 1, memory_order_acq_rel) == 1) {
        free(client->certificate_file);
        free(client->certificate_folder);
        map_release(&client->hosts);
        free(client);
    }
}

struct io_http_transfer *io_http_transfer_ref(struct io_http_transfer *transfer) {
    atomic_fetch_add_explicit(&transfer->references, 1, memory_order_relaxed);
    return transfer;
}

void io_http_transfer_unref(struct io_http_transfer *transfer) {
    if (atomic_fetch_sub_explicit(&transfer->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (transfer->client != NULL) {
        atomic_fetch_sub_explicit(&transfer->client->response_bytes, transfer->body_in.size,
                                  memory_order_relaxed);
        client_unref(transfer->client);
    }
    buf_release(&transfer->method);
    io_url_release(&transfer->url);
    bytes_unref(transfer->body);
    free(transfer->headers);
    buf_release(&transfer->header_texts);
    buf_release(&transfer->body_in);
    buf_release(&transfer->headers_in);
    free(transfer->headers_of_response);
    free(transfer);
}

struct slice io_http_transfer_method(const struct io_http_transfer *transfer) {
    return slice_text((const char *)transfer->method.data);
}

const struct io_url *io_http_transfer_url(const struct io_http_transfer *transfer) {
    return &transfer->url;
}

uint64_t http_now_ms(const struct io_http_client *client) {
    return uv_now(io_loop_uv(client->config.loop));
}

// ---- queues and room
// -----------------------------------------------------------------------------

void http_queue_add(struct http_queue *queue, struct io_http_transfer *transfer) {
    transfer->previous = queue->last;
    transfer->next = NULL;
    *(queue->last != NULL ? &queue->last->next : &queue->first) = transfer;
    queue->last = transfer;
}

void http_queue_remove(struct http_queue *queue, struct io_http_transfer *transfer) {
    *(transfer->previous != NULL ? &transfer->previous->next : &queue->first) = transfer->next;
    *(transfer->next != NULL ? &transfer->next->previous : &queue->last) = transfer->previous;
    transfer->previous = transfer->next = NULL;
}

static struct http_host *host_of(struct io_http_client *client, struct slice origin) {
    struct http_host *host = map_get(&client->hosts, origin);
    if (host == NULL) {
        host = xcalloc(1, sizeof *host);
        host->key = bytes_copy(origin);
        map_add(&client->hosts, origin, host);
    }
    return host;
}

static void forget_if_unused(struct io_http_client *client, struct http_host *host) {
    if (host->active == 0 && host->waiting.first == NULL && !host->is_ready) {
        (void)map_remove(&client->hosts, bytes_slice(host->key));
        bytes_unref(host->key);
        free(host);
    }
}

static bool has_room(const struct io_http_client *client, const struct http_host *host) {
    return host->active < client->config.transfers_of_one_host;
}

static void make_ready(struct io_http_client *client, struct http_host *host) {
    if (host->is_ready || host->waiting.first == NULL || !has_room(client, host)) {
        return;
    }
    host->is_ready = true;
    host->next_ready = NULL;
    *client->ready_end = host;
    client->ready_end = &host->next_ready;
}

static void take_room(struct io_http_transfer *transfer) {
    transfer->client->active++;
    transfer->host->active++;
    transfer->state = HTTP_NEW;
}

// Lets waiting transfers go as long as there is room. What they do at once may end here again, so
// that only the outermost one fills.
static void fill(struct io_http_client *client) {
    if (client->is_filling) {
        return;
    }
    client->is_filling = true;
    while (client->ready != NULL && client->active < client->config.transfers_most) {
        struct http_host *host = client->ready;
        client->ready = host->next_ready;
        if (client->ready == NULL) {
            client->ready_end = &client->ready;
        }
        host->is_ready = false;
        struct io_http_transfer *transfer = host->waiting.first;
        if (transfer == NULL || !has_room(client, host)) {
            forget_if_unused(client, host);
            continue;
        }
        http_queue_remove(&host->waiting, transfer);
        take_room(transfer);
        make_ready(client, host);
        http_resolve(transfer);
    }
    client->is_filling = false;
}

static void leave_host(struct io_http_transfer *transfer) {
    struct io_http_client *client = transfer->client;
    struct http_host *host = transfer->host;
    if (host == NULL) {
        return;
    }
    transfer->host = NULL;
    if (transfer->state == HTTP_WAITING) {
        http_queue_remove(&host->waiting, transfer);
    } else {
        client->active--;
        host->active--;
    }
    make_ready(client, host);
    forget_if_unused(client, host);
}

// ---- time
// ----------------------------------------------------------------------------------------

static uint64_t idle_limit_ms(const struct io_http_transfer *transfer) {
    if (transfer->state != HTTP_EXCHANGING) {
        return 0;
    }
    return transfer->has_bytes ? transfer->ask.between_bytes_timeout_ms
                               : transfer->ask.first_byte_timeout_ms;
}

static void on_timer(uv_timer_t *timer) {
    struct io_http_transfer *transfer = timer->data;
    uint64_t now = http_now_ms(transfer->client), idle = idle_limit_ms(transfer);
    if (now >= transfer->deadline_ms) {
        http_finish(transfer, IO_HTTP_TIMEOUT, "timeout: no complete response within %llu ms",
                    (unsigned long long)transfer->ask.timeout_ms);
    } else if (idle != 0 && now - transfer->idle_since_ms >= idle) {
        http_finish(transfer, transfer->has_bytes ? IO_HTTP_READ_TIMEOUT : IO_HTTP_TIMEOUT,
                    "timeout: nothing of the response for %llu ms", (unsigned long long)idle);
    } else {
        http_arm(transfer);
    }
}

void http_arm(struct io_http_transfer *transfer) {
    uint64_t now = http_now_ms(transfer->client), idle = idle_limit_ms(transfer);
    uint64_t due = transfer->deadline_ms;
    if (idle != 0 && idle < due - transfer->idle_since_ms) {
        due = transfer->idle_since_ms + idle;
    }
    (void)uv_timer_start(&transfer->timer, on_timer, due > now ? due - now : 0, 0);
}

static void timer_closed(uv_handle_t *handle) {
    io_http_transfer_unref(handle->data);
}

// ---- the course of a transfer
// --------------------------------------------------------------------

static enum status status_of(enum io_http_failure failure) {
    switch (failure) {
        case IO_HTTP_DENIED:
            return ERR_DENIED;
        case IO_HTTP_TIMEOUT:
        case IO_HTTP_CONNECT_TIMEOUT:
        case IO_HTTP_READ_TIMEOUT:
            return ERR_TIMEOUT;
        case IO_HTTP_NOT_RESOLVED:
            return ERR_NOT_FOUND;
        case IO_HTTP_RESPONSE_SIZE:
        case IO_HTTP_RESPONSE_HEADERS:
        case IO_HTTP_REDIRECTS:
        case IO_HTTP_NO_ROOM:
            return ERR_LIMIT;
        case IO_HTTP_CANCELLED:
        case IO_HTTP_STOPPING:
            return ERR_STOPPING;
        case IO_HTTP_NONE:
        case IO_HTTP_REFUSED:
        case IO_HTTP_UNREACHABLE:
        case IO_HTTP_TLS:
        case IO_HTTP_CERTIFICATE:
        case IO_HTTP_CLOSED:
        case IO_HTTP_BAD_RESPONSE:
        case IO_HTTP_BAD_REDIRECT:
        case IO_HTTP_FAILED:
        case IO_HTTP_FAILURE_COUNT:
            break;
    }
    return ERR_IO;
}

static void make_response(struct io_http_transfer *transfer) {
    struct io_http_header *headers = xcalloc(transfer->lines_in + 1, sizeof *headers);
    const uint8_t *at = transfer->headers_in.data;
    for (uint32_t i = 0; i < transfer->lines_in; i++) {
        headers[i].name = slice_text((const char *)at);
        headers[i].value = slice_text((const char *)at + headers[i].name.size + 1);
        at = headers[i].value.data + headers[i].value.size + 1;
    }
    transfer->headers_of_response = headers;
    transfer->response = (struct io_http_response){.status = transfer->response.status,
                                                   .header_count = transfer->lines_in,
                                                   .headers = headers,
                                                   .body = buf_slice(&transfer->body_in),
                                                   .url = &transfer->url};
}

static void unlink_of_all(struct io_http_transfer *transfer) {
    *(transfer->previous_of_all != NULL ? &transfer->previous_of_all->next_of_all
                                        : &transfer->client->all) = transfer->next_of_all;
    if (transfer->next_of_all != NULL) {
        transfer->next_of_all->previous_of_all = transfer->previous_of_all;
    }
}

static void tell(struct io_http_transfer *transfer) {
    // Release: partner of the acquire in io_http_is_done.
    atomic_store_explicit(&transfer->is_done, true, memory_order_release);
    while (transfer->watchers != NULL) {
        struct io_http_watcher *watcher = transfer->watchers;
        io_http_unwatch(watcher);
        watcher->fire(watcher);
    }
    if (transfer->ask.done != NULL) {
        transfer->ask.done(transfer->ask.context, transfer);
    }
}

void http_finish(struct io_http_transfer *transfer, enum io_http_failure failure,
                 const char *format, ...) {
    struct io_http_client *client = transfer->client;
    assert(transfer->state != HTTP_DONE);
    if (transfer->state == HTTP_RESOLVING) {
        http_resolve_leave(transfer);
    } else if (transfer->state == HTTP_EXCHANGING) {
        http_exchange_stop(transfer);
    }
    leave_host(transfer);
    transfer->state = HTTP_DONE;
    transfer->failure = failure;
    if (failure == IO_HTTP_NONE) {
        make_response(transfer);
    } else {
        char text[ERROR_MESSAGE_MAX];
        va_list args;
        va_start(args, format);
        (void)vsnprintf(text, sizeof text, format, args);
        va_end(args);
        error_set(&transfer->error, status_of(failure), "%s", text);
    }
    unlink_of_all(transfer);
    uv_close((uv_handle_t *)&transfer->timer, timer_closed);
    tell(transfer);
    io_http_transfer_unref(transfer);
    fill(client);
}

void http_hop_ended(struct io_http_transfer *transfer) {
    if (!transfer->is_redirect) {
        http_finish(transfer, IO_HTTP_NONE, " ");
        return;
    }
    struct io_http_client *client = transfer->client;
    leave_host(transfer);
    if (http_follow(transfer)) {
        begin_hop(transfer);
    }
    fill(client);
}

static void begin_hop(struct io_http_transfer *transfer) {
    struct io_http_client *client = transfer->client;
    struct error error = {0};
    transfer->state = HTTP_NEW;
    if (transfer->ask.permit != NULL &&
        transfer->ask.permit(transfer->ask.context, io_http_transfer_method(transfer),
                             &transfer->url, &error) != OK) {
        http_finish(transfer, IO_HTTP_DENIED, "%s", error.message);
        return;
    }
    transfer->host = host_of(client, transfer->url.origin);
    bool must_wait = client->active >= client->config.transfers_most ||
                     !has_room(client, transfer->host) || transfer->host->waiting.first != NULL;
    if (must_wait) {
        transfer->state = HTTP_WAITING;
        http_queue_add(&transfer->host->waiting, transfer);
        make_ready(client, transfer->host);
    } else {
        take_room(transfer);
        http_resolve(transfer);
    }
}

static void run_start(struct io_post *post) {
    struct io_http_transfer *transfer = CONTAINER_OF(post, struct io_http_transfer, start);
    struct io_http_client *client = transfer->client;
    transfer->next_of_all = client->all;
    if (client->all != NULL) {
        client->all->previous_of_all = transfer;
    }
    client->all = transfer;
    struct uv_loop_s *uv = io_loop_uv(client->config.loop);
    uv_update_time(uv);
    (void)uv_timer_init(uv, &transfer->timer);
    transfer->timer.data = io_http_transfer_ref(transfer);
    uint64_t now = http_now_ms(client), most = UINT64_MAX / 2;
    transfer->deadline_ms =
        now + (transfer->ask.timeout_ms < most ? transfer->ask.timeout_ms : most);
    if (client->is_stopping) {
        http_finish(transfer, IO_HTTP_STOPPING, "the node is stopping");
        return;
    }
    http_arm(transfer);
    begin_hop(transfer);
}

void io_http_start(struct io_http_client *client, struct io_http_transfer *transfer) {
    assert(transfer->client == NULL);
    atomic_fetch_add_explicit(&client->references, 1, memory_order_relaxed);
    transfer->client = client;
    transfer->start.run = run_start;
    io_loop_post(client->config.loop, &io_http_transfer_ref(transfer)->start);
}

static void run_cancel(struct io_post *post) {
    struct io_http_transfer *transfer = CONTAINER_OF(post, struct io_http_transfer, cancel);
    if (transfer->state != HTTP_DONE) {
        http_finish(transfer, IO_HTTP_CANCELLED, "cancelled");
    }
    io_http_transfer_unref(transfer);
}

void io_http_cancel(struct io_http_transfer *transfer) {
    assert(transfer->client != NULL);
    // The one who sets it posts; what is done needs no cancelling, and its loop may be gone.
    if (!io_http_is_done(transfer) &&
        !atomic_exchange_explicit(&transfer->is_cancelled, true, memory_order_relaxed)) {
        transfer->cancel.run = run_cancel;
        io_loop_post(transfer->client->config.loop, &io_http_transfer_ref(transfer)->cancel);
    }
}

bool io_http_is_done(const struct io_http_transfer *transfer) {
    // Acquire: partner of the release in tell().
    return atomic_load_explicit(&transfer->is_done, memory_order_acquire);
}

enum io_http_failure io_http_failure(const struct io_http_transfer *transfer) {
    return transfer->failure;
}

const struct error *io_http_error(const struct io_http_transfer *transfer) {
    return &transfer->error;
}

const struct io_http_response *io_http_response(const struct io_http_transfer *transfer) {
    return &transfer->response;
}

void io_http_watch(struct io_http_transfer *transfer, struct io_http_watcher *watcher) {
    watcher->transfer = NULL;
    if (transfer->state == HTTP_DONE) {
        watcher->fire(watcher);
        return;
    }
    watcher->transfer = transfer;
    watcher->previous = NULL;
    watcher->next = transfer->watchers;
    if (transfer->watchers != NULL) {
        transfer->watchers->previous = watcher;
    }
    transfer->watchers = watcher;
}

void io_http_unwatch(struct io_http_watcher *watcher) {
    struct io_http_transfer *transfer = watcher->transfer;
    if (transfer == NULL) {
        return;
    }
    *(watcher->previous != NULL ? &watcher->previous->next : &transfer->watchers) = watcher->next;
    if (watcher->next != NULL) {
        watcher->next->previous = watcher->previous;
    }
    watcher->transfer = NULL;
}

// ---- the client
// ----------------------------------------------------------------------------------

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        fatal("cannot start libcurl");
    }
}

static uint32_t default_transfers(void) {
    struct rlimit limit;
    uint64_t handles = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
    uint64_t most = handles / HANDLES_PER_TRANSFER;
    return most < TRANSFERS_LEAST  ? TRANSFERS_LEAST
           : most > TRANSFERS_MOST ? TRANSFERS_MOST
                                   : (uint32_t)most;
}

static char *from_environment(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? xstrdup(value) : NULL;
}

static void run_open(struct io_post *post) {
    struct io_http_client *client = CONTAINER_OF(post, struct io_http_client, open);
    (void)uv_timer_init(io_loop_uv(client->config.loop), &client->timer);
    client->timer.data = client;
}

enum status io_http_client_new(const struct io_http_client_config *config,
                               struct io_http_client **out, struct error *error) {
    (void)pthread_once(&curl_once, start_curl);
    struct io_http_client *client = xcalloc(1, sizeof *client);
    atomic_init(&client->references, 1);
    client->config = *config;
    if (config->transfers_most == 0) {
        client->config.transfers_most = default_transfers();
    }
    if (config->transfers_of_one_host == 0) {
        client->config.transfers_of_one_host = (client->config.transfers_most + 1) / 2;
    }
    if (config->response_bytes == 0) {
        client->config.response_bytes = UINT64_C(1) << 30;
    }
    client->certificate_file = from_environment("SSL_CERT_FILE");
    client->certificate_folder = from_environment("SSL_CERT_DIR");
    client->ready_end = &client->ready;
    client->lookups_end = &client->lookups;
    enum status status = http_multi_open(client, error);
    if (status != OK) {
        client_unref(client);
        return status;
    }
    client->open.run = run_open;
    io_loop_post(config->loop, &client->open);
    *out = client;
    return OK;
}

static void finish_all(struct io_http_client *client) {
    client->is_stopping = true;
    while (client->all != NULL) {
        http_finish(client->all, IO_HTTP_STOPPING, "the node is stopping");
    }
}

static void run_stop(struct io_post *post) {
    struct io_http_client *client = CONTAINER_OF(post, struct io_http_client, stop);
    finish_all(client);
    client_unref(client);
}

void io_http_client_stop(struct io_http_client *client) {
    client->stop.run = run_stop;
    atomic_fetch_add_explicit(&client->references, 1, memory_order_relaxed);
    io_loop_post(client->config.loop, &client->stop);
}

static void client_ended(uv_handle_t *handle) {
    struct io_http_client *client = handle->data;
    uv_sem_post(&client->ended);
}

static void run_end(struct io_post *post) {
    struct io_http_client *client = CONTAINER_OF(post, struct io_http_client, end);
    finish_all(client);
    http_resolve_close(client);
    http_multi_close(client);
    uv_close((uv_handle_t *)&client->timer, client_ended);
}

void io_http_client_free(struct io_http_client *client) {
    assert(!io_loop_is_here(client->config.loop));
    (void)uv_sem_init(&client->ended, 0);
    client->end.run = run_end;
    io_loop_post(client->config.loop, &client->end);
    uv_sem_wait(&client->ended);
    uv_sem_destroy(&client->ended);
    client_unref(client);
}

// SPDX-License-Identifier: Apache-2.0
#include "node/reference.h"

#include <semaphore.h>

enum { REDIRECTS_MOST = 10, WHOLE_MS = 300 * 1000, FIRST_BYTE_MS = 30 * 1000, HALT_MS = 30 * 1000 };

static enum status read_store(void *context, const struct manifest_asker *asker,
                              const char *reference, uint64_t limit_bytes, struct bytes **out,
                              struct error *error) {
    if (asker->permissions != NULL && !asker->permissions->allowed[PERMISSION_STORE]) {
        return error_set(error, ERR_DENIED, "permission denied: the store is not permitted");
    }
    return store_read_reference(context, asker->actor, reference, limit_bytes, out, error);
}

struct manifest_scheme node_store_scheme(struct store *store) {
    return (struct manifest_scheme){.prefix = "store://", .context = store, .read = read_store};
}

// ---- https:// and http://
// ------------------------------------------------------------------------

struct fetch {
    const struct manifest_asker *asker;
    sem_t done;
};

// On the loop's thread, for each hop, while the asker's thread waits.
static enum status permit(void *context, struct slice method, const struct io_url *url,
                          struct error *error) {
    const struct manifest_asker *asker = ((const struct fetch *)context)->asker;
    if (asker->permissions == NULL) {
        return OK;
    }
    if (!permissions_allow_source(asker->permissions, slice_text(url->text))) {
        return error_set(error, ERR_DENIED,
                         "permission denied: %.*s is not among the allowed sources",
                         (int)url->origin.size, (const char *)url->origin.data);
    }
    if (!permissions_allow_http(asker->bound, method, url->host, url->port) ||
        !permissions_allow_http(asker->policy, method, url->host, url->port)) {
        return error_set(error, ERR_DENIED, "permission denied: %.*s to %.*s", (int)method.size,
                         (const char *)method.data, (int)url->origin.size,
                         (const char *)url->origin.data);
    }
    return OK;
}

static void fetched(void *context, struct io_http_transfer *transfer) {
    (void)transfer;
    sem_post(&((struct fetch *)context)->done);
}

static enum status take(const struct io_http_transfer *transfer, struct bytes **out,
                        struct error *error) {
    const struct error *problem = io_http_error(transfer);
    if (io_http_failure(transfer) != IO_HTTP_NONE) {
        return error_set(error, problem->code, "%s", problem->message);
    }
    const struct io_http_response *response = io_http_response(transfer);
    if (response->status != 200) {
        return error_set(error, response->status == 404 ? ERR_NOT_FOUND : ERR_IO,
                         "the server answered with status %u", response->status);
    }
    *out = bytes_copy(response->body);
    return OK;
}

static enum status read_url(void *context, const struct manifest_asker *asker,
                            const char *reference, uint64_t limit_bytes, struct bytes **out,
                            struct error *error) {
    struct fetch fetch = {.asker = asker};
    struct io_http_ask ask = {.method = slice_text("GET"),
                              .url = slice_text(reference),
                              .max_redirects = REDIRECTS_MOST,
                              .most_response_bytes = limit_bytes,
                              .timeout_ms = WHOLE_MS,
                              .connect_timeout_ms = FIRST_BYTE_MS,
                              .first_byte_timeout_ms = FIRST_BYTE_MS,
                              .between_bytes_timeout_ms = HALT_MS,
                              .is_public_only = asker->permissions != NULL &&
                                                asker->permissions->supervisor.sources.everything,
                              .context = &fetch,
                              .permit = permit,
                              .done = fetched};
    struct io_http_transfer *transfer = NULL;
    enum status status = io_http_transfer_new(&ask, &transfer, error);
    if (status != OK) {
        return status;
    }
    (void)sem_init(&fetch.done, 0, 0);
    io_http_start(context, transfer);
    while (sem_wait(&fetch.done) != 0) {
        // A signal came.
    }
    status = take(transfer, out, error);
    sem_destroy(&fetch.done);
    io_http_transfer_unref(transfer);
    return status;
}

struct manifest_scheme node_https_scheme(struct io_http_client *client) {
    return (struct manifest_scheme){
        .prefix = "https://", .is_slow = true, .context = client, .read = read_url};
}

struct manifest_scheme node_http_scheme(struct io_http_client *client) {
    return (struct manifest_scheme){
        .prefix = "http://", .is_slow = true, .context = client, .read = read_url};
}

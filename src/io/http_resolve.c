// SPDX-License-Identifier: Apache-2.0
// Names to addresses. The C library's look-up blocks and cannot be ended, so that each runs on a
// thread of its own, of which there are a few at a time; what is found is remembered for a minute.
// Transfers that want the same name wait for one look-up.
//
// A look-up's thread is detached: when the client ends, it is left alone, and frees its look-up.
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/compat.h"
#include "io/address.h"
#include "io/http_internal.h"

enum { STACK_BYTES = 1024 * 1024 };

// One call of getaddrinfo.
struct lookup {
    _Atomic uint32_t references;  // the name's, the thread's and the post's
    pthread_mutex_t lock;
    struct io_http_client *client;  // lock, for the thread; NULL: nobody waits any more
    struct io_loop *loop;
    struct name *name;  // the loop's
    struct io_post post;
    uint32_t count;  // of `addresses`; 0: it failed
    struct sockaddr_storage addresses[HTTP_ADDRESSES_MOST];
    char host[];
};

// A name that was looked up or will be.
struct name {
    struct bytes *host;     // keeps
    struct lookup *lookup;  // NULL: none is under way
    struct name *next;      // in client->lookups
    bool is_pending;        // it waits for a thread, or for the look-up
    struct http_queue waiting;
    uint64_t expires_ms;
    uint32_t count;
    struct sockaddr_storage addresses[HTTP_ADDRESSES_MOST];
};

static void start_lookups(struct io_http_client *client);

static void lookup_unref(struct lookup *lookup) {
    if (atomic_fetch_sub_explicit(&lookup->references, 1, memory_order_acq_rel) == 1) {
        pthread_mutex_destroy(&lookup->lock);
        free(lookup);
    }
}

static void name_free(struct name *name) {
    bytes_unref(name->host);
    free(name);
}

// ---- the thread
// ----------------------------------------------------------------------------------

static void post_end(struct lookup *lookup) {
    atomic_fetch_add_explicit(&lookup->references, 1, memory_order_relaxed);
    io_loop_post(lookup->loop, &lookup->post);
}

static void *lookup_main(void *argument) {
    struct lookup *lookup = argument;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int code = getaddrinfo(lookup->host, NULL, &hints, &found);
    for (struct addrinfo *at = found; code == 0 && at != NULL; at = at->ai_next) {
        if (lookup->count < HTTP_ADDRESSES_MOST && at->ai_addrlen <= sizeof lookup->addresses[0] &&
            (at->ai_family == AF_INET || at->ai_family == AF_INET6)) {
            memcpy(&lookup->addresses[lookup->count++], at->ai_addr, at->ai_addrlen);
        }
    }
    if (code == 0) {
        freeaddrinfo(found);
    }
    pthread_mutex_lock(&lookup->lock);
    if (lookup->client != NULL) {
        post_end(lookup);
    }
    pthread_mutex_unlock(&lookup->lock);
    lookup_unref(lookup);
    return NULL;
}

// ---- the loop
// ------------------------------------------------------------------------------------

static void fail(struct io_http_transfer *transfer) {
    http_finish(transfer, IO_HTTP_NOT_RESOLVED, "name not resolved: %.*s",
                (int)transfer->url.host.size, (const char *)transfer->url.host.data);
}

// Those who wait go on, or fail; meanwhile others may come to wait.
static void serve(struct name *name) {
    while (name->waiting.first != NULL) {
        struct io_http_transfer *transfer = name->waiting.first;
        http_resolve_leave(transfer);
        if (name->count > 0) {
            http_exchange(transfer, name->addresses, name->count);
        } else {
            fail(transfer);
        }
    }
}

static void lookup_done(struct io_post *post) {
    struct lookup *lookup = CONTAINER_OF(post, struct lookup, post);
    // When it gives the lock back, the thread has left io_loop_post: the loop may end after that.
    pthread_mutex_lock(&lookup->lock);
    struct io_http_client *client = lookup->client;
    pthread_mutex_unlock(&lookup->lock);
    if (client == NULL) {
        lookup_unref(lookup);
        return;
    }
    struct name *name = lookup->name;
    client->lookup_threads--;
    name->lookup = NULL;
    name->count = lookup->count;
    memcpy(name->addresses, lookup->addresses, sizeof name->addresses);
    name->expires_ms = http_now_ms(client) + HTTP_NAME_MS;
    lookup_unref(lookup);
    lookup_unref(lookup);
    // Pending still, so that no other name takes its place meanwhile.
    serve(name);
    name->is_pending = false;
    if (name->count == 0) {
        (void)map_remove(&client->names, bytes_slice(name->host));
        name_free(name);
    }
    start_lookups(client);
}

static bool start_thread(struct lookup *lookup) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    // Signals stay blocked, as on the loop's thread.
    int code = pthread_create(&thread, &attributes, lookup_main, lookup);
    pthread_attr_destroy(&attributes);
    return code == 0;
}

static void start_lookups(struct io_http_client *client) {
    while (client->lookups != NULL && client->lookup_threads < HTTP_LOOKUP_THREADS_MOST) {
        struct name *name = client->lookups;
        client->lookups = name->next;
        if (client->lookups == NULL) {
            client->lookups_end = &client->lookups;
        }
        struct slice host = bytes_slice(name->host);
        struct lookup *lookup = xcalloc(1, sizeof *lookup + host.size + 1);
        atomic_init(&lookup->references, 2);
        pthread_mutex_init(&lookup->lock, NULL);
        lookup->client = client;
        lookup->loop = client->config.loop;
        lookup->name = name;
        lookup->post.run = lookup_done;
        memcpy(lookup->host, host.data, host.size);
        name->lookup = lookup;
        client->lookup_threads++;
        if (!start_thread(lookup)) {
            // As if it had found nothing.
            post_end(lookup);
            lookup_unref(lookup);
        }
    }
}

static void forget_names(struct io_http_client *client, bool all) {
    uint32_t cursor = 0;
    uint64_t now = http_now_ms(client);
    for (struct map_entry *entry = map_next(&client->names, &cursor); entry != NULL;
         entry = map_next(&client->names, &cursor)) {
        struct name *name = entry->value;
        if (!name->is_pending && (all || now >= name->expires_ms)) {
            (void)map_remove(&client->names, bytes_slice(name->host));
            name_free(name);
        }
    }
}

static struct name *name_of(struct io_http_client *client, struct slice host) {
    struct name *name = map_get(&client->names, host);
    if (name == NULL) {
        for (int all = 0; all <= 1 && client->names.live_count >= HTTP_NAMES_MOST; all++) {
            forget_names(client, all == 1);
        }
        name = xcalloc(1, sizeof *name);
        name->host = bytes_copy(host);
        map_add(&client->names, host, name);
    }
    return name;
}

// Whether the host is an address already, in the usual form.
static bool read_address(struct slice host, struct sockaddr_storage *out) {
    char text[INET6_ADDRSTRLEN + 2];
    bool is_v6 = host.size > 1 && host.data[0] == '[';
    struct slice inner = is_v6 ? slice_of(host.data + 1, host.size - 2) : host;
    if (inner.size >= sizeof text) {
        return false;
    }
    memcpy(text, inner.data, inner.size);
    text[inner.size] = '\0';
    memset(out, 0, sizeof *out);
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (is_v6 && inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
        memcpy(out, &v6, sizeof v6);
        return true;
    }
    bool is_v4 = !is_v6 && inet_pton(AF_INET, text, &v4.sin_addr) == 1;
    if (is_v4) {
        memcpy(out, &v4, sizeof v4);
    }
    return is_v4;
}

void http_resolve(struct io_http_transfer *transfer) {
    struct io_http_client *client = transfer->client;
    struct sockaddr_storage address;
    if (read_address(transfer->url.host, &address)) {
        http_exchange(transfer, &address, 1);
        return;
    }
    struct name *name = name_of(client, transfer->url.host);
    if (!name->is_pending && name->count > 0 && http_now_ms(client) < name->expires_ms) {
        http_exchange(transfer, name->addresses, name->count);
        return;
    }
    transfer->state = HTTP_RESOLVING;
    transfer->name = name;
    http_queue_add(&name->waiting, transfer);
    if (!name->is_pending) {
        name->is_pending = true;
        name->next = NULL;
        *client->lookups_end = name;
        client->lookups_end = &name->next;
        start_lookups(client);
    }
}

void http_resolve_leave(struct io_http_transfer *transfer) {
    http_queue_remove(&transfer->name->waiting, transfer);
    transfer->name = NULL;
    transfer->state = HTTP_NEW;
}

void http_resolve_close(struct io_http_client *client) {
    uint32_t cursor = 0;
    for (struct map_entry *entry = map_next(&client->names, &cursor); entry != NULL;
         entry = map_next(&client->names, &cursor)) {
        struct name *name = entry->value;
        struct lookup *lookup = name->lookup;
        if (lookup != NULL) {
            pthread_mutex_lock(&lookup->lock);
            lookup->client = NULL;
            pthread_mutex_unlock(&lookup->lock);
            lookup_unref(lookup);
        }
        name_free(name);
    }
    map_release(&client->names);
    client->lookups = NULL;
}

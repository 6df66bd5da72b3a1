// SPDX-License-Identifier: Apache-2.0
// Of the HTTP client, within the room: what its files share. http_client.c has the transfers and
// their order, http_ask.c what is asked for, http_hop.c one exchange by libcurl, http_resolve.c the
// names.
#ifndef IO_HTTP_INTERNAL_H
#define IO_HTTP_INTERNAL_H

#include <curl/curl.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/map.h"
#include "io/http_client.h"
#include "io/http_field.h"
#include "io/loop.h"

enum {
    HTTP_HEADERS_MOST = 1000,             // of a request or a response
    HTTP_HEADER_BYTES_MOST = 256 * 1024,  // together
    HTTP_REDIRECT_BODY_MOST = 64 * 1024,  // read and dropped, to use the connection again
    HTTP_ADDRESSES_MOST = 16,             // of one name
    HTTP_NAMES_MOST = 1024,               // remembered
    HTTP_NAME_MS = 60 * 1000,             // for so long
    HTTP_LOOKUP_THREADS_MOST = 16,
    HTTP_IDLE_CONNECTIONS_MOST = 256,
};

// Those that wait for the same thing, in order.
struct http_queue {
    struct io_http_transfer *first, *last;
};

// A host and port (an origin), while it has transfers.
struct http_host {
    struct bytes *key;  // keeps
    uint32_t active;
    struct http_queue waiting;  // for one of the active ones to end
    struct http_host *next_ready;
    bool is_ready;  // in client->ready: has a waiting one and room for it
};

// All but `references`, `response_bytes` and what never changes is the loop's.
struct io_http_client {
    _Atomic uint32_t references;  // the owner's and each transfer's
    _Atomic uint64_t response_bytes;
    struct io_http_client_config config;
    char *certificate_file, *certificate_folder;  // owned; NULL: none
    struct io_post open, stop, end;
    uv_sem_t ended;

    CURLM *multi;
    uv_timer_t timer;  // curl's
    bool is_stopping, is_filling;
    struct io_http_transfer *all;  // that have begun and are not done
    uint32_t active;
    struct map hosts;                      // by origin
    struct http_host *ready, **ready_end;  // hosts with a waiting transfer that there is room for
    struct map names;                      // http_resolve.c: struct name by host name
    struct name *lookups, **lookups_end;   // that wait for a thread
    uint32_t lookup_threads;
};

enum http_state {
    HTTP_NEW,
    HTTP_WAITING,    // in host->waiting
    HTTP_RESOLVING,  // in a name's queue
    HTTP_EXCHANGING,
    HTTP_DONE
};

struct io_http_transfer {
    _Atomic uint32_t references;
    _Atomic bool is_done;
    // From the ask; unchanged.
    struct io_http_ask ask;         // its slices are not used
    struct io_http_client *client;  // keeps; NULL before the start
    struct io_post start, cancel;
    _Atomic bool is_cancelled;
    // The first hop until the start, then the loop's.
    struct buf method;  // with its NUL
    struct io_url url;
    struct bytes *body;
    struct io_http_header *headers;  // owned; in header_texts, each with a NUL
    uint32_t header_count;
    struct buf header_texts;

    // The loop's.
    enum http_state state;
    struct io_http_transfer *previous, *next;  // in one queue
    struct io_http_transfer *previous_of_all, *next_of_all;
    struct http_host *host;  // whose room it has or waits for
    struct name *name;       // that it waits for
    uv_timer_t timer;
    bool has_timer;
    uint64_t deadline_ms, idle_since_ms;
    uint32_t redirects;
    struct io_http_watcher *watchers;
    // The exchange.
    CURL *easy;
    struct curl_slist *lines, *addresses;
    bool has_headers;        // of the response, in full
    bool has_bytes;          // anything of it
    bool in_headers;         // its status line was read
    bool is_redirect;        // it will be followed
    bool is_cut;             // the rest of its body does not matter
    bool is_private_denied;  // an address was denied
    uint64_t dropped_bytes, header_bytes;
    enum io_http_failure refusal;  // by our own callbacks

    // The outcome.
    enum io_http_failure failure;
    struct error error;
    struct io_http_response response;
    struct buf body_in, headers_in;  // the lines, each with its NUL
    uint32_t lines_in;
    struct io_http_header *headers_of_response;  // owned
};

// ---- http_client.c
// Ends the transfer. `format` is the error's text; not used for IO_HTTP_NONE.
void http_finish(struct io_http_transfer *transfer, enum io_http_failure failure,
                 const char *format, ...) PRINTF_LIKE(3, 4);
// The exchange of the hop is over and its handle free; the outcome is in failure and error.
void http_hop_ended(struct io_http_transfer *transfer);
void http_queue_add(struct http_queue *queue, struct io_http_transfer *transfer);
void http_queue_remove(struct http_queue *queue, struct io_http_transfer *transfer);
uint64_t http_now_ms(const struct io_http_client *client);

// Looks at the limits on time again, after one of them has begun.
void http_arm(struct io_http_transfer *transfer);

// ---- http_ask.c
// Makes the transfer ask for what a redirect leads to.
// False: the transfer ended.
bool http_follow(struct io_http_transfer *transfer);
// The value of a field of the response's, or an empty slice without data.
struct slice http_response_header(const struct io_http_transfer *transfer, const char *name);

// ---- http_hop.c
enum status http_multi_open(struct io_http_client *client, struct error *error) MUST_CHECK;
void http_multi_close(struct io_http_client *client);
// Begins the exchange. `addresses` are those of the URL's name, none for an address.
void http_exchange(struct io_http_transfer *transfer, const struct sockaddr_storage *addresses,
                   uint32_t count);
// Ends the exchange at once.
void http_exchange_stop(struct io_http_transfer *transfer);

// ---- http_resolve.c
// Goes on with http_exchange when the name is resolved, or finishes the transfer.
void http_resolve(struct io_http_transfer *transfer);
// The transfer waits no longer.
void http_resolve_leave(struct io_http_transfer *transfer);
void http_resolve_close(struct io_http_client *client);

#endif

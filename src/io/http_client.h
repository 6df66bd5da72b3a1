// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 requests to other servers (libcurl), on the event loop's thread: however many are under
// way, none has a thread of its own.
//
// A transfer is one request with the redirects that follow from it, each a *hop*. Before a hop is
// contacted, `permit` is asked with its method and URL. Names are resolved by a bounded number of
// threads; connections are kept and used again; past the bounds on transfers, those that come later
// wait, each host for itself. Certificates are verified with the system's store.
//
// Nothing of the environment has a say but SSL_CERT_FILE and SSL_CERT_DIR, as with OpenSSL: no
// proxies, no .netrc. There are no cookies, no cache, and no decoding of bodies.
#ifndef IO_HTTP_CLIENT_H
#define IO_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "io/url.h"

struct io_loop;
struct io_http_client;
struct io_http_transfer;

// ---- the client
// ----------------------------------------------------------------------------------

struct io_http_client_config {
    struct io_loop *loop;            // borrowed until io_http_client_free
    uint32_t transfers_most;         // 0: by the handles that the process may have
    uint32_t transfers_of_one_host;  // 0: half of these
    uint64_t response_bytes;         // of all bodies in memory; 0: 1 GiB
};

enum status io_http_client_new(const struct io_http_client_config *config,
                               struct io_http_client **out, struct error *error) MUST_CHECK;
// Ends all transfers, those that begin later too, with IO_HTTP_STOPPING. Any thread; never waits.
void io_http_client_stop(struct io_http_client *client);
// The same, waits until they are done, and closes the connections. Not on the loop's thread; no
// transfer may begin meanwhile or later.
void io_http_client_free(struct io_http_client *client);

// ---- a transfer
// ----------------------------------------------------------------------------------

struct io_http_header {
    struct slice name, value;
};

// How a transfer ended.
enum io_http_failure {
    IO_HTTP_NONE,  // there is a response
    IO_HTTP_DENIED,
    IO_HTTP_TIMEOUT,          // of the whole, or of the response's first byte
    IO_HTTP_CONNECT_TIMEOUT,  // no connection in time
    IO_HTTP_READ_TIMEOUT,     // the response came to a halt
    IO_HTTP_NOT_RESOLVED,
    IO_HTTP_REFUSED,
    IO_HTTP_UNREACHABLE,
    IO_HTTP_TLS,
    IO_HTTP_CERTIFICATE,
    IO_HTTP_CLOSED,            // before the response was complete
    IO_HTTP_BAD_RESPONSE,      // not HTTP
    IO_HTTP_RESPONSE_SIZE,     // the body is over the limit
    IO_HTTP_RESPONSE_HEADERS,  // the header fields are
    IO_HTTP_REDIRECTS,         // too many
    IO_HTTP_BAD_REDIRECT,
    IO_HTTP_NO_ROOM,  // what the node may hold at once
    IO_HTTP_CANCELLED,
    IO_HTTP_STOPPING,
    IO_HTTP_FAILED,  // anything else
    IO_HTTP_FAILURE_COUNT
};

struct io_http_response {
    uint32_t status;
    uint32_t header_count;
    const struct io_http_header *headers;  // in their order, trailers left out
    struct slice body;                     // as it was sent, content codings included
    const struct io_url *url;              // of the last hop
};

// What is wanted. Copied by io_http_transfer_new, but for the body, which it keeps.
struct io_http_ask {
    struct slice method, url;
    const struct io_http_header *headers;
    uint32_t header_count;
    struct bytes *body;      // NULL: none
    uint32_t max_redirects;  // 0: a redirect is the response
    uint64_t most_response_bytes;
    uint64_t timeout_ms;  // for the whole, waiting for room included
    // 0: none of its own.
    uint64_t connect_timeout_ms, first_byte_timeout_ms, between_bytes_timeout_ms;
    bool is_public_only;  // addresses of this machine and private networks are denied

    void *context;
    // Whether a hop may be contacted; anything but OK ends the transfer with IO_HTTP_DENIED and
    // that error. On the loop's thread. NULL: any.
    enum status (*permit)(void *context, struct slice method, const struct io_url *url,
                          struct error *error);
    // Called exactly once after io_http_start, on the loop's thread; must be short.
    void (*done)(void *context, struct io_http_transfer *transfer);
};

// Checks the ask and makes a transfer with one reference. ERR_INVALID names what is wrong with
// method, URL or header fields. A method of the standard in lower case is put into upper case. Any
// thread.
enum status io_http_transfer_new(const struct io_http_ask *ask, struct io_http_transfer **out,
                                 struct error *error) MUST_CHECK;
struct io_http_transfer *io_http_transfer_ref(struct io_http_transfer *transfer);
void io_http_transfer_unref(struct io_http_transfer *transfer);
// Of the first hop; not after io_http_start.
struct slice io_http_transfer_method(const struct io_http_transfer *transfer);
const struct io_url *io_http_transfer_url(const struct io_http_transfer *transfer);

// Sets it going and returns at once; once for each transfer. Any thread.
void io_http_start(struct io_http_client *client, struct io_http_transfer *transfer);
// Ends it soon with IO_HTTP_CANCELLED, unless it is at its end already. After io_http_start; any
// thread, also when the client has ended.
void io_http_cancel(struct io_http_transfer *transfer);

// Whether `done` was called or is about to be: then the three below hold still. Any thread.
bool io_http_is_done(const struct io_http_transfer *transfer);
enum io_http_failure io_http_failure(const struct io_http_transfer *transfer);
// Unless the failure is IO_HTTP_NONE: a text for whoever asked, without anything of this machine.
const struct error *io_http_error(const struct io_http_transfer *transfer);
// When it is IO_HTTP_NONE; as long as the transfer.
const struct io_http_response *io_http_response(const struct io_http_transfer *transfer);

// Somebody else who wants to know when it is done. On the loop's thread only.
struct io_http_watcher {
    struct io_http_watcher *previous, *next;  // private
    struct io_http_transfer *transfer;        // private; NULL: watches nothing
    void (*fire)(struct io_http_watcher *watcher);
};
// Calls watcher->fire once, when it is done; at once when it is. It is then off the list.
void io_http_watch(struct io_http_transfer *transfer, struct io_http_watcher *watcher);
void io_http_unwatch(struct io_http_watcher *watcher);

#endif

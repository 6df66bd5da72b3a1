// SPDX-License-Identifier: Apache-2.0
// Addresses of HTTP: read, made uniform and resolved against each other (RFC 3986, for the schemes
// http and https alone). What is checked against permissions and what is contacted is the same
// normal form, so that no second reader of the text can see another host in it.
#ifndef IO_URL_H
#define IO_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

enum { IO_URL_MOST_BYTES = 16 * 1024 };

// The slices lie in `text`.
struct io_url {
    char *text;           // "https://host:port/path?query", the port only if not the scheme's own
    struct slice origin;  // "https://host:port" of it
    struct slice host;    // lower case, without a dot at the end; IPv6 addresses in brackets, in
                          // their shortest form
    struct slice target;  // path and query; at least "/"
    uint16_t port;
    bool is_https;
};

// Reads an absolute URL. Dot segments are taken out of the path, bytes that may not stand in it are
// percent-encoded, and a fragment is dropped. ERR_INVALID with the reason for any other scheme, a
// user name, and a host that is no name of ASCII letters, digits, "-", "_" and "." nor an address.
// `out` is to be released after OK.
enum status io_url_parse(struct slice text, struct io_url *out, struct error *error) MUST_CHECK;
// Reads `reference`, absolute or relative to `base`: a redirect's Location.
enum status io_url_resolve(const struct io_url *base, struct slice reference, struct io_url *out,
                           struct error *error) MUST_CHECK;
void io_url_release(struct io_url *url);
// Whether scheme, host and port are the same.
bool io_url_same_origin(const struct io_url *a, const struct io_url *b);

#endif

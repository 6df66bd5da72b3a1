// SPDX-License-Identifier: Apache-2.0
// Which handler answers for a path: patterns, methods, and prefixes of middleware.
//
// A pattern begins with '/' and is compared segment by segment: a segment is a text, `{name}` (any
// one segment that is not empty) or, at the end, `{*name}` (all that is left, at least one
// character). Where several patterns match, the one wins that has a text where the other has a
// `{name}`, and a `{name}` where the other has a `{*name}`, from the left. Among routes of one
// pattern the method itself wins over `*`; HEAD is answered by GET's route when it has none. A more
// general pattern answers for a method that the best one has no route for.
//
// A path is split at its '/' first, then each segment is percent-decoded: "%2F" is a character of a
// segment and separates nothing. A path with a segment "." or ".." (encoded or not), with a control
// character or with what is no UTF-8 after decoding is refused: what it means depends on who reads
// it. A slash at the end, and an empty segment, make another path.
//
// Pure. A router belongs to one thread at a time.
#ifndef IO_HTTP_ROUTE_H
#define IO_HTTP_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

enum {
    HTTP_SEGMENTS_MOST = 128,
    HTTP_PARAMS_MOST = 16,
    HTTP_ROUTES_MOST = 1024,
    HTTP_PREFIXES_MOST = 64
};

// A path, decoded.
struct http_path {
    struct buf text;  // owned: the segments, each behind a '/'
    uint32_t count;
    struct {
        uint32_t start, size;  // in text, without the '/'
    } segments[HTTP_SEGMENTS_MOST];
};
// The path of a request's target. False: it is refused, see above. Release it in either case.
bool http_path_parse(struct slice target, struct http_path *out) MUST_CHECK;
void http_path_release(struct http_path *path);

struct http_route;
// Zero-initialised is empty.
struct http_router {
    struct http_route **routes;  // the more special first
    uint32_t route_count, route_capacity;
    struct http_prefix {
        uint64_t id, handler;
        char *prefix;
    } * prefixes;  // in the order in which they were added
    uint32_t prefix_count;
};
void http_router_release(struct http_router *router);

// ERR_INVALID: the pattern or the method is none; ERR_EXISTS: there is a route for both of them;
// ERR_LIMIT. `method` is an upper case word, or "*" for any.
enum status http_router_add(struct http_router *router, uint64_t id, struct slice pattern,
                            struct slice method, uint64_t handler, struct error *error) MUST_CHECK;
bool http_router_remove(struct http_router *router, uint64_t id);
// Middleware for the paths that begin with `prefix`, compared as text: "/a" is the beginning of
// "/ab" too. A "*" at its end means nothing.
enum status http_router_add_prefix(struct http_router *router, uint64_t id, struct slice prefix,
                                   uint64_t handler, struct error *error) MUST_CHECK;
bool http_router_remove_prefix(struct http_router *router, uint64_t id);

struct http_match {
    uint64_t handler;
    uint32_t param_count;
    struct http_param {
        struct slice name;   // the router's, until it is changed
        struct slice value;  // the path's
    } params[HTTP_PARAMS_MOST];
};
enum http_match_outcome {
    HTTP_MATCH,
    HTTP_NO_PATH,    // 404
    HTTP_NO_METHOD,  // 405: `allow` holds the methods, for the field Allow
};
enum http_match_outcome http_router_find(const struct http_router *router,
                                         const struct http_path *path, struct slice method,
                                         struct http_match *match, struct buf *allow);
// Writes the handlers of the middleware for the path, in the order of registration; how many.
uint32_t http_router_middleware(const struct http_router *router, const struct http_path *path,
                                uint64_t handlers[HTTP_PREFIXES_MOST]);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "io/http_route.h"

#include <stdlib.h>

#include "codec/hex.h"
#include "codec/utf8.h"
#include "io/http_parse.h"

// From the most special to the most general.
enum segment_kind { SEGMENT_TEXT, SEGMENT_ONE, SEGMENT_REST };

struct segment {
    enum segment_kind kind;
    struct slice text;  // or the parameter's name; in the route's pattern
};

struct http_route {
    uint64_t id, handler;
    char *pattern, *method;  // owned
    uint32_t count;
    struct segment segments[];
};

// ---- paths
// ---------------------------------------------------------------------------------------

// Appends the decoded segment. False: it is refused.
static bool decode_segment(struct slice segment, struct buf *out) {
    size_t start = out->size;
    for (size_t i = 0; i < segment.size; i++) {
        uint8_t byte = segment.data[i];
        if (byte == '%') {
            bool is_whole = segment.size - i > 2;
            int high = is_whole ? hex_read_digit(segment.data[i + 1]) : -1;
            int low = is_whole ? hex_read_digit(segment.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        }
        if (byte < 0x20 || byte == 0x7f) {
            return false;
        }
        buf_append_byte(out, byte);
    }
    struct slice decoded = slice_of(out->data + start, out->size - start);
    return utf8_is_valid(decoded) && !slice_equal_text(decoded, ".") &&
           !slice_equal_text(decoded, "..");
}

bool http_path_parse(struct slice target, struct http_path *out) {
    out->text = (struct buf){0};
    out->count = 0;
    const uint8_t *query = memchr(target.data, '?', target.size);
    size_t size = query != NULL ? (size_t)(query - target.data) : target.size;
    if (size == 0 || target.data[0] != '/') {
        return false;
    }
    for (size_t at = 0; at < size;) {
        const uint8_t *slash = memchr(target.data + at + 1, '/', size - at - 1);
        size_t end = slash != NULL ? (size_t)(slash - target.data) : size;
        buf_append_byte(&out->text, '/');
        uint32_t start = (uint32_t)out->text.size;
        if (out->count == HTTP_SEGMENTS_MOST ||
            !decode_segment(slice_of(target.data + at + 1, end - at - 1), &out->text)) {
            return false;
        }
        out->segments[out->count].start = start;
        out->segments[out->count++].size = (uint32_t)out->text.size - start;
        at = end;
    }
    return true;
}

void http_path_release(struct http_path *path) {
    buf_release(&path->text);
}

// ---- patterns
// ------------------------------------------------------------------------------------

// What may be part of a header field's name, since it becomes one.
static bool is_name(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        bool is_letter = (byte | 32) >= 'a' && (byte | 32) <= 'z';
        if (!is_letter && !(byte >= '0' && byte <= '9') && byte != '_' && byte != '-') {
            return false;
        }
    }
    return text.size > 0 && text.size <= 64;
}

static enum status parse_segment(struct slice text, bool is_last, struct segment *out,
                                 struct error *error) {
    int size = (int)(text.size < 100 ? text.size : 100);
    bool has_brace =
        memchr(text.data, '{', text.size) != NULL || memchr(text.data, '}', text.size) != NULL;
    if (!has_brace) {
        *out = (struct segment){.kind = SEGMENT_TEXT, .text = text};
        if (memchr(text.data, '*', text.size) != NULL) {
            return error_set(
                error, ERR_INVALID,
                "Invalid wildcard pattern '%.*s'. Use '{*wildcard}' instead of '*' for "
                "wildcard capture.",
                size, (const char *)text.data);
        }
        return OK;
    }
    if (text.size < 3 || text.data[0] != '{' || text.data[text.size - 1] != '}') {
        return error_set(error, ERR_INVALID,
                         "Unmatched '{' in route pattern: %.*s; a parameter is a whole segment",
                         size, (const char *)text.data);
    }
    bool is_rest = text.data[1] == '*';
    struct slice name = slice_of(text.data + 1 + is_rest, text.size - 2 - is_rest);
    *out = (struct segment){.kind = is_rest ? SEGMENT_REST : SEGMENT_ONE, .text = name};
    if (!is_name(name)) {
        return error_set(error, ERR_INVALID,
                         "the parameter %.*s of a route pattern must have a name of letters, "
                         "digits, '_' and '-'",
                         size, (const char *)text.data);
    }
    if (is_rest && !is_last) {
        return error_set(error, ERR_INVALID, "%.*s must be the end of the route pattern", size,
                         (const char *)text.data);
    }
    return OK;
}

static enum status parse_pattern(struct http_route *route, struct error *error) {
    struct slice rest = slice_text(route->pattern);
    uint32_t params = 0;
    enum status status = OK;
    while (status == OK && rest.size > 0) {
        rest = slice_of(rest.data + 1, rest.size - 1);
        const uint8_t *slash = rest.size > 0 ? memchr(rest.data, '/', rest.size) : NULL;
        size_t size = slash != NULL ? (size_t)(slash - rest.data) : rest.size;
        struct segment *segment = &route->segments[route->count];
        status = parse_segment(slice_of(rest.data, size), slash == NULL, segment, error);
        for (uint32_t i = 0; status == OK && i < route->count; i++) {
            if (segment->kind != SEGMENT_TEXT && route->segments[i].kind != SEGMENT_TEXT &&
                slice_equal(segment->text, route->segments[i].text)) {
                status = error_set(error, ERR_INVALID,
                                   "two parameters have the same name in %.200s", route->pattern);
            }
        }
        params += segment->kind != SEGMENT_TEXT;
        route->count++;
        rest = slice_of(rest.data + size, rest.size - size);
    }
    if (status == OK && params > HTTP_PARAMS_MOST) {
        return error_set(error, ERR_LIMIT, "a route pattern has at most %d parameters",
                         HTTP_PARAMS_MOST);
    }
    return status;
}

static void free_route(struct http_route *route) {
    free(route->pattern);
    free(route->method);
    free(route);
}

// Begins with '/', has nothing that no path can have, and not too many segments.
static enum status check_pattern(struct slice pattern, uint32_t *count, struct error *error) {
    *count = 0;
    if (!slice_starts_with(pattern, "/")) {
        return error_set(error, ERR_INVALID, "Path must start with /");
    }
    for (size_t i = 0; i < pattern.size; i++) {
        *count += pattern.data[i] == '/';
        if (pattern.data[i] < 0x20 || pattern.data[i] == 0x7f || pattern.data[i] == '?') {
            return error_set(error, ERR_INVALID,
                             "a path holds neither control characters nor a query");
        }
    }
    if (*count > HTTP_SEGMENTS_MOST || pattern.size > 4096) {
        return error_set(error, ERR_LIMIT, "a path has at most %d segments and 4096 bytes",
                         HTTP_SEGMENTS_MOST);
    }
    return OK;
}

static enum status check_method(struct slice method, struct error *error) {
    bool is_good = method.size > 0 && method.size <= 32;
    for (size_t i = 0; is_good && i < method.size; i++) {
        uint8_t byte = method.data[i];
        is_good = (byte >= 'A' && byte <= 'Z') || byte == '-' || byte == '_';
    }
    if (!is_good && !slice_equal_text(method, "*")) {
        return error_set(error, ERR_INVALID,
                         "Invalid HTTP method: %.*s (it is a word in upper case, or * for any)",
                         (int)(method.size < 64 ? method.size : 64), (const char *)method.data);
    }
    return OK;
}

// Below 0: `a` is the more special one.
static int compare(const struct http_route *a, const struct http_route *b) {
    for (uint32_t i = 0; i < a->count && i < b->count; i++) {
        if (a->segments[i].kind != b->segments[i].kind) {
            return (int)a->segments[i].kind - (int)b->segments[i].kind;
        }
    }
    return 0;
}

// Match the same paths.
static bool same_pattern(const struct http_route *a, const struct http_route *b) {
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++) {
        same = a->segments[i].kind == b->segments[i].kind &&
               (a->segments[i].kind != SEGMENT_TEXT ||
                slice_equal(a->segments[i].text, b->segments[i].text));
    }
    return same;
}

static enum status insert(struct http_router *router, struct http_route *route,
                          struct error *error) {
    uint32_t at = router->route_count;
    for (uint32_t i = 0; i < router->route_count; i++) {
        if (strcmp(router->routes[i]->method, route->method) == 0 &&
            same_pattern(router->routes[i], route)) {
            return error_set(error, ERR_EXISTS, "there is a route for %s %.200s already",
                             route->method, route->pattern);
        }
    }
    if (router->route_count == HTTP_ROUTES_MOST) {
        return error_set(error, ERR_LIMIT, "a server has at most %d routes", HTTP_ROUTES_MOST);
    }
    if (router->route_count == router->route_capacity) {
        router->route_capacity = router->route_capacity == 0 ? 8 : 2 * router->route_capacity;
        router->routes = xrealloc(router->routes, router->route_capacity * sizeof *router->routes);
    }
    while (at > 0 && compare(route, router->routes[at - 1]) < 0) {
        router->routes[at] = router->routes[at - 1];
        at--;
    }
    router->routes[at] = route;
    router->route_count++;
    return OK;
}

enum status http_router_add(struct http_router *router, uint64_t id, struct slice pattern,
                            struct slice method, uint64_t handler, struct error *error) {
    uint32_t count;
    enum status status = check_pattern(pattern, &count, error);
    if (status == OK) {
        status = check_method(method, error);
    }
    if (status != OK) {
        return status;
    }
    struct http_route *route = xcalloc(1, sizeof *route + count * sizeof route->segments[0]);
    route->id = id;
    route->handler = handler;
    route->pattern = xstrndup(pattern.data, pattern.size);
    route->method = xstrndup(method.data, method.size);
    status = parse_pattern(route, error);
    if (status == OK) {
        status = insert(router, route, error);
    }
    if (status != OK) {
        free_route(route);
    }
    return status;
}

bool http_router_remove(struct http_router *router, uint64_t id) {
    for (uint32_t i = 0; i < router->route_count; i++) {
        if (router->routes[i]->id == id) {
            free_route(router->routes[i]);
            router->route_count--;
            memmove(&router->routes[i], &router->routes[i + 1],
                    (router->route_count - i) * sizeof *router->routes);
            return true;
        }
    }
    return false;
}

void http_router_release(struct http_router *router) {
    for (uint32_t i = 0; i < router->route_count; i++) {
        free_route(router->routes[i]);
    }
    for (uint32_t i = 0; i < router->prefix_count; i++) {
        free(router->prefixes[i].prefix);
    }
    free(router->routes);
    free(router->prefixes);
    *router = (struct http_router){0};
}

// ---- middleware
// ----------------------------------------------------------------------------------

enum status http_router_add_prefix(struct http_router *router, uint64_t id, struct slice prefix,
                                   uint64_t handler, struct error *error) {
    uint32_t count;
    enum status status = check_pattern(prefix, &count, error);
    if (status != OK) {
        return status;
    }
    if (router->prefix_count == HTTP_PREFIXES_MOST) {
        return error_set(error, ERR_LIMIT, "a server has at most %d middleware",
                         HTTP_PREFIXES_MOST);
    }
    prefix.size -= prefix.data[prefix.size - 1] == '*';
    if (memchr(prefix.data, '*', prefix.size) != NULL ||
        memchr(prefix.data, '{', prefix.size) != NULL) {
        return error_set(error, ERR_INVALID,
                         "the path of a middleware is the beginning of paths, without parameters");
    }
    router->prefixes =
        xrealloc(router->prefixes, (router->prefix_count + 1) * sizeof *router->prefixes);
    router->prefixes[router->prefix_count++] = (struct http_prefix){
        .id = id, .handler = handler, .prefix = xstrndup(prefix.data, prefix.size)};
    return OK;
}

bool http_router_remove_prefix(struct http_router *router, uint64_t id) {
    for (uint32_t i = 0; i < router->prefix_count; i++) {
        if (router->prefixes[i].id == id) {
            free(router->prefixes[i].prefix);
            router->prefix_count--;
            memmove(&router->prefixes[i], &router->prefixes[i + 1],
                    (router->prefix_count - i) * sizeof *router->prefixes);
            return true;
        }
    }
    return false;
}

uint32_t http_router_middleware(const struct http_router *router, const struct http_path *path,
                                uint64_t handlers[HTTP_PREFIXES_MOST]) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < router->prefix_count; i++) {
        size_t size = strlen(router->prefixes[i].prefix);
        if (path->text.size >= size &&
            memcmp(path->text.data, router->prefixes[i].prefix, size) == 0) {
            handlers[count++] = router->prefixes[i].handler;
        }
    }
    return count;
}

// ---- matching
// ------------------------------------------------------------------------------------

static struct slice segment_of(const struct http_path *path, uint32_t i) {
    return slice_of(path->text.data + path->segments[i].start, path->segments[i].size);
}

static bool matches(const struct http_route *route, const struct http_path *path) {
    for (uint32_t i = 0; i < route->count; i++) {
        const struct segment *segment = &route->segments[i];
        if (i >= path->count) {
            return false;
        }
        if (segment->kind == SEGMENT_REST) {
            return path->segments[i].start < path->text.size;
        }
        struct slice text = segment_of(path, i);
        if (segment->kind == SEGMENT_ONE ? text.size == 0 : !slice_equal(text, segment->text)) {
            return false;
        }
    }
    return route->count == path->count;
}

static void fill_match(const struct http_route *route, const struct http_path *path,
                       struct http_match *match) {
    match->handler = route->handler;
    match->param_count = 0;
    for (uint32_t i = 0; i < route->count; i++) {
        const struct segment *segment = &route->segments[i];
        if (segment->kind != SEGMENT_TEXT) {
            uint32_t start = path->segments[i].start;
            struct slice value = segment->kind == SEGMENT_ONE
                                     ? segment_of(path, i)
                                     : slice_of(path->text.data + start, path->text.size - start);
            match->params[match->param_count++] =
                (struct http_param){.name = segment->text, .value = value};
        }
    }
}

// How well a route's method serves; 0: not at all.
static int method_rank(const struct http_route *route, struct slice method) {
    if (slice_equal_text(method, route->method)) {
        return 3;
    }
    if (slice_equal_text(method, "HEAD") && strcmp(route->method, "GET") == 0) {
        return 2;
    }
    return strcmp(route->method, "*") == 0;
}

static void add_allowed(struct buf *allow, const char *method) {
    if (!http_list_has(buf_slice(allow), method)) {
        buf_append_text(allow, allow->size > 0 ? ", " : "");
        buf_append_text(allow, method);
    }
}

enum http_match_outcome http_router_find(const struct http_router *router,
                                         const struct http_path *path, struct slice method,
                                         struct http_match *match, struct buf *allow) {
    const struct http_route *best = NULL;
    int best_rank = 0;
    for (uint32_t i = 0; i < router->route_count; i++) {
        const struct http_route *route = router->routes[i];
        // Routes that match one path and are equally special have the same pattern.
        if (best != NULL && compare(best, route) != 0) {
            break;
        }
        if (!matches(route, path)) {
            continue;
        }
        int rank = method_rank(route, method);
        if (rank > best_rank) {
            best = route;
            best_rank = rank;
        }
        if (best == NULL) {
            add_allowed(allow, route->method);
            if (strcmp(route->method, "GET") == 0) {
                add_allowed(allow, "HEAD");
            }
        }
    }
    if (best != NULL) {
        buf_clear(allow);
        fill_match(best, path, match);
        return HTTP_MATCH;
    }
    return allow->size > 0 ? HTTP_NO_METHOD : HTTP_NO_PATH;
}

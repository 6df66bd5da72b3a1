// SPDX-License-Identifier: Apache-2.0
#include "io/url.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>

enum { HOST_MOST_BYTES = 253, LABEL_MOST_BYTES = 63, PORT_MOST = 65535 };

static enum status refuse(struct error *error, const char *why) {
    return error_set(error, ERR_INVALID, "invalid URL: %s", why);
}

static bool is_alpha(uint8_t byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_digit(uint8_t byte) {
    return byte >= '0' && byte <= '9';
}

static struct slice from(struct slice text, size_t at) {
    return slice_of(text.data + at, text.size - at);
}

// Bytes before the first one of `ends`, or all.
static size_t span_until(struct slice text, const char *ends) {
    size_t size = 0;
    while (size < text.size && strchr(ends, text.data[size]) == NULL) {
        size++;
    }
    return size;
}

// Bytes of "scheme:", or 0.
static size_t scheme_size(struct slice text) {
    size_t size = 0;
    while (size < text.size &&
           (is_alpha(text.data[size]) ||
            (size > 0 && (is_digit(text.data[size]) || strchr("+-.", text.data[size]) != NULL)))) {
        size++;
    }
    return size > 0 && size < text.size && text.data[size] == ':' ? size + 1 : 0;
}

// Blanks around are common in Location; control characters and zeros within are an attempt.
static enum status trim(struct slice *text, struct error *error) {
    while (text->size > 0 && text->data[0] == ' ') {
        *text = from(*text, 1);
    }
    while (text->size > 0 && text->data[text->size - 1] == ' ') {
        text->size--;
    }
    for (size_t i = 0; i < text->size; i++) {
        if (text->data[i] < 0x20 || text->data[i] == 0x7f) {
            return refuse(error, "it holds a control character");
        }
    }
    return text->size <= IO_URL_MOST_BYTES ? OK : refuse(error, "it is too long");
}

// A dot at the end means the same name.
static enum status append_name(struct slice host, struct buf *out, struct error *error) {
    size_t label = 0;
    if (host.size > 1 && host.data[host.size - 1] == '.') {
        host.size--;
    }
    for (size_t i = 0; i < host.size; i++) {
        uint8_t byte = host.data[i];
        if (!is_alpha(byte) && !is_digit(byte) && strchr("-_.", byte) == NULL) {
            return refuse(error, byte >= 0x80 ? "its host is not ASCII; write it in the form xn--…"
                                              : "its host holds a character that no name has");
        }
        label = byte == '.' ? 0 : label + 1;
        bool is_empty = byte == '.' && (i == 0 || i + 1 == host.size || host.data[i - 1] == '.');
        if (label > LABEL_MOST_BYTES || is_empty) {
            return refuse(error, "its host is no name");
        }
        buf_append_byte(out, byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte);
    }
    bool fits = host.size > 0 && host.size <= HOST_MOST_BYTES;
    return fits ? OK : refuse(error, host.size == 0 ? "it has no host" : "its host is too long");
}

// `host` in brackets.
static enum status append_ipv6(struct slice host, struct buf *out, struct error *error) {
    char text[INET6_ADDRSTRLEN + 1], shortest[INET6_ADDRSTRLEN + 1];
    struct in6_addr address;
    size_t size = host.size - 2;
    bool good = size < sizeof text;
    if (good) {
        memcpy(text, host.data + 1, size);
        text[size] = '\0';
        good = inet_pton(AF_INET6, text, &address) == 1 &&
               inet_ntop(AF_INET6, &address, shortest, sizeof shortest) != NULL;
    }
    if (!good) {
        return refuse(error, "its host is no IPv6 address");
    }
    buf_format(out, "[%s]", shortest);
    return OK;
}

static enum status read_port(struct slice digits, uint16_t own, uint16_t *out,
                             struct error *error) {
    uint32_t port = 0;
    for (size_t i = 0; i < digits.size; i++) {
        if (!is_digit(digits.data[i]) || port > PORT_MOST) {
            return refuse(error, "its port is no number up to 65535");
        }
        port = port * 10 + (uint32_t)(digits.data[i] - '0');
    }
    *out = digits.size == 0 ? own : (uint16_t)port;
    return port <= PORT_MOST && *out != 0 ? OK : refuse(error, "its port is no number up to 65535");
}

// Of "path?query": what may stand there as it is (RFC 3986, sections 3.3 and 3.4); an encoded byte
// is left as it is.
static bool stays(uint8_t byte) {
    return is_alpha(byte) || is_digit(byte) || strchr("-._~!$&'()*+,;=:@/?%", byte) != NULL;
}

static void append_encoded(struct slice text, struct buf *out) {
    for (size_t i = 0; i < text.size; i++) {
        if (stays(text.data[i])) {
            buf_append_byte(out, text.data[i]);
        } else {
            buf_format(out, "%%%02X", text.data[i]);
        }
    }
}

// Section 5.2.4: appends the path without its dot segments.
static void append_path(struct slice path, struct buf *out) {
    size_t start = out->size;
    while (path.size > 0) {
        assert(path.data[0] == '/');
        struct slice rest = from(path, 1);
        struct slice segment = slice_of(rest.data, span_until(rest, "/"));
        bool is_last = segment.size == rest.size;
        if (slice_equal_text(segment, "..")) {
            while (out->size > start && out->data[--out->size] != '/') {
            }
        } else if (!slice_equal_text(segment, ".")) {
            buf_append_byte(out, '/');
            append_encoded(segment, out);
            is_last = false;
        }
        // "/a/." and "/a/.." end in the folder.
        if (is_last) {
            buf_append_byte(out, '/');
        }
        path = from(rest, segment.size);
    }
    if (out->size == start) {
        buf_append_byte(out, '/');
    }
}

// "path?query" with the fragment cut off. The path is empty or begins with "/".
static void append_target(struct slice target, struct buf *out) {
    size_t path = span_until(target, "?");
    append_path(slice_of(target.data, path), out);
    append_encoded(from(target, path), out);
}

static struct slice without_fragment(struct slice text) {
    return slice_of(text.data, span_until(text, "#"));
}

// "[user@]host[:port]" into host and port.
static enum status split_authority(struct slice authority, struct slice *host, struct slice *port,
                                   struct error *error) {
    if (memchr(authority.data, '@', authority.size) != NULL) {
        return refuse(error, "it holds a user name; send an Authorization header instead");
    }
    size_t size = span_until(authority, ":");
    if (authority.size > 0 && authority.data[0] == '[') {
        size = span_until(authority, "]") + 1;
        if (size > authority.size || (size < authority.size && authority.data[size] != ':')) {
            return refuse(error, "its host is no IPv6 address");
        }
    }
    *host = slice_of(authority.data, size);
    *port = size < authority.size ? from(authority, size + 1) : slice_of(authority.data, 0);
    return OK;
}

static enum status build(bool is_https, struct slice authority, struct slice target,
                         struct io_url *out, struct error *error) {
    struct slice host = {0}, digits = {0};
    if (authority.size == 0) {
        return refuse(error, "it has no host");
    }
    enum status status = split_authority(authority, &host, &digits, error);
    struct buf text = {0};
    uint16_t own = is_https ? 443 : 80, port = 0;
    buf_append_text(&text, is_https ? "https://" : "http://");
    size_t host_at = text.size;
    if (status == OK) {
        status = host.size > 1 && host.data[0] == '[' ? append_ipv6(host, &text, error)
                                                      : append_name(host, &text, error);
    }
    size_t host_end = text.size;
    if (status == OK) {
        status = read_port(digits, own, &port, error);
    }
    if (status == OK && port != own) {
        buf_format(&text, ":%u", port);
    }
    size_t origin = text.size;
    if (status == OK) {
        append_target(target, &text);
        // Encoding may have made it three times as long.
        status = text.size <= IO_URL_MOST_BYTES ? OK : refuse(error, "it is too long");
    }
    if (status == OK) {
        char *all = xstrndup(text.data, text.size);
        *out = (struct io_url){.text = all,
                               .origin = slice_of(all, origin),
                               .host = slice_of(all + host_at, host_end - host_at),
                               .target = slice_of(all + origin, text.size - origin),
                               .port = port,
                               .is_https = is_https};
    }
    buf_release(&text);
    return status;
}

// What follows "//".
static enum status build_from(bool is_https, struct slice rest, struct io_url *out,
                              struct error *error) {
    size_t authority = span_until(rest, "/?");
    return build(is_https, slice_of(rest.data, authority), from(rest, authority), out, error);
}

enum status io_url_parse(struct slice text, struct io_url *out, struct error *error) {
    enum status status = trim(&text, error);
    if (status != OK) {
        return status;
    }
    text = without_fragment(text);
    size_t scheme = scheme_size(text);
    if (scheme == 0) {
        return refuse(error, "it must begin with https:// or http://");
    }
    bool is_https = slice_equal_any_case(slice_of(text.data, scheme), "https:");
    if (!is_https && !slice_equal_any_case(slice_of(text.data, scheme), "http:")) {
        return refuse(error, "its scheme is neither https nor http");
    }
    struct slice rest = from(text, scheme);
    if (!slice_starts_with(rest, "//")) {
        return refuse(error, "it must begin with https:// or http://");
    }
    return build_from(is_https, from(rest, 2), out, error);
}

enum status io_url_resolve(const struct io_url *base, struct slice reference, struct io_url *out,
                           struct error *error) {
    enum status status = trim(&reference, error);
    if (status != OK) {
        return status;
    }
    if (scheme_size(reference) > 0) {
        return io_url_parse(reference, out, error);
    }
    reference = without_fragment(reference);
    if (slice_starts_with(reference, "//")) {
        return build_from(base->is_https, from(reference, 2), out, error);
    }
    struct slice path = slice_of(base->target.data, span_until(base->target, "?"));
    struct buf target = {0};
    if (reference.size == 0) {
        buf_append_slice(&target, base->target);
    } else if (reference.data[0] == '?') {
        buf_append_slice(&target, path);
    } else if (reference.data[0] != '/') {
        while (path.data[path.size - 1] != '/') {
            path.size--;
        }
        buf_append_slice(&target, path);
    }
    buf_append_slice(&target, reference);
    size_t scheme = base->is_https ? strlen("https://") : strlen("http://");
    status = build(base->is_https, from(base->origin, scheme), buf_slice(&target), out, error);
    buf_release(&target);
    return status;
}

void io_url_release(struct io_url *url) {
    free(url->text);
    *url = (struct io_url){0};
}

bool io_url_same_origin(const struct io_url *a, const struct io_url *b) {
    return slice_equal(a->origin, b->origin);
}

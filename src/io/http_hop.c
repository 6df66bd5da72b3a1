// SPDX-License-Identifier: Apache-2.0
// One exchange by libcurl's multi interface, driven by the loop: curl says which sockets to watch
// and when to call it again. Its callbacks must not end a transfer, since its handle is then in
// use: they note why and return an error, and the transfer ends when curl reports its end.
#include <assert.h>
#include <errno.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/compat.h"
#include "io/address.h"
#include "io/http_internal.h"

// A socket that curl wants to be watched.
struct watched {
    uv_poll_t poll;
    struct io_http_client *client;
    curl_socket_t socket;
};

static void look_for_ends(struct io_http_client *client);

// ---- what curl wants of the loop
// -----------------------------------------------------------------

static void act(struct io_http_client *client, curl_socket_t socket, int what) {
    int running = 0;
    (void)curl_multi_socket_action(client->multi, socket, what, &running);
    look_for_ends(client);
}

static void on_socket(uv_poll_t *poll, int status, int events) {
    struct watched *watched = poll->data;
    // An error is found by whoever reads or writes, and then known for what it is: curl makes a
    // connection again that was reset while idle, but not after CURL_CSELECT_ERR.
    int what = status < 0 ? CURL_CSELECT_IN | CURL_CSELECT_OUT : 0;
    what |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    what |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    act(watched->client, watched->socket, what);
}

static void watched_closed(uv_handle_t *handle) {
    free(handle->data);
}

static int watch(CURL *easy, curl_socket_t socket, int what, void *context, void *known) {
    (void)easy;
    struct io_http_client *client = context;
    struct watched *watched = known;
    if (what == CURL_POLL_REMOVE) {
        if (watched != NULL) {
            // At once, because the socket's number may be another one's soon.
            (void)uv_poll_stop(&watched->poll);
            uv_close((uv_handle_t *)&watched->poll, watched_closed);
            (void)curl_multi_assign(client->multi, socket, NULL);
        }
        return 0;
    }
    if (watched == NULL) {
        watched = xcalloc(1, sizeof *watched);
        watched->client = client;
        watched->socket = socket;
        if (uv_poll_init_socket(io_loop_uv(client->config.loop), &watched->poll, socket) != 0) {
            fatal("cannot watch a socket");
        }
        watched->poll.data = watched;
        (void)curl_multi_assign(client->multi, socket, watched);
    }
    int events = (what & CURL_POLL_IN) != 0 ? UV_READABLE : 0;
    events |= (what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0;
    (void)uv_poll_start(&watched->poll, events, on_socket);
    return 0;
}

static void on_timer(uv_timer_t *timer) {
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long timeout_ms, void *context) {
    (void)multi;
    struct io_http_client *client = context;
    if (timeout_ms < 0) {
        (void)uv_timer_stop(&client->timer);
    } else {
        (void)uv_timer_start(&client->timer, on_timer, (uint64_t)timeout_ms, 0);
    }
    return 0;
}

enum status http_multi_open(struct io_http_client *client, struct error *error) {
    client->multi = curl_multi_init();
    if (client->multi == NULL) {
        return error_set(error, ERR_IO, "cannot make an HTTP client");
    }
    (void)curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, watch);
    (void)curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    (void)curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    (void)curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    (void)curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)HTTP_IDLE_CONNECTIONS_MOST);
    (void)curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return OK;
}

void http_multi_close(struct io_http_client *client) {
    (void)curl_multi_cleanup(client->multi);
    client->multi = NULL;
    (void)uv_timer_stop(&client->timer);
}

// ---- what comes in
// -------------------------------------------------------------------------------

// Both callbacks: 0 ends the exchange.
static size_t refuse(struct io_http_transfer *transfer, enum io_http_failure why) {
    transfer->refusal = why;
    return 0;
}

static void heard(struct io_http_transfer *transfer) {
    transfer->idle_since_ms = http_now_ms(transfer->client);
    if (!transfer->has_bytes) {
        transfer->has_bytes = true;
        http_arm(transfer);
    }
}

static void forget_response(struct io_http_transfer *transfer) {
    buf_clear(&transfer->headers_in);
    transfer->lines_in = 0;
    transfer->in_headers = transfer->has_headers = transfer->is_redirect = false;
}

static bool leads_on(const struct io_http_transfer *transfer, long status) {
    bool is_redirect =
        status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    return is_redirect && transfer->ask.max_redirects > 0 &&
           http_response_header(transfer, "location").data != NULL;
}

// Whether the length that it announces is over the limit; a length that is no number is curl's to
// refuse.
static bool announces_too_much(const struct io_http_transfer *transfer, long status) {
    struct slice length = http_response_header(transfer, "content-length");
    bool has_body = status != 204 && status != 304 &&
                    !slice_equal_text(io_http_transfer_method(transfer), "HEAD");
    return has_body && length.size > 0 &&
           strtoull((const char *)length.data, NULL, 10) > transfer->ask.most_response_bytes;
}

static size_t end_of_headers(struct io_http_transfer *transfer, size_t size) {
    long status = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) {
        forget_response(transfer);
        return size;
    }
    transfer->has_headers = true;
    transfer->is_redirect = leads_on(transfer, status);
    if (!transfer->is_redirect && announces_too_much(transfer, status)) {
        return refuse(transfer, IO_HTTP_RESPONSE_SIZE);
    }
    return size;
}

static struct slice without_blanks(struct slice text) {
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = slice_of(text.data + 1, text.size - 1);
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

static void add_line(struct io_http_transfer *transfer, struct slice line) {
    struct buf *texts = &transfer->headers_in;
    bool goes_on = line.data[0] == ' ' || line.data[0] == '\t';
    if (goes_on && transfer->lines_in > 0) {
        struct slice more = without_blanks(line);
        texts->size--;
        buf_append_byte(texts, ' ');
        buf_append_slice(texts, more);
        buf_append_byte(texts, '\0');
        return;
    }
    const uint8_t *colon = memchr(line.data, ':', line.size);
    struct slice name = slice_of(line.data, colon != NULL ? (size_t)(colon - line.data) : 0);
    // What is no field is left out; so is what a text with zeros would hide.
    if (!io_http_is_token(name) || memchr(line.data, '\0', line.size) != NULL) {
        return;
    }
    struct slice value = without_blanks(slice_of(colon + 1, line.size - name.size - 1));
    buf_append_slice(texts, name);
    buf_append_byte(texts, '\0');
    buf_append_slice(texts, value);
    buf_append_byte(texts, '\0');
    transfer->lines_in++;
}

static size_t on_header(char *data, size_t one, size_t size, void *context) {
    (void)one;
    struct io_http_transfer *transfer = context;
    heard(transfer);
    transfer->header_bytes += size;
    if (transfer->header_bytes > HTTP_HEADER_BYTES_MOST ||
        transfer->lines_in >= HTTP_HEADERS_MOST) {
        return refuse(transfer, IO_HTTP_RESPONSE_HEADERS);
    }
    struct slice line = slice_of(data, size);
    while (line.size > 0 &&
           (line.data[line.size - 1] == '\n' || line.data[line.size - 1] == '\r')) {
        line.size--;
    }
    if (transfer->has_headers) {
        return size;  // trailers
    }
    if (!transfer->in_headers) {
        transfer->in_headers = true;  // the status line
        return size;
    }
    if (line.size == 0) {
        return end_of_headers(transfer, size);
    }
    add_line(transfer, line);
    return size;
}

static size_t on_body(char *data, size_t one, size_t size, void *context) {
    (void)one;
    struct io_http_transfer *transfer = context;
    struct io_http_client *client = transfer->client;
    heard(transfer);
    if (transfer->is_redirect) {
        transfer->dropped_bytes += size;
        transfer->is_cut = transfer->dropped_bytes > HTTP_REDIRECT_BODY_MOST;
        return transfer->is_cut ? 0 : size;
    }
    if (size > transfer->ask.most_response_bytes - transfer->body_in.size) {
        return refuse(transfer, IO_HTTP_RESPONSE_SIZE);
    }
    uint64_t before =
        atomic_fetch_add_explicit(&client->response_bytes, size, memory_order_relaxed);
    if (before + size > client->config.response_bytes) {
        atomic_fetch_sub_explicit(&client->response_bytes, size, memory_order_relaxed);
        return refuse(transfer, IO_HTTP_NO_ROOM);
    }
    buf_append(&transfer->body_in, data, size);
    return size;
}

static curl_socket_t open_socket(void *context, curlsocktype purpose,
                                 struct curl_sockaddr *address) {
    (void)purpose;
    struct io_http_transfer *transfer = context;
    if (transfer->ask.is_public_only && !io_address_is_public(&address->addr)) {
        transfer->is_private_denied = true;
        return CURL_SOCKET_BAD;
    }
    int opened = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (opened < 0 && (errno == EMFILE || errno == ENFILE)) {
        transfer->refusal = IO_HTTP_NO_ROOM;
    }
    return opened < 0 ? CURL_SOCKET_BAD : opened;
}

// ---- the exchange
// --------------------------------------------------------------------------------

static void add_text(struct curl_slist **list, const char *text) {
    struct curl_slist *longer = curl_slist_append(*list, text);
    if (longer == NULL) {
        fatal("out of memory");
    }
    *list = longer;
}

static bool has_field(const struct io_http_transfer *transfer, const char *name) {
    for (uint32_t i = 0; i < transfer->header_count; i++) {
        if (slice_equal_any_case(transfer->headers[i].name, name)) {
            return true;
        }
    }
    return false;
}

static void set_fields(struct io_http_transfer *transfer) {
    struct buf line = {0};
    for (uint32_t i = 0; i < transfer->header_count; i++) {
        const struct io_http_header *header = &transfer->headers[i];
        buf_clear(&line);
        buf_append_slice(&line, header->name);
        // "name;" is curl's way to say that the value is empty.
        buf_append_text(&line, header->value.size > 0 ? ": " : ";");
        buf_append_slice(&line, header->value);
        add_text(&transfer->lines, buf_text(&line));
    }
    buf_release(&line);
    // What curl would add of its own accord.
    add_text(&transfer->lines, "Expect:");
    if (!has_field(transfer, "content-type")) {
        add_text(&transfer->lines, "Content-Type:");
    }
    (void)curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->lines);
    (void)curl_easy_setopt(transfer->easy, CURLOPT_USERAGENT, "theater/0.1");
}

static void set_message(struct io_http_transfer *transfer) {
    CURL *easy = transfer->easy;
    struct slice method = io_http_transfer_method(transfer);
    bool sends = transfer->body != NULL || slice_equal_text(method, "POST") ||
                 slice_equal_text(method, "PUT") || slice_equal_text(method, "PATCH");
    if (slice_equal_text(method, "HEAD")) {
        (void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (sends) {
        struct slice body = bytes_slice(transfer->body);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                               body.data != NULL ? (const char *)body.data : "");
    } else {
        (void)curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, (const char *)transfer->method.data);
    set_fields(transfer);
}

// What curl would read from elsewhere or decide for itself.
static void set_rules(struct io_http_transfer *transfer) {
    CURL *easy = transfer->easy;
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    (void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    // With a folder curl reads the store for each connection; so only when there is nothing else.
    const struct io_http_client *client = transfer->client;
    (void)curl_easy_setopt(easy, CURLOPT_CAPATH, client->certificate_folder);
    if (client->certificate_file != NULL || client->certificate_folder != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, client->certificate_file);
    }
    if (transfer->ask.is_public_only) {
        // A connection that somebody else opened was not checked.
        (void)curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
    uint64_t connect_ms = transfer->ask.connect_timeout_ms;
    uint64_t most = INT32_MAX;
    connect_ms = connect_ms == 0 || connect_ms > most ? most : connect_ms;
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
}

static void set_callbacks(struct io_http_transfer *transfer) {
    CURL *easy = transfer->easy;
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
}

// Tells curl the addresses, so that it looks up nothing itself: "+host:port:address,…", where "+"
// lets it forget them again.
static bool set_addresses(struct io_http_transfer *transfer,
                          const struct sockaddr_storage *addresses, uint32_t count) {
    struct buf line = {0};
    buf_format(&line, "+%.*s:%u:", (int)transfer->url.host.size,
               (const char *)transfer->url.host.data, transfer->url.port);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct sockaddr *address = (const struct sockaddr *)&addresses[i];
        char text[INET6_ADDRSTRLEN + 1];
        bool is_v4 = address->sa_family == AF_INET;
        if (transfer->ask.is_public_only && !io_address_is_public(address)) {
            continue;
        }
        int code = is_v4
                       ? uv_ip4_name((const struct sockaddr_in *)&addresses[i], text, sizeof text)
                       : uv_ip6_name((const struct sockaddr_in6 *)&addresses[i], text, sizeof text);
        if (code == 0) {
            buf_format(&line, "%s%s%s%s", kept > 0 ? "," : "", is_v4 ? "" : "[", text,
                       is_v4 ? "" : "]");
            kept++;
        }
    }
    if (kept > 0 && transfer->url.host.data[0] != '[') {
        add_text(&transfer->addresses, buf_text(&line));
        (void)curl_easy_setopt(transfer->easy, CURLOPT_RESOLVE, transfer->addresses);
    }
    buf_release(&line);
    return kept > 0;
}

static void deny_address(struct io_http_transfer *transfer) {
    http_finish(transfer, IO_HTTP_DENIED, "permission denied: %.*s is not a public address",
                (int)transfer->url.host.size, (const char *)transfer->url.host.data);
}

void http_exchange(struct io_http_transfer *transfer, const struct sockaddr_storage *addresses,
                   uint32_t count) {
    struct io_http_client *client = transfer->client;
    transfer->state = HTTP_EXCHANGING;
    forget_response(transfer);
    transfer->has_bytes = transfer->is_cut = transfer->is_private_denied = false;
    transfer->dropped_bytes = transfer->header_bytes = 0;
    transfer->refusal = IO_HTTP_NONE;
    transfer->idle_since_ms = http_now_ms(client);
    transfer->easy = curl_easy_init();
    if (transfer->easy == NULL) {
        fatal("out of memory");
    }
    (void)curl_easy_setopt(transfer->easy, CURLOPT_URL, transfer->url.text);
    set_rules(transfer);
    set_message(transfer);
    set_callbacks(transfer);
    if (!set_addresses(transfer, addresses, count)) {
        deny_address(transfer);
        return;
    }
    if (curl_multi_add_handle(client->multi, transfer->easy) != CURLM_OK) {
        http_finish(transfer, IO_HTTP_FAILED, "the request could not be begun");
        return;
    }
    http_arm(transfer);
}

void http_exchange_stop(struct io_http_transfer *transfer) {
    (void)curl_multi_remove_handle(transfer->client->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->lines);
    curl_slist_free_all(transfer->addresses);
    transfer->easy = NULL;
    transfer->lines = transfer->addresses = NULL;
    transfer->state = HTTP_NEW;
}

// ---- its end
// -------------------------------------------------------------------------------------

static const char *certificate_problem(long verify) {
    switch (verify) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return "the certificate has expired";
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return "the certificate is not valid yet";
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
            return "the certificate is not from a trusted authority";
        case X509_V_OK:
        case X509_V_ERR_UNSPECIFIED:  // what curl begins with; it compares the names itself
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return "the certificate is for another host";
        default:
            return "the certificate is not valid";
    }
}

static const struct {
    CURLcode code;
    enum io_http_failure failure;
    const char *text;
} ends[] = {
    {CURLE_COULDNT_RESOLVE_HOST, IO_HTTP_NOT_RESOLVED, "name not resolved"},
    {CURLE_OPERATION_TIMEDOUT, IO_HTTP_CONNECT_TIMEOUT, "timeout: no connection"},
    {CURLE_SSL_CONNECT_ERROR, IO_HTTP_TLS, "tls: the handshake failed"},
    {CURLE_SSL_CACERT_BADFILE, IO_HTTP_TLS,
     "tls: the store of trusted certificates cannot be read"},
    {CURLE_GOT_NOTHING, IO_HTTP_CLOSED, "connection closed without a response"},
    {CURLE_PARTIAL_FILE, IO_HTTP_CLOSED, "connection closed within the response"},
    {CURLE_RECV_ERROR, IO_HTTP_CLOSED, "connection broken within the response"},
    {CURLE_SEND_ERROR, IO_HTTP_CLOSED, "connection broken within the request"},
    {CURLE_UNSUPPORTED_PROTOCOL, IO_HTTP_BAD_RESPONSE, "invalid response: it is not HTTP/1"},
    {CURLE_WEIRD_SERVER_REPLY, IO_HTTP_BAD_RESPONSE, "invalid response: it is not HTTP/1"},
};

static void fail_to_connect(struct io_http_transfer *transfer, long problem) {
    struct slice host = transfer->url.host;
    enum io_http_failure failure = IO_HTTP_UNREACHABLE;
    const char *text = "host unreachable";
    if (problem == ECONNREFUSED) {
        failure = IO_HTTP_REFUSED;
        text = "connection refused";
    } else if (problem == ETIMEDOUT) {
        failure = IO_HTTP_CONNECT_TIMEOUT;
        text = "timeout: no connection";
    }
    http_finish(transfer, failure, "%s: %.*s:%u", text, (int)host.size, (const char *)host.data,
                transfer->url.port);
}

// A failure that a callback of ours made.
static void fail_by_rule(struct io_http_transfer *transfer) {
    switch ((int)transfer->refusal) {
        case IO_HTTP_RESPONSE_SIZE:
            http_finish(transfer, transfer->refusal,
                        "response too large: its body has more than %llu bytes",
                        (unsigned long long)transfer->ask.most_response_bytes);
            break;
        case IO_HTTP_RESPONSE_HEADERS:
            http_finish(transfer, transfer->refusal,
                        "response headers too large: more than %d fields or %d bytes",
                        (int)HTTP_HEADERS_MOST, (int)HTTP_HEADER_BYTES_MOST);
            break;
        default:
            http_finish(transfer, IO_HTTP_NO_ROOM, "the node has no room for another exchange");
            break;
    }
}

static void fail_by_curl(struct io_http_transfer *transfer, CURLcode code, long verify,
                         long problem) {
    if (code == CURLE_COULDNT_CONNECT) {
        fail_to_connect(transfer, problem);
        return;
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        http_finish(transfer, IO_HTTP_CERTIFICATE, "tls: %s", certificate_problem(verify));
        return;
    }
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        if (ends[i].code == code) {
            http_finish(transfer, ends[i].failure, "%s", ends[i].text);
            return;
        }
    }
    http_finish(transfer, IO_HTTP_FAILED, "the exchange failed (%d)", (int)code);
}

static void exchange_ended(struct io_http_transfer *transfer, CURLcode code) {
    long status = 0, verify = 0, problem = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_SSL_VERIFYRESULT, &verify);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &problem);
    http_exchange_stop(transfer);
    transfer->response.status = (uint32_t)status;
    if ((code == CURLE_OK && transfer->has_headers) || transfer->is_cut) {
        http_hop_ended(transfer);
    } else if (code == CURLE_OK) {
        http_finish(transfer, IO_HTTP_BAD_RESPONSE, "invalid response: it is not HTTP/1");
    } else if (transfer->is_private_denied) {
        deny_address(transfer);
    } else if (transfer->refusal != IO_HTTP_NONE) {
        fail_by_rule(transfer);
    } else {
        fail_by_curl(transfer, code, verify, problem);
    }
}

static void look_for_ends(struct io_http_client *client) {
    int left = 0;
    for (CURLMsg *message = curl_multi_info_read(client->multi, &left); message != NULL;
         message = curl_multi_info_read(client->multi, &left)) {
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        CURLcode code = message->data.result;
        char *private = NULL;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        exchange_ended((struct io_http_transfer *)(void *)private, code);
    }
}

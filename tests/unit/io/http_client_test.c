// SPDX-License-Identifier: Apache-2.0
// The HTTP client against a small server: bounds, order, ends of all kinds, denied addresses. What
// goes over the wire is looked at by tests/system/test_http_client.py.
#include "io/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/loop.h"
#include "test.h"

// ---- a server
// ------------------------------------------------------------------------------------

// What it does after the head of a request: 'a' answers, 'h' hangs until the client is gone, 's'
// answers a part and hangs.
struct server {
    int listener;
    uint16_t port;
    pthread_t thread;
    _Atomic uint32_t now, most, served;  // requests under way, the most of them at once, all
    sem_t begun;                         // posted for each that hangs
    sem_t go;                            // each answer waits for it
};

struct connection {
    struct server *server;
    int socket;
};

static void answer(struct connection *connection, char what) {
    static const char good[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok";
    struct server *server = connection->server;
    char byte;
    uint32_t now = atomic_fetch_add(&server->now, 1) + 1, most = atomic_load(&server->most);
    while (now > most && !atomic_compare_exchange_weak(&server->most, &most, now)) {
    }
    if (what == 'a') {
        sem_wait(&server->go);
    }
    // Before the answer, which lets the next one come.
    atomic_fetch_sub(&server->now, 1);
    atomic_fetch_add(&server->served, 1);
    if (what != 'h') {
        (void)send(connection->socket, good, sizeof good - 1 - (what == 's'), MSG_NOSIGNAL);
    }
    if (what != 'a') {
        sem_post(&server->begun);
        while (recv(connection->socket, &byte, 1, 0) > 0) {
        }
    }
}

static void *serve(void *argument) {
    struct connection *connection = argument;
    char head[4096];
    size_t size = 0;
    ssize_t got;
    while ((got = recv(connection->socket, head + size, sizeof head - 1 - size, 0)) > 0) {
        size += (size_t)got;
        head[size] = '\0';
        if (strstr(head, "\r\n\r\n") != NULL) {
            answer(connection, strchr(head, '/')[1]);
            size = 0;
        }
    }
    close(connection->socket);
    free(connection);
    return NULL;
}

static void *accept_all(void *argument) {
    struct server *server = argument;
    int socket;
    while ((socket = accept(server->listener, NULL, NULL)) >= 0) {
        struct connection *connection = xcalloc(1, sizeof *connection);
        *connection = (struct connection){server, socket};
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, serve, connection) == 0);
        pthread_detach(thread);
    }
    return NULL;
}

// Static: its connections' threads may outlive the test by a moment.
static void server_start(struct server *server) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    sem_init(&server->begun, 0, 0);
    sem_init(&server->go, 0, 0);
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(bind(server->listener, (struct sockaddr *)&address, size) == 0);
    REQUIRE(listen(server->listener, 128) == 0);
    REQUIRE(getsockname(server->listener, (struct sockaddr *)&address, &size) == 0);
    server->port = ntohs(address.sin_port);
    REQUIRE(pthread_create(&server->thread, NULL, accept_all, server) == 0);
}

static void server_stop(struct server *server) {
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
}

// ---- a client
// ------------------------------------------------------------------------------------

struct asked {
    struct io_http_transfer *transfer;
    sem_t done;
    _Atomic uint32_t times;
};

static void note_done(void *context, struct io_http_transfer *transfer) {
    struct asked *asked = context;
    EXPECT(transfer == asked->transfer && io_http_is_done(transfer));
    atomic_fetch_add(&asked->times, 1);
    sem_post(&asked->done);
}

static void ask(struct io_http_client *client, const struct server *server, const char *host,
                const char *path, struct io_http_ask ask, struct asked *asked) {
    char url[256];
    (void)snprintf(url, sizeof url, "http://%s:%u/%s", host, server->port, path);
    ask.method = slice_text("GET");
    ask.url = slice_text(url);
    ask.timeout_ms = ask.timeout_ms == 0 ? 60000 : ask.timeout_ms;
    ask.most_response_bytes = 1000;
    ask.done = note_done;
    ask.context = asked;
    atomic_init(&asked->times, 0);
    sem_init(&asked->done, 0, 0);
    struct error error = {0};
    REQUIRE_OK(io_http_transfer_new(&ask, &asked->transfer, &error), error);
    io_http_start(client, asked->transfer);
}

static void expect_end(int line, struct asked *asked, enum io_http_failure wanted) {
    sem_wait(&asked->done);
    enum io_http_failure failure = io_http_failure(asked->transfer);
    if (failure != wanted) {
        test_report(__FILE__, line, "ended with %d (%s), wanted %d", (int)failure,
                    io_http_error(asked->transfer)->message, (int)wanted);
    }
    EXPECT_U64(atomic_load(&asked->times), 1);
    io_http_transfer_unref(asked->transfer);
}

static struct io_loop *loop;
static struct io_http_client *client;

static void start(struct io_http_client_config config) {
    struct error error = {0};
    REQUIRE_OK(io_loop_new(&loop, &error), error);
    config.loop = loop;
    REQUIRE_OK(io_http_client_new(&config, &client, &error), error);
}

static void stop(void) {
    io_http_client_free(client);
    io_loop_free(loop);
}

static const struct io_http_ask plain = {.max_redirects = 1};

TEST(a_response) {
    static struct server server;
    server_start(&server);
    start((struct io_http_client_config){.transfers_most = 1});
    struct asked asked;
    ask(client, &server, "127.0.0.1", "a", plain, &asked);
    sem_post(&server.go);
    sem_wait(&asked.done);
    REQUIRE(io_http_failure(asked.transfer) == IO_HTTP_NONE);
    const struct io_http_response *response = io_http_response(asked.transfer);
    EXPECT_U64(response->status, 200);
    EXPECT_U64(response->header_count, 2);
    EXPECT(slice_equal_text(response->headers[1].name, "X-A"));
    EXPECT(slice_equal_text(response->headers[1].value, "b"));
    EXPECT(slice_equal_text(response->body, "ok"));
    stop();
    // It outlives the client.
    EXPECT(slice_equal_text(response->body, "ok"));
    io_http_transfer_unref(asked.transfer);
    server_stop(&server);
}

TEST(no_more_at_once_than_permitted) {
    enum { MANY = 40, MOST = 4 };
    static struct server server;
    static struct asked asked[MANY];
    server_start(&server);
    start((struct io_http_client_config){.transfers_most = MOST, .transfers_of_one_host = MOST});
    for (int i = 0; i < MANY; i++) {
        ask(client, &server, "127.0.0.1", "a", plain, &asked[i]);
    }
    for (int i = 0; i < MANY; i++) {
        sem_post(&server.go);
    }
    for (int i = 0; i < MANY; i++) {
        expect_end(__LINE__, &asked[i], IO_HTTP_NONE);
    }
    EXPECT_U64(server.served, MANY);
    EXPECT(server.most <= MOST && server.most > 0);
    stop();
    server_stop(&server);
}

TEST(a_host_that_hangs_holds_up_only_itself) {
    static struct server slow, quick;
    static struct asked hanging[6], answered;
    server_start(&slow);
    server_start(&quick);
    start((struct io_http_client_config){.transfers_most = 4, .transfers_of_one_host = 2});
    for (int i = 0; i < 6; i++) {
        ask(client, &slow, "127.0.0.1", "h", plain, &hanging[i]);
    }
    sem_wait(&slow.begun);
    sem_wait(&slow.begun);
    sem_post(&quick.go);
    ask(client, &quick, "127.0.0.1", "a", plain, &answered);
    expect_end(__LINE__, &answered, IO_HTTP_NONE);
    EXPECT_U64(slow.served, 2);
    // One that waits and one that is under way.
    io_http_cancel(hanging[5].transfer);
    expect_end(__LINE__, &hanging[5], IO_HTTP_CANCELLED);
    io_http_cancel(hanging[0].transfer);
    io_http_cancel(hanging[0].transfer);
    expect_end(__LINE__, &hanging[0], IO_HTTP_CANCELLED);
    // The next one of that host takes its place.
    sem_wait(&slow.begun);
    stop();
    for (int i = 1; i < 5; i++) {
        expect_end(__LINE__, &hanging[i], IO_HTTP_STOPPING);
    }
    server_stop(&slow);
    server_stop(&quick);
}

TEST(what_begins_after_a_stop_ends_at_once) {
    static struct server server;
    struct asked asked;
    server_start(&server);
    start((struct io_http_client_config){0});
    io_http_client_stop(client);
    ask(client, &server, "127.0.0.1", "a", plain, &asked);
    expect_end(__LINE__, &asked, IO_HTTP_STOPPING);
    stop();
    EXPECT_U64(server.served, 0);
    server_stop(&server);
}

TEST(times_of_their_own) {
    static struct server server;
    struct asked asked[3];
    server_start(&server);
    start((struct io_http_client_config){0});
    struct io_http_ask first = plain, between = plain, all = plain;
    first.first_byte_timeout_ms = 50;
    between.between_bytes_timeout_ms = 50;
    all.timeout_ms = 50;
    ask(client, &server, "127.0.0.1", "h", first, &asked[0]);
    ask(client, &server, "127.0.0.1", "s", between, &asked[1]);
    ask(client, &server, "127.0.0.1", "s", all, &asked[2]);
    expect_end(__LINE__, &asked[0], IO_HTTP_TIMEOUT);
    expect_end(__LINE__, &asked[1], IO_HTTP_READ_TIMEOUT);
    expect_end(__LINE__, &asked[2], IO_HTTP_TIMEOUT);
    stop();
    server_stop(&server);
}

TEST(addresses_that_are_not_public) {
    static struct server server;
    static const char *const hosts[] = {
        "127.0.0.1",  "localhost",          "[::1]", "127.1", "2130706433",
        "0x7f.0.0.1", "[::ffff:127.0.0.1]", "0"};
    server_start(&server);
    start((struct io_http_client_config){0});
    struct io_http_ask public = plain;
    public.is_public_only = true;
    // A connection that is there already must not be used.
    struct asked asked;
    sem_post(&server.go);
    ask(client, &server, "localhost", "a", plain, &asked);
    expect_end(__LINE__, &asked, IO_HTTP_NONE);
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        ask(client, &server, hosts[i], "a", public, &asked);
        expect_end(__LINE__, &asked, IO_HTTP_DENIED);
    }
    EXPECT_U64(server.served, 1);
    stop();
    server_stop(&server);
}

// One at a time, so that the end of each begins the next one's look-up.
TEST(more_names_than_are_remembered) {
    enum { NAMES = 1100 };
    static struct server server = {.port = 9};
    static struct asked asked[NAMES];
    start((struct io_http_client_config){.transfers_most = 1});
    struct io_http_ask public = plain;
    public.is_public_only = true;
    for (int i = 0; i < NAMES; i++) {
        char host[16];
        (void)snprintf(host, sizeof host, "127.%d", i + 1);
        ask(client, &server, host, "a", public, &asked[i]);
    }
    for (int i = 0; i < NAMES; i++) {
        expect_end(__LINE__, &asked[i], IO_HTTP_DENIED);
    }
    stop();
}

static enum status deny(void *context, struct slice method, const struct io_url *url,
                        struct error *error) {
    (void)context;
    EXPECT(slice_equal_text(method, "GET") && slice_equal_text(url->target, "/a"));
    return error_set(error, ERR_DENIED, "not this one");
}

TEST(a_hop_that_is_not_permitted) {
    static struct server server;
    struct asked asked;
    server_start(&server);
    start((struct io_http_client_config){0});
    struct io_http_ask denied = plain;
    denied.permit = deny;
    ask(client, &server, "127.0.0.1", "a", denied, &asked);
    sem_wait(&asked.done);
    EXPECT(io_http_failure(asked.transfer) == IO_HTTP_DENIED);
    EXPECT_TEXT(io_http_error(asked.transfer)->message, "not this one");
    io_http_transfer_unref(asked.transfer);
    stop();
    EXPECT_U64(server.served, 0);
    server_stop(&server);
}

TEST(the_bodies_of_all_are_bounded) {
    static struct server server;
    struct asked asked[2];
    server_start(&server);
    start((struct io_http_client_config){.response_bytes = 3, .transfers_most = 1});
    sem_post(&server.go);
    sem_post(&server.go);
    ask(client, &server, "127.0.0.1", "a", plain, &asked[0]);
    sem_wait(&asked[0].done);
    ask(client, &server, "127.0.0.1", "a", plain, &asked[1]);
    expect_end(__LINE__, &asked[1], IO_HTTP_NO_ROOM);
    EXPECT(io_http_failure(asked[0].transfer) == IO_HTTP_NONE);
    io_http_transfer_unref(asked[0].transfer);
    // What was given back can be used again.
    sem_post(&server.go);
    ask(client, &server, "127.0.0.1", "a", plain, &asked[1]);
    expect_end(__LINE__, &asked[1], IO_HTTP_NONE);
    stop();
    server_stop(&server);
}

struct watching {
    struct io_post post;
    struct io_http_watcher watchers[3];
    struct io_http_transfer *transfer;
    sem_t done;
    uint32_t fired;
};

static struct watching watching;

static void fire_and_count(struct io_http_watcher *watcher) {
    EXPECT(watcher != &watching.watchers[1]);
    watching.fired++;
    sem_post(&watching.done);
}

static void watch(struct io_post *post) {
    (void)post;
    for (int i = 0; i < 3; i++) {
        watching.watchers[i].fire = fire_and_count;
        io_http_watch(watching.transfer, &watching.watchers[i]);
    }
    io_http_unwatch(&watching.watchers[1]);
    io_http_unwatch(&watching.watchers[1]);
    sem_post(&watching.done);
}

TEST(others_are_told) {
    static struct server server;
    struct asked asked;
    server_start(&server);
    start((struct io_http_client_config){0});
    ask(client, &server, "127.0.0.1", "a", plain, &asked);
    watching.transfer = asked.transfer;
    watching.post.run = watch;
    sem_init(&watching.done, 0, 0);
    io_loop_post(loop, &watching.post);
    sem_wait(&watching.done);
    EXPECT_U64(watching.fired, 0);
    sem_post(&server.go);
    sem_wait(&watching.done);
    sem_wait(&watching.done);
    EXPECT_U64(watching.fired, 2);
    expect_end(__LINE__, &asked, IO_HTTP_NONE);
    stop();
    server_stop(&server);
}

int main(void) {
    return test_main();
}

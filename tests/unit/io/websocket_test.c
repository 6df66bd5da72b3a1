// SPDX-License-Identifier: Apache-2.0
// A WebSocket connection over a real socket: the client is this program's main thread, written by
// hand, so that it can do what no client would.
#include "io/websocket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/compat.h"
#include "test.h"

enum { PATIENCE_MS = 20000 };

// The server: one connection at a time. Its fields are the loop's but for those under the lock.
struct server {
    struct io_loop *loop;
    uv_tcp_t listener;
    struct websocket_config config;
    struct websocket *socket;
    bool holds;   // messages are kept until `post_continue`
    bool echoes;  // and otherwise sent back, or only noted
    struct io_post post;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct buf seen;  // "text:abc ping: ended:1000 gone "
    uint16_t port;
    bool is_done;  // the last post ran
};
static struct server server;

static void note(const char *what, struct slice text) {
    pthread_mutex_lock(&server.lock);
    buf_append_text(&server.seen, what);
    buf_append_slice(&server.seen, slice_of(text.data, text.size < 20 ? text.size : 20));
    buf_append_byte(&server.seen, ' ');
    pthread_cond_broadcast(&server.changed);
    pthread_mutex_unlock(&server.lock);
}

static void on_message(void *context, const struct websocket_message *message) {
    (void)context;
    note(message->kind == WEBSOCKET_TEXT     ? "text:"
         : message->kind == WEBSOCKET_BINARY ? "binary:"
         : message->kind == WEBSOCKET_PING   ? "ping:"
                                             : "pong:",
         message->payload);
    if (server.holds) {
        return;
    }
    bool is_text = message->kind == WEBSOCKET_TEXT || message->kind == WEBSOCKET_BINARY;
    if (is_text && server.echoes) {
        (void)websocket_send(server.socket, message->kind, message->payload);
    }
    websocket_continue(server.socket);
}

static void on_end(void *context, struct slice close) {
    (void)context;
    char code[8];
    (void)snprintf(code, sizeof code, "%d", websocket_close_code(close));
    note("ended:", slice_text(code));
}

static void on_gone(void *context) {
    (void)context;
    server.socket = NULL;
    note("gone", slice_of(NULL, 0));
}

static const struct websocket_handler handler = {
    .message = on_message, .ended = on_end, .gone = on_gone};

static void on_connection(uv_stream_t *listener, int code) {
    REQUIRE(code == 0);
    server.socket = websocket_new(&server.config);
    struct io_stream *stream =
        io_stream_accept(server.loop, listener, NULL, &websocket_stream, server.socket);
    REQUIRE(stream != NULL);
    io_stream_pause(stream);
    websocket_begin(server.socket, stream, "0123456789012345678901234567", slice_of(NULL, 0));
    websocket_continue(server.socket);
}

static void finish_post(void) {
    pthread_mutex_lock(&server.lock);
    server.is_done = true;
    pthread_cond_broadcast(&server.changed);
    pthread_mutex_unlock(&server.lock);
}

// Runs `run` on the loop and waits for it.
static void on_loop(void (*run)(struct io_post *post)) {
    server.is_done = false;
    server.post.run = run;
    io_loop_post(server.loop, &server.post);
    pthread_mutex_lock(&server.lock);
    while (!server.is_done) {
        pthread_cond_wait(&server.changed, &server.lock);
    }
    pthread_mutex_unlock(&server.lock);
}

static void run_listen(struct io_post *post) {
    (void)post;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int size = sizeof address;
    bool is_fine = uv_tcp_init(io_loop_uv(server.loop), &server.listener) == 0 &&
                   uv_tcp_bind(&server.listener, (struct sockaddr *)&address, 0) == 0 &&
                   uv_listen((uv_stream_t *)&server.listener, 8, on_connection) == 0 &&
                   uv_tcp_getsockname(&server.listener, (struct sockaddr *)&address, &size) == 0;
    EXPECT(is_fine);
    server.port = ntohs(address.sin_port);
    finish_post();
}

static void run_end(struct io_post *post) {
    (void)post;
    uv_close((uv_handle_t *)&server.listener, NULL);
    finish_post();
}

static void start(void) {
    server = (struct server){.echoes = true,
                             .config = {.message_bytes = 100000,
                                        .queue_bytes = 100000,
                                        .ping_ms = 60000,
                                        .close_ms = 200,
                                        .handler = &handler}};
    pthread_mutex_init(&server.lock, NULL);
    pthread_cond_init(&server.changed, NULL);
    struct error error = {0};
    REQUIRE_OK(io_loop_new(&server.loop, &error), error);
    server.config.loop = server.loop;
    on_loop(run_listen);
}

// Waits until the connection is gone, and ends the server.
static const char *end(void) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&server.lock);
    int code = 0;
    while (code == 0 && strstr(buf_text(&server.seen), "gone") == NULL) {
        code = pthread_cond_timedwait(&server.changed, &server.lock, &until);
    }
    pthread_mutex_unlock(&server.lock);
    on_loop(run_end);
    io_loop_free(server.loop);
    static char seen[4096];
    (void)snprintf(seen, sizeof seen, "%s", buf_text(&server.seen));
    buf_release(&server.seen);
    return seen;
}

// ---- the client --------------------------------------------------------------------------------

static int client;

static struct bytes *receive(size_t size) {
    struct bytes *got = bytes_new(size);
    for (size_t at = 0; at < size;) {
        struct pollfd ready = {.fd = client, .events = POLLIN};
        ssize_t part =
            poll(&ready, 1, PATIENCE_MS) == 1 ? recv(client, got->data + at, size - at, 0) : -1;
        if (part <= 0) {
            test_report(__FILE__, __LINE__, "%zu of %zu bytes came", at, size);
            memset(got->data + at, 0, size - at);
            break;
        }
        at += (size_t)part;
    }
    return got;
}

static void expect_bytes(const char *wanted, size_t size) {
    struct bytes *got = receive(size);
    if (memcmp(got->data, wanted, size) != 0) {
        test_report(__FILE__, __LINE__, "got %x %x %x %x", got->data[0], got->data[1],
                    size > 2 ? got->data[2] : 0, size > 3 ? got->data[3] : 0);
    }
    bytes_unref(got);
}
#define EXPECT_BYTES(wanted) expect_bytes(wanted, sizeof(wanted) - 1)

// The server has closed, or cut, the connection.
static void expect_end(void) {
    uint8_t rest[4096];
    ssize_t size;
    do {
        struct pollfd ready = {.fd = client, .events = POLLIN};
        REQUIRE(poll(&ready, 1, PATIENCE_MS) == 1);
        size = recv(client, rest, sizeof rest, 0);
    } while (size > 0);
    EXPECT(size == 0 || errno == ECONNRESET);
    close(client);
}

static void send_bytes(const char *bytes, size_t size) {
    REQUIRE(send(client, bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
}
#define SEND(bytes) send_bytes(bytes, sizeof(bytes) - 1)

static void dial(void) {
    client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(server.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    REQUIRE(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    EXPECT_BYTES(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: 0123456789012345678901234567\r\n\r\n");
}

// A mask of zeros leaves the payload as it is.
#define MASK "\0\0\0\0"

TEST(messages_and_a_close_of_the_client) {
    start();
    dial();
    SEND("\x81\x83" MASK "abc\x82\x81" MASK "d\x89\x81" MASK "p\x8A\x80" MASK);
    EXPECT_BYTES(
        "\x81\x03"
        "abc\x82\x01"
        "d\x8A\x01"
        "p");
    SEND("\x88\x85" MASK
         "\x03\xE8"
         "bye");
    EXPECT_BYTES("\x88\x02\x03\xE8");
    expect_end();
    EXPECT_TEXT(end(), "text:abc binary:d ping:p pong: ended:1000 gone ");
}

TEST(a_close_without_a_code) {
    start();
    dial();
    SEND("\x88\x80" MASK);
    EXPECT_BYTES("\x88\x00");
    expect_end();
    EXPECT_TEXT(end(), "ended:1005 gone ");
}

TEST(a_client_that_breaks_the_protocol) {
    start();
    dial();
    SEND("\x81\x81" MASK
         "a\x81\x01"
         "b and more that nobody reads");
    EXPECT_BYTES(
        "\x81\x01"
        "a\x88\x17\x03\xEA"
        "a frame is not masked");
    expect_end();
    EXPECT_TEXT(end(), "text:a ended:1005 gone ");
}

TEST(a_client_that_vanishes) {
    start();
    dial();
    SEND("\x81\x85" MASK "ab");
    struct linger hard = {.l_onoff = 1};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(client);
    EXPECT_TEXT(end(), "ended:1005 gone ");
}

static void run_close(struct io_post *post) {
    (void)post;
    websocket_close(server.socket, WEBSOCKET_GOING_AWAY, slice_text("end"));
    EXPECT(!websocket_send(server.socket, WEBSOCKET_TEXT, slice_text("late")));
    finish_post();
}

TEST(a_close_of_the_server) {
    start();
    dial();
    on_loop(run_close);
    EXPECT_BYTES(
        "\x88\x05\x03\xE9"
        "end");
    // What was under way is dropped.
    SEND("\x81\x83" MASK "abc\x88\x82" MASK "\x03\xE9");
    expect_end();
    EXPECT_TEXT(end(), "ended:1001 gone ");
}

TEST(a_client_that_does_not_answer_a_close) {
    start();
    dial();
    on_loop(run_close);
    expect_end();
    EXPECT_TEXT(end(), "ended:1005 gone ");
}

static void run_continue(struct io_post *post) {
    (void)post;
    server.holds = false;
    websocket_continue(server.socket);
    finish_post();
}

// A binary message of the client that is larger than a few at once can be under way.
static const char *large_frame(size_t *size) {
    static char frame[4 + 4 + 60000] = "\x82\xFE\xEA\x60";
    memset(frame + 8, 'x', sizeof frame - 8);
    *size = sizeof frame;
    return frame;
}

static void wait_for(const char *what) {
    pthread_mutex_lock(&server.lock);
    while (strstr(buf_text(&server.seen), what) == NULL) {
        pthread_cond_wait(&server.changed, &server.lock);
    }
    pthread_mutex_unlock(&server.lock);
}

TEST(one_message_at_a_time_and_the_rest_waits_at_the_client) {
    start();
    server.holds = true;
    dial();
    SEND("\x81\x85" MASK "first\x81\x86" MASK "second");
    wait_for("first");
    // Nothing is read: what is sent fills the socket buffers and then stops.
    size_t frame_size;
    const char *frame = large_frame(&frame_size);
    uint64_t sent = 0;
    ssize_t size;
    while ((size = send(client, frame, frame_size, MSG_DONTWAIT | MSG_NOSIGNAL)) ==
           (ssize_t)frame_size) {
        sent += (uint64_t)size;
        REQUIRE(sent < UINT64_C(100) << 20);
    }
    pthread_mutex_lock(&server.lock);
    EXPECT_TEXT(buf_text(&server.seen), "text:first ");
    pthread_mutex_unlock(&server.lock);
    on_loop(run_continue);
    wait_for("second");
    EXPECT_BYTES(
        "\x81\x06"
        "second");
    close(client);
    const char *seen = end();
    EXPECT(strncmp(seen, "text:first text:second binary:", 30) == 0);
    EXPECT_CONTAINS(seen, "ended:1005 gone ");
}

TEST(a_message_outlives_its_connection) {
    start();
    server.holds = true;
    server.config.ping_ms = 20;
    dial();
    SEND("\x81\x83" MASK "abc");
    wait_for("abc");
    on_loop(run_close);
    // The client answers nothing: the connection is cut while the owner has the message.
    expect_end();
    wait_for("ended:1005");
    pthread_mutex_lock(&server.lock);
    EXPECT_TEXT(buf_text(&server.seen), "text:abc ended:1005 ");
    pthread_mutex_unlock(&server.lock);
    on_loop(run_continue);
    EXPECT_TEXT(end(), "text:abc ended:1005 gone ");
}

static void run_flood(struct io_post *post) {
    (void)post;
    static const uint8_t zeros[50000];
    uint64_t sent = 0;
    while (websocket_send(server.socket, WEBSOCKET_BINARY, slice_of(zeros, sizeof zeros))) {
        sent += sizeof zeros;
        if (sent > UINT64_C(100) << 20) {
            test_report(__FILE__, __LINE__, "a client that reads nothing may pile up anything");
            break;
        }
    }
    finish_post();
}

TEST(a_client_that_reads_nothing_is_cut_off) {
    start();
    dial();
    on_loop(run_flood);
    EXPECT_TEXT(end(), "ended:1005 gone ");
    close(client);
}

TEST(a_client_that_takes_nothing_for_too_long_is_cut_off) {
    start();
    server.config.queue_bytes = UINT64_C(1) << 30;
    server.config.ping_ms = 50;
    dial();
    size_t size;
    const char *frame = large_frame(&size);
    // It sends what is echoed until that stops too, because nothing is read any more.
    while (send(client, frame, size, MSG_NOSIGNAL) == (ssize_t)size) {
    }
    close(client);
    EXPECT_CONTAINS(end(), "ended:1005 gone ");
}

TEST(a_silent_client_is_asked_and_then_cut_off) {
    start();
    server.config.ping_ms = 50;
    dial();
    EXPECT_BYTES("\x89\x08\x00\xFFka\x00\x00\x00\x01");
    // An answer is no message, but a sign of life: the next ping comes before the end.
    SEND("\x8A\x88" MASK "\x00\xFFka\x00\x00\x00\x01");
    EXPECT_BYTES("\x89\x08\x00\xFFka\x00\x00\x00\x02");
    expect_end();
    EXPECT_TEXT(end(), "ended:1005 gone ");
}

int main(void) {
    return test_main();
}

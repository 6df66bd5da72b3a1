// SPDX-License-Identifier: Apache-2.0
// Programs of the operating system: their output, their end, and that nothing of them is left.
#include "io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static struct io_loop *loop;
static struct io_processes *processes;

static void open_all(void) {
    struct error error = {0};
    REQUIRE_OK(io_loop_new(&loop, &error), error);
    processes = io_processes_new(loop, NULL, 0);
}

static void close_all(void) {
    io_processes_stop(processes);
    io_loop_free(loop);
    io_processes_free(processes);
}

// A process and what was heard of it.
struct run {
    struct io_process *process;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum status status;
    struct error error;
    struct buf output[IO_OUTPUT_COUNT];
    bool is_started, has_exited, is_released;
    bool is_holding;  // pieces are not settled
    uint32_t held;    // bit per stream with a piece that was not settled
    bool is_late;     // output after the exit
    int32_t code;
};

static void started(void *context, enum status status, const struct error *error) {
    struct run *run = context;
    pthread_mutex_lock(&run->lock);
    run->is_started = true;
    run->status = status;
    if (status != OK) {
        run->error = *error;
    }
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

static void output(void *context, enum io_output stream, struct slice piece) {
    struct run *run = context;
    pthread_mutex_lock(&run->lock);
    run->is_late |= run->has_exited;
    buf_append_slice(&run->output[stream], piece);
    if (run->is_holding) {
        run->held |= 1U << stream;
    } else {
        io_process_settle(run->process, stream);
    }
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

static void exited(void *context, int32_t code) {
    struct run *run = context;
    pthread_mutex_lock(&run->lock);
    run->has_exited = true;
    run->code = code;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

static void released(void *context) {
    struct run *run = context;
    pthread_mutex_lock(&run->lock);
    run->is_released = true;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

static const struct io_process_handler handler = {started, output, exited, released};

enum { ARGS_MOST = 8 };

static struct io_process_config config_of(const char *const *args) {
    struct io_process_config config = {.program = args[0], .root = -1, .has_stdin = true};
    for (; args[config.arg_count] != NULL; config.arg_count++) {
        buf_append(&config.texts, args[config.arg_count], strlen(args[config.arg_count]) + 1);
    }
    config.folder = open("/", O_PATH | O_CLOEXEC);
    for (int i = 0; i < IO_OUTPUT_COUNT; i++) {
        config.framings[i] = (struct io_framing){.mode = IO_FRAMES_RAW, .most_bytes = 1 << 20};
    }
    return config;
}

static void begin_with(struct run *run, struct io_process_config *config) {
    *run = (struct run){.is_holding = run->is_holding};
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->changed, NULL);
    config->handler = &handler;
    config->context = run;
    io_process_start(processes, config, &run->process);
}

static void begin(struct run *run, const char *const *args) {
    struct io_process_config config = config_of(args);
    begin_with(run, &config);
}

static void await(struct run *run, const bool *flag) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 60;
    pthread_mutex_lock(&run->lock);
    while (!*flag) {
        REQUIRE(pthread_cond_timedwait(&run->changed, &run->lock, &end) == 0);
    }
    pthread_mutex_unlock(&run->lock);
}

static void finish(struct run *run) {
    await(run, &run->is_released);
    int32_t code = 0;
    EXPECT(io_process_state(run->process, &code) == IO_PROCESS_GONE);
    EXPECT(!run->is_late);
    io_process_unref(run->process);
    for (int i = 0; i < IO_OUTPUT_COUNT; i++) {
        buf_release(&run->output[i]);
    }
    pthread_mutex_destroy(&run->lock);
    pthread_cond_destroy(&run->changed);
}

struct ordered {
    struct io_process_order order;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done;
};

static void order_done(struct io_process_order *order) {
    struct ordered *ordered = CONTAINER_OF(order, struct ordered, order);
    pthread_mutex_lock(&ordered->lock);
    ordered->is_done = true;
    pthread_cond_broadcast(&ordered->changed);
    pthread_mutex_unlock(&ordered->lock);
}

static struct io_process_order give(struct run *run, struct io_process_order order) {
    struct ordered ordered = {.order = order};
    pthread_mutex_init(&ordered.lock, NULL);
    pthread_cond_init(&ordered.changed, NULL);
    ordered.order.done = order_done;
    io_process_order(run->process, &ordered.order);
    pthread_mutex_lock(&ordered.lock);
    while (!ordered.is_done) {
        pthread_cond_wait(&ordered.changed, &ordered.lock);
    }
    pthread_mutex_unlock(&ordered.lock);
    pthread_mutex_destroy(&ordered.lock);
    pthread_cond_destroy(&ordered.changed);
    return ordered.order;
}

TEST(arguments_and_exit_code_arrive_as_they_are) {
    open_all();
    struct run run = {0};
    begin(&run, (const char *[]){"/usr/bin/printf", "<%s>", "a b", "'\"$(x)\n*", "", NULL});
    await(&run, &run.has_exited);
    EXPECT_TEXT(buf_text(&run.output[IO_STDOUT]), "<a b><'\"$(x)\n*><>");
    EXPECT(run.code == 0);
    finish(&run);
    begin(&run, (const char *[]){"/bin/sh", "-c", "echo oh >&2; exit 3", NULL});
    await(&run, &run.has_exited);
    EXPECT_TEXT(buf_text(&run.output[IO_STDERR]), "oh\n");
    EXPECT(run.code == 3);
    finish(&run);
    close_all();
}

TEST(the_environment_is_empty_unless_given) {
    open_all();
    struct run run = {0};
    struct io_process_config config = config_of((const char *[]){"/usr/bin/env", NULL});
    buf_append(&config.texts, "A=b c", sizeof "A=b c");
    config.variable_count = 1;
    begin_with(&run, &config);
    await(&run, &run.has_exited);
    EXPECT_TEXT(buf_text(&run.output[IO_STDOUT]), "A=b c\n");
    finish(&run);
    close_all();
}

TEST(a_program_that_cannot_run_is_an_error_that_says_why) {
    open_all();
    struct run run = {0};
    begin(&run, (const char *[]){"/no/such/program", NULL});
    await(&run, &run.is_started);
    EXPECT(run.status == ERR_NOT_FOUND);
    EXPECT_CONTAINS(run.error.message, "cannot run the program");
    await(&run, &run.is_released);
    EXPECT(!run.has_exited);
    finish(&run);
    close_all();
}

TEST(what_is_written_comes_back_and_closing_ends_it) {
    open_all();
    struct run run = {0};
    begin(&run, (const char *[]){"/bin/cat", NULL});
    await(&run, &run.is_started);
    struct io_process_order order =
        give(&run, (struct io_process_order){.kind = IO_ORDER_WRITE, .data = slice_text("hello")});
    EXPECT(order.status == OK);
    EXPECT_U64(order.taken, 5);
    EXPECT(give(&run, (struct io_process_order){.kind = IO_ORDER_CLOSE_STDIN}).status == OK);
    await(&run, &run.has_exited);
    EXPECT_TEXT(buf_text(&run.output[IO_STDOUT]), "hello");
    order = give(&run, (struct io_process_order){.kind = IO_ORDER_WRITE, .data = slice_text("x")});
    EXPECT(order.status == ERR_CLOSED);
    finish(&run);
    close_all();
}

TEST(a_program_that_never_reads_bounds_what_is_taken) {
    open_all();
    struct run run = {0};
    begin(&run, (const char *[]){"/bin/sleep", "1000", NULL});
    size_t size = IO_PROCESS_STDIN_MOST_BYTES + (1 << 20);
    uint8_t *data = xcalloc(1, size);
    struct io_process_order order =
        give(&run, (struct io_process_order){.kind = IO_ORDER_WRITE, .data = slice_of(data, size)});
    EXPECT(order.status == OK);
    EXPECT(order.taken == IO_PROCESS_STDIN_MOST_BYTES);
    order =
        give(&run, (struct io_process_order){.kind = IO_ORDER_WRITE, .data = slice_of(data, size)});
    EXPECT(order.status == OK);
    EXPECT(order.taken <= 65536);  // what the pipe took of the first
    free(data);
    EXPECT(give(&run, (struct io_process_order){.kind = IO_ORDER_KILL}).status == OK);
    await(&run, &run.has_exited);
    EXPECT(run.code == -SIGKILL);
    finish(&run);
    close_all();
}

TEST(a_signal_reaches_the_program) {
    open_all();
    struct run run = {0};
    begin(&run, (const char *[]){"/bin/sleep", "1000", NULL});
    await(&run, &run.is_started);
    EXPECT(give(&run, (struct io_process_order){.kind = IO_ORDER_SIGNAL, .signal = 0}).status ==
           OK);
    EXPECT(give(&run, (struct io_process_order){.kind = IO_ORDER_SIGNAL, .signal = 99}).status !=
           OK);
    EXPECT(
        give(&run, (struct io_process_order){.kind = IO_ORDER_SIGNAL, .signal = SIGTERM}).status ==
        OK);
    await(&run, &run.has_exited);
    EXPECT(run.code == -SIGTERM);
    finish(&run);
    close_all();
}

struct delay {
    struct io_post post;
    unsigned ms;
};

static void hold_up_loop(struct io_post *post) {
    (void)usleep(1000 * CONTAINER_OF(post, struct delay, post)->ms);
}

// The supervisor has reported the end and is gone, when a signal is sent to it.
TEST(a_signal_that_comes_too_late_is_answered_and_hides_no_end) {
    open_all();
    struct run run = {0};
    begin(&run, (const char *[]){"/bin/sh", "-c", "read line; sleep 0.1; exit 3", NULL});
    await(&run, &run.is_started);
    struct io_process_order close = {.kind = IO_ORDER_CLOSE_STDIN};
    EXPECT(give(&run, close).status == OK);
    // While the first of them runs, the second and the order come to stand in one row.
    struct delay first = {.post.run = hold_up_loop, .ms = 50};
    struct delay second = {.post.run = hold_up_loop, .ms = 500};
    io_loop_post(loop, &first.post);
    io_loop_post(loop, &second.post);
    struct io_process_order order = {.kind = IO_ORDER_SIGNAL, .signal = SIGTERM};
    EXPECT(give(&run, order).status == ERR_CLOSED);
    await(&run, &run.has_exited);
    EXPECT(run.code == 3);
    finish(&run);
    close_all();
}

TEST(a_program_whose_time_is_over_is_killed) {
    open_all();
    struct run run = {0};
    struct io_process_config config = config_of((const char *[]){"/bin/sleep", "1000", NULL});
    config.timeout_ms = 50;
    begin_with(&run, &config);
    await(&run, &run.has_exited);
    EXPECT(run.code == -SIGKILL);
    EXPECT(io_process_has_timed_out(run.process));
    finish(&run);
    close_all();
}

TEST(the_exit_waits_for_the_last_piece) {
    open_all();
    struct run run = {.is_holding = true};
    begin(&run, (const char *[]){"/usr/bin/printf", "last", NULL});
    bool is_ended = false;
    while (!is_ended) {  // the program has ended long before its output is settled
        is_ended = io_process_state(run.process, NULL) >= IO_PROCESS_ENDED;
        sched_yield();
    }
    pthread_mutex_lock(&run.lock);
    while ((run.held & 1U << IO_STDOUT) == 0) {
        pthread_cond_wait(&run.changed, &run.lock);
    }
    EXPECT(!run.has_exited);
    pthread_mutex_unlock(&run.lock);
    io_process_settle(run.process, IO_STDOUT);
    await(&run, &run.has_exited);
    finish(&run);
    close_all();
}

// Children that left the group and the session, and were left by their parents.
static const char *const hostile[] = {"/usr/bin/python3", "-c",
                                      "import os,sys,time\n"
                                      "for i in range(5):\n"
                                      " if os.fork()==0:\n"
                                      "  os.setsid()\n"
                                      "  if os.fork(): os._exit(0)\n"
                                      "  os.setsid() if os.getpid()!=os.getsid(0) else 0\n"
                                      "  os.write(1,b'%d\\n'%os.getpid())\n"
                                      "  time.sleep(1000)\n"
                                      "if len(sys.argv)>1: sys.exit(7)\n"
                                      "time.sleep(1000)\n",
                                      NULL};

static void expect_gone(const struct buf *pids, int count) {
    const char *at = (const char *)pids->data;
    for (int i = 0; i < count; i++) {
        char *end = NULL;
        long pid = strtol(at, &end, 10);
        REQUIRE(pid > 0);
        EXPECT(kill((pid_t)pid, 0) < 0 && errno == ESRCH);
        at = end + 1;
    }
}

static void await_lines(struct run *run, int count) {
    pthread_mutex_lock(&run->lock);
    for (int lines = 0; lines < count;) {
        lines = 0;
        for (size_t i = 0; i < run->output[IO_STDOUT].size; i++) {
            lines += run->output[IO_STDOUT].data[i] == '\n';
        }
        if (lines < count) {
            pthread_cond_wait(&run->changed, &run->lock);
        }
    }
    pthread_mutex_unlock(&run->lock);
    (void)buf_text(&run->output[IO_STDOUT]);
}

TEST(what_left_its_group_and_session_dies_with_the_program) {
    open_all();
    struct run run = {0};
    begin(&run, hostile);
    await_lines(&run, 5);
    io_process_kill(run.process);
    await(&run, &run.is_released);
    EXPECT(run.code == -SIGKILL);
    expect_gone(&run.output[IO_STDOUT], 5);
    finish(&run);
    close_all();
}

TEST(what_a_program_leaves_behind_may_not_hold_its_exit) {
    open_all();
    struct run run = {0};
    const char *args[] = {hostile[0], hostile[1], hostile[2], "leave", NULL};
    begin(&run, args);
    await(&run, &run.is_released);
    EXPECT(run.has_exited);
    EXPECT(run.code == 7);
    (void)buf_text(&run.output[IO_STDOUT]);
    expect_gone(&run.output[IO_STDOUT], 5);
    finish(&run);
    close_all();
}

TEST(a_discarded_process_says_nothing_more) {
    open_all();
    struct run run = {0};
    begin(&run, (const char *[]){"/bin/sh", "-c", "while :; do echo x; done", NULL});
    await(&run, &run.is_started);
    io_process_discard(run.process);
    await(&run, &run.is_released);
    EXPECT(!run.has_exited);
    finish(&run);
    close_all();
}

TEST(many_at_once_end_with_the_node) {
    enum { COUNT = 100 };
    open_all();
    static struct run runs[COUNT];
    for (int i = 0; i < COUNT; i++) {
        begin(&runs[i], (const char *[]){"/bin/sh", "-c", "echo on; exec sleep 1000", NULL});
    }
    for (int i = 0; i < COUNT; i++) {
        await_lines(&runs[i], 1);
    }
    close_all();
    for (int i = 0; i < COUNT; i++) {
        EXPECT(runs[i].is_released);
        finish(&runs[i]);
    }
}

static int folder_with(const char *content) {
    char path[] = "/tmp/theater-process-XXXXXX";
    REQUIRE(mkdtemp(path) != NULL);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int file = openat(folder, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(write(file, content, strlen(content)) == (ssize_t)strlen(content));
    close(file);
    return folder;
}

static void remove_folder(int folder) {
    char link[64], path[256];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t size = readlink(link, path, sizeof path - 1);
    REQUIRE(size > 0);
    path[size] = '\0';
    (void)unlinkat(folder, "file", 0);
    (void)unlinkat(folder, "new", 0);
    (void)unlinkat(folder, "link", 0);
    EXPECT(rmdir(path) == 0);
    close(folder);
}

// The exit code of a shell that is confined to a folder.
static int32_t confined(int root, bool may_write, const char *script, struct buf *out) {
    struct run run = {0};
    struct io_process_config config = config_of((const char *[]){"/bin/sh", "-c", script, NULL});
    close(config.folder);
    config.folder = dup(root);
    config.root = dup(root);
    config.may_write = may_write;
    begin_with(&run, &config);
    await(&run, &run.is_released);
    REQUIRE(run.status == OK);
    int32_t code = run.code;
    buf_append_slice(out, buf_slice(&run.output[IO_STDOUT]));
    finish(&run);
    return code;
}

TEST(a_confined_program_reaches_only_its_folder) {
    open_all();
    int root = folder_with("inside");
    int other = folder_with("outside");
    char script[512];
    struct buf out = {0};
    EXPECT(confined(root, true, "cat file && echo x > new && cat new && /usr/bin/env > /dev/null",
                    &out) == 0);
    EXPECT_TEXT(buf_text(&out), "insidex\n");
    // Reading, writing, and both through a link.
    (void)snprintf(script, sizeof script, "cat /proc/%d/fd/%d/file", (int)getpid(), other);
    EXPECT(confined(root, true, script, &out) != 0);
    EXPECT(confined(root, true, "ls /tmp", &out) != 0);
    EXPECT(confined(root, true, "ls /home", &out) != 0);
    EXPECT(confined(root, true, "ls ..", &out) != 0);
    EXPECT(confined(root, true, "echo x > ../new", &out) != 0);
    EXPECT(symlinkat("/tmp", root, "link") == 0);
    EXPECT(confined(root, true, "ls link/", &out) != 0);
    EXPECT(confined(root, true, "echo x > link/theater-never", &out) != 0);
    EXPECT(confined(root, true, "echo x > /etc/theater-never", &out) != 0);
    // Without the right to write.
    EXPECT(confined(root, false, "cat file", &out) == 0);
    EXPECT(confined(root, false, "echo x > file", &out) != 0);
    EXPECT(confined(root, false, "rm file", &out) != 0);
    // It cannot signal this program.
    (void)snprintf(script, sizeof script, "kill -9 %d", (int)getpid());
    EXPECT(confined(root, true, script, &out) != 0);
    EXPECT_TEXT(buf_text(&out), "insidex\ninside");
    buf_release(&out);
    remove_folder(root);
    remove_folder(other);
    close_all();
}

int main(void) {
    return test_main();
}

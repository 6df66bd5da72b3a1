// SPDX-License-Identifier: Apache-2.0
// One program: starts it, reports what becomes of it, and ends all that it started. It is over, and
// its control socket closed, when no descendant of the program is left.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/exec/exec.h"

struct supervisor {
    int control;
    int signals;                  // signalfd: SIGCHLD
    pid_t program;                // 0: it was reaped
    bool has_ended;               // reported
    struct exec_command command;  // so far
    size_t command_bytes;
};

void exec_report(int control, enum exec_report_kind kind, int value, enum exec_stage stage) {
    struct exec_report report = {.kind = kind, .value = value, .stage = stage};
    ssize_t sent;
    do {
        sent = send(control, &report, sizeof report, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
}

// ---- the request
// ---------------------------------------------------------------------------------

// False: the node is gone, or says nothing of use.
static bool receive(int control, struct exec_start *start) {
    union {
        char bytes[CMSG_SPACE(EXEC_DESCRIPTOR_COUNT * sizeof(int))];
        struct cmsghdr align;
    } space;
    struct iovec part = {.iov_base = &start->request, .iov_len = sizeof start->request};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = space.bytes,
                             .msg_controllen = sizeof space.bytes};
    ssize_t size;
    do {
        size = recvmsg(control, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);
    } while (size < 0 && errno == EINTR);
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (size != (ssize_t)sizeof start->request || header == NULL ||
        header->cmsg_type != SCM_RIGHTS) {
        return false;
    }
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    bool is_confined = (start->request.flags & EXEC_CONFINED) != 0;
    memcpy(start->descriptors, CMSG_DATA(header), count * sizeof(int));
    return start->request.version == EXEC_VERSION &&
           count == (size_t)EXEC_DESCRIPTOR_COUNT - (is_confined ? 0 : 1) &&
           start->request.body_bytes > 0 && start->request.body_bytes <= EXEC_BODY_MOST_BYTES;
}

// The next text of the body; NULL: there is none.
static char *next_text(char **at, const char *end) {
    char *text = *at;
    char *nul = text < end ? memchr(text, '\0', (size_t)(end - text)) : NULL;
    *at = nul != NULL ? nul + 1 : text;
    return nul != NULL ? text : NULL;
}

static char **take_texts(uint32_t count, char **at, const char *end) {
    char **texts = calloc((size_t)count + 1, sizeof *texts);
    for (uint32_t i = 0; texts != NULL && i < count; i++) {
        texts[i] = next_text(at, end);
        if (texts[i] == NULL) {
            return NULL;  // and the process ends
        }
    }
    return texts;
}

static bool read_body(struct exec_start *start) {
    const struct exec_request *request = &start->request;
    char *body = mmap(NULL, request->body_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE,
                      start->descriptors[EXEC_BODY], 0);
    if (body == MAP_FAILED || request->arg_count > request->body_bytes ||
        request->variable_count > request->body_bytes) {
        return false;
    }
    char *at = body;
    const char *end = body + request->body_bytes;
    start->program = next_text(&at, end);
    start->args = take_texts(request->arg_count, &at, end);
    start->variables = take_texts(request->variable_count, &at, end);
    return start->program != NULL && start->args != NULL && start->variables != NULL;
}

// ---- the program
// ---------------------------------------------------------------------------------

static void close_given(struct exec_start *start) {
    for (int i = 0; i < EXEC_DESCRIPTOR_COUNT; i++) {
        if (start->descriptors[i] >= 0) {
            (void)close(start->descriptors[i]);
        }
    }
}

// False after reporting why.
static bool launch(struct supervisor *self, struct exec_start *start) {
    int failure[2];
    pid_t parent = getpid();
    if (pipe2(failure, O_CLOEXEC) != 0) {
        exec_report(self->control, EXEC_FAILED, errno, EXEC_STAGE_SETUP);
        return false;
    }
    self->program = fork();
    if (self->program == 0) {
        exec_become(start, failure[1], parent);
    }
    int code = errno;
    (void)close(failure[1]);
    close_given(start);
    struct exec_report report = {.kind = EXEC_FAILED, .value = code, .stage = EXEC_STAGE_FORK};
    ssize_t size = 0;
    if (self->program > 0) {
        do {
            size = read(failure[0], &report, sizeof report);
        } while (size < 0 && errno == EINTR);
    }
    (void)close(failure[0]);
    if (self->program < 0 || size > 0) {
        exec_report(self->control, EXEC_FAILED, report.value, report.stage);
        return false;
    }
    exec_report(self->control, EXEC_STARTED, self->program, EXEC_STAGE_REQUEST);
    return true;
}

// Reaps whoever is dead. False: there are no children any more.
static bool reap(struct supervisor *self) {
    for (;;) {
        int state;
        pid_t pid = waitpid(-1, &state, WNOHANG);
        if (pid == 0) {
            return true;
        }
        if (pid < 0 && errno != EINTR) {
            return false;
        }
        if (pid == self->program) {
            self->program = 0;
            self->has_ended = true;
            int code = WIFEXITED(state) ? WEXITSTATUS(state) : -WTERMSIG(state);
            exec_report(self->control, EXEC_EXITED, code, EXEC_STAGE_REQUEST);
        }
    }
}

static void drain_signals(const struct supervisor *self) {
    struct signalfd_siginfo info;
    while (read(self->signals, &info, sizeof info) > 0) {
    }
}

// Kills until nobody is left.
NO_RETURN static void end(struct supervisor *self) {
    enum { WAIT_MS = 5 };
    for (;;) {
        exec_kill_descendants(NULL);
        if (!reap(self)) {
            _exit(0);
        }
        struct pollfd entry = {.fd = self->signals, .events = POLLIN};
        (void)poll(&entry, 1, WAIT_MS);
        drain_signals(self);
    }
}

static void obey(struct supervisor *self) {
    if (self->command.kind == EXEC_KILL) {
        end(self);
    }
    // Not reaped yet, so the number is its own.
    bool is_alive = self->program > 0;
    bool is_sent = is_alive && kill(self->program, self->command.value) == 0;
    int code = is_alive ? errno : ESRCH;
    exec_report(self->control, EXEC_SIGNALLED, is_sent ? 0 : code, EXEC_STAGE_REQUEST);
}

static void read_command(struct supervisor *self) {
    char *at = (char *)&self->command + self->command_bytes;
    ssize_t size =
        recv(self->control, at, sizeof self->command - self->command_bytes, MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EINTR && errno != EAGAIN)) {
        end(self);  // the node is gone, or wants no more of it
    }
    self->command_bytes += size > 0 ? (size_t)size : 0;
    if (self->command_bytes == sizeof self->command) {
        self->command_bytes = 0;
        obey(self);
    }
}

void exec_supervise(int control) {
    struct supervisor self = {.control = control};
    struct exec_start start = {.descriptors = {-1, -1, -1, -1, -1, -1}};
    sigset_t child;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    self.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (self.signals < 0 || sigprocmask(SIG_BLOCK, &child, NULL) != 0 ||
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        exec_report(control, EXEC_FAILED, errno, EXEC_STAGE_SETUP);
        _exit(1);
    }
    if (!receive(control, &start) || !read_body(&start)) {
        exec_report(control, EXEC_FAILED, EPROTO, EXEC_STAGE_REQUEST);
        _exit(1);
    }
    if (!launch(&self, &start)) {
        end(&self);
    }
    for (;;) {
        struct pollfd entries[] = {{.fd = self.control, .events = POLLIN},
                                   {.fd = self.signals, .events = POLLIN}};
        if (poll(entries, COUNT_OF(entries), -1) < 0 && errno != EINTR) {
            end(&self);
        }
        drain_signals(&self);
        if (!reap(&self)) {
            _exit(0);
        }
        if (entries[0].revents != 0) {
            read_command(&self);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
// theater-exec, the server: see exec.h. A node starts one with its first program and talks to it
// over the socket that it inherits as descriptor 3; it ends when that is closed and all supervisors
// are gone.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/exec/exec.h"

static struct {
    int signals;  // signalfd: SIGCHLD
    pid_t *supervisors;
    size_t count, capacity;
    bool has_orphans;  // a supervisor was killed: what it had is ours now
} server;

static bool is_supervisor(pid_t pid) {
    for (size_t i = 0; i < server.count; i++) {
        if (server.supervisors[i] == pid) {
            return true;
        }
    }
    return false;
}

static bool make_room(void) {
    if (server.count < server.capacity) {
        return true;
    }
    size_t capacity = server.capacity == 0 ? 64 : server.capacity * 2;
    pid_t *grown = realloc(server.supervisors, capacity * sizeof *grown);
    if (grown != NULL) {
        server.supervisors = grown;
        server.capacity = capacity;
    }
    return grown != NULL;
}

// Takes the socket.
static void start_supervisor(int control) {
    pid_t pid = make_room() ? fork() : -1;
    if (pid == 0) {
        (void)close(EXEC_SERVER_SOCKET);
        (void)close(server.signals);
        exec_supervise(control);
    }
    if (pid < 0) {
        exec_report(control, EXEC_FAILED, errno, EXEC_STAGE_FORK);
    } else {
        server.supervisors[server.count++] = pid;
    }
    (void)close(control);
}

// False: the node is gone.
static bool serve(void) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } space;
    char byte;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = space.bytes,
                             .msg_controllen = sizeof space.bytes};
    ssize_t size = recvmsg(EXEC_SERVER_SOCKET, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (size <= 0) {
        return size < 0 && (errno == EINTR || errno == EAGAIN);
    }
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_type == SCM_RIGHTS) {
        int control;
        memcpy(&control, CMSG_DATA(header), sizeof control);
        start_supervisor(control);
    }
    return true;
}

static void reap(void) {
    int state;
    pid_t pid;
    while ((pid = waitpid(-1, &state, WNOHANG)) > 0) {
        for (size_t i = 0; i < server.count; i++) {
            if (server.supervisors[i] == pid) {
                server.supervisors[i] = server.supervisors[--server.count];
                server.has_orphans |= WIFSIGNALED(state);
                break;
            }
        }
    }
}

static bool set_up(void) {
    struct stat info;
    if (fstat(EXEC_SERVER_SOCKET, &info) != 0 || !S_ISSOCK(info.st_mode)) {
        (void)fputs("theater-exec: this program is for theater, which starts it itself\n", stderr);
        return false;
    }
    sigset_t child;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_SETMASK, &child, NULL);
    server.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    // Out of the terminal's session: what the node does about Ctrl-C is its own decision.
    (void)setsid();
    (void)fcntl(EXEC_SERVER_SOCKET, F_SETFD, FD_CLOEXEC);
    return server.signals >= 0 && chdir("/") == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
}

int main(void) {
    if (syscall(SYS_close_range, (unsigned)EXEC_SERVER_SOCKET + 1U, ~0U, 0U) != 0 || !set_up()) {
        return 2;
    }
    bool is_open = true;
    while (is_open || server.count > 0 || server.has_orphans) {
        enum { ORPHANS_MS = 10 };
        struct pollfd entries[] = {{.fd = server.signals, .events = POLLIN},
                                   {.fd = is_open ? EXEC_SERVER_SOCKET : -1, .events = POLLIN}};
        (void)poll(entries, COUNT_OF(entries), server.has_orphans ? ORPHANS_MS : -1);
        struct signalfd_siginfo signal;
        while (read(server.signals, &signal, sizeof signal) > 0) {
        }
        reap();
        if (server.has_orphans) {
            // Also true of those that are dead and not reaped yet: they go by the next round.
            server.has_orphans = exec_kill_descendants(is_supervisor);
        }
        if (is_open && entries[1].revents != 0) {
            is_open = serve();
        }
    }
    return 0;
}

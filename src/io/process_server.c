// SPDX-License-Identifier: Apache-2.0
// theater-exec: finding it, starting it, handing processes to it, and waiting for its end.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/process_internal.h"

enum {
    MOST_DEFAULT = 4096,
    DESCRIPTORS_EACH = 8,  // what a process costs of the node's, while it starts
    END_WAIT_MS = 5000,
};

struct exec_server {
    uv_poll_t poll;
    int socket;
    struct io_processes *processes;
};

// ---- finding it
// ----------------------------------------------------------------------------------

static void look_in(struct io_processes *processes, struct buf *looked, const char *folder,
                    const char *beneath) {
    struct buf path = {0};
    buf_format(&path, "%s%s/theater-exec", folder, beneath);
    if (processes->helper == NULL && access(buf_text(&path), X_OK) == 0) {
        processes->helper = xstrdup(buf_text(&path));
    }
    buf_format(looked, "%s%s", looked->size > 0 ? " and " : "", buf_text(&path));
    buf_release(&path);
}

static void find_helper(struct io_processes *processes) {
    char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    struct buf looked = {0};
    look_in(processes, &looked, path, "");
    look_in(processes, &looked, path, "/../libexec/theater");
    processes->looked_in = xstrdup(buf_text(&looked));
    buf_release(&looked);
}

static uint32_t bound_of(uint32_t most) {
    struct rlimit files;
    if (most == 0 && getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY &&
        files.rlim_cur / DESCRIPTORS_EACH < MOST_DEFAULT) {
        return (uint32_t)(files.rlim_cur / DESCRIPTORS_EACH);
    }
    return most == 0 ? MOST_DEFAULT : most;
}

struct io_processes *io_processes_new(struct io_loop *loop, const char *helper, uint32_t most) {
    struct io_processes *processes = xcalloc(1, sizeof *processes);
    processes->loop = loop;
    processes->most = bound_of(most);
    processes->waiting_end = &processes->waiting;
    if (helper != NULL) {
        processes->helper = xstrdup(helper);
    } else {
        find_helper(processes);
    }
    return processes;
}

// ---- starting it
// ---------------------------------------------------------------------------------

static enum status spawn_server(struct io_processes *processes, int theirs, pid_t *pid,
                                struct error *error) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attributes) != 0) {
        fatal("out of memory");
    }
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    // The socket is opened anew as the number that is agreed on, without close-on-exec.
    int code = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    code |= posix_spawn_file_actions_adddup2(&actions, 0, 1);
    code |= posix_spawn_file_actions_adddup2(&actions, theirs, EXEC_SERVER_SOCKET);
    code |= posix_spawn_file_actions_adddup2(&actions, 0, 2);
    code |= posix_spawnattr_setsigmask(&attributes, &none);
    code |= posix_spawnattr_setsigdefault(&attributes, &all);
    code |= posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    char name[] = "theater-exec";
    char *argv[] = {name, NULL}, *environment[] = {NULL};
    if (code == 0) {
        code = posix_spawn(pid, processes->helper, &actions, &attributes, argv, environment);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code == 0 ? OK : error_set_os(error, code, "cannot run %s", processes->helper);
}

static void server_closed(uv_handle_t *handle) {
    struct exec_server *server = CONTAINER_OF(handle, struct exec_server, poll);
    (void)close(server->socket);
    free(server);
}

static void close_server(struct io_processes *processes) {
    if (processes->server != NULL) {
        uv_close((uv_handle_t *)&processes->server->poll, server_closed);
        processes->server = NULL;
    }
}

static enum status start_server(struct io_processes *processes, struct error *error) {
    if (processes->helper == NULL) {
        return error_set(error, ERR_NOT_FOUND,
                         "theater-exec, which starts programs, is neither in %s; install it there",
                         processes->looked_in);
    }
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return error_set_os(error, errno, "cannot make a socket for theater-exec");
    }
    pid_t pid = 0;
    // Above the number that it becomes: else adddup2 would leave it closed on exec.
    int theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, EXEC_SERVER_SOCKET + 1);
    enum status status = spawn_server(processes, theirs, &pid, error);
    (void)close(theirs);
    (void)close(ends[1]);
    if (status != OK) {
        (void)close(ends[0]);
        return status;
    }
    processes->servers = xrealloc(processes->servers, (processes->server_count + 1) * sizeof pid);
    processes->servers[processes->server_count++] = pid;
    struct exec_server *server = xcalloc(1, sizeof *server);
    server->socket = ends[0];
    server->processes = processes;
    int code = uv_poll_init(io_loop_uv(processes->loop), &server->poll, server->socket);
    if (code != 0) {
        (void)close(server->socket);
        free(server);
        return error_set(error, ERR_IO, "cannot watch theater-exec: %s", uv_strerror(code));
    }
    processes->server = server;
    return OK;
}

// ---- handing over
// --------------------------------------------------------------------------------

// 0 or the errno.
static int send_descriptor(int socket, int descriptor) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } space = {.bytes = {0}};
    char byte = 0;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = space.bytes,
                             .msg_controllen = sizeof space.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    ssize_t sent = -1;
    do {
        sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

static void hand_over_waiting(struct io_processes *processes);

static void on_writable(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct exec_server *server = CONTAINER_OF(poll, struct exec_server, poll);
    (void)uv_poll_stop(poll);
    hand_over_waiting(server->processes);
}

// A server that is gone (somebody killed it) is replaced, once for each process.
static int send_process(struct io_processes *processes, int descriptor, struct error *error) {
    int code = EPIPE;
    for (int i = 0; i < 2 && (code == EPIPE || code == ECONNRESET); i++) {
        if (processes->server == NULL && start_server(processes, error) != OK) {
            return EPIPE;
        }
        code = send_descriptor(processes->server->socket, descriptor);
        if (code == EPIPE || code == ECONNRESET) {
            close_server(processes);
        }
    }
    if (code != 0 && code != EAGAIN && code != ETOOMANYREFS) {
        error_set_os(error, code, "cannot hand a program to theater-exec");
    }
    return code;
}

static void hand_over_waiting(struct io_processes *processes) {
    while (processes->waiting != NULL) {
        struct io_process *process = processes->waiting;
        struct error error = {0};
        int code = send_process(processes, process->handed, &error);
        if (code == EAGAIN || code == ETOOMANYREFS) {
            (void)uv_poll_start(&processes->server->poll, UV_WRITABLE, on_writable);
            return;
        }
        processes->waiting = process->next_waiting;
        if (processes->waiting == NULL) {
            processes->waiting_end = &processes->waiting;
        }
        (void)close(process->handed);
        process->handed = -1;
        if (code != 0) {
            process_failed(process, &error);
        }
    }
}

// False with errno.
static bool send_request(int control, const struct io_process *process) {
    union {
        char bytes[CMSG_SPACE(EXEC_DESCRIPTOR_COUNT * sizeof(int))];
        struct cmsghdr align;
    } space = {.bytes = {0}};
    bool is_confined = (process->request.flags & EXEC_CONFINED) != 0;
    size_t size = (EXEC_DESCRIPTOR_COUNT - (is_confined ? 0U : 1U)) * sizeof(int);
    struct exec_request request = process->request;
    struct iovec part = {.iov_base = &request, .iov_len = sizeof request};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = space.bytes,
                             .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), process->descriptors, size);
    return sendmsg(control, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof request;
}

enum status process_hand_over(struct io_process *process, struct error *error) {
    struct io_processes *processes = process->processes;
    int control = -1;
    if (uv_fileno((uv_handle_t *)&process->control, &control) != 0 ||
        !send_request(control, process)) {
        return error_set_os(error, errno, "cannot describe a program to theater-exec");
    }
    if (processes->server == NULL) {
        enum status status = start_server(processes, error);
        if (status != OK) {
            return status;
        }
    }
    process->next_waiting = NULL;
    *processes->waiting_end = process;
    processes->waiting_end = &process->next_waiting;
    hand_over_waiting(processes);
    return OK;
}

// ---- the end
// -------------------------------------------------------------------------------------

static void stop_all(struct io_post *post) {
    struct io_processes *processes = CONTAINER_OF(post, struct io_processes, stop);
    processes->is_stopping = true;
    // Those that wait know it from their control sockets.
    for (struct io_process *at = processes->waiting; at != NULL; at = at->next_waiting) {
        (void)close(at->handed);
        at->handed = -1;
    }
    processes->waiting = NULL;
    processes->waiting_end = &processes->waiting;
    // At once: what is posted from here on does not run any more.
    for (struct io_process *at = processes->first, *next; at != NULL; at = next) {
        next = at->next;
        process_discard(at);
    }
    // With its socket closed it ends when its supervisors are gone.
    close_server(processes);
}

void io_processes_stop(struct io_processes *processes) {
    processes->stop.run = stop_all;
    io_loop_post(processes->loop, &processes->stop);
}

// A program that the kernel does not let go (a file system that hangs) must not hold the node.
static void await_server(pid_t pid) {
    int handle = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd entry = {.fd = handle, .events = POLLIN};
    if (handle >= 0 && poll(&entry, 1, END_WAIT_MS) > 0) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (handle >= 0) {
        (void)close(handle);
    }
}

void io_processes_free(struct io_processes *processes) {
    if (processes == NULL) {
        return;
    }
    for (uint32_t i = 0; i < processes->server_count; i++) {
        await_server(processes->servers[i]);
    }
    free(processes->servers);
    free(processes->helper);
    free(processes->looked_in);
    free(processes);
}

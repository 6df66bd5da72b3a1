// SPDX-License-Identifier: Apache-2.0
// Runs a tool in a limited child process: the translator and the C compiler read what guests wrote
// (the one in binary, the other after translation), so they get a folder of their own, bounded CPU
// time, memory, files and wall-clock time, no network, no other descriptors, no way to look into
// other processes, and none to change files elsewhere (where the kernel has Landlock). Whatever
// they start is in their process group and dies with it.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "wasm/internal.h"

enum { OUTPUT_BYTES_MAX = 8192, SETUP_FAILED = 125, NOT_FOUND = 127 };

// System calls that a translator or compiler has no use for; they fail with EPERM.
static const int refused_calls[] = {
    SCMP_SYS(socket),
    SCMP_SYS(socketpair),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(kexec_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(chroot),
    SCMP_SYS(pivot_root),
    SCMP_SYS(setsid),
    SCMP_SYS(setpgid),
    SCMP_SYS(open_by_handle_at),
};

// Built before the fork: it allocates. NULL when libseccomp fails.
static scmp_filter_ctx build_filter(void) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL)
        return NULL;
    for (size_t i = 0; i < COUNT_OF(refused_calls); i++) {
        int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused_calls[i], 0);
        // A call that this architecture does not have cannot be made either.
        if (result != 0 && result != -EDOM && result != -EINVAL) {
            seccomp_release(filter);
            return NULL;
        }
    }
    return filter;
}

enum {
    WRITE_ACCESS = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                   LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                   LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                   LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                   LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM,
};

static bool allow_beneath(int rules, const char *path, uint64_t access) {
    struct landlock_path_beneath_attr rule = {.allowed_access = access};
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return false;
    long result = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    (void)close(rule.parent_fd);
    return result == 0;
}

// Files can be changed below `folder` only. A kernel without Landlock leaves it at that: the other
// limits hold. In the child, system calls only.
static bool restrict_writes(const char *folder) {
    struct landlock_ruleset_attr attributes = {.handled_access_fs = WRITE_ACCESS};
    long rules = syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (rules < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP;
    bool fine = allow_beneath((int)rules, folder, WRITE_ACCESS) &&
                allow_beneath((int)rules, "/dev/null", LANDLOCK_ACCESS_FS_WRITE_FILE) &&
                syscall(SYS_landlock_restrict_self, (int)rules, 0) == 0;
    (void)close((int)rules);
    return fine;
}

static bool limit(int resource, uint64_t value) {
    struct rlimit both = {.rlim_cur = value, .rlim_max = value};
    return setrlimit((__rlimit_resource_t)resource, &both) == 0;
}

// In the child, between fork and exec: async-signal-safe calls, and seccomp_load.
NO_RETURN static void become(const struct wasm_child *child, char *const environment[],
                             scmp_filter_ctx filter, int output, pid_t parent) {
    bool fine = setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
    if (!fine || getppid() != parent)
        _exit(SETUP_FAILED);
    int null = open("/dev/null", O_RDONLY);
    fine = null >= 0 && dup2(null, 0) == 0 && dup2(output, 1) == 1 && dup2(output, 2) == 2 &&
           chdir(child->folder) == 0;
    fine = fine && syscall(SYS_close_range, 3u, ~0u, 0u) == 0;
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    // The filter first: libseccomp allocates, which the limit of memory could refuse in a build
    // with a sanitizer.
    fine = fine && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && restrict_writes(child->folder) &&
           seccomp_load(filter) == 0;
    fine = fine && limit(RLIMIT_CORE, 0) && limit(RLIMIT_CPU, child->cpu_seconds) &&
           limit(RLIMIT_AS, child->memory_bytes) && limit(RLIMIT_FSIZE, child->file_bytes) &&
           limit(RLIMIT_NOFILE, 64);
    if (!fine)
        _exit(SETUP_FAILED);
    (void)execvpe(child->argv[0], (char *const *)child->argv, environment);
    _exit(NOT_FOUND);
}

// Reads the child's output until it closes it; false when the time is over.
static bool collect(int descriptor, uint64_t wall_seconds, struct buf *output) {
    uint64_t end_ns = env_monotonic_ns(env_system()) + wall_seconds * 1000000000u;
    for (;;) {
        uint64_t now_ns = env_monotonic_ns(env_system());
        if (now_ns >= end_ns)
            return false;
        struct pollfd poll_entry = {.fd = descriptor, .events = POLLIN};
        uint64_t left_ms = (end_ns - now_ns) / 1000000 + 1;
        int ready = poll(&poll_entry, 1, left_ms > 60000 ? 60000 : (int)left_ms);
        if (ready <= 0)
            continue;
        uint8_t chunk[4096];
        ssize_t size = read(descriptor, chunk, sizeof chunk);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return true;
        size_t room = OUTPUT_BYTES_MAX - output->size;
        buf_append(output, chunk, (size_t)size < room ? (size_t)size : room);
    }
}

// The tools print names of files and code of ours; still, only printable text goes into an error.
static void make_printable(struct buf *output) {
    for (size_t i = 0; i < output->size; i++)
        if (output->data[i] != '\n' && (output->data[i] < 0x20 || output->data[i] > 0x7e))
            output->data[i] = '?';
    while (output->size > 0 && output->data[output->size - 1] == '\n')
        output->size--;
}

static enum status judge(const struct wasm_child *child, int state, bool in_time,
                         struct buf *output, struct error *error) {
    const char *tool = child->argv[0];
    int code = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
    int signal = WIFSIGNALED(state) ? WTERMSIG(state) : 0;
    if (code == 0)
        return OK;
    if (!in_time)
        return error_set(error, ERR_LIMIT, "%s ran longer than %llu s and was ended", tool,
                         (unsigned long long)child->wall_seconds);
    if (signal == SIGXCPU || signal == SIGKILL)
        return error_set(error, ERR_LIMIT, "%s needed more than %llu s of CPU time, or was killed",
                         tool, (unsigned long long)child->cpu_seconds);
    if (signal == SIGXFSZ)
        return error_set(error, ERR_LIMIT, "%s wrote more than %llu bytes", tool,
                         (unsigned long long)child->file_bytes);
    if (code == NOT_FOUND)
        return error_set(error, ERR_NOT_FOUND, "cannot run %s: is it installed and in PATH?", tool);
    if (code == SETUP_FAILED)
        return error_set(error, ERR_INTERNAL, "cannot limit the process for %s", tool);
    make_printable(output);
    if (signal != 0)
        return error_set(error, ERR_INVALID, "%s was ended by signal %d: %.400s", tool, signal,
                         buf_text(output));
    return error_set(error, ERR_INVALID, "%s failed (exit status %d): %.600s", tool, code,
                     buf_text(output));
}

static enum status wait_for(pid_t pid, int descriptor, const struct wasm_child *child,
                            struct buf *output, struct error *error) {
    bool in_time = collect(descriptor, child->wall_seconds, output);
    if (!in_time)
        (void)kill(-pid, SIGKILL);
    // Seen dead, but not reaped yet: until then its number, and so its group's, is nobody else's,
    // and whatever it left behind in the group can be ended safely.
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0)
        if (errno != EINTR)
            return error_set_os(error, errno, "waiting for %s", child->argv[0]);
    (void)kill(-pid, SIGKILL);
    int state;
    while (waitpid(pid, &state, 0) < 0)
        if (errno != EINTR)
            return error_set_os(error, errno, "waiting for %s", child->argv[0]);
    return judge(child, state, in_time, output, error);
}

enum status wasm_child_run(const struct wasm_child *child, struct buf *output,
                           struct error *error) {
    assert(child->argv[0] != NULL && child->folder != NULL);
    int pipes[2];
    struct buf temporary = {0}, path = {0};
    const char *path_value = getenv("PATH");
    buf_format(&temporary, "TMPDIR=%s", child->folder);
    buf_format(&path, "PATH=%s", path_value != NULL ? path_value : "/usr/bin:/bin");
    char *environment[] = {(char *)(uintptr_t)buf_text(&temporary),
                           (char *)(uintptr_t)buf_text(&path), (char[]){"LC_ALL=C"}, NULL};
    enum status status = OK;
    scmp_filter_ctx filter = build_filter();
    if (filter == NULL) {
        status = error_set(error, ERR_INTERNAL, "libseccomp cannot build a filter");
    } else if (pipe2(pipes, O_CLOEXEC) != 0) {
        status = error_set_os(error, errno, "pipe for %s", child->argv[0]);
    } else {
        pid_t parent = getpid();
        pid_t pid = fork();
        if (pid == 0)
            become(child, environment, filter, pipes[1], parent);
        int fork_error = errno;
        (void)close(pipes[1]);
        if (pid < 0)
            status = error_set_os(error, fork_error, "starting %s", child->argv[0]);
        else
            status = wait_for(pid, pipes[0], child, output, error);
        (void)close(pipes[0]);
    }
    if (filter != NULL)
        seccomp_release(filter);
    buf_release(&temporary);
    buf_release(&path);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
// Runs a tool in a limited child process: the translator and the C compiler read what guests wrote
// (the one in binary, the other after translation), so they get a folder of their own, bounded CPU
// time, memory, files and wall-clock time, no network, no other descriptors, no way to look into
// other processes, and none to change files elsewhere (where the kernel has Landlock). Whatever
// they start is in their process group and dies with it.
//
// Other threads run at the moment of the fork, and may hold any lock. So all that allocates, looks
// up or formats is done before (struct start), and between fork and exec there are system calls
// only.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "base/file.h"
#include "wasm/internal.h"

enum { OUTPUT_BYTES_MAX = 8192, SETUP_FAILED = 125, NOT_FOUND = 127 };

// ---- the filter of system calls ----------------------------------------------------------------

#if defined(__x86_64__)
#define FILTER_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif
// The first number of the other set of calls that an x86-64 kernel may take (x32). On aarch64 no
// call has a number this large.
#define FIRST_FOREIGN_CALL 0x40000000

#define FIELD(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, (value))
// If the loaded value compares so, the next instruction, else the one behind it.
#define IF(comparison, value) BPF_JUMP(BPF_JMP | (comparison) | BPF_K, (value), 0, 1)
#define REFUSE(call) IF(BPF_JEQ, SYS_##call), ANSWER(SECCOMP_RET_ERRNO | EPERM)

// System calls that a translator or compiler has no use for fail with EPERM.
static const struct sock_filter filter[] = {
    FIELD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCHITECTURE, 1, 0),
    ANSWER(SECCOMP_RET_KILL_PROCESS),
    FIELD(nr),
    IF(BPF_JGE, FIRST_FOREIGN_CALL),
    ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
    REFUSE(socket),
    REFUSE(socketpair),
    REFUSE(connect),
    REFUSE(bind),
    REFUSE(listen),
    REFUSE(accept),
    REFUSE(accept4),
    REFUSE(ptrace),
    REFUSE(process_vm_readv),
    REFUSE(process_vm_writev),
    REFUSE(mount),
    REFUSE(umount2),
    REFUSE(unshare),
    REFUSE(setns),
    REFUSE(bpf),
    REFUSE(perf_event_open),
    REFUSE(keyctl),
    REFUSE(add_key),
    REFUSE(request_key),
    REFUSE(io_uring_setup),
    REFUSE(userfaultfd),
    REFUSE(kexec_load),
    REFUSE(init_module),
    REFUSE(finit_module),
    REFUSE(delete_module),
    REFUSE(reboot),
    REFUSE(swapon),
    REFUSE(swapoff),
    REFUSE(chroot),
    REFUSE(pivot_root),
    REFUSE(setsid),
    REFUSE(setpgid),
    REFUSE(open_by_handle_at),
    ANSWER(SECCOMP_RET_ALLOW),
};

// ---- before the fork ---------------------------------------------------------------------------

// What the child needs, ready to use.
struct start {
    const struct wasm_child *child;
    char *program;            // path of the program
    struct buf variables[2];  // text of the environment that is made up
    char *environment[4];
    int null;      // /dev/null, for reading
    int rules;     // Landlock ruleset, or -1 when the kernel has none
    int pipes[2];  // its output
    pid_t parent;
};

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

// Rules by which files can be changed below `folder` only. A kernel without Landlock leaves it at
// that (-1): the other limits hold.
static bool make_rules(const char *folder, int *rules) {
    struct landlock_ruleset_attr attributes = {.handled_access_fs = WRITE_ACCESS};
    *rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (*rules < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP;
    return allow_beneath(*rules, folder, WRITE_ACCESS) &&
           allow_beneath(*rules, "/dev/null", LANDLOCK_ACCESS_FS_WRITE_FILE);
}

// The path of `name`, looked up in `path` if it has no slash; NULL when there is none. Free it.
static char *find_program(const char *name, const char *path) {
    if (strchr(name, '/') != NULL)
        return xstrdup(name);
    while (*path != 0) {
        size_t length = strcspn(path, ":");
        struct buf folder = {0};
        buf_append(&folder, path, length);
        char *candidate = file_join(length > 0 ? buf_text(&folder) : ".", name);
        buf_release(&folder);
        if (access(candidate, X_OK) == 0)
            return candidate;
        free(candidate);
        path += length + (path[length] == ':');
    }
    return NULL;
}

static enum status not_found(const char *tool, struct error *error) {
    return error_set(error, ERR_NOT_FOUND, "cannot run %s: is it installed and in PATH?", tool);
}

static void start_release(struct start *start) {
    const int descriptors[] = {start->null, start->rules, start->pipes[0], start->pipes[1]};
    for (size_t i = 0; i < COUNT_OF(descriptors); i++)
        if (descriptors[i] >= 0)
            (void)close(descriptors[i]);
    for (size_t i = 0; i < COUNT_OF(start->variables); i++)
        buf_release(&start->variables[i]);
    free(start->program);
}

// `start` is to be released in any case.
static enum status prepare(struct start *start, const struct wasm_child *child,
                           struct error *error) {
    static char locale[] = "LC_ALL=C";
    const char *tool = child->argv[0];
    const char *path = getenv("PATH");
    if (path == NULL)
        path = "/usr/bin:/bin";
    *start = (struct start){
        .child = child, .null = -1, .rules = -1, .pipes = {-1, -1}, .parent = getpid()};
    buf_format(&start->variables[0], "TMPDIR=%s", child->folder);
    buf_format(&start->variables[1], "PATH=%s", path);
    for (size_t i = 0; i < COUNT_OF(start->variables); i++)
        start->environment[i] = (char *)(uintptr_t)buf_text(&start->variables[i]);
    start->environment[COUNT_OF(start->variables)] = locale;
    start->program = find_program(tool, path);
    if (start->program == NULL)
        return not_found(tool, error);
    start->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (start->null < 0)
        return error_set_os(error, errno, "/dev/null, for %s", tool);
    if (!make_rules(child->folder, &start->rules))
        return error_set_os(error, errno, "rules of Landlock for %s in %s", tool, child->folder);
    if (pipe2(start->pipes, O_CLOEXEC) != 0)
        return error_set_os(error, errno, "pipe for %s", tool);
    return OK;
}

// ---- between fork and exec
// -----------------------------------------------------------------------

static bool limit(int resource, uint64_t value) {
    struct rlimit both = {.rlim_cur = value, .rlim_max = value};
    return setrlimit((__rlimit_resource_t)resource, &both) == 0;
}

static bool restrict_calls(void) {
    const struct sock_fprog program = {.len = COUNT_OF(filter),
                                       .filter = (struct sock_filter *)(uintptr_t)filter};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// In the child: async-signal-safe calls only.
NO_RETURN static void become(const struct start *start) {
    const struct wasm_child *child = start->child;
    bool fine = setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
    if (!fine || getppid() != start->parent)
        _exit(SETUP_FAILED);
    int output = start->pipes[1];
    fine = dup2(start->null, 0) == 0 && dup2(output, 1) == 1 && dup2(output, 2) == 2 &&
           chdir(child->folder) == 0;
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    fine = fine && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           (start->rules < 0 || syscall(SYS_landlock_restrict_self, start->rules, 0) == 0);
    fine = fine && syscall(SYS_close_range, 3u, ~0u, 0u) == 0;
    fine = fine && limit(RLIMIT_CORE, 0) && limit(RLIMIT_CPU, child->cpu_seconds) &&
           limit(RLIMIT_AS, child->memory_bytes) && limit(RLIMIT_FSIZE, child->file_bytes) &&
           limit(RLIMIT_NOFILE, 64) && restrict_calls();
    if (!fine)
        _exit(SETUP_FAILED);
    (void)execve(start->program, (char *const *)child->argv, start->environment);
    _exit(NOT_FOUND);
}

// ---- afterwards
// ----------------------------------------------------------------------------------

enum ending { ENDED, OUT_OF_TIME, CANCELLED };

// Waits until the descriptor has something to say, the child's time is over, or all are cancelled.
static enum ending await(const struct wasm_process *process, int descriptor) {
    const struct wasm_child *child = &process->child;
    uint64_t end_ns = process->started_ns + child->wall_seconds * 1000000000u;
    for (;;) {
        uint64_t now_ns = env_monotonic_ns(env_system());
        if (now_ns >= end_ns)
            return OUT_OF_TIME;
        struct pollfd entries[] = {{.fd = descriptor, .events = POLLIN},
                                   {.fd = child->cancel, .events = POLLIN}};
        uint64_t left_ms = (end_ns - now_ns) / 1000000 + 1;
        int ready =
            poll(entries, child->cancel > 0 ? 2 : 1, left_ms > 60000 ? 60000 : (int)left_ms);
        if (ready <= 0)
            continue;
        return child->cancel > 0 && entries[1].revents != 0 ? CANCELLED : ENDED;
    }
}

// Reads the child's output until it closes it, and waits for its end.
static enum ending collect(const struct wasm_process *process, struct buf *output) {
    ssize_t size;
    do {
        enum ending ending = await(process, process->output);
        if (ending != ENDED)
            return ending;
        uint8_t chunk[4096];
        size = read(process->output, chunk, sizeof chunk);
        size_t room = OUTPUT_BYTES_MAX - output->size;
        if (size > 0)
            buf_append(output, chunk, (size_t)size < room ? (size_t)size : room);
    } while (size > 0 || (size < 0 && errno == EINTR));
    // A child that guests subverted may close its output and sleep.
    int child = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (child < 0)
        return ENDED;
    enum ending ending = await(process, child);
    (void)close(child);
    return ending;
}

// The tools print names of files and code of ours; still, only printable text goes into an error.
static void make_printable(struct buf *output) {
    for (size_t i = 0; i < output->size; i++)
        if (output->data[i] != '\n' && (output->data[i] < 0x20 || output->data[i] > 0x7e))
            output->data[i] = '?';
    while (output->size > 0 && output->data[output->size - 1] == '\n')
        output->size--;
}

static enum status judge(const struct wasm_child *child, int state, enum ending ending,
                         struct buf *output, struct error *error) {
    const char *tool = child->argv[0];
    int code = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
    int signal = WIFSIGNALED(state) ? WTERMSIG(state) : 0;
    if (code == 0)
        return OK;
    if (ending == CANCELLED)
        return error_set(error, ERR_STOPPING, "%s was ended, since the node stops", tool);
    if (ending == OUT_OF_TIME)
        return error_set(error, ERR_LIMIT, "%s ran longer than %llu s and was ended", tool,
                         (unsigned long long)child->wall_seconds);
    if (signal == SIGXCPU || signal == SIGKILL)
        return error_set(error, ERR_LIMIT, "%s needed more than %llu s of CPU time, or was killed",
                         tool, (unsigned long long)child->cpu_seconds);
    if (signal == SIGXFSZ)
        return error_set(error, ERR_LIMIT, "%s wrote more than %llu bytes", tool,
                         (unsigned long long)child->file_bytes);
    if (code == NOT_FOUND)
        return not_found(tool, error);
    if (code == SETUP_FAILED)
        return error_set(error, ERR_INTERNAL, "cannot limit the process for %s", tool);
    make_printable(output);
    if (signal != 0)
        return error_set(error, ERR_INVALID, "%s was ended by signal %d: %.400s", tool, signal,
                         buf_text(output));
    return error_set(error, ERR_INVALID, "%s failed (exit status %d): %.600s", tool, code,
                     buf_text(output));
}

enum status wasm_child_wait(struct wasm_process *process, struct buf *output, struct error *error) {
    const struct wasm_child *child = &process->child;
    enum ending ending = collect(process, output);
    (void)close(process->output);
    if (ending != ENDED)
        (void)kill(-process->pid, SIGKILL);
    // Seen dead, but not reaped yet: until then its number, and so its group's, is nobody else's,
    // and whatever it left behind in the group can be ended safely.
    siginfo_t info;
    while (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOWAIT) != 0)
        if (errno != EINTR)
            return error_set_os(error, errno, "waiting for %s", child->argv[0]);
    (void)kill(-process->pid, SIGKILL);
    int state;
    while (waitpid(process->pid, &state, 0) < 0)
        if (errno != EINTR)
            return error_set_os(error, errno, "waiting for %s", child->argv[0]);
    return judge(child, state, ending, output, error);
}

enum status wasm_child_start(const struct wasm_child *child, struct wasm_process *process,
                             struct error *error) {
    assert(child->argv[0] != NULL && child->folder != NULL);
    struct start start;
    enum status status = prepare(&start, child, error);
    if (status == OK) {
        *process =
            (struct wasm_process){.child = *child, .started_ns = env_monotonic_ns(env_system())};
        process->pid = fork();
        if (process->pid == 0)
            become(&start);
        if (process->pid < 0) {
            status = error_set_os(error, errno, "starting %s", child->argv[0]);
        } else {
            // Here as well as in the child: whoever comes first, its group can be ended from now
            // on.
            (void)setpgid(process->pid, process->pid);
            process->output = start.pipes[0];
            start.pipes[0] = -1;
        }
    }
    start_release(&start);
    return status;
}

enum status wasm_child_run(const struct wasm_child *child, struct buf *output,
                           struct error *error) {
    struct wasm_process process;
    enum status status = wasm_child_start(child, &process, error);
    return status == OK ? wasm_child_wait(&process, output, error) : status;
}

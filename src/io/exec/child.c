// SPDX-License-Identifier: Apache-2.0
// From fork to execve: what a program gets, and what is taken from it.
//
// It is the first of a session and a process group of its own, has the three descriptors it was
// given and no other, no signals blocked or ignored, exactly the environment it was given, and dies
// when its supervisor dies. It can gain no rights by set-user-ID programs (no_new_privs). Where
// Landlock can (kernel 6.12), it can signal only what it started itself: neither its supervisor nor
// the node.
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/exec/exec.h"

// ---- Landlock
// ------------------------------------------------------------------------------------

// The kernel's own header may be older than the kernel: rights by their bits
// (Documentation/userspace-api/landlock.rst).
enum landlock_right {
    RIGHT_EXECUTE = 1 << 0,
    RIGHT_WRITE_FILE = 1 << 1,
    RIGHT_READ_FILE = 1 << 2,
    RIGHT_READ_DIR = 1 << 3,
    RIGHTS_FIRST = (1 << 13) - 1,  // of ABI 1: these, and making and removing of all kinds
    RIGHT_REFER = 1 << 13,         // ABI 2
    RIGHT_TRUNCATE = 1 << 14,      // ABI 3
    RIGHT_IOCTL_DEV = 1 << 15,     // ABI 5
};
enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_IOCTL_DEV = 5, ABI_SCOPES = 6 };
enum { SCOPE_ABSTRACT_UNIX_SOCKET = 1, SCOPE_SIGNAL = 2 };

struct ruleset {
    uint64_t file_rights;
    uint64_t net_rights;  // ABI 4
    uint64_t scopes;      // ABI 6
};

// What programs need of the system, to be read and run.
static const char *const system_folders[] = {
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/nix", "/run/systemd/resolve"};
static const char *const readable_devices[] = {"/dev/null", "/dev/zero", "/dev/random",
                                               "/dev/urandom"};

static int landlock_abi(void) {
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version > 0 ? (int)version : 0;
}

static uint64_t rights_of(int abi) {
    uint64_t rights = RIGHTS_FIRST;
    rights |= abi >= ABI_REFER ? RIGHT_REFER : 0U;
    rights |= abi >= ABI_TRUNCATE ? RIGHT_TRUNCATE : 0U;
    return rights | (abi >= ABI_IOCTL_DEV ? RIGHT_IOCTL_DEV : 0U);
}

static bool allow(int rules, int folder, uint64_t rights) {
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = folder};
    return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

// What does not exist needs no rule.
static bool allow_path(int rules, const char *path, uint64_t rights) {
    int handle = open(path, O_PATH | O_CLOEXEC);
    if (handle < 0) {
        return errno == ENOENT;
    }
    struct stat info;
    bool is_folder = fstat(handle, &info) == 0 && S_ISDIR(info.st_mode);
    uint64_t of_files = RIGHT_EXECUTE | RIGHT_WRITE_FILE | RIGHT_READ_FILE | RIGHT_TRUNCATE;
    bool good = allow(rules, handle, is_folder ? rights : rights & of_files);
    (void)close(handle);
    return good;
}

// Nothing but the root and what all programs need.
static bool add_rules(int rules, const struct exec_start *start, int abi) {
    uint64_t read = RIGHT_EXECUTE | RIGHT_READ_FILE | RIGHT_READ_DIR;
    uint64_t all = rights_of(abi) & ~(uint64_t)RIGHT_IOCTL_DEV;
    bool may_write = (start->request.flags & EXEC_MAY_WRITE) != 0;
    bool good = allow(rules, start->descriptors[EXEC_ROOT], may_write ? all : read) &&
                allow_path(rules, start->program, RIGHT_EXECUTE | RIGHT_READ_FILE) &&
                allow_path(rules, "/dev/null", RIGHT_READ_FILE | RIGHT_WRITE_FILE);
    for (size_t i = 0; good && i < COUNT_OF(system_folders); i++) {
        good = allow_path(rules, system_folders[i], read);
    }
    for (size_t i = 0; good && i < COUNT_OF(readable_devices); i++) {
        good = allow_path(rules, readable_devices[i], RIGHT_READ_FILE);
    }
    return good;
}

// Before ABI 3 Landlock lets a file that must not be written be emptied by truncate(2).
static bool refuse_truncate(void) {
#if defined(__x86_64__)
    const uint32_t architecture = AUDIT_ARCH_X86_64;
#else
    const uint32_t architecture = AUDIT_ARCH_AARCH64;
#endif
    const struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        // The second set of calls of x86-64 (x32); no call of aarch64 has such a number.
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_truncate, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = COUNT_OF(filter),
                                       .filter = (struct sock_filter *)(uintptr_t)filter};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// False with errno. Without Landlock only a program that is to be confined is refused.
static bool restrict_self(const struct exec_start *start) {
    bool is_confined = (start->request.flags & EXEC_CONFINED) != 0;
    int abi = landlock_abi();
    if (abi == 0 || (!is_confined && abi < ABI_SCOPES)) {
        errno = EOPNOTSUPP;
        return !is_confined;
    }
    struct ruleset ruleset = {.file_rights = is_confined ? rights_of(abi) : 0U};
    if (abi >= ABI_SCOPES) {
        ruleset.scopes = SCOPE_SIGNAL | (is_confined ? SCOPE_ABSTRACT_UNIX_SOCKET : 0U);
    }
    // An older kernel takes a shorter structure, or a longer one that is zero at its end.
    int rules = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
    bool good = rules >= 0 && (!is_confined || add_rules(rules, start, abi)) &&
                syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    if (rules >= 0) {
        int code = errno;
        (void)close(rules);
        errno = code;
    }
    return good && (!is_confined || abi >= ABI_TRUNCATE || refuse_truncate());
}

// ---- the rest
// ------------------------------------------------------------------------------------

static bool limit(__rlimit_resource_t resource, rlim_t soft, rlim_t hard) {
    struct rlimit both;
    if (getrlimit(resource, &both) != 0) {
        return false;
    }
    both.rlim_max = hard < both.rlim_max ? hard : both.rlim_max;
    both.rlim_cur = soft < both.rlim_max ? soft : both.rlim_max;
    return setrlimit(resource, &both) == 0;
}

// The node may have raised its own limits: a program gets what is usual.
static bool set_limits(const struct exec_request *request) {
    enum { FILES_SOFT = 1024, FILES_HARD = 65536 };
    return limit(RLIMIT_CORE, 0, 0) && limit(RLIMIT_NOFILE, FILES_SOFT, FILES_HARD) &&
           (request->cpu_seconds == 0 ||
            limit(RLIMIT_CPU, request->cpu_seconds, (rlim_t)request->cpu_seconds + 1));
}

static void reset_signals(void) {
    struct sigaction usual = {.sa_handler = SIG_DFL};
    for (int i = 1; i <= EXEC_SIGNAL_MOST; i++) {
        (void)sigaction(i, &usual, NULL);  // fails for those that cannot be handled
    }
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

NO_RETURN static void fail(int report, enum exec_stage stage) {
    struct exec_report failure = {.kind = EXEC_FAILED, .value = errno, .stage = stage};
    ssize_t sent = write(report, &failure, sizeof failure);
    _exit(sent == (ssize_t)sizeof failure ? 127 : 126);
}

void exec_become(const struct exec_start *start, int report, pid_t parent) {
    const int *given = start->descriptors;
    errno = ESRCH;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || setsid() < 0) {
        fail(report, EXEC_STAGE_SETUP);
    }
    reset_signals();
    (void)umask(022);
    if (fchdir(given[EXEC_FOLDER]) != 0) {
        fail(report, EXEC_STAGE_FOLDER);
    }
    if (dup2(given[EXEC_STDIN], 0) != 0 || dup2(given[EXEC_STDOUT], 1) != 1 ||
        dup2(given[EXEC_STDERR], 2) != 2 || !set_limits(&start->request) ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        fail(report, EXEC_STAGE_SETUP);
    }
    if (!restrict_self(start)) {
        fail(report, EXEC_STAGE_LANDLOCK);
    }
    int last = report;
    if (report != 3) {
        last = dup3(report, 3, O_CLOEXEC);
    }
    if (last != 3 || syscall(SYS_close_range, 4U, ~0U, 0U) != 0) {
        fail(report, EXEC_STAGE_SETUP);
    }
    (void)execve(start->program, start->args, start->variables);
    fail(last, EXEC_STAGE_EXECVE);
}

// SPDX-License-Identifier: Apache-2.0
// Kills all descendants of the calling process.
//
// A process that was sent SIGKILL forks no more: so its list of children, read afterwards, is
// complete, or it is dead and they have become ours. Our own children keep their numbers until we
// reap them. Deeper ones are reaped by others, and their numbers may become somebody else's: these
// are killed through a pidfd, after a look that it is still the child of the one it was found at.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/exec/exec.h"

// Deeper ones have become children of ours by the next call.
enum { DEPTH_MOST = 32, LIST_BYTES = 64 * 1024 };

// Of /proc/PID/stat: "PID (NAME) STATE PARENT …", where NAME may hold anything.
static pid_t parent_of(pid_t pid) {
    char path[64], text[512];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = file >= 0 ? read(file, text, sizeof text - 1) : -1;
    if (file >= 0) {
        (void)close(file);
    }
    text[size > 0 ? size : 0] = '\0';
    const char *end = strrchr(text, ')');
    return end != NULL && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : -1;
}

static bool kill_beneath(pid_t pid, int depth, bool (*is_kept)(pid_t child));

static void kill_child(pid_t parent, pid_t pid, int depth) {
    if (depth == 0) {
        (void)kill(pid, SIGKILL);
    } else {
        int handle = (int)syscall(SYS_pidfd_open, pid, 0);
        if (handle < 0) {
            return;
        }
        bool is_its = parent_of(pid) == parent;
        if (is_its) {
            (void)syscall(SYS_pidfd_send_signal, handle, SIGKILL, NULL, 0);
        }
        (void)close(handle);
        if (!is_its) {
            return;
        }
    }
    if (depth + 1 < DEPTH_MOST) {
        (void)kill_beneath(pid, depth + 1, NULL);
    }
}

// `list` is the path of a file with the numbers of children, a space behind each.
static bool kill_listed(const char *list, pid_t parent, int depth, bool (*is_kept)(pid_t child)) {
    int file = open(list, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    bool found = false;
    char *text = malloc(LIST_BYTES);
    size_t size = 0;
    ssize_t got = 1;
    while (text != NULL && got > 0 && size < LIST_BYTES - 1) {
        got = read(file, text + size, LIST_BYTES - 1 - size);
        size += got > 0 ? (size_t)got : 0;
    }
    (void)close(file);
    if (text != NULL) {
        text[size] = '\0';
        char *at = text, *end = NULL;
        for (long pid = strtol(at, &end, 10); end != at; pid = strtol(at, &end, 10)) {
            // A number that the buffer's end cut has no space behind it.
            if (*end == ' ' && (is_kept == NULL || !is_kept((pid_t)pid))) {
                found = true;
                kill_child(parent, (pid_t)pid, depth);
            }
            at = end;
        }
        free(text);
    }
    return found;
}

// Children belong to the thread that forked them.
static bool kill_beneath(pid_t pid, int depth, bool (*is_kept)(pid_t child)) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return false;
    }
    bool found = false;
    char entries[4096];
    long size = 0;
    while ((size = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0) {
        for (long at = 0; at < size;) {
            // struct linux_dirent64: inode 8 bytes, offset 8, size of the entry 2, type 1, name.
            unsigned short length;
            memcpy(&length, entries + at + 16, sizeof length);
            const char *name = entries + at + 19;
            if (name[0] != '.') {
                char list[96];
                (void)snprintf(list, sizeof list, "/proc/%d/task/%.20s/children", (int)pid, name);
                found |= kill_listed(list, pid, depth, is_kept);
            }
            at += length;
        }
    }
    (void)close(folder);
    return found;
}

// Kernels without lists of children (CONFIG_PROC_CHILDREN): looks at every process for its parent.
static bool kill_by_scan(bool (*is_kept)(pid_t child)) {
    pid_t self = getpid();
    int folder = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool found = false;
    char entries[4096];
    long size = 0;
    while (folder >= 0 && (size = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0) {
        for (long at = 0; at < size;) {
            unsigned short length;
            memcpy(&length, entries + at + 16, sizeof length);
            pid_t pid = (pid_t)strtol(entries + at + 19, NULL, 10);
            if (pid > 0 && parent_of(pid) == self && (is_kept == NULL || !is_kept(pid))) {
                found = true;
                (void)kill(pid, SIGKILL);
            }
            at += length;
        }
    }
    if (folder >= 0) {
        (void)close(folder);
    }
    return found;
}

bool exec_kill_descendants(bool (*is_kept)(pid_t child)) {
    return access("/proc/thread-self/children", R_OK) == 0 ? kill_beneath(getpid(), 0, is_kept)
                                                           : kill_by_scan(is_kept);
}

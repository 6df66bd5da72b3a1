// SPDX-License-Identifier: Apache-2.0
// What the node and theater-exec say to each other. Both come from one build, on one machine: plain
// structures in the machine's own byte order.
//
//   node ── server ──> theater-exec       one packet per program: one byte, and with it the
//                                         descriptor of a control socket
//   node ── control ──> its supervisor    struct exec_request with the descriptors of
//                                         enum exec_descriptor, then struct exec_command as wanted
//   node <── control ── its supervisor    struct exec_report
//
// Whoever sees the other end closed knows that the other is gone: a supervisor then kills all that
// its program left, and the node knows that nothing of the program is left.
#ifndef IO_EXEC_PROTOCOL_H
#define IO_EXEC_PROTOCOL_H

#include <stdint.h>

enum {
    EXEC_VERSION = 1,
    EXEC_SERVER_SOCKET = 3,          // the descriptor that theater-exec is started with
    EXEC_BODY_MOST_BYTES = 4 << 20,  // of all texts of a request
    EXEC_SIGNAL_MOST = 64,
};

// The descriptors that come with a request, in this order.
enum exec_descriptor {
    EXEC_BODY,   // a memfd: the path of the program, its arguments and its variables, each with
                 // the NUL at its end
    EXEC_STDIN,  // these three become 0, 1 and 2
    EXEC_STDOUT,
    EXEC_STDERR,
    EXEC_FOLDER,  // its working folder
    EXEC_ROOT,    // only with EXEC_CONFINED: the folder that it is confined to
    EXEC_DESCRIPTOR_COUNT
};

enum exec_flag {
    EXEC_CONFINED = 1,   // Landlock: only beneath the root, and reading system paths
    EXEC_MAY_WRITE = 2,  // beneath the root
};

struct exec_request {
    uint32_t version;  // EXEC_VERSION
    uint32_t flags;
    uint32_t body_bytes;
    uint32_t arg_count;  // with the name, argument 0
    uint32_t variable_count;
    uint32_t cpu_seconds;  // 0: no limit
};

enum exec_command_kind {
    EXEC_SIGNAL,  // `value` to the program itself; answered with EXEC_SIGNALLED
    EXEC_KILL,    // the program and all that it started
};
struct exec_command {
    uint32_t kind;
    int32_t value;
};

enum exec_report_kind {
    EXEC_STARTED,    // the program runs; `value` is its process id
    EXEC_FAILED,     // it does not: `value` is the errno of `stage`
    EXEC_EXITED,     // `value` is its exit code, or minus the number of the signal that ended it
    EXEC_SIGNALLED,  // `value` is 0 or the errno
};
// What failed.
enum exec_stage {
    EXEC_STAGE_REQUEST,  // reading the request
    EXEC_STAGE_FORK,
    EXEC_STAGE_SETUP,
    EXEC_STAGE_FOLDER,
    EXEC_STAGE_LANDLOCK,
    EXEC_STAGE_EXECVE,
    EXEC_STAGE_COUNT
};
struct exec_report {
    uint32_t kind;
    int32_t value;
    uint32_t stage;
};

#endif

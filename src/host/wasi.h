// SPDX-License-Identifier: Apache-2.0
// What the files of WASI 0.2 share: the table of an actor's resources, streams over anything that
// can be read or written, and the answers that many functions give.
//
// A resource of the host is a slot of the actor's table. Its number is what the component layer
// calls the representation; the guest never sees it. Numbers are reused last in, first out, so
// that a turn that runs again with the recorded results gets the same ones.
//
// All functions are for the calling actor's fiber during its turn, unless they say otherwise.
#ifndef HOST_WASI_H
#define HOST_WASI_H

#include "host/folder.h"
#include "host/host.h"

// ---- resources (wasi_table.c)
// ---------------------------------------------------------------------

enum wasi_kind {
    WASI_FREE,
    WASI_ERROR,              // number: enum wasi_failure
    WASI_POLLABLE,           // number: when it is ready, on the monotonic clock; 0: always;
                             // object: struct wasi_http_future that it waits for, or NULL
    WASI_INPUT_STREAM,       // object: struct wasi_source; number: 0 or WASI_STREAM_CLOSED
    WASI_OUTPUT_STREAM,      // object: struct wasi_sink; number: as for an input-stream
    WASI_DESCRIPTOR,         // object: struct wasi_file
    WASI_FOLDER_STREAM,      // object: struct folder_stream (wasi_filesystem_types.c)
    WASI_NETWORK,            // nothing: no socket can be made with it
    WASI_FIELDS,             // object: struct wasi_fields; number: whether they are immutable
    WASI_OUTGOING_REQUEST,   // object: struct wasi_http_request
    WASI_OUTGOING_BODY,      // object: struct wasi_http_body; number: whether its stream was given
    WASI_REQUEST_OPTIONS,    // object: struct wasi_http_options
    WASI_FUTURE_RESPONSE,    // object: struct wasi_http_future
    WASI_INCOMING_RESPONSE,  // object: struct io_http_transfer; number: whether it was consumed
    WASI_INCOMING_BODY,      // the same; number: whether its stream was given
    WASI_FUTURE_TRAILERS,    // number: whether they were taken
    WASI_KIND_COUNT
};

struct wasi_slot {
    enum wasi_kind kind;
    uint32_t next_free;
    uint64_t number;
    void *object;
    void (*release)(void *object);  // NULL: nothing to do
};

struct wasi_table {
    struct wasi_slot *slots;  // number n is slots[n - 1]
    uint32_t count, capacity;
    uint32_t free;  // the number to use next; 0: none was given back
    uint32_t live[WASI_KIND_COUNT];
    uint64_t live_count;  // of all kinds
};

// Whether another resource of the kind fits (each kind is bounded for each actor, and all
// of them by limits.handles).
bool wasi_has_room(struct component_call *call, enum wasi_kind kind);
// Makes a resource; takes `object`. False: there is no room, trapped, and the object is released.
bool wasi_add(struct component_call *call, struct wasi_slot slot, struct value *own);
// The resource that a borrow<…> names, or NULL: it is of another kind, trapped. Valid until
// another resource is made.
struct wasi_slot *wasi_get(struct component_call *call, const struct value *borrow,
                           enum wasi_kind kind);
// Takes the resource that an own<…> gives to the host out of the table, without releasing it.
// False: it is of another kind, trapped.
bool wasi_take(struct component_call *call, const struct value *own, enum wasi_kind kind,
               struct wasi_slot *out);
// A component_host_resource.drop.
void wasi_drop(void *owner, const void *data, uint32_t number);
// Releases what is left. Any thread that owns the actor.
void wasi_table_release(struct wasi_table *table);

// ---- text that goes to the actor's log (wasi_cli_stdio.c)
// -----------------------------------------

enum wasi_output { WASI_STDOUT, WASI_STDERR, WASI_OUTPUT_COUNT };

// What was written after the last line end.
struct wasi_lines {
    struct buf rest[WASI_OUTPUT_COUNT];
};
// Logs unfinished lines. On the actor's worker, outside of a turn.
void wasi_lines_release(struct wasi_lines *lines, struct actor *self);

// ---- what the host keeps for an actor
// -------------------------------------------------------------

struct host_state {
    struct env random;        // seeded: lasts as long as the actor
    struct wasi_table table;  // the rest ends with the instance
    struct wasi_lines lines;
    struct host_folders folders;
    struct web *web;                // owned: the HTTP servers (http_framework.h); NULL: none
    struct websockets *websockets;  // owned: of the instance (websocket.h); NULL: it has none
    struct child *children;         // process.h, newest first
    uint64_t last_child;            // number of the newest program: lasts as long as the actor
    uint64_t http_body_bytes;       // of requests that are not sent yet
};
// Ends the programs of the actor. On its worker.
void host_children_release(struct host_state *state);
// Made on first use; owned by the actor.
struct host_state *host_state_of(struct actor *self);

// ---- streams (wasi_io_streams.c)
// ------------------------------------------------------------------

// Why an operation on files or streams failed: the cases of wasi:filesystem/types error-code.
enum wasi_failure {
    WASI_ACCESS,
    WASI_WOULD_BLOCK,
    WASI_ALREADY,
    WASI_BAD_DESCRIPTOR,
    WASI_BUSY,
    WASI_DEADLOCK,
    WASI_QUOTA,
    WASI_EXIST,
    WASI_FILE_TOO_LARGE,
    WASI_ILLEGAL_BYTE_SEQUENCE,
    WASI_IN_PROGRESS,
    WASI_INTERRUPTED,
    WASI_INVALID,
    WASI_IO,
    WASI_IS_DIRECTORY,
    WASI_LOOP,
    WASI_TOO_MANY_LINKS,
    WASI_MESSAGE_SIZE,
    WASI_NAME_TOO_LONG,
    WASI_NO_DEVICE,
    WASI_NO_ENTRY,
    WASI_NO_LOCK,
    WASI_INSUFFICIENT_MEMORY,
    WASI_INSUFFICIENT_SPACE,
    WASI_NOT_DIRECTORY,
    WASI_NOT_EMPTY,
    WASI_NOT_RECOVERABLE,
    WASI_UNSUPPORTED,
    WASI_NO_TTY,
    WASI_NO_SUCH_DEVICE,
    WASI_OVERFLOW,
    WASI_NOT_PERMITTED,
    WASI_PIPE,
    WASI_READ_ONLY,
    WASI_INVALID_SEEK,
    WASI_TEXT_FILE_BUSY,
    WASI_CROSS_DEVICE,
    WASI_FAILURE_COUNT
};
// The case's name, such as "no-entry". Static storage.
const char *wasi_failure_name(enum wasi_failure failure);

enum wasi_outcome {
    WASI_DONE,
    WASI_CLOSED,   // the end of the stream
    WASI_FAILED,   // `failure` says why
    WASI_TRAPPED,  // recorded with component_call_trap
};

// What an input-stream reads from. Always ready: reading may park the fiber, but never waits for
// another actor or a client.
struct wasi_source {
    // At most `most` bytes (more than 0), at least one, into the call's arena.
    enum wasi_outcome (*read)(struct wasi_source *source, struct component_call *call,
                              uint64_t most, struct slice *out, enum wasi_failure *failure);
};
// What an output-stream writes to. Always ready, as a source.
struct wasi_sink {
    enum wasi_outcome (*write)(struct wasi_sink *sink, struct component_call *call,
                               struct slice content, enum wasi_failure *failure);
};

enum {
    WASI_STREAM_MOST_BYTES = 64 * 1024,  // of one read or write
    WASI_STREAM_CLOSED = 1,              // for good; the object is not asked any more
};

// ---- answers
// -----------------------------------------------------------------------------------------

// False after a trap that names the handler block that is missing, or the policy that forbids it.
// Every function of WASI that needs a handler asks this first.
bool wasi_needs(struct component_call *call, enum manifest_handler_type handler);
// A pollable that is ready at once, or at a time of the monotonic clock.
bool wasi_add_pollable(struct component_call *call, uint64_t due_ns, struct value *own);

// Tables of functions, one for each interface.
extern const struct host_interface wasi_io_error;
extern const struct host_interface wasi_io_poll;
extern const struct host_interface wasi_io_streams;
extern const struct host_interface wasi_clocks_monotonic;
extern const struct host_interface wasi_clocks_wall;
extern const struct host_interface wasi_random_random;
extern const struct host_interface wasi_random_insecure;
extern const struct host_interface wasi_random_insecure_seed;
extern const struct host_interface wasi_cli_environment;
extern const struct host_interface wasi_cli_exit;
extern const struct host_interface wasi_cli_stdin;
extern const struct host_interface wasi_cli_stdout;
extern const struct host_interface wasi_cli_stderr;
extern const struct host_interface wasi_cli_terminal_stdin;
extern const struct host_interface wasi_cli_terminal_stdout;
extern const struct host_interface wasi_cli_terminal_stderr;
extern const struct host_interface wasi_filesystem_preopens;
extern const struct host_interface wasi_filesystem_types;
extern const struct host_interface wasi_http_outgoing_handler;
extern const struct host_interface wasi_http_types;
extern const struct host_interface wasi_sockets_instance_network;
extern const struct host_interface wasi_sockets_network;
extern const struct host_interface wasi_sockets_tcp_create;
extern const struct host_interface wasi_sockets_udp_create;
extern const struct host_interface wasi_sockets_lookup;

#endif

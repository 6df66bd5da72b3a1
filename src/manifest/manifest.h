// SPDX-License-Identifier: Apache-2.0
// The manifest: what an actor is made of and how it is to be run (contract §4). This room reads
// the text in all three syntaxes in the wild, substitutes variables, checks every key and gives one
// immutable value; docs/manifest.md is its reference for users, tests/unit/manifest checks the two
// against each other.
//
// The room is pure: a reference (component, init_state) is a value, resolved through a table of
// functions that the caller gives. manifest_file_resolver reads files; URLs and the store come from
// whoever has a network and a store.
//
// Lifetime: manifest_load_* gives one reference; nothing changes afterwards, so any thread may read
// and share it; the last manifest_unref frees it and all the texts it holds.
#ifndef MANIFEST_MANIFEST_H
#define MANIFEST_MANIFEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include "codec/sha256.h"
#include "manifest/permission.h"

enum {
    MANIFEST_TEXT_MAX_BYTES = 1 << 20,   // also after substitution
    MANIFEST_STATE_MAX_BYTES = 1 << 28,  // of an initial state, whatever limits.state_bytes says
    MANIFEST_HANDLERS_MAX = 64,
    MANIFEST_LIST_MAX = 1024,  // items of one list
    MANIFEST_ID_MAX_BYTES = 128,
    MANIFEST_NAME_MAX_BYTES = 256,
};

enum manifest_on_error { MANIFEST_ON_ERROR_CONTINUE, MANIFEST_ON_ERROR_CRASH };
enum manifest_recover { MANIFEST_RECOVER_RESUME, MANIFEST_RECOVER_INIT, MANIFEST_RECOVER_REPLAY };
enum manifest_restart { MANIFEST_PERMANENT, MANIFEST_TRANSIENT, MANIFEST_TEMPORARY };
enum manifest_restart_state { MANIFEST_STATE_INITIAL, MANIFEST_STATE_LAST };
enum manifest_mailbox { MANIFEST_MAILBOX_KEEP, MANIFEST_MAILBOX_DROP };
enum manifest_durability { MANIFEST_MEMORY, MANIFEST_ASYNC, MANIFEST_SYNC };
enum manifest_strategy { MANIFEST_ONE_FOR_ONE, MANIFEST_ONE_FOR_ALL, MANIFEST_REST_FOR_ONE };
enum manifest_on_full { MANIFEST_FULL_STOP, MANIFEST_FULL_PRUNE };

// [supervision]: rules the actor's children.
struct manifest_supervision {
    enum manifest_strategy strategy;  // one-for-one
    uint64_t max_restarts;            // 3, within window_ms; 0 = never restart
    uint64_t window_ms;               // 5000
    uint64_t backoff_initial_ms;      // 100: before the second restart in a window
    uint64_t backoff_max_ms;          // 10000
};

// [limits]
struct manifest_limits {
    uint64_t memory_bytes;        // 256 MiB: linear memories and tables of the instance
    uint64_t stack_bytes;         // 256 KiB: of a turn's fiber
    uint64_t state_bytes;         // 16 MiB
    uint64_t message_bytes;       // 16 MiB: one message, also what get-chain may return
    uint64_t mailbox_messages;    // 10000
    uint64_t mailbox_bytes;       // 64 MiB
    uint64_t requests;            // 10000: delivered and not answered yet
    uint64_t channels;            // 10000: open, opening, or closed with the notice not read yet
    uint64_t children;            // 10000: alive
    uint64_t spawns_per_second;   // 10000: of spawn and resume together, bursts of a second's worth
    uint64_t handles;             // 8000: WASI resources of all kinds
    uint64_t websockets;          // 10000: connections to all of its servers
    uint64_t request_timeout_ms;  // 300000
    uint64_t send_timeout_ms;     // 5000
    uint64_t stop_timeout_ms;     // 5000
    uint64_t init_timeout_ms;     // 300000
    uint64_t turn_cpu_ms;         // 10000
    uint64_t chain_bytes;         // 0 = no limit
    enum manifest_on_full on_full;
};

// The first key of [limits] that the text names, as in "… (limits.children)", without "limits.";
// NULL when it names none. Static.
const char *manifest_limit_named(struct slice text);

// The order is that of manifest_handler_name's table.
enum manifest_handler_type {
    HANDLER_RUNTIME,
    HANDLER_MESSAGE_SERVER,
    HANDLER_SUPERVISOR,
    HANDLER_STORE,
    HANDLER_HTTP_CLIENT,
    HANDLER_HTTP_FRAMEWORK,
    HANDLER_FILESYSTEM,
    HANDLER_TIMING,
    HANDLER_PROCESS,
    HANDLER_ENVIRONMENT,
    HANDLER_RANDOM,
    HANDLER_WEBSOCKET_SERVER,
    // Named by manifests for other releases; read, never available (manifest_check_available).
    HANDLER_WASI_HTTP,
    HANDLER_REPLAY,
    HANDLER_TCP,
    HANDLER_RPC,
    HANDLER_TERMINAL,
    HANDLER_TIMER,
    HANDLER_LOOP,
    HANDLER_PODMAN,
    HANDLER_TYPE_COUNT
};

// A list as written: absent and empty mean different things (contract §3).
struct manifest_list {
    bool present;
    uint32_t count;
    const char *const *items;
};

// One [[handler]] block. Texts and lists live as long as the manifest; absent texts are NULL.
struct manifest_handler {
    enum manifest_handler_type type;
    uint32_t line, column;  // of the block
    union {
        struct {
            struct manifest_list allowed_sources;
        } supervisor;
        struct {
            const char *base_path;  // no effect, as store_id
            const char *store_id;
            uint64_t max_bytes;     // 16 GiB: all stores of the actor together
            uint64_t max_contents;  // 2000000
        } store;
        struct {
            struct manifest_list allowed_methods, allowed_hosts;
            uint64_t max_redirects;      // 10
            uint64_t timeout;            // 30000 ms
            uint64_t max_response_size;  // 100 MiB
        } http_client;
        struct {
            struct manifest_list allowed_routes, allowed_methods;
            uint64_t max_request_size;  // 100 MiB
            uint64_t max_connections;   // 1000, of each server
            uint64_t header_timeout;    // 10000 ms
            uint64_t body_timeout;      // 30000 ms
            uint64_t idle_timeout;      // 60000 ms
            uint64_t write_timeout;     // 30000 ms
        } http_framework;
        struct {
            const char *path;  // absolute; NULL when new_dir
            bool new_dir;
            bool read, write, execute;  // true
            struct manifest_list allowed_commands;
        } filesystem;
        struct {
            uint64_t max_sleep_duration;  // 3600000 ms
            uint64_t min_sleep_duration;  // 1 ms
        } timing;
        struct {
            uint64_t max_processes;      // 10
            uint64_t max_output_buffer;  // 1 MiB
            struct manifest_list allowed_programs, allowed_paths;
        } process;
        struct {
            struct manifest_list allowed_vars, denied_vars, allowed_prefixes, secret_vars;
            bool allow_list_all;
        } environment;
        struct {
            bool has_seed;
            uint64_t seed;
            uint64_t max_bytes;  // 1 MiB
            uint64_t max_int;    // 9223372036854775807
            bool allow_crypto_secure;
        } random;
        struct {
            uint64_t port;
            const char *host;  // "127.0.0.1"
        } websocket_server;
    };
};

// Immutable after load but for `references` (any thread, atomically). Texts are NUL-terminated
// UTF-8 without NULs, in `arena`; optional ones are NULL when absent.
struct manifest {
    _Atomic uint32_t references;
    struct arena arena;

    const char *name;
    const char *version;      // "" when absent
    const char *description;  // "" when absent
    const char *component;    // reference, as written
    const char *id;           // chosen actor id; NULL: generate one
    const char *init_state;   // reference, as written; NULL when absent
    const char *file;         // how errors name it: the path, or "manifest"
    const char *folder;       // relative references start here
    const char *confined_to;  // files only beneath this folder; NULL: anywhere

    bool save_chain;
    bool static_package;
    bool stateless_instance;
    uint64_t hibernate_after_ms;                // 0: only when memory is short
    enum manifest_on_error on_error;            // continue
    enum manifest_recover recover;              // resume
    enum manifest_restart restart;              // temporary
    enum manifest_restart_state restart_state;  // initial
    enum manifest_mailbox mailbox_on_restart;   // keep
    enum manifest_durability durability;        // async
    struct manifest_supervision supervision;
    struct manifest_limits limits;

    uint32_t handler_count;
    const struct manifest_handler *handlers;  // in the order of the text

    struct permissions policy;  // what permission_policy lets through, for itself and its children
    struct permissions blocks;  // what its handler blocks ask for

    struct bytes *initial_state;      // the first state, JSON unless given exactly; NULL: none
    struct bytes *raw_text;           // as read
    struct bytes *text;               // after substitution: "the resolved manifest"
    uint8_t text_hash[SHA256_BYTES];  // SHA-256 of `text`
};

// Fetches what references name. Implementations may wait, so call manifest_load_* where waiting is
// allowed; they read `folder` and `confined_to` as in struct manifest.
struct manifest_resolver {
    void *context;
    // Gives the content of `reference`, at most `limit_bytes`. Errors never quote the content.
    enum status (*read)(void *context, const char *folder, const char *confined_to,
                        const char *reference, uint64_t limit_bytes, struct bytes **out,
                        struct error *error);
};
// Reads files: relative to `folder`, and beneath `confined_to` (openat2, RESOLVE_BENEATH) unless
// that is NULL. References with a scheme are ERR_UNSUPPORTED. Any thread.
extern const struct manifest_resolver manifest_file_resolver;

// Who names a reference: what it refers to is read with the rights of that actor (contract §3,
// Permissions). Zero-initialised: the user, whose rights have no bound.
struct manifest_asker {
    const char *actor;                      // its id
    const struct permissions *permissions;  // in effect for it
    // Its bound and what its policy lets through: both rule what its children may, and what is
    // fetched for them. NULL where `permissions` is.
    const struct permissions *bound, *policy;
};

// A kind of reference that is no file: those that begin with `prefix`. The node has one for each
// thing that it can reach. `read` is as in struct manifest_resolver, on any thread that may wait;
// it checks what the asker may.
struct manifest_scheme {
    const char *prefix;  // "store://"
    bool is_slow;        // `read` waits for others than this machine
    void *context;
    enum status (*read)(void *context, const struct manifest_asker *asker, const char *reference,
                        uint64_t limit_bytes, struct bytes **out, struct error *error);
};

// A resolver over schemes and files. A relative reference in a manifest that came by a scheme
// starts at that manifest's folder, which is then of that scheme too; a path in it is refused.
struct manifest_references {
    const struct manifest_scheme *schemes;
    size_t scheme_count;
    struct manifest_asker asker;
    // Called around what is slow; NULL: nothing is to be done.
    void (*wait_begins)(void *context);
    void (*wait_ends)(void *context);
    void *wait_context;
};
// Borrows `references`, which must last as long as the resolver is used.
struct manifest_resolver manifest_resolver_of(struct manifest_references *references);
// Whether a reference has a scheme ("store://…"), so that it names no file.
bool manifest_has_scheme(const char *reference);

// A complaint that does not stop a load: a full sentence "file:line:column: …". Borrows `text`.
typedef void manifest_warn_fn(void *context, const char *text);

// Zero-initialised is right for a manifest that a user names.
struct manifest_options {
    // State given at start, merged over init_state (top-level keys of objects; anything else
    // replaces it). Must be JSON unless `exact_state`.
    bool has_state;
    struct slice state;
    // resume: `state` is any bytes and is the initial state as it stands.
    bool exact_state;
    // The text is a resolved manifest from a chain: nothing is filled in, and no initial state
    // read.
    bool is_resolved;
    const char *confined_to;                   // NULL: files anywhere
    const struct manifest_resolver *resolver;  // NULL: manifest_file_resolver
    manifest_warn_fn *warn;                    // NULL: warnings are dropped
    void *warn_context;
};

// Reads the file `path`; relative references start at its folder. With `confined_to` the file
// itself must lie beneath it. Errors read "path:line:column: key: what is wrong".
enum status manifest_load_file(const char *path, const struct manifest_options *options,
                               struct manifest **out, struct error *error) MUST_CHECK;
// The same for a text at hand; `folder` is where relative references start. `options` may be NULL.
enum status manifest_load_text(struct slice text, const char *folder,
                               const struct manifest_options *options, struct manifest **out,
                               struct error *error) MUST_CHECK;
// `argument` is what a user or an actor gives as a manifest: a reference (file, https://, http://,
// store://, through the resolver, a relative path starting at `folder`) or the TOML text itself.
enum status manifest_load(struct slice argument, const char *folder,
                          const struct manifest_options *options, struct manifest **out,
                          struct error *error) MUST_CHECK;
// Whether `argument` is TOML text rather than a path or URL: it holds a line end or a "key =
// value".
bool manifest_is_text(struct slice argument);

// Reads a file that holds a permission_policy, as a manifest has it, and nothing else: the bound of
// a node. Folders in it start at the file's. Lists of `out` lie in `arena`.
enum status manifest_load_permissions(const char *path, const struct manifest_options *options,
                                      struct arena *arena, struct permissions *out,
                                      struct error *error) MUST_CHECK;

// Gives one more reference. Any thread.
struct manifest *manifest_ref(struct manifest *manifest);
// Takes one reference; the last one frees. NULL is fine. Any thread.
void manifest_unref(struct manifest *manifest);

// Gives the component's bytes through `resolver` (NULL: files), with the manifest's own folder and
// confinement.
enum status manifest_read_component(const struct manifest *manifest,
                                    const struct manifest_resolver *resolver, uint64_t limit_bytes,
                                    struct bytes **out, struct error *error) MUST_CHECK;

// The block of `type`, or NULL.
const struct manifest_handler *manifest_find_handler(const struct manifest *manifest,
                                                     enum manifest_handler_type type);
// "message-server" and so on. Static storage.
const char *manifest_handler_name(enum manifest_handler_type type);
// The kind that rules a handler's interface; PERMISSION_COUNT: none does.
enum permission_kind manifest_handler_permission(enum manifest_handler_type type);
// The same by the name of an interface of theater:simple, such as "timing".
enum permission_kind manifest_interface_permission(struct slice name);
// Refuses a manifest that asks for an interface which this release does not provide yet:
// ERR_UNSUPPORTED with file, line, column and block.
enum status manifest_check_available(const struct manifest *manifest,
                                     struct error *error) MUST_CHECK;

// The name within our package: "timing" for "theater:simple/timing", the older
// "ntwk:theater/timing" and any version suffix "@0.1.0"; empty for interfaces of other packages.
// Borrows.
struct slice manifest_interface_name(struct slice interface);

enum manifest_need {
    MANIFEST_NEED_NOTHING,  // always there
    MANIFEST_NEED_HANDLER,  // only with the handler block given
    MANIFEST_NEED_UNKNOWN   // not an interface of theater:simple
};
// What a component that imports `interface` ("theater:simple/timing", the older package
// "ntwk:theater", a version suffix "@0.1.0" ignored) needs in its manifest.
enum manifest_need manifest_requires(struct slice interface, enum manifest_handler_type *out);
// OK when the manifest has what the import needs or `interface` is not one of ours; otherwise
// ERR_DENIED with the block to add: `add [[handler]] type = "timing" to …`.
enum status manifest_check_import(const struct manifest *manifest, struct slice interface,
                                  struct error *error) MUST_CHECK;

// bound(child), for a child of an actor with this manifest and `bound` (contract §3). As with
// permissions_intersect, `out` shares lists with the manifest, `bound` and `arena`; what is to
// outlive one of them is copied with permissions_copy.
void manifest_child_bound(const struct manifest *manifest, const struct permissions *bound,
                          struct arena *arena, struct permissions *out);
// effective(actor), for an actor with this manifest and `bound`; shares lists in the same way.
void manifest_effective(const struct manifest *manifest, const struct permissions *bound,
                        struct arena *arena, struct permissions *out);
// OK when `chosen` may be an actor's id: 1–128 of [A-Za-z0-9._-].
enum status manifest_check_id(struct slice chosen, struct error *error) MUST_CHECK;

#endif

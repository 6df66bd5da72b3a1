// SPDX-License-Identifier: Apache-2.0
// What an actor may do (contract §3, Permissions): one value, `struct permissions`, stands for the
// node's bound, for what a manifest's permission_policy lets through and for what its handler
// blocks ask for; intersecting them gives what is in force:
//
//   bound(child)     = bound(parent) ∩ parent's policy
//   effective(actor) = bound(actor) ∩ its own policy ∩ its own handler blocks
//
// An intersection never permits more than either side. The checks that ask "may it do this one
// thing" are here too, so that every interface decides alike; opening files beneath a root, names
// of hosts that resolve elsewhere and the like remain with the interface.
#ifndef MANIFEST_PERMISSION_H
#define MANIFEST_PERMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"

enum permission_kind {
    PERMISSION_MESSAGE_SERVER,
    PERMISSION_FILE_SYSTEM,
    PERMISSION_HTTP_CLIENT,
    PERMISSION_HTTP_FRAMEWORK,
    PERMISSION_RUNTIME,
    PERMISSION_SUPERVISOR,
    PERMISSION_STORE,
    PERMISSION_TIMING,
    PERMISSION_PROCESS,
    PERMISSION_ENVIRONMENT,
    PERMISSION_RANDOM,
    PERMISSION_WEBSOCKET_SERVER,
    PERMISSION_COUNT
};

// A set of names. `everything` means no bound of this list's own (then `items` is not used);
// otherwise exactly the items, so that an empty list permits nothing. Items live in the arena of
// the value that holds them.
struct permission_list {
    bool everything;
    uint32_t count;
    const char *const *items;
};

// Whom an actor may address. A target must be in every layer: "parent", "children" and "siblings"
// name different actors for each actor, so that layers cannot be merged beforehand.
struct permission_targets {
    uint32_t layer_count;  // 0: anyone
    const struct permission_list *layers;
};

struct permissions {
    bool allowed[PERMISSION_COUNT];  // the rest of a kind means nothing when its entry is false
    struct {
        struct permission_targets targets;
    } message_server;
    struct {
        bool read, write, execute;
        bool new_dir;                     // a fresh temporary folder as root
        struct permission_list paths;     // absolute folders; what lies beneath them
        struct permission_list commands;  // programs that execute-command may run
    } file_system;
    struct {
        struct permission_list methods;  // upper case
        struct permission_list hosts;    // "name", "name:port", "*.suffix"; lower case
        uint64_t max_redirects;
        uint64_t timeout_ms;
        uint64_t max_response_bytes;
    } http_client;
    struct {
        struct permission_list routes;  // path prefixes
        struct permission_list methods;
        uint64_t max_request_bytes;
    } http_framework;
    struct {
        struct permission_list sources;  // prefixes of URLs that manifests may be fetched from
    } supervisor;
    struct {
        uint64_t max_bytes;     // of contents in all stores of one actor
        uint64_t max_contents;  // the same
    } store;
    struct {
        uint64_t min_sleep_ms;
        uint64_t max_sleep_ms;
    } timing;
    struct {
        uint64_t max_processes;
        uint64_t max_output_bytes;
        struct permission_list programs;
        struct permission_list paths;  // working folders
    } process;
    struct {
        bool list_all;
        struct permission_list vars;
        struct permission_list prefixes;
        struct permission_list denied;  // never `everything`; wins over all else
    } environment;
    struct {
        uint64_t max_bytes;
        uint64_t max_int;
        bool crypto_secure;
    } random;
};

// Everything is permitted: the node's bound unless its configuration says otherwise. Owns nothing.
void permissions_everything(struct permissions *out);
// Nothing is permitted but what every actor has (runtime, and message-server with no bound).
void permissions_nothing(struct permissions *out);
// What both permit. `out` may be `a` or `b`. Lists of `out` lie in `arena` (whose limit must not
// be reached by them) or are shared with `a` and `b`: all three must outlive `out`.
void permissions_intersect(const struct permissions *a, const struct permissions *b,
                           struct arena *arena, struct permissions *out);
// A copy whose lists all lie in `arena`.
void permissions_copy(const struct permissions *source, struct arena *arena,
                      struct permissions *out);
// Appends a canonical JSON document: equal permissions give equal bytes. For the chain (its SHA-256
// is pinned when an actor is spawned) and for people.
void permissions_describe(const struct permissions *permissions, struct buf *out);

// The key of a kind in permission_policy, such as "file_system". Static storage.
const char *permission_kind_name(enum permission_kind kind);

// How the target of a message stands to the one who sends.
struct permission_relation {
    bool parent, child, sibling;
    const char *id;  // the target's own id
};
bool permissions_allow_target(const struct permissions *permissions,
                              const struct permission_relation *target);
// Environment variables: denied wins; then a name or a prefix must match.
bool permissions_allow_variable(const struct permissions *permissions, struct slice name);
// Methods are compared without case; hosts too, `port` 0 meaning "any port named". A list entry
// without a port permits every port.
bool permissions_allow_http(const struct permissions *permissions, struct slice method,
                            struct slice host, uint16_t port);
// `route` is the path an actor serves.
bool permissions_allow_route(const struct permissions *permissions, struct slice method,
                             struct slice route);
// `path` is absolute; compared name by name after "." and ".." are taken out. This is a check of
// words: beneath the root it is the kernel that keeps symbolic links from leading out.
bool permissions_allow_path(const struct permissions *permissions, struct slice path);
bool permissions_allow_command(const struct permissions *permissions, struct slice command);
bool permissions_allow_program(const struct permissions *permissions, struct slice program);
bool permissions_allow_process_folder(const struct permissions *permissions, struct slice path);
// A URL that a manifest, component or state is fetched from. An unbounded list permits https only.
bool permissions_allow_source(const struct permissions *permissions, struct slice url);

#endif

// SPDX-License-Identifier: Apache-2.0
// The host side of the interfaces: one file per WIT interface, each with a table of functions.
// theater:simple has the files named after its interfaces; those of WASI 0.2 begin with wasi_ and
// share wasi.h.
//
// A host function reads its arguments, asks the actor room, and builds its result in the call's
// arena; it holds no logic of its own. What a component declares is compared with the accepted
// shapes when it is linked (contract, section 2), so that a function may rely on its types.
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include "actor/actor.h"

struct http_common;
struct io_http_client;
struct io_loop;
struct io_pool;
struct io_processes;

enum { HOST_SHAPES = 2 };

// What the node gives the room (actor_config.host). Any may be NULL where nothing needs it: in unit
// tests and benchmarks.
struct host_services {
    struct io_loop *loop;
    struct io_http_client *http_client;
    struct store *store;             // NULL: this node has none
    struct http_common *http;        // what HTTP servers share
    struct io_pool *pool;            // where what may block is done
    struct io_processes *processes;  // programs that actors start
};

struct host_function {
    const char *name;         // "send"
    const char *record_name;  // "message-server-host.send", as the chain has it
    component_host_fn fn;
    const char *shapes[HOST_SHAPES];  // component_func_type_print of what is accepted
};

struct host_interface {
    const char *name;  // "message-server-host"; of WASI with the package, "wasi:io/poll"
    const struct host_function *functions;
    size_t function_count;
};

extern const struct host_interface host_runtime;
extern const struct host_interface host_message_server;
extern const struct host_interface host_supervisor;
extern const struct host_interface host_timing;
extern const struct host_interface host_process;
extern const struct host_interface host_random;
extern const struct host_interface host_http_client;
extern const struct host_interface host_store;
extern const struct host_interface host_environment;
extern const struct host_interface host_filesystem;
extern const struct host_interface host_http_framework;
extern const struct host_interface host_filesystem_command;
extern const struct host_interface host_http_websocket;  // more functions of the same

// An actor_resolve_fn (actor/actor.h): ERR_UNSUPPORTED names an interface or function that is not
// provided; ERR_INVALID shows both signatures when the component declares another shape.
// A function of a wasi: package that is not provided is answered with one that traps, because most
// components import far more of WASI than they call.
enum status host_resolve(const struct manifest *manifest, const struct component_import *import,
                         struct component_host_func *out, struct error *error);
// Whether host_resolve has answered with a function that traps.
bool host_is_missing(const struct component_host_func *function);
// An actor_resolve_resource_fn: ERR_UNSUPPORTED for types that are not of WASI.
enum status host_resolve_resource(const struct component_resource *resource,
                                  struct component_host_resource *out, struct error *error);
// An actor_instance_made_fn: starts the servers that the manifest asks for (websocket_server.c).
enum status host_instance_made(struct actor *actor, struct error *error);
// An actor_instance_ended_fn: releases the WASI resources of the actor.
void host_instance_ended(struct actor *actor);
// An actor_hibernated_fn: releases the WASI resources, closes the folders, and logs what is left of
// a line; servers, connections, programs and the temporary folder stay, as do a generator with a
// seed and the numbers of programs.
bool host_hibernated(struct actor *actor);

// An actor_came_back_fn: makes its HTTP servers again, and delivers the end of what is gone
// (recover.c).
void host_came_back(struct actor *actor, const struct actor_remains *remains);

// ---- for the files of the room
// -------------------------------------------------------------------

// The actor that called.
struct actor *host_self(struct component_call *call);
const struct host_services *host_services(const struct actor *self);
// Where the actor's random numbers come from: the system, or the handler block's seed (random.c).
struct env *host_random_source(struct actor *self);
// Fills a list<tuple<string, string>> with the variables of the node that the actor may read; those
// of secret_vars are marked. False as host_alloc. (environment.c)
bool host_variables(struct component_call *call, struct value *list);
// A name or path that the guest gave, as far as an error text quotes it: at most 200 bytes.
struct slice host_quote(struct slice word);
// The content of a string or of a list<u8>.
struct slice host_bytes(const struct value *value);
// Records the trap of a call whose arena has no room for the results. Gives false.
bool host_no_room(struct component_call *call);
// Memory in the call's arena, zeroed; NULL after recording a trap when its limit is reached.
void *host_alloc(struct component_call *call, size_t count, size_t size);
// A byte string or text, copied into the call's arena; false as host_alloc.
bool host_copy(struct component_call *call, struct slice content, struct value *out);

// Fill a result<…, string>. All return true, or false when the arena has no room (a trap).
bool host_ok(struct value *result);
bool host_ok_value(struct component_call *call, struct value payload, struct value *result);
bool host_ok_bytes(struct component_call *call, struct slice content, struct value *result);
bool host_fail(struct component_call *call, const struct error *error, struct value *result);
// host_ok or host_fail by the status.
bool host_done(struct component_call *call, enum status status, const struct error *error,
               struct value *result);
// Fills a list<string>.
bool host_ids(struct component_call *call, const struct slice *ids, uint32_t count,
              struct value *list);

#endif

// SPDX-License-Identifier: Apache-2.0
// Programs: a manifest and its component, checked against each other, compiled and linked.
//
// Loading may take seconds (a compiler runs), so actors that spawn wait while the loader works
// (loader.c). What was loaded is kept by the names it was asked for with, and used again as long as
// the files behind are unchanged (device, inode, change time, size).
#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "actor/internal.h"
#include "base/file.h"
#include "base/log.h"

#define STATE_OPTION "option<list<u8>>"
#define STATE_RESULT "result<tuple<option<list<u8>>>, string>"
#define ANSWER(type) "result<tuple<option<list<u8>>, tuple<" type ">>, string>"
#define CHANNEL_ACCEPT "record{accepted: bool, message: option<list<u8>>}"
#define ACTOR_ERROR                                                                              \
    "record{error-type: enum{operation-timeout, channel-closed, shutting-down, "                 \
    "function-not-found, type-mismatch, internal, serialization-error, update-component-error, " \
    "paused}, data: option<list<u8>>}"

#define HEADERS "list<tuple<string, string>>"
#define HTTP_REQUEST \
    "record{method: string, uri: string, headers: " HEADERS ", body: option<list<u8>>}"
#define HTTP_RESPONSE "record{status: u16, headers: " HEADERS ", body: option<list<u8>>}"
#define MIDDLEWARE_RESULT "record{proceed: bool, request: " HTTP_REQUEST "}"
#define WEBSOCKET_MESSAGE                                                                 \
    "record{ty: variant{text, binary, connect, close, ping, pong, other(string)}, data: " \
    "option<list<u8>>, text: option<string>}"
#define WEBSOCKET_RESPONSE "record{messages: list<" WEBSOCKET_MESSAGE ">}"

// The shapes that actors in the wild have (contract, sections 1 and 2).
static const struct export_shape {
    const char *interface;
    const char *name;
    const char *shape;
    const char *old_shape;
} export_shapes[EXPORT_COUNT] = {
    [EXPORT_INIT] = {"actor", "init", "func(" STATE_OPTION ", tuple<string>) -> " STATE_RESULT,
                     "func(" STATE_OPTION ") -> " STATE_RESULT},
    [EXPORT_SEND] = {"message-server-client", "handle-send",
                     "func(" STATE_OPTION ", tuple<list<u8>>) -> " STATE_RESULT, NULL},
    [EXPORT_REQUEST] = {"message-server-client", "handle-request",
                        "func(" STATE_OPTION
                        ", tuple<string, list<u8>>) -> " ANSWER("option<list<u8>>"),
                        "func(" STATE_OPTION ", tuple<list<u8>>) -> " ANSWER("list<u8>")},
    [EXPORT_CHANNEL_OPEN] = {"message-server-client", "handle-channel-open",
                             "func(" STATE_OPTION
                             ", tuple<string, list<u8>>) -> " ANSWER(CHANNEL_ACCEPT),
                             "func(" STATE_OPTION ", tuple<list<u8>>) -> " ANSWER(CHANNEL_ACCEPT)},
    [EXPORT_CHANNEL_MESSAGE] = {"message-server-client", "handle-channel-message",
                                "func(" STATE_OPTION ", tuple<string, list<u8>>) -> " STATE_RESULT,
                                NULL},
    [EXPORT_CHANNEL_CLOSE] = {"message-server-client", "handle-channel-close",
                              "func(" STATE_OPTION ", tuple<string>) -> " STATE_RESULT, NULL},
    [EXPORT_CHILD_ERROR] = {"supervisor-handlers", "handle-child-error",
                            "func(" STATE_OPTION ", tuple<string, " ACTOR_ERROR
                            ">) -> " STATE_RESULT,
                            NULL},
    [EXPORT_CHILD_EXIT] = {"supervisor-handlers", "handle-child-exit",
                           "func(" STATE_OPTION
                           ", tuple<string, option<list<u8>>>) -> " STATE_RESULT,
                           NULL},
    [EXPORT_CHILD_STOP] = {"supervisor-handlers", "handle-child-external-stop",
                           "func(" STATE_OPTION ", tuple<string>) -> " STATE_RESULT, NULL},
    [EXPORT_HTTP_REQUEST] = {"http-handlers", "handle-request",
                             "func(" STATE_OPTION ", tuple<u64, " HTTP_REQUEST
                             ">) -> " ANSWER(HTTP_RESPONSE),
                             NULL},
    [EXPORT_HTTP_MIDDLEWARE] = {"http-handlers", "handle-middleware",
                                "func(" STATE_OPTION ", tuple<u64, " HTTP_REQUEST
                                ">) -> " ANSWER(MIDDLEWARE_RESULT),
                                NULL},
    [EXPORT_WEBSOCKET_CONNECT] = {"http-handlers", "handle-websocket-connect",
                                  "func(" STATE_OPTION
                                  ", tuple<u64, u64, string, option<string>>) -> " STATE_RESULT,
                                  NULL},
    [EXPORT_WEBSOCKET_MESSAGE] = {"http-handlers", "handle-websocket-message",
                                  "func(" STATE_OPTION ", tuple<u64, u64, " WEBSOCKET_MESSAGE
                                  ">) -> " ANSWER("list<" WEBSOCKET_MESSAGE ">"),
                                  NULL},
    [EXPORT_WEBSOCKET_DISCONNECT] = {"http-handlers", "handle-websocket-disconnect",
                                     "func(" STATE_OPTION ", tuple<u64, u64>) -> " STATE_RESULT,
                                     NULL},
    [EXPORT_WEBSOCKET_EVENT] = {"websocket-server", "handle-message",
                                "func(" STATE_OPTION ", tuple<" WEBSOCKET_MESSAGE
                                ">) -> " ANSWER(WEBSOCKET_RESPONSE),
                                NULL},
    [EXPORT_PROCESS_STDOUT] = {"process-handlers", "handle-stdout",
                               "func(" STATE_OPTION ", tuple<u64, list<u8>>) -> " STATE_RESULT,
                               NULL},
    [EXPORT_PROCESS_STDERR] = {"process-handlers", "handle-stderr",
                               "func(" STATE_OPTION ", tuple<u64, list<u8>>) -> " STATE_RESULT,
                               NULL},
    [EXPORT_PROCESS_EXIT] = {"process-handlers", "handle-exit",
                             "func(" STATE_OPTION ", tuple<u64, s32>) -> " STATE_RESULT, NULL},
};

const char *export_name(enum export_kind kind) {
    assert(kind < EXPORT_COUNT);
    return export_shapes[kind].name;
}

const char *export_event_type(enum export_kind kind) {
    return kind == EXPORT_HTTP_REQUEST ? "http-handlers.handle-request" : export_name(kind);
}

struct program *program_ref(struct program *program) {
    atomic_fetch_add_explicit(&program->references, 1, memory_order_relaxed);
    return program;
}

void program_unref(struct program *program) {
    if (atomic_fetch_sub_explicit(&program->references, 1, memory_order_acq_rel) == 1) {
        if (program->linked != NULL) {
            component_linked_unref(program->linked);
        }
        manifest_unref(program->manifest);
        free(program);
    }
}

// ---- exports
// -------------------------------------------------------------------------------------

static enum status bind_export(struct program *program, enum export_kind kind, uint32_t index,
                               const struct component_export *export, struct error *error) {
    const struct export_shape *wanted = &export_shapes[kind];
    struct buf shape = {0};
    component_func_type_print(export->type, &shape);
    const char *text = buf_text(&shape);
    bool is_old = wanted->old_shape != NULL && strcmp(text, wanted->old_shape) == 0;
    enum status status = OK;
    if (!is_old && strcmp(text, wanted->shape) != 0) {
        status = error_set(error, ERR_INVALID,
                           "export theater:simple/%s.%s has the type\n  %s\nbut must have\n  %s",
                           wanted->interface, wanted->name, text, wanted->shape);
    } else {
        program->exports[kind] = (struct program_export){
            .is_present = true, .is_old_shape = is_old, .index = index, .type = export->type};
    }
    buf_release(&shape);
    return status;
}

static enum status bind_exports(struct program *program, const struct component *component,
                                struct error *error) {
    for (uint32_t i = 0; i < component_export_count(component); i++) {
        const struct component_export *export = component_export_at(component, i);
        struct slice interface = manifest_interface_name(export->interface);
        for (int kind = 0; kind < EXPORT_COUNT; kind++) {
            if (slice_equal_text(interface, export_shapes[kind].interface) &&
                slice_equal_text(export->name, export_shapes[kind].name)) {
                enum status status = bind_export(program, (enum export_kind)kind, i, export, error);
                if (status != OK) {
                    return status;
                }
            }
        }
    }
    if (!program->exports[EXPORT_INIT].is_present) {
        return error_set(error, ERR_INVALID,
                         "the component does not export theater:simple/actor.init, so it is no "
                         "actor");
    }
    return OK;
}

// ---- what the files behind a name looked like
// --------------------------------------------------------

struct file_stamp {
    uint64_t device, inode, size;
    int64_t changed_ns;
};

static bool take_stamp(const char *path, struct file_stamp *stamp) {
    struct stat info;
    if (stat(path, &info) != 0) {
        return false;
    }
    *stamp = (struct file_stamp){
        .device = (uint64_t)info.st_dev,
        .inode = (uint64_t)info.st_ino,
        .size = (uint64_t)info.st_size,
        .changed_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec};
    return true;
}

static bool same_stamp(const struct file_stamp *a, const struct file_stamp *b) {
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed_ns == b->changed_ns;
}

// Kept for those who will ask again.
enum { PROGRAMS_MOST = 1024, COMPONENTS_MOST = 1024 };

struct cached_program {
    char *manifest_path;  // NULL: the manifest was text
    char *component_path;
    struct file_stamp manifest_stamp, component_stamp;
    struct program *program;
};

struct cached_component {
    struct file_stamp stamp;
    struct component *component;
};

// What has a scheme depends on who asks, and has no stamp: it is read again each time.
static bool is_cacheable(const struct program_request *request) {
    char *reference = xstrndup(request->manifest.data, request->manifest.size);
    bool has_scheme = manifest_has_scheme(reference);
    free(reference);
    return !has_scheme;
}

void program_request_key(const struct program_request *request, struct buf *key) {
    buf_format(key, "%s\n%s\n", request->folder != NULL ? request->folder : "",
               request->confined_to != NULL ? request->confined_to : "");
    if (!is_cacheable(request) && request->asker.actor != NULL) {
        buf_format(key, "%s\n", request->asker.actor);
    }
    buf_append_slice(key, request->manifest);
}

bool program_try_cached(struct actor_system *system, const struct program_request *request,
                        struct program **out) {
    if (request->has_state || !is_cacheable(request)) {
        return false;
    }
    struct buf key = {0};
    program_request_key(request, &key);
    bool found = false;
    pthread_mutex_lock(&system->program_lock);
    struct cached_program *cached = map_get(&system->programs, buf_slice(&key));
    if (cached != NULL) {
        struct file_stamp manifest, component;
        found = take_stamp(cached->component_path, &component) &&
                same_stamp(&component, &cached->component_stamp) &&
                (cached->manifest_path == NULL || (take_stamp(cached->manifest_path, &manifest) &&
                                                   same_stamp(&manifest, &cached->manifest_stamp)));
        if (found) {
            *out = program_ref(cached->program);
        }
    }
    pthread_mutex_unlock(&system->program_lock);
    buf_release(&key);
    return found;
}

static void cached_program_free(struct cached_program *cached) {
    program_unref(cached->program);
    free(cached->manifest_path);
    free(cached->component_path);
    free(cached);
}

// Guests may make up any number of names. Gives the value.
static void *remove_oldest(struct map *map) {
    uint32_t cursor = 0;
    struct map_entry *first = map_next(map, &cursor);
    void *value = first->value;
    map_remove(map, first->key);
    return value;
}

// `manifest_path` is NULL for a manifest that was given as text.
static void remember_program(struct actor_system *system, const struct program_request *request,
                             struct program *program, const char *manifest_path,
                             const struct file_stamp *manifest_stamp) {
    const struct manifest *manifest = program->manifest;
    if (request->has_state || manifest->init_state != NULL || !is_cacheable(request) ||
        manifest_has_scheme(manifest->component)) {
        return;
    }
    struct cached_program *cached = xcalloc(1, sizeof *cached);
    cached->component_path = file_join(manifest->folder, manifest->component);
    cached->manifest_path = manifest_path != NULL ? xstrdup(manifest_path) : NULL;
    cached->manifest_stamp = *manifest_stamp;
    cached->program = program_ref(program);
    if (!take_stamp(cached->component_path, &cached->component_stamp)) {
        cached_program_free(cached);
        return;
    }
    struct buf key = {0};
    program_request_key(request, &key);
    pthread_mutex_lock(&system->program_lock);
    struct cached_program *old = map_remove(&system->programs, buf_slice(&key));
    if (old == NULL && system->programs.live_count >= PROGRAMS_MOST) {
        old = remove_oldest(&system->programs);
    }
    map_add(&system->programs, buf_slice(&key), cached);
    pthread_mutex_unlock(&system->program_lock);
    buf_release(&key);
    if (old != NULL) {
        cached_program_free(old);
    }
}

void program_cache_release(struct actor_system *system) {
    uint32_t cursor = 0;
    for (struct map_entry *at = map_next(&system->programs, &cursor); at != NULL;
         at = map_next(&system->programs, &cursor)) {
        cached_program_free(at->value);
    }
    map_release(&system->programs);
    cursor = 0;
    for (struct map_entry *at = map_next(&system->components, &cursor); at != NULL;
         at = map_next(&system->components, &cursor)) {
        struct cached_component *cached = at->value;
        component_unref(cached->component);
        free(cached);
    }
    map_release(&system->components);
}

// ---- loading
// -------------------------------------------------------------------------------------

enum { COMPONENT_MOST_BYTES = 256 * 1024 * 1024 };

// Optimised code if the cache has it, else quick code now and optimised code later, else optimised
// code now.
static enum status compile(struct actor_system *system, struct component *component,
                           const char *path, struct error *error) {
    struct wasm_compiler *compiler = system->config.compiler;
    if (component_compile_cached(component, compiler, WASM_TIER_OPTIMISED, NULL) == OK) {
        return OK;
    }
    struct error why = {0};
    if (wasm_compiler_has(compiler, WASM_TIER_QUICK) &&
        component_compile(component, compiler, WASM_TIER_QUICK, &why) == OK) {
        if (component_has_failed(component, compiler, WASM_TIER_OPTIMISED, &why)) {
            log_line(LOG_DEBUG, "component %s has no optimised code: %s", path, why.message);
        } else if (!wasm_compiler_never_compiles(compiler) && system->rerun == NULL) {
            optimiser_submit(system, component, path);
        }
        return OK;
    }
    if (why.code != OK) {
        log_line(LOG_DEBUG, "component %s has no quick code: %s", path, why.message);
    }
    return component_compile(component, compiler, WASM_TIER_OPTIMISED, error);
}

// Gives the component in `bytes`: `known` when it is the same, compiled already.
static enum status load_and_compile(struct actor_system *system, struct bytes *bytes,
                                    const char *path, struct component *known,
                                    struct component **out, struct error *error) {
    if (known != NULL) {
        uint8_t hash[SHA256_BYTES];
        sha256(bytes_slice(bytes), hash);
        if (memcmp(component_hash(known), hash, sizeof hash) == 0) {
            *out = component_ref(known);
            return OK;
        }
    }
    struct component *component = NULL;
    enum status status = component_load_cached(bytes, system->config.compiler, &component, error);
    if (status == OK) {
        status = compile(system, component, path, error);
    }
    if (status == OK) {
        *out = component;
    } else if (component != NULL) {
        component_unref(component);
    }
    return status;
}

static void remember_component(struct actor_system *system, const char *path,
                               const struct file_stamp *stamp, struct component *component) {
    struct cached_component *entry = xcalloc(1, sizeof *entry);
    *entry = (struct cached_component){.stamp = *stamp, .component = component_ref(component)};
    pthread_mutex_lock(&system->program_lock);
    struct cached_component *old = map_remove(&system->components, slice_text(path));
    if (old == NULL && system->components.live_count >= COMPONENTS_MOST) {
        old = remove_oldest(&system->components);
    }
    map_add(&system->components, slice_text(path), entry);
    pthread_mutex_unlock(&system->program_lock);
    if (old != NULL) {
        component_unref(old->component);
        free(old);
    }
}

// So that a replay finds it again.
static enum status keep(struct actor_system *system, struct bytes *content,
                        const uint8_t hash[SHA256_BYTES], struct error *error) {
    const struct actor_config *config = &system->config;
    if (config->keep == NULL) {
        return OK;
    }
    enum status status = config->keep(config->keep_context, bytes_slice(content), hash, error);
    return status == OK ? OK : error_context(error, "it cannot be kept for the chain");
}

// Gives the component that the manifest names, compiled. A confined manifest's is always read,
// because only the read goes through the confinement, and so is one with a scheme.
static enum status get_component(struct actor_system *system, const struct manifest *manifest,
                                 const struct manifest_resolver *resolver, struct component **out,
                                 struct error *error) {
    bool has_scheme = manifest_has_scheme(manifest->component);
    char *path = has_scheme ? xstrdup(manifest->component)
                            : file_join(manifest->folder, manifest->component);
    has_scheme = has_scheme || manifest_has_scheme(path);
    struct file_stamp stamp = {0};
    bool has_stamp = !has_scheme && take_stamp(path, &stamp);
    struct component *known = NULL;
    bool is_same = false;
    pthread_mutex_lock(&system->program_lock);
    struct cached_component *cached = map_get_text(&system->components, path);
    if (cached != NULL) {
        known = component_ref(cached->component);
        is_same = has_stamp && same_stamp(&cached->stamp, &stamp);
    }
    pthread_mutex_unlock(&system->program_lock);
    enum status status = OK;
    if (is_same && manifest->confined_to == NULL) {
        *out = component_ref(known);
    } else {
        struct bytes *bytes = NULL;
        status = manifest_read_component(manifest, resolver, COMPONENT_MOST_BYTES, &bytes, error);
        if (status == OK) {
            status = load_and_compile(system, bytes, path, known, out, error);
        }
        if (status == OK) {
            status = keep(system, bytes, component_hash(*out), error);
            if (status != OK) {
                component_unref(*out);
            }
        }
        bytes_unref(bytes);
        if (status == OK && (has_stamp || has_scheme)) {
            remember_component(system, path, &stamp, *out);
        }
    }
    if (known != NULL) {
        component_unref(known);
    }
    if (status != OK) {
        error_context(error, "component %s", path);
    }
    free(path);
    return status;
}

struct link_context {
    actor_resolve_fn resolve;
    actor_resolve_resource_fn resolve_resource;
    const struct manifest *manifest;
};

static enum status resolve_import(void *context, const struct component_import *import,
                                  struct component_host_func *out, struct error *error) {
    struct link_context *link = context;
    enum status status = manifest_check_import(link->manifest, import->interface, error);
    return status != OK ? status : link->resolve(link->manifest, import, out, error);
}

static enum status resolve_resource(void *context, const struct component_resource *resource,
                                    struct component_host_resource *out, struct error *error) {
    struct link_context *link = context;
    if (link->resolve_resource == NULL) {
        return error_set(error, ERR_UNSUPPORTED, "the host has no such resource type");
    }
    return link->resolve_resource(resource, out, error);
}

static enum status check_policies(const struct actor_system *system,
                                  const struct manifest *manifest, struct error *error) {
    if (manifest->recover == MANIFEST_RECOVER_REPLAY && system->config.rebuild == NULL) {
        return error_set(error, ERR_UNSUPPORTED,
                         "%s: recover: this node cannot do \"replay\"; use \"resume\" or \"init\"",
                         manifest->file);
    }
    return OK;
}

static void warn(void *context, const char *text) {
    (void)context;
    log_line(LOG_WARNING, "%s", text);
}

static enum status link_component(struct actor_system *system, struct program *program,
                                  struct component *component, struct error *error) {
    enum status status = OK;
    for (uint32_t i = 0; status == OK && i < component_interface_count(component); i++) {
        status =
            manifest_check_import(program->manifest, component_interface_at(component, i), error);
    }
    struct link_context link = {.resolve = system->config.resolve,
                                .resolve_resource = system->config.resolve_resource,
                                .manifest = program->manifest};
    return status != OK ? status
                        : component_link(component, resolve_import, resolve_resource, &link,
                                         &program->linked, error);
}

static enum status build(struct actor_system *system, struct program *program,
                         const struct manifest_resolver *resolver, struct error *error) {
    struct manifest *manifest = program->manifest;
    enum status status = manifest_check_available(manifest, error);
    struct component *component = NULL;
    if (status == OK) {
        status = check_policies(system, manifest, error);
    }
    if (status == OK) {
        status = get_component(system, manifest, resolver, &component, error);
    }
    if (status != OK) {
        return status;
    }
    status = link_component(system, program, component, error);
    if (status == OK) {
        status = bind_exports(program, component, error);
    }
    component_unref(component);
    return status;
}

enum status program_of_manifest(struct actor_system *system, struct manifest *manifest,
                                struct bytes *content, struct program **out, struct error *error) {
    struct component *component = NULL;
    struct program *program = xcalloc(1, sizeof *program);
    atomic_init(&program->references, 1);
    program->manifest = manifest;
    enum status status = manifest_check_available(manifest, error);
    if (status == OK) {
        status = check_policies(system, manifest, error);
    }
    if (status == OK) {
        status = load_and_compile(system, content, manifest->component, NULL, &component, error);
    }
    if (status == OK) {
        status = link_component(system, program, component, error);
        if (status == OK) {
            status = bind_exports(program, component, error);
        }
        component_unref(component);
    }
    if (status == OK) {
        *out = program;
    } else {
        program_unref(program);
    }
    return status;
}

enum status program_load(struct actor_system *system, const struct program_request *request,
                         struct program **out, struct error *error) {
    if (program_try_cached(system, request, out)) {
        return OK;
    }
    struct manifest_references references = {.schemes = system->config.schemes,
                                             .scheme_count = system->config.scheme_count,
                                             .asker = request->asker,
                                             .wait_context = system};
    if (request->is_on_loader) {
        references.wait_begins = loader_wait_begins;
        references.wait_ends = loader_wait_ends;
    }
    struct manifest_resolver resolver = manifest_resolver_of(&references);
    struct manifest_options options = {.has_state = request->has_state,
                                       .state = request->state,
                                       .exact_state = request->is_exact_state,
                                       .confined_to = request->confined_to,
                                       .resolver = &resolver,
                                       .warn = warn};
    // Stamped before the read: a change in between then shows as a different stamp later.
    struct file_stamp stamp = {0};
    char *path = NULL;
    const char *folder = request->folder != NULL ? request->folder : ".";
    if (!manifest_is_text(request->manifest)) {
        char *name = xstrndup(request->manifest.data, request->manifest.size);
        path = file_join(folder, name);
        (void)take_stamp(path, &stamp);
        free(name);
    }
    struct manifest *manifest = NULL;
    enum status status = manifest_load(request->manifest, folder, &options, &manifest, error);
    struct program *program = NULL;
    if (status == OK) {
        program = xcalloc(1, sizeof *program);
        atomic_init(&program->references, 1);
        program->manifest = manifest;
        status = build(system, program, &resolver, error);
    }
    if (status == OK) {
        status = keep(system, manifest->text, manifest->text_hash, error);
        if (status == OK) {
            status = program_keep_origin(system, program, error);
        }
        error_context(error, "manifest %s", manifest->file);
    }
    if (status == OK) {
        remember_program(system, request, program, path, &stamp);
        *out = program;
    } else if (program != NULL) {
        program_unref(program);
    }
    free(path);
    return status;
}

enum status program_of_parts(struct actor_system *system, struct slice manifest,
                             struct bytes *component, struct component *known, struct program **out,
                             struct error *error) {
    // The state is in the chain: what the manifest says of it is not read.
    struct manifest_options options = {.has_state = true, .exact_state = true};
    struct program *program = xcalloc(1, sizeof *program);
    atomic_init(&program->references, 1);
    struct component *loaded = NULL;
    enum status status = manifest_load_text(manifest, ".", &options, &program->manifest, error);
    if (status == OK) {
        status = load_and_compile(system, component, "of the chain", known, &loaded, error);
    }
    if (status == OK) {
        status = link_component(system, program, loaded, error);
    }
    if (status == OK) {
        status = bind_exports(program, loaded, error);
    }
    if (loaded != NULL) {
        component_unref(loaded);
    }
    if (status == OK) {
        *out = program;
    } else {
        program_unref(program);
    }
    return status;
}

enum status program_of_call(struct actor_system *system, const struct actor_call *call,
                            struct program **out, struct error *error) {
    struct manifest *manifest = NULL;
    enum status status =
        manifest_load_text(slice_text(call->manifest), ".", NULL, &manifest, error);
    if (status != OK) {
        return status;
    }
    struct program *program = xcalloc(1, sizeof *program);
    atomic_init(&program->references, 1);
    program->manifest = manifest;
    program->call = call;
    program->exports[EXPORT_INIT] =
        (struct program_export){.is_present = true,
                                .index = call->export,
                                .type = component_export_at(call->component, call->export)->type};
    status = compile(system, call->component, "to be called", error);
    if (status == OK) {
        status = link_component(system, program, call->component, error);
    }
    if (status == OK) {
        *out = program;
    } else {
        program_unref(program);
    }
    return status;
}

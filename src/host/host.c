// SPDX-License-Identifier: Apache-2.0
// What the interfaces share, and how a component's imports find their functions. See host.h.
#include <assert.h>

#include "codec/utf8.h"
#include "host/http_framework.h"
#include "host/wasi_http.h"
#include "host/websocket.h"

static const struct host_interface *const interfaces[] = {
    &host_runtime,
    &host_message_server,
    &host_supervisor,
    &host_timing,
    &host_process,
    &host_random,
    &host_http_client,
    &host_store,
    &host_environment,
    &host_filesystem,
    &host_http_framework,
    &host_filesystem_command,
    &host_http_websocket,
    &wasi_cli_environment,
    &wasi_cli_exit,
    &wasi_cli_stderr,
    &wasi_cli_stdin,
    &wasi_cli_stdout,
    &wasi_cli_terminal_stderr,
    &wasi_cli_terminal_stdin,
    &wasi_cli_terminal_stdout,
    &wasi_clocks_monotonic,
    &wasi_clocks_wall,
    &wasi_filesystem_preopens,
    &wasi_filesystem_types,
    &wasi_http_outgoing_handler,
    &wasi_http_request,
    &wasi_http_response,
    &wasi_http_types,
    &wasi_io_error,
    &wasi_io_poll,
    &wasi_io_streams,
    &wasi_random_insecure,
    &wasi_random_insecure_seed,
    &wasi_random_random,
    &wasi_sockets_instance_network,
    &wasi_sockets_lookup,
    &wasi_sockets_network,
    &wasi_sockets_tcp_create,
    &wasi_sockets_udp_create,
};

struct actor *host_self(struct component_call *call) {
    return component_call_owner(call);
}

const struct host_services *host_services(const struct actor *self) {
    return actor_host(self);
}

struct host_state *host_state_of(struct actor *self) {
    return actor_host_data(self, sizeof(struct host_state));
}

void host_instance_ended(struct actor *actor) {
    struct host_state *state = host_state_of(actor);
    host_children_release(state);
    wasi_lines_release(&state->lines, actor);
    wasi_table_release(&state->table);
    host_folders_release(&state->folders, actor);
    web_release(state->web);
    state->web = NULL;
    websockets_end(state->websockets);
    state->websockets = NULL;
}

bool host_hibernated(struct actor *actor) {
    struct host_state *state = host_state_of(actor);
    wasi_lines_release(&state->lines, actor);
    wasi_table_release(&state->table);
    // A temporary folder lasts as long as the actor's run: what is in it was not the instance's.
    if (state->folders.temporary == NULL) {
        host_folders_release(&state->folders, actor);
    }
    return state->folders.temporary == NULL && state->web == NULL && state->websockets == NULL &&
           state->children == NULL && state->last_child == 0 && !state->random.seeded &&
           state->http_body_bytes == 0;
}

struct slice host_bytes(const struct value *value) {
    return slice_of(value->bytes, value->count);
}

struct slice host_quote(struct slice word) {
    enum { QUOTE_MOST_BYTES = 200 };
    if (word.size > QUOTE_MOST_BYTES) {
        word.size = QUOTE_MOST_BYTES;
        word.size = utf8_valid_prefix(word);
    }
    return word;
}

bool host_no_room(struct component_call *call) {
    return component_call_trap(call, "the host's results of this call are over the limit");
}

void *host_alloc(struct component_call *call, size_t count, size_t size) {
    void *memory = arena_try_alloc(component_call_arena(call), (uint64_t)count * size, 8);
    if (memory == NULL) {
        (void)host_no_room(call);
        return NULL;
    }
    memset(memory, 0, count * size);
    return memory;
}

bool host_copy(struct component_call *call, struct slice content, struct value *out) {
    uint8_t *copy = host_alloc(call, content.size, 1);
    if (copy == NULL) {
        return false;
    }
    if (content.size != 0) {
        memcpy(copy, content.data, content.size);
    }
    *out = (struct value){.bytes = copy, .count = (uint32_t)content.size};
    return true;
}

bool host_ok(struct value *result) {
    *result = (struct value){.items = NULL, .which = 0};
    return true;
}

bool host_ok_value(struct component_call *call, struct value payload, struct value *result) {
    struct value *item = host_alloc(call, 1, sizeof *item);
    if (item == NULL) {
        return false;
    }
    *item = payload;
    *result = (struct value){.items = item, .which = 0};
    return true;
}

bool host_ok_bytes(struct component_call *call, struct slice content, struct value *result) {
    struct value value;
    return host_copy(call, content, &value) && host_ok_value(call, value, result);
}

bool host_fail(struct component_call *call, const struct error *error, struct value *result) {
    struct value *text = host_alloc(call, 1, sizeof *text);
    struct slice message = actor_error_text(host_self(call), error);
    actor_note_failure(host_self(call), error);
    // A text that quotes the guest may have been cut within a character.
    message.size = utf8_valid_prefix(message);
    // What the text of an error of another actor says is no limit of ours.
    if (error->code == ERR_LIMIT || error->code == ERR_BUSY || error->code == ERR_TIMEOUT) {
        actor_limit_reached(host_self(call), message);
    }
    if (text == NULL || !host_copy(call, message, text)) {
        return false;
    }
    *result = (struct value){.items = text, .which = 1};
    return true;
}

bool host_done(struct component_call *call, enum status status, const struct error *error,
               struct value *result) {
    return status == OK ? host_ok(result) : host_fail(call, error, result);
}

bool host_ids(struct component_call *call, const struct slice *ids, uint32_t count,
              struct value *list) {
    struct value *items = host_alloc(call, count, sizeof *items);
    if (items == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        items[i] = (struct value){.bytes = ids[i].data, .count = (uint32_t)ids[i].size};
    }
    *list = (struct value){.items = items, .count = count};
    return true;
}

static bool finish_recorded(struct component_call *call, const struct value *result) {
    return actor_call_end(host_self(call), result) ||
           component_call_trap(call,
                               "the host calls since the last wait are more than the chain "
                               "takes in one event");
}

// Every host call goes through here, so that none can forget its record.
static bool call_recorded(struct component_call *call, const struct value *args,
                          struct value *result) {
    const struct host_function *function = component_call_data(call);
    struct actor *self = host_self(call);
    actor_call_begin(self, function->record_name, component_call_type(call), args);
    return function->fn(call, args, result) && finish_recorded(call, result);
}

// Of an interface of theater:simple that needs a handler block.
static enum permission_kind kind_of(const struct host_function *function) {
    struct slice name = slice_text(function->record_name);
    const uint8_t *dot = memchr(name.data, '.', name.size);
    assert(dot != NULL);
    return manifest_interface_permission(slice_of(name.data, (size_t)(dot - name.data)));
}

// What a function gives that may not be called: an error where it has one to give, otherwise
// nothing, an empty list or no; a trap when its result has no such value.
static bool refuse(struct component_call *call, const struct error *error, struct value *result) {
    const struct component_type *type = component_call_type(call)->result;
    enum component_kind kind = type != NULL ? type->kind : COMPONENT_U8;
    if (kind == COMPONENT_RESULT && type->items[1] != NULL &&
        type->items[1]->kind == COMPONENT_STRING) {
        return host_fail(call, error, result);
    }
    *result = (struct value){.bits = 0};
    return kind == COMPONENT_OPTION || kind == COMPONENT_LIST || kind == COMPONENT_BOOL ||
           component_call_trap(call, "%s", error->message);
}

// The same for interfaces that a policy may forbid.
static bool call_guarded(struct component_call *call, const struct value *args,
                         struct value *result) {
    const struct host_function *function = component_call_data(call);
    struct actor *self = host_self(call);
    enum permission_kind kind = kind_of(function);
    assert(kind != PERMISSION_COUNT);
    if (actor_permissions(self)->allowed[kind]) {
        return call_recorded(call, args, result);
    }
    actor_call_begin(self, function->record_name, component_call_type(call), args);
    struct error error = {0};
    (void)actor_denied(self, kind, &error, "%s is not permitted (%s)", function->record_name,
                       permission_kind_name(kind));
    return refuse(call, &error, result) && finish_recorded(call, result);
}

static const struct host_interface *find_interface(struct slice name) {
    for (size_t i = 0; i < COUNT_OF(interfaces); i++) {
        if (slice_equal_text(name, interfaces[i]->name)) {
            return interfaces[i];
        }
    }
    return NULL;
}

// An interface may have more than one table.
static const struct host_function *find_function(struct slice interface, struct slice name) {
    for (size_t i = 0; i < COUNT_OF(interfaces); i++) {
        const struct host_interface *table = interfaces[i];
        bool is_its = slice_equal_text(interface, table->name);
        for (size_t j = 0; is_its && j < table->function_count; j++) {
            if (slice_equal_text(name, table->functions[j].name)) {
                return &table->functions[j];
            }
        }
    }
    return NULL;
}

static bool accepts(const struct host_function *function, const char *shape) {
    for (size_t i = 0; i < HOST_SHAPES; i++) {
        if (function->shapes[i] != NULL && strcmp(function->shapes[i], shape) == 0) {
            return true;
        }
    }
    return false;
}

// ---- WASI
// ----------------------------------------------------------------------------------------

static bool is_wasi(struct slice interface) {
    return slice_starts_with(interface, "wasi:");
}

// Without the version when that is 0.2 and released; with any other the name stays as it is, and
// so nothing is found under it.
static struct slice wasi_name(struct slice interface) {
    const uint8_t *at = memchr(interface.data, '@', interface.size);
    if (at == NULL) {
        return interface;
    }
    size_t size = (size_t)(at - interface.data);
    struct slice version = slice_of(at + 1, interface.size - size - 1);
    bool is_ours = slice_starts_with(version, "0.2.") && version.size > 4;
    for (size_t i = 4; is_ours && i < version.size; i++) {
        is_ours = version.data[i] >= '0' && version.data[i] <= '9';
    }
    return is_ours ? slice_of(interface.data, size) : interface;
}

// Stands for a function that is not provided: `data` is its component_import.
static bool trap_unknown(struct component_call *call, const struct value *args,
                         struct value *result) {
    (void)args;
    (void)result;
    const struct component_import *import = component_call_data(call);
    return component_call_trap(call, "the component called %.*s.%.*s, which is not provided",
                               (int)(import->interface.size < 200 ? import->interface.size : 200),
                               (const char *)import->interface.data,
                               (int)(import->name.size < 200 ? import->name.size : 200),
                               (const char *)import->name.data);
}

bool host_is_missing(const struct component_host_func *function) {
    return function->fn == trap_unknown;
}

bool wasi_needs(struct component_call *call, enum manifest_handler_type handler) {
    const struct host_function *function = component_call_data(call);
    struct actor *self = host_self(call);
    const struct manifest *manifest = actor_manifest(self);
    enum permission_kind kind = manifest_handler_permission(handler);
    const char *type = manifest_handler_name(handler);
    struct error error = {0};
    if (manifest_find_handler(manifest, handler) == NULL) {
        // By its name: who asked the actor hears of the trap, and gets no path of the host.
        (void)actor_denied(self, kind, &error,
                           "the component called %s, which the manifest does not grant; add "
                           "[[handler]] type = \"%s\" to the manifest of %s",
                           function->record_name, type, manifest->name);
    } else if (!actor_permissions(self)->allowed[kind]) {
        (void)actor_denied(self, kind, &error, "%s (%s)", function->record_name,
                           permission_kind_name(kind));
    }
    return error.code == OK || component_call_trap(call, "%s", error.message);
}

enum status host_resolve_resource(const struct component_resource *resource,
                                  struct component_host_resource *out, struct error *error) {
    if (!is_wasi(resource->interface)) {
        bool has_interface = resource->interface.size > 0;
        struct slice name = has_interface ? resource->interface : resource->name;
        return error_set(error, ERR_UNSUPPORTED,
                         "the component imports %s%.*s, which this release does not provide",
                         has_interface ? "" : "a resource type ",
                         (int)(name.size < 200 ? name.size : 200), (const char *)name.data);
    }
    *out = (struct component_host_resource){.drop = wasi_drop};
    return OK;
}

// ---- linking
// ----------------------------------------------------------------------------------------

static struct slice interface_name(struct slice interface) {
    return is_wasi(interface) ? wasi_name(interface) : manifest_interface_name(interface);
}

enum status host_resolve(const struct manifest *manifest, const struct component_import *import,
                         struct component_host_func *out, struct error *error) {
    (void)manifest;
    int interface_size = (int)(import->interface.size < 200 ? import->interface.size : 200);
    int name_size = (int)(import->name.size < 200 ? import->name.size : 200);
    struct slice plain_name = interface_name(import->interface);
    const struct host_interface *interface = find_interface(plain_name);
    const struct host_function *function = find_function(plain_name, import->name);
    if (function == NULL && is_wasi(import->interface)) {
        *out = (struct component_host_func){.fn = trap_unknown, .data = import};
        return OK;
    }
    if (interface == NULL && interface_size == 0) {
        return error_set(error, ERR_UNSUPPORTED,
                         "the component imports a function %.*s of its own, which nothing provides",
                         name_size, (const char *)import->name.data);
    }
    if (interface == NULL) {
        return error_set(error, ERR_UNSUPPORTED,
                         "the component imports %.*s, which this release does not provide",
                         interface_size, (const char *)import->interface.data);
    }
    if (function == NULL) {
        return error_set(error, ERR_UNSUPPORTED,
                         "the component imports %.*s.%.*s: there is no such function",
                         interface_size, (const char *)import->interface.data, name_size,
                         (const char *)import->name.data);
    }
    struct buf shape = {0};
    component_func_type_print(import->type, &shape);
    enum status status = OK;
    if (!accepts(function, buf_text(&shape))) {
        status = error_set(error, ERR_INVALID,
                           "import %.*s.%.*s has the type\n  %s\nbut must have\n  %s",
                           interface_size, (const char *)import->interface.data, name_size,
                           (const char *)import->name.data, buf_text(&shape), function->shapes[0]);
    }
    buf_release(&shape);
    bool is_guarded = !is_wasi(import->interface) &&
                      manifest_interface_permission(plain_name) != PERMISSION_COUNT;
    *out = (struct component_host_func){.fn = is_guarded ? call_guarded : call_recorded,
                                        .data = function};
    return status;
}

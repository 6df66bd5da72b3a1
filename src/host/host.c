// SPDX-License-Identifier: Apache-2.0
#include "host/host.h"

#include "codec/utf8.h"

static const struct host_interface *const interfaces[] = {
    &host_runtime, &host_message_server, &host_supervisor, &host_timing, &host_random};

struct actor *host_self(struct component_call *call) {
    return component_call_owner(call);
}

struct slice host_bytes(const struct value *value) {
    return slice_of(value->bytes, value->count);
}

void *host_alloc(struct component_call *call, size_t count, size_t size) {
    void *memory = arena_try_alloc(component_call_arena(call), (uint64_t)count * size, 8);
    if (memory == NULL) {
        component_call_trap(call, "the host's results of this turn are over the limit");
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
    // A text that quotes the guest may have been cut within a character.
    message.size = utf8_valid_prefix(message);
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

// Every host call goes through here, so that none can forget its record.
static bool call_recorded(struct component_call *call, const struct value *args,
                          struct value *result) {
    const struct host_function *function = component_call_data(call);
    struct actor *self = host_self(call);
    actor_call_begin(self, function->record_name, component_call_type(call), args);
    bool good = function->fn(call, args, result);
    if (good) {
        actor_call_end(self, result);
    }
    return good;
}

static const struct host_interface *find_interface(struct slice name) {
    for (size_t i = 0; i < COUNT_OF(interfaces); i++) {
        if (slice_equal_text(name, interfaces[i]->name)) {
            return interfaces[i];
        }
    }
    return NULL;
}

static const struct host_function *find_function(const struct host_interface *interface,
                                                 struct slice name) {
    for (size_t i = 0; i < interface->function_count; i++) {
        if (slice_equal_text(name, interface->functions[i].name)) {
            return &interface->functions[i];
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

enum status host_resolve(const struct manifest *manifest, const struct component_import *import,
                         struct component_host_func *out, struct error *error) {
    (void)manifest;
    int interface_size = (int)(import->interface.size < 200 ? import->interface.size : 200);
    int name_size = (int)(import->name.size < 200 ? import->name.size : 200);
    const struct host_interface *interface =
        find_interface(manifest_interface_name(import->interface));
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
    const struct host_function *function = find_function(interface, import->name);
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
    *out = (struct component_host_func){.fn = call_recorded, .data = function};
    return status;
}

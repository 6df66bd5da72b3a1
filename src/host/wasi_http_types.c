// SPDX-License-Identifier: Apache-2.0
// wasi:http/types: header fields, and what has no resource of its own. Requests are made in
// wasi_http_request.c, what comes back is in wasi_http_response.c; what a server needs is not
// provided.
#include <stdlib.h>
#include <strings.h>

#include "host/wasi_http.h"
#include "io/http_field.h"

enum { FIELDS_MOST = 1000, FIELDS_MOST_BYTES = 128 * 1024 };
enum { INVALID_SYNTAX, FORBIDDEN, IMMUTABLE };  // header-error

// ---- fields
// ----------------------------------------------------------------------------------------

struct wasi_fields *wasi_fields_new(void) {
    struct wasi_fields *fields = xcalloc(1, sizeof *fields);
    fields->references = 1;
    return fields;
}

struct wasi_fields *wasi_fields_ref(struct wasi_fields *fields) {
    fields->references++;
    return fields;
}

static void release_field(struct wasi_field *field) {
    bytes_unref(field->name);
    bytes_unref(field->value);
}

void wasi_fields_unref(struct wasi_fields *fields) {
    if (--fields->references > 0) {
        return;
    }
    for (uint32_t i = 0; i < fields->count; i++) {
        release_field(&fields->items[i]);
    }
    free(fields->items);
    free(fields);
}

static void release_fields(void *object) {
    wasi_fields_unref(object);
}

bool wasi_add_fields(struct component_call *call, struct wasi_fields *fields, bool is_immutable,
                     struct value *own) {
    return wasi_add(call,
                    (struct wasi_slot){.kind = WASI_FIELDS,
                                       .number = is_immutable,
                                       .object = wasi_fields_ref(fields),
                                       .release = release_fields},
                    own);
}

static bool same_name(struct slice a, struct slice b) {
    return a.size == b.size &&
           (a.size == 0 || strncasecmp((const char *)a.data, (const char *)b.data, a.size) == 0);
}

// Fields that belong to the connection: whoever sends the message sets them.
static bool is_forbidden(struct slice name) {
    static const char *const names[] = {
        "connection",        "host",   "http2-settings", "keep-alive", "proxy-connection",
        "transfer-encoding", "upgrade"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (same_name(name, slice_text(names[i]))) {
            return true;
        }
    }
    return false;
}

// -1: it may be added; else the header-error.
static int check_field(struct slice name, struct slice value) {
    if (!io_http_is_token(name) || !io_http_is_value(value)) {
        return INVALID_SYNTAX;
    }
    return is_forbidden(name) ? FORBIDDEN : -1;
}

// False: over the limit, trapped.
static bool add_field(struct component_call *call, struct wasi_fields *fields, struct slice name,
                      struct slice value) {
    uint64_t bytes = fields->bytes + name.size + value.size;
    if (fields->count == FIELDS_MOST || bytes > FIELDS_MOST_BYTES) {
        return component_call_trap(call, "more than %d header fields or %d bytes of them",
                                   (int)FIELDS_MOST, (int)FIELDS_MOST_BYTES);
    }
    if (fields->count == fields->capacity) {
        fields->capacity = fields->capacity == 0 ? 8 : fields->capacity * 2;
        fields->items = xrealloc(fields->items, fields->capacity * sizeof *fields->items);
    }
    fields->items[fields->count++] = (struct wasi_field){bytes_copy(name), bytes_copy(value)};
    fields->bytes = bytes;
    return true;
}

struct wasi_fields *wasi_fields_of(const struct io_http_response *response) {
    struct wasi_fields *fields = wasi_fields_new();
    fields->count = fields->capacity = response->header_count;
    fields->items = xcalloc(fields->count + 1, sizeof *fields->items);
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct io_http_header *header = &response->headers[i];
        fields->items[i] = (struct wasi_field){bytes_copy(header->name), bytes_copy(header->value)};
        fields->bytes += header->name.size + header->value.size;
    }
    return fields;
}

static void remove_fields(struct wasi_fields *fields, struct slice name) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < fields->count; i++) {
        struct wasi_field *field = &fields->items[i];
        if (same_name(bytes_slice(field->name), name)) {
            fields->bytes -= field->name->size + field->value->size;
            release_field(field);
        } else {
            fields->items[kept++] = *field;
        }
    }
    fields->count = kept;
}

// ---- the resource
// ----------------------------------------------------------------------------------

static struct wasi_fields *fields_of(struct component_call *call, const struct value *borrow) {
    const struct wasi_slot *slot = wasi_get(call, borrow, WASI_FIELDS);
    return slot != NULL ? slot->object : NULL;
}

static bool header_error(struct component_call *call, int error, struct value *result) {
    struct value *item = host_alloc(call, 1, sizeof *item);
    if (item == NULL) {
        return false;
    }
    *item = (struct value){.items = NULL, .which = (uint32_t)error};
    *result = (struct value){.items = item, .which = 1};
    return true;
}

static bool fields_new(struct component_call *call, const struct value *args,
                       struct value *result) {
    (void)args;
    struct wasi_fields *fields = wasi_fields_new();
    bool good = wasi_add_fields(call, fields, false, result);
    wasi_fields_unref(fields);
    return good;
}

static bool fields_from_list(struct component_call *call, const struct value *args,
                             struct value *result) {
    struct wasi_fields *fields = wasi_fields_new();
    int error = -1;
    bool good = true;
    for (uint32_t i = 0; good && error < 0 && i < args[0].count; i++) {
        const struct value *pair = args[0].items[i].items;
        error = check_field(host_bytes(&pair[0]), host_bytes(&pair[1]));
        good = error >= 0 || add_field(call, fields, host_bytes(&pair[0]), host_bytes(&pair[1]));
    }
    if (good && error >= 0) {
        good = header_error(call, error, result);
    } else if (good) {
        struct value own;
        good = wasi_add_fields(call, fields, false, &own) && host_ok_value(call, own, result);
    }
    wasi_fields_unref(fields);
    return good;
}

static bool fields_get(struct component_call *call, const struct value *args,
                       struct value *result) {
    const struct wasi_fields *fields = fields_of(call, &args[0]);
    struct value *items = fields != NULL ? host_alloc(call, fields->count, sizeof *items) : NULL;
    if (items == NULL) {
        return false;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct wasi_field *field = &fields->items[i];
        if (same_name(bytes_slice(field->name), host_bytes(&args[1])) &&
            !host_copy(call, bytes_slice(field->value), &items[count++])) {
            return false;
        }
    }
    *result = (struct value){.items = items, .count = count};
    return true;
}

static bool fields_has(struct component_call *call, const struct value *args,
                       struct value *result) {
    const struct wasi_fields *fields = fields_of(call, &args[0]);
    bool has = false;
    for (uint32_t i = 0; fields != NULL && i < fields->count; i++) {
        has = has || same_name(bytes_slice(fields->items[i].name), host_bytes(&args[1]));
    }
    *result = (struct value){.bits = has};
    return fields != NULL;
}

// The fields that may be changed, under a name that may stand there; NULL: *good as the answer.
static struct wasi_fields *to_change(struct component_call *call, const struct value *args,
                                     struct value *result, bool *good) {
    const struct wasi_slot *slot = wasi_get(call, &args[0], WASI_FIELDS);
    *good = false;
    if (slot == NULL) {
        return NULL;
    }
    struct wasi_fields *fields = slot->object;
    int error =
        slot->number != 0 ? IMMUTABLE : check_field(host_bytes(&args[1]), slice_of(NULL, 0));
    if (error >= 0) {
        *good = header_error(call, error, result);
        return NULL;
    }
    return fields;
}

static bool fields_set(struct component_call *call, const struct value *args,
                       struct value *result) {
    bool good = false;
    struct wasi_fields *fields = to_change(call, args, result, &good);
    if (fields == NULL) {
        return good;
    }
    for (uint32_t i = 0; i < args[2].count; i++) {
        if (!io_http_is_value(host_bytes(&args[2].items[i]))) {
            return header_error(call, INVALID_SYNTAX, result);
        }
    }
    remove_fields(fields, host_bytes(&args[1]));
    for (uint32_t i = 0; i < args[2].count; i++) {
        if (!add_field(call, fields, host_bytes(&args[1]), host_bytes(&args[2].items[i]))) {
            return false;
        }
    }
    return host_ok(result);
}

static bool fields_delete(struct component_call *call, const struct value *args,
                          struct value *result) {
    bool good = false;
    struct wasi_fields *fields = to_change(call, args, result, &good);
    if (fields == NULL) {
        return good;
    }
    remove_fields(fields, host_bytes(&args[1]));
    return host_ok(result);
}

static bool fields_append(struct component_call *call, const struct value *args,
                          struct value *result) {
    bool good = false;
    struct wasi_fields *fields = to_change(call, args, result, &good);
    if (fields == NULL) {
        return good;
    }
    if (!io_http_is_value(host_bytes(&args[2]))) {
        return header_error(call, INVALID_SYNTAX, result);
    }
    return add_field(call, fields, host_bytes(&args[1]), host_bytes(&args[2])) && host_ok(result);
}

static bool fields_entries(struct component_call *call, const struct value *args,
                           struct value *result) {
    const struct wasi_fields *fields = fields_of(call, &args[0]);
    struct value *items =
        fields != NULL ? host_alloc(call, fields->count, 3 * sizeof *items) : NULL;
    if (items == NULL) {
        return false;
    }
    struct value *pairs = items + fields->count;
    for (uint32_t i = 0; i < fields->count; i++) {
        struct value *pair = &pairs[2 * (size_t)i];
        if (!host_copy(call, bytes_slice(fields->items[i].name), &pair[0]) ||
            !host_copy(call, bytes_slice(fields->items[i].value), &pair[1])) {
            return false;
        }
        items[i] = (struct value){.items = pair, .count = 2};
    }
    *result = (struct value){.items = items, .count = fields->count};
    return true;
}

static bool fields_clone(struct component_call *call, const struct value *args,
                         struct value *result) {
    const struct wasi_fields *fields = fields_of(call, &args[0]);
    if (fields == NULL) {
        return false;
    }
    struct wasi_fields *copy = wasi_fields_new();
    bool good = true;
    for (uint32_t i = 0; good && i < fields->count; i++) {
        good = add_field(call, copy, bytes_slice(fields->items[i].name),
                         bytes_slice(fields->items[i].value));
    }
    good = good && wasi_add_fields(call, copy, false, result);
    wasi_fields_unref(copy);
    return good;
}

static bool http_error_code(struct component_call *call, const struct value *args,
                            struct value *result) {
    *result = (struct value){.items = NULL, .which = 0};
    return wasi_get(call, &args[0], WASI_ERROR) != NULL;
}

#define NAME "wasi:http/types"
#define CHANGE "result<_, variant{invalid-syntax, forbidden, immutable}>"
#define PAIRS "list<tuple<string, list<u8>>>"
#define METHOD(name) "[method]fields." name, NAME ".[method]fields." name

static const struct host_function functions[] = {
    {"[constructor]fields", NAME ".[constructor]fields", fields_new, {"func() -> own<fields>"}},
    {"[static]fields.from-list",
     NAME ".[static]fields.from-list",
     fields_from_list,
     {"func(" PAIRS ") -> result<own<fields>, variant{invalid-syntax, forbidden, immutable}>"}},
    {METHOD("get"), fields_get, {"func(borrow<fields>, string) -> list<list<u8>>"}},
    {METHOD("has"), fields_has, {"func(borrow<fields>, string) -> bool"}},
    {METHOD("set"), fields_set, {"func(borrow<fields>, string, list<list<u8>>) -> " CHANGE}},
    {METHOD("delete"), fields_delete, {"func(borrow<fields>, string) -> " CHANGE}},
    {METHOD("append"), fields_append, {"func(borrow<fields>, string, list<u8>) -> " CHANGE}},
    {METHOD("entries"), fields_entries, {"func(borrow<fields>) -> " PAIRS}},
    {METHOD("clone"), fields_clone, {"func(borrow<fields>) -> own<fields>"}},
    {"http-error-code",
     NAME ".http-error-code",
     http_error_code,
     {"func(borrow<error>) -> option<" WASI_HTTP_CODES ">"}},
};
const struct host_interface wasi_http_types = {NAME, functions, COUNT_OF(functions)};

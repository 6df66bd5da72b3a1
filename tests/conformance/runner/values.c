// SPDX-License-Identifier: Apache-2.0
// Component values from the JSON of the suites, compared and printed by their type.
#include "values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// ---- values from JSON --------------------------------------------------------------------------

static struct value *values_new(struct arena *arena, uint64_t count) {
    return arena_calloc(arena, count, sizeof(struct value), _Alignof(struct value));
}

static bool parse_number(const json_t *json, uint64_t *out) {
    const char *text = json_string_value(json);
    if (text == NULL || text[0] == '\0') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    *out = text[0] == '-' ? (uint64_t)strtoll(text, &end, 10) : strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool parse_text(const json_t *json, struct value *out) {
    if (!json_is_string(json)) {
        return false;
    }
    out->bytes = (const uint8_t *)json_string_value(json);
    out->count = (uint32_t)json_string_length(json);
    return true;
}

static bool parse_char(const json_t *json, struct value *out) {
    struct value text;
    if (!parse_text(json, &text) || text.count == 0) {
        return false;
    }
    const uint8_t *p = text.bytes;
    uint32_t point = p[0];
    uint32_t more = p[0] < 0x80 ? 0 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : 3;
    static const uint8_t MASKS[] = {0x7f, 0x1f, 0x0f, 0x07};
    if (text.count != more + 1) {
        return false;
    }
    point &= MASKS[more];
    for (uint32_t i = 1; i <= more; i++) {
        point = point << 6 | (p[i] & 0x3fu);
    }
    out->bits = point;
    return true;
}

// The position of a name among those of a type, or UINT32_MAX.
static uint32_t find_name(const struct component_type *type, const json_t *name) {
    for (uint32_t i = 0; json_is_string(name) && i < type->item_count; i++) {
        if (slice_equal(type->names[i],
                        slice_of(json_string_value(name), json_string_length(name)))) {
            return i;
        }
    }
    return UINT32_MAX;
}

static bool parse_list(struct arena *arena, const struct component_type *item, const json_t *json,
                       struct value *out) {
    uint32_t count = (uint32_t)json_array_size(json);
    struct value *items = values_new(arena, count);
    for (uint32_t i = 0; i < count; i++) {
        if (!value_parse(arena, item, json_array_get(json, i), &items[i])) {
            return false;
        }
    }
    out->items = items;
    out->count = count;
    if (item->is_plain) {
        uint8_t *packed = arena_alloc(arena, (uint64_t)count * item->size, 8);
        for (uint32_t i = 0; i < count; i++) {
            memcpy(packed + (size_t)i * item->size, &items[i].bits, item->size);
        }
        out->bytes = packed;
    }
    return json_is_array(json);
}

static bool parse_fields(struct arena *arena, const struct component_type *type, const json_t *json,
                         struct value *out) {
    if (json_array_size(json) != type->item_count) {
        return false;
    }
    struct value *items = values_new(arena, type->item_count);
    for (uint32_t i = 0; i < type->item_count; i++) {
        const json_t *item = json_array_get(json, i);
        if (type->kind == COMPONENT_RECORD) {
            if (find_name(type, json_array_get(item, 0)) != i) {
                return false;
            }
            item = json_array_get(item, 1);
        }
        if (!value_parse(arena, type->items[i], item, &items[i])) {
            return false;
        }
    }
    out->items = items;
    out->count = type->item_count;
    return true;
}

static bool parse_case(struct arena *arena, const struct component_type *payload, uint32_t which,
                       const json_t *json, struct value *out) {
    out->which = which;
    out->items = NULL;
    if (payload == NULL) {
        return json == NULL || json_is_null(json);
    }
    struct value *value = values_new(arena, 1);
    out->items = value;
    return value_parse(arena, payload, json, value);
}

static bool parse_result(struct arena *arena, const struct component_type *type, const json_t *json,
                         struct value *out) {
    const json_t *ok = json_object_get(json, "Ok");
    return parse_case(arena, type->items[ok == NULL ? 1 : 0], ok == NULL ? 1 : 0,
                      ok == NULL ? json_object_get(json, "Err") : ok, out);
}

static bool parse_variant(struct arena *arena, const struct component_type *type,
                          const json_t *json, struct value *out) {
    uint32_t which = find_name(type, json_object_get(json, "case"));
    return which != UINT32_MAX &&
           parse_case(arena, type->items[which], which, json_object_get(json, "payload"), out);
}

static bool parse_flags(const struct component_type *type, const json_t *json, struct value *out) {
    out->bits = 0;
    for (size_t i = 0; i < json_array_size(json); i++) {
        uint32_t flag = find_name(type, json_array_get(json, i));
        if (flag == UINT32_MAX) {
            return false;
        }
        out->bits |= UINT64_C(1) << flag;
    }
    return json_is_array(json);
}

bool value_parse(struct arena *arena, const struct component_type *type, const json_t *json,
                 struct value *out) {
    const json_t *value = json_object_get(json, "value");
    out->count = 0;
    switch (type->kind) {
        case COMPONENT_BOOL:
            out->bits = json_is_true(value);
            return json_is_boolean(value);
        case COMPONENT_S8:
        case COMPONENT_U8:
        case COMPONENT_S16:
        case COMPONENT_U16:
        case COMPONENT_S32:
        case COMPONENT_U32:
        case COMPONENT_S64:
        case COMPONENT_U64:
        case COMPONENT_F32:
        case COMPONENT_F64:
            return parse_number(value, &out->bits);
        case COMPONENT_CHAR:
            return parse_char(value, out);
        case COMPONENT_STRING:
            return parse_text(value, out);
        case COMPONENT_LIST:
            return parse_list(arena, type->items[0], value, out);
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            return parse_fields(arena, type, value, out);
        case COMPONENT_VARIANT:
            return parse_variant(arena, type, value, out);
        case COMPONENT_ENUM:
            out->which = find_name(type, value);
            out->items = NULL;
            return out->which != UINT32_MAX;
        case COMPONENT_OPTION:
            return json_is_null(value) ? parse_case(arena, NULL, 0, NULL, out)
                                       : parse_case(arena, type->items[0], 1, value, out);
        case COMPONENT_RESULT:
            return parse_result(arena, type, value, out);
        case COMPONENT_FLAGS:
            return parse_flags(type, value, out);
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            break;
    }
    return false;
}

// ---- comparison --------------------------------------------------------------------------------

static bool same_items(const struct component_type *type, const struct value *a,
                       const struct value *b, uint32_t count) {
    bool is_list = type->kind == COMPONENT_LIST;
    for (uint32_t i = 0; i < count; i++) {
        if (!value_same(type->items[is_list ? 0 : i], &a->items[i], &b->items[i])) {
            return false;
        }
    }
    return true;
}

// The type that a case carries, or NULL.
static const struct component_type *payload_of(const struct component_type *type, uint32_t which) {
    if (type->kind == COMPONENT_OPTION)
        return which == 0 ? NULL : type->items[0];
    return type->items == NULL ? NULL : type->items[which];
}

static bool same_case(const struct component_type *type, const struct value *a,
                      const struct value *b) {
    if (a->which != b->which) {
        return false;
    }
    const struct component_type *payload = payload_of(type, a->which);
    return payload == NULL || value_same(payload, a->items, b->items);
}

bool value_same(const struct component_type *type, const struct value *a, const struct value *b) {
    switch (type->kind) {
        case COMPONENT_STRING:
            return a->count == b->count && memcmp(a->bytes, b->bytes, a->count) == 0;
        case COMPONENT_LIST:
            if (a->count != b->count) {
                return false;
            }
            return type->items[0]->is_plain
                       ? memcmp(a->bytes, b->bytes, (size_t)a->count * type->items[0]->size) == 0
                       : same_items(type, a, b, a->count);
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            return same_items(type, a, b, type->item_count);
        case COMPONENT_VARIANT:
        case COMPONENT_ENUM:
        case COMPONENT_OPTION:
        case COMPONENT_RESULT:
            return same_case(type, a, b);
        case COMPONENT_BOOL:
        case COMPONENT_S8:
        case COMPONENT_U8:
        case COMPONENT_S16:
        case COMPONENT_U16:
        case COMPONENT_S32:
        case COMPONENT_U32:
        case COMPONENT_S64:
        case COMPONENT_U64:
        case COMPONENT_F32:
        case COMPONENT_F64:
        case COMPONENT_CHAR:
        case COMPONENT_FLAGS:
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            break;
    }
    return a->bits == b->bits;
}

// ---- printing ----------------------------------------------------------------------------------

enum { ITEMS_SHOWN = 20 };

static void print_text(struct slice text, struct buf *out) {
    buf_append_byte(out, '"');
    for (size_t i = 0; i < text.size && i < 100; i++)
        buf_format(out, text.data[i] < 0x20 || text.data[i] == 0x7f ? "\\%02x" : "%c",
                   text.data[i]);
    buf_append_text(out, text.size > 100 ? "…\"" : "\"");
}

static void print_list(const struct component_type *item, const struct value *value,
                       struct buf *out) {
    buf_append_byte(out, '[');
    for (uint32_t i = 0; i < value->count && i < ITEMS_SHOWN; i++) {
        struct value plain = {.bits = 0};
        if (item->is_plain)
            memcpy(&plain.bits, value->bytes + (size_t)i * item->size, item->size);
        buf_append_text(out, i == 0 ? "" : ", ");
        value_print(item, item->is_plain ? &plain : &value->items[i], out);
    }
    buf_append_text(out, value->count > ITEMS_SHOWN ? ", …]" : "]");
}

static void print_fields(const struct component_type *type, const struct value *value,
                         struct buf *out) {
    buf_append_byte(out, '{');
    for (uint32_t i = 0; i < type->item_count && i < ITEMS_SHOWN; i++) {
        buf_append_text(out, i == 0 ? "" : ", ");
        value_print(type->items[i], &value->items[i], out);
    }
    buf_append_text(out, type->item_count > ITEMS_SHOWN ? ", …}" : "}");
}

static void print_case(const struct component_type *type, const struct value *value,
                       struct buf *out) {
    static const char *const options[] = {"none", "some"}, *const results[] = {"ok", "error"};
    if (type->kind == COMPONENT_OPTION || type->kind == COMPONENT_RESULT)
        buf_append_text(out, (type->kind == COMPONENT_OPTION ? options : results)[value->which]);
    else
        buf_append_slice(out, type->names[value->which]);
    const struct component_type *payload = payload_of(type, value->which);
    if (payload == NULL)
        return;
    buf_append_byte(out, '(');
    value_print(payload, value->items, out);
    buf_append_byte(out, ')');
}

void value_print(const struct component_type *type, const struct value *value, struct buf *out) {
    switch (type->kind) {
        case COMPONENT_STRING:
            print_text(slice_of(value->bytes, value->count), out);
            break;
        case COMPONENT_LIST:
            print_list(type->items[0], value, out);
            break;
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            print_fields(type, value, out);
            break;
        case COMPONENT_VARIANT:
        case COMPONENT_ENUM:
        case COMPONENT_OPTION:
        case COMPONENT_RESULT:
            print_case(type, value, out);
            break;
        case COMPONENT_S8:
        case COMPONENT_S16:
        case COMPONENT_S32:
        case COMPONENT_S64:
            buf_format(out, "%lld", (long long)value->bits);
            break;
        case COMPONENT_F32:
        case COMPONENT_F64:
        case COMPONENT_FLAGS:
            buf_format(out, "0x%llx", (unsigned long long)value->bits);
            break;
        case COMPONENT_BOOL:
        case COMPONENT_U8:
        case COMPONENT_U16:
        case COMPONENT_U32:
        case COMPONENT_U64:
        case COMPONENT_CHAR:
        case COMPONENT_OWN:
        case COMPONENT_BORROW:
            buf_format(out, "%llu", (unsigned long long)value->bits);
            break;
    }
}

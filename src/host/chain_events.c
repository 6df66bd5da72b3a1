// SPDX-License-Identifier: Apache-2.0
// Events of chains as values. See chain_events.h.
#include "host/chain_events.h"

static struct value *new_values(struct arena *arena, size_t count) {
    struct value *values = arena_try_alloc(arena, count * sizeof *values, 8);
    if (values != NULL) {
        memset(values, 0, count * sizeof *values);
    }
    return values;
}

static bool copy(struct arena *arena, struct slice content, struct value *out) {
    uint8_t *bytes = arena_try_alloc(arena, content.size, 1);
    if (bytes == NULL) {
        return false;
    }
    if (content.size > 0) {
        memcpy(bytes, content.data, content.size);
    }
    *out = (struct value){.bytes = bytes, .count = (uint32_t)content.size};
    return true;
}

static uint64_t first_eight(const uint8_t hash[SHA256_BYTES]) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | hash[i];
    }
    return value;
}

bool host_meta_event(struct arena *arena, const struct chain_event *event, struct value *out) {
    struct value *parts = new_values(arena, 6);
    if (parts == NULL || !copy(arena, event->type, &parts[2]) ||
        !copy(arena, event->data, &parts[4])) {
        return false;
    }
    bool has_parent = event->seq > 0;
    parts[5] = (struct value){.bits = first_eight(event->parent)};
    parts[3] = (struct value){.items = has_parent ? &parts[5] : NULL, .which = has_parent};
    parts[0] = (struct value){.bits = first_eight(event->hash)};
    parts[1] = (struct value){.items = &parts[2], .count = 3};
    *out = (struct value){.items = parts, .count = 2};
    return true;
}

bool host_chain_event(struct arena *arena, const struct chain_event *event, uint32_t field_count,
                      struct value *out) {
    struct value *fields = new_values(arena, 7);
    if (fields == NULL || !copy(arena, slice_of(event->hash, SHA256_BYTES), &fields[0]) ||
        !copy(arena, slice_of(event->parent, SHA256_BYTES), &fields[6]) ||
        !copy(arena, event->type, &fields[2]) || !copy(arena, event->data, &fields[3])) {
        return false;
    }
    bool has_parent = event->seq > 0;
    fields[1] = (struct value){.items = has_parent ? &fields[6] : NULL, .which = has_parent};
    fields[4] = (struct value){.bits = event->time_ns / 1000000U};
    *out = (struct value){.items = fields, .count = field_count};
    return true;
}

// SPDX-License-Identifier: Apache-2.0
// Reading states and messages again, from the events that hold them (recover.h).
#include "actor/recover.h"

static enum status from_store(const struct actor_system *system, struct cbor_reader *reader,
                              struct bytes **out, struct error *error) {
    uint64_t tag = 0;
    uint64_t count = 0;
    struct slice hash;
    if (cbor_read_tag(reader, &tag, NULL) != OK || tag != ACTOR_REFERENCE_TAG ||
        cbor_read_array(reader, &count, NULL) != OK || count != 2 ||
        cbor_read_bytes(reader, &hash, NULL) != OK || hash.size != SHA256_BYTES) {
        return error_set(error, ERR_DAMAGED, "the event holds something else");
    }
    const struct actor_config *config = &system->config;
    if (config->fetch == NULL) {
        return error_set(error, ERR_NOT_FOUND, "this node has no store");
    }
    enum status status = config->fetch(config->keep_context, hash.data, out, error);
    if (status != OK) {
        char text[SHA256_TEXT_BYTES];
        sha256_text(hash.data, text);
        error_context(error, "%s is not to be had from the store", text);
    }
    return status;
}

// A byte string or text, or the reference to one.
static enum status content(const struct actor_system *system, struct slice item, struct bytes **out,
                           struct error *error) {
    struct cbor_reader reader = cbor_reader_of(item);
    enum cbor_kind kind = item.size > 0 ? cbor_peek(&reader) : CBOR_END;
    struct slice bytes;
    if (kind == CBOR_BYTES && cbor_read_bytes(&reader, &bytes, NULL) == OK) {
        *out = bytes_copy(bytes);
        return OK;
    }
    if (kind == CBOR_TEXT && cbor_read_text(&reader, &bytes, NULL) == OK) {
        *out = bytes_copy(bytes);
        return OK;
    }
    return kind == CBOR_TAG ? from_store(system, &reader, out, error)
                            : error_set(error, ERR_DAMAGED, "the event does not hold it");
}

static struct slice call_of(const struct event_fields *fields, uint32_t call, size_t part) {
    struct cbor_reader reader;
    uint64_t count = event_array(fields->item[5], &reader);
    struct slice item = slice_of(NULL, 0);
    for (uint64_t i = 0; i <= call && i < count; i++) {
        if (cbor_read_item(&reader, &item, NULL) != OK) {
            return slice_of(NULL, 0);
        }
    }
    struct slice parts[2];
    return call < count && event_items(item, parts, 2) > part ? parts[part] : slice_of(NULL, 0);
}

static struct slice item_of(struct slice array, size_t index) {
    struct slice items[2];
    return event_items(array, items, 2) > index ? items[index] : slice_of(NULL, 0);
}

static struct slice find(const struct event_fields *fields, const struct world_body *body) {
    switch (body->place) {
        case WORLD_CALL:
            return item_of(call_of(fields, body->call, 1), 1);
        case WORLD_OUTSIDE:
            return fields->item[2];
        case WORLD_ACCEPT:
            // [0, [[accepted, [message]]]]
            return item_of(item_of(item_of(item_of(fields->item[6], 1), 0), 1), 0);
        case WORLD_ERROR:
            return item_of(fields->item[6], 1);
        case WORLD_CRASH:
            return fields->item[1];
        case WORLD_EXIT:
            return item_of(call_of(fields, body->call, 1), 0);
        case WORLD_NOTHING:
            break;
    }
    return slice_of(NULL, 0);
}

enum status recover_body(const struct actor_system *system, struct chain_at *at,
                         const struct world_body *body, struct bytes **out, bool *is_absent,
                         struct error *error) {
    *is_absent = body->place == WORLD_NOTHING;
    *out = NULL;
    if (*is_absent) {
        return OK;
    }
    struct chain_event event;
    struct event_fields fields;
    enum status status = chain_at_event(at, body->position, &event, error);
    if (status != OK) {
        return status;
    }
    if (!event_read_fields(event.data, &fields)) {
        return error_set(error, ERR_DAMAGED, "the event holds no fields");
    }
    struct slice item = find(&fields, body);
    if (body->place == WORLD_EXIT) {
        struct cbor_reader reader = cbor_reader_of(item);
        *is_absent = item.size > 0 && cbor_take_null(&reader);
        if (*is_absent) {
            return OK;
        }
        item = item_of(item, 0);
    }
    return content(system, item, out, error);
}

enum status recover_state(const struct actor_system *system, struct chain_at *at, uint64_t position,
                          uint32_t key, struct bytes **out, struct error *error) {
    struct chain_event event;
    struct event_fields fields;
    *out = NULL;
    enum status status = chain_at_event(at, position, &event, error);
    if (status == OK && !event_read_fields(event.data, &fields)) {
        status = error_set(error, ERR_DAMAGED, "the event holds no fields");
    }
    if (status == OK && fields.item[key].size > 0) {
        status = content(system, fields.item[key], out, error);
    }
    return status;
}

char *recover_call_name(struct chain_at *at, uint64_t position, uint32_t call) {
    struct chain_event event;
    struct event_fields fields;
    if (chain_at_event(at, position, &event, NULL) != OK ||
        !event_read_fields(event.data, &fields)) {
        return NULL;
    }
    struct slice name = event_text(call_of(&fields, call, 0));
    return name.size > 0 ? xstrndup(name.data, name.size) : NULL;
}

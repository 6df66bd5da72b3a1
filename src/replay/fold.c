// SPDX-License-Identifier: Apache-2.0
// What the events of a chain come to, told from the record alone: program, state and instance.
#include "actor/rerun.h"
#include "codec/cbor.h"
#include "manifest/manifest.h"
#include "replay/internal.h"

enum {
    KEY_LEG_OUTCOME = 6,
    KEY_LEG_STATE = 7,
    KEY_MANIFEST = 4,
    KEY_STATE = 8,
    KEY_MODE = 11,  // of `resumed`: the actor came back with the node, and went on from its state
    MANIFEST_MOST_BYTES = 16 << 20,
};

static void set(struct bytes **into, struct bytes *value) {
    struct bytes *old = *into;
    *into = bytes_ref(value);
    bytes_unref(old);
}

static void set_item(struct bytes **into, struct slice item) {
    bytes_unref(*into);
    *into = item.size > 0 ? bytes_copy(item) : NULL;
}

void fold_release(struct fold *fold) {
    bytes_unref(fold->begun);
    bytes_unref(fold->initial);
    bytes_unref(fold->state);
    bytes_unref(fold->instance.begun);
    bytes_unref(fold->instance.state);
}

struct slice event_item(struct slice data, uint64_t wanted) {
    struct cbor_reader reader = cbor_reader_of(data);
    uint64_t pairs = 0;
    uint64_t key = 0;
    struct slice item;
    if (data.size == 0 || cbor_read_map(&reader, &pairs, NULL) != OK) {
        return slice_of(NULL, 0);
    }
    for (uint64_t i = 0; i < pairs; i++) {
        if (cbor_read_uint(&reader, &key, NULL) != OK ||
            cbor_read_item(&reader, &item, NULL) != OK) {
            break;
        }
        if (key == wanted) {
            return item;
        }
    }
    return slice_of(NULL, 0);
}

bool event_keeps_instance(const struct chain_event *event) {
    struct slice mode = event_item(event->data, KEY_MODE);
    struct cbor_reader reader = cbor_reader_of(mode);
    struct slice text;
    return mode.size > 0 && cbor_read_text(&reader, &text, NULL) == OK &&
           slice_equal_text(text, "replay");
}

// What of the manifest decides about the state: whether a restart begins with the first one.
static enum status read_policy(struct fold *fold, struct slice data, struct error *error) {
    struct slice item = event_item(data, KEY_MANIFEST);
    struct cbor_reader reader = cbor_reader_of(item);
    struct slice hash = {0};
    struct bytes *text = NULL;
    struct manifest *manifest = NULL;
    struct manifest_options options = {.has_state = true, .exact_state = true};
    if (item.size == 0 || cbor_read_bytes(&reader, &hash, NULL) != OK ||
        hash.size != SHA256_BYTES) {
        return error_set(error, ERR_DAMAGED, "it does not name a manifest");
    }
    enum status status =
        fold->content(fold->content_context, hash.data, MANIFEST_MOST_BYTES, &text, error);
    if (status == OK) {
        status = manifest_load_text(bytes_slice(text), ".", &options, &manifest, error);
    }
    if (status == OK) {
        fold->restarts_anew = manifest->restart_state == MANIFEST_STATE_INITIAL;
    } else {
        error_context(error, "the manifest that it names");
    }
    manifest_unref(manifest);
    bytes_unref(text);
    return status;
}

static enum status fold_begin(struct fold *fold, const struct chain_event *event,
                              struct error *error) {
    bool goes_on = event_item(event->data, KEY_MODE).size > 0;
    set_item(&fold->begun, event->data);
    set_item(&fold->initial, event_item(event->data, KEY_STATE));
    if (!goes_on) {
        set(&fold->state, fold->initial);
    }
    if (!event_keeps_instance(event)) {
        fold->instance.is_there = false;
        fold->is_in_turn = false;
    }
    return read_policy(fold, event->data, error);
}

static bool waits(struct slice outcome) {
    struct cbor_reader reader = cbor_reader_of(outcome);
    uint64_t count = 0;
    uint64_t number = 0;
    return outcome.size > 0 && cbor_read_array(&reader, &count, NULL) == OK &&
           cbor_read_uint(&reader, &number, NULL) == OK && number == 3;
}

static void fold_leg(struct fold *fold, const struct chain_event *event) {
    struct slice state = event_item(event->data, KEY_LEG_STATE);
    bool is_first_leg = event_item(event->data, 1).size == 0;
    if (is_first_leg && slice_equal_text(event->type, "instance-created")) {
        fold->instance.is_there = true;
        fold->instance.at = event->seq;
        set(&fold->instance.begun, fold->begun);
        set(&fold->instance.state, fold->state);
    }
    fold->is_in_turn = waits(event_item(event->data, KEY_LEG_OUTCOME));
    if (state.size > 0) {
        set_item(&fold->state, state);
    }
}

enum status fold_event(struct fold *fold, const struct chain_event *event, struct error *error) {
    struct slice type = event->type;
    memcpy(fold->hash, event->hash, SHA256_BYTES);
    if (slice_equal_text(type, "spawned") || slice_equal_text(type, "resumed")) {
        return fold_begin(fold, event, error);
    }
    if (fold->begun == NULL) {
        return error_set(error, ERR_INVALID, "no event before it names the program");
    }
    if (rerun_is_turn(type)) {
        fold_leg(fold, event);
        return OK;
    }
    if (rerun_ends_instance(type)) {
        fold->instance.is_there = false;
        fold->is_in_turn = false;
    }
    if (rerun_resets_state(event, fold->restarts_anew)) {
        set(&fold->state, fold->initial);
    }
    return OK;
}

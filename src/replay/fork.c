// SPDX-License-Identifier: Apache-2.0
// A new chain from a point of another's history. Its event 0 is the `spawned` of the run that the
// point lies in, with the state of that point in place of the first one, and with
//
//   12: [id of the parent chain, sequence number, hash of that event]
//
// Nothing is run for it: the state stands in the record, as does all else that the event names.
#include "actor/rerun.h"
#include "codec/cbor.h"
#include "manifest/manifest.h"
#include "replay/internal.h"

enum {
    KEY_NONCE = 1,
    KEY_PARENT = 2,
    KEY_MANIFEST = 4,
    KEY_STATE = 8,
    KEY_MODE = 11,  // of `resumed`: the actor came back with the node, and went on from its state
    KEY_FORK = 12,
    KEYS_MOST = 32,
    MANIFEST_MOST_BYTES = 16 << 20,
};

// What the events up to the point come to. Items are CBOR, copied.
struct fold {
    const struct replay_fork *fork;
    struct bytes *begun;    // data of the last `spawned` or `resumed`
    struct bytes *initial;  // its state item; NULL: none
    struct bytes *state;    // the same, as of now
    bool restarts_anew;     // restart_state = "initial"
    bool is_reached;
    uint8_t hash[SHA256_BYTES];
};

static void set(struct bytes **into, struct bytes *value) {
    struct bytes *old = *into;
    *into = bytes_ref(value);
    bytes_unref(old);
}

static struct bytes *copy_item(struct slice item) {
    return item.size > 0 ? bytes_copy(item) : NULL;
}

// The item of a key in an event's data; empty when it has none.
static struct slice find(struct slice data, uint64_t wanted) {
    struct cbor_reader reader = cbor_reader_of(data);
    uint64_t pairs = 0;
    uint64_t key = 0;
    struct slice item;
    if (cbor_read_map(&reader, &pairs, NULL) != OK) {
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

// What of the manifest decides about the state: whether a restart begins with the first one.
static enum status read_policy(struct fold *fold, struct slice data, struct error *error) {
    const struct replay_fork *fork = fold->fork;
    struct slice item = find(data, KEY_MANIFEST);
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
        fork->content(fork->content_context, hash.data, MANIFEST_MOST_BYTES, &text, error);
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
    bool goes_on = find(event->data, KEY_MODE).size > 0;
    bytes_unref(fold->begun);
    fold->begun = bytes_copy(event->data);
    bytes_unref(fold->initial);
    fold->initial = copy_item(find(event->data, KEY_STATE));
    if (!goes_on) {
        set(&fold->state, fold->initial);
    }
    return read_policy(fold, event->data, error);
}

static enum status fold_event(struct fold *fold, const struct chain_event *event,
                              struct error *error) {
    struct slice type = event->type;
    struct slice state = find(event->data, 7);
    if (slice_equal_text(type, "spawned") || slice_equal_text(type, "resumed")) {
        return fold_begin(fold, event, error);
    }
    if (fold->begun == NULL) {
        return error_set(error, ERR_INVALID, "no event before it names the program");
    }
    if (rerun_resets_state(event, fold->restarts_anew)) {
        set(&fold->state, fold->initial);
    } else if (rerun_is_turn(type) && state.size > 0) {
        bytes_unref(fold->state);
        fold->state = copy_item(state);
    }
    return OK;
}

static enum status fold_all(struct fold *fold, struct error *error) {
    const struct replay_fork *fork = fold->fork;
    bool more = true;
    enum status status = OK;
    while (status == OK && more && !fold->is_reached) {
        struct chain_event event;
        status = fork->next(fork->next_context, &event, &more, error);
        if (status != OK || !more) {
            break;
        }
        status = fold_event(fold, &event, error);
        if (status != OK) {
            error_context(error, "event %llu, %.*s", (unsigned long long)event.seq,
                          (int)event.type.size, (const char *)event.type.data);
        }
        memcpy(fold->hash, event.hash, SHA256_BYTES);
        fold->is_reached = event.seq == fork->at;
    }
    if (status == OK && !fold->is_reached) {
        status = error_set(error, ERR_NOT_FOUND, "the chain of %s has no event %llu", fork->id,
                           (unsigned long long)fork->at);
    }
    return status;
}

static void put_fork(struct buf *out, const struct fold *fold) {
    cbor_array(out, 3);
    cbor_text_z(out, fold->fork->id);
    cbor_uint(out, fold->fork->at);
    cbor_bytes(out, slice_of(fold->hash, SHA256_BYTES));
}

// Event 0's data: the keys in their order, as the run had them but for those that are its own.
static void write_spawned(const struct fold *fold, struct slice nonce, struct buf *out) {
    struct slice data = bytes_slice(fold->begun);
    struct buf pairs = {0};
    uint64_t count = 0;
    for (uint64_t key = KEY_NONCE; key < KEYS_MOST; key++) {
        struct slice item = key == KEY_STATE ? bytes_slice(fold->state) : find(data, key);
        bool is_own = key == KEY_NONCE || key == KEY_PARENT || key == KEY_FORK;
        if (key == KEY_MODE || (!is_own && item.size == 0)) {
            continue;
        }
        count++;
        cbor_uint(&pairs, key);
        if (key == KEY_NONCE) {
            cbor_bytes(&pairs, nonce);
        } else if (key == KEY_PARENT) {
            cbor_null(&pairs);
        } else if (key == KEY_FORK) {
            put_fork(&pairs, fold);
        } else {
            cbor_raw(&pairs, item);
        }
    }
    cbor_map(out, count);
    cbor_raw(out, buf_slice(&pairs));
    buf_release(&pairs);
}

static enum status append_chain(const struct fold *fold, struct error *error) {
    const struct replay_fork *fork = fold->fork;
    struct chain_head head;
    uint8_t nonce[CHAIN_NONCE_BYTES];
    bool found = false;
    uint64_t position = 0;
    enum status status = chain_head_open(fork->log, fork->new_id, &head, nonce, &found, error);
    if (status == OK && head.next_seq > 0) {
        status = error_set(error, ERR_EXISTS, "there is a chain of %s already", fork->new_id);
    }
    if (status != OK) {
        return status;
    }
    struct buf data = {0};
    write_spawned(fold, chain_head_nonce(&head), &data);
    status = chain_append(fork->log, &head, "spawned", buf_slice(&data), &position, error);
    buf_release(&data);
    return status == OK ? chain_wait(fork->log, position, CHAIN_SYNCED, error) : status;
}

enum status replay_fork(const struct replay_fork *fork, struct error *error) {
    struct fold fold = {.fork = fork};
    enum status status = fold_all(&fold, error);
    if (status == OK) {
        status = append_chain(&fold, error);
    }
    bytes_unref(fold.begun);
    bytes_unref(fold.initial);
    bytes_unref(fold.state);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
// A new chain from a point of another's history. Its event 0 is the `spawned` of the run that the
// point lies in, with the state of that point in place of the first one, and with
//
//   12: [id of the parent chain, sequence number, hash of that event]
//
// Nothing is run for it: the state stands in the record, as does all else that the event names.
#include "codec/cbor.h"
#include "replay/internal.h"

enum {
    KEY_NONCE = 1,
    KEY_PARENT = 2,
    KEY_STATE = 8,
    KEY_ORIGIN = 9,  // SHA-256 of where the manifest came from
    KEY_MODE = 11,
    KEY_FORK = 12,
    KEYS_MOST = 32,
    ORIGIN_MOST_BYTES = 1 << 20,
};

static enum status fold_all(const struct replay_fork *fork, struct fold *fold,
                            struct error *error) {
    bool more = true;
    bool is_reached = false;
    enum status status = OK;
    while (status == OK && more && !is_reached) {
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
        is_reached = event.seq == fork->at;
    }
    if (status == OK && !is_reached) {
        status = error_set(error, ERR_NOT_FOUND, "the chain of %s has no event %llu", fork->id,
                           (unsigned long long)fork->at);
    }
    return status;
}

static void put_fork(struct buf *out, const struct replay_fork *fork, const struct fold *fold) {
    cbor_array(out, 3);
    cbor_text_z(out, fork->id);
    cbor_uint(out, fork->at);
    cbor_bytes(out, slice_of(fold->hash, SHA256_BYTES));
}

// A chain that came from elsewhere names an origin that means nothing here, and is not here.
static bool has_origin(const struct replay_fork *fork, struct slice item) {
    struct cbor_reader reader = cbor_reader_of(item);
    struct slice hash;
    struct bytes *origin = NULL;
    bool is_here =
        item.size > 0 && cbor_read_bytes(&reader, &hash, NULL) == OK && hash.size == SHA256_BYTES &&
        fork->content(fork->content_context, hash.data, ORIGIN_MOST_BYTES, &origin, NULL) == OK;
    bytes_unref(origin);
    return is_here;
}

// Event 0's data: the keys in their order, as the run had them but for those that are its own.
static void write_spawned(const struct replay_fork *fork, const struct fold *fold,
                          struct slice nonce, struct buf *out) {
    struct slice data = bytes_slice(fold->begun);
    struct buf pairs = {0};
    uint64_t count = 0;
    for (uint64_t key = KEY_NONCE; key < KEYS_MOST; key++) {
        struct slice item = key == KEY_STATE ? bytes_slice(fold->state) : event_item(data, key);
        bool is_own = key == KEY_NONCE || key == KEY_PARENT || key == KEY_FORK;
        bool is_left_out = key == KEY_MODE || (key == KEY_ORIGIN && !has_origin(fork, item));
        if (is_left_out || (!is_own && item.size == 0)) {
            continue;
        }
        count++;
        cbor_uint(&pairs, key);
        if (key == KEY_NONCE) {
            cbor_bytes(&pairs, nonce);
        } else if (key == KEY_PARENT) {
            cbor_null(&pairs);
        } else if (key == KEY_FORK) {
            put_fork(&pairs, fork, fold);
        } else {
            cbor_raw(&pairs, item);
        }
    }
    cbor_map(out, count);
    cbor_raw(out, buf_slice(&pairs));
    buf_release(&pairs);
}

static enum status append_chain(const struct replay_fork *fork, const struct fold *fold,
                                struct error *error) {
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
    write_spawned(fork, fold, chain_head_nonce(&head), &data);
    status = chain_append(fork->log, &head, "spawned", buf_slice(&data), &position, error);
    buf_release(&data);
    return status == OK ? chain_wait(fork->log, position, CHAIN_SYNCED, error) : status;
}

enum status replay_fork(const struct replay_fork *fork, struct error *error) {
    struct fold fold = {.content = fork->content, .content_context = fork->content_context};
    enum status status = fold_all(fork, &fold, error);
    if (status == OK) {
        status = append_chain(fork, &fold, error);
    }
    fold_release(&fold);
    return status;
}

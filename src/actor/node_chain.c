// SPDX-License-Identifier: Apache-2.0
// The node's own chain, under a reserved id: what clients outside send is recorded there first, so
// that a message whose sending was acknowledged survives the end of the node as one from an actor
// does. Several senders append one after the other and wait for the writer together.
#include <stdlib.h>

#include "actor/internal.h"
#include "actor/recovery.h"
#include "base/log.h"
#include "codec/cbor.h"

const char node_chain_id[] = "node";

void node_chain_init(struct actor_system *system) {
    pthread_mutex_init(&system->node_chain.lock, NULL);
    system->node_chain.id = bytes_copy(slice_text(node_chain_id));
}

void node_chain_release(struct actor_system *system) {
    pthread_mutex_destroy(&system->node_chain.lock);
    bytes_unref(system->node_chain.id);
}

// node_chain.lock held. The first event of each run in which the chain is used is its `opened`.
static enum status open_chain(struct actor_system *system, struct error *error) {
    struct node_chain *chain = &system->node_chain;
    if (chain->is_open) {
        return OK;
    }
    uint8_t nonce[CHAIN_NONCE_BYTES];
    bool found = false;
    enum status status =
        chain_head_open(system->config.log, node_chain_id, &chain->head, nonce, &found, error);
    if (status == OK) {
        struct buf data = {0};
        cbor_map(&data, 1);
        cbor_uint(&data, 1);
        cbor_bytes(&data, slice_of(nonce, sizeof nonce));
        status =
            chain_append(system->config.log, &chain->head, "opened", buf_slice(&data), NULL, error);
        buf_release(&data);
    }
    chain->is_open = status == OK;
    return status;
}

enum status node_chain_record(struct actor_system *system, const char *type, struct slice data,
                              uint64_t *seq, uint64_t *position, struct error *error) {
    *seq = 0;
    *position = 0;
    if (system->config.log == NULL) {
        return OK;
    }
    struct node_chain *chain = &system->node_chain;
    pthread_mutex_lock(&chain->lock);
    enum status status = open_chain(system, error);
    if (status == OK) {
        status = chain_append(system->config.log, &chain->head, type, data, position, error);
        *seq = chain->head.next_seq - 1;
    }
    pthread_mutex_unlock(&chain->lock);
    return status;
}

// As in the events of actors, a large value stands by its hash.
static enum status put_body(struct actor_system *system, struct slice body, struct buf *out,
                            struct error *error) {
    const struct actor_config *config = &system->config;
    if (body.size <= ACTOR_INLINE_MOST_BYTES || config->keep_value == NULL) {
        cbor_bytes(out, body);
        return OK;
    }
    uint8_t hash[SHA256_BYTES];
    sha256(body, hash);
    large_refer(out, hash, body.size);
    return config->keep_value(config->keep_context, body, hash, error);
}

enum status node_chain_send(struct actor_system *system, const struct actor *target,
                            struct slice body, uint64_t *seq, uint64_t *position,
                            struct error *error) {
    struct buf data = {0};
    cbor_map(&data, 2);
    cbor_uint(&data, 1);
    cbor_text(&data, bytes_slice(target->id));
    cbor_uint(&data, 2);
    enum status status = put_body(system, body, &data, error);
    if (status == OK) {
        status = node_chain_record(system, "send", buf_slice(&data), seq, position, error);
    }
    buf_release(&data);
    return status;
}

enum status node_chain_wait(struct actor_system *system, const struct actor *target,
                            uint64_t position, struct error *error) {
    enum manifest_durability durability = target->program->manifest->durability;
    if (system->config.log == NULL || durability == MANIFEST_MEMORY) {
        return OK;
    }
    return chain_wait(system->config.log, position,
                      durability == MANIFEST_SYNC ? CHAIN_SYNCED : CHAIN_WRITTEN, error);
}

void actor_report_lost(struct actor *actor, const char *text) {
    struct buf data = {0};
    struct error error = {0};
    uint64_t seq = 0;
    uint64_t position = 0;
    cbor_map(&data, 2);
    cbor_uint(&data, 1);
    cbor_text(&data, bytes_slice(actor->id));
    cbor_uint(&data, 2);
    cbor_text_z(&data, text);
    log_line(LOG_ERROR, "actor %s: %s", actor_id(actor), text);
    if (node_chain_record(actor->system, "lost", buf_slice(&data), &seq, &position, &error) != OK) {
        log_line(LOG_ERROR, "that could not be recorded: %s", error.message);
    }
    buf_release(&data);
}

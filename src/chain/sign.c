// SPDX-License-Identifier: Apache-2.0
#include "chain/sign.h"

#include "codec/cbor.h"

// What is signed; the text keeps the signature from meaning anything elsewhere.
static void message_of(struct buf *out, const char *id, const struct chain_signature *signature) {
    cbor_array(out, 5);
    cbor_text_z(out, "theater-signature-1");
    cbor_text_z(out, id);
    cbor_uint(out, signature->seq);
    cbor_uint(out, signature->time_ns);
    cbor_bytes(out, slice_of(signature->head, SHA256_BYTES));
}

void chain_sign(const struct ed25519_key *key, const char *id, struct chain_signature *signature) {
    struct buf message = {0};
    message_of(&message, id, signature);
    ed25519_public(key, signature->key);
    ed25519_sign(key, buf_slice(&message), signature->signature);
    buf_release(&message);
}

bool chain_signature_is_good(const char *id, const struct chain_signature *signature) {
    struct buf message = {0};
    message_of(&message, id, signature);
    bool is_good = ed25519_verify(signature->key, buf_slice(&message), signature->signature);
    buf_release(&message);
    return is_good;
}

void chain_signature_write(struct buf *out, const struct chain_signature *signature) {
    cbor_uint(out, signature->seq);
    cbor_uint(out, signature->time_ns);
    cbor_bytes(out, slice_of(signature->head, SHA256_BYTES));
    cbor_bytes(out, slice_of(signature->key, ED25519_PUBLIC_BYTES));
    cbor_bytes(out, slice_of(signature->signature, ED25519_SIGNATURE_BYTES));
}

static enum status read_exactly(struct cbor_reader *reader, uint8_t *out, size_t size,
                                struct error *error) {
    struct slice content;
    enum status status = cbor_read_bytes(reader, &content, error);
    if (status == OK && content.size != size) {
        return error_set(error, ERR_INVALID, "%zu bytes where %zu belong", content.size, size);
    }
    if (status == OK) {
        memcpy(out, content.data, size);
    }
    return status;
}

enum status chain_signature_read(struct cbor_reader *reader, struct chain_signature *signature,
                                 struct error *error) {
    enum status status = cbor_read_uint(reader, &signature->seq, error);
    if (status == OK) {
        status = cbor_read_uint(reader, &signature->time_ns, error);
    }
    if (status == OK) {
        status = read_exactly(reader, signature->head, SHA256_BYTES, error);
    }
    if (status == OK) {
        status = read_exactly(reader, signature->key, ED25519_PUBLIC_BYTES, error);
    }
    if (status == OK) {
        status = read_exactly(reader, signature->signature, ED25519_SIGNATURE_BYTES, error);
    }
    return status;
}

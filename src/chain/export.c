// SPDX-License-Identifier: Apache-2.0
// Writing chain files. What an event refers to is for the caller to know.
#include "chain/export.h"

#include <assert.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/map.h"
#include "chain/export_file.h"
#include "codec/cbor.h"

enum { BUFFER_BYTES = 256 << 10 };

struct chain_file_writer {
    int descriptor;
    const char *name;
    struct buf pending;   // not given to the file yet
    struct map contents;  // put or missing; the values mean nothing
    uint64_t events;
    uint64_t next_seq;
    uint8_t head[SHA256_BYTES];
    uint8_t digest[SHA256_BYTES];
};

static enum status flush(struct chain_file_writer *writer, struct error *error) {
    int reason = file_write_all(writer->descriptor, writer->pending.data, writer->pending.size);
    buf_clear(&writer->pending);
    return reason == 0 ? OK : error_set_os(error, reason, "cannot write %s", writer->name);
}

static enum status flush_full(struct chain_file_writer *writer, struct error *error) {
    return writer->pending.size < BUFFER_BYTES ? OK : flush(writer, error);
}

// A byte string of any size, `first` (which may be empty) and `content`, without a copy of what is
// large.
static enum status put_string(struct chain_file_writer *writer, struct slice first,
                              struct slice content, struct error *error) {
    cbor_head(&writer->pending, 0x40, first.size + content.size);
    buf_append_slice(&writer->pending, first);
    if (content.size < BUFFER_BYTES) {
        buf_append_slice(&writer->pending, content);
        return flush_full(writer, error);
    }
    enum status status = flush(writer, error);
    if (status != OK) {
        return status;
    }
    int reason = file_write_all(writer->descriptor, content.data, content.size);
    return reason == 0 ? OK : error_set_os(error, reason, "cannot write %s", writer->name);
}

struct chain_file_writer *chain_file_begin(int descriptor, const char *name,
                                           const struct chain_file_header *header) {
    struct chain_file_writer *writer = xcalloc(1, sizeof *writer);
    writer->descriptor = descriptor;
    writer->name = name;
    writer->next_seq = header->first;
    memcpy(writer->head, header->parent, SHA256_BYTES);
    cbor_array(&writer->pending, 5);
    cbor_text_z(&writer->pending, CHAIN_FILE_LABEL);
    cbor_text_z(&writer->pending, header->id);
    cbor_bytes(&writer->pending, slice_of(header->nonce, CHAIN_NONCE_BYTES));
    cbor_uint(&writer->pending, header->first);
    cbor_bytes(&writer->pending, slice_of(header->parent, SHA256_BYTES));
    return writer;
}

enum status chain_file_put_event(struct chain_file_writer *writer, const struct chain_event *event,
                                 struct error *error) {
    assert(event->seq == writer->next_seq);
    writer->events++;
    writer->next_seq++;
    memcpy(writer->head, event->hash, SHA256_BYTES);
    return put_string(writer, slice_of(event->hash, SHA256_BYTES), event->bytes, error);
}

bool chain_file_has_content(const struct chain_file_writer *writer,
                            const uint8_t hash[SHA256_BYTES]) {
    return map_get(&writer->contents, slice_of(hash, SHA256_BYTES)) != NULL;
}

// False when it was put before.
static bool begin_content(struct chain_file_writer *writer, enum chain_file_item item,
                          const uint8_t hash[SHA256_BYTES]) {
    struct slice key = slice_of(hash, SHA256_BYTES);
    if (!map_add(&writer->contents, key, writer)) {
        return false;
    }
    cbor_array(&writer->pending, item == FILE_CONTENT ? 3 : 2);
    cbor_uint(&writer->pending, item);
    cbor_bytes(&writer->pending, key);
    chain_file_digest(writer->digest, item, hash);
    return true;
}

enum status chain_file_put_content(struct chain_file_writer *writer,
                                   const uint8_t hash[SHA256_BYTES], struct slice content,
                                   struct error *error) {
    if (content.size > CHAIN_CONTENT_MOST_BYTES) {
        return error_set(error, ERR_LIMIT, "a content of %zu bytes, and a chain file takes %d",
                         content.size, CHAIN_CONTENT_MOST_BYTES);
    }
    return begin_content(writer, FILE_CONTENT, hash)
               ? put_string(writer, slice_of(NULL, 0), content, error)
               : OK;
}

enum status chain_file_put_missing(struct chain_file_writer *writer,
                                   const uint8_t hash[SHA256_BYTES], struct error *error) {
    return begin_content(writer, FILE_MISSING, hash) ? flush_full(writer, error) : OK;
}

enum status chain_file_put_signature(struct chain_file_writer *writer,
                                     const struct chain_signature *signature, struct error *error) {
    assert(writer->events > 0 && signature->seq == writer->next_seq - 1);
    cbor_array(&writer->pending, 6);
    cbor_uint(&writer->pending, FILE_SIGNATURE);
    chain_signature_write(&writer->pending, signature);
    return flush_full(writer, error);
}

enum status chain_file_end(struct chain_file_writer *writer, struct error *error) {
    cbor_array(&writer->pending, 4);
    cbor_uint(&writer->pending, FILE_END);
    cbor_uint(&writer->pending, writer->events);
    cbor_bytes(&writer->pending, slice_of(writer->head, SHA256_BYTES));
    cbor_bytes(&writer->pending, slice_of(writer->digest, SHA256_BYTES));
    enum status status = flush(writer, error);
    chain_file_abandon(writer);
    return status;
}

void chain_file_abandon(struct chain_file_writer *writer) {
    if (writer != NULL) {
        buf_release(&writer->pending);
        map_release(&writer->contents);
        free(writer);
    }
}

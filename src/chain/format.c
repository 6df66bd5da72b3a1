// SPDX-License-Identifier: Apache-2.0
#include "chain/format.h"

#include <assert.h>

#include "codec/cbor.h"

const uint8_t batch_magic[8] = {'T', 'H', 'b', 'a', 't', 'c', 'h', 0x01};
static const uint8_t segment_magic[8] = {'T', 'H', 'E', 'A', 'T', 'E', 'R', 0x0a};
static const uint8_t trailer_magic[8] = {'T', 'H', 's', 'e', 'a', 'l', 'e', 'd'};

// ---- frames ------------------------------------------------------------------------------------

static uint32_t frame_crc(const uint8_t *frame, uint64_t size, uint64_t position) {
    uint8_t place[8];
    put_u64(place, position);
    return crc32c(0, slice_of(frame + 4, size - 4)) ^ crc32c(0, slice_of(place, sizeof place));
}

void frame_finish(uint8_t *frame, uint64_t body_bytes, uint32_t actor, enum frame_kind kind,
                  uint64_t previous, uint64_t position) {
    assert(body_bytes <= UINT32_MAX);
    put_u32(frame + 4, (uint32_t)body_bytes);
    put_u32(frame + 8, actor);
    put_u32(frame + 12, (uint32_t)kind);
    put_u64(frame + 16, previous);
    put_u32(frame, frame_crc(frame, FRAME_HEADER_BYTES + body_bytes, position));
}

struct frame frame_read(const uint8_t *at, uint64_t position) {
    return (struct frame){.crc = get_u32(at),
                          .body_bytes = get_u32(at + 4),
                          .actor = get_u32(at + 8),
                          .kind = get_u32(at + 12),
                          .previous = get_u64(at + 16),
                          .position = position,
                          .body = at + FRAME_HEADER_BYTES};
}

bool frame_is_intact(const uint8_t *at, const struct frame *frame) {
    uint64_t size = FRAME_HEADER_BYTES + (uint64_t)frame->body_bytes;
    return frame_crc(at, size, frame->position) == frame->crc;
}

void batch_write(uint8_t *at, const struct batch *batch, uint64_t position) {
    uint8_t *body = at + FRAME_HEADER_BYTES;
    memcpy(body, batch_magic, sizeof batch_magic);
    put_u64(body + 8, batch->end);
    put_u64(body + 16, batch->durable);
    put_u32(body + 24, batch->events);
    put_u32(body + 28, 0);
    frame_finish(at, BATCH_BODY_BYTES, 0, FRAME_BATCH, batch->previous, position);
}

bool batch_read(const uint8_t *at, uint64_t position, struct batch *batch) {
    struct frame frame = frame_read(at, position);
    if (frame.kind != FRAME_BATCH || frame.body_bytes != BATCH_BODY_BYTES || frame.actor != 0 ||
        memcmp(frame.body, batch_magic, sizeof batch_magic) != 0 || !frame_is_intact(at, &frame)) {
        return false;
    }
    *batch = (struct batch){.end = get_u64(frame.body + 8),
                            .durable = get_u64(frame.body + 16),
                            .events = get_u32(frame.body + 24),
                            .previous = frame.previous};
    return batch->end >= position + BATCH_FRAME_BYTES &&
           batch->end - position <= BATCH_MOST_BYTES && get_u32(frame.body + 28) == 0;
}

void batch_digest(uint8_t digest[SHA256_BYTES], struct slice parts) {
    uint8_t next[SHA256_BYTES];
    sha256_pair(slice_of(digest, SHA256_BYTES), parts, next);
    memcpy(digest, next, SHA256_BYTES);
}

// ---- segments ----------------------------------------------------------------------------------

void segment_header_write(uint8_t at[SEGMENT_HEADER_BYTES], const struct segment_header *header) {
    memcpy(at, segment_magic, sizeof segment_magic);
    put_u32(at + 8, FORMAT_VERSION);
    put_u32(at + 12, header->number);
    put_u64(at + 16, header->base);
    memcpy(at + 24, header->digest, SHA256_BYTES);
    put_u32(at + 56, 0);
    put_u32(at + 60, crc32c(0, slice_of(at, 60)));
}

bool segment_header_read(const uint8_t at[SEGMENT_HEADER_BYTES], struct segment_header *header) {
    if (memcmp(at, segment_magic, sizeof segment_magic) != 0 || get_u32(at + 8) != FORMAT_VERSION ||
        get_u32(at + 60) != crc32c(0, slice_of(at, 60))) {
        return false;
    }
    header->number = get_u32(at + 12);
    header->base = get_u64(at + 16);
    memcpy(header->digest, at + 24, SHA256_BYTES);
    return true;
}

void segment_sum_add_time(struct segment_sum *sum, uint64_t time_ns) {
    if (sum->events == 0 || time_ns < sum->first_time_ns) {
        sum->first_time_ns = time_ns;
    }
    if (sum->events == 0 || time_ns > sum->last_time_ns) {
        sum->last_time_ns = time_ns;
    }
    sum->events++;
}

// The keys of the map in a footer.
enum { SUM_EVENTS = 1, SUM_BATCHES, SUM_END, SUM_FIRST_TIME, SUM_LAST_TIME, SUM_DIGEST };

void footer_append(struct buf *out, const struct segment_sum *sum, uint64_t offset) {
    struct buf body = {0};
    cbor_map(&body, 6);
    cbor_uint(&body, SUM_EVENTS);
    cbor_uint(&body, sum->events);
    cbor_uint(&body, SUM_BATCHES);
    cbor_uint(&body, sum->batches);
    cbor_uint(&body, SUM_END);
    cbor_uint(&body, sum->end);
    cbor_uint(&body, SUM_FIRST_TIME);
    cbor_uint(&body, sum->first_time_ns);
    cbor_uint(&body, SUM_LAST_TIME);
    cbor_uint(&body, sum->last_time_ns);
    cbor_uint(&body, SUM_DIGEST);
    cbor_bytes(&body, slice_of(sum->digest, SHA256_BYTES));
    assert(body.size <= FOOTER_BODY_MOST_BYTES);
    uint8_t *at = buf_reserve(out, FRAME_HEADER_BYTES + body.size + TRAILER_BYTES);
    memcpy(at + FRAME_HEADER_BYTES, body.data, body.size);
    frame_finish(at, body.size, 0, FRAME_FOOTER, NO_POSITION, sum->end);
    trailer_write(at + FRAME_HEADER_BYTES + body.size, offset);
    out->size += FRAME_HEADER_BYTES + body.size + TRAILER_BYTES;
    buf_release(&body);
}

void trailer_write(uint8_t at[TRAILER_BYTES], uint64_t footer_offset) {
    put_u64(at, footer_offset);
    memcpy(at + 8, trailer_magic, sizeof trailer_magic);
}

bool trailer_read(const uint8_t at[TRAILER_BYTES], uint64_t *footer_offset) {
    *footer_offset = get_u64(at);
    return memcmp(at + 8, trailer_magic, sizeof trailer_magic) == 0;
}

enum status footer_read(struct slice body, struct segment_sum *sum, struct error *error) {
    uint64_t *numbers[] = {&sum->events, &sum->batches, &sum->end, &sum->first_time_ns,
                           &sum->last_time_ns};
    struct cbor_reader reader = cbor_reader_of(body);
    reader.is_strict = true;
    uint64_t count = 0;
    uint64_t key = 0;
    enum status status = cbor_read_map(&reader, &count, error);
    for (uint64_t i = 0; status == OK && i < COUNT_OF(numbers); i++) {
        status = cbor_read_uint(&reader, &key, error);
        if (status == OK && key != SUM_EVENTS + i) {
            status = error_set(error, ERR_INVALID, "footer key %llu", (unsigned long long)key);
        }
        if (status == OK) {
            status = cbor_read_uint(&reader, numbers[i], error);
        }
    }
    struct slice digest = {0};
    if (status == OK) {
        status = cbor_read_uint(&reader, &key, error);
    }
    if (status == OK) {
        status = cbor_read_bytes(&reader, &digest, error);
    }
    if (status == OK) {
        status = cbor_read_end(&reader, error);
    }
    if (status == OK && (count != 6 || key != SUM_DIGEST || digest.size != SHA256_BYTES)) {
        status = error_set(error, ERR_INVALID, "footer without a digest of 32 bytes");
    }
    if (status == OK) {
        memcpy(sum->digest, digest.data, SHA256_BYTES);
    }
    return status;
}

// ---- events ------------------------------------------------------------------------------------

size_t event_prefix(uint8_t out[EVENT_PREFIX_MOST_BYTES], uint64_t seq, uint64_t time_ns,
                    struct slice type) {
    uint8_t *at = out;
    assert(type.size <= 64);
    *at++ = 0x85;  // array of five
    *at++ = FORMAT_VERSION;
    at = cbor_put_head(at, 0x00, seq);
    at = cbor_put_head(at, 0x00, time_ns);
    at = cbor_put_head(at, 0x60, type.size);
    memcpy(at, type.data, type.size);
    return (size_t)(at - out) + type.size;
}

enum status event_decode(struct slice body, struct chain_event *event, struct error *error) {
    if (body.size < SHA256_BYTES) {
        return error_set(error, ERR_DAMAGED, "the event is shorter than a parent hash");
    }
    memcpy(event->parent, body.data, SHA256_BYTES);
    event->bytes = slice_of(body.data + SHA256_BYTES, body.size - SHA256_BYTES);
    struct cbor_reader reader = cbor_reader_of(event->bytes);
    reader.is_strict = true;
    uint64_t count = 0;
    uint64_t version = 0;
    enum status status = cbor_read_array(&reader, &count, error);
    if (status == OK) {
        status = cbor_read_uint(&reader, &version, error);
    }
    if (status == OK && (count != 5 || version != FORMAT_VERSION)) {
        return error_set(error, ERR_DAMAGED, "the event is not an array of five with version 1");
    }
    if (status == OK) {
        status = cbor_read_uint(&reader, &event->seq, error);
    }
    if (status == OK) {
        status = cbor_read_uint(&reader, &event->time_ns, error);
    }
    if (status == OK) {
        status = cbor_read_text(&reader, &event->type, error);
    }
    if (status == OK && (event->type.size == 0 || event->type.size > 64)) {
        return error_set(error, ERR_DAMAGED, "the event's type has %zu bytes", event->type.size);
    }
    if (status != OK) {
        return error_context(error, "event bytes");
    }
    event->data = slice_of(reader.next, (size_t)(reader.end - reader.next));
    return OK;
}

void genesis_parent(const char *id, const uint8_t nonce[CHAIN_NONCE_BYTES],
                    uint8_t out[SHA256_BYTES]) {
    static const char label[] = "theater-chain-1";
    uint8_t head[sizeof label - 1 + CHAIN_ID_MOST_BYTES];
    size_t size = strlen(id);
    assert(size <= CHAIN_ID_MOST_BYTES);
    memcpy(head, label, sizeof label - 1);
    memcpy(head + sizeof label - 1, id, size);
    sha256_pair(slice_of(head, sizeof label - 1 + size), slice_of(nonce, CHAIN_NONCE_BYTES), out);
}

bool holds_nonce(struct slice data, const uint8_t nonce[CHAIN_NONCE_BYTES]) {
    uint8_t item[1 + CHAIN_NONCE_BYTES] = {0x40 | CHAIN_NONCE_BYTES};
    memcpy(item + 1, nonce, CHAIN_NONCE_BYTES);
    return data.size != 0 && memmem(data.data, data.size, item, sizeof item) != NULL;
}

bool is_chain_id(const char *id, size_t size) {
    if (size == 0 || size > CHAIN_ID_MOST_BYTES) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        char c = id[i];
        bool is_good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-';
        if (!is_good) {
            return false;
        }
    }
    return true;
}

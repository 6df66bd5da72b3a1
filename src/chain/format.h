// SPDX-License-Identifier: Apache-2.0
// The bytes of the log: segment header, frames, footer, trailer. docs/formats/chain.md draws them;
// this file encodes and decodes them and knows nothing of files or threads.
//
//   segment:  header (64) | batch … batch | footer frame | trailer (16)      all little-endian
//   batch:    batch frame | event and actor frames up to the end that it names
//   frame:    crc32c (4) | body length (4) | actor number (4) | kind (4) | previous (8) | body
//
// A position counts the bytes of all batches since the log began; headers, footers and trailers do
// not count, so that the place where a segment ends does not change the positions in it. The
// checksum covers the frame from byte 4 and is combined with the frame's position: a frame in a
// wrong place does not pass.
#ifndef CHAIN_FORMAT_H
#define CHAIN_FORMAT_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/status.h"
#include "chain/chain.h"
#include "codec/crc32c.h"
#include "codec/sha256.h"

enum {
    SEGMENT_HEADER_BYTES = 64,
    FRAME_HEADER_BYTES = 24,
    BATCH_BODY_BYTES = 32,
    BATCH_FRAME_BYTES = FRAME_HEADER_BYTES + BATCH_BODY_BYTES,
    TRAILER_BYTES = 16,
    FOOTER_BODY_MOST_BYTES = 256,
    FORMAT_VERSION = 1,
    EVENT_PREFIX_MOST_BYTES = 1 + 1 + 9 + 9 + 2 + 64,
};
#define BATCH_MOST_BYTES ((uint64_t)512 << 20)
#define NO_POSITION UINT64_MAX

typedef enum frame_kind { FRAME_EVENT = 1, FRAME_ACTOR, FRAME_BATCH, FRAME_FOOTER } frame_kind;

struct frame {
    uint32_t crc;
    uint32_t body_bytes;
    uint32_t actor;     // number; 0 in batch and footer frames
    uint32_t kind;      // enum frame_kind once checked
    uint64_t previous;  // position of the actor's previous event frame, or of the previous batch
    uint64_t position;  // of the frame's first byte
    const uint8_t *body;
    const uint8_t *hash;  // SHA-256 of the body, from a scan with digests; else NULL
};

static inline void put_u32(uint8_t *at, uint32_t value) {
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}
static inline void put_u64(uint8_t *at, uint64_t value) {
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}
static inline uint32_t get_u32(const uint8_t *at) {
    uint32_t value = 0;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}
static inline uint64_t get_u64(const uint8_t *at) {
    uint64_t value = 0;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

// Writes the header of a frame whose body is in place behind it, checksum included.
void frame_finish(uint8_t *frame, uint64_t body_bytes, uint32_t actor, enum frame_kind kind,
                  uint64_t previous, uint64_t position);
// Reads the header at `at`, unchecked; the body is taken to follow.
struct frame frame_read(const uint8_t *at, uint64_t position);
// The checksum matches; all body_bytes are there.
bool frame_is_intact(const uint8_t *at, const struct frame *frame);

// What a batch frame says.
struct batch {
    uint64_t end;      // position behind its last frame
    uint64_t durable;  // everything before it was known to be on disk when this was written
    uint32_t events;
    uint64_t previous;  // position of the batch before, NO_POSITION in the log's first
};
void batch_write(uint8_t *at, const struct batch *batch, uint64_t position);
// False unless `at`, with BATCH_FRAME_BYTES, is an intact batch frame for that position.
bool batch_read(const uint8_t *at, uint64_t position, struct batch *batch);
// Goes over a batch: digest = SHA-256(digest before || body of the batch frame || SHA-256 of the
// body of each frame in it), beginning with 32 zero bytes. `parts` is what comes behind the digest.
// An event's hash is what its chain needs anyway, and what a frame's header says follows from the
// bodies: so the digest covers the log at the cost of a tenth of its bytes.
void batch_digest(uint8_t digest[SHA256_BYTES], struct slice parts);
extern const uint8_t batch_magic[8];  // begins the body of every batch frame

struct segment_header {
    uint32_t number;
    uint64_t base;                 // position of its first batch
    uint8_t digest[SHA256_BYTES];  // of the log before this segment
};
// Writes the header with its magic, version and checksum.
void segment_header_write(uint8_t at[SEGMENT_HEADER_BYTES], const struct segment_header *header);
// False when it is not an intact header of a version that we read.
bool segment_header_read(const uint8_t at[SEGMENT_HEADER_BYTES], struct segment_header *header);

// What a footer says, and what a writer or a scan counts to compare.
struct segment_sum {
    uint64_t events;
    uint64_t batches;
    uint64_t end;            // position behind the last batch
    uint64_t first_time_ns;  // earliest and latest event; 0 without events
    uint64_t last_time_ns;
    // Digest of the log up to `end`: see batch_digest.
    uint8_t digest[SHA256_BYTES];
};
void segment_sum_add_time(struct segment_sum *sum, uint64_t time_ns);
// Appends footer frame and trailer, for a segment whose batches end at file offset `offset`.
void footer_append(struct buf *out, const struct segment_sum *sum, uint64_t offset);
void trailer_write(uint8_t at[TRAILER_BYTES], uint64_t footer_offset);
// The offset of the footer frame, from the last TRAILER_BYTES of a file; false if they are no
// trailer.
bool trailer_read(const uint8_t at[TRAILER_BYTES], uint64_t *footer_offset);
// Reads the body of an intact footer frame.
enum status footer_read(struct slice body, struct segment_sum *sum, struct error *error) MUST_CHECK;

// Writes an event's bytes up to its data and returns their count.
size_t event_prefix(uint8_t out[EVENT_PREFIX_MOST_BYTES], uint64_t seq, uint64_t time_ns,
                    struct slice type);
// Decodes the body of an event frame, parent hash and event bytes; `hash` is left alone. Checks the
// outer array, not what is in `data`.
enum status event_decode(struct slice body, struct chain_event *event,
                         struct error *error) MUST_CHECK;
// The hash of an event: of the frame's whole body.
static inline void event_hash(struct slice body, uint8_t out[SHA256_BYTES]) {
    sha256(body, out);
}
void genesis_parent(const char *id, const uint8_t nonce[CHAIN_NONCE_BYTES],
                    uint8_t out[SHA256_BYTES]);
// `data` holds the nonce as a CBOR byte string.
bool holds_nonce(struct slice data, const uint8_t nonce[CHAIN_NONCE_BYTES]);
// 1–128 of [A-Za-z0-9._-].
bool is_chain_id(const char *id, size_t size);

#endif

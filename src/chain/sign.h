// SPDX-License-Identifier: Apache-2.0
// Signatures of heads: whoever holds a node's key says "at this time, these chains were this up to
// those events" (docs/formats/chain.md, "Signatures"). A signature covers all that came before its
// events and says nothing about what came later. One covers many chains at once: signing and
// verifying cost the same for a thousand heads as for one, but for the hashing.
//
// A log's signatures lie beside its segments in signed/heads; they are the one thing there
// that cannot be made again from the log, since old ones tell when.
#ifndef CHAIN_SIGN_H
#define CHAIN_SIGN_H

#include "base/map.h"
#include "chain/chain.h"
#include "codec/cbor.h"
#include "codec/ed25519.h"

enum {
    CHAIN_HEADS_MOST = 4096,  // in one signature
    CHAIN_SIGNATURES_THIN_BYTES = 64 << 20,
    CHAIN_SIGNATURE_FILE_MOST_BYTES = 1 << 30,  // what is read of a file of them
};

// A signature of one head.
struct chain_signature {
    uint64_t seq;                // of the event
    uint64_t time_ns;            // when it was signed, since 1970
    uint8_t head[SHA256_BYTES];  // the event's hash
    uint8_t key[ED25519_PUBLIC_BYTES];
    uint8_t signature[ED25519_SIGNATURE_BYTES];
};

// Signs: fills key and signature from the rest.
void chain_sign(const struct ed25519_key *key, const char *id, struct chain_signature *signature);
// Whether the key's owner signed this head of the chain `id`.
bool chain_signature_is_good(const char *id, const struct chain_signature *signature);

// Appends its five items, for behind the head of an array: seq, time, head, key, signature.
void chain_signature_write(struct buf *out, const struct chain_signature *signature);
// Reads what chain_signature_write wrote; the signature itself is not looked at.
enum status chain_signature_read(struct cbor_reader *reader, struct chain_signature *signature,
                                 struct error *error) MUST_CHECK;

// ---- the file of a log's signatures ------------------------------------------------------------

// Appends the item of one head to `heads`, which chain_sign_heads takes.
void chain_head_write(struct buf *heads, const char *id, uint64_t seq,
                      const uint8_t head[SHA256_BYTES]);
// Appends to `out` an item for the file: the signature of `count` heads. `position`: no chain has
// changed before it in the log since it was signed last.
void chain_sign_heads(const struct ed25519_key *key, uint64_t position, uint64_t time_ns,
                      struct slice heads, uint64_t count, struct buf *out);
// The same for a signature that somebody else made.
void chain_signature_item(const char *id, const struct chain_signature *signature, struct buf *out);
// Appends `items` to the file in the log's folder; synced unless `no_sync`. ERR_DAMAGED when the
// file is not what was written, up to an unfinished item at its end, which is removed.
enum status chain_signatures_append(const char *log_folder, struct slice items, bool no_sync,
                                    struct error *error) MUST_CHECK;

// Rewrites the file without the signatures whose chains all have a later one by the same key.
// Appending does it when the file has more than CHAIN_SIGNATURES_THIN_BYTES.
enum status chain_signatures_thin(const char *log_folder, struct error *error) MUST_CHECK;

// One item of the file.
struct chain_signed {
    uint64_t position;  // see chain_sign_heads; 0 if it says none
    uint64_t time_ns;
    struct slice key;
    struct slice signature;
    struct slice heads;  // as chain_head_write wrote them, `count`
    uint64_t count;
    uint64_t offset;  // in the file
};
typedef enum status (*chain_signed_fn)(void *context, const struct chain_signed *item,
                                       struct error *error);
// Gives the content of the file in the log's folder; NULL when there is none.
enum status chain_signatures_read(const char *log_folder, struct bytes **out,
                                  struct error *error) MUST_CHECK;
// Calls `visit` for each item in it; nothing is verified. The items borrow from the content.
// ERR_DAMAGED names the offset; an unfinished item at the end is none. *end (may be NULL): where
// the whole items end.
enum status chain_signatures_walk(struct slice content, chain_signed_fn visit, void *context,
                                  uint64_t *end, struct error *error) MUST_CHECK;
// Whether the item's signature is its key's.
bool chain_signed_is_good(const struct chain_signed *item);
// Reads one head of an item; `reader` is of its heads. The id borrows from there.
enum status chain_head_read(struct cbor_reader *reader, struct slice *id, uint64_t *seq,
                            struct slice *head, struct error *error) MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
// Packs: the contents that events name by their hash (large parameters, results and states), many
// in one file (pack_file.h draws it). A file for each, as content.h has them, costs a sync for
// each: 200 µs, where a node may make ten thousand of them in a second; these are synced together.
//
//   store/packs/00000001.pack, 00000002.pack, …    the one with the highest number is appended to
//
// Which contents there are is known in memory, 40 bytes for each: so nothing is kept twice, and
// nobody reads a file to find out. A content is given to write() when packs_put returns, and is on
// disk when the next packs_sync has returned. What a crash of the machine leaves of contents that
// were not synced is found by their hashes, when the packs are opened.
//
// Any thread that may block for a write; packs_put also on a worker. Errors name no path: they may
// reach guests.
#ifndef STORE_PACK_H
#define STORE_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/sha256.h"

struct packs;

// `folder` is a descriptor of the folder store/, borrowed until packs_close; packs/ is made in it,
// unless `read_only`.
enum status packs_open(int folder, bool read_only, bool no_sync, struct packs **out,
                       struct error *error) MUST_CHECK;
// Completes the file that is appended to, so that the next opening need not read it, and frees.
// Nobody uses it any more.
void packs_close(struct packs *packs);

// Keeps a content, unless it is there. After an error of packs_sync: that error.
enum status packs_put(struct packs *packs, struct slice content, const uint8_t hash[SHA256_BYTES],
                      struct error *error) MUST_CHECK;
// Puts on disk what packs_put kept before this was called. One that fails, fails for good: the
// kernel may have dropped what was written.
enum status packs_sync(struct packs *packs, struct error *error) MUST_CHECK;

// Whether it is there; *bytes is its size.
bool packs_find(struct packs *packs, const uint8_t hash[SHA256_BYTES], uint64_t *bytes);
// Gives it. ERR_NOT_FOUND, ERR_DAMAGED, ERR_LIMIT above `limit_bytes`.
enum status packs_get(struct packs *packs, const uint8_t hash[SHA256_BYTES], uint64_t limit_bytes,
                      struct bytes **out, struct error *error) MUST_CHECK;
// Calls `visit` for each content, in no order that means anything; it may forget what it is called
// for. An error that it gives ends the walk.
enum status packs_walk(struct packs *packs,
                       enum status (*visit)(void *context, const uint8_t hash[SHA256_BYTES],
                                            struct error *error),
                       void *context, struct error *error) MUST_CHECK;

// Collection: the content is not wanted any more. Its bytes go with packs_compact, which writes
// what is left of a file into a new one, syncs that, and removes the old. Nobody else uses the
// packs meanwhile. A file that holds a damaged content is left as it is.
void packs_forget(struct packs *packs, const uint8_t hash[SHA256_BYTES]);
enum status packs_compact(struct packs *packs, struct error *error) MUST_CHECK;

#endif

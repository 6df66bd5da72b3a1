// SPDX-License-Identifier: Apache-2.0
// Contents on disk, beneath store/ in the data folder. What stores hold, and components and
// manifests, is a file each, named by its SHA-256, in one of 256 folders; what events name by its
// hash is in packs, unless it is there as a file:
//
//   store/ab/cdef…   the content whose hash begins with abcdef
//   store/new/…      being written; what a crash left there is removed by the next opening
//   store/packs/…    many contents in one file (pack.h)
//
// A file is written under another name, synced, renamed, and its folder synced: content_put returns
// when it is on disk, and whoever reads sees all of it or nothing. Reading checks the hash, so that
// damage is an error and never wrong bytes.
//
// Any thread that may block; never on a fiber. Errors name no path: they may reach guests.
#ifndef STORE_CONTENT_H
#define STORE_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/sha256.h"

struct content_folder;

// Opens the folder `path`; makes it when there is none, unless `read_only` (then ERR_NOT_FOUND).
enum status content_open(const char *path, bool read_only, bool no_sync,
                         struct content_folder **out, struct error *error) MUST_CHECK;
void content_close(struct content_folder *folder);

// Makes sure that the content is on disk; `hash` is its SHA-256. A damaged file of that name is
// replaced. `is_known`: that the file's name is on disk is certain, should it be there.
enum status content_put(struct content_folder *folder, struct slice content,
                        const uint8_t hash[SHA256_BYTES], bool is_known,
                        struct error *error) MUST_CHECK;
// Keeps the content, in a pack unless it is there: given to write(), and on disk when the next
// content_sync has returned. Its bytes are not looked at when it is there. Also on a worker.
enum status content_note(struct content_folder *folder, struct slice content,
                         const uint8_t hash[SHA256_BYTES], struct error *error) MUST_CHECK;
enum status content_sync(struct content_folder *folder, struct error *error) MUST_CHECK;
// Gives the content. ERR_NOT_FOUND, ERR_LIMIT above `limit_bytes`, ERR_DAMAGED.
enum status content_get(struct content_folder *folder, const uint8_t hash[SHA256_BYTES],
                        uint64_t limit_bytes, struct bytes **out, struct error *error) MUST_CHECK;
// Its size on disk; false when there is none.
bool content_size(struct content_folder *folder, const uint8_t hash[SHA256_BYTES],
                  uint64_t *size_bytes);
enum status content_remove(struct content_folder *folder, const uint8_t hash[SHA256_BYTES],
                           struct error *error) MUST_CHECK;
// After removals: gives back the space that they had in packs. Nobody else uses the folder.
enum status content_compact(struct content_folder *folder, struct error *error) MUST_CHECK;
// Calls `visit` for each content, in no order that means anything; it may remove what it is called
// for. An error that it gives ends the walk.
typedef enum status (*content_visit_fn)(void *context, const uint8_t hash[SHA256_BYTES],
                                        struct error *error);
enum status content_walk(struct content_folder *folder, content_visit_fn visit, void *context,
                         struct error *error) MUST_CHECK;

#endif

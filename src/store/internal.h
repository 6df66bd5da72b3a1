// SPDX-License-Identifier: Apache-2.0
// What the files of the store room share.
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include "store/catalogue.h"
#include "store/content.h"
#include "store/store.h"

struct store {
    struct catalogue *catalogue;
    struct content_folder *contents;
    struct env *env;
};

// A session and, in it, the store of `place`. On failure there is no session.
enum status store_begin(struct store *store, const struct store_place *place, bool writes,
                        struct catalogue_session **session, uint64_t *number,
                        struct error *error) MUST_CHECK;
// Whether the store has the content; its size, unless `size` is NULL.
enum status store_find(struct catalogue_session *session, uint64_t number,
                       const uint8_t hash[SHA256_BYTES], bool *found, uint64_t *size,
                       struct error *error) MUST_CHECK;
// ERR_NOT_FOUND, for the guest.
enum status store_no_content(const uint8_t hash[SHA256_BYTES], struct error *error);

// label.c
// ERR_INVALID for a label that is empty, too long or no text.
enum status label_check(struct slice label, struct error *error) MUST_CHECK;
// ERR_LIMIT when the label cannot take a reference that it does not have yet.
enum status label_check_room(struct catalogue_session *session, uint64_t number, struct slice label,
                             enum store_change change, struct error *error) MUST_CHECK;
// Within a session that writes: gives the label the reference.
enum status label_set(struct catalogue_session *session, uint64_t number, struct slice label,
                      enum store_change change, const uint8_t hash[SHA256_BYTES],
                      struct error *error) MUST_CHECK;

#endif

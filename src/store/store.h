// SPDX-License-Identifier: Apache-2.0
// The content store (contract §3, Store): contents by their SHA-256, each kept once for the whole
// data folder, and stores, which say whose they are and what they are called.
//
//   files      the contents (content.h)
//   catalogue  stores with their owners, which contents are in which, labels (catalogue.h)
//
// A store belongs to the actor that made it; for any other actor it does not exist. Content in it
// is found by hash, and by label: a label holds several references, the newest first, and may hold
// one only once (putting it there again makes it the newest).
//
// Durability: what a function has reported as done survives a crash of process and machine. The
// file is on disk before the catalogue names it, so that no label ever names a content that is not
// there; what lies between is a file that nobody names, which the next collection removes.
//
// Any thread that may block, several at once; never on a fiber. Errors are for guests: they name no
// path of the host.
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/env.h"
#include "base/status.h"
#include "codec/sha256.h"

enum {
    STORE_ID_BYTES = UUID_TEXT_BYTES,
    STORE_LABEL_MOST_BYTES = 1024,
    STORE_MOST_PER_ACTOR = 1000,
    STORE_REFERENCES_MOST = 2000000,  // in all labels of one actor
};

struct store;

struct store_config {
    const char *data_folder;  // holds store/ and catalogue.db
    struct env *env;          // for the time when a store was made
    bool read_only;           // beside a live node
    bool no_sync;             // a crash of the machine may lose everything: benches and tests
};
// Makes what is missing, unless `read_only`; with a warning when there are contents and no
// catalogue.
enum status store_open(const struct store_config *config, struct store **out,
                       struct error *error) MUST_CHECK;
// Nobody uses it any more.
void store_close(struct store *store);

// ---- one store
// -----------------------------------------------------------------------------------

// Which store, and who asks. ERR_NOT_FOUND "store not found" when it is not that actor's.
struct store_place {
    const char *actor;  // NULL: the user, who may read every store
    struct slice id;
};

// What the stores of one actor may hold together. A content counts in each store that has it.
struct store_limits {
    uint64_t bytes;
    uint64_t contents;
};

// Makes a store; `id` is a fresh UUID. ERR_LIMIT from STORE_MOST_PER_ACTOR on.
enum status store_new(struct store *store, const char *actor, const char *id,
                      struct error *error) MUST_CHECK;

// How a label takes a reference: beside those it has, or instead of them.
enum store_change { STORE_ADD, STORE_REPLACE };

// Puts content into the store; with `label` (may be NULL) also at that label, in one step.
struct store_content {
    struct slice content;
    uint8_t hash[SHA256_BYTES];  // its SHA-256
    const struct slice *label;
    enum store_change change;
};
enum status store_put(struct store *store, const struct store_place *place,
                      const struct store_content *content, const struct store_limits *limits,
                      struct error *error) MUST_CHECK;
// Gives the content. ERR_NOT_FOUND "content does not exist: …" when it is not in this store;
// ERR_DAMAGED, ERR_LIMIT above `limit_bytes`.
enum status store_get(struct store *store, const struct store_place *place,
                      const uint8_t hash[SHA256_BYTES], uint64_t limit_bytes, struct bytes **out,
                      struct error *error) MUST_CHECK;
enum status store_has(struct store *store, const struct store_place *place,
                      const uint8_t hash[SHA256_BYTES], bool *out, struct error *error) MUST_CHECK;

// The content must be in the store.
enum status store_label(struct store *store, const struct store_place *place, struct slice label,
                        enum store_change change, const uint8_t hash[SHA256_BYTES],
                        struct error *error) MUST_CHECK;
// The newest reference of a label; *found is false when there is no such label.
enum status store_find_label(struct store *store, const struct store_place *place,
                             struct slice label, bool *found, uint8_t hash[SHA256_BYTES],
                             struct error *error) MUST_CHECK;
// Takes one reference from a label, or all (`hash` NULL). What is not there is no error: the state
// asked for holds. A label without references does not exist.
enum status store_unlabel(struct store *store, const struct store_place *place, struct slice label,
                          const uint8_t *hash, struct error *error) MUST_CHECK;

// Calls `visit` for each label, in the order of their bytes, with its newest reference; or for each
// content, in the order of the hashes, with an empty label. An error of `visit` ends it.
typedef enum status (*store_visit_fn)(void *context, struct slice label,
                                      const uint8_t hash[SHA256_BYTES], struct error *error);
enum status store_list_labels(struct store *store, const struct store_place *place,
                              store_visit_fn visit, void *context, struct error *error) MUST_CHECK;
enum status store_list_contents(struct store *store, const struct store_place *place,
                                store_visit_fn visit, void *context,
                                struct error *error) MUST_CHECK;
// The sum of the sizes of all contents in it. Takes as long for a large store as for a small one.
enum status store_total_bytes(struct store *store, const struct store_place *place, uint64_t *bytes,
                              struct error *error) MUST_CHECK;

// Reads what "store://ID/hash/SHA256" or "store://ID/LABEL" refers to (a label may hold slashes).
// `actor` as in struct store_place.
enum status store_read_reference(struct store *store, const char *actor, const char *reference,
                                 uint64_t limit_bytes, struct bytes **out,
                                 struct error *error) MUST_CHECK;

// ---- contents outside of any store
// ---------------------------------------------------------------

// Keeps a content that a chain refers to, such as a component. Cheap when it is there already: its
// bytes are then not looked at.
enum status store_keep(struct store *store, struct slice content, const uint8_t hash[SHA256_BYTES],
                       struct error *error) MUST_CHECK;
// Keeps a value that an event is about to name: given to write() when this returns, so that it
// survives the process, and on disk when a store_sync called afterwards has returned. Cheap when it
// is there already. Waits for no sync: also for workers.
enum status store_keep_value(struct store *store, struct slice content,
                             const uint8_t hash[SHA256_BYTES], struct error *error) MUST_CHECK;
// Once it has failed it fails for good, as store_keep_value does then: the kernel may have dropped
// what was written.
enum status store_sync(struct store *store, struct error *error) MUST_CHECK;
// Whether any content of that hash is there. Its bytes are not looked at.
bool store_holds(struct store *store, const uint8_t hash[SHA256_BYTES]);
// As store_get, for any content that is there.
enum status store_read(struct store *store, const uint8_t hash[SHA256_BYTES], uint64_t limit_bytes,
                       struct bytes **out, struct error *error) MUST_CHECK;
// The 64 digits of a hash, in lower case; ERR_INVALID for anything else.
enum status store_parse_hash(struct slice text, uint8_t hash[SHA256_BYTES],
                             struct error *error) MUST_CHECK;

// ---- all stores: for the user
// --------------------------------------------------------------------

struct store_info {
    char id[STORE_ID_BYTES];
    struct slice owner;
    uint64_t made_ms;     // since 1970
    uint64_t contents;    // in it
    uint64_t bytes;       // in it, each content counted once
    uint64_t references;  // in its labels
};
typedef enum status (*store_info_fn)(void *context, const struct store_info *info,
                                     struct error *error);
// In the order in which they were made.
enum status store_list(struct store *store, store_info_fn visit, void *context,
                       struct error *error) MUST_CHECK;

struct store_verdict {
    uint64_t contents;  // read
    uint64_t bytes;     // of these
    uint64_t damaged;   // of these
    uint64_t missing;   // named by a store, and not there
};
// Reads everything: every content, and whether the catalogue is sound and names only what is there.
// `complain` gets a sentence for each thing that is wrong. What is wrong is a verdict, no error.
enum status store_verify(struct store *store, void (*complain)(void *context, const char *text),
                         void *context, struct store_verdict *out, struct error *error) MUST_CHECK;

// ---- collection (collect.c)
// ----------------------------------------------------------------------

// Removes every content that no label names and that nobody said to keep: begin, keep as often as
// needed, end. Nothing else may use the store meanwhile. A crash in between leaves either all rows
// and files, or files that the next collection removes.
struct store_collection;
struct store_collected {
    uint64_t kept, kept_bytes;
    uint64_t removed, removed_bytes;
};
enum status store_collect_begin(struct store *store, struct store_collection **out,
                                struct error *error) MUST_CHECK;
enum status store_collect_keep(struct store_collection *collection,
                               const uint8_t hash[SHA256_BYTES], struct error *error) MUST_CHECK;
// Removes (`is_trial`: counts only), frees. With `status` other than OK it removes nothing and
// gives that back.
enum status store_collect_end(struct store_collection *collection, enum status status,
                              bool is_trial, struct store_collected *out,
                              struct error *error) MUST_CHECK;

#endif

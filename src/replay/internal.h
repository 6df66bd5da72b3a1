// SPDX-License-Identifier: Apache-2.0
// What the files of the replay room share.
#ifndef REPLAY_INTERNAL_H
#define REPLAY_INTERNAL_H

#include "base/map.h"
#include "replay/replay.h"

// ---- fold.c
// --------------------------------------------------------------------------------------

// What the events so far come to. Zeroed but for `content`. Items are CBOR, copied.
struct fold {
    enum status (*content)(void *context, const uint8_t hash[SHA256_BYTES], uint64_t limit_bytes,
                           struct bytes **out, struct error *error);
    void *content_context;
    struct bytes *begun;    // data of the last `spawned` or `resumed`
    struct bytes *initial;  // its state item; NULL: none
    struct bytes *state;    // the same, as of now
    bool restarts_anew;     // restart_state = "initial"
    bool is_in_turn;        // one waits
    struct {
        bool is_there;
        uint64_t at;          // of its instance-created
        struct bytes *begun;  // as above, as of then
        struct bytes *state;
    } instance;
    uint8_t hash[SHA256_BYTES];  // of the last event
};
// Takes in the next event of the chain, from event 0 on.
enum status fold_event(struct fold *fold, const struct chain_event *event,
                       struct error *error) MUST_CHECK;
void fold_release(struct fold *fold);
// The item of a key in an event's data; empty when it has none.
struct slice event_item(struct slice data, uint64_t key);
// Of `resumed`: the instance of the run before goes on, with its memory.
bool event_keeps_instance(const struct chain_event *event);

// ---- secrets.c
// -----------------------------------------------------------------------------------

// The plain values that the side files of one actor hold (docs/formats/chain.md, "Secrets").
struct plain_values {
    struct map values;     // commitment -> struct plain_value
    struct bytes **files;  // that they are in
    uint32_t file_count;
};
// Reads every side file of the actor. A file that cannot be read is left out, with a warning.
// `folder` may be NULL.
void plain_values_read(struct plain_values *values, const char *folder, const char *id);
void plain_values_release(struct plain_values *values);
// The item behind a commitment, and the key that it was made with (32 bytes). False: not known.
bool plain_values_find(const struct plain_values *values, const uint8_t commitment[SHA256_BYTES],
                       struct slice *item, const uint8_t **key);
// The first commitment in an event's data; false when there is none.
bool first_commitment(struct slice data, uint8_t commitment[SHA256_BYTES]);

#endif

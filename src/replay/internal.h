// SPDX-License-Identifier: Apache-2.0
// What the files of the replay room share.
#ifndef REPLAY_INTERNAL_H
#define REPLAY_INTERNAL_H

#include "base/map.h"
#include "replay/replay.h"

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

// SPDX-License-Identifier: Apache-2.0
// The initial state: init_state or initial_state of the manifest, and what is given at start merged
// over it. Within the room only.
#ifndef MANIFEST_STATE_H
#define MANIFEST_STATE_H

#include <jansson.h>

#include "manifest/reader.h"

// Gives the state's bytes (NULL: none) and, for substitution, its JSON (NULL: none, or bytes that
// are not JSON). `root` is the manifest's root table. Release with bytes_unref and json_decref.
enum status state_read(struct reader *reader, const struct toml_value *root, struct bytes **bytes,
                       json_t **json) MUST_CHECK;

#endif

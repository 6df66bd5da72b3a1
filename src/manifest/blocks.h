// SPDX-License-Identifier: Apache-2.0
// The parts of a manifest that are more than keys with values: handler blocks and the permission
// policy. Within the room only.
#ifndef MANIFEST_BLOCKS_H
#define MANIFEST_BLOCKS_H

#include "manifest/reader.h"

// Reads "handler" and "handlers" of the root table into the manifest, and what the blocks ask for
// into its `blocks`.
enum status blocks_read(struct reader *reader, const struct toml_value *root) MUST_CHECK;
// Reads permission_policy (NULL when absent) into the manifest's `policy`.
enum status policy_read(struct reader *reader, const struct toml_value *table) MUST_CHECK;

#endif

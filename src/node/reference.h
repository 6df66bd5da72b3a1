// SPDX-License-Identifier: Apache-2.0
// What manifests may refer to besides files: each a row for actor_config.schemes.
#ifndef NODE_REFERENCE_H
#define NODE_REFERENCE_H

#include "manifest/manifest.h"
#include "store/store.h"

// "store://": an actor's own stores, and every store for the user. Keeps `store`.
struct manifest_scheme node_store_scheme(struct store *store);

#endif

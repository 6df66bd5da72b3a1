// SPDX-License-Identifier: Apache-2.0
// What manifests may refer to besides files: each a row for actor_config.schemes.
#ifndef NODE_REFERENCE_H
#define NODE_REFERENCE_H

#include "io/http_client.h"
#include "manifest/manifest.h"
#include "store/store.h"

// "store://": an actor's own stores, and every store for the user. Keeps `store`.
struct manifest_scheme node_store_scheme(struct store *store);
// "https://" and "http://", by GET. What an actor may fetch follows from `allowed_sources` of its
// supervisor block and from the http_client policies of its bound and its own; without the list
// only https, and only from public addresses. Each hop of a redirect is held against both. The user
// may fetch anything. Keep `client`.
struct manifest_scheme node_https_scheme(struct io_http_client *client);
struct manifest_scheme node_http_scheme(struct io_http_client *client);

#endif

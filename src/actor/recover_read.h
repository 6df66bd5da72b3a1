// SPDX-License-Identifier: Apache-2.0
// Reading what an event holds, item by item (docs/formats/chain.md, "Event data of actors"). What
// is not as expected reads as absent. All slices borrow from the event.
#ifndef ACTOR_RECOVER_READ_H
#define ACTOR_RECOVER_READ_H

#include "codec/cbor.h"
#include "codec/sha256.h"

enum { EVENT_KEYS_MOST = 16 };
// The values of an integer-keyed map, each as the item that it is; empty where there is none.
struct event_fields {
    struct slice item[EVENT_KEYS_MOST];
};
bool event_read_fields(struct slice data, struct event_fields *out);
// The text, or an empty one.
struct slice event_text(struct slice item);
uint64_t event_uint(struct slice item, uint64_t otherwise);
bool event_hash_of(struct slice item, uint8_t hash[SHA256_BYTES]);
// How many items an array has, which `reader` gives next; 0 when it is none.
uint64_t event_array(struct slice item, struct cbor_reader *reader);
// The same with the first `most` items, empty where there is none.
uint64_t event_items(struct slice item, struct slice *items, uint64_t most);

#endif

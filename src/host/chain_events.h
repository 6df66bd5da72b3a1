// SPDX-License-Identifier: Apache-2.0
// Events of chains as values for guests: what runtime.get-chain and supervisor.get-child-events
// give, and what a replay makes again from the chain (docs/formats/chain.md, "Chain ranges").
#ifndef HOST_CHAIN_EVENTS_H
#define HOST_CHAIN_EVENTS_H

#include "actor/actor.h"

// meta-event {hash: u64, event: {event-type, parent: option<u64>, data}}, in `arena`. False when
// that has no room.
bool host_meta_event(struct arena *arena, const struct chain_event *event, struct value *out);
// chain-event {hash, parent-hash: option<list<u8>>, event-type, data, timestamp[, description]},
// with as many fields as the component's release has. The same.
bool host_chain_event(struct arena *arena, const struct chain_event *event, uint32_t field_count,
                      struct value *out);

#endif

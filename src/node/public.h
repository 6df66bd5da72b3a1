// SPDX-License-Identifier: Apache-2.0
// What the files of the public C API (include/theater/theater.h) share.
#ifndef NODE_PUBLIC_H
#define NODE_PUBLIC_H

#include "base/status.h"
#include "theater/theater.h"

struct node;

// The node behind the handle; lasts as long as that.
struct node *public_node(theater_node *node);
// Translates the outcome of a call, with its sentence, for the caller.
theater_status public_report(enum status status, const struct error *from,
                             struct theater_error *to);
// THEATER_NO_TIMEOUT stays what it is.
uint64_t public_nanoseconds(uint64_t milliseconds);

#endif

// SPDX-License-Identifier: Apache-2.0
// Which network addresses are the public internet's, as against those of this machine, of the
// network around it, and those reserved for other ends.
#ifndef IO_ADDRESS_H
#define IO_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

// Whether anybody on the internet may own it (the registries of special-purpose addresses, RFC
// 6890). An IPv6 address that stands for an IPv4 one is judged by that. False for other families.
bool io_address_is_public(const struct sockaddr *address);

#endif

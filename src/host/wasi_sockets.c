// SPDX-License-Identifier: Apache-2.0
// wasi:sockets/instance-network, network, tcp-create-socket, udp-create-socket and ip-name-lookup:
// no handler grants sockets, so whatever would make one is refused with access-denied. There is
// then no resource on which a method of tcp, udp or resolve-address-stream could be called.
#include "host/wasi.h"

enum { ACCESS_DENIED = 1 };  // of wasi:sockets/network error-code

static bool deny(struct component_call *call, const struct value *args, struct value *result) {
    (void)args;
    struct value *code = host_alloc(call, 1, sizeof *code);
    if (code == NULL) {
        return false;
    }
    *code = (struct value){.which = ACCESS_DENIED};
    *result = (struct value){.items = code, .which = 1};
    return true;
}

static bool instance_network(struct component_call *call, const struct value *args,
                             struct value *result) {
    (void)args;
    return wasi_add(call, (struct wasi_slot){.kind = WASI_NETWORK}, result);
}

static bool network_error_code(struct component_call *call, const struct value *args,
                               struct value *result) {
    *result = (struct value){.items = NULL, .which = 0};
    return wasi_get(call, &args[0], WASI_ERROR) != NULL;
}

#define CODES                                                                                \
    "enum{unknown, access-denied, not-supported, invalid-argument, out-of-memory, timeout, " \
    "concurrency-conflict, not-in-progress, would-block, invalid-state, new-socket-limit, "  \
    "address-not-bindable, address-in-use, remote-unreachable, connection-refused, "         \
    "connection-reset, connection-aborted, datagram-too-large, name-unresolvable, "          \
    "temporary-resolver-failure, permanent-resolver-failure}"
#define MAKE(what) "func(enum{ipv4, ipv6}) -> result<own<" what ">, " CODES ">"

static const struct host_function instance_functions[] = {
    {"instance-network",
     "wasi:sockets/instance-network.instance-network",
     instance_network,
     {"func() -> own<network>"}},
};
static const struct host_function network_functions[] = {
    {"network-error-code",
     "wasi:sockets/network.network-error-code",
     network_error_code,
     {"func(borrow<error>) -> option<" CODES ">"}},
};
static const struct host_function tcp_functions[] = {
    {"create-tcp-socket",
     "wasi:sockets/tcp-create-socket.create-tcp-socket",
     deny,
     {MAKE("tcp-socket")}},
};
static const struct host_function udp_functions[] = {
    {"create-udp-socket",
     "wasi:sockets/udp-create-socket.create-udp-socket",
     deny,
     {MAKE("udp-socket")}},
};
static const struct host_function lookup_functions[] = {
    {"resolve-addresses",
     "wasi:sockets/ip-name-lookup.resolve-addresses",
     deny,
     {"func(borrow<network>, string) -> result<own<resolve-address-stream>, " CODES ">"}},
};
const struct host_interface wasi_sockets_instance_network = {
    "wasi:sockets/instance-network", instance_functions, COUNT_OF(instance_functions)};
const struct host_interface wasi_sockets_network = {"wasi:sockets/network", network_functions,
                                                    COUNT_OF(network_functions)};
const struct host_interface wasi_sockets_tcp_create = {"wasi:sockets/tcp-create-socket",
                                                       tcp_functions, COUNT_OF(tcp_functions)};
const struct host_interface wasi_sockets_udp_create = {"wasi:sockets/udp-create-socket",
                                                       udp_functions, COUNT_OF(udp_functions)};
const struct host_interface wasi_sockets_lookup = {"wasi:sockets/ip-name-lookup", lookup_functions,
                                                   COUNT_OF(lookup_functions)};

// SPDX-License-Identifier: Apache-2.0
#include "io/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "base/compat.h"

#define IPV4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

static bool is_public_v4(uint32_t address) {
    static const struct {
        uint32_t network;
        int bits;
    } special[] = {
        {IPV4(0, 0, 0, 0), 8},        // this network
        {IPV4(10, 0, 0, 0), 8},       // private
        {IPV4(100, 64, 0, 0), 10},    // shared, carriers'
        {IPV4(127, 0, 0, 0), 8},      // loopback
        {IPV4(169, 254, 0, 0), 16},   // link-local, and clouds' metadata
        {IPV4(172, 16, 0, 0), 12},    // private
        {IPV4(192, 0, 0, 0), 24},     // protocol assignments
        {IPV4(192, 0, 2, 0), 24},     // documentation
        {IPV4(192, 88, 99, 0), 24},   // relays of 6to4
        {IPV4(192, 168, 0, 0), 16},   // private
        {IPV4(198, 18, 0, 0), 15},    // benchmarks
        {IPV4(198, 51, 100, 0), 24},  // documentation
        {IPV4(203, 0, 113, 0), 24},   // documentation
        {IPV4(224, 0, 0, 0), 3},      // multicast, reserved, broadcast
    };
    for (size_t i = 0; i < COUNT_OF(special); i++) {
        if ((address ^ special[i].network) >> (32 - special[i].bits) == 0) {
            return false;
        }
    }
    return true;
}

static uint32_t v4_at(const uint8_t *bytes) {
    return IPV4(bytes[0], bytes[1], bytes[2], bytes[3]);
}

static bool is_public_v6(const uint8_t bytes[16]) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(bytes, mapped, sizeof mapped) == 0 || memcmp(bytes, nat64, sizeof nat64) == 0) {
        return is_public_v4(v4_at(bytes + 12));
    }
    if (bytes[0] == 0x20 && bytes[1] == 0x02) {  // 6to4
        return is_public_v4(v4_at(bytes + 2));
    }
    bool is_assigned = bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] <= 0x01;  // 2001::/23
    bool is_documentation =
        (bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0x0d && bytes[3] == 0xb8) ||
        (bytes[0] == 0x3f && bytes[1] == 0xff && bytes[2] <= 0x0f);
    return (bytes[0] & 0xe0) == 0x20 && !is_assigned && !is_documentation;  // 2000::/3
}

bool io_address_is_public(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return is_public_v4(ntohl(v4.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        return is_public_v6(v6.sin6_addr.s6_addr);
    }
    return false;
}

// SPDX-License-Identifier: Apache-2.0
// Which addresses are public.
#include "io/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "test.h"

static bool is_public(const char *text) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.any.sa_family = AF_UNIX};
    if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
        address.any.sa_family = AF_INET;
    } else if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1) {
        address.any.sa_family = AF_INET6;
    }
    return io_address_is_public(&address.any);
}

TEST(public_addresses) {
    static const char *const texts[] = {
        "1.1.1.1",        "9.255.255.255",    "11.0.0.0",          "100.63.255.255",
        "100.128.0.0",    "126.255.255.255",  "128.0.0.0",         "172.15.255.255",
        "172.32.0.0",     "192.167.255.255",  "192.169.0.0",       "223.255.255.255",
        "198.17.255.255", "198.20.0.0",       "2606:4700::1111",   "2a00:1450::1",
        "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:0101:0101::1", "2001:200::1",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (!is_public(texts[i])) {
            test_report(__FILE__, __LINE__, "%s is public", texts[i]);
        }
    }
}

TEST(other_addresses) {
    static const char *const texts[] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "3fff::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2002:c0a8:101::",
        "100::1",
        "not an address",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (is_public(texts[i])) {
            test_report(__FILE__, __LINE__, "%s is not public", texts[i]);
        }
    }
}

int main(void) {
    return test_main();
}

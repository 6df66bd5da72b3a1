// SPDX-License-Identifier: Apache-2.0
// CRC-32C against the values of RFC 3720, B.4, and the two ways of computing it against each other.
#include "codec/crc32c.h"

#include "test.h"

TEST(gives_the_published_values) {
    uint8_t bytes[32];
    EXPECT_U64(crc32c(0, slice_of("123456789", 9)), 0xe3069283);
    EXPECT_U64(crc32c(0, slice_of(NULL, 0)), 0);
    memset(bytes, 0, sizeof bytes);
    EXPECT_U64(crc32c(0, slice_of(bytes, sizeof bytes)), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    EXPECT_U64(crc32c(0, slice_of(bytes, sizeof bytes)), 0x62a8ab43);
    for (uint8_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = i;
    }
    EXPECT_U64(crc32c(0, slice_of(bytes, sizeof bytes)), 0x46dd794e);
    EXPECT_U64(crc32c_by_table(0, slice_of(bytes, sizeof bytes)), 0x46dd794e);
}

TEST(table_and_instruction_agree_on_every_length_and_split) {
    uint8_t bytes[640];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * i * 37 + i / 7 + 11);
    }
    for (size_t start = 0; start < 8; start++) {
        for (size_t size = 0; size + start <= sizeof bytes; size++) {
            struct slice all = slice_of(bytes + start, size);
            uint32_t crc = crc32c(0, all);
            EXPECT_U64(crc32c_by_table(0, all), crc);
            size_t half = size / 2;
            EXPECT_U64(
                crc32c(crc32c(0, slice_of(all.data, half)), slice_of(all.data + half, size - half)),
                crc);
        }
    }
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// UTF-8 validation and transcoding, exhaustively where that is possible.
#include "component/text.h"

#include "test.h"

static bool valid(const char *text, size_t size) {
    return text_is_utf8((const uint8_t *)text, size);
}

TEST(utf8_accepts_what_unicode_allows) {
    EXPECT(valid("", 0));
    EXPECT(valid("plain ascii of more than eight bytes", 36));
    EXPECT(valid("a\0b", 3));
    EXPECT(valid("\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", 16));
    EXPECT(valid("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8));
}

TEST(utf8_refuses_malformed_sequences) {
    static const char *const BAD[] = {
        "\x80",     "\xbf",         "\xc0\x80",         "\xc1\xbf",         "\xc2",
        "\xc2\x41", "\xe0\x9f\xbf", "\xed\xa0\x80",     "\xed\xbf\xbf",     "\xe2\x82",
        "\xff",     "\xfe",         "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xf0\x9f", "\xf0\x9f\x98", "\xe2\x28\xa1",     "\xf0\x28\x8c\xbc", "\xf8\x88\x80\x80\x80"};
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        char text[64];
        // Once alone, once behind enough ASCII to pass through the word-wise scan.
        EXPECT(!valid(BAD[i], strlen(BAD[i])));
        (void)snprintf(text, sizeof text, "0123456789abcdef0%s", BAD[i]);
        EXPECT(!valid(text, strlen(text)));
    }
}

TEST(every_code_point_survives_utf16_and_latin1) {
    for (uint32_t point = 0; point < 0x110000; point++) {
        if (point >= 0xd800 && point <= 0xdfff) {
            continue;
        }
        uint8_t units[4] = {0};
        size_t count = 1;
        uint32_t first = point;
        if (point >= 0x10000) {
            first = 0xd800 + ((point - 0x10000) >> 10);
            uint32_t second = 0xdc00 + ((point - 0x10000) & 0x3ff);
            units[2] = (uint8_t)second;
            units[3] = (uint8_t)(second >> 8);
            count = 2;
        }
        units[0] = (uint8_t)first;
        units[1] = (uint8_t)(first >> 8);
        size_t size = 0;
        uint8_t utf8[4];
        uint8_t back[4];
        REQUIRE(text_utf16_size(units, count, &size) && size <= sizeof utf8);
        text_from_utf16(units, count, utf8);
        size_t at = 0;
        REQUIRE(text_is_utf8(utf8, size) && text_next_utf8(utf8, &at) == point && at == size);
        REQUIRE(text_utf16_units(utf8, size) == count);
        text_to_utf16(utf8, size, back);
        REQUIRE(memcmp(back, units, count * 2) == 0);
        size_t narrow = 0;
        REQUIRE(text_fits_latin1(utf8, size, &narrow) == (point < 0x100));
        if (point < 0x100) {
            uint8_t latin1;
            text_to_latin1(utf8, size, &latin1);
            REQUIRE(narrow == 1 && latin1 == point && text_latin1_size(&latin1, 1) == size);
            text_from_latin1(&latin1, 1, back);
            REQUIRE(memcmp(back, utf8, size) == 0);
        }
    }
}

TEST(utf16_refuses_unpaired_surrogates) {
    size_t size;
    EXPECT(!text_utf16_size((const uint8_t *)"\x00\xd8", 1, &size));
    EXPECT(!text_utf16_size((const uint8_t *)"\x00\xdc", 1, &size));
    EXPECT(!text_utf16_size((const uint8_t *)"\x00\xd8\x41\x00", 2, &size));
    EXPECT(!text_utf16_size((const uint8_t *)"\x00\xd8\x00\xd8", 2, &size));
    EXPECT(!text_utf16_size((const uint8_t *)"\x00\xdc\x00\xd8", 2, &size));
}

int main(void) {
    return test_main();
}

// SPDX-License-Identifier: Apache-2.0
// UTF-8: every scalar value there and back, and every kind of malformed sequence.
#include "codec/utf8.h"
#include "test.h"

TEST(every_scalar_value_is_valid_and_alone) {
    for (uint32_t scalar = 0; scalar <= 0x10FFFF; scalar++) {
        if (scalar >= 0xD800 && scalar <= 0xDFFF) {
            continue;
        }
        uint8_t text[5];
        size_t size = utf8_encode(scalar, text);
        if (!utf8_is_valid(slice_of(text, size)) ||
            (size > 1 && utf8_valid_prefix(slice_of(text, size - 1)) != 0)) {
            test_report(__FILE__, __LINE__, "scalar %x", scalar);
            return;
        }
    }
}

TEST(malformed_sequences_are_found_where_they_begin) {
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x80\x80",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xED\xBF\xBF",
                                      "\xF0\x80\x80\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "\xC3(",
                                      "\xE2\x82(",
                                      "\xF0\x9F\x98(",
                                      "\xE2",
                                      "\xF0\x9F"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        for (size_t before = 0; before < 20; before++) {
            char text[32];
            memset(text, 'a', before);
            memcpy(text + before, bad[i], strlen(bad[i]) + 1);
            if (utf8_valid_prefix(slice_text(text)) != before) {
                test_report(__FILE__, __LINE__, "case %zu after %zu bytes", i, before);
            }
        }
    }
    EXPECT(utf8_is_valid(slice_of(NULL, 0)));
}

// What comes byte by byte is refused at the byte after which nothing could make it valid.
TEST(a_stream_agrees_with_the_whole) {
    static const uint8_t interesting[] = {'a',  0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0,
                                          0xBF, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED,
                                          0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF};
    enum { CHOICES = COUNT_OF(interesting), LENGTH = 4 };
    for (size_t n = 0; n < (size_t)CHOICES * CHOICES * CHOICES * CHOICES; n++) {
        uint8_t text[LENGTH];
        struct utf8_stream stream = {0}, whole = {0};
        size_t taken = 0, rest = n;
        for (size_t i = 0; i < LENGTH; i++, rest /= CHOICES) {
            text[i] = interesting[rest % CHOICES];
        }
        while (taken < LENGTH && utf8_stream_add(&stream, slice_of(text + taken, 1))) {
            taken++;
        }
        bool is_valid = taken == LENGTH && utf8_stream_is_complete(&stream);
        bool is_begun = utf8_stream_add(&whole, slice_of(text, LENGTH));
        // Whatever was taken can be completed: by one of these ends.
        bool can_end = false;
        static const char *const ends[] = {"",         "\x80",         "\x90",
                                           "\xA0",     "\x80\x80",     "\x90\x80",
                                           "\xA0\x80", "\x80\x80\x80", "\x90\x80\x80"};
        for (size_t i = 0; i < COUNT_OF(ends) && !can_end; i++) {
            uint8_t ended[LENGTH + 3];
            memcpy(ended, text, taken);
            memcpy(ended + taken, ends[i], strlen(ends[i]));
            can_end = utf8_is_valid(slice_of(ended, taken + strlen(ends[i])));
        }
        if (is_valid != utf8_is_valid(slice_of(text, LENGTH)) || is_begun != (taken == LENGTH) ||
            !can_end) {
            test_report(__FILE__, __LINE__, "%x %x %x %x", text[0], text[1], text[2], text[3]);
            return;
        }
    }
}

int main(void) {
    return test_main();
}

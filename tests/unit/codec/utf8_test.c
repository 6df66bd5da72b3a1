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

int main(void) {
    return test_main();
}

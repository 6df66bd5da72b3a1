// SPDX-License-Identifier: Apache-2.0
// CBOR against the examples of RFC 8949 appendix A, the deterministic rules, and damaged input.
#include "codec/cbor.h"

#include <math.h>

#include "test.h"

static const char *hex_of(struct buf *buf) {
    static char text[4096];
    for (size_t i = 0; i < buf->size && i < 2000; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", buf->data[i]);
    }
    text[buf->size < 2000 ? 2 * buf->size : 0] = '\0';
    return text;
}

static struct slice from_hex(const char *hex) {
    static uint8_t bytes[4096];
    size_t size = strlen(hex) / 2;
    for (size_t i = 0; i < size; i++) {
        unsigned value = 0;
        (void)sscanf(hex + 2 * i, "%2x", &value);
        bytes[i] = (uint8_t)value;
    }
    return slice_of(bytes, size);
}

TEST(integers_have_the_shortest_heads) {
    static const struct {
        uint64_t value;
        const char *hex;
    } cases[] = {{0, "00"},
                 {1, "01"},
                 {10, "0a"},
                 {23, "17"},
                 {24, "1818"},
                 {25, "1819"},
                 {100, "1864"},
                 {255, "18ff"},
                 {256, "190100"},
                 {1000, "1903e8"},
                 {65535, "19ffff"},
                 {65536, "1a00010000"},
                 {1000000, "1a000f4240"},
                 {4294967295, "1affffffff"},
                 {4294967296, "1b0000000100000000"},
                 {1000000000000, "1b000000e8d4a51000"},
                 {UINT64_MAX, "1bffffffffffffffff"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf buf = {0};
        cbor_uint(&buf, cases[i].value);
        EXPECT_TEXT(hex_of(&buf), cases[i].hex);
        struct cbor_reader reader = cbor_reader_of(buf_slice(&buf));
        reader.is_strict = true;
        uint64_t value = 0;
        struct error error = {0};
        EXPECT_OK(cbor_read_uint(&reader, &value, &error), error);
        EXPECT_U64(value, cases[i].value);
        EXPECT(cbor_at_end(&reader));
        buf_release(&buf);
    }
}

TEST(negative_integers) {
    static const struct {
        int64_t value;
        const char *hex;
    } cases[] = {{-1, "20"},        {-10, "29"},      {-100, "3863"},
                 {-1000, "3903e7"}, {1000, "1903e8"}, {INT64_MIN, "3b7fffffffffffffff"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf buf = {0};
        cbor_int(&buf, cases[i].value);
        EXPECT_TEXT(hex_of(&buf), cases[i].hex);
        struct cbor_reader reader = cbor_reader_of(buf_slice(&buf));
        int64_t value = 0;
        struct error error = {0};
        EXPECT_OK(cbor_read_int(&reader, &value, &error), error);
        EXPECT(value == cases[i].value);
        buf_release(&buf);
    }
    struct cbor_reader reader = cbor_reader_of(from_hex("3b8000000000000000"));
    int64_t value = 0;
    EXPECT(cbor_read_int(&reader, &value, NULL) == ERR_LIMIT);
}

TEST(floats_take_the_shortest_exact_form) {
    static const struct {
        double value;
        const char *hex;
    } cases[] = {{0.0, "f90000"},
                 {-0.0, "f98000"},
                 {1.0, "f93c00"},
                 {1.1, "fb3ff199999999999a"},
                 {1.5, "f93e00"},
                 {65504.0, "f97bff"},
                 {65505.0, "fa477fe100"},
                 {100000.0, "fa47c35000"},
                 {3.4028234663852886e+38, "fa7f7fffff"},
                 {1.0e+300, "fb7e37e43c8800759c"},
                 {5.960464477539063e-8, "f90001"},
                 {0.00006103515625, "f90400"},
                 {2.98023223876953125e-8, "fa33000000"},
                 {1.401298464324817e-45, "fa00000001"},
                 {-4.0, "f9c400"},
                 {-4.1, "fbc010666666666666"},
                 {INFINITY, "f97c00"},
                 {-INFINITY, "f9fc00"},
                 {NAN, "f97e00"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf buf = {0};
        cbor_float64(&buf, cases[i].value);
        EXPECT_TEXT(hex_of(&buf), cases[i].hex);
        struct cbor_reader reader = cbor_reader_of(buf_slice(&buf));
        reader.is_strict = true;
        double value = 1234;
        struct error error = {0};
        EXPECT_OK(cbor_read_float64(&reader, &value, &error), error);
        EXPECT(isnan(cases[i].value) ? isnan(value) : value == cases[i].value);
        EXPECT(signbit(value) == signbit(cases[i].value) || isnan(value));
        buf_release(&buf);
    }
    for (uint32_t half = 0; half < 0x10000; half++) {  // every half survives
        uint8_t bytes[3] = {0xf9, (uint8_t)(half >> 8), (uint8_t)half};
        struct cbor_reader reader = cbor_reader_of(slice_of(bytes, 3));
        double value = 0;
        REQUIRE(cbor_read_float64(&reader, &value, NULL) == OK);
        struct buf buf = {0};
        cbor_float64(&buf, value);
        bool is_same = buf.size == 3 && memcmp(buf.data, bytes, 3) == 0;
        REQUIRE(is_same || isnan(value));
        buf_release(&buf);
    }
}

TEST(nested_items_read_back) {
    struct buf buf = {0};
    cbor_map(&buf, 3);
    cbor_uint(&buf, 1);
    cbor_array(&buf, 4);
    cbor_bool(&buf, true);
    cbor_bool(&buf, false);
    cbor_null(&buf);
    cbor_bytes(&buf, slice_of("\x00\xff", 2));
    cbor_uint(&buf, 2);
    cbor_text_z(&buf, "h\xc3\xa9");
    cbor_text_z(&buf, "k");
    cbor_tag(&buf, 7);
    cbor_int(&buf, -3);
    struct error error = {0};
    REQUIRE_OK(cbor_check(buf_slice(&buf), true, &error), error);
    struct cbor_reader reader = cbor_reader_of(buf_slice(&buf));
    uint64_t count = 0, key = 0;
    bool yes = false, no = true;
    struct slice content;
    REQUIRE_OK(cbor_read_map(&reader, &count, &error), error);
    EXPECT_U64(count, 3);
    REQUIRE_OK(cbor_read_uint(&reader, &key, &error), error);
    REQUIRE_OK(cbor_read_array(&reader, &count, &error), error);
    EXPECT_U64(count, 4);
    EXPECT(cbor_peek(&reader) == CBOR_BOOL);
    REQUIRE_OK(cbor_read_bool(&reader, &yes, &error), error);
    REQUIRE_OK(cbor_read_bool(&reader, &no, &error), error);
    EXPECT(yes && !no && cbor_take_null(&reader) && !cbor_take_null(&reader));
    REQUIRE_OK(cbor_read_bytes(&reader, &content, &error), error);
    EXPECT(slice_equal(content, slice_of("\x00\xff", 2)));
    REQUIRE_OK(cbor_skip(&reader, &error), error);
    REQUIRE_OK(cbor_read_item(&reader, &content, &error), error);
    EXPECT_U64(content.size, 4);
    EXPECT(cbor_read_uint(&reader, &key, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message, "an unsigned integer is expected");
    REQUIRE_OK(cbor_skip(&reader, &error), error);
    REQUIRE_OK(cbor_skip(&reader, &error), error);
    EXPECT_OK(cbor_read_end(&reader, &error), error);
    EXPECT(cbor_peek(&reader) == CBOR_END);
    struct buf json = {0};
    EXPECT(cbor_to_json(buf_slice(&buf), &json));
    EXPECT_TEXT(buf_text(&json),
                "{\"1\":[true,false,null,{\"hex\":\"00ff\"}],\"2\":\"h\xc3\xa9\","
                "\"k\":{\"tag\":7,\"value\":-3}}");
    buf_release(&json);
    buf_release(&buf);
}

TEST(strict_check_refuses_what_is_not_deterministic) {
    static const struct {
        const char *hex;
        const char *problem;  // NULL: good in both modes
        bool lax_is_good;
    } cases[] = {
        {"1817", "not the shortest form", true},
        {"190018", "not the shortest form", true},
        {"1b00000000ffffffff", "not the shortest form", true},
        {"5803010203", "not the shortest form", true},
        {"fa3f800000", "not the shortest form", true},
        {"fb3ff8000000000000", "not the shortest form", true},
        {"f97e01", "not the shortest form", true},
        {"a201000100", "not above", true},
        {"a202000100", "not above", true},
        {"a2616200616100", "not above", true},
        {"a2a1020000a1010000", "not above", true},
        {"a1a202000100f6", "not above", true},
        {"61ff", "not UTF-8", true},
        {"62c080", "not UTF-8", true},
        {"63eda080", "not UTF-8", true},
        {"9f00ff", "indefinite", false},
        {"5f4100ff", "indefinite", false},
        {"ff", "indefinite", false},
        {"1c", "reserved head", false},
        {"f818", "reserved simple", false},
        {"", "ends where an item", false},
        {"19ff", "inside a head", false},
        {"8201", "larger than the input", false},
        {"8281", "larger than the input", false},
        {"818101a0", "more input", false},
        {"82820102", "ends where an item", false},
        {"430102", "larger than the input", false},
        {"9bffffffffffffffff", "larger than the input", false},
        {"bb7fffffffffffffff00", "larger than the input", false},
        {"0000", "more input", false},
        {"a20100020080", "more input", false},
        {"a2010002a0", NULL, true},
        {"a20a00186400", NULL, true},
        {"a21864002000", NULL, true},
        {"80", NULL, true},
        {"c11a514b67b0", NULL, true},
        {"f7", NULL, true},
        {"f8ff", NULL, true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error error = {0};
        enum status strict = cbor_check(from_hex(cases[i].hex), true, &error);
        EXPECT((strict == OK) == (cases[i].problem == NULL));
        if (cases[i].problem != NULL) {
            EXPECT_CONTAINS(error.message, cases[i].problem);
        }
        bool lax_is_good = cbor_check(from_hex(cases[i].hex), false, NULL) == OK;
        if (lax_is_good != cases[i].lax_is_good) {
            test_report(__FILE__, __LINE__, "%s: lax check gives %d", cases[i].hex, lax_is_good);
        }
    }
}

TEST(nesting_is_bounded) {
    uint8_t deep[CBOR_DEPTH_MOST + 2];
    memset(deep, 0x81, sizeof deep);
    deep[CBOR_DEPTH_MOST] = 0x00;
    struct error error = {0};
    EXPECT_OK(cbor_check(slice_of(deep, CBOR_DEPTH_MOST + 1), true, &error), error);
    struct buf json = {0};
    EXPECT(cbor_to_json(slice_of(deep, CBOR_DEPTH_MOST + 1), &json));
    EXPECT_U64(json.size, 2 * CBOR_DEPTH_MOST + 1);
    buf_release(&json);
    deep[CBOR_DEPTH_MOST] = 0x81;
    deep[CBOR_DEPTH_MOST + 1] = 0x00;
    EXPECT(cbor_check(slice_of(deep, sizeof deep), true, &error) == ERR_LIMIT);
}

TEST(json_shows_every_kind) {
    static const struct {
        const char *hex;
        const char *json;
    } cases[] = {
        {"00", "0"},
        {"1bffffffffffffffff", "18446744073709551615"},
        {"3bffffffffffffffff", "-18446744073709551616"},
        {"3863", "-100"},
        {"f93e00", "1.5"},
        {"fb3ff199999999999a", "1.1"},
        {"f97e00", "{\"float\":\"NaN\"}"},
        {"f9fc00", "{\"float\":\"-Infinity\"}"},
        {"f7", "{\"simple\":23}"},
        {"40", "{\"text\":\"\"}"},
        {"4568656c6c6f", "{\"text\":\"hello\"}"},
        {"4300ff01", "{\"hex\":\"00ff01\"}"},
        {"4168", "{\"text\":\"h\"}"},
        {"6522220a1b5c", "\"\\\"\\\"\\n\\u001b\\\\\""},
        {"61ff", "\"\xef\xbf\xbd\""},
        {"80", "[]"},
        {"a0", "{}"},
        {"8280a0", "[[],{}]"},
        {"a120a1410080", "{\"-1\":{\"cbor:4100\":[]}}"},
        {"a1820102f5", "{\"cbor:820102\":true}"},
        {"1c", "{\"malformed\":\"1c\"}"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf json = {0};
        (void)cbor_to_json(from_hex(cases[i].hex), &json);
        EXPECT_TEXT(buf_text(&json), cases[i].json);
        buf_release(&json);
    }
}

TEST(damaged_input_is_refused_or_read_within_bounds) {
    struct buf buf = {0};
    cbor_array(&buf, 5);
    cbor_uint(&buf, 1);
    cbor_uint(&buf, 77777);
    cbor_map(&buf, 2);
    cbor_uint(&buf, 0);
    cbor_text_z(&buf, "handle-send");
    cbor_uint(&buf, 1);
    cbor_bytes(&buf, slice_of("0123456789", 10));
    cbor_float64(&buf, 2.5);
    cbor_null(&buf);
    for (size_t size = 0; size < buf.size; size++) {
        EXPECT(cbor_check(slice_of(buf.data, size), false, NULL) == ERR_INVALID);
    }
    for (size_t i = 0; i < buf.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t *copy = xmalloc(buf.size);  // exact size, so that ASan sees a read beyond
            memcpy(copy, buf.data, buf.size);
            copy[i] ^= (uint8_t)(1U << bit);
            struct buf json = {0};
            bool is_good = cbor_to_json(slice_of(copy, buf.size), &json);
            EXPECT(is_good == (cbor_check(slice_of(copy, buf.size), false, NULL) == OK));
            buf_release(&json);
            free(copy);
        }
    }
    buf_release(&buf);
}

int main(void) {
    return test_main();
}

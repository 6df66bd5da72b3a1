// SPDX-License-Identifier: Apache-2.0
// What an event refers to, and so what a collection keeps.
#include "actor/actor.h"
#include "codec/cbor.h"
#include "test.h"

#define DIGITS "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static enum status add(void *context, const uint8_t hash[SHA256_BYTES], struct error *error) {
    (void)error;
    buf_format(context, "%02x%02x ", hash[0], hash[31]);
    return OK;
}

static enum status refuse(void *context, const uint8_t hash[SHA256_BYTES], struct error *error) {
    (void)context;
    (void)hash;
    return error_set(error, ERR_IO, "no");
}

TEST(finds_hashes_wherever_they_stand) {
    uint8_t hash[SHA256_BYTES + 1];
    memset(hash, 7, sizeof hash);
    struct buf data = {0}, found = {0};
    cbor_map(&data, 3);
    cbor_uint(&data, 4);
    cbor_bytes(&data, slice_of(hash, SHA256_BYTES));
    cbor_uint(&data, 5);
    cbor_array(&data, 6);
    cbor_text_z(&data, DIGITS);
    cbor_bytes(&data, slice_text(DIGITS));
    cbor_tag(&data, 29285);
    cbor_array(&data, 2);
    hash[0] = 8;
    cbor_bytes(&data, slice_of(hash, SHA256_BYTES));
    cbor_uint(&data, 5000);
    // And what is none.
    cbor_bytes(&data, slice_of(hash, SHA256_BYTES + 1));
    cbor_text_z(&data, "001122334455667788990123456789ABCDEF00112233445566778899aabbccdd");
    cbor_float64(&data, 1.5);
    cbor_uint(&data, 6);
    cbor_null(&data);
    EXPECT(cbor_check(buf_slice(&data), true, NULL) == OK);
    EXPECT(actor_event_references(buf_slice(&data), add, &found, NULL) == OK);
    EXPECT_TEXT(buf_text(&found), "0707 00ff 00ff 0807 ");
    struct error error = {0};
    EXPECT(actor_event_references(buf_slice(&data), refuse, NULL, &error) == ERR_IO);
    buf_release(&found);
    buf_release(&data);
}

TEST(what_an_event_needs_is_what_stands_outside_its_host_calls) {
    uint8_t hash[SHA256_BYTES];
    struct buf data = {0}, found = {0};
    memset(hash, 1, sizeof hash);
    cbor_map(&data, 4);
    for (uint64_t key = 3; key < 7; key++) {
        // A reference, a string that only looks like a hash, and another tag.
        hash[0] = (uint8_t)key;
        cbor_uint(&data, key);
        cbor_array(&data, 3);
        cbor_tag(&data, ACTOR_REFERENCE_TAG);
        cbor_array(&data, 2);
        cbor_bytes(&data, slice_of(hash, sizeof hash));
        cbor_uint(&data, 5000);
        cbor_bytes(&data, slice_of(hash, sizeof hash));
        cbor_tag(&data, ACTOR_REFERENCE_TAG);
        cbor_bytes(&data, slice_of(hash, sizeof hash));
    }
    EXPECT(actor_event_needs(buf_slice(&data), add, &found, NULL) == OK);
    EXPECT_TEXT(buf_text(&found), "0301 0401 0601 ");
    EXPECT(actor_event_needs(buf_slice(&data), refuse, NULL, NULL) == ERR_IO);
    EXPECT(actor_event_needs(slice_of("x", 1), refuse, NULL, NULL) == ERR_INVALID);
    EXPECT(actor_event_needs(slice_of(data.data, data.size - 1), add, &found, NULL) != OK);
    buf_release(&found);
    buf_release(&data);
}

TEST(malformed_data_is_an_error) {
    static const char cut_string[] = {0x58, 0x20, 'a'}, endless[] = {(char)0x9f, 0x01};
    struct buf found = {0};
    EXPECT(actor_event_references(slice_of(cut_string, sizeof cut_string), add, &found, NULL) !=
           OK);
    EXPECT(actor_event_references(slice_of(endless, sizeof endless), add, &found, NULL) != OK);
    EXPECT_U64(found.size, 0);
    EXPECT(actor_event_references(slice_of(NULL, 0), add, &found, NULL) == OK);
}

int main(void) {
    return test_main();
}

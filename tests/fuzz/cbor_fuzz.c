// SPDX-License-Identifier: Apache-2.0
// CBOR from anywhere: checking, skipping and showing any bytes stays within them, strict input is
// also lax input, and what the reader gives, the writer writes back the same.
#include <assert.h>
#include <stdlib.h>

#include "codec/cbor.h"
#include "codec/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Copies one item head by head; only for items that are deterministic.
static void copy_heads(struct cbor_reader *reader, struct buf *out) {
    enum status status = OK;
    while (status == OK && !cbor_at_end(reader)) {
        uint64_t count = 0;
        struct slice text;
        double number = 0;
        bool yes = false;
        const uint8_t *at = reader->next;
        switch (cbor_peek(reader)) {
            case CBOR_UINT:
                status = cbor_read_uint(reader, &count, NULL);
                cbor_uint(out, count);
                break;
            case CBOR_BYTES:
                status = cbor_read_bytes(reader, &text, NULL);
                cbor_bytes(out, text);
                break;
            case CBOR_TEXT:
                status = cbor_read_text(reader, &text, NULL);
                cbor_text(out, text);
                break;
            case CBOR_ARRAY:
                status = cbor_read_array(reader, &count, NULL);
                cbor_array(out, count);
                break;
            case CBOR_MAP:
                status = cbor_read_map(reader, &count, NULL);
                cbor_map(out, count);
                break;
            case CBOR_TAG:
                status = cbor_read_tag(reader, &count, NULL);
                cbor_tag(out, count);
                break;
            case CBOR_BOOL:
                status = cbor_read_bool(reader, &yes, NULL);
                cbor_bool(out, yes);
                break;
            case CBOR_NULL:
                status = cbor_read_null(reader, NULL);
                cbor_null(out);
                break;
            case CBOR_FLOAT:
                status = cbor_read_float64(reader, &number, NULL);
                cbor_float64(out, number);
                break;
            case CBOR_NEGATIVE:
            case CBOR_SIMPLE:
            case CBOR_END:
                status = cbor_skip(reader, NULL);
                cbor_raw(out, slice_of(at, (size_t)(reader->next - at)));
                break;
        }
    }
    assert(status == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = slice_of(data, size);
    struct error error = {0};
    bool is_strict = cbor_check(input, true, &error) == OK;
    bool is_lax = cbor_check(input, false, &error) == OK;
    assert(!is_strict || is_lax);
    struct buf out = {0};
    assert(cbor_to_json(input, &out) == is_lax);
    assert(utf8_is_valid(buf_slice(&out)));
    buf_clear(&out);
    if (is_strict) {
        struct cbor_reader reader = cbor_reader_of(input);
        copy_heads(&reader, &out);
        assert(slice_equal(buf_slice(&out), input));
    }
    buf_release(&out);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Telling people how two versions of one event differ: the first place, with what stands there on
// both sides, decoded.
#include "codec/cbor.h"
#include "replay/internal.h"

enum { SHOWN_MOST_BYTES = 2000 };

static const char *key_name(uint64_t key) {
    static const char *const names[] = {
        [1] = "number of the leg", [2] = "source",  [3] = "parameters",
        [5] = "host calls",        [6] = "outcome", [7] = "new state"};
    return key < COUNT_OF(names) && names[key] != NULL ? names[key] : "something else";
}

static void show(struct buf *out, const char *side, struct slice item) {
    buf_format(out, "  %-9s ", side);
    if (item.size == 0) {
        buf_append_text(out, "(nothing)\n");
        return;
    }
    struct buf json = {0};
    cbor_to_json(item, &json);
    size_t size = json.size;
    if (size > SHOWN_MOST_BYTES) {
        size = SHOWN_MOST_BYTES;
        while (size > 0 && (json.data[size] & 0xc0U) == 0x80U) {
            size--;
        }
    }
    buf_append(out, json.data, size);
    buf_append_text(out, size < json.size ? "…\n" : "\n");
    buf_release(&json);
}

static void show_both(struct buf *out, struct slice recorded, struct slice made) {
    show(out, "recorded:", recorded);
    show(out, "now:", made);
}

static struct slice next_item(struct cbor_reader *reader, uint64_t *left) {
    struct slice item = slice_of(NULL, 0);
    if (*left == 0) {
        return item;
    }
    --*left;
    return cbor_read_item(reader, &item, NULL) == OK ? item : slice_of(NULL, 0);
}

// The first host call that differs.
static void describe_calls(struct buf *out, struct slice recorded, struct slice made) {
    struct cbor_reader a = cbor_reader_of(recorded);
    struct cbor_reader b = cbor_reader_of(made);
    uint64_t a_left = 0;
    uint64_t b_left = 0;
    // An event without the key has no call.
    if (recorded.size > 0 && cbor_read_array(&a, &a_left, NULL) != OK) {
        a_left = 0;
    }
    if (made.size > 0 && cbor_read_array(&b, &b_left, NULL) != OK) {
        b_left = 0;
    }
    for (uint64_t number = 1; a_left > 0 || b_left > 0; number++) {
        struct slice a_call = next_item(&a, &a_left);
        struct slice b_call = next_item(&b, &b_left);
        if (!slice_equal(a_call, b_call)) {
            buf_format(out, "host call %llu differs\n", (unsigned long long)number);
            show_both(out, a_call, b_call);
            return;
        }
    }
}

static void describe_data(struct buf *out, struct slice recorded, struct slice made) {
    for (uint64_t key = 1; key < 32; key++) {
        struct slice a = event_item(recorded, key);
        struct slice b = event_item(made, key);
        if (slice_equal(a, b)) {
            continue;
        }
        if (key == 5) {
            describe_calls(out, a, b);
        } else {
            buf_format(out, "%s: differs\n", key_name(key));
            show_both(out, a, b);
        }
        return;
    }
    show_both(out, recorded, made);
}

void replay_describe(const struct replay_step *step, struct buf *out) {
    const struct chain_event *recorded = step->recorded;
    buf_format(out, "event %llu, %.*s: ", (unsigned long long)recorded->seq,
               (int)recorded->type.size, (const char *)recorded->type.data);
    if (step->note != NULL) {
        buf_format(out, "%s\n", step->note);
    }
    if (step->data.size == 0) {
        return;
    }
    if (step->note != NULL) {
        buf_append_text(out, "  ");
    }
    describe_data(out, recorded->data, step->data);
}

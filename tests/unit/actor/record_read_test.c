// SPDX-License-Identifier: Apache-2.0
// What the recorder wrote is read back as the same values: random types and values go through a
// real host call of the probe into its chain. And damaged records are refused, never misread into
// memory.
#include "actor/record_read.h"

#include <math.h>
#include <stdlib.h>

#include "support.h"

enum { VALUES = 400, DEPTH = 4, ITEMS_MOST = 5 };

static struct arena arena;
static struct env dice;
static const struct component_type *types[VALUES];
static struct value values[VALUES];

static uint64_t roll(uint64_t sides) {
    uint64_t number = 0;
    env_random(&dice, &number, sizeof number);
    return number % sides;
}

// ---- random types
// --------------------------------------------------------------------------------

static uint32_t size_of_kind(enum component_kind kind) {
    static const uint8_t sizes[] = {
        [COMPONENT_BOOL] = 1, [COMPONENT_S8] = 1,  [COMPONENT_U8] = 1,  [COMPONENT_S16] = 2,
        [COMPONENT_U16] = 2,  [COMPONENT_S32] = 4, [COMPONENT_U32] = 4, [COMPONENT_S64] = 8,
        [COMPONENT_U64] = 8,  [COMPONENT_F32] = 4, [COMPONENT_F64] = 8, [COMPONENT_CHAR] = 4};
    return (size_t)kind < sizeof sizes ? sizes[kind] : 4;
}

static const struct component_type *random_type(int depth);

static const struct component_type **random_items(uint32_t count, int depth, bool may_lack) {
    const struct component_type **items = ARENA_ARRAY(&arena, const struct component_type *, count);
    for (uint32_t i = 0; i < count; i++) {
        items[i] = may_lack && roll(3) == 0 ? NULL : random_type(depth - 1);
    }
    return items;
}

static const struct component_type *random_type(int depth) {
    struct component_type *type = ARENA_NEW(&arena, struct component_type);
    type->kind = (enum component_kind)roll(depth > 0 ? COMPONENT_BORROW + 1 : COMPONENT_STRING + 1);
    type->size = size_of_kind(type->kind);
    type->is_plain = type->kind >= COMPONENT_S8 && type->kind <= COMPONENT_F64;
    struct slice *names = ARENA_ARRAY(&arena, struct slice, 20);
    for (int i = 0; i < 20; i++) {
        names[i] = slice_text("name");
    }
    type->names = names;
    switch ((int)type->kind) {
        case COMPONENT_LIST:
        case COMPONENT_OPTION:
            type->item_count = 1;
            type->items = random_items(1, depth, false);
            break;
        case COMPONENT_RESULT:
            type->item_count = 2;
            type->items = random_items(2, depth, true);
            break;
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            type->item_count = (uint32_t)roll(ITEMS_MOST);
            type->items = random_items(type->item_count, depth, false);
            break;
        case COMPONENT_VARIANT:
            type->item_count = (uint32_t)roll(ITEMS_MOST) + 1;
            type->items = random_items(type->item_count, depth, true);
            break;
        case COMPONENT_ENUM:
        case COMPONENT_FLAGS:
            type->item_count = (uint32_t)roll(20) + 1;
            break;
        default:
            break;
    }
    return type;
}

// ---- random values
// -------------------------------------------------------------------------------

static uint64_t random_bits(enum component_kind kind) {
    uint64_t bits = roll(UINT64_MAX) >> roll(64);
    float single = (float)bits / 3;
    double number = (double)bits / -7;
    uint32_t half = 0;
    switch ((int)kind) {
        case COMPONENT_BOOL:
            return bits & 1;
        case COMPONENT_S8:
            return (uint64_t)(int64_t)(int8_t)bits;
        case COMPONENT_U8:
            return (uint8_t)bits;
        case COMPONENT_S16:
            return (uint64_t)(int64_t)(int16_t)bits;
        case COMPONENT_U16:
            return (uint16_t)bits;
        case COMPONENT_S32:
            return (uint64_t)(int64_t)(int32_t)bits;
        case COMPONENT_CHAR:
            return bits % 0xd800;
        case COMPONENT_F32:
            single = roll(8) == 0 ? INFINITY : single;
            memcpy(&half, &single, sizeof half);
            return roll(8) == 0 ? 0x7fc00000 : half;
        case COMPONENT_F64:
            memcpy(&bits, &number, sizeof bits);
            return roll(8) == 0 ? UINT64_C(0x7ff8000000000000) : bits;
        case COMPONENT_S64:
        case COMPONENT_U64:
            return bits;
        default:
            return (uint32_t)bits;
    }
}

static struct value random_value(const struct component_type *type);

static struct value random_list(const struct component_type *item) {
    struct value value = {.count = (uint32_t)roll(2 * ITEMS_MOST)};
    if (item->is_plain) {
        uint8_t *packed = arena_alloc(&arena, (uint64_t)value.count * item->size + 1, 8);
        for (uint32_t i = 0; i < value.count; i++) {
            uint64_t bits = random_bits(item->kind);
            memcpy(packed + (size_t)i * item->size, &bits, item->size);
        }
        value.bytes = packed;
        return value;
    }
    struct value *items = ARENA_ARRAY(&arena, struct value, value.count);
    for (uint32_t i = 0; i < value.count; i++) {
        items[i] = random_value(item);
    }
    value.items = items;
    return value;
}

static struct value random_value(const struct component_type *type) {
    static const char *const texts[] = {"", "a", "zwölf", "\xf0\x9f\x8c\xb3 tree"};
    struct value value = {0};
    struct value *items = ARENA_ARRAY(&arena, struct value, ITEMS_MOST);
    const char *text = texts[roll(COUNT_OF(texts))];
    switch ((int)type->kind) {
        case COMPONENT_STRING:
            value.bytes = (const uint8_t *)text;
            value.count = (uint32_t)strlen(text);
            return value;
        case COMPONENT_LIST:
            return random_list(type->items[0]);
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            for (uint32_t i = 0; i < type->item_count; i++) {
                items[i] = random_value(type->items[i]);
            }
            value.items = items;
            value.count = type->item_count;
            return value;
        case COMPONENT_ENUM:
            value.which = (uint32_t)roll(type->item_count);
            return value;
        case COMPONENT_OPTION:
            value.which = (uint32_t)roll(2);
            break;
        case COMPONENT_VARIANT:
        case COMPONENT_RESULT:
            value.which = (uint32_t)roll(type->item_count);
            break;
        case COMPONENT_FLAGS:
            value.bits = roll(UINT64_C(1) << type->item_count);
            return value;
        default:
            value.bits = random_bits(type->kind);
            return value;
    }
    // An option's payload is its case 1, and the only type it has.
    bool is_option = type->kind == COMPONENT_OPTION;
    const struct component_type *payload =
        is_option ? (value.which == 1 ? type->items[0] : NULL) : type->items[value.which];
    if (payload != NULL) {
        items[0] = random_value(payload);
        value.items = items;
    }
    return value;
}

static bool is_equal(const struct component_type *type, const struct value *a,
                     const struct value *b) {
    const struct component_type *payload = NULL;
    size_t size = 1;
    switch ((int)type->kind) {
        case COMPONENT_LIST:
            if (!type->items[0]->is_plain) {
                bool is_same = a->count == b->count;
                for (uint32_t i = 0; is_same && i < a->count; i++) {
                    is_same = is_equal(type->items[0], &a->items[i], &b->items[i]);
                }
                return is_same;
            }
            size = type->items[0]->size;
            return a->count == b->count && memcmp(a->bytes, b->bytes, a->count * size) == 0;
        case COMPONENT_STRING:
            return a->count == b->count && memcmp(a->bytes, b->bytes, a->count) == 0;
        case COMPONENT_RECORD:
        case COMPONENT_TUPLE:
            for (uint32_t i = 0; i < type->item_count; i++) {
                if (!is_equal(type->items[i], &a->items[i], &b->items[i])) {
                    return false;
                }
            }
            return true;
        case COMPONENT_OPTION:
            payload = a->which == 1 ? type->items[0] : NULL;
            break;
        case COMPONENT_VARIANT:
        case COMPONENT_RESULT:
            payload = a->which < type->item_count ? type->items[a->which] : NULL;
            break;
        case COMPONENT_ENUM:
            return a->which == b->which;
        default:
            return a->bits == b->bits;
    }
    return a->which == b->which && (payload == NULL || is_equal(payload, a->items, b->items));
}

// ---- through a chain
// -----------------------------------------------------------------------------

static bool stand_in(struct component_call *call, const struct value *args, struct value *result) {
    (void)args;
    struct actor *self = component_call_owner(call);
    for (int i = 0; i < VALUES; i++) {
        struct component_func_type *type = ARENA_NEW(&arena, struct component_func_type);
        type->param_count = 1;
        type->params = &types[i];
        type->result = types[i];
        actor_call_begin(self, "test.value", type, &values[i]);
        EXPECT(actor_call_end(self, &values[i]));
    }
    struct value *one = arena_try_alloc(component_call_arena(call), sizeof *one, 8);
    REQUIRE(one != NULL);
    *one = (struct value){.bits = 0};
    *result = (struct value){.items = one};
    return true;
}

static enum status resolve(const struct manifest *manifest, const struct component_import *import,
                           struct component_host_func *out, struct error *error) {
    enum status status = host_resolve(manifest, import, out, error);
    if (slice_equal_text(import->name, "random-float")) {
        *out = (struct component_host_func){.fn = stand_in};
    }
    return status;
}

// The array of host calls in the actor's last event, copied into the arena.
static struct slice last_calls(struct world *world) {
    struct error error = {0};
    struct chain_reader *reader = NULL;
    struct slice found = {0};
    REQUIRE_OK(chain_reader_open(world->log, "a", 3, &reader, &error), error);
    struct chain_event event;
    bool more = false;
    REQUIRE_OK(chain_reader_next(reader, &event, &more, &error), error);
    REQUIRE(more);
    struct cbor_reader data = cbor_reader_of(event.data);
    uint64_t pairs = 0;
    REQUIRE_OK(cbor_read_map(&data, &pairs, &error), error);
    for (uint64_t i = 0; i < pairs; i++) {
        uint64_t key = 0;
        struct slice item;
        REQUIRE_OK(cbor_read_uint(&data, &key, &error), error);
        REQUIRE_OK(cbor_read_item(&data, &item, &error), error);
        if (key == 5) {
            uint8_t *copy = arena_alloc(&arena, item.size, 8);
            memcpy(copy, item.data, item.size);
            found = slice_of(copy, item.size);
        }
    }
    chain_reader_close(reader);
    REQUIRE(found.size > 0);
    return found;
}

static struct slice record_of_random_values(void) {
    env_init_seeded(&dice, 7, 0);
    arena_init(&arena, UINT64_MAX);
    for (int i = 0; i < VALUES; i++) {
        types[i] = random_type(DEPTH);
        values[i] = random_value(types[i]);
    }
    struct world world = {.resolve = resolve};
    world_open(&world);
    write_manifest(&world, "a.toml", "", "");
    start(&world, "a.toml", "a");
    EXPECT_U64(ask(&world, "a", "float"), OK);
    struct slice calls = last_calls(&world);
    EXPECT_U64(world_close(&world), OK);
    return calls;
}

// Goes to the arguments of a call.
static void enter_call(struct cbor_reader *reader) {
    struct error error = {0};
    uint64_t count = 0;
    struct slice name;
    REQUIRE_OK(cbor_read_array(reader, &count, &error), error);
    EXPECT_U64(count, 3);
    REQUIRE_OK(cbor_read_text(reader, &name, &error), error);
    REQUIRE_OK(cbor_read_array(reader, &count, &error), error);
    EXPECT_U64(count, 1);
}

TEST(what_was_recorded_is_read_back) {
    struct slice calls = record_of_random_values();
    struct cbor_reader reader = cbor_reader_of(calls);
    struct error error = {0};
    uint64_t count = 0;
    REQUIRE_OK(cbor_read_array(&reader, &count, &error), error);
    REQUIRE(count >= VALUES);
    for (int i = 0; i < VALUES; i++) {
        struct value argument, result;
        enter_call(&reader);
        REQUIRE_OK(record_read_value(&reader, types[i], NULL, &arena, &argument, &error), error);
        REQUIRE_OK(record_read_value(&reader, types[i], NULL, &arena, &result, &error), error);
        EXPECT(is_equal(types[i], &values[i], &argument));
        EXPECT(is_equal(types[i], &values[i], &result));
    }
    arena_release(&arena);
}

TEST(damaged_records_are_refused_or_are_values) {
    struct slice calls = record_of_random_values();
    struct cbor_reader reader = cbor_reader_of(calls);
    struct error error = {0};
    uint64_t count = 0;
    uint64_t refused = 0;
    REQUIRE_OK(cbor_read_array(&reader, &count, &error), error);
    for (int i = 0; i < VALUES; i++) {
        struct slice item;
        enter_call(&reader);
        REQUIRE_OK(cbor_read_item(&reader, &item, &error), error);
        REQUIRE_OK(cbor_skip(&reader, &error), error);
        for (int j = 0; j < 50; j++) {
            // An allocation of its own, so that a byte too far is found.
            size_t size = (size_t)roll(item.size + 1);
            uint8_t *damaged = xmalloc(size + 1);
            memcpy(damaged, item.data, size);
            if (size > 0) {
                damaged[roll(size)] = (uint8_t)roll(256);
            }
            uint8_t *exact = xrealloc(damaged, size > 0 ? size : 1);
            struct cbor_reader bad = cbor_reader_of(slice_of(exact, size));
            struct arena room;
            struct value value;
            arena_init(&room, UINT64_MAX);
            enum status status = record_read_value(&bad, types[i], NULL, &room, &value, NULL);
            EXPECT(status == OK || status == ERR_INVALID || status == ERR_LIMIT);
            EXPECT(status != OK || bad.next <= bad.end);
            EXPECT(room.used_bytes <= 64 * (size + 2) * sizeof(struct value));
            refused += status != OK;
            arena_release(&room);
            free(exact);
        }
    }
    EXPECT(refused > VALUES);
    arena_release(&arena);
}

// ---- what stands elsewhere
// -----------------------------------------------------------------------

static const struct component_type text_type = {.kind = COMPONENT_STRING};
static const struct component_type byte_type = {.kind = COMPONENT_U8, .size = 1, .is_plain = true};
static const struct component_type *const byte_items[] = {&byte_type};
static const struct component_type bytes_type = {
    .kind = COMPONENT_LIST, .item_count = 1, .items = byte_items};

static enum status secret(void *context, const uint8_t commitment[SHA256_BYTES], struct slice *item,
                          struct error *error) {
    (void)context;
    *item = slice_of("\x65plain", 6);
    return commitment[0] == 1 ? OK : error_set(error, ERR_NOT_FOUND, "no such secret");
}

static enum status content(void *context, const uint8_t hash[SHA256_BYTES], uint64_t size,
                           struct slice *bytes, struct error *error) {
    (void)context;
    (void)size;
    *bytes = slice_of("kept\xff", hash[0] == 1 ? 4 : 5);
    return hash[0] < 3 ? OK : error_set(error, ERR_NOT_FOUND, "no such content");
}

static enum status read_tagged(uint64_t tag, uint8_t first, uint64_t size,
                               const struct component_type *type, struct value *value) {
    static const struct record_source source = {.secret = secret, .content = content};
    uint8_t hash[SHA256_BYTES] = {first};
    struct buf item = {0};
    cbor_tag(&item, tag);
    if (tag == ACTOR_REFERENCE_TAG) {
        cbor_array(&item, 2);
    }
    cbor_bytes(&item, slice_of(hash, sizeof hash));
    if (tag == ACTOR_REFERENCE_TAG) {
        cbor_uint(&item, size);
    }
    struct cbor_reader reader = cbor_reader_of(buf_slice(&item));
    enum status status = record_read_value(&reader, type, &source, &arena, value, NULL);
    buf_release(&item);
    return status;
}

TEST(commitments_and_references_are_looked_up) {
    struct value value;
    arena_init(&arena, UINT64_MAX);
    EXPECT_U64(read_tagged(RECORD_SECRET_TAG, 1, 0, &text_type, &value), OK);
    EXPECT(value.is_secret && value.count == 5 && memcmp(value.bytes, "plain", 5) == 0);
    EXPECT_U64(read_tagged(RECORD_SECRET_TAG, 2, 0, &text_type, &value), ERR_NOT_FOUND);
    // The item behind it is a text, and no byte string.
    EXPECT_U64(read_tagged(RECORD_SECRET_TAG, 1, 0, &bytes_type, &value), ERR_INVALID);
    EXPECT_U64(read_tagged(ACTOR_REFERENCE_TAG, 1, 4, &bytes_type, &value), OK);
    EXPECT(!value.is_secret && value.count == 4 && memcmp(value.bytes, "kept", 4) == 0);
    EXPECT_U64(read_tagged(ACTOR_REFERENCE_TAG, 1, 5, &bytes_type, &value), ERR_DAMAGED);
    EXPECT_U64(read_tagged(ACTOR_REFERENCE_TAG, 2, 5, &bytes_type, &value), OK);
    EXPECT_U64(read_tagged(ACTOR_REFERENCE_TAG, 2, 5, &text_type, &value), ERR_DAMAGED);
    EXPECT_U64(read_tagged(ACTOR_REFERENCE_TAG, 3, 5, &bytes_type, &value), ERR_NOT_FOUND);
    EXPECT_U64(read_tagged(29999, 1, 0, &bytes_type, &value), ERR_INVALID);
    arena_release(&arena);
}

int main(void) {
    return test_main();
}

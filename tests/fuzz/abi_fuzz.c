// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the canonical ABI against a guest that lies (tests/guests/abi_liar, where the layout
// of its script is described). An input chooses a type, a string encoding and one of four ways of a
// value, the value itself, and the lies:
//
//   lower arguments  a value is given to the guest, whose realloc does as it likes, and comes back
//   lift arguments   the guest calls the host with core values and memory made by the model
//                    (abi_model.h) and then damaged: addresses, lengths, discriminants, text
//   lift results     the same as the result of an export, with a post-return that misbehaves
//   lower results    the host gives a value into room that the guest chose
//
// Nothing may be lifted that the model does not lift from the same bytes, and nothing may trap that
// the model takes; without lies a value comes back as it was; the guest notes blocks of its realloc
// that must be refused and reports when it runs on nevertheless; a trap ends the instance and
// leaves nothing behind.
#include <stdio.h>
#include <stdlib.h>

#include "abi_model.h"
#include "guest.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GUEST SOURCE_FOLDER "/tests/guests/abi_liar/abi_liar.wasm"

enum {
    TYPES_MAX = 64,
    PAGE_BYTES = 65536,
    DEPTH_MAX = 6,
    // The script: see build.mjs.
    AT_FLAGS = 0,
    AT_RETURN = 4,
    AT_RESULT = 8,
    AT_FINISH = 16,
    AT_BUMP = 24,
    AT_SLOTS = 32,
    AT_REALLOCS = 168,
    REALLOCS = 32,
    AT_FREE = 512,
    FLAG_MAKE = 1,
    FLAG_RESULT = 2,
    FLAG_GROW = 4,
    FINISH_TRAP = 1,
    FINISH_LEAVE = 2,
    BUMP = 0x8000,
    ROOM = 0x7000,  // for results that the guest says where to put
    FLAT_MAX = 16,
};

static const char *const encodings[] = {"utf8", "utf16", "latin1"};

// The guest, made once.
static struct guest guest;
static uint32_t type_count;
static const struct component_type *types[TYPES_MAX];
static int prepares[COUNT_OF(encodings)];
static struct { int give, lie, get; } functions[COUNT_OF(encodings)][TYPES_MAX];

// One input.
static struct {
    struct model model;
    struct arena values;
    uint32_t type;
    uint32_t pulled;    // words of the script that the guest has
    uint32_t prepared;  // words that it may have
    bool must_not_be_taken;
    bool is_taken;
    struct buf expected;  // description of the value that take-K gets, if known
    bool is_expected;
    const struct value *made;  // what make-K gives
} run;

// ---- values ------------------------------------------------------------------------------------

static void make_text(struct script *script, struct value *out) {
    static const uint32_t points[] = {0,       'a',     0x7f,     0x80,   0xff,   0x100,
                                      0x7ff,   0x800,   0xd7ff,   0xe000, 0xfffd, 0xffff,
                                      0x10000, 0x1f600, 0x10ffff, ' '};
    struct buf text = {0};
    uint8_t count = script_byte(script);
    // Short mostly; now and then long enough to be copied in words.
    for (uint32_t i = count < 250 ? count % 16 : count; i > 0; i--)
        model_put_point(&text, points[script_byte(script) % COUNT_OF(points)]);
    uint8_t *copy = arena_alloc(&run.values, text.size, 1);
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    *out = (struct value){.bytes = copy, .count = (uint32_t)text.size};
    buf_release(&text);
}

static void make_value(struct script *script, const struct component_type *type, uint32_t depth,
                       struct value *out);

static void make_list(struct script *script, const struct component_type *item, uint32_t depth,
                      struct value *out) {
    uint32_t count = depth >= DEPTH_MAX ? 0 : script_byte(script) % 8;
    uint32_t size = model_size(item);
    struct value *items = ARENA_ARRAY(&run.values, struct value, count);
    uint8_t *packed = arena_alloc(&run.values, (uint64_t)count * size, 8);
    for (uint32_t i = 0; i < count; i++) {
        make_value(script, item, depth + 1, &items[i]);
        for (uint32_t k = 0; item->is_plain && k < size; k++)
            packed[i * size + k] = (uint8_t)(items[i].bits >> 8 * k);
    }
    out->count = count;
    if (item->is_plain)
        out->bytes = packed;
    else
        out->items = items;
}

static void make_value(struct script *script, const struct component_type *type, uint32_t depth,
                       struct value *out) {
    *out = (struct value){.bits = 0};
    if (type->kind == COMPONENT_STRING) {
        make_text(script, out);
    } else if (type->kind == COMPONENT_LIST) {
        make_list(script, type->items[0], depth, out);
    } else if (type->kind == COMPONENT_RECORD || type->kind == COMPONENT_TUPLE) {
        struct value *items = ARENA_ARRAY(&run.values, struct value, type->item_count);
        for (uint32_t i = 0; i < type->item_count; i++)
            make_value(script, type->items[i], depth + 1, &items[i]);
        *out = (struct value){.items = items, .count = type->item_count};
    } else if (model_is_variant(type)) {
        uint32_t which = (uint32_t)script_number(script, 2) % model_cases(type);
        const struct component_type *payload = model_payload(type, which);
        struct value *value = payload == NULL ? NULL : ARENA_ARRAY(&run.values, struct value, 1);
        if (payload != NULL)
            make_value(script, payload, depth + 1, value);
        *out = (struct value){.items = value, .which = which};
    } else if (model_lift_scalar(type, script_number(script, model_scalar_size(type)), out) !=
               MODEL_VALUE) {
        out->bits = 'c';
    }
}

// ---- lies --------------------------------------------------------------------------------------

static uint64_t a_number(struct script *script) {
    static const uint64_t numbers[] = {
        0,          1,
        2,          3,
        7,          0x7f,
        0x80,       0xff,
        0x100,      0xc0,
        0xe0,       0xf4,
        0xd800,     0xdfff,
        0xffff,     0x110000,
        PAGE_BYTES, PAGE_BYTES - 1,
        0xfff8,     0xfffc,
        0x10000000, 0x0fffffff,
        0x7fffffff, 0x80000000,
        0x80000001, 0xfffffffc,
        UINT32_MAX, UINT64_MAX,
        INT64_MAX,  UINT64_C(1) << 32,
        0x7f800001, UINT64_C(0x7ff0000000000001),
    };
    uint8_t which = script_byte(script);
    if (which < COUNT_OF(numbers))
        return numbers[which];
    return which < 128 ? which - COUNT_OF(numbers) : script_number(script, which < 224 ? 2 : 4);
}

// Damages what the model encoded, where that means something, or anywhere.
static void damage(struct script *script) {
    struct model *model = &run.model;
    for (uint32_t left = script_byte(script) % 6; left > 0; left--) {
        uint32_t which = (uint32_t)script_number(script, 2);
        uint64_t number = a_number(script);
        // Behind what is used the guest has zeros, and before it what it does.
        uint32_t bytes = model->used - AT_FREE;
        struct model_spot spot = {bytes == 0 ? AT_SLOTS : AT_FREE + which % bytes, 1};
        if (model->spot_count > 0 && which < 0xf000)
            spot = model->spots[which % model->spot_count];
        bool is_relative = script_byte(script) % 4 == 1;
        if (is_relative)
            number += model_get(model, spot.at, spot.size);
        model_put(model, spot.at, number, spot.size);
    }
}

// Says what realloc does; gives whether all of it is honest.
static bool script_reallocs(struct script *script) {
    bool is_honest = true;
    for (uint32_t i = 0, count = script_byte(script) % REALLOCS; i < count; i++) {
        uint32_t what = script_byte(script) % 8;
        is_honest &= what < 2;
        model_put(&run.model, AT_REALLOCS + 8 * i, what, 4);
        if (what == 2 || what == 3)
            model_put(&run.model, AT_REALLOCS + 8 * i + 4, a_number(script), 4);
    }
    return is_honest;
}

// ---- the host of the guest ---------------------------------------------------------------------

static bool pull(struct component_call *call, const struct value *args, struct value *result) {
    (void)call;
    (void)args;
    if (run.pulled >= run.prepared)
        fatal("a function that may not leave its instance did");
    result->bits = model_get(&run.model, 8 * run.pulled++, 8);
    return true;
}

NO_RETURN static bool violation(struct component_call *call, const struct value *args,
                                struct value *result) {
    (void)call;
    (void)result;
    fatal("the guest runs on after what had to be refused (%u)", (uint32_t)args[0].bits);
}

static void check_equal(const struct value *value, const char *what) {
    struct buf text = {0};
    model_describe(types[run.type], value, &text);
    if (run.is_expected && !slice_equal(buf_slice(&text), buf_slice(&run.expected)))
        fatal("%s: expected %s, got %s", what, buf_text(&run.expected), buf_text(&text));
    buf_release(&text);
}

static bool take(struct component_call *call, const struct value *args, struct value *result) {
    (void)result;
    if (component_call_type(call)->params[0] != types[run.type])
        fatal("another function was called");
    if (run.must_not_be_taken)
        fatal("arguments were lifted that cannot be");
    if (run.is_taken)
        fatal("called twice");
    run.is_taken = true;
    check_equal(&args[0], "argument");
    return true;
}

static bool make(struct component_call *call, const struct value *args, struct value *result) {
    (void)args;
    if (component_call_type(call)->result != types[run.type])
        fatal("another function was called");
    *result = *run.made;
    return true;
}

static enum status resolve(void *resolver, const struct component_import *import,
                           struct component_host_func *out, struct error *error) {
    (void)resolver;
    out->fn = slice_starts_with(import->name, "take-")      ? take
              : slice_starts_with(import->name, "make-")    ? make
              : slice_equal_text(import->name, "pull")      ? pull
              : slice_equal_text(import->name, "violation") ? violation
                                                            : NULL;
    return out->fn != NULL ? OK : error_set(error, ERR_NOT_FOUND, "no such function");
}

// ---- calls -------------------------------------------------------------------------------------

// Brings the image into the guest's memory.
static void prepare(uint32_t encoding) {
    uint32_t used = run.model.used < MODEL_IMAGE_BYTES ? run.model.used : MODEL_IMAGE_BYTES;
    run.prepared = (used + 7) / 8;
    struct value words = {.bits = run.prepared};
    if (!guest_call(&guest, prepares[encoding], &words, NULL) || run.pulled != run.prepared)
        fatal("the script does not get into the guest");
}

static void expect(const struct value *value) {
    buf_clear(&run.expected);
    model_describe(types[run.type], value, &run.expected);
    run.is_expected = true;
}

// Whether the trap that came instead of a value may be the limit of one call's values.
static bool may_be_over_limit(void) {
    return run.model.nodes > MODEL_NODES / 8;
}

static void lower_arguments(struct script *script, uint32_t encoding) {
    struct value value;
    make_value(script, types[run.type], 0, &value);
    bool is_honest = script_reallocs(script);
    prepare(encoding);
    if (is_honest)
        expect(&value);
    bool returned = guest_call(&guest, functions[encoding][run.type].give, &value, NULL);
    if (is_honest && !returned)
        fatal("an honest call trapped");
    if (returned && !run.is_taken)
        fatal("the value was lost");
}

// What the model says about the lies: the value that must come out, or that none may.
static enum model_result judge(enum model_result result, const struct value *value) {
    if (result == MODEL_VALUE)
        expect(value);
    run.must_not_be_taken = result == MODEL_TRAP;
    return result;
}

static void check_judgement(enum model_result result, bool returned) {
    if (result == MODEL_TRAP && returned)
        fatal("what is no value was lifted");
    if (result == MODEL_VALUE && !returned && !may_be_over_limit())
        fatal("a value was not lifted");
}

static void lift_arguments(struct script *script, uint32_t encoding) {
    const struct component_type *type = types[run.type];
    struct model *model = &run.model;
    struct value value, lifted;
    make_value(script, type, 0, &value);
    bool is_spilled = model_flats(type) > FLAT_MAX;
    if (is_spilled) {
        uint32_t at = model_block(model, model_align(type), model_size(type));
        model_put_spot(model, AT_SLOTS, at, 8);
        model_encode(model, type, &value, at);
    } else {
        model_encode_flat(model, type, &value, AT_SLOTS);
    }
    damage(script);
    enum model_result result = judge(
        is_spilled ? model_lift_at(model, type, (uint32_t)model_get(model, AT_SLOTS, 4), &lifted)
                   : model_lift_flat(model, type, AT_SLOTS, &lifted),
        &lifted);
    prepare(encoding);
    bool returned = guest_call(&guest, functions[encoding][run.type].lie, NULL, NULL);
    check_judgement(result, returned);
    if (returned != run.is_taken)
        fatal("the value was lost");
}

static void lift_results(struct script *script, uint32_t encoding) {
    const struct component_type *type = types[run.type];
    struct model *model = &run.model;
    struct value value, lifted, got = {.bits = 0};
    uint32_t finish = script_byte(script) % 8;
    model_put(model, AT_FINISH, finish, 4);
    model_put(model, AT_FLAGS, model_get(model, AT_FLAGS, 4) | FLAG_RESULT, 4);
    make_value(script, type, 0, &value);
    bool is_spilled = model_flats(type) > 1;
    if (is_spilled) {
        uint32_t at = model_block(model, model_align(type), model_size(type));
        model_put_spot(model, AT_RESULT, at, 8);
        model_encode(model, type, &value, at);
    } else {
        model_encode_flat(model, type, &value, AT_RESULT);
    }
    damage(script);
    enum model_result result = judge(
        is_spilled ? model_lift_at(model, type, (uint32_t)model_get(model, AT_RESULT, 4), &lifted)
                   : model_lift_flat(model, type, AT_RESULT, &lifted),
        &lifted);
    prepare(encoding);
    bool returned = guest_call(&guest, functions[encoding][run.type].get, NULL, &got);
    bool may_finish = finish != FINISH_TRAP && finish != FINISH_LEAVE;
    if (!may_finish && returned)
        fatal("post-return did not trap");
    if (may_finish)
        check_judgement(result, returned);
    if (returned)
        check_equal(&got, "result");
}

static void lower_results(struct script *script, uint32_t encoding) {
    const struct component_type *type = types[run.type];
    struct model *model = &run.model;
    struct value value, got = {.bits = 0};
    make_value(script, type, 0, &value);
    run.made = &value;
    bool is_honest = script_reallocs(script);
    bool is_spilled = model_flats(type) > 1;
    uint32_t room = ROOM;
    if (script_byte(script) % 4 == 1)
        room = (uint32_t)a_number(script);
    model_put(model, AT_FLAGS, model_get(model, AT_FLAGS, 4) | FLAG_MAKE, 4);
    model_put(model, AT_RETURN, room, 4);
    bool has_room = !is_spilled || (room % model_align(type) == 0 &&
                                    model_in_bounds(model, room, model_size(type)));
    prepare(encoding);
    if (is_honest && room == ROOM)
        expect(&value);
    bool returned = guest_call(&guest, functions[encoding][run.type].get, NULL, &got);
    if (!has_room && returned)
        fatal("a result was stored where there is no room");
    if (is_honest && room == ROOM && !returned)
        fatal("an honest call trapped");
    if (returned)
        check_equal(&got, "result");
}

// ---- libFuzzer ---------------------------------------------------------------------------------

static int find_export(const char *format, const char *encoding, uint32_t k) {
    char name[64];
    (void)snprintf(name, sizeof name, format, encoding, k);
    return guest_find(&guest, name);
}

static void find_functions(void) {
    for (uint32_t e = 0; e < COUNT_OF(encodings); e++) {
        const char *encoding = encodings[e];
        prepares[e] = find_export("prepare-%s", encoding, 0);
        int give;
        uint32_t k = 0;
        for (; (give = find_export("give-%s-%u", encoding, k)) >= 0; k++) {
            if (k == TYPES_MAX)
                fatal("more than %d types", TYPES_MAX);
            functions[e][k].give = give;
            functions[e][k].lie = find_export("lie-%s-%u", encoding, k);
            functions[e][k].get = find_export("get-%s-%u", encoding, k);
            types[k] = component_export_at(guest.component, (uint32_t)give)->type->params[0];
        }
        type_count = k;
    }
    if (type_count == 0)
        fatal("%s has no functions", GUEST);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    guest_open(&guest, GUEST, resolve, NULL, __builtin_frame_address(0));
    find_functions();
    arena_init(&run.values, UINT64_C(64) << 20);
    return 0;
}

static void start(uint32_t type, uint32_t encoding, struct script *script) {
    guest_start(&guest, NULL);
    uint8_t flags = script_byte(script);
    bool grows = (flags & 1) != 0;
    run.type = type;
    memset(&run.model, 0, sizeof run.model);
    run.model.used = AT_FREE;
    run.model.memory_bytes = grows ? 2 * PAGE_BYTES : PAGE_BYTES;
    run.model.encoding = (enum model_encoding)encoding;
    run.model.prefers_utf16 = (flags & 2) != 0;
    run.model.arena = &run.values;
    model_put(&run.model, AT_FLAGS, grows ? FLAG_GROW : 0, 4);
    model_put(&run.model, AT_BUMP, BUMP, 4);
}

static void finish(void) {
    guest_end(&guest);
    arena_reset(&run.values);
    run.pulled = run.prepared = 0;
    run.is_taken = run.is_expected = run.must_not_be_taken = false;
    buf_clear(&run.expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const ways[])(struct script *, uint32_t) = {lower_arguments, lift_arguments,
                                                              lift_results, lower_results};
    struct script script = {data, size};
    uint32_t type = script_byte(&script) % type_count;
    uint8_t how = script_byte(&script);
    uint32_t encoding = how / 4 % COUNT_OF(encodings);
    start(type, encoding, &script);
    ways[how % COUNT_OF(ways)](&script, encoding);
    finish();
    return 0;
}

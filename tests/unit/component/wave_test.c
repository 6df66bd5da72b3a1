// SPDX-License-Identifier: Apache-2.0
// WAVE: what each type reads and how it is written again, what is refused and where, and values of
// random types there and back.
#include <locale.h>

#include "component/types.h"
#include "component/wave.h"
#include "test.h"

// Types of one test, and the memory of its values.
static struct fixture {
    struct arena arena;
    struct type_table types;
    struct error error;
    struct buf text;
} fixture;

static void begin(void) {
    arena_init(&fixture.arena, 1 << 24);
    type_table_init(&fixture.types, &fixture.arena);
    fixture.error = (struct error){0};
    fixture.text = (struct buf){0};
}

static void end(void) {
    type_table_release(&fixture.types);
    arena_release(&fixture.arena);
    buf_release(&fixture.text);
}

typedef const struct component_type *type;

static type make(enum component_kind kind, uint32_t count, const type *items, const char *names) {
    struct slice labels[40];
    uint32_t named = 0;
    // Names are separated by spaces; "" means none.
    for (const char *at = names; *at != '\0';) {
        size_t size = strcspn(at, " ");
        REQUIRE(named < COUNT_OF(labels));
        labels[named++] = slice_of(at, size);
        at += size + (at[size] == ' ');
    }
    const char *why = NULL;
    type made = type_intern(&fixture.types, kind, named > count ? named : count, items,
                            named == 0 ? NULL : labels, &why);
    REQUIRE(made != NULL);
    return made;
}

static type list(type item) {
    return make(COMPONENT_LIST, 1, &item, "");
}
static type option(type item) {
    return make(COMPONENT_OPTION, 1, &item, "");
}
static type result(type good, type bad) {
    return make(COMPONENT_RESULT, 2, (type[]){good, bad}, "");
}
static type prim(enum component_kind kind) {
    return type_primitive(kind);
}

// `text` reads, and is written as `written` (NULL: as it stands), which reads again.
static void good(type wanted, const char *text, const char *written) {
    struct value value, again;
    fixture.error = (struct error){0};
    EXPECT_OK(wave_read(slice_text(text), wanted, &fixture.arena, &value, &fixture.error),
              fixture.error);
    if (fixture.error.code != OK) {
        return;
    }
    const char *expected = written == NULL ? text : written;
    buf_clear(&fixture.text);
    wave_write(wanted, &value, &fixture.text);
    EXPECT_TEXT(buf_text(&fixture.text), expected);
    EXPECT_OK(wave_read(slice_text(expected), wanted, &fixture.arena, &again, &fixture.error),
              fixture.error);
    buf_clear(&fixture.text);
    wave_write(wanted, &again, &fixture.text);
    EXPECT_TEXT(buf_text(&fixture.text), expected);
}

// `text` is refused with a message that holds `part`.
static void bad(type wanted, const char *text, const char *part) {
    struct value value;
    fixture.error = (struct error){0};
    EXPECT(wave_read(slice_text(text), wanted, &fixture.arena, &value, &fixture.error) ==
           ERR_INVALID);
    EXPECT_CONTAINS(fixture.error.message, part);
}

TEST(reads_bools_and_integers) {
    begin();
    good(prim(COMPONENT_BOOL), " true ", "true");
    good(prim(COMPONENT_BOOL), "false", NULL);
    bad(prim(COMPONENT_BOOL), "%true",
        "1:1 (byte 0): expected bool (true or false), found '%true'");
    bad(prim(COMPONENT_BOOL), "", "found the end");
    good(prim(COMPONENT_U8), "255", NULL);
    bad(prim(COMPONENT_U8), "256", "expected u8, which goes from 0 to 255");
    bad(prim(COMPONENT_U8), "-1", "expected u8, which goes from 0 to 255");
    good(prim(COMPONENT_S8), "-128", NULL);
    bad(prim(COMPONENT_S8), "-129", "-128 to 127");
    bad(prim(COMPONENT_S8), "128", "-128 to 127");
    good(prim(COMPONENT_S16), "-32768", NULL);
    good(prim(COMPONENT_S32), "-2147483648", NULL);
    good(prim(COMPONENT_S64), "-9223372036854775808", NULL);
    bad(prim(COMPONENT_S64), "-9223372036854775809", "expected s64");
    good(prim(COMPONENT_U64), "18446744073709551615", NULL);
    bad(prim(COMPONENT_U64), "18446744073709551616", "expected u64");
    bad(prim(COMPONENT_U64), "99999999999999999999999999999999", "expected u64");
    bad(prim(COMPONENT_U32), "007", "expected u32, found '007'");
    bad(prim(COMPONENT_U32), "1.5", "expected u32, found '1.5'");
    bad(prim(COMPONENT_U32), "1 2", "1:3 (byte 2): expected nothing behind it, found '2'");
    bad(prim(COMPONENT_U32), "1u", "expected u32, found '1u'");
    bad(prim(COMPONENT_U32), "\n\n  \xc3\xa9 x", "3:3 (byte 4): expected u32, found '\xc3\xa9'");
    bad(prim(COMPONENT_U32), "\xff", "not UTF-8");
    end();
}

TEST(reads_floats) {
    begin();
    type f32 = prim(COMPONENT_F32);
    type f64 = prim(COMPONENT_F64);
    good(f64, "3.14", NULL);
    good(f64, "6.022e+23", NULL);
    good(f64, "-0", NULL);
    good(f64, "1.0", "1");
    good(f64, "1E3", "1000");
    good(f64, "1e007", "10000000");
    good(f64, "1e15", "1e+15");
    good(f32, "123456789", "123456792");
    good(f64, "0.1", NULL);
    good(f64, "5e-324", NULL);
    good(f64, "1.7976931348623157e+308", NULL);
    good(f32, "0.1", NULL);
    good(f32, "16777216", "16777216");
    good(f32, "3.4028235e+38", NULL);
    const char *const named[] = {"nan", "inf", "-inf"};
    for (size_t i = 0; i < COUNT_OF(named); i++) {
        good(f32, named[i], NULL);
        good(f64, named[i], NULL);
        good(list(f32), i == 0 ? "[nan, 1.5]" : "[inf, -inf]", NULL);
    }
    // Rounded once, not through f64: this is above the middle between two neighbours by 2^-60.
    struct value value;
    EXPECT_OK(wave_read(slice_text("1.00000017881393432617187499"), f32, &fixture.arena, &value,
                        &fixture.error),
              fixture.error);
    EXPECT_U64(value.bits, 0x3f800001);
    bad(f64, "1e309", "too large for f64");
    bad(f32, "1e39", "too large for f32");
    bad(f64, "-nan", "expected f64, found '-nan'");
    bad(f64, ".5", "expected f64");
    bad(f64, "1.", "expected f64");
    bad(f64, "0x10", "expected f64");
    end();
}

TEST(reads_floats_whatever_the_locale) {
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL &&
        setlocale(LC_NUMERIC, "fr_FR.UTF-8") == NULL) {
        SKIP("no locale with a decimal comma");
    }
    begin();
    good(prim(COMPONENT_F64), "0.5", NULL);
    good(prim(COMPONENT_F32), "1.25e-05", NULL);
    end();
    (void)setlocale(LC_NUMERIC, "C");
}

TEST(reads_chars) {
    begin();
    type one = prim(COMPONENT_CHAR);
    good(one, "'x'", NULL);
    good(one, "'\xe2\x98\x83'", NULL);
    good(one, "'\\''", NULL);
    good(one, "'\"'", NULL);
    good(one, "'\\\"'", "'\"'");
    good(one, "'\\u{2603}'", "'\xe2\x98\x83'");
    good(one, "'\\u{0}'", NULL);
    good(one, "'\\u{202e}'", NULL);
    good(one, "'\\u{10FFFF}'", "'\xf4\x8f\xbf\xbf'");
    bad(one, "''", "expected one character");
    bad(one, "'", "expected one character");
    bad(one, "'ab'", "1:1 (byte 0): a char holds one character");
    bad(one, "'\\u{d800}'", "1:2 (byte 1): the escape names no Unicode scalar value");
    bad(one, "'\\u{110000}'", "no Unicode scalar value");
    bad(one, "'\\u{fffffffffffffffff}'", "no Unicode scalar value");
    bad(one, "'\\u{}'", "a Unicode escape is written");
    bad(one, "'\\x'", "unknown escape");
    bad(one, "x", "expected a char such as 'x', found 'x'");
    end();
}

TEST(reads_strings) {
    begin();
    type text = prim(COMPONENT_STRING);
    good(text, "\"\"", NULL);
    good(text, "\"abc\\t123\"", NULL);
    good(text, "\"WAVE\xf0\x9f\x8c\x8a'\"", NULL);
    good(text, "\"\\\\\\'\\\"\\t\\n\\r\"", "\"\\\\'\\\"\\t\\n\\r\"");
    good(text, "\"\\u{1b}[31m\\u{9b}\"", NULL);
    bad(text, "\"abc", "1:1 (byte 0): the string has no closing \"");
    bad(text, "\"abc\ndef\"", "no closing \" on its line");
    bad(text, "\"abc\\", "no closing");
    bad(text, "\"\\q\"", "1:2 (byte 1): unknown escape");
    bad(text, "abc", "expected a string such as \"text\", found 'abc'");
    end();
}

TEST(reads_multiline_strings) {
    begin();
    type text = prim(COMPONENT_STRING);
    good(text, "\"\"\"\n\"\"\"", "\"\"");
    good(text, "\"\"\"\nA single line\n\"\"\"", "\"A single line\"");
    good(text, "\"\"\"\r\none\r\ntwo\r\n\"\"\"", "\"one\\ntwo\"");
    good(text, "\"\"\"\n    Indentation determined\n      by ending delimiter\n  \"\"\"",
         "\"  Indentation determined\\n    by ending delimiter\"");
    good(text, "\"\"\"\n  a \\r\n  b \"\"\\\"\" c\n  \"\"\"", "\"a \\r\\nb \\\"\\\"\\\"\\\" c\"");
    good(text, "\"\"\"\n\nempty lines stay\n\n\"\"\"", "\"\\nempty lines stay\\n\"");
    bad(text, "\"\"\"abc\"\"\"", "must be followed by a line break");
    bad(text, "\"\"\"\nabc", "no closing \"\"\"");
    bad(text, "\"\"\"\nabc\"\"\"", "2:4 (byte 7): the closing \"\"\" must be on a line of its own");
    bad(text, "\"\"\"\nabc \\\"\"\"\n\"\"\"", "on a line of its own");
    bad(text, "\"\"\"\n  abc\n def\n  \"\"\"",
        "3:1 (byte 10): the line must begin with the 2 spaces");
    end();
}

TEST(reads_lists_and_tuples) {
    begin();
    type u8 = prim(COMPONENT_U8);
    good(list(u8), "[]", NULL);
    good(list(u8), "[1,2 , 3,]", "[1, 2, 3]");
    good(list(prim(COMPONENT_S16)), "[-1, 32767, -32768]", NULL);
    good(list(prim(COMPONENT_U64)), "[18446744073709551615]", NULL);
    good(list(prim(COMPONENT_CHAR)), "['a', 'b']", NULL);
    good(list(prim(COMPONENT_BOOL)), "[true, false]", NULL);
    good(list(list(prim(COMPONENT_STRING))), "[[], [\"a\"]]", NULL);
    good(list(u8), "// a comment\n[1, // one\n 2 //\n] // end", "[1, 2]");
    bad(list(u8), "[1 2]", "1:4 (byte 3): expected ',' or ']', found '2'");
    bad(list(u8), "[,]", "expected u8, found ','");
    bad(list(u8), "[1", "expected ',' or ']', found the end");
    bad(list(u8), "[1,,]", "expected u8, found ','");
    bad(list(u8), "\"text\"", "expected list<u8>, found '\"text\"'");
    bad(list(u8), "[256]", "1:2 (byte 1): expected u8");
    type pair = make(COMPONENT_TUPLE, 2, (type[]){u8, prim(COMPONENT_STRING)}, "");
    good(pair, "(1, \"two\",)", "(1, \"two\")");
    bad(pair, "(1)", "1:1 (byte 0): 1 of the 2 values of tuple<u8, string>");
    bad(pair, "()", "0 of the 2 values");
    bad(pair, "(1, \"two\", 3)", "1:12 (byte 11): more than the 2 values of tuple<u8, string>");
    bad(pair, "1", "expected tuple<u8, string>, found '1'");
    good(make(COMPONENT_TUPLE, 1, &u8, ""), "(7)", NULL);
    end();
}

TEST(reads_records_and_flags) {
    begin();
    type u8 = prim(COMPONENT_U8);
    type record = make(COMPONENT_RECORD, 2, (type[]){u8, option(u8)}, "must-have optional");
    good(record, "{must-have: 1, optional: some(2)}", NULL);
    good(record, "{optional: 2, %must-have: 1,}", "{must-have: 1, optional: some(2)}");
    good(record, "{must-have: 123}", NULL);
    good(record, "{must-have: 123, optional: none}", "{must-have: 123}");
    bad(record, "{optional: 2}", "1:1 (byte 0): missing field 'must-have' in record{must-have: u8");
    bad(record, "{:}", "missing field 'must-have'");
    bad(record, "{must-have: 1, must-have: 2}", "1:16 (byte 15): a second field 'must-have'");
    bad(record, "{musthave: 1}", "there is no field 'musthave' in record{must-have: u8");
    bad(record, "{must-have 1}", "expected ':', found '1'");
    bad(record, "{}", "expected a field's name (the record without any is {:}), found '}'");
    type optional = make(COMPONENT_RECORD, 1, (type[]){option(u8)}, "optional");
    good(optional, "{ : }", "{:}");
    good(optional, "{optional: none}", "{:}");
    type flags = make(COMPONENT_FLAGS, 3, NULL, "read write err");
    good(flags, "{write, read,}", "{read, write}");
    good(flags, "{err}", NULL);
    good(flags, "{%err}", "{err}");
    good(flags, "{}", NULL);
    bad(flags, "{run}", "there is no flag 'run' in flags{read, write, err}");
    bad(flags, "{read, read}", "a second flag 'read'");
    bad(flags, "{read", "expected ',' or '}', found the end");
    end();
}

TEST(reads_variants_and_enums) {
    begin();
    type text = prim(COMPONENT_STRING);
    type variant = make(COMPONENT_VARIANT, 3, (type[]){NULL, list(prim(COMPONENT_U8)), text},
                        "empty body err");
    good(variant, "empty", NULL);
    good(variant, "body([79, 75])", NULL);
    good(variant, "%err(\"oops\")", NULL);
    good(variant, "%empty", "empty");
    bad(variant, "err(\"oops\")", "has a keyword's name: write %err");
    bad(variant, "body", "expected '(' and the case's value, found the end");
    bad(variant, "empty(1)", "expected nothing behind it, found '('");
    bad(variant, "other",
        "there is no case 'other' in variant{empty, body(list<u8>), err(string)}");
    type status = make(COMPONENT_ENUM, 2, NULL, "ok not-found");
    good(status, "%ok", NULL);
    good(status, "not-found", NULL);
    bad(status, "ok", "write %ok");
    bad(status, "12", "expected enum{ok, not-found}, found '12'");
    end();
}

TEST(reads_flat_options_and_results) {
    begin();
    type u8 = prim(COMPONENT_U8);
    type text = prim(COMPONENT_STRING);
    good(option(u8), "123", "some(123)");
    good(option(u8), "some(123)", NULL);
    good(option(u8), "none", NULL);
    bad(option(u8), "some", "expected '(' and the value of some, found the end");
    good(option(option(u8)), "some(5)", "some(some(5))");
    good(option(option(u8)), "some(none)", NULL);
    bad(option(option(u8)), "5", "expected option<option<u8>>, found '5'");
    good(result(u8, NULL), "123", "ok(123)");
    good(result(NULL, text), "ok", NULL);
    good(result(NULL, text), "err(\"oops\")", NULL);
    bad(result(NULL, text), "err", "expected '(' and the value of err");
    bad(result(NULL, text), "\"x\"", "expected result<_, string>, found '\"x\"'");
    good(result(NULL, NULL), "err", NULL);
    bad(result(u8, text), "ok", "expected '(' and the value of ok");
    bad(result(option(u8), NULL), "none", "expected result<option<u8>>");
    // A case named like a keyword is told from the keyword by its %.
    type status = make(COMPONENT_ENUM, 2, NULL, "none other");
    good(option(status), "none", NULL);
    good(option(status), "%none", "some(%none)");
    good(option(status), "other", "some(other)");
    end();
}

// ---- arguments ---------------------------------------------------------------------------------

static enum status arguments(const char *text, const struct component_func_type *func,
                             struct value *args) {
    fixture.error = (struct error){0};
    return wave_read_arguments(slice_text(text), strcspn(text, "("), func, &fixture.arena, args,
                               &fixture.error);
}

TEST(reads_arguments) {
    begin();
    type params[] = {prim(COMPONENT_U8), option(prim(COMPONENT_U8)), option(prim(COMPONENT_U8))};
    struct slice names[] = {slice_text("a"), slice_text("b"), slice_text("c")};
    struct component_func_type func = {.param_count = 3, .params = params, .param_names = names};
    struct value args[3];
    EXPECT_OK(arguments("f(1, 2, none)", &func, args), fixture.error);
    EXPECT_U64(args[1].items->bits, 2);
    args[1].which = args[2].which = 9;
    EXPECT_OK(arguments("f( 1, ) // no more", &func, args), fixture.error);
    EXPECT_U64(args[0].bits, 1);
    EXPECT_U64(args[1].which + args[2].which, 0);
    EXPECT(arguments("f()", &func, args) == ERR_INVALID);
    EXPECT_CONTAINS(fixture.error.message,
                    "1:4 (byte 3): too few arguments: it takes 3 arguments: func(u8, option<u8>");
    EXPECT(arguments("f(1, 2, 3, 4)", &func, args) == ERR_INVALID);
    EXPECT_CONTAINS(fixture.error.message, "1:12 (byte 11): too many arguments");
    EXPECT(arguments("f(1, true)", &func, args) == ERR_INVALID);
    EXPECT_CONTAINS(fixture.error.message, "argument 2 (b): 1:6 (byte 5): expected u8");
    EXPECT(arguments("f(1) 2", &func, args) == ERR_INVALID);
    EXPECT(arguments("f(1", &func, args) == ERR_INVALID);
    EXPECT_CONTAINS(fixture.error.message, "expected ',' or ')', found the end");
    EXPECT(arguments("f", &func, args) == ERR_INVALID);
    func.param_count = 0;
    EXPECT_OK(arguments("f", &func, args), fixture.error);
    EXPECT_OK(arguments("f( )", &func, args), fixture.error);
    end();
}

// ---- bounds ------------------------------------------------------------------------------------

TEST(stays_within_the_arena) {
    begin();
    // A record of many optional fields is far larger than the text that stands for it.
    type field = option(prim(COMPONENT_U8));
    type fields[] = {field, field, field, field, field, field, field, field};
    type lists = list(make(COMPONENT_RECORD, 8, fields, "a b c d e f g h"));
    struct buf text = {0};
    buf_append_byte(&text, '[');
    for (int i = 0; i < 10000; i++) {
        buf_append_text(&text, "{:},");
    }
    buf_append_byte(&text, ']');
    struct arena small;
    arena_init(&small, 100000);
    struct value value;
    EXPECT(wave_read(buf_slice(&text), lists, &small, &value, &fixture.error) == ERR_LIMIT);
    EXPECT_CONTAINS(fixture.error.message, "limit of 100000 bytes");
    arena_release(&small);
    buf_release(&text);
    end();
}

TEST(refuses_brackets_without_end) {
    begin();
    type nested = prim(COMPONENT_U8);
    for (int i = 1; i < TYPE_DEPTH_MAX; i++) {
        nested = list(nested);
    }
    struct buf text = {0};
    for (int i = 0; i < 100000; i++) {
        buf_append_byte(&text, '[');
    }
    struct value value;
    EXPECT(wave_read(buf_slice(&text), nested, &fixture.arena, &value, &fixture.error) ==
           ERR_INVALID);
    EXPECT_CONTAINS(fixture.error.message, "1:100 (byte 99): expected u8, found '['");
    buf_release(&text);
    end();
}

// ---- random values -----------------------------------------------------------------------------

static uint64_t random_state = 88172645463325252u;

static uint64_t draw(uint64_t most) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % (most + 1);
}

static type random_type(int depth) {
    static const char names[] = "some a none b-c true x1 err QUIC";
    enum component_kind kind =
        (enum component_kind)draw(depth == 0 ? COMPONENT_STRING : COMPONENT_FLAGS);
    if (kind <= COMPONENT_STRING) {
        return prim(kind);
    }
    type items[8];
    for (size_t i = 0; i < COUNT_OF(items); i++) {
        bool may_lack = kind == COMPONENT_VARIANT || kind == COMPONENT_RESULT;
        items[i] = may_lack && draw(2) == 0 ? NULL : random_type(depth - 1);
    }
    bool has_names = kind == COMPONENT_RECORD || kind == COMPONENT_VARIANT ||
                     kind == COMPONENT_ENUM || kind == COMPONENT_FLAGS;
    bool has_items = kind != COMPONENT_ENUM && kind != COMPONENT_FLAGS;
    uint32_t count = kind == COMPONENT_LIST || kind == COMPONENT_OPTION ? 1
                     : kind == COMPONENT_RESULT                         ? 2
                                                                        : 8;
    return make(kind, count, has_items ? items : NULL, has_names ? names : "");
}

static struct value random_value(type wanted);

static struct value random_list(type item) {
    struct value list_value = {.count = (uint32_t)draw(3)};
    struct buf bytes = {0};
    for (uint32_t i = 0; i < list_value.count; i++) {
        struct value one = random_value(item);
        buf_append(&bytes, &one, item->is_plain ? item->size : sizeof one);
    }
    uint8_t *kept = arena_alloc(&fixture.arena, bytes.size, 8);
    if (bytes.size > 0) {
        memcpy(kept, bytes.data, bytes.size);
    }
    buf_release(&bytes);
    list_value.bytes = kept;
    return list_value;
}

static struct value random_string(void) {
    static const char *const texts[] = {"", "\"\"\"", "\\n\n\r\t", "\xe2\x98\x83\xc2\x85'",
                                        "\x01 // no comment"};
    const char *text = texts[draw(COUNT_OF(texts) - 1)];
    return (struct value){.bytes = (const uint8_t *)text, .count = (uint32_t)strlen(text)};
}

static uint64_t random_bits(type wanted) {
    uint64_t bits = random_state * 0x9e3779b97f4a7c15u;
    unsigned unused = 64 - wanted->size * 8;
    enum component_kind kind = wanted->kind;
    if (kind == COMPONENT_BOOL) {
        return bits >> 63;
    }
    if (kind == COMPONENT_CHAR) {
        return bits % 0xd800;
    }
    if (kind == COMPONENT_S8 || kind == COMPONENT_S16 || kind == COMPONENT_S32) {
        return (uint64_t)((int64_t)bits >> unused);
    }
    bits >>= unused;
    bool is_nan = (kind == COMPONENT_F32 && (bits & 0x7fffffffu) > 0x7f800000u) ||
                  (kind == COMPONENT_F64 && (bits & INT64_MAX) > 0x7ff0000000000000u);
    return !is_nan ? bits : kind == COMPONENT_F32 ? 0x7fc00000u : 0x7ff8000000000000u;
}

static struct value random_value(type wanted) {
    (void)draw(1);
    if (wanted->kind == COMPONENT_STRING) {
        return random_string();
    }
    if (wanted->kind == COMPONENT_LIST) {
        return random_list(wanted->items[0]);
    }
    if (wanted->kind < COMPONENT_STRING || wanted->kind == COMPONENT_FLAGS) {
        return (struct value){.bits = random_bits(wanted)};
    }
    struct value *items = ARENA_ARRAY(&fixture.arena, struct value, wanted->item_count);
    struct value value = {.items = items};
    if (wanted->kind == COMPONENT_RECORD || wanted->kind == COMPONENT_TUPLE) {
        value.count = wanted->item_count;
        for (uint32_t i = 0; i < wanted->item_count; i++) {
            items[i] = random_value(wanted->items[i]);
        }
        return value;
    }
    value.which = (uint32_t)draw(type_case_count(wanted) - 1);
    type payload = type_case(wanted, value.which);
    value.items = payload == NULL ? NULL : items;
    if (payload != NULL) {
        items[0] = random_value(payload);
    }
    return value;
}

static bool same(type wanted, const struct value *a, const struct value *b) {
    if (wanted->kind == COMPONENT_STRING ||
        (wanted->kind == COMPONENT_LIST && wanted->items[0]->is_plain)) {
        size_t unit = wanted->kind == COMPONENT_STRING ? 1 : wanted->items[0]->size;
        return slice_equal(slice_of(a->bytes, a->count * unit),
                           slice_of(b->bytes, b->count * unit));
    }
    if (wanted->kind < COMPONENT_STRING || wanted->kind == COMPONENT_FLAGS) {
        return a->bits == b->bits;
    }
    bool is_list = wanted->kind == COMPONENT_LIST;
    if (is_list || wanted->kind == COMPONENT_RECORD || wanted->kind == COMPONENT_TUPLE) {
        bool is_same = a->count == b->count;
        for (uint32_t i = 0; is_same && i < a->count; i++) {
            is_same = same(wanted->items[is_list ? 0 : i], &a->items[i], &b->items[i]);
        }
        return is_same;
    }
    type payload = type_case(wanted, a->which);
    return a->which == b->which && (payload == NULL || same(payload, a->items, b->items));
}

TEST(random_values_come_back_as_they_were) {
    for (int round = 0; round < 3000; round++) {
        begin();
        type wanted = random_type((int)draw(3));
        struct value value = random_value(wanted);
        struct value again = {0};
        wave_write(wanted, &value, &fixture.text);
        enum status status =
            wave_read(buf_slice(&fixture.text), wanted, &fixture.arena, &again, &fixture.error);
        if (status != OK || !same(wanted, &value, &again)) {
            test_report(__FILE__, __LINE__, "round %d: %s: %s", round, buf_text(&fixture.text),
                        fixture.error.message);
            end();
            return;
        }
        end();
    }
}

int main(void) {
    return test_main();
}

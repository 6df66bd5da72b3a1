// SPDX-License-Identifier: Apache-2.0
// Validation, rule by rule: small modules written as hexadecimal text, valid ones and ones that
// break one rule each.
#include <ctype.h>

#include "test.h"
#include "wasm/validate.h"

// ---- modules from text -------------------------------------------------------------------------

static void put_hex(struct buf *out, const char *text) {
    while (*text != 0) {
        if (*text == ' ') {
            text++;
            continue;
        }
        REQUIRE(isxdigit((unsigned char)text[0]) && isxdigit((unsigned char)text[1]));
        char digits[3] = {text[0], text[1], 0};
        buf_append_byte(out, (uint8_t)strtoul(digits, NULL, 16));
        text += 2;
    }
}

static void put_u32(struct buf *out, uint32_t value) {
    for (; value >= 0x80; value >>= 7)
        buf_append_byte(out, (uint8_t)(value | 0x80));
    buf_append_byte(out, (uint8_t)value);
}

static void put_section(struct buf *out, uint8_t id, struct slice content) {
    buf_append_byte(out, id);
    put_u32(out, (uint32_t)content.size);
    buf_append_slice(out, content);
}

static void put_header(struct buf *out) {
    put_hex(out, "00 61 73 6d 01 00 00 00");
}

// The verdict must be "valid" when `wanted` is NULL; else a refusal with this status and text.
static void expect_verdict(const char *what, const struct buf *module_bytes, enum status status,
                           const char *wanted) {
    struct bytes *bytes = bytes_copy(buf_slice(module_bytes));
    struct wasm_module *module = NULL;
    struct error error = {0};
    enum status given = wasm_module_scan(bytes, NULL, &module, &error);
    if (wanted == NULL && given != OK)
        test_report(__FILE__, __LINE__, "%s: expected valid, but %s", what, error.message);
    else if (wanted != NULL && given == OK)
        test_report(__FILE__, __LINE__, "%s: expected \"%s\", but it is valid", what, wanted);
    else if (wanted != NULL && (given != status || strstr(error.message, wanted) == NULL))
        test_report(__FILE__, __LINE__, "%s: expected %s \"%s\", but %s \"%s\"", what,
                    status_text(status), wanted, status_text(given), error.message);
    wasm_module_unref(module);
    bytes_unref(bytes);
}

// Sections as "ID: content; ID: content", all in hexadecimal; their sizes are filled in.
static void expect_sections(const char *text, enum status status, const char *wanted) {
    struct buf out = {0};
    put_header(&out);
    for (const char *at = text; *at != 0;) {
        char part[512];
        struct buf content = {0};
        size_t size = strcspn(at, ";");
        REQUIRE(size > 3 && size < sizeof part && at[2] == ':');
        memcpy(part, at, size);
        part[size] = 0;
        put_hex(&content, part + 3);
        put_section(&out, (uint8_t)strtoul(part, NULL, 16), buf_slice(&content));
        buf_release(&content);
        at += size;
        at += strspn(at, "; ");
    }
    expect_verdict(text, &out, status, wanted);
    buf_release(&out);
}
#define VALID_SECTIONS(text) expect_sections(text, OK, NULL)
#define INVALID_SECTIONS(text, wanted) expect_sections(text, ERR_INVALID, wanted)

// Types that the bodies below choose from; function 1, the one under test, has one of them.
enum type { NOTHING, GIVES_I32, I32_TO_I32, MIXED, GIVES_TWO, I64_TO_I32, GIVES_F64, TYPE_COUNT };
static const char *const type_hex =
    "07  60 00 00  60 00 01 7f  60 01 7f 01 7f  60 02 7f 7e 02 7d 7c  60 00 02 7f 7e"
    "60 01 7e 01 7f  60 00 01 7c";

// A module with one of everything, and `code` (without its end) as the body of function 1:
//   functions  0 imported () -> ()   1 under test   2 MIXED, exported   3 NOTHING, in no list
//   tables     0 funcref   1 externref                memory 0
//   globals    0 imported i32   1 mutable i32   2 i64   3 mutable funcref
//   segments   elements 0 passive funcref (function 2), 1 passive externref; data 0 passive
static void put_module_around(struct buf *out, enum type type, const char *locals,
                              const char *code) {
    static const struct {
        uint8_t id;
        const char *content;
    } sections[] = {
        {1, NULL},
        {2, "02  01 6d 01 66 00 00  01 6d 01 67 03 7f 00"},
        {3, NULL},
        {4, "02  70 00 01  6f 00 01"},
        {5, "01  00 01"},
        {6, "03  7f 01 41 00 0b  7e 00 42 00 0b  70 01 d0 70 0b"},
        {7, "01  01 66 00 02"},
        {9, "02  01 00 01 02  05 6f 01 d0 6f 0b"},
        {12, "01"},
        {10, NULL},
        {11, "01  01 00"},
    };
    put_header(out);
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        struct buf content = {0}, body = {0};
        if (sections[i].id == 1) {
            put_hex(&content, type_hex);
        } else if (sections[i].id == 3) {
            put_hex(&content, "03");
            put_u32(&content, type);
            put_hex(&content, "03 00");
        } else if (sections[i].id == 10) {
            put_hex(&body, locals);
            put_hex(&body, code);
            put_hex(&body, "0b");
            put_hex(&content, "03");
            put_u32(&content, (uint32_t)body.size);
            buf_append_slice(&content, buf_slice(&body));
            put_hex(&content, "03 00 00 0b  02 00 0b");
        } else {
            put_hex(&content, sections[i].content);
        }
        put_section(out, sections[i].id, buf_slice(&content));
        buf_release(&content);
        buf_release(&body);
    }
}

static void expect_body(enum type type, const char *locals, const char *code, enum status status,
                        const char *wanted) {
    struct buf out = {0};
    put_module_around(&out, type, locals, code);
    expect_verdict(code, &out, status, wanted);
    buf_release(&out);
}

struct row {
    enum type type;
    const char *code;
    const char *wanted;  // NULL: valid
};

static void expect_rows(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++)
        expect_body(rows[i].type, "00", rows[i].code, ERR_INVALID, rows[i].wanted);
}
#define EXPECT_ROWS(rows) expect_rows(rows, COUNT_OF(rows))

// Instructions by name, as hexadecimal text.
#define UNREACHABLE "00 "
#define BLOCK(type, code) "02 " type " " code "0b "
#define LOOP(type, code) "03 " type " " code "0b "
#define IF(type, code) "04 " type " " code "0b "
#define ELSE "05 "
#define VOID "40"
#define AS_I32 "7f"
#define AS_I64 "7e"
#define BR(label) "0c " label " "
#define BR_IF(label) "0d " label " "
#define RETURN "0f "
#define CALL(function) "10 " function " "
#define DROP "1a "
#define SELECT "1b "
#define LOCAL_GET(index) "20 " index " "
#define LOCAL_SET(index) "21 " index " "
#define LOCAL_TEE(index) "22 " index " "
#define GLOBAL_GET(index) "23 " index " "
#define GLOBAL_SET(index) "24 " index " "
#define I32 "41 00 "
#define I64 "42 00 "
#define F32 "43 00 00 00 00 "
#define F64 "44 00 00 00 00 00 00 00 00 "
#define FUNC_NULL "d0 70 "
#define EXTERN_NULL "d0 6f "
#define IS_NULL "d1 "
#define I32_ADD "6a "
#define I64_ADD "7c "

TEST(operands_have_the_types_that_instructions_take) {
    static const struct row rows[] = {
        {NOTHING, "", NULL},
        {NOTHING, "01 ", NULL},
        {GIVES_I32, I32, NULL},
        {GIVES_I32, I32 I32 I32_ADD, NULL},
        {GIVES_TWO, I32 I64, NULL},
        {GIVES_I32, "", "type mismatch in end: expected i32, found nothing"},
        {GIVES_I32, I64, "type mismatch in end: expected i32, found i64"},
        {GIVES_TWO, I64 I32, "type mismatch in end"},
        {NOTHING, I32, "1 values remain"},
        {GIVES_I32, F64 I32, "1 values remain"},
        {GIVES_I32, I32 I64 I32_ADD, "type mismatch in i32.add: expected i32, found i64"},
        {GIVES_I32, I64 I32 I32_ADD, "type mismatch in i32.add: expected i32, found i64"},
        {GIVES_I32, I32 I32_ADD, "type mismatch in i32.add: expected i32, found nothing"},
        {NOTHING, I32 I32 I64_ADD DROP, "type mismatch in i64.add: expected i64, found i32"},
        {NOTHING, DROP, "type mismatch in drop: expected a value, found nothing"},
        {NOTHING, I32 BLOCK(VOID, DROP), "type mismatch in drop"},
        // Saturating conversion, from f32 to i32.
        {GIVES_I32, F32 "fc 00 ", NULL},
        {GIVES_I32, F64 "fc 00 ", "type mismatch in i32.trunc_sat_f32_s"},
        {GIVES_I32, F32 "fc 80 00 ", NULL},
    };
    EXPECT_ROWS(rows);
}

TEST(blocks_take_and_give_what_their_type_says) {
    static const struct row rows[] = {
        {NOTHING, BLOCK(VOID, ""), NULL},
        {GIVES_I32, BLOCK(AS_I32, I32), NULL},
        {GIVES_I32, LOOP(AS_I32, I32), NULL},
        {GIVES_I32, I32 IF(AS_I32, I32 ELSE I32), NULL},
        {NOTHING, I32 IF(VOID, "01 "), NULL},
        // By index of a type: parameters and several results.
        {GIVES_TWO, BLOCK("04", I32 I64), NULL},
        {GIVES_I32, I32 BLOCK("02", I32 I32_ADD), NULL},
        {GIVES_I32, I32 BLOCK("82 00", ""), NULL},
        {GIVES_I32, I32 I32 IF("02", ""), NULL},
        {GIVES_I32, I64 I32 IF("05", "a7 " ELSE DROP I32), NULL},
        {GIVES_I32, I32 BLOCK(VOID, "") DROP, "found nothing"},
        {GIVES_I32, BLOCK("02", "") DROP, "type mismatch in block: expected i32, found nothing"},
        {GIVES_I32, I64 BLOCK("02", ""), "type mismatch in block: expected i32, found i64"},
        {GIVES_I32, BLOCK(AS_I32, I64), "type mismatch in end"},
        {GIVES_I32, BLOCK(AS_I32, I32 I32), "1 values remain"},
        {NOTHING, IF(VOID, ""), "type mismatch in if: expected i32, found nothing"},
        {NOTHING, I64 IF(VOID, ""), "type mismatch in if: expected i32, found i64"},
        {GIVES_I32, I32 IF(AS_I32, I32), "without else"},
        {GIVES_I32, I64 I32 IF("05", "a7 "), "without else"},
        {GIVES_I32, I32 IF(AS_I32, I32 ELSE I64), "type mismatch in end"},
        {GIVES_I32, I32 IF(AS_I32, I64 ELSE I32), "type mismatch in else"},
        {NOTHING, I32 IF(VOID, ELSE ELSE), "else without if"},
        {NOTHING, BLOCK(VOID, ELSE), "else without if"},
        {NOTHING, ELSE, "else without if"},
        {NOTHING, BLOCK("07", ""), "unknown type 7 of a block"},
        {NOTHING, BLOCK("87 00", ""), "unknown type 7 of a block"},
        {NOTHING, BLOCK("ff ff ff ff 0f", ""), "unknown type 4294967295 of a block"},
        {NOTHING, BLOCK("ff 7f", ""), "malformed block type"},
        {NOTHING, BLOCK("c0 7f", ""), "malformed block type"},
        {NOTHING, BLOCK("80 80 80 80 80 00", ""), "integer representation too long"},
        {NOTHING, BLOCK("ff ff ff ff 1f", ""), "integer too large"},
        {NOTHING, BLOCK("41", ""), "unknown type 0x41"},
        {NOTHING, "0b ", "END opcode expected"},
        {NOTHING, "0b 01 ", "END opcode expected"},
        {NOTHING, "02 40 ", "unexpected end"},
    };
    EXPECT_ROWS(rows);
}

TEST(branches_carry_what_their_label_takes) {
    static const struct row rows[] = {
        {NOTHING, BR("00"), NULL},
        {GIVES_I32, I32 BR("00"), NULL},
        {GIVES_I32, BLOCK(AS_I32, I32 BR("01")), NULL},
        {GIVES_I32, I64 I32 BR("00"), NULL},
        {NOTHING, LOOP(VOID, BR("00")), NULL},
        {GIVES_I32, LOOP(AS_I32, BR("00")), NULL},
        {GIVES_I32, I32 LOOP("02", I32 BR_IF("00")), NULL},
        {GIVES_I32, I32 I32 BR_IF("00"), NULL},
        {GIVES_I32, I32 RETURN, NULL},
        {GIVES_TWO, F32 I32 I64 RETURN, NULL},
        {NOTHING, I32 "0e 00 00 ", NULL},
        {NOTHING, BLOCK(VOID, I32 "0e 02 00 01 00 "), NULL},
        {GIVES_I32, BLOCK(AS_I32, I32 I32 "0e 01 00 01 "), NULL},
        {NOTHING, BR("01"), "unknown label 1"},
        {NOTHING, BLOCK(VOID, BR_IF("02")), "unknown label 2"},
        {NOTHING, I32 "0e 01 00 01 ", "unknown label 1"},
        {NOTHING, I32 "0e 01 01 00 ", "unknown label 1"},
        {GIVES_I32, BR("00"), "type mismatch in br: expected i32, found nothing"},
        {GIVES_I32, I64 BR("00"), "type mismatch in br: expected i32, found i64"},
        {GIVES_TWO, I64 BR("00"), "type mismatch in br: expected i32, found nothing"},
        {NOTHING, BR_IF("00"), "type mismatch in br_if: expected i32, found nothing"},
        {GIVES_I32, I32 BR_IF("00"), "type mismatch in br_if"},
        {GIVES_I32, F32 I32 BR_IF("00") DROP I32, "type mismatch in br_if"},
        {GIVES_I32, LOOP(AS_I32, I32 BR("00")) DROP, "found nothing"},
        {GIVES_I32, I64 RETURN, "type mismatch in return: expected i32, found i64"},
        {NOTHING, "0e 00 00 ", "type mismatch in br_table"},
        {GIVES_I32, BLOCK(VOID, I32 I32 "0e 01 00 01 ") I32, "targets take 0 and 1 values"},
        {GIVES_I32, BLOCK(AS_I64, I32 I32 "0e 01 01 00 ") DROP I32, "type mismatch in br_table"},
        {NOTHING, I32 "0e 05 00 ", "branch targets announced"},
    };
    EXPECT_ROWS(rows);
    expect_body(NOTHING, "00", I32 "0e ff ff ff ff 0f 00 ", ERR_LIMIT, "branch targets");
}

// After an instruction that does not continue, the stack has what is asked of it; what is pushed
// there is checked all the same.
TEST(unreachable_code_is_polymorphic) {
    static const struct row rows[] = {
        {GIVES_I32, UNREACHABLE, NULL},
        {GIVES_TWO, UNREACHABLE I64, NULL},
        {GIVES_I32, UNREACHABLE I32_ADD, NULL},
        {GIVES_I32, UNREACHABLE I32 I32_ADD, NULL},
        {NOTHING, UNREACHABLE DROP DROP, NULL},
        {GIVES_I32, UNREACHABLE SELECT, NULL},
        {GIVES_I32, UNREACHABLE SELECT I32_ADD, NULL},
        {GIVES_F64, UNREACHABLE F64 I32 SELECT, NULL},
        {NOTHING, UNREACHABLE SELECT DROP, NULL},
        {GIVES_I32, UNREACHABLE IS_NULL, NULL},
        {GIVES_I32, RETURN, "type mismatch in return"},
        {GIVES_I32, I32 RETURN DROP, NULL},
        {GIVES_I32, I32 BR("00") I32 I32 I32_ADD, NULL},
        {GIVES_I32, UNREACHABLE BR_IF("00"), NULL},
        {GIVES_TWO, UNREACHABLE I64 I32 BR_IF("00"), NULL},
        {GIVES_I32, BLOCK(AS_I32, UNREACHABLE "0e 01 00 01 "), NULL},
        {GIVES_I32, BLOCK(AS_I64, UNREACHABLE "0e 01 00 01 ") DROP I32, NULL},
        {NOTHING, UNREACHABLE CALL("02") DROP DROP, NULL},
        {GIVES_I32, UNREACHABLE BLOCK("02", I32_ADD) DROP I32, "type mismatch in i32.add"},
        {GIVES_I32, UNREACHABLE I64 I32_ADD, "type mismatch in i32.add: expected i32, found i64"},
        {GIVES_I32, UNREACHABLE I32 I32, "1 values remain"},
        {GIVES_TWO, UNREACHABLE I32, "type mismatch in end: expected i64, found i32"},
        {GIVES_I32, UNREACHABLE I64 SELECT, "type mismatch in select"},
        {GIVES_I32, UNREACHABLE F64 I32 SELECT, "type mismatch in end: expected i32, found f64"},
        {GIVES_I32, UNREACHABLE FUNC_NULL I32 SELECT DROP, "type mismatch in select"},
        {GIVES_I32, UNREACHABLE I32 IS_NULL, "type mismatch in ref.is_null"},
        // A conditional branch leaves the types of its label.
        {GIVES_F64, BLOCK(AS_I32, UNREACHABLE BR_IF("00") DROP F64) DROP F64, "type mismatch"},
        {GIVES_F64, BLOCK(AS_I32, UNREACHABLE BR_IF("00") "8b ") DROP F64, "type mismatch"},
        {NOTHING, UNREACHABLE BR("05"), "unknown label 5"},
        {NOTHING, UNREACHABLE LOCAL_GET("00") DROP, "unknown local 0"},
        {NOTHING, UNREACHABLE "ff ", "illegal opcode 0xff"},
        // The end of a block ends the unreachable part.
        {GIVES_I32, BLOCK(VOID, UNREACHABLE) I32_ADD, "type mismatch in i32.add"},
        {GIVES_I32, I32 IF(VOID, UNREACHABLE ELSE DROP) I32, "type mismatch in drop"},
    };
    EXPECT_ROWS(rows);
}

TEST(calls_take_parameters_and_give_results) {
    static const struct row rows[] = {
        {NOTHING, CALL("00"), NULL},
        {NOTHING, I32 I64 CALL("02") DROP DROP, NULL},
        {NOTHING, I64 I32 CALL("02") DROP DROP, "type mismatch in call"},
        {NOTHING, I64 CALL("02") DROP DROP, "type mismatch in call"},
        {NOTHING, CALL("04"), "unknown function 4"},
        {GIVES_I32, I32 I32 "11 02 00 ", NULL},
        {GIVES_I32, I64 I32 "11 02 00 ", "type mismatch in call_indirect: expected i32, found i64"},
        {GIVES_I32, I32 I64 "11 02 00 ", "type mismatch in call_indirect"},
        {NOTHING, I32 "11 00 02 ", "unknown table 2"},
        {NOTHING, I32 "11 07 00 ", "unknown type 7"},
        {NOTHING, I32 "11 00 01 ", "expected a table of funcref, found externref"},
    };
    EXPECT_ROWS(rows);
}

TEST(select_takes_two_of_one_type) {
    static const struct row rows[] = {
        {GIVES_I32, I32 I32 I32 SELECT, NULL},
        {GIVES_I32, I32 I32 I32 "1c 01 7f ", NULL},
        {NOTHING, EXTERN_NULL EXTERN_NULL I32 "1c 01 6f " DROP, NULL},
        {GIVES_I32, I32 I64 I32 SELECT, "type mismatch in select: expected i32, found i64"},
        {GIVES_I32, I32 I32 I64 SELECT, "type mismatch in select: expected i32, found i64"},
        {NOTHING, FUNC_NULL FUNC_NULL I32 SELECT DROP, "type mismatch in select"},
        {NOTHING, FUNC_NULL EXTERN_NULL I32 "1c 01 70 " DROP, "expected funcref, found externref"},
        {NOTHING, I32 I32 I32 "1c 01 7f 9a " DROP, "type mismatch in f64.neg"},
        {NOTHING, I32 "1c 00 ", "invalid result arity"},
        {NOTHING, I32 I32 I32 I32 I32 "1c 02 7f 7f ", "invalid result arity"},
        {NOTHING, I32 I32 I32 "1c 01 40 " DROP, "unknown type 0x40"},
    };
    EXPECT_ROWS(rows);
}

TEST(variables_exist_and_have_types) {
    static const struct row rows[] = {
        {I32_TO_I32, LOCAL_GET("00"), NULL},
        {I32_TO_I32, LOCAL_GET("00") LOCAL_TEE("00"), NULL},
        {I32_TO_I32, I32 LOCAL_SET("00") I32, NULL},
        {I32_TO_I32, LOCAL_GET("01"), "unknown local 1"},
        {I32_TO_I32, I64 LOCAL_SET("00") I32,
         "type mismatch in local.set: expected i32, found i64"},
        {I32_TO_I32, I64 LOCAL_TEE("00"), "type mismatch in local.tee"},
        {GIVES_I32, GLOBAL_GET("00"), NULL},
        {GIVES_I32, GLOBAL_GET("02"), "type mismatch in end: expected i32, found i64"},
        {NOTHING, I32 GLOBAL_SET("01"), NULL},
        {NOTHING, I64 GLOBAL_SET("01"), "type mismatch in global.set"},
        {NOTHING, I32 GLOBAL_SET("00"), "immutable global 0"},
        {NOTHING, I64 GLOBAL_SET("02"), "immutable global 2"},
        {NOTHING, GLOBAL_GET("04") DROP, "unknown global 4"},
        {NOTHING, I32 GLOBAL_SET("04"), "unknown global 4"},
    };
    EXPECT_ROWS(rows);
}

TEST(locals_are_counted_and_typed) {
    expect_body(GIVES_I32, "01 01 7f", LOCAL_GET("00"), OK, NULL);
    expect_body(I32_TO_I32, "02 02 7e 01 7f", LOCAL_GET("03"), OK, NULL);
    expect_body(I32_TO_I32, "02 02 7e 01 7f", LOCAL_GET("02"), ERR_INVALID, "found i64");
    expect_body(NOTHING, "02 02 7e 00 7f", LOCAL_GET("02"), ERR_INVALID, "unknown local 2");
    expect_body(NOTHING, "01 01 40", "", ERR_INVALID, "unknown type 0x40");
    expect_body(NOTHING, "01 01 7b", "", ERR_UNSUPPORTED, "SIMD");
    expect_body(NOTHING, "01 d0 86 03 7f", "", OK, NULL);
    expect_body(NOTHING, "01 d1 86 03 7f", "", ERR_LIMIT, "50001 locals");
    expect_body(NOTHING, "02 ff ff ff ff 0f 7f 01 7e", "", ERR_INVALID, "too many locals");
    expect_body(NOTHING, "ff ff 03 7f", "", ERR_INVALID, "groups of locals announced");
    // Behind 1 parameter, more than the array of locals starts with.
    expect_body(I32_TO_I32, "01 81 08 7e", LOCAL_GET("81 08") "a7 ", OK, NULL);
    expect_body(I32_TO_I32, "01 81 08 7e", LOCAL_GET("82 08") "a7 ", ERR_INVALID, "unknown local");
}

TEST(memory_instructions) {
    static const struct row rows[] = {
        {GIVES_I32, I32 "28 02 00 ", NULL},
        {GIVES_I32, I32 "28 00 ff ff ff ff 0f ", NULL},
        {GIVES_I32, I32 "28 40 00 00 ", NULL},
        {GIVES_I32, I32 "28 03 00 ", "alignment must not be larger than natural"},
        {GIVES_I32, I32 "2c 01 00 ", "alignment must not be larger than natural"},
        {GIVES_I32, I32 "28 43 00 00 ", "alignment must not be larger than natural"},
        {GIVES_I32, I32 "28 82 01 00 ", "malformed memop flags"},
        {GIVES_I32, I32 "28 40 01 00 ", "unknown memory 1"},
        {GIVES_I32, I32 "28 02 ff ff ff ff 1f ", "integer too large"},
        {GIVES_I32, I32 "28 02 80 80 80 80 80 00 ", "integer representation too long"},
        {GIVES_I32, I64 "28 02 00 ", "type mismatch in i32.load"},
        {NOTHING, I32 I64 "37 03 00 ", NULL},
        {NOTHING, I32 I32 "37 03 00 ", "type mismatch in i64.store: expected i64, found i32"},
        {NOTHING, I64 I64 "37 03 00 ", "type mismatch in i64.store: expected i32, found i64"},
        {GIVES_I32, "3f 00 ", NULL},
        {GIVES_I32, I32 "40 00 ", NULL},
        {GIVES_I32, "3f 01 ", "unknown memory 1"},
        {GIVES_I32, I64 "40 00 ", "type mismatch in memory.grow"},
        {NOTHING, I32 I32 I32 "fc 08 00 00 ", NULL},
        {NOTHING, I32 I32 I32 "fc 08 01 00 ", "unknown data segment 1"},
        {NOTHING, I32 I32 I32 "fc 08 00 01 ", "unknown memory 1"},
        {NOTHING, I32 I32 I64 "fc 08 00 00 ", "type mismatch in memory.init"},
        {NOTHING, "fc 09 00 ", NULL},
        {NOTHING, "fc 09 01 ", "unknown data segment 1"},
        {NOTHING, I32 I32 I32 "fc 0a 00 00 ", NULL},
        {NOTHING, I32 I32 I32 "fc 0a 00 01 ", "unknown memory 1"},
        {NOTHING, I64 I32 I32 "fc 0a 00 00 ", "type mismatch in memory.copy"},
        {NOTHING, I32 I32 I32 "fc 0b 00 ", NULL},
        {NOTHING, I32 I32 "fc 0b 00 ", "type mismatch in memory.fill"},
        {NOTHING, "fc 12 ", "illegal opcode 0xfc 18"},
    };
    EXPECT_ROWS(rows);
}

TEST(table_and_reference_instructions) {
    static const struct row rows[] = {
        {NOTHING, I32 "25 01 " I32 "25 01 " I32 "1c 01 6f " DROP, NULL},
        {NOTHING, I32 "25 00 " GLOBAL_SET("03"), NULL},
        {NOTHING, I32 "25 01 " GLOBAL_SET("03"), "type mismatch in global.set"},
        {NOTHING, I32 "25 02 " DROP, "unknown table 2"},
        {NOTHING, I32 FUNC_NULL "26 00 ", NULL},
        {NOTHING, I32 EXTERN_NULL "26 00 ", "expected funcref, found externref"},
        {NOTHING, I64 EXTERN_NULL "26 01 ", "type mismatch in table.set: expected i32, found i64"},
        {NOTHING, I32 I32 I32 "fc 0c 00 00 ", NULL},
        {NOTHING, I32 I32 I32 "fc 0c 01 01 ", NULL},
        {NOTHING, I32 I32 I32 "fc 0c 01 00 ", "type mismatch in table.init"},
        {NOTHING, I32 I32 I32 "fc 0c 02 00 ", "unknown elem segment 2"},
        {NOTHING, I32 I32 I32 "fc 0c 00 02 ", "unknown table 2"},
        {NOTHING, "fc 0d 01 ", NULL},
        {NOTHING, "fc 0d 02 ", "unknown elem segment 2"},
        {NOTHING, I32 I32 I32 "fc 0e 01 01 ", NULL},
        {NOTHING, I32 I32 I32 "fc 0e 00 01 ", "type mismatch in table.copy"},
        {NOTHING, I32 I32 "fc 0e 00 00 ", "type mismatch in table.copy"},
        {GIVES_I32, EXTERN_NULL I32 "fc 0f 01 ", NULL},
        {GIVES_I32, I32 EXTERN_NULL "fc 0f 01 ", "type mismatch in table.grow"},
        {GIVES_I32, "fc 10 01 ", NULL},
        {GIVES_I32, "fc 10 02 ", "unknown table 2"},
        {NOTHING, I32 FUNC_NULL I32 "fc 11 00 ", NULL},
        {NOTHING, I32 FUNC_NULL I32 "fc 11 01 ", "type mismatch in table.fill"},
        {GIVES_I32, FUNC_NULL IS_NULL, NULL},
        {GIVES_I32, I32 IS_NULL, "type mismatch in ref.is_null: expected a reference, found i32"},
        {NOTHING, "d2 02 " DROP, NULL},
        {NOTHING, "d2 03 " DROP, "undeclared function reference"},
        {NOTHING, "d2 01 " DROP, "undeclared function reference"},
        {NOTHING, "d2 04 " DROP, "unknown function 4"},
        {NOTHING, "d0 7f " DROP, "unknown type 0x7f"},
    };
    EXPECT_ROWS(rows);
    expect_body(NOTHING, "00", "d0 00 " DROP, ERR_UNSUPPORTED, "typed function references");
    expect_body(NOTHING, "00", "d0 6e " DROP, ERR_UNSUPPORTED, "GC");
}

TEST(numbers_are_as_long_as_they_may_be) {
    static const struct row rows[] = {
        {GIVES_I32, "41 80 80 80 80 78 ", NULL},
        {GIVES_I32, "41 ff ff ff ff 07 ", NULL},
        {GIVES_I32, "41 80 80 80 80 00 ", NULL},
        {GIVES_I32, "41 80 80 80 80 70 ", "integer too large"},
        {GIVES_I32, "41 ff ff ff ff 0f ", "integer too large"},
        {GIVES_I32, "41 80 80 80 80 80 00 ", "integer representation too long"},
        {NOTHING, "42 80 80 80 80 80 80 80 80 80 7f " DROP, NULL},
        {NOTHING, "42 ff ff ff ff ff ff ff ff ff 00 " DROP, NULL},
        {NOTHING, "42 80 80 80 80 80 80 80 80 80 7e " DROP, "integer too large"},
        {NOTHING, "42 80 80 80 80 80 80 80 80 80 80 00 " DROP, "integer representation too long"},
        {NOTHING, CALL("80 80 80 80 00"), NULL},
        {NOTHING, CALL("80 80 80 80 10"), "integer too large"},
        {NOTHING, CALL("80 80 80 80 80 00"), "integer representation too long"},
        {NOTHING, "44 00 00 00 ", "unexpected end"},
    };
    EXPECT_ROWS(rows);
}

// ---- bounds
// --------------------------------------------------------------------------------------

static void expect_repeated(const char *before, const char *part, uint32_t count, const char *after,
                            enum status status, const char *wanted) {
    struct buf code = {0};
    buf_append_text(&code, before);
    for (uint32_t i = 0; i < count; i++)
        buf_append_text(&code, part);
    buf_append_text(&code, after);
    struct buf out = {0};
    put_module_around(&out, NOTHING, "00", buf_text(&code));
    expect_verdict(part, &out, status, wanted);
    buf_release(&code);
    buf_release(&out);
}

TEST(nesting_and_the_stack_are_bounded) {
    // Each block is closed by an end of its own; the function is a level as well.
    struct buf ends = {0};
    for (uint32_t i = 0; i < 9999; i++)
        buf_append_text(&ends, "0b ");
    expect_repeated("", "02 40 ", 9999, buf_text(&ends), OK, NULL);
    expect_repeated("", "02 40 ", 10000, buf_text(&ends), ERR_LIMIT, "blocks nested deeper");
    buf_release(&ends);
    expect_repeated("", I32, 100000, UNREACHABLE, OK, NULL);
    expect_repeated("", I32, 100001, UNREACHABLE, ERR_LIMIT, "values on the stack");
    expect_repeated(I32 "0e f0 ff 03 ", "00 ", 65521, "", OK, NULL);
    expect_repeated(I32 "0e f1 ff 03 ", "00 ", 65522, "", ERR_LIMIT, "branch targets");
}

// A type may have a thousand results, so two bytes can push a thousand operands.
TEST(calls_cannot_push_without_bound) {
    struct buf out = {0}, type = {0}, body = {0}, code = {0};
    put_hex(&type, "01 60 00 e8 07");
    for (uint32_t i = 0; i < 1000; i++)
        put_hex(&type, "7f");
    put_header(&out);
    put_section(&out, 1, buf_slice(&type));
    put_section(&out, 3, slice_of("\1\0", 2));
    put_hex(&body, "00");
    for (uint32_t i = 0; i < 101; i++)
        put_hex(&body, "10 00");
    put_hex(&body, "00 0b");
    put_hex(&code, "01");
    put_u32(&code, (uint32_t)body.size);
    buf_append_slice(&code, buf_slice(&body));
    put_section(&out, 10, buf_slice(&code));
    expect_verdict("calls", &out, ERR_LIMIT, "values on the stack");
    buf_release(&out);
    buf_release(&type);
    buf_release(&body);
    buf_release(&code);
}

// ---- declarations ----------------------------------------------------------------------------

TEST(constant_expressions) {
    VALID_SECTIONS("06: 01 7f 00 41 00 0b");
    VALID_SECTIONS("06: 01 70 00 d0 70 0b");
    VALID_SECTIONS("06: 01 7f 00 41 00 41 00 41 00 6c 6a 0b");
    VALID_SECTIONS("06: 01 7e 00 42 00 42 00 7d 0b");
    VALID_SECTIONS("06: 02 7f 00 41 00 0b 7f 00 23 00 0b");
    VALID_SECTIONS("02: 01 01 6d 01 67 03 7f 00; 06: 01 7f 00 23 00 0b");
    INVALID_SECTIONS("06: 01 7f 00 42 00 0b", "type mismatch in end: expected i32, found i64");
    INVALID_SECTIONS("06: 01 7f 00 0b", "type mismatch");
    INVALID_SECTIONS("06: 01 7f 00 41 00 41 00 0b", "1 values remain");
    INVALID_SECTIONS("06: 01 7f 00 41 00 6a 0b", "type mismatch in i32.add");
    INVALID_SECTIONS("06: 01 7f 00 41 00 42 00 6a 0b", "type mismatch in i32.add");
    INVALID_SECTIONS("06: 01 70 00 d0 6f 0b", "expected funcref, found externref");
    INVALID_SECTIONS("06: 01 7f 00 01 41 00 0b", "constant expression required, found nop");
    INVALID_SECTIONS("06: 01 7f 00 41 00 41 00 6d 0b", "constant expression required");
    INVALID_SECTIONS("06: 01 7f 00 02 7f 41 00 0b 0b", "constant expression required");
    INVALID_SECTIONS("06: 01 7f 00 00 0b", "constant expression required, found unreachable");
    INVALID_SECTIONS("06: 01 7f 00 fc 00 0b", "constant expression required");
    INVALID_SECTIONS("06: 01 7f 00 ff 0b", "illegal opcode 0xff");
    INVALID_SECTIONS("06: 01 7f 00 41 00", "unexpected end");
    INVALID_SECTIONS("06: 01 7f 00 23 00 0b", "unknown global 0");
    INVALID_SECTIONS("06: 02 7f 00 23 01 0b 7f 00 41 00 0b", "unknown global 1");
    INVALID_SECTIONS("06: 02 7f 01 41 00 0b 7f 00 23 00 0b", "global 0 is mutable");
    INVALID_SECTIONS("06: 02 7e 00 42 00 0b 7f 00 23 00 0b", "expected i32, found i64");
    INVALID_SECTIONS("06: 01 70 00 d2 00 0b", "unknown function 0");
    expect_sections("06: 01 7f 00 fd 0c 0b", ERR_UNSUPPORTED, "SIMD");
}

TEST(what_global_and_segments_name_may_be_referred_to) {
    // Function 0 does "ref.func 0, drop"; each of the others declares it in another way.
    INVALID_SECTIONS("01: 01 60 00 00; 03: 01 00; 0a: 01 05 00 d2 00 1a 0b", "undeclared");
    VALID_SECTIONS("01: 01 60 00 00; 03: 01 00; 06: 01 70 00 d2 00 0b; 0a: 01 05 00 d2 00 1a 0b");
    VALID_SECTIONS("01: 01 60 00 00; 03: 01 00; 07: 01 01 66 00 00; 0a: 01 05 00 d2 00 1a 0b");
    VALID_SECTIONS("01: 01 60 00 00; 03: 01 00; 09: 01 03 00 01 00; 0a: 01 05 00 d2 00 1a 0b");
    VALID_SECTIONS(
        "01: 01 60 00 00; 03: 01 00; 09: 01 07 70 01 d2 00 0b; 0a: 01 05 00 d2 00 1a 0b");
    // To be started, or exported under the index of something else, is not to be referred to.
    INVALID_SECTIONS("01: 01 60 00 00; 03: 01 00; 08: 00; 0a: 01 05 00 d2 00 1a 0b", "undeclared");
    INVALID_SECTIONS(
        "01: 01 60 00 00; 03: 01 00; 05: 01 00 01; 07: 01 01 66 02 00; 0a: 01 05 00 d2 00 1a 0b",
        "undeclared");
}

TEST(memories_and_tables) {
    VALID_SECTIONS("05: 01 00 80 80 04");
    VALID_SECTIONS("05: 01 01 00 80 80 04");
    INVALID_SECTIONS("05: 01 00 81 80 04", "memory size must be at most 65536 pages");
    INVALID_SECTIONS("05: 01 01 00 81 80 04", "memory size must be at most 65536 pages");
    INVALID_SECTIONS("05: 01 01 02 01", "size minimum must not be greater than maximum");
    INVALID_SECTIONS("05: 01 08 01", "malformed limits flags");
    VALID_SECTIONS("04: 01 70 01 01 02");
    VALID_SECTIONS("04: 01 6f 01 00 ff ff ff ff 0f");
    INVALID_SECTIONS("04: 01 70 01 02 01", "size minimum must not be greater than maximum");
    INVALID_SECTIONS("04: 01 7f 00 01", "unknown type 0x7f");
    INVALID_SECTIONS("01: 01 60 00 00; 03: 01 00; 0a: 01 08 00 41 00 28 02 00 1a 0b",
                     "unknown memory 0");
    INVALID_SECTIONS("01: 01 60 00 00; 03: 01 00; 0a: 01 07 00 41 00 11 00 00 0b",
                     "unknown table 0");
}

TEST(segments) {
    VALID_SECTIONS("04: 01 70 00 01; 09: 01 00 41 00 0b 00");
    VALID_SECTIONS("04: 02 6f 00 01 70 00 01; 09: 01 02 01 41 00 0b 00 00");
    VALID_SECTIONS("04: 01 6f 00 01; 09: 01 06 00 41 00 0b 6f 01 d0 6f 0b");
    INVALID_SECTIONS("09: 01 00 41 00 0b 00", "unknown table 0");
    INVALID_SECTIONS("04: 01 6f 00 01; 09: 01 00 41 00 0b 00",
                     "an element segment of funcref for a table of externref");
    INVALID_SECTIONS("04: 01 70 00 01; 09: 01 06 00 41 00 0b 6f 00",
                     "element segment of externref");
    INVALID_SECTIONS("04: 01 70 00 01; 09: 01 00 42 00 0b 00", "expected i32, found i64");
    INVALID_SECTIONS("04: 01 70 00 01; 09: 01 00 41 00 0b 01 00", "unknown function 0");
    INVALID_SECTIONS("09: 01 05 70 01 d0 6f 0b", "expected funcref, found externref");
    INVALID_SECTIONS("09: 01 05 70 01 41 00 0b", "expected funcref, found i32");
    INVALID_SECTIONS("09: 01 01 01 00", "malformed element kind");
    INVALID_SECTIONS("09: 01 08 00", "malformed element segment flags");
    VALID_SECTIONS("05: 01 00 01; 0b: 01 00 41 00 0b 01 00");
    VALID_SECTIONS("05: 01 00 01; 0b: 01 02 00 41 00 0b 01 00");
    VALID_SECTIONS("0b: 01 01 01 00");
    INVALID_SECTIONS("0b: 01 00 41 00 0b 00", "unknown memory 0");
    INVALID_SECTIONS("05: 01 00 01; 0b: 01 02 01 41 00 0b 00", "unknown memory 1");
    INVALID_SECTIONS("05: 01 00 01; 0b: 01 00 43 00 00 00 00 0b 00", "expected i32, found f32");
    INVALID_SECTIONS("05: 01 00 01; 0b: 01 03 00", "malformed data segment flags");
    INVALID_SECTIONS("0b: 01 01 05 00", "unexpected end");
}

TEST(data_count) {
    VALID_SECTIONS("0c: 01; 0b: 01 01 00");
    INVALID_SECTIONS("0c: 02; 0b: 01 01 00", "data count and data section");
    INVALID_SECTIONS("0c: 01", "data count and data section");
    INVALID_SECTIONS("01: 01 60 00 00; 03: 01 00; 0a: 01 05 00 fc 09 00 0b; 0b: 01 01 00",
                     "data count section required");
    VALID_SECTIONS("01: 01 60 00 00; 03: 01 00; 0c: 01; 0a: 01 05 00 fc 09 00 0b; 0b: 01 01 00");
}

TEST(start_and_exports) {
    VALID_SECTIONS("01: 01 60 00 00; 03: 01 00; 08: 00; 0a: 01 02 00 0b");
    INVALID_SECTIONS("01: 01 60 00 00; 03: 01 00; 08: 01; 0a: 01 02 00 0b", "start function 1");
    INVALID_SECTIONS("01: 01 60 01 7f 00; 03: 01 00; 08: 00; 0a: 01 02 00 0b", "start function 0");
    INVALID_SECTIONS("01: 01 60 00 01 7f; 03: 01 00; 08: 00; 0a: 01 04 00 41 00 0b",
                     "start function 0");
    INVALID_SECTIONS("05: 01 00 01; 07: 02 01 61 02 00 01 61 02 00", "duplicate export name");
    VALID_SECTIONS("05: 01 00 01; 07: 02 01 61 02 00 01 62 02 00");
    INVALID_SECTIONS("07: 01 01 61 00 00", "unknown function 0");
    INVALID_SECTIONS("07: 01 01 61 01 00", "unknown table 0");
    INVALID_SECTIONS("07: 01 01 61 03 00", "unknown global 0");
    INVALID_SECTIONS("00: 02 c3 28", "UTF-8");
    INVALID_SECTIONS("02: 01 03 ed a0 80 00 02 00 01", "UTF-8");
}

TEST(errors_name_the_function_and_the_byte) {
    // Function 1 is the first that is defined here; its i32.add is at byte 34.
    INVALID_SECTIONS(
        "01: 01 60 00 00; 02: 01 01 6d 01 66 00 00; 03: 01 00; 0a: 01 06 00 41 00 6a 1a 0b",
        "byte 34, function 1: type mismatch in i32.add: expected i32, found nothing");
    INVALID_SECTIONS("01: 01 60 00 00; 03: 02 00 00; 0a: 02 02 00 0b 03 00 ff 0b",
                     "byte 27, function 1: illegal opcode 0xff");
}

// ---- the table of instructions -----------------------------------------------------------------

static uint8_t type_of(const char *name) {
    static const uint8_t types[] = {WASM_I32, WASM_I64, WASM_F32, WASM_F64};
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (strncmp(name, wasm_type_name(types[i]), 3) == 0)
            return types[i];
    return 0;
}

static bool is_one_of(const char *name, const char *words) {
    char padded[64];
    (void)snprintf(padded, sizeof padded, " %s ", name);
    return strstr(words, padded) != NULL;
}

// What a numeric instruction takes and gives can be told from its name.
static void expect_numeric(const struct wasm_opcode *op) {
    const char *name = op->name + 4;
    uint8_t type = type_of(op->name), from = type, to = type;
    bool unary = is_one_of(name,
                           " eqz clz ctz popcnt abs neg ceil floor trunc nearest sqrt extend8_s "
                           "extend16_s extend32_s ");
    bool compares =
        is_one_of(name, " eqz eq ne lt gt le ge lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u ");
    const char *other = strpbrk(name, "_");
    while (other != NULL && type_of(other + 1) == 0)
        other = strchr(other + 1, '_');
    if (other != NULL)
        from = type_of(other + 1);
    if (compares)
        to = WASM_I32;
    EXPECT(type != 0 && op->check == NULL);
    bool right = op->pops == (unary || other != NULL ? 1 : 2) && op->pop[0] == from &&
                 (op->pops == 1 || op->pop[1] == from) && op->push == to;
    if (!right)
        test_report(__FILE__, __LINE__, "the table's entry of %s", op->name);
}

TEST(numeric_instructions_are_what_their_names_say) {
    for (unsigned opcode = 0x45; opcode <= 0xc4; opcode++)
        expect_numeric(&wasm_opcodes[opcode]);
    for (unsigned number = 0; number < 8; number++)
        expect_numeric(&wasm_opcodes_fc[number]);
}

TEST(loads_and_stores_are_what_their_names_say) {
    for (unsigned opcode = 0x28; opcode <= 0x3e; opcode++) {
        const struct wasm_opcode *op = &wasm_opcodes[opcode];
        uint8_t type = type_of(op->name);
        bool loads = strncmp(op->name + 4, "load", 4) == 0;
        unsigned bits = (unsigned)strtoul(op->name + (loads ? 8 : 9), NULL, 10);
        if (bits == 0)
            bits = type == WASM_I32 || type == WASM_F32 ? 32 : 64;
        EXPECT_U64(8u << op->alignment_log, bits);
        EXPECT_U64(op->pops, loads ? 1 : 2);
        EXPECT_U64(op->pop[0], WASM_I32);
        EXPECT_U64(loads ? op->push : op->pop[1], type);
        EXPECT(!loads || op->pop[1] == 0);
        EXPECT(loads || op->push == 0);
    }
}

int main(void) {
    return test_main();
}

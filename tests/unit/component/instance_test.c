// SPDX-License-Identifier: Apache-2.0
// Running components: the canonical ABI against a guest that lies in every way it can (inputs/
// hostile.wat), component-to-component calls, and the life of an instance.
#include "../../conformance/driver.h"
#include "test.h"

#define INPUTS SOURCE_FOLDER "/tests/unit/component/inputs/"

static struct driver *driver;

// A component with an instance and what its host functions saw.
struct fixture {
    struct component *component;
    struct component_linked *linked;
    struct component_instance *instance;
    struct arena arena;
    struct error error;
    struct buf log;
    const char *pulled;  // what `pull` gives
    uint32_t pulled_size;
    bool is_trapping;  // host functions trap
};
static struct fixture fixture;

static bool host_log(struct component_call *call, const struct value *args, struct value *result) {
    (void)result;
    struct fixture *self = component_call_owner(call);
    buf_append(&self->log, args[0].bytes, args[0].count);
    buf_append_byte(&self->log, ';');
    return !self->is_trapping || component_call_trap(call, "the host says %s", "no");
}

static bool host_pull(struct component_call *call, const struct value *args, struct value *result) {
    (void)args;
    struct fixture *self = component_call_owner(call);
    *result = (struct value){.bytes = (const uint8_t *)self->pulled, .count = self->pulled_size};
    return true;
}

static bool host_reenter(struct component_call *call, const struct value *args,
                         struct value *result) {
    (void)args;
    struct fixture *self = component_call_owner(call);
    struct error error = {.code = OK};
    int index = driver_find(self->component, "", "reallocs");
    EXPECT(component_call(self->instance, (uint32_t)index, NULL, result, component_call_arena(call),
                          &error) == COMPONENT_TRAPPED);
    EXPECT_CONTAINS(error.message, "cannot enter component instance");
    return true;
}

static bool host_echo(struct component_call *call, const struct value *args, struct value *result) {
    EXPECT(strcmp(component_call_data(call), "data") == 0);
    EXPECT_U64(component_call_type(call)->param_count, 1);
    uint8_t *copy = arena_alloc(component_call_arena(call), args[0].count + 1u, 1);
    copy[0] = '*';
    memcpy(copy + 1, args[0].bytes, args[0].count);
    *result = (struct value){.bytes = copy, .count = args[0].count + 1};
    return true;
}

static enum status resolve(void *resolver, const struct component_import *import,
                           struct component_host_func *out, struct error *error) {
    (void)resolver;
    *out = (struct component_host_func){.data = "data"};
    if (slice_equal_text(import->name, "log")) {
        out->fn = host_log;
    } else if (slice_equal_text(import->name, "pull")) {
        out->fn = host_pull;
    } else if (slice_equal_text(import->name, "reenter")) {
        out->fn = host_reenter;
    } else if (slice_equal_text(import->name, "host")) {
        out->fn = host_echo;
    } else {
        return error_set(error, ERR_NOT_FOUND, "no such function");
    }
    return OK;
}

static void start(void) {
    if (component_instantiate(fixture.linked, &fixture, &driver->budget, &fixture.instance,
                              &fixture.error) != COMPONENT_DONE) {
        driver_end(fixture.error.code, &fixture.error);
    }
}

static void open_with(const char *path, uint64_t limit) {
    fixture = (struct fixture){.pulled = "pulled", .pulled_size = 6};
    arena_init(&fixture.arena, limit);
    fixture.component = driver_load(driver, path);
    REQUIRE_OK(
        component_link(fixture.component, resolve, NULL, NULL, &fixture.linked, &fixture.error),
        fixture.error);
    start();
}

static void open_hostile(void) {
    open_with(INPUTS "hostile.wasm", 1 << 20);
}

static void close_fixture(void) {
    component_instance_free(fixture.instance);
    component_linked_unref(fixture.linked);
    component_unref(fixture.component);
    arena_release(&fixture.arena);
    buf_release(&fixture.log);
    EXPECT_U64(driver->budget.memory_used_bytes, 0);
}

static void restart(void) {
    component_instance_free(fixture.instance);
    start();
}

static enum component_outcome call_values(const char *name, const struct value *args,
                                          struct value *result) {
    int index = driver_find(fixture.component, "", name);
    REQUIRE(index >= 0);
    fixture.error = (struct error){.code = OK};
    return component_call(fixture.instance, (uint32_t)index, args, result, &fixture.arena,
                          &fixture.error);
}

static struct value result;

// Calls with up to two u32; gives whether it worked. The result is in `result`.
static bool call(const char *name, uint32_t a, uint32_t b) {
    struct value args[2] = {{.bits = a}, {.bits = b}};
    arena_reset(&fixture.arena);
    result = (struct value){.bits = 0};
    return call_values(name, args, &result) == COMPONENT_DONE;
}

#define EXPECT_DONE(name, a, b)                                                       \
    do {                                                                              \
        if (!call((name), (a), (b)))                                                  \
            test_report(__FILE__, __LINE__, "%s: %s", (name), fixture.error.message); \
    } while (0)

// Expects a trap with this text, that the instance is dead then, and makes a new one.
#define EXPECT_TRAP(name, a, b, text)                         \
    do {                                                      \
        EXPECT(!call((name), (a), (b)));                      \
        EXPECT_U64(fixture.error.code, ERR_TRAP);             \
        EXPECT_CONTAINS(fixture.error.message, (text));       \
        EXPECT(component_instance_is_dead(fixture.instance)); \
        restart();                                            \
    } while (0)

static void poke_bytes(uint32_t at, const char *bytes, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) {
        EXPECT_DONE("poke8", at + i, (uint8_t)bytes[i]);
    }
}

static uint32_t peek(uint32_t at) {
    EXPECT_DONE("peek", at, 0);
    return (uint32_t)result.bits;
}

static bool take(const char *name, const char *text, uint32_t size) {
    struct value arg = {.bytes = (const uint8_t *)text, .count = size};
    arena_reset(&fixture.arena);
    return call_values(name, &arg, &result) == COMPONENT_DONE;
}

// ---- strings out of the guest ------------------------------------------------------------------

TEST(lying_string_lengths_trap) {
    open_hostile();
    EXPECT_TRAP("give-utf8", 0, 0x10001, "string content out-of-bounds");
    EXPECT_TRAP("give-utf8", 0xffffffff, 1, "string content out-of-bounds");
    EXPECT_TRAP("give-utf8", 0xfffffff0, 0x20, "string content out-of-bounds");
    EXPECT_TRAP("give-utf8", 0x10001, 0, "string content out-of-bounds");
    EXPECT_DONE("give-utf8", 0x10000, 0);
    EXPECT_U64(result.count, 0);
    EXPECT_TRAP("give-utf8", 0, 0x10000000, "limit of 2^28-1");
    EXPECT_TRAP("give-utf8", 0, 0xffffffff, "limit of 2^28-1");
    // Lengths of UTF-16 count in units of two bytes.
    EXPECT_TRAP("give-utf16", 0, 0x8001, "string content out-of-bounds");
    EXPECT_TRAP("give-utf16", 0, 0x80000000, "limit of 2^28-1");
    EXPECT_TRAP("give-utf16", 1, 0, "not aligned to 2");
    EXPECT_TRAP("give-latin1", 1, 1, "not aligned to 2");
    EXPECT_TRAP("give-latin1", 0, 0x80008001, "string content out-of-bounds");
    EXPECT_DONE("give-utf16", 0x10000, 0);
    close_fixture();
}

TEST(strings_come_out_in_every_encoding) {
    open_hostile();
    poke_bytes(512, "n\0l \xf0\x9f\x98\x80", 8);
    EXPECT_DONE("give-utf8", 512, 8);
    EXPECT(result.count == 8 && memcmp(result.bytes, "n\0l \xf0\x9f\x98\x80", 8) == 0);
    poke_bytes(512, "a\0\x3d\xd8\x00\xde\xe9\0", 8);
    EXPECT_DONE("give-utf16", 512, 4);
    EXPECT(result.count == 7 && memcmp(result.bytes, "a\xf0\x9f\x98\x80\xc3\xa9", 7) == 0);
    EXPECT_DONE("give-latin1", 512, 4u | 1u << 31);
    EXPECT(result.count == 7 && memcmp(result.bytes, "a\xf0\x9f\x98\x80\xc3\xa9", 7) == 0);
    poke_bytes(512, "a\xe9\xff", 3);
    EXPECT_DONE("give-latin1", 512, 3);
    EXPECT(result.count == 5 && memcmp(result.bytes, "a\xc3\xa9\xc3\xbf", 5) == 0);
    close_fixture();
}

TEST(malformed_strings_trap) {
    open_hostile();
    poke_bytes(512, "ok\xed\xa0\x80", 5);
    EXPECT_TRAP("give-utf8", 512, 5, "invalid utf-8");
    poke_bytes(512, "\xc3", 1);
    EXPECT_TRAP("give-utf8", 512, 1, "invalid utf-8");
    poke_bytes(512, "\x3d\xd8", 2);
    EXPECT_TRAP("give-utf16", 512, 1, "unpaired surrogate");
    poke_bytes(512, "\x00\xde\x3d\xd8", 4);
    EXPECT_TRAP("give-utf16", 512, 2, "unpaired surrogate");
    poke_bytes(512, "\x00\xde", 2);
    EXPECT_TRAP("give-latin1", 512, 1u | 1u << 31, "unpaired surrogate");
    close_fixture();
}

// ---- lists and other values out of the guest
// -----------------------------------------------------

TEST(lying_lists_trap) {
    open_hostile();
    EXPECT_TRAP("give-u64s", 4, 1, "list pointer not aligned to 8");
    EXPECT_TRAP("give-u64s", 0, 0x2001, "list content out-of-bounds");
    EXPECT_TRAP("give-u64s", 0, 0x20000001, "limit of 2^28-1");
    EXPECT_TRAP("give-u64s", 0xfffffff8, 1, "list content out-of-bounds");
    EXPECT_DONE("give-u64s", 0x10000, 0);
    EXPECT_DONE("give-u64s", 0, 0x2000);
    EXPECT_U64(result.count, 0x2000);
    EXPECT_TRAP("give-strings", 2, 1, "list pointer not aligned to 4");
    EXPECT_DONE("poke", 1028, 0x7fffffff);
    EXPECT_TRAP("give-strings", 1024, 1, "limit of 2^28-1");
    close_fixture();
}

// A list whose items all name one large string asks for much more than the memory holds.
TEST(amplified_lists_hit_the_limit) {
    open_hostile();
    EXPECT_DONE("set-realloc", 0, 0);
    for (uint32_t i = 0; i < 64; i++) {
        EXPECT_DONE("poke", 8192 + i * 8, 0);
        EXPECT_DONE("poke", 8196 + i * 8, 0x7000);
    }
    EXPECT_TRAP("give-strings", 8192, 64, "limit of 1048576 bytes");
    close_fixture();
}

TEST(scalars_follow_the_canonical_abi) {
    open_hostile();
    EXPECT_DONE("give-bool", 0x100, 0);
    EXPECT_U64(result.bits, 1);
    EXPECT_DONE("give-u8", 0x1ff, 0);
    EXPECT_U64(result.bits, 0xff);
    EXPECT_DONE("give-s16", 0x18000, 0);
    EXPECT_U64(result.bits, (uint64_t)-32768);
    EXPECT_DONE("give-flags3", 0xffffffff, 0);
    EXPECT_U64(result.bits, 7);
    EXPECT_DONE("give-enum3", 2, 0);
    EXPECT_U64(result.which, 2);
    EXPECT_TRAP("give-enum3", 3, 0, "discriminant 3");
    EXPECT_TRAP("give-enum3", 0x100, 0, "discriminant 256");
    EXPECT_DONE("give-char", 0x10ffff, 0);
    EXPECT_DONE("give-char", 0xd7ff, 0);
    EXPECT_TRAP("give-char", 0x110000, 0, "char");
    EXPECT_TRAP("give-char", 0xd800, 0, "char");
    EXPECT_TRAP("give-char", 0xdfff, 0, "char");
    close_fixture();
}

TEST(result_pointers_are_checked) {
    open_hostile();
    EXPECT_TRAP("give-pair", 2, 0, "unaligned pointer");
    EXPECT_TRAP("give-pair", 0xfffc, 0, "out of bounds");
    EXPECT_TRAP("give-pair", 0xfffffffc, 0, "out of bounds");
    EXPECT_DONE("give-pair", 0xfff8, 0);
    // `give` writes at 2048: the discriminant is one byte, the payload lies at 4.
    EXPECT_DONE("give-case", 0xff00, 7);
    EXPECT(result.which == 0 && result.items[0].bits == 7);
    EXPECT_DONE("give-case", 2, 0);
    EXPECT(result.which == 2 && result.items == NULL);
    EXPECT_TRAP("give-case", 3, 0, "discriminant 3");
    close_fixture();
}

// ---- values into the guest
// -----------------------------------------------------------------------

TEST(strings_go_in_in_every_encoding) {
    open_hostile();
    EXPECT(take("take-utf8", "\xc3\xa9t", 3));
    EXPECT_DONE("last-length", 0, 0);
    EXPECT_U64(result.bits, 3);
    EXPECT_DONE("last-at", 0, 0);
    EXPECT_U64(peek((uint32_t)result.bits) & 0xffffff, 0x74a9c3);
    EXPECT(take("take-utf16", "\xc3\xa9\xf0\x9f\x98\x80", 6));
    EXPECT_DONE("last-length", 0, 0);
    EXPECT_U64(result.bits, 3);
    EXPECT_DONE("last-at", 0, 0);
    uint32_t at = (uint32_t)result.bits;
    EXPECT_U64(peek(at), 0xd83d00e9);
    EXPECT_U64(peek(at + 4) & 0xffff, 0xde00);
    EXPECT(take("take-latin1", "\xc3\xa9\xc3\xbf", 4));
    EXPECT_DONE("last-length", 0, 0);
    EXPECT_U64(result.bits, 2);
    EXPECT(take("take-latin1", "\xc3\xa9\xc4\x80", 4));
    EXPECT_DONE("last-length", 0, 0);
    EXPECT_U64(result.bits, 2u | 1u << 31);
    EXPECT(take("take-utf8", "", 0));
    EXPECT_DONE("reallocs", 0, 0);
    EXPECT_U64(result.bits, 5);
    close_fixture();
}

TEST(strings_of_the_host_that_are_not_utf8_do_not_get_in) {
    open_hostile();
    EXPECT(!take("take-utf8", "\xff", 1));
    EXPECT_CONTAINS(fixture.error.message, "not utf-8");
    restart();
    EXPECT(!take("take-utf16", "\xed\xa0\x80", 3));
    close_fixture();
}

static void expect_realloc_trap(uint32_t mode, const char *name, const char *text) {
    EXPECT_DONE("set-realloc", mode, 0);
    EXPECT(!take(name, "12345678", 1));
    EXPECT_CONTAINS(fixture.error.message, text);
    restart();
}

TEST(lying_reallocs_trap) {
    static const char *const NAMES[] = {"take-utf8", "take-utf16", "take-latin1", "take-u64s"};
    open_hostile();
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        if (i != 0) {
            expect_realloc_trap(1, NAMES[i], "realloc return: result not aligned");
        }
        expect_realloc_trap(2, NAMES[i], "realloc return: beyond end of memory");
        expect_realloc_trap(4, NAMES[i], i == 0 ? "beyond end of memory" : "realloc return");
        expect_realloc_trap(5, NAMES[i], "wasm trap: unreachable in take");
        expect_realloc_trap(6, NAMES[i], "cannot leave component instance");
    }
    EXPECT_DONE("set-realloc", 3, 0);
    EXPECT(take("take-utf8", "12345678", 8));
    EXPECT_DONE("last-at", 0, 0);
    EXPECT_U64(result.bits, 0x10000 - 8);
    close_fixture();
}

// Memory grows, and so may move, at every allocation of a list of strings.
TEST(memory_that_moves_during_lowering_is_followed) {
    open_hostile();
    EXPECT_DONE("set-realloc", 7, 0);
    struct value items[3];
    for (int i = 0; i < 3; i++) {
        items[i] = (struct value){.bytes = (const uint8_t *)"abcd", .count = 4};
    }
    struct value arg = {.items = items, .count = 3};
    EXPECT(call_values("take-strings", &arg, &result) == COMPONENT_DONE);
    EXPECT_DONE("last-at", 0, 0);
    uint32_t at = (uint32_t)result.bits;
    for (uint32_t i = 0; i < 3; i++) {
        EXPECT_U64(peek(peek(at + i * 8)), 0x64636261);
        EXPECT_U64(peek(at + i * 8 + 4), 4);
    }
    close_fixture();
}

TEST(joined_slots_that_a_case_does_not_use_are_zero) {
    open_hostile();
    struct value payload = {.bits = UINT64_C(0x1122334455667788)};
    struct value arg = {.items = &payload, .which = 0};
    EXPECT(call_values("take-wide", &arg, &result) == COMPONENT_DONE);
    EXPECT_U64(result.bits, payload.bits);
    arg.which = 2;
    payload.bits = 0x3f800000;
    EXPECT(call_values("take-wide", &arg, &result) == COMPONENT_DONE);
    EXPECT_U64(result.bits, 0x3f800000 + 2);
    arg = (struct value){.items = NULL, .which = 3};
    EXPECT(call_values("take-wide", &arg, &result) == COMPONENT_DONE);
    EXPECT_U64(result.bits, 3);
    close_fixture();
}

// ---- calls out of the guest
// ------------------------------------------------------------------------

TEST(host_functions_get_what_the_guest_says) {
    open_hostile();
    poke_bytes(512, "hi", 2);
    EXPECT_DONE("call-log", 512, 2);
    EXPECT_TEXT(buf_text(&fixture.log), "hi;");
    EXPECT_TRAP("call-log", 0xffffffff, 2, "string content out-of-bounds");
    fixture.is_trapping = true;
    EXPECT_TRAP("call-log", 512, 0, "trap: the host says no, in call-log");
    close_fixture();
}

TEST(results_of_the_host_are_lowered_where_the_guest_says) {
    open_hostile();
    EXPECT_DONE("call-pull", 256, 0);
    EXPECT_U64(peek(260), 6);
    EXPECT_U64(peek(peek(256)), 0x6c6c7570);
    EXPECT_DONE("call-pull16", 256, 0);
    EXPECT_U64(peek(260), 6);
    EXPECT_U64(peek(peek(256)), 0x00750070);
    EXPECT_TRAP("call-pull", 255, 0, "unaligned pointer");
    EXPECT_TRAP("call-pull", 0xfffc, 0, "out of bounds");
    EXPECT_TRAP("call-pull", 0xfffffffc, 0, "out of bounds");
    fixture.pulled = "\xff";
    fixture.pulled_size = 1;
    EXPECT_TRAP("call-pull", 256, 0, "not utf-8");
    close_fixture();
}

TEST(entering_again_traps) {
    open_hostile();
    EXPECT_TRAP("call-reenter", 0, 0, "cannot enter component instance");
    close_fixture();
}

TEST(results_are_read_before_post_return_and_it_may_not_leave) {
    open_hostile();
    poke_bytes(1024, "kept", 4);
    EXPECT_DONE("give-utf8", 1024, 4);
    EXPECT(result.count == 4 && memcmp(result.bytes, "kept", 4) == 0);
    EXPECT_U64(peek(1024), 0xffffffff);
    EXPECT_DONE("set-post-return", 1, 0);
    EXPECT_TRAP("give-utf8", 0, 0, "cannot leave component instance");
    EXPECT_DONE("set-post-return", 2, 0);
    EXPECT_TRAP("give-utf8", 0, 0, "wasm trap: unreachable in give-utf8");
    close_fixture();
}

TEST(a_dead_instance_stays_dead) {
    open_hostile();
    EXPECT(!call("die", 0, 0));
    EXPECT_CONTAINS(fixture.error.message, "wasm trap: unreachable in die");
    EXPECT(!call("reallocs", 0, 0));
    EXPECT_CONTAINS(fixture.error.message, "dead after an earlier trap");
    close_fixture();
}

// ---- compositions and instantiation
// ----------------------------------------------------------------

TEST(components_call_each_other) {
    open_with(INPUTS "twice.wasm", 1 << 20);
    EXPECT(take("second", "x", 1));
    EXPECT(result.count == 4 && memcmp(result.bytes, "*x11", 4) == 0);
    EXPECT(take("first", "y", 1));
    EXPECT(result.count == 3 && memcmp(result.bytes, "*y2", 3) == 0);
    EXPECT(take("second", "z", 1));
    EXPECT(result.count == 4 && memcmp(result.bytes, "*z23", 4) == 0);
    EXPECT(take("host-again", "h", 1));
    EXPECT(result.count == 2 && memcmp(result.bytes, "*h", 2) == 0);
    close_fixture();
}

TEST(a_trap_in_a_start_function_ends_the_instantiation) {
    struct error error = {.code = OK};
    struct component *component = driver_load(driver, INPUTS "start.wasm");
    struct component_linked *linked = NULL;
    REQUIRE_OK(component_link(component, resolve, NULL, NULL, &linked, &error), error);
    struct component_instance *instance = NULL;
    EXPECT(component_instantiate(linked, NULL, &driver->budget, &instance, &error) ==
           COMPONENT_TRAPPED);
    EXPECT_U64(error.code, ERR_TRAP);
    EXPECT_CONTAINS(error.message, "unreachable");
    EXPECT_U64(driver->budget.memory_used_bytes, 0);
    component_linked_unref(linked);
    component_unref(component);
}

TEST(a_missing_host_function_is_named) {
    struct error error = {.code = OK};
    struct bytes *bytes = NULL;
    // An empty-bodied component that imports the function "absent".
    static const uint8_t BINARY[] = "\0asm\x0d\0\1\0\7\5\1\x40\0\1\0\x0a\x0b\1\0\6absent\1";
    bytes = bytes_copy(slice_of(BINARY, sizeof BINARY));  // its NUL is the type's index
    struct component *component = NULL;
    REQUIRE_OK(component_load(bytes, NULL, &component, &error), error);
    bytes_unref(bytes);
    struct component_linked *linked = NULL;
    EXPECT_U64(component_link(component, resolve, NULL, NULL, &linked, &error), ERR_NOT_FOUND);
    EXPECT_CONTAINS(error.message, "import absent: no such function");
    component_unref(component);
}

static int body(struct driver *given) {
    driver = given;
    return test_main();
}

int main(int argc, char **argv) {
    (void)argc;
    char *arguments[] = {argv[0], (char *)"--cache", (char *)(uintptr_t)test_folder(), NULL};
    return driver_main(3, arguments, body);
}

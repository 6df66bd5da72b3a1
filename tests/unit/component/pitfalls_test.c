// SPDX-License-Identifier: Apache-2.0
// Mistakes that other implementations of the component model made, each with the test that keeps us
// from it. What no other test has is here (inputs/pitfalls.wat); "fuzz" is tests/fuzz/abi_fuzz.c,
// which compares with a model of the canonical ABI in all three string encodings, for handles
// tests/fuzz/handle_fuzz.c; "suite" the component-model suite (tests/conformance).
//
//   what went wrong elsewhere                         the test of it
//   realloc's answer not checked on some path         lying_reallocs_trap (instance), fuzz
//   length of utf-16 taken as bytes                   lying_string_lengths_trap (instance), fuzz
//   only the first realloc's alignment checked        lying_reallocs_trap (instance), fuzz
//   flags beyond the last used as an index            scalars_follow_the_canonical_abi (instance),
//                                                     fuzz
//   host memory without limit: strings, lists         amplified_lists_hit_the_limit (instance)
//     and handles                                     handles_count_against_the_budget (resource)
//   built-ins called as exported functions            built_ins_may_be_exports
//   discriminant equal to the number of cases         scalars_follow_the_canonical_abi (instance),
//                                                     fuzz
//   256 cases compared in one byte                    an_enum_may_have_256_cases, fuzz
//   off by one at the largest length                  the_longest_strings_and_lists
//   bounds not checked for length 0                   lying_string_lengths_trap,
//                                                     lying_lists_trap (instance), fuzz
//   unused joined slots carry the host's stack joined_slots_that_a_case_does_not_use_are_zero
//                                                     (instance)
//   alignment of results not checked                  result_pointers_are_checked (instance), fuzz
//   addresses beyond 2 GiB taken as negative          addresses_beyond_two_gigabytes
//   a section that goes past the end                  truncation_at_every_byte_is_survived (load)
//   types that overflow the native stack              deep_and_exploding_types_are_refused (load)
//   sizes of types that overflow                      deep_and_exploding_types_are_refused (load)
//   a failed instantiation stays counted              failed_instantiations_leave_nothing
//   the wrong instance current while realloc runs     a_callees_realloc_may_not_leave_the_callee
//   an own taken out of a borrow                      what_is_lent_cannot_be_taken
//   free list broken by deletion                      free_handles_are_used_again_last_first
//                                                     (resource), fuzz, suite: handle-table
//   pointers kept while the guest's memory moves      memory_that_moves_during_lowering_is_followed
//                                                     (instance), fuzz
//   results read after post-return                    results_are_read_before_post_return_and_it_
//                                                     may_not_leave (instance)
//   no deadline in realloc                            the_deadline_holds_in_a_callees_realloc,
//                                                     guest loop_realloc (system: hostile)
//   no deadline in post-return                        guest loop_post_return (system: hostile)
//   no deadline in a destructor                       the_deadline_holds_in_a_destructor (resource)
//   no deadline in a start function                   the_deadline_holds_in_a_start_function
//   a trap leaves the host half done                  fuzz: nothing of an instance is left; this
//                                                     program and the others run under ASan
//   NUL, non-characters, U+10FFFF in strings          every_code_point_survives_utf16_and_latin1
//                                                     (text), fuzz, the zoo
//   data left in memory that is used again            memory_is_zero_when_used_again
//   sizes of tables and memories that overflow        suite: memory_grow, table_grow of the core
//                                                     specification
//
// Not possible here: too many header fields (there is no wasi:http) and calls dropped in flight
// (there are no asynchronous functions).
#include "../../conformance/driver.h"
#include "test.h"

#define INPUTS SOURCE_FOLDER "/tests/unit/component/inputs/"

static struct driver *driver;

static struct {
    struct component *component;
    struct component_linked *linked;
    struct component_instance *instance;
    struct arena arena;
    struct error error;
    struct value result;
    unsigned notes;  // calls of `note`
} fixture;

static bool host_note(struct component_call *call, const struct value *args, struct value *result) {
    (void)call;
    (void)args;
    (void)result;
    fixture.notes++;
    return true;
}

static bool host_text(struct component_call *call, const struct value *args, struct value *result) {
    (void)call;
    (void)args;
    *result = (struct value){.bytes = (const uint8_t *)"", .count = 0};
    return true;
}

static enum status resolve(void *resolver, const struct component_import *import,
                           struct component_host_func *out, struct error *error) {
    (void)resolver;
    (void)error;
    // `pull` is of hostile.wat.
    *out = (struct component_host_func){.fn = slice_equal_text(import->name, "pull") ? host_text
                                                                                     : host_note};
    return OK;
}

static enum status resolve_resource(void *resolver, const struct component_resource *resource,
                                    struct component_host_resource *out, struct error *error) {
    (void)resolver;
    (void)resource;
    (void)error;
    *out = (struct component_host_resource){.data = NULL};
    return OK;
}

static void start(void) {
    if (component_instantiate(fixture.linked, NULL, &driver->budget, &fixture.instance,
                              &fixture.error) != COMPONENT_DONE) {
        driver_end(fixture.error.code, &fixture.error);
    }
}

static void open_fixture(const char *path) {
    memset(&fixture, 0, sizeof fixture);
    arena_init(&fixture.arena, 1 << 20);
    fixture.component = driver_load(driver, path);
    REQUIRE_OK(component_link(fixture.component, resolve, resolve_resource, NULL, &fixture.linked,
                              &fixture.error),
               fixture.error);
    start();
}

static void close_fixture(void) {
    component_instance_free(fixture.instance);
    component_linked_unref(fixture.linked);
    component_unref(fixture.component);
    arena_release(&fixture.arena);
    EXPECT_U64(driver->budget.memory_used_bytes, 0);
}

static bool call_with(const char *name, const struct value *args) {
    int index = driver_find(fixture.component, "", name);
    REQUIRE(index >= 0);
    arena_reset(&fixture.arena);
    fixture.error = (struct error){.code = OK};
    fixture.result = (struct value){.bits = 0};
    return component_call(fixture.instance, (uint32_t)index, args, &fixture.result, &fixture.arena,
                          &fixture.error) == COMPONENT_DONE;
}

static bool call(const char *name, uint32_t a, uint32_t b) {
    struct value args[2] = {{.bits = a}, {.bits = b}};
    return call_with(name, args);
}

static uint64_t must(const char *name, uint32_t a, uint32_t b) {
    if (!call(name, a, b)) {
        test_report(__FILE__, __LINE__, "%s: %s", name, fixture.error.message);
    }
    return fixture.result.bits;
}

#define EXPECT_TRAP(name, a, b, text)                         \
    do {                                                      \
        EXPECT(!call((name), (a), (b)));                      \
        EXPECT_U64(fixture.error.code, ERR_TRAP);             \
        EXPECT_CONTAINS(fixture.error.message, (text));       \
        EXPECT(component_instance_is_dead(fixture.instance)); \
        component_instance_free(fixture.instance);            \
        start();                                              \
    } while (0)

TEST(addresses_beyond_two_gigabytes) {
    static const uint32_t FAR = 0x90000000, END = 40000u * 65536u;
    open_fixture(INPUTS "pitfalls.wasm");
    (void)must("far-poke", FAR, 'f');
    (void)must("far-poke", FAR + 1, 'r');
    (void)must("far-give", FAR, 2);
    EXPECT(fixture.result.count == 2 && memcmp(fixture.result.bytes, "fr", 2) == 0);
    (void)must("far-list", FAR, 1);
    EXPECT(fixture.result.count == 1 && fixture.result.bytes[0] == 'f');
    struct value text = {.bytes = (const uint8_t *)"given", .count = 5};
    EXPECT(call_with("far-take", &text));
    EXPECT_U64(must("far-at", 0, 0), FAR);
    EXPECT_U64(must("far-peek", FAR + 4, 0), 'n');
    // The end of memory, and what would be inside it if addresses wrapped around.
    (void)must("far-give", END, 0);
    (void)must("far-give", END - 1, 1);
    EXPECT_TRAP("far-give", END - 1, 2, "string content out-of-bounds");
    EXPECT_TRAP("far-give", END + 1, 0, "string content out-of-bounds");
    EXPECT_TRAP("far-list", 0xfffffff8, 2, "list content out-of-bounds");
    close_fixture();
}

TEST(built_ins_may_be_exports) {
    open_fixture(INPUTS "pitfalls.wasm");
    uint32_t handle = (uint32_t)must("new", 41, 0);
    EXPECT_U64(must("rep", handle, 0), 41);
    (void)must("drop", handle, 0);
    EXPECT_TRAP("drop", handle, 0, "unknown handle index");
    EXPECT_TRAP("rep", 0, 0, "unknown handle index");
    EXPECT_TRAP("drop", UINT32_MAX, 0, "unknown handle index");
    (void)must("note-itself", 0, 0);
    EXPECT_U64(fixture.notes, 1);
    close_fixture();
}

TEST(what_is_lent_cannot_be_taken) {
    open_fixture(INPUTS "pitfalls.wasm");
    EXPECT_TRAP("steal", 5, 0, "cannot lift own resource from a borrow");
    EXPECT_U64(fixture.notes, 0);
    close_fixture();
}

TEST(an_enum_may_have_256_cases) {
    open_fixture(INPUTS "pitfalls.wasm");
    (void)must("of-256", 255, 0);
    EXPECT_U64(fixture.result.which, 255);
    EXPECT_TRAP("of-256", 256, 0, "discriminant 256");
    EXPECT_TRAP("of-256", 0x80000000, 0, "discriminant");
    (void)must("far-poke", 64, 255);
    (void)must("list-256", 64, 2);
    EXPECT_U64(fixture.result.items[0].which, 255);
    EXPECT_U64(fixture.result.items[1].which, 0);
    close_fixture();
}

// The limit is 2^28-1 bytes, which a page of memory does not hold: another trap.
TEST(the_longest_strings_and_lists) {
    open_fixture(INPUTS "hostile.wasm");
    EXPECT_TRAP("give-utf8", 0, 0x0fffffff, "string content out-of-bounds");
    EXPECT_TRAP("give-utf8", 0, 0x10000000, "limit of 2^28-1");
    EXPECT_TRAP("give-utf16", 0, 0x07ffffff, "string content out-of-bounds");
    EXPECT_TRAP("give-utf16", 0, 0x08000000, "limit of 2^28-1");
    EXPECT_TRAP("give-latin1", 0, 0x87ffffff, "string content out-of-bounds");
    EXPECT_TRAP("give-latin1", 0, 0x88000000, "limit of 2^28-1");
    EXPECT_TRAP("give-u64s", 0, 0x01ffffff, "list content out-of-bounds");
    EXPECT_TRAP("give-u64s", 0, 0x02000000, "limit of 2^28-1");
    close_fixture();
}

TEST(a_callees_realloc_may_not_leave_the_callee) {
    open_fixture(INPUTS "pitfalls.wasm");
    (void)must("set", 0, 0);
    EXPECT_U64(must("pass", 0, 0), 't');
    (void)must("set", 1, 0);
    EXPECT_TRAP("pass", 0, 0, "cannot leave component instance");
    (void)must("set", 2, 0);
    EXPECT_TRAP("pass", 0, 0, "cannot leave component instance");
    (void)must("set", 4, 0);
    EXPECT_TRAP("pass", 0, 0, "cannot leave component instance");
    EXPECT_U64(fixture.notes, 0);
    close_fixture();
}

TEST(failed_instantiations_leave_nothing) {
    struct error error = {.code = OK};
    struct component *component = driver_load(driver, INPUTS "start.wasm");
    struct component_linked *linked = NULL;
    REQUIRE_OK(component_link(component, resolve, NULL, NULL, &linked, &error), error);
    for (int i = 0; i < 1000; i++) {
        struct component_instance *instance = NULL;
        error = (struct error){.code = OK};
        EXPECT(component_instantiate(linked, NULL, &driver->budget, &instance, &error) ==
               COMPONENT_TRAPPED);
        EXPECT(instance == NULL);
    }
    EXPECT_U64(driver->budget.memory_used_bytes, 0);
    component_linked_unref(linked);
    component_unref(component);
}

TEST(memory_is_zero_when_used_again) {
    open_fixture(INPUTS "hostile.wasm");
    for (int i = 0; i < 10; i++) {
        EXPECT_U64(must("peek", 60000, 0), 0);
        (void)must("poke", 60000, 0x5ec2e7);
        component_instance_free(fixture.instance);
        start();
    }
    close_fixture();
}

TEST(the_deadline_holds_in_a_start_function) {
    struct error error = {.code = OK};
    struct component *component = driver_load(driver, INPUTS "loop_start.wasm");
    struct component_linked *linked = NULL;
    REQUIRE_OK(component_link(component, resolve, NULL, NULL, &linked, &error), error);
    wasm_watchdog_start();
    driver_begin_turn(driver, 20000000);
    struct component_instance *instance = NULL;
    EXPECT(component_instantiate(linked, NULL, &driver->budget, &instance, &error) ==
           COMPONENT_TRAPPED);
    EXPECT_CONTAINS(error.message, wasm_trap_text(WASM_TRAP_DEADLINE));
    driver_begin_turn(driver, 0);
    wasm_watchdog_stop();
    EXPECT_U64(driver->budget.memory_used_bytes, 0);
    component_linked_unref(linked);
    component_unref(component);
}

TEST(the_deadline_holds_in_a_callees_realloc) {
    open_fixture(INPUTS "pitfalls.wasm");
    (void)must("set", 3, 0);
    wasm_watchdog_start();
    driver_begin_turn(driver, 20000000);
    EXPECT(!call("pass", 0, 0));
    EXPECT_CONTAINS(fixture.error.message, wasm_trap_text(WASM_TRAP_DEADLINE));
    driver_begin_turn(driver, 0);
    wasm_watchdog_stop();
    close_fixture();
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

// SPDX-License-Identifier: Apache-2.0
// Resources: of the host and of the component, with handles passed right and wrong (inputs/
// resources.wat).
#include "../../conformance/driver.h"
#include "test.h"

#define INPUTS SOURCE_FOLDER "/tests/unit/component/inputs/"

static struct driver *driver;

enum { BLOBS = 256 };

// Blob number n of the host is rep n + 1000, its value is in `values`; states are counted.
enum blob_state { BLOB_NONE, BLOB_OF_GUEST, BLOB_BACK, BLOB_DROPPED };

struct fixture {
    struct component *component;
    struct component_linked *linked;
    struct component_instance *instance;
    struct arena arena;
    struct error error;
    enum blob_state states[BLOBS];
    uint32_t values[BLOBS];
    uint32_t blob_count;
    uint32_t token_drops;
    bool resolves_resources;
};
static struct fixture fixture;
static struct value result;

static uint32_t blob_number(struct fixture *self, uint64_t rep) {
    REQUIRE(rep >= 1000 && rep < 1000u + self->blob_count);
    return (uint32_t)rep - 1000;
}

static uint32_t blob_make(struct fixture *self, uint32_t value) {
    REQUIRE(self->blob_count < BLOBS);
    self->values[self->blob_count] = value;
    self->states[self->blob_count] = BLOB_OF_GUEST;
    return 1000 + self->blob_count++;
}

static bool host_make(struct component_call *call, const struct value *args, struct value *out) {
    *out = (struct value){.bits = blob_make(component_call_owner(call), (uint32_t)args[0].bits)};
    return true;
}

static bool host_value(struct component_call *call, const struct value *args, struct value *out) {
    struct fixture *self = component_call_owner(call);
    uint32_t number = blob_number(self, args[0].bits);
    EXPECT_U64(self->states[number], BLOB_OF_GUEST);
    *out = (struct value){.bits = self->values[number]};
    return true;
}

static bool host_consume(struct component_call *call, const struct value *args, struct value *out) {
    struct fixture *self = component_call_owner(call);
    uint32_t number = blob_number(self, args[0].bits);
    EXPECT_U64(self->states[number], BLOB_OF_GUEST);
    self->states[number] = BLOB_BACK;
    *out = (struct value){.bits = self->values[number]};
    return true;
}

static bool host_merge(struct component_call *call, const struct value *args, struct value *out) {
    struct value lent;
    return host_value(call, &args[0], &lent) && host_consume(call, &args[1], out) &&
           (out->bits += lent.bits, true);
}

static bool host_many(struct component_call *call, const struct value *args, struct value *out) {
    uint32_t count = (uint32_t)args[0].bits;
    struct value *items = ARENA_ARRAY(component_call_arena(call), struct value, count);
    for (uint32_t i = 0; i < count; i++) {
        items[i].bits = blob_make(component_call_owner(call), i);
    }
    *out = (struct value){.items = items, .count = count};
    return true;
}

static bool host_enter(struct component_call *call, const struct value *args, struct value *out) {
    (void)out;
    struct fixture *self = component_call_owner(call);
    EXPECT_U64(self->states[blob_number(self, args[0].bits)], BLOB_OF_GUEST);
    struct error error = {.code = OK};
    EXPECT(component_resource_drop(self->instance, 1, component_call_arena(call), &error) ==
           COMPONENT_TRAPPED);
    return true;
}

static bool host_token(struct component_call *call, const struct value *args, struct value *out) {
    (void)call;
    (void)args;
    *out = (struct value){.bits = UINT32_MAX};
    return true;
}

static void drop_blob(void *owner, const void *data, uint32_t rep) {
    EXPECT_TEXT(data, "blobs");
    struct fixture *self = owner;
    uint32_t number = blob_number(self, rep);
    EXPECT_U64(self->states[number], BLOB_OF_GUEST);
    self->states[number] = BLOB_DROPPED;
}

static void drop_token(void *owner, const void *data, uint32_t rep) {
    EXPECT(data == NULL && rep == UINT32_MAX);
    ((struct fixture *)owner)->token_drops++;
}

static enum status resolve(void *resolver, const struct component_import *import,
                           struct component_host_func *out, struct error *error) {
    static const struct {
        const char *name;
        const char *type;
        component_host_fn fn;
    } FUNCTIONS[] = {
        {"[constructor]blob", "func(u32) -> own<blob>", host_make},
        {"[method]blob.value", "func(borrow<blob>) -> u32", host_value},
        {"consume", "func(own<blob>) -> u32", host_consume},
        {"merge", "func(borrow<blob>, own<blob>) -> u32", host_merge},
        {"many", "func(u32) -> list<own<blob>>", host_many},
        {"enter", "func(borrow<blob>)", host_enter},
        {"use", "func(borrow<blob>) -> u32", host_value},
        {"get-token", "func() -> own<token>", host_token},
    };
    EXPECT(resolver == &fixture);
    for (size_t i = 0; i < COUNT_OF(FUNCTIONS); i++) {
        if (slice_equal_text(import->name, FUNCTIONS[i].name)) {
            struct buf text = {0};
            component_func_type_print(import->type, &text);
            EXPECT_TEXT(buf_text(&text), FUNCTIONS[i].type);
            buf_release(&text);
            *out = (struct component_host_func){.fn = FUNCTIONS[i].fn};
            return OK;
        }
    }
    return error_set(error, ERR_NOT_FOUND, "no such function");
}

static enum status resolve_resource(void *resolver, const struct component_resource *resource,
                                    struct component_host_resource *out, struct error *error) {
    EXPECT(resolver == &fixture && resource->is_imported);
    if (slice_equal_text(resource->interface, "test:host/blobs") &&
        slice_equal_text(resource->name, "blob")) {
        *out = (struct component_host_resource){.data = "blobs", .drop = drop_blob};
        return OK;
    }
    if (resource->interface.size == 0 && slice_equal_text(resource->name, "token")) {
        *out = (struct component_host_resource){.drop = drop_token};
        return OK;
    }
    return error_set(error, ERR_NOT_FOUND, "no such resource type");
}

static void start(void) {
    if (component_instantiate(fixture.linked, &fixture, &driver->budget, &fixture.instance,
                              &fixture.error) != COMPONENT_DONE) {
        driver_end(fixture.error.code, &fixture.error);
    }
}

static void open_fixture(void) {
    fixture = (struct fixture){.error = {.code = OK}};
    arena_init(&fixture.arena, 1 << 20);
    fixture.component = driver_load(driver, INPUTS "resources.wasm");
    REQUIRE_OK(component_link(fixture.component, resolve, resolve_resource, &fixture,
                              &fixture.linked, &fixture.error),
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

static void restart(void) {
    component_instance_free(fixture.instance);
    start();
}

static bool call(const char *name, uint64_t a, uint64_t b) {
    int index = driver_find(fixture.component, "", name);
    REQUIRE(index >= 0);
    struct value args[2] = {{.bits = a}, {.bits = b}};
    arena_reset(&fixture.arena);
    result = (struct value){.bits = 0};
    fixture.error = (struct error){.code = OK};
    return component_call(fixture.instance, (uint32_t)index, args, &result, &fixture.arena,
                          &fixture.error) == COMPONENT_DONE;
}

// The result of a call that must succeed.
static uint64_t must(const char *name, uint64_t a, uint64_t b) {
    if (!call(name, a, b)) {
        test_report(__FILE__, __LINE__, "%s: %s", name, fixture.error.message);
    }
    return result.bits;
}

static bool drop_handle(uint32_t handle) {
    fixture.error = (struct error){.code = OK};
    return component_resource_drop(fixture.instance, handle, &fixture.arena, &fixture.error) ==
           COMPONENT_DONE;
}

#define EXPECT_TRAP(name, a, b, text)                         \
    do {                                                      \
        EXPECT(!call((name), (a), (b)));                      \
        EXPECT_U64(fixture.error.code, ERR_TRAP);             \
        EXPECT_CONTAINS(fixture.error.message, (text));       \
        EXPECT(component_instance_is_dead(fixture.instance)); \
        restart();                                            \
    } while (0)

// ---- resources of the host
// -----------------------------------------------------------------------

TEST(imported_resource_types_are_declared_once) {
    open_fixture();
    REQUIRE(component_resource_import_count(fixture.component) == 2);
    const struct component_resource *blob = component_resource_import_at(fixture.component, 0);
    EXPECT(slice_equal_text(blob->interface, "test:host/blobs"));
    EXPECT(slice_equal_text(component_resource_import_at(fixture.component, 1)->name, "token"));
    close_fixture();
}

TEST(the_guest_holds_host_resources_by_handles_of_its_own) {
    open_fixture();
    EXPECT_U64(must("blob-make", 70, 0), 1);
    EXPECT_U64(must("blob-make", 71, 0), 2);
    EXPECT_U64(must("blob-value", 2, 0), 71);
    EXPECT_U64(must("blob-use", 1, 0), 70);
    EXPECT_U64(must("blob-merge", 1, 2), 141);
    EXPECT_U64(fixture.states[1], BLOB_BACK);
    EXPECT_U64(must("blob-consume", 1, 0), 70);
    EXPECT_U64(fixture.states[0], BLOB_BACK);
    close_fixture();
    EXPECT_U64(fixture.token_drops, 0);
}

TEST(free_handles_are_used_again_last_first) {
    open_fixture();
    for (uint32_t i = 1; i <= 3; i++) {
        EXPECT_U64(must("blob-make", i, 0), i);
    }
    (void)must("blob-drop", 1, 0);
    (void)must("blob-drop", 3, 0);
    EXPECT_U64(must("blob-make", 4, 0), 3);
    EXPECT_U64(must("token-get", 0, 0), 1);
    EXPECT_U64(must("counter-new", 7, 0), 4);
    close_fixture();
}

TEST(dropping_calls_the_host_once) {
    open_fixture();
    (void)must("blob-make", 1, 0);
    (void)must("blob-drop", 1, 0);
    EXPECT_U64(fixture.states[0], BLOB_DROPPED);
    EXPECT_TRAP("blob-drop", 1, 0, "unknown handle index 1");
    (void)must("token-get", 0, 0);
    (void)must("token-drop", 1, 0);
    EXPECT_U64(fixture.token_drops, 1);
    close_fixture();
}

TEST(handles_that_are_left_are_dropped_with_the_instance) {
    open_fixture();
    (void)must("blob-make", 1, 0);
    (void)must("blob-make", 2, 0);
    (void)must("token-get", 0, 0);
    (void)must("blob-consume", 1, 0);
    (void)must("keep-blob", blob_make(&fixture, 3), 0);
    close_fixture();
    EXPECT_U64(fixture.states[0], BLOB_BACK);
    EXPECT_U64(fixture.states[1], BLOB_DROPPED);
    EXPECT_U64(fixture.states[2], BLOB_DROPPED);
    EXPECT_U64(fixture.token_drops, 1);
}

TEST(handles_that_are_not_the_guests_trap) {
    static const uint32_t NUMBERS[] = {0, 2, 77, 1u << 28, UINT32_MAX};
    static const char *const NAMES[] = {"blob-value", "blob-consume", "blob-use",    "blob-drop",
                                        "token-drop", "counter-rep",  "counter-drop"};
    open_fixture();
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        for (size_t j = 0; j < COUNT_OF(NUMBERS); j++) {
            (void)must("blob-make", 1, 0);
            EXPECT_TRAP(NAMES[i], NUMBERS[j], 0, "unknown handle index");
        }
    }
    (void)must("blob-make", 1, 0);
    EXPECT_TRAP("forge", 9, 0, "unknown handle index 9");
    close_fixture();
}

TEST(handles_of_another_type_trap) {
    open_fixture();
    (void)must("blob-make", 1, 0);
    EXPECT_TRAP("token-drop", 1, 0,
                "handle index 1 used with the wrong type, expected host-defined resource but found "
                "a different host-defined resource");
    (void)must("blob-make", 1, 0);
    EXPECT_TRAP("counter-rep", 1, 0,
                "expected guest-defined resource but found a host-defined resource");
    (void)must("counter-new", 1, 0);
    EXPECT_TRAP("blob-value", 1, 0,
                "expected host-defined resource but found a guest-defined resource");
    close_fixture();
}

TEST(what_is_lent_cannot_be_given_in_the_same_call) {
    open_fixture();
    (void)must("blob-make", 1, 0);
    EXPECT_TRAP("blob-merge", 1, 1, "cannot remove owned resource while borrowed");
    close_fixture();
}

TEST(host_resources_pass_through_component_call) {
    open_fixture();
    uint32_t rep = blob_make(&fixture, 42);
    EXPECT_U64(must("pass-blob", rep, 0), rep);
    EXPECT_U64(must("peek", rep, 0), 42);
    EXPECT_U64(must("many-sum", 20, 0), 190);
    close_fixture();
    EXPECT_U64(fixture.states[0], BLOB_OF_GUEST);
    EXPECT_U64(fixture.states[1], BLOB_DROPPED);
}

TEST(a_borrow_kept_beyond_the_call_traps) {
    open_fixture();
    EXPECT_TRAP("keep-borrow", blob_make(&fixture, 42), 0,
                "borrow handles still remain at the end of the call");
    EXPECT_U64(fixture.states[0], BLOB_OF_GUEST);
    close_fixture();
}

TEST(a_host_function_cannot_drop_in_the_instance_that_calls_it) {
    open_fixture();
    (void)must("new-counter", 1, 0);
    (void)must("blob-make", 1, 0);
    EXPECT_TRAP("blob-enter", 1, 0, "cannot enter component instance");
    close_fixture();
}

TEST(a_host_without_the_resource_type_is_refused_by_name) {
    open_fixture();
    struct component_linked *linked = NULL;
    struct error error = {.code = OK};
    EXPECT_U64(component_link(fixture.component, resolve, NULL, &fixture, &linked, &error),
               ERR_NOT_FOUND);
    EXPECT_CONTAINS(error.message,
                    "import test:host/blobs blob: the host has no such resource type");
    close_fixture();
}

// ---- resources of the component
// ------------------------------------------------------------------

TEST(the_host_holds_resources_of_the_component) {
    open_fixture();
    uint32_t first = (uint32_t)must("new-counter", 500, 0);
    uint32_t second = (uint32_t)must("new-counter", 600, 0);
    EXPECT(first != 0 && second != 0 && first != second);
    // The component sees what it put in, however often it is lent.
    EXPECT_U64(must("read", first, 0), 500);
    EXPECT_U64(must("read", first, 0), 500);
    EXPECT_U64(must("read", second, 0), 600);
    first = (uint32_t)must("pass", first, 0);
    EXPECT_U64(must("read", first, 0), 500);
    EXPECT_U64(must("live", 0, 0), 2);
    (void)must("end", second, 0);
    EXPECT_U64(must("last", 0, 0), 600);
    EXPECT(drop_handle(first));
    EXPECT_U64(must("last", 0, 0), 500);
    EXPECT_U64(must("live", 0, 0), 0);
    close_fixture();
}

TEST(handles_that_the_host_does_not_hold_trap) {
    open_fixture();
    uint32_t handle = (uint32_t)must("new-counter", 1, 0);
    (void)must("end", handle, 0);
    EXPECT_TRAP("end", handle, 0, "unknown handle index");
    EXPECT_TRAP("read", 0, 0, "unknown handle index 0");
    EXPECT_TRAP("read", UINT32_MAX, 0, "unknown handle index");
    EXPECT(!drop_handle(5));
    EXPECT_CONTAINS(fixture.error.message, "unknown handle index 5");
    restart();
    handle = (uint32_t)must("new-counter", 1, 0);
    EXPECT_TRAP("read-both", handle, handle, "cannot remove owned resource while borrowed");
    close_fixture();
}

TEST(a_trap_in_a_destructor_ends_the_instance) {
    open_fixture();
    uint32_t handle = (uint32_t)must("new-counter", 1, 0);
    (void)must("set-mode", 1, 0);
    EXPECT(!drop_handle(handle));
    EXPECT_CONTAINS(fixture.error.message, "wasm trap: unreachable in a destructor");
    EXPECT(component_instance_is_dead(fixture.instance));
    restart();
    handle = (uint32_t)must("new-counter", 1, 0);
    (void)must("set-mode", 1, 0);
    EXPECT_TRAP("end", handle, 0, "wasm trap: unreachable in end");
    close_fixture();
}

TEST(a_destructor_may_call_the_host) {
    open_fixture();
    uint32_t handle = (uint32_t)must("new-counter", 33, 0);
    (void)must("set-mode", 3, 0);
    EXPECT(drop_handle(handle));
    EXPECT_U64(fixture.blob_count, 1);
    EXPECT_U64(must("blob-value", 1, 0), 33);
    close_fixture();
}

TEST(the_deadline_holds_in_a_destructor) {
    open_fixture();
    uint32_t handle = (uint32_t)must("new-counter", 1, 0);
    (void)must("set-mode", 2, 0);
    wasm_watchdog_start();
    driver_begin_turn(driver, 20000000);
    EXPECT(!drop_handle(handle));
    EXPECT_CONTAINS(fixture.error.message, wasm_trap_text(WASM_TRAP_DEADLINE));
    driver_begin_turn(driver, 0);
    wasm_watchdog_stop();
    close_fixture();
}

TEST(handles_count_against_the_budget) {
    open_fixture();
    uint64_t limit = driver->budget.memory_limit_bytes;
    driver->budget.memory_limit_bytes = driver->budget.memory_used_bytes + (1 << 20);
    EXPECT_TRAP("flood", 0, 0, "resource handle table is full");
    driver->budget.memory_limit_bytes = limit;
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

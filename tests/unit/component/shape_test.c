// SPDX-License-Identifier: Apache-2.0
// Components in components: inputs/shapes.wat, reentrance.wat and context.wat at run time.
#include "../../conformance/driver.h"
#include "test.h"

#define INPUTS SOURCE_FOLDER "/tests/unit/component/inputs/"

static struct driver *driver;
static struct component *component;
static struct component_linked *linked;
static struct component_instance *instance;
static struct arena arena;
static struct error error;

static enum status no_imports(void *resolver, const struct component_import *import,
                              struct component_host_func *out, struct error *why) {
    (void)resolver;
    (void)import;
    (void)out;
    return error_set(why, ERR_NOT_FOUND, "no imports here");
}

static void start(void) {
    error = (struct error){.code = OK};
    if (component_instantiate(linked, NULL, &driver->budget, &instance, &error) != COMPONENT_DONE) {
        driver_end(error.code, &error);
    }
}

static void open_file(const char *path) {
    arena_init(&arena, 1 << 20);
    component = driver_load(driver, path);
    error = (struct error){.code = OK};
    REQUIRE_OK(component_link(component, no_imports, NULL, NULL, &linked, &error), error);
    start();
}

static void close_file(void) {
    component_instance_free(instance);
    component_linked_unref(linked);
    component_unref(component);
    arena_release(&arena);
    EXPECT_U64(driver->budget.memory_used_bytes, 0);
}

static bool call(const char *interface, const char *name, uint64_t argument, uint64_t *result) {
    int index = driver_find(component, interface, name);
    REQUIRE(index >= 0);
    struct value arg = {.bits = argument};
    struct value value = {.bits = 0};
    arena_reset(&arena);
    error = (struct error){.code = OK};
    bool done =
        component_call(instance, (uint32_t)index, &arg, &value, &arena, &error) == COMPONENT_DONE;
    *result = value.bits;
    return done;
}

static uint64_t must(const char *interface, const char *name, uint64_t argument) {
    uint64_t result = 0;
    if (!call(interface, name, argument, &result)) {
        test_report(__FILE__, __LINE__, "%s: %s", name, error.message);
    }
    return result;
}

static void expect_trap(const char *interface, const char *name, uint64_t argument,
                        const char *text) {
    uint64_t result = 0;
    EXPECT(!call(interface, name, argument, &result));
    EXPECT_CONTAINS(error.message, text);
    component_instance_free(instance);
    start();
}

TEST(resources_cross_between_components) {
    open_file(INPUTS "shapes.wasm");
    EXPECT_U64(must("", "through1", 5), 45);
    EXPECT_U64(must("", "through2", 5), 315);
    EXPECT_U64(must("", "dropped", 0), 15);
    close_file();
}

TEST(each_component_has_handles_of_its_own) {
    open_file(INPUTS "shapes.wasm");
    EXPECT_U64(must("", "raw-make1", 1), 1);
    EXPECT_U64(must("", "raw-make1", 2), 2);
    (void)must("", "raw-drop1", 1);
    EXPECT_U64(must("", "dropped", 0), 11);
    expect_trap("", "raw-get2", 2, "unknown handle index 2");
    close_file();
}

TEST(each_instance_has_resource_types_of_its_own) {
    open_file(INPUTS "shapes.wasm");
    uint64_t first = must("first", "make", 1);
    uint64_t second = must("second", "make", 1);
    EXPECT_U64(must("first", "get", first), 11);
    EXPECT_U64(must("all", "get", first), 11);
    EXPECT_U64(must("second", "get", second), 101);
    expect_trap("second", "get", first,
                "used with the wrong type, expected guest-defined resource but found a different "
                "guest-defined resource");
    close_file();
}

TEST(borrows_are_lent_on_and_must_end) {
    open_file(INPUTS "shapes.wasm");
    uint64_t thing = must("all", "make", 5);
    EXPECT_U64(must("", "use1", thing), 15);
    EXPECT_U64(must("all", "take", thing), 15);
    thing = must("all", "make", 990);
    expect_trap("", "use1", thing, "borrow handles still remain at the end of the call");
    close_file();
}

TEST(post_return_may_not_make_resources) {
    open_file(INPUTS "shapes.wasm");
    uint64_t thing = must("first", "make", 89);
    expect_trap("first", "get", thing, "cannot leave component instance");
    close_file();
}

TEST(an_ascribed_type_hides_what_it_leaves_out) {
    open_file(INPUTS "shapes.wasm");
    EXPECT(driver_find(component, "first", "dropped") < 0);
    EXPECT(driver_find(component, "all", "dropped") >= 0);
    EXPECT_U64(component_module_count(component), 7);
    close_file();
}

TEST(calls_between_a_component_and_one_inside_it_trap) {
    open_file(INPUTS "reentrance.wasm");
    expect_trap("", "down", 0, "cannot enter component instance");
    expect_trap("child", "up", 0, "cannot enter component instance");
    (void)must("child", "leaf", 0);
    close_file();
}

TEST(a_destructor_runs_in_the_component_that_has_it) {
    open_file(INPUTS "reentrance.wasm");
    uint64_t thing = must("child", "make", 7);
    (void)must("", "end", thing);
    EXPECT_U64(must("child", "drops", 0), 7);
    thing = must("child", "make", 4);
    EXPECT(component_resource_drop(instance, (uint32_t)thing, &arena, &error) == COMPONENT_DONE);
    EXPECT_U64(must("child", "drops", 0), 11);
    close_file();
}

TEST(each_call_has_a_context_of_its_own) {
    open_file(INPUTS "context.wasm");
    EXPECT_U64(must("", "run", 0), 57);
    EXPECT_U64(must("", "run", 0), 57);
    close_file();
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

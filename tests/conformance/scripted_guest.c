// SPDX-License-Identifier: Apache-2.0
// Runs the actor script of the guest collection against a component and prints a transcript:
//
//   theater-scripted-guest [--cache FOLDER] [--bench CALLS] FILE.component.wasm
//
// The host is scripted too (it logs, and refuses to send in "bad" mode). Every guest of the
// collection must give the same transcript, whatever it is written in. With --bench, the cost of
// handle-send, handle-request and an instance goes to stderr.
#include "base/env.h"
#include "driver.h"

#define ACTOR "theater:simple/actor"
#define CLIENT "theater:simple/message-server-client"

enum { STATE_MAX = 64, BIG = 300000, BENCH_ROUNDS = 500 };

struct script {
    struct driver *driver;
    struct component *component;
    struct component_instance *instance;
    struct arena arena;
    bool is_bad;  // host functions that send fail
    bool is_quiet;
    bool has_state;
    uint8_t state[STATE_MAX];
    uint32_t state_size;
};

static void print_hex(const uint8_t *data, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) {
        (void)printf("%02x", data[i]);
    }
}

static void print_text(const struct value *text) {
    (void)fwrite(text->bytes, 1, text->count, stdout);
}

// ---- the host ----------------------------------------------------------------------------------

static struct script *script_of(struct component_call *call) {
    return component_call_owner(call);
}

static const struct value *text_value(struct component_call *call, const char *text) {
    struct value *value =
        arena_alloc(component_call_arena(call), sizeof *value, _Alignof(struct value));
    *value = (struct value){.bytes = (const uint8_t *)text, .count = (uint32_t)strlen(text)};
    return value;
}

static bool host_log(struct component_call *call, const struct value *args, struct value *result) {
    (void)result;
    if (!script_of(call)->is_quiet) {
        (void)printf("  log: ");
        print_text(&args[0]);
        (void)printf("\n");
    }
    return true;
}

static void answer(struct component_call *call, const char *refusal, struct value *result) {
    *result = (struct value){.items = NULL, .which = 0};
    if (script_of(call)->is_bad) {
        *result = (struct value){.items = text_value(call, refusal), .which = 1};
    }
}

static bool host_send(struct component_call *call, const struct value *args, struct value *result) {
    if (!script_of(call)->is_quiet) {
        (void)printf("  send to \"");
        print_text(&args[0]);
        (void)printf("\" ");
        print_hex(args[1].bytes, args[1].count);
        (void)printf("\n");
    }
    answer(call, "no such actor", result);
    return true;
}

static bool host_send_on_channel(struct component_call *call, const struct value *args,
                                 struct value *result) {
    (void)printf("  send-on-channel ");
    print_text(&args[0]);
    (void)printf(" ");
    print_hex(args[1].bytes, args[1].count);
    (void)printf("\n");
    answer(call, "channel closed", result);
    return true;
}

static bool host_respond(struct component_call *call, const struct value *args,
                         struct value *result) {
    (void)call;
    (void)printf("  respond ");
    print_text(&args[0]);
    (void)printf(" ");
    print_hex(args[1].bytes, args[1].count);
    (void)printf("\n");
    *result = (struct value){.items = NULL, .which = 0};
    return true;
}

static bool host_list(struct component_call *call, const struct value *args, struct value *result) {
    (void)args;
    struct value *items =
        arena_alloc(component_call_arena(call), 2 * sizeof *items, _Alignof(struct value));
    items[0] = *text_value(call, "req-1");
    items[1] = *text_value(call, "r\u00e9q-2");
    *result = (struct value){.items = items, .count = 2};
    return true;
}

// Guests on a C library ask WASI for their streams and folders as they start, and then nothing
// more: the streams are numbers, of the rest there is none.
static bool host_stream(struct component_call *call, const struct value *args,
                        struct value *result) {
    (void)call;
    (void)args;
    *result = (struct value){.bits = 1};
    return true;
}

static bool host_nothing(struct component_call *call, const struct value *args,
                         struct value *result) {
    (void)call;
    (void)args;
    *result = (struct value){.items = NULL, .count = 0};
    return true;
}

static bool host_unexpected(struct component_call *call, const struct value *args,
                            struct value *result) {
    (void)args;
    (void)result;
    const struct component_import *import = component_call_data(call);
    return component_call_trap(call, "unexpected call of %.*s", (int)import->name.size,
                               (const char *)import->name.data);
}

static enum status resolve_resource(void *resolver, const struct component_resource *resource,
                                    struct component_host_resource *out, struct error *error) {
    (void)resolver;
    if (!slice_starts_with(resource->interface, "wasi:")) {
        return error_set(error, ERR_NOT_FOUND, "the scripted host has no such resource type");
    }
    *out = (struct component_host_resource){.drop = NULL};
    return OK;
}

static enum status resolve(void *resolver, const struct component_import *import,
                           struct component_host_func *out, struct error *error) {
    (void)resolver;
    static const struct {
        const char *name;
        component_host_fn fn;
    } HOST[] = {{"log", host_log},
                {"send", host_send},
                {"send-on-channel", host_send_on_channel},
                {"respond-to-request", host_respond},
                {"list-outstanding-requests", host_list},
                {"get-stdin", host_stream},
                {"get-stdout", host_stream},
                {"get-stderr", host_stream},
                {"get-terminal-stdin", host_nothing},
                {"get-terminal-stdout", host_nothing},
                {"get-terminal-stderr", host_nothing},
                {"get-environment", host_nothing},
                {"get-directories", host_nothing}};
    for (size_t i = 0; i < COUNT_OF(HOST); i++) {
        if (slice_equal_text(import->name, HOST[i].name)) {
            *out = (struct component_host_func){.fn = HOST[i].fn};
            return OK;
        }
    }
    // Some toolchains import all of a world, whether the guest uses it or not.
    (void)error;
    *out = (struct component_host_func){.fn = host_unexpected, .data = import};
    return OK;
}

// ---- values as the transcript shows them -------------------------------------------------------

static void print_value(const struct component_type *type, const struct value *value);

static void print_fields(const struct component_type *type, const struct value *value) {
    bool is_record = type->kind == COMPONENT_RECORD;
    (void)printf(is_record ? "{" : "(");
    for (uint32_t i = 0; i < type->item_count; i++) {
        (void)printf("%s", i == 0 ? "" : ", ");
        if (is_record) {
            (void)printf("%.*s: ", (int)type->names[i].size, (const char *)type->names[i].data);
        }
        print_value(type->items[i], &value->items[i]);
    }
    (void)printf(is_record ? "}" : ")");
}

static void print_value(const struct component_type *type, const struct value *value) {
    if (type->kind == COMPONENT_STRING) {
        print_text(value);
    } else if (type->kind == COMPONENT_LIST) {
        print_hex(value->bytes, value->count);
    } else if (type->kind == COMPONENT_BOOL) {
        (void)printf("%s", value->bits != 0 ? "true" : "false");
    } else if (type->kind == COMPONENT_OPTION) {
        if (value->which == 0) {
            (void)printf("none");
        } else {
            print_value(type->items[0], value->items);
        }
    } else if (type->kind == COMPONENT_RECORD || type->kind == COMPONENT_TUPLE) {
        print_fields(type, value);
    } else {
        (void)printf("?");
    }
}

static void print_outcome(struct script *script, enum component_outcome outcome,
                          const struct component_type *type, const struct value *result,
                          const struct error *error) {
    if (script->is_quiet) {
        return;
    }
    if (outcome == COMPONENT_TRAPPED) {
        (void)fflush(stdout);
        (void)fprintf(stderr, "%s\n", error->message);
        (void)printf("< trap\n");
    } else if (result->which == 1) {
        (void)printf("< err \"");
        print_text(result->items);
        (void)printf("\"\n");
    } else {
        (void)printf("< ok ");
        print_value(type->items[0], result->items);
        (void)printf("\n");
    }
}

// ---- the script --------------------------------------------------------------------------------

// Calls the export with the state and a tuple of one or two parameters; the first is a string
// unless it is the only one of handle-send. Keeps the state that comes back when `keep`.
static bool call(struct script *script, const char *interface, const char *name,
                 const struct value *params, bool keep, struct value *result) {
    int index = driver_find(script->component, interface, name);
    if (index < 0) {
        (void)fprintf(stderr, "the component does not export %s of %s\n", name, interface);
        exit(1);
    }
    const struct component_func_type *type =
        component_export_at(script->component, (uint32_t)index)->type;
    struct value state = {.bytes = script->state, .count = script->state_size};
    struct value args[2] = {{.items = &state, .which = script->has_state}, {.items = params}};
    if (!script->is_quiet) {
        (void)printf("> %s ", name);
        print_value(type->params[0], &args[0]);
        (void)printf(" | ");
        print_value(type->params[1], &args[1]);
        (void)printf("\n");
    }
    arena_reset(&script->arena);
    struct error error = {.code = OK};
    enum component_outcome outcome =
        component_call(script->instance, (uint32_t)index, args, result, &script->arena, &error);
    print_outcome(script, outcome, type->result, result, &error);
    if (outcome == COMPONENT_TRAPPED) {
        exit(1);
    }
    if (!keep || result->which != 0) {
        return result->which == 0;
    }
    const struct value *fresh = &result->items->items[0];
    script->has_state = fresh->which == 1;
    if (script->has_state && fresh->items->count <= STATE_MAX) {
        script->state_size = fresh->items->count;
        memcpy(script->state, fresh->items->bytes, script->state_size);
    }
    return true;
}

static struct value text(const char *content) {
    return (struct value){.bytes = (const uint8_t *)content, .count = (uint32_t)strlen(content)};
}

static void turn(struct script *script, const char *interface, const char *name, const char *first,
                 const char *second, bool keep) {
    struct value params[2] = {text(first), text(second == NULL ? "" : second)};
    struct value result;
    (void)call(script, interface, name, params, keep, &result);
}

static void run_big(struct script *script) {
    uint8_t *big = xmalloc(BIG);
    for (uint32_t i = 0; i < BIG; i++) {
        big[i] = (uint8_t)i;
    }
    struct value params[2] = {text("big"), {.bytes = big, .count = BIG}};
    struct value result;
    script->is_quiet = true;
    bool is_reversed = false;
    uint32_t count = 0;
    if (call(script, CLIENT, "handle-request", params, false, &result)) {
        const struct value *reply = result.items->items[1].items[0].items;
        count = reply->count;
        is_reversed = count == BIG;
        for (uint32_t i = 0; is_reversed && i < BIG; i++) {
            is_reversed = reply->bytes[i] == big[BIG - 1 - i];
        }
    }
    (void)printf("big %u %s\n", count, is_reversed ? "true" : "false");
    free(big);
}

static void run_script(struct script *script) {
    turn(script, ACTOR, "init", "actor-1", NULL, true);
    script->has_state = true;
    script->state_size = 4;
    memcpy(script->state, (uint8_t[]){41, 0, 0, 0}, 4);
    turn(script, ACTOR, "init", "\u00e4ct\u00f6r-\U0001f600", NULL, true);
    turn(script, ACTOR, "init", "fail", NULL, false);
    turn(script, CLIENT, "handle-send", "hello", NULL, true);
    turn(script, CLIENT, "handle-send", "", NULL, true);
    turn(script, CLIENT, "handle-send", "fwd:bob:payload", NULL, true);
    script->is_bad = true;
    turn(script, CLIENT, "handle-send", "fwd:nobody:x", NULL, false);
    script->is_bad = false;
    turn(script, CLIENT, "handle-request", "req-1", "abc", true);
    script->has_state = false;
    turn(script, CLIENT, "handle-request", "req-2", "", true);
    turn(script, CLIENT, "handle-request", "req-3", "async", true);
    turn(script, CLIENT, "handle-channel-open", "alice", "x", true);
    turn(script, CLIENT, "handle-channel-open", "alice", "", true);
    turn(script, CLIENT, "handle-channel-message", "ch-1", "ping", true);
    script->is_bad = true;
    turn(script, CLIENT, "handle-channel-message", "ch-1", "ping", false);
    script->is_bad = false;
    turn(script, CLIENT, "handle-channel-close", "ch-1", NULL, true);
    run_big(script);
}

// An actor that exports only init: two calls of it.
static void run_flat(struct script *script) {
    script->has_state = true;
    script->state_size = 2;
    memcpy(script->state, (uint8_t[]){1, 2}, 2);
    turn(script, ACTOR, "init", "\u00e4ct\u00f6r", NULL, false);
    script->has_state = false;
    turn(script, ACTOR, "init", "", NULL, false);
}

static void bench(struct script *script, const char *name, const struct value *params,
                  uint64_t calls) {
    int index = driver_find(script->component, CLIENT, name);
    struct value state = {.bytes = script->state, .count = script->state_size};
    struct value args[2] = {{.items = &state, .which = 1}, {.items = params}};
    struct error error = {.code = OK};
    struct value result;
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < BENCH_ROUNDS; round++) {
        uint64_t start = env_monotonic_ns(env_system());
        for (uint64_t i = 0; i < calls; i++) {
            arena_reset(&script->arena);
            if (component_call(script->instance, (uint32_t)index, args, &result, &script->arena,
                               &error) != COMPONENT_DONE) {
                (void)fprintf(stderr, "%s\n", error.message);
                exit(1);
            }
        }
        uint64_t spent = env_monotonic_ns(env_system()) - start;
        best = spent < best ? spent : best;
    }
    (void)fprintf(stderr, "%s: %.1f ns per call (best of %d rounds)\n", name,
                  (double)best / (double)calls, BENCH_ROUNDS);
}

// What making and freeing one more instance costs.
static void bench_instances(struct script *script, struct component_linked *linked,
                            uint64_t count) {
    struct error error = {.code = OK};
    uint64_t start = env_monotonic_ns(env_system());
    for (uint64_t i = 0; i < count; i++) {
        struct component_instance *instance = NULL;
        if (component_instantiate(linked, script, &script->driver->budget, &instance, &error) !=
            COMPONENT_DONE) {
            driver_end(error.code, &error);
        }
        component_instance_free(instance);
    }
    uint64_t spent = env_monotonic_ns(env_system()) - start;
    (void)fprintf(stderr, "instance: %.1f ns\n", (double)spent / (double)count);
}

static int body(struct driver *driver) {
    uint64_t calls = 0;
    int at = 1;
    if (driver->argc > 2 && strcmp(driver->argv[1], "--bench") == 0) {
        calls = strtoull(driver->argv[2], NULL, 10);
        at = 3;
    }
    if (at + 1 != driver->argc) {
        (void)fprintf(stderr, "usage: %s [--cache FOLDER] [--bench CALLS] FILE.component.wasm\n",
                      driver->argv[0]);
        return 2;
    }
    struct script script = {.driver = driver, .component = driver_load(driver, driver->argv[at])};
    arena_init(&script.arena, DRIVER_ARENA_BYTES);
    struct error error = {.code = OK};
    struct component_linked *linked = NULL;
    driver_end(component_link(script.component, resolve, resolve_resource, NULL, &linked, &error),
               &error);
    if (component_instantiate(linked, &script, &driver->budget, &script.instance, &error) !=
        COMPONENT_DONE) {
        driver_end(error.code, &error);
    }
    if (driver_find(script.component, CLIENT, "handle-send") < 0) {
        run_flat(&script);
    } else {
        run_script(&script);
        script.is_quiet = true;
        if (calls != 0) {
            struct value params[2] = {text("r"), text("abc")};
            bench(&script, "handle-request", params, calls);
            bench(&script, "handle-send", &params[1], calls);
            bench_instances(&script, linked, calls);
        }
    }
    component_instance_free(script.instance);
    component_linked_unref(linked);
    component_unref(script.component);
    arena_release(&script.arena);
    return 0;
}

int main(int argc, char **argv) {
    return driver_main(argc, argv, body);
}

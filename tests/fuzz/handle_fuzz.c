// SPDX-License-Identifier: Apache-2.0
// Fuzz target: resource handles, right and wrong, against a model of the handle table. An input is
// a sequence of calls of tests/unit/component/inputs/resources.wat, whose exports pass handle
// numbers on as they are. The model says which number a new handle gets (free ones are used again,
// last first), which call must trap, and when the host must be told that a resource was dropped:
// once for each, at the latest when the instance ends.
#include "guest.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GUEST SOURCE_FOLDER "/tests/unit/component/inputs/resources.wasm"

enum {
    CALLS_MAX = 200,
    MANY_MAX = 15,  // what one call makes at most, of blobs and of handles
    BLOBS_MAX = CALLS_MAX * MANY_MAX,
    HANDLES_MAX = CALLS_MAX * MANY_MAX + 1,
    FIRST_REP = 1000
};

enum kind { NONE, BLOB, TOKEN, COUNTER };
enum state { ABSENT, OF_GUEST, OF_HOST, LENT, DROPPED };

struct entry {
    enum kind kind;
    uint32_t rep;
};

static struct guest guest;
static struct {
    struct entry entries[HANDLES_MAX];  // the guest's table; 0 is never used
    uint32_t entry_count;
    uint32_t free[HANDLES_MAX];
    uint32_t free_count;
    struct entry held[CALLS_MAX];  // counters that the host holds: `rep`, and under
    uint32_t handles[CALLS_MAX];   // which handle
    uint32_t held_count;
    enum state blobs[BLOBS_MAX];  // of the host; the rep is FIRST_REP + the number
    uint32_t blob_count;
    uint32_t tokens, tokens_dropped;
} model;

// ---- the host ----------------------------------------------------------------------------------

static uint32_t value_of(uint32_t rep) {
    return rep * 7;
}

static void check_blob(uint64_t rep, enum state wanted) {
    if (rep < FIRST_REP || rep >= FIRST_REP + model.blob_count ||
        model.blobs[rep - FIRST_REP] != wanted)
        fatal("the host gets a blob that it did not give, or that is gone: %llu",
              (unsigned long long)rep);
}

static uint32_t new_blob(enum state state) {
    if (model.blob_count == BLOBS_MAX)
        fatal("too many blobs for the model");
    model.blobs[model.blob_count] = state;
    return FIRST_REP + model.blob_count++;
}

static bool make(struct component_call *call, const struct value *args, struct value *result) {
    (void)call;
    (void)args;
    result->bits = new_blob(OF_GUEST);
    return true;
}

static bool read_value(struct component_call *call, const struct value *args,
                       struct value *result) {
    (void)call;
    if (model.blob_count == 0 || args[0].bits < FIRST_REP ||
        args[0].bits >= FIRST_REP + model.blob_count ||
        model.blobs[args[0].bits - FIRST_REP] != LENT)
        check_blob(args[0].bits, OF_GUEST);
    result->bits = value_of((uint32_t)args[0].bits);
    return true;
}

static bool consume(struct component_call *call, const struct value *args, struct value *result) {
    (void)call;
    check_blob(args[0].bits, OF_GUEST);
    model.blobs[args[0].bits - FIRST_REP] = OF_HOST;
    result->bits = value_of((uint32_t)args[0].bits);
    return true;
}

static bool merge(struct component_call *call, const struct value *args, struct value *result) {
    check_blob(args[0].bits, OF_GUEST);
    uint32_t other = value_of((uint32_t)args[0].bits);
    bool done = consume(call, &args[1], result);
    result->bits = (uint32_t)(result->bits + other);
    return done;
}

static bool many(struct component_call *call, const struct value *args, struct value *result) {
    uint32_t count = (uint32_t)args[0].bits;
    struct value *items = ARENA_ARRAY(component_call_arena(call), struct value, count);
    for (uint32_t i = 0; i < count; i++)
        items[i].bits = new_blob(OF_GUEST);
    *result = (struct value){.items = items, .count = count};
    return true;
}

static bool get_token(struct component_call *call, const struct value *args, struct value *result) {
    (void)call;
    (void)args;
    result->bits = UINT32_MAX;
    model.tokens++;
    return true;
}

static bool enter(struct component_call *call, const struct value *args, struct value *result) {
    (void)call;
    (void)args;
    (void)result;
    return true;
}

static enum status resolve(void *resolver, const struct component_import *import,
                           struct component_host_func *out, struct error *error) {
    static const struct {
        const char *name;
        component_host_fn fn;
    } functions[] = {
        {"[constructor]blob", make},
        {"[method]blob.value", read_value},
        {"consume", consume},
        {"merge", merge},
        {"many", many},
        {"enter", enter},
        {"use", read_value},
        {"get-token", get_token},
    };
    (void)resolver;
    for (size_t i = 0; i < COUNT_OF(functions); i++)
        if (slice_equal_text(import->name, functions[i].name)) {
            out->fn = functions[i].fn;
            return OK;
        }
    return error_set(error, ERR_NOT_FOUND, "no such function");
}

static void drop_blob(void *owner, const void *data, uint32_t rep) {
    (void)owner;
    (void)data;
    check_blob(rep, OF_GUEST);
    model.blobs[rep - FIRST_REP] = DROPPED;
}

static void drop_token(void *owner, const void *data, uint32_t rep) {
    (void)owner;
    (void)data;
    if (rep != UINT32_MAX || ++model.tokens_dropped > model.tokens)
        fatal("a token was dropped that the guest did not have");
}

static enum status resolve_resource(void *resolver, const struct component_resource *resource,
                                    struct component_host_resource *out, struct error *error) {
    (void)resolver;
    (void)error;
    out->drop = slice_equal_text(resource->name, "token") ? drop_token : drop_blob;
    return OK;
}

// ---- the model of the guest's table ------------------------------------------------------------

static uint32_t add(enum kind kind, uint32_t rep) {
    uint32_t handle = model.free_count > 0 ? model.free[--model.free_count] : model.entry_count++;
    if (handle >= HANDLES_MAX)
        fatal("too many handles for the model");
    model.entries[handle] = (struct entry){kind, rep};
    return handle;
}

static void take_out(uint32_t handle) {
    model.entries[handle].kind = NONE;
    model.free[model.free_count++] = handle;
}

static bool is_of(uint64_t handle, enum kind kind) {
    return handle < model.entry_count && model.entries[handle].kind == kind;
}

static void hold(uint32_t handle, uint32_t rep) {
    for (uint32_t i = 0; i < model.held_count; i++)
        if (model.handles[i] == handle)
            fatal("the host was given the handle %u twice", handle);
    if (handle == 0)
        fatal("the handle 0 was given");
    model.held[model.held_count] = (struct entry){COUNTER, rep};
    model.handles[model.held_count++] = handle;
}

// The place of a handle that the host holds, or UINT32_MAX.
static uint32_t find_held(uint64_t handle) {
    for (uint32_t i = 0; i < model.held_count; i++)
        if (model.handles[i] == handle)
            return i;
    return UINT32_MAX;
}

static void let_go(uint32_t place) {
    model.held[place] = model.held[--model.held_count];
    model.handles[place] = model.handles[model.held_count];
}

// ---- calls -------------------------------------------------------------------------------------

// A call, what it needs, and what it must give. `wanted` is set by the call's function.
struct step {
    const char *name;
    uint64_t a, b;
    bool must_trap;
    uint32_t wanted;
    bool has_result;
};

static bool do_step(const struct step *step, struct value *result) {
    struct value args[2] = {{.bits = step->a}, {.bits = step->b}};
    *result = (struct value){.bits = 0};
    bool returned = guest_call(&guest, guest_find(&guest, step->name), args, result);
    if (returned == step->must_trap)
        fatal("%s(%llu, %llu) %s", step->name, (unsigned long long)step->a,
              (unsigned long long)step->b, returned ? "did not trap" : "trapped");
    if (returned && step->has_result && (uint32_t)result->bits != step->wanted)
        fatal("%s(%llu, %llu) gave %u, expected %u", step->name, (unsigned long long)step->a,
              (unsigned long long)step->b, (uint32_t)result->bits, step->wanted);
    return returned;
}

// A handle number: mostly one of those that exist.
static uint64_t a_handle(struct script *script) {
    uint8_t what = script_byte(script);
    if (what < 240)
        return what % (model.entry_count + 1);
    return what < 248 ? script_number(script, 4) : UINT32_MAX - (what - 248u);
}

static uint64_t a_held(struct script *script) {
    uint8_t what = script_byte(script);
    if (what < 240 && model.held_count > 0)
        return model.handles[what % model.held_count];
    return what % 2 == 0 ? what : script_number(script, 4);
}

// Calls with one of the guest's own handle numbers that gives something back.
static bool with_handle(struct script *script, const char *name, enum kind kind, bool has_result,
                        bool ends) {
    struct step step = {.name = name, .a = a_handle(script), .has_result = has_result};
    struct value result;
    step.must_trap = !is_of(step.a, kind);
    uint32_t rep = step.must_trap ? 0 : model.entries[step.a].rep;
    step.wanted = kind == BLOB ? value_of(rep) : rep;
    if (!do_step(&step, &result))
        return false;
    if (ends)
        take_out((uint32_t)step.a);
    return true;
}

static bool merge_step(struct script *script) {
    struct step step = {.name = "blob-merge", .has_result = true};
    struct value result;
    step.a = a_handle(script);
    step.b = a_handle(script);
    step.must_trap = !is_of(step.a, BLOB) || !is_of(step.b, BLOB) || step.a == step.b;
    if (!step.must_trap)
        step.wanted = value_of(model.entries[step.a].rep) + value_of(model.entries[step.b].rep);
    if (!do_step(&step, &result))
        return false;
    take_out((uint32_t)step.b);
    return true;
}

// The guest's table gives the next number, before the call that takes it.
static uint32_t next_handle(void) {
    return model.free_count > 0 ? model.free[model.free_count - 1] : model.entry_count;
}

static bool new_step(const char *name, enum kind kind, uint32_t rep) {
    struct step step = {.name = name, .a = rep, .wanted = next_handle(), .has_result = true};
    struct value result;
    bool returned = do_step(&step, &result);
    (void)add(kind, kind == BLOB ? FIRST_REP + model.blob_count - 1 : rep);
    return returned;
}

// The guest gives a counter to the host: a new one, or one of its own handles.
static bool give_step(const char *name, uint64_t a, bool must_trap, uint32_t rep) {
    struct step step = {.name = name, .a = a, .must_trap = must_trap};
    struct value result;
    if (!do_step(&step, &result))
        return false;
    hold((uint32_t)result.bits, rep);
    return true;
}

static bool held_step(struct script *script, const char *name, bool has_result, bool ends) {
    struct step step = {.name = name, .a = a_held(script), .has_result = has_result};
    struct value result;
    uint32_t place = find_held(step.a);
    step.must_trap = place == UINT32_MAX;
    uint32_t rep = step.must_trap ? 0 : model.held[place].rep;
    step.wanted = rep;
    // An own enters the guest's table, and leaves it with the call.
    if (!step.must_trap && !has_result)
        take_out(add(COUNTER, rep));
    if (!do_step(&step, &result))
        return false;
    if (ends)
        let_go(place);
    if (strcmp(name, "pass") == 0)
        hold((uint32_t)result.bits, rep);
    return true;
}

static bool drop_held(struct script *script) {
    struct error error = {.code = OK};
    uint64_t handle = a_held(script);
    uint32_t place = find_held((uint32_t)handle);
    wasm_context_begin(&guest.context, 0);
    bool returned = guest_outcome(
        &guest, component_resource_drop(guest.instance, (uint32_t)handle, &guest.arena, &error),
        &error);
    if (returned != (place != UINT32_MAX))
        fatal("dropping the host's handle %u %s", (uint32_t)handle,
              returned ? "did not trap" : "trapped");
    if (returned)
        let_go(place);
    return returned;
}

static bool give_blob(const char *name, bool comes_back) {
    struct step step = {.name = name, .a = new_blob(OF_GUEST), .has_result = comes_back};
    struct value result;
    step.wanted = (uint32_t)step.a;
    uint32_t handle = add(BLOB, (uint32_t)step.a);
    if (!do_step(&step, &result))
        return false;
    if (comes_back) {
        take_out(handle);
        model.blobs[step.a - FIRST_REP] = OF_HOST;
    }
    return true;
}

// A borrow that the guest drops in time, or keeps: a trap.
static bool lend_blob(const char *name, bool keeps) {
    struct step step = {
        .name = name, .a = new_blob(LENT), .must_trap = keeps, .has_result = !keeps};
    struct value result;
    step.wanted = value_of((uint32_t)step.a);
    take_out(add(BLOB, (uint32_t)step.a));
    return do_step(&step, &result);
}

static bool many_step(struct script *script) {
    uint32_t count = script_byte(script) % (MANY_MAX + 1), first = FIRST_REP + model.blob_count;
    struct step step = {.name = "many-sum", .a = count, .has_result = true};
    struct value result;
    for (uint32_t i = 0; i < count; i++) {
        step.wanted += value_of(first + i);
        (void)add(BLOB, first + i);
    }
    return do_step(&step, &result);
}

// One call; false when it trapped, as it had to.
static bool step(struct script *script) {
    uint64_t handle;
    switch (script_byte(script) % 20) {
        case 0:
            return new_step("blob-make", BLOB, 0);
        case 1:
            return with_handle(script, "blob-value", BLOB, true, false);
        case 2:
            return with_handle(script, "blob-consume", BLOB, true, true);
        case 3:
            return with_handle(script, "blob-use", BLOB, true, false);
        case 4:
            return merge_step(script);
        case 5:
            return with_handle(script, "blob-drop", BLOB, false, true);
        case 6:
            return new_step("token-get", TOKEN, UINT32_MAX);
        case 7:
            return with_handle(script, "token-drop", TOKEN, false, true);
        case 8:
            return new_step("counter-new", COUNTER, (uint32_t)script_number(script, 2));
        case 9:
            return with_handle(script, "counter-rep", COUNTER, true, false);
        case 10:
            return with_handle(script, "counter-drop", COUNTER, false, true);
        case 11:
            handle = a_handle(script);
            if (!give_step("forge", handle, !is_of(handle, COUNTER),
                           is_of(handle, COUNTER) ? model.entries[handle].rep : 0))
                return false;
            take_out((uint32_t)handle);
            return true;
        case 12:
            handle = script_number(script, 2);
            take_out(add(COUNTER, (uint32_t)handle));
            return give_step("new-counter", handle, false, (uint32_t)handle);
        case 13:
            return held_step(script, "end", false, true);
        case 14:
            return held_step(script, "read", true, false);
        case 15:
            return held_step(script, "pass", false, true);
        case 16:
            return drop_held(script);
        case 17:
            return give_blob("keep-blob", false);
        case 18:
            return give_blob("pass-blob", true);
        default:
            if (script_byte(script) % 16 == 1)
                return lend_blob("keep-borrow", true);
            return script_byte(script) % 2 == 0 ? lend_blob("peek", false) : many_step(script);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    guest_open(&guest, GUEST, resolve, resolve_resource, __builtin_frame_address(0));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {data, size};
    memset(&model, 0, sizeof model);
    model.entry_count = 1;
    guest_start(&guest, &model);
    bool returned = true;
    for (uint32_t i = 0; i < CALLS_MAX && script.left > 0 && returned; i++)
        returned = step(&script);
    guest_end(&guest);
    // What was on its way when a call trapped may be lost.
    for (uint32_t i = 0; returned && i < model.blob_count; i++)
        if (model.blobs[i] == OF_GUEST)
            fatal("the host was not told that blob %u is gone", i);
    if (returned && model.tokens != model.tokens_dropped)
        fatal("the host was not told that a token is gone");
    return 0;
}

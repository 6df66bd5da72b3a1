// SPDX-License-Identifier: Apache-2.0
// An actor that recurses until the machine's stack is used up, and calls a host function at every
// depth on the way, so that the host is entered with every amount of stack that there can be.
//
// The message, sent or requested, names the host function, or is "all" for each in turn but
// get-chain, whose answers would reach the limit of a message before the stack ends. Frames in
// linear memory are avoided, otherwise the small stack there would overflow first.
#include "theater.h"

static _Alignas(8) uint8_t area[64];
static const uint8_t nobody[] = "nobody";
enum { NOBODY = sizeof nobody - 1 };

static volatile uint64_t never;

static void call_log(void) {
    theater__import_log(nobody, NOBODY);
}
static void call_self(void) {
    theater__import_self(area);
}
static void call_get_state(void) {
    theater__import_get_state(area);
}
static void call_get_chain(void) {
    theater__import_get_chain(area);
}
static void call_now(void) {
    theater__import_now();
}
static void call_sleep(void) {
    theater__import_sleep(0, area);
}
static void call_deadline(void) {
    theater__import_deadline(0, area);
}
static void call_random_bytes(void) {
    theater__import_random_bytes(16, area);
}
static void call_random_range(void) {
    theater__import_random_range(0, 10, area);
}
static void call_random_float(void) {
    theater__import_random_float(area);
}
static void call_generate_uuid(void) {
    theater__import_generate_uuid(area);
}
static void call_send(void) {
    theater__import_send(nobody, NOBODY, nobody, NOBODY, area);
}
static void call_request(void) {
    theater__import_request(nobody, NOBODY, nobody, NOBODY, area);
}
static void call_open_channel(void) {
    theater__import_open_channel(nobody, NOBODY, nobody, NOBODY, area);
}
static void call_send_on_channel(void) {
    theater__import_send_on_channel(nobody, NOBODY, nobody, NOBODY, area);
}
static void call_close_channel(void) {
    theater__import_close_channel(nobody, NOBODY, area);
}
static void call_respond(void) {
    theater__import_respond(nobody, NOBODY, nobody, NOBODY, area);
}
static void call_cancel(void) {
    theater__import_cancel(nobody, NOBODY, area);
}
static void call_list_outstanding(void) {
    theater__import_list_outstanding(area);
}
static void call_spawn(void) {
    theater__import_spawn(nobody, NOBODY, 0, NULL, 0, area);
}
static void call_list_children(void) {
    theater__import_list_children(area);
}
static void call_stop_child(void) {
    theater__import_stop_child(nobody, NOBODY, area);
}
static void call_get_child_state(void) {
    theater__import_get_child_state(nobody, NOBODY, area);
}
static void call_get_child_events(void) {
    theater__import_get_child_events(nobody, NOBODY, area);
}

static const struct {
    const char *name;
    void (*call)(void);
} calls[] = {
    {"log", call_log},
    {"self", call_self},
    {"get-state", call_get_state},
    {"now", call_now},
    {"sleep", call_sleep},
    {"deadline", call_deadline},
    {"random-bytes", call_random_bytes},
    {"random-range", call_random_range},
    {"random-float", call_random_float},
    {"generate-uuid", call_generate_uuid},
    {"send", call_send},
    {"request", call_request},
    {"open-channel", call_open_channel},
    {"send-on-channel", call_send_on_channel},
    {"close-channel", call_close_channel},
    {"respond-to-request", call_respond},
    {"cancel-request", call_cancel},
    {"list-outstanding-requests", call_list_outstanding},
    {"spawn", call_spawn},
    {"list-children", call_list_children},
    {"stop-child", call_stop_child},
    {"get-child-state", call_get_child_state},
    {"get-child-events", call_get_child_events},
    {"get-chain", call_get_chain},
};
enum { CALLS = sizeof calls / sizeof calls[0] };

// One frame deeper after each call. What the host allocated is given back at once, so that the
// stack ends before the memory does.
__attribute__((noinline)) static uint64_t descend(uint64_t depth, size_t from, size_t to) {
    uintptr_t top = theater__top;
    calls[from + depth % (to - from)].call();
    theater__top = top;
    return depth == never - 1 ? 0 : descend(depth + 1, from, to) * 3 + depth;
}

static struct theater_result run(struct theater_bytes message) {
    if (theater_text_equal(message, "all")) {
        never = descend(0, 0, CALLS - 1);
    }
    for (size_t i = 0; i < CALLS; i++) {
        if (theater_text_equal(message, calls[i].name)) {
            never = descend(0, i, i + 1);
        }
    }
    return theater_error("deep_calls: no such host function: ", message);
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    return theater_ok(state);
}

static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    (void)state;
    return run(message);
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)state, (void)request_id;
    return run(message);
}

THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);
THEATER_HANDLE_REQUEST(on_request);

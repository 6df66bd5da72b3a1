// SPDX-License-Identifier: Apache-2.0
// After init, an actor whose cabi_realloc never returns: the host hangs while it lowers a message.
// Written against the bare ABI, as theater.h does not let an actor do this.
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define INIT "theater:simple/actor#init"
#define SEND "theater:simple/message-server-client#handle-send"

static volatile uint32_t sink;
static int is_started;
static _Alignas(8) uint8_t answer[16];  // ok, and the state stays as it is
static _Alignas(8) uint8_t room[65536];
static size_t used;

// Room for the parameters, from the start again when it is full.
EXPORT("cabi_realloc") void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)old, (void)old_size;
    while (is_started) {
        sink = sink + 1;
    }
    used = (used + align - 1) & ~(align - 1);
    if (size > sizeof room - used) {
        used = 0;
    }
    if (size > sizeof room) {
        __builtin_trap();
    }
    void *block = room + used;
    used += size;
    return block;
}

EXPORT(INIT) void *init(int some, void *state, size_t state_size, void *id, size_t id_size) {
    (void)some, (void)state, (void)state_size, (void)id, (void)id_size;
    is_started = 1;
    return answer;
}

EXPORT(SEND)
void *handle_send(int some, void *state, size_t state_size, void *message, size_t message_size) {
    (void)some, (void)state, (void)state_size, (void)message, (void)message_size;
    return answer;
}

EXPORT("cabi_post_" SEND) void post_send(void *result) {
    (void)result;
    used = 0;
}

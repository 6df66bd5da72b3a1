// SPDX-License-Identifier: Apache-2.0
// An actor whose init never returns.
// Written against the bare ABI, as theater.h does not let an actor do this.
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define INIT "theater:simple/actor#init"
#define SEND "theater:simple/message-server-client#handle-send"

static volatile uint32_t sink;

// Room for the parameters: a plain bump allocator, since nothing is ever given back.
static _Alignas(8) uint8_t room[4096];
static size_t used;

EXPORT("cabi_realloc") void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)old, (void)old_size;
    used = (used + align - 1) & ~(align - 1);
    if (size > sizeof room - used) {
        __builtin_trap();
    }
    void *block = room + used;
    used += size;
    return block;
}

EXPORT(INIT) void *init(int some, void *state, size_t state_size, void *id, size_t id_size) {
    (void)some, (void)state, (void)state_size, (void)id, (void)id_size;
    for (;;) {
        sink = sink + 1;
    }
}

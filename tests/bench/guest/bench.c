// SPDX-License-Identifier: Apache-2.0
// The guest of the benchmarks. What a message asks for is its first byte:
//   '.'                         nothing: the turn alone
//   'w' steps:u32 0             compute for so many steps
//   'p' hops:u32 n:u8 peer[n]   one hop of a message that two actors throw to and fro
//   'r' count:u32 n:u8 peer[n]  `count` requests to the peer, one after the other
//   't'                         trap
//   's' count:u32 n:u8 path[n]  spawn `count` children from the manifest
#include "theater.h"

static uint32_t number_at(const uint8_t *at) {
    uint32_t number = 0;
    theater_copy(&number, at, sizeof number);
    return number;
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    static const uint8_t first[16];
    return theater_ok(theater_is_none(state) ? (struct theater_bytes){first, sizeof first} : state);
}

// The message as it came, with one hop less and this actor as the peer.
static struct theater_bytes next_hop(struct theater_bytes message, uint32_t hops) {
    uint8_t *copy = theater_alloc(message.size);
    theater_copy(copy, message.data, message.size);
    hops--;
    theater_copy(copy + 1, &hops, sizeof hops);
    return (struct theater_bytes){copy, message.size};
}

static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    if (message.size == 1 && message.data[0] == 't') {
        theater_trap();
    }
    if (message.size < 6 || message.data[0] == '.') {
        return theater_ok(state);
    }
    uint32_t count = number_at(message.data + 1);
    struct theater_bytes name = {message.data + 6, message.data[5]};
    struct theater_bytes first = {message.data, 1};
    struct theater_outcome outcome = {.ok = true};
    if (message.data[0] == 'p') {
        // Two names follow, as long as each other: the peer's and one's own, changed over each hop.
        if (count == 0) {
            return theater_ok(state);
        }
        struct theater_bytes next = next_hop(message, count);
        uint8_t *names = (uint8_t *)next.data + 6;
        theater_copy(names, message.data + 6 + name.size, name.size);
        theater_copy(names + name.size, message.data + 6, name.size);
        outcome = theater_send(name, next);
    }
    for (volatile uint32_t step = 0; message.data[0] == 'w' && step < count; step++) {
    }
    for (; message.data[0] == 'r' && count > 0 && outcome.ok; count--) {
        outcome = theater_request(name, first);
    }
    for (; message.data[0] == 's' && count > 0 && outcome.ok; count--) {
        outcome = theater_spawn(name, THEATER_NONE);
    }
    return outcome.ok ? theater_ok(state) : theater_error(outcome.error);
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    (void)request_id;
    return theater_reply(state, message);
}

THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);
THEATER_HANDLE_REQUEST(on_request);

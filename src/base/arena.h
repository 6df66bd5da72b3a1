// SPDX-License-Identifier: Apache-2.0
// A bump allocator for memory with the lifetime of one call or one load: everything is released at
// once. Used by one thread at a time.
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct arena_chunk;

struct arena {
    uint8_t *next;              // first free byte of the current chunk
    uint8_t *end;               // one past its last
    struct arena_chunk *chunk;  // current chunk, linked to the earlier ones
    uint64_t used_bytes;        // handed out since the last reset, with the padding between
    uint64_t limit_bytes;       // most that may be handed out between resets
};

// `limit_bytes` bounds what may be allocated between two resets. Allocates nothing yet.
void arena_init(struct arena *arena, uint64_t limit_bytes);
// Frees all chunks; the arena may be used again afterwards.
void arena_release(struct arena *arena);
// Forgets all allocations; keeps one chunk of ordinary size for reuse.
void arena_reset(struct arena *arena);
// Where an arena stands, and back to it: what was allocated since is gone. Nothing may have been
// reset or rewound further in between.
struct arena_mark {
    uint8_t *next, *end;
    struct arena_chunk *chunk;
    uint64_t used_bytes;
};
static inline struct arena_mark arena_mark(const struct arena *arena) {
    return (struct arena_mark){arena->next, arena->end, arena->chunk, arena->used_bytes};
}
void arena_rewind(struct arena *arena, const struct arena_mark *mark);
// Memory of `size` bytes aligned to `align` (a power of two, at most 16), undefined content. NULL
// when the limit would be passed. Lives until reset or release. A size of 0 gives a valid pointer.
void *arena_try_alloc(struct arena *arena, uint64_t size, size_t align) MUST_CHECK;
// The same, ending the process instead of returning NULL: for arenas without a limit that matters.
void *arena_alloc(struct arena *arena, uint64_t size, size_t align);
// Zeroed array of `count` elements, as arena_alloc.
void *arena_calloc(struct arena *arena, uint64_t count, uint64_t size, size_t align);
#define ARENA_NEW(arena, type) ((type *)arena_calloc((arena), 1, sizeof(type), _Alignof(type)))
#define ARENA_ARRAY(arena, type, count) \
    ((type *)arena_calloc((arena), (count), sizeof(type), _Alignof(type)))
// A NUL-terminated copy.
char *arena_text(struct arena *arena, struct slice text);

#endif

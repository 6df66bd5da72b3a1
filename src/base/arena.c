// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/status.h"

enum { CHUNK_BYTES = 4096 - 64, CHUNK_MOST_BYTES = 256 * 1024 };

struct arena_chunk {
    struct arena_chunk *previous;
    size_t capacity;
    _Alignas(16) uint8_t data[];
};

void arena_init(struct arena *arena, uint64_t limit_bytes) {
    *arena = (struct arena){.limit_bytes = limit_bytes};
}

void arena_release(struct arena *arena) {
    struct arena_chunk *chunk = arena->chunk;
    while (chunk != NULL) {
        struct arena_chunk *previous = chunk->previous;
        free(chunk);
        chunk = previous;
    }
    arena_init(arena, arena->limit_bytes);
}

// The newest chunk is the largest of those that grew: with it kept, a turn that needs as much as
// the last one allocates nothing.
void arena_reset(struct arena *arena) {
    struct arena_chunk *kept = arena->chunk;
    if (kept == NULL || kept->capacity > CHUNK_MOST_BYTES) {
        arena_release(arena);
        return;
    }
    arena->chunk = kept->previous;
    uint64_t limit_bytes = arena->limit_bytes;
    arena_release(arena);
    kept->previous = NULL;
    *arena = (struct arena){.next = kept->data,
                            .end = kept->data + kept->capacity,
                            .chunk = kept,
                            .limit_bytes = limit_bytes};
}

void arena_rewind(struct arena *arena, const struct arena_mark *mark) {
    assert(mark->used_bytes <= arena->used_bytes);
    if (mark->chunk == NULL) {
        arena_reset(arena);
        return;
    }
    while (arena->chunk != mark->chunk) {
        struct arena_chunk *previous = arena->chunk->previous;
        free(arena->chunk);
        arena->chunk = previous;
    }
    arena->next = mark->next;
    arena->end = mark->end;
    arena->used_bytes = mark->used_bytes;
}

static void add_chunk(struct arena *arena, size_t least) {
    size_t capacity = CHUNK_BYTES;
    if (arena->chunk != NULL && arena->chunk->capacity * 2 <= CHUNK_MOST_BYTES) {
        capacity = arena->chunk->capacity * 2;
    }
    if (capacity < least) {
        capacity = least;
    }
    if (capacity > SIZE_MAX / 2) {
        fatal("arena cannot grow by %zu bytes", capacity);
    }
    struct arena_chunk *chunk = xmalloc(sizeof *chunk + capacity);
    chunk->previous = arena->chunk;
    chunk->capacity = capacity;
    arena->chunk = chunk;
    arena->next = chunk->data;
    arena->end = chunk->data + capacity;
}

void *arena_try_alloc(struct arena *arena, uint64_t size, size_t align) {
    assert(align != 0 && align <= 16 && (align & (align - 1)) == 0);
    size_t padding = arena->next == NULL ? 0 : (size_t)(-(uintptr_t)arena->next & (align - 1));
    size_t room = arena->next == NULL ? 0 : (size_t)(arena->end - arena->next);
    bool fits = arena->next != NULL && padding <= room && size <= room - padding;
    if (!fits) {
        padding = 0;
    }
    // Padding counts too: many small allocations of large alignment must not pass the limit.
    uint64_t used = arena->used_bytes;
    uint64_t left = used < arena->limit_bytes ? arena->limit_bytes - used : 0;
    if (size > left || padding > left - size) {
        return NULL;
    }
    if (!fits) {
        add_chunk(arena, (size_t)size);
    }
    uint8_t *result = arena->next + padding;
    arena->next = result + size;
    arena->used_bytes += padding + size;
    return result;
}

void *arena_alloc(struct arena *arena, uint64_t size, size_t align) {
    void *result = arena_try_alloc(arena, size, align);
    if (result == NULL) {
        fatal("arena limit of %llu bytes passed", (unsigned long long)arena->limit_bytes);
    }
    return result;
}

void *arena_calloc(struct arena *arena, uint64_t count, uint64_t size, size_t align) {
    if (size != 0 && count > UINT64_MAX / size) {
        fatal("arena allocation too large");
    }
    void *result = arena_alloc(arena, count * size, align);
    memset(result, 0, (size_t)(count * size));
    return result;
}

char *arena_text(struct arena *arena, struct slice text) {
    char *copy = arena_alloc(arena, text.size + 1, 1);
    if (text.size != 0) {
        memcpy(copy, text.data, text.size);
    }
    copy[text.size] = '\0';
    return copy;
}

// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"

bool slice_equal(struct slice a, struct slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool slice_equal_text(struct slice a, const char *text) {
    return slice_equal(a, slice_text(text));
}

bool slice_starts_with(struct slice a, const char *prefix) {
    size_t size = strlen(prefix);
    return a.size >= size && (size == 0 || memcmp(a.data, prefix, size) == 0);
}

static uint8_t lower(uint8_t byte) {
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte - 'A' + 'a') : byte;
}

bool slice_equal_any_case(struct slice a, const char *text) {
    bool equal = a.size == strlen(text);
    for (size_t i = 0; equal && i < a.size; i++) {
        equal = lower(a.data[i]) == lower((uint8_t)text[i]);
    }
    return equal;
}

struct slice slice_trim(struct slice text) {
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = slice_of(text.data + 1, text.size - 1);
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

void *xmalloc(size_t size) {
    void *pointer = malloc(size != 0 ? size : 1);
    if (pointer == NULL) {
        fatal("out of memory allocating %zu bytes", size);
    }
    return pointer;
}

void *xcalloc(size_t count, size_t size) {
    void *pointer = calloc(count != 0 ? count : 1, size != 0 ? size : 1);
    if (pointer == NULL) {
        fatal("out of memory allocating %zu x %zu bytes", count, size);
    }
    return pointer;
}

void *xrealloc(void *pointer, size_t size) {
    void *moved = realloc(pointer, size != 0 ? size : 1);
    if (moved == NULL) {
        fatal("out of memory allocating %zu bytes", size);
    }
    return moved;
}

char *xstrndup(const void *data, size_t size) {
    char *copy = xmalloc(size + 1);
    if (size != 0) {
        memcpy(copy, data, size);
    }
    copy[size] = '\0';
    return copy;
}

char *xstrdup(const char *text) {
    return xstrndup(text, strlen(text));
}

struct bytes *bytes_new(size_t size) {
    if (size > SIZE_MAX / 2) {
        fatal("out of memory allocating %zu bytes", size);
    }
    struct bytes *bytes = xmalloc(sizeof *bytes + size);
    atomic_init(&bytes->references, 1);
    bytes->size = size;
    return bytes;
}

struct bytes *bytes_copy(struct slice source) {
    struct bytes *bytes = bytes_new(source.size);
    if (source.size != 0) {
        memcpy(bytes->data, source.data, source.size);
    }
    return bytes;
}

struct bytes *bytes_copy_text(const char *source) {
    size_t size = strlen(source);
    struct bytes *bytes = bytes_new(size + 1);
    memcpy(bytes->data, source, size + 1);
    bytes->size = size;
    return bytes;
}

struct bytes *bytes_ref(struct bytes *bytes) {
    if (bytes != NULL) {
        // Relaxed: the caller holds a reference already, so the object cannot go away meanwhile.
        uint32_t before = atomic_fetch_add_explicit(&bytes->references, 1, memory_order_relaxed);
        assert(before > 0);
        (void)before;
    }
    return bytes;
}

void bytes_unref(struct bytes *bytes) {
    if (bytes == NULL) {
        return;
    }
    // Acquire-release: the thread that frees must see every use made before the other releases.
    uint32_t before = atomic_fetch_sub_explicit(&bytes->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1) {
        free(bytes);
    }
}

void buf_release(struct buf *buf) {
    free(buf->data);
    *buf = (struct buf){0};
}

uint8_t *buf_reserve(struct buf *buf, size_t more) {
    if (more > SIZE_MAX / 2 - buf->size) {
        fatal("buffer of %zu bytes cannot grow by %zu", buf->size, more);
    }
    size_t needed = buf->size + more;
    if (needed > buf->capacity) {
        size_t capacity = buf->capacity < 64 ? 64 : buf->capacity * 2;
        if (capacity < needed) {
            capacity = needed;
        }
        buf->data = xrealloc(buf->data, capacity);
        buf->capacity = capacity;
    }
    return buf->data + buf->size;
}

void buf_append(struct buf *buf, const void *data, size_t size) {
    if (size == 0) {
        return;
    }
    memcpy(buf_reserve(buf, size), data, size);
    buf->size += size;
}

void buf_append_text(struct buf *buf, const char *text) {
    buf_append(buf, text, strlen(text));
}

void buf_append_byte(struct buf *buf, uint8_t byte) {
    *buf_reserve(buf, 1) = byte;
    buf->size++;
}

void buf_format(struct buf *buf, const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int needed = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(needed >= 0);
    char *at = (char *)buf_reserve(buf, (size_t)needed + 1);
    (void)vsnprintf(at, (size_t)needed + 1, format, again);
    va_end(again);
    buf->size += (size_t)needed;
}

const char *buf_text(struct buf *buf) {
    *buf_reserve(buf, 1) = '\0';
    return (const char *)buf->data;
}

// SPDX-License-Identifier: Apache-2.0
// Byte strings in the three forms that the project uses:
//   struct slice   a borrowed view, never owned, valid as long as what it points into;
//   struct bytes   immutable, reference-counted: what messages and states are made of, so that
//                  they cross actors and threads without a copy;
//   struct buf     a growable buffer with one owner, for building output.
// Allocation failures end the process (sizes from outside are checked against a limit first).
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compat.h"

struct slice {
    const uint8_t *data;  // may be NULL when size is 0
    size_t size;          // bytes
};

static inline struct slice slice_of(const void *data, size_t size) {
    return (struct slice){.data = data, .size = size};
}
// The bytes of a NUL-terminated string, without its NUL.
static inline struct slice slice_text(const char *text) {
    return slice_of(text, strlen(text));
}
bool slice_equal(struct slice a, struct slice b);
bool slice_equal_text(struct slice a, const char *text);
bool slice_starts_with(struct slice a, const char *prefix);
// The same, with the letters of ASCII in either case, whatever the locale.
bool slice_equal_any_case(struct slice a, const char *text);
// Without the blanks and tabs at both ends.
struct slice slice_trim(struct slice text);

// `references` is changed by any thread, atomically; the rest is written before the first share.
struct bytes {
    _Atomic uint32_t references;
    size_t size;  // bytes
    uint8_t data[];
};

// Gives a new byte string with one reference and undefined content, to be filled before sharing.
struct bytes *bytes_new(size_t size);
// Gives a copy of `source`, with one reference.
struct bytes *bytes_copy(struct slice source);
// The same for a text; a NUL stands behind the content, so that `data` is a text, too.
struct bytes *bytes_copy_text(const char *source);
// Any thread; `bytes` may be NULL (then NULL is returned). Gives one more reference.
struct bytes *bytes_ref(struct bytes *bytes);
// Any thread; takes one reference; `bytes` may be NULL. The last one frees.
void bytes_unref(struct bytes *bytes);
static inline struct slice bytes_slice(const struct bytes *bytes) {
    return bytes == NULL ? slice_of(NULL, 0) : slice_of(bytes->data, bytes->size);
}

// Zero-initialised is empty and owns nothing.
struct buf {
    uint8_t *data;
    size_t size;      // bytes in use
    size_t capacity;  // bytes allocated
};

// Frees the content and makes the buffer empty; it may be used again.
void buf_release(struct buf *buf);
static inline void buf_clear(struct buf *buf) {
    buf->size = 0;
}
// Makes room for `more` bytes behind `size` and returns where they begin; does not change `size`.
uint8_t *buf_reserve(struct buf *buf, size_t more);
void buf_append(struct buf *buf, const void *data, size_t size);
static inline void buf_append_slice(struct buf *buf, struct slice slice) {
    buf_append(buf, slice.data, slice.size);
}
void buf_append_text(struct buf *buf, const char *text);
void buf_append_byte(struct buf *buf, uint8_t byte);
void buf_format(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
// Puts a NUL behind the content (not counted in `size`) and returns the content as text.
const char *buf_text(struct buf *buf);
static inline struct slice buf_slice(const struct buf *buf) {
    return slice_of(buf->data, buf->size);
}

// malloc, calloc, realloc and strdup that end the process instead of returning NULL. xcalloc is
// zeroed. For bounded sizes only. Release with free.
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *pointer, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const void *data, size_t size);

#endif

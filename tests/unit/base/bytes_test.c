// SPDX-License-Identifier: Apache-2.0
// Byte strings: views, shared strings, growing buffers.
#include <pthread.h>

#include "test.h"

TEST(slices_compare_by_content) {
    EXPECT(slice_equal(slice_text("abc"), slice_of("abc", 3)));
    EXPECT(!slice_equal(slice_text("abc"), slice_text("abd")));
    EXPECT(!slice_equal(slice_text("abc"), slice_text("ab")));
    EXPECT(slice_equal(slice_of(NULL, 0), slice_text("")));
    EXPECT(slice_equal(slice_of("a\0b", 3), slice_of("a\0b", 3)));
    EXPECT(!slice_equal(slice_of("a\0b", 3), slice_of("a\0c", 3)));
    EXPECT(slice_equal_text(slice_text("x"), "x"));
    EXPECT(!slice_equal_text(slice_of("x\0", 2), "x"));
    EXPECT(slice_starts_with(slice_text("theater"), "the"));
    EXPECT(slice_starts_with(slice_of(NULL, 0), ""));
    EXPECT(!slice_starts_with(slice_text("th"), "the"));
    EXPECT(slice_equal_any_case(slice_text("Content-Type"), "content-TYPE"));
    EXPECT(slice_equal_any_case(slice_of(NULL, 0), ""));
    EXPECT(!slice_equal_any_case(slice_text("content"), "content-type"));
    EXPECT(!slice_equal_any_case(slice_text("@["), "`{"));  // letters only
    EXPECT(slice_equal_text(slice_trim(slice_text(" \t a b\t ")), "a b"));
    EXPECT(slice_equal_text(slice_trim(slice_text(" \t")), ""));
}

static void *take_and_drop(void *argument) {
    struct bytes *bytes = argument;
    for (int i = 0; i < 10000; i++) {
        bytes_unref(bytes_ref(bytes));
    }
    bytes_unref(bytes);
    return NULL;
}

TEST(bytes_are_shared_between_threads) {
    struct bytes *bytes = bytes_copy(slice_text("shared"));
    pthread_t threads[3];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        REQUIRE(pthread_create(&threads[i], NULL, take_and_drop, bytes_ref(bytes)) == 0);
    }
    EXPECT(slice_equal_text(bytes_slice(bytes), "shared"));
    bytes_unref(bytes);  // whoever is last frees; the leak check tells
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
}

TEST(no_bytes_are_empty) {
    EXPECT(bytes_ref(NULL) == NULL);
    bytes_unref(NULL);
    EXPECT_U64(bytes_slice(NULL).size, 0);
    struct bytes *empty = bytes_copy(slice_of(NULL, 0));
    EXPECT_U64(empty->size, 0);
    bytes_unref(empty);
}

TEST(a_buffer_grows) {
    struct buf buf = {0};
    EXPECT_TEXT(buf_text(&buf), "");
    EXPECT_U64(buf.size, 0);
    for (int i = 0; i < 1000; i++) {
        buf_format(&buf, "%d,", i);
    }
    EXPECT_U64(buf.size, 10 * 2 + 90 * 3 + 900 * 4);
    EXPECT(strncmp(buf_text(&buf), "0,1,2,3,", 8) == 0);
    EXPECT_U64(strlen(buf_text(&buf)), buf.size);
    buf_clear(&buf);
    buf_append_text(&buf, "ab");
    buf_append_byte(&buf, 'c');
    buf_append(&buf, NULL, 0);
    buf_append_slice(&buf, slice_text("de"));
    uint8_t *at = buf_reserve(&buf, 100000);
    EXPECT_U64(buf.size, 5);
    at[0] = 'f';
    at[99999] = 'x';
    buf.size++;
    EXPECT(slice_equal_text(buf_slice(&buf), "abcdef"));
    buf_release(&buf);
    EXPECT(buf.data == NULL && buf.capacity == 0);
}

TEST(copies_of_text_end_with_a_nul) {
    char *copy = xstrndup("abc", 2);
    EXPECT_TEXT(copy, "ab");
    free(copy);
    copy = xstrndup(NULL, 0);
    EXPECT_TEXT(copy, "");
    free(copy);
    uint8_t *zeros = xcalloc(7, 3);
    for (int i = 0; i < 21; i++) {
        EXPECT_U64(zeros[i], 0);
    }
    free(zeros);
    free(xcalloc(0, 0));
    free(xmalloc(0));
    free(xrealloc(NULL, 0));
}

int main(void) {
    return test_main();
}

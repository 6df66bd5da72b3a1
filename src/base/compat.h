// SPDX-License-Identifier: Apache-2.0
// Compiler extensions and sanitizer hooks, all in one place: no other file uses an attribute or
// a builtin by its compiler's name, so a new compiler means editing this file only.
#ifndef BASE_COMPAT_H
#define BASE_COMPAT_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
// Nor looked into from outside: what it returns may have changed since the last call.
#if defined(__clang__)
#define NO_INLINE __attribute__((noinline))
#else
#define NO_INLINE __attribute__((noipa))
#endif
#define NO_RETURN __attribute__((noreturn))
#define NO_SANITIZE_THREAD __attribute__((no_sanitize("thread")))
#define EXPORTED __attribute__((visibility("default")))
#define UNUSED __attribute__((unused))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
// About where the stack of the calling function is.
#define STACK_POINTER() __builtin_frame_address(0)
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#ifndef HAVE_ASAN
#define HAVE_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define HAVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAVE_TSAN 1
#endif
#endif
#ifndef HAVE_TSAN
#define HAVE_TSAN 0
#endif

#endif

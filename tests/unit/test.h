// SPDX-License-Identifier: Apache-2.0
// The unit test harness: each test file is one program that prints TAP (Test Anything Protocol).
//
//   TEST(reads_what_it_wrote) { EXPECT(a == b); EXPECT_TEXT(name, "x"); }
//   int main(void) { return test_main(); }
//
// A failed EXPECT reports file, line and values and goes on; REQUIRE ends the test.
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/status.h"

struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
};
extern struct test_case *test_first;
extern struct test_case **test_last;
extern bool test_failed;
extern char test_skip_reason[256];
extern jmp_buf test_end;

int test_main(void);
// Makes an empty folder that lives until the program ends and gives its path (static per call
// site's program, freed at exit).
const char *test_folder(void);

#define TEST(name)                                                   \
    static void test_##name(void);                                   \
    __attribute__((constructor)) static void register_##name(void) { \
        static struct test_case test = {#name, test_##name, NULL};   \
        *test_last = &test;                                          \
        test_last = &test.next;                                      \
    }                                                                \
    static void test_##name(void)

void test_report(const char *file, int line, const char *format, ...) PRINTF_LIKE(3, 4);

#define EXPECT(condition)                                               \
    do {                                                                \
        if (!(condition))                                               \
            test_report(__FILE__, __LINE__, "expected %s", #condition); \
    } while (0)
#define REQUIRE(condition)                                              \
    do {                                                                \
        if (!(condition)) {                                             \
            test_report(__FILE__, __LINE__, "required %s", #condition); \
            longjmp(test_end, 1);                                       \
        }                                                               \
    } while (0)
#define EXPECT_U64(actual, wanted)                                                 \
    do {                                                                           \
        uint64_t actual_ = (uint64_t)(actual), wanted_ = (uint64_t)(wanted);       \
        if (actual_ != wanted_)                                                    \
            test_report(__FILE__, __LINE__, "%s is %llu, expected %llu", #actual,  \
                        (unsigned long long)actual_, (unsigned long long)wanted_); \
    } while (0)
#define EXPECT_TEXT(actual, wanted)                                                            \
    do {                                                                                       \
        const char *actual_ = (actual), *wanted_ = (wanted);                                   \
        if (strcmp(actual_, wanted_) != 0)                                                     \
            test_report(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #actual, actual_, \
                        wanted_);                                                              \
    } while (0)
#define EXPECT_CONTAINS(actual, part)                                                      \
    do {                                                                                   \
        const char *actual_ = (actual), *part_ = (part);                                   \
        if (strstr(actual_, part_) == NULL)                                                \
            test_report(__FILE__, __LINE__, "%s is \"%s\", expected it to contain \"%s\"", \
                        #actual, actual_, part_);                                          \
    } while (0)
#define EXPECT_OK(call, error)                                                         \
    do {                                                                               \
        enum status status_ = (call);                                                  \
        if (status_ != OK)                                                             \
            test_report(__FILE__, __LINE__, "%s: %s: %s", #call, status_text(status_), \
                        (error).message);                                              \
    } while (0)
#define REQUIRE_OK(call, error)                                                        \
    do {                                                                               \
        enum status status_ = (call);                                                  \
        if (status_ != OK) {                                                           \
            test_report(__FILE__, __LINE__, "%s: %s: %s", #call, status_text(status_), \
                        (error).message);                                              \
            longjmp(test_end, 1);                                                      \
        }                                                                              \
    } while (0)
#define SKIP(...)                                                               \
    do {                                                                        \
        (void)snprintf(test_skip_reason, sizeof test_skip_reason, __VA_ARGS__); \
        longjmp(test_end, 1);                                                   \
    } while (0)

#endif
